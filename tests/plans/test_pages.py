# SPDX-License-Identifier: Apache-2.0

"""Pages of instances are read in the order of an index; without the one of ours a small project is found and sorted."""

from __future__ import annotations

import datetime
import itertools
from typing import TYPE_CHECKING, Any, Final

import pytest
import sqlalchemy as sa

from nova_sqlcore import api, get_admin_context, tables, tx
from nova_sqlcore.schema.ddl import stands_on
from tests.plans.explain import PRIMARY, plans_of_block

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plans.explain import Access, Plan
    from tests.plugins.backend import Backend

BIG, SMALL = "big", "small"
LIMIT: Final = 20
INDEX: Final = "instances_project_id_deleted_created_at_id_idx"
T0: Final = datetime.datetime(2016, 4, 7, 12)
t = tables.instances


def _uuid(number: int) -> str:
    return f"{number:08}-0000-4000-8000-000000000000"


def _store(first: int, last: int, project: str, *, dead: bool = False) -> None:
    second = datetime.timedelta(seconds=1)
    given = [
        {
            "uuid": _uuid(number),
            "project_id": project,
            "created_at": T0 + number // 3 * second,
            "deleted": number * dead,
        }
        for number in range(first, last)
    ]
    with tx.writer(get_admin_context()) as transaction:
        transaction.insert_many(t, given)
        transaction.insert_many(tables.instance_info_caches, [{"instance_uuid": one["uuid"]} for one in given])


@pytest.fixture
def engine(backend: Backend) -> Iterator[sa.Engine]:
    """A database with an old small project and a new big one, which the library is configured with."""
    with backend.new_database() as url:
        engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
        tx.close()
        tx.configure(url)
        tables.metadata.create_all(engine, [t, tables.instance_info_caches, tables.instance_metadata])
        _store(0, 400, "another")
        _store(400, 500, SMALL)
        _store(500, 4_000, BIG)
        _store(4_000, 5_000, "another", dead=True)
        if backend.family != "sqlite":  # which has no statistics unless somebody asks for them
            with engine.connect() as connection:
                words = "ANALYZE TABLE" if backend.family == "mysql" else "ANALYZE"
                for table in (t, tables.instance_info_caches):
                    connection.exec_driver_sql(f"{words} {table.name}")
        yield engine
        tx.close()


def _plan(project: str | None, key: str, direction: str, marker: int | None) -> Plan:
    filters: dict[str, Any] = {"deleted": False} if project is None else {"deleted": False, "project_id": project}
    behind = None if marker is None else _uuid(marker)
    with plans_of_block() as plans:
        found = api.instance_get_all_by_filters(
            get_admin_context(), filters, key, direction, LIMIT, behind, columns_to_join=["info_cache"]
        )
    assert len(found) == LIMIT
    return plans[-1]


def _read(plan: Plan) -> list[Access]:
    return [access for access in plan.accesses if access.table == "instances"]


def test_pages(backend: Backend, engine: sa.Engine, subtests: pytest.Subtests) -> None:
    """One test for all pages, for it takes the longest time to make the database."""
    for project, direction, behind in itertools.product((BIG, SMALL, None), ("asc", "desc"), (False, True)):
        with subtests.test(f"{project} by age {direction} {behind}"):
            plan = _plan(project, "created_at", direction, (450 if project == SMALL else 2_000) if behind else None)
            _check_by_age(backend.family, project, plan)
    for project, direction in itertools.product((BIG, None), ("asc", "desc")):
        with subtests.test(f"{project} by id {direction}"):
            _check_by_id(backend.family, project, _plan(project, "id", direction, 2_000))
    if backend.family == "postgresql":  # it counts what it would read, and with so few rows it may read them all
        return
    _drop_index(engine)
    for key, marker in itertools.product(("created_at", "id"), (None, 450)):
        with subtests.test(f"small by {key} {marker} without the index"):
            _check_without_index(_plan(SMALL, key, "desc", marker))


@pytest.mark.only_on("postgresql", why="others keep no plans")
def test_no_plan_is_kept_for_projects_of_average_size(engine: sa.Engine) -> None:
    """By id the right one depends on the size of the project; by age there is an index, and to plan takes 0.5 ms."""
    context, filters = get_admin_context(), {"deleted": False, "project_id": BIG}
    for _ in range(6):  # it travels with BEGIN
        api.instance_get_all_by_filters(context, filters, "id", "asc", LIMIT, columns_to_join=["metadata"])
    with tx.reader(context) as transaction:
        for key, _ in itertools.product(("id", "uuid", "created_at"), range(6)):
            api.instance_get_all_by_filters(context, filters, key, "asc", LIMIT, columns_to_join=["info_cache"])
        found = transaction.connection.exec_driver_sql("SELECT statement FROM pg_prepared_statements").scalars().all()
    assert any("FROM instance_metadata" in one for one in found)  # the connection is the same
    (kept,) = (one for one in found if "FROM instances" in one)
    assert "ORDER BY instances.created_at" in kept


def _check_by_age(family: str, project: str | None, plan: Plan) -> None:
    """PostgreSQL knows how many instances are those of a project, and that hardly any has no age."""
    of_all = {"instances_deleted_created_at_idx", "instances_newest_idx"}
    meant = of_all if project is None else {INDEX} | of_all if family == "postgresql" else {INDEX}
    assert {one.index for one in _read(plan)} <= meant, plan
    assert not any(one.scans for one in _read(plan)), plan
    # among a million instances MariaDB finds all that are live by such a constant, and sorts them
    assert family != "mysql" or "instances.deleted = " not in plan.statement, plan
    if family != "sqlite" or len(_read(plan)) == 1:  # it sorts what two ranges have given, but does not say how much
        assert plan.sorts is not None, plan
        assert plan.sorts <= 2 * LIMIT, plan


def _check_by_id(family: str, project: str | None, plan: Plan) -> None:
    """By the reference's own index: rows of InnoDB and sqlite have their ids in every index, but not PostgreSQL's."""
    if family == "postgresql" and project is not None:
        return
    wanted = PRIMARY if project is None else "instances_project_id_deleted_idx"
    assert [(one.index, one.scans) for one in _read(plan)] == [(wanted, False)], plan
    assert plan.sorts == 0, plan


def _check_without_index(plan: Plan) -> None:
    """What is read in the order of another index would be read from all instances of the cloud, newest first."""
    assert _read(plan), plan
    assert not any(one.scans for one in _read(plan)), plan
    assert all(one.rows is None or one.rows <= 200 for one in _read(plan)), plan
    if "created_at <" not in plan.statement:
        assert {one.index for one in _read(plan)} <= {"instances_project_id_deleted_idx", PRIMARY}, plan


def _drop_index(engine: sa.Engine) -> None:
    with engine.connect() as connection:
        (index,) = (one for one in t.indexes if one.name == INDEX and stands_on(engine.dialect.name, one))
        index.drop(connection)
    tx.close()  # sqlite explains by the schema that a connection knows
    tx.configure(engine.url)
