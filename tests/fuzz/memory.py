# SPDX-License-Identifier: Apache-2.0

"""How much memory this process has, as Linux tells it; elsewhere nothing is measured."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_STATUS: Final = Path("/proc/self/status")
_CLEAR: Final = Path("/proc/self/clear_refs")
#: Lets the peak begin anew.
_RESET_PEAK: Final = "5"


def resident() -> float:
    """Return the MiB that the process has now."""
    return _told("VmRSS")


class Growth:
    """What a block has taken at its peak."""

    mib: float = 0


@contextlib.contextmanager
def measured() -> Iterator[Growth]:
    """Measure the memory that the block takes at its peak, beyond what the process had before it."""
    growth = Growth()
    before = resident()
    with contextlib.suppress(OSError):
        _CLEAR.write_text(_RESET_PEAK)
    try:
        yield growth
    finally:
        growth.mib = _told("VmHWM") - before


def _told(kind: str) -> float:
    try:
        lines = _STATUS.read_text().splitlines()
    except OSError:
        return 0
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(kind))
