# SPDX-License-Identifier: Apache-2.0

"""Races that are lost on purpose: what retries and compare-and-swap are tested with."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from nova_sqlcore import tx
from nova_sqlcore.core import roads

if TYPE_CHECKING:
    from collections.abc import Callable

    import pytest


def lose(monkeypatch: pytest.MonkeyPatch, losses: int, error: type[Exception] | None) -> list[tx.Transaction]:
    """Let that many UPDATEs fail with ``error``, or match nothing; the list grows with the transaction of each UPDATE.

    A function that sends one UPDATE per attempt has as many attempts: six at most here, whatever the deadline.
    """
    monkeypatch.setattr(tx.main, "_options", dataclasses.replace(tx.main.options, attempts=6))
    attempts: list[tx.Transaction] = []
    perform = tx.Transaction._perform

    def losing(self: tx.Transaction, action: Any, statement: Any, params: Any) -> Any:
        if not getattr(statement, "is_update", False):
            return perform(self, action, statement, params)
        attempts.append(self)
        if len(attempts) > losses:
            return perform(self, action, statement, params)
        if error is not None:
            raise error
        return [] if action == "fetch" else 0

    queue = tx.Transaction.queue

    def losing_later(self: tx.Transaction, action: Any, statement: Any, params: Any, **more: Any) -> Any:
        if getattr(statement, "is_update", False):
            attempts.append(self)
            if error is not None and len(attempts) <= losses:
                raise error
        return queue(self, action, statement, params, **more)

    monkeypatch.setattr(tx.Transaction, "_perform", losing)
    monkeypatch.setattr(tx.Transaction, "queue", losing_later)
    return attempts


def overtake(monkeypatch: pytest.MonkeyPatch, call: Callable[[], Any], times: int = 1) -> None:
    """Let ``call`` happen just before each of the next writing statements; on sqlite it would wait for ever.

    There are six attempts at most, whatever the deadline.
    """
    monkeypatch.setattr(tx.main, "_options", dataclasses.replace(tx.main.options, attempts=6))
    execute, queue = tx.Transaction.execute, tx.Transaction.queue
    state = {"left": times, "inside": False}

    def comes_first() -> None:
        if state["left"] and not state["inside"]:
            state.update(left=state["left"] - 1, inside=True)
            call()
            state["inside"] = False

    def overtaken(self: tx.Transaction, statement: Any, /, **params: Any) -> int:
        comes_first()
        return execute(self, statement, **params)

    def overtaken_later(self: tx.Transaction, action: Any, statement: Any, params: Any, **more: Any) -> Any:
        if getattr(statement, "is_dml", False) and roads.carrier_of(self._ready()) is None:  # then it runs at once
            comes_first()
        return queue(self, action, statement, params, **more)

    monkeypatch.setattr(tx.Transaction, "execute", overtaken)
    monkeypatch.setattr(tx.Transaction, "queue", overtaken_later)
