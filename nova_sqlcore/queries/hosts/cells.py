# SPDX-License-Identifier: Apache-2.0

"""Cells: a neighbour in the tree of cells, and how it is reached.  Table ``cells``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nova_sqlcore import exceptions, tx
from nova_sqlcore.queries.common.lookups import bulk_changes, row_by, rows_by, soft_delete_by, update_by
from nova_sqlcore.tables import cells as t
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context


@tx.main.reader
def cell_get(context: Context, cell_name: str) -> rows.Cell:
    """Return the cell of this name, if the context may see it.

    Cost: 1 statement in 1 round trip.
    Raises: CellNotFound(cell_name).
    """
    row = row_by(current(context), t, context.read_deleted, name=cell_name)
    if row is None:
        raise exceptions.CellNotFound(cell_name=cell_name)
    return row


@tx.main.reader
def cell_get_all(context: Context) -> list[rows.Cell]:
    """Return the live cells, by id.

    Cost: 1 statement in 1 round trip.
    """
    return rows_by(current(context), t, "no")


@tx.main.writer
def cell_create(context: Context, values: Mapping[str, Any]) -> rows.Cell:
    """Store a new cell and return it.

    Cost: 1 statement in 1 round trip.
    Raises: CellExists(name); DBError without a transport_url.
    """
    try:
        return current(context).last().insert(t, values)
    except exceptions.DBDuplicateEntry as error:
        raise exceptions.CellExists(name=values.get("name")) from error


@tx.main.writer
def cell_update(context: Context, cell_name: str, values: Mapping[str, Any]) -> rows.Cell:
    """Write the given columns, and ``updated_at`` in any case, and return the cell, by its new name if it got one.

    Cost: 1 statement; 2 on the MySQL family; in 1 round trip.
    Raises: CellNotFound(cell_name); DBDuplicateEntry if the new name is taken; DBError for an unknown column.
    """
    transaction = current(context)
    given = bulk_changes(transaction, t, values)
    row = update_by(transaction.last(), t, context.read_deleted, given, name=cell_name)
    if row is None:
        raise exceptions.CellNotFound(cell_name=cell_name)
    return row


@tx.main.writer
def cell_delete(context: Context, cell_name: str) -> int:
    """Soft-delete the cell of this name and return how many there were.

    Cost: 1 statement in 1 round trip.
    """
    return soft_delete_by(current(context).last(), t, context.read_deleted, name=cell_name)
