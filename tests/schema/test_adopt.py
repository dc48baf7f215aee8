# SPDX-License-Identifier: Apache-2.0

"""Databases that the reference has made are taken over as they are; others are refused, with every reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from nova_sqlcore import exceptions
from nova_sqlcore.schema import migrations
from tests.schema import dumps, schemas

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugins.backend import Backend

FIRST, SECOND, THIRD = "0001.reference-schema", "0002.indexes-for-hot-statements", "0003.order-of-indexes"


@pytest.fixture
def url(backend: Backend) -> Iterator[sa.URL]:
    """A database that the reference has made and filled."""
    with backend.new_database() as address:
        dumps.load(address)
        yield address


def run(url: sa.URL, *statements: str) -> None:
    with sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT").connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def applied(url: sa.URL) -> list[str]:
    return [migration.name for migration in migrations.status(url) if migration.applied]


def test_the_references_database_is_adopted_without_a_remark(url: sa.URL) -> None:
    before = schemas.read(url)
    assert migrations.adopt(url) == []
    assert applied(url) == [FIRST]
    assert schemas.read(url) == before


def test_an_adopted_database_is_migrated_further_and_adopted_again(url: sa.URL, backend: Backend) -> None:
    migrations.adopt(url)
    assert migrations.migrate(url) == [SECOND, THIRD]
    assert migrations.adopt(url) == []
    assert applied(url) == [FIRST, SECOND, THIRD]
    assert migrations.rollback(url, 2) == [THIRD, SECOND]
    assert schemas.read(url) == schemas.reference(backend.family)


def test_tables_and_indexes_of_the_operators_own_are_noted_and_tolerated(url: sa.URL) -> None:
    run(url, "CREATE TABLE cern_quota_sync (id INTEGER)", "CREATE INDEX cern_hosts ON instances (hostname, host)")
    assert migrations.adopt(url) == [
        "table cern_quota_sync is not in the reference's schema",
        "instances: index cern_hosts is not in the reference's schema: (hostname, host)",
    ]
    assert applied(url) == [FIRST]


@pytest.mark.only_on("mysql", "mariadb", why="there tables have a charset each")
def test_another_charset_is_noted_and_tolerated(url: sa.URL) -> None:
    run(url, "ALTER TABLE tags CONVERT TO CHARACTER SET utf8mb4 COLLATE utf8mb4_general_ci")
    assert migrations.adopt(url) == ["tags: the collation is utf8mb4_general_ci, not utf8mb3_general_ci"]


@pytest.mark.only_on("mysql", "mariadb", why="there tables have a collation each")
@pytest.mark.parametrize(
    ("change", "refused"),
    [
        (
            "ALTER TABLE tags CONVERT TO CHARACTER SET utf8mb3 COLLATE utf8mb3_unicode_ci",
            ["tags: resource_id can't be joined with instances.uuid"],
        ),
        (
            "ALTER TABLE instance_id_mappings MODIFY uuid VARCHAR(36) COLLATE utf8mb3_unicode_ci NOT NULL",
            ["instance_id_mappings: uuid can't be joined with instances.uuid"],
        ),
        (
            "ALTER TABLE pci_devices MODIFY instance_uuid VARCHAR(36) COLLATE utf8mb3_unicode_ci",
            ["pci_devices: instance_uuid can't be joined with instances.uuid"],
        ),
        (
            "ALTER TABLE services CONVERT TO CHARACTER SET utf8mb3 COLLATE utf8mb3_unicode_ci",
            [
                "services: host can't be joined with instances.host",
                "compute_nodes: host can't be joined with services.host",
            ],
        ),
    ],
)
def test_collations_that_the_server_can_not_join_are_refused(url: sa.URL, change: str, refused: list[str]) -> None:
    run(url, change)
    before = schemas.read(url)
    with pytest.raises(exceptions.SchemaDiffers) as caught:
        migrations.adopt(url)
    found = caught.value.differences
    assert [line.partition(": Illegal mix of collations")[0] for line in found] == refused
    assert all(line.endswith("for operation '=' (error 1267)") for line in found)
    assert applied(url) == []
    assert schemas.read(url) == before


@pytest.mark.only_on("mysql", "mariadb", why="there tables have a collation each")
@pytest.mark.parametrize(
    ("table", "collation"),
    [("task_log", "utf8mb3_unicode_ci"), ("tags", "utf8mb3_bin"), ("tags", "utf8mb4_unicode_ci")],
)
def test_collations_that_no_join_meets_are_noted(url: sa.URL, table: str, collation: str) -> None:
    charset = collation.partition("_")[0]
    run(url, f"ALTER TABLE {table} CONVERT TO CHARACTER SET {charset} COLLATE {collation}")
    assert migrations.adopt(url) == [f"{table}: the collation is {collation}, not utf8mb3_general_ci"]


@pytest.mark.only_on("mysql", "mariadb", why="InnoDB alone makes indexes by itself, and drops them by itself")
def test_an_index_that_innodb_has_dropped_for_a_better_one_is_not_missed(url: sa.URL) -> None:
    run(
        url,
        "CREATE INDEX better ON consoles (pool_id, port)",
        "DROP INDEX pool_id ON consoles",
    )
    assert migrations.adopt(url) == ["consoles: index better is not in the reference's schema: (pool_id, port)"]


#: A change to the reference's database, by dialect where the SQL differs, and what is said about it.
CHANGES: dict[str, tuple[str | dict[str, str], str]] = {
    "table missing": ("DROP TABLE s3_images", "table s3_images is missing"),
    "column missing": (
        "ALTER TABLE services DROP COLUMN last_seen_up",
        "services: column last_seen_up is missing: {datetime} NULL",
    ),
    "column extra": (
        "ALTER TABLE certificates ADD COLUMN serial INTEGER",
        "certificates: column serial is not in the reference's schema: INTEGER NULL",
    ),
    "column type": (
        {
            "sqlite": "ALTER TABLE cells DROP COLUMN api_url; ALTER TABLE cells ADD COLUMN api_url VARCHAR(64)",
            "mysql": "ALTER TABLE cells MODIFY api_url VARCHAR(64)",
            "postgresql": "ALTER TABLE cells ALTER COLUMN api_url TYPE VARCHAR(64)",
        },
        "cells: column api_url is VARCHAR(64) NULL, not VARCHAR(255) NULL",
    ),
    "nullability": (
        {
            "sqlite": "ALTER TABLE snapshots DROP COLUMN status; "
            "ALTER TABLE snapshots ADD COLUMN status VARCHAR(255) NOT NULL DEFAULT 'x'",
            "mysql": "ALTER TABLE snapshots MODIFY status VARCHAR(255) NOT NULL DEFAULT 'x'",
            "postgresql": "ALTER TABLE snapshots ALTER COLUMN status SET NOT NULL, ALTER COLUMN status SET DEFAULT 'x'",
        },
        "snapshots: column status is VARCHAR(255) NOT NULL DEFAULT x, not VARCHAR(255) NULL",
    ),
    "index missing": (
        {"mysql": "DROP INDEX tags_tag_idx ON tags", "": "DROP INDEX tags_tag_idx"},
        "tags: key tags_tag_idx is missing: (tag)",
    ),
    "index different": (
        {
            "mysql": "DROP INDEX reservations_uuid_idx ON reservations; "
            "CREATE INDEX reservations_uuid_idx ON reservations (uuid, deleted)",
            "": "DROP INDEX reservations_uuid_idx; CREATE INDEX reservations_uuid_idx ON reservations (uuid, deleted)",
        },
        "reservations: key reservations_uuid_idx is (uuid, deleted), not (uuid)",
    ),
    "unique missing": (
        {"mysql": "DROP INDEX uuid ON instances", "": "DROP INDEX uuid"},
        "instances: key uuid is missing: unique (uuid)",
    ),
    "unique extra": (
        "CREATE UNIQUE INDEX strict ON agent_builds (id, url)",
        "agent_builds: key strict is not in the reference's schema: unique (id, url)",
    ),
}

#: Changes that sqlite could only make by building the table anew.
SERVER_CHANGES: dict[str, tuple[str | dict[str, str], str]] = {
    "reference missing": (
        {
            "mysql": "ALTER TABLE consoles DROP FOREIGN KEY consoles_ibfk_1",
            "postgresql": "ALTER TABLE consoles DROP CONSTRAINT consoles_pool_id_fkey",
        },
        "consoles: foreign key (pool_id) -> console_pools (id) is missing",
    ),
    "reference extra": (
        {
            "": "UPDATE fixed_ips SET network_id = NULL; "
            "ALTER TABLE fixed_ips ADD CONSTRAINT x FOREIGN KEY (network_id) REFERENCES networks (id)",
        },
        "fixed_ips: foreign key (network_id) -> networks (id) is not in the reference's schema",
    ),
    "primary key": (
        {
            "mysql": "ALTER TABLE tags DROP PRIMARY KEY, ADD PRIMARY KEY (tag, resource_id)",
            "postgresql": "ALTER TABLE tags DROP CONSTRAINT tags_pkey, ADD PRIMARY KEY (tag, resource_id)",
        },
        "tags: the primary key is (tag, resource_id), not (resource_id, tag)",
    ),
    "counting": (
        {
            "mysql": "ALTER TABLE quotas MODIFY id INTEGER NOT NULL",
            "postgresql": "ALTER TABLE quotas ALTER COLUMN id DROP DEFAULT",
        },
        "quotas: column id is INTEGER NOT NULL, not INTEGER NOT NULL counted",
    ),
    "default": (
        {
            "mysql": "ALTER TABLE key_pairs ALTER COLUMN type DROP DEFAULT",
            "postgresql": "ALTER TABLE key_pairs ALTER COLUMN type DROP DEFAULT",
        },
        "key_pairs: column type is {keypair_types} of ssh, x509 NOT NULL, "
        "not {keypair_types} of ssh, x509 NOT NULL DEFAULT ssh",
    ),
    "enum": (
        {
            "mysql": "ALTER TABLE instances MODIFY locked_by ENUM('owner', 'admin', 'nobody')",
            "postgresql": "ALTER TYPE instances0locked_by ADD VALUE 'nobody'",
        },
        "instances: column locked_by is {locked_by} of owner, admin, nobody NULL, not {locked_by} of owner, admin NULL",
    ),
}

#: The types that servers call differently.
WORDS = {
    "sqlite": {"datetime": "DATETIME"},
    "mysql": {"datetime": "DATETIME", "keypair_types": "ENUM", "locked_by": "ENUM"},
    "postgresql": {
        "datetime": "TIMESTAMP WITHOUT TIME ZONE",
        "keypair_types": "keypair_types",
        "locked_by": "instances0locked_by",
    },
}


def change(url: sa.URL, sql: str | dict[str, str]) -> None:
    text = sql if isinstance(sql, str) else sql.get(url.get_backend_name(), sql.get("", ""))
    run(url, *(statement for statement in text.split("; ") if statement))


def assert_refused(url: sa.URL, *reasons: str) -> None:
    before = schemas.read(url)
    with pytest.raises(exceptions.SchemaDiffers) as caught:
        migrations.adopt(url)
    assert sorted(caught.value.differences) == sorted(
        reason.format_map(WORDS[url.get_backend_name()]) for reason in reasons
    )
    count = len(reasons)
    assert str(caught.value).endswith(f": {count} difference{'s' if count > 1 else ''}")
    assert applied(url) == []
    assert schemas.read(url) == before


def test_every_difference_is_reported_and_nothing_marked(url: sa.URL, backend: Backend) -> None:
    changes = CHANGES if backend.family == "sqlite" else CHANGES | SERVER_CHANGES
    for sql, _ in changes.values():
        change(url, sql)
    assert_refused(url, *(reason for _, reason in changes.values()))


def test_a_single_difference_is_enough_and_no_bookkeeping_is_left(url: sa.URL) -> None:
    run(url, "DROP TABLE s3_images")
    assert_refused(url, "table s3_images is missing")
    with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
        assert not schemas.BOOKKEEPING & set(sa.inspect(connection).get_table_names())


def test_there_is_nothing_to_adopt_in_an_empty_database(backend: Backend) -> None:
    with backend.new_database() as url:
        run(url, "CREATE TABLE something (id INTEGER)")
        with pytest.raises(exceptions.DBMigrationError, match="none of Nova's tables"):
            migrations.adopt(url)


def test_what_create_all_makes_can_be_adopted(backend: Backend) -> None:
    assert migrations.adopt(backend.url) == []
    run(backend.url, *(f"DROP TABLE {name}" for name in sorted(schemas.BOOKKEEPING)))
