# SPDX-License-Identifier: Apache-2.0

"""Instance extra: the wide parts of an instance, as JSON texts.  Table ``instance_extra``.

An instance has one row; no unique key says so. Users see the rows of all projects here.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, cast

import sqlalchemy as sa

from nova_sqlcore import tx
from nova_sqlcore.core import types
from nova_sqlcore.core.texts import nearest, quoted
from nova_sqlcore.queries.common.arguments import also_named
from nova_sqlcore.queries.common.clauses import columns, visible
from nova_sqlcore.queries.common.lookups import Shape, bulk_changes, count_updated_by, equal, shape_of
from nova_sqlcore.queries.common.only_one import insert_only
from nova_sqlcore.tables import instance_extra as t
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context

_TEXTS: Final = tuple(column.name for column in columns(t) if isinstance(column.type, types.Text))


@functools.lru_cache(maxsize=256)
def _select_statement(read_deleted: str, shape: Shape, texts: tuple[str, ...]) -> sa.Select[Any]:
    """Return the SELECT of one row: a live one first, then the one with the highest id."""
    wanted = (column for column in columns(t) if column.name not in _TEXTS or column.name in texts)
    is_dead = sa.case((t.c.deleted == 0, 0), else_=1)
    where = (*equal(t, shape), *visible(t, read_deleted))
    return sa.select(*wanted).where(*where).order_by(is_dead, t.c.id.desc()).limit(1)


@tx.reader
def instance_extra_get_by_instance_uuid(
    context: Context, instance_uuid: str, columns: Sequence[str] | None = None
) -> rows.InstanceExtra | None:
    """Return the extra of the instance if the context may see it, or None.

    ``columns`` names the texts that the row shall hold, any of ``numa_topology, pci_requests, flavor, vcpu_model,
    migration_context``; the others are not keys of it then. The short columns are always there.
    Cost: 1 statement in 1 round trip.
    Raises: ValueError for a name that is not a column.
    """
    shape, params = shape_of({"instance_uuid": instance_uuid})
    statement = _select_statement(context.read_deleted, shape, _TEXTS if columns is None else _texts(columns))
    return cast("rows.InstanceExtra | None", current(context).row(statement, **params))


def _texts(names: Sequence[str]) -> tuple[str, ...]:
    for name in names:
        if name not in t.c.keys():  # noqa: SIM118  # of a collection of columns text alone may be asked
            raise ValueError(f"{t.name} has no column {quoted(name)}{nearest(name, _TEXTS)}")
    return tuple(name for name in _TEXTS if name in names)


@also_named(updates="values")
@tx.writer
def instance_extra_update_by_uuid(context: Context, instance_uuid: str, values: Mapping[str, Any]) -> int:
    """Write the given columns, and ``updated_at`` in any case, and return the number of rows.

    If the instance has none, one is stored. A row that the context may not see, such as a soft-deleted one, stays the
    only one, and as it is: the number is 0 then.
    Cost: 1 statement; 2 for a new row on sqlite, else 3; in 1 round trip, 2 for a new row.
    Raises: DBError for an unknown column; DBReferenceError for an instance that doesn't exist, not on sqlite.
    """
    transaction = current(context)
    written = bulk_changes(transaction, t, values)

    def update() -> int:
        return count_updated_by(transaction.last(), t, context.read_deleted, written, instance_uuid=instance_uuid)

    count = update()
    if count:
        return count
    new = insert_only(transaction.last(), t, {**values, "instance_uuid": instance_uuid}, ("instance_uuid",))
    return update() if new is None else 1
