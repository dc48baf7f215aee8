# SPDX-License-Identifier: Apache-2.0

"""``python -m benchmarks.archive``: how fast whole trees move to the shadow tables, and in which memory.

Soft-deleted instances with twenty rows each are made on the server and archived without a limit, in a process of its
own. Time per row, statements per row and peak memory must not grow with their number. Linux only, for the memory.

    python -m benchmarks.archive --instances 1000 --instances 50000 --memory 32       # a million rows, in 32 MiB

Files of sqlite go to TMPDIR, so do those of the servers.
"""

from __future__ import annotations

import collections
import dataclasses
import multiprocessing
import os
import pathlib
import platform
import time
import uuid
from concurrent.futures import ProcessPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import click
import rich
import sqlalchemy as sa
from rich.table import Table

from benchmarks.__main__ import BACKENDS, databases
from benchmarks.analysis import analyze
from nova_sqlcore import tables, tx
from nova_sqlcore.queries.maintenance import archive

if TYPE_CHECKING:
    from collections.abc import Sequence

SIZES: Final = (1_000, 10_000)
#: Rows that hang on each instance, by table; one event hangs on each action.
CHILDREN: Final = {
    "instance_actions": 3,
    "instance_actions_events": 3,
    "instance_system_metadata": 6,
    "instance_metadata": 2,
    "instance_extra": 1,
    "instance_info_caches": 1,
    "instance_faults": 1,
    "instance_id_mappings": 1,
    "block_device_mapping": 1,
    "virtual_interfaces": 1,
}
#: What has been soft-deleted with the instance; the rest is marked as live.
DEAD: Final = ("instance_system_metadata", "instance_metadata", "block_device_mapping", "virtual_interfaces")
ROWS: Final = 1 + sum(CHILDREN.values())
#: Instances per INSERT.
STEP: Final = 10_000
TEXT: Final = "x" * 100


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What archiving so many instances took."""

    instances: int
    rows: int
    statements: int
    seconds: float
    #: MiB: the process before, and at its peak
    before: float
    peak: float

    @property
    def speed(self) -> float:
        """Rows per second."""
        return self.rows / self.seconds

    @property
    def memory(self) -> float:
        """MiB that archiving has taken at most."""
        return self.peak - self.before


def fill(count: int) -> None:
    """Make all tables anew, with ``count`` soft-deleted instances and what hangs on them."""
    engine = tx.main.engine
    tables.metadata.drop_all(engine)
    tables.metadata.create_all(engine)
    for start in range(1, count + 1, STEP):
        with engine.begin() as connection:
            _store(connection, range(start, min(start + STEP, count + 1)))
    analyze(engine, (tables.instances, *map(tables.metadata.tables.__getitem__, CHILDREN)))


def _store(connection: sa.Connection, numbers: Sequence[int]) -> None:
    given = [{"id": number, "uuid": str(uuid.UUID(int=number * 7_919)), "deleted": number} for number in numbers]
    connection.execute(tables.instances.insert(), given)
    for name, times in CHILDREN.items():
        for place in range(times):
            connection.execute(_copies(tables.metadata.tables[name], times, place, numbers))


def _copies(table: sa.Table, times: int, place: int, numbers: Sequence[int]) -> sa.Insert:
    """Store one row of ``table`` for each instance: its row number ``place`` of ``times``."""
    instances = tables.instances
    number = instances.c.id * times + place
    text: Any = sa.literal(TEXT)
    values = {"id": number, "deleted": number if table.name in DEAD else sa.literal(0)}
    links = {"instance_uuid": instances.c.uuid, "uuid": instances.c.uuid, "action_id": number}
    filling = dict.fromkeys(("key", "value", "message", "event", "action", "flavor", "network_info"), text)
    values |= {name: value for name, value in (links | filling | {"code": sa.literal(1)}).items() if name in table.c}
    rows = sa.select(*values.values()).where(instances.c.id.between(numbers[0], numbers[-1]))
    return sa.insert(table).from_select(list(values), rows, include_defaults=False)


def _archive(url: sa.URL, instances: int) -> Outcome:
    """Archive everything; runs in a process of its own."""
    tx.configure(url)
    archive.archive_deleted_rows(ROWS)  # statements are built, and a connection is open
    before = _memory("VmRSS")
    pathlib.Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew: it holds that of the parent process
    reports: collections.Counter[str] = collections.Counter()
    tx.observe(lambda report: reports.update({"statements": report.statements}))
    began = time.perf_counter()
    rows = sum(archive.archive_deleted_rows().values())
    seconds = time.perf_counter() - began
    tx.close()
    return Outcome(instances, rows, reports["statements"], seconds, before, _memory("VmHWM"))


def _memory(kind: str) -> float:
    """Return what Linux tells of this process, in MiB."""
    lines = pathlib.Path("/proc/self/status").read_text().splitlines()
    (line,) = (line for line in lines if line.startswith(kind))
    return int(line.split()[1]) / 1024


def measured(url: sa.URL, count: int) -> Outcome:
    """Fill the database at ``url`` and archive it.

    Raises: RuntimeError if anything is left, or nothing has moved.
    """
    tx.close()
    tx.configure(url)
    fill(count)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        outcome = pool.submit(_archive, url, count).result()
    with tx.main.engine.connect() as connection:
        left = connection.execute(sa.select(sa.func.count()).select_from(tables.instance_actions_events)).scalar_one()
    tx.close()
    if left or outcome.rows != ROWS * (count - 1):
        raise RuntimeError(f"{left} events are left, {outcome.rows} rows have moved")
    return outcome


def report(name: str, outcomes: Sequence[Outcome]) -> float:
    """Print a back-end's outcomes and return how much longer a row takes among the most instances than among fewest."""
    headings = ("instances", "rows", "statements", "seconds", "rows per second", "MiB before", "MiB at the peak")
    table = Table(*headings, title=name)
    for one in outcomes:
        cells = (f"{one.instances:,}", f"{one.rows:,}", f"{one.statements:,}", f"{one.seconds:,.1f}")
        table.add_row(*cells, f"{one.speed:,.0f}", f"{one.before:,.1f}", f"{one.peak:,.1f}")
    rich.print(table)
    return outcomes[0].speed / outcomes[-1].speed


@click.command()
@click.option("--backend", "names", multiple=True, type=click.Choice(BACKENDS), help="only these; all by default")
@click.option("--instances", "sizes", multiple=True, type=click.IntRange(2), help="how many; may be given repeatedly")
@click.option("--most", type=float, help="exit with 1 if a row takes more than this times as long among the most")
@click.option("--memory", type=float, help="exit with 1 if archiving takes more than this many MiB")
def main(names: tuple[str, ...], sizes: tuple[int, ...], most: float | None, memory: float | None) -> None:
    """Archive soft-deleted instances with twenty rows each: 1,000 and 10,000 of them by default."""
    rich.print(f"Python {platform.python_version()}, SQLAlchemy {sa.__version__}, {os.cpu_count()} processors")
    broken = []
    with databases(names or BACKENDS) as urls:
        for name, url in urls.items():
            outcomes = [measured(url, count) for count in sorted(sizes or SIZES)]
            growth = report(name, outcomes)
            if most is not None and growth > most:
                broken.append(f"{name}: a row takes {growth:.2f} times as long")
            taken = max(one.memory for one in outcomes)
            if memory is not None and taken > memory:
                broken.append(f"{name}: archiving takes {taken:.1f} MiB")
    if broken:
        raise click.ClickException("; ".join(broken))


if __name__ == "__main__":
    main()
