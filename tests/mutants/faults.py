# SPDX-License-Identifier: Apache-2.0

"""The small faults that a piece of source can have."""

from __future__ import annotations

import ast
import collections
import dataclasses
import itertools
import textwrap
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_OPPOSITE: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
}
_OTHER_SIGN: dict[type[ast.operator], type[ast.operator]] = {
    ast.Add: ast.Sub,
    ast.Sub: ast.Add,
    ast.Mult: ast.FloorDiv,
    ast.Div: ast.Mult,
}
#: Where no behaviour hides: annotations, messages, and what only a type checker sees.
_WORDS = (ast.JoinedStr, ast.Assert, ast.Import, ast.ImportFrom)
_LOGS = ("logger.", "warnings.")


@dataclasses.dataclass(frozen=True, slots=True)
class Fault:
    """One change of a module's source."""

    module: str
    function: str
    #: "old -> new", with a number if the same change is possible at several places of the function
    change: str
    #: the lines of the statement, to find the tests that run it; none at import
    lines: range
    #: the module with the fault
    source: str

    @property
    def name(self) -> str:
        """What the fault is called in reports and results; it says nothing of line numbers."""
        return f"{self.module} | {self.function} | {self.change}"


@dataclasses.dataclass(frozen=True, slots=True)
class _Spot:
    node: ast.AST
    replacement: str
    function: str
    lines: range

    #: what is gone from a call
    without: str = ""

    def words(self, old: str) -> str:
        """Say what changes, in one line."""
        if self.without and isinstance(self.node, ast.Call):
            return f"{ast.unparse(self.node.func)}() without {self.without}"
        return f"{textwrap.shorten(old, 90)} -> {textwrap.shorten(self.replacement, 90)}"


def faults_of(module: str, source: str) -> list[Fault]:
    """Return the faults that ``source`` can have, in its order."""
    seen: collections.Counter[tuple[str, str]] = collections.Counter()
    found: list[Fault] = []
    text = _Text(source)
    for spot in _spots(ast.parse(source).body, "", range(0)):
        change = spot.words(text.of(spot.node))
        seen[spot.function, change] += 1
        number = seen[spot.function, change]
        change += f" ({number})" if number > 1 else ""
        found.append(Fault(module, spot.function, change, spot.lines, text.replaced(spot)))
    return found


class _Text:
    """The source of a module, cut at the places where the parser found its nodes."""

    def __init__(self, source: str) -> None:
        self._source = source.encode()  # columns are bytes
        self._starts = [0, *itertools.accumulate(len(line) for line in self._source.splitlines(keepends=True))]

    def of(self, node: Any) -> str:
        return self._source[self._begin(node) : self._end(node)].decode()

    def replaced(self, spot: _Spot) -> str:
        before, after = self._source[: self._begin(spot.node)], self._source[self._end(spot.node) :]
        return before.decode() + spot.replacement + after.decode()

    def _begin(self, node: Any) -> int:
        place: int = self._starts[node.lineno - 1] + node.col_offset
        return place

    def _end(self, node: Any) -> int:
        place: int = self._starts[node.end_lineno - 1] + node.end_col_offset
        return place


def _spots(nodes: Sequence[ast.AST], function: str, lines: range) -> Iterator[_Spot]:
    for node in nodes:
        if isinstance(node, _WORDS) or _is_for_types(node):
            continue
        if isinstance(node, ast.ClassDef | ast.FunctionDef):
            inside = f"{function}.{node.name}".lstrip(".")
            yield from _spots(node.body, inside, lines)
            continue
        if isinstance(node, ast.stmt) and function:
            lines = _head(node)
        yield from (_Spot(spoilt, text, function, lines) for spoilt, text in _spoilt(node, function))
        if isinstance(node, ast.Call) and not ast.unparse(node).startswith(_LOGS):
            yield from (_Spot(node, text, function, lines, word) for word, text in _without_each_keyword(node))
        yield from _spots(list(_children(node)), function, lines)


def _head(node: ast.stmt) -> range:
    """Return the lines of a statement, of one with a body those before the body."""
    body: list[ast.stmt] | None = getattr(node, "body", None)
    end = body[0].lineno - 1 if body else node.end_lineno or node.lineno
    return range(node.lineno, max(end, node.lineno) + 1)


def _is_for_types(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"


def _children(node: ast.AST) -> Iterator[ast.AST]:
    for name, value in ast.iter_fields(node):
        if name == "annotation" or (name == "func" and isinstance(value, ast.Name) and value.id == "cast"):
            continue
        yield from (one for one in (value if isinstance(value, list) else [value]) if isinstance(one, ast.AST))


def _spoilt(node: ast.AST, function_name: str) -> Iterator[tuple[ast.AST, str]]:
    """Yield what can be put in the place of ``node`` or a part of it."""
    match node:
        case ast.Compare(left, [operator], [right]) if type(operator) in _OPPOSITE:
            yield node, _text(ast.Compare(left, [_OPPOSITE[type(operator)]()], [right]))
        case ast.BoolOp(operator, parts):
            yield node, _text(ast.BoolOp(ast.Or() if isinstance(operator, ast.And) else ast.And(), parts))
        case ast.UnaryOp(ast.Not(), operand):
            yield node, _text(operand)
        case ast.BinOp(left, operator, right) if type(operator) in _OTHER_SIGN:
            yield node, _text(ast.BinOp(left, _OTHER_SIGN[type(operator)](), right))
        case ast.Constant(value):
            yield from _spoilt_constant(node, value)
        case ast.Call(func=ast.Name(id="min" | "max" as name) as function):
            yield function, "max" if name == "min" else "min"
        case ast.If(test) | ast.While(test) | ast.IfExp(test):
            yield from _negated(test)
        case ast.stmt():
            yield from _spoilt_statement(node, function_name)
        case ast.ExceptHandler(body=body) if not isinstance(body[0], ast.Raise | ast.Pass):
            yield _all(body), "pass"


def _spoilt_constant(node: ast.Constant, value: object) -> Iterator[tuple[ast.AST, str]]:
    if isinstance(value, bool):
        yield node, str(not value)
    elif isinstance(value, int | float):
        yield node, str(value + 1)


def _without_each_keyword(node: ast.Call) -> Iterator[tuple[str, str]]:
    for keyword in node.keywords:
        others = [one for one in node.keywords if one is not keyword]
        yield keyword.arg or "**", ast.unparse(ast.Call(node.func, node.args, others))


def _negated(test: ast.expr) -> Iterator[tuple[ast.AST, str]]:
    """Yield the opposite of a condition that has no simpler fault."""
    if not isinstance(test, ast.Compare | ast.UnaryOp | ast.Constant):
        yield test, f"(not {_text(test)})"


def _spoilt_statement(node: ast.stmt, function: str) -> Iterator[tuple[ast.AST, str]]:
    match node:
        case ast.Expr(ast.Call()) if not ast.unparse(node).startswith(_LOGS):
            yield node, "pass"
        case ast.Raise() | ast.Delete():
            yield node, "pass"
        case ast.Return(value) if value is not None and not isinstance(value, ast.Constant):
            yield node, "return None"
        case ast.Assign(targets=[ast.Attribute() | ast.Subscript()]) | ast.AugAssign():
            if not function.endswith("__init__"):
                yield node, "pass"


def _text(node: ast.expr) -> str:
    return f"({ast.unparse(node)})"


def _all(body: list[ast.stmt]) -> ast.AST:
    """Return one node that spans all statements of a body."""
    first, last = body[0], body[-1]
    place: dict[str, Any] = {"lineno": first.lineno, "col_offset": first.col_offset}
    return ast.Pass(**place, end_lineno=last.end_lineno, end_col_offset=last.end_col_offset)
