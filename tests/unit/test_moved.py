# SPDX-License-Identifier: Apache-2.0

"""Modules under their old names, for one release."""

from __future__ import annotations

import importlib
import sys

import pytest

from nova_sqlcore import _moved


@pytest.mark.parametrize(("old", "new"), _moved.MOVED.items())
def test_an_old_name_gives_the_module_of_today_and_warns(old: str, new: str) -> None:
    sys.modules.pop(old, None)
    with pytest.warns(DeprecationWarning, match=new):
        found = importlib.import_module(old)
    assert found is importlib.import_module(new)
    assert sys.modules.pop(old) is found


def test_a_flavor_function_is_found_where_it_was() -> None:
    with pytest.warns(DeprecationWarning, match=r"flavors\.flavors"):
        from nova_sqlcore.queries.flavors import flavor_get
    from nova_sqlcore import api

    assert flavor_get is api.flavor_get


def test_another_name_is_missing_as_ever() -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("nova_sqlcore.queries.nothing")
