# SPDX-License-Identifier: Apache-2.0

"""Usage: the traffic of network cards and the I/O of volumes.  Tables ``bw_usage_cache``, ``volume_usage_cache``.

A network card has one row per period, a volume one row; no unique key says so, and of several rows the first counts.
Soft-deleted rows count as well.
"""

from __future__ import annotations

import functools
import logging
import operator
from typing import TYPE_CHECKING, Any, Final, cast

import sqlalchemy as sa

from nova_sqlcore import clock, tx
from nova_sqlcore.context import require_context
from nova_sqlcore.queries.common.clauses import arg, arg_list, assigned, changes, rows_in, select_statement
from nova_sqlcore.queries.common.conversions import convert_objects_related_datetimes
from nova_sqlcore.queries.common.lookups import BY, Shape, equal, row_by, shape_of, update_later_by_id
from nova_sqlcore.queries.common.only_one import change_or_insert, insert_only, lock_first
from nova_sqlcore.tables import bw_usage_cache, volume_usage_cache
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    import datetime
    from collections.abc import Mapping, Sequence

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context
    from nova_sqlcore.core.handles import Row, Select

logger = logging.getLogger(__name__)

_BANDWIDTH_KEY: Final = ("uuid", "mac", "start_period")
_COUNTERS: Final = ("reads", "read_bytes", "writes", "write_bytes")

_BANDWIDTH_OF_LIST_STATEMENT = select_statement(bw_usage_cache).where(
    bw_usage_cache.c.uuid.in_(arg_list("uuids")), bw_usage_cache.c.start_period == arg("start_period")
)
_VOLUMES_SINCE_STATEMENT = (
    select_statement(volume_usage_cache)
    .where(
        sa.or_(
            *(
                clause
                for moment in (volume_usage_cache.c.tot_last_refreshed, volume_usage_cache.c.curr_last_refreshed)
                for clause in (moment.is_(None), moment > arg("begin"))
            )
        )
    )
    .order_by(volume_usage_cache.c.id)
)


@functools.cache
def _bandwidth_statement(shape: Shape) -> Select[rows.BandwidthUsage]:
    t = bw_usage_cache
    return select_statement(t).where(*equal(t, shape, BY)).order_by(t.c.id).limit(1)


@functools.cache
def _update_bandwidth_statement(shape: Shape, names: tuple[str, ...]) -> sa.Update:
    """Write to the first row; its key stands twice, for the MySQL family would look for the id in the whole table."""
    t = bw_usage_cache
    key = equal(t, shape, BY)
    # MySQL updates no table that it reads in a subquery, but one that it reads two levels down
    first = sa.select(sa.func.min(t.c.id).label("id")).where(*key).subquery("first")
    return sa.update(t).where(*key, t.c.id == sa.select(first.c.id).scalar_subquery()).values(assigned(t, names))


# -- bandwidth --------------------------------------------------------------------------------------------------------


@require_context
@tx.reader.allow_async
def bw_usage_get(
    context: Context, uuid: str, start_period: datetime.datetime | str, mac: str
) -> rows.BandwidthUsage | None:
    """Return the usage of the card in the period that begins then, or None.

    Cost: 1 statement in 1 round trip.
    Raises: ValueError for text that is not a time.
    """
    key = convert_objects_related_datetimes({"uuid": uuid, "mac": mac, "start_period": start_period}, "start_period")
    return row_by(current(context), bw_usage_cache, "yes", **key)


@require_context
@tx.reader.allow_async
def bw_usage_get_by_uuids(
    context: Context, uuids: Sequence[str], start_period: datetime.datetime | str
) -> list[rows.BandwidthUsage]:
    """Return the usages of all cards of these instances in the period that begins then, by id.

    Cost: 1 statement per 500 instances; none without any; in 1 round trip.
    Raises: ValueError for text that is not a time.
    """
    period = convert_objects_related_datetimes({"start_period": start_period}, "start_period")
    found = rows_in(current(context), _BANDWIDTH_OF_LIST_STATEMENT, "uuids", list(dict.fromkeys(uuids)), **period)
    found.sort(key=operator.itemgetter("id"))
    return found


@require_context
@tx.writer
def bw_usage_update(
    context: Context,
    uuid: str,
    mac: str,
    start_period: datetime.datetime | str,
    bw_in: int,
    bw_out: int,
    last_ctr_in: int,
    last_ctr_out: int,
    last_refreshed: datetime.datetime | str | None = None,
    *,
    update_cells: bool = True,
) -> rows.BandwidthUsage:
    """Set the usage of the card in the period that begins then, as of ``last_refreshed`` or now, and return it.

    ``update_cells`` has no meaning here; the reference's public face takes it.
    Cost: 1 statement, 2 on the MySQL family; for a new row 2 on sqlite, 3 on PostgreSQL, 4 or 5 on the
    MySQL family; in 1 round trip, 2 for a new row.
    Lock: the row; for a new row a guard, or on the MySQL family the first row of the key.
    Raises: ValueError for text that is not a time.
    """
    transaction = current(context)
    now = clock.utcnow()
    given: Row = {
        "uuid": uuid,
        "mac": mac,
        "start_period": start_period,
        "bw_in": bw_in,
        "bw_out": bw_out,
        "last_ctr_in": last_ctr_in,
        "last_ctr_out": last_ctr_out,
        "last_refreshed": last_refreshed or now,
    }
    convert_objects_related_datetimes(given, "start_period", "last_refreshed")
    usage = {name: value for name, value in given.items() if name not in _BANDWIDTH_KEY}
    written = changes(bw_usage_cache, {"updated_at": now, **usage}, transaction)
    shape, params = shape_of({name: given[name] for name in _BANDWIDTH_KEY}, BY)
    update, again = _update_bandwidth_statement(shape, tuple(written)), _bandwidth_statement(shape)
    return change_or_insert(
        lambda: transaction.last().update_row(update, again, params, written),
        lambda: insert_only(transaction.last(), bw_usage_cache, given, _BANDWIDTH_KEY),
    )


# -- volumes ----------------------------------------------------------------------------------------------------------


@require_context
@tx.reader
def vol_get_usage_by_time(context: Context, begin: datetime.datetime) -> list[rows.VolumeUsage]:
    """Return the usages that were refreshed after ``begin``, current or total, by id.

    Those that never were, current or total, are among them.
    Cost: 1 statement in 1 round trip.
    """
    return current(context).rows(_VOLUMES_SINCE_STATEMENT, begin=begin)


@require_context
@tx.writer
def vol_usage_update(
    context: Context,
    id: str,
    rd_req: int,
    rd_bytes: int,
    wr_req: int,
    wr_bytes: int,
    instance_id: str,
    project_id: str,
    user_id: str,
    availability_zone: str,
    update_totals: bool = False,
) -> rows.VolumeUsage:
    """Set the current counters of the volume ``id``, or add them to its totals if told so, and return the usage.

    A counter below its stored current one shows that the guest has started anew: what was current joins the totals.
    Cost: 2 statements; 3 for a new row but on sqlite; in 2 round trips.
    Lock: the row; for a new row a guard, or on the MySQL family the first row of the volume.
    """
    transaction, t = current(context), volume_usage_cache
    reported = dict(zip(_COUNTERS, (rd_req, rd_bytes, wr_req, wr_bytes), strict=True))
    now, kind = clock.utcnow(), "tot" if update_totals else "curr"
    about: Row = {
        "instance_uuid": instance_id,
        "project_id": project_id,
        "user_id": user_id,
        "availability_zone": availability_zone,
        f"{kind}_last_refreshed": now,
    }
    counts = changes(t, {f"{kind}_{name}": count for name, count in reported.items()}, transaction)

    def update() -> rows.VolumeUsage | None:
        row = lock_first(transaction, t, volume_id=id)
        if row is None:
            return None
        numbers = _counted(row, [counts[f"{kind}_{name}"] or 0 for name in _COUNTERS], update_totals)
        written = changes(t, {"updated_at": now, **about, **numbers}, transaction)
        update_later_by_id(transaction, t, row["id"], written)
        return cast("rows.VolumeUsage", row | written)

    row = change_or_insert(
        update, lambda: insert_only(transaction.last(), t, {"volume_id": id, **about, **counts}, ("volume_id",))
    )
    return row


def _counted(row: Mapping[str, Any], reported: Sequence[int], update_totals: bool) -> Row:
    """Return the counters of a volume after a report."""
    current_counts = [row[f"curr_{name}"] or 0 for name in _COUNTERS]
    is_reset = any(new < old for new, old in zip(reported, current_counts, strict=True))
    if is_reset:
        logger.info("volume %s: its counters began anew, what they had goes to the totals", row["volume_id"])
    after: Row = {}
    for name, new, old in zip(_COUNTERS, reported, current_counts, strict=True):
        total = row[f"tot_{name}"] or 0
        after[f"tot_{name}"] = total + (old if is_reset else 0) + (new if update_totals else 0)
        after[f"curr_{name}"] = 0 if update_totals else new
    return after
