# SPDX-License-Identifier: Apache-2.0

"""An open transaction, and the funnel through which every statement runs.

A transaction is always in one of the states of ``State``, and goes from one to another as ``FOLLOWING`` says. How a
statement runs on the connection is the business of ``roads``, how several travel together that of ``batching``, and
how it comes to its connection that of ``connected``.
"""

from __future__ import annotations

import logging
import time
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar, overload

import sqlalchemy as sa

from nova_sqlcore import exceptions
from nova_sqlcore.core import reports, roads, values
from nova_sqlcore.core.batches import Part, first_updated, updated_statement
from nova_sqlcore.core.batching import Batching, raise_in_place_of
from nova_sqlcore.core.comments import CALLING
from nova_sqlcore.core.connected import UNDOES_ALL
from nova_sqlcore.core.states import COMMITTED, ENDED, FAILED, LOST, NEW, OPEN, SINGLE

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from nova_sqlcore.core.connections import Connections
    from nova_sqlcore.core.handles import Row, Select, Statement, Table
    from nova_sqlcore.core.link import Link
    from nova_sqlcore.core.reports import Mode

logger = logging.getLogger(__name__)

R = TypeVar("R")

#: What callers of the reference may look for in ``context.session``.
_OF_SESSIONS = frozenset(
    {"add", "add_all", "bulk_insert_mappings", "bulk_save_objects", "delete", "expire", "expire_all", "expunge"}
    | {"expunge_all", "flush", "get", "merge", "new", "no_autoflush", "query", "refresh"}
)


class Transaction(Batching):
    """An open transaction: the only way in which queries run statements.

    It begins with its first statement. Statements are SQLAlchemy Core objects of fixed shape, parameters are keywords
    with the names of their bind parameters, rows are plain dicts. A statement that fails outside a savepoint leaves a
    transaction that can only roll back.
    """

    __slots__ = (
        "__weakref__",
        "_hooks",
        "_savepoints",
        "_snapshot",
        "attempt",
        "opened",
        "task",
    )

    #: whether the calls that join it have to note their names, though nobody watches
    names_calls: ClassVar[bool] = False

    def __init__(
        self,
        database: Connections,
        mode: Mode,
        name: str,
        task: Any = None,
        snapshot: bool = False,
        outer: Transaction | None = None,
        not_before: str | None = None,
        open_ones: list[Transaction] | None = None,
    ) -> None:
        """Describe a transaction on ``database``; ``outer`` is the open one that it is independent of.

        ``task`` stands for the asyncio task that opens it, ``not_before`` for the position that a replica must have
        come to. In ``open_ones``, those of its context in its thread, it stands once for each scope that it is open in.
        """
        self.database = database
        self.mode = mode
        self.name = name
        self.outer: Transaction | None = outer
        self.task = task
        self.not_before = not_before
        self.state = NEW
        #: whether its reads shall see one state of the database
        self._snapshot = snapshot
        self._link: Link | None = None
        #: the transaction whose connection it shares
        self._host: Transaction | None = None
        #: the lock of a database in memory, while it is held
        self._turn: threading.RLock | None = None
        self.statements = 0
        #: round trips on connections that it has given back
        self._trips = 0
        self.opened = time.perf_counter()
        #: the engine of its connection, once it has had one
        self.engine: sa.Engine | None = None
        #: the function that is at work in it
        self.calling = name
        #: how many of its statements have changed rows
        self.writes = 0
        #: how often the call has begun a transaction
        self.attempt = 1
        #: seconds until a connection was there
        self.waited = 0.0
        #: whether a dead connection has been replaced: that is done once
        self._replaced = False
        #: whether the caller has had the connection
        self._exposed = False
        #: savepoints that it has set, and how many blocks of them are open
        self._savepoints = 0
        self._inside = 0
        self.open_ones: list[Transaction] = [] if open_ones is None else open_ones
        #: statements that travel with the next one
        self._waiting: list[Part] = []
        #: whether COMMIT follows the next statement
        self._ends = False
        #: whether the next statement has company: of one that waits, or of COMMIT
        self._together = False
        #: whether COMMIT is under way with a statement
        self._commits = False
        #: whether it has been committed with its last statement
        self._committed = False
        #: whether what it has begun with was a statement without BEGIN and COMMIT
        self._stood_alone = False
        self._hooks: list[Callable[[], Any]] = []

    def __repr__(self) -> str:
        """Show what runs where."""
        return f"<Transaction {self.name} {self.mode} on {self.database.label}>"

    # -- the funnel -----------------------------------------------------------------------------------------------

    @overload
    def row(self, statement: Statement[R], /, **params: Any) -> R | None: ...

    @overload
    def row(self, statement: sa.sql.expression.Executable, /, **params: Any) -> Row | None: ...

    def row(self, statement: sa.sql.expression.Executable, /, **params: Any) -> Any:
        """Return the first row, or None."""
        rows = self.fetched(statement, params)
        return rows[0] if rows else None

    @overload
    def rows(self, statement: Statement[R], /, **params: Any) -> list[R]: ...

    @overload
    def rows(self, statement: sa.sql.expression.Executable, /, **params: Any) -> list[Row]: ...

    def rows(self, statement: sa.sql.expression.Executable, /, **params: Any) -> Any:
        """Return all rows, in the statement's order."""
        return self.fetched(statement, params)

    def scalar(self, statement: sa.sql.expression.Executable, /, **params: Any) -> Any:
        """Return the first column of the first row, or None."""
        rows = self.fetched(statement, params)
        return next(iter(rows[0].values())) if rows else None

    def scalars(self, statement: sa.sql.expression.Executable, /, **params: Any) -> list[Any]:
        """Return the first column of every row."""
        return [next(iter(row.values())) for row in self.fetched(statement, params)]

    def execute(self, statement: sa.sql.expression.Executable, /, **params: Any) -> int:
        """Run an INSERT, UPDATE or DELETE and return the number of rows that it matched."""
        self.refuse_in_reader()
        count: int = self._perform("change", statement, params)
        self.writes += count != 0
        return count

    def execute_many(self, statement: sa.sql.expression.Executable, rows: Sequence[Mapping[str, Any]], /) -> None:
        """Run one statement for each mapping of parameters, in as few round trips as the driver can."""
        self.refuse_in_reader()
        if self._together or (rows and self._goes_row_by_row(statement)):
            self._sent(self.later.execute_many(statement, rows))
        elif rows:
            self._perform("change_many", statement, rows)
            self.writes += 1

    @overload
    def insert(  # type: ignore[overload-overlap]  # where nobody knows that it is a handle, a row is a row
        self, table: Table[R], given: Mapping[str, Any], *, ignore: Sequence[str] = ()
    ) -> R: ...

    @overload
    def insert(self, table: sa.Table, given: Mapping[str, Any], *, ignore: Sequence[str] = ()) -> Row: ...

    def insert(self, table: sa.Table, given: Mapping[str, Any], *, ignore: Sequence[str] = ()) -> Any:
        """Insert one row and return it as a later read shows it.

        Columns that are missing or None take their default; other keys warn, except those in ``ignore``.
        """
        self.refuse_in_reader()
        row = values.complete(table, given, self.dialect, ignore=ignore)
        statement = values.insert_statement(table, with_id="id" in row, returning=self.dialect.id_by_returning)
        identity = self._perform("insert", statement, row)
        self.writes += 1
        return values.inserted(table, row, identity)

    @overload
    def insert_absent(  # type: ignore[overload-overlap]  # as above
        self,
        table: Table[R],
        given: Mapping[str, Any],
        *,
        ignore: Sequence[str] = (),
        only_if: sa.ColumnElement[bool] | None = None,
    ) -> R | None: ...

    @overload
    def insert_absent(
        self,
        table: sa.Table,
        given: Mapping[str, Any],
        *,
        ignore: Sequence[str] = (),
        only_if: sa.ColumnElement[bool] | None = None,
    ) -> Row | None: ...

    def insert_absent(
        self,
        table: sa.Table,
        given: Mapping[str, Any],
        *,
        ignore: Sequence[str] = (),
        only_if: sa.ColumnElement[bool] | None = None,
    ) -> Any:
        """Insert one row and return it, or None if a unique key is taken; the transaction stays usable.

        None too if the condition ``only_if`` does not hold; its parameters are named like the columns and take the
        values of the new row.
        """
        self.refuse_in_reader()
        row = values.complete(table, given, self.dialect, ignore=ignore)
        statement = values.insert_absent_statement(table, "id" in row, self.dialect, only_if)
        try:
            identity = self._perform("insert", statement, row)
        except exceptions.DBDuplicateEntry:
            self._survive()
            return None
        if identity is None:
            return None
        self.writes += 1
        return values.shown(table, row if "id" in row or "id" not in table.c else row | {"id": identity})

    @overload
    def insert_many(  # type: ignore[overload-overlap]  # as above
        self, table: Table[R], given: Sequence[Mapping[str, Any]]
    ) -> list[R]: ...

    @overload
    def insert_many(self, table: sa.Table, given: Sequence[Mapping[str, Any]]) -> list[Row]: ...

    def insert_many(self, table: sa.Table, given: Sequence[Mapping[str, Any]]) -> Any:
        """Insert rows in one statement per batch and return them, with their ids, in the order given."""
        if self._together:
            return self._sent(self.later.insert_many(table, given))
        self.refuse_in_reader()
        rows = values.complete_all(table, given, self.dialect)
        identities: list[list[Any]] = []
        for portion in self.portions(rows):
            identities.append(self._perform("insert_many", table, portion))
            self.writes += 1
        return values.inserted_many(table, rows, identities)

    @overload
    def update_row(  # type: ignore[overload-overlap]  # as above
        self,
        update: sa.Update,
        again: Select[R],
        key: Mapping[str, Any],
        changes: Mapping[str, Any],
        *,
        key_after: Mapping[str, Any] | None = None,
    ) -> R | None: ...

    @overload
    def update_row(
        self,
        update: sa.Update,
        again: sa.Select[Any],
        key: Mapping[str, Any],
        changes: Mapping[str, Any],
        *,
        key_after: Mapping[str, Any] | None = None,
    ) -> Row | None: ...

    def update_row(
        self,
        update: sa.Update,
        again: sa.Select[Any],
        key: Mapping[str, Any],
        changes: Mapping[str, Any],
        *,
        key_after: Mapping[str, Any] | None = None,
    ) -> Any:
        """Update one row and return it as it is now, or None if nothing matched.

        ``again`` reads the row by ``key``, or by ``key_after`` if the key itself changes, where the server has no
        UPDATE ... RETURNING; its columns are those of the result. Of several rows the first by id is returned.
        """
        self.refuse_in_reader()
        if self.dialect.update_returning:
            return first_updated(self.fetched(updated_statement(update, again), {**key, **changes}))
        return self._sent(self.later.update_row(update, again, key, changes, key_after=key_after))

    # -- what the caller can do -----------------------------------------------------------------------------------

    @property
    def connection(self) -> sa.Connection:
        """The SQLAlchemy connection, for the caller's own Core statements inside this transaction."""
        return self._expose().connection

    def mark(self) -> tuple[int, int, int]:
        """Return how far it has come, for ``spoil``."""
        return self.writes, len(self._hooks), len(self._waiting)

    def spoil(self, mark: tuple[int, int, int]) -> bool:
        """Note that a call failed which began at ``mark``; tell whether its work is left in the midst.

        Its hooks are dropped, and its statements that still wait. If it has changed rows, the transaction has failed
        and can only be rolled back, as a whole or to a savepoint: half of a call must not be committed.
        """
        writes, hooks, waiting = mark
        del self._hooks[hooks:]
        self._drop(waiting)
        if self.writes == writes or self.state is not OPEN:
            return False
        self._move(FAILED)
        return True

    def savepoint(self) -> Savepoint:
        """Return a block whose failure undoes just the block: ``with t.savepoint(): ...``."""
        return Savepoint(self)

    def savepoint_later(self) -> Savepoint:
        """Return the same, for a function whose own statements alone run in it: it is set together with the first."""
        return Savepoint(self, waits=True)

    def after_commit(self, hook: Callable[[], Any]) -> None:
        """Call ``hook`` after the outermost transaction has been committed.

        It is not called if that rolls back, or the savepoint inside which it was given.
        """
        self._hooks.append(hook)

    @property
    def has_kept(self) -> bool:
        """Whether work of it is committed already, with its last statement: it must not run again."""
        return self._committed and self.writes > 0

    # -- beginning and ending -------------------------------------------------------------------------------------

    def commit(self) -> None:
        """Commit; only the scope that opened the transaction does this.

        Raises: DBError if a statement has failed and its error was swallowed: everything is rolled back then.
        DBCommitUncertain if the connection is lost before the server's answer.
        """
        if self._waiting and self.state is OPEN:
            self._ends = True
            self.send_waiting()
        link = self._link
        if link is not None and not link.usable:
            self._give_up(link)
        if self.state in (FAILED, LOST):
            raise exceptions.DBError(f"{self.name} went on after a failed statement: nothing of it has been kept")
        if self.state is ENDED:
            raise self.refusal()
        if link is not None and self.state is not COMMITTED:
            self._commit(link)
        self._end(clean=True)

    def _commit(self, link: Link) -> None:
        try:
            if self._host is not None:
                link.command(f"RELEASE SAVEPOINT {self._savepoint_name}")
            else:
                link.commit()
        except Exception as error:
            failure = self._failure(link, error, at_commit=self._host is None)
            try:
                raise_in_place_of(error, failure)
            finally:
                del failure

    def rollback(self) -> None:
        """Roll back whatever has been done; errors of a broken connection are of no interest any more."""
        link, clean = self._link, False
        try:
            self._drop()
            if link is not None and self.state is not COMMITTED:
                self._undo(link)
            clean = True
        except _driver_errors(link):
            logger.debug("%s: rollback failed, the connection is given up", self.name, exc_info=True)
            if link is not None and self._host is None:
                self.database.lost(link)
        finally:
            self._end(clean)

    def _undo(self, link: Link) -> None:
        if self._host is None:
            if link.usable:
                link.rollback()
        elif link.usable:
            link.command(f"ROLLBACK TO SAVEPOINT {self._savepoint_name}")
            link.command(f"RELEASE SAVEPOINT {self._savepoint_name}")

    def end_read(self) -> None:
        """End a reading transaction; nothing that anybody did in it stays.

        A snapshot ends by COMMIT, for psycopg forgets its prepared statements at every ROLLBACK; but a caller with the
        connection may have written.
        """
        if self.state is SINGLE:  # there is nothing to end: most readers, which save 0.2 µs
            self._end(clean=True)
            return
        link, clean = self._link, False
        is_begun = self.state in (OPEN, FAILED) and not any(part.is_begin for part in self._waiting)
        try:
            if link is not None and is_begun and self._host is None and link.usable:
                link.command("ROLLBACK" if self._exposed or self.state is FAILED else "COMMIT")
            clean = True
        except _driver_errors(link):
            logger.debug("%s: the reading connection is given up", self.name, exc_info=True)
            if link is not None:
                self.database.lost(link)
        finally:
            self._end(clean)

    def abandon(self) -> None:
        """Throw away whatever it has, for its regular end was interrupted or never came."""
        self._end(clean=False)

    def run_hooks(self) -> None:
        """Call what ``after_commit`` has collected, or hand it to the transaction that this one is part of.

        Raises: the first error of a hook, after all of them have been called.
        """
        hooks, self._hooks = self._hooks, []
        if self._host is not None:
            self._host._hooks += hooks
            return
        failures: list[Exception] = []
        for hook in hooks:
            try:
                hook()
            except Exception as error:
                if failures:
                    logger.exception("%s: another hook failed after the commit", self.name)
                failures.append(error)
        if failures:
            raise failures.pop(0)

    def met(self, error: BaseException) -> BaseException:
        """Return the error that leaves the scope in place of ``error``.

        What a caller met on the exposed connection is SQLAlchemy's until here. An error that neither SQLAlchemy nor the
        library has raised may have come out of the midst of a driver call on that connection.
        """
        link = self._link
        if not self._exposed or link is None:
            return error
        if isinstance(error, sa.exc.DBAPIError):
            return self._failure(link, error)
        if not isinstance(error, sa.exc.SQLAlchemyError | exceptions.DBError):
            link.unsure = True
        return error

    def _start(self, alone: bool) -> Link:
        """Connect and begin; a connection that turns out dead is replaced once."""
        may_share = self.outer is not None or self.database.shared_lock is not None
        if may_share:
            self._take_turn()
        link: Link | None = None
        try:
            self._host = self._find_host() if may_share else None
            if self._host is None:
                link = self.database.at_hand(self.mode)  # nothing for "async"
            link = link or self._connect()
            if alone:
                alone = link.dialect.autocommit_is_free(link.raw)
                if alone and not link.dialect.is_quiet(link.raw):
                    self.database.lost(link)  # it has died in the pool: once its only statement is sent, who can tell?
                    link = self._connect()
            if self.mode == "writer" or self._snapshot:
                self._begin(link, alone)
            else:
                self.state = SINGLE
            self._link = link
            self.engine = link.engine
        except BaseException as error:
            failure = error if link is None or not isinstance(error, Exception) else self._failure(link, error)
            again = link is not None and self._may_replace(failure)
            self._let_go(link)
            try:
                if not again:
                    raise_in_place_of(error, failure)
            finally:
                del failure
            self._replaced = True
        return self._link or self._start(alone)

    def _begin(self, link: Link, alone: bool = False) -> None:
        """Begin; the next statement of a writer stands ``alone`` if it is its only one and autocommit costs nothing."""
        if self.mode != "writer":
            is_single = not self._snapshot or self._turn is not None  # nobody else gets at a database in memory
            if not is_single:
                self._begin_snapshot(link)
            self._move(SINGLE if is_single else OPEN)
            return
        if self._host is not None:
            link.command(f"SAVEPOINT {self._savepoint_name}")
        elif alone and roads.is_direct(link):
            link.begin_alone()
        else:
            link.begin(link.dialect.begin_writer)
            if link.begins and roads.carrier_of(link) is not None:
                self._together = True
        self._move(OPEN)
        if self._turn is not None and self._host is None:
            self.database.shared_owner = self

    def _begin_snapshot(self, link: Link) -> None:
        if roads.carrier_of(link) is None:
            link.command(self.dialect.begin_snapshot)
            return
        part = Part("command", self.dialect.begin_snapshot, None, is_begin=True)
        self._pack(link, part)
        self._together = True
        self._waiting.insert(0, part)

    def _expose(self) -> Link:
        """Let the caller do anything with the connection; whatever that is, a reader will undo it."""
        self._ends = False
        link = self._ready()
        if self._waiting:
            self.send_waiting()
            link = self._ready()
        if self.state is SINGLE:
            try:
                link.command(self.dialect.begin_snapshot)
            except Exception as error:
                failure = self._failure(link, error)
                try:
                    if not self._may_replace(failure):
                        raise_in_place_of(error, failure)
                finally:
                    del failure
                self._replace(link)
                return self._expose()
            self._move(OPEN)
        if not self._exposed and self.mode == "writer" and not link.connection.in_transaction():
            link.connection.begin()  # so that SQLAlchemy ends what the caller does on it
        self._exposed = True
        link.home = None
        return link

    # -- running a statement --------------------------------------------------------------------------------------

    def fetched(self, statement: sa.sql.expression.Executable, params: dict[str, Any]) -> Any:
        """Return all rows, as ``rows`` does; parameters that are in a dict already would take 0.2 µs by name."""
        if statement.is_select:
            return self._perform("fetch", statement, params)
        if self.mode != "writer":
            self._guard_reader(statement)
        rows: list[Row] = self._perform("fetch", statement, params)
        self.writes += statement.is_dml and bool(rows)
        return rows

    def _guard_reader(self, statement: sa.sql.expression.Executable) -> None:
        """Refuse what writes in a reader, and let it undo what may do so."""
        if statement.is_dml:
            self.refuse_in_reader()
        self._expose()

    def _perform(self, operation: str, statement: Any, params: Any) -> Any:
        """Run an operation of the road, in company if it has some."""
        link = self._link
        if self.state is NEW:
            link = self._start(self._ends and operation != "command")
        elif link is None or link.unsure or not self.state.runs:
            link = self._ready()
        if self._together:
            return self._perform_together(link, operation, statement, params)
        return self._perform_on(link, operation, statement, params)

    def _perform_one(self, operation: str, statement: Any, params: Any) -> Any:
        """Run an operation without company."""
        return self._perform_on(self._ready(), operation, statement, params)

    def _perform_on(self, link: Link, operation: str, statement: Any, params: Any) -> Any:
        """Run an operation; a connection that turns out dead at the first statement is replaced once."""
        began = time.perf_counter() if reports.statements else 0.0
        if operation != "command":  # whose link counts it
            link.trips += 1 + link.begins  # as ``note_trip``
            link.begins = False
        try:
            road = roads.CORE if link.ears.hear(link.connection) else roads.USUAL  # as ``road_of``
            result = getattr(road, operation)(link, statement, params)
        except Exception as error:
            failure = values.placed(self.database.outgrown(self._failure(link, error), params), statement)
            held = self._held(link, statement, params, failure)
            try:
                if began:
                    reports.of_statement(self, roads.text_of(link, statement), began, failure)
                if held is None and not self._may_replace(failure):
                    raise_in_place_of(error, failure)
            finally:
                del failure
        else:
            self.statements += 1
            if began:
                reports.of_statement(self, roads.text_of(link, statement), began, None)
            return result
        if held is not None:
            return self._perform_one(operation, statement, held)
        self._replace(link)
        return self._perform_one(operation, statement, params)

    def _ready(self, alone: bool = False) -> Link:
        """Return the connection for the next statement, which may be the only one.

        Raises: DBError if there can be no further statement.
        """
        link = self._link
        if link is not None and not link.unsure and self.state.runs:
            return link
        if link is not None and link.unsure:
            self._give_up(link)
        if self.state is NEW:
            return self._start(alone)
        if self._link is None or self.state in (FAILED, LOST) or self.has_kept:
            raise self.refusal()
        if self.state is COMMITTED:
            self._begin_again(self._link)
        return self._link

    def _begin_again(self, link: Link) -> None:
        """Go on after a last statement that has changed nothing."""
        self._committed = self._stood_alone = False
        try:
            self._begin(link)
        except Exception as error:
            failure = self._failure(link, error)
            try:
                raise_in_place_of(error, failure)
            finally:
                del failure

    def refusal(self) -> exceptions.DBError:
        """Return the error that says why there can be no further statement."""
        if self.state is ENDED:
            return exceptions.DBError(
                f"{self.name} has ended, and whatever joins it comes too late; tasks must not share a context"
            )
        if self.state is COMMITTED:
            return exceptions.DBError(f"{self.name} has been committed with its last statement: nothing can follow")
        if self._link is not None and self._link.inherited:
            return exceptions.DBError(f"{self.name} was begun by the parent process: a forked child can't go on")
        return exceptions.DBError(f"{self.name}: a statement has failed, the transaction can only be rolled back")

    def _held(self, link: Link, statement: Any, params: Any, failure: Exception) -> Any:
        """Return ``params`` without text that no row can have, if the server has refused a comparison with it.

        Which text that is depends on the charset of the column, which may be another one than the reference's.
        """
        if not self.dialect.refuses_comparison(failure) or not isinstance(params, dict):
            return None
        prepared = link.cache[statement]
        sought = (prepared.without_unheld(params, greatest) for greatest in ("\uffff", "\x7f"))
        held = next((one for one in sought if one != params), None)
        if held is not None and self.state is FAILED:
            self._move(OPEN)
        return held

    def refuse_in_reader(self) -> None:
        """Refuse to write in a reader.

        Raises: TypeError.
        """
        if self.mode != "writer":
            raise TypeError(f"{self.name} runs in a reader; statements that write need a writer")


def _of_connection(name: str) -> property:
    return property(lambda transaction: getattr(transaction.connection, name))


def _of_session(name: str) -> property:
    def refuse(transaction: Transaction) -> None:
        raise AttributeError(f"a transaction has no {name!r}; a session of the ORM has, but there is no ORM here")

    return property(refuse)


# ``context.session`` is a transaction, under the reference's name: it has what the SQLAlchemy connection has, and tells
# what a session of the ORM alone can do. With ``__getattr__`` in their place each look at any attribute would take four
# times as long, and a call makes a hundred. A type checker shall find the wrong names.
for _name in dir(sa.Connection):
    if not (_name.startswith("_") or hasattr(Transaction, _name)):
        setattr(Transaction, _name, _of_connection(_name))
for _name in _OF_SESSIONS:
    setattr(Transaction, _name, _of_session(_name))


class CommentingTransaction(Transaction):
    """A transaction whose statements name their function in a comment."""

    __slots__ = ()
    names_calls = True

    def queue(self, operation: str, statement: Any, params: Any, *, is_guard: bool = False) -> Part:
        """As ``Transaction.queue``."""
        token = CALLING.set(self.calling)
        try:
            return super().queue(operation, statement, params, is_guard=is_guard)
        finally:
            CALLING.reset(token)

    def _perform(self, operation: str, statement: Any, params: Any) -> Any:
        token = CALLING.set(self.calling)
        try:
            return super()._perform(operation, statement, params)
        finally:
            CALLING.reset(token)


def _driver_errors(link: Link | None) -> tuple[type[Exception], ...]:
    return (sa.exc.SQLAlchemyError,) if link is None else (sa.exc.SQLAlchemyError, link.errors)


class Savepoint:
    """A block inside a transaction whose failure undoes just the block."""

    def __init__(self, transaction: Transaction, *, waits: bool = False) -> None:
        """Belong to ``transaction``; the savepoint is set at the block's start, or waits for its first statement."""
        self._transaction = transaction
        self._waits = waits
        self._name = ""
        self._hooks = 0
        #: what sets it
        self._setting: Part | None = None

    def __enter__(self) -> Transaction:
        """Set the savepoint, now if there is something whose errors shall come before the block.

        And if the caller has the connection, by which statements come that nothing waits for.
        """
        transaction = self._transaction
        transaction._ends = False
        transaction._inside += 1
        transaction._savepoints += 1
        self._name = f"nova_{id(transaction):x}_{transaction._savepoints}"
        self._hooks = len(transaction._hooks)
        self._setting = transaction.queue("command", f"SAVEPOINT {self._name}", None)
        if not self._waits or transaction._exposed or not all(part.is_begin for part in transaction._waiting[:-1]):
            transaction.send_waiting()
        return transaction

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Keep the block's work, or undo it after an error.

        Raises: DBError if a statement has failed in the block and its error was swallowed.
        """
        transaction = self._transaction
        transaction._inside -= 1
        if self._forget(error):
            return
        if error is None and transaction._waiting:
            self._flush()
        transaction._drop()
        if isinstance(error, UNDOES_ALL):
            transaction._move(LOST)  # the server has undone the whole transaction
        if error is None and transaction.state is OPEN and not _is_unsure(transaction):
            self._release()
            return
        del transaction._hooks[self._hooks :]
        self._undo()
        if error is None:
            raise exceptions.DBError(
                f"{transaction.name} went on after a failed statement in a savepoint: nothing of that block is kept"
            )

    def _forget(self, error: BaseException | None) -> bool:
        """Drop a savepoint that still waits if the block is empty or has failed; tell whether that was all to do."""
        waiting, hooks = self._transaction._waiting, self._transaction._hooks
        if self._setting not in waiting or isinstance(error, UNDOES_ALL):
            return False
        start = waiting.index(self._setting)
        if error is None and waiting[start + 1 :]:
            return False
        if error is not None:
            del hooks[self._hooks :]
        self._transaction._drop(start)
        return True

    def _flush(self) -> None:
        """Send what waits; if it fails, the block has failed."""
        try:
            self._transaction.send_waiting()
        except BaseException as error:
            if isinstance(error, UNDOES_ALL):
                self._transaction._move(LOST)
            del self._transaction._hooks[self._hooks :]
            self._undo()
            raise

    def _undo(self) -> None:
        transaction = self._transaction
        if transaction.state is FAILED:
            transaction._move(OPEN)
        if transaction.state is OPEN and not _is_unsure(transaction):
            self._command("ROLLBACK TO SAVEPOINT")
            self._release()

    def _release(self) -> None:
        """Let the savepoint go, together with the next statement."""
        self._transaction.queue("command", f"RELEASE SAVEPOINT {self._name}", None)

    def _command(self, words: str) -> None:
        self._transaction._perform("command", f"{words} {self._name}", None)


def _is_unsure(transaction: Transaction) -> bool:
    return transaction._link is None or transaction._link.unsure
