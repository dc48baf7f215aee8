# SPDX-License-Identifier: Apache-2.0

"""Rows straight into the tables, and what has become of them: what archiving is tested with."""

from __future__ import annotations

import datetime
from typing import Any

import sqlalchemy as sa

from nova_sqlcore import tables, tx
from nova_sqlcore.core import types

Row = dict[str, Any]


def put(table: sa.Table, *rows: Row) -> None:
    """Store rows with all their columns as given."""
    with tx.main.engine.begin() as connection:
        connection.execute(table.insert(), list(rows))


def keys(table: sa.Table) -> list[Any]:
    """Return the primary keys of a table, in order."""
    key = next(iter(table.primary_key))
    with tx.main.engine.connect() as connection:
        return list(connection.execute(sa.select(key).order_by(key)).scalars())


def shadow(table: sa.Table) -> sa.Table:
    return tables.shadows[table.name]


def shadow_counts() -> dict[str, int]:
    """Return the number of rows of every shadow table that has any."""
    counts = {name: len(keys(table)) for name, table in tables.shadows.items()}
    return {name: count for name, count in counts.items() if count}


def row_of(table: sa.Table, key: Any) -> Row:
    with tx.main.engine.connect() as connection:
        found = connection.execute(sa.select(table).where(next(iter(table.primary_key)) == key))
        return dict(found.mappings().one())


def filled_row(table: sa.Table) -> Row:
    """Return a row with 1 in every column that must not be NULL or refers to another row."""
    row: Row = {}
    for column in table.columns:
        if column.nullable and not column.foreign_keys and column.name not in ("uuid", "deleted"):
            continue
        if isinstance(column.type, types.DateTime):
            row[column.name] = datetime.datetime(2016, 1, 1)
        elif isinstance(column.type, types.Boolean):
            row[column.name] = True
        elif isinstance(column.type, types.Enum):
            row[column.name] = column.type.words[0]
        else:
            row[column.name] = 1 if isinstance(column.type, types.Integer | types.Float) else "1"
    return row
