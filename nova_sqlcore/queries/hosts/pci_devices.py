# SPDX-License-Identifier: Apache-2.0

"""PCI devices of compute nodes, and which instance holds them.  Table ``pci_devices``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from nova_sqlcore import clock, exceptions, tx
from nova_sqlcore.context import require_context
from nova_sqlcore.core.values import refuse_unknown
from nova_sqlcore.queries.common.arguments import also_named
from nova_sqlcore.queries.common.clauses import changes
from nova_sqlcore.queries.common.ids import as_id
from nova_sqlcore.queries.common.lookups import row_by, row_by_id, rows_by, soft_delete_by, update_by
from nova_sqlcore.tables import pci_devices as t
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context


# A node's id that can't be one is asked for as NULL, which no device has.

#: Counts as not given.
_UNMARKED: Final = ("deleted", None)


@tx.reader
def pci_device_get_by_addr(context: Context, node_id: int, dev_addr: str) -> rows.PCIDevice:
    """Return the device at this address of the node, if the context may see it; the first one if it sees several.

    Cost: 1 statement in 1 round trip.
    Raises: PciDeviceNotFound(node_id, address).
    """
    row = row_by(current(context), t, context.read_deleted, compute_node_id=as_id(node_id), address=dev_addr)
    if row is None:
        raise exceptions.PciDeviceNotFound(node_id=node_id, address=dev_addr)
    return row


@tx.reader
def pci_device_get_by_id(context: Context, id: int) -> rows.PCIDevice:
    """Return the device with this id, if the context may see it.

    Cost: 1 statement in 1 round trip.
    Raises: PciDeviceNotFoundById(id).
    """
    row = row_by_id(current(context), t, context.read_deleted, id)
    if row is None:
        raise exceptions.PciDeviceNotFoundById(id=id)
    return row


@tx.reader
def pci_device_get_all_by_node(context: Context, node_id: int) -> list[rows.PCIDevice]:
    """Return the devices of the node that the context may see, by id.

    Cost: 1 statement in 1 round trip.
    """
    return rows_by(current(context), t, context.read_deleted, compute_node_id=as_id(node_id))


@tx.reader
def pci_device_get_all_by_parent_addr(context: Context, node_id: int, parent_addr: str | None) -> list[rows.PCIDevice]:
    """Return the devices of the node with this parent that the context may see, by id; None: those without a parent.

    Cost: 1 statement in 1 round trip.
    """
    key = {"compute_node_id": as_id(node_id), "parent_addr": parent_addr}
    return rows_by(current(context), t, context.read_deleted, **key)


@require_context
@tx.reader
def pci_device_get_all_by_instance_uuid(context: Context, instance_uuid: str) -> list[rows.PCIDevice]:
    """Return the devices that are allocated to the instance and that the context may see, by id; not claimed ones.

    Cost: 1 statement in 1 round trip.
    """
    return rows_by(current(context), t, context.read_deleted, status="allocated", instance_uuid=instance_uuid)


@also_named(value="values")
@tx.writer
def pci_device_update(context: Context, node_id: int, address: str, values: Mapping[str, Any]) -> rows.PCIDevice:
    """Write the given columns of the live device at this address of the node, or store a new one, and return it.

    Cost: 1 statement to update, 2 on the MySQL family; 2 to insert; in 1 round trip to update, 2 to insert.
    Raises: PciDeviceNotFound(node_id, address) if ``values`` would take it away from there; DBError if a column of a
    new device is missing, or for a key that is not a column; DBDuplicateEntry if the ``id`` of a new device is taken.
    """
    transaction = current(context)
    refuse_unknown(t, values)
    place = {"compute_node_id": as_id(node_id), "address": address}
    given = {name: value for name, value in changes(t, values, transaction).items() if (name, value) != _UNMARKED}
    if any(given.get(name, value) != value for name, value in (place | {"deleted": 0}).items()):
        raise exceptions.PciDeviceNotFound(node_id=node_id, address=address)
    written = {"updated_at": clock.utcnow(), **given}
    row = (
        update_by(transaction.last(), t, "no", written, **place)
        or transaction.last().insert_absent(t, place | given)
        or update_by(transaction.last(), t, "no", written, **place)  # somebody else has just stored it
        or transaction.insert(t, place | given)  # the id is taken: this raises
    )
    return row


@tx.writer
def pci_device_destroy(context: Context, node_id: int, address: str) -> None:
    """Soft-delete the device at this address of the node.

    Cost: 1 statement in 1 round trip.
    Raises: PciDeviceNotFound(node_id, address).
    """
    key = {"compute_node_id": as_id(node_id), "address": address}
    if not soft_delete_by(current(context).last(), t, context.read_deleted, **key):
        raise exceptions.PciDeviceNotFound(node_id=node_id, address=address)
