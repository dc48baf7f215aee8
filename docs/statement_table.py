# SPDX-License-Identifier: Apache-2.0

"""What Sphinx is taught: a table of every function's cost, and the sections of our docstrings."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx import addnodes

from nova_sqlcore import api

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_COST = re.compile(r"^Cost: (.*?)\.?\s*(?=^(?:Lock|Raises): |^$|\Z)", re.DOTALL | re.MULTILINE)
_SECTION = re.compile(r"(Cost|Lock|Raises): (.*)")


def costs() -> list[tuple[str, str]]:
    """Return name and cost of every function that states one, by name."""
    found = []
    for name in sorted(api.__all__):
        text = inspect.getdoc(getattr(api, name)) or ""
        match = _COST.search(text)
        if match:
            found.append((name, " ".join(match.group(1).split())))
    return found


class StatementTable(Directive):
    """The table."""

    def run(self) -> list[Any]:
        """Return the table's node."""
        group = nodes.tgroup(cols=2)
        group += [nodes.colspec(colwidth=40), nodes.colspec(colwidth=60)]
        head, body = nodes.thead(), nodes.tbody()
        head += _row(nodes.paragraph(text="function"), nodes.paragraph(text="statements"))
        for name, cost in costs():
            body += _row(nodes.paragraph("", "", _link(name)), nodes.paragraph(text=cost))
        group += [head, body]
        table = nodes.table()
        table += group
        return [table]


def _link(name: str) -> Any:
    """Return the name of a function as a link to its entry."""
    target = {"refdomain": "py", "reftype": "func", "reftarget": f"api.{name}", "refexplicit": True, "refwarn": True}
    return addnodes.pending_xref("", nodes.literal(text=name), **target)


def _row(*cells: Any) -> Any:
    row = nodes.row()
    for cell in cells:
        entry = nodes.entry()
        entry += cell
        row += entry
    return row


def _apart(app: Sphinx, what: str, name: str, thing: object, options: object, lines: list[str]) -> None:
    """Let each section of a docstring be a paragraph of its own."""
    for place in reversed(range(len(lines))):
        section = _SECTION.match(lines[place])
        if section:
            lines[place : place + 1] = ["", f"**{section.group(1)}** {section.group(2)}"]


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("statement-table", StatementTable)
    app.connect("autodoc-process-docstring", _apart)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
