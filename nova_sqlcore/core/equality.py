# SPDX-License-Identifier: Apache-2.0

"""Equality of text: exact on every back-end, whatever the collation of the column.

The text types of ``core.types`` compare through ``ExactComparator``, so ``==``, ``!=``, ``in_`` and ``not_in`` on a
column of the library mean what they mean in Python: case, accents and trailing blanks count. How a server is brought
to that stands in ``core.dialects``. Order, LIKE and patterns keep the collation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql import operators
from sqlalchemy.sql.functions import FunctionElement

if TYPE_CHECKING:
    from collections.abc import Callable

#: Each exact operator and the one that it turns into under NOT.
_NEGATED: Final[dict[Any, Any]] = {
    operators.eq: operators.ne,
    operators.ne: operators.eq,
    operators.in_op: operators.not_in_op,
    operators.not_in_op: operators.in_op,
}


class Exact(sa.BinaryExpression[Any]):
    """A comparison of text that must hold exactly; it compiles to the plain one where that is exact."""

    __visit_name__ = "exact"
    inherit_cache = True

    @property
    def looks_for_equals(self) -> bool:
        """Whether equal values are wanted, by ``=`` or IN: an index may find them."""
        return self.operator in (operators.eq, operators.in_op)

    def self_group(self, against: Any = None) -> Any:
        """Return itself: it brings its own parentheses where it needs any."""
        return self if self.operator in _NEGATED else super().self_group(against)

    def _negate(self) -> Any:
        return _exact(self, _NEGATED[self.operator])


@compiles(Exact)
def plain(element: Exact, compiler: Any, **options: Any) -> str:
    """Return the text of the comparison as the column's collation makes it."""
    text: str = compiler.visit_binary(element, **options)
    return text


class ExactComparator(sa.types.TypeDecorator.Comparator[Any]):
    """The operators of a text column."""

    def operate(self, op: Callable[..., Any], *other: Any, **kwargs: Any) -> Any:
        """Compare exactly where it is about equality; comparisons with NULL and all other operators stay as usual.

        So does IN with a subquery, which must not run twice.
        """
        found = super().operate(op, *other, **kwargs)
        if not isinstance(found, sa.BinaryExpression) or found.operator not in _NEGATED:
            return found
        if isinstance(found.right, sa.ScalarSelect) and found.operator not in (operators.eq, operators.ne):
            return found
        return _exact(found, found.operator)


class in_bytes(FunctionElement[Any]):
    """A text in a form that differs wherever the text does; it compiles to the text itself where that is so anyhow."""

    inherit_cache = True


@compiles(in_bytes)
def _text(element: in_bytes, compiler: Any, **options: Any) -> str:
    text: str = compiler.process(element.clauses.clauses[0], **options)
    return text


def exactly(column: sa.ColumnElement[Any]) -> tuple[sa.ColumnElement[Any], ...]:
    """Return what to group by so that every value of ``column`` has a group of its own."""
    is_text = getattr(column.type, "comparator_factory", None) is ExactComparator
    return (column, in_bytes(column)) if is_text else (column,)


def alike(column: sa.ColumnElement[Any], value: sa.ColumnElement[Any] | str) -> sa.ColumnElement[bool]:
    """Return the clause that ``column`` is ``value`` to its collation: they sort alike, and a unique key holds one.

    A string names a parameter.
    """
    right = sa.bindparam(value, type_=column.type) if isinstance(value, str) else value
    return sa.BinaryExpression(column, right, operators.eq, type_=sa.Boolean(), negate=operators.ne)


def alike_one_of(column: sa.ColumnElement[Any], items: sa.BindParameter[Any]) -> sa.ColumnElement[bool]:
    """Return the clause that ``column`` is one of a list of values to its collation, for a caller who compares.

    What it finds are candidates: the rows that ``in_`` finds and, on the MySQL family, those whose text differs from
    all of the list in case, accents or trailing blanks. The second list, which holds the bytes, is spared.
    """
    found = column.in_(items)
    if not isinstance(found, Exact):
        return found
    return sa.BinaryExpression(found.left, found.right, found.operator, type_=found.type, negate=found.negate)


def _exact(found: sa.BinaryExpression[Any], operator: Any) -> Exact:
    return Exact(found.left, found.right, operator, type_=found.type, negate=_NEGATED[operator])
