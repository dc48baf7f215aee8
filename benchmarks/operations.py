# SPDX-License-Identifier: Apache-2.0

"""The hot operations: what is stored before, the library's own side of each, and how answers are compared."""

from __future__ import annotations

import contextlib
import datetime
import itertools
import uuid
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import sqlalchemy as sa

from benchmarks import copies
from nova_sqlcore import RequestContext, api, tables, tx

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    Row = dict[str, Any]

HOST, PROJECT, OTHER, LARGE, USER, NETWORK, POOL = "busy", "project", "other", "large", "user", 1, "pool"
#: Instances on the host that is listed, those of another project, and those of a large one, in so many times as many.
ON_HOST, OTHERS, TIMES = 200, 5_000, 100
SERVICES = NODES = 300
ADDRESSES = 2_048
_PAIRS: Final = {"metadata": 5, "system_metadata": 15}
#: What two calls that write can't have in common.
_VOLATILE: Final = frozenset(
    {"id", "uuid", "instance_uuid", "created_at", "updated_at", "deleted_at", "deleted", "name", "address"}
)
_RESOURCES = {name: SimpleNamespace(sync=f"_sync_{name}") for name in ("instances", "cores", "ram")}
_LIMITS, _DELTAS = dict.fromkeys(_RESOURCES, 10**9), dict.fromkeys(_RESOURCES, 1)
_CHANGES: Final = {"vm_state": "active", "task_state": None, "progress": 50}


class Ours:
    """The library as a contestant."""

    def __init__(self) -> None:
        self.context = RequestContext(USER, PROJECT, is_admin=True)
        self.statements = 0

    def count(self) -> Callable[[], None]:
        """Count statements from now on, until what this returns is called."""
        return tx.observe_statements(self._note)

    def _note(self, _: object) -> None:
        self.statements += 1

    def close(self) -> None:
        """Leave the database to whoever has configured it."""

    @contextlib.contextmanager
    def open(self) -> Iterator[None]:
        """Stay in one transaction."""
        with tx.reader(self.context):
            yield

    def get_by_uuid(self, identity: str) -> Any:
        return api.instance_get_by_uuid(self.context, identity)

    def list_by_host(self, host: str) -> Any:
        return api.instance_get_all_by_host(self.context, host)

    def page(self, project: str) -> Any:
        return api.instance_get_all_by_filters(self.context, {"deleted": False, "project_id": project}, limit=1000)

    def get_service(self, host: str) -> Any:
        return api.service_get_by_compute_host(self.context, host)

    def service_get_all(self, _: None) -> Any:
        return api.service_get_all(self.context)

    def compute_node_get_all(self, _: None) -> Any:
        return api.compute_node_get_all(self.context)

    def devices(self, identity: str) -> Any:
        return api.block_device_mapping_get_all_by_instance(self.context, identity)

    def create(self, values: Row) -> Any:
        return api.instance_create(self.context, values)

    def update(self, identity: str) -> Any:
        return api.instance_update(self.context, identity, _CHANGES)

    def update_and_get_original(self, identity: str) -> Any:
        values = {**_CHANGES, "expected_task_state": [None, "spawning"]}
        return api.instance_update_and_get_original(self.context, identity, values)

    def destroy(self, identity: str) -> Any:
        return api.instance_destroy(self.context, identity)

    def metadata_update(self, given: tuple[str, Row]) -> Any:
        return api.instance_metadata_update(self.context, *given, False)

    def reserve_and_commit(self, project: str) -> int:
        whose = (project, USER)
        made = api.quota_reserve(self.context, _RESOURCES, _LIMITS, _LIMITS, _DELTAS, None, None, None, *whose)
        api.reservation_commit(self.context, made, *whose)
        return len(made)

    def fixed_ip(self, network: int) -> Any:
        return api.fixed_ip_associate_pool(self.context, network, host="h")

    def floating_ip(self, pool: str) -> Any:
        return api.floating_ip_allocate_address(self.context, PROJECT, pool)

    # -- bulk calls ---------------------------------------------------------------------------------------------------

    def create_many(self, values: Sequence[Row]) -> Any:
        return api.instances_create(self.context, values)

    def get_many(self, uuids: Sequence[str]) -> Any:
        return api.instance_get_many(self.context, uuids)

    def update_many(self, uuids: Sequence[str]) -> Any:
        return api.instance_update_many(self.context, uuids, _CHANGES)

    def heartbeat(self, ids: Sequence[int]) -> Any:
        api.services_heartbeat(self.context, ids)

    def update_nodes(self, rows: Sequence[Row]) -> Any:
        return api.compute_nodes_update(self.context, rows)


class Loop(Ours):
    """The library's single calls in a loop, where there is a bulk call."""

    def create_many(self, values: Sequence[Row]) -> Any:
        return [api.instance_create(self.context, one) for one in values]

    def get_many(self, uuids: Sequence[str]) -> Any:
        return [api.instance_get_by_uuid(self.context, one) for one in uuids]

    def update_many(self, uuids: Sequence[str]) -> Any:
        return [api.instance_update(self.context, one, _CHANGES) for one in uuids]

    def heartbeat(self, ids: Sequence[int]) -> Any:
        for place, one in enumerate(ids):
            api.service_update(self.context, one, {"report_count": place})

    def update_nodes(self, rows: Sequence[Row]) -> Any:
        return [api.compute_node_update(self.context, row["id"], row) for row in rows]


class Stock(NamedTuple):
    """What is stored, for operations to ask for."""

    uuids: list[str]
    services: list[int]
    nodes: list[int]


def values(number: int = 0) -> Row:
    """Return an instance with its metadata."""
    texts = dict.fromkeys(("image_ref", "hostname", "node", "display_name", "display_description", "os_type"), "x" * 20)
    return {
        "project_id": PROJECT,
        "user_id": USER,
        "task_state": "spawning",
        "launch_index": number,
        **texts,
        **dict.fromkeys(("vcpus", "memory_mb", "root_gb", "ephemeral_gb", "power_state"), number % 7),
        **{kind: {f"key{place}": f"value {place} of one" for place in range(count)} for kind, count in _PAIRS.items()},
    }


def fill() -> Stock:
    """Store what the operations ask for, in the empty database that ``tx.main`` is configured with."""
    context = RequestContext(USER, PROJECT, is_admin=True)
    group = api.security_group_ensure_default(context)
    for port in (22, 80):
        rule = {
            "parent_group_id": group["id"],
            "protocol": "tcp",
            "from_port": port,
            "to_port": port,
            "cidr": "10.0.0.0/8",
        }
        api.security_group_rule_create(context, rule)
    listed = [{**values(number), "host": HOST, "security_groups": ["default"]} for number in range(ON_HOST)]
    uuids = [row["uuid"] for row in api.instances_create(context, listed)]
    with tx.writer(context) as t:
        moment = datetime.datetime(2016, 4, 8, 12)
        bare = (
            {name: value for name, value in values(number).items() if name not in _PAIRS} for number in range(OTHERS)
        )
        more = [
            {
                **one,
                "uuid": str(uuid.UUID(int=place + 1)),
                "project_id": OTHER,
                "created_at": moment + datetime.timedelta(0, place),
            }
            for place, one in enumerate(bare)
        ]
        t.insert_many(tables.instances, more)
        t.insert_many(
            tables.instance_metadata, [{"instance_uuid": one["uuid"], "key": "k", "value": "v"} for one in more]
        )
        found = [{"host": f"h{number}", "binary": "nova-compute", "topic": "compute"} for number in range(SERVICES)]
        services = t.insert_many(tables.services, found)
        numbers = (
            "vcpus",
            "memory_mb",
            "local_gb",
            "vcpus_used",
            "memory_mb_used",
            "local_gb_used",
            "hypervisor_version",
        )
        texts = {"hypervisor_type": "QEMU", "cpu_info": "{}" * 200, "stats": "{}" * 50}
        hosts = [{"host": f"h{number}", "hypervisor_hostname": f"n{number}"} for number in range(NODES)]
        nodes = t.insert_many(tables.compute_nodes, [{**one, **texts, **dict.fromkeys(numbers, 8)} for one in hosts])
        disks = [{"instance_uuid": uuids[0], "device_name": f"/dev/vd{letter}"} for letter in "abcd"]
        t.insert_many(tables.block_device_mapping, disks)
    addresses = [f"10.{number >> 8}.{number & 255}.1" for number in range(ADDRESSES)]
    api.fixed_ip_bulk_create(context, [{"address": one, "network_id": NETWORK} for one in addresses])
    api.floating_ip_bulk_create(context, [{"address": one, "pool": POOL} for one in addresses], want_result=False)
    Ours().reserve_and_commit(PROJECT)
    return Stock(uuids, [row["id"] for row in services], [row["id"] for row in nodes])


def fill_large() -> None:
    """Let the server make a large project of the instances of another, with their metadata, and with info caches."""
    instances, pairs, caches = tables.instances, tables.instance_metadata, tables.instance_info_caches
    of_other = sa.select(instances.c.uuid).where(instances.c.project_id == OTHER)
    for number in range(1, TIMES + 1):
        with tx.main.engine.begin() as connection:
            project = {"project_id": sa.literal(LARGE)}
            copies.copy(connection, instances, number, instances.c.project_id == OTHER, project)
            copies.copy(connection, pairs, number, pairs.c.instance_uuid.in_(of_other))
    # without them MySQL has next to nothing to join, and sorts half a million instances for that
    found = sa.select(instances.c.uuid, instances.c.deleted).where(instances.c.project_id == LARGE)
    with tx.main.engine.begin() as connection:
        connection.execute(caches.insert().from_select(["instance_uuid", "deleted"], found, include_defaults=False))


def freed() -> None:
    """Give all addresses back."""
    with tx.writer(RequestContext(USER, PROJECT, is_admin=True)) as t:
        t.execute(tables.fixed_ips.update().values(host=None))
        t.execute(tables.floating_ips.update().values(project_id=None))


def new_instances(count: int) -> list[str]:
    """Store instances with metadata, and return their uuids."""
    context = RequestContext(USER, PROJECT, is_admin=True)
    return [row["uuid"] for row in api.instances_create(context, [values()] * count)]


class Operation(NamedTuple):
    """One thing that services do often."""

    name: str
    #: the method of each contestant
    method: str
    #: returns as many arguments as there are calls to make; it is not timed
    prepare: Callable[[int], list[Any]]
    writes: bool = False
    #: in a transaction that is open already
    joined: bool = False
    #: a bulk call, held against a loop of single calls
    bulk: bool = False


def operations(stock: Stock, *, large: bool = False) -> list[Operation]:
    """Return all operations on what is stored, with a page of the large project if there is one."""
    turns = itertools.count()

    def some_uuids(count: int) -> list[Any]:
        return [stock.uuids[next(turns) % len(stock.uuids)] for _ in range(count)]

    def same(value: Any) -> Callable[[int], list[Any]]:
        return lambda count: [value] * count

    def addresses(value: Any) -> Callable[[int], list[Any]]:
        def prepared(count: int) -> list[Any]:
            freed()
            return [value] * count

        return prepared

    def pairs(count: int) -> list[Any]:
        changed = {f"key{place}": f"new {place}" for place in range(10)}
        return [(one, changed) for one in new_instances(count)]

    nodes = [
        {"id": one, "vcpus_used": place, "free_ram_mb": place, "running_vms": 3}
        for place, one in enumerate(stock.nodes[:100])
    ]
    pages = {OTHER: OTHERS} | ({LARGE: OTHERS * TIMES} if large else {})
    return [
        Operation("instance_get_by_uuid", "get_by_uuid", some_uuids),
        Operation("instance_get_by_uuid, joined", "get_by_uuid", some_uuids, joined=True),
        Operation("service_get_by_compute_host", "get_service", same("h7")),
        Operation("service_get_by_compute_host, joined", "get_service", same("h7"), joined=True),
        Operation("block_device_mapping_get_all_by_instance", "devices", same(stock.uuids[0])),
        Operation("service_get_all, 300", "service_get_all", same(None)),
        Operation("compute_node_get_all, 300", "compute_node_get_all", same(None)),
        Operation("instance_get_all_by_host, 200", "list_by_host", same(HOST)),
        *(
            Operation(f"instance_get_all_by_filters, 1000 of {count}", "page", same(project))
            for project, count in pages.items()
        ),
        Operation("instance_create, 20 metadata", "create", same(values()), writes=True),
        Operation("instance_update", "update", new_instances, writes=True),
        Operation("instance_update_and_get_original", "update_and_get_original", new_instances, writes=True),
        Operation("instance_destroy", "destroy", new_instances, writes=True),
        Operation("instance_metadata_update, 10", "metadata_update", pairs, writes=True),
        Operation("quota_reserve, reservation_commit", "reserve_and_commit", same(PROJECT), writes=True),
        Operation("fixed_ip_associate_pool", "fixed_ip", addresses(NETWORK), writes=True),
        Operation("floating_ip_allocate_address", "floating_ip", addresses(POOL), writes=True),
        Operation("instances_create, 50", "create_many", same([values()] * 50), writes=True, bulk=True),
        Operation("instance_get_many, 100", "get_many", same(stock.uuids[:100]), bulk=True),
        Operation("instance_update_many, 100", "update_many", same(stock.uuids[:100]), writes=True, bulk=True),
        Operation("services_heartbeat, 100", "heartbeat", same(stock.services[:100]), writes=True, bulk=True),
        Operation("compute_nodes_update, 100", "update_nodes", same(nodes), writes=True, bulk=True),
    ]


def comparable(answer: Any, *, writes: bool) -> Any:
    """Return an answer without what two writes can't have in common, and with keys of one order."""
    if isinstance(answer, dict):
        return {
            name: comparable(one, writes=writes) for name, one in answer.items() if not (writes and name in _VOLATILE)
        }
    if isinstance(answer, list | tuple):
        return [comparable(one, writes=writes) for one in answer]
    return "address" if writes and isinstance(answer, str) and answer.count(".") == 3 else answer
