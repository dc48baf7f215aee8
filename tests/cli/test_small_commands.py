# SPDX-License-Identifier: Apache-2.0

"""The small commands that look at a database: version, upgrade check, rows without an instance."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from nova_sqlcore import tables, tx
from nova_sqlcore.cli.app import COMMANDS, DB_COMMANDS, app
from nova_sqlcore.schema import migrations

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.plugins.backend import Backend


@pytest.fixture
def url(backend: Backend) -> Iterator[sa.URL]:
    """Return the address of a migrated database."""
    tx.close()
    with backend.new_database() as url:
        migrations.migrate(url)
        yield url
        tx.close()


def run(url: sa.URL, *arguments: str) -> Result:
    environment = {"NOVA_SQLCORE_URL": url.render_as_string(hide_password=False)}
    return CliRunner(env=environment).invoke(app, arguments)


def store(url: sa.URL, table: sa.Table, **values: object) -> None:
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    with engine.begin() as connection:
        connection.execute(table.insert(), values)


def test_version(url: sa.URL) -> None:
    assert run(url, "db", "version").stdout == "0003.order-of-indexes\n"
    migrations.rollback(url, 3)
    assert json.loads(run(url, "version", "--format", "json").stdout) == {"version": "0"}


def test_upgrade_checks(url: sa.URL) -> None:
    result = run(url, "status", "upgrade", "check", "--format", "json")
    assert result.exit_code == 0
    assert {row["result"] for row in json.loads(result.stdout)} == {"Success"}
    store(url, tables.shadows["instance_faults"], id=1, instance_uuid=None, code=1)
    store(url, tables.aggregates, name="a", uuid=None, deleted=0)
    result = run(url, "status", "upgrade", "check")
    assert result.exit_code == 1
    assert result.stdout.count("Warning") == 2


def test_a_missing_migration_fails_the_upgrade_check(url: sa.URL) -> None:
    migrations.rollback(url)
    result = run(url, "status", "upgrade", "check")
    assert result.exit_code == 2
    assert "Failure" in result.stdout


def test_a_database_without_tables_fails_the_upgrade_check(backend: Backend) -> None:
    tx.close()
    with backend.new_database() as url:
        with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:  # sqlite has no file otherwise
            connection.execute(sa.text("CREATE TABLE mine (id INTEGER)"))
        result = run(url, "status", "upgrade", "check", "--format", "json")
        schema, *others = json.loads(result.stdout)
        assert (result.exit_code, schema["result"]) == (2, "Failure")
        assert schema["details"].endswith("run nova-sqlcore db sync")
        assert all(one["details"].startswith("can't be checked: ") for one in others)
        assert "to make them: nova-sqlcore migrate" in run(url, "check").stderr
        assert run(url.set(database="missing"), "status", "upgrade", "check").exit_code == 255


@pytest.mark.only_on("sqlite", why="servers make no databases by themselves")
@pytest.mark.parametrize(
    "line", ["db archive_deleted_rows", "db purge --all", "check", "version", "sql service_get --explain", "sql --slow"]
)
def test_a_file_that_is_not_there_is_not_made(tmp_path: Path, line: str) -> None:
    words = line.split()
    path = tmp_path / "typo" / "nova.sqlite"
    url = sa.make_url(f"sqlite:///{path}")
    result = run(url, *words)
    assert result.exit_code in (1, 255)
    assert f"there is no file {path}, which nova-sqlcore migrate would make; " in result.stderr
    assert result.stderr.endswith(f"its folder {path.parent} does not exist\n")
    path.parent.mkdir()
    assert f"its folder {path.parent} exists and this user may write there" in run(url, *words).stderr
    assert not path.exists()


@pytest.mark.only_on("sqlite", why="the server has no part in it")
def test_options_stand_before_the_command_or_behind_it(url: sa.URL) -> None:
    """The latter goes first, and the environment last."""
    address = url.render_as_string()
    runner = CliRunner(env={"NOVA_SQLCORE_URL": "sqlite:///typo", "NOVA_SQLCORE_FORMAT": "json"})
    document = runner.invoke(app, ["--url", address, "db", "version"]).stdout
    assert json.loads(document) == {"version": "0003.order-of-indexes"}
    behind = runner.invoke(app, ["-v", "--url", "nonsense", "--format", "text", "db", "version", "--url", address])
    assert behind.stdout == "0003.order-of-indexes\n"


@pytest.mark.only_on("sqlite", why="the server has no part in it")
@pytest.mark.parametrize(
    ("words", "variable", "value", "code"),
    [
        ("db purge", "PURGE_ALL", "1", 3),
        ("purge", "PURGE_BEFORE", "2015-13-01", 2),
        ("db archive-deleted-rows", "ARCHIVE_DELETED_ROWS_MAX_ROWS", "x", 2),
        ("archive", "ARCHIVE_DELETED_ROWS_MAX_ROWS", "x", 2),
        ("db sync", "MIGRATE_ROLLBACK", "x", 2),
        ("quota refresh", "QUOTA_REFRESH_ALL", "1", 0),
        ("sql service_get", "SQL_DIALECT", "oracle", 2),
        ("sql", "SQL_SLOW", "", 1),
    ],
)
def test_options_stand_in_the_environment_by_their_names(
    url: sa.URL, words: str, variable: str, value: str, code: int
) -> None:
    environment = {"NOVA_SQLCORE_URL": url.render_as_string(), f"NOVA_SQLCORE_{variable}": value or str(url)}
    assert CliRunner(env=environment).invoke(app, words.split()).exit_code == code


@pytest.mark.only_on("sqlite", why="signals have nothing to do with the server")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_any_command_with_a_line(
    url: sa.URL, number: signal.Signals, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        os.kill(os.getpid(), number)

    monkeypatch.setattr("nova_sqlcore.cli.quota.quota_usage_refresh", interrupted)
    result = run(url, "quota", "refresh", "--all")
    assert result.exit_code == 128 + number
    assert result.stderr == f"Error: interrupted by {number.name}\n"


def test_rows_without_an_instance(url: sa.URL) -> None:
    assert "no records found" in run(url, "db", "null_instance_uuid_scan").stdout
    store(url, tables.consoles, instance_uuid=None)
    store(url, tables.shadows["instance_faults"], id=1, instance_uuid=None, code=1)
    store(url, tables.fixed_ips, address="10.0.0.1", instance_uuid=None)
    found = json.loads(run(url, "db", "null_instance_uuid_scan", "--format", "json").stdout)
    assert found == {"deleted": False, "rows": {"consoles": 1, "shadow_instance_faults": 1}}
    result = run(url, "null-instance-uuid-scan", "--delete")
    assert (result.exit_code, "Records Deleted" in result.stdout) == (0, True)
    assert "no records found" in run(url, "db", "null_instance_uuid_scan").stdout


@pytest.mark.parametrize("words", [*COMMANDS, "quota refresh", *(f"db {name}" for name in DB_COMMANDS)])
def test_every_command_has_help(words: str) -> None:
    result = CliRunner().invoke(app, [*words.split(), "--help"])
    assert result.exit_code == 0
    assert result.stdout.count("\n") > 5
