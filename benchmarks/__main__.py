# SPDX-License-Identifier: Apache-2.0

"""``python -m benchmarks``: paired ratios on every back-end, in private servers that it starts."""

from __future__ import annotations

import contextlib
import os
import platform
import secrets
import tempfile
from typing import TYPE_CHECKING, Any

import click
import rich
import sqlalchemy as sa
from rich.table import Table

from benchmarks import pairing, reads
from nova_sqlcore import tables, tx
from tests import servers

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BACKENDS = ("sqlite", *servers.PRODUCTS)


@contextlib.contextmanager
def databases(names: Sequence[str]) -> Iterator[dict[str, sa.URL]]:
    """Start the servers needed and yield the URL of an empty database on each back-end."""
    with contextlib.ExitStack() as stack:
        up = stack.enter_context(servers.running(*(name for name in names if name != "sqlite")))
        database = f"bench_{secrets.token_hex(4)}"
        urls = {}
        for name, server in up.items():
            urls[name] = server.create_database(database)
            stack.callback(server.drop_database, database)
            if server.fast_connect:  # both sides without TLS, whose cost would hide the difference
                urls[name] = urls[name].update_query_dict({"ssl_disabled": "1"})
        if "sqlite" in names:
            directory = stack.enter_context(tempfile.TemporaryDirectory())
            urls["sqlite"] = sa.make_url(f"sqlite:///{directory}/bench.sqlite")
        yield {name: urls[name] for name in names}


@click.command()
@click.option("--backend", "names", multiple=True, type=click.Choice(BACKENDS), help="only these; all by default")
@click.option("--rounds", default=pairing.ROUNDS, show_default=True, help="how often each pair is timed")
@click.option("--most", type=float, help="exit with 1 if a one-row read is more than this times the hand-written one")
def main(names: tuple[str, ...], rounds: int, most: float | None) -> None:
    """Time the library against hand-written DB-API code that gives the same answers."""
    rich.print(f"Python {platform.python_version()}, SQLAlchemy {sa.__version__}, {os.cpu_count()} processors")
    too_slow = []
    with databases(names or BACKENDS) as urls:
        for name, url in urls.items():
            table = Table("read", "by hand, µs", "ours, µs", "ours / by hand", title=name)
            for pair, outcome in _outcomes(url, rounds):
                _add(table, pair, outcome)
                if most is not None and pair.name.startswith("one") and outcome.ratio > most:
                    too_slow.append(f"{pair.name} on {name}: {outcome.ratio:.2f}")
            rich.print(table)
    if too_slow:
        raise click.ClickException(f"slower than {most} times hand-written code: {'; '.join(too_slow)}")


def _outcomes(url: sa.URL, rounds: int) -> Iterator[tuple[pairing.Pair, pairing.Outcome]]:
    tx.close()
    tx.configure(url)
    try:
        tables.metadata.create_all(tx.main.engine)
        for pair in reads.pairs(url):
            yield pair, pairing.measure(pair, rounds)
    finally:
        tx.close()


def _add(table: Table, pair: pairing.Pair, outcome: pairing.Outcome) -> None:
    cells: Any = (pair.name, f"{outcome.by_hand:,.1f}", f"{outcome.ours:,.1f}", f"{outcome.ratio:.2f}")
    table.add_row(*cells)


if __name__ == "__main__":
    main()
