# SPDX-License-Identifier: Apache-2.0

"""What a column cannot hold: refused before SQL when it is to be written, found nowhere when it is looked for."""

from __future__ import annotations

import contextlib
import datetime
import decimal
import inspect
import pickle
import time
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, api, exceptions, get_admin_context, tables, tx
from nova_sqlcore.core.arguments import containers

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.plugins.backend import Backend
    from tests.plugins.counting import SqlLog

UUID = str(uuid.UUID(int=1))
HOUR = datetime.timedelta(hours=1)
EARLY = datetime.datetime.min.replace(tzinfo=datetime.timezone(HOUR))
LATE = datetime.datetime.max.replace(tzinfo=datetime.timezone(-HOUR))


def nested() -> list[Any]:
    """Return a list deeper than Python's stack."""
    found: list[Any] = []
    for _ in range(100_000):
        found = [found]
    return found


@pytest.fixture(params=["driver", "listened"])
def road(request: pytest.FixtureRequest, backend: Backend, sql_log: SqlLog) -> Iterator[str]:
    """Run the test without and with somebody who listens to statements."""
    with sql_log() if request.param == "listened" else contextlib.nullcontext():
        yield request.param


NUMBERS: list[Any] = [
    float("inf"),
    float("-inf"),
    float("nan"),
    decimal.Decimal("NaN"),
    decimal.Decimal("sNaN"),
    decimal.Decimal("1E999999"),
    decimal.Decimal("-1E999999"),
    10**5000,
    -(10**5000),
    b"12",
    bytearray(b"1"),
    "many",
    "9" * 5000,
    [],
    {},
    nested(),
    object(),
]
TEXTS: list[Any] = [b"text", [], {}, nested(), object(), 10**5000, "x" * 256, "\ud800"]
ADDRESSES: list[Any] = [
    b"10.0.0.1",
    ["10.0.0.1"],
    {},
    True,
    5,
    nested(),
    "no address",
    "",
    "10.0.0.256",
    "10.0.0",
    "10.0.0.1/33",
    "::1%eth0",
    "10.0.0.1\0",
    "\ud800",
]


def wrong(column: str, values: list[Any]) -> list[Any]:
    return [pytest.param(column, value, id=f"{column}-{place}") for place, value in enumerate(values)]


WRONG = [
    *wrong("services.report_count", NUMBERS),
    *wrong("cells.weight_scale", [value for value in NUMBERS if value != "9" * 5000]),
    *wrong("cells.weight_scale", [10**400, float("1e39") * 1e300]),
    *wrong("services.disabled", ["no", 2, decimal.Decimal("sNaN"), b"1", nested()]),
    *wrong("services.last_seen_up", [EARLY, LATE, "2016-01-01", 5, nested()]),
    *wrong("services.host", TEXTS),
    *wrong("migrations.migration_type", ["move", b"resize", nested(), []]),
    *wrong("fixed_ips.address", ADDRESSES),
    *wrong("networks.cidr", [value for value in ADDRESSES if value not in ("10.0.0.1\0",)]),
]


@pytest.mark.usefixtures("road")
@pytest.mark.parametrize(("column", "value"), WRONG)
def test_writing(column: str, value: Any) -> None:
    table_name, name = column.split(".")
    table = tables.metadata.tables[table_name]
    started = time.monotonic()
    writes: tuple[Callable[[tx.Transaction], Any], ...] = (
        lambda t: t.insert(table, {name: value}),
        lambda t: t.insert_many(table, [{name: None}, {name: value}]),
        lambda t: t.execute(table.update().values({name: sa.bindparam("new", type_=table.c[name].type)}), new=value),
        lambda t: t.execute_many(
            table.update().values({name: sa.bindparam("new", type_=table.c[name].type)}),
            [{"new": None}, {"new": value}],
        ),
    )
    for write in writes:
        with pytest.raises(exceptions.DBDataError) as raised, tx.writer(get_admin_context()) as t:
            write(t)
        assert column in str(raised.value)
        assert len(str(raised.value)) < 300
        assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)
    assert time.monotonic() - started < 2


QUOTA: dict[str, Callable[[Any, Any], Any]] = {
    "quota_usages.in_use": lambda c, value: api.quota_usage_update(c, "p", "u", "cores", in_use=value),
    "quotas.hard_limit": lambda c, value: api.quota_create(c, "p", "cores", value),
    "quota_classes.hard_limit": lambda c, value: api.quota_class_update(c, "c", "cores", value),
    "instances.uuid": lambda c, value: api.instance_get_all_by_filters(c, {"uuid": [[value]]}),
    "instances.vm_state": lambda c, value: api.instance_get_all_by_filters(c, {"vm_state": [value]}),
    "instances.host": api.instance_get_all_by_host,
    "key_pairs.user_id": api.key_pair_get_all_by_user,
}


@pytest.mark.usefixtures("road")
@pytest.mark.parametrize("column", QUOTA)
def test_no_internal_name_is_told(admin: RequestContext, column: str) -> None:
    with pytest.raises(exceptions.DBDataError) as raised:
        QUOTA[column](admin, [1])
    assert str(raised.value).startswith(column)


UNHELD: dict[str, list[str]] = {
    "sqlite": ["\ud800", "x" * 300, "x" * 100_000],
    "mysql": ["\U0001f600", "\ud800", "x" * 300, "x" * 100_000],
    "postgresql": ["nul\0", "\ud800", "x" * 300, "x" * 100_000],
}


def outcome(call: Callable[[RequestContext, str], Any], context: RequestContext, text: str) -> Any:
    """Return what a call gives; a NotFound is as good as nothing."""
    try:
        found = call(context, text)
    except (exceptions.NotFound, exceptions.Invalid) as error:
        return type(error).__name__
    return found


LOOKUPS: dict[str, Callable[[Any, Any], Any]] = {
    "agent_build_get_by_triple": lambda c, x: api.agent_build_get_by_triple(c, x, x, x),
    "aggregate_get_by_host": api.aggregate_get_by_host,
    "aggregate_metadata_get_by_host": api.aggregate_metadata_get_by_host,
    "aggregate_get_by_metadata_key": api.aggregate_get_by_metadata_key,
    "block_device_mapping_get_all_by_instance": api.block_device_mapping_get_all_by_instance,
    "block_device_mapping_get_all_by_instance_uuids": lambda c, x: api.block_device_mapping_get_all_by_instance_uuids(
        c, [x, UUID]
    ),
    "block_device_mapping_get_by_instance_and_volume_id": lambda c, x: (
        api.block_device_mapping_get_by_instance_and_volume_id(c, x, x)
    ),
    "bw_usage_get": lambda c, x: api.bw_usage_get(c, x, datetime.datetime(2016, 1, 1), x),
    "bw_usage_get_by_uuids": lambda c, x: api.bw_usage_get_by_uuids(c, [x], datetime.datetime(2016, 1, 1)),
    "cell_get": api.cell_get,
    "certificate_get_all_by_project": api.certificate_get_all_by_project,
    "compute_node_get_all_by_host": api.compute_node_get_all_by_host,
    "compute_node_search_by_hypervisor": api.compute_node_search_by_hypervisor,
    "compute_node_get_by_host_and_nodename": lambda c, x: api.compute_node_get_by_host_and_nodename(c, x, x),
    "console_get_all_by_instance": api.console_get_all_by_instance,
    "console_pool_get_all_by_host_type": lambda c, x: api.console_pool_get_all_by_host_type(c, x, x),
    "dnsdomain_get": api.dnsdomain_get,
    "ec2_instance_get_by_uuid": api.ec2_instance_get_by_uuid,
    "ec2_volume_get_by_uuid": api.ec2_volume_get_by_uuid,
    "fixed_ip_get_by_address": api.fixed_ip_get_by_address,
    "fixed_ip_get_by_host": api.fixed_ip_get_by_host,
    "flavor_get_by_name": api.flavor_get_by_name,
    "flavor_get_by_flavor_id": api.flavor_get_by_flavor_id,
    "flavor_access_get_by_flavor_id": api.flavor_access_get_by_flavor_id,
    "flavor_extra_specs_get": api.flavor_extra_specs_get,
    "floating_ip_get_by_address": api.floating_ip_get_by_address,
    "floating_ip_get_all_by_host": api.floating_ip_get_all_by_host,
    "floating_ip_get_all_by_project": api.floating_ip_get_all_by_project,
    "instance_extra_get_by_instance_uuid": api.instance_extra_get_by_instance_uuid,
    "instance_fault_get_by_instance_uuids": lambda c, x: list(
        api.instance_fault_get_by_instance_uuids(c, [x]).values()
    ),
    "instance_get_all_by_host": api.instance_get_all_by_host,
    "instance_get_all_by_filters": lambda c, x: api.instance_get_all_by_filters(c, {"host": x}),
    "a list filter": lambda c, x: api.instance_get_all_by_filters(c, {"host": [x, "h"]}),
    "tags": lambda c, x: api.instance_get_all_by_filters(c, {"tags-any": [x]}),
    "metadata": lambda c, x: api.instance_get_all_by_filters(c, {"metadata": {x: x}}),
    "instance_get_by_uuid": api.instance_get_by_uuid,
    "instance_group_get": api.instance_group_get,
    "instance_info_cache_get": api.instance_info_cache_get,
    "instance_metadata_get": api.instance_metadata_get,
    "instance_metadata_delete": lambda c, x: api.instance_metadata_delete(c, x, x),
    "instance_tag_get_by_instance_uuid": api.instance_tag_get_by_instance_uuid,
    "key_pair_get": lambda c, x: api.key_pair_get(c, x, x),
    "key_pair_get_all_by_user": api.key_pair_get_all_by_user,
    "key_pair_count_by_user": api.key_pair_count_by_user,
    "migration_get_all_by_filters": lambda c, x: api.migration_get_all_by_filters(c, {"status": x, "host": x}),
    "network_get_by_uuid": api.network_get_by_uuid,
    "network_get_by_cidr": api.network_get_by_cidr,
    "network_get_all_by_host": api.network_get_all_by_host,
    "pci_device_get_all_by_instance_uuid": api.pci_device_get_all_by_instance_uuid,
    "quota_get": lambda c, x: api.quota_get(c, x, x),
    "quota_get_all_by_project": lambda c, x: list(api.quota_get_all_by_project(c, x))[1:],
    "quota_class_get": lambda c, x: api.quota_class_get(c, x, x),
    "quota_usage_get": lambda c, x: api.quota_usage_get(c, x, x),
    "quota_destroy_all_by_project": api.quota_destroy_all_by_project,
    "reservation_commit": lambda c, x: api.reservation_commit(c, [x], "p", "u"),
    "security_group_get_by_name": lambda c, x: api.security_group_get_by_name(c, x, x),
    "security_group_get_by_project": api.security_group_get_by_project,
    "service_get_by_host_and_topic": lambda c, x: api.service_get_by_host_and_topic(c, x, x),
    "service_get_all_by_topic": api.service_get_all_by_topic,
    "task_log_get": lambda c, x: api.task_log_get(
        c, x, datetime.datetime(2016, 1, 1), datetime.datetime(2016, 1, 2), x
    ),
    "virtual_interface_get_by_uuid": api.virtual_interface_get_by_uuid,
    "virtual_interface_get_by_address": api.virtual_interface_get_by_address,
}


@pytest.mark.usefixtures("road")
@pytest.mark.parametrize("name", LOOKUPS)
def test_looking_for_text_that_no_row_can_have(backend: Backend, admin: RequestContext, name: str) -> None:
    for text in UNHELD[backend.family]:
        found = outcome(LOOKUPS[name], admin, text)
        assert not found or found in (0, [[]]) or "Not" in str(found) or "Invalid" in str(found)
        with tx.writer(admin):  # it spoils no transaction
            outcome(LOOKUPS[name], admin, text)
            api.key_pair_count_by_user(admin, "u")


@pytest.mark.usefixtures("road")
def test_the_rest_of_a_list_is_found(backend: Backend, admin: RequestContext) -> None:
    for host in ("mine", "h\xe9", "other"):
        api.instance_create(RequestContext("u", "p"), {"host": host, "project_id": "p"})
    for text in UNHELD[backend.family]:
        found = api.instance_get_all_by_filters(admin, {"host": [text, "mine", "h\xe9"]}, "id", "asc")
        assert [row["host"] for row in found] == ["mine", "h\xe9"]
        differing = api.instance_get_all_by_filters(admin, {"host": "mine", "project_id": ["p", text]})
        assert [row["host"] for row in differing] == ["mine"]


@pytest.mark.usefixtures("road")
def test_a_constraint_with_text_that_no_row_can_have(backend: Backend, admin: RequestContext) -> None:
    for text in UNHELD[backend.family]:
        row = api.instance_create(RequestContext("u", "p"), {"host": "h", "project_id": "p"})
        with pytest.raises(exceptions.ConstraintNotMet):
            api.instance_destroy(admin, row["uuid"], constraint=api.constraint(host=api.equal_any(text)))
        api.instance_destroy(admin, row["uuid"], constraint=api.constraint(host=api.not_equal(text)))


FLAVOR = {"name": "n", "flavorid": "f", "vcpus": 1, "memory_mb": 1, "extra_specs": {"a": "b"}}
WRITES: dict[str, Callable[[Any, str], Any]] = {
    "services.host": lambda c, x: api.service_create(c, {"host": x}),
    "key_pairs.name": lambda c, x: api.key_pair_create(c, {"name": x, "user_id": "u"}),
    "instance_metadata.value": lambda c, x: api.instance_metadata_update(c, UUID, {"k": x}, False),
    "tags.tag": lambda c, x: api.instance_tag_add(c, UUID, x),
    "quota_classes.class_name": lambda c, x: api.quota_class_create(c, x, "cores", 1),
    "floating_ips.pool": lambda c, x: api.floating_ip_bulk_create(c, [{"pool": "p"}, {"pool": x}]),
    # what travels behind other statements
    "instance_type_projects.project_id": lambda c, x: api.flavor_create(c, FLAVOR, ["p", x]),
    "aggregate_metadata.value": lambda c, x: api.aggregate_create(c, {"name": "a"}, {"k": x}),
    "instance_group_member.instance_id": lambda c, x: api.instance_group_create(c, {"name": "g"}, members=["m", x]),
    "instance_system_metadata.value": lambda c, x: api.instance_create(c, {"system_metadata": {"k": "v", "l": x}}),
}


@pytest.mark.usefixtures("road")
@pytest.mark.parametrize("column", WRITES)
def test_writing_text_that_no_row_can_have(backend: Backend, admin: RequestContext, column: str) -> None:
    api.instance_create(RequestContext("u", "p"), {"uuid": UUID, "project_id": "p"})
    for text in UNHELD[backend.family]:
        with pytest.raises(exceptions.DBDataError) as raised:
            WRITES[column](admin, text)
        assert column in str(raised.value)


SPELLINGS = [
    ("10.0.0.1/32", "10.0.0.1"),
    ("010.0.0.1", "10.0.0.1"),
    ("2001:DB8::1", "2001:db8::1"),
    ("2001:0db8:0::1/128", "2001:db8::1"),
    ("2001:DB8::1/64", "2001:db8::1/64"),
    ("10.1/16", "10.1.0.0/16"),
    ("::FFFF:192.0.2.1", "::ffff:192.0.2.1"),
]


@pytest.mark.usefixtures("road")
@pytest.mark.parametrize(("given", "stored"), SPELLINGS)
def test_one_spelling_of_an_address(admin: RequestContext, given: str, stored: str) -> None:
    assert api.fixed_ip_create(admin, {"address": given})["address"] == stored
    api.floating_ip_bulk_create(admin, [{"address": given}])
    for spelled in (given, stored):
        assert api.fixed_ip_get_by_address(admin, spelled)["address"] == stored
        assert api.floating_ip_get_by_address(admin, spelled)["address"] == stored
    api.floating_ip_bulk_destroy(admin, [{"address": given}])
    with pytest.raises(exceptions.NoFloatingIpsDefined):
        api.floating_ip_get_all(admin)


@pytest.mark.usefixtures("road")
@pytest.mark.parametrize(
    ("given", "stored"),
    [("10.1/16", "10.1.0.0/16"), ("010.0.0.7/24", "10.0.0.0/24"), ("2001:DB8::1/64", "2001:db8::/64")],
)
def test_one_spelling_of_a_network(admin: RequestContext, given: str, stored: str) -> None:
    assert api.network_create_safe(admin, {"cidr": given})["cidr"] == stored
    for spelled in (given, stored):
        assert api.network_get_by_cidr(admin, spelled)["cidr"] == stored


CONTAINERS: list[tuple[str, str]] = []
for _name in sorted(api.__all__):
    _function = getattr(api, _name)
    if (
        _name != "model_query"
        and inspect.isfunction(_function)
        and next(iter(inspect.signature(_function).parameters), "") == "context"
    ):
        CONTAINERS += [(_name, container.name) for container in containers(inspect.unwrap(_function))]


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize(("name", "argument"), CONTAINERS)
def test_what_is_no_container(admin: RequestContext, name: str, argument: str) -> None:
    function = getattr(api, name)
    inner = inspect.signature(inspect.unwrap(function)).parameters
    given = {
        key: 1
        for key, parameter in inner.items()
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD
    }
    del given["context"]
    for value in (5, 1.5, object(), b"bytes"):
        for other in {**given}:
            given[other] = {} if (name, other) in CONTAINERS else 1  # type: ignore[assignment]  # any will do
        with pytest.raises(exceptions.BadArgument, match=f"argument {argument} takes a"):
            function(admin, **{**given, argument: value})
    assert issubclass(exceptions.BadArgument, exceptions.DBDataError)
