# SPDX-License-Identifier: Apache-2.0

"""The pace of long work: how it is cut into transactions, and who is told."""

from __future__ import annotations

import dataclasses
import datetime
import threading
import time
from typing import TYPE_CHECKING, Any, Final

from nova_sqlcore.core.texts import quoted

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: Rows per transaction: long enough that a transaction costs little per row, short enough that nobody waits for it.
BATCH: Final = 1000
#: The most that may be asked for: sqlite takes 32,766 parameters.
MAX_BATCH: Final = 30_000


@dataclasses.dataclass(frozen=True)
class Step:
    """What one transaction has done."""

    #: rows by table
    counts: Mapping[str, int]
    #: the last key that it has looked at; None if it has looked at nothing
    behind: Any = None
    #: whether there may be something behind that key
    more: bool = False


def is_whole(value: object) -> bool:
    """Tell whether ``value`` is an int; True and False are not."""
    return isinstance(value, int) and not isinstance(value, bool)


@dataclasses.dataclass(frozen=True)
class Pace:
    """How the work is cut into batches.

    Raises: ValueError for values that can't be.
    """

    #: rows
    batch: int = BATCH
    #: seconds of rest between two batches
    pause: float = 0
    #: is told the table and the rows of every batch
    progress: Callable[[str, int], Any] | None = None

    def __post_init__(self) -> None:
        """Check the values before any work begins."""
        if not (is_whole(self.batch) and 1 <= self.batch <= MAX_BATCH):
            raise ValueError(f"batch is a whole number from 1 to {MAX_BATCH}; got {quoted(self.batch)}")
        number = is_whole(self.pause) or isinstance(self.pause, float)
        if not (number and 0 <= self.pause <= threading.TIMEOUT_MAX):  # NaN is neither less nor greater
            raise ValueError(f"pause is a number of seconds from 0 on; got {quoted(self.pause)}")
        if not (self.progress is None or callable(self.progress)):
            raise ValueError(
                f"progress is a function of a table's name and a number, or None; got {quoted(self.progress)}"
            )

    def work(self, step: Callable[[dict[str, Any]], Step], bounds: dict[str, Any]) -> None:
        """Call ``step(bounds)`` until there is no more; ``bounds`` say what may move, behind the last key."""
        while True:
            done = step(bounds)
            if self.progress is not None:
                for name, count in done.counts.items():
                    self.progress(name, count)
            if not done.more:
                return
            bounds = bounds | {"behind": done.behind}  # text has another order here than on the server
            time.sleep(self.pause)


def check_before(moment: object) -> None:
    """Refuse what is not a time.

    Raises: ValueError.
    """
    if not (moment is None or isinstance(moment, datetime.datetime)):
        raise ValueError(f"before is a datetime, or None; got {quoted(moment)}")


def before_bound(moment: datetime.datetime | None) -> dict[str, Any]:
    """Return the bound that a time sets, if there is one."""
    return {} if moment is None else {"before": moment}
