# SPDX-License-Identifier: Apache-2.0

"""OpenTelemetry: a span for every call, and for every statement on request; needs the extra ``otel``.

Spans are made when a call has ended, with the times that it had, from what ``tx.observe`` tells. So nothing is attached
to and detached from a context while a call runs, which generators and tasks would get in the way of; in return no span
is current inside a call. Attributes have the names of the semantic conventions for database clients, 1.33 and later.
"""

from __future__ import annotations

import dataclasses
import re
import time
from typing import TYPE_CHECKING, Any, Final

from opentelemetry import trace

import nova_sqlcore
from nova_sqlcore import tx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nova_sqlcore.core.reports import Address

#: Statements and joined calls of one transaction that get a span; the rest are counted in an attribute.
MOST_PARTS: Final = 1000
#: Transactions whose end is waited for. One whose caller forgets to leave its block never ends, and goes in its turn.
MOST_OPEN: Final = 1000

_SCHEMA: Final = "https://opentelemetry.io/schemas/1.33.0"
_DEFAULT_PORTS: Final = {"mysql": 3306, "mariadb": 3306, "postgresql": 5432}
_SUMMARY: Final = re.compile(
    r"\s*(?P<verb>INSERT|DELETE|SELECT|UPDATE|WITH)\b.*?(?:\bINTO|\bFROM|(?<=UPDATE))\s+(?P<table>[`\"]?\w+[`\"]?)",
    re.IGNORECASE | re.DOTALL,
)
_COMMENT: Final = re.compile(r"/\*.*?\*/ ?")

Report = tx.Report | tx.StatementReport


def instrument(
    tracer_provider: trace.TracerProvider | None = None, *, statements: bool = False, joined: bool = True
) -> Callable[[], None]:
    """Make a span of every transaction from now on; return a function that ends that.

    ``joined`` gives spans to calls inside a caller's transaction too, ``statements`` to every statement with its text,
    which has placeholders in place of values. Without a provider the global one is used. An attempt of a call that
    meets a conflict and starts over is a span of its own.
    """
    version = nova_sqlcore.__version__
    tracer = trace.get_tracer("nova_sqlcore", version, tracer_provider, schema_url=_SCHEMA)
    spans = _Spans(tracer, has_parts=joined or statements)
    ends = [tx.observe(spans.note, joined=joined)]
    if statements:
        ends.append(tx.observe_statements(spans.keep))

    def end() -> None:
        for one in ends:
            one()

    return end


@dataclasses.dataclass(frozen=True, slots=True)
class _Part:
    """A call or a statement, with what happened inside it."""

    report: Report
    parts: list[_Part]


@dataclasses.dataclass(slots=True)
class _Open:
    """What has been told so far about a transaction that goes on."""

    parts: list[_Part] = dataclasses.field(default_factory=list)
    count: int = 0
    left_out: int = 0


class _Spans:
    """Collects what happens in each transaction until its end, and makes spans of it then."""

    def __init__(self, tracer: trace.Tracer, has_parts: bool) -> None:
        self._tracer = tracer
        self._has_parts = has_parts
        self._open: dict[int, _Open] = {}

    def note(self, report: tx.Report) -> None:
        """Take in the end of a transaction, or of a call that had joined one."""
        if report.joined:
            self.keep(report)
            return
        known = self._open.pop(report.transaction, None) if self._has_parts else None
        offset = time.time_ns() - time.perf_counter_ns()
        attributes = _of_transaction(report)
        if known is not None and known.left_out:
            attributes["nova_sqlcore.spans_left_out"] = known.left_out
        self._make(_Part(report, [] if known is None else known.parts), attributes, offset, None)

    def keep(self, report: Report) -> None:
        """Take in a part of a transaction, together with the parts that happened inside it."""
        known = self._open.get(report.transaction)
        if known is None:
            known = self._open[report.transaction] = _Open()
            self._forget()
        if known.count >= MOST_PARTS:
            known.left_out += 1
            return
        known.count += 1
        parts, first = known.parts, len(known.parts)
        if isinstance(report, tx.Report):  # statements that travel together begin at once, and none is inside another
            first = next((at for at, part in enumerate(parts) if part.report.began >= report.began), first)
        inside = parts[first:]
        del parts[first:]
        parts.append(_Part(report, inside))

    def _forget(self) -> None:
        while len(self._open) > MOST_OPEN:
            self._open.pop(next(iter(self._open)), None)

    def _make(self, part: _Part, attributes: dict[str, Any], offset: int, parent: trace.Span | None) -> None:
        report = part.report
        begin = int(report.began * 1e9) + offset
        is_inside = isinstance(report, tx.Report) and report.joined
        span = self._tracer.start_span(
            _name(attributes),
            None if parent is None else trace.set_span_in_context(parent),
            trace.SpanKind.INTERNAL if is_inside else trace.SpanKind.CLIENT,
            attributes,
            start_time=begin,
        )
        if "error.type" in attributes:
            span.set_status(trace.Status(trace.StatusCode.ERROR))
        for inner in part.parts:
            self._make(inner, _attributes(inner.report), offset, span)
        span.end(begin + int(report.seconds * 1e9))


def _name(attributes: dict[str, Any]) -> str:
    """Return a span's name, as the conventions have it: the summary, or the operation and what it works on."""
    summary = attributes.get("db.query.summary")
    if summary is not None:
        return str(summary)
    target = attributes.get("db.namespace")
    return f"{attributes['db.operation.name']} {target}" if target else str(attributes["db.operation.name"])


def _attributes(report: Report) -> dict[str, Any]:
    return _of_transaction(report) if isinstance(report, tx.Report) else _of_statement(report)


def _of_transaction(report: tx.Report) -> dict[str, Any]:
    attributes: dict[str, Any] = dict(_of_address(report.address))
    attributes |= {
        "db.operation.name": report.name,
        "nova_sqlcore.database": report.database,
        "nova_sqlcore.mode": report.mode,
        "nova_sqlcore.outcome": report.outcome,
        "nova_sqlcore.attempt": report.attempt,
        "nova_sqlcore.statements": report.statements,
        "nova_sqlcore.round_trips": report.round_trips,
        "nova_sqlcore.waited": report.waited,
    }
    if report.error is not None:
        # an error of the domain is an answer: a server that is not found does not make its span a failed one
        attributes["nova_sqlcore.refusal" if report.outcome == "refused" else "error.type"] = report.error
    return attributes


def _of_statement(report: tx.StatementReport) -> dict[str, Any]:
    attributes: dict[str, Any] = dict(_of_address(report.address))
    attributes |= {
        "db.query.text": report.text,
        "db.query.summary": summary(report.text),
        "nova_sqlcore.function": report.name,
    }
    if report.error is not None:
        attributes["error.type"] = report.error
    return attributes


def _of_address(address: Address | None) -> Iterator[tuple[str, Any]]:
    if address is None:
        return
    yield "db.system.name", address.system
    if address.name:
        yield "db.namespace", address.name
    if address.host:
        yield "server.address", address.host
        if address.port and address.port != _DEFAULT_PORTS.get(address.system):
            yield "server.port", address.port


def summary(text: str) -> str:
    """Return what a statement does to which table, such as "SELECT services"; the verb alone if that is not plain."""
    plain = _COMMENT.sub("", text)
    found = _SUMMARY.match(plain)
    if found is None:
        return next(iter(plain.split()), "")
    return f"{found['verb'].upper()} {found['table'].strip('`' + chr(34))}"
