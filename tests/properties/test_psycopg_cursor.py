# SPDX-License-Identifier: Apache-2.0

"""Whatever statements follow one another, the short way of prepared ones gives what psycopg's own cursor gives."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given, settings, strategies as st

from nova_sqlcore.core.psycopg_cursor import FastCursor
from tests.core.test_psycopg_cursor import connected, told

if TYPE_CHECKING:
    from tests.plugins.backend import Backend

pytestmark = pytest.mark.only_on("postgresql", why="psycopg is the driver of that family alone")

_ZONES: Any = st.sampled_from([None, datetime.UTC])
_SCALARS: Final = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False)
    | st.decimals(allow_nan=False, allow_infinity=False)
    | st.text()
    | st.binary()
    | st.datetimes(min_value=datetime.datetime(1, 1, 2), timezones=_ZONES)
    | st.dates()
    | st.times()
    | st.uuids()
)
_VALUES: Final = _SCALARS | st.lists(st.integers(-(2**40), 2**40) | st.none()) | st.lists(st.text(max_size=3))
_TEXTS: Final = (
    "SELECT %(a)s AS a, %(b)s AS b",
    "SELECT %(b)s AS b, 1 / CASE WHEN %(a)s IS NULL THEN 0 ELSE 1 END AS one",
    "SELECT number, %(a)s AS a FROM generate_series(1, 3) AS number",
    "UPDATE numbers SET number = number + 1 WHERE number > 0 OR %(a)s IS NULL",
    "BEGIN",
    "SAVEPOINT one",
    "ROLLBACK TO one",
    "COMMIT",
    "ROLLBACK",
    "DEALLOCATE ALL",
    "SET TimeZone = 'Asia/Tokyo'",
    "SET TimeZone = 'UTC'",
)
_STEPS: Final = st.lists(st.tuples(st.sampled_from(_TEXTS), _VALUES, _VALUES, st.integers(1, 5)), min_size=1)


@given(steps=_STEPS)
@settings(max_examples=20)
def test_same_steps_same_answers(backend: Backend, steps: list[tuple[str, Any, Any, int]]) -> None:
    with connected(backend) as one, connected(backend) as other:
        cursors = one.cursor(), FastCursor(other)
        for cursor in cursors:
            cursor.execute("CREATE TEMP TABLE numbers AS SELECT 1 AS number")
        for text, a, b, times in steps:
            for _ in range(times):
                for value in (a, b):
                    params = {"a": value, "b": b} if "%" in text else None
                    stock, fast = (told(cursor, text, params) for cursor in cursors)
                    told_of = [told(cursor, "SELECT 1 AS between", None) for cursor in cursors]
                    assert fast == stock
                    assert told_of[0] == told_of[1]
