# SPDX-License-Identifier: Apache-2.0

"""Statements that travel together: what ``t.later`` and ``t.last()`` of a transaction are made of.

A statement whose result nobody needs yet waits, and goes to the server with the next one whose result is needed; so
does COMMIT with the last one. How several statements go to the server in one trip is the business of
``carriers``. Where there is none (sqlite, mysqlclient, SQLAlchemy's road), statements run at once.
"""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from nova_sqlcore.core import values

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import sqlalchemy as sa

    from nova_sqlcore.core.dialects import Dialect
    from nova_sqlcore.core.handles import Row
    from nova_sqlcore.core.roads import Step

T = TypeVar("T")


class Funnel(Protocol):
    """What ``Later`` needs of a transaction."""

    @property
    def dialect(self) -> Dialect:
        """The traits of the server."""

    def refuse_in_reader(self) -> None:
        """Raise TypeError in a reader."""

    def send_waiting(self) -> None:
        """Send what waits."""

    def queue(self, operation: str, statement: Any, params: Any, *, is_guard: bool = False) -> Part:
        """Let an operation wait for the next one."""

    def queue_many(self, statement: Any, rows: Sequence[Any]) -> list[Part]:
        """Let the operations wait that run a statement for each of the rows."""

    def portions(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        """Yield complete rows in lists, each for an INSERT of its own."""


class Part:
    """One statement of a batch, and its result once it has travelled."""

    __slots__ = (
        "is_begin",
        "is_done",
        "is_guard",
        "operation",
        "packed",
        "params",
        "result",
        "size",
        "statement",
        "step",
    )

    def __init__(
        self, operation: str, statement: Any, params: Any, *, is_begin: bool = False, is_guard: bool = False
    ) -> None:
        """Describe an operation of a road, what begins a transaction, or what leaves nothing behind in it."""
        self.is_begin = is_begin
        self.is_guard = is_guard
        self.operation = operation
        self.statement = statement
        self.params = params
        self.step: Step | None = None
        self.packed: Any = None
        self.size = 0
        self.result: Any = None
        self.is_done = False

    def finish(self, result: Any) -> None:
        """Take the result."""
        self.result = result
        self.is_done = True


class Pending(Generic[T]):
    """The result of statements that may still wait."""

    __slots__ = ("_finish", "_parts", "_transaction")

    def __init__(self, transaction: Funnel, parts: list[Part], finish: Callable[[list[Any]], T]) -> None:
        """Take the statements, and what makes the result of theirs."""
        self._transaction = transaction
        self._parts = parts
        self._finish = finish

    @property
    def is_empty(self) -> bool:
        """Whether there is no statement at all."""
        return not self._parts

    @property
    def is_known(self) -> bool:
        """Whether its statements have run."""
        return all(part.is_done for part in self._parts)

    def get(self) -> T:
        """Return the result; what waits is sent first if it must be.

        Raises: the error of the first statement that fails.
        """
        if not self.is_known:
            self._transaction.send_waiting()
        return self._finish([part.result for part in self._parts])


def _only(results: list[Any]) -> Any:
    return results[0]


class Later:
    """The funnel for statements whose result nobody needs yet; their parameters are checked at once."""

    __slots__ = ("_transaction",)

    def __init__(self, transaction: Funnel) -> None:
        """Belong to ``transaction``."""
        self._transaction = transaction

    def rows(self, statement: sa.sql.expression.Executable, /, **params: Any) -> Pending[list[Row]]:
        """As ``Transaction.rows``; for a SELECT."""
        return self._queued("fetch", statement, params)

    def execute(self, statement: sa.sql.expression.Executable, /, **params: Any) -> Pending[int]:
        """As ``Transaction.execute``."""
        self._transaction.refuse_in_reader()
        return self._queued("change", statement, params)

    def guard(self, statement: sa.sql.expression.Executable, /, **params: Any) -> None:
        """Run a statement that keeps others waiting, whatever it is; a transaction with no others has changed nothing.

        See ``Dialect.guard``.
        """
        self._transaction.refuse_in_reader()
        operation = "fetch" if statement.is_select else "change"
        self._transaction.queue(operation, statement, params, is_guard=True)

    def insert(self, table: sa.Table, given: Mapping[str, Any], *, ignore: Sequence[str] = ()) -> Pending[Row]:
        """As ``Transaction.insert``."""
        transaction = self._transaction
        transaction.refuse_in_reader()
        row = values.complete(table, given, transaction.dialect, ignore=ignore)
        statement = values.insert_statement(table, with_id="id" in row, returning=transaction.dialect.id_by_returning)
        part = transaction.queue("insert", statement, row)
        return Pending(transaction, [part], lambda results: values.inserted(table, row, results[0]))

    def insert_many(self, table: sa.Table, given: Sequence[Mapping[str, Any]]) -> Pending[list[Row]]:
        """As ``Transaction.insert_many``."""
        transaction = self._transaction
        transaction.refuse_in_reader()
        rows = values.complete_all(table, given, transaction.dialect)
        parts = [transaction.queue("insert_many", table, some) for some in transaction.portions(rows)]
        return Pending(transaction, parts, lambda results: values.inserted_many(table, rows, results))

    def execute_many(
        self, statement: sa.sql.expression.Executable, rows: Sequence[Mapping[str, Any]], /
    ) -> Pending[None]:
        """As ``Transaction.execute_many``."""
        self._transaction.refuse_in_reader()
        return Pending(self._transaction, self._transaction.queue_many(statement, rows), lambda results: None)

    def update_row(
        self,
        update: sa.Update,
        again: sa.Select[Any],
        key: Mapping[str, Any],
        changes: Mapping[str, Any],
        *,
        key_after: Mapping[str, Any] | None = None,
    ) -> Pending[Row | None]:
        """As ``Transaction.update_row``."""
        transaction = self._transaction
        transaction.refuse_in_reader()
        if transaction.dialect.update_returning:
            part = transaction.queue("fetch", updated_statement(update, again), {**key, **changes})
            return Pending(transaction, [part], lambda results: first_updated(results[0]))
        changed = transaction.queue("change", update, {**key, **changes})
        if changed.is_done and not changed.result:
            return Pending(transaction, [], lambda _: None)
        read = transaction.queue("fetch", again, {**(key_after or key)})
        return Pending(transaction, [changed, read], lambda results: first_updated(results[1]) if results[0] else None)

    def _queued(self, operation: str, statement: Any, params: Any) -> Pending[Any]:
        return Pending(self._transaction, [self._transaction.queue(operation, statement, params)], _only)


@functools.lru_cache(maxsize=512)
def updated_statement(update: sa.Update, again: sa.Select[Any]) -> sa.sql.expression.Executable:
    """Return the UPDATE that gives the columns of ``again``, of each row that it has changed."""
    return update.returning(*again.selected_columns)


def first_updated(rows: Sequence[Row]) -> Row | None:
    """Return the first row by id, or None."""
    return min(rows, key=operator.itemgetter("id")) if len(rows) > 1 else next(iter(rows), None)
