# SPDX-License-Identifier: Apache-2.0

"""The kinds of functions that claim, count or merge: what eight processes do at once, and what must hold afterwards."""

from __future__ import annotations

import collections
import datetime
import functools
import uuid
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from nova_sqlcore import api, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.maintenance import archive
from tests.queries.instance_factory import insert, instance
from tests.queries.processes import COUNT
from tests.stress import first_rows
from tests.stress.first_rows import GROUP, PERIOD, key_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa

#: What each process was answered, by key.
Answers = list[list[Any]]


class Kind(NamedTuple):
    """Something that processes do at once for the same keys."""

    name: str
    #: those of the library's functions that are called
    functions: str
    #: takes a context and the number of a key; runs in the processes
    call: Callable[[Any, int], Any]
    #: makes what is needed for so many keys
    ground: Callable[[int], Any]
    #: returns how many calls have got what only some can get, or None where all do; fails if anything is wrong
    check: Callable[[Answers], int | None]


def rows_of(table: sa.Table) -> list[dict[str, Any]]:
    """Return all rows of a table."""
    with tx.reader(get_admin_context()) as transaction:
        return transaction.rows(table.select())


def one_each(answers: Answers) -> int:
    """Of all who try it for a key one succeeds."""
    assert [sum(map(bool, found)) for found in answers] == [1] * len(answers)
    return len(answers)


# -- first rows -------------------------------------------------------------------------------------------------------


def _check_first_rows(call: Callable[[Any, int], Any], answers: Answers) -> int | None:
    for case in first_rows.CASES:
        if case.call is call:
            first_rows.assert_single(case)
    if call in first_rows.WON_BY_ONE:
        return one_each(answers)
    if call is first_rows.reservation:
        assert [sum(found) for found in answers] == [2 * 2] * len(answers)  # two of each resource
        return 2 * len(answers)
    if call not in first_rows.TELL_NOTHING:
        assert [len(set(found)) for found in answers] == [1] * len(answers)
    return None


_FIRST_ROWS: dict[Callable[[Any, int], Any], tuple[str, str]] = {
    first_rows.bandwidth: ("bandwidth usage", "bw_usage_update"),
    first_rows.volume: ("volume usage", "vol_usage_update"),
    first_rows.instance_extra: ("instance extra", "instance_extra_update_by_uuid"),
    first_rows.membership: ("group membership", "instance_add_security_group"),
    first_rows.aggregate: ("aggregate name", "aggregate_create"),
    first_rows.device: ("block device", "block_device_mapping_update_or_create"),
    first_rows.swap: ("swap device", "block_device_mapping_update_or_create"),
    first_rows.network: ("network of a project", "network_associate"),
    first_rows.networks_of: ("first network of a project", "project_get_networks"),
    first_rows.default_group: ("default group", "security_group_ensure_default"),
    first_rows.default_group_without_project: ("default group, no project", "security_group_ensure_default"),
    first_rows.reservation: ("last of a quota", "quota_reserve"),
    first_rows.host_name: ("host name, created", "instance_create"),
    first_rows.host_name_of_another: ("host name, renamed", "instance_update"),
    first_rows.metadata: ("metadata", "instance_metadata_update"),
    first_rows.system_metadata: ("system metadata", "instance_system_metadata_update"),
    first_rows.metadata_of_an_update: ("metadata of an update", "instance_update, ..._and_get_original"),
    first_rows.group_member: ("group member", "instance_group_members_add"),
    first_rows.info_cache: ("info cache", "instance_info_cache_update"),
    first_rows.tag: ("tags", "instance_tag_set"),
    first_rows.flavor_access: ("flavor access", "flavor_access_add"),
    first_rows.aggregate_host: ("host of an aggregate", "aggregate_host_add"),
}


# -- unique keys and numbers ------------------------------------------------------------------------------------------


def _first(taken: type[Exception], call: Callable[..., Any], *args: Any, **kwargs: Any) -> bool:
    try:
        call(*args, **kwargs)
    except taken:
        return False
    return True


def ec2_number(context: Any, number: int) -> bool:
    return _first(exceptions.DBDuplicateEntry, api.ec2_volume_create, context, str(uuid.uuid4()), id=number + 1)


def task(context: Any, number: int) -> bool:
    key = ("audit", PERIOD, PERIOD + datetime.timedelta(hours=1), f"host {number}")
    return _first(exceptions.TaskAlreadyRunning, api.task_log_begin_task, context, *key, message="m")


def service(context: Any, number: int) -> bool:
    values = {"host": f"host {number}", "binary": "nova-compute", "topic": "compute"}
    return _first(exceptions.ServiceBinaryExists, api.service_create, context, values)


def key_pair(context: Any, number: int) -> bool:
    return _first(exceptions.KeyPairExists, api.key_pair_create, context, {"user_id": "u", "name": f"key {number}"})


def quota_limit(context: Any, number: int) -> bool:
    return _first(exceptions.QuotaExists, api.quota_create, context, f"p{number}", "cores", 5)


def interface(context: Any, number: int) -> bool:
    values = {"address": f"address {number}", "uuid": str(uuid.uuid4())}
    return _first(exceptions.VirtualInterfaceCreateException, api.virtual_interface_create, context, values)


def dns_domain(context: Any, number: int) -> None:
    api.dnsdomain_register_for_project(context, f"domain{number}", f"p{uuid.uuid4().int % 9}")


def _check_dns_domains(answers: Answers) -> None:
    assert len(rows_of(tables.dns_domains)) == len(answers)


def extra_specs(context: Any, number: int) -> None:
    api.flavor_extra_specs_update_or_create(context, f"{number}", {"a": f"{uuid.uuid4()}", "b": "2"})


def _check_extra_specs(answers: Answers) -> None:
    assert len(rows_of(tables.instance_type_extra_specs)) == 2 * len(answers)


def aggregate_metadata(context: Any, number: int) -> None:
    api.aggregate_metadata_add(context, GROUP + number, {"a": f"{uuid.uuid4()}", "b": "2"})


def _check_aggregate_metadata(answers: Answers) -> None:
    assert len(rows_of(tables.aggregate_metadata)) == 2 * len(answers)


def pci_device(context: Any, number: int) -> None:
    values = {"product_id": "p", "vendor_id": "v", "dev_type": "t", "label": "l", "status": "available"}
    api.pci_device_update(context, 1, f"address {number}", values | {"dev_id": f"{number}"})


def _node(keys: int) -> None:
    numbers = ("vcpus", "memory_mb", "local_gb", "vcpus_used", "memory_mb_used", "local_gb_used", "hypervisor_version")
    insert("compute_nodes", id=1, **dict.fromkeys(numbers, 1), hypervisor_type="h", cpu_info="{}")


def _check_pci_devices(answers: Answers) -> None:
    assert len(rows_of(tables.pci_devices)) == len(answers)


# -- compare-and-swap, counters, pools --------------------------------------------------------------------------------


def swap_state(context: Any, number: int) -> bool:
    """Move an instance from no task to one of the caller's own."""
    values = {"task_state": f"{uuid.uuid4()}", "expected_task_state": None}
    return _first(exceptions.UnexpectedTaskStateError, api.instance_update, context, key_of(number), values)


def volume_totals(context: Any, number: int) -> None:
    api.vol_usage_update(context, key_of(number), 1, 20, 3, 40, "i", "p", "u", "z", update_totals=True)


def _check_volume_totals(answers: Answers) -> None:
    found = rows_of(tables.volume_usage_cache)
    assert [row["tot_reads"] for row in found] == [COUNT] * len(answers)
    assert [row["tot_write_bytes"] for row in found] == [40 * COUNT] * len(answers)


def quota_loop(context: Any, number: int) -> tuple[int, int]:
    """Reserve one of three, for one of three users, and use it or give it back."""
    resources = {"security_groups": SimpleNamespace(sync="_sync_security_groups")}
    limits, deltas = {"security_groups": 3}, {"security_groups": 1}
    whose = (f"p{number}", f"u{uuid.uuid4().int % 3}")
    try:
        found = api.quota_reserve(context, resources, limits, {"security_groups": -1}, deltas, None, None, None, *whose)
    except exceptions.OverQuota:
        return 0, 0
    if uuid.uuid4().int % 3:
        api.reservation_rollback(context, found, *whose)
        return 1, 0
    api.reservation_commit(context, found, *whose)
    return 1, 1


def _check_quota_loop(answers: Answers) -> int:
    used: collections.Counter[str] = collections.Counter()
    for row in rows_of(tables.quota_usages):
        used[row["project_id"]] += row["in_use"]
        assert row["reserved"] == 0
    assert [used[f"p{number}"] for number in range(len(answers))] == [sum(one[1] for one in some) for some in answers]
    assert max(used.values()) <= 3
    return sum(reserved for some in answers for reserved, _ in some)


def commit_once(context: Any, number: int) -> None:
    api.reservation_commit(context, [key_of(number)], f"p{number}", "u")


def expire_once(context: Any, number: int) -> None:
    api.reservation_expire(context)


def _reserved(keys: int, expire: datetime.datetime) -> None:
    for number in range(keys):
        whose = {"project_id": f"p{number}", "user_id": "u", "resource": "cores"}
        usage = insert("quota_usages", **whose, in_use=0, reserved=1)
        insert("reservations", **whose, uuid=key_of(number), usage_id=usage["id"], delta=1, expire=expire)


def _check_reserved(used: int, answers: Answers) -> None:
    found = [(row["in_use"], row["reserved"]) for row in rows_of(tables.quota_usages)]
    assert found == [(used, 0)] * len(answers)


def fixed_ip(context: Any, number: int) -> str | None:
    try:
        return api.fixed_ip_associate_pool(context, 1, host="h")["address"]
    except exceptions.NoMoreFixedIps:
        return None


def floating_ip(context: Any, number: int) -> str | None:
    try:
        return api.floating_ip_allocate_address(context, "p", "pool")
    except exceptions.NoMoreFloatingIps:
        return None


def _addresses(keys: int) -> list[str]:
    """Return half as many addresses as are asked for."""
    return [f"10.0.{number >> 8}.{number & 255}" for number in range(keys * COUNT // 2)]


def _fill_fixed(keys: int) -> None:
    rows = [{"address": address, "network_id": 1} for address in _addresses(keys)]
    api.fixed_ip_bulk_create(get_admin_context(), rows)


def _fill_floating(keys: int) -> None:
    rows = [{"address": address, "pool": "pool"} for address in _addresses(keys)]
    api.floating_ip_bulk_create(get_admin_context(), rows)


def _check_pool(answers: Answers) -> int:
    taken = [address for some in answers for address in some if address is not None]
    assert sorted(taken) == sorted(_addresses(len(answers)))
    return len(taken)


def archived(context: Any, number: int) -> int:
    return sum(archive.archive_deleted_rows(max_rows=2).values())


def _fill_archive(keys: int) -> None:
    for number in range(1, 2 * keys + 1):
        instance(id=number, uuid=key_of(number), deleted=number)
        insert("instance_faults", instance_uuid=key_of(number), code=500, deleted=number)


def _check_archive(answers: Answers) -> int:
    moved = sum(map(sum, answers))
    assert moved + sum(archive.archive_deleted_rows().values()) == 4 * len(answers)
    assert rows_of(tables.instances) == rows_of(tables.instance_faults) == []
    for name in ("instances", "instance_faults"):
        assert len(rows_of(tables.metadata.tables[f"shadow_{name}"])) == 2 * len(answers)
    return moved


def _nothing(keys: int) -> None:
    pass


def _settled(how: str, function: str, call: Callable[[Any, int], Any], expire: datetime.datetime, used: int) -> Kind:
    """Return the kind of reservations that all try to settle, and one does."""
    ground = functools.partial(_reserved, expire=expire)
    return Kind(f"reservation, {how} once", function, call, ground, functools.partial(_check_reserved, used))


_FAR, _LONG_AGO = datetime.datetime(2099, 1, 1), datetime.datetime(2016, 1, 1)
_OTHERS = [
    Kind("compare-and-swap", "instance_update", swap_state, first_rows.ground, one_each),
    Kind("limits of quotas", "quota_reserve, reservation_commit", quota_loop, _nothing, _check_quota_loop),
    _settled("committed", "reservation_commit", commit_once, _FAR, used=1),
    _settled("expired", "reservation_expire", expire_once, _LONG_AGO, used=0),
    Kind("fixed IPs", "fixed_ip_associate_pool", fixed_ip, _fill_fixed, _check_pool),
    Kind("floating IPs", "floating_ip_allocate_address", floating_ip, _fill_floating, _check_pool),
    Kind("volume totals", "vol_usage_update", volume_totals, _nothing, _check_volume_totals),
    Kind("EC2 numbers", "ec2_volume_create", ec2_number, _nothing, one_each),
    Kind("task log", "task_log_begin_task", task, _nothing, one_each),
    Kind("service", "service_create", service, _nothing, one_each),
    Kind("key pair", "key_pair_create", key_pair, _nothing, one_each),
    Kind("quota limit", "quota_create", quota_limit, _nothing, one_each),
    Kind("virtual interface", "virtual_interface_create", interface, _nothing, one_each),
    Kind("DNS domain", "dnsdomain_register_for_project", dns_domain, _nothing, _check_dns_domains),
    Kind("extra specs", "flavor_extra_specs_update_or_create", extra_specs, first_rows.ground, _check_extra_specs),
    Kind(
        "metadata of an aggregate",
        "aggregate_metadata_add",
        aggregate_metadata,
        first_rows.ground,
        _check_aggregate_metadata,
    ),
    Kind("PCI device", "pci_device_update", pci_device, _node, _check_pci_devices),
    Kind("archive", "archive_deleted_rows", archived, _fill_archive, _check_archive),
]

KINDS = [
    *(
        Kind(name, functions, call, first_rows.ground, functools.partial(_check_first_rows, call))
        for call, (name, functions) in _FIRST_ROWS.items()
    ),
    *_OTHERS,
]
