# SPDX-License-Identifier: Apache-2.0

"""Reservations: what is put aside within the limits of a quota, and what becomes of it.  Table ``reservations``.

A reservation raises ``reserved`` of a usage until it is committed, rolled back or expires. Whoever changes usages takes
locks in this order: the name of the project's usages, the usages by id, reservations, new rows. On a Galera cluster,
where the rows' locks don't reach other nodes, of two who have held the same name or have written the same row one
starts over.
"""

from __future__ import annotations

import dataclasses
import datetime
import functools
import logging
import operator
import uuid as uuids
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa

from nova_sqlcore import clock, exceptions, tx
from nova_sqlcore.context import elevated, require_context
from nova_sqlcore.core.values import complete, insert_statement
from nova_sqlcore.queries.common.arguments import also_named, check_all_whole
from nova_sqlcore.queries.common.clauses import (
    arg_list,
    ask_in,
    chunks,
    deleted_now,
    rows_in,
    select_statement,
    soft_delete_statement,
    visible,
)
from nova_sqlcore.queries.common.lookups import Shape, equal, shape_of
from nova_sqlcore.queries.common.only_one import hold_project
from nova_sqlcore.queries.quota.counts import QUOTA_SYNC_FUNCTIONS
from nova_sqlcore.queries.quota.usages import PER_PROJECT_QUOTAS
from nova_sqlcore.tables import quota_usages, reservations
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, MutableMapping, Sequence

    from nova_sqlcore.context import Context
    from nova_sqlcore.core.dialects import Dialect
    from nova_sqlcore.core.dialects.base import AnySelect
    from nova_sqlcore.core.handles import Row
    from nova_sqlcore.tx import Transaction

    #: a usage: a plain dict, but whoever replaces a helper may hand over something like it
    Usage = MutableMapping[str, Any]
    #: what it says is in use and reserved, and its counter of reservations
    Numbers = tuple[int | None, ...]

logger = logging.getLogger(__name__)


# -- usages under lock ------------------------------------------------------------------------------------------------

_SAVED: Final = ("in_use", "reserved", "until_refresh")
_numbers_of: Callable[[Usage], tuple[int | None, ...]] = operator.itemgetter(*_SAVED)
#: Usages per UPDATE, whose CASE grows with them.
_SAVED_AT_ONCE: Final = 50


@functools.cache
def usages_statement(dialect: Dialect, locked: bool, shape: Shape) -> sa.Select[Any]:
    """Return the statement for the live usages with a key of this shape, by id, with or without a lock."""
    where = (*equal(quota_usages, shape), *visible(quota_usages, "no"))
    found = select_statement(quota_usages).where(*where).order_by(quota_usages.c.id)
    return _locked(dialect, found, quota_usages, "ix_quota_usages_project_id") if locked else found


def _locked(dialect: Dialect, statement: AnySelect, table: sa.Table, index: str) -> AnySelect:
    """Return ``statement`` as one that locks what it finds by this index.

    By another one, such as that of live rows, the MySQL family waits for whatever rows of other projects are locked.
    """
    return dialect.lock_row(dialect.by_index(statement, table, index)) if dialect.locks_rows else statement


@functools.cache
def _save_usages_statement(names: tuple[str, ...], count: int) -> sa.Update:
    """Return the UPDATE that gives each of ``count`` usages numbers of its own."""
    ids = [sa.bindparam(f"id_{place}", type_=quota_usages.c.id.type) for place in range(count)]
    changes = {}
    for name in names:
        column = quota_usages.c[name]
        own = ((quota_usages.c.id == key, sa.bindparam(f"{name}_{n}", type_=column.type)) for n, key in enumerate(ids))
        changes[name] = sa.case(*own, else_=column)
    return sa.update(quota_usages).where(quota_usages.c.id.in_(ids)).values(**changes)


def _usages_of_project(transaction: Transaction, project_id: str | None) -> list[Row]:
    """Return the project's live usages by id; a writer locks them."""
    shape, params = shape_of({"project_id": project_id})
    return transaction.rows(usages_statement(transaction.dialect, transaction.mode == "writer", shape), **params)


def _holders(user_id: Any) -> tuple[str | None, ...]:
    """Return what the usages have as ``user_id`` that are the user's, or of the project as a whole."""
    return (None,) if user_id is None else (None, str(user_id))


def _get_project_user_quota_usages(
    context: Context, project_id: str | None, user_id: str | None
) -> tuple[dict[str, Usage], dict[str, Usage]]:
    """Return, by resource, the sums over all usages of the project, and the usages of the user or of no user.

    Cost: 1 statement.
    Lock: in a writer, the project's live usages, by id.
    """
    sums: dict[str, Usage] = {}
    own, holders = _Usages(), _holders(user_id)
    for row in _usages_of_project(current(context), project_id):
        resource, in_use, reserved = row["resource"], row["in_use"], row["reserved"]
        total = sums.get(resource)
        if total is None:
            total = sums[resource] = {"in_use": 0, "reserved": 0, "total": 0}
        total["in_use"] += in_use
        total["reserved"] += reserved
        total["total"] += in_use + reserved
        if row["user_id"] in holders:
            own.add(resource, row)
    return sums, own


class _Usages(dict[str, "Usage"]):
    """Usages by resource: the newest of each, if an adopted database has several."""

    def __init__(self) -> None:
        """Start empty."""
        super().__init__()
        #: those that a newer one of the resource has taken the place of; most often there are none
        self._former: dict[tuple[str, str | None], list[Usage]] = {}

    def add(self, resource: str, row: Row) -> None:
        """Take a usage that is newer than all others."""
        former = self.get(resource)
        if former is not None:
            self._former.setdefault((resource, former["user_id"]), []).append(former)
        self[resource] = row

    def older(self, resource: str) -> Sequence[Usage]:
        """Return the others with the same key: no unique key keeps them away."""
        if not self._former or resource not in self:
            return ()
        return self._former.get((resource, self[resource]["user_id"]), ())


def with_numbers(usages: Iterable[Usage]) -> list[tuple[Usage, Numbers]]:
    """Return each usage with its numbers as they are."""
    return [(usage, _numbers_of(usage)) for usage in usages]


def save_changed(transaction: Transaction, before: Iterable[tuple[Usage, Numbers]]) -> None:
    """Write the numbers of locked usages that are not what they were before.

    Cost: 1 statement per 50 usages.
    """
    changed = [(usage, old) for usage, old in before if _numbers_of(usage) != old]
    were = zip(*(old for _, old in changed), strict=True)
    are = zip(*(_numbers_of(usage) for usage, _ in changed), strict=True)
    names = tuple(name for name, old, new in zip(_SAVED, were, are, strict=False) if old != new)  # none if none changed
    for some in chunks(changed, _SAVED_AT_ONCE):
        params = {f"{name}_{n}": usage[name] for n, (usage, _) in enumerate(some) for name in ("id", *names)}
        transaction.later.execute(_save_usages_statement(names, len(some)), **params)


# -- reserving --------------------------------------------------------------------------------------------------------


class _Queue:
    """What helpers that create rows get in place of the transaction: the rows wait here, to be written together."""

    def __init__(self, transaction: Transaction) -> None:
        """Start empty."""
        self._transaction = transaction
        self.dialect = transaction.dialect
        self.usages: list[Row] = []
        #: with the usage of each, whose id may still be to come
        self.reservations: list[tuple[Row, Usage]] = []

    def write_usages(self) -> None:
        """Write new usages, whose ids are known from then on."""
        stored = self._transaction.insert_many(quota_usages, self.usages)
        for row, complete_row in zip(self.usages, stored, strict=True):
            row.update(complete_row)

    def write_reservations(self) -> None:
        """Write reservations, whose usages have their ids by now."""
        complete_rows = [{**row, "usage_id": usage["id"]} for row, usage in self.reservations]
        statement = insert_statement(reservations, with_id=False, returning=False)
        self._transaction.later.execute_many(statement, complete_rows)


class _NotHeldError(Exception):
    """A usage would have been made although others could make it too."""


class _Asker(NamedTuple):
    """Who reserves, and when their usages are counted anew."""

    context: Context
    project_id: str | None
    user_id: str | None
    until_refresh: int | None
    max_age: Any


@dataclasses.dataclass
class _Account:
    """What the asker and their project use, by resource."""

    asker: _Asker
    #: whether nobody else can make usages of the project
    is_held: bool
    project: dict[str, Usage]
    own: dict[str, Usage]
    queue: _Queue
    #: the numbers of usages as they were found
    before: list[tuple[Usage, Numbers]]

    def create_if_missing(self, resource: str) -> bool:
        """Make the usage of a resource that has none; tell whether it was made.

        Raises: _NotHeldError.
        """
        self.refuse_missing([resource])
        _, project_id, user_id, until_refresh, _ = self.asker
        return _create_quota_usage_if_missing(self.own, resource, until_refresh, project_id, user_id, self.queue)

    def refuse_missing(self, names: Iterable[str]) -> None:
        """See that usages which must be made can be made.

        Raises: _NotHeldError.
        """
        if not self.is_held and any(name not in self.own for name in names):
            raise _NotHeldError

    def older(self, resource: str) -> Sequence[Usage]:
        """Return what an adopted database has beside the own usage, with the same key."""
        return self.own.older(resource) if isinstance(self.own, _Usages) else ()

    def of_user(self) -> dict[str, dict[str, int]]:
        """Return what the asker has in use and reserved."""
        return {resource: _sum(usage, self.older(resource)) for resource, usage in self.own.items()}


def _sum(usage: Usage, older: Sequence[Usage]) -> dict[str, int]:
    in_use, reserved = usage["in_use"], usage["reserved"]
    for other in older:
        in_use += other["in_use"]
        reserved += other["reserved"]
    return {"in_use": in_use, "reserved": reserved}


@also_named(quotas="project_quotas")
@require_context
@tx.main.writer
def quota_reserve(
    context: Context,
    resources: Mapping[str, Any],
    project_quotas: Mapping[str, int],
    user_quotas: Mapping[str, int],
    deltas: Mapping[str, int],
    expire: datetime.datetime | None,
    until_refresh: int | None,
    max_age: float | datetime.timedelta | None,
    project_id: str | None = None,
    user_id: str | None = None,
) -> list[str]:
    """Reserve ``deltas`` for the project and the user, by default the context's; return a uuid for each of them.

    First a usage is counted anew that is missing, below zero, or ``until_refresh`` reservations or ``max_age`` seconds
    old, whatever held when it was made. Limits below zero do not limit; deltas below zero are not checked, and
    count when they are committed.
    Cost: 2 statements; 1 more to change usages, 1 to make some, 1 per count; to keep others away 1 on PostgreSQL, 2 on
    Galera, and on other servers of the MySQL family 3 if usages are made; in 2 round trips, and 1 more for each count,
    and each time that usages are looked for or made.
    Lock: the name of the project's usages, but on the MySQL family, as long as none is made and rows are locked for
    everybody, just the project's live usages by id.
    Raises: OverQuota(overs, quotas, usages, headroom), with nothing changed. KeyError for a limit or a way to count
    that is missing. BadArgument for a delta or a limit that is not a whole number.
    """
    if not deltas:
        return []
    for name, numbers in (("project_quotas", project_quotas), ("user_quotas", user_quotas), ("deltas", deltas)):
        check_all_whole(name, numbers)
    transaction = current(context)
    project_id = context.project_id if project_id is None else project_id
    user_id = context.user_id if user_id is None else user_id
    asker = _Asker(context, project_id, user_id, until_refresh, max_age)
    rows_suffice = transaction.dialect.locking_reads_are_fresh and not transaction.dialect.clustered
    try:
        account = _refreshed(asker, resources, deltas, hold=not rows_suffice)
    except _NotHeldError:
        account = _refreshed(asker, resources, deltas, hold=True)
    _refuse_excess(account, project_quotas, user_quotas, deltas)
    made = _reserve(account, deltas, expire)
    account.queue.write_usages()
    save_changed(transaction, account.before)
    account.queue.write_reservations()
    return made


def _refreshed(asker: _Asker, resources: Mapping[str, Any], deltas: Iterable[str], *, hold: bool) -> _Account:
    """Return the account, with usages made that were missing, and those counted anew that need it.

    One count may serve several resources.
    Raises: _NotHeldError if a usage is missing and usages are not held.
    """
    account = _account(asker, hold=hold)
    counted: set[str] = set()
    for resource in deltas:
        if resource in counted:
            continue
        created = account.create_if_missing(resource)
        if created or _is_due(account, resource):
            account.refuse_missing(_counted_with(resource, resources))
            counts = _sync_function(resources[resource].sync)(elevated(asker.context), asker.project_id, asker.user_id)
            for name, in_use in counts.items():
                account.create_if_missing(name)
                _count_anew(account, name, in_use)
            counted.update(counts)
    return account


def _account(asker: _Asker, *, hold: bool) -> _Account:
    """Read and lock the usages of the project, after holding their name if told so."""
    transaction = current(asker.context)
    if hold:
        hold_project(transaction, asker.project_id)
    project, own = _get_project_user_quota_usages(asker.context, asker.project_id, asker.user_id)
    account = _Account(asker, hold, project, own, _Queue(transaction), [])
    for resource, usage in own.items():
        account.before += with_numbers([*account.older(resource), usage])
    return account


def _is_due(account: _Account, resource: str) -> bool:
    """Tell whether a usage must be counted anew by the policy of today, whatever held when it was made.

    A usage without a counter of reservations gets one if there shall be one now; a counter is never above the policy's.
    """
    usage, limit = account.own[resource], account.asker.until_refresh
    if limit and limit > 0 and usage["in_use"] >= 0:
        left = usage["until_refresh"]
        usage["until_refresh"] = limit if left is None else min(left, limit)
    is_due = _is_quota_refresh_needed(usage, account.asker.max_age)
    return is_due or any(older["in_use"] < 0 for older in account.older(resource))


def _counted_with(resource: str, resources: Mapping[str, Any]) -> list[str]:
    """Return the resources that are counted by the same function."""
    sync = resources[resource].sync
    return [name for name, other in resources.items() if getattr(other, "sync", None) == sync]


def _sync_function(sync: str | Callable[..., dict[str, int]]) -> Callable[..., dict[str, int]]:
    return sync if callable(sync) else QUOTA_SYNC_FUNCTIONS[sync]


def _count_anew(account: _Account, resource: str, in_use: int) -> None:
    """Set what is in use; the project's sum moves by the same difference, unless it is the usage itself.

    Of several usages with the same key the newest has it all from then on; what the others have reserved stays theirs.
    """
    usage, total = account.own[resource], account.project.get(resource)
    older = account.older(resource)
    difference = in_use - usage["in_use"] - sum(other["in_use"] for other in older)
    for other in older:
        other["in_use"] = 0
    _refresh_quota_usages(usage, account.asker.until_refresh, in_use)
    if total is not None and total is not usage:
        total["in_use"] += difference


def _quota_usage_create(
    project_id: str | None,
    user_id: str | None,
    resource: str,
    in_use: int,
    reserved: int,
    until_refresh: int | None,
    session: Transaction | _Queue,
) -> Row:
    """Make a usage and return it; in a queue it waits, without an id yet."""
    row = {
        "project_id": project_id,
        "user_id": user_id,
        "resource": resource,
        "in_use": in_use,
        "reserved": reserved,
        "until_refresh": until_refresh,
        "updated_at": clock.utcnow(),
    }
    if not isinstance(session, _Queue):
        return session.insert(quota_usages, row)
    waiting = {"id": None, **complete(quota_usages, row, session.dialect)}
    session.usages.append(waiting)
    return waiting


def _create_quota_usage_if_missing(
    user_usages: MutableMapping[str, Any],
    resource: str,
    until_refresh: int | None,
    project_id: str | None,
    user_id: str | None,
    session: Transaction | _Queue,
) -> bool:
    """Make the usage of the resource if ``user_usages`` has none; tell whether it was made."""
    if resource in user_usages:
        return False
    whose = None if resource in PER_PROJECT_QUOTAS else user_id
    user_usages[resource] = _quota_usage_create(project_id, whose, resource, 0, 0, until_refresh or None, session)
    return True


def _is_quota_refresh_needed(quota_usage: Usage, max_age: Any) -> bool:
    """Tell whether the usage must be counted anew; a counter of reservations goes down by one.

    ``max_age`` is a number of seconds or a timedelta; whatever else it is sets no age.
    """
    if quota_usage["in_use"] < 0:
        return True
    if quota_usage["until_refresh"] is not None:
        quota_usage["until_refresh"] -= 1
        if quota_usage["until_refresh"] <= 0:
            return True
    if not max_age or not isinstance(max_age, int | float | datetime.timedelta):
        return False
    limit = max_age if isinstance(max_age, datetime.timedelta) else datetime.timedelta(seconds=max_age)
    changed = quota_usage["updated_at"]
    return changed is None or clock.utcnow() - changed >= limit


def _refresh_quota_usages(quota_usage: Usage, until_refresh: int | None, in_use: int) -> None:
    """Take over a new count, and start the counter of reservations again."""
    level = logging.DEBUG if quota_usage["in_use"] == in_use else logging.INFO
    logger.log(level, "in use: %s, counted: %s; %s", quota_usage["in_use"], in_use, quota_usage)
    quota_usage["in_use"] = in_use
    quota_usage["until_refresh"] = until_refresh or None


def _refuse_excess(
    account: _Account, project_quotas: Mapping[str, int], user_quotas: Mapping[str, int], deltas: Mapping[str, int]
) -> None:
    """Hold the deltas against the limits.

    Raises: OverQuota(overs, quotas, usages, headroom).
    """
    own = account.of_user()
    project = own | account.project
    under = [name for name, delta in deltas.items() if delta < 0 and own[name]["in_use"] + delta < 0]
    if under:
        project_id = account.asker.project_id
        logger.warning("project %s: less would be in use than nothing of %s", project_id, ", ".join(under))
    overs = _calculate_overquota(project_quotas, user_quotas, deltas, _totals(project), _totals(own))
    if overs:
        raise _over_quota(overs, project_quotas, user_quotas, project, own)


def _over_quota(
    overs: Sequence[str],
    project_quotas: Mapping[str, int],
    user_quotas: Mapping[str, int],
    project: Mapping[str, Usage],
    own: Mapping[str, Usage],
) -> exceptions.OverQuota:
    """Return the error, with limit, usage and headroom of each resource; the level with less left counts.

    Levels are the user and the project; one that is exceeded has less left. Headroom is -1 where neither has a limit.
    """
    quotas, headroom = dict(user_quotas), {}
    counted = dict(project if project_quotas == user_quotas else own)
    for name in quotas.keys() & own.keys():
        left, left_to_project = _left(user_quotas[name], own[name]), _left(project_quotas.get(name), project[name])
        if left_to_project is not None and (left is None or left_to_project < left):
            quotas[name], counted[name], left = project_quotas[name], project[name], left_to_project
        headroom[name] = -1 if left is None else left
    usages = {name: {"in_use": usage["in_use"], "reserved": usage["reserved"]} for name, usage in counted.items()}
    return exceptions.OverQuota(overs=sorted(overs), quotas=quotas, usages=usages, headroom=headroom)


def _left(limit: int | None, usage: Usage) -> int | None:
    """Return how much more may be used, below zero if it is too much already; None without a limit."""
    return None if limit is None or limit < 0 else limit - usage["in_use"] - usage["reserved"]


def _totals(usages: Mapping[str, Usage]) -> dict[str, dict[str, int]]:
    return {resource: {"total": usage["in_use"] + usage["reserved"]} for resource, usage in usages.items()}


def _calculate_overquota(
    project_quotas: Mapping[str, int],
    user_quotas: Mapping[str, int],
    deltas: Mapping[str, int],
    project_usages: Mapping[str, Mapping[str, int]],
    user_usages: Mapping[str, Mapping[str, int]],
) -> list[str]:
    """Return the resources whose total would exceed the limit of the project or of the user."""
    return [
        resource
        for resource, delta in deltas.items()
        if delta >= 0
        and (
            _exceeds(delta + project_usages[resource]["total"], project_quotas[resource])
            or _exceeds(delta + user_usages[resource]["total"], user_quotas[resource])
        )
    ]


def _exceeds(total: int, limit: int | None) -> bool:
    return limit is not None and 0 <= limit < total


def _reserve(account: _Account, deltas: Mapping[str, int], expire: datetime.datetime | None) -> list[str]:
    """Make a reservation for each delta and return their uuids."""
    _, project_id, user_id, _, _ = account.asker
    made = []
    for resource, delta in deltas.items():
        usage, uuid = account.own[resource], str(uuids.uuid4())
        row = _reservation_create(uuid, usage, project_id, user_id, resource, delta, expire, account.queue)
        made.append(row["uuid"])
        if delta > 0:
            usage["reserved"] += delta
    return made


def _reservation_create(
    uuid: str,
    usage: Usage,
    project_id: str | None,
    user_id: str | None,
    resource: str,
    delta: int,
    expire: datetime.datetime | None,
    session: Transaction | _Queue,
) -> Row:
    """Make a reservation of ``usage`` and return it; in a queue it waits and gets no id."""
    row = {
        "uuid": uuid,
        "usage_id": usage["id"],
        "project_id": project_id,
        "user_id": user_id,
        "resource": resource,
        "delta": delta,
        "expire": expire,
    }
    if not isinstance(session, _Queue):
        return session.insert(reservations, row)
    waiting = complete(reservations, row, session.dialect)
    session.reservations.append((waiting, usage))
    return waiting


# -- what becomes of reservations -------------------------------------------------------------------------------------

#: Reservations that expire in one transaction.
_EXPIRED_AT_ONCE: Final = 500

# ``now`` keeps its microseconds on every server: ``expire`` is cut to whole seconds on the MySQL family, and compared
# with ``now`` in whole seconds it would not be over before the next second
_EXPIRED_STATEMENT = (
    sa.select(reservations.c.id, reservations.c.usage_id)
    .where(reservations.c.expire < sa.bindparam("now", type_=sa.DateTime()), reservations.c.deleted == 0)
    .order_by(reservations.c.expire)
    .limit(_EXPIRED_AT_ONCE)
)
_CLAIMED = (reservations.c.id, reservations.c.usage_id, reservations.c.resource, reservations.c.delta)


_INDEXES: Final = {"id": "PRIMARY", "uuid": "reservations_uuid_idx"}
_CLOSE_STATEMENT = soft_delete_statement(reservations).where(reservations.c.id.in_(arg_list("keys")))


@functools.cache
def _by_ids_statement(dialect: Dialect) -> sa.Select[Any]:
    found = select_statement(quota_usages).where(quota_usages.c.id.in_(arg_list("ids")))
    return _locked(dialect, found.order_by(quota_usages.c.id), quota_usages, "PRIMARY")


def _live_clauses(key: str) -> tuple[sa.ColumnElement[bool], ...]:
    return reservations.c[key].in_(arg_list("keys")), *visible(reservations, "no")


@functools.cache
def _find_statement(dialect: Dialect, key: str) -> sa.Select[Any]:
    found = sa.select(*_CLAIMED).where(*_live_clauses(key)).order_by(reservations.c.id)
    return _locked(dialect, found, reservations, _INDEXES[key])


@functools.cache
def _find_and_close_statement(key: str) -> sa.sql.expression.Executable:
    return soft_delete_statement(reservations).where(*_live_clauses(key)).returning(*_CLAIMED)


@require_context
@tx.main.writer
def reservation_commit(
    context: Context, reservations: Sequence[str], project_id: str | None = None, user_id: str | None = None
) -> None:
    """Let what was reserved be in use. Reservations that are unknown or have ended are ignored.

    Project and user are those of the usages; None is a value like others.
    Cost: 3 statements, 4 on the MySQL family; none without reservations; in 2 round trips.
    Lock: the project's live usages by id, then the reservations.
    Raises: KeyError(resource), with nothing changed, if a usage is not one of this user in this project.
    """
    _settle(context, reservations, project_id, user_id, used=True)


@require_context
@tx.main.writer
def reservation_rollback(
    context: Context, reservations: Sequence[str], project_id: str | None = None, user_id: str | None = None
) -> None:
    """Give back what was reserved. Reservations that are unknown or have ended are ignored.

    Project and user are those of the usages; None is a value like others.
    Cost: 3 statements, 4 on the MySQL family; none without reservations; in 2 round trips.
    Lock: the project's live usages by id, then the reservations.
    Raises: KeyError(resource), with nothing changed, if a usage is not one of this user in this project.
    """
    _settle(context, reservations, project_id, user_id, used=False)


def reservation_expire(context: Context) -> None:
    """Give back what was reserved until a time that has passed, in every project.

    Cost: 4 statements per 500 reservations, 5 on the MySQL family, each 500 in a transaction of their own; 1 if there
    is none; in 1 round trip if there is none, else 3, and 3 more for each further 500.
    Lock: the usages by id, then the reservations.
    """
    while _expire(context) == _EXPIRED_AT_ONCE:
        pass


@tx.main.writer.named("reservation_expire")
def _expire(context: Context) -> int:
    """Let some reservations expire and return how many had been found."""
    transaction = current(context)
    found = transaction.last().rows(_EXPIRED_STATEMENT, now=clock.utcnow())  # most often nothing
    if found:
        ids = sorted({row["usage_id"] for row in found})
        locked = ask_in(transaction, _by_ids_statement(transaction.dialect), "ids", ids)
        claimed = _close(transaction, "id", [row["id"] for row in found])
        live = {row["id"]: row for row in locked() if row["deleted"] == 0}
        _apply(transaction, [row for row in claimed if row["usage_id"] in live], live, used=False)
    return len(found)


def _settle(context: Context, given: Sequence[str], project_id: str | None, user_id: str | None, *, used: bool) -> None:
    """End reservations: what was reserved is in use from now on, or free again."""
    if not given:
        return
    transaction = current(context)
    shape, params = shape_of({"project_id": project_id})
    locked = transaction.later.rows(usages_statement(transaction.dialect, True, shape), **params)
    wanted = list(dict.fromkeys(given))
    claimed = _close(transaction, "uuid", wanted)
    holders = _holders(user_id)
    usages = {row["id"]: row for row in locked.get() if row["user_id"] in holders}
    for reservation in claimed:
        if reservation["usage_id"] not in usages:
            raise KeyError(reservation["resource"])
    if len(claimed) < len(wanted):
        logger.info("project %s: %d of %d reservations were over", project_id, len(wanted) - len(claimed), len(wanted))
    _apply(transaction, claimed, usages, used=used)


def _close(transaction: Transaction, key: str, keys: Sequence[Any]) -> list[Row]:
    """Soft-delete the live reservations with these keys, and return what the usages need to know of them."""
    if transaction.dialect.update_returning:
        return [
            row
            for some in chunks(keys)
            for row in transaction.rows(_find_and_close_statement(key), keys=some, **deleted_now())
        ]
    claimed = rows_in(transaction, _find_statement(transaction.dialect, key), "keys", keys)
    for some in chunks([row["id"] for row in claimed]):
        transaction.later.execute(_CLOSE_STATEMENT, keys=some, **deleted_now())
    return claimed


def _apply(transaction: Transaction, claimed: Sequence[Row], usages: Mapping[int, Row], *, used: bool) -> None:
    """Take claimed reservations off their usages, which are locked, and write those that change."""
    before = with_numbers(usages.values())
    for reservation in claimed:
        usage, delta = usages[reservation["usage_id"]], reservation["delta"]
        if delta >= 0:
            usage["reserved"] -= delta
        if used:
            usage["in_use"] += delta
    save_changed(transaction, before)
