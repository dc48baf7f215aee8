# SPDX-License-Identifier: Apache-2.0

"""What the library remembers of statements has bounds, whatever shapes its callers make."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from nova_sqlcore import get_admin_context, tables, tx
from nova_sqlcore.core import statements

if TYPE_CHECKING:
    from tests.plugins.backend import Backend

#: MB that 2,048 shapes of an update may take, twice as many as are kept; it is 28, and 43 if none were forgotten.
LIMIT = 36


def test_memory(tmp_path: Path) -> None:
    """A process of its own shows what is taken, by sqlite too."""
    program = f"""
        import gc, sqlalchemy as sa
        from nova_sqlcore import RequestContext, api, tables, tx

        def resident():
            gc.collect()
            with open("/proc/self/statm") as file:
                return int(file.read().split()[1]) * 4096 / 1e6

        tx.configure("sqlite:///{tmp_path}/memory.sqlite")
        tables.metadata.create_all(tx.main.engine)
        context = RequestContext("u", "p")
        uuid = api.instance_create(context, {{"project_id": "p"}})["uuid"]
        names = ["host", "node", "key_name", "vm_state", "task_state", "os_type", "vm_mode", "launched_on"]
        names += ["architecture", "display_name", "cell_name", "root_device_name"]
        before = resident()
        for shape in range(2048):
            api.instance_update(context, uuid, {{name: "x" for n, name in enumerate(names) if shape >> n & 1}})
        print(resident() - before)
    """
    root = Path(__file__).parents[2]
    command = [sys.executable, "-W", "ignore", "-c", textwrap.dedent(program)]
    environment = os.environ | {"NOVA_SQLCORE_ROAD": "driver"}  # on its own road SQLAlchemy keeps as much again
    done = subprocess.run(command, cwd=root, env=environment, check=True, capture_output=True, text=True, timeout=110)
    assert float(done.stdout) < LIMIT


def test_a_cache_forgets_what_is_not_asked_for(backend: Backend) -> None:
    cells = tables.cells
    hot = sa.select(cells.c.name)
    with tx.reader(get_admin_context()) as t:
        for number in range(2 * statements.CACHE_SIZE):
            t.rows(sa.select(cells.c.id, sa.literal(number).label("number")))
            t.rows(hot)
    caches: list[Any] = [one for one in tx.main._caches.values() if one.kept]
    gc.collect()
    assert max(one.kept for one in caches) <= statements.CACHE_SIZE
    assert any(hot in one for one in caches)
