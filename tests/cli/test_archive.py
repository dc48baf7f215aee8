"""The command ``nova-sqlcore archive``: what it does and prints, and how it ends."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from nova_sqlcore import tables, tx
from nova_sqlcore.cli.app import app

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def engine(tmp_path: Path) -> sa.Engine:
    """A database with three soft-deleted rows of three days, and one live row."""
    tx.close()  # the command says which database it is
    engine = sa.create_engine(f"sqlite:///{tmp_path}/nova.sqlite", poolclass=sa.NullPool)
    tables.metadata.create_all(engine)
    rows = [
        {"id": day, "uuid": "u", "deleted": day, "deleted_at": datetime.datetime(2016, 1, day)} for day in (1, 2, 3)
    ]
    with engine.begin() as connection:
        connection.execute(tables.s3_images.insert(), [*rows, {"id": 4, "uuid": "u", "deleted": 0, "deleted_at": None}])
    return engine


def run(engine: sa.Engine, *arguments: str) -> Result:
    environment = {"NOVA_SQLCORE_URL": engine.url.render_as_string(hide_password=False)}
    return CliRunner(env=environment).invoke(app, ["archive", *arguments])


def count(engine: sa.Engine, table: sa.Table) -> int:
    with engine.connect() as connection:
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def test_all_rows_move_in_silence(engine: sa.Engine) -> None:
    result = run(engine)
    assert (result.exit_code, result.output) == (0, "")
    assert (count(engine, tables.s3_images), count(engine, tables.shadows["s3_images"])) == (1, 3)


def test_verbose(engine: sa.Engine) -> None:
    result = run(engine, "--verbose", "--max-rows", "2", "--batch", "1")
    assert result.exit_code == 0
    heading, row = (line for line in result.output.splitlines() if "|" in line)
    assert [cell.strip() for cell in heading.split("|")[1:-1]] == ["Table", "Number of Rows Archived"]
    assert [cell.strip() for cell in row.split("|")[1:-1]] == ["s3_images", "2"]
    run(engine)
    assert run(engine, "--verbose").output == "Nothing was archived.\n"


def test_before_and_purge(engine: sa.Engine) -> None:
    run(engine, "--before", "2016-01-03")
    assert count(engine, tables.shadows["s3_images"]) == 2
    result = run(engine, "--purge", "--before", "2016-01-02T00:00:00", "--verbose")
    assert "Number of Rows Purged" in result.output
    assert count(engine, tables.shadows["s3_images"]) == 1
    run(engine, "--purge")
    assert run(engine, "--purge", "--verbose").output == "Nothing was purged.\n"
    assert count(engine, tables.s3_images) == 2


@pytest.mark.parametrize(
    "arguments",
    [
        ("--max-rows", "-1"),
        ("--max-rows", "x"),
        ("--max-rows", "2147483648"),
        ("--max-rows", "9" * 100),
        ("--before", "yesterday"),
        ("--batch", "0"),
        ("--sleep", "-1"),
        ("--purge", "--max-rows", "1"),
    ],
)
def test_nonsense(engine: sa.Engine, arguments: tuple[str, ...]) -> None:
    assert run(engine, *arguments).exit_code == 2
    assert count(engine, tables.s3_images) == 4


def test_a_database_without_tables(tmp_path: Path) -> None:
    tx.close()
    result = run(sa.create_engine(f"sqlite:///{tmp_path}/empty.sqlite"))
    assert result.exit_code == 1
    assert "no such table" in result.stderr
    assert result.stderr.count("\n") == 1
