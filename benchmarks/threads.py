# SPDX-License-Identifier: Apache-2.0

"""``python -m benchmarks.threads``: calls per second of one process with ever more threads, each with its own context.

The mix is what a conductor does: five reads of an instance or its children to one update and one reservation of quota.
More threads than processors gain nothing; they must not cost anything either, so each number of threads is held against
the best of 4 and 16 in the same round. The same mix by hand, with a connection for each thread, tells what drivers and
the interpreter leave of that.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import platform
import statistics
import threading
import time
import uuid
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click
import rich
from rich.table import Table

from benchmarks import locks
from benchmarks.__main__ import BACKENDS, databases
from benchmarks.by_hand import ByHand
from benchmarks.operations import comparable
from nova_sqlcore import RequestContext, api, get_admin_context, tables, tx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import sqlalchemy as sa

THREADS = (1, 4, 16, 64)
ROUNDS = 3
#: Seconds that each number of threads runs in a round.
SLICE = 3.0

OURS: Final = "ours"
BY_HAND: Final = "by hand"
#: What a good programmer adds to the URL for the sake of many threads: by default MySQL locks gaps between rows, which
#: others insert into, and sqlite gives up after five seconds.
_BY_HAND_ARGUMENTS: Final = {
    "mysql": {"init_command": "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED"},
    "sqlite": {"timeout": "60"},
}

_RESOURCES = {name: SimpleNamespace(sync=f"_sync_{name}") for name in ("instances", "cores", "ram")}
_LIMITS, _DELTAS = dict.fromkeys(_RESOURCES, 10**9), dict.fromkeys(_RESOURCES, 1)

Calls = list["Callable[[], Any]"]


class Place(NamedTuple):
    """What a thread works on: an instance of a project of its own."""

    project: str
    user: str
    instance: str


def place_of(number: int) -> Place:
    """Make the instance of a thread, and the usages of its project."""
    made = Place(f"p{number}", f"u{number}", str(uuid.uuid4()))
    given = {"uuid": made.instance, "host": f"h{number}", "project_id": made.project, "metadata": {"a": "b", "c": "d"}}
    api.instance_create(_context(made), given)
    _reserve(made, _context(made))
    return made


def _context(place: Place) -> RequestContext:
    return RequestContext(user_id=place.user, project_id=place.project, is_admin=True)


def _reserve(place: Place, context: RequestContext) -> int:
    whose = (place.project, place.user)
    made = api.quota_reserve(context, _RESOURCES, _LIMITS, _LIMITS, _DELTAS, None, None, None, *whose)
    api.reservation_rollback(context, made, *whose)
    return len(made)


def calls_of(place: Place) -> Calls:
    """Return the calls that a thread makes in turns."""
    context, identity = _context(place), place.instance
    states = itertools.count()

    def update() -> Any:
        return api.instance_update(context, identity, {"progress": next(states) % 100})

    def reserve() -> int:
        return _reserve(place, context)

    def read() -> Any:
        return api.instance_get_by_uuid(context, identity)

    def read_children() -> Any:
        metadata = api.instance_metadata_get(context, identity)
        return metadata, api.block_device_mapping_get_all_by_instance(context, identity)

    return [read, update, read, read_children, reserve, read]


def calls_by_hand(place: Place, hand: ByHand) -> Calls:
    """Return the same calls on a connection of the thread's own."""
    identity = place.instance
    states = itertools.count()

    def update() -> Any:
        return hand.update(identity, {"progress": next(states) % 100})

    def reserve() -> int:
        return hand.reserve_and_roll_back(place.project)

    def read() -> Any:
        return hand.get_by_uuid(identity)

    def read_children() -> Any:
        return hand.metadata(identity), hand.devices(identity)

    return [read, update, read, read_children, reserve, read]


@contextlib.contextmanager
def working(who: str, url: sa.URL, places: Sequence[Place]) -> Iterator[list[Calls]]:
    """Yield the calls of a thread for each place; connections by hand are open for the time of the block."""
    if who == OURS:
        yield [calls_of(place) for place in places]
        return
    near = url.update_query_dict(_BY_HAND_ARGUMENTS.get(url.get_backend_name(), {}))
    with contextlib.ExitStack() as stack:
        hands = [stack.enter_context(contextlib.closing(ByHand(near))) for _ in places]
        yield [calls_by_hand(place, hand) for place, hand in zip(places, hands, strict=True)]


def check(url: sa.URL, place: Place) -> None:
    """See that both give the same answers.

    Raises: AssertionError.
    """
    with working(OURS, url, [place]) as (ours,), working(BY_HAND, url, [place]) as (hand,):
        for one, other in zip(ours, hand, strict=True):
            found = [comparable(call(), writes=call.__name__ == "update") for call in (one, other)]
            assert found[0] == found[1], f"{one.__name__}: {found[0]} {found[1]}"


def throughput(seconds: float, work: Sequence[Calls]) -> float:
    """Return the calls per second that a thread for each list of calls get done together in ``seconds``.

    Raises: what a call raises.
    """
    stop = threading.Event()

    def run(calls: Calls) -> int:
        turns = itertools.cycle(calls)
        done = 0
        while not stop.is_set():
            next(turns)()
            done += 1
        return done

    with ThreadPoolExecutor(len(work)) as crowd:
        began = time.perf_counter()
        running = [crowd.submit(run, calls) for calls in work]
        time.sleep(seconds)
        stop.set()
        done = sum(one.result() for one in running)
        return done / (time.perf_counter() - began)


@contextlib.contextmanager
def prepared(url: sa.URL) -> Iterator[list[Place]]:
    """Point the library at an empty database and yield a place for each thread."""
    tx.close()
    tx.configure(url)
    try:
        tables.metadata.create_all(tx.main.engine)
        api.flavor_get_all(get_admin_context())
        yield [place_of(number) for number in range(max(THREADS))]
    finally:
        tx.close()


class Rate(NamedTuple):
    """Medians of all rounds."""

    #: calls per second
    calls: float
    #: their ratio to the best of 4 and 16 threads in the same round
    ratio: float


def measured(url: sa.URL, places: Sequence[Place], rounds: int, seconds: float) -> dict[str, dict[int, Rate]]:
    """Return what the library and code by hand get done, for each number of threads."""
    check(url, places[0])
    found: dict[str, list[dict[int, float]]] = {OURS: [], BY_HAND: []}
    for _ in range(rounds):
        for rates in found.values():
            rates.append({})
        for threads in THREADS:
            for who, rates in found.items():
                with working(who, url, places[:threads]) as work:
                    rates[-1][threads] = throughput(seconds, work)
    return {who: {threads: _median(rates, threads) for threads in THREADS} for who, rates in found.items()}


def _median(rates: Sequence[Mapping[int, float]], threads: int) -> Rate:
    fewer = [max(one[number] for number in THREADS[1:-1]) for one in rates]
    return Rate(
        statistics.median(one[threads] for one in rates),
        statistics.median(one[threads] / best for one, best in zip(rates, fewer, strict=True)),
    )


def waited(url: sa.URL, places: Sequence[Place], seconds: float) -> dict[str, float]:
    """Return the share of their time that threads wait for each lock, a thread for each place at work."""
    with working(OURS, url, places) as work:
        throughput(seconds / 10, work)  # all connections are made
        with locks.watched() as waits:
            throughput(seconds, work)
    return {name: sum(took) / (seconds * len(places)) for name, took in waits.items()}


@click.command()
@click.option("--backend", "names", multiple=True, type=click.Choice(BACKENDS), help="only these; all by default")
@click.option("--rounds", default=ROUNDS, show_default=True, help="how often each number of threads is measured")
@click.option("--seconds", default=SLICE, show_default=True, help="how long each of them runs in a round")
@click.option("--locks", "shows_locks", is_flag=True, help="tell too how long 64 threads wait for each lock")
@click.option("--least", type=float, help="exit with 1 if 64 threads do less than this times the best of 4 and 16")
def main(names: tuple[str, ...], rounds: int, seconds: float, shows_locks: bool, least: float | None) -> None:
    """Measure calls per second with 1, 4, 16 and 64 threads, of the library and of code by hand."""
    rich.print(f"Python {platform.python_version()}, {os.cpu_count()} processors")
    too_slow = []
    with databases(names or BACKENDS) as urls:
        for name, url in urls.items():
            with prepared(url) as places:
                outcome = measured(url, places, rounds, seconds)
                _show(name, outcome)
                if shows_locks:
                    _show_waits(name, waited(url, places, seconds))
            ratio = outcome[OURS][max(THREADS)].ratio
            if least is not None and ratio < least:
                too_slow.append(f"{name}: {ratio:.2f}")
    if too_slow:
        raise click.ClickException(f"64 threads do less than {least} times the best of fewer: {'; '.join(too_slow)}")


def _show(name: str, outcome: Mapping[str, Mapping[int, Rate]]) -> None:
    table = Table("threads", title=f"{name}: calls per second, and against the best of 4 and 16 threads")
    for who in outcome:
        table.add_column(who, justify="right")
        table.add_column("ratio", justify="right")
    for threads in THREADS:
        rates = [one[threads] for one in outcome.values()]
        table.add_row(str(threads), *(text for one in rates for text in (f"{one.calls:,.0f}", f"{one.ratio:.2f}")))
    rich.print(table)


def _show_waits(name: str, shares: Mapping[str, float]) -> None:
    table = Table("locks", "share of time", title=f"{name}: how long {max(THREADS)} threads wait for locks")
    for package in locks.PACKAGES:
        of_it = {lock: share for lock, share in shares.items() if lock.startswith(package)}
        table.add_row(f"all {len(of_it)} of {package}", f"{sum(of_it.values()):.3%}")
        for lock, share in of_it.items():
            if share:
                table.add_row(lock, f"{share:.3%}")
    rich.print(table)


if __name__ == "__main__":
    main()
