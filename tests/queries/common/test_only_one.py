# SPDX-License-Identifier: Apache-2.0

"""Only one row of a key, where no unique key says so: races between two transactions; processes are in tests/stress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, tables, tx
from nova_sqlcore.core.dialects.mysql import MARIADB, MYSQL
from nova_sqlcore.queries.common import only_one
from tests.queries.threads import at_once, one_inside_the_other
from tests.stress import first_rows
from tests.stress.first_rows import CASES, WON_BY_ONE, Case, assert_single

if TYPE_CHECKING:
    from tests.plugins.backend import Backend
    from tests.plugins.counting import SqlLog

pytestmark = pytest.mark.usefixtures("backend")


@pytest.fixture(params=CASES, ids=lambda case: f"{case.call.__name__} {case.table.name}")
def case(request: pytest.FixtureRequest) -> Case:
    found: Case = request.param
    return found


@pytest.fixture
def ground(backend: Backend) -> None:
    first_rows.ground(2)


# -- two transactions -------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("ground")
def test_a_call_waits_for_the_one_before(case: Case) -> None:
    """The second call begins while the transaction of the first one, which has made the row, is open."""
    answers = one_inside_the_other(lambda context: case.call(context, 1), lambda context: case.call(context, 1))
    assert_single(case)
    if case.call in WON_BY_ONE:
        assert answers == (True, False)


def test_whoever_waits_sees_what_the_one_before_has_committed(admin: RequestContext) -> None:
    order: list[str] = []

    def first(context: Any) -> None:
        only_one.hold(context.transaction, "name", 1)
        order.append("first")

    def second(context: Any) -> int:
        with tx.writer(context) as transaction:
            only_one.hold(transaction, "NAME", "1")
            order.append("second")
            return len(transaction.rows(tables.certificates.select()))

    def both(context: Any) -> None:
        first(context)
        context.transaction.insert(tables.certificates, {"file_name": "f"})

    assert one_inside_the_other(both, second)[1] == 1
    assert order == ["first", "second"]


@pytest.mark.only_on("mysql", "postgresql", why="sqlite has one writer")
def test_other_names_are_not_waited_for(admin: RequestContext) -> None:
    def take(context: Any) -> bool:
        with tx.writer(context) as transaction:
            only_one.hold(transaction, "name", 2)
            return True

    with tx.writer(admin) as transaction:
        only_one.hold(transaction, "name", 1)
        assert at_once([take]) == [True]


def test_a_name_is_held_twice_by_one_transaction(admin: RequestContext) -> None:
    with tx.writer(admin) as transaction:
        for _ in range(3):
            only_one.hold(transaction, "name", None)
        with transaction.savepoint():
            only_one.hold(transaction, "name", None)


def test_nothing_stays_behind_and_nothing_is_seen(admin: RequestContext, sql_log: SqlLog) -> None:
    """The MySQL family writes a row for it."""
    with tx.writer(admin) as transaction, sql_log() as statements:
        only_one.hold(transaction, "a name that is longer than any column " * 20, "\0", "\ud800")
        assert len(statements) == len(transaction.dialect.guard())
        assert transaction.rows(tables.tags.select()) == []
    with tx.reader(admin) as transaction:
        assert all(transaction.rows(table.select()) == [] for table in (tables.tags, tables.quotas))


def test_a_row_lock_is_enough_on_one_server(admin: RequestContext, sql_log: SqlLog) -> None:
    with tx.writer(admin) as transaction, sql_log() as statements:
        only_one.hold_in_cluster(transaction, "name")
    assert statements == []


# -- the traits of a cluster ------------------------------------------------------------------------------------------


def test_a_single_server_is_no_cluster(admin: RequestContext, backend: Backend) -> None:
    with tx.writer(admin) as transaction:
        transaction.scalar(sa.select(sa.func.count()).select_from(tables.quotas))
    assert transaction.dialect.clustered is False
    if backend.family == "mysql":
        assert transaction.dialect in (MYSQL, MARIADB)
