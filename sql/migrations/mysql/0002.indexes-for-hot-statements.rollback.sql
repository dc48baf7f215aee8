-- Takes the indexes away again; no row is touched.
-- transactional: false

DROP INDEX shadow_instances_uuid_idx ON shadow_instances;
DROP INDEX snapshot_id_mappings_uuid_idx ON snapshot_id_mappings;
DROP INDEX volume_id_mappings_uuid_idx ON volume_id_mappings;
DROP INDEX s3_images_uuid_idx ON s3_images;
DROP INDEX fixed_ips_free_idx ON fixed_ips;
DROP INDEX quota_usages_project_id_deleted_idx ON quota_usages;
DROP INDEX volume_usage_cache_volume_id_idx ON volume_usage_cache;
DROP INDEX migrations_source_compute_idx ON migrations;
DROP INDEX migrations_dest_compute_status_updated_at_idx ON migrations;
DROP INDEX instance_groups_project_id_deleted_idx ON instance_groups;
DROP INDEX aggregates_name_deleted_idx ON aggregates;
DROP INDEX compute_nodes_uuid_idx ON compute_nodes;
DROP INDEX compute_nodes_service_id_idx ON compute_nodes;
DROP INDEX services_topic_deleted_disabled_idx ON services;
DROP INDEX services_binary_deleted_disabled_idx ON services;
DROP INDEX instances_updated_at_idx ON instances;
