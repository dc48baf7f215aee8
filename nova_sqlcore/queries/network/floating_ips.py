# SPDX-License-Identifier: Apache-2.0

"""Floating IPs: public addresses in pools, held by projects, bound to fixed IPs.  Table ``floating_ips``.

Rows have the table's columns; ``fixed_ip`` is there only where a function says so, and None unless floating and fixed
IP are both live. Where a function says so, it has ``instance``, or ``network``, of which the same is true.
"""

from __future__ import annotations

import collections
import contextlib
import datetime
import functools
import logging
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast

import sqlalchemy as sa

from nova_sqlcore import clock, exceptions, tx
from nova_sqlcore.context import authorize_project_context, require_context
from nova_sqlcore.core.equality import exactly
from nova_sqlcore.core.types import address_text
from nova_sqlcore.queries.common import claims
from nova_sqlcore.queries.common.clauses import (
    arg,
    arg_list,
    ask_in,
    assigned,
    changes,
    chunks,
    columns,
    deleted_now,
    own_project,
    select_statement,
    soft_delete_statement,
    split,
    visible,
)
from nova_sqlcore.queries.common.ids import as_id, is_number
from nova_sqlcore.queries.common.lookups import Shape, count_updated_by_id, equal, rows_by, shape_of
from nova_sqlcore.queries.compute.rows import named
from nova_sqlcore.queries.network import addresses
from nova_sqlcore.queries.quota import reservations as quota
from nova_sqlcore.settings import settings
from nova_sqlcore.tables import fixed_ips, floating_ips as t, instances, networks
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context
    from nova_sqlcore.core.dialects import Dialect
    from nova_sqlcore.core.handles import Row, Select

logger = logging.getLogger(__name__)


#: Keys that callers hand over with a new floating IP though no column holds them.
_FOREIGN: Final = ("instance_uuid",)
#: Addresses whose rows a bulk destroy locks with one statement.
_BLOCK: Final = 256
_POOL_INDEX: Final = "floating_ips_pool_deleted_fixed_ip_id_project_id_idx"
_FIXED, _INSTANCE, _NETWORK = "fixed_ip__", "instance__", "network__"


# -- rows and what hangs on them --------------------------------------------------------------------------------------


def _select_statement(with_instance: bool) -> sa.Select[Any]:
    """Return the SELECT of floating IPs with their fixed ones, and the instances of those if asked."""
    live = fixed_ips.c.deleted == 0
    fields = [*columns(t), *columns(fixed_ips, _FIXED)]
    source = t.outerjoin(fixed_ips, sa.and_(fixed_ips.c.id == t.c.fixed_ip_id, t.c.deleted == 0, live))
    if with_instance:
        fields += columns(instances, _INSTANCE)
        on = (instances.c.uuid == fixed_ips.c.instance_uuid, live, instances.c.deleted == 0)
        source = source.outerjoin(instances, sa.and_(*on))
    return sa.select(*fields).select_from(source)


def _nested(row: Row) -> rows.FloatingIPWithFixedIP:
    """Put the joined columns of a row into rows of their own."""
    fixed = row["fixed_ip"] = split(row, _FIXED)
    if _INSTANCE + "id" in row:
        instance = split(row, _INSTANCE)
        if fixed is not None:
            fixed["instance"] = None if instance is None else named(instance)
    return cast("rows.FloatingIPWithFixedIP", row)


@functools.lru_cache(maxsize=64)
def _one_statement(read_deleted: str, owned: bool, shape: Shape) -> sa.Select[Any]:
    """Return the SELECT of the first floating IP with this key; of the project ``by_project`` if ``owned``."""
    project = (t.c.project_id == arg("by_project"),) if owned else ()
    where = (*equal(t, shape), *project, *visible(t, read_deleted))
    return _select_statement(with_instance=True).where(*where).order_by(t.c.id).limit(1)


@functools.lru_cache(maxsize=64)
def _live_statement(with_instance: bool, shape: Shape) -> sa.Select[Any]:
    return _select_statement(with_instance).where(*equal(t, shape), *visible(t, "no")).order_by(t.c.id)


def _find_live(context: Context, with_instance: bool = False, **key: Any) -> list[rows.FloatingIPWithFixedIP]:
    shape, params = shape_of(key)
    return [_nested(row) for row in current(context).rows(_live_statement(with_instance, shape), **params)]


def _by_address(context: Context, address: str | None) -> rows.FloatingIPWithFixedIP:
    """Return the floating IP with this address, if the context may see it; no address is NULL.

    Raises: FloatingIpNotFoundForAddress(address); InvalidIpAddressError(text); Forbidden().
    """
    key = address or None
    statement = functools.partial(_one_statement, context.read_deleted, False)
    found = addresses.find(current(context), statement, key, exceptions.InvalidIpAddressError)
    if not found:
        raise exceptions.FloatingIpNotFoundForAddress(address=key)
    if found[0]["project_id"]:
        authorize_project_context(context, found[0]["project_id"])
    return _nested(found[0])


# -- reading ----------------------------------------------------------------------------------------------------------


@functools.cache
def _by_fixed_address_statement(read_deleted: str, shape: Shape) -> Select[rows.FloatingIP]:
    fixed = equal(fixed_ips, shape)
    return (
        select_statement(t)
        .join_from(fixed_ips, t, t.c.fixed_ip_id == fixed_ips.c.id)
        .where(*fixed, *(visible(fixed_ips, "no") if read_deleted == "no" else ()), *visible(t, read_deleted))
        .order_by(t.c.id)
    )


@functools.cache
def _pools_statement(read_deleted: str) -> sa.Select[Any]:
    return sa.select(t.c.pool.label("name")).where(*visible(t, read_deleted)).group_by(*exactly(t.c.pool))


@require_context
@tx.main.reader
def floating_ip_get(context: Context, id: int) -> rows.FloatingIPWithFixedIP:
    """Return the floating IP with this id, if the context may see it and, for a user, their project holds it.

    It has ``fixed_ip`` with ``instance``.
    Cost: 1 statement in 1 round trip.
    Raises: FloatingIpNotFound(id); InvalidID(id) for a number that no column holds, or if the lookup fails.
    """
    number = as_id(id)
    if number is None and is_number(id):
        raise exceptions.InvalidID(id=id)
    if number is None:
        raise exceptions.FloatingIpNotFound(id=id)
    project = own_project(context)
    held = {} if project is None else {"by_project": project}
    statement = _one_statement(context.read_deleted, project is not None, (("id",), ()))
    try:
        row = current(context).row(statement, id=number, **held)
    except (exceptions.DBDeadlock, exceptions.DBConnectionError):
        raise
    except exceptions.DBError as error:
        raise exceptions.InvalidID(id=id) from error
    if row is None:
        raise exceptions.FloatingIpNotFound(id=id)
    return _nested(row)


@require_context
@tx.main.reader
def floating_ip_get_by_address(context: Context, address: str) -> rows.FloatingIPWithFixedIP:
    """Return the floating IP with this address, if the context may see it; it has ``fixed_ip`` with ``instance``.

    Cost: 1 statement in 1 round trip.
    Raises: FloatingIpNotFoundForAddress(address); InvalidIpAddressError(text with the address) if the lookup fails;
    Forbidden() to users if another project holds it.
    """
    return _by_address(context, address)


@require_context
@tx.main.reader
def floating_ip_get_pools(context: Context) -> list[rows.FloatingIPPool]:
    """Return the pools of the floating IPs that the context may see: a list of ``{'name': pool}``, by name, None first.

    Cost: 1 statement in 1 round trip.
    """
    found = current(context).rows(_pools_statement(context.read_deleted))
    return cast("list[rows.FloatingIPPool]", sorted(found, key=lambda pool: pool["name"] or ""))


@tx.main.reader
def floating_ip_get_all(context: Context) -> list[rows.FloatingIPWithFixedIP]:
    """Return the live floating IPs, by id, each with ``fixed_ip``.

    Cost: 1 statement in 1 round trip.
    Raises: NoFloatingIpsDefined().
    """
    found = _find_live(context)
    if not found:
        raise exceptions.NoFloatingIpsDefined
    return found


@tx.main.reader
def floating_ip_get_all_by_host(context: Context, host: str) -> list[rows.FloatingIPWithFixedIP]:
    """Return the live floating IPs that the host serves, by id, each with ``fixed_ip``.

    Cost: 1 statement in 1 round trip.
    Raises: FloatingIpNotFoundForHost(host).
    """
    found = _find_live(context, host=host)
    if not found:
        raise exceptions.FloatingIpNotFoundForHost(host=host)
    return found


@require_context
@tx.main.reader
def floating_ip_get_all_by_project(context: Context, project_id: str) -> list[rows.FloatingIPWithFixedIP]:
    """Return the live floating IPs that the project holds, by id, but none that was assigned automatically.

    Each has ``fixed_ip`` with ``instance``.
    Cost: 1 statement in 1 round trip.
    Raises: Forbidden() to users of another project.
    """
    authorize_project_context(context, project_id)
    return _find_live(context, with_instance=True, project_id=project_id, auto_assigned=False)


@require_context
@tx.main.reader
def floating_ip_get_by_fixed_address(context: Context, fixed_address: str) -> list[rows.FloatingIP]:
    """Return the floating IPs that the context may see on the fixed IP of this address, by id.

    A deleted fixed IP counts only for contexts that read deleted rows.
    Cost: 1 statement in 1 round trip.
    """
    transaction = current(context)
    if not addresses.is_inet(fixed_address):
        return []
    shape, key = shape_of({"address": fixed_address})
    return transaction.rows(_by_fixed_address_statement(context.read_deleted, shape), **key)


@require_context
@tx.main.reader
def floating_ip_get_by_fixed_ip_id(context: Context, fixed_ip_id: int) -> list[rows.FloatingIP]:
    """Return the floating IPs that the context may see on the fixed IP with this id, by id.

    Cost: 1 statement in 1 round trip.
    """
    number = as_id(fixed_ip_id)
    if number is None and fixed_ip_id is not None:
        return []
    return rows_by(current(context), t, context.read_deleted, fixed_ip_id=number)


# -- creating ---------------------------------------------------------------------------------------------------------


@functools.cache
def _created_statement(read_deleted: str) -> Select[rows.FloatingIP]:
    return select_statement(t).where(t.c.address.in_(arg_list("addresses")), *visible(t, read_deleted))


@require_context
@tx.main.writer
def floating_ip_create(context: Context, values: Mapping[str, Any]) -> rows.FloatingIP:
    """Store a floating IP and return it, without ``fixed_ip``.

    Cost: 1 statement in 1 round trip.
    Raises: FloatingIpExists(address).
    """
    row = current(context).last().insert_absent(t, values, ignore=_FOREIGN)
    if row is None:
        raise exceptions.FloatingIpExists(address=values.get("address"))
    return row


@require_context
@tx.main.writer
def floating_ip_bulk_create(
    context: Context, ips: Iterable[Mapping[str, Any]], want_result: bool = True
) -> list[rows.FloatingIP] | None:
    """Store floating IPs, all or none; a None is stored as NULL, what is missing takes its default.

    Returns those that the context may see, in the order given; None unless ``want_result``.
    Cost: 1 statement per 5,000, 1 more per 500 to return them, or to name a taken address; in 2 round trips, 3 for more
    than 20, and more for each 5,000 as the driver needs them.
    Raises: FloatingIpExists(address).
    """
    transaction = current(context)
    given = list(ips)
    addresses.insert_all(transaction, t, given, exceptions.FloatingIpExists, _FOREIGN)
    if not want_result:
        return None
    wanted = [ip["address"] for ip in given if ip.get("address") is not None]
    asked = ask_in(transaction, _created_statement(context.read_deleted), "addresses", wanted)
    transaction.last()
    found = cast("list[rows.FloatingIP]", asked())
    places: dict[str | None, int] = {address_text(str(address)): place for place, address in enumerate(wanted)}
    # a row of an adopted database may spell its address in another way
    return sorted(found, key=lambda row: (places.get(row["address"], -1), row["id"]))


# -- the pools --------------------------------------------------------------------------------------------------------


def _unbound_clauses(table: sa.FromClause, shape: Shape) -> tuple[sa.ColumnElement[bool], ...]:
    return (*equal(table, shape, "by_"), *visible(table, "no"), table.c.fixed_ip_id.is_(None))


def _unheld_clause(table: sa.FromClause) -> sa.ColumnElement[bool]:
    return table.c.project_id.is_(None)


@functools.lru_cache(maxsize=64)
def _claim_statements(dialect: Dialect, names: tuple[str, ...], shape: Shape) -> claims.Claim[rows.FloatingIP]:
    """Return the claim of any free address of a pool.

    The index (pool, deleted, fixed_ip_id, project_id) finds one in one step, whatever the number of addresses. Servers
    don't take it by themselves: PostgreSQL scans the table, for it expects free addresses at its beginning (measured
    with 65,536 addresses, the last tenth of them free: 9.5 against 0.1 ms), and MariaDB intersects three indexes.
    """

    def pick(wanted: Sequence[str], lock: claims.Lock) -> sa.Select[Any]:
        candidate = t.alias()
        nulls = dialect.all_null(candidate.c.fixed_ip_id, candidate.c.project_id)
        fields = (candidate.c[name] for name in wanted)
        free = (*_unbound_clauses(candidate, shape), dialect.rare(_unheld_clause(candidate)))
        found = sa.select(*fields).where(*free).order_by(*nulls).limit(claims.ONE)
        return lock(dialect.by_index(found, candidate, _POOL_INDEX))

    free = (*_unbound_clauses(t, shape), _unheld_clause(t))
    return claims.claim(dialect, t, pick, free, assigned(t, names), wanted=("address",))


@require_context
@tx.main.writer
def floating_ip_allocate_address(
    context: Context, project_id: str, pool: str | None, auto_assigned: bool = False
) -> str:
    """Give a free address of the pool to the project and return the address.

    Cost: 1 statement, 2 on the MySQL family; 1 more if nothing is free; in 1 round trip on PostgreSQL, 2 on the MySQL
    family.
    Lock: the row that is taken; rows that others are taking are stepped over.
    Raises: Forbidden() to users of another project; NoMoreFloatingIps(); FloatingIpAllocateFailed() if others win
    every race until ``retry_deadline``.
    """
    authorize_project_context(context, project_id)
    transaction = current(context)
    shape, key = shape_of({"pool": pool}, "by_")
    values = {"project_id": project_id, "auto_assigned": auto_assigned, "updated_at": clock.utcnow()}
    given = changes(t, values, transaction)
    claim = _claim_statements(transaction.dialect, tuple(given), shape)
    row = claims.take(transaction, claim, key, given, exceptions.FloatingIpAllocateFailed)
    if row is None:
        raise exceptions.NoMoreFloatingIps
    return cast("str", row["address"])


@functools.cache
def _deallocate_statement(read_deleted: str, shape: Shape) -> sa.Update:
    where = (*equal(t, shape, "by_"), t.c.project_id.is_not(None), t.c.fixed_ip_id.is_(None))
    unheld = {"project_id": sa.null(), "host": sa.null(), "auto_assigned": sa.false()}
    return sa.update(t).where(*where, *visible(t, read_deleted)).values(**unheld)


@require_context
@tx.main.writer
def floating_ip_deallocate(context: Context, address: str) -> int:
    """Give the address back to its pool, if a project holds it and it is not bound; return how many rows that were.

    Cost: 1 statement in 1 round trip.
    """
    transaction = current(context)
    if not addresses.is_inet(address):
        return 0
    shape, key = shape_of({"address": address}, "by_")
    return transaction.last().execute(_deallocate_statement(context.read_deleted, shape), **key)


# -- binding to fixed IPs ---------------------------------------------------------------------------------------------


def _its_network_clause() -> sa.ColumnElement[bool]:
    return sa.and_(networks.c.id == fixed_ips.c.network_id, fixed_ips.c.deleted == 0, networks.c.deleted == 0)


@functools.cache
def _fixed_with_network_statement(read_deleted: str, shape: Shape) -> sa.Select[Any]:
    return (
        sa.select(*columns(fixed_ips), *columns(networks, _NETWORK))
        .select_from(fixed_ips.outerjoin(networks, _its_network_clause()))
        .where(*equal(fixed_ips, shape), *visible(fixed_ips, read_deleted))
        .order_by(*addresses.best_first(fixed_ips, read_deleted))
        .limit(1)
    )


@functools.cache
def _binding_statement(read_deleted: str, shape: Shape) -> sa.Select[Any]:
    """Return the SELECT of what a floating IP is bound to, if the fixed IP is visible, with the network of that."""
    bound = sa.and_(fixed_ips.c.id == t.c.fixed_ip_id, *visible(fixed_ips, read_deleted))
    return (
        sa.select(t.c.id, t.c.fixed_ip_id, t.c.host, *columns(fixed_ips, _FIXED), *columns(networks, _NETWORK))
        .select_from(t.outerjoin(fixed_ips, bound).outerjoin(networks, _its_network_clause()))
        .where(*equal(t, shape), *visible(t, read_deleted))
        .order_by(t.c.id)
        .limit(1)
    )


@functools.cache
def _bind_statement(read_deleted: str, shape: Shape) -> sa.Update:
    unbound = sa.or_(t.c.fixed_ip_id == arg("by_fixed"), t.c.fixed_ip_id.is_(None))
    where = (*equal(t, shape, "by_"), unbound, *visible(t, read_deleted))
    return sa.update(t).where(*where).values(assigned(t, ("fixed_ip_id", "host")))


@functools.cache
def _unbind_statement(shape: Shape) -> sa.Update:
    return sa.update(t).where(*equal(t, shape, "by_")).values(fixed_ip_id=sa.null(), host=sa.null())


@require_context
@tx.main.writer
def floating_ip_fixed_ip_associate(
    context: Context, floating_address: str, fixed_address: str, host: str | None
) -> rows.FixedIPWithRelations:
    """Bind the floating IP of the context's project to the fixed one, served by the host; return that with ``network``.

    An admin without a project binds what no project holds. What is bound to this fixed IP already gets the host.
    Cost: 2 statements in 2 round trips.
    Raises: FixedIpNotFoundForAddress(address); FloatingIpAssociateFailed(address) if the floating IP is unknown, bound
    to another fixed IP, or held by another project.
    """
    transaction = current(context)
    shape, key = shape_of({"address": fixed_address})
    known = addresses.is_inet(fixed_address)
    fixed = transaction.row(_fixed_with_network_statement(context.read_deleted, shape), **key) if known else None
    if fixed is None:
        raise exceptions.FixedIpNotFoundForAddress(address=fixed_address)
    fixed["network"] = split(fixed, _NETWORK)
    shape, key = shape_of({"address": floating_address, "project_id": context.project_id}, "by_")
    given = {"by_fixed": fixed["id"], "fixed_ip_id": fixed["id"], "host": host}
    known = addresses.is_inet(floating_address)
    if not known or not transaction.last().execute(_bind_statement(context.read_deleted, shape), **key, **given):
        raise exceptions.FloatingIpAssociateFailed(address=floating_address)
    return cast("rows.FixedIPWithRelations", fixed)


@require_context
@tx.main.writer
def floating_ip_disassociate(context: Context, address: str) -> rows.FixedIPWithRelations | None:
    """Take the floating IP from its fixed one, and from its host; return the fixed IP with ``network``.

    Returns None if it was not bound, or the context may not see the fixed IP.
    Cost: 2 statements; 1 if there is nothing to change; in 2 round trips.
    Raises: FloatingIpNotFoundForAddress(address); FloatingIpAssociateFailed(address) if others bind it anew again
    and again until ``retry_deadline``.
    """
    transaction = current(context)
    shape, key = shape_of({"address": address})
    known = addresses.is_inet(address)
    row = transaction.row(_binding_statement(context.read_deleted, shape), **key) if known else None
    if row is None:
        raise exceptions.FloatingIpNotFoundForAddress(address=address)
    network, fixed = split(row, _NETWORK), split(row, _FIXED)
    if row["fixed_ip_id"] is not None or row["host"] is not None:
        shape, key = shape_of({"id": row["id"], "fixed_ip_id": row["fixed_ip_id"]}, "by_")
        if not transaction.last().execute(_unbind_statement(shape), **key):
            raise exceptions.RetryRequest(exceptions.FloatingIpAssociateFailed(address=address))
    return None if fixed is None else cast("rows.FixedIPWithRelations", fixed | {"network": network})


# -- updating and destroying ------------------------------------------------------------------------------------------


class _Resource(NamedTuple):
    """What the quotas need to know of a resource: the name of the function that counts it."""

    sync: str


_QUOTA: Final = "floating_ips"
_RESOURCES: Final = {_QUOTA: _Resource("_sync_floating_ips")}
_DESTROY_STATEMENT = soft_delete_statement(t).where(t.c.id.in_(arg_list("ids")))


@functools.cache
def _delete_statement(read_deleted: str, shape: Shape) -> sa.Delete:
    return sa.delete(t).where(*equal(t, shape, "by_"), *visible(t, read_deleted))


@functools.cache
def _doomed_statement(dialect: Dialect) -> sa.Select[Any]:
    fields = (t.c.id, t.c.project_id, t.c.auto_assigned)
    return dialect.lock_row(
        sa.select(*fields).where(t.c.address.in_(arg_list("addresses")), *visible(t, "no")).order_by(t.c.id)
    )


@require_context
@tx.main.writer
def floating_ip_update(context: Context, address: str, values: Mapping[str, Any]) -> rows.FloatingIPWithFixedIP:
    """Write the given columns of the floating IP with this address and return it.

    It has ``fixed_ip`` with ``instance``, as they were before.
    Cost: 2 statements; 1 without values; in 2 round trips.
    Raises: as ``floating_ip_get_by_address``; FloatingIpExists(address) if the new address is taken.
    """
    transaction = current(context)
    row = _by_address(context, address)
    given = changes(t, values, transaction, ignore=_FOREIGN)
    if given:
        given = changes(t, {"updated_at": clock.utcnow(), **given}, transaction)
        try:
            found = count_updated_by_id(transaction.last(), t, "yes", row["id"], given)
        except exceptions.DBDuplicateEntry as error:
            raise exceptions.FloatingIpExists(address=values.get("address")) from error
        if not found:
            raise exceptions.FloatingIpNotFoundForAddress(address=address)
    return cast("rows.FloatingIPWithFixedIP", row | given)


@require_context
@tx.main.writer
def floating_ip_destroy(context: Context, address: str) -> None:
    """Delete the floating IP for good, if the context may see one with this address.

    Cost: 1 statement in 1 round trip.
    """
    transaction = current(context)
    if addresses.is_inet(address):
        shape, key = shape_of({"address": address}, "by_")
        transaction.last().execute(_delete_statement(context.read_deleted, shape), **key)


@require_context
@tx.main.writer
def floating_ip_bulk_destroy(context: Context, ips: Iterable[Mapping[str, Any]]) -> None:
    """Soft-delete the live floating IPs with these addresses and take them off the quota usage of their projects.

    What no project holds, and what was assigned automatically, is in no usage.
    Cost: 2 statements per 256 addresses, and those of ``quota_reserve`` and ``reservation_commit`` per project; in 2
    round trips, and 4 more for each project.
    Lock: the floating IPs, by id; then the usages, one project after the other by name.
    Raises: KeyError for a row without ``address``.
    """
    transaction = current(context)
    known = dict.fromkeys(ip["address"] for ip in ips)
    wanted = [address for address in known if addresses.is_inet(address)]
    statement = _doomed_statement(transaction.dialect)
    doomed = [row for block in chunks(wanted, _BLOCK) for row in transaction.rows(statement, addresses=block)]
    held = [row["project_id"] for row in doomed if row["project_id"] is not None and row["auto_assigned"] is False]
    # before the rows go: if the usage has to be counted anew, they must count, for the commit takes them off
    # each call of the quota sends what waits at its end, so that its errors are its own
    reservations = _reserve(context, collections.Counter(held))
    for block in chunks([row["id"] for row in doomed], _BLOCK):
        transaction.later.execute(_DESTROY_STATEMENT, ids=block, **deleted_now())
    _commit(context, reservations)


def _reserve(context: Context, counts: Mapping[str, int]) -> dict[str, list[str]]:
    """Reserve what is to be released for each project, and return the reservations by project."""
    expire = clock.utcnow() + datetime.timedelta(seconds=settings.reservation_expire)
    limits = (settings.until_refresh, settings.max_age)
    with _quota_errors_logged():
        return {
            project: quota.quota_reserve(
                context, _RESOURCES, {}, {}, {_QUOTA: -counts[project]}, expire, *limits, project_id=project
            )
            for project in sorted(counts)
        }


def _commit(context: Context, reservations: Mapping[str, list[str]]) -> None:
    with _quota_errors_logged():
        for project, uuids in reservations.items():
            quota.reservation_commit(context, uuids, project_id=project, user_id=context.user_id)


@contextlib.contextmanager
def _quota_errors_logged() -> Iterator[None]:
    try:
        yield
    except Exception:
        logger.exception("the quota of destroyed floating IPs was not released")
        raise
