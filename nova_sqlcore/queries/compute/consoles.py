# SPDX-License-Identifier: Apache-2.0

"""Consoles and the pools they belong to: how to reach screens of instances.  Tables ``consoles``, ``console_pools``.

Consoles have the columns of soft delete, but they are really deleted; pools are never deleted here.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from nova_sqlcore import exceptions, tx
from nova_sqlcore.core.texts import quoted
from nova_sqlcore.queries.common.arguments import also_named
from nova_sqlcore.queries.common.clauses import arg, columns, split, visible
from nova_sqlcore.queries.common.ids import as_id
from nova_sqlcore.queries.common.lookups import Shape, equal, rows_by, shape_of
from nova_sqlcore.tables import console_pools as pools, consoles as t
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context
    from nova_sqlcore.core.handles import Row


_POOL, _CONSOLE = "pools_", "consoles_"
_DELETE_STATEMENT = sa.delete(t).where(t.c.id == arg("by_id"))


@functools.cache
def _with_pool_statement(shape: Shape) -> sa.Select[Any]:
    joined = t.outerjoin(pools, pools.c.id == t.c.pool_id)
    return sa.select(*columns(t), *columns(pools, _POOL)).select_from(joined).where(*equal(t, shape)).order_by(t.c.id)


@functools.cache
def _pools_with_consoles_statement(shape: Shape) -> sa.Select[Any]:
    return (
        sa.select(*columns(pools), *columns(t, _CONSOLE))
        .select_from(pools.outerjoin(t, t.c.pool_id == pools.c.id))
        .where(*equal(pools, shape), *visible(pools, "no"))
        .order_by(pools.c.id, t.c.id)
    )


def _consoles(context: Context, **key: Any) -> list[rows.ConsoleWithPool]:
    """Return the consoles with this key, each with its ``pool``."""
    shape, params = shape_of(key)
    found = current(context).rows(_with_pool_statement(shape), **params)
    for row in found:
        row["pool"] = split(row, _POOL)
    return cast("list[rows.ConsoleWithPool]", found)


def _pools(context: Context, **key: Any) -> list[rows.ConsolePoolWithConsoles]:
    """Return the live pools with this key, each with the list of its ``consoles``."""
    shape, params = shape_of(key)
    found: dict[int, Row] = {}
    for row in current(context).rows(_pools_with_consoles_statement(shape), **params):
        console = split(row, _CONSOLE)
        pool = found.setdefault(row["id"], {**row, "consoles": []})
        if console is not None:
            pool["consoles"].append(console)
    return cast("list[rows.ConsolePoolWithConsoles]", list(found.values()))


@also_named(proxy_host="host")
@tx.reader
def console_pool_get_by_host_type(
    context: Context, compute_host: str, host: str, console_type: str
) -> rows.ConsolePoolWithConsoles:
    """Return the live pool of this type that the proxy ``host`` keeps for the compute host.

    The row has ``consoles``: all consoles of the pool, by id.
    Cost: 1 statement in 1 round trip.
    Raises: ConsolePoolNotFoundForHostType(host, console_type, compute_host).
    """
    found = _pools(context, host=host, console_type=console_type, compute_host=compute_host)
    if not found:
        raise exceptions.ConsolePoolNotFoundForHostType(host=host, console_type=console_type, compute_host=compute_host)
    return found[0]


@tx.reader
def console_pool_get_all_by_host_type(
    context: Context, host: str, console_type: str
) -> list[rows.ConsolePoolWithConsoles]:
    """Return the live pools of this type on the proxy ``host``, by id, each with its ``consoles``, by id.

    Cost: 1 statement in 1 round trip.
    """
    return _pools(context, host=host, console_type=console_type)


@tx.writer
def console_pool_create(context: Context, values: Mapping[str, Any]) -> rows.ConsolePool:
    """Store a new pool and return it, without ``consoles``.

    Cost: 1 statement in 1 round trip.
    Raises: ConsolePoolExists(host, console_type, compute_host).
    """
    try:
        return current(context).last().insert(pools, values)
    except exceptions.DBDuplicateEntry as error:
        key = {name: values.get(name) for name in ("host", "console_type", "compute_host")}
        raise exceptions.ConsolePoolExists(**key) from error


@tx.reader
def console_get(context: Context, console_id: int, instance_uuid: str | None = None) -> rows.ConsoleWithPool:
    """Return the console with its ``pool`` (None without one); of this instance if that is given.

    Cost: 1 statement in 1 round trip.
    Raises: ConsoleNotFoundForInstance(console_id, instance_uuid) with an instance, else ConsoleNotFound(console_id).
    """
    number = as_id(console_id)
    of_instance = {} if instance_uuid is None else {"instance_uuid": instance_uuid}
    found = [] if number is None else _consoles(context, id=number, **of_instance)
    if found:
        return found[0]
    if instance_uuid:
        raise exceptions.ConsoleNotFoundForInstance(console_id=console_id, instance_uuid=instance_uuid)
    raise exceptions.ConsoleNotFound(console_id=console_id)


@tx.reader
def console_get_by_pool_instance(context: Context, pool_id: int, instance_uuid: str) -> rows.ConsoleWithPool:
    """Return the first console of the instance in the pool, with its ``pool``.

    Cost: 1 statement in 1 round trip.
    Raises: ConsoleNotFoundInPoolForInstance(pool_id, instance_uuid).
    """
    number = as_id(pool_id)
    is_text = number is None and pool_id is not None
    found = [] if is_text else _consoles(context, pool_id=number, instance_uuid=instance_uuid)
    if not found:
        raise exceptions.ConsoleNotFoundInPoolForInstance(pool_id=pool_id, instance_uuid=instance_uuid)
    return found[0]


@tx.reader
def console_get_all_by_instance(
    context: Context, instance_uuid: str, columns_to_join: Sequence[str] | None = None
) -> list[rows.Console]:
    """Return the instance's consoles, by id; each with its ``pool`` if ``columns_to_join`` names that.

    Cost: 1 statement in 1 round trip.
    Raises: ValueError for another name in ``columns_to_join``.
    """
    for name in columns_to_join or ():
        if name != "pool":
            raise ValueError(f"a console has no join {quoted(name)}; there is just 'pool'")
    if columns_to_join:
        return cast("list[rows.Console]", _consoles(context, instance_uuid=instance_uuid))
    return rows_by(current(context), t, "yes", instance_uuid=instance_uuid)


@tx.writer
def console_create(context: Context, values: Mapping[str, Any]) -> rows.Console:
    """Store a console and return it, without ``pool``; nothing is checked for duplicates.

    Cost: 1 statement in 1 round trip.
    Raises: DBReferenceError for a pool or an instance that doesn't exist; not on sqlite.
    """
    return current(context).last().insert(t, values)


@tx.writer
def console_delete(context: Context, console_id: int) -> None:
    """Delete the console for good, if there is one.

    Cost: 1 statement in 1 round trip.
    """
    number = as_id(console_id)
    if number is not None:
        current(context).last().execute(_DELETE_STATEMENT, by_id=number)
