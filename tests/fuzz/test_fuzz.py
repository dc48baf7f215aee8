# SPDX-License-Identifier: Apache-2.0

"""The short form of ``make fuzz``: the same calls in every run; and what the long form rests on."""

from __future__ import annotations

import abc
import functools
import inspect
import random
import time
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import api, exceptions, get_admin_context, tx
from nova_sqlcore.core import roads
from tests.fuzz import calls, episodes, hostile, oracles
from tests.fuzz.oracles import Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fuzz.world import World

#: Episodes on all back-ends of the run, one call of every function in all, and on both roads of the first of them.
EVERYWHERE, MORE = 16, 6
#: Two roads of each server take half as long again; the family of MySQL has one of each in two servers.
SHORT = {"mariadb": ("driver",), "mysql": ("core",), "postgresql": ("driver",)}


def test_no_function_is_missing() -> None:
    assert len(calls.FUNCTIONS) == 305
    assert set(calls.FUNCTIONS) <= set(api.__all__)
    made = [calls.make_call(str(turn), turn=turn) for turn in range(len(calls.FUNCTIONS))]
    assert [call.function for call in made] == list(calls.FUNCTIONS)
    for name in calls.FUNCTIONS:
        for parameter in calls.parameters(name):
            if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                calls.maker_of(name, parameter)


def test_an_unknown_argument_is_told() -> None:
    parameter = inspect.Parameter("never_seen", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation="Colour")
    with pytest.raises(LookupError, match="never_seen: Colour"):
        calls.maker_of("service_get", parameter)


def test_a_call_is_the_same_every_time() -> None:
    for seed in range(500):
        one, twin = calls.make_call(str(seed)), calls.make_call(str(seed))
        assert one.function == twin.function
        assert oracles.same((one.context, one.arguments), (twin.context, twin.arguments))


def test_a_changed_argument_is_seen() -> None:
    assert not oracles.same({"a": [1, {"b": 2}]}, {"a": [1, {"b": 3}]})
    assert not oracles.same([1], [True])
    assert not oracles.same({"a": 1}, {"a": 1, "b": 2})
    assert oracles.same([float("nan"), hostile.nested()], [float("nan"), hostile.nested()])
    assert len({str(hostile.value(random.Random(seed)))[:50] for seed in range(300, 320)}) > 10


def _changes_an_argument(context: Any, values: Any) -> None:
    if type(values) is dict:
        values["more"] = 1


def _changes_a_row_and_fails(context: Any, values: Any) -> None:
    api.certificate_create(get_admin_context(), {"file_name": "left"})
    raise exceptions.NotFound


def _changes_a_row_in_half(context: Any, values: Any) -> None:
    with tx.writer(get_admin_context()):
        api.certificate_create(get_admin_context(), {"file_name": "left"})
    raise exceptions.DBDataError("services.host holds text")


def _is_another_on_the_other_road(context: Any, values: Any) -> None:
    if roads.USUAL is roads.CORE:
        raise exceptions.NotFound


def _returns_another_on_the_other_road(context: Any, values: Any) -> list[dict[str, Any]]:
    return [{"host": "h", "report_count": int(roads.USUAL is roads.CORE)}]


def _never_ends(context: Any, values: Any) -> None:
    while True:
        time.sleep(0.01)


def _takes_memory(context: Any, values: Any) -> int:
    return len(b"\1" * (episodes.GREEDY + 50 << 20))


def _raises(error: Exception) -> Callable[[Any, Any], None]:
    def function(context: Any, values: Any) -> None:
        raise error

    return function


class _Leaves(abc.ABC):
    """Leaves something behind; ``undo`` takes it away again."""

    def __init__(self) -> None:
        self.kept: list[Any] = []

    @abc.abstractmethod
    def __call__(self, context: Any, values: Any) -> None:
        """Take the place of a function."""

    @abc.abstractmethod
    def undo(self) -> None:
        """Take away what was left."""


class _LeavesConnections(_Leaves):
    def __call__(self, context: Any, values: Any) -> None:
        self.kept.append(tx.main.engine.connect())

    def undo(self) -> None:
        for connection in self.kept:
            connection.close()


class _LeavesTransactions(_Leaves):
    def __call__(self, context: Any, values: Any) -> None:
        block = tx.reader(context)
        block.__enter__()
        self.kept.append(block)

    def undo(self) -> None:
        for block in self.kept:
            block.__exit__(None, None, None)


class _SpoilsConnections(_Leaves):
    """Hides a table from whoever has the connection next."""

    def __call__(self, context: Any, values: Any) -> None:
        with tx.writer(get_admin_context()) as transaction:
            transaction.connection.exec_driver_sql("CREATE TEMPORARY TABLE IF NOT EXISTS services (x INTEGER)")

    def undo(self) -> None:
        tx.main.engine.dispose()


BROKEN: list[tuple[str, Callable[[Any, Any], Any]]] = [
    ("an argument was changed", _changes_an_argument),
    ("failed, but has changed certificates", _changes_a_row_and_fails),
    ("failed, but has changed certificates", _changes_a_row_in_half),
    ("outcomes differ", _is_another_on_the_other_road),
    ("outcomes differ", _returns_another_on_the_other_road),
    ("it is nobody's", _raises(IndexError("list index out of range"))),
    ("it is nobody's", _raises(RecursionError())),
    ("it is nobody's", _raises(sa.exc.ArgumentError("no column"))),
    ("Python has raised it", lambda context, values: 1 < "a"),  # type: ignore[operator]  # so it is
    ("nothing of the kind has happened", _raises(exceptions.DBConnectionError("gone"))),
    ("should not have been sent", _raises(exceptions.DBError(ValueError("syntax error")))),
    ("characters long", _raises(exceptions.InvalidInput("x" * 5000))),
    ("'by_value' in the text", _raises(exceptions.DBDataError("by_value"))),
    ("connections of the writer are out", _LeavesConnections()),
    ("open transactions: [", _LeavesTransactions()),
    ("the next call fails: ", _SpoilsConnections()),
    ("took 0.", lambda context, values: time.sleep(0.2)),
    ("_TooSlow: ", _never_ends),
    (" MiB", _takes_memory),
    ("DeprecationWarning", lambda context, values: warnings.warn("old", DeprecationWarning, stacklevel=1)),
]


@pytest.fixture(scope="module")
def worlds() -> Iterator[list[World]]:
    with episodes.worlds_of(["sqlite"]) as found:
        yield found


def _failures(monkeypatch: pytest.MonkeyPatch, worlds: list[World], name: str, function: Any, calls: int = 3) -> str:
    """Return what is told if a function is a broken one."""

    @functools.wraps(getattr(api, name))
    def broken(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    monkeypatch.setattr(api, name, broken)
    try:
        found = episodes.Fuzzer(worlds, 1, (name,)).episode(0, range(calls))
    finally:
        if isinstance(function, _Leaves):
            for world in worlds:
                with world.entered():
                    function.undo()
    return "\n".join(fault for failure in found for fault in failure.faults)


@pytest.mark.parametrize(("fault", "function"), BROKEN)
def test_a_broken_promise_is_seen(
    monkeypatch: pytest.MonkeyPatch, worlds: list[World], fault: str, function: Callable[[Any, Any], Any]
) -> None:
    if fault in ("took 0.", "_TooSlow: "):  # a busy machine takes as long for the others
        monkeypatch.setattr(episodes, "SLOW", 0.1)
        monkeypatch.setattr(episodes, "TOO_SLOW", 0.3)
    assert fault in _failures(monkeypatch, worlds, "service_create", function)


def test_a_read_that_writes_is_seen(monkeypatch: pytest.MonkeyPatch, worlds: list[World]) -> None:
    def writes(context: Any) -> None:
        api.certificate_create(get_admin_context(), {"file_name": "left"})

    assert "reads, but has changed certificates" in _failures(monkeypatch, worlds, "compute_node_get_all", writes, 2)


def test_a_leak_is_seen(monkeypatch: pytest.MonkeyPatch, worlds: list[World]) -> None:
    monkeypatch.setattr(episodes, "GROWTH", 30)
    kept: list[bytes] = []
    told = _failures(monkeypatch, worlds, "service_create", lambda context, values: kept.append(b"\1" * (20 << 20)), 2)
    assert "leak: the process has grown" in told


def _outcomes(**kinds: Any) -> list[Outcome]:
    return [
        Outcome(name.replace("_", "/"), error=kind if isinstance(kind, Exception) else None)
        for name, kind in kinds.items()
    ]


def test_back_ends_may_differ_in_what_only_servers_mind() -> None:
    """They may, and the roads of one may not."""
    call = calls.Call("service_create", None, {"values": {"host": "h"}}, False)
    missing, clash = exceptions.NotFound(), exceptions.DBKeyClash("a")
    may_differ = episodes.may_differ
    assert not may_differ(call, _outcomes(sqlite_driver=None, mariadb_driver=missing))
    assert may_differ(call, _outcomes(sqlite_driver=None, sqlite_core=None, mariadb_driver=clash, mariadb_core=clash))
    assert not may_differ(call, _outcomes(sqlite_driver=None, mariadb_driver=clash, mariadb_core=missing))
    odd = calls.Call("service_create", None, {"values": {"host": "É"}}, False)
    assert may_differ(odd, _outcomes(sqlite_driver=None, mariadb_driver=missing))
    assert not may_differ(odd, _outcomes(sqlite_driver=None, sqlite_core=missing))


@pytest.mark.timeout(300)
def test_every_function_keeps_its_promises(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """The last world, another back-end than the first where there are several, shows that the others are looked at."""
    with episodes.worlds_of(request.config.option.backends, SHORT) as everywhere:
        fuzzer, first = episodes.Fuzzer(everywhere, seed=1), episodes.Fuzzer(everywhere[:2], seed=1)
        for number in range(EVERYWHERE):
            fuzzer.episode(number)
        for number in range(EVERYWHERE, EVERYWHERE + MORE):
            first.episode(number)
        failures = fuzzer.failures + first.failures
        assert not failures, "\n".join(map(str, failures))
        last = everywhere[-1].name

        def differs(context: Any, values: Any) -> None:
            road = "core" if roads.USUAL is roads.CORE else "driver"
            if f"{tx.main.engine.url.get_backend_name()}/{road}" == last:
                raise exceptions.NotFound

        assert f"{last}: NotFound" in _failures(monkeypatch, everywhere, "service_create", differs, 2)
