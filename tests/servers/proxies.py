# SPDX-License-Identifier: Apache-2.0

"""Programs that stand between the library and a server: PgBouncer and HAProxy."""

from __future__ import annotations

import contextlib
import functools
import signal
import socket
import subprocess
from typing import TYPE_CHECKING, ClassVar

from tests.servers import base, software, unpacked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    import sqlalchemy as sa


class Proxy(base.Program):
    """A proxy; ``suite`` names a suite of Debian's whose version is wanted."""

    account = "nobody"
    _version_option: ClassVar[str] = "--version"

    def __init__(self, suite: str = "") -> None:
        super().__init__()
        self.suite = suite

    def url(self, server: sa.URL) -> sa.URL:
        """Return the address at which a database of the server is reached through the proxy."""
        return server.set(host=base.HOST, port=self.port)

    @functools.cached_property
    def version(self) -> str:
        """The product and its version."""
        done = subprocess.run([str(self._require()), self._version_option], capture_output=True, text=True, check=True)
        return " ".join(done.stdout.replace("version ", "").split()[:2])

    def _require(self) -> Path:
        found = None if self.suite else software.find([self.name])
        return found or unpacked.programs(self.packages, self.suite) / self.name

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((base.HOST, self.port), timeout=1):
            return True
        return False

    def _write(self, name: str, lines: Sequence[str]) -> Path:
        path = self.directory / name
        path.write_text("\n".join([*lines, ""]))
        base.own(self.directory, self._user)
        return path


class PgBouncer(Proxy):
    """PgBouncer before a PostgreSQL server; ``settings`` are those of its section [pgbouncer]."""

    name: ClassVar[str] = "pgbouncer"
    packages: ClassVar[tuple[str, ...]] = ("pgbouncer",)

    def __init__(self, server: sa.URL, suite: str = "", **settings: str | int) -> None:
        super().__init__(suite)
        self.server = server
        self.settings: Mapping[str, str | int] = settings

    def _initialise(self) -> None:
        self._write("users", [f'"{self.server.username}" "{self.server.password}"'])

    def _server_command(self) -> list[str]:
        settings = {
            "listen_addr": base.HOST,
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "plain",  # the proxy's own login to the server needs the password itself
            "auth_file": self.directory / "users",
            "admin_users": self.server.username,
            **self.settings,
        }
        target = f"host={self.server.host} port={self.server.port}"
        lines = [
            "[databases]",
            f"* = {target}",
            "[pgbouncer]",
            *(f"{name} = {value}" for name, value in settings.items()),
        ]
        return [str(self._require()), str(self._write("settings", lines))]


class HAProxy(Proxy):
    """HAProxy before servers that each can take every connection; ``idle`` is its limit of silence, in seconds."""

    name: ClassVar[str] = "haproxy"
    packages: ClassVar[tuple[str, ...]] = ("haproxy",)
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    _version_option: ClassVar[str] = "-v"

    def __init__(self, servers: Sequence[sa.URL], suite: str = "", *, idle: float = 60, backup: bool = True) -> None:
        super().__init__(suite)
        self.servers = servers
        self.idle = idle
        self._others = " backup" if backup else ""

    def _initialise(self) -> None:
        """Leave the directory empty."""

    def _server_command(self) -> list[str]:
        lines = [
            *("global", "  maxconn 200", "  nbthread 1"),
            *("defaults", "  mode tcp", "  timeout connect 1s", "  retries 1", "  option redispatch"),
            *(f"  timeout {side} {int(self.idle * 1000)}ms" for side in ("client", "server")),
            *("listen db", f"  bind {base.HOST}:{self.port}", "  default-server check inter 100ms fall 1 rise 1"),
            "  default-server on-marked-down shutdown-sessions",
        ]
        for number, url in enumerate(self.servers):
            lines.append(f"  server s{number} {url.host}:{url.port}{self._others if number else ''}")
        return [str(self._require()), "-db", "-f", str(self._write("settings", lines))]
