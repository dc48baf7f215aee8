# SPDX-License-Identifier: Apache-2.0

"""The schema's migrations: plain SQL in one directory per family of servers, run by yoyo.

The first one makes the reference's schema. A database that the reference has made is *adopted*: compared with that
schema, and marked as if the first migration had been run. Nothing here is for a service to call at its start: each call
takes some round trips, and a lock.
"""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from nova_sqlcore import exceptions, tables
from nova_sqlcore.core import dialects
from nova_sqlcore.core.connections import parse_url, tool_engine, translated
from nova_sqlcore.schema import check as schema_check

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Iterator
    from types import ModuleType

logger = logging.getLogger(__name__)

#: Seconds to wait for another run; nobody migrates often enough for a knob.
LOCK_SECONDS = 10.0

#: Why there is nothing to adopt, or to check.
NO_TABLES = "the database has none of Nova's tables; to make them: nova-sqlcore migrate"

#: The ids that the flavors of a new database have.
_SEEDED = 5

_LOCK = sa.table("yoyo_lock", sa.column("pid", sa.Integer), sa.column("ctime", sa.DateTime))
_MARKS = sa.table("_yoyo_migration", sa.column("migration_id", sa.String))
BOOKKEEPING = (_LOCK.name, _MARKS.name, "_yoyo_log", "_yoyo_version")


class Migration(NamedTuple):
    """A migration of this release, and whether the database has it."""

    name: str
    applied: bool


def migrate(url: str | sa.URL, *, progress: Callable[[str], object] | None = None) -> list[str]:
    """Run the migrations that the database lacks and return their names; ``progress`` is told each before it runs.

    Raises: DBMigrationError(text) if the database holds tables of Nova's that were not adopted, if another run is under
    way, or if a migration fails; it is undone then. DBError for a URL or a server that can't be used.
    """
    with _database(url, may_be_new=True) as database, database.locked() as backend:
        pending = list(backend.to_apply(database.migrations))
        if database.first in pending:
            database.require_room()
        for migration in pending:
            if progress is not None:
                progress(migration.id)
            with _told(f"migration {migration.id} failed and was undone", database.url):
                backend.apply_one(migration)
            logger.info("migration %s applied", migration.id)
        return [migration.id for migration in pending]


def status(url: str | sa.URL) -> list[Migration]:
    """Return the migrations of this release in their order; the database is only read.

    Raises: DBError for a URL or a server that can't be used.
    """
    with _database(url) as database:
        marks = set(database.rows(_MARKS))
        return [Migration(migration.id, (migration.id,) in marks) for migration in database.migrations]


def pending_sql(url: str | sa.URL) -> dict[str, str]:
    """Return the SQL of the migrations that the database lacks, by name in their order, as the files have it.

    The database is only read.
    Raises: DBMigrationError(text) as ``migrate``, for Nova's tables that were not adopted. DBError for a URL or a
    server that can't be used.
    """
    directory = _directory() / dialects.family(parse_url(url)).name
    missing = [migration.name for migration in status(url) if not migration.applied]
    with _database(url) as database:
        if database.first.id in missing:
            database.require_room()
    return {name: (directory / f"{name}.sql").read_text() for name in missing}


def remedy(connection: sa.Connection) -> str:
    """Return the command that brings a database up to date: one with Nova's tables and no marks is adopted first."""
    is_marked = sa.inspect(connection).has_table(_MARKS.name) and connection.execute(sa.select(_MARKS)).first()
    if is_marked or not schema_check.present(connection):
        return "nova-sqlcore db sync"
    return "nova-sqlcore migrate --adopt, then nova-sqlcore db sync"


def rollback(url: str | sa.URL, count: int = 1, *, progress: Callable[[str], object] | None = None) -> list[str]:
    """Undo the newest ``count`` migrations that the database has, and return their names; ``progress`` as above.

    Raises: DBMigrationError(text) as ``migrate``, and rather than remove a table with rows. DBError for a URL or a
    server that can't be used.
    """
    with _database(url) as database, database.locked() as backend:
        undone = list(backend.to_rollback(database.migrations))[:count]
        if database.first in undone:
            database.require_no_rows()
        for migration in undone:
            if progress is not None:
                progress(migration.id)
            with _told(f"the rollback of migration {migration.id} failed", database.url):
                backend.rollback_one(migration)
            logger.info("migration %s rolled back", migration.id)
        return [migration.id for migration in undone]


def adopt(url: str | sa.URL) -> list[str]:
    """Take over a database that the reference has made; return what is worth a look but in nobody's way.

    The database is compared with the reference's schema, and the first migration marked as applied if it agrees.
    Tables and indexes of the operator's own are tolerated, and so is another charset.
    Raises: SchemaDiffers(text, differences, notes), and nothing is marked. DBMigrationError(text) if there is nothing
    to adopt. DBError for a URL or a server that can't be used.
    """
    with _database(url) as database:
        with _ended(database.connection):
            if not schema_check.present(database.connection):
                raise exceptions.DBMigrationError(NO_TABLES)
            comparison = schema_check.compare(database.connection, ignored=BOOKKEEPING)
        if comparison.differences:
            raise schema_check.refusal("the database is not what the reference makes", comparison)
        with database.locked() as backend:
            if not backend.is_applied(database.first):
                backend.mark_migrations([database.first])
                logger.info("migration %s marked as applied", database.first.id)
        return list(comparison.notes)


def break_lock(url: str | sa.URL) -> int | None:
    """Remove the lock that a killed run has left behind; return the id of the process that held it.

    Raises: DBError for a URL or a server that can't be used.
    """
    with _database(url) as database:
        holder = database.lock_holder()
        if holder is None:
            return None
        database.connection.execute(sa.delete(_LOCK))
        database.connection.commit()
        return holder[0]


class _Database:
    """A database that is open for inspection, and the migrations for it."""

    def __init__(self, url: sa.URL, connection: sa.Connection) -> None:
        self.url = url
        self.connection = connection
        self._yoyo = _import_yoyo()
        self.migrations = self._yoyo.read(_directory() / dialects.family(url).name)
        #: the one that makes the reference's schema
        self.first = self.migrations[0]

    @contextlib.contextmanager
    def locked(self) -> Iterator[Any]:
        """Give a backend of yoyo's, with every other run kept out."""
        try:
            with _told("the migrations can't be run", self.url), self._yoyo.locked(self.url, LOCK_SECONDS) as backend:
                yield backend
        except self._yoyo.LockTimeout as error:
            raise exceptions.DBMigrationError(self._who_locks()) from error

    def rows(self, table: sa.TableClause) -> list[tuple[Any, ...]]:
        """Return the rows of one of yoyo's tables; none if there is no such table yet."""
        with _ended(self.connection):
            if not sa.inspect(self.connection).has_table(table.name):
                return []
            return [tuple(row) for row in self.connection.execute(sa.select(table))]

    def lock_holder(self) -> tuple[int, datetime.datetime] | None:
        """Return the process that holds the lock, and since when."""
        for pid, since in self.rows(_LOCK):
            return int(pid), since
        return None

    def require_room(self) -> None:
        """See that the first migration does no harm; where a killed run leaves tables behind, it may find its own.

        Raises: DBMigrationError(text); SchemaDiffers(text, differences, notes).
        """
        with _ended(self.connection):
            here = schema_check.present(self.connection)
            if not here:
                return
            if self.first.use_transactions or self._filled(here):
                raise exceptions.DBMigrationError(
                    f"the database has tables of Nova's already, {here[0].name} among them; "
                    "adopt it: nova-sqlcore migrate --adopt"
                )
            schema_check.require_same(self.connection, here)

    def require_no_rows(self) -> None:
        """See that no row is lost with the tables, except the flavors that came with them.

        Raises: DBMigrationError(text).
        """
        with _ended(self.connection):
            filled = self._filled(schema_check.present(self.connection))
        if filled:
            named = ", ".join(filled[:3]) + (f" and {len(filled) - 3} more" if len(filled) > 3 else "")
            raise exceptions.DBMigrationError(
                f"the tables would go with their rows ({named}); if that is meant, drop the database itself"
            )

    def _filled(self, candidates: list[sa.Table]) -> list[str]:
        """Return the names of the tables that hold rows, other than the flavors of a new database."""
        rows = {table: sa.select(1).select_from(table) for table in candidates}
        if tables.instance_types in rows:
            rows[tables.instance_types] = rows[tables.instance_types].where(tables.instance_types.c.id > _SEEDED)
        looks = [sa.select(sa.literal(table.name)).where(sa.exists(some)) for table, some in rows.items()]
        return list(self.connection.scalars(sa.union_all(*looks))) if looks else []

    def _who_locks(self) -> str:
        holder = self.lock_holder()
        if holder is None:
            return "the lock of migrations can't be taken; may this account create and write tables?"
        pid, since = holder
        return (
            f"process {pid} has been migrating this database since {since:%Y-%m-%d %H:%M:%S} UTC; "
            "if it was killed, remove its lock: nova-sqlcore migrate --break-lock"
        )


@contextlib.contextmanager
def _database(url: str | sa.URL, *, may_be_new: bool = False) -> Iterator[_Database]:
    parsed = parse_url(url)
    if dialects.in_memory(parsed):
        raise exceptions.DBMigrationError("a database in memory ends with its connection and can't be migrated")
    if not parsed.database:
        raise exceptions.DBMigrationError("the URL names no database; its name comes last, after the host and a slash")
    family = dialects.family(parsed)
    if not may_be_new:
        family.require_file(parsed)
    engine = tool_engine(parsed)
    with translated(family, engine), engine.connect() as connection:
        yield _Database(parsed, connection)


@contextlib.contextmanager
def _ended(connection: sa.Connection) -> Iterator[None]:
    """Hold no lock on a table after the block: yoyo works on a connection of its own."""
    try:
        yield
    finally:
        connection.rollback()


@contextlib.contextmanager
def _told(what: str, url: sa.URL) -> Iterator[None]:
    """Raise DBMigrationError, which begins with ``what``, in place of the driver's error."""
    driver: Any = url.get_dialect().import_dbapi()
    try:
        yield
    except driver.Error as error:
        raise exceptions.DBMigrationError(f"{what}: {dialects.family(url).translate(error, url)}") from error


def _directory() -> Path:
    """Return where the SQL is: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parents[1]
    inside = package / "sql" / "migrations"
    return inside if inside.is_dir() else package.parent / "sql" / "migrations"


def _import_yoyo() -> ModuleType:
    try:
        from nova_sqlcore.schema import yoyo
    except ModuleNotFoundError as error:
        raise exceptions.DBMigrationError(
            f"{error.name} is not installed, and migrations need it: pip install 'nova-sqlcore[cli]'; "
            "to make the tables without it: nova_sqlcore.schema.create(URL)"
        ) from error
    return yoyo
