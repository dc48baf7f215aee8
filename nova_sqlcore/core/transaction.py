"""An open transaction, and the funnel through which every statement runs.

There **Core builds and the driver runs**: a statement is compiled once per dialect and goes to the DB-API cursor as
text and parameters. While somebody listens to engine events the same statement takes SQLAlchemy's own road, with the
same rows and errors.
"""

from __future__ import annotations

import functools
import logging
import operator
import time
from typing import TYPE_CHECKING, Any, Literal

import sqlalchemy as sa

from nova_sqlcore import exceptions
from nova_sqlcore.core import connections, dialects, types, values

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from types import TracebackType

    from nova_sqlcore.core.connections import Connections, Link

logger = logging.getLogger(__name__)

Row = dict[str, Any]
Mode = Literal["writer", "reader", "async"]


class Transaction:
    """An open transaction: the only way in which queries run statements.

    It begins with its first statement. Statements are SQLAlchemy Core objects of fixed shape, parameters are keywords
    with the names of their bind parameters, rows are plain dicts. A statement that fails outside a savepoint leaves a
    transaction that can only roll back.
    """

    __slots__ = (
        "_exposed",
        "_failed",
        "_hooks",
        "_host",
        "_link",
        "_replaced",
        "_savepoints",
        "_snapshot",
        "database",
        "mode",
        "name",
        "opened",
        "outer",
        "statements",
    )

    def __init__(
        self, database: Connections, mode: Mode, name: str, *, snapshot: bool = False, outer: Transaction | None = None
    ) -> None:
        """Describe a transaction on ``database``; ``outer`` is the open one that it is independent of."""
        self.database = database
        self.mode = mode
        self.name = name
        self.outer = outer
        self._snapshot = snapshot
        self._link: Link | None = None
        self._host: Transaction | None = None
        self.statements = 0
        self.opened = time.perf_counter()
        self._failed = False
        self._replaced = False
        self._exposed = False
        self._savepoints = 0
        self._hooks: list[Callable[[], Any]] = []

    def __repr__(self) -> str:
        """Show what runs where."""
        return f"<Transaction {self.name} {self.mode} on {self.database.label}>"

    # -- the funnel -----------------------------------------------------------------------------------------------

    def row(self, statement: sa.sql.expression.Executable, /, **params: Any) -> Row | None:
        """Return the first row, or None."""
        rows = self._fetched(statement, params)
        return rows[0] if rows else None

    def rows(self, statement: sa.sql.expression.Executable, /, **params: Any) -> list[Row]:
        """Return all rows, in the statement's order."""
        return self._fetched(statement, params)

    def scalar(self, statement: sa.sql.expression.Executable, /, **params: Any) -> Any:
        """Return the first column of the first row, or None."""
        rows = self._fetched(statement, params)
        return next(iter(rows[0].values())) if rows else None

    def scalars(self, statement: sa.sql.expression.Executable, /, **params: Any) -> list[Any]:
        """Return the first column of every row."""
        return [next(iter(row.values())) for row in self._fetched(statement, params)]

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
        # an id of 0 is none to the MySQL family, which makes one
        return values.shown(table, row if row.get("id") or "id" not in table.c else row | {"id": identity})

    def insert_absent(
        self,
        table: sa.Table,
        given: Mapping[str, Any],
        *,
        ignore: Sequence[str] = (),
        only_if: sa.ColumnElement[bool] | None = None,
    ) -> Row | None:
        """Insert one row and return it, or None if a unique key is taken; the transaction stays usable.

        None too if the condition ``only_if`` does not hold; its parameters are named like the columns and take the
        values of the new row.
        """
        self._refuse_in_reader()
        row = values.complete(table, given, self.dialect, ignore=ignore)
        statement = values.insert_absent_statement(table, "id" in row, self.dialect, only_if)
        try:
            identity = self._perform(_insert, statement, row)
        except exceptions.DBDuplicateEntry:
            self._failed = False
            return None
        if identity is None:
            return None
        return values.shown(table, row if "id" in row or "id" not in table.c else row | {"id": identity})

    def insert_many(self, table: sa.Table, given: Sequence[Mapping[str, Any]]) -> list[Row]:
        """Insert rows in one statement per batch and return them, with their ids, in the order given."""
        self._refuse_in_reader()
        rows = [values.complete(table, one, self.dialect) for one in given]
        identities: list[Any] = []
        for batch in values.batches(rows):
            identities += self._perform(functools.partial(_insert_many, self.dialect), table, batch)
        return [
            values.shown(table, row if identity is None else row | {"id": identity})
            for row, identity in zip(rows, identities, strict=True)
        ]

    def update_row(
        self,
        update: sa.Update,
        again: sa.Select[Any],
        key: Mapping[str, Any],
        changes: Mapping[str, Any],
        *,
        key_after: Mapping[str, Any] | None = None,
    ) -> Row | None:
        """Update one row and return it as it is now, or None if nothing matched.

        ``again`` reads the row by ``key``, or by ``key_after`` if the key itself changes, where the server has no
        UPDATE ... RETURNING; its columns are those of the result. Of several rows the first by id is returned.
        """
        self._refuse_in_reader()
        if self.dialect.update_returning:
            rows = self.rows(_returning(update, again), **key, **changes)
            return min(rows, key=operator.itemgetter("id")) if len(rows) > 1 else next(iter(rows), None)
        return self.row(again, **(key_after or key)) if self.execute(update, **key, **changes) else None

    # -- what the caller can do -----------------------------------------------------------------------------------

    @property
    def dialect(self) -> dialects.Dialect:
        """The traits of the server."""
        return self.database.dialect

    @property
    def begun(self) -> bool:
        """Whether it has a connection: its first statement has been sent, or the caller has taken the connection."""
        return self._link is not None

    @property
    def connection(self) -> sa.Connection:
        """The SQLAlchemy connection, for the caller's own Core statements inside this transaction."""
        link = self._link or self._start()
        self._expose(link)
        return link.connection

    def savepoint(self) -> Savepoint:
        """Return a block whose failure undoes just the block: ``with t.savepoint(): ...``."""
        return Savepoint(self)

    def after_commit(self, hook: Callable[[], Any]) -> None:
        """Call ``hook`` after the outermost transaction has been committed.

        It is not called if that rolls back, or the savepoint inside which it was given.
        """
        self._hooks.append(hook)

    @property
    def changed(self) -> bool:
        """Whether it may have changed anything: it has run statements, or the caller has had the connection."""
        return bool(self.statements) or self._exposed

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
            if link.interrupted:
                link.discard()
            elif self._host is not None:
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
            if link.interrupted:
                link.discard()
            elif self._host is None:
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
    def _savepoint_name(self) -> str:
        return f"nova_{id(self):x}"

    def _end_snapshot(self, link: Link) -> None:
        if not self._snapshot:
            return
        # COMMIT, for psycopg forgets its prepared statements at every ROLLBACK; but a caller with the connection may
        # have written
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
            self._snapshot = False  # the lock keeps everybody else out
        try:
            self._host = self._find_host()
            self._link = self._begin()
        except BaseException:
            self._unlock()
            raise
        if self.database.shared_lock is not None and self.database.shared_owner is None and self.mode == "writer":
            self.database.shared_owner = self
        return self._link

    def _expose(self, link: Link) -> None:
        """Let the caller do what he likes with the connection; whatever that is, a reader will undo it."""
        if self.mode != "writer" and not self._snapshot and not self._exposed:
            with connections.translated(self.dialect):
                link.command(self.dialect.begin_snapshot)
            self._snapshot = True
        self._exposed = True

    def _find_host(self) -> Transaction | None:
        """Return the transaction whose connection is shared: sqlite has one writer, and in memory one connection."""
        if self.database.shared_owner is not None:
            host: Transaction = self.database.shared_owner
            return host
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
            if not isinstance(failure, exceptions.DBConnectionError) or self._replaced:
                link.discard()
                raise failure from error
            self._replace(link)
            return self._begin()
        return link

    def _fetched(self, statement: sa.sql.expression.Executable, params: dict[str, Any]) -> list[Row]:
        if self.mode != "writer" and not statement.is_select:
            if statement.is_dml:
                self._refuse_in_reader()
            self._expose(self._link or self._start())
        rows: list[Row] = self._perform(_fetch, statement, params)
        return rows

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
            fresh = not self.changed and not self._replaced and self._host is None
            if not (isinstance(failure, exceptions.DBConnectionError) and fresh):
                raise failure from error
            self._replace(link)
            self._unlock()
            return self._perform(action, statement, params)
        except BaseException:
            link.interrupt()
            raise
        self.statements += 1
        return result

    def _replace(self, link: Link) -> None:
        """Give up a connection that was dead before its first statement; the next one is made new."""
        self._replaced, self._failed, self._link = True, False, None
        self.database.lost(link)

    def _translated(self, link: Link, error: Exception) -> Exception:
        """Return the library's error for a driver's and mark the transaction; other errors come back as they are."""
        if isinstance(error, sa.exc.StatementError) and error.orig is not None:
            origin: BaseException = error.orig
        else:
            origin = error
        if isinstance(origin, types.UnstorableValue | OverflowError | UnicodeError):
            return exceptions.DBDataError(origin)
        if not isinstance(origin, link.errors):
            return error
        failure = self.dialect.translate(origin, link.engine.url)
        if self.mode == "writer" or self._snapshot:
            self._failed = True
        if isinstance(failure, exceptions.DBReadOnly):
            link.interrupt()  # it must not go back to the pool
            self.database.renew(link.engine)
        if isinstance(failure, exceptions.DBConnectionError) and self.statements:
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
        self._hooks = 0

    def __enter__(self) -> Transaction:
        """Set the savepoint."""
        transaction = self._transaction
        transaction._savepoints += 1
        self._name = f"nova_{id(transaction):x}_{transaction._savepoints}"
        self._hooks = len(transaction._hooks)
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
            transaction._failed = True  # the server has undone the whole transaction
            return
        del transaction._hooks[self._hooks :]
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
    return prepared.shape(cursor).dicts(cursor.fetchall())


def _change(link: Link, statement: Any, params: dict[str, Any]) -> int:
    if _takes_core_road(link):
        # where the server gives the id by RETURNING, the count of an INSERT would be lost
        return link.connection.execute(statement, params, execution_options={"preserve_rowcount": True}).rowcount
    count: int = link.run(link.cache.get(statement), params).rowcount
    return count


def _change_many(link: Link, statement: Any, rows: Sequence[dict[str, Any]]) -> None:
    if _takes_core_road(link):
        link.connection.execute(statement, rows)
        return
    prepared = link.cache.get(statement)
    link.cursor.executemany(prepared.text, [prepared.bind(row) for row in rows])


def _insert(link: Link, statement: sa.Insert, row: dict[str, Any]) -> Any:
    """Run an INSERT and return the new id (no matter what if the table has none), or None if nothing was inserted."""
    by_returning = statement._returning
    has_id = "id" in statement.table.c  # psycopg knows no ``lastrowid``; there an id comes by RETURNING
    if _takes_core_road(link):
        result = link.connection.execute(statement, row)
        if not by_returning:
            return (result.lastrowid if has_id else 0) if result.rowcount else None
        return result.scalar()
    cursor = link.run(link.cache.get(statement), row)
    if not by_returning:
        return (cursor.lastrowid if has_id else 0) if cursor.rowcount else None
    record = cursor.fetchone()
    return None if record is None else record[0]


def _insert_many(dialect: dialects.Dialect, link: Link, table: sa.Table, rows: list[dict[str, Any]]) -> list[Any]:
    """Insert ``rows`` and return their ids in order, None where the table has none.

    SQLAlchemy's RETURNING helper pairs ids with rows on MariaDB and PostgreSQL. On sqlite it would insert row by row,
    but there later rows of one INSERT have greater ids. MySQL gives the rows of one INSERT ids at a constant distance
    and tells the first; its drivers make several INSERTs of rows that are long, and tell the last one's first.
    """
    if "id" not in table.c or "id" in rows[0]:
        _change_many(link, values.insert_statement(table, with_id="id" in rows[0], returning=False), rows)
        return [row.get("id") for row in rows]
    if link.engine.dialect.insert_executemany_returning_sort_by_parameter_order:
        statement = values.insert_many_statement(table, in_order=not dialect.ids_ascend)
        identities = [record[0] for record in link.connection.execute(statement, rows)]
        return sorted(identities) if dialect.ids_ascend else identities
    statement = values.insert_statement(table, with_id=False, returning=False)
    step = _id_step(link) if len(rows) > 1 else 1
    found: list[int] = []
    for part in values.parts(rows, link.cursor.max_stmt_length):
        first = _insert_part(link, statement, part)
        found += range(first, first + step * len(part), step)
    return found


def _id_step(link: Link) -> int:
    known: int | None = link.connection.info.get(dialects.ID_STEP)
    return known or int(link.connection.exec_driver_sql("SELECT @@auto_increment_increment").scalar_one())


def _insert_part(link: Link, statement: sa.Insert, rows: list[dict[str, Any]]) -> int:
    """Insert rows with one statement and return the first one's id."""
    if _takes_core_road(link):
        return int(link.connection.execute(statement, rows).lastrowid)
    _change_many(link, statement, rows)
    return int(link.cursor.lastrowid)


def _command(link: Link, text: str, _: None) -> None:
    link.command(text)


@functools.lru_cache(maxsize=2048)
def _returning(update: sa.Update, again: sa.Select[Any]) -> sa.sql.expression.Executable:
    return update.returning(*again.selected_columns)
