"""The hot statements, by the public functions that send them, and the index that each is meant to read."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any, Final

from nova_sqlcore import RequestContext, api, get_admin_context
from tests.plans.cloud import END, instance_uuid, moment

if TYPE_CHECKING:
    from collections.abc import Callable

ADMIN: Final = get_admin_context()
NUMBER: Final = 3042
UUID: Final = instance_uuid(NUMBER)
UUIDS: Final = [instance_uuid(number) for number in range(3_000, 3_100)]
HOST: Final = "compute-42"
PROJECT: Final = "project-234"
MARK: Final = instance_uuid(NUMBER + 13*500*8)
USER: Final = RequestContext("user-234", PROJECT)
VOLUME: Final = UUID.replace("00000000-", "22222222-", 1)


@dataclasses.dataclass(frozen=True)
class Hot:
    """A call whose statements are hot."""

    name: str
    call: Callable[[], Any]
    #: by table, the columns that the index begins with; alternatives after "|"
    by: dict[str, str]
    #: the most rows that may be sorted, read from one index, or scanned
    rows: int


def inside(f, *a):
    from nova_sqlcore import tx
    with tx.writer(USER): return f(USER, *a)

HOT: Final[list[Hot]] = []


def hot(name: str, call: Callable[[], Any], *, rows: int = 1_000, **by: str) -> None:
    HOT.append(Hot(name, call, by, rows))


OF_INSTANCE = dict.fromkeys(
    (
        "instance_metadata",
        "instance_system_metadata",
        "instance_info_caches",
        "instance_extra",
        "security_group_instance_association",
    ),
    "instance_uuid",
)

# instances
hot("instance by uuid", lambda: api.instance_get_by_uuid(USER, UUID), instances="uuid", **OF_INSTANCE)
hot("instance by uuid, all joins", lambda: api.instance_get_by_uuid(ADMIN, UUID, ["metadata", "system_metadata", "extra", "extra.flavor", "pci_devices", "tags", "services", "block_device_mapping"]), instances="uuid", services="host", tags="resource_id", pci_devices="instance_uuid", block_device_mapping="instance_uuid", **OF_INSTANCE)
hot("instance by id", lambda: api.instance_get(USER, NUMBER + 1), instances="id", **OF_INSTANCE)
hot("instances of a host", lambda: api.instance_get_all_by_host(ADMIN, HOST), instances="host|uuid", **OF_INSTANCE)
hot("instances of a node", lambda: api.instance_get_all_by_host_and_node(ADMIN, HOST, HOST), instances="host|uuid", **OF_INSTANCE)
hot("instances of a host, not type", lambda: api.instance_get_all_by_host_and_not_type(ADMIN, HOST, 3), instances="host|uuid")
hot("uuids of a host", lambda: api._instance_get_all_uuids_by_host(ADMIN, HOST) if hasattr(api, "_instance_get_all_uuids_by_host") else None, instances="host")
LIST = {"deleted": False}
hot("project list", lambda: api.instance_get_all_by_filters_sort(USER, LIST, limit=100), instances="project_id deleted|uuid", **OF_INSTANCE)
hot("project page 20", lambda: api.instance_get_all_by_filters_sort(USER, LIST, limit=20), instances="project_id deleted|uuid", **OF_INSTANCE)
hot("project page", lambda: api.instance_get_all_by_filters_sort(USER, LIST, limit=20, marker=MARK, columns_to_join=["extra", "info_cache"]), instances="project_id deleted|uuid")
hot("project page by name", lambda: api.instance_get_all_by_filters_sort(USER, {"deleted": False, "display_name": "server"}, limit=20, marker=MARK, sort_keys=["display_name"], sort_dirs=["asc"]), instances="project_id deleted|uuid")
hot("project changes since", lambda: api.instance_get_all_by_filters(USER, {"changes-since": moment(3)}), instances="project_id|uuid")
hot("all changes since", lambda: api.instance_get_all_by_filters(ADMIN, {"changes-since": moment(3)}), instances="updated_at|uuid", rows=2000)
hot("all changes since, by updated_at", lambda: api.instance_get_all_by_filters(ADMIN, {"changes-since": moment(3)}, "updated_at", "asc"), instances="updated_at|uuid", rows=2000)
hot("all pages", lambda: api.instance_get_all_by_filters_sort(ADMIN, LIST, limit=100), instances="deleted created_at|uuid")
hot("all pages, marker", lambda: api.instance_get_all_by_filters_sort(ADMIN, LIST, limit=100, marker=instance_uuid(90_042)), instances="deleted created_at|uuid")
hot("deleted of a host", lambda: api.instance_get_all_by_filters(ADMIN, {"deleted": True, "soft_deleted": False, "host": HOST, "cleaned": False}), instances="host")
hot("deleted project list", lambda: api.instance_get_all_by_filters(USER, {"deleted": True}, limit=100), instances="project_id")
hot("by uuids", lambda: api.instance_get_all_by_filters(ADMIN, {"uuid": UUIDS, "deleted": False}), instances="uuid")
hot("in task state", lambda: api.instance_get_all_by_filters(ADMIN, {"deleted": False, "task_state": ["rebooting", "pausing"]}), instances="task_state|uuid")
hot("by tags", lambda: api.instance_get_all_by_filters(USER, {"deleted": False, "tags": ["tag-1", "tag-2"]}), rows=2000)
hot("by metadata", lambda: api.instance_get_all_by_filters(USER, {"deleted": False, "metadata": {"key-1": "value-1"}}), instances="project_id|uuid")
hot("ip filter reservation", lambda: api.instance_get_all_by_filters(USER, {"deleted": False, "reservation_id": "r-3042"}))
hot("hung in rebooting", lambda: api.instance_get_all_hung_in_rebooting(ADMIN, 3600), instances="task_state|uuid")
hot("active window of host", lambda: api.instance_get_active_by_window_joined(ADMIN, moment(24), END, host=HOST), instances="host|terminated_at|uuid")
hot("active window of project", lambda: api.instance_get_active_by_window_joined(ADMIN, moment(24), END, project_id=PROJECT), instances="project_id|terminated_at|uuid")
hot("iter", lambda: next(api.instance_get_all_iter(ADMIN)) if hasattr(api, "instance_get_all_iter") else None)
hot("grantees", lambda: api.instance_get_all_by_grantee_security_groups(ADMIN, [5, 6]), rows=2000)
hot("instance update", lambda: api.instance_update_and_get_original(ADMIN, UUID, {"task_state": "rebooting", "metadata": {"a": "b"}}), instances="uuid|id", **OF_INSTANCE)
hot("instance plain update", lambda: api.instance_update(ADMIN, UUID, {"task_state": "rebooting", "expected_task_state": ["rebooting", None]}), instances="uuid|id")
hot("instance destroy", lambda: api.instance_destroy(ADMIN, instance_uuid(3_999)), instances="uuid|id", **OF_INSTANCE)
# children
hot("metadata", lambda: api.instance_metadata_get(USER, UUID), instance_metadata="instance_uuid", instances="uuid")
hot("metadata update", lambda: api.instance_metadata_update(USER, UUID, {"x": "1"}, False), instance_metadata="instance_uuid", instances="uuid")
hot("metadata delete", lambda: api.instance_metadata_delete(USER, UUID, "x"), instance_metadata="instance_uuid", instances="uuid")
hot("system metadata", lambda: api.instance_system_metadata_get(ADMIN, UUID), instance_system_metadata="instance_uuid", instances="uuid")
hot("system metadata update", lambda: api.instance_system_metadata_update(ADMIN, UUID, {"x": "1"}, False), instance_system_metadata="instance_uuid", instances="uuid")
hot("tags", lambda: api.instance_tag_get_by_instance_uuid(ADMIN, UUID), tags="resource_id", instances="uuid")
hot("tag exists", lambda: api.instance_tag_exists(ADMIN, UUID, "tag-1"), tags="resource_id", instances="uuid")
hot("tag set", lambda: api.instance_tag_set(ADMIN, UUID, ["tag-1"]), tags="resource_id", instances="uuid")
hot("faults", lambda: api.instance_fault_get_by_instance_uuids(ADMIN, UUIDS), instance_faults="instance_uuid")
hot("latest faults", lambda: api.instance_fault_get_by_instance_uuids(ADMIN, UUIDS, latest=True), instance_faults="instance_uuid")
hot("actions", lambda: api.actions_get(ADMIN, UUID), instance_actions="instance_uuid")
hot("action by request", lambda: api.action_get_by_request_id(ADMIN, UUID, f"req-{2 * NUMBER}"), instance_actions="instance_uuid|request_id")
hot("action events", lambda: api.action_events_get(ADMIN, 77), instance_actions_events="action_id")
hot("event start", lambda: api.action_event_start(USER, {"instance_uuid": UUID, "request_id": f"req-{2 * NUMBER}", "event": "e", "start_time": END}), instance_actions="instance_uuid|request_id|id")
hot("event finish", lambda: api.action_event_finish(USER, {"instance_uuid": UUID, "request_id": f"req-{2 * NUMBER}", "event": "e", "finish_time": END, "result": "Success"}), instance_actions="instance_uuid|request_id|id", instance_actions_events="action_id|id")
hot("action finish", lambda: api.action_finish(USER, {"instance_uuid": UUID, "request_id": f"req-{2 * NUMBER}", "finish_time": END}), instance_actions="instance_uuid|request_id|id")
hot("info cache", lambda: api.instance_info_cache_get(ADMIN, UUID), instance_info_caches="instance_uuid")
hot("info cache update", lambda: api.instance_info_cache_update(ADMIN, UUID, {"network_info": "[1]"}), instance_info_caches="instance_uuid|id", instances="uuid")
hot("extra", lambda: api.instance_extra_get_by_instance_uuid(ADMIN, UUID), instance_extra="instance_uuid")
hot("extra update", lambda: api.instance_extra_update_by_uuid(ADMIN, UUID, {"flavor": "{1}"}), instance_extra="instance_uuid")
hot("bdms of instance", lambda: api.block_device_mapping_get_all_by_instance(ADMIN, UUID), block_device_mapping="instance_uuid")
hot("bdms of instances", lambda: api.block_device_mapping_get_all_by_instance_uuids(ADMIN, UUIDS), block_device_mapping="instance_uuid")
hot("bdms of volume", lambda: api.block_device_mapping_get_all_by_volume_id(ADMIN, VOLUME), block_device_mapping="volume_id", instances="uuid")
hot("bdm of instance and volume", lambda: api.block_device_mapping_get_by_instance_and_volume_id(ADMIN, VOLUME, UUID), block_device_mapping="instance_uuid|volume_id", instances="uuid")
hot("bdm update or create", lambda: api.block_device_mapping_update_or_create(ADMIN, {"instance_uuid": UUID, "device_name": "/dev/vda", "source_type": "image", "destination_type": "local"}), block_device_mapping="instance_uuid|id")
hot("bdm destroy", lambda: api.block_device_mapping_destroy_by_instance_and_volume(ADMIN, UUID, VOLUME), block_device_mapping="instance_uuid|volume_id")
hot("bdm destroy device", lambda: api.block_device_mapping_destroy_by_instance_and_device(ADMIN, UUID, "/dev/vda"), block_device_mapping="instance_uuid")
hot("vif by id", lambda: api.virtual_interface_get(USER, 5), virtual_interfaces="id")
hot("vif by address", lambda: api.virtual_interface_get_by_address(USER, "fa:16:000000000042"), virtual_interfaces="address")
hot("vif by uuid", lambda: api.virtual_interface_get_by_uuid(USER, UUID.replace("00000000-", "33333333-", 1)), virtual_interfaces="uuid")
hot("vifs of instance", lambda: api.virtual_interface_get_by_instance(USER, UUID), virtual_interfaces="instance_uuid")
hot("vif of instance and network", lambda: api.virtual_interface_get_by_instance_and_network(USER, UUID, 3), virtual_interfaces="instance_uuid")
hot("vif delete", lambda: api.virtual_interface_delete_by_instance(USER, instance_uuid(3_998)), virtual_interfaces="instance_uuid")
# hosts
hot("heartbeat", lambda: api.service_update(ADMIN, 42, {"report_count": 10**6}), services="id")
hot("service by id", lambda: api.service_get(ADMIN, 42), services="id")
hot("service of compute host", lambda: api.service_get_by_compute_host(ADMIN, HOST), services="host")
hot("service by host, binary", lambda: api.service_get_by_host_and_binary(ADMIN, HOST, "nova-compute"), services="host")
hot("service by host, topic", lambda: api.service_get_by_host_and_topic(ADMIN, HOST, "compute"), services="host")
hot("services of host", lambda: api.service_get_all_by_host(ADMIN, HOST), services="host")
hot("services of topic", lambda: api.service_get_all_by_topic(ADMIN, "conductor"), services="topic")
hot("services of binary", lambda: api.service_get_all_by_binary(ADMIN, "nova-conductor"), services="binary")
hot("node by host and name", lambda: api.compute_node_get_by_host_and_nodename(ADMIN, HOST, HOST), compute_nodes="host")
hot("nodes of host", lambda: api.compute_node_get_all_by_host(ADMIN, HOST), compute_nodes="host")
hot("nodes of service", lambda: api.compute_nodes_get_by_service_id(ADMIN, 42), compute_nodes="service_id")
hot("node by id", lambda: api.compute_node_get(ADMIN, 42), compute_nodes="id")
hot("node update", lambda: api.compute_node_update(ADMIN, 42, {"free_ram_mb": 1}), compute_nodes="id")
hot("pci of node", lambda: api.pci_device_get_all_by_node(ADMIN, 42), pci_devices="compute_node_id")
hot("pci of instance", lambda: api.pci_device_get_all_by_instance_uuid(ADMIN, UUID), pci_devices="instance_uuid")
hot("pci by address", lambda: api.pci_device_get_by_addr(ADMIN, 43, "0000:3"), pci_devices="compute_node_id")
hot("pci by parent", lambda: api.pci_device_get_all_by_parent_addr(ADMIN, 43, "0000:00"), pci_devices="compute_node_id")
hot("aggregates of host", lambda: api.aggregate_get_by_host(ADMIN, HOST), aggregate_hosts="host|aggregate_id")
hot("aggregates of host with key", lambda: api.aggregate_get_by_host(ADMIN, HOST, "key-3"), aggregate_hosts="host|aggregate_id", aggregate_metadata="key|aggregate_id")
hot("aggregates with key", lambda: api.aggregate_get_by_metadata_key(ADMIN, "key-3"), aggregate_metadata="key|aggregate_id")
hot("aggregate metadata of host", lambda: api.aggregate_metadata_get_by_host(ADMIN, HOST), aggregate_hosts="host", aggregate_metadata="aggregate_id")
hot("aggregate metadata of host with key", lambda: api.aggregate_metadata_get_by_host(ADMIN, HOST, "key-3"), aggregate_hosts="host")
hot("task log", lambda: api.task_log_get(ADMIN, "instance_usage_audit", moment(500), moment(500), HOST), task_log="task_name|host|period_beginning|period_ending")
hot("task logs", lambda: api.task_log_get_all(ADMIN, "instance_usage_audit", moment(500), moment(500)), task_log="task_name|period_beginning|period_ending")
hot("task end", lambda: api.task_log_end_task(ADMIN, "instance_usage_audit", moment(1000), moment(1000), "compute-42", 0), task_log="task_name|period_beginning|period_ending|host")
# migrations
hot("migrations in progress of node", lambda: api.migration_get_in_progress_by_host_and_node(ADMIN, HOST, HOST), migrations="source_compute|dest_compute|deleted source_compute", instances="uuid")
hot("migrations in progress of instance", lambda: api.migration_get_in_progress_by_instance(ADMIN, UUID), migrations="instance_uuid|deleted instance_uuid")
hot("migration of instance with status", lambda: api.migration_get_by_instance_and_status(ADMIN, UUID, "confirmed"), migrations="instance_uuid")
hot("migration by id and instance", lambda: api.migration_get_by_id_and_instance(ADMIN, NUMBER + 1, UUID), migrations="id|instance_uuid|deleted instance_uuid")
hot("unconfirmed migrations", lambda: api.migration_get_unconfirmed_by_dest_compute(ADMIN, 60, HOST), migrations="dest_compute status updated_at")
hot("migrations by host and status", lambda: api.migration_get_all_by_filters(ADMIN, {"host": HOST, "status": ["running", "queued"]}), migrations="source_compute|dest_compute|deleted source_compute")
hot("migrations by source and status", lambda: api.migration_get_all_by_filters(ADMIN, {"source_compute": HOST, "status": "running"}), migrations="source_compute|deleted source_compute")
hot("migration update", lambda: api.migration_update(ADMIN, 42, {"memory_total": 1}), migrations="id")
# quotas
hot("usages of project", lambda: api.quota_usage_get_all_by_project(USER, PROJECT), quota_usages="project_id|user_id")
hot("usages of project and user", lambda: api.quota_usage_get_all_by_project_and_user(USER, PROJECT, "user-2341"), quota_usages="project_id|user_id")
hot("usage", lambda: api.quota_usage_get(USER, PROJECT, "resource-1", "user-2341"), quota_usages="project_id|user_id")
hot("limits of project", lambda: api.quota_get_all_by_project(USER, PROJECT), quotas="project_id")
hot("limits of user", lambda: api.quota_get_all_by_project_and_user(USER, PROJECT, "user-2341"), project_user_quotas="user_id|project_id")
class Res:
    sync = staticmethod(lambda *a: {"resource-1": 1})
def _reserve():
    d = {"resource-1": 1}
    made = api.quota_reserve(USER, {"resource-1": Res}, {"resource-1": -1}, {"resource-1": -1}, d, END, None, None, user_id="user-2341")
    api.reservation_commit(USER, made, PROJECT, "user-2341")
    made = api.quota_reserve(USER, {"resource-1": Res}, {"resource-1": -1}, {"resource-1": -1}, d, END, None, None, user_id="user-2341")
    api.reservation_rollback(USER, made, PROJECT, "user-2341")
hot("reserve commit rollback", _reserve, quota_usages="project_id|id", reservations="uuid|id")
hot("reservations expire", lambda: api.reservation_expire(ADMIN), quota_usages="id", reservations="deleted expire|id")
from nova_sqlcore.queries import quota_usages as _qu
hot("sync instances", lambda: inside(_qu._instance_data_get_for_user, PROJECT, "user-234"), instances="project_id")
hot("sync fixed ips", lambda: inside(_qu._sync_fixed_ips, PROJECT, None), instances="project_id", fixed_ips="instance_uuid")
hot("sync floating ips", lambda: inside(_qu._sync_floating_ips, PROJECT, None), floating_ips="project_id")
hot("sync sgs", lambda: inside(_qu._sync_security_groups, PROJECT, USER.user_id), security_groups="project_id")
hot("sync server groups", lambda: inside(_qu._sync_server_groups, PROJECT, USER.user_id), instance_groups="project_id")
# networks
hot("fixed ip by address", lambda: api.fixed_ip_get_by_address(ADMIN, "10.0.1.7"), fixed_ips="address|id")
hot("fixed ip by address with all", lambda: api.fixed_ip_get_by_address(ADMIN, "10.0.1.7", ["network", "instance", "virtual_interface", "floating_ips"]), fixed_ips="address|id", instances="uuid", virtual_interfaces="id", floating_ips="fixed_ip_id")
hot("fixed ips of instance", lambda: api.fixed_ip_get_by_instance(ADMIN, UUID), fixed_ips="instance_uuid")
hot("fixed ips of host", lambda: api.fixed_ip_get_by_host(ADMIN, HOST), fixed_ips="instance_uuid", instances="host")
hot("fixed ip of network and host", lambda: api.fixed_ip_get_by_network_host(ADMIN, 3, HOST) , fixed_ips="network_id|host")
hot("fixed ips of vif", lambda: api.fixed_ips_by_virtual_interface(ADMIN, NUMBER + 1), fixed_ips="virtual_interface_id")
hot("fixed ip by floating", lambda: api.fixed_ip_get_by_floating_address(ADMIN, "172.0.0.8"), floating_ips="address", fixed_ips="id")
hot("fixed ip claim", lambda: api.fixed_ip_associate_pool(ADMIN, 3, UUID), fixed_ips="network_id deleted reserved|id")
hot("fixed ip associate", lambda: api.fixed_ip_associate(ADMIN, "10.0.16.0", UUID, 2), fixed_ips="address|id")
hot("fixed ip update", lambda: api.fixed_ip_update(ADMIN, "10.0.1.7", {"leased": True}), fixed_ips="address|id")
hot("fixed ip disassociate", lambda: api.fixed_ip_disassociate(ADMIN, "10.0.1.7"), fixed_ips="address|id")
hot("fixed ip timeout", lambda: api.fixed_ip_disassociate_all_by_timeout(ADMIN, HOST, moment(2)), fixed_ips="deleted allocated updated_at|instance_uuid", rows=70000)
hot("network reserved count", lambda: api.network_count_reserved_ips(ADMIN, 3), fixed_ips="network_id", rows=5000)
hot("network in use on host", lambda: api.network_in_use_on_host(ADMIN, 3, HOST), fixed_ips="network_id|instance_uuid", rows=5000)
hot("network associated", lambda: api.network_get_associated_fixed_ips(ADMIN, 3, HOST), rows=5000)
hot("networks of host", lambda: api.network_get_all_by_host(ADMIN, HOST), rows=70000)
hot("floating by address", lambda: api.floating_ip_get_by_address(ADMIN, "172.0.0.8"), floating_ips="address|id", fixed_ips="id")
hot("floating of project", lambda: api.floating_ip_get_all_by_project(USER, PROJECT), floating_ips="project_id", fixed_ips="id")
hot("floating of host", lambda: api.floating_ip_get_all_by_host(ADMIN, "nohost") , floating_ips="host", fixed_ips="id")
hot("floating of fixed address", lambda: api.floating_ip_get_by_fixed_address(ADMIN, "10.0.1.7"), floating_ips="fixed_ip_id", fixed_ips="address")
hot("floating of fixed id", lambda: api.floating_ip_get_by_fixed_ip_id(ADMIN, 7), floating_ips="fixed_ip_id")
hot("floating claim", lambda: api.floating_ip_allocate_address(USER, PROJECT, "pool-1"), floating_ips="pool deleted fixed_ip_id|id")
hot("floating associate", lambda: api.floating_ip_fixed_ip_associate(ADMIN, "172.0.0.2", "10.0.1.7", HOST), floating_ips="address|id", fixed_ips="address|id")
hot("floating disassociate", lambda: api.floating_ip_disassociate(ADMIN, "172.0.0.2"), floating_ips="address|id", fixed_ips="id")
hot("floating deallocate", lambda: api.floating_ip_deallocate(ADMIN, "172.0.0.1"), floating_ips="address|id")
hot("instance floating", lambda: api.instance_floating_address_get_all(ADMIN, UUID), fixed_ips="instance_uuid", floating_ips="fixed_ip_id")
hot("project networks", lambda: api.project_get_networks(ADMIN, "project-1"))
# security groups
hot("groups of project", lambda: api.security_group_get_by_project(USER, PROJECT), security_groups="project_id", security_group_rules="parent_group_id")
hot("group by name", lambda: api.security_group_get_by_name(USER, PROJECT, "group-1"), security_groups="project_id|id", security_group_rules="parent_group_id")
hot("group by name + instances", lambda: api.security_group_get_by_name(USER, PROJECT, "group-1", ["instances", "rules.grantee_group"]), security_groups="project_id|id", security_group_rules="parent_group_id", security_group_instance_association="security_group_id")
hot("group by id", lambda: api.security_group_get(USER, 235), security_groups="id", security_group_rules="parent_group_id")
hot("groups of instance", lambda: api.security_group_get_by_instance(USER, UUID), security_groups="id", security_group_instance_association="instance_uuid")
hot("group in use", lambda: api.security_group_in_use(USER, 235), security_group_instance_association="security_group_id", instances="uuid")
hot("rules of group", lambda: api.security_group_rule_get_by_security_group(USER, 235), security_group_rules="parent_group_id", security_group_instance_association="security_group_id", instances="uuid", security_groups="id")
hot("rules count", lambda: api.security_group_rule_count_by_group(USER, 235), security_group_rules="parent_group_id")
hot("rules of instance", lambda: api.security_group_rule_get_by_instance(USER, UUID), security_group_instance_association="instance_uuid", security_group_rules="parent_group_id")
hot("add group", lambda: api.instance_add_security_group(ADMIN, UUID, 235), security_group_instance_association="instance_uuid")
hot("remove group", lambda: api.instance_remove_security_group(ADMIN, UUID, 235), security_group_instance_association="instance_uuid")
hot("ensure default", lambda: api.security_group_ensure_default(USER), security_groups="project_id|id")
# flavors and others
hot("flavor by flavorid", lambda: api.flavor_get_by_flavor_id(ADMIN, "f-42"), instance_types="flavorid", instance_type_extra_specs="instance_type_id")
hot("flavor by name", lambda: api.flavor_get_by_name(ADMIN, "flavor-42"), instance_types="name")
hot("flavor by id", lambda: api.flavor_get(ADMIN, 42), instance_types="id")
hot("flavors", lambda: api.flavor_get_all(USER), rows=6000)
hot("specs", lambda: api.flavor_extra_specs_get(ADMIN, "f-42"), instance_types="flavorid", instance_type_extra_specs="instance_type_id")
hot("flavor access", lambda: api.flavor_access_get_by_flavor_id(ADMIN, "f-44"))
hot("keys of user", lambda: api.key_pair_get_all_by_user(USER, "user-234"), key_pairs="user_id")
hot("key", lambda: api.key_pair_get(USER, "user-234", "key-234"), key_pairs="user_id")
hot("keys count", lambda: api.key_pair_count_by_user(USER, "user-234"), key_pairs="user_id")
G = instance_uuid(234).replace("00000000-", "55555555-", 1)
hot("server group", lambda: api.instance_group_get(USER, G), instance_groups="uuid", instance_group_member="group_id", instance_group_policy="group_id")
hot("server group of instance", lambda: api.instance_group_get_by_instance(ADMIN, instance_uuid(12_100)), instance_group_member="instance_id|group_id", instance_groups="id")
hot("server groups of project", lambda: api.instance_group_get_all_by_project_id(USER, PROJECT), instance_groups="project_id", instance_group_member="group_id")
hot("members", lambda: api.instance_group_members_get(USER, G), instance_groups="uuid", instance_group_member="group_id")
hot("bandwidth", lambda: api.bw_usage_get(ADMIN, UUID, moment(20), "fa:16:000000000042"), bw_usage_cache="uuid")
hot("bandwidths", lambda: api.bw_usage_get_by_uuids(ADMIN, UUIDS, moment(20)), bw_usage_cache="uuid")
hot("bandwidth update", lambda: api.bw_usage_update(ADMIN, UUID, "fa:16:000000000042", moment(20), 1, 2, 3, 4), bw_usage_cache="uuid|id", instances="uuid")
hot("volume usage", lambda: api.vol_usage_update(ADMIN, VOLUME, 1, 2, 3, 4, UUID, PROJECT, "user", "az"), volume_usage_cache="volume_id|id")
hot("ec2 id", lambda: api.get_instance_uuid_by_ec2_id(ADMIN, 42), instance_id_mappings="id")
hot("ec2 uuid", lambda: api.ec2_instance_get_by_uuid(ADMIN, UUID), instance_id_mappings="uuid")
hot("certs", lambda: api.certificate_get_all_by_project(ADMIN, PROJECT), certificates="project_id")
hot("archive", lambda: api.archive_deleted_rows(3000), rows=70000)
