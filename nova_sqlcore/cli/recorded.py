# SPDX-License-Identifier: Apache-2.0

"""What each public function sends to each server, as it was recorded: package data, which ``make statements`` writes.

A function was called in several ways; calls that send the same statements stand there once.
"""

from __future__ import annotations

import dataclasses
import datetime
import difflib
import functools
import gzip
import json
from pathlib import Path
from typing import Any, Final

DATA: Final = Path(__file__).parent / "statements"
#: The servers, and SQLAlchemy's names of their dialects.
SERVERS: Final = {"sqlite": "sqlite", "mariadb": "mysql", "mysql": "mysql", "postgresql": "postgresql"}


@dataclasses.dataclass(frozen=True)
class Statement:
    """One statement as it goes to the driver, with the values that it had when it was recorded."""

    text: str
    #: by place or by name, as the driver takes them; None where there are none
    values: tuple[Any, ...] | dict[str, Any] | None


@dataclasses.dataclass(frozen=True)
class Call:
    """One kind of call of a function."""

    #: an example
    text: str
    #: how many of the recorded calls were of this kind
    count: int
    #: the class of the error that the example raises
    error: str | None
    #: answers of the server that it waits for, BEGIN and COMMIT included; 0 on sqlite
    round_trips: int
    statements: tuple[Statement, ...]


@functools.cache
def calls_of(server: str) -> dict[str, tuple[Call, ...]]:
    """Return the kinds of call by function; a function that sends nothing has none."""
    content = json.loads(gzip.decompress((DATA / f"{server}.json.gz").read_bytes()))
    texts = content["statements"]
    return {name: tuple(_call(call, texts) for call in calls) for name, calls in content["functions"].items()}


def usual(calls: tuple[Call, ...]) -> Call | None:
    """Return the most frequent kind of call, rather one that raises nothing and changes rows if others do."""
    return max(calls, key=lambda call: (call.error is None, _changes(call), call.count), default=None)


def _changes(call: Call) -> bool:
    return any(not statement.text.lstrip("( ").startswith("SELECT") for statement in call.statements)


def nearest(name: str) -> list[str]:
    """Return the names of functions that may be meant."""
    names = list(calls_of("sqlite"))
    parts = [one for one in names if name in one]
    return list(dict.fromkeys([*difflib.get_close_matches(name, names, n=4, cutoff=0.6), *sorted(parts, key=len)]))[:5]


def _call(call: dict[str, Any], texts: list[str]) -> Call:
    statements = tuple(Statement(texts[place], _values(values)) for place, values, _ in call["statements"])
    return Call(call["call"], call["calls"], call["error"], call["round_trips"], statements)


def _values(values: Any) -> Any:
    """Return values as the driver takes them."""
    if isinstance(values, list):
        return tuple(map(_value, values))
    return None if values is None else {name: _value(value) for name, value in values.items()}


def _value(value: Any) -> Any:
    if isinstance(value, dict):
        return datetime.datetime.fromisoformat(value["$datetime"])
    return [_value(item) for item in value] if isinstance(value, list) else value
