# SPDX-License-Identifier: Apache-2.0

"""Several statements in one trip on PyMySQL: one COM_QUERY, whose results follow each other.

The server runs them in order and stops at the first that fails, COMMIT included; several COM_QUERY in a row would go on
after an error. Multiple statements are allowed for this one query alone: COM_SET_OPTION before and after it are written
together with it, so that a semicolon stays refused everywhere else, and no trip is added.

This module relies on private parts of PyMySQL 1.2; with another version, or where the server does not announce that it
takes several statements, or where a proxy takes part in the protocol, which may want one command at a time, statements
travel one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pymysql
from pymysql import err
from pymysql.constants import CLIENT, COMMAND, CR

from nova_sqlcore.core.dialects.base import PACKET, PROXIED

if TYPE_CHECKING:
    from collections.abc import Sequence

#: The series of PyMySQL whose private parts this module knows.
SERIES: Final = "1.2."
#: Bytes of a batch; a packet of 16 MB would go on in another one.
_MOST: Final = 1024**2
#: Bytes beside the statements: the command and COMMIT.
_BESIDE: Final = 64


def _option(number: int) -> bytes:
    return bytes((3, 0, 0, 0, COMMAND.COM_SET_OPTION, number, 0))


_ALLOW, _FORBID = _option(0), _option(1)


class Answer:
    """The result of one statement of a batch, in the form of a cursor."""

    __slots__ = ("_rows", "description", "lastrowid", "rowcount")

    def __init__(self, result: Any) -> None:
        """Take PyMySQL's result."""
        self.rowcount: int = result.affected_rows
        self.lastrowid: int | None = result.insert_id
        self.description = result.description
        self._rows: tuple[Any, ...] = result.rows or ()

    def fetchall(self) -> tuple[Any, ...]:
        """Return all rows."""
        return self._rows

    def fetchone(self) -> Any:
        """Return the first row, or None."""
        return self._rows[0] if self._rows else None


class TextCarrier:
    """Takes statements to the server as one text."""

    def pack(self, link: Any, text: str, bound: Any) -> tuple[bytes, int]:
        """Return the statement with its values."""
        cursor: Any = link.cursor
        packed: bytes = cursor.mogrify(text, bound).encode(link.raw.encoding)
        return packed, len(packed) + 1

    def limit(self, link: Any) -> int:
        """Return the server's limit of a statement, or less."""
        packet: int = link.connection.info.get(PACKET, _MOST)
        return min(packet, _MOST) - _BESIDE

    def carry(self, link: Any, packed: Sequence[bytes], commit: bool, answers: list[Any]) -> None:
        """Send the statements and read their results.

        Raises: the driver's error of the first statement that fails, when all that was sent has been answered.
        """
        connection: Any = link.raw
        if connection._sock is None:
            raise err.InterfaceError(0, "")
        query = b";".join([*packed, b"COMMIT"] if commit else packed)
        command = (len(query) + 1).to_bytes(3, "little") + bytes((0, COMMAND.COM_QUERY))
        connection._result = None
        connection._write_bytes(b"".join((_ALLOW, command, query, _FORBID)))
        before = _refusal(connection)
        failure = _read_results(connection, answers)
        after = _refusal(connection)
        if after is not None:
            _forbid_again(connection)
        if before is not None and failure is None:
            connection._force_close()
            raise err.OperationalError(CR.CR_SERVER_LOST, f"statements ran though they were refused: {before}")
        error = before or failure or (None if commit else after)
        if error is not None:
            raise error
        del answers[len(packed) :]


def _read_results(connection: Any, answers: list[Any]) -> err.Error | None:
    """Read the results of the statements; return the error of the one that the server has refused."""
    connection._next_seq_id = 1
    has_next = True
    while has_next:
        try:
            connection._read_query_result()
        except err.Error as error:
            if connection._sock is None:
                raise
            return error  # it has ended the batch
        result = connection._result
        has_next = result.has_next
        answers.append(Answer(result))
    return None


def _refusal(connection: Any) -> err.Error | None:
    """Read the answer to a COM_SET_OPTION; return the server's error if it refuses.

    A node of a Galera cluster answers the next command, whatever that is, with the conflict that has ended the
    transaction (1213), or with 1047 if the node has lost the others. If the first of the two options is refused, then
    the text with several statements is a syntax error, and nothing of it has run.
    """
    connection._next_seq_id = 1
    try:
        connection._read_packet()
    except err.Error as error:
        if connection._sock is None:
            raise
        return error
    return None


def _forbid_again(connection: Any) -> None:
    """Forbid several statements once more, or else close the connection: it must not take them from anybody else."""
    connection._write_bytes(_FORBID)
    if _refusal(connection) is not None:
        connection._force_close()


def is_supported(connection: Any) -> bool:
    """Tell whether this PyMySQL is one that the module was tried with, and the server takes several statements."""
    is_known = str(pymysql.VERSION_STRING).startswith(SERIES) and not hasattr(connection, PROXIED)
    return is_known and bool(getattr(connection, "server_capabilities", 0) & CLIENT.MULTI_STATEMENTS)


CARRIER: Final = TextCarrier()
