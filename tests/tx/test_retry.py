"""Conflicts: who retries, how often, and what a second attempt sees (01-core 4.10)."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import psycopg
import pymysql
import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, exceptions, tables, tx

if TYPE_CHECKING:
    from tests.plugins.backend import Backend

pytestmark = pytest.mark.usefixtures("backend")

_COUNT = sa.select(sa.func.count().label("n")).select_from(tables.certificates)


class Flaky:
    """A writer that raises its errors one after the other, then succeeds."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.calls = 0

    def __call__(self, context: Any) -> str:
        self.calls += 1
        tx.current(context).insert(tables.certificates, {"file_name": f"attempt {self.calls}"})
        if self.errors:
            raise self.errors.pop(0)
        return "done"


def _decorated(flaky: Flaky, scope: tx.Scope = tx.writer) -> Any:
    def flaky_writer(context: Any) -> str:
        return flaky(context)

    return scope(flaky_writer)


def _count(context: Any) -> int:
    with tx.reader(context) as t:
        return int(t.scalar(_COUNT))


def test_a_conflict_runs_the_whole_transaction_again(admin: RequestContext) -> None:
    flaky = Flaky(exceptions.DBDeadlock(), exceptions.DBDeadlock())
    assert _decorated(flaky)(admin) == "done"
    assert (flaky.calls, _count(admin)) == (3, 1)


@pytest.mark.parametrize("losses", [2, 6])
def test_a_conflict_that_a_listener_injects(admin: RequestContext, backend: Backend, losses: int) -> None:
    conflicts = {
        "sqlite": sqlite3.OperationalError("database is locked"),
        "mysql": pymysql.OperationalError(1213, "Deadlock found when trying to get lock"),
        "postgresql": psycopg.errors.DeadlockDetected("deadlock detected"),
    }
    flaky = Flaky()
    engine = tx.main.engine

    def inject(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.startswith("INSERT") and flaky.calls <= losses:
            raise conflicts[backend.name]

    sa.event.listen(engine, "before_cursor_execute", inject)
    try:
        if losses < 6:
            assert _decorated(flaky)(admin) == "done"
        else:
            with pytest.raises(exceptions.DBDeadlock):
                _decorated(flaky)(admin)
    finally:
        sa.event.remove(engine, "before_cursor_execute", inject)
        engine._has_events = False  # as ``statements_sent``
    assert flaky.calls == min(losses + 1, 6)


def test_six_attempts_then_the_conflict_itself(admin: RequestContext) -> None:
    flaky = Flaky(*[exceptions.DBDeadlock() for _ in range(10)])
    with pytest.raises(exceptions.DBDeadlock):
        _decorated(flaky)(admin)
    assert (flaky.calls, _count(admin)) == (6, 0)


@pytest.mark.parametrize("error", [ValueError("x"), exceptions.DBError("x"), exceptions.DBDuplicateEntry()])
def test_other_errors_leave_at_once(admin: RequestContext, error: Exception) -> None:
    flaky = Flaky(error)
    with pytest.raises(type(error)):
        _decorated(flaky)(admin)
    assert flaky.calls == 1


def test_a_scope_may_retry_on_an_error_of_its_own(admin: RequestContext) -> None:
    flaky = Flaky(KeyError("mine"))
    assert _decorated(flaky, tx.writer.retrying(KeyError))(admin) == "done"
    flaky = Flaky(*[KeyError("mine") for _ in range(10)])
    with pytest.raises(KeyError):
        _decorated(flaky, tx.writer.retrying(KeyError))(admin)
    assert flaky.calls == 6


def test_a_request_to_retry_is_unwrapped_in_the_end(admin: RequestContext) -> None:
    flaky = Flaky(*[exceptions.RetryRequest(LookupError("no more")) for _ in range(10)])
    with pytest.raises(LookupError, match="no more"):
        _decorated(flaky)(admin)
    assert flaky.calls == 6


def test_a_joined_call_leaves_the_conflict_to_the_owner(admin: RequestContext) -> None:
    flaky = Flaky(exceptions.DBDeadlock())
    with pytest.raises(exceptions.DBDeadlock), tx.writer(admin):
        _decorated(flaky)(admin)
    assert (flaky.calls, _count(admin)) == (1, 0)


def test_a_joined_call_meets_a_request_to_retry_in_place(admin: RequestContext) -> None:
    flaky = Flaky(exceptions.RetryRequest(LookupError()))
    with tx.writer(admin):
        assert _decorated(flaky)(admin) == "done"
    assert flaky.calls == 2


def test_attempts_runs_the_block_again(admin: RequestContext) -> None:
    flaky = Flaky(exceptions.DBDeadlock())
    for attempt in tx.attempts(admin):
        with attempt:
            flaky(admin)
    assert (flaky.calls, _count(admin)) == (2, 1)


def test_attempts_gives_up_and_lets_other_errors_pass(admin: RequestContext) -> None:
    flaky = Flaky(*[exceptions.DBDeadlock() for _ in range(10)])
    with pytest.raises(exceptions.DBDeadlock):
        for attempt in tx.attempts(admin):
            with attempt:
                flaky(admin)
    assert flaky.calls == 6
    with pytest.raises(ValueError, match="x"):
        for attempt in tx.attempts(admin):
            with attempt:
                raise ValueError("x")


def test_wrap_db_retry_counts_and_unwraps() -> None:
    calls: list[int] = []

    @tx.wrap_db_retry(max_retries=2, retry_on_request=True)
    def request() -> None:
        calls.append(1)
        raise exceptions.RetryRequest(LookupError())

    with pytest.raises(LookupError):
        request()
    assert len(calls) == 3


def test_wrap_db_retry_does_not_repeat_inside_an_open_transaction(admin: RequestContext) -> None:
    calls: list[int] = []

    @tx.wrap_db_retry(max_retries=5, retry_on_deadlock=True)
    def conflict(context: Any) -> None:
        calls.append(1)
        raise exceptions.DBDeadlock

    with pytest.raises(exceptions.DBDeadlock), tx.writer(admin):
        conflict(admin)
    assert len(calls) == 1
    with pytest.raises(exceptions.DBDeadlock):
        conflict(admin)
    assert len(calls) == 7
