# SPDX-License-Identifier: Apache-2.0

"""Nodes that are killed, stopped and cut off while eight processes write on all of them."""

from __future__ import annotations

import collections
import contextlib
import os
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import pytest
import sqlalchemy as sa

from nova_sqlcore import api, exceptions, get_admin_context, tables, tx
from tests.galera import work
from tests.queries import instance_factory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from tests.queries.processes import Processes
    from tests.servers.galera import Galera, Node

ROUNDS: Final = 15
#: Seconds: longer than the five that nodes wait for one that is silent, before they go on without it.
SILENCE: Final = 8
T: Final = tables.certificates


def kill_one(cluster: Galera) -> None:
    lost = cluster.nodes[2]
    lost.kill()
    time.sleep(SILENCE)
    lost.rejoin(cluster.addresses)


def replace_one(cluster: Galera) -> None:
    """The node that gives a new one its copy takes no writes meanwhile: whoever writes there waits."""
    lost = cluster.nodes[2]
    lost.kill()
    lost.replace(cluster.addresses)


def stop_one(cluster: Galera) -> None:
    """The others go on without it; when it goes on it finds that, and what it had sent them last may be lost."""
    with stopped(cluster, 2):
        time.sleep(SILENCE)
    wait_for(cluster.nodes)


def stop_two(cluster: Galera) -> None:
    """One of three has no majority: nobody writes until they are together again."""
    with stopped(cluster, 1, 2):
        time.sleep(SILENCE)
    wait_for(cluster.nodes)


def kill_two(cluster: Galera) -> None:
    """The last one has no majority until an operator says that it is the cluster now; the others come back to it."""
    first, *others = cluster.nodes
    for node in others:
        node.kill()
    time.sleep(SILENCE)
    with contextlib.suppress(sa.exc.DBAPIError):  # what SQLAlchemy sends after it, in the first moment
        first.command("SET GLOBAL wsrep_provider_options = 'pc.bootstrap=YES'")
    wait_for([first])
    for node in others:
        node.rejoin([first.address])


@contextlib.contextmanager
def stopped(cluster: Galera, *numbers: int) -> Iterator[None]:
    """Stop nodes, as a broken network would, and let them go on in the end."""
    for number in numbers:
        os.kill(cluster.nodes[number].pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for number in numbers:
            os.kill(cluster.nodes[number].pid, signal.SIGCONT)


def wait_for(nodes: Sequence[Node]) -> None:
    """Wait until the nodes are together, and all of them take statements."""
    deadline = time.monotonic() + 60
    while {_size(node) for node in nodes} != {len(nodes)}:
        assert time.monotonic() < deadline, [_size(node) for node in nodes]
        time.sleep(0.2)


def _size(node: Node) -> int:
    """Return of how many nodes the cluster is that this one belongs to; 0 if it takes no statements."""
    size = "SELECT variable_value FROM information_schema.global_status WHERE variable_name = 'wsrep_cluster_size'"
    try:
        return int(node.answer(size))
    except sa.exc.DBAPIError:
        return 0


@pytest.mark.parametrize(
    "fault", [kill_one, replace_one, stop_one, stop_two, kill_two], ids=lambda fault: fault.__name__
)
def test_in_the_midst_of_contention(
    cluster: Galera, urls: list[sa.URL], processes: Processes, fault: Callable[[Galera], None]
) -> None:
    """Nothing that was acknowledged is lost, nothing is there twice, and what failed is not there.

    A conflict, or an error that says nothing of the connection, fails in the process that meets it.
    """
    lay_ground()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(processes.call, urls, work.work, urls, ROUNDS, "the fault is over")
        wait_until_they_write(urls[0])
        try:
            fault(cluster)
        finally:
            acknowledge(urls[0], "the fault is over")
        accounts = running.result()
    lost = sum((account.lost for account in accounts), collections.Counter[str]())
    assert lost, "nobody has noticed the fault"
    for url in urls:
        check(url, accounts)


def test_a_node_without_majority_says_so_and_serves_again(cluster: Galera, urls: list[sa.URL]) -> None:
    """What it had sent to the others may be done by them; what it refuses to begin is not."""
    work.move(urls[0])
    context = get_admin_context()
    with contextlib.ExitStack() as stack:
        with pytest.raises(exceptions.DBConnectionError) as refused, tx.writer(context):
            work.certificate(context, "refused")
            stack.enter_context(stopped(cluster, 1, 2))
            with pytest.raises(exceptions.DBCommitUncertain):
                work.certificate(get_admin_context(), "sent")
        assert type(refused.value) is exceptions.DBConnectionError
        with pytest.raises(exceptions.DBConnectionError):
            api.certificate_get_all_by_project(context, "p")
    wait_for(cluster.nodes)
    work.certificate(context, "after")
    names = {row["file_name"] for row in api.certificate_get_all_by_project(context, "p")}
    assert names - {"sent"} == {"after"}


def lay_ground() -> None:
    instance_factory.insert("security_groups", id=1, name="g", project_id="p", user_id="u")
    numbers = ("vcpus", "memory_mb", "local_gb", "vcpus_used", "memory_mb_used", "local_gb_used", "hypervisor_version")
    for number in range(work.KEYS):
        instance_factory.insert("instances", uuid=work.key_of(number), project_id="p", user_id="u")
        instance_factory.insert("services", id=number + 1, host=f"{number}", report_count=0)
        instance_factory.insert(
            "compute_nodes", id=number + 1, **dict.fromkeys(numbers, 1), hypervisor_type="h", cpu_info="{}"
        )


def wait_until_they_write(url: sa.URL) -> None:
    work.move(url)
    deadline = time.monotonic() + 60
    while len(api.certificate_get_all_by_project(get_admin_context(), "p")) < 4 * 8:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def acknowledge(url: sa.URL, name: str) -> None:
    """Tell the processes that they may end; a node that was cut off may need a moment."""
    deadline = time.monotonic() + 30
    while True:
        work.move(url)
        try:
            api.certificate_create(get_admin_context(), {"project_id": "other", "user_id": name})
        except exceptions.DBConnectionError:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        else:
            return


def check(url: sa.URL, accounts: list[work.Account]) -> None:
    """Look at one node, which has applied what the others have committed."""
    tx.close()
    tx.configure(url, wsrep_sync_wait=1)
    names = collections.Counter(row["file_name"] for row in rows_of(T, T.c.project_id == "p"))
    acknowledged = {name for account in accounts for name in account.acknowledged}
    uncertain = {name for account in accounts for name in account.uncertain}
    assert [name for name, count in names.items() if count > 1] == []
    assert acknowledged - set(names) == set()
    assert set(names) - acknowledged - uncertain == set()
    done = sum((account.done for account in accounts), collections.Counter[tuple[str, int]]())
    unknown = sum((account.open for account in accounts), collections.Counter[tuple[str, int]]())
    volumes = {row["volume_id"]: row["tot_reads"] for row in rows_of(tables.volume_usage_cache)}
    usages = {row["project_id"]: row for row in rows_of(tables.quota_usages)}
    reserved = collections.Counter[str]()
    for row in rows_of(tables.reservations, tables.reservations.c.deleted == 0):
        reserved[row["project_id"]] += row["delta"]
    for number in range(work.KEYS):
        of_totals, of_loops = ("totals", number), ("loop", number)
        least = done[of_totals]
        assert least <= volumes[work.key_of(number)] <= least + unknown[of_totals]
        usage = usages[f"p{number}"]
        assert usage["reserved"] == reserved[f"p{number}"]
        least = done[of_loops]
        assert least <= usage["in_use"] <= least + unknown[of_loops]
        assert usage["in_use"] + usage["reserved"] <= least + unknown[of_loops]
    assert len(rows_of(tables.volume_usage_cache)) == len(rows_of(tables.quota_usages)) == work.KEYS
    assert len(rows_of(tables.security_group_instance_association)) == work.KEYS


def rows_of(table: sa.Table, *where: sa.ColumnElement[bool]) -> list[dict[str, Any]]:
    with tx.reader(get_admin_context()) as transaction:
        return transaction.rows(sa.select(table).where(*where))
