"""The only row of a key that no unique key protects: inserted once, however many do so at the same time.

sqlite has one writer. PostgreSQL takes a guard before it looks for the row. The MySQL family has no guard: there
everybody inserts and then locks the first row of the key, which waits for whoever came before; he keeps his row, and
the others take theirs back.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from nova_sqlcore import exceptions
from nova_sqlcore.core import values
from nova_sqlcore.queries.common.clauses import Row, arg, columns
from nova_sqlcore.queries.common.lookups import Shape, equal, shape_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nova_sqlcore.core.dialects import Dialect
    from nova_sqlcore.tx import Transaction


@functools.lru_cache(maxsize=256)
def _first(table: sa.Table, shape: Shape, dialect: Dialect) -> sa.Select[Any]:
    return dialect.lock_row(sa.select(*columns(table)).where(*equal(table, shape)).order_by(table.c.id).limit(1))


@functools.lru_cache(maxsize=256)
def _none(table: sa.Table, shape: Shape) -> sa.ColumnElement[bool]:
    return ~sa.exists().where(*equal(table, shape))


@functools.lru_cache(maxsize=256)
def _take_back(table: sa.Table) -> sa.Delete:
    return sa.delete(table).where(table.c.id == arg("by_id"))


def lock_first(transaction: Transaction, table: sa.Table, /, **key: Any) -> Row | None:
    """Return the first row with this key, soft-deleted or not, and keep others from changing it; None without any."""
    shape, params = shape_of(key)
    return transaction.row(_first(table, shape, transaction.dialect), **params)


def insert_only(transaction: Transaction, table: sa.Table, given: Mapping[str, Any], key: Sequence[str]) -> Row | None:
    """Insert ``given`` and return the row, or None if there is one, soft-deleted or not, with the same ``key``.

    Cost: 1 statement on sqlite, else 2; 3 on the MySQL family for who comes second.
    Lock: the key.
    """
    wanted = values.stored(table, {name: given[name] for name in key}, transaction.dialect)
    guard = transaction.dialect.guard()
    if guard is not None:
        transaction.scalar(guard, guard=f"{table.name} {wanted}")
    row = transaction.insert_absent(table, given, only_if=_none(table, shape_of(wanted)[0]))
    if row is None or guard is not None or transaction.dialect.single_writer:
        return row
    first = lock_first(transaction, table, **wanted)
    if first is not None and first["id"] != row["id"]:
        transaction.execute(_take_back(table), by_id=row["id"])
        return None
    return row


def change_or_insert(change: Callable[[], Row | None], insert: Callable[[], Row | None]) -> Row:
    """Return the row that ``change`` has changed or, if it found none, the one that ``insert`` has inserted.

    If somebody else was quicker to insert, his row is changed.
    Raises: DBDeadlock if that one is gone again.
    """
    row = change() or insert() or change()
    if row is None:
        raise exceptions.DBDeadlock("a row came and went while it was to be changed")
    return row


def hold_project(transaction: Transaction, project_id: str | None) -> bool:
    """Let nobody else make usages of the project until this transaction ends, and return whether that is so.

    No unique key keeps usages from being made twice. The MySQL family has no such lock: there whoever makes a usage
    must look again afterwards. sqlite has one writer anyway.
    Cost: 1 statement on PostgreSQL, none elsewhere.
    """
    guard = transaction.dialect.guard()
    if guard is not None:
        transaction.row(guard, guard=f"quota{project_id}")
    return guard is not None or not transaction.dialect.locks_rows
