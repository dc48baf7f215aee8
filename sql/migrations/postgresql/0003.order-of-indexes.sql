-- An index in the order of a project's instances by age: a page costs the same in a big project as in a small one.
-- The library works without it too, but slower. It begins as the reference's instances_project_id_deleted_idx does.
-- Nobody waits meanwhile, and a run that was killed can be repeated: nova-sqlcore migrate drops an index whose making
-- was cut short before it makes it anew.
--
-- depends: 0002.indexes-for-hot-statements
-- transactional: false

CREATE INDEX CONCURRENTLY IF NOT EXISTS instances_project_id_deleted_created_at_id_idx
    ON instances (project_id, deleted, created_at NULLS FIRST, id);
