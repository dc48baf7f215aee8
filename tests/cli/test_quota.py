# SPDX-License-Identifier: Apache-2.0

"""The command ``quota refresh``."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from nova_sqlcore import tables, tx
from nova_sqlcore.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.plugins.backend import Backend


@pytest.fixture
def engine(backend: Backend) -> Iterator[sa.Engine]:
    """A database with an instance in each of two projects, and usages that know nothing of them."""
    tx.close()  # the command says which database it is
    with backend.new_database() as url:
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        tables.metadata.create_all(engine)
        with engine.begin() as connection:
            for project in ("p", "q"):
                whose = {"project_id": project, "user_id": "u"}
                instance = {"uuid": project, "vcpus": 0, "memory_mb": 0, "deleted": 0, **whose}
                connection.execute(tables.instances.insert(), instance)
                usage = {"resource": "instances", "in_use": 5, "reserved": 0, "deleted": 0, **whose}
                connection.execute(tables.quota_usages.insert(), usage)
        yield engine
        engine.dispose()


def run(engine: sa.Engine, *arguments: str) -> Result:
    environment = {"NOVA_SQLCORE_URL": engine.url.render_as_string(hide_password=False)}
    return CliRunner(env=environment).invoke(app, ["quota", "refresh", *arguments])


def in_use(engine: sa.Engine) -> list[int]:
    t = tables.quota_usages
    with engine.connect() as connection:
        return list(connection.scalars(sa.select(t.c.in_use).order_by(t.c.project_id)))


def test_a_dry_run_shows_what_is_wrong_and_leaves_it(engine: sa.Engine) -> None:
    result = run(engine, "--all", "--dry-run")
    assert result.exit_code == 1
    _, *rows = ([cell.strip() for cell in line.split("|")[1:-1]] for line in result.stdout.splitlines() if "|" in line)
    assert rows == [["p", "u", "instances", "5", "1"], ["q", "u", "instances", "5", "1"]]
    assert in_use(engine) == [5, 5]


@pytest.mark.parametrize(
    ("arguments", "after"),
    [(["--project", "p"], [1, 5]), (["--project", "q", "--user", "u"], [5, 1]), (["--all"], [1, 1])],
)
def test_usages_are_corrected(engine: sa.Engine, arguments: list[str], after: list[int]) -> None:
    result = run(engine, *arguments)
    assert result.exit_code == 0
    words = "2 usages were wrong and are" if arguments == ["--all"] else "1 usage was wrong and is"
    assert f"{words} corrected." in result.stdout
    assert in_use(engine) == after
    again = run(engine, *arguments)
    assert (again.exit_code, again.stdout) == (0, "All usages are right.\n")
    assert run(engine, *arguments, "--dry-run").exit_code == 0


def test_json(engine: sa.Engine) -> None:
    wrong = {"project_id": "p", "user_id": "u", "resource": "instances", "was": 5, "is": 1}
    dry = run(engine, "--project", "p", "--dry-run", "--format", "json")
    assert (dry.exit_code, json.loads(dry.stdout)) == (1, {"dry_run": True, "usages": [wrong]})
    done = run(engine, "--project", "p", "--format", "json")
    assert (done.exit_code, json.loads(done.stdout)) == (0, {"dry_run": False, "usages": [wrong]})
    assert json.loads(run(engine, "--project", "p", "--format", "json").stdout)["usages"] == []


@pytest.mark.only_on("sqlite", why="a terminal is the same for all")
def test_a_terminal_shows_the_project_in_hand(engine: sa.Engine, terminal: Callable[[str], list[str]]) -> None:
    shown = run(engine, "--all").stderr
    assert terminal(shown) == ["", "counting what is in use", "project p", "project q", "", ""]
    assert run(engine, "--all", "--format", "json").stderr == ""
    assert run(engine, "--all", "--quiet").stderr == ""


@pytest.mark.parametrize("arguments", [[], ["--user", "u"], ["--all", "--user", "u"], ["--all", "--project", "p"]])
def test_whose_usages_must_be_clear(engine: sa.Engine, arguments: list[str]) -> None:
    assert run(engine, *arguments).exit_code == 2
    assert in_use(engine) == [5, 5]


def test_a_database_without_tables(backend: Backend) -> None:
    tx.close()
    with backend.new_database() as url:
        result = run(sa.create_engine(url), "--all")
    assert result.exit_code == 255
    assert result.stderr.count("\n") == 1
