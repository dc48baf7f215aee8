# SPDX-License-Identifier: Apache-2.0

"""The figures of a run as people read them: a table on the terminal, and one for docs/reliability.rst."""

from __future__ import annotations

import datetime
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from tests.stress.kinds import Kind
    from tests.stress.running import Figures

#: What docs/reliability.rst includes.
PAGE: Final = Path(__file__).parents[2] / "docs" / "figures" / "stress.txt"

#: By server, and there by kind.
Run = dict[str, dict[str, "Figures"]]


def line(kind: Kind, figures: Figures) -> str:
    """Return what is printed after a kind has run."""
    won = "" if figures.winners is None else f"{figures.winners:6} won"
    return f"{kind.name:32}{figures.calls:6} calls{won:>11}{figures.retries:7} retries{figures.longest * 1000:8.0f} ms"


def page(kinds: Iterable[Kind], run: Run, versions: Mapping[str, str]) -> str:
    """Return the table of all servers in reStructuredText."""
    servers = list(run)
    shown = [kind for kind in kinds if all(kind.name in run[server] for server in servers)]
    lines = [
        f"{datetime.datetime.now(datetime.UTC):%d %B %Y}, {os.cpu_count()} cores, eight processes at once. The columns "
        "of servers show how many transactions",
        "began again after a conflict, and how many milliseconds the slowest call took.",
        "",
        f"{'; '.join(versions.values())}.",
        "",
        ".. list-table::",
        "   :header-rows: 1",
        "",
        *_row(["kind", "functions", "calls", "may win", *servers]),
    ]
    for kind in shown:
        lines += _row(_cells(kind, [run[server][kind.name] for server in servers]))
    return "\n".join(lines) + "\n"


def _cells(kind: Kind, found: Sequence[Figures]) -> list[str]:
    winners = {figures.winners for figures in found}
    won = "all" if winners == {None} else " to ".join(str(one) for one in sorted({min(winners), max(winners)}))  # type: ignore[type-var]  # numbers
    costs = (f"{figures.retries}, {figures.longest * 1000:.0f} ms" for figures in found)
    return [kind.name, f"``{kind.functions}``", str(found[0].calls), won, *costs]


def _row(cells: Sequence[str]) -> list[str]:
    return [f"   {'* -' if place == 0 else '  -'} {cell}" for place, cell in enumerate(cells)]
