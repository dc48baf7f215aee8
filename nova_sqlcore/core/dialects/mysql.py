# SPDX-License-Identifier: Apache-2.0

"""MySQL and MariaDB."""

from __future__ import annotations

import contextlib
import hashlib
import math
import os
import re
import sys
from typing import TYPE_CHECKING, Any, ClassVar, Final

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from nova_sqlcore import exceptions
from nova_sqlcore.core import lists, types
from nova_sqlcore.core.dialects.base import (
    ID_STEP,
    PACKET,
    PROXIED,
    Dialect,
    assigned,
    filled,
    is_readable,
    with_remedy,
)
from nova_sqlcore.core.equality import alike, exactly, in_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nova_sqlcore.core.carriers import Carrier
    from nova_sqlcore.core.dialects.base import AnySelect, Role
    from nova_sqlcore.core.options import EngineOptions

#: The flag SERVER_STATUS_IN_TRANS of the protocol.
_IN_TRANSACTION: Final = 1


#: Settings of a session that answers depend on, and their values.
_SESSION: dict[str, Any] = {
    "time_zone": "+00:00",
    "group_concat_max_len": 16 * 1024 * 1024,
    "sql_auto_is_null": 0,
    "sql_safe_updates": 0,
    "sql_big_selects": 1,
    "sql_select_limit": 2**64 - 1,
    "foreign_key_checks": 1,
    "unique_checks": 1,
    "completion_type": 0,
}

#: What an error number stands for; those that carry more than a text are not here.
_KINDS: dict[int, type[exceptions.DBError]] = {
    # ER_CHECKREAD, ER_LOCK_DEADLOCK (also Galera's certification), ER_TABLE_DEF_CHANGED, ER_USER_LOCK_DEADLOCK, and
    # ER_TRANSACTION_ROLLBACK_DURING_COMMIT (certification of Group Replication)
    **dict.fromkeys((1020, 1213, 1412, 3058, 3101), exceptions.DBDeadlock),
    # ER_LOCK_WAIT_TIMEOUT, ER_LOCK_NOWAIT
    **dict.fromkeys((1205, 3572), exceptions.DBLockTimeout),
    # ER_QUERY_INTERRUPTED, ER_STATEMENT_TIMEOUT (MariaDB), ER_QUERY_TIMEOUT
    **dict.fromkeys((1317, 1969, 3024), exceptions.DBTimeout),
    # ER_CANT_EXECUTE_IN_READ_ONLY_TRANSACTION, ER_READ_ONLY_MODE; 1290 says by its text which option it means
    **dict.fromkeys((1792, 1836), exceptions.DBReadOnly),
    **dict.fromkeys((1054, 1146), exceptions.DatabaseNotMigrated),
    # values that do not fit: ranges, charsets, dates, JSON; 1153 and 2020 are packets that are too large
    **dict.fromkeys(
        (1118, 1153, 1264, 1265, 1267, 1270, 1271, 1292, 1300, 1301, 1366, 1367, 1406), exceptions.DBDataError
    ),
    **dict.fromkeys((1411, 1441, 1690, 2020, 3140, 3854, 3988), exceptions.DBDataError),
    # refused at the door: limits of connections, hosts, logins, plug-ins, accounts that are locked or expired, TLS
    **dict.fromkeys((1040, 1042, 1043, 1044, 1045, 1049, 1129, 1130, 1135, 1203, 1226), exceptions.DBConnectionError),
    **dict.fromkeys((1251, 1524, 1698, 1820, 1862, 3032, 3118, 3159, 4151), exceptions.DBConnectionError),
    # the server goes, the network fails, the session was ended: 1047 is a Galera node that is not ready, 1927 and 3169
    # are KILL, 4031 is an idle session since MySQL 8.0.24, 9001 is ProxySQL that reaches no server
    **dict.fromkeys((1047, 1053, 1077, 1079, 1080, 1081, 1152, 1154, 1155, 1156, 1157), exceptions.DBConnectionError),
    **dict.fromkeys((1158, 1159, 1160, 1161, 1184, 1927, 3168, 3169, 4031, 9001), exceptions.DBConnectionError),
    # the client library's own
    **dict.fromkeys((2001, 2002, 2003, 2004, 2005, 2006, 2007, 2009, 2011, 2012), exceptions.DBConnectionError),
    **dict.fromkeys((2013, 2014, 2026, 2027, 2045, 2047, 2048, 2055, 2059, 2061), exceptions.DBConnectionError),
}
#: What to do about errors of those that want in, by number.
_REMEDIES: Final[dict[int, str]] = {
    **dict.fromkeys((2002, 2003, 2005), "does a server run there, and are host and port of the URL its own?"),
    **dict.fromkeys((1045, 1698), "are user and password of the URL right, for connections from this host?"),
    1044: "grant the user of the URL the database",
    1049: "make the database first (CREATE DATABASE), or name another at the end of the URL",
    1130: "let the server take connections from this host",
    **dict.fromkeys((1040, 1203, 1226), "use fewer connections (pool_size, max_overflow), or raise the server's limit"),
}
#: A Galera node has lost the others: ER_UNKNOWN_COM_ERROR, which is what it answers to everything but SET and SHOW.
_NOT_READY: Final = 1047
#: ER_ERROR_DURING_COMMIT: on Galera also that the node has lost the others after it had sent them the transaction.
_FAILED_COMMIT: Final = 1180
#: What a Galera node says of a transaction that it can't send to the others, by number and by words of the text.
_OF_WRITE_SETS: dict[int, dict[str, type[exceptions.DBError]]] = {
    1105: {"writeset size exceeded": exceptions.DBTransactionTooLarge},
    _FAILED_COMMIT: {
        "exceed": exceptions.DBTransactionTooLarge,
        "Primary Component": exceptions.DBConnectionError,
    },
}
#: How PyMySQL begins the errors of a broken connection that have no number.
_BROKEN: tuple[str, ...] = ("packet sequence number wrong", "already closed", "connection was killed")


_FACTS: Final = (
    "SHOW VARIABLES WHERE variable_name IN "
    "('auto_increment_increment', 'max_allowed_packet', 'wsrep_on', 'pseudo_thread_id')"
)

#: Arguments of a URL that are true or false, and what mysqlclient calls them.
_TLS_MODES: Final = {"ssl_verify_identity": "VERIFY_IDENTITY", "ssl_disabled": "DISABLED"}
#: Those that name files.
_TLS_FILES: Final = ("ssl_ca", "ssl_capath", "ssl_cert", "ssl_key")

#: A column is compared with text that its charset lacks.
_MIXED: Final = frozenset({1267, 1270, 1271, 3854})


class _Compiler(lists.WholeLists, mysql.base.MySQLCompiler):
    """Leaves lists to the driver."""


class MySQL(Dialect):
    """MySQL 8 and newer."""

    name = "mysql"
    statement_compiler = _Compiler
    drivers: ClassVar[dict[str, str]] = {"pymysql": "mysql", "mysqldb": "mysqlclient"}
    updates_from_rows = True
    locking_reads_are_fresh = True
    finds_by_number = True
    folds_keys = True
    sorts_by_pins = True
    reads_many_ranges = True
    packet_limit = "SELECT @@max_allowed_packet"
    begin_snapshot = "START TRANSACTION WITH CONSISTENT SNAPSHOT"
    position = sa.select(sa.literal_column("@@GLOBAL.gtid_executed", sa.String()).label("position"))
    # without GTIDs, as by default in MySQL 8, the function is an error
    has_reached = "SELECT IF(@@GLOBAL.gtid_mode = 'OFF', 0, WAIT_FOR_EXECUTED_GTID_SET(%(position)s, %(seconds)s) = 0)"

    _FOREIGN_KEY = re.compile(
        r"\(.(?:\w+).\..(?P<table>\w+)., CONSTRAINT .(?P<constraint>[^`]+). "
        r"FOREIGN KEY \(.(?P<key>[^`]+).\) REFERENCES .(?P<parent>\w+)."
    )

    def spelled(self, url: sa.URL) -> sa.URL:
        """Let one spelling serve for both drivers, and words for false say false.

        PyMySQL takes any text for true, and so no TLS at all for ``ssl_disabled=false``; and what it is told about the
        identity makes it forget the CA of a URL. To mysqlclient both are words of ``ssl_mode``.
        """
        query = dict(url.query)
        for name, mode in _TLS_MODES.items():
            given = query.pop(name, None)
            if given is None or not _is_true(name, given):
                continue
            if url.get_driver_name() == "mysqldb":
                query["ssl_mode"] = mode
            elif mode == "VERIFY_IDENTITY" and "ssl_ca" in query:
                query["ssl_check_hostname"] = "true"
            else:
                query[name] = given
        return url.set(query=query)

    def connect_args(self, url: sa.URL, role: Role, options: EngineOptions) -> dict[str, Any]:
        """Put reading connections into autocommit mode, and limit how long the driver waits.

        PyMySQL's own limit for connecting ends with the TCP handshake: until the session is set up the one for answers
        stands in. What the URL says goes first.
        """
        limit = options.connect_timeout
        answer: float | None = limit
        if url.get_driver_name() == "mysqldb":  # it counts whole seconds; its limit for connecting includes the login
            limit, answer = math.ceil(limit), options.read_timeout and math.ceil(options.read_timeout)
        wanted = {"connect_timeout": limit, "read_timeout": answer, "write_timeout": answer, "charset": "utf8mb4"}
        arguments: dict[str, Any] = {name: value for name, value in wanted.items() if value and name not in url.query}
        if url.get_driver_name() == "mysqldb" and "multi_statements" not in url.query:
            arguments["multi_statements"] = False  # it allows them otherwise, to an injected semicolon too
        return {"autocommit": role == "reader", **arguments}

    def engine_args(self, url: sa.URL, role: Role, options: EngineOptions) -> dict[str, Any]:
        """Let writers run READ COMMITTED: compare-and-swap and quota locks read the latest rows, without gap locks."""
        return {"isolation_level": "READ COMMITTED"} if role == "writer" else {}

    def prepare_engine(self, engine: sa.Engine, options: EngineOptions) -> None:
        """Let PyMySQL's connections read their results faster."""
        if engine.driver != "pymysql" or not options.fast_reader:
            return
        from nova_sqlcore.core import pymysql_reader  # PyMySQL is an extra

        if pymysql_reader.is_supported():
            dialect: Any = engine.dialect
            dialect.connect = pymysql_reader.FastConnection

    def of_server(self, connection: sa.Connection) -> Dialect:
        """Tell MariaDB and Galera, which show themselves only to those who are connected."""
        is_mariadb = getattr(connection.engine.dialect, "is_mariadb", False)
        alone, clustered = (MARIADB, GALERA) if is_mariadb else (MYSQL, XTRADB_CLUSTER)
        try:
            return clustered if _is_clustered(connection.connection) else alone
        except connection.engine.dialect.loaded_dbapi.Error as error:
            raise alone.translate(error) from error

    def prepare_connection(self, connection: Any, url: sa.URL, role: Role, options: EngineOptions) -> None:
        """Set the session up with one statement, whatever the server's own settings are.

        A snapshot of several reads needs REPEATABLE READ.
        """
        is_mariadb = "mariadb" in _server_version(connection).lower()
        settings = _SESSION | self._limits(options, is_mariadb)
        if role == "reader":
            settings["tx_isolation" if is_mariadb else "transaction_isolation"] = "REPEATABLE-READ"
        if options.sql_mode:
            settings["sql_mode"] = options.sql_mode
        if options.wsrep_sync_wait is not None:
            settings["wsrep_sync_wait"] = options.wsrep_sync_wait
        assignments = ", ".join(f"SESSION {name} = %s" for name in settings)
        cursor = connection.cursor()
        cursor.execute(f"SET {assignments}", tuple(settings.values()))
        cursor.close()
        if url.get_driver_name() == "pymysql":  # it offers no other way to change them
            for name in ("read_timeout", "write_timeout"):
                if name not in url.query:
                    setattr(connection, f"_{name}", options.read_timeout)

    def _limits(self, options: EngineOptions, is_mariadb: bool) -> dict[str, Any]:
        """Return the limits of time in the server's units: MySQL counts a statement's milliseconds, MariaDB seconds."""
        limit = self.statement_timeout(options)
        limits: dict[str, Any] = (
            {"max_statement_time": limit} if is_mariadb else {"max_execution_time": math.ceil(limit * 1000)}
        )
        if options.lock_timeout is not None:
            seconds = max(1, math.ceil(options.lock_timeout))
            limits |= {"innodb_lock_wait_timeout": seconds, "lock_wait_timeout": seconds}
        return limits

    def facts(self, connection: Any) -> dict[str, Any]:
        """Return the server's limit of a packet, and on MySQL the step of ids; mark the connection of a proxy.

        A session keeps its step unless it is part of a cluster that may change it. MariaDB tells the ids themselves. A
        proxy such as ProxySQL counts its clients itself, so that the session has another number than the connection.
        """
        cursor = connection.cursor()
        cursor.execute(_FACTS)
        found = {name.lower(): value for name, value in cursor.fetchall()}
        cursor.close()
        number = connection.thread_id()
        if _is_pymysql(connection) and int(found.get("pseudo_thread_id", number)) % 2**32 != number:
            setattr(connection, PROXIED, True)
        facts = {PACKET: int(found["max_allowed_packet"])}
        if "mariadb" in _server_version(connection).lower() or "wsrep_on" in found:
            return facts
        return facts | {ID_STEP: int(found["auto_increment_increment"])}

    def carrier(self, connection: Any, options: EngineOptions) -> Carrier | None:
        """PyMySQL's; mysqlclient's connections take statements one by one."""
        if not options.batch or not _is_pymysql(connection):
            return None
        from nova_sqlcore.core import pymysql_batch  # PyMySQL is an extra

        return pymysql_batch.CARRIER if pymysql_batch.is_supported(connection) else None

    def is_quiet(self, connection: Any) -> bool:
        """Look at PyMySQL's socket, which may be closed already; mysqlclient does not show it."""
        if not _is_pymysql(connection):
            return True
        return connection._sock is not None and not is_readable(connection._sock)

    def is_answer(self, error: BaseException) -> bool:
        """The numbers from 2000 to 2999 are the client's own; 1180 says only that COMMIT went wrong."""
        number = error.args[0] if error.args else None
        return isinstance(number, int) and number >= 1000 and not 2000 <= number < 3000 and number != _FAILED_COMMIT

    def refuses_commit(self, error: BaseException) -> bool:
        """A node that has lost the others does not begin any statement."""
        return error.args[:1] == (_NOT_READY,)

    def is_crowded(self, error: BaseException) -> bool:
        """Look for ER_CON_COUNT_ERROR and for the limits of an account."""
        return error.args[:1] in ((1040,), (1203,), (1226,))

    def in_transaction(self, connection: Any) -> bool | None:
        """PyMySQL keeps the status flags of the last answer; mysqlclient does not show them."""
        status = getattr(connection, "server_status", None)
        return None if status is None else bool(status & _IN_TRANSACTION)

    def leave_to_parent(self, connection: Any) -> None:
        """Close the child's side of mysqlclient's socket: its connections say good-bye to the server when they go."""
        if not hasattr(connection, "server_status"):
            with open(os.devnull) as nothing:
                os.dup2(nothing.fileno(), connection.fileno())

    def lock_row(self, statement: AnySelect, *, of: sa.Table | None = None) -> AnySelect:
        """FOR UPDATE; the wider lock is taken where a server knows no OF."""
        return statement.with_for_update()

    def as_key(self, column: sa.ColumnElement[Any], key: sa.Column[Any]) -> sa.ColumnElement[Any]:
        """Cast to the charset of the other table: else an index is of no use where charsets differ."""
        return sa.cast(column, mysql.CHAR(charset=key.table.kwargs["mysql_charset"]))

    def unindexed(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Wrap it in COALESCE: with LIMIT the family rather reads many rows in order than it sorts a few."""
        return sa.func.coalesce(column)

    def pinned(self, column: sa.ColumnElement[Any], value: Any) -> sa.ColumnElement[Any]:
        """Say it as a range, from the value to itself.

        With a constant the family rather reads the rows of all others in order than it sorts a few; and MariaDB reads
        or sorts all rows that have it, from the first one on, for those behind a marker. No hint helps: an index that
        a hint names has to be there.
        """
        return sa.and_(column >= value, column <= value, *(alike(one, value) for one in exactly(column)[1:]))

    def by_index(self, statement: AnySelect, table: sa.FromClause, name: str) -> AnySelect:
        """FORCE INDEX."""
        return statement.with_hint(table, f"FORCE INDEX ({name})")

    def prefer_index(self, statement: sa.Select[Any], table: sa.FromClause, name: str) -> sa.Select[Any]:
        """Give MySQL a hint, with which it only warns of a missing index; to MariaDB it is a comment."""
        return statement.prefix_with(f"/*+ INDEX({table.description} {name}) */")

    def in_order(self, statement: AnySelect) -> AnySelect:
        """STRAIGHT_JOIN."""
        return statement.prefix_with("STRAIGHT_JOIN")

    def update_by_index(self, update: sa.Update, name: str) -> sa.Update:
        """FORCE INDEX."""
        return update.with_hint(f"FORCE INDEX ({name})")

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
        """ON DUPLICATE KEY UPDATE, with IF(condition, new, old) for a conditional one.

        A row whose key is equal only by the collation is another row: it makes the statement fail.
        """
        insert = filled(mysql.insert(table), values)
        changes = assigned(assignments, insert.inserted)
        if only_if is not None:
            changes = {name: sa.func.if_(only_if, value, table.c[name]) for name, value in changes.items()}
        texts = [table.c[name] for name in keys if isinstance(table.c[name].type, types.String)]
        if texts:
            same = sa.and_(*(in_bytes(column) == in_bytes(insert.inserted[column.name]) for column in texts))
            changes |= {texts[-1].name: sa.func.if_(same, texts[-1], _failure(texts[-1]))}
        return insert.on_duplicate_key_update(list(changes.items()))

    def guard(self) -> tuple[sa.sql.expression.Executable, ...]:
        """Write a row and delete it again: nothing stays behind, and its key is locked until the transaction ends.

        The nodes of a Galera cluster let only one of two transactions commit that have written the same key. A table
        whose primary key is text serves, for it has no sequence of ids that this would use up. A plain INSERT would
        lock a key that is taken for sharing: of two who wait, one would be ended as a deadlock when they go on
        (measured with 8 processes at one key: 4,071 deadlocks in 1,200 turns; with ON DUPLICATE KEY none).
        """
        return _WRITE_KEY, _DELETE_KEY

    def hold(self, connection: sa.Connection, name: str, seconds: float) -> bool:
        """Hold a lock of the whole server, until the connection ends."""
        whole = hashlib.sha256(f"{connection.engine.url.database} {name}".encode()).hexdigest()  # 64 letters at most
        return connection.scalar(sa.select(sa.func.get_lock(whole, seconds))) == 1

    def json_rows(self, columns: Mapping[str, sa.ColumnElement[Any]]) -> sa.ColumnElement[str]:
        """Join JSON lists by GROUP_CONCAT; the reader must check that the text parses (group_concat_max_len)."""
        one = sa.func.json_array(*columns.values())
        return sa.func.concat("[", sa.func.group_concat(one), "]", type_=sa.Text())

    def refuses_comparison(self, error: BaseException) -> bool:
        """Look for "illegal mix of collations", and MySQL 8's "cannot convert string"."""
        origin = error.inner_exception if isinstance(error, exceptions.DBDataError) else None
        return isinstance(origin, Exception) and any(number in _MIXED for number in origin.args[:1])

    def translate(self, error: BaseException, url: sa.URL | None = None) -> exceptions.DBError:
        """Translate by error number; key names stand in the text only.

        Raises: InvalidInput(reason) for a pattern that the server gives up; the statement alone is lost.
        """
        if isinstance(error, OSError):
            return _tls_error(error, url)
        args = error.args
        number = args[0] if args and isinstance(args[0], int) else None
        text = str(args[1]) if len(args) > 1 else str(error)
        if number in (1022, 1062, 1169, 1586, 1859):
            return exceptions.DBDuplicateEntry(columns=_columns_of(text), inner_exception=error)
        if number in (1216, 1217, 1451, 1452):
            return self._reference_error(error, text)
        if number in _PATTERN_ERRORS:
            raise exceptions.InvalidInput(reason=f"a pattern: {text}") from error
        if number == 1690 and str(_OVERFLOW) in text:
            return exceptions.DBKeyClash(_KEY_CLASH, error)
        if number in (3819, 4025):
            return exceptions.DBConstraintError(None, _quoted(text), inner_exception=error)
        if number in _OF_WRITE_SETS:
            found = (kind for words, kind in _OF_WRITE_SETS[number].items() if words in text)
            return next(found, exceptions.DBError)(error)
        if number == 1290 and "read-only" in text.replace("_", "-"):  # it stands for any option that forbids something
            return exceptions.DBReadOnly(error)
        if isinstance(error, _interface_errors()) or text.lower().startswith(_BROKEN):
            return exceptions.DBConnectionError(error)
        failure = _KINDS.get(number or 0, exceptions.DBError)(error)
        return with_remedy(failure, _REMEDIES[number]) if number in _REMEDIES else failure

    def _reference_error(self, error: BaseException, text: str) -> exceptions.DBReferenceError:
        found = self._FOREIGN_KEY.search(text)
        table, constraint, key, parent = found.group("table", "constraint", "key", "parent") if found else (None,) * 4
        return exceptions.DBReferenceError(table, constraint, key, parent, inner_exception=error)


class MariaDB(MySQL):
    """MariaDB 10.6 and newer."""

    delete_returning = True
    position = sa.select(sa.literal_column("@@GLOBAL.gtid_binlog_pos", sa.String()).label("position"))
    has_reached = "SELECT MASTER_GTID_WAIT(%(position)s, %(seconds)s) = 0"

    def json_rows(self, columns: Mapping[str, sa.ColumnElement[Any]]) -> sa.ColumnElement[str]:
        """Give all JSON lists one name in an object, of which the reader makes a list again.

        For GROUP_CONCAT, and JSON_ARRAYAGG, MariaDB makes a temporary table on disk as soon as the texts could be long:
        0.1 ms for each kind of children. To JSON_OBJECTAGG it is no matter that the names are alike.
        """
        one = sa.func.json_array(*columns.values())
        return sa.func.json_objectagg(sa.literal_column("''", sa.Text()), one, type_=sa.Text())


class XtraDBCluster(MySQL):
    """A node of Percona XtraDB Cluster: MySQL with Galera."""

    clustered = True


class Galera(MariaDB):
    """A node of MariaDB's Galera cluster."""

    clustered = True


def _is_clustered(connection: Any) -> bool:
    """Tell whether the server at the other end of this DB-API connection is a node of a Galera cluster."""
    cursor = connection.cursor()
    cursor.execute("SHOW GLOBAL VARIABLES LIKE 'wsrep_on'")  # a server without Galera does not know it
    found = cursor.fetchone()
    cursor.close()
    return found is not None and str(found[1]).upper() == "ON"


MYSQL: Final = MySQL()
MARIADB: Final = MariaDB()
GALERA: Final = Galera()
XTRADB_CLUSTER: Final = XtraDBCluster()

_GUARD = sa.bindparam("guard", type_=sa.String())
_GUARDS = sa.table("tags", sa.column("resource_id"), sa.column("tag"))
_WRITE_KEY = mysql.insert(_GUARDS).values(resource_id=_GUARD, tag=_GUARD).on_duplicate_key_update(tag=_GUARDS.c.tag)
_DELETE_KEY = sa.delete(_GUARDS).where(_GUARDS.c.resource_id == _GUARD, _GUARDS.c.tag == _GUARD)


#: MySQL gives up a pattern that takes it too long, and a few that it does not understand.
_PATTERN_ERRORS: Final = range(3685, 3700)

#: The greatest number of the family.
_OVERFLOW: Final = 18446744073709551615
_KEY_CLASH: Final = "a key differs from a stored one only in case, accents or trailing blanks"


def _failure(key: sa.Column[Any]) -> sa.ColumnElement[Any]:
    """Return what fails when it is evaluated, whatever the ``sql_mode``: the family has no function for that."""
    return sa.func.length(key) + sa.literal_column("1") + sa.literal_column(str(_OVERFLOW))


def _tls_error(error: OSError, url: sa.URL | None) -> exceptions.DBConnectionError:
    """Return the error of a file that PyMySQL could not use; Python does not say which."""
    failure = exceptions.DBConnectionError(error)
    files = [f"{name}={url.query[name]}" for name in _TLS_FILES if name in url.query] if url is not None else []
    if files:
        failure.args = (f"{error}: {', '.join(files)}",)
    return failure


def _is_true(name: str, given: str | tuple[str, ...]) -> bool:
    with contextlib.suppress(ValueError):
        if isinstance(given, str):
            return sa.util.asbool(given)
    raise exceptions.DBError(f"the argument {name} of the URL is true or false, not {given!r}")


def _is_pymysql(connection: Any) -> bool:
    """Tell PyMySQL's connections from mysqlclient's by the socket, which is out of reach inside the C library."""
    return hasattr(connection, "_sock")


def _server_version(connection: Any) -> str:
    """Return the version text of a PyMySQL or mysqlclient connection; both keep it from the handshake."""
    return str(connection.get_server_info())


def _interface_errors() -> tuple[type[Exception], ...]:
    """Return what the drivers in use raise when their connection is closed already."""
    return tuple(sys.modules[name].InterfaceError for name in ("pymysql", "MySQLdb") if name in sys.modules)


def _columns_of(text: str) -> list[str]:
    """Return the columns of the unique key that an error names, if it does.

    MariaDB names no table; what the library inserts by a key other than ``id`` goes through an upsert.
    """
    _, named, rest = text.rpartition("for key ")
    key = rest.strip("'\" ")
    if not named:
        return []
    return ["id"] if key.rpartition(".")[2] == "PRIMARY" else exceptions.columns_of_key(key)


def _quoted(text: str) -> str | None:
    found = re.search(r"[`'\"]([^`'\"]+)[`'\"]", text)
    return found.group(1) if found else None
