# SPDX-License-Identifier: Apache-2.0

"""Security groups: named sets of rules of a project, to which instances belong.  Table ``security_groups``.

A group may come with ``rules``, the live rules of the group, each with its ``grantee_group`` (a group or None), and
with ``instances``, the live instances that belong to it: columns, ``name`` and what was asked for of ``info_cache`` (a
row or None) and ``system_metadata`` (all rows, soft-deleted ones too). A path in ``columns_to_join`` asks for that:
``rules.grantee_group``, ``instances``, ``instances.info_cache``, ``instances.system_metadata``.
"""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any, Final, cast

import sqlalchemy as sa

from nova_sqlcore import clock, exceptions, tx
from nova_sqlcore.context import require_context
from nova_sqlcore.core.arguments import list_in
from nova_sqlcore.core.scopes import apart_until_begun, innermost, scopes_of
from nova_sqlcore.queries.common.clauses import (
    arg,
    changes,
    deleted_now,
    different,
    own_project,
    select_statement,
    soft_delete_statement,
    visible,
    warn_if_hidden,
)
from nova_sqlcore.queries.common.ids import as_id
from nova_sqlcore.queries.common.lookups import count_updated_by_id, rows_by
from nova_sqlcore.queries.compute import default_group
from nova_sqlcore.queries.security import group_rows as security_group_rows
from nova_sqlcore.queries.security.group_rows import Joins
from nova_sqlcore.tables import (
    instances,
    security_group_instance_association as memberships,
    security_group_rules as rules,
    security_groups as t,
)
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context
    from nova_sqlcore.core.handles import Row
    from nova_sqlcore.tx import Transaction

_RULES: Final = Joins(grantees=True)

_BY_INSTANCE_STATEMENT = (
    select_statement(t).where(t.c.id.in_(security_group_rows.IDS_OF_INSTANCE), *visible(t, "no")).order_by(t.c.id)
)
_IN_USE_STATEMENT = sa.select(
    sa.exists()
    .where(memberships.c.security_group_id == arg("group_id"), memberships.c.deleted == 0)
    .where(instances.c.uuid == memberships.c.instance_uuid, instances.c.deleted == 0)
    .label("in_use")
)


@functools.cache
def _destroy_statements(read_deleted: str) -> tuple[sa.Update, ...]:
    """Return the soft deletes of a group, its memberships, and the rules that are its own or grant it access."""
    group_id: sa.BindParameter[Any] = arg("by_group_id")
    either = sa.or_(rules.c.parent_group_id == group_id, rules.c.group_id == group_id)
    where = {t: t.c.id == group_id, memberships: memberships.c.security_group_id == group_id, rules: either}
    return tuple(
        soft_delete_statement(table).where(clause, *visible(table, read_deleted)) for table, clause in where.items()
    )


# -- reading ----------------------------------------------------------------------------------------------------------


@require_context
@tx.main.reader
def security_group_get(
    context: Context, security_group_id: int, columns_to_join: Sequence[str] | None = None
) -> rows.SecurityGroupWithChildren:
    """Return the group with this id and its rules, if the context may see it and its project.

    Paths that begin with ``instances`` count, others don't.

    Cost: 1 statement; 2 with ``instances.system_metadata``; in 1 round trip, 2 with ``instances.system_metadata``.
    Raises: SecurityGroupNotFound(security_group_id). ValueError for an unknown path.
    """
    paths = [path for path in columns_to_join or () if str(path).startswith("instances")]
    wanted = _joins(paths)._replace(grantees=True)
    project = own_project(context)
    owned = {} if project is None else {"project_id": project}
    row = _get(current(context), context.read_deleted, wanted, security_group_id, **owned)
    if row is None:
        raise exceptions.SecurityGroupNotFound(security_group_id=security_group_id)
    return row


@require_context
@tx.main.reader
def security_group_get_by_name(
    context: Context, project_id: str | None, group_name: str, columns_to_join: Sequence[str] | None = None
) -> rows.SecurityGroupWithChildren:
    """Return the live group of this name in the project, with instances and rules unless other paths are given.

    Cost: 1 statement; 2 with ``instances.system_metadata``; in 1 round trip, 2 with ``instances.system_metadata``.
    Raises: SecurityGroupNotFoundForProject(project_id, security_group_id=group_name). ValueError for an unknown path.
    """
    wanted = Joins(grantees=True, instances=True) if columns_to_join is None else _joins(columns_to_join)
    row = security_group_rows.get(current(context), "no", wanted, project_id=project_id, name=group_name)
    if row is None:
        raise exceptions.SecurityGroupNotFoundForProject(project_id=project_id, security_group_id=group_name)
    return row


@require_context
@tx.main.reader.snapshot
def security_group_get_all(context: Context) -> list[rows.SecurityGroupWithChildren]:
    """Return the groups of all projects that the context may see, by id, with their rules.

    Cost: 2 statements; 1 if there are none; in 2 round trips.
    """
    return _with_rules(context, rows_by(current(context), t, context.read_deleted))


@require_context
@tx.main.reader.snapshot
def security_group_get_by_project(context: Context, project_id: str | None) -> list[rows.SecurityGroupWithChildren]:
    """Return the live groups of the project, by id, with their rules.

    Cost: 2 statements; 1 if there are none; in 2 round trips.
    """
    return _with_rules(context, rows_by(current(context), t, "no", project_id=project_id))


@require_context
@tx.main.reader.snapshot
def security_group_get_by_instance(context: Context, instance_uuid: str) -> list[rows.SecurityGroupWithChildren]:
    """Return the live groups that the live instance belongs to, by id, with their rules.

    Cost: 2 statements; 1 if there are none; in 2 round trips.
    """
    return _with_rules(context, current(context).rows(_BY_INSTANCE_STATEMENT, instance_uuid=instance_uuid))


@require_context
@tx.main.reader
def security_group_in_use(context: Context, group_id: int) -> bool:
    """Tell whether a live instance belongs to the group.

    Cost: 1 statement in 1 round trip.
    """
    number = as_id(group_id)
    return number is not None and bool(current(context).scalar(_IN_USE_STATEMENT, group_id=number))


def _with_rules(context: Context, groups: Sequence[rows.SecurityGroup]) -> list[rows.SecurityGroupWithChildren]:
    security_group_rows.attach(current(context).last(), groups, _RULES)
    return cast("list[rows.SecurityGroupWithChildren]", groups)


def _joins(paths: Sequence[str]) -> Joins:
    return security_group_rows.joins(security_group_rows.PATHS_OF_GROUP, paths)


def _get(
    transaction: Transaction, read_deleted: str, wanted: Joins, identity: Any, **owned: str
) -> rows.SecurityGroupWithChildren | None:
    number = as_id(identity)
    return None if number is None else security_group_rows.get(transaction, read_deleted, wanted, id=number, **owned)


# -- writing ----------------------------------------------------------------------------------------------------------


@require_context
@tx.main.writer
def security_group_create(context: Context, values: Mapping[str, Any]) -> rows.SecurityGroupWithChildren:
    """Store a new group, with the ``instances`` in ``values`` as its members, and return it with its empty ``rules``.

    The row has ``instances``, the list given, only if ``values`` has it.

    Cost: 1 statement; 2 with members; in 1 round trip, 2 with members.
    Raises: SecurityGroupExists(project_id, security_group_name) if the project has a live group of this name.
    """
    transaction = current(context)
    warn_if_hidden(context, "a security group", values.get("project_id"))
    instances = list_in(values, "instances") if "instances" in values else []
    uuids = [_uuid_of(one) for one in instances]
    if not uuids:
        transaction.last()
    row = transaction.insert_absent(t, values, ignore=("instances",))
    if row is None:
        raise exceptions.SecurityGroupExists(
            project_id=values.get("project_id"), security_group_name=values.get("name")
        )
    group = cast("rows.SecurityGroupWithChildren", row)
    group["rules"] = []
    if "instances" in values:
        group["instances"] = instances
        transaction.later.insert_many(
            memberships, [{"security_group_id": row["id"], "instance_uuid": uuid} for uuid in uuids]
        )
    return group


def _uuid_of(instance: Any) -> Any:
    try:
        return instance["uuid"]
    except TypeError:
        kind = type(instance).__name__
        raise exceptions.BadArgument(
            f"the argument values['instances'] takes a list of mappings, not of {kind}"
        ) from None


@require_context
@tx.main.writer
def security_group_update(
    context: Context, security_group_id: int, values: Mapping[str, Any], columns_to_join: Sequence[str] | None = None
) -> rows.SecurityGroupWithChildren:
    """Write the given columns of the group, of whichever project, and return it with what the paths name.

    Without a change nothing is written, and ``updated_at`` stays.

    Cost: 2 statements; 1 without a change; 1 more with ``instances.system_metadata``; in 2 round trips.
    Raises: SecurityGroupNotFound(security_group_id); SecurityGroupExists(project_id, security_group_name) if the
    project has a group of this name already. ValueError for an unknown path.
    """
    transaction = current(context)
    row = _get(transaction, context.read_deleted, _joins(columns_to_join or ()), security_group_id)
    given = changes(t, values, transaction)
    if row is not None and different(row, given):
        given = changes(t, {"updated_at": clock.utcnow()}, transaction) | given
        row = _write(transaction, context.read_deleted, row, given)
    if row is None:
        raise exceptions.SecurityGroupNotFound(security_group_id=security_group_id)
    return row


def _write(
    transaction: Transaction, read_deleted: str, row: rows.SecurityGroupWithChildren, given: Row
) -> rows.SecurityGroupWithChildren | None:
    """Write ``given`` to the group and return it as it is now, or None if it has gone meanwhile."""
    after = cast("rows.SecurityGroupWithChildren", row | given)
    try:
        return after if count_updated_by_id(transaction.last(), t, read_deleted, row["id"], given) else None
    except exceptions.DBDuplicateEntry as error:
        raise exceptions.SecurityGroupExists(
            project_id=after["project_id"], security_group_name=after["name"]
        ) from error


@require_context
@tx.main.writer
def security_group_destroy(context: Context, security_group_id: int) -> None:
    """Soft-delete the group, its memberships, its rules, and the rules of other groups that grant it access.

    Cost: 3 statements in 1 round trip.
    Lock: the group's row, then its memberships, then rules.
    """
    number = as_id(security_group_id)
    if number is not None:
        for statement in _destroy_statements(context.read_deleted):
            current(context).later.execute(statement, by_group_id=number, **deleted_now())


# -- the default group ------------------------------------------------------------------------------------------------


def security_group_ensure_default(context: Context) -> rows.SecurityGroupWithChildren:
    """Return the default group of the context's project; a missing one is made, with its usage and the default rules.

    The making is a transaction of its own, committed even if the caller's fails later, but a part of the caller's once
    that has begun to write: another one might wait for what that one holds. The group has no children if it was there,
    ``rules: []`` if it was made, and instances and rules if somebody else made it meanwhile.

    Cost: 1 statement; 4 more to make the group, or 3 if the user has a usage of groups; to keep others from making the
    usage 1 more on PostgreSQL, 2 on the MySQL family; in 1 round trip, 4 to make the group.
    Lock: the name of the project's usages, then the group, then the usage.
    Raises: Forbidden() for a missing group of a context that is neither an admin's nor a complete user's.
    """
    outer = innermost(scopes_of(context).open, tx.main)
    asker = apart_until_begun(context)
    group = _find_default(context if outer is not None and outer.begun else asker)
    group = group or _create_default(asker) or _read_default(asker)
    return cast("rows.SecurityGroupWithChildren", group)


@tx.main.reader.named("security_group_ensure_default")
def _find_default(context: Context) -> rows.SecurityGroup | None:
    with contextlib.suppress(exceptions.NotFound):
        return default_group._security_group_get_by_names(context, context.project_id, [default_group.DEFAULT])[0]
    return None


@tx.main.writer.named("security_group_ensure_default")
def _read_default(context: Context) -> rows.SecurityGroup:
    """Read what somebody else has committed meanwhile, perhaps after the snapshot of a reading caller."""
    return security_group_get_by_name(context, context.project_id, default_group.DEFAULT)


@require_context
@tx.main.writer.named("security_group_ensure_default")
def _create_default(context: Context) -> rows.SecurityGroup | None:
    return default_group.add_default(context)
