# SPDX-License-Identifier: Apache-2.0

"""Counts round trips on the wire, by a proxy between the library and a server."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from nova_sqlcore import tx
from nova_sqlcore.core import roads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import sqlalchemy as sa

    from tests.plugins.backend import Backend

    Trips = Callable[..., int]

#: Calls before the one that counts: connections are made, and psycopg prepares statements that come again.
WARM = 4


class Talk:
    """What a client says, cut into the messages of the protocol."""

    #: bytes of a message before which its length is not known
    head = 4

    def __init__(self) -> None:
        self._rest = bytearray()
        self._ends = True

    @property
    def is_over(self) -> bool:
        """Whether the client may wait for an answer: it is not in the midst of what it has to say."""
        return self._ends and not self._rest

    def asks(self, data: bytes) -> bool:
        """Tell whether what the client begins to say may be a request; nothing at all is a good-bye."""
        return bool(data)

    def take(self, data: bytes) -> None:
        """Take what the client says next."""
        self._rest += data
        while len(self._rest) >= self.head:
            size = self.size(self._rest)
            if len(self._rest) < size:
                return
            self._ends = self.ends(self._rest)
            del self._rest[:size]

    def size(self, message: bytearray) -> int:
        raise NotImplementedError

    def ends(self, message: bytearray) -> bool:
        """Tell whether an answer may be due after this message."""
        raise NotImplementedError


class Commands(Talk):
    """MySQL: every packet may be the last."""

    def size(self, message: bytearray) -> int:
        return 4 + int.from_bytes(message[:3], "little")

    def ends(self, message: bytearray) -> bool:
        return True


class Requests(Talk):
    """PostgreSQL: the server owes an answer at Sync, after Flush, a simple query, and the messages of a login."""

    head = 5
    #: Parse, Bind, Describe, Execute, Close, and rows of COPY
    MORE = frozenset(b"PBDECd")
    #: what a client may ask before it begins; no letter stands before these, nor before what begins
    BEFORE = frozenset((80877102, 80877103, 80877104))

    def __init__(self) -> None:
        super().__init__()
        self._has_begun = False

    def asks(self, data: bytes) -> bool:
        """After Sync, which has asked for all, psycopg's own pipeline says Flush, perhaps when the answer is there."""
        return bool(data) and not (self._has_begun and data.startswith(b"H"))

    def size(self, message: bytearray) -> int:
        start = int(self._has_begun)
        return start + int.from_bytes(message[start : start + 4], "big")

    def ends(self, message: bytearray) -> bool:
        if self._has_begun:
            return message[0] not in self.MORE
        self._has_begun = int.from_bytes(message[4:8], "big") not in self.BEFORE
        return True


_TALKS = {"mysql": Commands, "mariadb": Commands, "postgresql": Requests}


class Wire:
    """Hands bytes over between clients and a server.

    A trip begins when a client speaks after the server has; unless it was still in the midst of a request when the
    server began to answer.
    """

    def __init__(self, host: str, port: int, talk: type[Talk]) -> None:
        self._server = (host, port)
        self._talk = talk
        self.trips = 0
        #: closes the connection of whoever sends these bytes, before they reach the server
        self.cut_at: bytes | None = None
        self._selector = selectors.DefaultSelector()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._waker, self._wake = socket.socketpair()
        self.port: int = self._listener.getsockname()[1]
        self._others: dict[socket.socket, socket.socket] = {}
        self._clients: dict[socket.socket, Talk] = {}
        self._speaking: set[socket.socket] = set()
        for one in (self._listener, self._waker):
            self._selector.register(one, selectors.EVENT_READ)
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._wake.send(b"x")
        self._thread.join()
        for one in (*self._others, self._listener, self._waker, self._wake):
            one.close()
        self._selector.close()

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                one = key.fileobj
                assert isinstance(one, socket.socket)
                if one is self._waker:
                    return
                if one is self._listener:
                    self._accept()
                elif one in self._others:
                    self._hand_over(one)

    def _accept(self) -> None:
        client, server = self._listener.accept()[0], socket.create_connection(self._server)
        self._clients[client] = self._talk()
        for one, other in ((client, server), (server, client)):
            one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._others[one] = other
            self._selector.register(one, selectors.EVENT_READ)

    def _hand_over(self, one: socket.socket) -> None:
        other = self._others[one]
        data = b""
        with contextlib.suppress(OSError):
            data = one.recv(1 << 16)
        if one in self._clients:
            talk = self._clients[one]
            if talk.asks(data) or not talk.is_over:
                self.trips += talk.is_over and one not in self._speaking
                self._speaking.add(one)
            talk.take(data)
            if self.cut_at is not None and self.cut_at in data:
                data = b""
        else:
            self._speaking.discard(other)
        data = self.passed_on(data, from_client=one in self._clients)
        with contextlib.suppress(OSError):
            other.sendall(data)
        if not data:
            for end in (one, other):
                self._selector.unregister(end)
                del self._others[end]
                end.close()

    def passed_on(self, data: bytes, *, from_client: bool) -> bytes:
        """Return what is passed on of what one end has said; nothing: both lines are cut."""
        return data


class SpeakingProxy(Wire):
    """A proxy that takes part in MySQL's protocol, as ProxySQL does.

    It counts its clients itself, and wants one command at a time.
    """

    def passed_on(self, data: bytes, *, from_client: bool) -> bytes:
        if from_client:
            return b"" if len(commands(data)) > 1 else data
        if data[3:5] == b"\0\x0a":  # the handshake: the text of the version, and the number of the connection
            place = data.index(b"\0", 5) + 1
            return data[:place] + b"\x07\0\0\x01" + data[place + 4 :]
        return data


def commands(data: bytes) -> list[bytes]:
    """Return the packets that begin a command; a login goes on in the numbers of the server."""
    found = []
    while len(data) >= 4:
        size = 4 + int.from_bytes(data[:3], "little")
        if data[3] == 0:
            found.append(data[:size])
        data = data[size:]
    return found


@contextlib.contextmanager
def led_by(url: sa.URL, kind: type[Wire] = Wire) -> Iterator[tuple[Wire, sa.URL]]:
    """Put a proxy before the server of ``url``, and give it with the address that leads by way of it."""
    assert url.host is not None
    assert url.port is not None
    proxy = kind(url.host, url.port, _TALKS[url.get_backend_name()])
    try:
        yield proxy, url.set(host="127.0.0.1", port=proxy.port)
    finally:
        proxy.close()


@pytest.fixture
def together(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let statements travel together, though the run may send them one by one, or on SQLAlchemy's road."""
    monkeypatch.setattr(roads, "USUAL", roads.DRIVER)
    tx.close()
    tx.configure(backend.url, batch=True)


@pytest.fixture
def wire(backend: Backend) -> Iterator[Wire]:
    """Lead the library to its server by way of a proxy."""
    with led_by(backend.url) as (proxy, url):
        tx.close()
        tx.configure(url, batch=True)
        try:
            yield proxy
        finally:
            tx.close()


@pytest.fixture
def trips(wire: Wire) -> Trips:
    """Return a function that calls a function, a few times before, and returns how many round trips the last call took.

    ``before`` is called before each call, and its trips do not count; what it returns is handed over.
    """

    def count(call: Callable[..., object], before: Callable[[], object] | None = None) -> int:
        taken = 0
        for _ in range(WARM + 1):
            arguments = () if before is None else (before(),)
            start = wire.trips
            call(*arguments)
            taken = wire.trips - start
        return taken

    return count
