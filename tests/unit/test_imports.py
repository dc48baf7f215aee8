# SPDX-License-Identifier: Apache-2.0

"""What an import of the library costs, and what it leaves alone."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

#: The processor time of an import, in times of that of SQLAlchemy alone; it was 2.1 with all
#: wings, 1.8 with all shadow tables, and is 1.6.
BUDGET = 1.85
_TIMED = """
import time
import {}
print(time.process_time())
"""
_MODULES = """
import sys
import nova_sqlcore.api
print(*sys.modules)
"""
_COLLECTS = """
import gc
{}
import nova_sqlcore.api
print(gc.isenabled())
"""
_SHADOWS = """
import gc
import sqlalchemy
import nova_sqlcore.api
from nova_sqlcore import api, context, tables, tx
tx.configure("sqlite://", create_tables=False)
print(*(it.name for it in gc.get_objects() if isinstance(it, sqlalchemy.Table) and it.name.startswith("shadow_")))
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
    names = ("sqlalchemy", "nova_sqlcore.api")
    rounds = [
        [float(output(_TIMED.format(name), **compiled)) for name in names] for _ in range(4)
    ]  # the first compiles
    alone, with_us = map(min, zip(*rounds, strict=True))
    assert with_us < BUDGET * alone


def test_a_wing_is_loaded_with_the_first_of_its_names() -> None:
    loaded = output(_MODULES).split()
    assert "nova_sqlcore.tx" in loaded
    assert not [name for name in loaded if name.startswith("nova_sqlcore.queries.")]


def test_shadow_tables_are_made_by_those_who_use_them() -> None:
    assert not output(_SHADOWS).split()


@pytest.mark.parametrize(("before", "then"), [("", "True"), ("gc.disable()", "False")])
def test_the_collector_is_as_it_was(before: str, then: str) -> None:
    assert output(_COLLECTS.format(before)).strip() == then


def test_drivers_and_the_command_line_are_loaded_by_those_who_use_them() -> None:
    loaded = set(output(_LOADED).split())
    assert "sqlalchemy" in loaded
    assert not loaded & {"click", "rich", "yoyo", "pymysql", "MySQLdb", "psycopg", "pytest"}
