# SPDX-License-Identifier: Apache-2.0

"""The directives of the reference: each puts text of ``reference_pages`` into its page."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

import reference_pages
from sphinx.util.docutils import SphinxDirective

if TYPE_CHECKING:
    from collections.abc import Callable

    from sphinx.application import Sphinx


class Generated(SphinxDirective):
    """Text that is written from the code."""

    has_content = True
    write: ClassVar[Callable[[list[str]], str]]

    def run(self) -> list[Any]:
        """Return the parsed text."""
        self.env.note_reread()  # the code may have changed
        text = type(self).write(list(self.content))
        nodes: list[Any] = self.parse_text_to_nodes(text, allow_section_headings=True)
        return nodes


def _functions(lines: list[str]) -> str:
    return "\n\n".join(reference_pages.module_text(line) for line in lines if line.strip())


def _others(lines: list[str]) -> str:
    names = reference_pages.other_names()
    return "\n\n".join(reference_pages.object_text(f"api.{n}", getattr(reference_pages.api, n)) for n in names)


_WRITERS: dict[str, Callable[[list[str]], str]] = {
    "api-functions": _functions,
    "api-others": _others,
    "row-types": lambda lines: reference_pages.rows_text(),
    "all-tables": lambda lines: reference_pages.tables_text(),
    "all-exceptions": lambda lines: reference_pages.exceptions_text(),
    "all-commands": lambda lines: reference_pages.commands_text(),
}


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    for name, write in _WRITERS.items():
        app.add_directive(name, type(f"Directive_{name}", (Generated,), {"write": staticmethod(write)}))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
