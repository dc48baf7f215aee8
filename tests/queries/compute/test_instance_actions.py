# SPDX-License-Identifier: Apache-2.0

"""Actions and their events (03-instances 3)."""

from __future__ import annotations

import datetime
import uuid
from typing import TYPE_CHECKING, Any, cast

import pytest

from nova_sqlcore import RequestContext, UnknownColumnWarning, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.compute import actions as instance_actions
from tests.queries import cell_factory, instance_factory, threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.backend import Backend
    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

Row = dict[str, Any]
NO_IDS = (77777, "fake", "99999999999999999999", 10**40, -1, None)
TWO_HOURS_EAST = datetime.timezone(datetime.timedelta(hours=2))


def instance() -> str:
    return cast("str", instance_factory.instance()["uuid"])


def action(uuid: str, request_id: str | None = "req", **more: Any) -> Row:
    given = {"instance_uuid": uuid, "request_id": request_id, "action": "run", **more}
    return cast("Row", instance_actions.action_start(get_admin_context(), given))


def event(uuid: str, request_id: str | None = "req", name: str | None = "spawn", **more: Any) -> Row:
    given = {"instance_uuid": uuid, "request_id": request_id, "event": name, **more}
    return cast("Row", instance_actions.action_event_start(get_admin_context(), given))


def finish(context: RequestContext, uuid: str, request_id: str = "req", name: str = "spawn", **more: Any) -> Row:
    given = {"instance_uuid": uuid, "request_id": request_id, "event": name, "result": "Success", **more}
    return cast("Row", instance_actions.action_event_finish(context, given))


def columns_of(row: Row) -> Row:
    """Return an event as reads show it."""
    return {name: row[name] for name in tables.instance_actions_events.c.keys()}  # noqa: SIM118  # no mapping


def stored_event(row: Row) -> Row:
    context = get_admin_context("yes")
    return cast("Row", instance_actions.action_event_get_by_id(context, row["action_id"], row["id"]))


def stored_action(row: Row) -> Row:
    found = instance_actions.actions_get(get_admin_context("yes"), row["instance_uuid"])
    return next(cast("Row", one) for one in found if one["id"] == row["id"])


class TestStart:
    def test_the_new_row_is_what_a_read_shows(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        uuid = instance()
        given = {"instance_uuid": uuid, "request_id": "req", "action": "run", "user_id": 1, "project_id": "p"}
        with sql_count(1):
            row = instance_actions.action_start(ctxt, given)
        assert instance_actions.actions_get(ctxt, uuid) == [row]
        assert set(row) == set(tables.instance_actions.c.keys())
        assert (row["user_id"], row["deleted"], row["updated_at"], row["finish_time"]) == ("1", 0, None, None)

    @pytest.mark.parametrize(
        "start",
        [
            datetime.datetime(2016, 1, 2, 3, 4, 5),
            datetime.datetime(2016, 1, 2, 3, 4, 5, tzinfo=TWO_HOURS_EAST),
            "2016-01-02T03:04:05",
            "2016-01-02T03:04:05.000000",
            "2016-01-02 03:04:05+02:00",
        ],
    )
    def test_the_start(self, start: Any) -> None:
        uuid = instance()
        given = {"instance_uuid": uuid, "request_id": "req", "start_time": start}
        context = get_admin_context()
        moment = datetime.datetime(2016, 1, 2, 3, 4, 5)
        assert instance_actions.action_start(context, given)["start_time"] == moment
        assert instance_actions.action_event_start(context, given)["start_time"] == moment
        assert given["start_time"] is start

    def test_by_default_it_starts_now(self, frozen_clock: FrozenClock) -> None:
        uuid = instance()
        assert action(uuid)["start_time"] == event(uuid)["start_time"] == frozen_clock.now

    def test_text_that_is_no_time(self) -> None:
        with pytest.raises(ValueError, match="Invalid isoformat"):
            action("u", start_time="abc")

    def test_unknown_keys_are_left_out(self) -> None:
        with pytest.warns(UnknownColumnWarning, match="junk"):
            assert "junk" not in action(instance(), junk=1)

    def test_an_instance_that_does_not_exist(self, backend: Backend) -> None:
        missing = str(uuid.uuid4())
        if backend.family == "sqlite":
            assert action(missing)["instance_uuid"] == missing
        else:
            with pytest.raises(exceptions.DBReferenceError):
                action(missing)

    def test_one_request_may_start_two(self, ctxt: RequestContext) -> None:
        uuid = instance()
        rows = [action(uuid), action(uuid)]
        assert len(instance_actions.actions_get(ctxt, uuid)) == 2
        assert instance_actions.action_get_by_request_id(ctxt, uuid, "req") == rows[1]


class TestGet:
    def test_newest_first(self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        uuid = instance()
        old = frozen_clock.now - datetime.timedelta(days=1)
        rows = [action(uuid, "a"), action(uuid, "b"), action(uuid, "c", created_at=old)]
        action(instance())
        with sql_count(1):
            assert instance_actions.actions_get(ctxt, uuid) == [rows[1], rows[0], rows[2]]
        named: Any = instance_actions.actions_get
        assert named(ctxt, uuid=uuid) == named(ctxt, instance_uuid=uuid)
        assert instance_actions.actions_get(ctxt, instance()) == []

    def test_by_request(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        uuid, other = instance(), instance()
        row = action(uuid)
        action(other)
        action(uuid, "other")
        no_request = action(uuid, None)
        with sql_count(1):
            assert instance_actions.action_get_by_request_id(ctxt, uuid, "req") == row
        assert instance_actions.action_get_by_request_id(ctxt, uuid, "none") is None
        assert instance_actions.action_get_by_request_id(ctxt, uuid, cast("str", None)) == no_request
        named: Any = instance_actions.action_get_by_request_id
        assert named(ctxt, uuid=uuid, request_id="req") == row

    def test_events_newest_first(self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        uuid = instance()
        row = action(uuid)
        old = frozen_clock.now - datetime.timedelta(days=1)
        rows = [columns_of(event(uuid, name=name)) for name in "ab"]
        rows.append(columns_of(event(uuid, name="c", created_at=old)))
        action(uuid, "other")
        event(uuid, "other")
        with sql_count(2):
            assert instance_actions.action_events_get(ctxt, row["id"]) == [rows[1], rows[0], rows[2]]
            assert len(instance_actions.action_events_get(ctxt, str(row["id"]))) == 3  # type: ignore[arg-type]  # ids may be digits

    @pytest.mark.parametrize("identity", NO_IDS)
    def test_no_such_id(self, ctxt: RequestContext, identity: Any) -> None:
        uuid = instance()
        row = action(uuid)
        number = event(uuid)["id"]
        assert instance_actions.action_events_get(ctxt, identity) == []
        assert instance_actions.action_event_get_by_id(ctxt, identity, number) is None
        assert instance_actions.action_event_get_by_id(ctxt, row["id"], identity) is None

    def test_an_event_by_id(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        uuid = instance()
        mine, other = action(uuid), action(uuid, "other")
        row = event(uuid)
        with sql_count(2):
            assert instance_actions.action_event_get_by_id(ctxt, mine["id"], row["id"]) == columns_of(row)
            assert instance_actions.action_event_get_by_id(ctxt, other["id"], row["id"]) is None

    def test_visibility(self, ctxt: RequestContext) -> None:
        uuid = instance()
        row = action(uuid)
        its = event(uuid)
        instance_factory.deleted("instance_actions_events", its)
        instance_factory.deleted("instance_actions", row)
        reads: list[Callable[[RequestContext], Any]] = [
            lambda context: instance_actions.actions_get(context, uuid),
            lambda context: instance_actions.action_get_by_request_id(context, uuid, "req"),
            lambda context: instance_actions.action_events_get(context, row["id"]),
            lambda context: instance_actions.action_event_get_by_id(context, row["id"], its["id"]),
        ]
        for read in reads:
            assert not read(ctxt)
            assert read(get_admin_context("yes"))
            assert read(get_admin_context("only"))
        with pytest.raises(exceptions.InstanceActionNotFound):
            event(uuid)
        with pytest.raises(exceptions.InstanceActionNotFound):
            instance_actions.action_finish(ctxt, {"instance_uuid": uuid, "request_id": "req"})
        assert finish(get_admin_context("only"), uuid)["id"] == its["id"]


class TestFinish:
    def test_the_columns_are_written(
        self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        uuid = instance()
        row, other = action(uuid), action(uuid, "other")
        now = frozen_clock.advance(5)
        given = {"instance_uuid": uuid, "request_id": "req", "finish_time": "2016-01-02T03:04:05+02:00", "message": "m"}
        before = dict(given)
        with sql_count(1, mysql=2, default=1):
            after = instance_actions.action_finish(ctxt, given)
        finished = datetime.datetime(2016, 1, 2, 3, 4, 5)
        assert after == row | {"finish_time": finished, "message": "m", "updated_at": now}
        assert [stored_action(row), stored_action(other)] == [after, other]
        assert given == before

    def test_nothing_but_the_key(self, ctxt: RequestContext, frozen_clock: FrozenClock) -> None:
        uuid = instance()
        row = action(uuid)
        now = frozen_clock.advance(5)
        after = instance_actions.action_finish(ctxt, {"instance_uuid": uuid, "request_id": "req"})
        assert after == row | {"updated_at": now}

    def test_of_several_the_newest(self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        uuid = instance()
        rows = [action(uuid), action(uuid), action(uuid, created_at=datetime.datetime(2001, 1, 1))]
        now = frozen_clock.advance(5)
        with sql_count(1, mysql=2, default=1):
            after = instance_actions.action_finish(ctxt, {"instance_uuid": uuid, "request_id": "req", "message": "m"})
        assert after == rows[1] | {"message": "m", "updated_at": now}
        assert [stored_action(row) for row in rows] == [rows[0], after, rows[2]]
        assert instance_actions.action_get_by_request_id(ctxt, uuid, "req") == after

    def test_of_several_the_newest_that_is_visible(self, ctxt: RequestContext) -> None:
        uuid = instance()
        live, dead = action(uuid), action(uuid)
        instance_factory.deleted("instance_actions", dead)
        given = {"instance_uuid": uuid, "request_id": "req"}
        assert instance_actions.action_finish(ctxt, given)["id"] == live["id"]
        assert instance_actions.action_finish(get_admin_context("only"), given)["id"] == dead["id"]
        assert instance_actions.action_finish(get_admin_context("yes"), given)["id"] == dead["id"]

    def test_of_several_without_request_the_newest(self, ctxt: RequestContext) -> None:
        uuid = instance()
        rows = [action(uuid, None), action(uuid, None)]
        given = {"instance_uuid": uuid, "request_id": None}
        assert instance_actions.action_finish(ctxt, given)["id"] == rows[1]["id"]

    def test_none(self, ctxt: RequestContext) -> None:
        uuid = instance()
        rows = [action(uuid, "other")]
        given = {"instance_uuid": uuid, "request_id": "req", "message": "m"}
        with tx.writer(ctxt), pytest.raises(exceptions.InstanceActionNotFound) as raised:
            instance_actions.action_finish(ctxt, given)
        assert raised.value.kwargs == {"instance_uuid": uuid, "request_id": "req", "code": 500}
        assert [stored_action(row) for row in rows] == rows

    @pytest.mark.parametrize("missing", ["instance_uuid", "request_id"])
    def test_both_names_are_needed(self, ctxt: RequestContext, missing: str) -> None:
        given = {"instance_uuid": "u", "request_id": "r"}
        del given[missing]
        with pytest.raises(KeyError, match=missing):
            instance_actions.action_finish(ctxt, given)

    def test_unknown_keys(self, ctxt: RequestContext) -> None:
        uuid = instance()
        row = action(uuid)
        with pytest.raises(exceptions.DBError, match="instance_actions has no column 'mesage'"):
            instance_actions.action_finish(ctxt, {"instance_uuid": uuid, "request_id": "req", "mesage": "m"})
        assert stored_action(row) == row

    def test_a_request_without_id(self, ctxt: RequestContext) -> None:
        uuid = instance()
        row = action(uuid, None)
        action(uuid)
        assert instance_actions.action_finish(ctxt, {"instance_uuid": uuid, "request_id": None})["id"] == row["id"]


class TestStartEvent:
    def test_the_new_row_and_the_names_of_its_action(
        self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        uuid = instance()
        row, other = action(uuid), action(uuid, "other")
        given = {"instance_uuid": uuid, "request_id": "req", "event": "spawn", "host": "h", "details": "d"}
        before = dict(given)
        now = frozen_clock.advance(5)
        with sql_count(3):
            its = cast("Row", instance_actions.action_event_start(ctxt, given))
        assert stored_action(row) == row | {"updated_at": now}
        assert stored_action(other) == other
        assert given == before
        assert (its["action_id"], its["instance_uuid"], its["request_id"]) == (row["id"], uuid, "req")
        assert its["start_time"] == frozen_clock.now
        assert set(its) == {*tables.instance_actions_events.c.keys(), "instance_uuid", "request_id"}
        assert stored_event(its) == columns_of(its)

    @pytest.mark.parametrize("context", [get_admin_context(), RequestContext("u", "p")])
    def test_of_two_actions_of_a_request_the_newest(self, context: RequestContext, frozen_clock: FrozenClock) -> None:
        uuid = instance()
        rows = [action(uuid), action(uuid), action(uuid, created_at=datetime.datetime(2001, 1, 1))]
        action(uuid, "other")
        now = frozen_clock.advance(5)
        given = {"instance_uuid": uuid, "request_id": "req", "event": "spawn"}
        assert cast("Row", instance_actions.action_event_start(context, given))["action_id"] == rows[1]["id"]
        assert [stored_action(row)["updated_at"] for row in rows] == [None, now, None]

    def test_the_action_that_another_request_falls_back_to_moves_too(self, frozen_clock: FrozenClock) -> None:
        uuid = instance()
        row = action(uuid)
        now = frozen_clock.advance(5)
        event(uuid, "new")
        assert stored_action(row)["updated_at"] == now

    def test_a_bad_value_leaves_the_action_as_it_is(self, admin: RequestContext) -> None:
        uuid = instance()
        row = action(uuid)
        given: Row = {"instance_uuid": uuid, "request_id": "req", "event": ["spawn"], "result": "Success"}
        with tx.writer(admin), pytest.raises(exceptions.DBDataError):
            instance_actions.action_event_start(admin, given)
        its = event(uuid)
        before = stored_action(row)
        with tx.writer(admin), pytest.raises(exceptions.DBDataError):
            finish(admin, uuid, details=["d"])
        assert (stored_action(row), stored_event(its)) == (before, columns_of(its))

    def test_another_request_of_a_service(self, frozen_clock: FrozenClock) -> None:
        uuid = instance()
        old = frozen_clock.now - datetime.timedelta(days=1)
        rows = [action(uuid, "a"), action(uuid, "b"), action(uuid, "c", created_at=old)]
        action(instance(), "d")
        its = event(uuid, "new")
        assert (its["action_id"], its["request_id"]) == (rows[1]["id"], "new")
        assert event(uuid, "c")["action_id"] == rows[2]["id"]

    @pytest.mark.parametrize("context", [get_admin_context(), RequestContext("u", "p"), RequestContext()])
    def test_no_action(self, context: RequestContext) -> None:
        uuid = instance()
        action(instance())
        if context.project_id:
            action(uuid, "other")
        given = {"instance_uuid": uuid, "request_id": "req", "event": "spawn"}
        with pytest.raises(exceptions.InstanceActionNotFound) as raised:
            instance_actions.action_event_start(context, given)
        assert raised.value.kwargs == {"instance_uuid": uuid, "request_id": "req", "code": 500}

    def test_unknown_keys_but_the_usual_ones_warn(self) -> None:
        uuid = instance()
        action(uuid)
        assert "message" not in event(uuid, message="m")
        with pytest.warns(UnknownColumnWarning, match="junk"):
            event(uuid, junk=1)


class TestFinishEvent:
    def test_success(self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        uuid = instance()
        row = action(uuid)
        its, other = event(uuid), event(uuid, name="other")
        now = frozen_clock.advance(5)
        given = {"instance_uuid": uuid, "request_id": "req", "event": "spawn", "message": "m", "result": "Success"}
        given |= {"finish_time": "2016-01-02T03:04:05.000000", "start_time": "2016-01-01T00:00:00Z", "details": "d"}
        before = dict(given)
        with sql_count(3):
            after = instance_actions.action_event_finish(ctxt, given)
        written = {
            "finish_time": datetime.datetime(2016, 1, 2, 3, 4, 5),
            "start_time": datetime.datetime(2016, 1, 1),
            "details": "d",
            "result": "Success",
            "updated_at": now,
        }
        assert after == columns_of(its) | written
        assert [stored_event(its), stored_event(other)] == [after, columns_of(other)]
        assert stored_action(row) == row | {"updated_at": now}
        assert given == before

    @pytest.mark.parametrize("result", ["Error", "error", "ERROR"])
    def test_an_error_marks_the_action(
        self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount, result: str
    ) -> None:
        uuid = instance()
        row, other = action(uuid), action(uuid, "other")
        its = event(uuid)
        now = frozen_clock.advance(5)
        with sql_count(3):
            after = finish(ctxt, uuid, result=result, traceback="t")
        assert after == columns_of(its) | {"result": result, "traceback": "t", "updated_at": now}
        assert after == stored_event(its)
        assert stored_action(row) == row | {"message": "Error", "updated_at": now}
        assert stored_action(other) == other

    def test_without_a_result_nothing_is_kept(self, ctxt: RequestContext) -> None:
        uuid = instance()
        action(uuid)
        its = event(uuid)
        given = {"instance_uuid": uuid, "request_id": "req", "event": "spawn", "details": "d"}
        with pytest.raises(KeyError, match="result"):
            instance_actions.action_event_finish(ctxt, given)
        assert stored_event(its) == columns_of(its)

    def test_no_action(self, ctxt: RequestContext) -> None:
        uuid = instance()
        action(uuid, "other")
        event(uuid, "other")
        with pytest.raises(exceptions.InstanceActionNotFound) as raised:
            finish(ctxt, uuid)
        assert raised.value.kwargs == {"instance_uuid": uuid, "request_id": "req", "code": 500}

    def test_no_event(self, ctxt: RequestContext) -> None:
        uuid = instance()
        row = action(uuid)
        event(uuid, name="other")
        with pytest.raises(exceptions.InstanceActionEventNotFound) as raised:
            finish(ctxt, uuid)
        assert raised.value.kwargs == {"action_id": row["id"], "event": "spawn", "code": 500}

    @pytest.mark.parametrize("project", [None, "project"])
    def test_the_action_of_the_request_is_final(self, project: str | None) -> None:
        uuid = instance()
        row = action(uuid)
        action(uuid, "other")
        event(uuid, "other")
        with pytest.raises(exceptions.InstanceActionEventNotFound) as raised:
            finish(RequestContext("user", project, is_admin=True), uuid)
        assert raised.value.kwargs["action_id"] == row["id"]

    def test_another_request_of_a_service(self, admin: RequestContext, sql_count: SqlCount) -> None:
        uuid = instance()
        action(uuid, "a")
        event(uuid, "a")
        action(uuid, "b")
        its = event(uuid, "b")
        with sql_count(3):
            assert finish(admin, uuid, "new")["id"] == its["id"]

    def test_of_two_actions_of_a_request_the_newest_with_the_event(
        self, ctxt: RequestContext, admin: RequestContext
    ) -> None:
        uuid = instance()
        first = action(uuid)
        early, both = event(uuid, name="early"), event(uuid)
        second = action(uuid)
        late = event(uuid)
        action(uuid, "other")
        event(uuid, "other", name="early")
        for context in (ctxt, admin):
            assert finish(context, uuid, name="early")["id"] == early["id"]
            with pytest.raises(exceptions.InstanceActionEventNotFound) as raised:
                finish(context, uuid, name="none")
            assert raised.value.kwargs["action_id"] == second["id"]
        finished = [finish(ctxt, uuid, finish_time="2016-01-02T03:04:05")["id"] for _ in range(3)]
        assert finished == [late["id"], both["id"], late["id"]]
        assert finish(ctxt, uuid, name="early", result="Error")["action_id"] == first["id"]
        assert [stored_action(row)["message"] for row in (first, second)] == ["Error", None]

    def test_of_several_events_the_newest_unfinished_one(self, ctxt: RequestContext) -> None:
        uuid = instance()
        action(uuid)
        rows = [event(uuid) for _ in range(3)]
        finished = [finish(ctxt, uuid, finish_time="2016-01-02T03:04:05")["id"] for _ in range(4)]
        assert finished == [rows[place]["id"] for place in (2, 1, 0, 2)]

    def test_soft_deleted_events_are_seen_by_who_asks_for_them(self, ctxt: RequestContext) -> None:
        uuid = instance()
        action(uuid)
        live, dead = event(uuid), event(uuid)
        instance_factory.deleted("instance_actions_events", dead)
        assert finish(ctxt, uuid)["id"] == live["id"]
        assert finish(get_admin_context("yes"), uuid)["id"] == dead["id"]

    def test_a_joined_call_does_the_same(self, ctxt: RequestContext) -> None:
        uuid = instance()
        with tx.writer(ctxt):
            given = {"instance_uuid": uuid, "request_id": "req", "event": "spawn"}
            row = instance_actions.action_start(ctxt, {"instance_uuid": uuid, "request_id": "req"})
            instance_actions.action_event_start(ctxt, given)
            its = finish(ctxt, uuid, result="Error")
            assert instance_actions.action_events_get(ctxt, row["id"]) == [its]
        assert stored_action(cast("Row", row))["message"] == "Error"

    def test_two_at_once_finish_their_own_events(self) -> None:
        uuid = instance()
        row = action(uuid)
        names = [str(number) for number in range(6)]
        for name in names:
            event(uuid, name=name)
        calls = [lambda context, name=name: finish(context, uuid, name=name, result="Error") for name in names]
        threads.at_once(calls)
        found = instance_actions.action_events_get(get_admin_context(), row["id"])
        assert {one["result"] for one in found} == {"Error"}
        assert stored_action(row)["message"] == "Error"


def test_a_cell() -> None:
    with cell_factory.cell("instance_actions", "instance_actions_events") as context:
        given = {"instance_uuid": "u", "request_id": "req", "event": "spawn", "result": "Error"}
        row = instance_actions.action_start(context, {"instance_uuid": "u", "request_id": "req"})
        its = instance_actions.action_event_start(context, given)
        assert instance_actions.action_event_get_by_id(context, row["id"], its["id"]) is not None
        assert instance_actions.action_event_finish(context, given)["result"] == "Error"
        assert (
            instance_actions.action_finish(context, {"instance_uuid": "u", "request_id": "req"})["message"] == "Error"
        )
        assert len(instance_actions.action_events_get(context, row["id"])) == 1
        assert instance_actions.action_get_by_request_id(context, "u", "req") is not None
    assert instance_actions.actions_get(get_admin_context("yes"), "u") == []
