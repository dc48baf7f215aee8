# SPDX-License-Identifier: Apache-2.0

"""Migrations: the move of an instance from one host to another, and how far it is.  Table ``migrations``."""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Any, Final, cast

import sqlalchemy as sa

from nova_sqlcore import exceptions, tx
from nova_sqlcore.queries.common.arguments import also_named, moment_before, warn_of_unknown_filters
from nova_sqlcore.queries.common.clauses import (
    arg,
    arg_list,
    changes,
    columns,
    rows_in,
    select_statement,
    split,
    visible,
)
from nova_sqlcore.queries.common.ids import as_id
from nova_sqlcore.queries.common.lookups import Shape, equal, row_by, row_by_id, shape_of, update_by_id
from nova_sqlcore.queries.compute import rows as instance_rows
from nova_sqlcore.tables import instances, migrations as t
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context
    from nova_sqlcore.core import types
    from nova_sqlcore.core.handles import Row, Select
    from nova_sqlcore.tx import Transaction


#: No migration comes back from these; whatever else it is called, it holds resources on both sides.
_ENDED: Final = ("confirmed", "reverted", "error", "failed", "completed", "cancelled", "done")
#: What a migration is called from its request to its end on the way that live migrations take.
_RUNNING: Final = ("accepted", "queued", "preparing", "running", "post-migrating")
_TYPES: Final = cast("types.Enum", t.c.migration_type.type).words
_INSTANCE: Final = "instance_of_"
#: What ``migration_get_all_by_filters`` knows.
_FILTERS: Final = ("status", "host", "source_compute", "migration_type", "hidden")

# terms instead of lists: IN and NOT IN would be spelled out anew at each call
_NOT_ENDED = sa.and_(*(t.c.status != word for word in _ENDED))
_IN_PROGRESS = sa.or_(*(t.c.status == word for word in _RUNNING))


def _on_either_side_clause(shape: Shape) -> sa.ColumnElement[bool]:
    """Return the clause for ``host``, and perhaps ``node``, at the source or the destination.

    All servers merge two index lookups for the OR if each host leads an index (measured: as fast as a UNION of both).
    """
    sides = []
    names, null = shape
    for side in ("source", "dest"):
        named = {"host": t.c[f"{side}_compute"], "node": t.c[f"{side}_node"]}
        compared = (named[name] == arg(name) for name in names)
        sides.append(sa.and_(*compared, *(named[name].is_(None) for name in null)))
    return sa.or_(*sides)


@functools.lru_cache(maxsize=512)
def _filtered_statement(
    read_deleted: str, shape: Shape, host: Shape | None, by_statuses: bool
) -> Select[rows.Migration]:
    where = [*equal(t, shape), *visible(t, read_deleted)]
    if host is not None:
        where.append(_on_either_side_clause(host))
    if by_statuses:
        where.append(t.c.status.in_(arg_list("statuses")))
    return select_statement(t).where(*where).order_by(t.c.id)


@functools.cache
def _in_progress_on_node_statement(read_deleted: str, shape: Shape) -> sa.Select[Any]:
    live = sa.and_(instances.c.uuid == t.c.instance_uuid, *visible(instances, "no"))
    return (
        sa.select(*columns(t), *columns(instances, _INSTANCE))
        .select_from(t.outerjoin(instances, live))
        .where(_on_either_side_clause(shape), _NOT_ENDED, *visible(t, read_deleted))
        .order_by(t.c.id)
    )


@functools.cache
def _in_progress_statement(read_deleted: str, shape: Shape) -> Select[rows.Migration]:
    return select_statement(t).where(*equal(t, shape), _IN_PROGRESS, *visible(t, read_deleted)).order_by(t.c.id)


@functools.cache
def _unconfirmed_statement(shape: Shape) -> Select[rows.Migration]:
    where = (*equal(t, shape), t.c.status == "finished", t.c.updated_at <= arg("before"))
    return select_statement(t).where(*where).order_by(t.c.id)


@also_named(migration_id="id")
@tx.reader
def migration_get(context: Context, id: int) -> rows.Migration:
    """Return the migration with this id, soft-deleted or not.

    Cost: 1 statement in 1 round trip.
    Raises: MigrationNotFound(migration_id=id).
    """
    row = row_by_id(current(context), t, "yes", id)
    if row is None:
        raise exceptions.MigrationNotFound(migration_id=id)
    return row


@also_named(migration_id="id")
@tx.reader
def migration_get_by_id_and_instance(context: Context, id: int, instance_uuid: str) -> rows.Migration:
    """Return the migration with this id if it is one of the instance and the context may see it.

    Cost: 1 statement in 1 round trip.
    Raises: MigrationNotFoundForInstance(migration_id=id, instance_id=instance_uuid).
    """
    number = as_id(id)
    row = None
    if number is not None:
        row = row_by(current(context), t, context.read_deleted, id=number, instance_uuid=instance_uuid)
    if row is None:
        raise exceptions.MigrationNotFoundForInstance(migration_id=id, instance_id=instance_uuid)
    return row


@tx.reader
def migration_get_by_instance_and_status(context: Context, instance_uuid: str, status: str) -> rows.Migration:
    """Return the instance's first migration in this status, soft-deleted or not.

    Cost: 1 statement in 1 round trip.
    Raises: MigrationNotFoundByStatus(instance_id=instance_uuid, status).
    """
    row = row_by(current(context), t, "yes", instance_uuid=instance_uuid, status=status)
    if row is None:
        raise exceptions.MigrationNotFoundByStatus(instance_id=instance_uuid, status=status)
    return row


@tx.reader
def migration_get_all_by_filters(context: Context, filters: Mapping[str, Any]) -> list[rows.Migration]:
    """Return the migrations that the context may see and that meet all filters, by id.

    ``status`` is a word or several of them, ``host`` is on either side, with which ``source_compute`` is ignored,
    ``migration_type`` and ``hidden`` are equal; other keys are ignored with a warning.
    Cost: 1 statement; 1 for each 500 of the words; in 1 round trip.
    """
    warn_of_unknown_filters("migrations", filters, _FILTERS)
    key = {name: filters[name] for name in ("status", "migration_type", "hidden") if name in filters}
    statuses: list[str] | None = None
    host: Row = {}
    host_shape = None
    if "host" in filters:
        host_shape, host = shape_of({"host": filters["host"]})
    elif "source_compute" in filters:
        key["source_compute"] = filters["source_compute"]
    if not isinstance(key.get("status"), str | None):
        statuses = list(dict.fromkeys(key.pop("status")))
    if not _is_type(key.get("migration_type")):
        return []
    shape, params = shape_of(key)
    statement = _filtered_statement(context.read_deleted, shape, host_shape, statuses is not None)
    if statuses is None:
        return current(context).rows(statement, **params, **host)
    found = rows_in(current(context), statement, "statuses", statuses, **params, **host)
    return sorted(found, key=operator.itemgetter("id"))


@tx.reader
def migration_get_in_progress_by_instance(
    context: Context, instance_uuid: str, migration_type: str | None = None
) -> list[rows.Migration]:
    """Return the instance's migrations that are accepted, queued or running, by id; of one type if asked.

    Cost: 1 statement in 1 round trip.
    """
    key = {"instance_uuid": instance_uuid}
    if migration_type:
        key["migration_type"] = migration_type
    if not _is_type(migration_type or None):
        return []
    shape, params = shape_of(key)
    return current(context).rows(_in_progress_statement(context.read_deleted, shape), **params)


@tx.reader.snapshot
def migration_get_in_progress_by_host_and_node(
    context: Context, host: str, node: str
) -> list[rows.MigrationWithInstance]:
    """Return the migrations to or from the node that have not ended, by id; those without a status are left out.

    Each has ``instance``: the live instance with its ``name`` and ``system_metadata``, soft-deleted items included, or
    None.
    Cost: 2 statements; 1 without instances; in 2 round trips.
    """
    transaction = current(context)
    shape, params = shape_of({"host": host, "node": node})
    found = transaction.rows(_in_progress_on_node_statement(context.read_deleted, shape), **params)
    for row in found:
        row["instance"] = split(row, _INSTANCE)
    _complete(transaction, [row["instance"] for row in found if row["instance"] is not None])
    return cast("list[rows.MigrationWithInstance]", found)


def _complete(transaction: Transaction, found: Sequence[Row]) -> None:
    """Give instances their names and their system metadata."""
    for instance in found:
        instance_rows.named(instance)
    items = instance_rows.ask_system_metadata(transaction, found)
    transaction.last()
    instance_rows.put(found, "system_metadata", items())


@tx.reader.allow_async
def migration_get_unconfirmed_by_dest_compute(
    context: Context, confirm_window: float, dest_compute: str
) -> list[rows.Migration]:
    """Return the finished migrations to the host that were last changed ``confirm_window`` seconds ago or earlier.

    Soft-deleted ones are among them.
    Cost: 1 statement in 1 round trip.
    Raises: BadArgument if ``confirm_window`` is not a number of seconds.
    """
    before = moment_before("confirm_window", confirm_window)
    shape, params = shape_of({"dest_compute": dest_compute})
    return current(context).rows(_unconfirmed_statement(shape), before=before, **params)


@tx.writer
def migration_create(context: Context, values: Mapping[str, Any]) -> rows.Migration:
    """Store a new migration and return it.

    Cost: 1 statement in 1 round trip.
    Raises: DBReferenceError for an instance that doesn't exist; not on sqlite.
    """
    return current(context).last().insert(t, values)


@tx.writer
def migration_update(context: Context, id: int, values: Mapping[str, Any]) -> rows.Migration:
    """Write the given columns of the migration, soft-deleted or not, and return it.

    Cost: 1 statement; 2 on the MySQL family; in 1 round trip.
    Raises: MigrationNotFound(migration_id=id).
    """
    transaction = current(context)
    row = update_by_id(transaction.last(), t, "yes", id, changes(t, values, transaction))
    if row is None:
        raise exceptions.MigrationNotFound(migration_id=id)
    return row


def _is_type(word: Any) -> bool:
    """Tell whether there can be migrations of this type; PostgreSQL refuses to compare with other words."""
    return word is None or word in _TYPES
