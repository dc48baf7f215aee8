"""What is built and installed has all that the command needs."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel; pip fetches the tools for it."""
    directory = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--quiet", "--wheel-dir", str(directory), str(ROOT)]
    subprocess.run(command, check=True, timeout=100)
    (built,) = directory.glob("*.whl")
    return built


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
    done = subprocess.run(
        [sys.executable, "-c", code, "migrate", "--url", f"sqlite:///{tmp_path}/nova.sqlite"],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path / "installed")},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [
        str(tmp_path / "installed" / "nova_sqlcore" / "__init__.py"),
        "applied 0001.reference-schema",
        "applied 0002.indexes-for-hot-statements",
    ]
