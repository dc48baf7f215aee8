# SPDX-License-Identifier: Apache-2.0

"""No hot call reads a big table as a whole, sorts much, or takes another index than the one that is meant."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from nova_sqlcore import tx
from tests.plans import cloud, hot
from tests.plans.explain import Access, Indexes, Plan, plans_of_block

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugins.backend import Backend


@pytest.fixture
def indexes(backend: Backend) -> Iterator[Indexes]:
    """Configure the library with a database of 100,000 instances, and return what its indexes are on."""
    with backend.new_database() as url:
        cloud.make(url)
        tx.close()
        tx.configure(url)
        yield Indexes(url)
        tx.close()


@pytest.mark.timeout(300)  # MySQL takes half a minute to fill the database, a busy machine four times as long
def test_plans(indexes: Indexes, subtests: pytest.Subtests) -> None:
    """One test for all calls, for it takes the longest time to make the database."""
    for call in hot.ALL:
        with subtests.test(call.name):
            with plans_of_block() as plans:
                call.function(*call.args)
            assert plans, "no statement was sent"
            wrong = [f"{what}:\n{plan}" for plan in plans for what in _faults(call, plan, indexes)]
            assert not wrong, "\n\n".join(wrong)


def _faults(call: hot.Hot, plan: Plan, indexes: Indexes) -> Iterator[str]:
    """Say what is wrong with a plan."""
    if plan.sorts is not None and plan.sorts > call.most:
        yield f"sorts {plan.sorts} rows"
    for access in plan.accesses:
        is_much = access.rows is None or access.rows > call.most
        if access.table in cloud.BIG and access.scans and (is_much or access.index is None):
            yield f"reads the whole of {access.table}"
        elif access.table in cloud.BIG and access.rows is not None and is_much and not plan.limited:
            yield f"reads {access.rows} rows of {access.table}"
        elif access.table in call.by and not _is_meant(access, call.by[access.table], indexes):
            yield f"finds {access.table} by {access.index}, not by {call.by[access.table]}"


def _is_meant(access: Access, wanted: str, indexes: Indexes) -> bool:
    if access.scans:
        return False
    columns = indexes.columns(access)
    return any(columns[: len(names)] == names for names in (tuple(one.split()) for one in wanted.split("|")))
