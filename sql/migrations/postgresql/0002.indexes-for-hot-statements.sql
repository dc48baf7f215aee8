-- Indexes for statements that the reference ran without one. The library works without them too, but slower.
-- Nobody waits meanwhile, and a run that was killed can be repeated. PostgreSQL marks an index whose making was cut
-- short as invalid, and nova-sqlcore migrate drops such an index before it makes it anew.
--
-- depends: 0001.reference-schema
-- transactional: false

CREATE INDEX CONCURRENTLY IF NOT EXISTS instances_dead_idx ON instances (id) WHERE deleted <> 0;
CREATE INDEX CONCURRENTLY IF NOT EXISTS instances_newest_idx ON instances (deleted, created_at NULLS FIRST, id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS instances_updated_at_idx ON instances (updated_at);

CREATE INDEX CONCURRENTLY IF NOT EXISTS instance_extra_dead_idx ON instance_extra (id) WHERE deleted <> 0;

CREATE INDEX CONCURRENTLY IF NOT EXISTS instance_info_caches_dead_idx ON instance_info_caches (id) WHERE deleted <> 0;

CREATE INDEX CONCURRENTLY IF NOT EXISTS instance_metadata_dead_idx ON instance_metadata (id) WHERE deleted <> 0;

CREATE INDEX CONCURRENTLY IF NOT EXISTS instance_system_metadata_dead_idx
    ON instance_system_metadata (id) WHERE deleted <> 0;

CREATE INDEX CONCURRENTLY IF NOT EXISTS instance_faults_dead_idx ON instance_faults (id) WHERE deleted <> 0;

CREATE INDEX CONCURRENTLY IF NOT EXISTS instance_actions_dead_idx ON instance_actions (id) WHERE deleted <> 0;

CREATE INDEX CONCURRENTLY IF NOT EXISTS instance_actions_events_action_id_idx ON instance_actions_events (action_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS instance_actions_events_dead_idx
    ON instance_actions_events (id) WHERE deleted <> 0;

CREATE INDEX CONCURRENTLY IF NOT EXISTS instance_id_mappings_dead_idx ON instance_id_mappings (id) WHERE deleted <> 0;

CREATE INDEX CONCURRENTLY IF NOT EXISTS block_device_mapping_dead_idx ON block_device_mapping (id) WHERE deleted <> 0;

CREATE INDEX CONCURRENTLY IF NOT EXISTS virtual_interfaces_dead_idx ON virtual_interfaces (id) WHERE deleted <> 0;

CREATE INDEX CONCURRENTLY IF NOT EXISTS services_binary_deleted_disabled_idx ON services ("binary", deleted, disabled);
CREATE INDEX CONCURRENTLY IF NOT EXISTS services_topic_deleted_disabled_idx ON services (topic, deleted, disabled);

CREATE INDEX CONCURRENTLY IF NOT EXISTS compute_nodes_service_id_idx ON compute_nodes (service_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS compute_nodes_uuid_idx ON compute_nodes (uuid);

CREATE INDEX CONCURRENTLY IF NOT EXISTS aggregates_name_deleted_idx ON aggregates (name, deleted);

CREATE INDEX CONCURRENTLY IF NOT EXISTS aggregate_hosts_aggregate_id_idx ON aggregate_hosts (aggregate_id);

CREATE INDEX CONCURRENTLY IF NOT EXISTS instance_groups_project_id_deleted_idx ON instance_groups (project_id, deleted);

CREATE INDEX CONCURRENTLY IF NOT EXISTS instance_group_member_group_id_deleted_idx
    ON instance_group_member (group_id, deleted);

CREATE INDEX CONCURRENTLY IF NOT EXISTS instance_group_policy_group_id_deleted_idx
    ON instance_group_policy (group_id, deleted);

CREATE INDEX CONCURRENTLY IF NOT EXISTS migrations_dead_idx ON migrations (id) WHERE deleted <> 0;
CREATE INDEX CONCURRENTLY IF NOT EXISTS migrations_dest_compute_status_updated_at_idx
    ON migrations (dest_compute, status, updated_at);
CREATE INDEX CONCURRENTLY IF NOT EXISTS migrations_instance_uuid_status_idx ON migrations (instance_uuid, status);
CREATE INDEX CONCURRENTLY IF NOT EXISTS migrations_source_compute_idx ON migrations (source_compute);

CREATE INDEX CONCURRENTLY IF NOT EXISTS consoles_pool_id_idx ON consoles (pool_id);

CREATE INDEX CONCURRENTLY IF NOT EXISTS volume_usage_cache_volume_id_idx ON volume_usage_cache (volume_id);

CREATE INDEX CONCURRENTLY IF NOT EXISTS quota_usages_project_id_deleted_idx ON quota_usages (project_id, deleted);

CREATE INDEX CONCURRENTLY IF NOT EXISTS reservations_dead_idx ON reservations (id) WHERE deleted <> 0;
CREATE INDEX CONCURRENTLY IF NOT EXISTS reservations_usage_id_idx ON reservations (usage_id);

CREATE INDEX CONCURRENTLY IF NOT EXISTS fixed_ips_free_idx
    ON fixed_ips (network_id, deleted, reserved, leased, instance_uuid, host, updated_at NULLS FIRST, id);

CREATE INDEX CONCURRENTLY IF NOT EXISTS security_group_instance_association_dead_idx
    ON security_group_instance_association (id) WHERE deleted <> 0;
CREATE INDEX CONCURRENTLY IF NOT EXISTS security_group_instance_association_security_group_id_idx
    ON security_group_instance_association (security_group_id);

CREATE INDEX CONCURRENTLY IF NOT EXISTS security_group_rules_group_id_idx ON security_group_rules (group_id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS security_group_rules_parent_group_id_idx
    ON security_group_rules (parent_group_id);

CREATE INDEX CONCURRENTLY IF NOT EXISTS s3_images_uuid_idx ON s3_images (uuid);

CREATE INDEX CONCURRENTLY IF NOT EXISTS volume_id_mappings_uuid_idx ON volume_id_mappings (uuid);

CREATE INDEX CONCURRENTLY IF NOT EXISTS snapshot_id_mappings_uuid_idx ON snapshot_id_mappings (uuid);

CREATE INDEX CONCURRENTLY IF NOT EXISTS shadow_instances_uuid_idx ON shadow_instances (uuid);
