# SPDX-License-Identifier: Apache-2.0

"""Compute nodes: plain rows, the inventory view, statistics, updates (01-core 12)."""

from __future__ import annotations

import datetime
import threading
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from nova_sqlcore import RequestContext, UnknownColumnWarning, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.hosts import compute_nodes, services
from tests.queries import instance_factory

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.backend import Backend
    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

Row = Any

VCPU, MEMORY_MB, DISK_GB = 0, 1, 2
INVENTORY = dict.fromkeys(
    (
        "inv_memory_mb",
        "inv_memory_mb_reserved",
        "inv_ram_allocation_ratio",
        "inv_memory_mb_used",
        "inv_vcpus",
        "inv_cpu_allocation_ratio",
        "inv_vcpus_used",
        "inv_local_gb",
        "inv_local_gb_reserved",
        "inv_disk_allocation_ratio",
        "inv_local_gb_used",
    )
)
NUMBERS = {
    "vcpus": 2,
    "memory_mb": 1024,
    "local_gb": 2048,
    "vcpus_used": 1,
    "memory_mb_used": 256,
    "local_gb_used": 100,
    "free_ram_mb": 768,
    "free_disk_gb": 1948,
    "current_workload": 3,
    "running_vms": 4,
    "disk_available_least": 5,
}
ZERO = {"count": 0, **dict.fromkeys(NUMBERS, 0)}
ONE = {"count": 1, **NUMBERS}
GIVEN = {"host": "h", "hypervisor_hostname": "n", "hypervisor_type": "QEMU", "hypervisor_version": 5, "cpu_info": "{}"}


def node(**more: Any) -> Row:
    return compute_nodes.compute_node_create(get_admin_context(), {**GIVEN, **NUMBERS, **more})


def service(host: str | None = "h", binary: str = "nova-compute", **more: Any) -> Row:
    given = {"host": host, "binary": binary, "topic": binary, **more}
    return services.service_create(get_admin_context(), given)


def provider(of: str) -> int:
    identity: int = instance_factory.insert("resource_providers", uuid=of, name=of)["id"]
    return identity


def inventory(provider_id: int, class_id: int, total: int, reserved: int = 0, ratio: float = 1.5) -> None:
    instance_factory.insert(
        "inventories",
        resource_provider_id=provider_id,
        resource_class_id=class_id,
        total=total,
        reserved=reserved,
        min_unit=1,
        max_unit=total,
        step_size=1,
        allocation_ratio=ratio,
    )


def allocation(provider_id: int, class_id: int, used: int) -> None:
    instance_factory.insert(
        "allocations",
        resource_provider_id=provider_id,
        consumer_id=str(uuid.uuid4()),
        resource_class_id=class_id,
        used=used,
    )


def view(row: Row, **inventories: Any) -> Row:
    return row | INVENTORY | inventories


class TestCreate:
    def test_the_new_row_is_what_a_read_shows(self, admin: RequestContext, sql_count: SqlCount) -> None:
        with sql_count(2):
            row = node(uuid=str(uuid.uuid4()), host_ip="FE80::0:1", ram_allocation_ratio=1.5, free_ram_mb="12")
            assert compute_nodes.compute_node_get_model(admin, row["id"]) == row
        assert set(row) == set(tables.compute_nodes.c.keys())
        assert len(row) == 33
        assert (row["stats"], row["host_ip"], row["free_ram_mb"]) == ("{}", "fe80::1", 12)
        assert node(hypervisor_hostname="m", stats='{"a": "1"}')["stats"] == '{"a": "1"}'

    def test_times_may_be_text(self) -> None:
        given = {**GIVEN, **NUMBERS, "created_at": "2016-04-08T11:12:32-05:00", "updated_at": None}
        before = dict(given)
        row = compute_nodes.compute_node_create(get_admin_context(), given)
        assert row["created_at"] == datetime.datetime(2016, 4, 8, 11, 12, 32)
        assert given == before
        with pytest.raises(ValueError, match="yesterday"):
            node(updated_at="yesterday")
        with pytest.raises(exceptions.DBDataError, match=r"compute_nodes\.created_at holds a datetime"):
            node(created_at=12)

    def test_a_taken_key_passes_as_it_is(self, admin: RequestContext) -> None:
        row = node()
        with pytest.raises(exceptions.DBDuplicateEntry) as raised:
            node()
        assert set(raised.value.columns) == {"host", "hypervisor_hostname", "deleted"}
        for host in ("i", None, None):
            node(host=host)
        compute_nodes.compute_node_delete(admin, row["id"])
        assert node()["deleted"] == 0

    @pytest.mark.parametrize("missing", ["vcpus", "cpu_info", "hypervisor_type"])
    def test_a_needed_column_is_missing(self, missing: str) -> None:
        with pytest.raises(exceptions.DBError):
            node(**{missing: None})


class TestInventoryView:
    def test_every_getter_gives_it(self, admin: RequestContext, sql_count: SqlCount) -> None:
        owner = service()
        row = view(node(uuid="u", service_id=owner["id"]), inv_vcpus=4, inv_cpu_allocation_ratio=1.5)
        inventory(provider("u"), VCPU, 4)
        with sql_count(5):
            assert compute_nodes.compute_node_get(admin, row["id"]) == row
            assert compute_nodes.compute_node_get_all(admin) == [row]
            assert compute_nodes.compute_node_get_all_by_host(admin, "h") == [row]
            assert compute_nodes.compute_node_get_by_host_and_nodename(admin, "h", "n") == row
            assert compute_nodes.compute_nodes_get_by_service_id(admin, owner["id"]) == [row]

    def test_inventories_and_allocations_come_step_by_step(self, admin: RequestContext) -> None:
        plain, other = node(uuid="u"), node(hypervisor_hostname="other")
        expected: Row = {}

        def check() -> None:
            assert compute_nodes.compute_node_get(admin, plain["id"]) == view(plain, **expected)
            assert compute_nodes.compute_node_get_all(admin) == [view(plain, **expected), view(other)]

        check()
        held = provider("u")
        check()
        inventory(held, MEMORY_MB, 4096, 512, 1.25)
        expected |= {"inv_memory_mb": 4096, "inv_memory_mb_reserved": 512, "inv_ram_allocation_ratio": 1.25}
        check()
        allocation(held, MEMORY_MB, 64)
        expected["inv_memory_mb_used"] = 64
        check()
        allocation(held, VCPU, 1)  # there is no such inventory yet
        check()
        inventory(held, VCPU, 16, 1)
        allocation(held, VCPU, 2)
        expected |= {"inv_vcpus": 16, "inv_cpu_allocation_ratio": 1.5, "inv_vcpus_used": 3}
        check()
        inventory(held, DISK_GB, 100, 7)
        allocation(held, DISK_GB, 20)
        expected |= {"inv_local_gb": 100, "inv_local_gb_reserved": 7, "inv_disk_allocation_ratio": 1.5}
        expected |= {"inv_local_gb_used": 20}
        check()
        allocation(held, MEMORY_MB, 32)
        inventory(held, 3, 9)
        allocation(held, 3, 9)
        expected["inv_memory_mb_used"] = 96
        check()
        assert type(compute_nodes.compute_node_get(admin, plain["id"])["inv_memory_mb_used"]) is int

    def test_every_node_of_a_uuid_shows_it(self, admin: RequestContext) -> None:
        rows = [node(uuid="u"), node(uuid="u", hypervisor_hostname="m")]
        inventory(provider("u"), VCPU, 4)
        expected = [view(row, inv_vcpus=4, inv_cpu_allocation_ratio=1.5) for row in rows]
        assert compute_nodes.compute_node_get_all(admin) == expected

    def test_all_filters_must_fit(self, admin: RequestContext, sql_count: SqlCount) -> None:
        rows = [view(node()), view(node(hypervisor_hostname="m", service_id=5)), view(node(host="i", service_id=5))]
        rows.append(view(node(host=None)))
        select = compute_nodes._compute_node_select
        with sql_count(9):
            assert select(admin) == select(admin, {}) == select(admin, {"other": 1}) == rows
            assert select(admin, {"compute_id": rows[1]["id"]}) == [rows[1]]
            assert select(admin, {"service_id": "5"}) == rows[1:3]
            assert select(admin, {"service_id": 5, "host": "i"}) == [rows[2]]
            assert select(admin, {"host": "h", "hypervisor_hostname": "m"}) == [rows[1]]
            assert select(admin, {"host": None}) == [rows[3]]
            assert select(admin, {"host": "h", "limit": 1}) == [rows[0]]
        with sql_count(0):
            assert select(admin, {"service_id": "fake"}) == []

    def test_it_reads_in_the_open_transaction(self, admin: RequestContext, sql_count: SqlCount) -> None:
        with tx.writer(admin):
            row = compute_nodes.compute_node_create(admin, {**GIVEN, **NUMBERS})
            assert compute_nodes._compute_node_select(admin) == [view(row)]

    def test_visibility(self, admin: RequestContext) -> None:
        live, gone = node(), node(host="gone")
        compute_nodes.compute_node_delete(admin, gone["id"])
        assert [row["id"] for row in compute_nodes.compute_node_get_all(admin)] == [live["id"]]
        for word in ("yes", "only"):
            context = get_admin_context(word)
            found = [row["id"] for row in compute_nodes.compute_node_get_all(context)]
            assert found == [live["id"], gone["id"]]
            assert compute_nodes.compute_node_get(context, gone["id"])["deleted"] == gone["id"]

    def test_the_first_of_several_deleted_nodes(self) -> None:
        rows = [node()]
        for _ in range(2):
            compute_nodes.compute_node_delete(get_admin_context(), rows[-1]["id"])
            rows.append(node())
        found = compute_nodes.compute_node_get_by_host_and_nodename(get_admin_context("yes"), "h", "n")
        assert found["id"] == rows[0]["id"]

    def test_the_seam_is_looked_up_at_each_call(self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch) -> None:
        asked: list[Any] = []

        def select(context: Any, filters: Any = None) -> list[Row]:
            asked.append(filters and dict(filters))
            return [{"id": 1}]

        monkeypatch.setattr(compute_nodes, "_compute_node_select", select)
        found: list[Row] = [compute_nodes.compute_node_get(admin, 7), *compute_nodes.compute_node_get_all(admin)]
        assert found == [{"id": 1}, {"id": 1}]
        assert asked == [{"compute_id": 7}, None]

    def test_readers_of_the_replica(self, admin: RequestContext) -> None:
        node()
        with tx.reader(admin, replica=True):
            assert len(compute_nodes.compute_node_get_all_by_host(admin, "h")) == 1
            with pytest.raises(TypeError):
                compute_nodes.compute_node_get_all(admin)


@pytest.mark.parametrize(
    ("call", "error", "name"),
    [
        (compute_nodes.compute_node_get, exceptions.ComputeHostNotFound, "host"),
        (compute_nodes.compute_node_get_model, exceptions.ComputeHostNotFound, "host"),
        (compute_nodes.compute_node_delete, exceptions.ComputeHostNotFound, "host"),
        (lambda c, i: compute_nodes.compute_node_update(c, i, {"vcpus": 1}), exceptions.ComputeHostNotFound, "host"),
        (lambda c, i: compute_nodes.compute_node_update(c, i, {}), exceptions.ComputeHostNotFound, "host"),
        (compute_nodes.compute_nodes_get_by_service_id, exceptions.ServiceNotFound, "service_id"),
        (compute_nodes.compute_node_get_all_by_host, exceptions.ComputeHostNotFound, "host"),
        (
            lambda c, i: compute_nodes.compute_node_get_by_host_and_nodename(c, i, "n"),
            exceptions.ComputeHostNotFound,
            "host",
        ),
    ],
)
@pytest.mark.parametrize("identity", [77777, "fake", 10**40])
def test_not_found(admin: RequestContext, identity: Any, call: Callable[..., Any], error: type[Any], name: str) -> None:
    node(service_id=service()["id"])
    with pytest.raises(error) as raised:
        call(admin, identity)
    assert raised.value.kwargs[name] == identity


def test_a_service_may_have_no_node(admin: RequestContext) -> None:
    with pytest.raises(exceptions.ServiceNotFound):
        compute_nodes.compute_nodes_get_by_service_id(admin, service()["id"])


def test_the_node_name_must_fit(admin: RequestContext) -> None:
    node()
    with pytest.raises(exceptions.ComputeHostNotFound) as raised:
        compute_nodes.compute_node_get_by_host_and_nodename(admin, "h", "other")
    assert raised.value.kwargs["host"] == "h"


def test_ids_may_be_digits(admin: RequestContext) -> None:
    row = node(service_id=500)
    identity: Any = str(row["id"])
    assert compute_nodes.compute_node_get(admin, identity) == view(row)
    assert compute_nodes.compute_node_get_model(admin, identity) == row
    service_id: Any = "500"
    assert compute_nodes.compute_nodes_get_by_service_id(admin, service_id) == [view(row)]
    assert compute_nodes.compute_node_update(admin, identity, {"vcpus": 3})["vcpus"] == 3
    compute_nodes.compute_node_delete(admin, identity)


class TestDeleteOfAHost:
    def test_only_a_node_that_is_still_the_hosts_goes(self, admin: RequestContext, sql_count: SqlCount) -> None:
        row = node(host="old")
        moved = compute_nodes.compute_node_update(admin, row["id"], {"host": "new"})
        with sql_count(2), pytest.raises(exceptions.ConstraintNotMet):
            compute_nodes.compute_node_delete(admin, row["id"], host="old")
        assert compute_nodes.compute_node_get_model(admin, row["id"]) == moved
        with sql_count(1):
            compute_nodes.compute_node_delete(admin, row["id"], host="new")
        with pytest.raises(exceptions.ComputeHostNotFound):
            compute_nodes.compute_node_get_model(admin, row["id"])

    def test_a_node_of_no_host_is_no_hosts(self, admin: RequestContext) -> None:
        row = node(host=None)
        for host in ("h", ""):
            with pytest.raises(exceptions.ConstraintNotMet):
                compute_nodes.compute_node_delete(admin, row["id"], host=host)
        compute_nodes.compute_node_delete(admin, row["id"], host=None)

    @pytest.mark.parametrize("identity", [77777, "fake", 10**40])
    def test_a_node_that_is_not_there(self, admin: RequestContext, identity: Any) -> None:
        gone = node(host="gone")
        compute_nodes.compute_node_delete(admin, gone["id"], host="gone")
        for number in (identity, gone["id"]):
            with pytest.raises(exceptions.ComputeHostNotFound) as raised:
                compute_nodes.compute_node_delete(admin, number, host="gone")
            assert raised.value.kwargs["host"] == number

    def test_inside_a_transaction_nothing_is_lost(self, admin: RequestContext) -> None:
        row, other = node(host="new"), node(host="x")
        with tx.writer(admin):
            compute_nodes.compute_node_delete(admin, other["id"])
            with pytest.raises(exceptions.ConstraintNotMet):
                compute_nodes.compute_node_delete(admin, row["id"], host="old")
        assert [one["id"] for one in compute_nodes.compute_node_get_all(admin)] == [row["id"]]


def test_get_model_honours_only(admin: RequestContext) -> None:
    live, gone = node(), node(host="gone")
    compute_nodes.compute_node_delete(admin, gone["id"])
    only = get_admin_context("only")
    assert compute_nodes.compute_node_get_model(only, gone["id"])["deleted"] == gone["id"]
    with pytest.raises(exceptions.ComputeHostNotFound):
        compute_nodes.compute_node_get_model(only, live["id"])


def test_search_by_hypervisor(admin: RequestContext, sql_count: SqlCount) -> None:
    rows = [node(hypervisor_hostname=name) for name in ("node-1", "my-node-2", "other", "nude-3")]
    compute_nodes.compute_node_delete(admin, node(host="x", hypervisor_hostname="node-1")["id"])
    search = compute_nodes.compute_node_search_by_hypervisor
    with sql_count(5):
        assert search(admin, "node") == rows[:2]
        assert search(admin, "n_de-") == [rows[0], rows[1], rows[3]]
        assert search(admin, "m%2") == [rows[1]]
        assert search(admin, "none") == []
        assert len(search(get_admin_context("yes"), "node-1")) == 2


class TestStatistics:
    def statistics(self) -> dict[str, int]:
        return compute_nodes.compute_node_statistics(get_admin_context("yes"))

    def test_nothing_is_zero(self, sql_count: SqlCount) -> None:
        with sql_count(1):
            assert self.statistics() == ZERO

    def test_sums(self) -> None:
        service("h")
        service("i")
        node()
        assert self.statistics() == ONE
        node(host="i")
        node(host="i", hypervisor_hostname="m")
        found = self.statistics()
        assert found == {"count": 3, **{name: 3 * number for name, number in NUMBERS.items()}}
        assert {type(number) for number in found.values()} == {int}

    def test_sums_beyond_a_column_and_null(self) -> None:
        service()
        for name in "ab":
            node(hypervisor_hostname=name, memory_mb=0x7FFFFFFF, disk_available_least=None)
        found = self.statistics()
        assert (found["memory_mb"], found["disk_available_least"]) == (2 * 0x7FFFFFFF, 0)

    @pytest.mark.parametrize("disabled", [True, None])
    def test_a_disabled_service_does_not_count(self, admin: RequestContext, disabled: bool | None) -> None:
        node()
        services.service_update(admin, service()["id"], {"disabled": disabled})
        assert self.statistics() == ZERO

    def test_other_binaries_do_not_count(self) -> None:
        node()
        service(binary="nova-network")
        assert self.statistics() == ZERO
        service()
        service(binary="nova-cert")
        assert self.statistics() == ONE

    def test_a_node_tied_by_id_counts(self) -> None:
        node(host=None, service_id=service()["id"])
        assert self.statistics() == ONE

    def test_a_node_counts_once_for_several_services(self, admin: RequestContext) -> None:
        node(service_id=service("other")["id"])
        service()
        with tx.writer(admin) as transaction:
            transaction.insert(
                tables.services, {"host": "h", "binary": "nova-compute", "topic": "old", "deleted": 9, "version": 1}
            )
        assert self.statistics() == ONE

    def test_deleted_rows_do_not_count(self, admin: RequestContext) -> None:
        row = node()
        instance_factory.deleted("services", service())
        assert self.statistics() == ZERO
        service()
        assert self.statistics() == ONE
        compute_nodes.compute_node_delete(admin, row["id"])
        assert self.statistics() == ZERO


class TestUpdate:
    def test_named_columns_are_written(
        self, admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        row = node()
        now = frozen_clock.advance(60)
        given = {"free_ram_mb": "12", "host_ip": "10.0.0.7", "stats": None, "updated_at": "2001-01-01T00:00:00.000000"}
        before = dict(given)
        with sql_count(1, mysql=2, default=1):
            after = compute_nodes.compute_node_update(admin, row["id"], given)
        assert after == row | {"free_ram_mb": 12, "host_ip": "10.0.0.7", "stats": None, "updated_at": now}
        assert compute_nodes.compute_node_get_model(admin, row["id"]) == after
        assert given == before

    def test_every_update_marks_the_row(
        self, admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        row = node()
        for _ in range(2):
            now = frozen_clock.advance(60)
            with sql_count(1, mysql=2, default=1):
                assert compute_nodes.compute_node_update(admin, row["id"], {}) == row | {"updated_at": now}

    def test_two_updates_give_two_times(self, admin: RequestContext, backend: Backend) -> None:
        identity = node()["id"]
        after: list[Row] = [compute_nodes.compute_node_update(admin, identity, {"vcpus": 1}) for _ in range(2)]
        times = [row["updated_at"] for row in after]
        assert times[0] <= times[1]
        assert backend.family == "mysql" or times[0] != times[1]

    def test_times_may_be_text(self, admin: RequestContext) -> None:
        after: Row = compute_nodes.compute_node_update(admin, node()["id"], {"created_at": "2012-04-23T18:25:43.511Z"})
        assert after["created_at"].replace(microsecond=0) == datetime.datetime(2012, 4, 23, 18, 25, 43)

    def test_unknown_keys_are_not_stored(self, admin: RequestContext) -> None:
        with pytest.warns(UnknownColumnWarning, match="vpcus"):
            assert "vpcus" not in compute_nodes.compute_node_update(admin, node()["id"], {"vpcus": 1})

    def test_visibility(self, admin: RequestContext) -> None:
        row = node()
        compute_nodes.compute_node_delete(admin, row["id"])
        with pytest.raises(exceptions.ComputeHostNotFound):
            compute_nodes.compute_node_update(admin, row["id"], {"vcpus": 7})
        assert compute_nodes.compute_node_update(get_admin_context("only"), row["id"], {"vcpus": 7})["vcpus"] == 7

    def test_a_taken_key_passes_as_it_is(self, admin: RequestContext) -> None:
        node()
        other = node(host="i")
        with pytest.raises(exceptions.DBDuplicateEntry):
            compute_nodes.compute_node_update(admin, other["id"], {"host": "h"})

    def test_writers_of_different_columns_do_not_undo_each_other(self, admin: RequestContext) -> None:
        identity = node()["id"]
        rounds = 25

        def write(column: str) -> None:
            context = get_admin_context()
            for number in range(1, rounds + 1):
                after: Row = compute_nodes.compute_node_update(context, identity, {column: number})
                assert after[column] == number

        columns = ("vcpus_used", "memory_mb_used")
        threads = [threading.Thread(target=write, args=(column,)) for column in columns]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        row: Row = compute_nodes.compute_node_get_model(admin, identity)
        assert [row[column] for column in columns] == [rounds, rounds]


def test_delete(admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
    row, other = node(), node(host="i")
    now = frozen_clock.advance(5)
    with sql_count(1):
        compute_nodes.compute_node_delete(admin, row["id"])
    assert compute_nodes.compute_node_get_all(admin) == [view(other)]
    gone = compute_nodes.compute_node_get_model(get_admin_context("only"), row["id"])
    assert gone == row | {"deleted": row["id"], "deleted_at": now}
    with pytest.raises(exceptions.ComputeHostNotFound):
        compute_nodes.compute_node_delete(admin, row["id"])
    assert node()["id"] != row["id"]
