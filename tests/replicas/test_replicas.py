# SPDX-License-Identifier: Apache-2.0

"""Readers of a replica: which server they read, what they wait for, and what happens when it lags or dies."""

from __future__ import annotations

import logging
import multiprocessing
import threading
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, api, exceptions, get_admin_context, tables, tx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.servers.replicas import Pair

URLs = tuple[sa.URL, sa.URL]

T = tables.certificates
_NAMES = sa.select(T.c.file_name).order_by(T.c.id)
_IS_REPLICA = {"mysql": "SELECT @@read_only", "postgresql": "SELECT pg_is_in_recovery()"}


@pytest.fixture
def configure(urls: URLs) -> Callable[..., None]:
    """Return a function that configures the library with the two servers, and with options."""

    def configure(**options: Any) -> None:
        tx.close()
        tx.configure(urls[0], urls[1], **{"replica_pause": 0.3, **options})

    configure()
    return configure


@pytest.fixture
def held(pair: Pair) -> Iterator[Pair]:
    """Let the replica lag behind for ever."""
    pair.hold()
    yield pair
    pair.go_on()


def write(context: Any, name: str = "new") -> None:
    api.certificate_create(context, {"file_name": name, "project_id": "p"})


def is_replica(transaction: tx.Transaction) -> bool:
    family = transaction.database.engine.dialect.name
    return bool(transaction.connection.exec_driver_sql(_IS_REPLICA[family]).scalar())


def read(context: Any, **how: Any) -> tuple[bool, list[str]]:
    """Return whether a reader of the replica has read it, and what it has found."""
    with tx.reader(context, replica=True, **how) as transaction:
        return is_replica(transaction), transaction.scalars(_NAMES)


def test_which_server_is_read(configure: Callable[..., None]) -> None:
    context = get_admin_context()
    assert read(context) == (True, [])
    for scope in (tx.reader, tx.writer):
        with scope(context) as transaction:
            assert not is_replica(transaction)
    write(context)
    assert read(context) == (False, ["new"])
    tx.forget_writes(context)
    assert read(context, not_before=tx.position()) == (True, ["new"])


@pytest.mark.parametrize("derive", [lambda context: context, RequestContext.elevated])
def test_other_threads_know_what_a_context_has_written(
    configure: Callable[..., None], held: Pair, derive: Callable[[Any], Any]
) -> None:
    context = get_admin_context()
    with ThreadPoolExecutor(2) as threads:
        assert threads.submit(read, context).result() == (True, [])
        threads.submit(write, context).result()
        assert threads.submit(read, derive(context)).result() == read(derive(context)) == (False, ["new"])
    assert read(get_admin_context()) == (True, [])


def _write_elsewhere(url: sa.URL, name: str) -> str:
    tx.close()
    tx.configure(url)
    write(get_admin_context(), name)
    return tx.position()


def test_another_process_tells_a_position(configure: Callable[..., None], urls: URLs) -> None:
    configure(replica_wait=20)
    names = []
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        for number in range(10):
            names.append(f"{number}")
            position = process.submit(_write_elsewhere, urls[0], names[-1]).result(timeout=60)
            assert read(get_admin_context(), not_before=position) == (True, names)


def test_a_replica_that_lags(configure: Callable[..., None], held: Pair) -> None:
    configure(replica_wait=0.3)
    before = tx.position()
    write(get_admin_context())
    position = tx.position()
    assert read(get_admin_context()) == (True, [])
    assert read(get_admin_context(), not_before=before) == (True, [])
    began = time.monotonic()
    assert read(get_admin_context(), not_before=position) == (False, ["new"])
    assert 0.3 <= time.monotonic() - began < 3
    assert read(get_admin_context(), not_before="") == (False, ["new"])
    assert read(get_admin_context()) == (True, [])


def test_it_is_waited_for(configure: Callable[..., None], pair: Pair) -> None:
    configure(replica_wait=20)
    pair.hold()
    later = threading.Timer(0.5, pair.go_on)
    later.start()
    try:
        write(get_admin_context())
        assert read(get_admin_context(), not_before=tx.position()) == (True, ["new"])
    finally:
        later.join()


def test_a_reader_that_joins_does_not_wait(configure: Callable[..., None]) -> None:
    context = get_admin_context()
    position = tx.position()
    with tx.reader(context, replica=True, not_before=position), tx.reader(context, replica=True, not_before=position):
        pass
    with (
        tx.reader(context, replica=True),
        pytest.raises(TypeError, match="another position"),
        tx.reader(context, replica=True, not_before=position),
    ):
        pass
    with tx.reader(context), tx.reader(context, replica=True, not_before=position) as transaction:
        assert not is_replica(transaction)


def test_what_is_no_position(configure: Callable[..., None]) -> None:
    with pytest.raises(exceptions.DBError):
        read(get_admin_context(), not_before="nonsense, nonsense")
    with pytest.raises(TypeError, match="not_before"):
        tx.reader(get_admin_context(), replica=True, not_before=5)  # type: ignore[call-overload]  # what is tested
    assert read(get_admin_context()) == (True, [])


def wait_for_replica(seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while not read(get_admin_context())[0]:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def test_a_replica_that_dies(configure: Callable[..., None], pair: Pair, caplog: pytest.LogCaptureFixture) -> None:
    assert read(get_admin_context())[0]
    caplog.set_level(logging.INFO, "nova_sqlcore")
    pair.replica.kill()
    with ThreadPoolExecutor(8) as threads:
        for _ in range(3):  # the pause passes in between
            found = list(threads.map(lambda _: read(get_admin_context()), range(20)))
            assert found == [(False, [])] * 20
            assert read(get_admin_context(), not_before=tx.position()) == (False, [])
            time.sleep(0.4)
    pair.replica.revive()
    wait_for_replica()
    lines = [record.getMessage() for record in caplog.records if "replica" in record.getMessage()]
    assert len(lines) == 2
    assert "can't be reached, so that the primary is read" in lines[0]
    assert "is read again" in lines[1]
    password = pair.replica.password
    assert password not in caplog.text


def test_idle_connections_of_a_replica_that_was_restarted(configure: Callable[..., None], pair: Pair) -> None:
    for how in ({}, {"not_before": tx.position()}):
        assert read(get_admin_context()) == (True, [])
        pair.replica.restart()
        assert read(get_admin_context(), **how) == (True, [])


def test_it_is_left_alone_for_a_while(configure: Callable[..., None], pair: Pair) -> None:
    configure(replica_pause=3600)
    pair.replica.kill()
    try:
        assert read(get_admin_context()) == (False, [])
    finally:
        pair.replica.revive()
    assert read(get_admin_context()) == (False, [])
    configure()
    wait_for_replica()


def test_a_replica_that_is_down_at_the_start(configure: Callable[..., None], pair: Pair) -> None:
    configure(max_retries=-1)  # for the primary
    pair.replica.kill()
    try:
        assert read(get_admin_context()) == (False, [])
    finally:
        pair.replica.revive()
    wait_for_replica()


def test_a_function_that_is_broken_off_reads_the_primary(configure: Callable[..., None], pair: Pair) -> None:
    seen: list[bool] = []

    def function(context: Any, use_slave: bool = True) -> list[str]:
        transaction = tx.current(context)
        transaction.scalars(_NAMES)
        seen.append(is_replica(transaction))
        if len(seen) == 1:
            pair.replica.kill()
        return transaction.scalars(_NAMES)

    for decorated in (tx.reader.async_.snapshot(function), api.select_db_reader_mode(function)):
        seen.clear()
        write(get_admin_context())
        try:
            assert set(decorated(get_admin_context())) == {"new"}
        finally:
            pair.replica.revive()
        assert seen == [True, False]
        wait_for_replica()


def test_a_block_that_is_broken_off_is_told(configure: Callable[..., None], pair: Pair) -> None:
    try:
        with (
            pytest.raises(exceptions.DBConnectionError),
            tx.reader(get_admin_context(), replica=True) as transaction,
        ):
            assert is_replica(transaction)
            pair.replica.kill()
            transaction.scalars(_NAMES)
        assert read(get_admin_context()) == (False, [])
    finally:
        pair.replica.revive()
    wait_for_replica()


def test_a_reader_in_the_way_of_what_is_replayed(configure: Callable[..., None], pair: Pair) -> None:
    if pair.name != "postgresql":
        return  # the MySQL family waits, and does not break off
    seen: list[bool] = []

    @tx.reader.async_.snapshot
    def function(context: Any) -> list[str]:
        transaction = tx.current(context)
        seen.append(is_replica(transaction))
        transaction.scalars(_NAMES)
        if len(seen) == 1:
            with tx.main.engine.begin() as connection:
                connection.exec_driver_sql("ALTER TABLE certificates ADD COLUMN another INTEGER")
            time.sleep(1)
        return transaction.scalars(_NAMES)

    assert function(get_admin_context()) == []
    assert seen == [True, False]
    assert read(get_admin_context())[0]
