# SPDX-License-Identifier: Apache-2.0

"""Rows on their way into statements: how many fit into one, and what a server's error about a value says."""

from __future__ import annotations

import pytest

from nova_sqlcore import exceptions, tables
from nova_sqlcore.core import connections, statements, values

KIB = 1024
ROOM = 64 * KIB


@pytest.mark.parametrize(
    ("value", "most"),
    [("x" * KIB, 2 * KIB), ("\u00e9" * KIB, 4 * KIB), (b"x" * KIB, 2 * KIB), (1, 0), (None, 0)],
    ids=["ascii", "text", "bytes", "number", "none"],
)
def test_rows_are_divided_by_the_most_that_they_may_take(value: object, most: int) -> None:
    rows = [{"a": value, "number": number} for number in range(1000)]
    found = list(values.parts(rows, ROOM))
    assert [row for part in found for row in part] == rows
    for part in found:
        assert most * len(part) < ROOM
    if most:
        assert (most + 100) * (len(found[0]) + 1) > ROOM - 4 * KIB, "the first part has room for more"


def test_a_row_that_is_too_long_comes_alone() -> None:
    long = {"a": "x" * ROOM}
    assert list(values.parts([{"a": "x"}, long, {"a": "y"}], ROOM)) == [[{"a": "x"}], [long], [{"a": "y"}]]


def refused(text: str) -> exceptions.DBDataError:
    return exceptions.DBDataError(Exception(text))


@pytest.mark.parametrize("statement", [tables.cells, tables.cells.insert()], ids=["table", "statement"])
def test_an_error_says_table_and_column(statement: object) -> None:
    error = values.placed(refused("Incorrect value: 'abc' for column 'name' at row 1"), statement)
    assert str(error) == "cells.name: Incorrect value: 'abc' for column 'name' at row 1"


def test_an_error_keeps_a_secret() -> None:
    error = values.placed(refused("Incorrect string value: 'hidden' for column 'transport_url' at row 1"), tables.cells)
    assert "hidden" not in str(error)
    assert str(error).startswith("cells.transport_url: ")


def test_the_greatest_character_of_a_server_can_be_stored() -> None:
    assert not statements._is_beyond("\uffff", "\uffff")
    assert statements._is_beyond("\U00010000", "\uffff")
    assert not statements._is_beyond("", "\uffff")


@pytest.mark.parametrize(
    ("params", "size"),
    [
        ("abc", 3),
        ("\u00e9", 2),
        ("it's\n", 7),
        ("\ud800", 1),
        (b"abc", 3),
        ({"a": "abc", "b": 5, "c": None}, 3),
        ([{"a": "abc"}, {"a": ["d", "e"]}], 5),
    ],
)
def test_the_size_of_parameters_is_that_of_their_text_with_escapes(params: object, size: int) -> None:
    assert connections._size(params) == size
