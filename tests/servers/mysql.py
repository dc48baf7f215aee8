"""The MySQL family: MariaDB, or MySQL where only that is installed."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

from tests.servers import base, software

#: As small and fast as a server can be whose data nobody keeps; charset and collation are those of the reference's
#: databases.
SETTINGS = {
    "bind_address": base.HOST,
    "skip_name_resolve": "ON",
    "character_set_server": "utf8mb3",
    "collation_server": "utf8mb3_general_ci",
    "max_connections": "300",
    "performance_schema": "OFF",
    "innodb_buffer_pool_size": "128M",
    "loose_innodb_log_file_size": "64M",
    "innodb_flush_log_at_trx_commit": "0",
    "innodb_doublewrite": "OFF",
    "innodb_use_native_aio": "OFF",
    "sync_binlog": "0",
    "loose_mysqlx": "OFF",
}


class MySQL(base.Server):
    """A MariaDB or MySQL server."""

    name: ClassVar[str] = "mysql"
    variable: ClassVar[str] = "NOVA_SQLCORE_TEST_MYSQL_URL"
    driver: ClassVar[str] = "mysql+pymysql"
    home: ClassVar[str] = ""
    account: ClassVar[str] = "mysql"
    #: else PyMySQL reads all certificates of the system for each connection, which takes 30 ms
    fast_connect: ClassVar[Mapping[str, Any]] = {"ssl_disabled": True}

    _version_query: ClassVar[str] = "SELECT VERSION()"

    def drop_database(self, name: str) -> None:
        """Remove a database, and first the connections that would hold it."""
        with self._engine.connect() as connection:
            users = "SELECT id FROM information_schema.processlist WHERE db = %s"
            for (thread,) in connection.exec_driver_sql(users, (name,)).fetchall():
                connection.exec_driver_sql(f"KILL {'HARD ' if self._is_mariadb else ''}CONNECTION {thread}")
            connection.exec_driver_sql(f"DROP DATABASE IF EXISTS {name}")

    @property
    def _is_mariadb(self) -> bool:
        return self.version.startswith("MariaDB")

    def _product(self, answer: str) -> str:
        number, _, rest = answer.partition("-")
        return f"{'MariaDB' if 'MariaDB' in rest else 'MySQL'} {number}"

    def _initialise(self) -> None:
        (self.directory / "init.sql").write_text(
            f"CREATE USER IF NOT EXISTS {base.USER}@'%' IDENTIFIED BY '{self.password}';\n"
            f"GRANT ALL PRIVILEGES ON *.* TO {base.USER}@'%' WITH GRANT OPTION;\n"
        )
        (self.directory / "init.sql").chmod(0o644)  # inside a directory that only the server's account may enter
        data = f"--datadir={self.directory}/data"
        if "mariadb" in _about(self._require()).lower():
            tool = software.require(["mariadb-install-db", "mysql_install_db"], "mariadb-server")
            self.run_tool([str(tool), "--no-defaults", data, "--skip-test-db", *self._settings()])
        else:
            self.run_tool([str(self._require()), "--no-defaults", data, "--initialize-insecure", *self._settings()])

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
        return [f"--{name}={value}" for name, value in (SETTINGS | self.options).items()]

    def _require(self) -> Path:
        return software.require(["mariadbd", "mysqld"], "mariadb-server")


def _about(program: Path) -> str:
    return subprocess.run([program, "--no-defaults", "--version"], capture_output=True, text=True, check=True).stdout
