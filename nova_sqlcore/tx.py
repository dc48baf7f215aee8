"""Transactions: scopes that open, join and end them, and the funnel through which every statement runs.

``reader`` and ``writer`` are decorators for query functions and context managers for callers. They take the database from the
context (``context.db_connection``, a cell) or else ``main``; ``main.reader`` and ``main.writer`` are pinned to the main database.
"""

from __future__ import annotations

import dataclasses
import functools
import inspect
import itertools
import logging
import random
import threading
import time
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

import sqlalchemy as sa

from nova_sqlcore import connections, exceptions, types, values
from nova_sqlcore.connections import EngineOptions
from nova_sqlcore.context import current, scopes_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from types import TracebackType

    from nova_sqlcore import dialects
    from nova_sqlcore.connections import Link
    from nova_sqlcore.context import Scopes

__all__ = [
    "Database",
    "EngineOptions",
    "Scope",
    "Transaction",
    "api",
    "attempts",
    "close",
    "configure",
    "create_context_manager",
    "current",
    "database_of",
    "main",
    "reader",
    "wrap_db_retry",
    "writer",
]

logger = logging.getLogger(__name__)

P = ParamSpec("P")
R = TypeVar("R")
Row = dict[str, Any]
Mode = Literal["writer", "reader", "async"]

#: A transaction that meets a conflict runs at most this many times.
ATTEMPTS = 6
#: Seconds: the longest pause before the second attempt; it doubles with each attempt up to the second number.
FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.25


class Transaction:
    """An open transaction: the only way in which queries run statements.

    It begins with its first statement. Statements are SQLAlchemy Core objects of fixed shape, parameters are keywords named as their
    ``bindparam``s, rows are plain dicts. A statement that fails outside a savepoint leaves a transaction that can only roll back.
    """

    __slots__ = ("_exposed", "_failed", "_hooks", "_host", "_link", "_savepoints", "_snapshot", "_used")
    __slots__ += ("database", "mode", "name", "outer", "queue")

    def __init__(
        self, database: Database, mode: Mode, name: str, *, snapshot: bool = False, outer: Transaction | None = None
    ) -> None:
        """Describe a transaction on ``database``; ``outer`` is the one of the same context that it is independent of."""
        self.database = database
        self.mode = mode
        self.name = name
        self.outer = outer
        #: rows that helpers of one function hand to each other before they are written together
        self.queue: list[Any] = []
        self._snapshot = snapshot
        self._link: Link | None = None
        self._host: Transaction | None = None
        self._failed = False
        self._used = False
        self._exposed = False
        self._savepoints = 0
        self._hooks: list[Callable[[], Any]] = []

    def __repr__(self) -> str:
        """Show what runs where."""
        return f"<Transaction {self.name} {self.mode} on {self.database.label}>"

    # -- the funnel -----------------------------------------------------------------------------------------------

    def row(self, statement: sa.sql.expression.Executable, /, **params: Any) -> Row | None:
        """Return the first row, or None."""
        rows: list[Row] = self._perform(_fetch, statement, params)
        return rows[0] if rows else None

    def rows(self, statement: sa.sql.expression.Executable, /, **params: Any) -> list[Row]:
        """Return all rows, in the statement's order."""
        found: list[Row] = self._perform(_fetch, statement, params)
        return found

    def scalar(self, statement: sa.sql.expression.Executable, /, **params: Any) -> Any:
        """Return the first column of the first row, or None."""
        rows: list[Row] = self._perform(_fetch, statement, params)
        return next(iter(rows[0].values())) if rows else None

    def scalars(self, statement: sa.sql.expression.Executable, /, **params: Any) -> list[Any]:
        """Return the first column of every row."""
        return [next(iter(row.values())) for row in self._perform(_fetch, statement, params)]

    def execute(self, statement: sa.sql.expression.Executable, /, **params: Any) -> int:
        """Run an INSERT, UPDATE or DELETE and return the number of rows that it matched."""
        self._refuse_in_reader()
        count: int = self._perform(_change, statement, params)
        return count

    def execute_many(self, statement: sa.sql.expression.Executable, rows: Sequence[Mapping[str, Any]], /) -> None:
        """Run one statement for each mapping of parameters, in as few round trips as the driver can."""
        self._refuse_in_reader()
        if rows:
            self._perform(_change_many, statement, rows)

    def insert(self, table: sa.Table, given: Mapping[str, Any], *, ignore: Sequence[str] = ()) -> Row:
        """Insert one row and return it as a later read shows it.

        Columns that are missing or None take their default; keys that are no column warn, but for those in ``ignore``.
        """
        self._refuse_in_reader()
        row = values.complete(table, given, self.dialect, ignore=ignore)
        statement = values.insert_statement(table, with_id="id" in row, returning=self.dialect.id_by_returning)
        identity = self._perform(_insert, statement, row)
        return values.shown(table, row if identity is None or "id" in row else row | {"id": identity})

    def insert_absent(self, table: sa.Table, given: Mapping[str, Any], *, ignore: Sequence[str] = ()) -> Row | None:
        """Insert one row and return it, or None if a unique key is taken; the transaction stays usable."""
        self._refuse_in_reader()
        row = values.complete(table, given, self.dialect, ignore=ignore)
        if not self.dialect.survives_errors:
            statement = values.insert_absent_statement(table, "id" in row, self.dialect)
            identity = self._perform(_insert, statement, row)
            if identity is None:
                return None
            return values.shown(table, row | {"id": identity} if "id" in table.c else row)
        try:
            return self.insert(table, given, ignore=ignore)
        except exceptions.DBDuplicateEntry:
            self._failed = False
            return None

    def insert_many(self, table: sa.Table, given: Sequence[Mapping[str, Any]]) -> list[Row]:
        """Insert rows in one statement per batch and return them, with their ids, in the order given."""
        self._refuse_in_reader()
        rows = [values.complete(table, one, self.dialect) for one in given]
        identities: list[Any] = []
        for batch in values.batches(rows):
            identities += self._perform(_insert_many, table, batch)
        return [
            values.shown(table, row if identity is None else row | {"id": identity})
            for row, identity in zip(rows, identities, strict=True)
        ]

    def update_row(
        self, update: sa.Update, again: sa.Select[Any], key: Mapping[str, Any], changes: Mapping[str, Any]
    ) -> Row | None:
        """Update one row and return it as it is now, or None if nothing matched.

        ``again`` reads the row by ``key`` where the server has no UPDATE ... RETURNING; its columns are those of the result.
        """
        self._refuse_in_reader()
        if self.dialect.update_returning:
            return self.row(_returning(update, again), **key, **changes)
        return self.row(again, **key) if self.execute(update, **key, **changes) else None

    # -- what the caller can do -----------------------------------------------------------------------------------

    @property
    def dialect(self) -> dialects.Dialect:
        """The traits of the server."""
        return self.database.dialect

    @property
    def connection(self) -> sa.Connection:
        """The SQLAlchemy connection, for the caller's own Core statements inside this transaction."""
        link = self._link or self._start()
        if self.mode != "writer" and not self._snapshot and not self._exposed:
            with connections.translated(self.dialect):
                link.command(self.dialect.begin_snapshot)
            self._snapshot = True
        self._exposed = True
        return link.connection

    def savepoint(self) -> Savepoint:
        """Return a block whose failure undoes just the block: ``with t.savepoint(): ...``."""
        return Savepoint(self)

    def after_commit(self, hook: Callable[[], Any]) -> None:
        """Call ``hook`` after the outermost transaction has been committed; not at all if it rolls back."""
        self._hooks.append(hook)

    # -- beginning and ending -------------------------------------------------------------------------------------

    def commit(self) -> None:
        """Commit; only the scope that opened the transaction does this.

        Raises: DBError if a statement has failed and its error was swallowed: everything is rolled back then.
        """
        if self._failed:
            raise exceptions.DBError(f"{self.name} went on after a failed statement: nothing of it has been kept")
        link = self._link
        if link is None:
            self._end()
            return
        try:
            if self._host is not None:
                link.command(f"RELEASE SAVEPOINT {self._savepoint_name}")
            else:
                link.commit()
        except Exception as error:
            raise self._translated(link, error) from error
        self._end()

    def rollback(self) -> None:
        """Roll back whatever has been done; errors of a broken connection are of no interest any more."""
        link = self._link
        if link is None:
            self._end()
            return
        try:
            if self._host is not None:
                link.command(f"ROLLBACK TO SAVEPOINT {self._savepoint_name}")
                link.command(f"RELEASE SAVEPOINT {self._savepoint_name}")
            else:
                link.rollback()
        except Exception:
            logger.debug("%s: rollback failed, the connection is given up", self.name, exc_info=True)
            self.database.lost(link)
            self._link = None
        self._end()

    def end_read(self) -> None:
        """End a reading transaction; nothing that anybody did in it stays."""
        link, self._link = self._link, None
        if link is None:
            return
        try:
            if self._host is None:
                self._end_snapshot(link)
                self.database.keep_reader(link)
        except Exception:
            logger.debug("%s: the reading connection is given up", self.name, exc_info=True)
            self.database.lost(link)
        finally:
            self._unlock()

    def run_hooks(self) -> None:
        """Call what ``after_commit`` has collected, or hand it to the transaction that this one is part of."""
        hooks, self._hooks = self._hooks, []
        if self._host is not None:
            self._host._hooks += hooks
            return
        for hook in hooks:
            hook()

    @property
    def used(self) -> bool:
        """Tell whether any statement has run."""
        return self._used

    @property
    def _savepoint_name(self) -> str:
        return f"nova_{id(self):x}"

    def _end_snapshot(self, link: Link) -> None:
        if not self._snapshot:
            return
        # COMMIT, for psycopg forgets its prepared statements at every ROLLBACK; a caller with the connection may have written
        link.command("ROLLBACK" if self._exposed or self._failed else "COMMIT")

    def _end(self) -> None:
        link, self._link = self._link, None
        if link is not None and self._host is None:
            link.close()
        if link is not None:
            self._unlock()

    def _unlock(self) -> None:
        lock = self.database.shared_lock
        if lock is not None:
            if self.database.shared_owner is self:
                self.database.shared_owner = None
            lock.release()

    def _start(self) -> Link:
        """Connect and begin."""
        if self.database.shared_lock is not None:
            self.database.shared_lock.acquire()
        try:
            self._host = self._find_host()
            self._link = self._begin()
        except BaseException:
            self._unlock()
            raise
        if self.database.shared_lock is not None and self.database.shared_owner is None and self.mode == "writer":
            self.database.shared_owner = self
        return self._link

    def _find_host(self) -> Transaction | None:
        """Return the transaction whose connection has to be shared: sqlite has one writer, and in memory one connection."""
        if self.database.shared_owner is not None:
            return self.database.shared_owner
        outer = self.outer
        if outer is None or self.mode != "writer" or outer.mode != "writer" or outer._link is None:
            return None
        return outer if self.database.family.single_writer else None

    def _begin(self) -> Link:
        if self._host is not None:
            link = self._host._link
            assert link is not None
            if self.mode == "writer":
                link.command(f"SAVEPOINT {self._savepoint_name}")
            return link
        if self.mode == "writer":
            link = self.database.link_writer()
        else:
            link = self.database.link_reader(replica=self.mode == "async")
        try:
            if self.mode == "writer":
                link.begin(self.dialect.begin_writer)
            elif self._snapshot:
                link.command(self.dialect.begin_snapshot)
        except Exception as error:
            failure = self._translated(link, error)
            if not isinstance(failure, exceptions.DBConnectionError) or self._used:
                link.discard()
                raise failure from error
            self.database.lost(link)
            self._used = True
            return self._begin()
        return link

    def _perform(self, action: Callable[[Link, Any, Any], Any], statement: Any, params: Any) -> Any:
        """Run ``action``; a connection that turns out dead at the first statement is replaced once."""
        if self._failed:
            raise exceptions.DBError(f"{self.name}: a statement has failed, the transaction can only be rolled back")
        link = self._link or self._start()
        try:
            result = action(link, statement, params)
        except Exception as error:
            failure = self._translated(link, error)
            if failure is error:
                raise
            fresh = not self._used and self._host is None
            if not (isinstance(failure, exceptions.DBConnectionError) and fresh):
                raise failure from error
            self._used, self._failed, self._link = True, False, None
            self.database.lost(link)
            self._unlock()
            return self._perform(action, statement, params)
        self._used = True
        return result

    def _translated(self, link: Link, error: Exception) -> Exception:
        """Return the library's error for ``error`` and mark the transaction; an error of no driver is returned as it is."""
        if isinstance(error, sa.exc.StatementError) and error.orig is not None:
            origin: BaseException = error.orig
        else:
            origin = error
        if isinstance(origin, types.UnstorableValue):
            return exceptions.DBDataError(origin)
        if not isinstance(origin, link.errors | OverflowError):
            return error
        failure = self.dialect.translate(origin)
        if self.mode == "writer" or self._snapshot:
            self._failed = True
        if isinstance(failure, exceptions.DBConnectionError) and self._used:
            link.connection.invalidate()
        return failure

    def _refuse_in_reader(self) -> None:
        if self.mode != "writer":
            raise TypeError(f"{self.name} runs in a reader; statements that write need a writer")


class Savepoint:
    """A block inside a transaction whose failure undoes just the block."""

    def __init__(self, transaction: Transaction) -> None:
        """Belong to ``transaction``; the savepoint is set at the block's start."""
        self._transaction = transaction
        self._name = ""

    def __enter__(self) -> Transaction:
        """Set the savepoint."""
        transaction = self._transaction
        transaction._savepoints += 1
        self._name = f"nova_{id(transaction):x}_{transaction._savepoints}"
        self._command("SAVEPOINT")
        return transaction

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Keep the block's work, or undo it after an error."""
        transaction = self._transaction
        if error is None and not transaction._failed:
            self._command("RELEASE SAVEPOINT")
            return
        if isinstance(error, exceptions.DBDeadlock | exceptions.DBConnectionError):
            return  # the server has undone the whole transaction
        transaction._failed = False
        self._command("ROLLBACK TO SAVEPOINT")
        self._command("RELEASE SAVEPOINT")

    def _command(self, words: str) -> None:
        transaction = self._transaction
        transaction._perform(_command, f"{words} {self._name}", None)


# -- the two roads: compiled text on the driver's cursor, or SQLAlchemy's Connection.execute --------------------------


def _takes_core_road(link: Link) -> bool:
    return connections.ROAD == "core" or link.listened


def _fetch(link: Link, statement: Any, params: dict[str, Any]) -> list[Row]:
    if _takes_core_road(link):
        result = link.connection.execute(statement, params)
        names = tuple(result.keys())
        return [dict(zip(names, record, strict=True)) for record in result]
    prepared = link.cache.get(statement)
    cursor = link.run(prepared, params)
    return prepared.shape(cursor.description).dicts(cursor.fetchall())


def _change(link: Link, statement: Any, params: dict[str, Any]) -> int:
    if _takes_core_road(link):
        return link.connection.execute(statement, params).rowcount
    count: int = link.run(link.cache.get(statement), params).rowcount
    return count


def _change_many(link: Link, statement: Any, rows: Sequence[dict[str, Any]]) -> None:
    if _takes_core_road(link):
        link.connection.execute(statement, rows)
        return
    prepared = link.cache.get(statement)
    link.cursor.executemany(prepared.text, [prepared.bind(row) for row in rows])


def _insert(link: Link, statement: sa.Insert, row: dict[str, Any]) -> Any:
    """Run an INSERT and return the new id, or None where nothing was inserted or the table has none."""
    by_returning = statement._returning
    if _takes_core_road(link):
        result = link.connection.execute(statement, row)
        return result.scalar() if by_returning else result.lastrowid
    cursor = link.run(link.cache.get(statement), row)
    if not by_returning:
        return cursor.lastrowid
    record = cursor.fetchone()
    return None if record is None else record[0]


def _insert_many(link: Link, table: sa.Table, rows: list[dict[str, Any]]) -> list[Any]:
    """Insert ``rows`` and return their ids in order, None where the table has none.

    SQLAlchemy's RETURNING helper pairs ids with rows on sqlite, MariaDB and PostgreSQL. MySQL gives the rows of one INSERT ids at a
    constant distance and tells the first.
    """
    if "id" not in table.c or "id" in rows[0]:
        _change_many(link, values.insert_statement(table, with_id="id" in rows[0], returning=False), rows)
        return [row.get("id") for row in rows]
    if link.engine.dialect.insert_executemany_returning_sort_by_parameter_order:
        statement = values.insert_many_statement(table)
        return [record[0] for record in link.connection.execute(statement, rows)]
    _change_many(link, values.insert_statement(table, with_id=False, returning=False), rows)
    step = link.connection.exec_driver_sql("SELECT @@auto_increment_increment").scalar_one()
    return [link.cursor.lastrowid + step * place for place in range(len(rows))]


def _command(link: Link, text: str, _: None) -> None:
    link.command(text)


@functools.lru_cache(maxsize=2048)
def _returning(update: sa.Update, again: sa.Select[Any]) -> sa.sql.expression.Executable:
    return update.returning(*again.selected_columns)


# -- scopes -----------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True, slots=True)
class Scope:
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

    def __call__(self, target: Any, replica: bool = False) -> Any:
        """Decorate a function, or return ``with`` block for a context; ``replica`` lets a reader lag behind."""
        if inspect.isroutine(target) or isinstance(target, functools.partial):
            return self._decorate(target)
        return (self.async_ if replica else self).using(target)

    def using(self, context: Any) -> Block:
        """Return a ``with`` block that opens or joins a transaction of ``context`` and gives it."""
        return Block(self if self.mode == "writer" else dataclasses.replace(self, _snapshot=True), context)

    @property
    def independent(self) -> Scope:
        """The scope that never joins: it commits or rolls back by itself.

        Raises: TypeError on a reader or a savepoint.
        """
        return self._writer_only("independent", _independent=True)

    @property
    def savepoint(self) -> Scope:
        """The scope that sets a savepoint where it joins.

        Raises: TypeError on a reader or an independent writer.
        """
        return self._writer_only("savepoint", _savepoint=True)

    @property
    def snapshot(self) -> Scope:
        """The reader whose statements see one state of the database; without it each statement stands alone.

        Raises: TypeError on a writer.
        """
        return self._reader_only("snapshot", _snapshot=True)

    @property
    def async_(self) -> Scope:
        """The reader that may use the replica.

        Raises: TypeError on a writer.
        """
        return self._reader_only("async", mode="async")

    @property
    def allow_async(self) -> Scope:
        """The reader that uses the primary by itself but may join a reader of the replica.

        Raises: TypeError on a writer.
        """
        return self._reader_only("allow_async", _may_join_async=True)

    @property
    def connection(self) -> Scope:
        """The scope that gives the SQLAlchemy connection in place of the transaction."""
        return dataclasses.replace(self, _gives_connection=True)

    def retrying(self, *errors: type[Exception]) -> Scope:
        """Return the scope that starts over for these errors too, not only for conflicts.

        Raises: TypeError on a reader.
        """
        return self._writer_only("retrying", _retry_on=errors)

    def __getattr__(self, name: str) -> Scope:
        """Give the reference's ``async``, a keyword by now, through ``getattr``."""
        if name == "async":
            return self.async_
        raise AttributeError(name)

    def _writer_only(self, word: str, **changes: Any) -> Scope:
        scope = dataclasses.replace(self, **changes)
        if self.mode != "writer":
            raise TypeError(f"a reader can't be {word}")
        if scope._independent and scope._savepoint:
            raise TypeError("a scope is either independent or a savepoint")
        return scope

    def _reader_only(self, word: str, **changes: Any) -> Scope:
        if self.mode == "writer":
            raise TypeError(f"a writer can't be {word}")
        return dataclasses.replace(self, **changes)

    def _decorate(self, function: Callable[P, R]) -> Callable[P, R]:
        """Return ``function`` so that it runs in this scope, on its first argument as the context."""
        name = function.__name__
        run = self._write if self.mode == "writer" else self._read

        @functools.wraps(function)
        def scoped(*args: P.args, **kwargs: P.kwargs) -> R:
            context: Any = args[0] if args else kwargs["context"]
            scopes = scopes_of(context)
            database = self.database or database_of(context)
            outer = scopes.innermost(database) if scopes.open else None
            if outer is not None and not self._independent:
                return self._join(outer, scopes, function, args, kwargs)
            return run(self.open(database, outer, name, scopes), scopes, function, args, kwargs)

        return scoped

    def check(self, outer: Transaction) -> None:
        """Refuse to join ``outer`` where this scope needs more than it gives.

        Raises: TypeError.
        """
        if outer.mode == "writer":
            return
        if self.mode == "writer":
            raise TypeError(f"{outer.name} is open as a reader; a writer can't join it")
        if outer.mode == "async" and self.mode == "reader" and not self._may_join_async:
            raise TypeError(f"{outer.name} is open as a reader of the replica; a reader of the primary can't join it")

    def open(self, database: Database, outer: Transaction | None, name: str, scopes: Scopes) -> Transaction:
        """Return a transaction of this scope's kind that has not begun yet."""
        mode: Mode = self.mode
        if mode == "async" and database in scopes.wrote:
            mode = "reader"  # the replica may lack what this context has just written
        return Transaction(database, mode, name, snapshot=self._snapshot, outer=outer)

    def _join(self, outer: Transaction, scopes: Scopes, function: Callable[..., R], args: Any, kwargs: Any) -> R:
        """Run inside ``outer``. A conflict goes up to its owner; a RetryRequest is met in place, for a writer sees what others commit."""
        self.check(outer)
        scopes.open.append(outer)
        try:
            for attempt in itertools.count(1):
                try:
                    if not self._savepoint:
                        return function(*args, **kwargs)
                    with outer.savepoint():
                        return function(*args, **kwargs)
                except exceptions.RetryRequest as error:
                    pause_or_raise(error, attempt, outer.name)
            raise AssertionError("unreachable")
        finally:
            scopes.open.pop()

    def _read(self, transaction: Transaction, scopes: Scopes, function: Callable[..., R], args: Any, kwargs: Any) -> R:
        scopes.open.append(transaction)
        try:
            return function(*args, **kwargs)
        finally:
            scopes.open.pop()
            transaction.end_read()

    def _write(self, transaction: Transaction, scopes: Scopes, function: Callable[..., R], args: Any, kwargs: Any) -> R:
        for attempt in itertools.count(1):
            try:
                result = _write_once(transaction, scopes, function, args, kwargs)
            except Exception as error:
                pause_or_raise(error, attempt, transaction.name, self._retry_on)
                transaction = self.open(transaction.database, transaction.outer, transaction.name, scopes)
            else:
                transaction.run_hooks()
                return result
        raise AssertionError("unreachable")


def _write_once(
    transaction: Transaction, scopes: Scopes, function: Callable[..., R], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> R:
    scopes.open.append(transaction)
    try:
        result = function(*args, **kwargs)
        transaction.commit()
    except BaseException:
        transaction.rollback()
        raise
    finally:
        scopes.open.pop()
    if transaction.used:
        scopes.wrote.add(transaction.database)
    return result


def pause_or_raise(error: Exception, attempt: int, name: str, retry_on: tuple[type[Exception], ...] = ()) -> None:
    """Sleep a short random time before the next attempt, or raise ``error`` if there is to be none.

    Conflicts (``DBDeadlock``), ``RetryRequest`` and the errors in ``retry_on`` are worth another attempt. The pause grows with the attempt.
    """
    if not isinstance(error, (exceptions.DBDeadlock, exceptions.RetryRequest, *retry_on)):
        raise error
    if attempt >= ATTEMPTS:
        raise error.inner_exc if isinstance(error, exceptions.RetryRequest) else error
    longest = min(FIRST_PAUSE * 2 ** (attempt - 1), LONGEST_PAUSE)
    pause = random.uniform(longest / 4, longest)
    logger.debug("%s: attempt %d met %s, next in %.3f s", name, attempt, type(error).__name__, pause)
    time.sleep(pause)


class Block:
    """A ``with`` block in a scope: opens a transaction, or joins the one that its context has open."""

    def __init__(self, scope: Scope, context: Any) -> None:
        """Describe the block; the transaction is opened at its start."""
        self._scope = scope
        self._context = context
        self._savepoint: Savepoint | None = None

    def __enter__(self) -> Any:
        """Return the open transaction, or its connection."""
        scope = self._scope
        self._scopes = scopes_of(self._context)
        database = scope.database or database_of(self._context)
        outer = self._scopes.innermost(database)
        self._owns = outer is None or scope._independent
        if self._owns:
            self._transaction = scope.open(database, outer, "block", self._scopes)
        else:
            assert outer is not None
            scope.check(outer)
            self._transaction = outer
        self._scopes.open.append(self._transaction)
        if scope._savepoint and not self._owns:
            self._savepoint = self._transaction.savepoint()
            self._savepoint.__enter__()
        return self._transaction.connection if scope._gives_connection else self._transaction

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Commit, or roll back after an error; a joined block leaves both to its owner."""
        transaction = self._transaction
        self._scopes.open.pop()
        if self._savepoint is not None:
            self._savepoint.__exit__(kind, error, traceback)
        if not self._owns:
            return
        if transaction.mode != "writer":
            transaction.end_read()
        elif error is not None:
            transaction.rollback()
        else:
            self._commit(transaction)

    def _commit(self, transaction: Transaction) -> None:
        try:
            transaction.commit()
        except BaseException:
            transaction.rollback()
            raise
        if transaction.used:
            self._scopes.wrote.add(transaction.database)
        transaction.run_hooks()


class Attempt(Block):
    """One try of ``attempts``: a writing block that swallows a conflict while there are tries left."""

    def __init__(self, scope: Scope, context: Any, number: int) -> None:
        """Be try ``number``."""
        super().__init__(scope, context)
        self.number = number
        self.done = False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> bool:  # type: ignore[override]  # True swallows the conflict
        """End the transaction; True if the block shall run again."""
        try:
            super().__exit__(kind, error, traceback)
        except exceptions.DBDeadlock as conflict:
            error = conflict
        if error is None:
            self.done = True
            return False
        if not isinstance(error, Exception) or not self._owns:
            return False
        pause_or_raise(error, self.number, "block")
        return True


def attempts(context: Any) -> Iterator[Attempt]:
    """Yield writing blocks until one has been committed: ``for attempt in tx.attempts(context): with attempt as t: ...``.

    A conflict starts the block over in a new transaction, at most ``ATTEMPTS`` times in all; other errors pass at once.
    """
    for number in itertools.count(1):
        attempt = Attempt(writer, context, number)
        yield attempt
        if attempt.done:
            return


class Database(connections.Connections):
    """A database with its scopes; ``writer`` and ``reader`` here are pinned to it, whatever the context says."""

    #: in memory: the writing transaction that holds the one connection
    shared_owner: Transaction | None = None

    @property
    def writer(self) -> Scope:
        """The scope that writes."""
        return Scope("writer", self)

    @property
    def reader(self) -> Scope:
        """The scope that reads."""
        return Scope("reader", self)


main = Database("main database")
api = Database("API database")
writer = Scope("writer")
reader = Scope("reader")

_cells: dict[str, Database] = {}
_cells_lock = threading.Lock()


def database_of(context: Any) -> Database:
    """Return the database that the context's calls go to: its cell's, or the main one."""
    database: Database | None = getattr(context, "db_connection", None)
    return database or main


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
    """Return the database at this URL, the same object for the same URL; without one, a new database like the main one."""
    if connection is None:
        database = Database("database")
        if main.url is not None:
            database.configure(main.url)
        return database
    url = sa.make_url(connection)
    key = url.render_as_string(hide_password=False)
    with _cells_lock:
        if key not in _cells:
            _cells[key] = Database("cell database")
            _cells[key].configure(url)
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
    """Return a decorator that calls a function again after the named kinds of errors, at most ``max_retries`` times more.

    Intervals are seconds; with ``inc_retry_interval`` the pause doubles up to ``max_retry_interval``. A call that joins an open
    transaction is not repeated: its conflict belongs to the owner of the transaction.
    Raises: the last error; for a RetryRequest the error that it carries.
    """

    def retryable(error: Exception) -> bool:
        return (
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
                        raise error.inner_exc if isinstance(error, exceptions.RetryRequest) else error
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
