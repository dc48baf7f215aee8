# SPDX-License-Identifier: Apache-2.0

"""Recounting: what usages say is in use is held against what there is, and corrected.

Every usage counts what its user has in its project. A resource of ``PER_PROJECT_QUOTAS`` belongs to the project: a
usage that an older release has made for a user counts nothing. A usage of no user counts what no other usage of the
project does. So the usages of a project come to what the project has.

Resources that ``quota_reserve`` learnt to count by a function of its caller are left alone.
"""

from __future__ import annotations

import collections
import functools
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypedDict

import sqlalchemy as sa

from nova_sqlcore import clock, tx
from nova_sqlcore.context import require_admin_context
from nova_sqlcore.core.equality import exactly
from nova_sqlcore.queries.common.clauses import arg, visible
from nova_sqlcore.queries.common.lookups import Shape, equal, shape_of
from nova_sqlcore.queries.common.only_one import hold_project
from nova_sqlcore.queries.quota.reservations import save_changed, usages_statement, with_numbers
from nova_sqlcore.queries.quota.usages import PER_PROJECT_QUOTAS
from nova_sqlcore.tables import fixed_ips, floating_ips, instance_groups, instances, quota_usages, security_groups
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from nova_sqlcore.context import Context
    from nova_sqlcore.core.handles import Row
    from nova_sqlcore.tx import Transaction

#: A usage that is wrong. ``was`` is the sum of all usages with the same key, None if there is none at all.
QuotaDrift = TypedDict(
    "QuotaDrift", {"project_id": str | None, "user_id": str | None, "resource": str, "was": int | None, "is": int}
)


class _Key(NamedTuple):
    """What tells one usage from another."""

    project_id: str | None
    user_id: str | None
    resource: str


class _Kind(NamedTuple):
    """Rows that resources are counted by."""

    rows: sa.FromClause
    #: says whose they are
    owner: sa.Table
    clauses: tuple[sa.ColumnElement[bool], ...]
    #: the resources
    sums: Mapping[str, sa.ColumnElement[Any]]


def _live_kind(table: sa.Table, resource: str, *clauses: sa.ColumnElement[bool]) -> _Kind:
    return _Kind(table, table, (*clauses, *visible(table, "no")), {resource: sa.func.count()})


_KINDS: Final = (
    _Kind(
        instances,
        instances,
        visible(instances, "no"),
        {
            "instances": sa.func.count(),
            "cores": sa.func.coalesce(sa.func.sum(instances.c.vcpus), 0),
            "ram": sa.func.coalesce(sa.func.sum(instances.c.memory_mb), 0),
        },
    ),
    _live_kind(floating_ips, "floating_ips", floating_ips.c.auto_assigned == sa.false()),
    _Kind(
        fixed_ips.join(instances, fixed_ips.c.instance_uuid == instances.c.uuid),
        instances,
        visible(fixed_ips, "no"),
        {"fixed_ips": sa.func.count()},
    ),
    _live_kind(security_groups, "security_groups"),
    _live_kind(instance_groups, "server_groups"),
)
_COUNTED: Final = frozenset(resource for kind in _KINDS for resource in kind.sums)


@functools.cache
def _count_statement(place: int, shape: Shape) -> sa.Select[Any]:
    """Return the statement that counts by project, and by user unless the resources belong to projects."""
    kind = _KINDS[place]
    keys = [kind.owner.c.project_id]
    if not kind.sums.keys() <= {*PER_PROJECT_QUOTAS}:
        keys.append(kind.owner.c.user_id)
    sums = (total.label(resource) for resource, total in kind.sums.items())
    found = sa.select(*keys, *sums).select_from(kind.rows).where(*equal(kind.owner, shape), *kind.clauses)
    return found.group_by(*(part for key in keys for part in exactly(key)))


def _counts(transaction: Transaction, key: Row) -> dict[_Key, int]:
    """Return what there is of each resource.

    Cost: 5 statements.
    """
    shape, params = shape_of(key)
    return {
        _Key(row["project_id"], row.get("user_id"), resource): int(row[resource])
        for place, kind in enumerate(_KINDS)
        for row in transaction.rows(_count_statement(place, shape), **params)
        for resource in kind.sums
    }


def _usages(transaction: Transaction, key: Row, *, locked: bool) -> dict[_Key, list[Row]]:
    """Return the live usages of counted resources; those of one key by id."""
    shape, params = shape_of(key)
    found: dict[_Key, list[Row]] = {}
    for row in transaction.rows(usages_statement(transaction.dialect, locked, shape), **params):
        if row["resource"] in _COUNTED:
            found.setdefault(_Key(row["project_id"], row["user_id"], row["resource"]), []).append(row)
    return found


def _wrong(usages: Mapping[_Key, Sequence[Row]], counts: Mapping[_Key, int], user_id: str | None) -> dict[_Key, int]:
    """Return what there is of each resource of which the usages say otherwise, or of just this user's, in order."""
    due = _due(usages, counts)
    found = {key: count for key, count in due.items() if count != sum(row["in_use"] for row in usages.get(key, ()))}
    own = (key for key in found if user_id is None or key.user_id == str(user_id))
    return {key: found[key] for key in sorted(own, key=lambda key: [(part is not None, part or "") for part in key])}


def _due(usages: Mapping[_Key, Sequence[Row]], counts: Mapping[_Key, int]) -> dict[_Key, int]:
    """Return what each usage should say, of those too that are missing."""
    due: collections.Counter[_Key] = collections.Counter(dict.fromkeys(usages, 0))
    for key, count in counts.items():
        of_nobody = key._replace(user_id=None)
        due[of_nobody if key not in usages and of_nobody in usages else key] += count
    return {key: count for key, count in due.items() if key in usages or _can_be_made(key)}


def _can_be_made(key: _Key) -> bool:
    """Tell whether the usage is one that ``quota_reserve`` makes."""
    return key.project_id is not None and (key.user_id is not None or key.resource in PER_PROJECT_QUOTAS)


def _told(wrong: Mapping[_Key, int], usages: Mapping[_Key, Sequence[Row]]) -> list[QuotaDrift]:
    return [
        {
            "project_id": key.project_id,
            "user_id": key.user_id,
            "resource": key.resource,
            "was": sum(row["in_use"] for row in usages[key]) if key in usages else None,
            "is": count,
        }
        for key, count in wrong.items()
    ]


def _scope(project_id: str | None, user_id: str | None) -> dict[str, Any]:
    if project_id is None and user_id is not None:
        raise ValueError("a user is looked for in a project: give project_id too")
    return {} if project_id is None else {"project_id": project_id}


@functools.cache
def _several_statement() -> sa.Select[Any]:
    keys = [quota_usages.c[name] for name in _Key._fields]
    found = sa.select(*keys, sa.func.count().label("usages")).where(*visible(quota_usages, "no"))
    groups = found.group_by(*(part for key in keys for part in exactly(key)))
    return groups.having(sa.func.count() > sa.literal_column("1")).limit(arg("limit"))


@tx.main.reader
def quota_usage_duplicates(context: Context, limit: int = 1000) -> list[Row]:
    """Return project, user and resource that have several live usages, with their number as ``usages``.

    Cost: 1 statement.
    Raises: AdminRequired().
    """
    require_admin_context(context)
    return current(context).rows(_several_statement(), limit=limit)


@tx.main.reader
def quota_usage_drift(context: Context, project_id: str | None = None, user_id: str | None = None) -> list[QuotaDrift]:
    """Return the usages that do not say what there is, by project, user and resource; nothing is changed.

    They are those of one user in a project, of a project, or all. Of what is created or deleted meanwhile some may be
    counted here and not there.
    Cost: 6 statements.
    Raises: AdminRequired(). ValueError for a user without a project.
    """
    require_admin_context(context)
    transaction, key = current(context), _scope(project_id, user_id)
    usages = _usages(transaction, key, locked=False)
    return _told(_wrong(usages, _counts(transaction, key), user_id), usages)


def quota_usage_refresh(
    context: Context,
    project_id: str | None = None,
    user_id: str | None = None,
    *,
    progress: Callable[[str | None], object] | None = None,
) -> list[QuotaDrift]:
    """Let usages say what there is, and return those that did not, by project, user and resource.

    ``progress`` is told each project before its usages are corrected.

    They are those of one user in a project, of a project, or all. Of several usages with the same key the newest gets
    the count, the others 0. A usage that is missing is made if there is something to count. What is reserved stays.
    Cost: 6 statements to find them; 6 more for each project with wrong usages, 1 per 50 changes, 1 to make some, and
    for the name 1 on PostgreSQL and 2 on the MySQL family. Each project is a transaction of its own.
    Lock: the name of a project's usages, then its live usages by id.
    Raises: AdminRequired(). ValueError for a user without a project.
    """
    found = quota_usage_drift(context, project_id, user_id)
    corrected = []
    for project in dict.fromkeys(drift["project_id"] for drift in found):
        if progress is not None:
            progress(project)
        corrected += _refresh_project(context, project, user_id)
    return corrected


@tx.main.writer.named("quota_usage_refresh")
def _refresh_project(context: Context, project_id: str | None, user_id: str | None) -> list[QuotaDrift]:
    """Correct the usages of one project, under lock."""
    transaction, key = current(context), {"project_id": project_id}
    hold_project(transaction, project_id)
    usages = _usages(transaction, key, locked=True)
    wrong = _wrong(usages, _counts(transaction, key), user_id)
    told = _told(wrong, usages)
    before = with_numbers(row for one in wrong for row in usages.get(one, ()))
    for one in wrong.keys() & usages.keys():
        *older, newest = usages[one]
        newest["in_use"] = wrong[one]
        for row in older:
            row["in_use"] = 0
    save_changed(transaction, before)
    transaction.insert_many(quota_usages, [_new(one, count) for one, count in wrong.items() if one not in usages])
    return told


def _new(key: _Key, count: int) -> Row:
    return {**key._asdict(), "in_use": count, "reserved": 0, "until_refresh": None, "updated_at": clock.utcnow()}
