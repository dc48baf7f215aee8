# SPDX-License-Identifier: Apache-2.0

"""An operator of nova-manage takes over a database that Nova has made, and looks after it."""

from __future__ import annotations

import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from nova_sqlcore import tables, tx
from nova_sqlcore.cli.app import app
from tests.schema import dumps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugins.backend import Backend

#: Soft-deleted rows beside those of the dump: more than a signal finds moved.
DEAD = 600


class Shell:
    """What the operator types, with the database's address in the environment."""

    def __init__(self, url: sa.URL) -> None:
        self.engine = sa.create_engine(url, poolclass=sa.NullPool)
        self.environment = {"NOVA_SQLCORE_URL": url.render_as_string(hide_password=False), "COLUMNS": "200"}

    def __call__(self, line: str, code: int = 0) -> str:
        """Run a command, which must end with ``code``, and return what it has said."""
        result = CliRunner(env=self.environment).invoke(app, shlex.split(line))
        assert result.exit_code == code, f"{line}: {result.exit_code}: {result.output}"
        return result.output

    def told(self, line: str, code: int = 0) -> Any:
        """Run a command and return its document."""
        result = CliRunner(env=self.environment).invoke(app, [*shlex.split(line), "--format", "json"])
        assert result.exit_code == code, f"{line}: {result.exit_code}: {result.output}"
        return json.loads(result.stdout)

    def interrupted(self, line: str) -> str:
        """Run a command and press Ctrl-C when it has moved something; return what it has said."""
        command = [sys.executable, "-m", "nova_sqlcore", *shlex.split(line)]
        with subprocess.Popen(
            command,
            env=os.environ | self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            deadline = time.monotonic() + 60
            while not self.count(tables.shadows["s3_images"]):
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            said, _ = process.communicate(timeout=60)
        assert process.returncode == 128 + signal.SIGINT, said
        return said

    def count(self, table: sa.Table) -> int:
        with self.engine.connect() as connection:
            return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


@pytest.fixture
def shell(backend: Backend) -> Iterator[Shell]:
    """Lead to a database that the reference has made and filled, and in which many rows are soft-deleted."""
    tx.close()
    with backend.new_database() as url:
        dumps.load(url)
        shell = Shell(url)
        with shell.engine.begin() as connection:
            connection.execute(tables.s3_images.delete())
            dead = [{"id": number, "uuid": "u", "deleted": number} for number in range(1, DEAD + 1)]
            connection.execute(tables.s3_images.insert(), dead)
        yield shell
        tx.close()


def test_the_first_hour(shell: Shell) -> None:
    adopts(shell)
    archives(shell)
    mends_quotas(shell)
    gets_ready_for_the_upgrade(shell)


def adopts(shell: Shell) -> None:
    for line in ("migrate", "migrate --sql"):
        assert "adopt it: nova-sqlcore migrate --adopt" in shell(line, 1)
    for line, code in (("check", 1), ("status upgrade check", 2)):
        assert "nova-sqlcore migrate --adopt, then nova-sqlcore db sync" in shell(line, code)
    assert "adopted" in shell("migrate --adopt")
    assert shell("db version") == "0001.reference-schema\n"
    assert shell("migrate --check", 3) == "2 migrations are pending\n"
    assert "applied 0003" in shell("db sync")
    shell("migrate --check")
    findings = shell.told("check", 1)["findings"]
    assert {one["severity"] for one in findings if one["check"] in ("schema", "indexes")} <= {"ok", "info"}


def archives(shell: Shell) -> None:
    rows = tables.s3_images
    said = shell.interrupted("db archive_deleted_rows --until-complete --max-rows 100 --sleep 0.2 --verbose")
    assert "Interrupted by SIGINT; nothing is half done. To go on, run it again." in said
    moved = shell.count(tables.shadows["s3_images"])
    told = re.search(r"s3_images +\| (\d+) ", said)
    assert 0 <= moved - int(told[1] if told else 0) <= 100  # what is committed as the signal comes may not be counted
    assert 0 < moved < DEAD == moved + shell.count(rows)
    assert "s3_images" in shell("db archive_deleted_rows --until-complete --verbose", 1)
    assert shell("db archive_deleted_rows --until-complete") == ""
    assert shell.count(rows) == 0
    assert "say --all, or --before TIME" in shell("db purge", 1)
    would_go = shell.told("db purge --all --dry-run")["rows"]
    assert would_go["s3_images"] == DEAD == shell.count(tables.shadows["s3_images"])
    assert shell.told("db purge --all")["rows"] == would_go
    shell("db purge --all", 3)


def mends_quotas(shell: Shell) -> None:
    wrong = shell.told("quota refresh --all --dry-run", 1)["usages"]
    assert len(wrong) > 10
    assert f"{len(wrong)} usages were wrong and are corrected" in shell("quota refresh --all")
    assert shell("quota refresh --all --dry-run") == "All usages are right.\n"


def gets_ready_for_the_upgrade(shell: Shell) -> None:
    assert "run nova-sqlcore db online_data_migrations" in shell("status upgrade check", 1)
    assert "2 rows matched query pcidevice_online" in shell("db online_data_migrations --max-count 50", 1)
    shell("db online_data_migrations")
    assert "see nova-sqlcore db null_instance_uuid_scan" in shell("status upgrade check", 1)
    assert "--delete" in shell("db null_instance_uuid_scan")
    shell("db null_instance_uuid_scan --delete")
    assert "Warning" not in shell("status upgrade check")
    found = shell.told("check", 1)["findings"]
    assert {one["check"] for one in found if one["severity"] == "warning"} == {"orphans"}
