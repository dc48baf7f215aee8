# SPDX-License-Identifier: Apache-2.0

"""Floating IPs (02-networking 5); how many processes share a pool is tested beside this."""

from __future__ import annotations

import contextlib
import datetime
import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, UnknownColumnWarning, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.network import floating_ips
from nova_sqlcore.queries.quota import counts, reservations as quotas, usages as quota_usages
from nova_sqlcore.settings import settings
from tests.queries import instance_factory, races
from tests.queries.instance_factory import insert

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount, SqlLog

pytestmark = pytest.mark.usefixtures("backend")

Row = Any

A, B, C = "172.16.0.1", "172.16.0.2", "172.16.0.3"
NO_ADDRESSES = ("no address", "10.0.0.999", "fe80::77%eth0", "172.16.0.77", "fe80::77")


def floating_ip(address: Any = A, **values: Any) -> Row:
    return floating_ips.floating_ip_create(get_admin_context(), {"address": address, **values})


def stored(row: Row) -> Row:
    """Return the row as it is now, deleted or not; None if it is gone."""
    t = tables.floating_ips
    with tx.reader(get_admin_context()) as transaction:
        return transaction.row(sa.select(*tables.row_columns(t)).where(t.c.id == row["id"]))


def forget(table: str, row: Row) -> None:
    instance_factory.deleted(table, row)


def addresses(rows: Any) -> list[Any]:
    return [row["address"] for row in rows]


def bound(address: str = A, **values: Any) -> tuple[Row, Row, Row]:
    """Store a floating IP on a fixed one of an instance; return all three as joined rows show them."""
    instance = instance_factory.instance()
    fixed = insert("fixed_ips", instance_uuid=instance["uuid"])
    row = floating_ip(address, fixed_ip_id=fixed["id"], **values)
    return row, fixed, instance | {"name": settings.instance_name_template % instance["id"]}


class TestCreate:
    def test_the_new_row_is_what_a_read_shows(self, admin: RequestContext, sql_count: SqlCount) -> None:
        given = {"address": "2001:DB8:0:0::1", "pool": "p", "interface": "eth0", "instance_uuid": "no column"}
        with sql_count(1):
            row: Row = floating_ips.floating_ip_create(admin, given)
        assert floating_ips.floating_ip_get(admin, row["id"]) == row | {"fixed_ip": None}
        assert set(row) == set(tables.floating_ips.c.keys())
        assert (row["address"], row["auto_assigned"], row["project_id"]) == ("2001:db8::1", False, None)

    def test_a_taken_address(self, admin: RequestContext) -> None:
        row = floating_ip()
        with tx.writer(admin):
            with pytest.raises(exceptions.FloatingIpExists) as raised:
                floating_ips.floating_ip_create(admin, {"address": A})
            floating_ips.floating_ip_create(admin, {"address": B})
        assert raised.value.kwargs["address"] == A
        forget("floating_ips", row)
        assert floating_ip()["id"] != row["id"]

    def test_a_deleted_twin_and_no_address(self, admin: RequestContext) -> None:
        assert floating_ip(deleted=True)["deleted"] == 1
        assert floating_ip()["deleted"] == 0
        assert floating_ip(None)["id"] != floating_ips.floating_ip_create(admin, {})["id"]

    def test_unknown_keys_are_told(self, admin: RequestContext) -> None:
        with pytest.warns(UnknownColumnWarning, match="adress"):
            floating_ips.floating_ip_create(admin, {"adress": A})


class TestBulkCreate:
    def test_all(self, admin: RequestContext, sql_count: SqlCount) -> None:
        given = [{"address": address, "pool": "p", "interface": "eth0"} for address in (C, A, B)]
        with sql_count(2):
            rows: Row = floating_ips.floating_ip_bulk_create(admin, given)
        assert addresses(rows) == [C, A, B]
        assert [row["id"] for row in rows] == sorted(row["id"] for row in rows)
        assert [row | {"fixed_ip": None} for row in rows] == floating_ips.floating_ip_get_all(admin)
        assert (rows[0]["pool"], rows[0]["auto_assigned"]) == ("p", False)

    def test_without_result(self, admin: RequestContext, sql_count: SqlCount) -> None:
        with sql_count(1):
            assert floating_ips.floating_ip_bulk_create(admin, [{"address": A}], want_result=False) is None
        assert addresses(floating_ips.floating_ip_get_all(admin)) == [A]

    def test_a_generator_and_keys_that_are_no_columns(self, admin: RequestContext) -> None:
        given = ({"address": address, "instance_uuid": "u", "auto_assigned": None} for address in (B, A))
        rows: Row = floating_ips.floating_ip_bulk_create(admin, given)
        assert (addresses(rows), [row["auto_assigned"] for row in rows]) == ([B, A], [None, None])

    def test_nothing(self, admin: RequestContext, sql_count: SqlCount) -> None:
        with sql_count(0):
            assert floating_ips.floating_ip_bulk_create(admin, []) == []
            assert floating_ips.floating_ip_bulk_create(admin, iter(()), False) is None

    def test_what_the_context_does_not_see(self) -> None:
        rows = floating_ips.floating_ip_bulk_create(get_admin_context("only"), [{"address": A}])
        assert rows == []

    @pytest.mark.parametrize("given", [[B, A, C], [B, C, B]])
    def test_a_taken_address_undoes_all(self, admin: RequestContext, given: list[str]) -> None:
        row = floating_ip()
        with pytest.raises(exceptions.FloatingIpExists) as raised:
            floating_ips.floating_ip_bulk_create(admin, [{"address": address} for address in given])
        assert raised.value.kwargs["address"] == (A if A in given else B)
        assert floating_ips.floating_ip_get_all(admin) == [row | {"fixed_ip": None}]

    def test_many(self, admin: RequestContext, sql_log: SqlLog) -> None:
        """The driver stores them in its own way for many rows, without RETURNING, and they are read then."""
        given = [{"address": f"172.16.{number >> 8}.{number & 255}"} for number in range(1100)]
        with sql_log() as log:
            rows: Row = floating_ips.floating_ip_bulk_create(admin, given)
        assert addresses(rows) == addresses(given)
        kinds = [text.split()[0] for text in log]
        assert (kinds, "RETURNING" in str(log)) == (["INSERT", "SELECT", "SELECT", "SELECT"], False)

    @pytest.mark.parametrize(("first", "places"), [(10**7, (0,)), (10**8, (1,)), (2 * 10**8, (0, 2)), (10**9, (1, 2))])
    def test_rows_with_and_without_an_id(self, admin: RequestContext, first: int, places: tuple[int, ...]) -> None:
        given: list[Row] = [{"address": f"172.16.0.{number}"} for number in range(3)]
        for place in places:
            given[place]["id"] = first - 1000 * place
        found: Any = floating_ips.floating_ip_bulk_create(admin, given)
        assert addresses(found) == addresses(given)
        assert [found[place]["id"] for place in places] == [first - 1000 * place for place in places]
        stored = floating_ips.floating_ip_get_all(admin)
        assert {row["address"]: row["id"] for row in stored} == {row["address"]: row["id"] for row in found}


class TestGet:
    def test_get(self, admin: RequestContext, sql_count: SqlCount) -> None:
        row, fixed, instance = bound()
        alone = floating_ip(B)
        calls: Any = floating_ips.floating_ip_get
        with sql_count(3):
            assert floating_ips.floating_ip_get(admin, row["id"]) == row | {"fixed_ip": fixed | {"instance": instance}}
            assert floating_ips.floating_ip_get_by_address(admin, A) == calls(admin, str(row["id"]))
        assert floating_ips.floating_ip_get(admin, alone["id"]) == alone | {"fixed_ip": None}

    def test_what_is_not_live_is_not_joined(self, admin: RequestContext) -> None:
        row, fixed, instance = bound()
        instance_factory.deleted("instances", instance)
        assert floating_ips.floating_ip_get(admin, row["id"])["fixed_ip"] == fixed | {"instance": None}
        other, other_fixed, _ = bound(B)
        forget("fixed_ips", other_fixed)
        assert floating_ips.floating_ip_get(get_admin_context("yes"), other["id"])["fixed_ip"] is None
        third, _, _ = bound(C)
        forget("floating_ips", third)
        assert floating_ips.floating_ip_get(get_admin_context("yes"), third["id"])["fixed_ip"] is None
        assert floating_ips.floating_ip_get_by_address(get_admin_context("only"), C)["fixed_ip"] is None

    @pytest.mark.parametrize("identity", [77777, -1, "fake", "", None, "12abc"])
    def test_no_such_id(self, admin: RequestContext, identity: Any) -> None:
        floating_ip()
        with pytest.raises(exceptions.FloatingIpNotFound) as raised:
            floating_ips.floating_ip_get(admin, identity)
        assert raised.value.kwargs["id"] == identity

    @pytest.mark.parametrize("identity", [10**40, 2**31, str(10**40), "9" * 5000])
    def test_an_id_that_no_column_holds(self, admin: RequestContext, identity: Any, sql_count: SqlCount) -> None:
        with sql_count(0), pytest.raises(exceptions.InvalidID) as raised:
            floating_ips.floating_ip_get(admin, identity)
        assert raised.value.kwargs["id"] == identity

    def test_a_user_sees_what_his_project_holds(self, ctxt: RequestContext) -> None:
        own, foreign, free = (floating_ip(a, project_id=p) for a, p in ((A, "project"), (B, "other"), (C, None)))
        assert floating_ips.floating_ip_get(ctxt, own["id"])["id"] == own["id"]
        for row in (foreign, free):
            with pytest.raises(exceptions.FloatingIpNotFound):
                floating_ips.floating_ip_get(ctxt, row["id"])

    @pytest.mark.parametrize(
        "call", [floating_ips.floating_ip_get_by_address, lambda c, a: floating_ips.floating_ip_update(c, a, {})]
    )
    def test_by_address_he_sees_free_ones_too(self, ctxt: RequestContext, call: Callable[..., Any]) -> None:
        for address, project in ((A, "project"), (B, "other"), (C, None)):
            floating_ip(address, project_id=project)
        for address in (A, C):
            assert call(ctxt, address)["address"] == address
        with pytest.raises(exceptions.Forbidden):
            call(ctxt, B)

    @pytest.mark.parametrize("address", NO_ADDRESSES)
    @pytest.mark.parametrize(
        "call",
        [
            floating_ips.floating_ip_get_by_address,
            lambda c, a: floating_ips.floating_ip_update(c, a, {"host": "h"}),
            lambda c, a: floating_ips.floating_ip_update(c, a, {}),
        ],
    )
    def test_no_such_address(self, admin: RequestContext, address: str, call: Callable[..., Any]) -> None:
        floating_ip()
        invalid = address in NO_ADDRESSES[:3]
        expected: type[Any] = exceptions.InvalidIpAddressError if invalid else exceptions.FloatingIpNotFoundForAddress
        with pytest.raises(expected, match=address) as raised:
            call(admin, address)
        assert raised.value.kwargs.get("address", address) == address

    @pytest.mark.parametrize("address", ["", None])
    def test_no_address(self, admin: RequestContext, address: Any) -> None:
        floating_ip()
        with pytest.raises(exceptions.FloatingIpNotFoundForAddress) as raised:
            floating_ips.floating_ip_get_by_address(admin, address)
        assert raised.value.kwargs["address"] is None
        row = floating_ip(None)
        assert floating_ips.floating_ip_get_by_address(admin, address)["id"] == row["id"]

    @pytest.mark.parametrize(
        ("call", "error", "method"),
        [
            (lambda c: floating_ips.floating_ip_get_by_address(c, A), exceptions.InvalidIpAddressError, "rows"),
            (lambda c: floating_ips.floating_ip_get(c, 12), exceptions.InvalidID, "row"),
        ],
    )
    def test_a_lookup_that_fails(
        self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch, call: Any, error: type[Any], method: str
    ) -> None:
        failure: list[type[Exception]] = [exceptions.DBError]

        def fail(*args: Any, **kwargs: Any) -> None:
            raise failure[0]

        monkeypatch.setattr(tx.Transaction, method, fail)
        with pytest.raises(error, match=r"12|172"):
            call(admin)
        failure[0] = exceptions.DBDeadlock
        with pytest.raises(exceptions.DBDeadlock):
            call(admin)

    def test_visibility(self, admin: RequestContext) -> None:
        row = floating_ip()
        forget("floating_ips", row)
        with pytest.raises(exceptions.FloatingIpNotFound):
            floating_ips.floating_ip_get(admin, row["id"])
        with pytest.raises(exceptions.FloatingIpNotFoundForAddress):
            floating_ips.floating_ip_get_by_address(admin, A)
        assert floating_ips.floating_ip_get(get_admin_context("only"), row["id"])["deleted"] == row["id"]
        assert floating_ips.floating_ip_get_by_address(get_admin_context("yes"), A)["deleted"] == row["id"]


class TestLists:
    def test_all(self, sql_count: SqlCount) -> None:
        nobody = RequestContext(read_deleted="yes")
        with pytest.raises(exceptions.NoFloatingIpsDefined):
            floating_ips.floating_ip_get_all(nobody)
        row, fixed, _ = bound()
        forget("floating_ips", floating_ip(C))
        alone = floating_ip(B)
        with sql_count(1):
            found = floating_ips.floating_ip_get_all(nobody)
        assert found == [row | {"fixed_ip": fixed}, alone | {"fixed_ip": None}]

    def test_by_host(self, sql_count: SqlCount) -> None:
        nobody = RequestContext()
        row, fixed, _ = bound(host="h")
        floating_ip(B, host="i")
        forget("floating_ips", floating_ip(C, host="h"))
        with sql_count(1):
            assert floating_ips.floating_ip_get_all_by_host(nobody, "h") == [row | {"fixed_ip": fixed}]
        with pytest.raises(exceptions.FloatingIpNotFoundForHost) as raised:
            floating_ips.floating_ip_get_all_by_host(nobody, "nowhere")
        assert raised.value.kwargs["host"] == "nowhere"

    def test_by_project(self, admin: RequestContext, ctxt: RequestContext, sql_count: SqlCount) -> None:
        row, fixed, instance = bound(project_id="project")
        alone = floating_ip(B, project_id="project")
        floating_ip(C, project_id="project", auto_assigned=True)
        free = floating_ip("172.16.0.4")
        forget("floating_ips", floating_ip("172.16.0.5", project_id="project"))
        calls: Any = floating_ips.floating_ip_get_all_by_project
        with sql_count(1):
            found = calls(ctxt, "project")
        assert found == [row | {"fixed_ip": fixed | {"instance": instance}}, alone | {"fixed_ip": None}]
        assert calls(admin, "other") == []
        assert calls(admin, None) == [free | {"fixed_ip": None}]
        with pytest.raises(exceptions.Forbidden):
            calls(ctxt, "other")

    def test_by_fixed_address(self, admin: RequestContext, sql_count: SqlCount) -> None:
        fixed = insert("fixed_ips", address="10.0.0.1")
        rows = [floating_ip(address, fixed_ip_id=fixed["id"]) for address in (B, A)]
        floating_ip(C, fixed_ip_id=fixed["id"] + 1)
        with sql_count(1):
            assert floating_ips.floating_ip_get_by_fixed_address(admin, "10.0.0.1") == rows
        for address in ("10.0.0.2", "no address"):
            assert floating_ips.floating_ip_get_by_fixed_address(admin, address) == []
        forget("floating_ips", rows[0])
        assert floating_ips.floating_ip_get_by_fixed_address(admin, "10.0.0.1") == rows[1:]
        forget("fixed_ips", fixed)
        assert floating_ips.floating_ip_get_by_fixed_address(admin, "10.0.0.1") == []
        assert len(floating_ips.floating_ip_get_by_fixed_address(get_admin_context("yes"), "10.0.0.1")) == 2

    def test_by_fixed_ip_id(self, admin: RequestContext, sql_count: SqlCount) -> None:
        rows = [floating_ip(address, fixed_ip_id=5) for address in (B, A)]
        free = floating_ip(C)
        calls: Any = floating_ips.floating_ip_get_by_fixed_ip_id
        with sql_count(1):
            assert calls(admin, 5) == rows
        assert calls(admin, "5") == rows
        assert calls(admin, None) == [free]
        for identity in (77777, "fake", 10**40):
            assert calls(admin, identity) == []
        forget("floating_ips", rows[0])
        assert calls(admin, 5) == rows[1:]

    def test_pools_come_by_name(self, admin: RequestContext) -> None:
        for place, pool in enumerate(["b", "B", None, "a"]):
            floating_ips.floating_ip_create(admin, {"address": f"10.0.0.{place + 1}", "pool": pool})
        assert [pool["name"] for pool in floating_ips.floating_ip_get_pools(admin)] == [None, "B", "a", "b"]

    def test_pools(self, admin: RequestContext, ctxt: RequestContext, sql_count: SqlCount) -> None:
        assert floating_ips.floating_ip_get_pools(admin) == []
        for address, pool in ((A, "p"), (B, "p"), (C, None)):
            floating_ip(address, pool=pool, project_id="other")
        forget("floating_ips", floating_ip("172.16.0.4", pool="gone"))
        with sql_count(1):
            found = floating_ips.floating_ip_get_pools(ctxt)
        assert sorted(found, key=repr) == [{"name": "p"}, {"name": None}]
        assert floating_ips.floating_ip_get_pools(get_admin_context("only")) == [{"name": "gone"}]

    def test_count(self, admin: RequestContext, ctxt: RequestContext, sql_count: SqlCount) -> None:
        for address, project, auto in ((A, "project", False), (B, "project", True), (C, "other", False)):
            floating_ip(address, project_id=project, auto_assigned=auto)
        forget("floating_ips", floating_ip("172.16.0.4", project_id="project"))
        with sql_count(1):
            assert counts._floating_ip_count_by_project(ctxt, "project") == 1
        assert counts._floating_ip_count_by_project(admin, "other") == 1
        with pytest.raises(exceptions.Forbidden):
            counts._floating_ip_count_by_project(ctxt, "other")


class TestAllocate:
    def test_a_free_address(self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        row = floating_ip(pool="p")
        now = frozen_clock.advance(5)
        with sql_count(mysql=2, default=1):
            assert floating_ips.floating_ip_allocate_address(ctxt, "project", "p") == A
        assert stored(row) == row | {"project_id": "project", "updated_at": now}

    def test_assigned_automatically(self, admin: RequestContext) -> None:
        row = floating_ip()
        assert floating_ips.floating_ip_allocate_address(admin, "q", None, auto_assigned=True) == A
        assert (stored(row)["project_id"], stored(row)["auto_assigned"]) == ("q", True)

    @pytest.mark.parametrize(
        "row", [{"pool": "q"}, {"pool": None}, {"project_id": "x"}, {"fixed_ip_id": 5}, {"deleted": 7}]
    )
    def test_what_is_not_free(self, row: Row, sql_count: SqlCount) -> None:
        floating_ip(**{"pool": "p", **row})
        with sql_count(2), pytest.raises(exceptions.NoMoreFloatingIps):
            floating_ips.floating_ip_allocate_address(get_admin_context("yes"), "project", "p")

    def test_each_address_once(self, admin: RequestContext) -> None:
        for address in (A, B, C):
            floating_ip(address, pool="p")
        got = [floating_ips.floating_ip_allocate_address(admin, "project", "p") for _ in range(3)]
        assert sorted(got) == [A, B, C]

    def test_whose(self, admin: RequestContext, ctxt: RequestContext, sql_count: SqlCount) -> None:
        floating_ip(pool="p")
        with sql_count(0), pytest.raises(exceptions.Forbidden):
            floating_ips.floating_ip_allocate_address(ctxt, "other", "p")
        assert floating_ips.floating_ip_allocate_address(admin, "other", "p") == A

    @pytest.mark.parametrize("losses", [1, 5, 6])
    @pytest.mark.parametrize("error", [None, exceptions.DBDeadlock])
    def test_lost_races(
        self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch, losses: int, error: type[Exception] | None
    ) -> None:
        row = floating_ip(pool="p")
        attempts = races.lose(monkeypatch, losses, error)
        if losses < 6:
            assert floating_ips.floating_ip_allocate_address(admin, "project", "p") == A
            assert len(attempts) == losses + 1
            return
        expected: type[Any] = error or exceptions.FloatingIpAllocateFailed
        with pytest.raises(expected):
            floating_ips.floating_ip_allocate_address(admin, "project", "p")
        assert len(attempts) == 6
        assert stored(row) == row

    @pytest.mark.only_on("mysql", "postgresql", why="sqlite locks the whole database")
    def test_a_row_that_is_being_taken_is_stepped_over(self, admin: RequestContext) -> None:
        for address in (A, B):
            floating_ip(address, pool="p")
        with tx.writer(admin):
            first = floating_ips.floating_ip_allocate_address(admin, "project", "p")
            second = floating_ips.floating_ip_allocate_address(get_admin_context(), "project", "p")
        assert sorted((first, second)) == [A, B]

    @pytest.mark.only_on("mysql", "postgresql", why="sqlite locks the whole database")
    def test_a_row_that_its_holder_gives_up_is_taken(
        self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        floating_ip(pool="p")
        allocate, row, looks_again = floating_ips.floating_ip_allocate_address, tx.Transaction.row, threading.Event()

        def watched(self: tx.Transaction, statement: Any, /, **params: Any) -> Row:
            if self.name == allocate.__name__ and self.statements:
                looks_again.set()
            return row(self, statement, **params)

        monkeypatch.setattr(tx.Transaction, "row", watched)
        with ThreadPoolExecutor(1) as pool:
            with contextlib.suppress(LookupError), tx.writer(admin):
                allocate(admin, "project", "p")
                other = pool.submit(allocate, get_admin_context(), "other", "p")
                assert looks_again.wait(10)
                raise LookupError
            assert other.result(10) == A

    @pytest.mark.parametrize("losses", [1, 6])
    @pytest.mark.parametrize(
        ("call", "result"),
        [
            (lambda c: floating_ips.floating_ip_deallocate(c, A), 1),
            (lambda c: floating_ips.floating_ip_fixed_ip_associate(c, B, "10.0.0.1", "h")["address"], "10.0.0.1"),
        ],
    )
    def test_conflicts_are_met_again(
        self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch, losses: int, call: Any, result: Any
    ) -> None:
        insert("fixed_ips", address="10.0.0.1")
        floating_ip(A, project_id="p")
        floating_ip(B)
        attempts = races.lose(monkeypatch, losses, exceptions.DBDeadlock)
        if losses < 6:
            assert call(admin) == result
        else:
            with pytest.raises(exceptions.DBDeadlock):
                call(admin)
        assert len(attempts) == min(losses + 1, 6)


class TestDeallocate:
    def test_back_to_the_pool(self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        row = floating_ip(project_id="other", host="h", auto_assigned=True, pool="p")
        now = frozen_clock.advance(5)
        with sql_count(1):
            assert floating_ips.floating_ip_deallocate(ctxt, A) == 1
        assert stored(row) == row | {"project_id": None, "host": None, "auto_assigned": False, "updated_at": now}
        assert floating_ips.floating_ip_deallocate(ctxt, A) == 0

    @pytest.mark.parametrize("row", [{"project_id": "p", "fixed_ip_id": 5}, {}, {"project_id": "p", "deleted": 7}])
    def test_what_stays(self, admin: RequestContext, row: Row) -> None:
        made = floating_ip(**row)
        assert floating_ips.floating_ip_deallocate(admin, A) == 0
        assert stored(made) == made

    @pytest.mark.parametrize("address", NO_ADDRESSES)
    def test_no_such_address(self, admin: RequestContext, address: str) -> None:
        assert floating_ips.floating_ip_deallocate(admin, address) == 0

    def test_what_the_context_sees(self) -> None:
        row = floating_ip(project_id="p")
        forget("floating_ips", row)
        assert floating_ips.floating_ip_deallocate(get_admin_context("only"), A) == 1


class TestBinding:
    def test_associate(self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        network = insert("networks", cidr="10.0.0.0/24")
        fixed = insert("fixed_ips", address="10.0.0.1", network_id=network["id"])
        row = floating_ip(project_id="project")
        now = frozen_clock.advance(5)
        with sql_count(2):
            found = floating_ips.floating_ip_fixed_ip_associate(ctxt, A, "10.0.0.1", "h")
        assert found == fixed | {"network": network}
        assert stored(row) == row | {"fixed_ip_id": fixed["id"], "host": "h", "updated_at": now}
        again = floating_ips.floating_ip_fixed_ip_associate(ctxt, A, "10.0.0.1", "i")
        assert (again, stored(row)["host"]) == (found, "i")

    def test_whose(self, admin: RequestContext, ctxt: RequestContext) -> None:
        insert("fixed_ips", address="10.0.0.1")
        free = floating_ip()
        floating_ip(B, project_id="project")
        associate = floating_ips.floating_ip_fixed_ip_associate
        for context, address in ((ctxt, A), (admin, B)):
            with pytest.raises(exceptions.FloatingIpAssociateFailed) as raised:
                associate(context, address, "10.0.0.1", "h")
            assert raised.value.kwargs["address"] == address
        found = associate(admin, A, "10.0.0.1", "h")
        assert (found["network"], stored(free)["fixed_ip_id"]) == (None, found["id"])
        associate(ctxt, B, "10.0.0.1", "h")

    @pytest.mark.parametrize("address", NO_ADDRESSES)
    def test_no_such_address(self, admin: RequestContext, address: str) -> None:
        insert("fixed_ips", address="10.0.0.1")
        with pytest.raises(exceptions.FloatingIpAssociateFailed) as raised:
            floating_ips.floating_ip_fixed_ip_associate(admin, address, "10.0.0.1", "h")
        assert raised.value.kwargs["address"] == address
        with pytest.raises(exceptions.FixedIpNotFoundForAddress) as other:
            floating_ips.floating_ip_fixed_ip_associate(admin, address, address, "h")
        assert other.value.kwargs["address"] == address
        with pytest.raises(exceptions.FloatingIpNotFoundForAddress) as third:
            floating_ips.floating_ip_disassociate(admin, address)
        assert third.value.kwargs["address"] == address

    def test_bound_elsewhere(self, admin: RequestContext) -> None:
        insert("fixed_ips", address="10.0.0.1")
        row = floating_ip(fixed_ip_id=77)
        with pytest.raises(exceptions.FloatingIpAssociateFailed):
            floating_ips.floating_ip_fixed_ip_associate(admin, A, "10.0.0.1", "h")
        assert stored(row) == row

    def test_what_the_context_sees(self, admin: RequestContext) -> None:
        fixed, row = insert("fixed_ips", address="10.0.0.1"), floating_ip()
        forget("fixed_ips", fixed)
        with pytest.raises(exceptions.FixedIpNotFoundForAddress):
            floating_ips.floating_ip_fixed_ip_associate(admin, A, "10.0.0.1", "h")
        found = floating_ips.floating_ip_fixed_ip_associate(get_admin_context("yes"), A, "10.0.0.1", "h")
        assert (found["deleted"], found["network"]) == (fixed["id"], None)
        assert floating_ips.floating_ip_disassociate(admin, A) is None
        assert stored(row)["fixed_ip_id"] is None
        forget("floating_ips", row)
        with pytest.raises(exceptions.FloatingIpAssociateFailed):
            floating_ips.floating_ip_fixed_ip_associate(get_admin_context("only"), B, "10.0.0.1", "h")
        with pytest.raises(exceptions.FloatingIpNotFoundForAddress):
            floating_ips.floating_ip_disassociate(admin, A)

    def test_disassociate(self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        network = insert("networks", cidr="10.0.0.0/24")
        fixed = insert("fixed_ips", address="10.0.0.1", network_id=network["id"])
        row = floating_ip(project_id="other", fixed_ip_id=fixed["id"], host="h", auto_assigned=True)
        now = frozen_clock.advance(5)
        with sql_count(2):
            assert floating_ips.floating_ip_disassociate(ctxt, A) == fixed | {"network": network}
        assert stored(row) == row | {"fixed_ip_id": None, "host": None, "updated_at": now}
        frozen_clock.advance(5)
        with sql_count(1):
            assert floating_ips.floating_ip_disassociate(ctxt, A) is None
        assert stored(row)["updated_at"] == now

    def test_a_host_without_fixed_ip_goes_too(self, admin: RequestContext, sql_count: SqlCount) -> None:
        row = floating_ip(host="h")
        with sql_count(2):
            assert floating_ips.floating_ip_disassociate(admin, A) is None
        assert stored(row)["host"] is None

    @pytest.mark.only_on("mysql", "postgresql", why="on sqlite nobody else writes meanwhile")
    @pytest.mark.parametrize("times", [1, 6])
    def test_a_newer_binding_is_seen(self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch, times: int) -> None:
        fixed = [insert("fixed_ips", address=f"10.0.0.{number}") for number in range(7)]
        row = floating_ip(fixed_ip_id=fixed[0]["id"])
        newer = iter(fixed[1:])

        def bind() -> None:
            floating_ips.floating_ip_update(get_admin_context(), A, {"fixed_ip_id": next(newer)["id"]})

        races.overtake(monkeypatch, bind, times)
        if times < 6:
            found: Row = floating_ips.floating_ip_disassociate(admin, A)
            assert found["address"] == "10.0.0.1"
            assert stored(row)["fixed_ip_id"] is None
        else:
            with pytest.raises(exceptions.FloatingIpAssociateFailed):
                floating_ips.floating_ip_disassociate(admin, A)
            assert stored(row)["fixed_ip_id"] == fixed[6]["id"]


class TestUpdate:
    def test_named_columns_are_written(
        self, admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        row, fixed, instance = bound()
        now = frozen_clock.advance(5)
        given = {"address": "2001:DB8::1", "interface": "eth0", "fixed_ip_id": 77, "instance_uuid": "no column"}
        with sql_count(2):
            after = floating_ips.floating_ip_update(admin, A, given)
        changed = {"address": "2001:db8::1", "interface": "eth0", "fixed_ip_id": 77, "updated_at": now}
        assert after == row | changed | {"fixed_ip": fixed | {"instance": instance}}
        assert stored(row) == row | changed

    @pytest.mark.filterwarnings("ignore::nova_sqlcore.UnknownColumnWarning")
    @pytest.mark.parametrize("values", [{}, {"no_column": 1}])
    def test_nothing_to_write(self, admin: RequestContext, values: Row, sql_count: SqlCount) -> None:
        row = floating_ip()
        with sql_count(1):
            assert floating_ips.floating_ip_update(admin, A, values) == row | {"fixed_ip": None}
        assert stored(row) == row

    def test_a_taken_address(self, admin: RequestContext) -> None:
        row = floating_ip()
        floating_ip(B)
        with pytest.raises(exceptions.FloatingIpExists) as raised:
            floating_ips.floating_ip_update(admin, A, {"address": B})
        assert raised.value.kwargs["address"] == B
        assert stored(row) == row

    def test_a_given_time_is_kept(self, admin: RequestContext) -> None:
        floating_ip()
        moment = datetime.datetime(2001, 1, 1)
        assert floating_ips.floating_ip_update(admin, A, {"updated_at": moment})["updated_at"] == moment

    def test_whose(self, ctxt: RequestContext) -> None:
        row = floating_ip(project_id="other")
        with pytest.raises(exceptions.Forbidden):
            floating_ips.floating_ip_update(ctxt, A, {"host": "h"})
        assert stored(row) == row

    @pytest.mark.only_on("mysql", "postgresql", why="on sqlite nobody else writes meanwhile")
    def test_one_that_is_destroyed_meanwhile(self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch) -> None:
        floating_ip()
        races.overtake(monkeypatch, lambda: floating_ips.floating_ip_destroy(get_admin_context(), A))
        with pytest.raises(exceptions.FloatingIpNotFoundForAddress) as raised:
            floating_ips.floating_ip_update(admin, A, {"host": "h"})
        assert raised.value.kwargs["address"] == A

    def test_what_the_context_sees(self) -> None:
        row = floating_ip()
        forget("floating_ips", row)
        floating_ips.floating_ip_update(get_admin_context("yes"), A, {"host": "h"})
        assert stored(row)["host"] == "h"


class TestDestroy:
    def test_for_good(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        row, other = floating_ip(project_id="other", fixed_ip_id=5), floating_ip(B)
        with sql_count(1):
            floating_ips.floating_ip_destroy(ctxt, A)
        assert stored(row) is None
        with pytest.raises(exceptions.FloatingIpNotFound):
            floating_ips.floating_ip_get(get_admin_context("yes"), row["id"])
        assert stored(other) == other

    @pytest.mark.parametrize("address", NO_ADDRESSES)
    def test_no_such_address(self, admin: RequestContext, address: str) -> None:
        row = floating_ip()
        floating_ips.floating_ip_destroy(admin, address)
        assert stored(row) == row

    def test_what_the_context_sees(self, admin: RequestContext) -> None:
        row = floating_ip()
        forget("floating_ips", row)
        floating_ips.floating_ip_destroy(admin, A)
        assert stored(row) is not None
        floating_ips.floating_ip_destroy(get_admin_context("only"), A)
        assert stored(row) is None


class TestBulkDestroy:
    @staticmethod
    def usage(project: str = "project", **numbers: Any) -> None:
        given = {"in_use": 6, "reserved": 0, **numbers}
        insert("quota_usages", project_id=project, resource="floating_ips", updated_at=datetime.datetime.now(), **given)

    @staticmethod
    def used(project: str = "project") -> Row:
        found: Row = quota_usages.quota_usage_get_all_by_project(get_admin_context(), project)
        return found.get("floating_ips")

    def test_addresses_and_usages_go(
        self, admin: RequestContext, frozen_clock: FrozenClock, sql_log: Callable[[], Any]
    ) -> None:
        rows = [floating_ip(f"172.16.0.{number}", project_id="project") for number in range(6)]
        self.usage()
        now = frozen_clock.advance(5)
        with sql_log() as statements:
            floating_ips.floating_ip_bulk_destroy(admin, ({"address": row["address"]} for row in rows[:3]))
        assert sum("floating_ips" in statement.split("WHERE")[0] for statement in statements) == 2
        assert self.used() == {"in_use": 3, "reserved": 0}
        assert [stored(row) for row in rows[:3]] == [
            row | {"deleted": row["id"], "deleted_at": now} for row in rows[:3]
        ]
        assert [stored(row) for row in rows[3:]] == rows[3:]
        with tx.reader(admin) as transaction:
            (reservation,) = transaction.rows(sa.select(tables.reservations))
        assert (reservation["delta"], reservation["project_id"], reservation["user_id"]) == (-3, "project", None)
        assert reservation["deleted"] == reservation["id"]

    def test_what_is_in_no_usage(self, admin: RequestContext) -> None:
        floating_ip(A)
        floating_ip(B, project_id="project", auto_assigned=True)
        self.usage()
        floating_ips.floating_ip_bulk_destroy(admin, ips=[{"address": address} for address in (A, B, *NO_ADDRESSES)])
        assert self.used() == {"in_use": 6, "reserved": 0}
        with pytest.raises(exceptions.NoFloatingIpsDefined):
            floating_ips.floating_ip_get_all(admin)
        with tx.reader(admin) as transaction:
            assert len(transaction.rows(sa.select(tables.quota_usages))) == 1

    def test_every_project(self, admin: RequestContext) -> None:
        for number, project in enumerate(("q", "p", "q")):
            floating_ip(f"172.16.0.{number}", project_id=project)
        for project in ("p", "q"):
            self.usage(project)
        floating_ips.floating_ip_bulk_destroy(admin, [{"address": f"172.16.0.{number}"} for number in range(3)])
        assert [self.used(project)["in_use"] for project in ("p", "q")] == [5, 4]

    def test_more_than_a_block_and_addresses_twice(self, admin: RequestContext, sql_log: Callable[[], Any]) -> None:
        given = [{"address": f"172.16.{number >> 8}.{number & 255}"} for number in range(300)]
        floating_ips.floating_ip_bulk_create(admin, given, False)
        with sql_log() as statements:
            floating_ips.floating_ip_bulk_destroy(admin, given + given)
        assert len(statements) == 4
        with pytest.raises(exceptions.NoFloatingIpsDefined):
            floating_ips.floating_ip_get_all(admin)

    @pytest.mark.parametrize("numbers", [None, {"in_use": -1}, {"in_use": 9, "until_refresh": 1}])
    def test_a_usage_that_is_counted_anew(
        self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch, numbers: Row
    ) -> None:
        monkeypatch.setattr(settings, "until_refresh", 1)
        for number in range(3):
            floating_ip(f"172.16.0.{number}", project_id="project")
        if numbers is not None:
            self.usage(**numbers)
        floating_ips.floating_ip_bulk_destroy(admin, [{"address": "172.16.0.0"}])
        assert self.used() == {"in_use": 2, "reserved": 0}

    def test_deleted_ones_are_not_destroyed_again(self) -> None:
        admin = get_admin_context("yes")
        row = floating_ip(project_id="project", deleted_at=datetime.datetime(2001, 1, 1))
        forget("floating_ips", row)
        self.usage()
        gone = stored(row)
        floating_ips.floating_ip_bulk_destroy(admin, [{"address": A}])
        assert (stored(row), self.used()["in_use"]) == (gone, 6)

    def test_nothing(self, admin: RequestContext, sql_count: SqlCount) -> None:
        with sql_count(0):
            floating_ips.floating_ip_bulk_destroy(admin, iter(()))

    def test_an_error_of_the_quotas_is_logged_and_undoes_all(
        self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def fail(*args: Any, **kwargs: Any) -> None:
            raise RuntimeError("no quotas today")

        row = floating_ip(project_id="project")
        for name in ("reservation_commit", "quota_reserve"):
            with monkeypatch.context() as patch, caplog.at_level(logging.ERROR):
                patch.setattr(quotas, name, fail)
                with pytest.raises(RuntimeError):
                    floating_ips.floating_ip_bulk_destroy(admin, [{"address": A}])
            assert "no quotas today" in caplog.text
            caplog.clear()
            assert stored(row) == row

    @pytest.mark.only_on("mysql", "postgresql", why="on sqlite nobody else writes meanwhile")
    def test_two_callers_release_a_quota_once(self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch) -> None:
        floating_ip(project_id="project")
        self.usage()
        start = tx.Transaction._start
        raced: list[int] = []

        def overtaken(self: tx.Transaction, *args: Any, **kwargs: Any) -> Any:
            link = start(self, *args, **kwargs)
            if not raced:
                raced.append(1)
                floating_ips.floating_ip_bulk_destroy(get_admin_context(), [{"address": A}])
            return link

        monkeypatch.setattr(tx.Transaction, "_start", overtaken)
        floating_ips.floating_ip_bulk_destroy(admin, [{"address": A}])
        assert self.used() == {"in_use": 5, "reserved": 0}

    def test_a_conflict_is_met_with_the_same_addresses(
        self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        floating_ip()
        attempts = races.lose(monkeypatch, 1, exceptions.DBDeadlock)
        floating_ips.floating_ip_bulk_destroy(admin, ({"address": address} for address in (A,)))
        assert len(attempts) == 2
        with pytest.raises(exceptions.NoFloatingIpsDefined):
            floating_ips.floating_ip_get_all(admin)
