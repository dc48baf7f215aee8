# SPDX-License-Identifier: Apache-2.0

"""The command ``sql``: what functions send, how servers would run it, and what has kept a server busy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from click.testing import CliRunner, Result

from nova_sqlcore import get_admin_context, tx
from nova_sqlcore.cli import recorded, slow
from nova_sqlcore.cli.app import app
from nova_sqlcore.queries.hosts.services import service_create, service_update
from tests import servers
from tests.recorded.statements import written_trips

if TYPE_CHECKING:
    from tests.plugins.backend import Backend

NAMES = set(json.loads((Path(__file__).parents[1] / "data" / "signatures.json").read_text()))
#: Those that send nothing by themselves.
SILENT = {
    *("configure", "constraint", "create_context_manager", "equal_any", "not_equal", "process_sort_params"),
    *("get_api_engine", "get_backend", "get_context_manager", "get_engine", "select_db_reader_mode"),
    *("pick_context_manager_reader", "pick_context_manager_reader_allow_async", "pick_context_manager_writer"),
    "require_context",
}


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["sql", *arguments])


@pytest.mark.parametrize("server", recorded.SERVERS)
def test_no_function_is_missing(server: str) -> None:
    calls = recorded.calls_of(server)
    assert calls.keys() == NAMES
    assert {name for name in calls if not calls[name]} == SILENT
    assert all(call.statements for kinds in calls.values() for call in kinds)


def test_servers_that_get_the_same_are_shown_together() -> None:
    result = run("service_update")
    assert result.exit_code == 0
    assert [line for line in result.stdout.splitlines() if " on " in line and line.startswith("service_update")] == [
        "service_update on sqlite",
        "service_update on mariadb, mysql",
        "service_update on postgresql",
    ]
    assert "UPDATE services\nSET " in result.stdout
    assert "-- 1 statement\n" in result.stdout
    assert "-- 2 statements, 1 round trip\n" in result.stdout
    assert "-- 1 statement, 1 round trip\n" in result.stdout
    assert "--verbose" in result.stdout


def test_round_trips_are_those_that_are_held() -> None:
    held = written_trips()  # of every function, and a test counts them on the wire
    for server, by_function in held.items():
        for name, calls in recorded.calls_of(server).items():
            assert {call.round_trips for call in calls} <= by_function.get(name, set()), name
    told = json.loads(run("service_update", "--format", "json").stdout)["service_update"]
    assert {told[server][0]["round_trips"] for server in ("mariadb", "mysql", "postgresql")} == {1}
    assert told["sqlite"][0]["round_trips"] == 0


def test_one_server_and_all_kinds_of_call() -> None:
    result = run("service_update", "--dialect", "postgresql", "--verbose")
    assert result.stdout.count("-- service_update(context, ") == len(recorded.calls_of("postgresql")["service_update"])
    assert "-- raises DBDuplicateEntry" in result.stdout
    assert "mysql" not in result.stdout


def test_all_for_programs() -> None:
    told = json.loads(run("--all", "--format", "json", "--dialect", "sqlite", "--dialect", "mysql").stdout)
    assert told.keys() == NAMES
    assert told["service_get"].keys() == {"sqlite", "mysql"}
    assert told["service_get"]["sqlite"][0]["statements"][0]["sql"].startswith("SELECT services.created_at")


def test_a_function_that_sends_nothing() -> None:
    assert "It sends no statement by itself." in run("constraint").stdout


@pytest.mark.parametrize(("name", "near"), [("servce_update", "service_update"), ("by_uuid", "instance_get_by_uuid")])
def test_an_unknown_function(name: str, near: str) -> None:
    result = run(name)
    assert result.exit_code == 2
    assert near in result.stderr


def test_no_function_and_no_such_word() -> None:
    assert run().exit_code == 2
    assert "near" not in run("xyzzy").stderr


def test_plans_of_all_functions(backend: Backend) -> None:
    """Nothing is changed, though most of the statements change rows."""
    service_create(get_admin_context(), {"host": "h"})
    url = backend.url.render_as_string(hide_password=False)
    result = run("--all", "--explain", url, "--format", "json")
    assert result.exit_code == 0, result.output
    told = json.loads(result.stdout)
    assert told.keys() == NAMES
    assert all(one["plan"] for one in told["service_get_all"])
    result = run("service_get", "--url", url, "--explain")
    assert result.exit_code == 0
    assert f"service_get on {backend.name}" in result.stdout


@pytest.mark.only_on("sqlite", why="it keeps no statistics")
def test_sqlite_has_no_statistics(backend: Backend) -> None:
    result = run("--slow", str(backend.url))
    assert result.exit_code == 1
    assert "observe_statements" in result.stderr


@pytest.mark.only_on("mariadb", why="of both products the same is asked")
@pytest.mark.usefixtures("backend")
def test_statistics_that_are_off() -> None:
    with servers.PRODUCTS["mariadb"](None, performance_schema="OFF") as server:
        result = run("--slow", server.create_database("nova").render_as_string(hide_password=False))
    assert result.exit_code == 1
    assert "performance_schema=ON" in result.stderr


@pytest.mark.only_on("mariadb", why="of both products the same is asked")
@pytest.mark.usefixtures("backend")
def test_statistics_that_have_no_room_left() -> None:
    with servers.PRODUCTS["mariadb"](None, performance_schema_digests_size="5") as server:
        url = server.create_database("nova")
        with sa.create_engine(url, poolclass=sa.NullPool).connect() as connection:
            for number in range(10):
                connection.exec_driver_sql(f"SELECT 1 AS a{number}")
        result = run("--slow", url.render_as_string(hide_password=False))
    assert result.exit_code == 0
    assert "list of statements is full" in result.stderr


def busy(url: sa.URL) -> list[dict[str, object]]:
    """Let a service work, and return what the server says of it."""
    tx.close()
    tx.configure(url)
    try:
        service = service_create(get_admin_context(), {"host": "h"})
        for count in range(5):
            service_update(get_admin_context(), service["id"], {"report_count": count})
    finally:
        tx.close()
    result = run("--slow", url.render_as_string(hide_password=False), "--format", "json")
    assert result.exit_code == 0, result.output
    told: list[dict[str, object]] = json.loads(result.stdout)
    return told


def of_function(told: list[dict[str, object]], name: str) -> int:
    return sum(int(str(one["calls"])) for one in told if f"'{name}'" in str(one["functions"]))


@pytest.mark.only_on("postgresql", why="its statistics are an extension of each database")
def test_an_extension_that_is_missing(backend: Backend) -> None:
    with sa.create_engine(backend.url, poolclass=sa.NullPool).begin() as connection:
        connection.exec_driver_sql("DROP EXTENSION IF EXISTS pg_stat_statements")
    result = run("--slow", backend.url.render_as_string(hide_password=False))
    assert result.exit_code == 1
    assert "CREATE EXTENSION pg_stat_statements" in result.stderr


#: Whether the server keeps statistics, and what begins them anew: the tests before have sent a lot.
KEPT = {
    "mysql": ("SELECT @@performance_schema", "TRUNCATE performance_schema.events_statements_summary_by_digest"),
    "postgresql": (
        "SELECT setting LIKE '%%pg_stat_statements%%' FROM pg_settings WHERE name = 'shared_preload_libraries'",
        "CREATE EXTENSION IF NOT EXISTS pg_stat_statements; SELECT pg_stat_statements_reset(0, oid, 0)"
        " FROM pg_database WHERE datname = current_database()",
    ),
}


@pytest.mark.only_on("mysql", "postgresql", why="sqlite keeps no statistics")
def test_statements_of_servers_have_their_functions(backend: Backend) -> None:
    is_kept, reset = KEPT[backend.family]
    with sa.create_engine(backend.url, poolclass=sa.NullPool).begin() as connection:
        if not connection.exec_driver_sql(is_kept).scalar():  # somebody else's server, named in the environment
            result = run("--slow", backend.url.render_as_string(hide_password=False))
            assert result.exit_code == 1
            assert "the server keeps no statistics of statements" in result.stderr
            return
        connection.exec_driver_sql(reset)
    told = busy(backend.url)
    assert of_function(told, "service_update") >= 5
    assert of_function(told, "service_create") >= 1
    assert all(float(str(one["seconds"])) > 0 for one in told)
    assert not [one for one in told if not one["functions"] and "services" in str(one["text"])]


@pytest.mark.parametrize(
    ("server", "text", "function"),
    [
        ("mysql", "SELECT `services` . `created_at` , `services` . `upd...", "service_get"),
        (
            "mysql",
            "UPDATE `services` SET `topic` = ? WHERE `services` . `id` = ?",
            "~service_update",
        ),
        ("postgresql", "SELECT 1", None),
    ],
)
def test_cut_off_and_similar_statements(server: str, text: str, function: str | None) -> None:
    found = slow.senders(server, text)
    assert (function in found) if function else not found


def test_numbers_names_and_blanks_make_no_difference() -> None:
    one = "SELECT a.`b` FROM a\nWHERE a.b IN (%(x_1)s, %(x_2)s) AND a.c = 0 AND a.d IS NULL /* note */"
    other = 'select "a" . "b" from a where a.b in (...) AND a.c=$3 and a.d is null'
    assert slow.plain(one) == slow.plain(other)
