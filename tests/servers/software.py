# SPDX-License-Identifier: Apache-2.0

"""Finds the programs of database servers, and installs them where that is ours to do."""

import itertools
import os
import re
import shutil
import subprocess
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

#: Where distributions put server programs besides PATH.
PLACES = (
    "/usr/sbin",
    "/usr/lib/postgresql/*/bin",
    "/usr/pgsql-*/bin",
    "/usr/libexec",
    "/usr/local/sbin",
    "/usr/local/mysql/bin",
    "/opt/homebrew/bin",
    "/opt/homebrew/opt/*/bin",
    "/usr/local/opt/*/bin",
)
#: Installing a server package runs its scripts; this file, while it exists, keeps them from starting the service.
POLICY = Path("/usr/sbin/policy-rc.d")

_installing = threading.Lock()


Accept = Callable[[Path], bool]


def _any(program: Path) -> bool:
    return True


class MissingServer(Exception):
    """A server program that isn't here and can't be installed; the text says what to do."""


def require(names: Sequence[str], package: str, accept: Accept = _any) -> Path:
    """Return the first program among ``names`` that is acceptable; install ``package`` if there is none and we may.

    Raises: MissingServer(text).
    """
    found = find(names, accept)
    if found is None:
        _install(package, names)
        found = find(names, accept)
    if found is None:
        raise MissingServer(f"{package} is installed, but none of its programs {', '.join(names)} can be found")
    return found


def find(names: Sequence[str], accept: Accept = _any) -> Path | None:
    """Return the first program among ``names`` on PATH or in the usual places; of several versions the newest."""
    for name in names:
        on_path = shutil.which(name)
        places = (directory / name for directory in _directories())
        for place in itertools.chain([Path(on_path)] if on_path else [], places):
            if os.access(place, os.X_OK) and accept(place.resolve()):
                return place.resolve()
    return None


def _directories() -> Iterator[Path]:
    for place in PLACES:
        yield from sorted(Path("/").glob(place.lstrip("/")), key=_version, reverse=True)


def _version(directory: Path) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", str(directory))]


def _install(package: str, names: Sequence[str]) -> None:
    wanted = f"The tests need a server of their own: {package} (one of {', '.join(names)}) is not installed."
    if os.geteuid() != 0 or not shutil.which("apt-get"):
        raise MissingServer(
            f"{wanted} Install it (Debian and Ubuntu: apt-get install {package}) or leave it out: --backends ..."
        )
    install(package, wanted)


def install(package: str, wanted: str) -> None:
    """Install a Debian package without starting its service; ``wanted`` says what for.

    Raises: MissingServer(text).
    """
    with _installing:
        _apt_get(package, wanted)


def _apt_get(package: str, wanted: str) -> None:
    """Install a Debian package without starting its service."""
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    no_policy_yet = not POLICY.exists()
    if no_policy_yet:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
    try:
        for arguments in (["update"], ["install", "-y", "--no-install-recommends", package]):
            command = ["apt-get", "-q", *arguments]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
            if done.returncode:
                said = (done.stdout + done.stderr)[-2000:]
                raise MissingServer(f"{wanted} {' '.join(command)} failed:\n{said}")
    finally:
        if no_policy_yet:
            POLICY.unlink()
