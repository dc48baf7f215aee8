# SPDX-License-Identifier: Apache-2.0

"""Security groups: reading, creating, updating, destroying, and the default group (04-quotas-security 6)."""

from __future__ import annotations

import contextlib
import datetime
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from nova_sqlcore import RequestContext, UnknownColumnWarning, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.common import children
from nova_sqlcore.queries.compute import default_group
from nova_sqlcore.queries.quota import reservations as quotas
from nova_sqlcore.queries.security import default_rules, groups as security_groups
from nova_sqlcore.settings import settings
from tests.queries.instance_factory import deleted, group, insert, instance
from tests.queries.processes import COUNT, Processes, eight_processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.plugins.backend import Backend
    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

Row = dict[str, Any]

COLUMNS = set(tables.security_groups.c.keys())
NO_IDS = (77777, "fake", "99999999999999999999", -1)


def create(**given: Any) -> Row:
    given = {"name": "n", "description": "d", "user_id": "user", "project_id": "project", **given}
    return cast("Row", security_groups.security_group_create(get_admin_context(), given))


def rule(parent: Row, **values: Any) -> Row:
    return insert("security_group_rules", parent_group_id=parent["id"], **values)


def stored(table: str) -> list[Row]:
    """Return all rows of a table, soft-deleted ones too."""
    target = tables.metadata.tables[table]
    with tx.writer(get_admin_context()) as transaction:
        rows: list[Row] = transaction.rows(target.select().order_by(target.c.id))
        return rows


def ids(rows: Any) -> list[int]:
    return [row["id"] for row in rows]


class TestCreate:
    def test_the_new_row_is_what_a_read_shows(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        given = {"name": "n", "description": "d", "user_id": "user", "project_id": "project", "instances": []}
        with sql_count(1):
            row = security_groups.security_group_create(ctxt, given)
        assert row == security_groups.security_group_get(ctxt, row["id"], columns_to_join=["instances"])
        assert set(row) == COLUMNS | {"rules", "instances"}
        assert (row["rules"], row["instances"], row["deleted"], row["updated_at"]) == ([], [], 0, None)

    def test_without_members_there_is_no_such_key(self) -> None:
        assert set(create()) == COLUMNS | {"rules"}

    def test_members(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        members = [instance(), instance()]
        given = {"name": "n", "project_id": "project", "instances": members}
        with sql_count(2):
            row = security_groups.security_group_create(ctxt, given)
        assert row["instances"] == members
        shown = security_groups.security_group_get(ctxt, row["id"], ["instances"])
        assert ids(shown["instances"]) == ids(members)
        links = stored("security_group_instance_association")
        assert [(link["instance_uuid"], link["deleted"]) for link in links] == [(one["uuid"], 0) for one in members]
        assert all(link["created_at"] is not None for link in links)

    def test_a_taken_name(self) -> None:
        create()
        with pytest.raises(exceptions.SecurityGroupExists) as raised:
            create(description="other")
        assert raised.value.kwargs == {"project_id": "project", "security_group_name": "n", "code": 400}
        create(project_id="other")

    def test_a_taken_name_leaves_the_callers_transaction_alive(self, ctxt: RequestContext) -> None:
        create()
        with tx.writer(ctxt):
            with pytest.raises(exceptions.SecurityGroupExists):
                security_groups.security_group_create(ctxt, {"name": "n", "project_id": "project"})
            security_groups.security_group_create(ctxt, {"name": "m", "project_id": "project"})
        assert [row["name"] for row in stored("security_groups")] == ["n", "m"]

    def test_groups_without_name_or_project_never_collide(self) -> None:
        for given in ({"name": None}, {"name": None}, {"project_id": None}, {"project_id": None}):
            create(**given)
        assert len(stored("security_groups")) == 4

    def test_destroyed_names_are_free_again(self, ctxt: RequestContext) -> None:
        for _ in range(3):
            security_groups.security_group_destroy(ctxt, create()["id"])
        assert create()["deleted"] == 0

    def test_nothing_given_and_numbers(self, admin: RequestContext) -> None:
        row = security_groups.security_group_create(admin, {"project_id": 1})
        assert (row["project_id"], row["name"], row["user_id"]) == ("1", None, None)
        assert security_groups.security_group_get(admin, row["id"]) == row

    def test_unknown_keys_are_not_stored(self, admin: RequestContext) -> None:
        with pytest.warns(UnknownColumnWarning, match="nam"):
            assert "nam" not in security_groups.security_group_create(admin, {"nam": "n"})


class TestGet:
    def test_with_rules(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        row, grantee, gone = create(), group(), group()
        deleted("security_groups", gone)
        granting = [rule(row, group_id=grantee["id"]), rule(row, cidr="10.0.0.5/8"), rule(row, group_id=gone["id"])]
        deleted("security_group_rules", rule(row))
        rule(grantee, group_id=row["id"])
        with sql_count(1):
            shown = security_groups.security_group_get(ctxt, row["id"])
        assert set(shown) == COLUMNS | {"rules"}
        assert shown["rules"] == [
            granting[0] | {"grantee_group": grantee},
            granting[1] | {"grantee_group": None},
            granting[2] | {"grantee_group": gone | {"deleted": gone["id"]}},
        ]
        assert granting[1]["cidr"] == "10.0.0.0/8"

    @pytest.mark.parametrize(
        ("paths", "statements", "keys"),
        [
            (["instances"], 1, set()),
            (["instances.info_cache"], 1, {"info_cache"}),
            (["instances.system_metadata"], 2, {"system_metadata"}),
            (["instances.info_cache", "instances.system_metadata"], 2, {"info_cache", "system_metadata"}),
            (["rules.grantee_group", "instances", "whatever"], 1, set()),
        ],
    )
    def test_with_instances(
        self, ctxt: RequestContext, sql_count: SqlCount, paths: list[str], statements: int, keys: set[str]
    ) -> None:
        first = instance({"m": "1"}, {"a": "1"}, access_ip_v4="1.2.3.4", access_ip_v6="::1", disable_terminate=True)
        second = instance(launched_at=datetime.datetime(2001, 2, 3))
        cache = insert("instance_info_caches", instance_uuid=first["uuid"], network_info="[]", deleted=5)
        row = group(first, second, first, instance(deleted=9))
        left = instance()
        insert(
            "security_group_instance_association", instance_uuid=left["uuid"], security_group_id=row["id"], deleted=3
        )
        with sql_count(statements):
            shown = security_groups.security_group_get(ctxt, row["id"], paths)
        assert set(shown) == COLUMNS | {"rules", "instances"}
        members = cast("list[Row]", shown["instances"])
        named = {"name": f"instance-{first['id']:08x}"}
        assert {name: value for name, value in members[0].items() if name not in keys} == first | named
        assert ids(members) == ids([first, second])
        assert all(set(member) == set(first) | {"name"} | keys for member in members)
        assert [member.get("info_cache") for member in members] == [cache if "info_cache" in keys else None, None]
        if "system_metadata" in keys:
            assert [[item["key"] for item in member["system_metadata"]] for member in members] == [["a"], []]

    def test_many_children_are_read_once(self, ctxt: RequestContext) -> None:
        row = group(*(instance(system_metadata={"a": "1", "b": "2"}) for _ in range(3)), rules=[{}, {}, {}])
        shown = security_groups.security_group_get(ctxt, row["id"], ["instances.system_metadata"])
        assert (len(shown["rules"]), len(shown["instances"])) == (3, 3)
        assert [len(member["system_metadata"]) for member in shown["instances"]] == [2, 2, 2]

    def test_a_text_of_children_that_was_cut_is_read_again(
        self, ctxt: RequestContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        row = group(instance(), rules=[{"cidr": "10.0.0.5/8"}])
        shown = security_groups.security_group_get(ctxt, row["id"], ["instances"])
        monkeypatch.setattr(children, "unpack", lambda *_: None)
        assert security_groups.security_group_get(ctxt, row["id"], ["instances"]) == shown

    def test_project_scope(self, ctxt: RequestContext, admin: RequestContext) -> None:
        row = create(project_id="other")
        with pytest.raises(exceptions.SecurityGroupNotFound):
            security_groups.security_group_get(ctxt, row["id"])
        assert security_groups.security_group_get(admin, row["id"]) == row
        assert security_groups.security_group_get(RequestContext("another", "other"), row["id"]) == row

    def test_visibility(self, admin: RequestContext) -> None:
        row = group(instance(), rules=[{}])
        deleted("security_groups", row)
        for word in ("yes", "only"):
            shown = security_groups.security_group_get(get_admin_context(word), row["id"], ["instances"])
            assert (shown["deleted"], shown["instances"], len(shown["rules"])) == (row["id"], [], 1)
        with pytest.raises(exceptions.SecurityGroupNotFound):
            security_groups.security_group_get(admin, row["id"])
        with pytest.raises(exceptions.SecurityGroupNotFound):
            security_groups.security_group_get(get_admin_context("only"), create()["id"])

    @pytest.mark.parametrize("identity", NO_IDS)
    def test_no_such_group(self, admin: RequestContext, identity: Any) -> None:
        create()
        with pytest.raises(exceptions.SecurityGroupNotFound) as raised:
            security_groups.security_group_get(admin, identity)
        assert raised.value.kwargs == {"security_group_id": identity, "code": 404}

    def test_ids_may_be_digits_and_a_transaction_changes_nothing(self, ctxt: RequestContext) -> None:
        row = create()
        alone = security_groups.security_group_get(ctxt, cast("int", str(row["id"])), ["instances"])
        for scope in (tx.reader, tx.writer):
            with scope(ctxt):
                assert security_groups.security_group_get(ctxt, row["id"], ["instances"]) == alone

    @pytest.mark.parametrize("path", ["instances.metadata", "instances.", "instancesx"])
    def test_unknown_paths(self, admin: RequestContext, path: str) -> None:
        with pytest.raises(ValueError, match=path):
            security_groups.security_group_get(admin, create()["id"], [path])


class TestGetByName:
    def test_instances_and_rules_by_default(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        member = instance()
        row = group(member, name="n", rules=[{}])
        with sql_count(1):
            shown = security_groups.security_group_get_by_name(ctxt, "project", "n")
        assert set(shown) == COLUMNS | {"rules", "instances"}
        assert shown["instances"][0]["uuid"] == member["uuid"]
        assert set(shown["instances"][0]) == set(member) | {"name"}
        assert (shown["id"], shown["rules"][0]["grantee_group"]) == (row["id"], None)

    @pytest.mark.parametrize(
        ("paths", "statements", "keys"),
        [
            ([], 1, set()),
            (["rules.grantee_group"], 1, {"rules"}),
            (["instances"], 1, {"instances"}),
            (["rules.grantee_group", "instances.system_metadata"], 2, {"rules", "instances"}),
        ],
    )
    def test_what_is_named(
        self, ctxt: RequestContext, sql_count: SqlCount, paths: list[str], statements: int, keys: set[str]
    ) -> None:
        group(instance(), name="n")
        with sql_count(statements):
            shown = security_groups.security_group_get_by_name(ctxt, "project", "n", columns_to_join=paths)
        assert set(shown) == COLUMNS | keys

    @pytest.mark.parametrize("path", ["rules", "rule.grantee_group", "grantee_group"])
    def test_unknown_paths(self, admin: RequestContext, path: str) -> None:
        with pytest.raises(ValueError, match=path):
            security_groups.security_group_get_by_name(admin, "project", "n", [path])

    def test_live_groups_of_the_project_named(self, ctxt: RequestContext) -> None:
        row = create(project_id="other")
        deleted("security_groups", create())
        assert ids([security_groups.security_group_get_by_name(ctxt, "other", "n")]) == [row["id"]]
        for context in (ctxt, get_admin_context("yes")):
            with pytest.raises(exceptions.SecurityGroupNotFoundForProject) as raised:
                security_groups.security_group_get_by_name(context, "project", "n")
            assert raised.value.kwargs == {"project_id": "project", "security_group_id": "n", "code": 404}

    def test_no_project_and_numbers(self, admin: RequestContext) -> None:
        first, numbered = create(project_id=None), create(project_id=12, name=5)
        create(project_id=None)
        assert security_groups.security_group_get_by_name(admin, None, "n")["id"] == first["id"]
        shown = security_groups.security_group_get_by_name(admin, cast("str", 12), cast("str", 5), [])
        assert shown["id"] == numbered["id"]


class TestLists:
    def test_all_of_every_project(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        first, gone, second = (group(project_id=name, rules=[{}]) for name in ("project", "b", "other"))
        deleted("security_groups", gone)
        with sql_count(2):
            found = security_groups.security_group_get_all(ctxt)
        assert ids(found) == ids([first, second])
        assert all(set(row) == COLUMNS | {"rules"} and len(row["rules"]) == 1 for row in found)
        for word, seen in (("only", [gone]), ("yes", [first, gone, second])):
            assert ids(security_groups.security_group_get_all(get_admin_context(word))) == ids(seen)

    def test_of_a_project(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        rows = [group(project_id="other", rules=[{}, {"cidr": "10.0.0.5/8"}]), group(project_id="other")]
        rule(rows[0], group_id=rows[1]["id"])
        group()
        deleted("security_groups", group(project_id="other"))
        with sql_count(2):
            found = security_groups.security_group_get_by_project(ctxt, "other")
        assert found == [security_groups.security_group_get(get_admin_context(), row["id"]) for row in rows]
        assert [len(row["rules"]) for row in found] == [3, 0]
        with sql_count(1):
            assert security_groups.security_group_get_by_project(ctxt, "nobody") == []
        with tx.reader(ctxt):
            assert security_groups.security_group_get_by_project(ctxt, "other") == found

    def test_of_no_project(self, admin: RequestContext) -> None:
        group()
        row = group(project_id=None)
        assert ids(security_groups.security_group_get_by_project(admin, None)) == [row["id"]]

    def test_of_an_instance(self, admin: RequestContext, sql_count: SqlCount) -> None:
        member = instance()
        rows = [group(member, member, rules=[{}]), group(member, project_id="other")]
        group(instance())
        with sql_count(2):
            found = security_groups.security_group_get_by_instance(get_admin_context("yes"), member["uuid"])
        assert found == [security_groups.security_group_get(admin, row["id"]) for row in rows]

    @pytest.mark.parametrize("what", ["instances", "security_groups", "security_group_instance_association"])
    def test_what_is_deleted_does_not_count(self, admin: RequestContext, what: str) -> None:
        member, row = instance(), group()
        link = insert("security_group_instance_association", instance_uuid=member["uuid"], security_group_id=row["id"])
        assert security_groups.security_group_get_by_instance(admin, member["uuid"])
        deleted(what, {"instances": member, "security_groups": row}.get(what, link))
        for word in ("no", "yes"):
            assert security_groups.security_group_get_by_instance(get_admin_context(word), member["uuid"]) == []
        assert security_groups.security_group_in_use(admin, row["id"]) is (what == "security_groups")

    @pytest.mark.parametrize("uuid", ["unknown", None, 5])
    def test_no_such_instance(self, admin: RequestContext, uuid: Any) -> None:
        assert security_groups.security_group_get_by_instance(admin, uuid) == []


class TestInUse:
    def test_a_live_member_is_enough(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        used = group(instance(deleted=3), instance(), instance())
        with sql_count(2):
            assert security_groups.security_group_in_use(ctxt, used["id"]) is True
            assert security_groups.security_group_in_use(ctxt, used["id"] + 1) is False

    @pytest.mark.parametrize("identity", NO_IDS)
    def test_no_such_group(self, admin: RequestContext, identity: Any) -> None:
        assert security_groups.security_group_in_use(admin, identity) is False


class TestUpdate:
    def test_named_columns_are_written(
        self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        row = create(project_id="other")
        now = frozen_clock.advance(5)
        with sql_count(2):
            after = security_groups.security_group_update(ctxt, row["id"], {"name": "m", "description": None})
        del row["rules"]
        assert after == row | {"name": "m", "description": None, "updated_at": now}
        shown = security_groups.security_group_get_by_name(ctxt, "other", "m", columns_to_join=[])
        assert shown == after

    @pytest.mark.parametrize("values", [{}, {"name": "n"}, {"name": "n", "description": "d", "deleted": "0"}])
    def test_nothing_to_write(self, ctxt: RequestContext, sql_count: SqlCount, values: Row) -> None:
        row = create()
        with sql_count(1):
            after = security_groups.security_group_update(ctxt, row["id"], values)
        assert after | {"rules": []} == row

    def test_a_given_updated_at_is_kept(self, ctxt: RequestContext) -> None:
        moment = datetime.datetime(2001, 1, 1)
        after = security_groups.security_group_update(ctxt, create()["id"], {"updated_at": moment})
        assert after["updated_at"] == moment

    def test_what_is_named_comes_with_the_row(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        row = group(instance())
        with sql_count(2):
            after = security_groups.security_group_update(ctxt, row["id"], {"name": "m"}, ["rules.grantee_group"])
        assert after["rules"] == []
        assert set(after) == COLUMNS | {"rules"}
        paths = ["instances.system_metadata"]
        with sql_count(3):
            after = security_groups.security_group_update(ctxt, row["id"], {"name": "o"}, columns_to_join=paths)
        assert after["instances"][0]["system_metadata"] == []
        with pytest.raises(ValueError, match="instance"):
            security_groups.security_group_update(ctxt, row["id"], {}, ["instance"])

    @pytest.mark.parametrize(
        ("values", "named"),
        [({"name": "taken"}, ("project", "taken")), ({"project_id": "other"}, ("other", "n"))],
    )
    def test_a_taken_name(self, ctxt: RequestContext, values: Row, named: tuple[str, str]) -> None:
        create(name="taken")
        create(project_id="other")
        row = create()
        with pytest.raises(exceptions.SecurityGroupExists) as raised:
            security_groups.security_group_update(ctxt, row["id"], values)
        assert raised.value.kwargs == {"project_id": named[0], "security_group_name": named[1], "code": 400}
        assert security_groups.security_group_get(ctxt, row["id"]) == row

    @pytest.mark.parametrize("identity", NO_IDS)
    @pytest.mark.parametrize("values", [{}, {"name": "m"}])
    def test_no_such_group(self, admin: RequestContext, identity: Any, values: Row) -> None:
        create()
        with pytest.raises(exceptions.SecurityGroupNotFound) as raised:
            security_groups.security_group_update(admin, identity, values)
        assert raised.value.kwargs == {"security_group_id": identity, "code": 404}

    def test_visibility(self, admin: RequestContext) -> None:
        row = create()
        deleted("security_groups", row)
        with pytest.raises(exceptions.SecurityGroupNotFound):
            security_groups.security_group_update(admin, row["id"], {"name": "m"})
        after = security_groups.security_group_update(get_admin_context("yes"), row["id"], {"name": "m"})
        assert (after["name"], after["deleted"]) == ("m", row["id"])

    def test_a_group_that_goes_meanwhile(self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch) -> None:
        row = create()
        monkeypatch.setattr(security_groups, "count_updated_by_id", lambda *_: 0)
        with pytest.raises(exceptions.SecurityGroupNotFound):
            security_groups.security_group_update(admin, row["id"], {"name": "m"})

    def test_the_arguments_stay_as_they_are(self, admin: RequestContext) -> None:
        values = {"name": "m"}
        security_groups.security_group_update(admin, create()["id"], values)
        assert values == {"name": "m"}


class TestDestroy:
    def test_the_group_goes_with_members_and_rules(
        self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        member = instance()
        row, other = group(member, project_id="other"), group(member)
        gone = [rule(row), rule(other, group_id=row["id"]), rule(row, group_id=row["id"])]
        stays = rule(other, group_id=other["id"])
        now = frozen_clock.advance(5)
        with sql_count(3):
            security_groups.security_group_destroy(ctxt, row["id"])
        assert stored("security_groups") == [row | {"deleted": row["id"], "deleted_at": now}, other]
        dead = [one | {"deleted": one["id"], "deleted_at": now} for one in gone]
        assert stored("security_group_rules") == [*dead, stays]
        links = stored("security_group_instance_association")
        assert [(link["deleted_at"], link["deleted"] == link["id"]) for link in links] == [(now, True), (None, False)]
        with pytest.raises(exceptions.SecurityGroupNotFound):
            security_groups.security_group_get(ctxt, row["id"])

    def test_twice(self, ctxt: RequestContext, frozen_clock: FrozenClock) -> None:
        row = create()
        first = frozen_clock.advance(5)
        security_groups.security_group_destroy(ctxt, row["id"])
        second = frozen_clock.advance(5)
        security_groups.security_group_destroy(ctxt, row["id"])
        assert stored("security_groups")[0]["deleted_at"] == first
        security_groups.security_group_destroy(get_admin_context("yes"), row["id"])
        assert stored("security_groups")[0]["deleted_at"] == second

    @pytest.mark.parametrize("identity", NO_IDS)
    def test_no_such_group(self, admin: RequestContext, identity: Any) -> None:
        row = create()
        security_groups.security_group_destroy(admin, identity)
        assert ids(security_groups.security_group_get_all(admin)) == [row["id"]]


class TestByNames:
    def test_groups_of_the_project(self, admin: RequestContext, sql_count: SqlCount) -> None:
        rows = [create(name=name) for name in "ba"]
        create(project_id="other")
        for row in rows:
            del row["rules"]
        with tx.reader(admin), sql_count(2):
            names = ["a", "b", "a"]
            assert default_group._security_group_get_by_names(admin, "project", names) == rows
            assert default_group._security_group_get_by_names(admin, "project", ["b"]) == rows[:1]

    def test_namesakes_without_a_project(self, admin: RequestContext) -> None:
        rows = [create(project_id=None), create(project_id=None)]
        with tx.reader(admin):
            assert ids(default_group._security_group_get_by_names(admin, None, ["n"])) == ids(rows)

    def test_the_first_name_that_is_missing(self, admin: RequestContext) -> None:
        create()
        deleted("security_groups", create(name="gone"))
        with tx.reader(admin), pytest.raises(exceptions.SecurityGroupNotFoundForProject) as raised:
            default_group._security_group_get_by_names(admin, "project", ["n", "gone", "another"])
        assert raised.value.kwargs == {"project_id": "project", "security_group_id": "gone", "code": 404}


def usages() -> list[Row]:
    names = ("user_id", "project_id", "resource", "in_use", "reserved", "until_refresh")
    return [{name: row[name] for name in names} for row in stored("quota_usages")]


def usage(**values: Any) -> Row:
    whose = {"user_id": "user", "project_id": "project", "resource": "security_groups"}
    return whose | {"in_use": 1, "reserved": 0, "until_refresh": 0} | values


class TestEnsureDefault:
    def test_a_missing_group_is_made(
        self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        with sql_count(sqlite=5, postgresql=6, mysql=7):
            row = security_groups.security_group_ensure_default(ctxt)
        assert row == security_groups.security_group_get(ctxt, row["id"])
        assert set(row) == COLUMNS | {"rules"}
        named = ("name", "description", "user_id", "project_id", "rules")
        assert [cast("Row", row)[name] for name in named] == ["default", "default", "user", "project", []]
        assert usages() == [usage()]
        times = [stored("quota_usages")[0][name] for name in ("created_at", "updated_at")]
        assert times == [frozen_clock.now, frozen_clock.now]

    def test_it_is_there(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        row = security_groups.security_group_ensure_default(ctxt)
        del row["rules"]
        with sql_count(1):
            assert security_groups.security_group_ensure_default(ctxt) == row
        assert security_groups.security_group_ensure_default(RequestContext("second", "project")) == row
        assert (ids(stored("security_groups")), usages()) == ([row["id"]], [usage()])

    def test_each_project_has_its_own(self, ctxt: RequestContext) -> None:
        first = security_groups.security_group_ensure_default(ctxt)
        second = security_groups.security_group_ensure_default(RequestContext("user", "other"))
        assert first["id"] != second["id"]
        assert usages() == [usage(), usage(project_id="other")]

    def test_a_destroyed_one_is_made_again(self, ctxt: RequestContext) -> None:
        first = security_groups.security_group_ensure_default(ctxt)
        security_groups.security_group_destroy(ctxt, first["id"])
        assert security_groups.security_group_ensure_default(ctxt)["id"] != first["id"]
        assert usages() == [usage(in_use=2)]

    def test_of_several_usages_the_newest_grows(self, ctxt: RequestContext) -> None:
        """A database that another program has filled may have several, for no unique key keeps them apart."""
        for in_use in (3, 4):
            insert("quota_usages", **usage(in_use=in_use))
        security_groups.security_group_ensure_default(ctxt)
        assert usages() == [usage(in_use=3), usage(in_use=5)]

    def test_without_project_there_is_one_too(self, admin: RequestContext) -> None:
        made = security_groups.security_group_ensure_default(admin)
        with tx.writer(admin):
            assert default_group.add_default(admin) is None
        assert ids(stored("security_groups")) == [made["id"]]

    def test_until_refresh_is_stored_as_it_is(self, ctxt: RequestContext, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(settings, "until_refresh", 2)
        security_groups.security_group_ensure_default(ctxt)
        assert usages() == [usage(until_refresh=2)]

    def test_a_usage_that_is_there_grows(
        self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        before = usage(in_use=3, reserved=1, until_refresh=None)
        others = [usage(user_id="x"), usage(project_id="x"), usage(resource="cores"), usage(user_id=None)]
        gone = usage(in_use=7)
        for given in (before, *others):
            insert("quota_usages", **given)
        insert("quota_usages", **gone, deleted=99)
        now = frozen_clock.advance(5)
        with sql_count(sqlite=4, postgresql=5, mysql=6):
            security_groups.security_group_ensure_default(ctxt)
        assert usages() == [before | {"in_use": 4}, *others, gone]
        assert [row["updated_at"] for row in stored("quota_usages")] == [now, None, None, None, None, None]

    def test_the_default_rules_are_copied(self, ctxt: RequestContext, frozen_clock: FrozenClock) -> None:
        given = [
            {"protocol": "tcp", "from_port": 9, "to_port": 99, "cidr": "10.0.0.5/8"},
            {"protocol": "icmp", "from_port": -1, "to_port": -1, "cidr": None},
        ]
        for values in (given[0], {"protocol": "gone"}, given[1]):
            row = default_rules.security_group_default_rule_create(ctxt, values)
            if row["protocol"] == "gone":
                default_rules.security_group_default_rule_destroy(ctxt, row["id"])
        now = frozen_clock.advance(5)
        made = security_groups.security_group_ensure_default(ctxt)
        assert made["rules"] == []
        rules = cast("list[Row]", security_groups.security_group_get(ctxt, made["id"])["rules"])
        given[0]["cidr"] = "10.0.0.0/8"
        assert [{name: row[name] for name in given[0]} for row in rules] == given
        for copied in rules:
            assert (copied["created_at"], copied["updated_at"], copied["deleted"], copied["deleted_at"]) == (
                now,
                None,
                0,
                None,
            )
            assert (copied["group_id"], copied["parent_group_id"], copied["grantee_group"]) == (None, made["id"], None)
        seeing = RequestContext("user", "other", read_deleted="yes")
        assert len(security_groups.security_group_ensure_default(seeing)["rules"]) == 0
        assert len(stored("security_group_rules")) == 5

    def test_projects_may_be_numbers(self, admin: RequestContext) -> None:
        context = RequestContext(cast("str", 2), cast("str", 1))
        made = security_groups.security_group_ensure_default(context)
        assert (made["project_id"], made["user_id"]) == ("1", "2")
        assert security_groups.security_group_ensure_default(context)["id"] == made["id"]
        assert usages() == [usage(user_id="2", project_id="1")]

    def test_an_admin_without_project(self, admin: RequestContext) -> None:
        made = security_groups.security_group_ensure_default(admin)
        assert made["project_id"] is None
        assert security_groups.security_group_ensure_default(admin)["id"] == made["id"]
        assert usages() == [usage(user_id=None, project_id=None)]

    def test_incomplete_contexts_find_but_do_not_make(self, ctxt: RequestContext) -> None:
        context = RequestContext(None, "project")
        with pytest.raises(exceptions.Forbidden):
            security_groups.security_group_ensure_default(context)
        made = security_groups.security_group_ensure_default(ctxt)
        assert security_groups.security_group_ensure_default(context)["id"] == made["id"]

    def test_somebody_else_was_first(self, ctxt: RequestContext, monkeypatch: pytest.MonkeyPatch) -> None:
        def finds_nothing(*_: Any) -> Any:
            raise exceptions.NotFound

        monkeypatch.setattr(default_group, "_security_group_get_by_names", finds_nothing)
        default_rules.security_group_default_rule_create(ctxt, {"protocol": "tcp"})
        made = security_groups.security_group_ensure_default(ctxt)
        again = security_groups.security_group_ensure_default(ctxt)
        assert (again["id"], again["name"], again["instances"], len(again["rules"])) == (made["id"], "default", [], 1)
        assert (len(stored("security_groups")), usages()) == (1, [usage()])
        with tx.writer(ctxt) as transaction:  # nor does that spoil a transaction of the caller's
            transaction.insert(tables.security_groups, {"name": "before"})
            assert security_groups.security_group_ensure_default(ctxt)["id"] == made["id"]
            transaction.insert(tables.security_groups, {"name": "after"})
        assert [row["name"] for row in stored("security_groups")] == ["default", "before", "after"]
        assert usages() == [usage()]


class TestEnsureDefaultInsideATransaction:
    """The group is made in a transaction of its own (01-core 4.4)."""

    def test_it_outlives_the_callers_when_it_comes_first(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        with contextlib.suppress(ZeroDivisionError), tx.writer(ctxt) as transaction:
            with sql_count(sqlite=5, postgresql=6, mysql=7):
                made = security_groups.security_group_ensure_default(ctxt)
            assert tx.current(ctxt) is transaction
            transaction.insert(tables.security_groups, {"name": "lost"})
            raise ZeroDivisionError
        assert [row["id"] for row in stored("security_groups")] == [made["id"]]
        assert usages() == [usage()]

    def test_it_is_part_of_a_transaction_that_has_begun(self, ctxt: RequestContext) -> None:
        with contextlib.suppress(ZeroDivisionError), tx.writer(ctxt) as transaction:
            transaction.insert(tables.security_groups, {"name": "lost"})
            security_groups.security_group_ensure_default(ctxt)
            raise ZeroDivisionError
        assert stored("security_groups") == usages() == []

    @pytest.mark.parametrize("is_kept", [True, False])
    def test_what_the_caller_holds_does_not_stop_it(self, ctxt: RequestContext, is_kept: bool) -> None:
        """Another transaction would wait for the caller's, and that one for the call."""
        with contextlib.suppress(ZeroDivisionError), tx.writer(ctxt):
            reserve_a_group(ctxt)
            security_groups.security_group_ensure_default(ctxt)
            if not is_kept:
                raise ZeroDivisionError
        assert usages() == [usage(reserved=1, until_refresh=None)] * is_kept

    def test_a_group_that_the_caller_has_locked_does_not_stop_it(self, ctxt: RequestContext) -> None:
        row = security_groups.security_group_ensure_default(ctxt)
        with tx.writer(ctxt):
            security_groups.security_group_destroy(ctxt, row["id"])
            again = security_groups.security_group_ensure_default(ctxt)
        assert again["id"] != row["id"]
        assert usages() == [usage(in_use=2)]

    def test_the_caller_goes_on(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        with tx.writer(ctxt) as transaction:
            transaction.insert(tables.security_groups, {"name": "before"})
            made = security_groups.security_group_ensure_default(ctxt)
            with sql_count(1):
                assert security_groups.security_group_ensure_default(ctxt)["id"] == made["id"]
            assert security_groups.security_group_get(ctxt, made["id"]) == made
        assert sorted(cast("str", row["name"]) for row in stored("security_groups")) == ["before", "default"]

    def test_it_is_found_first_thing_in_a_transaction(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        made = security_groups.security_group_ensure_default(ctxt)
        for scope in (tx.writer, tx.reader):
            with scope(ctxt), sql_count(1):
                assert security_groups.security_group_ensure_default(ctxt)["id"] == made["id"]

    def test_the_callers_own_group_is_found(self, ctxt: RequestContext) -> None:
        with tx.writer(ctxt):
            given = {"name": "default", "project_id": "project"}
            own = security_groups.security_group_create(ctxt, given)
            assert security_groups.security_group_ensure_default(ctxt)["id"] == own["id"]

    def test_what_others_made_after_the_callers_snapshot(self, ctxt: RequestContext) -> None:
        with tx.reader(ctxt):
            assert security_groups.security_group_get_by_project(ctxt, "project") == []
            made = security_groups.security_group_ensure_default(RequestContext("second", "project"))
            found = security_groups.security_group_ensure_default(ctxt)
        assert (found["id"], found["rules"], found["instances"]) == (made["id"], [], [])

    def test_a_reader_may_ask(self, ctxt: RequestContext) -> None:
        with tx.reader(ctxt) as transaction:
            transaction.rows(tables.security_groups.select())
            made = security_groups.security_group_ensure_default(ctxt)
        assert ids(stored("security_groups")) == [made["id"]]

    @pytest.mark.only_on("sqlite", why="the one connection of a database in memory")
    @pytest.mark.parametrize("begun", [False, True])
    def test_in_memory(self, ctxt: RequestContext, begun: bool) -> None:
        tx.close()
        tx.configure("sqlite://")
        tables.metadata.create_all(tx.main.engine)
        with tx.writer(ctxt) as transaction:
            if begun:
                transaction.insert(tables.security_groups, {"name": "before"})
            made = security_groups.security_group_ensure_default(ctxt)
            assert security_groups.security_group_ensure_default(ctxt)["id"] == made["id"]
        assert usages() == [usage()]
        tx.close()

    def test_the_caller_reads_no_replica_afterwards(self, ctxt: RequestContext) -> None:
        with tx.writer(ctxt):
            security_groups.security_group_ensure_default(ctxt)
        with tx.reader(ctxt, replica=True) as transaction:
            assert transaction.mode == "reader"

    def test_a_cell_has_no_groups(self, ctxt: RequestContext, backend: Backend) -> None:
        with backend.new_database() as url:
            ctxt.db_connection = tx.create_context_manager(url)
            try:
                made = security_groups.security_group_ensure_default(ctxt)
                with tx.writer(ctxt):
                    assert security_groups.security_group_ensure_default(ctxt)["id"] == made["id"]
            finally:
                ctxt.db_connection.close()
        assert ids(stored("security_groups")) == [made["id"]]


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with eight_processes() as found:
        yield found


def ensure_default(number: int, project_id: str) -> int:
    """Run in a process of its own."""
    return security_groups.security_group_ensure_default(RequestContext(f"user-{number}", project_id))["id"]


def ensure_default_or_reserve(number: int) -> None:
    """Run in a process of its own, like seven others of the same user."""
    context = RequestContext("user", "project")
    if number % 2:
        security_groups.security_group_ensure_default(context)
    else:
        reserve_a_group(context)


def reserve_a_group(context: RequestContext) -> None:
    resource = SimpleNamespace(sync="_sync_security_groups")
    limits, deltas = {"security_groups": -1}, {"security_groups": 1}
    quotas.quota_reserve(context, {"security_groups": resource}, limits, limits, deltas, None, 0, 0)


class TestProcesses:
    def test_all_ensure_the_default_group_of_one_project(
        self, backend: Backend, admin: RequestContext, processes: Processes
    ) -> None:
        for protocol in ("tcp", "udp"):
            default_rules.security_group_default_rule_create(admin, {"protocol": protocol})
        answers = processes.call(backend.url, ensure_default, "project")
        (row,) = stored("security_groups")
        assert answers == [row["id"]] * COUNT
        assert [rule["protocol"] for rule in stored("security_group_rules")] == ["tcp", "udp"]
        assert usages() == [usage(user_id=row["user_id"])]

    def test_the_usage_is_made_once(self, backend: Backend, processes: Processes) -> None:
        processes.call(backend.url, ensure_default_or_reserve)
        (found,) = usages()
        assert (found["in_use"], found["reserved"]) == (1, COUNT // 2)


@pytest.mark.parametrize(
    "call",
    [
        lambda context: security_groups.security_group_create(context, {}),
        lambda context: security_groups.security_group_update(context, 1, {}),
        lambda context: security_groups.security_group_destroy(context, 1),
        lambda context: security_groups.security_group_get(context, 1),
        security_groups.security_group_get_all,
        lambda context: security_groups.security_group_get_by_name(context, "project", "n"),
        lambda context: security_groups.security_group_get_by_project(context, "project"),
        lambda context: security_groups.security_group_get_by_instance(context, "x"),
        lambda context: security_groups.security_group_in_use(context, 1),
    ],
)
def test_incomplete_contexts_are_refused(call: Callable[[Any], Any]) -> None:
    with pytest.raises(exceptions.Forbidden):
        call(RequestContext("user", None))
