# SPDX-License-Identifier: Apache-2.0

"""Aggregates with hosts and metadata, beside a dict of them."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, initialize, invariant, multiple, rule

from nova_sqlcore import api, get_admin_context
from nova_sqlcore.exceptions import (
    AggregateHostExists,
    AggregateHostNotFound,
    AggregateMetadataNotFound,
    AggregateNameExists,
    AggregateNotFound,
)
from tests.properties.machines import SELDOM, Machine, Row, refusing, undone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

NAMES = st.sampled_from(["fast", "near", "far"])
HOSTS = ("h1", "h2")
HOST = st.sampled_from(HOSTS)
KEYS = ("ssd", "gpu", "availability_zone")
KEY = st.sampled_from(KEYS)
VALUES = st.sampled_from(["", "yes", "zürich 1"])
METADATA = st.dictionaries(KEY, VALUES)


def shown(row: Mapping[str, Any]) -> Row:
    """Return what the model knows of a row."""
    assert row["availability_zone"] == row["metadetails"].get("availability_zone")
    return {name: row[name] for name in ("name", "hosts", "metadetails")}


class Aggregates(Machine):
    """The model: the live aggregates by id."""

    ids: Bundle[int] = Bundle("ids")

    def __init__(self) -> None:
        super().__init__()
        self.live: dict[int, Row] = {}

    def missing(self, number: int) -> AggregateNotFound | None:
        return None if number in self.live else AggregateNotFound(aggregate_id=number)

    def name_taken(self, name: str | None, number: int | None = None) -> AggregateNameExists | None:
        others = [one["name"] for other, one in self.live.items() if other != number]
        return AggregateNameExists(aggregate_name=name) if name in others else None

    @initialize(target=ids, metadata=METADATA)
    def create_two(self, metadata: dict[str, str]) -> MultipleResults[int]:
        made = [api.aggregate_create(self.admin, {"name": name}, metadata) for name in ("fast", "near")]
        self.live = {row["id"]: {"name": row["name"], "hosts": [], "metadetails": {**metadata}} for row in made}
        for number in self.live:
            self.add_host(number, "h1")
        return multiple(*self.live)

    @rule(target=ids, name=NAMES, metadata=METADATA | st.none())
    def create(self, name: str, metadata: dict[str, str] | None) -> int | MultipleResults[int]:
        error = self.name_taken(name)
        with refusing(error):
            row = api.aggregate_create(self.admin, {"name": name}, metadata)
        if error:
            return multiple()
        self.live[row["id"]] = {"name": name, "hosts": [], "metadetails": metadata or {}}
        assert shown(row) == self.live[row["id"]]
        return row["id"]

    @rule(
        number=ids,
        values=st.fixed_dictionaries({}, optional={"name": NAMES, "metadata": METADATA, "availability_zone": VALUES}),
    )
    def update(self, number: int, values: Row) -> None:
        error = self.name_taken(values.get("name"), number) or self.missing(number)
        with refusing(error):
            row = api.aggregate_update(self.admin, number, values)
        if error:
            return
        one = self.live[number]
        one["name"] = values.get("name", one["name"])
        one["metadetails"] = dict(values["metadata"] if "metadata" in values else one["metadetails"])
        if "availability_zone" in values:
            one["metadetails"]["availability_zone"] = values["availability_zone"]
        assert shown(row) == one

    @rule(number=ids, really=SELDOM)
    def delete(self, number: int, really: bool) -> None:
        if not really:
            return
        with refusing(self.missing(number)):
            api.aggregate_delete(self.admin, number)
        self.live.pop(number, None)
        row = api.aggregate_get(get_admin_context(read_deleted="yes"), number)
        assert (row["deleted"], row["hosts"], row["metadetails"]) == (number, [], {})

    @rule(number=ids, host=HOST)
    def add_host(self, number: int, host: str) -> None:
        error: Any = self.missing(number)
        if not error and host in self.live[number]["hosts"]:
            error = AggregateHostExists(aggregate_id=number, host=host)
        with refusing(error):
            api.aggregate_host_add(self.admin, number, host)
        if not error:
            self.live[number]["hosts"].append(host)

    @rule(number=ids, host=HOST)
    def delete_host(self, number: int, host: str) -> None:
        error: Any = self.missing(number)
        if not error and host not in self.live[number]["hosts"]:
            error = AggregateHostNotFound(aggregate_id=number, host=host)
        with refusing(error):
            api.aggregate_host_delete(self.admin, number, host)
        if not error:
            self.live[number]["hosts"].remove(host)

    @rule(number=ids, metadata=METADATA, set_delete=st.booleans())
    def add_metadata(self, number: int, metadata: dict[str, str], set_delete: bool) -> None:
        error = self.missing(number)
        with refusing(error):
            assert api.aggregate_metadata_add(self.admin, number, metadata, set_delete) is metadata
        if not error:
            kept = {} if set_delete else self.live[number]["metadetails"]
            self.live[number]["metadetails"] = kept | metadata

    @rule(number=ids, key=KEY)
    def delete_metadata(self, number: int, key: str) -> None:
        error: Any = self.missing(number)
        if not error and key not in self.live[number]["metadetails"]:
            error = AggregateMetadataNotFound(aggregate_id=number, metadata_key=key)
        with refusing(error):
            api.aggregate_metadata_delete(self.admin, number, key)
        if not error:
            del self.live[number]["metadetails"][key]

    @rule(number=ids, name=NAMES, host=HOST, metadata=METADATA)
    def change_all_and_roll_back(self, number: int, name: str, host: str, metadata: dict[str, str]) -> None:
        if number in self.live:
            with undone(self.admin):
                api.aggregate_metadata_add(self.admin, number, metadata, set_delete=True)
                for known in self.live[number]["hosts"]:
                    api.aggregate_host_delete(self.admin, number, known)
                api.aggregate_host_add(self.admin, number, host)
                api.aggregate_delete(self.admin, number)
                if not self.name_taken(name, number):
                    api.aggregate_create(self.admin, {"name": name}, metadata)

    @rule()
    def look_by_host_and_key(self) -> None:
        of_host = {host: [n for n, one in self.live.items() if host in one["hosts"]] for host in HOSTS}
        of_key = {key: [n for n, one in self.live.items() if key in one["metadetails"]] for key in KEYS}
        for key in KEYS:
            found = {row["id"]: shown(row)["metadetails"] for row in api.aggregate_get_by_metadata_key(self.admin, key)}
            assert found == {number: {key: self.live[number]["metadetails"][key]} for number in of_key[key]}
        for host in HOSTS:
            assert [row["id"] for row in api.aggregate_get_by_host(self.admin, host)] == of_host[host]
            values = api.aggregate_metadata_get_by_host(self.admin, host)
            pairs = {pair for number in of_host[host] for pair in self.live[number]["metadetails"].items()}
            assert {(name, value) for name, some in values.items() for value in some} == pairs
        for host, key in itertools.product(HOSTS, KEYS):
            both = [number for number in of_host[host] if number in of_key[key]]
            assert [row["id"] for row in api.aggregate_get_by_host(self.admin, host, key)] == both

    @rule(number=ids)
    def look_at_one(self, number: int) -> None:
        with refusing(self.missing(number)):
            assert shown(api.aggregate_get(self.admin, number)) == self.live[number]
        with refusing(self.missing(number)):
            assert api.aggregate_host_get_all(self.admin, number) == self.live[number]["hosts"]
        with refusing(self.missing(number)):
            assert api.aggregate_metadata_get(self.admin, number) == self.live[number]["metadetails"]

    @invariant()
    def the_same_aggregates(self) -> None:
        found = [(row["id"], shown(row)) for row in api.aggregate_get_all(self.admin)]
        assert found == list(self.live.items())


def test_aggregates(drive: Callable[[type[Machine]], None]) -> None:
    drive(Aggregates)
