"""How property tests run: how many examples, from which seed, and what their machines start from.

In CI the examples are the same in every run. Elsewhere they are random: a failure tells its example, and
``--hypothesis-seed`` repeats a run. ``--hypothesis-profile thorough``, with this directory named, takes many more.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.properties.machines import Machine, World

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.backend import Backend
    from tests.plugins.clock import FrozenClock

settings.register_profile(
    "local",
    max_examples=60,
    stateful_step_count=30,
    # how fast the machine is must not matter, and a test that takes a database empties it for each example
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("ci", settings.get_profile("local"), derandomize=True, database=None, print_blob=True)
settings.register_profile("thorough", settings.get_profile("local"), max_examples=2000, stateful_step_count=60)
settings.load_profile("ci" if os.environ.get("CI") else "local")

#: On servers, of how many examples one is run.
SHARE = 4


@pytest.fixture
def drive(
    backend: Backend, empty_tables: Callable[[], None], frozen_clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> Callable[[type[Machine]], None]:
    """Return the function that runs a machine."""
    monkeypatch.setattr(Machine, "world", World(empty_tables, frozen_clock), raising=False)
    examples = settings().max_examples
    limits = settings(max_examples=examples if backend.name == "sqlite" else max(1, examples // SHARE))

    def run(machine: type[Machine]) -> None:
        run_state_machine_as_test(machine, settings=limits)

    return run
