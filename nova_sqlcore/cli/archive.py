# SPDX-License-Identifier: Apache-2.0

"""``nova-sqlcore db archive_deleted_rows``: move soft-deleted rows to the shadow tables."""

from __future__ import annotations

import collections
import dataclasses
import time
from typing import TYPE_CHECKING, Any, Final

import click

from nova_sqlcore import get_admin_context
from nova_sqlcore.cli.app import Command
from nova_sqlcore.cli.arguments import Count, Moment
from nova_sqlcore.cli.interrupts import Interrupted
from nova_sqlcore.cli.options import common_options
from nova_sqlcore.cli.others import noticing_others
from nova_sqlcore.core.types import MAX_INT
from nova_sqlcore.queries.maintenance.archive import archive_blocked_rows, archive_dead_rows, archive_deleted_rows
from nova_sqlcore.queries.maintenance.purge import count_archived_rows, purge_archived_rows

if TYPE_CHECKING:
    import datetime

    from nova_sqlcore.cli.options import Setup
    from nova_sqlcore.cli.output import Output, Progress
    from nova_sqlcore.queries.maintenance.archive import Blocked

#: Rows per round where no number is given, as nova-manage has it.
MAX_ROWS: Final = 1000
#: Exit codes beside 0: rows have moved, and a time that is not understood.
SOME_MOVED, BAD_TIME = 1, 4
#: nova-manage finds the cells in the API database, which this library does not use
ALL_CELLS: Final = "Refused: cells are not looked up here. Run the command once for the --url of each cell."


@dataclasses.dataclass
class Job:
    """What is to move, and what has moved so far, by table."""

    output: Output
    max_rows: int
    before: datetime.datetime | None
    sleep: float
    until_complete: bool = False
    task_log: bool = False
    live_children: bool = False
    moved: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    purged: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    #: what stays, as the latest round has met it
    blocked: dict[str, Blocked] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        """Begin to count."""
        #: soft-deleted rows that have not moved yet, by table; empty until they are counted
        self._expected: collections.Counter[str] = collections.Counter()
        self._archiving = self.output.progress("rows archived", self._count_dead if self.until_complete else None)
        self._purging: Progress | None = None

    def _count_dead(self) -> int:
        self._expected.update(archive_dead_rows(get_admin_context(), before=self.before))
        return self._expected.total()

    def archive(self) -> int:
        """Move at most ``max_rows`` rows and return how many have moved."""
        before = self.moved.total()
        archive_deleted_rows(
            self.max_rows,
            before=self.before,
            task_log=self.task_log,
            include_live_children=self.live_children,
            on_blocked=self.blocked.__setitem__,
            pause=self.sleep,
            progress=self._note_moved,
        )
        return self.moved.total() - before

    def purge(self) -> None:
        """Delete what has been archived, of the same age as what was to move."""
        self._archiving.end()
        self._purging = self.output.progress("rows purged", lambda: sum(count_archived_rows(self.before).values()))
        purge_archived_rows(self.before, pause=self.sleep, progress=self._note_purged)

    def end_progress(self) -> None:
        """Leave the lines that show how far it has come."""
        (self._purging or self._archiving).end()

    def show(self) -> None:
        """Print what has moved, gone and stayed."""
        for counts, done in ((self.moved, "Archived"), (self.purged, "Purged")):
            if counts:
                self.output.table(("Table", f"Number of Rows {done}"), sorted(counts.items()))
        if not self.moved:
            self.output.line("Nothing was archived.")
        show_blocked(self.output, self.blocked)

    def _note_moved(self, table: str, count: int) -> None:
        self.moved[table] += count
        expected = min(count, self._expected[table])  # others hang on those
        self._expected[table] -= expected
        self._archiving.add(count, expected)

    def _note_purged(self, table: str, count: int) -> None:
        self.purged[table] += count
        if self._purging is not None:
            self._purging.add(count)


def show_blocked(output: Output, blocked: dict[str, Blocked]) -> None:
    """Print which soft-deleted rows stay, and what keeps them."""
    if not blocked:
        return
    output.line("Soft-deleted rows that stay, with all that hangs on them:")
    titles = ("Table", "Rows", "Kept By Rows of", "Rows Kept, the First of Them")
    output.table(titles, ((table, found.rows, _keepers(found), _names(found)) for table, found in blocked.items()))


def _keepers(found: Blocked) -> str:
    return ", ".join(f"{table} ({count})" for table, count in found.by.items())


def _names(found: Blocked) -> str:
    rest = found.rows - len(found.names)
    return ", ".join(map(str, found.names)) + (f" and {rest} more" if rest else "")


def _told(blocked: dict[str, Blocked]) -> dict[str, Any]:
    """Return what stays for programs."""
    return {table: dataclasses.asdict(found) for table, found in blocked.items()}


def _refuse_all_cells(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        raise click.BadParameter(ALL_CELLS, ctx=ctx, param=param)


@click.command(cls=Command, unexpected=255)
@common_options
@click.option(
    "--max-rows", type=Count(0, MAX_INT), default=MAX_ROWS, show_default=True, help="Move no more rows in a round."
)
@click.option("--until-complete", is_flag=True, help="Go on, round after round, until nothing is left to move.")
@click.option("--before", type=Moment(BAD_TIME), metavar="TIME", help="Only rows deleted before this time (UTC).")
@click.option("--purge", is_flag=True, help="Then delete archived rows for good; with --before only those of that age.")
@click.option("--sleep", type=click.FloatRange(0), default=0, metavar="SECONDS", help="Rest after each batch.")
@click.option("--task-log", is_flag=True, help="The task log too: all of it, or periods that ended before --before.")
@click.option(
    "--include-live-children",
    "live_children",
    is_flag=True,
    help="Live block devices and virtual interfaces go with their instance; without this they keep it.",
)
@click.option("--show-blocked", is_flag=True, help="Move nothing; show which soft-deleted rows can't go, and why.")
@click.option("--all-cells", is_flag=True, expose_value=False, callback=_refuse_all_cells, help=ALL_CELLS)
def command(setup: Setup, purge: bool, show_blocked: bool, **options: Any) -> int:
    """Move soft-deleted rows to the shadow tables.

    A row goes with all that hangs on it, or stays with it; what stays is named, with the tables that keep it, in the
    log and with --verbose. The run may be cut short at any time and started again, and several runs share the work.
    Ends with 0 if there was nothing to do, 1 if rows have moved, 2 for a bad --max-rows, 4 for a time that is not
    understood, 255 after an unexpected error.
    """
    job = Job(setup.output, **options)
    if job.before is not None:
        job.output.remark(f"Rows deleted before {job.before} UTC.")
    with setup.database():
        if show_blocked:
            return _look(job)
        with noticing_others(setup, "archive_deleted_rows"):
            return _work(job, purge=purge)


def _look(job: Job) -> int:
    """Print what would stay, and return the exit code."""
    job.blocked = archive_blocked_rows(before=job.before, include_live_children=job.live_children)
    job.output.document({"blocked": _told(job.blocked)})
    if not job.blocked:
        job.output.line("Every soft-deleted row can go.")
    show_blocked(job.output, job.blocked)
    return 0


def _work(job: Job, *, purge: bool) -> int:
    """Move and purge, print what has become of it, and return the exit code."""
    signal: Interrupted | None = None
    try:
        while job.archive() and job.until_complete:
            time.sleep(job.sleep)
        if purge:
            job.purge()
    except Interrupted as error:
        signal = error
    job.end_progress()
    if job.output.is_verbose or signal:
        job.show()
    job.output.document({"archived": dict(job.moved), "purged": dict(job.purged), "blocked": _told(job.blocked)})
    if signal:
        job.output.remark(f"Interrupted by {signal}; nothing is half done. To go on, run it again.")
        return signal.code
    return SOME_MOVED if job.moved else 0
