# SPDX-License-Identifier: Apache-2.0

"""A cell: a database beside the main one, that a context may point to."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from nova_sqlcore import RequestContext, tables, tx

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def cell(*names: str) -> Iterator[RequestContext]:
    """Give the context of a user whose calls go to a cell with these tables."""
    database = tx.Database("cell")
    database.configure("sqlite://")
    tables.metadata.create_all(database.engine, [tables.metadata.tables[name] for name in names])
    context = RequestContext("user", "project")
    context.db_connection = database
    try:
        yield context
    finally:
        database.close()
