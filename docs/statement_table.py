# SPDX-License-Identifier: Apache-2.0

"""What Sphinx is taught: a table of every function's costs, and the sections of our docstrings."""

from __future__ import annotations

import inspect
import pathlib
import re
from typing import TYPE_CHECKING, Any

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx import addnodes

from nova_sqlcore import api

if TYPE_CHECKING:
    from sphinx.application import Sphinx

_COST = re.compile(r"^Cost: (.*?)\.?\s*(?=^(?:Lock|Raises): |^$|\Z)", re.DOTALL | re.MULTILINE)
_ROUND_TRIPS = pathlib.Path(__file__).parents[1] / "tests" / "data" / "round_trips.txt"
_SERVERS = {"mariadb": "MariaDB", "mysql": "MySQL", "postgresql": "PostgreSQL"}
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


def round_trips() -> dict[str, str]:
    """Return the round trips of each function, as ``tests/data/round_trips.txt`` has them by server."""
    head, *lines = _ROUND_TRIPS.read_text().splitlines()
    servers = [_SERVERS[name] for name in head.split()[1:]]
    found = {}
    for line in lines:
        name, *taken = line.split()
        by_server = ", ".join(
            f"{numbers.replace(',', '/')} {server}" for server, numbers in zip(servers, taken, strict=True)
        )
        found[name] = taken[0].replace(",", "/") if len({*taken}) == 1 else by_server
    return found


class StatementTable(Directive):
    """The table."""

    def run(self) -> list[Any]:
        """Return the table's node."""
        group = nodes.tgroup(cols=3)
        group += [nodes.colspec(colwidth=width) for width in (35, 45, 20)]
        head, body = nodes.thead(), nodes.tbody()
        head += _row(*(nodes.paragraph(text=text) for text in ("function", "statements", "round trips")))
        trips = round_trips()
        for name, cost in costs():
            texts = (nodes.paragraph(text=text) for text in (cost, trips.get(name, "")))
            body += _row(nodes.paragraph("", "", _link(name)), *texts)
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


def _without_internals(
    app: Sphinx, what: str, name: str, thing: object, options: object, signature: str | None, returns: str | None
) -> tuple[str | None, str | None]:
    """Show no signature of a class that callers don't make themselves: one with names that begin with an underscore."""
    if what == "class" and signature and re.search(r"[(,]\s*_\w", signature):
        return "", returns
    return signature, returns


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directive."""
    app.add_directive("statement-table", StatementTable)
    app.connect("autodoc-process-docstring", _apart)
    app.connect("autodoc-process-signature", _without_internals)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
