"""Services: one process of the cloud on one host, with its heartbeat.  Table ``services``."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from nova_sqlcore import clock, exceptions, tx
from nova_sqlcore.queries._shared import arg, as_id, assigned, changes, columns, now, soft_delete, visible
from nova_sqlcore.settings import settings
from nova_sqlcore.tables import compute_nodes
from nova_sqlcore.tables import services as t
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nova_sqlcore.context import Context

Row = dict[str, Any]

_COMPUTE = "nova-compute"
_ALL = sa.select(*columns(t)).order_by(t.c.id)
_LIVE = _ALL.where(*visible(t, "no"))
_ENABLED = _LIVE.where(t.c.disabled == sa.false())
_LIVE_BY_BINARY = _LIVE.where(t.c.binary == arg("binary"))
_ENABLED_BY_BINARY = _ENABLED.where(t.c.binary == arg("binary"))
_LIVE_BY_HOST = _LIVE.where(t.c.host == arg("host"))
_ENABLED_BY_TOPIC = _ENABLED.where(t.c.topic == arg("topic"))
_BY_HOST_AND_BINARY = _LIVE_BY_HOST.where(t.c.binary == arg("binary")).limit(1)
_BY_HOST_AND_TOPIC = _ENABLED_BY_TOPIC.where(t.c.host == arg("host")).limit(1)
_MINIMUM_VERSION = sa.select(sa.func.min(t.c.version).label("version")).where(
    t.c.binary == arg("binary"), t.c.forced_down == sa.false(), *visible(t, "no")
)


@functools.cache
def _by_id(read_deleted: str) -> sa.Select[Any]:
    return sa.select(*columns(t)).where(t.c.id == arg("by_id"), *visible(t, read_deleted))


@functools.cache
def _listed(read_deleted: str, by_disabled: bool) -> sa.Select[Any]:
    wanted = (t.c.disabled == arg("disabled"),) if by_disabled else ()
    return _ALL.where(*visible(t, read_deleted), *wanted)


@functools.lru_cache(maxsize=256)
def _update(read_deleted: str, names: tuple[str, ...]) -> sa.Update:
    """Set the named columns; a report count that grows moves ``last_seen_up`` too, unless that is set itself.

    The CASE stands before the assignment of ``report_count``: MySQL assigns from left to right.
    """
    assignments = list(assigned(t, names).items())
    if "report_count" in names and "last_seen_up" not in names:
        grown = (t.c.report_count < arg("report_count"), arg("seen", type_=t.c.last_seen_up.type))
        assignments.insert(0, ("last_seen_up", sa.case(grown, else_=t.c.last_seen_up)))
    return (
        sa.update(t)
        .where(t.c.id == arg("by_id"), *visible(t, read_deleted))
        .ordered_values(*((t.c[name], value) for name, value in assignments))
    )


@functools.cache
def _destroy(read_deleted: str) -> sa.Update:
    return soft_delete(t).where(t.c.id == arg("by_id"), *visible(t, read_deleted))


@functools.cache
def _destroy_nodes(read_deleted: str) -> sa.Update:
    host = sa.select(t.c.host).where(t.c.id == arg("by_id")).scalar_subquery()
    return soft_delete(compute_nodes).where(
        sa.or_(compute_nodes.c.service_id == arg("by_id"), compute_nodes.c.host == host),
        *visible(compute_nodes, read_deleted),
    )


@tx.reader
def service_get(context: Context, service_id: int) -> Row:
    """Return the service with this id, if the context may see it.

    Cost: 1 statement.
    Raises: ServiceNotFound(service_id).
    """
    number = as_id(service_id)
    row = None if number is None else current(context).row(_by_id(context.read_deleted), by_id=number)
    if row is None:
        raise exceptions.ServiceNotFound(service_id=service_id)
    return row


@tx.reader.allow_async
def service_get_minimum_version(context: Context, binary: str) -> int | None:
    """Return the smallest version among the live services of this binary that are not forced down; None without any.

    Cost: 1 statement.
    """
    version: int | None = current(context).scalar(_MINIMUM_VERSION, binary=binary)
    return version


@tx.reader.allow_async
def service_get_by_compute_host(context: Context, host: str) -> Row:
    """Return the live nova-compute service of the host, disabled or not.

    Cost: 1 statement.
    Raises: ComputeHostNotFound(host).
    """
    row = current(context).row(_BY_HOST_AND_BINARY, host=host, binary=_COMPUTE)
    if row is None:
        raise exceptions.ComputeHostNotFound(host=host)
    return row


@tx.reader
def service_get_by_host_and_binary(context: Context, host: str, binary: str) -> Row:
    """Return the live service of this binary on the host, disabled or not.

    Cost: 1 statement.
    Raises: HostBinaryNotFound(host, binary).
    """
    row = current(context).row(_BY_HOST_AND_BINARY, host=host, binary=binary)
    if row is None:
        raise exceptions.HostBinaryNotFound(host=host, binary=binary)
    return row


@tx.reader
def service_get_by_host_and_topic(context: Context, host: str, topic: str) -> Row | None:
    """Return the live, enabled service of this topic on the host, or None.

    Cost: 1 statement.
    """
    return current(context).row(_BY_HOST_AND_TOPIC, host=host, topic=topic)


@tx.reader
def service_get_all(context: Context, disabled: bool | None = None) -> list[Row]:
    """Return the services that the context may see, by id; only disabled or only enabled ones if asked.

    Cost: 1 statement.
    """
    if disabled is None:
        return current(context).rows(_listed(context.read_deleted, False))
    return current(context).rows(_listed(context.read_deleted, True), disabled=disabled)


@tx.reader
def service_get_all_by_binary(context: Context, binary: str, include_disabled: bool = False) -> list[Row]:
    """Return the live services of this binary, by id; the disabled ones only if asked.

    Cost: 1 statement.
    """
    return current(context).rows(_LIVE_BY_BINARY if include_disabled else _ENABLED_BY_BINARY, binary=binary)


@tx.reader
def service_get_all_by_host(context: Context, host: str) -> list[Row]:
    """Return the live services of the host, by id.

    Cost: 1 statement.
    """
    return current(context).rows(_LIVE_BY_HOST, host=host)


@tx.reader
def service_get_all_by_topic(context: Context, topic: str) -> list[Row]:
    """Return the live, enabled services of this topic, by id.

    Cost: 1 statement.
    """
    return current(context).rows(_ENABLED_BY_TOPIC, topic=topic)


@tx.writer
def service_create(context: Context, values: Mapping[str, Any]) -> Row:
    """Store a new service and return it; disabled from the start where ``settings.enable_new_services`` says so.

    Cost: 1 statement.
    Raises: ServiceBinaryExists(host, binary), ServiceTopicExists(host, topic).
    """
    given = dict(values) if settings.enable_new_services else {**values, "disabled": True}
    try:
        return current(context).insert(t, given, ignore=("availability_zone",))
    except exceptions.DBDuplicateEntry as error:
        host = values.get("host")
        if "binary" in error.columns:
            raise exceptions.ServiceBinaryExists(host=host, binary=values.get("binary")) from error
        raise exceptions.ServiceTopicExists(host=host, topic=values.get("topic")) from error


@tx.writer
def service_update(context: Context, service_id: int, values: Mapping[str, Any]) -> Row:
    """Write the given columns and return the row; a report count that has grown sets ``last_seen_up`` to now.

    Cost: 1 statement; 2 on the MySQL family.
    Raises: ServiceNotFound(service_id); DBDuplicateEntry if another service holds the new key.
    """
    transaction = current(context)
    number = as_id(service_id)
    given = changes(t, values, transaction, ignore=("availability_zone",))
    again = _by_id(context.read_deleted)
    row = None
    if number is not None and given:
        seen = {"seen": clock.utcnow()} if "report_count" in given and "last_seen_up" not in given else {}
        update = _update(context.read_deleted, tuple(given))
        row = transaction.update_row(update, again, {"by_id": number}, given | seen)
    elif number is not None:
        row = transaction.row(again, by_id=number)
    if row is None:
        raise exceptions.ServiceNotFound(service_id=service_id)
    return row


@tx.writer
def service_destroy(context: Context, service_id: int) -> None:
    """Soft-delete the service and every compute node of its host, or tied to it by id.

    Cost: 2 statements.
    Lock: the service's row, then its compute nodes.
    Raises: ServiceNotFound(service_id).
    """
    transaction = current(context)
    number = as_id(service_id)
    if number is None or not transaction.execute(_destroy(context.read_deleted), by_id=number, **now()):
        raise exceptions.ServiceNotFound(service_id=service_id)
    transaction.execute(_destroy_nodes(context.read_deleted), by_id=number, **now())
