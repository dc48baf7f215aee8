# SPDX-License-Identifier: Apache-2.0

"""Counts: how much of a resource a project, or a user in it, really has; quotas take usages from them.

Each selects from the tables themselves, so that the wings whose rows are counted need not be imported.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from nova_sqlcore import tx
from nova_sqlcore.context import authorize_project_context, elevated
from nova_sqlcore.queries.common.clauses import arg, visible
from nova_sqlcore.queries.common.lookups import Shape, equal, shape_of
from nova_sqlcore.tables import fixed_ips, floating_ips, instance_groups, instances, security_groups
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Callable

    from nova_sqlcore.context import Context


def _count(context: Context, statement: Callable[[Shape], sa.Select[Any]], **key: str | None) -> int:
    """Return how many rows with this key a statement counts."""
    shape, params = shape_of(key)
    count: int = current(context).scalar(statement(shape), **params)
    return count


@functools.cache
def _count_instances_statement(read_deleted: str, has_project: bool, by_user: bool) -> sa.Select[Any]:
    fields = [sa.func.sum(instances.c[name]).label(name) for name in ("vcpus", "memory_mb")]
    fields.append(sa.func.count().label("instances"))
    where = [instances.c.project_id == arg("project_id") if has_project else instances.c.project_id.is_(None)]
    if by_user:
        where.append(instances.c.user_id == arg("user_id"))
    return sa.select(*fields).where(*where, *visible(instances, read_deleted))


@tx.main.reader.allow_async
def _instance_data_get_for_user(context: Context, project_id: str | None, user_id: str | None) -> tuple[int, int, int]:
    """Return how many visible instances the project has, or the user in it, and the sums of their cores and memory.

    Cost: 1 statement.
    """
    params = {"project_id": project_id, "user_id": user_id or None}
    given = {name: value for name, value in params.items() if value is not None}
    statement = _count_instances_statement(context.read_deleted, project_id is not None, "user_id" in given)
    row = current(context).row(statement, **given)
    assert row is not None  # an aggregate without groups has one row
    return int(row["instances"]), int(row["vcpus"] or 0), int(row["memory_mb"] or 0)


@functools.cache
def _count_fixed_ips_statement(shape: Shape) -> sa.Select[Any]:
    joined = fixed_ips.join(instances, fixed_ips.c.instance_uuid == instances.c.uuid)
    return sa.select(sa.func.count()).select_from(joined).where(*equal(instances, shape), *visible(fixed_ips, "no"))


@tx.main.reader
def _fixed_ip_count_by_project(context: Context, project_id: str) -> int:
    """Return the number of live fixed IPs on instances of the project, deleted instances included.

    Cost: 1 statement.
    Raises: Forbidden() to users of another project.
    """
    authorize_project_context(context, project_id)
    return _count(context, _count_fixed_ips_statement, project_id=project_id)


@functools.cache
def _count_floating_ips_statement(shape: Shape) -> sa.Select[Any]:
    return sa.select(sa.func.count()).where(
        *equal(floating_ips, shape), floating_ips.c.auto_assigned == sa.false(), *visible(floating_ips, "no")
    )


@tx.main.reader
def _floating_ip_count_by_project(context: Context, project_id: str) -> int:
    """Return the number of live floating IPs that the project holds, except those assigned automatically.

    Cost: 1 statement.
    Raises: Forbidden() to users of another project.
    """
    authorize_project_context(context, project_id)
    return _count(context, _count_floating_ips_statement, project_id=project_id)


@functools.cache
def _count_server_groups_statement(holder: Shape) -> sa.Select[Any]:
    return (
        sa.select(sa.func.count().label("count"))
        .select_from(instance_groups)
        .where(*equal(instance_groups, holder), *visible(instance_groups, "no"))
    )


@tx.main.reader
def _instance_group_count_by_project_and_user(context: Context, project_id: str | None, user_id: str | None) -> int:
    """Return how many live groups the user has in the project.

    Cost: 1 statement.
    """
    return _count(context, _count_server_groups_statement, project_id=project_id, user_id=user_id)


@functools.cache
def _count_security_groups_statement(shape: Shape) -> sa.Select[Any]:
    where = (*equal(security_groups, shape), *visible(security_groups, "no"))
    return sa.select(sa.func.count().label("count")).where(*where)


def _sync_instances(context: Context, project_id: str, user_id: str | None) -> dict[str, int]:
    """Count live instances, and the cores and the memory that they have.

    Cost: 1 statement.
    """
    usage = _instance_data_get_for_user(elevated(context, read_deleted="no"), project_id, user_id)
    return dict(zip(("instances", "cores", "ram"), usage, strict=True))


def _sync_floating_ips(context: Context, project_id: str, user_id: str | None) -> dict[str, int]:
    """Count the project's floating IPs, except those assigned automatically.

    Cost: 1 statement.
    Raises: Forbidden() to users of another project.
    """
    return {"floating_ips": _floating_ip_count_by_project(context, project_id)}


def _sync_fixed_ips(context: Context, project_id: str, user_id: str | None) -> dict[str, int]:
    """Count the fixed IPs of the project's instances, of deleted ones too.

    Cost: 1 statement.
    Raises: Forbidden() to users of another project.
    """
    return {"fixed_ips": _fixed_ip_count_by_project(context, project_id)}


def _sync_security_groups(context: Context, project_id: str, user_id: str | None) -> dict[str, int]:
    """Count the user's security groups in the project.

    Cost: 1 statement.
    Raises: Forbidden() to users of another project.
    """
    authorize_project_context(context, project_id)
    count = _count(context, _count_security_groups_statement, project_id=project_id, user_id=user_id)
    return {"security_groups": count}


def _sync_server_groups(context: Context, project_id: str, user_id: str | None) -> dict[str, int]:
    """Count the user's server groups in the project.

    Cost: 1 statement.
    """
    return {"server_groups": _instance_group_count_by_project_and_user(context, project_id, user_id)}


#: By name, the functions that count resources: ``function(context, project_id, user_id)`` gives ``{resource: count}``.
#: They run in the transaction of ``quota_reserve``, which looks them up at each call: entries can be added.
QUOTA_SYNC_FUNCTIONS: dict[str, Callable[[Any, Any, Any], dict[str, int]]] = {
    "_sync_instances": _sync_instances,
    "_sync_floating_ips": _sync_floating_ips,
    "_sync_fixed_ips": _sync_fixed_ips,
    "_sync_security_groups": _sync_security_groups,
    "_sync_server_groups": _sync_server_groups,
}
