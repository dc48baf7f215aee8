# SPDX-License-Identifier: Apache-2.0

"""The demo as a whole: prepare, let the workers work in processes of their own, check."""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import signal
import time
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from typing import TYPE_CHECKING

import sqlalchemy as sa

from nova_sqlcore import exceptions, get_admin_context, tables, tx
from nova_sqlcore.demo import cloud, invariants, measures

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from multiprocessing.queues import SimpleQueue
    from multiprocessing.synchronize import Event

    from nova_sqlcore.demo.measures import Measure

#: Columns that tell whose a row is; shadow tables have no part in the demo.
_OWNERS = (
    tables.instances.c.project_id,
    tables.quotas.c.project_id,
    tables.quota_usages.c.project_id,
    tables.security_groups.c.project_id,
    tables.networks.c.project_id,
    tables.services.c.host,
)
_STRANGERS = sa.union_all(
    *(
        sa.select(sa.func.count().label("count")).select_from(owner.table).where(owner.not_like(f"{cloud.PREFIX}%"))
        for owner in _OWNERS
    )
)
#: Seconds between two looks at the workers' progress.
LOOK = 0.1


@dataclasses.dataclass(frozen=True, slots=True)
class Result:
    """What came of a run."""

    tallies: list[cloud.Tally]
    #: by function name
    measures: dict[str, Measure]
    #: a sentence for each invariant that does not hold
    broken: list[str]
    #: from the first server to the last
    seconds: float


def count_strangers(url: str | sa.URL) -> int:
    """Return how many rows of the database at ``url`` belong to projects and hosts other than the demo's.

    Without tables it is 0.

    Cost: 1 statement.
    """
    tx.configure(url)
    try:
        with tx.reader(get_admin_context()) as t:
            return sum(t.scalars(_STRANGERS))
    except exceptions.DatabaseNotMigrated:
        return 0
    finally:
        tx.close()


def run(url: str | sa.URL, servers: int, workers: int, progress: Callable[[int], object]) -> Result:
    """Boot ``servers`` servers in each of ``workers`` processes on the migrated database at ``url``.

    ``progress`` is called with the number of servers that are done since the last call.
    Raises: whatever a worker raised.
    """
    tx.configure(url)
    try:
        scene = cloud.Scene.new()
        cloud.prepare(scene, workers, servers)
        begin = time.perf_counter()
        outcomes = _work(url, scene, servers, workers, progress)
        seconds = time.perf_counter() - begin
        tallies = [tally for tally, _ in outcomes]
        return Result(tallies, measures.total(part for _, part in outcomes), invariants.broken(scene, tallies), seconds)
    finally:
        tx.close()


Outcome = tuple[cloud.Tally, "dict[str, Measure]"]


def _work(
    url: str | sa.URL, scene: cloud.Scene, servers: int, workers: int, progress: Callable[[int], object]
) -> list[Outcome]:
    spawn = multiprocessing.get_context("spawn")  # a forked child would share the parent's connections
    done: SimpleQueue[int] = spawn.SimpleQueue()
    stop = spawn.Event()
    with ProcessPoolExecutor(workers, spawn, _prepare, (done, stop)) as pool, _setting(stop):
        futures = [pool.submit(_worker, url, scene, number, servers) for number in range(workers)]
        pending: set[Future[Outcome]] = set(futures)
        while pending:
            ended, pending = wait(pending, LOOK, FIRST_COMPLETED)
            progress(_drained(done))
            for future in ended:
                if future.exception() is not None:
                    pool.shutdown(wait=False, cancel_futures=True)
                    future.result()
        progress(_drained(done))
        return [future.result() for future in futures]


@contextlib.contextmanager
def _setting(stop: Event) -> Iterator[None]:
    """Let the workers end with the server that they are at, if the block fails or is interrupted."""
    try:
        yield
    except BaseException:
        stop.set()
        raise


def _drained(done: SimpleQueue[int]) -> int:
    """Return how many servers have been reported since the last look."""
    count = 0
    while not done.empty():
        count += done.get()
    return count


_done: SimpleQueue[int]
_stop: Event


def _prepare(done: SimpleQueue[int], stop: Event) -> None:
    """Take what a worker process starts with, and leave Ctrl-C, which comes to all, to the process that has begun."""
    global _done, _stop  # a process pool has no other place for it
    _done, _stop = done, stop
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def _worker(url: str | sa.URL, scene: cloud.Scene, number: int, servers: int) -> Outcome:
    """Be one worker, in a process of its own."""
    tx.configure(url)
    found = measures.Measures()
    tx.observe(found.note)
    try:
        worker = cloud.Worker(scene, number, found)
        for turn in range(servers):
            if _stop.is_set():
                break
            worker.serve(turn)
            _done.put(1)
        return worker.tally, dict(found.by_name)
    finally:
        tx.observe(None)
        tx.close()
