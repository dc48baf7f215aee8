# SPDX-License-Identifier: Apache-2.0

"""How property tests run: how many examples, from which seed, and what their machines start from.

In CI the examples are the same in every run. Elsewhere they are random: a failure tells its example, and
``--hypothesis-seed`` repeats a run. With this directory named, ``--hypothesis-profile thorough --timeout 0`` takes many
more examples, and makes one that fails small.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import run_state_machine_as_test

from tests.properties.machines import Machine, World

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.backend import Backend
    from tests.plugins.clock import FrozenClock

settings.register_profile(
    "local",
    max_examples=60,
    stateful_step_count=40,
    # a failure is told before pytest's time is up: to make it small takes minutes on a server; "thorough" does so
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    # how fast the machine is must not matter, and a test that takes a database empties it for each example
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.register_profile("ci", settings.get_profile("local"), derandomize=True, database=None, print_blob=True)
settings.register_profile("thorough", settings.get_profile("local"), max_examples=2000, phases=list(Phase))
settings.load_profile("ci" if os.environ.get("CI") else "local")

#: On servers, of how many examples one is run.
SHARE = 6


@pytest.fixture
def drive(
    backend: Backend, empty_tables: Callable[[], None], frozen_clock: FrozenClock, monkeypatch: pytest.MonkeyPatch
) -> Callable[[type[Machine]], None]:
    """Return the function that runs a machine."""
    monkeypatch.setattr(Machine, "world", World(empty_tables, frozen_clock), raising=False)
    chosen = settings()
    limits = chosen if backend.family == "sqlite" else settings(max_examples=max(1, chosen.max_examples // SHARE))

    def run(machine: type[Machine]) -> None:
        run_state_machine_as_test(machine, settings=limits)

    return run
