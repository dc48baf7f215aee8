# SPDX-License-Identifier: Apache-2.0

"""The parts of yoyo that run migrations, told to connect as the rest of the library does.

yoyo knows URLs of its own, which can't say all that SQLAlchemy's can; here it takes the driver and the arguments that
SQLAlchemy's dialect finds in its URL.
"""

from __future__ import annotations

import contextlib
import functools
import getpass
import glob
import os
import re
from typing import TYPE_CHECKING, Any, Final

import yoyo
from yoyo import exceptions as errors
from yoyo.backends.core.mysql import MySQLBackend
from yoyo.backends.core.postgresql import PostgresqlPsycopgBackend
from yoyo.backends.core.sqlite3 import SQLiteBackend
from yoyo.migrations import default_migration_table

from nova_sqlcore import exceptions
from nova_sqlcore.core import dialects
from nova_sqlcore.core.connections import UNLIMITED

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import sqlalchemy as sa


class _Connects:
    """Connects by an ``sqlalchemy.URL``, which stands where yoyo has its own URLs."""

    uri: sa.URL
    driver: Any

    def _load_driver_module(self) -> Any:
        driver: Any = self.uri.get_dialect().import_dbapi()
        errors.register(driver.DatabaseError)
        return driver

    def connect(self, url: sa.URL) -> Any:
        args, options = url.get_dialect()().create_connect_args(url)
        family = dialects.family(url)
        connection = self.driver.connect(*args, **{**options, **family.connect_args(url, "writer", UNLIMITED)})
        family.prepare_connection(connection, url, "writer", UNLIMITED)
        self._autocommit(connection)
        return connection

    def _autocommit(self, connection: Any) -> None:
        """Let nothing but yoyo begin a transaction, so that what it runs outside of one is kept."""
        connection.autocommit = True


class _Sqlite(_Connects, SQLiteBackend):  # type: ignore[misc]  # yoyo carries no types
    def _autocommit(self, connection: Any) -> None:
        connection.isolation_level = None


class _MySQL(_Connects, MySQLBackend):  # type: ignore[misc]  # yoyo carries no types
    def _autocommit(self, connection: Any) -> None:
        connection.autocommit(True)

    def cursor(self) -> Any:
        return _Repeats(super().cursor(), self.driver.DatabaseError)


class _Repeats:
    """A cursor that makes an index once and drops it once.

    MySQL has no IF NOT EXISTS for indexes, and a run that was killed may have got so far. An index without which a
    foreign key would have none stays, for somebody has dropped the others.
    """

    _DONE: Final = (1061, 1091, 1553)

    def __init__(self, cursor: Any, error: type[Exception]) -> None:
        self._cursor = cursor
        self._error = error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def execute(self, *arguments: Any) -> None:
        try:
            self._cursor.execute(*arguments)
        except self._error as error:
            if error.args[0] not in self._DONE:
                raise


class _PostgreSQL(_Connects, PostgresqlPsycopgBackend):  # type: ignore[misc]  # yoyo carries no types
    def cursor(self) -> Any:
        return _MakesValid(super().cursor())


class _MakesValid:
    """A cursor that makes an index anew whose making was cut short.

    PostgreSQL leaves such an index behind, marked as invalid: it serves nobody, and IF NOT EXISTS takes it for made.
    """

    _CREATE: Final = re.compile(r"\s*CREATE (?:UNIQUE )?INDEX CONCURRENTLY IF NOT EXISTS (\w+)", re.IGNORECASE)
    _INVALID: Final = (
        "SELECT 1 FROM pg_index JOIN pg_class ON pg_class.oid = indexrelid"
        " WHERE relname = %s AND NOT indisvalid AND pg_table_is_visible(indrelid)"
    )

    def __init__(self, cursor: Any) -> None:
        self._cursor = cursor

    def __getattr__(self, name: str) -> Any:
        return getattr(self._cursor, name)

    def execute(self, statement: Any, *arguments: Any) -> None:
        made = self._CREATE.match(statement) if isinstance(statement, str) else None
        if made is not None:
            self._cursor.execute(self._INVALID, (made[1],))
            if self._cursor.fetchone():
                self._cursor.execute(f"DROP INDEX CONCURRENTLY {made[1]}")
        self._cursor.execute(statement, *arguments)


_BACKENDS: Final[dict[str, Any]] = {"sqlite": _Sqlite, "mysql": _MySQL, "mariadb": _MySQL, "postgresql": _PostgreSQL}


def read(directory: Path) -> Any:
    """Return the migrations of a directory, each loaded: yoyo itself would skip one that it can't load.

    Raises: DBMigrationError(text).
    """
    try:
        files = frozenset((path.name, path.read_bytes()) for path in directory.glob("*") if path.is_file())
        migrations = _loaded(directory, files)
    except (errors.BadMigration, OSError) as error:
        raise exceptions.DBMigrationError(f"a migration can't be read: {error}") from error
    if not migrations:
        raise exceptions.DBMigrationError(f"no migrations in {directory}: the installation is broken")
    return migrations


@functools.lru_cache(maxsize=4)
def _loaded(directory: Path, files: frozenset[tuple[str, bytes]]) -> Any:
    """Return the migrations in these files; yoyo takes 0.14 s to cut them into statements."""
    migrations = yoyo.read_migrations(glob.escape(str(directory)))
    for migration in migrations:
        migration.load()
    return migrations


@contextlib.contextmanager
def locked(url: sa.URL, seconds: float) -> Iterator[Any]:
    """Give a backend of yoyo's that has kept other runs out; wait ``seconds`` for one that is under way.

    Raises: yoyo's LockTimeout, as ``LockTimeout``. The driver's errors.
    """
    _name_user()
    with _BACKENDS[url.get_backend_name()](url, default_migration_table) as backend:
        backend.init_database()
        with backend.lock(seconds):
            yield backend


def _name_user() -> None:
    """Name a user who has no name, as in a container: yoyo logs it, and would fail after a migration has run."""
    try:
        getpass.getuser()
    except (KeyError, OSError):
        os.environ["LOGNAME"] = str(os.getuid())


LockTimeout = errors.LockTimeout
