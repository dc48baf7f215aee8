# SPDX-License-Identifier: Apache-2.0

"""Flavors: the sizes that an instance can have.  Table ``instance_types``.

A row holds the columns and ``extra_specs``, the live extra specs as value by key. An admin sees every flavor; a user
sees those that are public or granted to their project; for users the others do not exist.
"""

from __future__ import annotations

import contextlib
import functools
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import sqlalchemy as sa

from nova_sqlcore import exceptions, tx
from nova_sqlcore.context import require_context
from nova_sqlcore.core import types
from nova_sqlcore.core.arguments import mapping_in
from nova_sqlcore.core.equality import alike
from nova_sqlcore.core.scopes import check_read_deleted
from nova_sqlcore.core.texts import quoted
from nova_sqlcore.queries.common import children
from nova_sqlcore.queries.common.alike import refuse_alike
from nova_sqlcore.queries.common.arguments import also_named, warn_of_unknown_filters
from nova_sqlcore.queries.common.clauses import arg, columns, deleted_now, soft_delete_statement, visible
from nova_sqlcore.queries.common.ids import as_id
from nova_sqlcore.queries.common.lookups import Shape, equal, shape_of
from nova_sqlcore.queries.common.paging import check_limit
from nova_sqlcore.tables import instance_type_extra_specs, instance_type_projects, instance_types as t
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context
    from nova_sqlcore.core.batches import Pending
    from nova_sqlcore.core.dialects import Dialect
    from nova_sqlcore.core.handles import Row
    from nova_sqlcore.tx import Transaction

_SPECS: Final = children.Relation(
    {name: instance_type_extra_specs.c[name] for name in ("id", "key", "value")},
    instance_type_extra_specs,
    instance_type_extra_specs.c.instance_type_id,
    link=(instance_type_extra_specs.c.instance_type_id == t.c.id,),
    where=visible(instance_type_extra_specs, "no"),
)
_PACKED: Final = "packed_specs"

_GRANTED = sa.exists().where(
    instance_type_projects.c.instance_type_id == t.c.id,
    instance_type_projects.c.project_id == arg("project"),
    *visible(instance_type_projects, "no"),
)
_SEEN_BY_USERS = sa.or_(t.c.is_public == sa.true(), _GRANTED)

#: What the filters of a list come to; bounds may be beyond what the columns hold.
_CLAUSES: Final = {
    "min_memory_mb": t.c.memory_mb >= arg("min_memory_mb", type_=types.BigInteger()),
    "min_root_gb": t.c.root_gb >= arg("min_root_gb", type_=types.BigInteger()),
    "disabled": t.c.disabled == arg("disabled"),
    "disabled unknown": t.c.disabled.is_(None),
    "is_public": t.c.is_public == arg("is_public"),
    "is_public or granted": sa.or_(t.c.is_public == arg("is_public"), _GRANTED),
}
#: What ``flavor_get_all`` knows.
_FILTERS: Final = ("min_memory_mb", "min_root_gb", "disabled", "is_public")
_NAMES: Final = tuple(column.name for column in columns(t))
#: Directions: whether it goes down, and whether NULL comes first (None: where the server puts it).
_DIRECTIONS: Final[dict[str, tuple[bool, bool | None]]] = {
    "asc": (False, None),
    "asc-nullsfirst": (False, True),
    "asc-nullslast": (False, False),
    "desc": (True, None),
    "desc-nullsfirst": (True, True),
    "desc-nullslast": (True, False),
}

_SAME_FLAVOR_ID_STATEMENT = sa.select(t.c.id).where(alike(t.c.flavorid, "flavorid"), *visible(t, "no"))
_DESTROY_STATEMENT = soft_delete_statement(t).values(updated_at=arg("deleted_at")).where(*visible(t, "no"))
_DESTROY_BY_NAME_STATEMENT = _DESTROY_STATEMENT.where(t.c.name == arg("by_name")).returning(t.c.id)
_DESTROY_BY_ID_STATEMENT = _DESTROY_STATEMENT.where(t.c.id == arg("by_id"))
_DESTROY_CHILDREN = [
    soft_delete_statement(table).where(table.c.instance_type_id == arg("by_flavor"), *visible(table, "no"))
    for table in (instance_type_extra_specs, instance_type_projects)
]


class _Order(NamedTuple):
    """What a list is sorted by, before the id."""

    key: str
    descending: bool
    nulls_first: bool | None


def _fields(dialect: Dialect) -> list[sa.ColumnElement[Any]]:
    return [*columns(t), children.embedded(_SPECS, t, dialect).label(_PACKED)]


def _seen_clauses(read_deleted: str, confined: bool) -> list[sa.ColumnElement[bool]]:
    return [*visible(t, read_deleted), *((_SEEN_BY_USERS,) if confined else ())]


@functools.lru_cache(maxsize=256)
def _one_statement(read_deleted: str, confined: bool, shape: Shape, dialect: Dialect) -> sa.Select[Any]:
    """Return the SELECT of the flavor with this key; a live one comes before its soft-deleted predecessors."""
    where = (*equal(t, shape), *_seen_clauses(read_deleted, confined))
    return sa.select(*_fields(dialect)).where(*where).order_by(t.c.deleted, t.c.id).limit(1)


@functools.lru_cache(maxsize=256)
def _marker_statement(read_deleted: str, confined: bool, key: str) -> sa.Select[Any]:
    where = (t.c.flavorid == arg("flavorid"), *_seen_clauses(read_deleted, confined))
    fields = (t.c.id, t.c[key].is_(None).label("is_null"))
    return sa.select(*fields).where(*where).order_by(t.c.deleted, t.c.id).limit(1)


@functools.lru_cache(maxsize=512)
def _page_statement(
    read_deleted: str,
    confined: bool,
    wanted: tuple[str, ...],
    order: _Order,
    behind: bool | None,
    limited: bool,
    dialect: Dialect,
) -> sa.Select[Any]:
    """Return the SELECT of a list; with ``behind`` only what follows a marker, whose sort key it says to be NULL."""
    where = [*_seen_clauses(read_deleted, confined), *(_CLAUSES[name] for name in wanted)]
    if behind is not None:
        where.append(_behind_clause(order, behind, dialect))
    statement = sa.select(*_fields(dialect)).where(*where).order_by(*_terms(order))
    return statement.limit(arg("limit", type_=sa.BigInteger())) if limited else statement


def _terms(order: _Order) -> Iterator[sa.ColumnElement[Any]]:
    column = t.c[order.key]
    if order.nulls_first is not None:
        yield column.is_(None).desc() if order.nulls_first else column.is_(None).asc()
    for one in dict.fromkeys((column, t.c.id)):
        yield one.desc() if order.descending else one.asc()


def _behind_clause(order: _Order, is_null: bool, dialect: Dialect) -> sa.ColumnElement[bool]:
    """Return the clause for what follows the marker.

    The server compares with the marker's own column: on the MySQL family no Python value equals every FLOAT.
    """
    column, nulls_first = t.c[order.key], order.nulls_first
    if nulls_first is None:
        nulls_first = order.descending == dialect.null_is_greatest
    follows = t.c.id < arg("marker") if order.descending else t.c.id > arg("marker")
    if column is t.c.id:
        return follows
    if is_null:
        tied = sa.and_(column.is_(None), follows)
        return sa.or_(tied, column.is_not(None)) if nulls_first else tied
    marker = t.alias("marker")
    value = sa.select(marker.c[order.key]).where(marker.c.id == arg("marker")).scalar_subquery()
    beyond = column < value if order.descending else column > value
    nulls = () if nulls_first else (column.is_(None),)
    return sa.or_(beyond, sa.and_(alike(column, value), follows), *nulls)


@functools.cache
def _locked_by_name_statement(dialect: Dialect) -> sa.Select[Any]:
    return dialect.lock_row(sa.select(t.c.id).where(t.c.name == arg("by_name"), *visible(t, "no")))


@require_context
@tx.main.reader
def flavor_get(context: Context, id: int) -> rows.FlavorWithSpecs:
    """Return the flavor with this id.

    Cost: 1 statement in 1 round trip.
    Raises: FlavorNotFound(flavor_id=id).
    """
    number = as_id(id)
    row = None if number is None else _get(context, context.read_deleted, id=number)
    if row is None:
        raise exceptions.FlavorNotFound(flavor_id=id)
    return row


@also_named(id="flavor_id")
@require_context
@tx.main.reader
def flavor_get_by_flavor_id(context: Context, flavor_id: str, read_deleted: str | None = None) -> rows.FlavorWithSpecs:
    """Return the flavor with this ``flavorid``: the live one, else the oldest of the soft-deleted ones.

    ``read_deleted`` counts in place of the context's.
    Cost: 1 statement in 1 round trip.
    Raises: FlavorNotFound(flavor_id); ValueError for an unknown ``read_deleted``.
    """
    if read_deleted is not None:
        check_read_deleted(read_deleted)
    row = _get(context, context.read_deleted if read_deleted is None else read_deleted, flavorid=flavor_id)
    if row is None:
        raise exceptions.FlavorNotFound(flavor_id=flavor_id)
    return row


@require_context
@tx.main.reader
def flavor_get_by_name(context: Context, name: str) -> rows.FlavorWithSpecs:
    """Return the flavor of this name: the live one, else the oldest of the soft-deleted ones.

    Cost: 1 statement in 1 round trip.
    Raises: FlavorNotFoundByName(flavor_name=name).
    """
    row = _get(context, context.read_deleted, name=name)
    if row is None:
        raise exceptions.FlavorNotFoundByName(flavor_name=name)
    return row


def _get(context: Context, read_deleted: str, **key: Any) -> rows.FlavorWithSpecs | None:
    transaction = current(context)
    shape, params = shape_of(key)
    confined, project = _project(context)
    row = transaction.row(_one_statement(read_deleted, confined, shape, transaction.dialect), **params, **project)
    return None if row is None else _with_specs(transaction, row)


def _project(context: Context) -> tuple[bool, Row]:
    """Return whether the context sees only some flavors, and the parameter that this takes."""
    return (False, {}) if context.is_admin else (True, {"project": context.project_id})


def _with_specs(transaction: Transaction, row: Row) -> rows.FlavorWithSpecs:
    specs = children.take(transaction, _SPECS, row, _PACKED, row["id"])
    row["extra_specs"] = {spec["key"]: spec["value"] for spec in specs}
    return cast("rows.FlavorWithSpecs", row)


@require_context
@tx.main.reader
def flavor_get_all(
    context: Context,
    inactive: bool = False,
    filters: Mapping[str, Any] | None = None,
    sort_key: str = "flavorid",
    sort_dir: str = "asc",
    limit: int | None = None,
    marker: str | None = None,
) -> list[rows.FlavorWithSpecs]:
    """Return the flavors that meet all filters, by ``sort_key`` and id; soft-deleted ones too if ``inactive``.

    ``min_memory_mb`` and ``min_root_gb`` are lower bounds, ``disabled`` and ``is_public`` are equal; None for
    ``is_public`` is ignored, and other keys are with a warning. ``is_public`` True lets in what is granted to the
    context's project.
    ``sort_dir`` is asc or desc, perhaps with -nullsfirst or -nullslast. ``marker`` is the ``flavorid`` of a flavor,
    whatever the filters say of it: only what follows it is returned.
    Cost: 1 statement, and 1 for a marker; in 1 round trip, 2 with a marker.
    Raises: InvalidSortKey(key); ValueError for another direction; MarkerNotFound(marker); InvalidInput(reason) for a
    limit that is not a number from 0.
    """
    transaction = current(context)
    read_deleted = "yes" if inactive else "no"
    confined, project = _project(context)
    order = _order(sort_key, sort_dir)
    wanted, params = _wanted(context, filters or {})
    behind = None
    if marker is not None:
        found = transaction.row(_marker_statement(read_deleted, confined, sort_key), flavorid=marker, **project)
        if found is None:
            raise exceptions.MarkerNotFound(marker=marker)
        behind, params["marker"] = found["is_null"], found["id"]
    size = check_limit(limit)
    if size is not None:
        params["limit"] = size
    statement = _page_statement(read_deleted, confined, wanted, order, behind, size is not None, transaction.dialect)
    return [_with_specs(transaction, row) for row in transaction.rows(statement, **project | params)]


def _order(key: str, direction: str) -> _Order:
    if not _is_text(key) or key not in _NAMES:
        raise exceptions.InvalidSortKey(key)
    if not _is_text(direction) or direction not in _DIRECTIONS:
        raise ValueError(f"a sort direction is one of {', '.join(_DIRECTIONS)}; got {quoted(direction)}")
    return _Order(key, *_DIRECTIONS[direction])


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _wanted(context: Context, filters: Mapping[str, Any]) -> tuple[tuple[str, ...], Row]:
    """Return the names of the clauses that the filters come to, and their parameters."""
    warn_of_unknown_filters("flavors", filters, _FILTERS)
    params = {name: filters[name] for name in ("min_memory_mb", "min_root_gb", "disabled") if name in filters}
    names = list(params)
    if params.get("disabled", False) is None:
        names[-1] = "disabled unknown"
        del params["disabled"]
    is_public = filters.get("is_public")
    if is_public is not None:
        params["is_public"] = is_public
        granted = is_public and context.project_id is not None
        names.append("is_public or granted" if granted else "is_public")
        if granted:
            params["project"] = context.project_id
    return tuple(names), params


@tx.main.writer
def flavor_create(
    context: Context, values: Mapping[str, Any], projects: Iterable[str] | None = None
) -> rows.FlavorWithSpecs:
    """Store a new flavor with its ``extra_specs``, grant it to the projects in their order, and return it.

    Cost: 1 statement, 1 for specs, 1 for projects; 2 for a flavor that exists; in 1 round trip, 2 with specs or
    projects.
    Raises: FlavorIdExists(flavor_id), FlavorExists(name) if a live flavor has the same, the former if both are taken;
    DBKeyClash; DBDataError for a project that can't be stored; DBError for everything else that the server refuses.
    """
    transaction = current(context)
    specs = mapping_in(values, "extra_specs")
    projects = list(dict.fromkeys(projects or ()))
    refuse_alike(transaction, instance_type_extra_specs.c.key, specs)
    refuse_alike(transaction, instance_type_projects.c.project_id, projects)
    with _plain_errors():
        flavor = _insert(transaction if specs or projects else transaction.last(), values)
        new = [{"instance_type_id": flavor["id"], "key": key, "value": value} for key, value in specs.items()]
        stored = transaction.later.insert_many(instance_type_extra_specs, new)
    granted = [{"instance_type_id": flavor["id"], "project_id": project} for project in projects]
    transaction.later.insert_many(instance_type_projects, granted)
    if specs or projects:
        _send_specs_and_grants(transaction, stored)
    shown = {**flavor, "extra_specs": {spec["key"]: spec["value"] for spec in stored.get()}}
    return cast("rows.FlavorWithSpecs", shown)


def _send_specs_and_grants(transaction: Transaction, specs: Pending[list[Row]]) -> None:
    """Send what waits; errors of specs leave as plain ``DBError``, those of grants as they are."""
    try:
        transaction.last().send_waiting()
    except exceptions.DBError:
        if specs.is_known:
            raise
        with _plain_errors():
            raise


def _insert(transaction: Transaction, values: Mapping[str, Any]) -> rows.Flavor:
    """Store the flavor's own row; which of its two keys is taken is asked, for each server names another one first."""
    row = transaction.insert_absent(t, values, ignore=("extra_specs",))
    if row is not None:
        return row
    flavor_id = values.get("flavorid")
    if flavor_id is not None and transaction.last().row(_SAME_FLAVOR_ID_STATEMENT, flavorid=flavor_id):
        raise exceptions.FlavorIdExists(flavor_id=flavor_id)
    raise exceptions.FlavorExists(name=values.get("name"))


@contextlib.contextmanager
def _plain_errors() -> Iterator[None]:
    """Let database errors leave as plain ``DBError``, except those that are met by running the transaction again."""
    try:
        yield
    except (exceptions.DBDeadlock, exceptions.DBConnectionError):
        raise
    except exceptions.DBError as error:
        raise exceptions.DBError(error.inner_exception) from error


@tx.main.writer
def flavor_destroy(context: Context, name: str) -> None:
    """Soft-delete the live flavor of this name, its extra specs and its access rows.

    Cost: 3 statements; 4 on the MySQL family; in 2 round trips.
    Lock: the flavor's row, then its children.
    Raises: FlavorNotFoundByName(flavor_name=name).
    """
    transaction = current(context)
    stamp = deleted_now()
    number = _destroy(transaction, name, stamp)
    if number is None:
        raise exceptions.FlavorNotFoundByName(flavor_name=name)
    for statement in _DESTROY_CHILDREN:
        transaction.later.execute(statement, by_flavor=number, **stamp)


def _destroy(transaction: Transaction, name: str, stamp: Row) -> int | None:
    """Soft-delete the flavor's own row and return its number, or None."""
    number: int | None
    if transaction.dialect.update_returning:
        number = transaction.scalar(_DESTROY_BY_NAME_STATEMENT, by_name=name, **stamp)
        return number
    number = transaction.scalar(_locked_by_name_statement(transaction.dialect), by_name=name)
    if number is not None:
        transaction.later.execute(_DESTROY_BY_ID_STATEMENT, by_id=number, **stamp)
    return number
