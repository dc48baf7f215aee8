# SPDX-License-Identifier: Apache-2.0

"""How transactions end that are not ended as they should be: forgotten, joined too late, shared by tasks, forked."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, exceptions, get_admin_context, tables, tx
from nova_sqlcore.core.states import FOLLOWING, State

if TYPE_CHECKING:
    from tests.plugins.backend import Backend

T = tables.certificates
_NAMES = sa.select(T.c.file_name).order_by(T.c.id)

#: Forks inside a writer and inside a snapshot; the child leaves both blocks, and the parent goes on.
_FORKS = """
import os, sys
from nova_sqlcore import exceptions, get_admin_context, tables, tx

T = tables.certificates
tx.configure(sys.argv[1])
context, other = get_admin_context(), get_admin_context()
with tx.reader(other) as reading, tx.writer(context) as t:
    before = reading.rows(T.select())
    t.insert(T, {"file_name": "before the fork"})
    with t.savepoint():
        child = os.fork()
        if child == 0:
            for call in (lambda: t.insert(T, {"file_name": "child"}), lambda: t.connection, lambda: t.rows(T.select())):
                try:
                    call()
                except exceptions.DBError as error:
                    assert "parent process" in str(error), error
                else:
                    raise AssertionError("a child went on")
            try:
                reading.rows(T.select())
            except exceptions.DBError as error:
                assert "parent process" in str(error), error
            sys.exit(7)  # through the blocks
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7
    t.insert(T, {"file_name": "after the fork"})
    assert reading.rows(T.select()) == before
tx.close()
"""


def names() -> list[Any]:
    with tx.reader(get_admin_context()) as t:
        return t.scalars(_NAMES)


def store(name: str) -> None:
    with tx.writer(get_admin_context()) as t:
        t.insert(T, {"file_name": name})


class TestForgotten:
    """A block that is never left is undone, and neither the next caller nor the next writer knows of it."""

    def test_a_block(self, admin: RequestContext, backend: Backend) -> None:
        for scope in (tx.writer, tx.reader, tx.writer.independent):
            block: Any = scope(admin)
            t = block.__enter__()
            if t.mode == "writer":
                t.insert(T, {"file_name": "forgotten"})
            assert t.scalars(_NAMES) is not None
            del block
            assert t.state is State.ENDED
            with pytest.raises(exceptions.DBError, match="has ended"):
                t.rows(_NAMES)
            with pytest.raises(exceptions.NoEngineContextEstablished):
                _ = admin.transaction
        store("kept")
        assert names() == ["kept"]

    def test_a_thread(self, backend: Backend) -> None:
        def work() -> None:
            block: Any = tx.writer(get_admin_context())
            block.__enter__().insert(T, {"file_name": "forgotten"})

        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        store("kept")
        assert names() == ["kept"]

    def test_a_connection_of_the_plain_engine(self, backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
        connection = tx.main.engine.connect()
        connection.execute(T.insert(), {"file_name": "forgotten"})
        del connection
        gc.collect()
        store("kept")
        assert names() == ["kept"]
        if tx.main.engine.driver != "mysqldb":  # mysqlclient does not tell, so that the connection is rolled back
            assert "transaction open" in caplog.text


class TestTooLate:
    """An ended transaction says so."""

    @pytest.mark.parametrize("scope", [tx.writer, tx.reader])
    def test_a_statement(self, admin: RequestContext, backend: Backend, scope: tx.Scope[tx.Transaction]) -> None:
        with scope(admin) as t:
            t.rows(_NAMES)
        with scope(admin) as unused:
            pass
        for one in (t, unused):
            with pytest.raises(exceptions.DBError, match="has ended"):
                one.rows(_NAMES)
            with pytest.raises(exceptions.DBError, match="has ended"):
                _ = one.connection

    def test_blocks_that_end_out_of_order(self, admin: RequestContext, backend: Backend) -> None:
        outer, inner = tx.writer(admin), tx.writer(admin)
        with outer as t:
            t.insert(T, {"file_name": "a"})
            inner.__enter__()
        with pytest.raises(exceptions.DBError, match="has ended"):
            t.insert(T, {"file_name": "lost"})
        inner.__exit__(None, None, None)
        assert not hasattr(admin, "transaction")
        with tx.writer(admin) as t:
            t.insert(T, {"file_name": "b"})
        assert names() == ["a", "b"]

    def test_tasks_that_share_a_context(self, admin: RequestContext, backend: Backend) -> None:
        refused = []

        async def first(may_end: asyncio.Event, begun: asyncio.Event) -> None:
            with tx.writer(admin) as t:
                t.insert(T, {"file_name": "first"})
                begun.set()
                await may_end.wait()

        async def second(may_end: asyncio.Event, begun: asyncio.Event) -> None:
            await begun.wait()
            try:
                with tx.writer(admin) as t:
                    t.insert(T, {"file_name": "second"})
            except TypeError as error:
                refused.append(str(error))
            may_end.set()

        async def both() -> None:
            events = asyncio.Event(), asyncio.Event()
            await asyncio.gather(first(*events), second(*events))

        asyncio.run(both())
        assert len(refused) == 1
        assert "task" in refused[0]
        assert names() == ["first"]

    def test_a_task_by_itself(self, admin: RequestContext, backend: Backend) -> None:
        async def work() -> None:
            with tx.writer(admin):
                with tx.writer(admin) as t:
                    await asyncio.sleep(0)
                    t.insert(T, {"file_name": "a"})
                await asyncio.to_thread(names)

        asyncio.run(work())
        assert names() == ["a"]


def test_a_fork_inside_a_writer(backend: Backend) -> None:
    url = backend.url.render_as_string(hide_password=False)
    command = [sys.executable, "-W", "error", "-W", "ignore::DeprecationWarning", "-c", _FORKS, url]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100, env=os.environ)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr == ""
    assert names() == ["before the fork", "after the fork"]


class TestHooks:
    """Hooks after the commit: all of them run, and the first error is raised at the end."""

    def test_an_error_keeps_no_other_from_running(
        self, admin: RequestContext, backend: Backend, caplog: pytest.LogCaptureFixture
    ) -> None:
        seen: list[str] = []

        def fail(word: str) -> None:
            seen.append(word)
            raise ValueError(word)

        with caplog.at_level(logging.ERROR), pytest.raises(ValueError, match="one"), tx.writer(admin) as t:
            t.insert(T, {"file_name": "a"})
            for hook in (lambda: fail("one"), lambda: seen.append("two"), lambda: fail("three")):
                t.after_commit(hook)
        assert seen == ["one", "two", "three"]
        assert "three" in caplog.text
        assert names() == ["a"]

    def test_of_a_decorated_writer(self, admin: RequestContext, backend: Backend) -> None:
        calls: list[str] = []

        def fail() -> None:
            raise exceptions.DBDeadlock("of the hook's own")

        @tx.writer
        def write(context: Any) -> None:
            calls.append("write")
            t = tx.current(context)
            t.insert(T, {"file_name": "a"})
            t.after_commit(fail)
            t.after_commit(lambda: calls.append("hook"))

        with pytest.raises(exceptions.DBDeadlock):
            write(admin)
        assert calls == ["write", "hook"]
        assert names() == ["a"]


class TestSavepoints:
    def test_an_error_that_is_swallowed_in_a_savepoint_is_told_at_its_end(
        self, admin: RequestContext, backend: Backend
    ) -> None:
        with tx.writer(admin) as t:
            t.insert(T, {"file_name": "before"})
            with pytest.raises(exceptions.DBError, match="savepoint"), t.savepoint():
                t.insert(T, {"file_name": "undone"})
                with pytest.raises(exceptions.DBError):
                    t.insert(tables.cells, {"name": "without transport_url"})
            t.insert(T, {"file_name": "after"})
        assert names() == ["before", "after"]


def test_no_state_follows_the_end() -> None:
    assert FOLLOWING.keys() == set(State)
    assert not FOLLOWING[State.ENDED]
    for state in State:
        assert state is State.ENDED or State.ENDED in FOLLOWING[state]


def test_a_connection_whose_commit_has_failed_serves_the_next_one(
    admin: RequestContext, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As after the certification of Galera."""
    dialect: Any = tx.main.engine.dialect

    def refuse(raw: Any) -> None:
        monkeypatch.undo()
        raise dialect.loaded_dbapi.IntegrityError("refused")

    with pytest.raises(exceptions.DBError, match="refused"), tx.writer(admin) as transaction:
        transaction.insert_many(tables.certificates, [{"file_name": "lost"}] * 2)  # SQLAlchemy has a part in it
        link = transaction._link
        assert link is not None
        if not link.connection.in_transaction():  # but not on MySQL
            link.connection.begin()
        monkeypatch.setattr(dialect, "do_commit", refuse)
    for name in ("a", "b"):
        with tx.writer(admin) as transaction:
            transaction.insert_many(tables.certificates, [{"file_name": name}])
    with tx.reader(admin) as transaction:
        assert transaction.scalars(sa.select(tables.certificates.c.file_name)) == ["a", "b"]
