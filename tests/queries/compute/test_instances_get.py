# SPDX-License-Identifier: Apache-2.0

"""Getting instances: keys, joins, visibility, names, lists by host and group, streams, and what each call costs."""

from __future__ import annotations

import datetime
import types
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from hypothesis import strategies

from nova_sqlcore import RequestContext, exceptions, get_admin_context, tables, tx
from nova_sqlcore.core.batches import Pending
from nova_sqlcore.core.transaction import Transaction
from nova_sqlcore.queries.common import children
from nova_sqlcore.queries.compute import instances, rows as instance_rows
from nova_sqlcore.queries.quota import counts
from nova_sqlcore.settings import settings
from tests.queries.cell_factory import cell
from tests.queries.instance_factory import Row, deleted, group, insert, instance

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.backend import Backend
    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

INST = {*instance_rows.COLUMNS, "name"}
LISTS = {"metadata", "system_metadata"}
NO_UUID = "00000000-0000-0000-0000-000000000000"
T0 = datetime.datetime(2016, 4, 7, 12, 0, 0)
HOUR = datetime.timedelta(hours=1)


@pytest.fixture
def everything(backend: Backend) -> Row:
    """Store an instance that has children of every kind, and return its columns."""
    row = instance({"m1": "a", "m2": "b"}, {"s1": "c", "s2": "d"}, ["blue", "amber"], host="host", node="node")
    uuid = row["uuid"]
    insert("instance_info_caches", instance_uuid=uuid, network_info="[1]")
    insert("instance_extra", instance_uuid=uuid, flavor="small", numa_topology="numa", pci_requests="[]")
    group(row, rules=[{"cidr": "10.0.0.0/8"}, {"cidr": "::/0", "protocol": "tcp"}])
    node = insert("compute_nodes", **dict.fromkeys(NODE_NUMBERS, 1), hypervisor_type="kvm", cpu_info="{}")
    for address, status in (("0000:01", "allocated"), ("0000:02", "claimed")):
        device = dict.fromkeys(("product_id", "vendor_id"), "8086") | {
            "dev_type": "type-PF",
            "dev_id": "x",
            "label": "l",
        }
        insert("pci_devices", compute_node_id=node["id"], instance_uuid=uuid, address=address, status=status, **device)
    insert("services", host="host", binary="nova-compute", topic="compute", last_seen_up=T0)
    insert("services", host="host", binary="nova-network", topic="network")
    insert("block_device_mapping", instance_uuid=uuid, no_device=False, delete_on_termination=True, volume_size=5)
    return row


NODE_NUMBERS = (
    "vcpus",
    "memory_mb",
    "local_gb",
    "vcpus_used",
    "memory_mb_used",
    "local_gb_used",
    "hypervisor_version",
)
EVERY_JOIN = [
    "metadata",
    "system_metadata",
    "info_cache",
    "extra",
    "extra.flavor",
    "security_groups",
    "security_groups.rules",
    "pci_devices",
    "tags",
    "services",
    "block_device_mapping",
]
EVERY_KEY = {join for join in EVERY_JOIN if "." not in join}


# -- one instance -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("joins", "more", "metadata", "system_metadata"),
    [
        (None, set(), ["a", "b"], ["c", "d"]),
        ([], set(), [], []),
        (["metadata"], set(), ["a", "b"], []),
        (["system_metadata"], set(), [], ["c", "d"]),
        (["pci_devices", "tags", "extra"], {"pci_devices", "tags", "extra"}, [], []),
        (EVERY_JOIN, EVERY_KEY, ["a", "b"], ["c", "d"]),
    ],
)
def test_one_instance_has_the_asked_keys_in_one_statement(
    everything: Row,
    admin: RequestContext,
    sql_count: SqlCount,
    joins: list[str] | None,
    more: set[str],
    metadata: list[str],
    system_metadata: list[str],
) -> None:
    given = None if joins is None else list(joins)
    with sql_count(1):
        row: Any = instances.instance_get_by_uuid(admin, everything["uuid"], given)
    with sql_count(1):
        assert instances.instance_get(admin, everything["id"], given) == row
    assert given == joins
    assert row.keys() == INST | LISTS | {"info_cache", "security_groups"} | more
    assert {name: row[name] for name in everything} == everything
    assert [one["value"] for one in row["metadata"]] == metadata
    assert [one["value"] for one in row["system_metadata"]] == system_metadata


def test_children_are_whole_plain_rows(everything: Row, admin: RequestContext) -> None:
    row: Any = instances.instance_get_by_uuid(admin, everything["uuid"], EVERY_JOIN)
    with tx.reader(admin) as transaction:
        for key, table in (
            ("metadata", tables.instance_metadata),
            ("system_metadata", tables.instance_system_metadata),
            ("pci_devices", tables.pci_devices),
            ("block_device_mapping", tables.block_device_mapping),
        ):
            assert row[key] == transaction.rows(table.select().order_by(table.c.id))
        assert [row["info_cache"]] == transaction.rows(tables.instance_info_caches.select())
        services = tables.services
        assert row["services"] == transaction.rows(services.select().where(services.c.binary == "nova-compute"))
        (stored_group,) = transaction.rows(tables.security_groups.select())
        rules = transaction.rows(tables.security_group_rules.select().order_by(tables.security_group_rules.c.id))
    assert row["security_groups"] == [stored_group | {"rules": rules}]
    assert [rule["cidr"] for rule in rules] == ["10.0.0.0/8", "::/0"]
    assert row["tags"] == [{"resource_id": row["uuid"], "tag": tag} for tag in ("amber", "blue")]
    assert row["extra"].keys() == {*EXTRA_BASE, "flavor"}
    assert row["block_device_mapping"][0]["delete_on_termination"] is True
    assert row["services"][0]["last_seen_up"] == T0


EXTRA_BASE = ("id", "instance_uuid", "created_at", "updated_at", "deleted_at", "deleted")


@pytest.mark.parametrize(
    ("joins", "texts"),
    [
        (["extra"], set()),
        (["extra", "extra.flavor"], {"flavor"}),
        (["extra.numa_topology", "extra.pci_requests"], {"numa_topology", "pci_requests"}),
    ],
)
def test_extra_holds_the_asked_texts_only(
    everything: Row, admin: RequestContext, joins: list[str], texts: set[str]
) -> None:
    listed: Any
    (listed,) = instances.instance_get_all(admin, joins)
    single = instances.instance_get_by_uuid(admin, everything["uuid"], joins)
    assert listed["extra"] == single["extra"]
    assert listed["extra"].keys() == {*EXTRA_BASE} | texts


def test_one_to_one_rows_that_are_missing_are_none(backend: Backend, admin: RequestContext) -> None:
    row = instances.instance_get_by_uuid(admin, instance()["uuid"], ["extra"])
    assert (row["info_cache"], row["extra"], row["security_groups"]) == (None, None, [])


def test_of_two_rows_of_extra_the_live_one_counts_then_the_newest(backend: Backend, admin: RequestContext) -> None:
    first, second = instance(display_name="a"), instance(display_name="b")
    for flavor in ("old", "new"):
        insert("instance_extra", instance_uuid=first["uuid"], flavor=flavor)
    insert("instance_extra", instance_uuid=second["uuid"], flavor="live")
    deleted("instance_extra", insert("instance_extra", instance_uuid=second["uuid"], flavor="gone"))
    joins = ["extra.flavor"]
    for row, flavor in ((first, "new"), (second, "live")):
        one: Any = instances.instance_get_by_uuid(admin, row["uuid"], joins)
        assert one["extra"]["flavor"] == flavor
    for limit in (1, 2, None):
        page: Any = instances.instance_get_all_by_filters(
            admin, {}, "display_name", "asc", limit, columns_to_join=joins
        )
        assert [row["extra"]["flavor"] for row in page] == ["new", "live"][:limit]


@pytest.mark.parametrize("get", [instances.instance_get_by_uuid, instances.instance_get])
def test_destroyed_instance_keeps_what_the_join_conditions_leave(
    everything: Row, admin: RequestContext, get: Any
) -> None:
    uuid = everything["uuid"]
    deleted("instances", everything)
    with tx.writer(admin) as transaction:
        for name in ("instance_metadata", "instance_system_metadata", "instance_info_caches", "instance_extra"):
            table = getattr(tables, name)
            transaction.execute(table.update().values(deleted=table.c.id))
    key = uuid if get is instances.instance_get_by_uuid else everything["id"]
    with pytest.raises(exceptions.InstanceNotFound) as caught:
        get(admin, key)
    assert caught.value.kwargs["instance_id"] == key
    row = get(get_admin_context(read_deleted="yes"), key, EVERY_JOIN)
    assert get(get_admin_context(read_deleted="only"), key, EVERY_JOIN) == row
    gone = ("metadata", "security_groups", "tags", "services")
    assert {name: row[name] for name in gone} == {name: [] for name in gone}
    assert len(row["system_metadata"]) == 2
    assert row["info_cache"]["network_info"] == "[1]"
    assert row["extra"]["flavor"] == "small"
    assert len(row["pci_devices"]) == 2
    assert len(row["block_device_mapping"]) == 1


def test_a_soft_deleted_service_still_shows(everything: Row, admin: RequestContext) -> None:
    (service,) = instances.instance_get_by_uuid(admin, everything["uuid"], ["services"])["services"]
    deleted("services", dict(service))
    (again,) = instances.instance_get_by_uuid(admin, everything["uuid"], ["services"])["services"]
    assert again["deleted"] == service["id"]


def test_groups_show_once_and_only_live_ones(backend: Backend, admin: RequestContext) -> None:
    row = instance()
    kept = group(row, row, rules=[{"cidr": "10.0.0.0/8"}, {"cidr": "11.0.0.0/8"}])
    empty = group(row)
    deleted("security_groups", group(row))
    left = group(row)
    with tx.writer(admin) as transaction:
        rules, links = tables.security_group_rules, tables.security_group_instance_association
        transaction.execute(rules.update().where(rules.c.cidr == "11.0.0.0/8").values(deleted=rules.c.id))
        transaction.execute(links.update().where(links.c.security_group_id == left["id"]).values(deleted=links.c.id))
    found = instances.instance_get_by_uuid(admin, row["uuid"])["security_groups"]
    assert [(one["id"], [rule["cidr"] for rule in one["rules"]]) for one in found] == [
        (kept["id"], ["10.0.0.0/8"]),
        (empty["id"], []),
    ]
    (listed,) = instances.instance_get_all(admin)
    assert listed["security_groups"] == [kept, empty]


@pytest.mark.parametrize("wrong", ["fault", "flavor", "name", "extra.name", "numa_topology", "", "security_groups.x"])
def test_unknown_join_is_refused_by_name(backend: Backend, admin: RequestContext, wrong: str) -> None:
    for call in (
        lambda: instances.instance_get_by_uuid(admin, NO_UUID, [wrong]),
        lambda: instances.instance_get_all(admin, [wrong]),
        lambda: instances.instance_get_all_by_filters(admin, {}, columns_to_join=[wrong]),
        lambda: instances.instance_get_all_by_host_and_node(admin, "h", "n", [wrong]),
    ):
        with pytest.raises(ValueError, match=f"no join '{wrong}'"):
            call()


@pytest.mark.parametrize(
    ("key", "error", "kwargs"),
    [
        (12345, exceptions.InstanceNotFound, "instance_id"),
        (-1, exceptions.InstanceNotFound, "instance_id"),
        (NO_UUID, exceptions.InstanceNotFound, "instance_id"),
        ("fake", exceptions.InstanceNotFound, "instance_id"),
        (None, exceptions.InstanceNotFound, "instance_id"),
        (10**40, exceptions.InvalidID, "id"),
        (str(10**40), exceptions.InvalidID, "id"),
    ],
)
def test_an_id_without_instance(
    backend: Backend, admin: RequestContext, key: Any, error: type[exceptions.NovaException], kwargs: str
) -> None:
    with pytest.raises(error) as caught:
        instances.instance_get(admin, key)
    assert caught.value.kwargs[kwargs] == key


def test_text_that_begins_with_an_id_is_no_id(backend: Backend, admin: RequestContext) -> None:
    row = instance()
    assert instances.instance_get(admin, str(row["id"]))["uuid"] == row["uuid"]  # type: ignore[arg-type]  # on purpose
    with pytest.raises(exceptions.InstanceNotFound):
        instances.instance_get(admin, f"{row['id']}abc")  # type: ignore[arg-type]  # on purpose


@pytest.mark.parametrize("key", ["garbage", NO_UUID, 5, None])
def test_a_uuid_without_instance(backend: Backend, admin: RequestContext, key: Any) -> None:
    with pytest.raises(exceptions.InstanceNotFound) as caught:
        instances.instance_get_by_uuid(admin, key)
    assert caught.value.kwargs["instance_id"] == key


def test_single_gets_stay_within_the_project_of_a_user(backend: Backend, ctxt: RequestContext) -> None:
    own, foreign, nobodys = instance(), instance(project_id="other"), instance(project_id=None)
    assert instances.instance_get(ctxt, own["id"])["uuid"] == own["uuid"]
    for row in (foreign, nobodys):
        with pytest.raises(exceptions.InstanceNotFound):
            instances.instance_get(ctxt, row["id"])
        with pytest.raises(exceptions.InstanceNotFound):
            instances.instance_get_by_uuid(ctxt, row["uuid"])
        assert instances.instance_get(ctxt.elevated(), row["id"])["id"] == row["id"]


@pytest.mark.parametrize("context", [RequestContext(), RequestContext("user"), RequestContext(project_id="project")])
def test_incomplete_contexts_are_refused_before_any_statement(
    backend: Backend, sql_count: SqlCount, context: RequestContext
) -> None:
    calls: list[Any] = [
        (instances.instance_get, 1),
        (instances.instance_get_by_uuid, NO_UUID),
        (instances.instance_get_all,),
        (instances.instance_get_all_by_filters, {}),
        (instances.instance_get_all_by_filters_sort, {}),
        (instances.instance_get_active_by_window_joined, T0),
        (instances.instance_floating_address_get_all, NO_UUID),
        (instances.instance_get_all_iter,),
    ]
    with sql_count(0):
        for function, *args in calls:
            with pytest.raises(exceptions.Forbidden):
                function(context, *args)


def test_addresses_are_text(backend: Backend, admin: RequestContext) -> None:
    row = instance(access_ip_v4="10.0.0.1", access_ip_v6="2001:0db8::0001")
    found = instances.instance_get(admin, row["id"])
    assert (found["access_ip_v4"], found["access_ip_v6"]) == ("10.0.0.1", "2001:db8::1")


@pytest.mark.parametrize(
    ("template", "name"),
    [
        ("instance-%08x", "instance-{id:08x}"),
        ("i-%d", "i-{id}"),
        ("uuid-%(uuid)s", "uuid-{uuid}"),
        ("%(hostname)s-%(id)d", "web-{id}"),
        ("x-%(name)s", "{uuid}"),
        ("x-%(metadata)s", "{uuid}"),
        ("x-%(info_cache)s", "{uuid}"),
        ("plain", "plain"),
    ],
)
def test_name_follows_the_template(
    backend: Backend, admin: RequestContext, monkeypatch: pytest.MonkeyPatch, template: str, name: str
) -> None:
    monkeypatch.setattr(settings, "instance_name_template", template)
    row = instance(hostname="web")
    expected = name.format(**row)
    assert instances.instance_get(admin, row["id"])["name"] == expected
    assert [one["name"] for one in instances.instance_get_all(admin)] == [expected]
    only: Any = instances.instance_get(admin, row["id"], columns=["name"])
    assert only == {"name": expected}
    assert instance_rows.named(dict(row))["name"] == expected


# -- chosen columns ---------------------------------------------------------------------------------------------------


def _all_ways_with_joins(context: Any, row: Row, **given: Any) -> tuple[Callable[[], list[Any]], ...]:
    """Return the calls that get the instance of ``everything`` and take joins."""
    return (
        lambda: [instances.instance_get(context, row["id"], **given)],
        lambda: [instances.instance_get_by_uuid(context, row["uuid"], **given)],
        lambda: instances.instance_get_all(context, **given),
        lambda: instances.instance_get_all_by_filters(context, {}, **given),
        lambda: instances.instance_get_all_by_filters_sort(context, {"host": "host"}, **given),
        lambda: instances.instance_get_active_by_window_joined(context, T0, **given),
        lambda: instances.instance_get_all_by_host(context, "host", **given),
        lambda: instances.instance_get_all_by_host_and_node(context, "host", "node", **given),
        lambda: list(instances.instance_get_all_iter(context, **given)),
    )


def test_columns_choose_what_a_row_holds(
    everything: Row, admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount
) -> None:
    wanted = ("host", "vm_state", "name")
    expected = {"host": "host", "vm_state": None, "name": f"instance-{everything['id']:08x}"}
    source = group()
    group(everything, rules=[{"group_id": source["id"]}])
    state = {"task_state": "rebooting", "updated_at": frozen_clock.now - HOUR, "instance_type_id": 1}
    with tx.writer(admin) as transaction:
        transaction.execute(tables.instances.update().values(state))
    calls: tuple[Callable[[], list[Any]], ...] = (
        *_all_ways_with_joins(admin, everything, columns=wanted),
        lambda: instances.instance_get_all_by_host_and_not_type(admin, "host", columns=wanted),
        lambda: instances.instance_get_all_by_grantee_security_groups(admin, [source["id"]], columns=wanted),
        lambda: instances.instance_get_all_hung_in_rebooting(admin, 60, columns=wanted),
    )
    for call in calls:
        with sql_count(1) as seen:
            assert call() == [expected]
        assert "user_data" not in seen[0]


def test_columns_with_joins(everything: Row, admin: RequestContext) -> None:
    joins = ["system_metadata", "tags", "info_cache", "pci_devices", "extra.flavor", "security_groups.rules"]
    whole: Any = instances.instance_get(admin, everything["id"], joins)
    expected = {name: whole[name] for name in ("host", *(join.partition(".")[0] for join in joins))}
    devices = expected.pop("pci_devices")
    numbers = []
    for call in _all_ways_with_joins(admin, everything, columns_to_join=joins, columns=["host"]):
        (row,) = call()
        numbers.append(len(row["pci_devices"]))
        assert all(device in devices for device in row.pop("pci_devices"))
        assert row == expected
    assert numbers == [2, 2, 1, 1, 1, 1, 1, 2, 1]  # lists but one have allocated devices only


def test_no_columns_at_all(everything: Row, admin: RequestContext) -> None:
    for call in _all_ways_with_joins(admin, everything, columns=[]):
        assert call() == [{}]


@pytest.mark.parametrize("wrong", [["hots"], "uuid", ["metadata"]])
def test_unknown_column_is_refused_with_a_hint(backend: Backend, admin: RequestContext, wrong: Any) -> None:
    with pytest.raises(ValueError, match="an instance has no column"):
        instances.instance_get_all(admin, columns=wrong)
    with pytest.raises(ValueError, match="did you mean 'host'"):
        instances.instance_get(admin, 1, columns=["hots"])


# -- children as JSON: nothing is lost --------------------------------------------------------------------------------

#: What every server stores: no NUL, no surrogates, nothing beyond three bytes of UTF-8.
TEXT = strategies.text(
    strategies.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"], exclude_characters="\0"), max_size=40
)
MOMENTS = strategies.datetimes(datetime.datetime(1971, 1, 1), datetime.datetime(2037, 1, 1))


@hypothesis.given(value=TEXT, moment=MOMENTS)
@hypothesis.settings(
    max_examples=25, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
def test_any_value_survives_both_ways_to_read_it(
    backend: Backend, admin: RequestContext, value: str, moment: datetime.datetime
) -> None:
    row = instance()
    stored = insert(
        "instance_system_metadata", instance_uuid=row["uuid"], key="key", value=value, created_at=moment, updated_at=T0
    )
    assert stored["value"] == value
    (listed,) = instances.instance_get_all_by_filters(admin, {"uuid": row["uuid"]})
    single = instances.instance_get(admin, row["id"])
    assert single["system_metadata"] == listed["system_metadata"] == [stored]


def _cut_texts(transaction: Transaction, length: int) -> None:
    """Let the server cut aggregated text; only the MySQL family knows such a limit."""
    if transaction.dialect.name == "mysql":
        transaction.connection.exec_driver_sql(f"SET SESSION group_concat_max_len = {length}")


@pytest.mark.parametrize("length", [40, 300])
def test_what_the_server_cuts_is_read_again(backend: Backend, admin: RequestContext, length: int) -> None:
    rows = [instance({f"key{number}": "x" * 60 for number in range(5)}) for _ in range(3)]
    rows.append(instance({"k": "v"}))
    single = instances.instance_get(admin, rows[0]["id"])
    listed = instances.instance_get_all(admin)
    assert len(single["metadata"]) == 5
    with tx.reader(admin) as transaction:
        _cut_texts(transaction, length)
        try:
            assert instances.instance_get(admin, rows[0]["id"]) == single
            assert instances.instance_get_all(admin) == listed
        finally:
            _cut_texts(transaction, 16 * 1024 * 1024)


@pytest.mark.parametrize("text", [None, "", "[2,[[", "[2,[[null,null,null,1,2]]]", '[3,[["a"],["b"]]]', '[1,[["a]]'])
def test_a_text_without_all_its_rows_is_recognized(text: str | None) -> None:
    assert children.unpack(instance_rows.relation("metadata"), text, NO_UUID) is None


@pytest.mark.only_on("mysql", why="others make no tables for aggregates")
def test_no_temporary_table_on_disk(everything: Row, admin: RequestContext, sql_count: SqlCount) -> None:
    """MariaDB makes one for each GROUP_CONCAT of texts that could be long."""
    statement = "SHOW SESSION STATUS LIKE 'Created_tmp_disk_tables'"
    with tx.reader(admin) as transaction:
        before = transaction.connection.exec_driver_sql(statement).all()
        with sql_count(1):
            instances.instance_get(
                admin, everything["id"], columns_to_join=[*instance_rows.METADATA, "tags", "pci_devices"]
            )
        assert transaction.connection.exec_driver_sql(statement).all() == before


def test_children_of_one_and_of_many_agree(everything: Row, admin: RequestContext) -> None:
    other = instance({"m": "x"}, host="host")
    joins = [join for join in EVERY_JOIN if join not in (*instance_rows.EXTRA_JOINS, "pci_devices")]  # lists show some
    listed = {row["id"]: row for row in instances.instance_get_all(admin, columns_to_join=joins)}
    for identity in (everything["id"], other["id"]):
        assert instances.instance_get(admin, identity, columns_to_join=joins) == listed[identity]


def test_rows_fetched_are_a_sum_and_not_a_product(
    backend: Backend, admin: RequestContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = instance({f"m{n}": "v" for n in range(10)}, {f"s{n}": "v" for n in range(30)}, ["a", "b", "c"])
    for _ in range(3):
        group(row, rules=[{"cidr": f"10.{n}.0.0/16"} for n in range(5)])
    fetched: list[int] = []

    def counting(method: Any) -> Any:
        def counted(self: Any, *args: Any, **params: Any) -> list[Row]:
            found: list[Row] = method(self, *args, **params)
            fetched.append(len(found))
            return found

        return counted

    monkeypatch.setattr(Transaction, "rows", counting(Transaction.rows))
    monkeypatch.setattr(Pending, "get", counting(Pending.get))
    single = instances.instance_get(admin, row["id"], [*LISTS, "tags"])
    assert fetched == [1]
    assert [len(single[key]) for key in ("metadata", "system_metadata", "tags")] == [10, 30, 3]
    assert [len(one["rules"]) for one in single["security_groups"]] == [5, 5, 5]
    fetched.clear()
    instances.instance_get_all(admin, [*LISTS, "tags", "security_groups.rules"])
    assert len(fetched) == 5
    assert sum(fetched) <= 1 + 10 + 30 + 3 + 15


# -- lists ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("joins", "keys", "statements"),
    [
        (None, {"info_cache", "security_groups"}, 4),
        ([], set(), 1),
        (["system_metadata"], set(), 2),
        (["metadata", "info_cache"], {"info_cache"}, 2),
        (["info_cache", "extra.pci_requests"], {"info_cache", "extra"}, 1),
        (["pci_devices"], {"pci_devices"}, 2),
        (EVERY_JOIN, EVERY_KEY - LISTS, 8),
    ],
)
def test_lists_have_exactly_the_asked_keys(
    everything: Row,
    admin: RequestContext,
    sql_count: SqlCount,
    joins: list[str] | None,
    keys: set[str],
    statements: int,
) -> None:
    given = None if joins is None else list(joins)
    results = []
    calls: tuple[Callable[[], list[Any]], ...] = (
        lambda: instances.instance_get_all(admin, given),
        lambda: instances.instance_get_all_by_filters(admin, {}, columns_to_join=given),
        lambda: instances.instance_get_all_by_filters_sort(admin, {}, columns_to_join=given),
        lambda: instances.instance_get_active_by_window_joined(admin, T0, columns_to_join=given),
        lambda: list(instances.instance_get_all_iter(admin, given)),
    )
    for call in calls:
        with sql_count(statements):
            results.append(call())
    assert given == joins
    assert results == [results[0]] * 5
    (row,) = results[0]
    assert row.keys() == INST | LISTS | keys
    asked = instance_rows.METADATA if joins is None else joins
    assert [one["value"] for one in row["metadata"]] == (["a", "b"] if "metadata" in asked else [])
    assert [one["value"] for one in row["system_metadata"]] == (["c", "d"] if "system_metadata" in asked else [])
    if joins is None:
        assert all("rules" not in one for one in row["security_groups"])
    if "pci_devices" in keys:
        assert [device["status"] for device in row["pci_devices"]] == ["allocated"]


def test_lists_without_instances_ask_for_no_children(
    backend: Backend, admin: RequestContext, sql_count: SqlCount
) -> None:
    with sql_count(1):
        assert instances.instance_get_all(admin) == []
    with sql_count(1):
        assert instances.instance_get_all_by_filters(admin, {}) == []


def test_every_row_has_its_own_children_in_order_of_ids(backend: Backend, admin: RequestContext) -> None:
    rows = [instance({"k": str(n), "l": "x"}, {"s": str(n)}) for n in range(12)]
    found = instances.instance_get_all(admin)
    assert [row["id"] for row in found] == [row["id"] for row in rows]
    for number, row in enumerate(found):
        assert [one["value"] for one in row["metadata"]] == [str(number), "x"]
        assert [one["value"] for one in row["system_metadata"]] == [str(number)]
        assert {one["instance_uuid"] for one in row["metadata"]} == {row["uuid"]}


def test_more_instances_than_one_in_list_takes(
    backend: Backend, admin: RequestContext, monkeypatch: pytest.MonkeyPatch, sql_count: SqlCount
) -> None:
    from nova_sqlcore.queries.common import clauses as shared

    monkeypatch.setattr(shared.chunks, "__defaults__", (4,))
    rows = [instance({"k": str(n)}) for n in range(10)]
    with sql_count(1 + 3):
        found = instances.instance_get_all(admin, ["metadata"])
    assert [row["metadata"][0]["value"] for row in found] == [str(n) for n in range(10)]
    with tx.reader(admin):
        multi = instances._instance_metadata_get_multi(admin, [row["uuid"] for row in reversed(rows)])
    assert [row["value"] for row in multi] == [str(n) for n in range(10)]


@pytest.mark.parametrize(
    ("read_deleted", "metadata"), [("no", ["live"]), ("yes", ["live", "gone"]), ("only", ["gone"])]
)
def test_lists_show_metadata_as_the_context_does_and_all_system_metadata(
    backend: Backend, read_deleted: str, metadata: list[str]
) -> None:
    row = instance({"a": "live", "b": "gone"}, {"a": "live", "b": "gone"})
    with tx.writer(get_admin_context()) as transaction:
        for table in (tables.instance_metadata, tables.instance_system_metadata):
            transaction.execute(table.update().where(table.c.value == "gone").values(deleted=table.c.id))
    (found,) = instances.instance_get_all_by_filters(get_admin_context(read_deleted), {"uuid": row["uuid"]})
    assert [one["value"] for one in found["metadata"]] == metadata
    assert [one["value"] for one in found["system_metadata"]] == ["live", "gone"]


@pytest.mark.parametrize(("read_deleted", "expected"), [("no", [0]), ("yes", [0, 1]), ("only", [1])])
def test_lists_follow_read_deleted(backend: Backend, read_deleted: str, expected: list[int]) -> None:
    rows = [instance(host="h", node="n", instance_type_id=1) for _ in range(2)]
    deleted("instances", rows[1])
    context = get_admin_context(read_deleted)
    for found in (
        instances.instance_get_all(context),
        instances.instance_get_all_by_host(context, "h"),
        instances.instance_get_all_by_host_and_node(context, "h", "n"),
        instances.instance_get_all_by_host_and_not_type(context, "h", 2),
        list(instances.instance_get_all_iter(context)),
    ):
        assert [row["id"] for row in found] == [rows[place]["id"] for place in expected]


def test_instance_get_all_is_scoped(backend: Backend, admin: RequestContext) -> None:
    mine, colleagues = instance(), instance(user_id="colleague")
    foreign = instance(project_id="other")

    def ids(context: Any) -> list[int]:
        return [row["id"] for row in instances.instance_get_all(context)]

    assert ids(admin) == [mine["id"], colleagues["id"], foreign["id"]]
    assert ids(RequestContext("user", "project")) == [mine["id"], colleagues["id"]]
    assert ids(RequestContext("user", "other")) == [foreign["id"]]


WINDOWS = [
    (0, None, 4),
    (3, None, 2),
    (-10, 0, 0),
    (-10, 2, 2),
    (2, 3, 2),
]


@pytest.mark.parametrize("aware", [False, True])
@pytest.mark.parametrize(("begin", "end", "number"), WINDOWS)
def test_active_by_window(
    backend: Backend, ctxt: RequestContext, begin: int, end: int | None, number: int, aware: bool
) -> None:
    for start, stop in ((0, None), (1, 2), (2, 3), (3, None)):
        stopped = None if stop is None else T0 + stop * HOUR
        row = instance(launched_at=T0 + start * HOUR, terminated_at=stopped, project_id="other", host="h")
    deleted("instances", row)

    def moment(hours: int | None) -> datetime.datetime | None:
        if hours is None:
            return None
        naive = T0 + hours * HOUR
        return naive.replace(tzinfo=datetime.UTC).astimezone(datetime.timezone(5 * HOUR)) if aware else naive

    first = moment(begin)
    assert first is not None
    found = instances.instance_get_active_by_window_joined(ctxt, first, moment(end))
    assert len(found) == number
    assert [row["id"] for row in found] == sorted(row["id"] for row in found)


def test_active_by_window_of_a_project_or_host_and_never_launched(backend: Backend, admin: RequestContext) -> None:
    never = instance(project_id="p", host="a")
    launched = instance(project_id="q", host="b", launched_at=T0)

    def ids(*args: Any) -> list[int]:
        return [row["id"] for row in instances.instance_get_active_by_window_joined(admin, *args)]

    assert ids(T0) == [never["id"], launched["id"]]
    assert ids(T0, T0 + HOUR) == [launched["id"]]
    assert ids(T0, None, "p") == [never["id"]]
    assert ids(T0, None, None, "b") == [launched["id"]]
    assert ids(T0, None, "p", "b") == []


@pytest.mark.parametrize(
    ("joins", "more", "metadata", "system_metadata", "statements"),
    [
        (None, set(), 2, 2, 4),
        (["metadata"], set(), 2, 0, 3),
        (["pci_devices", "tags", "nonsense"], {"pci_devices"}, 0, 0, 3),
        (["extra", "extra.numa_topology"], {"extra"}, 0, 0, 2),
    ],
)
def test_by_host_ignores_most_joins(
    everything: Row,
    admin: RequestContext,
    sql_count: SqlCount,
    joins: list[str] | None,
    more: set[str],
    metadata: int,
    system_metadata: int,
    statements: int,
) -> None:
    instance(host="elsewhere")
    row: Any
    with sql_count(statements):
        (row,) = instances.instance_get_all_by_host(admin, "host", joins)
    assert row.keys() == INST | LISTS | {"info_cache", "security_groups"} | more
    assert (len(row["metadata"]), len(row["system_metadata"])) == (metadata, system_metadata)
    if "extra" in more:
        assert row["extra"]["numa_topology"] == "numa"
    if "pci_devices" in more:
        assert len(row["pci_devices"]) == 1


@pytest.mark.parametrize("joins", [[], ()])
def test_lists_without_joins_load_no_children(
    everything: Row, admin: RequestContext, sql_count: SqlCount, joins: Any
) -> None:
    for call in _all_ways_with_joins(admin, everything, columns_to_join=joins)[2:]:
        with sql_count(1):
            (row,) = call()
        assert row.keys() == INST | LISTS
        assert row["metadata"] == row["system_metadata"] == []


def test_one_instance_without_joins_has_its_cache_and_its_groups(
    everything: Row, admin: RequestContext, sql_count: SqlCount
) -> None:
    for call in _all_ways_with_joins(admin, everything, columns_to_join=[])[:2]:
        with sql_count(1):
            (row,) = call()
        assert row.keys() == INST | LISTS | {"info_cache", "security_groups"}
        assert row["metadata"] == row["system_metadata"] == []


@pytest.mark.parametrize(
    ("joins", "keys", "system_metadata", "statements"),
    [
        (None, {"info_cache", "security_groups"}, 0, 2),
        ([], set(), 0, 1),
        (["system_metadata", "extra"], {"extra"}, 2, 2),
        (["pci_devices", "metadata"], {"pci_devices"}, 0, 3),
    ],
)
def test_by_host_and_node(
    everything: Row,
    ctxt: RequestContext,
    sql_count: SqlCount,
    joins: list[str] | None,
    keys: set[str],
    system_metadata: int,
    statements: int,
) -> None:
    instance(host="host", node="other")
    row: Any
    with sql_count(statements):
        (row,) = instances.instance_get_all_by_host_and_node(ctxt, "host", "node", joins)
    assert row.keys() == INST | LISTS | keys
    assert len(row["system_metadata"]) == system_metadata
    if "extra" in keys:
        assert row["extra"]["instance_uuid"] == row["uuid"]
    if "pci_devices" in keys:
        assert len(row["pci_devices"]) == 2


def test_by_host_and_node_hands_over_whatever_its_helpers_return(
    backend: Backend, admin: RequestContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []

    def query(context: Any, **kwargs: Any) -> str:
        calls.append(kwargs["joins"])
        return "fetched"

    def fill(context: Any, fetched: Any, manual_joins: Any = None) -> str:
        calls.append((fetched, manual_joins))
        return "filled"

    monkeypatch.setattr(instances, "_instance_get_all_query", query)
    monkeypatch.setattr(instances, "_instances_fill_metadata", fill)
    joins = ["metadata", "system_metadata", "extra", "foo"]
    result: Any = instances.instance_get_all_by_host_and_node(admin, "h", "n", joins)
    assert result == "filled"
    assert calls == [["extra", "foo"], ("fetched", ["metadata", "system_metadata"])]


def test_a_host_that_is_none_means_no_host(backend: Backend, admin: RequestContext) -> None:
    row = instance()
    instance(host="h", node="n")
    assert [one["id"] for one in instances.instance_get_all_by_host(admin, None)] == [row["id"]]
    assert [one["id"] for one in instances.instance_get_all_by_host_and_node(admin, None, None)] == [row["id"]]
    with tx.reader(admin):
        assert instances._instance_get_all_uuids_by_host(admin, None) == [row["uuid"]]


def test_by_host_and_not_type(backend: Backend, admin: RequestContext, sql_count: SqlCount) -> None:
    one, two, none = (instance(host="h", instance_type_id=number) for number in (1, 2, None))
    instance(host="other", instance_type_id=1)

    def ids(*args: Any) -> list[int]:
        with sql_count(4):
            found = instances.instance_get_all_by_host_and_not_type(admin, "h", *args)
        assert all(row.keys() == INST | LISTS | {"info_cache", "security_groups"} for row in found)
        return [row["id"] for row in found]

    assert ids() == [one["id"], two["id"]]
    assert ids(1) == [two["id"]]
    assert ids(3) == [one["id"], two["id"]]
    assert none["id"] not in ids(None)


def test_by_grantee_security_groups(backend: Backend, admin: RequestContext, sql_count: SqlCount) -> None:
    rows = [instance({"k": "v"}) for _ in range(4)]
    sources = [group() for _ in range(3)]
    rules = [{"group_id": sources[0]["id"]}, {"group_id": sources[1]["id"]}]
    group(rows[2], rows[0], rules=rules)
    group(rows[0], rules=rules)
    deleted("security_groups", group(rows[3], rules=rules))
    dead = group(rows[3], rules=[{"group_id": sources[2]["id"]}])
    deleted("instances", rows[2])
    with tx.writer(admin) as transaction:
        table = tables.security_group_rules
        transaction.execute(table.update().where(table.c.parent_group_id == dead["id"]).values(deleted=table.c.id))
    with sql_count(4):
        found = instances.instance_get_all_by_grantee_security_groups(admin, [one["id"] for one in sources])
    assert [row["id"] for row in found] == [rows[0]["id"]]
    assert found[0].keys() == INST | LISTS | {"info_cache", "security_groups"}
    assert len(found[0]["security_groups"]) == 2
    assert len(found[0]["metadata"]) == 1
    with sql_count(1):
        assert instances.instance_get_all_by_grantee_security_groups(admin, [sources[2]["id"]]) == []
    only = get_admin_context(read_deleted="only")
    assert instances.instance_get_all_by_grantee_security_groups(only, [sources[0]["id"]]) == []
    with sql_count(0):
        assert instances.instance_get_all_by_grantee_security_groups(admin, []) == []
        assert instances.instance_get_all_by_grantee_security_groups(admin, ["x"]) == []  # type: ignore[list-item]  # on purpose


def test_hung_in_rebooting(
    backend: Backend, admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount
) -> None:
    long_ago = frozen_clock.now - 2 * HOUR
    hung = instance({"k": "v"}, task_state="rebooting", updated_at=long_ago)
    just = instance(task_state="rebooting", updated_at=frozen_clock.now - datetime.timedelta(seconds=10))
    instance(task_state="rebooting")
    instance(task_state="rebuilding", updated_at=long_ago)
    with sql_count(1):
        found = instances.instance_get_all_hung_in_rebooting(admin, 11)
    assert [row["id"] for row in found] == [hung["id"]]
    assert found[0].keys() == INST | LISTS
    assert found[0]["metadata"] == []
    assert [row["id"] for row in instances.instance_get_all_hung_in_rebooting(admin, 10)] == [hung["id"], just["id"]]


def test_floating_addresses(backend: Backend, admin: RequestContext, sql_count: SqlCount) -> None:
    row, other = instance(), instance()
    fixed = [insert("fixed_ips", address=f"10.0.0.{n}", instance_uuid=row["uuid"]) for n in (1, 2)]
    foreign = insert("fixed_ips", address="10.0.0.3", instance_uuid=other["uuid"])
    for number, one in enumerate([fixed[0], fixed[0], fixed[1], foreign]):
        insert("floating_ips", address=f"172.16.0.{number}", fixed_ip_id=one["id"])
    deleted("floating_ips", insert("floating_ips", address="172.16.0.9", fixed_ip_id=fixed[0]["id"]))
    deleted("fixed_ips", fixed[1])
    with sql_count(1):
        assert instances.instance_floating_address_get_all(admin, row["uuid"]) == ["172.16.0.0", "172.16.0.1"]
    only = get_admin_context(read_deleted="only")
    assert instances.instance_floating_address_get_all(only, row["uuid"]) == []
    assert instances.instance_floating_address_get_all(admin, NO_UUID) == []
    with pytest.raises(exceptions.InvalidUUID) as caught:
        instances.instance_floating_address_get_all(admin, "garbage")
    assert caught.value.kwargs["uuid"] == "garbage"


def test_the_callers_transaction_and_a_cell_make_no_difference(
    everything: Row, backend: Backend, admin: RequestContext
) -> None:
    """Joined calls see what the transaction has written; in a cell there is nothing of the main database."""

    def outcomes() -> list[Any]:
        calls: tuple[Callable[[], Any], ...] = (
            *_all_ways_with_joins(admin, everything),
            *_all_ways_with_joins(admin, everything, columns_to_join=["extra", "tags"]),
            lambda: instances.instance_get_all_by_host_and_not_type(admin, "host"),
            lambda: instances.instance_get_all_by_grantee_security_groups(admin, [1]),
            lambda: instances.instance_get_all_hung_in_rebooting(admin, 0),
        )
        found: list[Any] = []
        for call in calls:
            try:
                found.append(call())
            except exceptions.InstanceNotFound:
                found.append([])
        return found

    alone = outcomes()
    with tx.reader(admin):
        assert outcomes() == alone
    with pytest.raises(ZeroDivisionError), tx.writer(admin) as transaction:
        assert outcomes() == alone
        transaction.execute(tables.instances.update().values(display_name="new"))
        assert [rows[0]["display_name"] for rows in outcomes() if rows] == ["new"] * 18
        raise ZeroDivisionError
    assert outcomes() == alone
    with cell(*tables.metadata.tables) as elsewhere:
        admin.db_connection = elsewhere.db_connection
        assert outcomes() == [[]] * len(alone)
        admin.db_connection = None
    assert outcomes() == alone


# -- streams ----------------------------------------------------------------------------------------------------------


def test_a_stream_yields_the_list_chunk_by_chunk(backend: Backend, admin: RequestContext, sql_count: SqlCount) -> None:
    for number in range(7):
        insert("instance_extra", instance_uuid=instance({"k": str(number)})["uuid"], flavor="f")
    joins = ["metadata", "extra.flavor"]
    listed = instances.instance_get_all(admin, joins)
    with sql_count(0):
        stream = instances.instance_get_all_iter(admin, joins, chunk=3)
    with sql_count(2):
        start = [next(stream) for _ in range(3)]
    with sql_count(4):
        assert start + list(stream) == listed
    assert list(instances.instance_get_all_iter(admin, joins)) == listed
    assert list(instances.instance_get_all_iter(admin, joins, chunk="2")) == listed  # type: ignore[arg-type]  # on purpose
    assert not hasattr(admin, "transaction")


def test_a_stream_is_scoped_and_takes_filters(backend: Backend, ctxt: RequestContext) -> None:
    own = [instance(host="a"), instance(host="b"), instance(host="a")]
    instance(project_id="other", host="a")
    deleted("instances", own[2])

    def ids(**kwargs: Any) -> list[int]:
        return [row["id"] for row in instances.instance_get_all_iter(ctxt, [], chunk=1, **kwargs)]

    assert ids() == [own[0]["id"], own[1]["id"]]
    assert ids(filters={"host": "a"}) == [own[0]["id"], own[2]["id"]]
    assert ids(filters={"host": []}) == []


@pytest.mark.parametrize("chunk", [0, -1, "x"])
def test_a_stream_needs_a_chunk(backend: Backend, admin: RequestContext, chunk: Any) -> None:
    with pytest.raises(exceptions.InvalidInput):
        instances.instance_get_all_iter(admin, chunk=chunk)


def test_a_stream_goes_on_where_it_was_whatever_happens_meanwhile(backend: Backend, admin: RequestContext) -> None:
    rows = [instance() for _ in range(4)]
    seen = []
    for row in instances.instance_get_all_iter(admin, [], chunk=1):
        seen.append(row["id"])
        if row["id"] == rows[1]["id"]:
            deleted("instances", rows[0])
            deleted("instances", rows[2])
            rows.append(instance())
    assert seen == [rows[0]["id"], rows[1]["id"], rows[3]["id"], rows[4]["id"]]


# -- helpers that others use or replace -------------------------------------------------------------------------------


def test_the_getter_is_looked_up_at_each_call(
    backend: Backend, admin: RequestContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(instances, "_instance_get_by_uuid", lambda *args: args[1:])
    result: Any = instances.instance_get_by_uuid(admin, "some", ["x"])
    assert result == ("some", ["x"])


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (["system_metadata", "test"], (["system_metadata"], ["test"])),
        (["pci_devices", "metadata"], (["metadata", "pci_devices"], [])),
        (["a", "b"], ([], ["a", "b"])),
        ([], ([], [])),
    ],
)
def test_manual_join_columns(given: list[str], expected: tuple[list[str], list[str]]) -> None:
    before = list(given)
    assert instances._manual_join_columns(given) == expected
    assert given == before


@pytest.mark.parametrize("name", ["metadata", "system_metadata", "pcidevs"])
def test_multi_getters_need_nothing_for_nothing(backend: Backend, sql_count: SqlCount, name: str) -> None:
    with sql_count(0):
        assert getattr(instances, f"_instance_{name}_get_multi")(get_admin_context(), []) == []


def test_fill_metadata_returns_copies(everything: Row, admin: RequestContext, sql_count: SqlCount) -> None:
    with tx.reader(admin):
        with sql_count(0):
            assert instances._instances_fill_metadata(admin, [], manual_joins=None) == []
            (bare,) = instances._instances_fill_metadata(admin, [everything], manual_joins=[])
        assert bare == everything | {"metadata": [], "system_metadata": []}
        with sql_count(2):
            (full,) = instances._instances_fill_metadata(admin, [everything])
        assert [len(full[key]) for key in instance_rows.METADATA] == [2, 2]
        with sql_count(1):
            (devices,) = instances._instances_fill_metadata(admin, [everything], manual_joins=["pci_devices"])
        assert len(devices["pci_devices"]) == 1
        (named,) = instances._instances_fill_metadata(admin, [{"uuid": everything["uuid"]}])
        assert {key: full[key] for key in ("uuid", *instance_rows.METADATA)} == named
    assert "metadata" not in everything


def test_base_query(backend: Backend, ctxt: RequestContext) -> None:
    own, foreign = instance(host="h"), instance(host="h", project_id="other")
    with tx.reader(ctxt):
        found = instances._instance_get_all_query(ctxt, host="h")
        assert [row["id"] for row in found] == [own["id"], foreign["id"]]
        assert found[0].keys() >= {"info_cache", "security_groups"}
        (row,) = instances._instance_get_all_query(ctxt, project_only=True, joins=[])
        assert row["id"] == own["id"]
        assert "info_cache" not in row


@pytest.mark.parametrize(
    ("args", "expected"),
    [
        (("project", None), (3, 6, 1536)),
        (("project", "user"), (2, 4, 1024)),
        (("project", ""), (3, 6, 1536)),
        ((None, None), (1, 0, 0)),
        (("nobody", None), (0, 0, 0)),
    ],
)
def test_usage_of_project_and_user(
    backend: Backend, admin: RequestContext, sql_count: SqlCount, args: Any, expected: tuple[int, int, int]
) -> None:
    size: dict[str, Any] = {"vcpus": 2, "memory_mb": 512}
    for user in ("user", "user", "colleague"):
        instance(user_id=user, **size)
    deleted("instances", instance(**size))
    instance(project_id=None)
    with tx.reader(admin), sql_count(1):
        usage = counts._instance_data_get_for_user(admin, *args)
    assert usage == expected
    assert [type(number) for number in usage] == [int, int, int]


def test_uuids_by_host_are_live_ones(backend: Backend, sql_count: SqlCount) -> None:
    row = instance(host="h")
    deleted("instances", instance(host="h"))
    context = get_admin_context(read_deleted="yes")
    with tx.reader(context), sql_count(1):
        assert instances._instance_get_all_uuids_by_host(context, "h") == [row["uuid"]]


def test_readers_of_the_replica_may_be_joined_where_the_api_says_so(backend: Backend, admin: RequestContext) -> None:
    row = instance()
    with tx.reader(admin, replica=True):
        assert instances.instance_get_by_uuid(admin, row["uuid"])["id"] == row["id"]
        assert len(instances.instance_get_all_by_filters(admin, {})) == 1
        assert len(instances.instance_get_active_by_window_joined(admin, T0)) == 1
        assert instances.instance_get_all_by_host(admin, "h") == []
        with pytest.raises(TypeError):
            instances.instance_get(admin, row["id"])


def test_any_object_with_the_attributes_of_a_context_serves(backend: Backend) -> None:
    rows = [instance(created_at=T0 + n * HOUR) for n in range(2)]
    context = types.SimpleNamespace(user_id="user", project_id="project", is_admin=False, read_deleted="no")
    found = instances.instance_get_all_by_filters(context, {}, marker=rows[1]["uuid"])
    assert [row["id"] for row in found] == [rows[0]["id"]]
    assert context.is_admin is False
