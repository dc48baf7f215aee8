# SPDX-License-Identifier: Apache-2.0

"""What rows look like: a TypedDict for each table, and for the rows with children that functions return.

A test holds the tables' part against ``nova_sqlcore.tables``.
"""

from __future__ import annotations

import datetime  # noqa: TC003  # typing.get_type_hints looks it up
from typing import Any, NotRequired, TypedDict


class Timed(TypedDict):
    """The times that nearly every row has, in naive UTC."""

    created_at: datetime.datetime | None
    updated_at: datetime.datetime | None
    deleted_at: datetime.datetime | None


class SoftDeleted(Timed):
    """A row that is marked when it is deleted: 0, or its own id."""

    deleted: int


# -- instances and what hangs on them --


class Instance(SoftDeleted):
    """A row of ``instances``."""

    id: int
    internal_id: int | None
    user_id: str | None
    project_id: str | None
    image_ref: str | None
    kernel_id: str | None
    ramdisk_id: str | None
    launch_index: int | None
    key_name: str | None
    key_data: str | None
    power_state: int | None
    vm_state: str | None
    memory_mb: int | None
    vcpus: int | None
    hostname: str | None
    host: str | None
    user_data: str | None
    reservation_id: str | None
    launched_at: datetime.datetime | None
    terminated_at: datetime.datetime | None
    display_name: str | None
    display_description: str | None
    availability_zone: str | None
    locked: bool | None
    os_type: str | None
    launched_on: str | None
    instance_type_id: int | None
    vm_mode: str | None
    uuid: str
    architecture: str | None
    root_device_name: str | None
    access_ip_v4: str | None
    access_ip_v6: str | None
    config_drive: str | None
    task_state: str | None
    default_ephemeral_device: str | None
    default_swap_device: str | None
    progress: int | None
    auto_disk_config: bool | None
    shutdown_terminate: bool | None
    disable_terminate: bool | None
    root_gb: int | None
    ephemeral_gb: int | None
    cell_name: str | None
    node: str | None
    locked_by: str | None
    cleaned: int | None
    ephemeral_key_uuid: str | None


class InstanceWithName(Instance):
    """An instance without children: its columns and the computed name."""

    name: str


class InstanceWithChildren(Instance):
    """An instance with its computed name, and the children that were asked for or given."""

    name: str
    metadata: NotRequired[list[InstanceMetadata]]
    system_metadata: NotRequired[list[InstanceSystemMetadata]]
    info_cache: NotRequired[InstanceInfoCache | None]
    #: the long texts only where they were asked for
    extra: NotRequired[dict[str, Any] | None]
    security_groups: NotRequired[list[SecurityGroupWithChildren]]
    pci_devices: NotRequired[list[PCIDevice]]
    tags: NotRequired[list[Tag]]
    services: NotRequired[list[Service]]
    block_device_mapping: NotRequired[list[BlockDeviceMapping]]


class InstanceExtra(SoftDeleted):
    """A row of ``instance_extra``."""

    id: int
    instance_uuid: str
    numa_topology: str | None
    pci_requests: str | None
    flavor: str | None
    vcpu_model: str | None
    migration_context: str | None


class InstanceInfoCache(SoftDeleted):
    """A row of ``instance_info_caches``."""

    id: int
    network_info: str | None
    instance_uuid: str


class InstanceMetadata(SoftDeleted):
    """A row of ``instance_metadata``."""

    id: int
    key: str | None
    value: str | None
    instance_uuid: str | None


class InstanceSystemMetadata(SoftDeleted):
    """A row of ``instance_system_metadata``."""

    id: int
    instance_uuid: str
    key: str
    value: str | None


class InstanceFault(SoftDeleted):
    """A row of ``instance_faults``."""

    id: int
    instance_uuid: str | None
    code: int
    message: str | None
    details: str | None
    host: str | None


class InstanceAction(SoftDeleted):
    """A row of ``instance_actions``."""

    id: int
    action: str | None
    instance_uuid: str | None
    request_id: str | None
    user_id: str | None
    project_id: str | None
    start_time: datetime.datetime | None
    finish_time: datetime.datetime | None
    message: str | None


class InstanceActionEvent(SoftDeleted):
    """A row of ``instance_actions_events``."""

    id: int
    event: str | None
    action_id: int | None
    start_time: datetime.datetime | None
    finish_time: datetime.datetime | None
    result: str | None
    traceback: str | None
    host: str | None
    details: str | None


class StartedActionEvent(InstanceActionEvent):
    """An event with the names of its action that it was started under."""

    instance_uuid: str
    request_id: str


class InstanceIdMapping(SoftDeleted):
    """A row of ``instance_id_mappings``."""

    id: int
    uuid: str


class BlockDeviceMapping(SoftDeleted):
    """A row of ``block_device_mapping``."""

    id: int
    device_name: str | None
    delete_on_termination: bool | None
    snapshot_id: str | None
    volume_id: str | None
    volume_size: int | None
    no_device: bool | None
    connection_info: str | None
    instance_uuid: str | None
    source_type: str | None
    destination_type: str | None
    guest_format: str | None
    device_type: str | None
    disk_bus: str | None
    boot_index: int | None
    image_id: str | None


class BlockDeviceMappingWithInstance(BlockDeviceMapping):
    """A mapping with its instance where that is asked for; a soft-deleted mapping has None there."""

    instance: NotRequired[InstanceWithName | None]


class VirtualInterface(SoftDeleted):
    """A row of ``virtual_interfaces``."""

    id: int
    address: str | None
    network_id: int | None
    uuid: str | None
    instance_uuid: str | None


class Tag(TypedDict):
    """A row of ``tags``."""

    resource_id: str
    tag: str


# -- hosts, scheduling and moves --


class Service(SoftDeleted):
    """A row of ``services``."""

    id: int
    host: str | None
    binary: str | None
    topic: str | None
    report_count: int
    disabled: bool | None
    disabled_reason: str | None
    last_seen_up: datetime.datetime | None
    forced_down: bool | None
    version: int | None


class ComputeNode(SoftDeleted):
    """A row of ``compute_nodes``."""

    id: int
    service_id: int | None
    vcpus: int
    memory_mb: int
    local_gb: int
    vcpus_used: int
    memory_mb_used: int
    local_gb_used: int
    hypervisor_type: str
    hypervisor_version: int
    cpu_info: str
    disk_available_least: int | None
    free_ram_mb: int | None
    free_disk_gb: int | None
    current_workload: int | None
    running_vms: int | None
    hypervisor_hostname: str | None
    host_ip: str | None
    supported_instances: str | None
    pci_stats: str | None
    metrics: str | None
    extra_resources: str | None
    stats: str | None
    numa_topology: str | None
    host: str | None
    ram_allocation_ratio: float | None
    cpu_allocation_ratio: float | None
    uuid: str | None
    disk_allocation_ratio: float | None


class ComputeNodeWithInventory(ComputeNode):
    """A compute node, with what its resource provider tells of it; None where nobody has told."""

    inv_memory_mb: int | None
    inv_memory_mb_reserved: int | None
    inv_ram_allocation_ratio: float | None
    inv_memory_mb_used: int | None
    inv_vcpus: int | None
    inv_cpu_allocation_ratio: float | None
    inv_vcpus_used: int | None
    inv_local_gb: int | None
    inv_local_gb_reserved: int | None
    inv_disk_allocation_ratio: float | None
    inv_local_gb_used: int | None


class Aggregate(SoftDeleted):
    """A row of ``aggregates``."""

    id: int
    name: str | None
    uuid: str | None


class AggregateWithChildren(Aggregate):
    """An aggregate with its live hosts, in the order in which they were added, and its live metadata."""

    hosts: list[str]
    metadetails: dict[str, str]
    #: the metadata of that key
    availability_zone: str | None


class AggregateHost(SoftDeleted):
    """A row of ``aggregate_hosts``."""

    id: int
    host: str | None
    aggregate_id: int


class AggregateMetadata(SoftDeleted):
    """A row of ``aggregate_metadata``."""

    id: int
    aggregate_id: int
    key: str
    value: str


class InstanceGroup(SoftDeleted):
    """A row of ``instance_groups``."""

    id: int
    user_id: str | None
    project_id: str | None
    uuid: str
    name: str | None


class InstanceGroupWithChildren(InstanceGroup):
    """A server group with its live policies and the uuids of its live members, in the order of their rows."""

    policies: list[str]
    members: list[str]


class InstanceGroupMember(SoftDeleted):
    """A row of ``instance_group_member``."""

    id: int
    instance_id: str | None
    group_id: int


class InstanceGroupPolicy(SoftDeleted):
    """A row of ``instance_group_policy``."""

    id: int
    policy: str | None
    group_id: int


class PCIDevice(SoftDeleted):
    """A row of ``pci_devices``."""

    id: int
    compute_node_id: int
    address: str
    product_id: str
    vendor_id: str
    dev_type: str
    dev_id: str | None
    label: str
    status: str
    extra_info: str | None
    instance_uuid: str | None
    request_id: str | None
    numa_node: int | None
    parent_addr: str | None


class Migration(SoftDeleted):
    """A row of ``migrations``."""

    id: int
    source_compute: str | None
    dest_compute: str | None
    dest_host: str | None
    status: str | None
    instance_uuid: str | None
    old_instance_type_id: int | None
    new_instance_type_id: int | None
    source_node: str | None
    dest_node: str | None
    migration_type: str | None
    hidden: bool | None
    memory_total: int | None
    memory_processed: int | None
    memory_remaining: int | None
    disk_total: int | None
    disk_processed: int | None
    disk_remaining: int | None


class MigratingInstance(Instance):
    """What a migration tells of its instance: the columns, the name and all system metadata, deleted ones too."""

    name: str
    system_metadata: list[InstanceSystemMetadata]


class MigrationWithInstance(Migration):
    """A migration with its live instance."""

    instance: MigratingInstance | None


class ConsolePool(SoftDeleted):
    """A row of ``console_pools``."""

    id: int
    address: str | None
    username: str | None
    password: str | None
    console_type: str | None
    public_hostname: str | None
    host: str | None
    compute_host: str | None


class Console(SoftDeleted):
    """A row of ``consoles``."""

    id: int
    instance_name: str | None
    password: str | None
    port: int | None
    pool_id: int | None
    instance_uuid: str | None


class ConsoleWithPool(Console):
    """A console with the pool that it belongs to."""

    pool: ConsolePool | None


class ConsolePoolWithConsoles(ConsolePool):
    """A console pool with its consoles, by id."""

    consoles: list[Console]


class Cell(SoftDeleted):
    """A row of ``cells``."""

    id: int
    api_url: str | None
    weight_offset: float | None
    weight_scale: float | None
    name: str | None
    is_parent: bool | None
    transport_url: str


class AgentBuild(SoftDeleted):
    """A row of ``agent_builds``."""

    id: int
    hypervisor: str | None
    os: str | None
    architecture: str | None
    version: str | None
    url: str | None
    md5hash: str | None


class TaskLog(SoftDeleted):
    """A row of ``task_log``."""

    id: int
    task_name: str
    state: str
    host: str
    period_beginning: datetime.datetime
    period_ending: datetime.datetime
    message: str
    task_items: int | None
    errors: int | None


class BandwidthUsage(SoftDeleted):
    """A row of ``bw_usage_cache``."""

    id: int
    start_period: datetime.datetime
    last_refreshed: datetime.datetime | None
    bw_in: int | None
    bw_out: int | None
    mac: str | None
    uuid: str | None
    last_ctr_in: int | None
    last_ctr_out: int | None


class VolumeUsage(SoftDeleted):
    """A row of ``volume_usage_cache``."""

    id: int
    volume_id: str
    tot_last_refreshed: datetime.datetime | None
    tot_reads: int | None
    tot_read_bytes: int | None
    tot_writes: int | None
    tot_write_bytes: int | None
    curr_last_refreshed: datetime.datetime | None
    curr_reads: int | None
    curr_read_bytes: int | None
    curr_writes: int | None
    curr_write_bytes: int | None
    instance_uuid: str | None
    project_id: str | None
    user_id: str | None
    availability_zone: str | None


# -- flavors --


class Flavor(SoftDeleted):
    """A row of ``instance_types``."""

    name: str | None
    id: int
    memory_mb: int
    vcpus: int
    swap: int
    vcpu_weight: int | None
    flavorid: str | None
    rxtx_factor: float | None
    root_gb: int | None
    ephemeral_gb: int | None
    disabled: bool | None
    is_public: bool | None


class FlavorWithSpecs(Flavor):
    """A flavor with its live extra specs, value by key."""

    extra_specs: dict[str, str | None]


class FlavorExtraSpec(SoftDeleted):
    """A row of ``instance_type_extra_specs``."""

    id: int
    instance_type_id: int
    key: str | None
    value: str | None


class FlavorAccess(SoftDeleted):
    """A row of ``instance_type_projects``."""

    id: int
    instance_type_id: int
    project_id: str | None


# -- quotas --


class Quota(SoftDeleted):
    """A row of ``quotas``."""

    id: int
    project_id: str | None
    resource: str
    hard_limit: int | None


class ProjectUserQuota(SoftDeleted):
    """A row of ``project_user_quotas``."""

    id: int
    user_id: str
    project_id: str
    resource: str
    hard_limit: int | None


class QuotaClass(SoftDeleted):
    """A row of ``quota_classes``."""

    id: int
    class_name: str | None
    resource: str | None
    hard_limit: int | None


class QuotaUsage(SoftDeleted):
    """A row of ``quota_usages``."""

    id: int
    project_id: str | None
    resource: str
    in_use: int
    reserved: int
    until_refresh: int | None
    user_id: str | None


class QuotaUsageWithTotal(QuotaUsage):
    """A quota usage with the sum of what is in use and what is reserved."""

    total: int


class Reservation(SoftDeleted):
    """A row of ``reservations``."""

    id: int
    uuid: str
    usage_id: int
    project_id: str | None
    resource: str | None
    delta: int
    expire: datetime.datetime | None
    user_id: str | None


# -- networks and security groups --


class Network(SoftDeleted):
    """A row of ``networks``."""

    id: int
    injected: bool | None
    cidr: str | None
    netmask: str | None
    bridge: str | None
    gateway: str | None
    broadcast: str | None
    dns1: str | None
    vlan: int | None
    vpn_public_address: str | None
    vpn_public_port: int | None
    vpn_private_address: str | None
    dhcp_start: str | None
    project_id: str | None
    host: str | None
    cidr_v6: str | None
    gateway_v6: str | None
    label: str | None
    netmask_v6: str | None
    bridge_interface: str | None
    multi_host: bool | None
    dns2: str | None
    uuid: str | None
    priority: int | None
    rxtx_base: int | None
    mtu: int | None
    dhcp_server: str | None
    enable_dhcp: bool | None
    share_address: bool | None


class AssociatedFixedIP(TypedDict):
    """What ``network_get_associated_fixed_ips`` tells of a fixed IP and of who uses it."""

    address: str | None
    instance_uuid: str
    network_id: int | None
    allocated: bool | None
    leased: bool | None
    vif_id: int
    vif_address: str | None
    instance_hostname: str | None
    instance_updated: datetime.datetime | None
    instance_created: datetime.datetime | None
    default_route: bool


class FixedIP(SoftDeleted):
    """A row of ``fixed_ips``."""

    id: int
    address: str | None
    network_id: int | None
    allocated: bool | None
    leased: bool | None
    reserved: bool | None
    virtual_interface_id: int | None
    host: str | None
    instance_uuid: str | None


class FloatingIP(SoftDeleted):
    """A row of ``floating_ips``."""

    id: int
    address: str | None
    fixed_ip_id: int | None
    project_id: str | None
    host: str | None
    auto_assigned: bool | None
    pool: str | None
    interface: str | None


class InstanceOfFixedIP(Instance):
    """The instance that has a fixed IP."""

    name: str


class FixedIPWithRelations(FixedIP, total=False):
    """A fixed IP with what has been joined to it: what is live, and nothing to a deleted one."""

    network: Network | None
    instance: InstanceOfFixedIP | None
    virtual_interface: VirtualInterface | None
    floating_ips: list[FloatingIP]


class FloatingIPWithFixedIP(FloatingIP):
    """A floating IP with the fixed one that it is bound to, if both are live."""

    fixed_ip: FixedIPWithRelations | None


class FloatingIPPool(TypedDict):
    """A pool of floating IPs."""

    name: str | None


class DNSDomain(Timed):
    """A row of ``dns_domains``."""

    deleted: bool
    domain: str
    scope: str | None
    availability_zone: str | None
    project_id: str | None


class SecurityGroup(SoftDeleted):
    """A row of ``security_groups``."""

    id: int
    name: str | None
    description: str | None
    user_id: str | None
    project_id: str | None


class SecurityGroupMembership(SoftDeleted):
    """A row of ``security_group_instance_association``."""

    id: int
    security_group_id: int | None
    instance_uuid: str | None


class SecurityGroupRule(SoftDeleted):
    """A row of ``security_group_rules``."""

    id: int
    parent_group_id: int | None
    protocol: str | None
    from_port: int | None
    to_port: int | None
    cidr: str | None
    group_id: int | None


class MemberInstance(Instance):
    """An instance of a security group; the last two keys are there if they were asked for."""

    name: str
    info_cache: NotRequired[InstanceInfoCache | None]
    system_metadata: NotRequired[list[InstanceSystemMetadata]]


class GranteeGroup(SecurityGroup):
    """A group that a rule grants access to; it has instances if they were asked for."""

    instances: NotRequired[list[MemberInstance]]


class SecurityGroupRuleWithGroups(SecurityGroupRule):
    """A rule of a security group, with the groups that were asked for or given."""

    parent_group: NotRequired[SecurityGroup | None]
    grantee_group: NotRequired[GranteeGroup | None]


class SecurityGroupWithChildren(SecurityGroup):
    """A security group, with the children that were asked for or given."""

    rules: NotRequired[list[SecurityGroupRuleWithGroups]]
    instances: NotRequired[list[MemberInstance]]


class SecurityGroupDefaultRule(SoftDeleted):
    """A row of ``security_group_default_rules``."""

    id: int
    protocol: str | None
    from_port: int | None
    to_port: int | None
    cidr: str | None


class ProviderFirewallRule(SoftDeleted):
    """A row of ``provider_fw_rules``."""

    id: int
    protocol: str | None
    from_port: int | None
    to_port: int | None
    cidr: str | None


# -- Keys and numbers for the EC2 interface --


class KeyPair(SoftDeleted):
    """A row of ``key_pairs``."""

    id: int
    name: str
    user_id: str | None
    fingerprint: str | None
    public_key: str | None
    type: str


class Certificate(SoftDeleted):
    """A row of ``certificates``."""

    id: int
    user_id: str | None
    project_id: str | None
    file_name: str | None


class S3Image(SoftDeleted):
    """A row of ``s3_images``."""

    id: int
    uuid: str


class VolumeIdMapping(SoftDeleted):
    """A row of ``volume_id_mappings``."""

    id: int
    uuid: str


class SnapshotIdMapping(SoftDeleted):
    """A row of ``snapshot_id_mappings``."""

    id: int
    uuid: str


class Snapshot(Timed):
    """A row of ``snapshots``."""

    id: str
    volume_id: str
    user_id: str | None
    project_id: str | None
    status: str | None
    progress: str | None
    volume_size: int | None
    scheduled_at: datetime.datetime | None
    display_name: str | None
    display_description: str | None
    deleted: str


# -- placement, first design --


class ResourceProvider(TypedDict):
    """A row of ``resource_providers``."""

    id: int
    uuid: str
    name: str | None
    generation: int | None
    can_host: int | None


class Inventory(TypedDict):
    """A row of ``inventories``."""

    id: int
    resource_provider_id: int
    resource_class_id: int
    total: int
    reserved: int
    min_unit: int
    max_unit: int
    step_size: int
    allocation_ratio: float


class Allocation(TypedDict):
    """A row of ``allocations``."""

    id: int
    resource_provider_id: int
    consumer_id: str
    resource_class_id: int
    used: int


class ResourceProviderAggregate(TypedDict):
    """A row of ``resource_provider_aggregates``."""

    resource_provider_id: int
    aggregate_id: int
