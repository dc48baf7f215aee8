# SPDX-License-Identifier: Apache-2.0

"""The engines are ordinary ones: what tools do with them comes out as elsewhere, and leaves no trace in the library."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import get_admin_context, tables, tx

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nova_sqlcore import RequestContext
    from tests.plugins.backend import Backend

T = tables.certificates
_NAMES = sa.select(T.c.file_name).order_by(T.c.id)
#: The one or the other, on MariaDB and MySQL.
_LEVEL = sa.text("SHOW SESSION VARIABLES WHERE Variable_name IN ('tx_isolation', 'transaction_isolation')")


@pytest.fixture
def database(backend: Backend) -> Iterator[tx.Database]:
    """Return a database that is its own replica, with one connection to each."""
    database = tx.Database("its own replica")
    database.configure(backend.url, backend.url, pool_size=1, max_overflow=0)
    yield database
    database.close()


@pytest.fixture
def context(database: tx.Database) -> RequestContext:
    context = get_admin_context()
    context.db_connection = database
    return context


@pytest.fixture(params=["primary", "replica"])
def engine(request: pytest.FixtureRequest, database: tx.Database) -> sa.Engine:
    return database.engine if request.param == "primary" else database.replica_engine


@tx.reader.async_
def names(context: Any) -> list[str]:
    return tx.current(context).scalars(_NAMES)


def insert(connection: sa.Connection, name: str) -> None:
    connection.execute(T.insert(), {"file_name": name})


def test_transactions(database: tx.Database, context: RequestContext) -> None:
    with database.engine.begin() as connection:
        insert(connection, "a")
    with database.engine.connect() as connection:
        insert(connection, "b")
        connection.commit()
        insert(connection, "undone")
    with pytest.raises(ValueError, match="undo"), database.engine.begin() as connection:
        insert(connection, "undone")
        raise ValueError("undo")
    with database.engine.begin() as connection:
        with connection.begin_nested() as savepoint:
            insert(connection, "undone")
            savepoint.rollback()
        insert(connection, "c")
    assert names(context) == ["a", "b", "c"]


def test_autocommit(engine: sa.Engine, context: RequestContext) -> None:
    with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        insert(connection, "a")
    assert names(context) == ["a"]


@pytest.mark.parametrize("level", ["AUTOCOMMIT", "SERIALIZABLE"])
def test_the_library_goes_on_as_before(
    engine: sa.Engine, database: tx.Database, context: RequestContext, backend: Backend, level: str
) -> None:
    with engine.connect().execution_options(isolation_level=level) as connection:
        connection.execute(_NAMES)
    with pytest.raises(ValueError, match="undo"), tx.writer(context) as transaction:
        transaction.insert(T, {"file_name": "undone"})
        raise ValueError("undo")
    for count in range(3):  # no reader holds a snapshot
        assert len(names(context)) == count
        with tx.reader(context, replica=True) as snapshot:
            assert len(snapshot.scalars(_NAMES)) == count
        tx.writer(lambda context: tx.current(context).insert(T, {"file_name": "more"}))(_unrelated(database))
    if backend.family == "mysql":
        with tx.writer(context) as transaction:
            levels = {row["Value"] for row in transaction.rows(_LEVEL)}  # MariaDB 11.1 and newer have both names
            assert levels == {"READ-COMMITTED"}


def _unrelated(database: tx.Database) -> RequestContext:
    """Return another context, lest the first one be kept off the replica by its writing."""
    other = get_admin_context()
    other.db_connection = database
    return other
