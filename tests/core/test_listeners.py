# SPDX-License-Identifier: Apache-2.0

"""Whoever listens to SQLAlchemy's events sees every statement, and the driver's road comes back when nobody does."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, api, get_admin_context, tables, tx
from nova_sqlcore.core import internals, roads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.plugins.backend import Backend

T = tables.certificates
_NAMES = sa.select(T.c.file_name).order_by(T.c.id)
EVENTS = ("before_cursor_execute", "after_cursor_execute", "before_execute", "after_execute")


@pytest.fixture(params=["fresh", "used"])
def used(request: pytest.FixtureRequest, backend: Backend) -> Iterator[None]:
    """Begin without any connection, or with idle ones."""
    tx.close()
    tx.configure(backend.url)
    if request.param == "used":
        _read(get_admin_context())
        _write(get_admin_context())
    yield
    tx.close()


@tx.reader
def _read(context: Any) -> list[Any]:
    return tx.current(context).scalars(_NAMES)


def _write(context: Any) -> None:
    with tx.writer(context) as t:
        t.insert(T, {"file_name": "a"})
        t.insert_many(T, [{"file_name": "b"}, {"file_name": "c"}])


def _snapshot(context: Any) -> None:
    with tx.reader(context) as t:
        t.scalars(_NAMES)


CALLS = {_read: "SELECT", _snapshot: "SELECT", _write: "INSERT"}


@contextlib.contextmanager
def listening(target: Any, event: str) -> Iterator[list[str]]:
    seen: list[str] = []

    def note(connection: Any, second: Any, third: Any, *rest: Any) -> None:
        seen.append(str(third if "cursor" in event else second))

    sa.event.listen(target, event, note)
    try:
        yield seen
    finally:
        sa.event.remove(target, event, note)


def assert_unheard(context: RequestContext) -> None:
    """Check that reads and writes take the road that they take when nobody listens."""
    for scope in (tx.writer, tx.reader):
        with scope(context) as t:
            t.scalars(_NAMES)
            assert t._link is not None
            assert roads.road_of(t._link) is roads.USUAL


@pytest.mark.usefixtures("used")
class TestListeners:
    @pytest.mark.parametrize("event", EVENTS)
    @pytest.mark.parametrize("target", [lambda: tx.main.engine, api.get_engine, lambda: sa.Engine])
    def test_to_statements(self, admin: RequestContext, target: Callable[[], Any], event: str) -> None:
        for call, word in CALLS.items():
            with listening(target(), event) as seen:
                call(admin)
            assert any(statement.startswith(word) for statement in seen), (call, seen)
        assert_unheard(admin)

    @pytest.mark.parametrize("target", [lambda: tx.main.engine, lambda: sa.Engine])
    def test_to_errors(self, admin: RequestContext, target: Callable[[], Any]) -> None:
        seen: list[Any] = []
        nowhere: Any = sa.select(sa.column("id")).select_from(sa.table("nowhere"))

        def note(about: Any) -> None:
            seen.append(about)

        sa.event.listen(target(), "handle_error", note)
        try:
            for scope in (tx.reader, tx.writer):
                with pytest.raises(Exception, match="nowhere"), scope(admin) as t:
                    t.rows(nowhere)
        finally:
            sa.event.remove(target(), "handle_error", note)
        assert len(seen) == 2
        assert_unheard(admin)

    def test_that_come_and_go_inside_a_block(self, admin: RequestContext) -> None:
        for scope in (tx.reader, tx.writer):
            with scope(admin) as t:
                t.scalars(_NAMES)
                with listening(tx.main.engine, EVENTS[0]) as seen:
                    t.scalars(_NAMES)
                t.scalars(_NAMES)
            assert len(seen) == 1

    def test_to_one_connection(self, admin: RequestContext) -> None:
        with tx.writer(admin) as t:
            with listening(t.connection, EVENTS[0]) as seen:
                t.scalars(_NAMES)
            t.scalars(_NAMES)
        assert len(seen) == 1
        assert_unheard(admin)


@pytest.mark.parametrize("how", ["echo", "level"])
def test_statements_are_logged(backend: Backend, how: str, caplog: pytest.LogCaptureFixture) -> None:
    tx.close()
    tx.configure(backend.url, echo=how == "echo")
    _read(get_admin_context())
    logger = logging.getLogger("sqlalchemy.engine")
    before = logger.level
    try:
        if how == "level":
            logger.setLevel(logging.INFO)
        for call, word in CALLS.items():
            caplog.clear()
            with (
                caplog.at_level(logging.INFO, "sqlalchemy.engine.Engine") if how == "echo" else contextlib.nullcontext()
            ):
                call(get_admin_context())
            assert any(record.getMessage().startswith(word) for record in caplog.records), (call, caplog.text)
    finally:
        logger.setLevel(before)
        tx.close()


def test_what_is_not_public_was_tried_with_this_sqlalchemy() -> None:
    """A new version of SQLAlchemy means: run the suite, look at ``internals``, and add it there."""
    assert sa.__version__ in internals.TRIED
