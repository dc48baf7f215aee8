# SPDX-License-Identifier: Apache-2.0

"""What a type checker knows of rows, transactions and decorated functions.

mypy checks the types that ``assert_type`` names, and that each ``type: ignore`` is needed; the tests see that the rows
are really so.
"""

from __future__ import annotations

import typing
from typing import Any, assert_type

import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, api, get_admin_context, rows, tables, tx
from nova_sqlcore.core.handles import Row
from nova_sqlcore.queries.common.clauses import returning_statement, rows_in, select_statement
from nova_sqlcore.queries.common.lookups import row_by, row_by_id, rows_by, update_by, update_by_id
from nova_sqlcore.queries.common.only_one import insert_only, lock_first
from nova_sqlcore.tables import cells
from tests.unit.test_rows import TABLE_OF

LIVE = select_statement(cells).where(cells.c.deleted == 0).order_by(cells.c.id)
NAMES = sa.select(cells.c.name).order_by(cells.c.name)
CELL = {"name": "a", "transport_url": "u"}


def test_a_table_names_its_rows() -> None:
    said = {name: text for name, text in tables.__annotations__.items() if name in tables.metadata.tables}
    assert said == {name: f"Table[rows.{kind.__name__}]" for kind, name in TABLE_OF.items()}


@pytest.mark.usefixtures("backend")
def test_rows_are_what_their_handles_say() -> None:
    keys = typing.get_type_hints(rows.Cell).keys()
    admin = get_admin_context()
    with tx.writer(admin) as t:
        assert_type(t, tx.Transaction)
        inserted = [t.insert(cells, CELL), *t.insert_many(cells, [{**CELL, "name": "b"}])]
        assert_type(inserted, list[rows.Cell])
        absent = t.insert_absent(cells, {**CELL, "name": "c"})
        assert_type(absent, rows.Cell | None)
        update = sa.update(cells).where(cells.c.name == sa.bindparam("named")).values(api_url=sa.bindparam("url"))
        updated = t.update_row(update, LIVE.where(cells.c.name == sa.bindparam("named")), {"named": "a"}, {"url": "x"})
        assert_type(updated, rows.Cell | None)
        found = t.rows(LIVE)
        assert_type(found, list[rows.Cell])
        first = t.row(LIVE)
        assert_type(first, rows.Cell | None)
        by_name = row_by(t, cells, "no", name="a")
        assert_type(by_name, rows.Cell | None)
        assert first == updated == by_name
        assert first is not None
        assert absent is not None
        assert all(row.keys() == keys for row in (*inserted, absent, *found))
        assert_type(t.rows(NAMES), list[Row])
        assert t.rows(NAMES) == [{"name": name} for name in "abc"]


def _statements(t: tx.Transaction) -> None:
    assert_type(t.row(LIVE.limit(1).with_for_update()), rows.Cell | None)
    assert_type(t.rows(returning_statement(sa.update(cells), cells)), list[rows.Cell])


def _look_ups(t: tx.Transaction, table: sa.Table) -> None:
    assert_type(row_by_id(t, cells, "no", 1), rows.Cell | None)
    assert_type(rows_by(t, cells, "no", name="a"), list[rows.Cell])
    assert_type(rows_in(t, LIVE, "ids", [1]), list[rows.Cell])
    assert_type(rows_in(t, NAMES, "ids", [1]), list[Row])
    assert_type(update_by(t, cells, "no", {}, name="a"), rows.Cell | None)
    assert_type(update_by_id(t, cells, "no", 1, {}), rows.Cell | None)
    assert_type(lock_first(t, cells, name="a"), rows.Cell | None)
    assert_type(insert_only(t, cells, {}, ["name"]), rows.Cell | None)
    assert_type(t.row(NAMES), Row | None)
    assert_type(t.insert(table, {}), Row)


def _scopes(context: RequestContext, database: tx.Database) -> None:
    for scope in (tx.reader, tx.reader.async_, tx.reader.snapshot, tx.writer.independent, tx.writer.savepoint):
        with scope(context) as t:
            assert_type(t, tx.Transaction)
    with database.writer(context) as t, t.savepoint() as inner:
        assert_type(t, tx.Transaction)
        assert_type(inner, tx.Transaction)
    with tx.reader(context, replica=True) as t, tx.writer.using(_anything()) as other:
        assert_type(t, tx.Transaction)
        assert_type(other, tx.Transaction)
    with tx.writer.connection(context) as connection:
        assert_type(connection, sa.Connection)
    for attempt in tx.attempts(context):
        with attempt as t:
            assert_type(t, tx.Transaction)
    assert_type(context.transaction, tx.Transaction)
    assert_type(tx.current(context), tx.Transaction)
    tx.reader.independant(context)  # type: ignore[attr-defined]  # there is no such scope


def _decorated(context: RequestContext) -> None:
    @api.require_context
    @tx.main.writer
    def work(context: Any, count: int, *, name: str = "") -> list[int]:
        return [count]

    assert_type(work(context, 1, name="a"), list[int])
    work(context, "1")  # type: ignore[arg-type]  # count is a number
    work(context, 1, "a")  # type: ignore[call-arg]  # name is a keyword
    assert_type(api.service_get(context, 1), rows.Service)
    assert_type(api.flavor_get_by_flavor_id(context, "1", read_deleted="no"), rows.FlavorWithSpecs)
    assert_type(api.ec2_volume_create(context, "uuid", 1), rows.VolumeIdMapping)
    api.service_get(context, id=1)  # type: ignore[call-arg]  # it is called service_id


def _anything() -> Any:
    return get_admin_context()
