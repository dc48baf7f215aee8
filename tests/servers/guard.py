# SPDX-License-Identifier: Apache-2.0

"""Runs one command and stands by it, so that nothing stays behind whatever happens to the parent.

    guard.py DIRECTORY USER SIGNAL COMMAND...

The command runs as USER (empty: as ourselves) with its output in DIRECTORY/log; its process id is printed. On SIGTERM,
and when our standard input or our parent ends, it is stopped by SIGNAL and DIRECTORY removed. A command that ends by
itself leaves DIRECTORY alone.

This is a process of its own because only that outlives a parent which gets killed; it imports nothing of the project so
that it starts in a moment.
"""

import ctypes
import functools
import os
import select
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

#: Seconds between two looks at the parent and the command.
LOOK = 0.05
#: Seconds that a command has to stop before it is killed.
PATIENCE = 10

PR_SET_PDEATHSIG = 1


def main(directory: Path, user: str, stop_signal: int, command: list[str]) -> int:
    """Run ``command`` until it ends or has to end; return its exit status."""
    parent = os.getppid()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    process = spawn(directory, user, stop_signal, command)
    try:
        print(process.pid, flush=True)
        while process.poll() is None and os.getppid() == parent and not select.select([sys.stdin], [], [], LOOK)[0]:
            pass
    finally:
        if process.poll() is None:
            stop(process, stop_signal)
            shutil.rmtree(directory, ignore_errors=True)
    return process.returncode


def spawn(directory: Path, user: str, stop_signal: int, command: list[str]) -> subprocess.Popen[bytes]:
    """Start ``command`` in a process group of its own."""
    identity: dict[str, Any] = {"user": user, "group": group_of(user), "extra_groups": []} if user else {}
    with open(directory / "log", "ab") as log:
        return subprocess.Popen(
            command,
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            # runs after the change of user, which would reset it; there are no other threads here
            preexec_fn=functools.partial(die_with_parent, stop_signal) if sys.platform == "linux" else None,  # noqa: PLW1509
            **identity,
        )


def group_of(user: str) -> int:
    """Return the primary group of ``user``."""
    import pwd

    return pwd.getpwnam(user).pw_gid


def die_with_parent(stop_signal: int) -> None:
    """Let the kernel stop this process when the guard itself is killed."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, stop_signal)


def stop(process: subprocess.Popen[bytes], stop_signal: int) -> None:
    """Stop the command and whatever it has started in its group."""
    os.killpg(process.pid, stop_signal)
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), sys.argv[4:]))
