# SPDX-License-Identifier: Apache-2.0

"""The benchmarks measure what they say: contestants that give one answer, a link that takes its time."""

from __future__ import annotations

import socket
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from benchmarks import __main__ as command, contests, operations, report
from benchmarks.link import linked
from nova_sqlcore import tx

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Iterator

    from tests.plugins.backend import Backend


@pytest.fixture
def stock(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> operations.Stock:
    for name, number in {"ON_HOST": 3, "OTHERS": 20, "SERVICES": 8, "NODES": 3, "ADDRESSES": 8}.items():
        monkeypatch.setattr(operations, name, number)
    return operations.fill()


@pytest.fixture
def found(backend: Backend, stock: operations.Stock) -> Iterator[dict[str, Any]]:
    with command.contestants(backend.url) as those:
        yield those
    tx.configure(backend.url)


def test_all_give_one_answer(stock: operations.Stock, found: dict[str, Any]) -> None:
    for operation in operations.operations(stock):
        contests.check(operation, command.entered(operation, found))


def test_what_a_call_costs(stock: operations.Stock, found: dict[str, Any]) -> None:
    operation = next(one for one in operations.operations(stock) if one.method == "get_service")
    remove = found[report.OURS].count()
    found[report.ORM].count()
    costs = {name: contests.cost(operation, one, None) for name, one in command.entered(operation, found).items()}
    remove()
    assert {name: one.statements for name, one in costs.items()} == dict.fromkeys(costs, 1)
    assert 0 < costs[report.OURS].functions < costs[report.ORM].functions


def echo(listener: socket.socket) -> None:
    with listener.accept()[0] as client:
        while data := client.recv(1000):
            client.sendall(data)


def test_a_link_takes_its_time_and_counts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = threading.Thread(target=echo, args=(listener,), daemon=True)
        server.start()
        with linked("127.0.0.1", listener.getsockname()[1], 20) as link:
            with socket.create_connection(("127.0.0.1", link.port)) as client:
                began = time.perf_counter()
                for _ in range(3):
                    client.sendall(b"hello")
                    assert client.recv(1000) == b"hello"
                assert time.perf_counter() - began >= 3 * 0.02
            assert link.traffic == (3, 30)
        server.join()


def test_files_of_runs(tmp_path: pathlib.Path) -> None:
    cost = contests.Cost(1, 2, 3, 4, 5.5)
    spreads = {report.BY_HAND: contests.Spread(0.5, 0.6, 0.7), report.ORM: contests.Spread(0.1, 0.1, 0.1)}
    result = contests.Result("service_get_all, 300", {report.OURS: 7.5}, spreads, {report.OURS: cost})
    run = report.Run("mariadb", 0, 1, [result])
    report.save(tmp_path / "run.json", {}, [run])
    assert report.load(tmp_path / "run.json") == [run]
    assert [is_met for *_, is_met in report.targets(run)] == [True, True]
    assert run.against_orm == pytest.approx(10)
    assert run.by_hand_against_orm == pytest.approx(6)
    assert [*report.targets(run)][-1][0].endswith("code by hand reaches 6.0")
