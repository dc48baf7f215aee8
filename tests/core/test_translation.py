# SPDX-License-Identifier: Apache-2.0

"""Which error of a driver becomes which error of the library (01-core 4.9)."""

from __future__ import annotations

import sqlite3
from typing import Any

import psycopg
import pymysql
import pytest
import sqlalchemy as sa

from nova_sqlcore import exceptions
from nova_sqlcore.core import dialects
from nova_sqlcore.core.dialects import mysql, postgresql, sqlite
from nova_sqlcore.exceptions import (
    DatabaseNotMigrated,
    DBConnectionError,
    DBConstraintError,
    DBDataError,
    DBDeadlock,
    DBDuplicateEntry,
    DBError,
    DBLockTimeout,
    DBReadOnly,
    DBReferenceError,
    DBTimeout,
    DBTransactionTooLarge,
)

MYSQL: dict[type[DBError], tuple[int, ...]] = {
    DBDeadlock: (1020, 1213, 1412, 3058, 3101),
    DBLockTimeout: (1205, 3572),
    DBTimeout: (1317, 1969, 3024),
    DBReadOnly: (1792, 1836),
    DBDuplicateEntry: (1022, 1062, 1169, 1586, 1859),
    DBReferenceError: (1216, 1217, 1451, 1452),
    DBConstraintError: (3819, 4025),
    # a packet that is too large: 1153, and 2020 on our side of the line
    DBDataError: (1153, 1264, 1265, 1267, 1292, 1300, 1366, 1367, 1406, 1411, 1441, 1690, 2020, 3140, 3854, 3988),
    DatabaseNotMigrated: (1054, 1146),
    # full disks (1021, 1030, 1114), NULL where none may be, bad syntax, options that forbid something else
    DBError: (1021, 1030, 1048, 1064, 1114, 1290, 1364),
    DBConnectionError: (
        *(1040, 1043, 1044, 1045, 1047, 1049, 1053, 1079, 1080, 1129, 1130, 1152, 1156, 1158, 1159, 1160, 1161, 1184),
        *(1203, 1226, 1251, 1698, 1820, 1862, 3032, 3118, 3159, 3168, 3169, 4151, 9001),
        *(1927, 2006, 2013, 2014, 2045, 2055, 4031),  # what SQLAlchemy takes for a disconnect
        *(2002, 2003, 2006, 2013, 1047, 1927),  # what oslo.db takes for one
        *(2001, 2004, 2005, 2012, 2026, 2027, 2059, 2061),
    ),
}
POSTGRESQL: dict[type[DBError], tuple[str, ...]] = {
    DBDeadlock: ("40001", "40P01"),
    DBLockTimeout: ("55P03",),
    DBTimeout: ("57014",),
    DBReadOnly: ("25006",),
    DBDuplicateEntry: ("23505",),
    DBReferenceError: ("23503",),
    DBConstraintError: ("23514",),
    DBDataError: ("22001", "22003", "22007", "22021", "22P02", "22P05", "42804", "42846", "54000"),
    DatabaseNotMigrated: ("42P01", "42703"),
    # of class 53 the server's own trouble: disk, memory, temporary space; 57000 and 54001 are not lost lines either
    DBError: ("23502", "25P02", "42501", "42601", "53000", "53100", "53200", "53400", "54001", "55006", "XX000"),
    DBConnectionError: (
        *("08000", "08001", "08003", "08004", "08006", "08P01", "28000", "28P01", "3D000", "53300"),
        *("25P03", "57P01", "57P02", "57P03", "57P04", "57P05", "26000", "42P05"),
    ),
}


@pytest.mark.parametrize(("number", "kind"), [(number, kind) for kind, numbers in MYSQL.items() for number in numbers])
@pytest.mark.parametrize("wrapper", [pymysql.OperationalError, pymysql.IntegrityError])
def test_numbers_of_mysql(number: int, kind: type[DBError], wrapper: type[Exception]) -> None:
    cause = wrapper(number, "text")
    error = mysql.MYSQL.translate(cause)
    assert type(error) is kind
    assert error.inner_exception is cause
    assert "text" in str(error)


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        ("Duplicate entry 'h-b-0' for key 'services.uniq_services0host0binary0deleted'", ["host", "binary", "deleted"]),
        ("Duplicate entry 'h-t-0' for key 'uniq_services0host0topic0deleted'", ["host", "topic", "deleted"]),
        ("Duplicate entry 'u' for key 'instances.uuid'", ["uuid"]),
        ("Duplicate entry 'for key ''x' for key 'uuid'", ["uuid"]),
        ("Duplicate entry '7' for key 'services.PRIMARY'", ["id"]),
    ],
)
def test_keys_of_mysql(text: str, columns: list[str]) -> None:
    error = mysql.MYSQL.translate(pymysql.IntegrityError(1062, text))
    assert isinstance(error, DBDuplicateEntry)
    assert error.columns == columns


def test_references_of_mysql() -> None:
    text = (
        "Cannot add or update a child row: a foreign key constraint fails (`nova`.`consoles`, CONSTRAINT"
        " `consoles_ibfk_1` FOREIGN KEY (`pool_id`) REFERENCES `console_pools` (`id`))"
    )
    error = mysql.MYSQL.translate(pymysql.IntegrityError(1452, text))
    assert isinstance(error, DBReferenceError)
    found = (error.table, error.constraint, error.key, error.key_table)
    assert found == ("consoles", "consoles_ibfk_1", "pool_id", "console_pools")


@pytest.mark.parametrize(("state", "kind"), [(state, kind) for kind, states in POSTGRESQL.items() for state in states])
def test_states_of_postgresql(state: str, kind: type[DBError]) -> None:
    cause = psycopg.errors.lookup(state)("text")
    error = postgresql.POSTGRESQL.translate(cause)
    assert type(error) is kind
    assert error.inner_exception is cause


@pytest.mark.parametrize(
    "cause",
    [
        psycopg.OperationalError("server closed the connection unexpectedly"),
        psycopg.errors.ConnectionTimeout("connection timeout expired"),
        psycopg.InterfaceError("the connection is closed"),
        psycopg.errors.FeatureNotSupported("cached plan must not change result type"),
    ],
)
def test_lost_connections_of_postgresql(cause: Exception) -> None:
    assert type(postgresql.POSTGRESQL.translate(cause)) is DBConnectionError


def test_other_errors_without_a_state() -> None:
    assert type(postgresql.POSTGRESQL.translate(psycopg.DataError("cannot contain NUL bytes"))) is DBDataError
    assert type(postgresql.POSTGRESQL.translate(psycopg.errors.FeatureNotSupported("no such thing"))) is DBError
    assert type(postgresql.POSTGRESQL.translate(psycopg.ProgrammingError("3 parameters were passed"))) is DBError


@pytest.mark.parametrize(
    "cause",
    [
        pymysql.InterfaceError(0, ""),
        pymysql.Error("Already closed"),
        pymysql.InternalError("Packet sequence number wrong - got 1 expected 2"),
        pymysql.OperationalError(1927, "Connection was killed"),
    ],
)
def test_lost_connections_of_mysql(cause: Exception) -> None:
    assert type(mysql.MYSQL.translate(cause)) is DBConnectionError


@pytest.mark.parametrize("option", ["--read-only", "--super-read-only", "--read_only", "--innodb-read-only"])
@pytest.mark.parametrize("product", ["MySQL", "MariaDB"])
def test_a_read_only_server_of_mysql(product: str, option: str) -> None:
    text = f"The {product} server is running with the {option} option so it cannot execute this statement"
    assert type(mysql.MYSQL.translate(pymysql.OperationalError(1290, text))) is DBReadOnly
    text = text.replace(option, "--secure-file-priv")
    assert type(mysql.MYSQL.translate(pymysql.OperationalError(1290, text))) is DBError


@pytest.mark.parametrize(
    ("number", "text", "kind"),
    [
        (1180, "wsrep_max_ws_rows exceeded", DBTransactionTooLarge),
        (1105, "Maximum writeset size exceeded", DBTransactionTooLarge),
        (1105, "Unknown error", DBError),
        (1180, 'Got error 28 "No space left on device" during COMMIT', DBError),
        (1180, "(provider status: Not connected to Primary Component)", DBConnectionError),
    ],
)
def test_what_a_galera_node_says_of_a_write_set(number: int, text: str, kind: type[DBError]) -> None:
    assert type(mysql.MYSQL.translate(pymysql.OperationalError(number, text))) is kind


def test_a_key_that_the_server_does_not_name() -> None:
    error = mysql.MYSQL.translate(pymysql.IntegrityError(1022, "Can't write; duplicate key in table 'cells'"))
    assert isinstance(error, DBDuplicateEntry)
    assert error.columns == []


#: Facts of SQLAlchemy's ``is_disconnect``: each of these ends a connection for it, and must for us.
@pytest.mark.parametrize("number", [1927, 2006, 2013, 2014, 2045, 2055, 4031])
def test_what_sqlalchemy_takes_for_a_disconnect(number: int) -> None:
    cause = pymysql.OperationalError(number, "text")
    dialect: Any = sa.create_engine("mysql+pymysql://h/nova").dialect
    assert dialect.is_disconnect(cause, None, None)
    assert isinstance(mysql.MYSQL.translate(cause), DBConnectionError)


def test_what_sqlalchemy_takes_for_a_disconnect_of_sqlite() -> None:
    connection = sqlite3.connect(":memory:")
    connection.close()
    with pytest.raises(sqlite3.ProgrammingError) as raised:
        connection.execute("SELECT 1")
    assert isinstance(sqlite.SQLITE.translate(raised.value), DBConnectionError)


def test_kinds_of_time_limits() -> None:
    """A lock timeout is a conflict like others, and a time limit like others."""
    assert issubclass(DBLockTimeout, DBDeadlock)
    assert issubclass(DBLockTimeout, DBTimeout)
    assert not issubclass(DBTimeout, DBDeadlock | DBConnectionError)


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        ("SQLITE_BUSY", "database is locked", DBLockTimeout),
        ("SQLITE_BUSY_RECOVERY", "database is locked", DBLockTimeout),
        ("SQLITE_BUSY_SNAPSHOT", "database is locked", DBDeadlock),
        ("SQLITE_LOCKED", "database table is locked", DBDeadlock),
        (None, "database is locked", DBLockTimeout),
        ("SQLITE_PROTOCOL", "locking protocol", DBDeadlock),
        ("SQLITE_INTERRUPT", "interrupted", DBTimeout),
        ("SQLITE_CONSTRAINT_NOTNULL", "NOT NULL constraint failed: cells.transport_url", DBError),
        ("SQLITE_CONSTRAINT_UNIQUE", "UNIQUE constraint failed: cells.name, cells.deleted", DBDuplicateEntry),
        (None, "UNIQUE constraint failed: cells.name, cells.deleted", DBDuplicateEntry),
        ("SQLITE_CONSTRAINT_FOREIGNKEY", "FOREIGN KEY constraint failed", DBReferenceError),
        ("SQLITE_CONSTRAINT_CHECK", "CHECK constraint failed: positive", DBConstraintError),
        ("SQLITE_CANTOPEN", "unable to open database file", DBConnectionError),
        ("SQLITE_NOTADB", "file is not a database", DBConnectionError),
        ("SQLITE_READONLY", "attempt to write a readonly database", DBReadOnly),
        ("SQLITE_READONLY_DBMOVED", "attempt to write a readonly database", DBReadOnly),
        ("SQLITE_FULL", "database or disk is full", DBError),
        ("SQLITE_ERROR", "no such table: cells", DatabaseNotMigrated),
        ("SQLITE_TOOBIG", "string or blob too big", DBDataError),
        ("SQLITE_ERROR", "near syntax", DBError),
    ],
)
def test_codes_of_sqlite(code: str | None, text: str, kind: type[DBError]) -> None:
    cause: Any = sqlite3.OperationalError(text)
    if code:
        cause.sqlite_errorname = code
    error = sqlite.SQLITE.translate(cause)
    assert type(error) is kind
    assert error.inner_exception is cause
    if isinstance(error, DBDuplicateEntry):
        assert error.columns == ["name", "deleted"]
    if isinstance(error, DBReferenceError):
        assert (error.table, error.constraint, error.key, error.key_table) == (None,) * 4


def test_what_is_in_memory() -> None:
    urls = {"sqlite://": True, "sqlite:///:memory:": True, "sqlite:////tmp/a": False, "mysql+pymysql://h/memory": False}
    assert {url: dialects.in_memory(sa.make_url(url)) for url in urls} == urls


def test_schemes() -> None:
    assert dialects.family(sa.make_url("mariadb+pymysql://h/nova")) is mysql.MARIADB
    with pytest.raises(exceptions.DBError, match="unknown database scheme"):
        dialects.family(sa.make_url("oracle://h/nova"))
