# SPDX-License-Identifier: Apache-2.0

"""Private throw-away database servers, for tests, for benchmarks and by hand (``python -m tests.servers``).

    with servers.running("mariadb", "postgresql") as up:
        url = up["mariadb"].create_database("nova")

A server is reached on the loopback interface only, keeps its data in memory if there is room, and goes without a trace
when the block or the process ends, however it ends. NOVA_SQLCORE_TEST_MARIADB_URL, ..._MYSQL_URL and
..._POSTGRESQL_URL name servers to be used instead.
"""

import contextlib
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor

from tests.servers.base import Server, ServerError
from tests.servers.mysql import MariaDB, MySQL
from tests.servers.postgresql import PostgreSQL
from tests.servers.software import MissingServer

__all__ = ["PRODUCTS", "MariaDB", "MissingServer", "MySQL", "PostgreSQL", "Server", "ServerError", "running"]

PRODUCTS: dict[str, type[Server]] = {product.name: product for product in (MariaDB, MySQL, PostgreSQL)}


@contextlib.contextmanager
def running(*names: str, settings: Mapping[str, Mapping[str, str]] | None = None) -> Iterator[dict[str, Server]]:
    """Start the servers named, at the same time, and stop them at the block's end.

    ``settings`` are those of private servers, by product and by name, beyond the usual ones.
    Raises: ServerError(text). MissingServer(text).
    """
    servers = {name: PRODUCTS[name].from_environment(**(settings or {}).get(name, {})) for name in names}
    with contextlib.ExitStack() as stack:
        for server in servers.values():
            stack.callback(server.stop)
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda server: server.start(), servers.values()))
        yield servers
