# SPDX-License-Identifier: Apache-2.0

"""What a database does with its connections: how it reaches the server, how long it keeps them, when it drops them."""

from __future__ import annotations

import contextlib
import pickle
import re
import secrets
import select
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import pytest
import sqlalchemy as sa

from nova_sqlcore import api, exceptions, get_admin_context, tables, tx
from nova_sqlcore.core import dialects

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.plugins.backend import Backend

    Make = Callable[..., tx.Database]

_COUNT = sa.select(sa.func.count().label("n")).select_from(tables.certificates)
#: An address where nothing listens.
_NOWHERE = "mysql+pymysql://nova@127.0.0.1:1/nova"


@pytest.fixture
def database(backend: Backend) -> Iterator[Make]:
    """Return a function that makes another database at the address of the test's, with options of its own."""
    with contextlib.ExitStack() as stack:

        def make(**options: Any) -> tx.Database:
            made = tx.Database("with options")
            made.configure(backend.url, **options)
            stack.callback(made.close)
            return made

        yield make


def used(scope: tx.Scope[tx.Transaction]) -> object:
    """Run a statement, and return the driver's connection that served."""
    with scope(get_admin_context()) as t:
        t.scalar(_COUNT)
        assert t._link is not None
        return t._link.raw


@pytest.mark.parametrize("mode", ["reader", "writer"])
def test_a_connection_serves_until_its_age(database: Make, mode: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = database(pool_recycle=100)
    first = used(getattr(made, mode))
    assert used(getattr(made, mode)) is first
    for clock in ("time", "monotonic"):
        later = getattr(time, clock)() + 101
        monkeypatch.setattr(time, clock, lambda later=later: later)
    assert used(getattr(made, mode)) is not first


@pytest.mark.parametrize("spoil", ["unsure", "invalidated"])
def test_a_reader_that_is_of_no_use_is_not_kept(database: Make, spoil: str) -> None:
    made = database()
    link = made.link_reader()
    raw = link.raw
    if spoil == "unsure":
        link.unsure = True
    else:
        link.connection.invalidate()
    made.take_back(link)
    assert used(made.reader) is not raw


def test_with_a_lost_connection_go_the_idle_readers(database: Make) -> None:
    made = database()
    idle, lost = made.link_reader(), made.link_reader()
    raw = idle.raw
    made.take_back(idle)
    made.lost(lost)
    assert not idle.usable
    assert not lost.usable
    assert used(made.reader) is not raw


@pytest.mark.parametrize("mode", ["reader", "writer"])
def test_connections_of_a_rush_are_kept(database: Make, mode: str) -> None:
    made = database(pool_size=3)
    links = [getattr(made, f"link_{mode}")() for _ in range(10)]
    for link in links:
        made.take_back(link)
    assert all(link.usable for link in links)
    assert {getattr(made, f"link_{mode}")() for _ in links} == set(links)


def test_what_nobody_uses_after_the_rush_is_closed(database: Make) -> None:
    made = database(pool_size=3, pool_idle=0.05)
    links = [made.link_reader() for _ in range(6)]
    for link in links:
        made.take_back(link)
    time.sleep(0.06)
    for _ in range(10):
        made.take_back(made.link_reader())
    assert [link.usable for link in links] == [False] * 3 + [True] * 3


def test_none_is_kept_where_each_use_asks_the_server_first(database: Make) -> None:
    made = database(pool_pre_ping=True)
    link = made.link_writer()
    made.take_back(link)
    assert not link.usable


def test_none_is_kept_that_comes_back_after_the_end(database: Make) -> None:
    made = database()
    link = made.link_writer()
    made.close()
    made.take_back(link)
    assert not link.usable


def test_none_is_kept_that_a_caller_has_had(database: Make) -> None:
    made = database()
    with made.writer(get_admin_context()) as t:
        t.connection.execute(_COUNT)
        link = t._link
    assert link is not None
    assert not link.usable


def test_kept_connections_give_way_to_the_plain_engine(database: Make) -> None:
    made = database(pool_size=1, max_overflow=0, pool_timeout=0.1)
    for _ in range(2):
        raw = used(made.writer)
        with made.engine.connect() as connection:
            assert connection.connection.dbapi_connection is raw
        made.engine.dispose()


def test_what_was_kept_of_a_former_pool_is_closed(database: Make) -> None:
    """Who disposes of an engine gives it another pool."""
    made = database()
    closed: list[object] = []
    sa.event.listen(made.engine, "close", lambda raw, _: closed.append(raw))
    first = used(made.writer)
    made.engine.dispose()
    assert closed == []
    assert used(made.writer) is not first
    assert closed == [first]


def test_who_waits_for_a_connection_gets_the_next_one(database: Make) -> None:
    """It does not lie at hand for others while somebody waits for it."""
    made = database(pool_size=1, max_overflow=0, pool_timeout=10)
    made.take_back(made.link_writer())
    link = made.link_writer()
    with ThreadPoolExecutor(1) as threads:
        other = threads.submit(used, made.writer)
        pool: Any = made.engine.pool
        while not getattr(pool, "waiting", 1):  # in memory nobody waits in a pool
            time.sleep(0.001)
        made.take_back(link)
        other.result(2)
    assert not getattr(pool, "waiting", 0)


def test_writers_where_select_has_no_poll(database: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """Eventlet takes it away; a writer of one statement looks at the line before it commits."""
    made = database()
    context = get_admin_context()
    context.db_connection = made
    monkeypatch.delattr(select, "poll")
    for _ in range(2):
        api.certificate_create(context, {"project_id": "p"})
    assert len(api.certificate_get_all_by_project(context, "p")) == 2


#: An account that may have one connection at a time, and its end.
_LIMITED: Final = {
    "mysql": (
        "CREATE USER {name}@'%%' IDENTIFIED BY 'x' WITH MAX_USER_CONNECTIONS 1",
        "GRANT ALL ON *.* TO {name}@'%%'",
        "DROP USER {name}@'%%'",
    ),
    "postgresql": (
        "CREATE ROLE {name} LOGIN PASSWORD 'x' CONNECTION LIMIT 1",
        "GRANT SELECT ON certificates TO {name}",
        "DROP OWNED BY {name}; DROP ROLE {name}",
    ),
}


@pytest.mark.only_on("mysql", "postgresql", why="sqlite has no accounts")
class TestServerWithRoomForOne:
    """As behind PgBouncer in session mode: each connection takes one of ``default_pool_size``."""

    @pytest.fixture
    def crowded(self, backend: Backend) -> Iterator[tx.Database]:
        name = f"one_{secrets.token_hex(3)}"
        *make, drop = (text.format(name=name) for text in _LIMITED[backend.family])
        engine = sa.create_engine(backend.url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        with engine.connect() as connection:
            for text in make:
                connection.exec_driver_sql(text)
        made = tx.Database("crowded")
        made.configure(backend.url.set(username=name, password="x"))
        yield made
        made.close()
        with engine.connect() as connection:
            connection.exec_driver_sql(drop)

    def test_idle_connections_give_way_to_the_other_role(self, crowded: tx.Database) -> None:
        for scope in (crowded.reader, crowded.writer, crowded.reader):
            used(scope)
        assert sum(pool.idle for pool in crowded.pools()) == 1

    def test_one_in_use_does_not(self, crowded: tx.Database) -> None:
        used(crowded.writer)
        with crowded.reader(get_admin_context()) as t:
            t.scalar(_COUNT)
            with pytest.raises(exceptions.DBConnectionError, match=r"(?i)too many connections|max_user_connections"):
                used(crowded.writer)
            t.scalar(_COUNT)


def test_a_connection_that_a_caller_has_had_is_not_kept(database: Make) -> None:
    made = database()
    with made.writer(get_admin_context()) as t:
        t.connection.execution_options(logging_token="mine")
        link = t._link
    assert link is not None
    assert not link.usable


@pytest.mark.parametrize("retries", [0, 1, 3])
def test_so_many_more_attempts_to_reach_the_server(retries: int, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(time, "sleep", pauses.append)
    nowhere = tx.Database()
    nowhere.configure(_NOWHERE, max_retries=retries, retry_interval=7)
    with pytest.raises(exceptions.DBConnectionError):
        nowhere.engine  # noqa: B018  # it connects
    assert pauses == [7] * retries


def test_attempts_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []

    def sleep(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 20:
            raise KeyboardInterrupt

    monkeypatch.setattr(time, "sleep", sleep)
    nowhere = tx.Database()
    nowhere.configure(_NOWHERE, max_retries=-1)
    with pytest.raises(KeyboardInterrupt):
        nowhere.engine  # noqa: B018  # it connects
    assert pauses == [1] * 20


@pytest.mark.parametrize("echo", [True, False])
def test_echo(database: Make, echo: bool, caplog: pytest.LogCaptureFixture) -> None:
    made = database(echo=echo)
    with made.writer(get_admin_context()) as t:
        t.scalar(_COUNT)
    with made.reader(get_admin_context()) as t:
        t.scalar(_COUNT)
    assert caplog.text.count("count(*)") == (2 if echo else 0)


@pytest.mark.parametrize("mode", ["reader", "writer"])
def test_a_transaction_cut_short_leaves_no_connection_behind(database: Make, mode: str) -> None:
    scope = getattr(database(), mode)
    with pytest.raises(KeyboardInterrupt), scope(get_admin_context()) as t:
        t.scalar(_COUNT)
        raw = t._link.raw
        t._link.unsure = True
        raise KeyboardInterrupt
    assert used(scope) is not raw


@pytest.mark.parametrize("mode", ["reader", "writer"])
def test_an_error_on_the_connection_leaves_the_block_translated(database: Make, mode: str) -> None:
    with pytest.raises(exceptions.DBError) as raised, getattr(database(), mode)(get_admin_context()) as t:
        t.connection.exec_driver_sql("SELECT nonsense FROM nowhere")
    assert isinstance(raised.value.__cause__, sa.exc.DBAPIError)


@pytest.mark.usefixtures("backend")
def test_another_manager_goes_to_the_main_database() -> None:
    manager = tx.create_context_manager()
    assert manager is not tx.main
    assert (manager.url, manager.options) == (tx.main.url, tx.main.options)


def test_what_may_have_changed_something(database: Make) -> None:
    scope = database().writer
    with scope(get_admin_context()) as idle, scope(get_admin_context()) as other:
        assert not idle.changed
        assert not other.changed
    with scope(get_admin_context()) as t:
        t.scalar(_COUNT)
        assert t.changed
    with scope(get_admin_context()) as t:
        assert t.connection is not None
        assert t.changed


@pytest.mark.only_on("mysql", "postgresql", why="sqlite has no door; tests/core/test_files.py has its files")
@pytest.mark.parametrize(
    ("wrong", "words"),
    [({"port": 1}, r"\bport\b"), ({"password": "x"}, r"\bpassword\b"), ({"database": "missing"}, r"\bdatabase\b")],
)
@pytest.mark.parametrize("mode", ["reader", "writer"])
def test_who_cannot_come_in_is_told_what_to_do(backend: Backend, wrong: dict[str, Any], words: str, mode: str) -> None:
    made = tx.Database()
    made.configure(backend.url.set(**wrong))
    with pytest.raises(exceptions.DBConnectionError) as raised:
        used(getattr(made, mode))
    _, _, remedy = str(raised.value).partition("; ")
    assert re.search(words, remedy)
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)


class TestTlsArguments:
    """The drivers take what a URL says of TLS as they like; here without a server."""

    @pytest.mark.parametrize("argument", ["ssl_ca", "ssl_cert"])
    @pytest.mark.parametrize("content", [None, "not a certificate"])
    def test_a_file_that_can_not_be_used_is_named(self, argument: str, content: str | None, tmp_path: Path) -> None:
        path = tmp_path / "a.pem"
        if content:
            path.write_text(content)
        database = tx.Database()
        database.configure(f"{_NOWHERE}?{argument}={path}")
        with pytest.raises(exceptions.DBConnectionError, match=r"a\.pem"):
            used(database.reader)

    @pytest.mark.parametrize(
        ("given", "spelled"),
        [
            ("mysql+pymysql://db/n?ssl_disabled=1", "mysql+pymysql://db/n?ssl_disabled=1"),
            ("mysql+pymysql://db/n?ssl_disabled=0", "mysql+pymysql://db/n"),
            ("mysql+pymysql://db/n?ssl_verify_identity=no&ssl_ca=a", "mysql+pymysql://db/n?ssl_ca=a"),
            ("mysql+pymysql://db/n?ssl_verify_identity=Yes", "mysql+pymysql://db/n?ssl_verify_identity=Yes"),
            (
                "mysql+pymysql://db/n?ssl_ca=a&ssl_verify_identity=1",
                "mysql+pymysql://db/n?ssl_ca=a&ssl_check_hostname=true",
            ),
            (
                "mysql+mysqldb://db/n?ssl_ca=a&ssl_verify_identity=1",
                "mysql+mysqldb://db/n?ssl_ca=a&ssl_mode=VERIFY_IDENTITY",
            ),
            ("mysql+mysqldb://db/n?ssl_disabled=1", "mysql+mysqldb://db/n?ssl_mode=DISABLED"),
            ("mysql+mysqldb://db/n?ssl_disabled=false&ssl_ca=a", "mysql+mysqldb://db/n?ssl_ca=a"),
        ],
    )
    def test_words_for_true_and_false(self, given: str, spelled: str) -> None:
        url = sa.make_url(given)
        assert str(dialects.family(url).spelled(url)) == spelled

    def test_an_argument_that_the_driver_does_not_know(self) -> None:
        database = tx.Database()
        database.configure(f"{_NOWHERE}?ssl_mode=REQUIRED")  # mysqlclient's
        with pytest.raises(exceptions.DBError, match="ssl_mode"):
            used(database.reader)

    @pytest.mark.parametrize("word", ["maybe", "1&ssl_disabled=0"])
    def test_other_words(self, word: str) -> None:
        with pytest.raises(exceptions.DBError, match="ssl_disabled"):
            tx.Database().configure(f"mysql+pymysql://db/n?ssl_disabled={word}")
