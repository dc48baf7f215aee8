# SPDX-License-Identifier: Apache-2.0

"""Statements that travel together: what waits, what an error leaves, and how many trips are taken."""

from __future__ import annotations

import contextlib
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pymysql
import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, api, exceptions, get_admin_context, tables, tx
from nova_sqlcore.core import roads
from tests.plugins.wire import SpeakingProxy, led_by

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.backend import Backend
    from tests.plugins.wire import Trips, Wire

T = tables.certificates
_NAMES = sa.select(T.c.file_name).order_by(T.c.id)
_ALL = sa.select(T.c.id, T.c.file_name, T.c.project_id).order_by(T.c.id)
_IS_NAMED = T.c.file_name == sa.bindparam("name", type_=T.c.file_name.type)
_CHANGE = sa.update(T).where(_IS_NAMED).values(project_id=sa.bindparam("project", type_=T.c.project_id.type))
_BY_NAME = sa.select(T.c.id, T.c.file_name, T.c.project_id).where(_IS_NAMED)
_WRONG: sa.Select[Any] = sa.select(sa.column("nowhere")).select_from(T)

pytestmark = pytest.mark.usefixtures("together")
servers_only = pytest.mark.only_on("mysql", "postgresql", why="sqlite is no server")
batches_only = pytest.mark.only_on(
    "mysql", "postgresql", driver="pymysql", why="elsewhere statements go one by one, mysqlclient's too"
)


def names() -> list[str]:
    with tx.reader(get_admin_context()) as t:
        return t.scalars(_NAMES)


def row(name: str, **more: Any) -> dict[str, Any]:
    return {"file_name": name, **more}


@tx.writer
def store(context: Any, name: str) -> dict[str, Any]:
    return tx.current(context).last().insert(T, row(name))


@tx.writer
def change(context: Any, name: str, project: str) -> int:
    return tx.current(context).last().execute(_CHANGE, name=name, project=project)


@tx.writer
def change_and_read(context: Any, name: str, project: str) -> Any:
    key = {"name": name}
    return tx.current(context).last().update_row(_CHANGE, _BY_NAME, key, {"project": project})


@tx.writer
def store_many(context: Any, *many: str) -> list[dict[str, Any]]:
    return tx.current(context).last().insert_many(T, [row(name) for name in many])


@tx.writer
def store_three(context: Any) -> list[dict[str, Any]]:
    t = tx.current(context)
    first = t.later.insert(T, row("1"))
    more = t.later.insert_many(T, [row("2"), row("3")])
    count = t.later.execute(_CHANGE, name="2", project="p")
    found = t.later.rows(_BY_NAME, name="2")
    t.later.execute_many(_CHANGE, [{"name": "1", "project": "a"}, {"name": "3", "project": "b"}])
    everything = t.last().rows(_ALL)
    assert count.get() == 1
    assert [one["project_id"] for one in found.get()] == ["p"]
    stored = [first.get(), *more.get()]
    assert [one["id"] for one in stored] == [one["id"] for one in everything]
    assert [one["project_id"] for one in everything] == ["a", "p", "b"]
    return stored


class TestResults:
    def test_each_has_its_own(self, ctxt: RequestContext, backend: Backend) -> None:
        stored = store_three(ctxt)
        assert [one["file_name"] for one in stored] == ["1", "2", "3"]
        assert names() == ["1", "2", "3"]

    def test_of_last_statements(self, ctxt: RequestContext, backend: Backend) -> None:
        first = store(ctxt, "a")
        assert first["id"]
        assert (change(ctxt, "a", "p"), change(ctxt, "z", "p")) == (1, 0)
        assert change_and_read(ctxt, "a", "q") == {"id": first["id"], "file_name": "a", "project_id": "q"}
        assert change_and_read(ctxt, "z", "q") is None
        assert [one["id"] - first["id"] for one in store_many(ctxt, "b", "c")] == [1, 2]
        assert store_many(ctxt) == []

    def test_without_batches(self, ctxt: RequestContext, backend: Backend) -> None:
        tx.close()
        tx.configure(backend.url, batch=False)
        try:
            store_three(ctxt)
            self.test_of_last_statements(ctxt, backend)
        finally:
            tx.close()

    def test_listeners_see_every_statement(self, ctxt: RequestContext, backend: Backend, sql_log: Any) -> None:
        with sql_log() as seen:
            store_three(ctxt)
        assert len([text for text in seen if text.startswith("INSERT")]) == 2
        assert len([text for text in seen if text.startswith("SELECT")]) == 2

    def test_observers_are_told_of_every_statement(self, ctxt: RequestContext, backend: Backend) -> None:
        told: list[tx.StatementReport] = []
        remove = tx.observe_statements(told.append)
        try:
            store_three(ctxt)
        finally:
            remove()
        assert len(told) >= 6
        assert {one.name for one in told} == {"store_three"}


class TestErrors:
    def test_the_first_that_fails_is_the_error_and_nothing_stays(self, ctxt: RequestContext, backend: Backend) -> None:
        taken = store(ctxt, "a")["id"]

        @tx.writer
        def fail(context: Any) -> None:
            t = tx.current(context)
            t.later.insert(T, row("b"))
            t.later.insert(T, row("c", id=taken))
            t.later.rows(_WRONG)
            t.last().insert(T, row("d"))

        with pytest.raises(exceptions.DBDuplicateEntry):
            fail(ctxt)
        assert names() == ["a"]

    def test_a_failing_last_statement_undoes_all(self, ctxt: RequestContext, backend: Backend) -> None:
        taken = store(ctxt, "a")["id"]

        @tx.writer
        def fail(context: Any) -> None:
            t = tx.current(context)
            t.insert(T, row("b"))
            t.last().insert(T, row("c", id=taken))

        with pytest.raises(exceptions.DBDuplicateEntry):
            fail(ctxt)
        assert names() == ["a"]

    @batches_only
    def test_a_bad_parameter_fails_where_it_is_given(self, ctxt: RequestContext, backend: Backend) -> None:
        with tx.writer(ctxt) as t:
            t.later.insert(T, row("a"))
            with pytest.raises(exceptions.DBDataError):
                t.later.execute(_CHANGE, name="x" * 300, project=b"\xff")
            with pytest.raises(TypeError, match="missing"):
                t.later.execute(_CHANGE, name="x")
            t.later.insert(T, row("b"))
        assert names() == ["a", "b"]

    def test_readers_do_not_write(self, ctxt: RequestContext, backend: Backend) -> None:
        with tx.reader(ctxt) as t:
            writes: tuple[Callable[[], object], ...] = (
                lambda: t.later.insert(T, row("a")),
                lambda: t.later.insert_many(T, [row("a")]),
                lambda: t.later.execute(_CHANGE, name="a", project="b"),
                lambda: t.later.execute_many(_CHANGE, [{"name": "a", "project": "b"}]),
            )
            for write in writes:
                with pytest.raises(TypeError, match="need a writer"):
                    write()

    def test_an_error_after_the_commit_keeps_it_and_runs_nothing_again(
        self, ctxt: RequestContext, backend: Backend
    ) -> None:
        runs: list[int] = []

        @tx.writer
        def fail(context: Any) -> None:
            runs.append(1)
            tx.current(context).last().insert(T, row("a"))
            raise exceptions.DBDeadlock("not the database's")

        with pytest.raises(exceptions.DBDeadlock):
            fail(ctxt)
        assert (len(runs), names()) == (1, ["a"])
        with pytest.raises(exceptions.DBDeadlock), next(tx.attempts(ctxt)) as t:
            t.last().insert(T, row("b"))
            raise exceptions.DBDeadlock("not the database's")
        assert names() == ["a", "b"]

    @batches_only
    @pytest.mark.parametrize("place", [0, 1, 2])
    def test_a_conflict_anywhere_runs_all_again(
        self, ctxt: RequestContext, backend: Backend, place: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The server says that it is one, by a procedure's word of its own: they take any number."""
        words = {
            "mysql": "SIGNAL SQLSTATE '40001' SET MYSQL_ERRNO = 1213, MESSAGE_TEXT = 'Deadlock found'",
            "postgresql": "DO $$ BEGIN RAISE SQLSTATE '40P01'; END $$",
        }
        signal = sa.text(words[backend.family])
        runs: list[int] = []

        @tx.writer
        def work(context: Any) -> None:
            t = tx.current(context)
            runs.append(1)
            for number in range(3):
                if number == place and len(runs) == 1:
                    t.later.execute(signal)
                t.later.insert(T, row(str(number)))
            t.last().insert(T, row("last"))

        work(ctxt)
        assert len(runs) == 2
        assert names() == ["0", "1", "2", "last"]


class TestLast:
    def test_nothing_follows_it(self, ctxt: RequestContext, backend: Backend) -> None:
        with pytest.raises(exceptions.DBError, match="committed with its last statement"), tx.writer(ctxt) as t:
            t.last().insert(T, row("a"))
            t.insert(T, row("b"))
        assert names() == ["a"]

    def test_one_that_changes_nothing_is_not_the_last(self, ctxt: RequestContext, backend: Backend) -> None:
        with tx.writer(ctxt) as t:
            assert t.last().execute(_CHANGE, name="a", project="p") == 0
            assert t.rows(_ALL) == []
            t.insert(T, row("a"))
        assert names() == ["a"]
        with pytest.raises(ZeroDivisionError), tx.writer(ctxt) as t:
            assert t.last().execute(_CHANGE, name="z", project="p") == 0
            t.insert(T, row("b"))
            raise ZeroDivisionError
        assert names() == ["a"]

    def test_a_joined_call_does_not_commit(self, ctxt: RequestContext, backend: Backend) -> None:
        with pytest.raises(ZeroDivisionError), tx.writer(ctxt) as t:
            store(ctxt, "a")
            store_many(ctxt, "b")
            assert t.scalars(_NAMES) == ["a", "b"]
            raise ZeroDivisionError
        assert names() == []

    def test_nor_does_one_in_a_savepoint_or_on_the_callers_connection(
        self, ctxt: RequestContext, backend: Backend
    ) -> None:
        with pytest.raises(ZeroDivisionError), tx.writer(ctxt) as t:
            with t.savepoint():
                t.last().insert(T, row("a"))
            t.insert(T, row("b"))
            t.connection.execute(sa.insert(T).values(file_name="c"))
            t.last().insert(T, row("d"))
            assert t.scalars(_NAMES) == ["a", "b", "c", "d"]
            raise ZeroDivisionError
        assert names() == []

    def test_hooks_run_after_it(self, ctxt: RequestContext, backend: Backend) -> None:
        seen: list[list[str]] = []
        with tx.writer(ctxt) as t:
            t.after_commit(lambda: seen.append(names()))
            t.last().insert(T, row("a"))
            assert seen == []
        assert seen == [["a"]]


class TestWaiting:
    @batches_only
    def test_a_savepoint_sends_what_waits(self, ctxt: RequestContext, backend: Backend) -> None:
        with tx.writer(ctxt) as t:
            t.later.insert(T, row("a"))
            with pytest.raises(ZeroDivisionError), t.savepoint():
                t.later.insert(T, row("b"))
                raise ZeroDivisionError
            with t.savepoint():
                t.later.insert(T, row("c"))
            t.later.insert(T, row("d"))
        assert names() == ["a", "c", "d"]

    def test_what_fails_as_a_savepoint_ends_undoes_its_block(self, ctxt: RequestContext, backend: Backend) -> None:
        taken = store(ctxt, "a")["id"]
        with tx.writer(ctxt) as t:
            with pytest.raises(exceptions.DBDuplicateEntry), t.savepoint():
                t.later.insert(T, row("b"))
                t.later.insert(T, row("c", id=taken))
            t.insert(T, row("d"))
        assert names() == ["a", "d"]

    def test_a_savepoint_may_wait_for_its_first_statement(self, ctxt: RequestContext, backend: Backend) -> None:
        taken = store(ctxt, "a")["id"]
        with tx.writer(ctxt) as t:
            with t.savepoint_later():
                pass
            with pytest.raises(ZeroDivisionError), t.savepoint_later():
                t.later.insert(T, row("b"))
                raise ZeroDivisionError
            with t.savepoint_later():
                t.later.insert(T, row("c"))
            with pytest.raises(exceptions.DBDuplicateEntry), t.savepoint_later():
                t.insert(T, row("d"))
                t.insert(T, row("e", id=taken))
            with t.savepoint_later(), pytest.raises(exceptions.DBDataError):
                t.later.insert(T, row(object()))  # type: ignore[arg-type]  # what no text is
            with pytest.raises(exceptions.DBDuplicateEntry), t.savepoint_later():
                t.insert(T, row("f", id=taken))
            with t.savepoint_later(), t.savepoint_later():
                t.insert(T, row("g"))
        assert names() == ["a", "c", "g"]

    def test_hooks_of_a_savepoint_that_still_waits_go_with_it(self, ctxt: RequestContext, backend: Backend) -> None:
        called: list[str] = []
        with tx.writer(ctxt) as t:
            with pytest.raises(ZeroDivisionError), t.savepoint_later():
                t.after_commit(lambda: called.append("undone"))
                raise ZeroDivisionError
            with t.savepoint_later():
                t.after_commit(lambda: called.append("kept"))
        assert called == ["kept"]

    def test_a_savepoint_does_not_wait_on_the_callers_connection(self, ctxt: RequestContext, backend: Backend) -> None:
        with tx.writer(ctxt) as t:
            connection = t.connection
            with pytest.raises(ZeroDivisionError), t.savepoint_later():
                connection.execute(sa.insert(T).values(file_name="a"))
                raise ZeroDivisionError
            connection.execute(sa.insert(T).values(file_name="b"))
        assert names() == ["b"]

    @batches_only
    def test_it_travels_with_that_statement(self, ctxt: RequestContext, backend: Backend, trips: Trips) -> None:
        def call() -> None:
            with tx.writer(ctxt) as t, t.savepoint_later():
                t.insert(T, row("a"))

        assert trips(call) == 2

    @batches_only
    def test_an_error_of_what_waited_comes_before_the_block(self, ctxt: RequestContext, backend: Backend) -> None:
        taken, reached = store(ctxt, "a")["id"], False
        with pytest.raises(exceptions.DBDuplicateEntry), tx.writer(ctxt) as t:
            t.later.insert(T, row("b", id=taken))
            with t.savepoint_later():
                reached = True
        assert not reached

    @batches_only
    def test_a_joined_call_sends_it_at_its_end(self, ctxt: RequestContext, backend: Backend) -> None:
        taken = store(ctxt, "a")["id"]

        @tx.writer
        def joined(context: Any) -> None:
            tx.current(context).later.insert(T, row("c", id=taken))

        with pytest.raises(exceptions.DBDuplicateEntry), tx.writer(ctxt):
            joined(ctxt)
        with pytest.raises(exceptions.DBDuplicateEntry), tx.writer(ctxt), tx.writer(ctxt) as t:
            t.later.insert(T, row("c", id=taken))

    @batches_only
    def test_what_waits_of_a_failed_call_is_dropped(self, ctxt: RequestContext, backend: Backend) -> None:
        @tx.writer
        def joined(context: Any) -> None:
            tx.current(context).later.insert(T, row("b"))
            raise ZeroDivisionError

        with tx.writer(ctxt) as t:
            t.later.insert(T, row("a"))
            with pytest.raises(ZeroDivisionError):
                joined(ctxt)
        assert names() == ["a"]

    def test_it_is_sent_before_the_caller_has_the_connection(self, ctxt: RequestContext, backend: Backend) -> None:
        with tx.writer(ctxt) as t:
            t.later.insert(T, row("a"))
            assert t.connection.execute(_NAMES).scalars().all() == ["a"]
            t.later.insert(T, row("b"))
        assert names() == ["a", "b"]

    @batches_only
    def test_more_than_the_server_takes_goes_in_parts(
        self, ctxt: RequestContext, backend: Backend, trips: Trips, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        link = tx.main.link_writer()
        tx.main.take_back(link)
        monkeypatch.setattr(type(link.carrier), "limit", lambda self, link: 2000)

        def work() -> None:
            with tx.writer(ctxt) as t:
                for _ in range(10):
                    t.later.insert(T, row("x" * 255))

        assert 3 <= trips(work) <= 6
        assert len(names()) == 50

    @pytest.mark.only_on("mysql", why="there drivers can allow several statements")
    def test_semicolons_stay_refused(self, ctxt: RequestContext, backend: Backend) -> None:
        for _ in range(2):
            store_three(ctxt) if not names() else store(ctxt, "more")
            with tx.main.engine.connect() as connection, pytest.raises(sa.exc.ProgrammingError):
                connection.exec_driver_sql("SELECT 1; SELECT 2")


class TestTrips:
    @batches_only
    @pytest.mark.parametrize(
        "call",
        [
            lambda c: store(c, "a"),
            lambda c: change(c, "a", "p"),
            lambda c: change_and_read(c, "a", "p"),
            lambda c: store_many(c, "a", "b"),
        ],
        ids=["insert", "update", "update_and_read", "insert_many"],
    )
    def test_a_writer_of_one_statement_takes_one(
        self, ctxt: RequestContext, backend: Backend, trips: Trips, call: Callable[[Any], object]
    ) -> None:
        assert trips(lambda: call(ctxt)) == 1

    @batches_only
    def test_what_waits_takes_none_of_its_own(self, ctxt: RequestContext, backend: Backend, trips: Trips) -> None:
        def clear() -> None:
            with tx.writer(ctxt) as t:
                t.last().execute(sa.delete(T))

        assert trips(lambda _: store_three(ctxt), clear) == 1

    @batches_only
    def test_a_snapshot_begins_and_ends_with_its_statements(
        self, ctxt: RequestContext, backend: Backend, trips: Trips
    ) -> None:
        def read() -> None:
            with tx.reader(ctxt) as t:
                t.rows(_ALL)
                two, three = t.later.rows(_ALL), t.later.rows(_NAMES)
                assert t.last().rows(_ALL) == two.get()
                assert three.get() == []

        assert trips(read) == 2


def _ended(backend: Backend) -> Exception:
    """Return what a session says that an administrator ends."""
    if backend.family == "mysql":
        return pymysql.OperationalError(1927, "Connection was killed")
    return psycopg.errors.AdminShutdown("terminating connection due to administrator command")


class TestListeners:
    @pytest.mark.parametrize("event", ["commit", "before_cursor_execute"])
    @batches_only
    def test_one_that_has_gone_costs_no_trip(
        self, ctxt: RequestContext, backend: Backend, trips: Trips, event: str
    ) -> None:
        def listen(*_: Any) -> None:
            """Hear nothing."""

        def change_two() -> None:
            with tx.writer(ctxt) as t:
                t.later.execute(_CHANGE, name="a", project="p")
                t.last().execute(_CHANGE, name="b", project="p")

        engine = tx.main.engine
        sa.event.listen(engine, event, listen)
        assert trips(change_two) > 1
        sa.event.remove(engine, event, listen)
        assert trips(change_two) == 1


class TestLostConnections:
    @servers_only
    def test_one_that_died_in_the_pool_is_replaced(self, ctxt: RequestContext, backend: Backend, wire: Wire) -> None:
        store(ctxt, "a")
        kept = tx.main._kept["writer"][-1]
        number = kept.raw.thread_id() if backend.family == "mysql" else kept.raw.info.backend_pid
        words = "KILL {}" if backend.family == "mysql" else "SELECT pg_terminate_backend({}, 5000)"
        engine = sa.create_engine(backend.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql(words.format(number))
        deadline = time.monotonic() + 5
        while kept.dialect.is_quiet(kept.raw) and time.monotonic() < deadline:
            time.sleep(0.01)
        store(ctxt, "b")
        assert names() == ["a", "b"]

    @batches_only
    def test_one_that_dies_with_commit_under_way_leaves_it_open(
        self, ctxt: RequestContext, backend: Backend, wire: Wire
    ) -> None:
        runs: list[int] = []

        @tx.writer
        def work(context: Any) -> None:
            runs.append(1)
            tx.current(context).last().insert(T, row("cut here"))

        store(ctxt, "a")
        wire.cut_at = b"cut here"
        with pytest.raises(exceptions.DBCommitUncertain):
            work(ctxt)
        wire.cut_at = None
        assert len(runs) == 1
        assert names() == ["a"]

    @batches_only
    def test_one_that_is_ended_with_commit_done_leaves_it_open(
        self, ctxt: RequestContext, backend: Backend, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A session that an administrator ends at this moment answers COMMIT with an error, though it has committed."""
        store(ctxt, "a")
        carrier = tx.main._kept["writer"][-1].carrier
        assert carrier is not None
        carry, ended = type(carrier).carry, _ended(backend)

        def carry_and_fail(self: Any, link: Any, packed: Any, commit: bool, answers: list[Any]) -> None:
            carry(self, link, packed, commit, answers)
            raise ended

        with monkeypatch.context() as late:
            late.setattr(type(carrier), "carry", carry_and_fail)
            with pytest.raises(exceptions.DBCommitUncertain):
                store_three(ctxt)
        assert names() == ["a", "1", "2", "3"]

    @servers_only
    def test_one_that_dies_at_the_first_batch_without_commit_is_replaced_once(
        self, ctxt: RequestContext, backend: Backend, wire: Wire
    ) -> None:
        store(ctxt, "a")
        wire.cut_at = b"cut here"
        with pytest.raises(exceptions.DBConnectionError) as raised, tx.writer(ctxt) as t:
            t.later.insert(T, row("cut here"))
            t.rows(_ALL)
        wire.cut_at = None
        assert not isinstance(raised.value, exceptions.DBCommitUncertain)
        assert names() == ["a"]


@pytest.mark.parametrize("ends_well", [True, False])
def test_after_a_lone_row_that_is_there_already_others_can_follow(ctxt: RequestContext, ends_well: bool) -> None:
    services, one, other = tables.services, {"host": "a", "binary": "b"}, {"host": "c", "binary": "d"}
    with tx.writer(ctxt) as t:
        t.insert(services, one)
    with tx.writer(ctxt) as t:
        assert t.last().insert_absent(services, one) is None
        assert len(t.rows(sa.select(services.c.id))) == 1
    with contextlib.suppress(ValueError), tx.writer(ctxt) as t:
        assert t.last().insert_absent(services, one) is None
        assert t.execute(sa.update(services).values(topic="changed")) == 1
        t.insert(services, other)
        if not ends_well:
            raise ValueError
    with tx.reader(ctxt) as t:
        found = t.rows(sa.select(services.c.host, services.c.topic).order_by(services.c.id))
    both = [{"host": "a", "topic": "changed"}, {"host": "c", "topic": None}]
    assert found == (both if ends_well else [{"host": "a", "topic": None}])


def test_the_core_road_takes_them_one_by_one(
    ctxt: RequestContext, backend: Backend, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(roads, "USUAL", roads.CORE)
    store_three(ctxt)
    assert names() == ["1", "2", "3"]


@pytest.mark.only_on("mysql", driver="pymysql", why="psycopg's pipelines pass PgBouncer")
def test_a_proxy_that_takes_one_command_at_a_time(backend: Backend) -> None:
    """It is noticed by the number of the connection; there statements travel one by one."""
    with led_by(backend.url, SpeakingProxy) as (_, url):
        database = tx.Database("by way of a proxy")
        database.configure(url)
        context = get_admin_context()
        context.db_connection = database
        try:
            made = api.instance_create(context, {"host": "h", "metadata": {"a": "b"}})
            api.instance_update(context, made["uuid"], {"task_state": "x"})
            assert api.instance_metadata_get(context, made["uuid"]) == {"a": "b"}
            link = database.link_writer()
            assert link.carrier is None
            database.take_back(link)
        finally:
            database.close()
