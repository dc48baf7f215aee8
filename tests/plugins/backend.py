# SPDX-License-Identifier: Apache-2.0

"""The databases that tests run on: one per back-end and worker, empty at the start of every test.

A test that names ``backend`` runs once on each back-end of ``--backends``.
``@pytest.mark.only_on("sqlite", why="...")`` leaves the others out where a test says nothing about them; ``mysql``
is the whole family there, ``mariadb`` one of it. With ``driver="pymysql"`` the family is left out with other drivers.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import itertools
import os
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import pytest
import sqlalchemy as sa

from nova_sqlcore import tables, tx
from tests import servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_numbers = itertools.count(1)

#: The dialect of each back-end.
FAMILIES = {"sqlite": "sqlite", "mariadb": "mysql", "mysql": "mysql", "postgresql": "postgresql"}


@dataclasses.dataclass
class Backend:
    """A database of one back-end; ``tx.main`` is configured with it."""

    name: str
    url: sa.URL
    #: where sqlite keeps its files
    directory: Path

    @property
    def family(self) -> str:
        """Return the dialect: sqlite, mysql (MariaDB too) or postgresql."""
        return FAMILIES[self.name]

    @property
    def batches(self) -> bool:
        """Whether statements travel together."""
        return self.url.get_driver_name() in ("pymysql", "psycopg")

    def analyze(self, table: str) -> None:
        """Let the server count the rows, as it does by itself some time after many have come."""
        words = "ANALYZE TABLE" if self.family == "mysql" else "ANALYZE"
        engine = sa.create_engine(self.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            connection.exec_driver_sql(f"{words} {table}")

    @contextlib.contextmanager
    def new_database(self) -> Iterator[sa.URL]:
        """Make an empty database, without any table, and remove it in the end."""
        name = f"nova_{secrets.token_hex(4)}_{next(_numbers)}"
        if self.name == "sqlite":
            yield sa.make_url(f"sqlite:///{self.directory}/{name}.sqlite")
            return
        server = servers.PRODUCTS[self.name].from_environment()
        url = server.create_database(name)
        try:
            yield cheap(url)
        finally:
            server.drop_database(name)


def _driver_of(name: str) -> str:
    """Return the name of the driver that leads to this server."""
    product = servers.PRODUCTS[name]
    return sa.make_url(os.environ.get(product.variable) or f"{product.driver}://").get_driver_name()


def cheap(url: sa.URL) -> sa.URL:
    """Let PyMySQL leave TLS alone on the loopback interface: it reads all certificates at each connect, 30 ms."""
    is_local = url.drivername == "mysql+pymysql" and url.host == "127.0.0.1"
    return url.update_query_dict({"ssl_disabled": "1"}) if is_local else url


class _Databases:
    """The databases of this worker, made when the first test asks."""

    def __init__(self) -> None:
        self._open = contextlib.ExitStack()
        self._backends: dict[str, Backend] = {}
        self._cleaners: dict[str, Cleaner] = {}

    @functools.cached_property
    def directory(self) -> Path:
        return Path(self._open.enter_context(tempfile.TemporaryDirectory(prefix="nova-tests-")))

    def get(self, name: str) -> Backend:
        if name not in self._backends:
            nowhere = Backend(name, sa.make_url("sqlite://"), self.directory)
            url = self._open.enter_context(nowhere.new_database())
            engine = sa.create_engine(url, poolclass=sa.NullPool)
            tables.metadata.create_all(engine)
            self._backends[name] = Backend(name, url, self.directory)
            self._cleaners[name] = Cleaner(url)
        return self._backends[name]

    def clean(self, name: str) -> None:
        self._cleaners[name].clean()

    def close(self) -> None:
        self._open.close()


class Cleaner:
    """Empties the tables that a test has filled: one look at all of them, then a DELETE each, children first."""

    #: No endless wait for what a test has left locked; Oracle's mode would nest the arms of a UNION, and not so many.
    _SESSION: ClassVar = {
        "mysql": "SET sql_mode = '', innodb_lock_wait_timeout = 20, lock_wait_timeout = 20",
        "postgresql": "SET lock_timeout = '20s'",
    }
    #: Who may hold it.
    _AT_WORK: ClassVar = {
        "mysql": (
            "SELECT p.*, t.* FROM information_schema.processlist p"
            " LEFT JOIN information_schema.innodb_trx t ON t.trx_mysql_thread_id = p.id WHERE p.db = database()"
        ),
        "postgresql": "SELECT * FROM pg_stat_activity WHERE datname = current_database()",
    }

    def __init__(self, url: sa.URL) -> None:
        # a test may have killed all connections to its database
        ends = {"connect_args": {"read_timeout": 60}} if url.get_backend_name() == "mysql" else {}
        self._engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", pool_size=1, pool_pre_ping=True, **ends)
        self._family = url.get_backend_name()
        quote = self._engine.dialect.identifier_preparer.quote
        self._names = {table.name: quote(table.name) for table in reversed(tables.metadata.sorted_tables)}
        is_sqlite = self._family == "sqlite"
        arm = "SELECT '{}' WHERE EXISTS (SELECT 1 FROM {})" if is_sqlite else "(SELECT '{}' FROM {} LIMIT 1)"
        self._look = " UNION ALL ".join(arm.format(*names) for names in self._names.items())
        if is_sqlite:  # it takes at most 500 arms of a UNION, fewer than there may be one day
            assert len(self._names) < 500
        if self._family in self._SESSION:
            self._at_connect(self._SESSION[self._family], ())
        if self._family == "mysql":
            self._at_connect("PREPARE look FROM %s", (self._look,))
            self._look = "EXECUTE look"

    def clean(self) -> None:
        try:
            with self._engine.connect() as connection:
                filled = {*connection.exec_driver_sql(self._look).scalars()}
                for name in self._names if filled else ():
                    if name in filled:
                        connection.exec_driver_sql(f"DELETE FROM {self._names[name]}")
        except sa.exc.OperationalError as error:
            error.add_note("\n".join(self._at_work()))
            raise

    def _at_work(self) -> list[str]:
        question = self._AT_WORK.get(self._family)
        if question is None:
            return []
        with self._engine.connect() as connection:
            return [repr(dict(row._mapping)) for row in connection.exec_driver_sql(question)]

    def _at_connect(self, statement: str, parameters: tuple[str, ...]) -> None:
        def run(connection: Any, record: Any) -> None:
            with contextlib.closing(connection.cursor()) as cursor:
                cursor.execute(statement, parameters)

        sa.event.listen(self._engine, "connect", run)


_DATABASES = pytest.StashKey[_Databases]()


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers",
        "only_on(name, ..., why, driver): the test runs on these alone, with one driver of MySQL's; why says why",
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test that uses the fixture ``backend`` once on every back-end."""
    if "backend" not in metafunc.fixturenames:
        return
    names: list[str] = metafunc.config.option.backends
    for mark in metafunc.definition.iter_markers("only_on"):
        assert mark.kwargs.get("why"), f"{metafunc.function.__name__}: only_on needs why="
        names = [name for name in names if name in mark.args or FAMILIES[name] in mark.args]
        driver = mark.kwargs.get("driver")
        names = [name for name in names if not driver or FAMILIES[name] != "mysql" or _driver_of(name) == driver]
    metafunc.parametrize("backend", names, indirect=True, scope="function")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let the tests of a module run on one back-end after the other: each change takes new connections, 10 to 30 ms.

    They change places among themselves; all others stay where pytest has put them for the sake of their fixtures.
    """
    modules: dict[Path, list[int]] = {}
    for place, item in enumerate(items):
        if _backend_of(item) is not None:
            modules.setdefault(item.path, []).append(place)
    order = {name: place for place, name in enumerate(config.option.backends)}
    for places in modules.values():
        ordered = sorted((items[place] for place in places), key=lambda item: order[_backend_of(item) or ""])
        for place, item in zip(places, ordered, strict=True):
            items[place] = item


def _backend_of(item: pytest.Item) -> str | None:
    name = item.callspec.params.get("backend") if hasattr(item, "callspec") else None
    return name if isinstance(name, str) else None


@pytest.fixture
def backend(request: pytest.FixtureRequest) -> Iterator[Backend]:
    """Configure the library with an empty database of this back-end."""
    databases = request.config.stash.setdefault(_DATABASES, _Databases())
    found = databases.get(request.param)
    if tx.main.url != found.url or tx.main.options != tx.EngineOptions():  # which a test before may have set
        tx.close()
        tx.configure(found.url)
    yield found
    if tx.main.url != found.url:
        tx.close()
    databases.clean(found.name)


@pytest.fixture
def six_attempts(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a call that meets conflicts make six attempts, whatever the deadline."""
    monkeypatch.setattr(tx.main, "_options", dataclasses.replace(tx.main.options, attempts=6))


@pytest.fixture
def empty_tables(request: pytest.FixtureRequest, backend: Backend) -> Callable[[], None]:
    """Return a function that empties the database again, for a test that tries many examples."""
    return functools.partial(request.config.stash[_DATABASES].clean, backend.name)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Close connections and remove the databases of this worker."""
    databases = config.stash.get(_DATABASES, None)
    if databases is not None:
        tx.close()
        databases.close()
