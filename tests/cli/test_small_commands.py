# SPDX-License-Identifier: Apache-2.0

"""The small commands that look at a database: version, upgrade check, rows without an instance."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from nova_sqlcore import tables, tx
from nova_sqlcore.cli.app import COMMANDS, DB_COMMANDS, app
from nova_sqlcore.schema import migrations

if TYPE_CHECKING:
    from collections.abc import Iterator

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
    assert run(url, "db", "version").stdout == "0002.indexes-for-hot-statements\n"
    migrations.rollback(url, 2)
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


def test_what_cannot_be_checked(backend: Backend) -> None:
    tx.close()
    with backend.new_database() as url:
        assert run(url, "status", "upgrade", "check").exit_code == 255


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
