# SPDX-License-Identifier: Apache-2.0

"""EC2 ids of instances, volumes, snapshots and images (05-flavors-bdm-usage)."""

from __future__ import annotations

import dataclasses
import uuid
from typing import TYPE_CHECKING, Any, cast

import pytest

from nova_sqlcore import RequestContext, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.storage import ec2_ids
from tests.queries import cell_factory, instance_factory

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.backend import Backend
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

Row = dict[str, Any]
NO_IDS = (77777, "fake", "99999999999999999999", 10**40, -1, None)


@dataclasses.dataclass
class Kind:
    """What has a number, and the functions for it."""

    table: str
    create: Callable[..., Any]
    by_id: Callable[..., Any]
    by_uuid: Callable[..., Any]
    error: type[exceptions.NovaException]
    named: str


INSTANCE = Kind(
    "instance_id_mappings",
    ec2_ids.ec2_instance_create,
    ec2_ids.ec2_instance_get_by_id,
    ec2_ids.ec2_instance_get_by_uuid,
    exceptions.InstanceNotFound,
    "instance_id",
)
VOLUME = Kind(
    "volume_id_mappings",
    ec2_ids.ec2_volume_create,
    ec2_ids.ec2_volume_get_by_id,
    ec2_ids.ec2_volume_get_by_uuid,
    exceptions.VolumeNotFound,
    "volume_id",
)
SNAPSHOT = Kind(
    "snapshot_id_mappings",
    ec2_ids.ec2_snapshot_create,
    ec2_ids.ec2_snapshot_get_by_ec2_id,
    ec2_ids.ec2_snapshot_get_by_uuid,
    exceptions.SnapshotNotFound,
    "snapshot_id",
)
IMAGE = Kind(
    "s3_images",
    ec2_ids.s3_image_create,
    ec2_ids.s3_image_get,
    ec2_ids.s3_image_get_by_uuid,
    exceptions.ImageNotFound,
    "image_id",
)
NUMBERED = [INSTANCE, VOLUME, SNAPSHOT]
kinds = pytest.mark.parametrize("kind", [*NUMBERED, IMAGE], ids=lambda kind: kind.table)
numbered = pytest.mark.parametrize("kind", NUMBERED, ids=lambda kind: kind.table)


def new() -> str:
    return str(uuid.uuid4())


class TestCreateAndGet:
    @kinds
    def test_the_new_row_is_what_reads_show(self, ctxt: RequestContext, sql_count: SqlCount, kind: Kind) -> None:
        kind.create(ctxt, new())
        uuid = new()
        with sql_count(4):
            row = kind.create(ctxt, uuid)
            assert kind.by_id(ctxt, row["id"]) == kind.by_id(ctxt, str(row["id"])) == row
            assert kind.by_uuid(ctxt, uuid) == row
        assert set(row) == set(tables.metadata.tables[kind.table].c.keys())
        assert (row["uuid"], row["deleted"], row["updated_at"]) == (uuid, 0, None)

    @kinds
    @pytest.mark.parametrize("identity", NO_IDS)
    def test_no_such_number(self, ctxt: RequestContext, kind: Kind, identity: Any) -> None:
        kind.create(ctxt, new())
        with pytest.raises(kind.error, match=str(identity)) as raised:
            kind.by_id(ctxt, identity)
        assert raised.value.kwargs == {kind.named: identity, "code": 404}

    @kinds
    @pytest.mark.parametrize("uuid", ["none", 12, None])
    def test_no_such_uuid(self, ctxt: RequestContext, kind: Kind, uuid: Any) -> None:
        kind.create(ctxt, "12ab")
        with pytest.raises(kind.error, match=str(uuid)) as raised:
            kind.by_uuid(ctxt, uuid)
        assert raised.value.kwargs == {kind.named: uuid, "code": 404}

    @kinds
    def test_of_several_rows_the_first(self, ctxt: RequestContext, kind: Kind) -> None:
        uuid = new()
        rows = [kind.create(ctxt, uuid) for _ in range(2)]
        assert rows[0]["id"] < rows[1]["id"]
        assert kind.by_uuid(ctxt, uuid) == rows[0]

    @kinds
    @pytest.mark.parametrize("word", ["no", "only"])
    def test_soft_deleted_rows_are_seen(self, kind: Kind, word: str) -> None:
        context = get_admin_context(word)
        live, dead = kind.create(context, new()), kind.create(context, new())
        instance_factory.deleted(kind.table, dead)
        for row in (live, dead):
            assert kind.by_id(context, row["id"])["id"] == kind.by_uuid(context, row["uuid"])["id"] == row["id"]

    @kinds
    def test_inside_a_transaction(self, ctxt: RequestContext, kind: Kind) -> None:
        with tx.writer(ctxt):
            row = kind.create(ctxt, new())
            assert kind.by_id(ctxt, row["id"]) == kind.by_uuid(ctxt, row["uuid"]) == row

    def test_the_uuid_of_an_instance(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        row = ec2_ids.ec2_instance_create(ctxt, new())
        instance_factory.deleted("instance_id_mappings", cast("Row", row))
        with sql_count(2):
            assert ec2_ids.get_instance_uuid_by_ec2_id(ctxt, row["id"]) == row["uuid"]
            assert ec2_ids.get_instance_uuid_by_ec2_id(ctxt, cast("int", str(row["id"]))) == row["uuid"]

    @pytest.mark.parametrize("identity", NO_IDS)
    def test_no_instance_with_this_number(self, ctxt: RequestContext, identity: Any) -> None:
        with pytest.raises(exceptions.InstanceNotFound, match=str(identity)) as raised:
            ec2_ids.get_instance_uuid_by_ec2_id(ctxt, identity)
        assert raised.value.kwargs["instance_id"] == identity


class TestNumbers:
    @numbered
    @pytest.mark.parametrize("number", [833284, "833284"])
    def test_a_given_one(self, ctxt: RequestContext, sql_count: SqlCount, kind: Kind, number: Any) -> None:
        uuid = new()
        with sql_count(1):
            row = kind.create(ctxt, uuid, number)
        assert row["id"] == 833284
        assert kind.by_id(ctxt, number) == kind.by_uuid(ctxt, uuid) == row

    @numbered
    def test_zero_is_a_number_but_on_mysql(self, ctxt: RequestContext, backend: Backend, kind: Kind) -> None:
        row = kind.create(ctxt, new(), 0)
        assert kind.by_uuid(ctxt, row["uuid"]) == kind.by_id(ctxt, row["id"]) == row
        assert (row["id"] == 0) == (backend.family != "mysql")

    @numbered
    def test_a_taken_one(self, ctxt: RequestContext, kind: Kind) -> None:
        row = kind.create(ctxt, new(), 5)
        with pytest.raises(exceptions.DBDuplicateEntry) as raised:
            kind.create(ctxt, new(), 5)
        assert raised.value.columns == ["id"]
        assert kind.by_id(ctxt, 5) == row

    @pytest.mark.parametrize(("kind", "name"), [(VOLUME, "volume_id"), (SNAPSHOT, "snapshot_id")])
    def test_the_public_faces_names(self, ctxt: RequestContext, kind: Kind, name: str) -> None:
        uuid = new()
        row = kind.create(ctxt, **{name: uuid, "forced_id": 7})
        assert (row["uuid"], row["id"]) == (uuid, 7)


class TestContexts:
    @numbered
    @pytest.mark.parametrize("context", [RequestContext(), RequestContext("user"), RequestContext(project_id="p")])
    def test_incomplete_ones_are_refused(self, sql_count: SqlCount, kind: Kind, context: RequestContext) -> None:
        with sql_count(0):
            for call in (kind.create, kind.by_id, kind.by_uuid, ec2_ids.get_instance_uuid_by_ec2_id):
                with pytest.raises(exceptions.Forbidden):
                    call(context, 1)

    def test_images_are_for_everybody(self) -> None:
        row = ec2_ids.s3_image_create(RequestContext(), new())
        assert ec2_ids.s3_image_get(RequestContext(), row["id"]) == row
        assert ec2_ids.s3_image_get_by_uuid(RequestContext(), row["uuid"]) == row

    def test_a_cell(self, ctxt: RequestContext) -> None:
        """Instances are in the cell, everything else is in the main database."""
        with cell_factory.cell("instance_id_mappings") as context:
            made = [(kind, kind.create(context, new())) for kind in (*NUMBERED, IMAGE)]
            for kind, row in made:
                assert kind.by_id(context, row["id"]) == kind.by_uuid(context, row["uuid"]) == row
            assert ec2_ids.get_instance_uuid_by_ec2_id(context, made[0][1]["id"]) == made[0][1]["uuid"]
        with pytest.raises(exceptions.InstanceNotFound):
            INSTANCE.by_uuid(ctxt, made[0][1]["uuid"])
        for kind, row in made[1:]:
            assert kind.by_uuid(ctxt, row["uuid"]) == row


class TestWhatAnImageCantBe:
    @pytest.mark.parametrize("uuid", [None, [], object()])
    def test_one_error_for_everything(self, ctxt: RequestContext, uuid: Any) -> None:
        with pytest.raises(exceptions.DBError) as raised:
            ec2_ids.s3_image_create(ctxt, uuid)
        assert type(raised.value) is exceptions.DBError
        assert raised.value.inner_exception is not None

    @pytest.mark.only_on("mysql", "postgresql", why="sqlite takes text of any length")
    def test_too_long(self, ctxt: RequestContext, backend: Backend) -> None:
        with pytest.raises(exceptions.DBError) as raised:
            ec2_ids.s3_image_create(ctxt, "x" * 40)
        assert type(raised.value) is exceptions.DBError

    @pytest.mark.usefixtures("six_attempts")
    @pytest.mark.parametrize("error", [exceptions.DBDeadlock, exceptions.DBConnectionError])
    def test_conflicts_and_lost_connections_pass(
        self, ctxt: RequestContext, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
    ) -> None:
        def fail(*args: Any, **kwargs: Any) -> None:
            raise error("x")

        monkeypatch.setattr(tx.Transaction, "insert", fail)
        with pytest.raises(error):
            ec2_ids.s3_image_create(ctxt, new())
