# SPDX-License-Identifier: Apache-2.0

"""The servers of a run: started once, by whoever controls it, and named to the workers by environment variables.

The last lines of a run tell what it ran on. A run that left a back-end out says so, and fails if CI is set to true.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import os
import platform
import sqlite3
from typing import TYPE_CHECKING, Any

import psycopg
import pymysql
import pytest

from nova_sqlcore.core import options, roads
from tests import servers

if TYPE_CHECKING:
    from collections.abc import Collection, Generator

BACKENDS = ("sqlite", *servers.PRODUCTS)
DRIVERS = {
    "sqlite": f"sqlite3 of Python {platform.python_version()}",
    "mariadb": f"PyMySQL {pymysql.VERSION_STRING}",
    "mysql": f"PyMySQL {pymysql.VERSION_STRING}",
    "postgresql": f"psycopg {psycopg.__version__}, {psycopg.pq.__impl__}",
}


def _mysqlclient() -> str:
    import MySQLdb.release  # the environment may name a server by this driver

    return f"mysqlclient {MySQLdb.release.__version__}"


class Run:
    """What the controlling process knows about the run."""

    def __init__(self) -> None:
        self.drivers = dict(DRIVERS)
        self.versions = {"sqlite": f"sqlite {sqlite3.sqlite_version}"}
        #: tests by back-end; those without one are under ""
        self.tests: collections.Counter[str] = collections.Counter()
        self._up = contextlib.ExitStack()

    def start(self, names: Collection[str]) -> None:
        """Start servers and tell their addresses to this process and its children."""
        try:
            up = self._up.enter_context(servers.running(*names))
            self.versions |= {name: server.version for name, server in up.items()}
        except (servers.ServerError, servers.MissingServer) as error:
            pytest.exit(f"No server, no test run. {error}", returncode=pytest.ExitCode.USAGE_ERROR)
        for name, server in up.items():
            if server.url().get_driver_name() == "mysqldb":
                self.drivers[name] = _mysqlclient()
            os.environ[server.variable] = server.url().render_as_string(hide_password=False)

    def stop(self) -> None:
        """Stop the servers."""
        self._up.close()

    def left_out(self) -> list[str]:
        """Return the back-ends that no test ran on."""
        return [name for name in BACKENDS if not self.tests[name]]

    def summary(self) -> list[str]:
        """Return what the tests ran on."""
        ran = [name for name in BACKENDS if self.tests[name]]
        lines = [f"{self.tests[name]:5} tests on {self.versions[name]} ({self.drivers[name]})" for name in ran]
        lines.append(f"{self.tests['']:5} tests without a database")
        road = "core" if roads.USUAL is roads.CORE else "driver"
        lines.append(f"Statements took the {road} road{'' if options.BATCH else ', one by one'}.")
        return lines


_RUN = pytest.StashKey[Run]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--backends``."""
    parser.addoption(
        "--backends",
        type=_backends,
        action=_Added,
        default=list(BACKENDS),
        metavar="NAMES",
        help=f"run on these back-ends only; a comma-separated part of {','.join(BACKENDS)}; may be given repeatedly",
    )


class _Added(argparse.Action):
    """Adds what each use of an option names; only the first one replaces the default."""

    def __call__(self, parser: Any, namespace: argparse.Namespace, values: Any, option: str | None = None) -> None:
        known: list[str] = getattr(namespace, self.dest)
        names = values if known is self.default else [*known, *values]
        setattr(namespace, self.dest, list(dict.fromkeys(names)))


def _backends(text: str) -> list[str]:
    names = text.split(",")
    unknown = sorted(set(names) - set(BACKENDS))
    if unknown:
        raise argparse.ArgumentTypeError(f"no back-end is called {', '.join(unknown)}: take {', '.join(BACKENDS)}")
    return names


def backend_of(item: pytest.Item) -> str:
    """Return the back-end that a test runs on, or the empty string."""
    if not isinstance(item, pytest.Function) or not hasattr(item, "callspec"):
        return ""
    found = item.callspec.params.get("backend", "")
    return found if isinstance(found, str) else ""  # pytest marks a test that no back-end is left for


def pytest_configure(config: pytest.Config) -> None:
    """Let the controlling process, and no worker, keep the run's record."""
    if not hasattr(config, "workerinput"):
        config.stash[_RUN] = Run()
        config.pluginmanager.register(_Counter(config.stash[_RUN]), "back-end-counter")


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stop the servers."""
    if _RUN in config.stash:
        config.stash[_RUN].stop()


def pytest_sessionstart(session: pytest.Session) -> None:
    """Start the servers before the workers, whose environment names them."""
    if _RUN in session.config.stash and _has_workers(session.config) and not session.config.option.collectonly:
        session.config.stash[_RUN].start([name for name in session.config.option.backends if name != "sqlite"])


def pytest_collection_finish(session: pytest.Session) -> None:
    """Start the servers that the collected tests need, if there are no workers."""
    config = session.config
    if _RUN in config.stash and not _has_workers(config) and not config.option.collectonly:
        needed = {backend_of(item) for item in session.items} - {"", "sqlite"}
        config.stash[_RUN].start(sorted(needed))


def _has_workers(config: pytest.Config) -> bool:
    return bool(config.getoption("dist", "no") != "no")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item,
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Note the test's back-end in its report, which travels from the worker to the controlling process."""
    report = yield
    report.user_properties = [*report.user_properties, ("backend", backend_of(item))]
    return report


class _Counter:
    """Counts tests by back-end, from the reports that reach the controlling process."""

    def __init__(self, run: Run) -> None:
        self._run = run

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test that was really run."""
        if report.when == "call" and not report.skipped:
            self._run.tests[dict(report.user_properties).get("backend", "")] += 1  # type: ignore[index]  # our own property


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Let a run fail that left a back-end out, if CI is set to true."""
    config = session.config
    if _RUN not in config.stash or session.exitstatus != pytest.ExitCode.OK:
        return
    if os.environ.get("CI") == "true" and config.stash[_RUN].left_out():
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Tell in the last lines what the tests ran on, and what they did not run on."""
    run = config.stash.get(_RUN, None)
    if run is None or config.option.collectonly:
        return
    terminalreporter.write_sep("-", "back-ends")
    for line in run.summary():
        terminalreporter.write_line(line)
    left_out = run.left_out()
    if left_out:
        terminalreporter.write_line(f"NOT TESTED ON: {', '.join(left_out)}", red=True, bold=True)
