# SPDX-License-Identifier: Apache-2.0

# What api.py has, as type checkers see it; tests/unit/test_api.py holds the two together.

from types import ModuleType

from nova_sqlcore.context import (
    require_context as require_context,
)
from nova_sqlcore.core.types import (
    MAX_INT as MAX_INT,
)
from nova_sqlcore.queries.common.constraints import (
    Constraint as Constraint,
    EqualityCondition as EqualityCondition,
    InequalityCondition as InequalityCondition,
    constraint as constraint,
    equal_any as equal_any,
    not_equal as not_equal,
)
from nova_sqlcore.queries.common.conversions import (
    convert_objects_related_datetimes as convert_objects_related_datetimes,
)
from nova_sqlcore.queries.common.paging import (
    process_sort_params as process_sort_params,
)
from nova_sqlcore.queries.compute.actions import (
    action_event_finish as action_event_finish,
    action_event_get_by_id as action_event_get_by_id,
    action_event_start as action_event_start,
    action_events_get as action_events_get,
    action_finish as action_finish,
    action_get_by_request_id as action_get_by_request_id,
    action_start as action_start,
    actions_get as actions_get,
)
from nova_sqlcore.queries.compute.changes import (
    instance_add_security_group as instance_add_security_group,
    instance_create as instance_create,
    instance_destroy as instance_destroy,
    instance_remove_security_group as instance_remove_security_group,
    instance_update as instance_update,
    instance_update_and_get_original as instance_update_and_get_original,
    instance_update_many as instance_update_many,
    instances_create as instances_create,
)
from nova_sqlcore.queries.compute.consoles import (
    console_create as console_create,
    console_delete as console_delete,
    console_get as console_get,
    console_get_all_by_instance as console_get_all_by_instance,
    console_get_by_pool_instance as console_get_by_pool_instance,
    console_pool_create as console_pool_create,
    console_pool_get_all_by_host_type as console_pool_get_all_by_host_type,
    console_pool_get_by_host_type as console_pool_get_by_host_type,
)
from nova_sqlcore.queries.compute.extra import (
    instance_extra_get_by_instance_uuid as instance_extra_get_by_instance_uuid,
    instance_extra_update_by_uuid as instance_extra_update_by_uuid,
)
from nova_sqlcore.queries.compute.faults import (
    instance_fault_create as instance_fault_create,
    instance_fault_get_by_instance_uuids as instance_fault_get_by_instance_uuids,
)
from nova_sqlcore.queries.compute.groups import (
    instance_group_create as instance_group_create,
    instance_group_delete as instance_group_delete,
    instance_group_get as instance_group_get,
    instance_group_get_all as instance_group_get_all,
    instance_group_get_all_by_project_id as instance_group_get_all_by_project_id,
    instance_group_get_by_instance as instance_group_get_by_instance,
    instance_group_member_delete as instance_group_member_delete,
    instance_group_members_add as instance_group_members_add,
    instance_group_members_get as instance_group_members_get,
    instance_group_update as instance_group_update,
)
from nova_sqlcore.queries.compute.info_caches import (
    instance_info_cache_delete as instance_info_cache_delete,
    instance_info_cache_get as instance_info_cache_get,
    instance_info_cache_update as instance_info_cache_update,
)
from nova_sqlcore.queries.compute.instances import (
    instance_floating_address_get_all as instance_floating_address_get_all,
    instance_get as instance_get,
    instance_get_active_by_window_joined as instance_get_active_by_window_joined,
    instance_get_all as instance_get_all,
    instance_get_all_by_filters as instance_get_all_by_filters,
    instance_get_all_by_filters_sort as instance_get_all_by_filters_sort,
    instance_get_all_by_grantee_security_groups as instance_get_all_by_grantee_security_groups,
    instance_get_all_by_host as instance_get_all_by_host,
    instance_get_all_by_host_and_node as instance_get_all_by_host_and_node,
    instance_get_all_by_host_and_not_type as instance_get_all_by_host_and_not_type,
    instance_get_all_hung_in_rebooting as instance_get_all_hung_in_rebooting,
    instance_get_by_uuid as instance_get_by_uuid,
    instance_get_many as instance_get_many,
)
from nova_sqlcore.queries.compute.metadata import (
    instance_metadata_delete as instance_metadata_delete,
    instance_metadata_get as instance_metadata_get,
    instance_metadata_update as instance_metadata_update,
    instance_system_metadata_get as instance_system_metadata_get,
    instance_system_metadata_update as instance_system_metadata_update,
)
from nova_sqlcore.queries.compute.migrations import (
    migration_create as migration_create,
    migration_get as migration_get,
    migration_get_all_by_filters as migration_get_all_by_filters,
    migration_get_by_id_and_instance as migration_get_by_id_and_instance,
    migration_get_by_instance_and_status as migration_get_by_instance_and_status,
    migration_get_in_progress_by_host_and_node as migration_get_in_progress_by_host_and_node,
    migration_get_in_progress_by_instance as migration_get_in_progress_by_instance,
    migration_get_unconfirmed_by_dest_compute as migration_get_unconfirmed_by_dest_compute,
    migration_update as migration_update,
)
from nova_sqlcore.queries.compute.tags import (
    instance_tag_add as instance_tag_add,
    instance_tag_delete as instance_tag_delete,
    instance_tag_delete_all as instance_tag_delete_all,
    instance_tag_exists as instance_tag_exists,
    instance_tag_get_by_instance_uuid as instance_tag_get_by_instance_uuid,
    instance_tag_set as instance_tag_set,
)
from nova_sqlcore.queries.flavors.access import (
    flavor_access_add as flavor_access_add,
    flavor_access_get_by_flavor_id as flavor_access_get_by_flavor_id,
    flavor_access_remove as flavor_access_remove,
)
from nova_sqlcore.queries.flavors.extra_specs import (
    flavor_extra_specs_delete as flavor_extra_specs_delete,
    flavor_extra_specs_get as flavor_extra_specs_get,
    flavor_extra_specs_update_or_create as flavor_extra_specs_update_or_create,
)
from nova_sqlcore.queries.flavors.flavors import (
    flavor_create as flavor_create,
    flavor_destroy as flavor_destroy,
    flavor_get as flavor_get,
    flavor_get_all as flavor_get_all,
    flavor_get_by_flavor_id as flavor_get_by_flavor_id,
    flavor_get_by_name as flavor_get_by_name,
)
from nova_sqlcore.queries.hosts.agent_builds import (
    agent_build_create as agent_build_create,
    agent_build_destroy as agent_build_destroy,
    agent_build_get_all as agent_build_get_all,
    agent_build_get_by_triple as agent_build_get_by_triple,
    agent_build_update as agent_build_update,
)
from nova_sqlcore.queries.hosts.aggregates import (
    aggregate_create as aggregate_create,
    aggregate_delete as aggregate_delete,
    aggregate_get as aggregate_get,
    aggregate_get_all as aggregate_get_all,
    aggregate_get_by_host as aggregate_get_by_host,
    aggregate_get_by_metadata_key as aggregate_get_by_metadata_key,
    aggregate_host_add as aggregate_host_add,
    aggregate_host_delete as aggregate_host_delete,
    aggregate_host_get_all as aggregate_host_get_all,
    aggregate_metadata_add as aggregate_metadata_add,
    aggregate_metadata_delete as aggregate_metadata_delete,
    aggregate_metadata_get as aggregate_metadata_get,
    aggregate_metadata_get_by_host as aggregate_metadata_get_by_host,
    aggregate_update as aggregate_update,
)
from nova_sqlcore.queries.hosts.cells import (
    cell_create as cell_create,
    cell_delete as cell_delete,
    cell_get as cell_get,
    cell_get_all as cell_get_all,
    cell_update as cell_update,
)
from nova_sqlcore.queries.hosts.compute_nodes import (
    _compute_node_select as _compute_node_select,
    compute_node_create as compute_node_create,
    compute_node_delete as compute_node_delete,
    compute_node_get as compute_node_get,
    compute_node_get_all as compute_node_get_all,
    compute_node_get_all_by_host as compute_node_get_all_by_host,
    compute_node_get_by_host_and_nodename as compute_node_get_by_host_and_nodename,
    compute_node_get_model as compute_node_get_model,
    compute_node_search_by_hypervisor as compute_node_search_by_hypervisor,
    compute_node_statistics as compute_node_statistics,
    compute_node_update as compute_node_update,
    compute_nodes_get_by_service_id as compute_nodes_get_by_service_id,
    compute_nodes_update as compute_nodes_update,
)
from nova_sqlcore.queries.hosts.pci_devices import (
    pci_device_destroy as pci_device_destroy,
    pci_device_get_all_by_instance_uuid as pci_device_get_all_by_instance_uuid,
    pci_device_get_all_by_node as pci_device_get_all_by_node,
    pci_device_get_all_by_parent_addr as pci_device_get_all_by_parent_addr,
    pci_device_get_by_addr as pci_device_get_by_addr,
    pci_device_get_by_id as pci_device_get_by_id,
    pci_device_update as pci_device_update,
)
from nova_sqlcore.queries.hosts.services import (
    service_create as service_create,
    service_destroy as service_destroy,
    service_get as service_get,
    service_get_all as service_get_all,
    service_get_all_by_binary as service_get_all_by_binary,
    service_get_all_by_host as service_get_all_by_host,
    service_get_all_by_topic as service_get_all_by_topic,
    service_get_by_compute_host as service_get_by_compute_host,
    service_get_by_host_and_binary as service_get_by_host_and_binary,
    service_get_by_host_and_topic as service_get_by_host_and_topic,
    service_get_minimum_version as service_get_minimum_version,
    service_update as service_update,
    services_heartbeat as services_heartbeat,
)
from nova_sqlcore.queries.hosts.task_log import (
    task_log_begin_task as task_log_begin_task,
    task_log_end_task as task_log_end_task,
    task_log_get as task_log_get,
    task_log_get_all as task_log_get_all,
)
from nova_sqlcore.queries.hosts.usage_caches import (
    bw_usage_get as bw_usage_get,
    bw_usage_get_by_uuids as bw_usage_get_by_uuids,
    bw_usage_update as bw_usage_update,
    vol_get_usage_by_time as vol_get_usage_by_time,
    vol_usage_update as vol_usage_update,
)
from nova_sqlcore.queries.maintenance.archive import (
    archive_deleted_rows as archive_deleted_rows,
)
from nova_sqlcore.queries.maintenance.online_migrations import (
    aggregate_uuids_online_data_migration as aggregate_uuids_online_data_migration,
    computenode_uuids_online_data_migration as computenode_uuids_online_data_migration,
    pcidevice_online_data_migration as pcidevice_online_data_migration,
)
from nova_sqlcore.queries.network.dns_domains import (
    dnsdomain_get as dnsdomain_get,
    dnsdomain_get_all as dnsdomain_get_all,
    dnsdomain_register_for_project as dnsdomain_register_for_project,
    dnsdomain_register_for_zone as dnsdomain_register_for_zone,
    dnsdomain_unregister as dnsdomain_unregister,
)
from nova_sqlcore.queries.network.fixed_ips import (
    fixed_ip_associate as fixed_ip_associate,
    fixed_ip_associate_pool as fixed_ip_associate_pool,
    fixed_ip_bulk_create as fixed_ip_bulk_create,
    fixed_ip_create as fixed_ip_create,
    fixed_ip_disassociate as fixed_ip_disassociate,
    fixed_ip_disassociate_all_by_timeout as fixed_ip_disassociate_all_by_timeout,
    fixed_ip_get as fixed_ip_get,
    fixed_ip_get_all as fixed_ip_get_all,
    fixed_ip_get_by_address as fixed_ip_get_by_address,
    fixed_ip_get_by_floating_address as fixed_ip_get_by_floating_address,
    fixed_ip_get_by_host as fixed_ip_get_by_host,
    fixed_ip_get_by_instance as fixed_ip_get_by_instance,
    fixed_ip_get_by_network_host as fixed_ip_get_by_network_host,
    fixed_ip_update as fixed_ip_update,
    fixed_ips_by_virtual_interface as fixed_ips_by_virtual_interface,
)
from nova_sqlcore.queries.network.floating_ips import (
    floating_ip_allocate_address as floating_ip_allocate_address,
    floating_ip_bulk_create as floating_ip_bulk_create,
    floating_ip_bulk_destroy as floating_ip_bulk_destroy,
    floating_ip_create as floating_ip_create,
    floating_ip_deallocate as floating_ip_deallocate,
    floating_ip_destroy as floating_ip_destroy,
    floating_ip_disassociate as floating_ip_disassociate,
    floating_ip_fixed_ip_associate as floating_ip_fixed_ip_associate,
    floating_ip_get as floating_ip_get,
    floating_ip_get_all as floating_ip_get_all,
    floating_ip_get_all_by_host as floating_ip_get_all_by_host,
    floating_ip_get_all_by_project as floating_ip_get_all_by_project,
    floating_ip_get_by_address as floating_ip_get_by_address,
    floating_ip_get_by_fixed_address as floating_ip_get_by_fixed_address,
    floating_ip_get_by_fixed_ip_id as floating_ip_get_by_fixed_ip_id,
    floating_ip_get_pools as floating_ip_get_pools,
    floating_ip_update as floating_ip_update,
)
from nova_sqlcore.queries.network.networks import (
    network_associate as network_associate,
    network_count_reserved_ips as network_count_reserved_ips,
    network_create_safe as network_create_safe,
    network_delete_safe as network_delete_safe,
    network_disassociate as network_disassociate,
    network_get as network_get,
    network_get_all as network_get_all,
    network_get_all_by_host as network_get_all_by_host,
    network_get_all_by_uuids as network_get_all_by_uuids,
    network_get_associated_fixed_ips as network_get_associated_fixed_ips,
    network_get_by_cidr as network_get_by_cidr,
    network_get_by_uuid as network_get_by_uuid,
    network_in_use_on_host as network_in_use_on_host,
    network_set_host as network_set_host,
    network_update as network_update,
    project_get_networks as project_get_networks,
)
from nova_sqlcore.queries.network.virtual_interfaces import (
    virtual_interface_create as virtual_interface_create,
    virtual_interface_delete_by_instance as virtual_interface_delete_by_instance,
    virtual_interface_get as virtual_interface_get,
    virtual_interface_get_all as virtual_interface_get_all,
    virtual_interface_get_by_address as virtual_interface_get_by_address,
    virtual_interface_get_by_instance as virtual_interface_get_by_instance,
    virtual_interface_get_by_instance_and_network as virtual_interface_get_by_instance_and_network,
    virtual_interface_get_by_uuid as virtual_interface_get_by_uuid,
)
from nova_sqlcore.queries.quota.counts import (
    QUOTA_SYNC_FUNCTIONS as QUOTA_SYNC_FUNCTIONS,
)
from nova_sqlcore.queries.quota.limits import (
    _DEFAULT_QUOTA_NAME as _DEFAULT_QUOTA_NAME,
    quota_class_create as quota_class_create,
    quota_class_get as quota_class_get,
    quota_class_get_all_by_name as quota_class_get_all_by_name,
    quota_class_get_default as quota_class_get_default,
    quota_class_update as quota_class_update,
    quota_create as quota_create,
    quota_destroy_all_by_project as quota_destroy_all_by_project,
    quota_destroy_all_by_project_and_user as quota_destroy_all_by_project_and_user,
    quota_get as quota_get,
    quota_get_all as quota_get_all,
    quota_get_all_by_project as quota_get_all_by_project,
    quota_get_all_by_project_and_user as quota_get_all_by_project_and_user,
    quota_update as quota_update,
)
from nova_sqlcore.queries.quota.reservations import (
    quota_reserve as quota_reserve,
    reservation_commit as reservation_commit,
    reservation_expire as reservation_expire,
    reservation_rollback as reservation_rollback,
)
from nova_sqlcore.queries.quota.usages import (
    PER_PROJECT_QUOTAS as PER_PROJECT_QUOTAS,
    quota_usage_get as quota_usage_get,
    quota_usage_get_all_by_project as quota_usage_get_all_by_project,
    quota_usage_get_all_by_project_and_user as quota_usage_get_all_by_project_and_user,
    quota_usage_update as quota_usage_update,
)
from nova_sqlcore.queries.reference import (
    api_context_manager as api_context_manager,
    configure as configure,
    create_context_manager as create_context_manager,
    get_api_engine as get_api_engine,
    get_context_manager as get_context_manager,
    get_engine as get_engine,
    main_context_manager as main_context_manager,
    model_query as model_query,
    pick_context_manager_reader as pick_context_manager_reader,
    pick_context_manager_reader_allow_async as pick_context_manager_reader_allow_async,
    pick_context_manager_writer as pick_context_manager_writer,
    require_aggregate_exists as require_aggregate_exists,
    require_instance_exists_using_uuid as require_instance_exists_using_uuid,
    select_db_reader_mode as select_db_reader_mode,
)
from nova_sqlcore.queries.security.certificates import (
    certificate_create as certificate_create,
    certificate_get_all_by_project as certificate_get_all_by_project,
    certificate_get_all_by_user as certificate_get_all_by_user,
    certificate_get_all_by_user_and_project as certificate_get_all_by_user_and_project,
)
from nova_sqlcore.queries.security.default_rules import (
    security_group_default_rule_create as security_group_default_rule_create,
    security_group_default_rule_destroy as security_group_default_rule_destroy,
    security_group_default_rule_get as security_group_default_rule_get,
    security_group_default_rule_list as security_group_default_rule_list,
)
from nova_sqlcore.queries.security.groups import (
    security_group_create as security_group_create,
    security_group_destroy as security_group_destroy,
    security_group_ensure_default as security_group_ensure_default,
    security_group_get as security_group_get,
    security_group_get_all as security_group_get_all,
    security_group_get_by_instance as security_group_get_by_instance,
    security_group_get_by_name as security_group_get_by_name,
    security_group_get_by_project as security_group_get_by_project,
    security_group_in_use as security_group_in_use,
    security_group_update as security_group_update,
)
from nova_sqlcore.queries.security.key_pairs import (
    key_pair_count_by_user as key_pair_count_by_user,
    key_pair_create as key_pair_create,
    key_pair_destroy as key_pair_destroy,
    key_pair_get as key_pair_get,
    key_pair_get_all_by_user as key_pair_get_all_by_user,
)
from nova_sqlcore.queries.security.provider_fw_rules import (
    provider_fw_rule_create as provider_fw_rule_create,
    provider_fw_rule_destroy as provider_fw_rule_destroy,
    provider_fw_rule_get_all as provider_fw_rule_get_all,
)
from nova_sqlcore.queries.security.rules import (
    security_group_rule_count_by_group as security_group_rule_count_by_group,
    security_group_rule_create as security_group_rule_create,
    security_group_rule_destroy as security_group_rule_destroy,
    security_group_rule_get as security_group_rule_get,
    security_group_rule_get_by_instance as security_group_rule_get_by_instance,
    security_group_rule_get_by_security_group as security_group_rule_get_by_security_group,
)
from nova_sqlcore.queries.storage.block_devices import (
    block_device_mapping_create as block_device_mapping_create,
    block_device_mapping_destroy as block_device_mapping_destroy,
    block_device_mapping_destroy_by_instance_and_device as block_device_mapping_destroy_by_instance_and_device,
    block_device_mapping_destroy_by_instance_and_volume as block_device_mapping_destroy_by_instance_and_volume,
    block_device_mapping_get_all_by_instance as block_device_mapping_get_all_by_instance,
    block_device_mapping_get_all_by_instance_uuids as block_device_mapping_get_all_by_instance_uuids,
    block_device_mapping_get_all_by_volume_id as block_device_mapping_get_all_by_volume_id,
    block_device_mapping_get_by_instance_and_volume_id as block_device_mapping_get_by_instance_and_volume_id,
    block_device_mapping_update as block_device_mapping_update,
    block_device_mapping_update_or_create as block_device_mapping_update_or_create,
)
from nova_sqlcore.queries.storage.ec2_ids import (
    ec2_instance_create as ec2_instance_create,
    ec2_instance_get_by_id as ec2_instance_get_by_id,
    ec2_instance_get_by_uuid as ec2_instance_get_by_uuid,
    ec2_snapshot_create as ec2_snapshot_create,
    ec2_snapshot_get_by_ec2_id as ec2_snapshot_get_by_ec2_id,
    ec2_snapshot_get_by_uuid as ec2_snapshot_get_by_uuid,
    ec2_volume_create as ec2_volume_create,
    ec2_volume_get_by_id as ec2_volume_get_by_id,
    ec2_volume_get_by_uuid as ec2_volume_get_by_uuid,
    get_instance_uuid_by_ec2_id as get_instance_uuid_by_ec2_id,
    s3_image_create as s3_image_create,
    s3_image_get as s3_image_get,
    s3_image_get_by_uuid as s3_image_get_by_uuid,
)
from nova_sqlcore.tables import SHADOW_PREFIX as _SHADOW_TABLE_PREFIX  # noqa: F401  # one of the reference's names
from nova_sqlcore.tx import (
    wrap_db_retry as wrap_db_retry,
)

__all__: list[str]

def get_backend() -> ModuleType: ...
