# SPDX-License-Identifier: Apache-2.0

"""Tags of instances: words that really go when they are deleted.  Table ``tags``.

Every function wants a live instance, for a user one of their project. It asks for that in its own statement, and only
where this has found nothing ``_check_instance_exists_in_project`` says what is missing.
"""

from __future__ import annotations

import functools
import operator
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from nova_sqlcore import exceptions, tx
from nova_sqlcore.core.values import stored
from nova_sqlcore.queries.common.alike import clash_named, refuse_alike
from nova_sqlcore.queries.common.clauses import arg, arg_list, chunks, own_project, visible
from nova_sqlcore.queries.common.only_one import hold_in_cluster
from nova_sqlcore.tables import instances, tags as t
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Iterable

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context
    from nova_sqlcore.core.dialects import Dialect
    from nova_sqlcore.core.handles import Row
    from nova_sqlcore.tx import Transaction

_TAGS_STATEMENT = sa.select(t.c.tag).where(t.c.resource_id == arg("uuid"))
_TAG_STATEMENT = _TAGS_STATEMENT.where(t.c.tag == arg("tag"))
_DELETE_LIST_STATEMENT = sa.delete(t).where(t.c.resource_id == arg("uuid"), t.c.tag.in_(arg_list("tags")))


def _live_clauses(owned: bool) -> tuple[sa.ColumnElement[bool], ...]:
    project = (instances.c.project_id == arg("project_id"),) if owned else ()
    return (instances.c.uuid == arg("uuid"), *visible(instances, "no"), *project)


@functools.cache
def _exists_statement(owned: bool) -> sa.Select[Any]:
    return sa.select(sa.literal_column("1").label("one")).select_from(instances).where(*_live_clauses(owned))


@functools.cache
def _tags_of_live_statement(owned: bool, one: bool = False) -> sa.Select[Any]:
    """Return the SELECT of the instance's tags, or of one: no row without the instance, NULL without a tag."""
    named = (t.c.tag == arg("tag"),) if one else ()
    joined = instances.outerjoin(t, sa.and_(t.c.resource_id == instances.c.uuid, *named))
    return sa.select(t.c.tag).select_from(joined).where(*_live_clauses(owned))


@functools.cache
def _lock_statement(owned: bool, dialect: Dialect) -> sa.Select[Any]:
    """Return the SELECT of the instance's tags that keeps others who set them waiting."""
    return dialect.lock_row(_tags_of_live_statement(owned), of=instances)


@functools.cache
def _add_statement(owned: bool, dialect: Dialect) -> sa.Insert:
    """Return the INSERT that matches a row, new or old, if the instance is there."""
    new = {"resource_id": arg("uuid", type_=t.c.resource_id.type), "tag": arg("tag", type_=t.c.tag.type)}
    row = (
        sa.select(*(value.label(name) for name, value in new.items()))
        .select_from(instances)
        .where(*_live_clauses(owned))
    )
    return dialect.upsert(t, row, ["resource_id", "tag"], {"tag": t.c.tag})


@functools.cache
def _insert_statement(dialect: Dialect) -> sa.Insert:
    """Return the INSERT that another writer of the same tag does not disturb."""
    new = {name: arg(name, type_=t.c[name].type) for name in ("resource_id", "tag")}
    return dialect.upsert(t, new, list(new), {"tag": t.c.tag}).inline()


@functools.cache
def _delete_statement(owned: bool, one: bool) -> sa.Delete:
    named = (t.c.tag == arg("tag"),) if one else ()
    live = sa.exists().select_from(instances).where(*_live_clauses(owned))
    return sa.delete(t).where(t.c.resource_id == arg("uuid"), *named, live)


@tx.reader
def instance_tag_get_by_instance_uuid(context: Context, instance_uuid: str) -> list[rows.Tag]:
    """Return the tags of the instance, by word.

    Cost: 1 statement in 1 round trip.
    Raises: InstanceNotFound(instance_id).
    """
    transaction = current(context)
    owned, params = _named(context, instance_uuid)
    found = transaction.scalars(_tags_of_live_statement(owned), **params)
    if not found:
        _check_instance_exists_in_project(context, instance_uuid)
        found = transaction.scalars(_TAGS_STATEMENT, uuid=instance_uuid)
    return _rows(transaction, instance_uuid, (tag for tag in found if tag is not None))


@tx.main.reader
def instance_tag_exists(context: Context, instance_uuid: str, tag: str) -> bool:
    """Tell whether the instance has the tag.

    Cost: 1 statement in 1 round trip.
    Raises: InstanceNotFound(instance_id).
    """
    transaction = current(context)
    owned, params = _named(context, instance_uuid)
    found = transaction.scalars(_tags_of_live_statement(owned, one=True), tag=tag, **params)
    if not found:
        _check_instance_exists_in_project(context, instance_uuid)
        found = transaction.scalars(_TAG_STATEMENT, uuid=instance_uuid, tag=tag)
    return found not in ([], [None])


@tx.writer
def instance_tag_add(context: Context, instance_uuid: str, tag: str) -> rows.Tag:
    """Give the instance the tag, unless it has it, and return the tag.

    Cost: 1 statement in 1 round trip.
    Raises: InstanceNotFound(instance_id); DBDataError for None; DBKeyClash.
    """
    transaction = current(context)
    owned, params = _named(context, instance_uuid)
    (row,) = _rows(transaction, instance_uuid, [tag])
    with clash_named(t.c.tag, [row["tag"]]):
        if not transaction.last().execute(_add_statement(owned, transaction.dialect), tag=tag, **params):
            _check_instance_exists_in_project(context, instance_uuid)
            transaction.execute(_insert_statement(transaction.dialect), **row)
    return row


@tx.writer
def instance_tag_set(context: Context, instance_uuid: str, tags: Iterable[str]) -> list[rows.Tag]:
    """Give the instance just these tags and return them, by word.

    Cost: 1 statement, 2 on PostgreSQL; 1 more if tags go, and 1 if tags come; in 2 round trips.
    Lock: the instance's row.
    Raises: InstanceNotFound(instance_id); DBDataError for None among the tags; DBKeyClash.
    """
    transaction = current(context)
    wanted = _rows(transaction, instance_uuid, tags)
    words = [row["tag"] for row in wanted]
    refuse_alike(transaction, t.c.tag, words)
    known = _lock_tags(context, instance_uuid)
    for chunk in chunks([word for word in known if word not in words]):
        transaction.later.execute(_DELETE_LIST_STATEMENT, uuid=instance_uuid, tags=chunk)
    with clash_named(t.c.tag, words):
        transaction.last().execute_many(
            _insert_statement(transaction.dialect), [row for row in wanted if row["tag"] not in known]
        )
    return wanted


@tx.writer
def instance_tag_delete(context: Context, instance_uuid: str, tag: str) -> None:
    """Delete the tag of the instance.

    Cost: 1 statement; 2 if there is none; in 1 round trip.
    Raises: InstanceNotFound(instance_id); InstanceTagNotFound(instance_id, tag).
    """
    owned, params = _named(context, instance_uuid)
    if not current(context).last().execute(_delete_statement(owned, one=True), tag=tag, **params):
        _check_instance_exists_in_project(context, instance_uuid)
        raise exceptions.InstanceTagNotFound(instance_id=instance_uuid, tag=tag)


@tx.writer
def instance_tag_delete_all(context: Context, instance_uuid: str) -> None:
    """Delete all tags of the instance.

    Cost: 1 statement; 2 if there are none; in 1 round trip.
    Raises: InstanceNotFound(instance_id).
    """
    owned, params = _named(context, instance_uuid)
    if not current(context).last().execute(_delete_statement(owned, one=False), **params):
        _check_instance_exists_in_project(context, instance_uuid)


def _lock_tags(context: Context, instance_uuid: str) -> list[str]:
    """Lock the instance and return its tags; on Galera its name is held too, with 2 statements."""
    transaction = current(context)
    hold_in_cluster(transaction, t.name, instance_uuid)
    dialect = transaction.dialect
    owned, params = _named(context, instance_uuid)
    locked = transaction.later.rows(_lock_statement(owned, dialect), **params)
    found = None
    if dialect.locks_rows and not dialect.locking_reads_are_fresh:
        found = transaction.scalars(_TAGS_STATEMENT, uuid=instance_uuid)
    if not locked.get():
        _check_instance_exists_in_project(context, instance_uuid)
        found = found or transaction.scalars(_TAGS_STATEMENT, uuid=instance_uuid)
    if found is None:
        found = [row["tag"] for row in locked.get()]
    return [tag for tag in found if tag is not None]


def _check_instance_exists_in_project(context: Context, instance_uuid: str) -> None:
    """Refuse an instance that is not live, or of another project than the user's.

    Cost: 1 statement, in the open transaction.
    Raises: InstanceNotFound(instance_id).
    """
    owned, params = _named(context, instance_uuid)
    if current(context).row(_exists_statement(owned), **params) is None:
        raise exceptions.InstanceNotFound(instance_id=instance_uuid)


def _named(context: Context, instance_uuid: str) -> tuple[bool, Row]:
    """Return whether the instance must be of the user's project, and the parameters that name it."""
    project = own_project(context)
    if project is None:
        return False, {"uuid": instance_uuid}
    return True, {"uuid": instance_uuid, "project_id": project}


def _rows(transaction: Transaction, instance_uuid: str, tags: Iterable[str]) -> list[rows.Tag]:
    """Return the rows of these tags as they are stored, each once, by word.

    Raises: DBDataError for None.
    """
    given = ({"resource_id": instance_uuid, "tag": tag} for tag in tags)
    unique = {row["tag"]: row for row in (stored(t, one, transaction.dialect) for one in given)}
    if None in unique:
        raise exceptions.DBDataError(f"{t.name}.tag holds text; got None")
    return cast("list[rows.Tag]", sorted(unique.values(), key=operator.itemgetter("tag")))
