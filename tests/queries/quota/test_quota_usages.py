# SPDX-License-Identifier: Apache-2.0

"""Quota usages, and the functions that count resources anew (04-quotas 3 and 4)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from nova_sqlcore import RequestContext, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.quota import counts, usages as quota_usages
from tests.queries import instance_factory

if TYPE_CHECKING:
    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

Row = Any


def usage(resource: str, user_id: str | None, in_use: int, reserved: int = 0, **more: Any) -> Row:
    given = {"project_id": "project", "user_id": user_id, "resource": resource, "in_use": in_use, "reserved": reserved}
    return instance_factory.insert("quota_usages", **{**given, **more})


def got(row: Row) -> Row:
    return row | {"total": row["in_use"] + row["reserved"]}


class TestGet:
    def test_one(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        usage("ram", "user", 5)
        rows = [usage("cores", user, number, 2) for number, user in enumerate(("v", "user"))]
        with sql_count(2):
            row = quota_usages.quota_usage_get(ctxt, "project", "cores", "user")
            assert quota_usages.quota_usage_get(ctxt, "project", "cores") == got(rows[0])  # whose it is, is the same
        assert row == got(rows[1])
        assert set(row) == {*tables.quota_usages.c.keys(), "total"}
        assert row["total"] == 3

    @pytest.mark.parametrize("resource", quota_usages.PER_PROJECT_QUOTAS)
    def test_resources_of_projects_are_no_users(self, ctxt: RequestContext, resource: str) -> None:
        usage(resource, "user", 1)
        row = usage(resource, None, 2)
        assert quota_usages.quota_usage_get(ctxt, "project", resource, user_id="user") == got(row)

    def test_what_is_missing(self, ctxt: RequestContext) -> None:
        instance_factory.deleted("quota_usages", usage("cores", "user", 1))
        usage("ram", "v", 1)
        usage("cores", "user", 1, project_id="other")
        for context in (ctxt, get_admin_context("yes")):
            for resource, user in (("cores", "user"), ("cores", None), ("ram", "user"), ("fixed_ips", "user")):
                with pytest.raises(exceptions.QuotaUsageNotFound) as raised:
                    quota_usages.quota_usage_get(context, "project", resource, user)
                assert raised.value.kwargs == {"project_id": "project", "code": 404}

    def test_sums(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        usage("cores", "user", 1, 10)
        usage("cores", "v", 2, 20)
        usage("ram", "v", 4)
        usage("fixed_ips", None, 5)
        usage("cores", "user", 7, project_id="other")
        instance_factory.deleted("quota_usages", usage("cores", "user", 100))
        with sql_count(2):
            all_users = quota_usages.quota_usage_get_all_by_project(get_admin_context("yes"), "project")
            one = quota_usages.quota_usage_get_all_by_project_and_user(ctxt, "project", "user")
        assert all_users == {
            "project_id": "project",
            "cores": {"in_use": 3, "reserved": 30},
            "ram": {"in_use": 4, "reserved": 0},
            "fixed_ips": {"in_use": 5, "reserved": 0},
        }
        assert one == {
            "project_id": "project",
            "user_id": "user",
            "cores": {"in_use": 1, "reserved": 10},
            "fixed_ips": {"in_use": 5, "reserved": 0},
        }
        assert {type(number) for number in (*all_users["cores"].values(), *one["cores"].values())} == {int}
        nobody: Any = None
        for user in (nobody, ""):
            assert quota_usages.quota_usage_get_all_by_project_and_user(ctxt, "project", user) == all_users
        assert quota_usages.quota_usage_get_all_by_project(ctxt, "nobody") == {"project_id": "nobody"}

    def test_ids_may_be_numbers_and_none(self, ctxt: RequestContext) -> None:
        number: Any = 12
        nobody: Any = None
        row = usage("cores", number, 1, project_id=number)
        without = usage("cores", "user", 2, project_id=None)
        assert (row["project_id"], row["user_id"]) == ("12", "12")
        assert quota_usages.quota_usage_get(ctxt, number, "cores", number) == got(row)
        assert quota_usages.quota_usage_get(ctxt, nobody, "cores") == got(without)
        sums = {"cores": {"in_use": 1, "reserved": 0}}
        owner = {"project_id": 12, "user_id": 12}
        assert quota_usages.quota_usage_get_all_by_project_and_user(ctxt, number, number) == owner | sums


class TestUpdate:
    def test_the_users_and_the_projects(
        self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        rows = [usage("cores", user, 1, 1, until_refresh=1) for user in ("user", None, "v")]
        ram = usage("ram", "user", 1)
        now = frozen_clock.advance(2)
        numbers = {"in_use": -1, "reserved": 5, "until_refresh": None}
        with sql_count(1):
            quota_usages.quota_usage_update(ctxt, "project", "user", "cores", **numbers, junk=4, resource_id=3)
        with tx.reader(ctxt) as transaction:
            after = transaction.rows(tables.quota_usages.select().order_by(tables.quota_usages.c.id))
        changed = [row | numbers | {"updated_at": now} for row in rows[:2]]
        assert after == [*changed, rows[2], ram]

    def test_nothing_to_write_moves_the_time_alone(self, ctxt: RequestContext, frozen_clock: FrozenClock) -> None:
        row = usage("cores", "user", 1)
        now = frozen_clock.advance(2)
        quota_usages.quota_usage_update(ctxt, "project", "user", "cores", total=9)
        assert quota_usages.quota_usage_get(ctxt, "project", "cores") == got(row | {"updated_at": now})

    def test_without_a_user(self, ctxt: RequestContext) -> None:
        nobody: Any = None
        usage("cores", "user", 1)
        with pytest.raises(exceptions.QuotaUsageNotFound):
            quota_usages.quota_usage_update(ctxt, "project", nobody, "cores", in_use=2)
        usage("cores", None, 1)
        quota_usages.quota_usage_update(ctxt, "project", nobody, "cores", in_use=2)
        sums = quota_usages.quota_usage_get_all_by_project(ctxt, "project")
        assert sums["cores"] == {"in_use": 3, "reserved": 0}

    def test_what_is_missing(self, ctxt: RequestContext) -> None:
        instance_factory.deleted("quota_usages", usage("cores", "user", 1))
        for context in (ctxt, get_admin_context("yes")):
            with pytest.raises(exceptions.QuotaUsageNotFound) as raised:
                quota_usages.quota_usage_update(context, "project", "user", "cores", in_use=1)
            assert raised.value.kwargs == {"project_id": "project", "code": 404}

    def test_equal_values_find_the_row(self, ctxt: RequestContext) -> None:
        usage("cores", "user", 1)
        for _ in range(2):
            quota_usages.quota_usage_update(ctxt, "project", "user", "cores", in_use=1)


def counted(name: str, context: RequestContext, user_id: str | None = "user", project_id: Any = "project") -> Row:
    """Count in a transaction, as quota_reserve does."""
    with tx.main.writer(context):
        return counts.QUOTA_SYNC_FUNCTIONS[name](context, project_id, user_id)


class TestCounts:
    def test_the_names(self) -> None:
        assert list(counts.QUOTA_SYNC_FUNCTIONS) == [
            "_sync_instances",
            "_sync_floating_ips",
            "_sync_fixed_ips",
            "_sync_security_groups",
            "_sync_server_groups",
        ]

    def test_instances(self, admin: RequestContext, sql_count: SqlCount) -> None:
        instance_factory.instance(vcpus=2, memory_mb=100)
        instance_factory.instance(vcpus=None, memory_mb=None)
        instance_factory.instance(vcpus=4, memory_mb=200, user_id="v")
        instance_factory.instance(vcpus=8, memory_mb=400, project_id="other")
        instance_factory.deleted("instances", instance_factory.instance(vcpus=16, memory_mb=800))
        for context in (admin, get_admin_context("yes")):
            with sql_count(3):
                assert counted("_sync_instances", context) == {"instances": 2, "cores": 2, "ram": 100}
                assert counted("_sync_instances", context, None) == {"instances": 3, "cores": 6, "ram": 300}
                none = counted("_sync_instances", context, "nobody")
            assert none == {"instances": 0, "cores": 0, "ram": 0}
            assert {type(number) for number in none.values()} == {int}

    def test_floating_ips(self, admin: RequestContext, sql_count: SqlCount) -> None:
        variants: list[Row] = [{}, {"auto_assigned": True}, {"project_id": "other"}, {}]
        for number, given in enumerate(variants):
            whole = {"address": f"10.0.0.{number}", "project_id": "project", "auto_assigned": False, **given}
            row = instance_factory.insert("floating_ips", **whole)
        instance_factory.deleted("floating_ips", row)
        with sql_count(2):
            for user in ("user", None):
                assert counted("_sync_floating_ips", admin, user) == {"floating_ips": 1}

    def test_fixed_ips(self, admin: RequestContext, sql_count: SqlCount) -> None:
        gone = instance_factory.instance()
        for number, owner in enumerate((instance_factory.instance(), gone, instance_factory.instance(project_id="o"))):
            instance_factory.insert("fixed_ips", address=f"10.0.0.{number}", instance_uuid=owner["uuid"])
        row = instance_factory.insert("fixed_ips", address="10.0.0.9", instance_uuid=gone["uuid"])
        instance_factory.deleted("fixed_ips", row)
        instance_factory.deleted("instances", gone)
        with sql_count(1):
            assert counted("_sync_fixed_ips", admin) == {"fixed_ips": 2}

    @pytest.mark.parametrize(
        ("name", "table", "resource"),
        [
            ("_sync_security_groups", "security_groups", "security_groups"),
            ("_sync_server_groups", "instance_groups", "server_groups"),
        ],
    )
    def test_groups(self, admin: RequestContext, sql_count: SqlCount, name: str, table: str, resource: str) -> None:
        def group(**more: Any) -> Row:
            given = {"project_id": "project", "user_id": "user", "name": f"{uuid.uuid4()}", **more}
            if table == "instance_groups":
                given["uuid"] = str(uuid.uuid4())
            return instance_factory.insert(table, **given)

        group()
        group()
        group(user_id="v")
        group(user_id=None)
        group(project_id="other")
        instance_factory.deleted(table, group())
        with sql_count(2):
            assert counted(name, admin) == {resource: 2}
            assert counted(name, admin, None) == {resource: 1}

    @pytest.mark.parametrize(
        ("name", "helper", "answer"),
        [
            ("_sync_instances", "_instance_data_get_for_user", (5, 6, 7)),
            ("_sync_fixed_ips", "_fixed_ip_count_by_project", 5),
            ("_sync_floating_ips", "_floating_ip_count_by_project", 5),
            ("_sync_server_groups", "_instance_group_count_by_project_and_user", 5),
        ],
    )
    def test_what_counts_may_be_replaced(
        self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch, name: str, helper: str, answer: Any
    ) -> None:
        monkeypatch.setattr(counts, helper, lambda *_: answer)
        assert next(iter(counted(name, admin).values())) == 5

    @pytest.mark.parametrize("name", ["_sync_floating_ips", "_sync_fixed_ips", "_sync_security_groups"])
    def test_users_of_other_projects_are_refused(self, ctxt: RequestContext, name: str) -> None:
        with pytest.raises(exceptions.Forbidden):
            counted(name, ctxt, "user", "other")
        assert list(counted(name, ctxt.elevated(), "user", "other").values()) == [0]
        assert list(counted(name, ctxt).values()) == [0]
