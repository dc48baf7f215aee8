# SPDX-License-Identifier: Apache-2.0

"""The benchmark of sizes makes the instances that it asks for; a page has as many of them among few and among many."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from benchmarks import contests, operations, scale
from nova_sqlcore import tables, tx

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugins.backend import Backend


@pytest.fixture
def url(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> Iterator[sa.URL]:
    """An empty database, for steps of forty instances."""
    for module, name, number in (
        (scale, "STEP", 40),
        (scale, "PAGE", 10),
        (contests, "LEAST", 1),
        (contests, "MOST", 1),
    ):
        monkeypatch.setattr(module, name, number)
    with backend.new_database() as address:
        yield address
        tx.close()


def test_the_same_is_found_among_few_and_among_many(url: sa.URL) -> None:
    tx.close()
    tx.configure(url)
    tables.metadata.create_all(tx.main.engine)
    scale.first_step()
    for steps in (1, 3):
        if steps == 3:
            scale.grow(1)
            scale.grow(2)
        found: dict[str, list[Any]] = {}
        for operation in scale.operations(steps):
            if not operation.writes:
                answer = getattr(scale.Lists(), operation.method)(*operation.prepare(1))
                found[operation.name] = [answer] if isinstance(answer, dict) else answer
        sizes = {name: len(rows) for name, rows in found.items()}
        assert set(sizes.values()) == {1, 10, 20}, sizes
        assert sizes["a project's 20"] == 20
        assert sizes["10 of half of all, in the middle"] == 10
        assert {row["project_id"] for row in found["10 of half of all, in the middle"]} == {scale.BIG}
    with tx.main.engine.connect() as connection:
        for table in (tables.instances, tables.instance_metadata, tables.instance_info_caches):
            assert connection.scalar(sa.select(sa.func.count()).select_from(table)) == 120
        shadows = tables.metadata.tables["shadow_instances"]
        assert connection.scalar(sa.select(sa.func.count()).select_from(shadows)) == 80


@pytest.mark.only_on("sqlite", why="the server has no part in it")
def test_a_run_and_its_tables(url: sa.URL, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [one for one in scale.operations(1) if one.method in ("get_by_uuid", "create")]
    monkeypatch.setattr(scale, "operations", lambda _: wanted)
    costs = scale.by_operation(scale.measured(url, [40, 80], 1))
    assert [[one.size for one in found] for found in costs.values()] == [[40, 80], [40, 80]]
    assert scale.titles(costs) == ["time in reads of a known row", "40", "80", "grown", "KiB"]
    assert [line[0] for line in scale.lines(costs)] == ["instance_get_by_uuid", "instance_create"]


def test_a_large_project_is_made_of_another(backend: Backend, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, number in {"ON_HOST": 1, "OTHERS": 5, "TIMES": 3, "SERVICES": 2, "NODES": 2, "ADDRESSES": 2}.items():
        monkeypatch.setattr(operations, name, number)
    stock = operations.fill()
    operations.fill_large()
    (page,) = (one for one in operations.operations(stock, large=True) if one.name.endswith("1000 of 15"))
    found = operations.Ours().page(*page.prepare(1))
    assert len(found) == 15
    assert all(len(row["metadata"]) == 1 for row in found)
