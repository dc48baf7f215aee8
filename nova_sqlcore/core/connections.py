# SPDX-License-Identifier: Apache-2.0

"""One configured database: its engines, and the connections that transactions run on."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import logging
import os
import threading
import time
import weakref
from typing import TYPE_CHECKING, Any, TypeVar

import sqlalchemy as sa

from nova_sqlcore import exceptions
from nova_sqlcore.core import dialects, internals
from nova_sqlcore.core.comments import CommentingCache, comment_on
from nova_sqlcore.core.link import Kept, Link, leave_all_to_parent, watch
from nova_sqlcore.core.options import EngineOptions
from nova_sqlcore.core.replica import Health
from nova_sqlcore.core.statements import Cache
from nova_sqlcore.core.warn import warn_caller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

logger = logging.getLogger(__name__)

T = TypeVar("T")

#: Bytes: MySQL's least default of ``max_allowed_packet``, and what a statement may have besides its values.
_LEAST_PACKET, _BESIDE_VALUES = 1024**2, 16 * 1024

#: Seconds that a replica is asked to wait at a time.
_TURN = 0.25

#: Seconds between attempts to connect when idle connections have just been closed to make room.
_PAUSES = (0.005, 0.02, 0.08, 0.32)

#: For tools that change the schema: that takes as long as it takes.
UNLIMITED = EngineOptions(statement_timeout=0, lock_timeout=None, read_timeout=None)


@dataclasses.dataclass(frozen=True, slots=True)
class PoolState:
    """How many connections one engine of a database has."""

    #: "writer", "reader" or "replica"
    role: str
    in_use: int
    #: open, and free for the next call
    idle: int
    #: that there may be; None: as many as are asked for
    most: int | None


class Connections:
    """How a database is reached: a primary and perhaps a replica; engines are made at the first use."""

    def __init__(self, label: str = "database") -> None:
        """Make a database without an address; ``configure`` gives it one."""
        self.label = label
        self._lock = threading.RLock()
        self._url: sa.URL | None = None
        self._replica_url: sa.URL | None = None
        self._options = EngineOptions()
        #: whether statements shall name their function
        self.comments = False
        self._engines: dict[str, sa.Engine] = {}
        self._caches: dict[str, Cache] = {}
        self._ears = _new_ears()
        #: the traits of the server, once it has been asked
        self.known_dialect: dialects.Dialect | None = None
        self._kept: dict[str, Kept] = {}
        self._replica_health = Health()
        #: one connection for everybody: transactions of different threads take turns
        self.shared_lock: threading.RLock | None = None
        #: the writing transaction that holds that connection
        self.shared_owner: Any = None  # a Transaction, which this module knows nothing of
        _ALL.add(self)

    def __repr__(self) -> str:
        """Show label and address without the password."""
        return f"<{type(self).__name__} {self.label} {shown(self._url) if self._url else 'unconfigured'}>"

    def configure(self, connection: str | sa.URL, replica: str | sa.URL | None = None, **options: Any) -> None:
        """Set the address of the primary, perhaps of a replica, and the options named in ``EngineOptions``.

        Unknown options are warned about and ignored.
        Raises: TypeError after the first use. DBError for a URL that can't be understood or a driver that is missing.
        """
        known = {field.name for field in dataclasses.fields(EngineOptions)}
        for name in sorted(options.keys() - known):
            warn_caller(f"unknown database option {name!r} is ignored", UserWarning)
        with self._lock:
            if self._engines:
                raise TypeError(f"{self!r} is in use; close it before it is configured again")
            self._url = parse_url(connection)
            self._replica_url = None if replica is None else parse_url(replica)
            self._options = EngineOptions(**{name: options[name] for name in options.keys() & known})
            self.comments = self._options.comments
            self.shared_lock = threading.RLock() if dialects.in_memory(self._url) else None

    def close(self) -> None:
        """Close every connection and forget the engines; the database may be configured anew."""
        with self._lock:
            for kept in self._kept.values():
                kept.is_open = False
            self._let_go_of_kept(Link.close)
            self._kept = {}
            engines, self._engines, self._caches, self._ears = self._engines, {}, {}, _new_ears()
            self.shared_owner = None
            self.known_dialect = None
            self._replica_health = Health()
            for engine in engines.values():
                engine.dispose()

    @property
    def url(self) -> sa.URL | None:
        """The address of the primary."""
        return self._url

    @property
    def replica_url(self) -> sa.URL | None:
        """The address of the replica."""
        return self._replica_url

    @property
    def options(self) -> EngineOptions:
        """The options that it was configured with."""
        return self._options

    @property
    def has_replica(self) -> bool:
        """Tell whether a replica is configured."""
        return self._replica_url is not None

    @property
    def family(self) -> dialects.Dialect:
        """The traits that the URL alone tells.

        Raises: CantStartEngineError without a URL.
        """
        return dialects.family(self._address("writer"))

    @property
    def dialect(self) -> dialects.Dialect:
        """The traits of the server; asks it once, for MariaDB tells itself from MySQL only when connected."""
        if self.known_dialect is None:
            engine = self.engine
            with translated(dialects.family(engine.url), engine), engine.connect() as connection:
                self.known_dialect = dialects.of_server(connection)
        return self.known_dialect

    @property
    def engine(self) -> sa.Engine:
        """The engine of the primary: an ordinary one, for tools."""
        return self._engine("writer")

    @property
    def replica_engine(self) -> sa.Engine:
        """The engine of the replica, or of the primary where there is none."""
        return self._engine("replica") if self.has_replica else self.engine

    def pools(self) -> list[PoolState]:
        """Return how many connections there are, for each engine that has been used and has a pool."""
        return [
            _state(role, engine.pool, len(self._kept.get(role, ())))
            for role, engine in list(self._engines.items())
            if isinstance(engine.pool, sa.QueuePool)
        ]

    def link_writer(self) -> Link:
        """Return a connection for a writing transaction; ``take_back`` takes it back."""
        return self._kept_link("writer")

    def link_reader(self, replica: bool = False, not_before: str | None = None) -> Link:
        """Return a connection in autocommit mode; ``take_back`` takes it back.

        The primary stands in for a replica that can't be reached, and for one that lacks what had been committed at the
        position ``not_before`` and doesn't get it within ``replica_wait`` seconds.
        """
        link = self._link_replica(not_before) if replica and self.has_replica and not_before != "" else None
        return link or self._kept_link("reader")

    def _link_replica(self, not_before: str | None) -> Link | None:
        pause = self._options.replica_pause
        if not self._replica_health.may_be_tried(pause):
            return None
        try:
            link = self._link_at(not_before)
        except exceptions.DBPoolExhausted:
            raise
        except exceptions.DBConnectionError as error:
            self._replica_health.failed(pause, self.label, error)
            return None
        self._replica_health.answered(self.label)
        return link

    def _link_at(self, position: str | None) -> Link | None:
        """Return a connection to the replica as soon as that has come to a position; None if that takes too long."""
        for is_last in (False, True):  # an idle connection may be dead although the replica lives
            link = self._kept_link("replica")
            try:
                if position is None or self._comes_to(link, position):
                    return link
            except exceptions.DBConnectionError:
                self.lost(link)
                if is_last:
                    raise
            except BaseException:
                link.discard()
                raise
            else:
                self.take_back(link)
                return None
        raise AssertionError("unreachable")

    def _comes_to(self, link: Link, position: str) -> bool:
        """Wait for the replica; in short turns, so that no limit of time ends the connection."""
        dialect, deadline = link.dialect, time.monotonic() + self._options.replica_wait
        while True:
            left = deadline - time.monotonic()
            turn = min(max(left, 0.001), _TURN)  # MySQL takes 0 for ever
            try:
                reached = link.ask(dialect.has_reached, {"position": position, "seconds": turn})
            except link.errors as error:
                raise dialect.translate(error, link.engine.url) from error
            if reached or reached is None or left <= 0:
                return bool(reached)
            time.sleep(dialect.replica_look)

    def at_hand(self, role: str) -> Link | None:
        """Return an idle connection for a "writer", a "reader" or of the "replica", if one is kept."""
        kept = self._kept.get(role)
        while kept:
            try:
                link = kept.pop()
            except IndexError:  # another thread has come first
                break
            now = link.taken = time.monotonic()
            if link.pool is link.engine.pool and (now < link.fresh_until or self._is_fresh(link, now)):
                internals.heed_log_level(link.connection)
                return link
            link.close()
        return None

    def _kept_link(self, role: str) -> Link:
        return self.at_hand(role) or self._link(self._engine(role), role)

    def _is_fresh(self, link: Link, now: float) -> bool:
        """Tell whether the link is young enough, and leads where its URL does.

        A look costs a bit, and is good for a second; but what is written to a file that has been removed would be lost.
        """
        old = link.since + self._options.pool_recycle
        if now >= old or not link.dialect.is_current(link.raw):
            return False
        if link.role != "writer":
            link.fresh_until = min(now + 1, old)
        return True

    def take_back(self, link: Link) -> None:
        """Take a connection back, and keep it at hand, checked out of its pool.

        Another checkout costs as much as a whole one-row read from sqlite, and the pool closes what comes back above
        its size: 64 threads would connect at every other call.
        """
        if not link.usable or link.pool is not link.engine.pool:
            link.discard()
            return
        if self.shared_lock is None and link.dialect.in_transaction(link.raw):
            link.discard()  # a signal came between the answer to BEGIN and the note that it has begun
            return
        kept = link.home
        if kept is None or not kept.is_open:
            link.close()
            return
        kept.append(link)
        if getattr(link.pool, "waiting", 0):  # looked at when it is kept: whoever begins to wait now finds it there
            self._release(kept)
        if len(kept) > self._options.pool_size:
            self._shrink(kept, time.monotonic() - self._options.pool_idle)

    @staticmethod
    def _shrink(kept: list[Link], limit: float) -> None:
        """Close the connection that was left alone for the longest time if nobody has taken it since ``limit``."""
        with contextlib.suppress(IndexError):
            if kept[0].taken < limit:
                kept.pop(0).discard()  # or another one that came in between: no harm is done

    def lost(self, link: Link) -> None:
        """Throw away a connection that the server has closed, and all others of its age with it."""
        link.discard()
        self.renew(link.engine)

    def renew(self, engine: sa.Engine) -> None:
        """Let go of all idle connections: new ones may lead to another server."""
        if self.shared_lock is None:
            engine.dispose()
        self._let_go_of_kept(Link.discard)

    def outgrown(self, failure: Exception, params: Any) -> Exception:
        """Return the error that fits ``failure`` of a statement: the server breaks the line at values too large for it.

        Cost: nothing unless the values are larger than a server's least limit; then a new connection and a statement.
        """
        if not isinstance(failure, exceptions.DBConnectionError | exceptions.DBDataError):
            return failure
        size = _size(params) if self.family.packet_limit else 0
        if size < _LEAST_PACKET:
            return failure
        limit = self._packet_limit()
        if limit is None or size + _BESIDE_VALUES < limit:
            return failure
        return exceptions.DBDataError(
            f"the values of one statement take about {size} bytes, more than the server's limit of {limit} "
            "(max_allowed_packet)"
        )

    def _packet_limit(self) -> int | None:
        """Ask the server on a new connection, for those of the pool may be as dead; None if it can't be asked."""
        pool = self.engine.pool.recreate()
        try:
            raw = pool.connect()
            try:
                cursor = raw.cursor()
                cursor.execute(self.family.packet_limit)
                return int(cursor.fetchone()[0])  # type: ignore[index]  # there is a row
            finally:
                raw.close()
        except Exception:
            logger.debug("the server's limit of a statement is unknown", exc_info=True)
            return None
        finally:
            pool.dispose()

    def _let_go_of_kept(self, end: Callable[[Link], None]) -> None:
        for links in list(self._kept.values()):
            while (link := _popped(links)) is not None:
                end(link)

    def _link(self, engine: sa.Engine, role: str) -> Link:
        return self._giving_way(engine, lambda: self._new_link(engine, role))

    def _giving_way(self, engine: sa.Engine, connect: Callable[[], T]) -> T:
        """Connect; where there are too many connections already, those that lie idle here give way.

        A server needs a moment to notice that they are gone.
        """
        for pause in _PAUSES:
            try:
                return connect()
            except exceptions.DBConnectionError as error:
                refused = error.inner_exception
                is_crowded = isinstance(refused, Exception) and dialects.family(engine.url).is_crowded(refused)
                if not is_crowded or not (self._give_up_idle() or pause > _PAUSES[0]):
                    raise
            time.sleep(pause)
        return connect()

    def _give_up_idle(self) -> bool:
        """Close the idle connections of every role; return whether there were any."""
        found = any(self._kept.values())
        self._let_go_of_kept(Link.discard)
        for engine in list(self._engines.values()):
            if isinstance(engine.pool, sa.QueuePool) and engine.pool.checkedin():
                engine.dispose()
                found = True
        return found

    def _new_link(self, engine: sa.Engine, role: str) -> Link:
        family, is_shared = dialects.family(engine.url), self.shared_lock is not None
        kept = self._kept.get(role)
        with translated(family, engine):
            link = Link(engine, role, self._caches[role], self._ears_of(role), family, is_shared)
            if self.known_dialect is None:
                self.known_dialect = dialects.of_server(link.connection)
        link.dialect = self.known_dialect
        link.home = None if self._options.pool_pre_ping else kept
        link.carrier = family.carrier(link.raw, self._options)
        link.cursor = family.cursor(link.raw, self._options)
        return link

    def _engine(self, role: str) -> sa.Engine:
        engine = self._engines.get(role)
        return engine if engine is not None else self._start(role)

    def _start(self, role: str) -> sa.Engine:
        with self._lock:
            if role in self._engines:
                return self._engines[role]
            url = self._address(role)
            kept = self._kept.setdefault(role, Kept())
            if self.shared_lock is not None and self._engines:
                engine = next(iter(self._engines.values()))
            else:
                writes = role == "writer" or self.shared_lock is not None
                engine = _make_engine(url, "writer" if writes else "reader", self._options)
                if self.shared_lock is None:
                    watch(engine, dialects.family(url))
                self._give_way(engine, kept)
                self._ears_of(role).add(engine)
                if role != "replica":  # the primary stands in for that
                    self._giving_way(engine, lambda: _wait_for_server(engine, self._options))
            self._caches[role] = CommentingCache(engine.dialect) if self.comments else Cache(engine.dialect)
            self._engines[role] = engine
            return engine

    def _give_way(self, engine: sa.Engine, kept: Kept) -> None:
        """Let the kept connections go when somebody would have to wait for a place in the engine's pool."""
        pool = engine.pool
        if isinstance(pool, internals.CountingPool):
            pool.let_go_of_kept = functools.partial(self._release, kept)

    @staticmethod
    def _release(kept: list[Link]) -> None:
        """Give kept connections back to their pool."""
        while (link := _popped(kept)) is not None:
            link.close()

    def _ears_of(self, role: str) -> internals.Ears:
        """Return who listens to the engines of one server; the primary has two engines, to read and to write."""
        return self._ears["replica" if role == "replica" else "primary"]

    def _address(self, role: str) -> sa.URL:
        url = self._replica_url if role == "replica" else self._url
        if url is None:
            raise exceptions.CantStartEngineError(
                f"the {self.label} has no connection URL: call tx.configure('sqlite:///nova.sqlite') or the like first"
            )
        return url


def _state(role: str, pool: sa.QueuePool, kept: int) -> PoolState:
    """Return the state of a pool; what is kept at hand is checked out of it, but idle."""
    most = None if pool._max_overflow < 0 else pool.size() + pool._max_overflow
    return PoolState(role, max(0, pool.checkedout() - kept), pool.checkedin() + kept, most)


def all_databases() -> list[Connections]:
    """Return every database of this process that has an address."""
    return [database for database in list(_ALL) if database.url is not None]


def _new_ears() -> dict[str, internals.Ears]:
    return {server: internals.Ears() for server in ("primary", "replica")}


def _size(value: Any, depth: int = 4) -> int:
    """Return how many bytes the texts among some parameters take in a statement, escapes included.

    Parameters are rows of values or of lists of values; no column holds what is deeper.
    """
    if not depth:
        return 0
    if isinstance(value, str):
        return len(value.encode(errors="replace")) + sum(map(value.count, "\\'\"\n\r\0\x1a"))
    if isinstance(value, bytes):
        return len(value)
    if isinstance(value, dict):
        value = list(value.values())
    return sum(_size(item, depth - 1) for item in value) if isinstance(value, list | tuple) else 0


def _popped(links: list[Link]) -> Link | None:
    """Take the last of the links, or None; between a look and a ``pop`` another thread may have taken it."""
    try:
        return links.pop()
    except IndexError:
        return None


def shown(url: sa.URL) -> str:
    """Return the URL for people to read, without any password: some drivers take more of them among the arguments."""
    secrets = {name: "***" for name in url.query if "pass" in name.lower() or "secret" in name.lower()}
    return url.update_query_dict(secrets).render_as_string()


def parse_url(connection: str | sa.URL) -> sa.URL:
    """Return the URL, with a driver that is installed.

    Raises: DBError naming what is wrong and the remedy.
    """
    url: sa.URL | None = None
    # the second for a port that is not a number, the third for what can't be spelled in the message of the first
    with contextlib.suppress(sa.exc.ArgumentError, ValueError, RecursionError):
        url = sa.make_url(connection)
    if url is None:  # raised here, where no other error, which may show the password, is its context
        raise exceptions.DBError("not a database URL; it looks like mysql+pymysql://user:password@host/nova")
    url = _without_password_argument(url)
    family = dialects.family(url)
    if "+" not in url.drivername:
        url = url.set(drivername=f"{family.name}+{next(iter(family.drivers))}")
    try:
        url.get_dialect().import_dbapi()
    except ImportError as error:
        extra = family.drivers[url.drivername.partition("+")[2]]
        raise exceptions.DBError(
            f"the driver for {url.drivername}:// is not installed: pip install 'nova-sqlcore[{extra}]'"
        ) from error
    return family.spelled(url)


def _without_password_argument(url: sa.URL) -> sa.URL:
    """Return the URL with a password that stands among its arguments in the place where SQLAlchemy hides it."""
    for name in ("password", "passwd"):
        value = url.query.get(name)
        if isinstance(value, str):
            url = url.difference_update_query([name]).set(password=value)
    return url


def _make_engine(url: sa.URL, role: dialects.Role, options: EngineOptions) -> sa.Engine:
    family = dialects.family(url)
    arguments: dict[str, Any] = {
        "poolclass": internals.CountingPool,
        "pool_size": options.pool_size,
        "max_overflow": options.max_overflow,
        "pool_timeout": options.pool_timeout,
        "pool_recycle": options.pool_recycle,
        "pool_pre_ping": options.pool_pre_ping,
        "pool_use_lifo": True,
    }
    extra = family.engine_args(url, role, options)
    if role == "reader":  # said to SQLAlchemy too, which else puts a connection back into another mode after a caller's
        extra["isolation_level"] = "AUTOCOMMIT"
    if "poolclass" in extra:
        arguments = {}
    engine = sa.create_engine(
        url,
        connect_args=family.connect_args(url, role, options),
        pool_reset_on_return=None,
        skip_autocommit_rollback=role == "reader",
        query_cache_size=200,
        echo=options.echo,
        **arguments,
        **extra,
    )
    if options.comments:
        comment_on(engine)
    if family.statement_compiler is not None:
        engine.dialect.statement_compiler = family.statement_compiler

    def prepare(raw: Any, record: sa.pool.ConnectionPoolEntry) -> None:
        family.prepare_connection(raw, url, role, options)
        record.info.update(family.facts(raw))

    # first of all: what SQLAlchemy asks a server at the first connect, quotes among it, depends on it
    sa.event.listen(engine, "connect", prepare, insert=True)
    family.prepare_engine(engine, options)
    if family.begin_writer and role == "writer":
        _begin_explicitly(engine)
    return engine


def tool_engine(url: sa.URL) -> sa.Engine:
    """Return an ordinary engine without a pool, whose sessions are like the library's but have no limits of time."""
    family = dialects.family(url)
    arguments = family.connect_args(url, "writer", UNLIMITED)
    engine = sa.create_engine(url, poolclass=sa.NullPool, connect_args=arguments)
    prepare = functools.partial(family.prepare_connection, url=url, role="writer", options=UNLIMITED)
    sa.event.listen(engine, "connect", lambda raw, record: prepare(raw), insert=True)
    return engine


def _begin_explicitly(engine: sa.Engine) -> None:
    """Let the plain engine begin as other engines do, though its driver runs in autocommit mode.

    The methods of the dialect are replaced since an engine event would take every statement off the driver's road. The
    one connection of a database in memory is shared by everybody: there a caller of the plain engine must not end a
    transaction of the library.
    """
    dialect: Any = engine.dialect
    if dialects.in_memory(engine.url):
        dialect.do_begin = dialect.do_commit = dialect.do_rollback = lambda raw: None
    else:
        dialect.do_begin = _begin_if_due


def _begin_if_due(raw: Any) -> None:
    """Begin a transaction on an sqlite connection, unless the library has, or the connection is in autocommit mode."""
    if raw.isolation_level is not None and not raw.in_transaction:
        raw.execute("BEGIN")


def _wait_for_server(engine: sa.Engine, options: EngineOptions) -> None:
    """Connect once; try again as often as ``max_retries`` says."""
    attempt = 0
    while True:
        try:
            with translated(dialects.family(engine.url), engine):
                engine.connect().close()
        except exceptions.DBConnectionError as error:
            if options.max_retries != -1 and attempt >= options.max_retries:
                engine.dispose()
                raise
            attempt += 1
            logger.warning(
                "database not reached (attempt %d), next try in %s s: %s", attempt, options.retry_interval, error
            )
            time.sleep(options.retry_interval)
        else:
            return


@contextlib.contextmanager
def translated(dialect: dialects.Dialect, engine: sa.Engine | None = None) -> Iterator[None]:
    """Raise the library's errors in place of SQLAlchemy's and the driver's; ``engine`` is what is connected to."""
    try:
        yield
    except sa.exc.DBAPIError as error:
        raise dialect.translate(error.orig or error, engine.url if engine else None) from error
    except TypeError as error:
        if "keyword argument" not in str(error):
            raise
        raise exceptions.DBError(f"the URL has an argument that its driver does not know: {error}") from error
    except OSError as error:
        if isinstance(error, TimeoutError):  # of a signal handler; a driver has a class of its own
            raise
        # a file of TLS, which the driver reads by itself
        raise dialect.translate(error, engine.url if engine else None) from error
    except sa.exc.TimeoutError as error:
        raise _exhausted(engine, error) from error


def _exhausted(engine: sa.Engine | None, error: sa.exc.TimeoutError) -> exceptions.DBConnectionError:
    pool = engine.pool if engine else None
    if not isinstance(pool, sa.QueuePool):
        return exceptions.DBConnectionError(error)
    return exceptions.DBPoolExhausted(pool.size(), pool._max_overflow, pool.timeout(), pool.checkedout())


_ALL: weakref.WeakSet[Connections] = weakref.WeakSet()


def _forget_connections() -> None:
    """Leave the parent's connections alone in a forked child, and the locks that its other threads may hold."""
    leave_all_to_parent()
    for database in list(_ALL):
        database._lock = threading.RLock()
        if database.shared_lock is not None:
            database.shared_lock = threading.RLock()
        database.shared_owner = None
        for kept in database._kept.values():
            kept.clear()
        database._replica_health = Health()
        for engine in database._engines.values():
            engine.dispose(close=False)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_connections)
