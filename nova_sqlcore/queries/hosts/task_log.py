# SPDX-License-Identifier: Apache-2.0

"""The task log: one run of a periodic task for a host and a period.  Table ``task_log``.

Times may be ISO texts; a time zone is dropped.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nova_sqlcore import exceptions, tx
from nova_sqlcore.queries.common.conversions import convert_objects_related_datetimes
from nova_sqlcore.queries.common.lookups import bulk_changes, count_updated_by, row_by, rows_by
from nova_sqlcore.tables import task_log as t
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    import datetime

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context
    from nova_sqlcore.core.handles import Row

    Moment = datetime.datetime | str


@tx.reader
def task_log_get(
    context: Context,
    task_name: str,
    period_beginning: Moment,
    period_ending: Moment,
    host: str | None,
    state: str | None = None,
) -> rows.TaskLog | None:
    """Return the first run that the context may see, or None; of any host or in any state if that is None.

    Cost: 1 statement in 1 round trip.
    Raises: ValueError for text that is not a time.
    """
    key = _key(task_name, period_beginning, period_ending, host=host, state=state)
    return row_by(current(context), t, context.read_deleted, **key)


@tx.reader
def task_log_get_all(
    context: Context,
    task_name: str,
    period_beginning: Moment,
    period_ending: Moment,
    host: str | None = None,
    state: str | None = None,
) -> list[rows.TaskLog]:
    """Return the runs that the context may see, by id; of any host or in any state if that is None.

    Cost: 1 statement in 1 round trip.
    Raises: ValueError for text that is not a time.
    """
    key = _key(task_name, period_beginning, period_ending, host=host, state=state)
    return rows_by(current(context), t, context.read_deleted, **key)


@tx.writer
def task_log_begin_task(
    context: Context,
    task_name: str,
    period_beginning: Moment,
    period_ending: Moment,
    host: str,
    task_items: int | None = None,
    message: str | None = None,
) -> None:
    """Store a run that begins: of all who try it for a host and a period only one succeeds, ever.

    Cost: 1 statement in 1 round trip.
    Raises: TaskAlreadyRunning(task_name, host); DBError without a message; ValueError for text that is not a time.
    """
    given = _key(task_name, period_beginning, period_ending) | {"host": host, "state": "RUNNING"}
    row = (
        current(context)
        .last()
        .insert_absent(t, {**given, "message": message or None, "task_items": task_items or None})
    )
    if row is None:
        raise exceptions.TaskAlreadyRunning(task_name=task_name, host=host)


@tx.writer
def task_log_end_task(
    context: Context,
    task_name: str,
    period_beginning: Moment,
    period_ending: Moment,
    host: str | None,
    errors: int,
    message: str | None = None,
) -> None:
    """Mark a run that the context may see as done, whatever its state; the runs of all hosts if ``host`` is None.

    Cost: 1 statement in 1 round trip.
    Raises: TaskNotRunning(task_name, host); ValueError for text that is not a time.
    """
    transaction = current(context)
    given: Row = {"state": "DONE", "errors": errors}
    if message:
        given["message"] = message
    key = _key(task_name, period_beginning, period_ending, host=host)
    if not count_updated_by(transaction.last(), t, context.read_deleted, bulk_changes(transaction, t, given), **key):
        raise exceptions.TaskNotRunning(task_name=task_name, host=host)


def _key(task_name: str, beginning: Moment, ending: Moment, **optional: str | None) -> Row:
    """Return the columns that tell a run; what is None among the optional ones is left out."""
    key: Row = {"task_name": task_name, "period_beginning": beginning, "period_ending": ending}
    convert_objects_related_datetimes(key, "period_beginning", "period_ending")
    return key | {name: value for name, value in optional.items() if value is not None}
