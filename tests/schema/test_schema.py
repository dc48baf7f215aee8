# SPDX-License-Identifier: Apache-2.0

"""The schema that the migrations make is the reference's, and what ``tables.py`` says."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import tables
from nova_sqlcore.schema import ddl, migrations
from tests.schema import dumps, schemas

if TYPE_CHECKING:
    from tests.plugins.backend import Backend
    from tests.schema.schemas import Schema


def assert_same(wanted: Schema, found: Schema) -> None:
    """Compare table by table, for the sake of the report."""
    assert found.tables.keys() == wanted.tables.keys()
    for name, table in wanted.tables.items():
        assert dataclasses.asdict(found.tables[name]) == dataclasses.asdict(table), name
    assert found.enums == wanted.enums


def test_the_first_migration_makes_the_references_schema(backend: Backend) -> None:
    with backend.new_database() as url:
        migrations.migrate(url)
        migrations.rollback(url, 2)
        assert_same(schemas.reference(backend.family), schemas.read(url))


def test_the_reference_has_the_schema_that_is_said_to_be_its_own(backend: Backend) -> None:
    with backend.new_database() as url:
        dumps.load(url)
        assert_same(schemas.reference(backend.family), schemas.read(url))


def test_all_migrations_make_what_the_tables_say(backend: Backend) -> None:
    with backend.new_database() as migrated, backend.new_database() as created:
        migrations.migrate(migrated)
        tables.metadata.create_all(sa.create_engine(created, poolclass=sa.NullPool))
        wanted, found = schemas.read(created), schemas.read(migrated)
    if backend.family == "sqlite":  # where the reference's order of columns is another than elsewhere
        for schema in (wanted, found):
            schema.tables["pci_devices"].columns.sort()
    assert_same(wanted, found)


def test_the_second_migration_adds_the_indexes_that_are_marked_as_ours(backend: Backend) -> None:
    with backend.new_database() as url:
        migrations.migrate(url)
        found = schemas.read(url)
    theirs = schemas.reference(backend.family)
    added = {
        (name, index)
        for name, table in found.tables.items()
        for index in table.indexes.keys() - theirs.tables[name].indexes.keys()
    }
    assert added == {
        (name, index.name)
        for name, table in tables.metadata.tables.items()
        for index in table.indexes
        if ddl.ADDED in index.info and ddl.stands_on(backend.family, index)
    }


def test_the_reference_rows_fit_the_migrated_schema(backend: Backend) -> None:
    """The seeded flavors are those of the reference, ids included, and the next flavor gets the next id."""
    seeded = sa.select(tables.instance_types).where(tables.instance_types.c.id <= 5).order_by("id")
    with backend.new_database() as migrated, backend.new_database() as dumped:
        migrations.migrate(migrated)
        dumps.load(dumped)
        engines = [sa.create_engine(url, poolclass=sa.NullPool) for url in (migrated, dumped)]
        ours, theirs = (_rows(engine, seeded) for engine in engines)
        assert [row["name"] for row in ours] == ["m1.medium", "m1.tiny", "m1.large", "m1.xlarge", "m1.small"]
        assert ours == theirs
        with engines[0].begin() as connection:
            new = {"name": "sixth", "memory_mb": 1, "vcpus": 1, "flavorid": "six"}
            connection.execute(sa.insert(tables.instance_types), new)
            ids = connection.scalars(sa.select(tables.instance_types.c.id)).all()
        assert sorted(ids) == [1, 2, 3, 4, 5, 6]


def _rows(engine: sa.Engine, statement: sa.Select[Any]) -> list[dict[str, Any]]:
    with engine.connect() as connection:
        return [dict(row) for row in connection.execute(statement).mappings()]


@pytest.mark.only_on("postgresql", why="only there an index says where NULL goes")
def test_the_index_of_free_addresses_has_null_first(backend: Backend) -> None:
    """A time that is NULL is the oldest: the claim of an address sorts so."""
    definition = "SELECT pg_get_indexdef('fixed_ips_free_idx'::regclass)"
    with backend.new_database() as url:
        migrations.migrate(url)
        with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
            migrated = connection.exec_driver_sql(definition).scalar_one()
    with sa.create_engine(backend.url, poolclass=sa.NullPool).connect() as connection:
        created = connection.exec_driver_sql(definition).scalar_one()
    assert "updated_at NULLS FIRST" in migrated
    assert migrated == created
