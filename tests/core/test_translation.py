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
from nova_sqlcore.exceptions import (
    DatabaseNotMigrated,
    DBConnectionError,
    DBConstraintError,
    DBDataError,
    DBDeadlock,
    DBDuplicateEntry,
    DBError,
    DBReferenceError,
)


@pytest.mark.parametrize(
    ("number", "kind"),
    [
        (1213, DBDeadlock),
        (1205, DBDeadlock),
        (1020, DBDeadlock),
        (1048, DBError),
        (1364, DBError),
        (1062, DBDuplicateEntry),
        (1451, DBReferenceError),
        (1452, DBReferenceError),
        (4025, DBConstraintError),
        (3819, DBConstraintError),
        (1264, DBDataError),
        (1366, DBDataError),
        (1406, DBDataError),
        (1146, DatabaseNotMigrated),
        (1054, DatabaseNotMigrated),
        (1040, DBConnectionError),
        (1045, DBConnectionError),
        (1049, DBConnectionError),
        (2003, DBConnectionError),
        (2006, DBConnectionError),
        (2013, DBConnectionError),
        (1064, DBError),
    ],
)
@pytest.mark.parametrize("wrapper", [pymysql.OperationalError, pymysql.IntegrityError])
def test_numbers_of_mysql(number: int, kind: type[DBError], wrapper: type[Exception]) -> None:
    cause = wrapper(number, "text")
    error = dialects.MYSQL.translate(cause)
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
    error = dialects.MYSQL.translate(pymysql.IntegrityError(1062, text))
    assert isinstance(error, DBDuplicateEntry)
    assert error.columns == columns


def test_references_of_mysql() -> None:
    text = (
        "Cannot add or update a child row: a foreign key constraint fails (`nova`.`consoles`, CONSTRAINT"
        " `consoles_ibfk_1` FOREIGN KEY (`pool_id`) REFERENCES `console_pools` (`id`))"
    )
    error = dialects.MYSQL.translate(pymysql.IntegrityError(1452, text))
    assert isinstance(error, DBReferenceError)
    found = (error.table, error.constraint, error.key, error.key_table)
    assert found == ("consoles", "consoles_ibfk_1", "pool_id", "console_pools")


@pytest.mark.parametrize(
    ("state", "kind"),
    [
        ("40001", DBDeadlock),
        ("40P01", DBDeadlock),
        ("55P03", DBDeadlock),
        ("23502", DBError),
        ("23505", DBDuplicateEntry),
        ("23503", DBReferenceError),
        ("23514", DBConstraintError),
        ("22001", DBDataError),
        ("22003", DBDataError),
        ("22P02", DBDataError),
        ("42804", DBDataError),
        ("42P01", DatabaseNotMigrated),
        ("42703", DatabaseNotMigrated),
        ("08006", DBConnectionError),
        ("28P01", DBConnectionError),
        ("3D000", DBConnectionError),
        ("53300", DBConnectionError),
        ("57P01", DBConnectionError),
        ("25P02", DBError),
    ],
)
def test_states_of_postgresql(state: str, kind: type[DBError]) -> None:
    cause = psycopg.errors.lookup(state)("text")
    error = dialects.POSTGRESQL.translate(cause)
    assert type(error) is kind
    assert error.inner_exception is cause


@pytest.mark.parametrize(
    ("code", "text", "kind"),
    [
        ("SQLITE_BUSY", "database is locked", DBDeadlock),
        ("SQLITE_BUSY_SNAPSHOT", "database is locked", DBDeadlock),
        ("SQLITE_LOCKED", "database table is locked", DBDeadlock),
        (None, "database is locked", DBDeadlock),
        ("SQLITE_CONSTRAINT_NOTNULL", "NOT NULL constraint failed: cells.transport_url", DBError),
        ("SQLITE_CONSTRAINT_UNIQUE", "UNIQUE constraint failed: cells.name, cells.deleted", DBDuplicateEntry),
        (None, "UNIQUE constraint failed: cells.name, cells.deleted", DBDuplicateEntry),
        ("SQLITE_CONSTRAINT_FOREIGNKEY", "FOREIGN KEY constraint failed", DBReferenceError),
        ("SQLITE_CONSTRAINT_CHECK", "CHECK constraint failed: positive", DBConstraintError),
        ("SQLITE_CANTOPEN", "unable to open database file", DBConnectionError),
        ("SQLITE_READONLY", "attempt to write a readonly database", DBConnectionError),
        ("SQLITE_ERROR", "no such table: cells", DatabaseNotMigrated),
        ("SQLITE_TOOBIG", "string or blob too big", DBDataError),
        ("SQLITE_ERROR", "near syntax", DBError),
    ],
)
def test_codes_of_sqlite(code: str | None, text: str, kind: type[DBError]) -> None:
    cause: Any = sqlite3.OperationalError(text)
    if code:
        cause.sqlite_errorname = code
    error = dialects.SQLITE.translate(cause)
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
    assert dialects.family(sa.make_url("mariadb+pymysql://h/nova")) is dialects.MARIADB
    with pytest.raises(exceptions.DBError, match="unknown database scheme"):
        dialects.family(sa.make_url("oracle://h/nova"))
