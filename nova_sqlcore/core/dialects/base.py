# SPDX-License-Identifier: Apache-2.0

"""The traits that most families of servers have in common, and what their statements are written with."""

from __future__ import annotations

import inspect
import select
import sys
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeVar

import sqlalchemy as sa

from nova_sqlcore import exceptions

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nova_sqlcore.core.carriers import Carrier
    from nova_sqlcore.core.options import EngineOptions

Role = Literal["writer", "reader"]

#: In ``Connection.info``: the distance between two ids that the server counts.
ID_STEP: Final = "nova_sqlcore.id_step"
#: And how many bytes it takes in one packet.
PACKET: Final = "nova_sqlcore.packet"
#: In the text of a statement: PostgreSQL shall keep no plan of it.
PLANNED_ANEW: Final = "/* planned anew */"
#: The attribute of psycopg's connection with the statement that sets a transaction up, if each needs that.
SETTINGS: Final = "nova_sqlcore_settings"
#: And what one of PyMySQL has whose other end is a proxy that speaks the protocol itself.
PROXIED: Final = "nova_sqlcore_proxied"

Insert = TypeVar("Insert", bound=sa.Insert)
AnySelect = TypeVar("AnySelect", bound=sa.Select[Any])


class Dialect:
    """The traits of one family of servers; the base holds what most have in common."""

    name: ClassVar[str]
    drivers: ClassVar[dict[str, str]]
    #: UPDATE ... RETURNING
    update_returning: ClassVar[bool] = False
    #: one UPDATE gives many rows values of their own in less time than an UPDATE each
    updates_from_rows: ClassVar[bool] = False
    #: DELETE ... RETURNING
    delete_returning: ClassVar[bool] = False
    #: the id of a new row comes with RETURNING, not as ``lastrowid``
    id_by_returning: ClassVar[bool] = False
    #: WITH may delete rows and hand them to an INSERT
    moves_rows: ClassVar[bool] = False
    #: the rows of one INSERT get ascending ids, in their order, from one writer at a time
    ids_ascend: ClassVar[bool] = False
    #: SELECT ... FOR UPDATE locks rows
    locks_rows: ClassVar[bool] = True
    #: a SELECT that has waited for a lock sees all its tables as they are then, not as they were when it began
    locking_reads_are_fresh: ClassVar[bool] = False
    #: an UPDATE may be part of another statement, in its WITH clause
    update_in_with: ClassVar[bool] = False
    #: a failed statement leaves the transaction usable
    survives_errors: ClassVar[bool] = True
    #: ORDER BY takes NULL for the greatest value, not for the smallest
    null_is_greatest: ClassVar[bool] = False
    #: other nodes of a cluster write too: row locks of one node don't reach them, only writes to the same key conflict
    clustered: ClassVar[bool] = False
    #: a second writing connection of the same process would wait for the first one
    single_writer: ClassVar[bool] = False
    #: it sorts rows with all their columns and all that is joined to them, those too that a limit then leaves out
    sorts_whole_rows: ClassVar[bool] = False
    #: it takes no pinned column for a constant: ORDER BY has to name it where it leads an index
    sorts_by_pins: ClassVar[bool] = False
    #: it finds rows in several ranges of an index, alternatives of one condition, and in the order of the index
    reads_many_ranges: ClassVar[bool] = False
    #: to find rows by a list of numbers, and others by these, takes it less time than to find them by a list of texts
    finds_by_number: ClassVar[bool] = False
    #: a unique key takes texts for one that differ in case, accents or trailing blanks
    folds_keys: ClassVar[bool] = False
    #: asks how many bytes the server takes in one statement, if it breaks the line at more
    packet_limit: ClassVar[str] = ""
    regexp_operator: ClassVar[str] = "REGEXP"
    #: statements go to a server, over a line
    is_server: ClassVar[bool] = True
    #: its driver takes all rows of ``executemany`` along in one trip; others those of an INSERT ... VALUES alone
    rows_travel_together: ClassVar[bool] = False
    #: the driver sends BEGIN by itself before the first statement of a writer, and waits for the answer
    driver_begins: ClassVar[bool] = False
    #: begins a writing transaction; empty where the driver does it with the first statement
    begin_writer: ClassVar[str] = ""
    #: commits what that has begun; sqlite3's own ``commit`` prepares its statement each time (2 µs)
    commit_writer: ClassVar[str] = ""
    #: begins a transaction that reads from one snapshot, on a connection in autocommit mode
    begin_snapshot: ClassVar[str] = "BEGIN"
    #: asks a primary how far its log has come: all that has been committed is before that; empty where there is no log
    position: ClassVar[sa.Select[tuple[str]] | None] = None
    #: tells whether a replica has come to ``position``, NULL if that is not a position; where it can it waits
    #: ``seconds`` for that
    has_reached: ClassVar[str] = ""
    #: seconds between two such questions where it can't
    replica_look: ClassVar[float] = 0
    #: compiles statements in place of SQLAlchemy's own compiler
    statement_compiler: ClassVar[type[sa.sql.compiler.SQLCompiler] | None] = None

    def spelled(self, url: sa.URL) -> sa.URL:
        """Return the URL with its arguments as the driver understands them.

        Raises: DBError for one that makes no sense.
        """
        return url

    def connect_args(self, url: sa.URL, role: Role, options: EngineOptions) -> dict[str, Any]:
        """Return the driver's own arguments for a new connection."""
        return {}

    def engine_args(self, url: sa.URL, role: Role, options: EngineOptions) -> dict[str, Any]:
        """Return this family's arguments for ``create_engine``."""
        return {}

    def prepare_engine(self, engine: sa.Engine, options: EngineOptions) -> None:
        """Add what this family needs beyond the arguments of ``create_engine``."""

    def prepare_connection(self, connection: Any, url: sa.URL, role: Role, options: EngineOptions) -> None:
        """Set up a new DB-API connection, before SQLAlchemy asks the server anything."""

    def is_current(self, connection: Any) -> bool:
        """Tell whether a DB-API connection that lay idle still leads where its URL does; ask no server."""
        return True

    def of_server(self, connection: sa.Connection) -> Dialect:
        """Return the traits of the server itself, if there is more to know than its family."""
        return self

    def statement_timeout(self, options: EngineOptions) -> float:
        """Return how many seconds a statement may run; 0 stands for ever."""
        return 300 if options.statement_timeout is None else options.statement_timeout

    def facts(self, connection: Any) -> dict[str, Any]:
        """Return what is to be known about a new connection, for SQLAlchemy's ``Connection.info``."""
        return {}

    def carrier(self, connection: Any, options: EngineOptions) -> Carrier | None:
        """Return what takes several statements to this server in one trip."""
        return None

    def cursor(self, connection: Any, options: EngineOptions) -> Any:
        """Return the cursor on which all statements of a connection run."""
        return connection.cursor()

    def is_quiet(self, connection: Any) -> bool:
        """Tell whether nothing has come over an idle line; a server's farewell has, if it has closed the connection."""
        return True

    def autocommit_is_free(self, connection: Any) -> bool:
        """Tell whether a DB-API connection goes into autocommit mode, and out of it, without asking the server."""
        return False

    def set_autocommit(self, cursor: Any, is_on: bool) -> None:
        """Let the connection of a cursor go into autocommit mode, or out of it."""
        cursor.connection.autocommit = is_on

    def is_crowded(self, error: BaseException) -> bool:
        """Tell whether a server or a proxy has refused a connection because it has too many."""
        return False

    def is_answer(self, error: BaseException) -> bool:
        """Tell whether the server itself has refused, so that it has not done what it was asked for."""
        return False

    def refuses_commit(self, error: BaseException) -> bool:
        """Tell whether a server that is of no use any more has refused COMMIT, and for certain not done it."""
        return False

    def lock_timeout(self, options: EngineOptions) -> float | None:
        """Return how many seconds a statement waits for a lock; None where the server decides."""
        return options.lock_timeout

    def in_transaction(self, connection: Any) -> bool | None:
        """Tell from the driver's own state whether a transaction is open; None where the driver does not know."""
        return None

    def let_go(self, connection: Any) -> None:
        """Release at once what a connection holds that is about to be closed; nothing may be sent to a server."""

    def leave_to_parent(self, connection: Any) -> None:
        """Make sure that what a forked child has inherited sends nothing, not even at the exit of the child."""

    def lock_row(self, statement: AnySelect, *, of: sa.Table | None = None) -> AnySelect:
        """Return ``statement`` as one that locks the rows it finds."""
        return statement.with_for_update(of=of)

    def lock_free_row(self, statement: AnySelect) -> AnySelect:
        """Return ``statement`` as one that locks rows and steps over those that somebody else holds."""
        return statement.with_for_update(skip_locked=True)

    def insert_absent(self, table: sa.Table, values: Mapping[str, Any] | sa.Select[Any]) -> sa.Insert:
        """Return an INSERT that does nothing where a unique key is taken."""
        raise NotImplementedError(self.name)

    def upsert(
        self,
        table: sa.Table,
        values: Mapping[str, Any] | sa.Select[Any],
        keys: Sequence[str],
        assignments: Mapping[str, Any],
        only_if: sa.ColumnElement[bool] | None = None,
    ) -> sa.Insert:
        """Return an INSERT that updates the row instead which already holds the unique key ``keys``.

        ``values`` may be a SELECT that gives the row, or none; it needs a WHERE clause, and names like the columns.
        ``assignments`` maps columns to expressions; a string "=" takes the value that was to be inserted, and a
        function makes an expression from the row that was to be inserted. The MySQL family assigns in their order. With
        ``only_if`` the row stays as it is unless the condition on the stored row holds.
        """
        raise NotImplementedError(self.name)

    def as_text(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[str]:
        """Return ``column`` in a form that text operators take."""
        return column  # sqlite and MySQL compare any type as text

    def converted(self, column: sa.ColumnElement[Any], kind: sa.types.TypeEngine[Any]) -> sa.ColumnElement[Any]:
        """Return ``column`` in a form that a column of type ``kind`` takes in INSERT ... SELECT."""
        return column

    def as_key(self, column: sa.ColumnElement[Any], key: sa.Column[Any]) -> sa.ColumnElement[Any]:
        """Return ``column`` in a form in which an index on ``key``, a column of another table, finds it."""
        return column

    def unindexed(self, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
        """Return the term to sort by ``column`` for which no index is read, where the server misjudges that.

        PostgreSQL judges well.
        """
        return column

    def nulls_smallest(self, column: sa.ColumnElement[Any], direction: str) -> sa.ColumnElement[Any]:
        """Return the ORDER BY term for ``column`` with NULL as the smallest value."""
        return column.desc() if direction == "desc" else column.asc()

    def all_null(self, *columns: sa.ColumnElement[Any]) -> tuple[sa.ColumnElement[Any], ...]:
        """Return those of the columns, NULL in every row that is found, that must lead ORDER BY for an index to serve.

        The MySQL family would sort the rows by them (measured with 65,536 rows: 84 in place of 0.4 ms).
        """
        return ()

    def by_index(self, statement: AnySelect, table: sa.FromClause, name: str) -> AnySelect:
        """Return ``statement`` as one that reads ``table`` by this index of the reference's schema."""
        return statement

    def in_order(self, statement: AnySelect) -> AnySelect:
        """Return ``statement`` as one that reads its tables in the order of FROM, where the server can be told."""
        return statement

    def planned_anew(self, statement: AnySelect) -> AnySelect:
        """Return ``statement`` as one that is planned for its values each time, where a plan might be kept for all."""
        return statement

    def rare(self, clause: sa.ColumnElement[bool]) -> sa.ColumnElement[Any]:
        """Return a condition of which the server shall think that few rows fulfil it."""
        return clause

    def common(self, clause: sa.ColumnElement[bool]) -> sa.ColumnElement[Any]:
        """Return a condition of which the server shall think that most rows fulfil it."""
        return clause

    def pinned(self, column: sa.ColumnElement[Any], value: Any) -> sa.ColumnElement[Any]:
        """Return the clause that ``column`` has this value, for rows that are read in the order of an index behind it.

        Where ``sorts_by_pins``, only an index that begins with the column serves such an order.
        """
        clause: sa.ColumnElement[bool] = column == value
        return clause

    def prefer_index(self, statement: sa.Select[Any], table: sa.FromClause, name: str) -> sa.Select[Any]:
        """Return ``statement`` as one that reads ``table``, a named alias, by this index of ours where there is one."""
        return statement

    def update_by_index(self, update: sa.Update, name: str) -> sa.Update:
        """Return ``update`` as one that finds its rows by this index of the reference's schema."""
        return update

    def guard(self) -> tuple[sa.sql.expression.Executable, ...]:
        """Return the statements that take a transaction-long guard; there are none where one writes at a time.

        Their parameter ``guard`` takes text of at most 36 characters. Transactions that take the same guard follow each
        other, and each sees what those before it have committed.
        """
        return ()

    def hold(self, connection: sa.Connection, name: str, seconds: float) -> bool:
        """Hold the lock called ``name`` until the connection's transaction ends; False if others do for ``seconds``.

        Who waits for it has not begun a transaction yet.
        """
        raise NotImplementedError(self.name)

    def count_ids_from(self, table: sa.Table, number: int) -> tuple[sa.sql.expression.Executable, ...]:
        """Return the statements that make ``number`` the next id, after rows with lower ids were inserted."""
        return ()  # counts itself by the ids that there are

    def json_rows(self, columns: Mapping[str, sa.ColumnElement[Any]]) -> sa.ColumnElement[str]:
        """Return an aggregate that gives the grouped rows as the text of a JSON list of lists, in ``columns`` order."""
        raise NotImplementedError(self.name)

    def refuses_comparison(self, error: BaseException) -> bool:
        """Tell whether a column was compared with text that its charset lacks, and the transaction goes on."""
        return False

    def translate(self, error: BaseException, url: sa.URL | None = None) -> exceptions.DBError:
        """Return the library's error for a driver's error; ``url`` is the database's, where the error needs a name."""
        return exceptions.DBError(error)

    def require_file(self, url: sa.URL) -> None:
        """See that the file of a database is there, for those who must not make one.

        Raises: DBConnectionError naming the file.
        """


class OnConflict(Dialect):
    """A family whose INSERT may say what to do if a unique key is taken."""

    def into(self, table: sa.Table) -> Any:
        """Return SQLAlchemy's INSERT of the family."""
        raise NotImplementedError(self.name)

    def insert_absent(self, table: sa.Table, values: Mapping[str, Any] | sa.Select[Any]) -> sa.Insert:
        """ON CONFLICT DO NOTHING."""
        insert: sa.Insert = filled(self.into(table), values).on_conflict_do_nothing()
        return insert

    def upsert(
        self,
        table: sa.Table,
        values: Mapping[str, Any] | sa.Select[Any],
        keys: Sequence[str],
        assignments: Mapping[str, Any],
        only_if: sa.ColumnElement[bool] | None = None,
    ) -> sa.Insert:
        """ON CONFLICT (keys) DO UPDATE."""
        insert = filled(self.into(table), values)
        updating: sa.Insert = insert.on_conflict_do_update(
            index_elements=list(keys), set_=assigned(assignments, insert.excluded), where=only_if
        )
        return updating


def in_memory(url: sa.URL) -> bool:
    """Tell whether ``url`` names an sqlite database in memory."""
    if url.get_backend_name() != "sqlite":
        return False
    name = url.database or ""
    return name in ("", ":memory:") or name.startswith("file::memory:") or "mode=memory" in str(url.query) + name


def with_remedy(failure: exceptions.DBError, remedy: str) -> exceptions.DBError:
    """Return the error with words at its end that tell what to do."""
    failure.args = (f"{failure}; {remedy}",)
    return failure


def is_green(module: str) -> bool:
    """Tell whether eventlet or gevent has patched this module of Python's, so that a wait there lets others run."""
    for library, asked in (("eventlet.patcher", "is_monkey_patched"), ("gevent.monkey", "is_module_patched")):
        found = sys.modules.get(library)
        if found is not None and getattr(found, asked)(module):
            return True
    return False


def is_readable(socket: Any) -> bool:
    """Tell whether something waits to be read; 5 µs."""
    if not hasattr(select, "poll"):  # eventlet takes it away, and its select takes any number of a file
        return bool(select.select([socket], [], [], 0)[0])
    poll = select.poll()
    poll.register(socket, select.POLLIN)
    return bool(poll.poll(0))


def filled(insert: Insert, values: Mapping[str, Any] | sa.Select[Any]) -> Insert:
    """Return ``insert`` of one row, or of what a SELECT gives."""
    if isinstance(values, sa.Select):
        return insert.from_select(values.selected_columns.keys(), values, include_defaults=False)
    return insert.values(dict(values))


def assigned(assignments: Mapping[str, Any], new: Any) -> dict[str, Any]:
    """Return ``assignments`` with every "=" and every function replaced by what it stands for."""
    return {name: _of_new_row(name, value, new) for name, value in assignments.items()}


def _of_new_row(name: str, value: Any, new: Any) -> Any:
    if isinstance(value, str) and value == "=":
        return new[name]
    return value(new) if inspect.isfunction(value) else value
