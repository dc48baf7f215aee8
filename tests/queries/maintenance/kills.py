# SPDX-License-Identifier: Apache-2.0

"""A process that archives, and is killed in the midst of it."""

from __future__ import annotations

import multiprocessing
import os
import signal
from typing import Any

import sqlalchemy as sa

from nova_sqlcore import tx
from nova_sqlcore.queries.maintenance import archive


def archive_killed_before(url: sa.URL, statement: int) -> None:
    """Archive in batches of two, in a process that dies before it sends its INSERT or DELETE of this number."""
    process = multiprocessing.get_context("spawn").Process(target=_archive_and_die, args=(url, statement))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL


def _archive_and_die(url: sa.URL, statement: int) -> None:
    sent = 0

    def count(connection: Any, cursor: Any, text: str, *rest: Any) -> None:
        nonlocal sent
        sent += text.lstrip().startswith(("INSERT", "DELETE", "WITH"))
        if sent == statement:
            os.kill(os.getpid(), signal.SIGKILL)

    sa.event.listen(sa.Engine, "before_cursor_execute", count)
    tx.configure(url)
    archive.archive_deleted_rows(batch=2)
