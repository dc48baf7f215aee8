# SPDX-License-Identifier: Apache-2.0

"""What the calls of a process cost: fed by the library's own reports, added up over processes."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import functools
import statistics
import time
from typing import TYPE_CHECKING, Any

from nova_sqlcore import api

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from nova_sqlcore.tx import Report


@dataclasses.dataclass(slots=True)
class Measure:
    """All calls of one function."""

    #: statements that all calls together sent, BEGIN and COMMIT apart
    statements: int = 0
    #: attempts that met a conflict and were made again
    conflicts: int = 0
    #: of every call, conflicts and pauses included
    seconds: list[float] = dataclasses.field(default_factory=list)
    #: answers of the server that they waited for, those to BEGIN and COMMIT included
    round_trips: int = 0

    @property
    def calls(self) -> int:
        """How many calls were made, whatever came of them."""
        return len(self.seconds)

    @property
    def statements_per_call(self) -> float:
        """Statements of an average call, conflicts included."""
        return self.statements / max(1, self.calls)

    @property
    def median(self) -> float:
        """The time that half of the calls stay below, in seconds."""
        return statistics.median(self.seconds) if self.seconds else 0.0

    @property
    def p95(self) -> float:
        """The time that 95 of 100 calls stay below, in seconds."""
        if len(self.seconds) < 2:
            return self.median
        return statistics.quantiles(self.seconds, n=20, method="inclusive")[-1]


class Measures:
    """The measures of a process, by the function called; ``note`` is an observer for ``tx.observe``."""

    def __init__(self) -> None:
        """Start empty."""
        self.by_name: dict[str, Measure] = collections.defaultdict(Measure)
        #: takes what happens outside all calls, and is not shown
        self._running = Measure()

    def __getattr__(self, name: str) -> Callable[..., Any]:
        """Give a function of the API that is measured when it is called."""
        return functools.partial(self._call, getattr(api, name))

    def _call(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        with self.measured(function.__name__):
            return function(*args, **kwargs)

    @contextlib.contextmanager
    def measured(self, name: str) -> Iterator[None]:
        """Measure the block as one call, with all transactions in it."""
        outer, self._running = self._running, self.by_name[name]
        begin = time.perf_counter()
        try:
            yield
        finally:
            self._running.seconds.append(time.perf_counter() - begin)
            self._running = outer

    def note(self, report: Report) -> None:
        """Take the report of one transaction."""
        self._running.statements += report.statements
        self._running.round_trips += report.round_trips
        self._running.conflicts += report.outcome == "conflict"


def total(parts: Iterable[dict[str, Measure]]) -> dict[str, Measure]:
    """Return the sum of what several processes measured."""
    whole = Measures().by_name
    for part in parts:
        for name, measure in part.items():
            whole[name].statements += measure.statements
            whole[name].round_trips += measure.round_trips
            whole[name].conflicts += measure.conflicts
            whole[name].seconds += measure.seconds
    return dict(whole)
