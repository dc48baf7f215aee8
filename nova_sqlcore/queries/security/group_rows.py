# SPDX-License-Identifier: Apache-2.0

"""Security groups with what hangs on them: rules that grant other groups, and instances.

A path of ``columns_to_join`` says what a group or a rule comes with; ``Joins`` is what all paths together ask for. One
group is read in one statement, its children embedded; the children of many groups come with one statement per kind.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import sqlalchemy as sa

from nova_sqlcore.core.texts import nearest, quoted
from nova_sqlcore.queries.common import children
from nova_sqlcore.queries.common.children import Relation
from nova_sqlcore.queries.common.clauses import arg, columns, split, visible
from nova_sqlcore.queries.common.lookups import Shape, equal, shape_of
from nova_sqlcore.queries.compute import rows as instance_rows
from nova_sqlcore.tables import (
    instance_info_caches,
    instances,
    row_columns,
    security_group_instance_association as memberships,
    security_group_rules as rules,
    security_groups as t,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nova_sqlcore import rows
    from nova_sqlcore.core.dialects import Dialect
    from nova_sqlcore.core.handles import Row
    from nova_sqlcore.core.transaction import Transaction

GRANTEE: Final = "grantee_"
_CACHE: Final = "info_cache_"
_PACKED: Final = "packed_"

_grantees = t.alias("grantees")
#: Rules beside the group that each grants access to, soft-deleted groups too; a deleted rule grants nothing.
WITH_GRANTEES: Final = rules.outerjoin(_grantees, sa.and_(_grantees.c.id == rules.c.group_id, rules.c.deleted == 0))
#: The columns of ``WITH_GRANTEES``; ``take_grantee`` sorts a row of them.
GRANTING: Final = (*columns(rules), *columns(_grantees, GRANTEE))

#: The ids of the groups that the live instance ``instance_uuid`` belongs to.
IDS_OF_INSTANCE: Final = (
    sa.select(memberships.c.security_group_id)
    .join(instances, instances.c.uuid == memberships.c.instance_uuid)
    .where(instances.c.uuid == arg("instance_uuid"), memberships.c.deleted == 0, instances.c.deleted == 0)
)


class Joins(NamedTuple):
    """What a row comes with."""

    #: a group: its rules, each with the group that it grants access to; a rule: that group
    grantees: bool = False
    instances: bool = False
    info_cache: bool = False
    system_metadata: bool = False


PATHS_OF_GROUP: Final = {
    "rules.grantee_group": Joins(grantees=True),
    "instances": Joins(instances=True),
    "instances.info_cache": Joins(instances=True, info_cache=True),
    "instances.system_metadata": Joins(instances=True, system_metadata=True),
}
PATHS_OF_RULE: Final = {
    "grantee_group": Joins(grantees=True),
    "grantee_group.instances.info_cache": Joins(grantees=True, instances=True, info_cache=True),
    "grantee_group.instances.system_metadata": Joins(grantees=True, instances=True, system_metadata=True),
}


def joins(known: Mapping[str, Joins], paths: Iterable[str]) -> Joins:
    """Return what these paths ask for together.

    Raises: ValueError for a path that is not ``known``.
    """
    asked = [Joins()]
    for path in paths:
        if path not in known:
            raise ValueError(f"there is no join {quoted(path)} here{nearest(path, known)}")
        asked.append(known[path])
    return Joins(*map(any, zip(*asked, strict=True)))


def get(
    transaction: Transaction, read_deleted: str, wanted: Joins, /, **key: Any
) -> rows.SecurityGroupWithChildren | None:
    """Return the first visible group with this key and what is wanted, or None.

    Cost: 1 statement; 1 more for the system metadata of its instances.
    """
    shape, params = shape_of(key)
    row = transaction.row(_one_statement(read_deleted, shape, wanted, transaction.dialect), **params)
    if row is None:
        return None
    for name, relation in _relations(wanted).items():
        row[name] = children.take(transaction, relation, row, _PACKED + name, row["id"])
    if wanted.system_metadata:
        _put_system_metadata(transaction, row["instances"])
    return cast("rows.SecurityGroupWithChildren", row)


def attach(transaction: Transaction, groups: Sequence[Any], wanted: Joins) -> None:
    """Put what is wanted into the rows of groups; the same group may be there more than once.

    Cost: 1 statement for rules, 1 for instances, 1 for the system metadata of these; none without groups.
    """
    ids = list(dict.fromkeys(group["id"] for group in groups))
    relations = _relations(wanted)
    asked = {name: children.ask(transaction, relation, ids) for name, relation in relations.items()}
    for name in relations:
        found = asked[name]()
        for group in groups:
            group[name] = found.get(group["id"], [])
        if name == "instances" and wanted.system_metadata:
            _put_system_metadata(transaction, [member for group in groups for member in group[name]])


def take_grantee(rule: Row) -> Row:
    """Sort what was read of ``WITH_GRANTEES``: the rule has ``grantee_group``, a group or None."""
    rule["grantee_group"] = split(rule, GRANTEE)
    return rule


@functools.lru_cache(maxsize=128)
def _one_statement(read_deleted: str, shape: Shape, wanted: Joins, dialect: Dialect) -> sa.Select[Any]:
    embedded = (
        children.embedded(relation, t, dialect).label(_PACKED + name) for name, relation in _relations(wanted).items()
    )
    where = (*equal(t, shape), *visible(t, read_deleted))
    return sa.select(*columns(t), *embedded).where(*where).order_by(t.c.id).limit(1)


@functools.cache
def _relations(wanted: Joins) -> dict[str, Relation]:
    """Return the children that are read with a group, by their keys in its row."""
    found = {}
    if wanted.grantees:
        found["rules"] = _RULES
    if wanted.instances:
        found["instances"] = _members(wanted.info_cache)
    return found


_RULES = Relation(
    {column.name: column for column in row_columns(rules)}
    | {GRANTEE + column.name: _grantees.c[column.name] for column in row_columns(t)},
    WITH_GRANTEES,
    rules.c.parent_group_id,
    link=(rules.c.parent_group_id == t.c.id,),
    where=visible(rules, "no"),
    fold=lambda found: [take_grantee(rule) for rule in found],
)


@functools.cache
def _members(with_info_cache: bool) -> Relation:
    """Return the live instances of live groups."""
    fields: dict[str, sa.ColumnElement[Any]] = {name: instances.c[name] for name in instance_rows.COLUMNS}
    source = memberships.join(instances, instances.c.uuid == memberships.c.instance_uuid)
    if with_info_cache:
        caches = instance_info_caches
        fields |= {_CACHE + column.name: column for column in row_columns(caches)}
        source = source.outerjoin(caches, caches.c.instance_uuid == instances.c.uuid)
    return Relation(
        fields,
        source,
        t.c.id,
        link=(memberships.c.security_group_id == t.c.id, t.c.deleted == 0),
        where=(memberships.c.deleted == 0, instances.c.deleted == 0),
        fold=_once_with_info_cache if with_info_cache else _once,
    )


def _once(found: list[Row]) -> list[Row]:
    """Return each instance once, however often it was added to the group, with its name."""
    return [instance_rows.named(row) for row in {row["id"]: row for row in found}.values()]


def _once_with_info_cache(found: list[Row]) -> list[Row]:
    rows = _once(found)
    for row in rows:
        row["info_cache"] = split(row, _CACHE)
    return rows


def _put_system_metadata(transaction: Transaction, members: Sequence[Row]) -> None:
    items = instance_rows.ask_system_metadata(transaction, members)
    instance_rows.put(members, "system_metadata", items())
