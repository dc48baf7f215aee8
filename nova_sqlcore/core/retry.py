# SPDX-License-Identifier: Apache-2.0

"""How long a call that meets conflicts goes on trying."""

from __future__ import annotations

import logging
import random
import time
from typing import TYPE_CHECKING

from nova_sqlcore import exceptions

if TYPE_CHECKING:
    from nova_sqlcore.core.connections import Connections

logger = logging.getLogger(__name__)

#: Seconds: the longest pause before the second attempt; it doubles with each attempt up to the second number.
FIRST_PAUSE, LONGEST_PAUSE = 0.005, 0.25


class Retry:
    """The attempts of one call: says after an error whether there is another one, and when.

    Conflicts (``DBDeadlock``), ``RetryRequest`` and the errors in ``retry_on`` are worth another attempt until
    ``retry_deadline`` seconds after the call began, in at most ``attempts`` attempts. A wait for a lock that took all
    its time (``DBLockTimeout``) is not begun again: the waits of a call end within ``lock_timeout``. A server that has
    become read-only (``DBReadOnly``) gets one more attempt, on a new connection, which may lead to another server.
    """

    __slots__ = ("_attempt", "_database", "_moved", "_name", "_retry_on", "_since")

    def __init__(
        self, database: Connections, name: str, since: float, retry_on: tuple[type[Exception], ...] = ()
    ) -> None:
        """Take the call's name and its beginning, by ``time.perf_counter``."""
        self._database = database
        self._name = name
        self._since = since
        self._retry_on = (exceptions.DBDeadlock, exceptions.RetryRequest, *retry_on)
        self._attempt = 1
        self._moved = False

    def pause_or_raise(self, error: Exception) -> None:
        """Sleep until the next attempt, or raise ``error`` if there is no other; RetryRequest gives what it carries.

        The pause is random. It grows with the attempts, and shrinks again as the deadline comes near: who has waited
        for long tries more often than a newcomer.
        """
        try:
            if isinstance(error, exceptions.DBReadOnly) and not self._moved:
                self._moved = True
                logger.warning("%s: the server takes no writes, trying a new connection: %s", self._name, error)
                return
            if isinstance(error, exceptions.DBCommitUncertain) or not isinstance(error, self._retry_on):
                raise error
            left = self._seconds_left(error)
            if left <= 0 or self._attempt == self._database.options.attempts:
                raise error.inner_exc if isinstance(error, exceptions.RetryRequest) else error
            kind = type(error).__name__
        finally:
            del error  # a frame that keeps an error which keeps the frame is a circle, and holds its connection
        longest = min(FIRST_PAUSE * 2 ** min(self._attempt - 1, 10), LONGEST_PAUSE, max(left / 4, FIRST_PAUSE))
        pause = min(random.uniform(longest / 4, longest), left)
        logger.debug("%s: attempt %d met %s, next in %.3f s", self._name, self._attempt, kind, pause)
        time.sleep(pause)
        self._attempt += 1

    def _seconds_left(self, error: Exception) -> float:
        options = self._database.options
        limit = options.retry_deadline
        if isinstance(error, exceptions.DBLockTimeout):
            wait = self._database.family.lock_timeout(options)
            limit = limit if wait is None else min(limit, wait)
        return self._since + limit - time.perf_counter()
