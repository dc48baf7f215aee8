# SPDX-License-Identifier: Apache-2.0

"""The short ways of the funnel give what the long ones give: past the checks of types, for many rows, for wide rows."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import exceptions, tables, tx
from nova_sqlcore.core import dialects, roads, shortcuts, types, values
from nova_sqlcore.core.statements import row_maker, with_parts

if TYPE_CHECKING:
    from collections.abc import Callable

    from nova_sqlcore import RequestContext

#: At, before and behind the bounds of the types below, and of types that look alike.
VALUES: tuple[Any, ...] = (
    *(0, 1, -1, True, False, 2**31 - 1, 2**31, -(2**31), -(2**31) - 1, 2**63, 1.5, "7"),
    *("", "a" * 9, "a" * 10, "a" * 11, "é" * 10, "é" * 11, "a\0b", "\ud800", b"a", types.Secret("a")),
    *(datetime.datetime(2026, 1, 2, 3, 4, 5, 678), datetime.datetime(2026, 1, 2, tzinfo=datetime.UTC), "2026-01-02"),
)
KINDS = (types.Integer(), types.BigInteger(), types.String(10), types.Text(), types.Boolean(), types.DateTime())
NAMES = ("sqlite", "mysql", "postgresql")


def outcome(call: Callable[..., Any], *args: Any) -> Any:
    """Return what a call gives, with its type, or the error."""
    try:
        result = call(*args)
    except (types.UnstorableValue, exceptions.DBDataError) as error:
        return type(error), str(error)
    return type(result), result


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", KINDS, ids=repr)
def test_a_value_goes_past_the_checks_only_as_it_is(kind: Any, name: str) -> None:
    def check(value: Any) -> Any:
        return kind.to_store(value, dialects.named(name))

    short = shortcuts.with_shortcut(kind, name, check)
    are_plain = shortcuts.all_plain(kind, name)
    for value in VALUES:
        assert outcome(short, value) == outcome(check, value), repr(value)
        if are_plain is not None and are_plain([value]):
            assert outcome(check, value) == (type(value), value)


TABLE = tables.certificates
ROWS: list[list[dict[str, Any]]] = [
    [],
    [{"file_name": "a"}, {"file_name": "b"}],
    [{"file_name": "a", "user_id": "u"}, {"user_id": "u", "file_name": "b"}],
    [{"file_name": "a"}, {"user_id": "b"}],
    [{"file_name": "a"}, {"file_name": None}],
    [{"file_name": "é"}, {"file_name": 7}],
    [{"file_name": "a", "id": 5}, {"file_name": "b", "id": 6}],
    [{"file_name": "a"}, {"file_name": "a" * 256}],
    [{"file_name": "a", "deleted": 2**31}],
]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rows", ROWS)
@pytest.mark.usefixtures("frozen_clock")
def test_rows_are_completed_together_as_one_by_one(rows: list[dict[str, Any]], name: str) -> None:
    dialect = dialects.named(name)

    def one_by_one() -> list[Any]:
        return [values.complete(TABLE, row, dialect) for row in rows]

    assert outcome(lambda: values.complete_all(TABLE, rows, dialect)) == outcome(one_by_one)


@pytest.mark.parametrize("count", [0, 1, 2, 15, 16, 60])
def test_rows_of_any_width(count: int) -> None:
    names = [f"it's {place}" for place in range(count)]
    make = row_maker(names, [str if place % 2 else None for place in range(count)])
    records = [tuple(range(count)), (None,) * count]
    wanted = [{name: str(place) if place % 2 else place for place, name in enumerate(names)}, dict.fromkeys(names)]
    assert make(records) == wanted
    assert make([]) == []


@pytest.mark.parametrize("count", [0, 1, 12, 13, 14, 40])
def test_rows_with_parts(count: int) -> None:
    own = [f"n{place}" for place in range(count)]
    names = [*own[: count // 2], "part_id", "part_it's", "other_part_id", "other_part_x", *own[count // 2 :]]
    make = row_maker(names, [str if name == "part_it's" else None for name in names], ("part", "other_part"))
    first, second = dict(zip(names, range(len(names)), strict=True)), dict.fromkeys(names, 7) | {"part_id": None}
    rest = [{name: values[name] for name in own} for values in (first, second)]
    at = count // 2
    assert make([tuple(first.values()), tuple(second.values())]) == [
        rest[0] | {"part": {"id": at, "it's": str(at + 1)}, "other_part": {"id": at + 2, "x": at + 3}},
        rest[1] | {"part": None, "other_part": {"id": 7, "x": 7}},
    ]


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("road", [roads.DRIVER, roads.CORE], ids=["driver", "core"])
def test_parts_on_either_road(admin: RequestContext, road: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(roads, "USUAL", road)
    rows = sa.select(
        TABLE.c.file_name, TABLE.c.id.label("part_id"), TABLE.c.created_at.label("part_created_at")
    ).order_by(TABLE.c.id)
    none = sa.select(TABLE.c.id, sa.null().label("part_id"), sa.literal(1).label("part_x"))
    with tx.writer(admin) as t:
        stored = [t.insert(TABLE, {"file_name": name}) for name in "ab"]
        assert t.rows(with_parts(rows, "part")) == [
            {"file_name": row["file_name"], "part": {"id": row["id"], "created_at": row["created_at"]}}
            for row in stored
        ]
        assert t.row(with_parts(none, "part").order_by(TABLE.c.id)) == {"id": stored[0]["id"], "part": None}
