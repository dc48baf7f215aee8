# SPDX-License-Identifier: Apache-2.0

"""Purging: archived rows are deleted in the shadow tables for good."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from nova_sqlcore import exceptions, tables, tx
from nova_sqlcore.context import get_admin_context
from nova_sqlcore.queries.common.clauses import arg
from nova_sqlcore.queries.maintenance import moving, trees
from nova_sqlcore.queries.maintenance.pace import BATCH, Pace, Step, before_bound, check_before
from nova_sqlcore.queries.maintenance.trees import ORDER, key_of
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable

    from nova_sqlcore.context import Context
    from nova_sqlcore.core.dialects import Dialect


@functools.cache
def _filled_statement() -> sa.CompoundSelect[Any]:
    return trees.names_statement(lambda table: sa.exists().select_from(tables.shadows[table.name]))


@tx.main.reader.named("purge_archived_rows")
def _filled(context: Context) -> set[str]:
    """Return the names of the tables whose shadow tables have rows.

    Cost: 1 statement.
    """
    return set(current(context).scalars(_filled_statement()))


def _ended(table: sa.Table) -> sa.ColumnElement[Any]:
    """Return when an archived row ended: when it was deleted, or, if it never was, what it had hung on.

    Failing that, its last change; the task log has its period.
    """
    shadow = tables.shadows[table.name]
    last = (shadow.c.period_ending,) if table is tables.task_log else (shadow.c.updated_at, shadow.c.created_at)
    return sa.func.coalesce(shadow.c.deleted_at, *(_ended_above(relation) for relation in trees.above(table)), *last)


def _ended_above(relation: trees.Relation) -> sa.ColumnElement[Any]:
    child, parent = tables.shadows[relation.child.name], tables.shadows[relation.parent.table.name]
    same = trees.as_key(parent.c[relation.parent.name]) == child.c[relation.column.name]
    ended = sa.select(_ended(relation.parent.table)).where(same).limit(sa.literal_column("1"))
    return ended.correlate(child).scalar_subquery()


def _old_clause(table: sa.Table) -> sa.ColumnElement[bool]:
    return _ended(table) < sa.bindparam("before", type_=table.c.deleted_at.type)


@functools.lru_cache(maxsize=256)
def _find_statement(table: sa.Table, behind: bool, before: bool, dialect: Dialect) -> sa.Select[Any]:
    key = key_of(tables.shadows[table.name])
    where = [key > arg("behind")] if behind else []
    where += [_old_clause(table)] if before else []
    return dialect.lock_free_row(sa.select(key).where(*where).order_by(key).limit(arg("limit")))


@tx.main.writer.named("purge_archived_rows")
def _purge_batch(context: Context, table: sa.Table, limit: int, **bounds: Any) -> list[Any]:
    """Delete at most ``limit`` archived rows and return their keys in order.

    Cost: 2 statements.
    Lock: the rows.
    """
    transaction = current(context)
    statement = _find_statement(table, "behind" in bounds, "before" in bounds, transaction.dialect)
    keys = transaction.scalars(statement, limit=limit, **bounds)
    if keys:
        transaction.execute(moving.delete_statement(key_of(tables.shadows[table.name])), values=keys)
    return keys


def purge_archived_rows(
    before: datetime.datetime | None = None,
    *,
    batch: int = BATCH,
    pause: float = 0,
    progress: Callable[[str, int], Any] | None = None,
) -> dict[str, int]:
    """Delete rows from the shadow tables for good and return how many of each main table.

    ``before``: only rows that had been deleted before that time. A row that was archived live, with what it hung on,
    goes when that does; where that is gone already, and in the task log, its age counts. The others as for
    ``archive_deleted_rows``.
    Cost: 1 statement; for each shadow table with rows 2 more per batch.
    Lock: the rows of one batch at a time.
    Raises: ValueError if an argument can't be, before anything goes.
    """
    check_before(before)
    pace = Pace(batch, pause, progress)
    filled = _filled(get_admin_context())
    found = {table.name: _purge_table(table, before, pace) for table in reversed(ORDER) if table.name in filled}
    return {name: count for name, count in found.items() if count}


def _purge_table(table: sa.Table, before: datetime.datetime | None, pace: Pace) -> int:
    purged, limit = 0, pace.batch

    def step(bounds: dict[str, Any]) -> Step:
        nonlocal purged, limit
        try:
            keys = _purge_batch(get_admin_context(), table, limit, **bounds)
        except exceptions.DBTransactionTooLarge:
            if limit == 1:
                raise
            limit //= 2
            return step(bounds)
        purged += len(keys)
        counts = {table.name: len(keys)} if keys else {}
        return Step(counts, keys[-1] if keys else None, len(keys) == limit)

    pace.work(step, before_bound(before))
    return purged


@functools.cache
def _count_statement(before: bool) -> sa.CompoundSelect[Any]:
    return sa.union_all(*(_count_of_statement(table, before) for table in ORDER))


def _count_of_statement(table: sa.Table, before: bool) -> sa.Select[str, int]:
    name, count = sa.literal(table.name, sa.String).label("name"), sa.func.count().label("count")
    found = sa.select(name, count).select_from(tables.shadows[table.name])
    return found.where(_old_clause(table)) if before else found


@tx.main.reader.named("purge_archived_rows")
def _count(context: Context, before: datetime.datetime | None) -> dict[str, int]:
    found = current(context).rows(_count_statement(before is not None), **before_bound(before))
    return {row["name"]: row["count"] for row in found if row["count"]}


def count_archived_rows(before: datetime.datetime | None = None) -> dict[str, int]:
    """Return how many rows ``purge_archived_rows`` would delete, by main table; tables without any are left out.

    Cost: 1 statement.
    Raises: ValueError if ``before`` is not a time.
    """
    check_before(before)
    return _count(get_admin_context(), before)
