# SPDX-License-Identifier: Apache-2.0

"""Statements that travel together to PostgreSQL: what psycopg knows of a connection agrees with what it is."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import sqlalchemy as sa

from nova_sqlcore import exceptions, get_admin_context, tables, tx
from nova_sqlcore.core import psycopg_batch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugins.backend import Backend
    from tests.plugins.wire import Trips

pytestmark = [
    pytest.mark.only_on("postgresql", why="other servers have no pipelines"),
    pytest.mark.usefixtures("together"),
]

C = get_admin_context()
T = tables.certificates
_ALL = sa.select(T.c.id, T.c.file_name).order_by(T.c.id)
_DELETE = sa.delete(T)
_SLEEP = sa.text("SELECT pg_sleep(5)")


def names() -> list[str]:
    with tx.reader(C) as t:
        return [row["file_name"] for row in t.rows(_ALL)]


def prepared(raw: Any) -> tuple[set[bytes], set[bytes]]:
    """Return the names of the prepared statements that psycopg knows, and of those that the session has."""
    raw.autocommit = True
    found = raw.execute("SELECT name FROM pg_prepared_statements", prepare=False).fetchall()
    raw.autocommit = False
    return {*raw._prepared._names.values()}, {name.encode() for (name,) in found}


def raw_connection() -> Any:
    """Return the connection that the next writer takes."""
    link = tx.main.link_writer()
    tx.main.take_back(link)
    return link.raw


@pytest.fixture
def options(backend: Backend) -> Iterator[Any]:
    """Return a function that configures the database with other options."""

    def configure(**more: Any) -> None:
        tx.close()
        tx.configure(backend.url, batch=True, **more)

    yield configure
    tx.close()


def store(*many: str) -> None:
    with tx.writer(C) as t:
        for name in many:
            t.later.insert(T, {"file_name": name})
        t.last().rows(_ALL)


@pytest.mark.parametrize("times", range(5))
@pytest.mark.parametrize("fails_first", [True, False])
def test_prepared_statements_after_a_failure(backend: Backend, times: int, fails_first: bool) -> None:
    """It fails at the execution before which a statement is prepared, and at those around it."""
    store(*["a"] * times)
    with tx.reader(C) as t:
        taken = {"file_name": "b", "id": t.rows(_ALL)[0]["id"]} if times else {"file_name": "x" * 256}
    for _ in range(2):
        with pytest.raises((exceptions.DBDuplicateEntry, exceptions.DBDataError)), tx.writer(C) as t:
            if fails_first:
                t.later.execute(sa.insert(T).values(**taken))
            t.later.insert(T, {"file_name": "c"})
            t.later.rows(_ALL)
            t.later.insert(T, taken)
            t.last().execute(_DELETE)
        known, there = prepared(raw_connection())
        assert known <= there
    for _ in range(3):
        store("d")
    assert names() == ["a"] * times + ["d"] * 3
    known, there = prepared(raw_connection())
    assert known == there
    assert known


def test_statements_that_go_out_of_use(backend: Backend) -> None:
    raw = raw_connection()
    raw.prepared_max = 3
    statements = [sa.select(column) for column in T.c]
    seen: set[bytes] = set()
    for statement in itertools.chain.from_iterable([one] * 4 for one in statements):  # the third is prepared
        with tx.writer(C) as t:
            t.later.rows(statement)
            t.last().rows(_ALL)
        seen |= {*raw._prepared._names.values()}
    assert raw_connection() is raw
    known, there = prepared(raw)
    assert known <= there
    assert len(known) <= 4 < len(seen)
    assert len(there) <= 5, "the server keeps what has gone out of use"


def test_nothing_is_prepared_if_nothing_shall(backend: Backend, options: Any) -> None:
    options(prepare_threshold=None)
    for _ in range(5):
        store("a", "b")
    assert names() == ["a", "b"] * 5
    assert prepared(raw_connection()) == (set(), set())


def test_more_than_any_buffer_goes_both_ways(backend: Backend) -> None:
    """Whoever only writes would wait for a server that waits to be read."""
    many = [{"file_name": "x" * 255, "project_id": "y" * 255} for _ in range(200)]
    with tx.writer(C) as t:
        for _ in range(10):
            t.later.insert_many(T, many)
            t.later.rows(_ALL)
        found = [t.later.rows(_ALL) for _ in range(5)]
        assert len(t.last().rows(_ALL)) == 2000
        assert {len(one.get()) for one in found} == {2000}


def test_a_statement_that_runs_too_long_ends_them_all(backend: Backend, options: Any) -> None:
    options(statement_timeout=0.2)
    with pytest.raises(exceptions.DBTimeout), tx.writer(C) as t:
        t.later.insert(T, {"file_name": "a"})
        t.later.rows(_SLEEP)
        t.last().insert(T, {"file_name": "b"})
    assert names() == []


def test_an_answer_that_does_not_come_leaves_it_open(backend: Backend, options: Any) -> None:
    """The server has all of it, COMMIT too, and goes on."""
    options(read_timeout=0.2)
    names()
    with pytest.raises(exceptions.DBCommitUncertain), tx.writer(C) as t:
        t.later.rows(sa.text("SELECT pg_sleep(0.5)"))
        t.last().insert(T, {"file_name": "a"})
    raw = raw_connection()
    assert raw.pgconn.pipeline_status == psycopg.pq.PipelineStatus.OFF
    deadline = time.monotonic() + 10
    while not names() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert names() == ["a"]


def test_a_failing_commit_is_its_own_error(backend: Backend) -> None:
    engine = sa.create_engine(backend.url)
    with engine.begin() as connection:
        connection.exec_driver_sql("ALTER TABLE certificates ADD CONSTRAINT uniq_late UNIQUE (file_name) DEFERRABLE")
    runs = []

    @tx.writer
    def work(context: Any) -> None:
        t = tx.current(context)
        runs.append(1)
        t.execute(sa.text("SET CONSTRAINTS ALL DEFERRED"))
        t.later.insert(T, {"file_name": "a"})
        t.last().insert(T, {"file_name": "a"})

    try:
        with pytest.raises(exceptions.DBDuplicateEntry):
            work(C)
        assert (len(runs), names()) == (1, [])
        store("b")
    finally:
        with engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE certificates DROP CONSTRAINT uniq_late")
        engine.dispose()


def test_a_schema_that_changes_beneath_prepared_statements(backend: Backend) -> None:
    """The server refuses the plan of before; on a new connection the call goes through."""
    statement = sa.text("SELECT * FROM dns_domains")
    engine = sa.create_engine(backend.url)

    def read() -> None:
        with tx.writer(C) as t:
            t.later.rows(statement)
            t.last().rows(_ALL)

    try:
        for _ in range(5):
            read()
        with engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE dns_domains ADD COLUMN more integer")
        read()
    finally:
        with engine.begin() as connection:
            connection.exec_driver_sql("ALTER TABLE dns_domains DROP COLUMN more")
        engine.dispose()


@pytest.mark.parametrize("known", [False, True])
def test_an_unknown_psycopg_takes_them_one_by_one(
    backend: Backend, monkeypatch: pytest.MonkeyPatch, trips: Trips, known: bool
) -> None:
    if not known:
        monkeypatch.setattr(psycopg_batch, "SERIES", "3.999.")
    taken = trips(lambda: store("a", "b", "c"))
    assert taken == (1 if known else 6)
    assert names() == ["a", "b", "c"] * 5


def test_the_level_of_isolation_is_psycopgs(backend: Backend) -> None:
    """BEGIN says of each transaction what SQLAlchemy has asked for."""
    with tx.writer(C) as t:
        level = t.later.rows(sa.text("SHOW transaction_isolation"))
        t.last().rows(_ALL)
    assert level.get() == [{"transaction_isolation": "read committed"}]


def test_values_of_every_kind_come_as_from_a_cursor(backend: Backend) -> None:
    statement = sa.text(
        "SELECT 1 AS a, 'x'::text AS b, NULL::inet AS c, '10.0.0.1'::inet AS d, now()::timestamp(0) AS e, 1.5::numeric"
        " AS f, true AS g, ARRAY[1, 2] AS h, '{\"a\": 1}'::json AS i, ''::bytea AS j, 1.5::float8 AS k"
    )
    with tx.writer(C) as t:
        alone = t.rows(statement)
        together = t.later.rows(statement)
        assert t.last().rows(statement) == together.get() == alone
    assert [type(value) for value in alone[0].values()] == [type(value) for value in together.get()[0].values()]
