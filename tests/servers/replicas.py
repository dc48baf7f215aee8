# SPDX-License-Identifier: Apache-2.0

"""A primary with a replica that follows it: MariaDB and MySQL by GTID, PostgreSQL by streaming."""

from __future__ import annotations

import abc
import time
from typing import TYPE_CHECKING, ClassVar, Final

from tests.servers import base
from tests.servers.mysql import Family, MariaDB, MySQL
from tests.servers.postgresql import PostgreSQL

if TYPE_CHECKING:
    import sqlalchemy as sa

#: Seconds until the replica must have what the primary has.
PATIENCE: Final = 30


class Pair(base.Running):
    """A primary and its replica, from ``start`` to ``stop``; the replica takes no writes."""

    name: ClassVar[str]

    primary: base.Server
    replica: base.Server

    def start(self) -> None:
        """Start both and let the one follow the other.

        Raises: ServerError(text). MissingServer(text).
        """
        try:
            self._start()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop both and remove their data."""
        self.replica.stop()
        self.primary.stop()

    def create_database(self, name: str) -> tuple[sa.URL, sa.URL]:
        """Make an empty database and return its addresses on both, when the replica has it."""
        url = self.primary.create_database(name)
        deadline = time.monotonic() + PATIENCE
        while not self._has_database(name):
            if time.monotonic() > deadline:
                raise base.ServerError(f"the replica does not follow; its log ends with\n{self.replica.log()}")
            time.sleep(0.02)
        return url, self.replica.url(name)

    @abc.abstractmethod
    def _start(self) -> None: ...

    @abc.abstractmethod
    def hold(self) -> None:
        """Let the replica lag behind from now on."""

    @abc.abstractmethod
    def go_on(self) -> None:
        """Let the replica follow again."""

    @abc.abstractmethod
    def _has_database(self, name: str) -> bool: ...


class _MySQLPair(Pair):
    #: the command that makes a server follow another one
    _follow: ClassVar[str]
    _noun: ClassVar[str]

    def __init__(self, product: type[Family], **options: str) -> None:
        self.primary = product(None, server_id="1", log_bin="binlog", binlog_format="ROW", **options)
        self.replica = product(None, server_id="2", read_only="ON", **options)

    def _start(self) -> None:
        self.replica.password = self.primary.password  # accounts are replicated too
        self.primary.start()
        self.replica.start()
        self.replica.command(
            self._follow.format(host=base.HOST, port=self.primary.port, user=base.USER, password=self.primary.password)
        )
        self.replica.command(f"START {self._noun}")

    def hold(self) -> None:
        self.replica.command(f"STOP {self._noun} SQL_THREAD")

    def go_on(self) -> None:
        self.replica.command(f"START {self._noun} SQL_THREAD")

    def _has_database(self, name: str) -> bool:
        return bool(self.replica.answer(f"SHOW DATABASES LIKE '{name}'"))


class MariaDBPair(_MySQLPair):
    """MariaDB."""

    name = "mariadb"
    _noun = "SLAVE"
    _follow = (
        "CHANGE MASTER TO MASTER_HOST = '{host}', MASTER_PORT = {port}, MASTER_USER = '{user}', "
        "MASTER_PASSWORD = '{password}', MASTER_CONNECT_RETRY = 1, MASTER_USE_GTID = slave_pos"
    )

    def __init__(self) -> None:
        super().__init__(MariaDB)


class MySQLPair(_MySQLPair):
    """MySQL."""

    name = "mysql"
    _noun = "REPLICA"
    _follow = (
        "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '{host}', SOURCE_PORT = {port}, SOURCE_USER = '{user}', "
        "SOURCE_PASSWORD = '{password}', SOURCE_CONNECT_RETRY = 1, SOURCE_AUTO_POSITION = 1, GET_SOURCE_PUBLIC_KEY = 1"
    )

    def __init__(self) -> None:
        super().__init__(MySQL, gtid_mode="ON", enforce_gtid_consistency="ON")


class _Standby(PostgreSQL):
    """A copy of a running primary that goes on with what the primary sends."""

    def __init__(self, primary: PostgreSQL) -> None:
        # a reader that is in the way of what is to be replayed is broken off soon
        super().__init__(None, **primary.options, max_standby_streaming_delay="100ms")
        self._primary = primary

    def _initialise(self) -> None:
        secret = self.directory / "pgpass"
        secret.write_text(f"*:*:*:*:{self._primary.password}\n")
        secret.chmod(0o600)
        base.own(self.directory, self._user)
        source = f"host={base.HOST} port={self._primary.port} user={base.USER} passfile={secret}"
        tool = self._require().with_name("pg_basebackup")
        to = [f"--pgdata={self.directory}/data", "--write-recovery-conf", "--checkpoint=fast", "--no-sync"]
        self.run_tool([str(tool), f"--dbname={source}", *to])
        self.password = self._primary.password


class PostgreSQLPair(Pair):
    """PostgreSQL."""

    name = "postgresql"

    def __init__(self) -> None:
        primary = PostgreSQL(None, wal_level="replica", max_wal_senders="4", wal_keep_size="64MB")
        self.primary, self.replica = primary, _Standby(primary)

    def _start(self) -> None:
        self.primary.start()
        self.replica.start()

    def hold(self) -> None:
        """Receive, and replay nothing."""
        self.replica.command("SELECT pg_wal_replay_pause()")

    def go_on(self) -> None:
        """Replay."""
        self.replica.command("SELECT pg_wal_replay_resume()")

    def _has_database(self, name: str) -> bool:
        return bool(self.replica.answer(f"SELECT count(*) FROM pg_database WHERE datname = '{name}'"))


PAIRS: Final[dict[str, type[Pair]]] = {pair.name: pair for pair in (MariaDBPair, MySQLPair, PostgreSQLPair)}
