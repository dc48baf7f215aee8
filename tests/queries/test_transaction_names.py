# SPDX-License-Identifier: Apache-2.0

"""A transaction bears the name of a function that somebody calls, also where a private part of it opens it."""

from __future__ import annotations

import ast
import pathlib
import re
from typing import TYPE_CHECKING

import pytest

import nova_sqlcore.queries

if TYPE_CHECKING:
    from collections.abc import Iterator

#: Private functions of the reference that are called by themselves.
REFERENCE = {
    "_compute_node_select",
    "_fixed_ip_count_by_project",
    "_floating_ip_count_by_project",
    "_instance_data_get_for_user",
    "_instance_get_all_uuids_by_host",
    "_instance_group_count_by_project_and_user",
}
(HERE,) = nova_sqlcore.queries.__path__


def functions() -> Iterator[ast.FunctionDef]:
    """Yield the definition of every function in a module of queries."""
    for path in sorted(pathlib.Path(HERE).rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef):
                yield node


PUBLIC = {node.name for node in functions() if not node.name.startswith("_")}
PARTS = [
    pytest.param(text, id=node.name)
    for node in functions()
    for text in map(ast.unparse, node.decorator_list)
    if node.name.startswith("_") and node.name not in REFERENCE and text.startswith("tx.")
]


@pytest.mark.parametrize("scope", PARTS)
def test_parts_name_the_function_that_they_are_part_of(scope: str) -> None:
    found = re.search(r"\.named\('(\w+)'\)$", scope)
    assert found, "a private function opens a transaction under its own name"
    assert found.group(1) in PUBLIC


def test_there_are_such_parts() -> None:
    assert len(PARTS) >= 10
