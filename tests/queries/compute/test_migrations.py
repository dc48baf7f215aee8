# SPDX-License-Identifier: Apache-2.0

"""Migrations (01-core 14)."""

from __future__ import annotations

import datetime
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from nova_sqlcore import RequestContext, UnknownColumnWarning, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.compute import migrations
from nova_sqlcore.settings import settings
from tests.queries import instance_factory

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.backend import Backend
    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

Row = Any

ENDED = ("confirmed", "reverted", "error", "failed", "completed", "cancelled", "done")
RUNNING = ("accepted", "queued", "preparing", "running", "post-migrating")
#: States of a cold migration between acceptance and end.
ON_THE_WAY = ("pre-migrating", "migrating", "post-migrating", "finished", "confirming", "reverting", "on-going")


def migration(**values: Any) -> Row:
    return migrations.migration_create(get_admin_context(), values)


def ids(rows: list[Row]) -> list[int]:
    return [row["id"] for row in rows]


def forget(row: Row) -> None:
    instance_factory.deleted("migrations", row)


class TestCreate:
    def test_the_new_row_is_what_a_read_shows(self, admin: RequestContext, sql_count: SqlCount) -> None:
        with sql_count(2):
            row = migration(status="queued", migration_type="resize", memory_total=2**40, hidden=None)
            assert migrations.migration_get(admin, row["id"]) == row
        assert set(row) == set(tables.migrations.c.keys())
        assert (row["hidden"], row["memory_total"], row["instance_uuid"]) == (False, 2**40, None)

    def test_a_given_updated_at_is_kept(self) -> None:
        moment = datetime.datetime(2000, 1, 1)
        assert migration(updated_at=moment)["updated_at"] == moment

    def test_an_instance_that_does_not_exist(self, backend: Backend) -> None:
        missing = str(uuid.uuid4())
        if backend.family == "sqlite":
            assert migration(instance_uuid=missing)["instance_uuid"] == missing
        else:
            with pytest.raises(exceptions.DBReferenceError):
                migration(instance_uuid=missing)

    def test_a_type_that_does_not_exist(self) -> None:
        with pytest.raises(exceptions.DBDataError, match="migration_type"):
            migration(migration_type="teleport")


class TestGet:
    def test_visibility(self, admin: RequestContext) -> None:
        instance = instance_factory.instance()["uuid"]
        row = migration(instance_uuid=instance, status="done")
        forget(row)
        assert migrations.migration_get(admin, row["id"])["deleted"] == row["id"]
        assert migrations.migration_get_by_instance_and_status(admin, instance, "done")["id"] == row["id"]
        with pytest.raises(exceptions.MigrationNotFoundForInstance):
            migrations.migration_get_by_id_and_instance(admin, row["id"], instance)
        found = migrations.migration_get_by_id_and_instance(get_admin_context("yes"), row["id"], instance)
        assert found["id"] == row["id"]

    @pytest.mark.parametrize("identity", [77777, "fake", 10**40])
    @pytest.mark.parametrize(
        ("call", "error"),
        [
            (migrations.migration_get, exceptions.MigrationNotFound),
            (lambda c, i: migrations.migration_update(c, i, {"status": "x"}), exceptions.MigrationNotFound),
            (lambda c, i: migrations.migration_update(c, i, {}), exceptions.MigrationNotFound),
            (
                lambda c, i: migrations.migration_get_by_id_and_instance(c, i, "u"),
                exceptions.MigrationNotFoundForInstance,
            ),
        ],
    )
    def test_no_such_id(self, admin: RequestContext, identity: Any, call: Callable[..., Any], error: type[Any]) -> None:
        migration()
        with pytest.raises(error) as raised:
            call(admin, identity)
        assert type(raised.value) is error
        assert raised.value.kwargs["migration_id"] == identity

    def test_of_an_instance(self, admin: RequestContext, sql_count: SqlCount) -> None:
        instance = instance_factory.instance()["uuid"]
        row = migration(instance_uuid=instance, status="a")
        identity: Any = str(row["id"])
        with sql_count(2):
            assert migrations.migration_get(admin, identity) == row
            assert migrations.migration_get_by_id_and_instance(admin, identity, instance) == row
        with pytest.raises(exceptions.MigrationNotFoundForInstance) as raised:
            migrations.migration_get_by_id_and_instance(admin, row["id"], "other")
        named = {name: raised.value.kwargs[name] for name in ("migration_id", "instance_id")}
        assert named == {"migration_id": row["id"], "instance_id": "other"}

    def test_the_public_face_says_migration_id(self, admin: RequestContext) -> None:
        row = migration()
        calls: Any = (migrations.migration_get, migrations.migration_get_by_id_and_instance)
        assert calls[0](admin, migration_id=row["id"]) == calls[0](admin, id=row["id"]) == row
        assert calls[1](admin, migration_id=row["id"], instance_uuid=None) == row

    def test_by_status(self, admin: RequestContext, sql_count: SqlCount) -> None:
        instance = instance_factory.instance()["uuid"]
        migration(instance_uuid=instance, status="b")
        row = migration(instance_uuid=instance, status="a")
        migration(instance_uuid=instance, status="a")
        with sql_count(1):
            assert migrations.migration_get_by_instance_and_status(admin, instance, "a") == row
        with pytest.raises(exceptions.MigrationNotFoundByStatus) as raised:
            migrations.migration_get_by_instance_and_status(admin, instance, "c")
        assert {name: raised.value.kwargs[name] for name in ("instance_id", "status")} == {
            "instance_id": instance,
            "status": "c",
        }


class TestFilters:
    @pytest.fixture
    def rows(self, backend: Backend) -> list[Row]:
        rows = [
            migration(source_compute="h1", dest_compute="h2", status="migrating", migration_type="resize"),
            migration(source_compute="h2", dest_compute="h3", status="migrating"),
            migration(source_compute="h3", dest_compute="h1", status="done", migration_type="live-migration"),
            migration(source_compute="h3", dest_compute="h3", status="migrating"),
            migration(source_compute="h2", status="done", hidden=True),
            migration(dest_compute="h4"),
        ]
        forget(migration(source_compute="h2", status="migrating"))
        return rows

    @pytest.mark.parametrize(
        ("filters", "places"),
        [
            ({}, [0, 1, 2, 3, 4, 5]),
            ([], [0, 1, 2, 3, 4, 5]),
            ({"status": "migrating"}, [0, 1, 3]),
            ({"status": ["migrating", "done"]}, [0, 1, 2, 3, 4]),
            ({"status": ("done",)}, [2, 4]),
            ({"status": None}, [5]),
            ({"host": "h3"}, [1, 2, 3]),
            ({"host": "h3", "source_compute": "h1"}, [1, 2, 3]),
            ({"host": None}, [4, 5]),
            ({"host": "h1", "status": {"done", "x"}}, [2]),
            ({"source_compute": "h2"}, [1, 4]),
            ({"source_compute": None}, [5]),
            ({"migration_type": "resize"}, [0]),
            ({"migration_type": None}, [1, 3, 4, 5]),
            ({"hidden": True}, [4]),
            ({"hidden": None}, []),
            ({"status": "migrating", "host": "h3", "migration_type": None, "hidden": False}, [1, 3]),
        ],
    )
    def test_filters(
        self, admin: RequestContext, rows: list[Row], sql_count: SqlCount, filters: Any, places: list[int]
    ) -> None:
        with sql_count(1):
            found = migrations.migration_get_all_by_filters(admin, filters)
        assert found == [rows[place] for place in places]

    def test_unknown_filters_leave_out_nothing_and_warn(self, admin: RequestContext, rows: list[Row]) -> None:
        with pytest.warns(exceptions.UnknownFilterWarning, match="no filter 'hots'; did you mean 'host'") as told:
            assert migrations.migration_get_all_by_filters(admin, {"hots": "h1", "status": None}) == rows[5:]
        assert [one.filename for one in told] == [__file__]

    @pytest.mark.parametrize("filters", [{"status": []}, {"migration_type": "teleport"}, {"migration_type": ""}])
    def test_what_nothing_can_meet(
        self, admin: RequestContext, rows: list[Row], sql_count: SqlCount, filters: Row
    ) -> None:
        with sql_count(0):
            assert migrations.migration_get_all_by_filters(admin, filters) == []

    def test_more_words_than_a_statement_takes(
        self, admin: RequestContext, rows: list[Row], sql_count: SqlCount
    ) -> None:
        words = ["done", *(f"word {number}" for number in range(998)), "migrating", "done", "word 1"]
        with sql_count(2):
            found = migrations.migration_get_all_by_filters(admin, {"status": words})
        assert found == rows[:5]

    def test_visibility(self, rows: list[Row]) -> None:
        assert len(migrations.migration_get_all_by_filters(get_admin_context("yes"), {})) == len(rows) + 1
        assert len(migrations.migration_get_all_by_filters(get_admin_context("only"), {"host": "h2"})) == 1


class TestInProgressByInstance:
    def test_only_these_states(self, admin: RequestContext, sql_count: SqlCount) -> None:
        instance, other = instance_factory.instance()["uuid"], instance_factory.instance()["uuid"]
        rows = [migration(instance_uuid=instance, status=status) for status in RUNNING]
        for status in (*ENDED, "migrating", "finished", None):
            migration(instance_uuid=instance, status=status)
        migration(instance_uuid=other, status="running")
        forget(migration(instance_uuid=instance, status="running"))
        with sql_count(1):
            assert migrations.migration_get_in_progress_by_instance(admin, instance) == rows
        assert len(migrations.migration_get_in_progress_by_instance(get_admin_context("only"), instance)) == 1
        assert migrations.migration_get_in_progress_by_instance(admin, str(uuid.uuid4())) == []

    def test_of_a_type(self, admin: RequestContext, sql_count: SqlCount) -> None:
        instance = instance_factory.instance()["uuid"]
        live = migration(instance_uuid=instance, status="running", migration_type="live-migration")
        resize = migration(instance_uuid=instance, status="running", migration_type="resize")
        get = migrations.migration_get_in_progress_by_instance
        with sql_count(4):
            assert get(admin, instance, "live-migration") == [live]
            assert get(admin, instance, migration_type="evacuation") == []
            assert get(admin, instance, "teleport") == []
            assert get(admin, instance, "") == get(admin, instance, None) == [live, resize]


class TestInProgressOnNode:
    def test_both_sides_count(self, admin: RequestContext, sql_count: SqlCount) -> None:
        instance = instance_factory.instance(host="h")
        here, there = {"source_compute": "h", "source_node": "n"}, {"dest_compute": "h", "dest_node": "n"}
        rows = [
            migration(**here, instance_uuid=instance["uuid"], status="queued"),
            migration(**there, instance_uuid=instance["uuid"], status="migrating"),
            migration(**here, **there, status="finished"),
        ]
        migration(source_compute="h", source_node="other", status="queued")
        migration(source_compute="h", dest_node="n", status="queued")
        migration(dest_compute="other", dest_node="n", status="queued")
        for status in (*ENDED, None):
            migration(**here, instance_uuid=instance["uuid"], status=status)
        forget(migration(**here, status="queued"))
        with sql_count(2):
            found = migrations.migration_get_in_progress_by_host_and_node(admin, "h", "n")
        whole = instance | {"name": f"instance-{instance['id']:08x}", "system_metadata": []}
        assert found == [
            rows[0] | {"instance": whole},
            rows[1] | {"instance": whole},
            rows[2] | {"instance": None},
        ]
        assert ids(migrations.migration_get_in_progress_by_host_and_node(get_admin_context("yes"), "h", "n"))[
            :3
        ] == ids(rows)

    @pytest.mark.parametrize("side", ["source", "dest"])
    def test_what_has_not_ended_is_in_progress(self, admin: RequestContext, side: str) -> None:
        here = {f"{side}_compute": "h", f"{side}_node": "n"}
        words = dict.fromkeys((*RUNNING, *ON_THE_WAY))
        rows = [migration(**here, status=status) for status in words]
        for status in (*ENDED, None):
            migration(**here, status=status)
        found = migrations.migration_get_in_progress_by_host_and_node(admin, "h", "n")
        assert ids(found) == ids(rows)

    def test_nothing_in_progress(self, admin: RequestContext, sql_count: SqlCount) -> None:
        migration(source_compute="h", source_node="n", status="queued")
        with sql_count(2):
            assert migrations.migration_get_in_progress_by_host_and_node(admin, "h", "other") == []
            assert ids(migrations.migration_get_in_progress_by_host_and_node(admin, "h", "n")) != []

    def test_the_instance_and_its_system_metadata(self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(settings, "instance_name_template", "vm-%d")
        instance = instance_factory.instance(metadata={"user": "1"}, system_metadata={"key": "value", "old": "gone"})
        other = instance_factory.instance(system_metadata={"other": "2"})
        with tx.reader(admin) as transaction:
            stored = transaction.rows(tables.instance_system_metadata.select())
        instance_factory.deleted("instance_system_metadata", next(row for row in stored if row["key"] == "old"))
        for uuid_ in (instance["uuid"], other["uuid"], instance["uuid"]):
            migration(source_compute="h", source_node="n", status="queued", instance_uuid=uuid_)
        found: list[Row] = migrations.migration_get_in_progress_by_host_and_node(admin, "h", "n")
        first, second, third = found
        assert first["instance"]["name"] == f"vm-{instance['id']}"
        assert set(first["instance"]) == {*instance, "name", "system_metadata"}
        items = first["instance"]["system_metadata"]
        assert [(item["key"], item["value"], item["deleted"] != 0) for item in items] == [
            ("key", "value", False),
            ("old", "gone", True),
        ]
        assert set(items[0]) == set(tables.instance_system_metadata.c.keys())
        assert [item["key"] for item in second["instance"]["system_metadata"]] == ["other"]
        assert third["instance"] == first["instance"]
        assert first["instance"]["uuid"] == first["instance_uuid"]

    def test_more_migrations_of_one_instance_than_a_list_takes(
        self, admin: RequestContext, sql_count: SqlCount
    ) -> None:
        instance = instance_factory.instance(system_metadata={"key": "value"})
        values = {"source_compute": "h", "source_node": "n", "status": "queued", "instance_uuid": instance["uuid"]}
        with tx.writer(admin) as transaction:
            transaction.insert_many(tables.migrations, [values] * 501)
        with sql_count(2):
            found: list[Row] = migrations.migration_get_in_progress_by_host_and_node(admin, "h", "n")
        assert {len(row["instance"]["system_metadata"]) for row in found} == {1}
        assert len(found) == 501

    def test_a_deleted_instance_is_none(self, admin: RequestContext) -> None:
        instance = instance_factory.instance()
        migration(source_compute="h", source_node="n", status="queued", instance_uuid=instance["uuid"])
        instance_factory.deleted("instances", instance)
        for word in ("no", "yes"):
            (row,) = migrations.migration_get_in_progress_by_host_and_node(get_admin_context(word), "h", "n")
            assert row["instance"] is None

    def test_none_means_null(self, admin: RequestContext) -> None:
        row = migration(source_compute="h", dest_compute="i", dest_node="n", status="queued")
        get: Any = migrations.migration_get_in_progress_by_host_and_node
        assert ids(get(admin, "h", None)) == [row["id"]]
        assert get(admin, None, "n") == []


class TestUnconfirmed:
    def test_the_window(self, admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        old = datetime.datetime(2000, 1, 1)
        row = migration(dest_compute="h", status="finished", updated_at=old)
        edge = migration(dest_compute="h", status="finished", updated_at=frozen_clock.now)
        migration(dest_compute="h", status="finished")
        migration(dest_compute="i", status="finished", updated_at=old)
        migration(dest_compute="h", status="migrating", updated_at=old)
        gone = migration(dest_compute="h", status="finished", updated_at=old)
        forget(gone)
        frozen_clock.advance(9)
        get = migrations.migration_get_unconfirmed_by_dest_compute
        with sql_count(1):
            assert ids(get(admin, 10, "h")) == [row["id"], gone["id"]]
        frozen_clock.advance(1)
        assert ids(get(admin, 10, "h")) == [row["id"], edge["id"], gone["id"]]
        assert get(admin, 10, "nowhere") == []
        migrations.migration_update(admin, row["id"], {"status": "confirmed", "updated_at": old})
        assert ids(get(admin, 10, "h")) == [edge["id"], gone["id"]]

    def test_readers_of_the_replica(self, admin: RequestContext) -> None:
        with tx.reader(admin, replica=True):
            assert migrations.migration_get_unconfirmed_by_dest_compute(admin, 10, "h") == []
            with pytest.raises(TypeError):
                migrations.migration_get(admin, 1)


class TestUpdate:
    def test_named_columns_are_written(
        self, admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        row, other = migration(status="queued"), migration(status="queued")
        now = frozen_clock.advance(4)
        with sql_count(1, mysql=2, default=1):
            after = migrations.migration_update(admin, row["id"], {"status": "running", "disk_total": "5"})
        assert after == row | {"status": "running", "disk_total": 5, "updated_at": now}
        assert migrations.migration_get(admin, row["id"]) == after
        assert migrations.migration_get(admin, other["id"]) == other

    def test_nothing_to_write(self, admin: RequestContext, sql_count: SqlCount) -> None:
        row = migration()
        with sql_count(1):
            assert migrations.migration_update(admin, row["id"], {}) == row

    def test_deleted_migrations_too(self, admin: RequestContext) -> None:
        row = migration(status="a")
        forget(row)
        assert migrations.migration_update(admin, row["id"], {"status": "b"})["status"] == "b"

    def test_a_given_updated_at_is_kept(self, admin: RequestContext) -> None:
        moment = datetime.datetime(2000, 1, 1)
        assert migrations.migration_update(admin, migration()["id"], {"updated_at": moment})["updated_at"] == moment

    def test_none_and_unknown_keys(self, admin: RequestContext) -> None:
        row = migration(status="a", migration_type="resize")
        with pytest.warns(UnknownColumnWarning, match="sttus"):
            after = migrations.migration_update(admin, row["id"], {"migration_type": None, "sttus": "b"})
        assert (after["migration_type"], after["status"]) == (None, "a")
