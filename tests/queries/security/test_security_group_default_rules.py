# SPDX-License-Identifier: Apache-2.0

"""Default rules of security groups (04-quotas-security 7)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from nova_sqlcore import RequestContext, exceptions, get_admin_context, tables
from nova_sqlcore.queries.security.default_rules import (
    security_group_default_rule_create,
    security_group_default_rule_destroy,
    security_group_default_rule_get,
    security_group_default_rule_list,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

Row = dict[str, Any]


def default_rule(**given: Any) -> Row:
    given = {"protocol": "tcp", "from_port": 1, "to_port": 2, "cidr": "10.0.0.0/24", **given}
    return cast("Row", security_group_default_rule_create(get_admin_context(), given))


@pytest.mark.parametrize(
    ("cidr", "shown"),
    [
        ("10.0.0.0/24", "10.0.0.0/24"),
        ("10.0.0.5/24", "10.0.0.0/24"),
        ("1.2.3.4", "1.2.3.4/32"),
        ("2001:0DB8:0000::/48", "2001:db8::/48"),
        (None, None),
    ],
)
def test_the_new_row_is_what_a_read_shows(
    admin: RequestContext, sql_count: SqlCount, cidr: str | None, shown: str | None
) -> None:
    with sql_count(1):
        row = default_rule(cidr=cidr, from_port="-1")
    with sql_count(2):
        assert security_group_default_rule_get(admin, row["id"]) == row
        assert security_group_default_rule_list(admin) == [row]
    assert set(row) == set(tables.security_group_default_rules.c.keys())
    assert (row["cidr"], row["from_port"], row["to_port"], row["protocol"]) == (shown, -1, 2, "tcp")


def test_destroy(admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
    row, other = default_rule(), default_rule()
    now = frozen_clock.advance(5)
    with sql_count(1):
        security_group_default_rule_destroy(admin, row["id"])
    assert security_group_default_rule_list(admin) == [other]
    after = row | {"deleted": row["id"], "deleted_at": now}
    assert security_group_default_rule_list(get_admin_context("only")) == [after]
    assert security_group_default_rule_list(get_admin_context("yes")) == [after, other]
    assert security_group_default_rule_get(get_admin_context("yes"), row["id"]) == after
    security_group_default_rule_destroy(get_admin_context("yes"), row["id"])


@pytest.mark.parametrize("identity", [77777, "fake", "99999999999999999999", -1, "gone"])
@pytest.mark.parametrize("call", [security_group_default_rule_get, security_group_default_rule_destroy])
def test_no_such_rule(admin: RequestContext, identity: Any, call: Callable[..., Any]) -> None:
    row = default_rule()
    if identity == "gone":
        security_group_default_rule_destroy(admin, row["id"])
        identity = row["id"]
    with pytest.raises(exceptions.SecurityGroupDefaultRuleNotFound) as raised:
        call(admin, identity)
    assert raised.value.kwargs == {"rule_id": identity, "code": 400}


def test_ids_may_be_digits(admin: RequestContext) -> None:
    row = default_rule()
    assert security_group_default_rule_get(admin, cast("int", str(row["id"]))) == row


def test_who_may_ask() -> None:
    nobody = RequestContext(None, None)
    row = security_group_default_rule_create(nobody, {"protocol": "icmp"})
    for call in (lambda: security_group_default_rule_list(nobody), lambda: security_group_default_rule_get(nobody, 1)):
        with pytest.raises(exceptions.Forbidden):
            call()
    security_group_default_rule_destroy(nobody, row["id"])


def test_an_empty_list(ctxt: RequestContext) -> None:
    assert security_group_default_rule_list(ctxt) == []
