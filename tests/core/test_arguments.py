# SPDX-License-Identifier: Apache-2.0

"""What becomes of mappings and lists that a function is given, by place and by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from nova_sqlcore import exceptions
from nova_sqlcore.core.arguments import fitting

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping


PAIRS: Any = [("a", 1), ("b", 2)]
DICT = {"a": 1, "b": 2}


@pytest.fixture
def given() -> Callable[..., tuple[Any, ...]]:
    """Return a function that gives its arguments back; the hints are read here, where mutants of that are seen."""

    def back(
        values: Mapping[str, Any], names: Iterable[str] | None = None, rows: Iterable[Mapping[str, Any]] = ()
    ) -> tuple[Any, ...]:
        return values, names, rows

    return fitting(back)


def test_pairs_become_a_dict_by_place_and_by_name(given: Callable[..., tuple[Any, ...]]) -> None:
    assert given(PAIRS)[0] == given(values=PAIRS)[0] == DICT


def test_pairs_become_dicts_in_a_list(given: Callable[..., tuple[Any, ...]]) -> None:
    assert given({}, None, [PAIRS])[2] == given({}, rows=[PAIRS])[2] == [DICT]


def test_none_may_stand_for_a_list_and_for_no_mapping(given: Callable[..., tuple[Any, ...]]) -> None:
    assert given({}, rows=None)[2] is None
    with pytest.raises(exceptions.BadArgument, match=r"the argument values takes a mapping, .* not NoneType"):
        given(None)
