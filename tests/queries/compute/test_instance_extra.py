# SPDX-License-Identifier: Apache-2.0

"""Instance extra (03-instances 3)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, cast

import pytest

from nova_sqlcore import RequestContext, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.compute import extra as instance_extra
from tests.queries import cell_factory, instance_factory, threads

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.plugins.backend import Backend
    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

Row = dict[str, Any]
TEXTS = {"numa_topology", "pci_requests", "flavor", "vcpu_model", "migration_context"}


def instance() -> str:
    return cast("str", instance_factory.instance()["uuid"])


def extra(uuid: str | None = None, **values: Any) -> Row:
    """Store an extra, for a new instance if none is named."""
    return instance_factory.insert("instance_extra", instance_uuid=uuid or instance(), **values)


def forget(row: Row) -> None:
    instance_factory.deleted("instance_extra", row)


def get(context: RequestContext, uuid: str, columns: Sequence[str] | None = None) -> Row | None:
    return cast("Row | None", instance_extra.instance_extra_get_by_instance_uuid(context, uuid, columns))


def update(context: RequestContext, uuid: str, **values: Any) -> int:
    return instance_extra.instance_extra_update_by_uuid(context, uuid, values)


def ids(uuid: str) -> list[int]:
    """Return the ids of all rows of the instance."""
    with tx.reader(get_admin_context()) as transaction:
        table = tables.instance_extra
        found: list[int] = transaction.scalars(
            table.select().with_only_columns(table.c.id).where(table.c.instance_uuid == uuid)
        )
    return found


class TestGet:
    def test_the_row(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        row = extra(numa_topology="{}", flavor="m1")
        extra()
        with sql_count(1):
            assert get(ctxt, row["instance_uuid"]) == row
        assert set(row) == set(tables.instance_extra.c.keys())

    def test_there_is_none(self, ctxt: RequestContext) -> None:
        extra()
        assert get(ctxt, str(uuid.uuid4())) is None
        assert get(ctxt, cast("str", 5)) is None

    @pytest.mark.parametrize("names", [[], ["flavor"], ["vcpu_model", "pci_requests"], ["flavor", "instance_uuid"]])
    def test_some_columns(self, ctxt: RequestContext, names: list[str], sql_count: SqlCount) -> None:
        row = extra(**dict.fromkeys(TEXTS, "x"))
        with sql_count(1) as statements:
            found = get(ctxt, row["instance_uuid"], names)
        left_out = TEXTS - set(names)
        assert found == {name: value for name, value in row.items() if name not in left_out}
        assert not [name for name in left_out if name in statements[0]]

    def test_unknown_columns(self, ctxt: RequestContext) -> None:
        with pytest.raises(ValueError, match="did you mean 'flavor'"):
            get(ctxt, "u", ["flavour"])

    def test_visibility(self, ctxt: RequestContext) -> None:
        row = extra()
        forget(row)
        assert get(ctxt, row["instance_uuid"]) is None
        for word in ("yes", "only"):
            found = get(get_admin_context(word), row["instance_uuid"])
            assert found is not None
            assert found["id"] == row["id"]

    def test_of_several_rows_a_live_one_then_the_newest(self, ctxt: RequestContext) -> None:
        first = extra()
        rows = [first, *(extra(first["instance_uuid"]) for _ in range(3))]
        forget(rows[3])
        assert get(ctxt, first["instance_uuid"]) == rows[2]
        assert get(get_admin_context("yes"), first["instance_uuid"]) == rows[2]
        forget(rows[1])
        found = get(get_admin_context("only"), first["instance_uuid"])
        assert found is not None
        assert found["id"] == rows[3]["id"]


class TestUpdate:
    def test_named_columns_are_written(
        self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        row, other = extra(flavor="m1"), extra()
        now = frozen_clock.advance(5)
        given = {"numa_topology": "{}", "vcpu_model": None}
        with sql_count(1):
            assert instance_extra.instance_extra_update_by_uuid(ctxt, row["instance_uuid"], given) == 1
        assert get(ctxt, row["instance_uuid"]) == row | {"numa_topology": "{}", "updated_at": now}
        assert get(ctxt, other["instance_uuid"]) == other
        assert given == {"numa_topology": "{}", "vcpu_model": None}

    def test_no_values(self, ctxt: RequestContext, frozen_clock: FrozenClock) -> None:
        row = extra()
        now = frozen_clock.advance(5)
        assert update(ctxt, row["instance_uuid"]) == 1
        assert get(ctxt, row["instance_uuid"]) == row | {"updated_at": now}

    def test_the_public_faces_name(self, ctxt: RequestContext) -> None:
        row = extra()
        named: Any = instance_extra.instance_extra_update_by_uuid
        assert named(ctxt, instance_uuid=row["instance_uuid"], updates={"flavor": "m2"}) == 1
        assert named(ctxt, row["instance_uuid"], values={"flavor": "m2"}) == 1

    def test_all_visible_rows_are_written(self, ctxt: RequestContext) -> None:
        first = extra()
        extra(first["instance_uuid"])
        assert update(ctxt, first["instance_uuid"], flavor="m1") == 2

    @pytest.mark.parametrize("exists", [True, False])
    def test_unknown_keys(self, ctxt: RequestContext, exists: bool) -> None:
        uuid = instance()
        if exists:
            extra(uuid)
        before = get(ctxt, uuid)
        with pytest.raises(exceptions.DBError, match=r"instance_extra has no column 'flavour'; did you mean 'flavor'"):
            update(ctxt, uuid, flavour="m1")
        assert get(ctxt, uuid) == before

    def test_a_new_row(self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        uuid = instance()
        given = {"flavor": "m1"}
        with sql_count(sqlite=2, postgresql=3, mysql=4):
            assert instance_extra.instance_extra_update_by_uuid(ctxt, uuid, given) == 1
        row = get(ctxt, uuid)
        assert row is not None
        assert (row["flavor"], row["deleted"], row["created_at"], row["updated_at"]) == (
            "m1",
            0,
            frozen_clock.now,
            None,
        )
        assert given == {"flavor": "m1"}

    def test_an_instance_that_does_not_exist(self, ctxt: RequestContext, backend: Backend) -> None:
        missing = str(uuid.uuid4())
        if backend.family == "sqlite":
            assert update(ctxt, missing, flavor="m1") == 1
            assert len(ids(missing)) == 1
        else:
            with pytest.raises(exceptions.DBReferenceError) as raised:
                update(ctxt, missing, flavor="m1")
            assert raised.value.key == "instance_uuid"

    @pytest.mark.parametrize(("word", "count"), [("no", 0), ("yes", 1), ("only", 1)])
    def test_a_soft_deleted_row_stays_the_only_one(self, word: str, count: int) -> None:
        row = extra(flavor="m1")
        forget(row)
        assert update(get_admin_context(word), row["instance_uuid"], flavor="m2") == count
        assert ids(row["instance_uuid"]) == [row["id"]]
        found = get(get_admin_context("yes"), row["instance_uuid"])
        assert found is not None
        assert (found["flavor"], found["deleted"]) == ("m2" if count else "m1", row["id"])

    def test_a_live_row_that_the_context_does_not_see(self) -> None:
        row = extra(flavor="m1")
        assert update(get_admin_context("only"), row["instance_uuid"], flavor="m2") == 0
        assert get(get_admin_context(), row["instance_uuid"]) == row

    def test_together_with_others_in_one_transaction(self, ctxt: RequestContext) -> None:
        uuid = instance()
        with tx.writer(ctxt):
            assert update(ctxt, uuid, flavor="m1") == 1
            assert update(ctxt, uuid, vcpu_model="v") == 1
        row = get(ctxt, uuid)
        assert row is not None
        assert (row["flavor"], row["vcpu_model"]) == ("m1", "v")

    def test_of_two_who_create_one_waits_for_the_other(self) -> None:
        uuid = instance()
        counts = threads.one_inside_the_other(
            lambda context: update(context, uuid, flavor="m1"), lambda context: update(context, uuid, vcpu_model="v")
        )
        row = get(get_admin_context(), uuid)
        assert row is not None
        assert (*counts, row["flavor"], row["vcpu_model"]) == (1, 1, "m1", "v")
        assert len(ids(uuid)) == 1

    def test_many_at_once_make_one_row(self) -> None:
        uuid = instance()
        calls = [lambda context, name=name: update(context, uuid, **{name: "x"}) for name in TEXTS]
        assert threads.at_once(calls) == [1] * len(calls)
        row = get(get_admin_context(), uuid)
        assert row is not None
        assert {row[name] for name in TEXTS} == {"x"}
        assert len(ids(uuid)) == 1


def test_a_cell() -> None:
    missing = str(uuid.uuid4())
    with cell_factory.cell("instance_extra") as context:
        assert update(context, missing, flavor="m1") == 1
        assert get(context, missing, ["flavor"]) is not None
    assert get(get_admin_context("yes"), missing) is None
