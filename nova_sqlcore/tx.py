# SPDX-License-Identifier: Apache-2.0

"""Scopes: how transactions are opened, joined, ended and, after a conflict, run again.

``reader`` and ``writer`` are decorators for query functions and context managers for callers. They take the database
from the context (``context.db_connection``, a cell) or else ``main``; ``main.reader`` and ``main.writer`` are pinned to
the main database.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import inspect
import itertools
import logging
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, Self, TypeVar, cast, overload

from nova_sqlcore import exceptions
from nova_sqlcore.core import connections, reports
from nova_sqlcore.core.arguments import containers, fit, walked, walked_by_name
from nova_sqlcore.core.batching import raise_in_place_of
from nova_sqlcore.core.options import EngineOptions
from nova_sqlcore.core.reports import Mode, Report, StatementReport
from nova_sqlcore.core.retry import Retry
from nova_sqlcore.core.scopes import (
    by_name,
    current,
    innermost,
    leave,
    leave_for_good,
    new_scopes,
    running_task,
    scopes_of,
)
from nova_sqlcore.core.states import ENDED
from nova_sqlcore.core.transaction import CommentingTransaction, Savepoint, Transaction

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType

    import sqlalchemy as sa

    from nova_sqlcore.core.scopes import Context, Scopes

__all__ = [
    "Database",
    "EngineOptions",
    "Report",
    "Scope",
    "StatementReport",
    "Transaction",
    "api",
    "attempts",
    "close",
    "configure",
    "create_context_manager",
    "current",
    "database_of",
    "forget_writes",
    "main",
    "observe",
    "observe_statements",
    "on_statement",
    "position",
    "reader",
    "wrap_db_retry",
    "writer",
]

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")
#: What a ``with`` block gives: the transaction, or its connection.
Given_co = TypeVar("Given_co", covariant=True)


@dataclasses.dataclass(frozen=True, slots=True)
class Scope(Generic[Given_co]):
    """How a transaction is opened or joined: a decorator for functions, and a context manager for callers.

    Cost: nothing; the transaction begins with its first statement.
    """

    mode: Mode
    #: None: the context's cell, or else the main database
    database: Database | None = None
    _independent: bool = False
    _savepoint: bool = False
    _snapshot: bool = False
    _may_join_async: bool = False
    _gives_connection: bool = False
    _retry_on: tuple[type[Exception], ...] = ()
    _name: str | None = None
    _not_before: str | None = None

    @overload
    def __call__(self, target: Callable[P, R]) -> Callable[P, R]: ...

    @overload
    def __call__(self, target: Context, replica: bool = False, not_before: str | None = None) -> Block[Given_co]: ...

    def __call__(self, target: Any, replica: bool = False, not_before: str | None = None) -> Any:
        """Decorate a function, or return ``with`` block for a context.

        ``replica`` lets a reader lag behind, but not behind the ``position`` that is given as ``not_before``.
        """
        if inspect.isroutine(target) or isinstance(target, functools.partial):
            return self._decorate(target)
        if not isinstance(not_before, str | None):
            raise TypeError(f"not_before is a text that tx.position() has given, not {not_before!r}")
        scope = self.async_ if replica else self
        return (scope if not_before is None else dataclasses.replace(scope, _not_before=not_before)).using(target)

    def using(self, context: Any) -> Block[Given_co]:
        """Return a ``with`` block that opens or joins a transaction of ``context`` and gives it."""
        return Block(self if self.mode == "writer" else dataclasses.replace(self, _snapshot=True), context)

    @property
    def independent(self) -> Self:
        """The scope that never joins: it commits or rolls back by itself.

        sqlite has one writer at a time: inside a writer that has already begun there, it is a part of that one (a
        savepoint) and is lost with it.

        Raises: TypeError on a reader or a savepoint.
        """
        return self._writer_only("independent", _independent=True)

    @property
    def savepoint(self) -> Self:
        """The scope that sets a savepoint where it joins.

        Raises: TypeError on a reader or an independent writer.
        """
        return self._writer_only("savepoint", _savepoint=True)

    @property
    def snapshot(self) -> Self:
        """The reader whose statements see one state of the database; without it each statement stands alone.

        Raises: TypeError on a writer.
        """
        return self._reader_only("snapshot", _snapshot=True)

    @property
    def async_(self) -> Self:
        """The reader that may use the replica.

        Raises: TypeError on a writer.
        """
        return self._reader_only("async", mode="async")

    @property
    def allow_async(self) -> Self:
        """The reader that uses the primary by itself but may join a reader of the replica.

        Raises: TypeError on a writer.
        """
        return self._reader_only("allow_async", _may_join_async=True)

    @property
    def connection(self) -> Scope[sa.Connection]:
        """The scope that gives the SQLAlchemy connection in place of the transaction."""
        return cast("Scope[sa.Connection]", dataclasses.replace(self, _gives_connection=True))

    def retrying(self, *errors: type[Exception]) -> Self:
        """Return the scope that starts over for these errors too, not only for conflicts.

        Raises: TypeError on a reader.
        """
        return self._writer_only("retrying", _retry_on=errors)

    def named(self, name: str) -> Self:
        """Return the scope whose transactions bear ``name``: that of a public function which opens them in parts."""
        return dataclasses.replace(self, _name=name)

    def _writer_only(self, word: str, **changes: Any) -> Self:
        scope = dataclasses.replace(self, **changes)
        if self.mode != "writer":
            raise TypeError(f"a reader can't be {word}")
        if scope._independent and scope._savepoint:
            raise TypeError("a scope is either independent or a savepoint")
        return scope

    def _reader_only(self, word: str, **changes: Any) -> Self:
        if self.mode == "writer":
            raise TypeError(f"a writer can't be {word}")
        return dataclasses.replace(self, **changes)

    def _decorate(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return ``function`` so that it runs in this scope, on its first argument as the context."""
        name = self._name or function.__name__
        run: Callable[..., R] = self._run
        wanted = containers(function)

        @functools.wraps(function)
        def scoped(*args: P.args, **kwargs: P.kwargs) -> R:
            try:
                context = args[0] if args else by_name(kwargs)
                scopes = scopes_of(context)
                database = self.database or database_of(context)
                open_ones = scopes.open  # a look at what is the thread's own takes 50 ns
                outer = open_ones[-1] if open_ones else None
                if outer is not None and outer.database is not database:
                    outer = innermost(open_ones, database)
                host = None if self._independent else outer
                if host is not None:
                    self.check(host)
                given, named = walked(args), walked_by_name(kwargs) if kwargs else kwargs  # another attempt needs them
                if wanted:
                    given = [*given]
                    fit(function, wanted, given, named)
            except Exception as error:
                self._tell_of_refusal(name, args[0] if args else kwargs.get("context"), error)
                raise
            if host is not None:
                if reports.calls or reports.statements or host.names_calls:
                    with reports.JoinedCall(host, name):
                        return self._join(host, open_ones, function, given, named)
                return self._join(host, open_ones, function, given, named)
            return run(self.open(database, outer, name, scopes, open_ones), scopes, function, given, named)

        scoped.__dict__[_TELLS] = functools.partial(self._tell_of_refusal, name)
        return scoped

    def _tell_of_refusal(self, name: str, context: Any, error: Exception) -> None:
        """Tell of a call that has failed before it had a transaction: by one that never begins, or the one it joins."""
        if not (reports.transactions or reports.calls):
            return
        database, scopes = self.database or main, new_scopes()
        with contextlib.suppress(Exception):  # it may be anything
            scopes = scopes_of(context)
            database = self.database or database_of(context)
        host = None if self._independent else innermost(scopes.open, database)
        if host is None:
            reports.of_transaction(self.open(database, None, name, scopes, scopes.open), error)
        else:
            with reports.JoinedCall(host, name) as call:
                call.fail(error)

    def check(self, outer: Transaction) -> None:
        """Refuse to join ``outer`` where this scope needs more than it gives, or another task has opened it.

        Raises: TypeError. DBError if it has ended.
        """
        if outer.state is ENDED:
            raise outer.refusal()
        if outer.task is not running_task():
            raise TypeError(f"{outer.name} was opened by another asyncio task: each task needs a context of its own")
        if outer.mode == "writer" or outer.mode == self.mode == "reader":
            return
        if self.mode == "writer":
            raise TypeError(f"{outer.name} is open as a reader; a writer can't join it")
        if outer.mode == "async" and self.mode == "reader" and not self._may_join_async:
            raise TypeError(f"{outer.name} is open as a reader of the replica; a reader of the primary can't join it")
        if outer.mode == "async" and self._not_before not in (None, outer.not_before):
            raise TypeError(f"{outer.name} is open as a reader of the replica; it does not wait for another position")

    def open(
        self,
        database: connections.Connections,
        outer: Transaction | None,
        name: str,
        scopes: Scopes,
        open_ones: list[Transaction],
    ) -> Transaction:
        """Return a transaction of this scope's kind that has not begun yet; ``open_ones`` are those of the thread."""
        mode: Mode = self.mode
        if mode == "async" and database in scopes.wrote:
            mode = "reader"  # the replica may lack what this context has just written
        kind = CommentingTransaction if database.comments else Transaction
        # arguments with names would cost 0.2 µs more
        return kind(database, mode, name, running_task(), self._snapshot, outer, self._not_before, open_ones)

    @property
    def _run(self) -> Callable[..., Any]:
        return {"writer": self._write, "reader": self._read, "async": self._read_replica}[self.mode]

    def _join(
        self, outer: Transaction, open_ones: list[Transaction], function: Callable[..., R], args: Any, kwargs: Any
    ) -> R:
        """Run inside ``outer``; its owner meets conflicts, but a RetryRequest is met in place.

        That helps because a writer's next statement sees what others have committed. A call that fails after it has
        changed rows leaves a transaction that can only be rolled back.
        """
        retry: Retry | None = None
        mark = outer.mark()
        try:
            open_ones.append(outer)
            while True:
                try:
                    if not self._savepoint:
                        result = function(*args, **kwargs)
                        outer.send_waiting()
                        return result
                    with outer.savepoint():
                        return function(*args, **kwargs)
                except exceptions.RetryRequest as error:
                    if not self._savepoint and outer.spoil(mark):
                        raise exceptions.DBDeadlock(error.inner_exc) from error
                    retry = retry or Retry(outer.database, outer.name, time.perf_counter())
                    retry.pause_or_raise(error)
        except Exception:
            if not self._savepoint:
                outer.spoil(mark)
            raise
        finally:
            leave(open_ones, outer)

    def _read(self, transaction: Transaction, scopes: Scopes, function: Callable[..., R], args: Any, kwargs: Any) -> R:
        failure: BaseException | None = None
        open_ones = transaction.open_ones
        try:
            try:
                open_ones.append(transaction)
                return function(*args, **kwargs)
            except BaseException as error:
                failure = transaction.met(error)
                raise_in_place_of(error, failure)
            finally:
                if open_ones and open_ones[-1] is transaction:
                    del open_ones[-1]  # most often, and a call less than ``leave``
                else:
                    leave(open_ones, transaction)
                transaction.end_read()
                if reports.transactions:
                    reports.of_transaction(transaction, failure)
                failure = None
        finally:
            if open_ones or transaction.state is not ENDED:
                _see_to_the_end(transaction, open_ones)

    def _read_replica(
        self, transaction: Transaction, scopes: Scopes, function: Callable[..., R], args: Any, kwargs: Any
    ) -> R:
        """Read; what the replica breaks off in the midst, for it dies or has to go on replaying, the primary reads."""
        try:
            return self._read(transaction, scopes, function, args, kwargs)
        except exceptions.DBError as error:
            is_broken_off = type(error) in (exceptions.DBConnectionError, exceptions.DBDeadlock)
            if not (is_broken_off and transaction.mode == "async" and transaction.database.has_replica):
                raise
            logger.debug("%s: the replica has broken it off, the primary is read", transaction.name, exc_info=True)
        again = dataclasses.replace(self, mode="reader")
        transaction = again.open(
            transaction.database, transaction.outer, transaction.name, scopes, transaction.open_ones
        )
        transaction.attempt = 2
        return self._read(transaction, scopes, function, args, kwargs)

    def _write(self, transaction: Transaction, scopes: Scopes, function: Callable[..., R], args: Any, kwargs: Any) -> R:
        retry: Retry | None = None
        while True:
            try:
                result = _write_once(transaction, scopes, function, args, kwargs)
            except Exception as error:
                if transaction.has_kept:
                    raise
                retry = retry or Retry(transaction.database, transaction.name, transaction.opened, self._retry_on)
                retry.pause_or_raise(error)
                attempt = transaction.attempt + 1
                transaction = self.open(
                    transaction.database, transaction.outer, transaction.name, scopes, transaction.open_ones
                )
                transaction.attempt = attempt
            else:
                transaction.run_hooks()
                return result


setattr(Scope, "async", Scope.async_)  # the reference's name, a keyword by now: ``getattr`` finds it


#: What a decorated function has in its ``__dict__`` for those who decorate it further.
_TELLS = "_nova_sqlcore_tells"


def tell_of_refusal(function: Any, context: Any, error: Exception) -> None:
    """Tell observers that a call of ``function`` has been refused before it got to its scope."""
    tells = getattr(function, "__dict__", {}).get(_TELLS)
    if tells is None:
        reader._tell_of_refusal(function.__name__, context, error)
    else:
        tells(context, error)


def _write_once(
    transaction: Transaction, scopes: Scopes, function: Callable[..., R], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> R:
    open_ones = transaction.open_ones
    try:
        try:
            open_ones.append(transaction)
            result = function(*args, **kwargs)
            transaction.commit()
        except BaseException as error:
            failure = transaction.met(error)
            try:
                transaction.rollback()
                reports.of_transaction(transaction, failure)
                raise_in_place_of(error, failure)
            finally:
                del failure
        finally:
            leave(open_ones, transaction)
    finally:
        if open_ones or transaction.state is not ENDED:
            _see_to_the_end(transaction, open_ones)
    if transaction.changed:
        scopes.wrote.add(transaction.database)
    reports.of_transaction(transaction, None)
    return result


def _see_to_the_end(transaction: Transaction, open_ones: list[Transaction]) -> None:
    """End a transaction for good, even if its ending was itself interrupted, by a signal for example."""
    if open_ones:
        leave_for_good(open_ones, transaction)
    if transaction.state is not ENDED:
        transaction.abandon()


#: The transaction of every block that has opened one and is not left yet, and where it stands. A block has no
#: ``__del__`` since that would run at the end of every block, and what a signal raises there is lost.
_WATCHED: dict[weakref.ref[Block[Any]], tuple[Transaction, list[Transaction]]] = {}


def _end_for(gone: weakref.ref[Block[Any]]) -> None:
    """End the transaction of a block that is never left.

    Its thread has died, or a signal came as it was about to be left.
    """
    left_behind = _WATCHED.pop(gone, None)
    if left_behind is not None:
        _see_to_the_end(*left_behind)


def observe(callback: Callable[[Report], Any] | None, *, joined: bool = False) -> Callable[[], None]:
    """Call ``callback`` with a Report after every transaction of this process; return a function that ends that.

    With ``joined`` it is called too for functions that run inside a caller's transaction. None in place of a callback
    removes all observers.
    """
    if callback is None:
        for observers in (reports.transactions, reports.calls):
            observers.clear()
        return lambda: None
    remove = reports.add(reports.transactions, callback)
    if not joined:
        return remove
    remove_from_calls = reports.add(reports.calls, callback)

    def remove_both() -> None:
        remove()
        remove_from_calls()

    return remove_both


def observe_statements(callback: Callable[[StatementReport], Any]) -> Callable[[], None]:
    """Call ``callback`` with a StatementReport after every statement; return a function that ends that."""
    return reports.add(reports.statements, callback)


#: The same, by its short name.
on_statement = observe_statements


class Block(Generic[Given_co]):
    """A ``with`` block in a scope: opens a transaction, or joins the one that its context has open."""

    def __init__(self, scope: Scope[Given_co], context: Any) -> None:
        """Describe the block; the transaction is opened at its start."""
        self._scope = scope
        self._context = context
        self._savepoint: Savepoint | None = None
        self._watch: weakref.ref[Block[Any]] | None = None
        self.committed = False

    def __enter__(self) -> Given_co:
        """Return the open transaction, or its connection."""
        scope = self._scope
        self._scopes = scopes_of(self._context)
        database = scope.database or database_of(self._context)
        open_ones = self._scopes.open
        outer = innermost(open_ones, database)
        self._owns = outer is None or scope._independent
        if self._owns:
            self._transaction = scope.open(database, outer, scope._name or "block", self._scopes, open_ones)
        else:
            assert outer is not None
            scope.check(outer)
            self._transaction = outer
        try:
            if self._owns:
                self._watch = weakref.ref(self, _end_for)
                _WATCHED[self._watch] = self._transaction, self._scopes.open
            self._scopes.open.append(self._transaction)
            if scope._savepoint and not self._owns:
                savepoint = self._transaction.savepoint()
                savepoint.__enter__()
                self._savepoint = savepoint
            given: Any = self._transaction.connection if scope._gives_connection else self._transaction
        except BaseException:
            leave(self._scopes.open, self._transaction)  # without a start there is no end
            self._see_to_the_end()
            raise
        return cast("Given_co", given)

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool | None:
        """Commit, or roll back after an error; a joined block leaves both to its owner."""
        try:
            leave(self._scopes.open, self._transaction)
            if self._savepoint is not None:
                self._savepoint.__exit__(kind, error, traceback)
            elif error is None and not self._owns:
                self._transaction.send_waiting()
            if self._owns:
                self._end(error)
        finally:
            self._see_to_the_end()
        return None

    def _see_to_the_end(self) -> None:
        if self._owns:
            if self._watch is not None:
                _WATCHED.pop(self._watch, None)
                self._watch = None
            _see_to_the_end(self._transaction, self._scopes.open)

    def _end(self, error: BaseException | None) -> None:
        transaction = self._transaction
        if error is None and transaction.mode == "writer":
            self._commit(transaction)
            return
        failure = None if error is None else transaction.met(error)
        try:
            if transaction.mode == "writer":
                transaction.rollback()
            else:
                transaction.end_read()
            reports.of_transaction(transaction, failure)
            if failure is not None and failure is not error:
                raise failure from error
        finally:
            del failure, error

    def _commit(self, transaction: Transaction) -> None:
        try:
            transaction.commit()
        except BaseException as error:
            transaction.rollback()
            reports.of_transaction(transaction, error)
            raise
        if transaction.changed:
            self._scopes.wrote.add(transaction.database)
        reports.of_transaction(transaction, None)
        self.committed = True
        transaction.run_hooks()


class Attempt(Block[Transaction]):
    """One try of ``attempts``: a writing block that swallows a conflict while there are tries left."""

    def __init__(self, scope: Scope[Transaction], context: Any, number: int, retry: Retry) -> None:
        """Be try ``number``."""
        super().__init__(scope, context)
        self.number = number
        self.done = False
        self._retry = retry

    def __enter__(self) -> Transaction:
        """Return the open transaction."""
        transaction = super().__enter__()
        if self._owns:
            transaction.attempt = self.number
        return transaction

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:
        """End the transaction; True if the block shall run again."""
        try:
            super().__exit__(kind, error, traceback)
        except exceptions.DBDeadlock as conflict:
            if self.committed:
                raise  # it comes from a hook
            error = conflict
        if error is None:
            self.done = True
            return False
        if not isinstance(error, Exception) or not self._owns or self._transaction.has_kept:
            return False
        self._retry.pause_or_raise(error)
        return True


def attempts(context: Any) -> Iterator[Attempt]:
    """Yield writing blocks until one has been committed.

    ``for attempt in tx.attempts(context): with attempt as t: ...``. A conflict starts the block over in a new
    transaction, until ``retry_deadline`` (EngineOptions) has passed; other errors pass at once.
    """
    retry = Retry(database_of(context), "block", time.perf_counter())
    for number in itertools.count(1):
        attempt = Attempt(writer, context, number, retry)
        yield attempt
        if attempt.done:
            return


class Database(connections.Connections):
    """A database with its scopes; ``writer`` and ``reader`` here are pinned to it, whatever the context says."""

    @property
    def writer(self) -> Scope[Transaction]:
        """The scope that writes."""
        return Scope("writer", self)

    @property
    def reader(self) -> Scope[Transaction]:
        """The scope that reads."""
        return Scope("reader", self)


#: The database that calls go to whose context names no cell.
main = Database("main database")
#: The database of cells and their mappings, for a caller's own statements: no function of the API uses it.
api = Database("API database")
#: The scope of functions and blocks that write.
writer: Scope[Transaction] = Scope("writer")
#: The scope of functions and blocks that only read.
reader: Scope[Transaction] = Scope("reader")

_cells: dict[str, Database] = {}
_cells_lock = threading.Lock()


def database_of(context: Any) -> Database:
    """Return the database that the context's calls go to: its cell's, or the main one.

    What stands for a database, as a fork's context manager does, has it in ``database``.
    """
    found: Any = getattr(context, "db_connection", None)
    if not found:
        return main
    return found if isinstance(found, Database) else cast("Database", found.database)


def forget_writes(context: Any) -> None:
    """Let the readers of ``context`` use replicas again, although it has written."""
    scopes_of(context).wrote.clear()


def position(context: Any = None) -> str:
    """Return how far the log of the context's primary has come, a text for ``not_before`` of readers of the replica.

    All that has been committed is before it, here or in other processes, and any process may be told it: GTIDs of the
    MySQL family, an LSN of PostgreSQL. It is empty where the server has no such log; ``not_before=""`` reads the
    primary.

    Cost: 1 statement.
    """
    database = main if context is None else database_of(context)
    statement = database.dialect.position
    if statement is None:
        return ""
    transaction = Transaction(database, "reader", "position")
    try:
        return "".join((transaction.scalar(statement) or "").split())
    finally:
        transaction.end_read()


def configure(connection: str | sa.URL, replica: str | sa.URL | None = None, **options: Any) -> None:
    """Give the main database its address; options are the fields of ``EngineOptions``.

    Raises: TypeError after the first use. DBError for a URL that can't be understood or a driver that is missing.
    """
    main.configure(connection, replica, **options)


def close() -> None:
    """Close every connection of every database; ``configure`` may be called again."""
    main.close()
    api.close()
    with _cells_lock:
        while _cells:
            _cells.popitem()[1].close()


def create_context_manager(connection: str | sa.URL | None = None) -> Database:
    """Return the database at this URL, one object per URL; without a URL, a new one at the main database's address.

    It has the main database's options.
    Raises: DBError for a URL that can't be understood or a driver that is missing.
    """
    options = dataclasses.asdict(main.options)
    if connection is None:
        database = Database("database")
        if main.url is not None:
            database.configure(main.url, main.replica_url, **options)
        return database
    url = connections.parse_url(connection)
    key = url.render_as_string(hide_password=False)
    with _cells_lock:
        if key not in _cells:
            _cells[key] = Database("cell database")
            _cells[key].configure(url, **options)
        return _cells[key]


def wrap_db_retry(
    retry_interval: float = 0,
    max_retries: int = 0,
    inc_retry_interval: bool = False,
    max_retry_interval: float = 0,
    retry_on_disconnect: bool = False,
    retry_on_deadlock: bool = False,
    retry_on_request: bool = False,
    exception_checker: Callable[[Exception], bool] = lambda error: False,
) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator that calls a function again after the named errors, ``max_retries`` times more at most.

    Intervals are seconds; with ``inc_retry_interval`` the pause doubles up to ``max_retry_interval``. A call that
    joins an open transaction is not repeated: its conflict belongs to the owner of the transaction.
    Raises: the last error; for a RetryRequest the error that it carries.
    """

    def retryable(error: Exception) -> bool:
        return not isinstance(error, exceptions.DBCommitUncertain) and (
            (retry_on_disconnect and isinstance(error, exceptions.DBConnectionError))
            or (retry_on_deadlock and isinstance(error, exceptions.DBDeadlock))
            or (retry_on_request and isinstance(error, exceptions.RetryRequest))
            or exception_checker(error)
        )

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def retried(*args: P.args, **kwargs: P.kwargs) -> R:
            pause = retry_interval
            for attempt in itertools.count(1):
                try:
                    return function(*args, **kwargs)
                except Exception as error:
                    if not retryable(error):
                        raise
                    if attempt > max_retries or _joins(args, kwargs):
                        if isinstance(error, exceptions.RetryRequest):
                            raise error.inner_exc from None
                        raise
                time.sleep(pause)
                if inc_retry_interval:
                    pause = min(pause * 2, max_retry_interval)
            raise AssertionError("unreachable")

        return retried

    return decorate


def _joins(args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    """Tell whether a call with these arguments runs inside a transaction that its context has open."""
    context = args[0] if args else kwargs.get("context")
    return hasattr(context, "read_deleted") and bool(scopes_of(context).open)


#: Seconds from which on a transaction is logged as slow; nothing is, without this variable.
_slow = os.environ.get("NOVA_SQLCORE_SLOW")
if _slow:
    observe(reports.slow_call_log(float(_slow)))
