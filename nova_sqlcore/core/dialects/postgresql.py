# SPDX-License-Identifier: Apache-2.0

"""PostgreSQL."""

from __future__ import annotations

import functools
import hashlib
import math
import re
import time
from typing import TYPE_CHECKING, Any, ClassVar, Final

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from nova_sqlcore import exceptions
from nova_sqlcore.core import lists, types
from nova_sqlcore.core.dialects.base import PLANNED_ANEW, SETTINGS, OnConflict, is_green, is_readable, with_remedy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from nova_sqlcore.core.carriers import Carrier
    from nova_sqlcore.core.dialects.base import AnySelect, Role
    from nova_sqlcore.core.options import EngineOptions


#: Settings of a session that answers depend on, and their values. No plan is compiled: that takes a second where
#: running takes milliseconds (measured for a batch of the archive: 1.2 s in place of 0.14 s).
_SESSION: dict[str, str] = {
    "timezone": "UTC",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "standard_conforming_strings": "on",
    "transform_null_equals": "off",
    "extra_float_digits": "1",
    "default_transaction_isolation": "read committed",
    "jit": "off",
}
#: How a server and PgBouncer say that there are too many connections.
_CROWDED: Final = (
    "too many connections",
    "too many clients",
    "connection slots are reserved",
    "no more connections allowed",
)
#: Settings that a pooler keeps with its client, for the server announces their changes.
_KEPT_BY_POOLERS: Final = ("timezone", "datestyle", "standard_conforming_strings")

#: What a SQLSTATE, or else its class, stands for; those that carry more than a text are not here.
_KINDS: dict[str, type[exceptions.DBError]] = {
    **dict.fromkeys(("40001", "40P01"), exceptions.DBDeadlock),
    "55P03": exceptions.DBLockTimeout,
    "57014": exceptions.DBTimeout,
    "25006": exceptions.DBReadOnly,
    **dict.fromkeys(("42P01", "42703"), exceptions.DatabaseNotMigrated),
    # class 22, and 54000, which is a value too long for an index
    **dict.fromkeys(("22", "42804", "42846", "54000"), exceptions.DBDataError),
    # the session was ended: idle in a transaction, transaction_timeout, shutdown (57P01 to 57P05); of class 53 only too
    # many connections: a full disk, full memory and full temporary space are the server's trouble, not the line's
    **dict.fromkeys(("08", "28", "3D", "25P03", "25P04", "53300"), exceptions.DBConnectionError),
    **dict.fromkeys(("57P01", "57P02", "57P03", "57P04", "57P05"), exceptions.DBConnectionError),
    # the session has other prepared statements than psycopg thinks, as after DEALLOCATE or behind a pooler
    **dict.fromkeys(("26000", "42P05"), exceptions.DBConnectionError),
}


class _Compiler(lists.Arrays, postgresql.psycopg.PGCompiler_psycopg):
    """Writes lists as arrays."""


class PostgreSQL(OnConflict):
    """PostgreSQL 12 and newer, through psycopg 3."""

    name = "postgresql"
    drivers: ClassVar[dict[str, str]] = {"psycopg": "postgresql"}
    update_returning = True
    delete_returning = True
    moves_rows = True
    id_by_returning = True
    update_in_with = True
    survives_errors = False
    null_is_greatest = True
    statement_compiler = _Compiler
    driver_begins = True
    rows_travel_together = True
    regexp_operator = "~"
    begin_snapshot = "BEGIN ISOLATION LEVEL REPEATABLE READ"
    # what is inserted, for with synchronous_commit off it is written to the file later
    position = sa.select(sa.cast(sa.func.pg_current_wal_insert_lsn(), sa.Text).label("position"))
    has_reached = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() >= %(position)s::pg_lsn END"
    replica_look = 0.01

    def connect_args(self, url: sa.URL, role: Role, options: EngineOptions) -> dict[str, Any]:
        """Prepare statements early, put reading connections into autocommit mode, and notice a peer that is gone.

        What the URL says of the line goes first. A database in SQL_ASCII would give bytes except for the encoding. The
        parameter ``options`` is the URL's alone: PgBouncer before 1.20 refuses it.
        """
        wanted = {
            "application_name": "nova_sqlcore",
            "connect_timeout": max(2, math.ceil(options.connect_timeout)),  # psycopg's least
            "keepalives_idle": options.keepalives_idle and max(1, math.ceil(options.keepalives_idle)),
            "keepalives_interval": options.keepalives_idle and 10,
            "keepalives_count": options.keepalives_idle and 3,
            "tcp_user_timeout": options.tcp_user_timeout and math.ceil(options.tcp_user_timeout * 1000),
        }
        arguments = {name: value for name, value in wanted.items() if value and name not in url.query}
        return {
            "autocommit": role == "reader",
            "prepare_threshold": options.prepare_threshold,
            "client_encoding": "utf8",
            **arguments,
        }

    def engine_args(self, url: sa.URL, role: Role, options: EngineOptions) -> dict[str, Any]:
        """Take inet columns as text; let writers see the latest rows, whatever isolation the server prefers."""
        return {"native_inet_types": False} | ({"isolation_level": "READ COMMITTED"} if role == "writer" else {})

    def prepare_connection(self, connection: Any, url: sa.URL, role: Role, options: EngineOptions) -> None:
        """Set the session up in one round trip; keep more statements prepared than psycopg's 100.

        The library has several hundred statements of fixed text.
        """
        settings = self._settings(options)
        wait, connection.prepared_max = _wait_of(connection), 500
        connection.wait = functools.partial(wait, timeout=options.connect_timeout)
        connection.autocommit = True
        if options.pooler == "transaction":  # other settings would stay with a session that serves other clients too
            _set(connection, {name: settings[name] for name in _KEPT_BY_POOLERS})
            _set_in_each_transaction(connection, settings)
        elif _set(connection, settings) and not options.pooler:
            _set_in_each_transaction(connection, settings)
        connection.autocommit = role == "reader"
        connection.wait = functools.partial(wait, timeout=options.read_timeout or None)

    def _settings(self, options: EngineOptions) -> dict[str, str]:
        settings = _SESSION | {"statement_timeout": f"{math.ceil(self.statement_timeout(options) * 1000)}ms"}
        if options.lock_timeout is not None:
            settings["lock_timeout"] = f"{max(1, math.ceil(options.lock_timeout * 1000))}ms"  # 0 would be for ever
        return settings

    def autocommit_is_free(self, connection: Any) -> bool:
        """Tell that it is, unless settings must travel with BEGIN."""
        return "_start_query" not in vars(connection)

    def set_autocommit(self, cursor: Any, is_on: bool) -> None:
        """Take the short way of the library's own cursor."""
        set_on = getattr(cursor, "set_autocommit", None)
        if set_on is None:
            super().set_autocommit(cursor, is_on)
        else:
            set_on(is_on)

    def is_crowded(self, error: BaseException) -> bool:
        """Look for too_many_connections; libpq tells the text alone when a login fails, and PgBouncer has its own."""
        return getattr(error, "sqlstate", None) == "53300" or any(text in str(error) for text in _CROWDED)

    def in_transaction(self, connection: Any) -> bool:
        """The transaction status that came with the last answer; an answer that is still to come counts too."""
        return int(connection.pgconn.transaction_status) != 0

    def carrier(self, connection: Any, options: EngineOptions) -> Carrier | None:
        """A pipeline."""
        if not options.batch:
            return None
        from nova_sqlcore.core import psycopg_batch  # psycopg is an extra

        return psycopg_batch.CARRIER if psycopg_batch.is_supported() else None

    def cursor(self, connection: Any, options: EngineOptions) -> Any:
        """Take one with a short way for prepared statements, unless somebody wants cursors of another kind."""
        if options.fast_reader:
            from nova_sqlcore.core import psycopg_cursor  # psycopg is an extra

            if psycopg_cursor.is_supported() and psycopg_cursor.is_plain(connection):
                return psycopg_cursor.FastCursor(connection)
        return super().cursor(connection, options)

    def is_quiet(self, connection: Any) -> bool:
        """Look at libpq's socket."""
        try:
            return not is_readable(connection.pgconn.socket)
        except connection.Error:  # it is closed
            return False

    def is_answer(self, error: BaseException) -> bool:
        """What the server says has a SQLSTATE."""
        return bool(getattr(error, "sqlstate", None))

    def into(self, table: sa.Table) -> Any:
        """Return the one with ON CONFLICT."""
        return postgresql.insert(table)

    def as_text(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
        """Cast everything but text to text; the words of an ENUM are not text."""
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

    def guard(self) -> tuple[sa.sql.expression.Executable, ...]:
        """An advisory lock, which the end of the transaction releases."""
        return (_ADVISORY_LOCK,)

    def hold(self, connection: sa.Connection, name: str, seconds: float) -> bool:
        """Hold a lock of the transaction, which a pooler of transactions keeps with it."""
        number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], signed=True)
        deadline = time.monotonic() + seconds
        while not connection.scalar(sa.select(sa.func.pg_try_advisory_xact_lock(number))):
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.1)
        return True

    def count_ids_from(self, table: sa.Table, number: int) -> tuple[sa.sql.expression.Executable, ...]:
        """Set the sequence, which explicit ids do not move."""
        (column,) = table.primary_key
        sequence = sa.func.pg_get_serial_sequence(table.name, column.name)
        return (sa.select(sa.func.setval(sequence, number, sa.false())),)

    def planned_anew(self, statement: AnySelect) -> AnySelect:
        """Mark it for the library's cursor, which does not prepare it then."""
        return statement.suffix_with(PLANNED_ANEW)

    def json_rows(self, columns: Mapping[str, sa.ColumnElement[Any]]) -> sa.ColumnElement[str]:
        """json_agg(json_build_array(...)) as text."""
        return sa.cast(sa.func.json_agg(sa.func.json_build_array(*columns.values())), sa.Text)

    def translate(self, error: BaseException, url: sa.URL | None = None) -> exceptions.DBError:
        """Translate by SQLSTATE and the names that the server sends beside the text."""
        state = getattr(error, "sqlstate", None) or ""
        diag: Any = getattr(error, "diag", None)
        if state == "23505":
            return exceptions.DBDuplicateEntry(columns=_columns_of(diag), inner_exception=error)
        if state == "23503":
            return self._reference_error(error, diag)
        if state == "23514":
            return exceptions.DBConstraintError(diag.table_name, diag.constraint_name, inner_exception=error)
        if state == "0A000" and "cached plan" in str(error):  # the schema has changed beneath a prepared statement
            return exceptions.DBConnectionError(error)
        if not state:
            return _without_state(error)
        return (_KINDS.get(state) or _KINDS.get(state[:2]) or exceptions.DBError)(error)

    def _reference_error(self, error: BaseException, diag: Any) -> exceptions.DBReferenceError:
        found = re.search(r"Key \(([^)]+)\)=.* table \"(\w+)\"", diag.message_detail or "")
        key, parent = found.groups() if found else (None, None)
        return exceptions.DBReferenceError(diag.table_name, diag.constraint_name, key, parent, inner_exception=error)


def _wait_of(connection: Any) -> Callable[..., Any]:
    """Return what waits for the server: in C, unless green threads are in use.

    There it would hold up all others, the one whose row it waits for among them. psycopg itself knows gevent only.
    """
    if not is_green("select"):
        wait: Callable[..., Any] = connection.wait
        return wait
    from psycopg.waiting import wait_select

    def green_wait(generator: Any, interval: float = 1, timeout: float | None = None) -> Any:
        return wait_select(generator, connection.pgconn.socket, interval, timeout)

    return green_wait


def _set(connection: Any, settings: Mapping[str, str]) -> bool:
    """Set the session up; return whether a pooler is between: it tells its clients a number of its own.

    Raises: psycopg.errors.TooManyConnections if there is no answer, though the login has passed.
    """
    from psycopg import OperationalError, errors  # an extra

    statements = ["SELECT pg_backend_pid()", *(f"SET {name} = '{value}'" for name, value in settings.items())]
    try:
        (number,) = connection.execute("; ".join(statements)).fetchone()
    except OperationalError as error:
        is_silent = error.sqlstate is None and not connection.closed
        connection.close()
        if is_silent:
            raise errors.TooManyConnections(
                "the login has passed, but no answer comes: a pooler in between has no server connection to spare "
                "(PgBouncer: default_pool_size)"
            ) from error
        raise
    return bool(number != connection.info.backend_pid)


def _set_in_each_transaction(connection: Any, settings: Mapping[str, str]) -> None:
    """Let settings travel with BEGIN: a pooler may lend another session to each transaction.

    Statements that psycopg would have prepared are in one of these sessions only. psycopg has no public way to add to
    BEGIN without another round trip.
    """
    from psycopg import errors, generators, pq  # an extra

    wanted = (f"set_config('{name}', '{settings[name]}', true)" for name in settings if name not in _KEPT_BY_POOLERS)
    setting = f"SELECT {', '.join(wanted)}".encode()

    def start_query() -> Iterator[Any]:
        if connection.autocommit or connection.pgconn.transaction_status != pq.TransactionStatus.IDLE:
            return
        begin = connection._get_tx_start_command()
        if connection._pipeline:  # as in executemany: each statement by itself
            yield from connection._exec_command(begin)
            yield from connection._exec_command(setting)
            yield from connection._pipeline._sync_gen()
            return
        connection.pgconn.send_query(b"; ".join((begin, setting)))
        for result in (yield from generators.execute(connection.pgconn)):
            if result.status == pq.ExecStatus.FATAL_ERROR:
                raise errors.error_from_result(result)

    connection._start_query = start_query
    setattr(connection, SETTINGS, setting)
    connection.prepare_threshold = None


#: How psycopg begins the errors of those that want in; what follows is in the server's language.
_REFUSED: Final = ("connection failed", "connection is bad", "connection timeout")
_REMEDY: Final = "are host, port, user, password and database of the URL right, and may this user come from this host?"


def _without_state(error: BaseException) -> exceptions.DBError:
    """Return the library's error for one that psycopg itself raises; the server knows nothing of it."""
    from psycopg import DataError, InterfaceError, OperationalError  # an extra; it is loaded if its error is here

    if hasattr(error, "_pgconn"):
        error._pgconn = None  # after a failed login it shows the password to whoever prints it
    if isinstance(error, DataError):
        return exceptions.DBDataError(error)
    if isinstance(error, OperationalError | InterfaceError):
        failure = exceptions.DBConnectionError(error)
        return with_remedy(failure, _REMEDY) if str(error).startswith(_REFUSED) else failure
    return exceptions.DBError(error)


def _columns_of(diag: Any) -> list[str]:
    """Return the columns of the unique key that was hit: its name says them, or the detail does for a primary key."""
    name = diag.constraint_name or ""
    found = re.search(r"Key \(([^)]+)\)=", diag.message_detail or "")
    if name.startswith("uniq_") or found is None:
        return exceptions.columns_of_key(name)
    return [column.strip() for column in found.group(1).split(",")]


_ADVISORY_LOCK = sa.select(
    sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(sa.bindparam("guard", type_=sa.Text), 0))
)

POSTGRESQL: Final = PostgreSQL()
