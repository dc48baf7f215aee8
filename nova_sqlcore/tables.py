# SPDX-License-Identifier: Apache-2.0

"""The schema of the reference's main database: every table, and the shadow table of each for archived rows.

Rules that hold everywhere, and are not repeated at each table:

- a live row has ``deleted`` 0, a soft-deleted row has its own id there; unique keys end with ``deleted``, so that one
  live row and any number of dead ones share a natural key;
- times are naive UTC; ``created_at`` and ``updated_at`` are filled by the library;
- defaults are the library's, bound at each INSERT: the database itself has next to none;
- foreign keys are enforced by the MySQL family and PostgreSQL, not by sqlite.

The names of tables, columns, keys and indexes are the reference's own, odd ones included, so that a database that it
made is the database that these tables describe, except indexes that this library adds: those stand at the end.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa
from sqlalchemy import Column, Index, UniqueConstraint

from nova_sqlcore.core.types import (
    CIDR,
    BigInteger,
    Boolean,
    CountedPart,
    DateTime,
    Enum,
    Float,
    Integer,
    IPAddress,
    MediumText,
    String,
    Text,
)
from nova_sqlcore.schema.ddl import (
    MYSQL,
    NO_PART_OF_ROWS,
    LateMetaData,
    Reference,
    added_index,
    columns,
    dead_index,
    deleted,
    mysql_index,
    now,
    number,
    only_on,
    options_on,
    put_indexes_in_order,
    shadow,
    stored,
    times,
    zero_or_one,
)

if TYPE_CHECKING:
    from nova_sqlcore import rows
    from nova_sqlcore.core.handles import Table

    #: The shadow tables by the name of the main table.
    shadows: dict[str, sa.Table]

SHADOW_PREFIX = "shadow_"

metadata = LateMetaData()


def _table(name: str, *items: Any, collation: str = "utf8mb3_general_ci") -> Table[Any]:
    return cast("Table[Any]", stored(sa.Table(name, metadata, *items), collation))


# -- instances and what hangs on them --

# One row: a virtual machine: owner, sizes, host, states; memory in MiB, disks in GiB.
instances: Table[rows.Instance] = _table(
    "instances",
    *times(),
    number(),
    Column("internal_id", Integer),
    *columns(String(255), "user_id", "project_id", "image_ref", "kernel_id", "ramdisk_id"),
    Column("launch_index", Integer),
    Column("key_name", String(255)),
    Column("key_data", MediumText),
    Column("power_state", Integer),
    Column("vm_state", String(255)),
    *columns(Integer, "memory_mb", "vcpus"),
    *columns(String(255), "hostname", "host"),
    Column("user_data", MediumText),
    Column("reservation_id", String(255)),
    Column("scheduled_at", DateTime, info=NO_PART_OF_ROWS),
    *columns(DateTime, "launched_at", "terminated_at"),
    *columns(String(255), "display_name", "display_description", "availability_zone"),
    Column("locked", Boolean),
    Column("os_type", String(255)),
    Column("launched_on", MediumText),
    Column("instance_type_id", Integer),
    Column("vm_mode", String(255)),
    Column("uuid", String(36), nullable=False),
    *columns(String(255), "architecture", "root_device_name"),
    *columns(IPAddress(), "access_ip_v4", "access_ip_v6"),
    *columns(String(255), "config_drive", "task_state", "default_ephemeral_device", "default_swap_device"),
    Column("progress", Integer),
    Column("auto_disk_config", Boolean),
    Column("shutdown_terminate", Boolean, default=False),
    Column("disable_terminate", Boolean, default=False),
    *columns(Integer, "root_gb", "ephemeral_gb"),
    *columns(String(255), "cell_name", "node"),
    deleted(),
    Column("locked_by", Enum("owner", "admin", name="instances0locked_by")),
    Column("cleaned", Integer, default=0),
    Column("ephemeral_key_uuid", String(36)),
    UniqueConstraint("uuid", name="uniq_instances0uuid"),
    Index("uuid", "uuid", unique=True),
    Index("instances_deleted_created_at_idx", "deleted", "created_at"),
    Index("instances_host_deleted_cleaned_idx", "host", "deleted", "cleaned"),
    Index("instances_host_node_deleted_idx", "host", "node", "deleted"),
    Index("instances_project_id_deleted_idx", "project_id", "deleted"),
    Index("instances_reservation_id_idx", "reservation_id"),
    Index("instances_task_state_updated_at_idx", "task_state", "updated_at"),
    Index("instances_terminated_at_launched_at_idx", "terminated_at", "launched_at"),
    Index("instances_uuid_deleted_idx", "uuid", "deleted"),
    *zero_or_one("auto_disk_config", "disable_terminate", "locked", "shutdown_terminate"),
)

# One row: the wide parts of an instance (JSON), apart so that nobody reads them unasked.
instance_extra: Table[rows.InstanceExtra] = _table(
    "instance_extra",
    *times(),
    deleted(),
    number(),
    Column("instance_uuid", String(36), nullable=False),
    *columns(Text, "numa_topology", "pci_requests", "flavor", "vcpu_model", "migration_context"),
    Index("instance_extra_idx", "instance_uuid"),
    Reference("instance_uuid", "instances.uuid", sqlite=None),
)

# One row: the cached network description (JSON) of an instance.
instance_info_caches: Table[rows.InstanceInfoCache] = _table(
    "instance_info_caches",
    *times(),
    number(),
    Column("network_info", MediumText),
    Column("instance_uuid", String(36), nullable=False),
    deleted(),
    UniqueConstraint("instance_uuid", name="uniq_instance_info_caches0instance_uuid"),
    Reference("instance_uuid", "instances.uuid"),
)

# One row: a key with its value that the owner gave an instance.
instance_metadata: Table[rows.InstanceMetadata] = _table(
    "instance_metadata",
    *times(),
    number(),
    *columns(String(255), "key", "value"),
    Column("instance_uuid", String(36)),
    deleted(),
    Index("instance_metadata_instance_uuid_idx", "instance_uuid"),
    Reference("instance_uuid", "instances.uuid"),
)

# One row: a key with its value that the system gave an instance.
instance_system_metadata: Table[rows.InstanceSystemMetadata] = _table(
    "instance_system_metadata",
    *times(),
    number(),
    Column("instance_uuid", String(36), nullable=False),
    Column("key", String(255), nullable=False),
    Column("value", String(255)),
    deleted(),
    Index("instance_uuid", "instance_uuid"),
    Reference(
        "instance_uuid",
        "instances.uuid",
        mysql="instance_system_metadata_ibfk_1",
        sqlite="instance_system_metadata_ibfk_1",
    ),
)

# One row: an error that an instance met; the newest counts.
instance_faults: Table[rows.InstanceFault] = _table(
    "instance_faults",
    *times(),
    number(),
    Column("instance_uuid", String(36)),
    Column("code", Integer, nullable=False),
    Column("message", String(255)),
    Column("details", MediumText),
    Column("host", String(255)),
    deleted(),
    Index("instance_faults_host_idx", "host"),
    Index("instance_faults_instance_uuid_deleted_created_at_idx", "instance_uuid", "deleted", "created_at"),
    Reference(
        "instance_uuid",
        "instances.uuid",
        mysql="fk_instance_faults_instance_uuid",
        sqlite="fk_instance_faults_instance_uuid",
    ),
)

# One row: a request against an instance.
instance_actions: Table[rows.InstanceAction] = _table(
    "instance_actions",
    *times(),
    number(),
    Column("action", String(255)),
    Column("instance_uuid", String(36)),
    *columns(String(255), "request_id", "user_id", "project_id"),
    Column("start_time", DateTime, default=now),
    Column("finish_time", DateTime),
    Column("message", String(255)),
    deleted(),
    Index("instance_uuid_idx", "instance_uuid"),
    Index("request_id_idx", "request_id"),
    Reference(
        "instance_uuid",
        "instances.uuid",
        mysql="fk_instance_actions_instance_uuid",
        sqlite="fk_instance_actions_instance_uuid",
    ),
)

# One row: a step of an action, with its outcome.
instance_actions_events: Table[rows.InstanceActionEvent] = _table(
    "instance_actions_events",
    *times(),
    number(),
    Column("event", String(255)),
    Column("action_id", Integer),
    Column("start_time", DateTime, default=now),
    Column("finish_time", DateTime),
    Column("result", String(255)),
    Column("traceback", Text),
    deleted(),
    Column("host", String(255)),
    Column("details", Text),
    mysql_index("action_id"),
    Reference("action_id", "instance_actions.id", mysql="instance_actions_events_ibfk_1", sqlite=None),
)

# One row: the EC2 number of an instance uuid.
instance_id_mappings: Table[rows.InstanceIdMapping] = _table(
    "instance_id_mappings",
    *times(),
    number(),
    Column("uuid", String(36), nullable=False),
    deleted(),
    Index("ix_instance_id_mappings_uuid", "uuid"),
)

# One row: a disk of an instance: where it comes from, what it becomes, in which order it boots.
block_device_mapping: Table[rows.BlockDeviceMapping] = _table(
    "block_device_mapping",
    *times(),
    number(),
    Column("device_name", String(255)),
    Column("delete_on_termination", Boolean, default=False),
    *columns(String(36), "snapshot_id", "volume_id"),
    Column("volume_size", Integer),
    Column("no_device", Boolean),
    Column("connection_info", MediumText),
    Column("instance_uuid", String(36)),
    deleted(),
    *columns(String(255), "source_type", "destination_type", "guest_format", "device_type", "disk_bus"),
    Column("boot_index", Integer),
    Column("image_id", String(36)),
    Index("block_device_mapping_instance_uuid_device_name_idx", "instance_uuid", "device_name"),
    Index("block_device_mapping_instance_uuid_idx", "instance_uuid"),
    Index("block_device_mapping_instance_uuid_volume_id_idx", "instance_uuid", "volume_id"),
    Index("snapshot_id", "snapshot_id"),
    Index("volume_id", "volume_id"),
    Reference("instance_uuid", "instances.uuid"),
    *zero_or_one("delete_on_termination", "no_device"),
)

# One row: a network card of an instance: MAC address and network.
virtual_interfaces: Table[rows.VirtualInterface] = _table(
    "virtual_interfaces",
    *times(),
    number(),
    Column("address", String(255)),
    Column("network_id", Integer),
    *columns(String(36), "uuid", "instance_uuid"),
    deleted(),
    UniqueConstraint("address", "deleted", name="uniq_virtual_interfaces0address0deleted"),
    Index("virtual_interfaces_instance_uuid_fkey", "instance_uuid"),
    Index("virtual_interfaces_network_id_idx", "network_id"),
    Index("virtual_interfaces_uuid_idx", "uuid"),
    Reference("instance_uuid", "instances.uuid"),
)

# One row: a tag of an instance; no times and no soft delete.
tags: Table[rows.Tag] = _table(
    "tags",
    Column("resource_id", String(36), primary_key=True, autoincrement=False),
    Column("tag", String(80), primary_key=True, autoincrement=False),
    Index("tags_tag_idx", "tag"),
)

# -- hosts, scheduling and moves --

# One row: a process of the cloud on a host, with its heartbeat.
services: Table[rows.Service] = _table(
    "services",
    *times(),
    number(),
    *columns(String(255), "host", "binary", "topic"),
    Column("report_count", Integer, nullable=False, default=0),
    Column("disabled", Boolean, default=False),
    deleted(),
    Column("disabled_reason", String(255)),
    Column("last_seen_up", DateTime),
    Column("forced_down", Boolean, default=False),
    Column("version", Integer, default=0),
    # of two keys that are taken, sqlite names the last one and the servers the first: it shall be that of the binary
    only_on(
        ("postgresql", *MYSQL),
        UniqueConstraint("host", "binary", "deleted", name="uniq_services0host0binary0deleted"),
    ),
    UniqueConstraint("host", "topic", "deleted", name="uniq_services0host0topic0deleted"),
    only_on(("sqlite",), UniqueConstraint("host", "binary", "deleted", name="uniq_services0host0binary0deleted")),
    *zero_or_one("disabled"),
)

# One row: a hypervisor: its capacity and its use; memory in MiB, disk in GiB.
compute_nodes: Table[rows.ComputeNode] = _table(
    "compute_nodes",
    *times(),
    number(),
    Column("service_id", Integer),
    Column("vcpus", Integer, nullable=False),
    Column("memory_mb", Integer, nullable=False),
    Column("local_gb", Integer, nullable=False),
    Column("vcpus_used", Integer, nullable=False),
    Column("memory_mb_used", Integer, nullable=False),
    Column("local_gb_used", Integer, nullable=False),
    Column("hypervisor_type", MediumText, nullable=False),
    Column("hypervisor_version", Integer, nullable=False),
    Column("cpu_info", MediumText, nullable=False),
    *columns(Integer, "disk_available_least", "free_ram_mb", "free_disk_gb", "current_workload", "running_vms"),
    Column("hypervisor_hostname", String(255)),
    deleted(),
    Column("host_ip", IPAddress()),
    *columns(Text, "supported_instances", "pci_stats", "metrics", "extra_resources"),
    Column("stats", Text, default="{}"),
    Column("numa_topology", Text),
    Column("host", String(255)),
    *columns(Float, "ram_allocation_ratio", "cpu_allocation_ratio"),
    Column("uuid", String(36)),
    Column("disk_allocation_ratio", Float),
    UniqueConstraint(
        "host", "hypervisor_hostname", "deleted", name="uniq_compute_nodes0host0hypervisor_hostname0deleted"
    ),
)

# One row: a named group of hosts.
aggregates: Table[rows.Aggregate] = _table(
    "aggregates",
    *times(),
    number(),
    Column("name", String(255)),
    deleted(),
    Column("uuid", String(36)),
    Index("aggregate_uuid_idx", "uuid"),
)

# One row: a host that belongs to an aggregate.
aggregate_hosts: Table[rows.AggregateHost] = _table(
    "aggregate_hosts",
    *times(),
    number(),
    Column("host", String(255)),
    Column("aggregate_id", Integer, nullable=False),
    deleted(),
    UniqueConstraint("host", "aggregate_id", "deleted", name="uniq_aggregate_hosts0host0aggregate_id0deleted"),
    mysql_index("aggregate_id"),
    Reference("aggregate_id", "aggregates.id", mysql="aggregate_hosts_ibfk_1", sqlite=None),
)

# One row: a key with its value that an aggregate carries for the scheduler.
aggregate_metadata: Table[rows.AggregateMetadata] = _table(
    "aggregate_metadata",
    *times(),
    number(),
    Column("aggregate_id", Integer, nullable=False),
    Column("key", String(255), nullable=False),
    Column("value", String(255), nullable=False),
    deleted(),
    UniqueConstraint("aggregate_id", "key", "deleted", name="uniq_aggregate_metadata0aggregate_id0key0deleted"),
    Index("aggregate_metadata_key_idx", "key"),
    Reference("aggregate_id", "aggregates.id", mysql="aggregate_metadata_ibfk_1", sqlite=None),
)

# One row: a server group of a project.
instance_groups: Table[rows.InstanceGroup] = _table(
    "instance_groups",
    *times(),
    deleted(),
    number(),
    *columns(String(255), "user_id", "project_id"),
    Column("uuid", String(36), nullable=False),
    Column("name", String(255)),
    UniqueConstraint("uuid", "deleted", name="uniq_instance_groups0uuid0deleted"),
)

# One row: an instance that belongs to a server group; instance_id holds its uuid.
instance_group_member: Table[rows.InstanceGroupMember] = _table(
    "instance_group_member",
    *times(),
    deleted(),
    number(),
    Column("instance_id", String(255)),
    Column("group_id", Integer, nullable=False),
    mysql_index("group_id"),
    Index("instance_group_member_instance_idx", "instance_id"),
    Reference("group_id", "instance_groups.id", mysql="instance_group_member_ibfk_1", sqlite=None),
)

# One row: a placement rule of a server group.
instance_group_policy: Table[rows.InstanceGroupPolicy] = _table(
    "instance_group_policy",
    *times(),
    deleted(),
    number(),
    Column("policy", String(255)),
    Column("group_id", Integer, nullable=False),
    mysql_index("group_id"),
    Index("instance_group_policy_policy_idx", "policy"),
    Reference("group_id", "instance_groups.id", mysql="instance_group_policy_ibfk_1", sqlite=None),
)

# One row: a PCI device of a compute node, and who holds it.
pci_devices: Table[rows.PCIDevice] = _table(
    "pci_devices",
    *times(),
    deleted(),
    number(),
    Column("compute_node_id", Integer, nullable=False),
    Column("address", String(12), nullable=False),
    Column("product_id", String(4), nullable=False),
    Column("vendor_id", String(4), nullable=False),
    Column("dev_type", String(8), nullable=False),
    Column("dev_id", String(255)),
    Column("label", String(255), nullable=False),
    Column("status", String(36), nullable=False),
    Column("extra_info", Text),
    *columns(String(36), "instance_uuid", "request_id"),
    Column("numa_node", Integer),
    Column("parent_addr", String(12)),
    UniqueConstraint("compute_node_id", "address", "deleted", name="uniq_pci_devices0compute_node_id0address0deleted"),
    Index("ix_pci_devices_compute_node_id_deleted", "compute_node_id", "deleted"),
    Index("ix_pci_devices_compute_node_id_parent_addr_deleted", "compute_node_id", "parent_addr", "deleted"),
    Index("ix_pci_devices_instance_uuid_deleted", "instance_uuid", "deleted"),
    Reference("compute_node_id", "compute_nodes.id", sqlite=None),
)

# One row: a move or resize of an instance from host to host; progress in bytes.
migrations: Table[rows.Migration] = _table(
    "migrations",
    *times(),
    number(),
    *columns(String(255), "source_compute", "dest_compute", "dest_host", "status"),
    Column("instance_uuid", String(36)),
    *columns(Integer, "old_instance_type_id", "new_instance_type_id"),
    *columns(String(255), "source_node", "dest_node"),
    deleted(),
    Column("migration_type", Enum("migration", "resize", "live-migration", "evacuation", name="migration_type")),
    Column("hidden", Boolean, default=False),
    *columns(
        BigInteger,
        "memory_total",
        "memory_processed",
        "memory_remaining",
        "disk_total",
        "disk_processed",
        "disk_remaining",
    ),
    mysql_index("fk_migrations_instance_uuid", "instance_uuid"),
    options_on(
        MYSQL,
        Index(
            "migrations_by_host_nodes_and_status_idx",
            "deleted",
            "source_compute",
            "dest_compute",
            "source_node",
            "dest_node",
            "status",
        ),
        length={"source_compute": 100, "dest_compute": 100, "source_node": 100, "dest_node": 100},
    ),
    Index("migrations_instance_uuid_and_status_idx", "deleted", "instance_uuid", "status"),
    Reference(
        "instance_uuid", "instances.uuid", mysql="fk_migrations_instance_uuid", sqlite="fk_migrations_instance_uuid"
    ),
)

# One row: the consoles of one type that a proxy host serves for a compute host.
console_pools: Table[rows.ConsolePool] = _table(
    "console_pools",
    *times(),
    number(),
    Column("address", IPAddress()),
    *columns(String(255), "username", "password", "console_type", "public_hostname", "host", "compute_host"),
    deleted(),
    UniqueConstraint(
        "host",
        "console_type",
        "compute_host",
        "deleted",
        name="uniq_console_pools0host0console_type0compute_host0deleted",
    ),
)

# One row: a console session of an instance; really deleted, never soft-deleted.
consoles: Table[rows.Console] = _table(
    "consoles",
    *times(),
    number(),
    *columns(String(255), "instance_name", "password"),
    *columns(Integer, "port", "pool_id"),
    Column("instance_uuid", String(36)),
    deleted(),
    Index("consoles_instance_uuid_idx", "instance_uuid"),
    mysql_index("pool_id"),
    Reference("instance_uuid", "instances.uuid"),
    Reference("pool_id", "console_pools.id", mysql="consoles_ibfk_1", sqlite=None),
)

# One row: a child or parent cell of the first cells design.
cells: Table[rows.Cell] = _table(
    "cells",
    *times(),
    number(),
    Column("api_url", String(255)),
    Column("weight_offset", Float, default=0.0),
    Column("weight_scale", Float, default=1.0),
    Column("name", String(255)),
    Column("is_parent", Boolean),
    deleted(),
    Column("transport_url", String(255), nullable=False),
    UniqueConstraint("name", "deleted", name="uniq_cells0name0deleted"),
    *zero_or_one("is_parent"),
)

# One row: a version of the guest agent on offer for a hypervisor, operating system and architecture.
agent_builds: Table[rows.AgentBuild] = _table(
    "agent_builds",
    *times(),
    number(),
    *columns(String(255), "hypervisor", "os", "architecture", "version", "url", "md5hash"),
    deleted(),
    UniqueConstraint(
        "hypervisor", "os", "architecture", "deleted", name="uniq_agent_builds0hypervisor0os0architecture0deleted"
    ),
    Index("agent_builds_hypervisor_os_arch_idx", "hypervisor", "os", "architecture"),
)

# One row: one run of a periodic task for a host and a period.
task_log: Table[rows.TaskLog] = _table(
    "task_log",
    *times(),
    number(),
    Column("task_name", String(255), nullable=False),
    Column("state", String(255), nullable=False),
    Column("host", String(255), nullable=False),
    Column("period_beginning", DateTime, nullable=False, default=now),
    Column("period_ending", DateTime, nullable=False, default=now),
    Column("message", String(255), nullable=False),
    Column("task_items", Integer, default=0),
    Column("errors", Integer, default=0),
    deleted(),
    UniqueConstraint(
        "task_name",
        "host",
        "period_beginning",
        "period_ending",
        name="uniq_task_log0task_name0host0period_beginning0period_ending",
    ),
    Index("ix_task_log_host", "host"),
    Index("ix_task_log_period_beginning", "period_beginning"),
    Index("ix_task_log_period_ending", "period_ending"),
)

# One row: the traffic of a network card (by MAC address) in one accounting period; counters in bytes.
bw_usage_cache: Table[rows.BandwidthUsage] = _table(
    "bw_usage_cache",
    *times(),
    number(),
    Column("start_period", DateTime, nullable=False),
    Column("last_refreshed", DateTime),
    *columns(BigInteger, "bw_in", "bw_out"),
    Column("mac", String(255)),
    Column("uuid", String(36)),
    *columns(BigInteger, "last_ctr_in", "last_ctr_out"),
    deleted(),
    Index("bw_usage_cache_uuid_start_period_idx", "uuid", "start_period"),
)

# One row: the I/O of a volume: totals, and what the current attachment has done so far.
volume_usage_cache: Table[rows.VolumeUsage] = _table(
    "volume_usage_cache",
    *times(),
    number(),
    Column("volume_id", String(36), nullable=False),
    Column("tot_last_refreshed", DateTime),
    Column("tot_reads", BigInteger, default=0),
    Column("tot_read_bytes", BigInteger, default=0),
    Column("tot_writes", BigInteger, default=0),
    Column("tot_write_bytes", BigInteger, default=0),
    Column("curr_last_refreshed", DateTime),
    Column("curr_reads", BigInteger, default=0),
    Column("curr_read_bytes", BigInteger, default=0),
    Column("curr_writes", BigInteger, default=0),
    Column("curr_write_bytes", BigInteger, default=0),
    deleted(),
    *columns(String(36), "instance_uuid", "project_id"),
    Column("user_id", String(64)),
    Column("availability_zone", String(255)),
)

# -- flavors --

# One row: a flavor; memory in MiB, disks in GiB, swap in MiB.
instance_types: Table[rows.Flavor] = _table(
    "instance_types",
    *times(),
    Column("name", String(255)),
    number(),
    Column("memory_mb", Integer, nullable=False),
    Column("vcpus", Integer, nullable=False),
    Column("swap", Integer, nullable=False, default=0),
    Column("vcpu_weight", Integer),
    Column("flavorid", String(255)),
    Column("rxtx_factor", Float, default=1.0),
    *columns(Integer, "root_gb", "ephemeral_gb"),
    Column("disabled", Boolean, default=False),
    Column("is_public", Boolean, default=True),
    deleted(),
    UniqueConstraint("flavorid", "deleted", name="uniq_instance_types0flavorid0deleted"),
    UniqueConstraint("name", "deleted", name="uniq_instance_types0name0deleted"),
    *zero_or_one("disabled", "is_public"),
)

# One row: an extra spec of a flavor; on the MySQL family letter case counts here.
instance_type_extra_specs: Table[rows.FlavorExtraSpec] = _table(
    "instance_type_extra_specs",
    *times(),
    number(),
    Column("instance_type_id", Integer, nullable=False),
    *columns(String(255), "key", "value"),
    deleted(),
    UniqueConstraint(
        "instance_type_id", "key", "deleted", name="uniq_instance_type_extra_specs0instance_type_id0key0deleted"
    ),
    Index("instance_type_extra_specs_instance_type_id_key_idx", "instance_type_id", "key"),
    Reference("instance_type_id", "instance_types.id", mysql="instance_type_extra_specs_ibfk_1", sqlite=None),
    collation="utf8mb3_bin",
)

# One row: a project that may use a private flavor.
instance_type_projects: Table[rows.FlavorAccess] = _table(
    "instance_type_projects",
    *times(),
    number(),
    Column("instance_type_id", Integer, nullable=False),
    Column("project_id", String(255)),
    deleted(),
    UniqueConstraint(
        "instance_type_id",
        "project_id",
        "deleted",
        name="uniq_instance_type_projects0instance_type_id0project_id0deleted",
    ),
    mysql_index("instance_type_id"),
    Reference(
        "instance_type_id",
        "instance_types.id",
        mysql="instance_type_projects_ibfk_1",
        sqlite="instance_type_projects_ibfk_1",
    ),
)

# -- quotas --

# One row: a limit of a project for a resource; -1 means unlimited.
quotas: Table[rows.Quota] = _table(
    "quotas",
    number(),
    *times(),
    Column("project_id", String(255)),
    Column("resource", String(255), nullable=False),
    Column("hard_limit", Integer),
    deleted(),
    UniqueConstraint("project_id", "resource", "deleted", name="uniq_quotas0project_id0resource0deleted"),
)

# One row: a limit of a user within a project for a resource; -1 means unlimited.
project_user_quotas: Table[rows.ProjectUserQuota] = _table(
    "project_user_quotas",
    number(),
    *times(),
    deleted(),
    Column("user_id", String(255), nullable=False),
    Column("project_id", String(255), nullable=False),
    Column("resource", String(255), nullable=False),
    Column("hard_limit", Integer),
    UniqueConstraint(
        "user_id",
        "project_id",
        "resource",
        "deleted",
        name="uniq_project_user_quotas0user_id0project_id0resource0deleted",
    ),
    Index("project_user_quotas_project_id_deleted_idx", "project_id", "deleted"),
    Index("project_user_quotas_user_id_deleted_idx", "user_id", "deleted"),
)

# One row: a limit of a quota class for a resource; -1 means unlimited.
quota_classes: Table[rows.QuotaClass] = _table(
    "quota_classes",
    *times(),
    number(),
    *columns(String(255), "class_name", "resource"),
    Column("hard_limit", Integer),
    deleted(),
    Index("ix_quota_classes_class_name", "class_name"),
)

# One row: what a project, or a user in it, uses and has reserved of a resource.
quota_usages: Table[rows.QuotaUsage] = _table(
    "quota_usages",
    *times(),
    number(),
    Column("project_id", String(255)),
    Column("resource", String(255), nullable=False),
    Column("in_use", Integer, nullable=False),
    Column("reserved", Integer, nullable=False),
    Column("until_refresh", Integer),
    deleted(),
    Column("user_id", String(255)),
    Index("ix_quota_usages_project_id", "project_id"),
    Index("ix_quota_usages_user_id_deleted", "user_id", "deleted"),
)

# One row: a pending change of a usage, until it is committed, rolled back or expires.
reservations: Table[rows.Reservation] = _table(
    "reservations",
    *times(),
    number(),
    Column("uuid", String(36), nullable=False),
    Column("usage_id", Integer, nullable=False),
    *columns(String(255), "project_id", "resource"),
    Column("delta", Integer, nullable=False),
    Column("expire", DateTime),
    deleted(),
    Column("user_id", String(255)),
    Index("ix_reservations_project_id", "project_id"),
    Index("ix_reservations_user_id_deleted", "user_id", "deleted"),
    Index("reservations_deleted_expire_idx", "deleted", "expire"),
    Index("reservations_uuid_idx", "uuid"),
    mysql_index("usage_id"),
    Reference("usage_id", "quota_usages.id", mysql="reservations_ibfk_1", sqlite="reservations_ibfk_1"),
)

# -- networks and security groups --

# One row: a network with its addresses, its bridge or VLAN, and perhaps the project that owns it.
networks: Table[rows.Network] = _table(
    "networks",
    *times(),
    number(),
    Column("injected", Boolean, default=False),
    Column("cidr", CIDR()),
    Column("netmask", IPAddress()),
    Column("bridge", String(255)),
    *columns(IPAddress(), "gateway", "broadcast", "dns1"),
    Column("vlan", Integer),
    Column("vpn_public_address", IPAddress()),
    Column("vpn_public_port", Integer),
    *columns(IPAddress(), "vpn_private_address", "dhcp_start"),
    *columns(String(255), "project_id", "host"),
    Column("cidr_v6", CIDR()),
    Column("gateway_v6", IPAddress()),
    Column("label", String(255)),
    Column("netmask_v6", IPAddress()),
    Column("bridge_interface", String(255)),
    Column("multi_host", Boolean, default=False),
    Column("dns2", IPAddress()),
    Column("uuid", String(36)),
    *columns(Integer, "priority", "rxtx_base"),
    deleted(),
    Column("mtu", Integer),
    Column("dhcp_server", IPAddress()),
    Column("enable_dhcp", Boolean, default=True),
    Column("share_address", Boolean, default=False),
    UniqueConstraint("vlan", "deleted", name="uniq_networks0vlan0deleted"),
    Index("networks_bridge_deleted_idx", "bridge", "deleted"),
    Index("networks_cidr_v6_idx", "cidr_v6"),
    Index("networks_host_idx", "host"),
    Index("networks_project_id_deleted_idx", "project_id", "deleted"),
    Index("networks_uuid_project_id_deleted_idx", "uuid", "project_id", "deleted"),
    Index("networks_vlan_deleted_idx", "vlan", "deleted"),
    *zero_or_one("injected", "multi_host"),
)

# One row: an address of a network, free or held by an instance or a host.
fixed_ips: Table[rows.FixedIP] = _table(
    "fixed_ips",
    *times(),
    number(),
    Column("address", IPAddress()),
    Column("network_id", Integer),
    Column("allocated", Boolean, default=False),
    Column("leased", Boolean, default=False),
    Column("reserved", Boolean, default=False),
    Column("virtual_interface_id", Integer),
    Column("host", String(255)),
    Column("instance_uuid", String(36)),
    deleted(),
    UniqueConstraint("address", "deleted", name="uniq_fixed_ips0address0deleted"),
    Index("address", "address"),
    Index("fixed_ips_address_reserved_network_id_deleted_idx", "address", "reserved", "network_id", "deleted"),
    Index("fixed_ips_deleted_allocated_idx", "address", "deleted", "allocated"),
    Index("fixed_ips_deleted_allocated_updated_at_idx", "deleted", "allocated", "updated_at"),
    Index("fixed_ips_host_idx", "host"),
    Index("fixed_ips_instance_uuid_fkey", "instance_uuid"),
    Index("fixed_ips_network_id_host_deleted_idx", "network_id", "host", "deleted"),
    Index("fixed_ips_virtual_interface_id_fkey", "virtual_interface_id"),
    Index("network_id", "network_id"),
    Reference("instance_uuid", "instances.uuid"),
    *zero_or_one("allocated", "leased", "reserved"),
)

# One row: an address of a pool, held by a project and perhaps tied to a fixed address.
floating_ips: Table[rows.FloatingIP] = _table(
    "floating_ips",
    *times(),
    number(),
    Column("address", IPAddress()),
    Column("fixed_ip_id", Integer),
    *columns(String(255), "project_id", "host"),
    Column("auto_assigned", Boolean, default=False),
    *columns(String(255), "pool", "interface"),
    deleted(),
    UniqueConstraint("address", "deleted", name="uniq_floating_ips0address0deleted"),
    Index("fixed_ip_id", "fixed_ip_id"),
    Index("floating_ips_host_idx", "host"),
    Index("floating_ips_pool_deleted_fixed_ip_id_project_id_idx", "pool", "deleted", "fixed_ip_id", "project_id"),
    Index("floating_ips_project_id_idx", "project_id"),
    *zero_or_one("auto_assigned"),
)

# One row: a DNS domain, tied to an availability zone or a project.
dns_domains: Table[rows.DNSDomain] = _table(
    "dns_domains",
    *times(),
    Column("deleted", Boolean, default=False),
    Column("domain", String(255), primary_key=True),
    *columns(String(255), "scope", "availability_zone", "project_id"),
    Index("dns_domains_domain_deleted_idx", "domain", "deleted"),
    Index("dns_domains_project_id_idx", "project_id"),
    *zero_or_one("deleted"),
)

# One row: a named set of rules of a project.
security_groups: Table[rows.SecurityGroup] = _table(
    "security_groups",
    *times(),
    number(),
    *columns(String(255), "name", "description", "user_id", "project_id"),
    deleted(),
    UniqueConstraint("project_id", "name", "deleted", name="uniq_security_groups0project_id0name0deleted"),
)

# One row: an instance that belongs to a security group.
security_group_instance_association: Table[rows.SecurityGroupMembership] = _table(
    "security_group_instance_association",
    *times(),
    number(),
    Column("security_group_id", Integer),
    Column("instance_uuid", String(36)),
    deleted(),
    mysql_index("security_group_id"),
    Index("security_group_instance_association_instance_uuid_idx", "instance_uuid"),
    Reference("instance_uuid", "instances.uuid"),
    Reference(
        "security_group_id",
        "security_groups.id",
        mysql="security_group_instance_association_ibfk_1",
        sqlite="security_group_instance_association_ibfk_1",
    ),
)

# One row: what a security group lets in: a port range from a network or from another group.
security_group_rules: Table[rows.SecurityGroupRule] = _table(
    "security_group_rules",
    *times(),
    number(),
    Column("parent_group_id", Integer),
    Column("protocol", String(255)),
    *columns(Integer, "from_port", "to_port"),
    Column("cidr", CIDR()),
    Column("group_id", Integer),
    deleted(),
    mysql_index("group_id"),
    mysql_index("parent_group_id"),
    Reference("group_id", "security_groups.id", mysql="security_group_rules_ibfk_2", sqlite=None),
    Reference("parent_group_id", "security_groups.id", mysql="security_group_rules_ibfk_1", sqlite=None),
)

# One row: a rule that every new default security group starts with.
security_group_default_rules: Table[rows.SecurityGroupDefaultRule] = _table(
    "security_group_default_rules",
    *times(),
    deleted(),
    number(),
    Column("protocol", String(5)),
    *columns(Integer, "from_port", "to_port"),
    Column("cidr", CIDR()),
)

# One row: a firewall rule of the provider, for all instances.
provider_fw_rules: Table[rows.ProviderFirewallRule] = _table(
    "provider_fw_rules",
    *times(),
    number(),
    Column("protocol", String(5)),
    *columns(Integer, "from_port", "to_port"),
    Column("cidr", CIDR()),
    deleted(),
)

# -- keys and numbers for the EC2 interface --

# One row: a public key of a user, under a name.
key_pairs: Table[rows.KeyPair] = _table(
    "key_pairs",
    *times(),
    number(),
    Column("name", String(255), nullable=False),
    *columns(String(255), "user_id", "fingerprint"),
    Column("public_key", MediumText),
    deleted(),
    Column("type", Enum("ssh", "x509", name="keypair_types"), nullable=False, server_default="ssh"),
    UniqueConstraint("user_id", "name", "deleted", name="uniq_key_pairs0user_id0name0deleted"),
)

# One row: an X.509 certificate file of a user in a project.
certificates: Table[rows.Certificate] = _table(
    "certificates",
    *times(),
    number(),
    *columns(String(255), "user_id", "project_id", "file_name"),
    deleted(),
    Index("certificates_project_id_deleted_idx", "project_id", "deleted"),
    Index("certificates_user_id_deleted_idx", "user_id", "deleted"),
)

# One row: the EC2 number of an image uuid.
s3_images: Table[rows.S3Image] = _table(
    "s3_images",
    *times(),
    number(),
    Column("uuid", String(36), nullable=False),
    deleted(),
)

# One row: the EC2 number of a volume uuid.
volume_id_mappings: Table[rows.VolumeIdMapping] = _table(
    "volume_id_mappings",
    *times(),
    number(),
    Column("uuid", String(36), nullable=False),
    deleted(),
)

# One row: the EC2 number of a snapshot uuid.
snapshot_id_mappings: Table[rows.SnapshotIdMapping] = _table(
    "snapshot_id_mappings",
    *times(),
    number(),
    Column("uuid", String(36), nullable=False),
    deleted(),
)

# One row: a volume snapshot of the former volume service; nothing writes it any more.
snapshots: Table[rows.Snapshot] = _table(
    "snapshots",
    *times(),
    Column("id", String(36), primary_key=True),
    Column("volume_id", String(36), nullable=False),
    *columns(String(255), "user_id", "project_id", "status", "progress"),
    Column("volume_size", Integer),
    Column("scheduled_at", DateTime),
    *columns(String(255), "display_name", "display_description"),
    Column("deleted", String(36), default=""),
)

# -- placement, first design --

# One row: something that has resources to give: a compute node, a shared pool.
resource_providers: Table[rows.ResourceProvider] = _table(
    "resource_providers",
    number(),
    Column("uuid", String(36), nullable=False),
    Column("name", String(200, mysql_collation="utf8mb3_general_ci")),
    Column("generation", Integer, default=0),
    Column("can_host", Integer, default=0),
    UniqueConstraint("name", name="uniq_resource_providers0name"),
    UniqueConstraint("uuid", name="uniq_resource_providers0uuid"),
    Index("resource_providers_name_idx", "name"),
    Index("resource_providers_uuid_idx", "uuid"),
    collation="latin1_swedish_ci",
)

# One row: the total of a resource class that a resource provider has.
inventories: Table[rows.Inventory] = _table(
    "inventories",
    number(),
    Column("resource_provider_id", Integer, nullable=False),
    Column("resource_class_id", Integer, nullable=False),
    Column("total", Integer, nullable=False),
    Column("reserved", Integer, nullable=False),
    Column("min_unit", Integer, nullable=False),
    Column("max_unit", Integer, nullable=False),
    Column("step_size", Integer, nullable=False),
    Column("allocation_ratio", Float, nullable=False),
    UniqueConstraint(
        "resource_provider_id", "resource_class_id", name="uniq_inventories0resource_provider_resource_class"
    ),
    Index("inventories_resource_class_id_idx", "resource_class_id"),
    Index("inventories_resource_provider_id_idx", "resource_provider_id"),
    Index("inventories_resource_provider_resource_class_idx", "resource_provider_id", "resource_class_id"),
    collation="latin1_swedish_ci",
)

# One row: an amount of a resource class that a consumer takes from a resource provider.
allocations: Table[rows.Allocation] = _table(
    "allocations",
    number(),
    Column("resource_provider_id", Integer, nullable=False),
    Column("consumer_id", String(36), nullable=False),
    Column("resource_class_id", Integer, nullable=False),
    Column("used", Integer, nullable=False),
    Index("allocations_consumer_id_idx", "consumer_id"),
    Index("allocations_resource_class_id_idx", "resource_class_id"),
    Index("allocations_resource_provider_class_used_idx", "resource_provider_id", "resource_class_id", "used"),
    collation="latin1_swedish_ci",
)

# One row: a resource provider that belongs to an aggregate; that the first id is counted up is of no use to anybody.
resource_provider_aggregates: Table[rows.ResourceProviderAggregate] = _table(
    "resource_provider_aggregates",
    Column("resource_provider_id", CountedPart, primary_key=True, autoincrement=False),
    Column("aggregate_id", Integer, primary_key=True, autoincrement=False),
    Index("resource_provider_aggregates_aggregate_id_idx", "aggregate_id"),
    collation="latin1_swedish_ci",
)

# -- The reference's bookkeeping --

# One row: the reference's own record of its schema version.
migrate_version = _table(
    "migrate_version",
    Column("repository_id", String(250), primary_key=True),
    Column("repository_path", Text),
    Column("version", Integer),
)


# -- shadow tables: archived rows, ids included; no keys but the primary one --

#: The tables that have none: their rows are only ever really deleted.
_WITHOUT_SHADOW = (tags, resource_providers, inventories, allocations, resource_provider_aggregates)

#: Where a shadow table differs from its main table: columns were added to both at different times.
_SHADOW_COLUMNS: dict[str, dict[str, dict[str, Any]]] = {
    "instances": {"locked_by": {"type_": Enum("owner", "admin", name="shadow_instances0locked_by")}},
    "key_pairs": {"name": {"nullable": True}},
    "pci_devices": {
        "deleted": {"nullable": False},
        "product_id": {"nullable": True},
        "vendor_id": {"nullable": True},
        "dev_type": {"nullable": True},
    },
    "quota_usages": {"resource": {"nullable": True}},
    "volume_usage_cache": {"user_id": {"type_": String(36)}},
}

_shadows: dict[str, sa.Table] = {}


def _make_shadows() -> None:
    """Make the shadow tables; ``metadata`` calls this when somebody first asks for its tables."""
    for name, table in tuple(metadata.tables.items()):
        if table not in _WITHOUT_SHADOW:
            _shadows[name] = shadow(table, SHADOW_PREFIX + name, _SHADOW_COLUMNS.get(name, {}))
    Index("shadow_instance_extra_idx", _shadows["instance_extra"].c.instance_uuid)
    added_index(_shadows["instances"].c.uuid)  # by which purging finds what archived rows have hung on


if not TYPE_CHECKING:  # a type checker would take any name for one of these

    def __getattr__(name: str) -> dict[str, sa.Table]:
        """Give ``shadows`` with all its tables."""
        if name != "shadows":
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return _shadows if metadata.tables else {}


# -- indexes of this library: the reference has none of them; it works without them, but slower --

added_index(aggregates.c.name, aggregates.c.deleted)
added_index(compute_nodes.c.service_id)
added_index(compute_nodes.c.uuid)
added_index(instance_groups.c.project_id, instance_groups.c.deleted)
added_index(instances.c.updated_at)
added_index(migrations.c.dest_compute, migrations.c.status, migrations.c.updated_at)
added_index(migrations.c.source_compute)
added_index(quota_usages.c.project_id, quota_usages.c.deleted)
added_index(s3_images.c.uuid)
added_index(services.c.binary, services.c.deleted, services.c.disabled)
added_index(services.c.topic, services.c.deleted, services.c.disabled)
added_index(snapshot_id_mappings.c.uuid)
added_index(volume_id_mappings.c.uuid)
added_index(volume_usage_cache.c.volume_id)

# All live instances, newest first: there NULL is the greatest value, and the reference's index has it at the wrong end.
only_on(
    ("postgresql",),
    added_index(instances.c.deleted, instances.c.created_at.nulls_first(), instances.c.id, name="instances_newest_idx"),
)

# The instances of a project by age, live ones apart. The reference's index of the first two columns stays beside it.
_BY_AGE = {("postgresql",): instances.c.created_at.nulls_first(), ("sqlite", *MYSQL): instances.c.created_at}
for _servers, _created_at in _BY_AGE.items():
    _project = (instances.c.project_id, instances.c.deleted)
    _name = "instances_project_id_deleted_created_at_id_idx"
    only_on(_servers, added_index(*_project, _created_at, instances.c.id, name=_name))

# The free addresses of a network, that which nobody has touched for the longest time first: NULL is the oldest time.
_OLDEST_FIRST = {("postgresql",): fixed_ips.c.updated_at.nulls_first(), ("sqlite", *MYSQL): fixed_ips.c.updated_at}
for _servers, _updated_at in _OLDEST_FIRST.items():
    _free = (fixed_ips.c[name] for name in ("network_id", "deleted", "reserved", "leased", "instance_uuid", "host"))
    only_on(_servers, added_index(*_free, _updated_at, fixed_ips.c.id, name="fixed_ips_free_idx"))

# InnoDB has an index for every foreign key; these are the keys that no index of the reference's serves elsewhere.
for _columns in (
    (aggregate_hosts.c.aggregate_id,),
    (consoles.c.pool_id,),
    (instance_actions_events.c.action_id,),
    (instance_group_member.c.group_id, instance_group_member.c.deleted),
    (instance_group_policy.c.group_id, instance_group_policy.c.deleted),
    (migrations.c.instance_uuid, migrations.c.status),
    (reservations.c.usage_id,),
    (security_group_instance_association.c.security_group_id,),
    (security_group_rules.c.group_id,),
    (security_group_rules.c.parent_group_id,),
):
    only_on(("sqlite", "postgresql"), added_index(*_columns))

# What archiving looks for in the tables that grow with every instance.
for _grown in (
    block_device_mapping,
    instance_actions,
    instance_actions_events,
    instance_extra,
    instance_faults,
    instance_id_mappings,
    instance_info_caches,
    instance_metadata,
    instance_system_metadata,
    instances,
    migrations,
    reservations,
    security_group_instance_association,
    virtual_interfaces,
):
    dead_index(_grown)


# Errors about a value name its column; its shadow shares the type object.
for _named in metadata.tables.values():
    put_indexes_in_order(_named)
    for _column in _named.columns:
        _column.type.place = f"{_named.name}.{_column.name}"  # type: ignore[attr-defined]  # all are of core.types

metadata.late = _make_shadows


@functools.cache
def row_columns(table: sa.Table) -> tuple[sa.Column[Any], ...]:
    """Return the columns that make up a row of ``table``, in order."""
    return tuple(column for column in table.columns if column.info is not NO_PART_OF_ROWS)
