# SPDX-License-Identifier: Apache-2.0

"""``nova-sqlcore status upgrade check``: whether the database is ready for this release."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

import click

from nova_sqlcore import exceptions, get_admin_context, tx
from nova_sqlcore.cli.app import Command, one_line
from nova_sqlcore.cli.options import common_options
from nova_sqlcore.queries.maintenance.null_uuids import null_instance_uuid_scan
from nova_sqlcore.queries.maintenance.online_migrations import pending_online_data_migrations
from nova_sqlcore.schema import migrations

if TYPE_CHECKING:
    from collections.abc import Callable

    from nova_sqlcore.cli.options import Setup

SUCCESS, WARNING, FAILURE = range(3)
_WORDS: Final = ("Success", "Warning", "Failure")


class Finding(NamedTuple):
    """What a check has come to."""

    code: int
    details: str = ""


def _schema(setup: Setup) -> Finding:
    pending = [migration.name for migration in migrations.status(setup.address) if not migration.applied]
    if not pending:
        return Finding(SUCCESS)
    with tx.reader(get_admin_context()) as transaction:
        remedy = migrations.remedy(transaction.connection)
    return Finding(FAILURE, f"pending: {', '.join(pending)}; run {remedy}")


def _null_uuids(setup: Setup) -> Finding:
    counts = null_instance_uuid_scan(get_admin_context())
    if not counts:
        return Finding(SUCCESS)
    found = ", ".join(f"{count} in {name}" for name, count in sorted(counts.items()))
    return Finding(WARNING, f"rows without an instance: {found}; see nova-sqlcore db null_instance_uuid_scan")


def _online_data(setup: Setup) -> Finding:
    counts = pending_online_data_migrations(get_admin_context())
    if not counts:
        return Finding(SUCCESS)
    found = ", ".join(f"{count} rows for {name}" for name, count in counts.items())
    return Finding(WARNING, f"not migrated: {found}; run nova-sqlcore db online_data_migrations")


CHECKS: Final[dict[str, Callable[[Setup], Finding]]] = {
    "Schema migrations": _schema,
    "Rows without an instance": _null_uuids,
    "Online data migrations": _online_data,
}


def _finding(look: Callable[[Setup], Finding], setup: Setup) -> Finding:
    try:
        return look(setup)
    except exceptions.DatabaseNotMigrated as error:
        return Finding(FAILURE, f"can't be checked: {one_line(error)}")


@click.group("status")
def command() -> None:
    """Look whether the database is ready for this release."""


@command.group("upgrade")
def upgrade() -> None:
    """Look whether the database is ready for this release."""


@upgrade.command("check", cls=Command, unexpected=255)
@common_options
def check(setup: Setup) -> int:
    """Check the database before an upgrade.

    Ends with 0 if all is well, 1 with warnings, 2 with failures, 255 if it can't be checked.
    """
    with setup.database():
        found = {name: _finding(look, setup) for name, look in CHECKS.items()}
    rows = [(name, _WORDS[one.code], one.details) for name, one in found.items()]
    setup.output.table(("Check", "Result", "Details"), rows)
    setup.output.document([dict(zip(("check", "result", "details"), row, strict=True)) for row in rows])
    return max(one.code for one in found.values())
