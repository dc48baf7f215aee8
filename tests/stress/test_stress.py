# SPDX-License-Identifier: Apache-2.0

"""The short form: a few keys of every kind, on every back-end."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.queries.processes import COUNT, Processes, eight_processes
from tests.stress.kinds import KINDS, Kind
from tests.stress.running import run

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugins.backend import Backend

KEYS = 3


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with eight_processes() as found:
        yield found


@pytest.mark.parametrize("kind", KINDS, ids=[kind.name for kind in KINDS])
def test_eight_processes(kind: Kind, backend: Backend, processes: Processes) -> None:
    figures = run(kind, backend.url, processes, KEYS)
    assert figures.calls == COUNT * KEYS
