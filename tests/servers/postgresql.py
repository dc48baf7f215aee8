# SPDX-License-Identifier: Apache-2.0

"""PostgreSQL."""

from pathlib import Path
from typing import ClassVar

from tests.servers import base, software

#: As small and fast as a server can be whose data nobody keeps.
SETTINGS = {
    "listen_addresses": base.HOST,
    "max_connections": "200",
    "shared_buffers": "64MB",
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    # in the data directory, which goes with the server; the default is a file in /dev/shm that a kill leaves behind
    "dynamic_shared_memory_type": "mmap",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    # parallel plans need shared memory that a container may not have, and do not help on two cores
    "max_parallel_workers_per_gather": "0",
    # tests delete all they write; dead rows would slow down every later look at a table
    "autovacuum_naptime": "5s",
    "shared_preload_libraries": "pg_stat_statements",
    # a run has many statements in many databases; those that are thrown out would be missing from a test's count
    "pg_stat_statements.max": "50000",
}


class PostgreSQL(base.Server):
    """A PostgreSQL server."""

    name: ClassVar[str] = "postgresql"
    variable: ClassVar[str] = "NOVA_SQLCORE_TEST_POSTGRESQL_URL"
    driver: ClassVar[str] = "postgresql+psycopg"
    home: ClassVar[str] = "postgres"
    account: ClassVar[str] = "postgres"
    packages: ClassVar[tuple[str, ...]] = ("postgresql-18",)

    _version_query: ClassVar[str] = "SHOW server_version"

    def drop_database(self, name: str) -> None:
        """Remove a database and the connections to it."""
        self.command(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def _product(self, answer: str) -> str:
        return f"PostgreSQL {answer.split(maxsplit=1)[0]}"

    def _initialise(self) -> None:
        secret = self.directory / "password"
        secret.write_text(self.password)
        secret.chmod(0o644)  # inside a directory that only the server's account may enter
        account = [f"--username={base.USER}", f"--pwfile={secret}", "--auth=scram-sha-256"]
        settings = ["--no-sync", "--no-instructions", "--locale=C", "--encoding=UTF8"]
        self.run_tool([str(self._require()), f"--pgdata={self.directory}/data", *account, *settings])

    def _server_command(self) -> list[str]:
        command = [str(self._require().with_name("postgres")), "-D", f"{self.directory}/data", "-p", str(self.port)]
        for name, value in ({"unix_socket_directories": str(self.directory)} | SETTINGS | self.options).items():
            command += ["-c", f"{name}={value}"]
        return command

    def _require(self) -> Path:
        return self._unpacked(["initdb"]) or software.require(["initdb"], "postgresql")
