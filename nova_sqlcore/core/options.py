"""The options of a database."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True)
class EngineOptions:
    """The knobs of a database; every one can be given to ``configure``."""

    #: connections that stay open, and how many more may be opened under load
    pool_size: int = 5
    max_overflow: int = 50
    #: seconds to wait for a free connection
    pool_timeout: float = 30
    #: seconds after which a connection is replaced by a new one
    pool_recycle: int = 3600
    #: ask the server at every checkout whether the connection lives: one round trip more
    pool_pre_ping: bool = False
    #: attempts to reach the server at the first use (-1: for ever), and seconds between them
    max_retries: int = 0
    retry_interval: float = 1
    #: sql_mode of MySQL sessions; empty leaves the server's own
    sql_mode: str = "TRADITIONAL"
    #: Galera: wait until this node has applied what others committed (bit mask); None leaves the server's own
    wsrep_sync_wait: int | None = None
    #: sqlite: seconds to wait for another writer
    busy_timeout: float = 30
    #: sqlite: False trades durability for speed
    sqlite_synchronous: bool = True
    #: psycopg: executions after which a statement is prepared on the server; None behind a PgBouncer before 1.22
    prepare_threshold: int | None = 2
    #: log every statement
    echo: bool = False
