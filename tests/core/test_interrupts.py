# SPDX-License-Identifier: Apache-2.0

"""Exceptions out of nowhere: signals, at every line of the core and at random moments.

Whatever an exception cuts short, no later call gets another call's answer, no lock stays, no connection leaks.
"""

from __future__ import annotations

import contextlib
import gc
import pathlib
import random
import signal
import sys
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

import nova_sqlcore
from nova_sqlcore import RequestContext, exceptions, get_admin_context, tables, tx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import FrameType

    from tests.plugins.backend import Backend

    Work = Callable[[RequestContext, int], Any]

T = tables.certificates
_NUMBER = sa.select(sa.bindparam("number", type_=sa.Integer).label("number"))
_BY_NAME = sa.select(T.c.file_name).where(T.c.file_name == sa.bindparam("name"))
_CHANGE = sa.update(T).where(T.c.file_name == sa.bindparam("by_name")).values(project_id=sa.bindparam("project"))
CORE = pathlib.Path(nova_sqlcore.__file__).parent
FILES = {str(path) for path in (CORE / "core").rglob("*.py")} | {str(CORE / "tx.py")}
#: Per kind of exception and back-end.
SIGNALS = 200
#: The lines are the same on every back-end: servers, which are slow, meet some of them.
STRIDE = 11
#: In each of the pools.
PLACES = 3

pytestmark = [
    # psycopg says so when it closes a connection that was cut short as it was made
    pytest.mark.filterwarnings("ignore:.*was deleted while still open"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
]


class SoftLimit(Exception):  # named as Celery's SoftTimeLimitExceeded is: an ordinary Exception
    """Comes out of a signal handler, at any moment."""


class Stop(BaseException):
    """Comes out of a signal handler, as KeyboardInterrupt does."""


@tx.reader
def echo(context: Any, number: int) -> int:
    """Return ``number``, from the server."""
    return int(tx.current(context).scalar(_NUMBER, number=number))


@tx.writer
def write(context: Any, name: str) -> None:
    t = tx.current(context)
    row = t.insert(T, {"file_name": name})
    assert t.scalar(_BY_NAME, name=name) == name
    assert row["id"]


def read(context: RequestContext, number: int) -> None:
    assert echo(context, number) == number


def block(context: RequestContext, number: int) -> None:
    with tx.reader(context) as t:
        assert t.scalar(_NUMBER, number=number) == number
        assert echo(context, number + 1) == number + 1


def change(context: RequestContext, number: int) -> None:
    write(context, f"written {number}")


def much(context: RequestContext, number: int) -> None:
    with tx.writer(context) as t:
        write(context, f"much {number}")
        with contextlib.suppress(ValueError), t.savepoint():
            t.insert_many(T, [{"file_name": f"undone {number}"}, {"file_name": "undone"}])
            raise ValueError
        t.execute_many(_CHANGE, [{"by_name": f"much {number}", "project": "a"}])
        assert t.execute(_CHANGE, by_name=f"much {number}", project="b") == 1
        with tx.writer.independent(context) as other:
            assert other.scalar(_NUMBER, number=number) == number
        for attempt in tx.attempts(context):
            with attempt:
                assert t.scalar(_NUMBER, number=number) == number


def batch(context: RequestContext, number: int) -> None:
    with tx.writer(context) as t:
        stored = t.later.insert(T, {"file_name": f"batch {number}"})
        t.later.insert_many(T, [{"file_name": f"batch {number} {place}"} for place in range(2)])
        asked = t.later.rows(_NUMBER, number=number)
        assert t.scalar(_NUMBER, number=number + 1) == number + 1
        assert asked.get() == [{"number": number}]
        assert stored.get()["id"]
        assert t.last().execute(_CHANGE, by_name=f"batch {number}", project="b") == 1


def alone(context: RequestContext, number: int) -> None:
    with tx.writer(context) as t:
        assert t.last().scalar(_NUMBER, number=number) == number


def exposed(context: RequestContext, number: int) -> None:
    with tx.reader.connection.using(context) as connection:
        assert connection.execute(_NUMBER, {"number": number}).scalar() == number


WORKS = (read, block, change, much, batch, alone, exposed)


@pytest.fixture(autouse=True)
def _a_database_that_does_not_wait(backend: Backend) -> Iterator[None]:
    """Let a lock that stays show itself at once."""
    tx.close()
    tx.configure(backend.url, busy_timeout=0.2, pool_size=PLACES, max_overflow=0, pool_timeout=1)
    for number in range(2):
        for work in WORKS:
            work(get_admin_context(), number)
    yield
    check_places()
    tx.close()


def check(context: RequestContext, number: int) -> None:
    """See that later calls are as if nothing had happened."""
    for one in (context, get_admin_context()):
        assert not getattr(one, "transaction", None)
        assert echo(one, number) == number
        with tx.writer(one) as t:
            assert t.execute(sa.delete(T)) >= 0
            t.insert(T, {"file_name": f"check {number}"})
            assert t.scalar(_NUMBER, number=number) == number
        with tx.reader(one) as t:
            assert t.scalars(sa.select(T.c.file_name)) == [f"check {number}"]


def check_places() -> None:
    """See that every place in the pools can still be had."""
    with contextlib.ExitStack() as stack:
        for _ in range(PLACES - len(tx.main._kept.get("reader", []))):
            stack.callback(tx.main.link_reader().discard)
        for _ in range(PLACES):
            stack.callback(tx.main.link_writer().close)


class Injection:
    """Raises ``error`` at the line of the core that is the ``place``-th to be run."""

    def __init__(self, place: int, error: type[BaseException]) -> None:
        self.place = place
        self.lines = 0
        self.where = ""
        self._error = error

    def __call__(self, frame: FrameType, event: str, argument: Any) -> Any:
        if frame.f_code.co_filename not in FILES:
            return None
        if event == "line":
            self.lines += 1
            if self.lines == self.place:
                self.where = f"{frame.f_code.co_filename}:{frame.f_lineno}"
                raise self._error
        return self

    def run(self, work: Work, context: RequestContext, number: int) -> None:
        before = sys.gettrace()
        sys.settrace(self)
        try:
            work(context, number)
        finally:
            sys.settrace(before)


@pytest.mark.parametrize("error", [SoftLimit, Stop])
@pytest.mark.parametrize("work", WORKS)
def test_at_every_line(backend: Backend, work: Work, error: type[BaseException]) -> None:
    context = get_admin_context()
    for place in range(1, 5000, 1 if backend.family == "sqlite" else STRIDE):
        injection = Injection(place, error)
        with contextlib.suppress(error, exceptions.DBError):
            injection.run(work, context, place)
        try:
            check(context, place)
        except BaseException as failure:
            failure.add_note(f"after {error.__name__} at line {place} of {work.__name__}: {injection.where}")
            raise
        if not injection.where:
            return
    raise AssertionError("it never ends")


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")  # PyMySQL's, if its connect is cut short
@pytest.mark.parametrize("error", [SoftLimit, Stop])
def test_at_random_moments(backend: Backend, error: type[BaseException]) -> None:
    def ring(*_: Any) -> None:
        raise error

    chance = random.Random(7)
    context = get_admin_context()
    before = signal.signal(signal.SIGALRM, ring)
    met = 0
    try:
        for number in range(SIGNALS):
            work = WORKS[number % len(WORKS)]
            try:
                signal.setitimer(signal.ITIMER_REAL, chance.uniform(0.00002, 0.004))
                work(context, number)
                signal.setitimer(signal.ITIMER_REAL, 0)
            except (error, exceptions.DBError):
                met += 1
            except sa.exc.StatementError:  # as SQLAlchemy wraps it for a statement of the caller's own
                met += 1
            except AssertionError as failure:  # SQLAlchemy's, if its own end of a transaction is cut short
                if not isinstance(failure.__context__, error):
                    raise
                met += 1
            finally:
                with contextlib.suppress(error):
                    signal.setitimer(signal.ITIMER_REAL, 0)
            check(context, number)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        gc.collect()  # of this test, not of another one
    assert met
