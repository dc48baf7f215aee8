# SPDX-License-Identifier: Apache-2.0

"""``nova-sqlcore replay``: do to a database what the logs of a real Nova tell."""

from __future__ import annotations

import statistics
import time
from typing import TYPE_CHECKING, Any, Final

import click

from nova_sqlcore.cli.app import Command
from nova_sqlcore.cli.interrupts import Interrupted
from nova_sqlcore.cli.options import common_options
from nova_sqlcore.demo import logs
from nova_sqlcore.demo.replaying import Replay

if TYPE_CHECKING:
    from nova_sqlcore.cli.options import Setup
    from nova_sqlcore.cli.output import Output
    from nova_sqlcore.demo.measures import Measure


#: As many as the library has connections for, without a knob.
MOST_THREADS: Final = 30
_SUMS: Final = ("calls", "statements", "round_trips")


@click.command("replay", cls=Command)
@common_options
@click.argument("paths", nargs=-1, required=True, metavar="LOG...", type=click.Path(exists=True, dir_okay=False))
@click.option(
    "--speed",
    type=click.FloatRange(min=0, min_open=True),
    metavar="N",
    help="Keep the times of the log, N times as fast; as fast as it goes, if it is not given.",
)
@click.option(
    "--threads",
    default=1,
    show_default=True,
    type=click.IntRange(1, MOST_THREADS),
    help="Work in N threads, each with a connection; what is about one instance stays in its order.",
    metavar="N",
)
def command(setup: Setup, paths: tuple[str, ...], speed: float | None, threads: int) -> int:
    """Do to a database what the logs of a real Nova tell, and measure it.

    LOG is what oslo.log has written for nova-api, nova-compute and the others, gzipped or not; several files are taken
    in the order of their times. For requests, claims, lifecycle events and audits the calls are made that Nova makes
    for such work. Projects, hosts and instances get new names, and rows of others are left alone. Lines that are not
    understood are counted.
    """
    output, replay, began = setup.output, Replay(speed, threads), time.perf_counter()

    progress = output.progress("lines", lambda: logs.count(paths) - replay.tally.lines)
    code = 0
    with setup.database():
        try:
            replay.run(logs.merged(paths), lambda lines: progress.add(lines - progress.done))
        except Interrupted as error:
            output.remark(f"Interrupted by {error} after {replay.tally.lines} lines.")
            code = error.code
        finally:
            progress.end()
    _show(output, replay, time.perf_counter() - began)
    return code


def _show(output: Output, replay: Replay, seconds: float) -> None:
    tally, measures = replay.tally, replay.measures
    functions = {name: _told(one) for name, one in sorted(measures.items(), key=lambda pair: -sum(pair[1].seconds))}
    calls, statements, trips = (sum(one[what] for one in functions.values()) for what in _SUMS)
    lines = {"used": tally.used, "without calls": tally.idle, "not understood": tally.unknown}
    output.document(
        {
            "lines": lines,
            "seconds": seconds,
            "calls": calls,
            "statements": statements,
            "round_trips": trips,
            "refused": dict(tally.refused),
            "projects": replay.name,
            "functions": functions,
        }
    )
    titles = ("Function", "Calls", "Statements", "Trips", "Median ms", "p95 ms", "p99 ms", "Conflicts")
    output.table(titles, ((name, *_row(one)) for name, one in functions.items()))
    sums = f"{calls:,} calls, {statements:,} statements, {trips:,} round trips"
    output.line(f"{sums} in {seconds:.1f} s: {calls / seconds:,.0f} calls/s.")
    output.line(f"{tally.lines:,} lines: " + ", ".join(f"{count:,} {what}" for what, count in lines.items()) + ".")
    for name, count in tally.refused.items():
        output.line(f"{count:,} calls were refused with {name}.")
    output.line(f"What this has stored belongs to projects and hosts whose names begin with {replay.name}.")


def _told(measure: Measure) -> dict[str, Any]:
    cuts = statistics.quantiles(measure.seconds * 2, n=100, method="inclusive")  # it wants two of them
    return {
        "calls": measure.calls,
        "statements": measure.statements,
        "round_trips": measure.round_trips,
        "conflicts": measure.conflicts,
        "median_ms": 1000 * measure.median,
        "p95_ms": 1000 * measure.p95,
        "p99_ms": 1000 * cuts[98],
    }


def _row(one: dict[str, Any]) -> tuple[str, ...]:
    times = (f"{one[name]:.2f}" for name in ("median_ms", "p95_ms", "p99_ms"))
    return (f"{one['calls']:,}", f"{one['statements']:,}", f"{one['round_trips']:,}", *times, f"{one['conflicts']:,}")
