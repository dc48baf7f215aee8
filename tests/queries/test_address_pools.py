"""Addresses out of a pool: each goes to one caller, as long as there are any, and a big pool costs no more than a small
one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, exceptions, get_admin_context, tx
from nova_sqlcore.queries import fixed_ips, floating_ips
from tests.queries.processes import COUNT, eight_processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.plugins.backend import Backend
    from tests.queries.processes import Processes

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


def fill(count: int) -> list[str]:
    """Store fixed IPs, every other in network 1 and the rest in none, and floating IPs; return their addresses."""
    admin = get_admin_context()
    addresses = [f"10.0.{number >> 8}.{number & 255}" for number in range(count)]
    fixed = ({"address": address, "network_id": number % 2 or None} for number, address in enumerate(addresses))
    fixed_ips.fixed_ip_bulk_create(admin, fixed)
    floating_ips.floating_ip_bulk_create(admin, ({"address": address, "pool": "pool"} for address in addresses), False)
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
        engine._has_events = False  # as ``statements_sent``
    words = "EXPLAIN QUERY PLAN" if backend.name == "sqlite" else "EXPLAIN"
    lines = []
    with engine.connect() as connection:
        for statement, parameters in sent:
            if statement.startswith(("SELECT", "UPDATE")):
                found = connection.exec_driver_sql(f"{words} {statement}", parameters)
                lines += [" ".join(map(str, record)) for record in found]
    return lines


def analyze(backend: Backend, *names: str) -> None:
    """Let the server count, as it does by itself some time after so many rows have come."""
    words = {"mysql": "ANALYZE TABLE"}.get(backend.name, "ANALYZE")
    with sa.create_engine(backend.url, isolation_level="AUTOCOMMIT").connect() as connection:
        for name in names:
            connection.exec_driver_sql(f"{words} {name}")
        connection.engine.dispose()


#: The sort that a step names; the two rows from inside and outside the network are sorted, and nothing else.
SORTS = {"sqlite": "TEMP B-TREE", "mysql": "filesort", "postgresql": "->  Sort"}


@pytest.mark.parametrize(
    ("take", "table", "index", "sorts"),
    [
        (take_fixed, "fixed_ips", "fixed_ips_free_idx", 1),
        (take_floating, "floating_ips", "floating_ips_pool_deleted_fixed_ip_id_project_id_idx", 0),
    ],
)
@pytest.mark.parametrize("share_taken", [0.0, 0.9])
def test_an_index_leads_to_a_free_address(
    backend: Backend,
    take: Callable[[int, int], list[Any]],
    table: str,
    index: str,
    sorts: int,
    share_taken: float,
) -> None:
    fill(MANY)
    with tx.writer(get_admin_context()) as transaction:
        taken = int(MANY * share_taken)
        ids = sa.text(
            f"UPDATE {table} SET host = 'h', {'fixed_ip_id' if table[1] == 'l' else 'network_id'} = 1 "
            f"WHERE id < (SELECT m + {taken} FROM (SELECT MIN(id) AS m FROM {table}) x)"
        )
        transaction.connection.execute(ids)
    analyze(backend, table)
    plan = explain(backend, lambda: take(0, 1))
    steps = [line for line in plan if table in line]
    assert any(index in line for line in steps), plan
    scans = {"sqlite": f"SCAN {table}", "mysql": " ALL ", "postgresql": f"Seq Scan on {table}"}
    assert not [line for line in steps if scans[backend.name] in line], plan
    assert sum(SORTS[backend.name] in line for line in plan) == sorts, plan
    assert not [line for line in steps if SORTS[backend.name] in line], plan


def test_users_take_from_the_same_pool(backend: Backend) -> None:
    addresses = fill(4)
    users = [RequestContext(name, "project") for name in ("a", "b")]
    got = [floating_ips.floating_ip_allocate_address(user, "project", "pool") for user in users * 2]
    assert sorted(got) == addresses
