"""Claims: taking any one free row of a table, so that nobody who asks at the same time gets the same one.

A claim is one UPDATE whose subquery locks the row that it picks and steps over rows that others have locked; or,
without UPDATE ... RETURNING, a SELECT that does so and an UPDATE by id. When nothing else is free a second SELECT waits
for those rows, for their holders may give them up: then the claim starts over. On sqlite the whole database is locked
instead.

The row must be picked from an index: the MySQL family locks every row that it sorts, and everybody else waits.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from nova_sqlcore import exceptions
from nova_sqlcore.queries.common.clauses import Row, arg, columns

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nova_sqlcore.core.dialects import Dialect
    from nova_sqlcore.core.transaction import Transaction

    #: makes a SELECT lock what it finds
    Lock = Callable[[sa.Select[Any]], sa.Select[Any]]
    #: returns the SELECT of these columns of a free row; hands to the lock what reads the table itself
    Pick = Callable[[Sequence[str], Lock], sa.Select[Any]]


class Claim(NamedTuple):
    """The statements of a claim."""

    #: takes a row that nobody has locked, and returns it; None without UPDATE ... RETURNING
    at_once: sa.sql.expression.Executable | None
    #: finds and locks a row that nobody has locked
    free: sa.Select[Any]
    #: takes the row that was found
    update: sa.Update
    #: finds and locks a row, and waits for those who have locked it
    any: sa.Select[Any]


def claim(
    dialect: Dialect,
    table: sa.Table,
    pick: Pick,
    free: Sequence[sa.ColumnElement[bool]],
    assignments: Mapping[str, Any],
) -> Claim:
    """Return the claim of a row that ``pick`` finds.

    ``free`` says once more, about ``table``, what makes a row free; pick and free take the same parameters.
    """
    update = sa.update(table).where(*free).values(**assignments)
    fields = columns(table)
    at_once = None
    if dialect.update_returning:
        picked = pick(["id"], dialect.lock_free_row).scalar_subquery()
        at_once = update.where(table.c.id == picked).returning(*fields)
    return Claim(
        at_once,
        free=pick([column.name for column in fields], dialect.lock_free_row),
        update=update.where(table.c.id == arg("by_id")),
        any=pick(["id"], dialect.lock_row),
    )


def take(
    transaction: Transaction, claim: Claim, key: Mapping[str, Any], given: Row, failure: exceptions.NovaException
) -> Row | None:
    """Write ``given``, in stored form, to a free row and return the row as it is now; None if there is no free row.

    Cost: 1 statement, 2 on the MySQL family; 1 more if nothing is free.
    Lock: the row.
    Raises: RetryRequest(failure) if a row was free and is not any more, or was taken and is free again.
    """
    if claim.at_once is not None:
        row = transaction.row(claim.at_once, **key, **given)
    else:
        row = _take_found(transaction, claim, key, given, failure)
    if row is None and transaction.row(claim.any, **key) is not None:
        raise exceptions.RetryRequest(failure)
    return row


def _take_found(
    transaction: Transaction, claim: Claim, key: Mapping[str, Any], given: Row, failure: exceptions.NovaException
) -> Row | None:
    found = transaction.row(claim.free, **key)
    if found is None:
        return None
    if not transaction.execute(claim.update, by_id=found["id"], **key, **given):
        raise exceptions.RetryRequest(failure)
    return found | given
