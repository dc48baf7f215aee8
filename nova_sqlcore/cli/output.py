# SPDX-License-Identifier: Apache-2.0

"""How results are printed: tables and lines for people, or one JSON document for programs."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


class Output:
    """Prints in one of two formats. Progress and remarks go to standard error, so that results can be piped."""

    def __init__(self, form: str, verbosity: int = 0) -> None:
        """Take the format, ``text`` or ``json``; below a verbosity of 0 nothing but results of JSON is printed."""
        self.is_json = form == "json"
        self.is_quiet = verbosity < 0
        self.is_verbose = verbosity > 0

    def line(self, text: str) -> None:
        """Print a line for people."""
        if not self.is_json and not self.is_quiet:
            click.echo(text)

    def progress(self, text: str) -> None:
        """Show how far long work has come: a line that is written over on a terminal, and nothing elsewhere."""
        if not self.is_quiet and not self.is_json and sys.stderr.isatty():
            click.echo(f"\r{text:<70}", err=True, nl=False)

    def remark(self, text: str) -> None:
        """Print what is not part of the result."""
        if not self.is_quiet:
            click.echo(text, err=True)

    def table(self, titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Print a table for people, as wide as the terminal allows."""
        if self.is_json or self.is_quiet:
            return
        table = Table(*titles, box=box.ASCII2)
        for row in rows:
            table.add_row(*map(str, row))
        Console(highlight=False).print(table)

    def document(self, result: Any) -> None:
        """Print the result for programs."""
        if self.is_json:
            click.echo(json.dumps(result, indent=2, default=str))
