# SPDX-License-Identifier: Apache-2.0

"""What the pages tell their readers to type."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT: Final = Path(__file__).parents[1]
DOCS: Final = ROOT / "docs"
#: A directive with its content: what is indented below it.
BLOCK: Final = re.compile(
    r"^( *)\.\. (code-block:: (?:python|console))\n((?:\1   :.*\n)*)\n((?:\1   .*\n|[ \t]*\n)+)",
    re.MULTILINE,
)


class Example(NamedTuple):
    """A piece of a page."""

    language: str
    line: int
    text: str


def examples(page: str) -> Iterator[Example]:
    text = (DOCS / page).read_text()
    for found in BLOCK.finditer(text):
        language = "console" if found[2].endswith("console") else "python"
        yield Example(language, text[: found.start(4)].count("\n") + 1, textwrap.dedent(found[4]))


def commands(text: str) -> list[str]:
    """Return the lines of a console that call the command, without its name."""
    return re.findall(r"^\$ nova-sqlcore (.*)$", text.replace("\\\n", ""), re.MULTILINE)
