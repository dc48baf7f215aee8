# SPDX-License-Identifier: Apache-2.0

"""Block device mappings: what each disk of an instance is: a volume, an image, or blank.

Table ``block_device_mapping``.  Values may come in the legacy format, and do unless ``legacy`` is False: creating
converts them always, updating only if they hold a field that the stored format lacks. Nothing is unique here: an
instance may have several mappings of one device or volume.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, cast

import sqlalchemy as sa

from nova_sqlcore import clock, tx
from nova_sqlcore.context import require_context
from nova_sqlcore.core.texts import quoted
from nova_sqlcore.core.values import complete
from nova_sqlcore.queries.common.clauses import (
    arg,
    arg_list,
    changes,
    columns,
    deleted_now,
    different,
    rows_in,
    select_statement,
    soft_delete_statement,
    split,
    visible,
)
from nova_sqlcore.queries.common.conversions import convert_objects_related_datetimes
from nova_sqlcore.queries.common.lookups import (
    BY,
    Shape,
    bulk_changes,
    equal,
    rows_by,
    shape_of,
    soft_delete_by,
    soft_delete_by_id,
    update_by_id,
    update_later_by_id,
)
from nova_sqlcore.queries.common.only_one import hold
from nova_sqlcore.queries.compute import rows as instance_rows
from nova_sqlcore.queries.storage.block_device_format import BlockDeviceDict, is_safe_for_update, new_format_is_swap
from nova_sqlcore.tables import block_device_mapping as t, instances
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context
    from nova_sqlcore.core.dialects import Dialect
    from nova_sqlcore.core.handles import Row, Select
    from nova_sqlcore.tx import Transaction

_INSTANCE: Final = "instance_of_"
#: The id of no row.
_NO_ID: Final = 0


@functools.cache
def _of_instances_statement(read_deleted: str) -> Select[rows.BlockDeviceMapping]:
    where = (t.c.instance_uuid.in_(arg_list("uuids")), *visible(t, read_deleted))
    return select_statement(t).where(*where).order_by(t.c.id)


@functools.lru_cache(maxsize=64)
def _of_volume_statement(read_deleted: str, shape: Shape, with_instance: bool, only_first: bool) -> sa.Select[Any]:
    """Return the SELECT of the mappings with this key; live ones have their instance, in whatever state that is."""
    statement: sa.Select[Any] = select_statement(t).where(*equal(t, shape), *visible(t, read_deleted)).order_by(t.c.id)
    if with_instance:
        owner = sa.and_(instances.c.uuid == t.c.instance_uuid, t.c.deleted == 0)
        statement = statement.select_from(t.outerjoin(instances, owner)).add_columns(*columns(instances, _INSTANCE))
    return statement.limit(1) if only_first else statement


@functools.lru_cache(maxsize=64)
def _locked_device_statement(read_deleted: str, shape: Shape, dialect: Dialect) -> Select[rows.BlockDeviceMapping]:
    where = (*equal(t, shape), *visible(t, read_deleted))
    return dialect.lock_row(select_statement(t).where(*where).order_by(t.c.id).limit(1))


@functools.lru_cache(maxsize=64)
def _destroy_other_swap_statement(read_deleted: str, shape: Shape) -> sa.Update:
    is_swap = (t.c.source_type == "blank", t.c.guest_format == "swap")
    return soft_delete_statement(t).where(
        *equal(t, shape, BY), *is_swap, t.c.id != arg("kept_id"), *visible(t, read_deleted)
    )


@require_context
@tx.reader.allow_async
def block_device_mapping_get_all_by_instance(context: Context, instance_uuid: str) -> list[rows.BlockDeviceMapping]:
    """Return the instance's mappings that the context may see, by id.

    Cost: 1 statement in 1 round trip.
    """
    return rows_by(current(context), t, context.read_deleted, instance_uuid=instance_uuid)


@require_context
@tx.reader.allow_async
def block_device_mapping_get_all_by_instance_uuids(
    context: Context, instance_uuids: Collection[str] | None
) -> list[rows.BlockDeviceMapping]:
    """Return the mappings of these instances that the context may see, by id.

    Cost: 1 statement per 500 instances, none without instances; in 1 round trip.
    """
    uuids = list(dict.fromkeys(instance_uuids or ()))
    found = rows_in(current(context), _of_instances_statement(context.read_deleted), "uuids", uuids)
    found.sort(key=lambda row: row["id"])
    return found


@require_context
@tx.reader
def block_device_mapping_get_all_by_volume_id(
    context: Context, volume_id: str, columns_to_join: Sequence[str] | None = None
) -> list[rows.BlockDeviceMappingWithInstance]:
    """Return the volume's mappings that the context may see, by id.

    With ``columns_to_join`` ("instance",) each has its ``instance``; a soft-deleted mapping has None there.
    Cost: 1 statement in 1 round trip.
    Raises: ValueError for another join.
    """
    return _find_of_volume(context, columns_to_join, only_first=False, volume_id=volume_id)


@require_context
@tx.reader
def block_device_mapping_get_by_instance_and_volume_id(
    context: Context, volume_id: str, instance_uuid: str, columns_to_join: Sequence[str] | None = None
) -> rows.BlockDeviceMappingWithInstance | None:
    """Return the instance's first mapping of the volume that the context may see, or None; joins as for a volume.

    Cost: 1 statement in 1 round trip.
    Raises: ValueError for another join.
    """
    found = _find_of_volume(context, columns_to_join, only_first=True, volume_id=volume_id, instance_uuid=instance_uuid)
    return found[0] if found else None


def _find_of_volume(
    context: Context, joins: Sequence[str] | None, *, only_first: bool, **key: str
) -> list[rows.BlockDeviceMappingWithInstance]:
    for join in joins or ():
        if join != "instance":
            raise ValueError(f"a block device mapping has no join {quoted(join)}; there is 'instance'")
    shape, params = shape_of(key)
    found = current(context).rows(_of_volume_statement(context.read_deleted, shape, bool(joins), only_first), **params)
    if joins:
        for row in found:
            instance = split(row, _INSTANCE)
            row["instance"] = None if instance is None else instance_rows.named(instance)
    return cast("list[rows.BlockDeviceMappingWithInstance]", found)


@require_context
@tx.writer
def block_device_mapping_create(
    context: Context, values: Mapping[str, Any], legacy: bool = True
) -> rows.BlockDeviceMapping:
    """Store a new mapping and return it.

    Cost: 1 statement in 1 round trip.
    Raises: InvalidBDMFormat(details) for legacy values; DBReferenceError for an instance that doesn't exist, not on
    sqlite.
    """
    return current(context).last().insert(t, _converted(values, always=legacy))


@require_context
@tx.writer
def block_device_mapping_update(
    context: Context, bdm_id: int, values: Mapping[str, Any], legacy: bool = True
) -> rows.BlockDeviceMapping | None:
    """Write the given columns, and ``updated_at`` in any case; return the mapping, or None if the context sees none.

    None too if it is the values that hide it.
    Cost: 1 statement; 2 on the MySQL family; in 1 round trip.
    Raises: InvalidBDMFormat(details) for legacy values; DBError for an unknown column.
    """
    transaction = current(context)
    given = bulk_changes(transaction, t, _converted(values, always=legacy and not is_safe_for_update(values)))
    row = update_by_id(transaction.last(), t, context.read_deleted, bdm_id, given)
    return row if row is None or _shows(context, row) else None


def _shows(context: Context, row: rows.BlockDeviceMapping) -> bool:
    return context.read_deleted == "yes" or (context.read_deleted == "only") is (row["deleted"] != 0)


@tx.writer
def block_device_mapping_update_or_create(
    context: Context, values: Mapping[str, Any], legacy: bool = True
) -> rows.BlockDeviceMapping:
    """Write the values to the instance's first mapping of their ``device_name``, or store a new one; return it.

    Without a device name it is always a new one. If the values are swap space, all other swap space of the instance is
    soft-deleted.
    Cost: 1 statement without a device name, else 2; 1 more for swap space; for either 1 more on PostgreSQL, 2 on the
    MySQL family; in 2 round trips, 1 without a device name.
    Lock: for either the instance's name among the mappings; then the mapping's row.
    Raises: KeyError without the key ``device_name``; InvalidBDMFormat(details) for legacy values; TypeError for an
    unknown column of a new mapping.
    """
    transaction = current(context)
    given = _converted(values, always=legacy and not is_safe_for_update(values))
    is_swap = new_format_is_swap(given)
    row = None
    if given["device_name"] or is_swap:
        hold(transaction, t.name, given["instance_uuid"])
    if given["device_name"]:
        shape, params = shape_of({name: given[name] for name in ("instance_uuid", "device_name")})
        row = transaction.row(_locked_device_statement(context.read_deleted, shape, transaction.dialect), **params)
    if row is None:
        return _insert(context, given, is_swap)
    row = _write(transaction, row, given)
    if is_swap:
        _destroy_swap(context, given["instance_uuid"], but=row["id"])
    return row


def _insert(context: Context, given: Row, is_swap: bool) -> rows.BlockDeviceMapping:
    """Store a new mapping; other swap space goes before it comes, so that COMMIT can travel with the INSERT."""
    unknown = [str(name) for name in given if name not in t.c]
    if unknown:
        raise TypeError(f"{t.name} has no column {', '.join(unknown)}")
    transaction = current(context)
    if is_swap:
        given = complete(t, given, transaction.dialect)  # a bad value is refused before anything goes
        _destroy_swap(context, given["instance_uuid"], but=_NO_ID)
    return transaction.last().insert(t, given)


def _destroy_swap(context: Context, instance_uuid: str, but: int) -> None:
    """Soft-delete the swap space of the instance but for this one."""
    shape, params = shape_of({"instance_uuid": instance_uuid}, BY)
    statement = _destroy_other_swap_statement(context.read_deleted, shape)
    current(context).later.execute(statement, kept_id=but, **params, **deleted_now())


def _write(transaction: Transaction, row: rows.BlockDeviceMapping, given: Mapping[str, Any]) -> rows.BlockDeviceMapping:
    """Write to a locked row what differs from it, and return the row as it is then."""
    new = different(row, changes(t, given, transaction))
    if not new:
        return row
    written = changes(t, {"updated_at": clock.utcnow(), **new}, transaction)
    update_later_by_id(transaction, t, row["id"], written)
    return cast("rows.BlockDeviceMapping", row | written)


@require_context
@tx.writer
def block_device_mapping_destroy(context: Context, bdm_id: int) -> None:
    """Soft-delete the mapping with this id, if the context may see it.

    Cost: 1 statement in 1 round trip.
    """
    soft_delete_by_id(current(context).last(), t, context.read_deleted, bdm_id)


@require_context
@tx.writer
def block_device_mapping_destroy_by_instance_and_volume(context: Context, instance_uuid: str, volume_id: str) -> None:
    """Soft-delete the instance's mappings of the volume that the context may see.

    Cost: 1 statement in 1 round trip.
    """
    soft_delete_by(current(context).last(), t, context.read_deleted, instance_uuid=instance_uuid, volume_id=volume_id)


@require_context
@tx.writer
def block_device_mapping_destroy_by_instance_and_device(context: Context, instance_uuid: str, device_name: str) -> None:
    """Soft-delete the instance's mappings of the device that the context may see; its name is taken as it is.

    Cost: 1 statement in 1 round trip.
    """
    soft_delete_by(
        current(context).last(), t, context.read_deleted, instance_uuid=instance_uuid, device_name=device_name
    )


# -- from a caller's values to those of the table ---------------------------------------------------------------------


def _converted(values: Mapping[str, Any], *, always: bool) -> Row:
    """Return a copy of the values in the stored format; ``always``: they are legacy ones."""
    given = dict(values)
    _scrub_empty_str_values(given, ["volume_size"])
    return convert_objects_related_datetimes(BlockDeviceDict.from_legacy(given) if always else given)


def _scrub_empty_str_values(dct: dict[str, Any], keys_to_scrub: Sequence[str]) -> None:
    """Remove, in place, the keys whose value is the empty string."""
    for key in keys_to_scrub:
        if dct.get(key) == "":
            del dct[key]
