# SPDX-License-Identifier: Apache-2.0

"""Episodes: some calls, one after the other, on equal worlds."""

from __future__ import annotations

import contextlib
import dataclasses
import signal
import tempfile
import time
import warnings
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from nova_sqlcore import clock, exceptions, tx
from tests.fuzz import memory, oracles
from tests.fuzz.calls import FUNCTIONS, Call, make_call, parameters
from tests.fuzz.oracles import Outcome
from tests.fuzz.world import NOW, World
from tests.plugins.backend import Backend

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

ROADS: Final = ("driver", "core")
#: Calls of an episode.
LENGTH: Final = 20
#: Seconds that a call may take, and after which it is ended.
SLOW: Final = 20
TOO_SLOW: Final = 60
#: MiB that a call may take at its peak: what it is given takes some, and a list of all rows.
GREEDY: Final = 100
#: MiB that the process may grow by; the caches of eight roads take their part.
GROWTH: Final = 1200


@dataclasses.dataclass(frozen=True)
class Failure:
    """A promise that was not kept."""

    case: str
    call: str
    faults: tuple[str, ...]

    @property
    def key(self) -> str:
        """What failures of one cause have in common, as far as that can be told."""
        kind, _, text = self.faults[0].partition(": ")[2].partition(": ")
        place = text.rpartition("; ")[2]
        return f"{kind} {place if place.startswith('/') else self.call.partition('(')[0]}"


class _TooSlow(BaseException):
    """Ends a call that would not end."""


class Fuzzer:
    """Makes calls on worlds, and keeps what they break."""

    def __init__(self, worlds: Sequence[World], seed: int, functions: tuple[str, ...] = FUNCTIONS) -> None:
        """Take worlds that are equal."""
        self.worlds = worlds
        self.seed = seed
        self.functions = functions
        self.calls = 0
        #: calls that were not refused, on the first world
        self.returned = 0
        #: MiB: what the greediest call has taken, and what the process had at the start
        self.peak = 0.0
        self.start = memory.resident()
        self.failures: list[Failure] = []

    def episode(self, number: int, places: Sequence[int] = range(LENGTH)) -> list[Failure]:
        """Make the calls of an episode and return what they have broken; a difference is made good."""
        found = []
        are_equal = False
        for place in places:
            if not are_equal:
                for world in self.worlds:
                    world.renew()
            faults, are_equal = self._everywhere(number, place)
            if faults:
                call = str(self._call(number, place))
                found.append(Failure(f"{number}.{place}", call, tuple(faults)))
                are_equal = False
        found += self._leak(number)
        self.failures += found
        return found

    def _leak(self, number: int) -> list[Failure]:
        """Return the failure of an episode by which the process has grown too much; the next one is told anew."""
        now = memory.resident()
        if now <= self.start + GROWTH:
            return []
        text = f"memory: leak: the process has grown from {self.start:.0f} to {now:.0f} MiB since it was told last"
        self.start = now
        return [Failure(str(number), "the calls until then", (text,))]

    def _call(self, number: int, place: int) -> Call:
        return make_call(f"{self.seed}/{number}/{place}", self.functions, number * LENGTH + place)

    def _everywhere(self, number: int, place: int) -> tuple[list[str], bool]:
        outcomes = []
        self.calls += 1
        twin = self._call(number, place)
        for world in self.worlds:
            call = self._call(number, place)
            with world.entered():
                outcomes.append(_outcome(world, call))
            self.peak = max(self.peak, outcomes[-1].mib)
            if not oracles.same((call.arguments, call.context), (twin.arguments, twin.context)):
                outcomes[-1].faults.append("an argument was changed")
        faults = [f"{outcome.world}: {fault}" for outcome in outcomes for fault in outcome.faults]
        kinds = {outcome.kind for outcome in outcomes}
        self.returned += outcomes[0].error is None
        if len(kinds) == 1:
            return faults, True
        if not may_differ(twin, outcomes):
            faults.append("outcomes differ: " + "; ".join(f"{one.world}: {_told(one)}" for one in outcomes))
        return faults, False


def _told(outcome: Outcome) -> str:
    return outcome.kind if outcome.error is None else f"{outcome.kind} {str(outcome.error)[:120]!r}"


def _is_servers_own(error: BaseException | None) -> bool:
    """Tell whether only some servers mind, whatever the function makes of it."""
    return any(isinstance(one, oracles.SERVERS_OWN) for one in (error, getattr(error, "__cause__", None)))


def may_differ(call: Call, outcomes: list[Outcome]) -> bool:
    """Tell whether back-ends may differ here: by errors that only servers have, or because of odd values."""
    if any(parameter.name.startswith("sort_") for parameter in parameters(call.function)) and _are_one(outcomes):
        return True
    if any(_is_servers_own(outcome.error) for outcome in outcomes) or oracles.odd_texts(call):
        families: dict[str, set[str]] = {}
        for outcome in outcomes:
            families.setdefault(outcome.world.partition("/")[0], set()).add(outcome.kind)
        return all(len(kinds) == 1 for kinds in families.values())
    return False


def _are_one(outcomes: list[Outcome]) -> bool:
    """Tell whether all are lists of the same items: each server has its own place for NULL where it sorts."""
    lists = [sorted(map(oracles.outline, one.value)) for one in outcomes if isinstance(one.value, list)]
    return len(lists) == len(outcomes) and all(one == lists[0] for one in lists)


def _outcome(world: World, call: Call) -> Outcome:
    before = world.digest()
    world.forget()
    outcome = Outcome(world.name)
    started = time.perf_counter()
    with memory.measured() as growth, warnings.catch_warnings(record=True) as seen, _limited():
        warnings.simplefilter("always")
        try:
            outcome.value = _made(call)
        except (Exception, _TooSlow) as error:
            outcome.error = error
    outcome.seconds = time.perf_counter() - started
    outcome.mib = growth.mib
    if outcome.seconds > SLOW:
        outcome.faults.append(f"took {outcome.seconds:.1f} seconds")
    if outcome.mib > GREEDY:
        outcome.faults.append(f"took {outcome.mib:.0f} MiB")
    if outcome.error is not None:
        oracles.check_error(call, outcome, outcome.error)
        outcome.error.__traceback__ = None
    oracles.check_warnings(outcome, seen)
    if outcome.error is not None or oracles.changes_nothing(call):
        after = world.digest()
        may_stay = oracles.MAY_STAY.get(call.function, ())
        changed = sorted(name for name in before if before[name] != after[name] and name not in may_stay)
        if changed:
            why = "failed" if outcome.error is not None else "reads"
            outcome.faults.append(f"the call {why}, but has changed {', '.join(changed)}")
    oracles.check_health(outcome, call.context)
    return outcome


def _made(call: Call) -> Any:
    """Make a call; in a block of the caller's, which swallows its error, nothing of it may be kept."""
    if not call.in_block:
        return call.run()
    caught: BaseException | None = None
    try:
        with tx.writer(call.context):
            try:
                return call.run()
            except Exception as error:
                caught = error
    except exceptions.DBError:
        if caught is None:
            raise
    assert caught is not None
    raise caught


@contextlib.contextmanager
def _limited() -> Iterator[None]:
    def end(*_: Any) -> None:
        raise _TooSlow

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, TOO_SLOW)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextlib.contextmanager
def worlds_of(names: Sequence[str], roads: Mapping[str, Sequence[str]] = MappingProxyType({})) -> Iterator[list[World]]:
    """Make a world for each back-end and road, and remove them in the end; meanwhile the clock stands.

    ``roads`` names those back-ends that shall have fewer than both.
    """
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="nova-fuzz-")))
        worlds = []
        for name in names:
            for road in roads.get(name, ROADS):
                backend = Backend(name, sa.make_url("sqlite://"), directory)
                world = World(name, road, stack.enter_context(backend.new_database()))
                stack.callback(world.close)
                worlds.append(world)
        original = clock.utcnow
        stack.callback(setattr, clock, "utcnow", original)
        clock.utcnow = lambda: NOW
        yield worlds
