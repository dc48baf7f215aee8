# SPDX-License-Identifier: Apache-2.0

"""Agent builds: which guest agent is current for a hypervisor, system and architecture.  Table ``agent_builds``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nova_sqlcore import exceptions, tx
from nova_sqlcore.queries.common.arguments import also_named
from nova_sqlcore.queries.common.lookups import bulk_changes, count_updated_by_id, row_by, rows_by, soft_delete_by_id
from nova_sqlcore.tables import agent_builds as t
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context


@tx.main.reader
def agent_build_get_by_triple(context: Context, hypervisor: str, os: str, architecture: str) -> rows.AgentBuild | None:
    """Return the live build for this hypervisor, operating system and architecture, or None.

    Cost: 1 statement in 1 round trip.
    """
    return row_by(current(context), t, "no", hypervisor=hypervisor, os=os, architecture=architecture)


@tx.main.reader
def agent_build_get_all(context: Context, hypervisor: str | None = None) -> list[rows.AgentBuild]:
    """Return the live builds, by id; only those for one hypervisor if asked.

    Cost: 1 statement in 1 round trip.
    """
    wanted = {"hypervisor": hypervisor} if hypervisor else {}
    return rows_by(current(context), t, "no", **wanted)


@tx.main.writer
def agent_build_create(context: Context, values: Mapping[str, Any]) -> rows.AgentBuild:
    """Store a new build and return it.

    Cost: 1 statement in 1 round trip.
    Raises: AgentBuildExists(hypervisor, os, architecture).
    """
    try:
        return current(context).last().insert(t, values)
    except exceptions.DBDuplicateEntry as error:
        triple = {name: values.get(name) for name in ("hypervisor", "os", "architecture")}
        raise exceptions.AgentBuildExists(**triple) from error


@tx.main.writer
def agent_build_update(context: Context, agent_build_id: int, values: Mapping[str, Any]) -> None:
    """Write the given columns, and ``updated_at`` in any case.

    Cost: 1 statement in 1 round trip.
    Raises: AgentBuildNotFound(id); DBDuplicateEntry if another build holds the new key; DBError for an unknown column.
    """
    transaction = current(context)
    given = bulk_changes(transaction, t, values)
    if not count_updated_by_id(transaction.last(), t, context.read_deleted, agent_build_id, given):
        raise exceptions.AgentBuildNotFound(id=agent_build_id)


@also_named(agent_update_id="agent_build_id")
@tx.main.writer
def agent_build_destroy(context: Context, agent_build_id: int) -> None:
    """Soft-delete the build.

    Cost: 1 statement in 1 round trip.
    Raises: AgentBuildNotFound(id).
    """
    if not soft_delete_by_id(current(context).last(), t, context.read_deleted, agent_build_id):
        raise exceptions.AgentBuildNotFound(id=agent_build_id)
