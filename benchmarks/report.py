# SPDX-License-Identifier: Apache-2.0

"""Reports of a run: tables, targets met and not met, JSON, a comparison with an earlier run, plots."""

from __future__ import annotations

import dataclasses
import json
import statistics
from typing import TYPE_CHECKING, Any, Final

from rich.console import Console
from rich.table import Table

from benchmarks.contests import Cost, Result, Spread

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

#: As wide as the tables are: a terminal may be narrower, and a file has no width.
console = Console(width=132)
OURS, BY_HAND, ORM, LOOP = "ours", "by hand", "ORM", "loop"


@dataclasses.dataclass
class Run:
    """All operations on one back-end over one link."""

    backend: str
    #: milliseconds that a round trip takes longer than on loopback
    link: float
    threads: int
    results: list[Result]

    @property
    def title(self) -> str:
        """What the run is about."""
        link = f", a link of {self.link:g} ms" if self.link else ""
        return f"{self.backend}{link}{f', {self.threads} threads' if self.threads > 1 else ''}"

    @property
    def against_orm(self) -> float | None:
        """How many times as long the ORM takes, the geometric mean of all operations."""
        ratios = [one.ratios[ORM].median for one in self.results if ORM in one.ratios]
        return 1 / statistics.geometric_mean(ratios) if ratios else None

    @property
    def by_hand_against_orm(self) -> float | None:
        """How many times as long the ORM takes as code by hand: what a library without any cost would reach."""
        both = [one.ratios for one in self.results if ORM in one.ratios and BY_HAND in one.ratios]
        return statistics.geometric_mean(one[BY_HAND].median / one[ORM].median for one in both) if both else None


def show(run: Run) -> None:
    """Print the tables of a run."""
    table = Table("operation", "ours, µs", "ours / by hand", "ORM / ours", title=run.title)
    bulk = Table("bulk call", "ours, µs", "loop / ours", title=run.title)
    for one in run.results:
        ours = f"{one.times[OURS]:,.0f}"
        if LOOP in one.ratios:
            bulk.add_row(one.name, ours, _inverse(one.ratios[LOOP]))
        else:
            hand, orm = one.ratios.get(BY_HAND), one.ratios.get(ORM)
            table.add_row(one.name, ours, _text(hand) if hand else "", _inverse(orm) if orm else "")
    for each in (table, bulk):
        if each.row_count:
            console.print(each)
    costs = Table(
        "operation", "whose", "statements", "trips", "bytes", "functions", "peak KiB", title=f"{run.backend}: a call"
    )
    for one in run.results:
        for name, cost in one.costs.items():
            numbers = (cost.statements, cost.trips, cost.bytes, cost.functions, cost.memory)
            costs.add_row(one.name if name == OURS else "", name, *(f"{number:,.0f}" for number in numbers))
    if costs.row_count:
        console.print(costs)


def _text(spread: Spread) -> str:
    noise = "  too noisy" if spread.is_noisy else ""
    return f"{spread.median:.2f} ({spread.low:.2f} to {spread.high:.2f}){noise}"


def _inverse(spread: Spread) -> str:
    return _text(Spread(1 / spread.high, 1 / spread.median, 1 / spread.low))


# -- targets ----------------------------------------------------------------------------------------------------------

_LISTS: Final = ("service_get_all", "compute_node_get_all", "instance_get_all")


def targets(run: Run) -> Iterator[tuple[str, float, float, bool]]:
    """Yield what was to be reached: its words, the limit, the number, and whether it is met."""
    if run.threads > 1:
        return
    if not run.link:
        for one in run.results:
            limit = _limit(run.backend, one.name)
            if limit is not None and BY_HAND in one.ratios:
                found = one.ratios[BY_HAND].median
                yield f"{one.name}: at most {limit} x by hand", limit, found, found <= limit
    found_mean, least = run.against_orm, _least(run)
    if found_mean is not None and least is not None:
        limit = run.by_hand_against_orm
        by_hand = f"; code by hand reaches {limit:.1f}" if limit is not None else ""
        words = f"the ORM takes at least {least:g} times as long, geometric mean{by_hand}"
        yield words, least, found_mean, found_mean >= least


def _limit(backend: str, name: str) -> float | None:
    is_mysql = backend in ("mariadb", "mysql")
    if name.startswith(_LISTS):
        return 0.6 if is_mysql else 1.0
    if name.startswith("service_get_by_compute_host"):
        return 1.4 if backend == "sqlite" and "joined" not in name else 1.15
    return 0.6 if is_mysql and name.startswith("instance_get_by_uuid") else None


def _least(run: Run) -> float | None:
    if run.backend == "sqlite":
        return 20
    limits: dict[float, float] = {0: 6, 1: 8}
    return limits.get(run.link)


def show_targets(runs: Sequence[Run]) -> int:
    """Print the targets of all runs and return how many are not met."""
    table = Table("run", "target", "found", "", title="Targets")
    missed = 0
    for run in runs:
        for words, _, found, is_met in targets(run):
            missed += not is_met
            table.add_row(run.title, words, f"{found:.2f}", "met" if is_met else "[bold]not met[/bold]")
    if table.row_count:
        console.print(table)
    return missed


# -- files ------------------------------------------------------------------------------------------------------------


def save(path: Path, about: dict[str, Any], runs: Sequence[Run]) -> None:
    """Write all runs as JSON."""
    path.write_text(json.dumps({**about, "runs": [dataclasses.asdict(run) for run in runs]}, indent=1) + "\n")


def load(path: Path) -> list[Run]:
    """Return the runs of a file that ``save`` has written."""
    return [
        Run(run["backend"], run["link"], run["threads"], [_result(one) for one in run["results"]])
        for run in json.loads(path.read_text())["runs"]
    ]


def _result(given: dict[str, Any]) -> Result:
    ratios = {name: Spread(**one) for name, one in given["ratios"].items()}
    return Result(given["name"], given["times"], ratios, {name: Cost(**one) for name, one in given["costs"].items()})


def compare(before: Sequence[Run], after: Sequence[Run]) -> None:
    """Print where a ratio has changed by more than the spread of both, and every count that has changed."""
    known = {(run.title, one.name): one for run in before for one in run.results}
    table = Table("run", "operation", "what", "before", "now", title="Changes")
    for run in after:
        for one in run.results:
            old = known.get((run.title, one.name))
            if old is not None:
                for what, was, now in _changes(old, one):
                    table.add_row(run.title, one.name, what, was, now)
    console.print(table if table.row_count else "Nothing has changed beyond the spread.")


def _changes(old: Result, new: Result) -> Iterator[tuple[str, str, str]]:
    for name, now in new.ratios.items():
        was = old.ratios.get(name)
        if was is not None and (now.low > was.high or now.high < was.low):
            yield f"ours / {name}", f"{was.median:.2f}", f"{now.median:.2f}"
    was_cost, now_cost = old.costs.get(OURS), new.costs.get(OURS)
    if was_cost and now_cost:
        for field in ("statements", "trips", "functions"):
            one, two = getattr(was_cost, field), getattr(now_cost, field)
            if one != two:
                yield field, f"{one:,}", f"{two:,}"


def plot(directory: Path, runs: Sequence[Run]) -> list[Path]:
    """Draw how many times as long the others take, a picture per run, and return the files."""
    import matplotlib as mpl  # who draws nothing need not have it

    mpl.use("Agg")
    from matplotlib import pyplot  # as above

    directory.mkdir(parents=True, exist_ok=True)
    files = []
    for run in runs:
        single = [one for one in run.results if LOOP not in one.ratios]
        figure, axes = pyplot.subplots(figsize=(9, 0.5 + 0.42 * len(single)), layout="constrained")
        for shift, name, colour in ((-0.2, BY_HAND, "#7a9cc6"), (0.2, ORM, "#c67a7a")):
            found = [(place, 1 / one.ratios[name].median) for place, one in enumerate(single) if name in one.ratios]
            places, widths = [place + shift for place, _ in found], [width for _, width in found]
            bars = axes.barh(places, widths, 0.38, label=name, color=colour)
            axes.bar_label(bars, fmt="%.1f", padding=2, fontsize=8)
        axes.axvline(1, color="black", linewidth=1)
        axes.set_xscale("log")
        axes.set_yticks(range(len(single)), [one.name for one in single])
        axes.invert_yaxis()
        longest = [1 / spread.median for one in single for spread in one.ratios.values()]
        axes.set_xlim(min(longest) / 2, 2 * max(longest))
        axes.set_title(f"{run.title}: time of a call, the library's is 1")
        axes.legend(loc="lower right")
        file = directory / f"{run.backend}{f'-{run.link:g}ms' if run.link else ''}.png"
        figure.savefig(file, dpi=100)
        pyplot.close(figure)
        files.append(file)
    return files
