# SPDX-License-Identifier: Apache-2.0

"""How far long work has come, on a terminal and elsewhere."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from nova_sqlcore.cli.output import Output, spoken

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Return a function that lets time pass."""
    now = 1000.0

    def pass_by(seconds: float) -> None:
        nonlocal now
        now += seconds

    monkeypatch.setattr("nova_sqlcore.cli.output.time.monotonic", lambda: now)
    return pass_by


def test_lines_now_and_then_where_there_is_no_terminal(
    later: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    progress = Output("text").progress("rows", lambda: 3000)
    for _ in range(6):
        later(5)
        progress.add(500)
    progress.end()
    assert capsys.readouterr().err.splitlines() == [
        "1,000 rows, 100 per second",
        "2,000 rows, 100 per second, 20 s left of 40 s",
        "3,000 rows, 100 per second, 10 s left of 40 s",
    ]


def test_nothing_is_counted_for_short_work(later: Callable[[float], None]) -> None:
    """On millions of rows that would take longer than the work."""
    counted: list[str] = []

    def left() -> int:
        counted.append("rows")
        return 100

    progress = Output("text").progress("rows", left)
    for _ in range(2):
        progress.add(10)
        later(4)
    assert counted == []
    for _ in range(3):
        later(10)
        progress.add(10)
    assert counted == ["rows"]


def test_the_time_of_counting_is_not_that_of_the_work(
    later: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    def left() -> int:
        later(100)
        return 3000

    progress = Output("text").progress("rows", left)
    for _ in range(2):
        later(10)
        progress.add(1000)
    assert capsys.readouterr().err.splitlines()[-1] == "2,000 rows, 17 per second, 20 s left of 2 min 20 s"


def test_what_comes_along_does_not_count_towards_the_end(
    later: Callable[[float], None], capsys: pytest.CaptureFixture[str]
) -> None:
    progress = Output("text").progress("rows", lambda: 30)
    for _ in range(3):
        later(10)
        progress.add(100, 10)
    assert capsys.readouterr().err.splitlines() == [
        "100 rows, 10 per second",
        "200 rows, 10 per second, 20 s left of 40 s",
        "300 rows, 10 per second, 10 s left of 40 s",
    ]


def test_one_line_on_a_terminal(
    later: Callable[[float], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    progress = Output("text").progress("rows")
    later(1)
    progress.add(50)
    progress.add(50)  # too soon
    later(1)
    progress.add(100)
    progress.end()
    shown = capsys.readouterr().err
    assert [part.rstrip() for part in shown.split("\r")] == ["", "50 rows, 50 per second", "200 rows, 100 per second"]
    assert shown.endswith("\n")


def test_a_narrow_terminal_does_not_break_the_line(
    later: Callable[[float], None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that is broken can't be written over."""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "20")
    progress = Output("text").progress("rows archived")
    later(1)
    progress.add(50)
    assert capsys.readouterr().err == "\r50 rows archived, 5"


@pytest.mark.parametrize(("form", "verbosity"), [("json", 0), ("text", -1)])
def test_silence(form: str, verbosity: int, later: Callable[[float], None], capsys: pytest.CaptureFixture[str]) -> None:
    progress = Output(form, verbosity).progress("rows")
    later(60)
    progress.add(1)
    progress.end()
    assert capsys.readouterr().err == ""


class TestStatus:
    def test_the_line_is_written_over_and_gone_in_the_end(
        self, terminal: Callable[[str], list[str]], capsys: pytest.CaptureFixture[str]
    ) -> None:
        with Output("text").status() as show:
            show("the first table")
            show("another")
        shown = capsys.readouterr().err
        assert terminal(shown) == ["", "the first table", "another", "", ""]
        assert {len(part) for part in shown.split("\r")} == {0, 70}  # each hides what stood there before

    def test_it_is_gone_after_an_error(
        self, terminal: Callable[[str], list[str]], capsys: pytest.CaptureFixture[str]
    ) -> None:
        with pytest.raises(KeyError), Output("text").status() as show:
            show("a table")
            raise KeyError
        assert terminal(capsys.readouterr().err)[-2:] == ["", ""]

    def test_a_narrow_terminal_and_what_would_move_its_cursor(
        self,
        terminal: Callable[[str], list[str]],
        capsys: pytest.CaptureFixture[str],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setenv("COLUMNS", "20")
        with Output("text").status() as show:
            show("project a\n\x1b[2Jb of many")
        assert terminal(capsys.readouterr().err)[1] == "project a??[2Jb of"

    @pytest.mark.parametrize(("form", "verbosity"), [("json", 0), ("text", -1)])
    @pytest.mark.usefixtures("terminal")
    def test_silence(self, form: str, verbosity: int, capsys: pytest.CaptureFixture[str]) -> None:
        with Output(form, verbosity).status() as show:
            show("a table")
        assert capsys.readouterr().err == ""

    def test_nothing_where_there_is_no_terminal(self, capsys: pytest.CaptureFixture[str]) -> None:
        with Output("text").status() as show:
            show("a table")
        assert capsys.readouterr().err == ""


class TestTables:
    ROW = ("1b9d6bcd-bbfd-4b2d-9b5d-ab8dfbbd4bed", "a sentence " * 20)

    def test_cells_are_not_broken_where_there_is_no_terminal(
        self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("COLUMNS", raising=False)
        Output("text").table(("uuid", "details"), [self.ROW])
        _, _, _, row, _ = capsys.readouterr().out.splitlines()
        assert [cell.strip() for cell in row.split("|")[1:-1]] == [self.ROW[0], self.ROW[1].strip()]

    @pytest.mark.parametrize("columns", [30, 60, 100])
    def test_nothing_is_cut_in_a_narrow_one(
        self, columns: int, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("COLUMNS", str(columns))
        Output("text").table(("uuid", "details"), [self.ROW])
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= columns
        cells = [line.split("|")[1].strip() for line in lines if line.startswith("|")]
        assert "".join(cells[1:]) == self.ROW[0]


@pytest.mark.parametrize(("seconds", "text"), [(0.2, "0 s"), (61, "1 min 1 s"), (7260, "2 h 1 min")])
def test_times_for_people(seconds: float, text: str) -> None:
    assert spoken(seconds) == text
