# SPDX-License-Identifier: Apache-2.0

"""What the loss of a connection stands for, by what was under way and by the driver's error."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NoReturn

import psycopg
import pymysql
import pytest
import sqlalchemy as sa

from nova_sqlcore import exceptions, get_admin_context, tables, tx
from nova_sqlcore.core.link import Link

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.backend import Backend

T: Final = tables.certificates
_NAMES: Final = sa.select(T.c.file_name)

pytestmark = [
    pytest.mark.only_on("mysql", "postgresql", driver="pymysql", why="elsewhere COMMIT goes by itself"),
    pytest.mark.usefixtures("together"),
]

LOST, UNCERTAIN, READ_ONLY = exceptions.DBConnectionError, exceptions.DBCommitUncertain, exceptions.DBReadOnly
TOO_LARGE: Final = exceptions.DBTransactionTooLarge


def in_the_place_of_statements(patch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let the first statement of the next batch fail."""

    def carry(self: Any, link: Any, packed: Any, commit: bool, answers: list[Any]) -> NoReturn:
        raise error

    patch.setattr(type(_carrier()), "carry", carry)


def after_statements(patch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let the next batch fail when its statements have been answered."""
    kind: Any = type(_carrier())
    as_ever = kind.carry

    def carry(self: Any, link: Any, packed: Any, commit: bool, answers: list[Any]) -> NoReturn:
        as_ever(self, link, packed, commit, answers)
        raise error

    patch.setattr(kind, "carry", carry)


def in_the_place_of_commit(patch: pytest.MonkeyPatch, error: Exception) -> None:
    """Let a COMMIT fail that goes by itself."""

    def commit(self: Link) -> NoReturn:
        raise error

    patch.setattr(Link, "commit", commit)


def _carrier() -> object:
    with tx.writer(get_admin_context()) as t:
        t.rows(_NAMES)
    carrier = tx.main._kept["writer"][-1].carrier
    assert carrier is not None
    return carrier


def write(fault: Callable[[], None], *, last: bool) -> None:
    """Change a row, and once more with what fails; COMMIT goes with the last statement or by itself."""
    with tx.writer(get_admin_context()) as t:
        t.insert(T, {"file_name": "a"})
        fault()
        t.later.insert(T, {"file_name": "b"})
        (t.last() if last else t).insert(T, {"file_name": "c"})


def write_by_itself(fault: Callable[[], None]) -> None:
    with tx.writer(get_admin_context()) as t:
        t.insert(T, {"file_name": "a"})
        fault()


def read(fault: Callable[[], None]) -> None:
    with tx.reader(get_admin_context()) as t:
        t.rows(_NAMES)
        fault()
        t.later.rows(_NAMES)
        t.last().rows(_NAMES)


def _mysql(*arguments: Any) -> pymysql.Error:
    return pymysql.OperationalError(*arguments)


_NO_QUORUM = "Got error 5 during COMMIT (provider status: Not connected to Primary Component)"

#: For each error of a driver: what it stands for at a statement without COMMIT behind it, at one with it, at a COMMIT
#: that travels with statements, and at one that goes by itself.
RULES: Final[dict[str, list[tuple[Exception, list[type[exceptions.DBError]]]]]] = {
    "mysql": [
        (_mysql(2013, "Lost connection"), [LOST, UNCERTAIN, UNCERTAIN, UNCERTAIN]),
        (_mysql(1927, "Connection was killed"), [LOST, LOST, UNCERTAIN, UNCERTAIN]),
        (_mysql(1053, "Server shutdown in progress"), [LOST, LOST, UNCERTAIN, UNCERTAIN]),
        (_mysql(1047, "WSREP has not yet prepared node"), [LOST, LOST, LOST, LOST]),
        (_mysql(1180, _NO_QUORUM), [LOST, UNCERTAIN, UNCERTAIN, UNCERTAIN]),
        (_mysql(1180, "wsrep_max_ws_rows exceeded"), [TOO_LARGE] * 4),
        (_mysql(1836, "Running in read-only mode"), [READ_ONLY] * 4),
    ],
    "postgresql": [
        (psycopg.OperationalError("server closed the connection"), [LOST, UNCERTAIN, UNCERTAIN, UNCERTAIN]),
        (psycopg.errors.AdminShutdown("terminating connection"), [LOST, LOST, UNCERTAIN, UNCERTAIN]),
        (psycopg.errors.CrashShutdown("terminating connection"), [LOST, LOST, UNCERTAIN, UNCERTAIN]),
        (psycopg.errors.ReadOnlySqlTransaction("cannot execute INSERT"), [READ_ONLY] * 4),
    ],
}

PLACES: Final[list[Callable[[pytest.MonkeyPatch, Exception], None]]] = [
    lambda patch, error: write(lambda: in_the_place_of_statements(patch, error), last=False),
    lambda patch, error: write(lambda: in_the_place_of_statements(patch, error), last=True),
    lambda patch, error: write(lambda: after_statements(patch, error), last=True),
    lambda patch, error: write_by_itself(lambda: in_the_place_of_commit(patch, error)),
]


@pytest.mark.parametrize("place", range(len(PLACES)), ids=["statement", "before", "with", "by itself"])
def test_a_writer(backend: Backend, monkeypatch: pytest.MonkeyPatch, place: int) -> None:
    for error, kinds in RULES[backend.family]:
        with monkeypatch.context() as patch, pytest.raises(kinds[place]) as raised:
            PLACES[place](patch, error)
        assert type(raised.value) is kinds[place], error
        assert raised.value.inner_exception is error


def test_a_reader_has_nothing_to_commit(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    error = RULES[backend.family][0][0]
    for fault in (in_the_place_of_statements, after_statements):
        with monkeypatch.context() as patch, pytest.raises(LOST) as raised:
            read(lambda fault=fault, patch=patch: fault(patch, error))  # type: ignore[misc]  # bound in the loop
        assert type(raised.value) is LOST
