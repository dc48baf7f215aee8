# SPDX-License-Identifier: Apache-2.0

"""Default rules: what every new default security group starts with.  Table ``security_group_default_rules``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nova_sqlcore import exceptions, tx
from nova_sqlcore.context import require_context
from nova_sqlcore.queries.common.lookups import row_by_id, rows_by, soft_delete_by_id
from nova_sqlcore.tables import security_group_default_rules as t
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context


@require_context
@tx.main.reader
def security_group_default_rule_get(
    context: Context, security_group_rule_default_id: int
) -> rows.SecurityGroupDefaultRule:
    """Return the default rule with this id, if the context may see it.

    Cost: 1 statement in 1 round trip.
    Raises: SecurityGroupDefaultRuleNotFound(rule_id).
    """
    row = row_by_id(current(context), t, context.read_deleted, security_group_rule_default_id)
    if row is None:
        raise exceptions.SecurityGroupDefaultRuleNotFound(rule_id=security_group_rule_default_id)
    return row


@require_context
@tx.main.reader
def security_group_default_rule_list(context: Context) -> list[rows.SecurityGroupDefaultRule]:
    """Return the default rules that the context may see, by id.

    Cost: 1 statement in 1 round trip.
    """
    return rows_by(current(context), t, context.read_deleted)


@tx.main.writer
def security_group_default_rule_create(context: Context, values: Mapping[str, Any]) -> rows.SecurityGroupDefaultRule:
    """Store a new default rule and return it.

    Cost: 1 statement in 1 round trip.
    """
    return current(context).last().insert(t, values)


@tx.main.writer
def security_group_default_rule_destroy(context: Context, security_group_rule_default_id: int) -> None:
    """Soft-delete the default rule, if the context may see it.

    Cost: 1 statement in 1 round trip.
    Raises: SecurityGroupDefaultRuleNotFound(rule_id).
    """
    if not soft_delete_by_id(current(context).last(), t, context.read_deleted, security_group_rule_default_id):
        raise exceptions.SecurityGroupDefaultRuleNotFound(rule_id=security_group_rule_default_id)
