# SPDX-License-Identifier: Apache-2.0

"""Green threads of eventlet and gevent, each in a process of its own: what docs/howto/concurrency.rst says."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import pytest
import sqlalchemy as sa

from nova_sqlcore import tables
from tests.proxies.conftest import VERSIONS

if TYPE_CHECKING:
    from pathlib import Path

    from tests import servers
    from tests.proxies.conftest import MakeDatabase

#: Where a statement can wait on the server, and be cut short there.
ON_SERVERS: Final = ("together", "timeout", "killed", "waits")
#: Seconds for which the loop may be busy on a loaded machine; a statement of the tests sleeps for longer.
BUSY: Final = 0.3


def run(library: str, url: sa.URL, *scenarios: str) -> dict[str, Any]:
    """Run the scenarios; those that it did not come to are missing."""
    command = [sys.executable, "-W", "ignore", "-m", "tests.proxies.green", library]
    command += [url.render_as_string(hide_password=False), *scenarios]
    done = subprocess.run(command, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, f"{done.stdout[-1000:]}\n{done.stderr[-3000:]}"
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.fixture(scope="module", params=["eventlet", "gevent"])
def library(request: pytest.FixtureRequest) -> str:
    name: str = request.param
    return name


@pytest.fixture(scope="module")
def found(library: str, server: servers.Server, new_database: MakeDatabase) -> dict[str, Any]:
    """Return what all scenarios have found on one server."""
    url = new_database(server)
    VERSIONS.add(f"green threads of {library} on {server.version}")
    return run(library, url, "crowd", "row_lock", *ON_SERVERS)


@pytest.fixture(scope="module")
def on_file(library: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return what they have found on sqlite."""
    path: Path = tmp_path_factory.mktemp("green") / "nova.sqlite"
    url = sa.make_url(f"sqlite:///{path}")
    tables.metadata.create_all(sa.create_engine(url, poolclass=sa.NullPool))
    return run(library, url, "crowd", "row_lock")


def test_a_hundred_of_them(found: dict[str, Any]) -> None:
    crowd = found["crowd"]
    assert crowd["found"] == list(range(100))
    assert crowd["most"] <= 6
    assert crowd["in_use"] == 0


def test_statements_at_the_same_time(found: dict[str, Any]) -> None:
    """Six that sleep for 0.4 seconds each; one after another they would take 2.4."""
    together = found["together"]
    assert together["found"] == [None] * 6
    assert together["took"] < 1.2
    assert together["longest"] < BUSY


def test_one_that_waits_for_a_row_lets_the_holder_run(found: dict[str, Any]) -> None:
    row_lock = found["row_lock"]
    assert row_lock["found"] == ["first", "second", "second"]
    assert row_lock["longest"] < BUSY


def test_a_time_limit_in_the_midst_of_a_statement(found: dict[str, Any]) -> None:
    """Three times with a pool of one connection: nothing of it stays, and the next call has a new one."""
    assert found["timeout"] == {"found": ["interrupted"] * 3, "more": 1, "in_use": 0}


def test_one_that_is_killed_in_the_midst_of_a_statement(found: dict[str, Any]) -> None:
    killed = found["killed"]
    assert killed["more"] == 1
    assert killed["in_use"] == 0
    assert killed["took"] < 5


def test_waiting_for_a_connection(found: dict[str, Any]) -> None:
    waits = found["waits"]
    assert waits["found"] == ["interrupted", "exhausted"]
    assert waits["took"] < 0.4
    assert waits["in_use"] == 0


class TestSqlite:
    def test_a_hundred_of_them(self, on_file: dict[str, Any]) -> None:
        assert on_file["crowd"]["found"] == list(range(100))

    def test_one_that_waits_for_the_writer_lets_that_run(self, on_file: dict[str, Any]) -> None:
        assert on_file["row_lock"]["found"] == ["first", "second", "second"]
        assert on_file["row_lock"]["longest"] < BUSY
