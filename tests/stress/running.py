# SPDX-License-Identifier: Apache-2.0

"""Runs one kind in eight processes and says what it has cost."""

from __future__ import annotations

import dataclasses
import time
from typing import TYPE_CHECKING, Any

from nova_sqlcore import get_admin_context, tx

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa

    from tests.queries.processes import Processes
    from tests.stress.kinds import Kind


@dataclasses.dataclass(frozen=True)
class Figures:
    """What a kind has cost."""

    calls: int
    #: calls that got what only some can get; None where all do
    winners: int | None
    #: transactions that were begun again after a conflict
    retries: int
    #: seconds of the slowest call
    longest: float


def run(kind: Kind, url: sa.URL | list[sa.URL], processes: Processes, keys: int) -> Figures:
    """Let the processes do it for all keys, on one server or on several, and check what has come of it."""
    kind.ground(keys)
    found = processes.call(url, _work, kind.call, keys)
    answers = [list(some) for some in zip(*(answered for answered, _, _ in found), strict=True)]
    winners = kind.check(answers)
    retries = sum(again for _, again, _ in found)
    return Figures(sum(map(len, answers)), winners, retries, max(longest for _, _, longest in found))


def _work(number: int, call: Callable[[Any, int], Any], keys: int) -> tuple[list[Any], int, float]:
    """Run in a process of its own: ask for each key, beginning at another one than the neighbours but one."""
    context = get_admin_context()
    retries, longest = 0, 0.0
    answers: dict[int, Any] = {}

    def note(report: tx.Report) -> None:
        nonlocal retries
        retries += report.attempt > 1

    forget = tx.observe(note)
    try:
        for place in sorted(range(keys), key=lambda place: (place + number // 4) % keys):
            began = time.perf_counter()
            answers[place] = call(context, place)
            longest = max(longest, time.perf_counter() - began)
    finally:
        forget()
    return [answers[place] for place in range(keys)], retries, longest
