# SPDX-License-Identifier: Apache-2.0

"""A primary with a replica of each product, for all tests; they run when their folder is named."""

from __future__ import annotations

import itertools
import time
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from nova_sqlcore import tables, tx
from tests.servers.replicas import PAIRS, PATIENCE, Pair

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_numbers = itertools.count(1)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the folder out unless it is asked for."""
    return None if any("tests/replicas" in argument for argument in config.args) else True


@pytest.fixture(scope="session", params=PAIRS)
def pair(request: pytest.FixtureRequest) -> Iterator[Pair]:
    with PAIRS[request.param]() as started:
        yield started


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell in the last lines what the tests ran on."""
    for line in sorted(VERSIONS):
        terminalreporter.write_line(f"replicas of {line}")


#: What the tests have run on.
VERSIONS: set[str] = set()


@pytest.fixture
def urls(pair: Pair) -> Iterator[tuple[sa.URL, sa.URL]]:
    """Return the addresses of a new database with one table on both servers."""
    VERSIONS.add(f"{pair.primary.version} and {pair.replica.version}")
    primary, replica = (_cheap(url) for url in pair.create_database(f"nova_{next(_numbers)}"))
    engine = sa.create_engine(primary, poolclass=sa.NullPool)
    tables.metadata.create_all(engine, [tables.certificates])
    copied = sa.create_engine(replica, poolclass=sa.NullPool)
    deadline = time.monotonic() + PATIENCE
    while not sa.inspect(copied).has_table("certificates"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    yield primary, replica
    tx.close()


def _cheap(url: sa.URL) -> sa.URL:
    return url.update_query_dict({"ssl_disabled": "1"}) if url.get_backend_name() == "mysql" else url
