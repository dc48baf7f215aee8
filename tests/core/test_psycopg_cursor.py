# SPDX-License-Identifier: Apache-2.0

"""The short way of prepared statements on psycopg gives what psycopg's own cursor gives, errors and all."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import functools
import itertools
import os
import signal
import threading
import types
import uuid
from typing import TYPE_CHECKING, Any

import psycopg
import pytest
import sqlalchemy as sa
from psycopg.rows import dict_row
from psycopg.types.json import Json
from sqlalchemy.dialects import postgresql

from nova_sqlcore import api, exceptions, get_admin_context, tables, tx
from nova_sqlcore.core import internals, psycopg_batch, psycopg_cursor, roads
from nova_sqlcore.core.psycopg_cursor import FastCursor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.plugins.backend import Backend

pytestmark = pytest.mark.only_on("postgresql", why="psycopg is the driver of that family alone")

C = get_admin_context()
#: Executions after which a statement goes the short way: psycopg prepares it at the third.
WARM = 4
UTC = datetime.UTC
#: Values whose types psycopg tells apart; the server sees a different statement for each of them.
VALUES: list[Any] = [
    *(0, -1, 2**15, -(2**31), 2**31, 2**63 - 1, 2**63, 10**30),
    *("", "text", "\u00e4\u20ac\U0001f600", "'\\", "x" * 70000),
    *(b"", b"\x00\xff\\", None, True, False, 1.5, float("inf"), decimal.Decimal("1.50")),
    datetime.datetime(2016, 4, 8, 12, 0, 1),
    datetime.datetime(2016, 4, 8, 12, 0, 1, 123, tzinfo=UTC),
    *(datetime.date(2016, 4, 8), datetime.time(1, 2, 3), datetime.timedelta(days=-1, seconds=3)),
    *(uuid.UUID(int=7), Json({"a": [1, None, "\u20ac"]})),
    *([1, 2], ["a", None], [], [datetime.datetime(2016, 4, 8)], [[1], [2]]),
]
_VALUE = "SELECT %(value)s AS value, 1 AS one"


def connected(backend: Backend, **more: Any) -> psycopg.Connection[Any]:
    dsn = backend.url.set(drivername="postgresql").render_as_string(hide_password=False)
    return psycopg.connect(dsn, **{"autocommit": True, "prepare_threshold": 2, **more})


class Pair:
    """Two connections that do the same, one on psycopg's own cursor and one on ours."""

    def __init__(self, stock: psycopg.Connection[Any], fast: psycopg.Connection[Any]) -> None:
        self.connections = stock, fast
        self.cursors = stock.cursor(), FastCursor(fast)

    def on_both(self, do: Callable[[psycopg.Connection[Any]], object]) -> None:
        for connection in self.connections:
            do(connection)

    def same(self, text: str, params: Any = None, **more: Any) -> Any:
        """Return what a statement gives, after a look whether it is the same on both."""
        stock, fast = (told(cursor, text, params, **more) for cursor in self.cursors)
        assert fast == stock
        return fast

    def warm(self, text: str, params: Any = None) -> Any:
        """Do so until the statement goes the short way, and once more."""
        return [self.same(text, params) for _ in range(WARM + 1)][-1]


def told(cursor: psycopg.Cursor[Any], text: str, params: Any, **more: Any) -> Any:
    """Return all that a cursor tells of a statement, or of the error that it raises."""
    try:
        cursor.execute(text, params, **more)
        columns: list[Any] = cursor.description or []
        described = [(column.name, column.type_code, str(column)) for column in columns]
        rows = cursor.fetchall() if cursor.description is not None else None
    except Exception as error:
        diag, state = getattr(error, "diag", None), getattr(error, "sqlstate", None)
        fields = {name: getattr(diag, name) for name in dir(diag) if name.startswith(("sqlstate", "message", "table"))}
        return type(error), str(error), state, fields, cursor.rowcount, cursor.pgresult is None
    kinds = [[type(value) for value in row] for row in rows or ()]
    return repr(rows), kinds, described, cursor.rowcount, cursor.rownumber, cursor.statusmessage


@pytest.fixture
def pair(backend: Backend) -> Iterator[Pair]:
    with connected(backend) as stock, connected(backend) as fast:
        yield Pair(stock, fast)


@pytest.fixture
def long_ways(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Note the statements that go psycopg's own way on any cursor."""
    found: list[str] = []
    execute: Any = psycopg.Cursor.execute

    def noting(cursor: Any, query: Any, *args: Any, **kwargs: Any) -> Any:
        found.append(query)
        return execute(cursor, query, *args, **kwargs)

    monkeypatch.setattr(psycopg.Cursor, "execute", noting)
    return found


def test_what_is_prepared_goes_the_short_way(backend: Backend, long_ways: list[str]) -> None:
    with connected(backend) as connection:
        cursor = FastCursor(connection)
        for statement in (_VALUE, "SELECT %(b)s::text, %(a)s::text, 10 %% 3", "SELECT 1 AS one"):
            long_ways.clear()
            for _ in range(6):
                cursor.execute(statement, {"value": 1, "a": "a", "b": "b"})
                assert cursor.fetchone() is not None
                assert cursor.fetchone() is None
                assert cursor.fetchall() == []
            assert long_ways == [statement] * 3
        long_ways.clear()
        for _ in range(6):
            cursor.execute("SELECT '%'")
            assert cursor.fetchall() == [("%",)]
        assert len(long_ways) == 3


def test_values_of_every_type(pair: Pair) -> None:
    """The type of a parameter changes from call to call."""
    for _ in range(WARM):
        for value in VALUES:
            pair.same(_VALUE, {"value": value})
    for _ in range(WARM):
        for value in reversed(VALUES):
            pair.same("SELECT %(value)s AS value, %(other)s AS other", {"value": value, "other": "b", "more": 1})


def test_every_type_of_our_tables(pair: Pair, long_ways: list[str]) -> None:
    dialect = postgresql.dialect()  # type: ignore[no-untyped-call]  # SQLAlchemy's own
    kinds = {
        column.type.compile(dialect=dialect) for table in tables.metadata.tables.values() for column in table.columns
    }
    written = {"BOOLEAN": "t", "INET": "10.0.0.1/8", "DOUBLE PRECISION": "1e308", "keypair_types": "x509"}
    written |= {"migration_type": "live-migration", "TIMESTAMP WITHOUT TIME ZONE": "2016-04-08 12:00:01.000001"}
    for kind in kinds - {"SERIAL"}:
        value = written.get(kind, "owner" if "locked_by" in kind else "12")
        text = f"SELECT CAST(%(value)s::text AS {kind if kind.isupper() else f'{kind}'}) AS value, NULL::{kind} AS none"
        rows, *_ = pair.warm(text, {"value": value})
        assert value in rows or kind in ("BOOLEAN", "DOUBLE PRECISION", "TIMESTAMP WITHOUT TIME ZONE")
        assert long_ways.count(text) == WARM + 1 + 3


def test_rows_of_every_table(backend: Backend, long_ways: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roads, "USUAL", roads.DRIVER)
    monkeypatch.setattr(internals.Ears, "_ask", lambda *_: False)  # other tests may have let somebody listen
    service = api.service_create(C, {"host": "h", "binary": "nova-compute", "topic": "compute", "report_count": 0})
    instance = api.instance_create(C, {"host": "h", "metadata": {"a": "b"}, "system_metadata": {"c": "d"}})
    for _ in range(WARM):
        found = api.service_get(C, service["id"]), api.instance_get_by_uuid(C, instance["uuid"])
    long_ways.clear()
    assert (api.service_get(C, service["id"]), api.instance_get_by_uuid(C, instance["uuid"])) == found
    assert long_ways == []
    with connected(backend) as connection:
        cursor, stock = FastCursor(connection), connection.cursor()
        for table in ("instances", "services", "instance_extra", "instance_info_caches"):
            text = f"SELECT * FROM {table}"
            for _ in range(WARM):
                wanted = stock.execute(text, {}).fetchall()
                assert cursor.execute(text, {}).fetchall() == wanted


@pytest.mark.parametrize("value", ["a\0b", object(), "\ud800", [1, "a"], {"a": 1}, 10**400])
def test_values_that_can_not_be_converted(pair: Pair, value: Any) -> None:
    for good in ("a", 1):
        pair.warm(_VALUE, {"value": good})
        told_of = pair.same(_VALUE, {"value": value})
        assert told_of == pair.same(_VALUE, {"value": value})
        pair.same(_VALUE, {"value": good})


def test_parameters_of_another_kind(pair: Pair) -> None:
    pair.warm(_VALUE, {"value": 1})
    pair.warm("SELECT 1 AS one", {})
    pair.warm("SELECT 2 AS two")
    for params in (None, {}, {"other": 1}, [1], (1,), "x", 5, {"value": 2}):
        pair.same(_VALUE, params)
        pair.same("SELECT 1 AS one", params)
        pair.same("SELECT 2 AS two", params)
        pair.same("SELECT %s AS value", params)
    pair.warm("SELECT '100%%'", {})
    pair.warm("SELECT '100%%'")
    pair.warm("SELECT '100%%'", {})
    for more in ({"prepare": False}, {"prepare": True}, {"binary": True}, {"binary": False}):
        pair.same(_VALUE, {"value": 2}, **more)
    pair.same(b"SELECT 1", None)  # type: ignore[arg-type]  # psycopg takes bytes


def test_commands_and_counts(pair: Pair) -> None:
    pair.warm("CREATE TEMP TABLE IF NOT EXISTS counted (number int UNIQUE, word text)")
    for number in range(WARM + 1):
        params = {"number": number, "word": f"w{number}"}
        pair.same("INSERT INTO counted VALUES (%(number)s, %(word)s)", params)
        pair.same("INSERT INTO counted VALUES (%(number)s + 100, %(word)s) RETURNING word, number", params)
    pair.warm("UPDATE counted SET word = word WHERE number < %(number)s", {"number": 102})
    pair.warm("DELETE FROM counted WHERE number = %(number)s RETURNING *", {"number": 1})
    pair.warm("INSERT INTO counted VALUES (%(number)s, 'a') ON CONFLICT DO NOTHING", {"number": 2})
    found = pair.same("INSERT INTO counted VALUES (%(number)s, %(word)s)", {"number": 2, "word": "b"})
    assert found[0] is psycopg.errors.UniqueViolation
    pair.warm("SELECT number / (number - %(number)s) FROM counted", {"number": 1000})
    assert pair.same("SELECT number / (number - %(number)s) FROM counted", {"number": 102})[2] == "22012"
    pair.warm("SELECT * FROM counted ORDER BY number")
    pair.same("SELECT 1; SELECT 2")
    pair.same("")


def test_transactions(backend: Backend) -> None:
    with connected(backend, autocommit=False) as stock, connected(backend, autocommit=False) as fast:
        pair = Pair(stock, fast)
        statuses: Callable[[], set[Any]] = lambda: {one.info.transaction_status.name for one in pair.connections}  # noqa: E731
        for _ in range(3):
            pair.warm(_VALUE, {"value": 1})
            assert statuses() == {"INTRANS"}
            pair.on_both(lambda one: one.commit())
            pair.same(_VALUE, {"value": 1})  # BEGIN goes before it
            assert statuses() == {"INTRANS"}
            assert pair.warm("SELECT 1 / %(number)s", {"number": 0})[2] == "25P02"
            assert statuses() == {"INERROR"}
            assert pair.same(_VALUE, {"value": 1})[0] is psycopg.errors.InFailedSqlTransaction
            pair.on_both(lambda one: one.rollback())
            names = [len(one._prepared._names) for one in pair.connections]
            assert names[0] == names[1]
        for _ in range(WARM):  # in which there is nothing to roll back to
            pair.warm(_VALUE, {"value": 1})
            pair.same("COMMIT")
            pair.same("SELECT 1 / %(number)s", {"number": 0})
            pair.same("COMMIT")


def test_autocommit(backend: Backend) -> None:
    """It is set as psycopg sets it: not in a transaction, and not on a line that is closed."""
    with connected(backend, autocommit=False) as connection:
        cursor = FastCursor(connection)
        for is_on in (True, False, False, True):
            cursor.set_autocommit(is_on)
            assert connection.autocommit is is_on
        with connection.pipeline():
            cursor.set_autocommit(False)
            assert not connection.autocommit
        cursor.execute("SELECT 1")
        with pytest.raises(psycopg.ProgrammingError, match="INTRANS"):
            cursor.set_autocommit(True)
        connection.commit()
        connection.close()
        with pytest.raises(psycopg.Error):
            cursor.set_autocommit(True)
        assert not connection.autocommit


@pytest.mark.parametrize("fast", [True, False])
def test_a_single_statement_of_a_writer(backend: Backend, fast: bool) -> None:
    """It is committed by itself, or fails by itself, and the connection begins transactions afterwards."""
    tx.close()
    tx.configure(backend.url, fast_reader=fast)
    statement = sa.update(tables.services).values(report_count=1).where(tables.services.c.id == sa.bindparam("number"))
    service = api.service_create(C, {"host": "h", "binary": "b", "topic": "t", "report_count": 0})
    link = tx.main.link_writer()
    tx.main.take_back(link)
    for number in (service["id"], service["id"] + 1) * WARM:
        with tx.writer(C) as t:
            assert t.last().execute(statement, number=number) == (number == service["id"])
        assert not link.raw.autocommit
        with pytest.raises(exceptions.DBDataError), tx.writer(C) as t:
            t.last().rows(sa.text("SELECT 1 / :number").bindparams(number=0))
        assert not link.raw.autocommit
        assert link.usable
    assert api.service_get(C, service["id"])["report_count"] == 1
    tx.close()


def test_a_result_of_another_shape(pair: Pair) -> None:
    pair.on_both(lambda one: one.execute("CREATE TEMP TABLE of_shape AS SELECT 1 AS a"))
    pair.warm("SELECT * FROM of_shape", {})
    # past psycopg, which would forget what is prepared
    pair.on_both(lambda one: one.pgconn.exec_(b"ALTER TABLE of_shape ALTER a TYPE text, ADD b int"))
    assert "cached plan" in pair.same("SELECT * FROM of_shape", {})[1]
    pair.warm("SELECT * FROM of_shape", {})


@pytest.mark.parametrize("text", ["DEALLOCATE ALL", "DISCARD ALL"])
@pytest.mark.parametrize("is_known", [True, False])
def test_statements_that_are_gone(pair: Pair, text: str, is_known: bool) -> None:
    """If psycopg has sent that itself, it knows; what is known but gone is an error, again and again."""
    for _ in range(2):
        pair.warm(_VALUE, {"value": 1})
        if is_known:
            pair.on_both(lambda one: one.execute(text))
        else:
            pair.on_both(lambda one: one.pgconn.exec_(text.encode()))
        found = [pair.same(_VALUE, {"value": 1}) for _ in range(WARM)]
        assert {one[2] for one in found if one[0] is psycopg.errors.InvalidSqlStatementName} == set() or not is_known


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DateStyle", "SQL, DMY"),
        ("TimeZone", "Asia/Tokyo"),
        ("IntervalStyle", "iso_8601"),
        ("client_encoding", "latin1"),
        ("extra_float_digits", "0"),
    ],
)
def test_settings_change_under_way(pair: Pair, name: str, value: str) -> None:
    """Another cursor changes them, and the server announces it."""
    expressions = (
        *("timestamp '2016-04-08 12:00'", "timestamptz '2016-04-08 12:00+00'", "date '2016-04-08'"),
        *("interval '1 day'", "%(word)s::text", "0.1::float8"),
    )
    texts = [f"SELECT {expression} AS value, %(word)s::text AS word" for expression in expressions]
    for setting in (f"SET {name} = '{value}'", f"RESET {name}", f"SET {name} = '{value}'"):
        for text in texts * WARM:
            pair.same(text, {"word": "\u00e4"})
        pair.on_both(lambda one, setting=setting: one.execute(setting))  # type: ignore[misc]
        for text in texts:
            pair.same(text, {"word": "\u00e4"})


def test_statements_that_go_out_of_use(pair: Pair) -> None:
    pair.on_both(lambda one: setattr(one, "prepared_max", 3))
    for number in itertools.chain(*([number] * WARM for number in range(8)), range(8), [7, 6, 7, 5] * 3):
        pair.same(f"SELECT {number}, %(value)s", {"value": 1})
        known = [[*one._prepared._names.values()] for one in pair.connections]
        assert known[0] == known[1]
        assert [*pair.connections[0]._prepared._counts] == [*pair.connections[1]._prepared._counts]
    there = pair.connections[1].execute("SELECT count(*) FROM pg_prepared_statements").fetchone()
    assert there is not None
    assert there[0] <= 4


def test_nothing_is_prepared_any_more(pair: Pair, long_ways: list[str]) -> None:
    pair.warm(_VALUE, {"value": 1})
    pair.on_both(lambda one: setattr(one, "prepare_threshold", None))
    long_ways.clear()
    pair.warm(_VALUE, {"value": 1})
    assert len(long_ways) == 2 * (WARM + 1)


def test_pipelines_and_many_rows(pair: Pair) -> None:
    pair.on_both(lambda one: one.execute("CREATE TEMP TABLE piped (number int)"))
    insert = "INSERT INTO piped VALUES (%(number)s)"
    pair.warm(insert, {"number": 1})
    pair.warm(_VALUE, {"value": 1})
    for connection, cursor in zip(pair.connections, pair.cursors, strict=True):
        with connection.pipeline():
            cursor.execute(insert, {"number": 2})
            cursor.execute(_VALUE, {"value": 3})
            assert cursor.fetchall() == [(3, 1)]
        cursor.executemany(insert, [{"number": 4}, {"number": 5}])
        assert cursor.rowcount == 2
        cursor.executemany("SELECT %(number)s::int", [{"number": 4}, {"number": 5}], returning=True)
        assert cursor.fetchall() == [(4,)]
        assert cursor.nextset()
        assert cursor.fetchone() == (5,)
    pair.warm("SELECT * FROM piped ORDER BY number", {})


def carried(cursor: psycopg.Cursor[Any], *statements: tuple[str, Any]) -> Any:
    """Return what statements give that travel together, or the error."""
    link = types.SimpleNamespace(cursor=cursor, raw=cursor.connection)
    answers: list[Any] = []
    try:
        packed = [psycopg_batch.CARRIER.pack(link, *statement) for statement in statements]
        sent = [(one.query, [*map(bytes_of, one.params or ())], one.types, size) for one, size in packed]
        psycopg_batch.CARRIER.carry(link, [one for one, _ in packed], True, answers)
    except Exception as error:
        return type(error), str(error), len(answers)
    return sent, repr([(one.fetchall(), one.rowcount, one.description) for one in answers])


def bytes_of(value: Any) -> bytes | None:
    return None if value is None else bytes(value)


def test_statements_that_travel_together(backend: Backend) -> None:
    """They are converted as psycopg does it, and so are their answers; the cursor's own result is another thing."""
    with connected(backend, autocommit=False) as stock, connected(backend, autocommit=False) as fast:
        pair = Pair(stock, fast)
        for value in [*VALUES, "a\0b", object(), 5] * WARM:
            pair.same("SELECT %(value)s::text", {"value": "mine"})
            for cursor in pair.cursors:
                cursor.execute("SELECT 1 AS mine", {})
            statements: Any = ((_VALUE, {"value": value}), ("SELECT 1 AS one", None), ("SELECT 2 AS two", {}))
            wanted, found = (carried(cursor, *statements) for cursor in pair.cursors)
            assert found == wanted
            assert [cursor.fetchall() for cursor in pair.cursors] == [[(1,)], [(1,)]]
            pair.on_both(lambda one: one.rollback())
        for setting in ("SET DateStyle = 'SQL, DMY'", "SET client_encoding = 'latin1'", "RESET client_encoding"):
            pair.on_both(lambda one, setting=setting: one.execute(setting))  # type: ignore[misc]
            for text in ("SELECT %(day)s::date AS value", "SELECT '\u00e4' || %(day)s::text AS value") * WARM:
                day = {"day": datetime.date(2016, 4, 8) if "date" in text else "\u00f6"}
                wanted, found = (carried(cursor, (text, day)) for cursor in pair.cursors)
                assert found == wanted
        names = [[*one._prepared._names.items()] for one in pair.connections]
        assert names[0] == names[1]
        assert {text for text, *_ in statements} <= psycopg_cursor._plans.keys()


def test_parts_of_a_result(pair: Pair) -> None:
    text = "SELECT * FROM generate_series(1, %(most)s) AS found"
    pair.warm(text, {"most": 10})
    answers = []
    for cursor in pair.cursors:
        cursor.execute(text, {"most": 10})
        parts: list[Any] = [cursor.fetchone(), cursor.rownumber, cursor.fetchmany(2), next(cursor)]
        cursor.scroll(2)
        parts += [cursor.fetchall(), cursor.fetchone(), cursor.rownumber, cursor.nextset(), [*cursor]]
        answers.append(parts)
        cursor.row_factory = dict_row
        cursor.execute(text, {"most": 1})
        cursor.row_factory = dict_row
        answers[-1].append(cursor.fetchall())
        cursor.close()
        for fetch in (cursor.fetchall, cursor.fetchone, lambda cursor=cursor: cursor.execute(text, {"most": 1})):
            with pytest.raises(psycopg.InterfaceError, match="closed"):
                fetch()
    assert answers[0] == answers[1]


def test_notices_and_notifications(pair: Pair) -> None:
    heard: list[list[Any]] = [[], []]
    for connection, found in zip(pair.connections, heard, strict=True):
        connection.execute(
            "CREATE FUNCTION pg_temp.told(word text) RETURNS text LANGUAGE plpgsql AS "
            "$$ BEGIN RAISE NOTICE 'word %', word; PERFORM pg_notify('heard', word); RETURN word; END $$"
        )
        connection.execute("LISTEN heard")
        connection.add_notice_handler(lambda diag, found=found: found.append(diag.message_primary))  # type: ignore[misc]
        connection.add_notify_handler(lambda one, found=found: found.append(one.payload))  # type: ignore[misc]
    for word in "abcdef":
        pair.same("SELECT pg_temp.told(%(word)s)", {"word": word})
    mine = [[word for word in found if word.startswith("word")] for found in heard]
    assert mine[0] == mine[1] == [f"word {word}" for word in "abcdef"]
    assert {*"abcdef"} <= {*heard[1]}


def test_limits_of_time(pair: Pair) -> None:
    pair.warm("SELECT pg_sleep(%(seconds)s)", {"seconds": 0.0})
    pair.on_both(lambda one: one.execute("SET statement_timeout = 100"))
    assert pair.same("SELECT pg_sleep(%(seconds)s)", {"seconds": 5.0})[0] is psycopg.errors.QueryCanceled
    pair.on_both(lambda one: one.execute("SET statement_timeout = 0"))
    pair.warm("SELECT pg_sleep(%(seconds)s)", {"seconds": 0.0})
    for connection, cursor in zip(pair.connections, pair.cursors, strict=True):
        limited: Any = functools.partial(connection.wait, timeout=0.1)
        vars(connection)["wait"] = limited  # as the dialect does
        with pytest.raises(psycopg.OperationalError):
            cursor.execute("SELECT pg_sleep(%(seconds)s)", {"seconds": 5.0})
        connection.close()


class Interrupted(BaseException):
    """Comes out of a signal handler."""


@pytest.mark.parametrize("kind", [KeyboardInterrupt, Interrupted])
def test_signals(backend: Backend, kind: type[BaseException]) -> None:
    """The connection is left as psycopg's own cursor leaves it."""

    def interrupt(*_: Any) -> None:
        raise kind

    left: list[Any] = []
    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for cursor_of in (psycopg.Connection.cursor, FastCursor):
            connection = connected(backend)
            cursor: Any = cursor_of(connection)
            for _ in range(WARM):
                cursor.execute("SELECT pg_sleep(%(seconds)s)", {"seconds": 0.0})
            signal.setitimer(signal.ITIMER_REAL, 0.2)
            with pytest.raises(kind):
                cursor.execute("SELECT pg_sleep(%(seconds)s)", {"seconds": 5.0})
            left.append((connection.info.transaction_status, connection.broken, cursor.pgresult, cursor.rowcount))
            with contextlib.suppress(psycopg.Error):
                left[-1] += (cursor.execute("SELECT 1").fetchall(),)
            connection.close()
    finally:
        signal.signal(signal.SIGALRM, before)
    assert left[0] == left[1]


def test_a_killed_session(pair: Pair) -> None:
    pair.warm(_VALUE, {"value": 1})
    with connected_again(pair) as other:
        for connection in pair.connections:
            other.execute("SELECT pg_terminate_backend(%s, 2000)", [connection.info.backend_pid])
    found = pair.same(_VALUE, {"value": 1})
    assert issubclass(found[0], psycopg.OperationalError)
    assert [connection.closed for connection in pair.connections] == [True, True]
    assert issubclass(pair.same(_VALUE, {"value": 1})[0], psycopg.OperationalError)


def test_a_session_that_is_killed_while_it_answers(backend: Backend) -> None:
    found = []
    for cursor_of in (psycopg.Connection.cursor, FastCursor):
        connection = connected(backend)
        cursor: Any = cursor_of(connection)
        for _ in range(WARM):
            cursor.execute("SELECT pg_sleep(%(seconds)s)", {"seconds": 0.0})
        with connected(backend) as other:
            number = connection.info.backend_pid
            killer = threading.Timer(0.2, other.execute, ["SELECT pg_terminate_backend(%s)", [number]])
            killer.start()
            found.append(told(cursor, "SELECT pg_sleep(%(seconds)s)", {"seconds": 5.0}))
            killer.join()
        connection.close()
    assert found[0] == found[1]
    assert found[1][2] == "57P01"


def connected_again(pair: Pair) -> psycopg.Connection[Any]:
    dsn, password = pair.connections[0].info.dsn, pair.connections[0].info.password
    return psycopg.connect(dsn, password=password, autocommit=True)


def test_a_caller_s_own_statements_in_between(backend: Backend) -> None:
    """They share the prepared statements of the session."""
    statement = sa.select(tables.services.c.host).where(tables.services.c.id == sa.bindparam("number"))
    service = api.service_create(C, {"host": "h", "binary": "b", "topic": "t", "report_count": 0})
    for _ in range(2):
        with tx.writer(C) as t:
            for _ in range(WARM):
                assert t.row(statement, number=service["id"]) == {"host": "h"}
                assert t.connection.execute(statement, {"number": service["id"]}).scalar_one() == "h"
            t.connection.exec_driver_sql("DEALLOCATE ALL")
            assert t.row(statement, number=service["id"]) == {"host": "h"}


def test_threads(backend: Backend) -> None:
    ids = [
        api.service_create(C, {"host": f"h{n}", "binary": "b", "topic": "t", "report_count": 0})["id"] for n in range(8)
    ]
    failures: list[Any] = []

    def work(number: int) -> None:
        context = get_admin_context()
        for step in range(12):
            wanted = (number + step) % len(ids)
            found = api.service_get(context, ids[wanted])["host"]
            if found != f"h{wanted}":
                failures.append((found, wanted))

    threads = [threading.Thread(target=work, args=(number,)) for number in range(32)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_a_forked_child(backend: Backend) -> None:
    service = api.service_create(C, {"host": "h", "binary": "b", "topic": "t", "report_count": 0})
    for _ in range(WARM):
        api.service_get(C, service["id"])
    child = os.fork()
    if not child:
        try:
            found = [api.service_get(C, service["id"])["host"] for _ in range(WARM + 1)]
            os._exit(0 if found == ["h"] * (WARM + 1) else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert api.service_get(C, service["id"])["host"] == "h"


def test_plans_are_in_one_encoding(backend: Backend) -> None:
    text = "SELECT '\u00e4' AS value, %(value)s AS other"
    with connected(backend, client_encoding="latin1") as connection:
        cursor = FastCursor(connection)
        for _ in range(WARM):
            assert cursor.execute(text, {"value": "\u00f6"}).fetchall() == [("\u00e4", "\u00f6")]
        assert text not in psycopg_cursor._plans
        with connected(backend) as other:
            for _ in range(WARM):
                assert FastCursor(other).execute(text, {"value": "\u00f6"}).fetchall() == [("\u00e4", "\u00f6")]
        assert text in psycopg_cursor._plans
        for _ in range(WARM):
            assert cursor.execute(text, {"value": "\u00f6"}).fetchall() == [("\u00e4", "\u00f6")]


def test_plans_do_not_fill_the_memory(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psycopg_cursor, "MOST_PLANS", 4)
    with connected(backend) as connection:
        cursor = FastCursor(connection)
        for number in range(12):
            for _ in range(WARM):
                cursor.execute(f"SELECT {number}, %(value)s", {"value": 1})
            assert f"SELECT {number}, %(value)s" in psycopg_cursor._plans
            cursor.execute(f"SELECT {number}", {})
            assert f"SELECT {number}" not in psycopg_cursor._plans, "it is not prepared"
    assert len(psycopg_cursor._plans) <= 4


def test_the_version_that_the_module_was_tried_with(monkeypatch: pytest.MonkeyPatch) -> None:
    assert psycopg_cursor.is_supported()
    monkeypatch.setattr(psycopg, "__version__", "3.4.0")
    assert not psycopg_cursor.is_supported()


def test_links_use_it_unless_told_otherwise(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    def cursors(**options: Any) -> set[type]:
        tx.close()
        tx.configure(backend.url, **options)
        links = [tx.main.link_writer(), tx.main.link_reader()]
        found = {type(link.cursor) for link in links}
        for link in links:
            tx.main.take_back(link)
        return found

    assert cursors() == {FastCursor}
    assert cursors(fast_reader=False) == {psycopg.Cursor}
    monkeypatch.setattr(psycopg_cursor, "SERIES", "3.2.")
    assert cursors() == {psycopg.Cursor}
    tx.close()


@pytest.mark.parametrize("attribute", ["cursor_factory", "row_factory"])
def test_connections_with_cursors_of_another_kind(backend: Backend, attribute: str) -> None:
    with connected(backend) as connection:
        assert psycopg_cursor.is_plain(connection)
        setattr(connection, attribute, psycopg.ClientCursor if attribute == "cursor_factory" else dict_row)
        assert not psycopg_cursor.is_plain(connection)


def test_a_statement_that_the_schema_has_changed_beneath(backend: Backend) -> None:
    """At the first statement of a transaction another connection is taken, as ever."""
    statement = sa.text("SELECT a FROM of_schema")
    with connected(backend) as other, contextlib.ExitStack() as stack:
        other.execute("CREATE TABLE of_schema AS SELECT 1 AS a")
        stack.callback(other.execute, "DROP TABLE of_schema")
        for _ in range(WARM):
            with tx.writer(C) as t:
                t.rows(statement)
        other.execute("ALTER TABLE of_schema ALTER a TYPE text")
        with tx.writer(C) as t:
            assert t.rows(statement) == [{"a": "1"}]
