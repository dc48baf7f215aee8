-- Indexes for statements that the reference ran without one. The library works without them too, but slower.
-- Tables stay open for reading and writing meanwhile, and a run that was killed can be repeated.
--
-- depends: 0001.reference-schema
-- transactional: false

CREATE INDEX instances_updated_at_idx ON instances (updated_at)
    ALGORITHM = INPLACE LOCK = NONE;

CREATE INDEX services_binary_deleted_disabled_idx ON services (`binary`, deleted, disabled)
    ALGORITHM = INPLACE LOCK = NONE;
CREATE INDEX services_topic_deleted_disabled_idx ON services (topic, deleted, disabled)
    ALGORITHM = INPLACE LOCK = NONE;

CREATE INDEX compute_nodes_service_id_idx ON compute_nodes (service_id)
    ALGORITHM = INPLACE LOCK = NONE;
CREATE INDEX compute_nodes_uuid_idx ON compute_nodes (uuid)
    ALGORITHM = INPLACE LOCK = NONE;

CREATE INDEX aggregates_name_deleted_idx ON aggregates (name, deleted)
    ALGORITHM = INPLACE LOCK = NONE;

CREATE INDEX instance_groups_project_id_deleted_idx ON instance_groups (project_id, deleted)
    ALGORITHM = INPLACE LOCK = NONE;

CREATE INDEX migrations_dest_compute_status_updated_at_idx ON migrations (dest_compute, status, updated_at)
    ALGORITHM = INPLACE LOCK = NONE;
CREATE INDEX migrations_source_compute_idx ON migrations (source_compute)
    ALGORITHM = INPLACE LOCK = NONE;

CREATE INDEX volume_usage_cache_volume_id_idx ON volume_usage_cache (volume_id)
    ALGORITHM = INPLACE LOCK = NONE;

CREATE INDEX quota_usages_project_id_deleted_idx ON quota_usages (project_id, deleted)
    ALGORITHM = INPLACE LOCK = NONE;

CREATE INDEX fixed_ips_free_idx
    ON fixed_ips (network_id, deleted, reserved, leased, instance_uuid, host, updated_at, id)
    ALGORITHM = INPLACE LOCK = NONE;

CREATE INDEX s3_images_uuid_idx ON s3_images (uuid)
    ALGORITHM = INPLACE LOCK = NONE;

CREATE INDEX volume_id_mappings_uuid_idx ON volume_id_mappings (uuid)
    ALGORITHM = INPLACE LOCK = NONE;

CREATE INDEX snapshot_id_mappings_uuid_idx ON snapshot_id_mappings (uuid)
    ALGORITHM = INPLACE LOCK = NONE;

CREATE INDEX shadow_instances_uuid_idx ON shadow_instances (uuid)
    ALGORITHM = INPLACE LOCK = NONE;
