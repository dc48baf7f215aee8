# SPDX-License-Identifier: Apache-2.0

"""The tables of docs/performance hold what the files of a run say."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from benchmarks import pages, report
from benchmarks.contests import Cost, Result, Spread

if TYPE_CHECKING:
    from pathlib import Path


def run(backend: str, link: float, by_hand: float) -> report.Run:
    costs = {name: Cost(1, 2, 3, 4, 5.0) for name in (report.OURS, report.BY_HAND, report.ORM)} if not link else {}
    ratios = {report.BY_HAND: Spread(by_hand, by_hand, by_hand), report.ORM: Spread(0.1, 0.25, 0.5)}
    single = Result("service_get_all, 300", {report.OURS: 7.5}, ratios, costs)
    bulk = Result("services_heartbeat, 100", {report.OURS: 9.5}, {report.LOOP: Spread(0.05, 0.05, 0.05)}, {})
    return report.Run(backend, link, 1, [single, bulk])


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    monkeypatch.setattr(pages, "DOCS", tmp_path / "docs")
    runs = [run("sqlite", 0, 0.8), run("mysql", 0, 0.7), run("mysql", 0.5, 0.4), run("mysql", 1, 0.3)]
    report.save(tmp_path / "runs.json", {}, runs)
    done = CliRunner().invoke(pages.main, [str(tmp_path / "runs.json")], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return (tmp_path / "docs" / "calls.inc").read_text(), (tmp_path / "docs" / "bulk.inc").read_text()


def lines_of(table: str) -> list[list[str]]:
    """Return the cells of each line, the titles first."""
    lines: list[list[str]] = []
    for line in table.splitlines():
        if line.startswith("   * -"):
            lines.append([])
        if line.startswith(("   * -", "     -")):
            lines[-1].append(line[6:].strip())
    return lines


def test_links_have_tables_of_their_own(written: tuple[str, str]) -> None:
    near, far, near_orm, far_orm, costs, targets = map(lines_of, written[0].split(".. list-table::")[1:])
    call = "``service_get_all``, 300"
    assert near == [["call", "sqlite", "MySQL"], [call, "0.8", "0.7"]]
    assert far == [["call", "MySQL, 0.5 ms", "MySQL, 1 ms"], [call, "0.4", "0.3"]]
    assert near_orm[1] == far_orm[1] == [call, "4.0 ?", "4.0 ?"]
    assert costs[1] == [call, "1 / 1 / 1", "2 / 2 / 2", "4 / 4 / 4", "5 / 5 / 5"]
    assert [line[-1] for line in targets] == ["", "met", "**not met**", *["**not met**"] * 3]


def test_bulk_calls_are_held_against_loops(written: tuple[str, str]) -> None:
    near, far = map(lines_of, written[1].split(".. list-table::")[1:])
    call = "``services_heartbeat``, 100"
    assert near == [["loop / ours", "sqlite", "MySQL"], [call, "20", "20"]]
    assert far == [["loop / ours", "MySQL, 0.5 ms", "MySQL, 1 ms"], [call, "20", "20"]]
