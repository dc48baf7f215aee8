# SPDX-License-Identifier: Apache-2.0

"""Archive and purge by eight processes on all nodes at once, and limits of a transaction's size."""

from __future__ import annotations

import contextlib
import uuid
from typing import TYPE_CHECKING, Any, Final

import pytest
import sqlalchemy as sa

from nova_sqlcore import api, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.maintenance import archive, purge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.queries.processes import Processes
    from tests.servers.galera import Galera

TREES: Final = 600
PARTS: Final = (tables.instances, tables.instance_faults, tables.instance_metadata, tables.certificates)


def move(number: int, batch: int) -> int:
    return sum(archive.archive_deleted_rows(batch=batch).values())


def erase(number: int, batch: int) -> int:
    return sum(purge.purge_archived_rows(batch=batch).values())


def fill() -> None:
    """Store soft-deleted instances with two rows each, and as many certificates."""
    numbers = range(1, TREES + 1)
    keys = {number: str(uuid.UUID(int=number)) for number in numbers}
    columns: dict[sa.Table, tuple[str, dict[str, Any]]] = {
        tables.instances: ("uuid", {}),
        tables.instance_faults: ("instance_uuid", {"code": 500}),
        tables.instance_metadata: ("instance_uuid", {"key": "k"}),
        tables.certificates: ("file_name", {}),
    }
    with tx.main.engine.begin() as connection:
        for table, (column, more) in columns.items():
            rows = [{"id": number, "deleted": number, column: keys[number], **more} for number in numbers]
            connection.execute(sa.insert(table), rows)


def counts(*, shadows: bool) -> list[int]:
    """Return how many rows the tables have, on a node that has applied what the others have committed."""
    with tx.main.engine.connect() as connection:
        connection.exec_driver_sql("SET SESSION wsrep_sync_wait = 1")
        found = [tables.shadows[table.name] if shadows else table for table in PARTS]
        count = sa.func.count()
        return [connection.execute(sa.select(count).select_from(table)).scalar_one() for table in found]


@pytest.mark.parametrize("batch", [50, 1000], ids=["small batches", "large batches"])
def test_on_all_nodes_at_once(urls: list[sa.URL], processes: Processes, batch: int) -> None:
    """Each row moves once, though a lock that makes others step over it is known to one node alone."""
    fill()
    assert counts(shadows=False) == [TREES] * len(PARTS)
    moved = processes.call(urls, move, batch)
    assert sum(moved) == TREES * len(PARTS)
    assert counts(shadows=False) == [0] * len(PARTS)
    assert counts(shadows=True) == [TREES] * len(PARTS)
    erased = processes.call(urls, erase, batch)
    assert sum(erased) == TREES * len(PARTS)
    assert counts(shadows=True) == [0] * len(PARTS)


@contextlib.contextmanager
def limited(cluster: Galera, name: str, value: int) -> Iterator[None]:
    """Set a limit on all nodes."""
    before = cluster.nodes[0].answer(f"SELECT @@GLOBAL.{name}")
    for node in cluster.nodes:
        node.command(f"SET GLOBAL {name} = {value}")
    try:
        yield
    finally:
        for node in cluster.nodes:
            node.command(f"SET GLOBAL {name} = {before}")


@pytest.mark.parametrize(("name", "value"), [("wsrep_max_ws_rows", 100), ("wsrep_max_ws_size", 65536)])
def test_a_transaction_that_is_too_large(cluster: Galera, urls: list[sa.URL], name: str, value: int) -> None:
    """It is undone, and says so; archive and purge make their batches smaller."""
    addresses = [{"address": f"10.0.{number >> 8}.{number & 255}"} for number in range(2000)]
    fill()
    with limited(cluster, name, value):
        tx.close()
        tx.configure(urls[0])
        with pytest.raises(exceptions.DBTransactionTooLarge):
            api.fixed_ip_bulk_create(get_admin_context(), addresses)
        context = get_admin_context()
        with pytest.raises(exceptions.DBTransactionTooLarge), tx.writer(context) as t, t.savepoint():
            api.fixed_ip_bulk_create(context, addresses)
        assert move(0, 1000) == TREES * len(PARTS)
        assert erase(0, 1000) == TREES * len(PARTS)
    with tx.reader(get_admin_context()) as transaction:
        assert transaction.rows(tables.fixed_ips.select()) == []
