-- An index in the order of a project's instances by age: a page costs the same in a big project as in a small one.
-- The library works without it too, but slower. It begins as the reference's instances_project_id_deleted_idx does.
-- The table stays open for reading and writing meanwhile, and a run that was killed can be repeated.
--
-- depends: 0002.indexes-for-hot-statements
-- transactional: false

CREATE INDEX instances_project_id_deleted_created_at_id_idx ON instances (project_id, deleted, created_at, id)
    ALGORITHM = INPLACE LOCK = NONE;
