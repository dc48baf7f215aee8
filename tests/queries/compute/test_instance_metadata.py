# SPDX-License-Identifier: Apache-2.0

"""Metadata and system metadata of instances: mappings, changes in place, visibility, and writers at the same time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, UnknownColumnWarning, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.compute import instances, metadata as instance_metadata
from tests.queries.instance_factory import Row, instance
from tests.queries.processes import COUNT, Processes, eight_processes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugins.backend import Backend
    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

NO_UUID = "00000000-0000-0000-0000-000000000000"
KINDS = ("metadata", "system_metadata")


def update(kind: str, context: Any, uuid: str, given: dict[str, Any], delete: bool) -> Any:
    call = (
        instance_metadata.instance_metadata_update
        if kind == "metadata"
        else instance_metadata.instance_system_metadata_update
    )
    return call(context, uuid, given, delete)


def get(kind: str, context: Any, uuid: str) -> Any:
    call = (
        instance_metadata.instance_metadata_get
        if kind == "metadata"
        else instance_metadata.instance_system_metadata_get
    )
    return call(context, uuid)


def stored(kind: str, uuid: str) -> list[Row]:
    """Return all rows of the instance, by id."""
    table = tables.metadata.tables[f"instance_{kind}"]
    with tx.reader(get_admin_context()) as transaction:
        found: list[Row] = transaction.rows(sa.select(table).where(table.c.instance_uuid == uuid).order_by(table.c.id))
    return found


def pairs(rows: list[Row]) -> list[tuple[str, str, bool]]:
    return [(row["key"], row["value"], row["deleted"] != 0) for row in rows]


@pytest.fixture(params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    """Run a test for user metadata and for system metadata."""
    return str(request.param)


@pytest.fixture
def uuid(kind: str) -> str:
    """Store an instance with the pairs a: 1, b: 2 of this kind."""
    row = instance(**{kind: {"a": "1", "b": "2"}})
    instance(**{kind: {"a": "other", "c": "other"}})
    return str(row["uuid"])


class TestGet:
    def test_values_by_key(self, kind: str, uuid: str, ctxt: RequestContext, sql_count: SqlCount) -> None:
        with sql_count(1):
            assert get(kind, ctxt, uuid) == {"a": "1", "b": "2"}

    def test_nothing_for_an_unknown_instance(self, kind: str, admin: RequestContext) -> None:
        assert get(kind, admin, NO_UUID) == {}

    def test_every_project_gets_an_answer(self, kind: str, uuid: str) -> None:
        assert get(kind, RequestContext("other", "other"), uuid) == {"a": "1", "b": "2"}

    def test_of_two_rows_the_later_counts(self, kind: str, uuid: str, admin: RequestContext) -> None:
        duplicate(kind, uuid, "a", "later")
        assert get(kind, admin, uuid) == {"a": "later", "b": "2"}

    @pytest.mark.parametrize(
        ("read_deleted", "metadata", "system_metadata"),
        [
            ("no", {"b": "2"}, {"b": "2"}),
            ("yes", {"b": "2"}, {"a": "1", "b": "2"}),
            ("only", {"b": "2"}, {"a": "1"}),
        ],
    )
    def test_only_system_metadata_follows_the_context(
        self,
        kind: str,
        uuid: str,
        admin: RequestContext,
        read_deleted: str,
        metadata: dict[str, str],
        system_metadata: dict[str, str],
    ) -> None:
        update(kind, admin, uuid, {"b": "2"}, True)
        expected = metadata if kind == "metadata" else system_metadata
        assert get(kind, get_admin_context(read_deleted), uuid) == expected


def duplicate(kind: str, uuid: str, key: str, value: str) -> None:
    with tx.writer(get_admin_context()) as transaction:
        table = tables.metadata.tables[f"instance_{kind}"]
        transaction.insert(table, {"instance_uuid": uuid, "key": key, "value": value})


class TestUpdate:
    @pytest.mark.parametrize(
        ("given", "delete", "after"),
        [
            ({"a": "1"}, False, {"a": "1", "b": "2"}),
            ({"a": "9"}, False, {"a": "9", "b": "2"}),
            ({"c": "3"}, False, {"a": "1", "b": "2", "c": "3"}),
            ({"a": "9", "c": "3"}, True, {"a": "9", "c": "3"}),
            ({"a": None}, False, {"a": None, "b": "2"}),
            ({"a": 5, "b": ""}, False, {"a": "5", "b": ""}),
            ({}, False, {"a": "1", "b": "2"}),
            ({}, True, {}),
        ],
    )
    def test_what_is_there_afterwards(
        self, kind: str, uuid: str, admin: RequestContext, given: Row, delete: bool, after: Row
    ) -> None:
        before = dict(given)
        assert update(kind, admin, uuid, given, delete) is given
        assert given == before
        assert get(kind, admin, uuid) == after
        read: Any = instances.instance_get_by_uuid(admin, uuid)
        assert read[kind] == [row for row in stored(kind, uuid) if kind == "system_metadata" or row["deleted"] == 0]

    @pytest.mark.parametrize(
        ("given", "delete", "writes"),
        [
            ({"a": "1"}, False, 0),
            ({"a": "1", "b": "2"}, True, 0),
            ({"a": "8", "b": "9"}, False, 1),
            ({"c": "8", "d": "9"}, False, 1),
            ({"a": "1"}, True, 1),
            ({"a": "8", "c": "9"}, True, 3),
        ],
    )
    def test_cost(
        self,
        kind: str,
        uuid: str,
        admin: RequestContext,
        sql_count: SqlCount,
        given: Row,
        delete: bool,
        writes: int,
    ) -> None:
        with sql_count(default=1 + writes, postgresql=2 + writes):
            update(kind, admin, uuid, given, delete)

    def test_rows_are_changed_in_place_and_only_if_they_differ(
        self, kind: str, uuid: str, admin: RequestContext, frozen_clock: FrozenClock
    ) -> None:
        a, b = stored(kind, uuid)
        now = frozen_clock.advance(5)
        update(kind, admin, uuid, {"a": "9", "b": "2", "c": "3"}, False)
        after = stored(kind, uuid)
        assert after[:2] == [a | {"value": "9", "updated_at": now}, b]
        assert after[2] == after[2] | {"key": "c", "value": "3", "created_at": now, "updated_at": None, "deleted": 0}

    def test_others_are_soft_deleted_as_they_were(
        self, kind: str, uuid: str, admin: RequestContext, frozen_clock: FrozenClock
    ) -> None:
        a, b = stored(kind, uuid)
        now = frozen_clock.advance(5)
        update(kind, admin, uuid, {"b": "2"}, True)
        assert stored(kind, uuid) == [a | {"deleted": a["id"], "deleted_at": now}, b]

    def test_a_key_that_came_back_has_a_new_row(self, kind: str, uuid: str, admin: RequestContext) -> None:
        update(kind, admin, uuid, {}, True)
        update(kind, admin, uuid, {"a": "7"}, False)
        assert pairs(stored(kind, uuid)) == [("a", "1", True), ("b", "2", True), ("a", "7", False)]

    def test_duplicates_end(self, kind: str, uuid: str, admin: RequestContext) -> None:
        duplicate(kind, uuid, "a", "x")
        update(kind, admin, uuid, {"a": "y"}, False)
        assert pairs(stored(kind, uuid)) == [("a", "1", True), ("b", "2", False), ("a", "y", False)]

    def test_many_pairs(self, kind: str, uuid: str, admin: RequestContext, sql_count: SqlCount) -> None:
        wanted = {f"key{number}": str(number) for number in range(120)}
        update(kind, admin, uuid, wanted, True)
        assert get(kind, admin, uuid) == wanted
        wanted |= {f"key{number}": "changed" for number in range(60)}
        with sql_count(default=3, postgresql=4):
            update(kind, admin, uuid, wanted, True)
        assert get(kind, admin, uuid) == wanted

    def test_keys_differ_in_case(self, kind: str, uuid: str, admin: RequestContext) -> None:
        update(kind, admin, uuid, {"A": "upper"}, False)
        assert get(kind, admin, uuid) == {"a": "1", "b": "2", "A": "upper"}

    def test_an_unknown_instance(self, kind: str, backend: Backend, admin: RequestContext) -> None:
        if backend.family == "sqlite":  # checks no foreign keys
            update(kind, admin, NO_UUID, {"a": "1"}, False)
            assert get(kind, admin, NO_UUID) == {"a": "1"}
            return
        with pytest.raises(exceptions.DBReferenceError) as raised:
            update(kind, admin, NO_UUID, {"a": "1"}, False)
        assert raised.value.key == "instance_uuid"

    def test_inside_the_callers_transaction(self, kind: str, uuid: str, admin: RequestContext) -> None:
        with pytest.raises(ZeroDivisionError), tx.writer(admin):
            update(kind, admin, uuid, {"c": "3"}, True)
            assert get(kind, admin, uuid) == {"c": "3"}
            raise ZeroDivisionError
        assert get(kind, admin, uuid) == {"a": "1", "b": "2"}


class TestSystemMetadataUnderYes:
    def test_a_soft_deleted_pair_takes_the_value_and_stays_so(self, admin: RequestContext) -> None:
        uuid = instance(system_metadata={"a": "1", "b": "2"})["uuid"]
        update("system_metadata", admin, uuid, {"b": "2"}, True)
        update("system_metadata", get_admin_context("yes"), uuid, {"a": "9"}, False)
        assert pairs(stored("system_metadata", uuid)) == [("a", "9", True), ("b", "2", False)]
        assert get("system_metadata", admin, uuid) == {"b": "2"}

    def test_the_live_pair_comes_first(self, admin: RequestContext) -> None:
        uuid = instance(system_metadata={"a": "1"})["uuid"]
        update("system_metadata", admin, uuid, {}, True)
        update("system_metadata", admin, uuid, {"a": "2"}, True)
        update("system_metadata", get_admin_context("yes"), uuid, {"a": "3"}, False)
        assert pairs(stored("system_metadata", uuid)) == [("a", "1", True), ("a", "3", False)]

    def test_user_metadata_knows_no_yes(self, admin: RequestContext) -> None:
        uuid = instance({"a": "1"})["uuid"]
        update("metadata", admin, uuid, {}, True)
        update("metadata", get_admin_context("yes"), uuid, {"a": "2"}, False)
        assert pairs(stored("metadata", uuid)) == [("a", "1", True), ("a", "2", False)]


class TestDelete:
    def test_the_live_rows_of_the_key_go(
        self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        uuid = instance({"a": "1", "b": "2"})["uuid"]
        duplicate("metadata", uuid, "a", "3")
        first, b, second = stored("metadata", uuid)
        now = frozen_clock.advance(3)
        with sql_count(1):
            assert instance_metadata.instance_metadata_delete(ctxt, uuid, "a") is None
        assert stored("metadata", uuid) == [
            first | {"deleted": first["id"], "deleted_at": now},
            b,
            second | {"deleted": second["id"], "deleted_at": now},
        ]

    def test_nothing_to_delete(self, admin: RequestContext, frozen_clock: FrozenClock) -> None:
        uuid = instance({"a": "1"})["uuid"]
        instance_metadata.instance_metadata_delete(admin, uuid, "a")
        before = stored("metadata", uuid)
        frozen_clock.advance(3)
        for context in (admin, get_admin_context("yes")):
            instance_metadata.instance_metadata_delete(context, uuid, "a")
            instance_metadata.instance_metadata_delete(context, uuid, "never")
            instance_metadata.instance_metadata_delete(context, NO_UUID, "a")
        assert stored("metadata", uuid) == before


def test_a_cell_has_metadata_of_its_own(kind: str, backend: Backend, admin: RequestContext) -> None:
    with backend.new_database() as url:
        engine = sa.create_engine(url)
        tables.metadata.create_all(engine)
        with engine.begin() as connection:
            connection.execute(tables.instances.insert().values(uuid=NO_UUID))
        admin.db_connection = tx.create_context_manager(url.render_as_string(hide_password=False))
        update(kind, admin, NO_UUID, {"a": "1"}, False)
        assert get(kind, admin, NO_UUID) == {"a": "1"}
        admin.db_connection.close()
        admin.db_connection = None
        assert get(kind, admin, NO_UUID) == {}
        engine.dispose()


def write_own_and_shared_keys(number: int, uuid: str) -> None:
    context = get_admin_context()
    for count in range(4):
        for kind in KINDS:
            update(kind, context, uuid, {f"own{number}.{count}": "x", "shared": str(number)}, False)


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    """Start eight processes for all back-ends."""
    with eight_processes() as started:
        yield started


def test_eight_processes_lose_nothing_and_insert_no_key_twice(backend: Backend, processes: Processes) -> None:
    uuid = str(instance()["uuid"])
    processes.call(backend.url, write_own_and_shared_keys, uuid)
    own = {f"own{number}.{count}" for number in range(COUNT) for count in range(4)}
    for kind in KINDS:
        assert sorted(row["key"] for row in stored(kind, uuid)) == sorted({*own, "shared"})


def test_unknown_columns_are_none_of_metadata(admin: RequestContext, recwarn: pytest.WarningsRecorder) -> None:
    uuid = str(instance()["uuid"])
    update("metadata", admin, uuid, {"no_column": "x"}, False)
    assert not [one for one in recwarn if one.category is UnknownColumnWarning]
