# SPDX-License-Identifier: Apache-2.0

"""What the tests' proxy takes for a round trip."""

from __future__ import annotations

import contextlib
import socket
from typing import TYPE_CHECKING

import pytest

from tests.plugins.wire import Commands, Requests, Talk, Wire

if TYPE_CHECKING:
    from collections.abc import Iterator

START = (8).to_bytes(4, "big") + (196608).to_bytes(4, "big")


def packet(text: bytes) -> bytes:
    return len(text).to_bytes(3, "little") + b"\0" + text


def message(letter: bytes, text: bytes = b"") -> bytes:
    return letter + (4 + len(text)).to_bytes(4, "big") + text


@contextlib.contextmanager
def line(talk: type[Talk]) -> Iterator[tuple[Wire, socket.socket, socket.socket]]:
    """Give a proxy, and both ends of a line by way of it."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = Wire("127.0.0.1", listener.getsockname()[1], talk)
        try:
            with socket.create_connection(("127.0.0.1", wire.port)) as client, listener.accept()[0] as server:
                yield wire, client, server
        finally:
            wire.close()


def trips(talk: type[Talk], *said: bytes) -> list[int]:
    """Return how many trips have begun after each of these, to all of which the server answers."""
    counts = []
    with line(talk) as (wire, client, server):
        for data in said:
            client.sendall(data)
            assert server.recv(100)
            server.sendall(b"answer")
            assert client.recv(100) == b"answer"
            counts.append(wire.trips)
    return counts


BEGUN = packet(b"SET") + packet(b"SELECT")[:-2]


@pytest.mark.parametrize(
    ("talk", "said", "counts"),
    [
        (Commands, [packet(b"a"), packet(b"b"), packet(b"c") + packet(b"d")], [1, 2, 3]),
        (Commands, [BEGUN, b"CT" + packet(b"SET"), packet(b"e")], [1, 1, 2]),
        (Commands, [packet(b"a")[:2], packet(b"a")[2:], packet(b"b")], [1, 1, 2]),
        (Requests, [START, message(b"p"), message(b"Q", b"x"), message(b"P") + message(b"S")], [1, 2, 3, 4]),
        (
            Requests,
            [START, message(b"P"), message(b"B") + message(b"E"), message(b"S"), message(b"Q")],
            [1, 2, 2, 2, 3],
        ),
        (Requests, [START, message(b"S"), message(b"H"), message(b"Q")], [1, 2, 2, 3]),
        (Requests, [START, message(b"P") + message(b"H"), message(b"E") + message(b"S")], [1, 2, 3]),
        (Requests, [START, message(b"Q", b"long")[:6], message(b"Q", b"long")[6:], message(b"X")], [1, 2, 2, 3]),
        (Requests, [START[:4] + (80877103).to_bytes(4, "big"), START, message(b"Q")], [1, 2, 3]),
    ],
)
def test_a_trip_begins_with_a_request(talk: type[Talk], said: list[bytes], counts: list[int]) -> None:
    assert trips(talk, *said) == counts
