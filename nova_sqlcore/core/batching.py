# SPDX-License-Identifier: Apache-2.0

"""How statements of a transaction come to travel together, and COMMIT with the last of them.

What waits is sent, in its order, with the next statement whose result is needed. Where the driver or the road takes
statements one by one, nothing waits.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, NoReturn, Self, TypeVar

from nova_sqlcore import exceptions
from nova_sqlcore.core import reports, roads, values
from nova_sqlcore.core.batches import Later, Part, Pending
from nova_sqlcore.core.connected import Connected
from nova_sqlcore.core.states import COMMITTED, OPEN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nova_sqlcore.core.handles import Row
    from nova_sqlcore.core.link import Link

T = TypeVar("T")


class Batching(Connected):
    """The part of a transaction by which its statements travel together."""

    __slots__ = (
        "_committed",
        "_ends",
        "_inside",
        "_stood_alone",
        "_together",
        "_waiting",
        "calling",
        "open_ones",
        "writes",
    )

    if TYPE_CHECKING:  # what a transaction has
        calling: str
        opened: float
        attempt: int
        writes: int
        open_ones: list[Any]
        _inside: int
        _waiting: list[Part]
        _ends: bool
        _together: bool
        _committed: bool
        _stood_alone: bool

        def _perform_on(self, link: Link, operation: str, statement: Any, params: Any) -> Any: ...

        def _perform_one(self, operation: str, statement: Any, params: Any) -> Any: ...

        def _held(self, link: Link, statement: Any, params: Any, failure: Exception) -> Any: ...

        def _commit(self, link: Link) -> None: ...

        def refuse_in_reader(self) -> None:
            """Raise TypeError in a reader."""

    @property
    def later(self) -> Later:
        """The funnel for statements whose result nobody needs yet: they travel with the next one, in their order.

        The first that fails is the one whose error comes; what was to follow it has not run.
        """
        return Later(self)

    def last(self) -> Self:
        """Let COMMIT travel with the next statement: ``t.last().execute(...)``.

        Nothing happens to a transaction that the caller has joined, or where the connection has been asked for: whoever
        opened it commits. After a statement that has changed nothing the transaction may go on, as a new one: what it
        had locked is free. After one that has, it has ended.
        """
        is_own = self.open_ones.count(self) == 1
        if is_own and not self._inside and not self._exposed and self._host is None:
            self._ends = self._together = True
        return self

    def send_waiting(self) -> None:
        """Send what waits."""
        if self._together:
            self._send(())

    def queue(self, operation: str, statement: Any, params: Any, *, is_guard: bool = False) -> Part:
        """Let an operation of the road wait for the next one; where nothing travels together it runs at once."""
        part = Part(operation, statement, params, is_guard=is_guard)
        link = self._ready()
        if roads.carrier_of(link) is None:
            self._run(link, part)
        else:
            self._pack(link, part)
            self._together = True
            self._waiting.append(part)
        return part

    def queue_many(self, statement: Any, rows: Sequence[Any]) -> list[Part]:
        """Let the operations wait that run a statement for each of the rows."""
        if not rows:
            return []
        link = self._ready()
        if roads.carrier_of(link) is None:
            return [self.queue("change_many", statement, rows)]
        if link.cache[statement].takes_rows:
            return [self.queue("change_many", statement, portion) for portion in self.portions(rows)]
        return [self.queue("change", statement, row) for row in rows]

    def _goes_row_by_row(self, statement: Any) -> bool:
        """Tell whether the driver would take a trip for each row, or for BEGIN, where a carrier takes one for all."""
        link = self._ready()
        if roads.carrier_of(link) is None:
            return False
        return link.begins or not (link.dialect.rows_travel_together or link.cache[statement].takes_rows)

    def portions(self, rows: Sequence[Row]) -> Iterator[list[Row]]:
        """Yield complete rows in lists, each for an INSERT of its own."""
        if rows:
            yield from values.portions(rows, getattr(self._ready().cursor, "max_stmt_length", None))

    def _sent(self, pending: Pending[T]) -> T:
        """Return the result of statements that are the last, or have others before them."""
        if pending.is_empty:
            self._ends = False
        else:
            self.send_waiting()
        return pending.get()

    def _perform_together(self, link: Link, operation: str, statement: Any, params: Any) -> Any:
        """Run an operation with what waits before it, and with COMMIT after it if it is the last."""
        if link.alone:
            return self._perform_alone(link, operation, statement, params)
        if link.carrier is None and not self._waiting:
            return self._perform_last(link, operation, statement, params)
        part = Part(operation, statement, params)
        self._pack(link, part)
        self._send((part,))
        self.writes -= _changes(part)  # whoever runs an operation counts it
        return part.result

    def _perform_alone(self, link: Link, operation: str, statement: Any, params: Any) -> Any:
        """Run the only statement of a transaction, without BEGIN and COMMIT."""
        self._commits = self._stood_alone = True
        try:
            result = self._perform_on(link, operation, statement, params)
        finally:
            self._commits = self._ends = self._together = False
            link.end_alone()
        if self._link is not link:  # it was dead, and the statement has run in a transaction on another one
            self._commit(self._ready())
        self._note_commit()
        return result

    def _perform_last(self, link: Link, operation: str, statement: Any, params: Any) -> Any:
        """Do so where the driver takes one statement at a time."""
        ends = self._ends and self.mode == "writer" and self.state is OPEN
        self._ends = self._together = False
        if ends:
            self._replace_if_dead(link)
        result = self._perform_one(operation, statement, params)
        if ends and self.state is OPEN:
            self._commit(self._ready())
            self._note_commit()
        return result

    def _survive(self) -> None:
        """Go on after a statement that has failed, where that does not end the transaction; a lone one has ended it."""
        self._move(OPEN)
        if self._stood_alone:
            self._note_commit()

    def _replace_if_dead(self, link: Link) -> None:
        """Replace a connection that has died in the pool: once COMMIT has been sent it is too late to tell."""
        if not self.changed and not link.dialect.is_quiet(link.raw):
            self.database.lost(link)
            self._let_go(link)

    def _send(self, more: Sequence[Part]) -> None:
        """Send what waits, and then ``more``.

        An error of a statement drops those after it. What comes out of nowhere before anything is sent, a signal's
        exception for example, leaves all waiting; later it leaves a connection that nobody can use.
        """
        link = self._ready()
        parts, ends = [*self._waiting, *more], self._ends
        try:
            self._send_parts(link, parts, ends and self.state is OPEN)
        except (exceptions.DBError, exceptions.NovaException):
            self._ends = False
            self._drop()
            raise
        finally:
            self._ends = False
        self._drop()

    def _send_parts(self, link: Link, parts: list[Part], ends: bool) -> None:
        is_writer = self.mode == "writer"
        if ends and is_writer:
            self._replace_if_dead(link)
            link = self._ready()
        carries_commit = ends and not link.connection.in_transaction()  # else SQLAlchemy has to end it
        groups = self._groups(link, parts)
        for group in groups:
            self._carry(group, commit=carries_commit and group is groups[-1])
        if ends and is_writer and self.state is OPEN:
            self._commit(self._ready())
            self._note_commit()

    def _note_commit(self) -> None:
        self._move(COMMITTED)
        self._committed = True

    def _drop(self, start: int = 0) -> None:
        """Forget what waits."""
        del self._waiting[start:]
        self._together = self._ends or bool(self._waiting)

    def _let_go(self, link: Link | None) -> None:
        """Be as if nothing had begun, and nothing of a beginning waited."""
        self._waiting = [part for part in self._waiting if not part.is_begin]
        super()._let_go(link)

    def _groups(self, link: Link, parts: Sequence[Part]) -> list[list[Part]]:
        """Return what may travel together; what no one takes along goes by itself."""
        carrier = roads.carrier_of(link)
        limit = 0 if carrier is None else carrier.limit(link)
        groups: list[list[Part]] = [[]]
        size = 0
        for part in (part for part in parts if not part.is_done):
            if part.size > limit:  # the driver splits it, and the error of what the server refuses tells its limit
                part.packed, part.size = None, 0
            size += part.size
            if groups[-1] and (size > limit or not part.packed):
                groups.append([])
                size = part.size
            groups[-1].append(part)
        return groups

    def _pack(self, link: Link, part: Part) -> None:
        """Check the parameters of a statement and write it down, if it may travel with others."""
        carrier = roads.carrier_of(link)
        if carrier is None:
            return
        try:
            part.step = roads.step(link, part.operation, part.statement, part.params)
            part.packed, part.size = carrier.pack(link, part.step.text, part.step.bound)
        except Exception as error:
            failure = values.placed(self._failure(link, error), part.statement)
            try:
                raise_in_place_of(error, failure)
            finally:
                del failure

    def _run(self, link: Link, part: Part) -> None:
        part.finish(self._perform_on(link, part.operation, part.statement, part.params))
        self.writes += _changes(part)

    def _carry(self, parts: list[Part], *, commit: bool) -> None:
        """Send statements in one trip; a connection that turns out dead at the first is replaced once."""
        link = self._ready()
        carrier = roads.carrier_of(link)
        is_one = len(parts) == 1 and not commit
        if carrier is None or not parts or not parts[0].packed or (is_one and not link.begins):
            for part in parts:
                self._run(self._ready(), part)
            return
        answers: list[Any] = []
        began = time.perf_counter()
        self._commits, link.unsure = commit and self.mode == "writer", True
        link.trips += 1
        link.begins = False  # what the driver adds travels along
        try:
            carrier.carry(link, [part.packed for part in parts], commit, answers)
        except Exception as error:
            self._take(link, parts, answers, began)
            again = self._after_failure(link, parts[len(answers) :], began, error)
        else:
            if commit:
                self._note_commit()
            self._take(link, parts, answers, began)
            link.unsure = False
            return
        finally:
            self._commits = False
        self._carry(again, commit=commit)

    def _take(self, link: Link, parts: list[Part], answers: list[Any], began: float) -> None:
        """Give statements their answers."""
        for part, answer in zip(parts, answers, strict=False):
            assert part.step is not None
            try:
                part.finish(part.step.read(answer))
            except Exception as error:
                raise self._failure(link, error) from error
            self.statements += not part.is_begin
            self.writes += _changes(part)
            if reports.statements and not part.is_begin:
                reports.of_statement(self, roads.text_of(link, part.statement), began, None)

    def _after_failure(self, link: Link, left: list[Part], began: float, error: Exception) -> list[Part]:
        """Return what is to be sent again; most often nothing is, and what the error has become is raised.

        The first of ``left`` is the statement that has failed; if there is none it was COMMIT.
        """
        failed = left[0] if left else Part("command", "COMMIT", None)
        failure = self._failure(link, error, at_commit=self._commits and not left)
        failure = values.placed(self.database.outgrown(failure, failed.params), failed.statement)
        held = self._held(link, failed.statement, failed.params, failure)
        try:
            if reports.statements and left:
                reports.of_statement(self, roads.text_of(link, failed.statement), began, failure)
            if held is None and not self._may_replace(failure):
                raise_in_place_of(error, failure)
        finally:
            del failure
        if held is not None:
            failed.params = held
            self._pack(link, failed)
            return left
        self._replace(link)
        self._ready()
        begins = [part for part in self._waiting if part.is_begin]
        return [*begins, *(part for part in left if not part.is_begin)]


def _changes(part: Part) -> int:
    """Tell whether a statement that has run may have changed rows: 1 or 0."""
    if part.is_guard:
        return 0
    match part.operation:
        case "change":
            return int(part.result != 0)
        case "insert":
            return int(part.result is not None)
        case "fetch":
            return int(part.statement.is_dml and bool(part.result))
        case _:
            return int(part.operation != "command")


def raise_in_place_of(error: BaseException, failure: BaseException) -> NoReturn:
    """Raise ``failure``, which ``error`` has become; perhaps it is still the same.

    No frame may keep either of them when it is left: a frame that keeps an error which keeps the frame is a circle, and
    holds its connection until the garbage collector comes by.
    """
    try:
        if failure is error:
            raise error
        raise failure from error
    finally:
        del error, failure
