# SPDX-License-Identifier: Apache-2.0

"""Holds a database against the tables of this library, by inspection.

What could make the library wrong or slow is a difference. What it can live with is only noted: tables and indexes of
the operator's own, and another charset or collation, unless the server refuses to join tables because of it. Whether
the indexes are there that this library adds is of no interest.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa

from nova_sqlcore import exceptions, tables
from nova_sqlcore.core import types
from nova_sqlcore.schema import ddl

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping


#: The error of the MySQL family for collations that it can't compare.
_ILLEGAL_MIX: Final = 1267

#: Columns of text that statements join tables by, as pairs.
_JOINED: Final = (
    *(
        (table.c.instance_uuid, tables.instances.c.uuid)
        for name, table in tables.metadata.tables.items()
        if "instance_uuid" in table.c and not name.startswith(tables.SHADOW_PREFIX)
    ),
    (tables.tags.c.resource_id, tables.instances.c.uuid),
    (tables.instance_group_member.c.instance_id, tables.instances.c.uuid),
    (tables.instance_id_mappings.c.uuid, tables.instances.c.uuid),
    (tables.services.c.host, tables.instances.c.host),
    (tables.compute_nodes.c.host, tables.services.c.host),
)


class Comparison(NamedTuple):
    """The outcome: one line for each finding."""

    differences: tuple[str, ...]
    notes: tuple[str, ...]


def refusal(what: str, comparison: Comparison) -> exceptions.SchemaDiffers:
    """Return the error, whose text begins with ``what``, for a database that differs."""
    count = len(comparison.differences)
    return exceptions.SchemaDiffers(f"{what}: {count} difference{'s' if count > 1 else ''}", *comparison)


def require_same(connection: sa.Connection, present: Collection[sa.Table]) -> None:
    """See that the tables that are there are the library's.

    Raises: SchemaDiffers(text, differences, notes).
    """
    comparison = compare(connection, only=present) if present else Comparison((), ())
    if comparison.differences:
        raise refusal("the database has tables with the names of Nova's that are not the same", comparison)


class _Key(NamedTuple):
    """A unique key or an index; whether a unique key is a constraint makes no difference to anybody."""

    columns: tuple[str, ...]
    unique: bool

    def __str__(self) -> str:
        return f"{'unique ' if self.unique else ''}({', '.join(self.columns)})"


class _Table(NamedTuple):
    """What is compared of a table: every mapping is from a name to its description."""

    columns: Mapping[str, str]
    primary_key: tuple[str, ...]
    keys: Mapping[str, _Key]
    #: a foreign key is told by what it says: servers and versions give it different names
    foreign_keys: frozenset[str]
    #: of the MySQL family
    collation: str | None


def compare(connection: sa.Connection, only: Collection[sa.Table] = (), ignored: Collection[str] = ()) -> Comparison:
    """Compare the database's default schema with the library's tables, or ``only`` with some of them.

    ``ignored`` tables are not even noted.
    """
    dialect = connection.dialect
    found = _found(connection)
    own = found.keys() - tables.metadata.tables.keys() - {*ignored}
    notes = [f"table {name} is not in the reference's schema" for name in sorted(own)]
    differences: list[str] = []
    for table in only or tables.metadata.tables.values():
        name = table.name
        if name in found:
            differences += (f"{name}: {line}" for line in _differences(table, found[name], dialect))
            notes += (f"{name}: {line}" for line in _notes(table, found[name], dialect))
        else:
            differences.append(f"table {name} is missing")
    differences += _unjoinable(connection, found, only or tables.metadata.tables.values())
    return Comparison(tuple(differences), tuple(notes))


def _unjoinable(connection: sa.Connection, found: Mapping[str, _Table], scope: Collection[sa.Table]) -> Iterator[str]:
    """Let the server itself say which joins it refuses: only it knows what collations it can compare."""
    if connection.dialect.name not in ddl.MYSQL:
        return
    there = {
        column
        for table in scope
        if table.name in found
        for column in table.c
        if column.name in found[table.name].columns
    }
    for one, other in _JOINED:
        if not {one, other} <= there:
            continue
        try:
            connection.execute(sa.select(sa.literal_column("1")).where(one == other).limit(0))
        except sa.exc.DBAPIError as error:
            code, text, *_ = error.orig.args if error.orig is not None else (None, "")
            if code != _ILLEGAL_MIX:
                raise
            yield f"{one.table.name}: {one.name} can't be joined with {other}: {text} (error {code})"


def present(connection: sa.Connection) -> list[sa.Table]:
    """Return those of the library's tables that the database has."""
    names = set(sa.inspect(connection).get_table_names())
    return [table for name, table in tables.metadata.tables.items() if name in names]


def _differences(table: sa.Table, found: _Table, dialect: sa.Dialect) -> Iterator[str]:
    wanted = _wanted(table, dialect)
    yield from _compared("column", wanted.columns, found.columns)
    if wanted.primary_key != found.primary_key:
        yield f"the primary key is {_listed(found.primary_key)}, not {_listed(wanted.primary_key)}"
    own = {name: key for name, key in found.keys.items() if key.unique or name in wanted.keys}
    yield from _compared("key", _required(table, wanted.keys, found), own)
    for missing in sorted(wanted.foreign_keys - found.foreign_keys):
        yield f"foreign key {missing} is missing"
    for extra in sorted(found.foreign_keys - wanted.foreign_keys):
        yield f"foreign key {extra} is not in the reference's schema"


def _compared(kind: str, wanted: Mapping[str, object], found: Mapping[str, object]) -> Iterator[str]:
    for name, description in wanted.items():
        if name not in found:
            yield f"{kind} {name} is missing: {description}"
        elif found[name] != description:
            yield f"{kind} {name} is {found[name]}, not {description}"
    for name in found:
        if name not in wanted:
            yield f"{kind} {name} is not in the reference's schema: {found[name]}"


def _required(table: sa.Table, wanted: Mapping[str, _Key], found: _Table) -> dict[str, _Key]:
    """Leave out what InnoDB makes for a foreign key and drops as soon as another index serves the key as well."""
    made = {index.name for index in table.indexes if ddl.ONLY_ON in index.info} - found.keys.keys()
    leading = {key.columns[0] for key in found.keys.values()}
    return {name: key for name, key in wanted.items() if name not in made or key.columns[0] not in leading}


def _notes(table: sa.Table, found: _Table, dialect: sa.Dialect) -> Iterator[str]:
    wanted = _wanted(table, dialect)
    known = {*wanted.keys, *(index.name for index in table.indexes)}
    for name, key in found.keys.items():
        if name not in known and not key.unique:
            yield f"index {name} is not in the reference's schema: {key}"
    if wanted.collation != found.collation:
        yield f"the collation is {found.collation}, not {wanted.collation}"


def _listed(names: tuple[str, ...]) -> str:
    return f"({', '.join(names)})"


# -- what there should be ---------------------------------------------------------------------------------------------


def _wanted(table: sa.Table, dialect: sa.Dialect) -> _Table:
    uniques = [constraint for constraint in table.constraints if isinstance(constraint, sa.UniqueConstraint)]
    indexes = [index for index in table.indexes if ddl.stands_on(dialect.name, index) and ddl.ADDED not in index.info]
    keys = {str(unique.name): _Key(tuple(unique.columns.keys()), unique=True) for unique in uniques}
    keys |= {str(index.name): _Key(tuple(index.columns.keys()), bool(index.unique)) for index in indexes}
    return _Table(
        {column.name: _wanted_column(column, dialect) for column in table.columns},
        tuple(table.primary_key.columns.keys()),
        keys,
        frozenset(_reference(_names_of(key), key.elements[0].column) for key in table.foreign_key_constraints),
        table.dialect_options["mysql"]["collate"] if dialect.name in ddl.MYSQL else None,
    )


def _names_of(key: sa.ForeignKeyConstraint) -> str:
    return ", ".join(key.column_keys)


def _reference(names: str, target: sa.Column[Any]) -> str:
    return f"({names}) -> {target.table.name} ({target.name})"


def _wanted_column(column: sa.Column[Any], dialect: sa.Dialect) -> str:
    default: Any = column.server_default
    is_part = isinstance(column.type, types.CountedPart)
    return _described(
        types.Integer() if is_part else column.type,
        dialect,
        nullable=bool(column.nullable),
        default=None if default is None else str(default.arg),
        counts=is_part or column is column.table.autoincrement_column,
    )


# -- what there is ----------------------------------------------------------------------------------------------------


def _found(connection: sa.Connection) -> dict[str, _Table]:
    """Read the whole schema with a few statements."""
    inspector = sa.inspect(connection)
    dialect = connection.dialect
    columns = inspector.get_multi_columns()
    primary_keys = inspector.get_multi_pk_constraint()
    uniques = inspector.get_multi_unique_constraints()
    indexes = inspector.get_multi_indexes()
    foreign_keys = inspector.get_multi_foreign_keys()
    collations = _collations(connection) if dialect.name in ddl.MYSQL else {}
    return {
        name: _Table(
            {column["name"]: _found_column(column, dialect) for column in columns[schema, name]},
            tuple(primary_keys[schema, name]["constrained_columns"]),
            dict(_found_keys(uniques[schema, name], indexes[schema, name])),
            frozenset(_found_reference(key) for key in foreign_keys[schema, name]),
            _modern(collations.get(name)),
        )
        for schema, name in columns
    }


def _collations(connection: sa.Connection) -> dict[str, str]:
    """Return each table's collation; MySQL's SHOW CREATE TABLE, which SQLAlchemy reads, leaves out the default."""
    query = "SELECT table_name, table_collation FROM information_schema.tables WHERE table_schema = DATABASE()"
    return {table: collation for table, collation in connection.exec_driver_sql(query) if collation is not None}


def _found_keys(uniques: Any, indexes: Any) -> Iterator[tuple[str, _Key]]:
    for unique in uniques:
        yield unique["name"], _Key(tuple(unique["column_names"]), unique=True)
    for index in indexes:
        yield index["name"], _Key(tuple(name or "an expression" for name in index["column_names"]), index["unique"])


def _found_reference(key: Any) -> str:
    columns, referred = (", ".join(key[part]) for part in ("constrained_columns", "referred_columns"))
    actions = [f" {name} {action}" for name, action in sorted(key["options"].items()) if action not in _NO_ACTIONS]
    return f"({columns}) -> {key['referred_table']} ({referred}){''.join(actions)}"


_NO_ACTIONS = (None, "NO ACTION", "RESTRICT")


def _found_column(column: Any, dialect: sa.Dialect) -> str:
    # PostgreSQL has the counting in the default
    counts = bool(column.get("autoincrement")) and "nextval" in (column["default"] or "nextval")
    return _described(
        column["type"],
        dialect,
        nullable=column["nullable"],
        default=None if counts else column["default"],
        counts=counts,
    )


# -- one description for both -----------------------------------------------------------------------------------------


def _described(kind: Any, dialect: sa.Dialect, *, nullable: bool, default: str | None, counts: bool) -> str:
    words = [_type_name(kind, dialect), "NULL" if nullable else "NOT NULL"]
    if default is not None and default.upper() != "NULL":
        words.append(f"DEFAULT {default.partition('::')[0].strip(chr(39))}")
    if counts and dialect.name != "sqlite":  # there it counts by being the primary key
        words.append("counted")
    return " ".join(words)


#: What servers and versions say differently about the same type: the width of a number, charsets, old names.
_SAME = (
    (re.compile(r" (CHARACTER SET|COLLATE) \S+"), ""),
    (re.compile(r"INT(EGER)?\(\d+\)"), r"INT\1"),
    (re.compile(r"BOOL$"), "TINYINT"),
)


def _type_name(kind: Any, dialect: sa.Dialect) -> str:
    name: str = kind.compile(dialect=dialect)
    for pattern, plain in _SAME:
        name = pattern.sub(plain, name)
    words = getattr(kind, "enums", None)
    return f"{name.partition('(')[0]} of {', '.join(words)}" if words and dialect.supports_native_enum else name


def _modern(collation: str | None) -> str | None:
    """Return a collation under the name that newer servers give it."""
    return re.sub("^utf8_", "utf8mb3_", collation) if collation else None
