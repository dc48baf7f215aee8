# SPDX-License-Identifier: Apache-2.0

"""The MySQL family: MariaDB and MySQL."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import sqlalchemy as sa

from tests.servers import base, software, unpacked

#: MySQL's and MariaDB's number of an error.
_NO_SUCH_THREAD = 1094

#: What performance_schema would keep room for.
_NOT_WATCHED = (
    *("max_mutex_instances", "max_rwlock_instances", "max_cond_instances", "max_file_instances"),
    *("max_socket_instances", "max_table_instances", "max_table_handles", "max_index_stat", "max_table_lock_stat"),
    *("max_metadata_locks", "max_memory_classes", "max_stage_classes", "max_program_instances"),
    *("max_prepared_statements_instances", "session_connect_attrs_size", "setup_objects_size"),
    *("users_size", "hosts_size", "accounts_size", "events_waits_history_size", "events_waits_history_long_size"),
    *("events_stages_history_size", "events_stages_history_long_size", "events_statements_history_size"),
    *("events_statements_history_long_size", "events_transactions_history_size"),
    "events_transactions_history_long_size",
)

#: As small and fast as a server can be whose data nobody keeps; charset and collation are those of the reference's
#: databases.
SETTINGS = {
    "bind_address": base.HOST,
    "skip_name_resolve": "ON",
    "character_set_server": "utf8mb3",
    "collation_server": "utf8mb3_general_ci",
    "max_connections": "300",
    "innodb_buffer_pool_size": "128M",
    "innodb_flush_log_at_trx_commit": "0",
    "innodb_doublewrite": "OFF",
    "innodb_use_native_aio": "OFF",
    "sync_binlog": "0",
    # for digests of statements alone: 30 to 60 MB, where all of it takes 90 to 190, and no slower start
    "performance_schema": "ON",
    "performance_schema_digests_size": "2000",
    "performance_schema_max_thread_instances": "310",
    **{f"performance_schema_{name}": "0" for name in _NOT_WATCHED},
}


class Family(base.Server):
    """What MariaDB and MySQL have in common."""

    driver: ClassVar[str] = "mysql+pymysql"
    home: ClassVar[str] = ""
    account: ClassVar[str] = "mysql"
    #: else PyMySQL reads all certificates of the system for each connection, which takes 30 ms
    fast_connect: ClassVar[Mapping[str, Any]] = {"ssl_disabled": True}
    #: settings of one product
    own_settings: ClassVar[Mapping[str, str]]

    _version_query: ClassVar[str] = "SELECT VERSION()"
    _kill: ClassVar[str]

    def drop_database(self, name: str) -> None:
        """Remove a database, and first the connections that would hold it."""
        with self._engine.connect() as connection:
            users = "SELECT id FROM information_schema.processlist WHERE db = %s"
            for (thread,) in connection.exec_driver_sql(users, (name,)).fetchall():
                self._end(connection, thread)
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}")

    def _end(self, connection: sa.Connection, thread: int) -> None:
        try:
            connection.exec_driver_sql(f"{self._kill} {thread}")
        except sa.exc.DBAPIError as error:
            if error.orig is None or error.orig.args[0] != _NO_SUCH_THREAD:  # it may have ended by itself since
                raise

    def _product(self, answer: str) -> str:
        number, _, rest = answer.partition("-")
        return f"{'MariaDB' if 'MariaDB' in rest else 'MySQL'} {number}"

    def _write_accounts(self) -> None:
        """Write what the server runs at its start: the account that the tests log in with."""
        (self.directory / "init.sql").write_text(
            f"CREATE USER IF NOT EXISTS {base.USER}@'%' IDENTIFIED BY '{self.password}';\n"
            f"GRANT ALL PRIVILEGES ON *.* TO {base.USER}@'%' WITH GRANT OPTION;\n"
        )
        (self.directory / "init.sql").chmod(0o644)  # inside a directory that only the server's account may enter

    def _server_command(self) -> list[str]:
        return [
            str(self._require()),
            "--no-defaults",
            f"--datadir={self.directory}/data",
            f"--tmpdir={self.directory}",
            f"--socket={self.directory}/s",
            f"--pid-file={self.directory}/pid",
            f"--init-file={self.directory}/init.sql",
            f"--port={self.port}",
            *self._settings(),
        ]

    def _settings(self) -> list[str]:
        return [f"--{name}={value}" for name, value in (SETTINGS | dict(self.own_settings) | self.options).items()]


class MariaDB(Family):
    """A MariaDB server."""

    name: ClassVar[str] = "mariadb"
    variable: ClassVar[str] = "NOVA_SQLCORE_TEST_MARIADB_URL"
    packages: ClassVar[tuple[str, ...]] = ("mariadb-server-core",)
    own_settings: ClassVar[Mapping[str, str]] = {"innodb_log_file_size": "64M"}

    _kill: ClassVar[str] = "KILL HARD CONNECTION"

    def _initialise(self) -> None:
        self._write_accounts()
        tool = self._program("mariadb-install-db", "mysql_install_db")
        data = f"--datadir={self.directory}/data"
        self.run_tool([str(tool), "--no-defaults", data, "--skip-test-db", *self._settings()])

    def _require(self) -> Path:
        return self._program("mariadbd", "mysqld")

    def _program(self, *names: str) -> Path:
        return self._unpacked(names) or software.require(names, "mariadb-server", _is_mariadb)


class MySQL(Family):
    """A MySQL server: Debian's stable releases have none, so that it is unpacked there and on Ubuntu."""

    name: ClassVar[str] = "mysql"
    variable: ClassVar[str] = "NOVA_SQLCORE_TEST_MYSQL_URL"
    packages: ClassVar[tuple[str, ...]] = ("mysql-server-core",)
    own_settings: ClassVar[Mapping[str, str]] = {
        "disable_log_bin": "ON",
        "innodb_redo_log_capacity": "64M",
        "mysqlx": "OFF",
    }

    _kill: ClassVar[str] = "KILL CONNECTION"

    def _initialise(self) -> None:
        self._write_accounts()
        data = f"--datadir={self.directory}/data"
        self.run_tool([str(self._require()), "--no-defaults", data, "--initialize-insecure", *self._settings()])

    def _require(self) -> Path:
        return self._unpacked(["mysqld"]) or software.find(["mysqld"], _is_mysql) or _unpacked_mysql()


def _unpacked_mysql() -> Path:
    # its package and MariaDB's exclude each other, hence not even Ubuntu's is installed
    match unpacked.distribution():
        case "debian":
            return unpacked.programs(MySQL.packages, "unstable") / "mysqld"
        case "ubuntu":
            return unpacked.programs(["default-mysql-server-core"]) / "mysqld"
    raise software.MissingServer(
        f"The tests need a MySQL server of their own, and there is no mysqld of MySQL's. Install MySQL 8 or later, "
        f"or name a server in {MySQL.variable}, or leave it out: --backends ..."
    )


def _is_mariadb(program: Path) -> bool:
    return "install" in program.name or "mariadb" in _about(program)  # MySQL has no such script any more


def _is_mysql(program: Path) -> bool:
    return "mariadb" not in _about(program)


def _about(program: Path) -> str:
    command = [str(program), "--no-defaults", "--version"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.lower()
