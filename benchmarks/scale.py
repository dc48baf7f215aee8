# SPDX-License-Identifier: Apache-2.0

"""``python -m benchmarks.scale``: what the hot operations cost among ever more instances.

Each operation is timed in turns with the read of one known row, so that the ratio says what the operation costs in such
reads, however busy the machine is. Where an index leads to the rows it must not grow with the table. A host has 10
instances and a project 500, however many there are, but one project has half of all; as many rows again are in the
shadow table of instances. The server itself makes the rows, in steps: nothing here holds more than one step.
"""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import itertools
import os
import pathlib
import platform
import uuid
from typing import TYPE_CHECKING, Any, Final

import click
import rich
import sqlalchemy as sa
from rich.table import Table

from benchmarks import contests, copies, pages
from benchmarks.__main__ import BACKENDS, databases
from benchmarks.analysis import analyze
from benchmarks.operations import Operation, Ours, new_instances, values
from benchmarks.report import console
from nova_sqlcore import api, get_admin_context, tables, tx
from nova_sqlcore.queries.compute import instances

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

SIZES: Final = (1_000, 100_000, 1_000_000)
#: Instances that one INSERT of the server's own makes of as many others.
STEP: Final = 1_000
PER_HOST: Final = 10
MOMENT: Final = datetime.datetime(2016, 4, 8, 12)
#: The project of every other instance.
BIG: Final = "big"
#: Instances on a page, of all or of the big project.
PAGE: Final = 250
#: What a million instances and what hangs on them need to be found in memory, of a server of our own.
SETTINGS: Final = {
    "mariadb": {"innodb_buffer_pool_size": "3G", "innodb_log_file_size": "1G"},
    "mysql": {"innodb_buffer_pool_size": "3G", "innodb_redo_log_capacity": "1G"},
    "postgresql": {"shared_buffers": "2GB", "max_wal_size": "4GB"},
}
OURS, KNOWN_ROW = "ours", "known row"
_CHILDREN = (tables.instance_metadata, tables.instance_info_caches)


class Lists(Ours):
    """The library, with what is asked for among many."""

    def page_of_all(self, marker: str | None) -> Any:
        """Begin with the oldest ones: the newest are those that the benchmark has made."""
        return api.instance_get_all_by_filters(
            self.context, {"deleted": False}, sort_dir="asc", limit=PAGE, marker=marker
        )

    def page_by_id(self, _: None) -> Any:
        return api.instance_get_all_by_filters(self.context, {"deleted": False}, "id", "asc", limit=PAGE)

    def page_of_big(self, marker: str | None) -> Any:
        filters = {"deleted": False, "project_id": BIG}
        return api.instance_get_all_by_filters(self.context, filters, limit=PAGE, marker=marker)

    def stream(self, _: None) -> Any:
        filters = {"deleted": False, "project_id": BIG}
        return list(itertools.islice(instances.instance_get_all_iter(self.context, filters=filters, chunk=PAGE), PAGE))

    def archive(self, _: str) -> Any:
        return api.archive_deleted_rows(20)


class KnownRow:
    """The other side: it reads one row by its id, whatever it is asked for."""

    takes_anything = True

    def __init__(self) -> None:
        context = get_admin_context()
        identity = api.service_create(context, {"host": "h", "binary": "b", "topic": "t"})["id"]
        self._read = lambda _: api.service_get(context, identity)

    def open(self) -> contextlib.AbstractContextManager[None]:
        return contextlib.nullcontext()

    def __getattr__(self, name: str) -> Any:
        return self._read


def first_step() -> None:
    """Store the instances that all others are made of."""
    given = [_instance(number) for number in range(STEP)]
    with tx.writer(get_admin_context()) as t:
        t.insert_many(tables.instances, given)
        t.insert_many(tables.instance_metadata, [{"instance_uuid": one["uuid"], "key": "k"} for one in given])
        t.insert_many(tables.instance_info_caches, [{"instance_uuid": one["uuid"]} for one in given])


def _instance(number: int) -> dict[str, Any]:
    bare = {name: value for name, value in values(number).items() if "metadata" not in name}
    return bare | {
        "uuid": str(uuid.UUID(int=number)),
        "host": f"00000000-{number // PER_HOST}",
        "project_id": BIG if number % 2 else "00000000-small",
        "created_at": MOMENT,
    }


def grow(step: int) -> None:
    """Let the server make one more step: of each row of the first one, under another uuid, host and project."""
    with tx.main.engine.begin() as connection:
        for table in (tables.instances, *_CHILDREN):
            copies.copy(connection, table, step, table.c.id <= STEP, _others(step, table))
        _archive_a_copy(connection, step)


def _others(step: int, table: sa.Table) -> dict[str, Any]:
    """Return what else a copy has of its own. A second has as many instances as a step, among few and among many."""
    if table is not tables.instances:
        return {}
    project = sa.case((table.c.project_id == BIG, BIG), else_=copies.under(step, table.c.project_id))
    moment = sa.literal(MOMENT + datetime.timedelta(seconds=step), table.c.created_at.type)
    return {"host": copies.under(step, table.c.host), "project_id": project, "created_at": moment}


def _archive_a_copy(connection: sa.Connection, step: int) -> None:
    shadow, source = tables.metadata.tables["shadow_instances"], tables.instances
    names = [column.name for column in tables.row_columns(source) if column.name != "id"]
    columns = [tx.main.dialect.converted(source.c[name], shadow.c[name].type) for name in names]
    found = sa.select((source.c.id + 10**8 + step * STEP).label("id"), *columns).where(source.c.id <= STEP)
    connection.execute(sa.insert(shadow).from_select(["id", *names], found, include_defaults=False))


def operations(steps: int) -> list[Operation]:
    """Return the operations, which ask for something else each time."""
    turns = itertools.count(1, 7_919)

    def uuid_of(step: int, number: int) -> str:
        return f"{step:08x}" + str(uuid.UUID(int=number))[8:]

    def each(make: Callable[[int, int], str]) -> Callable[[int], list[Any]]:
        return lambda count: [make(*divmod(next(turns) % (steps * STEP), STEP)) for _ in range(count)]

    def in_the_middle(count: int) -> list[Any]:
        """Return an instance of the big project with a page behind it, among few instances too."""
        return [uuid_of(steps // 2, STEP // 2 + 1)] * count

    def dead(count: int) -> list[Any]:
        for one in new_instances(count):
            api.instance_destroy(get_admin_context(), one)
        return [""] * count

    def nothing(count: int) -> list[Any]:
        return [None] * count

    def given(count: int) -> list[Any]:
        return [values()] * count

    return [
        Operation("instance_get_by_uuid", "get_by_uuid", each(uuid_of)),
        Operation(
            f"instance_get_all_by_host, {PER_HOST}",
            "list_by_host",
            each(lambda step, one: f"{step:08x}-{one // PER_HOST}"),
        ),
        Operation(f"a project's {STEP // 2}", "page", each(lambda step, _: f"{step:08x}-small")),
        Operation(f"{PAGE} of half of all", "page_of_big", nothing),
        Operation(f"{PAGE} of half of all, in the middle", "page_of_big", in_the_middle),
        Operation(f"{PAGE} of all", "page_of_all", nothing),
        Operation(f"{PAGE} of all, in the middle", "page_of_all", in_the_middle),
        Operation(f"{PAGE} of all, by id", "page_by_id", nothing),
        Operation(f"instance_get_all_iter, {PAGE} of half of all", "stream", nothing),
        Operation("instance_create", "create", given, writes=True),
        Operation("instance_update", "update", each(uuid_of), writes=True),
        Operation("instance_destroy", "destroy", new_instances, writes=True),
        Operation("archive_deleted_rows, 20", "archive", dead, writes=True),
    ]


@dataclasses.dataclass(frozen=True)
class Measured:
    """What an operation costs among so many instances."""

    size: int
    operation: str
    #: time in reads of a known row
    reads: contests.Spread
    #: KiB at the peak
    memory: float


def measured(url: sa.URL, sizes: Sequence[int], rounds: int) -> Iterator[Measured]:
    """Fill the database at ``url`` from size to size and yield what each operation costs."""
    tx.close()
    tx.configure(url)
    try:
        tables.metadata.create_all(tx.main.engine)
        api.security_group_ensure_default(Ours().context)
        first_step()
        known, ours, done = KnownRow(), Lists(), 1
        for size in sizes:
            for step in range(done, size // STEP):
                grow(step)
            done = max(done, size // STEP)
            analyze(tx.main.engine, (tables.instances, *_CHILDREN))
            for operation in operations(done):
                times = contests.race(operation, {OURS: ours, KNOWN_ROW: known}, rounds)
                reads = contests.result(operation, times, {}).ratios[KNOWN_ROW]
                yield Measured(size, operation.name, reads, contests.memory(operation, ours))
    finally:
        tx.close()


def by_operation(found: Iterable[Measured]) -> dict[str, list[Measured]]:
    """Return the costs of each operation, by size."""
    costs: dict[str, list[Measured]] = {}
    for one in sorted(found, key=lambda one: one.size):
        costs.setdefault(one.operation, []).append(one)
    return costs


def lines(costs: Mapping[str, Sequence[Measured]]) -> Iterator[list[str]]:
    """Yield the cells of a table: an operation, its time at each size, how it has grown, its memory at each size."""
    for operation, found in costs.items():
        grown = found[-1].reads.median / found[0].reads.median
        times = [f"{one.reads.median:,.1f}{' ?' if one.reads.is_noisy else ''}" for one in found]
        yield [operation, *times, f"{grown:.1f}", " / ".join(f"{one.memory:,.0f}" for one in found)]


def titles(costs: Mapping[str, Sequence[Measured]]) -> list[str]:
    """Return the titles of that table."""
    sizes = [f"{one.size:,}" for one in next(iter(costs.values()))]
    return ["time in reads of a known row", *sizes, "grown", "KiB"]


def report(name: str, costs: Mapping[str, Sequence[Measured]]) -> None:
    """Print what operations cost at each size."""
    table = Table(*titles(costs), title=name, caption="by number of instances; KiB at the peak, in the same order")
    for line in lines(costs):
        table.add_row(*line)
    console.print(table)


def plot(directory: pathlib.Path, name: str, costs: Mapping[str, Sequence[Measured]]) -> None:
    """Draw cost over size."""
    import matplotlib as mpl  # who draws nothing need not have it

    mpl.use("Agg")
    from matplotlib import pyplot  # as above

    figure, axes = pyplot.subplots(figsize=(9, 6), layout="constrained")
    for place, (operation, found) in enumerate(costs.items()):
        pairs = [(one.size, one.reads.median) for one in found]
        style = "-" if place < len(mpl.color_sequences["tab10"]) else "--"  # then the colours begin again
        axes.plot(*zip(*pairs, strict=True), style, marker="o", label=operation)
    axes.set(xscale="log", yscale="log", xlabel="instances", ylabel="reads of one known row", title=name)
    axes.legend(fontsize=7, ncols=3, loc="upper center", bbox_to_anchor=(0.5, -0.12))
    directory.mkdir(parents=True, exist_ok=True)
    figure.savefig(directory / f"scale-{name}.png", dpi=100)
    pyplot.close(figure)


def write(runs: Mapping[str, Mapping[str, Sequence[Measured]]]) -> None:
    """Write tables and pictures for docs/performance."""
    parts = []
    for name, costs in runs.items():
        plot(pages.DOCS, name, costs)
        picture = (
            f".. image:: performance/scale-{name}.png\n   :alt: cost of each operation over the number of instances\n"
        )
        parts += [f"**{pages.product(name)}**\n", pages.list_table(titles(costs), [*lines(costs)]), picture]
    (pages.DOCS / "scale.inc").write_text("\n".join(parts))


@click.command()
@click.option("--backend", "names", multiple=True, type=click.Choice(BACKENDS), help="two servers by default")
@click.option("--size", "sizes", multiple=True, type=click.IntRange(STEP), help="how many; may be given repeatedly")
@click.option("--rounds", default=contests.ROUNDS, show_default=True, help="how often each pair is timed")
@click.option("--plot", "directory", type=click.Path(path_type=pathlib.Path), help="draw pictures into this directory")
@click.option("--docs", is_flag=True, help="write the tables and pictures of docs/performance")
def main(
    names: tuple[str, ...], sizes: tuple[int, ...], rounds: int, directory: pathlib.Path | None, docs: bool
) -> None:
    """Time the hot operations among 1,000, 100,000 and 1,000,000 instances."""
    rich.print(f"Python {platform.python_version()}, SQLAlchemy {sa.__version__}, {os.cpu_count()} processors")
    runs = {}
    with databases(names or ("mariadb", "postgresql"), SETTINGS) as urls:
        for name, url in urls.items():
            runs[name] = by_operation(measured(url, sorted(sizes or SIZES), rounds))
            report(name, runs[name])
            if directory:
                plot(directory, name, runs[name])
    if docs:
        write(runs)


if __name__ == "__main__":
    main()
