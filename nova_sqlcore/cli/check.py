# SPDX-License-Identifier: Apache-2.0

"""``nova-sqlcore check``: what is wrong with a database, and what to do about it."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click

from nova_sqlcore import exceptions, get_admin_context, tx
from nova_sqlcore.cli.app import Command, one_line
from nova_sqlcore.cli.options import common_options
from nova_sqlcore.cli.quota import of_project
from nova_sqlcore.queries.maintenance.orphans import orphans_count
from nova_sqlcore.queries.quota.recount import quota_usage_drift, quota_usage_duplicates, quota_usage_refresh
from nova_sqlcore.schema import check, migrations, server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import sqlalchemy as sa

    from nova_sqlcore.cli.options import Setup

    #: severity, details and remedy
    Found = Iterator[tuple["Severity", str, str]]
    #: tells what is being looked at
    Show = Callable[[str], None]

#: Orphans of a kind, and keys with several usages, that are counted.
COUNTED: Final = 1000
#: What stands in the line of a finding; the rest is only counted.
_NAMED: Final = 5


class Severity(enum.IntEnum):
    """How bad a finding is."""

    OK = 0
    INFO = 1
    WARNING = 2
    ERROR = 3


class Finding(NamedTuple):
    """What a check has found."""

    check: str
    severity: Severity
    details: str = ""
    remedy: str = ""

    def told(self) -> dict[str, str]:
        """Return the finding for programs."""
        return {**self._asdict(), "severity": self.severity.name.lower()}


def _some(names: list[str]) -> str:
    rest = len(names) - _NAMED
    return ", ".join(names[:_NAMED]) + (f" and {rest} more" if rest > 0 else "")


# -- looking at the schema and the server -----------------------------------------------------------------------------


def _schema(connection: sa.Connection) -> Found:
    comparison = check.compare(connection, ignored=migrations.BOOKKEEPING)
    remedy = migrations.remedy(connection) if comparison.differences else ""
    for line in comparison.differences:
        yield Severity.ERROR, line, f"an older schema: {remedy}; else change it back by hand"
    for line in comparison.notes:
        yield Severity.INFO, line, ""


def _indexes(connection: sa.Connection) -> Found:
    missing = server.missing_indexes(connection)
    remedy = migrations.remedy(connection) if missing else ""
    for table, names in missing.items():
        yield Severity.WARNING, f"{table} lacks {', '.join(names)}", remedy
    for name in server.invalid_indexes(connection):
        yield Severity.WARNING, f"index {name} is invalid", f"REINDEX INDEX CONCURRENTLY {name}"


def _settings(connection: sa.Connection) -> Found:
    for rule, session, others in server.bad_settings(connection):
        remedy = f"set {rule.name} to {rule.wanted}"
        if not rule.is_good(session):
            yield Severity.WARNING, f"{rule.name} is {session!r}", remedy
        else:
            yield Severity.INFO, f"{rule.name} is {others!r} on the server; the library sets {session!r}", remedy
    for name in server.without_transactions(connection):
        yield Severity.ERROR, f"table {name} has no transactions", f"ALTER TABLE {name} ENGINE=InnoDB"
    halves = server.half_checked_keys(connection)
    if halves:
        details = f"foreign keys that the server does not check while what is in brackets is NULL: {_some(halves)}"
        yield Severity.INFO, details, "start the server with innodb_native_foreign_keys=ON"
    narrow = server.without_utf8mb4(connection)
    if narrow:
        details = f"{len(narrow)} tables can't hold every character: {_some(narrow)}"
        yield Severity.INFO, details, "ALTER TABLE ... CONVERT TO CHARACTER SET utf8mb4, all tables alike"


# -- looking at the rows ----------------------------------------------------------------------------------------------


def _orphans(context: Any, show: Show) -> Found:
    found = orphans_count(context, COUNTED + 1, progress=lambda table: show(f"orphans in {table}"))
    for table, column, parent, count in found:
        number = f"more than {COUNTED}" if count > COUNTED else str(count)
        remedy = f"look at them, then delete them or bring the rows of {parent} back"
        yield Severity.WARNING, f"{number} rows of {table} whose {column} names no row of {parent}", remedy


def _duplicates(context: Any, show: Show) -> Found:
    show("duplicate usages")
    for row in quota_usage_duplicates(context, COUNTED):
        remedy = "delete the older ones that have nothing reserved, then nova-sqlcore quota refresh"
        yield Severity.WARNING, f"{row['usages']} usages of {_of(row)}", remedy


def _drift(context: Any, show: Show) -> Found:
    show("quotas")
    for usage in quota_usage_drift(context):
        yield Severity.WARNING, _wrong(usage), f"nova-sqlcore quota refresh {_scope(usage['project_id'])}"


def _corrected(context: Any, show: Show) -> Found:
    show("quotas")
    for usage in quota_usage_refresh(context, progress=lambda project: show(f"quotas of {of_project(project)}")):
        yield Severity.INFO, f"corrected: {_wrong(usage)}", ""


def _scope(project_id: str | None) -> str:
    return "--all" if project_id is None else f"--project {project_id}"


def _of(usage: Any) -> str:
    return f"{usage['resource']} of user {usage['user_id']} in project {usage['project_id']}"


def _wrong(usage: Any) -> str:
    return f"{_of(usage)}: {'no usage' if usage['was'] is None else usage['was']}, but there are {usage['is']}"


# -- the command ------------------------------------------------------------------------------------------------------

_OF_SERVER: Final = {"schema": _schema, "indexes": _indexes, "settings": _settings}
_OF_ROWS: Final = {"orphans": _orphans, "duplicate usages": _duplicates, "quotas": _drift}


def _findings(name: str, found: Found) -> list[Finding]:
    return [Finding(name, *one) for one in found] or [Finding(name, Severity.OK)]


def _look(show: Show, *, fix_quotas: bool) -> Iterator[Finding]:
    """Yield the findings; rows of tables that are not as they should be may be beyond looking at."""
    context = get_admin_context()
    with tx.reader(context) as transaction:
        if not check.present(transaction.connection):
            raise exceptions.DBMigrationError(migrations.NO_TABLES)
        found = []
        for name, look in _OF_SERVER.items():
            show(name)
            found += _findings(name, look(transaction.connection))
    yield from found
    is_sound = all(one.severity < Severity.ERROR for one in found)
    for name, look_at_rows in (_OF_ROWS | ({"quotas": _corrected} if fix_quotas else {})).items():
        try:
            yield from _findings(name, look_at_rows(context, show))
        except exceptions.DatabaseNotMigrated as error:
            if is_sound:
                raise
            yield Finding(name, Severity.ERROR, f"can't be checked: {one_line(error)}", "mend the schema first")


@click.command("check", cls=Command, unexpected=255)
@common_options
@click.option("--fix-quotas", is_flag=True, help="Correct quota usages, as quota refresh --all does.")
def command(setup: Setup, fix_quotas: bool) -> int:
    """Look for what is wrong with the database, and say what to do about it.

    Looks at the schema, missing and invalid indexes, server settings, rows that hang on nothing, duplicate usages and
    usages that do not say what there is. Changes nothing but with --fix-quotas. Ends with 0 if there is nothing worse
    than remarks, 1 with warnings, 2 with errors, 255 if the database can't be checked.
    """
    with setup.database(), setup.output.status() as show:
        found = list(_look(show, fix_quotas=fix_quotas))
    worst = max(one.severity for one in found)
    rows = ((one.check, one.severity.name.lower(), one.details, one.remedy) for one in found)
    setup.output.table(("Check", "Severity", "Details", "Remedy"), rows)
    setup.output.document({"severity": worst.name.lower(), "findings": [one.told() for one in found]})
    return max(worst - Severity.INFO, 0)
