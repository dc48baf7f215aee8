# SPDX-License-Identifier: Apache-2.0

"""The command ``replay``, with what a real Nova has written."""

from __future__ import annotations

import gzip
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner, Result

from nova_sqlcore import get_admin_context, tx
from nova_sqlcore.cli.app import app
from nova_sqlcore.demo import logs
from nova_sqlcore.demo.lanes import Lanes
from nova_sqlcore.queries.compute.changes import instance_create
from nova_sqlcore.queries.compute.instances import instance_get_all, instance_get_by_uuid
from nova_sqlcore.queries.quota.usages import quota_usage_get_all_by_project

if TYPE_CHECKING:
    from tests.plugins.backend import Backend

LOG = Path(__file__).parents[1] / "data" / "nova.log.gz"
#: An instance whose life and end are in the log.
INSTANCE = "b9000564-fe1a-409b-b8cc-1e88b294cd1d"
LINE = "2017-05-16 00:00:0{} 25746 INFO nova.osapi_compute.wsgi.server [req-1 u p - - -] 10.1.1.1 {}\n"
LISTED = '"GET /v2/54fadb/servers/detail HTTP/1.1" status: 200 len: 1893 time: 0.2'


def run(backend: Backend, *arguments: str) -> Result:
    url = backend.url.render_as_string(hide_password=False)
    return CliRunner(env={"NOVA_SQLCORE_URL": url, "COLUMNS": "200"}).invoke(app, ["replay", *arguments])


def test_a_cloud_at_work(backend: Backend) -> None:
    instance_create(get_admin_context(), {"uuid": INSTANCE, "project_id": "real"})
    threads = "1" if backend.family == "sqlite" else "4"
    result = run(backend, str(LOG), "--format", "json", "--threads", threads)
    assert result.exit_code == 0, result.output
    told: dict[str, Any] = json.loads(result.stdout)
    assert told["lines"]["not understood"] == 0
    assert sum(told["lines"].values()) == 170
    assert told["refused"].keys() <= {"InstanceNotFound"}  # of a machine that stops after its end
    functions = told["functions"]
    assert functions["instance_get_all_by_filters"]["calls"] > 50
    for name in ("instance_create", "instance_destroy", "action_event_finish", "reservation_commit", "service_update"):
        assert functions[name]["calls"] > 0, name
    assert told["statements"] == sum(one["statements"] for one in functions.values()) >= told["calls"]
    assert (told["round_trips"] > told["calls"]) == (backend.family != "sqlite")
    assert all(one["median_ms"] <= one["p95_ms"] <= one["p99_ms"] for one in functions.values())
    tx.close()
    tx.configure(backend.url)
    assert instance_get_by_uuid(get_admin_context(), INSTANCE)["project_id"] == "real"
    others = [row for row in instance_get_all(get_admin_context()) if row["uuid"] != INSTANCE]
    assert all(str(row["project_id"]).startswith(told["projects"]) for row in others)
    for project in {str(row["project_id"]) for row in others}:
        usages = quota_usage_get_all_by_project(get_admin_context(), project)
        assert all(usage["reserved"] == 0 for name, usage in usages.items() if name != "project_id")


@pytest.mark.only_on("sqlite", why="how lines are read has nothing to do with the server")
class TestLines:
    def test_those_that_are_not_understood_are_counted(self, backend: Backend, tmp_path: Path) -> None:
        log = tmp_path / "nova-api.log"
        garbage = [
            "Traceback (most recent call last):\n",
            "\n",
            "2017-13-45 00:00:00.000 1 INFO nova.x [-] y\n",
            "\0\n",
        ]
        other = LINE.format("3.000", '"GET /v2/54fadb/some-extension HTTP/1.1" status: 200 len: 1 time: 0.2')
        log.write_bytes("".join([LINE.format("1.000", LISTED), *garbage, other]).encode() + b"\xff\xfe\n")
        result = run(backend, str(log))
        assert result.exit_code == 0, result.output
        assert "7 lines: 1 used, 0 without calls, 6 not understood." in result.stdout
        assert "instance_get_all_by_filters" in result.stdout

    def test_an_empty_log(self, backend: Backend, tmp_path: Path) -> None:
        (tmp_path / "empty").touch()
        result = run(backend, str(tmp_path / "empty"))
        assert result.exit_code == 0, result.output
        assert "0 calls" in result.stdout

    def test_strange_requests_do_no_harm(self, backend: Backend, tmp_path: Path) -> None:
        log = tmp_path / "nova-api.log"
        queries = ("limit=x", "limit=-1", "limit=99999999999", "marker=%00", "all_tenants=1&host=%FF", "limit")
        log.write_text("".join(LINE.format("1.000", LISTED.replace("detail", f"detail?{one}")) for one in queries))
        result = run(backend, str(log), "--format", "json")
        assert result.exit_code == 0, result.output
        assert json.loads(result.stdout)["lines"]["used"] == len(queries)

    def test_scaled_time(self, backend: Backend, tmp_path: Path) -> None:
        log = tmp_path / "nova-api.log"
        log.write_text(LINE.format("1.000", LISTED) + LINE.format("4.000", LISTED))
        began = time.monotonic()
        assert run(backend, str(log), "--speed", "10").exit_code == 0
        assert time.monotonic() - began >= 0.3
        assert run(backend, str(log), "--speed", "0").exit_code == 2

    def test_the_time_left_is_told(self, backend: Backend, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("nova_sqlcore.cli.output.ELSEWHERE", 0.0)
        log = tmp_path / "nova-api.log"
        log.write_text(LINE.format("1.000", LISTED) * 2)
        first, *_, last = run(backend, str(LOG), str(log)).stderr.splitlines()
        assert first.startswith("1 lines, ")
        assert "left" not in first
        assert last.startswith("172 lines, ")
        assert ", 0 s left of " in last

    def test_threads_keep_the_order_of_what_is_about_one_instance(self, backend: Backend) -> None:
        one, several = (
            json.loads(run(backend, str(LOG), "--format", "json", "--threads", threads).stdout) for threads in "13"
        )
        assert several["lines"] == one["lines"]
        calls = [{name: each["calls"] for name, each in told["functions"].items()} for told in (one, several)]
        assert calls[0].keys() == calls[1].keys()
        for name in ("instance_get_all_by_filters", "instance_destroy", "reservation_commit", "action_event_finish"):
            assert calls[0][name] == calls[1][name], name
        assert run(backend, str(LOG), "--threads", "0").exit_code == 2

    def test_an_error_in_a_thread_ends_all(self, backend: Backend) -> None:
        done: list[int] = []

        def fails() -> None:
            raise OSError("no more")

        with pytest.raises(OSError, match="no more"), Lanes(2) as lanes:
            lanes.put("a", fails)
            for number in range(10_000):
                lanes.put(str(number), lambda: done.append(1))
        assert len(done) < 10_000

    def test_a_missing_file_and_no_file(self, backend: Backend, tmp_path: Path) -> None:
        assert run(backend, str(tmp_path / "none")).exit_code == 2
        assert run(backend).exit_code == 2

    def test_an_empty_database(self, backend: Backend) -> None:
        with backend.new_database() as url:
            result = CliRunner().invoke(app, ["replay", str(LOG), "--url", str(url)])
        assert result.exit_code == 1
        assert "nova-sqlcore migrate" in result.stderr


def test_several_logs_are_taken_in_the_order_of_their_times(tmp_path: Path) -> None:
    with gzip.open(tmp_path / "a.gz", "wt") as log:
        log.writelines(LINE.format(f"{second}.000", "x") for second in (1, 3))
    (tmp_path / "b").write_text(LINE.format("2.000", "x") + "more of it\n")
    found = list(logs.merged([str(tmp_path / "a.gz"), str(tmp_path / "b")]))
    assert [line and line.time.second for line in found] == [1, 2, None, 3]


@pytest.mark.parametrize("prefix", ["", "nova-api.log.1 ", "May 16 00:00:01 host nova-api[7]: "])
def test_what_stands_before_a_line_does_not_matter(prefix: str) -> None:
    line = logs.parsed(prefix + LINE.format("1.000", "x"))
    assert line is not None
    assert (line.user, line.project, line.pid, line.message) == ("u", "p", "25746", "10.1.1.1 x")
    line = logs.parsed(f"{prefix}2017-05-16 00:00:01,000 1 INFO nova.compute.manager [-] [instance: {INSTANCE}] VM up")
    assert line is not None
    assert (line.user, line.instance, line.message) == (None, INSTANCE, "VM up")
