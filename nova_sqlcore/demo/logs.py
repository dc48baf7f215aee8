# SPDX-License-Identifier: Apache-2.0

"""Reads the logs of a real Nova, as oslo.log writes them: line by line, several files in the order of their times."""

from __future__ import annotations

import dataclasses
import datetime
import gzip
import heapq
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO, cast

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

#: What stands before it, such as the name of a file or a host, does not matter.
_LINE: Final = re.compile(
    r"(?P<time>\d{4}-\d\d-\d\d[ T]\d\d:\d\d:\d\d[.,]\d{3,6})Z? (?P<pid>\d+) (?P<level>[A-Z]+) (?P<logger>[\w.]+) "
    r"(?:\[(?P<request>[^\]]*)\] )?(?P<message>.*)"
)
_INSTANCE: Final = re.compile(r"\[instance: ([0-9a-f-]{36})\] ?")


@dataclasses.dataclass(frozen=True, slots=True)
class Line:
    """A line that was understood."""

    time: datetime.datetime
    pid: str
    logger: str
    message: str
    #: of who has asked; None where a service works by itself
    user: str | None = None
    project: str | None = None
    #: uuid
    instance: str | None = None


def read(path: str) -> Iterator[Line | None]:
    """Yield the lines of a file, which may be gzipped; None for one that is not of oslo.log.

    Raises: OSError.
    """
    with _opened(path) as text:
        yield from map(parsed, text)


def count(paths: Sequence[str]) -> int:
    """Return how many lines all files have.

    Raises: OSError.
    """
    total = 0
    for path in paths:
        with _opened(path) as text:
            total += sum(1 for _ in text)
    return total


def _opened(path: str) -> TextIO:
    opener = gzip.open if Path(path).suffix == ".gz" else open
    return cast("TextIO", opener(path, "rt", encoding="utf-8", errors="replace"))


def parsed(text: str) -> Line | None:
    """Return what a line says, or None if it is not of oslo.log."""
    found = _LINE.search(text)
    if found is None:
        return None
    try:
        time = datetime.datetime.fromisoformat(found["time"].replace(",", "."))
    except ValueError:
        return None
    words = [None if word == "-" else word for word in (found["request"] or "").split()]
    _, user, project = (*words, None, None, None)[:3]
    message = found["message"].rstrip()
    instance = _INSTANCE.match(message)
    rest = message[instance.end() :] if instance else message
    return Line(time, found["pid"], found["logger"], rest, user, project, instance[1] if instance else None)


def merged(paths: Sequence[str]) -> Iterator[Line | None]:
    """Yield the lines of all files, those that were understood in the order of their times."""
    return (line for _, line in heapq.merge(*map(_timed, paths), key=lambda pair: pair[0]))


def _timed(path: str) -> Iterator[tuple[datetime.datetime, Line | None]]:
    """Yield lines with their times; one without counts as of the same time as the line before it."""
    now = datetime.datetime.min
    for line in read(path):
        now = max(now, line.time) if line else now
        yield now, line
