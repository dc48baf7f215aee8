# SPDX-License-Identifier: Apache-2.0

"""Rows found by equality, changed by id: the statements that most small nouns consist of, one per table and shape.

A key is given as keywords that name columns. None as a value means IS NULL, which is another statement; so a key's
shape is the names to compare and the names that must be NULL. The first row is the one with the lowest id.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, TypeVar

import sqlalchemy as sa

from nova_sqlcore import clock
from nova_sqlcore.core.values import refuse_unknown
from nova_sqlcore.queries.common.clauses import (
    arg,
    arg_list,
    assigned,
    changes,
    chunks,
    deleted_now,
    rows_in,
    select_statement,
    soft_delete_statement,
    visible,
)
from nova_sqlcore.queries.common.ids import as_id

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from nova_sqlcore.core.batches import Pending
    from nova_sqlcore.core.handles import Row, Select, Table
    from nova_sqlcore.tx import Transaction

R = TypeVar("R")

#: What parameters of a key are called in an UPDATE, whose SET takes the columns' own names.
BY = "by_"
#: Rows that take values of their own from one UPDATE, where many rows share a statement.
_ROWS: Final = 50


#: The shape of a key: the names to compare, and those that must be NULL.
Shape = tuple[tuple[str, ...], tuple[str, ...]]

_ID: Final[Shape] = (("id",), ())


def shape_of(key: Row, prefix: str = "") -> tuple[Shape, Row]:
    """Return the shape of ``key`` and the parameters for it, which may be the key itself."""
    for value in key.values():
        if value is None:
            break
    else:  # most keys; this takes half the time
        return (tuple(key), ()), {prefix + name: key[name] for name in key} if prefix else key
    params = {prefix + name: value for name, value in key.items() if value is not None}
    compared = tuple(name for name, value in key.items() if value is not None)
    return (compared, tuple(name for name, value in key.items() if value is None)), params


def equal(table: sa.FromClause, shape: Shape, prefix: str = "") -> tuple[sa.ColumnElement[bool], ...]:
    """Return the clauses for a key of this shape; its parameters are named like the columns, after ``prefix``."""
    compared, null = shape
    sought = (table.c[name] == arg(prefix + name) for name in compared)
    return (*sought, *(table.c[name].is_(None) for name in null))


@functools.lru_cache(maxsize=1024)
def _select_statement(table: Table[R], read_deleted: str, shape: Shape, first: bool) -> Select[R]:
    where = (*equal(table, shape), *visible(table, read_deleted))
    statement = select_statement(table).where(*where).order_by(table.c.id)
    return statement.limit(1) if first else statement


@functools.lru_cache(maxsize=1024)
def _by_id_statement(table: Table[R], read_deleted: str) -> Select[R]:
    return select_statement(table).where(table.c.id == arg("by_id"), *visible(table, read_deleted))


@functools.lru_cache(maxsize=1024)
def _update_statement(table: sa.Table, read_deleted: str, shape: Shape, names: tuple[str, ...]) -> sa.Update:
    where = (*equal(table, shape, BY), *visible(table, read_deleted))
    return sa.update(table).where(*where).values(assigned(table, names))


@functools.lru_cache(maxsize=1024)
def _soft_delete_statement(table: sa.Table, read_deleted: str, shape: Shape) -> sa.Update:
    return soft_delete_statement(table).where(*equal(table, shape, BY), *visible(table, read_deleted))


def rows_by(transaction: Transaction, table: Table[R], read_deleted: str, /, **key: Any) -> list[R]:
    """Return the visible rows with this key, by id."""
    shape, params = shape_of(key)
    rows: list[R] = transaction.fetched(_select_statement(table, read_deleted, shape, False), params)
    return rows


def ask_by(transaction: Transaction, table: Table[R], read_deleted: str, /, **key: Any) -> Pending[list[R]]:
    """Ask for what ``rows_by`` returns, together with the next statement."""
    shape, params = shape_of(key)
    pending: Pending[Any] = transaction.later.rows(_select_statement(table, read_deleted, shape, False), **params)
    return pending


def row_by(transaction: Transaction, table: Table[R], read_deleted: str, /, **key: Any) -> R | None:
    """Return the first visible row with this key, or None."""
    shape, params = shape_of(key)
    rows: list[R] = transaction.fetched(_select_statement(table, read_deleted, shape, True), params)
    return rows[0] if rows else None


def row_by_id(transaction: Transaction, table: Table[R], read_deleted: str, identity: Any) -> R | None:
    """Return the visible row with this id, or None; nothing is asked for what can't be an id."""
    number = as_id(identity)
    if number is None:
        return None
    rows: list[R] = transaction.fetched(_by_id_statement(table, read_deleted), {"by_id": number})
    return rows[0] if rows else None


def update_by(
    transaction: Transaction, table: Table[R], read_deleted: str, given: Mapping[str, Any], /, **key: Any
) -> R | None:
    """Write ``given``, in stored form, to the visible rows with this key and return the first as it is now, or None.

    Cost: 1 statement; 2 on the MySQL family.
    """
    shape, params = shape_of(key, BY)
    shape_after, params_after = shape_of({name: given.get(name, value) for name, value in key.items()})
    update = _update_statement(table, read_deleted, shape, tuple(given))
    again: Select[R] = _select_statement(table, read_deleted, shape_after, True)
    return transaction.update_row(update, again, params, given, key_after=params_after)


def update_by_id(
    transaction: Transaction,
    table: Table[R],
    read_deleted: str,
    identity: Any,
    given: Mapping[str, Any],
    build: Callable[[str, tuple[str, ...]], sa.Update] | None = None,
) -> R | None:
    """Write ``given``, in stored form, to the visible row with this id and return it as it is now, or None.

    With nothing to write the row is just read. ``build`` makes another UPDATE for the names in ``given``; the id is its
    parameter ``by_id``.
    Cost: 1 statement; 2 on the MySQL family.
    """
    number = as_id(identity)
    if number is None or not given:
        return row_by_id(transaction, table, read_deleted, number)
    names = tuple(given)
    update = build(read_deleted, names) if build else _update_statement(table, read_deleted, _ID, names)
    again: Select[R] = _by_id_statement(table, "yes")  # the change may just have hidden the row
    key_after = {"by_id": given.get("id", number)}
    return transaction.update_row(update, again, {"by_id": number}, given, key_after=key_after)


def count_updated_by_id(
    transaction: Transaction, table: sa.Table, read_deleted: str, identity: Any, given: Mapping[str, Any]
) -> int:
    """Write ``given``, in stored form, to the visible row with this id and return how many there were: 1 or 0."""
    number = as_id(identity)
    return 0 if number is None else count_updated_by(transaction, table, read_deleted, given, id=number)


def count_updated_by(
    transaction: Transaction, table: sa.Table, read_deleted: str, given: Mapping[str, Any], /, **key: Any
) -> int:
    """Write ``given``, in stored form, to the visible rows with this key and return how many there were."""
    shape, params = shape_of(key, BY)
    return transaction.execute(_update_statement(table, read_deleted, shape, tuple(given)), **params, **given)


def update_later_by_id(transaction: Transaction, table: sa.Table, identity: int, given: Mapping[str, Any]) -> None:
    """Write ``given``, in stored form, to the row with this id, together with the next statement."""
    statement = _update_statement(table, "yes", _ID, tuple(given))
    transaction.later.execute(statement, by_id=identity, **given)


def bulk_changes(transaction: Transaction, table: sa.Table, given: Mapping[str, Any]) -> Row:
    """Return what a bulk update of ``given`` writes: ``updated_at`` always, and no unknown column.

    Raises: DBError for a key that is not a column.
    """
    refuse_unknown(table, given)
    return changes(table, {"updated_at": clock.utcnow(), **given}, transaction)


def soft_delete_by(transaction: Transaction, table: sa.Table, read_deleted: str, /, **key: Any) -> int:
    """Soft-delete the visible rows with this key and return how many there were."""
    shape, params = shape_of(key, BY)
    return transaction.execute(_soft_delete_statement(table, read_deleted, shape), **params, **deleted_now())


def soft_delete_later_by(transaction: Transaction, table: sa.Table, read_deleted: str, /, **key: Any) -> None:
    """Soft-delete the visible rows with this key, together with the next statement."""
    shape, params = shape_of(key, BY)
    transaction.later.execute(_soft_delete_statement(table, read_deleted, shape), **params, **deleted_now())


def soft_delete_by_id(transaction: Transaction, table: sa.Table, read_deleted: str, identity: Any) -> int:
    """Soft-delete the visible row with this id and return how many there were: 1 or 0."""
    number = as_id(identity)
    return 0 if number is None else soft_delete_by(transaction, table, read_deleted, id=number)


# -- many rows --------------------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=128)
def _locked_statement(table: Table[R], read_deleted: str, name: str, shape: Shape) -> Select[R]:
    """Return the SELECT that locks; FOR NO KEY UPDATE on PostgreSQL: whoever inserts children does not wait."""
    where = (table.c[name].in_(arg_list("keys")), *equal(table, shape), *visible(table, read_deleted))
    return select_statement(table).where(*where).order_by(table.c.id).with_for_update(key_share=True)


@functools.lru_cache(maxsize=128)
def _update_rows_statement(table: sa.Table, names: tuple[str, ...], count: int) -> sa.Update:
    """Return the UPDATE by id of this many rows, each with values of its own."""

    def value(name: str, place: int) -> sa.Label[Any]:
        return sa.bindparam(f"{name}_{place}", type_=table.c[name].type).label(name)

    selects = (sa.select(*(value(name, place) for name in ("id", *names))) for place in range(count))
    given = sa.union_all(*selects).subquery("given")
    return sa.update(table).where(table.c.id == given.c.id).values({name: given.c[name] for name in names})


def rows_locked(
    transaction: Transaction, table: Table[R], read_deleted: str, name: str, keys: Iterable[Any], /, **also: Any
) -> list[R]:
    """Lock the visible rows whose column ``name`` has one of the keys, and which have this key too; return them, by id.

    Cost: 1 statement per 500 keys.
    """
    shape, params = shape_of(also)
    statement: Select[R] = _locked_statement(table, read_deleted, name, shape)
    return rows_in(transaction, statement, "keys", list(keys), **params)


def update_rows(transaction: Transaction, table: sa.Table, given: Mapping[int, Row]) -> None:
    """Write to each row, by its id, values of its own, in stored form.

    On the MySQL family an UPDATE takes the values of many rows (measured on MariaDB with 1,000 rows: 0.3 of the time of
    an UPDATE each, though all of those travel together). The drivers of sqlite and PostgreSQL are at least as fast with
    an UPDATE each.

    Cost: 1 statement for rows with the same columns; 1 per 50 of them on the MySQL family.
    """
    alike: dict[tuple[str, ...], list[Row]] = {}
    for number, row in given.items():
        alike.setdefault(tuple(sorted(row)), []).append({"id": number, **row})
    for names, rows in alike.items():
        if transaction.dialect.updates_from_rows:
            for chunk in chunks(rows, _ROWS):
                params = {f"{name}_{place}": row[name] for place, row in enumerate(chunk) for name in ("id", *names)}
                transaction.later.execute(_update_rows_statement(table, names, len(chunk)), **params)
        else:
            keyed = [{BY + "id": row.pop("id"), **row} for row in rows]
            transaction.later.execute_many(_update_statement(table, "yes", _ID, names), keyed)
