# SPDX-License-Identifier: Apache-2.0

"""Limits of projects, users and quota classes (04-quotas 2)."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest

from nova_sqlcore import RequestContext, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.quota import limits, usages as quota_usages
from tests.queries import instance_factory

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.backend import Backend
    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

Row = Any


def usage(resource: str, user_id: str | None = "user", **more: Any) -> Row:
    given = {"project_id": "project", "user_id": user_id, "resource": resource, "in_use": 2, "reserved": 2}
    return instance_factory.insert("quota_usages", **{**given, **more})


def reservation(of: Row, user_id: str | None = "user", **more: Any) -> Row:
    given = {"uuid": "u", "usage_id": of["id"], "project_id": of["project_id"], "user_id": user_id, "delta": 2}
    return instance_factory.insert("reservations", resource=of["resource"], **{**given, **more})


def stored(table: str) -> list[Row]:
    source = getattr(tables, table)
    with tx.reader(get_admin_context()) as transaction:
        rows: list[Row] = transaction.rows(source.select().order_by(source.c.id))
        return rows


def live(table: str) -> list[int]:
    return [row["id"] for row in stored(table) if row["deleted"] == 0]


class TestLimits:
    @pytest.mark.parametrize(("user_id", "table"), [(None, "quotas"), ("user", "project_user_quotas")])
    def test_what_was_created_is_found(
        self, ctxt: RequestContext, sql_count: SqlCount, user_id: str | None, table: str
    ) -> None:
        with sql_count(2):
            row: Row = limits.quota_create(ctxt, "project", "cores", 7, user_id=user_id)
            assert limits.quota_get(ctxt, "project", "cores", user_id=user_id) == row
        assert set(row) == set(getattr(tables, table).c.keys())
        assert (row["hard_limit"], row["deleted"], row["updated_at"]) == (7, 0, None)
        assert row["created_at"] is not None

    @pytest.mark.parametrize("user_id", [None, "user"])
    def test_limits_may_be_text_and_ids_numbers(self, ctxt: RequestContext, user_id: str | None) -> None:
        project: Any = 1
        row: Row = limits.quota_create(ctxt, project, "cores", "10", user_id=user_id)  # type: ignore[arg-type]  # what it is about
        assert (row["hard_limit"], row["project_id"]) == (10, "1")
        assert limits.quota_get(ctxt, project, "cores", user_id) == row
        limits.quota_update(ctxt, project, "cores", "11", user_id)  # type: ignore[arg-type]  # likewise
        assert limits.quota_get(ctxt, project, "cores", user_id)["hard_limit"] == 11

    @pytest.mark.parametrize("user_id", [None, "user"])
    def test_a_second_one_is_refused_and_the_transaction_goes_on(
        self, ctxt: RequestContext, user_id: str | None
    ) -> None:
        limits.quota_create(ctxt, "project", "cores", 1, user_id)
        with tx.writer(ctxt):
            with pytest.raises(exceptions.QuotaExists) as raised:
                limits.quota_create(ctxt, "project", "cores", 2, user_id)
            limits.quota_create(ctxt, "project", "ram", 3, user_id)
        assert raised.value.kwargs == {"project_id": "project", "resource": "cores", "code": 500}
        assert limits.quota_get(ctxt, "project", "ram", user_id)["hard_limit"] == 3

    def test_what_was_destroyed_does_not_clash(self, ctxt: RequestContext) -> None:
        for user_id in (None, "user"):
            limits.quota_create(ctxt, "project", "cores", 1, user_id)
        limits.quota_destroy_all_by_project(ctxt, "project")
        for user_id in (None, "user"):
            limits.quota_create(ctxt, "project", "cores", 2, user_id)
            assert limits.quota_get(ctxt, "project", "cores", user_id)["hard_limit"] == 2

    @pytest.mark.parametrize("resource", quota_usages.PER_PROJECT_QUOTAS)
    def test_resources_of_projects_are_never_a_users(self, ctxt: RequestContext, resource: str) -> None:
        row = limits.quota_create(ctxt, "project", resource, 4, user_id="user")
        assert "user_id" not in row
        assert limits.quota_get(ctxt, "project", resource) == row
        limits.quota_update(ctxt, "project", resource, 5, user_id="user")
        assert limits.quota_get(ctxt, "project", resource)["hard_limit"] == 5
        with pytest.raises(exceptions.ProjectUserQuotaNotFound):  # the getter looks for a user's in any case
            limits.quota_get(ctxt, "project", resource, user_id="user")

    def test_what_is_missing(self, ctxt: RequestContext) -> None:
        limits.quota_create(ctxt, "other", "cores", 1)
        limits.quota_create(ctxt, "project", "cores", 1, "other")

        def update(context: Any, project_id: str, resource: str, user_id: str | None = None) -> None:
            limits.quota_update(context, project_id, resource, 5, user_id)

        for call in (limits.quota_get, update):
            with pytest.raises(exceptions.ProjectQuotaNotFound) as missing:
                call(ctxt, "project", "cores")
            assert missing.value.kwargs == {"project_id": "project", "code": 404}
            with pytest.raises(exceptions.ProjectUserQuotaNotFound) as missing_user:
                call(ctxt, "project", "cores", "user")
            assert missing_user.value.kwargs == {"project_id": "project", "user_id": "user", "code": 404}
        with pytest.raises(exceptions.ProjectQuotaNotFound):
            limits.quota_update(ctxt, "project", "networks", 1, "user")

    @pytest.mark.parametrize("user_id", [None, "user"])
    def test_update(
        self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount, user_id: str | None
    ) -> None:
        row = limits.quota_create(ctxt, "project", "cores", 1, user_id)
        other = limits.quota_create(ctxt, "project", "ram", 1, user_id)
        now = frozen_clock.advance(3)
        with sql_count(2):
            for _ in range(2):  # equal values find the row too
                limits.quota_update(ctxt, "project", "cores", -1, user_id)
        assert limits.quota_get(ctxt, "project", "cores", user_id) == {**row, "hard_limit": -1, "updated_at": now}
        assert limits.quota_get(ctxt, "project", "ram", user_id) == other

    def test_visibility(self, ctxt: RequestContext) -> None:
        rows = [limits.quota_create(ctxt, "project", "cores", 1, user_id) for user_id in (None, "user")]
        limits.quota_destroy_all_by_project(ctxt, "project")
        for limit, context in enumerate((get_admin_context("yes"), get_admin_context("only")), 1):
            assert limits.quota_get(context, "project", "cores")["id"] == rows[0]["id"]
            assert limits.quota_get(context, "project", "cores", "user")["id"] == rows[1]["id"]
            assert [row["id"] for row in limits.quota_get_all(context, "project")] == [rows[1]["id"]]
            assert limits.quota_get_all_by_project(context, "project") == {"project_id": "project"}
            assert limits.quota_get_all_by_project_and_user(context, "project", "user") == {
                "project_id": "project",
                "user_id": "user",
                "cores": limit,
            }
            limits.quota_update(context, "project", "cores", limit + 1, "user")
        assert limits.quota_get_all(ctxt, "project") == []
        assert [row["hard_limit"] for row in stored("project_user_quotas")] == [3]
        assert [row["hard_limit"] for row in stored("quotas")] == [1]

    def test_lists(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        rows = [
            limits.quota_create(ctxt, "project", name, n, user)
            for n, (name, user) in enumerate([("ram", "v"), ("cores", "user"), ("ram", "user")])
        ]
        limits.quota_create(ctxt, "other", "ram", 10, "user")
        limits.quota_create(ctxt, "project", "cores", 11)
        limits.quota_create(ctxt, "project", "ram", -1)
        with sql_count(3):
            assert limits.quota_get_all(ctxt, "project") == rows
            assert limits.quota_get_all_by_project(ctxt, "project") == {
                "project_id": "project",
                "cores": 11,
                "ram": -1,
            }
            assert limits.quota_get_all_by_project_and_user(ctxt, "project", "user") == {
                "project_id": "project",
                "user_id": "user",
                "cores": 1,
                "ram": 2,
            }
        assert limits.quota_get_all(ctxt, "nobody") == []
        assert limits.quota_get_all_by_project(ctxt, "nobody") == {"project_id": "nobody"}

    def test_none_is_a_project_like_others(self, admin: RequestContext) -> None:
        nobody: Any = None
        row = limits.quota_create(admin, nobody, "cores", 1)
        limits.quota_create(admin, "project", "cores", 2)
        assert limits.quota_get(admin, nobody, "cores") == row
        assert limits.quota_get_all_by_project(admin, nobody) == {"project_id": None, "cores": 1}

    def test_a_joined_call_gives_what_a_call_alone_gives(self, ctxt: RequestContext) -> None:
        with tx.writer(ctxt):
            row = limits.quota_create(ctxt, "project", "cores", 1)
            assert limits.quota_get(ctxt, "project", "cores") == row
            assert limits.quota_get_all_by_project(ctxt, "project") == {"project_id": "project", "cores": 1}
        assert limits.quota_get(ctxt, "project", "cores") == row


class TestDestroy:
    def filled(self, ctxt: RequestContext) -> None:
        for project in ("project", "other"):
            for user in (None, "user", "v"):
                limits.quota_create(ctxt, project, "cores", 1, user)
                owner = usage("cores" if user else "fixed_ips", user, project_id=project)
                reservation(owner, user or "user")

    def test_a_project(self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        self.filled(ctxt)
        before = {table: stored(table) for table in ("quotas", "project_user_quotas", "quota_usages", "reservations")}
        now = frozen_clock.advance(4)
        with sql_count(4):
            limits.quota_destroy_all_by_project(ctxt, "project")
        for table, rows in before.items():
            gone = [
                row | {"deleted": row["id"], "deleted_at": now} if row["project_id"] == "project" else row
                for row in rows
            ]
            assert stored(table) == gone
        assert limits.quota_get_all_by_project(ctxt, "project") == {"project_id": "project"}
        owner = {"project_id": "project", "user_id": "user"}
        assert limits.quota_get_all_by_project_and_user(ctxt, **owner) == owner
        assert quota_usages.quota_usage_get_all_by_project(ctxt, "project") == {"project_id": "project"}
        frozen_clock.advance(4)
        limits.quota_destroy_all_by_project(get_admin_context("yes"), "project")
        assert {row["deleted_at"] for row in stored("quotas")} == {None, now}

    def test_a_user(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        self.filled(ctxt)
        with sql_count(3):
            limits.quota_destroy_all_by_project_and_user(ctxt, "project", "user")
        assert len(live("quotas")) == 2
        assert len(live("project_user_quotas")) == 3
        assert len(live("reservations")) == 4  # those of fixed IPs are the user's too
        owner = {"project_id": "project", "user_id": "user"}
        assert limits.quota_get_all_by_project_and_user(ctxt, **owner) == owner
        assert quota_usages.quota_usage_get_all_by_project_and_user(ctxt, **owner) == {
            **owner,
            "fixed_ips": {"in_use": 2, "reserved": 2},
        }


class TestClasses:
    def test_what_was_created_is_found(self, admin: RequestContext, sql_count: SqlCount) -> None:
        with sql_count(2):
            row = limits.quota_class_create(admin, "gold", "cores", "10")  # type: ignore[arg-type]  # what it is about
            assert limits.quota_class_get(admin, "gold", "cores") == row
        assert set(row) == set(tables.quota_classes.c.keys())
        assert (row["class_name"], row["resource"], row["hard_limit"]) == ("gold", "cores", 10)

    def test_lists(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        for name, resource, limit in (("gold", "a", 1), ("gold", "b", 2), ("default", "a", 3), ("gold", "a", 4)):
            limits.quota_class_create(ctxt, name, resource, limit)
        with sql_count(2):
            assert limits.quota_class_get_all_by_name(ctxt, "gold") == {"class_name": "gold", "a": 4, "b": 2}
            assert limits.quota_class_get_default(RequestContext()) == {"class_name": "default", "a": 3}
        assert limits.quota_class_get_all_by_name(ctxt, "lead") == {"class_name": "lead"}

    def test_update_changes_all_of_them(
        self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        rows = [limits.quota_class_create(ctxt, "gold", "a", limit) for limit in (1, 2)]
        other = limits.quota_class_create(ctxt, "gold", "b", 3)
        now = frozen_clock.advance(5)
        with sql_count(1):
            limits.quota_class_update(RequestContext(), "gold", "a", 9)
        assert stored("quota_classes") == [*({**row, "hard_limit": 9, "updated_at": now} for row in rows), other]

    @pytest.mark.parametrize(
        "call", [limits.quota_class_get, lambda c, name, resource: limits.quota_class_update(c, name, resource, 1)]
    )
    def test_what_is_missing(self, call: Callable[..., Any]) -> None:
        gone = instance_factory.insert("quota_classes", class_name="gold", resource="a", hard_limit=1)
        instance_factory.deleted("quota_classes", gone)
        for context in (get_admin_context(), get_admin_context("yes")):
            with pytest.raises(exceptions.QuotaClassNotFound) as raised:
                call(context, "gold", "a")
            assert raised.value.kwargs == {"class_name": "gold", "code": 404}

    def test_of_two_limits_the_first_is_got(self, ctxt: RequestContext) -> None:
        rows = [limits.quota_class_create(ctxt, "gold", "a", limit) for limit in (1, 2)]
        assert limits.quota_class_get(ctxt, "gold", "a") == rows[0]


def test_quotas_stay_in_the_main_database(backend: Backend, ctxt: RequestContext) -> None:
    with backend.new_database() as elsewhere:
        ctxt.db_connection = tx.create_context_manager(elsewhere)
        row = limits.quota_create(ctxt, "project", "cores", 1)
        limits.quota_class_create(ctxt, "gold", "cores", 2)
        assert limits.quota_get(RequestContext("user", "project"), "project", "cores") == row
        assert limits.quota_class_get_all_by_name(ctxt, "gold")["cores"] == 2
        assert isinstance(row["created_at"], datetime.datetime)
        ctxt.db_connection.close()
