"""``nova-sqlcore online-data-migrations``: bring rows of older releases up to date while the cloud runs."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from nova_sqlcore import get_admin_context, tx
from nova_sqlcore.cli.app import url_option
from nova_sqlcore.queries.maintenance import online_migrations

if TYPE_CHECKING:
    from collections.abc import Callable

    Migration = Callable[..., tuple[int, int]]

logger = logging.getLogger(__name__)

#: Rows per pass where no number is given.
BATCH: Final = 50
MIGRATIONS: Final[tuple[Migration, ...]] = (
    online_migrations.pcidevice_online_data_migration,
    online_migrations.computenode_uuids_online_data_migration,
    online_migrations.aggregate_uuids_online_data_migration,
)


class Pass(NamedTuple):
    """What one pass over all migrations has come to."""

    found: int
    done: int
    failed: int


@click.command()
@url_option
@click.option(
    "--max-count", type=click.IntRange(0), metavar="N", help="Change no more rows than this; all, if it is not given."
)
def command(url: str, max_count: int | None) -> None:
    """Bring rows of older releases up to date while the cloud runs.

    Ends with 1 if a migration failed, or found rows that it could not change; run it again until it prints nothing.
    """
    tx.configure(url)
    try:
        last = run_pass(max_count) if max_count is not None else _run_all()
    finally:
        tx.close()
    if last.failed or last.found > last.done:
        raise click.exceptions.Exit(1)


def _run_all() -> Pass:
    click.echo(f"Running batches of {BATCH} until complete")
    while True:
        last = run_pass(BATCH)
        if not last.done:
            return last


def run_pass(max_count: int) -> Pass:
    """Run every migration once, until ``max_count`` rows have been changed in all, and print what each has come to."""
    found = done = failed = 0
    for migrate in MIGRATIONS:
        if done >= max_count:
            break
        try:
            looked_at, changed = migrate(get_admin_context(), max_count - done)
        except Exception:
            logger.debug("%s failed", migrate.__name__, exc_info=True)
            click.echo(f"Error attempting to run {migrate.__name__}", err=True)
            failed += 1
            continue
        if looked_at:
            click.echo(f"{looked_at} rows matched query {migrate.__name__}, {changed} migrated")
        found += looked_at
        done += changed
    return Pass(found, done, failed)
