# SPDX-License-Identifier: Apache-2.0

"""What operators type: times in many forms, and the exit codes of what is not understood."""

from __future__ import annotations

import datetime
import time

import click
import pytest

from nova_sqlcore.cli.arguments import Count, Moment


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("2015-10-21", (2015, 10, 21)),
        ("2015-10-21 12:00", (2015, 10, 21, 12)),
        ("2015-10-21T12:00:01", (2015, 10, 21, 12, 0, 1)),
        ("2015-10-21T12:00:00Z", (2015, 10, 21, 12)),
        ("2015-10-21T12:00:00+02:00", (2015, 10, 21, 10)),
        ("2015-10-21 12:00 -0730", (2015, 10, 21, 19, 30)),
        ("Oct 21 2015", (2015, 10, 21)),
        ("21 October 2015 4:29 pm", (2015, 10, 21, 16, 29)),
        ("Wed Oct 21 16:29:00 UTC 2015", (2015, 10, 21, 16, 29)),
        ("Wed, 21 Oct 2015 07:28:00 GMT", (2015, 10, 21, 7, 28)),
    ],
)
def test_times_are_utc_in_the_end(text: str, wanted: tuple[int, ...]) -> None:
    assert Moment(4).convert(text, None, None) == datetime.datetime(*wanted)  # type: ignore[arg-type]  # numbers


def test_the_words_of_date_in_the_zone_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", "Europe/Berlin")
        time.tzset()
        found = Moment(4).convert("Wed Oct 21 16:29:00 CEST 2015", None, None)
    time.tzset()
    assert found == datetime.datetime(2015, 10, 21, 14, 29)


@pytest.mark.parametrize(
    "text", ["", "yesterday", "12:00", "2015", "21", "2015-13-01", "2015-10-21 12:00 XQZ", "0001-01-01 00:00 +05:00"]
)
def test_what_is_not_a_full_time_is_refused_with_its_code(text: str) -> None:
    with pytest.raises(click.BadParameter) as caught:
        Moment(4).convert(text, None, None)
    assert caught.value.exit_code == 4


@pytest.mark.parametrize("text", ["-1", "1.5", "x", "", "9" * 5000, "\u0665", "11"])
def test_numbers_out_of_range(text: str) -> None:
    with pytest.raises(click.BadParameter) as caught:
        Count(0, 10, exit_code=127).convert(text, None, None)
    assert caught.value.exit_code == 127


def test_numbers() -> None:
    assert [Count(0, 10).convert(text, None, None) for text in ("0", "10")] == [0, 10]
