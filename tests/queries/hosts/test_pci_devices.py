# SPDX-License-Identifier: Apache-2.0

"""PCI devices (06, PCI devices)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from nova_sqlcore import RequestContext, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.hosts import compute_nodes, pci_devices
from tests.queries.processes import eight_processes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugins.backend import Backend
    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount
    from tests.queries.processes import Processes

pytestmark = pytest.mark.usefixtures("backend")

Row = dict[str, Any]

NODE = dict.fromkeys(
    ("vcpus", "memory_mb", "local_gb", "vcpus_used", "memory_mb_used", "local_gb_used", "hypervisor_version"), 1
)


@pytest.fixture
def node(backend: Backend) -> int:
    """Return the id of a compute node."""
    return new_node("host")


def new_node(host: str, context: RequestContext | None = None) -> int:
    given = {"host": host, "hypervisor_hostname": host, "hypervisor_type": "QEMU", "cpu_info": "", **NODE}
    return compute_nodes.compute_node_create(context or get_admin_context(), given)["id"]


def fields(node: int, address: str = "0000:01:00.0", **more: Any) -> Row:
    """Return all that a device must have."""
    return {
        "compute_node_id": node,
        "address": address,
        "vendor_id": "8086",
        "product_id": "1520",
        "dev_type": "type-VF",
        "dev_id": "pci_1",
        "label": "label_8086_1520",
        "status": "available",
        "extra_info": '{"x": "1"}',
        **more,
    }


def device(node: int, address: str = "0000:01:00.0", **more: Any) -> Any:
    return pci_devices.pci_device_update(get_admin_context(), node, address, fields(node, address, **more))


class TestUpdate:
    def test_a_new_device(self, admin: RequestContext, node: int, sql_count: SqlCount) -> None:
        given = fields(node, request_id="r", numa_node=1)
        before = dict(given)
        with sql_count(2):
            row = pci_devices.pci_device_update(admin, node, "0000:01:00.0", given)
        assert row == pci_devices.pci_device_get_by_id(admin, row["id"])
        assert set(row) == set(tables.pci_devices.c.keys())
        assert {name: row[name] for name in given} == given == before  # type: ignore[literal-required]  # by name
        assert (row["updated_at"], row["deleted"], row["instance_uuid"], row["parent_addr"]) == (None, 0, None, None)

    def test_the_place_comes_from_the_arguments(self, admin: RequestContext, node: int) -> None:
        given = fields(node)
        del given["compute_node_id"], given["address"]
        row = pci_devices.pci_device_update(admin, node, "0000:02:00.0", given)
        assert (row["compute_node_id"], row["address"]) == (node, "0000:02:00.0")

    def test_deleted_given_as_none_is_not_given(self, admin: RequestContext, node: int) -> None:
        for status in ("available", "claimed"):  # to store it, and to change it
            row = device(node, status=status, deleted=None)
            assert (row["status"], row["deleted"]) == (status, 0)
        assert pci_devices.pci_device_get_all_by_node(admin, node) == [row]

    def test_what_is_missing(self, admin: RequestContext, node: int) -> None:
        with pytest.raises(exceptions.DBError):
            pci_devices.pci_device_update(admin, node, "0000:01:00.0", {"status": "available"})

    def test_a_device_that_is_there(
        self, admin: RequestContext, node: int, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        row, other = device(node), device(node, "0000:02:00.0")
        for status in ("allocated", "claimed", "claimed"):
            now = frozen_clock.advance(5)
            given = fields(node, status=status, instance_uuid="i", extra_info=None)
            with sql_count(mysql=2, default=1):
                after = pci_devices.pci_device_update(admin, node, "0000:01:00.0", given)
            expected = {**row, "status": status, "instance_uuid": "i", "extra_info": None, "updated_at": now}
            assert after == expected == pci_devices.pci_device_get_by_id(admin, row["id"])
        assert pci_devices.pci_device_get_by_id(admin, other["id"]) == other

    def test_nothing_to_write_sets_the_time(self, admin: RequestContext, node: int, frozen_clock: FrozenClock) -> None:
        row = device(node)
        now = frozen_clock.advance(5)
        assert pci_devices.pci_device_update(admin, node, row["address"], {}) == row | {"updated_at": now}

    def test_ids_are_stored_as_given(self, admin: RequestContext, node: int) -> None:
        assert device(node, id=3353)["id"] == 3353
        assert device(node, id=3356)["id"] == 3356
        with pytest.raises(exceptions.PciDeviceNotFoundById):
            pci_devices.pci_device_get_by_id(admin, 3353)

    def test_after_a_destroy(self, admin: RequestContext, node: int) -> None:
        row = device(node)
        pci_devices.pci_device_destroy(admin, node, row["address"])
        again = pci_devices.pci_device_update(get_admin_context("yes"), node, row["address"], fields(node))
        assert again["id"] != row["id"]
        pci_devices.pci_device_destroy(admin, node, row["address"])
        with pytest.raises(exceptions.DBDuplicateEntry) as raised:
            device(node, id=row["id"])
        assert raised.value.columns == ["id"]

    @pytest.mark.parametrize(
        "elsewhere",
        [{"address": "0000:09:00.0"}, {"compute_node_id": 77777}, {"deleted": 1}, {"compute_node_id": None}],
    )
    def test_a_device_can_not_leave_its_place(
        self, admin: RequestContext, node: int, sql_count: SqlCount, elsewhere: Row
    ) -> None:
        row = device(node)
        for address in (row["address"], "0000:05:00.0"):
            with sql_count(0), pytest.raises(exceptions.PciDeviceNotFound) as raised:
                pci_devices.pci_device_update(admin, node, address, fields(node, address) | elsewhere)
            assert {name: raised.value.kwargs[name] for name in ("node_id", "address")} == {
                "node_id": node,
                "address": address,
            }
        assert pci_devices.pci_device_get_all_by_node(get_admin_context("yes"), node) == [row]

    def test_what_is_no_column(self, admin: RequestContext, node: int, sql_count: SqlCount) -> None:
        with sql_count(0), pytest.raises(exceptions.DBError, match="adress"):
            pci_devices.pci_device_update(admin, node, "a", {"adress": "b"})

    def test_other_names_and_types_of_arguments(self, admin: RequestContext, node: int) -> None:
        row = device(node)
        face: Any = pci_devices.pci_device_update
        after = face(admin, str(node), row["address"], value=fields(str(node), status="claimed"))  # type: ignore[arg-type]  # ids may be digits
        assert (after["id"], after["compute_node_id"], after["status"]) == (row["id"], node, "claimed")


class TestReads:
    def test_by_address(self, admin: RequestContext, node: int, sql_count: SqlCount) -> None:
        row = device(node)
        device(new_node("other"))
        with sql_count(1):
            assert pci_devices.pci_device_get_by_addr(admin, node, row["address"]) == row
        for number, address in ((node, "0000:0f:08:09"), (77777, row["address"]), ("fake", row["address"])):
            with pytest.raises(exceptions.PciDeviceNotFound) as raised:
                pci_devices.pci_device_get_by_addr(admin, number, address)  # type: ignore[arg-type]  # any id
            assert (raised.value.kwargs["node_id"], raised.value.kwargs["address"]) == (number, address)

    @pytest.mark.parametrize("identity", [77777, "fake", 0, None])
    def test_by_id(self, admin: RequestContext, node: int, identity: Any, sql_count: SqlCount) -> None:
        row = device(node)
        with sql_count(1):
            assert pci_devices.pci_device_get_by_id(admin, row["id"]) == row
        with pytest.raises(exceptions.PciDeviceNotFoundById) as raised:
            pci_devices.pci_device_get_by_id(admin, identity)
        assert raised.value.kwargs["id"] == identity

    def test_by_node_and_parent(self, admin: RequestContext, node: int, sql_count: SqlCount) -> None:
        rows = [
            device(node, f"0000:0{place}:00.0", parent_addr=parent) for place, parent in enumerate(("p", None, "p"))
        ]
        device(new_node("other"), parent_addr="p")
        with sql_count(3):
            assert pci_devices.pci_device_get_all_by_node(admin, node) == rows
            assert pci_devices.pci_device_get_all_by_parent_addr(admin, node, "p") == [rows[0], rows[2]]
            assert pci_devices.pci_device_get_all_by_parent_addr(admin, node, None) == [rows[1]]
        assert pci_devices.pci_device_get_all_by_node(admin, 77777) == []
        assert pci_devices.pci_device_get_all_by_parent_addr(admin, node, "q") == []

    def test_by_instance(self, ctxt: RequestContext, node: int, sql_count: SqlCount) -> None:
        row = device(node, status="allocated", instance_uuid="i")
        device(node, "0000:02:00.0", status="claimed", instance_uuid="i")
        device(node, "0000:03:00.0", status="allocated", instance_uuid="j")
        with sql_count(1):
            assert pci_devices.pci_device_get_all_by_instance_uuid(ctxt, "i") == [row]
        assert pci_devices.pci_device_get_all_by_instance_uuid(ctxt, "k") == []
        for context in (RequestContext(), RequestContext("user"), RequestContext(project_id="project")):
            with pytest.raises(exceptions.Forbidden):
                pci_devices.pci_device_get_all_by_instance_uuid(context, "i")

    def test_visibility(self, admin: RequestContext, node: int) -> None:
        dead = device(node, status="allocated", instance_uuid="i", parent_addr="p")
        pci_devices.pci_device_destroy(admin, node, dead["address"])
        live = device(node, status="allocated", instance_uuid="i", parent_addr="p")
        for word, seen in (("no", [live]), ("only", [dead]), ("yes", [dead, live])):
            context = get_admin_context(word)
            for found in (
                pci_devices.pci_device_get_all_by_node(context, node),
                pci_devices.pci_device_get_all_by_parent_addr(context, node, "p"),
                pci_devices.pci_device_get_all_by_instance_uuid(context, "i"),
            ):
                assert [row["id"] for row in found] == [row["id"] for row in seen]
            assert pci_devices.pci_device_get_by_addr(context, node, live["address"])["id"] == seen[0]["id"]


class TestDestroy:
    def test_it(self, admin: RequestContext, node: int, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        row, other = device(node), device(node, "0000:02:00.0")
        now = frozen_clock.advance(5)
        with sql_count(1):
            pci_devices.pci_device_destroy(admin, node, row["address"])
        assert pci_devices.pci_device_get_all_by_node(admin, node) == [other]
        gone = pci_devices.pci_device_get_by_id(get_admin_context("only"), row["id"])
        assert gone == row | {"deleted": row["id"], "deleted_at": now}
        for address in (row["address"], "none"):
            with pytest.raises(exceptions.PciDeviceNotFound) as raised:
                pci_devices.pci_device_destroy(admin, node, address)
            assert (raised.value.kwargs["node_id"], raised.value.kwargs["address"]) == (node, address)


@pytest.mark.only_on("sqlite", why="servers enforce foreign keys")
def test_a_node_that_does_not_exist(backend: Backend) -> None:
    assert device(1)["compute_node_id"] == 1


def test_text_longer_than_its_column(backend: Backend, node: int) -> None:
    with pytest.raises(exceptions.DBDataError, match=r"pci_devices\.parent_addr"):
        device(node, parent_addr="0000:0f:08:00.123")


def test_a_cell(admin: RequestContext, backend: Backend, node: int) -> None:
    with backend.new_database() as url:
        cell = tx.create_context_manager(url)
        tables.metadata.create_all(cell.engine)
        admin.db_connection = cell
        there = new_node("host", admin)
        row = pci_devices.pci_device_update(admin, there, "0000:01:00.0", fields(there))
        assert pci_devices.pci_device_get_by_id(admin, row["id"]) == row
        pci_devices.pci_device_destroy(admin, there, row["address"])
        assert pci_devices.pci_device_get_all_by_node(admin, there) == []
        cell.close()
    assert pci_devices.pci_device_get_all_by_node(get_admin_context("yes"), node) == []


def _report(number: int, node: int) -> None:
    for place in range(5):
        address = f"0000:0{place}:00.0"
        pci_devices.pci_device_update(get_admin_context(), node, address, fields(node, address, label=str(number)))


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with eight_processes() as found:
        yield found


def test_trackers_that_report_the_same_devices(
    admin: RequestContext, processes: Processes, backend: Backend, node: int
) -> None:
    processes.call(backend.url, _report, node)
    found = pci_devices.pci_device_get_all_by_node(admin, node)
    assert sorted(row["address"] for row in found) == [f"0000:0{place}:00.0" for place in range(5)]
