# SPDX-License-Identifier: Apache-2.0

"""Spans of calls and statements, with the real SDK of OpenTelemetry."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.semconv.attributes import db_attributes, error_attributes, server_attributes

from nova_sqlcore import RequestContext, api, exceptions, tx
from nova_sqlcore.contrib import otel
from nova_sqlcore.core import reports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugins.backend import Backend

PROVIDER = TracerProvider()
EXPORTER = InMemorySpanExporter()
PROVIDER.add_span_processor(SimpleSpanProcessor(EXPORTER))


@pytest.fixture(autouse=True)
def _nothing_is_left(backend: Backend) -> Iterator[None]:
    EXPORTER.clear()
    yield
    assert [reports.transactions, reports.calls, reports.statements] == [[], [], []]


def spans() -> list[ReadableSpan]:
    """Return what has been exported, in the order in which it began."""
    return sorted(EXPORTER.get_finished_spans(), key=lambda span: span.start_time or 0)


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def parent(span: ReadableSpan) -> str | None:
    names = {one.context.span_id: one.name for one in spans() if one.context}
    return names.get(span.parent.span_id, "?") if span.parent else None


def test_one_span_a_call(admin: RequestContext, backend: Backend) -> None:
    end = otel.instrument(PROVIDER)
    api.service_get_all(admin)
    end()
    api.service_get_all(admin)
    (span,) = spans()
    assert (span.name, span.kind) == (f"service_get_all {backend.url.database}", trace.SpanKind.CLIENT)
    assert span.status.is_unset
    assert span.start_time is not None
    assert span.end_time is not None
    assert 0 < span.end_time - span.start_time < 60e9
    assert span.instrumentation_scope is not None
    assert span.instrumentation_scope.name == "nova_sqlcore"
    found = attributes(span)
    assert found[db_attributes.DB_SYSTEM_NAME] == backend.name
    assert found[db_attributes.DB_NAMESPACE] == backend.url.database
    assert found[db_attributes.DB_OPERATION_NAME] == "service_get_all"
    assert found.get(server_attributes.SERVER_ADDRESS) == backend.url.host
    assert found.get(server_attributes.SERVER_PORT) == backend.url.port
    assert error_attributes.ERROR_TYPE not in found
    assert {key: found[f"nova_sqlcore.{key}"] for key in ("mode", "outcome", "attempt", "statements")} == {
        "mode": "reader",
        "outcome": "done",
        "attempt": 1,
        "statements": 1,
    }
    assert backend.url.password not in found.values()


def test_a_span_belongs_to_the_callers(admin: RequestContext) -> None:
    end = otel.instrument(PROVIDER)
    with trace.get_tracer("mine", tracer_provider=PROVIDER).start_as_current_span("boot"):
        api.service_get_all(admin)
    end()
    assert [parent(span) for span in spans()] == [None, "boot"]


@pytest.mark.only_on("sqlite", why="a report is made into a span, whatever the server")
class TestSpans:
    def test_refusals_are_answers_and_failures_are_errors(self, admin: RequestContext) -> None:
        end = otel.instrument(PROVIDER)
        with pytest.raises(exceptions.ServiceNotFound):
            api.service_get(admin, 1)
        with pytest.raises(exceptions.DBDataError):
            api.service_create(admin, {"report_count": "many"})
        end()
        refused, failed = spans()
        assert refused.status.is_unset
        assert "error.type" not in attributes(refused)
        assert attributes(refused)["nova_sqlcore.refusal"] == "ServiceNotFound"
        assert failed.status.status_code is trace.StatusCode.ERROR
        assert attributes(failed)["error.type"] == "DBDataError"

    def test_every_attempt(self, admin: RequestContext) -> None:
        end = otel.instrument(PROVIDER)
        for attempt in tx.attempts(admin):
            with attempt:
                if attempt.number < 3:
                    raise exceptions.DBDeadlock("once more")
        end()
        found = [attributes(span) for span in spans()]
        assert [(one["nova_sqlcore.attempt"], one["nova_sqlcore.outcome"]) for one in found] == [
            (1, "conflict"),
            (2, "conflict"),
            (3, "done"),
        ]
        assert [one.get("error.type") for one in found] == ["DBDeadlock", "DBDeadlock", None]

    def test_statements_and_joined_calls_form_a_tree(self, admin: RequestContext) -> None:
        end = otel.instrument(PROVIDER, statements=True)
        with tx.writer.named("resize")(admin) as t:
            api.service_create(admin, {"host": "h", "binary": "b", "topic": "t"})
            with t.savepoint():
                api.service_get_all(admin)
        end()
        names = [(span.name.split()[0] if "SAVE" in span.name else span.name, parent(span)) for span in spans()]
        whole = names[0][0]
        created, listed = (name for name, _ in names if name.startswith("service_"))
        assert names == [
            (whole, None),
            (created, whole),
            ("INSERT services", created),
            ("SAVEPOINT", whole),
            (listed, whole),
            ("SELECT services", listed),
            ("RELEASE", whole),
        ]
        kinds = {span.name: span.kind for span in spans()}
        assert (kinds[whole], kinds[created], kinds["SELECT services"]) == (
            trace.SpanKind.CLIENT,
            trace.SpanKind.INTERNAL,
            trace.SpanKind.CLIENT,
        )
        (select,) = [attributes(span) for span in spans() if span.name == "SELECT services"]
        assert select[db_attributes.DB_QUERY_TEXT].startswith("SELECT services.")
        assert select[db_attributes.DB_QUERY_SUMMARY] == "SELECT services"
        assert select["nova_sqlcore.function"] == "service_get_all"
        assert "'h'" not in str([attributes(span) for span in spans()])

    def test_statements_that_travel_together_are_side_by_side(self) -> None:
        made = otel._Spans(trace.get_tracer("x", tracer_provider=PROVIDER), has_parts=True)
        for text in ("INSERT INTO tags (a) VALUES (1)", "UPDATE tags SET a=2"):
            made.keep(tx.StatementReport("call", text, 0.1, began=5.0, transaction=1))
        made.note(tx.Report("call", "writer", "done", 2, 0.2, joined=True, began=4.9, transaction=1))
        made.note(tx.Report("block", "writer", "done", 2, 1.0, began=4.0, transaction=1))
        assert sorted((span.name, parent(span) or "") for span in spans()) == [
            ("INSERT tags", "call"),
            ("UPDATE tags", "call"),
            ("block", ""),
            ("call", "block"),
        ]

    def test_a_transaction_of_very_many_calls_has_some_of_them(
        self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(otel, "MOST_PARTS", 3)
        end = otel.instrument(PROVIDER)
        with tx.writer(admin):
            for _ in range(5):
                api.service_get_all(admin)
        end()
        assert len(spans()) == 4
        assert attributes(spans()[0])["nova_sqlcore.spans_left_out"] == 2

    def test_blocks_that_never_end_are_forgotten(self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(otel, "MOST_OPEN", 2)
        kept = otel._Spans(trace.get_tracer("x", tracer_provider=PROVIDER), has_parts=True)
        for number in range(5):
            kept.keep(tx.StatementReport("f", "SELECT 1", 0.1, transaction=number))
        assert list(kept._open) == [3, 4]

    def test_a_database_in_memory_and_one_nobody_has_reached(self, admin: RequestContext) -> None:
        database = tx.Database("nowhere")
        database.configure("postgresql+psycopg://u:hunter2@127.0.0.1:1/nova")
        admin.db_connection = database
        end = otel.instrument(PROVIDER)
        with pytest.raises(exceptions.DBConnectionError):
            api.service_get_all(admin)
        end()
        (found,) = [attributes(span) for span in spans()]
        assert (found["db.system.name"], found["server.port"]) == ("postgresql", 1)
        assert (found["nova_sqlcore.outcome"], found["error.type"]) == ("failed", "DBConnectionError")
        assert "hunter2" not in str(found)


@pytest.mark.parametrize(
    ("text", "short"),
    [
        ("SELECT services.id, x FROM services WHERE id = ?", "SELECT services"),
        ("INSERT INTO `tags` (a) VALUES (%s)", "INSERT tags"),
        ("UPDATE quota_usages SET in_use=1", "UPDATE quota_usages"),
        ("DELETE FROM consoles WHERE id IN (SELECT 1 FROM x)", "DELETE consoles"),
        ("SAVEPOINT nova_7f_1", "SAVEPOINT"),
        ("SELECT 1", "SELECT"),
        ("UPDATE /*action='f',framework='nova_sqlcore'*/ tags SET a=1", "UPDATE tags"),
        ("", ""),
    ],
)
def test_summaries(text: str, short: str) -> None:
    assert otel.summary(text) == short
