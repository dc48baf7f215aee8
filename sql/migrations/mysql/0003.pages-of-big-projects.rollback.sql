-- Takes the index away again; no row is touched.
-- transactional: false

DROP INDEX instances_project_id_deleted_created_at_id_idx ON instances;
