# SPDX-License-Identifier: Apache-2.0

"""Online data migrations (06, Online data migrations)."""

from __future__ import annotations

import json
import logging
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, get_admin_context, tables, tx
from nova_sqlcore.queries.maintenance import online_migrations
from tests.queries import instance_factory
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


def new(table: str, number: int, **more: Any) -> Row:
    """Store a row of a table with uuids."""
    if table == "aggregates":
        return instance_factory.insert(table, name=f"a{number}", **more)
    text = {"hypervisor_hostname": f"n{number}", "hypervisor_type": "QEMU", "cpu_info": ""}
    return instance_factory.insert(table, **text, **NODE, **more)


def stored(table: str) -> list[Row]:
    found = getattr(tables, table)
    with tx.main.engine.connect() as connection:
        return [dict(row) for row in connection.execute(sa.select(found).order_by(found.c.id)).mappings()]


@pytest.mark.parametrize(
    ("table", "migrate"),
    [
        ("aggregates", online_migrations.aggregate_uuids_online_data_migration),
        ("compute_nodes", online_migrations.computenode_uuids_online_data_migration),
    ],
)
class TestUuids:
    def test_rows_without_get_one(
        self, admin: RequestContext, table: str, migrate: Any, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        without, has = new(table, 1), new(table, 2, uuid="foo")
        now = frozen_clock.advance(5)
        with sql_count(2):
            assert migrate(admin, 10) == (1, 1)
        with sql_count(1):
            assert migrate(admin, 10) == (0, 0)
        first, second = stored(table)
        assert second == has
        assert first == without | {"uuid": first["uuid"], "updated_at": now}
        assert str(uuid.UUID(first["uuid"])) == first["uuid"]

    def test_limits(self, admin: RequestContext, table: str, migrate: Any, sql_count: SqlCount) -> None:
        for number in range(5):
            new(table, number)
        with sql_count(0):
            assert migrate(admin, 0) == (0, 0)
        assert migrate(admin, 2) == (2, 2)
        assert [row["uuid"] is None for row in stored(table)] == [False, False, True, True, True]
        with sql_count(2):
            assert migrate(admin, None) == (3, 3)
        assert len({row["uuid"] for row in stored(table)}) == 5

    def test_visibility(self, admin: RequestContext, table: str, migrate: Any) -> None:
        instance_factory.deleted(table, new(table, 1))
        assert migrate(RequestContext("user", "project"), None) == (0, 0)
        assert migrate(get_admin_context("yes"), None) == (1, 1)


# -- parents of PCI devices -------------------------------------------------------------------------------------------


def service(binary: str, version: int, **more: Any) -> None:
    instance_factory.insert("services", host=f"{binary}{version}", binary=binary, topic=binary, version=version, **more)


@pytest.fixture
def ready(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let devices be migrated."""
    monkeypatch.setattr(online_migrations, "should_migrate_data", lambda: True)


def devices(*infos: Any, **more: Any) -> list[Row]:
    """Store a device for each ``extra_info``."""
    node = new("compute_nodes", 1, uuid="u")
    text = dict.fromkeys(("vendor_id", "product_id", "dev_type", "label"), "x")
    place = {"compute_node_id": node["id"], "status": "available"}
    return [
        instance_factory.insert("pci_devices", **{**text, **place, "address": str(number), "extra_info": info, **more})
        for number, info in enumerate(infos)
    ]


class TestGate:
    @pytest.mark.parametrize(
        ("services", "is_open"),
        [
            ((), False),
            ((("nova-conductor", 4),), False),
            ((("nova-conductor", 4), ("nova-api", 3)), False),
            ((("nova-conductor", 4), ("nova-api", 4)), True),
            ((("nova-conductor", 4), ("nova-conductor", 3), ("nova-api", 4)), False),
            ((("nova-conductor", 9), ("nova-api", 7), ("nova-compute", 1)), True),
        ],
    )
    def test_versions(self, services: Any, is_open: bool, sql_count: SqlCount) -> None:
        for binary, version in services:
            service(binary, version)
        with sql_count(1):
            assert online_migrations.should_migrate_data() is is_open

    def test_services_that_do_not_count(self) -> None:
        service("nova-conductor", 4)
        service("nova-api", 4)
        service("nova-api", 1, forced_down=True)
        service("nova-api", 2, deleted=1)
        assert online_migrations.should_migrate_data()

    def test_services_that_tell_no_version(self) -> None:
        for binary in ("nova-conductor", "nova-api"):
            service(binary, 4)
        with tx.writer(get_admin_context()) as transaction:
            table = tables.services
            transaction.execute(sa.update(table).where(table.c.binary == "nova-api").values(version=None))
        assert not online_migrations.should_migrate_data()

    def test_closed(self, admin: RequestContext, caplog: pytest.LogCaptureFixture, sql_count: SqlCount) -> None:
        before = devices('{"phys_function": "p"}')
        with caplog.at_level(logging.ERROR, logger="nova_sqlcore"), sql_count(1):
            assert online_migrations.pcidevice_online_data_migration(admin, None) == (0, 0)
        assert "PCI devices are not migrated" in caplog.text
        assert stored("pci_devices") == before

    def test_it_is_asked_at_every_call(self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch) -> None:
        devices('{"phys_function": "p"}')
        answers = [False, True]
        monkeypatch.setattr(online_migrations, "should_migrate_data", lambda: answers.pop(0))
        assert online_migrations.pcidevice_online_data_migration(admin, 1) == (0, 0)
        assert online_migrations.pcidevice_online_data_migration(admin, 1) == (1, 1)


class TestParents:
    @pytest.mark.usefixtures("ready")
    def test_the_parent_moves(self, admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        before = devices('{"x": "1", "phys_function": "0000:01:00.0"}', '{"phys_function": "0000:02:00.0"}')
        now = frozen_clock.advance(5)
        assert online_migrations.pcidevice_online_data_migration(admin, 1) == (1, 1)
        with sql_count(2):
            assert online_migrations.pcidevice_online_data_migration(admin, 50) == (1, 1)
        with sql_count(1):
            assert online_migrations.pcidevice_online_data_migration(admin, 50) == (0, 0)
        expected: Any = (("0000:01:00.0", {"x": "1"}), ("0000:02:00.0", {}))
        for row, after, (parent, extra) in zip(before, stored("pci_devices"), expected, strict=True):
            assert json.loads(after.pop("extra_info")) == extra
            del row["extra_info"]
            assert after == row | {"parent_addr": parent, "updated_at": now}

    @pytest.mark.usefixtures("ready")
    def test_devices_without_a_parent_are_not_looked_at(self, admin: RequestContext) -> None:
        before = devices("{}", None, '{"phys_function": null}', '{"x": 1}')
        devices_later = instance_factory.insert(
            "pci_devices", **{**before[0], "id": None, "address": "z", "extra_info": '{"phys_function": "p"}'}
        )
        assert online_migrations.pcidevice_online_data_migration(admin, 1) == (1, 1)
        assert online_migrations.pcidevice_online_data_migration(admin, None) == (0, 0)
        assert stored("pci_devices")[:4] == before
        assert stored("pci_devices")[4]["id"] == devices_later["id"]

    #: What looks like a hidden parent and is not.
    BROKEN = (
        "phys_function",
        '{"phys_function": "p"',
        '["phys_function"]',
        '{"x": "phys_function"}',
        '{"phys_function":null}',
        '{"phys_function": 5}',
        '{"phys_function": {"address": "p"}}',
        '{"phys_function": ["p"]}',
        "[" * 20_000 + '"phys_function"',
    )

    @pytest.mark.usefixtures("ready")
    @pytest.mark.parametrize("max_count", [None, 1, 3, 50])
    def test_what_can_not_be_read_stays_and_holds_nobody_up(
        self, admin: RequestContext, caplog: pytest.LogCaptureFixture, max_count: int | None
    ) -> None:
        before = devices(*self.BROKEN, '{"phys_function": "p"}', "phys_function", '{"phys_function": "q"}')
        broken = [
            row for row in before if row["extra_info"] not in ('{"phys_function": "p"}', '{"phys_function": "q"}')
        ]
        results = [online_migrations.pcidevice_online_data_migration(admin, max_count) for _ in range(3)]
        assert results == ([(1, 1), (1, 1), (0, 0)] if max_count == 1 else [(2, 2), (0, 0), (0, 0)])
        after = {row["id"]: row for row in stored("pci_devices")}
        assert [after[row["id"]] for row in broken] == broken
        assert [after[before[place]["id"]]["parent_addr"] for place in (-3, -1)] == ["p", "q"]
        for row in broken:
            assert f"PCI device {row['id']} stays as it is" in caplog.text

    @pytest.mark.usefixtures("ready")
    def test_what_is_pending(self, admin: RequestContext, sql_count: SqlCount) -> None:
        (row, *_) = devices(*self.BROKEN)
        with sql_count(2):
            assert online_migrations.pending_online_data_migrations(admin) == {}
        more = {**row, "extra_info": '{"phys_function": "p"}', "id": None}
        instance_factory.insert("pci_devices", **more | {"address": "y"})
        instance_factory.insert(
            "pci_devices", **more | {"address": "z", "status": "removed", "extra_info": "phys_function"}
        )
        new("aggregates", 7)
        assert online_migrations.pending_online_data_migrations(admin) == {
            "pcidevice_online_data_migration": 2,
            "aggregate_uuids_online_data_migration": 1,
        }

    @pytest.mark.usefixtures("ready")
    def test_the_cost_of_devices_that_stay(self, admin: RequestContext, sql_count: SqlCount) -> None:
        good = '{"phys_function": "p"}'
        devices("phys_function", good, "phys_function", good, good)
        with sql_count(3):  # pages of 3 and 2, and the UPDATE
            assert online_migrations.pcidevice_online_data_migration(admin, 3) == (3, 3)
        with sql_count(1):
            assert online_migrations.pcidevice_online_data_migration(admin, 3) == (0, 0)

    @pytest.mark.usefixtures("ready")
    def test_removed_devices_are_deleted(self, admin: RequestContext, frozen_clock: FrozenClock) -> None:
        (row,) = devices('{"phys_function": "p"}', status="removed")
        now = frozen_clock.advance(5)
        assert online_migrations.pcidevice_online_data_migration(admin, None) == (1, 1)
        assert stored("pci_devices") == [row | {"deleted": row["id"], "deleted_at": now}]
        assert online_migrations.pcidevice_online_data_migration(admin, None) == (0, 0)

    @pytest.mark.usefixtures("ready")
    def test_devices_that_are_being_deleted_stay(self, admin: RequestContext) -> None:
        before = devices('{"phys_function": "p"}', status="deleted")
        assert online_migrations.pcidevice_online_data_migration(admin, None) == (0, 0)
        assert stored("pci_devices") == before

    @pytest.mark.usefixtures("ready")
    def test_a_parent_too_long_for_its_column_stays(self, admin: RequestContext) -> None:
        devices('{"phys_function": "0000:0f:08:00.123"}')
        assert online_migrations.pcidevice_online_data_migration(admin, 1) == (0, 0)
        assert stored("pci_devices")[0]["parent_addr"] is None

    @pytest.mark.usefixtures("ready")
    def test_nothing_to_do(self, admin: RequestContext) -> None:
        devices('{"phys_function": "p"}')
        assert online_migrations.pcidevice_online_data_migration(admin, 0) == (0, 0)


def _migrate(number: int) -> int:
    return online_migrations.aggregate_uuids_online_data_migration(get_admin_context(), 10)[1]


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with eight_processes() as found:
        yield found


def test_runs_at_once_do_not_overwrite_each_other(processes: Processes, backend: Backend) -> None:
    for number in range(30):
        new("aggregates", number)
    assert sum(processes.call(backend.url, _migrate)) == 30
    assert len({row["uuid"] for row in stored("aggregates")}) == 30
