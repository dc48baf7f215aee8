# SPDX-License-Identifier: Apache-2.0

"""What the state machines of this directory have in common.

A machine does the same to the library and to a model of a dict or two, and compares them after every step.
"""

from __future__ import annotations

import contextlib
import datetime
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine

from nova_sqlcore import RequestContext, get_admin_context, tx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nova_sqlcore.exceptions import NovaException
    from tests.plugins.clock import FrozenClock

Row = dict[str, Any]

START = datetime.datetime(2016, 4, 7, 12)
PROJECTS = ("red", "blue")
#: Steps that leave less for others to work on are taken now and then.
SELDOM = st.sampled_from([False, False, False, True])


class World(NamedTuple):
    """What all examples run in."""

    empty_tables: Callable[[], None]
    clock: FrozenClock


class Machine(RuleBasedStateMachine):
    """The library and a model of it, side by side; each example starts from empty tables and at the same moment."""

    #: set by the fixture ``drive``
    world: ClassVar[World]

    def __init__(self) -> None:
        super().__init__()
        self.world.empty_tables()
        self.clock = self.world.clock
        self.clock.now = START
        self.admin = get_admin_context()
        #: who asks: a user of each project, and an admin
        self.contexts = {project: RequestContext("user", project) for project in PROJECTS} | {"admin": self.admin}


@contextlib.contextmanager
def refusing(error: NovaException | None) -> Iterator[None]:
    """Assert that the block raises just this error, with just these arguments; nothing if it is None."""
    if error is None:
        yield
        return
    with pytest.raises(type(error)) as caught:
        yield
    assert type(caught.value) is type(error)
    assert caught.value.kwargs == error.kwargs


class _Undo(Exception):
    """Ends a block that is to leave no trace."""


@contextlib.contextmanager
def undone(context: RequestContext) -> Iterator[None]:
    """Run the block in a transaction that is rolled back."""
    with contextlib.suppress(_Undo), tx.writer(context):
        yield
        raise _Undo
