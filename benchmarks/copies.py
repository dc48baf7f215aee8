# SPDX-License-Identifier: Apache-2.0

"""Many rows, which the server itself makes of a few that are there: nothing here holds any of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from nova_sqlcore import tables

if TYPE_CHECKING:
    from collections.abc import Mapping


def copy(
    connection: sa.Connection, table: sa.Table, number: int, where: Any, values: Mapping[str, Any] | None = None
) -> None:
    """Copy the rows of ``table`` that fulfil ``where``, each under the uuid and of the instance with this number.

    ``values`` are other values, by column: expressions over ``table``.
    """
    renamed = {name: under(number, table.c[name]) for name in ("uuid", "instance_uuid") if name in table.c}
    given = {**renamed, **(values or {})}
    names = [column.name for column in tables.row_columns(table) if column.name != "id"]
    made = [sa.type_coerce(given.get(name, table.c[name]), table.c[name].type).label(name) for name in names]
    found = sa.select(*made).where(where).order_by(table.c.id)
    connection.execute(sa.insert(table).from_select(names, found, include_defaults=False))


def under(number: int, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Return a text that begins with eight digits with this number in their place."""
    return sa.literal(f"{number:08x}") + sa.func.substr(column, 9)
