# SPDX-License-Identifier: Apache-2.0

"""Names in queries: what builds a statement ends in _statement, what builds clauses in _clause."""

from __future__ import annotations

import ast
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import nova_sqlcore.queries

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(nova_sqlcore.queries.__file__).parent
STATEMENTS = ("Select[", "sa.Update", "sa.Insert", "sa.Delete", "Statement[", "sa.CompoundSelect", "Executable")
#: ``visible`` and ``equal`` stand in nearly every statement; the others make a part of one, or another of one.
OTHERS = {"visible", "equal", "embedded", "model_query", "_several", "_of_parents"}


def builders() -> Iterator[tuple[str, str, str]]:
    """Yield where each function stands that returns statements or clauses, its name and how it must end."""
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if not isinstance(node, ast.FunctionDef) or node.returns is None or node.name in OTHERS:
                continue
            returned = ast.unparse(node.returns)
            if any(kind in returned for kind in STATEMENTS):
                yield path.name, node.name, "_statement"
            elif "ColumnElement[bool]" in returned or returned == "Clause":
                yield path.name, node.name, "_clause"


@pytest.mark.parametrize("end", ["_statement", "_clause"])
def test_builders_say_what_they_build(end: str) -> None:
    found = [(module, name) for module, name, due in builders() if due == end]
    assert len(found) > 20
    assert not [f"{module}: {name}" for module, name in found if not name.removesuffix("s").endswith(end)]


def test_constants_say_so_too() -> None:
    starts = ("sa.select(", "sa.update(", "sa.insert(", "sa.delete(", "select_statement(", "soft_delete_statement(")
    for path in sorted(ROOT.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith(starts):
                name = ast.unparse(node.targets[0])
                assert name.endswith("_STATEMENT") or not name.startswith("_"), f"{path.name}: {name}"
