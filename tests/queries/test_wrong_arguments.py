# SPDX-License-Identifier: Apache-2.0

"""Arguments of a wrong kind are refused by an error that names them, before anything is sent."""

from __future__ import annotations

import collections
import datetime
import decimal
import enum
import inspect
import types
from typing import TYPE_CHECKING, Any

import pytest

from nova_sqlcore import RequestContext, api, exceptions, tables
from nova_sqlcore.core.arguments import containers
from tests.queries import instance_factory

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.plugins.counting import SqlLog

pytestmark = pytest.mark.usefixtures("backend")

#: Every public function with its containers.
CONTAINERS = [
    (name, container)
    for name in api.__all__
    if inspect.isfunction(getattr(api, name)) and name not in ("model_query", "convert_objects_related_datetimes")
    for container in containers(inspect.unwrap(getattr(api, name)))
]
LISTS = [(name, one.name) for name, one in CONTAINERS if one.of_keys]
MAPPINGS = [(name, one.name) for name, one in CONTAINERS if one.is_mapping]


def nested(kind: type = list) -> Any:
    """Return a container deeper than Python's stack."""
    found: Any = []
    for _ in range(20_000):
        found = [found] if kind is list else {"a": found}
    return found


def call(name: str, context: RequestContext, argument: str, value: Any) -> Any:
    """Call a function with something in every place that must be filled."""
    function = getattr(api, name)
    known = {one.name: one for other, one in CONTAINERS if other == name}
    given: dict[str, Any] = {}
    for key, parameter in inspect.signature(inspect.unwrap(function)).parameters.items():
        if parameter.default is parameter.empty and parameter.kind is parameter.POSITIONAL_OR_KEYWORD:
            given[key] = ({} if known[key].is_mapping else []) if key in known else 1
    given |= {argument: value}
    if "context" in given:
        given["context"] = context
    return function(**given)


@pytest.fixture
def nothing_sent(sql_log: SqlLog) -> Iterator[None]:
    api.service_get_all(RequestContext("u", "p", is_admin=True))  # connected
    with sql_log() as sent:
        yield
    assert not sent


@pytest.mark.usefixtures("nothing_sent")
@pytest.mark.parametrize(("name", "argument"), LISTS)
def test_lists_in_a_list(admin: RequestContext, name: str, argument: str) -> None:
    wrongs: list[Any] = [["a", nested()], [[]], [{}], ({"a"},), [nested(dict)]]
    for wrong in wrongs:
        with pytest.raises(exceptions.BadArgument, match=rf"argument {argument} takes a list of plain values, not of"):
            call(name, admin, argument, wrong)


class _Number(enum.IntEnum):
    ONE = 1


@pytest.mark.usefixtures("nothing_sent")
@pytest.mark.parametrize(("name", "argument"), LISTS)
def test_what_only_its_class_can_be_walked(admin: RequestContext, name: str, argument: str) -> None:
    for wrong in (_Number.ONE, memoryview(b"a"), object()):
        with pytest.raises(exceptions.BadArgument, match=rf"argument {argument} takes a list or another iterable"):
            call(name, admin, argument, wrong)


#: What holds mappings and lists inside ``values``, by function.
INSIDE: dict[str, tuple[dict[str, Any], tuple[str, ...], tuple[str, ...]]] = {
    "flavor_create": ({"name": "n", "flavorid": "f", "memory_mb": 1, "vcpus": 1}, ("extra_specs",), ()),
    "aggregate_update": ({}, ("metadata",), ()),
    "instance_create": (
        {"project_id": "p"}, ("metadata", "system_metadata", "info_cache", "extra"), ("security_groups",)
    ),
    "instance_update": ({}, ("metadata", "system_metadata"), ()),
    "instance_update_and_get_original": ({}, ("metadata", "system_metadata"), ()),
    "instance_group_update": ({}, (), ("policies", "members")),
    "security_group_create": ({"name": "g", "project_id": "p"}, (), ("instances",)),
}  # fmt: skip
KEYS: dict[str, list[Any]] = {"aggregate_update": [1], "instance_group_update": ["u"]}


@pytest.mark.parametrize("name", INSIDE)
def test_what_is_inside_of_values(admin: RequestContext, name: str) -> None:
    values, mappings, lists = INSIDE[name]
    is_change = name.startswith("instance_update")
    key: list[Any] = [instance_factory.instance()["uuid"]] if is_change else KEYS.get(name, [])
    for inner in (*mappings, *lists):
        kind = "mapping" if inner in mappings else "list or another iterable"
        wrongs: list[Any] = [1, 1.5, True, b"x", object()]
        for wrong in [*wrongs, "x", [1], [None]] if inner in mappings else wrongs:
            with pytest.raises(exceptions.BadArgument, match=rf"argument values\['{inner}'\] takes a {kind}"):
                getattr(api, name)(admin, *key, {**values, inner: wrong})


def test_members_of_a_group_are_instances(admin: RequestContext) -> None:
    for wrong in ("x", [1], [None], [["a"]]):
        with pytest.raises(exceptions.BadArgument, match=r"values\['instances'\] takes a list of mappings, not of"):
            api.security_group_create(admin, {"name": "g", "project_id": "p", "instances": wrong})
    assert api.security_group_get_all(admin) == []


@pytest.mark.usefixtures("nothing_sent")
@pytest.mark.parametrize(("name", "argument"), MAPPINGS)
def test_what_pairs_can_not_be_made_of(admin: RequestContext, name: str, argument: str) -> None:
    wrongs: list[Any] = [["ab", "abc"], [1], [nested()], [([], 1)], dict]
    for wrong in wrongs:
        with pytest.raises(exceptions.BadArgument, match=rf"argument {argument} takes a mapping"):
            call(name, admin, argument, wrong)


@pytest.mark.usefixtures("nothing_sent")
@pytest.mark.parametrize("name", ["fixed_ip_bulk_create", "floating_ip_bulk_create", "floating_ip_bulk_destroy"])
def test_rows_that_are_no_mappings(admin: RequestContext, name: str) -> None:
    wrongs: list[Any] = [[{"address": "10.0.0.1"}, 5], [None], ["ab", "abc"], [nested()], ["text"]]
    for wrong in wrongs:
        with pytest.raises(exceptions.BadArgument, match="argument ips takes a mapping"):
            call(name, admin, "ips", wrong)


def test_whatever_has_items_is_a_mapping(admin: RequestContext) -> None:
    given = {"file_name": "f", "user_id": "u"}
    others = [list(given.items()), types.MappingProxyType(given), collections.UserDict(given), iter(given.items())]
    rows = [api.certificate_create(admin, other) for other in others]  # type: ignore[arg-type]  # pairs are taken too
    assert [row["file_name"] for row in rows] == ["f"] * 4
    for number, other in enumerate(others[:3]):
        row = api.instance_create(admin, {"project_id": "p", "user_id": "u"})
        api.instance_metadata_update(admin, row["uuid"], other, False)  # type: ignore[arg-type]  # as above
        assert api.instance_metadata_get(admin, row["uuid"]) == given
        address = {"address": f"10.0.0.{number}"}
        api.floating_ip_bulk_create(admin, iter([collections.UserDict(address)]))


ENDLESS = [float("inf"), float("nan"), 1e300, "1", None, [], nested(), datetime.timedelta(1), 10**5000]
WRONG: list[tuple[str, Callable[[Any, Any], Any], list[Any]]] = [
    ("reboot_window", api.instance_get_all_hung_in_rebooting, ENDLESS),
    ("confirm_window", lambda c, x: api.migration_get_unconfirmed_by_dest_compute(c, x, "h"), ENDLESS),
    ("max_retries", lambda c, x: api.flavor_extra_specs_update_or_create(c, "f", {}, x), ["1", 1.5, [], True]),
    ("max_count", api.aggregate_uuids_online_data_migration, ["1", 1.5, nested(), True]),
    ("max_count", api.computenode_uuids_online_data_migration, ["1", 1.5, nested()]),
    ("deltas", lambda c, x: api.quota_reserve(c, {}, {}, {}, {"cores": x}, None, None, None), ["1", 1.5, [], None]),
    ("user_quotas", lambda c, x: api.quota_reserve(c, {}, {}, {"ram": x}, {"ram": 1}, None, 0, 0), ["1", nested()]),
    ("hypervisor_match", api.compute_node_search_by_hypervisor, [nested(), nested(dict), 10**5000]),
    (
        "filters\\['display_name'\\]",
        lambda c, x: api.instance_get_all_by_filters(c, {"display_name": x}),
        [nested(), 10**5000],
    ),
    ("constraint", lambda c, x: api.instance_destroy(c, UUID, x), [5, {}, nested(), "host"]),
    (
        "time",
        lambda c, x: api.fixed_ip_disassociate_all_by_timeout(c, "h", x),
        [
            "2016-01-01",
            5,
            None,
            nested(),
            datetime.datetime.min.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=1))),
        ],
    ),
]
UUID = "00000000-0000-0000-0000-000000000001"


@pytest.mark.parametrize(("argument", "function", "values"), WRONG)
def test_numbers_and_times(
    admin: RequestContext, argument: str, function: Callable[[Any, Any], Any], values: list[Any]
) -> None:
    context = RequestContext("u", "p", is_admin=True)
    for value in values:
        with pytest.raises(exceptions.BadArgument, match=argument) as raised:
            function(context, value)
        assert len(str(raised.value)) < 300


def test_a_count_beyond_all_rows(admin: RequestContext) -> None:
    for count in (2**63 - 1, 2**63, 10**30, 10**5000):
        assert api.aggregate_uuids_online_data_migration(admin, count) == (0, 0)
        assert api.computenode_uuids_online_data_migration(admin, count) == (0, 0)


LONG = ["x" * 300_000, "9" * 5000, 10**5000, nested(), nested(dict)]


def test_what_is_not_found_is_told_in_short(admin: RequestContext) -> None:
    lookups: list[Callable[[Any], Any]] = [
        lambda x: api.service_get(admin, x),
        lambda x: api.network_get(admin, x),
        lambda x: api.flavor_get_by_name(admin, x),
        lambda x: api.instance_get_by_uuid(admin, x),
        lambda x: api.floating_ip_get_by_address(admin, x),
        lambda x: api.fixed_ip_get_by_address(admin, x),
        lambda x: api.instance_get_all(admin, [x]),
        lambda x: api.instance_get_all_by_filters(admin, {}, limit=x),
        lambda x: api.process_sort_params(["id"], [x]),
        lambda x: api.process_sort_params(x, ["none"]),
        lambda x: api.bw_usage_get_by_uuids(admin, [], x if isinstance(x, str) else "9" * 5000),
        lambda x: api.model_query(admin, x),
        lambda x: api.model_query(admin, tables.services, [x]),
        lambda x: api.quota_class_get(RequestContext("u", "p"), x, "cores"),
        api.create_context_manager,
        api.require_instance_exists_using_uuid,
    ]
    for look_up in lookups:
        for long in LONG:
            with pytest.raises((exceptions.NovaException, exceptions.DBError, TypeError, ValueError)) as raised:
                look_up(long)
            assert len(str(raised.value)) < 1500
            assert not isinstance(raised.value, RecursionError)


@pytest.mark.parametrize("value", [None, ["no"], nested(), 5])
def test_a_foreign_context_with_a_wrong_read_deleted(value: Any) -> None:
    context = types.SimpleNamespace(user_id="u", project_id="p", is_admin=True, read_deleted=value)
    with pytest.raises(ValueError, match="read_deleted is one of 'no', 'yes', 'only'"):
        api.service_get_all(context)


def test_words_that_are_none(admin: RequestContext) -> None:
    wrongs: list[Any] = [[], nested(), decimal.Decimal("sNaN"), 5]
    for wrong in wrongs:
        with pytest.raises(ValueError, match="read_deleted is one of"):
            api.flavor_get_by_flavor_id(admin, "f", wrong)
        with pytest.raises(ValueError, match="a sort direction is one of"):
            api.flavor_get_all(admin, sort_dir=wrong)
        with pytest.raises(exceptions.InvalidSortKey):
            api.flavor_get_all(admin, sort_key=wrong)


def test_a_pattern_that_is_longer_than_every_name(admin: RequestContext) -> None:
    node = dict.fromkeys(("vcpus", "memory_mb", "local_gb", "vcpus_used", "memory_mb_used", "local_gb_used"), 0)
    name = "n\\" * 127
    text = {"hypervisor_type": "k", "hypervisor_version": 1, "cpu_info": "", "hypervisor_hostname": name}
    api.compute_node_create(admin, {**node, **text})
    assert api.compute_node_search_by_hypervisor(admin, "n" * 60_000) == []
    assert [row["hypervisor_hostname"] for row in api.compute_node_search_by_hypervisor(admin, "%" * 60_000)] == [name]
    assert [row["hypervisor_hostname"] for row in api.compute_node_search_by_hypervisor(admin, "%n" * 127)] == [name]
