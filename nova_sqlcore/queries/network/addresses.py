# SPDX-License-Identifier: Apache-2.0

"""Addresses as keys: which texts can be addresses, and errors that name an address."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from nova_sqlcore import exceptions
from nova_sqlcore.core import types
from nova_sqlcore.core.texts import start_of
from nova_sqlcore.core.values import batches, complete, insert_statement, stored
from nova_sqlcore.queries.common.clauses import arg_list, chunks
from nova_sqlcore.queries.common.lookups import shape_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from nova_sqlcore.core.handles import Row
    from nova_sqlcore.core.transaction import Transaction
    from nova_sqlcore.queries.common.lookups import Shape

#: Rows per statement of a bulk insert, which the drivers cut further as their servers need it.
_BATCH: Final = 5000
#: Rows that travel together with their savepoint. With psycopg 100 rows then take 10 ms of the processor in place of 3,
#: which is more than a trip is worth.
_FEW: Final = 20


def is_inet(address: Any) -> bool:
    """Tell whether a row can have this address or network; none has anything else, on any server."""
    try:
        return address is None or bool(types.address_text(str(address)))
    except (ValueError, RecursionError):
        return False


def best_first(table: sa.FromClause, read_deleted: str) -> tuple[sa.ColumnElement[Any], ...]:
    """Return the order of fixed IPs with one address: the live one, then the newest; several live ones by id."""
    if read_deleted == "no":
        return (table.c.id,)
    return sa.case((table.c.deleted == 0, 0), else_=1), table.c.id.desc()


def find(
    transaction: Transaction,
    statement: Callable[[Shape], sa.Select[Any]],
    address: Any,
    invalid: type[exceptions.NovaException],
    **params: Any,
) -> list[Row]:
    """Return the rows that ``statement`` finds for the key ``address``.

    Raises: ``invalid`` with a text that names the address, if it is not an address or the lookup fails.
    """
    shape, key = shape_of({"address": address})
    if not is_inet(address):
        raise invalid(f"{start_of(address)} is not a valid IP address.")
    try:
        return transaction.rows(statement(shape), **key, **params)
    except (exceptions.DBDeadlock, exceptions.DBConnectionError):
        raise
    except exceptions.DBError as error:
        raise invalid(f"The IP address {start_of(address)} can't be looked up: {error}") from error


# -- many at once -----------------------------------------------------------------------------------------------------


def insert_all(
    transaction: Transaction,
    table: sa.Table,
    given: Iterable[Mapping[str, Any]],
    exists: type[exceptions.NovaException],
    ignore: Sequence[str],
) -> None:
    """Insert rows of addresses, all or none; None stays NULL here, a missing column takes its default.

    The statements go through the driver's own way for many rows: with RETURNING in row order it takes 1.7 (PyMySQL) to
    5 times (psycopg) as long (measured with 65,536 rows).
    Raises: ``exists(address)`` for the first address that is taken.
    """
    default = complete(table, {}, transaction.dialect)
    rows = [default | stored(table, one, transaction.dialect, ignore=ignore) for one in given]
    if not rows:
        return
    counted = [{name: row[name] for name in default} for row in rows if row.get("id") is None]
    try:
        with transaction.savepoint_later():
            if len(rows) > _FEW:
                transaction.send_waiting()
            for group in (counted, [row for row in rows if row.get("id") is not None]):
                _insert_group(transaction, table, group)
    except exceptions.DBDuplicateEntry as error:
        raise exists(address=_first_taken(transaction, table, rows)) from error


def _insert_group(transaction: Transaction, table: sa.Table, rows: Sequence[Row]) -> None:
    """Insert rows all or none of which bring their id."""
    for batch in batches(rows, _BATCH):
        with_id = "id" in batch[0]
        transaction.execute_many(insert_statement(table, with_id=with_id, returning=False), batch)


@functools.cache
def _keys_in_statement(table: sa.Table) -> sa.Select[Any]:
    return sa.select(table.c.address, table.c.deleted).where(table.c.address.in_(arg_list("addresses")))


def _first_taken(transaction: Transaction, table: sa.Table, rows: Sequence[Row]) -> str | None:
    """Return the address of the first row that collides with a stored row or with one before it."""
    taken: set[tuple[Any, Any]] = set()
    for chunk in chunks([row for row in rows if row["address"] is not None]):
        found = transaction.rows(_keys_in_statement(table), addresses=[row["address"] for row in chunk])
        taken.update((row["address"], row["deleted"]) for row in found)
        for row in chunk:
            address: str = row["address"]
            if (address, row["deleted"]) in taken:
                return address
            taken.add((address, row["deleted"]))
    return None
