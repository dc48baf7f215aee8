# SPDX-License-Identifier: Apache-2.0

"""Lists that a driver takes whole come out as those that SQLAlchemy spells out."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from hypothesis import given, strategies as st
from pymysql.connections import Connection
from pymysql.constants import SERVER_STATUS
from sqlalchemy.dialects.mysql import mysqldb, pymysql

from nova_sqlcore import tables, tx
from nova_sqlcore.core.dialects.mysql import MySQL
from nova_sqlcore.core.lists import ListParameter
from nova_sqlcore.core.pymysql_reader import FastConnection
from nova_sqlcore.core.statements import Prepared

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nova_sqlcore import RequestContext

T = tables.instances
#: Columns of each type that has a way of its own, and values for them.
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "host": st.text("aé '\\%,()\x1f\n\U0001f600", max_size=5),
    "id": st.integers(-5, 2**31 - 1),
    "locked": st.booleans(),
    "created_at": st.datetimes(datetime.datetime(1, 1, 1)),
    "access_ip_v4": st.ip_addresses().map(str),
}
NAMES = sorted(VALUES)
LISTS = ("one", "two", "three")


def unconnected(kind: type[Connection], status: int = 0) -> Any:
    """Return a connection that can escape, and that has never been opened."""
    found: Any = kind(defer_connect=True) if kind is Connection else FastConnection.__new__(FastConnection)
    if kind is not Connection:
        Connection.__init__(found, defer_connect=True)
    found.server_status = status
    return found


STOCK, FAST = unconnected(Connection), unconnected(FastConnection)


def dialect(module: Any) -> sa.Dialect:
    found = module.dialect(paramstyle="pyformat" if module is pymysql else "format")
    found.statement_compiler = MySQL.statement_compiler
    made: sa.Dialect = found
    return made


DIALECTS = {module.__name__.rpartition(".")[2]: dialect(module) for module in (pymysql, mysqldb)}


def sent(text: str, bound: Any) -> str:
    """Return what the driver sends; both of them write items of a list like values, between commas."""

    def escaped(value: Any) -> str:
        if isinstance(value, list):
            return f"({', '.join(map(STOCK.escape, value))})"
        return str(STOCK.escape(value))

    if isinstance(bound, dict):
        return text % {name: escaped(value) for name, value in bound.items()}
    return text % tuple(map(escaped, bound))


def compared(prepared: Prepared, params: Mapping[str, Any]) -> tuple[str, Any]:
    """Return the statement as it goes to the driver, after a look at what SQLAlchemy makes of it."""
    written = prepared.expand(params)
    assert sent(*written) == sent(*prepared._spelled(params))
    return written


@st.composite
def statements(draw: st.DrawFn) -> tuple[sa.Select[Any], dict[str, list[Any]]]:
    """Draw a statement with lists, some of them twice, some in it for good, beside other parameters."""
    clauses: list[sa.ColumnElement[bool]] = [T.c.deleted == 0, sa.literal_column("'100%%'") == "100%"]
    params = {}
    for name in draw(st.lists(st.sampled_from(LISTS), min_size=1, unique=True)):
        column = draw(st.sampled_from(NAMES))
        items = draw(st.lists(VALUES[column], max_size=9))
        fixed = draw(st.booleans())
        for _ in range(draw(st.integers(1, 2))):
            given = ListParameter(None, items) if fixed else ListParameter(name)
            clauses.append(T.c[column].not_in(given) if draw(st.booleans()) else T.c[column].in_(given))
        if not fixed:
            params[name] = items
    order = draw(st.permutations(clauses))
    return sa.select(T.c.id, sa.literal("%")).where(*order), params


@pytest.mark.parametrize("driver", DIALECTS)
@given(drawn=statements())
def test_any_statement(driver: str, drawn: tuple[sa.Select[Any], dict[str, list[Any]]]) -> None:
    statement, params = drawn
    compared(Prepared(statement, DIALECTS[driver]), params)


@pytest.mark.parametrize("driver", DIALECTS)
@pytest.mark.parametrize("length", [1, 2, 500, 5000])
def test_a_long_list_leaves_the_text_as_it_is(driver: str, length: int) -> None:
    prepared = Prepared(sa.select(T.c.id).where(T.c.uuid.in_(ListParameter("keys"))), DIALECTS[driver])
    uuids = [f"u{number}" for number in range(length)]
    text, bound = compared(prepared, {"keys": uuids})
    assert text == prepared.expand({"keys": ["one"]})[0]
    assert bound == ({"keys": uuids} if driver == "pymysql" else [uuids, uuids])  # by collation, and by bytes


@pytest.mark.parametrize("driver", DIALECTS)
def test_an_iterator_beside_an_empty_list_is_not_used_up(driver: str) -> None:
    clauses = (T.c.id.in_(ListParameter("one")), T.c.id.not_in(ListParameter("two")))
    prepared = Prepared(sa.select(T.c.id).where(*clauses), DIALECTS[driver])
    given = {"one": iter([7, 8]), "two": iter(())}
    assert prepared.expand(given) == prepared.expand({"one": [7, 8], "two": []})


@pytest.mark.parametrize("driver", DIALECTS)
@pytest.mark.parametrize(
    ("clause", "items"),
    [
        (sa.tuple_(T.c.id, T.c.host).in_(sa.bindparam("keys", expanding=True)), [(1, "a"), (2, "b")]),
        (sa.literal_column("id").in_(sa.bindparam("keys", expanding=True)), [1, 2]),
    ],
    ids=["tuples", "no type of ours"],
)
def test_what_is_left_to_sqlalchemy(driver: str, clause: Any, items: Sequence[Any]) -> None:
    prepared = Prepared(sa.select(T.c.id).where(clause), DIALECTS[driver])
    assert prepared._whole is None
    assert prepared.expand({"keys": items}) == prepared._spelled({"keys": items})


_ITEMS = (st.text("a'\\\"\x1f\x00\x1a\né", max_size=4), st.text(), st.integers(), st.booleans(), st.none())


@given(items=st.one_of(*map(st.lists, _ITEMS), st.lists(st.one_of(_ITEMS))))
@pytest.mark.parametrize("status", [0, SERVER_STATUS.SERVER_STATUS_NO_BACKSLASH_ESCAPES])
def test_lists_are_escaped_as_pymysql_escapes_them(status: int, items: list[Any]) -> None:
    STOCK.server_status = FAST.server_status = status
    try:
        assert FAST.escape(items) == STOCK.escape(items)
        assert [FAST.escape(item) for item in items] == [STOCK.escape(item) for item in items]
    finally:
        STOCK.server_status = FAST.server_status = 0


HARD = ["a", "'", "\\", "a\\'; --", "b\x1fc", "%s", "%(keys)s", "(", "é", ""]


@pytest.mark.usefixtures("backend")
def test_every_server_finds_what_is_in_the_list(admin: RequestContext) -> None:
    of_list = sa.select(tables.tags.c.tag).where(tables.tags.c.tag.in_(ListParameter("keys")))
    others = sa.select(tables.tags.c.tag).where(tables.tags.c.tag.not_in(ListParameter("keys")))
    with tx.writer(admin) as t:
        t.insert_many(tables.tags, [{"resource_id": f"r{at}", "tag": tag} for at, tag in enumerate(HARD)])
        for keys in (HARD, HARD[:1], HARD[1:], []):
            assert sorted(row["tag"] for row in t.rows(of_list, keys=keys)) == sorted(keys)
            assert {row["tag"] for row in t.rows(others, keys=keys)} == {*HARD} - {*keys}
