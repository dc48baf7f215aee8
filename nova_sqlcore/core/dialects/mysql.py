"""MySQL and MariaDB."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from nova_sqlcore import exceptions
from nova_sqlcore.core.dialects.base import Dialect, assigned, filled

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nova_sqlcore.core.dialects.base import Role
    from nova_sqlcore.core.options import EngineOptions


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
        changes = assigned(assignments, insert.inserted)
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
