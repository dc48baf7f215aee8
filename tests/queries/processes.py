# SPDX-License-Identifier: Apache-2.0

"""Calls from several processes at once: what locks and retries are tested with."""

from __future__ import annotations

import contextlib
import itertools
import multiprocessing
from concurrent.futures import ProcessPoolExecutor, wait
from typing import TYPE_CHECKING, Any

from nova_sqlcore import tx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.synchronize import Barrier

    import sqlalchemy as sa

COUNT = 8

_barrier: Barrier


def _begin(barrier: Barrier) -> None:
    global _barrier  # noqa: PLW0603  # what a worker process starts with
    _barrier = barrier


def _run(url: str | sa.URL, call: Callable[..., Any], *args: Any) -> Any:
    tx.close()
    tx.configure(url)
    _ = tx.main.engine
    _barrier.wait(timeout=60)
    try:
        return call(*args)
    finally:
        tx.close()


class Processes:
    """Eight processes that wait for each other, and then begin at once."""

    def __init__(self, pool: ProcessPoolExecutor) -> None:
        self._pool = pool

    def call(self, url: str | sa.URL | list[sa.URL], call: Callable[..., Any], *args: Any) -> list[Any]:
        """Return what ``call(number, *args)`` gives in each process, on the database at ``url`` or on several."""
        urls = itertools.cycle(url if isinstance(url, list) else [url])
        futures = [self._pool.submit(_run, next(urls), call, number, *args) for number in range(COUNT)]
        wait(futures, timeout=100)  # what fails must not leave others at work
        return [future.result(timeout=0) for future in futures]


@contextlib.contextmanager
def eight_processes() -> Iterator[Processes]:
    """Start the processes and stop them in the end; they share nothing with this one."""
    spawn = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(COUNT, spawn, _begin, (spawn.Barrier(COUNT),)) as pool:
        yield Processes(pool)
