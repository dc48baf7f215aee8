# SPDX-License-Identifier: Apache-2.0

"""Instances, read: one by id or uuid, lists by filters, host or group, and streams.  Table ``instances``.

A row holds the columns of ``instances``, the computed ``name``, the lists ``metadata`` and ``system_metadata``, and
what ``columns_to_join`` names: ``metadata``, ``system_metadata``, ``info_cache``, ``extra``, ``extra.<column>``,
``security_groups``, ``security_groups.rules``, ``pci_devices``, ``tags``, ``services``, ``block_device_mapping``.

With ``columns`` a row holds just those (``name`` may be one of them) and the joins that are named, though its type is
that of a whole row. A name that is neither is refused with ValueError.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, cast

import sqlalchemy as sa

from nova_sqlcore import exceptions, tx
from nova_sqlcore.context import elevated, require_context
from nova_sqlcore.queries.common import children
from nova_sqlcore.queries.common.arguments import moment_before
from nova_sqlcore.queries.common.clauses import arg, chunks, own_project, visible
from nova_sqlcore.queries.common.ids import as_id, is_number, is_uuid_like
from nova_sqlcore.queries.common.paging import check_limit, process_sort_params
from nova_sqlcore.queries.compute import filters as instance_filters, pages, rows as instance_rows
from nova_sqlcore.queries.compute.filters import Filters
from nova_sqlcore.tables import fixed_ips, floating_ips, instances as t
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterator, Mapping, Sequence

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context
    from nova_sqlcore.core.handles import Row
    from nova_sqlcore.queries.compute.rows import Form

#: Instances in memory at a time while a stream is read.
CHUNK: Final = 500
_DEFAULT_JOINS: Final = ("metadata", "system_metadata", "info_cache", "security_groups")
#: Joins that a list reads after its instances, with conditions of their own.
_MANUAL: Final = ("metadata", "system_metadata", "pci_devices")
_REGEXP_OPERATORS: Final = {"postgresql": "~", "mysql": "REGEXP", "mariadb": "REGEXP", "sqlite": "REGEXP"}

_UUIDS_BY_HOST_STATEMENT = sa.select(t.c.uuid).where(t.c.host == arg("host"), *visible(t, "no")).order_by(t.c.id)
_UUIDS_WITHOUT_HOST_STATEMENT = sa.select(t.c.uuid).where(t.c.host.is_(None), *visible(t, "no")).order_by(t.c.id)


@functools.cache
def _floating_addresses_statement(read_deleted: str) -> sa.Select[Any]:
    return (
        sa.select(floating_ips.c.address)
        .join(fixed_ips, fixed_ips.c.id == floating_ips.c.fixed_ip_id)
        .where(
            fixed_ips.c.instance_uuid == arg("instance_uuid"),
            *visible(fixed_ips, "no"),
            floating_ips.c.deleted == 0,
            *visible(floating_ips, read_deleted),
        )
        .order_by(floating_ips.c.id)
    )


# -- one instance -----------------------------------------------------------------------------------------------------


@require_context
@tx.reader
def instance_get(
    context: Context,
    instance_id: int,
    columns_to_join: Sequence[str] | None = None,
    *,
    columns: Sequence[str] | None = None,
) -> rows.InstanceWithChildren:
    """Return the instance with this id, if the context may see it and its project.

    It always has its info cache and its security groups with rules, and without ``columns_to_join`` its metadata.

    Cost: 1 statement, whatever the joins; in 1 round trip.
    Raises: InstanceNotFound(instance_id); InvalidID(id) for a number that no column holds.
    """
    number = as_id(instance_id)
    if number is None and is_number(instance_id):
        raise exceptions.InvalidID(id=instance_id)
    form = instance_rows.form_of_one(columns_to_join, columns)
    row = None if number is None else instance_rows.get(context, current(context), "id", number, form)
    if row is None:
        raise exceptions.InstanceNotFound(instance_id=instance_id)
    return cast("rows.InstanceWithChildren", row)


@require_context
@tx.reader.allow_async
def instance_get_by_uuid(
    context: Context,
    uuid: str,
    columns_to_join: Sequence[str] | None = None,
    *,
    columns: Sequence[str] | None = None,
) -> rows.InstanceWithChildren:
    """Return the instance with this uuid, if the context may see it and its project.

    It always has its info cache and its security groups with rules, and without ``columns_to_join`` its metadata.

    Cost: 1 statement, whatever the joins; in 1 round trip.
    Raises: InstanceNotFound(instance_id).
    """
    only = {} if columns is None else {"columns": columns}
    return cast("rows.InstanceWithChildren", _instance_get_by_uuid(context, uuid, columns_to_join, **only))


def _instance_get_by_uuid(
    context: Context,
    uuid: str,
    columns_to_join: Sequence[str] | None = None,
    columns: Sequence[str] | None = None,
) -> Row:
    row = instance_rows.get(
        context, current(context), "uuid", uuid, instance_rows.form_of_one(columns_to_join, columns)
    )
    if row is None:
        raise exceptions.InstanceNotFound(instance_id=uuid)
    return row


@require_context
@tx.reader.snapshot.allow_async
def instance_get_many(
    context: Context,
    uuids: Sequence[str],
    columns_to_join: Sequence[str] | None = None,
    *,
    columns: Sequence[str] | None = None,
) -> list[rows.InstanceWithChildren]:
    """Return what ``instance_get_by_uuid`` does for each of these instances, in the order given. Not in the reference.

    An instance that is named twice comes once, and one that the context may not see not at all.

    Cost: 1 statement per 500 instances, and 1 for each joined collection: 4 without ``columns_to_join``; in 2 round
    trips.
    Raises: ValueError for a name that is neither a join nor a column.
    """
    form = instance_rows.form_of_one(columns_to_join, columns)
    found = instance_rows.get_many(context, current(context), list(dict.fromkeys(uuids)), form)
    return cast("list[rows.InstanceWithChildren]", found)


# -- lists ------------------------------------------------------------------------------------------------------------


@require_context
@tx.reader.snapshot
def instance_get_all(
    context: Context, columns_to_join: Sequence[str] | None = None, *, columns: Sequence[str] | None = None
) -> list[rows.InstanceWithChildren]:
    """Return the instances that the context may see, by id: all for an admin, else those of the project or user.

    Cost: 1 statement, and 1 for each joined collection; in 2 round trips, 1 without joined collections.
    """
    return _read(context, _within_scope(context), *_form_of_list(columns_to_join, columns))


@require_context
@tx.reader.snapshot.allow_async
def instance_get_all_by_filters_sort(
    context: Context,
    filters: Mapping[str, Any],
    limit: int | None = None,
    marker: str | None = None,
    columns_to_join: Sequence[str] | None = None,
    sort_keys: Sequence[str] | None = None,
    sort_dirs: Sequence[str] | None = None,
    *,
    columns: Sequence[str] | None = None,
) -> list[rows.InstanceWithChildren]:
    """Return the instances that fulfil all filters, live and deleted ones, in the order of the sort keys.

    NULL is the smallest value of every key. ``marker`` is the uuid of any instance: only what comes behind it is
    returned, at most ``limit`` instances. Users see their project's instances only.

    Filters: ``changes-since``, ``deleted`` with ``soft_deleted``, ``cleaned``, ``tags``, ``tags-any``, ``filter``
    (blocks of ``tag:<key>``, ``tag-key``, ``tag-value`` over metadata); by value ``project_id, user_id, image_ref,
    vm_state, instance_type_id, uuid, metadata, host, task_state, system_metadata``; any other column by a pattern that
    matches anywhere. Other keys leave out nothing, and warn (UnknownFilterWarning). docs/filters.rst has the limits.

    Cost: 1 statement, 1 for a marker, and 1 for each joined collection; none for a limit of 0 or an empty collection;
    in 2 round trips, 1 without joined collections, and 1 more for a marker.
    Raises: InvalidInput(reason) for a bad limit, direction, pattern or shape of a filter, and for more than
    ``settings.max_filter_values`` in one; InvalidSortKey(key);
    MarkerNotFound(marker); InvalidParameterValue(err) for an unknown ``tag-<name>``; AttributeError for a
    ``changes-since`` that is not a datetime.
    """
    if limit == 0:
        return []
    size = check_limit(limit)
    keys, directions = process_sort_params(sort_keys, sort_dirs, default_dir="desc")
    form, manual = _form_of_list(columns_to_join, columns)
    found = _translated(context, filters)
    if found is None:
        return []
    behind = None if marker is None else _marker(context, marker, keys)
    pages.check_sort_keys(keys)
    order = tuple(zip(keys, directions, strict=True))
    return _read(context, found, form, manual, order=order, marker=behind, limit=size)


def instance_get_all_by_filters(
    context: Context,
    filters: Mapping[str, Any],
    sort_key: str = "created_at",
    sort_dir: str = "desc",
    limit: int | None = None,
    marker: str | None = None,
    columns_to_join: Sequence[str] | None = None,
    *,
    columns: Sequence[str] | None = None,
) -> list[rows.InstanceWithChildren]:
    """Return what ``instance_get_all_by_filters_sort`` does, with one key to sort by.

    Cost: as there; in 2 round trips, 1 without joined collections, and 1 more for a marker.
    Raises: as there.
    """
    only = {} if columns is None else {"columns": columns}
    return instance_get_all_by_filters_sort(
        context,
        filters,
        limit=limit,
        marker=marker,
        columns_to_join=columns_to_join,
        sort_keys=[sort_key],
        sort_dirs=[sort_dir],
        **only,
    )


@require_context
@tx.reader.snapshot.allow_async
def instance_get_active_by_window_joined(
    context: Context,
    begin: datetime.datetime,
    end: datetime.datetime | None = None,
    project_id: str | None = None,
    host: str | None = None,
    columns_to_join: Sequence[str] | None = None,
    *,
    columns: Sequence[str] | None = None,
) -> list[rows.InstanceWithChildren]:
    """Return the instances, deleted ones too, that ran at some time after ``begin`` and were launched before ``end``.

    By id; of any project for everybody, unless one is named.

    Cost: 1 statement, and 1 for each joined collection; in 2 round trips, 1 without joined collections.
    """
    found = Filters()
    found.add("ended after", values=[begin])
    if end:
        found.add("launched before", values=[end])
    for name, value in (("project_id", project_id), ("host", host)):
        if value:
            found.equals(name, value)
    return _read(context, found, *_form_of_list(columns_to_join, columns))


@tx.reader.snapshot.allow_async
def instance_get_all_by_host(
    context: Context,
    host: str | None,
    columns_to_join: Sequence[str] | None = None,
    *,
    columns: Sequence[str] | None = None,
) -> list[rows.InstanceWithChildren]:
    """Return the visible instances of the host, by id, with info cache and security groups.

    Without ``columns``, other names in ``columns_to_join`` than the kinds of metadata (which are the default),
    ``pci_devices``, ``extra`` and ``extra.<column>`` mean nothing; an empty ``columns_to_join`` brings no children.

    Cost: 1 statement, and 1 for each joined collection; in 2 round trips, 1 without joined collections.
    """
    if columns is None and columns_to_join is None:
        columns_to_join = _DEFAULT_JOINS
    elif columns is None and columns_to_join:
        taken = [name for name in columns_to_join if name in _MANUAL or name in instance_rows.EXTRA_JOINS]
        columns_to_join = [*taken, "info_cache", "security_groups"]
    return _read(context, _visible(context, host=host), *_form_of_list(columns_to_join, columns))


@tx.reader.snapshot
def instance_get_all_by_host_and_node(
    context: Context,
    host: str | None,
    node: str | None,
    columns_to_join: Sequence[str] | None = None,
    *,
    columns: Sequence[str] | None = None,
) -> list[rows.InstanceWithChildren]:
    """Return the visible instances of the node, by id; without ``columns_to_join`` with info cache and groups.

    Their ``pci_devices`` come in any status, not only allocated ones as in other lists.

    Cost: 1 statement, and 1 for each joined collection; in 2 round trips, 1 without joined collections, 3 for groups
    beside metadata.
    """
    joins = columns_to_join or ()
    others = [name for name in joins if name not in instance_rows.METADATA]
    metadata = [name for name in joins if name in instance_rows.METADATA]
    if columns is not None:
        return _read(context, _visible(context, host=host, node=node), instance_rows.form(others, columns), metadata)
    wanted = None if columns_to_join is None else others
    fetched = _instance_get_all_query(context, joins=wanted, is_last=not metadata, host=host, node=node)
    filled = _instances_fill_metadata(context, fetched, manual_joins=metadata)
    return cast("list[rows.InstanceWithChildren]", filled)


@tx.reader.snapshot
def instance_get_all_by_host_and_not_type(
    context: Context, host: str | None, type_id: int | None = None, *, columns: Sequence[str] | None = None
) -> list[rows.InstanceWithChildren]:
    """Return the visible instances of the host that have another type, or any type if none is named; by id.

    With info cache, security groups and metadata.

    Cost: 4 statements; 1 with ``columns``, or if there are none; in 2 round trips, 1 with ``columns``.
    """
    found = _visible(context, host=host)
    number = as_id(type_id)
    if number is None:
        found.add("not null", "instance_type_id")
    else:
        found.add("differs", "instance_type_id", values=[number])
    return _read(context, found, *_form_of_list(None, columns))


@tx.reader.snapshot
def instance_get_all_by_grantee_security_groups(
    context: Context, group_ids: Sequence[int], *, columns: Sequence[str] | None = None
) -> list[rows.InstanceWithChildren]:
    """Return the live instances that belong to a group with a rule which grants one of these groups access; by id.

    With info cache, security groups and metadata.

    Cost: 4 statements; 1 with ``columns``, or if there are none; nothing without ``group_ids``; in 2 round trips.
    """
    form, manual = _form_of_list(None, columns)
    numbers = [number for number in map(as_id, group_ids) if number is not None]
    granted: dict[int, Row] = {}
    for chunk in chunks(numbers):
        found = _visible(context)
        found.add("grantees", values=[chunk])
        granted |= {row["id"]: row for row in pages.fetch(current(context), form, found)}
    return _complete(context, [granted[number] for number in sorted(granted)], form, manual)


@tx.reader
def instance_get_all_hung_in_rebooting(
    context: Context, reboot_window: float, *, columns: Sequence[str] | None = None
) -> list[rows.InstanceWithChildren]:
    """Return the visible instances that have been rebooting, untouched, for so many seconds at least; by id.

    Cost: 1 statement in 1 round trip.
    Raises: BadArgument if ``reboot_window`` is not a number of seconds.
    """
    found = _visible(context, task_state="rebooting")
    found.add("untouched since", values=[moment_before("reboot_window", reboot_window)])
    return _read(context, found, *_form_of_list([], columns))


@require_context
def instance_get_all_iter(
    context: Context,
    columns_to_join: Sequence[str] | None = None,
    *,
    filters: Mapping[str, Any] | None = None,
    columns: Sequence[str] | None = None,
    chunk: int = CHUNK,
) -> Iterator[rows.InstanceWithChildren]:
    """Yield what ``instance_get_all`` returns, or with ``filters`` what ``instance_get_all_by_filters`` does, by id.

    ``chunk`` instances are in memory at a time, each chunk from a transaction of its own: an instance that comes or
    goes meanwhile is seen or not, every other one exactly once.

    Cost: per chunk 1 statement, and 1 for each joined collection; in 2 round trips, 1 without joined collections.
    Raises: InvalidInput(reason) for a chunk below 1; for filters as ``instance_get_all_by_filters``, at the first step.
    """
    size = check_limit(chunk)
    if not size:
        raise exceptions.InvalidInput(reason="chunk is a whole number from 1")
    form, manual = _form_of_list(columns_to_join, columns)
    return _stream(context, filters, form, manual, size)


def _stream(
    context: Context, filters: Mapping[str, Any] | None, form: Form, manual: list[str], size: int
) -> Iterator[rows.InstanceWithChildren]:
    last_id = 0
    while True:
        found, last_id = _chunk(context, filters, form, manual, last_id, size)
        yield from found
        if len(found) < size:
            return


@tx.reader.snapshot.named("instance_get_all_iter")
def _chunk(
    context: Context, filters: Mapping[str, Any] | None, form: Form, manual: list[str], last_id: int, limit: int
) -> tuple[list[rows.InstanceWithChildren], int]:
    """Return the instances behind ``last_id``, and the id of the last one."""
    wanted = _within_scope(context) if filters is None else _translated(context, filters)
    if wanted is None:
        return [], last_id
    fetched = pages.fetch(current(context), form, wanted, marker={"id": last_id}, limit=limit)
    if fetched:
        last_id = fetched[-1]["id"]
    return _complete(context, fetched, form, manual), last_id


@require_context
@tx.main.reader
def instance_floating_address_get_all(context: Context, instance_uuid: str) -> list[str]:
    """Return the addresses of the live floating IPs on the instance's live fixed IPs, by id.

    Cost: 1 statement in 1 round trip.
    Raises: InvalidUUID(uuid).
    """
    if not is_uuid_like(instance_uuid):
        raise exceptions.InvalidUUID(uuid=instance_uuid)
    return current(context).scalars(_floating_addresses_statement(context.read_deleted), instance_uuid=instance_uuid)


# -- what lists are made of -------------------------------------------------------------------------------------------


def _visible(context: Context, **values: Any) -> Filters:
    """Return what is visible and has these values in its columns."""
    found = Filters()
    found.add("visible", context.read_deleted)
    for name, value in values.items():
        found.equals(name, value)
    return found


def _within_scope(context: Context) -> Filters:
    """Return what is visible, for users within their project, or of their own where they have none."""
    if context.is_admin:
        return _visible(context)
    name = "project_id" if context.project_id else "user_id"
    return _visible(context, **{name: getattr(context, name)})


def _translated(context: Context, filters: Mapping[str, Any]) -> Filters | None:
    operator = _get_regexp_op_for_connection(current(context).dialect.name)
    return instance_filters.translate(context, filters, operator)


def _form_of_list(
    columns_to_join: Sequence[str] | None, columns: Sequence[str] | None = None
) -> tuple[Form, list[str]]:
    """Return the form of a list's rows, and what is read after them."""
    if columns_to_join is None:
        columns_to_join = _DEFAULT_JOINS if columns is None else ()
    manual, rest = _manual_join_columns(columns_to_join)
    return instance_rows.form(rest, columns), manual


def _read(
    context: Context, found: Filters, form: Form, manual: list[str], **page: Any
) -> list[rows.InstanceWithChildren]:
    if not (form.children or manual):
        current(context).last()
    return _complete(context, pages.fetch(current(context), form, found, **page), form, manual)


def _complete(context: Context, fetched: list[Row], form: Form, manual: list[str]) -> list[rows.InstanceWithChildren]:
    """Return the instances with all their children, and without what nobody has asked for."""
    asked = instance_rows.ask(current(context), fetched, form)
    instance_rows.put_no_metadata(fetched, form, manual)
    if manual:
        asked = _ask_all(context, fetched, manual) | asked
    current(context).last()
    instance_rows.attach(fetched, asked)
    return cast("list[rows.InstanceWithChildren]", instance_rows.trim(fetched, form, manual))


def _marker(context: Context, marker: str, keys: Sequence[str]) -> Row:
    """Return the values that the marker has in the sort keys, whoever's and however deleted it is."""
    columns = [key for key in keys if key in instance_rows.COLUMNS]
    try:
        return _instance_get_by_uuid(elevated(context, read_deleted="yes"), marker, columns=columns)
    except exceptions.InstanceNotFound as error:
        raise exceptions.MarkerNotFound(marker=marker) from error


def _manual_join_columns(columns_to_join: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the joins that are read after the instances, and the rest."""
    manual = [name for name in _MANUAL if name in columns_to_join]
    return manual, [name for name in columns_to_join if name not in _MANUAL]


def _instance_get_all_query(
    context: Context,
    project_only: bool = False,
    joins: Sequence[str] | None = None,
    *,
    is_last: bool = False,
    **values: Any,
) -> list[Row]:
    """Return the visible instances with these values in their columns, by id, without their metadata.

    Without ``joins`` they have their info cache and security groups. ``project_only`` confines a user to their project.
    ``is_last`` says that nothing else is read.
    """
    form = instance_rows.form(("info_cache", "security_groups") if joins is None else joins)
    if project_only and own_project(context) is not None:
        values["project_id"] = context.project_id
    found = _visible(context, **values)
    if is_last and not form.children:
        current(context).last()
    fetched = pages.fetch(current(context), form, found)
    instance_rows.put_no_metadata(fetched, form, ())
    asked = instance_rows.ask(current(context), fetched, form)
    if is_last:
        current(context).last()
    instance_rows.attach(fetched, asked)
    return fetched


def _instances_fill_metadata(
    context: Context, instances: Sequence[Row], manual_joins: Sequence[str] | None = None
) -> list[Row]:
    """Return copies of the instances with both lists of metadata, filled if named, and PCI devices if named.

    Without ``manual_joins`` both lists are filled.
    """
    manual = instance_rows.METADATA if manual_joins is None else manual_joins
    filled: list[Row] = [{**instance, "metadata": [], "system_metadata": []} for instance in instances]
    asked = _ask_all(context, filled, manual)
    current(context).last()
    instance_rows.attach(filled, asked)
    return filled


def _ask_all(context: Context, instances: Sequence[Row], joins: Sequence[str]) -> instance_rows.Asked:
    """Ask for those children that are read after the instances."""
    wanted = {join: _relation(context, join) for join in _MANUAL if join in joins}
    return {join: instance_rows.ask_for(current(context), one, instances) for join, one in wanted.items()}


def _instance_metadata_get_multi(context: Context, instance_uuids: Sequence[str]) -> list[Row]:
    """Return the visible rows of user metadata of these instances, by id."""
    return _load_children(context, instance_uuids, "metadata")


def _instance_system_metadata_get_multi(context: Context, instance_uuids: Sequence[str]) -> list[Row]:
    """Return the rows of system metadata of these instances, soft-deleted ones too, by id."""
    return _load_children(context, instance_uuids, "system_metadata")


def _instance_pcidevs_get_multi(context: Context, instance_uuids: Sequence[str]) -> list[Row]:
    """Return the visible PCI devices that are allocated to these instances, by id."""
    return _load_children(context, instance_uuids, "pci_devices")


def _load_children(context: Context, instance_uuids: Sequence[str], join: str) -> list[Row]:
    return children.load(current(context), _relation(context, join), instance_uuids) if instance_uuids else []


def _relation(context: Context, join: str) -> children.Relation:
    read_deleted = "yes" if join == "system_metadata" else context.read_deleted
    return instance_rows.relation(join, read_deleted, join == "pci_devices")


# -- what other nouns ask of instances --------------------------------------------------------------------------------


@tx.reader.allow_async
def _instance_get_all_uuids_by_host(context: Context, host: str | None) -> list[str]:
    """Return the uuids of the live instances of the host, by id.

    Cost: 1 statement.
    """
    if host is None:
        return current(context).scalars(_UUIDS_WITHOUT_HOST_STATEMENT)
    return current(context).scalars(_UUIDS_BY_HOST_STATEMENT, host=host)


def _get_regexp_op_for_connection(db_connection: str) -> str:
    """Return the operator of patterns for a database URL or the name of a dialect."""
    scheme = db_connection.partition(":")[0].partition("+")[0]
    return _REGEXP_OPERATORS.get(scheme, "LIKE")
