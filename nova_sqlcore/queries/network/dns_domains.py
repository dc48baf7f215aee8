# SPDX-License-Identifier: Apache-2.0

"""DNS domains: a zone of names, public for a project or private to an availability zone.  Table ``dns_domains``.

The name is the primary key; ``deleted`` is a boolean here, and nothing sets it: domains are really deleted.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import sqlalchemy as sa

from nova_sqlcore import clock, tx
from nova_sqlcore.context import require_context
from nova_sqlcore.core.values import complete
from nova_sqlcore.queries.common.alike import clash_named
from nova_sqlcore.queries.common.clauses import arg, columns, select_statement, visible
from nova_sqlcore.tables import dns_domains as t
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from nova_sqlcore import rows
    from nova_sqlcore.context import Context
    from nova_sqlcore.core.dialects import Dialect

_LIVE_STATEMENT = select_statement(t).where(*visible(t, "no")).order_by(t.c.domain)
_BY_DOMAIN_STATEMENT = _LIVE_STATEMENT.where(t.c.domain == arg("domain"))


@functools.cache
def _delete_statement(read_deleted: str) -> sa.Delete:
    return sa.delete(t).where(t.c.domain == arg("by_domain"), *visible(t, read_deleted))


@functools.cache
def _register_statement(dialect: Dialect, owner: str) -> sa.Insert:
    """Insert a domain, or set scope and ``owner`` of the one that has the name; a soft-deleted one comes to life."""
    new = {column.name: sa.bindparam(column.name, type_=column.type) for column in columns(t)}
    alive = {"deleted": sa.false(), "deleted_at": sa.null()}
    changes = {"scope": "=", owner: "=", "updated_at": sa.bindparam("now", type_=t.c.updated_at.type), **alive}
    return dialect.upsert(t, new, ["domain"], changes).inline()


@require_context
@tx.main.reader
def dnsdomain_get(context: Context, fqdomain: str) -> rows.DNSDomain | None:
    """Return the live domain of this name, or None.

    Cost: 1 statement in 1 round trip.
    """
    return current(context).row(_BY_DOMAIN_STATEMENT, domain=fqdomain)


@tx.main.reader
def dnsdomain_get_all(context: Context) -> list[rows.DNSDomain]:
    """Return the live domains, by name.

    Cost: 1 statement in 1 round trip.
    """
    return current(context).rows(_LIVE_STATEMENT)


@require_context
@tx.main.writer
def dnsdomain_register_for_zone(context: Context, fqdomain: str, zone: str) -> None:
    """Make the domain, new or known, private to the availability zone.

    Cost: 1 statement in 1 round trip.
    """
    _store(context, fqdomain, "private", "availability_zone", zone)


@require_context
@tx.main.writer
def dnsdomain_register_for_project(context: Context, fqdomain: str, project: str) -> None:
    """Make the domain, new or known, a public one of the project.

    Cost: 1 statement in 1 round trip.
    """
    _store(context, fqdomain, "public", "project_id", project)


def _store(context: Context, domain: str, scope: str, owner: str, owned_by: str) -> None:
    transaction = current(context)
    row = complete(t, {"domain": domain, "scope": scope, owner: owned_by}, transaction.dialect)
    with clash_named(t.c.domain, [row["domain"]]):
        transaction.last().execute(_register_statement(transaction.dialect, owner), **row, now=clock.utcnow())


@tx.main.writer
def dnsdomain_unregister(context: Context, fqdomain: str) -> None:
    """Delete the domain for good, if the context may see one of this name.

    Cost: 1 statement in 1 round trip.
    """
    current(context).last().execute(_delete_statement(context.read_deleted), by_domain=fqdomain)
