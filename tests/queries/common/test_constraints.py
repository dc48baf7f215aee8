# SPDX-License-Identifier: Apache-2.0

"""Constraints as data (01-core 8); test_instance_changes shows what they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import tables, tx
from nova_sqlcore.queries.common.constraints import (
    Constraint,
    EqualityCondition,
    InequalityCondition,
    constraint,
    equal_any,
    not_equal,
    terms_of,
    where_clauses,
)

if TYPE_CHECKING:
    from nova_sqlcore.context import RequestContext

T = tables.certificates


def texts(condition: Any) -> list[str]:
    return [str(clause.compile(compile_kwargs={"literal_binds": True})) for clause in condition.clauses(T.c.user_id)]


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        (equal_any("a"), ["certificates.user_id = 'a'"]),
        (equal_any("a", None), ["certificates.user_id = 'a' OR certificates.user_id IS NULL"]),
        (equal_any(None), ["certificates.user_id IS NULL"]),
        (equal_any(), []),
        (not_equal("a"), ["certificates.user_id != 'a'"]),
        (not_equal("a", None), ["certificates.user_id != 'a'", "certificates.user_id IS NOT NULL"]),
        (not_equal(), []),
    ],
)
def test_clauses(condition: Any, expected: list[str]) -> None:
    assert texts(condition) == expected


def test_shapes() -> None:
    found = constraint(user_id=equal_any("a"), file_name=not_equal("b"))
    assert type(found) is Constraint
    assert type(equal_any("a")) is EqualityCondition
    assert type(not_equal("a")) is InequalityCondition
    assert texts(EqualityCondition(iter("ab"))) == texts(equal_any("a", "b"))


def test_the_shape_of_a_statement_holds_no_values() -> None:
    one, params = terms_of({"user_id": equal_any("a", None), "file_name": not_equal("b")})
    other, _ = terms_of({"user_id": equal_any("x", None), "file_name": not_equal("y")})
    assert one == other
    assert one != terms_of({"user_id": equal_any("a", "b"), "file_name": not_equal("b")})[0]
    assert params == {"user_id_is": "a", "file_name_is": "b"}
    statement = sa.select(T.c.id).where(*where_clauses(T, one))
    assert str(statement.compile()).partition("WHERE ")[2] == (
        "(certificates.user_id = :user_id_is OR certificates.user_id IS NULL) "
        "AND certificates.file_name != :file_name_is"
    )


def test_an_unknown_column_fails_when_it_is_applied() -> None:
    found = constraint(colour=equal_any("red"))
    with pytest.raises(KeyError, match="colour"):
        found.apply(T, sa.select(T.c.id))


@pytest.mark.parametrize(
    ("conditions", "names"),
    [
        ({}, "abcd"),
        ({"user_id": equal_any("u")}, "ab"),
        ({"user_id": equal_any("u", "v")}, "abc"),
        ({"user_id": equal_any(None)}, "d"),
        ({"user_id": not_equal("u")}, "c"),
        ({"user_id": not_equal(None)}, "abc"),
        ({"user_id": not_equal("u", "v")}, ""),
        ({"user_id": equal_any("u"), "project_id": not_equal("p")}, "b"),
        ({"user_id": equal_any(), "project_id": not_equal()}, "abcd"),
    ],
)
@pytest.mark.usefixtures("backend")
def test_rows_that_meet_it(admin: RequestContext, conditions: Any, names: str) -> None:
    rows = [("u", "p", "a"), ("u", "q", "b"), ("v", "p", "c"), (None, "p", "d")]
    with tx.writer(admin) as transaction:
        for user, project, name in rows:
            transaction.insert(T, {"user_id": user, "project_id": project, "file_name": name})
        query = constraint(**conditions).apply(T, sa.select(T.c.file_name).order_by(T.c.id))
        assert "".join(transaction.connection.execute(query).scalars()) == names
