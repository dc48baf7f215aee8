"""``nova-sqlcore archive``: move soft-deleted rows to the shadow tables, or delete them there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click
from rich import box
from rich.console import Console
from rich.table import Table

from nova_sqlcore import tx
from nova_sqlcore.cli.app import url_option
from nova_sqlcore.core.types import MAX_INT
from nova_sqlcore.queries.maintenance.archive import BATCH, MAX_BATCH, archive_deleted_rows, purge_archived_rows

if TYPE_CHECKING:
    import datetime


@click.command()
@url_option
@click.option("--max-rows", type=click.IntRange(0, MAX_INT), metavar="N", help="Move no more rows than this.")
@click.option("--before", type=click.DateTime(), help="Only rows that were deleted before this time, in UTC.")
@click.option(
    "--batch", type=click.IntRange(1, MAX_BATCH), default=BATCH, show_default=True, help="Rows per transaction."
)
@click.option("--sleep", type=click.FloatRange(0), default=0, metavar="SECONDS", help="Rest after each batch.")
@click.option("--purge", is_flag=True, help="Delete archived rows for good, instead of moving rows to them.")
@click.option("--verbose", is_flag=True, help="Show how many rows of each table have moved.")
def command(
    url: str,
    max_rows: int | None,
    before: datetime.datetime | None,
    batch: int,
    sleep: float,
    purge: bool,
    verbose: bool,
) -> None:
    """Move soft-deleted rows to the shadow tables.

    It may be killed at any time and started again, and several runs share the work. Rows that others refer to stay.
    """
    if purge and max_rows is not None:
        raise click.UsageError("--purge takes no --max-rows")
    tx.configure(url)
    try:
        if purge:
            counts = purge_archived_rows(before, batch=batch, pause=sleep)
        else:
            counts = archive_deleted_rows(max_rows, before=before, batch=batch, pause=sleep)
    finally:
        tx.close()
    if verbose:
        _show(counts, "Purged" if purge else "Archived")


def _show(counts: dict[str, int], done: str) -> None:
    if not counts:
        click.echo(f"Nothing was {done.lower()}.")
        return
    table = Table("Table", f"Number of Rows {done}", box=box.ASCII2)
    for name, count in sorted(counts.items()):
        table.add_row(name, str(count))
    Console(highlight=False).print(table)
