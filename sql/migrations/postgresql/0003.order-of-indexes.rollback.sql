-- Takes the index away again; no row is touched, and nobody waits.
--
-- transactional: false

DROP INDEX CONCURRENTLY IF EXISTS instances_project_id_deleted_created_at_id_idx;
