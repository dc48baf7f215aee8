# SPDX-License-Identifier: Apache-2.0

"""Actions on instances, each a request with its events.  Tables ``instance_actions``, ``instance_actions_events``.

A request may have several actions on an instance: the newest of them is meant. Whatever happens to an event moves
``updated_at`` of its action too, which is written first: whoever works on an action waits for its row.

Times may be ISO texts; a time zone is dropped. Users see all projects here, but only a context without a
project may reach an action by another request id: a service's own id changes when it starts again.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, TypeVar, cast

import sqlalchemy as sa

from nova_sqlcore import clock, exceptions, tx
from nova_sqlcore.queries.common.arguments import also_named
from nova_sqlcore.queries.common.clauses import assigned, changes, columns, select_statement, split, visible
from nova_sqlcore.queries.common.conversions import convert_objects_related_datetimes
from nova_sqlcore.queries.common.ids import as_id
from nova_sqlcore.queries.common.lookups import BY, Shape, bulk_changes, equal, row_by, shape_of, update_later_by_id
from nova_sqlcore.tables import instance_actions as t, instance_actions_events as events
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context
    from nova_sqlcore.core.handles import Row, Select, Table
    from nova_sqlcore.tx import Transaction

#: What an event is called by besides its own columns.
R = TypeVar("R")

_NAMES: Final = ("instance_uuid", "request_id", "message")
_EVENT: Final = "event_"
_NEWEST: Final[list[sa.ColumnElement[Any]]] = [t.c.created_at.desc(), t.c.id.desc()]


@functools.cache
def _newest_first_statement(table: Table[R], read_deleted: str, shape: Shape) -> Select[R]:
    where = (*equal(table, shape), *visible(table, read_deleted))
    return select_statement(table).where(*where).order_by(table.c.created_at.desc(), table.c.id.desc())


def _meant_clauses(shape: Shape, any_request: bool) -> tuple[list[sa.ColumnElement[bool]], list[sa.ColumnElement[Any]]]:
    """Return the clauses for an action with this key and the order that puts the one that is meant first.

    That is the newest of the request; with ``any_request`` the newest of the instance serves if there is none.
    """
    compared, null = shape
    same = dict(zip(compared + null, equal(t, shape), strict=True))
    if not any_request:
        return [*same.values()], _NEWEST
    return [same["instance_uuid"]], [sa.case((same["request_id"], 0), else_=1), *_NEWEST]


@functools.cache
def _action_statement(read_deleted: str, shape: Shape, any_request: bool) -> sa.Select[Any]:
    where, order = _meant_clauses(shape, any_request)
    return sa.select(t.c.id).where(*where, *visible(t, read_deleted)).order_by(*order).limit(1)


@functools.cache
def _event_statement(read_deleted: str, shape: Shape, any_request: bool, named: Shape) -> sa.Select[Any]:
    """Return the SELECT of the action that is meant with its event of a name: the newest, an unfinished one first.

    Of several actions of the request one that has such an event is meant.
    """
    where, order = _meant_clauses(shape, any_request)
    its = sa.and_(events.c.action_id == t.c.id, *equal(events, named), *visible(events, read_deleted))
    of_request, has_event = sa.and_(*equal(t, shape)), events.c.id.is_not(None)
    unfinished = sa.and_(has_event, events.c.finish_time.is_(None))
    best = sa.case((sa.and_(of_request, unfinished), 0), (sa.and_(of_request, has_event), 1), (of_request, 2))
    order = [*order[: -len(_NEWEST)], best, *_NEWEST]
    order += [events.c.finish_time.is_not(None), events.c.created_at.desc(), events.c.id.desc()]
    return (
        sa.select(t.c.id.label("action"), *columns(events, _EVENT))
        .select_from(t.outerjoin(events, its))
        .where(*where, *visible(t, read_deleted))
        .order_by(*order)
        .limit(1)
    )


@functools.cache
def _by_request_statement(read_deleted: str, shape: Shape) -> Select[rows.InstanceAction]:
    return select_statement(t).where(*equal(t, shape, BY), *visible(t, read_deleted)).order_by(*_NEWEST).limit(1)


@functools.lru_cache(maxsize=256)
def _finish_statement(read_deleted: str, shape: Shape, names: tuple[str, ...]) -> sa.Update:
    """Write to the newest action of a request.

    The key stands twice, for the MySQL family would look for the id in the whole table (measured with 50,000 actions:
    25 in place of 0.4 ms).
    """
    key = (*equal(t, shape, BY), *visible(t, read_deleted))
    # MySQL updates no table that it reads in a subquery, but one that it reads two levels down
    found = sa.select(t.c.id).where(*key).order_by(*_NEWEST).limit(1).subquery("found")
    return sa.update(t).where(*key, t.c.id == sa.select(found.c.id).scalar_subquery()).values(assigned(t, names))


# -- actions ----------------------------------------------------------------------------------------------------------


@also_named(uuid="instance_uuid")
@tx.reader
def actions_get(context: Context, instance_uuid: str) -> list[rows.InstanceAction]:
    """Return the actions on the instance that the context may see, newest first.

    Cost: 1 statement in 1 round trip.
    """
    shape, params = shape_of({"instance_uuid": instance_uuid})
    return current(context).rows(_newest_first_statement(t, context.read_deleted, shape), **params)


@also_named(uuid="instance_uuid")
@tx.reader
def action_get_by_request_id(context: Context, instance_uuid: str, request_id: str) -> rows.InstanceAction | None:
    """Return the request's newest action on the instance that the context may see, or None.

    Cost: 1 statement in 1 round trip.
    """
    shape, params = shape_of({"instance_uuid": instance_uuid, "request_id": request_id}, BY)
    return current(context).row(_by_request_statement(context.read_deleted, shape), **params)


@tx.writer
def action_start(context: Context, values: Mapping[str, Any]) -> rows.InstanceAction:
    """Store an action, which starts now unless ``values`` says when, and return it.

    Cost: 1 statement in 1 round trip.
    Raises: DBReferenceError for an instance that doesn't exist, not on sqlite; ValueError for text that is not a time.
    """
    given = convert_objects_related_datetimes(dict(values), "start_time")
    return current(context).last().insert(t, given)


@tx.writer
def action_finish(context: Context, values: Mapping[str, Any]) -> rows.InstanceAction:
    """Write the given columns to the newest action with this ``instance_uuid`` and ``request_id``, and return it.

    Cost: 1 statement; 2 on the MySQL family; in 1 round trip.
    Raises: InstanceActionNotFound(request_id, instance_uuid) if the context sees none; DBError for an unknown column;
    KeyError without either name; ValueError for text that is not a time.
    """
    transaction = current(context)
    given = convert_objects_related_datetimes(dict(values), "start_time", "finish_time")
    key = {name: given.pop(name) for name in ("instance_uuid", "request_id")}
    written = bulk_changes(transaction, t, given)
    shape, params = shape_of(key, BY)
    update = _finish_statement(context.read_deleted, shape, tuple(written))
    row = transaction.last().update_row(update, _by_request_statement(context.read_deleted, shape), params, written)
    if row is None:
        raise exceptions.InstanceActionNotFound(**key)
    return row


# -- events -----------------------------------------------------------------------------------------------------------


@tx.reader
def action_events_get(context: Context, action_id: int) -> list[rows.InstanceActionEvent]:
    """Return the events of the action that the context may see, newest first.

    Cost: 1 statement in 1 round trip.
    """
    number = as_id(action_id)
    if number is None:
        return []
    shape, params = shape_of({"action_id": number})
    return current(context).rows(_newest_first_statement(events, context.read_deleted, shape), **params)


@tx.reader
def action_event_get_by_id(context: Context, action_id: int, event_id: int) -> rows.InstanceActionEvent | None:
    """Return the event with this id if it is one of the action and the context may see it, or None.

    Cost: 1 statement in 1 round trip.
    """
    key = {"id": as_id(event_id), "action_id": as_id(action_id)}
    if None in key.values():
        return None
    return row_by(current(context), events, context.read_deleted, **key)


@tx.writer
def action_event_start(context: Context, values: Mapping[str, Any]) -> rows.StartedActionEvent:
    """Store an event of the newest action with this ``instance_uuid`` and ``request_id``; return it with these two.

    Without such an action the instance's newest one serves a context that has no project.
    Cost: 3 statements in 2 round trips.
    Lock: the action's row.
    Raises: InstanceActionNotFound(request_id, instance_uuid); KeyError without either name; ValueError for text that is
    no time.
    """
    transaction = current(context)
    given = convert_objects_related_datetimes(dict(values), "start_time")
    key, shape, params = _key_of(given)
    stored = changes(events, given, transaction, ignore=_NAMES)
    action_id = transaction.scalar(_action_statement(context.read_deleted, shape, not context.project_id), **params)
    if action_id is None:
        raise exceptions.InstanceActionNotFound(**key)
    _touch(transaction, action_id)
    row = transaction.last().insert(events, stored | {"action_id": action_id})
    return cast("rows.StartedActionEvent", row | key)


@tx.writer
def action_event_finish(context: Context, values: Mapping[str, Any]) -> rows.InstanceActionEvent:
    """Write the given columns to the event of this name and return it; the result "error" marks its action.

    The action is found as in ``action_event_start``; of several events of the name the newest unfinished one is meant,
    and of several actions of the request the newest that has such an event.
    Cost: 3 statements in 2 round trips.
    Lock: the action's row, then the event's.
    Raises: InstanceActionNotFound(request_id, instance_uuid), InstanceActionEventNotFound(action_id, event); KeyError
    without ``instance_uuid``, ``request_id``, ``event`` or ``result``; ValueError for text that is not a time.
    """
    transaction = current(context)
    given = convert_objects_related_datetimes(dict(values), "start_time", "finish_time")
    key, shape, params = _key_of(given)
    named, name = shape_of({"event": given["event"]})
    found = transaction.row(
        _event_statement(context.read_deleted, shape, not context.project_id, named), **params, **name
    )
    if found is None:
        raise exceptions.InstanceActionNotFound(**key)
    event = split(found, _EVENT)
    if event is None:
        raise exceptions.InstanceActionEventNotFound(action_id=found["action"], event=given["event"])
    is_error = str(given["result"]).lower() == "error"
    written = changes(events, {"updated_at": clock.utcnow(), **given}, transaction, ignore=_NAMES)
    _touch(transaction, found["action"], **({"message": "Error"} if is_error else {}))
    update_later_by_id(transaction, events, event["id"], written)
    return cast("rows.InstanceActionEvent", event | written)


def _key_of(given: Row) -> tuple[Row, Shape, Row]:
    """Return the names of the action that is meant: as a key, its shape, and its parameters."""
    key = {name: given[name] for name in ("instance_uuid", "request_id")}
    return key, *shape_of(key)


def _touch(transaction: Transaction, action_id: int, **given: Any) -> None:
    """Write ``given``, and now as ``updated_at``, to the action."""
    written = changes(t, {"updated_at": clock.utcnow(), **given}, transaction)
    update_later_by_id(transaction, t, action_id, written)
