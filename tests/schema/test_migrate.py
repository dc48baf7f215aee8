# SPDX-License-Identifier: Apache-2.0

"""Migrating an empty database, there and back again, and what can go wrong on the way."""

from __future__ import annotations

import contextlib
import logging
import os
import pwd
import shutil
import sys
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import exceptions, tables
from nova_sqlcore.core.connections import parse_url
from nova_sqlcore.schema import migrations, yoyo
from nova_sqlcore.schema.migrations import Migration
from tests.schema import dumps, schemas

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.plugins.backend import Backend

FIRST, SECOND, THIRD = "0001.reference-schema", "0002.indexes-for-hot-statements", "0003.order-of-indexes"


@pytest.fixture
def url(backend: Backend) -> Iterator[sa.URL]:
    """An empty database."""
    with backend.new_database() as address:
        yield address


@contextlib.contextmanager
def connected(url: sa.URL) -> Iterator[sa.Connection]:
    engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        yield connection


def status(applied: int) -> list[Migration]:
    """Return the status with so many applied."""
    return [Migration(name, applied=place < applied) for place, name in enumerate((FIRST, SECOND, THIRD))]


def run(url: sa.URL, *statements: str) -> None:
    with connected(url) as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


@pytest.fixture
def sql(backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the back-end's migrations, which are run in place of the real ones and may be spoilt."""
    shutil.copytree(migrations._directory(), tmp_path / "sql")
    monkeypatch.setattr(migrations, "_directory", lambda: tmp_path / "sql")
    return tmp_path / "sql" / backend.family


# -- there and back ---------------------------------------------------------------------------------------------------


def test_migrate_runs_what_is_missing_and_nothing_twice(url: sa.URL) -> None:
    assert migrations.migrate(url) == [FIRST, SECOND, THIRD]
    before = schemas.read(url)
    assert migrations.migrate(url) == []
    assert schemas.read(url) == before
    assert migrations.rollback(url) == [THIRD]
    assert migrations.migrate(url) == [THIRD]
    assert schemas.read(url) == before


@pytest.mark.only_on("mysql", "postgresql", why="the library does not switch the checks of sqlite on")
def test_a_disk_of_an_unknown_instance_is_refused(url: sa.URL) -> None:
    """MySQL from 9.6 on would take one with a NULL in the first index that begins with the foreign key."""
    migrations.migrate(url)
    for name in ("device_name", "volume_id"):
        with connected(url) as connection, pytest.raises(sa.exc.IntegrityError):
            connection.execute(tables.block_device_mapping.insert(), {"instance_uuid": "nowhere", name: None})


@pytest.mark.only_on("mysql", why="no other family needs an index for a foreign key")
def test_an_index_that_a_foreign_key_needs_stays(url: sa.URL) -> None:
    start = "block_device_mapping_instance_uuid"
    migrations.migrate(url)
    migrations.rollback(url)
    run(url, *(f"DROP INDEX {start}_{rest}idx ON block_device_mapping" for rest in ("", "volume_id_")))
    assert migrations.migrate(url) == [THIRD]
    with connected(url) as connection:
        names = {str(one["name"]) for one in sa.inspect(connection).get_indexes("block_device_mapping")}
    assert {name for name in names if name.startswith(start)} == {f"{start}_device_name_idx"}


def test_an_address_may_be_text(url: sa.URL) -> None:
    assert migrations.migrate(url.render_as_string(hide_password=False)) == [FIRST, SECOND, THIRD]


def test_rollback_takes_the_newest_and_in_the_end_leaves_nothing(url: sa.URL) -> None:
    migrations.migrate(url)
    assert migrations.rollback(url) == [THIRD]
    assert migrations.rollback(url) == [SECOND]
    assert migrations.status(url) == status(1)
    assert migrations.rollback(url, 7) == [FIRST]
    assert migrations.rollback(url) == []
    assert schemas.read(url) == schemas.Schema({}, {})
    assert migrations.migrate(url) == [FIRST, SECOND, THIRD]


def test_status_only_reads(url: sa.URL) -> None:
    with connected(url):  # else there is no file
        assert migrations.status(url) == status(0)
    with connected(url) as connection:
        assert sa.inspect(connection).get_table_names() == []


def test_what_was_done_is_logged(url: sa.URL, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "nova_sqlcore"):
        migrations.migrate(url)
        migrations.rollback(url)
    messages = [record.getMessage() for record in caplog.records if record.name == "nova_sqlcore.schema.migrations"]
    assert messages == [
        f"migration {FIRST} applied",
        f"migration {SECOND} applied",
        f"migration {THIRD} applied",
        f"migration {THIRD} rolled back",
    ]


# -- what is not to be lost -------------------------------------------------------------------------------------------


def test_rollback_removes_no_table_with_rows(url: sa.URL) -> None:
    migrations.migrate(url)
    run(url, "INSERT INTO tags (resource_id, tag) VALUES ('a', 'b')")
    with pytest.raises(exceptions.DBMigrationError, match=r"with their rows \(tags\)"):
        migrations.rollback(url, 3)
    assert all(migration.applied for migration in migrations.status(url))


def test_rollback_takes_a_flavor_of_the_operators_for_a_row(url: sa.URL) -> None:
    migrations.migrate(url)
    run(url, "INSERT INTO instance_types (name, memory_mb, vcpus, swap) VALUES ('own', 1, 1, 0)")
    with pytest.raises(exceptions.DBMigrationError, match=r"with their rows \(instance_types\)"):
        migrations.rollback(url, 3)


def test_rollback_names_a_few_of_many_tables(url: sa.URL) -> None:
    dumps.load(url)
    migrations.adopt(url)
    with pytest.raises(exceptions.DBMigrationError, match=r"\(instances, instance_extra, \w+ and 49 more\)"):
        migrations.rollback(url)


def test_migrate_leaves_a_database_of_the_references_alone(url: sa.URL) -> None:
    dumps.load(url)
    before = schemas.read(url)
    with pytest.raises(exceptions.DBMigrationError, match="adopt it: nova-sqlcore migrate --adopt"):
        migrations.migrate(url)
    assert schemas.read(url) == before
    assert not any(migration.applied for migration in migrations.status(url))


@pytest.mark.only_on("sqlite", "postgresql", why="where DDL is part of a transaction no run leaves tables behind")
def test_migrate_takes_no_empty_tables_for_its_own(url: sa.URL) -> None:
    run(url, "CREATE TABLE tags (id INTEGER)")
    with pytest.raises(exceptions.DBMigrationError, match="tags among them"):
        migrations.migrate(url)


@pytest.mark.only_on("mysql", why="a killed run leaves tables behind there, and must not be continued on others")
def test_migrate_takes_no_other_table_for_its_own(url: sa.URL) -> None:
    run(url, "CREATE TABLE tags (id INTEGER)")
    with pytest.raises(exceptions.SchemaDiffers, match="not the same: 5 differences") as caught:
        migrations.migrate(url)
    assert "tags: column tag is missing: VARCHAR(80) NOT NULL" in caught.value.differences
    with connected(url) as connection:
        assert "instances" not in sa.inspect(connection).get_table_names()


# -- runs that fail, and runs that are killed -------------------------------------------------------------------------


def test_a_migration_that_fails_is_undone_and_can_be_repeated(url: sa.URL, sql: Path) -> None:
    path = sql / f"{SECOND}.sql"
    good = path.read_text()
    path.write_text(good + "\nDROP TABLE nowhere;\n")
    with pytest.raises(exceptions.DBMigrationError, match=rf"^migration {SECOND} failed and was undone: .*nowhere"):
        migrations.migrate(url)
    assert migrations.status(url) == status(1)
    assert schemas.read(url) == schemas.reference(url.get_backend_name())
    path.write_text(good)
    assert migrations.migrate(url) == [SECOND, THIRD]


def test_the_first_migration_that_fails_leaves_nothing_behind(url: sa.URL, sql: Path) -> None:
    path = sql / f"{FIRST}.sql"
    path.write_text(path.read_text() + "\nINSERT INTO nowhere VALUES (1);\n")
    with pytest.raises(exceptions.DBMigrationError, match="nowhere"):
        migrations.migrate(url)
    assert schemas.read(url) == schemas.Schema({}, {})


@pytest.mark.only_on("mysql", why="its DDL commits by itself: a killed run leaves its work half done")
@pytest.mark.parametrize("done", [60, 110])
def test_the_first_migration_goes_on_after_a_killed_run(url: sa.URL, sql: Path, done: int) -> None:
    killed_after(url, sql / f"{FIRST}.sql", done)
    assert migrations.migrate(url) == [FIRST, SECOND, THIRD]
    migrations.rollback(url, 2)
    assert schemas.read(url) == schemas.reference("mysql")
    with connected(url) as connection:
        flavors = connection.scalars(sa.select(tables.instance_types.c.id)).all()
    assert sorted(flavors) == [1, 2, 3, 4, 5]


@pytest.mark.only_on("mysql", why="its DDL commits by itself: a killed run leaves its work half done")
@pytest.mark.parametrize("done", [7])
def test_the_second_migration_goes_on_after_a_killed_run(url: sa.URL, sql: Path, done: int) -> None:
    migrations.migrate(url)
    complete = schemas.read(url)
    migrations.rollback(url, 2)
    killed_after(url, sql / f"{SECOND}.sql", done)
    assert migrations.migrate(url) == [SECOND, THIRD]
    assert schemas.read(url) == complete


@pytest.mark.only_on("mysql", why="its DDL commits by itself: a killed run leaves its work half done")
def test_a_rollback_goes_on_after_a_killed_run(url: sa.URL, sql: Path) -> None:
    migrations.migrate(url)
    migrations.rollback(url)
    killed_after(url, sql / f"{SECOND}.rollback.sql", 5)
    assert migrations.rollback(url) == [SECOND]
    assert schemas.read(url) == schemas.reference("mysql")


def killed_after(url: sa.URL, path: Path, count: int) -> None:
    """Do what a run does that is killed after ``count`` statements: they are done, and nothing else is."""
    done = 0
    with connected(url) as connection:
        for statement in path.read_text().split(";\n"):
            if statement.strip() and done < count:
                connection.exec_driver_sql(statement)
                done += 1
    assert done == count


def test_a_migration_that_cannot_be_read_stops_the_run_before_it_begins(url: sa.URL, sql: Path) -> None:
    """By itself yoyo would run the others without a word."""
    (sql / "0004.later.sql").write_text("-- Later.\n-- depends: 0003.something-else\n\nSELECT 1;\n")
    with pytest.raises(exceptions.DBMigrationError, match=r"a migration can't be read: .*0004"):
        migrations.migrate(url)
    with connected(url) as connection:
        assert sa.inspect(connection).get_table_names() == []


def test_an_installation_without_migrations_is_no_success(url: sa.URL, sql: Path) -> None:
    shutil.rmtree(sql)
    with pytest.raises(exceptions.DBMigrationError, match=r"no migrations in .*: the installation is broken"):
        migrations.migrate(url)


def test_a_user_without_a_name_can_migrate(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in a container that runs under a number; yoyo would fail after the tables are made."""

    def unknown(uid: int) -> None:
        raise KeyError(f"getpwuid(): uid not found: {uid}")

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.setenv(name, "")
    assert migrations.migrate(f"sqlite:///{tmp_path}/nova.sqlite") == [FIRST, SECOND, THIRD]


# -- one at a time ----------------------------------------------------------------------------------------------------


@pytest.fixture
def locked(url: sa.URL, monkeypatch: pytest.MonkeyPatch) -> int:
    """Leave the lock of a killed process behind and return its id."""
    migrations.migrate(url)
    utc = ["SET time_zone = '+00:00'"] if url.get_backend_name() == "mysql" else []
    run(url, *utc, "INSERT INTO yoyo_lock (locked, ctime, pid) VALUES (1, '2026-01-02 03:04:05', 54321)")
    monkeypatch.setattr(migrations, "LOCK_SECONDS", 0.1)
    return 54321


@pytest.mark.parametrize("call", [migrations.migrate, migrations.rollback])
def test_a_lock_tells_who_holds_it_and_how_to_remove_it(url: sa.URL, locked: int, call: Any) -> None:
    wanted = rf"process {locked} has been migrating .* since 2026-01-02 03:04:05 UTC; .*migrate --break-lock"
    with pytest.raises(exceptions.DBMigrationError, match=wanted):
        call(url)
    assert all(migration.applied for migration in migrations.status(url))


def test_breaking_a_lock_lets_the_next_run_through(url: sa.URL, locked: int) -> None:
    assert migrations.break_lock(url) == locked
    assert migrations.break_lock(url) is None
    assert migrations.migrate(url) == []


def test_there_is_no_lock_to_break_on_a_new_database(url: sa.URL) -> None:
    with connected(url):  # else there is no file
        assert migrations.break_lock(url) is None


def test_a_lock_of_our_own_is_told_in_utc(url: sa.URL) -> None:
    """The time is in the form that yoyo writes."""
    migrations.migrate(url)
    with yoyo.locked(parse_url(url), 1), migrations._database(url) as inside:
        holder = inside.lock_holder()
    assert holder is not None
    assert holder[0] == os.getpid()
    assert holder[1].year >= 2024


# -- addresses that can't be used -------------------------------------------------------------------------------------

CALLS = [migrations.migrate, migrations.status, migrations.rollback, migrations.adopt, migrations.break_lock]
NOWHERE = {
    "mysql": "mysql+pymysql://nova:geheim@127.0.0.1:1/nova",
    "postgresql": "postgresql+psycopg://nova:geheim@127.0.0.1:1/nova",
    "sqlite": "sqlite:////nowhere/nova.sqlite",
}


@pytest.mark.parametrize("call", CALLS)
def test_a_server_that_does_not_answer(backend: Backend, call: Any) -> None:
    with pytest.raises(exceptions.DBConnectionError) as caught:
        call(NOWHERE[backend.family])
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize(
    ("address", "text"),
    [
        ("nova", "not a database URL"),
        ("mysql+pymysql://nova:geheim@host:port/nova", "not a database URL"),
        ("oracle://nova:geheim@host/nova", "unknown database scheme 'oracle'"),
        ("postgresql+asyncpg://nova:geheim@host/nova", "unknown driver in 'postgresql.asyncpg'"),
        ("sqlite://", "a database in memory"),
        ("mysql+pymysql://nova:geheim@host/", "names no database"),
    ],
)
def test_an_address_that_is_none(call: Any, address: str, text: str) -> None:
    with pytest.raises(exceptions.DBError, match=text) as caught:
        call(address)
    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize("call", CALLS[1:])
def test_only_migrate_makes_a_file(call: Any, tmp_path: Path) -> None:
    path = tmp_path / "new.sqlite"
    with pytest.raises(exceptions.DBConnectionError, match="there is no file"):
        call(f"sqlite:///{path}")
    assert not path.exists()


def test_a_file_may_have_any_name(tmp_path: Path) -> None:
    path = tmp_path / "a b%41?#[x]&=ü.sqlite"
    address = sa.URL.create("sqlite", database=str(path))
    assert migrations.migrate(address) == [FIRST, SECOND, THIRD]
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert all(migration.applied for migration in migrations.status(address))


def test_a_driver_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(exceptions.DBError, match=r"pip install 'nova-sqlcore\[postgresql\]'"):
        migrations.migrate("postgresql+psycopg://nova@host/nova")


def test_yoyo_is_missing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "yoyo", None)
    monkeypatch.delitem(sys.modules, "nova_sqlcore.schema.yoyo", raising=False)
    monkeypatch.delattr("nova_sqlcore.schema.yoyo", raising=False)
    with pytest.raises(exceptions.DBMigrationError, match=r"^yoyo is not installed.*pip install 'nova-sqlcore\[cli\]'"):
        migrations.migrate(f"sqlite:///{tmp_path}/nova.sqlite")


@pytest.mark.only_on("postgresql", why="it alone leaves an index behind that is not valid")
def test_an_index_whose_making_was_cut_short_is_made_anew(backend: Backend) -> None:
    with backend.new_database() as url:
        migrations.migrate(url)
        migrations.rollback(url, 2)
        engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            name = "instances_updated_at_idx"
            insert = "INSERT INTO instances (uuid, deleted) VALUES (%s, 0)"
            connection.exec_driver_sql(insert, [("1",), ("2",)])
            with pytest.raises(sa.exc.IntegrityError):  # which leaves an invalid index of that name
                connection.exec_driver_sql(f"CREATE UNIQUE INDEX CONCURRENTLY {name} ON instances (deleted)")
            migrations.migrate(url)
            valid = f"SELECT indisvalid, indisunique FROM pg_index WHERE indexrelid = '{name}'::regclass"
            assert connection.exec_driver_sql(valid).one() == (True, False)
