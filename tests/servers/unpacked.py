# SPDX-License-Identifier: Apache-2.0

"""Server programs from packages that apt fetches and nobody installs: they are unpacked into a folder of the cache.

Each comes with every library that it was built against, the C library included, and is run through a script that names
them; so the packages of Debian's unstable suite run on any release. The folder stays for later runs; remove it to get a
newer version.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import platform
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.servers.software import MissingServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: Packages that a server's dependencies name and that it runs without: interpreters, init, basic tools.
_LEFT_OUT: Final = (
    *("adduser", "bash", "coreutils", "debconf", "debianutils", "dpkg", "init", "libperl", "lsb-base", "lsof", "mount"),
    *("passwd", "perl", "psmisc", "rsync", "socat", "systemd", "sysvinit", "tar_", "ucf", "util-linux"),
)
_SCRIPT: Final = """\
#!/bin/sh
first=
case "${{1:-}}" in --no-defaults) first=$1; shift ;; esac
exec "{loader}" --library-path "{libraries}" --argv0 "{script}" "{binary}" $first {options} "$@"
"""
#: The system tables, and root without a password: what the script of the package does, without looking for programs.
_INSTALL_DB: Final = """\
#!/bin/sh
for argument; do
  shift
  case $argument in
    --datadir=*) mkdir -p "${{argument#*=}}/mysql"; set -- "$@" "$argument" ;;
    --skip-test-db) ;;
    *) set -- "$@" "$argument" ;;
  esac
done
cd "{share}"
{{ echo "use mysql;"
  echo "set @auth_root_socket=NULL;"
  cat mariadb_system_tables.sql mariadb_performance_tables.sql mariadb_system_tables_data.sql mariadb_sys_schema.sql
}} | sed /@current_hostname/d | "{server}" "$@" --bootstrap --log-warnings=0
"""


def programs(packages: Sequence[str], suite: str = "") -> Path:
    """Return the folder with the programs of ``packages``, of a suite of Debian's or of apt's own sources.

    Raises: MissingServer(text).
    """
    home = _cache()
    folder = home / "-".join([packages[0], suite or _release().get("VERSION_CODENAME", ""), platform.machine()])
    home.mkdir(parents=True, exist_ok=True)
    with open(home / ".lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # another run may be unpacking the same
        if not folder.exists():
            _unpack(packages, suite, folder)
    return folder / "bin"


def distribution() -> str:
    """Return what the system calls itself: debian, ubuntu, and so on."""
    return _release().get("ID", "")


def _release() -> dict[str, str]:
    with contextlib.suppress(OSError):
        return platform.freedesktop_os_release()
    return {}


def _cache() -> Path:
    """Return the folder that keeps what is unpacked; root's is open to the accounts that servers run under."""
    named = os.environ.get("XDG_CACHE_HOME")
    home = Path("/var/cache") if os.geteuid() == 0 else Path.home() / ".cache"
    return Path(named or home) / "nova-sqlcore" / "servers"


def _unpack(packages: Sequence[str], suite: str, folder: Path) -> None:
    for tool in ("apt-get", "dpkg-deb"):
        if not shutil.which(tool):
            raise MissingServer(f"The tests need {packages[0]}, which {tool} would unpack; {tool} is not installed.")
    with tempfile.TemporaryDirectory(prefix=".new-", dir=folder.parent) as scratch:
        new = Path(scratch) / "unpacked"
        new.mkdir(mode=0o755)
        with _apt(suite) as apt:
            for package in apt(packages):
                if not package.name.startswith(_LEFT_OUT):
                    subprocess.run(["dpkg-deb", "-x", package, new], check=True)
        for name in ("doc", "man", "locale", "info"):
            shutil.rmtree(new / "usr/share" / name, ignore_errors=True)
        _write_scripts(new, folder)
        new.rename(folder)


@contextlib.contextmanager
def _apt(suite: str) -> Iterator[Callable[[Sequence[str]], list[Path]]]:
    """Yield a function that fetches packages and all that they need, with lists of its own."""
    with tempfile.TemporaryDirectory(prefix="nova-apt-") as name:
        state = Path(name)
        for part in ("lists/partial", "cache/archives/partial", "state"):
            (state / part).mkdir(parents=True)
        (state / "status").touch()
        settings = {
            "Dir::State": state / "state",
            "Dir::State::status": state / "status",
            "Dir::State::Lists": state / "lists",
            "Dir::Cache": state / "cache",
            "APT::Install-Recommends": "false",
            "APT::Sandbox::User": "root",
            "Acquire::Check-Valid-Until": "false",  # a mirror of a past day serves as well
            "Debug::NoLocking": "1",
        }
        if suite:
            (state / "sources.list").write_text(f"deb {_mirror()} {suite} main\n")
            settings |= {"Dir::Etc::SourceList": state / "sources.list", "Dir::Etc::SourceParts": "/dev/null"}
        options = [f"-o{key}={value}" for key, value in settings.items()]

        def fetch(packages: Sequence[str]) -> list[Path]:
            _run(["apt-get", "-q", *options, "update"])
            _run(["apt-get", "-q", *options, "install", "-y", "--download-only", *packages])
            return sorted((state / "cache/archives").glob("*.deb"))

        yield fetch


def _mirror() -> str:
    """Return the archive that apt takes this release from."""
    codename = _release().get("VERSION_CODENAME", "unstable")
    lines = _run(["apt-get", "indextargets", "--format", "$(REPO_URI) $(RELEASE) $(COMPONENT)", "Created-By: Packages"])
    for line in lines.splitlines():
        uri, _, rest = line.partition(" ")
        if rest == f"{codename} main":
            return uri
    raise MissingServer(f"apt's sources name no archive of Debian {codename} to take another suite from")


def _run(command: Sequence[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        raise MissingServer(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return done.stdout


def _write_scripts(new: Path, folder: Path) -> None:
    """Write a script for each server program that was unpacked to ``new``, which will be moved to ``folder``."""
    (new / "bin").mkdir()
    postgresql = next(new.glob("usr/lib/postgresql/*/bin"), None)
    if postgresql is not None:
        _wrap_postgresql(new, folder, postgresql)
    for name in ("mariadbd", "mysqld"):  # MariaDB has both names
        if (new / "usr/sbin" / name).exists():
            share = next(path for path in (new / "usr/share/mariadb", new / "usr/share/mysql") if path.exists())
            _wrap_mysql(new, folder, name, folder / share.relative_to(new))
            return
    for name in ("pgbouncer", "haproxy"):
        if (new / "usr/sbin" / name).exists():
            _write(new / "bin" / name, _script(new, folder, folder / "bin" / name, folder / "usr/sbin" / name))


def _wrap_mysql(new: Path, folder: Path, name: str, share: Path) -> None:
    options = {
        "basedir": folder / "usr",
        "lc-messages-dir": share,
        "character-sets-dir": share / "charsets",
        "plugin-dir": folder / "usr/lib/mysql/plugin",
    }
    if name == "mysqld":
        options["secure-file-priv"] = Path("NULL")  # its default is a folder of an installed server
    words = " ".join(f'"--{key}={value}"' for key, value in options.items())
    _write(new / "bin" / name, _script(new, folder, folder / "bin" / name, folder / "usr/sbin" / name, words))
    if name == "mariadbd":
        text = _INSTALL_DB.format(share=share, server=folder / "bin" / name)
        _write(new / "bin/mariadb-install-db", text)


def _wrap_postgresql(new: Path, folder: Path, binaries: Path) -> None:
    """Wrap every program where it stands, for they call each other."""
    real = binaries.with_name("real")
    binaries.rename(real)
    binaries.mkdir()
    (new / "bin").rmdir()
    (new / "bin").symlink_to(binaries.relative_to(new))
    for program in real.iterdir():
        script = folder / binaries.relative_to(new) / program.name
        text = _script(new, folder, script, folder / program.relative_to(new))
        _write(binaries / program.name, text)


def _script(new: Path, folder: Path, script: Path, binary: Path, options: str = "") -> str:
    loader = next(path for path in new.rglob("ld-linux*.so.*") if path.is_file())
    found = {path.parent for path in new.rglob("*.so.*")}
    libraries = ":".join(str(folder / path.relative_to(new)) for path in sorted(found))
    loader = folder / loader.relative_to(new)
    return _SCRIPT.format(loader=loader, libraries=libraries, script=script, binary=binary, options=options)


def _write(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)
