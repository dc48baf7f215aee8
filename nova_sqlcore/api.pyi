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
)
from nova_sqlcore.queries.common.constraints import (
    EqualityCondition as EqualityCondition,
)
from nova_sqlcore.queries.common.constraints import (
    InequalityCondition as InequalityCondition,
)
from nova_sqlcore.queries.common.constraints import (
    constraint as constraint,
)
from nova_sqlcore.queries.common.constraints import (
    equal_any as equal_any,
)
from nova_sqlcore.queries.common.constraints import (
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
)
from nova_sqlcore.queries.compute.actions import (
    action_event_get_by_id as action_event_get_by_id,
)
from nova_sqlcore.queries.compute.actions import (
    action_event_start as action_event_start,
)
from nova_sqlcore.queries.compute.actions import (
    action_events_get as action_events_get,
)
from nova_sqlcore.queries.compute.actions import (
    action_finish as action_finish,
)
from nova_sqlcore.queries.compute.actions import (
    action_get_by_request_id as action_get_by_request_id,
)
from nova_sqlcore.queries.compute.actions import (
    action_start as action_start,
)
from nova_sqlcore.queries.compute.actions import (
    actions_get as actions_get,
)
from nova_sqlcore.queries.compute.changes import (
    instance_add_security_group as instance_add_security_group,
)
from nova_sqlcore.queries.compute.changes import (
    instance_create as instance_create,
)
from nova_sqlcore.queries.compute.changes import (
    instance_destroy as instance_destroy,
)
from nova_sqlcore.queries.compute.changes import (
    instance_remove_security_group as instance_remove_security_group,
)
from nova_sqlcore.queries.compute.changes import (
    instance_update as instance_update,
)
from nova_sqlcore.queries.compute.changes import (
    instance_update_and_get_original as instance_update_and_get_original,
)
from nova_sqlcore.queries.compute.changes import (
    instance_update_many as instance_update_many,
)
from nova_sqlcore.queries.compute.changes import (
    instances_create as instances_create,
)
from nova_sqlcore.queries.compute.consoles import (
    console_create as console_create,
)
from nova_sqlcore.queries.compute.consoles import (
    console_delete as console_delete,
)
from nova_sqlcore.queries.compute.consoles import (
    console_get as console_get,
)
from nova_sqlcore.queries.compute.consoles import (
    console_get_all_by_instance as console_get_all_by_instance,
)
from nova_sqlcore.queries.compute.consoles import (
    console_get_by_pool_instance as console_get_by_pool_instance,
)
from nova_sqlcore.queries.compute.consoles import (
    console_pool_create as console_pool_create,
)
from nova_sqlcore.queries.compute.consoles import (
    console_pool_get_all_by_host_type as console_pool_get_all_by_host_type,
)
from nova_sqlcore.queries.compute.consoles import (
    console_pool_get_by_host_type as console_pool_get_by_host_type,
)
from nova_sqlcore.queries.compute.extra import (
    instance_extra_get_by_instance_uuid as instance_extra_get_by_instance_uuid,
)
from nova_sqlcore.queries.compute.extra import (
    instance_extra_update_by_uuid as instance_extra_update_by_uuid,
)
from nova_sqlcore.queries.compute.faults import (
    instance_fault_create as instance_fault_create,
)
from nova_sqlcore.queries.compute.faults import (
    instance_fault_get_by_instance_uuids as instance_fault_get_by_instance_uuids,
)
from nova_sqlcore.queries.compute.groups import (
    instance_group_create as instance_group_create,
)
from nova_sqlcore.queries.compute.groups import (
    instance_group_delete as instance_group_delete,
)
from nova_sqlcore.queries.compute.groups import (
    instance_group_get as instance_group_get,
)
from nova_sqlcore.queries.compute.groups import (
    instance_group_get_all as instance_group_get_all,
)
from nova_sqlcore.queries.compute.groups import (
    instance_group_get_all_by_project_id as instance_group_get_all_by_project_id,
)
from nova_sqlcore.queries.compute.groups import (
    instance_group_get_by_instance as instance_group_get_by_instance,
)
from nova_sqlcore.queries.compute.groups import (
    instance_group_member_delete as instance_group_member_delete,
)
from nova_sqlcore.queries.compute.groups import (
    instance_group_members_add as instance_group_members_add,
)
from nova_sqlcore.queries.compute.groups import (
    instance_group_members_get as instance_group_members_get,
)
from nova_sqlcore.queries.compute.groups import (
    instance_group_update as instance_group_update,
)
from nova_sqlcore.queries.compute.info_caches import (
    instance_info_cache_delete as instance_info_cache_delete,
)
from nova_sqlcore.queries.compute.info_caches import (
    instance_info_cache_get as instance_info_cache_get,
)
from nova_sqlcore.queries.compute.info_caches import (
    instance_info_cache_update as instance_info_cache_update,
)
from nova_sqlcore.queries.compute.instances import (
    instance_floating_address_get_all as instance_floating_address_get_all,
)
from nova_sqlcore.queries.compute.instances import (
    instance_get as instance_get,
)
from nova_sqlcore.queries.compute.instances import (
    instance_get_active_by_window_joined as instance_get_active_by_window_joined,
)
from nova_sqlcore.queries.compute.instances import (
    instance_get_all as instance_get_all,
)
from nova_sqlcore.queries.compute.instances import (
    instance_get_all_by_filters as instance_get_all_by_filters,
)
from nova_sqlcore.queries.compute.instances import (
    instance_get_all_by_filters_sort as instance_get_all_by_filters_sort,
)
from nova_sqlcore.queries.compute.instances import (
    instance_get_all_by_grantee_security_groups as instance_get_all_by_grantee_security_groups,
)
from nova_sqlcore.queries.compute.instances import (
    instance_get_all_by_host as instance_get_all_by_host,
)
from nova_sqlcore.queries.compute.instances import (
    instance_get_all_by_host_and_node as instance_get_all_by_host_and_node,
)
from nova_sqlcore.queries.compute.instances import (
    instance_get_all_by_host_and_not_type as instance_get_all_by_host_and_not_type,
)
from nova_sqlcore.queries.compute.instances import (
    instance_get_all_hung_in_rebooting as instance_get_all_hung_in_rebooting,
)
from nova_sqlcore.queries.compute.instances import (
    instance_get_by_uuid as instance_get_by_uuid,
)
from nova_sqlcore.queries.compute.instances import (
    instance_get_many as instance_get_many,
)
from nova_sqlcore.queries.compute.metadata import (
    instance_metadata_delete as instance_metadata_delete,
)
from nova_sqlcore.queries.compute.metadata import (
    instance_metadata_get as instance_metadata_get,
)
from nova_sqlcore.queries.compute.metadata import (
    instance_metadata_update as instance_metadata_update,
)
from nova_sqlcore.queries.compute.metadata import (
    instance_system_metadata_get as instance_system_metadata_get,
)
from nova_sqlcore.queries.compute.metadata import (
    instance_system_metadata_update as instance_system_metadata_update,
)
from nova_sqlcore.queries.compute.migrations import (
    migration_create as migration_create,
)
from nova_sqlcore.queries.compute.migrations import (
    migration_get as migration_get,
)
from nova_sqlcore.queries.compute.migrations import (
    migration_get_all_by_filters as migration_get_all_by_filters,
)
from nova_sqlcore.queries.compute.migrations import (
    migration_get_by_id_and_instance as migration_get_by_id_and_instance,
)
from nova_sqlcore.queries.compute.migrations import (
    migration_get_by_instance_and_status as migration_get_by_instance_and_status,
)
from nova_sqlcore.queries.compute.migrations import (
    migration_get_in_progress_by_host_and_node as migration_get_in_progress_by_host_and_node,
)
from nova_sqlcore.queries.compute.migrations import (
    migration_get_in_progress_by_instance as migration_get_in_progress_by_instance,
)
from nova_sqlcore.queries.compute.migrations import (
    migration_get_unconfirmed_by_dest_compute as migration_get_unconfirmed_by_dest_compute,
)
from nova_sqlcore.queries.compute.migrations import (
    migration_update as migration_update,
)
from nova_sqlcore.queries.compute.tags import (
    instance_tag_add as instance_tag_add,
)
from nova_sqlcore.queries.compute.tags import (
    instance_tag_delete as instance_tag_delete,
)
from nova_sqlcore.queries.compute.tags import (
    instance_tag_delete_all as instance_tag_delete_all,
)
from nova_sqlcore.queries.compute.tags import (
    instance_tag_exists as instance_tag_exists,
)
from nova_sqlcore.queries.compute.tags import (
    instance_tag_get_by_instance_uuid as instance_tag_get_by_instance_uuid,
)
from nova_sqlcore.queries.compute.tags import (
    instance_tag_set as instance_tag_set,
)
from nova_sqlcore.queries.flavors.access import (
    flavor_access_add as flavor_access_add,
)
from nova_sqlcore.queries.flavors.access import (
    flavor_access_get_by_flavor_id as flavor_access_get_by_flavor_id,
)
from nova_sqlcore.queries.flavors.access import (
    flavor_access_remove as flavor_access_remove,
)
from nova_sqlcore.queries.flavors.extra_specs import (
    flavor_extra_specs_delete as flavor_extra_specs_delete,
)
from nova_sqlcore.queries.flavors.extra_specs import (
    flavor_extra_specs_get as flavor_extra_specs_get,
)
from nova_sqlcore.queries.flavors.extra_specs import (
    flavor_extra_specs_update_or_create as flavor_extra_specs_update_or_create,
)
from nova_sqlcore.queries.flavors.flavors import (
    flavor_create as flavor_create,
)
from nova_sqlcore.queries.flavors.flavors import (
    flavor_destroy as flavor_destroy,
)
from nova_sqlcore.queries.flavors.flavors import (
    flavor_get as flavor_get,
)
from nova_sqlcore.queries.flavors.flavors import (
    flavor_get_all as flavor_get_all,
)
from nova_sqlcore.queries.flavors.flavors import (
    flavor_get_by_flavor_id as flavor_get_by_flavor_id,
)
from nova_sqlcore.queries.flavors.flavors import (
    flavor_get_by_name as flavor_get_by_name,
)
from nova_sqlcore.queries.hosts.agent_builds import (
    agent_build_create as agent_build_create,
)
from nova_sqlcore.queries.hosts.agent_builds import (
    agent_build_destroy as agent_build_destroy,
)
from nova_sqlcore.queries.hosts.agent_builds import (
    agent_build_get_all as agent_build_get_all,
)
from nova_sqlcore.queries.hosts.agent_builds import (
    agent_build_get_by_triple as agent_build_get_by_triple,
)
from nova_sqlcore.queries.hosts.agent_builds import (
    agent_build_update as agent_build_update,
)
from nova_sqlcore.queries.hosts.aggregates import (
    aggregate_create as aggregate_create,
)
from nova_sqlcore.queries.hosts.aggregates import (
    aggregate_delete as aggregate_delete,
)
from nova_sqlcore.queries.hosts.aggregates import (
    aggregate_get as aggregate_get,
)
from nova_sqlcore.queries.hosts.aggregates import (
    aggregate_get_all as aggregate_get_all,
)
from nova_sqlcore.queries.hosts.aggregates import (
    aggregate_get_by_host as aggregate_get_by_host,
)
from nova_sqlcore.queries.hosts.aggregates import (
    aggregate_get_by_metadata_key as aggregate_get_by_metadata_key,
)
from nova_sqlcore.queries.hosts.aggregates import (
    aggregate_host_add as aggregate_host_add,
)
from nova_sqlcore.queries.hosts.aggregates import (
    aggregate_host_delete as aggregate_host_delete,
)
from nova_sqlcore.queries.hosts.aggregates import (
    aggregate_host_get_all as aggregate_host_get_all,
)
from nova_sqlcore.queries.hosts.aggregates import (
    aggregate_metadata_add as aggregate_metadata_add,
)
from nova_sqlcore.queries.hosts.aggregates import (
    aggregate_metadata_delete as aggregate_metadata_delete,
)
from nova_sqlcore.queries.hosts.aggregates import (
    aggregate_metadata_get as aggregate_metadata_get,
)
from nova_sqlcore.queries.hosts.aggregates import (
    aggregate_metadata_get_by_host as aggregate_metadata_get_by_host,
)
from nova_sqlcore.queries.hosts.aggregates import (
    aggregate_update as aggregate_update,
)
from nova_sqlcore.queries.hosts.cells import (
    cell_create as cell_create,
)
from nova_sqlcore.queries.hosts.cells import (
    cell_delete as cell_delete,
)
from nova_sqlcore.queries.hosts.cells import (
    cell_get as cell_get,
)
from nova_sqlcore.queries.hosts.cells import (
    cell_get_all as cell_get_all,
)
from nova_sqlcore.queries.hosts.cells import (
    cell_update as cell_update,
)
from nova_sqlcore.queries.hosts.compute_nodes import (
    _compute_node_select as _compute_node_select,
)
from nova_sqlcore.queries.hosts.compute_nodes import (
    compute_node_create as compute_node_create,
)
from nova_sqlcore.queries.hosts.compute_nodes import (
    compute_node_delete as compute_node_delete,
)
from nova_sqlcore.queries.hosts.compute_nodes import (
    compute_node_get as compute_node_get,
)
from nova_sqlcore.queries.hosts.compute_nodes import (
    compute_node_get_all as compute_node_get_all,
)
from nova_sqlcore.queries.hosts.compute_nodes import (
    compute_node_get_all_by_host as compute_node_get_all_by_host,
)
from nova_sqlcore.queries.hosts.compute_nodes import (
    compute_node_get_by_host_and_nodename as compute_node_get_by_host_and_nodename,
)
from nova_sqlcore.queries.hosts.compute_nodes import (
    compute_node_get_model as compute_node_get_model,
)
from nova_sqlcore.queries.hosts.compute_nodes import (
    compute_node_search_by_hypervisor as compute_node_search_by_hypervisor,
)
from nova_sqlcore.queries.hosts.compute_nodes import (
    compute_node_statistics as compute_node_statistics,
)
from nova_sqlcore.queries.hosts.compute_nodes import (
    compute_node_update as compute_node_update,
)
from nova_sqlcore.queries.hosts.compute_nodes import (
    compute_nodes_get_by_service_id as compute_nodes_get_by_service_id,
)
from nova_sqlcore.queries.hosts.compute_nodes import (
    compute_nodes_update as compute_nodes_update,
)
from nova_sqlcore.queries.hosts.pci_devices import (
    pci_device_destroy as pci_device_destroy,
)
from nova_sqlcore.queries.hosts.pci_devices import (
    pci_device_get_all_by_instance_uuid as pci_device_get_all_by_instance_uuid,
)
from nova_sqlcore.queries.hosts.pci_devices import (
    pci_device_get_all_by_node as pci_device_get_all_by_node,
)
from nova_sqlcore.queries.hosts.pci_devices import (
    pci_device_get_all_by_parent_addr as pci_device_get_all_by_parent_addr,
)
from nova_sqlcore.queries.hosts.pci_devices import (
    pci_device_get_by_addr as pci_device_get_by_addr,
)
from nova_sqlcore.queries.hosts.pci_devices import (
    pci_device_get_by_id as pci_device_get_by_id,
)
from nova_sqlcore.queries.hosts.pci_devices import (
    pci_device_update as pci_device_update,
)
from nova_sqlcore.queries.hosts.services import (
    service_create as service_create,
)
from nova_sqlcore.queries.hosts.services import (
    service_destroy as service_destroy,
)
from nova_sqlcore.queries.hosts.services import (
    service_get as service_get,
)
from nova_sqlcore.queries.hosts.services import (
    service_get_all as service_get_all,
)
from nova_sqlcore.queries.hosts.services import (
    service_get_all_by_binary as service_get_all_by_binary,
)
from nova_sqlcore.queries.hosts.services import (
    service_get_all_by_host as service_get_all_by_host,
)
from nova_sqlcore.queries.hosts.services import (
    service_get_all_by_topic as service_get_all_by_topic,
)
from nova_sqlcore.queries.hosts.services import (
    service_get_by_compute_host as service_get_by_compute_host,
)
from nova_sqlcore.queries.hosts.services import (
    service_get_by_host_and_binary as service_get_by_host_and_binary,
)
from nova_sqlcore.queries.hosts.services import (
    service_get_by_host_and_topic as service_get_by_host_and_topic,
)
from nova_sqlcore.queries.hosts.services import (
    service_get_minimum_version as service_get_minimum_version,
)
from nova_sqlcore.queries.hosts.services import (
    service_update as service_update,
)
from nova_sqlcore.queries.hosts.services import (
    services_heartbeat as services_heartbeat,
)
from nova_sqlcore.queries.hosts.task_log import (
    task_log_begin_task as task_log_begin_task,
)
from nova_sqlcore.queries.hosts.task_log import (
    task_log_end_task as task_log_end_task,
)
from nova_sqlcore.queries.hosts.task_log import (
    task_log_get as task_log_get,
)
from nova_sqlcore.queries.hosts.task_log import (
    task_log_get_all as task_log_get_all,
)
from nova_sqlcore.queries.hosts.usage_caches import (
    bw_usage_get as bw_usage_get,
)
from nova_sqlcore.queries.hosts.usage_caches import (
    bw_usage_get_by_uuids as bw_usage_get_by_uuids,
)
from nova_sqlcore.queries.hosts.usage_caches import (
    bw_usage_update as bw_usage_update,
)
from nova_sqlcore.queries.hosts.usage_caches import (
    vol_get_usage_by_time as vol_get_usage_by_time,
)
from nova_sqlcore.queries.hosts.usage_caches import (
    vol_usage_update as vol_usage_update,
)
from nova_sqlcore.queries.maintenance.archive import (
    archive_deleted_rows as archive_deleted_rows,
)
from nova_sqlcore.queries.maintenance.online_migrations import (
    aggregate_uuids_online_data_migration as aggregate_uuids_online_data_migration,
)
from nova_sqlcore.queries.maintenance.online_migrations import (
    computenode_uuids_online_data_migration as computenode_uuids_online_data_migration,
)
from nova_sqlcore.queries.maintenance.online_migrations import (
    pcidevice_online_data_migration as pcidevice_online_data_migration,
)
from nova_sqlcore.queries.network.dns_domains import (
    dnsdomain_get as dnsdomain_get,
)
from nova_sqlcore.queries.network.dns_domains import (
    dnsdomain_get_all as dnsdomain_get_all,
)
from nova_sqlcore.queries.network.dns_domains import (
    dnsdomain_register_for_project as dnsdomain_register_for_project,
)
from nova_sqlcore.queries.network.dns_domains import (
    dnsdomain_register_for_zone as dnsdomain_register_for_zone,
)
from nova_sqlcore.queries.network.dns_domains import (
    dnsdomain_unregister as dnsdomain_unregister,
)
from nova_sqlcore.queries.network.fixed_ips import (
    fixed_ip_associate as fixed_ip_associate,
)
from nova_sqlcore.queries.network.fixed_ips import (
    fixed_ip_associate_pool as fixed_ip_associate_pool,
)
from nova_sqlcore.queries.network.fixed_ips import (
    fixed_ip_bulk_create as fixed_ip_bulk_create,
)
from nova_sqlcore.queries.network.fixed_ips import (
    fixed_ip_create as fixed_ip_create,
)
from nova_sqlcore.queries.network.fixed_ips import (
    fixed_ip_disassociate as fixed_ip_disassociate,
)
from nova_sqlcore.queries.network.fixed_ips import (
    fixed_ip_disassociate_all_by_timeout as fixed_ip_disassociate_all_by_timeout,
)
from nova_sqlcore.queries.network.fixed_ips import (
    fixed_ip_get as fixed_ip_get,
)
from nova_sqlcore.queries.network.fixed_ips import (
    fixed_ip_get_all as fixed_ip_get_all,
)
from nova_sqlcore.queries.network.fixed_ips import (
    fixed_ip_get_by_address as fixed_ip_get_by_address,
)
from nova_sqlcore.queries.network.fixed_ips import (
    fixed_ip_get_by_floating_address as fixed_ip_get_by_floating_address,
)
from nova_sqlcore.queries.network.fixed_ips import (
    fixed_ip_get_by_host as fixed_ip_get_by_host,
)
from nova_sqlcore.queries.network.fixed_ips import (
    fixed_ip_get_by_instance as fixed_ip_get_by_instance,
)
from nova_sqlcore.queries.network.fixed_ips import (
    fixed_ip_get_by_network_host as fixed_ip_get_by_network_host,
)
from nova_sqlcore.queries.network.fixed_ips import (
    fixed_ip_update as fixed_ip_update,
)
from nova_sqlcore.queries.network.fixed_ips import (
    fixed_ips_by_virtual_interface as fixed_ips_by_virtual_interface,
)
from nova_sqlcore.queries.network.floating_ips import (
    floating_ip_allocate_address as floating_ip_allocate_address,
)
from nova_sqlcore.queries.network.floating_ips import (
    floating_ip_bulk_create as floating_ip_bulk_create,
)
from nova_sqlcore.queries.network.floating_ips import (
    floating_ip_bulk_destroy as floating_ip_bulk_destroy,
)
from nova_sqlcore.queries.network.floating_ips import (
    floating_ip_create as floating_ip_create,
)
from nova_sqlcore.queries.network.floating_ips import (
    floating_ip_deallocate as floating_ip_deallocate,
)
from nova_sqlcore.queries.network.floating_ips import (
    floating_ip_destroy as floating_ip_destroy,
)
from nova_sqlcore.queries.network.floating_ips import (
    floating_ip_disassociate as floating_ip_disassociate,
)
from nova_sqlcore.queries.network.floating_ips import (
    floating_ip_fixed_ip_associate as floating_ip_fixed_ip_associate,
)
from nova_sqlcore.queries.network.floating_ips import (
    floating_ip_get as floating_ip_get,
)
from nova_sqlcore.queries.network.floating_ips import (
    floating_ip_get_all as floating_ip_get_all,
)
from nova_sqlcore.queries.network.floating_ips import (
    floating_ip_get_all_by_host as floating_ip_get_all_by_host,
)
from nova_sqlcore.queries.network.floating_ips import (
    floating_ip_get_all_by_project as floating_ip_get_all_by_project,
)
from nova_sqlcore.queries.network.floating_ips import (
    floating_ip_get_by_address as floating_ip_get_by_address,
)
from nova_sqlcore.queries.network.floating_ips import (
    floating_ip_get_by_fixed_address as floating_ip_get_by_fixed_address,
)
from nova_sqlcore.queries.network.floating_ips import (
    floating_ip_get_by_fixed_ip_id as floating_ip_get_by_fixed_ip_id,
)
from nova_sqlcore.queries.network.floating_ips import (
    floating_ip_get_pools as floating_ip_get_pools,
)
from nova_sqlcore.queries.network.floating_ips import (
    floating_ip_update as floating_ip_update,
)
from nova_sqlcore.queries.network.networks import (
    network_associate as network_associate,
)
from nova_sqlcore.queries.network.networks import (
    network_count_reserved_ips as network_count_reserved_ips,
)
from nova_sqlcore.queries.network.networks import (
    network_create_safe as network_create_safe,
)
from nova_sqlcore.queries.network.networks import (
    network_delete_safe as network_delete_safe,
)
from nova_sqlcore.queries.network.networks import (
    network_disassociate as network_disassociate,
)
from nova_sqlcore.queries.network.networks import (
    network_get as network_get,
)
from nova_sqlcore.queries.network.networks import (
    network_get_all as network_get_all,
)
from nova_sqlcore.queries.network.networks import (
    network_get_all_by_host as network_get_all_by_host,
)
from nova_sqlcore.queries.network.networks import (
    network_get_all_by_uuids as network_get_all_by_uuids,
)
from nova_sqlcore.queries.network.networks import (
    network_get_associated_fixed_ips as network_get_associated_fixed_ips,
)
from nova_sqlcore.queries.network.networks import (
    network_get_by_cidr as network_get_by_cidr,
)
from nova_sqlcore.queries.network.networks import (
    network_get_by_uuid as network_get_by_uuid,
)
from nova_sqlcore.queries.network.networks import (
    network_in_use_on_host as network_in_use_on_host,
)
from nova_sqlcore.queries.network.networks import (
    network_set_host as network_set_host,
)
from nova_sqlcore.queries.network.networks import (
    network_update as network_update,
)
from nova_sqlcore.queries.network.networks import (
    project_get_networks as project_get_networks,
)
from nova_sqlcore.queries.network.virtual_interfaces import (
    virtual_interface_create as virtual_interface_create,
)
from nova_sqlcore.queries.network.virtual_interfaces import (
    virtual_interface_delete_by_instance as virtual_interface_delete_by_instance,
)
from nova_sqlcore.queries.network.virtual_interfaces import (
    virtual_interface_get as virtual_interface_get,
)
from nova_sqlcore.queries.network.virtual_interfaces import (
    virtual_interface_get_all as virtual_interface_get_all,
)
from nova_sqlcore.queries.network.virtual_interfaces import (
    virtual_interface_get_by_address as virtual_interface_get_by_address,
)
from nova_sqlcore.queries.network.virtual_interfaces import (
    virtual_interface_get_by_instance as virtual_interface_get_by_instance,
)
from nova_sqlcore.queries.network.virtual_interfaces import (
    virtual_interface_get_by_instance_and_network as virtual_interface_get_by_instance_and_network,
)
from nova_sqlcore.queries.network.virtual_interfaces import (
    virtual_interface_get_by_uuid as virtual_interface_get_by_uuid,
)
from nova_sqlcore.queries.quota.counts import (
    QUOTA_SYNC_FUNCTIONS as QUOTA_SYNC_FUNCTIONS,
)
from nova_sqlcore.queries.quota.limits import (
    _DEFAULT_QUOTA_NAME as _DEFAULT_QUOTA_NAME,
)
from nova_sqlcore.queries.quota.limits import (
    quota_class_create as quota_class_create,
)
from nova_sqlcore.queries.quota.limits import (
    quota_class_get as quota_class_get,
)
from nova_sqlcore.queries.quota.limits import (
    quota_class_get_all_by_name as quota_class_get_all_by_name,
)
from nova_sqlcore.queries.quota.limits import (
    quota_class_get_default as quota_class_get_default,
)
from nova_sqlcore.queries.quota.limits import (
    quota_class_update as quota_class_update,
)
from nova_sqlcore.queries.quota.limits import (
    quota_create as quota_create,
)
from nova_sqlcore.queries.quota.limits import (
    quota_destroy_all_by_project as quota_destroy_all_by_project,
)
from nova_sqlcore.queries.quota.limits import (
    quota_destroy_all_by_project_and_user as quota_destroy_all_by_project_and_user,
)
from nova_sqlcore.queries.quota.limits import (
    quota_get as quota_get,
)
from nova_sqlcore.queries.quota.limits import (
    quota_get_all as quota_get_all,
)
from nova_sqlcore.queries.quota.limits import (
    quota_get_all_by_project as quota_get_all_by_project,
)
from nova_sqlcore.queries.quota.limits import (
    quota_get_all_by_project_and_user as quota_get_all_by_project_and_user,
)
from nova_sqlcore.queries.quota.limits import (
    quota_update as quota_update,
)
from nova_sqlcore.queries.quota.reservations import (
    quota_reserve as quota_reserve,
)
from nova_sqlcore.queries.quota.reservations import (
    reservation_commit as reservation_commit,
)
from nova_sqlcore.queries.quota.reservations import (
    reservation_expire as reservation_expire,
)
from nova_sqlcore.queries.quota.reservations import (
    reservation_rollback as reservation_rollback,
)
from nova_sqlcore.queries.quota.usages import (
    PER_PROJECT_QUOTAS as PER_PROJECT_QUOTAS,
)
from nova_sqlcore.queries.quota.usages import (
    quota_usage_get as quota_usage_get,
)
from nova_sqlcore.queries.quota.usages import (
    quota_usage_get_all_by_project as quota_usage_get_all_by_project,
)
from nova_sqlcore.queries.quota.usages import (
    quota_usage_get_all_by_project_and_user as quota_usage_get_all_by_project_and_user,
)
from nova_sqlcore.queries.quota.usages import (
    quota_usage_update as quota_usage_update,
)
from nova_sqlcore.queries.reference import (
    api_context_manager as api_context_manager,
)
from nova_sqlcore.queries.reference import (
    configure as configure,
)
from nova_sqlcore.queries.reference import (
    create_context_manager as create_context_manager,
)
from nova_sqlcore.queries.reference import (
    get_api_engine as get_api_engine,
)
from nova_sqlcore.queries.reference import (
    get_context_manager as get_context_manager,
)
from nova_sqlcore.queries.reference import (
    get_engine as get_engine,
)
from nova_sqlcore.queries.reference import (
    main_context_manager as main_context_manager,
)
from nova_sqlcore.queries.reference import (
    model_query as model_query,
)
from nova_sqlcore.queries.reference import (
    pick_context_manager_reader as pick_context_manager_reader,
)
from nova_sqlcore.queries.reference import (
    pick_context_manager_reader_allow_async as pick_context_manager_reader_allow_async,
)
from nova_sqlcore.queries.reference import (
    pick_context_manager_writer as pick_context_manager_writer,
)
from nova_sqlcore.queries.reference import (
    require_aggregate_exists as require_aggregate_exists,
)
from nova_sqlcore.queries.reference import (
    require_instance_exists_using_uuid as require_instance_exists_using_uuid,
)
from nova_sqlcore.queries.reference import (
    select_db_reader_mode as select_db_reader_mode,
)
from nova_sqlcore.queries.security.certificates import (
    certificate_create as certificate_create,
)
from nova_sqlcore.queries.security.certificates import (
    certificate_get_all_by_project as certificate_get_all_by_project,
)
from nova_sqlcore.queries.security.certificates import (
    certificate_get_all_by_user as certificate_get_all_by_user,
)
from nova_sqlcore.queries.security.certificates import (
    certificate_get_all_by_user_and_project as certificate_get_all_by_user_and_project,
)
from nova_sqlcore.queries.security.default_rules import (
    security_group_default_rule_create as security_group_default_rule_create,
)
from nova_sqlcore.queries.security.default_rules import (
    security_group_default_rule_destroy as security_group_default_rule_destroy,
)
from nova_sqlcore.queries.security.default_rules import (
    security_group_default_rule_get as security_group_default_rule_get,
)
from nova_sqlcore.queries.security.default_rules import (
    security_group_default_rule_list as security_group_default_rule_list,
)
from nova_sqlcore.queries.security.groups import (
    security_group_create as security_group_create,
)
from nova_sqlcore.queries.security.groups import (
    security_group_destroy as security_group_destroy,
)
from nova_sqlcore.queries.security.groups import (
    security_group_ensure_default as security_group_ensure_default,
)
from nova_sqlcore.queries.security.groups import (
    security_group_get as security_group_get,
)
from nova_sqlcore.queries.security.groups import (
    security_group_get_all as security_group_get_all,
)
from nova_sqlcore.queries.security.groups import (
    security_group_get_by_instance as security_group_get_by_instance,
)
from nova_sqlcore.queries.security.groups import (
    security_group_get_by_name as security_group_get_by_name,
)
from nova_sqlcore.queries.security.groups import (
    security_group_get_by_project as security_group_get_by_project,
)
from nova_sqlcore.queries.security.groups import (
    security_group_in_use as security_group_in_use,
)
from nova_sqlcore.queries.security.groups import (
    security_group_update as security_group_update,
)
from nova_sqlcore.queries.security.key_pairs import (
    key_pair_count_by_user as key_pair_count_by_user,
)
from nova_sqlcore.queries.security.key_pairs import (
    key_pair_create as key_pair_create,
)
from nova_sqlcore.queries.security.key_pairs import (
    key_pair_destroy as key_pair_destroy,
)
from nova_sqlcore.queries.security.key_pairs import (
    key_pair_get as key_pair_get,
)
from nova_sqlcore.queries.security.key_pairs import (
    key_pair_get_all_by_user as key_pair_get_all_by_user,
)
from nova_sqlcore.queries.security.provider_fw_rules import (
    provider_fw_rule_create as provider_fw_rule_create,
)
from nova_sqlcore.queries.security.provider_fw_rules import (
    provider_fw_rule_destroy as provider_fw_rule_destroy,
)
from nova_sqlcore.queries.security.provider_fw_rules import (
    provider_fw_rule_get_all as provider_fw_rule_get_all,
)
from nova_sqlcore.queries.security.rules import (
    security_group_rule_count_by_group as security_group_rule_count_by_group,
)
from nova_sqlcore.queries.security.rules import (
    security_group_rule_create as security_group_rule_create,
)
from nova_sqlcore.queries.security.rules import (
    security_group_rule_destroy as security_group_rule_destroy,
)
from nova_sqlcore.queries.security.rules import (
    security_group_rule_get as security_group_rule_get,
)
from nova_sqlcore.queries.security.rules import (
    security_group_rule_get_by_instance as security_group_rule_get_by_instance,
)
from nova_sqlcore.queries.security.rules import (
    security_group_rule_get_by_security_group as security_group_rule_get_by_security_group,
)
from nova_sqlcore.queries.storage.block_devices import (
    block_device_mapping_create as block_device_mapping_create,
)
from nova_sqlcore.queries.storage.block_devices import (
    block_device_mapping_destroy as block_device_mapping_destroy,
)
from nova_sqlcore.queries.storage.block_devices import (
    block_device_mapping_destroy_by_instance_and_device as block_device_mapping_destroy_by_instance_and_device,
)
from nova_sqlcore.queries.storage.block_devices import (
    block_device_mapping_destroy_by_instance_and_volume as block_device_mapping_destroy_by_instance_and_volume,
)
from nova_sqlcore.queries.storage.block_devices import (
    block_device_mapping_get_all_by_instance as block_device_mapping_get_all_by_instance,
)
from nova_sqlcore.queries.storage.block_devices import (
    block_device_mapping_get_all_by_instance_uuids as block_device_mapping_get_all_by_instance_uuids,
)
from nova_sqlcore.queries.storage.block_devices import (
    block_device_mapping_get_all_by_volume_id as block_device_mapping_get_all_by_volume_id,
)
from nova_sqlcore.queries.storage.block_devices import (
    block_device_mapping_get_by_instance_and_volume_id as block_device_mapping_get_by_instance_and_volume_id,
)
from nova_sqlcore.queries.storage.block_devices import (
    block_device_mapping_update as block_device_mapping_update,
)
from nova_sqlcore.queries.storage.block_devices import (
    block_device_mapping_update_or_create as block_device_mapping_update_or_create,
)
from nova_sqlcore.queries.storage.ec2_ids import (
    ec2_instance_create as ec2_instance_create,
)
from nova_sqlcore.queries.storage.ec2_ids import (
    ec2_instance_get_by_id as ec2_instance_get_by_id,
)
from nova_sqlcore.queries.storage.ec2_ids import (
    ec2_instance_get_by_uuid as ec2_instance_get_by_uuid,
)
from nova_sqlcore.queries.storage.ec2_ids import (
    ec2_snapshot_create as ec2_snapshot_create,
)
from nova_sqlcore.queries.storage.ec2_ids import (
    ec2_snapshot_get_by_ec2_id as ec2_snapshot_get_by_ec2_id,
)
from nova_sqlcore.queries.storage.ec2_ids import (
    ec2_snapshot_get_by_uuid as ec2_snapshot_get_by_uuid,
)
from nova_sqlcore.queries.storage.ec2_ids import (
    ec2_volume_create as ec2_volume_create,
)
from nova_sqlcore.queries.storage.ec2_ids import (
    ec2_volume_get_by_id as ec2_volume_get_by_id,
)
from nova_sqlcore.queries.storage.ec2_ids import (
    ec2_volume_get_by_uuid as ec2_volume_get_by_uuid,
)
from nova_sqlcore.queries.storage.ec2_ids import (
    get_instance_uuid_by_ec2_id as get_instance_uuid_by_ec2_id,
)
from nova_sqlcore.queries.storage.ec2_ids import (
    s3_image_create as s3_image_create,
)
from nova_sqlcore.queries.storage.ec2_ids import (
    s3_image_get as s3_image_get,
)
from nova_sqlcore.queries.storage.ec2_ids import (
    s3_image_get_by_uuid as s3_image_get_by_uuid,
)
from nova_sqlcore.tables import SHADOW_PREFIX as _SHADOW_TABLE_PREFIX  # noqa: F401  # one of the reference's names
from nova_sqlcore.tx import (
    wrap_db_retry as wrap_db_retry,
)

__all__: list[str]

def get_backend() -> ModuleType: ...
