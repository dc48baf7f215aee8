# SPDX-License-Identifier: Apache-2.0

"""Block device mappings: creating, finding, updating, destroying (05, block device mappings)."""

from __future__ import annotations

import datetime
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from nova_sqlcore import RequestContext, UnknownColumnWarning, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.common import clauses as shared
from nova_sqlcore.queries.storage import block_devices
from nova_sqlcore.queries.storage.block_device_format import BlockDeviceDict
from tests.queries import instance_factory
from tests.queries.processes import Processes, eight_processes
from tests.queries.threads import one_inside_the_other

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugins.backend import Backend
    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

Row = dict[str, Any]

COLUMNS = set(tables.block_device_mapping.c.keys())
VOLUME: Row = {"source_type": "volume", "destination_type": "volume"}
SWAP: Row = {"source_type": "blank", "destination_type": "local", "guest_format": "swap"}
NO_IDS = (77777, "fake", "99999999999999999999", 10**40, -1)
NOBODY = RequestContext()


@pytest.fixture
def server() -> str:
    return instance()


def instance(**values: Any) -> str:
    identity: str = instance_factory.instance(**values)["uuid"]
    return identity


def mapping(server: str | None, device_name: str | None = "/dev/vda", **values: Any) -> Any:
    given = {"instance_uuid": server, "device_name": device_name, **VOLUME, **values}
    return block_devices.block_device_mapping_create(get_admin_context(), given, legacy=False)


def put(values: Row, context: Any = NOBODY, **more: Any) -> Any:
    return block_devices.block_device_mapping_update_or_create(context, values, **more)


def of(server: str, word: str = "no") -> list[Any]:
    return block_devices.block_device_mapping_get_all_by_instance(get_admin_context(word), server)


def devices(server: str, word: str = "no") -> list[str | None]:
    return [row["device_name"] for row in of(server, word)]


def destroyed(server: str | None, **values: Any) -> Any:
    row = mapping(server, **values)
    block_devices.block_device_mapping_destroy(get_admin_context(), row["id"])
    return row


class TestCreate:
    def test_the_new_row_is_what_a_read_shows(self, ctxt: RequestContext, server: str, sql_count: SqlCount) -> None:
        given = {"instance_uuid": server, "device_name": "vdb", "volume_id": "v", "volume_size": "5"}
        with sql_count(1):
            row = block_devices.block_device_mapping_create(ctxt, given)
        assert set(row) == COLUMNS
        assert of(server) == [row]
        assert (row["device_name"], row["volume_size"], row["source_type"]) == ("/dev/vdb", 5, "volume")
        assert (row["delete_on_termination"], row["deleted"], row["updated_at"]) == (False, 0, None)
        assert given == {"instance_uuid": server, "device_name": "vdb", "volume_id": "v", "volume_size": "5"}

    def test_legacy_values_are_always_converted(self, ctxt: RequestContext, server: str) -> None:
        given = {"instance_uuid": server, "device_name": "vda", "volume_id": "v", "image_id": "i", "boot_index": 0}
        row = block_devices.block_device_mapping_create(ctxt, given)
        assert (row["image_id"], row["boot_index"]) == (None, None)
        with pytest.raises(exceptions.InvalidBDMFormat):
            block_devices.block_device_mapping_create(ctxt, {"instance_uuid": server, **SWAP})
        assert of(server) == [row]

    def test_others_are_taken_as_they_are(self, ctxt: RequestContext, server: str) -> None:
        row = block_devices.block_device_mapping_create(ctxt, {"instance_uuid": server, "device_name": "b c"}, False)
        assert (row["device_name"], row["source_type"]) == ("b c", None)

    def test_a_prepared_mapping(self, ctxt: RequestContext, server: str) -> None:
        values = {"source_type": "image", "device_name": "vda", "instance_uuid": server}
        row = block_devices.block_device_mapping_create(ctxt, BlockDeviceDict(values), legacy=False)
        assert values["device_name"] == row["device_name"] == "/dev/vda"

    def test_none_takes_the_default(self, server: str) -> None:
        row = mapping(server, delete_on_termination=None, deleted=None, created_at=None, id=None)
        assert (row["delete_on_termination"], row["deleted"]) == (False, 0)
        assert of(server) == [row]

    def test_an_empty_size_counts_as_none(self, ctxt: RequestContext, server: str) -> None:
        given = {"instance_uuid": server, "volume_id": "v", "volume_size": ""}
        for legacy in (True, False):
            assert block_devices.block_device_mapping_create(ctxt, given, legacy)["volume_size"] is None
        assert given["volume_size"] == ""

    def test_times_may_be_text(self, server: str) -> None:
        given: Row = {"created_at": "2016-04-08T19:59:38+02:00", "deleted_at": "2016-04-08T20:00:00.000000"}
        row = mapping(server, **given)
        assert row["created_at"] == datetime.datetime(2016, 4, 8, 19, 59, 38)
        assert row["deleted_at"] == datetime.datetime(2016, 4, 8, 20)

    def test_unknown_keys_are_not_stored(self, ctxt: RequestContext, server: str) -> None:
        with pytest.warns(UnknownColumnWarning, match="junk"):
            row = mapping(server, junk=1)
        assert set(row) == COLUMNS
        legacy = {"instance_uuid": server, "virtual_name": "swap", "junk": 1}
        assert block_devices.block_device_mapping_create(ctxt, legacy)["guest_format"] == "swap"

    def test_nothing_is_unique(self, server: str) -> None:
        for _ in range(2):
            mapping(server, volume_id="v")
            mapping(server, None, **SWAP)
        assert devices(server) == ["/dev/vda", None, "/dev/vda", None]

    def test_an_instance_that_does_not_exist(self, backend: Backend) -> None:
        if backend.family == "sqlite":
            mapping("no-such")
        else:
            # MySQL from 9.6 on would take some of them if the indexes stood in another order
            for given in ({}, {"device_name": None}, {"volume_id": "v"}, {"device_name": None, "volume_id": "v"}):
                with pytest.raises(exceptions.DBReferenceError):
                    mapping("no-such", **given)


class TestLists:
    def test_by_instance(self, ctxt: RequestContext, server: str, sql_count: SqlCount) -> None:
        rows = [mapping(server, "b"), mapping(server, "a")]
        mapping(instance())
        gone = destroyed(server)
        with sql_count(1):
            assert block_devices.block_device_mapping_get_all_by_instance(ctxt, server) == rows
        ids = [row["id"] for row in (*rows, gone)]
        assert [row["id"] for row in of(server, "yes")] == ids
        assert [row["id"] for row in of(server, "only")] == ids[-1:]
        assert of("no-such") == []

    def test_by_instances(self, ctxt: RequestContext, server: str, sql_count: SqlCount) -> None:
        other = instance()
        rows = [mapping(other), mapping(server), mapping(other)]
        mapping(instance())
        gone = destroyed(server)
        call = block_devices.block_device_mapping_get_all_by_instance_uuids
        with sql_count(1):
            assert call(ctxt, [server, other, "no-such", server]) == rows
        with sql_count(0):
            assert call(ctxt, []) == call(ctxt, None) == []
        assert [row["id"] for row in call(get_admin_context("only"), {server, other})] == [gone["id"]]

    def test_by_many_instances(self, ctxt: RequestContext, server: str, sql_count: SqlCount) -> None:
        other = instance()
        rows = [mapping(other), mapping(server), mapping(other)]
        strangers = [str(uuid.uuid4()) for _ in range(shared.CHUNK)]
        with sql_count(2):
            uuids = [server, *strangers, other, server]
            assert block_devices.block_device_mapping_get_all_by_instance_uuids(ctxt, uuids) == rows

    def test_readers_of_the_replica(self, admin: RequestContext, server: str) -> None:
        row = mapping(server, volume_id="v")
        with tx.reader(admin, replica=True):
            assert block_devices.block_device_mapping_get_all_by_instance(admin, server) == [row]
            assert block_devices.block_device_mapping_get_all_by_instance_uuids(admin, [server]) == [row]
            with pytest.raises(TypeError):
                block_devices.block_device_mapping_get_all_by_volume_id(admin, "v")

    def test_other_users_of_other_projects_see_them_too(self, ctxt: RequestContext, server: str) -> None:
        row = mapping(server)
        for context in (ctxt, RequestContext("colleague", "project"), RequestContext("other", "elsewhere")):
            assert block_devices.block_device_mapping_get_all_by_instance(context, server) == [row]


class TestByVolume:
    def test_all_of_a_volume(self, ctxt: RequestContext, server: str, sql_count: SqlCount) -> None:
        rows = [mapping(server, volume_id="v"), mapping(instance(), volume_id="v")]
        mapping(server, volume_id="w")
        gone = destroyed(server, volume_id="v")
        call = block_devices.block_device_mapping_get_all_by_volume_id
        with sql_count(1):
            assert call(ctxt, "v") == rows
        assert [row["id"] for row in call(get_admin_context("only"), "v")] == [gone["id"]]
        assert call(ctxt, "no-such") == []
        assert call(ctxt, None) == []  # type: ignore[arg-type]  # other mappings have none

    def test_one_of_an_instance(self, ctxt: RequestContext, server: str, sql_count: SqlCount) -> None:
        mapping(instance(), volume_id="v")
        rows = [mapping(server, volume_id="v"), mapping(server, volume_id="v")]
        call = block_devices.block_device_mapping_get_by_instance_and_volume_id
        with sql_count(2):
            assert call(ctxt, "v", server) == rows[0]
            assert call(ctxt, server, "v") is None
        gone = destroyed(server, volume_id="w")
        assert call(ctxt, "w", server) is None
        found = call(get_admin_context("yes"), volume_id="w", instance_uuid=server)
        assert found is not None
        assert found["id"] == gone["id"]

    def test_with_the_instance(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        live = instance_factory.instance({"key": "value"})
        gone = instance_factory.instance()
        rows = [mapping(live["uuid"], volume_id="v"), mapping(live["uuid"], volume_id="v")]
        rows.append(mapping(gone["uuid"], volume_id="v"))
        instance_factory.deleted("instances", gone)
        with sql_count(1):
            found = block_devices.block_device_mapping_get_all_by_volume_id(ctxt, "v", ["instance"])
        owner = {**live, "name": f"instance-{live['id']:08x}"}
        assert found[:2] == [{**row, "instance": owner} for row in rows[:2]]
        assert found[0]["instance"] is not found[1]["instance"]
        dead = found[2]["instance"]
        assert dead is not None
        assert (dead["uuid"], dead["deleted"]) == (gone["uuid"], gone["id"])
        with sql_count(1):
            one = block_devices.block_device_mapping_get_by_instance_and_volume_id(
                ctxt, "v", live["uuid"], columns_to_join=["instance"]
            )
        assert one == found[0]

    def test_a_soft_deleted_mapping_has_no_instance(self, server: str) -> None:
        destroyed(server, volume_id="v")
        everything = get_admin_context("yes")
        found = block_devices.block_device_mapping_get_all_by_volume_id(everything, "v", ["instance"])
        assert [row["instance"] for row in found] == [None]
        mapping(None, volume_id="w")
        found = block_devices.block_device_mapping_get_all_by_volume_id(everything, "w", ["instance"])
        assert [row["instance"] for row in found] == [None]

    def test_other_joins(self, ctxt: RequestContext, server: str) -> None:
        mapping(server, volume_id="v")
        with pytest.raises(ValueError, match="instances"):
            block_devices.block_device_mapping_get_all_by_volume_id(ctxt, "v", ["instances"])
        with pytest.raises(ValueError, match="metadata"):
            block_devices.block_device_mapping_get_by_instance_and_volume_id(
                ctxt, "v", server, ["instance", "metadata"]
            )
        (row,) = block_devices.block_device_mapping_get_all_by_volume_id(ctxt, "v", [])
        assert "instance" not in row


class TestUpdate:
    def test_given_columns_are_written(
        self, ctxt: RequestContext, server: str, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        row = mapping(server, volume_size=3, image_id="i", connection_info="{}")
        now = frozen_clock.advance(5)
        given = {"destination_type": "moon", "volume_size": "", "connection_info": None}
        with sql_count(1, mysql=2, default=1):
            after = block_devices.block_device_mapping_update(ctxt, row["id"], given)
        assert after == row | {"destination_type": "moon", "connection_info": None, "updated_at": now}
        assert of(server) == [after]
        assert given == {"destination_type": "moon", "volume_size": "", "connection_info": None}

    def test_a_legacy_field_converts_them(self, ctxt: RequestContext, server: str) -> None:
        unsaid: Row = {"boot_index": 2, "disk_bus": "ide", "device_type": "cdrom", "guest_format": "ext4"}
        row = mapping(server, **unsaid, image_id="i", connection_info="{}", delete_on_termination=True)
        given = {"virtual_name": None, "volume_id": "v", "device_name": "vdc", "instance_uuid": server}
        after = block_devices.block_device_mapping_update(ctxt, row["id"], given)
        changes = {"volume_id": "v", "device_name": "/dev/vdc", "image_id": None, "connection_info": None}
        assert after is not None
        assert after == row | changes | {"delete_on_termination": False, "updated_at": after["updated_at"]}
        with pytest.raises(exceptions.InvalidBDMFormat):
            block_devices.block_device_mapping_update(ctxt, row["id"], {"junk": 1})

    @pytest.mark.parametrize("values", [{}, {"destination_type": "volume"}])
    def test_even_nothing_touches_the_time(
        self, ctxt: RequestContext, server: str, frozen_clock: FrozenClock, values: Row
    ) -> None:
        row = mapping(server)
        now = frozen_clock.advance(5)
        assert block_devices.block_device_mapping_update(ctxt, row["id"], values) == row | {"updated_at": now}

    def test_a_given_time_is_kept(self, ctxt: RequestContext, server: str) -> None:
        row = mapping(server)
        for given, kept in (("2001-01-01T00:00:00", datetime.datetime(2001, 1, 1)), (None, None)):
            after = block_devices.block_device_mapping_update(ctxt, row["id"], {"updated_at": given})
            assert after is not None
            assert after["updated_at"] == kept

    @pytest.mark.parametrize("identity", NO_IDS)
    def test_no_such_id(self, ctxt: RequestContext, server: str, identity: Any) -> None:
        row = mapping(server)
        for values in ({}, {"volume_size": 3}):
            assert block_devices.block_device_mapping_update(ctxt, identity, values) is None
        block_devices.block_device_mapping_destroy(ctxt, identity)
        assert of(server) == [row]

    def test_visibility(self, ctxt: RequestContext, server: str) -> None:
        live, gone = mapping(server), destroyed(server)
        for word, visible in (("no", [live]), ("only", [gone]), ("yes", [live, gone])):
            for row in (live, gone):
                digits: Any = str(row["id"])
                context = get_admin_context(word)
                after = block_devices.block_device_mapping_update(context, digits, {"volume_size": 3})
                assert (after is not None) is (row in visible)

    @pytest.mark.parametrize(("word", "hidden"), [("no", True), ("yes", False)])
    def test_values_that_hide_the_row(self, server: str, word: str, hidden: bool) -> None:
        row = mapping(server)
        context = get_admin_context(word)
        after = block_devices.block_device_mapping_update(context, row["id"], {"deleted": row["id"]})
        assert (after is None) is hidden
        assert of(server) == []
        back = block_devices.block_device_mapping_update(get_admin_context("only"), row["id"], {"deleted": 0})
        assert back is None
        assert len(of(server)) == 1

    def test_unknown_columns_are_refused(self, ctxt: RequestContext, server: str) -> None:
        row = mapping(server)
        with pytest.raises(exceptions.DBError, match="volume_sice"):
            block_devices.block_device_mapping_update(
                ctxt, row["id"], {"volume_sice": 1, "volume_size": 2}, legacy=False
            )
        assert of(server) == [row]


class TestUpdateOrCreate:
    def test_the_mapping_of_the_device_changes(
        self, server: str, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        mapping(instance())
        first, second = mapping(server, volume_size=7), mapping(server)
        now = frozen_clock.advance(5)
        given = {"instance_uuid": server, "device_name": "/dev/vda", "destination_type": "local", "volume_size": None}
        with sql_count(sqlite=2, postgresql=3, mysql=4):
            after = put(given)
        assert after == first | {"destination_type": "local", "volume_size": None, "updated_at": now}
        assert of(server) == [after, second]

    def test_equal_values_write_nothing(self, server: str, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        row = mapping(server)
        frozen_clock.advance(5)
        full = {name: value for name, value in row.items() if name != "id"}
        with sql_count(sqlite=1, postgresql=2, mysql=3):
            assert put(full) == row
        assert put({**full, "image_id": "i"}) == row | {"image_id": "i", "updated_at": frozen_clock.now}

    def test_a_new_device(self, server: str, sql_count: SqlCount) -> None:
        given = {"instance_uuid": server, "device_name": "/dev/vda", "delete_on_termination": None, **VOLUME}
        with sql_count(sqlite=2, postgresql=3, mysql=4):
            row = put(given)
        assert set(row) == COLUMNS
        assert (row["delete_on_termination"], row["updated_at"]) == (False, None)
        assert of(server) == [row]
        assert put({**given, "destination_type": "local"})["id"] == row["id"]
        assert len(of(server)) == 1

    @pytest.mark.parametrize("name", [None, ""])
    def test_without_a_device_name_it_is_always_new(self, server: str, name: str | None, sql_count: SqlCount) -> None:
        given = {"instance_uuid": server, "device_name": name, **VOLUME}
        with sql_count(2):
            rows = [put(given), put(given)]
        assert of(server) == rows
        assert put({"device_name": None})["instance_uuid"] is None

    def test_what_must_be_there(self, server: str) -> None:
        for values in ({"instance_uuid": server}, {"device_name": "vda"}, {"device_name": None, **SWAP}):
            with pytest.raises(KeyError):
                put(values)
        assert of(server) == []

    def test_legacy_values(self, server: str) -> None:
        given = {"instance_uuid": server, "device_name": "vda", "virtual_name": None, "volume_id": "v"}
        row = put(given)
        assert (row["device_name"], row["source_type"]) == ("/dev/vda", "volume")
        assert put({**given, "volume_id": "w"}) == row | {"volume_id": "w", "updated_at": of(server)[0]["updated_at"]}
        assert given["device_name"] == "vda"
        with pytest.raises(exceptions.InvalidBDMFormat):
            put({"instance_uuid": server, "device_name": "vda", "virtual_name": "what"})

    def test_unconverted_names_are_taken_as_they_are(self, server: str) -> None:
        mapping(server)
        assert put({"instance_uuid": server, "device_name": "vda"})["device_name"] == "vda"
        assert devices(server) == ["/dev/vda", "vda"]

    def test_unknown_keys(self, server: str) -> None:
        given = {"instance_uuid": server, "device_name": "vda", "junk": 1}
        with pytest.raises(TypeError, match="junk"):
            put(given, legacy=False)
        assert of(server) == []
        row = mapping(server, "vda")
        with pytest.warns(UnknownColumnWarning, match="junk"):
            assert put(given, legacy=False) == row

    def test_times_may_be_text_and_an_empty_size_counts_as_none(self, server: str) -> None:
        given = {"instance_uuid": server, "device_name": "vda", "volume_size": "", "created_at": "2016-04-08T19:59:38Z"}
        row = put(given)
        assert (row["created_at"], row["volume_size"]) == (datetime.datetime(2016, 4, 8, 19, 59, 38), None)
        assert given["volume_size"] == ""

    def test_visibility(self, server: str) -> None:
        gone = destroyed(server)
        given = {"instance_uuid": server, "device_name": "/dev/vda", "volume_size": 3}
        assert put(given, get_admin_context("only"))["id"] == gone["id"]
        assert put(given)["id"] != gone["id"]
        assert put(given, get_admin_context("yes"))["id"] == gone["id"]

    def test_new_swap_space_replaces_the_old(self, server: str, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        other = instance()
        elsewhere = mapping(other, "swap", **SWAP)
        old = [mapping(server, "a", **SWAP), mapping(server, None, **(SWAP | {"destination_type": "volume"}))]
        data = mapping(server, "data", **(SWAP | {"guest_format": "ext4"}))
        now = frozen_clock.advance(5)
        with sql_count(sqlite=3, postgresql=4, mysql=5):
            row = put({"instance_uuid": server, "device_name": "b", **SWAP})
        assert (of(server), of(other)) == ([data, row], [elsewhere])
        assert of(server, "only") == [one | {"deleted": one["id"], "deleted_at": now} for one in old]
        with sql_count(sqlite=2, postgresql=3, mysql=4):
            newest = put({"instance_uuid": server, "device_name": None, **SWAP})
        assert of(server) == [data, newest]

    def test_an_update_to_swap_replaces_too(self, server: str) -> None:
        row = mapping(server, "a")
        mapping(server, "b", **SWAP)
        put({"instance_uuid": server, "device_name": "a", **SWAP})
        assert devices(server) == ["a"]
        mapping(server, "c", **SWAP)
        put({"instance_uuid": server, "device_name": "a", "volume_size": 1})  # the row is swap, the values are not
        assert devices(server) == ["a", "c"]
        assert row["id"] == of(server)[0]["id"]

    def test_blanks_that_are_no_swap_live_side_by_side(self, server: str) -> None:
        for name in ("a", "b"):
            put({"instance_uuid": server, "device_name": name, "source_type": "blank", "guest_format": "myformat"})
        assert devices(server) == ["a", "b"]

    def test_joined_and_alone_give_the_same(self, admin: RequestContext, server: str) -> None:
        given = {"instance_uuid": server, "device_name": "a", **SWAP}
        with tx.writer(admin):
            joined = put(given, admin)
            block_devices.block_device_mapping_update(admin, joined["id"], {"volume_size": 4})
            again = put({**given, "volume_size": 5}, admin)
        assert again["id"] == joined["id"]
        assert of(server) == [again]


class TestDestroy:
    def test_by_id(self, ctxt: RequestContext, server: str, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        row, other = mapping(server), mapping(server)
        now = frozen_clock.advance(5)
        with sql_count(1):
            block_devices.block_device_mapping_destroy(ctxt, row["id"])
        assert of(server) == [other]
        assert of(server, "only") == [row | {"deleted": row["id"], "deleted_at": now}]

    def test_by_device(self, ctxt: RequestContext, server: str, sql_count: SqlCount) -> None:
        other = instance()
        for owner, name in ((server, "vda"), (server, "vda"), (server, "/dev/vda"), (server, None), (other, "vda")):
            mapping(owner, name)
        with sql_count(1):
            block_devices.block_device_mapping_destroy_by_instance_and_device(ctxt, server, "vda")
        assert (devices(server), devices(other)) == (["/dev/vda", None], ["vda"])
        block_devices.block_device_mapping_destroy_by_instance_and_device(ctxt, server, "no-such")
        block_devices.block_device_mapping_destroy_by_instance_and_device(
            ctxt,
            instance_uuid=server,
            device_name=None,  # type: ignore[arg-type]  # means NULL
        )
        assert devices(server) == ["/dev/vda"]

    def test_by_volume(self, ctxt: RequestContext, server: str, sql_count: SqlCount) -> None:
        other = instance()
        for owner, volume in ((server, "v"), (server, "v"), (server, "w"), (other, "v")):
            mapping(owner, volume, volume_id=volume)
        with sql_count(1):
            block_devices.block_device_mapping_destroy_by_instance_and_volume(ctxt, server, "v")
        assert (devices(server), devices(other)) == (["w"], ["v"])
        block_devices.block_device_mapping_destroy_by_instance_and_volume(ctxt, server, "no-such")

    def test_visibility(self, server: str, frozen_clock: FrozenClock) -> None:
        live, gone = mapping(server), destroyed(server)
        first = frozen_clock.now
        frozen_clock.advance(5)
        block_devices.block_device_mapping_destroy(get_admin_context("no"), gone["id"])
        block_devices.block_device_mapping_destroy(get_admin_context("only"), live["id"])
        assert of(server) == [live]
        assert [row["deleted_at"] for row in of(server, "only")] == [first]


class TestCells:
    def test_they_are_the_contexts_cell(self, admin: RequestContext, server: str, backend: Backend) -> None:
        with backend.new_database() as url:
            cell = tx.create_context_manager(url)
            tables.metadata.create_all(cell.engine)
            admin.db_connection = cell
            with tx.writer(admin) as transaction:
                transaction.insert(tables.instances, {"uuid": server})
            given = {"instance_uuid": server, "device_name": "cell", "volume_id": "v"}
            row = block_devices.block_device_mapping_create(admin, given, legacy=False)
            assert put({**given, "volume_size": 3}, admin)["id"] == row["id"]
            call = block_devices.block_device_mapping_get_all_by_instance_uuids
            assert [one["volume_size"] for one in call(admin, [server])] == [3]
            assert len(block_devices.block_device_mapping_get_all_by_volume_id(admin, "v")) == 1
            block_devices.block_device_mapping_destroy_by_instance_and_device(admin, server, "cell")
            assert block_devices.block_device_mapping_get_all_by_instance(admin, server) == []
            assert of(server) == of(server, "only") == []
            cell.close()


@pytest.mark.parametrize("device_name", ["/dev/vda", None])
def test_the_second_call_waits_for_the_first(server: str, device_name: str | None) -> None:
    """Of one device there is one mapping, of swap space one at all."""

    def call(size: int) -> Any:
        def run(context: RequestContext) -> Any:
            return put({"instance_uuid": server, "device_name": device_name, "volume_size": size, **SWAP}, context)

        return run

    first, second = one_inside_the_other(call(1), call(2))
    assert of(server) == [second]
    assert (first["id"] == second["id"]) is (device_name is not None)
    assert second["volume_size"] == 2


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with eight_processes() as found:
        yield found


def test_eight_processes_update_or_create_the_same_devices(backend: Backend, server: str, processes: Processes) -> None:
    processes.call(backend.url, put_devices, server)
    found = of(server)
    assert sorted(row["device_name"] for row in found if row["guest_format"] is None) == ["0", "1", "2", "3"]
    assert len([row for row in found if row["guest_format"] == "swap"]) == 1


def put_devices(number: int, server: str) -> None:
    for turn in range(4):
        put({"instance_uuid": server, "device_name": str(turn), "volume_size": number, **VOLUME})
        put({"instance_uuid": server, "device_name": f"swap-{number}-{turn}", **SWAP})


@pytest.mark.parametrize(("before", "after"), [({"a": "", "b": ""}, {"b": ""}), ({"a": 5}, {"a": 5}), ({}, {})])
def test_empty_text_is_scrubbed_in_place(before: Row, after: Row) -> None:
    block_devices._scrub_empty_str_values(before, ["a", "c"])
    assert before == after
