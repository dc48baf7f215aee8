# SPDX-License-Identifier: Apache-2.0

"""Host aggregates: named sets of hosts.  Tables ``aggregates``, ``aggregate_hosts``, ``aggregate_metadata``.

The row of an aggregate has its live ``hosts`` and ``metadetails`` beside its columns, and the value of the key
``availability_zone`` once more under that name. A soft-deleted aggregate shows neither hosts nor metadata.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, cast

import sqlalchemy as sa

from nova_sqlcore import exceptions, tx
from nova_sqlcore.core.arguments import mapping_in
from nova_sqlcore.core.equality import exactly
from nova_sqlcore.core.values import complete
from nova_sqlcore.queries.common import children
from nova_sqlcore.queries.common.alike import clash_named, refuse_alike
from nova_sqlcore.queries.common.children import Relation
from nova_sqlcore.queries.common.clauses import (
    arg,
    arg_list,
    changes,
    columns,
    deleted_now,
    different,
    select_statement,
    soft_delete_statement,
    visible,
)
from nova_sqlcore.queries.common.ids import as_id
from nova_sqlcore.queries.common.lookups import row_by_id, soft_delete_by_id, soft_delete_later_by, update_later_by_id
from nova_sqlcore.queries.common.only_one import hold, hold_in_cluster, insert_only
from nova_sqlcore.tables import aggregate_hosts as hosts, aggregate_metadata as items, aggregates as t
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context
    from nova_sqlcore.core.dialects import Dialect
    from nova_sqlcore.core.handles import Row, Select
    from nova_sqlcore.core.transaction import Transaction


_ZONE: Final = "availability_zone"
#: Keys of a row that are not columns, and can't be written.
_COMPUTED: Final = ("hosts", "metadetails")


def _of_live(child: sa.Table, *names: str) -> Relation:
    """Return the live children of live aggregates."""
    return Relation(
        {name: child.c[name] for name in ("id", *names)},
        child,
        child.c.aggregate_id,
        link=(child.c.aggregate_id == t.c.id, t.c.deleted == 0),
        where=visible(child, "no"),
    )


_HOSTS: Final = _of_live(hosts, "host")
_ITEMS: Final = _of_live(items, "key", "value")


# -- reading aggregates -----------------------------------------------------------------------------------------------


@functools.cache
def _all_statement(read_deleted: str, dialect: Dialect) -> sa.Select[Any]:
    """Select aggregates with all hosts and metadata, embedded: in one statement, so of one moment."""
    kinds = {"hosts": _HOSTS, "metadetails": _ITEMS}
    packed = (children.embedded(relation, t, dialect).label(name) for name, relation in kinds.items())
    return sa.select(*columns(t), *packed).where(*visible(t, read_deleted)).order_by(t.c.id)


@functools.cache
def _one_statement(read_deleted: str, dialect: Dialect) -> sa.Select[Any]:
    return _all_statement(read_deleted, dialect).where(t.c.id == arg("by_id"))


def _has_host() -> sa.Exists:
    return sa.exists().where(hosts.c.aggregate_id == t.c.id, hosts.c.host == arg("host"), *visible(hosts, "no"))


@functools.cache
def _of_host_statement(read_deleted: str, with_key: bool, dialect: Dialect) -> sa.Select[Any]:
    """Select live aggregates, for others have no hosts; 'only' finds nothing."""
    found = _all_statement(read_deleted, dialect).where(t.c.deleted == 0, _has_host())
    if not with_key:
        return found
    return found.where(
        sa.exists().where(items.c.aggregate_id == t.c.id, items.c.key == arg("key"), *visible(items, "no"))
    )


@functools.cache
def _with_key_statement(read_deleted: str, dialect: Dialect) -> sa.Select[Any]:
    """Select live aggregates with hosts and one item of their metadata."""
    packed = children.embedded(_HOSTS, t, dialect).label("hosts")
    is_item = sa.and_(items.c.aggregate_id == t.c.id, *visible(items, "no"))
    return (
        sa.select(*columns(t), packed, items.c.key.label("key"), items.c.value.label("value"))
        .select_from(t.join(items, is_item))
        .where(items.c.key == arg("key"), t.c.deleted == 0, *visible(t, read_deleted))
        .order_by(t.c.id)
    )


def _shown(transaction: Transaction, row: Row) -> rows.AggregateWithChildren:
    """Return a row of ``_all_statement`` as callers see it."""
    identity = row["id"]
    found = children.take(transaction, _ITEMS, row, "metadetails", identity)
    names = _host_names(transaction, row)
    return _with_children(cast("rows.Aggregate", row), names, {item["key"]: item["value"] for item in found})


def _host_names(transaction: Transaction, row: Row) -> list[str]:
    return [host["host"] for host in children.take(transaction, _HOSTS, row, "hosts", row["id"])]


def _with_children(row: rows.Aggregate, names: list[str], metadata: dict[str, str]) -> rows.AggregateWithChildren:
    return {**row, "hosts": names, "metadetails": metadata, _ZONE: metadata.get(_ZONE)}


def _get(transaction: Transaction, read_deleted: str, aggregate_id: Any) -> rows.AggregateWithChildren | None:
    number = as_id(aggregate_id)
    row = None if number is None else transaction.row(_one_statement(read_deleted, transaction.dialect), by_id=number)
    return None if row is None else _shown(transaction, row)


@tx.main.reader
def aggregate_get(context: Context, aggregate_id: int) -> rows.AggregateWithChildren:
    """Return the aggregate with this id, if the context may see it.

    Cost: 1 statement in 1 round trip.
    Raises: AggregateNotFound(aggregate_id).
    """
    row = _get(current(context), context.read_deleted, aggregate_id)
    if row is None:
        raise exceptions.AggregateNotFound(aggregate_id=aggregate_id)
    return row


@tx.main.reader
def aggregate_get_all(context: Context) -> list[rows.AggregateWithChildren]:
    """Return the aggregates that the context may see, by id.

    Cost: 1 statement in 1 round trip.
    """
    transaction = current(context)
    found = transaction.rows(_all_statement(context.read_deleted, transaction.dialect))
    return [_shown(transaction, row) for row in found]


@tx.main.reader
def aggregate_get_by_host(context: Context, host: str, key: str | None = None) -> list[rows.AggregateWithChildren]:
    """Return the live aggregates that the host belongs to, by id; with a key only those whose metadata have it.

    Cost: 1 statement in 1 round trip.
    """
    transaction = current(context)
    statement = _of_host_statement(context.read_deleted, bool(key), transaction.dialect)
    found = transaction.rows(statement, host=host, **({"key": key} if key else {}))
    return [_shown(transaction, row) for row in found]


@tx.main.reader
def aggregate_get_by_metadata_key(context: Context, key: str) -> list[rows.AggregateWithChildren]:
    """Return the live aggregates whose metadata have the key, by id, with all hosts but no other metadata.

    Cost: 1 statement in 1 round trip.
    """
    transaction = current(context)
    found = transaction.rows(_with_key_statement(context.read_deleted, transaction.dialect), key=key)
    return [
        _with_children(cast("rows.Aggregate", row), _host_names(transaction, row), {row.pop("key"): row.pop("value")})
        for row in found
    ]


# -- creating, changing and deleting aggregates -----------------------------------------------------------------------


@functools.cache
def _lock_statement(read_deleted: str, or_namesakes: bool, dialect: Dialect) -> Select[rows.Aggregate]:
    """Lock an aggregate, and perhaps the live ones of a name too."""
    wanted = sa.and_(t.c.id == arg("by_id"), *visible(t, read_deleted))
    if or_namesakes:
        wanted = sa.or_(wanted, sa.and_(t.c.name == arg("name"), *visible(t, "no")))
    return dialect.lock_row(select_statement(t).where(wanted).order_by(t.c.id))


@tx.main.writer
def aggregate_create(
    context: Context, values: Mapping[str, Any], metadata: Mapping[str, Any] | None = None
) -> rows.AggregateWithChildren:
    """Store a new aggregate with its metadata and return it; ``values`` must have a ``name``.

    Cost: 1 statement, 2 on PostgreSQL, 3 on the MySQL family; 1 more for metadata; in 1 round trip, 2 with metadata.
    Lock: the name.
    Raises: AggregateNameExists(aggregate_name) if a live aggregate has the name. DBKeyClash. KeyError without a name.
    """
    transaction = current(context)
    name = values["name"]
    refuse_alike(transaction, items.c.key, metadata or ())
    if not metadata:
        transaction.last()
    if name is None:  # the name of as many as like
        row: rows.Aggregate | None = transaction.insert(t, values)
    else:
        row = insert_only(transaction, t, values, ("name",), read_deleted="no")
    if row is None:
        raise exceptions.AggregateNameExists(aggregate_name=name)
    stored = _write_items(transaction.last(), row["id"], metadata) if metadata else {}
    return _with_children(row, [], stored)


@tx.main.writer
def aggregate_update(context: Context, aggregate_id: int, values: Mapping[str, Any]) -> rows.AggregateWithChildren:
    """Write the given columns and metadata and return the aggregate; nothing is written that is so already.

    ``metadata`` in ``values`` becomes the whole metadata; ``availability_zone`` alone is set beside what is there.
    Cost: 2 statements; 1 more to write columns, 1 for the zone or 2 for all metadata; for a name 1 on PostgreSQL, 2 on
    the MySQL family; in 3 round trips.
    Lock: the name, then the aggregate and those of that name.
    Raises: AggregateNameExists(aggregate_name) if another live aggregate has the name; else
    AggregateNotFound(aggregate_id). AttributeError for ``hosts`` and ``metadetails``. DBError for a value of None.
    DBKeyClash.
    """
    refused = [name for name in _COMPUTED if name in values]
    if refused:
        raise AttributeError(f"{', '.join(refused)} of an aggregate can't be written")
    transaction = current(context)
    metadata = mapping_in(values, "metadata")
    refuse_alike(transaction, items.c.key, metadata)
    given = changes(t, values, transaction, ignore=("metadata", _ZONE))
    if values.get("metadata") is not None:
        hold_in_cluster(transaction, items.name, as_id(aggregate_id))
    row = _lock_for_update(context, aggregate_id, given)
    new = different(row, given)
    if new:
        update_later_by_id(transaction, t, row["id"], new)
    is_all = values.get("metadata") is not None
    written = {**metadata, **({_ZONE: values[_ZONE]} if _ZONE in values else {})}
    with clash_named(items.c.key, written):
        if is_all or written:
            _write_items_later(transaction, row["id"], written, set_delete=is_all)
        # COMMIT comes after it: a list that the server has cut is read again
        found = _get(transaction, "yes", given.get("id", row["id"]))
    return cast("rows.AggregateWithChildren", found)


def _lock_for_update(context: Context, aggregate_id: Any, given: Mapping[str, Any]) -> rows.Aggregate:
    """Lock and return the aggregate, after a look at whether another one has its new name."""
    transaction = current(context)
    number = as_id(aggregate_id)
    name = given.get("name")
    if name is not None:
        hold(transaction, t.name, name)
    statement = _lock_statement(context.read_deleted, name is not None, transaction.dialect)
    found = transaction.rows(statement, by_id=number, **({} if name is None else {"name": name}))
    if any(row["id"] != number for row in found):
        raise exceptions.AggregateNameExists(aggregate_name=name)
    if not found or (context.read_deleted == "only" and not found[0]["deleted"]):
        raise exceptions.AggregateNotFound(aggregate_id=aggregate_id)
    return found[0]


@tx.main.writer
def aggregate_delete(context: Context, aggregate_id: int) -> None:
    """Soft-delete the aggregate with its metadata, and take its hosts out of it.

    Cost: 3 statements in 2 round trips.
    Lock: the aggregate, then what it has.
    Raises: AggregateNotFound(aggregate_id).
    """
    transaction = current(context)
    if not soft_delete_by_id(transaction, t, context.read_deleted, aggregate_id):
        raise exceptions.AggregateNotFound(aggregate_id=aggregate_id)
    for child in (items, hosts):
        soft_delete_later_by(transaction, child, context.read_deleted, aggregate_id=as_id(aggregate_id))


# -- hosts ------------------------------------------------------------------------------------------------------------


@functools.cache
def _values_of_statement(child: sa.Table, names: tuple[str, ...], read_deleted: str) -> sa.Select[Any]:
    """Select columns of the children of an aggregate; a row without id says that it has none."""
    is_child = sa.and_(child.c.aggregate_id == t.c.id, *visible(child, read_deleted))
    return (
        sa.select(child.c.id, *(child.c[name] for name in names))
        .select_from(t.outerjoin(child, is_child))
        .where(t.c.id == arg("by_id"), *visible(t, read_deleted))
        .order_by(child.c.id)
    )


def _children_of(context: Context, aggregate_id: Any, child: sa.Table, *names: str) -> list[Row]:
    """Return the children of an aggregate that exists.

    Cost: 1 statement.
    Raises: AggregateNotFound(aggregate_id).
    """
    statement = _values_of_statement(child, names, context.read_deleted)
    number = as_id(aggregate_id)
    found = [] if number is None else current(context).rows(statement, by_id=number)
    if not found:
        raise exceptions.AggregateNotFound(aggregate_id=aggregate_id)
    return [row for row in found if row["id"] is not None]


@functools.cache
def _soft_delete_of_statement(child: sa.Table, name: str, read_deleted: str) -> sa.Update:
    """Soft-delete the children with this value of a column, if their aggregate is there."""
    is_there = sa.exists().where(t.c.id == arg("by_id"), *visible(t, read_deleted))
    mine = (child.c.aggregate_id == arg("by_id"), child.c[name] == arg("by_value"), *visible(child, read_deleted))
    return soft_delete_statement(child).where(*mine, is_there)


def _delete_child(context: Context, aggregate_id: Any, child: sa.Table, name: str, value: Any) -> int:
    """Soft-delete the child with this value of a column and return how many there were.

    Cost: 1 statement; 2 if there was none.
    Raises: AggregateNotFound(aggregate_id).
    """
    number = as_id(aggregate_id)
    statement = _soft_delete_of_statement(child, name, context.read_deleted)
    count = 0
    if number is not None:
        count = current(context).last().execute(statement, by_id=number, by_value=value, **deleted_now())
    if not count:
        _require(context, aggregate_id)
    return count


def _require(context: Context, aggregate_id: Any) -> None:
    """Refuse an aggregate that the context can't see.

    Raises: AggregateNotFound(aggregate_id).
    """
    if row_by_id(current(context).last(), t, context.read_deleted, aggregate_id) is None:
        raise exceptions.AggregateNotFound(aggregate_id=aggregate_id)


@functools.cache
def _is_there(read_deleted: str, dialect: Dialect) -> sa.Exists:
    """Return the condition that the aggregate of a new child is there and, being locked, stays there."""
    mine = sa.select(t.c.id).where(t.c.id == arg("aggregate_id", type_=t.c.id.type), *visible(t, read_deleted))
    return dialect.lock_row(mine).exists()


@tx.main.reader
def aggregate_host_get_all(context: Context, aggregate_id: int) -> list[str]:
    """Return the hosts of the aggregate, in the order in which they were added.

    Cost: 1 statement in 1 round trip.
    Raises: AggregateNotFound(aggregate_id).
    """
    return [row["host"] for row in _children_of(context, aggregate_id, hosts, "host")]


@tx.main.writer
def aggregate_host_add(context: Context, aggregate_id: int, host: str) -> rows.AggregateHost:
    """Put the host into the aggregate and return the new row.

    Cost: 1 statement; 2 if it fails; in 1 round trip.
    Lock: the aggregate.
    Raises: AggregateNotFound(aggregate_id); AggregateHostExists(host, aggregate_id).
    """
    transaction = current(context)
    number = as_id(aggregate_id)
    row = None
    if number is not None:
        is_there = _is_there(context.read_deleted, transaction.dialect)
        row = transaction.last().insert_absent(hosts, {"aggregate_id": number, "host": host}, only_if=is_there)
    if row is None:
        _require(context, aggregate_id)
        raise exceptions.AggregateHostExists(host=host, aggregate_id=aggregate_id)
    return row


@tx.main.writer
def aggregate_host_delete(context: Context, aggregate_id: int, host: str) -> None:
    """Take the host out of the aggregate.

    Cost: 1 statement; 2 if it fails; in 1 round trip.
    Raises: AggregateNotFound(aggregate_id); AggregateHostNotFound(aggregate_id, host).
    """
    if not _delete_child(context, aggregate_id, hosts, "host", host):
        raise exceptions.AggregateHostNotFound(aggregate_id=aggregate_id, host=host)


# -- metadata ---------------------------------------------------------------------------------------------------------


@functools.cache
def _pairs_of_host_statement(read_deleted: str, with_key: bool) -> sa.Select[Any]:
    """Select the different pairs of key and value of the live aggregates of a host; 'only' finds nothing."""
    is_item = sa.and_(items.c.aggregate_id == t.c.id, *visible(items, "no"))
    key = (items.c.key == arg("key"),) if with_key else ()
    live = (t.c.deleted == 0, *visible(t, read_deleted))
    return (
        sa.select(items.c.key, items.c.value)
        .select_from(t.join(items, is_item))
        .where(_has_host(), *key, *live)
        .group_by(*exactly(items.c.key), *exactly(items.c.value))
    )


@functools.cache
def _upsert_item_statement(dialect: Dialect) -> sa.Insert:
    """Insert an item or give a live one of the same key its value, with ``updated_at`` if that is another one."""
    new = {column.name: arg(column.name, type_=column.type) for column in columns(items) if column.name != "id"}
    assignments = {"updated_at": _touched, "value": "="}
    return dialect.upsert(items, new, ["aggregate_id", "key", "deleted"], assignments).inline()


def _touched(new: Any) -> sa.ColumnElement[Any]:
    return sa.case((items.c.value != new["value"], new["created_at"]), else_=items.c.updated_at)


_DROP_OTHERS_STATEMENT = soft_delete_statement(items).where(
    items.c.aggregate_id == arg("by_id"), items.c.key.not_in(arg_list("keys")), *visible(items, "no")
)


def _write_items(
    transaction: Transaction, number: int, metadata: Mapping[str, Any], *, set_delete: bool = False
) -> dict[str, str]:
    """Set these keys of an aggregate that is locked, and return them in stored form.

    With ``set_delete`` no other key stays.
    Cost: 1 statement, if there is a key; 1 more with ``set_delete``; they travel together.
    Raises: DBKeyClash.
    """
    with clash_named(items.c.key, metadata):
        stored = _write_items_later(transaction, number, metadata, set_delete=set_delete)
        transaction.send_waiting()
    return stored


def _write_items_later(
    transaction: Transaction, number: int, metadata: Mapping[str, Any], *, set_delete: bool = False
) -> dict[str, str]:
    """As ``_write_items``, together with the next statement."""
    refuse_alike(transaction, items.c.key, metadata)
    given = [{"aggregate_id": number, "key": key, "value": value} for key, value in metadata.items()]
    stored = [complete(items, item, transaction.dialect) for item in given]
    if set_delete:
        transaction.later.execute(
            _DROP_OTHERS_STATEMENT, by_id=number, keys=[item["key"] for item in stored], **deleted_now()
        )
    transaction.later.execute_many(_upsert_item_statement(transaction.dialect), stored)
    return {item["key"]: item["value"] for item in stored}


@tx.main.reader
def aggregate_metadata_get(context: Context, aggregate_id: int) -> dict[str, str]:
    """Return the metadata of the aggregate; where the context sees soft-deleted rows, the newest of a key counts.

    Cost: 1 statement in 1 round trip.
    Raises: AggregateNotFound(aggregate_id).
    """
    found = _children_of(context, aggregate_id, items, "key", "value")
    return {row["key"]: row["value"] for row in found}


@tx.main.reader
def aggregate_metadata_get_by_host(context: Context, host: str, key: str | None = None) -> dict[str, set[str]]:
    """Return the metadata of the live aggregates that the host belongs to: per key, or for one key, all values.

    Cost: 1 statement in 1 round trip.
    """
    statement = _pairs_of_host_statement(context.read_deleted, bool(key))
    values: dict[str, set[str]] = {}
    for pair in current(context).rows(statement, host=host, **({"key": key} if key else {})):
        values.setdefault(pair["key"], set()).add(pair["value"])
    return values


@tx.main.writer
def aggregate_metadata_add(
    context: Context, aggregate_id: int, metadata: Mapping[str, Any], set_delete: bool = False, max_retries: int = 10
) -> Mapping[str, Any]:
    """Set the given keys of the aggregate's metadata and return them; with ``set_delete`` no other key stays.

    Nothing is ever tried again, so ``max_retries`` has no effect.
    Cost: 2 statements; 1 more with ``set_delete``, on Galera 3; 1 less without any key; in 2 round trips.
    Lock: the aggregate.
    Raises: AggregateNotFound(aggregate_id). DBError for a value of None. DBKeyClash.
    """
    transaction = current(context)
    number = as_id(aggregate_id)
    if set_delete:
        hold_in_cluster(transaction, items.name, number)
    statement = _lock_statement(context.read_deleted, False, transaction.dialect)
    if number is None or transaction.row(statement, by_id=number) is None:
        raise exceptions.AggregateNotFound(aggregate_id=aggregate_id)
    _write_items(transaction.last(), number, metadata, set_delete=set_delete)
    return metadata


@tx.main.writer
def aggregate_metadata_delete(context: Context, aggregate_id: int, key: str) -> None:
    """Remove the key from the aggregate's metadata.

    Cost: 1 statement; 2 if it fails; in 1 round trip.
    Raises: AggregateNotFound(aggregate_id); AggregateMetadataNotFound(aggregate_id, metadata_key=key).
    """
    if not _delete_child(context, aggregate_id, items, "key", key):
        raise exceptions.AggregateMetadataNotFound(aggregate_id=aggregate_id, metadata_key=key)
