# SPDX-License-Identifier: Apache-2.0

"""The reference's own names for databases, scopes and queries; ``nova_sqlcore.tx`` has them in this library's terms."""

from __future__ import annotations

import functools
import inspect
from typing import TYPE_CHECKING, Any, Literal, ParamSpec, TypeVar

import sqlalchemy as sa

from nova_sqlcore import tx
from nova_sqlcore.context import is_user_context
from nova_sqlcore.core.arguments import walked, walked_by_name
from nova_sqlcore.core.scopes import check_context
from nova_sqlcore.core.texts import quoted
from nova_sqlcore.queries.common.clauses import columns, visible
from nova_sqlcore.queries.compute.instances import instance_get_by_uuid
from nova_sqlcore.queries.hosts.aggregates import aggregate_get

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nova_sqlcore.context import Context

P = ParamSpec("P")
R = TypeVar("R")

main_context_manager = tx.main
api_context_manager = tx.api
create_context_manager = tx.create_context_manager

#: The reference's options and what they are called here; None or absent leaves the default.
_OPTIONS = {
    "idle_timeout": "pool_recycle",
    "max_pool_size": "pool_size",
    "max_overflow": "max_overflow",
    "pool_timeout": "pool_timeout",
    "mysql_sql_mode": "sql_mode",
    "sqlite_synchronous": "sqlite_synchronous",
    "max_retries": "max_retries",
    "retry_interval": "retry_interval",
}
#: ``connection_debug`` from which on statements are logged.
_LOGS_STATEMENTS = 50


# -- databases --------------------------------------------------------------------------------------------------------


def configure(conf: Any) -> None:
    """Configure the main database from ``conf.database`` and the API database from ``conf.api_database``.

    A group without ``connection`` is left alone. ``connection_trace`` has no effect.
    Raises: TypeError if the database is in use already. AttributeError if ``conf`` has no such group.
    """
    for database, group in ((tx.main, conf.database), (tx.api, conf.api_database)):
        given = _get_db_conf(group)
        if given["connection"]:
            options = {name: given[key] for key, name in _OPTIONS.items() if given[key] is not None}
            options["echo"] = (given["connection_debug"] or 0) >= _LOGS_STATEMENTS
            database.configure(given["connection"], given["slave_connection"] or None, **options)


def _get_db_conf(conf_group: Any, connection: str | None = None) -> dict[str, Any]:
    """Return the options of a configuration group under the reference's names; ``connection`` wins over the group's."""
    names = ("slave_connection", "connection_debug", "connection_trace", *_OPTIONS)
    options = {name: getattr(conf_group, name, None) for name in names}
    return options | {"connection": connection or conf_group.connection, "sqlite_fk": False}


def get_context_manager(context: Context | None) -> tx.Database:
    """Return the database that the context's calls go to: its cell's, or the main one."""
    return tx.database_of(context)


def get_engine(use_slave: bool = False, context: Context | None = None) -> sa.Engine:
    """Return the engine of the context's database; of its replica if that is wanted and there is one.

    Raises: CantStartEngineError if the database has no address.
    """
    database = get_context_manager(context)
    return database.replica_engine if use_slave else database.engine


def get_api_engine() -> sa.Engine:
    """Return the engine of the API database.

    Raises: CantStartEngineError if the database has no address.
    """
    return tx.api.engine


# -- decorators -------------------------------------------------------------------------------------------------------


def pick_context_manager_writer(f: Callable[P, R]) -> Callable[P, R]:
    """Decorate ``f(context, ...)`` so that it runs in a writer of the context's database."""
    return tx.writer(f)


def pick_context_manager_reader(f: Callable[P, R]) -> Callable[P, R]:
    """Decorate ``f(context, ...)`` so that it runs in a reader of the context's database."""
    return tx.reader.snapshot(f)


def pick_context_manager_reader_allow_async(f: Callable[P, R]) -> Callable[P, R]:
    """Decorate ``f(context, ...)`` so that it runs in a reader that may join one of the replica."""
    return tx.reader.snapshot.allow_async(f)


def select_db_reader_mode(f: Callable[P, R]) -> Callable[P, R]:
    """Decorate ``f`` so that it runs in a reader for its parameter ``context``, wherever that stands.

    The reader is one of the replica if the parameter ``use_slave`` is true; only functions that may lag run in it.
    """
    parameters = _signature(f)
    on_primary, on_replica = (
        scope.snapshot.named(f.__name__)(lambda context, call: call()) for scope in (tx.reader, tx.reader.async_)
    )

    @functools.wraps(f)
    def selected(*args: P.args, **kwargs: P.kwargs) -> R:
        given = parameters.bind(*args, **kwargs)
        given.apply_defaults()
        run = on_replica if given.arguments.get("use_slave") else on_primary
        result: R = run(given.arguments["context"], functools.partial(f, *walked(args), **walked_by_name(kwargs)))
        return result

    return selected


def require_instance_exists_using_uuid(f: Callable[P, R]) -> Callable[P, R]:
    """Decorate ``f(context, instance_uuid, ...)`` so that it runs only for an instance that the context may see.

    Cost: 1 statement, before those of ``f``; in 1 round trip.
    Raises: Forbidden(); InstanceNotFound(instance_id).
    """
    return _after(functools.partial(instance_get_by_uuid, columns=("uuid",)), f)


def require_aggregate_exists(f: Callable[P, R]) -> Callable[P, R]:
    """Decorate ``f(context, aggregate_id, ...)`` so that it runs only for an aggregate that the context may see.

    Cost: 1 statement, before those of ``f``; in 1 round trip.
    Raises: AggregateNotFound(aggregate_id).
    """
    return _after(aggregate_get, f)


def _after(look_up: Callable[[Context, Any], Any], f: Callable[P, R]) -> Callable[P, R]:
    """Return ``f`` as one that first looks up what its first two parameters name."""
    parameters = _signature(f)

    @functools.wraps(f)
    def checked(*args: P.args, **kwargs: P.kwargs) -> R:
        context, identity, *_ = parameters.bind(*args, **kwargs).arguments.values()
        look_up(context, identity)
        return f(*args, **kwargs)

    return checked


def _signature(f: Callable[..., Any]) -> inspect.Signature:
    """Return the signature of a function.

    Raises: TypeError for what is none.
    """
    if not callable(f):
        raise TypeError(f"a function is needed, not {quoted(f)}")
    return inspect.signature(f)


# -- queries ----------------------------------------------------------------------------------------------------------


def model_query(
    context: Context,
    model: sa.Table,
    args: Sequence[sa.ColumnElement[Any]] | None = None,
    read_deleted: str | None = None,
    project_only: bool | Literal["allow_none"] = False,
) -> sa.Select[Any]:
    """Return the SELECT of a table's rows, or of the columns ``args``, that the context may see; nothing is run.

    ``read_deleted`` counts in place of the context's. With ``project_only`` a user sees the rows of their project; with
    'allow_none' those of no project too.
    Raises: TypeError if ``model`` is not a Table, ``args`` no columns, or ``context`` not a context. ValueError for an
    unknown ``read_deleted``, or a table that has no soft delete or no project.
    """
    if not isinstance(model, sa.Table):
        raise TypeError(f"model is a Table; got {quoted(model)}")
    check_context(context)
    wanted = context.read_deleted if read_deleted is None else read_deleted
    try:
        selected = sa.select(*(args or columns(model)))
    except (TypeError, RecursionError, sa.exc.ArgumentError):
        raise TypeError(f"args are columns; got {quoted(args)}") from None
    statement = selected.select_from(model).where(*visible(model, wanted))
    if not project_only or not is_user_context(context):
        return statement
    if "project_id" not in model.c:
        raise ValueError(f"{model} has no project")
    owned = model.c.project_id == context.project_id
    return statement.where(sa.or_(owned, model.c.project_id.is_(None)) if project_only == "allow_none" else owned)
