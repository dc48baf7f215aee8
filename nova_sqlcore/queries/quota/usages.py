# SPDX-License-Identifier: Apache-2.0

"""Quota usages: what a project, or a user in it, uses and has reserved of a resource.  Table ``quota_usages``.

The guard that lets a usage be made only once is here too.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, cast

import sqlalchemy as sa

from nova_sqlcore import exceptions, tx
from nova_sqlcore.context import require_context
from nova_sqlcore.core.equality import exactly
from nova_sqlcore.queries.common.clauses import assigned, visible
from nova_sqlcore.queries.common.lookups import BY, Shape, bulk_changes, equal, row_by, shape_of
from nova_sqlcore.tables import quota_usages as t
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from nova_sqlcore import rows
    from nova_sqlcore.context import Context
    from nova_sqlcore.core.handles import Row


#: Resources whose limits and usages belong to the project and to no user.
PER_PROJECT_QUOTAS = ["fixed_ips", "floating_ips", "networks"]

#: What ``quota_usage_update`` can write.
_NUMBERS: Final = ("in_use", "reserved", "until_refresh")


def _of_user_clause(shape: Shape) -> sa.ColumnElement[bool]:
    """Return the clause for the usages of a user and those of the project as a whole."""
    return sa.or_(t.c.user_id.is_(None), *equal(t, shape, BY))


@functools.cache
def _sums_statement(project: Shape, user: Shape | None) -> sa.Select[Any]:
    where = [*equal(t, project), *visible(t, "no")]
    if user is not None:
        where.append(_of_user_clause(user))
    sums = (sa.func.sum(t.c[name]).label(name) for name in ("in_use", "reserved"))
    return sa.select(t.c.resource, *sums).where(*where).group_by(*exactly(t.c.resource))


@functools.cache
def _update_statement(key: Shape, user: Shape, names: tuple[str, ...]) -> sa.Update:
    return sa.update(t).where(*equal(t, key, BY), _of_user_clause(user), *visible(t, "no")).values(assigned(t, names))


# -- reading and updating ---------------------------------------------------------------------------------------------


@require_context
@tx.main.reader
def quota_usage_get(
    context: Context, project_id: str, resource: str, user_id: str | None = None
) -> rows.QuotaUsageWithTotal:
    """Return the live usage of the resource with its ``total``; without a user, anybody's with the lowest id.

    With a user, a resource of ``PER_PROJECT_QUOTAS`` is looked up for the project as a whole.
    Cost: 1 statement in 1 round trip.
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

    Cost: 1 statement in 1 round trip.
    """
    return {"project_id": project_id, **_sums_of(context, project_id)}


@require_context
@tx.main.reader
def quota_usage_get_all_by_project_and_user(context: Context, project_id: str, user_id: str) -> Row:
    """Return ``project_id``, ``user_id`` and, by resource, what is ``in_use`` and ``reserved``.

    The user's own usages count, and those of the project as a whole; without a user, all, and there is no ``user_id``.
    Cost: 1 statement in 1 round trip.
    """
    whose = {"user_id": user_id} if user_id else {}
    return {"project_id": project_id, **whose, **_sums_of(context, project_id, **whose)}


def _sums_of(context: Context, project_id: str, **whose: Any) -> Row:
    """Return what is in use and reserved by resource; SUM is not an int on every server."""
    project, params = shape_of({"project_id": project_id})
    user, user_params = shape_of(whose, BY)
    found = current(context).rows(_sums_statement(project, user if whose else None), **params, **user_params)
    return {row["resource"]: {name: int(row[name]) for name in ("in_use", "reserved")} for row in found}


@tx.main.writer
def quota_usage_update(context: Context, project_id: str, user_id: str, resource: str, **kwargs: Any) -> None:
    """Set ``in_use``, ``reserved`` and ``until_refresh``, as far as given, of the user's and the project's live usage.

    Other keywords are ignored.
    Cost: 1 statement in 1 round trip.
    Raises: QuotaUsageNotFound(project_id).
    """
    transaction = current(context)
    given = bulk_changes(transaction, t, {name: kwargs[name] for name in _NUMBERS if name in kwargs})
    key, params = shape_of({"project_id": project_id, "resource": resource}, BY)
    user, user_params = shape_of({"user_id": user_id}, BY)
    if not transaction.last().execute(_update_statement(key, user, tuple(given)), **params, **user_params, **given):
        raise exceptions.QuotaUsageNotFound(project_id=project_id)


# -- making usages ----------------------------------------------------------------------------------------------------
