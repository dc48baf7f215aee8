# SPDX-License-Identifier: Apache-2.0

"""The task log (04-quotas-security 8)."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, cast

import pytest

from nova_sqlcore import RequestContext, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.hosts import task_log
from tests.queries import cell_factory, instance_factory, threads

if TYPE_CHECKING:
    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

Row = dict[str, Any]
BEGIN, END = datetime.datetime(2016, 4, 1), datetime.datetime(2016, 5, 1)
PERIOD = ("audit", BEGIN, END)


def begin(host: str = "h", context: RequestContext | None = None, message: str | None = "m", **more: Any) -> None:
    task_log.task_log_begin_task(context or get_admin_context(), *PERIOD, host, message=message, **more)


def end(host: str | None = "h", errors: int = 0, context: RequestContext | None = None, **more: Any) -> None:
    task_log.task_log_end_task(context or get_admin_context(), *PERIOD, host, errors, **more)


def get(host: str | None = "h", state: str | None = None, word: str = "yes") -> Row:
    found = task_log.task_log_get(get_admin_context(word), *PERIOD, host, state)
    assert found is not None
    return cast("Row", found)


class TestBegin:
    def test_the_run(self, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        with sql_count(1):
            begin(task_items=3)
        row = get()
        assert set(row) == set(tables.task_log.c.keys())
        assert row | {"id": None} == {
            "id": None,
            "task_name": "audit",
            "state": "RUNNING",
            "host": "h",
            "period_beginning": BEGIN,
            "period_ending": END,
            "message": "m",
            "task_items": 3,
            "errors": 0,
            "created_at": frozen_clock.now,
            "updated_at": None,
            "deleted_at": None,
            "deleted": 0,
        }

    @pytest.mark.parametrize("items", [None, 0])
    def test_no_items(self, items: int | None) -> None:
        begin(task_items=items)
        assert get()["task_items"] == 0

    @pytest.mark.parametrize("message", [None, ""])
    def test_a_message_is_needed(self, message: str | None) -> None:
        with pytest.raises(exceptions.DBError) as raised:
            begin(message=message)
        assert not isinstance(raised.value, exceptions.DBDuplicateEntry)

    def test_once_only(self, sql_count: SqlCount) -> None:
        begin()
        for change in (None, end, lambda: instance_factory.deleted("task_log", get())):
            if change is not None:
                change()
            with sql_count(1), pytest.raises(exceptions.TaskAlreadyRunning) as raised:
                begin()
            assert raised.value.kwargs == {"task_name": "audit", "host": "h", "code": 500}
        begin("other")

    def test_other_names_and_periods(self, admin: RequestContext) -> None:
        begin()
        for name, first, last in (("x", BEGIN, END), ("audit", END, END), ("audit", BEGIN, BEGIN)):
            task_log.task_log_begin_task(admin, name, first, last, "h", message="m")

    def test_a_run_that_has_begun_leaves_the_callers_transaction_alive(self, admin: RequestContext) -> None:
        begin()
        with tx.writer(admin):
            with pytest.raises(exceptions.TaskAlreadyRunning):
                begin(context=admin)
            begin("other", context=admin)
        assert get("other")["state"] == "RUNNING"

    def test_of_many_one_succeeds(self) -> None:
        def attempt(context: RequestContext) -> bool:
            try:
                begin(context=context)
            except exceptions.TaskAlreadyRunning:
                return False
            return True

        assert sorted(threads.at_once([attempt] * 6)) == [False] * 5 + [True]


class TestEnd:
    def test_the_run(self, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        begin(task_items=3)
        begin("other")
        row, other = get(), get("other")
        now = frozen_clock.advance(5)
        with sql_count(1):
            end(errors=2)
        assert get() == row | {"state": "DONE", "errors": 2, "updated_at": now}
        assert get("other") == other

    @pytest.mark.parametrize(("message", "shown"), [("bye", "bye"), ("", "m"), (None, "m")])
    def test_the_message(self, message: str | None, shown: str) -> None:
        begin()
        for _ in range(2):
            end(message=message)
        assert get()["message"] == shown

    def test_no_such_run(self) -> None:
        begin()
        with pytest.raises(exceptions.TaskNotRunning) as raised:
            end("other")
        assert raised.value.kwargs == {"task_name": "audit", "host": "other", "code": 500}

    def test_all_hosts(self) -> None:
        begin()
        begin("other")
        end(None, 1)
        assert (get()["state"], get("other")["errors"]) == ("DONE", 1)

    def test_visibility(self) -> None:
        begin()
        instance_factory.deleted("task_log", get())
        with pytest.raises(exceptions.TaskNotRunning):
            end()
        for errors, word in enumerate(("only", "yes"), 1):
            end(errors=errors, context=get_admin_context(word))
            assert get()["errors"] == errors


class TestGet:
    def test_by_host_and_state(self, admin: RequestContext, sql_count: SqlCount) -> None:
        for host in "bac":
            begin(host)
        end("a")
        rows = [get(host) for host in "bac"]
        with sql_count(5):
            assert task_log.task_log_get_all(admin, *PERIOD) == rows
            assert task_log.task_log_get_all(admin, *PERIOD, host="c") == [rows[2]]
            assert task_log.task_log_get_all(admin, *PERIOD, state="RUNNING") == [rows[0], rows[2]]
            assert task_log.task_log_get_all(admin, *PERIOD, "a", "RUNNING") == []
            assert task_log.task_log_get_all(admin, *PERIOD, state="") == []
        with sql_count(3):
            assert task_log.task_log_get(admin, *PERIOD, "a", state="DONE") == rows[1]
            assert task_log.task_log_get(admin, *PERIOD, "a", state="RUNNING") is None
            assert task_log.task_log_get(admin, *PERIOD, None) == rows[0]
        assert task_log.task_log_get(admin, *PERIOD, "a", state="") is None
        assert task_log.task_log_get(admin, "x", BEGIN, END, "a") is None
        assert task_log.task_log_get(admin, "audit", BEGIN, BEGIN, "a") is None

    def test_visibility(self, admin: RequestContext) -> None:
        begin()
        row = get()
        instance_factory.deleted("task_log", row)
        assert task_log.task_log_get(admin, *PERIOD, "h") is None
        assert task_log.task_log_get_all(admin, *PERIOD) == []
        for word in ("yes", "only"):
            assert get(word=word)["id"] == row["id"]
            assert len(task_log.task_log_get_all(get_admin_context(word), *PERIOD)) == 1

    @pytest.mark.parametrize(
        ("first", "last"),
        [
            (BEGIN, END),
            ("2016-04-01T00:00:00.000000", "2016-05-01T00:00:00"),
            ("2016-04-01", "2016-05-01T00:00:00Z"),
            ("2016-04-01 00:00:00+02:00", END.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=-5)))),
        ],
    )
    def test_periods_in_any_form(self, admin: RequestContext, first: Any, last: Any) -> None:
        task_log.task_log_begin_task(admin, "audit", first, last, "h", message="m")
        row = get()
        assert (row["period_beginning"], row["period_ending"]) == (BEGIN, END)
        assert task_log.task_log_get(admin, "audit", first, last, "h") == row
        assert task_log.task_log_get_all(admin, "audit", first, last) == [row]
        task_log.task_log_end_task(admin, "audit", first, last, "h", 1)
        assert get()["errors"] == 1

    def test_fractions_of_a_second(self, admin: RequestContext) -> None:
        first, last = (moment.replace(microsecond=700000) for moment in (BEGIN, END))
        task_log.task_log_begin_task(admin, "audit", first, last, "h", message="m")
        assert task_log.task_log_get(admin, "audit", first, last, "h") is not None
        task_log.task_log_end_task(admin, "audit", first, last, "h", 1)

    def test_text_that_is_no_time(self, admin: RequestContext) -> None:
        with pytest.raises(ValueError, match="Invalid isoformat"):
            task_log.task_log_get(admin, "audit", "abc", END, "h")


def test_nobody_is_refused() -> None:
    context = RequestContext()
    begin(context=context)
    end(context=context)
    assert task_log.task_log_get(context, *PERIOD, "h") is not None


def test_a_cell() -> None:
    with cell_factory.cell("task_log") as context:
        begin(context=context)
        end(context=context)
        assert task_log.task_log_get(context, *PERIOD, "h") is not None
        assert len(task_log.task_log_get_all(context, *PERIOD)) == 1
    assert task_log.task_log_get(get_admin_context(), *PERIOD, "h") is None
