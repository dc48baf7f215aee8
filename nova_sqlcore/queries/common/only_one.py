# SPDX-License-Identifier: Apache-2.0

"""Only one of these rows, where no unique key says so.

Whoever is about to make, take or name the only one holds its name first, and looks for it under that hold: one caller
comes after the other, also if there is no row yet that could be locked, and on whichever node of a Galera cluster.
``Dialect.guard`` says what a hold is: nothing on sqlite, which has one writer; an advisory lock on PostgreSQL; a write
to the same key on the MySQL family. All of them end with the transaction.

Who holds several names takes them in this order: those of a project's usages first, then others. Names that differ in
the case of letters are one, for to some servers the rows would be the same.
"""

from __future__ import annotations

import functools
import hashlib
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa

from nova_sqlcore import exceptions
from nova_sqlcore.core import values
from nova_sqlcore.queries.common.clauses import select_statement, visible
from nova_sqlcore.queries.common.lookups import Shape, equal, shape_of

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nova_sqlcore.core.dialects import Dialect
    from nova_sqlcore.core.handles import Select, Table
    from nova_sqlcore.tx import Transaction

R = TypeVar("R")


@functools.lru_cache(maxsize=256)
def _first_statement(table: Table[R], shape: Shape, dialect: Dialect) -> Select[R]:
    return dialect.lock_row(select_statement(table).where(*equal(table, shape)).order_by(table.c.id).limit(1))


@functools.lru_cache(maxsize=256)
def _none_clause(table: sa.Table, shape: Shape, read_deleted: str) -> sa.ColumnElement[bool]:
    return ~sa.exists().where(*equal(table, shape), *visible(table, read_deleted))


def hold(transaction: Transaction, *name: Any) -> None:
    """Keep everybody else who holds this name waiting until the transaction ends.

    Cost: none on sqlite, 1 statement on PostgreSQL, 2 on the MySQL family; they travel with the next statement.
    Lock: the name.
    """
    guard = transaction.dialect.guard()
    if not guard:
        return
    text = "\0".join(str(part).casefold() for part in name)
    digest = hashlib.blake2b(text.encode(errors="surrogatepass"), digest_size=16).hexdigest()
    for statement in guard:
        transaction.later.guard(statement, guard=digest)


def hold_in_cluster(transaction: Transaction, *name: Any) -> None:
    """Hold the name where other nodes write too; elsewhere the row that the caller has locked keeps others waiting.

    Cost: 2 statements on Galera, none elsewhere.
    Lock: the name.
    """
    if transaction.dialect.clustered:
        hold(transaction, *name)


def hold_project(transaction: Transaction, project_id: str | None) -> None:
    """Let nobody else make usages of the project until this transaction ends.

    Cost: none on sqlite, 1 statement on PostgreSQL, 2 on the MySQL family.
    Lock: the project's name among the usages.
    """
    hold(transaction, "quota_usages", project_id)


def lock_first(transaction: Transaction, table: Table[R], /, **key: Any) -> R | None:
    """Return the first row with this key, soft-deleted or not, and keep others from changing it; None without any."""
    shape, params = shape_of(key)
    statement: Select[R] = _first_statement(table, shape, transaction.dialect)
    return transaction.row(statement, **params)


def insert_only(
    transaction: Transaction,
    table: Table[R],
    given: Mapping[str, Any],
    key: Sequence[str],
    *,
    read_deleted: str = "yes",
    ignore: Sequence[str] = (),
) -> R | None:
    """Insert ``given`` and return the row, or None if there is one with the same ``key`` that ``read_deleted`` shows.

    Cost: 1 statement on sqlite, 2 on PostgreSQL, 3 on the MySQL family.
    Lock: the key.
    """
    wanted = values.stored(table, {name: given.get(name) for name in key}, transaction.dialect)
    hold(transaction, table.name, *wanted.values())
    none = _none_clause(table, shape_of(wanted)[0], read_deleted)
    return transaction.insert_absent(table, given, only_if=none, ignore=ignore)


def change_or_insert(change: Callable[[], R | None], insert: Callable[[], R | None]) -> R:
    """Return the row that ``change`` has changed or, if it found none, the one that ``insert`` has inserted.

    If somebody else was quicker to insert, it is their row that is changed.
    Raises: DBDeadlock if that one is gone again.
    """
    row = change() or insert() or change()
    if row is None:
        raise exceptions.DBDeadlock("a row came and went while it was to be changed")
    return row
