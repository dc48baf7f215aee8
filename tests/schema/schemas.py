# SPDX-License-Identifier: Apache-2.0

"""A schema as data: read back from a server, or taken from what is known of the reference's.

This is not a part of the library's own comparison, which it serves to check.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

DATA = Path(__file__).parent.parent / "data"

#: Of yoyo.
BOOKKEEPING = {"_yoyo_log", "_yoyo_migration", "_yoyo_version", "yoyo_lock"}


@dataclasses.dataclass
class Table:
    """All there is to know of a table; names of columns and keys included."""

    #: (name, type, whether it may be NULL, default, whether it counts up, its own collation) in table order
    columns: list[tuple[Any, ...]]
    primary_key: list[str]
    #: by name
    constraints: dict[str, list[str]]
    unique_indexes: dict[str, list[str]]
    #: by name; a column with the length of its prefix if it has one, and at last the condition of a partial index
    indexes: dict[str, list[str]]
    #: (name, columns, table and columns referred to)
    foreign_keys: list[tuple[Any, ...]]
    #: columns that are kept at 0 or 1
    checks: list[str]
    #: engine and collation, on the MySQL family
    storage: tuple[str, str] | None


@dataclasses.dataclass
class Schema:
    """All tables by name, and the enum types that stand by themselves."""

    tables: dict[str, Table]
    enums: dict[str, list[str]]


# -- what the reference has -------------------------------------------------------------------------------------------


@functools.cache
def _facts() -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((DATA / "schema.json").read_text())
    return facts


def reference(dialect: str) -> Schema:
    """Return the reference's schema on ``dialect``."""
    tables = {name: _reference_table(table, dialect) for name, table in _facts()["tables"].items()}
    return Schema(tables, _facts()["postgresql_enums"] if dialect == "postgresql" else {})


def _reference_table(table: dict[str, Any], dialect: str) -> Table:
    columns = {column["name"]: column for column in table["columns"]}
    order = table.get("column_order", {}).get(dialect) or list(columns)
    checks = table.get("boolean_checks", [])
    if isinstance(checks, dict):
        checks = checks.get(dialect, [])
    uniques = {True: {}, False: {}}  # type: dict[bool, dict[str, list[str]]]
    for unique in table["unique"]:
        uniques[unique.get("made_as", {}).get(dialect) == "index"][unique["name"]] = unique["columns"]
    storage = table.get("mysql_table", _facts()["mysql_default"])
    return Table(
        [_reference_column(columns[name], dialect, storage["collation"]) for name in order],
        table["primary_key"],
        uniques[False],
        uniques[True],
        {
            index["name"]: [_prefixed(name, index.get("mysql_prefix"), dialect) for name in index["columns"]]
            for index in table["indexes"]
            if dialect in index.get("only", (dialect,))
        },
        sorted(
            (
                (key["names"][dialect], key["columns"], key["refers_to"], key["refers_columns"])
                for key in table["foreign_keys"]
            ),
            key=str,
        ),
        [] if dialect == "postgresql" else sorted(checks),
        (storage["engine"], storage["collation"]) if dialect == "mysql" else None,
    )


def _reference_column(column: dict[str, Any], dialect: str, collation: str) -> tuple[Any, ...]:
    kind = _plain(column[dialect].removesuffix(" (enum type)"))
    collation = column.get("mysql_collation", collation)
    is_text = dialect == "mysql" and re.match("varchar|mediumtext|text|enum", kind)
    return (
        column["name"],
        kind,
        column["nullable"],
        column.get("server_default"),
        column.get("autoincrement", False) and dialect != "sqlite",
        collation if is_text else None,
    )


def _prefixed(name: str, prefixes: dict[str, int] | None, dialect: str) -> str:
    length = (prefixes or {}).get(name) if dialect == "mysql" else None
    return f"{name}({length})" if length else name


def _plain(kind: str) -> str:
    """Leave out the width of a number, which newer servers don't tell; a boolean is told by it."""
    return re.sub(r"int\((?!1\))\d+\)", "int", kind)


# -- what a server has ------------------------------------------------------------------------------------------------


def read(url: sa.URL) -> Schema:
    """Read the schema of a database back from its server; yoyo's own tables are left out."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.connect() as connection:
        inspector = sa.inspect(connection)
        names = sorted(set(inspector.get_table_names()) - BOOKKEEPING)
        columns = _COLUMNS[engine.dialect.name](connection, names)
        storage = dict(_storage(connection)) if engine.dialect.name == "mysql" else {}
        tables = {name: _table(inspector, name, columns[name], storage.get(name)) for name in names}
        return Schema(tables, dict(_enums(connection)) if engine.dialect.name == "postgresql" else {})


def _table(inspector: sa.Inspector, name: str, columns: list[Any], storage: tuple[str, str] | None) -> Table:
    keys: list[Any] = [key for key in inspector.get_indexes(name) if not key.get("duplicates_constraint")]
    constraints: Any = inspector.get_unique_constraints(name)
    if inspector.dialect.name == "mysql":  # where a unique key is both
        keys = [key for key in keys if not key["unique"]]
    checks: Any = [] if inspector.dialect.name == "postgresql" else inspector.get_check_constraints(name)
    return Table(
        columns,
        inspector.get_pk_constraint(name)["constrained_columns"],
        {key["name"]: key["column_names"] for key in constraints},
        {key["name"]: key["column_names"] for key in keys if key["unique"]},
        {key["name"]: list(_indexed(key)) for key in keys if not key["unique"]},
        sorted(
            (
                (key["name"], key["constrained_columns"], key["referred_table"], key["referred_columns"])
                for key in inspector.get_foreign_keys(name)
            ),
            key=str,
        ),
        sorted(re.findall(r"\w+", check["sqltext"])[0] for check in checks),
        storage,
    )


def _indexed(key: Any) -> Iterator[str]:
    options = {name.partition("_")[2]: value for name, value in key.get("dialect_options", {}).items()}
    lengths = options.get("length", {})
    for name in key["column_names"]:
        yield f"{name}({lengths[name]})" if name in lengths else name
    if "where" in options:
        yield f"where {options['where']}".replace("!=", "<>")


def _sqlite_columns(connection: sa.Connection, names: Iterable[str]) -> dict[str, list[Any]]:
    return {
        name: [
            (column, kind, not not_null, default and default.strip("'"), False, None)
            for _, column, kind, not_null, default, _ in connection.exec_driver_sql(f'PRAGMA table_info("{name}")')
        ]
        for name in names
    }


def _mysql_columns(connection: sa.Connection, names: Iterable[str]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {name: [] for name in names}
    query = (
        "SELECT table_name, column_name, column_type, is_nullable, column_default, extra, collation_name "
        "FROM information_schema.columns WHERE table_schema = database() ORDER BY table_name, ordinal_position"
    )
    for table, name, kind, nullable, default, extra, collation in connection.exec_driver_sql(query):
        if table in found:
            value = None if default in (None, "NULL") else default.strip("'")
            found[table].append((name, _plain(kind), nullable == "YES", value, extra == "auto_increment", collation))
    return found


def _postgresql_columns(connection: sa.Connection, names: Iterable[str]) -> dict[str, list[Any]]:
    found: dict[str, list[Any]] = {name: [] for name in names}
    query = (
        "SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, "
        "       pg_get_expr(d.adbin, d.adrelid), pg_get_serial_sequence(quote_ident(c.relname), a.attname) "
        "FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid AND c.relkind = 'r' "
        "     JOIN pg_namespace n ON n.oid = c.relnamespace AND n.nspname = 'public' "
        "     LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum "
        "WHERE a.attnum > 0 AND NOT a.attisdropped ORDER BY c.relname, a.attnum"
    )
    for table, name, kind, not_null, default, sequence in connection.exec_driver_sql(query):
        if table in found:
            value = default.partition("::")[0].strip("'") if default and not sequence else None
            counts = sequence == f"public.{table}_{name}_seq"
            found[table].append((name, kind, not not_null, value, counts, None))
    return found


_COLUMNS = {"sqlite": _sqlite_columns, "mysql": _mysql_columns, "postgresql": _postgresql_columns}


def _storage(connection: sa.Connection) -> Iterator[tuple[str, tuple[str, str]]]:
    query = "SELECT table_name, engine, table_collation FROM information_schema.tables WHERE table_schema = database()"
    for name, engine, collation in connection.exec_driver_sql(query):
        yield name, (engine, collation)


def _enums(connection: sa.Connection) -> Iterator[tuple[str, list[str]]]:
    query = (
        "SELECT t.typname, array_agg(e.enumlabel::text ORDER BY e.enumsortorder) "
        "FROM pg_enum e JOIN pg_type t ON t.oid = e.enumtypid GROUP BY 1"
    )
    for name, words in connection.exec_driver_sql(query):
        yield str(name), list(words)
