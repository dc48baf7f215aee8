# SPDX-License-Identifier: Apache-2.0

"""From the ``flavorid`` by which callers name a flavor to the number that its extra specs and access rows refer to."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from nova_sqlcore import exceptions
from nova_sqlcore.queries.common.clauses import visible
from nova_sqlcore.queries.common.lookups import Shape, equal, shape_of
from nova_sqlcore.tables import instance_types as t
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from nova_sqlcore.context import Context
    from nova_sqlcore.core.dialects import Dialect


@functools.cache
def live_id_statement(shape: Shape) -> sa.Select[Any]:
    """Return the SELECT of the live flavor's number; ``shape`` is that of the key ``flavorid``."""
    return sa.select(t.c.id).where(*equal(t, shape), *visible(t, "no")).order_by(t.c.id).limit(1)


@functools.cache
def _locked_id_statement(shape: Shape, dialect: Dialect) -> sa.Select[Any]:
    return dialect.lock_row(live_id_statement(shape))


def _flavor_get_id_from_flavor(context: Context, flavor_id: str) -> int:
    """Return the number of the live flavor, whose row stays locked: nobody destroys it under its new children.

    Cost: 1 statement.
    Lock: the flavor's row.
    Raises: FlavorNotFound(flavor_id).
    """
    transaction = current(context)
    shape, params = shape_of({"flavorid": flavor_id})
    number: int | None = transaction.scalar(_locked_id_statement(shape, transaction.dialect), **params)
    if number is None:
        raise exceptions.FlavorNotFound(flavor_id=flavor_id)
    return number
