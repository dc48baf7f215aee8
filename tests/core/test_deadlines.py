# SPDX-License-Identifier: Apache-2.0

"""Nothing waits for ever: servers that never answer, pools that are empty, statements that run on."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import exceptions, get_admin_context, tables, tx

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugins.backend import Backend

_COUNT = sa.select(sa.func.count()).select_from(tables.certificates)


@pytest.fixture
def database() -> Iterator[tx.Database]:
    database = tx.Database("elsewhere")
    yield database
    database.close()


def count(database: tx.Database) -> int:
    context = get_admin_context()
    context.db_connection = database
    with tx.reader(context) as t:
        return int(t.scalar(_COUNT))


@pytest.mark.parametrize("scheme", ["mysql+pymysql", "postgresql+psycopg"])
def test_a_socket_that_never_answers(database: tx.Database, scheme: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as hole:
        database.configure(f"{scheme}://u:secret@127.0.0.1:{hole.getsockname()[1]}/nova", connect_timeout=2)
        began = time.perf_counter()
        with pytest.raises(exceptions.DBConnectionError) as raised:
            count(database)
    assert 1.5 < time.perf_counter() - began < 6
    assert "secret" not in f"{raised.value!r}{raised.value.__cause__!r}"


class Proxy:
    """Stands between the library and a server; ``stall`` stops it from passing anything on.

    A socket is closed when no thread is at it any more: one that has just come to ``recv`` would take another
    connection's answer, which has been given the number of the closed one.
    """

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._flows = threading.Event()
        self._flows.set()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets = [self._listener]
        self.port = self._listener.getsockname()[1]
        self._passing: list[threading.Thread] = []
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    def stall(self) -> None:
        self._flows.clear()

    def flow(self) -> None:
        self._flows.set()

    def close(self) -> None:
        self._flows.set()
        _end(self._listener)
        self._accepting.join()
        for one in self._sockets:
            _end(one)
        for thread in self._passing:
            thread.join()
        for one in self._sockets:
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
            except OSError:
                return
            self._sockets += [near, far]
            for source, sink in ((near, far), (far, near)):
                self._passing.append(threading.Thread(target=self._pass_on, args=(source, sink), daemon=True))
                self._passing[-1].start()

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                self._flows.wait()
                sink.sendall(data)
        _end(sink)


def _end(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)


@pytest.mark.only_on("mysql", "postgresql", why="sqlite has no server")
class TestStalled:
    @pytest.fixture
    def proxy(self, backend: Backend, database: tx.Database) -> Iterator[Proxy]:
        proxy = Proxy(str(backend.url.host), int(backend.url.port or 0))
        url = backend.url.set(host="127.0.0.1", port=proxy.port)
        database.configure(url, read_timeout=1, connect_timeout=2)
        yield proxy
        database.close()
        proxy.close()

    @pytest.mark.parametrize("scope", [tx.reader, tx.writer])
    def test_the_caller_is_told(self, proxy: Proxy, database: tx.Database, scope: tx.Scope[tx.Transaction]) -> None:
        assert count(database) == 0
        context = get_admin_context()
        context.db_connection = database
        began = time.perf_counter()
        with pytest.raises(exceptions.DBConnectionError), scope(context) as t:
            t.scalar(_COUNT)
            proxy.stall()
            t.scalar(_COUNT)
        assert 0.9 < time.perf_counter() - began < 5
        proxy.flow()
        assert count(database) == 0

    def test_a_connection_that_went_dead_while_idle_is_replaced(self, proxy: Proxy, database: tx.Database) -> None:
        assert count(database) == 0
        proxy.stall()
        threading.Timer(1.5, proxy.flow).start()
        assert count(database) == 0


def test_an_empty_pool_says_so(backend: Backend, database: tx.Database) -> None:
    database.configure(backend.url, pool_size=1, max_overflow=1, pool_timeout=0.2)
    contexts = [get_admin_context() for _ in range(3)]
    for context in contexts:
        context.db_connection = database
    statement = sa.select(sa.literal(1))
    scope = database.reader if backend.family == "sqlite" else database.writer  # sqlite has one writer
    with scope(contexts[0]) as one, scope(contexts[1]) as two:
        one.scalar(statement)
        two.scalar(statement)
        with pytest.raises(exceptions.DBPoolExhausted) as raised, scope(contexts[2]) as three:
            three.scalar(statement)
    error = raised.value
    assert isinstance(error, exceptions.DBConnectionError)
    assert (error.pool_size, error.max_overflow, error.pool_timeout, error.checked_out) == (1, 1, 0.2, 2)
    assert "pool_size" in str(error)
    assert "max_overflow" in str(error)


@pytest.mark.only_on("sqlite", why="servers end a statement themselves")
def test_a_statement_of_sqlite_that_runs_on(backend: Backend, database: tx.Database) -> None:
    database.configure(backend.url, statement_timeout=0.3)
    endless = sa.text(
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1000000000) SELECT max(x) AS x FROM n"
    ).columns(sa.column("x", sa.Integer))
    context = get_admin_context()
    began = time.perf_counter()
    with pytest.raises(exceptions.DBTimeout), database.reader(context) as t:
        t.scalar(endless)
    assert time.perf_counter() - began < 2
    time.sleep(0.4)  # the next statement has a time of its own
    assert count(database) == 0


@pytest.mark.parametrize(
    "options",
    [
        {"lock_timeout": -1},
        {"read_timeout": "5"},
        {"retry_deadline": float("nan")},
        {"connect_timeout": 0},
        {"attempts": 0},
    ],
)
def test_options_that_make_no_sense(database: tx.Database, options: dict[str, Any]) -> None:
    with pytest.raises(exceptions.DBError, match=next(iter(options))):
        database.configure("sqlite://", **options)
