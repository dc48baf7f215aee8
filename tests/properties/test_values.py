# SPDX-License-Identifier: Apache-2.0

"""What a create or update returns is what the next read shows, key by key, for all legal values."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, NamedTuple

import sqlalchemy as sa
from hypothesis import example, given, strategies as st

from nova_sqlcore import api, exceptions, get_admin_context, tables, tx
from nova_sqlcore.core import types
from tests.properties.values import changes_of, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from hypothesis.strategies import SearchStrategy

    from tests.plugins.backend import Backend

Row = dict[str, Any]
#: The name of a table, and what is given for it, one after the other.
Given = tuple[str, Row, Row]

#: Tables that number their rows, and whose rows stand alone: what must be given refers to no other table.
TABLES = {
    table.name: table
    for table in tables.metadata.sorted_tables
    if not table.name.startswith("shadow_")
    and isinstance(table.c.get("id", sa.column("id")).type, types.Integer)
    and not any(column.foreign_keys and not column.nullable for column in table.c)
}


def differences(one: Row, other: Row) -> dict[str, tuple[Any, Any]]:
    """Return what differs, in value or in type."""
    return {
        name: (one.get(name), other.get(name))
        for name in one.keys() | other.keys()
        if one.get(name) != other.get(name) or type(one.get(name)) is not type(other.get(name))
    }


def read(table: sa.Table) -> list[Row]:
    with tx.reader(get_admin_context()) as transaction:
        rows: list[Row] = transaction.rows(sa.select(*tables.row_columns(table)).order_by(table.c.id))
        return rows


def test_every_type_is_tried() -> None:
    kinds = {type(column.type) for table in tables.metadata.tables.values() for column in table.c}
    tried = {type(column.type) for table in TABLES.values() for column in table.c}
    assert {kind.__name__ for kind in kinds - tried} == {"CountedPart"}


def both_of(name: str) -> SearchStrategy[Given]:
    return st.tuples(st.just(name), rows_of(TABLES[name]), rows_of(TABLES[name]))


@given(rows=st.sampled_from(list(TABLES)).flatmap(both_of))
@example(rows=("fixed_ips", {"address": "::FFFF:192.0.2.1"}, {"address": "::192.0.2.1"}))
@example(rows=("provider_fw_rules", {"cidr": "::FFFF:192.0.2.1/120"}, {"cidr": "192.0.2.1/24"}))
@example(rows=("cells", {"transport_url": "", "weight_scale": 1000001}, {"transport_url": "", "weight_scale": "0.1"}))
@example(rows=("instance_types", {"memory_mb": 1, "vcpus": 1}, {"memory_mb": 1, "vcpus": 1, "rxtx_factor": 2}))
def test_insert(backend: Backend, empty_tables: Callable[[], None], rows: Given) -> None:
    empty_tables()
    name, one, other = rows
    table = TABLES[name]
    with tx.writer(get_admin_context()) as transaction:
        stored = [transaction.insert(table, one)]
        with contextlib.suppress(exceptions.DBDuplicateEntry), transaction.savepoint():
            stored += transaction.insert_many(table, [other])
    found = read(table)
    assert [differences(row, shown) for row, shown in zip(stored, found, strict=True)] == [{}] * len(stored)
    assert [list(row) for row in stored] == [list(shown) for shown in found]


class Noun(NamedTuple):
    """The functions of a table."""

    create: Callable[..., Any]
    update: Callable[..., Any]
    get: Callable[..., Any]


NOUNS = {
    "compute_nodes": Noun(api.compute_node_create, api.compute_node_update, api.compute_node_get),
    "migrations": Noun(api.migration_create, api.migration_update, api.migration_get),
    "networks": Noun(api.network_create_safe, api.network_update, api.network_get),
    "services": Noun(api.service_create, api.service_update, api.service_get),
}
COUNTS = ("vcpus", "memory_mb", "local_gb", "vcpus_used", "memory_mb_used", "local_gb_used", "hypervisor_version")
NODE = {"hypervisor_type": "", "cpu_info": "", **dict.fromkeys(COUNTS, 1)}


def before_and_after(name: str) -> SearchStrategy[Given]:
    return st.tuples(st.just(name), rows_of(TABLES[name]), changes_of(TABLES[name]))


@given(rows=st.sampled_from(list(NOUNS)).flatmap(before_and_after))
@example(rows=("compute_nodes", NODE, {"disk_allocation_ratio": 2, "host_ip": "::FFFF:192.0.2.1"}))
def test_create_and_update(backend: Backend, empty_tables: Callable[[], None], rows: Given) -> None:
    empty_tables()
    name, before, after = rows
    noun = NOUNS[name]
    admin = get_admin_context(read_deleted="yes")
    created = noun.create(admin, before)
    assert differences(created, noun.get(admin, created["id"])) == {}
    updated = noun.update(admin, created["id"], after)
    found = noun.get(admin, created["id"])
    assert differences(updated, found) == {}
    untouched = created.keys() - after.keys() - {"updated_at", "last_seen_up"}
    assert {key: found[key] for key in untouched} == {key: created[key] for key in untouched}
