# SPDX-License-Identifier: Apache-2.0

"""The types of rows are those of the tables."""

from __future__ import annotations

import datetime
import inspect
import re
import types
import typing
from typing import Any

import pytest

from nova_sqlcore import rows, tables
from nova_sqlcore.core.types import Boolean, DateTime, Float, Integer

#: Every class says in its docstring which table it belongs to; those of rows with children don't.
TABLE_OF = {
    kind: found.group(1)
    for _, kind in inspect.getmembers(rows, typing.is_typeddict)
    if (found := re.fullmatch(r"A row of ``(\w+)``\.", kind.__doc__ or ""))
}


PYTHON: dict[type, Any] = {Boolean: bool, DateTime: datetime.datetime, Float: float, Integer: int}


def python_type(column: Any) -> Any:
    """Return what a column holds; the mark of soft delete is never NULL, for the library fills it."""
    python = next((python for kind, python in PYTHON.items() if isinstance(column.type, kind)), str)
    may_be_null = column.nullable and not column.primary_key and column.name != "deleted"
    return python | types.NoneType if may_be_null else python


def test_every_table_has_a_row_type() -> None:
    named = sorted(TABLE_OF.values())
    main = {*tables.shadows} | {table.name for table in tables._WITHOUT_SHADOW}
    assert named == sorted(main - {"migrate_version"})


@pytest.mark.parametrize("kind", TABLE_OF, ids=lambda kind: str(kind.__name__))
def test_keys_and_types(kind: Any) -> None:
    columns = tables.row_columns(tables.metadata.tables[TABLE_OF[kind]])
    assert typing.get_type_hints(kind) == {column.name: python_type(column) for column in columns}
