# SPDX-License-Identifier: Apache-2.0

"""Prometheus: what calls take, what becomes of them, and how full the pools are; needs the extra ``prometheus``."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from prometheus_client import REGISTRY, CollectorRegistry, Counter, Histogram
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from nova_sqlcore import tx
from nova_sqlcore.core import connections

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from prometheus_client.metrics_core import Metric

#: Seconds; a one-row read takes less than a millisecond, a wait for a lock up to half a minute.
BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)


def instrument(
    registry: CollectorRegistry = REGISTRY, *, buckets: Sequence[float] = BUCKETS, joined: bool = False
) -> Callable[[], None]:
    """Count and time every transaction from now on; return a function that ends that and clears the registry.

    With ``joined`` the calls inside a caller's transaction have a histogram of their own, for their time is a part of
    the transaction's. Blocks count as "block", or under the name that ``tx.writer.named`` gives them.
    """
    metrics = _Metrics(registry, buckets, joined)
    remove = tx.observe(metrics.note, joined=joined)

    def end() -> None:
        remove()
        metrics.unregister()

    return end


class _Labelled(NamedTuple):
    """What every transaction of one kind counts in; to look labels up takes longer than to count."""

    seconds: Histogram
    outcomes: Counter
    statements: Counter
    trips: Counter
    waits: Histogram


class _Metrics:
    """The metrics of one registry."""

    def __init__(self, registry: CollectorRegistry, buckets: Sequence[float], joined: bool) -> None:
        self._registry = registry
        self._seconds = Histogram(
            "nova_sqlcore_transaction_seconds",
            "Time of transactions, by function",
            ["function"],
            buckets=buckets,
            registry=registry,
        )
        self._outcomes = Counter(
            "nova_sqlcore_transactions",
            "Transactions, by function and by what became of them",
            ["function", "database", "mode", "outcome"],
            registry=registry,
        )
        self._errors = Counter(
            "nova_sqlcore_errors",
            "Conflicts and failures, by function and class of the error",
            ["function", "outcome", "error"],
            registry=registry,
        )
        self._conflicts = Counter(
            "nova_sqlcore_conflicts", "Attempts lost against another transaction", ["function"], registry=registry
        )
        self._retries = Counter(
            "nova_sqlcore_retries", "Attempts after the first one of a call", ["function"], registry=registry
        )
        self._statements = Counter(
            "nova_sqlcore_statements", "Statements, by function", ["function"], registry=registry
        )
        self._trips = Counter(
            "nova_sqlcore_round_trips",
            "Answers of the server that were waited for, by function",
            ["function"],
            registry=registry,
        )
        self._waits = Histogram(
            "nova_sqlcore_connection_wait_seconds",
            "Time until a transaction had its connection",
            ["database"],
            buckets=buckets,
            registry=registry,
        )
        #: by function, database, mode and outcome
        self._labelled: dict[tuple[str, str, str, str], _Labelled] = {}
        self._all: list[Collector] = [self._seconds, self._outcomes, self._errors, self._conflicts, self._retries]
        self._all += [self._statements, self._trips, self._waits]
        self._joined: Histogram | None = None
        if joined:
            self._joined = Histogram(
                "nova_sqlcore_joined_call_seconds",
                "Time of calls inside a caller's transaction, by function",
                ["function"],
                buckets=buckets,
                registry=registry,
            )
            self._all.append(self._joined)
        pools = _Pools()
        registry.register(pools)
        self._all.append(pools)

    def note(self, report: tx.Report) -> None:
        """Count a transaction or a joined call."""
        function = report.name
        if report.joined:
            if self._joined is not None:
                self._joined.labels(function).observe(report.seconds)
            return
        key = function, report.database, report.mode, report.outcome
        labelled = self._labelled.get(key)
        if labelled is None:
            labelled = self._labelled[key] = self._labels(*key)
        labelled.seconds.observe(report.seconds)
        labelled.outcomes.inc()
        labelled.statements.inc(report.statements)
        labelled.trips.inc(report.round_trips)
        labelled.waits.observe(report.waited)
        if report.attempt > 1:
            self._retries.labels(function).inc()
        if report.outcome == "conflict":
            self._conflicts.labels(function).inc()
        if report.outcome in ("conflict", "failed"):
            self._errors.labels(function, report.outcome, report.error or "").inc()

    def _labels(self, function: str, database: str, mode: str, outcome: str) -> _Labelled:
        return _Labelled(
            self._seconds.labels(function),
            self._outcomes.labels(function, database, mode, outcome),
            self._statements.labels(function),
            self._trips.labels(function),
            self._waits.labels(database),
        )

    def unregister(self) -> None:
        """Take the metrics out of the registry."""
        for metric in self._all:
            self._registry.unregister(metric)


class _Pools(Collector):
    """Looks at the pools whenever somebody asks for the metrics."""

    def collect(self) -> Iterator[Metric]:
        """Give the numbers of all databases; cells are added up, for they share a label."""
        found = GaugeMetricFamily(
            "nova_sqlcore_pool_connections", "Connections by state", labels=["database", "role", "state"]
        )
        most = GaugeMetricFamily(
            "nova_sqlcore_pool_limit", "Connections that there may be", labels=["database", "role"]
        )
        sums: dict[tuple[str, str], dict[str, float]] = {}
        for database in connections.all_databases():
            for pool in database.pools():
                counts = sums.setdefault((database.label, pool.role), {"in_use": 0, "idle": 0, "limit": 0})
                counts["in_use"] += pool.in_use
                counts["idle"] += pool.idle
                counts["limit"] += math.inf if pool.most is None else pool.most
        for labels, counts in sorted(sums.items()):
            found.add_metric([*labels, "in_use"], counts["in_use"])
            found.add_metric([*labels, "idle"], counts["idle"])
            most.add_metric(labels, counts["limit"])
        yield found
        yield most
