-- Takes the index of instances away again; no row is touched. That of disks is made once more, and stays where it is.
-- transactional: false

DROP INDEX block_device_mapping_instance_uuid_device_name_idx ON block_device_mapping;
CREATE INDEX block_device_mapping_instance_uuid_device_name_idx ON block_device_mapping (instance_uuid, device_name);

DROP INDEX instances_project_id_deleted_created_at_id_idx ON instances;
