# SPDX-License-Identifier: Apache-2.0

"""``python -m benchmarks.scale``: what the hot operations cost among ever more instances.

Each operation is timed in turns with the read of one known row, so that the ratio says what the operation costs in such
reads, however busy the machine is. Where an index leads to the rows it must not grow with the table. A host has 20
instances and a project 1,000, whatever the number of all; as many rows again are in the shadow table of instances. The
server itself makes the rows, in steps: nothing here holds more than one step.
"""

from __future__ import annotations

import contextlib
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

from benchmarks import contests
from benchmarks.__main__ import BACKENDS, databases
from benchmarks.analysis import analyze
from benchmarks.operations import Operation, Ours, new_instances, values
from nova_sqlcore import api, get_admin_context, tables, tx

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SIZES: Final = (10_000, 100_000, 1_000_000)
#: Instances that one INSERT of the server's own makes of as many others.
STEP: Final = 10_000
PER_HOST, PER_PROJECT = 20, 1_000
OURS, KNOWN_ROW = "ours", "known row"
_CHILDREN = (tables.instance_metadata, tables.instance_info_caches)


class Lists(Ours):
    """The library, with what is asked for among many."""

    def page_of_all(self, _: None) -> Any:
        return api.instance_get_all_by_filters(self.context, {"deleted": False}, limit=100, columns_to_join=[])

    def page_by_id(self, _: None) -> Any:
        return api.instance_get_all_by_filters(
            self.context, {"deleted": False}, sort_key="id", sort_dir="asc", limit=100, columns_to_join=[]
        )

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
    moment = datetime.datetime(2016, 4, 8, 12)
    with tx.writer(get_admin_context()) as t:
        for start in range(0, STEP, PER_PROJECT):
            given = [_instance(number, moment) for number in range(start, start + PER_PROJECT)]
            t.insert_many(tables.instances, given)
            t.insert_many(tables.instance_metadata, [{"instance_uuid": one["uuid"], "key": "k"} for one in given])
            t.insert_many(tables.instance_info_caches, [{"instance_uuid": one["uuid"]} for one in given])


def _instance(number: int, moment: datetime.datetime) -> dict[str, Any]:
    bare = {name: value for name, value in values(number).items() if "metadata" not in name}
    return bare | {
        "uuid": str(uuid.UUID(int=number)),
        "host": f"00000000-{number // PER_HOST}",
        "project_id": f"00000000-{number // PER_PROJECT}",
        "created_at": moment + datetime.timedelta(seconds=number),
    }


def grow(step: int) -> None:
    """Let the server make one more step: of each row of the first one, under another uuid, host and project."""
    prefix = f"{step:08x}"
    renamed = {"uuid", "instance_uuid", "host", "project_id"}
    with tx.main.engine.begin() as connection:
        for table in (tables.instances, *_CHILDREN):
            source = table.alias()
            columns = [source.c[column.name] for column in tables.row_columns(table) if column.name != "id"]
            made = [
                (sa.literal(prefix) + sa.func.substr(column, 9)).label(column.name)
                if column.name in renamed
                else column
                for column in columns
            ]
            found = sa.select(*made).where(source.c.id <= STEP).order_by(source.c.id)
            names = [column.name for column in columns]
            connection.execute(sa.insert(table).from_select(names, found, include_defaults=False))
        _archive_a_copy(connection, step)


def _renamed(prefix: str, column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return (sa.literal(prefix) + sa.func.substr(column, 9)).label(str(column.key))


def _archive_a_copy(connection: sa.Connection, step: int) -> None:
    shadow, source = tables.metadata.tables["shadow_instances"], tables.instances
    names = [column.name for column in tables.row_columns(source) if column.name != "id"]
    columns = [tx.main.dialect.converted(source.c[name], shadow.c[name].type) for name in names]
    found = sa.select((source.c.id + 10**8 + step * STEP).label("id"), *columns).where(source.c.id <= STEP)
    connection.execute(sa.insert(shadow).from_select(["id", *names], found, include_defaults=False))


def operations(steps: int) -> list[Operation]:
    """Return the operations, which ask for something else each time."""
    turns = itertools.count(1, 7_919)

    def somewhere(kind: str, count: int) -> list[Any]:
        places = [next(turns) % (steps * STEP) for _ in range(count)]
        prefixes = [f"{place // STEP:08x}" for place in places]
        within = [place % STEP for place in places]
        match kind:
            case "uuid":
                return [prefix + str(uuid.UUID(int=one))[8:] for prefix, one in zip(prefixes, within, strict=True)]
            case "host":
                return [f"{prefix}-{one // PER_HOST}" for prefix, one in zip(prefixes, within, strict=True)]
        return [f"{prefix}-{one // PER_PROJECT}" for prefix, one in zip(prefixes, within, strict=True)]

    def of(kind: str) -> Any:
        return lambda count: somewhere(kind, count)

    def dead(count: int) -> list[Any]:
        for one in new_instances(count):
            api.instance_destroy(get_admin_context(), one)
        return [""] * count

    def nothing(count: int) -> list[Any]:
        return [None] * count

    def given(count: int) -> list[Any]:
        return [values()] * count

    return [
        Operation("instance_get_by_uuid", "get_by_uuid", of("uuid")),
        Operation("instance_get_all_by_host, 20", "list_by_host", of("host")),
        Operation("a page of a project's 1,000", "page", of("project")),
        Operation("the first 100 of all, by id", "page_by_id", nothing),
        Operation("the newest 100 of all", "page_of_all", nothing),
        Operation("instance_create", "create", given, writes=True),
        Operation("instance_update", "update", of("uuid"), writes=True),
        Operation("instance_destroy", "destroy", new_instances, writes=True),
        Operation("archive_deleted_rows, 20", "archive", dead, writes=True),
    ]


def measured(url: sa.URL, sizes: Sequence[int], rounds: int) -> Iterator[tuple[int, str, contests.Spread]]:
    """Fill the database at ``url`` from size to size and yield what each operation costs, in reads of a known row."""
    tx.close()
    tx.configure(url)
    try:
        tables.metadata.create_all(tx.main.engine)
        api.security_group_ensure_default(Ours().context)
        first_step()
        known, done = KnownRow(), 1
        for size in sizes:
            for step in range(done, size // STEP):
                grow(step)
            done = max(done, size // STEP)
            analyze(tx.main.engine, (tables.instances, *_CHILDREN))
            for operation in operations(done):
                times = contests.race(operation, {OURS: Lists(), KNOWN_ROW: known}, rounds)
                yield size, operation.name, contests.result(operation, times, {}).ratios[KNOWN_ROW]
    finally:
        tx.close()


def report(name: str, found: Sequence[tuple[int, str, contests.Spread]]) -> dict[str, list[tuple[int, float]]]:
    """Print what operations cost at each size, and return that."""
    sizes = sorted({size for size, _, _ in found})
    headings = [f"{size:,}" for size in sizes]
    table = Table("operation", *headings, "grown", title=f"{name}: time in reads of a known row")
    table.caption = "by number of instances"
    costs: dict[str, list[tuple[int, float]]] = {}
    for size, operation, spread in found:
        costs.setdefault(operation, []).append((size, spread.median))
    for operation, pairs in costs.items():
        table.add_row(operation, *(f"{ratio:,.1f}" for _, ratio in pairs), f"{pairs[-1][1] / pairs[0][1]:.2f}")
    rich.print(table)
    return costs


def plot(directory: pathlib.Path, name: str, costs: dict[str, list[tuple[int, float]]]) -> None:
    """Draw cost over size."""
    import matplotlib as mpl  # who draws nothing need not have it

    mpl.use("Agg")
    from matplotlib import pyplot  # as above

    figure, axes = pyplot.subplots(figsize=(9, 5), layout="constrained")
    for operation, pairs in costs.items():
        axes.plot(*zip(*pairs, strict=True), marker="o", label=operation)
    axes.set(xscale="log", yscale="log", xlabel="instances", ylabel="reads of one known row", title=name)
    axes.legend(fontsize=8)
    directory.mkdir(parents=True, exist_ok=True)
    figure.savefig(directory / f"scale-{name}.png", dpi=100)
    pyplot.close(figure)


@click.command()
@click.option("--backend", "names", multiple=True, type=click.Choice(BACKENDS), help="two servers by default")
@click.option("--size", "sizes", multiple=True, type=click.IntRange(STEP), help="how many; may be given repeatedly")
@click.option("--rounds", default=contests.ROUNDS, show_default=True, help="how often each pair is timed")
@click.option("--plot", "directory", type=click.Path(path_type=pathlib.Path), help="draw pictures into this directory")
def main(names: tuple[str, ...], sizes: tuple[int, ...], rounds: int, directory: pathlib.Path | None) -> None:
    """Time the hot operations among 10,000, 100,000 and 1,000,000 instances."""
    rich.print(f"Python {platform.python_version()}, SQLAlchemy {sa.__version__}, {os.cpu_count()} processors")
    with databases(names or ("mariadb", "postgresql")) as urls:
        for name, url in urls.items():
            costs = report(name, list(measured(url, sorted(sizes or SIZES), rounds)))
            if directory:
                plot(directory, name, costs)


if __name__ == "__main__":
    main()
