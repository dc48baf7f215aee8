# SPDX-License-Identifier: Apache-2.0

"""The command ``nova-sqlcore migrate``: what it prints, where, and how it ends."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from nova_sqlcore.cli.app import app
from tests.schema import dumps, schemas

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.plugins.backend import Backend

FIRST, SECOND, THIRD = "0001.reference-schema", "0002.indexes-for-hot-statements", "0003.order-of-indexes"


def run(*arguments: str, url: Any = None) -> Result:
    environment = {"NOVA_SQLCORE_URL": None if url is None else str(_open(url))}
    return CliRunner(env=environment).invoke(app, ["migrate", *arguments])


def _open(url: str | sa.URL) -> str:
    return url if isinstance(url, str) else url.render_as_string(hide_password=False)


def done(*arguments: str, url: Any = None) -> list[str]:
    """Run a command that succeeds and return what it prints."""
    result = run(*arguments, url=url)
    assert (result.exit_code, result.stderr) == (0, "")
    return [line.rstrip() for line in result.stdout.splitlines()]


def refused(*arguments: str, url: Any = None) -> str:
    """Run a command that can't do what it is told, and return its one line."""
    result = run(*arguments, url=url)
    assert result.exit_code == 1
    assert result.stderr.count("\n") == 1
    assert "geheim" not in result.output
    return result.stderr


def test_there_and_back_again(backend: Backend) -> None:
    with backend.new_database() as url:
        assert done(url=url) == [f"applied {FIRST}", f"applied {SECOND}", f"applied {THIRD}"]
        assert done(url=url) == ["nothing to do"]
        assert done("--rollback", url=url) == [f"rolled back {THIRD}"]
        pending = run("--status", url=url)
        assert pending.exit_code == 3
        rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in pending.stdout.splitlines() if "|" in line]
        assert rows == [["migration", "state"], [FIRST, "applied"], [SECOND, "applied"], [THIRD, "pending"]]
        assert run("--check", url=url).stdout == "1 migration is pending\n"
        assert done("--rollback", "3", url=url) == [f"rolled back {SECOND}", f"rolled back {FIRST}"]
        assert done("--rollback", url=url) == ["nothing to roll back"]


def test_the_sql_for_a_database_administrator(backend: Backend) -> None:
    """What is printed, run by hand, makes what ``migrate`` makes."""
    with backend.new_database() as url:
        engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
        engine.connect().close()  # which makes the file of sqlite
        assert run("--dry-run", url=url).stdout.count("CREATE TABLE ") > 100
        assert run("--check", url=url).stdout == "3 migrations are pending\n"
        done(url=url)
        wanted = schemas.read(url)
        done("--rollback", "2", url=url)
        text = run("--sql", url=url).stdout
        assert f"-- {FIRST}\n" not in text
        with engine.connect() as connection:
            for statement in re.split(r";$", text, flags=re.MULTILINE):
                if statement.strip():
                    connection.exec_driver_sql(statement)
        assert schemas.read(url) == wanted


def test_adopt(backend: Backend) -> None:
    with backend.new_database() as url:
        dumps.load(url)
        assert "adopt it: nova-sqlcore migrate --adopt" in refused(url=url)
        assert done("--adopt", url=url) == ["adopted; to add the indexes of this library, run migrate"]
        assert done(url=url) == [f"applied {SECOND}", f"applied {THIRD}"]


@pytest.fixture
def url(tmp_path: Path) -> sa.URL:
    """A file that the reference has made: what follows is the same on every back-end."""
    address = sa.URL.create("sqlite", database=str(tmp_path / "nova.sqlite"))
    dumps.load(address)
    return address


def execute(url: sa.URL, *statements: str) -> None:
    with sa.create_engine(url, poolclass=sa.NullPool).begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement)


def test_a_terminal_shows_the_migration_in_hand(url: sa.URL, terminal: Callable[[str], list[str]]) -> None:
    assert terminal(run("--adopt", url=url).stderr) == ["", "comparing the schema", "", ""]
    assert terminal(run(url=url).stderr) == ["", f"applying {SECOND}", f"applying {THIRD}", "", ""]
    assert terminal(run("--rollback", url=url).stderr) == ["", f"rolling back {THIRD}", "", ""]
    assert run("--quiet", url=url).stderr == ""
    assert run("--rollback", "--format", "json", url=url).stderr == ""


def test_adopt_tells_every_difference(url: sa.URL) -> None:
    execute(url, "DROP TABLE s3_images", "DROP TABLE certificates", "CREATE TABLE own (id INTEGER)")
    result = run("--adopt", url=url)
    assert result.exit_code == 1
    assert sorted(result.stdout.splitlines()) == ["table certificates is missing", "table s3_images is missing"]
    assert result.stderr == "Error: the database is not what the reference makes: 2 differences\n"


def test_adopt_notes_what_is_tolerated(url: sa.URL) -> None:
    execute(url, "CREATE TABLE own (id INTEGER)")
    assert done("--adopt", url=url)[0] == "note: table own is not in the reference's schema"


def test_break_lock(url: sa.URL) -> None:
    done("--adopt", url=url)
    assert done("--break-lock", url=url) == ["there is no lock"]
    execute(url, "INSERT INTO yoyo_lock VALUES (1, '2026-01-02 03:04:05', 9)")
    assert done("--break-lock", url=url) == ["removed the lock of process 9"]


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("nova", "Error: not a database URL; it looks like"),
        ("mysql+pymysql://nova:geheim@127.0.0.1:1/nova", "Error: (2003, "),
        ("postgresql+psycopg://nova:geheim@127.0.0.1:1/nova", "Error: connection failed: "),
        ("oracle://nova:geheim@host/nova", "Error: unknown database scheme 'oracle'"),
        ("sqlite:////nowhere/nova.sqlite", "Error: unable to open database file"),
        ("sqlite://", "Error: a database in memory"),
    ],
)
def test_an_address_that_is_no_good(url: str, text: str) -> None:
    assert refused(url=url).startswith(text)
    assert refused("--url", url).startswith(text)


@pytest.mark.only_on("mysql", "postgresql", why="sqlite knows no passwords")
def test_a_password_that_is_wrong(backend: Backend) -> None:
    assert refused(url=backend.url.set(password="geheim"))


def test_a_driver_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pymysql", None)
    assert "pip install 'nova-sqlcore[mysql]'" in refused(url="mysql+pymysql://nova:geheim@host/nova")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ((), "no database: give --url, NOVA_SQLCORE_URL"),
        (
            ("--url", "sqlite:///x", "--status", "--adopt"),
            "take one of --status, --check, --sql, --rollback",
        ),
        (("--url", "sqlite:///x", "--rollback", "0"), "0 is not in the range"),
        (("--url", "sqlite:///x", "--upgrade"), "No such option"),
    ],
)
def test_nonsense_ends_with_two(arguments: tuple[str, ...], text: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert text in result.stderr


# -- the program as it is installed -----------------------------------------------------------------------------------


def program(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from nova_sqlcore.cli import main; sys.argv[0] = 'nova-sqlcore'; main()"
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


def test_the_program(tmp_path: Path) -> None:
    made = program("migrate", NOVA_SQLCORE_URL=f"sqlite:///{tmp_path}/nova.sqlite")
    assert (made.returncode, made.stdout) == (0, f"applied {FIRST}\napplied {SECOND}\napplied {THIRD}\n")
    wrong = program("migrate", NOVA_SQLCORE_URL="mysql+pymysql://nova:geheim@127.0.0.1:1/nova")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr.startswith("Error: (2003,")
    assert program("--help").stdout.startswith("Usage: nova-sqlcore [OPTIONS] COMMAND [ARGS]...")


@pytest.mark.parametrize("missing", ["click", "rich"])
def test_the_program_without_its_extra(missing: str, tmp_path: Path) -> None:
    (tmp_path / f"{missing}.py").write_text(f"raise ModuleNotFoundError('No module named {missing}', name='{missing}')")
    made = program("migrate", "--url", "sqlite:///x.sqlite", PYTHONPATH=str(tmp_path))
    assert (made.returncode, made.stdout) == (1, "")
    assert made.stderr == (
        f"Error: {missing} is not installed, and the command needs it: pip install 'nova-sqlcore[cli]'\n"
    )


def test_the_library_needs_nothing_of_the_extra(tmp_path: Path) -> None:
    for name in ("click", "rich", "yoyo"):
        (tmp_path / f"{name}.py").write_text("raise RuntimeError('imported')")
    command = [sys.executable, "-c", "import nova_sqlcore.api, nova_sqlcore.schema.migrations"]
    subprocess.run(command, env=os.environ | {"PYTHONPATH": str(tmp_path)}, check=True)
