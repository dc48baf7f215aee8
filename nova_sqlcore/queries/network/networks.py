# SPDX-License-Identifier: Apache-2.0

"""Networks: a range of addresses, owned by a project or shared, served by a host.  Table ``networks``."""

from __future__ import annotations

import functools
import uuid as uuids
from typing import TYPE_CHECKING, Any, Literal, cast

import sqlalchemy as sa

from nova_sqlcore import clock, exceptions, tx
from nova_sqlcore.context import require_context
from nova_sqlcore.queries.common import claims
from nova_sqlcore.queries.common.clauses import (
    arg,
    arg_list,
    assigned,
    changes,
    deleted_now,
    own_project,
    rows_in,
    select_statement,
    soft_delete_statement,
    visible,
)
from nova_sqlcore.queries.common.ids import as_id
from nova_sqlcore.queries.common.lookups import Shape, equal, row_by, rows_by, shape_of
from nova_sqlcore.queries.common.only_one import hold
from nova_sqlcore.queries.network import addresses
from nova_sqlcore.tables import fixed_ips, instances, networks as t, virtual_interfaces
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context
    from nova_sqlcore.core.dialects import Dialect
    from nova_sqlcore.core.handles import Row, Select

#: Whose networks a context gets: everybody's, its own, or its own and those without a project.
Whose = Literal["all", "own", "own or none"]


def _scope(context: Context, project_only: bool | str) -> tuple[Whose, Row]:
    """Return whose networks the context gets, and the parameter for that; only users are confined."""
    project = own_project(context)
    if project is None or not project_only:
        return "all", {}
    return ("own or none" if project_only == "allow_none" else "own"), {"by_project": project}


def _project_clauses(whose: Whose) -> tuple[sa.ColumnElement[bool], ...]:
    if whose == "all":
        return ()
    own = t.c.project_id == arg("by_project")
    return (own,) if whose == "own" else (sa.or_(own, t.c.project_id.is_(None)),)


# -- reading ----------------------------------------------------------------------------------------------------------


@functools.cache
def _one_statement(read_deleted: str, whose: Whose) -> Select[rows.Network]:
    return select_statement(t).where(t.c.id == arg("by_id"), *visible(t, read_deleted), *_project_clauses(whose))


@functools.cache
def _live_statement(whose: Whose, by_uuids: bool) -> Select[rows.Network]:
    listed = (t.c.uuid.in_(arg_list("uuids")),) if by_uuids else ()
    return select_statement(t).where(*listed, *visible(t, "no"), *_project_clauses(whose)).order_by(t.c.id)


@functools.cache
def _by_cidr_statement(shape: Shape) -> Select[rows.Network]:
    """Return the SELECT of the first network with this range in one of both columns."""
    _, null = shape
    either = (column.is_(None) if null else column == arg("cidr") for column in (t.c.cidr, t.c.cidr_v6))
    return select_statement(t).where(sa.or_(*either), *visible(t, "no")).order_by(t.c.id).limit(1)


@functools.cache
def _by_host_statement(read_deleted: str, shape: Shape) -> Select[rows.Network]:
    """Return the SELECT of a host's networks: its own, those of its fixed IPs and of its instances' fixed IPs.

    Each of the three goes by an index on the host; as alternatives of one WHERE they would not.
    """
    fixed = sa.select(fixed_ips.c.network_id).where(*visible(fixed_ips, read_deleted))
    of_instances = fixed.join(instances, instances.c.uuid == fixed_ips.c.instance_uuid).where(*equal(instances, shape))
    own = sa.select(t.c.id).where(*equal(t, shape))
    found = sa.union(own, fixed.where(*equal(fixed_ips, shape)), of_instances).subquery("found")
    return select_statement(t).join_from(found, t, t.c.id == found.c.id).where(*visible(t, "no")).order_by(t.c.id)


@functools.cache
def _count_reserved_statement(shape: Shape) -> sa.Select[Any]:
    reserved = fixed_ips.c.reserved == sa.true()
    return sa.select(sa.func.count()).where(*equal(fixed_ips, shape), reserved, *visible(fixed_ips, "no"))


def _default_route_clause() -> sa.ColumnElement[bool]:
    """Tell whether an interface is the first that its instance ever had."""
    vifs, earlier = virtual_interfaces, virtual_interfaces.alias()
    before = sa.exists().where(earlier.c.instance_uuid == vifs.c.instance_uuid, earlier.c.id < vifs.c.id)
    return sa.and_(vifs.c.instance_uuid.is_not(None), sa.not_(before))


@functools.cache
def _associated_statement(on_host: bool, shape: Shape) -> sa.Select[Any]:
    """Return the SELECT of the live fixed IPs of a network that have a live interface and a live instance."""
    vifs = virtual_interfaces
    source = fixed_ips.join(vifs, vifs.c.id == fixed_ips.c.virtual_interface_id).join(
        instances, instances.c.uuid == fixed_ips.c.instance_uuid
    )
    live = [clause for table in (fixed_ips, vifs, instances) for clause in visible(table, "no")]
    host = (instances.c.host == arg("host"),) if on_host else ()
    own = ("address", "instance_uuid", "network_id", "allocated", "leased")
    fields: list[sa.ColumnElement[Any]] = [
        *(fixed_ips.c[name] for name in own),
        fixed_ips.c.virtual_interface_id.label("vif_id"),
        vifs.c.address.label("vif_address"),
        instances.c.hostname.label("instance_hostname"),
        instances.c.updated_at.label("instance_updated"),
        instances.c.created_at.label("instance_created"),
        _default_route_clause().label("default_route"),
    ]
    return sa.select(*fields).select_from(source).where(*equal(fixed_ips, shape), *live, *host)


@functools.cache
def _listed_statement(on_host: bool, shape: Shape) -> sa.Select[Any]:
    return _associated_statement(on_host, shape).order_by(fixed_ips.c.id)


@functools.cache
def _any_statement(on_host: bool, shape: Shape) -> sa.Select[Any]:
    return _associated_statement(on_host, shape).with_only_columns(fixed_ips.c.id).limit(1)


def _network_key(network_id: Any) -> tuple[Shape, Row] | None:
    """Return the key of a network's fixed IPs; None if no network can have this id."""
    number = as_id(network_id)
    return None if number is None and network_id is not None else shape_of({"network_id": number})


@require_context
@tx.main.reader
def network_get(context: Context, network_id: int, project_only: bool | str = "allow_none") -> rows.Network:
    """Return the network with this id, if the context may see it.

    A user gets those of their project and, with 'allow_none', those of no project; all if ``project_only`` is false.
    Cost: 1 statement in 1 round trip.
    Raises: NetworkNotFound(network_id).
    """
    row = _get(context, network_id, project_only)
    if row is None:
        raise exceptions.NetworkNotFound(network_id=network_id)
    return row


def _get(context: Context, network_id: Any, project_only: bool | str) -> rows.Network | None:
    number = as_id(network_id)
    whose, project = _scope(context, project_only)
    if number is None:
        return None
    return current(context).row(_one_statement(context.read_deleted, whose), by_id=number, **project)


@require_context
@tx.main.reader
def network_get_all(context: Context, project_only: bool | str = "allow_none") -> list[rows.Network]:
    """Return the live networks that ``network_get`` would return to the context, by id.

    Cost: 1 statement in 1 round trip.
    Raises: NoNetworksFound().
    """
    whose, project = _scope(context, project_only)
    found = current(context).rows(_live_statement(whose, by_uuids=False), **project)
    if not found:
        raise exceptions.NoNetworksFound
    return found


@require_context
@tx.main.reader
def network_get_all_by_uuids(
    context: Context, network_uuids: Iterable[str], project_only: bool | str = "allow_none"
) -> list[rows.Network]:
    """Return the live networks with these uuids that ``network_get`` would return to the context, by id.

    Cost: 1 statement per 500 uuids, none without any; in 1 round trip.
    Raises: NoNetworksFound() if there are none; for the first that is missing NetworkNotFoundForProject(network_uuid,
    project_id), or NetworkNotFound(network_id) if ``project_only`` is false.
    """
    whose, project = _scope(context, project_only)
    wanted = list(dict.fromkeys(network_uuids))
    found = rows_in(current(context), _live_statement(whose, by_uuids=True), "uuids", wanted, **project)
    if not found:
        raise exceptions.NoNetworksFound
    known = {row["uuid"] for row in found}
    for uuid in wanted:
        if uuid not in known:
            if project_only:
                raise exceptions.NetworkNotFoundForProject(network_uuid=uuid, project_id=context.project_id)
            raise exceptions.NetworkNotFound(network_id=uuid)
    return sorted(found, key=lambda row: row["id"])


@tx.main.reader
def network_get_all_by_host(context: Context, host: str) -> list[rows.Network]:
    """Return the live networks of the host, by id: its own, those of its fixed IPs and of its instances' fixed IPs.

    Of the fixed IPs those count that the context may see, of the instances all.
    Cost: 1 statement in 1 round trip.
    """
    shape, key = shape_of({"host": host})
    return current(context).rows(_by_host_statement(context.read_deleted, shape), **key)


@tx.main.reader
def network_get_by_uuid(context: Context, uuid: str) -> rows.Network:
    """Return the live network with this uuid.

    Cost: 1 statement in 1 round trip.
    Raises: NetworkNotFoundForUUID(uuid).
    """
    row = row_by(current(context), t, "no", uuid=uuid)
    if row is None:
        raise exceptions.NetworkNotFoundForUUID(uuid=uuid)
    return row


@tx.main.reader
def network_get_by_cidr(context: Context, cidr: str) -> rows.Network:
    """Return the first live network whose range, IPv4 or IPv6, is ``cidr``.

    Cost: 1 statement; it reads all networks, for no index has the IPv4 ranges; in 1 round trip.
    Raises: NetworkNotFoundForCidr(cidr).
    """
    transaction = current(context)
    shape, key = shape_of({"cidr": cidr})
    row = transaction.row(_by_cidr_statement(shape), **key) if addresses.is_inet(cidr) else None
    if row is None:
        raise exceptions.NetworkNotFoundForCidr(cidr=cidr)
    return row


@tx.main.reader
def network_count_reserved_ips(context: Context, network_id: int) -> int:
    """Return the number of live, reserved fixed IPs of the network.

    Cost: 1 statement in 1 round trip.
    """
    key = _network_key(network_id)
    count: int = 0 if key is None else current(context).scalar(_count_reserved_statement(key[0]), **key[1])
    return count


@tx.main.reader
def network_get_associated_fixed_ips(
    context: Context, network_id: int, host: str | None = None
) -> list[rows.AssociatedFixedIP]:
    """Return the live fixed IPs of the network with a live interface and a live instance, on the host if one is given.

    By id; each has the keys address, instance_uuid, network_id, allocated, leased, vif_id, vif_address,
    instance_hostname, instance_updated, instance_created and default_route: whether the interface is the first that its
    instance ever had.
    Cost: 1 statement in 1 round trip.
    """
    key = _network_key(network_id)
    on_host = {"host": host} if host else {}
    found = [] if key is None else current(context).rows(_listed_statement(bool(host), key[0]), **key[1], **on_host)
    return cast("list[rows.AssociatedFixedIP]", found)


@tx.main.reader
def network_in_use_on_host(context: Context, network_id: int, host: str | None = None) -> bool:
    """Tell whether ``network_get_associated_fixed_ips`` would return anything.

    Cost: 1 statement in 1 round trip.
    """
    key = _network_key(network_id)
    on_host = {"host": host} if host else {}
    return key is not None and current(context).row(_any_statement(bool(host), key[0]), **key[1], **on_host) is not None


# -- creating and updating --------------------------------------------------------------------------------------------


@functools.lru_cache(maxsize=256)
def _update_statement(read_deleted: str, whose: Whose, names: tuple[str, ...]) -> sa.Update:
    where = (t.c.id == arg("by_id"), *visible(t, read_deleted), *_project_clauses(whose))
    return sa.update(t).where(*where).values(assigned(t, names))


_SET_HOST_STATEMENT = (
    sa.update(t).where(t.c.id == arg("by_id"), t.c.host.is_(None), *visible(t, "no")).values(assigned(t, ("host",)))
)


@tx.main.writer
def network_create_safe(context: Context, values: Mapping[str, Any]) -> rows.Network:
    """Store a network and return it; it gets a uuid unless ``values`` has that key.

    Cost: 1 statement in 1 round trip.
    Raises: DuplicateVlan(vlan) if a live network has the VLAN.
    """
    row = current(context).last().insert_absent(t, {"uuid": str(uuids.uuid4()), **values})
    if row is None:
        raise exceptions.DuplicateVlan(vlan=values.get("vlan"))
    return row


@require_context
@tx.main.writer
def network_update(context: Context, network_id: int, values: Mapping[str, Any]) -> rows.Network:
    """Write the given columns of a network that ``network_get`` would return, and return it.

    Cost: 1 statement; 2 on the MySQL family; in 1 round trip.
    Raises: NetworkNotFound(network_id); DuplicateVlan(vlan) if a live network has the VLAN.
    """
    given = changes(t, values, current(context))
    try:
        row = _write(context, network_id, given) if given else _get(context, network_id, "allow_none")
    except exceptions.DBDuplicateEntry as error:
        raise exceptions.DuplicateVlan(vlan=values.get("vlan")) from error
    if row is None:
        raise exceptions.NetworkNotFound(network_id=network_id)
    return row


def _write(context: Context, network_id: Any, given: Row) -> rows.Network | None:
    number = as_id(network_id)
    if number is None:
        return None
    whose, project = _scope(context, "allow_none")
    update = _update_statement(context.read_deleted, whose, tuple(given))
    again = _one_statement("yes", "all")  # the change may just have hidden the network
    key_after = {"by_id": given.get("id", number)}
    return current(context).last().update_row(update, again, {"by_id": number, **project}, given, key_after=key_after)


@require_context
@tx.main.writer
def network_disassociate(
    context: Context, network_id: int, disassociate_host: bool = True, disassociate_project: bool = True
) -> None:
    """Take the host, the project, or both from a network that ``network_get`` would return.

    Cost: 1 statement in 1 round trip.
    Raises: NetworkNotFound(network_id).
    """
    given = {name: None for name, gone in (("project_id", disassociate_project), ("host", disassociate_host)) if gone}
    number = as_id(network_id)
    whose, project = _scope(context, "allow_none")
    if number is None or not given:
        found = _get(context, network_id, "allow_none") is not None
    else:
        update = _update_statement(context.read_deleted, whose, tuple(given))
        found = bool(current(context).last().execute(update, by_id=number, **project, **given))
    if not found:
        raise exceptions.NetworkNotFound(network_id=network_id)


@tx.main.writer
def network_set_host(context: Context, network_id: int, host_id: str) -> None:
    """Make the host the one that serves the live network, unless there is one already.

    Cost: 1 statement; 2 if nothing is to be done; in 1 round trip, 2 if nothing is to be done.
    Raises: NetworkNotFound(network_id); NetworkSetHostFailed(network_id) if others win every race
    until ``retry_deadline``.
    """
    transaction = current(context)
    number = as_id(network_id)
    if number is not None and transaction.last().execute(_SET_HOST_STATEMENT, by_id=number, host=host_id):
        return
    row = None if number is None else transaction.last().row(_one_statement("no", "all"), by_id=number)
    if row is None:
        raise exceptions.NetworkNotFound(network_id=network_id)
    if row["host"] is None:
        raise exceptions.RetryRequest(exceptions.NetworkSetHostFailed(network_id=network_id))


# -- giving networks to projects --------------------------------------------------------------------------------------


def _unowned_clauses(table: sa.FromClause, one: bool, only_first: bool) -> list[sa.ColumnElement[bool]]:
    """Return the clauses for networks without project; with ``only_first`` for none if the project has a network."""
    clauses = [table.c.project_id.is_(None), *visible(table, "no")]
    if one:
        clauses.append(table.c.id == arg("by_network"))
    if only_first:
        other = t.alias()
        clauses.append(~sa.exists().where(other.c.project_id == arg("by_project"), *visible(other, "no")))
    return clauses


@functools.lru_cache(maxsize=32)
def _claim_statements(
    dialect: Dialect, names: tuple[str, ...], one: bool, only_first: bool
) -> claims.Claim[rows.Network]:
    def pick(wanted: Sequence[str], lock: claims.Lock) -> sa.Select[Any]:
        candidate = t.alias()
        fields = (candidate.c[name] for name in wanted)
        return lock(
            sa.select(*fields)
            .where(*_unowned_clauses(candidate, one, only_first))
            .order_by(candidate.c.id)
            .limit(claims.ONE)
        )

    # the UPDATE can't look at other rows of its table on the MySQL family; it need not, for the project is held
    return claims.claim(
        dialect, t, pick, _unowned_clauses(t, one, only_first=False), assigned(t, names), ("by_project",)
    )


@tx.main.writer
def network_associate(
    context: Context, project_id: str, network_id: int | None = None, force: bool = False
) -> rows.Network:
    """Give a live network that has no project to the project, this one if it is named, and return it.

    Without ``force`` a project that has a network keeps it: that one is returned, and callers who ask at the same time
    for the same project get the same network.
    Cost: 1 statement if the project has a network; else 2, 3 on PostgreSQL and 5 on the MySQL family; with ``force`` 1,
    2 on the MySQL family; 2 more if nothing is free; in 1 round trip if the project has a network, else 2 on
    PostgreSQL, 3 on the MySQL family; with ``force`` 2 there.
    Lock: without ``force`` the project's name among the networks; then the network's row.
    Raises: NoMoreNetworks().
    """
    if not force:
        owned = row_by(current(context).last(), t, "no", project_id=project_id)
        return owned or _take_first(context, project_id, network_id)
    row = _take(context, project_id, network_id, only_first=False)
    if row is None:
        raise exceptions.NoMoreNetworks
    return row


def _take_first(context: Context, project_id: str, network_id: int | None = None) -> rows.Network:
    """Take a network for a project that seemed to have none, or return the one that another caller has just taken."""
    transaction = current(context)
    hold(transaction, "networks.project_id", project_id)
    row = _take(context, project_id, network_id, only_first=True) or row_by(transaction, t, "no", project_id=project_id)
    if row is None:
        raise exceptions.NoMoreNetworks
    return row


def _take(context: Context, project_id: str, network_id: Any, only_first: bool) -> rows.Network | None:
    transaction = current(context)
    number = as_id(network_id)
    if number is None and network_id is not None:
        return None
    given = changes(t, {"project_id": project_id, "updated_at": clock.utcnow()}, transaction)
    key = {} if number is None else {"by_network": number}
    if only_first:
        key["by_project"] = given["project_id"]
    claim = _claim_statements(transaction.dialect, tuple(given), number is not None, only_first)
    return claims.take(transaction, claim, key, given, exceptions.NoMoreNetworks)


@require_context
@tx.main.writer
def project_get_networks(context: Context, project_id: str, associate: bool = True) -> list[rows.Network]:
    """Return the live networks of the project, by id; if it has none and ``associate``, one that it is given now.

    Cost: 1 statement; to give one 2, 3 on PostgreSQL and 5 on the MySQL family, 4 to 6 if none is left; in 1 round
    trip; to give one as ``network_associate``.
    Lock: none if the project has networks; else as ``network_associate``.
    Raises: NoMoreNetworks().
    """
    found = rows_by(current(context).last(), t, "no", project_id=project_id)
    if not found and associate:
        found = [_take_first(context, project_id)]
    return found


# -- deleting ---------------------------------------------------------------------------------------------------------


@functools.cache
def _state_statement(read_deleted: str, whose: Whose) -> sa.Select[Any]:
    """Return the SELECT that tells whether a network has allocated addresses, and whether it is there."""
    in_network = fixed_ips.c.network_id == arg("by_id")
    in_use = sa.exists().where(in_network, fixed_ips.c.allocated == sa.true(), *visible(fixed_ips, "no"))
    there = sa.exists().where(t.c.id == arg("by_id"), *visible(t, read_deleted), *_project_clauses(whose))
    fields: list[sa.ColumnElement[Any]] = [in_use.label("in_use"), there.label("there")]
    return sa.select(*fields)


_DELETE_ADDRESSES_STATEMENT = soft_delete_statement(fixed_ips).where(
    fixed_ips.c.network_id == arg("by_network"),
    sa.or_(fixed_ips.c.allocated == sa.false(), fixed_ips.c.allocated.is_(None)),
    *visible(fixed_ips, "no"),
)
_DELETE_STATEMENT = sa.delete(t).where(
    t.c.id == arg("by_id"), ~sa.exists().where(fixed_ips.c.network_id == t.c.id, *visible(fixed_ips, "no"))
)


@tx.main.writer.savepoint
def network_delete_safe(context: Context, network_id: int) -> None:
    """Delete, for good, a network that ``network_get`` would return and soft-delete its fixed IPs, if none is in use.

    Cost: 3 statements in 3 round trips, for COMMIT has to wait.
    Lock: the fixed IPs' rows, then the network's.
    Raises: NetworkInUse(network_id) if a live fixed IP is allocated; NetworkNotFound(network_id).
    """
    transaction = current(context)
    number = as_id(network_id)
    whose, project = _scope(context, "allow_none")
    statement = _state_statement(context.read_deleted, whose)
    state = None if number is None else transaction.row(statement, by_id=number, **project)
    if state is not None and state["in_use"]:
        raise exceptions.NetworkInUse(network_id=network_id)
    if state is None or not state["there"]:
        raise exceptions.NetworkNotFound(network_id=network_id)
    transaction.later.execute(_DELETE_ADDRESSES_STATEMENT, by_network=number, **deleted_now())
    # an address that was allocated in between is still live, and keeps its network: COMMIT has to wait for the answer
    if not transaction.execute(_DELETE_STATEMENT, by_id=number):
        raise exceptions.RetryRequest(exceptions.NetworkInUse(network_id=network_id))
