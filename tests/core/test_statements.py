# SPDX-License-Identifier: Apache-2.0

"""How a statement is prepared: parameters, and how many statements are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import sqlite

from nova_sqlcore import tables, tx
from nova_sqlcore.core import statements

if TYPE_CHECKING:
    from nova_sqlcore import RequestContext

T = tables.certificates
_ONE = sa.select(T.c.id).where(T.c.file_name == sa.bindparam("name"))
_SOME = sa.select(T.c.id).where(T.c.file_name.in_(sa.bindparam("name", expanding=True)))


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(("statement", "value"), [(_ONE, "a"), (_SOME, ["a"])])
class TestParameters:
    def test_an_unknown_one(self, admin: RequestContext, statement: Any, value: Any) -> None:
        with (
            pytest.raises(TypeError, match="the statement has no parameter nmae, other: SELECT"),
            tx.reader(admin) as t,
        ):
            t.rows(statement, name=value, nmae=value, other=1)

    def test_a_missing_one(self, admin: RequestContext, statement: Any, value: Any) -> None:
        missing = "parameter 'name' of the statement is missing: SELECT"
        with pytest.raises(TypeError, match=missing), tx.reader(admin) as t:
            t.rows(statement)


def test_so_many_statements_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(statements, "CACHE_SIZE", 4)
    cache = statements.Cache(sqlite.dialect())
    kept = []
    for number in range(10):
        statement = sa.select(sa.literal(number))
        assert cache[statement] is cache[statement]
        kept.append(cache.kept)
    assert kept == [1, 2, 3, 4, 3, 4, 3, 4, 3, 4]
