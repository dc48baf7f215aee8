# SPDX-License-Identifier: Apache-2.0

"""Recounting usages: what is wrong, and what becomes of it."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

import pytest

from nova_sqlcore import RequestContext, exceptions, tables, tx
from nova_sqlcore.queries.quota.counts import QUOTA_SYNC_FUNCTIONS
from nova_sqlcore.queries.quota.recount import quota_usage_drift, quota_usage_refresh
from nova_sqlcore.queries.quota.reservations import quota_reserve
from tests.queries import instance_factory
from tests.queries.threads import at_once, one_inside_the_other

if TYPE_CHECKING:
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")


def usage(resource: str, in_use: int, user_id: str | None = "user", **more: Any) -> int:
    given = {"project_id": "project", "user_id": user_id, "resource": resource, "in_use": in_use, "reserved": 0}
    identity: int = instance_factory.insert("quota_usages", **{**given, **more})["id"]
    return identity


def stored(admin: RequestContext) -> list[tuple[Any, ...]]:
    """Return project, user, resource and what is in use of each usage, by id."""
    t = tables.quota_usages
    with tx.reader(admin) as transaction:
        rows = transaction.rows(t.select().order_by(t.c.id))
    return [(row["project_id"], row["user_id"], row["resource"], row["in_use"]) for row in rows]


def told(found: Any) -> list[tuple[Any, ...]]:
    return [tuple(drift.values()) for drift in found]


def some_of_everything(project_id: str, user_id: str) -> None:
    """Store what is counted, and what looks like it and is not."""
    whose: dict[str, Any] = {"project_id": project_id, "user_id": user_id}
    one = instance_factory.instance(vcpus=2, memory_mb=512, **whose)
    instance_factory.instance(vcpus=None, memory_mb=None, **whose)
    gone = instance_factory.instance(vcpus=7, memory_mb=7, **whose)
    for number, instance in enumerate((one, one, gone)):
        instance_factory.insert("fixed_ips", address=f"10.0.0.{number}", instance_uuid=instance["uuid"])
    instance_factory.insert("fixed_ips", address="10.0.0.9")
    instance_factory.deleted("instances", gone)
    for address, auto in (("1.0.0.1", False), ("1.0.0.2", True)):
        instance_factory.insert("floating_ips", address=address, auto_assigned=auto, project_id=project_id)
    for name in ("a", "b"):
        instance_factory.insert("security_groups", name=name, **whose)
    instance_factory.insert("instance_groups", uuid=f"{project_id}-{user_id}", **whose)


EVERYTHING = {
    "instances": 2, "cores": 2, "ram": 512, "floating_ips": 1, "fixed_ips": 3, "security_groups": 2, "server_groups": 1
}  # fmt: skip


def test_usages_say_what_quota_reserve_counts(admin: RequestContext) -> None:
    some_of_everything("project", "user")
    for resource in EVERYTHING:
        usage(resource, 5, None if resource in ("floating_ips", "fixed_ips") else "user")
    found = quota_usage_refresh(admin, "project")
    assert {drift["resource"]: drift["is"] for drift in found} == EVERYTHING
    assert {drift["was"] for drift in found} == {5}
    with tx.reader(admin):
        counted = [count(admin, "project", "user") for count in QUOTA_SYNC_FUNCTIONS.values()]
    assert {name: number for counts in counted for name, number in counts.items()} == EVERYTHING
    assert {resource: in_use for _, _, resource, in_use in stored(admin)} == EVERYTHING
    assert quota_usage_refresh(admin) == []


def test_looking_changes_nothing_and_takes_six_statements(admin: RequestContext, sql_count: SqlCount) -> None:
    for number in range(5):
        instance_factory.instance(project_id=f"p{number}", vcpus=1, memory_mb=1)
        usage("instances", 0, project_id=f"p{number}")
        usage("cores", 1, project_id=f"p{number}")
        usage("ram", 1, project_id=f"p{number}")
    before = stored(admin)
    with sql_count(6):
        found = quota_usage_drift(admin)
    assert told(found) == [(f"p{number}", "user", "instances", 0, 1) for number in range(5)]
    assert stored(admin) == before


def test_the_statements_of_a_refresh(admin: RequestContext, sql_count: SqlCount) -> None:
    instance_factory.instance(vcpus=1, memory_mb=1)
    usage("instances", 0)
    usage("cores", 7)
    with sql_count(sqlite=14, postgresql=15, mysql=16):
        assert len(quota_usage_refresh(admin)) == 3
    with sql_count(6):
        assert quota_usage_refresh(admin) == []


def test_scope(admin: RequestContext) -> None:
    for project, user in (("a", "u"), ("a", "v"), ("b", "u"), ("A", "u"), (None, "u")):
        usage("instances", 3, user, project_id=project)
    usage("fixed_ips", 3, None, project_id="a")
    assert told(quota_usage_refresh(admin, "a", "u")) == [("a", "u", "instances", 3, 0)]
    assert told(quota_usage_refresh(admin, "a")) == [("a", None, "fixed_ips", 3, 0), ("a", "v", "instances", 3, 0)]
    assert told(quota_usage_drift(admin)) == [
        (None, "u", "instances", 3, 0), ("A", "u", "instances", 3, 0), ("b", "u", "instances", 3, 0)
    ]  # fmt: skip
    assert len(quota_usage_refresh(admin)) == 3
    assert {row[3] for row in stored(admin)} == {0}


def test_names_that_only_a_collation_takes_for_one(admin: RequestContext) -> None:
    for user in ("U", "u", "u", "ü"):
        instance_factory.instance(user_id=user, vcpus=0, memory_mb=0)
    for user in ("U", "u", "ü"):
        usage("instances", 0, user)
    assert {drift["user_id"]: drift["is"] for drift in quota_usage_refresh(admin)} == {"U": 1, "u": 2, "ü": 1}


def test_of_several_usages_with_one_key_the_newest_has_it_all(admin: RequestContext) -> None:
    instance_factory.instance(vcpus=0, memory_mb=0)
    for in_use in (2, 3, 4):
        usage("instances", in_use)
    assert told(quota_usage_refresh(admin)) == [("project", "user", "instances", 9, 1)]
    assert [row[3] for row in stored(admin)] == [0, 0, 1]


def test_several_usages_that_come_to_the_right_sum_stay(admin: RequestContext) -> None:
    for _ in range(2):
        instance_factory.instance(vcpus=0, memory_mb=0)
        usage("instances", 1)
    assert quota_usage_refresh(admin) == []


def test_a_missing_usage_is_made(admin: RequestContext) -> None:
    some_of_everything("project", "user")
    found = quota_usage_refresh(admin)
    assert {drift["resource"]: drift["was"] for drift in found} == dict.fromkeys(EVERYTHING)
    assert {row[2]: row[3] for row in stored(admin)} == EVERYTHING
    assert {row[1] for row in stored(admin) if row[2].endswith("_ips")} == {None}
    assert quota_usage_drift(admin) == []


def test_nothing_to_count_needs_no_usage(admin: RequestContext) -> None:
    instance_factory.instance(project_id=None)
    instance_factory.instance(user_id=None)
    assert quota_usage_refresh(admin) == []
    assert stored(admin) == []


def test_a_usage_of_nobody_has_what_the_others_do_not_have(admin: RequestContext) -> None:
    for user in ("u", "v", None):
        instance_factory.instance(user_id=user, vcpus=0, memory_mb=0)
    usage("instances", 0, "u")
    usage("instances", 0, None)
    quota_usage_refresh(admin)
    assert stored(admin) == [("project", "u", "instances", 1), ("project", None, "instances", 2)]


def test_what_belongs_to_the_project_counts_for_no_user(admin: RequestContext) -> None:
    instance_factory.insert("floating_ips", address="1.0.0.1", project_id="project", auto_assigned=False)
    usage("floating_ips", 1, "user")
    quota_usage_refresh(admin)
    assert stored(admin) == [("project", "user", "floating_ips", 0), ("project", None, "floating_ips", 1)]


def test_what_nobody_knows_how_to_count_and_deleted_usages_stay(admin: RequestContext) -> None:
    usage("networks", 5, None)
    usage("widgets", 5)
    usage("instances", 5, deleted=1)
    assert quota_usage_refresh(admin) == []


def test_reserved_and_until_refresh_stay(admin: RequestContext) -> None:
    usage("cores", 5, reserved=3, until_refresh=2)
    quota_usage_refresh(admin)
    t = tables.quota_usages
    with tx.reader(admin) as transaction:
        row = transaction.row(t.select())
    assert row is not None
    assert (row["in_use"], row["reserved"], row["until_refresh"]) == (0, 3, 2)
    assert row["updated_at"] is not None


def test_more_usages_than_one_update_takes(admin: RequestContext) -> None:
    for number in range(120):
        usage("instances", number + 1, f"user{number}")
    assert len(quota_usage_refresh(admin)) == 120
    assert {row[3] for row in stored(admin)} == {0}


def test_a_user_without_a_project_and_users_are_refused(admin: RequestContext, ctxt: RequestContext) -> None:
    for function in (quota_usage_drift, quota_usage_refresh):
        with pytest.raises(ValueError, match="project_id"):
            function(admin, None, "user")
        with pytest.raises(exceptions.AdminRequired):
            function(ctxt)


def test_several_at_once_make_a_usage_once(admin: RequestContext) -> None:
    some_of_everything("project", "user")
    found = at_once([quota_usage_refresh] * 4)
    assert sorted(map(len, found)) == [0, 0, 0, len(EVERYTHING)]
    assert len(stored(admin)) == len(EVERYTHING)


def test_whoever_reserves_meanwhile_comes_before_or_after(admin: RequestContext) -> None:
    instance_factory.instance(vcpus=3, memory_mb=0)
    usage("cores", 9)
    resources = {"cores": types.SimpleNamespace(sync="_sync_instances")}

    def reserve(context: RequestContext) -> None:
        limits = {"cores": 100, "instances": 100, "ram": -1}
        quota_reserve(context, resources, limits, limits, {"cores": 2}, None, None, None, "project", "user")

    one_inside_the_other(reserve, quota_usage_refresh)
    rows = [row for row in stored(admin) if row[2] == "cores"]
    assert rows == [("project", "user", "cores", 3)]
