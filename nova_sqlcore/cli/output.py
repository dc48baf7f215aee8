# SPDX-License-Identifier: Apache-2.0

"""How results are printed: tables and lines for people, or one JSON document for programs."""

from __future__ import annotations

import json
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import click
from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


#: Seconds between two lines of progress.
ON_TERMINAL: Final = 0.1
ELSEWHERE: Final = 10.0


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

    def progress(self, what: str, total: int | None = None) -> Progress:
        """Return what shows how far long work has come, in ``what`` such as "rows"; ``total`` is all of them."""
        return Progress(what, total, is_shown=not self.is_quiet and not self.is_json)

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


class Progress:
    """How far long work has come: one line that is written over on a terminal, and now and then a line elsewhere."""

    def __init__(self, what: str, total: int | None, *, is_shown: bool) -> None:
        """Begin to count ``what``."""
        self.done = 0
        self.total = total
        #: how much of ``total`` is done: less than ``done`` where more comes along than was counted before
        self._towards = 0
        self._what = what
        self.is_shown = is_shown
        self._on_terminal = sys.stderr.isatty()
        self._began = self._told = time.monotonic()

    def add(self, count: int, towards: int | None = None) -> None:
        """Count what has been done, and show it if it is time; ``towards`` is what of it is a part of ``total``."""
        self.done += count
        self._towards += count if towards is None else towards
        now = time.monotonic()
        if not self.is_shown or now - self._told < (ON_TERMINAL if self._on_terminal else ELSEWHERE):
            return
        self._told = now
        text = self._text(max(now - self._began, 0.001))
        click.echo(f"\r{text:<70}" if self._on_terminal else text, err=True, nl=not self._on_terminal)

    def end(self) -> None:
        """Leave the line."""
        if self.is_shown and self._on_terminal and self._told != self._began:
            click.echo(err=True)

    def _text(self, seconds: float) -> str:
        speed = self.done / seconds
        text = f"{self.done:,} {self._what}, {speed:,.0f} per second"
        if self.total is None or not self._towards:
            return text
        left = max(0, self.total - self._towards) * seconds / self._towards
        return f"{text}, {spoken(left)} left of {spoken(seconds + left)}"


def spoken(seconds: float) -> str:
    """Return a time for people."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
