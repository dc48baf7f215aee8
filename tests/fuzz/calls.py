# SPDX-License-Identifier: Apache-2.0

"""Calls: a function, and for every argument something live or something hostile, by its name and its hint."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import inspect
import json
import random
import reprlib
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nova_sqlcore import RequestContext, api, get_admin_context, tables
from nova_sqlcore.core import types as kinds
from tests.fuzz import hostile
from tests.fuzz.world import NOW, NUMBERS, RESOURCES, UUIDS, row_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import sqlalchemy as sa

    Row = dict[str, Any]
    Maker = Callable[[random.Random], Any]

SIGNATURES: Final = json.loads((Path(__file__).parent.parent / "data" / "signatures.json").read_text())
FUNCTIONS: Final = tuple(sorted(SIGNATURES))


# -- contexts ---------------------------------------------------------------------------------------------------------


class _Tuple(NamedTuple):
    user_id: Any = "u1"
    project_id: Any = "p1"
    is_admin: Any = True
    read_deleted: Any = "no"


@dataclasses.dataclass(frozen=True, slots=True)
class _Frozen:
    user_id: Any = "u1"
    project_id: Any = "p1"
    is_admin: Any = False
    read_deleted: Any = "no"


GOOD: Final[tuple[Maker, ...]] = (
    lambda dice: RequestContext("u1", "p1"),
    lambda dice: get_admin_context(),
    lambda dice: get_admin_context(),
    lambda dice: RequestContext("u1", "p1", is_admin=True),
    lambda dice: get_admin_context(read_deleted=dice.choice(("yes", "only"))),
    lambda dice: RequestContext("u2", "p2"),
)
ODD: Final[tuple[Maker, ...]] = (
    lambda dice: RequestContext(),
    lambda dice: RequestContext("u1"),
    lambda dice: RequestContext(hostile.value(dice), hostile.value(dice)),
    lambda dice: _Tuple(),
    lambda dice: _Tuple(hostile.value(dice), hostile.value(dice), False),
    lambda dice: _Tuple(read_deleted=hostile.value(dice)),
    lambda dice: _Frozen(),
    lambda dice: types.SimpleNamespace(user_id="u1", project_id="p1", is_admin=True, read_deleted="no"),
    hostile.value,
)


# -- live arguments ---------------------------------------------------------------------------------------------------


def one_of(*choices: Any) -> Maker:
    """Return a maker of one of the choices."""
    return lambda dice: dice.choice(choices)


def some_of(maker: Maker, most: int = 3) -> Maker:
    """Return a maker of lists."""
    return lambda dice: [maker(dice) for _ in range(dice.randint(0, most))]


def numbered(word: str) -> Maker:
    """Return a maker of the texts that rows hold in the column of this name."""
    return one_of(*(f"{word}{n}" for n in NUMBERS), f"{word}9")


NUMBER: Final = one_of(*NUMBERS, 9)
UUID: Final = one_of(*UUIDS, "00000000-0000-0000-0000-000000000009")
HOST: Final = numbered("host")
PROJECT: Final = one_of("p1", "p2", "p9")
TIME: Final = one_of(NOW, NOW - datetime.timedelta(days=2), NOW + datetime.timedelta(days=2))
FIXED: Final = one_of(*(f"10.0.0.{n}" for n in NUMBERS), "10.0.0.9")
FLOATING: Final = one_of(*(f"10.1.0.{n}" for n in NUMBERS), "10.1.0.9")
FLAG: Final = one_of(True, False)
JOINS: Final = one_of(
    "metadata", "system_metadata", "info_cache", "security_groups", "pci_devices", "extra", "extra.flavor", "fault",
    "instance", "instances", "pool", "network", "rules", "fixed_ip", "virtual_interface", "grantee_group",
    "instances.info_cache",
)  # fmt: skip


def _pairs(dice: random.Random) -> Row:
    return {
        dice.choice(("key1", "key2", "availability_zone", "new")): dice.choice(("value1", "x", "")) for _ in range(2)
    }


def _limits(dice: random.Random) -> Row:
    return {name: dice.choice((-1, 0, 5, 100)) for name in RESOURCES}


def _deltas(dice: random.Random) -> Row:
    return {name: dice.choice((-1, 0, 1, 50)) for name in dice.sample(RESOURCES, dice.randint(0, 3))}


def _resources(dice: random.Random) -> Row:
    sync = {"instances": "_sync_instances", "cores": "_sync_instances", "ram": "_sync_instances"}
    return {name: types.SimpleNamespace(name=name, sync=sync.get(name, "_sync_floating_ips")) for name in RESOURCES}


def _filters(dice: random.Random) -> Row:
    return {name: _filter(dice, name) for name in dice.sample(FILTERS, dice.randint(0, 3))}


FILTERS: Final = (
    "uuid", "host", "node", "project_id", "user_id", "display_name", "deleted", "cleaned", "soft_deleted", "tags",
    "tags-any",
    "not-tags", "not-tags-any", "metadata", "system_metadata", "filter", "vm_state", "changes-since", "reservation_id",
    "instance_uuid", "migration_type", "status", "hidden", "source_compute", "min_memory_mb", "min_root_gb",
    "disabled", "is_public",
    "ip", "ip6", "id", "name", "created_at", "task_state", "nonsense", "instance_type_id", "flavor_id", "locked",
    "memory_mb",
    "security_group", "image_ref", "launched_at", "access_ip_v4", "marker", "power_state",
)  # fmt: skip


def _filter(dice: random.Random, name: str) -> Any:
    choices: dict[str, Maker] = {
        "uuid": some_of(UUID), "metadata": one_of({"key1": "value1"}, [{"key1": "value1"}, {"key2": "value2"}], {}),
        "system_metadata": one_of({"key1": "value1"}, [{"key1": "value1"}]), "deleted": FLAG, "changes-since": TIME,
        "tags": some_of(numbered("tag")), "tags-any": some_of(numbered("tag")), "not-tags": some_of(numbered("tag")),
        "filter": one_of([{"name": "tag-key", "value": "key1"}], [{"name": "tag:key1", "value": "value1"}], []),
        "display_name": one_of("display", "name1$", "^x", "."), "status": some_of(one_of("running", "accepted")),
        "project_id": PROJECT, "host": HOST, "min_memory_mb": NUMBER, "hidden": FLAG,
        "is_public": one_of(True, False, None),
    }  # fmt: skip
    return choices.get(name, one_of("x", 1, None, ["a", "b"], True))(dice)


def _ips(dice: random.Random) -> list[Row]:
    return [{"address": FIXED(dice), "pool": "pool", "network_id": NUMBER(dice)} for _ in range(dice.randint(1, 3))]


def _constraint(dice: random.Random) -> Any:
    value = dice.choice(("active", None, "host1")) if dice.random() < 0.7 else hostile.value(dice)
    condition = dice.choice((api.equal_any, api.not_equal))(value)
    return api.constraint(**{dice.choice(("vm_state", "host", "task_state", "nonsense", "metadata")): condition})


class _Conf:
    """What the reference's ``configure`` takes."""

    def __init__(self, connection: Any) -> None:
        self.database = self.api_database = types.SimpleNamespace(connection=connection, slave_connection=None)


#: By name; a name with the function's own ("function.name") goes first.
BY_NAME: Final[dict[str, Maker]] = {
    "architecture": numbered("architecture"),
    "args": one_of(None, [], [tables.instances.c.uuid]),
    "availability_zone": numbered("availability_zone"),
    "batch": one_of(1, 1000),
    "before": one_of(None, NOW),
    "binary": one_of("nova-compute", "nova-network"),
    "cell_name": numbered("name"),
    "cidr": one_of("10.1.0.0/24", "10.2.0.0/24", "fd00:1::/64"),
    "class_name": one_of("default", "gold"),
    "columns": some_of(
        one_of("uuid", "host", "id", "created_at", "extra", "flavor", "metadata", "name", "numa_topology")
    ),
    "columns_to_join": some_of(JOINS),
    "conf": lambda dice: _Conf(dice.choice((None, "sqlite://"))),
    "connection": one_of(None, "sqlite://", "nonsense"),
    "console_type": numbered("console_type"),
    "constraint": _constraint,
    "default_dir": one_of("asc", "desc"),
    "default_keys": one_of(("id",), None),
    "deltas": _deltas,
    "dev_addr": one_of("0000:00:01.0", "0000:00:02.0"),
    "device_name": numbered("device_name"),
    "errors": one_of(0, 1),
    "expected": one_of(None, {"vm_state": "active"}, {"vm_state": ["a", None]}, {"task_state": [None]}),
    "expire": one_of(None, NOW, NOW + datetime.timedelta(days=1)),
    "f": one_of(len, lambda context, *rest: context),
    "filters": _filters,
    "fixed_address": FIXED,
    "flavor_id": numbered("flavorid"),
    "floating_address": FLOATING,
    "fqdomain": numbered("domain"),
    "group_name": one_of("default", "name2"),
    "host": HOST,
    "host_id": HOST,
    "compute_host": HOST,
    "dest_compute": HOST,
    "hypervisor": numbered("hypervisor"),
    "hypervisor_match": one_of("node", "1"),
    "ips": _ips,
    "key": one_of("key1", "key2", "availability_zone"),
    "last_refreshed": one_of(None, NOW),
    "limit": one_of(None, 0, 1, 5, 100),
    "mac": numbered("mac"),
    "marker": one_of(*UUIDS, None),
    "max_age": one_of(None, 0, 1, 3600),
    "max_count": one_of(None, 0, 1, 50),
    "max_retries": one_of(1, 10),
    "max_rows": one_of(None, 1, 10, 1000),
    "members": some_of(UUID),
    "message": one_of("done", "x"),
    "metadata": _pairs,
    "migration_type": one_of("migration", "resize", None),
    "model": one_of(tables.instances, tables.networks, tables.tags),
    "name": numbered("name"),
    "node": numbered("node"),
    "nodename": numbered("node"),
    "on_blocked": one_of(None, lambda *_: None),
    "os": numbered("os"),
    "parent_addr": one_of("parent_addr1", None),
    "pause": one_of(0),
    "policies": some_of(one_of("affinity", "x")),
    "pool": one_of("pool", "other"),
    "progress": one_of(None, lambda *_: None),
    "project": PROJECT,
    "project_id": PROJECT,
    "project_only": one_of(True, False, "allow_none"),
    "project_quotas": _limits,
    "projects": some_of(PROJECT),
    "read_deleted": one_of("no", "yes", "only", None),
    "request_id": numbered("request_id"),
    "reservations": some_of(UUID),
    "resource": one_of(*RESOURCES),
    "resources": _resources,
    "rule": lambda dice: {"protocol": "tcp", "from_port": 1, "to_port": dice.randint(1, 9), "cidr": "10.1.0.0/24"},
    "sort_dir": one_of("asc", "desc"),
    "sort_dirs": some_of(one_of("asc", "desc")),
    "sort_key": one_of("id", "created_at", "uuid", "flavorid"),
    "sort_keys": some_of(one_of("id", "created_at", "uuid", "host", "nonsense", "name")),
    "specs": _pairs,
    "state": one_of("DONE", "RUNNING", None),
    "status": one_of("running", "error"),
    "tag": numbered("tag"),
    "tags": some_of(numbered("tag")),
    "task_items": one_of(None, 1),
    "task_name": numbered("task_name"),
    "topic": numbered("topic"),
    "until_refresh": one_of(None, 0, 1),
    "user_id": one_of("u1", "u2"),
    "user_quotas": _limits,
    "zone": numbered("zone"),
    "fixed_ip_get_by_address.address": FIXED,
    "fixed_ip_associate.address": FIXED,
    "fixed_ip_disassociate.address": FIXED,
    "fixed_ip_update.address": FIXED,
    "pci_device_destroy.address": one_of("0000:00:01.0", "0000:00:02.0"),
    "pci_device_update.address": one_of("0000:00:01.0", "0000:00:02.0"),
    "virtual_interface_get_by_address.address": one_of("fa:16:3e:00:00:01", "fa:16:3e:00:00:03"),
    "address": FLOATING,
    "vol_usage_update.id": UUID,
    "instance_group_member_delete.instance_id": UUID,
    "vol_usage_update.instance_id": UUID,
    "volume_id": UUID,
    "ec2_volume_get_by_id.volume_id": NUMBER,
}
#: By the start of the hint, for the names that have no maker of their own.
BY_HINT: Final[dict[str, Maker]] = {
    "int": NUMBER,
    "bool": FLAG,
    "float": one_of(0, 1, 60, 3600.5),
    "datetime.datetime": TIME,
    "Moment": TIME,
    "Sequence[int]": some_of(NUMBER),
    "Context": lambda dice: dice.choice(GOOD)(dice),
}


def maker_of(function: str, parameter: inspect.Parameter) -> Maker:
    """Return the maker of live arguments for a parameter.

    Raises: LookupError for a parameter that the table does not know.
    """
    name, hint = parameter.name, str(parameter.annotation)
    if name == "values" and hint.startswith("Mapping"):
        return _values_of(function)
    maker = BY_NAME.get(f"{function}.{name}") or BY_NAME.get(name)
    if maker is None and "uuid" in name:
        maker = some_of(UUID) if hint.startswith(("Sequence", "Iterable", "Collection")) else UUID
    if maker is None:
        maker = next((one for start, one in BY_HINT.items() if hint.startswith(start)), None)
    if maker is None:
        raise LookupError(f"{function}({name}: {hint}) has no maker in tests/fuzz/calls.py")
    return maker


# -- what is stored ---------------------------------------------------------------------------------------------------

#: The tables that functions with ``values`` write to, by how the function's name begins; longer ones go first.
WRITTEN: Final[dict[str, str]] = {
    "action_event": "instance_actions_events",
    "action": "instance_actions",
    "agent_build": "agent_builds",
    "aggregate": "aggregates",
    "block_device_mapping": "block_device_mapping",
    "cell": "cells",
    "certificate": "certificates",
    "compute_node": "compute_nodes",
    "console": "consoles",
    "console_pool": "console_pools",
    "fixed_ip": "fixed_ips",
    "flavor": "instance_types",
    "floating_ip": "floating_ips",
    "instance": "instances",
    "instance_extra": "instance_extra",
    "instance_fault": "instance_faults",
    "instance_group": "instance_groups",
    "instance_info_cache": "instance_info_caches",
    "key_pair": "key_pairs",
    "migration": "migrations",
    "network": "networks",
    "pci_device": "pci_devices",
    "security_group": "security_groups",
    "security_group_default_rule": "security_group_default_rules",
    "security_group_rule": "security_group_rules",
    "service": "services",
    "virtual_interface": "virtual_interfaces",
}
#: What functions take among the values beside columns.
BESIDE: Final[dict[str, dict[str, Maker]]] = {
    "instances": {
        "metadata": _pairs,
        "system_metadata": _pairs,
        "security_groups": one_of(["default"], [], ["new"]),
        "info_cache": one_of({"network_info": "[]"}, {}, None),
        "extra": one_of({"flavor": "{}"}, {}, {"numa_topology": None}),
        "expected_task_state": one_of(None, [None], "active"),
        "expected_vm_state": one_of("active", ["active", None]),
        "name": one_of("name"),
    },
    "aggregates": {"metadata": _pairs, "availability_zone": one_of("az")},
    "instance_groups": {"policies": some_of(one_of("affinity", "x")), "members": some_of(UUID), "metadata": _pairs},
    "instance_types": {"extra_specs": _pairs},
    "instance_actions": {"event": one_of("event1"), "finish_time": TIME},
    "instance_actions_events": {
        "instance_uuid": UUID,
        "request_id": numbered("request_id"),
        "exc_val": one_of("e", None),
    },
}


def table_of(function: str) -> sa.Table:
    """Return the table that a function's ``values`` are stored in."""
    start = max((start for start in WRITTEN if function.startswith(start)), key=len)
    return tables.metadata.tables[WRITTEN[start]]


def _values_of(function: str) -> Maker:
    table = table_of(function)
    required = [
        column.name
        for column in table.c
        if not column.nullable and column.default is None and column.server_default is None
    ]
    beside = BESIDE.get(table.name, {})
    needed = {"instance_uuid", "request_id", "event", "result"} if table.name.startswith("instance_actions") else set()

    def make(dice: random.Random) -> Row:
        row = row_of(table, dice.choice(NUMBERS[:3]))
        share = dice.choice((0.1, 0.5))
        found = {name: one for name, one in row.items() if name != "id" and (name in required or dice.random() < share)}
        for name, maker in beside.items():
            if name in needed or dice.random() < share / 2:
                found[name] = maker(dice)
        found |= {name: row[name] for name in sorted(needed & row.keys())}
        if dice.random() < 0.8:
            for name in ("deleted", "deleted_at", "created_at", "updated_at"):
                found.pop(name, None)
        if dice.random() < 0.5:  # a row of its own, not one more of the same
            found |= {name: _other(table.c[name], dice) for name in found if name in table.c and _is_key(table, name)}
        return found

    return make


def _is_key(table: sa.Table, name: str) -> bool:
    return name in ("name", "uuid", "flavorid", "address", "host", "label") and not table.c[name].foreign_keys


def _other(column: sa.Column[Any], dice: random.Random) -> Any:
    number = dice.randint(100, 250)
    if isinstance(column.type, kinds.IPAddress):
        return f"10.9.0.{number}"
    return f"00000000-0000-0000-0000-{number:012}" if column.name == "uuid" else f"new{number}"


# -- a call -----------------------------------------------------------------------------------------------------------


class Call(NamedTuple):
    """A call that can be made."""

    function: str
    context: Any
    arguments: Row
    #: inside a block of the caller's, which goes on after an error
    in_block: bool

    def run(self) -> Any:
        """Make the call, and return what it returns."""
        known = _parameters(self.function)
        positional = [self.context] if takes_context(self.function) else []
        arguments = dict(self.arguments)
        for parameter in known.values():
            if parameter.kind is parameter.VAR_POSITIONAL:
                positional += arguments.pop(parameter.name, ())
            elif parameter.kind is parameter.VAR_KEYWORD:
                arguments |= arguments.pop(parameter.name, {})
        return getattr(api, self.function)(*positional, **arguments)

    def __str__(self) -> str:
        shown = "".join(f", {name}={short(one)}" for name, one in self.arguments.items())
        return f"api.{self.function}({short(self.context)}{shown}){' in a block' if self.in_block else ''}"


class _Short(reprlib.Repr):
    def __init__(self) -> None:
        super().__init__()
        self.maxlevel, self.maxdict, self.maxlist, self.maxstring, self.maxother = 4, 60, 6, 60, 80

    def repr_int(self, x: int, level: int) -> str:
        return (
            repr(x) if x.bit_length() < 200 else f"{'-' if x < 0 else ''}10**{abs(x).bit_length() * 30103 // 100_000}"
        )

    def repr_instance(self, x: Any, level: int) -> str:
        if isinstance(x, RequestContext):
            return (
                f"RequestContext({short(x.user_id)}, {short(x.project_id)}, is_admin={x.is_admin}, {x.read_deleted!r})"
            )
        return super().repr_instance(x, level)


def short(value: Any) -> str:
    """Return a value's text, as far as it fits into a line."""
    return _Short().repr(value)


def _parameters(function: str) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(getattr(api, function)).parameters)


def parameters(function: str) -> list[inspect.Parameter]:
    """Return the parameters that a call makes arguments for: all but the context at the first place."""
    return list(_parameters(function).values())[takes_context(function) :]


def takes_context(function: str) -> bool:
    """Tell whether the first argument is the context."""
    return list(_parameters(function))[:1] == ["context"]


def make_call(seed: str, functions: tuple[str, ...] = FUNCTIONS, turn: int | None = None) -> Call:
    """Return the call of this seed, the same at every time; with ``turn`` functions come one after the other."""
    dice = random.Random(seed)
    function = functions[turn % len(functions)] if turn is not None else dice.choice(functions)
    asked = parameters(function)
    good = dice.random() < 0.9
    context = dice.choice(GOOD if good else ODD)(dice)
    arguments: Row = {}
    wrong = _wrong_ones(dice, asked)
    for parameter in asked:
        if parameter.default is not parameter.empty and parameter.name not in wrong and dice.random() < 0.5:
            continue
        arguments[parameter.name] = _argument(dice, function, parameter, parameter.name in wrong)
    is_scoped = "transaction" in SIGNATURES[function]
    return Call(function, context, arguments, good and is_scoped and dice.random() < 0.3)


def _wrong_ones(dice: random.Random, asked: list[inspect.Parameter]) -> set[str]:
    """Return the names of the arguments that shall be hostile: none, mostly one, or many."""
    if not asked or dice.random() < 0.2:
        return set()
    if dice.random() < 0.7:
        return {dice.choice(asked).name}
    return {parameter.name for parameter in asked if dice.random() < 0.5}


def _argument(dice: random.Random, function: str, parameter: inspect.Parameter, is_wrong: bool) -> Any:
    if parameter.kind is parameter.VAR_POSITIONAL:
        return [hostile.value(dice) for _ in range(dice.randint(0, 3))]
    if parameter.kind is parameter.VAR_KEYWORD:
        names = ("in_use", "reserved", "until_refresh") if function == "quota_usage_update" else ("host", "vm_state")
        return {name: hostile.value(dice) if is_wrong else 1 for name in dice.sample(names, dice.randint(0, 2))}
    maker = maker_of(function, parameter)
    if not is_wrong:
        return maker(dice)
    # what is nearly right goes deeper than what is all wrong
    return _spoiled(dice, maker(dice)) if dice.random() < 0.7 else hostile.value(dice)


def _spoiled(dice: random.Random, live: Any) -> Any:
    """Return a live argument with something hostile in it."""
    if isinstance(live, dict):
        return _spoiled_dict(dice, live)
    if isinstance(live, list):
        items = [*live, hostile.value(dice)]
        dice.shuffle(items)
        if items and isinstance(items[0], dict) and dice.random() < 0.5:
            items[0] = _spoiled_dict(dice, items[0])
        match dice.randrange(6):
            case 0:
                return iter(items)
            case 1:
                return tuple(items)
            case 2:
                return collections.deque(items)
        return items
    if isinstance(live, str) and dice.random() < 0.4:
        tail = dice.choice(hostile.TEXTS)()
        return dice.choice((live.upper(), live + " ", " " + live, live + tail, tail + live, [live], live.encode()))
    if isinstance(live, int) and dice.random() < 0.4:
        return dice.choice((str(live), float(live), f" {live}", f"0{live}", live + 0.5, [live], bytes([live % 256])))
    return hostile.value(dice)


def _spoiled_dict(dice: random.Random, live: Row) -> Row:
    found = dict(live)
    names = list(found)
    match dice.randrange(8):
        case 0:
            found[dice.choice(("nonsense", "id", "deleted", "created_at", "__class__"))] = hostile.value(dice)
        case 1:
            key = hostile.value(dice)
            if _is_hashable(key):
                found[key] = hostile.value(dice)
        case 2 if names:
            del found[dice.choice(names)]
        case 3 if names:
            one = dice.choice(names)
            found[one] = _spoiled(dice, found[one])
        case _ if names:
            found[dice.choice(names)] = hostile.value(dice)
    if dice.random() < 0.1:
        return types.MappingProxyType(found)  # type: ignore[return-value]  # a mapping of another kind
    return found


def _is_hashable(key: Any) -> bool:
    try:
        hash(key)
    except (TypeError, ValueError, RecursionError):
        return False
    return True
