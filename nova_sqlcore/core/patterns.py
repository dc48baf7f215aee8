# SPDX-License-Identifier: Apache-2.0

r"""Patterns of text: the part of regular expressions that all servers understand alike, and an engine for sqlite.

Accepted are: characters, ``.``, ``^``, ``$``, sets (``[a-z0-9]``, ``[^x]``), groups, ``|``, the quantifiers ``*``,
``+``, ``?``, ``{n}``, ``{n,}``, ``{n,m}`` and their lazy forms, ``\d``, ``\w``, ``\s`` and their opposites, and any
other character that is not a letter or digit behind a backslash. Nothing else is: no back-references, no look-around,
no options, no names in sets.

What takes servers for ever is refused too: a quantifier over a group that has one itself, and more than a few that
leave much open. sqlite has no engine of its own: ``matcher`` follows all ways through a pattern at once, so its time
grows as the text does and no faster.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable

#: Characters of a pattern.
LONGEST: Final = 1000
#: The greatest number in a quantifier: PostgreSQL's.
MOST_REPEATS: Final = 255
#: Quantifiers that leave much open, as ``*`` does: servers that go back over a text try a power of its length.
MOST_OPEN: Final = 4
#: A quantifier leaves much open if it allows so many more repeats than it needs.
_OPEN: Final = 16
#: Characters that a pattern comes to when its counts are spelled out.
MOST_STEPS: Final = 2000

_CLASSES: Final = "dwsDWS"
_QUANTIFIER: Final = re.compile(r"([*+?]|\{(\d{1,4})(,(\d{0,4}))?\})(\??)")
_LIMITS: Final = {"*": (0, None), "+": (1, None), "?": (0, 1)}


@dataclasses.dataclass(frozen=True, slots=True)
class Node:
    """A part of a pattern: its canonical text, and what it is made of."""

    kind: str
    text: str
    parts: tuple[Node, ...] = ()
    least: int = 1
    #: None: without limit
    most: int | None = 1

    @property
    def repeats(self) -> bool:
        """Whether a quantifier is somewhere in it."""
        return self.kind == "repeat" or any(part.repeats for part in self.parts)

    @property
    def open(self) -> int:
        """How many quantifiers leave much open."""
        is_open = self.most is None or self.most - self.least >= _OPEN
        return is_open + sum(part.open for part in self.parts)

    @property
    def steps(self) -> int:
        """How many characters it comes to with its counts spelled out."""
        inner = sum(part.steps for part in self.parts) or 1
        return inner * max(self.least, self.most or 1, 1) if self.kind == "repeat" else inner


@functools.lru_cache(maxsize=512)
def parse(pattern: str) -> Node:
    """Return the pattern taken apart; its ``text`` means the same to every server.

    Raises: ValueError that says what is wrong.
    """
    if len(pattern) > LONGEST:
        raise ValueError(f"it is longer than {LONGEST} characters")
    reader = _Reader(pattern)
    found = reader.alternatives(0)
    if reader.rest:
        raise ValueError("a parenthesis is closed that has not been opened")
    if found.open > MOST_OPEN:
        raise ValueError(f"more than {MOST_OPEN} of its quantifiers leave {_OPEN} repeats and more open")
    if found.steps > MOST_STEPS:
        raise ValueError(f"its counts come to more than {MOST_STEPS} characters")
    return found if found.text else Node("start", "^")


class _Reader:
    """Reads a pattern from left to right."""

    def __init__(self, pattern: str) -> None:
        self.rest = pattern

    def alternatives(self, depth: int) -> Node:
        if depth > 50:
            raise ValueError("its groups are nested too deeply")
        found = [self._sequence(depth)]
        while self.rest.startswith("|"):
            self.rest = self.rest[1:]
            found.append(self._sequence(depth))
        return found[0] if len(found) == 1 else Node("either", "|".join(one.text for one in found), tuple(found))

    def _sequence(self, depth: int) -> Node:
        parts = []
        while self.rest and self.rest[0] not in "|)":
            parts.append(self._repeated(self._atom(depth)))
        return Node("sequence", "".join(part.text for part in parts), tuple(parts))

    def _repeated(self, atom: Node) -> Node:
        found = _QUANTIFIER.match(self.rest)
        if found is None:
            return atom
        if atom.kind in ("start", "end"):
            raise ValueError(f"the quantifier {found[0]!r} has nothing to repeat")
        self.rest = self.rest[found.end() :]
        if self.rest.startswith(tuple("*+?{")):
            raise ValueError(f"two quantifiers follow each other at {found[0]!r}")
        least, most = _limits(found)
        if atom.repeats and (most is None or most > 1):
            raise ValueError(f"the quantifier {found[0]!r} stands over another one")
        return Node("repeat", atom.text + found[0], (atom,), least, most)

    def _atom(self, depth: int) -> Node:
        first, self.rest = self.rest[0], self.rest[1:]
        if first == "(":
            return self._group(depth)
        if first == "[":
            return self._set()
        if first == "\\":
            return self._escaped()
        if first in "*+?{":
            raise ValueError(f"the quantifier {first!r} has nothing to repeat")
        kinds = {".": "character", "^": "start", "$": "end"}
        return Node(kinds[first], first) if first in kinds else Node("character", _literal(first))

    def _group(self, depth: int) -> Node:
        if self.rest.startswith("?:"):
            self.rest = self.rest[2:]
        elif self.rest.startswith("?"):
            raise ValueError(f"groups of the kind '({self.rest[:2]}' are not understood by all servers")
        inner = self.alternatives(depth + 1)
        if not self.rest:
            raise ValueError("a parenthesis is not closed")
        self.rest = self.rest[1:]
        return Node("group", f"({inner.text})", (inner,))

    def _escaped(self) -> Node:
        if not self.rest:
            raise ValueError("it ends with a backslash")
        second, self.rest = self.rest[0], self.rest[1:]
        if second in _CLASSES:
            return Node("character", f"\\{second}")
        if second.isalnum():
            raise ValueError(f"'\\{second}' does not mean the same to all servers")
        return Node("character", _literal(second))

    def _set(self) -> Node:
        negated = self.rest.startswith("^")
        self.rest = self.rest[negated:]
        items: list[str] = []
        while not self.rest.startswith("]") or not items:
            items.append(self._range())
        self.rest = self.rest[1:]
        return Node("character", f"[{'^' * negated}{''.join(items)}]")

    def _range(self) -> str:
        first = self._member()
        if not (self.rest.startswith("-") and self.rest[1:2] not in ("]", "")):
            return first
        self.rest = self.rest[1:]
        last = self._member()
        if any(one[0] == "\\" and one[1:] in _CLASSES for one in (first, last)):
            raise ValueError(f"the range {first}-{last} is empty")
        if first[-1] > last[-1]:
            raise ValueError(f"the range {first}-{last} runs backwards")
        return f"{first}-{last}"

    def _member(self) -> str:
        if not self.rest:
            raise ValueError("a bracket is not closed")
        first, self.rest = self.rest[0], self.rest[1:]
        if first == "[" and self.rest[:1] in (":", ".", "="):
            raise ValueError(f"'[{self.rest[0]}' in a set is not understood by all servers")
        if first != "\\":
            return _literal(first)
        escaped = self._escaped()
        if escaped.text in ("\\D", "\\W", "\\S"):
            raise ValueError(f"{escaped.text!r} in a set is not understood by all servers")
        return escaped.text


def _literal(character: str) -> str:
    """Return what means just this character, inside a set and outside."""
    if character == "\0":
        raise ValueError("it holds the character NUL")
    return (
        f"\\{character}" if character.isascii() and character.isprintable() and not _is_plain(character) else character
    )


def _is_plain(character: str) -> bool:
    return character.isalnum() or character in "_ "


def _limits(found: re.Match[str]) -> tuple[int, int | None]:
    if found[1] in _LIMITS:
        return _LIMITS[found[1]]
    least = int(found[2])
    most = least if found[3] is None else int(found[4]) if found[4] else None
    if max(least, most or 0) > MOST_REPEATS:
        raise ValueError(f"{found[1]} repeats more than {MOST_REPEATS} times")
    if most is not None and most < least:
        raise ValueError(f"{found[1]} runs backwards")
    return least, most


# -- the engine -------------------------------------------------------------------------------------------------------

#: One step: a test of a character and where it leads, or the places where it leads without one.
Step = tuple[Any, tuple[int, ...]]
_MATCH: Final = -1
#: Places that are remembered; a pattern over ordinary names needs few.
_MOST_PLACES: Final = 2000


class _Place:
    """Where the ways through a pattern have got to after some characters."""

    __slots__ = ("ends", "matched", "moves", "numbers")

    def __init__(self, numbers: frozenset[int], ends: bool) -> None:
        self.numbers = numbers
        #: the pattern has matched, whatever follows
        self.matched = _MATCH in numbers
        #: it matches if the text ends here
        self.ends = ends
        self.moves: dict[str, _Place] = {}


class _Machine:
    """All ways through a pattern at once; what follows which place is worked out once."""

    def __init__(self, tree: Node) -> None:
        self._steps: list[Step] = []
        self._first = self._add(tree, _MATCH)
        self._places: dict[frozenset[int], _Place] = {}
        self._start = self._place((self._first,), at_start=True)
        self._is_empty = _MATCH in self._reached((self._first,), at_start=True, at_end=True)

    def search(self, text: str) -> bool:
        """Tell whether the pattern matches anywhere in ``text``."""
        if not text:
            return self._is_empty
        place = self._start
        for character in text:
            if place.matched:
                return True
            place = place.moves.get(character) or self._move(place, character)
        return place.ends

    def _move(self, place: _Place, character: str) -> _Place:
        if len(self._places) > _MOST_PLACES or len(place.moves) > _MOST_PLACES:
            self._places.clear()
            self._start.moves.clear()
            place.moves.clear()
        steps = (self._steps[number] for number in place.numbers if number != _MATCH)
        moved = [leads[0] for test, leads in steps if callable(test) and test(character)]
        found = place.moves[character] = self._place((*moved, self._first), at_start=False)
        return found

    def _place(self, start: tuple[int, ...], *, at_start: bool) -> _Place:
        numbers = self._reached(start, at_start=at_start, at_end=False)
        if numbers not in self._places:
            ends = _MATCH in self._reached(tuple(numbers), at_start=False, at_end=True)
            self._places[numbers] = _Place(numbers, ends)
        return self._places[numbers]

    def _reached(self, start: tuple[int, ...], *, at_start: bool, at_end: bool) -> frozenset[int]:
        """Return the steps that can be reached from ``start`` without a further character."""
        passes = {"start": at_start, "end": at_end, None: True}
        found: set[int] = set()
        waiting = list(start)
        while waiting:
            number = waiting.pop()
            if number not in found and number != _MATCH:
                test, leads = self._steps[number]
                waiting += leads if passes.get(test, False) else ()
            found.add(number)
        return frozenset(found)

    def _add(self, node: Node, then: int) -> int:
        """Add the steps of ``node`` and return the first; behind it, ``then`` follows."""
        if node.kind in ("sequence", "group"):
            for part in reversed(node.parts):
                then = self._add(part, then)
            return then
        if node.kind == "either":
            return self._step(None, tuple(self._add(part, then) for part in node.parts))
        if node.kind == "repeat":
            return self._add_repeat(node, then)
        return self._step(node.kind if node.kind in ("start", "end") else _test(node.text), (then,))

    def _add_repeat(self, node: Node, then: int) -> int:
        (part,) = node.parts
        if node.most is None:
            loop = self._step(None, ())
            self._steps[loop] = (None, (self._add(part, loop), then))
            then = loop
        else:
            end = then
            for _ in range(node.most - node.least):
                then = self._step(None, (self._add(part, then), end))
        for _ in range(node.least):
            then = self._add(part, then)
        return then

    def _step(self, test: Any, leads: tuple[int, ...]) -> int:
        self._steps.append((test, leads))
        return len(self._steps) - 1


@functools.lru_cache(maxsize=512)
def _test(text: str) -> Callable[[str], Any]:
    """Return the test of one character; Python's own engine reads sets."""
    return re.compile(text).fullmatch


@functools.lru_cache(maxsize=64)
def matcher(pattern: str) -> Callable[[str], bool]:
    """Return what tells whether the pattern matches anywhere in a text.

    Raises: ValueError.
    """
    return _Machine(parse(pattern)).search
