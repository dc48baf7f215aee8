# SPDX-License-Identifier: Apache-2.0

"""Iterators as arguments: they are walked once, before the first attempt, so that a second one has them too."""

from __future__ import annotations

import copy
import datetime
from typing import TYPE_CHECKING, Any

import pytest

from nova_sqlcore import RequestContext, api, exceptions, get_admin_context, tx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.plugins.backend import Backend

UUID = "3f2b1c9e-0000-4000-8000-000000000001"
FLAVOR = {
    "name": "f",
    "flavorid": "id-7",
    "memory_mb": 1,
    "vcpus": 1,
    "root_gb": 1,
    "ephemeral_gb": 0,
    "is_public": False,
}
GROUP = "3f2b1c9e-0000-4000-8000-000000000002"


@pytest.fixture
def conflicts(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Let a writer's COMMIT lose against somebody else's for each entry of the list."""
    commit = tx.Transaction.commit
    left: list[str] = []

    def losing(self: tx.Transaction) -> None:
        if left and self.mode == "writer" and self.changed:
            left.pop()
            raise exceptions.DBDeadlock("try restarting transaction")
        commit(self)

    monkeypatch.setattr(tx.Transaction, "commit", losing)
    monkeypatch.setattr(tx.Transaction, "last", lambda transaction: transaction)  # all commit there
    return left


@pytest.fixture
def instance(backend: Backend) -> None:
    api.instance_create(RequestContext("user", "project"), {"uuid": UUID, "project_id": "project"})
    api.instance_tag_set(get_admin_context(), UUID, ["old"])


def once(items: Iterable[Any]) -> Any:
    """Return a generator."""
    return (item for item in items)


def tags_set(admin: RequestContext, many: Callable[..., Any]) -> Any:
    api.instance_tag_set(admin, UUID, many(["a", "b"]))
    return sorted(row["tag"] for row in api.instance_tag_get_by_instance_uuid(admin, UUID))


def tags_set_by_name(admin: RequestContext, many: Callable[..., Any]) -> Any:
    api.instance_tag_set(context=admin, instance_uuid=UUID, tags=many(["a", "b"]))
    return sorted(row["tag"] for row in api.instance_tag_get_by_instance_uuid(admin, UUID))


def flavor_projects(admin: RequestContext, many: Callable[..., Any]) -> Any:
    api.flavor_create(admin, FLAVOR, projects=many(["p", "q"]))
    return sorted(row["project_id"] for row in api.flavor_access_get_by_flavor_id(admin, "id-7"))


def group_members(admin: RequestContext, many: Callable[..., Any]) -> Any:
    values = {"uuid": GROUP, "name": "g", "user_id": "u", "project_id": "p"}
    api.instance_group_create(admin, values, many(["affinity"]), many([UUID]))
    api.instance_group_members_add(admin, GROUP, many(["x", "y"]))
    row: Any = api.instance_group_get(admin, GROUP)
    return row["policies"], sorted(row["members"])


def group_update(admin: RequestContext, many: Callable[..., Any]) -> Any:
    api.instance_group_create(admin, {"uuid": GROUP, "name": "g", "user_id": "u", "project_id": "p"})
    api.instance_group_update(admin, GROUP, {"policies": many(["affinity"]), "members": many([UUID, "x"])})
    row: Any = api.instance_group_get(admin, GROUP)
    return row["policies"], sorted(row["members"])


def floating_ips(admin: RequestContext, many: Callable[..., Any]) -> Any:
    api.floating_ip_bulk_create(admin, many([{"address": f"10.0.0.{n}"} for n in range(3)]))
    api.floating_ip_bulk_destroy(admin, many([{"address": "10.0.0.1"}]))
    return [row["address"] for row in api.floating_ip_get_all(admin)]


def fixed_ips(admin: RequestContext, many: Callable[..., Any]) -> Any:
    api.fixed_ip_bulk_create(admin, many([{"address": f"10.0.0.{n}"} for n in range(3)]))
    return [row["address"] for row in api.fixed_ip_get_all(admin)]


def instance_groups_and_states(admin: RequestContext, many: Callable[..., Any]) -> Any:
    given = {"vm_state": "active", "expected_vm_state": many([None, "building"])}
    row = api.instance_update(admin, UUID, given)
    return row["vm_state"], given.keys()


def instance_security_groups(admin: RequestContext, many: Callable[..., Any]) -> Any:
    user = RequestContext("user", "project")
    other = UUID[:-1] + "9"
    row: Any = api.instance_create(user, {"uuid": other, "project_id": "project", "security_groups": many(["default"])})
    return [group["name"] for group in row["security_groups"]]


def reservations(admin: RequestContext, many: Callable[..., Any]) -> Any:
    expire = datetime.datetime(2040, 1, 1)
    resource = type("Resource", (), {"sync": staticmethod(lambda *_: {"cores": 0})})
    limits = {"cores": 10}
    made = api.quota_reserve(admin, {"cores": resource}, limits, limits, {"cores": 2}, expire, None, None, "p", "u")
    api.reservation_commit(admin, many(made), "p", "u")
    usage = api.quota_usage_get(admin, "p", "cores", "u")
    return usage["in_use"], usage["reserved"]


CALLS = [
    tags_set,
    tags_set_by_name,
    flavor_projects,
    group_members,
    group_update,
    floating_ips,
    fixed_ips,
    instance_groups_and_states,
    instance_security_groups,
    reservations,
]
KINDS: dict[str, Callable[..., Any]] = {
    "generator": once,
    "view": lambda items: dict(enumerate(items)).values(),
    "map": lambda items: map(copy.copy, items),
    "filter": lambda items: filter(lambda _: True, items),
    "zip": lambda items: iter(list(items)),
}


@pytest.mark.usefixtures("instance")
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("call", CALLS, ids=lambda call: call.__name__)
def test_after_a_conflict(admin: RequestContext, conflicts: list[str], call: Callable[..., Any], kind: str) -> None:
    def many(items: Iterable[Any]) -> Any:
        conflicts.append("the next writer loses")
        return KINDS[kind](items)

    assert call(admin, many) == EXPECTED[call.__name__]
    assert not conflicts


EXPECTED: dict[str, Any] = {
    "tags_set": ["a", "b"],
    "tags_set_by_name": ["a", "b"],
    "flavor_projects": ["p", "q"],
    "group_members": (["affinity"], sorted([UUID, "x", "y"])),
    "group_update": (["affinity"], sorted([UUID, "x"])),
    "floating_ips": ["10.0.0.0", "10.0.0.2"],
    "fixed_ips": ["10.0.0.0", "10.0.0.1", "10.0.0.2"],
    "instance_groups_and_states": ("active", {"vm_state", "expected_vm_state"}),
    "instance_security_groups": ["default"],
    "reservations": (2, 0),
}


@pytest.mark.usefixtures("instance")
def test_in_a_joined_call_that_starts_over(admin: RequestContext) -> None:
    with tx.writer(admin):
        calls = []

        @tx.writer
        def again(context: RequestContext, items: Any) -> list[int]:
            calls.append(list(items))
            if len(calls) == 1:
                raise exceptions.RetryRequest(ValueError("never"))
            return calls[-1]

        assert again(admin, once([1, 2])) == [1, 2]


def test_arguments_stay_as_they_are(backend: Backend, admin: RequestContext) -> None:
    @tx.writer
    def look(context: RequestContext, given: Any, *, more: Any) -> Any:
        return given, more

    plain = {"a": [1], "b": "text"}
    generator = once([1, 2])
    holding = {"a": generator, "b": plain}
    given, more = look(admin, plain, more=holding)
    assert given is plain
    assert more == {"a": [1, 2], "b": plain}
    assert holding["a"] is generator
