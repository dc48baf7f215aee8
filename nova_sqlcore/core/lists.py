# SPDX-License-Identifier: Apache-2.0

"""Lists as parameters: how ``column IN (list)`` reaches each server, whatever the length of the list.

PostgreSQL takes the list as one array and sqlite as the text of one JSON array, so that a statement has one text for
all lengths, and no limit on parameters is met. The MySQL family spells lists out: its drivers do so by themselves where
they find a list among the parameters (6 % of the time that SQLAlchemy takes for it). An empty one, for which the
servers know no form, is left to SQLAlchemy.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Final

import sqlalchemy as sa
from sqlalchemy.sql import operators

from nova_sqlcore.core import types

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.sql.compiler import SQLCompiler

    _Compiler = SQLCompiler
else:
    _Compiler = object

#: How SQLAlchemy marks the place of a list that it spells out later, one without an expression around its items.
_MARK: Final = re.compile(r"\(__\[POSTCOMPILE_(\w+)\]\)")

_NEGATED: Final = {operators.in_op: False, operators.not_in_op: True}


class ListParameter(sa.BindParameter[Any]):
    """The parameter of an IN list; its type comes from the column that it is compared with."""

    inherit_cache = True

    def __init__(self, name: str | None, items: Sequence[Any] | None = None) -> None:
        """Take the parameter's name, or its value: a list that stands in the statement for good."""
        if name is None:
            super().__init__(None, list(items or ()), unique=True, expanding=True)
        else:
            super().__init__(name, expanding=True)

    def as_one(self, kind: sa.types.TypeEngine[Any]) -> sa.BindParameter[Any]:
        """Return this parameter as one of type ``kind`` that is not spelled out.

        As a clone it still takes the value of the statement at hand where SQLAlchemy has cached another one's text.
        """
        clone: Any = self._clone(maintain_key=True)
        clone.expanding, clone.type = False, kind
        one: sa.BindParameter[Any] = clone
        return one


class _Lists(_Compiler):
    """What the compilers below have in common."""

    def visit_binary(self, binary: sa.BinaryExpression[Any], *args: Any, **options: Any) -> str:
        """Compile a comparison with a list in the server's own way."""
        if isinstance(binary.right, ListParameter) and binary.operator in _NEGATED:
            column = self.process(binary.left, **options)
            return self.in_list(column, binary.right, binary.left.type, _NEGATED[binary.operator])
        text: str = super().visit_binary(binary, *args, **options)  # type: ignore[no-untyped-call]  # it has no hints
        return text

    def in_list(self, column: str, items: ListParameter, kind: sa.types.TypeEngine[Any], negated: bool) -> str:
        """Return the text of the comparison."""
        raise NotImplementedError


class Arrays(_Lists):
    """PostgreSQL: ``column = ANY (array)``."""

    def in_list(self, column: str, items: ListParameter, kind: sa.types.TypeEngine[Any], negated: bool) -> str:
        """Return the text of the comparison."""
        array = self.process(items.as_one(sa.ARRAY(kind)))
        return f"{column} != ALL ({array})" if negated else f"{column} = ANY ({array})"


class JsonTexts(_Lists):
    """sqlite: ``column IN (SELECT value FROM json_each(text))``."""

    def in_list(self, column: str, items: ListParameter, kind: sa.types.TypeEngine[Any], negated: bool) -> str:
        """Return the text of the comparison."""
        text = self.process(items.as_one(types.JsonList(kind)))
        values = f"(SELECT value FROM json_each({text}))"  # noqa: S608  # names and parameters
        return f"{column} NOT IN {values}" if negated else f"{column} IN {values}"


class WholeLists(_Compiler):
    """The MySQL family: ``column IN (list)``, and the driver takes the list as one parameter."""

    lists_are_whole: ClassVar[bool] = True


def with_whole_lists(compiled: SQLCompiler) -> str | None:
    """Return the text of a statement whose lists, if they are not empty, the driver takes as they are.

    None where the driver takes no lists, and where one of them needs more than parentheses and commas.
    """
    if not getattr(compiled, "lists_are_whole", False) or compiled.literal_execute_params:
        return None
    if not all(isinstance(parameter.type, types.Kind) for parameter in compiled.post_compile_params):
        return None  # tuples have a type without a kind
    text = _MARK.sub(lambda found: compiled.bindtemplate % {"name": found[1]}, compiled.string)
    return None if "__[POSTCOMPILE_" in text else text
