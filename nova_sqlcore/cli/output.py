# SPDX-License-Identifier: Apache-2.0

"""How results are printed: tables and lines for people, or one JSON document for programs."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import click
from rich import box
from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

#: Characters of a line where there is no terminal.
UNBROKEN: Final = 100_000
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

    def progress(self, what: str, count_left: Callable[[], int] | None = None) -> Progress:
        """Return what shows how far long work has come, in ``what`` such as "rows".

        ``count_left`` is called once, if anything is shown at all: short work need not wait for it.
        """
        return Progress(what, count_left, is_shown=not self.is_quiet and not self.is_json)

    @contextlib.contextmanager
    def status(self) -> Iterator[Callable[[str], None]]:
        """Yield what shows on a terminal the work in hand, in a line that is gone when the block ends."""
        is_shown = sys.stderr.isatty() and not self.is_quiet and not self.is_json

        def show(text: str) -> None:
            if is_shown:
                click.echo(_over(text), err=True, nl=False)

        try:
            yield show
        finally:
            if is_shown:
                click.echo(f"{_over('')}\r", err=True, nl=False)

    def remark(self, text: str) -> None:
        """Print what is not part of the result."""
        if not self.is_quiet:
            click.echo(text, err=True)

    def table(self, titles: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
        """Print a table for people, as wide as the terminal allows; elsewhere, as for grep, no cell is broken."""
        if self.is_json or self.is_quiet:
            return
        table = Table(box=box.ASCII2)
        for title in titles:
            table.add_column(title, overflow="fold")  # nothing is cut: a uuid must be readable
        for row in rows:
            table.add_row(*map(str, row))
        console = Console(highlight=False)
        if not console.is_terminal and "COLUMNS" not in os.environ:
            console.width = UNBROKEN
        console.print(table)

    def document(self, result: Any) -> None:
        """Print the result for programs."""
        if self.is_json:
            click.echo(json.dumps(result, indent=2, default=str))


class Progress:
    """How far long work has come: one line that is written over on a terminal, and now and then a line elsewhere."""

    def __init__(self, what: str, count_left: Callable[[], int] | None, *, is_shown: bool) -> None:
        """Begin to count ``what``."""
        self.done = 0
        self._what = what
        self._count_left = count_left
        #: what was left when it was counted, and when that was
        self._left: int | None = None
        self._counted = 0.0
        #: how much of that is done: less than what is done since, where more comes along than was counted
        self._towards = 0
        self._is_shown = is_shown
        self._on_terminal = sys.stderr.isatty()
        self._began = self._told = time.monotonic()

    def add(self, count: int, towards: int | None = None) -> None:
        """Count what has been done, and show it if it is time; ``towards`` is what of it had been counted as left."""
        self.done += count
        self._towards += count if towards is None else towards
        now = time.monotonic()
        if not self._is_shown or now - self._told < (ON_TERMINAL if self._on_terminal else ELSEWHERE):
            return
        self._told = now
        text = self._text(now)
        click.echo(_over(text) if self._on_terminal else text, err=True, nl=not self._on_terminal)
        if self._left is None and self._count_left is not None:
            self._left, self._towards, self._counted = self._count_left(), 0, time.monotonic()

    def end(self) -> None:
        """Leave the line."""
        if self._is_shown and self._on_terminal and self._told != self._began:
            click.echo(err=True)

    def _text(self, now: float) -> str:
        seconds = max(now - self._began, 0.001)
        text = f"{self.done:,} {self._what}, {self.done / seconds:,.0f} per second"
        if self._left is None or not self._towards:
            return text
        left = max(0, self._left - self._towards) * (now - self._counted) / self._towards
        return f"{text}, {spoken(left)} left of {spoken(seconds + left)}"


def _over(text: str) -> str:
    """Return what writes the text over the line that a terminal shows."""
    width = min(70, shutil.get_terminal_size().columns - 1)  # a line that is broken can't be written over
    shown = "".join(one if one.isprintable() else "?" for one in text[:width])
    return f"\r{shown:<{width}}"


def spoken(seconds: float) -> str:
    """Return a time for people."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
