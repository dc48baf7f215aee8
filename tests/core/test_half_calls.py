# SPDX-License-Identifier: Apache-2.0

"""Half of a call that failed is never committed, whatever its caller does with the error."""

from __future__ import annotations

import contextlib
import threading
import types
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from nova_sqlcore import RequestContext, api, exceptions, tables, tx
from nova_sqlcore.core.link import Link
from tests.queries import instance_factory

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.backend import Backend

pytestmark = pytest.mark.usefixtures("backend")


@tx.writer
def _half(context: RequestContext, error: Exception) -> None:
    transaction = tx.current(context)
    transaction.insert(tables.certificates, {"file_name": "half"})
    raise error


@tx.writer
def _finds_nothing(context: RequestContext) -> None:
    tx.current(context).rows(tables.certificates.select())
    raise exceptions.NotFound


def _names(context: RequestContext) -> list[str]:
    with tx.reader(context) as t:
        return [row["file_name"] for row in t.rows(tables.certificates.select())]


@pytest.mark.parametrize("error", [ValueError("mine"), exceptions.NotFound(), exceptions.DBDataError("no")])
def test_a_block_that_goes_on_after_half_a_call_keeps_nothing(admin: RequestContext, error: Exception) -> None:
    hooks: list[str] = []
    with pytest.raises(exceptions.DBError, match="nothing of it has been kept"), tx.writer(admin) as t:
        t.insert(tables.certificates, {"file_name": "before"})
        t.after_commit(lambda: hooks.append("ran"))
        with pytest.raises(type(error)):
            _half(admin, error)
    assert _names(admin) == []
    assert hooks == []


def test_a_savepoint_keeps_the_rest(admin: RequestContext) -> None:
    with tx.writer(admin) as t:
        t.insert(tables.certificates, {"file_name": "before"})
        with pytest.raises(ValueError, match="mine"), t.savepoint():
            _half(admin, ValueError("mine"))
        t.insert(tables.certificates, {"file_name": "after"})
    assert _names(admin) == ["before", "after"]


def test_a_call_that_has_changed_nothing_leaves_the_block_as_it_was(admin: RequestContext) -> None:
    with tx.writer(admin) as t:
        t.insert(tables.certificates, {"file_name": "before"})
        with pytest.raises(exceptions.NotFound):
            _finds_nothing(admin)
        with pytest.raises(exceptions.InstanceNotFound):
            api.instance_destroy(admin, str(uuid.uuid4()))
    assert _names(admin) == ["before"]


def _make_instance(context: RequestContext) -> Any:
    return api.instance_create(context, {"project_id": "p", "system_metadata": {"key": ["no text"]}})


def _set_aggregate(context: RequestContext) -> Any:
    aggregate = api.aggregate_create(context, {"name": "a"}, {"old": "1"})
    return api.aggregate_metadata_add(context, aggregate["id"], {"new": ["no text"]}, set_delete=True)


@pytest.mark.parametrize("call", [_make_instance, _set_aggregate])
def test_functions_that_write_more_than_once(admin: RequestContext, call: Callable[[RequestContext], Any]) -> None:
    def count() -> int:
        with tx.reader(admin) as t:
            every = (tables.instances, tables.instance_id_mappings, tables.instance_system_metadata)
            return sum(len(t.rows(table.select())) for table in every)

    before = count()
    with contextlib.suppress(exceptions.DBError), tx.writer(admin), pytest.raises(exceptions.DBDataError):
        call(admin)
    assert count() == before


class TestRetryRequests:
    def test_what_the_first_attempt_did_is_undone(self, admin: RequestContext) -> None:
        """The network gets an allocated address between the two statements of ``network_delete_safe``."""
        network = api.network_create_safe(admin, {"label": "n"})
        for number in (1, 2):
            api.fixed_ip_create(admin, {"address": f"10.0.0.{number}", "network_id": network["id"], "allocated": False})
        original = tx.Transaction.execute
        calls: list[str] = []

        def overtaken(transaction: Any, statement: Any, /, **params: Any) -> int:
            if statement.is_delete and statement.table is tables.networks and not calls:
                calls.append("overtaken")
                return 0
            return original(transaction, statement, **params)

        with pytest.MonkeyPatch.context() as patched, tx.writer(admin):
            patched.setattr(tx.Transaction, "execute", overtaken)
            api.network_delete_safe(admin, network["id"])
        assert calls == ["overtaken"]
        with pytest.raises(exceptions.NetworkNotFound):
            api.network_get(admin, network["id"])

    def test_the_owner_runs_again_where_no_savepoint_was_set(self, admin: RequestContext) -> None:
        attempts: list[int] = []
        hooks: list[str] = []

        @tx.writer
        def inner(context: RequestContext) -> None:
            t = tx.current(context)
            t.insert(tables.certificates, {"file_name": f"attempt {len(attempts)}"})
            t.after_commit(lambda: hooks.append("hook"))
            if len(attempts) == 1:
                raise exceptions.RetryRequest(LookupError())

        @tx.writer
        def outer(context: RequestContext) -> None:
            attempts.append(1)
            inner(context)

        outer(admin)
        assert _names(admin) == ["attempt 2"]
        assert hooks == ["hook"]


class TestForeignContexts:
    def test_a_marker_where_elevated_makes_a_new_object(self, backend: Backend) -> None:
        class Elevating(types.SimpleNamespace):
            def elevated(self) -> Elevating:
                return Elevating(user_id=self.user_id, project_id=self.project_id, is_admin=True, read_deleted="no")

        context = Elevating(user_id="u", project_id="project", is_admin=False, read_deleted="no")
        rows = [instance_factory.instance(project_id="project") for _ in range(3)]
        marker = rows[1]["uuid"]
        found = api.instance_get_all_by_filters(context, {}, sort_key="id", sort_dir="asc", marker=marker)
        assert [row["id"] for row in found] == [rows[2]["id"]]


class TestSessions:
    def test_the_reference_s_name_gives_what_a_connection_has(self, admin: RequestContext) -> None:
        with tx.writer(admin) as t:
            assert admin.session is t
            assert admin.session.exec_driver_sql("SELECT 1").scalar_one() == 1  # type: ignore[attr-defined]  # shown to callers of the reference alone
            for name in ("query", "add", "flush"):
                with pytest.raises(AttributeError, match="there is no ORM here"):
                    getattr(admin.session, name)
            with pytest.raises(AttributeError, match="no attribute 'nothing'"):
                _ = admin.session.nothing  # type: ignore[attr-defined]  # so it is


@pytest.fixture
def in_memory(backend: Backend) -> None:
    tx.close()
    tx.configure("sqlite://")
    tables.metadata.create_all(tx.main.engine)


@pytest.mark.only_on("sqlite", why="no other database lives in memory")
@pytest.mark.usefixtures("in_memory")
class TestInMemory:
    def test_a_rollback_that_fails_keeps_no_lock(self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch) -> None:
        def fails(link: Link) -> None:
            raise link.errors("disk I/O error")

        with monkeypatch.context() as patched, pytest.raises(ValueError, match="mine"), tx.writer(admin) as t:
            t.insert(tables.certificates, {"file_name": "lost"})
            patched.setattr(Link, "rollback", fails)
            raise ValueError("mine")
        done = threading.Event()

        def other() -> None:
            api.service_get_all(RequestContext("u", "p", is_admin=True))
            done.set()

        thread = threading.Thread(target=other, daemon=True)
        thread.start()
        thread.join(20)
        assert done.is_set()

    def test_a_database_that_is_closed_in_a_block_is_followed_by_another(self, admin: RequestContext) -> None:
        block = tx.writer(admin)
        transaction = block.__enter__()
        transaction.insert(tables.certificates, {"file_name": "left"})
        tx.close()
        tx.configure("sqlite://")
        tables.metadata.create_all(tx.main.engine)
        other = RequestContext("u", "p", is_admin=True)
        assert api.service_create(other, {"host": "h"})["id"] == 1
        del block, transaction
        assert len(api.service_get_all(other)) == 1
