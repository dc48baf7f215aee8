# SPDX-License-Identifier: Apache-2.0

"""The states of a transaction, and which of them may follow each other."""

from __future__ import annotations

import enum


class State(enum.Enum):
    """Where a transaction stands."""

    #: nothing has been sent, no connection is taken
    NEW = "has not begun"
    #: reads on a connection in autocommit mode: each statement stands alone
    SINGLE = "reads"
    #: a transaction is open on the server
    OPEN = "is open"
    #: a statement has failed; going back to a savepoint opens it again
    FAILED = "has failed"
    #: the server has undone it, or nobody knows what the connection is in the midst of: no savepoint helps
    LOST = "is lost"
    #: COMMIT has gone with its last statement; the scope is still to end
    COMMITTED = "is committed"
    #: committed or rolled back; the connection is given back
    ENDED = "has ended"

    #: what ``FOLLOWING`` says of it, at hand
    following: tuple[State, ...]
    #: whether a statement may run as things stand
    runs: bool


#: The states by themselves: to find one in its class takes 70 ns on Python 3.11, and each statement asks for several.
NEW, SINGLE, OPEN, FAILED, LOST, COMMITTED, ENDED = State

#: The states that may follow each state. Back to NEW goes a transaction whose connection was dead, or was cut short,
#: before anything that matters had been done on it.
FOLLOWING: dict[State, tuple[State, ...]] = {
    State.NEW: (State.SINGLE, State.OPEN, State.ENDED),
    State.SINGLE: (State.NEW, State.OPEN, State.ENDED),
    State.OPEN: (State.NEW, State.FAILED, State.LOST, State.COMMITTED, State.ENDED),
    State.FAILED: (State.NEW, State.OPEN, State.LOST, State.ENDED),
    State.LOST: (State.NEW, State.ENDED),
    State.COMMITTED: (State.OPEN, State.LOST, State.ENDED),
    State.ENDED: (),
}
for _state, _following in FOLLOWING.items():
    _state.following = _following
    _state.runs = _state in (State.SINGLE, State.OPEN)
