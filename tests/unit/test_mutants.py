# SPDX-License-Identifier: Apache-2.0

"""The faults that mutation testing makes."""

from __future__ import annotations

import ast
import functools

import pytest

from tests.mutants.__main__ import MODULES, OF_SERVERS, reasons
from tests.mutants.faults import Fault, faults_of
from tests.mutants.running import ROOT, path_of


def changes(body: str) -> list[str]:
    return [fault.change for fault in faults_of("m", f"def f(a, b):\n    {body}\n")]


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("g(a < b)", ["g(a < b) -> pass", "a < b -> (a <= b)"]),
        ("a.b = not b", ["a.b = not b -> pass", "not b -> (b)"]),
        ("return a and b", ["return a and b -> return None", "a and b -> (a or b)"]),
        ("if a: raise b", ["a -> (not (a))", "raise b -> pass"]),
        ("x = min(a, 1)", ["min -> max", "1 -> 2"]),
        ("x = [True, True]", ["True -> False", "True -> False (2)"]),
        ("x = a(b, c=b)", ["a() without c"]),
        ("x: Literal[1] = a - b", ["a - b -> (a + b)"]),
        ("logger.info(a, extra=b)", []),
        ("assert a == 1, f'{a + b}'", []),
    ],
)
def test_each_kind(body: str, expected: list[str]) -> None:
    assert changes(body) == expected


def test_the_body_of_an_except_clause_goes() -> None:
    [fault] = faults_of("m", "try:\n    a\nexcept E:\n    b\n    c\nd\n")
    assert fault.source == "try:\n    a\nexcept E:\n    pass\nd\n"


def test_a_fault_knows_its_function_and_the_lines_of_its_statement() -> None:
    source = "class C:\n    def f(self):\n        if (self.a\n                and self.b):\n            g()\n"
    found = [(fault.function, fault.change, list(fault.lines)) for fault in faults_of("m", source)]
    assert found == [
        ("C.f", "self.a and self.b -> (not (self.a and self.b))", [3, 4]),
        ("C.f", "self.a and self.b -> (self.a or self.b)", [3, 4]),
        ("C.f", "g() -> pass", [5]),
    ]


@functools.cache
def faults_in(module: str) -> list[Fault]:
    return faults_of(module, (ROOT / path_of(module)).read_text())


@pytest.mark.parametrize("module", [*MODULES, *OF_SERVERS])
def test_every_fault_has_its_own_name_and_is_python(module: str) -> None:
    faults = faults_in(module)
    assert len({fault.name for fault in faults}) == len(faults)
    for fault in faults[::10]:
        ast.parse(fault.source)


def test_the_whole_core_has_faults() -> None:
    assert "transaction" in MODULES
    assert "tx" in MODULES
    assert sum(len(faults_in(module)) for module in [*MODULES, *OF_SERVERS]) > 3000


def test_every_listed_survivor_is_a_fault_of_today() -> None:
    assert reasons().keys() <= {fault.name for module in [*MODULES, *OF_SERVERS] for fault in faults_in(module)}
