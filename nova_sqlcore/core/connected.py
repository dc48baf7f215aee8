# SPDX-License-Identifier: Apache-2.0

"""A transaction's connection: its own, or that of the transaction which is its host.

Where one connection serves everybody, as to a database in memory, transactions take turns. Once a connection is there,
what its errors mean is decided here, and whether another one may take its place.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from nova_sqlcore import exceptions
from nova_sqlcore.core import types
from nova_sqlcore.core.states import ENDED, FAILED, LOST, NEW, OPEN, SINGLE

if TYPE_CHECKING:
    import threading

    from nova_sqlcore.core.connections import Connections
    from nova_sqlcore.core.dialects import Dialect
    from nova_sqlcore.core.link import Link
    from nova_sqlcore.core.reports import Mode
    from nova_sqlcore.core.states import State

#: Errors with which the server has undone the whole transaction, savepoints and all.
UNDOES_ALL = (exceptions.DBConnectionError, exceptions.DBDeadlock, exceptions.DBTransactionTooLarge)


class Connected:
    """The part of a transaction that takes a connection, keeps it, and gives it back."""

    __slots__ = (
        "_commits",
        "_exposed",
        "_host",
        "_link",
        "_replaced",
        "_trips",
        "_turn",
        "database",
        "engine",
        "mode",
        "name",
        "not_before",
        "outer",
        "state",
        "statements",
        "waited",
    )

    if TYPE_CHECKING:  # what a transaction has
        database: Connections
        mode: Mode
        name: str
        outer: Any  # a Transaction, which this module knows nothing of
        not_before: str | None
        engine: sa.Engine | None
        state: State
        statements: int
        waited: float
        _link: Link | None
        _host: Any
        _turn: threading.RLock | None
        _trips: int
        _replaced: bool
        _exposed: bool
        _commits: bool

        def _ready(self, alone: bool = False) -> Link: ...

    @property
    def dialect(self) -> Dialect:
        """The traits of the server."""
        database = self.database
        return database.known_dialect or database.dialect

    @property
    def begun(self) -> bool:
        """Whether it has a connection: its first statement has been sent, or the caller has taken the connection."""
        return self._link is not None

    @property
    def changed(self) -> bool:
        """Whether it may have changed anything: it has run statements, or the caller has had the connection."""
        return bool(self.statements) or self._exposed

    @property
    def round_trips(self) -> int:
        """How often it has waited for the server's answer, those of its beginning and its end included."""
        if not self.database.family.is_server:
            return 0
        return self._trips + (0 if self._link is None else self._link.trips)

    @property
    def _savepoint_name(self) -> str:
        return f"nova_{id(self):x}"

    def _move(self, state: State) -> None:
        assert state is self.state or state in self.state.following, f"{self.name} {self.state.value}"
        self.state = state

    def _take_turn(self) -> None:
        lock = self.database.shared_lock
        if lock is not None and self._turn is None:
            began = time.perf_counter()
            lock.acquire()
            self.waited += time.perf_counter() - began
            self._turn = lock

    def _pass_turn(self) -> None:
        turn, self._turn = self._turn, None
        if turn is not None:
            if self.database.shared_owner is self:
                self.database.shared_owner = None
            turn.release()

    def _find_host(self) -> Any:
        """Return the transaction whose connection is shared: sqlite has one writer, and in memory one connection."""
        owner = self.database.shared_owner
        if owner is not None and owner._link is not None:
            return owner
        outer = self.outer
        if outer is None or self.mode != "writer" or outer.mode != "writer" or outer._link is None:
            return None
        return outer if self.database.family.single_writer else None

    def _connect(self) -> Link:
        if self._host is not None:
            link: Link = self._host._ready()
            return link
        began = time.perf_counter()
        try:
            if self.mode == "writer":
                return self.database.link_writer()
            return self.database.link_reader(self.mode == "async", self.not_before)
        finally:
            self.waited += time.perf_counter() - began

    def _let_go(self, link: Link | None) -> None:
        """Be as if nothing had begun; the trips on the connection stay counted."""
        if self._link is not None and self._host is None:
            self._trips += self._link.trips
        self._link = None
        self._move(NEW)
        if link is not None and self._host is None:
            link.discard()
        self._pass_turn()

    def _end(self, clean: bool) -> None:
        """Give the connection back, or throw it away if it is of no use to others.

        It is ``clean`` if the transaction has been ended on the server, or never begun.
        """
        link, self._link = self._link, None
        try:
            self.state = ENDED  # which may follow any other
            if link is None:
                return
            if not clean:
                link.unsure = True
            if self._host is None:
                self._trips += link.trips
                link.trips = 0
                self.database.take_back(link)
        finally:
            if self._turn is not None:
                self._pass_turn()

    def _give_up(self, link: Link) -> None:
        """Note that the connection is of no use any more; a reader without a snapshot takes another one."""
        if self.state is SINGLE and self._host is None and not link.inherited:
            self._let_go(link)
        else:
            self._move(LOST)

    def _may_replace(self, failure: BaseException) -> bool:
        """Tell whether a connection was dead before its first statement, so that a new one will do."""
        is_fresh = not self.changed and not self._replaced and self._host is None
        is_known = not isinstance(failure, exceptions.DBCommitUncertain)
        return isinstance(failure, exceptions.DBConnectionError) and is_known and is_fresh

    def _replace(self, link: Link) -> None:
        """Give up a connection that was dead before its first statement; the next one is made new."""
        self._replaced = True
        self._let_go(link)

    def _failure(self, link: Link, error: Exception, *, at_commit: bool = False) -> Exception:
        """Return the library's error for a driver's and note what it means; other errors come back as they are.

        It came ``at_commit`` if every statement has been answered, and COMMIT not.
        """
        origin: BaseException = error
        if isinstance(error, sa.exc.StatementError) and error.orig is not None:
            origin = error.orig
        if isinstance(origin, types.UnstorableValue | OverflowError | UnicodeEncodeError):
            link.unsure = False  # parameters are converted before anything is sent
            return exceptions.DBDataError(origin)
        if not isinstance(origin, link.errors):
            if isinstance(error, sa.exc.SQLAlchemyError):
                link.unsure = False  # nor has SQLAlchemy sent anything that it refuses
            if isinstance(origin, UnicodeDecodeError):
                return exceptions.DBDataError(origin)
            return error if isinstance(origin, sa.exc.SQLAlchemyError) or not isinstance(origin, Exception) else origin
        link.unsure = False
        failure = self.dialect.translate(origin, link.engine.url)
        if self.state is OPEN:
            self._move(FAILED)
        if self.state is FAILED and isinstance(failure, UNDOES_ALL):
            self._move(LOST)
        if isinstance(failure, exceptions.DBConnectionError):
            self.database.lost(link)
        if type(failure) is exceptions.DBConnectionError and self._leaves_open(origin, at_commit):
            return exceptions.DBCommitUncertain(origin)
        return failure

    def _leaves_open(self, error: BaseException, at_commit: bool) -> bool:
        """Tell whether nobody knows if COMMIT was carried out: the connection is lost, with this error of the driver.

        An answer to a statement says that the COMMIT behind it has not begun. To COMMIT itself a session that is being
        ended may answer with an error although it has committed; only a refusal says that it has not.
        """
        if at_commit:
            return not self.dialect.refuses_commit(error)
        return self._commits and not self.dialect.is_answer(error)
