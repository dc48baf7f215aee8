# SPDX-License-Identifier: Apache-2.0

"""The rules by which keys and directions to sort by are completed, for whatever is given."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, strategies as st

from nova_sqlcore import api
from nova_sqlcore.exceptions import InvalidInput

KEYS = st.lists(st.sampled_from(["created_at", "id", "host", "uuid"]), max_size=5)
DIRECTIONS = st.lists(st.sampled_from(["asc", "desc"]), max_size=5)


@given(
    keys=KEYS | st.none(),
    directions=DIRECTIONS | st.lists(st.sampled_from(["asc", "up"])) | st.none(),
    default_keys=KEYS.map(lambda keys: list(dict.fromkeys(keys))),
    default_direction=st.text(),
)
def test_completed(
    keys: list[str] | None, directions: list[str] | None, default_keys: list[str], default_direction: str
) -> None:
    before = copy.deepcopy((keys, directions, default_keys))
    given_keys, given_directions = keys or [], directions or []
    legal = set(given_directions) <= {"asc", "desc"} and len(given_directions) <= len(given_keys)
    if not legal:
        with pytest.raises(InvalidInput):
            api.process_sort_params(keys, directions, default_keys, default_direction)
        return
    found_keys, found_directions = api.process_sort_params(keys, directions, default_keys, default_direction)
    assert (keys, directions, default_keys) == before
    assert found_keys is not keys
    assert found_directions is not directions

    count = len(given_keys)
    assert found_keys[:count] == given_keys
    assert found_keys[count:] == [key for key in default_keys if key not in given_keys]
    count = len(given_directions)
    fill = given_directions[0] if given_directions else default_direction
    assert found_directions[:count] == given_directions
    assert found_directions[count:] == [fill] * (len(found_keys) - count)


@given(keys=KEYS, directions=DIRECTIONS)
def test_completing_twice_changes_nothing(keys: list[str], directions: list[str]) -> None:
    if len(directions) <= len(keys):
        once = api.process_sort_params(keys, directions)
        assert api.process_sort_params(*once) == once
