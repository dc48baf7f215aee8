# SPDX-License-Identifier: Apache-2.0

"""What hand-written code of one back-end is made of: a DB-API connection, texts that are made once, dicts of records.

A careful programmer writes it for one server: fixed text, one open cursor, ``zip``, and a conversion of just those
columns that the driver gives in another form (times and booleans of sqlite, for example).
"""

from __future__ import annotations

import contextlib
import datetime
import functools
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from nova_sqlcore import tables
from nova_sqlcore.core.types import CIDR, Boolean, DateTime, IPAddress

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

Row = dict[str, Any]
#: What the library sets on connections to sqlite, whose file is in WAL mode.
_PRAGMA = "PRAGMA synchronous = NORMAL"


def made_engine(url: sa.URL, **options: Any) -> sa.Engine:
    """Return an engine whose connections to sqlite are as safe, and as fast, as those of the library."""
    engine = sa.create_engine(url, **options)
    if engine.dialect.name == "sqlite":
        sa.event.listen(engine, "connect", lambda connection, _: connection.execute(_PRAGMA))
    return engine


class Driver:
    """The DB-API connection of one back-end, in autocommit mode, and its words."""

    def __init__(self, url: sa.URL) -> None:
        self.engine = made_engine(url, isolation_level="AUTOCOMMIT")
        self.name = self.engine.dialect.name
        self._pooled = self.engine.raw_connection()
        raw: Any = self._pooled.dbapi_connection
        if raw is not None and hasattr(raw, "prepare_threshold"):
            raw.prepare_threshold = 2
        self.cursor: Any = raw.cursor()
        #: statements sent, BEGIN and COMMIT apart
        self.statements = 0
        self.mark = "?" if self.engine.dialect.paramstyle == "qmark" else "%s"
        self.quote = self.engine.dialect.identifier_preparer.quote
        self._begin = "BEGIN IMMEDIATE" if self.name == "sqlite" else "BEGIN"
        self.returns = self.name != "mysql"
        self.locks = " FOR UPDATE" if self.name != "sqlite" else ""

    def close(self) -> None:
        self.cursor.close()
        self._pooled.close()
        self.engine.dispose()

    @contextlib.contextmanager
    def transaction(self, *, writes: bool = True) -> Iterator[None]:
        self.cursor.execute(self._begin if writes else "BEGIN")
        try:
            yield
        except BaseException:
            self.cursor.execute("ROLLBACK")
            raise
        self.cursor.execute("COMMIT")

    def run(self, text: str, params: Sequence[Any] = ()) -> Any:
        self.statements += 1
        self.cursor.execute(text, params)
        return self.cursor

    def run_many(self, text: str, rows: Sequence[Sequence[Any]]) -> None:
        self.statements += 1
        self.cursor.executemany(text, rows)

    def moment(self) -> Any:
        """Return now, as the driver takes it."""
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None, microsecond=0)
        return now.isoformat(" ", "microseconds") if self.name == "sqlite" else now

    def names(self, table: sa.Table) -> list[str]:
        return [column.name for column in tables.row_columns(table)]

    def listed(self, table: sa.Table, prefix: str = "") -> str:
        """Return the columns of a row of the table, as a SELECT lists them."""
        return ", ".join(prefix + self.quote(name) for name in self.names(table))

    def select(self, table: sa.Table, where: str, order: str = "") -> tuple[str, Callable[[Any], Row]]:
        """Return a SELECT of all columns of a row, and what makes a dict of a record."""
        return f"SELECT {self.listed(table)} FROM {table.name} WHERE {where}{order}", self.maker(table)

    def maker(self, table: sa.Table, names: Sequence[str] | None = None) -> Callable[[Any], Row]:
        """Return what makes a dict of a record."""
        return _row_maker(names or self.names(table), self.conversions(tables.row_columns(table)))

    def conversions(self, found: Sequence[sa.Column[Any]]) -> list[tuple[str, Callable[[Any], Any]]]:
        """Return what the driver gives in another form than the library."""
        if self.name == "postgresql":
            return [(column.name, str) for column in found if isinstance(column.type, IPAddress | CIDR)]
        booleans: list[tuple[str, Callable[[Any], Any]]] = [
            (column.name, bool) for column in found if isinstance(column.type, Boolean)
        ]
        if self.name != "sqlite":
            return booleans
        moment = datetime.datetime.fromisoformat
        return booleans + [(column.name, moment) for column in found if isinstance(column.type, DateTime)]

    @functools.cache  # noqa: B019  # there is one for each run
    def insert(self, table: sa.Table, count: int = 1) -> str:
        """Return an INSERT of all columns but the id, which comes back where RETURNING is known."""
        names = [self.quote(name) for name in self.names(table) if name != "id"]
        record = f"({', '.join([self.mark] * len(names))})"
        text = f"INSERT INTO {table.name} ({', '.join(names)}) VALUES {', '.join([record] * count)}"
        return f"{text} RETURNING id" if self.returns else text

    def store(self, table: sa.Table, template: Row, given: Sequence[Mapping[str, Any]]) -> list[Row]:
        """Insert rows in one statement, and return them."""
        rows = [{**template, **one} for one in given]
        params = [value for row in rows for value in row.values()]
        cursor = self.run(self.insert(table, len(rows)), params)
        ids = [record[0] for record in cursor.fetchall()] if self.returns else range(cursor.lastrowid, 2**63)
        return [{**row, "id": identity} for row, identity in zip(rows, ids)]  # noqa: B905  # ids without end


def _row_maker(names: Sequence[str], conversions: Sequence[tuple[str, Callable[[Any], Any]]]) -> Callable[[Any], Row]:
    def row(record: Any) -> Row:
        made = dict(zip(names, record))  # noqa: B905  # what a careful programmer writes: ``strict`` costs time
        for name, convert in conversions:
            if made[name] is not None:
                made[name] = convert(made[name])
        return made

    return row
