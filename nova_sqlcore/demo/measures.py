"""What the calls of a process cost: fed by the library's own reports, added up over processes."""

from __future__ import annotations

import collections
import dataclasses
import statistics
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nova_sqlcore.tx import Report


@dataclasses.dataclass(slots=True)
class Measure:
    """All calls of one function."""

    #: statements that all calls together sent, BEGIN and COMMIT apart
    statements: int = 0
    #: attempts that met a conflict and were made again
    conflicts: int = 0
    #: of every call that was not a conflict, in the order of their ends
    seconds: list[float] = dataclasses.field(default_factory=list)

    @property
    def calls(self) -> int:
        """How many calls came to an end, well or badly."""
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
    """The measures of a process, by function; an observer for ``tx.observe``."""

    def __init__(self) -> None:
        """Start empty."""
        self.by_name: dict[str, Measure] = collections.defaultdict(Measure)

    def note(self, report: Report) -> None:
        """Take the report of one transaction."""
        measure = self.by_name[report.name]
        measure.statements += report.statements
        if report.outcome == "conflict":
            measure.conflicts += 1
        else:
            measure.seconds.append(report.seconds)


def total(parts: Iterable[dict[str, Measure]]) -> dict[str, Measure]:
    """Return the sum of what several processes measured."""
    whole = Measures().by_name
    for part in parts:
        for name, measure in part.items():
            whole[name].statements += measure.statements
            whole[name].conflicts += measure.conflicts
            whole[name].seconds += measure.seconds
    return dict(whole)
