"""The short form of ``make fuzz``: the same calls in every run; and what the long form rests on."""

from __future__ import annotations

import inspect
import random

import pytest

from nova_sqlcore import api
from tests.fuzz import calls, episodes, hostile, oracles

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
