"""Quota usages: what a project, or a user in it, uses and has reserved of a resource.  Table ``quota_usages``.

The functions that count a resource anew, and the guard that lets a usage be made only once, are here too.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, cast

import sqlalchemy as sa

from nova_sqlcore import exceptions, tx
from nova_sqlcore.context import authorize_project_context, elevated, require_context
from nova_sqlcore.queries import fixed_ips, floating_ips, instance_groups, instances
from nova_sqlcore.queries._lookups import BY, Shape, bulk_changes, equal, row_by, shape_of
from nova_sqlcore.queries._shared import assigned, visible
from nova_sqlcore.tables import quota_usages as t
from nova_sqlcore.tables import security_groups
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Callable

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context
    from nova_sqlcore.tx import Transaction

Row = dict[str, Any]

#: Resources whose limits and usages belong to the project and to no user.
PER_PROJECT_QUOTAS = ["fixed_ips", "floating_ips", "networks"]

#: What ``quota_usage_update`` can write.
_NUMBERS: Final = ("in_use", "reserved", "until_refresh")


def _of_user(shape: Shape) -> sa.ColumnElement[bool]:
    """Return the clause for the usages of a user and those of the project as a whole."""
    return sa.or_(t.c.user_id.is_(None), *equal(t, shape, BY))


@functools.cache
def _sums(project: Shape, user: Shape | None) -> sa.Select[Any]:
    where = [*equal(t, project), *visible(t, "no")]
    if user is not None:
        where.append(_of_user(user))
    sums = (sa.func.sum(t.c[name]).label(name) for name in ("in_use", "reserved"))
    return sa.select(t.c.resource, *sums).where(*where).group_by(t.c.resource)


@functools.cache
def _update(key: Shape, user: Shape, names: tuple[str, ...]) -> sa.Update:
    return sa.update(t).where(*equal(t, key, BY), _of_user(user), *visible(t, "no")).values(assigned(t, names))


# -- reading and updating ---------------------------------------------------------------------------------------------


@require_context
@tx.main.reader
def quota_usage_get(
    context: Context, project_id: str, resource: str, user_id: str | None = None
) -> rows.QuotaUsageWithTotal:
    """Return the live usage of the resource with its ``total``; without a user, anybody's with the lowest id.

    With a user, a resource of ``PER_PROJECT_QUOTAS`` is looked up for the project as a whole.
    Cost: 1 statement.
    Raises: QuotaUsageNotFound(project_id).
    """
    key = {"project_id": project_id, "resource": resource}
    whose = {"user_id": None if resource in PER_PROJECT_QUOTAS else user_id} if user_id else {}
    row = row_by(current(context), t, "no", **key, **whose)
    if row is None:
        raise exceptions.QuotaUsageNotFound(project_id=project_id)
    return cast("rows.QuotaUsageWithTotal", row | {"total": row["in_use"] + row["reserved"]})


@require_context
@tx.main.reader
def quota_usage_get_all_by_project(context: Context, project_id: str) -> Row:
    """Return ``project_id`` and, by resource, what all users together have ``in_use`` and ``reserved``.

    Cost: 1 statement.
    """
    return {"project_id": project_id, **_sums_of(context, project_id)}


@require_context
@tx.main.reader
def quota_usage_get_all_by_project_and_user(context: Context, project_id: str, user_id: str) -> Row:
    """Return ``project_id``, ``user_id`` and, by resource, what is ``in_use`` and ``reserved``.

    The user's own usages count, and those of the project as a whole; without a user, all, and there is no ``user_id``.
    Cost: 1 statement.
    """
    whose = {"user_id": user_id} if user_id else {}
    return {"project_id": project_id, **whose, **_sums_of(context, project_id, **whose)}


def _sums_of(context: Context, project_id: str, **whose: Any) -> Row:
    """Return what is in use and reserved by resource; SUM is no int on every server."""
    project, params = shape_of({"project_id": project_id})
    user, user_params = shape_of(whose, BY)
    found = current(context).rows(_sums(project, user if whose else None), **params, **user_params)
    return {row["resource"]: {name: int(row[name]) for name in ("in_use", "reserved")} for row in found}


@tx.main.writer
def quota_usage_update(context: Context, project_id: str, user_id: str, resource: str, **kwargs: Any) -> None:
    """Set ``in_use``, ``reserved`` and ``until_refresh``, as far as given, of the user's and the project's live usage.

    Other keywords count for nothing.
    Cost: 1 statement.
    Raises: QuotaUsageNotFound(project_id).
    """
    transaction = current(context)
    given = bulk_changes(transaction, t, {name: kwargs[name] for name in _NUMBERS if name in kwargs})
    key, params = shape_of({"project_id": project_id, "resource": resource}, BY)
    user, user_params = shape_of({"user_id": user_id}, BY)
    if not transaction.execute(_update(key, user, tuple(given)), **params, **user_params, **given):
        raise exceptions.QuotaUsageNotFound(project_id=project_id)


# -- making usages ----------------------------------------------------------------------------------------------------


def hold_project(transaction: Transaction, project_id: str | None) -> bool:
    """Let nobody else make usages of the project until this transaction ends, and return whether that is so.

    No unique key keeps usages from being made twice. The MySQL family has no such lock: there whoever makes a usage
    must look again afterwards. sqlite has one writer anyway.
    Cost: 1 statement on PostgreSQL, none elsewhere.
    """
    guard = transaction.dialect.guard()
    if guard is not None:
        transaction.row(guard, guard=f"quota{project_id}")
    return guard is not None or not transaction.dialect.locks_rows


# -- counting anew ----------------------------------------------------------------------------------------------------


@functools.cache
def _count_groups(shape: Shape) -> sa.Select[Any]:
    where = (*equal(security_groups, shape), *visible(security_groups, "no"))
    return sa.select(sa.func.count().label("count")).where(*where)


def _sync_instances(context: Context, project_id: str, user_id: str | None) -> dict[str, int]:
    """Count live instances, and the cores and the memory that they have.

    Cost: 1 statement.
    """
    usage = instances._instance_data_get_for_user(elevated(context, read_deleted="no"), project_id, user_id)
    return dict(zip(("instances", "cores", "ram"), usage, strict=True))


def _sync_floating_ips(context: Context, project_id: str, user_id: str | None) -> dict[str, int]:
    """Count the project's floating IPs, but for those assigned automatically.

    Cost: 1 statement.
    Raises: Forbidden() to users of another project.
    """
    return {"floating_ips": floating_ips._floating_ip_count_by_project(context, project_id)}


def _sync_fixed_ips(context: Context, project_id: str, user_id: str | None) -> dict[str, int]:
    """Count the fixed IPs of the project's instances, of deleted ones too.

    Cost: 1 statement.
    Raises: Forbidden() to users of another project.
    """
    return {"fixed_ips": fixed_ips._fixed_ip_count_by_project(context, project_id)}


def _sync_security_groups(context: Context, project_id: str, user_id: str | None) -> dict[str, int]:
    """Count the user's security groups in the project.

    Cost: 1 statement.
    Raises: Forbidden() to users of another project.
    """
    authorize_project_context(context, project_id)
    shape, params = shape_of({"project_id": project_id, "user_id": user_id})
    return {"security_groups": current(context).scalar(_count_groups(shape), **params)}


def _sync_server_groups(context: Context, project_id: str, user_id: str | None) -> dict[str, int]:
    """Count the user's server groups in the project.

    Cost: 1 statement.
    """
    return {"server_groups": instance_groups._instance_group_count_by_project_and_user(context, project_id, user_id)}


#: By name, the functions that count resources: ``function(context, project_id, user_id)`` gives ``{resource: count}``.
#: They run in the transaction of ``quota_reserve``, which looks them up at each call: entries can be added.
QUOTA_SYNC_FUNCTIONS: dict[str, Callable[[Any, Any, Any], dict[str, int]]] = {
    "_sync_instances": _sync_instances,
    "_sync_floating_ips": _sync_floating_ips,
    "_sync_fixed_ips": _sync_fixed_ips,
    "_sync_security_groups": _sync_security_groups,
    "_sync_server_groups": _sync_server_groups,
}
