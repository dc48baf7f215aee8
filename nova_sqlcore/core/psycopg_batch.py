# SPDX-License-Identifier: Apache-2.0

"""Several statements in one trip on psycopg 3: libpq's pipeline mode, with one Sync at the end.

The server runs them in order and skips, after the first that fails, all up to the Sync, COMMIT included. BEGIN goes
first where the connection is in no transaction yet.

psycopg has a pipeline of its own, which writes to the socket and looks for answers at each statement: on the loopback
interface two batches of two statements take 1.5 times as long with it as one by one. Here everything is written at
once, and read at once. Statements are prepared as psycopg does it, and known to it as such.

This module relies on private parts of psycopg 3.3; with another version, or with a libpq older than 14, statements
travel one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import psycopg
from psycopg import generators, pq
from psycopg._preparing import Prepare
from psycopg._queries import PostgresQuery
from psycopg.adapt import Transformer
from psycopg.errors import error_from_result

from nova_sqlcore.core.dialects.base import PLANNED_ANEW, SETTINGS
from nova_sqlcore.core.psycopg_cursor import FastCursor, Packed

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from psycopg.pq.abc import PGresult

#: The series of psycopg whose private parts this module knows.
SERIES: Final = "3.3."
#: Bytes of a batch.
_MOST: Final = 1024**2
_SUCCESS: Final = frozenset({pq.ExecStatus.COMMAND_OK, pq.ExecStatus.TUPLES_OK, pq.ExecStatus.EMPTY_QUERY})
_IDLE: Final = pq.TransactionStatus.IDLE
_PLANNED_ANEW: Final = PLANNED_ANEW.encode()


class Answer:
    """The result of one statement of a batch, in the form of a cursor; psycopg knows no ``lastrowid``."""

    __slots__ = ("_cursor", "_result")

    def __init__(self, cursor: Any, result: PGresult) -> None:
        """Take libpq's result, and the cursor that knows how values are converted."""
        self._cursor = cursor
        self._result = result

    @property
    def rowcount(self) -> int:
        """How many rows there are, or how many the statement has changed."""
        result = self._result
        count = result.ntuples if result.status == pq.ExecStatus.TUPLES_OK else result.command_tuples
        return -1 if count is None else count

    @property
    def description(self) -> list[tuple[str, int]]:
        """The name of each column and the number of its type."""
        result = self._result
        return [((result.fname(place) or b"").decode(), result.ftype(place)) for place in range(result.nfields)]

    def fetchall(self) -> list[tuple[Any, ...]]:
        """Return all rows."""
        return self._rows(self._result.ntuples)

    def fetchone(self) -> tuple[Any, ...] | None:
        """Return the first row, or None."""
        return next(iter(self._rows(min(1, self._result.ntuples))), None)

    def _rows(self, count: int) -> list[tuple[Any, ...]]:
        if isinstance(self._cursor, FastCursor):
            return self._cursor.loaded(self._result, count)
        transformer = Transformer(self._cursor)
        transformer.set_pgresult(self._result)
        return transformer.load_rows(0, count, tuple)


class PipelineCarrier:
    """Takes statements to the server in a pipeline."""

    def pack(self, link: Any, text: str, bound: Any) -> tuple[PostgresQuery | Packed, int]:
        """Return the statement with its values as libpq takes them."""
        query = link.cursor.packed(text, bound) if isinstance(link.cursor, FastCursor) else None
        if query is None:
            query = PostgresQuery(Transformer(link.cursor))
            query.convert(text, bound)
        return query, len(query.query) + sum(map(len, filter(None, query.params or ())))

    def limit(self, link: Any) -> int:
        """Return a number that is the same for every server: none has a limit."""
        return _MOST

    def carry(self, link: Any, packed: Sequence[PostgresQuery | Packed], commit: bool, answers: list[Any]) -> None:
        """Send the statements and read their results.

        Raises: the error of the first statement that fails, when all that was sent has been answered.
        """
        connection: Any = link.raw
        connection._check_connection_ok()
        if connection._prepared._to_flush:
            connection.wait(connection._prepared.maintain_gen(connection))
        exchange = _Exchange(link.cursor, answers)
        connection.pgconn.enter_pipeline_mode()
        if not connection.autocommit and connection.pgconn.transaction_status == _IDLE:
            exchange.send_command(connection._get_tx_start_command())
            if (settings := getattr(connection, SETTINGS, None)) is not None:
                exchange.send_command(settings)
        for query in packed:
            exchange.send(query)
        if commit:
            exchange.send_command(b"COMMIT")
        connection.wait(exchange.come_back())
        if exchange.failure is not None and not (commit and exchange.is_complete):
            raise exchange.failure


class _Exchange:
    """What is sent in one pipeline, and what comes back."""

    def __init__(self, cursor: Any, answers: list[Any]) -> None:
        self._cursor = cursor
        self._pgconn: Any = cursor.connection.pgconn
        self._prepared: Any = cursor.connection._prepared
        self._answers = answers
        #: for each result that comes: whether it is an answer, and the statement if psycopg has to know how it ended
        self._awaited: list[tuple[bool, tuple[Any, Prepare, bytes] | None]] = []
        self.failure: Exception | None = None
        self.is_complete = False

    def send_command(self, text: bytes) -> None:
        """Send what begins or ends the transaction."""
        self._pgconn.send_query_params(text, None)
        self._awaited.append((False, None))

    def send(self, query: PostgresQuery | Packed) -> None:
        """Send a statement; what comes often is prepared."""
        key = query.query, query.types
        form = {"param_formats": query.formats, "result_format": self._cursor.format}
        if key in self._prepared._names and self._prepared.prepare_threshold is not None:  # most: in fewer steps
            self._pgconn.send_query_prepared(self._prepared._names[key], query.params, **form)
            self._prepared._names.move_to_end(key)
            self._awaited.append((True, None))
            return
        prepare, name = self._prepared.get(query, False if _PLANNED_ANEW in query.query else None)
        if prepare is Prepare.SHOULD:
            self._pgconn.send_prepare(name, query.query, param_types=query.types)
            self._awaited.append((False, (key, prepare, name)))
        is_new = self._prepared.maybe_add_to_cache(query, prepare, name) is not None
        if prepare is Prepare.NO:
            self._pgconn.send_query_params(query.query, query.params, param_types=query.types, **form)
        else:
            self._pgconn.send_query_prepared(name, query.params, **form)
        self._awaited.append((True, (key, prepare, name) if is_new else None))

    def come_back(self) -> Generator[Any, Any, None]:
        """Read all results; the connection is out of the pipeline then, unless it is broken."""
        self._pgconn.pipeline_sync()
        try:
            yield from generators.send(self._pgconn)
            for is_answer, noted in self._awaited:
                results = yield from generators.fetch_many(self._pgconn)
                self._take(results, is_answer, noted)
            self.is_complete = self.failure is None
            (end,) = yield from generators.fetch_many(self._pgconn)
            if end.status != pq.ExecStatus.PIPELINE_SYNC:
                raise error_from_result(end)
        except psycopg.Error as error:  # the line is broken; what the server has said before tells more
            self.failure = self.failure or error
            return
        self._pgconn.exit_pipeline_mode()

    def _take(self, results: list[PGresult], is_answer: bool, noted: tuple[Any, Prepare, bytes] | None) -> None:
        if noted is not None and (is_answer or results[-1].status not in _SUCCESS):
            self._prepared.validate(*noted, results)
        result = results[-1]
        if self.failure is not None:
            return
        if result.status not in _SUCCESS:
            self.failure = error_from_result(result)
        elif is_answer:
            self._answers.append(Answer(self._cursor, result))


def is_supported() -> bool:
    """Tell whether this psycopg is one that the module was tried with, and its libpq has pipelines."""
    return psycopg.__version__.startswith(SERIES) and psycopg.capabilities.has_pipeline()


CARRIER: Final = PipelineCarrier()
