# SPDX-License-Identifier: Apache-2.0

"""Calls from several threads at once, each with a context and a connection of its own."""

from __future__ import annotations

import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, TypeVar

from nova_sqlcore import get_admin_context, tx

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nova_sqlcore import RequestContext

T = TypeVar("T")
U = TypeVar("U")

#: Seconds in which a call gets as far as the lock that it has to wait for.
_HEAD_START = 0.15


def at_once(calls: Sequence[Callable[[RequestContext], T]]) -> list[T]:
    """Return what the calls give, begun at the same moment."""
    barrier = threading.Barrier(len(calls))

    def run(call: Callable[[RequestContext], T]) -> T:
        context = get_admin_context()
        barrier.wait(timeout=30)
        return call(context)

    with ThreadPoolExecutor(len(calls)) as pool:
        futures = [pool.submit(run, call) for call in calls]
        return [future.result(timeout=60) for future in futures]


def one_inside_the_other(first: Callable[[RequestContext], T], second: Callable[[RequestContext], U]) -> tuple[T, U]:
    """Return what both calls give if the second begins while the transaction of the first is open."""
    context = get_admin_context()
    with ThreadPoolExecutor(1) as pool:
        with tx.writer(context):
            outer = first(context)
            inner: Future[U] = pool.submit(second, get_admin_context())
            time.sleep(_HEAD_START)
        return outer, inner.result(timeout=60)
