# SPDX-License-Identifier: Apache-2.0

"""Values that no caller should hand in, by what they are like."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import fractions
import functools
import ipaddress
import types
import uuid
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterator

_HOUR = datetime.timedelta(hours=1)


class FromCaller(Exception):
    """What an iterator of the caller's raises: it passes through."""


class _Word(str):
    """A kind of text."""

    __slots__ = ()


class _Number(enum.IntEnum):
    ONE = 1


def nested(kind: type = list, depth: int = 20_000) -> Any:
    """Return a container deeper than Python's stack."""
    found: Any = kind() if kind is list else {}
    for _ in range(depth):
        found = [found] if kind is list else {"a": found}
    return found


def _endless() -> list[Any]:
    """Return a list that holds itself."""
    found: list[Any] = [1]
    found.append(found)
    return found


def _broken() -> Iterator[int]:
    yield 1
    raise FromCaller


def _constants(*values: Any) -> tuple[Callable[[], Any], ...]:
    """Return makers of values that nobody can change."""
    return tuple(functools.partial(_itself, value) for value in values)


def _itself(value: Any) -> Any:
    return value


NUMBERS: Final = _constants(
    0,
    -1,
    1,
    2,
    5,
    127,
    2**15,
    2**31 - 1,
    2**31,
    -(2**31),
    -(2**31) - 1,
    2**32,
    2**63 - 1,
    2**63,
    -(2**63) - 1,
    2**64,
    10**30,
    10**5000,
    -(10**5000),
    True,
    False,
    0.0,
    -0.0,
    1.0,
    1.5,
    1e39,
    1e308,
    5e-324,
    float("inf"),
    float("-inf"),
    float("nan"),
    decimal.Decimal(1),
    decimal.Decimal("1.5"),
    decimal.Decimal("NaN"),
    decimal.Decimal("sNaN"),
    decimal.Decimal("1E999999"),
    decimal.Decimal("-Infinity"),
    fractions.Fraction(1, 3),
    1j,
    _Number.ONE,
)
TEXTS: Final = _constants(
    "",
    " ",
    "1",
    "01",
    "-1",
    "+1",
    "1.0",
    "1e3",
    " 1",
    "1 ",
    "\N{DEVANAGARI DIGIT ONE}",
    "1_0",
    "9" * 30,
    "9" * 5000,
    "None",
    "null",
    "true",
    "a\0b",
    "\0",
    "\U0001f600",
    "x\U0001f600",
    "\ud800",
    "é",
    "É",
    "e\u0301",
    "ß",
    "\xa0",
    "\u200b",
    "\x7f",
    "\n",
    "a\rb",
    "%",
    "_",
    "%%",
    "%s",
    "%(x)s",
    ":x",
    "?",
    "{}",
    "{0}",
    "$1",
    "\\",
    "\\'",
    "'",
    '"',
    "';--",
    "`",
    "/*",
    "[",
    "(",
    "*",
    "(?P<x>a)",
    "x{1,100000}",
    "(a+)+$",
    "a" * 40 + "!",
    "^$",
    "(?i)a",
    "\\d",
    "[[:alpha:]]",
    "!",
    "==",
    "x" * 255,
    "x" * 256,
    "é" * 255,
    "x" * 65_536,
    "x" * 300_000,
    _Word("word"),
    "UUID",
    "10.0.0.1/33",
    "10.0.0.256",
    "::1%eth0",
    "0:0::0:1",
    "2016-01-01",
    "2016-01-01T00:00:00",
    "0001-01-01T00:00:00+01:00",
    "no",
    "yes",
    "id",
    "created_at",
    "deleted",
    "name",
    "uuid",
    "__class__",
    "instances.id",
    "id; DROP TABLE instances",
    "metadata",
    "metadata.key",
    "extra.flavor",
)
TIMES: Final = _constants(
    datetime.datetime.min,
    datetime.datetime.max,
    datetime.datetime(999, 1, 1),
    datetime.datetime(1970, 1, 1),
    datetime.datetime.min.replace(tzinfo=datetime.timezone(_HOUR)),
    datetime.datetime.max.replace(tzinfo=datetime.timezone(-_HOUR)),
    datetime.datetime(2016, 4, 7, 12, 0, 0, 999_999),
    datetime.datetime(2016, 4, 7, tzinfo=datetime.UTC),
    datetime.date(2016, 4, 7),
    datetime.time(12),
    _HOUR,
    -_HOUR,
    datetime.timedelta.max,
    datetime.timedelta.min,
    "2016-04-07T12:00:00.000000",
    "2016-04-07T12:00:00+02:00",
    "0001-01-01T00:00:00+14:00",
    "2016-13-01",
    1_460_000_000,
)
OTHERS: Final[tuple[Callable[[], Any], ...]] = (
    lambda: None,
    lambda: b"",
    lambda: b"bytes",
    lambda: b"\xff\xfe",
    lambda: bytearray(b"1"),
    lambda: memoryview(b"12"),
    object,
    lambda: int,
    lambda: len,
    lambda: lambda *_: None,
    lambda: uuid.UUID(int=1),
    lambda: ipaddress.ip_address("10.0.0.1"),
    lambda: ipaddress.ip_network("10.0.0.0/30"),
    lambda: types.SimpleNamespace(name="a"),
    lambda: ...,
    lambda: ValueError("x"),
)
LISTS: Final[tuple[Callable[[], Any], ...]] = (
    list,
    tuple,
    set,
    frozenset,
    dict,
    lambda: [None],
    lambda: [[]],
    lambda: [{}],
    lambda: [1, "1", 1.0, True],
    lambda: ["a", "a", "A", "a "],
    lambda: [b"a"],
    lambda: ["x" * 300],
    lambda: ["a", None, ["b"]],
    lambda: {"a": None},
    lambda: {1: 2},
    lambda: {None: None},
    lambda: {("a", "b"): 1},
    lambda: {"a": ["b"]},
    lambda: {"a": {"b": "c"}},
    lambda: {"": ""},
    lambda: {b"a": b"b"},
    lambda: {"x" * 300: "x" * 300},
    lambda: {"a": "1", "A": "2", "a ": "3"},
    lambda: [("a", "b")],
    lambda: [("a", "b", "c")],
    lambda: [float("nan"), float("inf")],
    lambda: ["a\0b", "\U0001f600"],
    lambda: (one for one in ("a", "b")),
    lambda: iter([]),
    lambda: iter([1, None]),
    _broken,
    lambda: range(3),
    lambda: dict(a=1).keys(),  # noqa: C408
    lambda: dict(a=1).items(),  # noqa: C408
    lambda: types.MappingProxyType({"a": "b"}),
    lambda: collections.OrderedDict(a="b"),
    lambda: collections.UserDict(a="b"),
    lambda: collections.deque(["a"]),
    nested,
    lambda: nested(dict),
    lambda: [nested()],
    lambda: {"a": nested()},
    lambda: (nested(),),
    _endless,
)
LONG: Final[tuple[Callable[[], Any], ...]] = (
    lambda: [str(number) for number in range(1500)],
    lambda: list(range(1500)),
    lambda: [str(uuid.UUID(int=number)) for number in range(1500)],
    lambda: {f"k{number}": f"v{number}" for number in range(1500)},
    lambda: [{"a": number} for number in range(1500)],
)
EVERY: Final = (NUMBERS, TEXTS, TIMES, OTHERS, LISTS)


def value(dice: random.Random) -> Any:
    """Return any hostile value; long ones are seldom, for they take their time."""
    if dice.random() < 0.02:
        return dice.choice(LONG)()
    return dice.choice(dice.choice(EVERY))()
