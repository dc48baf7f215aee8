# SPDX-License-Identifier: Apache-2.0

"""Lists as parameters: how ``column IN (list)`` reaches each server, whatever the length of the list.

PostgreSQL takes the list as one array and sqlite as the text of one JSON array, so that a statement has one text for
all lengths, and no limit on parameters is met. The MySQL family spells lists out, which its drivers do by themselves.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.sql import operators

from nova_sqlcore.core import types

if TYPE_CHECKING:
    from collections.abc import Sequence

    from sqlalchemy.sql.compiler import SQLCompiler

    _Compiler = SQLCompiler
else:
    _Compiler = object

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
