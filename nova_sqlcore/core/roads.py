# SPDX-License-Identifier: Apache-2.0

"""The two roads of a statement: compiled text on the driver's cursor, or SQLAlchemy's ``Connection.execute``.

Both give the same rows, counts, ids and errors. The driver's road is the one that users take; the other one serves
whoever listens to engine events or logs statements. A road marks its link as unsure for as long as the driver is at
work, so that an exception out of the midst of it, a signal's for example, leaves the mark behind.
"""

from __future__ import annotations

import abc
import functools
import operator
import os
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa

from nova_sqlcore.core import dialects, values
from nova_sqlcore.core.statements import parts_of, row_maker

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nova_sqlcore.core.carriers import Carrier
    from nova_sqlcore.core.handles import Row
    from nova_sqlcore.core.link import Link

Params = dict[str, Any]


class Road(abc.ABC):
    """How statements run on a link."""

    @abc.abstractmethod
    def fetch(self, link: Link, statement: Any, params: Params) -> list[Row]:
        """Return the rows of a statement as dicts."""

    @abc.abstractmethod
    def change(self, link: Link, statement: Any, params: Params) -> int:
        """Run a statement and return how many rows it matched."""

    @abc.abstractmethod
    def change_many(self, link: Link, statement: Any, rows: Sequence[Mapping[str, Any]]) -> Any:
        """Run a statement once for each of the rows, and return what has the ``lastrowid`` of them."""

    @abc.abstractmethod
    def insert(self, link: Link, statement: sa.Insert, row: Row) -> Any:
        """Run an INSERT; return the new id (no matter what if the table has none), or None if nothing was inserted."""

    def command(self, link: Link, text: str, _: None) -> None:
        """Run a statement that sets or ends a savepoint."""
        link.command(text)

    def insert_many(self, link: Link, table: sa.Table, rows: list[Row]) -> list[Any]:
        """Insert ``rows`` and return their ids in order, None where the table has none.

        SQLAlchemy's RETURNING helper pairs ids with rows on MariaDB and PostgreSQL. On sqlite it would insert row by
        row, but there later rows of one INSERT have greater ids. MySQL gives the rows of one INSERT ids at a constant
        distance and tells the first; its drivers make several INSERTs of rows that are long, and tell the last one's
        first.
        """
        if "id" not in table.c or "id" in rows[0]:
            self.change_many(link, values.insert_statement(table, with_id="id" in rows[0], returning=False), rows)
            return [row.get("id") for row in rows]
        if link.engine.dialect.insert_executemany_returning_sort_by_parameter_order:
            statement = values.insert_many_statement(table, in_order=not link.dialect.ids_ascend)
            link.unsure = True
            identities = [record[0] for record in link.connection.execute(statement, rows)]
            link.unsure = False
            return sorted(identities) if link.dialect.ids_ascend else identities
        statement = values.insert_statement(table, with_id=False, returning=False)
        step = self.id_step(link) if len(rows) > 1 else 1
        found: list[int] = []
        for part in values.parts(rows, link.cursor.max_stmt_length):
            first = int(self.change_many(link, statement, part).lastrowid)
            found += range(first, first + step * len(part), step)
        return found

    def id_step(self, link: Link) -> int:
        """Return the distance of the ids that MySQL gives to the rows of one INSERT."""
        known: int | None = link.connection.info.get(dialects.ID_STEP)
        return known or int(self.ask(link, "SELECT @@auto_increment_increment"))

    @abc.abstractmethod
    def ask(self, link: Link, text: str) -> Any:
        """Return the one value that a statement gives."""


class Step(NamedTuple):
    """A statement as the driver takes it, and what makes its result of the cursor that has run it."""

    text: str
    bound: Any
    read: Callable[[Any], Any]


class DriverRoad(Road):
    """Text and parameters, as SQLAlchemy has compiled them once, on the driver's cursor."""

    def fetch(self, link: Link, statement: Any, params: Params) -> list[Row]:
        """As ``Road.fetch``."""
        prepared = link.cache[statement]
        text, bound = prepared.expand(params) if prepared.expands else (prepared.text, prepared.bind(params))
        cursor = link.cursor
        link.unsure = True
        cursor.execute(text, bound)
        records = cursor.fetchall()
        link.unsure = False
        make = prepared.make or prepared.learn(cursor)
        return make(records)

    def change(self, link: Link, statement: Any, params: Params) -> int:
        """As ``Road.change``."""
        prepared = link.cache[statement]
        text, bound = prepared.expand(params) if prepared.expands else (prepared.text, prepared.bind(params))
        link.unsure = True
        link.cursor.execute(text, bound)
        link.unsure = False
        return int(link.cursor.rowcount)

    def change_many(self, link: Link, statement: Any, rows: Sequence[Mapping[str, Any]]) -> Any:
        """As ``Road.change_many``."""
        prepared = link.cache[statement]
        bound = [prepared.bind(row) for row in rows]
        link.unsure = True
        link.cursor.executemany(prepared.text, bound)
        link.unsure = False
        _note_rows(link, prepared, rows)
        return link.cursor

    def insert(self, link: Link, statement: sa.Insert, row: Row) -> Any:
        """As ``Road.insert``."""
        prepared = link.cache[statement]
        cursor: Any = link.cursor
        bound = prepared.bind_row(row)
        link.unsure = True
        cursor.execute(prepared.text, bound)
        identity = _identity(prepared, statement, cursor)
        link.unsure = False
        return identity

    def insert_many(self, link: Link, table: sa.Table, rows: list[Row]) -> list[Any]:
        """As ``Road.insert_many``, in one statement."""
        step = self._step_to_insert_many(link, table, rows)
        link.unsure = True
        link.cursor.execute(step.text, step.bound)
        identities: list[Any] = step.read(link.cursor)
        link.unsure = False
        return identities

    def ask(self, link: Link, text: str) -> Any:
        """As ``Road.ask``."""
        link.unsure = True
        link.note_trip()
        link.cursor.execute(text)
        record: Any = link.cursor.fetchone()
        link.unsure = False
        return record[0]

    def step(self, link: Link, operation: str, statement: Any, params: Any) -> Step:
        """Return what one of the operations sends, for statements that travel together.

        Raises: as the operation, for parameters that it can't take.
        """
        if operation == "command":
            return Step(statement, None, lambda answer: None)
        if operation == "insert_many":
            return self._step_to_insert_many(link, statement, params)
        prepared = link.cache[statement]
        if operation == "change_many":
            return Step(*prepared.written_for_all(params), lambda answer: None)
        if operation == "insert":
            read = functools.partial(_identity, prepared, statement)
            return Step(prepared.text, prepared.bind_row(params), read)
        text, bound = prepared.written(params)
        if operation == "fetch":
            return Step(text, bound, lambda answer: (prepared.make or prepared.learn(answer))(answer.fetchall()))
        return Step(text, bound, lambda answer: int(answer.rowcount))

    def _step_to_insert_many(self, link: Link, table: sa.Table, rows: Sequence[Row]) -> Step:
        """Return the INSERT of all rows.

        Where RETURNING gives the ids, those of one INSERT ascend in the order of its rows.
        """
        known = not values.has_id(table) or "id" in rows[0]
        returning = not known and link.engine.dialect.insert_executemany_returning
        statement = values.insert_statement(table, with_id="id" in rows[0], returning=returning)
        prepared = link.cache[statement]
        text, bound = prepared.written_for_all(rows, are_stored=True)
        if known:
            return Step(text, bound, lambda answer: [row.get("id") for row in rows])
        if returning:
            return Step(text, bound, lambda answer: sorted(map(operator.itemgetter(0), answer.fetchall())))
        step = self.id_step(link) if len(rows) > 1 else 1
        return Step(text, bound, lambda answer: [answer.lastrowid + step * place for place in range(len(rows))])


class CoreRoad(Road):
    """``Connection.execute``, with all that SQLAlchemy does there."""

    def ask(self, link: Link, text: str) -> Any:
        """As ``Road.ask``."""
        link.unsure = True
        link.note_trip()
        found = link.connection.exec_driver_sql(text).scalar_one()
        link.unsure = False
        return found

    def fetch(self, link: Link, statement: Any, params: Params) -> list[Row]:
        """As ``Road.fetch``."""
        given = link.cache[statement].guarded(params)
        link.unsure = True
        result = link.connection.execute(statement, given)
        make = row_maker(tuple(result.keys()), (), parts_of(statement))
        rows: list[Row] = make(result.all())
        link.unsure = False
        return rows

    def change(self, link: Link, statement: Any, params: Params) -> int:
        """As ``Road.change``; where the server gives the id by RETURNING, the count of an INSERT would be lost."""
        given = link.cache[statement].guarded(params)
        link.unsure = True
        result = link.connection.execute(statement, given, execution_options={"preserve_rowcount": True})
        link.unsure = False
        return int(result.rowcount)

    def change_many(self, link: Link, statement: Any, rows: Sequence[Mapping[str, Any]]) -> Any:
        """As ``Road.change_many``."""
        prepared = link.cache[statement]
        given = [prepared.guarded(row) for row in rows]
        link.unsure = True
        result = link.connection.execute(statement, given)
        link.unsure = False
        _note_rows(link, prepared, rows)
        return result

    def insert(self, link: Link, statement: sa.Insert, row: Row) -> Any:
        """As ``Road.insert``."""
        given = link.cache[statement].guarded(row)
        link.unsure = True
        result = link.connection.execute(statement, given)
        identity = result.scalar() if result.returns_rows else None
        link.unsure = False
        if result.returns_rows or not result.rowcount:
            return identity
        return result.lastrowid if "id" in statement.table.c else 0


def _note_rows(link: Link, prepared: Any, rows: Sequence[Mapping[str, Any]]) -> None:
    """Count the trips of all rows but the first, where the driver sends one row after the other."""
    if not (link.dialect.rows_travel_together or prepared.takes_rows):
        link.trips += len(rows) - 1


def _identity(prepared: Any, statement: sa.Insert, answer: Any) -> Any:
    """Return the id that an INSERT has given, or None if nothing was inserted; psycopg knows no ``lastrowid``."""
    if prepared.returns:
        record = answer.fetchone()
        return None if record is None else record[0]
    if not answer.rowcount:
        return None
    return answer.lastrowid if values.has_id(statement.table) else 0


DRIVER, CORE = DriverRoad(), CoreRoad()
#: The road while nobody listens; the tests let it be SQLAlchemy's.
USUAL: Road = CORE if os.environ.get("NOVA_SQLCORE_ROAD") == "core" else DRIVER


def road_of(link: Link) -> Road:
    """Return the road for the next statement on ``link``."""
    return CORE if link.ears.hear(link.connection) else USUAL


def carrier_of(link: Link) -> Carrier | None:
    """Return what takes the next statements on ``link`` to the server together; None if each goes by itself."""
    return None if link.carrier is None or road_of(link) is CORE else link.carrier


def step(link: Link, operation: str, statement: Any, params: Any) -> Step:
    """Return what an operation of the driver's road sends."""
    return DRIVER.step(link, operation, statement, params)


def is_direct(link: Link) -> bool:
    """Tell whether the next statement on ``link`` goes to the driver without SQLAlchemy."""
    return road_of(link) is DRIVER


def text_of(link: Link, statement: Any) -> str:
    """Return the text of a statement as it goes to the driver; a table stands for the INSERT of its rows."""
    if isinstance(statement, str):
        return statement
    if isinstance(statement, sa.Table):
        statement = values.insert_statement(statement, with_id=False, returning=False)
    text: str = link.cache[statement].text
    return text
