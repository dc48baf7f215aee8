# SPDX-License-Identifier: Apache-2.0

"""Rules of security groups: what a group lets in, from a network or another group.  Table ``security_group_rules``.

A rule may come with ``grantee_group``, the group that it grants access to: a soft-deleted group too, None without one,
and None in a deleted rule.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, cast

import sqlalchemy as sa

from nova_sqlcore import exceptions, tx
from nova_sqlcore.context import require_context
from nova_sqlcore.queries.common.clauses import arg, visible
from nova_sqlcore.queries.common.ids import as_id
from nova_sqlcore.queries.common.lookups import row_by_id, rows_by, soft_delete_by_id
from nova_sqlcore.queries.security import group_rows as security_group_rows
from nova_sqlcore.queries.security.group_rows import GRANTING, IDS_OF_INSTANCE, WITH_GRANTEES
from nova_sqlcore.tables import security_group_rules as t, security_groups as groups
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context
    from nova_sqlcore.core.handles import Row

_EVERY_PATH: Final = tuple(security_group_rows.PATHS_OF_RULE)
#: The keys of new rules that hold a group, and the columns for its id.
_GROUPS: Final = {"parent_group": "parent_group_id", "grantee_group": "group_id"}

_COUNT_STATEMENT = sa.select(sa.func.count().label("count")).where(
    t.c.parent_group_id == arg("group_id"), *visible(t, "no")
)


@functools.cache
def _granting_statement(read_deleted: str) -> sa.Select[Any]:
    return sa.select(*GRANTING).select_from(WITH_GRANTEES).where(*visible(t, read_deleted)).order_by(t.c.id)


@functools.cache
def _of_group_statement(read_deleted: str) -> sa.Select[Any]:
    return _granting_statement(read_deleted).where(t.c.parent_group_id == arg("group_id"))


@functools.cache
def _of_instance_statement(read_deleted: str) -> sa.Select[Any]:
    with_parents = _granting_statement(read_deleted).join(groups, groups.c.id == t.c.parent_group_id)
    return with_parents.where(groups.c.id.in_(IDS_OF_INSTANCE), groups.c.deleted == 0, t.c.deleted == 0)


@require_context
@tx.main.reader
def security_group_rule_get(context: Context, security_group_rule_id: int) -> rows.SecurityGroupRule:
    """Return the rule with this id, if the context may see it.

    Cost: 1 statement in 1 round trip.
    Raises: SecurityGroupNotFoundForRule(rule_id).
    """
    row = row_by_id(current(context), t, context.read_deleted, security_group_rule_id)
    if row is None:
        raise exceptions.SecurityGroupNotFoundForRule(rule_id=security_group_rule_id)
    return row


@require_context
@tx.main.reader
def security_group_rule_get_by_security_group(
    context: Context, security_group_id: int, columns_to_join: Sequence[str] | None = None
) -> list[rows.SecurityGroupRuleWithGroups]:
    """Return the rules of the group that the context may see, by id, each with what the paths name.

    The paths are ``grantee_group``, ``grantee_group.instances.info_cache`` and
    ``grantee_group.instances.system_metadata``; without ``columns_to_join`` all of them.

    Cost: 1 statement; 1 more for the grantees' instances, and 1 for the system metadata of these; in 1 round trip, 2
    with the instances, 3 with their system metadata.
    Raises: ValueError for an unknown path.
    """
    paths = _EVERY_PATH if columns_to_join is None else columns_to_join
    wanted = security_group_rows.joins(security_group_rows.PATHS_OF_RULE, paths)
    number = as_id(security_group_id)
    if number is None:
        return []
    transaction = current(context)
    if not wanted.grantees:
        bare = rows_by(transaction, t, context.read_deleted, parent_group_id=number)
        return cast("list[rows.SecurityGroupRuleWithGroups]", bare)
    found = _granted(transaction.rows(_of_group_statement(context.read_deleted), group_id=number))
    grantees = [rule["grantee_group"] for rule in found if rule["grantee_group"] is not None]
    security_group_rows.attach(transaction, grantees, wanted._replace(grantees=False))
    return found


@require_context
@tx.main.reader
def security_group_rule_get_by_instance(context: Context, instance_uuid: str) -> list[rows.SecurityGroupRuleWithGroups]:
    """Return the live rules of the live groups that the live instance belongs to, by id, with their grantee groups.

    Cost: 1 statement in 1 round trip.
    """
    found = _granted(current(context).rows(_of_instance_statement(context.read_deleted), instance_uuid=instance_uuid))
    return found


@require_context
@tx.main.reader
def security_group_rule_count_by_group(context: Context, security_group_id: int) -> int:
    """Return the number of live rules of the group.

    Cost: 1 statement in 1 round trip.
    """
    number = as_id(security_group_id)
    count: int = 0 if number is None else current(context).scalar(_COUNT_STATEMENT, group_id=number)
    return count


@require_context
@tx.main.writer
def security_group_rule_create(context: Context, values: Mapping[str, Any]) -> rows.SecurityGroupRuleWithGroups:
    """Store a new rule and return it; ``parent_group`` and ``grantee_group`` in ``values`` are rows of groups or None.

    Their ids take the place of ``parent_group_id`` and ``group_id``; the row has these two keys as ``values`` has them.

    Cost: 1 statement in 1 round trip.
    """
    given = {name: value for name, value in values.items() if name not in _GROUPS}
    named = {name: values[name] for name in _GROUPS if name in values}
    for name, group in named.items():
        if group is not None:
            given[_GROUPS[name]] = group["id"]
    row = current(context).last().insert(t, given)
    bare = {name: None if group is None else _bare(group) for name, group in named.items()}
    return cast("rows.SecurityGroupRuleWithGroups", row | bare)


@require_context
@tx.main.writer
def security_group_rule_destroy(context: Context, security_group_rule_id: int) -> None:
    """Soft-delete the rule, if the context may see it.

    Cost: 1 statement in 1 round trip.
    Raises: SecurityGroupNotFoundForRule(rule_id).
    """
    if not soft_delete_by_id(current(context).last(), t, context.read_deleted, security_group_rule_id):
        raise exceptions.SecurityGroupNotFoundForRule(rule_id=security_group_rule_id)


def _granted(found: list[Row]) -> list[rows.SecurityGroupRuleWithGroups]:
    return cast("list[rows.SecurityGroupRuleWithGroups]", [security_group_rows.take_grantee(rule) for rule in found])


def _bare(group: Mapping[str, Any]) -> Row:
    """Return the columns of a group, without its children."""
    return {column.name: group[column.name] for column in groups.c if column.name in group}
