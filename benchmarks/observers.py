# SPDX-License-Identifier: Apache-2.0

"""``python -m benchmarks.observers``: what a call costs while somebody watches, and while nobody does.

Each row times a one-row read, or a one-row write, in turns with the same call in another state of the hooks. The first
row is about nobody watching: the other side has the look for observers taken out.
"""

from __future__ import annotations

import contextlib
import os
import platform
import time
from typing import TYPE_CHECKING, Any

import click
import prometheus_client
import rich
import sqlalchemy as sa
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from rich.table import Table

from benchmarks import pairing
from benchmarks.__main__ import BACKENDS, databases
from nova_sqlcore import api, get_admin_context, tables, tx
from nova_sqlcore.contrib import otel, prometheus
from nova_sqlcore.core import reports

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Start = Callable[[], Callable[[], None]]


class Nowhere(SpanExporter):
    """Drops what it gets: what sending costs is the exporter's business."""

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return SpanExportResult.SUCCESS


class Watched:
    """A call in two states: as it is, and after ``start``, which returns what ends it."""

    def __init__(self, call: Callable[[], Any], start: Start) -> None:
        self._call = call
        self._start = start
        self._end: Callable[[], None] | None = None

    def off(self) -> Any:
        if self._end is not None:
            self._end()
            self._end = None
        return self._call()

    def on(self) -> Any:
        if self._end is None:
            self._end = self._start()
        return self._call()


def without_a_look() -> Callable[[], None]:
    """Take the look for observers of transactions out of the library."""
    stack = contextlib.ExitStack()
    stack.callback(setattr, reports, "of_transaction", reports.of_transaction)
    reports.of_transaction = lambda transaction, error: None
    return stack.close


def watches(provider: TracerProvider) -> dict[str, Start]:
    """Return who may watch."""
    return {
        "tx.observe": lambda: tx.observe(_ignore),
        "tx.observe and observe_statements": lambda: _both(tx.observe(_ignore), tx.observe_statements(_ignore)),
        "otel, calls": lambda: otel.instrument(provider),
        "otel, calls and statements": lambda: otel.instrument(provider, statements=True),
        "prometheus": lambda: prometheus.instrument(prometheus_client.CollectorRegistry()),
    }


def _ignore(report: object) -> None:
    pass


def _both(first: Callable[[], None], second: Callable[[], None]) -> Callable[[], None]:
    def end() -> None:
        first()
        second()

    return end


def pairs(provider: TracerProvider) -> Iterator[pairing.Pair]:
    """Yield the pairs: by hand is the side that does less."""
    context = get_admin_context()
    identity = api.service_create(context, {"host": "h", "binary": "b", "topic": "t"})["id"]

    def read() -> Any:
        return api.service_get(context, identity)["host"]

    def write() -> Any:
        return api.service_update(context, identity, {"report_count": 1})["id"]

    for word, call in (("read", read), ("write", write)):
        bare = Watched(call, without_a_look)
        yield pairing.Pair(f"{word}: nobody watches", bare.on, bare.off)
        bare.off()
        for name, start in watches(provider).items():
            watched = Watched(call, start)
            yield pairing.Pair(f"{word}: {name}", watched.off, watched.on)
            watched.off()


@click.command()
@click.option("--backend", "names", multiple=True, type=click.Choice(BACKENDS), help="only these; all by default")
@click.option("--rounds", default=pairing.ROUNDS, show_default=True, help="how often each pair is timed")
@click.option("--processor-time", is_flag=True, help="time of the processor, which others that use it do not disturb")
def main(names: tuple[str, ...], rounds: int, processor_time: bool) -> None:
    """Time calls with and without observers."""
    rich.print(f"Python {platform.python_version()}, SQLAlchemy {sa.__version__}, {os.cpu_count()} processors")
    provider = TracerProvider()
    provider.add_span_processor(BatchSpanProcessor(Nowhere()))
    with databases(names or BACKENDS) as urls:
        for name, url in urls.items():
            table = Table("call", "without, µs", "with, µs", "more, µs", "with / without", title=name)
            tx.close()
            tx.configure(url)
            tables.metadata.create_all(tx.main.engine)
            for pair in pairs(provider):
                one = pairing.measure(pair, rounds, time.process_time if processor_time else time.perf_counter)
                more = one.by_hand * (one.ratio - 1)
                table.add_row(pair.name, f"{one.by_hand:,.1f}", f"{one.ours:,.1f}", f"{more:+,.1f}", f"{one.ratio:.2f}")
            tx.close()
            rich.print(table)
    provider.shutdown()


if __name__ == "__main__":
    main()
