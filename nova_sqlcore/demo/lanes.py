# SPDX-License-Identifier: Apache-2.0

"""Threads that share work: what is about one subject is done by one of them, in its order."""

from __future__ import annotations

import threading
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType
    from typing import Self

#: Pieces of work that may wait for each thread; whoever hands in more waits with them.
WAITING: Final = 20


class Lanes:
    """A number of threads for a ``with`` block; with one, work is done at once by whoever hands it in."""

    def __init__(self, count: int) -> None:
        """Take the number of threads."""
        self._threads = [] if count == 1 else [ThreadPoolExecutor(1, f"lane-{number}") for number in range(count)]
        self._room = threading.BoundedSemaphore(count * WAITING)
        self._failure: BaseException | None = None

    def put(self, subject: str, work: Callable[[], Any]) -> None:
        """Let work be done, after all that has been put for the same subject.

        Raises: the error of earlier work, which ends all.
        """
        if not self._threads:
            work()
            return
        self._room.acquire()
        if self._failure is not None:
            raise self._failure
        done = self._threads[hash(subject) % len(self._threads)].submit(work)
        done.add_done_callback(self._note)

    def _note(self, done: Future[Any]) -> None:
        if not done.cancelled():
            self._failure = self._failure or done.exception()
        self._room.release()

    def __enter__(self) -> Self:
        """Begin."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait for all work; after an error only for what is being done.

        Raises: the error of any work.
        """
        for thread in self._threads:
            thread.shutdown(wait=error is None, cancel_futures=error is not None)
        for thread in self._threads:
            thread.shutdown()
        if error is None and self._failure is not None:
            raise self._failure
