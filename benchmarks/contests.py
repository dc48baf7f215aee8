# SPDX-License-Identifier: Apache-2.0

"""One operation, several contestants: answers compared, what a call costs counted, times taken in turns."""

from __future__ import annotations

import contextlib
import dataclasses
import gc
import statistics
import sys
import threading
import time
import tracemalloc
from typing import TYPE_CHECKING, Any, Final

from benchmarks.operations import Operation, comparable

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from benchmarks.link import Link

ROUNDS: Final = 9
#: Seconds that a round takes, all contestants together, and how many calls each of them makes at least and at most.
SLICE: Final = 0.2
LEAST: Final = 5
MOST: Final = 20
#: A ratio whose upper quartile is more than this times the lower one is too noisy to tell.
NOISE: Final = 1.3


@dataclasses.dataclass(frozen=True)
class Cost:
    """What one call costs beside its time; it does not depend on how busy the machine is."""

    statements: int
    trips: int
    bytes: int
    #: Python functions called
    functions: int
    #: KiB at the peak, beyond what was there before
    memory: float


@dataclasses.dataclass(frozen=True)
class Spread:
    """A ratio over all rounds."""

    low: float
    median: float
    high: float

    @property
    def is_noisy(self) -> bool:
        """Whether the quartiles are too far apart."""
        return self.high > self.low * NOISE


@dataclasses.dataclass
class Result:
    """What an operation took."""

    name: str
    #: microseconds of the best call of a round, by contestant: the median of all rounds
    times: dict[str, float]
    #: ours / theirs
    ratios: dict[str, Spread]
    costs: dict[str, Cost]


def check(operation: Operation, contestants: Mapping[str, Any]) -> None:
    """See that all contestants give one answer.

    Raises: AssertionError.
    """
    answers = {}
    for name, contestant in contestants.items():
        (given,) = operation.prepare(1)
        answer = getattr(contestant, operation.method)(given)
        answers[name] = comparable(answer, writes=operation.writes)
    if operation.method in ("get_by_uuid", "get_many"):  # each has asked for another one
        (given,) = operation.prepare(1)
        answers = {name: getattr(one, operation.method)(given) for name, one in contestants.items()}
    if operation.bulk:
        return  # single calls return less, or more: the tests compare them
    first, *others = answers
    for name in others:
        assert answers[first] == answers[name], (
            f"{operation.name}: {first} and {name} differ: {differing(answers, first, name)}"
        )


def differing(answers: Mapping[str, Any], first: str, other: str) -> str:
    """Return where two answers part, for a message."""
    one, two = answers[first], answers[other]
    path = ""
    while type(one) is type(two):
        if isinstance(one, dict) and one.keys() == two.keys():
            key = next(key for key in one if one[key] != two[key])
        elif isinstance(one, list) and len(one) == len(two):
            key = next(place for place in range(len(one)) if one[place] != two[place])
        else:
            break
        path += f".{key}"
        one, two = one[key], two[key]
    if isinstance(one, dict) and isinstance(two, dict):
        return f"{path}: keys {sorted(one.keys() ^ two.keys())}"
    return f"{path}: {one!r:.200} {two!r:.200}"


def cost(operation: Operation, contestant: Any, link: Link | None) -> Cost:
    """Count what a call costs, after others by which the contestant has warmed up."""
    call = getattr(contestant, operation.method)
    with opened(operation, contestant):
        for given in operation.prepare(1 if operation.bulk else 4):
            call(given)
        (given,) = operation.prepare(1)
        statements, before = contestant.statements, link.traffic if link else None
        call(given)
        statements = contestant.statements - statements
        after = link.traffic if link else None
        functions, memory = _functions(call, operation.prepare(1)[0]), _memory(call, operation.prepare(1)[0])
    trips, sent = (after.trips - before.trips, after.bytes - before.bytes) if after and before else (0, 0)
    return Cost(statements, trips, sent, functions, memory)


def _functions(call: Callable[[Any], Any], given: Any) -> int:
    found = 0

    def note(frame: Any, event: str, argument: Any) -> None:
        nonlocal found
        found += event == "call"

    sys.setprofile(note)
    try:
        call(given)
    finally:
        sys.setprofile(None)
    return found


def memory(operation: Operation, contestant: Any) -> float:
    """Return the KiB that a call takes at its peak, beyond what was there before."""
    return _memory(getattr(contestant, operation.method), operation.prepare(1)[0])


def _memory(call: Callable[[Any], Any], given: Any) -> float:
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        answer = call(given)
        peak = tracemalloc.get_traced_memory()[1]
        del answer
    finally:
        tracemalloc.stop()
    return (peak - before) / 1024


def race(operation: Operation, contestants: Mapping[str, Any], rounds: int = ROUNDS) -> dict[str, list[float]]:
    """Let the contestants make single calls in turns; return the seconds of each one's best call in every round.

    What else a machine does only adds to a call, so the best one tells most about the code.
    """
    took = sum(min(one) for one in _round(operation, contestants, 2, 0).values())
    calls = max(LEAST, min(MOST, int(SLICE / took)))
    times: dict[str, list[float]] = {name: [] for name in contestants}
    gc.disable()
    try:
        for number in range(rounds):
            for name, found in _round(operation, contestants, calls, number).items():
                times[name].append(min(found))
            gc.collect()
    finally:
        gc.enable()
    return times


def _round(operation: Operation, contestants: Mapping[str, Any], calls: int, number: int) -> dict[str, list[float]]:
    given = {name: _arguments(operation, one, calls) for name, one in contestants.items()}
    times: dict[str, list[float]] = {name: [] for name in contestants}
    order = _turned([*contestants], number)
    with contextlib.ExitStack() as stack:
        for one in contestants.values():
            stack.enter_context(opened(operation, one))
        for place in range(calls):
            for name in order:
                call, argument = getattr(contestants[name], operation.method), given[name][place]
                began = time.perf_counter()
                call(argument)
                times[name].append(time.perf_counter() - began)
    return times


def _arguments(operation: Operation, contestant: Any, calls: int) -> list[Any]:
    """Return an argument for each call; a contestant with ``takes_anything`` does the same whatever it gets."""
    is_the_same = getattr(contestant, "takes_anything", False) is True
    return [None] * calls if is_the_same else operation.prepare(calls)


def race_of_threads(
    operation: Operation, contestants: Mapping[str, Sequence[Any]], rounds: int = ROUNDS
) -> dict[str, list[float]]:
    """As ``race``, each contestant with a thread for each of its objects."""
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for number in range(rounds):
        for name in _turned([*contestants], number):
            times[name].append(_crowd(operation, contestants[name], 10))
    return times


def _turned(names: list[str], by: int) -> list[str]:
    place = by % len(names)
    return names[place:] + names[:place]


def opened(operation: Operation, contestant: Any) -> contextlib.AbstractContextManager[Any]:
    """Return the transaction in which the operation is called, or an empty context if it stands alone."""
    block: contextlib.AbstractContextManager[Any] = contestant.open() if operation.joined else contextlib.nullcontext()
    return block


def _crowd(operation: Operation, contestants: Sequence[Any], calls: int) -> float:
    given = operation.prepare(calls * len(contestants))
    barrier = threading.Barrier(len(contestants) + 1)

    def run(place: int) -> None:
        call = getattr(contestants[place], operation.method)
        barrier.wait()
        for one in given[place :: len(contestants)]:
            call(one)

    crowd = [threading.Thread(target=run, args=(place,)) for place in range(len(contestants))]
    for thread in crowd:
        thread.start()
    barrier.wait()
    began = time.perf_counter()
    for thread in crowd:
        thread.join()
    return (time.perf_counter() - began) / len(given)


def result(operation: Operation, times: Mapping[str, list[float]], costs: dict[str, Cost]) -> Result:
    """Return the medians, and the ratios of the first contestant's time to that of each other one."""
    first, *others = times
    return Result(
        operation.name,
        {name: statistics.median(found) * 1e6 for name, found in times.items()},
        {name: spread([one / two for one, two in zip(times[first], times[name], strict=True)]) for name in others},
        costs,
    )


def spread(values: Sequence[float]) -> Spread:
    """Return quartiles and median."""
    if len(values) < 2:
        return Spread(values[0], values[0], values[0])
    low, median, high = statistics.quantiles(values, n=4, method="inclusive")
    return Spread(low, median, high)
