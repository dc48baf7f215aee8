# SPDX-License-Identifier: Apache-2.0

"""Flavor access: which projects may use a flavor that is not public.  Table ``instance_type_projects``.

A flavor is named by its ``flavorid``; only live flavors count.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from nova_sqlcore import exceptions, tx
from nova_sqlcore.queries.common.clauses import deleted_now, select_statement, soft_delete_statement, visible
from nova_sqlcore.queries.common.lookups import BY, Shape, equal, shape_of
from nova_sqlcore.queries.flavors.ids import _flavor_get_id_from_flavor, live_id_statement
from nova_sqlcore.tables import instance_type_projects as t
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    import sqlalchemy as sa

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context
    from nova_sqlcore.core.handles import Select


@functools.cache
def _of_flavor_statement(flavor: Shape) -> Select[rows.FlavorAccess]:
    of_flavor = t.c.instance_type_id == live_id_statement(flavor).scalar_subquery()
    return select_statement(t).where(of_flavor, *visible(t, "no")).order_by(t.c.id)


@functools.cache
def _remove_statement(flavor: Shape, project: Shape) -> sa.Update:
    of_flavor = t.c.instance_type_id == live_id_statement(flavor).scalar_subquery()
    return soft_delete_statement(t).where(of_flavor, *equal(t, project, BY), *visible(t, "no"))


@tx.main.reader
def flavor_access_get_by_flavor_id(context: Context, flavor_id: str) -> list[rows.FlavorAccess]:
    """Return who may use the flavor, by id: the order in which access was given; nobody if there is no such flavor.

    Cost: 1 statement in 1 round trip.
    """
    flavor, params = shape_of({"flavorid": flavor_id})
    return current(context).rows(_of_flavor_statement(flavor), **params)


@tx.main.writer
def flavor_access_add(context: Context, flavor_id: str, project_id: str) -> rows.FlavorAccess:
    """Let the project use the flavor, and return the new row.

    Cost: 2 statements in 2 round trips.
    Lock: the flavor's row.
    Raises: FlavorNotFound(flavor_id); FlavorAccessExists(flavor_id, project_id).
    """
    given = {"instance_type_id": _flavor_get_id_from_flavor(context, flavor_id), "project_id": project_id}
    row = current(context).last().insert_absent(t, given)
    if row is None:
        raise exceptions.FlavorAccessExists(flavor_id=flavor_id, project_id=project_id)
    return row


@tx.main.writer
def flavor_access_remove(context: Context, flavor_id: str, project_id: str) -> None:
    """Take the project's access to the flavor away.

    Cost: 1 statement; 2 if there is no such access; in 1 round trip.
    Raises: FlavorNotFound(flavor_id); FlavorAccessNotFound(flavor_id, project_id).
    """
    flavor, params = shape_of({"flavorid": flavor_id})
    project, named = shape_of({"project_id": project_id}, BY)
    if not current(context).last().execute(_remove_statement(flavor, project), **params, **named, **deleted_now()):
        _flavor_get_id_from_flavor(context, flavor_id)
        raise exceptions.FlavorAccessNotFound(flavor_id=flavor_id, project_id=project_id)
