"""Claims: taking any one free row of a table, so that nobody who asks at the same time gets the same one.

A claim is one UPDATE whose subquery locks the row that it picks and steps over rows that others have locked; or,
without UPDATE ... RETURNING, a SELECT that does so and an UPDATE by id. When nothing else is free a second SELECT waits
for those rows, for their holders may give them up. On sqlite the whole database is locked instead.

The row must be picked from an index: the MySQL family locks every row that it sorts, and everybody else waits.
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

    #: makes a SELECT lock what it finds
    Lock = Callable[[sa.Select[Any]], sa.Select[Any]]
    #: returns the SELECT of these columns of a free row; hands to the lock what reads the table itself
    Pick = Callable[[Sequence[str], Lock], sa.Select[Any]]


class Claim(NamedTuple):
    """The statements of a claim."""

    #: takes a row that nobody has locked; None without UPDATE ... RETURNING
    at_once: sa.sql.expression.Executable | None
    #: finds and locks a row that nobody has locked
    free: sa.Select[Any]
    #: finds and locks a row, and waits for those who have locked it
    any: sa.Select[Any]
    #: takes the row that was found
    update: sa.sql.expression.Executable


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
    by_id = update.where(table.c.id == arg("by_id"))
    fields = columns(table)
    if not dialect.update_returning:
        names = [column.name for column in fields]
        return Claim(None, pick(names, dialect.lock_free_row), pick(names, dialect.lock_row), by_id)
    steps_over, waits = (pick(["id"], lock) for lock in (dialect.lock_free_row, dialect.lock_row))
    at_once = update.where(table.c.id == steps_over.scalar_subquery())
    return Claim(at_once.returning(*fields), steps_over, waits, by_id.returning(*fields))


def take(
    transaction: Transaction, claim: Claim, key: Mapping[str, Any], given: Row, failure: exceptions.NovaException
) -> Row | None:
    """Write ``given``, in stored form, to a free row and return the row as it is now; None if there is no free row.

    Cost: 1 statement, 2 on the MySQL family; 1 more if nothing is free.
    Lock: the row.
    Raises: RetryRequest(failure) if a row was free and is not any more.
    """
    if claim.at_once is not None:
        row = transaction.row(claim.at_once, **key, **given)
    else:
        row = _take(transaction, claim, claim.free, key, given, failure)
    return row or _take(transaction, claim, claim.any, key, given, failure)


def _take(
    transaction: Transaction,
    claim: Claim,
    find: sa.Select[Any],
    key: Mapping[str, Any],
    given: Row,
    failure: exceptions.NovaException,
) -> Row | None:
    found = transaction.row(find, **key)
    if found is None:
        return None
    row: Row | None
    if claim.at_once is not None:
        row = transaction.row(claim.update, by_id=found["id"], **key, **given)
    else:
        row = found | given if transaction.execute(claim.update, by_id=found["id"], **key, **given) else None
    if row is None:
        raise exceptions.RetryRequest(failure)
    return row
