# SPDX-License-Identifier: Apache-2.0

"""One cluster for all tests; they run when their folder is named, for the cluster takes 20 seconds to start."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import pytest

from nova_sqlcore import tables, tx
from tests.queries.processes import Processes, eight_processes
from tests.servers.galera import Galera

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import sqlalchemy as sa

_numbers = itertools.count(1)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Leave the folder out unless it is asked for."""
    return None if any("tests/galera" in argument for argument in config.args) else True


@pytest.fixture(scope="session")
def cluster() -> Iterator[Galera]:
    with Galera() as started:
        yield started


@pytest.fixture(scope="session")
def processes() -> Iterator[Processes]:
    with eight_processes() as started:
        yield started


@pytest.fixture
def urls(cluster: Galera) -> Iterator[list[sa.URL]]:
    """Configure the library with a new database on the first node, and return its address on every node."""
    found = [url.update_query_dict({"ssl_disabled": "1"}) for url in cluster.create_database(f"nova_{next(_numbers)}")]
    tx.close()
    tx.configure(found[0])
    tables.metadata.create_all(tx.main.engine)
    yield found
    tx.close()
