# SPDX-License-Identifier: Apache-2.0

"""``nova-sqlcore db purge``: delete archived rows for good."""

from __future__ import annotations

import collections
from typing import TYPE_CHECKING

import click

from nova_sqlcore.cli.app import Command
from nova_sqlcore.cli.arguments import Moment
from nova_sqlcore.cli.interrupts import Interrupted
from nova_sqlcore.cli.options import common_options
from nova_sqlcore.cli.others import noticing_others
from nova_sqlcore.queries.maintenance.purge import count_archived_rows, purge_archived_rows

if TYPE_CHECKING:
    import datetime

    from nova_sqlcore.cli.options import Setup


@click.command(cls=Command, unexpected=255)
@common_options
@click.option("--all", "everything", is_flag=True, help="Delete all archived rows.")
@click.option("--before", type=Moment(exit_code=2), metavar="TIME", help="Only rows deleted before this time (UTC).")
@click.option("--sleep", type=click.FloatRange(0), default=0, metavar="SECONDS", help="Rest after each batch.")
@click.option("--dry-run", is_flag=True, help="Count the rows that would go; nothing is deleted.")
def command(setup: Setup, everything: bool, before: datetime.datetime | None, sleep: float, dry_run: bool) -> int:
    """Delete rows from the shadow tables, for good.

    It may be cut short at any time and started again, and several runs share the work. Ends with 0 if rows were
    deleted, 1 without --all or --before, 2 for a time that is not understood, 3 if there was nothing to delete.
    """
    output = setup.output
    if before is None and not everything:
        output.remark("Nothing was deleted: say --all, or --before TIME.")
        return 1
    if before is not None:
        output.remark(f"Rows deleted before {before} UTC.")
    counts: collections.Counter[str] = collections.Counter()
    code = 0
    with setup.database():
        if dry_run:
            counts.update(count_archived_rows(before))
        else:
            code = _purge(setup, before, sleep, counts)
    output.document({"dry_run": dry_run, "before": before, "rows": dict(counts)})
    if not counts and not code:
        output.line("Nothing was purged." if not dry_run else "There is nothing to purge.")
        return 3
    if output.is_verbose or dry_run or code:
        output.table(("Table", "Rows to Purge" if dry_run else "Number of Rows Purged"), sorted(counts.items()))
    return code


def _purge(setup: Setup, before: datetime.datetime | None, sleep: float, counts: collections.Counter[str]) -> int:
    """Delete the rows, count them by table, and return the exit code."""
    output = setup.output
    progress = output.progress("rows purged", lambda: sum(count_archived_rows(before).values()))

    def note(table: str, count: int) -> None:
        counts[table] += count
        progress.add(count)

    try:
        with noticing_others(setup, "purge"):
            purge_archived_rows(before, pause=sleep, progress=note)
    except Interrupted as error:
        output.remark(f"Interrupted by {error}; nothing is half done. To go on, run it again.")
        return error.code
    finally:
        progress.end()
    return 0
