# SPDX-License-Identifier: Apache-2.0

"""How elements of statements are written for each family.

All of that is known before any family is loaded: a statement may be compiled with a dialect of the caller's own.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.functions import FunctionElement

from nova_sqlcore.core.equality import Exact, in_bytes, plain


class vague(FunctionElement[Any]):
    """A column whose values say too little for an index to be worth it.

    sqlite has no statistics and takes any index for a good one, such as that of the mark of soft delete, which finds
    all live rows; a plus sign keeps it from that. Other servers know better.
    """

    inherit_cache = True

    def __init__(self, column: sa.ColumnElement[Any]) -> None:
        """Stand for ``column``."""
        super().__init__(column)
        self.type = column.type


@compiles(vague)
def _plain(element: vague, compiler: Any, **options: Any) -> str:
    text: str = compiler.process(element.clauses.clauses[0], **options)
    return text


@compiles(vague, "sqlite")
def _with_plus(element: vague, compiler: Any, **options: Any) -> str:
    return f"+{_plain(element, compiler, **options)}"


@compiles(in_bytes, "mysql", "mariadb")
def _bytes(element: in_bytes, compiler: Any, **options: Any) -> str:
    """Say it in the charset of the connection's literals, whatever the charset of the column."""
    return f"CAST(CONVERT({compiler.process(element.clauses, **options)} USING utf8mb4) AS BINARY)"


@compiles(Exact, "mysql", "mariadb")
def _by_bytes(element: Exact, compiler: Any, **options: Any) -> str:
    """Compare bytes: collations take case, accents or trailing blanks for equal.

    Where equal values are wanted the plain comparison comes first, for that is what an index serves.
    """
    right = element.right if isinstance(element.right, sa.BindParameter) else in_bytes(element.right)
    exact: str = compiler.visit_binary(sa.BinaryExpression(in_bytes(element.left), right, element.operator), **options)
    return f"({plain(element, compiler, **options)} AND {exact})" if element.looks_for_equals else exact
