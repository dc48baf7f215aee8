# SPDX-License-Identifier: Apache-2.0

"""Cells (01-core 10)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from nova_sqlcore import RequestContext, exceptions, get_admin_context, tables
from nova_sqlcore.queries.hosts import cells

if TYPE_CHECKING:
    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")


def cell(name: str | None = "a", **more: Any) -> Any:
    return cells.cell_create(get_admin_context(), {"name": name, "transport_url": "rabbit://", **more})


def test_the_new_row_is_what_a_read_shows(admin: RequestContext, sql_count: SqlCount) -> None:
    with sql_count(2):
        row = cell(is_parent=True, weight_scale=None)
        assert cells.cell_get(admin, "a") == row
    assert set(row) == set(tables.cells.c.keys())
    assert (row["weight_offset"], row["weight_scale"], row["is_parent"]) == (0.0, 1.0, True)


def test_a_taken_name_is_named(admin: RequestContext) -> None:
    cell()
    with pytest.raises(exceptions.CellExists) as raised:
        cell()
    assert raised.value.kwargs["name"] == "a"


def test_a_cell_has_a_transport_url(admin: RequestContext) -> None:
    with pytest.raises(exceptions.DBError):
        cells.cell_create(admin, {"name": "a"})


def test_delete(admin: RequestContext, sql_count: SqlCount) -> None:
    row = cell()
    with sql_count(2):
        assert cells.cell_delete(admin, "a") == 1
        assert cells.cell_delete(admin, "a") == 0
    with pytest.raises(exceptions.CellNotFound) as raised:
        cells.cell_get(admin, "a")
    assert raised.value.kwargs["cell_name"] == "a"
    assert cells.cell_get(get_admin_context("only"), "a")["deleted"] == row["id"]
    assert cell()["id"] != row["id"]


def test_get_all_shows_live_cells(admin: RequestContext, sql_count: SqlCount) -> None:
    rows = [cell("b"), cell("a")]
    cell("c")
    cells.cell_delete(admin, "c")
    with sql_count(1):
        assert cells.cell_get_all(get_admin_context("yes")) == rows


def test_update(admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
    row, other = cell(), cell("b")
    now = frozen_clock.advance(3)
    with sql_count(1, mysql=2, default=1):
        after = cells.cell_update(admin, "a", {"weight_scale": "2.5", "api_url": "u"})
    assert after == row | {"weight_scale": 2.5, "api_url": "u", "updated_at": now}
    assert cells.cell_get_all(admin) == [after, other]


def test_every_update_marks_the_row(admin: RequestContext, frozen_clock: FrozenClock) -> None:
    row = cell()
    now = frozen_clock.advance(3)
    assert cells.cell_update(admin, "a", {}) == row | {"updated_at": now}


def test_a_renamed_cell_is_returned(admin: RequestContext, sql_count: SqlCount) -> None:
    row = cell()
    with sql_count(1, mysql=2, default=1):
        after = cells.cell_update(admin, "a", {"name": "z"})
    assert (after["id"], after["name"]) == (row["id"], "z")
    assert cells.cell_get(admin, "z") == after
    with pytest.raises(exceptions.CellNotFound):
        cells.cell_get(admin, "a")


def test_a_new_name_may_be_taken(admin: RequestContext) -> None:
    cell()
    cell("b")
    with pytest.raises(exceptions.DBDuplicateEntry):
        cells.cell_update(admin, "b", {"name": "a"})


def test_an_update_needs_a_visible_cell(admin: RequestContext) -> None:
    cell()
    cells.cell_delete(admin, "a")
    for given in ({"weight_scale": 2.0}, {}):
        with pytest.raises(exceptions.CellNotFound) as raised:
            cells.cell_update(admin, "a", given)
        assert raised.value.kwargs["cell_name"] == "a"
    assert cells.cell_update(get_admin_context("yes"), "a", {"weight_scale": 2.0})["weight_scale"] == 2.0


def test_of_several_visible_cells_the_first_is_returned(admin: RequestContext) -> None:
    first = cell()
    cells.cell_delete(admin, "a")
    cell()
    cells.cell_update(get_admin_context("only"), "a", {"api_url": "u" * 100})  # now last in PostgreSQL's order
    after = cells.cell_update(get_admin_context("yes"), "a", {"weight_scale": 2.0})
    assert after["id"] == first["id"]
    assert [cells.cell_get(get_admin_context(word), "a")["weight_scale"] for word in ("no", "only")] == [2.0, 2.0]


def test_an_update_of_an_unknown_column_is_refused(admin: RequestContext) -> None:
    cell()
    with pytest.raises(exceptions.DBError, match="wieght"):
        cells.cell_update(admin, "a", {"wieght": 2.0})


def test_a_cell_may_have_no_name(admin: RequestContext) -> None:
    row = cell(None)
    assert cells.cell_get(admin, None) == row  # type: ignore[arg-type]  # NULL
    assert cells.cell_delete(admin, None) == 1  # type: ignore[arg-type]  # likewise
