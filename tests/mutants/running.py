# SPDX-License-Identifier: Apache-2.0

"""The tests of a mutant: which ones run the changed line, and whether one of them fails."""

from __future__ import annotations

import collections
import contextlib
import dataclasses
import hashlib
import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

if TYPE_CHECKING:
    from types import TracebackType

    from tests.mutants.faults import Fault

ROOT = Path(__file__).parents[2]
#: The fast tests that know the core.
TESTS = ("tests/core", "tests/unit", "tests/test_bad_input.py")
#: Interrupts at random moments hang under a tracer, two are about the tests themselves, and one takes its time in a
#: process of its own, where nobody sees which lines it reaches.
NOT_THESE = (
    "tests/core/test_interrupts.py",
    "tests/unit/test_run.py",
    "tests/unit/test_mutants.py",
    "tests/core/test_statement_caches.py::test_memory",
)
#: Where the map and the results of former runs are kept.
KEPT = ROOT / ".mutants"
#: What a test session may take, since some mutants fill the memory.
_MEMORY = 4 * 1024**3
_COVERAGE = """\
[run]
data_file = {kept}/coverage
[report]
include = nova_sqlcore/core/*, nova_sqlcore/tx.py
[json]
show_contexts = true
"""

Outcome = Literal["killed", "survived", "timed out", "untested"]


def modules() -> list[str]:
    """Return the names of the modules of the core, those of packages with a slash, and ``tx``."""
    core = ROOT / "nova_sqlcore" / "core"
    paths = (path.relative_to(core).with_suffix("") for path in core.rglob("*.py") if path.name != "__init__.py")
    return [*sorted(str(path) for path in paths), "tx"]


def path_of(module: str) -> Path:
    """Return where a module of the core is, relative to the root; ``tx`` is the one outside core/."""
    return Path("nova_sqlcore", "tx.py") if module == "tx" else Path("nova_sqlcore", "core", f"{module}.py")


def _pytest(backends: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--backends", backends, *arguments]


def _environment() -> dict[str, str]:
    return os.environ | {"PYTHONPATH": ".", "CI": "", "PYTHONDONTWRITEBYTECODE": "1"}


@dataclasses.dataclass(frozen=True, slots=True)
class Map:
    """Which tests run which lines of which file."""

    tests: dict[str, dict[int, list[str]]]
    #: how many lines each test runs
    sizes: collections.Counter[str]

    @classmethod
    def load(cls, backends: str, jobs: int, *, old: bool) -> Self:
        """Return the map of this source, made by one run of all tests if it is not kept; ``old`` takes any kept one.

        Raises: CalledProcessError if a test fails without any fault.
        """
        kept = KEPT / f"map-{backends}-{_fingerprint()}.json"
        others = sorted(KEPT.glob(f"map-{backends}-*.json"), key=lambda path: path.stat().st_mtime)
        if not kept.exists() and old and others:
            kept = others[-1]
        elif not kept.exists():
            _run_all(kept, backends, jobs)
        files = json.loads(kept.read_text())["files"]
        tests = {name: _by_line(found["contexts"]) for name, found in files.items()}
        return cls(
            tests, collections.Counter(test for lines in tests.values() for names in lines.values() for test in names)
        )

    def of(self, fault: Fault, most: int) -> list[str]:
        """Return the tests that run the fault's statement, ``most`` of them.

        Those of the core come first, and among them those that do little else. What runs at
        import concerns every test of the module.
        """
        by_line = self.tests.get(str(path_of(fault.module)), {})
        lines = fault.lines or by_line
        found = {test for line in lines for test in by_line.get(line, ())}
        return sorted(found, key=lambda test: (not test.startswith(TESTS[0]), self.sizes[test], test))[:most]


def _run_all(kept: Path, backends: str, jobs: int) -> None:
    KEPT.mkdir(exist_ok=True)
    settings = KEPT / "coveragerc"
    settings.write_text(_COVERAGE.format(kept=KEPT))
    cover = ("--cov=nova_sqlcore", "--cov-context=test", f"--cov-config={settings}", f"--cov-report=json:{kept}.new")
    ignored = [f"--deselect={path}" for path in NOT_THESE]
    command = _pytest(backends, "-n", str(jobs), *cover, *ignored, *TESTS)
    subprocess.run(command, cwd=ROOT, env=_environment(), check=True)
    Path(f"{kept}.new").rename(kept)


def _by_line(contexts: dict[str, list[str]]) -> dict[int, list[str]]:
    return {int(line): sorted(_ran(names)) for line, names in contexts.items()}


def _ran(names: list[str]) -> set[str]:
    """Return the tests among coverage's contexts: "tests/core/test_x.py::test_y[sqlite]|run", those of fixtures too."""
    return {test for test, _, phase in (name.rpartition("|") for name in names) if phase in ("setup", "run")}


def _fingerprint() -> str:
    """Return what changes with the package and its tests."""
    digest = hashlib.sha256()
    for directory in ("nova_sqlcore", "tests"):
        for path in sorted((ROOT / directory).rglob("*.py")):
            if path.parent == Path(__file__).parent:
                continue
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


class Workshop:
    """A copy of the repository in which one mutant at a time is made and tested."""

    def __init__(self, backends: str) -> None:
        """Test on these back-ends."""
        self._backends = backends

    def __enter__(self) -> Self:
        """Copy what is not hidden."""
        self._directory = Path(tempfile.mkdtemp(prefix="nova-mutants-"))
        self._copy = self._directory / "copy"
        shutil.copytree(ROOT, self._copy, ignore=shutil.ignore_patterns(".*", "__pycache__", "_build"))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Remove the copy."""
        shutil.rmtree(self._directory, ignore_errors=True)

    def outcome(self, fault: Fault, tests: list[str], seconds: float) -> Outcome:
        """Return what the tests say about a fault."""
        if not tests:
            return "untested"
        path = self._copy / path_of(fault.module)
        sound = path.read_text()
        path.write_text(fault.source)
        try:
            return self._test(tests, seconds)
        finally:
            path.write_text(sound)

    def _test(self, tests: list[str], seconds: float) -> Outcome:
        names = self._directory / "tests"
        names.write_text("\n".join(tests))
        with subprocess.Popen(
            _pytest(self._backends, "-x", "-p", "no:xdist", f"@{names}"),
            cwd=self._copy,
            env=_environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        ) as process:
            try:
                resource.prlimit(process.pid, resource.RLIMIT_AS, (_MEMORY, _MEMORY))
                return "killed" if process.wait(seconds) else "survived"
            except subprocess.TimeoutExpired:
                return "timed out"
            finally:
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
