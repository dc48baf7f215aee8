# SPDX-License-Identifier: Apache-2.0

"""Handles: what a type checker knows of the rows of a table and of a statement.

``tables.services`` is a ``Table[rows.Service]``, and a SELECT of its whole rows is a ``Select[rows.Service]``: so is
what ``where``, ``order_by`` and the like make of it, and ``Transaction.row`` returns a ``rows.Service``. All of that is
for type checkers; the objects are SQLAlchemy's own, and at run time nothing is left but ``Row``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

#: A row of which no more is known.
Row = dict[str, Any]

if TYPE_CHECKING:
    from typing import Generic, TypeVar

    import sqlalchemy as sa

    R_co = TypeVar("R_co", covariant=True)

    class Table(sa.Table, Generic[R_co]):
        """A table whose rows are ``R_co``."""

    class Statement(sa.sql.expression.Executable, Generic[R_co]):
        """A statement that returns such rows, whole or some columns of them."""

    class Select(sa.Select[*tuple[Any, ...]], Statement[R_co]):
        """A SELECT that returns such rows."""
