-- An index in the order of a project's instances by age: a page costs the same in a big project as in a small one.
-- The library works without it too, but slower. It begins as the reference's instances_project_id_deleted_idx does.
--
-- depends: 0002.indexes-for-hot-statements

CREATE INDEX IF NOT EXISTS instances_project_id_deleted_created_at_id_idx
    ON instances (project_id, deleted, created_at, id);
