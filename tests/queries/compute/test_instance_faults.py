# SPDX-License-Identifier: Apache-2.0

"""Faults of instances (03-instances 3)."""

from __future__ import annotations

import datetime
import uuid
from typing import TYPE_CHECKING, Any, cast

import pytest

from nova_sqlcore import RequestContext, UnknownColumnWarning, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.compute import faults as instance_faults
from tests.queries import cell_factory, instance_factory

if TYPE_CHECKING:
    from tests.plugins.backend import Backend
    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

Row = dict[str, Any]


def instance() -> str:
    return cast("str", instance_factory.instance()["uuid"])


def fault(uuid: str, code: int | None = 404, **more: Any) -> Row:
    given = {"instance_uuid": uuid, "code": code, "message": "m", "details": "d", "host": "h", **more}
    return cast("Row", instance_faults.instance_fault_create(get_admin_context(), given))


class TestCreate:
    def test_the_new_row_is_what_a_read_shows(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        uuid = instance()
        given = {"instance_uuid": uuid, "code": "500", "message": "m", "details": "d" * 70000, "host": "h"}
        with sql_count(1):
            row = instance_faults.instance_fault_create(ctxt, given)
        assert instance_faults.instance_fault_get_by_instance_uuids(ctxt, [uuid]) == {uuid: [row]}
        assert set(row) == set(tables.instance_faults.c.keys())
        assert (row["code"], row["deleted"], row["updated_at"], given["code"]) == (500, 0, None, "500")

    def test_without_a_code(self) -> None:
        uuid = instance()
        with pytest.raises(exceptions.DBError):
            fault(uuid, None)

    def test_an_instance_that_does_not_exist(self, backend: Backend) -> None:
        missing = str(uuid.uuid4())
        if backend.family == "sqlite":
            assert fault(missing)["instance_uuid"] == missing
        else:
            with pytest.raises(exceptions.DBReferenceError) as raised:
                fault(missing)
            assert raised.value.key == "instance_uuid"

    def test_unknown_keys_are_left_out(self) -> None:
        with pytest.warns(UnknownColumnWarning, match="tracback"):
            assert "tracback" not in fault(instance(), tracback="x")


class TestGet:
    def test_newest_first(self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        one, other, none = instance(), instance(), instance()
        old = frozen_clock.now - datetime.timedelta(days=1)
        rows = [fault(one, 1), fault(other, 2), fault(one, 3), fault(one, 4, created_at=old)]
        with sql_count(1):
            found = instance_faults.instance_fault_get_by_instance_uuids(ctxt, [none, other, one])
        assert found == {none: [], other: [rows[1]], one: [rows[2], rows[0], rows[3]]}
        with sql_count(1):
            found = instance_faults.instance_fault_get_by_instance_uuids(ctxt, [none, other, one], latest=True)
        assert found == {none: [], other: [rows[1]], one: [rows[2]]}

    @pytest.mark.parametrize("latest", [True, False])
    def test_nobody_is_asked_for_nothing(self, ctxt: RequestContext, sql_count: SqlCount, latest: bool) -> None:
        with sql_count(0):
            assert instance_faults.instance_fault_get_by_instance_uuids(ctxt, [], latest=latest) == {}

    @pytest.mark.parametrize("word", ["no", "yes", "only"])
    def test_soft_deleted_ones_never_come(self, word: str) -> None:
        uuid = instance()
        rows = [fault(uuid), fault(uuid)]
        instance_factory.deleted("instance_faults", rows[1])
        context = get_admin_context(word)
        for latest in (True, False):
            found = instance_faults.instance_fault_get_by_instance_uuids(context, [uuid], latest=latest)
            assert found == {uuid: [rows[0]]}

    def test_other_projects_see_them_too(self) -> None:
        uuid = instance()
        row = fault(uuid)
        stranger = RequestContext("stranger", "elsewhere")
        assert instance_faults.instance_fault_get_by_instance_uuids(stranger, [uuid]) == {uuid: [row]}

    def test_repeated_uuids(self, ctxt: RequestContext) -> None:
        uuid = instance()
        row = fault(uuid)
        assert instance_faults.instance_fault_get_by_instance_uuids(ctxt, [uuid, uuid]) == {uuid: [row]}

    def test_another_spelling_is_another_uuid(self, ctxt: RequestContext) -> None:
        uuid = instance()
        row = fault(uuid)
        found = instance_faults.instance_fault_get_by_instance_uuids(ctxt, [uuid.upper()])
        assert found == {uuid.upper(): []}
        both = instance_faults.instance_fault_get_by_instance_uuids(ctxt, [uuid.upper(), uuid])
        assert both == {uuid.upper(): [], uuid: [row]}

    def test_numbers_are_looked_up_as_text(self, ctxt: RequestContext) -> None:
        instance_factory.instance(uuid="12")
        row = fault("12")
        number = cast("str", 12)
        assert instance_faults.instance_fault_get_by_instance_uuids(ctxt, [number]) == {number: [row]}

    def test_long_lists_go_in_chunks(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        uuid = instance()
        row = fault(uuid)
        uuids = [*(f"none-{number}" for number in range(700)), uuid]
        with sql_count(2):
            found = instance_faults.instance_fault_get_by_instance_uuids(ctxt, uuids)
        assert (len(found), found[uuid]) == (701, [row])

    def test_inside_a_transaction(self, ctxt: RequestContext) -> None:
        uuid = instance()
        with tx.writer(ctxt):
            given = {"instance_uuid": uuid, "code": 1}
            row = instance_faults.instance_fault_create(ctxt, given)
            assert instance_faults.instance_fault_get_by_instance_uuids(ctxt, [uuid]) == {uuid: [row]}


def test_a_cell() -> None:
    with cell_factory.cell("instance_faults") as context:
        row = instance_faults.instance_fault_create(context, {"instance_uuid": "u", "code": 1})
        assert instance_faults.instance_fault_get_by_instance_uuids(context, ["u"]) == {"u": [row]}
    assert instance_faults.instance_fault_get_by_instance_uuids(get_admin_context(), ["u"]) == {"u": []}
