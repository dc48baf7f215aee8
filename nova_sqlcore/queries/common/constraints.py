"""Constraints: conditions on the stored row that a caller attaches to a change.

``constraint(host=equal_any(None), task_state=not_equal("deleting"))`` is plain data and runs no SQL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Query = TypeVar("Query", sa.Select[Any], sa.Update, sa.Delete)


class EqualityCondition:
    """The column equals one of the values; None means NULL. Without values it may be anything."""

    def __init__(self, values: Iterable[Any]) -> None:
        self.values = tuple(values)

    def clauses(self, field: sa.ColumnElement[Any]) -> list[sa.ColumnElement[bool]]:
        """Return one clause: the alternatives."""
        equal = [field.is_(None) if value is None else field == value for value in self.values]
        return [sa.or_(*equal)] if equal else []


class InequalityCondition:
    """The column differs from every value; None means NULL. SQL's logic stays: NULL differs from no other value."""

    def __init__(self, values: Iterable[Any]) -> None:
        self.values = tuple(values)

    def clauses(self, field: sa.ColumnElement[Any]) -> list[sa.ColumnElement[bool]]:
        """Return one clause for each value."""
        return [field.is_not(None) if value is None else field != value for value in self.values]


#: What a column's value must be.
Condition = EqualityCondition | InequalityCondition


class Constraint:
    """Conditions on several columns, all of which must hold."""

    def __init__(self, conditions: Mapping[str, Condition]) -> None:
        self.conditions = dict(conditions)

    def apply(self, model: sa.Table, query: Query) -> Query:
        """Return the statement on the table ``model`` narrowed to rows that meet the conditions.

        Raises: KeyError for a name that is no column.
        """
        for name, condition in self.conditions.items():
            query = query.where(*condition.clauses(model.c[name]))
        return query


def constraint(**conditions: Condition) -> Constraint:
    """Return the constraint that every named column meets its condition."""
    return Constraint(conditions)


def equal_any(*values: Any) -> EqualityCondition:
    """Return the condition that a column equals one of the values; None means NULL."""
    return EqualityCondition(values)


def not_equal(*values: Any) -> InequalityCondition:
    """Return the condition that a column differs from every value; None means NULL."""
    return InequalityCondition(values)


class Term(NamedTuple):
    """The shape of one condition: no values, but the names of the parameters that carry them; None means NULL."""

    column: str
    kind: type[Condition]
    params: tuple[str | None, ...]


#: What a constraint adds to the shape of a statement.
Shape = tuple[Term, ...]


def shape_of(conditions: Mapping[str, Condition]) -> tuple[Shape, dict[str, Any]]:
    """Return the shape of conditions on columns, and the parameters for it."""
    terms: list[Term] = []
    params: dict[str, Any] = {}
    for column, condition in conditions.items():
        names = [None if value is None else f"{column}_is_{place}" for place, value in enumerate(condition.values)]
        terms.append(Term(column, type(condition), tuple(names)))
        params |= {name: value for name, value in zip(names, condition.values, strict=True) if name is not None}
    return tuple(terms), params


def where(table: sa.Table, shape: Shape) -> list[sa.ColumnElement[bool]]:
    """Return the clauses for conditions of this shape.

    Raises: KeyError for a name that is no column.
    """
    clauses: list[sa.ColumnElement[bool]] = []
    for column, kind, params in shape:
        condition = kind(None if name is None else sa.bindparam(name) for name in params)
        clauses += condition.clauses(table.c[column])
    return clauses
