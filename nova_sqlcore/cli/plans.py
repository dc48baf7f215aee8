# SPDX-License-Identifier: Apache-2.0

"""How a server means to run recorded statements: its own words, line by line."""

from __future__ import annotations

import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any, Final

from nova_sqlcore.core import dialects
from nova_sqlcore.core.connections import parse_url, tool_engine, translated

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    import sqlalchemy as sa

    from nova_sqlcore.cli.recorded import Statement

_WORDS: Final = {"sqlite": "EXPLAIN QUERY PLAN"}
_EXPLAINED: Final = ("SELECT", "INSERT", "UPDATE", "DELETE", "REPLACE", "WITH", "(")


@dataclasses.dataclass(frozen=True)
class Explainer:
    """Asks one server."""

    #: as in ``recorded.SERVERS``
    server: str
    _connection: sa.Connection

    def plan(self, statement: Statement) -> list[str]:
        """Return the lines of a statement's plan; the statement is not run."""
        if not statement.text.startswith(_EXPLAINED):
            return ["no plan: this is no query"]
        if statement.values is None and "(%(" in statement.text:
            return ["no plan: rows are inserted, and none was recorded"]
        words = _WORDS.get(self.server, "EXPLAIN")
        with translated(dialects.of_server(self._connection)):
            result = self._connection.exec_driver_sql(f"{words} {statement.text}", statement.values or ())
        lines = list(_lines(list(result.keys()), result.all()))
        self._connection.rollback()
        return lines


@contextlib.contextmanager
def explaining(url: str) -> Iterator[Explainer]:
    """Give who asks the server at ``url``.

    Raises: DBError for a URL or a server that can't be used.
    """
    parsed = parse_url(url)
    dialects.family(parsed).require_file(parsed)
    engine = tool_engine(parsed)
    with translated(dialects.family(engine.url), engine), engine.connect() as connection:
        yield Explainer(server_of(connection), connection)


def server_of(connection: sa.Connection) -> str:
    """Return the kind of server, as in ``recorded.SERVERS``."""
    dialect: Any = connection.dialect
    return "mariadb" if getattr(dialect, "is_mariadb", False) else str(dialect.name)


def _lines(names: list[str], rows: Sequence[Any]) -> Iterator[str]:
    """Yield a line for each step; where a step has many columns, those that say something."""
    for row in rows:
        if len(row) == 1:  # PostgreSQL
            yield str(row[0])
        elif "detail" in names:  # sqlite
            yield str(row[names.index("detail")])
        else:
            yield one_line_of(names, row)


def one_line_of(names: Sequence[str], row: Any) -> str:
    """Return the columns of a row that are not NULL."""
    return ", ".join(f"{name}: {value}" for name, value in zip(names, row, strict=True) if value is not None)
