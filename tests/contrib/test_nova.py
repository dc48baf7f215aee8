# SPDX-License-Identifier: Apache-2.0

"""The swap-in for a fork of Nova: real oslo.config and oslo.db, and a stand-in for the fork (``fork/nova``)."""

from __future__ import annotations

import importlib
import inspect
from typing import TYPE_CHECKING, Any

import pytest
from nova import exception
from nova.conf import CONF
from nova.context import RequestContext, get_admin_context
from nova.db import api as db
from oslo_db import api as oslo_api, exception as oslo_exception

from nova_sqlcore import api, exceptions, tables, tx
from nova_sqlcore.settings import Settings, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugins.backend import Backend

swap_in: Any = importlib.import_module("nova_sqlcore.contrib.nova")
NOBODY = "00000000-0000-0000-0000-000000000000"
SERVICE = {"host": "h", "binary": "b", "topic": "t"}


@pytest.fixture(autouse=True)
def _unconfigured() -> Iterator[None]:
    yield
    settings.__class__ = Settings
    CONF.reset()
    CONF.clear_override("connection", "database")


@pytest.fixture
def fork(backend: Backend) -> RequestContext:
    """Configure the fork as its CONF says, and return one of its contexts."""
    tx.close()
    CONF.set_override("connection", backend.url.render_as_string(hide_password=False), "database")
    swap_in.configure(CONF)
    return get_admin_context()


class TestErrors:
    def test_of_the_domain(self, fork: RequestContext) -> None:
        with pytest.raises(exception.InstanceNotFound) as raised:
            db.instance_get_by_uuid(fork, NOBODY)
        assert raised.value.kwargs["instance_id"] == NOBODY
        assert raised.value.format_message() == f"Instance {NOBODY} could not be found."
        assert isinstance(raised.value.__cause__, exceptions.InstanceNotFound)
        assert not isinstance(raised.value, exceptions.NovaException)

    def test_by_their_parents(self, fork: RequestContext) -> None:
        with pytest.raises(exception.HostNotFound):
            db.IMPL.compute_node_get(fork, 1)
        with pytest.raises(exception.NotFound):
            db.IMPL.service_get(fork, 1)

    def test_of_the_database(self, fork: RequestContext) -> None:
        with pytest.raises(oslo_exception.DBDataError):
            db.service_create(fork, SERVICE | {"report_count": "many"})

    @pytest.mark.only_on("mysql", "postgresql", why="sqlite checks no foreign keys")
    def test_of_the_server(self, fork: RequestContext) -> None:
        with pytest.raises(oslo_exception.DBReferenceError) as raised:
            db.IMPL.instance_fault_create(fork, {"instance_uuid": NOBODY, "code": 1})
        cause = raised.value.__cause__
        assert isinstance(cause, exceptions.DBReferenceError)
        assert (raised.value.table, raised.value.key) == (cause.table, cause.key)
        assert raised.value.inner_exception is cause.inner_exception

    def test_of_a_forgotten_or_refused_context(self, fork: RequestContext) -> None:
        with pytest.raises(exception.Forbidden, match="instance_get_by_uuid is for admins"):
            db.instance_get_by_uuid(RequestContext(), NOBODY)
        with pytest.raises(TypeError, match="the first argument is the request context"):
            db.instance_get_by_uuid(None, NOBODY)

    def test_that_callers_of_the_reference_look_into(self, fork: RequestContext) -> None:
        db.service_create(fork, SERVICE)
        with pytest.raises(exception.ServiceTopicExists) as raised:
            db.service_create(fork, SERVICE | {"binary": "other"})
        assert raised.value.kwargs == {"host": "h", "topic": "t", "code": 500}

    def test_of_a_server_that_is_not_there(self) -> None:
        tx.close()
        CONF.set_override("connection", "mysql+pymysql://u:hunter2@127.0.0.1:1/nova", "database")
        CONF.set_override("max_retries", 0, "database")
        swap_in.configure(CONF)
        try:
            with pytest.raises(oslo_exception.DBConnectionError) as raised:
                db.IMPL.service_get_all(get_admin_context())
        finally:
            CONF.clear_override("max_retries", "database")
            tx.close()
        assert "hunter2" not in str(raised.value)


def _subclasses(kind: type[Exception]) -> Iterator[type[Exception]]:
    for one in kind.__subclasses__():
        if one.__module__ == exceptions.__name__:
            yield one
            yield from _subclasses(one)


@pytest.mark.parametrize("kind", sorted(set(_subclasses(exceptions.NovaException)), key=str))
def test_every_error_of_the_domain_has_the_forks_class(kind: type[exceptions.NovaException]) -> None:
    words = ("address", "host", "reason", "marker", "details", "err", "instance_id", "id", "name")
    made = swap_in.fork_error(kind(**dict.fromkeys(_fields(kind) | {*words}, 7)))
    assert type(made) is getattr(exception, kind.__name__)
    assert {parent.__name__ for parent in kind.__mro__} == {parent.__name__ for parent in type(made).__mro__}
    assert made.code == kind.code
    assert "%(" not in str(made)
    by_text = swap_in.fork_error(kind("in words"))
    assert (type(by_text), by_text.format_message()) == (type(made), "in words") or "key" in by_text.kwargs


def _fields(kind: type[exceptions.NovaException]) -> set[str]:
    return {part.split(")")[0] for part in getattr(exception, kind.__name__).msg_fmt.split("%(")[1:]}


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (exceptions.DBError("x"), oslo_exception.DBError),
        (exceptions.DBDeadlock("x"), oslo_exception.DBDeadlock),
        (exceptions.DBLockTimeout("x"), oslo_exception.DBDeadlock),
        (exceptions.DBTimeout("x"), oslo_exception.DBError),
        (exceptions.DBDuplicateEntry(["a"], "x", 3), oslo_exception.DBDuplicateEntry),
        (exceptions.DBConstraintError("t", "c", "x"), oslo_exception.DBConstraintError),
        (exceptions.DBReferenceError("t", "c", "k", "o", "x"), oslo_exception.DBReferenceError),
        (exceptions.DBKeyClash("x"), oslo_exception.DBDataError),
        (exceptions.BadArgument("x"), oslo_exception.DBDataError),
        (exceptions.DBReadOnly("x"), oslo_exception.DBConnectionError),
        (exceptions.DBPoolExhausted(1, 2, 3, 4), oslo_exception.DBConnectionError),
        (exceptions.DBCommitUncertain("x"), oslo_exception.DBConnectionError),
        (exceptions.DatabaseNotMigrated("x"), oslo_exception.DBError),
        (exceptions.DBMigrationError("x"), oslo_exception.DBMigrationError),
        (exceptions.CantStartEngineError("x"), oslo_exception.CantStartEngineError),
        (exceptions.NoEngineContextEstablished("x"), oslo_exception.NoEngineContextEstablished),
    ],
)
def test_errors_of_the_database(ours: Exception, theirs: type[Exception]) -> None:
    made = swap_in.fork_error(ours)
    assert type(made) is theirs
    assert made.__cause__ is ours
    assert swap_in.own_error(made) is (ours if isinstance(ours, exceptions.DBError) else made)
    for name in ("columns", "value", "table", "constraint", "key", "key_table", "check_name", "inner_exception"):
        if hasattr(ours, name):
            assert getattr(made, name) == getattr(ours, name), name


def test_what_is_not_ours_stays() -> None:
    for error in (ValueError("x"), exceptions.NoContext("x"), exception.NotFound(), oslo_exception.DBDeadlock()):
        assert swap_in.fork_error(error) is error
    inner = exceptions.InstanceNotFound(instance_id=1)
    assert type(swap_in.fork_error(exceptions.RetryRequest(inner)).inner_exc) is exception.InstanceNotFound


class TestScopes:
    def test_a_block(self, fork: RequestContext) -> None:
        with swap_in.main_context_manager.writer.using(fork) as session:
            db.service_create(fork, SERVICE)
            assert session is tx.current(fork)
            with pytest.raises(exception.ServiceNotFound):
                db.IMPL.service_get(fork, 0)
            session.execute(tables.services.update().values(topic="other"))
        assert db.IMPL.service_get_all_by_topic(fork, "other")

    def test_a_block_that_fails(self, fork: RequestContext) -> None:
        seen: list[tx.Report] = []
        end = tx.observe(seen.append)
        with pytest.raises(exception.ServiceNotFound), swap_in.main_context_manager.writer.using(fork):
            db.service_create(fork, SERVICE)
            db.IMPL.service_get(fork, 0)
        end()
        assert [(one.outcome, one.error) for one in seen] == [("refused", "ServiceNotFound")]
        assert db.IMPL.service_get_all(fork) == []
        with pytest.raises(ZeroDivisionError), swap_in.main_context_manager.reader.using(fork):
            _ = 1 / 0
        with (
            pytest.raises(TypeError, match="a writer can't join"),
            swap_in.main_context_manager.reader.using(fork),
            swap_in.main_context_manager.writer.using(fork),
        ):
            pass

    def test_scopes_of_the_reference(self, fork: RequestContext) -> None:
        manager = swap_in.get_context_manager(fork)
        assert manager == swap_in.main_context_manager
        assert len({manager, swap_in.main_context_manager}) == 1
        for scope in (
            manager.writer.independent,
            manager.writer.savepoint,
            manager.reader.allow_async,
            getattr(manager.reader, "async"),
        ):
            with scope.using(fork):
                assert db.IMPL.service_get_all(fork) == []
        with manager.reader.connection.using(fork) as connection:
            assert connection.execute(tables.services.select()).all() == []
        with pytest.raises(AttributeError):
            _ = manager.writer.mode

    def test_a_forks_own_function_starts_over_after_a_conflict(self, fork: RequestContext) -> None:
        seen: list[str] = []

        def own(context: RequestContext, error: Exception) -> int:
            seen.append(db.service_create(context, SERVICE)["host"])
            if len(seen) < 3:
                raise error
            return len(seen)

        scoped = swap_in.pick_context_manager_writer(own)
        assert scoped(fork, oslo_exception.DBDeadlock()) == 3
        assert len(db.IMPL.service_get_all(fork)) == 1
        with pytest.raises(exception.ServiceBinaryExists):
            scoped(fork, oslo_exception.DBDeadlock())

    def test_decorators_raise_the_forks_errors(self, fork: RequestContext) -> None:
        def own(context: RequestContext, identity: Any) -> Any:
            return identity

        with pytest.raises(exception.Forbidden):
            swap_in.require_context(own)(RequestContext(), 1)
        with pytest.raises(exception.AggregateNotFound):
            swap_in.require_aggregate_exists(own)(fork, 1)
        with pytest.raises(exception.InstanceNotFound):
            swap_in.require_instance_exists_using_uuid(own)(fork, NOBODY)
        assert swap_in.require_context(own)(fork, 1) == 1
        assert own.__name__ == swap_in.pick_context_manager_reader(own).__name__

    def test_oslos_own_retry_sees_its_errors(self, fork: RequestContext) -> None:
        seen: list[int] = []

        def own(context: RequestContext) -> int:
            seen.append(1)
            if len(seen) < 3:
                raise exceptions.DBDeadlock("a reader doesn't start over")
            return len(seen)

        retry = oslo_api.wrap_db_retry(max_retries=3, retry_interval=0, retry_on_deadlock=True)
        assert retry(swap_in.main_context_manager.reader(own))(fork) == 3

    def test_a_cell(self, fork: RequestContext, backend: Backend) -> None:
        fork.db_connection = db.create_context_manager(backend.url.render_as_string(hide_password=False))
        assert swap_in.get_context_manager(fork) == fork.db_connection != swap_in.main_context_manager
        with swap_in.get_context_manager(fork).writer.using(fork) as session:
            db.service_create(fork, SERVICE)
            assert tx.current(fork) is session
        assert session.database.label == "cell database"
        assert len(db.IMPL.service_get_all(fork)) == 1
        fork.db_connection.database.close()

    def test_a_context_and_its_elevated_copy_share_a_transaction(self, fork: RequestContext) -> None:
        with swap_in.main_context_manager.writer.using(fork) as session:
            assert tx.current(fork.elevated()) is session

    def test_iterators(self, fork: RequestContext) -> None:
        def rows() -> Iterator[int]:
            yield 1
            raise exceptions.MarkerNotFound(marker="m")

        found = swap_in.translating(rows)()
        assert next(found) == 1
        with pytest.raises(exception.MarkerNotFound, match="Marker m could not be found"):
            next(found)


class TestConfiguration:
    def test_naming_it_is_enough(self, backend: Backend) -> None:
        tx.close()
        tx.main.__init__("main database")  # type: ignore[misc]  # as in a process that has just begun
        CONF.set_override("connection", backend.url.render_as_string(hide_password=False), "database")
        impl = oslo_api.DBAPI("sqlalchemy", backend_mapping={"sqlalchemy": "nova_sqlcore.contrib.nova"})
        assert impl.service_get_all(get_admin_context()) == []

    @pytest.mark.only_on("sqlite", why="options are mapped, whatever the server")
    def test_options_of_the_database(self, backend: Backend) -> None:
        tx.close()
        given = {
            "connection": str(backend.url),
            "connection_recycle_time": 7,
            "max_pool_size": 3,
            "max_overflow": 4,
            "pool_timeout": 5,
            "connection_debug": 60,
            "mysql_sql_mode": "ANSI",
        }
        for name, value in given.items():
            CONF.set_override(name, value, "database")
        try:
            swap_in.configure(CONF)
        finally:
            for name in given:
                CONF.clear_override(name, "database")
        options = tx.main.options
        assert (options.pool_recycle, options.pool_size, options.max_overflow, options.pool_timeout) == (7, 3, 4, 5)
        assert (options.echo, options.sql_mode) == (True, "ANSI")
        tx.close()

    def test_knobs_follow_conf(self, fork: RequestContext) -> None:
        row = db.IMPL.instance_create(fork, {"project_id": "p"})
        assert row["name"] == f"instance-{row['id']:08x}"
        CONF.set_override("instance_name_template", "vm-%d")
        try:
            assert db.instance_get_by_uuid(fork, row["uuid"])["name"] == f"vm-{row['id']}"
        finally:
            CONF.clear_override("instance_name_template")
        assert settings.default_ephemeral_format is None  # an option that this fork does not have
        assert settings.reservation_expire == 86400


def test_every_name_of_the_api_is_here() -> None:
    for name in api.__all__:
        ours, theirs = getattr(api, name), getattr(swap_in, name)
        assert callable(ours) == callable(theirs), name
        if inspect.isfunction(ours) and name not in swap_in._OWN | swap_in._DECORATORS:
            assert inspect.signature(ours) == inspect.signature(theirs), name
            assert (theirs.__name__, theirs.__doc__) == (ours.__name__, ours.__doc__), name
