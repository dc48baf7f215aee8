# SPDX-License-Identifier: Apache-2.0

"""A performance engineer asks what a call sends, how the server runs it and what it costs, and gets one answer."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from click.testing import CliRunner
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from benchmarks import observers
from nova_sqlcore import RequestContext, api, tx
from nova_sqlcore.cli.app import app
from nova_sqlcore.contrib import otel

if TYPE_CHECKING:
    from tests.plugins.backend import Backend


def told(*arguments: str) -> Any:
    """Run the command ``sql`` and return its document."""
    result = CliRunner().invoke(app, ["sql", *arguments, "--format", "json"])
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_the_first_hour(backend: Backend, admin: RequestContext) -> None:
    shown = told("service_update", "--dialect", backend.name)["service_update"][backend.name]
    usual = [[statement["sql"] for statement in call["statements"]] for call in shown]
    number = api.service_create(admin, {"host": "engineer", "binary": "b", "topic": "t"})["id"]
    texts = sees_the_same_in_hooks_and_spans(backend, admin, number)
    assert texts in usual
    plans = told("service_update", "--explain", backend.url.render_as_string(hide_password=False))
    assert [one["sql"] for one in plans["service_update"]] in usual
    assert all(one["plan"] for one in plans["service_update"])
    runs_what_would_be_timed()


def sees_the_same_in_hooks_and_spans(backend: Backend, admin: RequestContext, number: int) -> list[str]:
    """Return the statements of a heartbeat, by the hook; reports and spans agree with it."""
    texts: list[str] = []
    reports: list[tx.Report] = []
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    ends = [
        tx.on_statement(lambda statement: texts.append(statement.text)),
        tx.observe(reports.append),
        otel.instrument(provider, statements=True),
    ]
    api.service_update(admin, number, {"report_count": 1})
    for end in ends:
        end()
    (report,) = reports
    assert (report.name, report.outcome, report.statements) == ("service_update", "done", len(texts))
    assert report.round_trips == (0 if backend.name == "sqlite" else 1)
    attributes = [dict(span.attributes or {}) for span in spans.get_finished_spans()]
    assert [one["db.query.text"] for one in attributes if "db.query.text" in one] == texts
    (call,) = (one for one in attributes if one.get("db.operation.name") == "service_update")
    assert call["nova_sqlcore.round_trips"] == report.round_trips
    return texts


def runs_what_would_be_timed() -> None:
    """Make the calls of ``make bench-observers`` once, on the database that is configured: both sides answer alike."""
    pairs = {pair.name: pair.by_hand() == pair.ours() for pair in observers.pairs(TracerProvider())}
    assert {"read: tx.observe", "write: prometheus"} <= pairs.keys()
    assert all(pairs.values())
