# SPDX-License-Identifier: Apache-2.0

"""``python -m benchmarks.pools``: what an address out of a pool costs, however big the pool is.

Each allocation, with the return of the address, is timed in turns with what it can't do without: two transactions that
change one known row each. So the ratio says what finding a free address costs, and it must not grow with the pool, of
which half is taken.
"""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING, Any

import click
import rich
import sqlalchemy as sa
from rich.table import Table

from benchmarks import pairing
from benchmarks.__main__ import BACKENDS, databases
from benchmarks.analysis import analyze
from nova_sqlcore import get_admin_context, tables, tx
from nova_sqlcore.queries.common.clauses import arg
from nova_sqlcore.queries.network import fixed_ips, floating_ips

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

SIZES = (256, 4096, 65536)
POOLS = (tables.fixed_ips, tables.floating_ips)


def fill(size: int) -> None:
    """Make both tables anew, with ``size`` addresses of one pool each, of which the first half is taken."""
    engine = tx.main.engine
    for table in POOLS:
        table.drop(engine)
        table.create(engine)
    context = get_admin_context()
    addresses = [f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}" for number in range(size)]
    taken: list[str | None] = ["h"] * (size // 2) + [None] * (size // 2)
    rows = zip(addresses, taken, strict=True)
    fixed = [{"address": address, "network_id": 1, "host": owner} for address, owner in rows]
    floating = [{"address": one["address"], "pool": "pool", "project_id": one["host"]} for one in fixed]
    fixed_ips.fixed_ip_bulk_create(context, fixed)
    floating_ips.floating_ip_bulk_create(context, floating, want_result=False)
    analyze(engine, POOLS)


def pairs() -> Iterator[pairing.Pair]:
    context = get_admin_context()

    def fixed() -> None:
        row = fixed_ips.fixed_ip_associate_pool(context, 1, host="h")
        fixed_ips.fixed_ip_update(context, row["address"] or "", {"host": None})

    def floating() -> None:
        address = floating_ips.floating_ip_allocate_address(context, "p", "pool")
        floating_ips.floating_ip_deallocate(context, address)

    yield pairing.Pair("fixed IP", known_row(tables.fixed_ips, "host"), fixed)
    yield pairing.Pair("floating IP", known_row(tables.floating_ips, "project_id"), floating)


def known_row(table: sa.Table, column: str) -> Callable[[], None]:
    """Return what gives the first row an owner and takes it away, in two transactions."""
    context = get_admin_context()
    own = sa.update(table).where(table.c.id == arg("by_id")).values({column: arg("owner")})
    with tx.reader(context) as transaction:
        first = transaction.scalar(sa.select(sa.func.min(table.c.id).label("id")))

    def change() -> None:
        for owner in ("h", None):
            with tx.writer(context) as transaction:
                transaction.execute(own, by_id=first, owner=owner)

    return change


def measured(url: sa.URL, rounds: int) -> Iterator[tuple[int, pairing.Pair, pairing.Outcome]]:
    tx.close()
    tx.configure(url)
    try:
        tables.metadata.create_all(tx.main.engine)
        for size in SIZES:
            fill(size)
            for pair in pairs():
                yield size, pair, pairing.measure(pair, rounds)
    finally:
        tx.close()


def report(name: str, outcomes: Sequence[tuple[int, pairing.Pair, pairing.Outcome]]) -> list[str]:
    """Print a back-end's ratios and return how they have grown from the smallest pool to the biggest, as text."""
    table = Table("address", "pool", "known row, µs", "from the pool, µs", "ratio", "against the smallest", title=name)
    grown = []
    for kind in dict.fromkeys(pair.name for _, pair, _ in outcomes):
        of_kind = [(size, outcome) for size, pair, outcome in outcomes if pair.name == kind]
        smallest = of_kind[0][1].ratio
        for size, outcome in of_kind:
            growth = outcome.ratio / smallest
            cells: Any = (f"{outcome.by_hand:,.0f}", f"{outcome.ours:,.0f}", f"{outcome.ratio:.2f}", f"{growth:.2f}")
            table.add_row(kind, f"{size:,}", *cells)
        grown.append(f"{kind} on {name}: {growth:.2f}")
    rich.print(table)
    return grown


@click.command()
@click.option("--backend", "names", multiple=True, type=click.Choice(BACKENDS), help="only these; all by default")
@click.option("--rounds", default=pairing.ROUNDS, show_default=True, help="how often each pair is timed")
@click.option("--most", type=float, help="exit with 1 if the biggest pool costs more than this times the smallest")
def main(names: tuple[str, ...], rounds: int, most: float | None) -> None:
    """Time allocations out of pools of 256, 4,096 and 65,536 addresses."""
    rich.print(f"Python {platform.python_version()}, SQLAlchemy {sa.__version__}, {os.cpu_count()} processors")
    grown: list[str] = []
    with databases(names or BACKENDS) as urls:
        for name, url in urls.items():
            grown += report(name, list(measured(url, rounds)))
    too_much = [text for text in grown if most is not None and float(text.rpartition(" ")[2]) > most]
    if too_much:
        raise click.ClickException(f"more than {most} times the smallest pool: {'; '.join(too_much)}")


if __name__ == "__main__":
    main()
