# SPDX-License-Identifier: Apache-2.0

"""Server groups with policies and members, beside a dict of them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from nova_sqlcore import api, get_admin_context
from nova_sqlcore.exceptions import InstanceGroupIdExists, InstanceGroupMemberNotFound, InstanceGroupNotFound
from tests.properties.machines import PROJECTS, SELDOM, Machine, Row, refusing, undone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

UUIDS = st.sampled_from(["g1", "g2", "g3"])
WHO = st.sampled_from([*PROJECTS, "admin"])
NAMES = st.sampled_from(["one", "two"])
MEMBERS = st.sampled_from(["i1", "i2", "i3"])
#: A member given twice is a member twice.
LISTS = st.lists(MEMBERS, max_size=4)
POLICIES = st.lists(st.sampled_from(["affinity", "anti-affinity"]), max_size=3)


def shown(row: Mapping[str, Any]) -> Row:
    """Return what the model knows of a row."""
    return {name: row[name] for name in ("name", "project_id", "policies", "members")}


def replaced(known: list[str], wanted: list[str]) -> list[str]:
    """Return a list that lets go what is not wanted, keeps the rest in place and appends what is new."""
    return [item for item in known if item in wanted] + [item for item in wanted if item not in known]


class Groups(Machine):
    """The model: the live groups by uuid, and the rows of members in the order in which they came."""

    def __init__(self) -> None:
        super().__init__()
        self.live: dict[str, Row] = {}
        for who in PROJECTS:
            self.create(who, f"g{len(self.live) + 1}", who, ["affinity"], ["i1", "i2"])

    def missing(self, uuid: str, who: str = "admin") -> InstanceGroupNotFound | None:
        """Return the error for a group that is not there, or of another project than the user's."""
        seen = uuid in self.live and who in ("admin", self.live[uuid]["project_id"])
        return None if seen else InstanceGroupNotFound(group_uuid=uuid)

    @rule(who=WHO, uuid=UUIDS, project=st.sampled_from(PROJECTS), policies=POLICIES, members=LISTS)
    def create(self, who: str, uuid: str, project: str, policies: list[str], members: list[str]) -> None:
        error: Any = InstanceGroupIdExists(group_uuid=uuid) if uuid in self.live else None
        if not error and who not in ("admin", project):
            error = InstanceGroupNotFound(group_uuid=uuid)
        with refusing(error):
            given = {"uuid": uuid, "name": "one", "project_id": project, "user_id": "user"}
            row = api.instance_group_create(self.contexts[who], given, policies, members)
        if not error:
            self.live[uuid] = {"name": "one", "project_id": project, "policies": policies, "members": members}
            assert shown(row) == self.live[uuid]

    @rule(
        who=WHO,
        uuid=UUIDS,
        values=st.fixed_dictionaries({}, optional={"name": NAMES, "policies": POLICIES, "members": LISTS}),
    )
    def update(self, who: str, uuid: str, values: Row) -> None:
        with refusing(self.missing(uuid)):
            api.instance_group_update(self.contexts[who], uuid, values)
        if uuid in self.live:
            old, new = self.live[uuid], self.live[uuid] | values
            self.live[uuid] = new | {name: replaced(old[name], new[name]) for name in ("policies", "members")}

    @rule(who=WHO, uuid=UUIDS, really=SELDOM)
    def delete(self, who: str, uuid: str, really: bool) -> None:
        if not really:
            return
        error = self.missing(uuid, who)
        with refusing(error):
            api.instance_group_delete(self.contexts[who], uuid)
        if not error:
            del self.live[uuid]

    @rule(who=WHO, uuid=UUIDS, members=LISTS, set_delete=st.booleans())
    def add_members(self, who: str, uuid: str, members: list[str], set_delete: bool) -> None:
        with refusing(self.missing(uuid)):
            assert api.instance_group_members_add(self.contexts[who], uuid, members, set_delete) is members
        if uuid in self.live:
            known = self.live[uuid]["members"]
            self.live[uuid]["members"] = replaced(known, members if set_delete else known + members)

    @rule(who=WHO, uuid=UUIDS, member=MEMBERS)
    def delete_member(self, who: str, uuid: str, member: str) -> None:
        error: Any = self.missing(uuid)
        if not error and member not in self.live[uuid]["members"]:
            error = InstanceGroupMemberNotFound(group_uuid=uuid, instance_id=member)
        with refusing(error):
            api.instance_group_member_delete(self.contexts[who], uuid, member)
        if not error:
            self.live[uuid]["members"] = [other for other in self.live[uuid]["members"] if other != member]

    @rule(uuid=UUIDS, member=MEMBERS, policies=POLICIES)
    def change_all_and_roll_back(self, uuid: str, member: str, policies: list[str]) -> None:
        if uuid in self.live:
            with undone(self.admin):
                api.instance_group_update(self.admin, uuid, {"policies": policies, "members": [member]})
                api.instance_group_delete(self.admin, uuid)
                api.instance_group_create(self.admin, {"uuid": uuid}, policies, [member])

    @rule(uuid=UUIDS)
    def look_at_one(self, uuid: str) -> None:
        for who, context in self.contexts.items():
            with refusing(self.missing(uuid, who)):
                assert shown(api.instance_group_get(context, uuid)) == self.live[uuid]
            with refusing(self.missing(uuid)):
                assert api.instance_group_members_get(context, uuid) == self.live[uuid]["members"]

    @rule(member=MEMBERS)
    def look_at_lists(self, member: str) -> None:
        for (who, context), project in itertools.product(self.contexts.items(), PROJECTS):
            found = api.instance_group_get_all_by_project_id(context, project)
            seen = [uuid for uuid, one in self.live.items() if one["project_id"] == project]
            assert [row["uuid"] for row in found] == (seen if who in ("admin", project) else [])
        for project in PROJECTS:
            found = api.instance_group_get_all(self.contexts[project])
            assert [row["uuid"] for row in found] == [
                uuid for uuid, one in self.live.items() if one["project_id"] == project
            ]
        for row in api.instance_group_get_all(get_admin_context(read_deleted="only")):
            assert (row["deleted"], row["policies"], row["members"]) == (row["id"], [], [])
        holders = [uuid for uuid, one in self.live.items() if member in one["members"]]
        if len(holders) < 2:  # of several groups the one that the instance joined first counts
            with refusing(None if holders else InstanceGroupNotFound(group_uuid="")):
                assert api.instance_group_get_by_instance(self.admin, member)["uuid"] == holders[0]

    @invariant()
    def the_same_groups(self) -> None:
        found = [(row["uuid"], shown(row)) for row in api.instance_group_get_all(self.admin)]
        assert found == list(self.live.items())


def test_instance_groups(drive: Callable[[type[Machine]], None]) -> None:
    drive(Groups)
