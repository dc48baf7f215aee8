# SPDX-License-Identifier: Apache-2.0

"""MariaDB, MySQL and PostgreSQL behind HAProxy: servers that go, and lines that are cut when they are idle."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Final

import pytest
import sqlalchemy as sa

from nova_sqlcore import api, exceptions, get_admin_context, tables, tx
from tests import servers
from tests.proxies.conftest import VERSIONS
from tests.servers.proxies import HAProxy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.proxies.conftest import MakeDatabase

#: Seconds of silence after which the proxy cuts a line, and a pause that is long enough for that.
#: Seconds; a busy machine may take one for a call.
IDLE, PAUSE = 1.5, 2.0
COUNT: Final = sa.select(sa.func.count().label("n")).select_from(tables.certificates)


@pytest.fixture(scope="module")
def url(server: servers.Server, new_database: MakeDatabase) -> sa.URL:
    return new_database(server)


@pytest.fixture
def behind(server: servers.Server, url: sa.URL) -> Iterator[Callable[[float], HAProxy]]:
    """Return a function that configures the library with a proxy which cuts lines that are idle."""
    started: list[HAProxy] = []

    def start(idle: float = 60) -> HAProxy:
        proxy = HAProxy([url], idle=idle)
        proxy.start()
        started.append(proxy)
        VERSIONS.add(f"{proxy.version} before {server.version}")
        tx.close()
        tx.configure(proxy.url(url))
        return proxy

    yield start
    tx.close()
    for proxy in started:
        proxy.stop()


def calls() -> None:
    """Create, read, change and destroy: statements that travel alone and together."""
    context = get_admin_context()
    made = api.instance_create(context, {"host": "h", "project_id": "p", "metadata": {"a": "b"}})
    api.instance_update(context, made["uuid"], {"task_state": "x", "metadata": {"c": "d"}})
    assert api.instance_metadata_get(context, made["uuid"]) == {"c": "d"}
    assert api.instance_get_by_uuid(context, made["uuid"])["task_state"] == "x"
    api.instance_destroy(context, made["uuid"])


def certificates_made() -> int:
    with tx.reader(get_admin_context()) as t:
        number: int = t.scalar(COUNT)
        return number


class TestIdleLines:
    """The proxy is less patient than the pool."""

    def test_calls_after_a_pause(self, behind: Callable[[float], HAProxy]) -> None:
        behind(IDLE)
        for _ in range(2):
            calls()
            time.sleep(PAUSE)
        calls()

    def test_one_statement_after_a_pause_is_done_once(self, behind: Callable[[float], HAProxy]) -> None:
        """A writer of one statement commits with it: a line that was cut before must not make it run twice."""
        behind(IDLE)
        context = get_admin_context()
        before = certificates_made()
        for number in (1, 2, 3):
            api.certificate_create(context, {"project_id": "p", "file_name": "f"})
            time.sleep(PAUSE)
            assert certificates_made() == before + number

    def test_a_pause_within_a_transaction(self, behind: Callable[[float], HAProxy]) -> None:
        behind(IDLE)
        context = get_admin_context()
        before = certificates_made()
        with pytest.raises(exceptions.DBConnectionError), tx.writer(context):
            api.certificate_create(context, {"project_id": "p"})
            time.sleep(PAUSE)
            api.certificate_create(context, {"project_id": "p"})
        assert certificates_made() == before
        calls()

    def test_a_statement_that_takes_longer(self, behind: Callable[[float], HAProxy], server: servers.Server) -> None:
        """The proxy hears nothing meanwhile, and takes the line for idle."""
        behind(IDLE)
        text = f"SELECT {'pg_sleep' if server.name == 'postgresql' else 'sleep'}({PAUSE})"
        with pytest.raises(exceptions.DBConnectionError), tx.writer(get_admin_context()) as t:
            t.rows(sa.text(text).columns(sa.column("n")))
        calls()


def test_statements_travel_together(behind: Callable[[float], HAProxy]) -> None:
    """The proxy hands bytes over, whatever they are."""
    behind(60)
    calls()
    link = tx.main.link_writer()
    assert link.carrier is not None
    tx.main.take_back(link)


def test_a_proxy_without_a_server(behind: Callable[[float], HAProxy]) -> None:
    proxy = behind(60)
    calls()
    proxy.servers = [proxy.servers[0].set(port=1)]
    proxy.restart()
    context = get_admin_context()
    with pytest.raises(exceptions.DBConnectionError):
        api.certificate_create(context, {"project_id": "p"})


@pytest.fixture(scope="module", params=["mariadb", "postgresql"])
def two(request: pytest.FixtureRequest) -> Iterator[list[servers.Server]]:
    """Return two servers of our own that know nothing of each other and have the same password."""
    first, second = (servers.PRODUCTS[request.param](None) for _ in range(2))
    second.password = first.password
    with first, second:
        yield [first, second]


def test_a_server_that_goes_down_and_comes_back(two: list[servers.Server]) -> None:
    """New connections lead to the other one; the library notices at the next call, and that call succeeds."""
    urls = [with_tables(server) for server in two]
    with HAProxy(urls) as proxy:
        tx.close()
        tx.configure(proxy.url(urls[0]))
        calls()
        assert port() == two[0].port
        two[0].kill()
        wait_until_it_leads_to(two[1], proxy)
        calls()
        assert port() == two[1].port
        two[0].revive()
        two[1].kill()
        wait_until_it_leads_to(two[0], proxy)
        assert port() == two[0].port
        calls()
        tx.close()


def with_tables(server: servers.Server) -> sa.URL:
    url = server.create_database("behind")
    if url.get_backend_name() == "mysql":
        url = url.update_query_dict({"ssl_disabled": "1"})
    tables.metadata.create_all(sa.create_engine(url, poolclass=sa.NullPool))
    return url


def port() -> int:
    """Return the port of the server that the library talks to."""
    with tx.reader(get_admin_context()) as t:
        return asked(t.connection)


def asked(connection: sa.Connection) -> int:
    text = "SELECT inet_server_port()" if connection.dialect.name == "postgresql" else "SELECT @@port"
    number: int = connection.exec_driver_sql(text).scalar_one()
    return number


def wait_until_it_leads_to(server: servers.Server, proxy: HAProxy) -> None:
    """Look at it from outside of the library's pool."""
    engine = sa.create_engine(proxy.url(proxy.servers[0]), poolclass=sa.NullPool)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with contextlib.suppress(sa.exc.DBAPIError), engine.connect() as connection:
            if asked(connection) == server.port:
                return
        time.sleep(0.05)
    raise AssertionError("the proxy leads elsewhere")
