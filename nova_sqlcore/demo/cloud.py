# SPDX-License-Identifier: Apache-2.0

"""The life of a server, as a compute service and its conductor lead it through the database."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import secrets
import types
import uuid
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nova_sqlcore import RequestContext, api, clock, exceptions, get_admin_context, tx

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from nova_sqlcore.demo.measures import Measures

COUNTED: Final = ("instances", "cores", "ram")
#: What the quota functions want to know about a resource: how its use is counted.
RESOURCES: Final = {name: types.SimpleNamespace(name=name, sync="_sync_instances") for name in COUNTED}
#: The steps of a boot: task state before and after.
STEPS: Final = ("scheduling", "networking", "spawning", None)
PAGE: Final = 20
#: What the names of the demo's own projects and hosts begin with.
PREFIX: Final = "demo-"
#: One of so many servers of a worker meets this fate.
RESIZED, FAILED, DELETED, REFUSED, MISTAKEN = 3, 10, 4, 6, 5


class Scene(NamedTuple):
    """The names of one run, so that another run on the same database does not meet them."""

    project: str
    user: str
    #: an instance that all workers change at the same time
    shared: str

    @classmethod
    def new(cls) -> Scene:
        """Return names that nobody has used."""
        project = f"{PREFIX}{secrets.token_hex(3)}"
        return cls(project, f"user-of-{project}", str(uuid.uuid4()))

    def context(self) -> RequestContext:
        """Return the context that servers are made with."""
        return RequestContext(self.user, self.project)

    def host(self, number: int) -> str:
        """Return the name of a compute host."""
        return f"{self.project}-compute-{number}"


@dataclasses.dataclass(slots=True)
class Tally:
    """What one worker did, for the check at the end."""

    booted: int = 0
    resized: int = 0
    failed: int = 0
    deleted: int = 0
    refused_over_quota: int = 0
    refused_swaps: int = 0
    #: how often this worker won the shared counter, and how often another one was faster
    counted: int = 0
    lost_races: int = 0
    metadata_keys: list[str] = dataclasses.field(default_factory=list)


def prepare(scene: Scene, workers: int, servers: int) -> None:
    """Store what a cloud has before its first server: limits, and the instance that everybody changes."""
    room = 2 * workers * servers + 1
    for resource, limit in (("instances", room), ("cores", 16 * room), ("ram", 16384 * room)):
        api.quota_create(get_admin_context(), scene.project, resource, limit)
    owner = {"project_id": scene.project, "user_id": "nobody"}
    states = {"task_state": "step-0", "vm_state": "active"}
    api.instance_create(scene.context(), {"uuid": scene.shared, **owner, **states, "vcpus": 0, "memory_mb": 0})


class Worker:
    """A compute host with its service: boots servers, one after the other."""

    def __init__(self, scene: Scene, number: int, measures: Measures) -> None:
        """Report in as host ``number``; ``measures`` passes all calls on to the API."""
        self._db = measures
        self.host = scene.host(number)
        self.tally = Tally()
        self._scene = scene
        self._admin = get_admin_context()
        self._user = scene.context()
        service = {"host": self.host, "binary": "nova-compute", "topic": "compute"}
        self._service = self._db.service_create(self._admin, service)["id"]
        self._node = self._db.compute_node_create(self._admin, self._capacity())["id"]
        self._flavors = [row for row in self._db.flavor_get_all(self._user) if row["vcpus"] <= 4]
        limits = self._db.quota_get_all_by_project(self._user, self._scene.project)
        self._limits = {name: limits[name] for name in COUNTED}

    def serve(self, turn: int) -> None:
        """Lead one server from its order to its fate, and do what a host does meanwhile."""
        flavor = self._flavors[turn % len(self._flavors)]
        instance = self._order(turn, flavor)
        self._boot(instance, fails=turn % FAILED == FAILED - 1)
        self._heartbeat(turn + 1, flavor)
        self._count_up()
        if turn % FAILED != FAILED - 1:
            if turn % RESIZED == 0:
                self._resize(instance, flavor)
            if turn % MISTAKEN == 0:
                self._mistake(instance)
            if turn % DELETED == DELETED - 1:
                self._delete(instance)
        if turn % REFUSED == 0:
            self._ask_for_too_much()
        self._look_at_a_page()

    # -- the life of a server -------------------------------------------------------------------------------------

    def _order(self, turn: int, flavor: Mapping[str, Any]) -> str:
        """Take the quota, store the instance and its first action; return its uuid."""
        deltas = {"instances": 1, "cores": flavor["vcpus"], "ram": flavor["memory_mb"]}
        reservations = self._reserve(deltas)
        values = {
            "uuid": str(uuid.uuid4()),
            "project_id": self._scene.project,
            "user_id": self._scene.user,
            "display_name": f"server {turn} of {self.host}",
            "hostname": f"server-{turn}",
            "vm_state": "building",
            "task_state": STEPS[0],
            "instance_type_id": flavor["id"],
            "vcpus": flavor["vcpus"],
            "memory_mb": flavor["memory_mb"],
            "root_gb": flavor["root_gb"],
            "metadata": {"purpose": "demo", "host": self.host},
            "system_metadata": {f"image_property_{number}": "x" * 20 for number in range(10)},
            "extra": {"flavor": "{}"},
        }
        instance: str = self._db.instance_create(self._user, values)["uuid"]
        self._commit(reservations)
        request = {"instance_uuid": instance, "request_id": self._user.request_id}
        self._db.action_start(
            self._user, {**request, "action": "create", "user_id": self._scene.user, "project_id": self._scene.project}
        )
        return instance

    def _boot(self, instance: str, *, fails: bool) -> None:
        """Go through the task states, each by compare-and-swap."""
        event = {"instance_uuid": instance, "request_id": self._user.request_id, "event": "compute_run"}
        self._db.action_event_start(self._user, event)
        for before, after in itertools.pairwise(STEPS):
            change: dict[str, Any] = {"task_state": after, "expected_task_state": before}
            if after == "networking":
                change |= {"host": self.host, "node": self.host}
                self._db.instance_info_cache_update(self._user, instance, {"network_info": "[]"})
            if after is None:
                change |= {"vm_state": "error" if fails else "active", "launched_at": clock.utcnow(), "power_state": 1}
            self._db.instance_update(self._user, instance, change)
        self._db.action_event_finish(self._user, {**event, "result": "Error" if fails else "Success"})
        if fails:
            fault = {"instance_uuid": instance, "code": 500, "message": "on purpose", "host": self.host}
            self._db.instance_fault_create(self._user, fault)
            self.tally.failed += 1
        else:
            self.tally.booted += 1

    def _resize(self, instance: str, flavor: Mapping[str, Any]) -> None:
        """Double the cores, if nobody has changed the server's state meanwhile."""
        reservations = self._reserve({"cores": flavor["vcpus"]})
        change = {"vcpus": 2 * flavor["vcpus"], "expected_vm_state": "active", "expected_task_state": None}
        self._db.instance_update(self._user, instance, change)
        self._commit(reservations)
        self.tally.resized += 1

    def _mistake(self, instance: str) -> None:
        """Expect a wrong state: the library must refuse and change nothing."""
        try:
            self._db.instance_update(
                self._user, instance, {"task_state": "lost", "expected_task_state": "no such state"}
            )
        except exceptions.UnexpectedTaskStateError:
            self.tally.refused_swaps += 1

    def _delete(self, instance: str) -> None:
        """Delete the server and give its quota back, in one transaction."""
        self._db.instance_update(self._user, instance, {"task_state": "deleting", "expected_task_state": None})
        with self._db.measured("deletion and quota, one transaction"):
            for attempt in tx.attempts(self._user):
                with attempt:
                    self._destroy(instance)
        self.tally.deleted += 1

    def _destroy(self, instance: str) -> None:
        row = api.instance_destroy(self._user, instance)
        back = {"instances": -1, "cores": -(row["vcpus"] or 0), "ram": -(row["memory_mb"] or 0)}
        reservations = api.quota_reserve(self._user, RESOURCES, {}, {}, back, _in_an_hour(), 0, 0)
        api.reservation_commit(self._user, reservations, project_id=self._scene.project, user_id=self._scene.user)

    # -- quota ----------------------------------------------------------------------------------------------------

    def _reserve(self, deltas: dict[str, int]) -> list[str]:
        limits = {name: self._limits[name] for name in deltas}
        reservations: list[str] = self._db.quota_reserve(
            self._user, RESOURCES, limits, limits, deltas, _in_an_hour(), 0, 0
        )
        return reservations

    def _commit(self, reservations: Sequence[str]) -> None:
        self._db.reservation_commit(self._user, reservations, project_id=self._scene.project, user_id=self._scene.user)

    def _ask_for_too_much(self) -> None:
        """Ask for one server more than the project may ever have; and give back what was reserved in vain."""
        try:
            self._reserve({"instances": self._limits["instances"] + 1})
        except exceptions.OverQuota:
            self.tally.refused_over_quota += 1
        in_vain = self._reserve({"instances": 1})
        self._db.reservation_rollback(self._user, in_vain, project_id=self._scene.project, user_id=self._scene.user)

    # -- what all workers change, and what a host tells -----------------------------------------------------------

    def _count_up(self) -> None:
        """Advance the shared counter by compare-and-swap, and leave a key of our own in the shared metadata."""
        while True:
            before = self._db.instance_get_by_uuid(self._user, self._scene.shared, columns=("task_state",))[
                "task_state"
            ]
            after = f"step-{int(before.removeprefix('step-')) + 1}"
            try:
                self._db.instance_update(
                    self._user, self._scene.shared, {"task_state": after, "expected_task_state": before}
                )
            except exceptions.UnexpectedTaskStateError:
                self.tally.lost_races += 1
            else:
                break
        self.tally.counted += 1
        key = f"{self.host}-{self.tally.counted}"
        self._db.instance_metadata_update(self._user, self._scene.shared, {key: after}, False)
        self.tally.metadata_keys.append(key)

    def _heartbeat(self, count: int, flavor: Mapping[str, Any]) -> None:
        self._db.service_update(self._admin, self._service, {"report_count": count})
        used = {"running_vms": count, "vcpus_used": count * flavor["vcpus"]}
        self._db.compute_node_update(self._admin, self._node, used)

    def _look_at_a_page(self) -> None:
        """List the project's newest servers, and one page more."""
        page = self._db.instance_get_all_by_filters(self._user, {"deleted": False}, limit=PAGE)
        if len(page) == PAGE:
            self._db.instance_get_all_by_filters(self._user, {"deleted": False}, limit=PAGE, marker=page[-1]["uuid"])

    def _capacity(self) -> dict[str, Any]:
        sizes = {"vcpus": 64, "memory_mb": 262144, "local_gb": 4096}
        used = {"vcpus_used": 0, "memory_mb_used": 0, "local_gb_used": 0}
        about = {"hypervisor_type": "QEMU", "hypervisor_version": 2005000, "cpu_info": "{}"}
        return {"host": self.host, "hypervisor_hostname": self.host, **sizes, **used, **about}


def _in_an_hour() -> datetime.datetime:
    return clock.utcnow() + datetime.timedelta(hours=1)
