# SPDX-License-Identifier: Apache-2.0

"""A link to a server that takes time: a TCP proxy in a process of its own, which counts round trips and bytes too.

Each direction has a thread that reads and one that writes what has been on its way for half of the delay. A sleep of
Linux is some 60 microseconds late, the same for everybody who uses the link.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import queue
import socket
import threading
import time
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE: Final = 1 << 16
_TRIPS, _BYTES = 0, 1


class Traffic(NamedTuple):
    """What has gone over a link so far; a trip begins when a client speaks after the server has."""

    trips: int
    bytes: int


class Link:
    """The address of the link, and what has gone over it."""

    def __init__(self, port: int, counts: Any) -> None:
        """Take the port on 127.0.0.1 and the shared counts."""
        self.port = port
        self._counts = counts

    @property
    def traffic(self) -> Traffic:
        """What has gone over it."""
        return Traffic(self._counts[_TRIPS], self._counts[_BYTES])


@contextlib.contextmanager
def linked(host: str, port: int, milliseconds: float = 0) -> Iterator[Link]:
    """Give a link to a server on which a round trip takes so much longer."""
    context = multiprocessing.get_context("spawn")
    counts = context.Array("q", [0, 0])
    ours, theirs = context.Pipe()
    process = context.Process(target=_serve, args=(host, port, milliseconds / 2000, counts, theirs), daemon=True)
    process.start()
    try:
        yield Link(ours.recv(), counts)
    finally:
        process.terminate()
        process.join()


def _serve(host: str, port: int, seconds: float, counts: Any, pipe: Any) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    pipe.send(listener.getsockname()[1])
    while True:
        client = listener.accept()[0]
        server = socket.create_connection((host, port))
        _Line(client, server, seconds, counts)


class _Line:
    """One connection."""

    def __init__(self, client: socket.socket, server: socket.socket, seconds: float, counts: Any) -> None:
        self._client = client
        self._counts = counts
        self._seconds = seconds
        self._client_speaks = False
        for one, other in ((client, server), (server, client)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            pieces: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
            if seconds:
                threading.Thread(target=self._write, args=(other, pieces), daemon=True).start()
            threading.Thread(target=self._read, args=(one, other, pieces), daemon=True).start()

    def _read(
        self, source: socket.socket, target: socket.socket, pieces: queue.SimpleQueue[tuple[float, bytes]]
    ) -> None:
        while True:
            data = b""
            with contextlib.suppress(OSError):
                data = source.recv(_PIECE)
            self._count(source, data)
            if self._seconds:
                pieces.put((time.monotonic() + self._seconds, data))
            elif not _handed_over(target, data):
                return
            if not data:
                return

    def _write(self, target: socket.socket, pieces: queue.SimpleQueue[tuple[float, bytes]]) -> None:
        while True:
            moment, data = pieces.get()
            wait = moment - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            if not _handed_over(target, data):
                return

    def _count(self, source: socket.socket, data: bytes) -> None:
        if not data:
            return
        with self._counts.get_lock():
            self._counts[_BYTES] += len(data)
            self._counts[_TRIPS] += source is self._client and not self._client_speaks
        self._client_speaks = source is self._client


def _handed_over(target: socket.socket, data: bytes) -> bool:
    """Send on what has come; pass on that nothing more comes, and tell that it is over."""
    with contextlib.suppress(OSError):
        if data:
            target.sendall(data)
            return True
        target.shutdown(socket.SHUT_WR)
    return False
