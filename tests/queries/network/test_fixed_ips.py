# SPDX-License-Identifier: Apache-2.0

"""Fixed IPs (02-networking 4); how many processes share a pool is tested beside this."""

from __future__ import annotations

import datetime
import functools
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from nova_sqlcore import RequestContext, UnknownColumnWarning, exceptions, get_admin_context, tables, tx
from nova_sqlcore.core import retry
from nova_sqlcore.queries.network import fixed_ips
from nova_sqlcore.queries.quota import counts
from nova_sqlcore.settings import settings
from tests.queries import instance_factory, races
from tests.queries.instance_factory import insert

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.backend import Backend
    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

Row = Any

A, B, C = "10.0.0.1", "10.0.0.2", "10.0.0.3"
NO_IDS = (77777, "fake", 10**40, "9" * 5000, -1)
#: texts that no address column holds; of them PostgreSQL can't even look for the first ones
NO_ADDRESSES = ("no address", "10.0.0.999", "fe80::77%eth0", "10.0.0.77", "fe80::77")


def fixed_ip(address: Any = A, **values: Any) -> Row:
    return fixed_ips.fixed_ip_create(get_admin_context(), {"address": address, **values})


def stored(row: Row) -> Row:
    """Return the row as it is now, deleted or not."""
    return fixed_ips.fixed_ip_get(get_admin_context("yes"), row["id"])


def instance(**values: Any) -> Row:
    return instance_factory.instance(**values)


def forget(table: str, row: Row) -> None:
    instance_factory.deleted(table, row)


def addresses(rows: Any) -> list[Any]:
    return [row["address"] for row in rows]


class TestCreate:
    def test_the_new_row_is_what_a_read_shows(self, admin: RequestContext, sql_count: SqlCount) -> None:
        given = {"address": A, "network_id": "3", "virtual_interface_id": "12", "project_id": "no column"}
        with sql_count(1):
            row: Row = fixed_ips.fixed_ip_create(admin, given)
        assert fixed_ips.fixed_ip_get(admin, row["id"]) == row
        assert set(row) == set(tables.fixed_ips.c.keys())
        assert (row["network_id"], row["virtual_interface_id"]) == (3, 12)
        assert (row["allocated"], row["leased"], row["reserved"], row["updated_at"]) == (False, False, False, None)
        assert given["virtual_interface_id"] == "12"

    @pytest.mark.parametrize(
        ("given", "text"),
        [
            ("2001:DB8:0:0::1", "2001:db8::1"),
            ("::FFFF:0A00:1", "::ffff:10.0.0.1"),
            ("::a00:1", "::10.0.0.1"),
            ("10.0.0.1", "10.0.0.1"),
            (None, None),
        ],
    )
    def test_addresses(self, admin: RequestContext, given: str | None, text: str | None) -> None:
        row = fixed_ip(given)
        assert row["address"] == text
        assert fixed_ips.fixed_ip_get_by_address(admin, given) == row  # type: ignore[arg-type]  # None is NULL

    def test_a_taken_address(self, admin: RequestContext) -> None:
        row = fixed_ip("2001:db8::1")
        with tx.writer(admin):
            with pytest.raises(exceptions.FixedIpExists) as raised:
                fixed_ips.fixed_ip_create(admin, {"address": "2001:DB8::1"})
            fixed_ips.fixed_ip_create(admin, {"address": B})
        assert raised.value.kwargs["address"] == "2001:DB8::1"
        forget("fixed_ips", row)
        assert fixed_ip("2001:db8::1")["id"] != row["id"]

    def test_no_address_is_never_taken(self, admin: RequestContext) -> None:
        rows = [fixed_ip(None), fixed_ips.fixed_ip_create(admin, {})]
        assert fixed_ips.fixed_ip_get_all(admin) == rows

    def test_given_times_are_kept(self) -> None:
        moment = datetime.datetime(2001, 1, 1)
        assert fixed_ip(updated_at=moment)["updated_at"] == moment

    def test_unknown_keys_are_told(self, admin: RequestContext) -> None:
        with pytest.warns(UnknownColumnWarning, match="adress"):
            fixed_ips.fixed_ip_create(admin, {"adress": A})


class TestBulkCreate:
    def test_all(self, admin: RequestContext, sql_count: SqlCount) -> None:
        given = [{"address": f"10.0.0.{number}", "network_id": 7, "reserved": number < 2} for number in range(5)]
        with sql_count(1):
            fixed_ips.fixed_ip_bulk_create(admin, given)
        rows: Row = fixed_ips.fixed_ip_get_all(admin)
        assert addresses(rows) == [one["address"] for one in given]
        assert [row["reserved"] for row in rows] == [True, True, False, False, False]
        assert [row["allocated"] for row in rows] == [False] * 5
        assert all(isinstance(row["created_at"], datetime.datetime) for row in rows)

    def test_a_given_none_is_null(self, admin: RequestContext) -> None:
        fixed_ips.fixed_ip_bulk_create(admin, [{"address": A, "leased": None}])
        row = fixed_ips.fixed_ip_get_by_address(admin, A)
        assert (row["leased"], row["reserved"]) == (None, False)

    def test_a_generator_and_keys_that_are_no_columns(self, admin: RequestContext) -> None:
        fixed_ips.fixed_ip_bulk_create(admin, ({"address": a, "project_id": "p"} for a in (A, B)))
        fixed_ips.fixed_ip_bulk_create(admin, ips=iter([{"address": C}]))
        assert addresses(fixed_ips.fixed_ip_get_all(admin)) == [A, B, C]

    def test_nothing(self, admin: RequestContext, sql_count: SqlCount) -> None:
        with sql_count(0):
            fixed_ips.fixed_ip_bulk_create(admin, [])
        with pytest.raises(exceptions.NoFixedIpsDefined):
            fixed_ips.fixed_ip_get_all(admin)

    @pytest.mark.parametrize("given", [[B, A, C], [B, C, B], [B, C, "2001:db8::1", "2001:DB8::1"]])
    def test_a_taken_address_undoes_all(self, admin: RequestContext, given: list[str]) -> None:
        row = fixed_ip(A)
        with pytest.raises(exceptions.FixedIpExists) as raised:
            fixed_ips.fixed_ip_bulk_create(admin, [{"address": address} for address in given])
        assert raised.value.kwargs["address"] == (A if A in given else given[-1].lower())
        assert fixed_ips.fixed_ip_get_all(admin) == [row]

    def test_a_taken_id(self, admin: RequestContext) -> None:
        row = fixed_ip()
        with pytest.raises(exceptions.FixedIpExists) as raised:
            fixed_ips.fixed_ip_bulk_create(admin, [{"id": row["id"], "address": B}])
        assert raised.value.kwargs["address"] is None
        assert fixed_ips.fixed_ip_get_all(admin) == [row]

    def test_a_taken_address_leaves_the_callers_transaction_alive(self, admin: RequestContext) -> None:
        fixed_ip(A)
        with tx.writer(admin):
            with pytest.raises(exceptions.FixedIpExists):
                fixed_ips.fixed_ip_bulk_create(admin, [{"address": B}, {"address": A}])
            fixed_ips.fixed_ip_bulk_create(admin, [{"address": C}])
        assert addresses(fixed_ips.fixed_ip_get_all(admin)) == [A, C]

    def test_more_than_one_statement_takes(self, admin: RequestContext) -> None:
        many = [{"address": f"10.{number >> 8}.{number & 255}.1"} for number in range(5001)]
        fixed_ips.fixed_ip_bulk_create(admin, many)
        assert len(fixed_ips.fixed_ip_get_all(admin)) == 5001


class TestGet:
    def test_get(self, admin: RequestContext, sql_count: SqlCount) -> None:
        network = insert("networks", label="l")
        row, alone = fixed_ip(A, network_id=network["id"]), fixed_ip(B)
        with sql_count(3):
            assert fixed_ips.fixed_ip_get(admin, row["id"]) == row
            assert fixed_ips.fixed_ip_get(admin, row["id"], get_network=True) == row | {"network": network}
            assert fixed_ips.fixed_ip_get(admin, alone["id"], get_network=True) == alone | {"network": None}
        calls: Any = fixed_ips.fixed_ip_get
        assert calls(admin, str(row["id"])) == row

    @pytest.mark.parametrize("identity", [*NO_IDS, None])
    def test_no_such_id(self, admin: RequestContext, identity: Any) -> None:
        fixed_ip()
        with pytest.raises(exceptions.FixedIpNotFound) as raised:
            fixed_ips.fixed_ip_get(admin, identity)
        assert raised.value.kwargs["id"] == identity
        with pytest.raises(exceptions.Forbidden):
            fixed_ips.fixed_ip_get(RequestContext("user"), identity)

    @pytest.mark.parametrize(
        "call",
        [
            lambda c, row: fixed_ips.fixed_ip_get(c, row["id"]),
            lambda c, row: fixed_ips.fixed_ip_get_by_address(c, row["address"]),
            lambda c, row: fixed_ips.fixed_ip_get_by_address(c, row["address"], ["floating_ips", "instance"]),
            lambda c, row: fixed_ips.fixed_ip_update(c, row["address"], {"leased": True}),
            lambda c, row: fixed_ips.fixed_ip_update(c, row["address"], {}),
            lambda c, row: fixed_ips.fixed_ip_disassociate(c, row["address"]),
        ],
    )
    def test_whose(self, admin: RequestContext, ctxt: RequestContext, call: Callable[..., Any]) -> None:
        gone = instance()
        forget("instances", gone)
        foreign = instance(project_id="other")
        for number, owner in enumerate((instance(), gone, None)):
            row = fixed_ip(f"10.0.0.{number}", instance_uuid=owner and owner["uuid"])
            for _ in range(2):
                insert("floating_ips", fixed_ip_id=row["id"])
            call(ctxt, row)
        row = fixed_ip("10.0.0.9", instance_uuid=foreign["uuid"])
        with pytest.raises(exceptions.Forbidden):
            call(ctxt, row)
        assert stored(row) == row
        call(admin, row)

    @pytest.mark.only_on("sqlite", why="elsewhere a foreign key keeps the instance")
    def test_an_instance_that_does_not_exist(self, admin: RequestContext, ctxt: RequestContext) -> None:
        row = fixed_ip(instance_uuid="gone")
        assert fixed_ips.fixed_ip_get(admin, row["id"]) == row
        calls: Any = (fixed_ips.fixed_ip_get, fixed_ips.fixed_ip_get_by_address)
        for call, key in zip(calls, (row["id"], A), strict=True):
            with pytest.raises(exceptions.InstanceNotFound) as raised:
                call(ctxt, key)
            assert raised.value.kwargs["instance_id"] == "gone"

    def test_a_user_costs_no_more(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        row = fixed_ip(instance_uuid=instance()["uuid"])
        with sql_count(2):
            assert fixed_ips.fixed_ip_get(ctxt, row["id"]) == row
            assert fixed_ips.fixed_ip_get_by_address(ctxt, A) == row

    def test_visibility(self, admin: RequestContext) -> None:
        network = insert("networks")
        row = fixed_ip(network_id=network["id"])
        forget("fixed_ips", row)
        with pytest.raises(exceptions.FixedIpNotFound):
            fixed_ips.fixed_ip_get(admin, row["id"])
        with pytest.raises(exceptions.FixedIpNotFoundForAddress):
            fixed_ips.fixed_ip_get_by_address(admin, A)
        for word in ("yes", "only"):
            found = fixed_ips.fixed_ip_get(get_admin_context(word), row["id"], get_network=True)
            assert (found["deleted"], found["network"]) == (row["id"], None)
        assert [one["deleted"] for one in fixed_ips.fixed_ip_get_all(admin)] == [row["id"]]

    def test_all(self, sql_count: SqlCount) -> None:
        nobody = RequestContext()
        with pytest.raises(exceptions.NoFixedIpsDefined):
            fixed_ips.fixed_ip_get_all(nobody)
        rows = [fixed_ip(A), fixed_ip(B)]
        with sql_count(1):
            assert fixed_ips.fixed_ip_get_all(nobody) == rows


class TestByAddress:
    def test_joins(self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch, sql_count: SqlCount) -> None:
        monkeypatch.setattr(settings, "instance_name_template", "vm-%d")
        network, owner = insert("networks", label="l", cidr="10.0.0.0/24"), instance(host="h")
        vif = insert("virtual_interfaces", address="fa:16", instance_uuid=owner["uuid"])
        used = {"network_id": network["id"], "virtual_interface_id": vif["id"], "instance_uuid": owner["uuid"]}
        row = fixed_ip(**used)
        floating = [insert("floating_ips", address=f"172.16.0.{n}", fixed_ip_id=row["id"]) for n in (2, 1)]
        forget("floating_ips", insert("floating_ips", fixed_ip_id=row["id"]))
        children: Row = {
            "network": network,
            "instance": owner | {"name": f"vm-{owner['id']}"},
            "virtual_interface": vif,
            "floating_ips": floating,
        }
        with sql_count(6):
            assert fixed_ips.fixed_ip_get_by_address(admin, A) == row
            for name, child in children.items():
                assert fixed_ips.fixed_ip_get_by_address(admin, A, columns_to_join=[name]) == row | {name: child}
            assert fixed_ips.fixed_ip_get_by_address(admin, A, [*children, "network"]) == row | children

    def test_what_is_not_live_is_not_joined(self, admin: RequestContext) -> None:
        network, owner = insert("networks"), instance()
        vif = insert("virtual_interfaces")
        row = fixed_ip(network_id=network["id"], virtual_interface_id=vif["id"], instance_uuid=owner["uuid"])
        floating = insert("floating_ips", fixed_ip_id=row["id"])
        joins = ("network", "instance", "virtual_interface", "floating_ips")
        nothing: Row = {"network": None, "instance": None, "virtual_interface": None, "floating_ips": []}
        context = get_admin_context("yes")
        forget("fixed_ips", row)
        assert fixed_ips.fixed_ip_get_by_address(context, A, joins) == stored(row) | nothing
        other: Row = fixed_ip(B, network_id=network["id"], virtual_interface_id=vif["id"], instance_uuid=owner["uuid"])
        for table, one in (("networks", network), ("virtual_interfaces", vif), ("floating_ips", floating)):
            forget(table, one)
        instance_factory.deleted("instances", owner)
        assert fixed_ips.fixed_ip_get_by_address(context, B, joins) == other | nothing

    def test_no_such_join(self, admin: RequestContext) -> None:
        with pytest.raises(ValueError, match="networks"):
            fixed_ips.fixed_ip_get_by_address(admin, A, ["networks"])

    @pytest.mark.parametrize("address", NO_ADDRESSES)
    @pytest.mark.parametrize(
        "call",
        [
            fixed_ips.fixed_ip_get_by_address,
            fixed_ips.fixed_ip_disassociate,
            lambda c, a: fixed_ips.fixed_ip_update(c, a, {"leased": True}),
            lambda c, a: fixed_ips.fixed_ip_update(c, a, {}),
        ],
    )
    def test_no_such_address(
        self, admin: RequestContext, ctxt: RequestContext, address: str, call: Callable[..., Any]
    ) -> None:
        fixed_ip()
        invalid = address in NO_ADDRESSES[:3]
        expected: type[Any] = exceptions.FixedIpInvalid if invalid else exceptions.FixedIpNotFoundForAddress
        for context in (admin, ctxt, get_admin_context("yes")):
            with pytest.raises(expected, match=address) as raised:
                call(context, address)
            assert raised.value.kwargs.get("address", address) == address

    def test_a_lookup_that_fails(self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch) -> None:
        failure: list[type[Exception]] = [exceptions.DBError]

        def fail(*args: Any, **kwargs: Any) -> None:
            raise failure[0]

        monkeypatch.setattr(tx.Transaction, "rows", fail)
        with pytest.raises(exceptions.FixedIpInvalid, match=A):
            fixed_ips.fixed_ip_get_by_address(admin, A)
        failure[0] = exceptions.DBDeadlock
        with pytest.raises(exceptions.DBDeadlock):
            fixed_ips.fixed_ip_get_by_address(admin, A)

    def test_the_live_one_then_the_newest(self) -> None:
        context = get_admin_context("yes")
        first = fixed_ip(A)
        forget("fixed_ips", first)
        second = fixed_ip(A)
        assert fixed_ips.fixed_ip_get_by_address(context, A)["id"] == second["id"]
        forget("fixed_ips", second)
        assert fixed_ips.fixed_ip_get_by_address(context, A)["id"] == second["id"]
        fixed_ips.fixed_ip_update(context, A, {"leased": True})
        assert (stored(first)["leased"], stored(second)["leased"]) == (False, True)


class TestLists:
    def test_by_floating_address(self, admin: RequestContext, sql_count: SqlCount) -> None:
        row = fixed_ip()
        floating = insert("floating_ips", address="172.16.0.1", fixed_ip_id=row["id"])
        insert("floating_ips", address="172.16.0.2")
        with sql_count(1):
            assert fixed_ips.fixed_ip_get_by_floating_address(admin, "172.16.0.1") == row
        for address in ("172.16.0.2", "172.16.0.3", "no address"):
            assert fixed_ips.fixed_ip_get_by_floating_address(admin, address) is None
        forget("floating_ips", floating)
        assert fixed_ips.fixed_ip_get_by_floating_address(admin, "172.16.0.1") is None
        assert fixed_ips.fixed_ip_get_by_floating_address(get_admin_context("yes"), "172.16.0.1") == row
        assert fixed_ips.fixed_ip_get_by_floating_address(get_admin_context("only"), "172.16.0.1") is None

    def test_by_host(self, sql_count: SqlCount) -> None:
        nobody = RequestContext()
        here, there, gone = instance(host="h"), instance(host="i"), instance(host="h")
        forget("instances", gone)
        rows = [fixed_ip(A, instance_uuid=here["uuid"]), fixed_ip(B, instance_uuid=here["uuid"], host="i")]
        fixed_ip(C, instance_uuid=there["uuid"], host="h")
        fixed_ip("10.0.0.4", instance_uuid=gone["uuid"])
        dead = fixed_ip("10.0.0.5", instance_uuid=here["uuid"])
        forget("fixed_ips", dead)
        with sql_count(1):
            assert fixed_ips.fixed_ip_get_by_host(nobody, "h") == rows
        assert fixed_ips.fixed_ip_get_by_host(nobody, "nowhere") == []
        assert fixed_ips.fixed_ip_get_by_host(get_admin_context("only"), "h") == [stored(dead)]

    def test_by_instance(self, admin: RequestContext, sql_count: SqlCount) -> None:
        owner, network = instance(), insert("networks")
        late, early, dead = (
            insert("virtual_interfaces", created_at=datetime.datetime(2016, 1, day)) for day in (3, 2, 1)
        )
        forget("virtual_interfaces", dead)
        used = {"instance_uuid": owner["uuid"], "network_id": network["id"]}
        rows = [
            fixed_ip("10.0.0.1", virtual_interface_id=late["id"], **used),
            fixed_ip("10.0.0.2", virtual_interface_id=early["id"], **used),
            fixed_ip("10.0.0.3", virtual_interface_id=dead["id"], **used),
            fixed_ip("10.0.0.4", instance_uuid=owner["uuid"]),
            fixed_ip("10.0.0.5", virtual_interface_id=early["id"], **used),
        ]
        forget("fixed_ips", fixed_ip("10.0.0.6", **used))
        floating = [insert("floating_ips", fixed_ip_id=rows[0]["id"]) for _ in range(2)]
        with sql_count(1):
            found: Row = fixed_ips.fixed_ip_get_by_instance(get_admin_context("yes"), owner["uuid"])
        bare: Row = {"virtual_interface": None, "network": network, "floating_ips": []}
        assert found == [
            rows[2] | bare,
            rows[3] | bare | {"network": None},
            rows[1] | bare | {"virtual_interface": early},
            rows[4] | bare | {"virtual_interface": early},
            rows[0] | bare | {"virtual_interface": late, "floating_ips": floating},
        ]

    def test_by_an_instance_without_any(self, admin: RequestContext) -> None:
        missing = str(uuid.uuid4())
        with pytest.raises(exceptions.FixedIpNotFoundForInstance) as raised:
            fixed_ips.fixed_ip_get_by_instance(admin, missing)
        assert raised.value.kwargs["instance_uuid"] == missing
        for given in ("fake", None, 7):
            with pytest.raises(exceptions.InvalidUUID) as invalid:
                fixed_ips.fixed_ip_get_by_instance(admin, given)  # type: ignore[arg-type]  # what it is about
            assert invalid.value.kwargs["uuid"] == given

    def test_by_network_and_host(self, admin: RequestContext, sql_count: SqlCount) -> None:
        forget("fixed_ips", fixed_ip(A, network_id=1, host="h"))
        row = fixed_ip(B, network_id=1, host="h")
        fixed_ip(C, network_id=1, host="h")
        null = fixed_ip("10.0.0.4")
        with sql_count(1):
            assert fixed_ips.fixed_ip_get_by_network_host(get_admin_context("yes"), 1, "h") == row
        calls: Any = fixed_ips.fixed_ip_get_by_network_host
        assert calls(admin, network_uuid="1", host="h") == row
        assert calls(admin, None, None) == null
        for key in ((2, "h"), (1, "i"), ("fake", "h")):
            with pytest.raises(exceptions.FixedIpNotFoundForNetworkHost) as raised:
                calls(admin, *key)
            assert (raised.value.kwargs["network_id"], raised.value.kwargs["host"]) == key

    def test_by_virtual_interface(self, admin: RequestContext, sql_count: SqlCount) -> None:
        network = insert("networks")
        rows = [fixed_ip(A, virtual_interface_id=5, network_id=network["id"]), fixed_ip(B, virtual_interface_id=5)]
        fixed_ip(C, virtual_interface_id=6)
        forget("fixed_ips", fixed_ip("10.0.0.4", virtual_interface_id=5))
        floating = insert("floating_ips", fixed_ip_id=rows[1]["id"])
        with sql_count(1):
            found = fixed_ips.fixed_ips_by_virtual_interface(get_admin_context("yes"), 5)
        assert found == [
            rows[0] | {"network": network, "floating_ips": []},
            rows[1] | {"network": None, "floating_ips": [floating]},
        ]
        for identity in NO_IDS:
            assert fixed_ips.fixed_ips_by_virtual_interface(admin, identity) == []  # type: ignore[arg-type]  # text, too

    def test_count(self, admin: RequestContext, ctxt: RequestContext, sql_count: SqlCount) -> None:
        own, gone, foreign = instance(), instance(), instance(project_id="other")
        forget("instances", gone)
        for number, owner in enumerate((own, own, gone, foreign)):
            fixed_ip(f"10.0.0.{number}", instance_uuid=owner["uuid"])
        fixed_ip("10.0.1.1")
        forget("fixed_ips", fixed_ip("10.0.1.2", instance_uuid=own["uuid"]))
        with sql_count(1):
            assert counts._fixed_ip_count_by_project(ctxt, "project") == 3
        assert counts._fixed_ip_count_by_project(admin, "other") == 1
        with pytest.raises(exceptions.Forbidden):
            counts._fixed_ip_count_by_project(ctxt, "other")


class TestAssociate:
    def test_an_address_of_the_network(self, frozen_clock: FrozenClock, backend: Backend, sql_count: SqlCount) -> None:
        owner = instance()["uuid"]
        row = fixed_ip(network_id=1)
        now = frozen_clock.advance(5)
        with sql_count(mysql=2, default=1):
            after = fixed_ips.fixed_ip_associate(RequestContext(), A, owner, 1, virtual_interface_id=9)
        changed = {"instance_uuid": owner, "allocated": True, "virtual_interface_id": 9, "updated_at": now}
        assert after == row | changed
        assert stored(row) == after

    def test_an_address_without_network_gets_it(self, admin: RequestContext) -> None:
        owner = instance()["uuid"]
        rows = [fixed_ip(A), fixed_ip(B)]
        identity: Any = "3"
        assert fixed_ips.fixed_ip_associate(admin, A, owner, identity)["network_id"] == 3
        assert fixed_ips.fixed_ip_associate(admin, B, owner)["network_id"] is None
        assert [stored(row)["network_id"] for row in rows] == [3, None]

    def test_without_an_interface_it_is_not_allocated_but_keeps_the_old_one(self, admin: RequestContext) -> None:
        owner = instance()["uuid"]
        row = fixed_ip(allocated=True, virtual_interface_id=9)
        for given, interface, allocated in ((None, 9, False), (0, 9, True), (4, 4, True)):
            after = fixed_ips.fixed_ip_associate(admin, A, owner, virtual_interface_id=given)
            assert after == stored(row)
            assert (after["virtual_interface_id"], after["allocated"]) == (interface, allocated)
            fixed_ips.fixed_ip_update(admin, A, {"instance_uuid": None})

    @pytest.mark.parametrize(
        ("row", "asked"),
        [
            ({}, {"address": B}),
            ({}, {"address": "no address"}),
            ({}, {"address": None}),
            ({"network_id": 1}, {}),
            ({"network_id": 1}, {"network_id": 2}),
            ({"network_id": 1}, {"network_id": "fake"}),
            ({"reserved": True}, {}),
            ({}, {"reserved": True}),
            ({"deleted": 7}, {}),
        ],
    )
    def test_no_such_address(self, row: Row, asked: Row, monkeypatch: pytest.MonkeyPatch) -> None:
        context = get_admin_context("yes")
        fixed_ip(**row)
        asked = {"address": A, "network_id": None, **asked}
        monkeypatch.setattr(retry.Retry, "_seconds_left", lambda *_: 0)
        with pytest.raises(exceptions.FixedIpNotFoundForNetwork) as raised:
            fixed_ips.fixed_ip_associate(context, instance_uuid=str(uuid.uuid4()), **asked)
        named = (raised.value.kwargs["address"], raised.value.kwargs["network_uuid"])
        assert named == (asked["address"], asked["network_id"])

    def test_reserved_is_exact(self, admin: RequestContext) -> None:
        fixed_ip(reserved=True)
        assert fixed_ips.fixed_ip_associate(admin, A, instance()["uuid"], reserved=True)["reserved"] is True

    def test_no_address_is_an_address(self, admin: RequestContext) -> None:
        owner = instance()["uuid"]
        rows = [fixed_ip(None), fixed_ip(None)]
        assert fixed_ips.fixed_ip_associate(admin, None, owner)["id"] == rows[0]["id"]  # type: ignore[arg-type]  # NULL
        assert stored(rows[1]) == rows[1]

    def test_an_address_in_use(self, admin: RequestContext, sql_count: SqlCount) -> None:
        owner, other = instance()["uuid"], instance()["uuid"]
        row = fixed_ip(instance_uuid=owner)
        for asked in (owner, other):
            with sql_count(mysql=1, default=2), pytest.raises(exceptions.FixedIpAlreadyInUse) as raised:
                fixed_ips.fixed_ip_associate(admin, A, asked)
            assert (raised.value.kwargs["address"], raised.value.kwargs["instance_uuid"]) == (A, asked)
        assert stored(row) == row

    @pytest.mark.parametrize("given", ["fake", None, 7])
    def test_no_instance(self, admin: RequestContext, given: Any) -> None:
        fixed_ip()
        with pytest.raises(exceptions.InvalidUUID) as raised:
            fixed_ips.fixed_ip_associate(admin, A, given)
        assert raised.value.kwargs["uuid"] == given
        if given is not None:
            with pytest.raises(exceptions.InvalidUUID) as raised:
                fixed_ips.fixed_ip_associate_pool(admin, 1, given)
            assert raised.value.kwargs["uuid"] == given

    def test_any_spelling_of_the_uuid(self, admin: RequestContext, backend: Backend) -> None:
        fixed_ip()
        spelled = "{" + str(uuid.uuid4()).upper().replace("-", "") + "}"
        if backend.family == "sqlite":
            assert fixed_ips.fixed_ip_associate(admin, A, spelled)["instance_uuid"] == spelled
        else:
            with pytest.raises(exceptions.DBReferenceError):
                fixed_ips.fixed_ip_associate(admin, A, spelled)

    @pytest.mark.parametrize("losses", [1, 5, 6])
    @pytest.mark.parametrize("error", [None, exceptions.DBDeadlock])
    @pytest.mark.parametrize("pool", [False, True])
    def test_lost_races(
        self,
        admin: RequestContext,
        backend: Backend,
        monkeypatch: pytest.MonkeyPatch,
        losses: int,
        error: type[Exception] | None,
        pool: bool,
    ) -> None:
        row, owner = fixed_ip(network_id=1), instance()["uuid"]
        attempts = races.lose(monkeypatch, losses, error)

        def call() -> Row:
            if pool:
                return fixed_ips.fixed_ip_associate_pool(admin, 1, owner)
            return fixed_ips.fixed_ip_associate(admin, A, owner, 1)

        if losses < 6:
            assert call()["instance_uuid"] == owner
            assert len(attempts) == losses + 1
            return
        expected: type[Any] = error or exceptions.FixedIpAssociateFailed
        with pytest.raises(expected) as raised:
            call()
        assert len(attempts) == 6
        assert error or raised.value.kwargs["net"] == 1
        assert stored(row)["instance_uuid"] is None

    def test_of_two_one_wins(self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch, backend: Backend) -> None:
        fixed_ip()
        first, second = instance()["uuid"], instance()["uuid"]
        raced: list[int] = []
        begin = tx.Transaction._start

        def overtaken(self: tx.Transaction, *args: Any, **kwargs: Any) -> Any:
            if not raced:
                raced.append(1)
                fixed_ips.fixed_ip_associate(get_admin_context(), A, second)
            return begin(self, *args, **kwargs)

        monkeypatch.setattr(tx.Transaction, "_start", overtaken)
        with pytest.raises(exceptions.FixedIpAlreadyInUse):
            fixed_ips.fixed_ip_associate(admin, A, first)
        assert fixed_ips.fixed_ip_get_by_address(admin, A)["instance_uuid"] == second

    @pytest.mark.only_on("mysql", why="elsewhere one statement finds and takes the address")
    def test_a_swap_that_is_overtaken_is_lost(self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch) -> None:
        fixed_ip()
        first, second = instance()["uuid"], instance()["uuid"]
        races.overtake(monkeypatch, functools.partial(fixed_ips.fixed_ip_associate, get_admin_context(), A, second))
        with pytest.raises(exceptions.FixedIpAlreadyInUse):
            fixed_ips.fixed_ip_associate(admin, A, first)
        assert fixed_ips.fixed_ip_get_by_address(admin, A)["instance_uuid"] == second


class TestPool:
    def test_an_address_for_an_instance(self, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        owner = instance()["uuid"]
        row = fixed_ip(network_id=1)
        now = frozen_clock.advance(5)
        with sql_count(mysql=2, default=1):
            after = fixed_ips.fixed_ip_associate_pool(RequestContext(), 1, owner, virtual_interface_id=9)
        changed = {"instance_uuid": owner, "allocated": True, "virtual_interface_id": 9, "updated_at": now}
        assert after == row | changed
        assert stored(row) == after

    def test_an_address_for_a_host(self, admin: RequestContext) -> None:
        row = fixed_ip(allocated=True, virtual_interface_id=9)
        network: Any = "1"
        after = fixed_ips.fixed_ip_associate_pool(admin, network, instance_uuid="", host="h")
        assert after == row | {"host": "h", "allocated": False, "network_id": 1, "updated_at": after["updated_at"]}
        assert after == stored(row)

    @pytest.mark.parametrize(
        "row",
        [
            {"network_id": 2},
            {"reserved": True},
            {"leased": True},
            {"host": "h"},
            {"deleted": 5},
        ],
    )
    def test_what_is_not_free(self, row: Row, sql_count: SqlCount) -> None:
        fixed_ip(**{"network_id": 1, **row})
        fixed_ip(B, network_id=1, instance_uuid=instance()["uuid"])
        with sql_count(2), pytest.raises(exceptions.NoMoreFixedIps) as raised:
            fixed_ips.fixed_ip_associate_pool(get_admin_context("yes"), 1, host="i")
        assert raised.value.kwargs["net"] == 1

    @pytest.mark.parametrize("network", ["fake", 10**40])
    def test_no_such_network(self, admin: RequestContext, network: Any) -> None:
        fixed_ip()
        with pytest.raises(exceptions.NoMoreFixedIps) as raised:
            fixed_ips.fixed_ip_associate_pool(admin, network, host="h")
        assert raised.value.kwargs["net"] == network

    def test_no_network(self, admin: RequestContext) -> None:
        fixed_ip(A, network_id=1)
        row = fixed_ip(B)
        after = fixed_ips.fixed_ip_associate_pool(admin, None, host="h")  # type: ignore[arg-type]  # NULL
        assert (after["id"], after["network_id"]) == (row["id"], None)

    def test_the_one_that_has_been_left_alone_longest(self, admin: RequestContext) -> None:
        for address, day, network in (
            ("10.0.0.1", 3, 1),
            ("10.0.0.2", 2, None),
            ("10.0.0.3", None, 1),
            ("10.0.0.4", 1, 1),
            ("10.0.0.5", None, None),
            ("10.0.0.6", 2, 1),
        ):
            fixed_ip(address, updated_at=day and datetime.datetime(2016, 1, day), network_id=network)
        got = [fixed_ips.fixed_ip_associate_pool(admin, 1, host="h")["address"] for _ in range(6)]
        assert got == [f"10.0.0.{number}" for number in (3, 5, 4, 2, 6, 1)]
        with pytest.raises(exceptions.NoMoreFixedIps):
            fixed_ips.fixed_ip_associate_pool(admin, 1, host="h")

    def test_several_in_one_transaction(self, admin: RequestContext) -> None:
        for address in (A, B):
            fixed_ip(address, network_id=1)
        with tx.writer(admin):
            got = [fixed_ips.fixed_ip_associate_pool(admin, 1, host="h")["address"] for _ in range(2)]
            with pytest.raises(exceptions.NoMoreFixedIps):
                fixed_ips.fixed_ip_associate_pool(admin, 1, host="h")
        assert got == [A, B]
        assert [row["host"] for row in fixed_ips.fixed_ip_get_all(admin)] == ["h", "h"]

    @pytest.mark.only_on("mysql", "postgresql", why="sqlite locks the whole database")
    def test_a_row_that_is_being_taken_is_stepped_over(self, admin: RequestContext) -> None:
        for address in (A, B):
            fixed_ip(address, network_id=1)
        with tx.writer(admin):
            assert fixed_ips.fixed_ip_associate_pool(admin, 1, host="h")["address"] == A
            assert fixed_ips.fixed_ip_associate_pool(get_admin_context(), 1, host="i")["address"] == B


class TestUpdate:
    def test_named_columns_are_written(
        self, admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        row, other = fixed_ip(), fixed_ip(B)
        now = frozen_clock.advance(5)
        with sql_count(1):
            fixed_ips.fixed_ip_update(admin, A, {"leased": True, "host": "h", "address": C, "project_id": "p"})
        after = row | {"leased": True, "host": "h", "address": C, "updated_at": now}
        assert fixed_ips.fixed_ip_get_by_address(admin, C) == after
        assert stored(other) == other
        fixed_ips.fixed_ip_update(admin, C, {"host": None})
        fixed_ips.fixed_ip_update(admin, C, {"host": None})
        assert stored(row)["host"] is None

    def test_nothing_to_write(self, admin: RequestContext, sql_count: SqlCount) -> None:
        row = fixed_ip()
        with sql_count(1):
            fixed_ips.fixed_ip_update(admin, A, {})
        assert stored(row) == row

    def test_a_user_costs_one_more(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        row = fixed_ip(instance_uuid=instance()["uuid"])
        with sql_count(2):
            fixed_ips.fixed_ip_update(ctxt, A, {"leased": True})
        assert stored(row)["leased"] is True

    def test_a_taken_address_passes_as_it_is(self, admin: RequestContext) -> None:
        row = fixed_ip()
        fixed_ip(B)
        with pytest.raises(exceptions.DBDuplicateEntry):
            fixed_ips.fixed_ip_update(admin, A, {"address": B})
        assert stored(row) == row

    def test_one_of_several_without_address(self, admin: RequestContext) -> None:
        rows = [fixed_ip(None), fixed_ip(None)]
        fixed_ips.fixed_ip_update(admin, None, {"leased": True})  # type: ignore[arg-type]  # NULL
        assert [stored(row)["leased"] for row in rows] == [True, False]

    def test_visibility(self, admin: RequestContext) -> None:
        row = fixed_ip()
        forget("fixed_ips", row)
        for values in ({"leased": True}, {}):
            with pytest.raises(exceptions.FixedIpNotFoundForAddress):
                fixed_ips.fixed_ip_update(admin, A, values)
        fixed_ips.fixed_ip_update(get_admin_context("only"), A, {"leased": True})
        assert stored(row)["leased"] is True


class TestDisassociate:
    def test_instance_and_interface_go(
        self, admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        used = {"virtual_interface_id": 9, "allocated": True, "leased": True, "reserved": True, "host": "h"}
        row = fixed_ip(instance_uuid=instance()["uuid"], network_id=1, **used)
        now = frozen_clock.advance(5)
        with sql_count(1):
            fixed_ips.fixed_ip_disassociate(admin, A)
        assert stored(row) == row | {"instance_uuid": None, "virtual_interface_id": None, "updated_at": now}
        fixed_ips.fixed_ip_disassociate(admin, A)

    def test_a_user_costs_one_more(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        row = fixed_ip(instance_uuid=instance()["uuid"], virtual_interface_id=3)
        with sql_count(2):
            fixed_ips.fixed_ip_disassociate(ctxt, A)
        assert (stored(row)["instance_uuid"], stored(row)["virtual_interface_id"]) == (None, None)
        fixed_ips.fixed_ip_update(ctxt, A, {"virtual_interface_id": 3})
        fixed_ips.fixed_ip_disassociate(ctxt, A)
        assert stored(row)["virtual_interface_id"] is None

    @pytest.mark.only_on("mysql", "postgresql", why="on sqlite nobody else writes meanwhile")
    def test_a_newer_association_stays(self, ctxt: RequestContext, monkeypatch: pytest.MonkeyPatch) -> None:
        old, new = instance()["uuid"], instance()["uuid"]
        row = fixed_ip(instance_uuid=old)
        again = functools.partial(fixed_ips.fixed_ip_update, get_admin_context(), A, {"instance_uuid": new})
        races.overtake(monkeypatch, again)
        fixed_ips.fixed_ip_disassociate(ctxt, A)
        assert stored(row)["instance_uuid"] == new

    def test_visibility(self, admin: RequestContext) -> None:
        row = fixed_ip(virtual_interface_id=9)
        forget("fixed_ips", row)
        with pytest.raises(exceptions.FixedIpNotFoundForAddress):
            fixed_ips.fixed_ip_disassociate(admin, A)
        fixed_ips.fixed_ip_disassociate(get_admin_context("only"), A)
        assert stored(row)["virtual_interface_id"] is None


class TestTimeout:
    OLD, LIMIT, NEW = (datetime.datetime(2016, 1, 1, 12, 0, second) for second in (0, 1, 2))

    def used(self, address: str = A, **values: Any) -> Row:
        given = {"leased": True, "updated_at": self.OLD, "virtual_interface_id": 9, "host": "x", **values}
        return fixed_ip(address, **given)

    @pytest.mark.parametrize(("multi_host", "frees"), [(False, "bar"), (True, "foo"), (True, "bar")])
    def test_whose(self, multi_host: bool, frees: str, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        network = insert("networks", host="bar", multi_host=multi_host)
        row = self.used(network_id=network["id"], instance_uuid=instance(host="foo")["uuid"])
        nobody = RequestContext(read_deleted="only")
        release = fixed_ips.fixed_ip_disassociate_all_by_timeout
        if not multi_host:
            assert release(nobody, "foo", self.LIMIT) == 0
        assert stored(row) == row
        with sql_count(1):
            assert release(nobody, frees, self.LIMIT) == 1
        assert stored(row) == row | {"instance_uuid": None, "leased": False, "updated_at": frozen_clock.now}
        assert release(nobody, frees, datetime.datetime(2100, 1, 1)) == 0

    def test_what_stays(self, admin: RequestContext) -> None:
        network, owner = insert("networks", host="h")["id"], instance()["uuid"]
        rows = [
            self.used("10.0.0.1", network_id=network, instance_uuid=owner, allocated=True),
            self.used("10.0.0.2", instance_uuid=owner),
            self.used("10.0.0.3", network_id=network),
            self.used("10.0.0.4", network_id=network, instance_uuid=owner, updated_at=self.NEW),
            self.used("10.0.0.5", network_id=network, instance_uuid=owner, updated_at=self.LIMIT),
            self.used("10.0.0.6", network_id=network, instance_uuid=owner, updated_at=None),
            self.used("10.0.0.7", network_id=network, instance_uuid=owner, deleted=7),
        ]
        assert fixed_ips.fixed_ip_disassociate_all_by_timeout(admin, "h", self.LIMIT) == 0
        assert [stored(row) for row in rows] == rows

    def test_deleted_networks_and_instances_count(self, admin: RequestContext) -> None:
        network, owner = insert("networks", host="h", deleted=5), instance()
        forget("instances", owner)
        for address in (A, B):
            self.used(address, network_id=network["id"], instance_uuid=owner["uuid"])
        assert fixed_ips.fixed_ip_disassociate_all_by_timeout(admin, "h", self.LIMIT) == 2

    def test_times_with_a_zone(self, admin: RequestContext) -> None:
        network, owner = insert("networks", host="h"), instance()["uuid"]
        self.used(network_id=network["id"], instance_uuid=owner)
        for moment, count in ((self.OLD, 0), (self.LIMIT, 1)):
            aware = moment.replace(tzinfo=datetime.UTC)
            assert fixed_ips.fixed_ip_disassociate_all_by_timeout(admin, "h", aware) == count
