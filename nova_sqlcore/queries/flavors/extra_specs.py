# SPDX-License-Identifier: Apache-2.0

"""Extra specs: what a flavor asks of a host beyond its sizes.  Table ``instance_type_extra_specs``.

A flavor is named by its ``flavorid``; only live flavors count.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from nova_sqlcore import exceptions, tx
from nova_sqlcore.context import require_context
from nova_sqlcore.core.values import complete
from nova_sqlcore.queries.common.alike import clash_named, refuse_alike
from nova_sqlcore.queries.common.arguments import also_named, check_whole
from nova_sqlcore.queries.common.clauses import columns, deleted_now, soft_delete_statement, visible
from nova_sqlcore.queries.common.lookups import BY, Shape, equal, shape_of
from nova_sqlcore.queries.flavors.ids import _flavor_get_id_from_flavor, live_id_statement
from nova_sqlcore.tables import instance_type_extra_specs as t
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nova_sqlcore.context import Context
    from nova_sqlcore.core.dialects import Dialect


@functools.cache
def _of_flavor_statement(flavor: Shape) -> sa.Select[Any]:
    of_flavor = t.c.instance_type_id == live_id_statement(flavor).scalar_subquery()
    return sa.select(t.c.key, t.c.value).where(of_flavor, *visible(t, "no")).order_by(t.c.id)


@functools.cache
def _delete_statement(flavor: Shape, spec: Shape) -> sa.Update:
    of_flavor = t.c.instance_type_id == live_id_statement(flavor).scalar_subquery()
    return soft_delete_statement(t).where(of_flavor, *equal(t, spec, BY), *visible(t, "no"))


@functools.cache
def _upsert_statement(dialect: Dialect) -> sa.Insert:
    """Insert a live spec, or write the value of the one that has the key; an equal value leaves its time of change."""
    new = {column.name: sa.bindparam(column.name, type_=column.type) for column in columns(t) if column.name != "id"}
    changes = {"updated_at": _time_of_change, "value": "="}
    return dialect.upsert(t, new, ["instance_type_id", "key", "deleted"], changes).inline()


def _time_of_change(new: Any) -> sa.ColumnElement[Any]:
    return sa.case((t.c.value.is_distinct_from(new["value"]), new["created_at"]), else_=t.c.updated_at)


@require_context
@tx.main.reader
def flavor_extra_specs_get(context: Context, flavor_id: str) -> dict[str, str | None]:
    """Return the flavor's specs, value by key; none if there is no such flavor.

    Cost: 1 statement in 1 round trip.
    """
    flavor, params = shape_of({"flavorid": flavor_id})
    return {row["key"]: row["value"] for row in current(context).rows(_of_flavor_statement(flavor), **params)}


@also_named(extra_specs="specs")
@require_context
def flavor_extra_specs_update_or_create(
    context: Context, flavor_id: str, specs: Mapping[str, str], max_retries: int = 10
) -> Mapping[str, str]:
    """Write these specs, new or known, and return them; the flavor's other specs stay.

    Each attempt is a transaction, or a savepoint in the caller's.
    Cost: 2 statements; 1 without specs; in 2 round trips.
    Lock: the flavor's row, then its specs by key.
    Raises: FlavorNotFound(flavor_id). FlavorExtraSpecUpdateCreateFailed(id=flavor_id, retries=max_retries) after so
    many attempts that each met a taken key. DBKeyClash.
    """
    check_whole("max_retries", max_retries)
    for _ in range(max_retries):
        try:
            _write(context, flavor_id, specs)
        except exceptions.DBDuplicateEntry:
            continue
        return specs
    raise exceptions.FlavorExtraSpecUpdateCreateFailed(id=flavor_id, retries=max_retries)


@tx.main.writer.savepoint.named("flavor_extra_specs_update_or_create")
def _write(context: Context, flavor_id: str, specs: Mapping[str, str]) -> None:
    number = _flavor_get_id_from_flavor(context, flavor_id)
    transaction = current(context)
    dialect = transaction.dialect
    rows = [complete(t, {"instance_type_id": number, "key": key, "value": specs[key]}, dialect) for key in specs]
    refuse_alike(transaction, t.c.key, specs)
    with clash_named(t.c.key, specs):
        transaction.last().execute_many(_upsert_statement(dialect), sorted(rows, key=_key))


def _key(row: Mapping[str, Any]) -> str:
    return row["key"] or ""


@require_context
@tx.main.writer
def flavor_extra_specs_delete(context: Context, flavor_id: str, key: str) -> None:
    """Soft-delete the flavor's spec of this key.

    Cost: 1 statement in 1 round trip.
    Raises: FlavorExtraSpecsNotFound(extra_specs_key=key, flavor_id), also if there is no such flavor.
    """
    flavor, params = shape_of({"flavorid": flavor_id})
    spec, named = shape_of({"key": key}, BY)
    if not current(context).last().execute(_delete_statement(flavor, spec), **params, **named, **deleted_now()):
        raise exceptions.FlavorExtraSpecsNotFound(extra_specs_key=key, flavor_id=flavor_id)
