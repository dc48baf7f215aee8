# SPDX-License-Identifier: Apache-2.0

"""``python -m benchmarks``: paired ratios on every back-end, in private servers that it starts."""

from __future__ import annotations

import contextlib
import cProfile
import os
import pathlib
import platform
import pstats
import secrets
import tempfile
from typing import TYPE_CHECKING, Any, Final

import click
import rich
import sqlalchemy as sa

from benchmarks import contests, report
from benchmarks.analysis import analyze
from benchmarks.by_hand import ByHand
from benchmarks.link import linked
from benchmarks.operations import Loop, Operation, Ours, Stock, fill, fill_large, operations
from benchmarks.orm import Orm
from nova_sqlcore import tables, tx
from tests import servers

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from benchmarks.link import Link

BACKENDS = ("sqlite", *servers.PRODUCTS)
#: Calls that are not profiled: statements are built, and connections made.
WARM_UP: Final = 10


@contextlib.contextmanager
def databases(
    names: Sequence[str], settings: Mapping[str, Mapping[str, str]] | None = None
) -> Iterator[dict[str, sa.URL]]:
    """Start the servers needed, with these settings, and yield the URL of an empty database on each back-end."""
    with contextlib.ExitStack() as stack:
        up = stack.enter_context(servers.running(*(name for name in names if name != "sqlite"), settings=settings))
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


@contextlib.contextmanager
def contestants(url: sa.URL) -> Iterator[dict[str, Any]]:
    """Point the library at a database and yield its contestants."""
    tx.close()
    tx.configure(url)
    found: dict[str, Any] = {
        report.OURS: Ours(),
        report.BY_HAND: ByHand(url),
        report.ORM: Orm(url),
        report.LOOP: Loop(),
    }
    try:
        yield found
    finally:
        for one in found.values():
            one.close()
        tx.close()


def entered(operation: Operation, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return those who take part in an operation."""
    names = (report.OURS, report.LOOP) if operation.bulk else (report.OURS, report.BY_HAND, report.ORM)
    return {name: found[name] for name in names}


@contextlib.contextmanager
def by_way_of(url: sa.URL, milliseconds: float) -> Iterator[tuple[sa.URL, Link | None]]:
    """Yield the URL of a database at the other end of a link; a file has none."""
    if url.host is None or url.port is None:
        yield url, None
        return
    with linked(url.host, url.port, milliseconds) as link:
        yield url.set(host="127.0.0.1", port=link.port), link


def counted(url: sa.URL, wanted: Sequence[Operation]) -> dict[str, dict[str, contests.Cost]]:
    """Compare the answers of all operations and count what a call costs."""
    costs: dict[str, dict[str, contests.Cost]] = {}
    with by_way_of(url, 0) as (near, link), contestants(near) as found:
        for operation in wanted:
            contests.check(operation, entered(operation, found))
        removes = [found[name].count() for name in (report.OURS, report.LOOP)]
        found[report.ORM].count()
        for operation in wanted:
            costs[operation.name] = {
                name: contests.cost(operation, one, link) for name, one in entered(operation, found).items()
            }
        for remove in removes:
            remove()
    return costs


def timed(
    name: str,
    url: sa.URL,
    wanted: Sequence[Operation],
    costs: Mapping[str, dict[str, contests.Cost]],
    link: float,
    threads: int,
    rounds: int,
) -> report.Run:
    """Race all operations over one link."""
    results = []
    with contextlib.ExitStack() as stack:
        far = url
        if link:
            far, _ = stack.enter_context(by_way_of(url, link))
        found = stack.enter_context(contestants(far))
        for operation in wanted:
            those = entered(operation, found)
            if threads == 1:
                times = contests.race(operation, those, rounds)
            else:
                times = contests.race_of_threads(operation, _crowds(those, far, threads, stack), rounds)
            results.append(contests.result(operation, times, costs.get(operation.name, {})))
    return report.Run(name, link, threads, results)


def _crowds(those: Mapping[str, Any], url: sa.URL, threads: int, stack: contextlib.ExitStack) -> dict[str, list[Any]]:
    """Return as many objects of each contestant as there are threads; the ORM's share one engine."""
    crowds: dict[str, list[Any]] = {}
    for name, one in those.items():
        if isinstance(one, ByHand):
            crowds[name] = [ByHand(url) for _ in range(threads)]
            for each in crowds[name]:
                stack.callback(each.close)
        else:
            crowds[name] = [type(one)() for _ in range(threads)] if isinstance(one, Ours) else [one] * threads
    return crowds


def profiled(url: sa.URL, wanted: Sequence[Operation], times: int = 50) -> None:
    """Print where the library spends its time, operation by operation."""
    with contestants(url) as found:
        for operation in wanted:
            ours = found[report.OURS]
            call, given = getattr(ours, operation.method), operation.prepare(WARM_UP + times)
            profile = cProfile.Profile()
            with contests.opened(operation, ours):
                for one in given[:WARM_UP]:
                    call(one)
                profile.enable()
                for one in given[WARM_UP:]:
                    call(one)
                profile.disable()
            rich.print(f"[bold]{operation.name}[/bold], {times} calls")
            pstats.Stats(profile).sort_stats("tottime").print_stats(12)


def _wanted(stock: Stock, only: Sequence[str], threads: int, *, large: bool = False) -> list[Operation]:
    known = operations(stock, large=large)
    found = [one for one in known if not only or any(one.name.startswith(name) for name in only)]
    if threads > 1:
        found = [one for one in found if not one.joined and not one.bulk]
    if not found:
        raise click.ClickException(f"no operation begins with {', '.join(only)}")
    return found


@click.command()
@click.option("--backend", "names", multiple=True, type=click.Choice(BACKENDS), help="only these; all by default")
@click.option("--url", help="an empty database of yours, in place of private servers")
@click.option("--only", multiple=True, help="only operations whose name begins so; may be given repeatedly")
@click.option("--link", "links", multiple=True, type=float, help="also over a link of so many milliseconds per trip")
@click.option(
    "--large", is_flag=True, help="also a page of a project with 500,000 instances, which take a minute to make"
)
@click.option("--threads", default=1, show_default=True, type=click.IntRange(1), help="so many at a time")
@click.option("--rounds", default=contests.ROUNDS, show_default=True, help="how often each contestant is timed")
@click.option("--json", "json_file", type=click.Path(path_type=pathlib.Path), help="write all figures to this file")
@click.option("--compare", type=click.Path(exists=True, path_type=pathlib.Path), help="a file of an earlier run")
@click.option("--plot", type=click.Path(path_type=pathlib.Path), help="draw a picture of each run into this directory")
@click.option("--profile", is_flag=True, help="print where the library spends its time, and measure nothing")
@click.option("--strict", is_flag=True, help="exit with 1 if a target is not met")
def main(
    names: tuple[str, ...],
    url: str | None,
    only: tuple[str, ...],
    links: tuple[float, ...],
    large: bool,
    threads: int,
    rounds: int,
    json_file: pathlib.Path | None,
    compare: pathlib.Path | None,
    plot: pathlib.Path | None,
    profile: bool,
    strict: bool,
) -> None:
    """Time the library against hand-written DB-API code and against SQLAlchemy's ORM, with equal answers, in turns."""
    about = {"python": platform.python_version(), "sqlalchemy": sa.__version__, "processors": os.cpu_count()}
    rich.print(f"Python {about['python']}, SQLAlchemy {about['sqlalchemy']}, {about['processors']} processors")
    runs: list[report.Run] = []
    with contextlib.ExitStack() as stack:
        if url is None:
            urls = stack.enter_context(databases(names or BACKENDS))
        else:
            parsed = sa.make_url(url)
            urls = {parsed.get_backend_name().replace("mysql", "mariadb"): parsed}
        for name, at in urls.items():
            wanted = _wanted(_filled(at, large=large), only, threads, large=large)
            if profile:
                profiled(at, wanted)
                continue
            costs = counted(at, wanted)
            for link in (0, *(links if name != "sqlite" else ())):
                runs.append(timed(name, at, wanted, costs if not link else {}, link, threads, rounds))
                report.show(runs[-1])
                if json_file:  # what is done is kept, should somebody end the run
                    report.save(json_file, about, runs)
    missed = report.show_targets(runs)
    if compare:
        report.compare(report.load(compare), runs)
    if plot:
        report.plot(plot, runs)
    if strict and missed:
        raise click.ClickException(f"{missed} targets are not met")


def _filled(url: sa.URL, *, large: bool = False) -> Stock:
    tx.close()
    tx.configure(url)
    try:
        tables.metadata.create_all(tx.main.engine)
        stock = fill()
        if large:
            fill_large()
        analyze(tx.main.engine, tables.metadata.tables.values())
        return stock
    finally:
        tx.close()


if __name__ == "__main__":
    main()
