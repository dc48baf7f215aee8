# SPDX-License-Identifier: Apache-2.0

"""Online data migrations: they bring rows of older releases up to date while the cloud runs.

Each takes a context and the number of rows to look at, None for all; it returns how many it has found and how many it
has changed, in one transaction. When all is done, it returns (0, 0). Runs at the same time wait for each other.
"""

from __future__ import annotations

import functools
import json
import logging
import uuid
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from nova_sqlcore import exceptions, tx
from nova_sqlcore.context import get_admin_context
from nova_sqlcore.core.types import MAX_BIGINT
from nova_sqlcore.queries.common.arguments import check_whole
from nova_sqlcore.queries.common.clauses import (
    arg,
    arg_list,
    changes,
    chunks,
    deleted_now,
    soft_delete_statement,
    visible,
)
from nova_sqlcore.tables import aggregates, compute_nodes, pci_devices, services
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from nova_sqlcore.context import Context
    from nova_sqlcore.core.dialects import Dialect
    from nova_sqlcore.core.handles import Row
    from nova_sqlcore.tx import Transaction

logger = logging.getLogger(__name__)

#: The services that must all know the column ``parent_addr``, and the version from which on they do.
_READERS: Final = ("nova-conductor", "nova-api")
_VERSION: Final = 4


@functools.cache
def _first_statement(statement: sa.Select[Any], limited: bool, dialect: Dialect) -> sa.Select[Any]:
    return dialect.lock_row(statement.limit(arg("limit")) if limited else statement)


def _found(context: Context, statement: sa.Select[Any], max_count: int | None, **params: Any) -> list[Row]:
    """Lock and return the first ``max_count`` rows of ``statement``, all of them for None."""
    if max_count is not None:
        check_whole("max_count", max_count)
        if max_count <= 0:
            return []
    transaction = current(context)
    limit = {} if max_count is None else {"limit": min(max_count, MAX_BIGINT)}
    return transaction.rows(_first_statement(statement, bool(limit), transaction.dialect), **limit, **params)


# -- uuids ------------------------------------------------------------------------------------------------------------


@functools.cache
def _without_uuid_statement(table: sa.Table, read_deleted: str) -> sa.Select[Any]:
    return sa.select(table.c.id).where(table.c.uuid.is_(None), *visible(table, read_deleted)).order_by(table.c.id)


@functools.cache
def _set_uuid_statement(table: sa.Table) -> sa.Update:
    return sa.update(table).where(table.c.id == arg("by_id")).values(uuid=arg("uuid"))


def _fill_uuids(context: Context, table: sa.Table, max_count: int | None) -> tuple[int, int]:
    found = _found(context, _without_uuid_statement(table, context.read_deleted), max_count)
    given = [{"by_id": row["id"], "uuid": str(uuid.uuid4())} for row in found]
    # not together with COMMIT: psycopg takes many rows in a third of the time that a batch of ours does
    current(context).execute_many(_set_uuid_statement(table), given)
    return len(found), len(found)


@tx.main.writer
def aggregate_uuids_online_data_migration(context: Context, max_count: int | None) -> tuple[int, int]:
    """Give a random uuid to aggregates without one, and return how many were found and changed.

    Cost: 1 statement, 2 if there are any; in 2 round trips, 3 if there are any.
    Lock: the aggregates.
    """
    return _fill_uuids(context, aggregates, max_count)


@tx.main.writer
def computenode_uuids_online_data_migration(context: Context, max_count: int | None) -> tuple[int, int]:
    """Give a random uuid to compute nodes without one, and return how many were found and changed.

    Cost: 1 statement, 2 if there are any; in 2 round trips, 3 if there are any.
    Lock: the compute nodes.
    """
    return _fill_uuids(context, compute_nodes, max_count)


# -- parents of PCI devices -------------------------------------------------------------------------------------------

_VERSIONS_STATEMENT = (
    sa.select(services.c.binary, sa.func.min(services.c.version).label("version"))
    .where(services.c.binary.in_(_READERS), services.c.forced_down == sa.false(), *visible(services, "no"))
    .group_by(services.c.binary)
)


@tx.main.reader.named("should_migrate_data")
def _versions(context: Context) -> dict[str, int | None]:
    """Return the lowest version by binary; None where no service has told its own.

    Cost: 1 statement.
    """
    return {row["binary"]: row["version"] for row in current(context).rows(_VERSIONS_STATEMENT)}


def should_migrate_data() -> bool:
    """Tell whether every live conductor and API service, and at least one of each, knows the parents of devices.

    ``pcidevice_online_data_migration`` asks this at every call; replace the attribute to decide otherwise.
    Cost: 1 statement.
    """
    versions = _versions(get_admin_context())
    return all((versions.get(binary) or 0) >= _VERSION for binary in _READERS)


@functools.cache
def _with_hidden_parent_statement(read_deleted: str) -> sa.Select[Any]:
    """Select devices whose parent stands in ``extra_info``; one that is about to be deleted stays as it is."""
    t = pci_devices
    return (
        sa.select(t.c.id, t.c.status, t.c.extra_info)
        .where(
            t.c.id > arg("last_id"),
            t.c.parent_addr.is_(None),
            t.c.extra_info.like("%phys_function%"),
            t.c.extra_info.not_like('%"phys_function": null%'),
            t.c.status != "deleted",
            *visible(t, read_deleted),
        )
        .order_by(t.c.id)
    )


_SET_PARENT_STATEMENT = (
    sa.update(pci_devices)
    .where(pci_devices.c.id == arg("by_id"))
    .values(parent_addr=arg("parent_addr"), extra_info=arg("extra_info"))
)
_DESTROY_STATEMENT = soft_delete_statement(pci_devices).where(pci_devices.c.id.in_(arg_list("ids")))


@tx.main.writer
def pcidevice_online_data_migration(context: Context, max_count: int | None) -> tuple[int, int]:
    """Move the parent of PCI devices from ``extra_info`` to ``parent_addr``; return how many were found and changed.

    A device in status ``removed`` is soft-deleted instead. One whose ``extra_info`` names no parent after all, or can't
    be read, stays as it is and is not counted; a log line names it. While ``should_migrate_data`` says no, nothing is
    done.
    Cost: 3 statements, 2 if there is no such device; 1 more for removed ones, and as long as devices that stay make the
    rest fall short of ``max_count`` 1 more for as many again; in 4 round trips, 3 if there is no such device, and 1
    more for each further statement.
    Lock: the devices.
    """
    if not should_migrate_data():
        logger.error("PCI devices are not migrated: not all conductors and API services are of version %d", _VERSION)
        return 0, 0
    transaction = current(context)
    removed, moved = _to_migrate(context, max_count)
    transaction.execute_many(_SET_PARENT_STATEMENT, moved)
    for ids in chunks(removed):
        transaction.execute(_DESTROY_STATEMENT, ids=ids, **deleted_now())
    count = len(moved) + len(removed)
    return count, count


def _to_migrate(context: Context, max_count: int | None) -> tuple[list[int], list[Row]]:
    """Return the ids of removed devices and what to write to others, ``max_count`` in all; devices that stay are named.

    They are passed over here, lest a page full of them hide the devices behind for ever.
    """
    removed: list[int] = []
    moved: list[Row] = []
    last_id = 0
    while True:
        missing = None if max_count is None else max_count - len(removed) - len(moved)
        found = _found(context, _with_hidden_parent_statement(context.read_deleted), missing, last_id=last_id)
        removed += (row["id"] for row in found if row["status"] == "removed")
        others = (_with_parent(current(context), row) for row in found if row["status"] != "removed")
        moved += (given for given in others if given is not None)
        if missing is None or len(found) < max(missing, 1):
            return removed, moved
        last_id = found[-1]["id"]


def _with_parent(transaction: Transaction, row: Row) -> Row | None:
    """Return what to write to a device, or None if its ``extra_info`` names no parent that can be stored."""
    try:
        extra = json.loads(row["extra_info"])
        parent = extra.pop("phys_function", None) if isinstance(extra, dict) else None
        if not isinstance(parent, str):
            raise ValueError("it names no parent")
        given = changes(pci_devices, {"parent_addr": parent, "extra_info": json.dumps(extra)}, transaction)
    except (ValueError, RecursionError, exceptions.DBDataError) as error:
        logger.warning("PCI device %d stays as it is, for its extra_info can't be migrated: %s", row["id"], error)
        return None
    return {"by_id": row["id"], **given}


# -- what is left -----------------------------------------------------------------------------------------------------


@functools.cache
def _left_statement(read_deleted: str) -> sa.CompoundSelect[tuple[str, int]]:
    found = {
        computenode_uuids_online_data_migration: _without_uuid_statement(compute_nodes, read_deleted),
        aggregate_uuids_online_data_migration: _without_uuid_statement(aggregates, read_deleted),
    }
    return sa.union_all(
        *(
            sa.select(sa.literal(migrate.__name__).label("name"), sa.func.count().label("count")).select_from(
                rows.order_by(None).subquery()
            )
            for migrate, rows in found.items()
        )
    )


@tx.main.reader
def pending_online_data_migrations(context: Context) -> dict[str, int]:
    """Return how many rows each migration would change, by its name; a migration without rows is left out.

    Cost: 2 statements.
    """
    transaction = current(context)
    devices = transaction.rows(_with_hidden_parent_statement(context.read_deleted), last_id=0)
    movable = sum(row["status"] == "removed" or _with_parent(transaction, row) is not None for row in devices)
    counts = {pcidevice_online_data_migration.__name__: movable}
    counts |= {row["name"]: row["count"] for row in transaction.rows(_left_statement(context.read_deleted))}
    return {name: count for name, count in counts.items() if count}
