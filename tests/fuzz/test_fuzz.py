# SPDX-License-Identifier: Apache-2.0

"""The short form of ``make fuzz``: the same calls in every run; and what the long form rests on."""

from __future__ import annotations

import functools
import inspect
import random
import warnings
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import api, exceptions, get_admin_context, tx
from nova_sqlcore.core import roads
from tests.fuzz import calls, episodes, hostile, oracles

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.fuzz.world import World

#: Calls on sqlite, and on all back-ends of the run; each is made on both roads.
ON_SQLITE, EVERYWHERE = 920, 305


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


def _is_another_on_the_other_road(context: Any, values: Any) -> None:
    if roads.ROAD == "core":
        raise exceptions.NotFound


def _raises(error: Exception) -> Callable[[Any, Any], None]:
    def function(context: Any, values: Any) -> None:
        raise error

    return function


def _connection() -> sa.Connection:
    return tx.main.engine.connect()


class _Keeps:
    """Keeps what it opens."""

    def __init__(self, opens: Callable[[], Any]) -> None:
        self.opens = opens
        self.kept: list[Any] = []

    def __call__(self, context: Any, values: Any) -> None:
        self.kept.append(self.opens())


BROKEN: list[tuple[str, Callable[[Any, Any], Any]]] = [
    ("an argument was changed", _changes_an_argument),
    ("has changed certificates", _changes_a_row_and_fails),
    ("outcomes differ", _is_another_on_the_other_road),
    ("it is nobody's", _raises(IndexError("list index out of range"))),
    ("it is nobody's", _raises(RecursionError())),
    ("it is nobody's", _raises(sa.exc.ArgumentError("no column"))),
    ("Python has raised it", lambda context, values: 1 < "a"),  # type: ignore[operator]  # so it is
    ("nothing of the kind has happened", _raises(exceptions.DBConnectionError("gone"))),
    ("should not have been sent", _raises(exceptions.DBError(ValueError("syntax error")))),
    ("characters long", _raises(exceptions.InvalidInput("x" * 5000))),
    ("'by_value' in the text", _raises(exceptions.DBDataError("by_value"))),
    ("connections of the writer are out", _Keeps(_connection)),
    ("DeprecationWarning", lambda context, values: warnings.warn("old", DeprecationWarning, stacklevel=1)),
]


@pytest.fixture(scope="module")
def worlds() -> Iterator[list[World]]:
    with episodes.worlds_of(["sqlite"]) as found:
        yield found


@pytest.mark.parametrize(("fault", "function"), BROKEN)
def test_a_broken_promise_is_seen(
    monkeypatch: pytest.MonkeyPatch, worlds: list[World], fault: str, function: Callable[[Any, Any], Any]
) -> None:
    @functools.wraps(api.certificate_create)
    def broken(context: Any, values: Any) -> Any:
        return function(context, values)

    monkeypatch.setattr(api, "service_create", broken)
    failures = episodes.Fuzzer(worlds, 1, ("service_create",)).episode(0, range(8))
    if isinstance(function, _Keeps):
        for kept in function.kept:
            kept.close()
    assert any(fault in one for failure in failures for one in failure.faults), failures


@pytest.mark.timeout(300)
@pytest.mark.parametrize("where", ["sqlite", "everywhere"])
def test_every_function_keeps_its_promises(request: pytest.FixtureRequest, where: str) -> None:
    names: list[str] = request.config.option.backends
    count = ON_SQLITE if where == "sqlite" else EVERYWHERE
    with episodes.worlds_of([name for name in names if name == where or where == "everywhere"]) as worlds:
        fuzzer = episodes.Fuzzer(worlds, seed=1)
        for number in range(-(-count // episodes.LENGTH)):
            fuzzer.episode(number)
    assert not fuzzer.failures, "\n".join(map(str, fuzzer.failures))
