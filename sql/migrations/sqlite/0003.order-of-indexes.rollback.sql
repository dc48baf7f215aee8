-- Takes the index away again; no row is touched.

DROP INDEX instances_project_id_deleted_created_at_id_idx;
