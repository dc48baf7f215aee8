# SPDX-License-Identifier: Apache-2.0

"""DNS domains (02-networking 3)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from nova_sqlcore import RequestContext, get_admin_context, tables, tx
from nova_sqlcore.queries.network import dns_domains
from tests.queries import instance_factory

if TYPE_CHECKING:
    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

NAME = "example.org"


def bury(name: str) -> None:
    """Store a soft-deleted domain, which no function makes."""
    instance_factory.insert("dns_domains", domain=name, scope="public", project_id="old", deleted=True)


def test_a_domain_of_a_project(admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
    with sql_count(2):
        dns_domains.dnsdomain_register_for_project(admin, NAME, "p")
        row = dns_domains.dnsdomain_get(admin, NAME)
    assert row == {
        "domain": NAME,
        "scope": "public",
        "project_id": "p",
        "availability_zone": None,
        "created_at": frozen_clock.now,
        "updated_at": None,
        "deleted_at": None,
        "deleted": False,
    }
    assert set(row) == set(tables.dns_domains.c.keys())
    assert row["deleted"] is False


def test_the_other_owner_stays(admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
    dns_domains.dnsdomain_register_for_zone(admin, NAME, "z")
    row: Any = dns_domains.dnsdomain_get(admin, NAME)
    assert (row["scope"], row["availability_zone"], row["project_id"]) == ("private", "z", None)
    now = frozen_clock.advance(5)
    with sql_count(1):
        dns_domains.dnsdomain_register_for_project(admin, NAME, "p")
    after = row | {"scope": "public", "project_id": "p", "updated_at": now}
    assert dns_domains.dnsdomain_get(admin, NAME) == after
    dns_domains.dnsdomain_register_for_zone(admin, NAME, "y")
    assert dns_domains.dnsdomain_get(admin, NAME) == after | {"scope": "private", "availability_zone": "y"}


def test_all(admin: RequestContext, sql_count: SqlCount) -> None:
    assert dns_domains.dnsdomain_get_all(admin) == []
    bury("gone.org")
    for name in ("b.org", "a.org"):
        dns_domains.dnsdomain_register_for_project(admin, name, "p")
    with sql_count(1):
        rows = dns_domains.dnsdomain_get_all(RequestContext(read_deleted="yes"))
    assert [row["domain"] for row in rows] == ["a.org", "b.org"]


def test_an_unknown_domain(admin: RequestContext) -> None:
    assert dns_domains.dnsdomain_get(admin, "none.org") is None
    dns_domains.dnsdomain_unregister(admin, "none.org")


def test_a_deleted_domain_is_seen_by_nobody_and_comes_to_life_again(admin: RequestContext) -> None:
    bury(NAME)
    assert dns_domains.dnsdomain_get(get_admin_context("yes"), NAME) is None
    dns_domains.dnsdomain_register_for_zone(admin, NAME, "z")
    row: Any = dns_domains.dnsdomain_get(admin, NAME)
    assert (row["scope"], row["availability_zone"], row["deleted"], row["deleted_at"]) == ("private", "z", False, None)


def test_unregister(admin: RequestContext, sql_count: SqlCount) -> None:
    for name in (NAME, "other.org"):
        dns_domains.dnsdomain_register_for_zone(admin, name, "z")
    with sql_count(1):
        dns_domains.dnsdomain_unregister(admin, NAME)
    assert dns_domains.dnsdomain_get(admin, NAME) is None
    assert [row["domain"] for row in dns_domains.dnsdomain_get_all(admin)] == ["other.org"]
    dns_domains.dnsdomain_register_for_project(admin, NAME, "p")
    row: Any = dns_domains.dnsdomain_get(admin, NAME)
    assert row["availability_zone"] is None, "the row was really gone"


def test_unregister_takes_what_the_context_sees(admin: RequestContext) -> None:
    dns_domains.dnsdomain_register_for_zone(admin, NAME, "z")
    dns_domains.dnsdomain_unregister(get_admin_context("only"), NAME)
    assert dns_domains.dnsdomain_get(admin, NAME) is not None
    bury("gone.org")
    dns_domains.dnsdomain_unregister(admin, "gone.org")
    with tx.reader(admin) as transaction:
        assert len(transaction.rows(tables.dns_domains.select())) == 2
    dns_domains.dnsdomain_unregister(get_admin_context("yes"), "gone.org")
    with tx.reader(admin) as transaction:
        assert len(transaction.rows(tables.dns_domains.select())) == 1


def test_users_are_not_confined(ctxt: RequestContext) -> None:
    dns_domains.dnsdomain_register_for_project(ctxt, NAME, "somebody else's")
    assert dns_domains.dnsdomain_get(ctxt, NAME) is not None
    dns_domains.dnsdomain_unregister(RequestContext(), NAME)
    assert dns_domains.dnsdomain_get_all(RequestContext()) == []


def test_registrars_do_not_get_in_each_others_way() -> None:
    def register(number: int) -> None:
        context = get_admin_context()
        for name in range(10):
            dns_domains.dnsdomain_register_for_project(context, f"{(name * number) % 10}.org", f"p{number}")

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(register, (1, 3, 7, 9)))
    assert len(dns_domains.dnsdomain_get_all(get_admin_context())) == 10
