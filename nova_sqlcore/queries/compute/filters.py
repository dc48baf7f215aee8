# SPDX-License-Identifier: Apache-2.0

"""What lists of instances ask for: the filter language and its conditions.

Conditions are a shape and parameters: the shape says which there are, of which kind, on which columns, and is a key to
the statement, which is built once; every value is a parameter. ``translate`` makes them from a dict of filters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from nova_sqlcore import exceptions
from nova_sqlcore.core import patterns, types
from nova_sqlcore.core.equality import exactly
from nova_sqlcore.core.texts import quoted
from nova_sqlcore.queries.common.arguments import text_of, warn_of_unknown_filters
from nova_sqlcore.queries.common.clauses import arg, arg_list, visible
from nova_sqlcore.queries.common.ids import as_id
from nova_sqlcore.queries.compute import rows as instance_rows
from nova_sqlcore.settings import settings
from nova_sqlcore.tables import (
    instance_metadata,
    instance_system_metadata,
    instances as t,
    security_group_instance_association,
    security_group_rules,
    security_groups,
    tags,
)
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Iterable, Mapping, Sequence, Sized

    from nova_sqlcore.context import Context
    from nova_sqlcore.core.dialects import Dialect

#: One condition: its kind, and what of it stands in the statement's text.
Condition = tuple[Any, ...]
Clause = sa.ColumnElement[bool]

SOFT_DELETED: Final = "soft-delete"

_EXACT = (
    "project_id",
    "user_id",
    "image_ref",
    "vm_state",
    "instance_type_id",
    "uuid",
    "metadata",
    "host",
    "task_state",
    "system_metadata",
)
#: All names of filters. Nova's API leaves ``ip`` and ``ip6`` in after it has met them.
_KNOWN = frozenset(
    (
        *_EXACT,
        *instance_rows.COLUMNS,
        "changes-since",
        "deleted",
        "soft_deleted",
        "cleaned",
        "tags",
        "tags-any",
        "filter",
    )
) | {"ip", "ip6"}
_COLLECTIONS = (list, tuple, set, frozenset)


class Filters:
    """What a dict of filters comes to: the shape of a statement, and its parameters."""

    def __init__(self, dialect: Dialect | None = None) -> None:
        """Start without any condition; ``dialect`` says which text no row can have."""
        self.dialect = dialect
        self.shape: list[Condition] = []
        self.params: dict[str, Any] = {}

    def add(self, kind: str, *details: Any, values: Sequence[Any] = ()) -> None:
        """Add a condition; ``details`` are part of the statement, ``values`` are parameters."""
        place = len(self.shape)
        self.shape.append((kind, *details))
        self.params |= {_parameter(place, number): value for number, value in enumerate(values)}

    def equals(self, name: str, value: Any) -> None:
        """Add that a column has this value; None stands for NULL."""
        if value is None:
            self.add("null", name)
        else:
            self.add("equal", name, values=[value])


def _parameter(place: int, number: int = 0) -> str:
    """Return the name of the parameter with a number of the condition at this place."""
    return f"filter_{place}_{number}"


# -- from filters to conditions ---------------------------------------------------------------------------------------


def translate(context: Context, filters: Mapping[str, Any], operator: str) -> Filters | None:
    """Return what these filters ask of an instance that the context may see; None if no instance can have it.

    ``operator`` is the one for patterns. Filters are looked at in the reference's order, which decides between errors.
    Raises: AttributeError for a ``changes-since`` that is not a datetime. InvalidInput(reason) for tags or metadata of
    another shape, too many values and bad patterns. InvalidParameterValue(err) for an unknown tag filter.
    """
    rest = dict(filters)
    found = Filters(current(context).dialect)
    _add_state(found, rest)
    _add_tags(found, rest)
    if not context.is_admin:
        name = "project_id" if context.project_id else "user_id"
        rest[name] = getattr(context, name)
    for name in _EXACT:
        if name in rest and not _add_exact(found, name, rest.pop(name)):
            return None
    warn_of_unknown_filters("instances", rest, _KNOWN)
    _add_patterns(found, rest, operator)
    _add_blocks(found, rest.get("filter"), context.read_deleted)
    return found


def _add_state(found: Filters, rest: dict[str, Any]) -> None:
    """Translate ``changes-since``, ``deleted`` with ``soft_deleted``, and ``cleaned``."""
    if "changes-since" in rest:
        found.add("since", values=[_moment(rest["changes-since"])])
    if "deleted" in rest:
        deleted = bool(rest.pop("deleted"))
        found.add("deleted" if deleted else "live", bool(rest.pop("soft_deleted", deleted)))
    if "cleaned" in rest:
        found.add("cleaned", values=[1 if rest.pop("cleaned") else 0])


def _moment(value: Any) -> datetime.datetime:
    if not hasattr(value, "utcoffset"):
        raise AttributeError(f"the filter changes-since takes a datetime, not {quoted(value)}")
    moment: datetime.datetime = value
    return moment


def _check_length(name: str, values: Sized) -> None:
    """Raises: InvalidInput(reason) for more values than a filter takes."""
    most = settings.max_filter_values
    if len(values) > most:
        raise exceptions.InvalidInput(reason=f"the filter {name} takes {most} values at most, not {len(values)}")


def _texts(column: sa.Column[Any], values: Iterable[Any], dialect: Any) -> tuple[list[Any], int]:
    """Return the values in stored form, each once, except None; and how many of them no row can have.

    Raises: DBDataError for what is not text.
    """
    stored: dict[Any, None] = {}
    unheld = 0
    for value in values:
        try:
            stored[column.type.process_bind_param(value, dialect)] = None  # type: ignore[attr-defined]  # ours
        except types.UnheldText:
            unheld += 1
        except types.UnstorableValue as error:
            raise exceptions.DBDataError(f"{column} {error}") from error
    return [text for text in stored if text is not None], unheld


def _add_tags(found: Filters, rest: dict[str, Any]) -> None:
    """Translate ``tags``, of which an instance has all, and ``tags-any``, of which it has one at least."""
    for name in ("tags", "tags-any"):
        if name not in rest:
            continue
        wanted = rest.pop(name)
        if not isinstance(wanted, _COLLECTIONS):
            raise exceptions.InvalidInput(reason=f"the filter {name} takes a list of tags, not {quoted(wanted)}")
        _check_length(name, wanted)
        distinct, unheld = _texts(tags.c.tag, wanted, found.dialect)
        if name == "tags-any":
            found.add("tags-any", values=[distinct])
        elif wanted:
            # no instance has None for a tag
            found.add("tags", values=[distinct, len(distinct) + unheld + (None in wanted)])


def _add_exact(found: Filters, name: str, value: Any) -> bool:
    """Translate a filter by value; False if it is an empty collection, which nothing matches."""
    if name in instance_rows.METADATA:
        _add_pairs(found, name, value)
        return True
    numbers = isinstance(t.c[name].type, types.Integer)
    if isinstance(value, _COLLECTIONS):
        if not value:
            return False
        items = [as_id(item) if numbers else item for item in value]
        found.add("in", name, values=[[item for item in items if item is not None]])
    elif numbers and value is not None and as_id(value) is None:
        found.add("in", name, values=[[]])
    else:
        found.equals(name, value)
    return True


def _add_pairs(found: Filters, name: str, value: Any) -> None:
    """Translate pairs of metadata. As in the reference, key and value may be met by two rows of the instance."""
    pairs: list[tuple[Any, Any]] = []
    for one in value if isinstance(value, list | tuple) else [value]:
        if not isinstance(one, dict):
            raise exceptions.InvalidInput(
                reason=f"the filter {name} takes a dict or a list of dicts, not {quoted(value)}"
            )
        pairs += one.items()
    _check_length(name, pairs)
    if pairs:
        table = instance_metadata if name == "metadata" else instance_system_metadata
        keys, values = zip(*pairs, strict=True)
        texts = [_texts(table.c.key, keys, found.dialect), _texts(table.c.value, values, found.dialect)]
        counts = [len(one) + unheld for one, unheld in texts]
        found.add("pairs", name, None in keys, None in values, values=[*(one for one, _ in texts), *counts])


def _add_patterns(found: Filters, rest: Mapping[str, Any], operator: str) -> None:
    """Translate all other columns: patterns that match anywhere; what is not a column means nothing."""
    for name in sorted(name for name in rest if name in instance_rows.COLUMNS):
        text = text_of(f"filters[{name!r}]", rest[name])
        found.add("pattern", name, operator, values=[f"%{text}%" if operator == "LIKE" else _pattern_text(name, text)])


def _pattern_text(name: str, text: str) -> str:
    """Return the pattern as all servers understand it.

    Raises: InvalidInput(reason).
    """
    try:
        return patterns.parse(text).text
    except ValueError as error:
        raise exceptions.InvalidInput(reason=f"the pattern {text[:60]!r} for {name} can't be used: {error}") from error


def _add_blocks(found: Filters, blocks: Iterable[Any] | None, read_deleted: str) -> None:
    """Translate ``filter``: each ``tag:<key>`` holds, and one at least of all ``tag-key`` and ``tag-value``."""
    either: dict[str, list[Any]] = {}
    every: list[tuple[str, list[Any]]] = []
    for block in blocks or ():
        name = block.get("name") if isinstance(block, dict) else None
        if not isinstance(name, str):
            continue
        word, values = name[4:], _values_of(block)
        if name.startswith("tag-"):
            if word not in ("key", "value"):
                raise exceptions.InvalidParameterValue(err=f"Invalid field name: {word}")
            either.setdefault(word, []).extend(values)
        elif name.startswith("tag:"):
            every.append((word, values))
    _check_length("filter", [value for _, values in (*every, *either.items()) for value in values] or every)
    _check_length("filter", every)
    if every:
        found.add("every tag", read_deleted, len(every), values=[part for pair in every for part in pair])
    if either:
        names = sorted(either)
        found.add("either", read_deleted, *names, values=[either[name] for name in names])


def _values_of(block: Mapping[str, Any]) -> list[Any]:
    value = block.get("value")
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, list | tuple | set):
        value = [value]
    return [item for item in value if item is not None]


# -- from conditions to clauses ---------------------------------------------------------------------------------------


def clauses(shape: Iterable[Condition], dialect: Dialect, pins: tuple[str, ...] | None = None) -> list[Clause]:
    """Return the clauses of these conditions.

    ``pins``, where rows are to be read in the order of an index: the columns that it begins with, each of one value.
    """
    return [_clause(place, dialect, pins, *condition) for place, condition in enumerate(shape)]


def _clause(place: int, dialect: Dialect, pins: tuple[str, ...] | None, kind: str, *details: Any) -> Clause:
    if kind == "pattern":
        return _pattern_clause(place, dialect, *details)
    if pins is not None and is_live((kind, *details)):
        mark = _mark_clause(dialect, pins)
        return sa.and_(mark, *_not_soft_deleted(*details)) if kind == "live" else mark
    if pins and (kind, *details) == ("equal", pins[0]):
        column = t.c[pins[0]]
        return dialect.pinned(column, arg(_parameter(place), type_=column.type))
    return _CLAUSES[kind](place, *details)


def _mark_clause(dialect: Dialect, pins: tuple[str, ...]) -> Clause:
    """Return that a row is live, which leads to it only if the index begins with the mark."""
    mark = dialect.pinned(t.c.deleted, 0) if "deleted" in pins else t.c.deleted == 0
    return mark if pins[:1] == ("deleted",) else dialect.common(mark)


def is_live(condition: Condition) -> bool:
    """Tell whether a condition lets nothing but live rows through."""
    return condition[0] == "live" or condition == ("visible", "no")


def _since_clause(place: int) -> Clause:
    return t.c.updated_at >= arg(_parameter(place))


def _deleted_clause(place: int, or_soft_deleted: bool) -> Clause:
    """``deleted != 0`` follows from the other condition, and unlike it can use an index."""
    deleted = sa.and_(t.c.deleted == t.c.id, t.c.deleted != 0)
    return sa.or_(deleted, t.c.vm_state == SOFT_DELETED) if or_soft_deleted else deleted


def _live_clause(place: int, or_soft_deleted: bool) -> Clause:
    return sa.and_(t.c.deleted == 0, *_not_soft_deleted(or_soft_deleted))


def _not_soft_deleted(or_soft_deleted: bool) -> tuple[Clause, ...]:
    return () if or_soft_deleted else (sa.or_(t.c.vm_state != SOFT_DELETED, t.c.vm_state.is_(None)),)


def _cleaned_clause(place: int) -> Clause:
    return t.c.cleaned == arg(_parameter(place))


def _all_tags_clause(place: int) -> Clause:
    having = sa.func.count() == arg(_parameter(place, 1), type_=sa.Integer())
    holders = _holders_statement(place).group_by(tags.c.resource_id).having(having)
    return sa.and_(t.c.uuid.in_(holders), t.c.deleted == 0)


def _any_tag_clause(place: int) -> Clause:
    return sa.and_(t.c.uuid.in_(_holders_statement(place)), t.c.deleted == 0)


def _holders_statement(place: int) -> sa.Select[Any]:
    return sa.select(tags.c.resource_id).where(tags.c.tag.in_(arg_list(_parameter(place))))


def _equal_clause(place: int, name: str) -> Clause:
    return t.c[name] == arg(_parameter(place))


def _in_clause(place: int, name: str) -> Clause:
    return t.c[name].in_(arg_list(_parameter(place)))


def _null_clause(place: int, name: str) -> Clause:
    return t.c[name].is_(None)


def _not_null_clause(place: int, name: str) -> Clause:
    return t.c[name].is_not(None)


def _differs_clause(place: int, name: str) -> Clause:
    return t.c[name] != arg(_parameter(place))


def _visible_clause(place: int, read_deleted: str) -> Clause:
    return sa.and_(sa.true(), *visible(t, read_deleted))


def _ended_after_clause(place: int) -> Clause:
    return sa.or_(t.c.terminated_at.is_(None), t.c.terminated_at > arg(_parameter(place)))


def _launched_before_clause(place: int) -> Clause:
    return t.c.launched_at < arg(_parameter(place))


def _untouched_since_clause(place: int) -> Clause:
    return t.c.updated_at <= arg(_parameter(place))


def _grantees_clause(place: int) -> Clause:
    """Live, and in a live group with a live rule that names one of the groups as its source."""
    member, group, rule = security_group_instance_association, security_groups, security_group_rules
    members = (
        sa.select(member.c.instance_uuid)
        .select_from(rule)
        .join(group, group.c.id == rule.c.parent_group_id)
        .join(member, member.c.security_group_id == group.c.id)
        .where(rule.c.group_id.in_(arg_list(_parameter(place))))
        .where(*(table.c.deleted == 0 for table in (rule, group, member)))
    )
    return sa.and_(t.c.uuid.in_(members), t.c.deleted == 0)


def _pairs_clause(place: int, name: str, *with_null: bool) -> Clause:
    """All keys and all values are among the metadata; of system metadata soft-deleted rows count too."""
    table = instance_metadata if name == "metadata" else instance_system_metadata
    wanted: list[Clause] = []
    for number, (item, is_null) in enumerate(zip((table.c.key, table.c.value), with_null, strict=True)):
        found = sa.case((item.in_(arg_list(_parameter(place, number))), exactly(item)[-1]))
        wanted.append(sa.func.count(found.distinct()) == arg(_parameter(place, number + 2), type_=sa.Integer()))
        if is_null:
            wanted.append(_some_clause(item.is_(None)))
    return _all_of_clause(table, wanted, *visible(table, "no" if name == "metadata" else "yes"))


def _every_tag_clause(place: int, read_deleted: str, count: int) -> Clause:
    """For each of so many pairs there is a row with its key and one of its values."""
    key, value = instance_metadata.c.key, instance_metadata.c.value
    rows = (
        sa.and_(key == arg(_parameter(place, number)), value.in_(arg_list(_parameter(place, number + 1))))
        for number in range(0, 2 * count, 2)
    )
    return _all_of_clause(
        instance_metadata, [_some_clause(row) for row in rows], *visible(instance_metadata, read_deleted)
    )


def _some_clause(row: Clause) -> Clause:
    return sa.func.max(sa.case((row, 1), else_=0)) == 1


def _all_of_clause(table: sa.Table, wanted: Sequence[Clause], *shown: Clause) -> Clause:
    """Return that these aggregates hold over the instance's rows of ``table``.

    One subquery, for a clause EXISTS per pair takes servers for ever: 100 pairs took PostgreSQL 14 s to plan.
    """
    holds = sa.select(sa.case((sa.and_(*wanted), 1), else_=0)).where(table.c.instance_uuid == t.c.uuid, *shown)
    return holds.correlate(t).scalar_subquery() == 1


def _either_clause(place: int, read_deleted: str, *names: str) -> Clause:
    wanted = [instance_metadata.c[name].in_(arg_list(_parameter(place, number))) for number, name in enumerate(names)]
    return _row_of_clause(instance_metadata, sa.or_(*wanted), *visible(instance_metadata, read_deleted))


def _row_of_clause(table: sa.Table, *wanted: Clause) -> Clause:
    return sa.exists().where(table.c.instance_uuid == t.c.uuid, *wanted)


def _pattern_clause(place: int, dialect: Dialect, name: str, operator: str) -> Clause:
    text = arg(_parameter(place), type_=sa.Text())
    return dialect.as_text(t.c[name]).bool_op(operator)(text)


_CLAUSES: dict[str, Callable[..., Clause]] = {
    "since": _since_clause,
    "deleted": _deleted_clause,
    "live": _live_clause,
    "cleaned": _cleaned_clause,
    "tags": _all_tags_clause,
    "tags-any": _any_tag_clause,
    "equal": _equal_clause,
    "in": _in_clause,
    "null": _null_clause,
    "pairs": _pairs_clause,
    "every tag": _every_tag_clause,
    "either": _either_clause,
    "not null": _not_null_clause,
    "differs": _differs_clause,
    "visible": _visible_clause,
    "ended after": _ended_after_clause,
    "launched before": _launched_before_clause,
    "untouched since": _untouched_since_clause,
    "grantees": _grantees_clause,
}
