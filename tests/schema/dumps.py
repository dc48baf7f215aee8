# SPDX-License-Identifier: Apache-2.0

"""Loads the databases that the reference itself has made: its schema, and rows of every kind."""

from __future__ import annotations

import gzip
import itertools
import re
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Iterator

DATA = Path(__file__).parent.parent / "data"


def load(url: sa.URL) -> None:
    """Fill the empty database at ``url`` from the reference's dump for its back-end."""
    match url.get_backend_name():
        case "sqlite":
            assert url.database is not None
            Path(url.database).write_bytes(gzip.decompress((DATA / "nova13.sqlite.gz").read_bytes()))
        case "mysql":
            _load_mysql(url)
        case "postgresql":
            _load_postgresql(url)


def _lines(name: str) -> Iterator[str]:
    with gzip.open(DATA / name, "rt", encoding="utf-8", newline="\n") as lines:
        yield from lines


def _load_mysql(url: sa.URL) -> None:
    """Run the statements of mariadb-dump: each ends with its line."""
    engine = sa.create_engine(url, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        raw = connection.connection.dbapi_connection
        assert raw is not None
        cursor = raw.cursor()
        is_mariadb = "MariaDB" in cursor.connection.get_server_info()
        for statement in _statements(_lines("nova13.mysql.sql.gz")):
            cursor.execute(statement if is_mariadb else _for_mysql(statement))


def _for_mysql(statement: str) -> str:
    """Let MySQL name the checks, as it does for the reference: MariaDB's names are unique in their table only."""
    return re.sub(r"CONSTRAINT `CONSTRAINT_\d+` CHECK", "CHECK", statement)


#: What pg_dump tells psql and not the server.
_FOR_PSQL = ("\\restrict", "\\unrestrict")


def _load_postgresql(url: sa.URL) -> None:
    """Run the statements of pg_dump, and send the rows that follow each COPY."""
    address = url.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(address) as connection:
        lines = (
            line for line in _lines("nova13.postgresql.sql.gz") if not line.startswith(("\\restrict", "\\unrestrict"))
        )
        for statement in _statements(lines):
            if not statement.startswith("COPY "):
                connection.execute(statement.encode())
                continue
            with connection.cursor().copy(statement.encode()) as copy:
                for row in itertools.takewhile(lambda line: line != "\\.\n", lines):
                    copy.write(row)


def _statements(lines: Iterator[str]) -> Iterator[str]:
    """Yield the statements; the caller may take lines off between two of them."""
    statement = ""
    for line in lines:
        if not statement and (line.startswith("--") or not line.strip()):
            continue
        statement += line
        if line.endswith(";\n"):
            yield statement
            statement = ""
