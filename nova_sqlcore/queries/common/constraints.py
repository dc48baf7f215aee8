# SPDX-License-Identifier: Apache-2.0

"""Constraints: conditions on the stored row that a caller attaches to a change.

``constraint(host=equal_any(None), task_state=not_equal("deleting"))`` is plain data and runs no SQL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, NamedTuple, TypeVar

import sqlalchemy as sa

from nova_sqlcore.core.lists import ListParameter

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Query = TypeVar("Query", sa.Select[Any], sa.Update, sa.Delete)


class EqualityCondition:
    """The column equals one of the values; None means NULL. Without values it may be anything."""

    def __init__(self, values: Iterable[Any]) -> None:
        self.values = tuple(values)

    def clauses(self, field: sa.ColumnElement[Any]) -> list[sa.ColumnElement[bool]]:
        """Return one clause: the alternatives."""
        return self.clauses_of(field, **_split(self.values))

    @staticmethod
    def clauses_of(
        field: sa.ColumnElement[Any], null: bool, one: Any = None, many: Any = None
    ) -> list[sa.ColumnElement[bool]]:
        """Return the clause for NULL, if it is among the values, and for one other value or a list of them."""
        equal: list[sa.ColumnElement[bool]] = [] if one is None else [field == one]
        equal += [] if many is None else [field.in_(many)]
        equal += [field.is_(None)] if null else []
        return [sa.or_(*equal)] if equal else []


class InequalityCondition:
    """The column differs from every value; None means NULL. SQL's logic stays: NULL differs from no other value."""

    def __init__(self, values: Iterable[Any]) -> None:
        self.values = tuple(values)

    def clauses(self, field: sa.ColumnElement[Any]) -> list[sa.ColumnElement[bool]]:
        """Return the clauses that keep the values out."""
        return self.clauses_of(field, **_split(self.values))

    @staticmethod
    def clauses_of(
        field: sa.ColumnElement[Any], null: bool, one: Any = None, many: Any = None
    ) -> list[sa.ColumnElement[bool]]:
        """Return a clause for NULL, if it is among the values, and one for the other value or the list of them."""
        differs: list[sa.ColumnElement[bool]] = [] if one is None else [field != one]
        differs += [] if many is None else [field.not_in(many)]
        return differs + ([field.is_not(None)] if null else [])


def _split(values: Sequence[Any]) -> dict[str, Any]:
    """Return whether NULL is among the values, and the one other value or all others as a list in the statement."""
    others = [value for value in values if value is not None]
    found: dict[str, Any] = {"null": len(others) < len(values)}
    if len(others) == 1:
        found["one"] = others[0]
    elif others:
        found["many"] = ListParameter(None, others)
    return found


#: What a column's value must be.
Condition = EqualityCondition | InequalityCondition


class Constraint:
    """Conditions on several columns, all of which must hold."""

    def __init__(self, conditions: Mapping[str, Condition]) -> None:
        self.conditions = dict(conditions)

    def apply(self, model: sa.Table, query: Query) -> Query:
        """Return the statement on the table ``model`` narrowed to rows that meet the conditions.

        Raises: KeyError for a name that is not a column.
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
    """The shape of one condition: its parameter takes the one value that is not NULL, or the list of them."""

    column: str
    kind: type[Condition]
    null: bool
    number: Literal["none", "one", "many"]

    @property
    def param(self) -> str:
        """The name of the parameter."""
        return f"{self.column}_is"


#: What a constraint adds to the shape of a statement.
Terms = tuple[Term, ...]


def terms_of(conditions: Mapping[str, Condition]) -> tuple[Terms, dict[str, Any]]:
    """Return the shape of conditions on columns, and the parameters for it."""
    terms: list[Term] = []
    params: dict[str, Any] = {}
    for column, condition in conditions.items():
        others = [value for value in condition.values if value is not None]
        number: Literal["none", "one", "many"] = "many" if len(others) > 1 else "one" if others else "none"
        term = Term(column, type(condition), len(others) < len(condition.values), number)
        terms.append(term)
        if others:
            params[term.param] = others if number == "many" else others[0]
    return tuple(terms), params


def where_clauses(table: sa.Table, terms: Terms) -> list[sa.ColumnElement[bool]]:
    """Return the clauses for conditions of this shape.

    Raises: KeyError for a name that is not a column.
    """
    clauses: list[sa.ColumnElement[bool]] = []
    for term in terms:
        value: dict[str, Any] = {}
        if term.number == "one":
            value["one"] = sa.bindparam(term.param)
        elif term.number == "many":
            value["many"] = ListParameter(term.param)
        clauses += term.kind.clauses_of(table.c[term.column], term.null, **value)
    return clauses
