# SPDX-License-Identifier: Apache-2.0

"""Claims: taking any one free row of a table, so that nobody who asks at the same time gets the same one.

A claim is one UPDATE whose subquery locks the row that it picks and steps over rows that others have locked; or,
without UPDATE ... RETURNING, a SELECT that does so and an UPDATE by id. When nothing else is free a second SELECT waits
for those rows, for their holders may give them up: then the claim starts over. On sqlite the whole database is locked
instead.

On a Galera cluster nothing shows which rows other nodes are taking. There one of several free rows is chosen at random,
so that the nodes seldom meet: of two that do, one starts over.

The row must be picked from an index: the MySQL family locks every row that it sorts, and everybody else waits.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any, Final, Generic, NamedTuple, TypeVar, cast

import sqlalchemy as sa

from nova_sqlcore import exceptions
from nova_sqlcore.queries.common.clauses import arg, columns

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from nova_sqlcore.core.dialects import Dialect
    from nova_sqlcore.core.handles import Row, Statement, Table
    from nova_sqlcore.core.transaction import Transaction

    #: makes a SELECT lock what it finds
    Lock = Callable[[sa.Select[Any]], sa.Select[Any]]
    #: returns the SELECT of these columns of a free row; hands to the lock what reads the table itself
    Pick = Callable[[Sequence[str], Lock], sa.Select[Any]]
    #: makes the error of a caller who has lost every race
    Failure = Callable[[], exceptions.NovaException]


R = TypeVar("R")

#: How many rows a pick takes, as text. PostgreSQL expects of a parameter that it is a tenth of the rows; the plan that
#: it could keep for a prepared statement seems too dear then, and it plans again for each call: 80 of 270 µs for a
#: floating IP, 690 of 980 µs for a fixed one.
ONE: Final = sa.literal_column("1", sa.Integer)
#: Free rows of which one is chosen on a cluster.
CHOICE: Final = 64


class Claim(NamedTuple, Generic[R]):
    """The statements of a claim of a row that is an ``R``."""

    #: takes a row that nobody has locked, and returns it; None without UPDATE ... RETURNING
    at_once: Statement[R] | None
    #: finds and locks a row that nobody has locked; on a cluster finds several and locks none
    free: sa.Select[Any]
    #: takes the row that was found
    update: sa.Update
    #: finds and locks a row, and waits for those who have locked it
    any: sa.Select[Any]
    #: parameters that the pick takes and the update does not
    of_pick: frozenset[str]


def claim(
    dialect: Dialect,
    table: Table[R],
    pick: Pick,
    free: Sequence[sa.ColumnElement[bool]],
    assignments: Mapping[str, Any],
    of_pick: Iterable[str] = (),
    wanted: Sequence[str] | None = None,
) -> Claim[R]:
    """Return the claim of a row that ``pick`` finds.

    ``free`` says once more, about ``table``, what makes a row free; it takes the same parameters as the pick but for
    those in ``of_pick``. Of the row only the columns ``wanted`` are returned, if they are given.
    """
    update = sa.update(table).where(*free).values(**assignments)
    at_once = None
    fields = columns(table) if wanted is None else [table.c[name] for name in wanted]
    if dialect.update_returning:
        picked = pick(["id"], dialect.lock_free_row).scalar_subquery()
        at_once = cast("Statement[R]", update.where(table.c.id == picked).returning(*fields))
    names = list(dict.fromkeys((*(column.name for column in fields), "id")))
    return Claim(
        at_once,
        free=pick(names, _several).limit(CHOICE) if dialect.clustered else pick(names, dialect.lock_free_row),
        # MySQL would lock what it intersects of several indexes, which is all that is free
        update=dialect.update_by_index(update.where(table.c.id == arg("by_id")), "PRIMARY"),
        any=pick(["id"], dialect.lock_row),
        of_pick=frozenset(of_pick),
    )


def _several(statement: sa.Select[Any]) -> sa.Select[Any]:
    return statement.limit(CHOICE)


def take(transaction: Transaction, claim: Claim[R], key: Mapping[str, Any], given: Row, failure: Failure) -> R | None:
    """Write ``given``, in stored form, to a free row and return the row as it is now; None if there is no free row.

    The row is the last that the caller writes.
    Cost: 1 statement, 2 on the MySQL family; 1 more if nothing is free.
    Lock: the row.
    Raises: RetryRequest(failure()) if a row was free and is not any more, or was taken and is free again.
    """
    if claim.at_once is not None:
        row = transaction.last().row(claim.at_once, **key, **given)
    else:
        row = _take_found(transaction, claim, key, given, failure)
    if row is None and transaction.row(claim.any, **key) is not None:
        raise exceptions.RetryRequest(failure())
    return row


def _take_found(
    transaction: Transaction, claim: Claim[R], key: Mapping[str, Any], given: Row, failure: Failure
) -> R | None:
    free = transaction.rows(claim.free, **key)
    if not free:
        return None
    found = random.choice(free)
    still = {name: value for name, value in key.items() if name not in claim.of_pick}
    if not transaction.last().execute(claim.update, by_id=found["id"], **still, **given):
        raise exceptions.RetryRequest(failure())
    return cast("R", found | given)
