# SPDX-License-Identifier: Apache-2.0

"""Times that come as text or with a time zone (01-core 8)."""

from __future__ import annotations

import datetime
from typing import Any

import pytest

from nova_sqlcore.api import convert_objects_related_datetimes as convert

UTC = datetime.UTC
NAIVE = datetime.datetime(2012, 4, 21, 18, 25, 43)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (NAIVE, NAIVE),
        (NAIVE.replace(tzinfo=UTC), NAIVE),
        (NAIVE.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=-5))), NAIVE),
        ("2012-04-21T18:25:43.000017", NAIVE.replace(microsecond=17)),
        ("2012-04-21T18:25:43-05:00", NAIVE),
        ("2012-04-21T18:25:43Z", NAIVE),
        ("2012-04-21T18:25:43.511Z", NAIVE.replace(microsecond=511_000)),
        ("2012-04-21", datetime.datetime(2012, 4, 21)),
        (None, None),
        ("", ""),
        (12, 12),
    ],
)
def test_values(given: Any, expected: Any) -> None:
    values = {"created_at": given, "other": given}
    assert convert(values, "created_at", "missing") is values
    assert values == {"created_at": expected, "other": given}
    assert convert(dict(values), "created_at") == values


def test_the_keys_of_every_table_by_default() -> None:
    aware = NAIVE.replace(tzinfo=UTC)
    keys = ("created_at", "updated_at", "deleted_at")
    assert convert(dict.fromkeys((*keys, "launched_at"), aware)) == dict.fromkeys(keys, NAIVE) | {"launched_at": aware}


@pytest.mark.parametrize("text", ["yesterday", "2012-13-21T18:25:43", "18:25:43"])
def test_other_text(text: str) -> None:
    with pytest.raises(ValueError, match=r"^created_at is not a time: "):
        convert({"created_at": text})
    with pytest.raises(ValueError, match=r"^finish_time is not a time: "):
        convert({"start_time": "2012-04-21", "finish_time": text}, "start_time", "finish_time")
