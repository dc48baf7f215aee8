# SPDX-License-Identifier: Apache-2.0

"""The server refuses to take several statements at once, as a Galera node does with the first command after a conflict.

``make test-galera`` has the real thing; here the answers come in every order.
"""

from __future__ import annotations

import contextlib
import socket
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pymysql
import pytest

from nova_sqlcore.core.pymysql_batch import CARRIER

if TYPE_CHECKING:
    from collections.abc import Iterator

OK = bytes((0, 0, 0, 2, 0, 0, 0))
OK_AND_MORE = bytes((0, 0, 0, 10, 0, 0, 0))


def refused(number: int) -> bytes:
    return b"\xff" + number.to_bytes(2, "little") + b"#HY000text"


def packets(*answers: bytes) -> bytes:
    """Return the answers to one command."""
    return b"".join(len(one).to_bytes(3, "little") + bytes((place,)) + one for place, one in enumerate(answers, 1))


@contextlib.contextmanager
def link(*commands: bytes) -> Iterator[Any]:
    """Give a link whose server answers the commands with these packets."""
    connection: Any = pymysql.connect(defer_connect=True)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(b"".join(commands))
        theirs.shutdown(socket.SHUT_WR)
        connection._sock, connection._rfile = ours, ours.makefile("rb")
        connection._current_timeout = None
        yield SimpleNamespace(raw=connection)
        if connection._sock is not None:
            connection._force_close()


def number_of(*commands: bytes, commit: bool = False) -> tuple[int, bool]:
    """Return the number of the error that a batch of two ends with, and whether the connection is still there."""
    with link(*commands) as one:
        with pytest.raises(pymysql.Error) as raised:
            CARRIER.carry(one, [b"SELECT 1", b"SELECT 2"], commit, [])
        return raised.value.args[0], one.raw._sock is not None


ALLOWED, FORBIDDEN = packets(OK), packets(OK)
TWO, SYNTAX_ERROR = packets(OK_AND_MORE, OK), packets(refused(1064))
CONFLICT = packets(refused(1213))


@pytest.mark.parametrize("commit", [False, True])
def test_before_the_statements(commit: bool) -> None:
    """Nothing has run: the text is a syntax error where one statement is expected."""
    assert number_of(CONFLICT, SYNTAX_ERROR, FORBIDDEN, commit=commit) == (1213, True)


def test_before_the_statements_though_they_ran() -> None:
    assert number_of(CONFLICT, TWO, FORBIDDEN) == (2013, False)


def test_a_conflict_of_a_statement() -> None:
    assert number_of(ALLOWED, packets(OK_AND_MORE, refused(1213)), FORBIDDEN) == (1213, True)


def test_after_the_statements() -> None:
    """The transaction is gone, and several statements are forbidden once more."""
    assert number_of(ALLOWED, TWO, CONFLICT, FORBIDDEN) == (1213, True)


def test_a_node_that_is_not_ready() -> None:
    answer = packets(refused(1047))
    assert number_of(answer, answer, answer, answer, commit=True) == (1047, False)


def test_after_the_commit() -> None:
    """It is committed whatever follows; a connection that takes several statements from anybody is closed."""
    answers: list[Any] = []
    refusal = packets(refused(1047))
    with link(ALLOWED, packets(OK_AND_MORE, OK_AND_MORE, OK), refusal, refusal) as one:
        CARRIER.carry(one, [b"SELECT 1", b"SELECT 2"], True, answers)
        assert one.raw._sock is None
    assert len(answers) == 2
