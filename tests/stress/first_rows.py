# SPDX-License-Identifier: Apache-2.0

"""Calls that make the first row of a key, where no unique key says that there is only one, and some where one does.

Each takes a context and the number of a key; several of them may be made at once.
"""

from __future__ import annotations

import copy
import datetime
import uuid
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

from nova_sqlcore import exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.compute import (
    changes as instance_changes,
    extra,
    groups,
    info_caches,
    metadata as instance_metadata,
    tags as instance_tags,
)
from nova_sqlcore.queries.flavors import access
from nova_sqlcore.queries.hosts import aggregates, usage_caches
from nova_sqlcore.queries.network import networks
from nova_sqlcore.queries.quota import reservations
from nova_sqlcore.queries.security import groups as security_groups
from nova_sqlcore.queries.storage import block_devices
from nova_sqlcore.settings import settings
from tests.queries.flavor_factory import flavor
from tests.queries.instance_factory import insert, instance

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa

Row = dict[str, Any]

PERIOD = datetime.datetime(2016, 1, 1)
#: A group's number, and the first one of aggregates.
GROUP = 10**6


def key_of(number: int) -> str:
    """Return the uuid that stands for a key."""
    return str(uuid.UUID(int=number))


def bandwidth(context: Any, number: int) -> Any:
    return usage_caches.bw_usage_update(context, key_of(number), "mac", PERIOD, 1, 2, 3, 4)["id"]


def volume(context: Any, number: int) -> Any:
    return usage_caches.vol_usage_update(context, key_of(number), 1, 2, 3, 4, "i", "p", "u", "z")["id"]


def instance_extra(context: Any, number: int) -> Any:
    return extra.instance_extra_update_by_uuid(context, key_of(number), {"flavor": "f"})


def membership(context: Any, number: int) -> Any:
    return instance_changes.instance_add_security_group(context, key_of(number), GROUP)


def aggregate(context: Any, number: int) -> Any:
    try:
        return bool(aggregates.aggregate_create(context, {"name": key_of(number)}))
    except exceptions.AggregateNameExists:
        return False


def device(context: Any, number: int) -> Any:
    given = {"instance_uuid": key_of(number), "device_name": "a", "source_type": "blank", "destination_type": "local"}
    return block_devices.block_device_mapping_update_or_create(context, given, legacy=False)["id"]


def swap(context: Any, number: int) -> Any:
    given: Row = {"source_type": "blank", "destination_type": "local", "guest_format": "swap"}
    given |= {"instance_uuid": key_of(number), "device_name": None}
    return bool(block_devices.block_device_mapping_update_or_create(context, given, legacy=False))


def network(context: Any, number: int) -> Any:
    return networks.network_associate(context, f"p{number}")["id"]


def networks_of(context: Any, number: int) -> Any:
    return networks.project_get_networks(context, f"p{number}")[0]["id"]


def default_group(context: Any, number: int) -> Any:
    context = copy.copy(context)
    context.user_id, context.project_id = "u", f"p{number}"
    return default_group_without_project(context, number)


@tx.main.writer
def default_group_without_project(context: Any, number: int) -> Any:
    tx.current(context).rows(tables.certificates.select())  # it has begun, so that the group is made in it
    return security_groups.security_group_ensure_default(context)["id"]


def reservation(context: Any, number: int) -> Any:
    """Reserve one of the two that are left to the project."""
    names = ("security_groups", "fixed_ips")
    resources = {name: SimpleNamespace(sync=f"_sync_{name}") for name in names}
    project, user, deltas = dict.fromkeys(names, 2), dict.fromkeys(names, -1), dict.fromkeys(names, 1)
    whose = (f"p{number}", f"u{uuid.uuid4().int % 3}")
    try:
        return len(reservations.quota_reserve(context, resources, project, user, deltas, None, None, None, *whose))
    except exceptions.OverQuota:
        return 0


def host_name(context: Any, number: int) -> Any:
    settings.osapi_compute_unique_server_name_scope = "project"
    # somebody else writes it in capital letters
    name = key_of(10**30 + number)
    given = {"hostname": name.upper() if uuid.uuid4().int % 2 else name, "project_id": None}
    try:
        return bool(instance_changes.instance_create(context, given))
    except exceptions.InstanceExists:
        return False
    finally:
        settings.osapi_compute_unique_server_name_scope = ""


def host_name_of_another(context: Any, number: int) -> Any:
    settings.osapi_compute_unique_server_name_scope = "global"
    created = instance(project_id=f"p{uuid.uuid4()}")
    try:
        return bool(instance_changes.instance_update(context, created["uuid"], {"hostname": key_of(number)}))
    except exceptions.InstanceExists:
        return False
    finally:
        settings.osapi_compute_unique_server_name_scope = ""


def metadata(context: Any, number: int) -> Any:
    return instance_metadata.instance_metadata_update(context, key_of(number), {"a": "1", "b": "2"}, delete=False)


def system_metadata(context: Any, number: int) -> Any:
    return instance_metadata.instance_system_metadata_update(context, key_of(number), {"a": "1"}, delete=False)


def metadata_of_an_update(context: Any, number: int) -> Any:
    values = {"metadata": {"a": "1"}, "system_metadata": {"a": "1"}}
    if uuid.uuid4().int % 2:
        return bool(instance_changes.instance_update(context, key_of(number), values))
    return bool(instance_changes.instance_update_and_get_original(context, key_of(number), values))


def group_member(context: Any, number: int) -> Any:
    return groups.instance_group_members_add(context, key_of(number), ["m", "n"])


def info_cache(context: Any, number: int) -> Any:
    return info_caches.instance_info_cache_update(context, key_of(number), {"network_info": "[]"})["id"]


def tag(context: Any, number: int) -> Any:
    return instance_tags.instance_tag_set(context, key_of(number), ["a", "b"])


def flavor_access(context: Any, number: int) -> Any:
    try:
        return bool(access.flavor_access_add(context, str(number), "p"))
    except exceptions.FlavorAccessExists:
        return False


def aggregate_host(context: Any, number: int) -> Any:
    try:
        return bool(aggregates.aggregate_host_add(context, GROUP + number, "h"))
    except exceptions.AggregateHostExists:
        return False


#: Calls that tell who was first.
WON_BY_ONE = (aggregate, host_name, host_name_of_another, flavor_access, aggregate_host)
#: Calls that give nothing to tell rows by.
TELL_NOTHING = (instance_extra, membership, swap, metadata, system_metadata, metadata_of_an_update, group_member, tag)


class Case(NamedTuple):
    """A call with a number for its key, and the columns that no two live rows may share afterwards."""

    call: Callable[[Any, int], Any]
    table: sa.Table
    key: tuple[str, ...]
    #: False where soft-deleted rows count as well
    live_only: bool = True


CASES = [
    Case(bandwidth, tables.bw_usage_cache, ("uuid", "mac", "start_period"), live_only=False),
    Case(volume, tables.volume_usage_cache, ("volume_id",), live_only=False),
    Case(instance_extra, tables.instance_extra, ("instance_uuid",), live_only=False),
    Case(membership, tables.security_group_instance_association, ("instance_uuid", "security_group_id")),
    Case(aggregate, tables.aggregates, ("name",)),
    Case(device, tables.block_device_mapping, ("instance_uuid", "device_name")),
    Case(swap, tables.block_device_mapping, ("instance_uuid", "guest_format")),
    Case(network, tables.networks, ("project_id",)),
    Case(networks_of, tables.networks, ("project_id",)),
    Case(default_group, tables.security_groups, ("project_id", "name")),
    Case(default_group, tables.quota_usages, ("project_id", "user_id", "resource")),
    Case(default_group_without_project, tables.security_groups, ("project_id", "name")),
    Case(reservation, tables.quota_usages, ("project_id", "user_id", "resource")),
    Case(host_name, tables.instances, ("hostname",)),
    Case(host_name_of_another, tables.instances, ("hostname",)),
    # these have a unique key, or a parent whose row is locked
    Case(metadata, tables.instance_metadata, ("instance_uuid", "key")),
    Case(system_metadata, tables.instance_system_metadata, ("instance_uuid", "key")),
    Case(metadata_of_an_update, tables.instance_metadata, ("instance_uuid", "key")),
    Case(metadata_of_an_update, tables.instance_system_metadata, ("instance_uuid", "key")),
    Case(group_member, tables.instance_group_member, ("group_id", "instance_id")),
    Case(info_cache, tables.instance_info_caches, ("instance_uuid",)),
    Case(tag, tables.tags, ("resource_id", "tag"), live_only=False),
    Case(flavor_access, tables.instance_type_projects, ("instance_type_id", "project_id")),
    Case(aggregate_host, tables.aggregate_hosts, ("aggregate_id", "host")),
]


def ground(keys: int) -> None:
    """Make what the calls need: instances with ids of their own, a group, networks."""
    for number in range(keys):
        instance(uuid=key_of(number))
        insert("instance_groups", uuid=key_of(number), name="g")
        flavor(str(number))
        insert("aggregates", id=GROUP + number, name=f"of hosts {number}")
    for _ in range(2 * keys):
        insert("networks")
    insert("security_groups", id=GROUP, name="g", project_id="elsewhere")


def rows_by_key(case: Case) -> dict[tuple[Any, ...], list[Row]]:
    statement = case.table.select().where(case.table.c.deleted == 0) if case.live_only else case.table.select()
    found: dict[tuple[Any, ...], list[Row]] = {}
    with tx.reader(get_admin_context()) as transaction:
        for row in transaction.rows(statement):
            key = tuple(str(row[name]).lower() for name in case.key)
            if key != ("none",):  # a network without project, an instance without host name
                found.setdefault(key, []).append(row)
    return found


def assert_single(case: Case) -> None:
    found = rows_by_key(case)
    assert found
    assert {key: len(rows) for key, rows in found.items()} == dict.fromkeys(found, 1)
