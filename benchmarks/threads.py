# SPDX-License-Identifier: Apache-2.0

"""``python -m benchmarks.threads``: calls per second of one process with ever more threads, each with its own context.

The mix is what a conductor does: five reads of an instance or its children to one update and one reservation of quota.
More threads than processors gain nothing; they must not cost anything either, so each number of threads is held against
the best of 4 and 16 in the same round.
"""

from __future__ import annotations

import itertools
import os
import platform
import statistics
import threading
import time
import uuid
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import click
import rich
from rich.table import Table

from benchmarks.__main__ import BACKENDS, databases
from nova_sqlcore import RequestContext, api, get_admin_context, tables, tx

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    import sqlalchemy as sa

THREADS = (1, 4, 16, 64)
ROUNDS = 3
#: Seconds that each number of threads runs in a round.
SLICE = 3.0

_RESOURCES = {name: SimpleNamespace(sync=f"_sync_{name}") for name in ("instances", "cores", "ram")}
_LIMITS, _DELTAS = dict.fromkeys(_RESOURCES, 10**9), dict.fromkeys(_RESOURCES, 1)


def calls_of(number: int) -> list[Callable[[], Any]]:
    """Make an instance of a project of its own for a thread, and return the calls that it makes in turns."""
    whose = (f"p{number}", f"u{number}")
    context = RequestContext(user_id=whose[1], project_id=whose[0], is_admin=True)
    uuid_ = str(uuid.uuid4())
    given = {"uuid": uuid_, "host": f"h{number}", "project_id": whose[0], "metadata": {"a": "b", "c": "d"}}
    api.instance_create(context, given)
    states = itertools.count()

    def update() -> None:
        api.instance_update(context, uuid_, {"progress": next(states) % 100})

    def reserve() -> None:
        made = api.quota_reserve(context, _RESOURCES, _LIMITS, _LIMITS, _DELTAS, None, None, None, *whose)
        api.reservation_rollback(context, made, *whose)

    def read() -> None:
        api.instance_get_by_uuid(context, uuid_)

    def read_children() -> None:
        api.instance_metadata_get(context, uuid_)
        api.block_device_mapping_get_all_by_instance(context, uuid_)

    return [read, update, read, read_children, reserve, read]


def throughput(threads: int, seconds: float, work: Sequence[list[Callable[[], Any]]]) -> float:
    """Return the calls per second that ``threads`` threads get done together in ``seconds``."""
    stop = threading.Event()
    done = [0] * threads

    def run(number: int) -> None:
        for call in itertools.cycle(work[number]):
            if stop.is_set():
                return
            call()
            done[number] += 1

    crowd = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    began = time.perf_counter()
    for thread in crowd:
        thread.start()
    time.sleep(seconds)
    stop.set()
    for thread in crowd:
        thread.join()
    return sum(done) / (time.perf_counter() - began)


def measured(url: sa.URL, rounds: int, seconds: float) -> dict[int, tuple[float, float]]:
    """Return the medians for each number of threads: calls per second, and their ratio to the best of 4 and 16."""
    tx.close()
    tx.configure(url)
    try:
        tables.metadata.create_all(tx.main.engine)
        api.flavor_get_all(get_admin_context())
        work = [calls_of(number) for number in range(max(THREADS))]
        found = [{threads: throughput(threads, seconds, work) for threads in THREADS} for _ in range(rounds)]
    finally:
        tx.close()
    return {
        threads: (
            statistics.median(one[threads] for one in found),
            statistics.median(one[threads] / max(one[4], one[16]) for one in found),
        )
        for threads in THREADS
    }


@click.command()
@click.option("--backend", "names", multiple=True, type=click.Choice(BACKENDS), help="only these; all by default")
@click.option("--rounds", default=ROUNDS, show_default=True, help="how often each number of threads is measured")
@click.option("--seconds", default=SLICE, show_default=True, help="how long each of them runs in a round")
@click.option("--least", type=float, help="exit with 1 if 64 threads do less than this times the best of 4 and 16")
def main(names: tuple[str, ...], rounds: int, seconds: float, least: float | None) -> None:
    """Measure calls per second with 1, 4, 16 and 64 threads."""
    rich.print(f"Python {platform.python_version()}, {os.cpu_count()} processors")
    too_slow = []
    with databases(names or BACKENDS) as urls:
        for name, url in urls.items():
            table = Table("threads", "calls/s", "against the best of 4 and 16", title=name)
            outcome = measured(url, rounds, seconds)
            for threads, (rate, ratio) in outcome.items():
                table.add_row(str(threads), f"{rate:,.0f}", f"{ratio:.2f}")
            rich.print(table)
            if least is not None and outcome[max(THREADS)][1] < least:
                too_slow.append(f"{name}: {outcome[max(THREADS)][1]:.2f}")
    if too_slow:
        raise click.ClickException(f"64 threads do less than {least} times the best of fewer: {'; '.join(too_slow)}")


if __name__ == "__main__":
    main()
