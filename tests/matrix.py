# SPDX-License-Identifier: Apache-2.0

"""Runs a part of the tests on other servers, drivers, Pythons and SQLAlchemys than ``make test``: ``make test-matrix``.

    python -m tests.matrix [--only NAME,...] [PYTEST-ARGUMENT ...]

Each entry has a virtual environment of its own in .matrix/, unless it is a server alone. What can't run here is named
in the last lines with the reason, and does not fail the run.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple

import sqlalchemy as sa

from tests import servers
from tests.servers import software

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

ROOT: Final = Path(__file__).parents[1]
VENVS: Final = ROOT / ".matrix"
PART: Final = ("tests/core", "tests/queries")
#: What mysqlclient is built with, where there is no wheel.
_TO_BUILD: Final = ("gcc", "pkg-config", "libmariadb-dev", "python3-dev")


class Left(Exception):
    """An entry that can't run here; the text says why, and what would help."""


class Entry(NamedTuple):
    """One column of the matrix."""

    name: str
    #: the back-ends of the suite
    backends: tuple[str, ...]
    #: servers of another version: the suite of Debian's that has it
    suite: str = ""
    #: another interpreter: its version
    python: str = ""
    #: what pip installs besides
    packages: tuple[str, ...] = ()
    #: SQLAlchemy's name of another driver
    driver: str = ""
    #: for pytest
    options: tuple[str, ...] = ()


#: Tests of PyMySQL itself, and of errors that it raises.
_OF_PYMYSQL: Final = (
    "--ignore=tests/core/test_pymysql_reader.py",
    "--deselect=tests/core/test_retry.py::test_a_conflict_that_a_listener_injects",
    "--deselect=tests/core/test_retry.py::test_attempts_meets_a_conflict_at_the_commit",
)

#: The tests of TLS take every driver that is installed.
_OF_MYSQLCLIENT: Final = (*_OF_PYMYSQL, "tests/proxies/test_tls.py")

ENTRIES: Final = (
    Entry("mariadb-newest", ("mariadb",), suite="unstable"),
    Entry("postgresql-newest", ("postgresql",), suite="unstable"),
    Entry("mysqlclient", ("mariadb", "mysql"), "", "", ("mysqlclient>=2.2,<3",), "mysql+mysqldb", _OF_MYSQLCLIENT),
    *(Entry(f"python-{version}", ("sqlite", "postgresql"), python=version) for version in ("3.12", "3.13", "3.14")),
    Entry("sqlalchemy-newest", ("sqlite", "mariadb", "postgresql"), packages=("--pre", "--upgrade", "sqlalchemy>=2.1")),
)


def main(arguments: list[str]) -> int:
    """Run every entry, or those named; return 1 if one has failed."""
    entries = ENTRIES
    if arguments[:1] == ["--only"]:
        wanted, arguments = arguments[1].split(","), arguments[2:]
        entries = tuple(entry for entry in ENTRIES if entry.name in wanted)
    ran: dict[str, str] = {}
    left: dict[str, str] = {}
    for entry in entries:
        try:
            with _up(entry) as environment:
                python = _python(entry)
                about = _about(entry, python, environment)
                print(f"\n{entry.name}: {about}", flush=True)
                code = _run(entry, python, environment, arguments)
        except (Left, servers.MissingServer, servers.ServerError) as reason:
            left[entry.name] = str(reason)
        else:
            ran[entry.name] = f"{'passed' if code == 0 else f'FAILED ({code})'}: {about}"
    print()
    for name, text in ran.items():
        print(f"{name}: {text}")
    for name, text in left.items():
        print(f"{name}: LEFT OUT: {text}")
    return int(any("FAILED" in text for text in ran.values()))


@contextlib.contextmanager
def _up(entry: Entry) -> Iterator[dict[str, str]]:
    """Start the entry's servers; give the environment that names them."""
    environment = dict(os.environ)
    with contextlib.ExitStack() as stack:
        for name in entry.backends:
            if name == "sqlite":
                continue
            product = servers.PRODUCTS[name]
            server = product(None, suite=entry.suite) if entry.suite else product.from_environment()
            stack.enter_context(server)
            url = server.url().set(drivername=entry.driver) if entry.driver else server.url()
            environment[server.variable] = url.render_as_string(hide_password=False)
        yield environment


def _run(entry: Entry, python: Path, environment: Mapping[str, str], arguments: list[str]) -> int:
    paths = [one for one in arguments if one.startswith("tests/")] or PART
    options = [one for one in arguments if not one.startswith("tests/")]
    command = [str(python), "-m", "pytest", "-q", "-n", "2", "-p", "no:cacheprovider"]
    command += ["--backends", ",".join(entry.backends), *entry.options, *options, *paths]
    return subprocess.run(command, cwd=ROOT, env={**environment, "CI": ""}, check=False).returncode


def _python(entry: Entry) -> Path:
    """Return the interpreter that runs the entry, with all that it needs.

    Raises: Left.
    """
    if not (entry.python or entry.packages):
        return Path(sys.executable)
    base = _interpreter(entry.python) if entry.python else Path(sys.executable)
    home = VENVS / entry.name
    made = subprocess.run(
        ["tools/make-venv", str(home), "test"],
        cwd=ROOT,
        env=os.environ | {"PYTHON": str(base)},
        capture_output=True,
        text=True,
        check=False,
    )
    if made.returncode:
        raise Left(f"no virtual environment: {made.stderr[-500:].strip()}")
    python = home / "bin/python"
    if entry.packages:
        _install(entry, python)
    return python


def _install(entry: Entry, python: Path) -> None:
    command = [str(python), "-m", "pip", "install", "-q", *entry.packages]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode and entry.driver and os.geteuid() == 0 and shutil.which("apt-get"):
        for package in _TO_BUILD:
            software.install(package, f"{entry.name} is built from source, which needs {package}.")
        done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        hint = f"; it needs {', '.join(_TO_BUILD)} (Debian's names)" if entry.driver else ""
        raise Left(f"pip could not install {entry.packages[-1]}{hint}: {done.stderr[-500:].strip()}")
    if entry.name.startswith("sqlalchemy"):
        found = _answer(python, "import sqlalchemy; print(sqlalchemy.__version__)")
        if found == sa.__version__:
            raise Left(f"the newest release, pre-releases included, is {found}, which make test runs with")


def _interpreter(version: str) -> Path:
    """Return an interpreter of this version, on PATH or among pyenv's.

    Raises: Left.
    """
    names = [shutil.which(f"python{version}")]
    names += sorted(map(str, Path.home().glob(f".pyenv/versions/{version}.*/bin/python")), reverse=True)
    for name in names:
        if name and _answer(Path(name), "import sys; print('%d.%d' % sys.version_info[:2])") == version:
            return Path(name)
    raise Left(f"there is no Python {version} on PATH or in ~/.pyenv/versions")


def _about(entry: Entry, python: Path, environment: Mapping[str, str]) -> str:
    """Return what the entry runs on."""
    text = "import platform as p, sqlalchemy as sa; print(f'Python {p.python_version()}, SQLAlchemy {sa.__version__}')"
    found = [_answer(python, text)]
    if entry.driver:
        found.append("mysqlclient " + _answer(python, "import MySQLdb.release as it; print(it.__version__)"))
    for name in entry.backends:
        if name != "sqlite":
            product = servers.PRODUCTS[name]
            url = sa.make_url(environment[product.variable]).set(drivername=product.driver)
            found.append(product(url).version)
    return ", ".join(found)


def _answer(python: Path, text: str) -> str:
    done = subprocess.run([str(python), "-c", text], capture_output=True, text=True, check=False)
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
