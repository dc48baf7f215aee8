# SPDX-License-Identifier: Apache-2.0

"""Readers that may lag go to the replica, all others to the primary (01-core 4.7)."""

from __future__ import annotations

import copy
import dataclasses
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, cast

import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, api, exceptions, get_admin_context, tables, tx
from nova_sqlcore.core.scopes import HOLDER, new_scopes
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


@pytest.mark.parametrize("pause", [0, 10])
def test_a_replica_that_is_gone(
    backend: Backend, database: tx.Database, pause: float, caplog: pytest.LogCaptureFixture
) -> None:
    if backend.family == "sqlite":
        return  # it makes the file
    lonely = tx.Database("without replica")
    lonely.configure(backend.url, backend.url.set(database="nova_that_is_not_there"), replica_pause=pause)
    context = get_admin_context()
    context.db_connection = lonely
    try:
        for _ in range(3):
            assert tx.reader.async_(names)(context) == ["primary"]
            with tx.reader(context, replica=True, not_before="0/1") as transaction:
                assert transaction.scalars(_NAMES) == ["primary"]
    finally:
        lonely.close()
    (warning,) = caplog.records
    assert "without replica: the replica can't be reached" in warning.getMessage()


def test_a_replica_whose_pool_is_exhausted(database: tx.Database, context: RequestContext) -> None:
    if database.engine.dialect.name == "sqlite":
        return  # it has no pool
    url, replica = database.url, database.replica_url
    assert url is not None
    database.close()
    database.configure(url, replica, pool_size=1, max_overflow=0, pool_timeout=0.05)
    other = copy.copy(context)
    setattr(other, HOLDER, new_scopes())
    with tx.reader(context, replica=True) as transaction:
        assert transaction.scalars(_NAMES) == ["replica"]
        with pytest.raises(exceptions.DBPoolExhausted):
            tx.reader.async_(names)(other)
    assert tx.reader.async_(names)(other) == ["replica"]


def test_a_server_that_follows_no_other_one_has_come_to_no_position(
    context: RequestContext, database: tx.Database, backend: Backend
) -> None:
    position = tx.position(context)
    assert bool(position) == (backend.family == "postgresql")  # the others have no log
    made_up = {"mariadb": "0-1-1000000", "mysql": f"{uuid.uuid4()}:1"}.get(backend.name, position)
    database.close()
    assert database.url is not None
    database.configure(database.url, database.replica_url, replica_wait=0.05)
    for not_before, found in ((None, "replica"), (position, "primary"), (made_up, "primary"), (None, "replica")):
        with tx.reader(context, replica=True, not_before=not_before) as transaction:
            assert transaction.scalars(_NAMES) == [found]


@dataclasses.dataclass(frozen=True)
class Frozen:
    """A context that takes no attributes."""

    db_connection: tx.Database
    user_id: str | None = "u"
    project_id: str | None = "p"
    is_admin: bool = True
    read_deleted: str = "no"


@pytest.mark.parametrize("frozen", [False, True])
def test_other_threads_know_what_has_been_written(context: RequestContext, database: tx.Database, frozen: bool) -> None:
    context = cast("RequestContext", Frozen(database)) if frozen else context
    with ThreadPoolExecutor(1) as thread:
        assert thread.submit(tx.reader.async_(names), context).result() == ["replica"]
        tx.writer(lambda context: tx.current(context).insert(T, {"file_name": "new"}))(context)
        assert thread.submit(tx.reader.async_(names), context).result() == ["primary", "new"]
        tx.forget_writes(context)
        assert thread.submit(tx.reader.async_(names), context).result() == ["replica"]
        thread.submit(tx.writer(lambda context: tx.current(context).insert(T, {"file_name": "x"})), context).result()
    assert tx.reader.async_(names)(context) == ["primary", "new", "x"]


def test_no_position_of_what_is_no_text(context: RequestContext) -> None:
    with pytest.raises(TypeError, match="not_before"):
        tx.reader(context, replica=True, not_before=5)  # type: ignore[call-overload]  # what is tested


def breaking_off(error: type[Exception], seen: list[str]) -> Callable[..., list[str]]:
    """Return a function that reads, and fails at the first call."""

    def function(context: Any, use_slave: bool = True) -> list[str]:
        seen.extend(names(context))
        if len(seen) == 1:
            raise error("broken off")
        return seen

    return function


@pytest.mark.parametrize("error", [exceptions.DBConnectionError, exceptions.DBDeadlock])
def test_what_the_replica_breaks_off_the_primary_reads(context: RequestContext, error: type[Exception]) -> None:
    for decorate in (tx.reader.async_, api.select_db_reader_mode):
        assert decorate(breaking_off(error, []))(context) == ["replica", "primary"]


@pytest.mark.parametrize("error", [exceptions.DBCommitUncertain, exceptions.DBDataError, ValueError])
def test_other_errors_end_a_call(context: RequestContext, error: type[Exception]) -> None:
    seen: list[str] = []
    with pytest.raises(error):
        tx.reader.async_(breaking_off(error, seen))(context)
    assert seen == ["replica"]


def test_whoever_joins_is_not_run_again(context: RequestContext) -> None:
    seen: list[str] = []
    with pytest.raises(exceptions.DBConnectionError), tx.reader(context, replica=True):
        tx.reader.async_(breaking_off(exceptions.DBConnectionError, seen))(context)
    assert seen == ["replica"]
