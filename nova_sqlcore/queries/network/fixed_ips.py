# SPDX-License-Identifier: Apache-2.0

"""Fixed IPs: one address of a network, free or tied to an instance or a host.  Table ``fixed_ips``.

Rows have the table's columns; ``network``, ``instance``, ``virtual_interface`` and ``floating_ips`` are there only
where a function says so. What they show are live rows of live fixed IPs: None, or an empty list, otherwise.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, Final, cast

import sqlalchemy as sa

from nova_sqlcore import clock, exceptions, tx
from nova_sqlcore.context import authorize_project_context, is_user_context, require_context
from nova_sqlcore.core.texts import quoted
from nova_sqlcore.queries.common import claims
from nova_sqlcore.queries.common.arguments import also_named, naive
from nova_sqlcore.queries.common.clauses import (
    arg,
    assigned,
    changes,
    columns,
    returning_statement,
    select_statement,
    split,
    visible,
)
from nova_sqlcore.queries.common.ids import as_id, is_uuid_like
from nova_sqlcore.queries.common.lookups import Shape, count_updated_by_id, equal, row_by, rows_by, shape_of
from nova_sqlcore.queries.compute.rows import named
from nova_sqlcore.queries.network import addresses
from nova_sqlcore.tables import fixed_ips as t, floating_ips, instances, networks, virtual_interfaces
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    import datetime
    from collections.abc import Iterable, Mapping, Sequence

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context
    from nova_sqlcore.core.dialects import Dialect
    from nova_sqlcore.core.handles import Row, Select, Statement
    from nova_sqlcore.core.transaction import Transaction


#: Keys that callers hand over with a new fixed IP though no column holds them.
_FOREIGN: Final = ("project_id",)
_FREED: Final = {"instance_uuid": None, "virtual_interface_id": None}

_RELATIONS: Final[Mapping[str, tuple[sa.Table, sa.ColumnElement[bool]]]] = {
    "network": (networks, networks.c.id == t.c.network_id),
    "instance": (instances, instances.c.uuid == t.c.instance_uuid),
    "virtual_interface": (virtual_interfaces, virtual_interfaces.c.id == t.c.virtual_interface_id),
    "floating_ips": (floating_ips, floating_ips.c.fixed_ip_id == t.c.id),
}
_HOLDER = instances.alias("holder")
_HOLDER_PREFIX = "holder__"
_BY_VIF_AND_ID = ("created_at", "id")


# -- rows and what hangs on them --------------------------------------------------------------------------------------


def _select_statement(joins: Sequence[str], checked: bool = False) -> sa.Select[Any]:
    """Return the SELECT of fixed IPs with these relations; ``checked`` adds whose instance it is, deleted or not."""
    fields: list[sa.ColumnElement[Any]] = [*columns(t)]
    source: sa.FromClause = t
    for name in joins:
        table, on = _RELATIONS[name]
        fields += columns(table, f"{name}__")
        source = source.outerjoin(table, sa.and_(on, t.c.deleted == 0, table.c.deleted == 0))
    if checked:
        fields += [_HOLDER.c[name].label(_HOLDER_PREFIX + name) for name in ("id", "project_id")]
        source = source.outerjoin(_HOLDER, _HOLDER.c.uuid == t.c.instance_uuid)
    return sa.select(*fields).select_from(source)


@functools.lru_cache(maxsize=256)
def _one_statement(read_deleted: str, joins: tuple[str, ...], checked: bool, shape: Shape) -> sa.Select[Any]:
    """Return the SELECT of the first fixed IP with this key; as many rows as it has floating IPs if those are joined.

    Of several with one address it is the live one, then the newest.
    """
    candidate = t.alias("candidate")
    first = (
        sa.select(candidate.c.id)
        .where(*equal(candidate, shape), *visible(candidate, read_deleted))
        .order_by(*addresses.best_first(candidate, read_deleted))
        .limit(1)
    )
    statement = _select_statement(joins, checked).where(t.c.id == first.scalar_subquery())
    return statement.order_by(floating_ips.c.id) if "floating_ips" in joins else statement


@functools.lru_cache(maxsize=64)
def _live_statement(joins: tuple[str, ...], shape: Shape, dialect: Dialect) -> sa.Select[Any]:
    """Return the SELECT of the live fixed IPs with this key, in the order of their virtual interfaces if joined."""
    order: list[sa.ColumnElement[Any]] = [t.c.id, floating_ips.c.id]
    if "virtual_interface" in joins:
        order[:0] = [dialect.nulls_smallest(virtual_interfaces.c[name], "asc") for name in _BY_VIF_AND_ID]
    return _select_statement(joins).where(*equal(t, shape), *visible(t, "no")).order_by(*order)


def _nested(joined: list[Row], joins: Sequence[str]) -> list[rows.FixedIPWithRelations]:
    """Put the joined columns of each row into rows of their own; rows of one fixed IP stand together."""
    found: list[Row] = []
    for row in joined:
        parts = {name: split(row, f"{name}__") for name in joins}
        instance = parts.get("instance")
        if instance is not None:
            named(instance)
        floating = parts.pop("floating_ips", None)
        if not found or found[-1]["id"] != row["id"]:
            found.append(row | parts)
            if "floating_ips" in joins:
                found[-1]["floating_ips"] = []
        if floating is not None:
            found[-1]["floating_ips"].append(floating)
    return cast("list[rows.FixedIPWithRelations]", found)


def _find_live(context: Context, joins: tuple[str, ...], **key: Any) -> list[rows.FixedIPWithRelations]:
    transaction = current(context)
    shape, params = shape_of(key)
    return _nested(transaction.rows(_live_statement(joins, shape, transaction.dialect), **params), joins)


def _authorize(context: Context, row: Row) -> Row:
    """Let a user see a fixed IP only if it has no instance or one of their project; take the marks out of the row.

    Raises: InstanceNotFound(instance_id); Forbidden().
    """
    holder, project = row.pop(_HOLDER_PREFIX + "id"), row.pop(_HOLDER_PREFIX + "project_id")
    if row["instance_uuid"] is not None:
        if holder is None:
            raise exceptions.InstanceNotFound(instance_id=row["instance_uuid"])
        authorize_project_context(context, project)
    return row


def _by_address(context: Context, address: Any, joins: tuple[str, ...] = ()) -> rows.FixedIPWithRelations:
    """Return the fixed IP with this address, if the context may see it.

    Raises: FixedIpNotFoundForAddress(address); FixedIpInvalid(text); InstanceNotFound(instance_id); Forbidden().
    """
    checked = is_user_context(context)
    statement = functools.partial(_one_statement, context.read_deleted, joins, checked)
    found = addresses.find(current(context), statement, address, exceptions.FixedIpInvalid)
    if not found:
        raise exceptions.FixedIpNotFoundForAddress(address=address)
    if checked:
        found = [_authorize(context, row) for row in found]
    return _nested(found, joins)[0]


# -- reading ----------------------------------------------------------------------------------------------------------


@functools.cache
def _by_floating_address_statement(read_deleted: str, shape: Shape) -> Select[rows.FixedIP]:
    return (
        select_statement(t)
        .join_from(floating_ips, t, floating_ips.c.fixed_ip_id == t.c.id)
        .where(*equal(floating_ips, shape), *visible(t, read_deleted))
        .where(*(visible(floating_ips, "no") if read_deleted == "no" else ()))
        .order_by(t.c.id)
        .limit(1)
    )


@functools.cache
def _by_instance_host_statement(read_deleted: str, shape: Shape) -> Select[rows.FixedIP]:
    return (
        select_statement(t)
        .join_from(instances, t, t.c.instance_uuid == instances.c.uuid)
        .where(*equal(instances, shape), *visible(instances, "no"), *visible(t, read_deleted))
        .order_by(t.c.id)
    )


@require_context
@tx.main.reader
def fixed_ip_get(context: Context, id: int, get_network: bool = False) -> rows.FixedIPWithRelations:
    """Return the fixed IP with this id, if the context may see it; with its ``network`` if asked.

    A user sees it if it has no instance, or one of their project.
    Cost: 1 statement in 1 round trip.
    Raises: FixedIpNotFound(id); Forbidden(); InstanceNotFound(instance_id) to users if the instance's row is gone.
    """
    joins = ("network",) if get_network else ()
    checked = is_user_context(context)
    number = as_id(id)
    statement = _one_statement(context.read_deleted, joins, checked, (("id",), ()))
    row = None if number is None else current(context).row(statement, id=number)
    if row is None:
        raise exceptions.FixedIpNotFound(id=id)
    if checked:
        row = _authorize(context, row)
    return _nested([row], joins)[0]


@require_context
@tx.main.reader
def fixed_ip_get_by_address(
    context: Context, address: str, columns_to_join: Sequence[str] | None = None
) -> rows.FixedIPWithRelations:
    """Return the fixed IP with this address, if the context may see it; a live one before a deleted one.

    ``columns_to_join`` names what it has besides: ``network``, ``instance``, ``virtual_interface``, ``floating_ips``.
    A user sees it if it has no instance, or one of their project.
    Cost: 1 statement in 1 round trip.
    Raises: FixedIpNotFoundForAddress(address); FixedIpInvalid(text with the address) if the lookup fails;
    Forbidden(); InstanceNotFound(instance_id) to users if the instance's row is gone; ValueError for another join.
    """
    joins = tuple(dict.fromkeys(columns_to_join or ()))
    for name in joins:
        if name not in _RELATIONS:
            raise ValueError(f"a fixed IP has no join {quoted(name)}; there are {', '.join(_RELATIONS)}")
    return _by_address(context, address, joins)


@require_context
@tx.main.reader
def fixed_ip_get_by_floating_address(context: Context, floating_address: str) -> rows.FixedIP | None:
    """Return the fixed IP that a floating one of this address is bound to, if the context may see it, or None.

    A deleted floating IP counts only for contexts that read deleted rows.
    Cost: 1 statement in 1 round trip.
    """
    transaction = current(context)
    if not addresses.is_inet(floating_address):
        return None
    shape, key = shape_of({"address": floating_address})
    return transaction.row(_by_floating_address_statement(context.read_deleted, shape), **key)


@require_context
@tx.main.reader
def fixed_ip_get_by_instance(context: Context, instance_uuid: str) -> list[rows.FixedIPWithRelations]:
    """Return the live fixed IPs of the instance, each with ``virtual_interface``, ``network`` and ``floating_ips``.

    They are sorted by ``created_at`` and id of their interface, those without one first, then by id.
    Cost: 1 statement in 1 round trip.
    Raises: InvalidUUID(uuid); FixedIpNotFoundForInstance(instance_uuid) if there are none.
    """
    if not is_uuid_like(instance_uuid):
        raise exceptions.InvalidUUID(uuid=instance_uuid)
    found = _find_live(context, ("virtual_interface", "network", "floating_ips"), instance_uuid=instance_uuid)
    if not found:
        raise exceptions.FixedIpNotFoundForInstance(instance_uuid=instance_uuid)
    return found


@also_named(network_uuid="network_id")
@require_context
@tx.main.reader
def fixed_ip_get_by_network_host(context: Context, network_id: int, host: str) -> rows.FixedIP:
    """Return the first live fixed IP of the network (by its id) that the host has for itself.

    Cost: 1 statement in 1 round trip.
    Raises: FixedIpNotFoundForNetworkHost(network_id, host).
    """
    number = as_id(network_id)
    is_text = number is None and network_id is not None
    row = None if is_text else row_by(current(context), t, "no", network_id=number, host=host)
    if row is None:
        raise exceptions.FixedIpNotFoundForNetworkHost(network_id=network_id, host=host)
    return row


@require_context
@tx.main.reader
def fixed_ips_by_virtual_interface(context: Context, vif_id: int) -> list[rows.FixedIPWithRelations]:
    """Return the live fixed IPs of the virtual interface, by id, each with ``network`` and ``floating_ips``.

    Cost: 1 statement in 1 round trip.
    """
    number = as_id(vif_id)
    if number is None and vif_id is not None:
        return []
    return _find_live(context, ("network", "floating_ips"), virtual_interface_id=number)


@tx.main.reader
def fixed_ip_get_by_host(context: Context, host: str) -> list[rows.FixedIP]:
    """Return the fixed IPs that the context may see whose instance is live and on the host, by id.

    Cost: 1 statement in 1 round trip.
    """
    shape, params = shape_of({"host": host})
    return current(context).rows(_by_instance_host_statement(context.read_deleted, shape), **params)


@tx.main.reader
def fixed_ip_get_all(context: Context) -> list[rows.FixedIP]:
    """Return all fixed IPs, deleted ones too, by id.

    Cost: 1 statement in 1 round trip.
    Raises: NoFixedIpsDefined().
    """
    found = rows_by(current(context), t, "yes")
    if not found:
        raise exceptions.NoFixedIpsDefined
    return found


# -- creating ---------------------------------------------------------------------------------------------------------


@require_context
@tx.main.writer
def fixed_ip_create(context: Context, values: Mapping[str, Any]) -> rows.FixedIP:
    """Store a fixed IP and return it.

    Cost: 1 statement in 1 round trip.
    Raises: FixedIpExists(address).
    """
    row = current(context).last().insert_absent(t, values, ignore=_FOREIGN)
    if row is None:
        raise exceptions.FixedIpExists(address=values.get("address"))
    return row


@require_context
@tx.main.writer
def fixed_ip_bulk_create(context: Context, ips: Iterable[Mapping[str, Any]]) -> None:
    """Store fixed IPs, all or none; a None is stored as NULL, what is missing takes its default.

    Cost: 1 statement per 5,000, 1 more per 500 to name a taken address; in 2 round trips, 3 for more than 20, and more
    for each 5,000 as the driver needs them.
    Raises: FixedIpExists(address).
    """
    addresses.insert_all(current(context), t, ips, exceptions.FixedIpExists, _FOREIGN)


# -- associating ------------------------------------------------------------------------------------------------------


def _in_network_clause(table: sa.FromClause, has_network: bool) -> sa.ColumnElement[bool]:
    """Return the clause for rows of the network ``by_network``, or of none yet."""
    no_network = table.c.network_id.is_(None)
    return sa.or_(table.c.network_id == arg("by_network"), no_network) if has_network else no_network


def _taken(names: Sequence[str], has_network: bool) -> dict[str, Any]:
    """Return the SET part of an association: a row keeps the network that it has."""
    network = {"network_id": sa.func.coalesce(t.c.network_id, arg("by_network"))} if has_network else {}
    return assigned(t, names) | network


@functools.cache
def _candidate_statement(has_network: bool, shape: Shape) -> Select[rows.FixedIP]:
    where = (*equal(t, shape, "by_"), _in_network_clause(t, has_network), *visible(t, "no"))
    return select_statement(t).where(*where).order_by(t.c.id).limit(1)


def _associate_statement(has_network: bool, names: tuple[str, ...], shape: Shape) -> sa.Update:
    where = (
        *equal(t, shape, "by_"),
        _in_network_clause(t, has_network),
        *visible(t, "no"),
        t.c.instance_uuid.is_(None),
    )
    return sa.update(t).where(*where).values(**_taken(names, has_network))


@functools.lru_cache(maxsize=64)
def _associate_at_once_statement(has_network: bool, names: tuple[str, ...], shape: Shape) -> Statement[rows.FixedIP]:
    return returning_statement(_associate_statement(has_network, names, shape), t)


@functools.lru_cache(maxsize=64)
def _associate_by_id_statement(has_network: bool, names: tuple[str, ...], shape: Shape) -> sa.Update:
    return _associate_statement(has_network, names, shape).where(t.c.id == arg("by_id"))


def _network_number(network_id: Any) -> tuple[dict[str, int], bool]:
    """Return the parameter for a network, none for None; and whether a network can have this id at all."""
    number = as_id(network_id)
    return ({} if number is None else {"by_network": number}), number is not None or network_id is None


@tx.main.writer
def fixed_ip_associate(
    context: Context,
    address: str,
    instance_uuid: str,
    network_id: int | None = None,
    reserved: bool = False,
    virtual_interface_id: int | None = None,
) -> rows.FixedIP:
    """Tie the live fixed IP with this address to the instance and return it.

    If it has no network yet, it becomes one of this network. It is allocated if an interface is given;
    without one it keeps the interface that it had.
    Cost: 1 statement, 2 on the MySQL family; 2 if it fails; in 1 round trip on PostgreSQL, 2 on the MySQL family.
    Lock: the fixed IP's row.
    Raises: InvalidUUID(uuid); FixedIpNotFoundForNetwork(address, network_uuid); FixedIpAlreadyInUse(address,
    instance_uuid); FixedIpAssociateFailed(net) if others win every race until ``retry_deadline``.
    """
    if not is_uuid_like(instance_uuid):
        raise exceptions.InvalidUUID(uuid=instance_uuid)
    transaction = current(context)
    network, is_network = _network_number(network_id)
    shape, key = shape_of({"address": address, "reserved": reserved}, "by_")
    given = _association(transaction, virtual_interface_id, instance_uuid=instance_uuid)
    key |= network
    form = (bool(network), tuple(given), shape)
    # NULL is not a key: an UPDATE by it alone would hit every such row
    at_once = transaction.dialect.update_returning and address is not None
    row = None
    if is_network and addresses.is_inet(address):
        taken = transaction.last().row(_associate_at_once_statement(*form), **key, **given) if at_once else None
        if taken is not None:
            return taken
        row = transaction.row(_candidate_statement(bool(network), shape), **key)
    if row is None:
        raise exceptions.FixedIpNotFoundForNetwork(address=address, network_uuid=network_id)
    if row["instance_uuid"] is not None:
        raise exceptions.FixedIpAlreadyInUse(address=address, instance_uuid=instance_uuid)
    if at_once or not transaction.last().execute(_associate_by_id_statement(*form), by_id=row["id"], **key, **given):
        raise exceptions.RetryRequest(exceptions.FixedIpAssociateFailed(net=network_id))
    return _with_network(cast("rows.FixedIP", row | given), network)


def _association(transaction: Transaction, virtual_interface_id: int | None, **owner: Any) -> Row:
    """Return what an association writes, in stored form; what is empty is not written."""
    given = {"allocated": virtual_interface_id is not None, "updated_at": clock.utcnow()}
    optional = {"virtual_interface_id": virtual_interface_id, **owner}
    return changes(t, given | {name: value for name, value in optional.items() if value}, transaction)


def _with_network(row: rows.FixedIP, network: Mapping[str, int]) -> rows.FixedIP:
    if row["network_id"] is None:
        row["network_id"] = network.get("by_network")
    return row


# -- the pool of a network --------------------------------------------------------------------------------------------


def _free_clauses(table: sa.FromClause) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the clauses for rows that a pool hands out; whether they are ``allocated`` doesn't matter."""
    return (
        table.c.deleted == 0,  # part of the index that the rows are picked from
        table.c.reserved == sa.false(),
        table.c.leased == sa.false(),
        table.c.instance_uuid.is_(None),
        table.c.host.is_(None),
    )


def _oldest_statement(dialect: Dialect, in_network: bool, names: Sequence[str], lock: claims.Lock) -> sa.Select[Any]:
    """Return the SELECT of the free row of the network, or of no network, that was left alone for the longest time.

    With an index on (network_id, deleted, reserved, leased, instance_uuid, host, updated_at NULLS FIRST, id) this is
    one step, whatever the number of addresses. MySQL has to be told: where a network has few of all addresses it takes
    a shorter index, sorts what it finds and so locks all that is free (seen with 2 of 32).
    """
    candidate = t.alias("free_fixed_ips")
    network = candidate.c.network_id
    nulls = (candidate.c.instance_uuid, candidate.c.host)
    oldest = (
        sa.select(*(candidate.c[name] for name in names))
        .where(network == arg("by_network") if in_network else network.is_(None), *_free_clauses(candidate))
        .order_by(*dialect.all_null(*(nulls if in_network else (network, *nulls))), *_age(dialect, candidate))
        .limit(claims.ONE)
    )
    return lock(dialect.prefer_index(oldest, candidate, "fixed_ips_free_idx"))


def _age(dialect: Dialect, table: sa.FromClause) -> tuple[sa.ColumnElement[Any], ...]:
    return dialect.nulls_smallest(table.c.updated_at, "asc"), table.c.id


@functools.lru_cache(maxsize=256)
def _claim_statements(dialect: Dialect, has_network: bool, names: tuple[str, ...]) -> claims.Claim[rows.FixedIP]:
    """Return the claim of the oldest free row: one of the network or one of no network, each found by its own arm."""

    def pick(wanted: Sequence[str], lock: claims.Lock) -> sa.Select[Any]:
        fields = tuple(dict.fromkeys((*wanted, "id", "updated_at")))
        kinds = (True, False) if has_network else (False,)
        arms = (_oldest_statement(dialect, in_network, fields, lock).subquery() for in_network in kinds)
        oldest = sa.union_all(*(sa.select(arm) for arm in arms)).subquery()
        return sa.select(*(oldest.c[name] for name in wanted)).order_by(*_age(dialect, oldest)).limit(claims.ONE)

    free = (_in_network_clause(t, has_network), *_free_clauses(t))
    return claims.claim(dialect, t, pick, free, _taken(names, has_network))


@tx.main.writer
def fixed_ip_associate_pool(
    context: Context,
    network_id: int,
    instance_uuid: str | None = None,
    host: str | None = None,
    virtual_interface_id: int | None = None,
) -> rows.FixedIP:
    """Give a free address of the network to an instance or a host and return its row.

    Free is a live address of the network, or of no network, that is neither reserved nor leased and has no instance
    and no host. The one that was changed last the longest time ago is taken, one that never was before all others.
    Cost: 1 statement, 2 on the MySQL family; 1 more if nothing is free; in 1 round trip on PostgreSQL, 2 on the MySQL
    family.
    Lock: the row that is taken; rows that others are taking are stepped over.
    Raises: InvalidUUID(uuid); NoMoreFixedIps(net); FixedIpAssociateFailed(net) if others win every race
    until ``retry_deadline``.
    """
    if instance_uuid and not is_uuid_like(instance_uuid):
        raise exceptions.InvalidUUID(uuid=instance_uuid)
    transaction = current(context)
    network, is_network = _network_number(network_id)
    given = _association(transaction, virtual_interface_id, instance_uuid=instance_uuid, host=host)
    claim = _claim_statements(transaction.dialect, bool(network), tuple(given))
    failure = functools.partial(exceptions.FixedIpAssociateFailed, net=network_id)
    row = claims.take(transaction, claim, network, given, failure) if is_network else None
    if row is None:
        raise exceptions.NoMoreFixedIps(net=network_id)
    return _with_network(row, network)


# -- updating and disassociating --------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=256)
def _update_by_address_statement(names: tuple[str, ...]) -> sa.Update:
    return sa.update(t).where(t.c.address == arg("by_address"), *visible(t, "no")).values(assigned(t, names))


@functools.cache
def _free_of_statement(instance: bool) -> sa.Update:
    held = t.c.instance_uuid == arg("by_instance") if instance else t.c.instance_uuid.is_(None)
    return sa.update(t).where(t.c.id == arg("by_id"), held).values(assigned(t, tuple(_FREED)))


@functools.cache
def _release_untouched_statement(dialect: Dialect, shape: Shape) -> sa.Update:
    """Return the UPDATE that releases what is not in use; ``by_time`` keeps microseconds, a column may not.

    MySQL would read the whole table for a fifth of its rows.

    Instances are looked up one by one: PostgreSQL would read all of them for a join (measured with 100,000 instances:
    72 in place of 4 ms).
    """
    holder = sa.select(instances.c.id).where(instances.c.uuid == t.c.instance_uuid)
    on_host = holder.where(*equal(instances, shape, "by_"))
    multi_host = sa.select(networks.c.id).where(networks.c.multi_host == sa.true())
    of_host = sa.select(networks.c.id).where(*equal(networks, shape, "by_"))
    owned = sa.or_(
        *(
            sa.and_(t.c.network_id.in_(network), instance.scalar_subquery().is_not(None))
            for network, instance in ((multi_host, on_host), (of_host, holder))
        )
    )
    untouched = t.c.updated_at < sa.bindparam("by_time", type_=sa.DateTime())
    update = (
        sa.update(t)
        .where(t.c.deleted == 0, t.c.allocated == sa.false(), untouched, t.c.instance_uuid.is_not(None), owned)
        .values(instance_uuid=sa.null(), leased=sa.false())
    )
    return dialect.update_by_index(update, "fixed_ips_deleted_allocated_updated_at_idx")


def _is_one_step(context: Context, transaction: Transaction, address: Any) -> bool:
    """Tell whether an UPDATE by address can do without a lookup: it needs no check and hits one row at most."""
    one = context.read_deleted == "no" and address is not None and addresses.is_inet(address)
    return one and not is_user_context(context)


@require_context
@tx.main.writer
def fixed_ip_update(context: Context, address: str, values: Mapping[str, Any]) -> None:
    """Write the given columns of the fixed IP with this address; the address may be among them.

    Cost: 1 statement for admins, 2 for users and for contexts that read deleted rows; in 1 round trip for admins, else
    2.
    Raises: as ``fixed_ip_get_by_address``; DBDuplicateEntry if the new address is taken.
    """
    transaction = current(context)
    given = changes(t, values, transaction, ignore=_FOREIGN)
    if given and _is_one_step(context, transaction, address):
        if not transaction.last().execute(_update_by_address_statement(tuple(given)), by_address=address, **given):
            raise exceptions.FixedIpNotFoundForAddress(address=address)
        return
    row = _by_address(context, address)
    if given:
        count_updated_by_id(transaction.last(), t, "yes", row["id"], given)


@require_context
@tx.main.writer
def fixed_ip_disassociate(context: Context, address: str) -> None:
    """Take instance and virtual interface away from the fixed IP with this address; all else stays.

    For a user, an association stays that was made after the look at who owns the fixed IP.
    Cost: 1 statement for admins, 2 for users and for contexts that read deleted rows; in 1 round trip for admins, else
    2.
    Raises: as ``fixed_ip_get_by_address``.
    """
    transaction = current(context)
    if _is_one_step(context, transaction, address):
        if not transaction.last().execute(_update_by_address_statement(tuple(_FREED)), by_address=address, **_FREED):
            raise exceptions.FixedIpNotFoundForAddress(address=address)
        return
    row = _by_address(context, address)
    instance = {} if row["instance_uuid"] is None else {"by_instance": row["instance_uuid"]}
    transaction.last().execute(_free_of_statement(bool(instance)), by_id=row["id"], **instance, **_FREED)


@tx.main.writer
def fixed_ip_disassociate_all_by_timeout(context: Context, host: str, time: datetime.datetime) -> int:
    """Take the instance away from fixed IPs that are not allocated and untouched since ``time``; return how many.

    They are those of instances on the host in multi-host networks, and of instances in the host's networks.
    Cost: 1 statement in 1 round trip.
    Raises: BadArgument if ``time`` is not a time.
    """
    transaction = current(context)
    shape, key = shape_of({"host": host}, "by_")
    moment = naive("time", time)
    return transaction.last().execute(_release_untouched_statement(transaction.dialect, shape), **key, by_time=moment)
