# SPDX-License-Identifier: Apache-2.0

"""A primary that takes no writes any more: the pool is dropped, the call runs once more, then the caller is told."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.security import certificates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from nova_sqlcore import RequestContext
    from tests.plugins.backend import Backend

pytestmark = pytest.mark.only_on("mysql", "postgresql", why="sqlite has no primary")

#: What a session of a standby is like, by family.
_READ_ONLY = {
    "mysql": "SET SESSION TRANSACTION READ ONLY",
    "postgresql": "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",
}


@pytest.fixture
def demote(backend: Backend) -> Iterator[Callable[[bool], None]]:
    """Return a function that makes the idle connections those of a standby, and all later ones too if told so."""
    tx.close()
    tx.configure(backend.url)
    engine = tx.main.engine
    statement = _READ_ONLY[backend.family]
    is_standby = False

    def prepare(raw: Any, record: Any) -> None:
        if is_standby:
            raw.cursor().execute(statement)
            raw.commit()

    def demote(for_good: bool) -> None:
        nonlocal is_standby
        is_standby = for_good
        links = [tx.main.link_writer() for _ in range(2)]
        for link in links:
            link.cursor.execute(statement)
            link.raw.commit()
        for link in links:
            link.close()

    sa.event.listen(engine, "connect", prepare)
    yield demote
    sa.event.remove(engine, "connect", prepare)
    tx.close()


@tx.writer
def look_and_store(context: Any, calls: list[int]) -> int:
    """Read first, as most writers do: a standby answers."""
    calls.append(1)
    count = tx.current(context).scalar(sa.select(sa.func.count()).select_from(tables.certificates))
    tx.current(context).insert(tables.certificates, {"project_id": "p"})
    return int(count)


def stored() -> int:
    return len(certificates.certificate_get_all_by_project(get_admin_context(), "p"))


def test_another_connection_leads_to_the_new_primary(admin: RequestContext, demote: Callable[[bool], None]) -> None:
    demote(False)
    calls: list[int] = []
    assert look_and_store(admin, calls) == 0
    assert len(calls) == 2
    for _ in range(3):  # none of the old connections is left
        look_and_store(admin, calls)
    assert (len(calls), stored()) == (5, 4)


def test_a_first_statement_is_sent_again(admin: RequestContext, demote: Callable[[bool], None]) -> None:
    demote(False)
    with tx.writer(admin) as t:
        t.insert(tables.certificates, {"project_id": "p"})
    assert stored() == 1


def test_a_block_is_told_and_the_next_one_succeeds(admin: RequestContext, demote: Callable[[bool], None]) -> None:
    demote(False)
    with pytest.raises(exceptions.DBReadOnly), tx.writer(admin) as t:
        t.rows(tables.certificates.select())
        t.insert(tables.certificates, {"project_id": "p"})
    with tx.writer(admin) as t:
        t.rows(tables.certificates.select())
        t.insert(tables.certificates, {"project_id": "p"})
    assert stored() == 1


def test_it_stays(admin: RequestContext, demote: Callable[[bool], None]) -> None:
    demote(True)
    calls: list[int] = []
    with pytest.raises(exceptions.DBConnectionError) as raised:
        look_and_store(admin, calls)
    assert type(raised.value) is exceptions.DBReadOnly
    assert len(calls) == 2
    assert stored() == 0
    demote(False)
    look_and_store(admin, calls)
    assert stored() == 1
