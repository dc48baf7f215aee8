# SPDX-License-Identifier: Apache-2.0

"""Conflicts: who retries, how often, and what a second attempt sees (01-core 4.10)."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pymysql
import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, exceptions, get_admin_context, tables, tx
from nova_sqlcore.core import link, retry
from tests.queries import threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.plugins.backend import Backend

pytestmark = pytest.mark.usefixtures("backend")

_COUNT = sa.select(sa.func.count().label("n")).select_from(tables.certificates)

#: What servers say of a transaction that lost against another one.
CONFLICTS: dict[str, list[Exception]] = {
    "sqlite": [sqlite3.OperationalError(f"database {what} locked") for what in ("is", "table is", "is")],
    "mysql": [pymysql.OperationalError(number, "try restarting transaction") for number in (1213, 1205, 1020)],
    "postgresql": [
        psycopg.errors.DeadlockDetected(),
        psycopg.errors.SerializationFailure(),
        psycopg.errors.LockNotAvailable(),
    ],
}


@pytest.fixture
def database(backend: Backend) -> Iterator[Callable[..., tx.Database]]:
    """Return a function that makes another database at the address of the test's, with options of its own."""
    with contextlib.ExitStack() as stack:

        def make(**options: Any) -> tx.Database:
            made = tx.Database("with options")
            made.configure(backend.url, **options)
            stack.callback(made.close)
            return made

        yield make


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


def _decorated(flaky: Flaky, scope: tx.Scope[tx.Transaction] = tx.writer) -> Any:
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
@pytest.mark.parametrize("number", range(3))
def test_a_conflict_that_a_listener_injects(
    admin: RequestContext, backend: Backend, database: Callable[..., tx.Database], losses: int, number: int
) -> None:
    conflict = CONFLICTS[backend.family][number]
    flaky = Flaky()
    admin.db_connection = database(attempts=6)
    engine = admin.db_connection.engine

    def inject(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if statement.startswith("INSERT") and flaky.calls <= losses:
            raise conflict

    sa.event.listen(engine, "before_cursor_execute", inject)
    try:
        if losses < 6:
            assert _decorated(flaky)(admin) == "done"
        else:
            with pytest.raises(exceptions.DBDeadlock):
                _decorated(flaky)(admin)
    finally:
        sa.event.remove(engine, "before_cursor_execute", inject)
    assert flaky.calls == min(losses + 1, 6)


def test_who_listens_to_errors_alone_sees_them(admin: RequestContext) -> None:
    seen: list[Any] = []

    def listen(about: Any) -> None:
        seen.append((about.statement, about.original_exception))

    sa.event.listen(tx.main.engine, "handle_error", listen)
    try:
        with pytest.raises(exceptions.DBError) as raised, tx.writer(admin) as t:
            t.insert(tables.cells, {"name": "without transport_url"})
    finally:
        sa.event.remove(tx.main.engine, "handle_error", listen)
    ((statement, error),) = seen
    assert statement.startswith("INSERT INTO cells")
    assert raised.value.inner_exception is error


def test_two_who_wait_for_each_other(backend: Backend) -> None:
    """A deadlock of the server's own making; sqlite lets writers in one by one."""
    identities = [_add(name) for name in "ab"]
    update = sa.update(tables.certificates).where(tables.certificates.c.id == sa.bindparam("by"))
    update = update.values(project_id=sa.bindparam("project"))
    held = threading.Barrier(2)
    attempts: list[int] = []

    @tx.writer
    def change(context: Any, first: int, second: int) -> None:
        attempts.append(first)
        tx.current(context).execute(update, by=first, project=str(first))
        if attempts.count(first) == 1 and backend.family != "sqlite":
            held.wait(timeout=30)
        tx.current(context).execute(update, by=second, project=str(first))

    forth, back = identities, identities[::-1]
    threads.at_once([lambda context: change(context, *forth), lambda context: change(context, *back)])
    # on a busy machine the loser may come back before the winner has gone on
    assert len(attempts) == 2 if backend.family == "sqlite" else len(attempts) >= 3
    with tx.reader(get_admin_context()) as t:
        assert len(set(t.scalars(sa.select(tables.certificates.c.project_id)))) == 1


@pytest.mark.only_on("sqlite", why="elsewhere writers of other rows do not wait")
@pytest.mark.parametrize("options", [{"busy_timeout": 1}, {"lock_timeout": 1}, {"busy_timeout": 1, "lock_timeout": 30}])
def test_a_writer_waits_as_long_as_it_is_told_and_no_longer(
    admin: RequestContext, database: Callable[..., tx.Database], options: dict[str, float]
) -> None:
    hasty, calls = database(**options), []

    @hasty.writer
    def write(context: Any) -> None:
        calls.append(1)
        tx.current(context).insert(tables.certificates, {})

    with tx.writer(admin) as t:
        t.insert(tables.certificates, {})
        began = time.perf_counter()
        with pytest.raises(exceptions.DBLockTimeout):
            write(get_admin_context())
        assert 0.9 < time.perf_counter() - began < 2
        assert len(calls) == 1
    write(get_admin_context())


@pytest.mark.only_on("sqlite", why="elsewhere writers of other rows do not wait")
def test_a_writer_that_does_not_wait(admin: RequestContext, database: Callable[..., tx.Database]) -> None:
    hasty = database(busy_timeout=0)
    with tx.writer(admin) as t:
        t.insert(tables.certificates, {})
        began = time.perf_counter()
        with pytest.raises(exceptions.DBDeadlock):
            _decorated(Flaky(), hasty.writer)(get_admin_context())
        assert time.perf_counter() - began < 0.5


def _add(name: str) -> int:
    with tx.writer(get_admin_context()) as t:
        return int(t.insert(tables.certificates, {"file_name": name})["id"])


def test_attempts_until_the_deadline_then_the_conflict_itself(
    admin: RequestContext, database: Callable[..., tx.Database]
) -> None:
    admin.db_connection = database(retry_deadline=0.5)
    flaky = Flaky(*[exceptions.DBDeadlock(str(number)) for number in range(1000)])
    began = time.perf_counter()
    with pytest.raises(exceptions.DBDeadlock) as raised:
        _decorated(flaky)(admin)
    assert 0.4 < time.perf_counter() - began < 10  # how busy the machine is must not matter
    assert str(raised.value) == str(flaky.calls - 1)
    assert flaky.calls > 6
    assert _count(admin) == 0


@pytest.mark.parametrize("options", [{"attempts": 6}, {"attempts": 6, "retry_deadline": 3600}])
def test_so_many_attempts_then_the_conflict_itself(
    admin: RequestContext, database: Callable[..., tx.Database], options: dict[str, float]
) -> None:
    admin.db_connection = database(**options)
    flaky = Flaky(*[exceptions.DBDeadlock() for _ in range(10)])
    with pytest.raises(exceptions.DBDeadlock):
        _decorated(flaky)(admin)
    assert (flaky.calls, _count(admin)) == (6, 0)


@pytest.mark.parametrize("options", [{"attempts": 1}, {"retry_deadline": 0}])
def test_one_attempt(admin: RequestContext, database: Callable[..., tx.Database], options: dict[str, float]) -> None:
    admin.db_connection = database(**options)
    flaky = Flaky(exceptions.DBDeadlock())
    with pytest.raises(exceptions.DBDeadlock):
        _decorated(flaky)(admin)
    assert flaky.calls == 1


def test_more_than_six_conflicts_do_not_reach_the_caller(admin: RequestContext) -> None:
    flaky = Flaky(*[exceptions.DBDeadlock() for _ in range(12)])
    assert _decorated(flaky)(admin) == "done"
    assert (flaky.calls, _count(admin)) == (13, 1)


def test_a_wait_for_a_lock_is_not_begun_again_when_its_time_is_over(
    admin: RequestContext, database: Callable[..., tx.Database]
) -> None:
    admin.db_connection = database(lock_timeout=1)
    assert _count(admin) == 0  # it is connected, which may take its time
    flaky = Flaky(*[exceptions.DBLockTimeout() for _ in range(1000)])
    began = time.perf_counter()
    with pytest.raises(exceptions.DBLockTimeout):
        _decorated(flaky)(admin)
    assert time.perf_counter() - began < 3
    assert flaky.calls > 1


def test_pauses_grow_and_shrink_again(database: Callable[..., tx.Database], monkeypatch: pytest.MonkeyPatch) -> None:
    now, slept = [100.0], []

    def sleep(seconds: float) -> None:
        slept.append(seconds)
        now[0] += seconds

    monkeypatch.setattr("time.sleep", sleep)
    monkeypatch.setattr("time.perf_counter", lambda: now[0])
    conflict = exceptions.DBDeadlock()
    call = retry.Retry(database(retry_deadline=5), "call", 100)
    with pytest.raises(exceptions.DBDeadlock):
        while True:
            call.pause_or_raise(conflict)
    assert now[0] == pytest.approx(105)
    assert slept[0] <= retry.FIRST_PAUSE
    assert 15 < len(slept) < 200
    assert retry.LONGEST_PAUSE / 4 < max(slept) <= retry.LONGEST_PAUSE
    assert max(slept[-3:]) < 0.1
    assert len(set(slept)) > len(slept) / 2  # nobody meets the same competitor again and again


def test_a_deadline_of_days(database: Callable[..., tx.Database], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    call = retry.Retry(database(retry_deadline=1e6), "call", time.perf_counter())
    for _ in range(2000):
        call.pause_or_raise(exceptions.DBDeadlock())


@pytest.mark.parametrize("error", [ValueError("x"), exceptions.DBError("x"), exceptions.DBDuplicateEntry()])
def test_other_errors_leave_at_once(admin: RequestContext, error: Exception) -> None:
    flaky = Flaky(error)
    with pytest.raises(type(error)):
        _decorated(flaky)(admin)
    assert flaky.calls == 1


def test_a_scope_may_retry_on_an_error_of_its_own(admin: RequestContext, database: Callable[..., tx.Database]) -> None:
    admin.db_connection = database(attempts=6)
    flaky = Flaky(KeyError("mine"))
    assert _decorated(flaky, tx.writer.retrying(KeyError))(admin) == "done"
    flaky = Flaky(*[KeyError("mine") for _ in range(10)])
    with pytest.raises(KeyError):
        _decorated(flaky, tx.writer.retrying(KeyError))(admin)
    assert flaky.calls == 6


def test_a_request_to_retry_is_unwrapped_in_the_end(
    admin: RequestContext, database: Callable[..., tx.Database]
) -> None:
    admin.db_connection = database(attempts=6)
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
        assert _decorated(flaky, tx.writer.savepoint)(admin) == "done"
    assert (flaky.calls, _count(admin)) == (2, 1)


def test_attempts_runs_the_block_again(admin: RequestContext) -> None:
    flaky = Flaky(exceptions.DBDeadlock())
    for attempt in tx.attempts(admin):
        with attempt:
            flaky(admin)
    assert (flaky.calls, _count(admin)) == (2, 1)


def test_attempts_gives_up_and_lets_other_errors_pass(
    admin: RequestContext, database: Callable[..., tx.Database]
) -> None:
    admin.db_connection = database(attempts=6)
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


def test_attempts_meets_a_conflict_at_the_commit(
    admin: RequestContext, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    flaky, errors, commit = Flaky(), CONFLICTS[backend.family][:1], link.Link.commit

    def lose_once(self: link.Link) -> None:
        if errors:
            raise errors.pop()
        commit(self)

    monkeypatch.setattr(link.Link, "commit", lose_once)
    numbers = []
    for attempt in tx.attempts(admin):
        numbers.append(attempt.number)
        with attempt:
            flaky(admin)
    assert (numbers, flaky.calls, _count(admin)) == ([1, 2], 2, 1)


def test_attempts_lets_a_conflict_of_a_hook_pass(admin: RequestContext) -> None:
    def hook() -> None:
        raise exceptions.DBDeadlock("of the hook")

    flaky = Flaky()
    with pytest.raises(exceptions.DBDeadlock, match="of the hook"):
        for attempt in tx.attempts(admin):
            with attempt as t:
                flaky(admin)
                t.after_commit(hook)
    assert (flaky.calls, _count(admin)) == (1, 1)


def test_attempts_pauses_in_between(admin: RequestContext, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("time.sleep", pauses.append)
    flaky = Flaky(exceptions.DBDeadlock(), exceptions.DBDeadlock())
    for attempt in tx.attempts(admin):
        with attempt:
            flaky(admin)
    assert len(pauses) == 2
    assert all(0 < pause <= retry.LONGEST_PAUSE for pause in pauses)


def test_wrap_db_retry_counts_and_unwraps() -> None:
    calls: list[int] = []

    @tx.wrap_db_retry(max_retries=2, retry_on_request=True)
    def request() -> None:
        calls.append(1)
        raise exceptions.RetryRequest(LookupError())

    with pytest.raises(LookupError):
        request()
    assert len(calls) == 3


@pytest.mark.parametrize(
    ("options", "errors", "calls"),
    [
        ({"retry_on_deadlock": True}, [exceptions.DBDeadlock()], 2),
        ({"retry_on_disconnect": True}, [exceptions.DBConnectionError()] * 2, 3),
        ({"exception_checker": lambda error: isinstance(error, KeyError)}, [KeyError("k")], 2),
        ({"retry_on_deadlock": True}, [exceptions.DBConnectionError()], 1),
        ({}, [exceptions.DBDeadlock()], 1),
        ({"retry_on_deadlock": True, "retry_on_request": True}, [exceptions.DBDuplicateEntry()], 1),
        ({"retry_on_deadlock": True}, [exceptions.DBDeadlock("first"), exceptions.DBDeadlock("x")] * 2, 4),
    ],
)
def test_what_wrap_db_retry_retries(options: dict[str, Any], errors: list[Exception], calls: int) -> None:
    left, called = list(errors), []

    @tx.wrap_db_retry(max_retries=3, **options)
    def function() -> str:
        """Fail as often as it is told to."""
        called.append(1)
        if left:
            raise left.pop(0)
        return "done"

    assert (function.__name__, function.__doc__) == ("function", "Fail as often as it is told to.")
    if calls > len(errors):
        assert function() == "done"
    else:
        with pytest.raises(exceptions.DBError) as raised:
            function()
        assert raised.value is errors[calls - 1]
    assert len(called) == calls


def test_wrap_db_retry_waits_longer_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)

    @tx.wrap_db_retry(1, 4, True, 3, retry_on_deadlock=True)
    def conflict() -> None:
        raise exceptions.DBDeadlock("why") from ValueError("cause")

    with pytest.raises(exceptions.DBDeadlock) as raised:
        conflict()
    assert slept == [1, 2, 3, 3]
    assert str(raised.value.__cause__) == "cause"


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
