# SPDX-License-Identifier: Apache-2.0

"""Databases behind proxies; the tests run when their folder is named."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from nova_sqlcore import tables, tx
from tests import servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    MakeDatabase = Callable[[servers.Server], sa.URL]

_numbers = itertools.count(1)

#: What the tests have run on.
VERSIONS: set[str] = set()


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the folder out unless it is asked for."""
    return None if any("tests/proxies" in argument for argument in config.args) else True


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell in the last lines what the tests ran on."""
    for line in sorted(VERSIONS):
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[servers.Server]:
    with servers.PostgreSQL.from_environment() as server:
        yield server


@pytest.fixture(scope="session", params=["mariadb", "mysql", "postgresql"])
def server(request: pytest.FixtureRequest) -> Iterator[servers.Server]:
    with servers.PRODUCTS[request.param].from_environment() as started:
        yield started


@pytest.fixture(scope="module")
def new_database() -> Iterator[MakeDatabase]:
    """Return a function that makes a database with a few tables on a server."""
    made: list[tuple[servers.Server, str]] = []

    def make(server: servers.Server) -> sa.URL:
        name = f"nova_proxies_{next(_numbers)}"
        server.drop_database(name)
        made.append((server, name))
        url = server.create_database(name)
        if url.drivername == "mysql+pymysql":
            url = url.update_query_dict({"ssl_disabled": "1"})
        engine = sa.create_engine(url, poolclass=sa.NullPool)
        tables.metadata.create_all(engine)
        return url

    yield make
    tx.close()
    for server, name in made:
        server.drop_database(name)
