# SPDX-License-Identifier: Apache-2.0

"""The round trips that each docstring names, held against those of the recorded calls. CONTRIBUTING.md has the form."""

from __future__ import annotations

import functools
import gzip
import inspect
import itertools
import json
import pathlib
import re
from typing import Any, Final, NamedTuple

import pytest

from nova_sqlcore import api
from nova_sqlcore.cli.recorded import DATA

ROOT = pathlib.Path(__file__).parents[2]
SERVERS = {"mariadb": "MySQL family", "mysql": "MySQL family", "postgresql": "PostgreSQL"}
_SECTION: Final = re.compile(r"^Cost: (.*?)\.?\s*(?=^(?:Lock|Raises): |^$|\Z)", re.DOTALL | re.MULTILINE)
_TRIPS: Final = re.compile(r"\bin (?=\d+ round trips?\b)")
_TERM: Final = re.compile(r"[;,]| and | else ")
#: One trip is no trips, and several are no trip.
_NUMBER: Final = re.compile(r"\b1 round trips|(?<!\d)(?:[02-9]|\d\d+) round trip\b")
#: What sends statements of its caller's alone.
FOREIGN = {"model_query"}


def cost_of(name: str) -> str | None:
    """Return what the docstring says that a function costs."""
    section = _SECTION.search(inspect.getdoc(getattr(api, name)) or "")
    return None if section is None else " ".join(section.group(1).split())


COSTS = {name: cost for name in sorted(api.__all__) if (cost := cost_of(name)) is not None}


class Trips(NamedTuple):
    """What a docstring says of one server."""

    usual: int
    others: frozenset[int]
    #: what is added as often as there are such things
    for_each: frozenset[int]

    def allow(self, number: int) -> bool:
        left = {number - one for one in {self.usual, *self.others}}
        return 0 in left or (bool(self.for_each) and max(left) >= min(self.for_each))


def trips_of(cost: str, server: str) -> Trips:
    """Read a cost: "in 1 round trip, 2 with metadata, and 1 more for each count"."""
    _, told = _TRIPS.split(cost)
    terms = [term.strip() for term in _TERM.split(re.sub(r"(?<=\d),(?=\d)", "", told))]
    found, more, for_each = [], [], []
    for term in terms:
        named = {words for words in SERVERS.values() if words in term}
        number = re.search(r"\d+(?! or)", term.partition("for each")[0])
        if named and SERVERS[server] not in named:
            continue
        if "each" in term:
            for_each.append(int(number.group()) if number else 1)
        elif number and re.search(rf"\b{number.group()} more\b(?! than)", term):
            more.append(int(number.group()))
        elif number:
            found.append(int(number.group()))
    sums = {sum(some) for size in range(len(more) + 1) for some in itertools.combinations(more, size)}
    return Trips(found[0], frozenset(one + added for one in found for added in sums), frozenset(for_each))


@functools.cache
def recorded(server: str) -> dict[str, list[dict[str, Any]]]:
    """Return the kinds of call of each function, as ``nova-sqlcore sql`` shows them."""
    content = json.loads(gzip.decompress((DATA / f"{server}.json.gz").read_bytes()))
    functions: dict[str, list[dict[str, Any]]] = content["functions"]
    return functions


@pytest.mark.parametrize("server", SERVERS)
def test_what_sends_says_in_how_many_trips(server: str) -> None:
    silent = {name for name, calls in recorded(server).items() if calls} - COSTS.keys() - FOREIGN
    assert not silent


def test_each_names_its_trips_once() -> None:
    wrong = [
        f"{name}: {cost}"
        for name, cost in COSTS.items()
        if not len(_TRIPS.findall(cost)) == cost.count("round trip") == 1 or _NUMBER.search(cost)
    ]
    assert not wrong


@pytest.mark.parametrize("server", SERVERS)
def test_recorded_calls_that_succeed_take_the_trips_that_are_named(server: str) -> None:
    """The usual number is among them, unless the call takes more for each of something."""
    wrong = []
    for name, cost in COSTS.items():
        told = trips_of(cost, server)
        taken = {call["round_trips"] for call in recorded(server).get(name, ()) if call["error"] is None}
        if not all(map(told.allow, taken)) or (taken and told.usual not in taken and not told.for_each):
            wrong.append(f"{name}: {cost}; taken were {taken}")
    assert not wrong


def test_the_table_of_the_readme() -> None:
    """Its calls are counted by ``tests/queries/test_round_trips.py``."""
    rows = re.findall(r"^\| `(\w+)` \| (\d) \| (\d) \|$", (ROOT / "README.md").read_text(), re.MULTILINE)
    assert rows
    for name, *taken in rows:
        told = [trips_of(COSTS[name], server).usual for server in ("mariadb", "postgresql")]
        assert told == [*map(int, taken)], name


@pytest.mark.parametrize(
    ("cost", "mysql", "postgresql"),
    [
        ("1 statement in 1 round trip", {1}, {1}),
        ("1 statement; 2 if it fails; in 1 round trip, 2 with 1,000 rows", {1, 2}, {1, 2}),
        ("1 statement; in 1 round trip on PostgreSQL, 2 on the MySQL family", {2}, {1}),
        ("1 statement; in 2 round trips, 1 without a name, and 1 more for a marker", {1, 2, 3}, {1, 2, 3}),
        ("1 statement; in 1 round trip if it has one, else 2 on PostgreSQL, 3 on the MySQL family", {1, 3}, {1, 2}),
        ("1 statement; in 2 round trips, and 4 more for each project", {2, *range(6, 10)}, {2, *range(6, 10)}),
    ],
)
def test_how_it_is_read(cost: str, mysql: set[int], postgresql: set[int]) -> None:
    for server, numbers in (("mysql", mysql), ("postgresql", postgresql)):
        told = trips_of(cost, server)
        assert {number for number in range(10) if told.allow(number)} == numbers
