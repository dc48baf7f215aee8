# SPDX-License-Identifier: Apache-2.0

"""What a session is like does not depend on how the server, the database or the account are set."""

from __future__ import annotations

import contextlib
import datetime
import secrets
import time
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import sqlalchemy as sa

from nova_sqlcore import exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.security import certificates
from nova_sqlcore.schema import migrations
from tests import servers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.plugins.backend import Backend

#: What an operator may have set for a database of PostgreSQL.
HOSTILE = {
    "default_transaction_isolation": "serializable",
    "default_transaction_deferrable": "on",
    "datestyle": "SQL, DMY",
    "intervalstyle": "sql_standard",
    "standard_conforming_strings": "off",
    "escape_string_warning": "off",
    "timezone": "Asia/Kathmandu",
    "client_encoding": "LATIN1",
    "transform_null_equals": "on",
    "extra_float_digits": "-10",
    "statement_timeout": "1s",
    "lock_timeout": "1s",
}
#: What it is for the library.
WANTED = {
    "transaction_isolation": "read committed",
    "datestyle": "ISO, MDY",
    "intervalstyle": "postgres",
    "standard_conforming_strings": "on",
    "timezone": "UTC",
    "client_encoding": "UTF8",
    "transform_null_equals": "off",
    "extra_float_digits": "1",
    "statement_timeout": "5min",
    "lock_timeout": "30s",
}
#: What an operator may have set for a server of the MySQL family.
HOSTILE_MYSQL = {
    "sql_mode": "ANSI,NO_BACKSLASH_ESCAPES,NO_UNSIGNED_SUBTRACTION",
    "auto_increment_increment": "7",
    "auto_increment_offset": "3",
    "default_time_zone": "+05:45",
    "character_set_server": "latin1",
    "collation_server": "latin1_german1_ci",
    "transaction_isolation": "SERIALIZABLE",
    "completion_type": "CHAIN",
    "group_concat_max_len": "4",
}


def use(url: sa.URL, **options: Any) -> None:
    tx.close()
    tx.configure(url, **options)
    tables.metadata.create_all(tx.main.engine, [tables.certificates, tables.instances])


@pytest.fixture
def fresh(backend: Backend) -> Iterator[sa.URL]:
    """Return the address of an empty database."""
    with backend.new_database() as url:
        yield url
        tx.close()


def settings(context: Any) -> dict[str, str]:
    transaction = tx.current(context)
    return {name: transaction.scalar(sa.text(f"SHOW {name}").columns(sa.column(name, sa.Text))) for name in WANTED}


def round_trip() -> None:
    """Write what a charset, a quote or a time zone may spoil, and find it again."""
    context = get_admin_context()
    when = datetime.datetime(2020, 12, 3, 4, 5, 6)
    names = ["žluťoučký kůň", "back\\slash", "quote ' and \"", "100%", "日本"]
    with tx.writer(context) as t:
        for name in names:
            t.insert(tables.certificates, {"project_id": "p", "file_name": name, "created_at": when})
    rows = certificates.certificate_get_all_by_project(context, "p")
    assert [row["file_name"] for row in rows] == names
    c = tables.certificates.c
    for name in names:
        with tx.reader(context) as t:
            found = t.rows(sa.select(c.file_name).where(c.file_name == sa.bindparam("n"), c.created_at == when), n=name)
        assert [row["file_name"] for row in found] == [name]
    with tx.reader(context) as t:
        assert t.scalar(sa.select(sa.func.count()).where(c.file_name.like("back\\\\%"), c.updated_at.is_(None))) == 1


@pytest.mark.only_on("postgresql", why="settings of a database are PostgreSQL's")
class TestPostgreSQL:
    @pytest.fixture(params=["database", "role", "url"])
    def hostile(self, request: pytest.FixtureRequest, fresh: sa.URL) -> sa.URL:
        """Return the address of a database whose settings are those above, by way of one thing or another."""
        if request.param == "url":
            text = " ".join(f"-c {name}={value.replace(' ', chr(92) + ' ')}" for name, value in HOSTILE.items())
            return fresh.update_query_dict({"options": text})
        engine = sa.create_engine(fresh, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
        of = "ROLE CURRENT_USER IN DATABASE" if request.param == "role" else "DATABASE"
        with engine.connect() as connection:
            connection.exec_driver_sql("SET statement_timeout = 0")
            for name, value in HOSTILE.items():
                value = value if name == "datestyle" else f"'{value}'"
                connection.exec_driver_sql(f"ALTER {of} {fresh.database} SET {name} = {value}")
        return fresh

    def test_settings(self, hostile: sa.URL) -> None:
        use(hostile)
        assert tx.writer(settings)(get_admin_context()) == WANTED
        assert tx.reader(settings)(get_admin_context()) == WANTED
        context = get_admin_context()
        with tx.reader(context):
            assert settings(context) == WANTED | {"transaction_isolation": "repeatable read"}

    def test_answers(self, hostile: sa.URL) -> None:
        use(hostile)
        round_trip()

    def test_a_writer_sees_what_others_have_committed(self, hostile: sa.URL) -> None:
        """Guards depend on it; under REPEATABLE READ they would do nothing."""
        use(hostile)
        sees_later_rows()

    def test_limits_are_options(self, hostile: sa.URL) -> None:
        use(hostile, statement_timeout=7, lock_timeout=0)
        found = tx.writer(settings)(get_admin_context())
        assert (found["statement_timeout"], found["lock_timeout"]) == ("7s", "1ms")

    def test_a_limit_may_be_left_to_the_server(self, fresh: sa.URL) -> None:
        use(fresh, statement_timeout=0, lock_timeout=None)
        found = tx.writer(settings)(get_admin_context())
        assert found["statement_timeout"] == "0"
        assert found["lock_timeout"] != WANTED["lock_timeout"]

    @pytest.mark.parametrize("encoding", ["SQL_ASCII", "LATIN2", "UTF8"])
    def test_encodings(self, backend: Backend, encoding: str) -> None:
        server = servers.PRODUCTS[backend.name].from_environment()
        name = f"nova_{encoding.lower()}_{secrets.token_hex(4)}"
        server.command(f"CREATE DATABASE {name} ENCODING '{encoding}' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
        try:
            migrations.migrate(server.url(name))
            use(server.url(name))
            if encoding == "LATIN2":
                certificates.certificate_create(get_admin_context(), {"project_id": "p", "file_name": "žluť"})
                with pytest.raises(exceptions.DBDataError):
                    certificates.certificate_create(get_admin_context(), {"project_id": "p", "file_name": "日本"})
            else:
                round_trip()
        finally:
            tx.close()
            server.drop_database(name)

    @pytest.mark.parametrize("given", [None, "-c geqo=off"])
    def test_no_startup_parameter_that_poolers_refuse(self, fresh: sa.URL, given: str | None) -> None:
        """PgBouncer before 1.20 refuses ``options``; it stays where the URL has it."""
        use(fresh.update_query_dict({"options": given}) if given else fresh)
        seen: list[Any] = []

        def listen(dialect: Any, record: Any, args: Any, arguments: dict[str, Any]) -> None:
            seen.append(arguments.get("options"))

        engine = tx.main.engine
        sa.event.listen(engine, "do_connect", listen)
        engine.dispose()
        engine.connect().close()
        assert seen == [given]

    def test_one_statement_per_connection_and_none_per_transaction(
        self, fresh: sa.URL, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        sent: list[str] = []
        execute = psycopg.Connection.execute

        def noting(self: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
            sent.append(str(query))
            return execute(self, query, *args, **kwargs)

        monkeypatch.setattr(psycopg.Connection, "execute", noting)
        use(fresh)
        context = get_admin_context()
        for _ in range(3):
            certificates.certificate_create(context, {"project_id": "p"})
        assert len(sent) == 1


@pytest.fixture(scope="module")
def hostile_server() -> Iterator[Callable[[str], sa.URL]]:
    """Return a function that gives a database on a server of that product whose settings are those above."""
    made: dict[str, sa.URL] = {}
    with contextlib.ExitStack() as stack:

        def make(product: str) -> sa.URL:
            if product not in made:
                server = stack.enter_context(servers.PRODUCTS[product](None, **HOSTILE_MYSQL))
                made[product] = server.create_database("nova")
            return made[product]

        yield make


@pytest.mark.only_on("mysql", why="settings of a server are the MySQL family's")
class TestMySQL:
    @pytest.fixture
    def url(self, backend: Backend, hostile_server: Callable[[str], sa.URL]) -> Iterator[sa.URL]:
        yield hostile_server(backend.name)
        tx.close()

    def test_answers(self, url: sa.URL) -> None:
        use(url)
        with tx.writer(get_admin_context()) as t:
            t.execute(sa.delete(tables.certificates))
        round_trip()

    def test_ids_of_many_rows(self, url: sa.URL) -> None:
        use(url)
        with tx.writer(get_admin_context()) as t:
            rows = t.insert_many(tables.certificates, [{"file_name": str(number)} for number in range(20)])
            c = tables.certificates.c
            stored = {row["id"]: row["file_name"] for row in t.rows(sa.select(c.id, c.file_name))}
        assert {row["id"]: stored[row["id"]] for row in rows} == {row["id"]: row["file_name"] for row in rows}
        assert rows[1]["id"] - rows[0]["id"] == 7

    def test_a_writer_sees_what_others_have_committed(self, url: sa.URL) -> None:
        use(url)
        sees_later_rows()


def sees_later_rows() -> None:
    count = sa.select(sa.func.count()).select_from(tables.certificates)
    with tx.writer(get_admin_context()) as t:
        before = t.scalar(count)
        certificates.certificate_create(get_admin_context(), {"project_id": "p"})
        assert t.scalar(count) == before + 1


@pytest.mark.only_on("mysql", "postgresql", why="sqlite has no such limits of a session")
def test_limits_of_time(backend: Backend) -> None:
    """A statement that sleeps, and a row that somebody holds."""
    tx.close()
    tx.configure(backend.url, statement_timeout=0.5)
    nap = sa.select(sa.func.pg_sleep(5) if backend.family == "postgresql" else sa.func.sleep(5))
    began = time.perf_counter()
    if backend.name == "mysql":  # it wakes the sleeper and says so by the answer
        with tx.reader(get_admin_context()) as t:
            assert t.scalar(nap) == 1
    else:
        with pytest.raises(exceptions.DBTimeout) as raised, tx.reader(get_admin_context()) as t:
            t.scalar(nap)
        assert not isinstance(raised.value, exceptions.DBDeadlock)
    assert time.perf_counter() - began < 3
    identity = certificates.certificate_create(get_admin_context(), {"project_id": "p"})["id"]
    hold = sa.update(tables.certificates).where(tables.certificates.c.id == identity).values(project_id="q")
    calls: list[int] = []

    @tx.writer
    def wait(context: Any) -> None:
        calls.append(1)
        tx.current(context).execute(hold)

    tx.close()
    tx.configure(backend.url, lock_timeout=1)
    with tx.writer(get_admin_context()) as t:
        t.execute(hold)
        began = time.perf_counter()
        with pytest.raises(exceptions.DBLockTimeout):
            wait(get_admin_context())
        assert 0.9 < time.perf_counter() - began < 3.5
        assert len(calls) == 1
    wait(get_admin_context())
    tx.close()
