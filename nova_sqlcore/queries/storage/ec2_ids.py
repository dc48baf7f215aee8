# SPDX-License-Identifier: Apache-2.0

"""EC2 ids: the number that an instance, a volume, a snapshot or an image has by the side of its uuid.

Tables ``instance_id_mappings``, ``volume_id_mappings``, ``snapshot_id_mappings``, ``s3_images``: the row's id is the
number. Reads see soft-deleted rows too; of several rows with one uuid the first counts.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Generic, NamedTuple, TypeVar

import sqlalchemy as sa

from nova_sqlcore import exceptions, tx
from nova_sqlcore.context import require_context
from nova_sqlcore.queries.common.arguments import also_named
from nova_sqlcore.queries.common.clauses import arg
from nova_sqlcore.queries.common.ids import as_id
from nova_sqlcore.queries.common.lookups import row_by, row_by_id
from nova_sqlcore.tables import instance_id_mappings, s3_images, snapshot_id_mappings, volume_id_mappings
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from nova_sqlcore import rows
    from nova_sqlcore.context import Context
    from nova_sqlcore.core.handles import Table

R = TypeVar("R")


class _Kind(NamedTuple, Generic[R]):
    """What has a number: its table, and the error if there is no such row."""

    table: Table[R]
    missing: type[exceptions.NotFound]
    #: the name of the error's argument
    argument: str


_INSTANCE_UUID_STATEMENT = sa.select(instance_id_mappings.c.uuid).where(instance_id_mappings.c.id == arg("id"))

_INSTANCES: Final = _Kind(instance_id_mappings, exceptions.InstanceNotFound, "instance_id")
_VOLUMES: Final = _Kind(volume_id_mappings, exceptions.VolumeNotFound, "volume_id")
_SNAPSHOTS: Final = _Kind(snapshot_id_mappings, exceptions.SnapshotNotFound, "snapshot_id")
_IMAGES: Final = _Kind(s3_images, exceptions.ImageNotFound, "image_id")


def _by_number(context: Context, kind: _Kind[R], number: int) -> R:
    row = row_by_id(current(context), kind.table, "yes", number)
    if row is None:
        raise kind.missing(**{kind.argument: number})
    return row


def _by_uuid(context: Context, kind: _Kind[R], uuid: str) -> R:
    row = row_by(current(context), kind.table, "yes", uuid=uuid)
    if row is None:
        raise kind.missing(**{kind.argument: uuid})
    return row


# -- instances --------------------------------------------------------------------------------------------------------


@require_context
@tx.reader
def ec2_instance_get_by_id(context: Context, instance_id: int) -> rows.InstanceIdMapping:
    """Return the mapping with this number.

    Cost: 1 statement in 1 round trip.
    Raises: InstanceNotFound(instance_id).
    """
    return _by_number(context, _INSTANCES, instance_id)


@require_context
@tx.reader
def ec2_instance_get_by_uuid(context: Context, instance_uuid: str) -> rows.InstanceIdMapping:
    """Return the mapping of this instance.

    Cost: 1 statement in 1 round trip.
    Raises: InstanceNotFound(instance_id=instance_uuid).
    """
    return _by_uuid(context, _INSTANCES, instance_uuid)


@require_context
@tx.reader
def get_instance_uuid_by_ec2_id(context: Context, ec2_id: int) -> str:
    """Return the uuid of the instance with this number.

    Cost: 1 statement in 1 round trip.
    Raises: InstanceNotFound(instance_id=ec2_id).
    """
    number = as_id(ec2_id)
    uuid: str | None = None if number is None else current(context).scalar(_INSTANCE_UUID_STATEMENT, id=number)
    if uuid is None:
        raise exceptions.InstanceNotFound(instance_id=ec2_id)
    return uuid


@require_context
@tx.writer
def ec2_instance_create(context: Context, instance_uuid: str, id: int | None = None) -> rows.InstanceIdMapping:
    """Give the instance a number, this one if it is named, and return the mapping.

    Cost: 1 statement in 1 round trip.
    Raises: DBDuplicateEntry for a number that is taken.
    """
    return current(context).last().insert(instance_id_mappings, {"uuid": instance_uuid, "id": id})


# -- volumes ----------------------------------------------------------------------------------------------------------


@require_context
@tx.main.reader
def ec2_volume_get_by_id(context: Context, volume_id: int) -> rows.VolumeIdMapping:
    """Return the mapping with this number.

    Cost: 1 statement in 1 round trip.
    Raises: VolumeNotFound(volume_id).
    """
    return _by_number(context, _VOLUMES, volume_id)


@require_context
@tx.main.reader
def ec2_volume_get_by_uuid(context: Context, volume_uuid: str) -> rows.VolumeIdMapping:
    """Return the mapping of this volume.

    Cost: 1 statement in 1 round trip.
    Raises: VolumeNotFound(volume_id=volume_uuid).
    """
    return _by_uuid(context, _VOLUMES, volume_uuid)


@also_named(volume_id="volume_uuid", forced_id="id")
@require_context
@tx.main.writer
def ec2_volume_create(context: Context, volume_uuid: str, id: int | None = None) -> rows.VolumeIdMapping:
    """Give the volume a number, this one if it is named, and return the mapping.

    Cost: 1 statement in 1 round trip.
    Raises: DBDuplicateEntry for a number that is taken.
    """
    return current(context).last().insert(volume_id_mappings, {"uuid": volume_uuid, "id": id})


# -- snapshots --------------------------------------------------------------------------------------------------------


@require_context
@tx.main.reader
def ec2_snapshot_get_by_ec2_id(context: Context, ec2_id: int) -> rows.SnapshotIdMapping:
    """Return the mapping with this number.

    Cost: 1 statement in 1 round trip.
    Raises: SnapshotNotFound(snapshot_id=ec2_id).
    """
    return _by_number(context, _SNAPSHOTS, ec2_id)


@require_context
@tx.main.reader
def ec2_snapshot_get_by_uuid(context: Context, snapshot_uuid: str) -> rows.SnapshotIdMapping:
    """Return the mapping of this snapshot.

    Cost: 1 statement in 1 round trip.
    Raises: SnapshotNotFound(snapshot_id=snapshot_uuid).
    """
    return _by_uuid(context, _SNAPSHOTS, snapshot_uuid)


@also_named(snapshot_id="snapshot_uuid", forced_id="id")
@require_context
@tx.main.writer
def ec2_snapshot_create(context: Context, snapshot_uuid: str, id: int | None = None) -> rows.SnapshotIdMapping:
    """Give the snapshot a number, this one if it is named, and return the mapping.

    Cost: 1 statement in 1 round trip.
    Raises: DBDuplicateEntry for a number that is taken.
    """
    return current(context).last().insert(snapshot_id_mappings, {"uuid": snapshot_uuid, "id": id})


# -- images -----------------------------------------------------------------------------------------------------------


@tx.main.reader
def s3_image_get(context: Context, image_id: int) -> rows.S3Image:
    """Return the mapping with this number.

    Cost: 1 statement in 1 round trip.
    Raises: ImageNotFound(image_id).
    """
    return _by_number(context, _IMAGES, image_id)


@tx.main.reader
def s3_image_get_by_uuid(context: Context, image_uuid: str) -> rows.S3Image:
    """Return the mapping of this image.

    Cost: 1 statement in 1 round trip.
    Raises: ImageNotFound(image_id=image_uuid).
    """
    return _by_uuid(context, _IMAGES, image_uuid)


@tx.main.writer
def s3_image_create(context: Context, image_uuid: str) -> rows.S3Image:
    """Give the image a number and return the mapping.

    Cost: 1 statement in 1 round trip.
    Raises: DBError, and no class below it except for conflicts and lost connections, for whatever goes wrong.
    """
    try:
        return current(context).last().insert(s3_images, {"uuid": image_uuid})
    except (exceptions.DBDeadlock, exceptions.DBConnectionError):
        raise
    except Exception as error:
        raise exceptions.DBError(error) from error
