# SPDX-License-Identifier: Apache-2.0

"""What is built and installed has all that the library and its command need, without the checkout."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
#: "all": try every Python from 3.11 on that is on the PATH or among pyenv's, as ``make test-matrix`` does.
PYTHONS = os.environ.get("NOVA_SQLCORE_TEST_PYTHONS", "")
#: How a Python builds an archive of the sources with tools from another folder.
BUILD = "import sys; from hatchling.build import build_sdist; build_sdist(sys.argv[1])"


def run(*command: str | Path, **options: str | Path) -> str:
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"} | {
        name: str(value) for name, value in options.items() if name != "cwd"
    }
    done = subprocess.run(
        command, cwd=options.get("cwd"), env=environment, check=True, timeout=100, capture_output=True, text=True
    )
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


def test_an_installed_command_migrates(wheel: Path, tmp_path: Path) -> None:
    """From the wheel alone: the checkout is out of reach."""
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(tmp_path / "installed")
    code = "import nova_sqlcore; print(nova_sqlcore.__file__); from nova_sqlcore.cli import main; main()"
    url = f"sqlite:///{tmp_path}/nova.sqlite"
    shown = run(sys.executable, "-c", code, "migrate", "--url", url, cwd=tmp_path, PYTHONPATH=tmp_path / "installed")
    assert shown.splitlines() == [
        str(tmp_path / "installed" / "nova_sqlcore" / "__init__.py"),
        "applied 0001.reference-schema",
        "applied 0002.indexes-for-hot-statements",
    ]


@pytest.mark.parametrize("python", pythons())
def test_the_ten_lines_run_with_sqlalchemy_alone(wheel: Path, tmp_path: Path, python: str) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    make = 'from nova_sqlcore import schema\nschema.create("sqlite:///nova.sqlite")\n'
    (tmp_path / "ten_lines.py").write_text(make + example)
    run(python, "-m", "venv", "--without-pip", tmp_path / "venv")
    installed = tmp_path / "venv" / "bin" / "python"
    pip = (sys.executable, "-m", "pip", "--python", installed)
    run(*pip, "install", "--quiet", "--no-compile", wheel)
    packages = run(*pip, "list", "--format", "freeze").lower()
    assert not re.search(r"^(click|rich|pymysql|psycopg|yoyo)", packages, re.MULTILINE)
    assert run(installed, "-W", "error", "ten_lines.py", cwd=tmp_path) == "committed\nweb\n"
