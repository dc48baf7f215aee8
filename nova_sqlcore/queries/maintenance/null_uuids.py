# SPDX-License-Identifier: Apache-2.0

"""Rows without the uuid of their instance: what an old fault left behind, and what a NOT NULL would refuse.

Tables that refer to instances are looked through, and instances themselves, each with its shadow table. A fixed IP or a
PCI device without an instance is a free one: those tables are left out.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from nova_sqlcore import tables, tx
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from nova_sqlcore.context import Context

#: Tables whose rows may well have no instance.
_FREE: Final = ("fixed_ips", "pci_devices")


def _column(table: sa.Table) -> sa.Column[str] | None:
    """Return the column that should hold an instance's uuid, if the table has one."""
    if table is tables.instances:
        return table.c.uuid
    if table.name in _FREE or "instance_uuid" not in table.c:
        return None
    refers = any(key.column.table is tables.instances for key in table.c.instance_uuid.foreign_keys)
    return table.c.instance_uuid if refers else None


@functools.cache
def _columns() -> tuple[sa.Column[str], ...]:
    """Return those columns, of children before their parents, and of the shadow tables."""
    found: list[sa.Column[str]] = []
    for table in reversed(tables.metadata.sorted_tables):
        column = _column(table)
        if column is not None:
            shadow = tables.shadows.get(table.name)
            found += [column] if shadow is None else [column, shadow.c[column.name]]
    return tuple(found)


@functools.cache
def _count_statement() -> sa.CompoundSelect[tuple[str, int]]:
    return sa.union_all(
        *(
            sa.select(sa.literal(column.table.name).label("name"), sa.func.count().label("count"))
            .select_from(column.table)
            .where(column.is_(None))
            for column in _columns()
        )
    )


@functools.cache
def _delete_statement(column: sa.Column[str]) -> sa.Delete:
    return sa.delete(column.table).where(column.is_(None))


@tx.main.reader
def null_instance_uuid_scan(context: Context) -> dict[str, int]:
    """Return how many rows have no instance, by table; tables without such rows are left out.

    Cost: 1 statement.
    """
    found = current(context).rows(_count_statement())
    return {row["name"]: row["count"] for row in found if row["count"]}


@tx.main.writer
def null_instance_uuid_delete(context: Context) -> dict[str, int]:
    """Delete the rows that have no instance, for good, and return how many there were by table.

    Cost: 1 statement, and 1 for each table with such rows.
    Lock: the rows.
    """
    transaction = current(context)
    found = {row["name"] for row in transaction.rows(_count_statement()) if row["count"]}
    doomed = (column for column in _columns() if column.table.name in found)
    return {column.table.name: transaction.execute(_delete_statement(column)) for column in doomed}
