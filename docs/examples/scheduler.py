# SPDX-License-Identifier: Apache-2.0

"""A small scheduler: it gives every server that waits a host that is alive and has room for it."""

# [imports]
from __future__ import annotations

import collections
import datetime
import sys
import threading
from typing import Any

import sqlalchemy as sa

from nova_sqlcore import RequestContext, api, exceptions, get_admin_context, tables, tx

# [report]
HEARTBEAT = 10  # seconds between two reports of a host


def report_in(ctxt: Any, host: str, memory_mb: int) -> None:
    """Say that the host is alive; the first time, make it known together with its memory."""
    try:
        service = api.service_get_by_host_and_binary(ctxt, host, "nova-compute")
    except exceptions.HostBinaryNotFound:
        with tx.writer(ctxt):  # both rows or neither
            service = api.service_create(ctxt, {"host": host, "binary": "nova-compute", "topic": "compute"})
            api.compute_node_create(ctxt, _new_node(host, memory_mb))
    api.service_update(ctxt, service["id"], {"report_count": service["report_count"] + 1})


def _new_node(host: str, memory_mb: int) -> dict[str, Any]:
    return {
        "host": host,
        "hypervisor_hostname": host,
        "hypervisor_type": "QEMU",
        "hypervisor_version": 8002000,
        "cpu_info": "{}",
        "vcpus": 16,
        "vcpus_used": 0,
        "memory_mb": memory_mb,
        "memory_mb_used": 0,
        "free_ram_mb": memory_mb,
        "local_gb": 500,
        "local_gb_used": 0,
    }


# [order]
def order(ctxt: RequestContext, name: str, memory_mb: int) -> str:
    """Store a server that waits for a host, and return its uuid."""
    server = api.instance_create(
        ctxt,
        {
            "project_id": ctxt.project_id,
            "user_id": ctxt.user_id,
            "display_name": name,
            "memory_mb": memory_mb,
            "vm_state": "building",
            "task_state": "scheduling",
        },
    )
    return server["uuid"]


# [candidates]
def candidates(ctxt: Any, memory_mb: int) -> list[Any]:
    """Return the nodes that are alive and have room, the one with the most free memory first."""
    oldest = datetime.datetime.now(datetime.UTC).replace(tzinfo=None) - datetime.timedelta(seconds=3 * HEARTBEAT)
    with tx.reader(ctxt):  # both lists show the same moment
        services = api.service_get_all_by_binary(ctxt, "nova-compute")
        nodes = api.compute_node_get_all(ctxt)
    alive = {service["host"] for service in services if service["last_seen_up"] and service["last_seen_up"] >= oldest}
    fitting = [node for node in nodes if node["host"] in alive and node["free_ram_mb"] >= memory_mb]
    return sorted(fitting, key=lambda node: -node["free_ram_mb"])


# [place]
nodes = tables.compute_nodes
TAKE_MEMORY = (
    sa.update(nodes)
    .where(nodes.c.id == sa.bindparam("node_id"), nodes.c.free_ram_mb >= sa.bindparam("wanted"))
    .values(
        free_ram_mb=nodes.c.free_ram_mb - sa.bindparam("wanted"),
        memory_mb_used=nodes.c.memory_mb_used + sa.bindparam("wanted"),
    )
)


@tx.writer
def place(ctxt: Any, server: Any, node: Any) -> bool:
    """Put the server on the node; False if the node has filled up in the meantime."""
    taken = ctxt.transaction.execute(TAKE_MEMORY, node_id=node["id"], wanted=server["memory_mb"])
    if not taken:
        return False
    api.instance_update(
        ctxt,
        server["uuid"],
        {"host": node["host"], "node": node["hypervisor_hostname"], "task_state": "spawning"},
        expected={"task_state": "scheduling"},
    )
    ctxt.transaction.after_commit(lambda: tell(node["host"], server["uuid"]))
    return True


# [tell]
told: list[tuple[str, str]] = []


def tell(host: str, uuid: str) -> None:
    """Let the host know that it has work; a real service would send a message."""
    told.append((host, uuid))


# [run]
def run_once(ctxt: Any) -> None:
    """Place every server that waits; leave those for which there is no room."""
    for server in api.instance_get_all_by_filters(ctxt, {"task_state": "scheduling", "deleted": False}):
        for node in candidates(ctxt, server["memory_mb"]):
            try:
                if place(ctxt, server, node):
                    break
            except exceptions.UnexpectedTaskStateError:
                break  # another scheduler has placed it


# [main]
def main(url: str) -> None:
    """Run three hosts, ten servers and four schedulers."""
    tx.configure(url)
    admin = get_admin_context()
    for host in ("node1", "node2", "node3"):
        report_in(admin, host, memory_mb=8192)
    alice = RequestContext(user_id="alice", project_id="blue")
    for number in range(10):
        order(alice, f"web{number}", memory_mb=2048)

    schedulers = [threading.Thread(target=run_once, args=(get_admin_context(),)) for _ in range(4)]
    for scheduler in schedulers:
        scheduler.start()
    for scheduler in schedulers:
        scheduler.join()

    placed = collections.Counter(server["host"] for server in api.instance_get_all(admin))
    print(placed.total(), "servers are placed, at most", max(placed.values()), "on a host")
    print("hosts were told of", len(set(told)), "servers,", len(told), "times in all")
    print("memory in use:", sum(node["memory_mb_used"] for node in api.compute_node_get_all(admin)), "MiB")
    tx.close()


if __name__ == "__main__":
    main(sys.argv[1])
