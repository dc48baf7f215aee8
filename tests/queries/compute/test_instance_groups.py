# SPDX-License-Identifier: Apache-2.0

"""Server groups (06, Instance groups)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, UnknownColumnWarning, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.common import children
from nova_sqlcore.queries.compute import groups as instance_groups
from nova_sqlcore.queries.quota import counts
from tests.queries.processes import eight_processes
from tests.queries.threads import one_inside_the_other

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.plugins.backend import Backend
    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount
    from tests.queries.processes import Processes

pytestmark = pytest.mark.usefixtures("backend")

Row = dict[str, Any]

POLICIES = ["affinity", "x"]
MEMBERS = ["m1", "m2", "m3"]
CHILDREN = (tables.instance_group_member, tables.instance_group_policy)


def group(name: str = "g", policies: list[str] | None = None, members: list[str] | None = None, **more: Any) -> Any:
    given = {"name": name, "user_id": "user", "project_id": "project", **more}
    return instance_groups.instance_group_create(get_admin_context(), given, policies, members)


def stranger() -> RequestContext:
    """Return the context of a user of another project."""
    return RequestContext("stranger", "other")


def get(group_uuid: str) -> Any:
    return instance_groups.instance_group_get(get_admin_context(), group_uuid)


def stored(table: sa.Table) -> list[Row]:
    with tx.main.engine.connect() as connection:
        return [dict(row) for row in connection.execute(sa.select(table).order_by(table.c.id)).mappings()]


class TestCreate:
    def test_the_new_row_is_what_a_read_shows(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        given = {"name": "g", "user_id": "user", "project_id": "project", "uuid": "fake_id"}
        with sql_count(3):
            row = instance_groups.instance_group_create(ctxt, given, POLICIES, MEMBERS)
        with sql_count(1):
            assert row == instance_groups.instance_group_get(ctxt, "fake_id")
        assert set(row) == {*tables.instance_groups.c.keys(), "policies", "members"}
        assert (row["policies"], row["members"], row["updated_at"]) == (POLICIES, MEMBERS, None)
        assert given == {"name": "g", "user_id": "user", "project_id": "project", "uuid": "fake_id"}

    @pytest.mark.parametrize("given", [{}, {"uuid": None}])
    def test_a_random_uuid(self, admin: RequestContext, sql_count: SqlCount, given: Row) -> None:
        with sql_count(1):
            row = instance_groups.instance_group_create(admin, given)
        assert str(uuid.UUID(row["uuid"])) == row["uuid"]
        assert (row["policies"], row["members"]) == ([], [])
        assert given in ({}, {"uuid": None})

    def test_duplicates_in_a_list_are_stored_twice(self) -> None:
        row = group(members=["m", "m"], policies=["p", "p"])
        assert (row["members"], row["policies"]) == (["m", "m"], ["p", "p"])
        assert get(row["uuid"]) == row

    def test_a_taken_uuid(self, admin: RequestContext) -> None:
        group(uuid="u")
        with tx.writer(admin):
            with pytest.raises(exceptions.InstanceGroupIdExists) as raised:
                instance_groups.instance_group_create(admin, {"uuid": "u", "project_id": "other"}, ["p"], ["m"])
            assert raised.value.kwargs["group_uuid"] == "u"
            instance_groups.instance_group_create(admin, {"uuid": "v"})
        assert [row["uuid"] for row in stored(tables.instance_groups)] == ["u", "v"]
        assert [stored(table) for table in CHILDREN] == [[], []]

    def test_a_deleted_uuid_is_free_again(self, admin: RequestContext) -> None:
        for _ in range(3):
            group(uuid="u", members=["m"])
            instance_groups.instance_group_delete(admin, "u")
        assert group(uuid="u")["members"] == []
        assert get("u")["deleted"] == 0

    def test_a_user_can_not_create_for_another_project(self, ctxt: RequestContext) -> None:
        with tx.writer(ctxt), pytest.raises(exceptions.InstanceGroupNotFound) as raised:
            instance_groups.instance_group_create(ctxt, {"uuid": "u", "project_id": "other"}, ["p"], ["m"])
        assert raised.value.kwargs["group_uuid"] == "u"
        assert stored(tables.instance_groups) == []
        group(uuid="u")
        with pytest.raises(exceptions.InstanceGroupIdExists):
            instance_groups.instance_group_create(ctxt, {"uuid": "u", "project_id": "other"})

    def test_unknown_keys_are_not_stored(self, admin: RequestContext) -> None:
        with pytest.warns(UnknownColumnWarning, match="junk"):
            row = instance_groups.instance_group_create(admin, {"junk": 1})
        assert "junk" not in row


class TestReads:
    def test_policies_and_members_do_not_multiply(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        rows = [group(str(place), POLICIES, MEMBERS) for place in range(3)]
        with sql_count(3):
            assert instance_groups.instance_group_get_all(ctxt) == rows
            assert instance_groups.instance_group_get_all_by_project_id(ctxt, "project") == rows
            assert instance_groups.instance_group_get_by_instance(ctxt, "m2") == rows[0]

    def test_users_see_their_project(self, ctxt: RequestContext, admin: RequestContext) -> None:
        mine, theirs = group(members=["m"]), group(project_id="other", members=["n"])
        everybody = RequestContext("user")  # no user without a project
        for context, seen in (
            (ctxt, [mine]),
            (stranger(), [theirs]),
            (admin, [mine, theirs]),
            (everybody, [mine, theirs]),
        ):
            assert instance_groups.instance_group_get_all(context) == seen
            for row in (mine, theirs):
                project = instance_groups.instance_group_get_all_by_project_id(context, row["project_id"])
                if row in seen:
                    assert project == [row]
                    assert instance_groups.instance_group_get(context, row["uuid"]) == row
                    assert instance_groups.instance_group_get_by_instance(context, row["members"][0]) == row
                else:
                    assert project == []
                    with pytest.raises(exceptions.InstanceGroupNotFound) as raised:
                        instance_groups.instance_group_get(context, row["uuid"])
                    assert raised.value.kwargs["group_uuid"] == row["uuid"]
                    with pytest.raises(exceptions.InstanceGroupNotFound) as raised:
                        instance_groups.instance_group_get_by_instance(context, row["members"][0])
                    assert raised.value.kwargs["group_uuid"] == row["id"]

    def test_groups_of_no_project(self, ctxt: RequestContext, admin: RequestContext) -> None:
        row = group(project_id=None)
        group()
        assert instance_groups.instance_group_get_all_by_project_id(admin, None) == [row]
        assert instance_groups.instance_group_get_all_by_project_id(ctxt, None) == []

    @pytest.mark.parametrize("group_uuid", [None, "", "nothing", 12])
    def test_no_such_group(self, admin: RequestContext, group_uuid: Any) -> None:
        row = group(policies=POLICIES, members=MEMBERS)
        calls: tuple[Callable[[], Any], ...] = (
            lambda: instance_groups.instance_group_get(admin, group_uuid),
            lambda: instance_groups.instance_group_delete(admin, group_uuid),
            lambda: instance_groups.instance_group_update(admin, group_uuid, {"name": "n"}),
            lambda: instance_groups.instance_group_update(admin, group_uuid, {}),
            lambda: instance_groups.instance_group_update(admin, group_uuid, {"members": [], "name": "n"}),
            lambda: instance_groups.instance_group_members_get(admin, group_uuid),
            lambda: instance_groups.instance_group_members_add(admin, group_uuid, []),
            lambda: instance_groups.instance_group_members_add(admin, group_uuid, ["m"], set_delete=True),
            lambda: instance_groups.instance_group_member_delete(admin, group_uuid, "m1"),
        )
        for call in calls:
            with pytest.raises(exceptions.InstanceGroupNotFound) as raised:
                call()
            assert raised.value.kwargs["group_uuid"] == group_uuid
        assert get(row["uuid"]) == row

    def test_a_deleted_group_shows_no_children(self, admin: RequestContext) -> None:
        dead, live = group(uuid="dead", policies=["p"], members=["m"]), group(uuid="live")
        instance_groups.instance_group_delete(admin, "dead")
        with tx.main.engine.begin() as connection:  # children that somebody forgot
            for table in CHILDREN:
                connection.execute(table.update().values(deleted=0))
        for word, seen in (("no", ["live"]), ("only", ["dead"]), ("yes", ["dead", "live"])):
            context = get_admin_context(word)
            found = instance_groups.instance_group_get_all(context)
            assert [row["uuid"] for row in found] == seen
            if "dead" in seen:
                assert (found[0]["policies"], found[0]["members"], found[0]["deleted"]) == ([], [], dead["id"])
        with pytest.raises(exceptions.InstanceGroupNotFound) as raised:
            instance_groups.instance_group_get_by_instance(admin, "m")
        assert raised.value.kwargs["group_uuid"] == dead["id"]
        assert get("live") == live

    def test_the_first_row_of_a_member_decides(self, ctxt: RequestContext) -> None:
        first = group(project_id="other", members=["m"])
        second = group(members=["m", "n"])
        with pytest.raises(exceptions.InstanceGroupNotFound) as raised:
            instance_groups.instance_group_get_by_instance(ctxt, "m")
        assert raised.value.kwargs["group_uuid"] == first["id"]
        instance_groups.instance_group_member_delete(ctxt, first["uuid"], "m")
        assert instance_groups.instance_group_get_by_instance(ctxt, "m") == second
        with pytest.raises(exceptions.InstanceGroupNotFound) as raised:
            instance_groups.instance_group_get_by_instance(ctxt, "nobody")
        assert raised.value.kwargs["group_uuid"] == ""

    def test_members(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        row, other = group(members=MEMBERS), group(project_id="other")
        with sql_count(2):
            assert instance_groups.instance_group_members_get(ctxt, row["uuid"]) == MEMBERS
            assert instance_groups.instance_group_members_get(ctxt, other["uuid"]) == []
        instance_groups.instance_group_member_delete(ctxt, row["uuid"], "m2")
        assert instance_groups.instance_group_members_get(ctxt, row["uuid"]) == ["m1", "m3"]
        assert instance_groups.instance_group_members_get(get_admin_context("yes"), row["uuid"]) == MEMBERS

    def test_count(self, admin: RequestContext, sql_count: SqlCount) -> None:
        for user, project in (
            ("user", "project"),
            ("user", "project"),
            ("user", "other"),
            (None, "project"),
            (None, None),
        ):
            group(user_id=user, project_id=project)
        instance_groups.instance_group_delete(admin, group()["uuid"])
        context = get_admin_context("yes")
        with sql_count(4):
            found = [
                counts._instance_group_count_by_project_and_user(context, project, user)
                for project, user in (("project", "user"), ("other", "user"), ("project", None), (None, None))
            ]
        assert found == [2, 1, 1, 1]

    def test_a_cell_is_not_asked(self, admin: RequestContext, backend: Backend) -> None:
        row = group()
        with backend.new_database() as url:
            admin.db_connection = tx.create_context_manager(url)
            assert instance_groups.instance_group_get_all(admin) == [row]


class TestUpdate:
    def test_columns(self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        row = group(policies=POLICIES, members=MEMBERS)
        now = frozen_clock.advance(5)
        with sql_count(1):
            instance_groups.instance_group_update(ctxt, row["uuid"], {"name": "n", "user_id": None})
        assert get(row["uuid"]) == row | {"name": "n", "user_id": None, "updated_at": now}

    @pytest.mark.parametrize("given", [{}, {"name": "g"}, {"policies": None, "members": None}, {"members": ["n"]}])
    def test_what_is_so_already_is_not_written(
        self, ctxt: RequestContext, frozen_clock: FrozenClock, given: Row
    ) -> None:
        row = group()
        frozen_clock.advance(5)
        instance_groups.instance_group_update(ctxt, row["uuid"], given)
        assert get(row["uuid"])["updated_at"] is None

    def test_lists_replace_what_is_there(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        row = group(policies=POLICIES, members=MEMBERS)
        given = {"name": "n", "members": ["m2", "new"], "policies": []}
        with sql_count(
            postgresql=6, default=5
        ):  # lock and read, PostgreSQL once more per list; drop, add, drop; update
            instance_groups.instance_group_update(ctxt, row["uuid"], given)
        after = get(row["uuid"])
        assert (after["name"], after["members"], after["policies"]) == ("n", ["m2", "new"], [])
        assert given == {"name": "n", "members": ["m2", "new"], "policies": []}
        kept = [member for member in stored(tables.instance_group_member) if not member["deleted"]]
        assert [(member["id"] - kept[0]["id"], member["updated_at"]) for member in kept] == [(0, None), (2, None)]

    def test_a_user_of_another_project_may_change_it(self) -> None:
        row = group()
        instance_groups.instance_group_update(stranger(), row["uuid"], {"name": "n"})
        assert get(row["uuid"])["name"] == "n"

    def test_a_taken_uuid_passes_as_it_is(self, admin: RequestContext) -> None:
        group(uuid="u")
        row = group()
        with pytest.raises(exceptions.DBDuplicateEntry) as raised:
            instance_groups.instance_group_update(admin, row["uuid"], {"uuid": "u"})
        assert set(raised.value.columns) == {"uuid", "deleted"}

    def test_a_deleted_group(self, admin: RequestContext) -> None:
        row = group()
        instance_groups.instance_group_delete(admin, row["uuid"])
        for given in ({"name": "n"}, {"members": ["m"]}):
            with pytest.raises(exceptions.InstanceGroupNotFound):
                instance_groups.instance_group_update(admin, row["uuid"], given)


class TestDelete:
    def test_children_go_too(self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        row, other = group(policies=["p"], members=["m"]), group(policies=["p"], members=["m"])
        now = frozen_clock.advance(5)
        with sql_count(mysql=4, default=3):
            instance_groups.instance_group_delete(ctxt, row["uuid"])
        assert instance_groups.instance_group_get_all(ctxt) == [other]
        for table in (tables.instance_groups, *CHILDREN):
            gone, stays = stored(table)
            assert (gone["deleted"], gone["deleted_at"], gone["updated_at"]) == (gone["id"], now, None)
            assert stays["deleted"] == 0

    def test_twice(self, ctxt: RequestContext, admin: RequestContext) -> None:
        row = group()
        instance_groups.instance_group_delete(ctxt, row["uuid"])
        for context in (ctxt, admin):
            with pytest.raises(exceptions.InstanceGroupNotFound) as raised:
                instance_groups.instance_group_delete(context, row["uuid"])
            assert raised.value.kwargs["group_uuid"] == row["uuid"]

    def test_an_admin_deletes_any(self, admin: RequestContext) -> None:
        row = group()
        instance_groups.instance_group_delete(admin, row["uuid"])
        assert instance_groups.instance_group_get_all(admin) == []

    def test_a_stranger_changes_nothing(self) -> None:
        row = group(policies=["p"], members=["m"])
        with pytest.raises(exceptions.InstanceGroupNotFound):
            instance_groups.instance_group_delete(stranger(), row["uuid"])
        assert get(row["uuid"]) == row


class TestMembers:
    def test_add(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        row = group()
        members = ["m1", "m2"]
        with sql_count(postgresql=3, default=2):
            assert instance_groups.instance_group_members_add(ctxt, row["uuid"], members) is members
        more = {"m1", "m2", "m3"}
        assert instance_groups.instance_group_members_add(stranger(), row["uuid"], more) is more
        assert instance_groups.instance_group_members_get(ctxt, row["uuid"]) == ["m1", "m2", "m3"]
        with sql_count(postgresql=2, default=1):
            instance_groups.instance_group_members_add(ctxt, row["uuid"], ["m1"])

    def test_members_are_compared_as_they_are_stored(self, ctxt: RequestContext) -> None:
        row = group(members=["m"])
        numbers: Any = [5, "m", 5]
        instance_groups.instance_group_members_add(ctxt, row["uuid"], numbers)
        instance_groups.instance_group_members_add(ctxt, row["uuid"], numbers, set_delete=True)
        assert instance_groups.instance_group_members_get(ctxt, row["uuid"]) == ["m", "5", "5"]

    def test_members_of_a_deleted_group(self, admin: RequestContext) -> None:
        row = group(members=["m"])
        instance_groups.instance_group_delete(admin, row["uuid"])
        everything = get_admin_context("yes")
        for _ in range(2):
            instance_groups.instance_group_members_add(everything, row["uuid"], ["m"])
        live = [member for member in stored(tables.instance_group_member) if not member["deleted"]]
        assert [member["instance_id"] for member in live] == ["m"]

    def test_members_that_the_server_cuts_are_read_again(
        self, ctxt: RequestContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        row = group(members=["m"])
        monkeypatch.setattr(children, "unpack", lambda *args: None)
        instance_groups.instance_group_members_add(ctxt, row["uuid"], ["m", "n"])
        assert instance_groups.instance_group_members_get(ctxt, row["uuid"]) == ["m", "n"]

    def test_set_delete(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        row, other = group(members=MEMBERS), group(members=MEMBERS)
        with sql_count(postgresql=4, default=3):
            instance_groups.instance_group_members_add(ctxt, row["uuid"], ["m3", "m4"], set_delete=True)
        assert instance_groups.instance_group_members_get(ctxt, row["uuid"]) == ["m3", "m4"]
        with sql_count(1):
            instance_groups.instance_group_members_add(ctxt, row["uuid"], [])
        assert instance_groups.instance_group_members_get(ctxt, row["uuid"]) == ["m3", "m4"]
        instance_groups.instance_group_members_add(ctxt, row["uuid"], [], set_delete=True)
        assert instance_groups.instance_group_members_get(ctxt, row["uuid"]) == []
        assert get(other["uuid"]) == other

    def test_delete(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        row, other = group(members=["m1", "m2", "m1"]), group(members=["m1"])
        with sql_count(1):
            instance_groups.instance_group_member_delete(stranger(), row["uuid"], "m1")
        assert instance_groups.instance_group_members_get(ctxt, row["uuid"]) == ["m2"]
        with sql_count(2), pytest.raises(exceptions.InstanceGroupMemberNotFound) as raised:
            instance_groups.instance_group_member_delete(ctxt, row["uuid"], "m1")
        assert raised.value.kwargs["group_uuid"] == row["uuid"]
        assert raised.value.kwargs["instance_id"] == "m1"
        assert get(other["uuid"]) == other
        instance_groups.instance_group_members_add(ctxt, row["uuid"], ["m1"])
        assert instance_groups.instance_group_members_get(ctxt, row["uuid"]) == ["m2", "m1"]

    def test_deleted_members_are_not_deleted_again(self, ctxt: RequestContext) -> None:
        row = group(members=["m"])
        instance_groups.instance_group_member_delete(ctxt, row["uuid"], "m")
        with pytest.raises(exceptions.InstanceGroupMemberNotFound):
            instance_groups.instance_group_member_delete(get_admin_context("yes"), row["uuid"], "m")


# -- races ------------------------------------------------------------------------------------------------------------


def _add(number: int, group_uuid: str) -> None:
    instance_groups.instance_group_members_add(get_admin_context(), group_uuid, ["shared", f"own{number}"])


def _replace(number: int, group_uuid: str) -> None:
    instance_groups.instance_group_update(get_admin_context(), group_uuid, {"members": [f"a{number}", f"b{number}"]})


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with eight_processes() as found:
        yield found


def test_nobody_is_stored_twice_or_lost(admin: RequestContext, processes: Processes, backend: Backend) -> None:
    row = group()
    processes.call(backend.url, _add, row["uuid"])
    found = instance_groups.instance_group_members_get(admin, row["uuid"])
    assert sorted(found) == [*(f"own{number}" for number in range(8)), "shared"]
    processes.call(backend.url, _replace, row["uuid"])
    first, second = instance_groups.instance_group_members_get(admin, row["uuid"])
    assert (first[0], second[0], first[1:]) == ("a", "b", second[1:])


def test_who_has_waited_sees_what_the_other_has_added(admin: RequestContext) -> None:
    row = group()

    def add(context: RequestContext) -> None:
        instance_groups.instance_group_members_add(context, row["uuid"], ["m"])

    one_inside_the_other(add, add)
    assert instance_groups.instance_group_members_get(admin, row["uuid"]) == ["m"]
