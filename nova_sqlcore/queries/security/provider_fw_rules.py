# SPDX-License-Identifier: Apache-2.0

"""Provider firewall rules: what the operator blocks for every instance.  Table ``provider_fw_rules``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nova_sqlcore import tx
from nova_sqlcore.queries.common.lookups import rows_by, soft_delete_by_id
from nova_sqlcore.tables import provider_fw_rules as t
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context


@tx.main.reader
def provider_fw_rule_get_all(context: Context) -> list[rows.ProviderFirewallRule]:
    """Return the rules that the context may see, by id.

    Cost: 1 statement in 1 round trip.
    """
    return rows_by(current(context), t, context.read_deleted)


@tx.main.writer
def provider_fw_rule_create(context: Context, rule: Mapping[str, Any]) -> rows.ProviderFirewallRule:
    """Store a rule and return it.

    Cost: 1 statement in 1 round trip.
    """
    return current(context).last().insert(t, rule)


@tx.main.writer
def provider_fw_rule_destroy(context: Context, rule_id: int) -> None:
    """Soft-delete the rule, if there is one; a deleted one gets a new ``deleted_at``.

    Cost: 1 statement in 1 round trip.
    """
    soft_delete_by_id(current(context).last(), t, "yes", rule_id)
