# SPDX-License-Identifier: Apache-2.0

"""The faster reader of PyMySQL's results gives what PyMySQL gives, and stays in step with the server."""

from __future__ import annotations

import datetime
import decimal
import io
import threading
import time
from typing import TYPE_CHECKING, Any

import pymysql
import pytest

from nova_sqlcore import get_admin_context, tx
from nova_sqlcore.core import pymysql_reader
from nova_sqlcore.core.pymysql_reader import FastConnection

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugins.backend import Backend

pytestmark = pytest.mark.only_on("mysql", why="PyMySQL is the driver of that family alone")

#: One column of every type, and values that differ in length and form.
TYPES: dict[str, list[Any]] = {
    "TINYINT": [-128, 0, 127],
    "SMALLINT UNSIGNED": [65535],
    "MEDIUMINT": [-1],
    "INT": [2**31 - 1, None],
    "BIGINT": [-(2**63), 2**63 - 1],
    "BIGINT UNSIGNED": [2**64 - 1],
    "DECIMAL(20,5)": [decimal.Decimal("-12345.67890"), 0],
    "FLOAT": [1.5, -0.0],
    "DOUBLE": [1e308, 3.141592653589793],
    "BIT(9)": [b"\x01\xff"],
    "DATE": ["2016-04-08", "0000-00-00"],
    "TIME": ["-12:34:56", "838:59:59"],
    "TIME(3)": ["01:02:03.456"],
    "DATETIME": ["2016-04-08 12:00:01", "0000-00-00 00:00:00", None],
    "DATETIME(6)": ["2016-04-08 12:00:01.000001"],
    "TIMESTAMP(3) NULL": ["2016-04-08 12:00:01.123"],
    "YEAR": [2016],
    "CHAR(10)": ["a", ""],
    "VARCHAR(300)": ["x" * 250, "x" * 251, "x" * 300, "\u00e4\u20ac"],
    "LONGTEXT": ["y" * 65535, "y" * 65536, "z" * 70000, "\u20ac" * 30000],
    "TEXT CHARACTER SET latin1": ["\u00e4\u00f6"],
    "TEXT CHARACTER SET utf8mb4": ["\U0001f600"],
    "VARBINARY(20)": [b"\x00\xff'\\", b""],
    "LONGBLOB": [bytes(range(256)) * 300],
    "JSON": ['{"a": [1, null, "\u20ac"]}'],
    "ENUM('a','b')": ["b"],
    "SET('a','b')": ["a,b", ""],
}


def arguments(backend: Backend, **more: Any) -> dict[str, Any]:
    url = backend.url
    place = {"host": url.host, "port": url.port, "user": url.username, "password": url.password}
    return {**place, "database": url.database, "ssl_disabled": True, "autocommit": True, **more}


@pytest.fixture
def pair(backend: Backend) -> Iterator[tuple[Any, Any]]:
    """Two connections to one database: PyMySQL's own and ours."""
    with pymysql.connect(**arguments(backend)) as stock, FastConnection(**arguments(backend)) as fast:
        for one in (stock, fast):
            one.cursor().execute("SET SESSION sql_mode = ''")
        yield stock, fast


def answers(connection: Any, text: str, *values: Any) -> Any:
    cursor = connection.cursor()
    cursor.execute(text, values)
    return cursor.fetchall(), cursor.description, cursor.rowcount


def assert_same(pair: tuple[Any, Any], text: str, *values: Any) -> None:
    stock, fast = pair
    wanted = answers(stock, text, *values)
    for _ in range(3):  # the first result proves the function, later ones use it
        found = answers(fast, text, *values)
        assert found == wanted
        assert [list(map(type, row)) for row in found[0]] == [list(map(type, row)) for row in wanted[0]]


@pytest.mark.parametrize("charset", ["utf8mb4", "latin1", "utf8mb3"])
@pytest.mark.parametrize("kind", TYPES)
def test_every_type_in_every_charset(backend: Backend, kind: str, charset: str) -> None:
    with (
        pymysql.connect(**arguments(backend, charset=charset)) as stock,
        FastConnection(**arguments(backend, charset=charset)) as fast,
    ):
        for one in (stock, fast):
            one.cursor().execute("SET SESSION sql_mode = ''")
        cursor = stock.cursor()
        cursor.execute("DROP TABLE IF EXISTS of_one_type")
        cursor.execute(f"CREATE TABLE of_one_type (place INT, value {kind}) CHARACTER SET utf8mb4")
        values = [value for value in TYPES[kind] if charset != "latin1" or str(value).isascii()]
        for place, value in enumerate(values):
            cursor.execute("INSERT INTO of_one_type VALUES (%s, %s)", (place, value))
        try:
            assert_same((stock, fast), "SELECT value, place FROM of_one_type ORDER BY place")
            assert_same((stock, fast), "SELECT value FROM of_one_type WHERE place < 0")
        finally:
            cursor.execute("DROP TABLE of_one_type")


def test_a_row_of_more_than_sixteen_megabytes(pair: tuple[Any, Any], backend: Backend) -> None:
    length = 17 * 1024 * 1024
    for connection in pair:
        limit = answers(connection, "SELECT @@max_allowed_packet")[0][0][0]
        if limit < length + 1024:
            connection.cursor().execute(f"SET GLOBAL max_allowed_packet = {64 * 1024 * 1024}")
    with FastConnection(**arguments(backend, max_allowed_packet=64 * 1024 * 1024)) as fresh:
        ((value, one),) = answers(fresh, f"SELECT REPEAT('x', {length}), 1")[0]
        assert (len(value), one) == (length, 1)
        assert answers(fresh, "SELECT 2")[0] == ((2,),)


def test_a_changed_table_is_noticed(pair: tuple[Any, Any]) -> None:
    stock, fast = pair
    cursor = stock.cursor()
    cursor.execute("CREATE TABLE that_changes (a INT, b INT)")
    try:
        cursor.execute("INSERT INTO that_changes VALUES (1, 2)")
        assert_same(pair, "SELECT * FROM that_changes")
        cursor.execute("ALTER TABLE that_changes MODIFY a VARCHAR(10), ADD c DATETIME DEFAULT '2016-04-08'")
        assert_same(pair, "SELECT * FROM that_changes")
        assert answers(fast, "SELECT * FROM that_changes")[0] == (("1", 2, datetime.datetime(2016, 4, 8)),)
    finally:
        cursor.execute("DROP TABLE that_changes")


def test_other_decoders_are_other_layouts(backend: Backend) -> None:
    text = {**pymysql.converters.conversions, pymysql.constants.FIELD_TYPE.LONGLONG: str}
    with FastConnection(**arguments(backend)) as plain, FastConnection(**arguments(backend, conv=text)) as other:
        for _ in range(3):
            assert answers(plain, "SELECT 1099511627776 AS large")[0] == ((1099511627776,),)
            assert answers(other, "SELECT 1099511627776 AS large")[0] == (("1099511627776",),)


def test_several_results_of_one_query(backend: Backend) -> None:
    flag = pymysql.constants.CLIENT.MULTI_STATEMENTS
    with FastConnection(**arguments(backend, client_flag=flag)) as fast:
        cursor = fast.cursor()
        for _ in range(2):
            cursor.execute("SELECT 1, 'a'; SELECT 2; SELECT 1, 'b'")
            found = [cursor.fetchall()]
            while cursor.nextset():
                found.append(cursor.fetchall())
            assert found == [((1, "a"),), ((2,),), ((1, "b"),)]


def test_a_streamed_result_is_left_to_pymysql(pair: tuple[Any, Any]) -> None:
    cursor = pair[1].cursor(pymysql.cursors.SSCursor)
    cursor.execute("SELECT 1 UNION ALL SELECT 2")
    assert list(cursor) == [(1,), (2,)]
    assert answers(pair[1], "SELECT 3")[0] == ((3,),)


def test_an_error_of_the_server_leaves_the_connection_in_step(pair: tuple[Any, Any]) -> None:
    fast = pair[1]
    for text in ("SELECT nothing", "SELECT (SELECT 1 UNION ALL SELECT 2)", "SELECT 1 FROM"):
        with pytest.raises(pymysql.err.Error):
            answers(fast, text)
        assert answers(fast, "SELECT 1")[0] == ((1,),)


def test_a_wrong_function_is_found_and_not_used(
    pair: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(pymysql_reader, "generated", lambda columns: lambda record: ("wrong",) * len(columns))
    for _ in range(3):
        assert answers(pair[1], "SELECT 7 AS not_seen_before_in_any_test")[0] == ((7,),)
    assert "not_seen_before_in_any_test" in caplog.text
    pymysql_reader._layouts.clear()
    pymysql_reader._latest.clear()


def test_results_that_begin_alike_are_told_apart(pair: tuple[Any, Any]) -> None:
    for _ in range(3):
        assert_same(pair, "SELECT 1 AS same, 'a' AS other, 3 AS more")
        assert_same(pair, "SELECT 1 AS same, 2 AS other, 3 AS more")
        assert_same(pair, "SELECT 1 AS same, 2 AS other, 3.5 AS more")
        assert_same(pair, "SELECT 1 AS same, 2 AS other")


@pytest.mark.parametrize("size", [1, 7, 64, 8192])
def test_descriptors_that_come_in_pieces(pair: tuple[Any, Any], size: int) -> None:
    fast = pair[1]
    fast._rfile = io.BufferedReader(fast._rfile.detach(), size)
    for count in (1, 2, 90, 300):
        columns = ", ".join(f"{place} AS in_pieces_{place}" for place in range(count))
        assert_same(pair, f"SELECT {columns} UNION ALL SELECT {columns}")


def test_known_descriptors_are_read_at_once(pair: tuple[Any, Any]) -> None:
    fast = pair[1]
    text = "SELECT 1 AS at_once_1, 2 AS at_once_2, 3 AS at_once_3"
    answers(fast, text)
    reading, sizes = fast._rfile, []

    class Noting:
        peek = reading.peek

        def read(self, size: int) -> bytes:
            sizes.append(size)
            return bytes(reading.read(size))

    fast._rfile = Noting()
    assert answers(fast, text)[0] == ((1, 2, 3),)
    fast._rfile = reading
    assert len(sizes) == 2 + 1 + 2 + 2 + 2  # heads and bodies: the number of columns, the row, two that end something
    assert max(sizes) > 100


def test_the_layouts_are_bounded(pair: tuple[Any, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pymysql_reader, "MOST_LAYOUTS", 4)
    for number in range(20):
        answers(pair[1], f"SELECT 1 AS bounded_{number}")
        assert len(pymysql_reader._layouts) <= max(4, number)
    assert len(pymysql_reader._layouts) <= 4
    assert len(pymysql_reader._latest) <= 4


class Cut(Exception):
    """What a handler of signals raises."""


def test_an_exception_while_rows_come_closes_the_connection(backend: Backend) -> None:
    with FastConnection(**arguments(backend)) as fast:
        answers(fast, "SELECT 1 AS cut_short")
        reading = fast._rfile

        class Cutting:
            count = 0

            def read(self, size: int) -> bytes:
                self.count += 1
                if self.count == 12:
                    raise Cut
                return bytes(reading.read(size))

            def close(self) -> None:
                reading.close()

        fast._rfile = Cutting()
        with pytest.raises(Cut):
            answers(fast, "SELECT 1 AS cut_short UNION ALL SELECT 2 UNION ALL SELECT 3 UNION ALL SELECT 4")
        with pytest.raises(pymysql.err.InterfaceError):
            answers(fast, "SELECT 1")
        fast._rfile = None


def test_a_killed_query_is_the_drivers_error(pair: tuple[Any, Any]) -> None:
    stock, fast = pair

    def kill() -> None:
        time.sleep(0.5)
        stock.cursor().execute(f"KILL {fast.thread_id()}")

    killer = threading.Thread(target=kill)
    killer.start()
    try:
        with pytest.raises(pymysql.err.OperationalError) as caught:
            answers(fast, "SELECT SLEEP(20)")
    finally:
        killer.join()
    assert caught.value.args[0] in (1317, 1927, 2013)


def test_the_version_that_the_module_was_tried_with() -> None:
    assert pymysql_reader.is_supported()


def test_engines_use_it_unless_told_otherwise(backend: Backend) -> None:
    for wanted in (True, False):
        tx.close()
        tx.configure(backend.url, fast_reader=wanted)
        with tx.reader(get_admin_context()) as t:
            assert isinstance(t.connection.connection.dbapi_connection, FastConnection) is wanted
        with tx.writer(get_admin_context()) as t:
            assert isinstance(t.connection.connection.dbapi_connection, FastConnection) is wanted
    tx.close()
