# SPDX-License-Identifier: Apache-2.0

"""Long work that an operator may cut short: Ctrl-C and SIGTERM end it where nothing is half done."""

from __future__ import annotations

import contextlib
import signal
import threading
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


class Interrupted(BaseException):
    """A signal came; ``code`` is the exit code that shells expect after it."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.code = 128 + number

    def __reduce__(self) -> tuple[type[Interrupted], tuple[int]]:
        """Pickle by the signal's number."""
        return type(self), (self.code - 128,)


@contextlib.contextmanager
def interruptible() -> Iterator[None]:
    """Let SIGINT and SIGTERM raise Interrupted inside the block; the library undoes the transaction that is open."""
    if threading.current_thread() is not threading.main_thread():  # the only one that signals reach
        yield
        return

    def stop(number: int, frame: Any) -> None:
        raise Interrupted(number)

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
