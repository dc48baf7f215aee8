# SPDX-License-Identifier: Apache-2.0

"""Lists of 200,000 values: the same answer on every server, far beyond its limit of parameters in one statement."""

from __future__ import annotations

import datetime
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from nova_sqlcore import RequestContext, api, exceptions, get_admin_context, tables, tx
from nova_sqlcore.core.lists import ListParameter

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.backend import Backend
    from tests.plugins.counting import SqlCount

MANY = 200_000
ABSENT = [str(uuid.UUID(int=number)) for number in range(MANY)]
WORDS = [f"w{number}" for number in range(MANY)]
NUMBERS = list(range(1_000_000, 1_000_000 + MANY))
ADDRESSES = [f"172.{16 + number // 65_536}.{number // 256 % 256}.{number % 256}" for number in range(MANY)]
MINE = "ffffffff-0000-4000-8000-000000000001"
OTHER = "ffffffff-0000-4000-8000-000000000002"


@pytest.fixture
def cloud(backend: Backend) -> None:
    """Store two instances with something of each kind."""
    user = RequestContext("user", "project")
    for one, host in ((MINE, "mine"), (OTHER, "other")):
        values = {
            "uuid": one,
            "project_id": "project",
            "host": host,
            "task_state": "busy",
            "metadata": {"key": host},
            "instance_type_id": 7,
        }
        api.instance_create(user, values)
    admin = get_admin_context()
    api.instance_tag_set(admin, MINE, ["mine"])
    api.instance_fault_create(admin, {"instance_uuid": MINE, "code": 500})
    api.block_device_mapping_create(admin, {"instance_uuid": MINE, "no_device": True}, legacy=False)
    api.network_create_safe(admin, {"uuid": MINE, "project_id": "project"})
    api.floating_ip_bulk_create(admin, [{"address": "10.0.0.1"}, {"address": "10.0.0.2"}])
    api.migration_create(admin, {"instance_uuid": MINE, "status": "done", "source_compute": "mine"})
    api.bw_usage_update(admin, MINE, "mac", datetime.datetime(2016, 1, 1), 1, 2, 3, 4)


def filtered(admin: RequestContext, **filters: Any) -> list[str]:
    return [row["uuid"] for row in api.instance_get_all_by_filters(admin, filters, "id", "asc")]


#: Filters that are one grouped subquery take so many values and no more.
LIMITED: dict[str, Any] = {
    "tags": [*WORDS, "mine"],
    "tags-any": [*WORDS, "mine"],
    "metadata": dict.fromkeys(WORDS, "x"),
    "filter": [{"name": "tag-key", "value": [*WORDS, "key"]}],
}
#: What is asked for with a list that ends with the thing in question.
CALLS: dict[str, Callable[[RequestContext], Any]] = {
    "uuid": lambda admin: filtered(admin, uuid=[*ABSENT, MINE]),
    "host": lambda admin: filtered(admin, host=[*WORDS, "mine"]),
    "numbers": lambda admin: len(filtered(admin, instance_type_id=[*NUMBERS, 7])) - 1 and [MINE],
    "task state": lambda admin: filtered(admin, task_state=[*WORDS, "busy"])[:1],
    "faults": lambda admin: [
        one for one, rows in api.instance_fault_get_by_instance_uuids(admin, [*ABSENT, MINE]).items() if rows
    ],
    "block devices": lambda admin: [
        row["instance_uuid"] for row in api.block_device_mapping_get_all_by_instance_uuids(admin, [*ABSENT, MINE])
    ],
    "bandwidth": lambda admin: [
        row["uuid"] for row in api.bw_usage_get_by_uuids(admin, [*ABSENT, MINE], datetime.datetime(2016, 1, 1))
    ],
    "migrations": lambda admin: [
        row["instance_uuid"] for row in api.migration_get_all_by_filters(admin, {"status": [*WORDS, "done"]})
    ],
}


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize("call", CALLS)
def test_reading(admin: RequestContext, call: str) -> None:
    assert CALLS[call](admin) == [MINE]


@pytest.mark.usefixtures("cloud")
def test_networks(admin: RequestContext) -> None:
    with pytest.raises(exceptions.NetworkNotFound):
        api.network_get_all_by_uuids(admin, [MINE, *ABSENT])


@pytest.mark.usefixtures("cloud")
def test_floating_ips(admin: RequestContext) -> None:
    api.floating_ip_bulk_destroy(admin, [{"address": one} for one in [*ADDRESSES, "10.0.0.1"]])
    assert [row["address"] for row in api.floating_ip_get_all(admin)] == ["10.0.0.2"]


CHUNKED: dict[str, Callable[[RequestContext, list[str]], object]] = {
    "faults": api.instance_fault_get_by_instance_uuids,
    "block devices": api.block_device_mapping_get_all_by_instance_uuids,
    "bandwidth": lambda admin, uuids: api.bw_usage_get_by_uuids(admin, uuids, datetime.datetime(2016, 1, 1)),
    "instances": lambda admin, uuids: api.instance_get_many(admin, uuids, []),
}


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("call", CHUNKED)
def test_a_statement_takes_five_hundred(admin: RequestContext, sql_count: SqlCount, call: str) -> None:
    """More begin another statement: no text grows with the list of its caller."""
    for size, statements in ((500, 1), (501, 2), (1_001, 3)):
        with sql_count(statements):
            CHUNKED[call](admin, ABSENT[:size])


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize("name", LIMITED)
def test_filters_with_a_limit(admin: RequestContext, name: str) -> None:
    with pytest.raises(exceptions.InvalidInput, match="1000 values at most"):
        filtered(admin, **{name: LIMITED[name]})


@pytest.mark.usefixtures("cloud")
def test_what_is_expected(admin: RequestContext) -> None:
    expected = {"task_state": [*WORDS, None, "busy"]}
    assert api.instance_update(admin, MINE, {"vm_state": "active"}, expected=expected)["vm_state"] == "active"
    with pytest.raises(exceptions.InstanceUpdateConflict):
        api.instance_update(admin, MINE, {"vm_state": "gone"}, expected={"host": WORDS})


@pytest.mark.usefixtures("cloud")
def test_constraints(admin: RequestContext) -> None:
    for condition in (api.equal_any(*WORDS), api.not_equal(*WORDS, "mine")):
        with pytest.raises(exceptions.ConstraintNotMet):
            api.instance_destroy(admin, MINE, constraint=api.constraint(host=condition))
    api.instance_destroy(admin, MINE, constraint=api.constraint(host=api.not_equal(*WORDS, None)))
    api.instance_destroy(admin, OTHER, constraint=api.constraint(host=api.equal_any(*WORDS, "other")))
    assert filtered(admin, deleted=False) == []


@pytest.mark.usefixtures("cloud")
@pytest.mark.parametrize(("hosts", "found"), [((*WORDS, "mine"), 1), (("other", "mine"), 2), (WORDS, 0)])
def test_a_constraint_on_a_statement_of_the_caller(admin: RequestContext, hosts: Any, found: int) -> None:
    query = api.constraint(host=api.equal_any(*hosts)).apply(tables.instances, tables.instances.select())
    with tx.reader(admin) as t:
        assert len(t.rows(query)) == found
        assert len(t.connection.execute(query).all()) == found


@pytest.mark.usefixtures("cloud")
def test_reservations(admin: RequestContext) -> None:
    api.reservation_commit(admin, ABSENT, "project", "user")
    api.reservation_rollback(admin, ABSENT, "project", "user")


@pytest.mark.usefixtures("cloud")
def test_keys_that_an_aggregate_keeps(admin: RequestContext) -> None:
    api.aggregate_create(admin, {"name": "a"}, {"old": "1"})
    with tx.writer(admin) as t:
        keys = tables.aggregate_metadata.c.key.not_in(ListParameter("keys"))
        assert t.scalars(tables.aggregate_metadata.select().where(keys), keys=WORDS) != []
        assert t.scalars(tables.aggregate_metadata.select().where(keys), keys=[]) != []
        assert t.scalars(tables.aggregate_metadata.select().where(keys), keys=[*WORDS, "old"]) == []
