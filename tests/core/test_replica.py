"""Readers that may lag go to the replica, all others to the primary (01-core 4.7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, api, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.hosts import services
from nova_sqlcore.queries.security import certificates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.plugins.backend import Backend

T = tables.certificates
_NAMES = sa.select(T.c.file_name).order_by(T.c.id)


@pytest.fixture
def database(backend: Backend) -> Iterator[tx.Database]:
    """Return a database whose replica is another one: each holds a certificate and a service of its own."""
    with backend.new_database() as replica:
        database = tx.Database("with replica")
        database.configure(backend.url, replica)
        tables.metadata.create_all(database.replica_engine, [T, tables.services])
        for engine, name, version in ((database.engine, "primary", 2), (database.replica_engine, "replica", 1)):
            with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.execute(T.insert(), {"file_name": name})
                connection.execute(tables.services.insert(), {"host": name, "binary": "b", "version": version})
        yield database
        database.close()


@pytest.fixture
def context(database: tx.Database) -> RequestContext:
    context = RequestContext("user", "project")
    context.db_connection = database
    return context


def names(context: Any) -> Any:
    return tx.current(context).scalars(_NAMES)


@pytest.mark.parametrize(
    ("scope", "found"),
    [
        (tx.reader, "primary"),
        (tx.reader.allow_async, "primary"),
        (tx.reader.snapshot, "primary"),
        (tx.reader.async_, "replica"),
        (tx.reader.async_.snapshot, "replica"),
        (tx.writer, "primary"),
    ],
)
def test_where_a_scope_alone_reads(context: RequestContext, scope: tx.Scope[tx.Transaction], found: str) -> None:
    assert scope(names)(context) == [found]
    with scope.using(context) as transaction:
        assert transaction.scalars(_NAMES) == [found]
    with scope.connection.using(context) as connection:
        assert connection.execute(_NAMES).scalars().all() == [found]


def test_those_who_join_read_where_it_is_open(context: RequestContext) -> None:
    with tx.reader(context, replica=True):
        assert tx.reader.allow_async(names)(context) == tx.reader.async_(names)(context) == ["replica"]
        assert services.service_get_minimum_version(context, "b") == 1
        with pytest.raises(TypeError):
            services.service_get_all(context)
    assert services.service_get_minimum_version(context, "b") == 2
    for outer in (tx.reader, tx.writer):
        with outer.using(context):
            assert tx.reader.async_(names)(context) == ["primary"]


@pytest.mark.parametrize("use_slave", [True, False])
def test_a_function_that_takes_use_slave(context: RequestContext, use_slave: bool) -> None:
    @api.select_db_reader_mode
    def minimum(context: Any, use_slave: bool = False) -> int | None:
        return services.service_get_minimum_version(context, "b")

    assert minimum(context, use_slave=use_slave) == (1 if use_slave else 2)
    context.db_connection = None
    assert minimum(context, use_slave=use_slave) == 2  # the main database has no replica


def test_engines(context: RequestContext, database: tx.Database) -> None:
    assert api.get_engine(use_slave=True, context=context).url == database.replica_url
    assert api.get_engine(context=context).url == api.get_engine(False, context).url == database.url


@pytest.mark.parametrize("derive", [lambda context: context, RequestContext.elevated])
def test_a_context_that_has_written_reads_what_it_has_written(
    context: RequestContext, derive: Callable[[RequestContext], RequestContext]
) -> None:
    other = derive(context)
    tx.writer(lambda context: tx.current(context).insert(T, {"file_name": "new"}))(context)
    with tx.reader(other, replica=True) as transaction:
        assert transaction.scalars(_NAMES) == ["primary", "new"]
    unrelated = get_admin_context()
    unrelated.db_connection = context.db_connection
    assert tx.reader.async_(names)(unrelated) == ["replica"]
    tx.forget_writes(other)
    assert tx.reader.async_(names)(context) == ["replica"]


def test_so_does_one_that_has_written_by_hand(context: RequestContext) -> None:
    with tx.writer.connection.using(context) as connection:
        connection.execute(T.insert(), {"file_name": "new"})
    assert tx.reader.async_(names)(context) == ["primary", "new"]


def test_what_was_undone_was_not_written(context: RequestContext) -> None:
    with pytest.raises(ValueError, match="undo"), tx.writer(context) as transaction:
        transaction.insert(T, {"file_name": "lost"})
        raise ValueError("undo")
    with tx.writer(context):
        pass
    assert tx.reader.async_(names)(context) == ["replica"]


def test_a_write_elsewhere_does_not_count(context: RequestContext) -> None:
    certificates.certificate_create(context, {"file_name": "in main"})  # pinned to the main database
    assert tx.reader.async_(names)(context) == ["replica"]


def test_the_replica_is_not_written(context: RequestContext) -> None:
    with tx.reader(context, replica=True) as transaction:
        for write in (transaction.execute, transaction.rows):
            with pytest.raises(TypeError, match="writer"):
                write(T.insert().values(file_name="never").returning(T.c.id))
        transaction.connection.execute(T.insert(), {"file_name": "undone"})
    assert tx.reader.async_(names)(context) == ["replica"]


def test_a_replica_that_is_gone(backend: Backend, database: tx.Database) -> None:
    if backend.family == "sqlite":
        return  # it makes the file
    lonely = tx.Database("without replica")
    lonely.configure(backend.url, backend.url.set(database="nova_that_is_not_there"))
    context = get_admin_context()
    context.db_connection = lonely
    try:
        assert tx.reader(names)(context) == ["primary"]
        with pytest.raises(exceptions.DBConnectionError):
            tx.reader.async_(names)(context)
    finally:
        lonely.close()
