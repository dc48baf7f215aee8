# SPDX-License-Identifier: Apache-2.0

"""Whether a replica is worth a try."""

from __future__ import annotations

import logging
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from nova_sqlcore import exceptions

logger = logging.getLogger(__name__)


class Health:
    """What is known of a replica: after a failure one caller at a time tries it again, once in a while."""

    def __init__(self) -> None:
        """Take it for alive."""
        self._lock = threading.Lock()
        self._has_failed = False
        self._again_at = 0.0

    def may_be_tried(self, pause: float) -> bool:
        """Tell whether the caller shall try it; others wait ``pause`` seconds for what this one finds."""
        if not self._has_failed:
            return True
        with self._lock:
            now = time.monotonic()
            if now < self._again_at:
                return False
            self._again_at = now + pause
            return True

    def failed(self, pause: float, label: str, error: exceptions.DBConnectionError) -> None:
        """Note that it could not be reached; warn at the first time alone."""
        with self._lock:
            is_known, self._has_failed = self._has_failed, True
            self._again_at = time.monotonic() + pause
        text = "%s: the replica can't be reached, so that the primary is read; next try in %g s: %s"
        logger.log(logging.DEBUG if is_known else logging.WARNING, text, label, pause, error)

    def answered(self, label: str) -> None:
        """Note that it can be reached."""
        if self._has_failed:
            with self._lock:
                was_gone, self._has_failed = self._has_failed, False
            if was_gone:
                logger.info("%s: the replica is read again", label)
