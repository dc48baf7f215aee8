# SPDX-License-Identifier: Apache-2.0

"""The default security group of a project, which every instance belongs to that names no other.

Instances need it when they are made, so it lives below the security wing, which imports it.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final, cast

import sqlalchemy as sa

from nova_sqlcore import clock, exceptions
from nova_sqlcore.queries.common.clauses import arg, arg_list, rows_in, select_statement, visible
from nova_sqlcore.queries.common.lookups import BY, Shape, equal, shape_of
from nova_sqlcore.queries.common.only_one import hold_project
from nova_sqlcore.settings import settings
from nova_sqlcore.tables import (
    quota_usages,
    security_group_default_rules as default_rules,
    security_group_rules as rules,
    security_groups as t,
)
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context
    from nova_sqlcore.core.handles import Select
    from nova_sqlcore.core.transaction import Transaction


DEFAULT: Final = "default"


_RESOURCE: Final = "security_groups"


#: The columns that a rule of the default group has from a default rule.
_COPIED: Final = ("protocol", "from_port", "to_port", "cidr")


@functools.cache
def _by_names_statement(shape: Shape) -> Select[rows.SecurityGroup]:
    where = (*equal(t, shape), t.c.name.in_(arg_list("names")), *visible(t, "no"))
    return select_statement(t).where(*where).order_by(t.c.id)


def _security_group_get_by_names(
    context: Context, project_id: str | None, group_names: Sequence[str]
) -> list[rows.SecurityGroup]:
    """Return the project's live groups with these names, by id, without children; a transaction is open.

    Cost: 1 statement.
    Raises: SecurityGroupNotFoundForProject(project_id, security_group_id): the first name that no group has.
    """
    shape, params = shape_of({"project_id": project_id})
    found = rows_in(current(context), _by_names_statement(shape), "names", list(group_names), **params)
    known = {group["name"] for group in found}
    for name in group_names:
        if name not in known:
            raise exceptions.SecurityGroupNotFoundForProject(project_id=project_id, security_group_id=name)
    return found


_NO_NAMESAKE = ~sa.exists().where(t.c.name == arg("name"), t.c.project_id.is_(None), *visible(t, "no"))


def add_default(context: Context) -> rows.SecurityGroupWithChildren | None:
    """Make the default group of the context's project in the open transaction, and return it; None if there is one."""
    transaction = current(context)
    whose = {"user_id": context.user_id, "project_id": context.project_id}
    hold_project(transaction, context.project_id)
    given = {"name": DEFAULT, "description": DEFAULT, **whose}
    # the unique key knows nothing of groups without project
    is_absent = _NO_NAMESAKE if context.project_id is None else None
    group = transaction.insert_absent(t, given, only_if=is_absent)
    if group is None:
        return None
    copied = {"parent_group_id": group["id"], "created_at": clock.utcnow()}
    transaction.later.execute(_copy_default_rules_statement(context.read_deleted), **copied)
    _add_usage(transaction, whose)
    return cast("rows.SecurityGroupWithChildren", group | {"rules": []})


@functools.cache
def _copy_default_rules_statement(read_deleted: str) -> sa.Insert:
    """Return the INSERT that gives a group a rule for each visible default rule."""
    fixed = {
        "parent_group_id": sa.bindparam("parent_group_id", type_=rules.c.parent_group_id.type),
        "created_at": sa.bindparam("created_at", type_=rules.c.created_at.type),
        "deleted": sa.literal_column("0"),
    }
    copied = (default_rules.c[name] for name in _COPIED)
    template = sa.select(*copied, *fixed.values()).where(*visible(default_rules, read_deleted))
    return rules.insert().from_select([*_COPIED, *fixed], template.order_by(default_rules.c.id), include_defaults=False)


def _add_usage(transaction: Transaction, whose: dict[str, str | None]) -> None:
    """Count one more group of the user in the project, whose usages are held."""
    shape, params = shape_of(whose, BY)
    if not transaction.execute(_increment_statement(shape), **params):
        first = {"resource": _RESOURCE, "in_use": 1, "reserved": 0, "until_refresh": settings.until_refresh}
        transaction.later.insert(quota_usages, {**whose, **first, "updated_at": clock.utcnow()})


@functools.cache
def _increment_statement(shape: Shape) -> sa.Update:
    """Return the UPDATE of the newest usage, should an adopted database have several."""
    usage = (*equal(quota_usages, shape, BY), quota_usages.c.resource == _RESOURCE, *visible(quota_usages, "no"))
    # MySQL updates no table that it reads in a subquery, but one that it reads two levels down
    newest = sa.select(sa.func.max(quota_usages.c.id).label("id")).where(*usage).subquery("newest")
    is_newest = quota_usages.c.id == sa.select(newest.c.id).scalar_subquery()
    return sa.update(quota_usages).where(*usage, is_newest).values(in_use=quota_usages.c.in_use + 1)
