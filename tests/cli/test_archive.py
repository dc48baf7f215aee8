# SPDX-License-Identifier: Apache-2.0

"""The commands ``db archive_deleted_rows`` and ``db purge``: what they do and print, and how they end."""

from __future__ import annotations

import datetime
import itertools
import json
import os
import re
import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from nova_sqlcore import tables, tx
from nova_sqlcore.cli.app import app
from nova_sqlcore.core import dialects
from nova_sqlcore.core.connections import tool_engine

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugins.backend import Backend

SHADOW = tables.shadows["s3_images"]


@pytest.fixture
def engine(backend: Backend) -> Iterator[sa.Engine]:
    """A database with three soft-deleted rows of three days, and one live row."""
    tx.close()  # the command says which database it is
    with backend.new_database() as url:
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        tables.metadata.create_all(engine)
        fill(engine, 1, 2, 3)
        with engine.begin() as connection:
            connection.execute(tables.s3_images.insert(), {"id": 1000, "uuid": "u", "deleted": 0})
        yield engine
        engine.dispose()


def fill(engine: sa.Engine, *days: int) -> None:
    """Store a soft-deleted row for each day of a month."""
    deleted = [
        {"id": day, "uuid": "u", "deleted": day, "deleted_at": datetime.datetime(2016, 1, day % 28 + 1)} for day in days
    ]
    with engine.begin() as connection:
        connection.execute(tables.s3_images.insert(), deleted)


def run(engine: sa.Engine, *arguments: str) -> Result:
    environment = {"NOVA_SQLCORE_URL": engine.url.render_as_string(hide_password=False)}
    return CliRunner(env=environment).invoke(app, ["db", *arguments])


def count(engine: sa.Engine, table: sa.Table) -> int:
    with engine.connect() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def test_rows_move_in_silence_and_the_exit_code_tells(engine: sa.Engine) -> None:
    result = run(engine, "archive_deleted_rows")
    assert (result.exit_code, result.output) == (1, "")
    assert (count(engine, tables.s3_images), count(engine, SHADOW)) == (1, 3)
    assert run(engine, "archive_deleted_rows").exit_code == 0


@pytest.mark.parametrize("words", [("db", "archive-deleted-rows"), ("archive_deleted_rows",), ("archive",)])
def test_the_command_has_several_names(engine: sa.Engine, words: tuple[str, ...]) -> None:
    url = engine.url.render_as_string(hide_password=False)
    assert CliRunner().invoke(app, [*words, "--url", url, "--max_rows", "2"]).exit_code == 1
    assert count(engine, SHADOW) == 2


def test_verbose(engine: sa.Engine) -> None:
    result = run(engine, "archive_deleted_rows", "--verbose", "--max-rows", "2")
    heading, row = (line for line in result.stdout.splitlines() if "|" in line)
    assert [cell.strip() for cell in heading.split("|")[1:-1]] == ["Table", "Number of Rows Archived"]
    assert [cell.strip() for cell in row.split("|")[1:-1]] == ["s3_images", "2"]
    run(engine, "archive_deleted_rows")
    assert run(engine, "archive_deleted_rows", "--verbose").stdout == "Nothing was archived.\n"


def test_json(engine: sa.Engine) -> None:
    result = run(engine, "archive_deleted_rows", "--format", "json", "--purge")
    assert json.loads(result.stdout) == {"archived": {"s3_images": 3}, "purged": {"s3_images": 3}, "blocked": {}}


def test_a_round_moves_a_thousand_rows_at_most_and_until_complete_all(engine: sa.Engine) -> None:
    fill(engine, *range(4, 1000), *range(1001, 2101))
    assert run(engine, "archive_deleted_rows").exit_code == 1
    assert count(engine, SHADOW) == 1000
    assert run(engine, "archive_deleted_rows", "--until-complete").exit_code == 1
    assert count(engine, tables.s3_images) == 1


def test_the_time_left_is_told(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nova_sqlcore.cli.output.ELSEWHERE", 0.0)
    with engine.begin() as connection:  # one that hangs on a soft-deleted row, and is live
        connection.execute(tables.instances.insert(), {"uuid": "dead", "deleted": 1})
        connection.execute(tables.instance_actions.insert(), {"instance_uuid": "dead", "deleted": 0})
        connection.execute(SHADOW.insert(), [{"id": number, "uuid": "u"} for number in range(5000, 8000)])
    told = run(engine, "archive_deleted_rows", "--until-complete", "--max-rows", "1", "--purge").stderr.splitlines()
    archived, purged = ([line for line in told if what in line] for what in ("rows archived", "rows purged"))
    assert re.fullmatch(r"\d rows archived, [\d,]+ per second, \d+ s left of \d+ s", archived[1])
    assert archived[-1].startswith("5 rows archived")
    for lines in (archived, purged):
        assert "left" not in lines[0]
        assert ", 0 s left of" in lines[-1]
    assert "left" not in run(engine, "archive_deleted_rows", "--max-rows", "1").stderr


def test_before(engine: sa.Engine) -> None:
    result = run(engine, "archive_deleted_rows", "--before", "Jan 3 2016 01:00 +0100")
    assert "2016-01-03 00:00:00 UTC" in result.stderr
    assert count(engine, SHADOW) == 1


def test_purge_after_archiving_takes_only_rows_of_that_age(engine: sa.Engine) -> None:
    run(engine, "archive_deleted_rows", "--max-rows", "1")
    run(engine, "archive_deleted_rows", "--before", "2016-01-04", "--purge")
    assert (count(engine, tables.s3_images), count(engine, SHADOW)) == (2, 0)
    run(engine, "archive_deleted_rows", "--purge")
    assert (count(engine, tables.s3_images), count(engine, SHADOW)) == (1, 0)


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("--max-rows", "-1"), 2),
        (("--max-rows", "x"), 2),
        (("--max-rows", "1.5"), 2),
        (("--max-rows", "2147483648"), 2),
        (("--max-rows", "9" * 5000), 2),
        (("--before", "yesterday"), 4),
        (("--before", "12:00"), 4),
        (("--sleep", "-1"), 2),
    ],
)
def test_nonsense(engine: sa.Engine, arguments: tuple[str, ...], code: int) -> None:
    assert run(engine, "archive_deleted_rows", *arguments).exit_code == code
    assert count(engine, tables.s3_images) == 4


@pytest.mark.parametrize("spelled", ["--all-cells", "--all_cells"])
def test_cells_are_not_looked_up(engine: sa.Engine, spelled: str) -> None:
    result = run(engine, "archive_deleted_rows", spelled)
    assert result.exit_code == 2
    assert "once for the --url of each cell" in " ".join(result.stderr.split())
    assert count(engine, tables.s3_images) == 4


def test_a_database_without_tables(backend: Backend) -> None:
    tx.close()
    with backend.new_database() as url:
        result = run(sa.create_engine(url), "archive_deleted_rows")
    assert result.exit_code == 255
    assert result.stderr.count("\n") == 1
    assert "Error: " in result.stderr


def test_the_task_log_goes_if_it_is_asked_for(engine: sa.Engine) -> None:
    period = {"task_name": "audit", "state": "DONE", "host": "h", "message": ""}
    days = [datetime.datetime(2016, 1, day) for day in (1, 2, 3)]
    rows = [period | {"period_beginning": one, "period_ending": other} for one, other in itertools.pairwise(days)]
    with engine.begin() as connection:
        connection.execute(tables.task_log.insert(), rows)
    run(engine, "archive_deleted_rows", "--before", "2016-01-03")
    assert count(engine, tables.task_log) == 2
    run(engine, "archive_deleted_rows", "--task_log", "--before", "2016-01-03")
    assert count(engine, tables.task_log) == 1
    run(engine, "archive_deleted_rows", "--task-log")
    assert count(engine, tables.task_log) == 0


class TestBlocked:
    """A soft-deleted instance with a live block device, and one without."""

    @pytest.fixture(autouse=True)
    def instances(self, engine: sa.Engine) -> None:
        dead = [{"uuid": name, "deleted": number} for number, name in enumerate(("kept", "free"), 1)]
        with engine.begin() as connection:
            connection.execute(tables.instances.insert(), dead)
            connection.execute(tables.block_device_mapping.insert(), {"instance_uuid": "kept", "deleted": 0})

    def test_what_stays_is_named_with_what_keeps_it(self, engine: sa.Engine) -> None:
        result = run(engine, "archive_deleted_rows", "--verbose", "--until-complete")
        assert result.exit_code == 1
        row = next(line for line in result.stdout.splitlines() if "kept" in line and "block" in line)
        assert [cell.strip() for cell in row.split("|")[1:-1]] == ["instances", "1", "block_device_mapping (1)", "kept"]
        assert count(engine, tables.instances) == 1
        told = json.loads(run(engine, "archive_deleted_rows", "--format", "json").stdout)["blocked"]
        assert told == {"instances": {"rows": 1, "by": {"block_device_mapping": 1}, "names": ["kept"]}}

    def test_it_may_be_looked_at_without_moving_anything(self, engine: sa.Engine) -> None:
        result = run(engine, "archive_deleted_rows", "--show-blocked")
        assert result.exit_code == 0
        assert "block_device_mapping (1)" in result.stdout
        assert count(engine, tables.instances) == 2
        result = run(engine, "archive_deleted_rows", "--show-blocked", "--include-live-children")
        assert result.stdout == "Every soft-deleted row can go.\n"

    def test_live_children_go_along_if_that_is_asked_for(self, engine: sa.Engine) -> None:
        run(engine, "archive_deleted_rows", "--include_live_children")
        assert (count(engine, tables.instances), count(engine, tables.block_device_mapping)) == (0, 0)

    def test_rounds_do_not_repeat_the_warning(self, engine: sa.Engine) -> None:
        fill(engine, *range(4, 20))
        arguments = ["db", "archive_deleted_rows", "--max-rows", "5", "--until-complete"]
        url = engine.url.render_as_string(hide_password=False)
        command = [sys.executable, "-m", "nova_sqlcore", *arguments]
        environment = os.environ | {"NOVA_SQLCORE_URL": url}
        result = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
        assert (result.returncode, result.stdout) == (1, "")
        assert result.stderr.count("kept by rows of block_device_mapping (1): kept") == 1


class TestPurge:
    def test_nothing_goes_without_a_word(self, engine: sa.Engine) -> None:
        run(engine, "archive_deleted_rows")
        result = run(engine, "purge")
        assert result.exit_code == 1
        assert "--all" in result.stderr
        assert count(engine, SHADOW) == 3

    def test_before_and_all(self, engine: sa.Engine) -> None:
        run(engine, "archive_deleted_rows")
        dry = run(engine, "purge", "--before", "2016-01-03", "--dry-run", "--format", "json")
        assert json.loads(dry.stdout)["rows"] == {"s3_images": 1}
        assert count(engine, SHADOW) == 3
        result = run(engine, "purge", "--before", "2016-01-03", "--verbose")
        assert result.exit_code == 0
        assert "Number of Rows Purged" in result.stdout
        assert count(engine, SHADOW) == 2
        assert run(engine, "purge", "--all").exit_code == 0
        assert run(engine, "purge", "--all").exit_code == 3
        assert count(engine, tables.s3_images) == 1

    def test_a_bad_time(self, engine: sa.Engine) -> None:
        assert run(engine, "purge", "--before", "2016-13-01").exit_code == 2


@pytest.mark.only_on("sqlite", why="Ctrl-C is tried on every server, by the operator of tests/personas")
@pytest.mark.parametrize("form", ["text", "json"])
def test_sigterm_ends_it_between_batches_and_tells_what_has_moved(engine: sa.Engine, form: str) -> None:
    fill(engine, *range(4, 1000))
    arguments = [sys.executable, "-m", "nova_sqlcore", "db", "archive_deleted_rows", "--max-rows", "50"]
    url = engine.url.render_as_string(hide_password=False)
    with subprocess.Popen(
        [*arguments, "--until-complete", "--sleep", "0.2", "--format", form],
        env=os.environ | {"NOVA_SQLCORE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        deadline = time.monotonic() + 60
        while not count(engine, SHADOW):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        told, remarks = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    moved = count(engine, SHADOW)
    if form == "json":
        assert json.loads(told)["archived"] == {"s3_images": moved}
    else:
        assert f"| {moved} " in told
    assert "run it again" in remarks
    assert moved + count(engine, tables.s3_images) == 1000


@pytest.mark.only_on("mysql", "postgresql", why="sqlite has no advisory locks")
@pytest.mark.parametrize("words", [("archive_deleted_rows",), ("purge", "--all")])
def test_a_second_run_says_that_it_is_not_alone(backend: Backend, engine: sa.Engine, words: tuple[str, ...]) -> None:
    assert "Another run" not in run(engine, *words).stderr
    fill(engine, 4, 5)
    with tool_engine(engine.url).connect() as connection:
        assert dialects.family(engine.url).hold(connection, f"nova_sqlcore.{words[0]}", 0)
        result = run(engine, *words)
    assert f"Another run of {words[0]} is at work on this database" in result.stderr
    assert result.exit_code == (1 if words[0] == "archive_deleted_rows" else 3)
    deadline = time.monotonic() + 10  # the server takes its time to see that a connection has gone
    while "Another run" in run(engine, *words).stderr:
        assert time.monotonic() < deadline


@pytest.mark.only_on("sqlite", why="signals have nothing to do with the server")
def test_a_signal_ends_a_purge_between_batches(engine: sa.Engine) -> None:
    rows = [{"id": number, "uuid": "u", "deleted": number} for number in range(1, 3001)]
    with engine.begin() as connection:
        connection.execute(SHADOW.insert(), rows)
    url = engine.url.render_as_string(hide_password=False)
    arguments = [sys.executable, "-m", "nova_sqlcore", "db", "purge", "--all", "--sleep", "1", "--url", url]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        deadline = time.monotonic() + 60
        while count(engine, SHADOW) == 3000:
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        told, remarks = process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM
    assert f"| {3000 - count(engine, SHADOW)} " in told
    assert "run it again" in remarks
