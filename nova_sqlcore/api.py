# SPDX-License-Identifier: Apache-2.0

"""The reference module's names in one flat namespace: its 305 functions, what goes with them, and five bulk calls.

``from nova_sqlcore import api as db`` takes the place of the reference's back end. The modules of
``nova_sqlcore.queries`` hold the same functions by noun; they alone are looked into at a call, so whoever replaces a
function for a test replaces it there. A module is loaded when the first of its names is asked for: all of them take a
third of the time of this import. ``api.pyi`` says the same to type checkers.
"""

from __future__ import annotations

import importlib
import sys
from typing import TYPE_CHECKING, Any, Final

from nova_sqlcore.context import require_context
from nova_sqlcore.core.types import MAX_INT
from nova_sqlcore.tables import SHADOW_PREFIX as _SHADOW_TABLE_PREFIX
from nova_sqlcore.tx import wrap_db_retry

if TYPE_CHECKING:
    from types import ModuleType

#: The names by the module of ``nova_sqlcore.queries`` that has them.
_NAMES: Final = {
    "common.constraints": "Constraint EqualityCondition InequalityCondition constraint equal_any not_equal",
    "common.conversions": "convert_objects_related_datetimes",
    "common.paging": "process_sort_params",
    "compute.actions": """
        action_event_finish action_event_get_by_id action_event_start action_events_get action_finish
        action_get_by_request_id action_start actions_get
    """,
    "compute.changes": """
        instance_add_security_group instance_create instance_destroy instance_remove_security_group instance_update
        instance_update_and_get_original instance_update_many instances_create
    """,
    "compute.consoles": """
        console_create console_delete console_get console_get_all_by_instance console_get_by_pool_instance
        console_pool_create console_pool_get_all_by_host_type console_pool_get_by_host_type
    """,
    "compute.extra": "instance_extra_get_by_instance_uuid instance_extra_update_by_uuid",
    "compute.faults": "instance_fault_create instance_fault_get_by_instance_uuids",
    "compute.groups": """
        instance_group_create instance_group_delete instance_group_get instance_group_get_all
        instance_group_get_all_by_project_id instance_group_get_by_instance instance_group_member_delete
        instance_group_members_add instance_group_members_get instance_group_update
    """,
    "compute.info_caches": "instance_info_cache_delete instance_info_cache_get instance_info_cache_update",
    "compute.instances": """
        instance_floating_address_get_all instance_get instance_get_active_by_window_joined instance_get_all
        instance_get_all_by_filters instance_get_all_by_filters_sort instance_get_all_by_grantee_security_groups
        instance_get_all_by_host instance_get_all_by_host_and_node instance_get_all_by_host_and_not_type
        instance_get_all_hung_in_rebooting instance_get_by_uuid instance_get_many
    """,
    "compute.metadata": """
        instance_metadata_delete instance_metadata_get instance_metadata_update instance_system_metadata_get
        instance_system_metadata_update
    """,
    "compute.migrations": """
        migration_create migration_get migration_get_all_by_filters migration_get_by_id_and_instance
        migration_get_by_instance_and_status migration_get_in_progress_by_host_and_node
        migration_get_in_progress_by_instance migration_get_unconfirmed_by_dest_compute migration_update
    """,
    "compute.tags": """
        instance_tag_add instance_tag_delete instance_tag_delete_all instance_tag_exists
        instance_tag_get_by_instance_uuid instance_tag_set
    """,
    "flavors.access": "flavor_access_add flavor_access_get_by_flavor_id flavor_access_remove",
    "flavors.extra_specs": "flavor_extra_specs_delete flavor_extra_specs_get flavor_extra_specs_update_or_create",
    "flavors.flavors": """
        flavor_create flavor_destroy flavor_get flavor_get_all flavor_get_by_flavor_id flavor_get_by_name
    """,
    "hosts.agent_builds": """
        agent_build_create agent_build_destroy agent_build_get_all agent_build_get_by_triple agent_build_update
    """,
    "hosts.aggregates": """
        aggregate_create aggregate_delete aggregate_get aggregate_get_all aggregate_get_by_host
        aggregate_get_by_metadata_key aggregate_host_add aggregate_host_delete aggregate_host_get_all
        aggregate_metadata_add aggregate_metadata_delete aggregate_metadata_get aggregate_metadata_get_by_host
        aggregate_update
    """,
    "hosts.cells": "cell_create cell_delete cell_get cell_get_all cell_update",
    "hosts.compute_nodes": """
        _compute_node_select compute_node_create compute_node_delete compute_node_get compute_node_get_all
        compute_node_get_all_by_host compute_node_get_by_host_and_nodename compute_node_get_model
        compute_node_search_by_hypervisor compute_node_statistics compute_node_update compute_nodes_get_by_service_id
        compute_nodes_update
    """,
    "hosts.pci_devices": """
        pci_device_destroy pci_device_get_all_by_instance_uuid pci_device_get_all_by_node
        pci_device_get_all_by_parent_addr pci_device_get_by_addr pci_device_get_by_id pci_device_update
    """,
    "hosts.services": """
        service_create service_destroy service_get service_get_all service_get_all_by_binary service_get_all_by_host
        service_get_all_by_topic service_get_by_compute_host service_get_by_host_and_binary
        service_get_by_host_and_topic service_get_minimum_version service_update services_heartbeat
    """,
    "hosts.task_log": "task_log_begin_task task_log_end_task task_log_get task_log_get_all",
    "hosts.usage_caches": "bw_usage_get bw_usage_get_by_uuids bw_usage_update vol_get_usage_by_time vol_usage_update",
    "maintenance.archive": "archive_deleted_rows",
    "maintenance.online_migrations": """
        aggregate_uuids_online_data_migration computenode_uuids_online_data_migration pcidevice_online_data_migration
    """,
    "network.dns_domains": """
        dnsdomain_get dnsdomain_get_all dnsdomain_register_for_project dnsdomain_register_for_zone dnsdomain_unregister
    """,
    "network.fixed_ips": """
        fixed_ip_associate fixed_ip_associate_pool fixed_ip_bulk_create fixed_ip_create fixed_ip_disassociate
        fixed_ip_disassociate_all_by_timeout fixed_ip_get fixed_ip_get_all fixed_ip_get_by_address
        fixed_ip_get_by_floating_address fixed_ip_get_by_host fixed_ip_get_by_instance fixed_ip_get_by_network_host
        fixed_ip_update fixed_ips_by_virtual_interface
    """,
    "network.floating_ips": """
        floating_ip_allocate_address floating_ip_bulk_create floating_ip_bulk_destroy floating_ip_create
        floating_ip_deallocate floating_ip_destroy floating_ip_disassociate floating_ip_fixed_ip_associate
        floating_ip_get floating_ip_get_all floating_ip_get_all_by_host floating_ip_get_all_by_project
        floating_ip_get_by_address floating_ip_get_by_fixed_address floating_ip_get_by_fixed_ip_id floating_ip_get_pools
        floating_ip_update
    """,
    "network.networks": """
        network_associate network_count_reserved_ips network_create_safe network_delete_safe network_disassociate
        network_get network_get_all network_get_all_by_host network_get_all_by_uuids network_get_associated_fixed_ips
        network_get_by_cidr network_get_by_uuid network_in_use_on_host network_set_host network_update
        project_get_networks
    """,
    "network.virtual_interfaces": """
        virtual_interface_create virtual_interface_delete_by_instance virtual_interface_get virtual_interface_get_all
        virtual_interface_get_by_address virtual_interface_get_by_instance virtual_interface_get_by_instance_and_network
        virtual_interface_get_by_uuid
    """,
    "quota.counts": "QUOTA_SYNC_FUNCTIONS",
    "quota.limits": """
        _DEFAULT_QUOTA_NAME quota_class_create quota_class_get quota_class_get_all_by_name quota_class_get_default
        quota_class_update quota_create quota_destroy_all_by_project quota_destroy_all_by_project_and_user quota_get
        quota_get_all quota_get_all_by_project quota_get_all_by_project_and_user quota_update
    """,
    "quota.reservations": "quota_reserve reservation_commit reservation_expire reservation_rollback",
    "quota.usages": """
        PER_PROJECT_QUOTAS quota_usage_get quota_usage_get_all_by_project quota_usage_get_all_by_project_and_user
        quota_usage_update
    """,
    "reference": """
        api_context_manager configure create_context_manager get_api_engine get_context_manager get_engine
        main_context_manager model_query pick_context_manager_reader pick_context_manager_reader_allow_async
        pick_context_manager_writer require_aggregate_exists require_instance_exists_using_uuid select_db_reader_mode
    """,
    "security.certificates": """
        certificate_create certificate_get_all_by_project certificate_get_all_by_user
        certificate_get_all_by_user_and_project
    """,
    "security.default_rules": """
        security_group_default_rule_create security_group_default_rule_destroy security_group_default_rule_get
        security_group_default_rule_list
    """,
    "security.groups": """
        security_group_create security_group_destroy security_group_ensure_default security_group_get
        security_group_get_all security_group_get_by_instance security_group_get_by_name security_group_get_by_project
        security_group_in_use security_group_update
    """,
    "security.key_pairs": """
        key_pair_count_by_user key_pair_create key_pair_destroy key_pair_get key_pair_get_all_by_user
    """,
    "security.provider_fw_rules": "provider_fw_rule_create provider_fw_rule_destroy provider_fw_rule_get_all",
    "security.rules": """
        security_group_rule_count_by_group security_group_rule_create security_group_rule_destroy
        security_group_rule_get security_group_rule_get_by_instance security_group_rule_get_by_security_group
    """,
    "storage.block_devices": """
        block_device_mapping_create block_device_mapping_destroy block_device_mapping_destroy_by_instance_and_device
        block_device_mapping_destroy_by_instance_and_volume block_device_mapping_get_all_by_instance
        block_device_mapping_get_all_by_instance_uuids block_device_mapping_get_all_by_volume_id
        block_device_mapping_get_by_instance_and_volume_id block_device_mapping_update
        block_device_mapping_update_or_create
    """,
    "storage.ec2_ids": """
        ec2_instance_create ec2_instance_get_by_id ec2_instance_get_by_uuid ec2_snapshot_create
        ec2_snapshot_get_by_ec2_id ec2_snapshot_get_by_uuid ec2_volume_create ec2_volume_get_by_id
        ec2_volume_get_by_uuid get_instance_uuid_by_ec2_id s3_image_create s3_image_get s3_image_get_by_uuid
    """,
}
_HOMES: Final = {name: home for home, names in _NAMES.items() for name in names.split()}

__all__ = ["MAX_INT", "_SHADOW_TABLE_PREFIX", "get_backend", "require_context", "wrap_db_retry"]
__all__.extend(_HOMES)


def get_backend() -> ModuleType:
    """Return this module."""
    return sys.modules[__name__]


def __getattr__(name: str) -> Any:
    """Return what a module of ``nova_sqlcore.queries`` has; it stays here, unless a test has put it in its place."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}", name=name, obj=get_backend())
    module = f"nova_sqlcore.queries.{_HOMES[name]}"
    found = getattr(importlib.import_module(module), name)
    if getattr(found, "__module__", None) == module:
        globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
