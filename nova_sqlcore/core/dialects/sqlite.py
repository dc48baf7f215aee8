"""sqlite."""

from __future__ import annotations

import re
import sqlite3
from typing import TYPE_CHECKING, Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from nova_sqlcore import exceptions
from nova_sqlcore.core.dialects.base import Dialect, assigned, filled, vague

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nova_sqlcore.core.dialects.base import Role
    from nova_sqlcore.core.options import EngineOptions


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


class _Compiler(sqlite.base.SQLiteCompiler):
    """Writes hints, which SQLAlchemy leaves out for sqlite."""

    def get_from_hint_text(self, table: sa.FromClause, text: str | None) -> str | None:
        return text


class Sqlite(Dialect):
    """sqlite 3.35 and newer, through the standard library."""

    name = "sqlite"
    drivers: ClassVar[dict[str, str]] = {"pysqlite": ""}
    update_returning = True
    delete_returning = True
    ids_ascend = True
    locks_rows = False
    single_writer = True
    begin_writer = "BEGIN IMMEDIATE"
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
        the connection is in autocommit mode, which a caller of the plain engine may ask for.
        """
        return {
            "isolation_level": None if role == "reader" or in_memory(url) else "",
            "timeout": self.lock_timeout(options),
            "cached_statements": 1000,
            "check_same_thread": False,
        }

    def engine_args(self, url: sa.URL, role: Role, options: EngineOptions) -> dict[str, Any]:
        """Return one shared connection for a database in memory."""
        return {"poolclass": sa.StaticPool} if in_memory(url) else {}

    def prepare_connection(self, connection: Any, role: Role, options: EngineOptions) -> None:
        """Set the journal to WAL and give the connection its REGEXP function."""
        connection.create_function("REGEXP", 2, _regexp, deterministic=True)
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        cursor.execute(f"PRAGMA synchronous = {'NORMAL' if options.sqlite_synchronous else 'OFF'}")
        cursor.close()

    def lock_timeout(self, options: EngineOptions) -> float:
        """Return ``busy_timeout``, or else ``lock_timeout``, or else the driver's own 5 seconds."""
        return next((time for time in (options.busy_timeout, options.lock_timeout) if time is not None), 5)

    def by_index(self, statement: sa.Select[Any], table: sa.FromClause, name: str) -> sa.Select[Any]:
        """INDEXED BY: since 3.46 sqlite scans the table if ANALYZE has found all rows alike in the index's columns."""
        return statement.with_hint(table, f"INDEXED BY {name}")

    def insert_absent(self, table: sa.Table, values: Mapping[str, Any] | sa.Select[Any]) -> sa.Insert:
        """ON CONFLICT DO NOTHING."""
        return filled(sqlite.insert(table), values).on_conflict_do_nothing()

    def upsert(
        self,
        table: sa.Table,
        values: Mapping[str, Any] | sa.Select[Any],
        keys: Sequence[str],
        assignments: Mapping[str, Any],
        only_if: sa.ColumnElement[bool] | None = None,
    ) -> sa.Insert:
        """ON CONFLICT (keys) DO UPDATE."""
        insert = filled(sqlite.insert(table), values)
        return insert.on_conflict_do_update(
            index_elements=list(keys), set_=assigned(assignments, insert.excluded), where=only_if
        )

    def unindexed(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Put a plus sign before it."""
        return vague(column)

    def json_rows(self, columns: Mapping[str, sa.ColumnElement[Any]]) -> sa.ColumnElement[str]:
        """json_group_array(json_array(...))."""
        return sa.func.json_group_array(sa.func.json_array(*columns.values()), type_=sa.Text())

    def translate(self, error: BaseException) -> exceptions.DBError:
        """Translate by sqlite's extended result code; its text is the only source of names.

        An error that did not come from the driver, as in fault injection, has no code: then the text tells it.
        """
        text = str(error)
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
        if text.startswith("Cannot operate on a closed database"):
            return exceptions.DBConnectionError(error)
        return next((kind for start, kind in _KINDS.items() if code.startswith(start)), exceptions.DBError)(error)


def _regexp(pattern: Any, item: Any) -> bool | None:
    return None if item is None else re.search(str(pattern), str(item)) is not None


def in_memory(url: sa.URL) -> bool:
    """Tell whether ``url`` names an sqlite database in memory."""
    name = url.database or ""
    return url.get_backend_name() == "sqlite" and (name in ("", ":memory:") or "mode=memory" in str(url.query) + name)
