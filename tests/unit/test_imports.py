# SPDX-License-Identifier: Apache-2.0

"""What an import of the library costs, and what it leaves alone."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

#: Seconds of processor time that the whole API may take on top of SQLAlchemy, which takes about as much.
BUDGET = 0.25
_TIMED = """
import time
import sqlalchemy, sqlalchemy.dialects.mysql, sqlalchemy.dialects.postgresql, sqlalchemy.dialects.sqlite
before = time.process_time()
import nova_sqlcore.api
print(time.process_time() - before)
"""
_LOADED = """
import pkgutil, sys
import nova_sqlcore.api, nova_sqlcore.queries, nova_sqlcore.rows
for module in pkgutil.walk_packages(nova_sqlcore.queries.__path__, "nova_sqlcore.queries."):
    __import__(module.name)
print(*sorted({name.partition(".")[0] for name in sys.modules}))
"""


def output(program: str, **environment: str) -> str:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | environment).stdout


def test_an_import_is_quick(tmp_path: Path) -> None:
    compiled = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path)}
    times = [float(output(_TIMED, **compiled)) for _ in range(4)]  # the first one compiles
    assert min(times) < BUDGET


def test_drivers_and_the_command_line_are_loaded_by_those_who_use_them() -> None:
    loaded = set(output(_LOADED).split())
    assert "sqlalchemy" in loaded
    assert not loaded & {"click", "rich", "yoyo", "pymysql", "MySQLdb", "psycopg", "pytest"}
