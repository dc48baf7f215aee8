# SPDX-License-Identifier: Apache-2.0

"""Info caches (03-instances 3)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, cast

import pytest

from nova_sqlcore import RequestContext, UnknownColumnWarning, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.compute import info_caches
from tests.queries import cell_factory, instance_factory, threads

if TYPE_CHECKING:
    from tests.plugins.backend import Backend
    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

Row = dict[str, Any]
SEEING_DELETED = ("yes", "only")


def instance() -> str:
    return cast("str", instance_factory.instance()["uuid"])


def cache(network_info: str | None = "[]", **more: Any) -> Row:
    """Store a cache, for a new instance if none is named."""
    return instance_factory.insert(
        "instance_info_caches",
        **{"instance_uuid": more.pop("uuid", None) or instance()},
        network_info=network_info,
        **more,
    )


def forget(row: Row) -> None:
    instance_factory.deleted("instance_info_caches", row)


def stored(row: Row) -> Row:
    found = info_caches.instance_info_cache_get(get_admin_context("yes"), row["instance_uuid"])
    assert found is not None
    return cast("Row", found)


def update(context: RequestContext, uuid: str, **values: Any) -> Row:
    return cast("Row", info_caches.instance_info_cache_update(context, uuid, values))


class TestGet:
    def test_the_row(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        row = cache('[{"id": 1}]')
        cache()
        assert set(row) == set(tables.instance_info_caches.c.keys())
        with sql_count(1):
            assert info_caches.instance_info_cache_get(ctxt, row["instance_uuid"]) == row

    def test_there_is_none(self, ctxt: RequestContext) -> None:
        cache()
        assert info_caches.instance_info_cache_get(ctxt, str(uuid.uuid4())) is None
        assert info_caches.instance_info_cache_get(ctxt, cast("str", None)) is None
        assert info_caches.instance_info_cache_get(ctxt, cast("str", 12)) is None

    def test_visibility(self, ctxt: RequestContext) -> None:
        row = cache()
        forget(row)
        assert info_caches.instance_info_cache_get(ctxt, row["instance_uuid"]) is None
        for word in SEEING_DELETED:
            found = info_caches.instance_info_cache_get(get_admin_context(word), row["instance_uuid"])
            assert found is not None
            assert found["deleted"] == row["id"]

    def test_other_projects_see_it_too(self) -> None:
        row = cache()
        stranger = RequestContext("stranger", "elsewhere")
        assert info_caches.instance_info_cache_get(stranger, row["instance_uuid"]) == row


class TestUpdate:
    def test_a_live_cache(self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        row, other = cache(), cache()
        now = frozen_clock.advance(5)
        given = {"network_info": "[1]"}
        with sql_count(1, mysql=2, default=1):
            after = info_caches.instance_info_cache_update(ctxt, row["instance_uuid"], given)
        assert after == row | {"network_info": "[1]", "updated_at": now}
        assert after == stored(row)
        assert stored(other) == other
        assert given == {"network_info": "[1]"}

    def test_no_values(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        row = cache()
        with sql_count(1):
            assert update(ctxt, row["instance_uuid"]) == row

    def test_equal_values_find_the_row(self, ctxt: RequestContext) -> None:
        row = cache()
        for _ in range(2):
            assert update(ctxt, row["instance_uuid"], network_info="[]")["id"] == row["id"]

    def test_times_as_text(self, ctxt: RequestContext) -> None:
        row = cache()
        given = {"created_at": "2016-01-02T03:04:05+02:00", "updated_at": "2016-01-02T03:04:06.000000"}
        after = info_caches.instance_info_cache_update(ctxt, row["instance_uuid"], given)
        assert (str(after["created_at"]), str(after["updated_at"])) == ("2016-01-02 03:04:05", "2016-01-02 03:04:06")
        assert given["created_at"] == "2016-01-02T03:04:05+02:00"
        assert after == stored(row)

    def test_unknown_keys_are_left_out(self, ctxt: RequestContext) -> None:
        row = cache()
        with pytest.warns(UnknownColumnWarning, match="ckey"):
            after = update(ctxt, row["instance_uuid"], ckey="cvalue", network_info="[2]")
        assert after["network_info"] == "[2]"

    def test_a_new_cache(self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        uuid = instance()
        with sql_count(2):
            row = update(ctxt, uuid, network_info="[3]")
        assert (row["instance_uuid"], row["network_info"], row["deleted"]) == (uuid, "[3]", 0)
        assert (row["created_at"], row["updated_at"]) == (frozen_clock.now, None)
        assert row == stored(row)

    @pytest.mark.parametrize("word", ["no", *SEEING_DELETED])
    def test_a_new_cache_whatever_the_context_sees(self, word: str) -> None:
        row = update(get_admin_context(word), instance(), network_info="[3]")
        assert row == stored(row)

    def test_the_instance_in_the_values_does_not_count_for_a_new_cache(self, ctxt: RequestContext) -> None:
        uuid, other = instance(), instance()
        assert update(ctxt, uuid, instance_uuid=other)["instance_uuid"] == uuid

    def test_unknown_keys_of_a_new_cache(self, ctxt: RequestContext) -> None:
        uuid = instance()
        with pytest.warns(UnknownColumnWarning), pytest.raises(exceptions.DBError, match="ckey"):
            update(ctxt, uuid, ckey="cvalue")
        assert info_caches.instance_info_cache_get(ctxt, uuid) is None

    def test_an_instance_that_does_not_exist(self, ctxt: RequestContext, backend: Backend) -> None:
        missing = str(uuid.uuid4())
        if backend.family == "sqlite":
            assert update(ctxt, missing, network_info="[]")["instance_uuid"] == missing
        else:
            with pytest.raises(exceptions.DBReferenceError) as raised:
                update(ctxt, missing, network_info="[]")
            assert raised.value.key == "instance_uuid"

    def test_a_soft_deleted_cache_stays_as_it_is(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        row = cache()
        forget(row)
        before = stored(row)
        with sql_count(3):
            assert update(ctxt, row["instance_uuid"], network_info="[9]") == before
        other = instance()
        with tx.writer(ctxt):
            assert update(ctxt, row["instance_uuid"], network_info="[9]") == before
            new = update(ctxt, other, network_info="[1]")
        assert [stored(one) for one in (row, new)] == [before, new]

    @pytest.mark.parametrize("word", SEEING_DELETED)
    def test_a_soft_deleted_cache_that_the_context_sees(self, word: str) -> None:
        row = cache()
        forget(row)
        before = stored(row)
        with pytest.raises(exceptions.InstanceInfoCacheNotFound) as raised:
            update(get_admin_context(word), row["instance_uuid"], network_info="[9]")
        assert raised.value.kwargs["instance_uuid"] == row["instance_uuid"]
        assert stored(row) == before

    def test_a_live_cache_that_the_context_does_not_see(self) -> None:
        row = cache()
        assert update(get_admin_context("only"), row["instance_uuid"], network_info="[9]") == row
        assert update(get_admin_context("yes"), row["instance_uuid"], network_info="[9]")["network_info"] == "[9]"

    def test_moving_a_cache_to_an_instance_that_has_one(self, ctxt: RequestContext) -> None:
        row, other, third = cache("[1]"), cache("[2]"), instance()
        with tx.writer(ctxt):
            kept = update(ctxt, row["instance_uuid"], instance_uuid=other["instance_uuid"], network_info="[9]")
            new = update(ctxt, third, network_info="[3]")
        assert kept == row
        assert [stored(one) for one in (row, other, new)] == [row, other, new]

    def test_moving_a_cache_to_an_instance_without_one(self, ctxt: RequestContext) -> None:
        row, uuid = cache("[1]"), instance()
        after = update(ctxt, row["instance_uuid"], instance_uuid=uuid)
        assert (after["id"], after["instance_uuid"]) == (row["id"], uuid)
        assert info_caches.instance_info_cache_get(ctxt, row["instance_uuid"]) is None

    def test_many_updates_take_no_ids(self, ctxt: RequestContext) -> None:
        row = cache()
        for number in range(5):
            update(ctxt, row["instance_uuid"], network_info=str(number))
        assert cache()["id"] == row["id"] + 1

    def test_of_two_who_create_at_once_both_get_the_one_row(self) -> None:
        uuid = instance()
        rows = threads.one_inside_the_other(
            lambda context: update(context, uuid, network_info="first"),
            lambda context: update(context, uuid, network_info="second"),
        )
        assert rows[0]["id"] == rows[1]["id"]

    def test_many_at_once(self) -> None:
        uuid = instance()
        texts = [str(number) for number in range(6)]
        calls = [lambda context, text=text: update(context, uuid, network_info=text) for text in texts]
        assert len({row["id"] for row in threads.at_once(calls)}) == 1
        assert update(get_admin_context(), uuid)["network_info"] in texts


class TestDelete:
    def test_it_is_hidden(self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        row, other = cache(), cache()
        now = frozen_clock.advance(5)
        with sql_count(1):
            info_caches.instance_info_cache_delete(ctxt, row["instance_uuid"])
        assert info_caches.instance_info_cache_get(ctxt, row["instance_uuid"]) is None
        assert stored(row) == row | {"deleted": row["id"], "deleted_at": now}
        assert stored(other) == other

    def test_nothing_to_delete(self, ctxt: RequestContext) -> None:
        info_caches.instance_info_cache_delete(ctxt, str(uuid.uuid4()))

    def test_visibility(self, frozen_clock: FrozenClock) -> None:
        row = cache()
        info_caches.instance_info_cache_delete(get_admin_context("only"), row["instance_uuid"])
        assert stored(row) == row
        for _ in range(2):
            info_caches.instance_info_cache_delete(get_admin_context("yes"), row["instance_uuid"])
            assert stored(row)["deleted_at"] == frozen_clock.now
            frozen_clock.advance(1)


def test_a_cell() -> None:
    uuid = "7d13c151-2d37-429e-a9e3-3481c8ebc088"
    with cell_factory.cell("instances", "instance_info_caches") as context:
        row = update(context, uuid, network_info="[]")
        assert update(context, uuid, instance_uuid=uuid, network_info="[1]")["id"] == row["id"]
        assert info_caches.instance_info_cache_get(context, uuid) is not None
        info_caches.instance_info_cache_delete(context, uuid)
        assert info_caches.instance_info_cache_get(context, uuid) is None
    assert info_caches.instance_info_cache_get(get_admin_context("yes"), uuid) is None
