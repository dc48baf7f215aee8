# SPDX-License-Identifier: Apache-2.0

"""``nova-sqlcore migrate``: create the schema or bring it up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from nova_sqlcore import exceptions
from nova_sqlcore.cli.app import Command
from nova_sqlcore.cli.options import common_options
from nova_sqlcore.schema import migrations

if TYPE_CHECKING:
    from nova_sqlcore.cli.options import Setup
    from nova_sqlcore.cli.output import Output

#: The exit code of a look at the migrations that finds some which are not applied.
PENDING: Final = 3


@click.command(cls=Command)
@common_options
@click.option("--status", is_flag=True, help="Show which migrations the database has; nothing is changed.")
@click.option("--check", is_flag=True, help="Print how many migrations are pending; nothing is changed.")
@click.option("--sql", "--dry-run", "sql", is_flag=True, help="Print the SQL of pending migrations, and run nothing.")
@click.option(
    "--rollback",
    is_flag=False,
    flag_value=1,
    type=click.IntRange(min=1),
    metavar="[N]",
    help="Undo the newest N migrations, one by default. Tables that hold rows are not removed.",
)
@click.option("--adopt", is_flag=True, help="Take over a database that Nova itself has made, if its schema is right.")
@click.option("--break-lock", is_flag=True, help="Remove the lock that a killed run has left behind.")
def command(
    setup: Setup, status: bool, check: bool, sql: bool, rollback: int | None, adopt: bool, break_lock: bool
) -> int:
    """Create the schema or bring it up to date.

    --status and --check end with 3 if migrations are pending, and with 0 if there are none.
    """
    if sum((status, check, sql, rollback is not None, adopt, break_lock)) > 1:
        raise click.UsageError("take one of --status, --check, --sql, --rollback, --adopt and --break-lock")
    output, url = setup.output, setup.address
    if status or check:
        return _status(output, url, in_full=status)
    if sql:
        _show_sql(output, migrations.pending_sql(url))
    elif rollback is not None:
        with output.status() as show:
            undone = migrations.rollback(url, rollback, progress=lambda name: show(f"rolling back {name}"))
        _list(output, "rolled back", undone, "nothing to roll back")
    elif adopt:
        _adopt(output, url)
    elif break_lock:
        pid = migrations.break_lock(url)
        output.line("there is no lock" if pid is None else f"removed the lock of process {pid}")
        output.document({"removed": pid})
    else:
        with output.status() as show:
            applied = migrations.migrate(url, progress=lambda name: show(f"applying {name}"))
        _list(output, "applied", applied, "nothing to do")
    return 0


def _list(output: Output, what: str, names: list[str], otherwise: str) -> None:
    for name in names:
        output.line(f"{what} {name}")
    if not names:
        output.line(otherwise)
    output.document({what: names})


def _show_sql(output: Output, texts: dict[str, str]) -> None:
    for name, text in texts.items():
        output.line(f"-- {name}\n\n{text.strip()}\n")
    if not texts:
        output.line("-- nothing to do")
    output.document(texts)


def _status(output: Output, url: str, *, in_full: bool) -> int:
    """Print the state of the migrations, and return the exit code."""
    found = migrations.status(url)
    pending = [migration.name for migration in found if not migration.applied]
    if in_full:
        states = {migration.name: "applied" if migration.applied else "pending" for migration in found}
        output.table(("migration", "state"), states.items())
        output.document(states)
    else:
        words = "1 migration is pending" if len(pending) == 1 else f"{len(pending)} migrations are pending"
        output.line(words if pending else "all migrations are applied")
        output.document({"pending": pending})
    return PENDING if pending else 0


def _adopt(output: Output, url: str) -> None:
    try:
        with output.status() as show:
            show("comparing the schema")
            notes = migrations.adopt(url)
    except exceptions.SchemaDiffers as error:
        for line in error.differences:
            output.line(line)
        raise
    for line in notes:
        output.line(f"note: {line}")
    output.line("adopted; to add the indexes of this library, run migrate")
    output.document({"notes": notes})
