# SPDX-License-Identifier: Apache-2.0

"""Instances with metadata and tags, their compare-and-swap updates, and lists of them, beside a dict."""

from __future__ import annotations

import copy
import datetime
import re
import uuid as uuids
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, initialize, invariant, multiple, rule

from nova_sqlcore import api, exceptions
from tests.properties.machines import PROJECTS, SELDOM, START, Machine, Row, refusing, undone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    #: keys to sort by, each with its direction
    Order = Sequence[tuple[str, str]]

WHO = st.sampled_from([*PROJECTS, "admin"])
SIZE = st.integers(1, 4)
TAG = st.sampled_from(["a", "b", "c"])
TAGS = st.lists(TAG, max_size=3)
KEYS = ("a", "b", "c")
VALUE = st.sampled_from(["x", "yé", ""])
PAIRS = st.dictionaries(st.sampled_from(KEYS), VALUE)
STATES = {
    "task_state": st.sampled_from([None, "scheduling", "deleting"]),
    "vm_state": st.sampled_from([None, "active", "soft-delete"]),
}
VALUES = STATES | {
    "display_name": st.sampled_from([None, "ab", "abc", "b"]),
    "host": st.sampled_from([None, "h1", "h2"]),
    "vcpus": st.none() | st.integers(0, 2),
}
CHANGES = st.fixed_dictionaries({}, optional=VALUES | {"metadata": PAIRS, "system_metadata": PAIRS})
EXPECTED = st.fixed_dictionaries({}, optional={name: st.lists(values, max_size=3) for name, values in STATES.items()})

#: What a list can be asked for, by filter: the model's way to tell whether an instance fulfils it.
FULFILS: dict[str, Callable[[Row, Any], bool]] = {
    "deleted": lambda row, wanted: wanted == (row["deleted"] or row["vm_state"] == "soft-delete"),
    "changes-since": lambda row, since: row["updated_at"] is not None and row["updated_at"] >= since,
    "vm_state": lambda row, wanted: row["vm_state"] is not None and row["vm_state"] in wanted,
    "task_state": lambda row, wanted: bool(row["task_state"] == wanted),
    "host": lambda row, wanted: bool(row["host"] == wanted),
    "display_name": lambda row, pattern: bool(row["display_name"] and re.search(pattern, row["display_name"])),
    "tags": lambda row, wanted: not wanted or (not row["deleted"] and row["tags"].issuperset(wanted)),
    "tags-any": lambda row, wanted: not row["deleted"] and not row["tags"].isdisjoint(wanted),
    "metadata": lambda row, pairs: all(
        key in row["metadata"] and value in row["metadata"].values() for key, value in pairs.items()
    ),
}
WANTED = {
    "deleted": st.booleans(),
    "changes-since": st.integers(0, 20).map(lambda seconds: START + datetime.timedelta(seconds=seconds)),
    "vm_state": st.lists(STATES["vm_state"], max_size=2),
    "task_state": STATES["task_state"],
    "host": VALUES["host"],
    "display_name": st.sampled_from(["a", "^b", "c$", "^ab?c?$"]),
    "tags": TAGS,
    "tags-any": TAGS,
    "metadata": PAIRS,
}
#: Hardly an instance fulfils more than two filters.
FILTERS = st.lists(st.sampled_from(list(WANTED)), max_size=2).flatmap(
    lambda names: st.fixed_dictionaries({name: WANTED[name] for name in names})
)
#: Short words in small letters have one order in all collations.
ORDER = st.lists(
    st.tuples(
        st.sampled_from(["display_name", "vcpus", "host", "task_state", "created_at", "updated_at", "id"]),
        st.sampled_from(["asc", "desc"]),
    ),
    max_size=3,
    unique_by=lambda term: term[0],
)


def shown(row: Mapping[str, Any]) -> Row:
    """Return what the model knows of an instance that comes with its metadata and tags."""
    seen: Row = {name: row[name] for name in ("id", "project_id", "created_at", "updated_at", *VALUES)}
    for kind in ("metadata", "system_metadata"):
        seen[kind] = {pair["key"]: pair["value"] for pair in row[kind] if pair["deleted"] == 0}
    return seen | {"tags": {tag["tag"] for tag in row["tags"]}, "deleted": row["deleted"] != 0}


def ordered(rows: Mapping[str, Row], order: Order) -> list[str]:
    """Return the uuids in this order; None is the smallest value, and what is left equal goes by age and id."""
    fill = order[0][1] if order else "desc"
    found = list(rows)
    for key, direction in reversed([*order, ("created_at", fill), ("id", fill)]):
        values = {uuid: (row[key] is not None, row[key]) for uuid, row in rows.items()}
        found.sort(key=values.__getitem__, reverse=direction == "desc")
    return found


class Instances(Machine):
    """The model: all instances by uuid, deleted ones too."""

    made: Bundle[str] = Bundle("made")

    def __init__(self) -> None:
        super().__init__()
        self.rows: dict[str, Row] = {}

    def sees(self, who: str, uuid: str) -> bool:
        return not self.rows[uuid]["deleted"] and who in ("admin", self.rows[uuid]["project_id"])

    def missing(self, who: str, uuid: str) -> exceptions.InstanceNotFound | None:
        return None if self.sees(who, uuid) else exceptions.InstanceNotFound(instance_id=uuid)

    # -- life and death -----------------------------------------------------------------------------------------------

    @initialize(target=made)
    def create_some(self) -> MultipleResults[str]:
        values = {"display_name": "ab", "task_state": "scheduling", "metadata": {"a": "x"}, "vcpus": 1}
        made = [self.created(project, given) for project, given in (("red", values), ("red", {}), ("blue", values))]
        self.set_tags("admin", made[0], ["a", "b"])
        return multiple(*made)

    @rule(target=made, project=st.sampled_from(PROJECTS), values=CHANGES, seconds=st.integers(0, 1))
    def create(self, project: str, values: Row, seconds: int) -> str:
        self.clock.advance(seconds)
        return self.created(project, values)

    def created(self, project: str, values: Row) -> str:
        uuid = str(uuids.UUID(int=len(self.rows)))
        row = api.instance_create(self.contexts[project], {"uuid": uuid, "project_id": project, **values})
        new: Row = {"metadata": {}, "system_metadata": {}, "tags": set(), "deleted": False, **dict.fromkeys(VALUES)}
        times = {"created_at": self.clock.now, "updated_at": None}
        self.rows[uuid] = new | copy.deepcopy(values) | times | {"id": row["id"], "project_id": project}
        assert shown({**row, "tags": []}) == self.rows[uuid]
        return uuid

    @rule(who=WHO, uuid=made, really=SELDOM)
    def destroy(self, who: str, uuid: str, really: bool) -> None:
        if not really:
            return
        self.clock.advance(1)
        with refusing(self.missing(who, uuid)):
            row = api.instance_destroy(self.contexts[who], uuid)
            assert row["deleted"] == row["id"]
            self.rows[uuid] |= {"metadata": {}, "system_metadata": {}, "tags": set(), "deleted": True}

    @rule(who=WHO, uuid=made, values=CHANGES, expected=EXPECTED, original=st.booleans())
    def update(self, who: str, uuid: str, values: Row, expected: dict[str, list[Any]], original: bool) -> None:
        self.clock.advance(1)
        old = self.rows[uuid]
        error: Any = self.missing(who, uuid)
        unmet = {name: wanted for name, wanted in expected.items() if old[name] not in wanted}
        if not error and unmet:
            kind: type[exceptions.InstanceUpdateConflict] = exceptions.InstanceUpdateConflict
            if "task_state" in unmet:
                kind = exceptions.UnexpectedTaskStateError
                if old["task_state"] == "deleting":
                    kind = exceptions.UnexpectedDeletingTaskStateError
            error = kind(instance_uuid=uuid, expected=unmet, actual={name: old[name] for name in unmet})
        with refusing(error):
            context = self.contexts[who]
            if original:
                before, after = api.instance_update_and_get_original(context, uuid, values, ["tags"], expected)
                assert shown(before) == old | {"metadata": {}, "system_metadata": {}}
            else:
                after = api.instance_update(context, uuid, values, expected)
            self.rows[uuid] = new = old | values | {"updated_at": self.clock.now}
            seen = shown({"metadata": [], "system_metadata": [], "tags": [], **after})
            names = {"id", "updated_at", *VALUES, *values}
            assert {name: seen[name] for name in names} == {name: new[name] for name in names}

    @rule(uuid=made, values=CHANGES, tags=TAGS)
    def change_all_and_roll_back(self, uuid: str, values: Row, tags: list[str]) -> None:
        if self.sees("admin", uuid):
            with undone(self.admin):
                api.instance_update(self.admin, uuid, values)
                api.instance_tag_set(self.admin, uuid, tags)
                api.instance_metadata_update(self.admin, uuid, {"a": "?"}, True)
                api.instance_destroy(self.admin, uuid)

    # -- children -----------------------------------------------------------------------------------------------------

    @rule(uuid=made, pairs=PAIRS, delete=st.booleans(), system=st.booleans())
    def update_metadata(self, uuid: str, pairs: dict[str, str], delete: bool, system: bool) -> None:
        if self.sees("admin", uuid):
            update = api.instance_system_metadata_update if system else api.instance_metadata_update
            assert update(self.admin, uuid, pairs, delete) is pairs
            kind = "system_metadata" if system else "metadata"
            self.rows[uuid][kind] = ({} if delete else self.rows[uuid][kind]) | pairs

    @rule(uuid=made, key=TAG)
    def delete_metadata(self, uuid: str, key: str) -> None:
        api.instance_metadata_delete(self.admin, uuid, key)
        self.rows[uuid]["metadata"].pop(key, None)

    @rule(who=WHO, uuid=made, tag=TAG)
    def add_tag(self, who: str, uuid: str, tag: str) -> None:
        with refusing(self.missing(who, uuid)):
            assert api.instance_tag_add(self.contexts[who], uuid, tag) == {"resource_id": uuid, "tag": tag}
            self.rows[uuid]["tags"].add(tag)

    @rule(who=WHO, uuid=made, tags=TAGS)
    def set_tags(self, who: str, uuid: str, tags: list[str]) -> None:
        with refusing(self.missing(who, uuid)):
            api.instance_tag_set(self.contexts[who], uuid, tags)
            self.rows[uuid]["tags"] = set(tags)

    @rule(who=WHO, uuid=made, tag=TAG)
    def delete_tag(self, who: str, uuid: str, tag: str) -> None:
        error: Any = self.missing(who, uuid)
        if not error and tag not in self.rows[uuid]["tags"]:
            error = exceptions.InstanceTagNotFound(instance_id=uuid, tag=tag)
        with refusing(error):
            api.instance_tag_delete(self.contexts[who], uuid, tag)
            self.rows[uuid]["tags"].remove(tag)

    # -- looking ------------------------------------------------------------------------------------------------------

    def found(self, who: str, filters: Row, order: Order = ()) -> list[str]:
        """Return what the model lists."""
        return [
            uuid
            for uuid in ordered(self.rows, order)
            if who in ("admin", self.rows[uuid]["project_id"])
            if all(FULFILS[name](self.rows[uuid], value) for name, value in filters.items())
        ]

    def listed(self, who: str, filters: Row, order: Order = (), **page: Any) -> list[str]:
        """Return what the library lists."""
        page["sort_keys"], page["sort_dirs"] = [key for key, _ in order], [direction for _, direction in order]
        rows = api.instance_get_all_by_filters_sort(self.contexts[who], filters, columns_to_join=[], **page)
        return [row["uuid"] for row in rows]

    @rule(who=WHO, filters=FILTERS, order=ORDER, size=SIZE, marker=made)
    def look_at_pages(self, who: str, filters: Row, order: Order, size: int, marker: str) -> None:
        """The pages, each from the last one's last instance on, are the list; any instance serves as a marker."""
        wanted = self.found(who, filters, order)
        assert self.listed(who, filters, order) == wanted
        for place in range(0, len(wanted), size):
            page = self.listed(who, filters, order, limit=size, marker=wanted[place - 1] if place else None)
            assert page == wanted[place : place + size]
        everything = ordered(self.rows, order)
        behind = everything[everything.index(marker) + 1 :]
        assert self.listed(who, filters, order, marker=marker) == [uuid for uuid in behind if uuid in wanted]

    @rule(who=WHO, uuid=made, value=VALUE)
    def look_at_filters(self, who: str, uuid: str, value: str) -> None:
        """What an instance has itself finds it, and others; and a pair of metadata does that it may have had."""
        row = self.rows[uuid]
        own: list[Row] = [{name: row[name]} for name in ("task_state", "host", "metadata")]
        own += [{name: [*row["tags"]]} for name in ("tags", "tags-any")]
        own += [{"vm_state": [row["vm_state"]]}, {"changes-since": row["updated_at"] or START}]
        for filters in (*own, {"deleted": True}, {"deleted": False}, *({"metadata": {key: value}} for key in KEYS)):
            assert self.listed(who, filters) == self.found(who, filters)

    @rule(who=WHO, uuid=made)
    def look_at_one(self, who: str, uuid: str) -> None:
        with refusing(self.missing(who, uuid)):
            row = api.instance_get_by_uuid(self.contexts[who], uuid, ["metadata", "system_metadata", "tags"])
            assert shown(row) == self.rows[uuid]
        assert api.instance_metadata_get(self.admin, uuid) == self.rows[uuid]["metadata"]
        assert api.instance_system_metadata_get(self.admin, uuid) == self.rows[uuid]["system_metadata"]

    @invariant()
    def the_same_instances(self) -> None:
        rows = api.instance_get_all_by_filters(
            self.admin, {}, "id", "asc", columns_to_join=["metadata", "system_metadata", "tags"]
        )
        assert [(row["uuid"], shown(row)) for row in rows] == list(self.rows.items())


def test_instances(drive: Callable[[type[Machine]], None]) -> None:
    drive(Instances)
