# SPDX-License-Identifier: Apache-2.0

"""The command ``check``: what it finds, what it says, and how it ends."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from nova_sqlcore import tables, tx
from nova_sqlcore.cli.app import app
from nova_sqlcore.cli.check import COUNTED
from nova_sqlcore.schema import migrations
from tests.schema import dumps

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.plugins.backend import Backend


@pytest.fixture
def engine(backend: Backend) -> Iterator[sa.Engine]:
    """A database with nothing but tables."""
    tx.close()  # the command says which database it is
    with backend.new_database() as url:
        engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
        tables.metadata.create_all(engine)
        yield engine
        engine.dispose()


def run(engine: sa.Engine, *arguments: str) -> Result:
    environment = {"NOVA_SQLCORE_URL": engine.url.render_as_string(hide_password=False)}
    return CliRunner(env=environment).invoke(app, ["check", *arguments])


def found(engine: sa.Engine, code: int, *arguments: str) -> list[tuple[str, str, str]]:
    """Return check, severity and details of each finding that is worse than ok."""
    result = run(engine, "--format", "json", *arguments)
    document = json.loads(result.stdout)
    assert result.exit_code == code, result.stdout
    assert document["severity"] == ["info", "warning", "error"][code] or (code, document["severity"]) == (0, "ok")
    told = [tuple(one[name] for name in ("check", "severity", "details")) for one in document["findings"]]
    return [one for one in told if one[1] != "ok" and one[0] != "settings"]


def settings(engine: sa.Engine, *arguments: str) -> list[tuple[str, str]]:
    """Return severity and details of what is found of settings."""
    document = json.loads(run(engine, "--format", "json", *arguments).stdout)
    return [(one["severity"], one["details"]) for one in document["findings"] if one["check"] == "settings"]


def change(engine: sa.Engine, *statements: str) -> None:
    with engine.connect() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def store(engine: sa.Engine, table: sa.Table, *rows: dict[str, Any]) -> None:
    """Store rows without a look at foreign keys."""
    off = {"mysql": "SET foreign_key_checks = 0", "postgresql": "SET session_replication_role = replica"}
    with engine.connect() as connection:
        if engine.dialect.name in off:
            connection.exec_driver_sql(off[engine.dialect.name])
        connection.execute(table.insert(), rows)


def test_a_healthy_database(engine: sa.Engine) -> None:
    assert found(engine, 0) == []
    result = run(engine)
    assert result.exit_code == 0
    names = {line.split("|")[1].strip() for line in result.stdout.splitlines() if "|" in line}
    assert {"schema", "indexes", "settings", "orphans", "duplicate usages", "quotas"} <= names
    assert "warning" not in result.stdout


def test_a_migrated_database(backend: Backend) -> None:
    tx.close()
    with backend.new_database() as url:
        migrations.migrate(url)
        assert found(sa.create_engine(url, poolclass=sa.NullPool), 0) == []


def test_a_database_of_the_reference_lacks_indexes(backend: Backend) -> None:
    tx.close()
    with backend.new_database() as url:
        dumps.load(url)
        lacking = found(sa.create_engine(url, poolclass=sa.NullPool), 1)
    indexes = [details for name, _, details in lacking if name == "indexes"]
    assert any("s3_images lacks s3_images_uuid_idx" in details for details in indexes)
    assert not [one for one in lacking if one[0] == "schema"]


def test_a_missing_index_is_a_warning(engine: sa.Engine) -> None:
    on = " ON s3_images" if engine.dialect.name == "mysql" else ""
    change(engine, f"DROP INDEX s3_images_uuid_idx{on}")
    assert found(engine, 1) == [("indexes", "warning", "s3_images lacks s3_images_uuid_idx")]
    assert "nova-sqlcore db sync" in run(engine).stdout


def test_another_schema_is_an_error_and_the_rest_is_looked_at_as_far_as_possible(engine: sa.Engine) -> None:
    change(engine, "DROP TABLE tags", "ALTER TABLE s3_images ADD COLUMN own INTEGER")
    store(engine, tables.quota_usages, usage(5))
    told = found(engine, 2)
    assert ("schema", "error", "table tags is missing") in told
    assert any(details.startswith("s3_images: column own") for _, _, details in told)
    assert any(name == "orphans" and "can't be checked" in details for name, _, details in told)
    assert told[-1][:2] == ("quotas", "warning")


def test_orphans_by_key_and_by_value(engine: sa.Engine) -> None:
    store(engine, tables.instances, {"uuid": "gone", "deleted": 1}, {"uuid": "there", "deleted": 0})
    for uuid in ("gone", "there", "nowhere"):
        store(engine, tables.instance_faults, {"instance_uuid": uuid, "code": 1, "deleted": 0})
        store(engine, tables.tags, {"resource_id": uuid, "tag": "a"})
    store(engine, tables.consoles, {"instance_uuid": None, "deleted": 0})
    inventory = {"resource_class_id": 1, "total": 1, "reserved": 0, "min_unit": 1, "max_unit": 1, "step_size": 1}
    store(engine, tables.inventories, {"resource_provider_id": 7, "allocation_ratio": 1.0, **inventory})
    assert found(engine, 1) == [
        ("orphans", "warning", "1 rows of instance_faults whose instance_uuid names no row of instances"),
        ("orphans", "warning", "1 rows of tags whose resource_id names no row of instances"),
        ("orphans", "warning", "1 rows of inventories whose resource_provider_id names no row of resource_providers"),
    ]


def test_no_more_orphans_are_counted_than_need_be(engine: sa.Engine) -> None:
    store(engine, tables.tags, *({"resource_id": "nowhere", "tag": str(number)} for number in range(COUNTED + 1)))
    assert found(engine, 1)[0][2].startswith(f"more than {COUNTED} rows of tags")


def usage(in_use: int) -> dict[str, Any]:
    whose = {"project_id": "p", "user_id": "u", "resource": "instances"}
    return {"in_use": in_use, "reserved": 0, "deleted": 0, **whose}


def test_duplicate_usages(engine: sa.Engine) -> None:
    store(engine, tables.quota_usages, usage(0), usage(0), {**usage(0), "user_id": "U"}, {**usage(0), "deleted": 3})
    details = "2 usages of instances of user u in project p"
    assert found(engine, 1) == [("duplicate usages", "warning", details)]


def test_quotas_are_corrected_if_that_is_asked_for(engine: sa.Engine) -> None:
    store(engine, tables.quota_usages, usage(5))
    instance = {"uuid": "a", "project_id": "p", "user_id": "u", "vcpus": 0, "memory_mb": 0, "deleted": 0}
    store(engine, tables.instances, instance)
    details = "instances of user u in project p: 5, but there are 1"
    for _ in range(2):  # looking changes nothing
        assert found(engine, 1) == [("quotas", "warning", details)]
    assert found(engine, 0, "--fix-quotas") == [("quotas", "info", f"corrected: {details}")]
    assert found(engine, 0) == []


@pytest.mark.only_on("mysql", why="there tables have engines and charsets")
def test_engines_and_charsets(engine: sa.Engine) -> None:
    change(engine, "ALTER TABLE shadow_s3_images ENGINE=MyISAM")
    assert ("error", "table shadow_s3_images has no transactions") in settings(engine)
    assert any(severity == "info" and "every character" in details for severity, details in settings(engine))


def half_checked(engine: sa.Engine) -> str:
    told = [details for severity, details in settings(engine) if severity == "info" and "foreign keys" in details]
    return "".join(told).partition(": ")[2]


@pytest.mark.only_on("mysql", why="there a server may check foreign keys above InnoDB")
def test_foreign_keys_that_are_checked_by_half(engine: sa.Engine) -> None:
    table, index = tables.block_device_mapping, "block_device_mapping_instance_uuid_idx"
    always = [
        "instance_type_extra_specs.instance_type_id (key)",
        "instance_type_projects.instance_type_id (project_id)",
    ]
    with engine.connect() as connection:
        setting = connection.exec_driver_sql("SHOW VARIABLES LIKE 'innodb_native_foreign_keys'").first()
        is_new = setting == ("innodb_native_foreign_keys", "OFF")
        assert half_checked(engine) == (", ".join(always) if is_new else "")
        # now it stands behind those of several columns, as in a database of the reference
        connection.exec_driver_sql(f"DROP INDEX {index} ON {table}")
        connection.exec_driver_sql(f"CREATE INDEX {index} ON {table} (instance_uuid)")
        first = "block_device_mapping.instance_uuid (device_name)"
        assert half_checked(engine) == (", ".join([first, *always]) if is_new else "")
        # if a newer server refuses the row, the remark is for older ones only
        with contextlib.nullcontext() if is_new else pytest.raises(sa.exc.IntegrityError):
            connection.execute(table.insert(), {"instance_uuid": "nowhere", "device_name": None})
    assert [name for name, *_ in found(engine, int(is_new))] == ["orphans"] * is_new


@pytest.mark.only_on("mysql", why="sessions elsewhere have no modes")
def test_a_session_that_cuts_values_short(engine: sa.Engine, tmp_path: Path) -> None:
    (tmp_path / "nova.conf").write_text("[database]\nmysql_sql_mode = ANSI\n")
    told = settings(engine, "--config", str(tmp_path / "nova.conf"))
    assert [severity for severity, details in told if details.startswith("sql_mode is")] == ["warning"]
    assert not any(details.startswith("sql_mode is") for _, details in settings(engine))


@pytest.mark.only_on("postgresql", why="there a database has settings of its own")
def test_what_others_get_is_a_remark(engine: sa.Engine) -> None:
    assert settings(engine) == [("ok", "")]
    change(engine, f"ALTER DATABASE {engine.url.database} SET timezone = 'Europe/Paris'")
    assert settings(engine) == [("info", "TimeZone is 'Europe/Paris' on the server; the library sets 'UTC'")]


@pytest.mark.only_on("postgresql", why="elsewhere an index is there or not")
def test_an_invalid_index(engine: sa.Engine) -> None:
    store(engine, tables.s3_images, {"uuid": "a"}, {"uuid": "a"})
    with pytest.raises(sa.exc.IntegrityError):
        change(engine, "CREATE UNIQUE INDEX CONCURRENTLY own ON s3_images (uuid)")
    told = found(engine, 2)
    assert ("indexes", "warning", "index own is invalid") in told
    findings = json.loads(run(engine, "--format", "json").stdout)["findings"]
    assert "REINDEX INDEX CONCURRENTLY own" in [one["remedy"] for one in findings]


@pytest.mark.only_on("sqlite", why="a terminal is the same for all")
def test_a_terminal_shows_what_is_looked_at(engine: sa.Engine, terminal: Callable[[str], list[str]]) -> None:
    store(engine, tables.quota_usages, usage(5), {**usage(5), "project_id": None})
    shown = terminal(run(engine, "--fix-quotas").stderr)
    assert [one for one in shown if not one.startswith("orphans in ")] == [
        "",
        "schema",
        "indexes",
        "settings",
        "duplicate usages",
        "quotas",
        "quotas of no project",
        "quotas of project p",
        "",
        "",
    ]
    assert "orphans in instance_faults" in shown
    assert run(engine, "--format", "json").stderr == ""
    assert run(engine, "--quiet").stderr == ""


def test_what_cannot_be_checked(backend: Backend) -> None:
    tx.close()
    with backend.new_database() as url:
        result = run(sa.create_engine(url))
    assert (result.exit_code, result.stderr.count("\n")) == (255, 1)


def test_a_database_that_cannot_be_reached(tmp_path: Path) -> None:
    tx.close()
    assert run(sa.create_engine(f"sqlite:///{tmp_path}/no/folder.sqlite")).exit_code == 255
