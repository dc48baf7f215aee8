# SPDX-License-Identifier: Apache-2.0

"""Lists of instances in the order of any columns, whole or page by page.

A page of an order for which there is an index is read in this order: it costs as much as the page, however many
instances the list has. For any other page all instances of the list are found first, and then sorted.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from nova_sqlcore import exceptions
from nova_sqlcore.core import types
from nova_sqlcore.queries.common.clauses import arg
from nova_sqlcore.queries.compute import filters as instance_filters, rows as instance_rows
from nova_sqlcore.tables import instances as t

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nova_sqlcore.core.dialects import Dialect
    from nova_sqlcore.core.handles import Row
    from nova_sqlcore.core.transaction import Transaction
    from nova_sqlcore.queries.compute.filters import Clause, Condition, Filters
    from nova_sqlcore.queries.compute.rows import Form

#: Keys to sort by, each with its direction.
Order = tuple[tuple[str, str], ...]

#: They end every comparison: no two instances share one.
_UNIQUE: Final = ("id", "uuid")
_BY_AGE: Final = ("created_at", "id")
_BY_ID: Final = ("id",)
_OF_ONE_PROJECT: Final = ("equal", "project_id")
#: Columns that have an index and few rows for each value.
_SELECTIVE: Final = ("project_id", "uuid", "host", "task_state")
_WITHOUT_HOST: Final = ("null", "host")
#: Kinds of conditions that find few rows by another index, or by that of another table.
_FINDERS: Final = ("since", "tags", "tags-any", "grantees", "untouched since")


def check_sort_keys(keys: Iterable[Any]) -> None:
    """Refuse to sort by what is not a column of an instance.

    Raises: InvalidSortKey(key).
    """
    for key in keys:
        if key not in instance_rows.COLUMNS:
            raise exceptions.InvalidSortKey(key)


def fetch(
    transaction: Transaction,
    form: Form,
    found: Filters,
    order: Order = (("id", "asc"),),
    marker: Mapping[str, Any] | None = None,
    limit: int | None = None,
) -> list[Row]:
    """Return the instances that fulfil ``found``, in this order, without children.

    With a ``marker``, the values of some instance in the keys of ``order``, only what comes behind it.
    """
    params = dict(found.params)
    order = _deciding(order)
    nulls = None
    if marker is not None:
        values = [marker[key] for key, _ in order]
        nulls = tuple(value is None for value in values)
        params |= {f"marker_{place}": value for place, value in enumerate(values) if value is not None}
    if limit is not None:
        params["limit"] = limit
    statement = _list_statement(form, tuple(found.shape), order, nulls, limit is not None, transaction.dialect)
    return instance_rows.assemble(transaction.rows(statement, **params), form)


def _deciding(order: Order) -> Order:
    """Return the order up to the first unique key: what follows decides nothing, and hides an index from MariaDB."""
    for place, (key, _) in enumerate(order, 1):
        if key in _UNIQUE:
            return order[:place]
    return order


@functools.lru_cache(maxsize=512)
def _list_statement(
    form: Form,
    shape: tuple[Condition, ...],
    order: Order,
    nulls: tuple[bool, ...] | None,
    limited: bool,
    dialect: Dialect,
) -> sa.Select[Any]:
    """Return the SELECT of instances that fulfil ``shape``, in this order of keys and directions.

    ``nulls``: only those behind a marker, which of whose sort keys are NULL.
    """
    pins = _pins(shape, order) if limited else None
    clauses = instance_filters.clauses(shape, dialect, pins)
    ranges = [] if nulls is None else _ranges_behind(order, nulls)
    if nulls is not None and (pins is None or dialect.reads_many_ranges or len(ranges) < 2):
        clauses.append(sa.or_(sa.false(), *ranges))
        ranges = []
    terms = _terms(shape, order, dialect, pins)
    if not limited:
        return instance_rows.select_statement(form).where(*clauses).order_by(*terms)
    if ranges or form.extra is not None:
        page = _cut_statement(form, order, dialect, [(*clauses, one) for one in ranges] or [clauses], terms)
    else:
        sorts_ids = dialect.sorts_whole_rows and pins is None and _finds_few(shape)
        page = _whole_statement(form, clauses, terms, sorts_ids=sorts_ids)
    if _OF_ONE_PROJECT in shape and order[0][0] in _UNIQUE:
        # 250 by id of a project with 50,000: 0.2 s by the plan that PostgreSQL keeps, which is for the average project
        return dialect.planned_anew(page)
    return page


def _whole_statement(
    form: Form, clauses: Sequence[Clause], terms: Sequence[sa.ColumnElement[Any]], *, sorts_ids: bool
) -> sa.Select[Any]:
    """Return the SELECT of a page to which all is joined before it is cut.

    Where whole rows would be sorted with all that is joined to them, ids are sorted: on sqlite that takes half the time
    for 1,000 of 5,000.
    """
    limit = arg("limit", type_=sa.BigInteger())
    if sorts_ids:
        page = sa.select(t.c.id).where(*clauses).order_by(*terms).limit(limit)
        return instance_rows.select_statement(form).where(t.c.id.in_(page)).order_by(*terms)
    return instance_rows.select_statement(form).where(*clauses).order_by(*terms).limit(limit)


def _cut_statement(
    form: Form,
    order: Order,
    dialect: Dialect,
    parts: Sequence[Sequence[Clause]],
    terms: Sequence[sa.ColumnElement[Any]],
) -> sa.Select[Any]:
    """Return the SELECT of a page that is finished before anything is joined to it.

    The limit counts instances, and ``extra`` may have several rows for one. Each of the ``parts`` is a range of an
    index, of which no more is read than the page takes.
    """
    limit = arg("limit", type_=sa.BigInteger())
    names = dict.fromkeys((*form.reads, *(key for key, _ in order)))
    pages = [sa.select(*(t.c[name] for name in names)).where(*one).order_by(*terms).limit(limit) for one in parts]
    page = pages[0].subquery("page")
    if len(pages) > 1:
        found = sa.union_all(*(sa.select(one.subquery()) for one in pages)).subquery()
        page = sa.select(found).order_by(*_order(found, order, dialect)).limit(limit).subquery("page")
    return instance_rows.select_statement(form, page).order_by(*_order(page, order, dialect))


# -- which index ------------------------------------------------------------------------------------------------------


def _pins(shape: Sequence[Condition], order: Order) -> tuple[str, ...] | None:
    """Return the columns of one value each behind which an index has the instances in this order.

    There are none if the order itself is that of a unique index. None: the instances are found by another index, or
    have to be sorted anyhow.
    """
    others = [one for one in shape if one != _OF_ONE_PROJECT]
    one_way = len({direction for _, direction in order}) == 1
    found_elsewhere = _finds_few(others) or _WITHOUT_HOST in others or any(kind in _FINDERS for kind, *_ in others)
    if found_elsewhere or not one_way or not any(map(instance_filters.is_live, others)):
        return None
    keys = tuple(key for key, _ in order)
    if len(others) < len(shape):
        return ("project_id", "deleted") if keys in (_BY_AGE, _BY_ID) else None
    return ("deleted",) if keys == _BY_AGE else () if keys[0] in _UNIQUE else None


def _finds_few(shape: Iterable[Condition]) -> bool:
    """Tell whether a condition has an index that finds few rows: they are to be sorted, not to be found in order."""
    return any(kind in ("equal", "in") and details[0] in _SELECTIVE for kind, *details in shape)


# -- the order, and what is behind a marker in it ---------------------------------------------------------------------


def _terms(
    shape: Iterable[Condition], order: Order, dialect: Dialect, pins: tuple[str, ...] | None
) -> list[sa.ColumnElement[Any]]:
    """Return the terms of ORDER BY for the table itself."""
    if pins is None:
        return _order(t, order, dialect, by_index=not _finds_few(shape))
    first = pins if dialect.sorts_by_pins else ()
    return [
        *(t.c[name].desc() if order[0][1] == "desc" else t.c[name].asc() for name in first),
        *_order(t, order, dialect),
    ]


def _order(
    source: sa.FromClause, order: Order, dialect: Dialect, *, by_index: bool = True
) -> list[sa.ColumnElement[Any]]:
    """Return the terms of ORDER BY: NULL is the smallest value everywhere."""
    terms = []
    for key, direction in order:
        column = _sortable(source.c[key])
        if not by_index:
            column = dialect.unindexed(column)
        if t.c[key].nullable:
            terms.append(dialect.nulls_smallest(column, direction))
        else:
            terms.append(column.desc() if direction == "desc" else column.asc())
    return terms


def _ranges_behind(order: Order, nulls: Sequence[bool], place: int = 0) -> list[Clause]:
    """Return clauses for the rows strictly behind the marker, in the order of the keys from ``place`` on.

    Each is a range of values of the first key, NULL (the smallest) or others, in their order.
    """
    if place == len(order):
        return []
    key, direction = order[place]
    column = _sortable(t.c[key])
    ties = _ranges_behind(order, nulls, place + 1)
    if nulls[place]:
        ranges: list[Clause] = [sa.and_(column.is_(None), sa.or_(*ties))] if ties else []
        return ranges if direction == "desc" else [*ranges, column.is_not(None)]
    value = arg(f"marker_{place}", type_=column.type)
    beyond, bound = (column < value, column <= value) if direction == "desc" else (column > value, column >= value)
    # the bound says little, but unlike the alternatives an index can serve it
    ranges = [sa.and_(bound, sa.or_(beyond, *ties)) if ties else beyond]
    return [*ranges, column.is_(None)] if direction == "desc" and t.c[key].nullable else ranges


def _sortable(column: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    """Return what to sort by: words of an ENUM as text, for MySQL sorts them by number but compares them as text."""
    return sa.cast(column, sa.String(255)) if isinstance(column.type, types.Enum) else column
