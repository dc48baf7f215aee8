# SPDX-License-Identifier: Apache-2.0

"""A clock that stands still until the test moves it."""

import datetime

import pytest

from nova_sqlcore import clock


class FrozenClock:
    """Stands in for ``nova_sqlcore.clock.utcnow``."""

    def __init__(self) -> None:
        self.now = datetime.datetime(2016, 4, 7, 12, 0, 0)

    def __call__(self) -> datetime.datetime:
        return self.now

    def advance(self, seconds: float) -> datetime.datetime:
        """Move on, and return the new time."""
        self.now += datetime.timedelta(seconds=seconds)
        return self.now


@pytest.fixture
def frozen_clock(monkeypatch: pytest.MonkeyPatch) -> FrozenClock:
    """Freeze the library's clock: set ``now`` or call ``advance``."""
    frozen = FrozenClock()
    monkeypatch.setattr(clock, "utcnow", frozen)
    return frozen
