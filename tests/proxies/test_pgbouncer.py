# SPDX-License-Identifier: Apache-2.0

"""PostgreSQL behind PgBouncer, in session mode and in transaction mode: what docs/howto/proxies.rst says."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import psycopg
import pytest
import sqlalchemy as sa

from nova_sqlcore import api, exceptions, get_admin_context, tables, tx
from tests.plugins.wire import led_by
from tests.proxies.conftest import VERSIONS
from tests.servers import unpacked
from tests.servers.proxies import PgBouncer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests import servers
    from tests.proxies.conftest import MakeDatabase

#: The machine's own version, and Debian's newest.
SUITES: Final = ("", "unstable") if unpacked.distribution() == "debian" else ("",)
INSERT: Final = sa.insert(tables.certificates).values(
    project_id=sa.bindparam("project"), user_id=sa.bindparam("user"), file_name="f"
)
#: Server connections that PgBouncer has, and threads that want one.
SIZE, THREADS = 4, 8


@pytest.fixture(scope="module")
def url(postgresql: servers.Server, new_database: MakeDatabase) -> sa.URL:
    return new_database(postgresql)


@pytest.fixture(scope="module", params=SUITES)
def proxy(request: pytest.FixtureRequest, url: sa.URL, postgresql: servers.Server) -> Iterator[PgBouncer]:
    with PgBouncer(url, request.param) as started:
        VERSIONS.add(f"{started.version} before {postgresql.version}")
        yield started


@pytest.fixture(params=["session", "transaction"])
def mode(request: pytest.FixtureRequest) -> str:
    value: str = request.param
    return value


def behind(proxy: PgBouncer, mode: str, size: int = SIZE, lock_timeout: float = 7, **options: Any) -> sa.URL:
    """Let the proxy pool in this way, configure the library with its address, and return that."""
    tx.close()
    proxy.settings = {"pool_mode": mode, "default_pool_size": size, "max_client_conn": 200}
    proxy.restart()
    url = proxy.url(proxy.server)
    tx.configure(url, lock_timeout=lock_timeout, **options)
    return url


def calls(number: int) -> None:
    """Create, read, change and destroy, in one-row writers, snapshots and writers of several statements."""
    context = get_admin_context()
    name = f"host{number}"
    made = api.instance_create(context, {"host": name, "project_id": "p", "display_name": "d"})
    for state in ("a", "b", "c"):
        api.instance_update(context, made["uuid"], {"task_state": state})
        assert api.instance_get_by_uuid(context, made["uuid"])["task_state"] == state
    assert [row["uuid"] for row in api.instance_get_all_by_host(context, name)] == [made["uuid"]]
    api.instance_destroy(context, made["uuid"])
    api.certificate_create(context, {"project_id": name, "user_id": "u", "file_name": "žluť"})
    assert api.certificate_get_all_by_project(context, name)[0]["file_name"] == "žluť"


def settings() -> dict[str, str]:
    """Return what a writing transaction finds."""
    names = ("lock_timeout", "statement_timeout", "transaction_isolation", "timezone", "jit", "datestyle")
    with tx.writer(get_admin_context()) as t:
        text = ", ".join(f"current_setting('{name}') AS {name}" for name in names)
        return dict(t.connection.execute(sa.text(f"SELECT {text}")).mappings().one())


WANTED: Final = {
    "lock_timeout": "7s",
    "statement_timeout": "5min",
    "transaction_isolation": "read committed",
    "timezone": "UTC",
    "jit": "off",
    "datestyle": "ISO, MDY",
}


@pytest.mark.parametrize("told", [True, False])
def test_threads_that_share_few_server_connections(proxy: PgBouncer, mode: str, told: bool) -> None:
    """In session mode both roles together have at most as many connections as PgBouncer."""
    most: dict[str, Any] = {"pool_size": 1, "max_overflow": SIZE // 2 - 1} if mode == "session" else {}
    behind(proxy, mode, **most, pooler=mode if told else "")

    def run(number: int) -> list[dict[str, str]]:
        found = []
        for turn in range(4):
            calls(number * 100 + turn)
            found.append(settings())
        return found

    with ThreadPoolExecutor(THREADS) as threads:
        for found in threads.map(run, range(THREADS)):
            assert found == [WANTED] * 4


def test_a_writer_of_one_statement_takes_one_trip(proxy: PgBouncer, mode: str) -> None:
    behind(proxy, mode, pooler=mode)
    with led_by(proxy.url(proxy.server)) as (wire, url):
        tx.close()
        tx.configure(url, pooler=mode)
        taken = []
        for _ in range(4):
            before = wire.trips
            api.certificate_create(get_admin_context(), {"project_id": "p"})
            taken.append(wire.trips - before)
        tx.close()
    assert taken[-1] == 1


class TestSettings:
    def test_a_session_that_another_client_has_set_up(self, proxy: PgBouncer) -> None:
        """In transaction mode the only server connection is everybody's."""
        url = behind(proxy, "transaction", size=1)
        assert settings() == WANTED
        spoil(url)
        assert settings() == WANTED

    def test_none_is_left_to_other_clients(self, proxy: PgBouncer) -> None:
        url = behind(proxy, "transaction", size=1, pooler="transaction")
        with plain(url) as connection:
            before = connection.execute("SHOW lock_timeout").fetchone()
        assert settings() == WANTED
        calls(1)
        with plain(url) as connection:
            assert connection.execute("SHOW lock_timeout").fetchone() == before

    def test_a_writer_of_one_statement_has_its_limit_too(self, proxy: PgBouncer) -> None:
        url = behind(proxy, "transaction", size=2, lock_timeout=0.5)
        context = get_admin_context()
        made = api.instance_create(context, {"host": "h"})
        for _ in range(2):
            spoil(url)
        with psycopg.connect(dsn(proxy.server)) as other:
            other.execute("SELECT 1 FROM instances WHERE uuid = %s FOR UPDATE", [made["uuid"]])
            began = time.monotonic()
            with pytest.raises(exceptions.DBLockTimeout):
                api.instance_update(context, made["uuid"], {"task_state": "a"})
        assert time.monotonic() - began < 10

    def test_a_transaction_that_begins_with_many_rows(self, proxy: PgBouncer) -> None:
        """Psycopg sends them, and BEGIN before them, in another way."""
        url = behind(proxy, "transaction", size=1)
        spoil(url)
        with tx.writer(get_admin_context()) as t:
            t.execute_many(INSERT, [{"project": "q", "user": str(number)} for number in range(3)])
            t.execute_many(INSERT, [{"project": "q", "user": str(number)} for number in range(3)])
            assert t.connection.exec_driver_sql("SHOW lock_timeout").scalar_one() == "7s"


class TestPreparedStatements:
    def test_in_session_mode(self, proxy: PgBouncer) -> None:
        behind(proxy, "session", pooler="session")
        assert self.prepared(tx.reader) > 0

    @pytest.mark.parametrize("told", ["transaction", ""])
    def test_never_where_the_next_transaction_may_run_elsewhere(self, proxy: PgBouncer, told: str) -> None:
        behind(proxy, "transaction", pooler=told)
        assert self.prepared(tx.reader) == 0
        assert self.prepared(tx.writer) == 0

    @staticmethod
    def prepared(scope: tx.Scope[tx.Transaction]) -> int:
        context = get_admin_context()
        for _ in range(5):
            api.certificate_get_all_by_project(context, "p")
        with scope(context) as t:
            number: int = t.connection.exec_driver_sql("SELECT count(*) FROM pg_prepared_statements").scalar_one()
            return number


class TestSessionMode:
    def test_readers_that_lie_idle_give_way_to_a_writer(self, proxy: PgBouncer) -> None:
        """They hold all server connections; the writer waits for ``connect_timeout`` and then takes their place."""
        behind(proxy, "session", size=2, connect_timeout=1)
        links = [tx.main.link_reader() for _ in range(2)]
        for link in links:
            tx.main.take_back(link)
        calls(1)

    def test_connections_in_use_do_not(self, proxy: PgBouncer) -> None:
        behind(proxy, "session", size=1, connect_timeout=1)
        context = get_admin_context()
        began = time.monotonic()
        with tx.reader(context) as t:
            t.rows(certificates_of_project(), project="p")
            with pytest.raises(exceptions.DBConnectionError, match="default_pool_size"):
                api.certificate_create(get_admin_context(), {"project_id": "p"})
        assert time.monotonic() - began < 8
        api.certificate_create(context, {"project_id": "p"})


class TestTransactionMode:
    def test_clients_beyond_the_number_of_server_connections(self, proxy: PgBouncer) -> None:
        """Idle ones hold none."""
        behind(proxy, "transaction", size=1)
        links = [tx.main.link_reader() for _ in range(4)] + [tx.main.link_writer() for _ in range(4)]
        for link in links:
            tx.main.take_back(link)
        calls(1)

    def test_a_guard_is_held_until_the_transaction_ends(self, proxy: PgBouncer) -> None:
        behind(proxy, "transaction", size=2)
        order: list[str] = []
        entered = threading.Event()

        def second() -> None:
            entered.wait(10)
            with tx.writer(get_admin_context()) as t:
                take_guard(t)
                order.append("second")

        with ThreadPoolExecutor(1) as threads:
            done = threads.submit(second)
            with tx.writer(get_admin_context()) as t:
                take_guard(t)
                entered.set()
                time.sleep(0.2)
                order.append("first")
            done.result(10)
        assert order == ["first", "second"]

    def test_a_server_connection_that_dies(self, proxy: PgBouncer, postgresql: servers.Server, mode: str) -> None:
        behind(proxy, mode)
        calls(1)
        postgresql.command(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            f"WHERE datname = '{proxy.server.database}' AND pid <> pg_backend_pid()"
        )
        calls(2)


def test_a_restart_of_the_proxy(proxy: PgBouncer, mode: str) -> None:
    behind(proxy, mode)
    calls(1)
    proxy.restart()
    calls(2)


def test_a_proxy_that_is_down(proxy: PgBouncer, mode: str) -> None:
    behind(proxy, mode)
    calls(1)
    proxy.kill()
    try:
        with pytest.raises(exceptions.DBConnectionError) as caught:
            calls(2)
        assert str(proxy.server.password) not in str(caught.value)
    finally:
        proxy.revive()
    calls(3)


def certificates_of_project() -> sa.Select[Any]:
    return sa.select(tables.certificates.c.id).where(tables.certificates.c.project_id == sa.bindparam("project"))


def take_guard(t: tx.Transaction) -> None:
    for statement in t.dialect.guard():
        t.connection.execute(statement, {"guard": "x"})


def dsn(url: sa.URL) -> str:
    return url.set(drivername="postgresql").render_as_string(hide_password=False)


def plain(url: sa.URL) -> psycopg.Connection[Any]:
    return psycopg.connect(dsn(url), autocommit=True, prepare_threshold=None)


def spoil(url: sa.URL) -> None:
    """Leave a session as another client may leave it."""
    with plain(url) as connection:
        connection.execute(
            "SET lock_timeout = '11s'; SET statement_timeout = '11s'; SET jit = on; SET timezone = 'Asia/Tokyo'"
        )
