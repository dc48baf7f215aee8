# SPDX-License-Identifier: Apache-2.0

"""The demo works on every back-end, and would tell if something had been lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from click.testing import CliRunner

from nova_sqlcore import api, get_admin_context, tables, tx
from nova_sqlcore.cli import demo
from nova_sqlcore.demo import cloud, invariants, measures, run
from nova_sqlcore.demo.measures import Measure
from nova_sqlcore.schema import migrations

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugins.backend import Backend

WORKERS, SERVERS = 2, 10


@pytest.fixture
def database(backend: Backend) -> Iterator[str]:
    """Return the address of a migrated database; the library is not connected to it."""
    tx.close()
    with backend.new_database() as url:
        address = url.render_as_string(hide_password=False)
        migrations.migrate(address)
        yield address
        tx.close()


def test_a_run_of_several_processes(database: str) -> None:
    done: list[int] = []
    result = run.run(database, SERVERS, WORKERS, done.append)
    assert result.broken == []
    assert sum(done) == WORKERS * SERVERS
    for tally in result.tallies:
        assert (tally.booted, tally.failed, tally.counted) == (SERVERS - 1, 1, SERVERS)
        assert min(tally.resized, tally.deleted, tally.refused_over_quota, tally.refused_swaps) > 0
    boots = result.measures["instance_create"]
    assert boots.calls == WORKERS * SERVERS
    assert 4 <= boots.statements_per_call <= 8
    assert 0 < boots.median <= boots.p95


def test_a_second_run_on_the_same_database(database: str) -> None:
    for _ in range(2):
        assert run.run(database, 2, 1, lambda count: None).broken == []


@pytest.fixture
def finished(backend: Backend) -> tuple[cloud.Scene, list[cloud.Tally]]:
    """Lead a few servers through their lives in this process."""
    for name, number in (("small", 1), ("large", 2)):
        flavor = {"name": name, "flavorid": name, "memory_mb": 512, "vcpus": number, "root_gb": 1, "ephemeral_gb": 0}
        api.flavor_create(get_admin_context(), flavor)
    scene = cloud.Scene.new()
    cloud.prepare(scene, 1, SERVERS)
    worker = cloud.Worker(scene, 0, measures.Measures())
    for turn in range(SERVERS):
        worker.serve(turn)
    assert invariants.broken(scene, [worker.tally]) == []
    return scene, [worker.tally]


def _execute(statement: sa.sql.expression.Executable) -> None:
    with tx.writer(get_admin_context()) as t:
        t.execute(statement)


@pytest.mark.only_on("sqlite", why="the checks ask the same on every back-end, where the run itself has shown them")
@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (sa.update(tables.quota_usages).values(in_use=tables.quota_usages.c.in_use + 1), "are in use; it is"),
        (sa.update(tables.quota_usages).values(reserved=2), "2 cores are still reserved"),
        (sa.update(tables.reservations).values(deleted=0), "reservations are still open"),
        (sa.update(tables.instances).values(deleted=0), "servers are there; it must be"),
        (sa.update(tables.instances).values(vm_state="error"), "the states of the servers are wrong"),
        (sa.update(tables.instances).values(task_state="spawning"), "servers are still in a task state"),
        (sa.update(tables.instances).values(task_state="step-1"), "the shared counter stands at step-1"),
        (sa.update(tables.instance_metadata).values(key="k"), "metadata keys of the shared instance are lost"),
        (sa.update(tables.services).values(report_count=1), "have counted 1 heartbeats; it must be 10"),
    ],
)
def test_what_is_lost_is_told(
    finished: tuple[cloud.Scene, list[cloud.Tally]], damage: sa.sql.expression.Executable, words: str
) -> None:
    _execute(damage)
    assert [sentence for sentence in invariants.broken(*finished) if words in sentence]


def test_the_exit_status_is_1_if_something_is_broken(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run.Result([cloud.Tally()], {"instance_get": Measure(3, 1, [0.1, 0.2])}, ["two became one"], 1.0)
    monkeypatch.setattr(run, "run", lambda *args: result)
    outcome = CliRunner().invoke(demo.command, ["--url", database, "--servers", "1", "--workers", "1"])
    assert outcome.exit_code == 1
    assert "broken: two became one" in outcome.stderr
    assert "instance_get" in outcome.stdout


def test_the_result_for_programs_and_for_nobody(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run.Result([cloud.Tally(booted=3)], {"instance_get": Measure(3, 1, [0.1, 0.2])}, [], 1.0)
    monkeypatch.setattr(run, "run", lambda *args: result)
    outcome = CliRunner().invoke(demo.command, ["--url", database, "--servers", "3", "--format", "json"])
    told = json.loads(outcome.stdout)
    assert (told["servers"], told["booted"], told["broken"]) == (12, 3, [])
    assert told["functions"]["instance_get"]["calls"] == 2
    assert CliRunner().invoke(demo.command, ["--url", database, "-q"]).output == ""


def test_the_command_without_a_url() -> None:
    tx.close()
    outcome = CliRunner().invoke(demo.command, ["--servers", "2", "--workers", "1"], env={"NOVA_SQLCORE_URL": None})
    assert outcome.exit_code == 0, outcome.output
    assert "All invariants hold" in outcome.stdout
    assert "2 servers in" in outcome.stdout


@pytest.mark.only_on("sqlite", why="who ends whom has nothing to do with the server")
def test_an_interrupted_run_ends_with_the_servers_that_are_at_hand(database: str) -> None:
    def interrupt(count: int) -> None:
        if count:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run.run(database, 5000, 1, interrupt)
    tx.configure(database)
    with tx.reader(get_admin_context()) as t:
        assert 0 < t.scalar(sa.select(sa.func.count()).select_from(tables.instances)) < 500


def test_sums_of_measures() -> None:
    one, other = Measure(2, 1, [0.1]), Measure(4, 0, [0.3, 0.2])
    whole = measures.total([{"f": one}, {"f": other, "g": one}])
    assert whole["f"] == Measure(6, 1, [0.1, 0.3, 0.2])
    assert (whole["f"].calls, whole["f"].statements_per_call, whole["f"].median) == (3, 2.0, 0.2)
    assert whole["g"].p95 == 0.1
    assert Measure().median == 0.0


def test_rows_of_others_are_left_alone(database: str) -> None:
    tx.configure(database)
    api.instance_create(get_admin_context(), {"project_id": "blue", "user_id": "u", "host": "h"})
    tx.close()
    outcome = CliRunner().invoke(demo.command, ["--url", database, "--servers", "1", "--workers", "1"])
    assert outcome.exit_code == 2
    assert "rows of others" in outcome.stderr
    tx.configure(database)
    assert len(api.instance_get_all(get_admin_context(), columns_to_join=[])) == 1


def test_a_database_that_the_demo_has_used_serves_again(database: str) -> None:
    for _ in range(2):
        outcome = CliRunner().invoke(demo.command, ["--url", database, "--servers", "1", "--workers", "1"])
        assert outcome.exit_code == 0, outcome.output
