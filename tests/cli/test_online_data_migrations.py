# SPDX-License-Identifier: Apache-2.0

"""The command ``nova-sqlcore online-data-migrations``: what it does and prints, and how it ends."""

from __future__ import annotations

import json
import os
import signal
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from nova_sqlcore import tables, tx
from nova_sqlcore.cli import online_data_migrations
from nova_sqlcore.cli.app import app

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def engine(tmp_path: Path) -> sa.Engine:
    """A database without rows."""
    tx.close()  # the command says which database it is
    engine = sa.create_engine(f"sqlite:///{tmp_path}/nova.sqlite", poolclass=sa.NullPool)
    tables.metadata.create_all(engine)
    return engine


def run(engine: sa.Engine, *arguments: str) -> Result:
    environment = {"NOVA_SQLCORE_URL": engine.url.render_as_string(hide_password=False)}
    return CliRunner(env=environment).invoke(app, ["online-data-migrations", *arguments])


class Script:
    """A migration that gives prepared answers, and notes the numbers that it is called with."""

    def __init__(self, name: str, *answers: Any) -> None:
        self.__name__ = name
        self.answers = list(answers)
        self.counts: list[int] = []

    def __call__(self, context: Any, max_count: int) -> tuple[int, int]:
        assert context.is_admin
        self.counts.append(max_count)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer  # type: ignore[no-any-return]  # a pair of numbers


def use(monkeypatch: pytest.MonkeyPatch, *scripts: Script | Callable[[object, int], tuple[int, int]]) -> None:
    monkeypatch.setattr(online_data_migrations, "MIGRATIONS", scripts)


def test_the_real_ones(engine: sa.Engine) -> None:
    with engine.begin() as connection:
        connection.execute(tables.aggregates.insert(), [{"name": str(number)} for number in range(60)])
        for binary in ("nova-conductor", "nova-api"):
            connection.execute(tables.services.insert(), {"binary": binary, "version": 4})
    result = run(engine)
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout.splitlines()[:3] == [
        "Running batches of 50 until complete",
        "50 rows matched query aggregate_uuids_online_data_migration, 50 migrated",
        "10 rows matched query aggregate_uuids_online_data_migration, 10 migrated",
    ]
    assert run(engine).stdout == "Running batches of 50 until complete\n"
    names = [migrate.__name__ for migrate in online_data_migrations.MIGRATIONS]
    assert [name.partition("_")[0] for name in names] == ["pcidevice", "computenode", "aggregate"]


def test_the_limit_goes_for_all_together(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = Script("first", (5, 4)), Script("second", (6, 6)), Script("third")
    use(monkeypatch, first, second, third)
    result = run(engine, "--max-count", "10")
    assert result.stdout.splitlines()[:2] == [
        "5 rows matched query first, 4 migrated",
        "6 rows matched query second, 6 migrated",
    ]
    assert (first.counts, second.counts, third.counts) == ([10], [6], [])
    assert result.exit_code == 1  # there may be more


def test_without_limit_until_nothing_is_done(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    script = Script("only", (50, 50), (40, 40), (30, 30), (0, 0))
    use(monkeypatch, script)
    assert run(engine).exit_code == 0
    assert script.counts == [50] * 4


def test_a_failure_does_not_stop_the_others(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    failing, working = Script("failing", *[ValueError("a\nreason")] * 2), Script("working", (1, 1), (0, 0))
    use(monkeypatch, failing, working)
    result = run(engine)
    assert result.exit_code == 2
    assert result.stdout.splitlines()[1] == "1 rows matched query working, 1 migrated"
    assert result.stderr.splitlines()[:2] == ["Error attempting to run failing: a reason"] * 2


def test_errors_beside_work_that_is_limited(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Script("failing", ValueError("no")), Script("working", (1, 1)))
    assert run(engine, "--max-count", "5").exit_code == 1


def test_json(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Script("only", (50, 50), (4, 3), (1, 0)))
    document = json.loads(run(engine, "--format", "json").stdout)
    assert document == {"migrations": [{"name": "only", "found": 54, "done": 53}], "errors": {}}


def test_json_has_the_errors_too(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, Script("failing", ValueError("no")), Script("working", (0, 0)))
    result = run(engine, "--format", "json")
    assert (result.exit_code, json.loads(result.stdout)) == (2, {"migrations": [], "errors": {"failing": "no"}})


def test_a_signal_ends_it_with_what_is_done(engine: sa.Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(context: object, max_count: int) -> tuple[int, int]:
        os.kill(os.getpid(), signal.SIGTERM)
        return 0, 0

    use(monkeypatch, Script("first", (50, 50)), interrupted)
    result = run(engine, "--format", "json")
    assert result.exit_code == 128 + signal.SIGTERM
    assert json.loads(result.stdout)["migrations"] == [{"name": "first", "found": 50, "done": 50}]
    assert "Interrupted by SIGTERM; nothing is half done. To go on, run it again." in result.stderr


@pytest.mark.parametrize("number", ["-1", "0", "x"])
def test_nonsense(engine: sa.Engine, number: str) -> None:
    assert run(engine, "--max-count", number).exit_code == 127


def test_every_error_tells_its_reason(tmp_path: Path) -> None:
    tx.close()
    (tmp_path / "empty.sqlite").touch()
    result = run(sa.create_engine(f"sqlite:///{tmp_path}/empty.sqlite"))
    assert result.exit_code == 2
    assert "no such table" in result.stderr
