# SPDX-License-Identifier: Apache-2.0

"""How long threads wait for locks: those of the library and of SQLAlchemy's pools are found and replaced for a while.

A lock that is free costs nobody a wait, so only the time is counted that passes after a first look has found it taken.
"""

from __future__ import annotations

import contextlib
import gc
import sys
import threading
import time
import types
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Whose locks are watched.
PACKAGES: Final = ("nova_sqlcore", "sqlalchemy")
_KINDS: Final = (type(threading.Lock()), type(threading.RLock()))


class _Watched:
    """A lock with a clock; whoever has come by the lock itself, such as a condition, still shares it with others."""

    def __init__(self, lock: Any, waits: list[float]) -> None:
        self._lock = lock
        self._waits = waits

    def acquire(self, blocking: bool = True, timeout: float = -1) -> bool:
        if self._lock.acquire(False):
            return True
        if not blocking:
            return False
        began = time.perf_counter()
        taken: bool = self._lock.acquire(True, timeout)
        self._waits.append(time.perf_counter() - began)
        return taken

    def __enter__(self) -> bool:
        return self.acquire()

    def __exit__(self, *_: object) -> None:
        self._lock.release()

    def __getattr__(self, name: str) -> Any:
        return getattr(self._lock, name)


@contextlib.contextmanager
def watched() -> Iterator[dict[str, list[float]]]:
    """Yield the waits for each lock, in seconds, by its name; those of the time of the block are added.

    Locks that are made meanwhile are not watched: let everything run once before.
    """
    waits: dict[str, list[float]] = {}
    found = list(_locks())
    for owner, attribute, lock, name in found:
        setattr(owner, attribute, _Watched(lock, waits.setdefault(name, [])))
    try:
        yield waits
    finally:
        for owner, attribute, lock, _ in found:
            setattr(owner, attribute, lock)


def _locks() -> Iterator[tuple[Any, str, Any, str]]:
    """Yield the owner, the attribute, the lock and a name, for modules, classes and objects of the packages."""
    for owner in [*sys.modules.values(), *gc.get_objects()]:
        home = _home(owner)
        if home.partition(".")[0] not in PACKAGES:
            continue
        for name, value in _attributes(owner):
            if isinstance(value, _KINDS):
                yield owner, name, value, f"{home}.{name}"


def _attributes(owner: Any) -> list[tuple[str, Any]]:
    try:
        return list(vars(owner).items())
    except (TypeError, NameError):  # slots alone; registries of SQLAlchemy's ORM answer for every name with NameError
        return []


def _home(owner: Any) -> str:
    """Return the name of a module, or module and class of anything else."""
    if isinstance(owner, types.ModuleType):
        return owner.__name__
    kind = owner if isinstance(owner, type) else type(owner)
    return f"{kind.__module__}.{kind.__name__}"
