# SPDX-License-Identifier: Apache-2.0

"""Orphans: rows that hang on a row which is not there, by a foreign key or by a value.

A soft-deleted parent is there. Keys that a server enforces have orphans too, for it can be told not to look.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa

from nova_sqlcore import tables, tx
from nova_sqlcore.queries.common.clauses import arg
from nova_sqlcore.queries.maintenance.trees import RELATIONS, Relation
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Callable

    from nova_sqlcore.context import Context

#: What the trees do not tell: these tables are never archived.
_PLACEMENT: Final = tuple(
    Relation(child.c.resource_provider_id, tables.resource_providers.c.id)
    for child in (tables.inventories, tables.allocations, tables.resource_provider_aggregates)
)
#: Snapshots are those of volumes, which another service keeps.
_ELSEWHERE: Final = (tables.snapshots,)

_LOOKED_AT: Final = (*(one for one in RELATIONS if one.parent.table not in _ELSEWHERE), *_PLACEMENT)


class Orphans(NamedTuple):
    """Rows of ``table`` whose ``column`` names a row of ``parent`` that is not there."""

    table: str
    column: str
    parent: str
    rows: int


@functools.cache
def _count_statement(relation: Relation) -> sa.Select[Any]:
    number = sa.literal_column("1", sa.Integer)
    parent = sa.exists(number).where(relation.link_clause).correlate(relation.child)
    where = (relation.column.is_not(None), ~parent)
    some = sa.select(number.label("one")).select_from(relation.child).where(*where).limit(arg("limit")).subquery()
    return sa.select(sa.func.count()).select_from(some)


@tx.main.reader
def orphans_count(context: Context, limit: int, *, progress: Callable[[str], object] | None = None) -> list[Orphans]:
    """Return how many rows hang on nothing, by table and column; no more than ``limit`` of each are counted.

    ``progress`` is told each table before it is read.
    Cost: 37 statements, one for each relation.
    """
    transaction = current(context)
    found = []
    for one in _LOOKED_AT:
        if progress is not None:
            progress(one.child.name)
        count = transaction.scalar(_count_statement(one), limit=limit)
        if count:
            found.append(Orphans(one.child.name, one.column.name, one.parent.table.name, count))
    return found
