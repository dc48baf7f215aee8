# SPDX-License-Identifier: Apache-2.0

"""The benchmark of many threads: both sides do the same, and waits for locks are seen."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

import pytest

from benchmarks import locks, threads
from benchmarks.by_hand import ByHand
from nova_sqlcore import tx

if TYPE_CHECKING:
    from tests.plugins.backend import Backend


def test_the_same_mix_by_the_library_and_by_hand(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "THREADS", (1, 2, 3))
    with threads.prepared(backend.url) as places:
        assert len(places) == 3
        outcome = threads.measured(backend.url, places, rounds=1, seconds=0.02)  # compares the answers first
        shares = threads.waited(backend.url, places, 0.02)
    for rates in outcome.values():
        assert list(rates) == [1, 2, 3]
        assert all(rate.calls > 0 for rate in rates.values())
        assert rates[2].ratio == 1
    assert {"nova_sqlcore.tx.Database._lock", "sqlalchemy.util.queue.Queue.mutex"} <= shares.keys()


@pytest.mark.only_on("sqlite", why="answers are compared in one place")
def test_different_answers_are_noticed(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads, "THREADS", (1,))
    with threads.prepared(backend.url) as (place,):
        monkeypatch.setattr(ByHand, "metadata", lambda hand, identity: {})
        with pytest.raises(AssertionError, match="read_children"):
            threads.check(backend.url, place)


def test_an_error_in_a_thread_ends_the_run() -> None:
    with pytest.raises(ZeroDivisionError):
        threads.throughput(0.01, [[lambda: None], [lambda: 1 / 0]])


def test_who_waits_for_a_lock_of_the_library_is_seen() -> None:
    lock, is_held = tx.main._lock, threading.Event()

    def hold() -> None:
        with tx.main._lock:
            is_held.set()
            time.sleep(0.05)

    with locks.watched() as waits:
        holder = threading.Thread(target=hold)
        holder.start()
        assert is_held.wait(10)
        with tx.main._lock, tx.main._lock:  # the second time it is ours already
            pass
        holder.join()
    (waited,) = waits["nova_sqlcore.tx.Database._lock"]
    assert waited >= 0.02
    assert tx.main._lock is lock


def test_a_watched_lock_is_still_a_lock() -> None:
    with locks.watched(), tx.main._lock:
        results: list[bool] = []
        other = threading.Thread(target=lambda: results.append(tx.main._lock.acquire(blocking=False)))
        other.start()
        other.join()
        assert results == [False]
