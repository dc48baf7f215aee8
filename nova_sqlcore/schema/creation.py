# SPDX-License-Identifier: Apache-2.0

"""Making the tables without migrations: for an installation with SQLAlchemy alone, and for the tests of a service."""

from __future__ import annotations

import contextlib
import logging
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from nova_sqlcore import exceptions, tables
from nova_sqlcore.core import dialects
from nova_sqlcore.core.connections import Connections, parse_url, tool_engine, translated
from nova_sqlcore.schema import check

if TYPE_CHECKING:
    from collections.abc import Iterator

logger = logging.getLogger(__name__)

#: Seconds to wait for somebody else who makes the tables.
WAIT: Final = 60.0

#: Those of a new database, in the order of their ids: name, MB of memory, cores, flavorid, GB of disk.
_FLAVORS: Final = (
    ("m1.medium", 4096, 2, "3", 40),
    ("m1.tiny", 512, 1, "1", 1),
    ("m1.large", 8192, 4, "4", 80),
    ("m1.xlarge", 16384, 8, "5", 160),
    ("m1.small", 2048, 1, "2", 20),
)
_FIELDS: Final = ("name", "memory_mb", "vcpus", "flavorid", "root_gb")
_OTHERS: Final[dict[str, Any]] = {
    "created_at": None,
    "swap": 0,
    "rxtx_factor": 1,
    "ephemeral_gb": 0,
    "disabled": False,
    "is_public": True,
}


def create(database: str | sa.URL | Connections) -> list[str]:
    """Make the tables that are missing, and the flavors of a new database if there are none; return the tables' names.

    Raises: as ``nova_sqlcore.schema.create``.
    """
    with _connected(database) as connection:
        here = check.present(connection)
        check.require_same(connection, here)
        missing = [table for table in tables.metadata.sorted_tables if table not in here]
        tables.metadata.create_all(connection, missing)
        _add_flavors(connection)
        connection.commit()
    logger.info("%d tables made", len(missing))
    return [table.name for table in missing]


@contextlib.contextmanager
def _connected(database: str | sa.URL | Connections) -> Iterator[sa.Connection]:
    """Give a connection that keeps others from making tables meanwhile."""
    if isinstance(database, Connections) and database.url is not None and dialects.in_memory(database.url):
        with translated(database.family), database.engine.connect() as connection:
            yield connection
        return
    engine = tool_engine(_address(database))
    family = dialects.family(engine.url)
    with translated(family, engine), engine.connect() as connection:
        if not family.hold(connection, "nova_sqlcore.create", WAIT):
            raise exceptions.DBMigrationError("somebody else has been making the tables of this database for a while")
        yield connection


def _address(database: str | sa.URL | Connections) -> sa.URL:
    if isinstance(database, Connections):
        if database.url is None:
            raise exceptions.CantStartEngineError(f"{database!r} has no address: configure it first")
        return database.url
    url = parse_url(database)
    if dialects.in_memory(url):
        raise exceptions.DBMigrationError(
            "a database in memory ends with its connection: configure it, and give the database in place of the URL, "
            "as in create(tx.main)"
        )
    if not url.database:
        raise exceptions.DBMigrationError("the URL names no database; its name comes last, after the host and a slash")
    return url


def _add_flavors(connection: sa.Connection) -> None:
    """Store the flavors with the ids that the reference's own migrations give them."""
    table = tables.instance_types
    if connection.scalar(sa.select(table.c.id).limit(1)) is not None:
        return
    rows = [{"id": place, **dict(zip(_FIELDS, one, strict=True)), **_OTHERS} for place, one in enumerate(_FLAVORS, 1)]
    connection.execute(table.insert(), rows)
    for statement in dialects.family(connection.engine.url).count_ids_from(table, len(rows) + 1):
        connection.execute(statement)
