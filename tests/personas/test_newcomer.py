# SPDX-License-Identifier: Apache-2.0

"""A newcomer installs what was built, without the checkout, and types what README says."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: "all": try every Python from 3.11 on that is on the PATH or among pyenv's, as ``make test-matrix`` does.
PYTHONS = os.environ.get("NOVA_SQLCORE_TEST_PYTHONS", "")
#: The commands in README's shell lines that are tried as they stand.
COMMANDS = ("pip", "nova-sqlcore")
#: How a Python builds an archive of the sources with tools from another folder.
BUILD = "import sys; from hatchling.build import build_sdist; build_sdist(sys.argv[1])"


def run(*command: str | Path, **options: str | Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {
        name: str(value) for name, value in options.items() if name != "cwd"
    }
    path = environment.get("PATH")  # where the program itself is looked for
    program = shutil.which(command[0], path=path) or command[0]
    done = subprocess.run(
        [program, *command[1:]],
        cwd=options.get("cwd"),
        env=environment,
        check=False,
        timeout=100,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
    return done.stdout


def works(python: Path) -> bool:
    """Tell whether that is a Python, and not a name that leads to one which is not chosen."""
    return subprocess.run([python, "-c", ""], check=False, capture_output=True).returncode == 0


def pythons() -> list[str]:
    """Return the Pythons to try, one of each version."""
    found = {".".join(map(str, sys.version_info[:2])): sys.executable}
    if PYTHONS == "all":
        folders = [*map(Path, os.get_exec_path()), *sorted(Path.home().glob(".pyenv/versions/*/bin"))]
        for path in (path for folder in folders for path in sorted(folder.glob("python3.*"))):
            name = re.fullmatch(r"python(3\.(\d+))", path.name)
            if name and int(name[2]) >= 11 and works(path):
                found.setdefault(name[1], str(path))
    return list(found.values())


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the archive of the sources; pip fetches the tool for it."""
    tools, directory = tmp_path_factory.mktemp("tools"), tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "pip", "install", "--quiet", "--target", tools, "hatchling>=1.27")
    run(sys.executable, "-c", BUILD, directory, cwd=ROOT, PYTHONPATH=tools)
    (built,) = directory.glob("*.tar.gz")
    return built


@pytest.fixture(scope="module")
def wheel(sdist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel from the archive, as those do who package the library."""
    directory = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", directory, sdist)
    (built,) = directory.glob("*.whl")
    return built


def test_the_archive_has_what_is_needed_to_test_and_read_it(sdist: Path) -> None:
    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert names >= {"CHANGELOG.md", "CONTRIBUTING.md", "LICENSE", "Makefile", "README.md", "docs/conf.py"}
    assert names >= {"tests/conftest.py", "tools/make-venv", "sql/migrations/checksums.txt"}
    assert not [name for name in names if name.startswith(("docs/_build", ".venv"))]


def test_the_wheel_has_every_migration(wheel: Path) -> None:
    there = {str(path.relative_to(ROOT / "sql")) for path in (ROOT / "sql" / "migrations").rglob("*") if path.is_file()}
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    prefix = "nova_sqlcore/sql/"
    assert {name.removeprefix(prefix) for name in names if name.startswith(prefix)} == there
    assert "nova_sqlcore/py.typed" in names
    assert not [name for name in names if name.startswith("tests/")]


def test_the_wheel_has_every_extra_that_somebody_is_told_to_install(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        there = re.findall(r"^Provides-Extra: (.*)$", archive.read(metadata).decode(), re.MULTILINE)
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.rst"), *(ROOT / "nova_sqlcore").rglob("*.py")]
    told = {
        extra
        for page in pages
        for found in re.findall(r"sqlcore\[([a-z,]+)\]", page.read_text())
        for extra in found.split(",")
    }
    assert {"mysql", "cli", "otel"} <= told <= {*there}


@pytest.fixture(scope="module")
def readme() -> str:
    """Return what a newcomer reads first."""
    return (ROOT / "README.md").read_text()


@pytest.mark.parametrize("python", pythons())
def test_readme_to_the_letter(wheel: Path, readme: str, tmp_path: Path, python: str) -> None:
    """With SQLAlchemy alone first: the line that makes the tables and the ten lines; then with all extras.

    The checkout is out of reach: what runs comes from the wheel alone.
    """
    (make,) = re.findall(r"`(from nova_sqlcore import schema; .*)`", readme)
    (ten_lines,) = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    (tmp_path / "ten_lines.py").write_text(ten_lines)
    run(python, "-m", "venv", "--without-pip", tmp_path / "venv")
    world = into(tmp_path / "venv" / "bin", wheel) | {"cwd": tmp_path}
    run("pip", "install", "--quiet", "nova-sqlcore", **world)
    packages = run("pip", "list", "--format", "freeze", **world).lower()
    assert not re.search(r"^(click|rich|pymysql|psycopg|yoyo)", packages, re.MULTILINE)
    run("python", "-W", "error", "-c", make, **world)
    assert run("python", "-W", "error", "ten_lines.py", **world) == "committed\nweb\n"
    (tmp_path / "nova.sqlite").unlink()
    install, migrate = (re.findall(rf"^    ({word} .*?)(?: +#.*)?$", readme, re.MULTILINE) for word in COMMANDS)
    run("bash", "-c", *install, **world)
    shown = run("bash", "-c", *migrate, **world)
    applied = ("0001.reference-schema", "0002.indexes-for-hot-statements", "0003.order-of-indexes")
    assert shown.splitlines() == [f"applied {one}" for one in applied]
    assert run("python", "ten_lines.py", **world) == "committed\nweb\n"
    if PYTHONS == "all":
        run("pip", "install", "--quiet", *oldest("cli"), **world)
        assert "0003" in run("nova-sqlcore", "--url", "sqlite:///nova.sqlite", "db", "version", **world)
        assert "archive-deleted-rows" in run("nova-sqlcore", "--help", **world)


def oldest(extra: str) -> list[str]:
    """Return the oldest releases that an extra allows."""
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    return [requirement.partition(",")[0].replace(">=", "==") for requirement in extras[extra]]


def into(folder: Path, wheel: Path) -> dict[str, str | Path]:
    """Return an environment in which ``pip`` installs into a venv, the library from its wheel."""
    pip = folder / "pip"
    pip.write_text(f'#!/bin/sh\nexec {sys.executable} -m pip --python {folder}/python "$@"\n')
    pip.chmod(0o755)
    return {"PATH": f"{folder}:{os.environ['PATH']}", "PIP_FIND_LINKS": wheel.parent, "PIP_NO_COMPILE": "1"}


def test_make_knows_what_readme_says(readme: str) -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
    named = set(re.findall(r"(?:`|^    )make ([a-z-]+)", readme, re.MULTILINE))
    assert {"demo", "test", "docs", "bench"} <= named <= targets


def test_the_demo_of_readme() -> None:
    """``make demo``, with few servers, in the environment that the tests run in."""
    venv = Path(sys.prefix)
    there = ("-o", f"{venv}/installed", f"VENV={venv}")
    shown = run("make", "-C", ROOT, *there, "demo", "ARGS=--servers 2 --workers 1", PYTHONPATH=ROOT)
    assert "All invariants hold" in shown
