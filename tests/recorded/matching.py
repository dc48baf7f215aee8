# SPDX-License-Identifier: Apache-2.0

"""Compare answers with recorded ones: ids and uuids are names that two runs give to the same things.

A recorded value is plain JSON with tags: ``{"$id": ["aggregates", 3]}`` is the row that the recorded run numbered 3,
``{"$uuid": ...}`` an
identifier that the library made, and so on. ``Names`` learns the pairs as they turn up and holds every later answer
against them.
"""

from __future__ import annotations

import contextlib
import datetime
import types
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Names_ = dict[tuple[str, Any], Any]


class Names:
    """Which recorded id or uuid stands for which of ours, in both directions."""

    def __init__(self) -> None:
        self.ours: Names_ = {}
        self.recorded: Names_ = {}
        self._trail: list[tuple[Names_, tuple[str, Any], Any]] = []

    def of(self, kind: str, recorded: Any) -> Any:
        """Return our name for a recorded one; one that never turned up stands for itself."""
        return self.ours.get((kind, recorded), recorded)

    def agree(self, kind: str, recorded: Any, ours: Any, renew: bool = False) -> bool:
        """Tell whether both names can mean the same thing, and remember that they do.

        ``renew`` lets a new row take the number of one that has really been deleted.
        """
        known = self.ours.get((kind, recorded), _UNKNOWN)
        back = self.recorded.get((kind, ours), _UNKNOWN)
        if known == ours and back == recorded:
            return True
        if (known is not _UNKNOWN or back is not _UNKNOWN) and not renew:
            return False
        self._set(self.ours, (kind, recorded), ours)
        self._set(self.recorded, (kind, ours), recorded)
        return True

    @contextlib.contextmanager
    def attempt(self) -> Iterator[Callable[[], None]]:
        """Forget what the block learns unless it calls the function that it is given."""
        mark = len(self._trail)
        kept = False

        def keep() -> None:
            nonlocal kept
            kept = True

        yield keep
        if not kept:
            while len(self._trail) > mark:
                names, key, before = self._trail.pop()
                if before is _UNKNOWN:
                    del names[key]
                else:
                    names[key] = before

    def _set(self, names: Names_, key: tuple[str, Any], value: Any) -> None:
        self._trail.append((names, key, names.get(key, _UNKNOWN)))
        names[key] = value


_UNKNOWN: Any = object()


def decode(value: Any, names: Names, api: Any) -> Any:
    """Return the argument that a recorded one stands for."""
    if isinstance(value, list):
        return [decode(item, names, api) for item in value]
    if not isinstance(value, dict):
        return value
    if len(value) == 1:
        (tag, content), *_ = value.items()
        if tag.startswith("$"):
            return _decode_tag(tag, content, names, api)
    return {key: decode(item, names, api) for key, item in value.items()}


def _decode_tag(tag: str, content: Any, names: Names, api: Any) -> Any:
    match tag:
        case "$id":
            return names.of(content[0], content[1])
        case "$uuid":
            return names.of("uuid", content)
        case "$datetime":
            return datetime.datetime.fromisoformat(content)
        case "$tuple":
            return tuple(decode(content, names, api))
        case "$set":
            return set(decode(content, names, api))
        case "$constraint":
            conditions = {
                column: getattr(api, operator)(*decode(operands, names, api))
                for column, condition in content.items()
                for operator, operands in condition.items()
            }
            return api.constraint(**conditions)
        case "$resource":
            return types.SimpleNamespace(name=content["name"], sync=content["sync"])
    raise AssertionError(f"unknown tag {tag}")


class Matcher:
    """Compares one answer; ``why`` says where the last comparison failed."""

    def __init__(self, names: Names, *, renew: bool = False, exact: bool = False) -> None:
        self.names = names
        self.renew = renew
        self.exact = exact
        self.why = ""

    def same(self, recorded: Any, ours: Any, path: str = "result", ordered: bool = True) -> bool:
        """Tell whether ``ours`` answers as ``recorded`` does; a list at the top is a multiset unless ``ordered``."""
        if isinstance(recorded, dict):
            if len(recorded) == 1 and next(iter(recorded)).startswith("$"):
                (tag, content), *_ = recorded.items()
                return self._tag(tag, content, ours, path)
            return self._mapping(recorded, ours, path)
        if isinstance(recorded, list):
            if not isinstance(ours, list | tuple):
                return self._fail(path, recorded, ours)
            return self._sequence(recorded, ours, path) if ordered else self._multiset(recorded, ours, path)
        if isinstance(ours, datetime.datetime):
            return recorded == ours.isoformat() or self._fail(path, recorded, ours)
        if isinstance(recorded, bool) or isinstance(ours, bool):
            return recorded is ours or self._fail(path, recorded, ours)
        if isinstance(recorded, int | float) and type(ours) not in (int, float):
            return self._fail(path, recorded, ours)
        return recorded == ours or self._fail(path, recorded, ours)

    def _fail(self, path: str, recorded: Any, ours: Any) -> bool:
        self.why = f"{path}: recorded {recorded!r:.300}, ours {ours!r:.300}"
        return False

    def _tag(self, tag: str, content: Any, ours: Any, path: str) -> bool:
        match tag:
            case "$id":
                return self.names.agree(content[0], content[1], ours, self.renew) or self._fail(path, content, ours)
            case "$uuid":
                return self.names.agree("uuid", content, ours, self.renew) or self._fail(path, content, ours)
            case "$instance_name":
                number = self.names.of("instances", content)
                return ours == f"instance-{number:08x}" or self._fail(path, content, ours)
            case "$tuple":
                fits = isinstance(ours, tuple) and len(ours) == len(content)
                return self._sequence(content, ours, path) if fits else self._fail(path, content, ours)
            case "$set":
                return set(content) == ours or self._fail(path, content, ours)
        raise AssertionError(f"unknown tag {tag}")

    def _mapping(self, recorded: dict[str, Any], ours: Any, path: str) -> bool:
        if not isinstance(ours, dict):
            return self._fail(path, recorded, ours)
        keys = {str(self.names.of("uuid", key)): key for key in recorded}
        if not keys.keys() <= ours.keys() or (self.exact and keys.keys() != ours.keys()):
            return self._fail(f"{path} (keys)", sorted(keys), sorted(ours))
        # the row's own id first: names that depend on it are computed from ours
        for key in sorted(keys, key=lambda name: name != "id"):
            if not self.same(recorded[keys[key]], ours[key], f"{path}.{key}", ordered=self._ordered_values):
                return False
        return True

    _ordered_values = False

    def _sequence(self, recorded: Sequence[Any], ours: Sequence[Any], path: str) -> bool:
        if len(recorded) != len(ours):
            return self._fail(f"{path} (length)", len(recorded), len(ours))
        return all(
            self.same(one, other, f"{path}[{place}]", ordered=self._ordered_values)
            for place, (one, other) in enumerate(zip(recorded, ours, strict=True))
        )

    def _multiset(self, recorded: Sequence[Any], ours: Sequence[Any], path: str) -> bool:
        if len(recorded) != len(ours):
            return self._fail(f"{path} (length)", len(recorded), len(ours))
        return self._pair(list(recorded), list(ours), path)

    def _pair(self, recorded: list[Any], ours: list[Any], path: str) -> bool:
        if not recorded:
            return True
        for place, candidate in enumerate(ours):
            with self.names.attempt() as keep:
                rest = ours[:place] + ours[place + 1 :]
                if self.same(recorded[0], candidate, f"{path}[?]", ordered=False) and self._pair(
                    recorded[1:], rest, path
                ):
                    keep()
                    return True
        return False

    def ordered_values(self) -> Matcher:
        """Return the matcher for a mapping whose values are lists in a defined order."""
        self._ordered_values = True
        return self
