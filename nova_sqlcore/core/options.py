# SPDX-License-Identifier: Apache-2.0

"""The options of a database."""

from __future__ import annotations

import dataclasses
import os
from typing import Final

from nova_sqlcore import exceptions

#: The tests set it to "off" to send every statement by itself.
BATCH: Final = os.environ.get("NOVA_SQLCORE_BATCH") != "off"

#: Options that may not be negative.
_DURATIONS = (
    "pool_timeout",
    "pool_idle",
    "connect_timeout",
    "read_timeout",
    "statement_timeout",
    "lock_timeout",
    "busy_timeout",
    "retry_deadline",
    "retry_interval",
    "keepalives_idle",
    "tcp_user_timeout",
    "replica_wait",
    "replica_pause",
)


@dataclasses.dataclass(frozen=True, slots=True)
class EngineOptions:
    """The knobs of a database; every one can be given to ``configure``. All durations are seconds.

    Raises: DBError naming the option whose value makes no sense.
    """

    #: connections of each role, to read and to write, that stay open, and how many more may be opened under load;
    #: these are closed when nobody has used them for ``pool_idle`` seconds
    pool_size: int = 20
    max_overflow: int = 50
    pool_idle: float = 60
    #: how long to wait for a free connection
    pool_timeout: float = 30
    #: age at which a connection is replaced by a new one
    pool_recycle: int = 3600
    #: ask the server at every checkout whether the connection lives: one round trip more
    pool_pre_ping: bool = False
    #: attempts to reach the server at the first use (-1: for ever), and the time between them
    max_retries: int = 0
    retry_interval: float = 1
    #: how long a call that meets conflicts goes on trying, from its beginning; 0: one attempt
    retry_deadline: float = 5
    #: how many attempts such a call has at most, if it is not to be a matter of time alone
    attempts: int | None = None
    #: how long making a connection may take, the login included
    connect_timeout: float = 10
    #: how long the client waits for an answer before it takes the connection for lost; None: for ever
    read_timeout: float | None = 360
    #: how long one statement may run; 0: for ever; None: 300 on servers, for ever on sqlite, where a limit costs a few
    #: microseconds per statement. MySQL limits SELECT alone, MariaDB and the others every statement
    statement_timeout: float | None = None
    #: how long a call waits for locks that others hold; None leaves the server's own limit. The MySQL family counts
    #: whole seconds
    lock_timeout: float | None = 30
    #: sqlite: overrides ``lock_timeout`` there
    busy_timeout: float | None = None
    #: PostgreSQL: silence after which TCP asks whether the other side lives (three times, ten seconds apart), and the
    #: time that sent data may stay unacknowledged; None leaves the system's own
    keepalives_idle: float | None = 30
    tcp_user_timeout: float | None = 60
    #: sql_mode of MySQL sessions; empty leaves the server's own
    sql_mode: str = "TRADITIONAL"
    #: Galera: wait until this node has applied what others committed (bit mask); None leaves the server's own
    wsrep_sync_wait: int | None = None
    #: sqlite: False trades durability for speed
    sqlite_synchronous: bool = True
    #: psycopg: executions after which a statement is prepared on the server; None: never
    prepare_threshold: int | None = 2
    #: PostgreSQL: what a pooler between lends its clients, a server connection for a whole "session" or for one
    #: "transaction" at a time; empty takes any pooler that is noticed for one of transactions
    pooler: str = ""
    #: PyMySQL: read results by the library's own reader, which takes half the time; psycopg: run what is prepared by
    #: the library's own cursor, which takes fewer steps
    fast_reader: bool = True
    #: how long a reader waits for a replica to come to its position, and how long a replica that can't be reached is
    #: left alone; the primary is read then
    replica_wait: float = 1
    replica_pause: float = 10
    #: PyMySQL and psycopg: let statements whose result nobody needs yet, and COMMIT, travel with the next one
    batch: bool = BATCH
    #: log every statement
    echo: bool = False
    #: name the public function in a comment in each statement, as sqlcommenter does, for those who watch the server
    comments: bool = False

    def __post_init__(self) -> None:
        """Refuse what makes no sense."""
        for name in _DURATIONS:
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int | float) or not 0 <= value < 1e8):
                raise exceptions.DBError(f"the option {name} is a number of seconds, not {value!r}")
        if self.connect_timeout <= 0:
            raise exceptions.DBError("the option connect_timeout must be greater than 0")
        if self.pooler not in ("", "session", "transaction"):
            raise exceptions.DBError(f"the option pooler is 'session', 'transaction' or empty, not {self.pooler!r}")
        if self.attempts is not None and self.attempts < 1:
            raise exceptions.DBError(f"the option attempts is at least 1, or None, not {self.attempts!r}")
