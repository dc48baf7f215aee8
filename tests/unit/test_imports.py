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

    from tests.plugins.backend import Backend

#: The processor time of an import, in times of that of SQLAlchemy alone; it was 2.1 with all
#: wings, 1.8 with all shadow tables, 1.6 with all dialects, and is 1.2.
BUDGET = 1.4
#: SQLAlchemy's packages of the families.
DIALECTS = {f"sqlalchemy.dialects.{name}" for name in ("sqlite", "mysql", "postgresql")}
DRIVERS = {"pymysql", "MySQLdb", "psycopg"}
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
frozen = gc.get_freeze_count()  # Python 3.12 freezes some objects itself
{}
import nova_sqlcore.api
print(gc.isenabled(), gc.get_freeze_count() > frozen)
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
print(*sys.modules)
"""
_IN_USE = """
import sys
from nova_sqlcore import api, context, schema, tx
tx.configure({!r})
schema.create(tx.main)
api.service_get_all(context.get_admin_context(), disabled=False)
print(*sys.modules)
"""
_COMPILED = """
import sys
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from nova_sqlcore import tables
from nova_sqlcore.core import dialects
t = tables.services
statement = sa.select(t.c.id).where(t.c.host == "a", dialects.vague(t.c.deleted) == 0)
for family in (mysql, postgresql, sqlite):
    print(str(statement.whereclause.compile(dialect=family.dialect())))
    assert family.__name__.replace("sqlalchemy", "nova_sqlcore.core") not in sys.modules
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


@pytest.mark.parametrize(
    ("before", "then"), [("", "True False"), ("gc.disable()", "False False"), ("gc.freeze()", "True True")]
)
def test_the_collector_is_as_it_was(before: str, then: str) -> None:
    assert output(_COLLECTS.format(before)).strip() == then


def test_dialects_drivers_and_the_command_line_are_loaded_by_those_who_use_them() -> None:
    loaded = set(output(_LOADED).split())
    assert "sqlalchemy" in loaded
    assert not loaded & {"click", "rich", "yoyo", "pytest", *DIALECTS, *DRIVERS}


def test_a_family_is_loaded_with_the_first_of_its_databases(backend: Backend) -> None:
    url = backend.url.render_as_string(hide_password=False)
    loaded = set(output(_IN_USE.format(url)).split())
    assert loaded & DIALECTS == {f"sqlalchemy.dialects.{backend.family}"}
    assert loaded & DRIVERS == {backend.url.get_driver_name()} & DRIVERS


def test_statements_compile_with_a_dialect_of_the_callers_own() -> None:
    in_bytes = "CAST(CONVERT(services.host USING utf8mb4) AS BINARY)"
    assert output(_COMPILED).splitlines() == [
        f"(services.host = %s AND {in_bytes} = %s) AND services.deleted = %s",
        "services.host = %(host_1)s::VARCHAR AND services.deleted = %(param_1)s::INTEGER",
        "services.host = ? AND +services.deleted = ?",
    ]
