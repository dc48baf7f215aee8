"""What a create or update returns is what the next read shows, key by key, for all legal values."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from nova_sqlcore import api, exceptions, get_admin_context, tables, tx, types
from tests.properties.values import changes_of, rows_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.backend import Backend

Row = dict[str, Any]

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


@given(data=st.data(), name=st.sampled_from(list(TABLES)))
def test_insert(backend: Backend, empty_tables: Callable[[], None], data: st.DataObject, name: str) -> None:
    empty_tables()
    table = TABLES[name]
    one, other = data.draw(st.tuples(rows_of(table), rows_of(table)))
    with tx.writer(get_admin_context()) as transaction:
        stored = [transaction.insert(table, one)]
        with contextlib.suppress(exceptions.DBDuplicateEntry), transaction.savepoint():
            stored += transaction.insert_many(table, [other])
    found = read(table)
    assert [differences(row, shown) for row, shown in zip(stored, found, strict=True)] == [{}] * len(stored)
    assert [list(row) for row in stored] == [list(shown) for shown in found]


#: Creates, updates and gets a row, by the name of its table.
NOUNS: dict[str, tuple[Callable[..., Any], Callable[..., Any], Callable[..., Any]]] = {
    "compute_nodes": (api.compute_node_create, api.compute_node_update, api.compute_node_get),
    "migrations": (api.migration_create, api.migration_update, api.migration_get),
    "networks": (api.network_create_safe, api.network_update, api.network_get),
    "services": (api.service_create, api.service_update, api.service_get),
}


@given(data=st.data(), name=st.sampled_from(list(NOUNS)))
def test_create_and_update(backend: Backend, empty_tables: Callable[[], None], data: st.DataObject, name: str) -> None:
    empty_tables()
    create, update, get = NOUNS[name]
    before, after = data.draw(st.tuples(rows_of(TABLES[name]), changes_of(TABLES[name])))
    admin = get_admin_context(read_deleted="yes")
    created = create(admin, before)
    assert differences(created, get(admin, created["id"])) == {}
    updated = update(admin, created["id"], after)
    found = get(admin, created["id"])
    assert differences(updated, found) == {}
    untouched = created.keys() - after.keys() - {"updated_at", "last_seen_up"}
    assert {key: found[key] for key in untouched} == {key: created[key] for key in untouched}
