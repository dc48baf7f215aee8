# SPDX-License-Identifier: Apache-2.0

"""``nova-sqlcore demo``: a small cloud at work, by several processes at once, and checked at the end."""

from __future__ import annotations

import contextlib
import tempfile
from typing import TYPE_CHECKING, Any, Final

import click
from rich.console import Console
from rich.progress import Progress
from rich.table import Table

from nova_sqlcore.cli.app import Command
from nova_sqlcore.cli.options import common_options
from nova_sqlcore.core import connections
from nova_sqlcore.demo import run
from nova_sqlcore.schema import migrations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nova_sqlcore.cli.options import Setup
    from nova_sqlcore.demo.run import Result


#: What is counted by the workers, and its words.
_SUMS: Final = {
    "booted": "booted",
    "failed": "failed on purpose",
    "resized": "resized",
    "deleted": "deleted",
    "refused_over_quota": "refused over quota",
    "refused_swaps": "refused for a wrong state",
    "lost_races": "races for the shared counter lost and run again",
}


@click.command(cls=Command)
@common_options
@click.option("--servers", default=50, show_default=True, type=click.IntRange(min=1), help="Servers per worker.")
@click.option("--workers", default=4, show_default=True, type=click.IntRange(min=1), help="Processes at work.")
def command(setup: Setup, servers: int, workers: int) -> int:
    """Let a small cloud work, and check that nothing was lost.

    Every worker boots servers through quota, task states, metadata and actions, resizes and deletes some, and makes
    mistakes on purpose: the library must refuse them. The database is migrated first; without one, an sqlite file
    serves that goes with the demo. Ends with 1 if something was lost, 2 if the database holds rows of others.
    """
    output = setup.output
    console = Console(highlight=False, quiet=output.is_json or output.is_quiet)
    with _database(setup) as address:
        shown = connections.shown(connections.parse_url(address))
        console.print(f"{workers} workers with {servers} servers each on {shown}", soft_wrap=True)
        strangers = run.count_strangers(address)
        if strangers:
            click.echo(f"the database holds {strangers} rows of others; the demo wants a database of its own", err=True)
            return 2
        migrations.migrate(address)
        with Progress(console=console, transient=True) as progress:
            task = progress.add_task("servers", total=servers * workers)
            result = run.run(address, servers, workers, lambda count: progress.advance(task, count))
    output.document(_told(result, servers * workers))
    _show(console, result, servers * workers)
    for sentence in result.broken:
        click.echo(f"broken: {sentence}", err=True)
    if result.broken:
        return 1
    everything = "All invariants hold: usages equal the live servers, no update is lost, no reservation is left."
    console.print(everything, soft_wrap=True)
    return 0


@contextlib.contextmanager
def _database(setup: Setup) -> Iterator[str]:
    if setup.has_database:
        yield setup.address
        return
    with tempfile.TemporaryDirectory() as directory:
        yield f"sqlite:///{directory}/demo.sqlite"


def _show(console: Console, result: Result, servers: int) -> None:
    table = Table(box=None, pad_edge=False)
    table.add_column("function", no_wrap=True)
    for title in ("calls", "statements\nper call", "median\nms", "p95\nms", "conflicts\nretried"):
        table.add_column(title, justify="right")
    for name, measure in sorted(result.measures.items(), key=lambda item: -sum(item[1].seconds)):
        times = (f"{1000 * seconds:.2f}" for seconds in (measure.median, measure.p95))
        numbers = (f"{measure.calls:,}", f"{measure.statements_per_call:.1f}", *times, f"{measure.conflicts:,}")
        table.add_row(name, *numbers)
    console.print(table)
    console.print(f"{servers} servers in {result.seconds:.1f} s: {servers / result.seconds:.1f} per second.")
    sums = ", ".join(f"{_sum(result, name)} {what}" for name, what in _SUMS.items())
    console.print(f"{sums}.", soft_wrap=True)


def _sum(result: Result, name: str) -> int:
    return sum(getattr(tally, name) for tally in result.tallies)


def _told(result: Result, servers: int) -> dict[str, Any]:
    """Return what came of it for programs."""
    functions = {
        name: {
            "calls": one.calls,
            "statements": one.statements,
            "conflicts": one.conflicts,
            "median_ms": 1000 * one.median,
            "p95_ms": 1000 * one.p95,
        }
        for name, one in result.measures.items()
    }
    sums = {name: _sum(result, name) for name in _SUMS}
    return {"servers": servers, "seconds": result.seconds, "broken": result.broken, **sums, "functions": functions}
