"""What differs between the back-ends; nothing else in the library asks which one it talks to.

One object per family of servers says how an engine is made, how a transaction begins, which errors mean what, and how
the few statements are written that have no common form.
"""

from __future__ import annotations

import functools
import inspect
import re
import sqlite3
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from nova_sqlcore import exceptions
from nova_sqlcore.core import types

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nova_sqlcore.core.options import EngineOptions

Role = Literal["writer", "reader"]
Insert = TypeVar("Insert", bound=sa.Insert)


class Dialect:
    """The traits of one family of servers; the base holds what most have in common."""

    name: ClassVar[str]
    drivers: ClassVar[dict[str, str]]
    #: UPDATE ... RETURNING
    update_returning: ClassVar[bool] = False
    #: DELETE ... RETURNING
    delete_returning: ClassVar[bool] = False
    #: the id of a new row comes with RETURNING, not as ``lastrowid``
    id_by_returning: ClassVar[bool] = False
    #: WITH may delete rows and hand them to an INSERT
    moves_rows: ClassVar[bool] = False
    #: the rows of one INSERT get ascending ids, in their order, from one writer at a time
    ids_ascend: ClassVar[bool] = False
    #: SELECT ... FOR UPDATE locks rows
    locks_rows: ClassVar[bool] = True
    #: a SELECT that has waited for a lock sees all its tables as they are then, not as they were when it began
    locking_reads_are_fresh: ClassVar[bool] = False
    #: an UPDATE may be part of another statement, in its WITH clause
    update_in_with: ClassVar[bool] = False
    #: a failed statement leaves the transaction usable
    survives_errors: ClassVar[bool] = True
    #: addresses are inet: text that is no address is an error even in a comparison, and loses the transaction
    inet_addresses: ClassVar[bool] = False
    #: ORDER BY takes NULL for the greatest value, not for the smallest
    null_is_greatest: ClassVar[bool] = False
    #: a second writing connection of the same process would wait for the first one
    single_writer: ClassVar[bool] = False
    regexp_operator: ClassVar[str] = "REGEXP"
    #: many children come faster as one JSON text per parent than as rows (measured: 35 children for each of 500
    #: parents take 0.5 times as long through PyMySQL, 1.0 through sqlite3, 1.4 through psycopg)
    json_children: ClassVar[bool] = False
    #: begins a writing transaction; empty where the driver does it with the first statement
    begin_writer: ClassVar[str] = ""
    #: begins a transaction that reads from one snapshot, on a connection in autocommit mode
    begin_snapshot: ClassVar[str] = "BEGIN"

    def connect_args(self, url: sa.URL, role: Role, options: EngineOptions) -> dict[str, Any]:
        """Return the driver's own arguments for a new connection."""
        return {}

    def engine_args(self, url: sa.URL, role: Role, options: EngineOptions) -> dict[str, Any]:
        """Return this family's arguments for ``create_engine``."""
        return {}

    def prepare_connection(self, connection: Any, role: Role, options: EngineOptions) -> None:
        """Set up a new DB-API connection."""

    def lock_row(self, statement: sa.Select[Any], *, of: sa.Table | None = None) -> sa.Select[Any]:
        """Return ``statement`` as one that locks the rows it finds."""
        return statement.with_for_update(of=of)

    def lock_free_row(self, statement: sa.Select[Any]) -> sa.Select[Any]:
        """Return ``statement`` as one that locks rows and steps over those that somebody else holds."""
        return statement.with_for_update(skip_locked=True)

    def insert_absent(self, table: sa.Table, values: Mapping[str, Any] | sa.Select[Any]) -> sa.Insert:
        """Return an INSERT that does nothing where a unique key is taken."""
        raise NotImplementedError(self.name)

    def upsert(
        self,
        table: sa.Table,
        values: Mapping[str, Any] | sa.Select[Any],
        keys: Sequence[str],
        assignments: Mapping[str, Any],
        only_if: sa.ColumnElement[bool] | None = None,
    ) -> sa.Insert:
        """Return an INSERT that updates the row instead which already holds the unique key ``keys``.

        ``values`` may be a SELECT that gives the row, or none; it needs a WHERE clause, and names like the columns.
        ``assignments`` maps columns to expressions; a string "=" takes the value that was to be inserted, and a
        function makes an expression from the row that was to be inserted. The MySQL family assigns in their order. With
        ``only_if`` the row stays as it is unless the condition on the stored row holds.
        """
        raise NotImplementedError(self.name)

    def as_text(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
        """Return ``column`` in a form that text operators take."""
        return column  # sqlite and MySQL compare any type as text

    def converted(self, column: sa.ColumnElement[Any], kind: sa.types.TypeEngine[Any]) -> sa.ColumnElement[Any]:
        """Return ``column`` in a form that a column of type ``kind`` takes in INSERT ... SELECT."""
        return column

    def as_key(self, column: sa.ColumnElement[Any], key: sa.Column[Any]) -> sa.ColumnElement[Any]:
        """Return ``column`` in a form in which an index on ``key``, a column of another table, finds it."""
        return column

    def unindexed(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Return the term to sort by ``column`` for which no index is read, where the server misjudges that.

        PostgreSQL judges well.
        """
        return column

    def nulls_smallest(self, column: sa.ColumnElement[Any], direction: str) -> sa.ColumnElement[Any]:
        """Return the ORDER BY term for ``column`` with NULL as the smallest value."""
        return column.desc() if direction == "desc" else column.asc()

    def all_null(self, *columns: sa.ColumnElement[Any]) -> tuple[sa.ColumnElement[Any], ...]:
        """Return those of the columns, NULL in every row that is found, that must lead ORDER BY for an index to serve.

        The MySQL family would sort the rows by them (measured with 65,536 rows: 84 in place of 0.4 ms).
        """
        return ()

    def by_index(self, statement: sa.Select[Any], table: sa.FromClause, name: str) -> sa.Select[Any]:
        """Return ``statement`` as one that reads ``table`` by this index of the reference's schema."""
        return statement

    def guard(self) -> sa.Select[Any] | None:
        """Return the statement that takes the transaction-long guard bound as ``guard``, if this family has one."""
        return None

    def json_rows(self, columns: Mapping[str, sa.ColumnElement[Any]]) -> sa.ColumnElement[str]:
        """Return an aggregate that gives the grouped rows as the text of a JSON list of lists, in ``columns`` order."""
        raise NotImplementedError(self.name)

    def translate(self, error: BaseException) -> exceptions.DBError:
        """Return the library's error for a driver's error."""
        return exceptions.DBError(error)


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
            "timeout": options.busy_timeout,
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
            index_elements=list(keys), set_=_assigned(assignments, insert.excluded), where=only_if
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
        if code.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
            return exceptions.DBDeadlock(error)
        if text.startswith(("no such table", "no such column")) or " has no column named " in text:
            return exceptions.DatabaseNotMigrated(error)
        if code.startswith(("SQLITE_CANTOPEN", "SQLITE_NOTADB", "SQLITE_READONLY", "SQLITE_AUTH")):
            return exceptions.DBConnectionError(error)
        if isinstance(error, sqlite3.DataError | OverflowError) or code in ("SQLITE_MISMATCH", "SQLITE_TOOBIG"):
            return exceptions.DBDataError(error)
        return exceptions.DBError(error)


def _regexp(pattern: Any, item: Any) -> bool | None:
    return None if item is None else re.search(str(pattern), str(item)) is not None


def in_memory(url: sa.URL) -> bool:
    """Tell whether ``url`` names an sqlite database in memory."""
    name = url.database or ""
    return url.get_backend_name() == "sqlite" and (name in ("", ":memory:") or "mode=memory" in str(url.query) + name)


class MySQL(Dialect):
    """MySQL 8 and newer."""

    name = "mysql"
    drivers: ClassVar[dict[str, str]] = {"pymysql": "mysql", "mysqldb": "mysqlclient"}
    locking_reads_are_fresh = True
    json_children = True
    begin_snapshot = "START TRANSACTION WITH CONSISTENT SNAPSHOT"

    _CONFLICTS: ClassVar[frozenset[int]] = frozenset({1213, 1205, 1020})
    _CONNECTION: ClassVar[frozenset[int]] = frozenset(
        {1040, 1042, 1043, 1044, 1045, 1047, 1049, 1053, 1129, 1130, 1152, 1158, 1159, 1160, 1161, 1184, 1698, 1927}
        | {2002, 2003, 2005, 2006, 2012, 2013, 2014, 2026, 2045, 2055, 2059, 2061}
    )
    _DATA: ClassVar[frozenset[int]] = frozenset({1264, 1265, 1267, 1292, 1366, 1367, 1406, 1411, 3140, 3854})
    _FOREIGN_KEY = re.compile(
        r"\(.(?:\w+).\..(?P<table>\w+)., CONSTRAINT .(?P<constraint>[^`]+). "
        r"FOREIGN KEY \(.(?P<key>[^`]+).\) REFERENCES .(?P<parent>\w+)."
    )

    def connect_args(self, url: sa.URL, role: Role, options: EngineOptions) -> dict[str, Any]:
        """Put reading connections into autocommit mode."""
        return {"autocommit": role == "reader"}

    def engine_args(self, url: sa.URL, role: Role, options: EngineOptions) -> dict[str, Any]:
        """Let writers run READ COMMITTED: compare-and-swap and quota locks read the latest rows, without gap locks."""
        return {"isolation_level": "READ COMMITTED"} if role == "writer" else {}

    def prepare_connection(self, connection: Any, role: Role, options: EngineOptions) -> None:
        """Set the session up with one statement; a snapshot of several reads needs REPEATABLE READ."""
        settings: dict[str, Any] = {"time_zone": "+00:00", "group_concat_max_len": 16 * 1024 * 1024}
        if role == "reader":
            is_mariadb = "mariadb" in _server_version(connection).lower()
            settings["tx_isolation" if is_mariadb else "transaction_isolation"] = "REPEATABLE-READ"
        if options.sql_mode:
            settings["sql_mode"] = options.sql_mode
        if options.wsrep_sync_wait is not None:
            settings["wsrep_sync_wait"] = options.wsrep_sync_wait
        assignments = ", ".join(f"SESSION {name} = %s" for name in settings)
        cursor = connection.cursor()
        cursor.execute(f"SET {assignments}", tuple(settings.values()))
        cursor.close()

    def lock_row(self, statement: sa.Select[Any], *, of: sa.Table | None = None) -> sa.Select[Any]:
        """FOR UPDATE; the wider lock is taken where a server knows no OF."""
        return statement.with_for_update()

    def as_key(self, column: sa.ColumnElement[Any], key: sa.Column[Any]) -> sa.ColumnElement[Any]:
        """Cast to the charset of the other table: else an index is of no use where charsets differ."""
        return sa.cast(column, mysql.CHAR(charset=key.table.kwargs["mysql_charset"]))

    def unindexed(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Wrap it in COALESCE: with LIMIT the family rather reads many rows in order than it sorts a few."""
        return sa.func.coalesce(column)

    def by_index(self, statement: sa.Select[Any], table: sa.FromClause, name: str) -> sa.Select[Any]:
        """FORCE INDEX."""
        return statement.with_hint(table, f"FORCE INDEX ({name})")

    def insert_absent(self, table: sa.Table, values: Mapping[str, Any] | sa.Select[Any]) -> sa.Insert:
        """Assign the first key column to itself; INSERT IGNORE would hide other errors."""
        insert = filled(mysql.insert(table), values)
        column = next(iter(table.primary_key))
        return insert.on_duplicate_key_update({column.name: column})

    def upsert(
        self,
        table: sa.Table,
        values: Mapping[str, Any] | sa.Select[Any],
        keys: Sequence[str],
        assignments: Mapping[str, Any],
        only_if: sa.ColumnElement[bool] | None = None,
    ) -> sa.Insert:
        """ON DUPLICATE KEY UPDATE, with IF(condition, new, old) for a conditional one."""
        insert = filled(mysql.insert(table), values)
        changes = _assigned(assignments, insert.inserted)
        if only_if is not None:
            changes = {name: sa.func.if_(only_if, value, table.c[name]) for name, value in changes.items()}
        return insert.on_duplicate_key_update(list(changes.items()))

    def json_rows(self, columns: Mapping[str, sa.ColumnElement[Any]]) -> sa.ColumnElement[str]:
        """Join JSON lists by GROUP_CONCAT; the reader must check that the text parses (group_concat_max_len)."""
        one = sa.func.json_array(*columns.values())
        return sa.func.concat("[", sa.func.group_concat(one), "]", type_=sa.Text())

    def translate(self, error: BaseException) -> exceptions.DBError:
        """Translate by error number; key names stand in the text only."""
        args = error.args
        number = args[0] if args and isinstance(args[0], int) else None
        text = str(args[1]) if len(args) > 1 else str(error)
        if number in (1062, 1586):
            key = text.rpartition("for key ")[2].strip("'\" ")
            # MariaDB names no table; what the library inserts by a key other than ``id`` goes through an upsert
            columns = ["id"] if key.rpartition(".")[2] == "PRIMARY" else exceptions.columns_of_key(key)
            return exceptions.DBDuplicateEntry(columns=columns, inner_exception=error)
        if number in self._CONFLICTS:
            return exceptions.DBDeadlock(error)
        if number in (1216, 1217, 1451, 1452):
            return self._reference_error(error, text)
        if number in (3819, 4025):
            return exceptions.DBConstraintError(None, _quoted(text), inner_exception=error)
        if number in (1146, 1054):
            return exceptions.DatabaseNotMigrated(error)
        if number in self._DATA:
            return exceptions.DBDataError(error)
        if number in self._CONNECTION or type(error).__name__ == "InterfaceError":
            return exceptions.DBConnectionError(error)
        return exceptions.DBError(error)

    def _reference_error(self, error: BaseException, text: str) -> exceptions.DBReferenceError:
        found = self._FOREIGN_KEY.search(text)
        table, constraint, key, parent = found.group("table", "constraint", "key", "parent") if found else (None,) * 4
        return exceptions.DBReferenceError(table, constraint, key, parent, inner_exception=error)


class MariaDB(MySQL):
    """MariaDB 10.6 and newer."""

    delete_returning = True


def _server_version(connection: Any) -> str:
    """Return the version text of a PyMySQL or mysqlclient connection; both keep it from the handshake."""
    return str(connection.get_server_info())


def _quoted(text: str) -> str | None:
    found = re.search(r"[`'\"]([^`'\"]+)[`'\"]", text)
    return found.group(1) if found else None


class PostgreSQL(Dialect):
    """PostgreSQL 12 and newer, through psycopg 3."""

    name = "postgresql"
    drivers: ClassVar[dict[str, str]] = {"psycopg": "postgresql"}
    update_returning = True
    delete_returning = True
    moves_rows = True
    id_by_returning = True
    update_in_with = True
    survives_errors = False
    inet_addresses = True
    null_is_greatest = True
    regexp_operator = "~"
    begin_snapshot = "BEGIN ISOLATION LEVEL REPEATABLE READ"

    _CONFLICTS: ClassVar[frozenset[str]] = frozenset({"40001", "40P01", "55P03"})
    _CONNECTION: ClassVar[tuple[str, ...]] = ("08", "28", "3D", "53", "57P0")

    def connect_args(self, url: sa.URL, role: Role, options: EngineOptions) -> dict[str, Any]:
        """Prepare statements early; put reading connections into autocommit mode."""
        given = url.query.get("options", "")
        return {
            "autocommit": role == "reader",
            "prepare_threshold": options.prepare_threshold,
            "application_name": url.query.get("application_name", "nova_sqlcore"),
            "options": f"{given} -c timezone=UTC".strip(),
        }

    def engine_args(self, url: sa.URL, role: Role, options: EngineOptions) -> dict[str, Any]:
        """Take inet columns as text."""
        return {"native_inet_types": False}

    def prepare_connection(self, connection: Any, role: Role, options: EngineOptions) -> None:
        """Keep more statements prepared than psycopg's 100, and have no plan compiled.

        The library has several hundred statements of fixed text. Compiling takes a second where running takes
        milliseconds (measured for a batch of the archive: 1.2 s in place of 0.14 s).
        """
        connection.prepared_max = 500
        connection.autocommit = True
        connection.execute("SET jit = off")
        connection.autocommit = role == "reader"

    def insert_absent(self, table: sa.Table, values: Mapping[str, Any] | sa.Select[Any]) -> sa.Insert:
        """ON CONFLICT DO NOTHING."""
        return filled(postgresql.insert(table), values).on_conflict_do_nothing()

    def upsert(
        self,
        table: sa.Table,
        values: Mapping[str, Any] | sa.Select[Any],
        keys: Sequence[str],
        assignments: Mapping[str, Any],
        only_if: sa.ColumnElement[bool] | None = None,
    ) -> sa.Insert:
        """ON CONFLICT (keys) DO UPDATE."""
        insert = filled(postgresql.insert(table), values)
        return insert.on_conflict_do_update(
            index_elements=list(keys), set_=_assigned(assignments, insert.excluded), where=only_if
        )

    def as_text(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
        """Cast everything but text to text; the words of an ENUM are no text."""
        if isinstance(column.type, types.String | types.Text | sa.String) and not isinstance(column.type, sa.Enum):
            return column
        return sa.cast(column, sa.Text)

    def converted(self, column: sa.ColumnElement[Any], kind: sa.types.TypeEngine[Any]) -> sa.ColumnElement[Any]:
        """Cast one ENUM to another by way of text: two of them are different types, whatever their words."""
        if isinstance(kind, types.Enum) and isinstance(column.type, types.Enum) and kind.name != column.type.name:
            return sa.cast(sa.cast(column, sa.Text), kind)
        return column

    def nulls_smallest(self, column: sa.ColumnElement[Any], direction: str) -> sa.ColumnElement[Any]:
        """Say where NULL goes: by itself PostgreSQL takes it for the greatest value."""
        return column.desc().nulls_last() if direction == "desc" else column.asc().nulls_first()

    def all_null(self, *columns: sa.ColumnElement[Any]) -> tuple[sa.ColumnElement[Any], ...]:
        """Return all of them: PostgreSQL does not see that a column which IS NULL has no part in the order."""
        return columns

    def guard(self) -> sa.Select[Any]:
        """Return an advisory lock that the end of the transaction releases."""
        return _advisory_guard()

    def json_rows(self, columns: Mapping[str, sa.ColumnElement[Any]]) -> sa.ColumnElement[str]:
        """json_agg(json_build_array(...)) as text."""
        return sa.cast(sa.func.json_agg(sa.func.json_build_array(*columns.values())), sa.Text)

    def translate(self, error: BaseException) -> exceptions.DBError:
        """Translate by SQLSTATE and the names that the server sends beside the text."""
        state = getattr(error, "sqlstate", None) or ""
        diag: Any = getattr(error, "diag", None)
        if state == "23505":
            return exceptions.DBDuplicateEntry(columns=_columns_of(diag), inner_exception=error)
        if state in self._CONFLICTS:
            return exceptions.DBDeadlock(error)
        if state == "23503":
            return self._reference_error(error, diag)
        if state == "23514":
            return exceptions.DBConstraintError(diag.table_name, diag.constraint_name, inner_exception=error)
        if state in ("42P01", "42703"):
            return exceptions.DatabaseNotMigrated(error)
        if state.startswith("22") or state in ("42804", "42846") or (not state and type(error).__name__ == "DataError"):
            return exceptions.DBDataError(error)
        if state.startswith(self._CONNECTION) or (not state and type(error).__name__ == "OperationalError"):
            return exceptions.DBConnectionError(error)
        return exceptions.DBError(error)

    def _reference_error(self, error: BaseException, diag: Any) -> exceptions.DBReferenceError:
        found = re.search(r"Key \(([^)]+)\)=.* table \"(\w+)\"", diag.message_detail or "")
        key, parent = found.groups() if found else (None, None)
        return exceptions.DBReferenceError(diag.table_name, diag.constraint_name, key, parent, inner_exception=error)


def _columns_of(diag: Any) -> list[str]:
    """Return the columns of the unique key that was hit: its name says them, or the detail does for a primary key."""
    name = diag.constraint_name or ""
    found = re.search(r"Key \(([^)]+)\)=", diag.message_detail or "")
    if name.startswith("uniq_") or found is None:
        return exceptions.columns_of_key(name)
    return [column.strip() for column in found.group(1).split(",")]


class vague(FunctionElement[Any]):
    """A column whose values say too little for an index to be worth it.

    sqlite has no statistics and takes any index for a good one, such as that of the mark of soft delete, which finds
    all live rows; a plus sign keeps it from that. Other servers know better.
    """

    inherit_cache = True

    def __init__(self, column: sa.ColumnElement[Any]) -> None:
        """Stand for ``column``."""
        super().__init__(column)
        self.type = column.type


@compiles(vague)
def _plain(element: vague, compiler: Any, **options: Any) -> str:
    text: str = compiler.process(element.clauses.clauses[0], **options)
    return text


@compiles(vague, "sqlite")
def _with_plus(element: vague, compiler: Any, **options: Any) -> str:
    return f"+{_plain(element, compiler, **options)}"


@functools.cache
def _advisory_guard() -> sa.Select[Any]:
    return sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(sa.bindparam("guard", type_=sa.Text), 0)))


def filled(insert: Insert, values: Mapping[str, Any] | sa.Select[Any]) -> Insert:
    """Return ``insert`` of one row, or of what a SELECT gives."""
    if isinstance(values, sa.Select):
        return insert.from_select(values.selected_columns.keys(), values, include_defaults=False)
    return insert.values(dict(values))


def _assigned(assignments: Mapping[str, Any], new: Any) -> dict[str, Any]:
    """Return ``assignments`` with every "=" and every function replaced by what it stands for."""
    return {name: _of_new_row(name, value, new) for name, value in assignments.items()}


def _of_new_row(name: str, value: Any, new: Any) -> Any:
    if isinstance(value, str) and value == "=":
        return new[name]
    return value(new) if inspect.isfunction(value) else value


SQLITE = Sqlite()
MYSQL = MySQL()
MARIADB = MariaDB()
POSTGRESQL = PostgreSQL()

_FAMILIES: dict[str, Dialect] = {"sqlite": SQLITE, "mysql": MYSQL, "mariadb": MARIADB, "postgresql": POSTGRESQL}


def family(url: sa.URL) -> Dialect:
    """Return the traits for the database that ``url`` names.

    Raises: DBError for a scheme or a driver that the library does not know.
    """
    dialect = _FAMILIES.get(url.get_backend_name())
    known = "sqlite://, mysql+pymysql://, mysql+mysqldb://, postgresql+psycopg://"
    if dialect is None:
        raise exceptions.DBError(f"unknown database scheme {url.drivername!r}; use one of {known}")
    if "+" in url.drivername and url.drivername.partition("+")[2] not in dialect.drivers:
        raise exceptions.DBError(f"unknown driver in {url.drivername!r}; use one of {known}")
    return dialect


def of_engine(engine: sa.Engine) -> Dialect:
    """Return the traits for a server that has been connected to: MariaDB shows itself only then."""
    if getattr(engine.dialect, "is_mariadb", False):
        return MARIADB
    return _FAMILIES[engine.dialect.name]
