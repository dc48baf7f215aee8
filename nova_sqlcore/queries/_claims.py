"""Claims: taking any one free row of a table, so that nobody who asks at the same time gets the same one.

A claim steps over the rows that others have locked. When nothing else is free it waits for those: their holders may
give them up. On sqlite the whole database is locked instead. A claim is one UPDATE whose subquery locks the row it
picks, or, without UPDATE ... RETURNING, a locking SELECT and an UPDATE by id.

What is free must be found in an index, or else the MySQL family locks every free row that it sorts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from nova_sqlcore import exceptions
from nova_sqlcore.queries._shared import Row, arg, columns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nova_sqlcore.dialects import Dialect
    from nova_sqlcore.transaction import Transaction


class Claim(NamedTuple):
    """The statements of a claim; ``select`` is None where the UPDATE returns its row."""

    select: sa.Select[Any] | None
    update: sa.sql.expression.Executable


def locked(dialect: Dialect, pick: sa.Select[Any], waiting: bool) -> sa.Select[Any]:
    """Return ``pick`` as one that locks its row: it waits for rows that others hold, or steps over them."""
    return dialect.lock_row(pick) if waiting else dialect.lock_free_row(pick)


def claim(
    dialect: Dialect,
    table: sa.Table,
    pick: sa.Select[Any],
    free: Sequence[sa.ColumnElement[bool]],
    assignments: Mapping[str, Any],
) -> Claim:
    """Return the claim of the row whose id ``pick`` finds and locks.

    ``free`` says once more, about ``table``, what makes a row free; pick and free take the same parameters.
    """
    update = sa.update(table).where(*free).values(**assignments)
    if dialect.update_returning:
        return Claim(None, update.where(table.c.id == pick.scalar_subquery()).returning(*columns(table)))
    picked = pick.subquery("picked")
    select = sa.select(*columns(table)).join_from(picked, table, table.c.id == picked.c.id)
    return Claim(dialect.lock_free_row(select), update.where(table.c.id == arg("by_id")))


def take(
    transaction: Transaction,
    build: Callable[[bool], Claim],
    key: Mapping[str, Any],
    given: Row,
    failure: exceptions.NovaException,
) -> Row | None:
    """Write ``given``, in stored form, to a free row and return the row as it is now; None if there is no free row.

    ``build`` makes the claim that steps over locked rows (False) and the one that waits for them (True).
    Cost: 1 statement, 2 on the MySQL family; 1 more if nothing is free.
    Lock: the row.
    Raises: RetryRequest(failure) if the row is not free any more.
    """
    row = _take_one(transaction, build(False), key, given, failure)
    if row is None and transaction.dialect.locks_rows:
        row = _take_one(transaction, build(True), key, given, failure)
    return row


def _take_one(
    transaction: Transaction,
    claim: Claim,
    key: Mapping[str, Any],
    given: Row,
    failure: exceptions.NovaException,
) -> Row | None:
    if claim.select is None:
        return transaction.row(claim.update, **key, **given)
    row = transaction.row(claim.select, **key)
    if row is None:
        return None
    if not transaction.execute(claim.update, by_id=row["id"], **key, **given):
        raise exceptions.RetryRequest(failure)
    return row | given
