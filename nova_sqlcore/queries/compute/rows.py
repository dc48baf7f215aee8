# SPDX-License-Identifier: Apache-2.0

"""The row of an instance with what hangs on it: how it is asked for, read and put together.

What a caller asks for becomes a ``Form``: which columns, which one-to-one rows (``info_cache``, ``extra``: LEFT JOINs),
which children. A form is part of a statement's shape. One instance is read in one statement, its children embedded; the
children of many instances come with one statement per kind.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from nova_sqlcore.core import types
from nova_sqlcore.core.equality import alike_one_of
from nova_sqlcore.core.statements import with_parts
from nova_sqlcore.core.texts import nearest, quoted
from nova_sqlcore.queries.common import children
from nova_sqlcore.queries.common.children import Relation
from nova_sqlcore.queries.common.clauses import arg, arg_list, columns, own_project, rows_in, visible
from nova_sqlcore.settings import settings
from nova_sqlcore.tables import (
    block_device_mapping,
    instance_extra,
    instance_info_caches,
    instance_metadata,
    instance_system_metadata,
    instances as t,
    pci_devices,
    row_columns,
    security_group_instance_association,
    security_group_rules,
    security_groups,
    services,
    tags,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Sequence

    from nova_sqlcore.context import Context
    from nova_sqlcore.core.dialects import Dialect
    from nova_sqlcore.core.handles import Row
    from nova_sqlcore.core.transaction import Transaction


#: What gives the children of each join by uuid, once they are there.
Asked = dict[str, "Callable[[], children.Groups]"]

#: The columns of an instance, in a row's order; ``name`` comes on top.
COLUMNS: Final = tuple(column.name for column in row_columns(t))
#: Both kinds are lists in every whole row, empty where nobody asked for them.
METADATA: Final = ("metadata", "system_metadata")

_TEXTS = tuple(column.name for column in row_columns(instance_extra) if isinstance(column.type, types.Text))
_EXTRA = tuple(column.name for column in row_columns(instance_extra) if column.name not in _TEXTS)
_CHILD_NAMES = (
    *METADATA,
    "security_groups",
    "security_groups.rules",
    "pci_devices",
    "tags",
    "services",
    "block_device_mapping",
)
#: Children that only live instances show.
_OF_LIVE: Final = frozenset(("security_groups", "security_groups.rules", "tags", "services"))
#: ``extra`` alone gives the columns that every row has; the long texts come one by one.
EXTRA_JOINS: Final = ("extra", *(f"extra.{name}" for name in (*_TEXTS, *_EXTRA)))
_JOINS = (*_CHILD_NAMES, "info_cache", *EXTRA_JOINS)


@dataclasses.dataclass(frozen=True, slots=True)
class Form:
    """What the row of an instance holds."""

    #: one-to-many relations by their join names
    children: tuple[str, ...] = ()
    info_cache: bool = False
    #: the columns of ``extra``; None: no such key
    extra: tuple[str, ...] | None = None
    #: the columns of the instance that the statement reads
    reads: tuple[str, ...] = COLUMNS
    #: what the caller has asked for in their place; None: everything, the name and both kinds of metadata included
    only: tuple[str, ...] | None = None


def form(joins: Iterable[str], only: Iterable[str] | None = None) -> Form:
    """Return the form with these joins, of all columns or only some.

    Raises: ValueError for a name that is neither a join nor a column.
    """
    return _form(tuple(joins), None if only is None else tuple(only), _takes_number(settings.instance_name_template))


def form_of_one(joins: Iterable[str] | None, only: Iterable[str] | None = None) -> Form:
    """Return the form of the functions that get one instance: groups with rules and the info cache always.

    Without ``joins`` both kinds of metadata too. With ``only`` nothing comes but what is named.
    Raises: ValueError for a name that is neither a join nor a column.
    """
    if only is not None:
        return form(joins or (), only)
    return form((*(METADATA if joins is None else joins), "info_cache", "security_groups.rules"))


@functools.lru_cache(maxsize=512)
def _form(joins: tuple[str, ...], only: tuple[str, ...] | None, name_is_number: bool) -> Form:
    for join in joins:
        _check(join, _JOINS, "join")
    wanted = dict.fromkeys(join for join in joins if join in _CHILD_NAMES)
    if "security_groups.rules" in wanted:
        wanted.pop("security_groups", None)
    texts = [join.partition(".")[2] for join in joins if join.startswith("extra")]
    extra = (*_EXTRA, *dict.fromkeys(name for name in texts if name in _TEXTS)) if texts else None
    reads = COLUMNS
    if only is not None:
        for name in only:
            _check(name, (*COLUMNS, "name"), "column")
        if "name" not in only or name_is_number:
            needed = {"id", "uuid", *only} if _OF_LIVE.isdisjoint(wanted) else {"id", "uuid", "deleted", *only}
            reads = tuple(name for name in COLUMNS if name in needed)
    return Form(tuple(wanted), "info_cache" in joins, extra, reads, only)


def _check(name: str, legal: Collection[str], kind: str) -> None:
    if name not in legal:
        raise ValueError(f"an instance has no {kind} {quoted(name)}{nearest(name, legal)}")


# -- the computed name ------------------------------------------------------------------------------------------------


def named(row: Row) -> Row:
    """Put the computed ``name`` into a row that holds the columns of an instance, and return it."""
    _put_names([row])
    return row


def _put_names(rows: Iterable[Row]) -> None:
    template = settings.instance_name_template
    if _takes_number(template):
        for row in rows:
            row["name"] = template % row["id"]
    else:
        for row in rows:
            row["name"] = _name(template, row)


def _name(template: str, row: Row) -> str:
    try:
        return template % {column: row[column] for column in COLUMNS}  # without children, and without an old name
    except KeyError:
        return str(row["uuid"])


@functools.lru_cache(maxsize=16)
def _takes_number(template: str) -> bool:
    """Tell whether names are made of ids alone."""
    try:
        template % 1
    except TypeError:
        return False
    return True


# -- the instance and its one-to-one rows -----------------------------------------------------------------------------


def select_statement(form: Form, source: sa.FromClause = t) -> sa.Select[Any]:
    """Return the SELECT of instances in this form, without children; ``source`` may be a page of the table."""
    fields: list[sa.ColumnElement[Any]] = [source.c[name] for name in form.reads]
    joined = source
    if form.info_cache:
        fields += columns(instance_info_caches, "info_cache_")
        joined = joined.outerjoin(instance_info_caches, instance_info_caches.c.instance_uuid == source.c.uuid)
    if form.extra is not None:
        fields += [instance_extra.c[name].label(f"extra_{name}") for name in form.extra]
        joined = joined.outerjoin(instance_extra, instance_extra.c.instance_uuid == source.c.uuid)
    parts = [name for name, is_wanted in (("info_cache", form.info_cache), ("extra", form.extra)) if is_wanted]
    return with_parts(sa.select(*fields).select_from(joined), *parts)


def assemble(rows: list[Row], form: Form) -> list[Row]:
    """Return what ``select_statement`` has read as instances with their names.

    An instance with several rows of ``extra`` appears once: the live row counts, then the newest.
    """
    if form.extra is not None:
        rows = _distinct(rows)
    if form.only is None or "name" in form.only:
        _put_names(rows)
    return rows


def put_no_metadata(rows: Iterable[Row], form: Form, asked: Collection[str]) -> None:
    """Put empty lists of metadata into whole rows of instances, of those kinds that have not been asked for."""
    for kind in METADATA:
        if form.only is None and kind not in asked:
            for row in rows:
                row[kind] = []


def trim(rows: list[Row], form: Form, joins: Collection[str] = METADATA) -> list[Row]:
    """Take out of complete rows what the caller did not ask for, and return them.

    ``joins`` are the kinds of metadata that the caller has asked for.
    """
    if form.only is not None:
        for name in (*(set(form.reads) - set(form.only)), *(set(METADATA) - set(joins))):
            for row in rows:
                row.pop(name, None)
    return rows


def _distinct(rows: list[Row]) -> list[Row]:
    """Return one row per instance: no unique key keeps ``extra`` from having two for it."""
    best: dict[int, Row] = {}
    for row in rows:
        known = best.setdefault(row["id"], row)
        if known is not row and _rank(row["extra"]) > _rank(known["extra"]):
            best[row["id"]] = row
    return list(best.values())


def _rank(extra: Row) -> tuple[bool, int]:
    return extra["deleted"] == 0, extra["id"]


# -- children ---------------------------------------------------------------------------------------------------------


def key_of(join: str) -> str:
    """Return the key of an instance's row under which the children of this join stand."""
    return "security_groups" if join == "security_groups.rules" else join


@functools.cache
def relation(join: str, read_deleted: str = "no", only_allocated: bool = False) -> Relation:
    """Return the children of this join.

    ``read_deleted`` goes for metadata and PCI devices, ``only_allocated`` for PCI devices; the other joins have rules
    of their own.
    """
    match join:
        case "metadata":
            return _owned(instance_metadata, visible(instance_metadata, read_deleted))
        case "system_metadata":
            return _owned(instance_system_metadata, ())
        case "block_device_mapping":
            return _owned(block_device_mapping, visible(block_device_mapping, "no"))
        case "pci_devices":
            allocated = (pci_devices.c.status == "allocated",) if only_allocated else ()
            return _owned(pci_devices, (*allocated, *visible(pci_devices, read_deleted)))
        case "tags":
            owner = tags.c.resource_id
            return Relation(_named_columns(tags), tags, owner, (owner == t.c.uuid, t.c.deleted == 0), order=("tag",))
        case "services":
            link = (services.c.host == t.c.host, t.c.deleted == 0)
            return Relation(_named_columns(services), services, t.c.uuid, link, (services.c.binary == "nova-compute",))
    return _groups(with_rules=join == "security_groups.rules")


def ask(transaction: Transaction, rows: Sequence[Row], form: Form) -> Asked:
    """Ask for the children of many instances, one statement per kind; they travel with the next one.

    Metadata is left to the caller: which of it shows depends on the function. PCI devices come in any status.
    """
    return _ask(transaction, rows, [join for join in form.children if join not in METADATA])


def _ask(transaction: Transaction, rows: Sequence[Row], joins: Iterable[str]) -> Asked:
    return {join: ask_for(transaction, relation(join), _parents(rows, join)) for join in joins if rows}


def _parents(rows: Sequence[Row], join: str) -> Sequence[Row]:
    """Return those that may have children of this join, so that no statement need read their table for that."""
    return [row for row in rows if row["deleted"] == 0] if join in _OF_LIVE else rows


def ask_for(transaction: Transaction, relation: Relation, instances: Sequence[Row]) -> Callable[[], children.Groups]:
    """Ask for children of one kind, of instances whose rows hold their uuid; they travel with the next statement."""
    return children.ask_of_rows(transaction, relation, t.c.uuid, instances)


def ask_system_metadata(transaction: Transaction, instances: Iterable[Row]) -> Callable[[], children.Groups]:
    """Ask for the system metadata of instances, soft-deleted items too; one instance may be there more than once."""
    distinct = {instance["id"]: instance for instance in instances}
    return ask_for(transaction, relation("system_metadata"), list(distinct.values()))


def attach(rows: Iterable[Row], asked: Asked) -> None:
    """Put the children that have been asked for into the rows of their instances."""
    for join, groups in asked.items():
        put(rows, join, groups())


def put(rows: Iterable[Row], join: str, groups: children.Groups) -> None:
    """Put the children of this join into the rows of their instances."""
    key = key_of(join)
    for row in rows:
        row[key] = groups.get(row["uuid"]) or []


def get(context: Context, transaction: Transaction, by: str, value: Any, form: Form) -> Row | None:
    """Return the instance whose column ``by`` has this value, if the context may see it and its project.

    Cost: 1 statement, whatever the joins.
    """
    project = own_project(context)
    statement = _one_statement(by, context.read_deleted, project is not None, form, transaction.dialect)
    owned = {} if project is None else {"project": project}
    rows = assemble(transaction.rows(statement, value=value, **owned), form)
    put_no_metadata(rows, form, form.children)
    for row in rows:
        _unpack(transaction, row, form)
    return trim(rows, form)[0] if rows else None


def get_many(context: Context, transaction: Transaction, uuids: Sequence[str], form: Form) -> list[Row]:
    """Return the instances with these uuids that the context may see, in this order.

    Cost: 1 statement per 500 instances, and 1 for each kind of children.
    """
    project = own_project(context)
    owned = {} if project is None else {"project": project}
    statement = _many_statement(context.read_deleted, project is not None, form)
    known = {row["uuid"]: row for row in assemble(rows_in(transaction, statement, "uuids", uuids, **owned), form)}
    rows = [known[one] for one in uuids if one in known]
    put_no_metadata(rows, form, form.children)
    if rows and form.children:
        asked = _ask(transaction, rows, form.children)
        transaction.last()
        attach(rows, asked)
    return trim(rows, form)


@functools.lru_cache(maxsize=512)
def _many_statement(read_deleted: str, owned: bool, form: Form) -> sa.Select[Any]:
    """Return the SELECT of candidates: ``get_many`` looks up what it wants."""
    project = (t.c.project_id == arg("project"),) if owned else ()
    return select_statement(form).where(alike_one_of(t.c.uuid, arg_list("uuids")), *visible(t, read_deleted), *project)


def _unpack(transaction: Transaction, row: Row, form: Form) -> None:
    for join in form.children:
        row[key_of(join)] = children.take(transaction, relation(join), row, _label(join), row["uuid"])


@functools.lru_cache(maxsize=512)
def _one_statement(by: str, read_deleted: str, owned: bool, form: Form, dialect: Dialect) -> sa.Select[Any]:
    embedded = (children.embedded(relation(join), t, dialect).label(_label(join)) for join in form.children)
    project = (t.c.project_id == arg("project"),) if owned else ()
    return (
        select_statement(form)
        .add_columns(*embedded)
        .where(t.c[by] == arg("value"), *visible(t, read_deleted), *project)
    )


def _label(join: str) -> str:
    return f"packed_{key_of(join)}"


def _named_columns(table: sa.Table, prefix: str = "") -> dict[str, sa.ColumnElement[Any]]:
    return {prefix + column.name: column for column in row_columns(table)}


def _owned(table: sa.Table, where: Sequence[sa.ColumnElement[bool]]) -> Relation:
    """Return the rows of a table that names its instance."""
    key = table.c.instance_uuid
    return Relation(_named_columns(table), table, key, link=(key == t.c.uuid,), where=tuple(where))


def _groups(with_rules: bool) -> Relation:
    """Return the live groups of live instances; with rules each group comes once per live rule."""
    membership = security_group_instance_association
    source = membership.join(security_groups, security_groups.c.id == membership.c.security_group_id)
    fields = _named_columns(security_groups)
    if with_rules:
        live_rules = (
            security_group_rules.c.parent_group_id == security_groups.c.id,
            security_group_rules.c.deleted == 0,
        )
        source = source.outerjoin(security_group_rules, sa.and_(*live_rules))
        fields |= _named_columns(security_group_rules, "rule_")
    return Relation(
        fields,
        source,
        membership.c.instance_uuid,
        link=(membership.c.instance_uuid == t.c.uuid, t.c.deleted == 0),
        where=(membership.c.deleted == 0, security_groups.c.deleted == 0),
        parts=("rule",) if with_rules else (),
        fold=_with_rules if with_rules else _once,
    )


def _once(groups: list[Row]) -> list[Row]:
    """Return each group once, however often the instance was added to it."""
    return list({group["id"]: group for group in groups}.values())


def _with_rules(pairs: list[Row]) -> list[Row]:
    """Return each group once, with its rules by id, from pairs of group and rule."""
    groups: dict[int, Row] = {}
    for pair in pairs:
        rule = pair.pop("rule")
        rules = groups.setdefault(pair["id"], pair).setdefault("rules", {})
        if rule is not None:
            rules[rule["id"]] = rule
    for group in groups.values():
        group["rules"] = sorted(group["rules"].values(), key=_ID)
    return list(groups.values())


_ID = operator.itemgetter("id")
