# SPDX-License-Identifier: Apache-2.0

"""Services: one process of the cloud on one host, with its heartbeat.  Table ``services``."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from nova_sqlcore import clock, exceptions, tx
from nova_sqlcore.core.equality import alike
from nova_sqlcore.queries.common.clauses import (
    arg,
    arg_list,
    assigned,
    changes,
    chunks,
    deleted_now,
    rows_in,
    soft_delete_statement,
    visible,
)
from nova_sqlcore.queries.common.ids import as_id
from nova_sqlcore.queries.common.lookups import row_by, row_by_id, rows_by, soft_delete_by_id, update_by_id
from nova_sqlcore.settings import settings
from nova_sqlcore.tables import compute_nodes, services as t
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context
    from nova_sqlcore.core.handles import Row


_COMPUTE: Final = "nova-compute"
_DISABLED_REASON: Final = "New compute service disabled due to config option."
_MINIMUM_VERSION_STATEMENT = sa.select(sa.func.min(t.c.version).label("version")).where(
    t.c.binary == arg("binary"), t.c.forced_down == sa.false(), *visible(t, "no")
)
#: What the unique key takes for this host and binary.
_SAME_BINARY_STATEMENT = sa.select(t.c.id).where(
    alike(t.c.host, "host"), alike(t.c.binary, "binary"), *visible(t, "no")
)


@functools.lru_cache(maxsize=256)
def _heartbeat_statement(read_deleted: str, names: tuple[str, ...]) -> sa.Update:
    """Set the named columns, but ``last_seen_up`` only if the report count grows.

    The CASE stands before the assignment of ``report_count``: MySQL assigns from left to right.
    """
    assignments = assigned(t, names)
    grown = t.c.report_count < assignments["report_count"]
    seen = sa.case((grown, assignments.pop("last_seen_up")), else_=t.c.last_seen_up)
    return (
        sa.update(t)
        .where(t.c.id == arg("by_id"), *visible(t, read_deleted))
        .ordered_values((t.c.last_seen_up, seen), *((t.c[name], value) for name, value in assignments.items()))
    )


@functools.cache
def _heartbeats_statement(read_deleted: str) -> sa.Update:
    alive = {"report_count": t.c.report_count + 1, **assigned(t, ("last_seen_up", "updated_at"))}
    return sa.update(t).where(t.c.id.in_(arg_list("ids")), *visible(t, read_deleted)).values(**alive)


@functools.cache
def _known_statement(read_deleted: str) -> sa.Select[Any]:
    return sa.select(t.c.id).where(t.c.id.in_(arg_list("ids")), *visible(t, read_deleted))


@functools.cache
def _destroy_nodes_statement(read_deleted: str) -> sa.Update:
    """Return the soft delete of a compute service's nodes; it meets no node if the service is of another binary."""
    is_its_compute = (t.c.id == arg("by_id"), t.c.binary == _COMPUTE)
    identity, host = (sa.select(column).where(*is_its_compute).scalar_subquery() for column in (t.c.id, t.c.host))
    return soft_delete_statement(compute_nodes).where(
        sa.or_(compute_nodes.c.service_id == identity, compute_nodes.c.host == host),
        *visible(compute_nodes, read_deleted),
    )


@tx.reader
def service_get(context: Context, service_id: int) -> rows.Service:
    """Return the service with this id, if the context may see it.

    Cost: 1 statement in 1 round trip.
    Raises: ServiceNotFound(service_id).
    """
    row = row_by_id(current(context), t, context.read_deleted, service_id)
    if row is None:
        raise exceptions.ServiceNotFound(service_id=service_id)
    return row


@tx.reader.allow_async
def service_get_minimum_version(context: Context, binary: str) -> int | None:
    """Return the smallest version among the live services of this binary that are not forced down; None without any.

    Cost: 1 statement in 1 round trip.
    """
    version: int | None = current(context).scalar(_MINIMUM_VERSION_STATEMENT, binary=binary)
    return version


@tx.reader.allow_async
def service_get_by_compute_host(context: Context, host: str) -> rows.Service:
    """Return the live nova-compute service of the host, disabled or not.

    Cost: 1 statement in 1 round trip.
    Raises: ComputeHostNotFound(host).
    """
    row = row_by(current(context), t, "no", host=host, binary=_COMPUTE)
    if row is None:
        raise exceptions.ComputeHostNotFound(host=host)
    return row


@tx.reader
def service_get_by_host_and_binary(context: Context, host: str, binary: str) -> rows.Service:
    """Return the live service of this binary on the host, disabled or not.

    Cost: 1 statement in 1 round trip.
    Raises: HostBinaryNotFound(host, binary).
    """
    row = row_by(current(context), t, "no", host=host, binary=binary)
    if row is None:
        raise exceptions.HostBinaryNotFound(host=host, binary=binary)
    return row


@tx.reader
def service_get_by_host_and_topic(context: Context, host: str, topic: str) -> rows.Service | None:
    """Return the live, enabled service of this topic on the host, or None.

    Cost: 1 statement in 1 round trip.
    """
    return row_by(current(context), t, "no", host=host, topic=topic, disabled=False)


@tx.reader
def service_get_all(context: Context, disabled: bool | None = None) -> list[rows.Service]:
    """Return the services that the context may see, by id; only disabled or only enabled ones if asked.

    Cost: 1 statement in 1 round trip.
    """
    wanted = {} if disabled is None else {"disabled": disabled}
    return rows_by(current(context), t, context.read_deleted, **wanted)


@tx.reader
def service_get_all_by_binary(context: Context, binary: str, include_disabled: bool = False) -> list[rows.Service]:
    """Return the live services of this binary, by id; the disabled ones only if asked.

    Cost: 1 statement in 1 round trip.
    """
    wanted = {} if include_disabled else {"disabled": False}
    return rows_by(current(context), t, "no", binary=binary, **wanted)


@tx.reader
def service_get_all_by_host(context: Context, host: str) -> list[rows.Service]:
    """Return the live services of the host, by id.

    Cost: 1 statement in 1 round trip.
    """
    return rows_by(current(context), t, "no", host=host)


@tx.reader
def service_get_all_by_topic(context: Context, topic: str) -> list[rows.Service]:
    """Return the live, enabled services of this topic, by id.

    Cost: 1 statement in 1 round trip.
    """
    return rows_by(current(context), t, "no", topic=topic, disabled=False)


@tx.writer
def service_create(context: Context, values: Mapping[str, Any]) -> rows.Service:
    """Store a new service and return it.

    While ``settings.enable_new_services`` is False, a new nova-compute service is disabled, and ``disabled_reason``
    says why unless ``values`` does.
    Cost: 1 statement; 2 for a service that exists; in 1 round trip.
    Raises: ServiceBinaryExists(host, binary), ServiceTopicExists(host, topic); the former if both keys are taken.
    """
    transaction = current(context)
    row = transaction.last().insert_absent(t, _perhaps_disabled(values), ignore=("availability_zone",))
    if row is not None:
        return row
    host, binary = values.get("host"), values.get("binary")
    if binary is not None and transaction.last().row(_SAME_BINARY_STATEMENT, host=host, binary=binary) is not None:
        raise exceptions.ServiceBinaryExists(host=host, binary=binary)
    raise exceptions.ServiceTopicExists(host=host, topic=values.get("topic"))


def _perhaps_disabled(values: Mapping[str, Any]) -> Row:
    """Return what to store of a new service: only to nova-compute does it mean anything to be disabled."""
    if settings.enable_new_services or values.get("binary") != _COMPUTE:
        return dict(values)
    return {**values, "disabled": True, "disabled_reason": values.get("disabled_reason") or _DISABLED_REASON}


@tx.writer
def service_update(context: Context, service_id: int, values: Mapping[str, Any]) -> rows.Service:
    """Write the given columns and return the row; a report count that has grown sets ``last_seen_up`` to now.

    Cost: 1 statement; 2 on the MySQL family; in 1 round trip.
    Raises: ServiceNotFound(service_id); DBDuplicateEntry if another service holds the new key.
    """
    transaction = current(context)
    given = changes(t, values, transaction, ignore=("availability_zone",))
    build = None
    if "report_count" in given and "last_seen_up" not in given:
        build, given = _heartbeat_statement, given | {"last_seen_up": clock.utcnow()}
    row = update_by_id(transaction.last(), t, context.read_deleted, service_id, given, build)
    if row is None:
        raise exceptions.ServiceNotFound(service_id=service_id)
    return row


@tx.writer
def services_heartbeat(context: Context, ids: Sequence[int]) -> None:
    """Count one more report of each of these services, all or none: ``last_seen_up`` is now. Not in the reference.

    A service that is named twice reports once.
    Cost: 1 statement per 500 services, all in one trip; 1 more per 500 to name one that is missing; in 2 round trips.
    Lock: the services' rows; by id on the MySQL family. On PostgreSQL two callers may meet in a deadlock, after which
    one runs again.
    Raises: ServiceNotFound(service_id) if the context may not see one of them.
    """
    transaction, seen = current(context), context.read_deleted
    numbers = sorted({_number(one) for one in ids})  # an UPDATE by primary key locks by id on the MySQL family alone
    statement, now = _heartbeats_statement(seen), clock.utcnow()
    counts = [
        transaction.later.execute(statement, ids=chunk, last_seen_up=now, updated_at=now) for chunk in chunks(numbers)
    ]
    if sum(count.get() for count in counts) < len(numbers):
        known = {row["id"] for row in rows_in(transaction, _known_statement(seen), "ids", numbers)}
        raise exceptions.ServiceNotFound(service_id=next(one for one in ids if _number(one) not in known))


def _number(service_id: Any) -> int:
    number = as_id(service_id)
    if number is None:
        raise exceptions.ServiceNotFound(service_id=service_id)
    return number


@tx.writer
def service_destroy(context: Context, service_id: int) -> None:
    """Soft-delete the service; with a nova-compute service, every compute node of its host or tied to it by id.

    Cost: 2 statements in 2 round trips.
    Lock: the service's row, then its compute nodes.
    Raises: ServiceNotFound(service_id).
    """
    transaction = current(context)
    if not soft_delete_by_id(transaction, t, context.read_deleted, service_id):
        raise exceptions.ServiceNotFound(service_id=service_id)
    transaction.last().execute(_destroy_nodes_statement(context.read_deleted), by_id=as_id(service_id), **deleted_now())
