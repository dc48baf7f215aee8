# SPDX-License-Identifier: Apache-2.0

"""``nova-sqlcore db online_data_migrations``: bring rows of older releases up to date while the cloud runs."""

from __future__ import annotations

import collections
import dataclasses
import logging
from typing import TYPE_CHECKING, Final

import click

from nova_sqlcore import get_admin_context
from nova_sqlcore.cli.app import Command, one_line
from nova_sqlcore.cli.arguments import Count
from nova_sqlcore.cli.interrupts import Interrupted
from nova_sqlcore.cli.options import common_options
from nova_sqlcore.core.types import MAX_INT
from nova_sqlcore.queries.maintenance import online_migrations

if TYPE_CHECKING:
    from collections.abc import Callable

    from nova_sqlcore.cli.options import Setup
    from nova_sqlcore.cli.output import Output

    Migration = Callable[..., tuple[int, int]]

logger = logging.getLogger(__name__)

#: Rows per pass where no number is given.
BATCH: Final = 50
MIGRATIONS: Final[tuple[Migration, ...]] = (
    online_migrations.pcidevice_online_data_migration,
    online_migrations.computenode_uuids_online_data_migration,
    online_migrations.aggregate_uuids_online_data_migration,
)
#: Exit codes beside 0, as nova-manage has them.
SOME_DONE, ONLY_ERRORS, BAD_INPUT = 1, 2, 127


@dataclasses.dataclass
class Tally:
    """What the passes over all migrations have come to, by the migration's name."""

    found: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    done: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    #: of the last pass: the errors, and how many rows it has changed
    errors: dict[str, str] = dataclasses.field(default_factory=dict)
    changed: int = 0


@click.command(cls=Command, unexpected=255)
@common_options
@click.option(
    "--max-count",
    type=Count(1, MAX_INT, exit_code=BAD_INPUT),
    metavar="N",
    help="Change no more rows than this; all, if it is not given.",
)
def command(setup: Setup, max_count: int | None) -> int:
    """Bring rows of older releases up to date while the cloud runs.

    Ends with 0 if no row is left that can be changed, 1 if rows were changed and there may be more, 2 if there were
    only errors at last, 127 for a bad --max-count.
    """
    output, tally = setup.output, Tally()
    code: int | None = None
    with setup.database():
        try:
            if max_count is not None:
                run_pass(tally, output, max_count)
            else:
                _run_all(tally, output)
        except Interrupted as error:
            output.remark(f"Interrupted by {error}; nothing is half done. To go on, run it again.")
            code = error.code
    rows = [(name, tally.found[name], tally.done[name]) for name in sorted(tally.found)]
    if rows:
        output.table(("Migration", "Rows Found", "Rows Migrated"), rows)
    migrations = [dict(zip(("name", "found", "done"), row, strict=True)) for row in rows]
    output.document({"migrations": migrations, "errors": tally.errors})
    if code is not None:
        return code
    if tally.errors and (max_count is None or not tally.changed):
        output.remark("Some migrations failed; their errors are above.")
        return ONLY_ERRORS
    return SOME_DONE if tally.changed else 0


def _run_all(tally: Tally, output: Output) -> None:
    output.line(f"Running batches of {BATCH} until complete")
    while True:
        run_pass(tally, output, BATCH)
        if not tally.changed:
            return


def run_pass(tally: Tally, output: Output, max_count: int) -> None:
    """Run every migration once, until ``max_count`` rows have been changed in all, and print what each has come to."""
    tally.errors, tally.changed = {}, 0
    for migrate in MIGRATIONS:
        if tally.changed >= max_count:
            break
        name = migrate.__name__
        try:
            found, done = migrate(get_admin_context(), max_count - tally.changed)
        except Exception as error:
            logger.debug("%s failed", name, exc_info=True)
            tally.errors[name] = one_line(error)
            output.remark(f"Error attempting to run {name}: {tally.errors[name]}")
            continue
        if found:
            output.line(f"{found} rows matched query {name}, {done} migrated")
            tally.found[name] = max(tally.found[name], tally.done[name] + found)
            tally.done[name] += done
        tally.changed += done
