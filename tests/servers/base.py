# SPDX-License-Identifier: Apache-2.0

"""What every program of the tests has in common: how it is started, found ready, and stopped without a trace."""

from __future__ import annotations

import abc
import contextlib
import functools
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import sqlalchemy as sa

from tests.servers import guard, unpacked

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import TracebackType
    from typing import Self

HOST = "127.0.0.1"
USER = "nova"
#: Memory is the better place for data that nobody wants to keep, if this many bytes are free there.
MEMORY = Path("/dev/shm")
ROOM = 2 * 1024**3
#: Seconds until a server must answer; a busy machine needs a tenth of it.
PATIENCE = 90
#: Somebody else may take a free port before the server does.
PORTS_TRIED = 5


class ServerError(Exception):
    """A server that didn't start or doesn't answer; the text ends with what its log says."""


class Running(abc.ABC):
    """What is up from ``start`` to ``stop``, or for a block."""

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @abc.abstractmethod
    def start(self) -> None:
        """Start, and wait until it answers.

        Raises: ServerError(text). MissingServer(text).
        """

    @abc.abstractmethod
    def stop(self) -> None:
        """Stop, and remove all data."""


class Program(Running):
    """A program that serves on a port of its own and keeps everything in a directory of its own."""

    #: what people call it
    name: ClassVar[str]
    #: the account that it runs under when we are root
    account: ClassVar[str]
    #: the packages of Debian's that hold it
    packages: ClassVar[tuple[str, ...]]
    #: ends it; PostgreSQL stops at once (the data is thrown away anyway), MariaDB and MySQL in good order
    stop_signal: ClassVar[signal.Signals] = signal.SIGQUIT

    def __init__(self) -> None:
        self.port = 0
        self.directory = Path()
        self._process: subprocess.Popen[str] | None = None
        self._pid = 0
        self._user = ""

    def start(self) -> None:
        """Make an empty directory, start there, and wait until it answers.

        Raises: ServerError(text). MissingServer(text).
        """
        self._require()
        self._user = account(self.account)
        self.directory = new_directory(self._user)
        try:
            self._initialise()
            self._start_on_free_port()
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """Stop the program and remove its data."""
        if self._process is not None:
            end(self._process)
            self._process = None
        if self.directory != Path():
            shutil.rmtree(self.directory, ignore_errors=True)
            self.directory = Path()

    @property
    def pid(self) -> int:
        """The process of a private server that runs."""
        return self._pid

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Kill the program as a power cut would, or let it end by another signal; its data stay."""
        assert self._process is not None, "only a private server that runs can be killed"
        os.kill(self._pid, number)
        self._process.wait()  # before its input ends, which would tell the guard to remove the data
        end(self._process)
        self._process = None

    def revive(self) -> None:
        """Start a killed program again on its data and port.

        Raises: ServerError(text).
        """
        if not self._run():
            raise ServerError(f"{self.name}: port {self.port} has been taken meanwhile")

    def restart(self) -> None:
        """Kill the program and start it again.

        Raises: ServerError(text).
        """
        self.kill()
        self.revive()

    def run_tool(self, command: Sequence[str]) -> None:
        """Run another program under the same account, and wait for its end.

        Raises: ServerError(text).
        """
        self._spawn(command)
        assert self._process is not None
        if self._process.wait():
            raise ServerError(f"{command[0]} failed:\n{self.log()}")
        end(self._process)

    def log(self) -> str:
        """Return the end of what the program has said so far."""
        with contextlib.suppress(FileNotFoundError):
            return (self.directory / "log").read_text(errors="replace")[-4000:]
        return ""

    # -- what each program adds -------------------------------------------------------------------------------------

    @abc.abstractmethod
    def _require(self) -> Path:
        """Return the program; it is installed if there is none and we may.

        Raises: MissingServer(text).
        """

    @abc.abstractmethod
    def _initialise(self) -> None:
        """Fill ``directory`` with what the program needs."""

    @abc.abstractmethod
    def _server_command(self) -> list[str]:
        """Return the command that runs the program in the foreground, on ``port``."""

    @abc.abstractmethod
    def _answers(self) -> bool:
        """Tell whether the program serves by now."""

    # -- the machine ------------------------------------------------------------------------------------------------

    def _start_on_free_port(self) -> None:
        for _ in range(PORTS_TRIED):
            self.port = free_port()
            if self._run():
                return
        raise ServerError(f"{self.name}: {PORTS_TRIED} ports were free and then taken")

    def _run(self) -> bool:
        """Start the program and wait until it answers; return False if somebody else has taken the port."""
        (self.directory / "log").write_text("")
        self._spawn(self._server_command())
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            if self._has_ended():
                if "already in use" in self.log().lower():
                    return False
                raise ServerError(f"{self.name} ended at its start; its log ends with\n{self.log()}")
            if self._answers():
                return True
            time.sleep(0.02)
        raise ServerError(f"{self.name} doesn't answer after {PATIENCE} s; its log ends with\n{self.log()}")

    def _has_ended(self) -> bool:
        assert self._process is not None
        if self._process.poll() is None:
            return False
        end(self._process)
        return True

    def _spawn(self, command: Sequence[str]) -> None:
        """Start ``command`` under a guard, which ends it and removes the directory when we end."""
        words = [str(self.directory), self._user, str(int(self.stop_signal)), *command]
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", guard.__file__, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # a Ctrl-C is for us alone; the guard acts when we end
        )
        assert self._process.stdout is not None
        self._pid = int(self._process.stdout.readline() or 0)


class Server(Program):
    """A private server that lives from ``start`` to ``stop``, or somebody else's at ``url``.

    ``suite`` names a suite of Debian's whose version is wanted; it is unpacked for the purpose. ``options`` are
    settings of the server program beyond the family's own, by their names in its configuration file.
    """

    #: the variable that names a server to be used in place of a private one; ``name`` is the back-end's in the tests
    variable: ClassVar[str]
    #: SQLAlchemy's dialect and driver, and the database to log in to when none is meant
    driver: ClassVar[str]
    home: ClassVar[str]
    #: arguments of the driver that make a connection to a private server cheap
    fast_connect: ClassVar[Mapping[str, Any]] = {}

    def __init__(self, url: str | sa.URL | None = None, *, suite: str = "", **options: str) -> None:
        super().__init__()
        self.given = None if url is None else sa.make_url(url)
        self.suite = suite
        self.options = options
        self.password = secrets.token_hex(8)

    @classmethod
    def from_environment(cls, **options: str) -> Self:
        """Return the server that the environment names, or else a private one with these options."""
        return cls(os.environ.get(cls.variable) or None, **options)

    def start(self) -> None:
        """Make an empty server and wait until it answers.

        Raises: ServerError(text). MissingServer(text).
        """
        if self.given is not None:
            self._ask_given()
        else:
            super().start()

    def url(self, database: str = "") -> sa.URL:
        """Return the address of a database, or of the server."""
        if self.given is not None:
            return self.given.set(database=database or self.given.database or self.home)
        return sa.URL.create(self.driver, USER, self.password, HOST, self.port, database or self.home)

    def create_database(self, name: str) -> sa.URL:
        """Make an empty database and return its address."""
        self.command(f"CREATE DATABASE {name}")
        return self.url(name)

    def command(self, text: str) -> None:
        """Run a statement in a session of its own."""
        with self._engine.connect() as connection:
            connection.exec_driver_sql(text)

    def answer(self, query: str) -> Any:
        """Return the first value that a query gives in a session of its own."""
        with self._engine.connect() as connection:
            return connection.exec_driver_sql(query).scalar()

    @abc.abstractmethod
    def drop_database(self, name: str) -> None:
        """Remove a database; whoever is still connected to it is thrown out."""

    @functools.cached_property
    def version(self) -> str:
        """The product and its version."""
        with self._engine.connect() as connection:
            return self._product(str(connection.exec_driver_sql(self._version_query).scalar_one()))

    # -- what a family adds -----------------------------------------------------------------------------------------

    _version_query: ClassVar[str]

    @abc.abstractmethod
    def _product(self, answer: str) -> str:
        """Return product and version from the server's answer to ``_version_query``."""

    def _unpacked(self, names: Sequence[str]) -> Path | None:
        """Return the first of the programs named, unpacked from the suite wanted; None if none is."""
        return unpacked.programs(self.packages, self.suite) / names[0] if self.suite else None

    # -- the machine ------------------------------------------------------------------------------------------------

    @property
    def _engine(self) -> sa.Engine:
        arguments = {} if self.given is not None else self.fast_connect
        return _engine(self.url(), tuple(arguments.items()))

    def _ask_given(self) -> None:
        try:
            self.command("SELECT 1")
        except sa.exc.DBAPIError as error:
            raise ServerError(f"the server of {self.variable} doesn't answer: {error.orig}") from error

    def _answers(self) -> bool:
        with contextlib.suppress(sa.exc.DBAPIError):
            self.command("SELECT 1")
            return True
        return False


@functools.cache
def _engine(url: sa.URL, arguments: tuple[tuple[str, Any], ...]) -> sa.Engine:
    return sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool, connect_args=dict(arguments))


def free_port() -> int:
    """Return a TCP port that is free at the moment."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def end(guarding: subprocess.Popen[str]) -> None:
    """Let a guard end, and wait for it.

    By signal: a process that we have forked may still hold the other end of the guard's input.
    """
    guarding.terminate()
    guarding.communicate()


def new_directory(user: str) -> Path:
    """Return a new directory that the account ``user``, if any, owns."""
    directory = Path(tempfile.mkdtemp(prefix="nova-", dir=_scratch()))
    own(directory, user)
    return directory


def own(directory: Path, user: str) -> None:
    """Give everything in ``directory`` to the account ``user``, if any."""
    for path in (directory, *directory.rglob("*")) if user else ():
        shutil.chown(path, user)


def _scratch() -> Path:
    """Return the directory for temporary data."""
    with contextlib.suppress(OSError):
        if os.access(MEMORY, os.W_OK) and shutil.disk_usage(MEMORY).free >= ROOM:
            return MEMORY
    return Path(tempfile.gettempdir())


def account(preferred: str) -> str:
    """Return the account to run a server under: none but our own unless we are root, whom servers refuse."""
    if os.geteuid() != 0:
        return ""
    known = {entry.pw_name for entry in pwd.getpwall()}
    return preferred if preferred in known else "nobody"
