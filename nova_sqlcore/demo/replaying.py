# SPDX-License-Identifier: Apache-2.0

"""Does to a database what the lines of Nova's logs tell that a cloud has done to its own.

A log does not hold the calls; it holds what was done, and for each kind of work the calls are made that Nova makes for
it. Instances, projects and hosts get names of their own, so that rows of others are never met, though the log may come
from the very cloud whose database this is.
"""

from __future__ import annotations

import collections
import dataclasses
import datetime
import functools
import itertools
import re
import secrets
import threading
import time
import types
import urllib.parse
import uuid
from typing import TYPE_CHECKING, Any, Final

from nova_sqlcore import RequestContext, api, clock, exceptions, get_admin_context, tx
from nova_sqlcore.demo.lanes import Lanes
from nova_sqlcore.demo.measures import Measures, total

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nova_sqlcore.demo.logs import Line
    from nova_sqlcore.demo.measures import Measure

#: What the names of a replay's projects and hosts begin with.
PREFIX: Final = "replay-"
#: Power states, as Nova numbers them.
_POWER: Final = {"Started": 1, "Resumed": 1, "Paused": 3, "Stopped": 4, "Suspended": 7, "Crashed": 6}
_RESOURCES: Final = {
    name: types.SimpleNamespace(name=name, sync="_sync_instances") for name in ("instances", "cores", "ram")
}
_UNLIMITED: Final = dict.fromkeys(_RESOURCES, -1)
_JOINED: Final = ("info_cache", "metadata", "system_metadata")
_BUILDING: Final = "compute__do_build_and_run_instance"
#: Instances of a page, where the request does not say.
_PAGE: Final = 1000


@dataclasses.dataclass
class Tally:
    """How the lines were understood, and what became of the calls."""

    #: lines that a call followed from
    used: int = 0
    #: lines that tell of no work in the database
    idle: int = 0
    #: lines that are not of oslo.log, or of a kind that is not known
    unknown: int = 0
    #: calls that the library refused, by the error's class
    refused: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)

    @property
    def lines(self) -> int:
        """All lines."""
        return self.used + self.idle + self.unknown


class _Calls(threading.local):
    """The functions of the API, measured for each thread by itself."""

    def __init__(self, found: list[Measures]) -> None:
        """Begin to measure the calls of this thread, and add them to what is found."""
        self.db = Measures()
        found.append(self.db)


class Replay:
    """One replay into the main database, in one thread or in several.

    What the log tells of one instance, and of the host that it runs on, stays in its order.
    """

    def __init__(self, speed: float | None = None, threads: int = 1) -> None:
        """Take the speed: 1 is that of the log, None as fast as it goes."""
        self.tally = Tally()
        self.name = PREFIX + secrets.token_hex(3)
        self._found: list[Measures] = []
        self._calls = _Calls(self._found)
        self._threads = threads
        #: held while names are looked up and given
        self._naming = threading.RLock()
        self._numbers = itertools.count()
        self._admin = get_admin_context()
        self._speed = speed
        self._start: tuple[datetime.datetime, float] | None = None
        self._space = uuid.uuid4()
        #: hosts with the ids of service and node; by process, the host that it runs on
        self._hosts: dict[str, tuple[int, int]] = {}
        self._host_of: dict[str, str] = {}
        #: instances by their uuids in the log, with the owner; those that were ordered and have no uuid yet
        self._instances: dict[str, RequestContext] = {}
        self._ordered: collections.deque[tuple[str, RequestContext]] = collections.deque()
        self._uuids: dict[str, str] = {}
        self._reports = 0

    def run(self, lines: Iterable[Line | None], progress: Callable[[int], Any] | None = None) -> None:
        """Do what the lines tell.

        Raises: DBConnectionError and whatever else is no refusal of a single call.
        """
        remove = tx.observe(self._note)
        try:
            with Lanes(self._threads) as lanes:
                for line in lines:
                    self._play(line, lanes)
                    if progress is not None:
                        progress(self.tally.lines)
        finally:
            remove()

    def _note(self, report: tx.Report) -> None:
        """Take a report, in the thread that it is about."""
        self._db.note(report)

    @property
    def measures(self) -> dict[str, Measure]:
        """What the calls of all threads have cost, by function."""
        return total(found.by_name for found in self._found)

    @property
    def _db(self) -> Measures:
        return self._calls.db

    def _play(self, line: Line | None, lanes: Lanes) -> None:
        """Do what one line tells, if anything, in the lane of what it is about."""
        found = None if line is None else _rule_for(line)
        if line is None or found is None:
            self.tally.unknown += 1
            return
        action, match = found
        if action is None:
            self.tally.idle += 1
            return
        self._wait_for(line.time)
        self.tally.used += 1
        lanes.put(self._subject(line, match), functools.partial(self._act, action, line, match))

    def _act(self, action: Any, line: Line, match: re.Match[str]) -> None:
        try:
            action(self, line, match)
        except (exceptions.NovaException, exceptions.DBDuplicateEntry) as error:
            with self._naming:
                self.tally.refused[type(error).__name__] += 1

    def _subject(self, line: Line, match: re.Match[str]) -> str:
        """Return what a line is about: an instance, the process of a host, or a request like any other."""
        instance = line.instance or match.groupdict().get("uuid")
        return instance or (line.pid if line.logger.startswith("nova.compute") else str(next(self._numbers)))

    def _wait_for(self, moment: datetime.datetime) -> None:
        if self._speed is None:
            return
        if self._start is None:
            self._start = moment, time.monotonic()
        due = self._start[1] + (moment - self._start[0]).total_seconds() / self._speed
        time.sleep(max(0.0, due - time.monotonic()))

    # -- names ------------------------------------------------------------------------------------------------------

    def _context(self, line: Line) -> RequestContext:
        return RequestContext(line.user or "nobody", f"{self.name}-{line.project or 'nobody'}")

    def _instance(self, name: str | None) -> tuple[str, RequestContext]:
        """Return our uuid and the owner of an instance; one that was there before the log began is stored now."""
        known = str(name)
        with self._naming:
            if known not in self._instances:
                identity, owner = str(uuid.uuid5(self._space, known)), RequestContext("nobody", f"{self.name}-nobody")
                self._store(api, identity, owner, {"vm_state": "active", "power_state": 1})
                api.action_event_start(owner, self._building(identity, owner))
                self._uuids[known], self._instances[known] = identity, owner
            return self._uuids[known], self._instances[known]

    def _building(self, identity: str, owner: RequestContext) -> dict[str, Any]:
        return {
            "instance_uuid": identity,
            "request_id": owner.request_id,
            "event": "compute__do_build_and_run_instance",
        }

    def _store(self, calls: Any, identity: str, owner: RequestContext, state: dict[str, Any]) -> None:
        values = {"uuid": identity, "project_id": owner.project_id, "user_id": owner.user_id, "display_name": "replay"}
        sizes = {"memory_mb": 2048, "vcpus": 1, "root_gb": 20}
        system_metadata = {f"image_property_{number}": "x" * 20 for number in range(10)}
        calls.instance_create(owner, {**values, **sizes, **state, "system_metadata": system_metadata})
        request = {"instance_uuid": identity, "request_id": owner.request_id, "action": "create"}
        calls.action_start(owner, {**request, "user_id": owner.user_id, "project_id": owner.project_id})

    def _host(self, line: Line, node: str | None = None) -> str:
        """Return our name of the host that a process runs on; it is stored when it is first met."""
        with self._naming:
            if node is not None:
                self._host_of[line.pid] = f"{self.name}-{node}"
            host = self._host_of.setdefault(line.pid, next(iter(self._hosts), f"{self.name}-host"))
            if host not in self._hosts:
                self._hosts[host] = self._store_host(host)
            return host

    def _store_host(self, host: str) -> tuple[int, int]:
        """Store a host's service and node, and return their ids."""
        service = api.service_create(self._admin, {"host": host, "binary": "nova-compute", "topic": "compute"})
        sizes = dict.fromkeys(("vcpus", "memory_mb", "local_gb", "vcpus_used", "memory_mb_used", "local_gb_used"), 0)
        about = {"hypervisor_type": "QEMU", "hypervisor_version": 2005000, "cpu_info": "{}"}
        node = api.compute_node_create(self._admin, {"host": host, "hypervisor_hostname": host, **sizes, **about})
        return service["id"], node["id"]

    # -- requests -----------------------------------------------------------------------------------------------------

    def _list(self, line: Line, match: re.Match[str]) -> None:
        asked = urllib.parse.parse_qs(match["query"] or "")
        context = self._context(line)
        filters: dict[str, Any] = {"deleted": False}
        if "all_tenants" not in asked:
            filters["project_id"] = context.project_id
        if "host" in asked:
            filters["host"] = f"{self.name}-{asked['host'][0]}"
        limit = asked.get("limit", [""])[0]
        wanted = int(limit) if limit.isascii() and limit.isdigit() and len(limit) < 6 else _PAGE
        self._db.instance_get_all_by_filters(context, filters, limit=wanted, columns_to_join=[*_JOINED])

    def _order(self, line: Line, match: re.Match[str]) -> None:
        if match["status"] not in ("200", "202"):
            return
        owner, identity = self._context(line), str(uuid.uuid4())
        self._db.flavor_get_all(owner)
        self._db.quota_get_all_by_project_and_user(owner, owner.project_id, owner.user_id)
        reservations = self._reserve(owner, 1)
        self._store(self._db, identity, owner, {"vm_state": "building", "task_state": "scheduling"})
        self._commit(owner, reservations)
        self._ordered.append((identity, owner))

    def _reserve(self, owner: RequestContext, count: int) -> Any:
        deltas = {"instances": count, "cores": count, "ram": 2048 * count}
        expire = clock.utcnow() + datetime.timedelta(hours=1)
        return self._db.quota_reserve(owner, _RESOURCES, _UNLIMITED, _UNLIMITED, deltas, expire, 0, 0)

    def _commit(self, owner: RequestContext, reservations: Any) -> None:
        self._db.reservation_commit(owner, reservations, project_id=owner.project_id, user_id=owner.user_id)

    def _show(self, line: Line, match: re.Match[str]) -> None:
        identity, owner = self._instance(match["uuid"])
        self._db.instance_get_by_uuid(owner, identity, columns_to_join=[*_JOINED])

    def _order_deletion(self, line: Line, match: re.Match[str]) -> None:
        identity, owner = self._instance(match["uuid"])
        self._db.instance_get_by_uuid(owner, identity, columns_to_join=[*_JOINED])
        self._db.block_device_mapping_get_all_by_instance(owner, identity)
        self._db.instance_update(owner, identity, {"task_state": "deleting", "progress": 0})
        request = {"instance_uuid": identity, "request_id": self._context(line).request_id, "action": "delete"}
        self._db.action_start(owner, {**request, "user_id": owner.user_id, "project_id": owner.project_id})

    def _tell_of_itself(self, line: Line, match: re.Match[str]) -> None:
        """An instance asks for its metadata; the log does not say which one: take the newest."""
        with self._naming:
            newest = next(reversed(self._instances), None)
        if newest is not None:
            identity, _ = self._instance(newest)
            self._db.instance_get_by_uuid(self._admin, identity, columns_to_join=[*_JOINED, "security_groups"])

    def _list_flavors(self, line: Line, match: re.Match[str]) -> None:
        self._db.flavor_get_all(self._context(line))

    def _show_flavor(self, line: Line, match: re.Match[str]) -> None:
        self._db.flavor_get_by_flavor_id(self._context(line), match["flavor"], "no")

    def _show_limits(self, line: Line, match: re.Match[str]) -> None:
        context = self._context(line)
        self._db.quota_get_all_by_project(context, context.project_id)
        self._db.quota_usage_get_all_by_project(context, context.project_id)

    def _list_keys(self, line: Line, match: re.Match[str]) -> None:
        context = self._context(line)
        self._db.key_pair_get_all_by_user(context, context.user_id)

    def _list_services(self, line: Line, match: re.Match[str]) -> None:
        self._db.service_get_all(self._admin)

    def _list_nodes(self, line: Line, match: re.Match[str]) -> None:
        self._db.compute_node_get_all(self._admin)

    # -- the life of an instance --------------------------------------------------------------------------------------

    def _plug(self, line: Line, match: re.Match[str]) -> None:
        identity, _ = self._instance(match["uuid"])
        self._db.instance_get_by_uuid(self._admin, identity, columns_to_join=["info_cache"])

    def _claim(self, line: Line, match: re.Match[str]) -> None:
        """The scheduler has chosen this host: from here on the log has the uuid of what was ordered."""
        with self._naming:
            if line.instance not in self._instances and self._ordered:
                self._uuids[str(line.instance)], self._instances[str(line.instance)] = self._ordered.popleft()
        identity, owner = self._instance(line.instance)
        host = self._host(line)
        sizes = {"memory_mb": int(match["memory"]), "root_gb": int(match["disk"]), "vcpus": int(match["vcpus"])}
        place = {"host": host, "node": host, "launched_on": host}
        self._db.action_event_start(owner, self._building(identity, owner))
        self._db.compute_node_get_by_host_and_nodename(self._admin, host, host)
        self._db.instance_update(owner, identity, {**place, **sizes})

    def _claimed(self, line: Line, match: re.Match[str]) -> None:
        identity, owner = self._instance(line.instance)
        host = self._host(line)
        self._db.compute_node_update(self._admin, self._hosts[host][1], {"running_vms": len(self._instances)})
        self._db.instance_update(owner, identity, {"vm_state": "building", "task_state": "networking"})

    def _spawn(self, line: Line, match: re.Match[str]) -> None:
        identity, owner = self._instance(line.instance)
        self._db.instance_info_cache_update(owner, identity, {"network_info": "[]"})
        self._db.instance_update(owner, identity, {"task_state": "spawning"})

    def _built(self, line: Line, match: re.Match[str]) -> None:
        identity, owner = self._instance(line.instance)
        done = {"vm_state": "active", "task_state": None, "power_state": 1, "launched_at": clock.utcnow()}
        self._db.instance_update(owner, identity, done)
        self._db.action_event_finish(owner, {**self._building(identity, owner), "result": "Success"})

    def _change_power(self, line: Line, match: re.Match[str]) -> None:
        identity, owner = self._instance(line.instance)
        row = self._db.instance_get_by_uuid(self._admin, identity)
        if row["task_state"] is None and match["event"] in _POWER:
            self._db.instance_update(owner, identity, {"power_state": _POWER[match["event"]]})

    def _look_at_power(self, line: Line, match: re.Match[str]) -> None:
        identity, _ = self._instance(line.instance)
        self._db.instance_get_by_uuid(self._admin, identity)

    def _terminate(self, line: Line, match: re.Match[str]) -> None:
        identity, owner = self._instance(line.instance)
        self._db.instance_get_by_uuid(owner, identity, columns_to_join=[*_JOINED])
        self._db.block_device_mapping_get_all_by_instance(owner, identity)

    def _unplug(self, line: Line, match: re.Match[str]) -> None:
        """The network is gone, the last that stands in the log of a deletion."""
        identity, owner = self._instance(line.instance)
        self._db.instance_info_cache_update(owner, identity, {"network_info": "[]"})
        gone = {"vm_state": "deleted", "task_state": None, "power_state": 0, "terminated_at": clock.utcnow()}
        self._db.instance_update(owner, identity, gone)
        reservations = self._reserve(owner, -1)
        self._db.instance_destroy(owner, identity)
        self._commit(owner, reservations)

    # -- hosts --------------------------------------------------------------------------------------------------------

    def _audit(self, line: Line, match: re.Match[str]) -> None:
        host = self._host(line, match["node"])
        self._db.compute_node_get_by_host_and_nodename(self._admin, host, host)
        self._db.instance_get_all_by_host_and_node(self._admin, host, host)
        self._db.migration_get_in_progress_by_host_and_node(self._admin, host, host)

    def _view(self, line: Line, match: re.Match[str]) -> None:
        host = self._host(line, match["node"])
        names = ("memory_mb", "memory_mb_used", "local_gb", "local_gb_used", "vcpus", "vcpus_used")
        found = {name: int(match[name]) for name in names}
        self._db.compute_node_update(self._admin, self._hosts[host][1], found)
        self._reports += 1
        self._db.service_update(self._admin, self._hosts[host][0], {"report_count": self._reports})

    def _audit_usage(self, line: Line, match: re.Match[str]) -> None:
        host = self._host(line, match["host"])
        begin, end = (datetime.datetime.fromisoformat(match[name]) for name in ("begin", "end"))
        task = ("instance_usage_audit", begin, end, host)
        if self._db.task_log_get(self._admin, *task):
            return
        found = self._db.instance_get_active_by_window_joined(self._admin, begin, end, host=host)
        self._db.task_log_begin_task(self._admin, *task, len(found), "Instance usage audit ran")
        self._db.task_log_end_task(self._admin, *task, 0, "Instance usage audit ran")

    def _synchronise_power(self, line: Line, match: re.Match[str]) -> None:
        self._db.instance_get_all_by_host(self._admin, self._host(line), columns_to_join=[])

    def _synchronise(self, line: Line, match: re.Match[str]) -> None:
        self._db.instance_get_all_by_host(self._admin, f"{self.name}-{match['host']}", columns_to_join=[])


_UUID: Final = "(?P<uuid>[0-9a-f-]{36})"


def _request(method: str, path: str) -> str:
    return rf'.*"{method} /v2(?:\.\d+)?(?:/[0-9a-f]+)?{path}(?:\?(?P<query>\S*))? HTTP/[\d.]+" status: (?P<status>\d+)'


_API: Final = ("nova.osapi_compute.wsgi.server", "nova.api.openstack.requestlog")
_METADATA: Final = ("nova.metadata.wsgi.server",)
_MANAGER: Final = ("nova.compute.manager",)
_TRACKER: Final = ("nova.compute.resource_tracker",)
_ALL: Final = r".*"

#: Where a line comes from, what it says, and what follows from it; the first that fits counts. None: no work in the
#: database.
_RULES: Final[tuple[tuple[tuple[str, ...], re.Pattern[str], Any], ...]] = tuple(
    (loggers, re.compile(pattern), action)
    for loggers, pattern, action in (
        (_API, _request("GET", "/servers(?:/detail)?"), Replay._list),
        (_API, _request("GET", f"/servers/{_UUID}"), Replay._show),
        (_API, _request("DELETE", f"/servers/{_UUID}"), Replay._order_deletion),
        (_API, _request("POST", "/servers"), Replay._order),
        (_API, _request("GET", "/flavors(?:/detail)?"), Replay._list_flavors),
        (_API, _request("GET", r"/flavors/(?P<flavor>[\w.-]+)"), Replay._show_flavor),
        (_API, _request("GET", "/limits"), Replay._show_limits),
        (_API, _request("GET", "/os-keypairs"), Replay._list_keys),
        (_API, _request("GET", "/os-services"), Replay._list_services),
        (_API, _request("GET", "/os-hypervisors(?:/detail)?"), Replay._list_nodes),
        (_API, _request("POST", "/os-server-external-events"), None),
        (_API, _request("GET", r"/images(?:/\S*)?"), None),
        (_METADATA, r'.*"GET \S*(?:meta_data\.json|meta-data/?) HTTP', Replay._tell_of_itself),
        (_METADATA, r'.*"GET ', None),  # answered from what was kept of the first
        (
            ("nova.api.openstack.compute.server_external_events",),
            rf"Creating event .* for instance {_UUID}",
            Replay._plug,
        ),
        (("nova.api.openstack.wsgi",), "HTTP exception thrown", None),
        (
            ("nova.compute.claims",),
            r"(?:Attempting claim|Claim requested).*: memory (?P<memory>\d+) MB, disk (?P<disk>\d+) GB, "
            r"vcpus (?P<vcpus>\d+)",
            Replay._claim,
        ),
        (("nova.compute.claims",), "Claim successful", Replay._claimed),
        (("nova.compute.claims",), _ALL, None),
        (("nova.virt.libvirt.driver",), "Creating image", Replay._spawn),
        (_MANAGER, r"VM (?P<event>\w+) \(Lifecycle Event\)", Replay._change_power),
        (_MANAGER, "During sync_power_state", Replay._look_at_power),
        (_MANAGER, "While synchronizing instance power states", Replay._synchronise_power),
        (_MANAGER, "Took .* to build instance", Replay._built),
        (_MANAGER, "Terminating instance", Replay._terminate),
        (_MANAGER, "Took .* to deallocate network", Replay._unplug),
        (_MANAGER, "Took .* seconds", None),
        (
            _MANAGER,
            r"Running instance usage audit for host (?P<host>\S+) from (?P<begin>[\d: -]+) to (?P<end>[\d: -]+\d)",
            Replay._audit_usage,
        ),
        (_TRACKER, r"Auditing locally available compute resources for node (?P<node>\S+)", Replay._audit),
        (
            _TRACKER,
            r"Final resource view: name=(?P<node>\S+) phys_ram=(?P<memory_mb>\d+)MB used_ram=(?P<memory_mb_used>\d+)MB "
            r"phys_disk=(?P<local_gb>\d+)GB used_disk=(?P<local_gb_used>\d+)GB total_vcpus=(?P<vcpus>\d+) "
            r"used_vcpus=(?P<vcpus_used>\d+)",
            Replay._view,
        ),
        (_TRACKER, "Total usable vcpus|Compute_service record updated", None),
        (
            ("nova.scheduler.host_manager",),
            r"(?:The instance sync for host|Successfully synced instances from host) '(?P<host>[^']+)'",
            Replay._synchronise,
        ),
        (("nova.virt",), _ALL, None),
    )
)


def _rule_for(line: Line) -> tuple[Any, re.Match[str]] | None:
    for loggers, pattern, action in _RULES:
        if line.logger in loggers or (loggers == ("nova.virt",) and line.logger.startswith("nova.virt.")):
            match = pattern.match(line.message)
            if match is not None:
                return action, match
    return None
