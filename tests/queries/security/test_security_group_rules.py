# SPDX-License-Identifier: Apache-2.0

"""Rules of security groups (04-quotas-security 7)."""

from __future__ import annotations

import datetime
import ipaddress
from typing import TYPE_CHECKING, Any, cast

import pytest

from nova_sqlcore import RequestContext, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.security import rules
from tests.queries.instance_factory import deleted, group, insert, instance

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

Row = dict[str, Any]

COLUMNS = set(tables.security_group_rules.c.keys())


def rule(parent: Row | None = None, **given: Any) -> Row:
    given = {"protocol": "tcp", "from_port": 1, "to_port": 2, "cidr": "10.0.0.0/24", **given}
    if parent is not None:
        given["parent_group_id"] = parent["id"]
    return cast("Row", rules.security_group_rule_create(get_admin_context(), given))


def ids(rows: Any) -> list[int]:
    return [row["id"] for row in rows]


class TestCreate:
    def test_the_new_row_is_what_a_read_shows(self, admin: RequestContext, sql_count: SqlCount) -> None:
        parent, grantee = group(), group()
        given = {"parent_group_id": parent["id"], "group_id": str(grantee["id"]), "cidr": "10.1.2.3/24"}
        with sql_count(1):
            row = rules.security_group_rule_create(admin, given)
        with sql_count(1):
            assert rules.security_group_rule_get(admin, row["id"]) == row
        assert set(row) == COLUMNS
        assert (row["cidr"], row["group_id"], row["parent_group_id"]) == ("10.1.2.0/24", grantee["id"], parent["id"])
        assert set(given) == {"parent_group_id", "group_id", "cidr"}

    @pytest.mark.parametrize(
        ("cidr", "shown"),
        [
            ("1.2.3.4", "1.2.3.4/32"),
            ("2001:0DB8::1/48", "2001:db8::/48"),
            (ipaddress.ip_network("10.0.0.0/8"), "10.0.0.0/8"),
            (None, None),
        ],
    )
    def test_cidr(self, admin: RequestContext, cidr: Any, shown: str | None) -> None:
        row = rule(cidr=cidr)
        assert row["cidr"] == shown == rules.security_group_rule_get(admin, row["id"])["cidr"]

    def test_groups_as_rows(self, admin: RequestContext, sql_count: SqlCount) -> None:
        parent, grantee = group(), group()
        given = {
            "parent_group": {**parent, "rules": [], "instances": []},
            "grantee_group": {**grantee, "rules": [1], "whatever": 2},
        }
        with sql_count(1):
            row = rules.security_group_rule_create(admin, given)
        assert (row["parent_group_id"], row["group_id"]) == (parent["id"], grantee["id"])
        assert (row["parent_group"], row["grantee_group"]) == (parent, grantee)
        assert set(row) == COLUMNS | {"parent_group", "grantee_group"}
        assert set(rules.security_group_rule_get(admin, row["id"])) == COLUMNS
        assert given["parent_group"]["rules"] == []

    def test_no_group_leaves_the_id_beside_it(self, admin: RequestContext) -> None:
        parent, grantee = group(), group()
        given = {"parent_group_id": parent["id"], "group_id": grantee["id"], "grantee_group": None}
        row = rules.security_group_rule_create(admin, given)
        assert (row["group_id"], row["parent_group_id"], row["grantee_group"]) == (grantee["id"], parent["id"], None)
        assert "parent_group" not in row
        assert (
            rules.security_group_rule_create(admin, {"parent_group": None, "grantee_group": None})["group_id"] is None
        )

    def test_stamps_may_be_given(self, admin: RequestContext) -> None:
        moment = datetime.datetime(2001, 2, 3)
        row = rule(deleted=0, deleted_at=None, updated_at=moment, created_at=None)
        assert (row["deleted"], row["deleted_at"], row["updated_at"]) == (0, None, moment)
        assert row["created_at"] is not None
        assert rules.security_group_rule_get(admin, row["id"]) == row
        gone = rule(deleted=7, deleted_at=moment)
        assert rules.security_group_rule_get(get_admin_context("only"), gone["id"]) == gone

    def test_the_same_rule_twice(self) -> None:
        parent = group()
        assert rule(parent)["id"] != rule(parent)["id"]


class TestById:
    def test_visibility(self, admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        row = rule()
        now = frozen_clock.advance(5)
        with sql_count(1):
            rules.security_group_rule_destroy(admin, row["id"])
        after = row | {"deleted": row["id"], "deleted_at": now}
        for word in ("yes", "only"):
            assert rules.security_group_rule_get(get_admin_context(word), row["id"]) == after
        with pytest.raises(exceptions.SecurityGroupNotFoundForRule):
            rules.security_group_rule_get(admin, row["id"])
        with pytest.raises(exceptions.SecurityGroupNotFoundForRule):
            rules.security_group_rule_destroy(admin, row["id"])
        rules.security_group_rule_destroy(get_admin_context("yes"), row["id"])

    @pytest.mark.parametrize("identity", [77777, "fake", "99999999999999999999", -1])
    @pytest.mark.parametrize("call", [rules.security_group_rule_get, rules.security_group_rule_destroy])
    def test_no_such_rule(self, admin: RequestContext, identity: Any, call: Callable[..., Any]) -> None:
        rule()
        with pytest.raises(exceptions.SecurityGroupNotFound) as raised:
            call(admin, identity)
        assert type(raised.value) is exceptions.SecurityGroupNotFoundForRule
        assert raised.value.kwargs == {"rule_id": identity, "code": 404}


class TestCount:
    def test_live_rules_of_the_group(self, admin: RequestContext, sql_count: SqlCount) -> None:
        parent = group()
        created = [rule(parent) for _ in range(10)]
        rule(group())
        rules.security_group_rule_destroy(admin, created[3]["id"])
        with sql_count(1):
            assert rules.security_group_rule_count_by_group(get_admin_context("yes"), parent["id"]) == 9

    @pytest.mark.parametrize("identity", [77777, "fake"])
    def test_no_such_group(self, admin: RequestContext, identity: Any) -> None:
        assert rules.security_group_rule_count_by_group(admin, identity) == 0


class TestBySecurityGroup:
    def test_everything_by_default(self, admin: RequestContext, sql_count: SqlCount) -> None:
        first = instance(system_metadata={"a": "1", "b": "2"})
        second = instance(access_ip_v4="1.2.3.4", access_ip_v6="::1", locked=True, launched_at=datetime.datetime.min)
        cache = insert("instance_info_caches", instance_uuid=first["uuid"], network_info="[]", deleted=5)
        gone = instance(deleted=9)
        parent = group()
        grantee, empty = group(first, second, first, gone), group()
        granting = [rule(parent, group_id=grantee["id"]), rule(parent, group_id=grantee["id"])]
        others = [rule(parent, group_id=empty["id"]), rule(parent)]
        with sql_count(3):
            found = rules.security_group_rule_get_by_security_group(admin, parent["id"])
        assert ids(found) == ids([*granting, *others])
        assert set(found[3]) == COLUMNS | {"grantee_group"}
        assert found[3]["grantee_group"] is None
        assert found[2]["grantee_group"] == empty | {"instances": []}
        for row in found[:2]:
            shown = row["grantee_group"]
            assert shown is not None
            members = cast("list[Row]", shown["instances"])
            assert ids(members) == ids([first, second])
            assert [item["value"] for item in members[0]["system_metadata"]] == ["1", "2"]
            assert members[0]["info_cache"] == cache
            extra: Row = {"name": f"instance-{second['id']:08x}", "system_metadata": [], "info_cache": None}
            assert members[1] == second | extra

    def test_soft_deleted_metadata_is_there(self, admin: RequestContext) -> None:
        member = instance(system_metadata={"a": "1"})
        insert("instance_system_metadata", instance_uuid=member["uuid"], key="b", value="2", deleted=3)
        parent = group()
        rule(parent, group_id=group(member)["id"])
        found = cast("Any", rules.security_group_rule_get_by_security_group(admin, parent["id"]))
        assert [item["key"] for item in found[0]["grantee_group"]["instances"][0]["system_metadata"]] == ["a", "b"]

    @pytest.mark.parametrize(
        ("paths", "statements", "keys"),
        [
            (["grantee_group"], 1, None),
            (["grantee_group.instances.info_cache"], 2, {"name", "info_cache"}),
            (["grantee_group.instances.system_metadata"], 3, {"name", "system_metadata"}),
            (["grantee_group", "grantee_group.instances.info_cache"], 2, {"name", "info_cache"}),
        ],
    )
    def test_what_is_named(
        self, admin: RequestContext, sql_count: SqlCount, paths: list[str], statements: int, keys: set[str] | None
    ) -> None:
        member, parent = instance(), group()
        grantee = group(member)
        rule(parent, group_id=grantee["id"])
        with sql_count(statements):
            (row,) = rules.security_group_rule_get_by_security_group(admin, parent["id"], paths)
        shown = cast("Row", row["grantee_group"])
        if keys is None:
            assert shown == grantee
        else:
            assert set(shown["instances"][0]) == set(member) | keys

    def test_nothing_named(self, admin: RequestContext, sql_count: SqlCount) -> None:
        parent = group()
        row = rule(parent, group_id=group()["id"])
        with sql_count(1):
            assert rules.security_group_rule_get_by_security_group(admin, parent["id"], []) == [row]

    @pytest.mark.parametrize("path", ["grantee_groups", "instances", "grantee_group.instances.metadata"])
    def test_unknown_paths(self, admin: RequestContext, path: str) -> None:
        with pytest.raises(ValueError, match=path):
            rules.security_group_rule_get_by_security_group(admin, group()["id"], [path])

    def test_visibility(self, admin: RequestContext) -> None:
        parent, grantee = group(), group(instance())
        live, gone = rule(parent, group_id=grantee["id"]), rule(parent, group_id=grantee["id"])
        deleted("security_group_rules", gone)
        assert ids(rules.security_group_rule_get_by_security_group(admin, parent["id"])) == [live["id"]]
        for word, seen in (("yes", [live, gone]), ("only", [gone])):
            found = rules.security_group_rule_get_by_security_group(get_admin_context(word), parent["id"])
            assert ids(found) == ids(seen)
            assert found[-1]["grantee_group"] is None
        assert found[0]["grantee_group"] is None

    def test_a_deleted_grantee_shows_without_instances(self, admin: RequestContext) -> None:
        parent, grantee = group(), group(instance())
        rule(parent, group_id=grantee["id"])
        deleted("security_groups", grantee)
        (row,) = rules.security_group_rule_get_by_security_group(admin, parent["id"])
        assert row["grantee_group"] == grantee | {"deleted": grantee["id"], "instances": []}

    @pytest.mark.parametrize("identity", [77777, "fake"])
    def test_no_such_group(self, admin: RequestContext, identity: Any) -> None:
        assert rules.security_group_rule_get_by_security_group(admin, identity) == []

    def test_of_other_projects_and_in_a_transaction(self, ctxt: RequestContext) -> None:
        parent = group(project_id="other")
        row = rule(parent)
        alone = rules.security_group_rule_get_by_security_group(ctxt, parent["id"])
        assert ids(alone) == [row["id"]]
        with tx.reader(ctxt):
            assert rules.security_group_rule_get_by_security_group(ctxt, parent["id"]) == alone


class TestByInstance:
    def test_rules_of_the_instances_groups(self, admin: RequestContext, sql_count: SqlCount) -> None:
        member = instance()
        mine, other, grantee = group(member, member), group(member), group(instance())
        found = [rule(other), rule(mine, group_id=grantee["id"]), rule(mine)]
        rule(grantee)
        deleted("security_group_rules", rule(mine))
        with sql_count(1):
            shown = rules.security_group_rule_get_by_instance(admin, member["uuid"])
        assert shown == [
            found[0] | {"grantee_group": None},
            found[1] | {"grantee_group": grantee},
            found[2] | {"grantee_group": None},
        ]
        assert rules.security_group_rule_get_by_instance(get_admin_context("yes"), member["uuid"]) == shown
        assert rules.security_group_rule_get_by_instance(get_admin_context("only"), member["uuid"]) == []

    @pytest.mark.parametrize("what", ["instances", "security_groups", "security_group_instance_association"])
    def test_what_is_deleted_leads_to_no_rule(self, admin: RequestContext, what: str) -> None:
        member, parent = instance(), group()
        link = insert(
            "security_group_instance_association", instance_uuid=member["uuid"], security_group_id=parent["id"]
        )
        row = rule(parent)
        assert ids(rules.security_group_rule_get_by_instance(admin, member["uuid"])) == [row["id"]]
        deleted(what, {"instances": member, "security_groups": parent}.get(what, link))
        for word in ("no", "yes"):
            assert rules.security_group_rule_get_by_instance(get_admin_context(word), member["uuid"]) == []

    @pytest.mark.parametrize("uuid", ["unknown", None, 5])
    def test_no_such_instance(self, admin: RequestContext, uuid: Any) -> None:
        assert rules.security_group_rule_get_by_instance(admin, uuid) == []


@pytest.mark.parametrize(
    "call",
    [
        lambda context: rules.security_group_rule_create(context, {}),
        lambda context: rules.security_group_rule_destroy(context, 1),
        lambda context: rules.security_group_rule_get(context, 1),
        lambda context: rules.security_group_rule_get_by_security_group(context, 1),
        lambda context: rules.security_group_rule_get_by_instance(context, "x"),
        lambda context: rules.security_group_rule_count_by_group(context, 1),
    ],
)
def test_incomplete_contexts_are_refused(call: Callable[[Any], Any]) -> None:
    with pytest.raises(exceptions.Forbidden):
        call(RequestContext(None, "project"))
