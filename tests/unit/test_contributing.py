# SPDX-License-Identifier: Apache-2.0

"""The worked example of CONTRIBUTING.md runs as it stands, on every back-end."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from nova_sqlcore import RequestContext
    from tests.plugins.counting import SqlCount

PAGE = Path(__file__).parents[2] / "CONTRIBUTING.md"


@pytest.mark.usefixtures("backend")
def test_the_worked_example(admin: RequestContext, sql_count: SqlCount) -> None:
    function, test = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    exec(compile(function, "the function of CONTRIBUTING.md", "exec"), names)
    exec(compile(test, "the test of CONTRIBUTING.md", "exec"), names)
    names["test_the_worst_come_first"](admin, sql_count)


def test_the_files_that_it_names_exist() -> None:
    named = re.findall(r"`((?:docs|nova_sqlcore|tests|sql|queries)/[\w/.]+\.(?:py|rst|txt))`", PAGE.read_text())
    assert len(named) > 5
    root = PAGE.parent
    for name in named:
        assert (root / name).exists() or (root / "nova_sqlcore" / name).exists(), name
