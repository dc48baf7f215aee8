# SPDX-License-Identifier: Apache-2.0

"""The reference has every public name once, and nothing that is internal."""

from __future__ import annotations

import collections
import importlib.util
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest

import nova_sqlcore
from nova_sqlcore import api, exceptions, rows, tables, tx

if TYPE_CHECKING:
    from types import ModuleType

DOCS: Final = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def pages() -> ModuleType:
    spec = importlib.util.spec_from_file_location("reference_pages", DOCS / "reference_pages.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def entries(text: str) -> list[str]:
    return re.findall(r"^\.\. py:\w+:: ([\w.]+)", text, re.MULTILINE)


def functions(pages: Any) -> str:
    """Return the text of all pages of functions."""
    lines = [
        line.strip()
        for page in sorted((DOCS / "reference").glob("*.rst"))
        for block in re.findall(r"^\.\. api-functions::\n\n((?:   .+\n)+)", page.read_text(), re.MULTILINE)
        for line in block.splitlines()
    ]
    others = [pages.object_text(f"api.{name}", getattr(api, name)) for name in pages.other_names()]
    return "\n".join([*map(pages.module_text, lines), *others])


def test_every_function_has_one_entry(pages: Any) -> None:
    found = entries(functions(pages))
    assert collections.Counter(name.removeprefix("api.") for name in found if name.startswith("api.")) == dict.fromkeys(
        api.__all__, 1
    )
    assert [name for name in found if name.rpartition(".")[2].startswith("_") and not name.startswith("api.")] == []


def test_every_name_of_tx_has_one_entry() -> None:
    page = (DOCS / "reference" / "tx.rst").read_text()
    (members,) = re.findall(r"automodule:: nova_sqlcore\.tx\n   :members: ((?:.+\n)+)", page)
    others = re.findall(r"^\.\. (?:autoclass|autodata|py:function):: (?:nova_sqlcore\.tx\.)?(\w+)", page, re.MULTILINE)
    assert collections.Counter([*re.split(r",\s+", members.strip()), *others]) == dict.fromkeys(tx.__all__, 1)


def test_every_name_of_the_package_has_an_entry(pages: Any) -> None:
    context = (DOCS / "reference" / "context.rst").read_text()
    there = {*re.findall(r"\w+", context), *(name.rpartition(".")[2] for name in entries(pages.exceptions_text()))}
    assert there >= {*nova_sqlcore.__all__}


def test_costs_locks_and_errors_are_fields(pages: Any) -> None:
    text = pages.object_text("api.service_update", api.service_update)
    assert "   :Cost: 1 statement; 2 on the MySQL family; in 1 round trip." in text
    assert r"   :Raises: :py:exc:`~exceptions.ServiceNotFound`\ (service_id);" in text
    assert " -> rows.Service\n" in text
    assert "UPDATE services SET" in text


def test_every_row_error_and_table_has_one_entry(pages: Any) -> None:
    kinds = {f"rows.{name}" for name, kind in vars(rows).items() if getattr(kind, "__module__", "") == rows.__name__}
    assert collections.Counter(entries(pages.rows_text())) == dict.fromkeys(kinds, 1)
    errors = {
        f"exceptions.{name}"
        for name, kind in vars(exceptions).items()
        if isinstance(kind, type) and kind.__module__ == exceptions.__name__ and not name.startswith("_")
    }
    assert collections.Counter(entries(pages.exceptions_text())) == dict.fromkeys(errors, 1)
    names = {f"tables.{name}" for name in tables.metadata.tables if not name.startswith(tables.SHADOW_PREFIX)}
    assert collections.Counter(entries(pages.tables_text())) == dict.fromkeys(names, 1)


def test_every_command_has_its_options(pages: Any) -> None:
    text = pages.commands_text()
    for program in ("migrate", "archive-deleted-rows", "purge", "check", "quota refresh", "status upgrade check"):
        assert text.count(f".. program:: nova-sqlcore {program}\n") == 1
    assert ".. option:: --max-rows" in text
