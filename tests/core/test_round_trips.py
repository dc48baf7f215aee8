# SPDX-License-Identifier: Apache-2.0

"""What a call costs the server, by the server's own count: a stand-alone read of one statement is one round trip."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from nova_sqlcore import exceptions, tables, tx
from nova_sqlcore.queries.hosts import services
from tests import servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nova_sqlcore import RequestContext
    from tests.plugins.backend import Backend
    from tests.plugins.wire import Trips

    Questions = Callable[[], int]

CALLS = 5

pytestmark = pytest.mark.only_on("mysql", "postgresql", why="sqlite is not a server")


@pytest.fixture
def questions(backend: Backend) -> Iterator[Questions]:
    """Return what the connections of this test have asked the server so far."""
    if backend.family == "mysql":
        yield _MySQLSessions()
    else:
        yield from _postgresql_questions(str(backend.url.database))


class _MySQLSessions:
    """Sums the counters of the reading and the writing session; to look at a counter is counted too."""

    def __init__(self) -> None:
        self._looks = 0

    def __call__(self) -> int:
        reader, writer = tx.main.link_reader(), tx.main.link_writer()
        total = -self._looks
        for link in (reader, writer):
            link.cursor.execute("SHOW SESSION STATUS LIKE 'Questions'")
            total += int((link.cursor.fetchone() or (0, 0))[1])
            self._looks += 1
        tx.main.take_back(reader)
        writer.close()
        return total


def _postgresql_questions(database: str) -> Iterator[Questions]:
    """Look from another database, so that looking does not count."""
    home = servers.PRODUCTS["postgresql"].from_environment().url()
    engine = sa.create_engine(home, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    calls = sa.text(
        "SELECT coalesce(sum(s.calls), 0) FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid"
        " WHERE d.datname = :database"
    )
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS pg_stat_statements")
        yield lambda: int(connection.execute(calls, {"database": database}).scalar_one())


def _asked(questions: Questions, call: Callable[[], object]) -> float:
    """Return the round trips of one call, after a first one has opened connections."""
    call()
    before = questions()
    for _ in range(CALLS):
        call()
    return (questions() - before) / CALLS


def test_a_read_of_one_statement_is_one_round_trip(admin: RequestContext, questions: Questions) -> None:
    assert _asked(questions, lambda: services.service_get_all_by_host(admin, "h")) == 1


def test_nothing_comes_on_top_in_a_transaction(admin: RequestContext, trips: Trips, backend: Backend) -> None:
    def block() -> None:
        with tx.reader(admin):
            for _ in range(4):
                services.service_get_all_by_host(admin, "h")

    seen: list[tx.Report] = []
    end = tx.observe(seen.append, joined=True)
    begin = int(not backend.batches)
    assert trips(block) == 5 + begin  # four reads, COMMIT
    end()
    first = 1 + begin
    assert [(one.joined, one.round_trips) for one in seen[-5:]] == [(True, first), *[(True, 1)] * 3, (False, first + 4)]


def test_a_block_that_rolls_back_and_one_for_each_row(admin: RequestContext, trips: Trips, backend: Backend) -> None:
    key = services.service_create(admin, {"host": "h", "binary": "b", "topic": "t"})["id"]
    change = sa.update(tables.services).where(tables.services.c.id == sa.bindparam("key"))
    change = change.values(report_count=sa.bindparam("count"))

    def block() -> None:
        with contextlib.suppress(ZeroDivisionError), tx.writer(admin) as t:
            t.execute_many(change, [{"key": key, "count": 1}, {"key": key, "count": 2}, {"key": key, "count": 3}])
            raise ZeroDivisionError

    seen: list[tx.Report] = []
    end = tx.observe(seen.append)
    taken = trips(block)
    end()
    assert (
        seen[-1].round_trips == (2 if backend.batches else taken) <= taken
    )  # BEGIN and all UPDATEs, ROLLBACK; psycopg forgets what it has prepared


def test_an_only_statement_that_fails(admin: RequestContext, trips: Trips) -> None:
    keys = [services.service_create(admin, {"host": host, "binary": "b", "topic": "t"})["id"] for host in "ab"]

    def block() -> None:
        with contextlib.suppress(exceptions.DBDuplicateEntry):
            services.service_update(admin, keys[0], {"host": "b"})

    seen: list[tx.Report] = []
    end = tx.observe(seen.append)
    assert trips(block) == seen[-1].round_trips
    end()


def test_a_call_that_is_refused_and_one_that_needs_no_server(admin: RequestContext, trips: Trips) -> None:
    def block() -> None:
        with contextlib.suppress(exceptions.ServiceNotFound):
            services.service_destroy(admin, 999)
        with tx.writer(admin):
            pass

    seen: list[tx.Report] = []
    end = tx.observe(seen.append)
    taken = trips(block)
    end()
    assert [one.round_trips for one in seen[-2:]] == [taken, 0]


def test_a_write_is_its_statements_and_the_transaction(admin: RequestContext, trips: Trips, backend: Backend) -> None:
    number = services.service_create(admin, {"host": "h", "binary": "b", "topic": "t"})["id"]

    def block() -> None:
        with tx.writer(admin):
            services.service_update(admin, number, {"report_count": 1})

    # BEGIN, UPDATE and perhaps a SELECT; COMMIT
    assert trips(block) == (2 if backend.batches else 3)


def test_a_scope_without_a_statement_asks_nothing(admin: RequestContext, questions: Questions) -> None:
    def block() -> None:
        with tx.writer(admin):
            pass

    assert _asked(questions, block) == 0
