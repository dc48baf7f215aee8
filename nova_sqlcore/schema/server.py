# SPDX-License-Identifier: Apache-2.0

"""Settings of a server that hurt, tables that are stored wrongly, and indexes that are missing or of no use.

The library sets its own sessions up. What the server has otherwise is worth a note, for it goes for everybody else who
uses the database; what a session has is what goes for the library.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa

from nova_sqlcore import tables
from nova_sqlcore.schema import check, ddl

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_MIB: Final = 1024 * 1024


class Rule(NamedTuple):
    """What a setting should be."""

    name: str
    wanted: str
    is_good: Callable[[str], bool]


class Setting(NamedTuple):
    """A setting against its rule: what the library's sessions have, and what the server gives to others."""

    rule: Rule
    session: str
    server: str

    @property
    def hurts(self) -> bool:
        """Whether the library itself suffers."""
        return not self.rule.is_good(self.session)


def _one_of(name: str, *values: str) -> Rule:
    return Rule(name, " or ".join(values), lambda value: value.lower() in {one.lower() for one in values})


def _at_least(name: str, size: int) -> Rule:
    return Rule(name, f"at least {size}", lambda value: int(value) >= size)


def _is_strict(mode: str) -> bool:
    return any(word.startswith("STRICT_") for word in mode.split(","))


_ISOLATIONS: Final = ("READ-COMMITTED", "REPEATABLE-READ")
_MYSQL: Final = (
    _one_of("tx_isolation", *_ISOLATIONS),
    _one_of("transaction_isolation", *_ISOLATIONS),
    Rule("sql_mode", "TRADITIONAL, or another that is strict", _is_strict),
    _at_least("max_allowed_packet", 16 * _MIB),
    _at_least("group_concat_max_len", _MIB),
    _one_of("time_zone", "+00:00", "UTC", "Etc/UTC", "GMT"),
    _one_of("character_set_connection", "utf8mb4"),
    _one_of("foreign_key_checks", "ON"),
    _one_of("unique_checks", "ON"),
)
_POSTGRESQL: Final = (
    _one_of("default_transaction_isolation", "read committed", "repeatable read"),
    _one_of("TimeZone", "UTC", "Etc/UTC", "GMT"),
    _one_of("server_encoding", "UTF8"),
    _one_of("standard_conforming_strings", "on"),
    _one_of("transform_null_equals", "off"),
    _one_of("autovacuum", "on"),
)

#: By dialect; sqlite has no server.
_RULES: Final = {**dict.fromkeys(ddl.MYSQL, _MYSQL), "postgresql": _POSTGRESQL}


def bad_settings(connection: sa.Connection) -> list[Setting]:
    """Return the settings that are not as they should be, be it only for others than the library.

    Cost: 2 statements on the MySQL family, 1 on PostgreSQL, none on sqlite.
    """
    rules = _RULES.get(connection.dialect.name, ())
    if not rules:
        return []
    read = _read_mysql if connection.dialect.name in ddl.MYSQL else _read_postgresql
    sessions, servers = read(connection)
    found = (Setting(rule, sessions[rule.name], servers[rule.name]) for rule in rules if rule.name in sessions)
    return [one for one in found if one.hurts or not one.rule.is_good(one.server)]


def _read_mysql(connection: sa.Connection) -> tuple[dict[str, str], dict[str, str]]:
    """Return what the session and the server have; a setting has one of two names, by product and version."""
    session, server = (
        {row[0]: row[1] for row in connection.exec_driver_sql(f"SHOW {scope} VARIABLES")}
        for scope in ("SESSION", "GLOBAL")
    )
    for found in (session, server):
        if found["time_zone"] == "SYSTEM":
            found["time_zone"] = server["system_time_zone"]
    server["character_set_connection"] = session["character_set_connection"]  # every client says its own
    return session, server


def _read_postgresql(connection: sa.Connection) -> tuple[dict[str, str], dict[str, str]]:
    rows = connection.exec_driver_sql("SELECT name, setting, reset_val FROM pg_settings").all()
    return {row[0]: row[1] for row in rows}, {row[0]: row[2] for row in rows}


def _stored(connection: sa.Connection) -> Iterator[tuple[str, str, str]]:
    """Yield name, engine and collation of the library's tables."""
    query = (
        "SELECT table_name, engine, table_collation FROM information_schema.tables "
        "WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE' ORDER BY table_name"
    )
    for name, engine, collation in connection.exec_driver_sql(query):
        if name in tables.metadata.tables:
            yield name, engine or "", collation or ""


def without_transactions(connection: sa.Connection) -> list[str]:
    """Return the tables of the MySQL family that are stored by another engine than InnoDB.

    Cost: 1 statement on the MySQL family, none elsewhere.
    """
    if connection.dialect.name not in ddl.MYSQL:
        return []
    return [name for name, engine, _ in _stored(connection) if engine.lower() != "innodb"]


def without_utf8mb4(connection: sa.Connection) -> list[str]:
    """Return the tables of the MySQL family that can't hold every character.

    Cost: 1 statement on the MySQL family, none elsewhere.
    """
    if connection.dialect.name not in ddl.MYSQL:
        return []
    return [name for name, _, collation in _stored(connection) if not collation.startswith("utf8mb4")]


def half_checked_keys(connection: sa.Connection) -> list[str]:
    """Return the foreign keys whose rows MySQL does not check while another column is NULL, and those columns.

    From 9.6 on MySQL itself checks the keys, if InnoDB is not told to. It takes the first index that begins with the
    columns of the key, and a row that has a NULL anywhere in that index passes. A column with a default is never NULL.
    Cost: 1 statement on the MySQL family; where MySQL checks the keys itself 2, and 1 for each table that has some.
    """
    if connection.dialect.name not in ddl.MYSQL:
        return []
    found = connection.exec_driver_sql("SHOW VARIABLES LIKE 'innodb_native_foreign_keys'").first()
    if found is None or found[1] != "OFF":
        return []
    half = []
    for table in check.present(connection):
        keys = table.foreign_key_constraints
        indexes = _indexes_in_order(connection, table.name) if keys else []
        beside = ((", ".join(key.column_keys), ", ".join(_beside(key, indexes))) for key in keys)
        half += [f"{table.name}.{names} ({rest})" for names, rest in beside if rest]
    return sorted(half)


def _indexes_in_order(connection: sa.Connection, table: str) -> list[list[str]]:
    """Return the columns of each index, in the server's order, in which SQLAlchemy's inspector does not tell them."""
    found: dict[str, list[str]] = {}
    for row in connection.exec_driver_sql(f"SHOW INDEX FROM `{table}`").mappings():
        found.setdefault(row["Key_name"], []).append(row["Column_name"])
    return list(found.values())


def _beside(key: sa.ForeignKeyConstraint, indexes: list[list[str]]) -> list[str]:
    """Return the other columns that may be NULL of the first index that begins with the columns of the key."""
    names = list(key.column_keys)
    first: list[str] = next((index for index in indexes if index[: len(names)] == names), [])
    return [name for name in first[len(names) :] if _may_be_null(key.table, name)]


def _may_be_null(table: sa.Table, name: str) -> bool:
    column = table.c.get(name)
    return column is None or bool(column.nullable and column.default is None)


def missing_indexes(connection: sa.Connection) -> dict[str, list[str]]:
    """Return the indexes of this library that the database lacks, by table; tables that are missing are left out."""
    dialect = connection.dialect.name
    found = {table: _names(indexes) for (_, table), indexes in sa.inspect(connection).get_multi_indexes().items()}
    lacking = {
        name: sorted(_added(table, dialect) - found[name])
        for name, table in tables.metadata.tables.items()
        if name in found
    }
    return {name: indexes for name, indexes in lacking.items() if indexes}


def _names(indexes: Any) -> set[str]:
    return {index["name"] for index in indexes}


def _added(table: sa.Table, dialect: str) -> set[str]:
    return {str(index.name) for index in table.indexes if ddl.ADDED in index.info and ddl.stands_on(dialect, index)}


def invalid_indexes(connection: sa.Connection) -> list[str]:
    """Return the indexes of PostgreSQL that a failed CREATE INDEX CONCURRENTLY has left behind.

    Cost: 1 statement on PostgreSQL, none elsewhere.
    """
    if connection.dialect.name != "postgresql":
        return []
    query = (
        "SELECT c.relname FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid "
        "WHERE NOT (i.indisvalid AND i.indisready) AND c.relnamespace = current_schema()::regnamespace ORDER BY 1"
    )
    return list(connection.exec_driver_sql(query).scalars())
