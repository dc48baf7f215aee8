# SPDX-License-Identifier: Apache-2.0

"""What the library takes from SQLAlchemy that is not its public interface, and why there is no other way.

A test names the versions of SQLAlchemy that these were tried with.
"""

from __future__ import annotations

import logging
import weakref
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Callable

#: Versions that the whole suite has passed with.
TRIED: Final = ("2.1.9",)

#: The events at which SQLAlchemy shows a statement or its failure; those of transactions need no road of their own.
OF_STATEMENTS: Final = ("before_execute", "after_execute", "before_cursor_execute", "after_cursor_execute")
#: Those, and the events of a transaction.
OF_ALL: Final = (
    *OF_STATEMENTS,
    *("begin", "commit", "rollback", "savepoint", "release_savepoint", "rollback_savepoint"),
)
_OF_DIALECTS: Final = ("do_execute", "do_execute_no_params", "do_executemany", "do_setinputsizes", "handle_error")


class Ears:
    """Who listens to the engines of one server, to one of their connections, or to all engines there are.

    ``_has_events`` is the mark of SQLAlchemy's own hot path: it is set when somebody begins to listen, and costs 30 ns
    to look at. Nothing takes it back, so once it is set the lists of listeners are asked (1 µs).
    """

    __slots__ = ("_engines", "_marked")

    def __init__(self) -> None:
        """Start without an engine."""
        self._engines: list[Any] = []
        self._marked: list[Any] = []

    def add(self, engine: sa.Engine) -> None:
        """Let an engine without connections share the listeners of those before it.

        What it shares are the dispatchers, as the engines do that SQLAlchemy itself derives from others.
        """
        for first in self._engines[:1]:
            engine.dispatch = first.dispatch
            engine.dialect.dispatch = first.dialect.dispatch
        self._engines.append(engine)
        self._marked += [engine, engine.dialect]

    def hear(self, connection: sa.Connection, events: tuple[str, ...] = OF_STATEMENTS) -> bool:
        """Tell whether what happens has to go through SQLAlchemy, for somebody listens or it shall be logged."""
        if connection._echo:
            return True
        if not connection._has_events:
            for one in self._marked:
                if one._has_events:
                    break
            else:
                return False
        return self._ask(connection, events)

    def _ask(self, connection: sa.Connection, events: tuple[str, ...]) -> bool:
        dispatch, of_dialect = connection.dispatch, connection.dialect.dispatch
        heard = any(getattr(dispatch, name) for name in events)
        heard = heard or any(getattr(of_dialect, name) for name in _OF_DIALECTS)
        if heard:  # without the mark SQLAlchemy calls nobody, and perhaps only another engine bears it
            for one in self._marked:
                one._has_events = True
        return heard


def heed_log_level(connection: sa.Connection) -> None:
    """Let a connection that is used again log as the level of the logger says now, as a new one would."""
    connection._echo = connection.engine.logger.isEnabledFor(logging.INFO)


def leave_to_parent(connection: sa.Connection) -> None:
    """Take the driver's connection from a connection that a forked child has inherited; nothing is sent."""
    pooled: Any = connection._dbapi_connection
    if pooled is not None and pooled._connection_record is not None:
        pooled._connection_record.dbapi_connection = None
        pooled.dbapi_connection = None


class CountingPool(sa.QueuePool):
    """A pool that a signal in the midst of its own work costs no place for ever.

    SQLAlchemy counts connections up and down; one that is lost in between is closed, but its place stays taken. Before
    a call has to wait, the pool counts the connections that there really are, and asks for those that are idle; as long
    as it waits, nobody keeps one at hand.
    """

    #: lets go of idle connections that the library keeps at hand
    let_go_of_kept: Callable[[], None] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """As ``QueuePool``."""
        super().__init__(*args, **kwargs)
        self._records: weakref.WeakSet[Any] = weakref.WeakSet()
        self._in_the_making = 0
        #: calls that wait for a connection
        self.waiting = 0

    def recreate(self) -> CountingPool:
        """As ``QueuePool``; that is what disposing of an engine does."""
        pool: Any = super().recreate()
        pool.let_go_of_kept = self.let_go_of_kept
        new: CountingPool = pool
        return new

    def _create_connection(self) -> sa.pool.ConnectionPoolEntry:
        self._in_the_making += 1
        try:
            record = super()._create_connection()
            self._records.add(record)
            return record
        finally:
            self._in_the_making -= 1

    def _do_get(self) -> sa.pool.ConnectionPoolEntry:
        if not -1 < self._max_overflow <= self._overflow or self.checkedin():
            return super()._do_get()
        self._count_waiting(1)
        try:
            if self.let_go_of_kept is not None:
                self.let_go_of_kept()
            with self._overflow_lock:
                there_are = len(self._records) + self._in_the_making - self.size()
                self._overflow = min(self._overflow, there_are)
            return super()._do_get()
        finally:
            self._count_waiting(-1)

    def _count_waiting(self, number: int) -> None:
        with self._overflow_lock:
            self.waiting += number
