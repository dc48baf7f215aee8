# SPDX-License-Identifier: Apache-2.0

"""``python -m benchmarks.tricks``: what each trick of the library gains: calls with it and without it, in turns.

A trick is taken out by its own switch: an option of the database, or the road that statements take.
"""

from __future__ import annotations

import contextlib
import os
import platform
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import click
import rich
import sqlalchemy as sa
from rich.table import Table

from benchmarks import contests, operations
from benchmarks.__main__ import BACKENDS, by_way_of, databases
from nova_sqlcore import tables, tx
from nova_sqlcore.core import roads

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

WITH, WITHOUT = "with", "without"


class Trick(NamedTuple):
    """What is switched off."""

    name: str
    backends: tuple[str, ...]
    #: options of the database; without any it is the driver's road that is left
    options: dict[str, Any]


_MYSQL: Final = ("mariadb", "mysql")
TRICKS: Final = (
    Trick("statements on the driver's cursor", BACKENDS, {}),
    Trick("statements travel together", (*_MYSQL, "postgresql"), {"batch": False}),
    Trick("generated reader of rows", _MYSQL, {"fast_reader": False}),
    Trick("short way of prepared statements", ("postgresql",), {"fast_reader": False}),
    Trick("prepared statements", ("postgresql",), {"prepare_threshold": None}),
)
CALLS: Final = ("get_service", "get_by_uuid", "list_by_host", "create", "update", "destroy", "reserve_and_commit")


class OnCoreRoad:
    """The library with every statement by way of SQLAlchemy's connection."""

    def __init__(self) -> None:
        self._ours = operations.Ours()

    def open(self) -> contextlib.AbstractContextManager[None]:
        return self._ours.open()

    def __getattr__(self, name: str) -> Any:
        call = getattr(self._ours, name)

        def led(given: Any) -> Any:
            roads.USUAL = roads.CORE
            try:
                return call(given)
            finally:
                roads.USUAL = roads.DRIVER

        return led


@contextlib.contextmanager
def without(trick: Trick, url: sa.URL) -> Iterator[Any]:
    """Yield a contestant that does without the trick."""
    if not trick.options:
        yield OnCoreRoad()
        return
    database = tx.Database(f"without {trick.name}")
    database.configure(url, **trick.options)
    ours = operations.Ours()
    ours.context.db_connection = database
    try:
        yield ours
    finally:
        database.close()


def measured(name: str, url: sa.URL, rounds: int) -> Iterator[tuple[str, str, contests.Spread]]:
    """Yield trick, call, and how many times as long the call takes without it."""
    stock = operations.fill()
    calls = [one for one in operations.operations(stock) if one.method in CALLS and not one.joined]
    for trick in TRICKS:
        if name in trick.backends:
            with without(trick, url) as other:
                for call in calls:
                    times = contests.race(call, {WITHOUT: other, WITH: operations.Ours()}, rounds)
                    yield trick.name, call.name, contests.result(call, times, {}).ratios[WITH]


def report(title: str, found: Sequence[tuple[str, str, contests.Spread]]) -> None:
    """Print what the tricks gain."""
    names = [*dict.fromkeys(trick for trick, _, _ in found)]
    table = Table("call: times as long without", *names, title=title)
    cells = {(call, trick): f"{spread.median:.2f}{' ?' if spread.is_noisy else ''}" for trick, call, spread in found}
    for call in dict.fromkeys(call for _, call, _ in found):
        table.add_row(call, *(cells[call, trick] for trick in names))
    rich.print(table)


@click.command()
@click.option("--backend", "names", multiple=True, type=click.Choice(BACKENDS), help="only these; all by default")
@click.option("--link", "links", multiple=True, type=float, help="also over a link of so many milliseconds per trip")
@click.option("--rounds", default=contests.ROUNDS, show_default=True, help="how often each pair is timed")
def main(names: tuple[str, ...], links: tuple[float, ...], rounds: int) -> None:
    """Time calls with each trick of the library and without it."""
    rich.print(f"Python {platform.python_version()}, SQLAlchemy {sa.__version__}, {os.cpu_count()} processors")
    with databases(names or BACKENDS) as urls:
        for name, url in urls.items():
            for link in (0, *(links if name != "sqlite" else ())):
                with by_way_of(url, link) if link else contextlib.nullcontext((url, None)) as (far, _):
                    tx.close()
                    tx.configure(far)
                    tables.metadata.drop_all(tx.main.engine)
                    tables.metadata.create_all(tx.main.engine)
                    report(f"{name}{f', a link of {link:g} ms' if link else ''}", list(measured(name, far, rounds)))
                    tx.close()


if __name__ == "__main__":
    main()
