# SPDX-License-Identifier: Apache-2.0

"""Server groups.  Tables ``instance_groups``, ``instance_group_policy``, ``instance_group_member``.

The row of a group has its live ``policies`` and ``members`` beside its columns; a soft-deleted group shows neither.

A user who reads or deletes groups gets those of their project only. Whoever changes a group or its members gets at any
group by its uuid: there it is the caller who must check.
"""

from __future__ import annotations

import functools
import uuid
from typing import TYPE_CHECKING, Any, Final, cast

import sqlalchemy as sa

from nova_sqlcore import clock, exceptions, tx
from nova_sqlcore.core.arguments import list_in
from nova_sqlcore.core.values import stored
from nova_sqlcore.queries.common import children
from nova_sqlcore.queries.common.children import Relation
from nova_sqlcore.queries.common.clauses import (
    arg,
    arg_list,
    assigned,
    changes,
    chunks,
    columns,
    deleted_now,
    own_project,
    soft_delete_statement,
    visible,
)
from nova_sqlcore.queries.common.lookups import Shape, equal, row_by, shape_of, soft_delete_later_by
from nova_sqlcore.queries.common.only_one import hold_in_cluster
from nova_sqlcore.tables import instance_group_member, instance_group_policy, instance_groups as t
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context
    from nova_sqlcore.core.dialects import Dialect
    from nova_sqlcore.core.handles import Row
    from nova_sqlcore.core.transaction import Transaction


def _live_children(child: sa.Table, name: str, *of: sa.ColumnElement[bool]) -> Relation:
    """Return the live children of the groups for which the clauses hold."""
    link = (child.c.group_id == t.c.id, *of)
    return Relation({"id": child.c.id, name: child.c[name]}, child, child.c.group_id, link, visible(child, "no"))


#: What a group has: the key of its row, the table and the column.
_CHILDREN: Final[Mapping[str, tuple[sa.Table, str]]] = {
    "policies": (instance_group_policy, "policy"),
    "members": (instance_group_member, "instance_id"),
}
#: What live groups show, and what any group holds.
_SHOWN: Final = {kind: _live_children(table, name, t.c.deleted == 0) for kind, (table, name) in _CHILDREN.items()}
_HELD: Final = {kind: _live_children(table, name) for kind, (table, name) in _CHILDREN.items()}


# -- reading ----------------------------------------------------------------------------------------------------------


def _scope(context: Context) -> tuple[bool, Row]:
    """Return whether the context gets the groups of one project only, and the parameter for that."""
    project = own_project(context)
    return project is not None, {} if project is None else {"by_project": project}


def _project_clauses(owned: bool) -> tuple[sa.ColumnElement[bool], ...]:
    return (t.c.project_id == arg("by_project"),) if owned else ()


def _fields(dialect: Dialect) -> list[sa.ColumnElement[Any]]:
    """Return the columns of a group and its children, embedded: in one statement, so of one moment."""
    packed = (children.embedded(relation, t, dialect).label(kind) for kind, relation in _SHOWN.items())
    return [*columns(t), *packed]


@functools.cache
def _all_statement(read_deleted: str, owned: bool, dialect: Dialect) -> sa.Select[Any]:
    return sa.select(*_fields(dialect)).where(*_project_clauses(owned), *visible(t, read_deleted)).order_by(t.c.id)


@functools.cache
def _one_statement(read_deleted: str, owned: bool, dialect: Dialect) -> sa.Select[Any]:
    return _all_statement(read_deleted, owned, dialect).where(t.c.uuid == arg("uuid"))


@functools.cache
def _of_project_statement(project: Shape, read_deleted: str, owned: bool, dialect: Dialect) -> sa.Select[Any]:
    return _all_statement(read_deleted, owned, dialect).where(*equal(t, project))


@functools.cache
def _by_member_statement(read_deleted: str, owned: bool, dialect: Dialect) -> sa.Select[Any]:
    """Select the id of the group that the first row of a member names, and that group if it is visible."""
    members = instance_group_member
    is_member = (members.c.instance_id == arg("instance_id"), *visible(members, read_deleted))
    first = sa.select(members.c.group_id).where(*is_member).order_by(members.c.id).limit(1).subquery()
    is_group = sa.and_(t.c.id == first.c.group_id, *_project_clauses(owned), *visible(t, read_deleted))
    return sa.select(first.c.group_id, *_fields(dialect)).select_from(first.outerjoin(t, is_group))


def _shown(transaction: Transaction, row: Row) -> rows.InstanceGroupWithChildren:
    """Return a row with embedded children as callers see it."""
    for kind, relation in _SHOWN.items():
        found = children.take(transaction, relation, row, kind, row["id"])
        row[kind] = [child[_CHILDREN[kind][1]] for child in found]
    return cast("rows.InstanceGroupWithChildren", row)


@tx.main.reader
def instance_group_get(context: Context, group_uuid: str) -> rows.InstanceGroupWithChildren:
    """Return the group with this uuid, if the context may see it; a user only one of their project.

    Cost: 1 statement in 1 round trip.
    Raises: InstanceGroupNotFound(group_uuid).
    """
    transaction = current(context)
    owned, project = _scope(context)
    statement = _one_statement(context.read_deleted, owned, transaction.dialect)
    row = transaction.row(statement, uuid=group_uuid, **project)
    if row is None:
        raise exceptions.InstanceGroupNotFound(group_uuid=group_uuid)
    return _shown(transaction, row)


@tx.main.reader
def instance_group_get_all(context: Context) -> list[rows.InstanceGroupWithChildren]:
    """Return the groups that the context may see, by id; for a user those of their project.

    Cost: 1 statement in 1 round trip.
    """
    transaction = current(context)
    owned, project = _scope(context)
    found = transaction.rows(_all_statement(context.read_deleted, owned, transaction.dialect), **project)
    return [_shown(transaction, row) for row in found]


@tx.main.reader
def instance_group_get_all_by_project_id(
    context: Context, project_id: str | None
) -> list[rows.InstanceGroupWithChildren]:
    """Return the groups of the project that the context may see, by id; none for a user of another project.

    None: the groups of no project.
    Cost: 1 statement in 1 round trip.
    """
    transaction = current(context)
    owned, project = _scope(context)
    shape, params = shape_of({"project_id": project_id})
    statement = _of_project_statement(shape, context.read_deleted, owned, transaction.dialect)
    return [_shown(transaction, row) for row in transaction.rows(statement, **params, **project)]


@tx.main.reader
def instance_group_get_by_instance(context: Context, instance_uuid: str) -> rows.InstanceGroupWithChildren:
    """Return the group of the first row that makes the instance a member, if the context may see both.

    Whatever other groups the instance belongs to, only that one counts.
    Cost: 1 statement in 1 round trip.
    Raises: InstanceGroupNotFound(group_uuid): the empty text for an instance that is not a member, else the group's id.
    """
    transaction = current(context)
    owned, project = _scope(context)
    statement = _by_member_statement(context.read_deleted, owned, transaction.dialect)
    row = transaction.row(statement, instance_id=instance_uuid, **project)
    if row is None:
        raise exceptions.InstanceGroupNotFound(group_uuid="")
    group_id = row.pop("group_id")
    if row["id"] is None:
        raise exceptions.InstanceGroupNotFound(group_uuid=group_id)
    return _shown(transaction, row)


# -- creating, changing and deleting groups ---------------------------------------------------------------------------


@tx.main.writer
def instance_group_create(
    context: Context,
    values: Mapping[str, Any],
    policies: Sequence[str] | None = None,
    members: Sequence[str] | None = None,
) -> rows.InstanceGroupWithChildren:
    """Store a new group with its policies and members and return it; without ``uuid`` it gets a random one.

    Cost: 1 statement, and 1 each for policies and members; in 1 round trip, 2 with policies or members.
    Raises: InstanceGroupIdExists(group_uuid) if a live group has the uuid; InstanceGroupNotFound(group_uuid) if a user
    names another project than the user's.
    """
    transaction = current(context)
    given = dict(values)
    if given.get("uuid") is None:
        given["uuid"] = str(uuid.uuid4())
    owned, project = _scope(context)
    if owned and given.get("project_id") != project["by_project"]:
        _refuse_foreign(transaction, given["uuid"])
    if not (policies or members):
        transaction.last()
    row = transaction.insert_absent(t, given)
    if row is None:
        raise exceptions.InstanceGroupIdExists(group_uuid=given["uuid"])
    stored_policies = _add(transaction, row["id"], "policies", policies or ())
    stored_members = _add(transaction, row["id"], "members", members or ())
    transaction.last()
    return {**row, "policies": stored_policies(), "members": stored_members()}


def _refuse_foreign(transaction: Transaction, group_uuid: Any) -> None:
    """Refuse a group that its creator could not see, with the error that a read would raise.

    Raises: InstanceGroupIdExists(group_uuid); InstanceGroupNotFound(group_uuid).
    """
    if row_by(transaction, t, "no", uuid=group_uuid) is not None:
        raise exceptions.InstanceGroupIdExists(group_uuid=group_uuid)
    raise exceptions.InstanceGroupNotFound(group_uuid=group_uuid)


@functools.lru_cache(maxsize=64)
def _update_statement(read_deleted: str, names: tuple[str, ...]) -> sa.Update:
    """Set the named columns, and ``updated_at`` if one of them changes; MySQL assigns from left to right."""
    values = assigned(t, names)
    differs = sa.or_(sa.false(), *(t.c[name].is_distinct_from(value) for name, value in values.items()))
    touched = {t.c.updated_at: sa.case((differs, arg("now", type_=t.c.updated_at.type)), else_=t.c.updated_at)}
    assignments = ({} if "updated_at" in values else touched) | {t.c[name]: value for name, value in values.items()}
    where = (t.c.uuid == arg("by_uuid"), *visible(t, read_deleted))
    return sa.update(t).where(*where).ordered_values(*assignments.items())


@tx.main.writer
def instance_group_update(context: Context, group_uuid: str, values: Mapping[str, Any]) -> None:
    """Write the given columns; ``policies`` and ``members`` in ``values`` become all that the group has.

    A group of any project. What is so already stays untouched, the time of the last update too.
    Cost: 1 statement; with lists 1 more, 2 on PostgreSQL, and for each list up to 2; in 2 round trips, 1 without lists.
    Lock: the group.
    Raises: InstanceGroupNotFound(group_uuid); DBDuplicateEntry if another live group has the new uuid.
    """
    transaction = current(context)
    lists = {kind: list_in(values, kind) for kind in _CHILDREN if values.get(kind) is not None}
    if lists:
        number, found = _lock_children(context, group_uuid, tuple(lists))
        for kind, wanted in lists.items():
            _replace(transaction, number, kind, found[kind], wanted)
    given = changes(t, values, transaction, ignore=tuple(_CHILDREN))
    if lists and not given:
        return
    statement = _update_statement(context.read_deleted, tuple(given))
    moment = {} if "updated_at" in given else {"now": clock.utcnow()}
    if not transaction.last().execute(statement, by_uuid=group_uuid, **given, **moment):
        raise exceptions.InstanceGroupNotFound(group_uuid=group_uuid)


@functools.cache
def _soft_delete_statement(read_deleted: str, owned: bool) -> sa.Update:
    return soft_delete_statement(t).where(
        t.c.uuid == arg("by_uuid"), *_project_clauses(owned), *visible(t, read_deleted)
    )


#: The id of the group that was deleted last under a uuid.
_LAST_DELETED_STATEMENT = (
    sa.select(t.c.id).where(t.c.uuid == arg("by_uuid"), t.c.deleted != 0).order_by(t.c.id.desc()).limit(1)
)


@tx.main.writer
def instance_group_delete(context: Context, group_uuid: str) -> None:
    """Soft-delete the group with its policies and members; a user only a group of their project.

    Cost: 3 statements; 4 on the MySQL family; in 2 round trips.
    Lock: the group, then what it has.
    Raises: InstanceGroupNotFound(group_uuid).
    """
    transaction = current(context)
    owned, project = _scope(context)
    key = {"by_uuid": group_uuid}
    statement = _soft_delete_statement(context.read_deleted, owned)
    row = transaction.update_row(statement, _LAST_DELETED_STATEMENT, key, deleted_now() | project, key_after=key)
    if row is None:
        raise exceptions.InstanceGroupNotFound(group_uuid=group_uuid)
    for table, _ in _CHILDREN.values():
        soft_delete_later_by(transaction, table, context.read_deleted, group_id=row["id"])


# -- policies and members ---------------------------------------------------------------------------------------------


@functools.cache
def _lock_statement(read_deleted: str, kinds: tuple[str, ...], dialect: Dialect) -> sa.Select[Any]:
    """Lock the group of a uuid and read what it has of these kinds; who changes what a group has does so first."""
    packed = (children.embedded(_HELD[kind], t, dialect).label(kind) for kind in kinds)
    group = sa.select(t.c.id, *packed).where(t.c.uuid == arg("uuid"), *visible(t, read_deleted))
    return dialect.lock_row(group.order_by(t.c.id).limit(1))


def _lock_children(context: Context, group_uuid: Any, kinds: tuple[str, ...]) -> tuple[int, dict[str, list[Row]]]:
    """Lock the group, of whatever project, and return its id and what it has of these kinds.

    Cost: 1 statement; 1 more for what it has on PostgreSQL, where the first would show it as before it waited; 2 more
    on Galera, whose other nodes see no row lock. They travel together.
    Raises: InstanceGroupNotFound(group_uuid).
    """
    transaction = current(context)
    dialect = transaction.dialect
    hold_in_cluster(transaction, t.name, group_uuid)
    if kinds and dialect.locks_rows and not dialect.locking_reads_are_fresh:
        transaction.later.rows(_lock_statement(context.read_deleted, (), dialect), uuid=group_uuid)
    row = transaction.row(_lock_statement(context.read_deleted, kinds, dialect), uuid=group_uuid)
    if row is None:
        raise exceptions.InstanceGroupNotFound(group_uuid=group_uuid)
    number = row["id"]
    return number, {kind: children.take(transaction, _HELD[kind], row, kind, number) for kind in kinds}


@functools.cache
def _drop_statement(kind: str) -> sa.Update:
    table, _ = _CHILDREN[kind]
    return soft_delete_statement(table).where(table.c.id.in_(arg_list("ids")), *visible(table, "no"))


def _add(transaction: Transaction, group_id: int, kind: str, wanted: Iterable[str]) -> Callable[[], list[str]]:
    """Store policies or members of a group, with the next statement, and return what gives them in stored form."""
    table, name = _CHILDREN[kind]
    added = transaction.later.insert_many(table, [{"group_id": group_id, name: value} for value in wanted])
    return lambda: [row[name] for row in added.get()]


def _replace(
    transaction: Transaction,
    group_id: int,
    kind: str,
    found: Sequence[Row],
    wanted: Collection[str],
    *,
    drop_others: bool = True,
) -> None:
    """Add the policies or members that a locked group lacks, and drop those that are not wanted.

    ``found`` is what the group has.
    Cost: 1 statement each for what is dropped and what is added.
    """
    table, name = _CHILDREN[kind]
    values = [stored(table, {name: value}, transaction.dialect)[name] for value in wanted]
    kept = set(values)
    others = [row["id"] for row in found if row[name] not in kept] if drop_others else []
    for ids in chunks(others):
        transaction.later.execute(_drop_statement(kind), ids=ids, **deleted_now())
    known = {row[name] for row in found}
    _add(transaction, group_id, kind, [value for value in values if value not in known])


@functools.cache
def _drop_member_statement(read_deleted: str) -> sa.Update:
    members = instance_group_member
    groups = sa.select(t.c.id).where(t.c.uuid == arg("by_uuid"), *visible(t, read_deleted))
    is_member = (members.c.instance_id == arg("by_instance"), *visible(members, "no"))
    return soft_delete_statement(members).where(members.c.group_id.in_(groups), *is_member)


@tx.main.writer
def instance_group_member_delete(context: Context, group_uuid: str, instance_id: str) -> None:
    """Take the instance out of the group, of whatever project.

    Cost: 1 statement; 2 if it fails; in 1 round trip.
    Raises: InstanceGroupNotFound(group_uuid); InstanceGroupMemberNotFound(group_uuid, instance_id).
    """
    transaction = current(context)
    statement = _drop_member_statement(context.read_deleted)
    if transaction.last().execute(statement, by_uuid=group_uuid, by_instance=instance_id, **deleted_now()):
        return
    if row_by(transaction.last(), t, context.read_deleted, uuid=group_uuid) is None:
        raise exceptions.InstanceGroupNotFound(group_uuid=group_uuid)
    raise exceptions.InstanceGroupMemberNotFound(group_uuid=group_uuid, instance_id=instance_id)


@tx.main.writer
def instance_group_members_add(
    context: Context, group_uuid: str, members: Collection[str], set_delete: bool = False
) -> Collection[str]:
    """Add those instances that are not members yet to the group, of whatever project, and return ``members``.

    With ``set_delete`` no other member stays.
    Cost: 2 statements, 3 on PostgreSQL; 1 more with ``set_delete``; only the first of them without any ``members``; in
    2 round trips.
    Lock: the group.
    Raises: InstanceGroupNotFound(group_uuid).
    """
    is_work = bool(members) or set_delete
    number, found = _lock_children(context, group_uuid, ("members",) if is_work else ())
    if is_work:
        _replace(current(context), number, "members", found["members"], members, drop_others=set_delete)
    return members


@functools.cache
def _members_statement(read_deleted: str) -> sa.Select[Any]:
    """Select the members of the first group of a uuid; a row without id says that it has none."""
    members = instance_group_member
    group = sa.select(t.c.id).where(t.c.uuid == arg("uuid"), *visible(t, read_deleted)).order_by(t.c.id).limit(1)
    first = group.subquery()
    is_member = sa.and_(members.c.group_id == first.c.id, *visible(members, read_deleted))
    return (
        sa.select(members.c.id, members.c.instance_id)
        .select_from(first.outerjoin(members, is_member))
        .order_by(members.c.id)
    )


@tx.main.reader
def instance_group_members_get(context: Context, group_uuid: str) -> list[str]:
    """Return the members of the group, of whatever project, in the order in which they were added.

    Cost: 1 statement in 1 round trip.
    Raises: InstanceGroupNotFound(group_uuid).
    """
    found = current(context).rows(_members_statement(context.read_deleted), uuid=group_uuid)
    if not found:
        raise exceptions.InstanceGroupNotFound(group_uuid=group_uuid)
    return [row["instance_id"] for row in found if row["id"] is not None]
