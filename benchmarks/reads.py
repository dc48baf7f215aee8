# SPDX-License-Identifier: Apache-2.0

"""Reads against hand-written DB-API code that gives the same dicts on the same driver.

The hand-written side is what a careful programmer writes for one back-end: fixed text, one open cursor, ``zip``, and a
conversion of just the columns that the driver gives in another form (times and booleans of sqlite, for example).
"""

from __future__ import annotations

import datetime
import uuid
from typing import TYPE_CHECKING, Any, cast

import sqlalchemy as sa

from benchmarks.pairing import Pair
from nova_sqlcore import get_admin_context, tables, tx
from nova_sqlcore.core.types import Boolean, DateTime
from nova_sqlcore.queries.common.clauses import arg, columns
from nova_sqlcore.queries.compute import instances
from nova_sqlcore.queries.hosts import services

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Row = dict[str, Any]

INSTANCES = 1000
METADATA_PER_INSTANCE = 15

_t = tables.instances
_COLUMNS = columns(_t)
_BY_UUID = sa.select(*_COLUMNS).where(_t.c.uuid == arg("uuid"), _t.c.deleted == 0)
_BY_HOST = sa.select(*_COLUMNS).where(_t.c.host == arg("host"), _t.c.deleted == 0).order_by(_t.c.id)


class Driver:
    """The DB-API connection of one back-end, and what its hand-written code needs."""

    def __init__(self, url: sa.URL) -> None:
        self.engine = sa.create_engine(url, isolation_level="AUTOCOMMIT")
        self._pooled = self.engine.raw_connection()
        raw: Any = self._pooled.dbapi_connection
        if raw is not None and hasattr(raw, "prepare_threshold"):
            raw.prepare_threshold = 2
        self.cursor: Any = raw.cursor()
        self.mark = "?" if self.engine.dialect.paramstyle == "qmark" else "%s"
        self._quote = self.engine.dialect.identifier_preparer.quote

    def close(self) -> None:
        self.cursor.close()
        self._pooled.close()
        self.engine.dispose()

    def select(self, table: sa.Table, where: str, order: str = "") -> tuple[str, Callable[[Any], Row]]:
        """Return a SELECT of all columns of a row, and what makes a dict of a record."""
        found = tables.row_columns(table)
        names = [column.name for column in found]
        text = f"SELECT {', '.join(map(self._quote, names))} FROM {table.name} WHERE {where}{order}"
        return text, _row_maker(names, self._conversions(found))

    def _conversions(self, found: Sequence[sa.Column[Any]]) -> list[tuple[str, Callable[[Any], Any]]]:
        """Return what the driver gives in another form than the library."""
        name = self.engine.dialect.name
        if name == "postgresql":
            return []
        booleans: list[tuple[str, Callable[[Any], Any]]] = [
            (column.name, bool) for column in found if isinstance(column.type, Boolean)
        ]
        if name != "sqlite":
            return booleans
        moment = datetime.datetime.fromisoformat
        return booleans + [(column.name, moment) for column in found if isinstance(column.type, DateTime)]


def _row_maker(names: Sequence[str], conversions: Sequence[tuple[str, Callable[[Any], Any]]]) -> Callable[[Any], Row]:
    def row(record: Any) -> Row:
        made = dict(zip(names, record))  # noqa: B905  # what a careful programmer writes: ``strict`` costs time
        for name, convert in conversions:
            if made[name] is not None:
                made[name] = convert(made[name])
        return made

    return row


def fill() -> list[str]:
    """Store instances with metadata and one service; return the uuids."""
    admin = get_admin_context()
    services.service_create(admin, {"host": "h", "binary": "nova-compute", "topic": "compute"})
    rows = [_instance(number) for number in range(INSTANCES)]
    with tx.writer(admin) as t:
        t.insert_many(_t, rows)
        for table in (tables.instance_metadata, tables.instance_system_metadata):
            pairs = [
                {"instance_uuid": row["uuid"], "key": f"key{number}", "value": f"value {number} of an instance"}
                for row in rows
                for number in range(METADATA_PER_INSTANCE)
            ]
            t.insert_many(table, pairs)
    return [row["uuid"] for row in rows]


def _instance(number: int) -> Row:
    texts = dict.fromkeys(("image_ref", "hostname", "node", "display_name", "display_description", "os_type"), "x" * 20)
    numbers = dict.fromkeys(("vcpus", "memory_mb", "root_gb", "ephemeral_gb", "power_state"), number % 7)
    return {
        "uuid": str(uuid.UUID(int=number + 1)),
        "project_id": "p",
        "user_id": "u",
        "host": f"host{number % 10}",
        "vm_state": "active",
        "launched_at": datetime.datetime(2016, 4, 8, 12, 0),
        "locked": False,
        **texts,
        **numbers,
    }


def pairs(url: sa.URL) -> Iterator[Pair]:
    """Yield the pairs on the migrated, filled database that ``tx.main`` is configured with."""
    driver = Driver(url)
    uuids = fill()
    try:
        yield from _one_row(driver, uuids[500])
        yield _page(driver)
        yield _wide_list(driver)
    finally:
        driver.close()


def _one_row(driver: Driver, identity: str) -> Iterator[Pair]:
    cursor = driver.cursor
    text, row = driver.select(_t, f"uuid = {driver.mark} AND deleted = 0")

    def instance_by_hand() -> Row:
        cursor.execute(text, (identity,))
        return row(cursor.fetchone())

    admin = get_admin_context()
    with tx.reader(admin) as t:
        yield Pair("one instance, in a transaction", instance_by_hand, lambda: t.row(_BY_UUID, uuid=identity))

    binary = driver.engine.dialect.identifier_preparer.quote("binary")
    where = f"host = {driver.mark} AND {binary} = {driver.mark} AND deleted = 0"
    service_text, service_row = driver.select(tables.services, where, " ORDER BY id LIMIT 1")

    def service_by_hand() -> Row:
        cursor.execute(service_text, ("h", "nova-compute"))
        return service_row(cursor.fetchone())

    get = services.service_get_by_compute_host
    yield Pair("service_get_by_compute_host", service_by_hand, lambda: get(admin, "h"))


@tx.reader
def _of_host(context: Any, host: str) -> list[Row]:
    return tx.current(context).rows(_BY_HOST, host=host)


def _page(driver: Driver) -> Pair:
    """100 rows without children."""
    cursor = driver.cursor
    text, row = driver.select(_t, f"host = {driver.mark} AND deleted = 0", " ORDER BY id")
    admin = get_admin_context()

    def by_hand() -> list[Row]:
        cursor.execute(text, ("host3",))
        return [row(record) for record in cursor.fetchall()]

    return Pair(f"{INSTANCES // 10} instances, one statement", by_hand, lambda: _of_host(admin, "host3"))


def _wide_list(driver: Driver) -> Pair:
    """All instances with both kinds of metadata: three statements by hand, children sorted to their parents."""
    cursor = driver.cursor
    text, row = driver.select(_t, "deleted = 0", " ORDER BY id")
    kinds = {"metadata": tables.instance_metadata, "system_metadata": tables.instance_system_metadata}
    templates = {
        kind: driver.select(table, "instance_uuid IN ({}) AND deleted = 0", " ORDER BY id")
        for kind, table in kinds.items()
    }
    admin = get_admin_context()

    def by_hand() -> list[Row]:
        cursor.execute(text)
        rows = [row(record) for record in cursor.fetchall()]
        parents = {one["uuid"]: one for one in rows}
        for one in rows:
            one["name"] = f"instance-{one['id']:08x}"
        marks = ", ".join([driver.mark] * len(rows))
        for kind, (template, child) in templates.items():
            for one in rows:
                one[kind] = []
            cursor.execute(template.format(marks), tuple(parents))
            for record in cursor.fetchall():
                made = child(record)
                parents[made["instance_uuid"]][kind].append(made)
        return rows

    def ours() -> list[Row]:
        found = instances.instance_get_all_by_filters(
            admin, {}, sort_key="id", sort_dir="asc", columns_to_join=["metadata", "system_metadata"]
        )
        return cast("list[Row]", found)

    return Pair(f"{INSTANCES} instances with {2 * METADATA_PER_INSTANCE} metadata each", by_hand, ours)
