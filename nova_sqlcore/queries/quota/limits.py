# SPDX-License-Identifier: Apache-2.0

"""Limits: how much of each resource a project, a user in it, or a quota class may have.

Tables ``quotas``, ``project_user_quotas`` and ``quota_classes``.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from nova_sqlcore import exceptions, tx
from nova_sqlcore.context import require_context
from nova_sqlcore.queries.common.clauses import assigned, visible
from nova_sqlcore.queries.common.lookups import (
    BY,
    Shape,
    equal,
    row_by,
    rows_by,
    shape_of,
    soft_delete_later_by,
)
from nova_sqlcore.queries.quota.usages import PER_PROJECT_QUOTAS
from nova_sqlcore.tables import project_user_quotas, quota_classes, quota_usages, quotas, reservations
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from nova_sqlcore import rows
    from nova_sqlcore.context import Context
    from nova_sqlcore.core.handles import Row, Table


_DEFAULT_QUOTA_NAME: Final = "default"


@functools.cache
def _limits_statement(table: sa.Table, read_deleted: str, shape: Shape) -> sa.Select[Any]:
    where = (*equal(table, shape), *visible(table, read_deleted))
    return sa.select(table.c.resource, table.c.hard_limit).where(*where).order_by(table.c.id)


@functools.cache
def _set_limit_statement(table: sa.Table, read_deleted: str, shape: Shape) -> sa.Update:
    where = (*equal(table, shape, BY), *visible(table, read_deleted))
    return sa.update(table).where(*where).values(assigned(table, ("hard_limit",)))


def _limits_by(context: Context, table: sa.Table, read_deleted: str, /, **key: Any) -> Row:
    """Return the key and, by resource, the limits that it has; of several for a resource the newest."""
    shape, params = shape_of(key)
    found = current(context).rows(_limits_statement(table, read_deleted, shape), **params)
    return key | {row["resource"]: row["hard_limit"] for row in found}


def _update_limit(context: Context, table: sa.Table, read_deleted: str, limit: Any, /, **key: Any) -> int:
    """Set the limits with this key and return how many there are."""
    shape, params = shape_of(key, BY)
    return current(context).last().execute(_set_limit_statement(table, read_deleted, shape), **params, hard_limit=limit)


# -- limits of projects and users -------------------------------------------------------------------------------------


@require_context
@tx.main.reader
def quota_get(
    context: Context, project_id: str, resource: str, user_id: str | None = None
) -> rows.Quota | rows.ProjectUserQuota:
    """Return the project's limit for the resource, or the user's if one is given, if the context may see it.

    Cost: 1 statement in 1 round trip.
    Raises: ProjectUserQuotaNotFound(project_id, user_id) if a user is given, else ProjectQuotaNotFound(project_id).
    """
    transaction, key = current(context), {"project_id": project_id, "resource": resource}
    if user_id:
        row: rows.Quota | rows.ProjectUserQuota | None = row_by(
            transaction, project_user_quotas, context.read_deleted, **key, user_id=user_id
        )
    else:
        row = row_by(transaction, quotas, context.read_deleted, **key)
    if row is None:
        raise _not_found(project_id, user_id)
    return row


def _not_found(project_id: str, user_id: str | None) -> exceptions.QuotaNotFound:
    if user_id:
        return exceptions.ProjectUserQuotaNotFound(project_id=project_id, user_id=user_id)
    return exceptions.ProjectQuotaNotFound(project_id=project_id)


@require_context
@tx.main.reader
def quota_get_all(context: Context, project_id: str) -> list[rows.ProjectUserQuota]:
    """Return the limits of all users of the project that the context may see, by id.

    Cost: 1 statement in 1 round trip.
    """
    return rows_by(current(context), project_user_quotas, context.read_deleted, project_id=project_id)


@require_context
@tx.main.reader
def quota_get_all_by_project(context: Context, project_id: str) -> Row:
    """Return ``project_id`` and, by resource, the project's live limits.

    Cost: 1 statement in 1 round trip.
    """
    return _limits_by(context, quotas, "no", project_id=project_id)


@require_context
@tx.main.reader
def quota_get_all_by_project_and_user(context: Context, project_id: str, user_id: str) -> Row:
    """Return ``project_id``, ``user_id`` and, by resource, the user's limits in the project that the context may see.

    Cost: 1 statement in 1 round trip.
    """
    return _limits_by(context, project_user_quotas, context.read_deleted, project_id=project_id, user_id=user_id)


@tx.main.writer
def quota_create(
    context: Context, project_id: str, resource: str, limit: int, user_id: str | None = None
) -> rows.Quota | rows.ProjectUserQuota:
    """Store a limit of the project and return it; one of the user if a user is given and can have one.

    Cost: 1 statement in 1 round trip.
    Raises: QuotaExists(project_id, resource) if there is a live one.
    """
    owner, table = _owner(project_id, resource, user_id)
    row = current(context).last().insert_absent(table, {**owner, "hard_limit": limit})
    if row is None:
        raise exceptions.QuotaExists(project_id=project_id, resource=resource)
    return row


@tx.main.writer
def quota_update(context: Context, project_id: str, resource: str, limit: int, user_id: str | None = None) -> None:
    """Change the limit that ``quota_create`` with these arguments has stored, if the context may see it.

    Cost: 1 statement in 1 round trip.
    Raises: ProjectUserQuotaNotFound(project_id, user_id) for a user's limit, ProjectQuotaNotFound(project_id) else.
    """
    owner, table = _owner(project_id, resource, user_id)
    if not _update_limit(context, table, context.read_deleted, limit, **owner):
        raise _not_found(project_id, owner.get("user_id"))


def _owner(
    project_id: str, resource: str, user_id: str | None
) -> tuple[Row, Table[rows.Quota | rows.ProjectUserQuota]]:
    """Return the key of a limit, and the table that holds it: that of projects if the resource is never a user's."""
    key = {"project_id": project_id, "resource": resource}
    if user_id and resource not in PER_PROJECT_QUOTAS:
        return key | {"user_id": user_id}, project_user_quotas
    return key, quotas


@tx.main.writer
def quota_destroy_all_by_project(context: Context, project_id: str) -> None:
    """Soft-delete the live limits, usages and reservations of the project and its users.

    Cost: 4 statements in 1 round trip.
    """
    for table in (quotas, project_user_quotas, quota_usages, reservations):
        soft_delete_later_by(current(context), table, "no", project_id=project_id)


@tx.main.writer
def quota_destroy_all_by_project_and_user(context: Context, project_id: str, user_id: str) -> None:
    """Soft-delete the live limits, usages and reservations of the user in the project.

    What the user had reserved of the project's own usages stays reserved.
    Cost: 3 statements in 1 round trip.
    """
    for table in (project_user_quotas, quota_usages, reservations):
        soft_delete_later_by(current(context), table, "no", project_id=project_id, user_id=user_id)


# -- limits of quota classes ------------------------------------------------------------------------------------------


@require_context
@tx.main.reader
def quota_class_get(context: Context, class_name: str, resource: str) -> rows.QuotaClass:
    """Return the class's live limit for the resource.

    Cost: 1 statement in 1 round trip.
    Raises: QuotaClassNotFound(class_name).
    """
    row = row_by(current(context), quota_classes, "no", class_name=class_name, resource=resource)
    if row is None:
        raise exceptions.QuotaClassNotFound(class_name=class_name)
    return row


@tx.main.reader
def quota_class_get_default(context: Context) -> Row:
    """Return ``class_name`` and, by resource, the live limits of the default class.

    Cost: 1 statement in 1 round trip.
    """
    return _limits_by(context, quota_classes, "no", class_name=_DEFAULT_QUOTA_NAME)


@require_context
@tx.main.reader
def quota_class_get_all_by_name(context: Context, class_name: str) -> Row:
    """Return ``class_name`` and, by resource, the live limits of the class.

    Cost: 1 statement in 1 round trip.
    """
    return _limits_by(context, quota_classes, "no", class_name=class_name)


@tx.main.writer
def quota_class_create(context: Context, class_name: str, resource: str, limit: int) -> rows.QuotaClass:
    """Store a limit of the class and return it, whether there is one already or not.

    Cost: 1 statement in 1 round trip.
    """
    given = {"class_name": class_name, "resource": resource, "hard_limit": limit}
    return current(context).last().insert(quota_classes, given)


@tx.main.writer
def quota_class_update(context: Context, class_name: str, resource: str, limit: int) -> None:
    """Change every live limit of the class for the resource.

    Cost: 1 statement in 1 round trip.
    Raises: QuotaClassNotFound(class_name).
    """
    if not _update_limit(context, quota_classes, "no", limit, class_name=class_name, resource=resource):
        raise exceptions.QuotaClassNotFound(class_name=class_name)
