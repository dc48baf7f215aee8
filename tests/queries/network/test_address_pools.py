# SPDX-License-Identifier: Apache-2.0

"""Pools of addresses: each address goes to one caller, and a big pool costs no more than a small one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import api, exceptions, get_admin_context, tx
from nova_sqlcore.queries.network import fixed_ips, floating_ips
from tests.queries.processes import COUNT, eight_processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.plugins.backend import Backend
    from tests.queries.processes import Processes

Row = dict[str, Any]

#: addresses for each of the eight processes
EACH = 12
#: addresses in a pool whose plans are looked at
MANY = 5000


def take_fixed(number: int, times: int) -> list[Any]:
    context = get_admin_context()
    return [fixed_ips.fixed_ip_associate_pool(context, 1, host=f"h{number}")["address"] for _ in range(times)]


def take_floating(number: int, times: int) -> list[Any]:
    context = get_admin_context()
    return [floating_ips.floating_ip_allocate_address(context, f"p{number}", "pool") for _ in range(times)]


def fill(count: int, taken: int = 0) -> list[str]:
    """Store fixed IPs, half of them in network 1 and half in none, and floating IPs; return their addresses."""
    admin = get_admin_context()
    addresses = [f"10.0.{number >> 8}.{number & 255}" for number in range(count)]
    fixed: list[Row] = [{"address": address, "network_id": None, "host": None} for address in addresses]
    floating: list[Row] = [{"address": address, "pool": "pool", "fixed_ip_id": None} for address in addresses]
    for row in fixed[::2]:
        row["network_id"] = 1
    for number in range(taken):
        fixed[number]["host"] = "h"
        floating[number]["fixed_ip_id"] = 1
    fixed_ips.fixed_ip_bulk_create(admin, fixed)
    floating_ips.floating_ip_bulk_create(admin, floating, want_result=False)
    return addresses


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    """Start the processes once for all back-ends."""
    with eight_processes() as started:
        yield started


@pytest.mark.parametrize(
    ("take", "nothing_left"),
    [(take_fixed, exceptions.NoMoreFixedIps), (take_floating, exceptions.NoMoreFloatingIps)],
)
def test_eight_processes_get_every_address_once(
    backend: Backend, processes: Processes, take: Callable[[int, int], list[Any]], nothing_left: type[Exception]
) -> None:
    addresses = fill(COUNT * EACH)
    taken = processes.call(backend.url, take, EACH)
    assert sorted(address for some in taken for address in some) == sorted(addresses)
    with pytest.raises(nothing_left):
        take(9, 1)


def explain(backend: Backend, call: Callable[[], Any]) -> list[str]:
    """Return the plans of the statements that a call sends, a line for each step."""
    sent: list[tuple[str, Any]] = []

    def note(connection: Any, cursor: Any, statement: str, parameters: Any, *rest: Any) -> None:
        sent.append((statement, parameters))

    engine = tx.main.engine
    sa.event.listen(engine, "before_cursor_execute", note)
    try:
        call()
    finally:
        sa.event.remove(engine, "before_cursor_execute", note)
    words = {"sqlite": "EXPLAIN QUERY PLAN", "mysql": "EXPLAIN FORMAT=TRADITIONAL"}.get(backend.family, "EXPLAIN")
    lines = []
    with engine.connect() as connection:
        for statement, parameters in sent:
            if statement.startswith(("SELECT", "UPDATE")):
                found = connection.exec_driver_sql(f"{words} {statement}", parameters)
                lines += [" ".join(map(str, record)) for record in found]
    return lines


#: The sort that a step names; the two rows from inside and outside the network are sorted, and nothing else.
SORTS = {"sqlite": "TEMP B-TREE", "mysql": "filesort", "postgresql": "->  Sort"}


@pytest.mark.parametrize(
    ("take", "table", "index", "sorts"),
    [
        (take_fixed, "fixed_ips", "fixed_ips_free_idx", 1),
        (take_floating, "floating_ips", "floating_ips_pool_deleted_fixed_ip_id_project_id_idx", 0),
    ],
)
@pytest.mark.parametrize("taken", [0, MANY * 9 // 10])
def test_an_index_leads_to_a_free_address(
    backend: Backend,
    take: Callable[[int, int], list[Any]],
    table: str,
    index: str,
    sorts: int,
    taken: int,
) -> None:
    fill(MANY, taken)
    backend.analyze(table)
    plan = explain(backend, lambda: take(0, 1))
    steps = [line for line in plan if table in line]
    assert any(index in line for line in steps), plan
    scans = {"sqlite": f"SCAN {table}", "mysql": " ALL ", "postgresql": f"Seq Scan on {table}"}
    assert not [line for line in steps if scans[backend.family] in line], plan
    assert sum(SORTS[backend.family] in line for line in plan) == sorts, plan
    assert not [line for line in steps if SORTS[backend.family] in line], plan


@pytest.mark.only_on("postgresql", why="other servers plan each call")
def test_the_plan_of_a_claim_is_kept(backend: Backend) -> None:
    """It is made once for all values, and takes the indexes, too."""
    fill(MANY)
    for table in ("fixed_ips", "floating_ips"):
        backend.analyze(table)
    for take in (take_fixed, take_floating):
        take(0, 10)
    link = tx.main.link_writer()
    try:
        ask = link.raw.cursor().execute
        kept = ask(
            "SELECT name, generic_plans, cardinality(parameter_types) FROM pg_prepared_statements "
            "WHERE statement LIKE 'UPDATE f%'"
        ).fetchall()
        assert len(kept) == 2
        ask("SET LOCAL plan_cache_mode = force_generic_plan")
        for name, times, count in kept:
            assert times > 0, name
            plan = ask(f"EXPLAIN EXECUTE {name}({', '.join(['NULL'] * count)})").fetchall()
            assert not [line for (line,) in plan if "Seq Scan on f" in line], plan
    finally:
        link.raw.rollback()
        tx.main.take_back(link)


@pytest.mark.only_on("mysql", why="elsewhere a row is locked after the sort")
def test_the_free_addresses_of_a_small_network_are_not_sorted(backend: Backend) -> None:
    """MySQL locks all that it sorts, so that nobody else finds any."""
    for address, network in [("10.9.0.1", 1), ("10.9.0.2", 1), *((f"10.9.1.{number}", 2) for number in range(30))]:
        api.fixed_ip_create(get_admin_context(), {"address": address, "network_id": network})
    backend.analyze("fixed_ips")
    plan = explain(backend, lambda: api.fixed_ip_associate_pool(get_admin_context(), 1, host="h"))
    assert not [line for line in plan if "fixed_ips" in line and "filesort" in line], plan


@pytest.mark.parametrize("create", [api.floating_ip_bulk_create, api.fixed_ip_bulk_create])
def test_rows_with_and_without_id(backend: Backend, create: Callable[..., Any]) -> None:
    admin = get_admin_context()
    given = [{"address": "10.0.0.1"}, {"address": "10.0.0.2", "id": 90_001}, {"address": "10.0.0.3", "id": None}]
    create(admin, given)
    get_all: Any = api.floating_ip_get_all if create is api.floating_ip_bulk_create else api.fixed_ip_get_all
    found = {row["address"]: row["id"] for row in get_all(admin)}
    assert found.keys() == {"10.0.0.1", "10.0.0.2", "10.0.0.3"}
    assert found["10.0.0.2"] == 90_001
    with pytest.raises((exceptions.FixedIpExists, exceptions.FloatingIpExists)):
        create(admin, [{"address": "10.0.0.9", "id": 90_001}])
