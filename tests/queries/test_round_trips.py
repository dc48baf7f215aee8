# SPDX-License-Identifier: Apache-2.0

"""Round trips of the functions that services call most, counted on the wire: budgets as those of statements are."""

from __future__ import annotations

import itertools
import pathlib
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest

from nova_sqlcore import RequestContext, api, tables, tx
from nova_sqlcore.queries.quota.counts import QUOTA_SYNC_FUNCTIONS
from nova_sqlcore.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.backend import Backend
    from tests.plugins.wire import Trips

C = RequestContext("u", "p", is_admin=True)
QUOTAS = {"instances": -1, "cores": -1, "ram": -1}
PAIRS = {str(number): "v" for number in range(5)}
_numbers = itertools.count(1)

README = pathlib.Path(__file__).parents[2] / "README.md"


class Resource(NamedTuple):
    sync: str = "count"


def instance(**more: Any) -> str:
    return api.instance_create(C, {"project_id": "p", "user_id": "u", "metadata": PAIRS, **more})["uuid"]


def instance_on_host() -> str:
    return instance(host="h")


def mapping(uuid: str) -> dict[str, Any]:
    return {"instance_uuid": uuid, "device_name": "/dev/vda", "source_type": "volume", "destination_type": "volume"}


def event(uuid: str) -> dict[str, Any]:
    return {"instance_uuid": uuid, "request_id": "r", "event": "e"}


def action() -> str:
    uuid = instance()
    api.action_start(C, {"instance_uuid": uuid, "request_id": "r", "action": "a"})
    return uuid


def service() -> int:
    return int(api.service_create(C, {"host": f"h{next(_numbers)}", "binary": "b", "topic": "t"})["id"])


def node_values(name: str) -> dict[str, Any]:
    numbers = ("vcpus", "memory_mb", "local_gb", "vcpus_used", "memory_mb_used", "local_gb_used", "hypervisor_version")
    return {"hypervisor_hostname": name, "hypervisor_type": "Q", "cpu_info": "", **dict.fromkeys(numbers, 1)}


def node() -> int:
    return int(api.compute_node_create(C, node_values(f"n{next(_numbers)}"))["id"])


def address(form: str) -> str:
    """Return another address, whatever number of them there were before."""
    return form.format(*divmod(next(_numbers), 256))


def fixed_ip() -> int:
    network = api.network_create_safe(C, {"cidr": "10.0.0.0/24"})["id"]
    api.fixed_ip_create(C, {"address": address("10.0.{}.{}"), "network_id": network})
    return int(network)


def floating_ip() -> str:
    pool = f"pool {next(_numbers)}"
    api.floating_ip_create(C, {"address": address("172.16.{}.{}"), "pool": pool})
    return pool


def reserve(_: object = None) -> list[str]:
    resources = dict.fromkeys(QUOTAS, Resource())
    return api.quota_reserve(C, resources, QUOTAS, QUOTAS, dict.fromkeys(QUOTAS, 1), None, None, None)


class Case(NamedTuple):
    call: Callable[[Any], object]
    before: Callable[[], Any]
    mysql: int
    postgresql: int


CASES = {
    "service_update": Case(lambda key: api.service_update(C, key, {"report_count": 1}), service, 1, 1),
    "service_destroy": Case(lambda key: api.service_destroy(C, key), service, 2, 2),
    "certificate_create": Case(lambda _: api.certificate_create(C, {"file_name": "f"}), service, 1, 1),
    "instance_fault_create": Case(
        lambda key: api.instance_fault_create(C, {"instance_uuid": key, "code": 1}), instance, 1, 1
    ),
    "instance_update": Case(lambda key: api.instance_update(C, key, {"host": "h"}), instance, 1, 1),
    "instance_update_and_get_original": Case(
        lambda key: api.instance_update_and_get_original(C, key, {"host": "h"}), instance, 2, 2
    ),
    "instance_create": Case(lambda _: instance(), service, 2, 2),
    "instance_destroy": Case(lambda key: api.instance_destroy(C, key), instance, 2, 2),
    "instance_metadata_update": Case(
        lambda key: api.instance_metadata_update(C, key, {"0": "changed", "new": "v"}, True), instance, 2, 2
    ),
    "quota_reserve": Case(reserve, service, 2, 2),
    "reservation_commit": Case(lambda key: api.reservation_commit(C, key, "p", "u"), reserve, 2, 2),
    "fixed_ip_associate_pool": Case(lambda key: api.fixed_ip_associate_pool(C, key, host="h"), fixed_ip, 2, 1),
    "instance_get_by_uuid": Case(lambda key: api.instance_get_by_uuid(C, key), instance, 1, 1),
    "instance_get_all_by_host": Case(lambda _: api.instance_get_all_by_host(C, "h"), instance_on_host, 2, 2),
    "security_group_destroy": Case(lambda _: api.security_group_destroy(C, 1), service, 1, 1),
    "block_device_mapping_update_or_create": Case(
        lambda key: api.block_device_mapping_update_or_create(C, mapping(key)), instance, 2, 2
    ),
    "action_event_start": Case(lambda key: api.action_event_start(C, event(key)), action, 2, 2),
    "floating_ip_allocate_address": Case(lambda key: api.floating_ip_allocate_address(C, "p", key), floating_ip, 2, 1),
    "instances_create": Case(lambda _: api.instances_create(C, [{"project_id": "p"}] * 3), service, 2, 2),
    "instance_get_many": Case(lambda key: api.instance_get_many(C, [key] * 3), instance, 2, 2),
    "instance_update_many": Case(lambda key: api.instance_update_many(C, [key] * 3, {"host": "h"}), instance, 2, 2),
    "services_heartbeat": Case(lambda key: api.services_heartbeat(C, [key] * 3), service, 2, 2),
    "compute_nodes_update": Case(lambda key: api.compute_nodes_update(C, [{"id": key, "vcpus": 3}]), node, 2, 2),
}


def fixed_ips() -> list[dict[str, Any]]:
    return [{"address": address("10.{}.{}.1")} for _ in range(2)]


def flavor(_: object = None) -> object:
    name = f"flavor {next(_numbers)}"
    values = {"name": name, "flavorid": name, "memory_mb": 1, "vcpus": 1, "extra_specs": {"a": "b"}}
    return api.flavor_create(C, values, projects=["p", "q"])


def swap(uuid: str) -> object:
    device = {"instance_uuid": uuid, "device_name": f"/dev/vd{next(_numbers)}", "source_type": "blank"}
    return api.block_device_mapping_update_or_create(C, {**device, "guest_format": "swap"}, legacy=False)


def first_of_project(_: object) -> object:
    project = f"project {next(_numbers)}"
    return api.instance_create(RequestContext("u", project, is_admin=True), {"project_id": project})


def default_of_project(_: object) -> object:
    return api.security_group_ensure_default(RequestContext("u", f"project {next(_numbers)}", is_admin=True))


#: Calls that are rarer, or those of the table with other arguments.
RARER = {
    "metadata of an instance": Case(lambda key: api.instance_update(C, key, {"metadata": {"a": "b"}}), instance, 2, 2),
    "both kinds": Case(
        lambda key: api.instance_update_and_get_original(C, key, {"metadata": {"0": "w"}, "system_metadata": PAIRS}),
        instance,
        2,
        2,
    ),
    "metadata as they are": Case(lambda key: api.instance_update(C, key, {"metadata": PAIRS}), instance, 2, 2),
    "first instance of a project": Case(first_of_project, service, 5, 5),
    "default group of a project": Case(default_of_project, service, 4, 4),
    "fixed IPs": Case(lambda given: api.fixed_ip_bulk_create(C, given), fixed_ips, 2, 2),
    "floating IPs": Case(lambda given: api.floating_ip_bulk_create(C, given), fixed_ips, 2, 2),
    "flavor with specs and projects": Case(flavor, service, 2, 2),
    "swap space": Case(swap, instance, 2, 2),
    "nothing expires": Case(lambda _: api.reservation_expire(C), service, 1, 1),
    "instances of a node": Case(lambda _: api.instance_get_all_by_host_and_node(C, "h", None), instance_on_host, 2, 2),
}


@pytest.mark.only_on(
    "mysql", "postgresql", driver="pymysql", why="sqlite is no server, and mysqlclient takes statements one by one"
)
@pytest.mark.usefixtures("together")
@pytest.mark.parametrize("name", [*CASES, *RARER])
def test_budget(backend: Backend, trips: Trips, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(QUOTA_SYNC_FUNCTIONS, "count", lambda *_: dict.fromkeys(QUOTAS, 0))
    case = (CASES | RARER)[name]
    instance(), reserve()
    told: list[int] = []

    def call(key: object) -> None:
        told.clear()
        case.call(key)

    end = tx.observe(lambda report: told.append(report.round_trips))
    try:
        assert trips(call, case.before) == getattr(case, backend.family)
    finally:
        end()
    assert sum(told) == getattr(case, backend.family), "reports tell another number than the wire"


@pytest.mark.only_on(
    "mysql", "postgresql", driver="pymysql", why="sqlite is no server, and mysqlclient takes statements one by one"
)
@pytest.mark.usefixtures("together")
def test_more_than_one_statement_takes_travel_together(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bulk call of more than 500 takes the trips of one of three; one more asks for host names."""
    many = 501
    monkeypatch.setattr(settings, "osapi_compute_unique_server_name_scope", "project")
    instance()
    with tx.writer(C) as t:
        services = t.insert_many(tables.services, [{"host": f"h{number}"} for number in range(many)])
        nodes = t.insert_many(tables.compute_nodes, [node_values(f"n{number}") for number in range(many)])
    made: list[str] = []

    def create() -> None:
        given: list[Any] = [{"project_id": "p", "hostname": f"n{number}"} for number in range(many)]
        made.extend(row["uuid"] for row in api.instances_create(C, given))

    calls: dict[Callable[[], object], int] = {
        create: 3,
        lambda: api.instance_get_many(C, made): 2,
        lambda: api.instance_update_many(C, made, {"host": "h"}): 2,
        lambda: api.services_heartbeat(C, [row["id"] for row in services]): 2,
        lambda: api.compute_nodes_update(C, [{"id": row["id"], "vcpus": 3} for row in nodes]): 2,
    }
    told: list[int] = []
    end = tx.observe(lambda report: told.append(report.round_trips))
    try:
        for call, budget in calls.items():
            told.clear()
            call()
            assert sum(told) == budget
    finally:
        end()


def test_the_readme_shows_the_same() -> None:
    """Typical calls, in the order of the table."""
    rows = re.findall(r"^\| `(\w+)` \| (\d) \| (\d) \|$", README.read_text(), re.MULTILINE)
    shown = {name: (int(mysql), int(postgresql)) for name, mysql, postgresql in rows}
    assert shown == {name: (case.mysql, case.postgresql) for name, case in CASES.items()}
