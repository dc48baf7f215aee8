# SPDX-License-Identifier: Apache-2.0

"""Archiving whole trees: what hangs on a deleted row goes with it, in one transaction or not at all."""

from __future__ import annotations

import datetime
import gc
import logging
import pathlib
import tracemalloc
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, api, get_admin_context, tables, tx
from nova_sqlcore.core import types
from nova_sqlcore.queries.maintenance import archive, trees
from tests.queries import instance_factory
from tests.queries.maintenance.kills import archive_killed_before
from tests.queries.maintenance.rows import filled_row, keys, put, row_of, shadow, shadow_counts
from tests.queries.processes import eight_processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from nova_sqlcore.queries.maintenance.trees import Relation
    from tests.plugins.backend import Backend
    from tests.plugins.counting import SqlLog
    from tests.queries.processes import Processes

pytestmark = pytest.mark.usefixtures("backend")

Row = dict[str, Any]
Blocked = archive.Blocked

ADMIN = get_admin_context()
OLD, NEW = datetime.datetime(2016, 1, 1), datetime.datetime(2016, 6, 1)
#: What stays although it names a deleted instance: a device, and the totals of a volume.
OUTLIVES = {"pci_devices.instance_uuid", "volume_usage_cache.instance_uuid"}
#: Columns whose live rows keep the row that they name, and whether they may go along if the caller wants so.
KEEPS = {
    "block_device_mapping.instance_uuid": True,
    "virtual_interfaces.instance_uuid": True,
    "virtual_interfaces.network_id": True,
    "fixed_ips.instance_uuid": False,
    "fixed_ips.network_id": False,
    "fixed_ips.virtual_interface_id": False,
    "floating_ips.fixed_ip_id": False,
    "compute_nodes.service_id": False,
    "pci_devices.compute_node_id": False,
}
#: Columns whose rows go with the row that they name, whatever their own mark: other foreign keys, and some values.
GO = [
    *(str(key.parent) for name in sorted(tables.shadows) for key in tables.metadata.tables[name].foreign_keys),
    *("instance_group_member.instance_id", "tags.resource_id", "instance_id_mappings.uuid", "bw_usage_cache.uuid"),
    "snapshot_id_mappings.uuid",
]
#: The rows of ``tree`` by table.
TREE = {
    "instances": 1,
    "instance_actions": 1,
    "instance_actions_events": 2,
    "instance_extra": 1,
    "instance_metadata": 1,
    "tags": 1,
}
SIZE = sum(TREE.values())


def tree(number: int, deleted_at: datetime.datetime = OLD, **root: Any) -> str:
    """Store a deleted instance with live rows that hang on it, and return its uuid."""
    forest([number], deleted_at, **root)
    return f"u{number}"


def forest(numbers: Iterable[int], deleted_at: datetime.datetime = OLD, **root: Any) -> None:
    """Store such instances."""
    rows: dict[str, list[Row]] = {name: [] for name in TREE}
    for number in numbers:
        name = f"u{number}"
        of_it = {"id": number, "instance_uuid": name}
        rows["instances"].append({"id": number, "uuid": name, "deleted": number, "deleted_at": deleted_at} | root)
        rows["instance_actions"].append(of_it | {"action": "create", "deleted": 0})
        rows["instance_actions_events"] += (
            {"id": 2 * number + place, "action_id": number, "event": "e", "deleted": 0} for place in (0, 1)
        )
        rows["instance_extra"].append(of_it | {"flavor": "{}", "deleted": 0})
        rows["instance_metadata"].append(of_it | {"key": "k", "deleted": number})
        rows["tags"].append({"resource_id": name, "tag": "t"})
    with tx.main.engine.begin() as connection:
        for name, of_table in rows.items():
            connection.execute(tables.metadata.tables[name].insert(), of_table)


def volume(number: int, name: str, **values: Any) -> None:
    """Store a live block device of an instance."""
    put(tables.block_device_mapping, {"id": number, "instance_uuid": name, "volume_id": "v", "deleted": 0} | values)


def rows_in_main() -> dict[str, int]:
    """Return the number of rows of each main table that has any, seeded flavors and the reference's own apart."""
    counts = {name: _count(table) for name, table in tables.metadata.tables.items() if not name.startswith("shadow_")}
    return {name: count for name, count in counts.items() if count and name != "migrate_version"}


def _count(table: sa.Table) -> int:
    with tx.main.engine.connect() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def columns_with(value: str) -> set[str]:
    """Return the columns of main tables that hold ``value``."""
    found = set()
    with tx.main.engine.connect() as connection:
        for name, table in tables.metadata.tables.items():
            for column in table.columns if not name.startswith("shadow_") else ():
                if isinstance(column.type, types.String):
                    where = sa.cast(column, sa.String(255)) == value
                    if connection.execute(sa.select(sa.func.count()).select_from(table).where(where)).scalar():
                        found.add(str(column))
    return found


class TestInstances:
    def test_what_the_api_makes_goes_whole(self) -> None:
        """Everything that names the instance, whatever its mark; the database is as before, but for the shadows."""
        context = RequestContext("user", "project")
        neighbour = api.instance_create(context, {"host": "h", "project_id": "project"})
        group = api.instance_group_create(context, {"user_id": "u", "project_id": "project"})
        security_group = api.security_group_create(ADMIN, {"name": "g", "project_id": "project", "user_id": "u"})
        before = rows_in_main()
        instance = api.instance_create(
            context,
            {"host": "h", "project_id": "project", "metadata": {"a": "1"}, "system_metadata": {"b": "2"}},
        )
        name = instance["uuid"]
        api.instance_tag_set(context, name, ["x", "y"])
        api.instance_group_members_add(context, group["uuid"], [name])
        api.instance_add_security_group(ADMIN, name, security_group["id"])
        request = {"instance_uuid": name, "request_id": "r", "action": "create", "user_id": "u", "project_id": "p"}
        api.action_start(ADMIN, request)
        api.action_event_start(ADMIN, {"instance_uuid": name, "request_id": "r", "event": "e"})
        api.instance_fault_create(ADMIN, {"instance_uuid": name, "code": 500, "message": "m"})
        api.migration_create(ADMIN, {"instance_uuid": name, "status": "done"})
        api.bw_usage_update(ADMIN, name, "mac", OLD, 1, 2, 3, 4)
        api.virtual_interface_create(ADMIN, {"instance_uuid": name, "address": "m", "uuid": str(uuid.uuid4())})
        api.virtual_interface_delete_by_instance(ADMIN, name)
        volumes = api.block_device_mapping_create(ADMIN, {"instance_uuid": name, "volume_id": "v", "source_type": "x"})
        api.block_device_mapping_destroy(ADMIN, volumes["id"])
        api.instance_destroy(context, name)

        counts = archive.archive_deleted_rows()

        assert columns_with(name) == set()
        assert rows_in_main() == before
        assert shadow_counts() == {table: count for table, count in counts.items() if table != "tags"}
        assert counts["instance_actions_events"] == counts["instance_extra"] == counts["instances"] == 1
        assert "instance_extra.instance_uuid" in columns_with(neighbour["uuid"])
        assert archive.archive_deleted_rows() == {}

    def test_the_case_of_the_report(self) -> None:
        """No one soft-deletes actions: the instance went never, and was stripped of its flavor."""
        context = RequestContext("user", "project")
        name = api.instance_create(context, {"project_id": "project"})["uuid"]
        api.action_start(ADMIN, {"instance_uuid": name, "request_id": "r", "action": "a"})
        api.instance_destroy(context, name)
        counts = archive.archive_deleted_rows(None)
        assert counts["instances"] == counts["instance_actions"] == counts["instance_extra"] == 1
        assert columns_with(name) == set()

    def test_what_outlives_an_instance_stays(self) -> None:
        put(tables.compute_nodes, filled_row(tables.compute_nodes) | {"deleted": 0})
        tree(1)
        put(tables.pci_devices, filled_row(tables.pci_devices) | {"instance_uuid": "u1", "deleted": 0})
        put(tables.volume_usage_cache, {"id": 1, "volume_id": "v", "instance_uuid": "u1", "deleted": 0})
        put(tables.allocations, filled_row(tables.allocations) | {"consumer_id": "u1"})
        assert archive.archive_deleted_rows() == TREE
        assert columns_with("u1") == OUTLIVES | {"allocations.consumer_id"}

    @pytest.mark.parametrize("live_children", [False, True])
    def test_a_volume_or_a_port_keeps_everything(self, live_children: bool, caplog: pytest.LogCaptureFixture) -> None:
        forest(range(1, 4))
        volume(1, "u1")
        put(tables.virtual_interfaces, {"id": 1, "instance_uuid": "u2", "address": "a", "deleted": 0})
        told: dict[str, Blocked] = {}
        with caplog.at_level(logging.WARNING, logger="nova_sqlcore"):
            counts = archive.archive_deleted_rows(include_live_children=live_children, on_blocked=told.__setitem__)
        if live_children:
            every = {name: 3 * count for name, count in TREE.items()}
            assert counts == every | {"block_device_mapping": 1, "virtual_interfaces": 1}
            assert (told, archive.archive_blocked_rows(), rows_in_main()) == ({}, {}, {})
            return
        assert counts == TREE
        assert rows_in_main() == {name: 2 * count for name, count in TREE.items()} | {
            "block_device_mapping": 1,
            "virtual_interfaces": 1,
        }
        kept = {"instances": Blocked(2, {"block_device_mapping": 1, "virtual_interfaces": 1}, ["u1", "u2"])}
        assert told == kept
        assert archive.archive_blocked_rows() == kept
        assert archive.archive_blocked_rows(include_live_children=True) == {}
        (line,) = caplog.messages
        assert line == (
            "instances: 2 deleted rows stay, with all that hangs on them, "
            "kept by rows of block_device_mapping (1), virtual_interfaces (1): u1, u2"
        )

    @pytest.mark.parametrize("live_children", [False, True])
    def test_a_bound_address_keeps_everything_in_any_case(self, live_children: bool) -> None:
        tree(1)
        put(tables.fixed_ips, {"id": 1, "address": "10.0.0.1", "instance_uuid": "u1", "deleted": 0})
        before = rows_in_main()
        assert archive.archive_deleted_rows(include_live_children=live_children) == {}
        assert rows_in_main() == before
        kept = {"instances": Blocked(1, {"fixed_ips": 1}, ["u1"])}
        assert archive.archive_blocked_rows(include_live_children=live_children) == kept

    def test_an_address_bound_to_a_port_keeps_the_instance(self) -> None:
        tree(1)
        put(tables.virtual_interfaces, {"id": 7, "instance_uuid": "u1", "address": "a", "deleted": 7})
        put(tables.fixed_ips, {"id": 1, "virtual_interface_id": 7, "allocated": True, "deleted": 0})
        assert archive.archive_deleted_rows() == {}
        assert archive.archive_blocked_rows()["instances"].by == {"fixed_ips": 1}

    def test_dead_addresses_ports_and_volumes_go_along(self) -> None:
        tree(1)
        volume(1, "u1", deleted=1)
        put(tables.virtual_interfaces, {"id": 1, "instance_uuid": "u1", "address": "a", "deleted": 1})
        put(tables.fixed_ips, {"id": 1, "address": "10.0.0.1", "instance_uuid": "u1", "deleted": 1})
        every = TREE | dict.fromkeys(("block_device_mapping", "virtual_interfaces", "fixed_ips"), 1)
        assert archive.archive_deleted_rows() == every
        assert rows_in_main() == {}

    def test_what_is_dead_below_a_kept_instance_stays_with_it(self) -> None:
        """Rows that are dead themselves, and those below live rows."""
        tree(1)
        volume(1, "u1")
        volume(2, "u1", deleted=2)
        put(tables.instance_actions_events, {"id": 9, "action_id": 1, "deleted": 9})
        put(tables.instance_id_mappings, {"id": 1, "uuid": "u1", "deleted": 1})
        before = rows_in_main()
        assert archive.archive_deleted_rows() == {}
        assert rows_in_main() == before

    def test_what_is_dead_below_a_live_instance_goes(self) -> None:
        tree(1, deleted=0)
        volume(1, "u1", deleted=1)
        volume(2, "u1")
        put(tables.instance_actions_events, {"id": 9, "action_id": 1, "deleted": 9})
        put(tables.instance_actions, {"id": 2, "instance_uuid": "u1", "deleted": 2})
        put(tables.instance_actions_events, {"id": 10, "action_id": 2, "deleted": 0})
        assert archive.archive_deleted_rows() == {
            "block_device_mapping": 1,
            "instance_metadata": 1,
            "instance_actions": 1,
            "instance_actions_events": 2,
        }
        assert keys(tables.instances) == keys(tables.instance_extra) == keys(tables.instance_actions) == [1]

    def test_other_spellings_of_a_uuid(self, backend: Backend) -> None:
        """A foreign key of the MySQL family takes them for equal; a column without one names another instance."""
        tree(1)
        put(tables.tags, {"resource_id": "U1", "tag": "t2"})
        put(tables.instance_id_mappings, {"id": 1, "uuid": "U1", "deleted": 0})
        folded = {"instance_faults": 1} if backend.family == "mysql" else {}
        if folded:
            put(tables.instance_faults, {"id": 1, "instance_uuid": "U1", "code": 1, "deleted": 0})
        assert archive.archive_deleted_rows() == TREE | folded
        assert rows_in_main() == {"tags": 1, "instance_id_mappings": 1}

    def test_half_an_instance_goes_with_what_is_left_of_it(self) -> None:
        """An older release has moved its extra and its info cache."""
        tree(1)
        with tx.main.engine.begin() as connection:
            connection.execute(tables.instance_extra.delete())
        put(shadow(tables.instance_extra), {"id": 1, "instance_uuid": "u1", "deleted": 0})
        assert archive.archive_deleted_rows() == {name: n for name, n in TREE.items() if name != "instance_extra"}

    def test_rows_are_copied_as_they_are(self) -> None:
        tree(1)
        extra, action = row_of(tables.instance_extra, 1), row_of(tables.instance_actions, 1)
        archive.archive_deleted_rows()
        assert row_of(shadow(tables.instance_extra), 1) == extra
        assert row_of(shadow(tables.instance_actions), 1) == action


def relations(kind: Callable[[Relation], bool]) -> pytest.MarkDecorator:
    """Return a parametrization by relation."""
    found = [relation for relation in trees.RELATIONS if kind(relation)]
    return pytest.mark.parametrize("relation", found, ids=[str(relation.column) for relation in found])


def relation_by(column: str) -> Relation:
    """Return the relation by a column; the code must know it."""
    (found,) = (relation for relation in trees.RELATIONS if str(relation.column) == column)
    return found


def hang(relation: Relation, **values: Any) -> None:
    """Store a deleted parent, and a row that hangs on it; what else this one needs is live."""
    parent = _lone_row(relation.parent.table)
    put(relation.parent.table, parent)
    child = _lone_row(relation.child, but_for=relation.parent.table)
    put(relation.child, child | {relation.column.name: parent[relation.parent.name]} | values)


def _lone_row(table: sa.Table, but_for: sa.Table | None = None) -> Row:
    """Return a row that refers to no other, or, where it must, to live ones, which are stored."""
    row = filled_row(table)
    for key in table.foreign_keys:
        if key.parent.nullable or key.column.table is but_for:
            row[key.parent.name] = None
        else:
            other = _lone_row(key.column.table) | {"deleted": 0}
            put(key.column.table, other)
            row[key.parent.name] = other[key.column.name]
    return row


def live_mark(table: sa.Table) -> Row:
    return {"deleted": 0} if "deleted" in table.c else {}


class TestRelations:
    @pytest.mark.parametrize("column", sorted({*GO} - KEEPS.keys()))
    def test_live_rows_go_with_their_parent(self, column: str) -> None:
        relation = relation_by(column)
        hang(relation, **live_mark(relation.child))
        counts = archive.archive_deleted_rows()
        assert counts == {relation.parent.table.name: 1, relation.child.name: 1}
        assert keys(relation.child) == keys(relation.parent.table) == []

    @pytest.mark.parametrize("column", KEEPS)
    def test_live_rows_that_claim_something_keep_their_parent(self, column: str) -> None:
        relation = relation_by(column)
        in_use = {"allocated": True} if "allocated" in relation.child.c else {}
        hang(relation, **live_mark(relation.child), **in_use)
        before = rows_in_main()
        assert archive.archive_deleted_rows() == {}
        assert rows_in_main() == before
        (name, blocked), *others = archive.archive_blocked_rows().items()
        assert (name, blocked.by, others) == (relation.parent.table.name, {relation.child.name: 1}, [])
        counts = archive.archive_deleted_rows(include_live_children=True)
        assert counts == ({name: 1, relation.child.name: 1} if KEEPS[column] else {})

    @relations(lambda relation: "deleted" in relation.child.c)
    def test_dead_rows_keep_nothing(self, relation: Relation) -> None:
        hang(relation)
        assert archive.archive_deleted_rows() == {relation.parent.table.name: 1, relation.child.name: 1}

    @relations(lambda relation: "allocated" in relation.child.c and relation.parent.table is not tables.instances)
    def test_free_addresses_keep_nothing(self, relation: Relation) -> None:
        hang(relation, deleted=0, allocated=False)
        counts = archive.archive_deleted_rows()
        assert counts == {relation.parent.table.name: 1} | ({"fixed_ips": 1} if relation.goes else {})

    def test_a_rule_goes_with_either_of_its_groups(self) -> None:
        put(tables.security_groups, *({"id": place, "deleted": place % 2} for place in (1, 2, 3, 4)))
        rules = ((1, 1), (2, 1), (3, 2), (4, 4), (3, 1))
        put(
            tables.security_group_rules,
            *(
                {"id": place, "parent_group_id": own, "group_id": other, "deleted": 0}
                for place, (own, other) in enumerate(rules, 1)
            ),
        )
        assert archive.archive_deleted_rows() == {"security_groups": 2, "security_group_rules": 4}
        assert keys(tables.security_group_rules) == [4]

    def test_every_relation_is_documented(self) -> None:
        text = (pathlib.Path(__file__).parents[3] / "docs" / "archiving.rst").read_text()
        assert [str(one.column) for one in trees.RELATIONS if str(one.column) not in text] == []
        parents = {one.parent.table.name for one in trees.RELATIONS}
        assert [name for name in sorted(parents) if f"   * - {name}\n" not in text] == []

    def test_every_column_that_may_refer_to_another_row_is_decided(self) -> None:
        """A new table or column must be thought about, for it may hang on something."""
        suspects = {
            str(column)
            for name, table in tables.metadata.tables.items()
            for column in table.columns
            if not name.startswith("shadow_") and column.name.endswith(("_id", "_uuid")) and not column.primary_key
        }
        known = {str(relation.column) for relation in trees.RELATIONS}
        assert suspects - known == {
            *OUTLIVES,
            # placement keeps its own books
            *("inventories.resource_provider_id", "inventories.resource_class_id"),
            *("allocations.resource_provider_id", "allocations.resource_class_id", "allocations.consumer_id"),
            # each instance has a flavor of its own in instance_extra
            *("instances.instance_type_id", "migrations.old_instance_type_id", "migrations.new_instance_type_id"),
            # in other services, or without a table
            *(f"{table}.{column}" for table in ("instances", "certificates", "quota_usages", "reservations",
              "security_groups", "instance_groups", "instance_actions", "project_user_quotas", "volume_usage_cache",
              "snapshots") for column in ("user_id", "project_id")),
            *(f"{table}.project_id" for table in ("networks", "floating_ips", "dns_domains", "quotas",
              "instance_type_projects")),
            *("key_pairs.user_id", "snapshots.volume_id", "volume_usage_cache.volume_id"),
            *("block_device_mapping.snapshot_id", "block_device_mapping.volume_id", "block_device_mapping.image_id"),
            *("instance_actions.request_id", "pci_devices.request_id", "pci_devices.dev_id"),
            *("pci_devices.vendor_id", "pci_devices.product_id"),
            *("instances.internal_id", "instances.kernel_id", "instances.ramdisk_id", "instances.reservation_id"),
            "instances.ephemeral_key_uuid",
        }  # fmt: skip


class TestLimits:
    def test_a_tree_is_never_cut(self) -> None:
        forest((1, 2, 3))
        assert archive.archive_deleted_rows(2 * SIZE + 1) == {name: 2 * count for name, count in TREE.items()}
        assert keys(tables.instances) == [3]
        assert archive.archive_deleted_rows(2 * SIZE + 1) == TREE
        assert rows_in_main() == {}

    def test_the_first_tree_goes_however_big_it_is(self) -> None:
        forest((1, 2))
        assert archive.archive_deleted_rows(1) == TREE
        assert archive.archive_deleted_rows(1) == TREE
        assert archive.archive_deleted_rows(1) == {}

    def test_a_tree_that_is_too_large_lets_others_pass(self) -> None:
        forest((1, 2))
        put(tables.s3_images, *({"id": place, "uuid": "u", "deleted": place} for place in (1, 2)))
        put(tables.instances, {"id": 3, "uuid": "u3", "deleted": 3})
        assert archive.archive_deleted_rows(SIZE) == {"s3_images": 2, "instances": 1}
        assert archive.archive_deleted_rows(SIZE) == TREE

    def test_a_kept_tree_uses_nothing_up(self) -> None:
        for number in (1, 2):
            tree(number)
        volume(1, "u1")
        assert archive.archive_deleted_rows(1) == TREE
        assert keys(tables.instances) == [1]

    def test_a_tree_larger_than_a_batch(self) -> None:
        tree(1)
        count = 1234
        put(
            tables.instance_actions,
            *({"id": place, "instance_uuid": "u1", "deleted": 0} for place in range(10, 10 + count)),
        )
        put(
            tables.instance_actions_events,
            *({"id": place, "action_id": place, "deleted": 0} for place in range(10, 10 + count)),
        )
        tree(2)
        seen: list[tuple[str, int]] = []
        counts = archive.archive_deleted_rows(batch=5, progress=lambda *told: seen.append(told))
        assert counts["instance_actions"] == count + 2
        assert counts["instance_actions_events"] == count + 4
        assert rows_in_main() == {}
        assert [number for name, number in seen if name == "instances"] == [1, 1]

    @pytest.mark.parametrize("batch", [1, 7, 50, 1000])
    def test_batches(self, batch: int) -> None:
        forest(range(1, 12))
        volume(1, "u3")
        seen: dict[str, int] = {}

        def progress(name: str, rows: int) -> None:
            seen[name] = seen.get(name, 0) + rows

        counts = archive.archive_deleted_rows(batch=batch, progress=progress)
        assert counts == seen == {name: 10 * count for name, count in TREE.items()}
        assert keys(tables.instances) == [3]

    def test_before(self) -> None:
        """It is about the root: a tree goes with rows that have been deleted later."""
        tree(1, OLD)
        tree(2, NEW)
        put(tables.instance_faults, {"id": 1, "instance_uuid": "u1", "code": 1, "deleted": 1, "deleted_at": NEW})
        put(tables.instance_faults, {"id": 2, "instance_uuid": "u2", "code": 1, "deleted": 2, "deleted_at": OLD})
        assert archive.archive_deleted_rows(before=NEW) == TREE | {"instance_faults": 1}
        assert keys(tables.instance_faults) == keys(tables.instances) == [2]
        volume(1, "u2")
        assert archive.archive_blocked_rows(before=NEW) == {}
        assert archive.archive_blocked_rows()["instances"].rows == 1

    def test_no_more_than_ten_are_named(self, caplog: pytest.LogCaptureFixture) -> None:
        forest(range(1, 13))
        for number in range(1, 13):
            volume(number, f"u{number}")
        found = archive.archive_blocked_rows()["instances"]
        assert (found.rows, found.names) == (12, [f"u{number}" for number in range(1, 11)])
        archive.archive_deleted_rows()
        assert caplog.messages[-1].endswith("u9, u10, ...")


class TestTaskLog:
    @pytest.fixture(autouse=True)
    def _rows(self, backend: Backend) -> None:
        for host, end in (("a", OLD), ("b", NEW)):
            api.task_log_begin_task(ADMIN, "audit", end - datetime.timedelta(days=1), end, host, message="m")

    def test_it_stays_unless_it_is_asked_for(self) -> None:
        assert archive.archive_deleted_rows() == {}
        assert archive.archive_deleted_rows(before=NEW) == {}

    def test_by_age(self) -> None:
        assert archive.archive_deleted_rows(before=NEW, task_log=True) == {"task_log": 1}
        assert len(keys(tables.task_log)) == 1
        assert archive.purge_archived_rows(OLD) == {}
        assert archive.purge_archived_rows(NEW) == {"task_log": 1}

    def test_all_of_it(self) -> None:
        tree(1)
        assert archive.archive_deleted_rows(SIZE + 1, task_log=True) == TREE | {"task_log": 1}
        assert archive.archive_deleted_rows(task_log=True) == {"task_log": 1}


class TestKeysThatAreUsedAgain:
    def test_three_rounds_of_trees(self) -> None:
        """Each tree is whole in the shadow tables too: events find their action."""
        for _ in range(3):
            forest((1, 2))
            assert archive.archive_deleted_rows() == {name: 2 * count for name, count in TREE.items()}
            assert rows_in_main() == {}
        assert shadow_counts() == {name: 6 * count for name, count in TREE.items() if name != "tags"}
        action, event = shadow(tables.instance_actions), shadow(tables.instance_actions_events)
        with tx.main.engine.connect() as connection:
            found = connection.execute(sa.select(event.c.action_id, sa.func.count()).group_by(event.c.action_id))
            assert {row[0]: row[1] for row in found} == dict.fromkeys(keys(action), 2)

    def test_both_references_of_a_rule_follow(self) -> None:
        for _ in range(2):
            put(tables.security_groups, {"id": 1, "deleted": 1})
            put(tables.security_group_rules, {"id": 1, "parent_group_id": 1, "group_id": 1, "deleted": 1})
            assert archive.archive_deleted_rows() == {"security_groups": 1, "security_group_rules": 1}
        (number,) = set(keys(shadow(tables.security_groups))) - {1}
        rule = row_of(shadow(tables.security_group_rules), keys(shadow(tables.security_group_rules))[0])
        assert rule["parent_group_id"] == rule["group_id"] == number

    def test_by_the_api(self) -> None:
        """As a test environment does it on sqlite, whose numbers start over."""
        context = RequestContext("user", "project")
        moved = []
        for _ in range(3):
            given = {"project_id": "project", "metadata": {"a": "1"}}
            names = [api.instance_create(context, given)["uuid"] for _ in range(2)]
            for name in names:
                api.action_start(ADMIN, {"instance_uuid": name, "request_id": "r", "action": "a"})
                api.instance_destroy(context, name)
            moved.append(archive.archive_deleted_rows())
        assert moved == [moved[0]] * 3
        assert moved[0]["instances"] == moved[0]["instance_actions"] == 2
        assert rows_in_main().keys() == {"security_groups", "quota_usages"}


class TestPurge:
    def test_a_tree_goes_with_its_root(self) -> None:
        """Most of it has never been deleted, and has no time of that."""
        tree(1, OLD)
        tree(2, NEW)
        put(tables.instance_faults, {"id": 1, "instance_uuid": "u2", "code": 1, "deleted": 0, "created_at": OLD})
        archive.archive_deleted_rows()
        counts = archive.purge_archived_rows(NEW)
        assert counts == {name: count for name, count in TREE.items() if name != "tags"}
        assert set(shadow_counts().values()) == {1, 2}
        assert keys(shadow(tables.instances)) == [2]
        assert keys(shadow(tables.instance_faults)) == [1]
        archive.purge_archived_rows()
        assert shadow_counts() == {}

    def test_what_has_lost_its_root_goes_by_age(self) -> None:
        for number, moment in enumerate((OLD, NEW), 1):
            put(shadow(tables.instance_extra), {"id": number, "instance_uuid": "u", "deleted": 0, "created_at": moment})
        assert archive.purge_archived_rows(NEW) == {"instance_extra": 1}


class TestCost:
    def test_statements_do_not_grow_with_trees(self, sql_log: SqlLog, backend: Backend) -> None:
        """They grow with batches: find, measure, and move each table once."""
        per_table = {"sqlite": 2, "mysql": 3, "postgresql": 1}[backend.family]
        others = {"mysql": -1, "postgresql": 0, "sqlite": 0}[backend.family]  # tags are erased, roots locked already
        others += {"mysql": -2, "postgresql": 0, "sqlite": -1}[backend.family]
        sent = []
        for count in (3, 30):
            forest(range(1, count + 1))
            with sql_log() as seen:
                archive.archive_deleted_rows()
            archive.purge_archived_rows()
            moves = [text for text in seen if text.lstrip().startswith(("INSERT", "DELETE", "WITH"))]
            sent.append((len(seen), len(moves)))
        # the name of filled tables, roots, sizes, actions with events, and the metadata that is gone by then
        once = 5
        assert sent[0] == sent[1]
        assert sent[0][0] == once + per_table * len(TREE) + others

    def test_trees_that_stay_are_passed_once(self, sql_log: SqlLog) -> None:
        forest(range(1, 31))
        for number in range(1, 31):
            volume(number, f"u{number}")
        with sql_log() as seen:
            assert archive.archive_deleted_rows(batch=300) == {}
        assert len(seen) <= 8

    @pytest.mark.only_on("sqlite", why="memory is that of this process, whatever the server")
    def test_memory_does_not_grow(self) -> None:
        peaks: list[int] = []
        forest(range(1, 101))
        archive.archive_deleted_rows(batch=100)  # statements are built
        gc.freeze()
        for count in (200, 1000):
            archive.purge_archived_rows()
            forest(range(1, count + 1))
            tracemalloc.start()
            archive.archive_deleted_rows(batch=100, progress=lambda *_: gc.collect())  # not whenever its turn comes
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        gc.unfreeze()
        assert peaks[1] < 1.3 * peaks[0]


def _archive(number: int) -> dict[str, int]:
    return archive.archive_deleted_rows(batch=7 + 5 * number)


def whole(numbers: range) -> tuple[set[int], set[int]]:
    """Return the trees in the main tables and those in the shadow tables, after checking that none is in both."""
    names = [name for name in TREE if name != "tags"]
    found = []
    for of in (lambda table: table, shadow):
        there = {name: keys(of(tables.metadata.tables[name])) for name in names}
        roots = there["instances"]
        assert there["instance_actions"] == there["instance_extra"] == there["instance_metadata"] == roots
        assert there["instance_actions_events"] == [2 * root + place for root in roots for place in (0, 1)]
        found.append(set(roots))
    assert found[0].isdisjoint(found[1])
    assert found[0] | found[1] == set(numbers)
    return found[0], found[1]


class TestInterruptions:
    @pytest.mark.parametrize("statement", [1, 4, 6, 10, 20])  # of 6 or 11 for a tree: before its root, too
    def test_a_run_that_is_killed_leaves_whole_trees(self, backend: Backend, statement: int) -> None:
        numbers = range(1, 7)
        forest(numbers)
        archive_killed_before(backend.url, statement)
        left, _ = whole(numbers)
        assert left
        while keys(tables.instances):  # the server may hold the locks of the dead for a moment
            archive.archive_deleted_rows(batch=2)
        assert whole(numbers) == (set(), set(numbers))
        assert rows_in_main() == {}


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with eight_processes() as found:
        yield found


def test_several_runs_at_once_move_each_tree_once(processes: Processes, backend: Backend) -> None:
    numbers = range(1, 121)
    forest(numbers)
    volume(1, "u60")
    moved = processes.call(backend.url, _archive)
    moved.append(archive.archive_deleted_rows())
    total = {name: sum(one.get(name, 0) for one in moved) for name in TREE}
    assert total == {name: 119 * count for name, count in TREE.items()}
    assert whole(numbers) == ({60}, set(numbers) - {60})


def test_runs_at_once_where_keys_are_used_again(processes: Processes, backend: Backend) -> None:
    for _ in range(2):
        forest(range(1, 41))
        moved = [*processes.call(backend.url, _archive), archive.archive_deleted_rows()]
        assert sum(one.get("instances", 0) for one in moved) == 40
    assert shadow_counts() == {name: 80 * count for name, count in TREE.items() if name != "tags"}


def test_rows_of_two_trees_at_once(processes: Processes, backend: Backend) -> None:
    """A membership hangs on an instance and on a group: it goes with one of them, once."""
    for number in range(1, 41):
        instance_factory.insert("instances", id=number, uuid=f"u{number}", deleted=number)
        put(tables.security_groups, {"id": number, "deleted": number})
        put(
            tables.security_group_instance_association,
            *(
                {"instance_uuid": f"u{number}", "security_group_id": other, "deleted": 0}
                for other in range(max(1, number - 3), number + 1)
            ),
        )
    links = keys(tables.security_group_instance_association)
    moved = [*processes.call(backend.url, _archive), archive.archive_deleted_rows()]
    assert sum(one.get("security_group_instance_association", 0) for one in moved) == len(links)
    assert keys(shadow(tables.security_group_instance_association)) == links
    assert rows_in_main() == {}
