# SPDX-License-Identifier: Apache-2.0

"""How many of the library's own functions a hot call runs through: a budget that no other work on the machine disturbs.

On sqlite, where nothing else is between a caller and the data. What Python itself counts otherwise from version to
version, comprehensions and generator expressions, is left out. A call that costs more changes a number here, and the
commit says why.
"""

from __future__ import annotations

import pathlib
import sys
from typing import TYPE_CHECKING, Any

import pytest

import nova_sqlcore
from nova_sqlcore import RequestContext, api
from nova_sqlcore.core import internals, roads
from nova_sqlcore.queries.quota.counts import QUOTA_SYNC_FUNCTIONS
from tests.queries.test_round_trips import PAIRS, QUOTAS, instance, reserve, service

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from tests.plugins.backend import Backend

C = RequestContext("u", "p", is_admin=True)
PACKAGE = str(pathlib.Path(nova_sqlcore.__file__).parent)
#: Calls before the one that counts: statements are built, and connections kept.
WARM = 3

BUDGETS: dict[str, tuple[Callable[[], Any], Callable[[Any], object], int]] = {
    "instance_get_by_uuid": (instance, lambda key: api.instance_get_by_uuid(C, key), 58),
    "instance_update": (instance, lambda key: api.instance_update(C, key, {"host": "h", "task_state": None}), 90),
    "instance_create": (service, lambda _: instance(), 274),
    "instance_metadata_update": (
        instance,
        lambda key: api.instance_metadata_update(C, key, dict.fromkeys(PAIRS, "w"), False),
        129,
    ),
    "quota_reserve": (service, reserve, 272),
    "service_get": (service, lambda key: api.service_get(C, key), 28),
    "service_update": (service, lambda key: api.service_update(C, key, {"report_count": 1}), 77),
}


@pytest.mark.only_on("sqlite", why="what a driver in Python does is not ours")
@pytest.mark.parametrize("name", BUDGETS)
def test_budget(backend: Backend, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(QUOTA_SYNC_FUNCTIONS, "count", lambda *_: dict.fromkeys(QUOTAS, 0))
    monkeypatch.setattr(roads, "USUAL", roads.DRIVER)
    monkeypatch.setattr(internals.Ears, "_ask", lambda *_: False)  # other tests may have let somebody listen
    prepare, call, budget = BUDGETS[name]
    instance(), reserve()
    for _ in range(WARM):
        call(prepare())
    assert min(calls_of(call, prepare()) for _ in range(3)) == budget  # a reader looks for its file once a second


def calls_of(call: Callable[[Any], object], key: Any) -> int:
    """Return how many functions of the package a call runs through; each step of a generator function counts."""
    count = 0

    def note(frame: FrameType, event: str, _: Any) -> None:
        nonlocal count
        code = frame.f_code
        if event == "call" and code.co_filename.startswith(PACKAGE) and not code.co_name.endswith(("comp>", "expr>")):
            count += 1

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call(key)
    finally:
        sys.setprofile(before)
    return count
