# SPDX-License-Identifier: Apache-2.0

"""The hot calls of a busy cloud, and by which columns each is meant to find its rows."""

from __future__ import annotations

import dataclasses
import functools
from typing import TYPE_CHECKING, Any, Final

from nova_sqlcore import RequestContext, api, get_admin_context, tables
from nova_sqlcore.queries.compute import instances
from nova_sqlcore.queries.maintenance import archive
from tests.plans.cloud import END, PROJECTS, identifier, instance_uuid, moment

if TYPE_CHECKING:
    from collections.abc import Callable

ADMIN: Final = get_admin_context()
NUMBER: Final = 3042
UUID: Final = instance_uuid(NUMBER)
#: Ten hosts' worth of a page.
UUIDS: Final = [instance_uuid(number) for number in range(3_000, 3_100)]
#: Others, to be changed for good.
DOOMED, ANOTHER = instance_uuid(3_999), instance_uuid(3_998)
#: In the middle of the list of the project, and of all instances.
MARKER: Final = instance_uuid(NUMBER + 13 * PROJECTS * 8)
HOST: Final = "compute-42"
PROJECT: Final = "project-234"
USER: Final = RequestContext("user-234", PROJECT)
VOLUME: Final = identifier("22222222", NUMBER)
GROUP: Final = 235
LIVE: Final = {"deleted": False}
FIXED, FLOATING, FREE_FLOATING = "10.0.1.7", "172.0.0.8", "172.0.0.3"
REQUEST: Final = {"instance_uuid": UUID, "request_id": f"req-{2 * NUMBER}"}
LEASE: Final = 3600
TASK: Final = ("instance_usage_audit", moment(500), moment(500))
CARD: Final = "fa:16:000000000042"


@dataclasses.dataclass(frozen=True)
class Hot:
    """A call whose statements are hot."""

    function: Callable[..., Any]
    args: tuple[Any, ...]
    #: by table, the columns that the index begins with; alternatives stand after "|"
    by: dict[str, str]
    #: the most rows that may be sorted, or read in a statement without LIMIT
    most: int = 1_000

    @property
    def name(self) -> str:
        """Return what the call is called in a report."""
        told = [arg for arg in self.args if not isinstance(arg, RequestContext)]
        return f"{getattr(self.function, '__name__', 'call')}{tuple(told)}"[:100]

    def up_to(self, rows: int) -> Hot:
        """Return the same call, which may sort or read so many rows."""
        return dataclasses.replace(self, most=rows)


def hot(function: Callable[..., Any], *args: Any, **by: str) -> Hot:
    """Describe a call."""
    return Hot(function, args, by)


def archive_instances(count: int) -> None:
    """Archive so many instances with all that hangs on them; those behind this one hold no fixed IP."""
    wanted = archive._Wanted(batch=10_000, roots=count, left=None, first=True, live_children=False)
    archive._archive_batch(ADMIN, archive._Which(tables.instances), wanted, behind=80_000)


#: Children that are found by their instance, or, to be changed, by the ids that it led to.
_CHILDREN: Final = {
    "instance_metadata": "instance_uuid|id",
    "instance_system_metadata": "instance_uuid|id",
    "instance_info_caches": "instance_uuid|id",
    "instance_extra": "instance_uuid",
    "security_group_instance_association": "instance_uuid",
    "block_device_mapping": "instance_uuid",
    "pci_devices": "instance_uuid",
    "tags": "resource_id",
    "services": "host",
}
_JOINS: Final = ["metadata", "system_metadata", "extra.flavor", "pci_devices", "tags", "services"]

#: On sqlite ids are sorted, and the rows found by them; the MySQL family finds children by them.
_OF_PROJECT: Final = {"instances": "project_id deleted|uuid|id", **_CHILDREN}

INSTANCES: Final = [
    hot(api.instance_get_by_uuid, USER, UUID, instances="uuid", **_CHILDREN),
    hot(api.instance_get_by_uuid, ADMIN, UUID, [*_JOINS, "block_device_mapping"], instances="uuid", **_CHILDREN),
    hot(api.instance_get, USER, NUMBER + 1, instances="id", **_CHILDREN),
    hot(api.instance_get_all_by_host, ADMIN, HOST, instances="host|id", **_CHILDREN),
    hot(api.instance_get_all_by_host_and_node, ADMIN, HOST, HOST, instances="host|id", **_CHILDREN),
    hot(api.instance_get_all_by_host_and_not_type, ADMIN, HOST, 3, instances="host|id", **_CHILDREN),
    hot(instances._instance_get_all_uuids_by_host, ADMIN, HOST, instances="host"),
    hot(api.instance_get_all_by_filters_sort, USER, LIVE, **_OF_PROJECT),
    hot(api.instance_get_all_by_filters_sort, USER, LIVE, 20, **_OF_PROJECT),
    hot(
        api.instance_get_all_by_filters_sort,
        *(USER, LIVE, 20, MARKER, ["extra", "info_cache"]),
        **_OF_PROJECT | {"instances": "project_id deleted|deleted created_at|uuid|id"},  # hardly any has no age
    ),
    hot(
        api.instance_get_all_by_filters_sort,
        *(USER, LIVE | {"display_name": "server"}, 20, MARKER, None, ["display_name"], ["asc"]),
        **_OF_PROJECT,
    ),
    hot(api.instance_get_all_by_filters, USER, {"deleted": True}, instances="project_id|id", **_CHILDREN),
    hot(api.instance_get_all_by_filters, USER, LIVE | {"metadata": {"key-1": "value-1"}}, **_OF_PROJECT),
    hot(api.instance_get_all_by_filters, USER, LIVE | {"tags": ["tag-1", "tag-2"]}, instances="project_id|uuid|id"),
    hot(api.instance_get_all_by_filters, USER, {"changes-since": moment(3)}, instances="project_id|updated_at|id"),
    hot(api.instance_get_all_by_filters, ADMIN, {"changes-since": moment(3)}, instances="updated_at|id"),
    hot(
        api.instance_get_all_by_filters,
        *(ADMIN, {"changes-since": moment(3)}, "updated_at", "asc"),
        instances="updated_at|id",
    ),
    hot(api.instance_get_all_by_filters, ADMIN, LIVE, "created_at", "desc", 100, instances="deleted created_at|id"),
    hot(
        api.instance_get_all_by_filters,
        *(ADMIN, LIVE, "created_at", "desc", 100, MARKER),
        instances="deleted created_at|uuid|id",
    ),
    hot(api.instance_get_all_by_filters, ADMIN, LIVE | {"uuid": UUIDS}, instances="uuid|id"),
    hot(
        api.instance_get_all_by_filters,
        *(ADMIN, {"deleted": True, "soft_deleted": False, "host": HOST, "cleaned": False}),
        instances="host|id",
    ),
    hot(api.instance_get_all_hung_in_rebooting, ADMIN, LEASE, instances="task_state|updated_at"),
    hot(api.instance_get_active_by_window_joined, ADMIN, moment(24), END, None, HOST, instances="host|id"),
    hot(api.instance_get_active_by_window_joined, ADMIN, moment(24), END, PROJECT, instances="project_id|id"),
    hot(api.instance_get_all_by_grantee_security_groups, ADMIN, [5, 6], security_group_rules="group_id"),
    hot(api.instance_update, ADMIN, UUID, {"task_state": "rebooting"}, instances="uuid|id"),
    hot(
        api.instance_update_and_get_original,
        *(ADMIN, UUID, {"task_state": None, "metadata": {"key": "value"}, "expected_task_state": "rebooting"}),
        instances="uuid|id",
        **_CHILDREN,
    ),
    hot(api.instance_destroy, ADMIN, DOOMED, instances="uuid|id", **_CHILDREN),
    hot(functools.partial(archive._archive_deleted_rows_for_table, "instance_system_metadata"), 100),
    hot(functools.partial(archive._archive_deleted_rows_for_table, "reservations"), 100),
    hot(functools.partial(archive._archive_deleted_rows_for_table, "instances"), 100),
    hot(archive_instances, 50, **_CHILDREN),
]

_ACTIONS: Final = {"instance_actions": "instance_uuid|request_id|id", "instance_actions_events": "action_id|id"}

OF_INSTANCES: Final = [
    hot(api.instance_metadata_get, USER, UUID, **_CHILDREN),
    hot(api.instance_metadata_update, USER, UUID, {"x": "1"}, False, instances="uuid", **_CHILDREN),
    hot(api.instance_metadata_delete, USER, UUID, "x", **_CHILDREN),
    hot(api.instance_system_metadata_get, ADMIN, UUID, **_CHILDREN),
    hot(api.instance_system_metadata_update, ADMIN, UUID, {"x": "1"}, False, instances="uuid", **_CHILDREN),
    hot(api.instance_tag_get_by_instance_uuid, ADMIN, UUID, instances="uuid", **_CHILDREN),
    hot(api.instance_tag_set, ADMIN, UUID, ["tag-1"], instances="uuid", **_CHILDREN),
    hot(api.instance_info_cache_get, ADMIN, UUID, **_CHILDREN),
    hot(api.instance_info_cache_update, ADMIN, UUID, {"network_info": "[1]"}, **_CHILDREN),
    hot(api.instance_extra_get_by_instance_uuid, ADMIN, UUID, **_CHILDREN),
    hot(api.instance_extra_update_by_uuid, ADMIN, UUID, {"flavor": "{1}"}, **_CHILDREN),
    hot(api.instance_fault_get_by_instance_uuids, ADMIN, UUIDS, instance_faults="instance_uuid"),
    hot(
        functools.partial(api.instance_fault_get_by_instance_uuids, latest=True),
        *(ADMIN, UUIDS),
        instance_faults="instance_uuid",
    ),
    hot(api.actions_get, ADMIN, UUID, **_ACTIONS),
    hot(api.action_get_by_request_id, ADMIN, UUID, REQUEST["request_id"], **_ACTIONS),
    hot(api.action_events_get, ADMIN, 77, **_ACTIONS),
    hot(api.action_event_start, USER, {**REQUEST, "event": "e", "start_time": END}, **_ACTIONS),
    hot(api.action_event_finish, USER, {**REQUEST, "event": "e", "finish_time": END, "result": "Success"}, **_ACTIONS),
    hot(api.action_finish, USER, {**REQUEST, "finish_time": END}, **_ACTIONS),
    hot(api.block_device_mapping_get_all_by_instance, ADMIN, UUID, **_CHILDREN),
    hot(api.block_device_mapping_get_all_by_instance_uuids, ADMIN, UUIDS, **_CHILDREN),
    hot(api.block_device_mapping_get_all_by_volume_id, ADMIN, VOLUME, block_device_mapping="volume_id"),
    hot(
        api.block_device_mapping_get_by_instance_and_volume_id,
        *(ADMIN, VOLUME, UUID),
        block_device_mapping="instance_uuid|volume_id",
    ),
    hot(
        api.block_device_mapping_update_or_create,
        *(ADMIN, {"instance_uuid": UUID, "device_name": "/dev/vda", "source_type": "image"}),
        block_device_mapping="instance_uuid|id",
    ),
    hot(
        api.block_device_mapping_destroy_by_instance_and_volume,
        *(ADMIN, UUID, VOLUME),
        block_device_mapping="instance_uuid|volume_id",
    ),
    hot(api.virtual_interface_get_by_address, USER, CARD, virtual_interfaces="address"),
    hot(api.virtual_interface_get_by_uuid, USER, identifier("33333333", 42), virtual_interfaces="uuid"),
    hot(api.virtual_interface_get_by_instance, USER, UUID, virtual_interfaces="instance_uuid"),
    hot(api.virtual_interface_delete_by_instance, USER, ANOTHER, virtual_interfaces="instance_uuid"),
    hot(api.bw_usage_get, ADMIN, UUID, moment(20), CARD, bw_usage_cache="uuid"),
    hot(api.bw_usage_get_by_uuids, ADMIN, UUIDS, moment(20), bw_usage_cache="uuid"),
    hot(api.bw_usage_update, ADMIN, UUID, CARD, moment(20), 1, 2, 3, 4, bw_usage_cache="uuid|id", instances="uuid"),
    hot(api.vol_usage_update, ADMIN, VOLUME, 1, 2, 3, 4, UUID, PROJECT, "u", "z", volume_usage_cache="volume_id|id"),
    hot(api.ec2_instance_get_by_uuid, ADMIN, UUID, instance_id_mappings="uuid"),
    hot(api.instance_group_get, USER, identifier("55555555", 234), instance_groups="uuid", **_CHILDREN),
    hot(api.instance_group_get_by_instance, ADMIN, UUID, instance_group_member="instance_id|group_id"),
]

_NODES: Final = {"resource_providers": "uuid", "inventories": "resource_provider_id"}
_MIGRATIONS_OF_HOST: Final = "source_compute|dest_compute|deleted source_compute"
_MIGRATIONS_OF_INSTANCE: Final = "instance_uuid|deleted instance_uuid"

HOSTS: Final = [
    hot(api.service_update, ADMIN, 42, {"report_count": 10**6}, services="id"),
    hot(api.service_get_by_compute_host, ADMIN, HOST, services="host"),
    hot(api.service_get_by_host_and_binary, ADMIN, HOST, "nova-compute", services="host"),
    hot(api.service_get_by_host_and_topic, ADMIN, HOST, "compute", services="host"),
    hot(api.service_get_all_by_host, ADMIN, HOST, services="host"),
    hot(api.service_get_all_by_topic, ADMIN, "conductor", services="topic"),
    hot(api.service_get_all_by_binary, ADMIN, "nova-conductor", services="binary"),
    hot(api.compute_node_get_by_host_and_nodename, ADMIN, HOST, HOST, compute_nodes="host", **_NODES),
    hot(api.compute_node_get_all_by_host, ADMIN, HOST, compute_nodes="host", **_NODES),
    hot(api.compute_nodes_get_by_service_id, ADMIN, 42, compute_nodes="service_id", **_NODES),
    hot(api.compute_node_get, ADMIN, 42, compute_nodes="id", **_NODES),
    hot(api.compute_node_update, ADMIN, 42, {"free_ram_mb": 1}, compute_nodes="id"),
    hot(api.pci_device_get_all_by_node, ADMIN, 42, pci_devices="compute_node_id"),
    hot(api.pci_device_get_by_addr, ADMIN, 43, "0000:3", pci_devices="compute_node_id"),
    hot(api.pci_device_get_all_by_instance_uuid, ADMIN, UUID, pci_devices="instance_uuid"),
    hot(api.aggregate_get_by_host, ADMIN, HOST, "key-3", aggregate_hosts="host|aggregate_id"),
    hot(api.aggregate_get_by_metadata_key, ADMIN, "key-3", aggregate_metadata="key|aggregate_id"),
    hot(api.aggregate_metadata_get_by_host, ADMIN, HOST, "key-3", aggregate_hosts="host|aggregate_id"),
    hot(api.task_log_get, ADMIN, *TASK, HOST, task_log="task_name|host|period_beginning|period_ending"),
    hot(api.task_log_get_all, ADMIN, *TASK, task_log="task_name|period_beginning|period_ending"),
    hot(
        api.migration_get_in_progress_by_host_and_node,
        *(ADMIN, HOST, HOST),
        migrations=_MIGRATIONS_OF_HOST,
        instances="uuid",
        **_CHILDREN,
    ),
    hot(
        api.migration_get_all_by_filters,
        *(ADMIN, {"host": HOST, "status": ["running", "queued"]}),
        migrations=_MIGRATIONS_OF_HOST,
    ),
    hot(api.migration_get_in_progress_by_instance, ADMIN, UUID, migrations=_MIGRATIONS_OF_INSTANCE),
    hot(api.migration_get_by_instance_and_status, ADMIN, UUID, "confirmed", migrations="instance_uuid"),
    hot(
        api.migration_get_unconfirmed_by_dest_compute,
        *(ADMIN, 60, HOST),
        migrations="dest_compute status updated_at",
    ),
    hot(api.migration_update, ADMIN, 42, {"memory_total": 1}, migrations="id"),
]


class _Resource:
    """A resource whose use is counted by the function of its name."""

    def __init__(self, name: str) -> None:
        self.sync = f"_sync_{name}"


_COUNTED: Final = ("instances", "fixed_ips", "floating_ips", "security_groups", "server_groups")


def reserve_and_settle(context: RequestContext) -> None:
    """Reserve some of every resource, which counts what is there, then commit, roll back, and let others expire."""
    resources = {name: _Resource(name) for name in _COUNTED}
    unlimited, deltas = dict.fromkeys(_COUNTED, -1), dict.fromkeys(_COUNTED, 1)
    for settle in (api.reservation_commit, api.reservation_rollback):
        made = api.quota_reserve(context, resources, unlimited, unlimited, deltas, END, None, 1)
        settle(context, made, PROJECT, context.user_id)
    api.reservation_expire(context)


QUOTAS: Final = [
    hot(
        reserve_and_settle,
        USER,
        quota_usages="project_id|id",
        reservations="uuid|deleted expire|id",
        instances="project_id",
        fixed_ips="instance_uuid",
        floating_ips="project_id",
    ),
    hot(api.quota_usage_get_all_by_project, USER, PROJECT, quota_usages="project_id"),
    hot(api.quota_usage_get_all_by_project_and_user, USER, PROJECT, "user-2341", quota_usages="project_id|user_id"),
    hot(api.quota_usage_get, USER, PROJECT, "resource-1", "user-2341", quota_usages="project_id|user_id"),
    hot(api.quota_get_all_by_project, USER, PROJECT, quotas="project_id"),
    hot(api.quota_get_all_by_project_and_user, USER, PROJECT, "user-2341", project_user_quotas="user_id|project_id"),
]

_BY_ADDRESS: Final = {"fixed_ips": "address|id|instance_uuid", "floating_ips": "address|id|fixed_ip_id"}
_ALL_OF_IT: Final = ["network", "instance", "virtual_interface", "floating_ips"]

NETWORKS: Final = [
    hot(api.fixed_ip_get_by_address, ADMIN, FIXED, **_BY_ADDRESS),
    hot(api.fixed_ip_get_by_address, USER, "10.0.0.0", _ALL_OF_IT, instances="uuid", **_BY_ADDRESS),
    hot(api.fixed_ip_get_by_instance, ADMIN, UUID, fixed_ips="instance_uuid", floating_ips="fixed_ip_id"),
    hot(api.fixed_ip_get_by_host, ADMIN, HOST, fixed_ips="instance_uuid", instances="host"),
    hot(api.fixed_ips_by_virtual_interface, ADMIN, NUMBER, fixed_ips="virtual_interface_id"),
    hot(api.fixed_ip_get_by_floating_address, ADMIN, FLOATING, **_BY_ADDRESS),
    hot(api.fixed_ip_associate, ADMIN, "10.0.16.0", UUID, 2, **_BY_ADDRESS),
    hot(
        api.fixed_ip_associate_pool,
        *(ADMIN, 3, UUID),
        fixed_ips="network_id deleted reserved leased instance_uuid host|network_id|instance_uuid|id",
    ),
    hot(api.fixed_ip_update, ADMIN, FIXED, {"leased": True}, **_BY_ADDRESS),
    hot(api.fixed_ip_disassociate, ADMIN, FIXED, **_BY_ADDRESS),
    hot(api.fixed_ip_disassociate_all_by_timeout, ADMIN, HOST, moment(2), instances="uuid|host").up_to(70_000),
    hot(api.network_count_reserved_ips, ADMIN, 3, fixed_ips="network_id").up_to(5_000),
    hot(api.floating_ip_get_by_address, ADMIN, FLOATING, **_BY_ADDRESS),
    hot(api.floating_ip_get_all_by_project, USER, PROJECT, floating_ips="project_id", fixed_ips="id"),
    hot(api.floating_ip_get_by_fixed_address, ADMIN, FIXED, **_BY_ADDRESS),
    hot(
        api.floating_ip_allocate_address,
        *(USER, PROJECT, "pool-1"),
        floating_ips="pool deleted fixed_ip_id project_id|id|fixed_ip_id",
    ).up_to(5_000),
    hot(api.floating_ip_disassociate, ADMIN, FLOATING, **_BY_ADDRESS),
    hot(api.floating_ip_fixed_ip_associate, ADMIN, FREE_FLOATING, FIXED, HOST, **_BY_ADDRESS),
    hot(api.floating_ip_deallocate, ADMIN, FREE_FLOATING, **_BY_ADDRESS),
    hot(api.instance_floating_address_get_all, ADMIN, UUID, fixed_ips="instance_uuid", floating_ips="fixed_ip_id"),
]

_RULES: Final = {"security_group_rules": "parent_group_id"}
_MEMBERS: Final = {"security_group_instance_association": "security_group_id|instance_uuid"}

SECURITY_GROUPS: Final = [
    hot(api.security_group_get_by_project, USER, PROJECT, **_RULES),
    hot(api.security_group_get_by_name, USER, PROJECT, "group-1", security_groups="project_id|id", **_RULES),
    hot(api.security_group_get, USER, GROUP, security_groups="id", **_RULES),
    hot(api.security_group_get_by_instance, USER, UUID, security_group_instance_association="instance_uuid"),
    hot(api.security_group_in_use, USER, GROUP, **_MEMBERS),
    hot(api.security_group_rule_get_by_security_group, USER, GROUP, **_RULES, **_MEMBERS),
    hot(api.security_group_rule_count_by_group, USER, GROUP, **_RULES),
    hot(api.security_group_rule_get_by_instance, USER, UUID, **_RULES, **_MEMBERS),
    hot(api.instance_remove_security_group, ADMIN, UUID, GROUP, **_MEMBERS),
]

FLAVORS_AND_KEYS: Final = [
    hot(api.flavor_get, ADMIN, 42, instance_types="id", instance_type_extra_specs="instance_type_id"),
    hot(api.flavor_get_by_name, ADMIN, "flavor-42", instance_types="name"),
    hot(api.flavor_get_by_flavor_id, USER, "f-42", instance_types="flavorid"),
    hot(api.flavor_extra_specs_get, ADMIN, "f-42", instance_types="flavorid"),
    hot(api.key_pair_get, USER, "user-234", "key-234", key_pairs="user_id"),
    hot(api.key_pair_get_all_by_user, USER, "user-234", key_pairs="user_id"),
    hot(api.key_pair_count_by_user, USER, "user-234", key_pairs="user_id"),
]

ALL: Final = [*INSTANCES, *OF_INSTANCES, *HOSTS, *QUOTAS, *NETWORKS, *SECURITY_GROUPS, *FLAVORS_AND_KEYS]
