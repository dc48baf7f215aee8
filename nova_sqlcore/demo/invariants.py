# SPDX-License-Identifier: Apache-2.0

"""What must be true when all workers have stopped, whatever the order in which they ran."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from nova_sqlcore import api, get_admin_context, tables, tx
from nova_sqlcore.demo.cloud import COUNTED

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from nova_sqlcore.demo.cloud import Scene, Tally

_OPEN = (
    sa.select(sa.func.count())
    .select_from(tables.reservations)
    .where(tables.reservations.c.project_id == sa.bindparam("project_id"), tables.reservations.c.deleted == 0)
)


def broken(scene: Scene, tallies: Sequence[Tally]) -> list[str]:
    """Return a sentence for everything that is not as the workers' own counts, one of each, say it must be."""
    rows = api.instance_get_all(scene.context(), columns_to_join=[])
    live = [row for row in rows if row["uuid"] != scene.shared]
    return [
        *_usages(scene, live),
        *_reservations(scene),
        *_servers(live, tallies),
        *_shared(scene, tallies),
        *_services(scene, tallies),
    ]


def _usages(scene: Scene, live: Sequence[Any]) -> Iterator[str]:
    counted = {
        "instances": len(live),
        "cores": sum(row["vcpus"] for row in live),
        "ram": sum(row["memory_mb"] for row in live),
    }
    usages: dict[str, Any] = api.quota_usage_get_all_by_project_and_user(scene.context(), scene.project, scene.user)
    for resource in COUNTED:
        usage = usages.get(resource, {"in_use": 0, "reserved": 0})
        if usage["in_use"] != counted[resource]:
            yield f"the quota says that {usage['in_use']} {resource} are in use; it is {counted[resource]}"
        if usage["reserved"]:
            yield f"{usage['reserved']} {resource} are still reserved"


def _reservations(scene: Scene) -> Iterator[str]:
    with tx.reader(get_admin_context()) as t:
        left = t.scalar(_OPEN, project_id=scene.project)
    if left:
        yield f"{left} reservations are still open"


def _servers(live: Sequence[Any], tallies: Sequence[Tally]) -> Iterator[str]:
    expected = sum(tally.booted + tally.failed - tally.deleted for tally in tallies)
    if len(live) != expected:
        yield f"{len(live)} servers are there; it must be {expected}"
    failed = sum(tally.failed for tally in tallies)
    states = [row["vm_state"] for row in live]
    if (states.count("active"), states.count("error")) != (expected - failed, failed):
        yield f"the states of the servers are wrong: {failed} must be in error, the others active"
    busy = [row["uuid"] for row in live if row["task_state"] is not None]
    if busy:
        yield f"{len(busy)} servers are still in a task state"


def _shared(scene: Scene, tallies: Sequence[Tally]) -> Iterator[str]:
    won = sum(tally.counted for tally in tallies)
    state = api.instance_get_by_uuid(get_admin_context(), scene.shared)["task_state"]
    if state != f"step-{won}":
        yield f"the shared counter stands at {state}, but was advanced {won} times: updates are lost"
    metadata = api.instance_metadata_get(get_admin_context(), scene.shared)
    missing = {key for tally in tallies for key in tally.metadata_keys} - metadata.keys()
    if missing:
        yield f"{len(missing)} metadata keys of the shared instance are lost"


def _services(scene: Scene, tallies: Sequence[Tally]) -> Iterator[str]:
    hosts = [scene.host(number) for number in range(len(tallies))]
    services = [api.service_get_by_compute_host(get_admin_context(), host) for host in hosts]
    beats = sum(service["report_count"] for service in services)
    served = sum(tally.booted + tally.failed for tally in tallies)
    if beats != served:
        yield f"the services have counted {beats} heartbeats; it must be {served}"
