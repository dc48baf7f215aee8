-- The main database of OpenStack Nova 13 (Mitaka, schema version 319) on MySQL and MariaDB, exactly as the reference
-- has left it after all its own migrations: the names of keys, indexes and constraints, odd ones included.
--
-- A database that Nova has made itself is not given this migration but adopted: nova-sqlcore migrate --adopt
--
-- The server commits each statement by itself, so each can be run again after a run that was killed.
-- transactional: false

-- == instances and what hangs on them ==

-- One row: a virtual machine: owner, sizes, host, states; memory in MiB, disks in GiB.
CREATE TABLE IF NOT EXISTS instances (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    internal_id INT,
    user_id VARCHAR(255),
    project_id VARCHAR(255),
    image_ref VARCHAR(255),
    kernel_id VARCHAR(255),
    ramdisk_id VARCHAR(255),
    launch_index INT,
    key_name VARCHAR(255),
    key_data MEDIUMTEXT,
    power_state INT,
    vm_state VARCHAR(255),
    memory_mb INT,
    vcpus INT,
    hostname VARCHAR(255),
    host VARCHAR(255),
    user_data MEDIUMTEXT,
    reservation_id VARCHAR(255),
    scheduled_at DATETIME,
    launched_at DATETIME,
    terminated_at DATETIME,
    display_name VARCHAR(255),
    display_description VARCHAR(255),
    availability_zone VARCHAR(255),
    locked TINYINT(1),
    os_type VARCHAR(255),
    launched_on MEDIUMTEXT,
    instance_type_id INT,
    vm_mode VARCHAR(255),
    uuid VARCHAR(36) NOT NULL,
    architecture VARCHAR(255),
    root_device_name VARCHAR(255),
    access_ip_v4 VARCHAR(39),
    access_ip_v6 VARCHAR(39),
    config_drive VARCHAR(255),
    task_state VARCHAR(255),
    default_ephemeral_device VARCHAR(255),
    default_swap_device VARCHAR(255),
    progress INT,
    auto_disk_config TINYINT(1),
    shutdown_terminate TINYINT(1),
    disable_terminate TINYINT(1),
    root_gb INT,
    ephemeral_gb INT,
    cell_name VARCHAR(255),
    node VARCHAR(255),
    deleted INT,
    locked_by ENUM('owner', 'admin'),
    cleaned INT,
    ephemeral_key_uuid VARCHAR(36),
    PRIMARY KEY (id),
    CONSTRAINT uniq_instances0uuid UNIQUE (uuid),
    KEY instances_deleted_created_at_idx (deleted, created_at),
    KEY instances_host_deleted_cleaned_idx (host, deleted, cleaned),
    KEY instances_host_node_deleted_idx (host, node, deleted),
    KEY instances_project_id_deleted_idx (project_id, deleted),
    KEY instances_reservation_id_idx (reservation_id),
    KEY instances_task_state_updated_at_idx (task_state, updated_at),
    KEY instances_terminated_at_launched_at_idx (terminated_at, launched_at),
    KEY instances_uuid_deleted_idx (uuid, deleted),
    UNIQUE KEY uuid (uuid),
    CHECK (auto_disk_config IN (0, 1)),
    CHECK (disable_terminate IN (0, 1)),
    CHECK (locked IN (0, 1)),
    CHECK (shutdown_terminate IN (0, 1))
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: the wide parts of an instance (JSON), apart so that nobody reads them unasked.
CREATE TABLE IF NOT EXISTS instance_extra (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    deleted INT,
    id INT NOT NULL AUTO_INCREMENT,
    instance_uuid VARCHAR(36) NOT NULL,
    numa_topology TEXT,
    pci_requests TEXT,
    flavor TEXT,
    vcpu_model TEXT,
    migration_context TEXT,
    PRIMARY KEY (id),
    KEY instance_extra_idx (instance_uuid),
    CONSTRAINT instance_extra_instance_uuid_fkey FOREIGN KEY (instance_uuid) REFERENCES instances (uuid)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: the cached network description (JSON) of an instance.
CREATE TABLE IF NOT EXISTS instance_info_caches (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    network_info MEDIUMTEXT,
    instance_uuid VARCHAR(36) NOT NULL,
    deleted INT,
    PRIMARY KEY (id),
    CONSTRAINT uniq_instance_info_caches0instance_uuid UNIQUE (instance_uuid),
    CONSTRAINT instance_info_caches_instance_uuid_fkey FOREIGN KEY (instance_uuid) REFERENCES instances (uuid)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: a key with its value that the owner gave an instance.
CREATE TABLE IF NOT EXISTS instance_metadata (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    `key` VARCHAR(255),
    value VARCHAR(255),
    instance_uuid VARCHAR(36),
    deleted INT,
    PRIMARY KEY (id),
    KEY instance_metadata_instance_uuid_idx (instance_uuid),
    CONSTRAINT instance_metadata_instance_uuid_fkey FOREIGN KEY (instance_uuid) REFERENCES instances (uuid)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: a key with its value that the system gave an instance.
CREATE TABLE IF NOT EXISTS instance_system_metadata (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    instance_uuid VARCHAR(36) NOT NULL,
    `key` VARCHAR(255) NOT NULL,
    value VARCHAR(255),
    deleted INT,
    PRIMARY KEY (id),
    KEY instance_uuid (instance_uuid),
    CONSTRAINT instance_system_metadata_ibfk_1 FOREIGN KEY (instance_uuid) REFERENCES instances (uuid)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: an error that an instance met; the newest counts.
CREATE TABLE IF NOT EXISTS instance_faults (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    instance_uuid VARCHAR(36),
    code INT NOT NULL,
    message VARCHAR(255),
    details MEDIUMTEXT,
    host VARCHAR(255),
    deleted INT,
    PRIMARY KEY (id),
    KEY instance_faults_host_idx (host),
    KEY instance_faults_instance_uuid_deleted_created_at_idx (instance_uuid, deleted, created_at),
    CONSTRAINT fk_instance_faults_instance_uuid FOREIGN KEY (instance_uuid) REFERENCES instances (uuid)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: a request against an instance.
CREATE TABLE IF NOT EXISTS instance_actions (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    action VARCHAR(255),
    instance_uuid VARCHAR(36),
    request_id VARCHAR(255),
    user_id VARCHAR(255),
    project_id VARCHAR(255),
    start_time DATETIME,
    finish_time DATETIME,
    message VARCHAR(255),
    deleted INT,
    PRIMARY KEY (id),
    KEY instance_uuid_idx (instance_uuid),
    KEY request_id_idx (request_id),
    CONSTRAINT fk_instance_actions_instance_uuid FOREIGN KEY (instance_uuid) REFERENCES instances (uuid)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: a step of an action, with its outcome.
CREATE TABLE IF NOT EXISTS instance_actions_events (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    event VARCHAR(255),
    action_id INT,
    start_time DATETIME,
    finish_time DATETIME,
    result VARCHAR(255),
    traceback TEXT,
    deleted INT,
    host VARCHAR(255),
    details TEXT,
    PRIMARY KEY (id),
    KEY action_id (action_id),
    CONSTRAINT instance_actions_events_ibfk_1 FOREIGN KEY (action_id) REFERENCES instance_actions (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: the EC2 number of an instance uuid.
CREATE TABLE IF NOT EXISTS instance_id_mappings (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    uuid VARCHAR(36) NOT NULL,
    deleted INT,
    PRIMARY KEY (id),
    KEY ix_instance_id_mappings_uuid (uuid)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: a disk of an instance: where it comes from, what it becomes, in which order it boots.
CREATE TABLE IF NOT EXISTS block_device_mapping (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    device_name VARCHAR(255),
    delete_on_termination TINYINT(1),
    snapshot_id VARCHAR(36),
    volume_id VARCHAR(36),
    volume_size INT,
    no_device TINYINT(1),
    connection_info MEDIUMTEXT,
    instance_uuid VARCHAR(36),
    deleted INT,
    source_type VARCHAR(255),
    destination_type VARCHAR(255),
    guest_format VARCHAR(255),
    device_type VARCHAR(255),
    disk_bus VARCHAR(255),
    boot_index INT,
    image_id VARCHAR(36),
    PRIMARY KEY (id),
    KEY block_device_mapping_instance_uuid_device_name_idx (instance_uuid, device_name),
    KEY block_device_mapping_instance_uuid_idx (instance_uuid),
    KEY block_device_mapping_instance_uuid_volume_id_idx (instance_uuid, volume_id),
    KEY snapshot_id (snapshot_id),
    KEY volume_id (volume_id),
    CONSTRAINT block_device_mapping_instance_uuid_fkey FOREIGN KEY (instance_uuid) REFERENCES instances (uuid),
    CHECK (delete_on_termination IN (0, 1)),
    CHECK (no_device IN (0, 1))
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: a network card of an instance: MAC address and network.
CREATE TABLE IF NOT EXISTS virtual_interfaces (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    address VARCHAR(255),
    network_id INT,
    uuid VARCHAR(36),
    instance_uuid VARCHAR(36),
    deleted INT,
    PRIMARY KEY (id),
    CONSTRAINT uniq_virtual_interfaces0address0deleted UNIQUE (address, deleted),
    KEY virtual_interfaces_instance_uuid_fkey (instance_uuid),
    KEY virtual_interfaces_network_id_idx (network_id),
    KEY virtual_interfaces_uuid_idx (uuid),
    CONSTRAINT virtual_interfaces_instance_uuid_fkey FOREIGN KEY (instance_uuid) REFERENCES instances (uuid)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: a tag of an instance; no times and no soft delete.
CREATE TABLE IF NOT EXISTS tags (
    resource_id VARCHAR(36) NOT NULL,
    tag VARCHAR(80) NOT NULL,
    PRIMARY KEY (resource_id, tag),
    KEY tags_tag_idx (tag)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- == hosts, scheduling and moves ==

-- One row: a process of the cloud on a host, with its heartbeat.
CREATE TABLE IF NOT EXISTS services (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    host VARCHAR(255),
    `binary` VARCHAR(255),
    topic VARCHAR(255),
    report_count INT NOT NULL,
    disabled TINYINT(1),
    deleted INT,
    disabled_reason VARCHAR(255),
    last_seen_up DATETIME,
    forced_down TINYINT(1),
    version INT,
    PRIMARY KEY (id),
    CONSTRAINT uniq_services0host0binary0deleted UNIQUE (host, `binary`, deleted),
    CONSTRAINT uniq_services0host0topic0deleted UNIQUE (host, topic, deleted),
    CHECK (disabled IN (0, 1))
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: a hypervisor: its capacity and its use; memory in MiB, disk in GiB.
CREATE TABLE IF NOT EXISTS compute_nodes (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    service_id INT,
    vcpus INT NOT NULL,
    memory_mb INT NOT NULL,
    local_gb INT NOT NULL,
    vcpus_used INT NOT NULL,
    memory_mb_used INT NOT NULL,
    local_gb_used INT NOT NULL,
    hypervisor_type MEDIUMTEXT NOT NULL,
    hypervisor_version INT NOT NULL,
    cpu_info MEDIUMTEXT NOT NULL,
    disk_available_least INT,
    free_ram_mb INT,
    free_disk_gb INT,
    current_workload INT,
    running_vms INT,
    hypervisor_hostname VARCHAR(255),
    deleted INT,
    host_ip VARCHAR(39),
    supported_instances TEXT,
    pci_stats TEXT,
    metrics TEXT,
    extra_resources TEXT,
    stats TEXT,
    numa_topology TEXT,
    host VARCHAR(255),
    ram_allocation_ratio FLOAT,
    cpu_allocation_ratio FLOAT,
    uuid VARCHAR(36),
    disk_allocation_ratio FLOAT,
    PRIMARY KEY (id),
    CONSTRAINT uniq_compute_nodes0host0hypervisor_hostname0deleted UNIQUE (host, hypervisor_hostname, deleted)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: a named group of hosts.
CREATE TABLE IF NOT EXISTS aggregates (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    name VARCHAR(255),
    deleted INT,
    uuid VARCHAR(36),
    PRIMARY KEY (id),
    KEY aggregate_uuid_idx (uuid)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: a host that belongs to an aggregate.
CREATE TABLE IF NOT EXISTS aggregate_hosts (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    host VARCHAR(255),
    aggregate_id INT NOT NULL,
    deleted INT,
    PRIMARY KEY (id),
    CONSTRAINT uniq_aggregate_hosts0host0aggregate_id0deleted UNIQUE (host, aggregate_id, deleted),
    KEY aggregate_id (aggregate_id),
    CONSTRAINT aggregate_hosts_ibfk_1 FOREIGN KEY (aggregate_id) REFERENCES aggregates (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: a key with its value that an aggregate carries for the scheduler.
CREATE TABLE IF NOT EXISTS aggregate_metadata (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    aggregate_id INT NOT NULL,
    `key` VARCHAR(255) NOT NULL,
    value VARCHAR(255) NOT NULL,
    deleted INT,
    PRIMARY KEY (id),
    CONSTRAINT uniq_aggregate_metadata0aggregate_id0key0deleted UNIQUE (aggregate_id, `key`, deleted),
    KEY aggregate_metadata_key_idx (`key`),
    CONSTRAINT aggregate_metadata_ibfk_1 FOREIGN KEY (aggregate_id) REFERENCES aggregates (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: a server group of a project.
CREATE TABLE IF NOT EXISTS instance_groups (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    deleted INT,
    id INT NOT NULL AUTO_INCREMENT,
    user_id VARCHAR(255),
    project_id VARCHAR(255),
    uuid VARCHAR(36) NOT NULL,
    name VARCHAR(255),
    PRIMARY KEY (id),
    CONSTRAINT uniq_instance_groups0uuid0deleted UNIQUE (uuid, deleted)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: an instance that belongs to a server group; instance_id holds its uuid.
CREATE TABLE IF NOT EXISTS instance_group_member (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    deleted INT,
    id INT NOT NULL AUTO_INCREMENT,
    instance_id VARCHAR(255),
    group_id INT NOT NULL,
    PRIMARY KEY (id),
    KEY group_id (group_id),
    KEY instance_group_member_instance_idx (instance_id),
    CONSTRAINT instance_group_member_ibfk_1 FOREIGN KEY (group_id) REFERENCES instance_groups (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: a placement rule of a server group.
CREATE TABLE IF NOT EXISTS instance_group_policy (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    deleted INT,
    id INT NOT NULL AUTO_INCREMENT,
    policy VARCHAR(255),
    group_id INT NOT NULL,
    PRIMARY KEY (id),
    KEY group_id (group_id),
    KEY instance_group_policy_policy_idx (policy),
    CONSTRAINT instance_group_policy_ibfk_1 FOREIGN KEY (group_id) REFERENCES instance_groups (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: a PCI device of a compute node, and who holds it.
CREATE TABLE IF NOT EXISTS pci_devices (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    deleted INT,
    id INT NOT NULL AUTO_INCREMENT,
    compute_node_id INT NOT NULL,
    address VARCHAR(12) NOT NULL,
    product_id VARCHAR(4) NOT NULL,
    vendor_id VARCHAR(4) NOT NULL,
    dev_type VARCHAR(8) NOT NULL,
    dev_id VARCHAR(255),
    label VARCHAR(255) NOT NULL,
    status VARCHAR(36) NOT NULL,
    extra_info TEXT,
    instance_uuid VARCHAR(36),
    request_id VARCHAR(36),
    numa_node INT,
    parent_addr VARCHAR(12),
    PRIMARY KEY (id),
    CONSTRAINT uniq_pci_devices0compute_node_id0address0deleted UNIQUE (compute_node_id, address, deleted),
    KEY ix_pci_devices_compute_node_id_deleted (compute_node_id, deleted),
    KEY ix_pci_devices_compute_node_id_parent_addr_deleted (compute_node_id, parent_addr, deleted),
    KEY ix_pci_devices_instance_uuid_deleted (instance_uuid, deleted),
    CONSTRAINT pci_devices_compute_node_id_fkey FOREIGN KEY (compute_node_id) REFERENCES compute_nodes (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: a move or resize of an instance from host to host; progress in bytes.
CREATE TABLE IF NOT EXISTS migrations (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    source_compute VARCHAR(255),
    dest_compute VARCHAR(255),
    dest_host VARCHAR(255),
    status VARCHAR(255),
    instance_uuid VARCHAR(36),
    old_instance_type_id INT,
    new_instance_type_id INT,
    source_node VARCHAR(255),
    dest_node VARCHAR(255),
    deleted INT,
    migration_type ENUM('migration', 'resize', 'live-migration', 'evacuation'),
    hidden TINYINT(1),
    memory_total BIGINT,
    memory_processed BIGINT,
    memory_remaining BIGINT,
    disk_total BIGINT,
    disk_processed BIGINT,
    disk_remaining BIGINT,
    PRIMARY KEY (id),
    KEY fk_migrations_instance_uuid (instance_uuid),
    KEY migrations_by_host_nodes_and_status_idx
        (deleted, source_compute(100), dest_compute(100), source_node(100), dest_node(100), status),
    KEY migrations_instance_uuid_and_status_idx (deleted, instance_uuid, status),
    CONSTRAINT fk_migrations_instance_uuid FOREIGN KEY (instance_uuid) REFERENCES instances (uuid)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: the consoles of one type that a proxy host serves for a compute host.
CREATE TABLE IF NOT EXISTS console_pools (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    address VARCHAR(39),
    username VARCHAR(255),
    password VARCHAR(255),
    console_type VARCHAR(255),
    public_hostname VARCHAR(255),
    host VARCHAR(255),
    compute_host VARCHAR(255),
    deleted INT,
    PRIMARY KEY (id),
    CONSTRAINT uniq_console_pools0host0console_type0compute_host0deleted
        UNIQUE (host, console_type, compute_host, deleted)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: a console session of an instance; really deleted, never soft-deleted.
CREATE TABLE IF NOT EXISTS consoles (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    instance_name VARCHAR(255),
    password VARCHAR(255),
    port INT,
    pool_id INT,
    instance_uuid VARCHAR(36),
    deleted INT,
    PRIMARY KEY (id),
    KEY consoles_instance_uuid_idx (instance_uuid),
    KEY pool_id (pool_id),
    CONSTRAINT consoles_instance_uuid_fkey FOREIGN KEY (instance_uuid) REFERENCES instances (uuid),
    CONSTRAINT consoles_ibfk_1 FOREIGN KEY (pool_id) REFERENCES console_pools (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: a child or parent cell of the first cells design.
CREATE TABLE IF NOT EXISTS cells (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    api_url VARCHAR(255),
    weight_offset FLOAT,
    weight_scale FLOAT,
    name VARCHAR(255),
    is_parent TINYINT(1),
    deleted INT,
    transport_url VARCHAR(255) NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT uniq_cells0name0deleted UNIQUE (name, deleted),
    CHECK (is_parent IN (0, 1))
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: a version of the guest agent on offer for a hypervisor, operating system and architecture.
CREATE TABLE IF NOT EXISTS agent_builds (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    hypervisor VARCHAR(255),
    os VARCHAR(255),
    architecture VARCHAR(255),
    version VARCHAR(255),
    url VARCHAR(255),
    md5hash VARCHAR(255),
    deleted INT,
    PRIMARY KEY (id),
    CONSTRAINT uniq_agent_builds0hypervisor0os0architecture0deleted UNIQUE (hypervisor, os, architecture, deleted),
    KEY agent_builds_hypervisor_os_arch_idx (hypervisor, os, architecture)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: one run of a periodic task for a host and a period.
CREATE TABLE IF NOT EXISTS task_log (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    task_name VARCHAR(255) NOT NULL,
    state VARCHAR(255) NOT NULL,
    host VARCHAR(255) NOT NULL,
    period_beginning DATETIME NOT NULL,
    period_ending DATETIME NOT NULL,
    message VARCHAR(255) NOT NULL,
    task_items INT,
    errors INT,
    deleted INT,
    PRIMARY KEY (id),
    CONSTRAINT uniq_task_log0task_name0host0period_beginning0period_ending
        UNIQUE (task_name, host, period_beginning, period_ending),
    KEY ix_task_log_host (host),
    KEY ix_task_log_period_beginning (period_beginning),
    KEY ix_task_log_period_ending (period_ending)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: the traffic of a network card (by MAC address) in one accounting period; counters in bytes.
CREATE TABLE IF NOT EXISTS bw_usage_cache (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    start_period DATETIME NOT NULL,
    last_refreshed DATETIME,
    bw_in BIGINT,
    bw_out BIGINT,
    mac VARCHAR(255),
    uuid VARCHAR(36),
    last_ctr_in BIGINT,
    last_ctr_out BIGINT,
    deleted INT,
    PRIMARY KEY (id),
    KEY bw_usage_cache_uuid_start_period_idx (uuid, start_period)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: the I/O of a volume: totals, and what the current attachment has done so far.
CREATE TABLE IF NOT EXISTS volume_usage_cache (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    volume_id VARCHAR(36) NOT NULL,
    tot_last_refreshed DATETIME,
    tot_reads BIGINT,
    tot_read_bytes BIGINT,
    tot_writes BIGINT,
    tot_write_bytes BIGINT,
    curr_last_refreshed DATETIME,
    curr_reads BIGINT,
    curr_read_bytes BIGINT,
    curr_writes BIGINT,
    curr_write_bytes BIGINT,
    deleted INT,
    instance_uuid VARCHAR(36),
    project_id VARCHAR(36),
    user_id VARCHAR(64),
    availability_zone VARCHAR(255),
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- == flavors ==

-- One row: a flavor; memory in MiB, disks in GiB, swap in MiB.
CREATE TABLE IF NOT EXISTS instance_types (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    name VARCHAR(255),
    id INT NOT NULL AUTO_INCREMENT,
    memory_mb INT NOT NULL,
    vcpus INT NOT NULL,
    swap INT NOT NULL,
    vcpu_weight INT,
    flavorid VARCHAR(255),
    rxtx_factor FLOAT,
    root_gb INT,
    ephemeral_gb INT,
    disabled TINYINT(1),
    is_public TINYINT(1),
    deleted INT,
    PRIMARY KEY (id),
    CONSTRAINT uniq_instance_types0flavorid0deleted UNIQUE (flavorid, deleted),
    CONSTRAINT uniq_instance_types0name0deleted UNIQUE (name, deleted),
    CHECK (disabled IN (0, 1)),
    CHECK (is_public IN (0, 1))
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: an extra spec of a flavor; on the MySQL family letter case counts here.
CREATE TABLE IF NOT EXISTS instance_type_extra_specs (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    instance_type_id INT NOT NULL,
    `key` VARCHAR(255),
    value VARCHAR(255),
    deleted INT,
    PRIMARY KEY (id),
    CONSTRAINT uniq_instance_type_extra_specs0instance_type_id0key0deleted UNIQUE (instance_type_id, `key`, deleted),
    KEY instance_type_extra_specs_instance_type_id_key_idx (instance_type_id, `key`),
    CONSTRAINT instance_type_extra_specs_ibfk_1 FOREIGN KEY (instance_type_id) REFERENCES instance_types (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_bin;

-- One row: a project that may use a private flavor.
CREATE TABLE IF NOT EXISTS instance_type_projects (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    instance_type_id INT NOT NULL,
    project_id VARCHAR(255),
    deleted INT,
    PRIMARY KEY (id),
    CONSTRAINT uniq_instance_type_projects0instance_type_id0project_id0deleted
        UNIQUE (instance_type_id, project_id, deleted),
    KEY instance_type_id (instance_type_id),
    CONSTRAINT instance_type_projects_ibfk_1 FOREIGN KEY (instance_type_id) REFERENCES instance_types (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- == quotas ==

-- One row: a limit of a project for a resource; -1 means unlimited.
CREATE TABLE IF NOT EXISTS quotas (
    id INT NOT NULL AUTO_INCREMENT,
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    project_id VARCHAR(255),
    resource VARCHAR(255) NOT NULL,
    hard_limit INT,
    deleted INT,
    PRIMARY KEY (id),
    CONSTRAINT uniq_quotas0project_id0resource0deleted UNIQUE (project_id, resource, deleted)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: a limit of a user within a project for a resource; -1 means unlimited.
CREATE TABLE IF NOT EXISTS project_user_quotas (
    id INT NOT NULL AUTO_INCREMENT,
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    deleted INT,
    user_id VARCHAR(255) NOT NULL,
    project_id VARCHAR(255) NOT NULL,
    resource VARCHAR(255) NOT NULL,
    hard_limit INT,
    PRIMARY KEY (id),
    CONSTRAINT uniq_project_user_quotas0user_id0project_id0resource0deleted
        UNIQUE (user_id, project_id, resource, deleted),
    KEY project_user_quotas_project_id_deleted_idx (project_id, deleted),
    KEY project_user_quotas_user_id_deleted_idx (user_id, deleted)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: a limit of a quota class for a resource; -1 means unlimited.
CREATE TABLE IF NOT EXISTS quota_classes (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    class_name VARCHAR(255),
    resource VARCHAR(255),
    hard_limit INT,
    deleted INT,
    PRIMARY KEY (id),
    KEY ix_quota_classes_class_name (class_name)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: what a project, or a user in it, uses and has reserved of a resource.
CREATE TABLE IF NOT EXISTS quota_usages (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    project_id VARCHAR(255),
    resource VARCHAR(255) NOT NULL,
    in_use INT NOT NULL,
    reserved INT NOT NULL,
    until_refresh INT,
    deleted INT,
    user_id VARCHAR(255),
    PRIMARY KEY (id),
    KEY ix_quota_usages_project_id (project_id),
    KEY ix_quota_usages_user_id_deleted (user_id, deleted)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: a pending change of a usage, until it is committed, rolled back or expires.
CREATE TABLE IF NOT EXISTS reservations (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    uuid VARCHAR(36) NOT NULL,
    usage_id INT NOT NULL,
    project_id VARCHAR(255),
    resource VARCHAR(255),
    delta INT NOT NULL,
    expire DATETIME,
    deleted INT,
    user_id VARCHAR(255),
    PRIMARY KEY (id),
    KEY ix_reservations_project_id (project_id),
    KEY ix_reservations_user_id_deleted (user_id, deleted),
    KEY reservations_deleted_expire_idx (deleted, expire),
    KEY reservations_uuid_idx (uuid),
    KEY usage_id (usage_id),
    CONSTRAINT reservations_ibfk_1 FOREIGN KEY (usage_id) REFERENCES quota_usages (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- == networks and security groups ==

-- One row: a network with its addresses, its bridge or VLAN, and perhaps the project that owns it.
CREATE TABLE IF NOT EXISTS networks (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    injected TINYINT(1),
    cidr VARCHAR(43),
    netmask VARCHAR(39),
    bridge VARCHAR(255),
    gateway VARCHAR(39),
    broadcast VARCHAR(39),
    dns1 VARCHAR(39),
    vlan INT,
    vpn_public_address VARCHAR(39),
    vpn_public_port INT,
    vpn_private_address VARCHAR(39),
    dhcp_start VARCHAR(39),
    project_id VARCHAR(255),
    host VARCHAR(255),
    cidr_v6 VARCHAR(43),
    gateway_v6 VARCHAR(39),
    label VARCHAR(255),
    netmask_v6 VARCHAR(39),
    bridge_interface VARCHAR(255),
    multi_host TINYINT(1),
    dns2 VARCHAR(39),
    uuid VARCHAR(36),
    priority INT,
    rxtx_base INT,
    deleted INT,
    mtu INT,
    dhcp_server VARCHAR(39),
    enable_dhcp TINYINT(1),
    share_address TINYINT(1),
    PRIMARY KEY (id),
    CONSTRAINT uniq_networks0vlan0deleted UNIQUE (vlan, deleted),
    KEY networks_bridge_deleted_idx (bridge, deleted),
    KEY networks_cidr_v6_idx (cidr_v6),
    KEY networks_host_idx (host),
    KEY networks_project_id_deleted_idx (project_id, deleted),
    KEY networks_uuid_project_id_deleted_idx (uuid, project_id, deleted),
    KEY networks_vlan_deleted_idx (vlan, deleted),
    CHECK (injected IN (0, 1)),
    CHECK (multi_host IN (0, 1))
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: an address of a network, free or held by an instance or a host.
CREATE TABLE IF NOT EXISTS fixed_ips (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    address VARCHAR(39),
    network_id INT,
    allocated TINYINT(1),
    leased TINYINT(1),
    reserved TINYINT(1),
    virtual_interface_id INT,
    host VARCHAR(255),
    instance_uuid VARCHAR(36),
    deleted INT,
    PRIMARY KEY (id),
    CONSTRAINT uniq_fixed_ips0address0deleted UNIQUE (address, deleted),
    KEY address (address),
    KEY fixed_ips_address_reserved_network_id_deleted_idx (address, reserved, network_id, deleted),
    KEY fixed_ips_deleted_allocated_idx (address, deleted, allocated),
    KEY fixed_ips_deleted_allocated_updated_at_idx (deleted, allocated, updated_at),
    KEY fixed_ips_host_idx (host),
    KEY fixed_ips_instance_uuid_fkey (instance_uuid),
    KEY fixed_ips_network_id_host_deleted_idx (network_id, host, deleted),
    KEY fixed_ips_virtual_interface_id_fkey (virtual_interface_id),
    KEY network_id (network_id),
    CONSTRAINT fixed_ips_instance_uuid_fkey FOREIGN KEY (instance_uuid) REFERENCES instances (uuid),
    CHECK (allocated IN (0, 1)),
    CHECK (leased IN (0, 1)),
    CHECK (reserved IN (0, 1))
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: an address of a pool, held by a project and perhaps tied to a fixed address.
CREATE TABLE IF NOT EXISTS floating_ips (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    address VARCHAR(39),
    fixed_ip_id INT,
    project_id VARCHAR(255),
    host VARCHAR(255),
    auto_assigned TINYINT(1),
    pool VARCHAR(255),
    interface VARCHAR(255),
    deleted INT,
    PRIMARY KEY (id),
    CONSTRAINT uniq_floating_ips0address0deleted UNIQUE (address, deleted),
    KEY fixed_ip_id (fixed_ip_id),
    KEY floating_ips_host_idx (host),
    KEY floating_ips_pool_deleted_fixed_ip_id_project_id_idx (pool, deleted, fixed_ip_id, project_id),
    KEY floating_ips_project_id_idx (project_id),
    CHECK (auto_assigned IN (0, 1))
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: a DNS domain, tied to an availability zone or a project.
CREATE TABLE IF NOT EXISTS dns_domains (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    deleted TINYINT(1),
    domain VARCHAR(255) NOT NULL,
    scope VARCHAR(255),
    availability_zone VARCHAR(255),
    project_id VARCHAR(255),
    PRIMARY KEY (domain),
    KEY dns_domains_domain_deleted_idx (domain, deleted),
    KEY dns_domains_project_id_idx (project_id),
    CHECK (deleted IN (0, 1))
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: a named set of rules of a project.
CREATE TABLE IF NOT EXISTS security_groups (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    name VARCHAR(255),
    description VARCHAR(255),
    user_id VARCHAR(255),
    project_id VARCHAR(255),
    deleted INT,
    PRIMARY KEY (id),
    CONSTRAINT uniq_security_groups0project_id0name0deleted UNIQUE (project_id, name, deleted)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: an instance that belongs to a security group.
CREATE TABLE IF NOT EXISTS security_group_instance_association (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    security_group_id INT,
    instance_uuid VARCHAR(36),
    deleted INT,
    PRIMARY KEY (id),
    KEY security_group_id (security_group_id),
    KEY security_group_instance_association_instance_uuid_idx (instance_uuid),
    CONSTRAINT security_group_instance_association_instance_uuid_fkey
        FOREIGN KEY (instance_uuid) REFERENCES instances (uuid),
    CONSTRAINT security_group_instance_association_ibfk_1
        FOREIGN KEY (security_group_id) REFERENCES security_groups (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: what a security group lets in: a port range from a network or from another group.
CREATE TABLE IF NOT EXISTS security_group_rules (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    parent_group_id INT,
    protocol VARCHAR(255),
    from_port INT,
    to_port INT,
    cidr VARCHAR(43),
    group_id INT,
    deleted INT,
    PRIMARY KEY (id),
    KEY group_id (group_id),
    KEY parent_group_id (parent_group_id),
    CONSTRAINT security_group_rules_ibfk_2 FOREIGN KEY (group_id) REFERENCES security_groups (id),
    CONSTRAINT security_group_rules_ibfk_1 FOREIGN KEY (parent_group_id) REFERENCES security_groups (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: a rule that every new default security group starts with.
CREATE TABLE IF NOT EXISTS security_group_default_rules (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    deleted INT,
    id INT NOT NULL AUTO_INCREMENT,
    protocol VARCHAR(5),
    from_port INT,
    to_port INT,
    cidr VARCHAR(43),
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: a firewall rule of the provider, for all instances.
CREATE TABLE IF NOT EXISTS provider_fw_rules (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    protocol VARCHAR(5),
    from_port INT,
    to_port INT,
    cidr VARCHAR(43),
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- == keys and numbers for the EC2 interface ==

-- One row: a public key of a user, under a name.
CREATE TABLE IF NOT EXISTS key_pairs (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    name VARCHAR(255) NOT NULL,
    user_id VARCHAR(255),
    fingerprint VARCHAR(255),
    public_key MEDIUMTEXT,
    deleted INT,
    type ENUM('ssh', 'x509') NOT NULL DEFAULT 'ssh',
    PRIMARY KEY (id),
    CONSTRAINT uniq_key_pairs0user_id0name0deleted UNIQUE (user_id, name, deleted)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: an X.509 certificate file of a user in a project.
CREATE TABLE IF NOT EXISTS certificates (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    user_id VARCHAR(255),
    project_id VARCHAR(255),
    file_name VARCHAR(255),
    deleted INT,
    PRIMARY KEY (id),
    KEY certificates_project_id_deleted_idx (project_id, deleted),
    KEY certificates_user_id_deleted_idx (user_id, deleted)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: the EC2 number of an image uuid.
CREATE TABLE IF NOT EXISTS s3_images (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    uuid VARCHAR(36) NOT NULL,
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: the EC2 number of a volume uuid.
CREATE TABLE IF NOT EXISTS volume_id_mappings (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    uuid VARCHAR(36) NOT NULL,
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: the EC2 number of a snapshot uuid.
CREATE TABLE IF NOT EXISTS snapshot_id_mappings (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    uuid VARCHAR(36) NOT NULL,
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- One row: a volume snapshot of the former volume service; nothing writes it any more.
CREATE TABLE IF NOT EXISTS snapshots (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id VARCHAR(36) NOT NULL,
    volume_id VARCHAR(36) NOT NULL,
    user_id VARCHAR(255),
    project_id VARCHAR(255),
    status VARCHAR(255),
    progress VARCHAR(255),
    volume_size INT,
    scheduled_at DATETIME,
    display_name VARCHAR(255),
    display_description VARCHAR(255),
    deleted VARCHAR(36),
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- == placement, first design ==

-- One row: something that has resources to give: a compute node, a shared pool.
CREATE TABLE IF NOT EXISTS resource_providers (
    id INT NOT NULL AUTO_INCREMENT,
    uuid VARCHAR(36) NOT NULL,
    name VARCHAR(200) CHARACTER SET utf8mb3 COLLATE utf8mb3_general_ci,
    generation INT,
    can_host INT,
    PRIMARY KEY (id),
    CONSTRAINT uniq_resource_providers0name UNIQUE (name),
    CONSTRAINT uniq_resource_providers0uuid UNIQUE (uuid),
    KEY resource_providers_name_idx (name),
    KEY resource_providers_uuid_idx (uuid)
) ENGINE = InnoDB DEFAULT CHARSET = latin1 COLLATE = latin1_swedish_ci;

-- One row: the total of a resource class that a resource provider has.
CREATE TABLE IF NOT EXISTS inventories (
    id INT NOT NULL AUTO_INCREMENT,
    resource_provider_id INT NOT NULL,
    resource_class_id INT NOT NULL,
    total INT NOT NULL,
    reserved INT NOT NULL,
    min_unit INT NOT NULL,
    max_unit INT NOT NULL,
    step_size INT NOT NULL,
    allocation_ratio FLOAT NOT NULL,
    PRIMARY KEY (id),
    CONSTRAINT uniq_inventories0resource_provider_resource_class UNIQUE (resource_provider_id, resource_class_id),
    KEY inventories_resource_class_id_idx (resource_class_id),
    KEY inventories_resource_provider_id_idx (resource_provider_id),
    KEY inventories_resource_provider_resource_class_idx (resource_provider_id, resource_class_id)
) ENGINE = InnoDB DEFAULT CHARSET = latin1 COLLATE = latin1_swedish_ci;

-- One row: an amount of a resource class that a consumer takes from a resource provider.
CREATE TABLE IF NOT EXISTS allocations (
    id INT NOT NULL AUTO_INCREMENT,
    resource_provider_id INT NOT NULL,
    consumer_id VARCHAR(36) NOT NULL,
    resource_class_id INT NOT NULL,
    used INT NOT NULL,
    PRIMARY KEY (id),
    KEY allocations_consumer_id_idx (consumer_id),
    KEY allocations_resource_class_id_idx (resource_class_id),
    KEY allocations_resource_provider_class_used_idx (resource_provider_id, resource_class_id, used)
) ENGINE = InnoDB DEFAULT CHARSET = latin1 COLLATE = latin1_swedish_ci;

-- One row: a resource provider that belongs to an aggregate; that the first id is counted up is of no use to anybody.
CREATE TABLE IF NOT EXISTS resource_provider_aggregates (
    resource_provider_id INT NOT NULL AUTO_INCREMENT,
    aggregate_id INT NOT NULL,
    PRIMARY KEY (resource_provider_id, aggregate_id),
    KEY resource_provider_aggregates_aggregate_id_idx (aggregate_id)
) ENGINE = InnoDB DEFAULT CHARSET = latin1 COLLATE = latin1_swedish_ci;

-- == The reference's bookkeeping ==

-- == the reference's bookkeeping ==

-- One row: the reference's own record of its schema version.
CREATE TABLE IF NOT EXISTS migrate_version (
    repository_id VARCHAR(250) NOT NULL,
    repository_path TEXT,
    version INT,
    PRIMARY KEY (repository_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- == shadow tables: archived rows, ids included; no keys but the primary one ==

CREATE TABLE IF NOT EXISTS shadow_instances (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    internal_id INT,
    user_id VARCHAR(255),
    project_id VARCHAR(255),
    image_ref VARCHAR(255),
    kernel_id VARCHAR(255),
    ramdisk_id VARCHAR(255),
    launch_index INT,
    key_name VARCHAR(255),
    key_data MEDIUMTEXT,
    power_state INT,
    vm_state VARCHAR(255),
    memory_mb INT,
    vcpus INT,
    hostname VARCHAR(255),
    host VARCHAR(255),
    user_data MEDIUMTEXT,
    reservation_id VARCHAR(255),
    scheduled_at DATETIME,
    launched_at DATETIME,
    terminated_at DATETIME,
    display_name VARCHAR(255),
    display_description VARCHAR(255),
    availability_zone VARCHAR(255),
    locked TINYINT(1),
    os_type VARCHAR(255),
    launched_on MEDIUMTEXT,
    instance_type_id INT,
    vm_mode VARCHAR(255),
    uuid VARCHAR(36) NOT NULL,
    architecture VARCHAR(255),
    root_device_name VARCHAR(255),
    access_ip_v4 VARCHAR(39),
    access_ip_v6 VARCHAR(39),
    config_drive VARCHAR(255),
    task_state VARCHAR(255),
    default_ephemeral_device VARCHAR(255),
    default_swap_device VARCHAR(255),
    progress INT,
    auto_disk_config TINYINT(1),
    shutdown_terminate TINYINT(1),
    disable_terminate TINYINT(1),
    root_gb INT,
    ephemeral_gb INT,
    cell_name VARCHAR(255),
    node VARCHAR(255),
    deleted INT,
    locked_by ENUM('owner', 'admin'),
    cleaned INT,
    ephemeral_key_uuid VARCHAR(36),
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_instance_extra (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    deleted INT,
    id INT NOT NULL AUTO_INCREMENT,
    instance_uuid VARCHAR(36) NOT NULL,
    numa_topology TEXT,
    pci_requests TEXT,
    flavor TEXT,
    vcpu_model TEXT,
    migration_context TEXT,
    PRIMARY KEY (id),
    KEY shadow_instance_extra_idx (instance_uuid)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_instance_info_caches (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    network_info MEDIUMTEXT,
    instance_uuid VARCHAR(36) NOT NULL,
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_instance_metadata (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    `key` VARCHAR(255),
    value VARCHAR(255),
    instance_uuid VARCHAR(36),
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_instance_system_metadata (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    instance_uuid VARCHAR(36) NOT NULL,
    `key` VARCHAR(255) NOT NULL,
    value VARCHAR(255),
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_instance_faults (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    instance_uuid VARCHAR(36),
    code INT NOT NULL,
    message VARCHAR(255),
    details MEDIUMTEXT,
    host VARCHAR(255),
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_instance_actions (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    action VARCHAR(255),
    instance_uuid VARCHAR(36),
    request_id VARCHAR(255),
    user_id VARCHAR(255),
    project_id VARCHAR(255),
    start_time DATETIME,
    finish_time DATETIME,
    message VARCHAR(255),
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_instance_actions_events (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    event VARCHAR(255),
    action_id INT,
    start_time DATETIME,
    finish_time DATETIME,
    result VARCHAR(255),
    traceback TEXT,
    deleted INT,
    host VARCHAR(255),
    details TEXT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_instance_id_mappings (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    uuid VARCHAR(36) NOT NULL,
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_block_device_mapping (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    device_name VARCHAR(255),
    delete_on_termination TINYINT(1),
    snapshot_id VARCHAR(36),
    volume_id VARCHAR(36),
    volume_size INT,
    no_device TINYINT(1),
    connection_info MEDIUMTEXT,
    instance_uuid VARCHAR(36),
    deleted INT,
    source_type VARCHAR(255),
    destination_type VARCHAR(255),
    guest_format VARCHAR(255),
    device_type VARCHAR(255),
    disk_bus VARCHAR(255),
    boot_index INT,
    image_id VARCHAR(36),
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_virtual_interfaces (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    address VARCHAR(255),
    network_id INT,
    uuid VARCHAR(36),
    instance_uuid VARCHAR(36),
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_services (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    host VARCHAR(255),
    `binary` VARCHAR(255),
    topic VARCHAR(255),
    report_count INT NOT NULL,
    disabled TINYINT(1),
    deleted INT,
    disabled_reason VARCHAR(255),
    last_seen_up DATETIME,
    forced_down TINYINT(1),
    version INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_compute_nodes (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    service_id INT,
    vcpus INT NOT NULL,
    memory_mb INT NOT NULL,
    local_gb INT NOT NULL,
    vcpus_used INT NOT NULL,
    memory_mb_used INT NOT NULL,
    local_gb_used INT NOT NULL,
    hypervisor_type MEDIUMTEXT NOT NULL,
    hypervisor_version INT NOT NULL,
    cpu_info MEDIUMTEXT NOT NULL,
    disk_available_least INT,
    free_ram_mb INT,
    free_disk_gb INT,
    current_workload INT,
    running_vms INT,
    hypervisor_hostname VARCHAR(255),
    deleted INT,
    host_ip VARCHAR(39),
    supported_instances TEXT,
    pci_stats TEXT,
    metrics TEXT,
    extra_resources TEXT,
    stats TEXT,
    numa_topology TEXT,
    host VARCHAR(255),
    ram_allocation_ratio FLOAT,
    cpu_allocation_ratio FLOAT,
    uuid VARCHAR(36),
    disk_allocation_ratio FLOAT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_aggregates (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    name VARCHAR(255),
    deleted INT,
    uuid VARCHAR(36),
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_aggregate_hosts (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    host VARCHAR(255),
    aggregate_id INT NOT NULL,
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_aggregate_metadata (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    aggregate_id INT NOT NULL,
    `key` VARCHAR(255) NOT NULL,
    value VARCHAR(255) NOT NULL,
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_instance_groups (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    deleted INT,
    id INT NOT NULL AUTO_INCREMENT,
    user_id VARCHAR(255),
    project_id VARCHAR(255),
    uuid VARCHAR(36) NOT NULL,
    name VARCHAR(255),
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_instance_group_member (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    deleted INT,
    id INT NOT NULL AUTO_INCREMENT,
    instance_id VARCHAR(255),
    group_id INT NOT NULL,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_instance_group_policy (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    deleted INT,
    id INT NOT NULL AUTO_INCREMENT,
    policy VARCHAR(255),
    group_id INT NOT NULL,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_pci_devices (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    deleted INT NOT NULL,
    id INT NOT NULL AUTO_INCREMENT,
    compute_node_id INT NOT NULL,
    address VARCHAR(12) NOT NULL,
    product_id VARCHAR(4),
    vendor_id VARCHAR(4),
    dev_type VARCHAR(8),
    dev_id VARCHAR(255),
    label VARCHAR(255) NOT NULL,
    status VARCHAR(36) NOT NULL,
    extra_info TEXT,
    instance_uuid VARCHAR(36),
    request_id VARCHAR(36),
    numa_node INT,
    parent_addr VARCHAR(12),
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_migrations (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    source_compute VARCHAR(255),
    dest_compute VARCHAR(255),
    dest_host VARCHAR(255),
    status VARCHAR(255),
    instance_uuid VARCHAR(36),
    old_instance_type_id INT,
    new_instance_type_id INT,
    source_node VARCHAR(255),
    dest_node VARCHAR(255),
    deleted INT,
    migration_type ENUM('migration', 'resize', 'live-migration', 'evacuation'),
    hidden TINYINT(1),
    memory_total BIGINT,
    memory_processed BIGINT,
    memory_remaining BIGINT,
    disk_total BIGINT,
    disk_processed BIGINT,
    disk_remaining BIGINT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_console_pools (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    address VARCHAR(39),
    username VARCHAR(255),
    password VARCHAR(255),
    console_type VARCHAR(255),
    public_hostname VARCHAR(255),
    host VARCHAR(255),
    compute_host VARCHAR(255),
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_consoles (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    instance_name VARCHAR(255),
    password VARCHAR(255),
    port INT,
    pool_id INT,
    instance_uuid VARCHAR(36),
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_cells (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    api_url VARCHAR(255),
    weight_offset FLOAT,
    weight_scale FLOAT,
    name VARCHAR(255),
    is_parent TINYINT(1),
    deleted INT,
    transport_url VARCHAR(255) NOT NULL,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_agent_builds (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    hypervisor VARCHAR(255),
    os VARCHAR(255),
    architecture VARCHAR(255),
    version VARCHAR(255),
    url VARCHAR(255),
    md5hash VARCHAR(255),
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_task_log (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    task_name VARCHAR(255) NOT NULL,
    state VARCHAR(255) NOT NULL,
    host VARCHAR(255) NOT NULL,
    period_beginning DATETIME NOT NULL,
    period_ending DATETIME NOT NULL,
    message VARCHAR(255) NOT NULL,
    task_items INT,
    errors INT,
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_bw_usage_cache (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    start_period DATETIME NOT NULL,
    last_refreshed DATETIME,
    bw_in BIGINT,
    bw_out BIGINT,
    mac VARCHAR(255),
    uuid VARCHAR(36),
    last_ctr_in BIGINT,
    last_ctr_out BIGINT,
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_volume_usage_cache (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    volume_id VARCHAR(36) NOT NULL,
    tot_last_refreshed DATETIME,
    tot_reads BIGINT,
    tot_read_bytes BIGINT,
    tot_writes BIGINT,
    tot_write_bytes BIGINT,
    curr_last_refreshed DATETIME,
    curr_reads BIGINT,
    curr_read_bytes BIGINT,
    curr_writes BIGINT,
    curr_write_bytes BIGINT,
    deleted INT,
    instance_uuid VARCHAR(36),
    project_id VARCHAR(36),
    user_id VARCHAR(36),
    availability_zone VARCHAR(255),
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_instance_types (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    name VARCHAR(255),
    id INT NOT NULL AUTO_INCREMENT,
    memory_mb INT NOT NULL,
    vcpus INT NOT NULL,
    swap INT NOT NULL,
    vcpu_weight INT,
    flavorid VARCHAR(255),
    rxtx_factor FLOAT,
    root_gb INT,
    ephemeral_gb INT,
    disabled TINYINT(1),
    is_public TINYINT(1),
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_instance_type_extra_specs (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    instance_type_id INT NOT NULL,
    `key` VARCHAR(255),
    value VARCHAR(255),
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_instance_type_projects (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    instance_type_id INT NOT NULL,
    project_id VARCHAR(255),
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_quotas (
    id INT NOT NULL AUTO_INCREMENT,
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    project_id VARCHAR(255),
    resource VARCHAR(255) NOT NULL,
    hard_limit INT,
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_project_user_quotas (
    id INT NOT NULL AUTO_INCREMENT,
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    deleted INT,
    user_id VARCHAR(255) NOT NULL,
    project_id VARCHAR(255) NOT NULL,
    resource VARCHAR(255) NOT NULL,
    hard_limit INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_quota_classes (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    class_name VARCHAR(255),
    resource VARCHAR(255),
    hard_limit INT,
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_quota_usages (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    project_id VARCHAR(255),
    resource VARCHAR(255),
    in_use INT NOT NULL,
    reserved INT NOT NULL,
    until_refresh INT,
    deleted INT,
    user_id VARCHAR(255),
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_reservations (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    uuid VARCHAR(36) NOT NULL,
    usage_id INT NOT NULL,
    project_id VARCHAR(255),
    resource VARCHAR(255),
    delta INT NOT NULL,
    expire DATETIME,
    deleted INT,
    user_id VARCHAR(255),
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_networks (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    injected TINYINT(1),
    cidr VARCHAR(43),
    netmask VARCHAR(39),
    bridge VARCHAR(255),
    gateway VARCHAR(39),
    broadcast VARCHAR(39),
    dns1 VARCHAR(39),
    vlan INT,
    vpn_public_address VARCHAR(39),
    vpn_public_port INT,
    vpn_private_address VARCHAR(39),
    dhcp_start VARCHAR(39),
    project_id VARCHAR(255),
    host VARCHAR(255),
    cidr_v6 VARCHAR(43),
    gateway_v6 VARCHAR(39),
    label VARCHAR(255),
    netmask_v6 VARCHAR(39),
    bridge_interface VARCHAR(255),
    multi_host TINYINT(1),
    dns2 VARCHAR(39),
    uuid VARCHAR(36),
    priority INT,
    rxtx_base INT,
    deleted INT,
    mtu INT,
    dhcp_server VARCHAR(39),
    enable_dhcp TINYINT(1),
    share_address TINYINT(1),
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_fixed_ips (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    address VARCHAR(39),
    network_id INT,
    allocated TINYINT(1),
    leased TINYINT(1),
    reserved TINYINT(1),
    virtual_interface_id INT,
    host VARCHAR(255),
    instance_uuid VARCHAR(36),
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_floating_ips (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    address VARCHAR(39),
    fixed_ip_id INT,
    project_id VARCHAR(255),
    host VARCHAR(255),
    auto_assigned TINYINT(1),
    pool VARCHAR(255),
    interface VARCHAR(255),
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_dns_domains (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    deleted TINYINT(1),
    domain VARCHAR(255) NOT NULL,
    scope VARCHAR(255),
    availability_zone VARCHAR(255),
    project_id VARCHAR(255),
    PRIMARY KEY (domain)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_security_groups (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    name VARCHAR(255),
    description VARCHAR(255),
    user_id VARCHAR(255),
    project_id VARCHAR(255),
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_security_group_instance_association (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    security_group_id INT,
    instance_uuid VARCHAR(36),
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_security_group_rules (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    parent_group_id INT,
    protocol VARCHAR(255),
    from_port INT,
    to_port INT,
    cidr VARCHAR(43),
    group_id INT,
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_security_group_default_rules (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    deleted INT,
    id INT NOT NULL AUTO_INCREMENT,
    protocol VARCHAR(5),
    from_port INT,
    to_port INT,
    cidr VARCHAR(43),
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_provider_fw_rules (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    protocol VARCHAR(5),
    from_port INT,
    to_port INT,
    cidr VARCHAR(43),
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_key_pairs (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    name VARCHAR(255),
    user_id VARCHAR(255),
    fingerprint VARCHAR(255),
    public_key MEDIUMTEXT,
    deleted INT,
    type ENUM('ssh', 'x509') NOT NULL DEFAULT 'ssh',
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_certificates (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    user_id VARCHAR(255),
    project_id VARCHAR(255),
    file_name VARCHAR(255),
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_s3_images (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    uuid VARCHAR(36) NOT NULL,
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_volume_id_mappings (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    uuid VARCHAR(36) NOT NULL,
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_snapshot_id_mappings (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id INT NOT NULL AUTO_INCREMENT,
    uuid VARCHAR(36) NOT NULL,
    deleted INT,
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_snapshots (
    created_at DATETIME,
    updated_at DATETIME,
    deleted_at DATETIME,
    id VARCHAR(36) NOT NULL,
    volume_id VARCHAR(36) NOT NULL,
    user_id VARCHAR(255),
    project_id VARCHAR(255),
    status VARCHAR(255),
    progress VARCHAR(255),
    volume_size INT,
    scheduled_at DATETIME,
    display_name VARCHAR(255),
    display_description VARCHAR(255),
    deleted VARCHAR(36),
    PRIMARY KEY (id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

CREATE TABLE IF NOT EXISTS shadow_migrate_version (
    repository_id VARCHAR(250) NOT NULL,
    repository_path TEXT,
    version INT,
    PRIMARY KEY (repository_id)
) ENGINE = InnoDB DEFAULT CHARSET = utf8mb3 COLLATE = utf8mb3_general_ci;

-- == the flavors that a new database starts with ==

INSERT IGNORE INTO instance_types
    (id, name, memory_mb, vcpus, swap, flavorid, rxtx_factor, root_gb, ephemeral_gb, disabled, is_public, deleted)
VALUES
    (1, 'm1.medium', 4096, 2, 0, '3', 1, 40, 0, 0, 1, 0),
    (2, 'm1.tiny', 512, 1, 0, '1', 1, 1, 0, 0, 1, 0),
    (3, 'm1.large', 8192, 4, 0, '4', 1, 80, 0, 0, 1, 0),
    (4, 'm1.xlarge', 16384, 8, 0, '5', 1, 160, 0, 0, 1, 0),
    (5, 'm1.small', 2048, 1, 0, '2', 1, 20, 0, 0, 1, 0);
