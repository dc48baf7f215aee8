# SPDX-License-Identifier: Apache-2.0

"""Timing two ways to the same answer, in turns, so that whatever disturbs the machine disturbs both."""

from __future__ import annotations

import dataclasses
import gc
import statistics
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

ROUNDS = 15
#: Seconds that one side runs in a round.
SLICE = 0.04


@dataclasses.dataclass(frozen=True, slots=True)
class Pair:
    """Two ways to one answer."""

    name: str
    by_hand: Callable[[], Any]
    ours: Callable[[], Any]


@dataclasses.dataclass(frozen=True, slots=True)
class Outcome:
    """What a pair took."""

    #: microseconds per call, the median of all rounds
    by_hand: float
    ours: float
    #: ours / by hand: the median of the rounds' own ratios
    ratio: float


def measure(pair: Pair, rounds: int = ROUNDS, clock: Callable[[], float] = time.perf_counter) -> Outcome:
    """Check that both sides answer the same, then time them in turns.

    Raises: AssertionError if the answers differ.
    """
    assert pair.by_hand() == pair.ours(), f"{pair.name}: the answers differ"
    calls = max(1, int(SLICE / max(_seconds(pair.by_hand, 3, clock), _seconds(pair.ours, 3, clock))))
    times: list[tuple[float, float]] = []
    gc.disable()
    try:
        for number in range(rounds):
            if number % 2:
                ours, by_hand = _seconds(pair.ours, calls, clock), _seconds(pair.by_hand, calls, clock)
            else:
                by_hand, ours = _seconds(pair.by_hand, calls, clock), _seconds(pair.ours, calls, clock)
            times.append((by_hand, ours))
            gc.collect()
    finally:
        gc.enable()
    return Outcome(
        by_hand=statistics.median(by_hand for by_hand, _ in times) * 1e6,
        ours=statistics.median(ours for _, ours in times) * 1e6,
        ratio=statistics.median(ours / by_hand for by_hand, ours in times),
    )


def _seconds(call: Callable[[], Any], times: int, clock: Callable[[], float]) -> float:
    begin = clock()
    for _ in range(times):
        call()
    return (clock() - begin) / times
