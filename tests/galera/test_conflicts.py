# SPDX-License-Identifier: Apache-2.0

"""A conflict with another node, at each moment at which it can meet a transaction; with and without batches."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import get_admin_context, tables, tx
from tests.queries import instance_factory

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.servers.galera import Galera

T = tables.certificates
_CHANGE = sa.update(T).where(T.c.id == 1).values(project_id=sa.func.concat(T.c.project_id, sa.bindparam("more")))
_READ = sa.select(T.c.project_id).where(T.c.id == 1)
_OTHER = sa.update(T).where(T.c.id == 2).values(project_id=sa.bindparam("more"))


def commit(t: tx.Transaction) -> None:
    """Let COMMIT be what meets it."""


def statement(t: tx.Transaction) -> None:
    t.execute(_OTHER, more="c")


def batch(t: tx.Transaction) -> None:
    t.later.execute(_OTHER, more="c")
    t.rows(_READ)


def last(t: tx.Transaction) -> None:
    t.last().execute(_OTHER, more="c")


def batch_at_the_end(t: tx.Transaction) -> None:
    t.later.execute(_OTHER, more="c")
    t.later.execute(_OTHER, more="d")


@pytest.mark.parametrize("together", [True, False], ids=["together", "one by one"])
@pytest.mark.parametrize("end", [commit, statement, batch, last, batch_at_the_end], ids=lambda end: end.__name__)
def test_it_is_run_again(
    cluster: Galera, urls: list[sa.URL], end: Callable[[tx.Transaction], None], together: bool
) -> None:
    """The node ends the transaction while nothing is under way; whatever comes next is told."""
    tx.close()
    tx.configure(urls[0], batch=together)
    for number in (1, 2):
        instance_factory.insert("certificates", id=number, project_id="a")
    other = sa.create_engine(urls[1], poolclass=sa.NullPool)
    runs: list[int] = []

    @tx.writer
    def work(context: Any) -> None:
        t = tx.current(context)
        runs.append(1)
        t.execute(_CHANGE, more="b")
        if len(runs) == 1:
            with other.begin() as connection:
                connection.exec_driver_sql("SET SESSION wsrep_sync_wait = 7")
                connection.execute(_CHANGE, {"more": "x"})
            wait_until_ended(cluster, urls[0].database)
        end(t)

    work(get_admin_context())
    assert len(runs) == 2
    with tx.reader(get_admin_context()) as t:
        assert t.scalar(_READ) == "axb"


def wait_until_ended(cluster: Galera, database: str | None) -> None:
    """Wait until the first node has applied what the other one has committed."""
    deadline = time.monotonic() + 30
    while cluster.nodes[0].answer(f"SELECT project_id FROM {database}.certificates WHERE id = 1") != "ax":
        assert time.monotonic() < deadline
        time.sleep(0.01)
