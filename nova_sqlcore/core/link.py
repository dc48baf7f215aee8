# SPDX-License-Identifier: Apache-2.0

"""One connection in use, and what happens to it when a driver call is cut short, forgotten, or inherited by a fork."""

from __future__ import annotations

import contextlib
import logging
import os
import time
import weakref
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from nova_sqlcore.core import internals

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nova_sqlcore.core.carriers import Carrier
    from nova_sqlcore.core.dialects import Dialect
    from nova_sqlcore.core.statements import Cache

logger = logging.getLogger(__name__)

#: The mark of a pooled connection that a link has ended itself.
_AT_REST = "nova_sqlcore at rest"
#: The process that made a pooled connection.
_PROCESS = "nova_sqlcore process"

#: The connection of every link that is not closed yet, and whether others share it. A link has no ``__del__`` since
#: that would run at the end of every link, and what a signal raises there is lost.
_WATCHED: dict[weakref.ref[Link], tuple[sa.Connection, bool]] = {}
#: Connections of a parent process: nobody uses them, and nobody may close them.
_INHERITED: list[Any] = []


def _throw_away_for(gone: weakref.ref[Link]) -> None:
    """Throw away the connection of a link whose user is gone: its block was never left."""
    left_behind = _WATCHED.pop(gone, None)
    if left_behind is not None:
        throw_away(*left_behind)


class Kept(list["Link"]):
    """The idle connections of one role of a database; the one that came back last is the next to be taken."""

    #: whether connections may come back: not once the database has been closed
    is_open = True


class Link:
    """One connection in use: SQLAlchemy's and the driver's own, and one cursor for all statements.

    ``unsure`` is true while a driver call is under way, and stays so after any exception that is not the driver's word
    about the statement: a signal may have come between sending and answer, and the next statement would take that
    answer for its own. An unsure link can only be thrown away.
    """

    __slots__ = (
        "__weakref__",
        "_shared",
        "_watch",
        "alone",
        "begins",
        "cache",
        "carrier",
        "connection",
        "cursor",
        "dialect",
        "ears",
        "engine",
        "errors",
        "fresh_until",
        "home",
        "inherited",
        "pool",
        "raw",
        "role",
        "since",
        "taken",
        "trips",
        "unsure",
    )

    def __init__(
        self, engine: sa.Engine, role: str, cache: Cache, ears: internals.Ears, family: Dialect, shared: bool = False
    ) -> None:
        """Check a connection out of the engine's pool.

        ``dialect`` begins as what the URL tells; whoever makes the link corrects it once the server is known.
        Raises: sqlalchemy.exc.DBAPIError if the server can't be reached.
        """
        self.engine = engine
        #: the engine gets another one when it is disposed of
        self.pool = engine.pool
        #: which of the database's engines that is
        self.role = role
        self.cache = cache
        self.ears = ears
        self.dialect = family
        self._shared = shared
        #: takes several statements to the server in one trip, if this driver and server can; who makes the link knows
        self.carrier: Carrier | None = None
        #: whether each statement is committed by itself, on a connection that else begins transactions
        self.alone = False
        #: whether the driver sends BEGIN, in a trip of its own, before the next statement
        self.begins = False
        #: round trips to the server for the transaction that has it
        self.trips = 0
        self.inherited = False
        self.unsure = False
        #: when it was made, when somebody has last taken it, and until when it needs no other look before that
        self.since = self.taken = time.monotonic()
        self.fresh_until = 0.0
        #: where it lies while it is idle; None if it is not to be kept
        self.home: Kept | None = None
        self.errors: type[Exception] = engine.dialect.loaded_dbapi.Error
        #: None before the connection is taken, and when it is given back or thrown away
        self._watch: weakref.ref[Link] | None = None
        try:
            self.connection = engine.connect()
            raw: Any = self.connection.connection.dbapi_connection
            self.raw = raw
            self.cursor = raw.cursor()
            self._watch = weakref.ref(self, _throw_away_for)
            _WATCHED[self._watch] = self.connection, shared
        except BaseException:
            if hasattr(self, "connection"):
                throw_away(self.connection, shared)
            raise

    @property
    def usable(self) -> bool:
        """Tell whether the connection may serve others when this transaction is over."""
        return not (self.unsure or self.alone or self._watch is None or self.connection.invalidated)

    def note_trip(self) -> None:
        """Count the trip of a statement, and that of the driver's BEGIN if it comes before it."""
        self.trips += 1 + self.begins
        self.begins = False

    def command(self, text: str) -> None:
        """Run a statement that begins or ends a transaction; engine events don't see it."""
        self.unsure = True
        self.note_trip()
        self.cursor.execute(text)
        self.unsure = False

    def ask(self, text: str, params: Mapping[str, Any]) -> Any:
        """Return the first value of a statement's first row; engine events don't see it."""
        self.unsure = True
        self.note_trip()
        self.cursor.execute(text, params)
        value = self.cursor.fetchone()[0]
        self.unsure = False
        return value

    def begin(self, text: str) -> None:
        """Begin a writing transaction; ``text`` is empty where the driver begins with the first statement.

        SQLAlchemy need not know of it, which costs 5 µs, before it has a part in it or somebody listens.
        """
        if text:
            self.command(text)
        self.begins = self.dialect.driver_begins
        if self.ears.hear(self.connection, internals.OF_ALL):
            self.connection.begin()

    def begin_alone(self) -> None:
        """Let the next statement be a transaction of its own; the driver asks no server for that."""
        self.alone = True
        self.dialect.set_autocommit(self.cursor, True)

    def end_alone(self) -> None:
        """Go back to transactions; a connection that can't is of no use any more."""
        try:
            self.dialect.set_autocommit(self.cursor, False)
        except self.errors:
            return
        self.alone = False

    def commit(self) -> None:
        """Commit; what could not be committed is rolled back, for SQLAlchemy takes it for ended and sqlite does not."""
        self.unsure = True
        self.trips += not self.begins  # what the driver has not begun takes none
        self.begins = False
        try:
            if self.connection.in_transaction():
                self.connection.commit()
                if self._shared:
                    self.raw.commit()
            elif self.dialect.commit_writer:
                self.cursor.execute(self.dialect.commit_writer)
            else:
                self.raw.commit()
        except (sa.exc.DBAPIError, self.errors):
            with contextlib.suppress(Exception):
                self.raw.rollback()
            raise
        self.unsure = False

    def rollback(self) -> None:
        """Roll back."""
        self.unsure = True
        # a driver that begins by itself sends nothing if it has not
        self.trips += not self.dialect.driver_begins or self.dialect.in_transaction(self.raw) is not False
        self.begins = False
        if self.connection.get_transaction() is not None:  # it may be one whose COMMIT has failed
            self.connection.rollback()
            if self._shared:
                self.raw.rollback()
        else:
            self.raw.rollback()
        self.unsure = False

    def close(self) -> None:
        """Give the connection back to its pool: its transaction is over; a former pool would not close it."""
        if self.pool is not self.engine.pool:
            self.discard()
            return
        with contextlib.suppress(Exception):
            self.cursor.close()
        if self.dialect.in_transaction(self.raw) is None:
            self.connection.info[_AT_REST] = True
        self.connection.close()
        self._unwatch()

    def discard(self) -> None:
        """Throw the connection away: it is broken, or nobody knows in which state it is.

        A database in memory would go with its connection, which others use too: there it is only rolled back, for
        sqlite owes no answer. A connection of the parent process is left alone.
        """
        if self._watch is not None:
            throw_away(self.connection, self._shared)
            self._unwatch()

    def leave_to_parent(self) -> None:
        """Let go of a connection that belongs to the process which this one was forked from."""
        self.inherited = self.unsure = True
        self._unwatch()
        _INHERITED.append((self.raw, self.cursor))
        with contextlib.suppress(Exception):
            self.dialect.leave_to_parent(self.raw)
        with contextlib.suppress(Exception):
            internals.leave_to_parent(self.connection)

    def _unwatch(self) -> None:
        if self._watch is not None:
            _WATCHED.pop(self._watch, None)
            self._watch = None


def throw_away(connection: sa.Connection, shared: bool) -> None:
    """Close a connection for good; the shared one of a database in memory is only rolled back."""
    with contextlib.suppress(Exception):
        if shared:
            connection.rollback()
            connection.connection.rollback()
        elif not connection.closed and not connection.invalidated:
            connection.invalidate()
    connection.close()


def watch(engine: sa.Engine, family: Dialect) -> None:
    """Let the engine's pool throw away what comes back with its transaction still open.

    Whoever forgets a connection leaves it to garbage collection, which gives it back as it is; the next user would
    commit what it has done. The driver's own state is asked, without a round trip; where the driver does not tell, the
    connection is rolled back.
    """

    def stamp(raw: Any, record: sa.pool.ConnectionPoolEntry) -> None:
        record.info[_PROCESS] = os.getpid()

    def look(raw: Any, record: sa.pool.ConnectionPoolEntry) -> None:
        is_open = None if raw is None else family.in_transaction(raw)
        if is_open is False or raw is None or record.info.get(_PROCESS) != os.getpid():
            return
        if record.info.pop(_AT_REST, False):
            return
        if is_open:
            logger.warning("a connection came back with its transaction open and is thrown away: %r", raw)
            record.invalidate()
        else:
            raw.rollback()

    def release(raw: Any, record: sa.pool.ConnectionPoolEntry, error: BaseException | None) -> None:
        if record.info.get(_PROCESS) == os.getpid():
            with contextlib.suppress(Exception):
                family.let_go(raw)

    sa.event.listen(engine, "connect", stamp)
    sa.event.listen(engine, "invalidate", release)
    sa.event.listen(engine, "checkin", look)


def leave_all_to_parent() -> None:
    """Let go of every connection in a forked child; nothing is sent, not even when the child exits."""
    for one in list(_WATCHED):
        link = one()
        if link is not None:
            link.leave_to_parent()
