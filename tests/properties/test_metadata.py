# SPDX-License-Identifier: Apache-2.0

"""Metadata that turns into other metadata: what stays keeps its row, and nothing else is touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
import sqlalchemy as sa
from hypothesis import given, settings, strategies as st

from nova_sqlcore import RequestContext, api, get_admin_context, tables, tx

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.backend import Backend
    from tests.plugins.clock import FrozenClock

Row = dict[str, Any]
Pairs = dict[str, str]

INSTANCE = "00000000-0000-0000-0000-000000000001"


class Way(NamedTuple):
    """One of the functions that change metadata."""

    table: sa.Table
    #: makes the pairs, and returns what ``change`` takes for them
    make: Callable[[RequestContext, Pairs], Any]
    #: takes the new pairs, and whether no others shall stay
    change: Callable[[RequestContext, Any, Pairs, bool], Any]
    #: whether others may stay at all
    keeps: bool = True
    #: whether what goes is gone for good
    erases: bool = False


def instance_with(context: RequestContext, **metadata: Pairs) -> str:
    api.instance_create(context, {"uuid": INSTANCE, "project_id": context.project_id, **metadata})
    return INSTANCE


WAYS = {
    "instance_metadata_update": Way(
        tables.instance_metadata,
        lambda context, pairs: instance_with(context, metadata=pairs),
        api.instance_metadata_update,
    ),
    "instance_system_metadata_update": Way(
        tables.instance_system_metadata,
        lambda context, pairs: instance_with(context, system_metadata=pairs),
        api.instance_system_metadata_update,
    ),
    "instance_update of metadata": Way(
        tables.instance_metadata,
        lambda context, pairs: instance_with(context, metadata=pairs),
        lambda context, uuid, pairs, _: api.instance_update(context, uuid, {"metadata": pairs}),
        keeps=False,
    ),
    "instance_update of system_metadata": Way(
        tables.instance_system_metadata,
        lambda context, pairs: instance_with(context, system_metadata=pairs),
        lambda context, uuid, pairs, _: api.instance_update(context, uuid, {"system_metadata": pairs}),
        keeps=False,
        erases=True,
    ),
    "aggregate_metadata_add": Way(
        tables.aggregate_metadata,
        lambda context, pairs: api.aggregate_create(context, {"name": "one"}, pairs)["id"],
        api.aggregate_metadata_add,
    ),
    "aggregate_update": Way(
        tables.aggregate_metadata,
        lambda context, pairs: api.aggregate_create(context, {"name": "one"}, pairs)["id"],
        lambda context, number, pairs, _: api.aggregate_update(context, number, {"metadata": pairs}),
        keeps=False,
    ),
}

#: How many pairs; 50 are changed by one statement.
COUNT = st.sampled_from([0, 1, 2, 49, 50, 51, 101])
VALUES = ["", "x", "zürich"]


@st.composite
def changes(draw: st.DrawFn) -> tuple[Pairs, Pairs]:
    """Return metadata before and after: so many pairs stay, change, go and come."""
    before: Pairs = {}
    after: Pairs = {}
    for what in ("stays", "changes", "goes", "comes"):
        for number in range(draw(COUNT)):
            key, value = f"{what} {number}", VALUES[number % 3]
            if what != "comes":
                before[key] = value
            if what != "goes":
                after[key] = f"{value}!" if what == "changes" else value
    return before, after


def rows_of(table: sa.Table) -> dict[str, Row]:
    """Return the rows of metadata by key."""
    with tx.reader(get_admin_context()) as transaction:
        rows = transaction.rows(sa.select(table))
    found = {row["key"]: row for row in rows}
    assert len(found) == len(rows)
    return found


@pytest.mark.parametrize("way", WAYS.values(), ids=WAYS.keys())
@settings(max_examples=15)
@given(pairs=changes(), delete=st.booleans())
def test_changes(
    backend: Backend,
    empty_tables: Callable[[], None],
    frozen_clock: FrozenClock,
    way: Way,
    pairs: tuple[Pairs, Pairs],
    delete: bool,
) -> None:
    empty_tables()
    context = get_admin_context()
    before, after = pairs
    owner = way.make(context, before)
    old = rows_of(way.table)
    now = frozen_clock.advance(1)
    way.change(context, owner, after, delete)

    new = rows_of(way.table)
    others_go = delete or not way.keeps
    changed = {"updated_at": now}
    gone = {"deleted_at": now}
    for key, row in old.items():
        if key in after and after[key] != before[key]:
            old[key] = row | changed | {"value": after[key]}
        elif key not in after and others_go:
            old[key] = row | gone | {"deleted": row["id"]}
    came = {key: new.pop(key) for key in after.keys() - before.keys()}
    if way.erases:
        old = {key: row for key, row in old.items() if key in after}
    assert new == old
    assert {key: row["value"] for key, row in came.items()} == {key: after[key] for key in came}
    assert all((row["created_at"], row["updated_at"], row["deleted"]) == (now, None, 0) for row in came.values())
