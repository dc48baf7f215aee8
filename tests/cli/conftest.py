# SPDX-License-Identifier: Apache-2.0

"""A terminal for commands that run in the process of the tests."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], list[str]]:
    """Let standard error be a terminal; what is returned parts its text into what it shows in turn."""
    monkeypatch.setattr("nova_sqlcore.cli.output.sys", SimpleNamespace(stderr=SimpleNamespace(isatty=lambda: True)))
    monkeypatch.setenv("COLUMNS", "80")
    return lambda text: [part.rstrip() for part in text.split("\r")]
