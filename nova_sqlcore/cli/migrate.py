"""``nova-sqlcore migrate``: create the schema or bring it up to date."""

from __future__ import annotations

import click
from rich.console import Console
from rich.table import Table

from nova_sqlcore import exceptions
from nova_sqlcore.cli.app import url_option
from nova_sqlcore.schema import migrations


@click.command()
@url_option
@click.option("--status", is_flag=True, help="Show which migrations the database has; nothing is changed.")
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
def command(url: str, status: bool, rollback: int | None, adopt: bool, break_lock: bool) -> None:
    """Create the schema or bring it up to date."""
    if sum((status, rollback is not None, adopt, break_lock)) > 1:
        raise click.UsageError("take one of --status, --rollback, --adopt and --break-lock")
    if status:
        _status(url)
    elif rollback is not None:
        _list("rolled back", migrations.rollback(url, rollback), "nothing to roll back")
    elif adopt:
        _adopt(url)
    elif break_lock:
        pid = migrations.break_lock(url)
        click.echo("there is no lock" if pid is None else f"removed the lock of process {pid}")
    else:
        _list("applied", migrations.migrate(url), "nothing to do")


def _list(what: str, names: list[str], otherwise: str) -> None:
    for name in names:
        click.echo(f"{what} {name}")
    if not names:
        click.echo(otherwise)


def _status(url: str) -> None:
    table = Table("migration", "state", box=None, pad_edge=False)
    for migration in migrations.status(url):
        table.add_row(migration.name, "applied" if migration.applied else "pending")
    Console(highlight=False).print(table)


def _adopt(url: str) -> None:
    try:
        notes = migrations.adopt(url)
    except exceptions.SchemaDiffers as error:
        for line in error.differences:
            click.echo(line)
        raise
    for line in notes:
        click.echo(f"note: {line}")
    click.echo("adopted; to add the indexes of this library, run migrate")
