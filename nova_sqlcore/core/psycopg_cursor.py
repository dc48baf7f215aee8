# SPDX-License-Identifier: Apache-2.0

"""A cursor of psycopg 3 that takes fewer steps to run a statement which the session has prepared already.

For each statement psycopg takes its text apart, asks whether it shall be prepared, makes objects that convert values,
and goes through a generator for each of these steps: 32 Python functions around a few calls of its own C code. Of a
statement that is prepared already all that is known. Here its parameters are converted, sent, waited for and read by
the same C code and the same ``Connection.wait``, in 6 functions: 36 µs in place of 43 on the loopback interface.

The objects that convert values are kept from statement to statement. psycopg makes new ones whenever the statement is
another one, because they depend on settings of the session: three statements in turns take 60 µs each there, and 43
here. They are made anew when one of these settings has changed, which the server announces.

Whatever is not the common case, such as the first executions of a statement, a transaction that has yet to begin, a
pipeline, or values that can't be converted, goes psycopg's own way. This module relies on private parts of psycopg 3.3;
with another version psycopg's own cursor serves.
"""

from __future__ import annotations

import operator
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Self

import psycopg
from psycopg import errors, generators, pq
from psycopg._queries import PostgresQuery
from psycopg.adapt import Transformer
from psycopg.rows import tuple_row

from nova_sqlcore.core.dialects.base import PLANNED_ANEW

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from psycopg.pq.abc import PGresult

    #: the name of a prepared statement, and its values and their formats as libpq takes them
    Call = tuple[bytes, Sequence[Any] | None, Sequence[Any] | None]

#: The series of psycopg whose private parts this module knows.
SERIES: Final = "3.3."
#: Texts that are kept taken apart, for all connections; one takes about 3 KB.
MOST_PLANS: Final = 1024
#: The settings that conversion depends on.
_ENCODING, _DATES, _ZONE, _INTERVALS = b"client_encoding", b"DateStyle", b"TimeZone", b"IntervalStyle"
#: Numbers, which compare faster than members of an enumeration.
_IDLE: Final = int(pq.TransactionStatus.IDLE)
_BEGUN: Final = int(pq.TransactionStatus.INTRANS), int(pq.TransactionStatus.INERROR)
_AT_ONCE: Final = _IDLE, *_BEGUN
_ROWS: Final = int(pq.ExecStatus.TUPLES_OK)
_DONE: Final = int(pq.ExecStatus.COMMAND_OK)
#: What comes of statements that are not known, and of parameters that do not fit; not what a signal may raise.
_REFUSALS: Final = (KeyError, TypeError, ValueError, psycopg.Error)


def is_supported() -> bool:
    """Tell whether the installed psycopg is one that this module was tried with."""
    return psycopg.__version__.startswith(SERIES)


def is_plain(connection: Any) -> bool:
    """Tell whether the connection and its cursors are psycopg's own, with rows as tuples."""
    return (
        type(connection) is psycopg.Connection
        and connection.cursor_factory is psycopg.Cursor
        and connection.row_factory is tuple_row
    )


class Plan(NamedTuple):
    """The text of a statement, taken apart."""

    query: bytes
    formats: Any
    #: takes the values out of the parameters, in the order of the text; an error for parameters of another kind
    take: Callable[[Any], Sequence[Any]]


_plans: dict[str, Plan] = {}


def _keep(text: str, params: Any, cursor: psycopg.Cursor[Any]) -> None:
    if text in _plans or cursor._encoding != "utf-8":
        return
    query = PostgresQuery(Transformer(cursor))
    query.convert(text, params)
    take = _nothing if params is None else _taker(query._order or ())
    if len(_plans) >= MOST_PLANS:
        _plans.clear()
    _plans[text] = Plan(query.query, query._want_formats or (), take)


def _taker(names: Sequence[str]) -> Callable[[Any], Sequence[Any]]:
    if len(names) > 1:
        return operator.itemgetter(*names)
    return _none_of if not names else _one_of(*names)


def _one_of(name: str) -> Callable[[Any], Sequence[Any]]:
    return lambda params: (params[name],)


def _none_of(params: Any) -> Sequence[Any]:
    if type(params) is not dict:
        raise TypeError(type(params))
    return ()


def _nothing(params: Any) -> Sequence[Any]:
    if params is not None:
        raise TypeError(type(params))
    return ()


class Packed(NamedTuple):
    """A statement with its values as libpq takes them, as psycopg's ``PostgresQuery`` has them."""

    query: bytes
    params: Sequence[Any] | None
    types: tuple[int, ...]
    formats: Sequence[Any] | None


class FastCursor(psycopg.Cursor[Any]):
    """psycopg's cursor, with a short way for statements that are prepared."""

    __slots__ = ("_converter", "_reader", "_settings")

    def __init__(self, connection: psycopg.Connection[Any]) -> None:
        """Give rows as tuples."""
        super().__init__(connection, row_factory=tuple_row)
        #: convert values, as is right with these settings; the second one those of answers that are not the cursor's
        self._converter: Any = None
        self._reader: Any = None
        self._settings: Any = None

    def execute(
        self, query: Any, params: Any = None, *, prepare: bool | None = None, binary: bool | None = None
    ) -> Self:
        """As psycopg's cursor."""
        plan = _plans.get(query) if type(query) is str and prepare is None and binary is None else None
        call = None if plan is None else self._call(plan, params)
        if call is None:
            is_anew = type(query) is str and PLANNED_ANEW in query
            super().execute(query, params, prepare=False if is_anew else prepare, binary=binary)
            self._learn(query, params)
            return self
        connection, pgconn = self._conn, self._pgconn
        try:
            with connection.lock:
                pgconn.send_query_prepared(*call)
                self._take(connection.wait(generators.execute(pgconn)))
        except BaseException as error:
            self._reset()
            if isinstance(error, errors._NO_TRACEBACK):
                raise error.with_traceback(None)  # noqa: B904  # it is the same error
            raise
        return self

    def _call(self, plan: Plan, params: Any) -> Call | None:
        """Return what is to be sent, or None if that is psycopg's business."""
        connection: Any = self._conn
        prepared, pgconn = connection._prepared, self._pgconn
        if (
            pgconn.transaction_status not in (_AT_ONCE if connection._autocommit else _BEGUN)
            or self._closed
            or self._execmany_returning is not None
            or connection._pipeline
            or prepared._to_flush
            or prepared.prepare_threshold is None
        ):
            return None
        try:
            converter = self._current_converter()
            values = converter.dump_sequence(plan.take(params), plan.formats)
            key = plan.query, converter.types
            name = prepared._names[key]
        except _REFUSALS:  # it is not prepared; or psycopg will meet the same, and say so
            return None
        prepared._names.move_to_end(key)
        return name, values, converter.formats

    def _current_converter(self) -> Any:
        """Return what converts values with the settings that the session has now.

        Raises: ValueError if text is not in UTF-8, in which the plans are. psycopg.Error on a closed line.
        """
        setting = self._pgconn.parameter_status
        settings = setting(_ENCODING), setting(_DATES), setting(_ZONE), setting(_INTERVALS)
        if settings != self._settings:
            if settings[0] != b"UTF8":
                raise ValueError(settings[0])
            self._converter, self._reader, self._settings = Transformer(self), Transformer(self), settings
        return self._converter

    def _take(self, results: list[PGresult]) -> None:
        """Note the result of a statement, as psycopg does."""
        result = results[0] if len(results) == 1 else None
        status = None if result is None else result.status
        if result is None or (status != _ROWS and status != _DONE):
            self._check_results(results)
            self._set_results(results)
            return
        self._tx = self._converter
        self._tx.set_pgresult(result)
        self._last_query = self._query = None  # for the converter is not that of the statement before
        self._results, self.pgresult = results, result
        self._iresult = self._pos = 0
        count = result.ntuples if status == _ROWS else result.command_tuples
        self._rowcount = -1 if count is None else count
        self._statusmessage = result.command_status
        self._make_row = tuple

    def set_autocommit(self, is_on: bool) -> None:
        """Set the connection's ``autocommit``, for which psycopg takes 7 functions; it asks no server either."""
        connection: Any = self._conn
        if self._pgconn.transaction_status == _IDLE and not connection._pipeline:
            connection._autocommit = is_on
        else:
            connection.autocommit = is_on

    def _learn(self, query: Any, params: Any) -> None:
        """Keep the text of a statement that was prepared: of those psycopg keeps no query."""
        if self._query is None and type(query) is str and (params is None or type(params) is dict):
            _keep(query, params, self)

    # -- for statements that travel together --------------------------------------------------------------------------

    def packed(self, text: str, params: Any) -> PostgresQuery | Packed:
        """Return a statement with its values as libpq takes them.

        Raises: psycopg.Error as ``execute``, and others.
        """
        plan = _plans.get(text)
        if plan is not None:
            try:
                converter = self._current_converter()
                values = converter.dump_sequence(plan.take(params), plan.formats)
            except _REFUSALS:  # as above
                pass
            else:
                return Packed(plan.query, values, converter.types, converter.formats)
        query = PostgresQuery(Transformer(self))
        query.convert(text, params)
        if (query.query, query.types) in self._conn._prepared._names:
            _keep(text, params, self)
        return query

    def loaded(self, result: PGresult, count: int) -> list[tuple[Any, ...]]:
        """Return the first rows of a result that is not the cursor's."""
        try:
            self._current_converter()
            reader = self._reader
        except _REFUSALS:  # in another encoding; or the line is closed, which an answer survives
            reader = Transformer(self)
        reader.set_pgresult(result)
        records: list[tuple[Any, ...]] = reader.load_rows(0, count, tuple)
        return records

    # -- results ------------------------------------------------------------------------------------------------------

    def fetchall(self) -> list[Any]:
        """As psycopg's cursor."""
        result = self.pgresult
        if result is None or result.status != _ROWS or self._closed:
            return super().fetchall()
        records: list[Any] = self._tx.load_rows(self._pos, result.ntuples, self._make_row)
        self._pos = result.ntuples
        return records

    def fetchone(self) -> Any:
        """As psycopg's cursor."""
        result = self.pgresult
        if result is None or result.status != _ROWS or self._closed or self._pos >= result.ntuples:
            return super().fetchone()
        record = self._tx.load_row(self._pos, self._make_row)
        self._pos += 1
        return record
