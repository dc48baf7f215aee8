# SPDX-License-Identifier: Apache-2.0

"""Legal values of columns: what every server can store, in all forms in which callers hand it over."""

from __future__ import annotations

import datetime
import functools
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from nova_sqlcore import tables
from nova_sqlcore.core import types

if TYPE_CHECKING:
    import sqlalchemy as sa
    from hypothesis.strategies import SearchStrategy

Row = dict[str, Any]

#: The MySQL family stores no more of Unicode, and PostgreSQL no NUL; a few tables have an older charset.
_CHARACTERS = st.characters(max_codepoint=0xFFFF, exclude_categories=["Cs"], exclude_characters="\0")
_ASCII = st.characters(codec="ascii", exclude_characters="\0")
_ADDRESSES = st.ip_addresses() | st.ip_addresses(network="::ffff:0:0/96") | st.ip_addresses(network="::/96")


def _integers(limit: int) -> SearchStrategy[Any]:
    numbers = st.integers(-limit - 1, limit)
    return numbers | numbers.map(str)


def _texts(table: sa.Table, length: int) -> SearchStrategy[Any]:
    is_latin = table.kwargs["mysql_charset"] == "latin1"
    texts = st.text(_ASCII if is_latin else _CHARACTERS, max_size=length)
    return texts | st.integers(-(10**8), 10**8) | st.uuids() if length >= 36 else texts


def values_of(column: sa.Column[Any]) -> SearchStrategy[Any]:
    """Return a strategy for the values of a column."""
    match column.type:
        case types.Integer() as kind:
            return _integers(kind.limit)
        case types.Float():
            return st.floats(-1e30, 1e30, allow_subnormal=False).filter(lambda value: value == 0 or abs(value) > 1e-30)
        case types.Boolean():
            return st.booleans() | st.sampled_from([0, 1])
        case types.Enum() as kind:
            return st.sampled_from(kind.words)
        case types.String() as kind:
            return _texts(column.table, kind.length)
        case types.Text():
            return _texts(column.table, 10_000)
        case types.DateTime():
            # MySQL begins with the year 1000; the margins are for zones
            least, most = datetime.datetime(1001, 1, 1), datetime.datetime(9998, 12, 31)
            return st.datetimes(least, most) | st.datetimes(least, most, timezones=st.timezones())
        case types.IPAddress():
            return _ADDRESSES | _ADDRESSES.map(str) | _ADDRESSES.map(lambda address: address.exploded.upper())
        case types.CIDR():
            return _ADDRESSES.flatmap(_networks)
    raise AssertionError(f"no values for {column.type!r}")


def _networks(address: Any) -> SearchStrategy[str]:
    return st.integers(0, address.max_prefixlen).map(lambda length: f"{address}/{length}") | st.just(str(address))


def _writable(table: sa.Table) -> list[sa.Column[Any]]:
    """Return the columns that refer to no other table, and are not what marks rows."""
    return [
        column
        for column in tables.row_columns(table)
        if not column.foreign_keys and column.name not in ("id", "deleted")
    ]


@functools.cache
def rows_of(table: sa.Table) -> SearchStrategy[Row]:
    """Return a strategy for what a caller stores: what must be given, and some of the rest; None asks for a default."""
    required, optional = {}, {}
    for column in _writable(table):
        if column.nullable or column.default is not None or column.server_default is not None:
            optional[column.name] = values_of(column) | st.none()
        else:
            required[column.name] = values_of(column)
    return st.fixed_dictionaries(required, optional=optional)


@functools.cache
def changes_of(table: sa.Table) -> SearchStrategy[Row]:
    """Return a strategy for what a caller writes to a row that is there."""
    values = {
        column.name: values_of(column) | st.none() if column.nullable else values_of(column)
        for column in _writable(table)
    }
    return st.fixed_dictionaries({}, optional=values)
