# SPDX-License-Identifier: Apache-2.0

"""Virtual interfaces: the network cards of instances.  Table ``virtual_interfaces``.

The address is the card's, and free text. Reads see live interfaces only.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from nova_sqlcore import exceptions, tx
from nova_sqlcore.context import require_context
from nova_sqlcore.core.texts import start_of
from nova_sqlcore.queries.common.arguments import also_named
from nova_sqlcore.queries.common.clauses import arg, own_project, select_statement, visible
from nova_sqlcore.queries.common.ids import as_id
from nova_sqlcore.queries.common.lookups import row_by, row_by_id, rows_by, soft_delete_by
from nova_sqlcore.tables import instances, virtual_interfaces as t
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context


@functools.cache
def _of_instance_statement(read_deleted: str, owned: bool) -> sa.Select[Any]:
    """Return the SELECT of an instance's interfaces: no row without the instance, one of NULLs without interfaces."""
    joined = instances.outerjoin(t, sa.and_(t.c.instance_uuid == instances.c.uuid, *visible(t, "no")))
    project = (instances.c.project_id == arg("project_id"),) if owned else ()
    return (
        select_statement(t)
        .select_from(joined)
        .where(instances.c.uuid == arg("uuid"), *visible(instances, read_deleted), *project)
        .order_by(t.c.created_at, t.c.id)
    )


@require_context
@tx.reader
def virtual_interface_get(context: Context, vif_id: int) -> rows.VirtualInterface | None:
    """Return the interface with this id, or None.

    Cost: 1 statement in 1 round trip.
    """
    return row_by_id(current(context), t, "no", vif_id)


@require_context
@tx.reader
def virtual_interface_get_by_address(context: Context, address: str) -> rows.VirtualInterface | None:
    """Return the interface with this address, or None.

    Cost: 1 statement in 1 round trip.
    Raises: InvalidIpAddressError(text with the address) if the lookup fails.
    """
    try:
        return row_by(current(context), t, "no", address=address)
    except (exceptions.DBDeadlock, exceptions.DBConnectionError):
        raise
    except exceptions.DBError as error:
        raise exceptions.InvalidIpAddressError(
            f"The address {start_of(address)} can't be looked up: {error}"
        ) from error


@require_context
@tx.reader
def virtual_interface_get_by_uuid(context: Context, vif_uuid: str) -> rows.VirtualInterface | None:
    """Return the interface with this uuid, or None.

    Cost: 1 statement in 1 round trip.
    """
    return row_by(current(context), t, "no", uuid=vif_uuid)


@also_named(instance_id="instance_uuid")
@require_context
@tx.reader
def virtual_interface_get_by_instance_and_network(
    context: Context, instance_uuid: str, network_id: int
) -> rows.VirtualInterface | None:
    """Return the instance's first interface in the network, or None.

    Cost: 1 statement in 1 round trip.
    """
    number = as_id(network_id)
    if number is None and network_id is not None:
        return None
    return row_by(current(context), t, "no", instance_uuid=instance_uuid, network_id=number)


@also_named(instance_id="instance_uuid")
@require_context
@tx.reader.allow_async
def virtual_interface_get_by_instance(context: Context, instance_uuid: str) -> list[rows.VirtualInterface]:
    """Return the interfaces of an instance that the context may see, by ``created_at`` and id.

    Cost: 1 statement in 1 round trip.
    Raises: InstanceNotFound(instance_id).
    """
    project = own_project(context)
    params = {} if project is None else {"project_id": project}
    statement = _of_instance_statement(context.read_deleted, project is not None)
    found = current(context).rows(statement, uuid=instance_uuid, **params)
    if not found:
        raise exceptions.InstanceNotFound(instance_id=instance_uuid)
    return [] if found[0]["id"] is None else cast("list[rows.VirtualInterface]", found)


@require_context
@tx.reader
def virtual_interface_get_all(context: Context) -> list[rows.VirtualInterface]:
    """Return all interfaces, by id.

    Cost: 1 statement in 1 round trip.
    """
    return rows_by(current(context), t, "no")


@require_context
@tx.writer
def virtual_interface_create(context: Context, values: Mapping[str, Any]) -> rows.VirtualInterface:
    """Store an interface and return it.

    Cost: 1 statement in 1 round trip.
    Raises: VirtualInterfaceCreateException() for a taken address, and whatever else the database refuses.
    """
    try:
        row = current(context).last().insert_absent(t, values)
    except (exceptions.DBDeadlock, exceptions.DBConnectionError):
        raise
    except exceptions.DBError as error:
        raise exceptions.VirtualInterfaceCreateException from error
    if row is None:
        raise exceptions.VirtualInterfaceCreateException
    return row


@also_named(instance_id="instance_uuid")
@require_context
@tx.writer
def virtual_interface_delete_by_instance(context: Context, instance_uuid: str) -> None:
    """Soft-delete the interfaces of the instance.

    Cost: 1 statement in 1 round trip.
    """
    soft_delete_by(current(context).last(), t, "no", instance_uuid=instance_uuid)
