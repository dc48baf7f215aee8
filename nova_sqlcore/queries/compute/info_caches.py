# SPDX-License-Identifier: Apache-2.0

"""Info caches: what an instance's network looks like, as JSON text.  Table ``instance_info_caches``.

An instance has one row for ever: its key does not end with ``deleted``. Users see the rows of all projects here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nova_sqlcore import exceptions, tx
from nova_sqlcore.context import require_context
from nova_sqlcore.core.values import refuse_unknown
from nova_sqlcore.queries.common.clauses import changes
from nova_sqlcore.queries.common.conversions import convert_objects_related_datetimes
from nova_sqlcore.queries.common.lookups import row_by, soft_delete_by, update_by
from nova_sqlcore.tables import instance_info_caches as t
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context
    from nova_sqlcore.core.handles import Row
    from nova_sqlcore.tx import Transaction


@require_context
@tx.reader
def instance_info_cache_get(context: Context, instance_uuid: str) -> rows.InstanceInfoCache | None:
    """Return the info cache of the instance if the context may see it, or None.

    Cost: 1 statement in 1 round trip.
    """
    return row_by(current(context), t, context.read_deleted, instance_uuid=instance_uuid)


@require_context
@tx.writer
def instance_info_cache_update(
    context: Context, instance_uuid: str, values: Mapping[str, Any]
) -> rows.InstanceInfoCache:
    """Write the given columns of the instance's info cache, or store a new one, and return it.

    A soft-deleted cache stays as it is and is returned, and so is one that shall go to an instance which has its own.
    Cost: 1 statement, 2 on the MySQL family; 2 for a new cache, 3 if there is a soft-deleted one; in 1 round trip, 2
    for a new cache.
    Raises: InstanceInfoCacheNotFound(instance_uuid) if the context may see soft-deleted caches and this is one;
    DBError for an unknown column of a new cache; DBReferenceError for an instance that doesn't exist, not on sqlite.
    """
    given = convert_objects_related_datetimes(dict(values))
    transaction = current(context)
    row = None
    if context.read_deleted != "only":
        row = _write_live(transaction, instance_uuid, given)
    if row is None:
        refuse_unknown(t, given)
        row = transaction.last().insert_absent(t, given | {"instance_uuid": instance_uuid})
    if row is None:
        row = row_by(transaction, t, "yes", instance_uuid=instance_uuid)
        if row is None or (row["deleted"] and context.read_deleted != "no"):
            raise exceptions.InstanceInfoCacheNotFound(instance_uuid=instance_uuid)
    return row


def _write_live(transaction: Transaction, instance_uuid: str, given: Row) -> rows.InstanceInfoCache | None:
    """Change the live cache and return it, or None if there is none.

    An upsert would be one statement for a new cache too, but it takes a number from the sequence of ids each time: a
    cloud that heals its caches every minute would run out of them.
    """
    written = changes(t, given, transaction)
    if not written:
        return row_by(transaction.last(), t, "no", instance_uuid=instance_uuid)
    if "instance_uuid" not in written:
        return update_by(transaction.last(), t, "no", written, instance_uuid=instance_uuid)
    try:
        with transaction.savepoint_later():
            return update_by(transaction, t, "no", written, instance_uuid=instance_uuid)
    except exceptions.DBDuplicateEntry:
        return row_by(transaction, t, "no", instance_uuid=instance_uuid)


@require_context
@tx.writer
def instance_info_cache_delete(context: Context, instance_uuid: str) -> None:
    """Soft-delete the info cache of the instance, if there is one that the context may see.

    Cost: 1 statement in 1 round trip.
    """
    soft_delete_by(current(context).last(), t, context.read_deleted, instance_uuid=instance_uuid)
