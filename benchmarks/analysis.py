# SPDX-License-Identifier: Apache-2.0

"""Servers look at what a benchmark has stored, as they do by themselves some time after so many rows have come.

Until then they plan for tables that are all but empty, which no database of a service is.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    import sqlalchemy as sa


def analyze(engine: sa.Engine, tables: Iterable[sa.Table]) -> None:
    """Let the server count and sample what the tables hold."""
    words = "ANALYZE TABLE" if engine.dialect.name == "mysql" else "ANALYZE"
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for table in tables:
            connection.exec_driver_sql(f"{words} {table.name}")
