# SPDX-License-Identifier: Apache-2.0

"""A connection in use: nobody keeps it if it can't be used, and nobody looks after it when it is thrown away."""

from __future__ import annotations

import sqlite3
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore.core import internals, link
from nova_sqlcore.core.dialects.sqlite import SQLITE
from nova_sqlcore.core.statements import Cache

if TYPE_CHECKING:
    from pathlib import Path


class Signal(BaseException):
    """What a signal handler raises."""


class Interrupted(sqlite3.Connection):
    """A connection that is interrupted as soon as somebody wants to use it."""

    armed = False

    def cursor(self, *given: Any) -> Any:
        """Raise, once armed; SQLAlchemy asks for cursors of its own before."""
        if Interrupted.armed:
            raise Signal
        return super().cursor(*given)


def linked(engine: sa.Engine, shared: bool = False) -> link.Link:
    return link.Link(engine, "writer", Cache(engine.dialect), internals.Ears(), SQLITE, shared)


def test_a_connection_that_is_interrupted_at_once_is_thrown_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = sa.create_engine(f"sqlite:///{tmp_path / 'db'}", connect_args={"factory": Interrupted})
    closed: list[Any] = []
    sa.event.listen(engine, "close", lambda raw, record: closed.append(raw))
    engine.connect().close()
    monkeypatch.setattr(Interrupted, "armed", True)
    with pytest.raises(Signal):
        linked(engine)
    assert len(closed) == 1
    assert engine.pool.checkedout() == 0  # type: ignore[attr-defined]  # a file has a QueuePool


def test_a_discarded_link_is_watched_no_more(tmp_path: Path) -> None:
    one = linked(sa.create_engine(f"sqlite:///{tmp_path / 'db'}"))
    assert one.usable
    watched = len(link._WATCHED)
    one.discard()
    assert len(link._WATCHED) == watched - 1
    assert not one.usable


def test_a_shared_connection_is_rolled_back_when_it_is_discarded() -> None:
    own_begin = {"isolation_level": None}
    engine = sa.create_engine("sqlite://", poolclass=sa.StaticPool, pool_reset_on_return=None, connect_args=own_begin)
    one = linked(engine, shared=True)
    raw = one.raw
    one.begin("BEGIN IMMEDIATE")
    assert raw.in_transaction
    one.discard()
    assert not raw.in_transaction
    assert raw.execute("SELECT 1").fetchone() == (1,)
    engine.dispose()
