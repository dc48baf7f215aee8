-- Takes the indexes away again; no row is touched, and nobody waits.
--
-- transactional: false

DROP INDEX CONCURRENTLY IF EXISTS shadow_instances_uuid_idx;
DROP INDEX CONCURRENTLY IF EXISTS snapshot_id_mappings_uuid_idx;
DROP INDEX CONCURRENTLY IF EXISTS volume_id_mappings_uuid_idx;
DROP INDEX CONCURRENTLY IF EXISTS s3_images_uuid_idx;
DROP INDEX CONCURRENTLY IF EXISTS security_group_rules_parent_group_id_idx;
DROP INDEX CONCURRENTLY IF EXISTS security_group_rules_group_id_idx;
DROP INDEX CONCURRENTLY IF EXISTS security_group_instance_association_security_group_id_idx;
DROP INDEX CONCURRENTLY IF EXISTS security_group_instance_association_dead_idx;
DROP INDEX CONCURRENTLY IF EXISTS fixed_ips_free_idx;
DROP INDEX CONCURRENTLY IF EXISTS reservations_usage_id_idx;
DROP INDEX CONCURRENTLY IF EXISTS reservations_dead_idx;
DROP INDEX CONCURRENTLY IF EXISTS quota_usages_project_id_deleted_idx;
DROP INDEX CONCURRENTLY IF EXISTS volume_usage_cache_volume_id_idx;
DROP INDEX CONCURRENTLY IF EXISTS consoles_pool_id_idx;
DROP INDEX CONCURRENTLY IF EXISTS migrations_source_compute_idx;
DROP INDEX CONCURRENTLY IF EXISTS migrations_instance_uuid_status_idx;
DROP INDEX CONCURRENTLY IF EXISTS migrations_dest_compute_status_updated_at_idx;
DROP INDEX CONCURRENTLY IF EXISTS migrations_dead_idx;
DROP INDEX CONCURRENTLY IF EXISTS instance_group_policy_group_id_deleted_idx;
DROP INDEX CONCURRENTLY IF EXISTS instance_group_member_group_id_deleted_idx;
DROP INDEX CONCURRENTLY IF EXISTS instance_groups_project_id_deleted_idx;
DROP INDEX CONCURRENTLY IF EXISTS aggregate_hosts_aggregate_id_idx;
DROP INDEX CONCURRENTLY IF EXISTS aggregates_name_deleted_idx;
DROP INDEX CONCURRENTLY IF EXISTS compute_nodes_uuid_idx;
DROP INDEX CONCURRENTLY IF EXISTS compute_nodes_service_id_idx;
DROP INDEX CONCURRENTLY IF EXISTS services_topic_deleted_disabled_idx;
DROP INDEX CONCURRENTLY IF EXISTS services_binary_deleted_disabled_idx;
DROP INDEX CONCURRENTLY IF EXISTS virtual_interfaces_dead_idx;
DROP INDEX CONCURRENTLY IF EXISTS block_device_mapping_dead_idx;
DROP INDEX CONCURRENTLY IF EXISTS instance_id_mappings_dead_idx;
DROP INDEX CONCURRENTLY IF EXISTS instance_actions_events_dead_idx;
DROP INDEX CONCURRENTLY IF EXISTS instance_actions_events_action_id_idx;
DROP INDEX CONCURRENTLY IF EXISTS instance_actions_dead_idx;
DROP INDEX CONCURRENTLY IF EXISTS instance_faults_dead_idx;
DROP INDEX CONCURRENTLY IF EXISTS instance_system_metadata_dead_idx;
DROP INDEX CONCURRENTLY IF EXISTS instance_metadata_dead_idx;
DROP INDEX CONCURRENTLY IF EXISTS instance_info_caches_dead_idx;
DROP INDEX CONCURRENTLY IF EXISTS instance_extra_dead_idx;
DROP INDEX CONCURRENTLY IF EXISTS instances_updated_at_idx;
DROP INDEX CONCURRENTLY IF EXISTS instances_newest_idx;
DROP INDEX CONCURRENTLY IF EXISTS instances_dead_idx;
