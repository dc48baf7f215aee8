# SPDX-License-Identifier: Apache-2.0

"""``nova-sqlcore db purge``: delete archived rows for good."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nova_sqlcore.cli.app import Command
from nova_sqlcore.cli.arguments import Moment
from nova_sqlcore.cli.options import common_options
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

    Ends with 0 if rows were deleted, 1 without --all or --before, 2 for a time that is not understood, 3 if there was
    nothing to delete.
    """
    output = setup.output
    if before is None and not everything:
        output.remark("Nothing was deleted: say --all, or --before TIME.")
        return 1
    if before is not None:
        output.remark(f"Rows deleted before {before} UTC.")
    with setup.database():
        counts = count_archived_rows(before) if dry_run else purge_archived_rows(before, pause=sleep)
    output.document({"dry_run": dry_run, "before": before, "rows": counts})
    if not counts:
        output.line("Nothing was purged." if not dry_run else "There is nothing to purge.")
        return 3
    if output.is_verbose or dry_run:
        output.table(("Table", "Rows to Purge" if dry_run else "Number of Rows Purged"), sorted(counts.items()))
    return 0
