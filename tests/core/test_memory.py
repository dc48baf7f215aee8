# SPDX-License-Identifier: Apache-2.0

"""A database in memory: one connection that all transactions of the process share (01-core 4.4, 4.12)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, api, exceptions, get_admin_context, tables, tx
from tests.queries import threads

if TYPE_CHECKING:
    from collections.abc import Iterator

T = tables.certificates
_NAMES = sa.select(T.c.file_name).order_by(T.c.id)
_COUNT = sa.select(sa.func.count().label("n")).select_from(T)


@pytest.fixture
def database() -> Iterator[tx.Database]:
    database = tx.Database("in memory")
    database.configure("sqlite://")
    tables.metadata.create_all(database.engine, [T, tables.cells, tables.services])
    yield database
    database.close()


@pytest.fixture
def one(database: tx.Database) -> RequestContext:
    return _context(database)


@pytest.fixture
def two(database: tx.Database) -> RequestContext:
    return _context(database)


def _context(database: tx.Database) -> RequestContext:
    context = get_admin_context()
    context.db_connection = database
    return context


@tx.writer
def write(context: Any, name: str) -> None:
    tx.current(context).insert(T, {"file_name": name})


@tx.reader
def names(context: Any) -> list[str]:
    return tx.current(context).scalars(_NAMES)


def test_everybody_sees_what_is_committed(one: RequestContext, two: RequestContext) -> None:
    write(one, "a")
    assert names(one) == names(two) == ["a"]
    assert api.service_get_all(two) == []


def test_what_fails_is_undone(one: RequestContext, two: RequestContext) -> None:
    with pytest.raises(ValueError, match="undo"), tx.writer(one):
        write(one, "a")
        raise ValueError("undo")
    assert names(two) == []


def test_readers_in_readers(one: RequestContext, two: RequestContext) -> None:
    write(one, "a")
    with tx.reader(one) as outer, tx.reader(two) as inner:
        assert outer.scalars(_NAMES) == inner.scalars(_NAMES) == ["a"]
    with tx.writer(one), tx.reader(two) as inner:
        write(one, "b")
        assert inner.scalars(_NAMES) == ["a", "b"]


def test_a_writer_in_somebody_elses_reader(one: RequestContext, two: RequestContext) -> None:
    with tx.reader(one) as outer:
        assert outer.scalars(_NAMES) == []
        write(two, "a")
        with tx.writer.independent(one):
            write(one, "b")
    assert names(two) == ["a", "b"]


def test_a_writer_in_somebody_elses_writer_shares_its_fate(one: RequestContext, two: RequestContext) -> None:
    with tx.writer(one):
        write(one, "a")
        write(two, "b")
        with pytest.raises(ValueError, match="inner"), tx.writer.independent(one):
            write(one, "c")
            raise ValueError("inner")
    assert names(one) == ["a", "b"]
    with pytest.raises(ValueError, match="outer"), tx.writer(one):
        write(one, "c")
        write(two, "d")
        raise ValueError("outer")
    assert names(one) == ["a", "b"]


def test_a_reader_keeps_nothing(one: RequestContext) -> None:
    with tx.reader(one) as t:
        t.connection.execute(T.insert(), {"file_name": "never"})
    assert names(one) == []


def test_no_failure_loses_the_database(one: RequestContext, two: RequestContext) -> None:
    write(one, "a")
    with pytest.raises(exceptions.DBError), tx.writer(one) as t:
        t.insert(tables.cells, {"name": "without transport_url"})
    with tx.reader(one) as t:
        t.connection.execute(T.insert(), {"file_name": "never"})
        with pytest.raises(exceptions.DBError, match="within a transaction"):
            write(two, "b")
    assert names(two) == ["a"]


def test_threads_take_turns(database: tx.Database) -> None:
    def work(_: RequestContext) -> int:
        context = _context(database)
        for number in range(20):
            with tx.writer(context) as t:
                before = t.scalar(_COUNT)
                write(context, str(number))
                assert t.scalar(_COUNT) == before + 1
        return len(names(context))

    assert max(threads.at_once([work] * 8)) == 160
