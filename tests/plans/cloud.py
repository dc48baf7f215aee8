# SPDX-License-Identifier: Apache-2.0

"""A cloud of 100,000 instances, made on the server: INSERT ... SELECT from a table of numbers.

Row ``n`` (from 0) of a table has the id ``n + 1``. Instance ``n`` is on host ``n % HOSTS``; a third of all instances,
and what hangs on them, is live. Uuids and ``updated_at`` come in another order than ids, as they do in life.
"""

from __future__ import annotations

import contextlib
import datetime
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from nova_sqlcore import tables
from nova_sqlcore.schema.ddl import stands_on

if TYPE_CHECKING:
    from collections.abc import Iterator

SIZE: Final = 100_000
HALF: Final = 50_000
SMALL: Final = 20_000
HOSTS: Final = 1_000
PROJECTS: Final = 500
USERS: Final = 2_000
FIXED_IPS: Final = 65_536
NETWORKS: Final = 16
GROUPS: Final = 2_000
USAGES: Final = 50_000
RESOURCES: Final = 10

END: Final = datetime.datetime(2016, 4, 7, 12)
_MOMENTS: Final = 1_000
_STEP: Final = datetime.timedelta(hours=1)
#: As wide as the JSON that describes a network or a flavor.
_WIDE: Final = "[" + " " * 500 + "]"
#: Has no divisor in common with SIZE: its multiples take every place once.
_STRIDE: Final = 7_919

_scratch = sa.MetaData()
_moments = sa.Table(
    "plan_moments",
    _scratch,
    sa.Column("place", sa.Integer, primary_key=True, autoincrement=False),
    sa.Column("moment", sa.DateTime),
)
_numbers = sa.Table(
    "plan_numbers",
    _scratch,
    sa.Column("n", sa.Integer, primary_key=True, autoincrement=False),
    #: grows with n
    sa.Column("early", sa.DateTime),
    #: does not
    sa.Column("late", sa.DateTime),
)
n = _numbers.c.n
_LIVE = n // HOSTS % 3 == 0
_ALWAYS = sa.true()


def identifier(kind: str, number: int) -> str:
    """Return the uuid with this number among those that begin with ``kind``."""
    return f"{kind}-0000-4000-8000-{number * _STRIDE % SIZE:012}"


def instance_uuid(number: int) -> str:
    """Return the uuid of the instance with this number."""
    return identifier("00000000", number)


def moment(hours_ago: float) -> datetime.datetime:
    """Return a time shortly before or long before the newest row."""
    return END - datetime.timedelta(hours=hours_ago)


def _text(number: Any) -> Any:
    return sa.cast(number, sa.String(20))


def _digits(number: Any) -> Any:
    """Return the number in 12 digits."""
    return sa.func.substr(_text(sa.literal(10**12, sa.BigInteger) + number), 2)


def _uuid(number: Any = n, kind: str = "00000000") -> Any:
    return kind + sa.literal("-0000-4000-8000-") + _digits(number * _STRIDE % SIZE)


def _named(word: str, number: Any) -> Any:
    return sa.literal(f"{word}-") + _text(number)


def _one_in(count: int, value: Any, other: Any = None) -> Any:
    return sa.case((n % count == 0, value), else_=sa.null() if other is None else other)


def _address(first: int) -> Any:
    parts = (sa.literal(f"{first}."), _text(n // 65_536), ".", _text(n // 256 % 256), ".", _text(n % 256))
    text: Any = parts[0]
    for part in parts[1:]:
        text = text + part
    return sa.cast(text, tables.fixed_ips.c.address.type)


_HOST = _named("compute", n % HOSTS)
_PROJECT = _named("project", n // 13 % PROJECTS)
_USER = _named("user", n // 13 % USERS)
_OTHER_HOST = _named("compute", n // 7 % HOSTS)
_STATUS = sa.case(
    (n % 500 == 0, "running"),
    (n % 500 == 1, "finished"),
    (n % 500 == 2, "queued"),
    (n % 500 == 3, "error"),
    else_="confirmed",
)


def _contents() -> Iterator[tuple[sa.Table, int, dict[str, Any]]]:
    """Yield the tables, how many rows each has, and what is in them; ``live`` tells which rows are not deleted."""
    yield (
        tables.instances,
        SIZE,
        {
            "uuid": _uuid(),
            "project_id": _PROJECT,
            "user_id": _USER,
            "host": sa.case((n % 997 == 5, sa.null()), else_=_HOST),
            "node": _HOST,
            "vm_state": sa.case((~_LIVE, "deleted"), (n % 100 == 3, "error"), else_="active"),
            "task_state": sa.case((n % 2_000 == 7, "rebooting"), (n % 500 == 1, "spawning")),
            "image_ref": _uuid(n % 50, "11111111"),
            "instance_type_id": n % 100 + 1,
            "vcpus": n % 8 + 1,
            "memory_mb": sa.literal(2048),
            "display_name": _named("server", n),
            "hostname": _named("server", n),
            "reservation_id": _named("r", n),
            "launched_at": _numbers.c.early,
            "terminated_at": sa.case((~_LIVE, _numbers.c.late)),
            "cleaned": sa.case((_LIVE, 0), else_=1),
        },
    )
    of_instance = {"instance_uuid": _uuid()}
    yield tables.instance_info_caches, HALF, {**of_instance, "network_info": sa.literal(_WIDE)}
    yield tables.instance_extra, HALF, {**of_instance, "flavor": sa.literal(_WIDE)}
    for table in (tables.instance_metadata, tables.instance_system_metadata):
        key = {"key": _named("key", n % 20), "value": _named("value", n % 7)}
        yield table, SIZE, {"instance_uuid": _uuid(n // 2), **key}
    yield tables.instance_faults, HALF, {"instance_uuid": _uuid(n // 2), "code": sa.literal(500), "host": _HOST}
    action = {"action": sa.literal("create"), "request_id": _named("req", n), "start_time": _numbers.c.early}
    yield tables.instance_actions, HALF, {"instance_uuid": _uuid(n // 2), **action}
    event = {"event": _named("step", n % 3), "start_time": _numbers.c.early, "host": _HOST}
    yield tables.instance_actions_events, HALF, {"action_id": n + 1, **event}
    yield tables.instance_id_mappings, SMALL, {"uuid": _uuid()}
    yield (
        tables.block_device_mapping,
        SIZE,
        {
            **of_instance,
            "device_name": sa.literal("/dev/vda"),
            "source_type": _one_in(2, "volume", "image"),
            "destination_type": _one_in(2, "volume", "local"),
            "volume_id": _one_in(2, _uuid(n, "22222222")),
        },
    )
    card = {"address": sa.literal("fa:16:") + _digits(n), "network_id": n % NETWORKS + 1, "uuid": _uuid(n, "33333333")}
    yield tables.virtual_interfaces, HALF, {**of_instance, **card}
    yield tables.tags, HALF, {"resource_id": _uuid(n // 2), "tag": _named("tag", n % 125)}
    yield (
        tables.migrations,
        SIZE,
        {
            **of_instance,
            "source_compute": _HOST,
            "source_node": _HOST,
            "dest_compute": _OTHER_HOST,
            "dest_node": _OTHER_HOST,
            "status": _STATUS,
            "migration_type": sa.literal("resize", tables.migrations.c.migration_type.type),
            "hidden": n < 0,
        },
    )
    period = {"uuid": _uuid(n // 2), "start_period": _numbers.c.early, "mac": sa.literal("fa:16:") + _digits(n)}
    yield tables.bw_usage_cache, SMALL, {**period, "live": _ALWAYS}
    yield from _of_hosts()
    yield from _of_projects()
    yield from _of_networks()


def _of_hosts() -> Iterator[tuple[sa.Table, int, dict[str, Any]]]:
    service = {"binary": sa.literal("nova-compute"), "topic": sa.literal("compute"), "report_count": n}
    flags = {"disabled": n % 100 == 99, "forced_down": n < 0, "version": sa.literal(9)}
    yield tables.services, HOSTS, {"host": _HOST, **service, **flags, "live": _ALWAYS}
    room = {name: sa.literal(64) for name in ("vcpus", "memory_mb", "local_gb")}
    room |= {name: sa.literal(8) for name in ("vcpus_used", "memory_mb_used", "local_gb_used", "hypervisor_version")}
    words = {"hypervisor_type": sa.literal("QEMU"), "cpu_info": sa.literal("{}"), "hypervisor_hostname": _HOST}
    words["uuid"] = _uuid(n, "77777777")
    yield tables.compute_nodes, HOSTS, {"host": _HOST, "service_id": n + 1, **room, **words, "live": _ALWAYS}
    provider = {"uuid": _uuid(n, "77777777"), "name": _HOST}
    yield tables.resource_providers, HOSTS, provider
    stock = {name: sa.literal(8) for name in ("total", "reserved", "min_unit", "max_unit", "step_size")}
    kind = {"resource_provider_id": n // 3 + 1, "resource_class_id": n % 3}
    yield tables.inventories, 3 * HOSTS, {**kind, **stock, "allocation_ratio": sa.literal(1.5)}
    taken = {"resource_provider_id": n % HOSTS + 1, "resource_class_id": n % 3, "used": sa.literal(1)}
    yield tables.allocations, SMALL, {**taken, "consumer_id": _uuid()}
    device = {"product_id": sa.literal("1521"), "vendor_id": sa.literal("8086"), "dev_type": sa.literal("type-VF")}
    device |= {"label": sa.literal("label"), "status": _one_in(2, "allocated", "available")}
    place = {"compute_node_id": n % HOSTS + 1, "address": sa.literal("0000:") + _text(n // HOSTS)}
    holder = {"instance_uuid": _one_in(2, _uuid()), "parent_addr": sa.literal("0000:00")}
    yield tables.pci_devices, SMALL, {**place, **device, **holder, "live": _ALWAYS}
    yield tables.aggregates, 100, {"name": _named("aggregate", n), "live": _ALWAYS}
    yield tables.aggregate_hosts, 2 * HOSTS, {"host": _HOST, "aggregate_id": n // HOSTS * 10 + n % 50 + 1}
    spec = {"key": _named("key", n % 20), "value": _named("value", n % 3)}
    yield tables.aggregate_metadata, 2_000, {"aggregate_id": n // 20 + 1, **spec, "live": _ALWAYS}
    task = {"task_name": sa.literal("instance_usage_audit"), "state": sa.literal("DONE"), "host": _HOST}
    times = {"period_beginning": _numbers.c.early, "period_ending": _numbers.c.early, "message": sa.literal("")}
    yield tables.task_log, SMALL, {**task, **times, "live": _ALWAYS}


def _of_projects() -> Iterator[tuple[sa.Table, int, dict[str, Any]]]:
    resource = _named("resource", n % RESOURCES)
    usage = {"project_id": _named("project", n // 100), "user_id": _named("user", n // 10), "resource": resource}
    numbers = {"in_use": sa.literal(3), "reserved": sa.literal(0), "live": _ALWAYS}
    yield tables.quota_usages, USAGES, usage | numbers
    pending = {"usage_id": n % USAGES + 1, "delta": sa.literal(1), "expire": _numbers.c.early, "live": n % 100 == 0}
    yield tables.reservations, HALF, {"uuid": _uuid(n, "44444444"), **usage, **pending}
    limit = {"hard_limit": sa.literal(100), "live": _ALWAYS}
    yield tables.quotas, 5_000, {"project_id": _named("project", n // 10), "resource": resource, **limit}
    yield tables.project_user_quotas, SMALL, {**usage, **limit}
    key = {"name": _named("key", n), "user_id": _named("user", n % USERS)}
    yield tables.key_pairs, SMALL, {**key, "type": sa.literal("ssh", tables.key_pairs.c.type.type), "live": _ALWAYS}
    owner = {"project_id": _named("project", n % PROJECTS), "user_id": _named("user", n % USERS)}
    yield tables.certificates, SMALL, owner
    yield tables.instance_groups, 5_000, {**owner, "uuid": _uuid(n, "55555555"), "name": _named("group", n)}
    yield tables.instance_group_member, SMALL, {"instance_id": _uuid(), "group_id": n % 5_000 + 1}
    yield tables.instance_group_policy, 5_000, {"policy": sa.literal("anti-affinity"), "group_id": n + 1}
    flavor = {"name": _named("flavor", n), "flavorid": _named("f", n), "disabled": n < 0, "is_public": n % 4 != 0}
    sizes = {name: sa.literal(4) for name in ("memory_mb", "vcpus", "swap")}
    yield tables.instance_types, 1_000, {**flavor, **sizes, "live": _ALWAYS}
    spec = {"instance_type_id": n // 5 + 1, "key": _named("key", n % 5), "value": sa.literal("v"), "live": _ALWAYS}
    yield tables.instance_type_extra_specs, 5_000, spec
    access = {"instance_type_id": n // 10 * 4 % 1_000 + 1, "project_id": _named("project", n), "live": _ALWAYS}
    yield tables.instance_type_projects, 2_500, access
    volume = {"volume_id": _uuid(n, "22222222"), "curr_last_refreshed": _numbers.c.early, "live": _ALWAYS}
    yield tables.volume_usage_cache, SMALL, volume


def _of_networks() -> Iterator[tuple[sa.Table, int, dict[str, Any]]]:
    network = {"uuid": _uuid(n, "66666666"), "label": _named("net", n), "vlan": n + 100, "host": _HOST}
    owned = {"project_id": _named("project", n), "multi_host": n % 2 == 0, "live": _ALWAYS}
    yield tables.networks, NETWORKS, network | owned
    taken = n % 4 != 0
    held = {"instance_uuid": sa.case((taken, _uuid())), "virtual_interface_id": sa.case((taken, n + 1))}
    flags = {"allocated": taken, "leased": taken, "reserved": n % 1_000 == 4, "live": _ALWAYS}
    yield tables.fixed_ips, FIXED_IPS, {"address": _address(10), "network_id": n // 4096 + 1, **held, **flags}
    floating = {"address": _address(172), "pool": _named("pool", n % 4), "auto_assigned": n < 0, "live": _ALWAYS}
    bound = {"fixed_ip_id": _one_in(2, n + 1), "project_id": _one_in(2, _named("project", n // 2 % PROJECTS))}
    yield tables.floating_ips, SMALL, floating | bound
    group = {"project_id": _named("project", n % PROJECTS), "user_id": _named("user", n % USERS), "live": _ALWAYS}
    yield (
        tables.security_groups,
        GROUPS,
        {"name": _named("group", n // PROJECTS), "description": sa.literal(""), **group},
    )
    rule = {
        "parent_group_id": n % GROUPS + 1,
        "protocol": sa.literal("tcp"),
        "group_id": _one_in(2, n // 7 % GROUPS + 1),
    }
    yield tables.security_group_rules, SMALL, {**rule, "from_port": n % 60_000, "to_port": n % 60_000, "live": _ALWAYS}
    yield (
        tables.security_group_instance_association,
        HALF,
        {"instance_uuid": _uuid(), "security_group_id": n % GROUPS + 1},
    )


#: What saves the server work that nobody needs here.
_CHECKS_OFF: Final = {
    "mysql": "SET foreign_key_checks = 0, unique_checks = 0",
    "postgresql": "SET session_replication_role = replica",
    "sqlite": "PRAGMA synchronous = OFF",
}
#: Where it takes less time to make the indexes of a full table.
_FILLED_WITHOUT_INDEXES: Final = ("postgresql", "sqlite")
#: sqlite gathers statistics on demand only, so a database in use has none.
_ANALYZE: Final = {"mysql": "ANALYZE TABLE {}", "postgresql": "ANALYZE {}"}


def make(url: sa.URL) -> None:
    """Fill an empty database, and let the server look at what it holds."""
    engine = sa.create_engine(url, poolclass=sa.NullPool)
    tables.metadata.create_all(engine)
    _scratch.create_all(engine)
    contents = list(_contents())
    names = [table.name for table, *_ in contents]
    with engine.begin() as connection:
        connection.exec_driver_sql(_CHECKS_OFF[engine.dialect.name])
        _make_numbers(connection)
        with _without_indexes(connection, names):
            for table, count, values in contents:
                _fill(connection, table, count, **values)
    _scratch.drop_all(engine)
    if engine.dialect.name in _ANALYZE:
        with engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
            connection.exec_driver_sql(_ANALYZE[engine.dialect.name].format(", ".join(names)))


@contextlib.contextmanager
def _without_indexes(connection: sa.Connection, names: list[str]) -> Iterator[None]:
    """Take the indexes away for the time of the block, where that saves time."""
    dialect = connection.dialect.name
    found = [index for name in names for index in tables.metadata.tables[name].indexes if stands_on(dialect, index)]
    indexes = sorted(found, key=lambda index: str(index.name)) if dialect in _FILLED_WITHOUT_INDEXES else []
    for index in indexes:
        index.drop(connection)
    yield
    for index in indexes:
        index.create(connection)


def _make_numbers(connection: sa.Connection) -> None:
    places = [{"place": place, "moment": END - _STEP * (_MOMENTS - place)} for place in range(_MOMENTS)]
    connection.execute(sa.insert(_moments), places)
    thousands, ones = _moments.alias(), _moments.alias()
    early, late = _moments.alias(), _moments.alias()
    each = SIZE // _MOMENTS
    number = thousands.c.place * _MOMENTS + ones.c.place
    found = (
        sa.select(number, early.c.moment, late.c.moment)
        .select_from(thousands)
        .join(ones, thousands.c.place < each)
        .join(early, early.c.place == number // each)
        .join(late, late.c.place == number * _STRIDE % SIZE // each)
    )
    connection.execute(sa.insert(_numbers).from_select(["n", "early", "late"], found))


def _fill(connection: sa.Connection, table: sa.Table, count: int, *, live: Any = _LIVE, **values: Any) -> None:
    if "id" in table.c:
        values["id"] = n + 1
    if "deleted" in table.c:
        times = {"created_at": _numbers.c.early, "updated_at": _one_in(10, sa.null(), _numbers.c.late)}
        values |= times | {"deleted": sa.case((live, 0), else_=n + 1), "deleted_at": sa.case((~live, _numbers.c.late))}
    found = sa.select(*(value.label(name) for name, value in values.items())).where(n < count).order_by(n)
    connection.execute(sa.insert(table).from_select(list(values), found, include_defaults=False))
    if connection.dialect.name == "postgresql" and "id" in table.c:
        connection.exec_driver_sql(f"SELECT setval(pg_get_serial_sequence('{table.name}', 'id'), {count})")


#: The tables that nobody shall read as a whole.
BIG: Final = frozenset(table.name for table, count, _ in _contents() if count >= SMALL)
