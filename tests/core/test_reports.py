# SPDX-License-Identifier: Apache-2.0

"""What observers are told about transactions, calls and statements."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, cast

import pytest

from nova_sqlcore import RequestContext, api, exceptions, tx
from nova_sqlcore.core import reports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugins.backend import Backend

pytestmark = pytest.mark.usefixtures("backend", "nobody_else")


@pytest.fixture
def nobody_else() -> Iterator[None]:
    yield
    assert not reports.transactions
    assert not reports.calls
    assert not reports.statements


def test_several_observers_each_with_its_remover(admin: RequestContext) -> None:
    first: list[tx.Report] = []
    second: list[tx.Report] = []
    ends = [tx.observe(first.append), tx.observe(second.append)]
    api.service_get_all(admin)
    ends[0]()
    ends[0]()
    api.service_get_all(admin)
    ends[1]()
    api.service_get_all(admin)
    assert (len(first), len(second)) == (1, 2)
    assert first[0].database == "main database"
    assert (first[0].attempt, first[0].error, first[0].joined, first[0].statements) == (1, None, False, 1)
    assert 0 <= first[0].waited <= first[0].seconds


def test_none_removes_all_observers(admin: RequestContext) -> None:
    seen: list[tx.Report] = []
    tx.observe(seen.append)
    tx.observe(seen.append, joined=True)
    tx.observe(None)()
    api.service_get_all(admin)
    assert not seen


def test_an_error_of_the_domain_is_a_refusal(admin: RequestContext) -> None:
    seen: list[tx.Report] = []
    end = tx.observe(seen.append)
    with pytest.raises(exceptions.ServiceNotFound):
        api.service_get(admin, 1)
    with pytest.raises(exceptions.DBDataError):
        api.service_create(admin, {"report_count": "many"})
    end()
    assert [(one.outcome, one.error) for one in seen] == [("refused", "ServiceNotFound"), ("failed", "DBDataError")]


def test_calls_that_fail_before_they_have_a_transaction(admin: RequestContext) -> None:
    seen: list[tx.Report] = []
    end = tx.observe(seen.append, joined=True)
    nobody, nothing = RequestContext(), cast("Any", None)
    with pytest.raises(exceptions.Forbidden):
        api.instance_get_by_uuid(nobody, "x")
    with pytest.raises(exceptions.Forbidden):
        api.flavor_extra_specs_update_or_create(nobody, "x", {})  # which has no scope of its own
    with pytest.raises(exceptions.NoContext):
        api.instance_get_by_uuid(nothing, "x")
    with pytest.raises(exceptions.NoContext):
        api.service_get(nothing, 1)
    with pytest.raises(TypeError):
        api.service_get()  # type: ignore[call-arg]  # a forgotten context
    with pytest.raises(exceptions.BadArgument):
        api.service_create(admin, cast("Any", "host"))
    with tx.reader(admin), pytest.raises(TypeError):
        api.service_update(admin, 1, {})
    end()
    assert [(one.name, one.mode, one.outcome, one.error, one.joined) for one in seen] == [
        ("instance_get_by_uuid", "reader", "refused", "Forbidden", False),
        ("flavor_extra_specs_update_or_create", "reader", "refused", "Forbidden", False),
        ("instance_get_by_uuid", "reader", "failed", "NoContext", False),
        ("service_get", "reader", "failed", "NoContext", False),
        ("service_get", "reader", "failed", "TypeError", False),
        ("service_create", "writer", "failed", "BadArgument", False),
        ("service_update", "reader", "failed", "TypeError", True),
        ("block", "reader", "done", None, False),
    ]
    assert all((one.statements, one.round_trips, one.database) == (0, 0, "main database") for one in seen)


def test_attempts_are_numbered(admin: RequestContext) -> None:
    seen: list[tx.Report] = []
    end = tx.observe(seen.append)

    @tx.writer
    def conflicts_once(context: RequestContext) -> None:
        if len(seen) < 1:
            raise exceptions.DBDeadlock("once")

    conflicts_once(admin)
    for attempt in tx.attempts(admin):
        with attempt:
            if len(seen) < 3:
                raise exceptions.DBDeadlock("once more")
    end()
    assert [(one.outcome, one.attempt) for one in seen] == [("conflict", 1), ("done", 2), ("conflict", 1), ("done", 2)]


def test_calls_inside_a_block_are_seen_by_who_asks(admin: RequestContext) -> None:
    transactions: list[tx.Report] = []
    every: list[tx.Report] = []
    ends = [tx.observe(transactions.append), tx.observe(every.append, joined=True)]
    with tx.writer(admin):
        api.service_get_all(admin)
        with pytest.raises(exceptions.ServiceNotFound):
            api.service_get(admin, 1)
    for end in ends:
        end()
    assert [(one.name, one.statements) for one in transactions] == [("block", 2)]
    assert [(one.name, one.joined, one.outcome, one.statements) for one in every] == [
        ("service_get_all", True, "done", 1),
        ("service_get", True, "refused", 1),
        ("block", False, "done", 2),
    ]


def test_every_statement_with_its_function(admin: RequestContext) -> None:
    seen: list[tx.StatementReport] = []
    end = tx.observe_statements(seen.append)
    with tx.writer(admin) as t:
        api.service_create(admin, {"host": "h", "binary": "b", "topic": "t"})
        with t.savepoint():
            api.service_get_all(admin)
    api.service_get_all(admin)
    end()
    api.service_get_all(admin)
    words = [(one.name, one.text.split()[0]) for one in seen]
    assert words == [
        ("service_create", "INSERT"),
        ("block", "SAVEPOINT"),
        ("service_get_all", "SELECT"),
        ("block", "RELEASE"),
        ("service_get_all", "SELECT"),
    ]
    assert all(one.error is None and one.seconds > 0 for one in seen)


def test_many_rows_and_errors_among_statements(admin: RequestContext) -> None:
    seen: list[tx.StatementReport] = []
    end = tx.observe_statements(seen.append)
    api.floating_ip_bulk_create(admin, [{"address": f"10.0.0.{n}", "pool": "p"} for n in (1, 2)], want_result=False)
    with pytest.raises(exceptions.FloatingIpExists):
        api.floating_ip_bulk_create(admin, [{"address": "10.0.0.1", "pool": "p"}], want_result=False)
    end()
    assert {one.name for one in seen} == {"floating_ip_bulk_create"}
    assert any(one.text.startswith("INSERT INTO floating_ips") for one in seen)
    assert "DBDuplicateEntry" in {one.error for one in seen}


def test_an_observer_that_fails_is_logged(admin: RequestContext, caplog: pytest.LogCaptureFixture) -> None:
    def fails(report: object) -> None:
        raise ValueError("not mine")

    seen: list[tx.Report] = []
    ends = [tx.observe(fails), tx.observe(seen.append), tx.observe_statements(fails)]
    assert api.service_get_all(admin) == []
    for end in ends:
        end()
    assert len(seen) == 1
    assert caplog.text.count("an observer failed") == 2


def test_slow_calls_are_logged(admin: RequestContext, backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    end = tx.observe(reports.slow_call_log(0.0))
    with caplog.at_level(logging.WARNING):
        api.service_get_all(admin)
    end()
    assert "slow: service_get_all took" in caplog.text
    assert f"1 statements, {int(backend.family != 'sqlite')} round trips" in caplog.text
    end = tx.observe(reports.slow_call_log(1000))
    caplog.clear()
    api.service_get_all(admin)
    end()
    assert not caplog.text
