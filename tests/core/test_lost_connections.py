# SPDX-License-Identifier: Apache-2.0

"""Connections that die: before a transaction's first statement they are replaced, after it the caller is told."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.security import certificates
from tests import servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nova_sqlcore import RequestContext
    from tests.plugins.backend import Backend

    KillAll = Callable[[], None]

pytestmark = pytest.mark.only_on("mysql", "postgresql", why="sqlite has no connection that could be lost")

_OTHERS = {
    "mysql": "SELECT id FROM information_schema.processlist WHERE db = :database",
    "postgresql": "SELECT pid FROM pg_stat_activity WHERE datname = :database",
}
#: The test servers leave this out, for nobody keeps their data.
_DURABLE = {"mysql": {"innodb_flush_log_at_trx_commit": "1"}, "postgresql": {"synchronous_commit": "on"}}
_KILL = {"mysql": "KILL CONNECTION {}", "postgresql": "SELECT pg_terminate_backend({})"}


@pytest.fixture
def kill_all(backend: Backend) -> Iterator[KillAll]:
    """Return a function that kills every connection to the test's database."""
    home = servers.PRODUCTS[backend.name].from_environment().url()
    engine = sa.create_engine(home, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)

    def kill() -> None:
        with engine.connect() as connection:
            others = connection.execute(sa.text(_OTHERS[backend.family]), {"database": backend.url.database})
            for number in others.scalars().all():
                connection.exec_driver_sql(_KILL[backend.family].format(number))

    yield kill
    tx.close()  # what is left of the connections; the next test starts afresh


@pytest.fixture(params=["driver", "core"], autouse=True)
def road(request: pytest.FixtureRequest, backend: Backend) -> Iterator[str]:
    """Run every test on both roads: somebody listens to engine events, or nobody does."""
    if request.param == "driver":
        yield request.param
        return

    def listen(*_: Any) -> None:
        return None

    sa.event.listen(sa.Engine, "before_cursor_execute", listen)
    yield request.param
    sa.event.remove(sa.Engine, "before_cursor_execute", listen)


def store(name: str) -> None:
    certificates.certificate_create(get_admin_context(), {"project_id": "p", "file_name": name})


def stored() -> list[str | None]:
    return [row["file_name"] for row in certificates.certificate_get_all_by_project(get_admin_context(), "p")]


def test_a_read_alone_does_not_notice(kill_all: KillAll) -> None:
    store("a")
    assert stored() == ["a"]
    kill_all()
    assert stored() == ["a"]


def test_a_write_alone_does_not_notice(kill_all: KillAll) -> None:
    store("a")
    kill_all()
    store("b")
    assert stored() == ["a", "b"]


def test_a_snapshot_does_not_notice_before_its_first_statement(admin: RequestContext, kill_all: KillAll) -> None:
    store("a")
    with tx.reader(admin):
        pass
    stored()
    kill_all()
    with tx.reader(admin) as t:
        assert len(t.rows(tables.certificates.select())) == 1


def test_all_idle_connections_go_with_the_first_that_is_dead(kill_all: KillAll) -> None:
    with contextlib.ExitStack() as stack:
        for _ in range(3):
            stack.enter_context(tx.writer(get_admin_context())).rows(tables.certificates.select())
    kill_all()
    for number in range(6):
        store(str(number))
    assert len(stored()) == 6


def test_what_the_caller_did_by_hand_is_not_lost_in_silence(admin: RequestContext, kill_all: KillAll) -> None:
    with pytest.raises(exceptions.DBConnectionError), tx.writer(admin) as t:
        t.connection.execute(tables.certificates.insert(), {"project_id": "p", "file_name": "by hand"})
        kill_all()
        t.insert(tables.certificates, {"project_id": "p", "file_name": "after"})
    assert stored() == []


def test_a_dead_reader_is_not_kept(kill_all: KillAll) -> None:
    @tx.reader
    def read_twice(context: Any) -> None:
        tx.current(context).rows(tables.certificates.select())
        kill_all()
        tx.current(context).rows(tables.certificates.select())

    with pytest.raises(exceptions.DBConnectionError):
        read_twice(get_admin_context())
    link = tx.main.link_reader()
    assert not link.connection.invalidated
    tx.main.take_back(link)


@pytest.mark.parametrize("scope", [tx.writer, tx.reader])
def test_in_the_middle_of_a_transaction_the_caller_is_told(
    admin: RequestContext, kill_all: KillAll, scope: tx.Scope[tx.Transaction]
) -> None:
    store("before")
    select = sa.select(tables.certificates.c.id)
    with pytest.raises(exceptions.DBConnectionError), scope(admin) as t:
        t.rows(select)
        kill_all()
        t.rows(select)
    assert stored() == ["before"]


def test_at_commit_the_caller_is_told_and_nothing_is_kept(admin: RequestContext, kill_all: KillAll) -> None:
    with pytest.raises(exceptions.DBConnectionError), tx.writer(admin) as t:
        t.insert(tables.certificates, {"project_id": "p"})
        kill_all()
    assert stored() == []


def test_what_became_of_a_lost_commit_is_unknown_so_it_is_not_run_again(kill_all: KillAll) -> None:
    calls: list[int] = []

    @tx.wrap_db_retry(max_retries=3, retry_on_disconnect=True)
    @tx.writer.retrying(exceptions.DBConnectionError)
    def write(context: Any) -> None:
        calls.append(1)
        tx.current(context).insert(tables.certificates, {"project_id": "p"})
        kill_all()

    with pytest.raises(exceptions.DBCommitUncertain):
        write(get_admin_context())
    assert calls == [1]
    with pytest.raises(exceptions.DBCommitUncertain):
        for attempt in tx.attempts(get_admin_context()):
            with attempt as t:
                calls.append(1)
                t.insert(tables.certificates, {"project_id": "p"})
                kill_all()
    assert calls == [1, 1]
    assert stored() == []


@pytest.mark.parametrize("scope", [tx.writer, tx.reader])
def test_the_callers_own_statements_on_a_lost_connection(kill_all: KillAll, scope: tx.Scope[tx.Transaction]) -> None:
    """The error is the library's, at most once; then there are new connections."""

    @scope
    def read(context: Any) -> list[Any]:
        return list(context.connection.execute(sa.select(tables.certificates.c.file_name)).scalars())

    store("a")
    for _ in range(2):
        assert read(get_admin_context()) == ["a"]
        kill_all()
        failures = 0
        for _ in range(5):
            try:
                assert read(get_admin_context()) == ["a"]
            except exceptions.DBConnectionError:
                failures += 1
        assert failures <= 1


def test_hooks_do_not_run_for_what_was_lost(admin: RequestContext, kill_all: KillAll) -> None:
    called: list[int] = []
    with pytest.raises(exceptions.DBConnectionError), tx.writer(admin) as t:
        t.insert(tables.certificates, {"project_id": "p"})
        t.after_commit(lambda: called.append(1))
        kill_all()
    assert called == []


class Alarm(BaseException):
    """Comes out of a signal handler, as KeyboardInterrupt does."""


@pytest.mark.parametrize("scope", [tx.writer, tx.reader])
def test_a_statement_that_a_signal_cuts_short_spoils_no_later_one(
    admin: RequestContext, backend: Backend, scope: tx.Scope[tx.Transaction]
) -> None:
    """The reply is still to come; the next statement on that connection would take it for its own."""
    store("a")
    pause = sa.select(sa.func.sleep(0.5) if backend.family == "mysql" else sa.func.pg_sleep(0.5))

    def ring(*_: Any) -> None:
        raise Alarm

    before = signal.signal(signal.SIGALRM, ring)
    try:
        with pytest.raises(Alarm), scope(admin) as t:
            t.rows(tables.certificates.select())
            signal.setitimer(signal.ITIMER_REAL, 0.1)
            t.rows(pause)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert stored() == ["a"]
    store("b")
    assert stored() == ["a", "b"]


def test_a_server_that_is_killed_and_comes_back(backend: Backend, road: str) -> None:
    """As after a power cut: what was committed is there, and the same process goes on."""
    with servers.PRODUCTS[backend.name](None, **_DURABLE[backend.family]) as server:
        tx.close()
        url = server.create_database("nova")
        if backend.family == "mysql":
            url = url.update_query_dict({"ssl_disabled": "1"})
        tx.configure(url)
        try:
            tables.metadata.create_all(tx.main.engine, [tables.certificates])
            store("a")
            assert stored() == ["a"]
            server.restart()
            assert stored() == ["a"]
            store("b")
            assert stored() == ["a", "b"]
        finally:
            tx.close()
