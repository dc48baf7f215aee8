# SPDX-License-Identifier: Apache-2.0

"""Instances, written: creating, compare-and-swap updates, membership in security groups, destroying.

Tables ``instances``, ``instance_id_mappings`` and the children that are made or go with an instance. Whoever changes an
instance together with its children takes the instance's row first, then the children's.
"""

from __future__ import annotations

import collections
import functools
import logging
import uuid
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import sqlalchemy as sa

from nova_sqlcore import exceptions, tx
from nova_sqlcore.context import require_context
from nova_sqlcore.core import values as stored_values
from nova_sqlcore.core.arguments import list_in, mapping_in
from nova_sqlcore.core.scopes import apart_until_begun
from nova_sqlcore.core.texts import quoted
from nova_sqlcore.core.values import refuse_unknown
from nova_sqlcore.queries.common import constraints
from nova_sqlcore.queries.common.arguments import also_named
from nova_sqlcore.queries.common.clauses import (
    CHUNK,
    arg,
    arg_list,
    assigned,
    chunks,
    deleted_now,
    own_project,
    select_statement,
    soft_delete_statement,
    visible,
    warn_if_hidden,
)
from nova_sqlcore.queries.common.conversions import convert_objects_related_datetimes
from nova_sqlcore.queries.common.ids import as_id, is_uuid_like
from nova_sqlcore.queries.common.lookups import (
    Shape,
    bulk_changes,
    equal,
    rows_locked,
    shape_of,
    soft_delete_by,
)
from nova_sqlcore.queries.common.only_one import hold, insert_only
from nova_sqlcore.queries.compute import default_group, metadata as instance_metadata, rows as instance_rows
from nova_sqlcore.settings import settings
from nova_sqlcore.tables import (
    instance_extra,
    instance_faults,
    instance_group_member,
    instance_id_mappings,
    instance_info_caches,
    instance_metadata as user_metadata,
    instance_system_metadata,
    instances as t,
    security_group_instance_association as memberships,
    tags,
)
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context
    from nova_sqlcore.core.batches import Pending
    from nova_sqlcore.core.dialects import Dialect
    from nova_sqlcore.core.handles import Row
    from nova_sqlcore.queries.compute.metadata import Pair
    from nova_sqlcore.tx import Transaction

    #: rows of metadata by kind
    _Known = Mapping[str, Sequence[Pair]]

logger = logging.getLogger(__name__)

_METADATA: Final = {"metadata": user_metadata, "system_metadata": instance_system_metadata}
_TIMES: Final = ("created_at", "deleted_at", "updated_at", "launched_at", "terminated_at")
#: What is soft-deleted with an instance, in this order: the columns that name it.
_CHILD_KEYS: Final = (
    memberships.c.instance_uuid,
    instance_info_caches.c.instance_uuid,
    user_metadata.c.instance_uuid,
    instance_faults.c.instance_uuid,
    instance_extra.c.instance_uuid,
    instance_system_metadata.c.instance_uuid,
    instance_group_member.c.instance_id,
    instance_id_mappings.c.uuid,
)
#: For how many host names there is a statement; one for each number would fill the memory.
_NAMES: Final = (1, 10, 100, CHUNK)

_BY_UUID_STATEMENT: sa.Select[Any] = select_statement(t).where(t.c.uuid == arg("by_uuid"))
_DELETE_TAGS_STATEMENT = sa.delete(tags).where(tags.c.resource_id == arg("by_uuid"))


class _Seen(NamedTuple):
    """Which instances a caller can change: the visible ones, of any project or just of ``by_project``."""

    read_deleted: str
    owned: bool


def _named_clauses(seen: _Seen) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the clauses for the instance ``by_uuid``, if the caller can change it."""
    project = (t.c.project_id == arg("by_project"),) if seen.owned else ()
    return (t.c.uuid == arg("by_uuid"), *project, *visible(t, seen.read_deleted))


@functools.lru_cache(maxsize=512)
def _update_statement(seen: _Seen, names: tuple[str, ...], expected: constraints.Terms) -> sa.Update:
    return sa.update(t).where(*_named_clauses(seen), *constraints.where_clauses(t, expected)).values(assigned(t, names))


@functools.lru_cache(maxsize=512)
def _update_by_id_statement(names: tuple[str, ...]) -> sa.Update:
    return sa.update(t).where(t.c.id == arg("by_id")).values(assigned(t, names))


@functools.lru_cache(maxsize=512)
def _update_by_ids_statement(names: tuple[str, ...]) -> sa.Update:
    return sa.update(t).where(t.c.id.in_(arg_list("ids"))).values(assigned(t, names))


@functools.lru_cache(maxsize=128)
def _read_statement(seen: _Seen, names: tuple[str, ...]) -> sa.Select[Any]:
    return sa.select(*(t.c[name] for name in names)).where(*_named_clauses(seen))


@functools.lru_cache(maxsize=128)
def _destroy_statement(seen: _Seen, expected: constraints.Terms) -> sa.Update:
    return soft_delete_statement(t).where(*_named_clauses(seen), *constraints.where_clauses(t, expected))


@functools.cache
def _destroy_children_statements(read_deleted: str, dialect: Dialect) -> tuple[sa.Update | sa.Delete, ...]:
    """Return the soft deletes; where one statement can hold them all, it erases the tags too."""
    updates = {
        key.table.name: soft_delete_statement(key.table).where(key == arg("by_uuid"), *visible(key.table, read_deleted))
        for key in _CHILD_KEYS
    }
    if not dialect.update_in_with:
        return tuple(updates.values())
    return (_DELETE_TAGS_STATEMENT.add_cte(*(update.cte(f"gone_{name}") for name, update in updates.items())),)


@functools.lru_cache(maxsize=16)
def _first_taken_statement(scope: Shape, count: int) -> sa.Select[Any]:
    """Return the SELECT of the place among ``count`` host names of the first that a live instance has.

    The server brings both sides to lower case: what one letter is in that is not for us to say.
    """
    stored = sa.func.lower(t.c.hostname)
    sought = [sa.func.lower(sa.bindparam(f"name_{place}", type_=t.c.hostname.type)) for place in range(count)]
    place = sa.case(
        {name: sa.literal_column(str(place), sa.Integer) for place, name in enumerate(sought)}, value=stored
    )
    return sa.select(sa.func.min(place)).where(stored.in_(sought), *equal(t, scope), *visible(t, "no"))


# -- creating ---------------------------------------------------------------------------------------------------------


@require_context
@tx.writer
def instance_create(context: Context, values: Mapping[str, Any]) -> rows.InstanceWithChildren:
    """Store a new instance with its children and return it with them: metadata, info cache, extra, security groups.

    ``values`` may hold the mappings ``metadata``, ``system_metadata``, ``info_cache`` and ``extra``, and the names of
    the project's ``security_groups`` that it shall belong to. A missing uuid is made up. Project and user are not taken
    from the context; a user who names another project than the context's, or none, is warned of an instance that is
    hidden from all its users. The project's default group is made if it is missing.

    Cost: 5 statements; 1 more for each kind of metadata and for groups; for a host name that must be unique 1 more, 2
    on PostgreSQL, 3 on the MySQL family; to make the default group 4 more, 5 on PostgreSQL, 6 on the MySQL family; in 2
    round trips, 3 for a host name that must be unique, 5 to make the default group.
    Lock: a host name that must be unique; to make the default group the name of the project's usages.
    Raises: InstanceExists(name) for a host name that is taken; SecurityGroupNotFoundForProject(project_id,
    security_group_id); DBDuplicateEntry if the uuid is taken; DBError for a ``name``; ValueError for a bad time.
    """
    new = _new(context, values)
    members = _groups(context, new.groups)
    _prepare(context, new.given)
    return cast("rows.InstanceWithChildren", _insert(current(context), new, members))


class _New(NamedTuple):
    """What a caller wants of a new instance."""

    given: Row
    #: what it holds by kind: both of metadata, info cache, extra
    children: dict[str, Mapping[str, Any]]
    #: names of its groups
    groups: list[str]

    @property
    def whose(self) -> dict[str, str]:
        """What its children name it by."""
        return {"instance_uuid": self.given["uuid"]}


def _new(context: Context, values: Mapping[str, Any]) -> _New:
    given = dict(values)
    warn_if_hidden(context, "an instance", given.get("project_id"))
    if "name" in given:
        refuse_unknown(t, ["name"])
    groups = list_in(given, "security_groups") if "security_groups" in given else []
    children: dict[str, Mapping[str, Any]] = {
        key: mapping_in(given, key) for key in (*_METADATA, "info_cache", "extra")
    }
    for key in ("security_groups", *children):
        given.pop(key, None)
    given["uuid"] = str(given.get("uuid") or uuid.uuid4())
    return _New(given, children, groups)


def _insert(transaction: Transaction, new: _New, members: list[rows.SecurityGroup]) -> Row:
    given, children, whose, later = new.given, new.children, new.whose, transaction.last().later
    later.insert(instance_id_mappings, {"uuid": given["uuid"]})
    instance = later.insert(t, given)
    parts: dict[str, Pending[Any]] = {
        "info_cache": later.insert(instance_info_caches, {**children["info_cache"], **whose}),
        "extra": later.insert(instance_extra, {**children["extra"], **whose}),
    }
    for kind, table in _METADATA.items():
        parts[kind] = later.insert_many(table, instance_metadata.pairs(given["uuid"], children[kind]))
    later.insert_many(memberships, [{"security_group_id": group["id"], **whose} for group in members])
    row = instance_rows.named(instance.get())
    row |= {name: part.get() for name, part in parts.items()}
    row["security_groups"] = members
    return row


@require_context
@tx.writer
def instances_create(context: Context, values: Sequence[Mapping[str, Any]]) -> list[rows.InstanceWithChildren]:
    """Store many instances, all or none, and return them in the order given. Not in the reference.

    ``instance_create`` says what each of ``values`` may hold, and what a row holds.

    Cost: 1 statement to find the groups of all, and per 200 instances 4, or less of them where they are long; for each
    200 pairs of metadata and memberships in groups 1 more; for host names that must be unique 1 more per 500, and for
    each of them 1 on PostgreSQL and 2 on the MySQL family; to make the default group as ``instance_create``; in 2 round
    trips, and 1 more for host names that must be unique, 3 more to make the default group.
    Lock: as ``instance_create``.
    Raises: as ``instance_create``; InstanceExists(name) also for a host name that two of them have.
    """
    new = [_new(context, one) for one in values]
    if not new:
        return []
    members = _groups(context, list(dict.fromkeys(name for one in new for name in one.groups)))
    _refuse_namesakes([one.given.get("hostname") for one in new])
    for one in new:
        _handle_objects_related_type_conversions(one.given)
    _refuse_taken(context, [one.given.get("hostname") for one in new])
    return cast("list[rows.InstanceWithChildren]", _insert_all(current(context), new, members))


def _insert_all(transaction: Transaction, new: Sequence[_New], members: Sequence[rows.SecurityGroup]) -> list[Row]:
    later = transaction.last().later
    later.insert_many(instance_id_mappings, [{"uuid": one.given["uuid"]} for one in new])
    counted = [one.given for one in new if one.given.get("id") is None]
    numbered = [one.given for one in new if one.given.get("id") is not None]
    stored = [later.insert_many(t, some) for some in (counted, numbered)]  # an INSERT takes rows with ids, or without
    caches = later.insert_many(instance_info_caches, [{**one.children["info_cache"], **one.whose} for one in new])
    extras = later.insert_many(instance_extra, [{**one.children["extra"], **one.whose} for one in new])
    pairs = {
        kind: later.insert_many(
            table, [pair for one in new for pair in instance_metadata.pairs(one.given["uuid"], one.children[kind])]
        )
        for kind, table in _METADATA.items()
    }
    groups = [[group for group in members if group["name"] in one.groups] for one in new]
    links = [
        {"security_group_id": group["id"], **one.whose} for one, its in zip(new, groups, strict=True) for group in its
    ]
    later.insert_many(memberships, links)
    rows = {row["uuid"]: instance_rows.named(row) for part in stored for row in part.get()}
    for one, its, info_cache, extra in zip(new, groups, caches.get(), extras.get(), strict=True):
        children = {"info_cache": info_cache, "extra": extra, **{kind: [] for kind in _METADATA}}
        rows[one.given["uuid"]] |= {**children, "security_groups": [{**group} for group in its]}
    for kind, part in pairs.items():
        for pair in part.get():
            rows[pair["instance_uuid"]][kind].append(pair)
    return [rows[one.given["uuid"]] for one in new]


def _groups(context: Context, names: Sequence[str]) -> list[rows.SecurityGroup]:
    """Return the project's groups with these names, by id, each once; see that it has a default group in any case.

    As long as no transaction of the caller's has begun this is done apart, so that sqlite too has another transaction
    for the default group, which stays even if no instance is made. Later it is a part of the caller's transaction:
    another one might wait for what that one holds.
    """
    asker = apart_until_begun(context)
    try:
        found = _read_groups(asker, [default_group.DEFAULT, *names])
    except exceptions.SecurityGroupNotFoundForProject as error:
        if error.kwargs["security_group_id"] != default_group.DEFAULT:
            raise
        _add_default_group(asker)
        found = _read_groups(asker, names)
    wanted = {group["name"]: group for group in reversed(found) if group["name"] in names}
    return sorted(wanted.values(), key=lambda group: group["id"])


@tx.reader.named("instance_create")
def _read_groups(context: Context, names: Sequence[str]) -> list[rows.SecurityGroup]:
    return default_group._security_group_get_by_names(context, context.project_id, names)


@tx.writer.named("instance_create")
def _add_default_group(context: Context) -> None:
    """Make the project's default group in the instance's database, unless somebody else has made it meanwhile."""
    default_group.add_default(context)


def _prepare(context: Context, given: Row) -> None:
    """Convert values in place, and see that a host name is free."""
    _handle_objects_related_type_conversions(given)
    if "hostname" in given:
        _validate_unique_server_name(context, given["hostname"])


def _handle_objects_related_type_conversions(values: Row) -> None:
    """Turn addresses into text and times into naive ones, in place.

    Raises: ValueError for text that is not an ISO 8601 time.
    """
    for name in ("access_ip_v4", "access_ip_v6"):
        if values.get(name) is not None:
            values[name] = str(values[name])
    convert_objects_related_datetimes(values, *_TIMES)


def _validate_unique_server_name(context: Context, name: str | None) -> None:
    """Refuse a host name that a live instance has, in any case, if the settings say that it must be unique.

    Cost: none without such a setting; else 1 statement on sqlite, 2 on PostgreSQL, 3 on the MySQL family.
    Lock: the name, in the project or everywhere.
    Raises: InstanceExists(name), in lower case.
    """
    _refuse_taken(context, [name])


def _refuse_taken(context: Context, names: Sequence[str | None]) -> None:
    """Refuse host names as ``_validate_unique_server_name`` does; the error names the first that is taken.

    Cost: none without such a setting; else 1 statement per 500 names, and for each name 1 on PostgreSQL, 2 on the MySQL
    family; in one trip.
    Lock: the names, in their order.
    """
    where, wanted = settings.osapi_compute_unique_server_name_scope, [name for name in names if name is not None]
    if not where or not wanted:
        return
    if where not in ("project", "global"):
        logger.warning("osapi_compute_unique_server_name_scope is %r: host names are not checked", where)
        return
    scope, params = shape_of({"project_id": context.project_id} if where == "project" else {})
    transaction = current(context)
    for name in sorted(wanted, key=lambda name: str(name).casefold()):  # two callers don't wait for each other
        hold(transaction, "instances.hostname", *params.values(), name)
    asked = [(chunk, _ask_first_taken(transaction, scope, chunk, params)) for chunk in chunks(wanted)]
    for chunk, answer in asked:
        (place,) = answer.get()[0].values()
        if place is not None:
            raise exceptions.InstanceExists(name=str(chunk[place]).lower())


def _ask_first_taken(
    transaction: Transaction, scope: Shape, names: Sequence[str], params: Mapping[str, Any]
) -> Pending[list[Row]]:
    """Ask which of the names is taken; the last is asked for several times, so that there are few statements."""
    count = next(count for count in _NAMES if count >= len(names))
    named = {f"name_{place}": names[min(place, len(names) - 1)] for place in range(count)}
    return transaction.later.rows(_first_taken_statement(scope, count), **named, **params)


def _refuse_namesakes(names: Sequence[str | None]) -> None:
    """Refuse host names, of which two are one in any case, if the settings say that they must be unique.

    Raises: InstanceExists(name), in lower case.
    """
    if settings.osapi_compute_unique_server_name_scope in ("project", "global"):
        counts = collections.Counter(str(name).lower() for name in names if name is not None)
        for name, count in counts.items():
            if count > 1:
                raise exceptions.InstanceExists(name=name)


# -- updating ---------------------------------------------------------------------------------------------------------


class _Change(NamedTuple):
    """What a caller wants of an update."""

    #: columns in stored form
    given: Row
    #: which values columns may have now; nothing is written otherwise
    expected: dict[str, list[Any]]
    #: the whole new metadata, by kind
    metadata: dict[str, Mapping[str, Any]]


def _change_of(context: Context, values: Mapping[str, Any], expected: Mapping[str, Any] | None) -> _Change:
    given, wanted = dict(values), dict(expected or {})
    for name in ("task_state", "vm_state"):
        if f"expected_{name}" in given:
            wanted[name] = given.pop(f"expected_{name}")
    refuse_unknown(t, wanted)
    metadata: dict[str, Mapping[str, Any]] = {
        kind: mapping_in(given, kind) for kind in _METADATA if given.get(kind) is not None
    }
    for kind in _METADATA:
        given.pop(kind, None)
    _prepare(context, given)
    return _Change(
        bulk_changes(current(context), t, given),
        {name: _as_list(value) for name, value in wanted.items()},
        metadata,
    )


def _as_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, Iterable) and not isinstance(value, str | bytes) else [value]


@require_context
@tx.writer.retrying(exceptions.UnknownInstanceUpdateConflict)
def instance_update(
    context: Context, instance_uuid: str, values: Mapping[str, Any], expected: Mapping[str, Any] | None = None
) -> rows.InstanceWithChildren:
    """Write the given columns, and now as ``updated_at``, and return the instance as it is now.

    ``expected`` maps columns to the value, or the collection of values, that they must have now;
    ``expected_task_state`` and ``expected_vm_state`` in ``values`` say the same. ``metadata`` and ``system_metadata``
    in ``values`` replace all there is, unless they are None; the row holds the kinds that were given. User metadata
    that goes is soft-deleted, system metadata is erased.

    Cost: 1 statement, 2 on the MySQL family; 1 more for a conflict; for each kind of metadata 1, and 1 more each to
    delete, to change and to insert; for a host name that must be unique 1 more, 2 on PostgreSQL, 3 on the MySQL family;
    in 1 round trip, 2 with metadata, and 1 more for a host name that must be unique.
    Lock: the instance's row, then its metadata; to replace metadata on Galera first its name, with 2 statements.
    Raises: InvalidUUID(uuid); InstanceNotFound(instance_id); InstanceExists(name); UnexpectedTaskStateError,
    UnexpectedDeletingTaskStateError, InstanceUpdateConflict or UnknownInstanceUpdateConflict(instance_uuid, expected,
    actual); DBError for an unknown column; ValueError for a bad time.
    """
    if not is_uuid_like(instance_uuid):
        raise exceptions.InvalidUUID(uuid=instance_uuid)
    transaction = current(context)
    change = _change_of(context, values, expected)
    if change.metadata:
        instance_metadata.hold_instance(transaction, instance_uuid)
    row, known = _compare_and_swap(context, instance_uuid, change)
    return cast("rows.InstanceWithChildren", row | _replace_metadata(transaction, row, change, known))


def _compare_and_swap(context: Context, instance_uuid: str, change: _Change) -> tuple[Row, _Known]:
    """Write the columns if those that are expected are so; return the instance, and the metadata that it has so far."""
    transaction = current(context)
    seen, key = _key_of_instance(context, instance_uuid)
    row: Row | None = None
    known: _Known = {}
    if all(change.expected.values()):  # no value is among none
        wanted = {name: constraints.equal_any(*values) for name, values in change.expected.items()}
        shape, params = constraints.terms_of(wanted)
        statement = _update_statement(seen, tuple(change.given), shape)
        row, known = _write(transaction, statement, key | params, change, change.given.get("uuid", instance_uuid))
    if row is None:
        names = tuple(change.expected)
        actual = transaction.last().row(_read_statement(seen, names), **key) if names else None
        if actual is None:
            raise exceptions.InstanceNotFound(instance_id=instance_uuid)
        raise _conflict(context, instance_uuid, change, actual) or exceptions.UnknownInstanceUpdateConflict(
            instance_uuid=instance_uuid, expected={}, actual={}
        )
    return instance_rows.named(row), known


def _write(
    transaction: Transaction, statement: sa.Update, params: Row, change: _Change, uuid_after: str
) -> tuple[Row | None, _Known]:
    """Run the UPDATE and return the instance as it is now, or None, and the metadata that it has so far.

    COMMIT travels with it, unless there are metadata to write. What there is of them is read together with it, after it
    has locked the instance.
    """
    given = (statement, _BY_UUID_STATEMENT, params, change.given)
    after = {"by_uuid": uuid_after}
    if not change.metadata:
        return transaction.last().update_row(*given, key_after=after), {}
    updated = transaction.later.update_row(*given, key_after=after)
    if updated.is_known and updated.get() is None:
        return None, {}
    asked = {kind: instance_metadata.ask(transaction, _METADATA[kind], uuid_after) for kind in change.metadata}
    return updated.get(), {kind: known.get() for kind, known in asked.items()}


def _replace_metadata(transaction: Transaction, row: Row, change: _Change, known: _Known) -> dict[str, list[Pair]]:
    """Write the metadata of an instance, whose row is locked, and return its rows by kind."""
    if not change.metadata:
        return {}
    transaction.last()
    written = {
        kind: instance_metadata.replace(transaction, _METADATA[kind], row, given, known[kind])
        for kind, given in change.metadata.items()
    }
    return {kind: rows() for kind, rows in written.items()}


def _key_of_instance(context: Context, instance_uuid: str) -> tuple[_Seen, Row]:
    project = own_project(context)
    key = {"by_uuid": instance_uuid} | ({} if project is None else {"by_project": project})
    return _Seen(context.read_deleted, project is not None), key


def _conflict(
    context: Context, instance_uuid: str, change: _Change, actual: Row
) -> exceptions.InstanceUpdateConflict | None:
    """Return the error that names the columns of ``actual`` which are not as expected, None if all are."""
    dialect = current(context).dialect
    differing = [
        name
        for name, wanted in change.expected.items()
        if actual[name] not in [stored_values.stored(t, {name: value}, dialect)[name] for value in wanted]
    ]
    if not differing:
        return None
    error = exceptions.InstanceUpdateConflict
    if "task_state" in differing:
        is_deleting = actual["task_state"] == "deleting"
        error = exceptions.UnexpectedDeletingTaskStateError if is_deleting else exceptions.UnexpectedTaskStateError
    return error(
        instance_uuid=instance_uuid,
        expected={name: change.expected[name] for name in differing},
        actual={name: actual[name] for name in differing},
    )


@require_context
@tx.writer
def instance_update_and_get_original(
    context: Context,
    instance_uuid: str,
    values: Mapping[str, Any],
    columns_to_join: Sequence[str] | None = None,
    expected: Mapping[str, Any] | None = None,
) -> tuple[rows.InstanceWithChildren, rows.InstanceWithChildren]:
    """Do what ``instance_update`` does, and return the instance before and after: two rows that share nothing.

    Both hold what ``instance_get_by_uuid`` gives for ``columns_to_join``; the new one has the metadata that was given
    besides.

    Cost: 2 statements, 3 where rows are locked; for each kind of metadata 1 more each to delete, to change and to
    insert; for a host name that must be unique 1 more, 2 on PostgreSQL, 3 on the MySQL family; in 2 round trips, 3 for
    a host name that must be unique.
    Lock: as ``instance_update``.
    Raises: as ``instance_update``, but InstanceNotFound for what is not a uuid; ValueError for an unknown join too.
    """
    transaction = current(context)
    joined = instance_rows.METADATA if columns_to_join is None else columns_to_join
    replaced = [kind for kind in _METADATA if values.get(kind) is not None]
    form = instance_rows.form_of_one([*joined, *replaced])
    if replaced:
        instance_metadata.hold_instance(transaction, instance_uuid)
    instance_metadata.lock_instance(transaction, instance_uuid)
    old = instance_rows.get(context, transaction, "uuid", instance_uuid, form)
    if old is None:
        raise exceptions.InstanceNotFound(instance_id=instance_uuid)
    change = _change_of(context, values, expected)
    conflict = _conflict(context, instance_uuid, change, old)
    if conflict is not None:
        raise conflict
    transaction.later.execute(_update_by_id_statement(tuple(change.given)), by_id=old["id"], **change.given)
    new = instance_rows.named(_copy(old) | change.given)
    new |= _replace_metadata(transaction, new, change, {kind: new[kind] for kind in replaced})
    old |= {kind: [] for kind in replaced if kind not in joined}
    return cast("tuple[rows.InstanceWithChildren, rows.InstanceWithChildren]", (old, new))


def _copy(value: Any) -> Any:
    """Return a copy of a row with its children."""
    if isinstance(value, dict):
        return {key: _copy(part) for key, part in value.items()}
    return [_copy(part) for part in value] if isinstance(value, list) else value


@require_context
@tx.writer
def instance_update_many(
    context: Context, uuids: Sequence[str], values: Mapping[str, Any], expected: Mapping[str, Any] | None = None
) -> list[rows.InstanceWithChildren]:
    """Write the same columns to many instances, all or none. Not in the reference.

    ``values`` and ``expected`` are those of ``instance_update``, but without metadata. Returns the instances as they
    are now, each once, in the order in which they were named first.

    Cost: 2 statements per 500 instances; for a host name that must be unique as ``instance_update``; in 2 round trips,
    3 for a host name that must be unique.
    Lock: the instances' rows, by id.
    Raises: as ``instance_update``, for the first instance that is missing or differs.
    """
    wanted = list(dict.fromkeys(uuids))
    for one in wanted:
        if not is_uuid_like(one):
            raise exceptions.InvalidUUID(uuid=one)
    refuse_unknown(t, [name for name in _METADATA if name in values])
    if not wanted:
        return []
    _refuse_namesakes([values.get("hostname")] * len(wanted))
    change = _change_of(context, values, expected)
    found = _lock_expected(context, wanted, change)
    transaction, names = current(context), tuple(change.given)
    for chunk in chunks([row["id"] for row in found]):
        transaction.later.execute(_update_by_ids_statement(names), ids=chunk, **change.given)
    return cast("list[rows.InstanceWithChildren]", [instance_rows.named({**row, **change.given}) for row in found])


def _lock_expected(context: Context, uuids: Sequence[str], change: _Change) -> list[Row]:
    """Lock instances and return them, in this order, if they are as expected."""
    project = own_project(context)
    owned = {} if project is None else {"project_id": project}
    locked = rows_locked(current(context), t, context.read_deleted, "uuid", uuids, **owned)
    known: dict[str, Row] = {str(row["uuid"]): {**row} for row in locked}
    for one in uuids:
        if one not in known:
            raise exceptions.InstanceNotFound(instance_id=one)
        conflict = _conflict(context, one, change, known[one])
        if conflict is not None:
            raise conflict
    return [known[one] for one in uuids]


# -- membership in security groups ------------------------------------------------------------------------------------


@also_named(instance_id="instance_uuid")
@tx.writer
def instance_add_security_group(context: Context, instance_uuid: str, security_group_id: int) -> None:
    """Let the instance belong to the group, if it does not yet.

    Cost: 1 statement on sqlite, 2 on PostgreSQL, 3 on the MySQL family: no unique key keeps memberships apart; in 1
    round trip.
    Lock: the membership's name.
    Raises: DBReferenceError for an unknown instance or group, where the server checks that.
    """
    link = {"instance_uuid": instance_uuid, "security_group_id": security_group_id}
    insert_only(current(context).last(), memberships, link, tuple(link), read_deleted="no")


@also_named(instance_id="instance_uuid")
@require_context
@tx.writer
def instance_remove_security_group(context: Context, instance_uuid: str, security_group_id: int) -> None:
    """Let the instance no longer belong to the group.

    Cost: 1 statement in 1 round trip.
    """
    number = as_id(security_group_id)
    if number is not None:
        link = {"instance_uuid": instance_uuid, "security_group_id": number}
        soft_delete_by(current(context).last(), memberships, context.read_deleted, **link)


# -- destroying -------------------------------------------------------------------------------------------------------


@require_context
@tx.writer
def instance_destroy(
    context: Context, instance_uuid: str, constraint: constraints.Constraint | None = None
) -> rows.InstanceWithChildren:
    """Soft-delete the instance, if it meets the constraint, and return it as it is now.

    Its visible memberships in security groups and in instance groups, info cache, metadata, faults, extra and id
    mapping are soft-deleted too, and its tags are erased.

    Cost: 10 statements on sqlite, 11 on the MySQL family, 2 on PostgreSQL; 1 if there is no such instance, 1 more to
    tell that from one which does not meet the constraint; in 2 round trips.
    Lock: the instance's row, then its children's.
    Raises: InvalidUUID(uuid); InstanceNotFound(instance_id); ConstraintNotMet(). KeyError if the constraint names no
    column. BadArgument for what is not a Constraint.
    """
    if not is_uuid_like(instance_uuid):
        raise exceptions.InvalidUUID(uuid=instance_uuid)
    if not isinstance(constraint, constraints.Constraint | None):
        raise exceptions.BadArgument(f"the argument constraint takes a Constraint; got {quoted(constraint)}")
    transaction = current(context)
    seen, key = _key_of_instance(context, instance_uuid)
    shape, params = constraints.terms_of(constraint.conditions if constraint else {})
    row = transaction.update_row(
        _destroy_statement(seen, shape),
        _BY_UUID_STATEMENT,
        key | params,
        deleted_now(),
        key_after={"by_uuid": instance_uuid},
    )
    if row is None:
        if shape and transaction.last().row(_read_statement(seen, ("id",)), **key) is not None:
            raise exceptions.ConstraintNotMet
        raise exceptions.InstanceNotFound(instance_id=instance_uuid)
    for statement in _destroy_children_statements(context.read_deleted, transaction.dialect):
        # a statement of its own, so that it sees what was inserted while the instance's row was waited for
        transaction.later.execute(statement, by_uuid=row["uuid"], **deleted_now())
    if not transaction.dialect.update_in_with:
        transaction.later.execute(_DELETE_TAGS_STATEMENT, by_uuid=row["uuid"])
    return cast("rows.InstanceWithChildren", instance_rows.named(row))
