# SPDX-License-Identifier: Apache-2.0

"""Children go to the parent whose key they name, not to one whose key a collation takes for the same."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest

from nova_sqlcore import api, tables, tx
from nova_sqlcore.queries.common import children
from nova_sqlcore.queries.compute import instances, rows as instance_rows
from tests.queries.compute.test_instances_get import NODE_NUMBERS
from tests.queries.instance_factory import group, insert, instance

if TYPE_CHECKING:
    from collections.abc import Callable

    from nova_sqlcore import RequestContext
    from tests.plugins.backend import Backend

    Row = dict[str, Any]

NAME = "Café-1"
#: What the usual collations of the MySQL family take for it.
ALIKE = ("café-1", "Cafe-1", "Café-1 ", "CAFE-1  ")
OTHER = "other"
SPELLINGS = (NAME, *ALIKE, OTHER)
#: What tells the children of each join apart.
WORDS = {
    "metadata": "value",
    "system_metadata": "value",
    "security_groups": "name",
    "security_groups.rules": "name",
    "block_device_mapping": "device_name",
    "pci_devices": "label",
    "tags": "tag",
    "services": "host",
}
EVERY = tuple(WORDS)
USUAL = ("metadata", "system_metadata", "security_groups")
START = datetime.datetime(2020, 1, 1)


def marks(key: str) -> list[str]:
    """Return the names of the children of the instance with this key, which no collation takes for others."""
    return [f"{SPELLINGS.index(key)}:{number}" for number in range(2)]


def children_of(key: str, node: Row) -> None:
    """Store two children of each kind for the instance with this key, and none of services."""
    for mark in marks(key):
        for table in ("instance_metadata", "instance_system_metadata"):
            insert(table, instance_uuid=key, key=mark, value=mark)
        insert("block_device_mapping", instance_uuid=key, device_name=mark, source_type="volume")
        device = {"product_id": "p", "vendor_id": "v", "dev_type": "t", "label": mark, "status": "allocated"}
        insert("pci_devices", compute_node_id=node["id"], instance_uuid=key, address=mark, **device)
        insert("tags", resource_id=key, tag=mark)
        group({"uuid": key}, name=mark, rules=[{"protocol": "tcp"}])


@pytest.fixture
def keys(backend: Backend) -> list[str]:
    """Store instances, and children under all spellings; return the keys of the instances.

    A unique key of the MySQL family takes one of the spellings; its foreign keys take all of them.
    """
    keys = [NAME, OTHER] if backend.family == "mysql" else [*SPELLINGS]
    for key in keys:
        instance(uuid=key, host="h", node="n", launched_at=START, instance_type_id=1)
    node = insert("compute_nodes", **dict.fromkeys(NODE_NUMBERS, 1), hypervisor_type="kvm", cpu_info="{}")
    for key in SPELLINGS:
        children_of(key, node)
    insert("services", host="H", binary="nova-compute", topic="compute")  # of no instance
    return keys


def assert_own(rows: Any, keys: list[str], joins: tuple[str, ...]) -> None:
    """Assert that each of the instances has its own children, and no others."""
    assert sorted(row["uuid"] for row in rows) == sorted(keys)
    for row in rows:
        for join in joins:
            found = [child[WORDS[join]] for child in row[instance_rows.key_of(join)]]
            assert sorted(found) == ([] if join == "services" else marks(row["uuid"])), join
        if "security_groups.rules" in joins:
            assert all(len(one["rules"]) == 1 for one in row["security_groups"])


LISTS: list[tuple[Callable[[RequestContext], Any], tuple[str, ...]]] = [
    (lambda c: api.instance_get_all_by_host(c, "h", columns_to_join=EVERY), (*USUAL, "pci_devices")),
    (lambda c: api.instance_get_all_by_host_and_node(c, "h", "n", columns_to_join=EVERY), EVERY),
    (lambda c: api.instance_get_all_by_host_and_not_type(c, "h", 2), USUAL),
    (lambda c: api.instance_get_active_by_window_joined(c, START, columns_to_join=EVERY), EVERY),
    (lambda c: api.instance_get_all(c, columns_to_join=EVERY), EVERY),
    (lambda c: api.instance_get_many(c, SPELLINGS, columns_to_join=EVERY), EVERY),
]


def test_lists(admin: RequestContext, keys: list[str]) -> None:
    for call, joins in LISTS:
        assert_own(call(admin), keys, joins)
    for join in EVERY:
        assert_own(api.instance_get_all_by_filters(admin, {}, columns_to_join=[join]), keys, (join,))


def test_one_instance(admin: RequestContext, keys: list[str]) -> None:
    """Its children are embedded; what the server has cut is read again."""
    assert_own([api.instance_get_by_uuid(admin, key, columns_to_join=EVERY) for key in keys], keys, EVERY)
    with tx.reader(admin) as t:
        for join in EVERY[:-1]:
            found = children.take(t, instance_rows.relation(join), {"packed": "[2, [["}, "packed", NAME)
            assert sorted(child[WORDS[join]] for child in found) == marks(NAME)


def test_children_in_one_list(admin: RequestContext, keys: list[str]) -> None:
    with tx.reader(admin):
        for load, word in (
            (instances._instance_metadata_get_multi, "value"),
            (instances._instance_system_metadata_get_multi, "value"),
            (instances._instance_pcidevs_get_multi, "label"),
        ):
            for key in keys:
                assert [child[word] for child in load(admin, [key])] == marks(key)


def test_instances_of_other_rows(admin: RequestContext, keys: list[str]) -> None:
    """Those of migrations, of groups whose rules grant access, and of the groups that these grant it."""
    for key in keys:
        ends = {"source_compute": "h", "source_node": "n", "dest_compute": "h2", "dest_node": "n2"}
        insert("migrations", instance_uuid=key, status="migrating", **ends)
    found = api.migration_get_in_progress_by_host_and_node(admin, "h", "n")
    assert [row["instance_uuid"] for row in found] == keys
    assert_own([row["instance"] for row in found], keys, ("system_metadata",))

    granted = group(*({"uuid": key} for key in keys), name="granted")
    for one in api.security_group_get_all(admin):
        insert("security_group_rules", parent_group_id=one["id"], group_id=granted["id"])
    granting: list[Row] = api.instance_get_all_by_grantee_security_groups(admin, [granted["id"]])  # type: ignore[assignment]  # typed rows
    assert [row["uuid"] for row in granting] == keys
    for row in granting:
        row["security_groups"] = [one for one in row["security_groups"] if one["name"] != "granted"]
    assert_own(granting, keys, USUAL)

    other = group(rules=[{"group_id": granted["id"]}])
    (rule,) = api.security_group_rule_get_by_security_group(admin, other["id"])
    assert rule["grantee_group"] is not None
    assert_own(rule["grantee_group"]["instances"], keys, ("system_metadata",))


def test_deleted_instances_show_neither_groups_nor_tags_nor_services(admin: RequestContext, keys: list[str]) -> None:
    """Whatever columns the caller wants."""
    instance_ids = tables.instances.c.id
    with tx.writer(admin) as t:
        t.execute(tables.services.update().values(host="h"))
        t.execute(tables.instances.update().where(tables.instances.c.uuid == NAME).values(deleted=instance_ids))
    everyone = admin.elevated(read_deleted="yes")
    of_live = ("security_groups", "tags", "services")
    lists: list[Any] = [
        api.instance_get_all(everyone, columns_to_join=EVERY),
        api.instance_get_all(everyone, columns_to_join=of_live, columns=["uuid"]),
        api.instance_get_many(everyone, keys, columns_to_join=EVERY),
        [api.instance_get_by_uuid(everyone, key, columns_to_join=EVERY) for key in keys],
    ]
    for rows in lists:
        found = {row["uuid"]: row for row in rows}
        assert [found[NAME][join] for join in of_live] == [[], [], []]
        assert [len(found[OTHER][join]) for join in of_live] == [2, 2, 1]


def test_the_server_looks_for_candidates(admin: RequestContext, keys: list[str], backend: Backend) -> None:
    """There would be nothing to tell apart here if it did not; it finds the spellings of the wanted parent alone."""
    parent = api.instance_get_by_uuid(admin, NAME, columns=["id", "uuid"])
    with tx.reader(admin) as t:
        for join in EVERY[:-1]:
            found = instance_rows.ask_for(t, instance_rows.relation(join), [{**parent}])()
            assert found.keys() == ({NAME, *ALIKE} if backend.family == "mysql" else {NAME})
            assert [child[WORDS[join]] for child in found[NAME]] == marks(NAME)
