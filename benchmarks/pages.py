# SPDX-License-Identifier: Apache-2.0

"""``python -m benchmarks.pages FILE...``: the tables of docs/performance, from files of ``--json``."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Final

import click

from benchmarks import report
from benchmarks.report import BY_HAND, LOOP, ORM, OURS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from benchmarks.contests import Spread
    from benchmarks.report import Run

DOCS: Final = pathlib.Path(__file__).parent.parent / "docs" / "performance"


def list_table(titles: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    """Return a table; the first column is wide."""
    widths = " ".join(["34", *["10"] * (len(titles) - 1)])
    head = f".. list-table::\n   :header-rows: 1\n   :widths: {widths}\n\n"
    rows = (
        "\n".join(f"   {'  -' if place else '* -'} {cell}" for place, cell in enumerate(one))
        for one in (titles, *lines)
    )
    return head + "\n".join(rows) + "\n"


def product(backend: str) -> str:
    """Return what a back-end is called."""
    return {"mariadb": "MariaDB", "mysql": "MySQL", "postgresql": "PostgreSQL"}.get(backend, backend)


def words(run: Run) -> str:
    """Return what a run is called at the head of a column."""
    name = product(run.backend)
    return f"{name}, {run.link:g} ms" if run.link else name


def calls(runs: Sequence[Run]) -> Iterator[str]:
    """Yield the tables of whole calls: against code by hand, against the ORM."""
    for title, other, inverse in (("ours / by hand", BY_HAND, False), ("ORM / ours", ORM, True)):
        yield f"**{title}**\n"
        yield from near_and_far(runs, "call", other, inverse=inverse)
    means = (f"{words(run)} {run.against_orm:.1f}" for run in runs if run.against_orm)
    yield f"Geometric means of ORM / ours: {', '.join(means)}. A question mark: it was too noisy to tell.\n"


def near_and_far(runs: Sequence[Run], title: str, other: str, *, inverse: bool) -> Iterator[str]:
    """Yield a table of what ran on the machine itself, and one of what ran over links: all would be too wide."""
    for is_far in (False, True):
        those = [run for run in runs if bool(run.link) is is_far]
        if those:
            yield list_table([title, *map(words, those)], [*ratios(those, other, inverse=inverse)])


def ratios(runs: Sequence[Run], other: str, *, inverse: bool) -> Iterator[list[str]]:
    """Yield a line for each operation that has this contestant."""
    for place, one in enumerate(runs[0].results):
        if other in one.ratios:
            spreads = (run.results[place].ratios[other] for run in runs)
            yield [_call(one.name), *(_cell(spread, inverse=inverse) for spread in spreads)]


def _cell(spread: Spread, *, inverse: bool) -> str:
    number = 1 / spread.median if inverse else spread.median
    return f"{number:.{1 if number < 10 else 0}f}{' ?' if spread.is_noisy else ''}"


def _call(name: str) -> str:
    function, comma, rest = name.partition(",")
    return f"``{function}``{comma}{rest}"


def costs(run: Run) -> str:
    """Return the table of what does not depend on the machine."""
    lines = []
    for one in run.results:
        if ORM in one.costs:
            three = [one.costs[name] for name in (OURS, BY_HAND, ORM)]
            kinds = ("statements", "trips", "functions", "memory")
            cells = (" / ".join(f"{getattr(cost, kind):,.0f}" for cost in three) for kind in kinds)
            lines.append([_call(one.name), *cells])
    titles = ["ours / by hand / ORM", "statements", "round trips", "Python functions", "KiB at the peak"]
    return list_table(titles, lines)


def targets(runs: Sequence[Run]) -> str:
    """Return the table of targets."""
    found = ((words(run), *one) for run in runs for one in report.targets(run))
    lines = [[text, run, f"{number:.2f}", "met" if met else "**not met**"] for run, text, _, number, met in found]
    return list_table(["target", "run", "found", ""], lines)


@click.command()
@click.argument("files", nargs=-1, type=click.Path(exists=True, path_type=pathlib.Path))
def main(files: tuple[pathlib.Path, ...]) -> None:
    """Write the tables of these runs, in this order."""
    runs = [run for file in files for run in report.load(file)]
    DOCS.mkdir(exist_ok=True)
    server = next((run for run in runs if run.backend != "sqlite" and run.results[0].costs), runs[0])
    fixed = f"**What does not depend on the machine**, on {words(server)}\n"
    parts = [*calls(runs), fixed, costs(server), "**Targets**\n", targets(runs)]
    (DOCS / "calls.inc").write_text("\n".join(parts))
    (DOCS / "bulk.inc").write_text("\n".join(near_and_far(runs, "loop / ours", LOOP, inverse=True)))


if __name__ == "__main__":
    main()
