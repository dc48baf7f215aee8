# SPDX-License-Identifier: Apache-2.0

"""Faults: the errors that an instance has met, newest first.  Table ``instance_faults``."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from nova_sqlcore import tx
from nova_sqlcore.core.equality import exactly
from nova_sqlcore.queries.common.clauses import arg_list, columns, rows_in, select_statement, visible
from nova_sqlcore.tables import instance_faults as t
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context

_NEWEST_FIRST = (t.c.created_at.desc(), t.c.id.desc())
_LIVE_STATEMENT = select_statement(t).where(t.c.instance_uuid.in_(arg_list("uuids")), *visible(t, "no"))
_ALL_STATEMENT = _LIVE_STATEMENT.order_by(*_NEWEST_FIRST)


@functools.cache
def _newest_statement() -> sa.Select[Any]:
    place = sa.func.row_number().over(partition_by=exactly(t.c.instance_uuid), order_by=_NEWEST_FIRST)
    placed = _LIVE_STATEMENT.add_columns(place.label("place")).subquery("placed")
    return sa.select(*(placed.c[column.name] for column in columns(t))).where(placed.c.place == 1)


@tx.reader
def instance_fault_get_by_instance_uuids(
    context: Context, instance_uuids: Sequence[str], *, latest: bool = False
) -> dict[str, list[rows.InstanceFault]]:
    """Return the live faults of each of these instances, newest first; of each the newest alone if ``latest``.

    Every uuid that is asked for is a key.
    Cost: 1 statement per 500 instances; none without any; in 1 round trip.
    """
    faults: dict[str, list[rows.InstanceFault]] = {uuid: [] for uuid in instance_uuids}
    asked = {str(uuid): uuid for uuid in faults}
    statement = _newest_statement() if latest else _ALL_STATEMENT
    for row in rows_in(current(context), statement, "uuids", list(faults)):
        faults[asked[row["instance_uuid"]]].append(cast("rows.InstanceFault", row))
    return faults


@tx.writer
def instance_fault_create(context: Context, values: Mapping[str, Any]) -> rows.InstanceFault:
    """Store a fault and return it.

    Cost: 1 statement in 1 round trip.
    Raises: DBError without a code; DBReferenceError for an instance that doesn't exist, not on sqlite.
    """
    return current(context).last().insert(t, values)
