# SPDX-License-Identifier: Apache-2.0

"""The world that calls meet: a few rows in every table, the same on each back-end, and what is known of it."""

from __future__ import annotations

import abc
import contextlib
import datetime
import functools
import uuid
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from nova_sqlcore import tables, tx
from nova_sqlcore.core import roads, types

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

Row = dict[str, Any]

NOW: Final = datetime.datetime(2016, 4, 7, 12)
#: Rows 1 and 2 are the user's own, row 3 is another project's, row 4 has been soft-deleted.
NUMBERS: Final = (1, 2, 3, 4)
UUIDS: Final = tuple(str(uuid.UUID(int=number)) for number in NUMBERS)
RESOURCES: Final = ("instances", "cores", "ram", "floating_ips")
#: Where ids begin that the servers give; calls name smaller ones, or far greater ones.
FIRST_ID: Final = 1_000_000

#: What a column holds in row ``n``, by its name; the rest goes by type.
_BY_NAME: Final[dict[str, Any]] = {
    "user_id": lambda n: "u2" if n == 3 else "u1",
    "project_id": lambda n: "p2" if n == 3 else "p1",
    "resource": lambda n: RESOURCES[n - 1],
    "binary": lambda n: ("nova-compute", "nova-network", "nova-api", "nova-compute")[n - 1],
    "vm_state": lambda n: "active",
    "task_state": lambda n: None,
    "state": lambda n: "DONE",
    "status": lambda n: "available",
    "protocol": lambda n: "tcp",
    "instance_type_id": lambda n: n,
    "injected": lambda n: False,
    "reserved": lambda n: 0,
    "network_info": lambda n: "[]",
    "pci_stats": lambda n: None,
    "flavor": lambda n: '{"cur": {}}',
    "extra_info": lambda n: "{}",
    "cpu_info": lambda n: "{}",
    "dev_type": lambda n: "type-PCI",
    "multi_host": lambda n: False,
    "is_public": lambda n: True,
    "disabled": lambda n: False,
    "numa_topology": lambda n: None,
    "expire": lambda n: NOW + datetime.timedelta(days=1),
    "cleaned": lambda n: 0,
    "delete_on_termination": lambda n: False,
    "no_device": lambda n: False,
}
_BY_COLUMN: Final[dict[str, Any]] = {
    "fixed_ips.instance_uuid": lambda n: None if n == 2 else UUIDS[n - 1],
    "fixed_ips.allocated": lambda n: n != 2,
    "fixed_ips.address": lambda n: f"10.0.0.{n}",
    "fixed_ips.reserved": lambda n: False,
    "fixed_ips.network_id": lambda n: 1 if n == 2 else n,
    "floating_ips.address": lambda n: f"10.1.0.{n}",
    "floating_ips.fixed_ip_id": lambda n: None if n == 2 else n,
    "floating_ips.project_id": lambda n: None if n == 2 else "p1",
    "floating_ips.pool": lambda n: "pool",
    "networks.cidr": lambda n: f"10.{n}.0.0/24",
    "networks.cidr_v6": lambda n: f"fd00:{n}::/64",
    "networks.project_id": lambda n: None if n == 2 else "p1",
    "networks.host": lambda n: None if n == 2 else f"host{n}",
    "networks.uuid": lambda n: UUIDS[n - 1],
    "pci_devices.address": lambda n: f"0000:00:0{n}.0",
    "virtual_interfaces.address": lambda n: f"fa:16:3e:00:00:0{n}",
    "provider_fw_rules.cidr": lambda n: f"10.{n}.0.0/24",
    "instance_group_member.instance_id": lambda n: UUIDS[n - 1],
    "security_groups.name": lambda n: ("default", "name2", "default", "name4")[n - 1],
    "block_device_mapping.volume_id": lambda n: UUIDS[n - 1],
    "tags.resource_id": lambda n: UUIDS[n - 1],
    "instances.cleaned": lambda n: 0,
    "aggregate_metadata.key": lambda n: ("availability_zone", "key2", "key3", "key4")[n - 1],
    "migrations.source_compute": lambda n: f"host{n}",
    "migrations.dest_compute": lambda n: f"host{n}",
    "migrations.source_node": lambda n: f"node{n}",
    "migrations.status": lambda n: "running",
    "quota_classes.class_name": lambda n: "default",
    "task_log.period_beginning": lambda n: NOW,
    "task_log.period_ending": lambda n: NOW,
    "bw_usage_cache.start_period": lambda n: NOW,
    "compute_nodes.hypervisor_hostname": lambda n: f"node{n}",
    "allocations.consumer_id": lambda n: UUIDS[n - 1],
}


def value_of(column: sa.Column[Any], n: int) -> Any:
    """Return what a column holds in row ``n``."""
    special = _BY_COLUMN.get(str(column)) or _BY_NAME.get(column.name)
    if special is not None:
        return special(n)
    match column.type:
        case _ if "uuid" in column.name:
            return UUIDS[n - 1]
        case types.Integer():
            return n
        case types.Float():
            return float(n)
        case types.Boolean():
            return False
        case types.Enum() as kind:
            return kind.words[0]
        case types.DateTime():
            return NOW - datetime.timedelta(days=1)
        case types.IPAddress():
            return f"10.2.0.{n}"
        case types.CIDR():
            return f"10.{n}.0.0/16"
    length = getattr(column.type, "length", None)
    return f"{column.name}{n}"[-(length or 255) :]


@functools.cache
def row_of(table: sa.Table, n: int) -> Row:
    """Return row ``n`` of a table."""
    row = {column.name: value_of(column, n) for column in tables.row_columns(table)}
    if "deleted" in row:
        kind = table.c.deleted.type
        is_live = n != 4
        marks = (
            (False, True)
            if isinstance(kind, types.Boolean)
            else ("", "4")
            if isinstance(kind, types.String)
            else (0, 4)
        )
        row["deleted"] = marks[not is_live]
        row["deleted_at"] = None if is_live else NOW - datetime.timedelta(days=1)
    return row


@functools.cache
def _schema(drivername: str) -> list[str]:
    """Return the statements that make all tables: to write them takes longer than to run them."""
    found: list[str] = []
    dialect = sa.make_url(f"{drivername}://").get_dialect()()
    engine = sa.create_mock_engine(
        f"{drivername}://", lambda ddl, *_, **__: found.append(str(ddl.compile(dialect=dialect)))
    )
    tables.metadata.create_all(engine, checkfirst=False)
    return found


def main_tables() -> list[sa.Table]:
    """Return the tables that are no shadows, parents first."""
    return [table for table in tables.metadata.sorted_tables if not table.name.startswith(tables.SHADOW_PREFIX)]


class World:
    """A database that calls run on, by one road, and its reference copy in mind."""

    def __init__(self, name: str, road: str, url: sa.URL) -> None:
        """Make the tables at ``url``, an empty database."""
        self.name = f"{name}/{road}"
        self.family = url.get_backend_name()
        self._road = road
        self._state = vars(tx.Database("main database"))
        self._tools = sa.create_engine(url, isolation_level="AUTOCOMMIT", pool_size=1, max_overflow=0)
        self._connection = self._tools.connect()
        for statement in _schema(url.drivername):
            self._connection.exec_driver_sql(statement)
        if self.family == "sqlite":
            self._connection.exec_driver_sql("PRAGMA synchronous = OFF")
        self._watch = _WATCHES[self.family](self._connection)
        self._clean: dict[str, Any] = {}
        self._seen: dict[str, Any] | None = None
        with self.entered():
            tx.main.configure(url, sqlite_synchronous=False)
        self._reset_ids()

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Let the main database be this one, and statements take this road, for the time of the block."""
        main, usual = vars(tx.main), roads.USUAL
        before = dict(main)
        main.update(self._state)
        roads.USUAL = roads.CORE if self._road == "core" else roads.DRIVER
        try:
            yield
        finally:
            self._state = dict(main)
            roads.USUAL = usual
            main.clear()
            main.update(before)

    def close(self) -> None:
        """Close every connection."""
        with self.entered():
            tx.main.close()
        self._connection.close()
        self._tools.dispose()

    def digest(self) -> dict[str, Any]:
        """Return something that differs for every table whose rows differ; it is kept until ``forget``."""
        if self._seen is None:
            self._seen = self._watch.digest()
        return self._seen

    def forget(self) -> None:
        """Note that rows may have changed."""
        self._seen = None

    def renew(self) -> None:
        """Fill the tables again that are not as at the start."""
        self.forget()
        found = self.digest()
        changed = [name for name, mark in found.items() if name not in self._clean or self._clean[name] != mark]
        if not changed:
            return
        with self._watch.unchecked():
            for name in changed:
                self._empty(tables.metadata.tables[name])
            for name in changed:
                table = tables.metadata.tables[name]
                if not name.startswith(tables.SHADOW_PREFIX):
                    self._connection.execute(table.insert(), [row_of(table, n) for n in NUMBERS])
        self.forget()
        self._clean = self.digest()

    def _empty(self, table: sa.Table) -> None:
        self._connection.execute(table.delete())
        if self.family == "mysql" and table.name in self._clean and "id" in table.c:
            # an id near the end may have been given, and there would be none after it
            self._connection.exec_driver_sql(f"ALTER TABLE {table.name} AUTO_INCREMENT = {FIRST_ID}")

    def _reset_ids(self) -> None:
        for table in tables.metadata.sorted_tables:
            column = table.autoincrement_column
            if column is None or self.family == "sqlite":
                continue
            if self.family == "mysql":
                self._connection.exec_driver_sql(f"ALTER TABLE {table.name} AUTO_INCREMENT = {FIRST_ID}")
            else:
                sequence = f"pg_get_serial_sequence('{table.name}', '{column.name}')"
                self._connection.exec_driver_sql(f"SELECT setval({sequence}, {FIRST_ID}) WHERE {sequence} IS NOT NULL")


class _Watch(abc.ABC):
    """How a database is looked at as a whole."""

    checks: tuple[str, str] = ("SELECT 1", "SELECT 1")

    def __init__(self, connection: sa.Connection) -> None:
        self._connection = connection
        self._names = list(tables.metadata.tables)

    @abc.abstractmethod
    def digest(self) -> dict[str, Any]:
        """Return something that differs for every table whose rows differ."""

    @contextlib.contextmanager
    def unchecked(self) -> Iterator[None]:
        """Let foreign keys be for the time of the block."""
        off, on = self.checks
        self._connection.exec_driver_sql(off)
        try:
            yield
        finally:
            self._connection.exec_driver_sql(on)


class _SqliteWatch(_Watch):
    _version: Any = None
    _last: dict[str, Any]

    def digest(self) -> dict[str, Any]:
        version = (
            self._connection.exec_driver_sql("PRAGMA data_version").scalar(),
            self._connection.exec_driver_sql("SELECT total_changes()").scalar(),
        )
        if version != self._version:
            self._last = {name: self._mark(name) for name in self._names}
            self._version = version
        return self._last

    def _mark(self, name: str) -> int:
        """Return the hash of all rows; not by SQLAlchemy, which takes ten times as long for an empty table."""
        driver: Any = self._connection.connection.driver_connection
        return hash(repr(sorted(map(repr, driver.execute(f'SELECT * FROM "{name}"')))))


class _MysqlWatch(_Watch):
    checks = ("SET foreign_key_checks = 0", "SET foreign_key_checks = 1")

    def digest(self) -> dict[str, Any]:
        found = self._connection.exec_driver_sql(f"CHECKSUM TABLE {', '.join(self._names)}").fetchall()
        return {row[0].partition(".")[2]: row[1] for row in found}


class _PostgresqlWatch(_Watch):
    checks = ("SET session_replication_role = replica", "SET session_replication_role = DEFAULT")

    def digest(self) -> dict[str, Any]:
        each = (f"SELECT '{name}', sum(hashtextextended(t::text, 0)) FROM {name} t" for name in self._names)
        found = self._connection.exec_driver_sql(" UNION ALL ".join(each)).fetchall()
        return {row[0]: row[1] for row in found}


_WATCHES: Final[dict[str, Callable[[sa.Connection], _Watch]]] = {
    "sqlite": _SqliteWatch,
    "mysql": _MysqlWatch,
    "postgresql": _PostgresqlWatch,
}
