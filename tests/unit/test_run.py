# SPDX-License-Identifier: Apache-2.0

"""A run of the tests tells what it ran on, and does not pass over a back-end in silence."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

ONE_TEST = "tests/queries/security/test_certificates.py"


def run(*arguments: str, ci: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", ONE_TEST, *arguments]
    outside = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST")}
    return subprocess.run(command, capture_output=True, text=True, check=False, env={**outside, "CI": ci})


@pytest.mark.parametrize("workers", ["0", "1"])
def test_a_back_end_that_is_left_out_is_told_and_fails_in_ci(workers: str) -> None:
    outcome = run("--backends", "sqlite", "-n", workers, ci="true")
    assert outcome.returncode == pytest.ExitCode.TESTS_FAILED, outcome.stdout
    *_, told, _ = outcome.stdout.splitlines()
    assert told == "NOT TESTED ON: mariadb, mysql, postgresql"
    assert " tests on sqlite 3." in outcome.stdout


def test_elsewhere_it_is_told_only() -> None:
    outcome = run("--backends", "sqlite", ci="")
    assert outcome.returncode == pytest.ExitCode.OK, outcome.stdout
    assert "NOT TESTED ON: mariadb, mysql, postgresql" in outcome.stdout


def test_a_name_that_is_no_back_end() -> None:
    outcome = run("--backends", "sqlite,oracle", ci="")
    assert outcome.returncode == pytest.ExitCode.USAGE_ERROR
    assert "no back-end is called oracle: take sqlite, mariadb, mysql, postgresql" in outcome.stderr
