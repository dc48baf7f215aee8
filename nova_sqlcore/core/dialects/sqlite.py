# SPDX-License-Identifier: Apache-2.0

"""sqlite."""

from __future__ import annotations

import logging
import math
import os
import sqlite3
import threading
import time
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from nova_sqlcore import exceptions
from nova_sqlcore.core import lists, patterns
from nova_sqlcore.core.dialects.base import OnConflict, in_memory, is_green
from nova_sqlcore.core.dialects.spelling import vague

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nova_sqlcore.core.dialects.base import AnySelect, Role
    from nova_sqlcore.core.options import EngineOptions


logger = logging.getLogger(__name__)

#: What a result code stands for, by its beginning; those that carry more than a text are not here.
_KINDS: dict[str, type[exceptions.DBError]] = {
    "SQLITE_BUSY_SNAPSHOT": exceptions.DBDeadlock,
    "SQLITE_BUSY": exceptions.DBLockTimeout,
    "SQLITE_LOCKED": exceptions.DBDeadlock,
    "SQLITE_PROTOCOL": exceptions.DBDeadlock,  # many processes began to read at the same moment
    "SQLITE_INTERRUPT": exceptions.DBTimeout,
    "SQLITE_READONLY": exceptions.DBReadOnly,
    "SQLITE_CANTOPEN": exceptions.DBConnectionError,
    "SQLITE_NOTADB": exceptions.DBConnectionError,
    "SQLITE_AUTH": exceptions.DBConnectionError,
    "SQLITE_MISMATCH": exceptions.DBDataError,
    "SQLITE_TOOBIG": exceptions.DBDataError,
}


#: Seconds between two attempts of a green thread to get a lock.
_PAUSE = 0.005

_REMOVED = "the database file has been removed since it was opened"
#: Result codes after which one wants to know which file is meant.
_ABOUT_FILES = ("SQLITE_CANTOPEN", "SQLITE_NOTADB", "SQLITE_READONLY", "SQLITE_AUTH", "SQLITE_FULL")


class _Compiler(lists.JsonTexts, sqlite.base.SQLiteCompiler):
    """Writes lists as JSON texts, and hints, which SQLAlchemy leaves out for sqlite."""

    def get_from_hint_text(self, table: sa.FromClause, text: str | None) -> str | None:
        return text


class Sqlite(OnConflict):
    """sqlite 3.35 and newer, through the standard library."""

    name = "sqlite"
    drivers: ClassVar[dict[str, str]] = {"pysqlite": ""}
    update_returning = True
    delete_returning = True
    ids_ascend = True
    locks_rows = False
    single_writer = True
    sorts_whole_rows = True
    is_server = False
    rows_travel_together = True
    begin_writer = "BEGIN IMMEDIATE"
    commit_writer = "COMMIT"
    statement_compiler = _Compiler

    _TEXTS: ClassVar[dict[str, str]] = {
        "database is locked": "SQLITE_BUSY",
        "database table is locked": "SQLITE_LOCKED",
        "UNIQUE constraint failed": "SQLITE_CONSTRAINT_UNIQUE",
        "FOREIGN KEY constraint failed": "SQLITE_CONSTRAINT_FOREIGNKEY",
    }

    def connect_args(self, url: sa.URL, role: Role, options: EngineOptions) -> dict[str, Any]:
        """Let the library begin and commit, and keep many statements prepared.

        The driver shall not begin of itself: a writer sends BEGIN before anything else. To SQLAlchemy None says that
        the connection is in autocommit mode, which a caller of the plain engine may ask for. A statement takes
        some 40 KB there (measured), so that a thousand of them would take more than all else.
        """
        return {
            "isolation_level": None if role == "reader" or in_memory(url) else "",
            "timeout": self._patience_in_c(options),
            "cached_statements": 250,
            "factory": _Opener(path_of(url), self.lock_timeout(options) if is_green("time") else None),
            "check_same_thread": False,
        }

    def engine_args(self, url: sa.URL, role: Role, options: EngineOptions) -> dict[str, Any]:
        """Return one shared connection for a database in memory."""
        return {"poolclass": sa.StaticPool} if in_memory(url) else {}

    def prepare_engine(self, engine: sa.Engine, options: EngineOptions) -> None:
        """Give connections their REGEXP, and watch the file: what is written to a removed one would be lost.

        SQLAlchemy gives every new connection a REGEXP of its own; this listener comes later.
        """
        sa.event.listen(engine, "connect", _add_regexp)
        if not in_memory(engine.url):
            sa.event.listen(engine, "connect", lambda connection, record: connection.note_file())
            sa.event.listen(engine, "checkout", lambda connection, record, proxy: connection.check_file())

    def is_current(self, connection: Any) -> bool:
        """Tell whether the connection's file is still the one at its path."""
        current: bool = connection.has_file()
        return current

    def prepare_connection(self, connection: Any, url: sa.URL, role: Role, options: EngineOptions) -> None:
        """Set the journal to WAL.

        A rollback journal is not safe with fewer than all waits for the disk.
        """
        cursor = connection.cursor()
        safe = "NORMAL" if self._has_wal(cursor, options) else "FULL"
        cursor.execute(f"PRAGMA synchronous = {safe if options.sqlite_synchronous else 'OFF'}")
        cursor.close()
        if self.statement_timeout(options):
            _limit(connection, self.statement_timeout(options))

    def _has_wal(self, cursor: Any, options: EngineOptions) -> bool:
        """Set the journal to WAL if that can be done at once; return whether there is one, or a database in memory.

        It can't while another connection writes, or if the file may not be written: a later connection will do it.
        """
        if _journal(cursor) in ("wal", "memory"):
            return True
        cursor.execute("PRAGMA busy_timeout = 0")
        try:
            cursor.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not str(getattr(error, "sqlite_errorname", "")).startswith(("SQLITE_BUSY", "SQLITE_READONLY")):
                raise
            logger.info("the journal could not be set to WAL: %s", error)
        finally:
            cursor.execute(f"PRAGMA busy_timeout = {int(self._patience_in_c(options) * 1000)}")
        return _journal(cursor) == "wal"

    def statement_timeout(self, options: EngineOptions) -> float:
        """Return how many seconds a statement may run; without the option there is no limit."""
        return options.statement_timeout or 0

    def _patience_in_c(self, options: EngineOptions) -> float:
        """Return how many seconds sqlite itself waits for a lock: 0 among green threads, of which none could run."""
        return 0 if is_green("time") else self.lock_timeout(options)

    def lock_timeout(self, options: EngineOptions) -> float:
        """Return ``busy_timeout``, or else ``lock_timeout``, or else the driver's own 5 seconds."""
        return next((time for time in (options.busy_timeout, options.lock_timeout) if time is not None), 5)

    def by_index(self, statement: AnySelect, table: sa.FromClause, name: str) -> AnySelect:
        """INDEXED BY: since 3.46 sqlite scans the table if ANALYZE has found all rows alike in the index's columns."""
        return statement.with_hint(table, f"INDEXED BY {name}")

    def rare(self, clause: sa.ColumnElement[bool]) -> sa.ColumnElement[Any]:
        """UNLIKELY: sqlite 3.45 scans an index from its beginning if ANALYZE has found all rows alike in it."""
        return sa.func.unlikely(clause, type_=sa.Integer())

    def common(self, clause: sa.ColumnElement[bool]) -> sa.ColumnElement[Any]:
        """LIKELY: without statistics sqlite thinks that any index finds few rows."""
        return sa.func.likely(clause, type_=sa.Integer())

    def autocommit_is_free(self, connection: Any) -> bool:
        """Tell that it is; the one connection of a database in memory is never in another mode."""
        return connection.isolation_level is not None

    def set_autocommit(self, cursor: Any, is_on: bool) -> None:
        """Let the driver begin no transaction by itself, or let it."""
        cursor.connection.isolation_level = None if is_on else ""

    def in_transaction(self, connection: Any) -> bool:
        """``in_transaction``."""
        return bool(connection.in_transaction)

    def let_go(self, connection: Any) -> None:
        """Roll back: a cursor in somebody's traceback would keep the file locked although it has been closed."""
        connection.rollback()

    def into(self, table: sa.Table) -> Any:
        """Return the one with ON CONFLICT."""
        return sqlite.insert(table)

    def unindexed(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Put a plus sign before it."""
        return vague(column)

    def hold(self, connection: sa.Connection, name: str, seconds: float) -> bool:
        """Begin to write: there is one writer at a time, whatever for."""
        connection.exec_driver_sql(f"PRAGMA busy_timeout = {math.ceil(seconds * 1000)}")
        try:
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        except sa.exc.OperationalError as error:
            if isinstance(self.translate(error.orig or error), exceptions.DBDeadlock):
                return False
            raise
        return True

    def json_rows(self, columns: Mapping[str, sa.ColumnElement[Any]]) -> sa.ColumnElement[str]:
        """json_group_array(json_array(...))."""
        return sa.func.json_group_array(sa.func.json_array(*columns.values()), type_=sa.Text())

    def translate(self, error: BaseException, url: sa.URL | None = None) -> exceptions.DBError:
        """Translate by sqlite's extended result code; its text is the only source of names.

        An error that did not come from the driver, as in fault injection, has no code: then the text tells it.
        Raises: what REGEXP has raised: InvalidInput(reason), or the exception of a signal handler. The driver keeps
        that to itself, and sqlite has undone the statement alone. What is raised as REGEXP is entered, before its first
        line, nobody but the driver has seen: that is a plain error.
        """
        text = str(error)
        if text == "user-defined function raised exception":
            _raise_swallowed(error)
        told = (code for start, code in self._TEXTS.items() if text.startswith(start))
        code = getattr(error, "sqlite_errorname", None) or next(told, "")
        if code in ("SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"):
            names = [name.strip().rpartition(".")[2] for name in text.partition(":")[2].split(",")]
            return exceptions.DBDuplicateEntry(columns=names, inner_exception=error)
        if code == "SQLITE_CONSTRAINT_FOREIGNKEY":
            return exceptions.DBReferenceError(None, None, None, None, inner_exception=error)
        if code == "SQLITE_CONSTRAINT_CHECK":
            return exceptions.DBConstraintError(None, text.partition(":")[2].strip(), inner_exception=error)
        if text.startswith(("no such table", "no such column")) or " has no column named " in text:
            return exceptions.DatabaseNotMigrated(error)
        if isinstance(error, sqlite3.DataError | OverflowError):
            return exceptions.DBDataError(error)
        if text.startswith(("Cannot operate on a closed database", _REMOVED)):
            return exceptions.DBConnectionError(error)
        kind = next((kind for start, kind in _KINDS.items() if code.startswith(start)), exceptions.DBError)
        failure = kind(error)
        path = path_of(url) if url is not None and code.startswith(_ABOUT_FILES) else None
        if path is not None:
            failure.args = (f"{text}: {path}; {_state_of(path)}",)
        return failure

    def require_file(self, url: sa.URL) -> None:
        """Look for it; sqlite itself makes an empty one."""
        path = path_of(url)
        if path is not None and not path.exists():
            raise exceptions.DBConnectionError(
                f"there is no file {path}, which nova-sqlcore migrate would make; {_state_of(path)}"
            )


def path_of(url: sa.URL) -> Path | None:
    """Return the file of an sqlite database, None for one in memory."""
    if in_memory(url):
        return None
    name = str(url.database)
    if name.startswith("file:"):
        name = urllib.parse.unquote(urllib.parse.urlsplit(name).path)
    return Path(name).absolute()


def _state_of(path: Path) -> str:
    """Tell what is wrong with a file and its folder, or that nothing seems to be."""
    folder = path.parent
    if not folder.is_dir():
        return f"its folder {folder} does not exist"
    if path.is_dir():
        return "that is a folder"
    if path.exists() and not _may(path, os.R_OK):
        return "this user may not read the file"
    if path.exists() and not _may(path, os.W_OK):
        return "this user may not write the file"
    if not _may(folder, os.W_OK | os.X_OK):
        return f"its folder {folder} exists, but this user may not write there"
    return f"its folder {folder} exists and this user may write there"


def _may(path: Path, mode: int) -> bool:
    return os.access(path, mode, effective_ids=os.access in os.supports_effective_ids)


def _identity(path: str) -> tuple[int, int] | None:
    try:
        found = os.stat(path)  # at each writer's start; a Path takes three times as long
    except OSError:
        return None
    return found.st_dev, found.st_ino


class _Connection(sqlite3.Connection):
    """A connection that knows its file."""

    opener: _Opener
    file: tuple[int, int] | None = None

    def note_file(self) -> None:
        """Remember which file was opened."""
        path = self.opener.place
        self.file = None if path is None else _identity(path)
        self.opener.was_there = self.file is not None

    def has_file(self) -> bool:
        """Tell whether the file is still the one at its path; one in memory always is."""
        path = self.opener.place
        return path is None or self.file == _identity(path)

    def check_file(self) -> None:
        """Refuse to go on with a file that has been removed, or replaced by another one: writes would be lost."""
        if not self.has_file():
            raise sa.exc.DisconnectionError(f"the database file {self.opener.path} has been removed or replaced")


class _GreenConnection(_Connection):
    """A connection whose cursors wait for a lock as green threads must."""

    def cursor(self, factory: Any = None) -> Any:
        """Return a patient cursor."""
        return super().cursor(_GreenCursor)


class _GreenCursor(sqlite3.Cursor):
    """Waits for a lock between attempts, so that the green thread that has it can go on."""

    def execute(self, *args: Any) -> Any:
        """As ``Cursor.execute``; nothing has happened yet where the database is locked and no transaction is open."""
        connection: Any = self.connection
        deadline = time.monotonic() + connection.opener.patience
        while True:
            try:
                return super().execute(*args)
            except sqlite3.OperationalError as error:
                is_locked = getattr(error, "sqlite_errorname", "") == "SQLITE_BUSY"
                if not is_locked or connection.in_transaction or time.monotonic() >= deadline:
                    raise
            time.sleep(_PAUSE)


class _Opener:
    """Opens the connections of one engine; it makes no new, empty file in place of one that has been removed.

    ``patience`` is how many seconds green threads wait for a lock; None where threads are native.
    """

    def __init__(self, path: Path | None, patience: float | None) -> None:
        self.path = path
        #: the same as text
        self.place = None if path is None else str(path)
        self.patience = patience
        self.was_there = False

    def __call__(self, *args: Any, **kwargs: Any) -> _Connection:
        if self.was_there and self.path is not None and not self.path.exists():
            raise sqlite3.OperationalError(f"{_REMOVED}: {self.path}")
        kind = _Connection if self.patience is None else _GreenConnection
        connection = kind(*args, **kwargs)
        connection.opener = self
        return connection


def _journal(cursor: Any) -> str:
    return str(cursor.execute("PRAGMA journal_mode").fetchone()[0])


def _limit(connection: Any, seconds: float) -> None:
    """Interrupt statements that run for longer."""
    began = time.monotonic()

    def note(_: str) -> None:
        nonlocal began
        began = time.monotonic()

    connection.set_trace_callback(note)  # called as a statement begins
    connection.set_progress_handler(lambda: time.monotonic() - began > seconds, 10_000)


#: What REGEXP has raised in this thread.
_swallowed = threading.local()


def _add_regexp(connection: Any, record: Any) -> None:
    connection.create_function("REGEXP", 2, _regexp, deterministic=True)


def _regexp(pattern: Any, item: Any) -> bool | None:
    if item is None:
        return None
    try:
        return patterns.matcher(str(pattern))(str(item))
    except BaseException as error:
        _swallowed.error = error
        raise


def _raise_swallowed(error: BaseException) -> None:
    swallowed: BaseException | None = getattr(_swallowed, "error", None)
    _swallowed.error = None
    if isinstance(swallowed, ValueError):
        raise exceptions.InvalidInput(reason=f"a pattern: {swallowed}") from error
    if swallowed is not None:
        raise swallowed from error


SQLITE: Final = Sqlite()
