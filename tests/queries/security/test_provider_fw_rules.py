# SPDX-License-Identifier: Apache-2.0

"""Firewall rules of the provider (02-networking 8)."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING, Any

import pytest

from nova_sqlcore import RequestContext, get_admin_context, tables
from nova_sqlcore.queries.security import provider_fw_rules

if TYPE_CHECKING:
    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

Row = Any


def rule(cidr: Any = "192.168.1.0/24", **more: Any) -> Row:
    given = {"protocol": "tcp", "from_port": 80, "to_port": 90, "cidr": cidr, **more}
    return provider_fw_rules.provider_fw_rule_create(get_admin_context(), given)


@pytest.mark.parametrize(
    ("given", "stored"),
    [
        ("192.168.1.0/24", "192.168.1.0/24"),
        ("192.168.1.7/24", "192.168.1.0/24"),
        ("192.168.1.7", "192.168.1.7/32"),
        ("2001:0DB8:0::/64", "2001:db8::/64"),
        ("2001:db8::1", "2001:db8::1/128"),
        (ipaddress.ip_network("10.1.0.0/16"), "10.1.0.0/16"),
        (None, None),
    ],
)
def test_the_new_rule_is_what_a_read_shows(
    admin: RequestContext, given: Any, stored: str | None, sql_count: SqlCount
) -> None:
    with sql_count(1):
        row = rule(given)
    with sql_count(1):
        assert provider_fw_rules.provider_fw_rule_get_all(admin) == [row]
    assert set(row) == set(tables.provider_fw_rules.c.keys())
    assert (row["protocol"], row["from_port"], row["to_port"], row["cidr"]) == ("tcp", 80, 90, stored)


def test_destroy(admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
    rows = [rule(f"10.0.{number}.0/24") for number in range(3)]
    now = frozen_clock.advance(5)
    with sql_count(1):
        provider_fw_rules.provider_fw_rule_destroy(admin, rows[1]["id"])
    assert provider_fw_rules.provider_fw_rule_get_all(admin) == [rows[0], rows[2]]
    gone = rows[1] | {"deleted": rows[1]["id"], "deleted_at": now}
    assert provider_fw_rules.provider_fw_rule_get_all(get_admin_context("only")) == [gone]
    assert len(provider_fw_rules.provider_fw_rule_get_all(get_admin_context("yes"))) == 3
    for row in rows:
        provider_fw_rules.provider_fw_rule_destroy(admin, row["id"])
    assert provider_fw_rules.provider_fw_rule_get_all(admin) == []


def test_destroy_again_sets_a_new_time(admin: RequestContext, frozen_clock: FrozenClock) -> None:
    row = rule()
    provider_fw_rules.provider_fw_rule_destroy(admin, row["id"])
    now = frozen_clock.advance(5)
    provider_fw_rules.provider_fw_rule_destroy(admin, row["id"])
    (after,) = provider_fw_rules.provider_fw_rule_get_all(get_admin_context("only"))
    assert after["deleted_at"] == now


@pytest.mark.parametrize("identity", [77777, "fake", 10**40])
def test_destroy_what_does_not_exist(admin: RequestContext, identity: Any) -> None:
    row = rule()
    provider_fw_rules.provider_fw_rule_destroy(admin, identity)
    assert provider_fw_rules.provider_fw_rule_get_all(admin) == [row]


def test_no_context_is_needed() -> None:
    nobody = RequestContext()
    row = provider_fw_rules.provider_fw_rule_create(nobody, {"protocol": "udp"})
    assert provider_fw_rules.provider_fw_rule_get_all(nobody) == [row]
    provider_fw_rules.provider_fw_rule_destroy(nobody, row["id"])
    assert provider_fw_rules.provider_fw_rule_get_all(nobody) == []
