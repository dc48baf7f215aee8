# SPDX-License-Identifier: Apache-2.0

"""Virtual interfaces (02-networking 9)."""

from __future__ import annotations

import datetime
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.network import virtual_interfaces
from tests.queries import instance_factory

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.backend import Backend
    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

Row = Any


def vif(instance: Row = None, **values: Any) -> Row:
    given = values if instance is None else {"instance_uuid": instance["uuid"], **values}
    return virtual_interfaces.virtual_interface_create(get_admin_context(), given)


def forget(row: Row) -> None:
    instance_factory.deleted("virtual_interfaces", row)


class TestCreate:
    def test_the_new_row_is_what_a_read_shows(self, admin: RequestContext, sql_count: SqlCount) -> None:
        instance = instance_factory.instance()
        with sql_count(1):
            row = vif(instance, address="fa:16:3e:00:00:01", network_id=1, uuid=str(uuid.uuid4()))
        assert virtual_interfaces.virtual_interface_get(admin, row["id"]) == row
        assert set(row) == set(tables.virtual_interfaces.c.keys())

    def test_no_value_is_needed(self, admin: RequestContext) -> None:
        rows = [vif(), vif()]
        assert [row["address"] for row in rows] == [None, None]
        assert virtual_interfaces.virtual_interface_get_all(admin) == rows

    def test_a_taken_address(self, admin: RequestContext) -> None:
        row = vif(address="a")
        with pytest.raises(exceptions.VirtualInterfaceCreateException) as raised:
            vif(address="a")
        assert raised.value.kwargs == {"code": 500}
        forget(row)
        assert vif(address="a")["id"] != row["id"]

    def test_a_taken_address_leaves_the_callers_transaction_alive(self, admin: RequestContext) -> None:
        vif(address="a")
        with tx.writer(admin):
            with pytest.raises(exceptions.VirtualInterfaceCreateException):
                virtual_interfaces.virtual_interface_create(admin, {"address": "a"})
            virtual_interfaces.virtual_interface_create(admin, {"address": "b"})
        assert [row["address"] for row in virtual_interfaces.virtual_interface_get_all(admin)] == ["a", "b"]

    def test_an_instance_that_does_not_exist(self, backend: Backend) -> None:
        missing = str(uuid.uuid4())
        if backend.family == "sqlite":
            assert vif(instance_uuid=missing)["instance_uuid"] == missing
        else:
            with pytest.raises(exceptions.VirtualInterfaceCreateException):
                vif(instance_uuid=missing)

    def test_a_value_that_no_column_holds(self) -> None:
        with pytest.raises(exceptions.VirtualInterfaceCreateException):
            vif(network_id="many")

    @pytest.mark.usefixtures("six_attempts")
    def test_conflicts_stay_conflicts(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def conflict(*args: Any, **kwargs: Any) -> None:
            raise exceptions.DBDeadlock

        monkeypatch.setattr(tx.Transaction, "insert_absent", conflict)
        with pytest.raises(exceptions.DBDeadlock):
            vif()


class TestGet:
    def test_one(self, admin: RequestContext, sql_count: SqlCount) -> None:
        instance, identity = instance_factory.instance(), str(uuid.uuid4())
        row = vif(instance, address="a", network_id=3, uuid=identity)
        vif(instance, address="b", network_id=4)
        with sql_count(4):
            assert virtual_interfaces.virtual_interface_get(admin, row["id"]) == row
            assert virtual_interfaces.virtual_interface_get_by_uuid(admin, identity) == row
            assert virtual_interfaces.virtual_interface_get_by_address(admin, "a") == row
            found = virtual_interfaces.virtual_interface_get_by_instance_and_network(admin, instance["uuid"], 3)
            assert found == row

    @pytest.mark.parametrize(
        "call",
        [
            lambda c: virtual_interfaces.virtual_interface_get(c, 77777),
            lambda c: virtual_interfaces.virtual_interface_get(c, "fake"),  # type: ignore[arg-type]  # what it is about
            lambda c: virtual_interfaces.virtual_interface_get(c, 10**40),
            lambda c: virtual_interfaces.virtual_interface_get_by_uuid(c, "none"),
            lambda c: virtual_interfaces.virtual_interface_get_by_address(c, "i.nv.ali.ip"),
            lambda c: virtual_interfaces.virtual_interface_get_by_instance_and_network(c, "none", 1),
            lambda c: virtual_interfaces.virtual_interface_get_by_instance_and_network(c, "none", "fake"),  # type: ignore[arg-type]  # likewise
        ],
    )
    def test_none(self, admin: RequestContext, call: Callable[[Any], Row]) -> None:
        vif(address="a", network_id=1)
        assert call(admin) is None

    def test_deleted_ones_are_never_seen(self) -> None:
        context = get_admin_context("yes")
        instance = instance_factory.instance()
        row = vif(instance, address="a", uuid="u", network_id=1)
        forget(row)
        assert virtual_interfaces.virtual_interface_get(context, row["id"]) is None
        assert virtual_interfaces.virtual_interface_get_by_uuid(context, "u") is None
        assert virtual_interfaces.virtual_interface_get_by_address(context, "a") is None
        found = virtual_interfaces.virtual_interface_get_by_instance_and_network(context, instance["uuid"], 1)
        assert found is None
        assert virtual_interfaces.virtual_interface_get_by_instance(context, instance["uuid"]) == []
        assert virtual_interfaces.virtual_interface_get_all(context) == []

    def test_the_first_of_several(self, admin: RequestContext) -> None:
        instance = instance_factory.instance()
        first = vif(instance, network_id=1)
        vif(instance, network_id=1)
        calls: Any = virtual_interfaces.virtual_interface_get_by_instance_and_network
        assert calls(admin, instance["uuid"], 1) == calls(admin, instance_id=instance["uuid"], network_id="1") == first

    def test_null_is_a_key(self, admin: RequestContext) -> None:
        vif(address="a", network_id=1)
        row = vif()
        calls: Any = virtual_interfaces
        assert calls.virtual_interface_get_by_address(admin, None) == row
        assert calls.virtual_interface_get_by_instance_and_network(admin, None, None) == row

    def test_a_lookup_that_fails(self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch) -> None:
        failure: list[type[Exception]] = [exceptions.DBError]

        def fail(*args: Any, **kwargs: Any) -> None:
            raise failure[0]

        monkeypatch.setattr(tx.Transaction, "fetched", fail)
        with pytest.raises(exceptions.InvalidIpAddressError, match="fa:16"):
            virtual_interfaces.virtual_interface_get_by_address(admin, "fa:16")
        failure[0] = exceptions.DBDeadlock
        with pytest.raises(exceptions.DBDeadlock):
            virtual_interfaces.virtual_interface_get_by_address(admin, "fa:16")

    def test_all(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        assert virtual_interfaces.virtual_interface_get_all(ctxt) == []
        rows = [vif(address="b"), vif(address="a")]
        with sql_count(1):
            assert virtual_interfaces.virtual_interface_get_all(ctxt) == rows


class TestOfAnInstance:
    def test_in_the_order_of_their_making(self, admin: RequestContext, sql_count: SqlCount) -> None:
        instance, other = instance_factory.instance(), instance_factory.instance()
        late = vif(instance, address="a", created_at=datetime.datetime(2016, 1, 3))
        early = vif(instance, address="b", created_at=datetime.datetime(2016, 1, 1))
        twin = vif(instance, address="c", created_at=datetime.datetime(2016, 1, 1))
        vif(other, address="d")
        with sql_count(1):
            found = virtual_interfaces.virtual_interface_get_by_instance(admin, instance["uuid"])
        assert found == [early, twin, late]
        calls: Any = virtual_interfaces.virtual_interface_get_by_instance
        assert calls(admin, instance_id=instance["uuid"]) == found

    def test_none(self, admin: RequestContext) -> None:
        instance = instance_factory.instance()
        assert virtual_interfaces.virtual_interface_get_by_instance(admin, instance["uuid"]) == []

    def test_the_instance_must_be_there_for_the_context(self, admin: RequestContext, ctxt: RequestContext) -> None:
        own, foreign = instance_factory.instance(), instance_factory.instance(project_id="other")
        gone = instance_factory.instance()
        for instance in (own, foreign, gone):
            vif(instance)
        instance_factory.deleted("instances", gone)
        seen = virtual_interfaces.virtual_interface_get_by_instance
        assert len(seen(ctxt, own["uuid"])) == len(seen(admin, foreign["uuid"])) == 1
        assert len(seen(get_admin_context("yes"), gone["uuid"])) == 1
        missing: list[tuple[Any, Any]] = [
            (ctxt, foreign),
            (admin, gone),
            (admin, {"uuid": "none"}),
            (ctxt, {"uuid": None}),
        ]
        for context, instance in missing:
            with pytest.raises(exceptions.InstanceNotFound) as raised:
                seen(context, instance["uuid"])
            assert raised.value.kwargs["instance_id"] == instance["uuid"]

    def test_the_replica_serves(self, admin: RequestContext) -> None:
        instance = instance_factory.instance()
        row = vif(instance)
        with tx.reader(admin, replica=True):
            assert virtual_interfaces.virtual_interface_get_by_instance(admin, instance["uuid"]) == [row]
            with pytest.raises(TypeError):
                virtual_interfaces.virtual_interface_get_all(admin)

    def test_delete(self, admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        instance, other = instance_factory.instance(), instance_factory.instance()
        rows = [vif(instance, address="a"), vif(instance, address="b")]
        stays = vif(other, address="c")
        now = frozen_clock.advance(5)
        with sql_count(1):
            virtual_interfaces.virtual_interface_delete_by_instance(admin, instance["uuid"])
        assert virtual_interfaces.virtual_interface_get_all(admin) == [stays]
        assert virtual_interfaces.virtual_interface_get_by_instance(admin, instance["uuid"]) == []
        t = tables.virtual_interfaces
        with tx.reader(admin) as transaction:
            gone = transaction.rows(sa.select(t).where(t.c.deleted != 0).order_by(t.c.id))
        assert gone == [row | {"deleted": row["id"], "deleted_at": now} for row in rows]
        frozen_clock.advance(5)
        calls: Any = virtual_interfaces.virtual_interface_delete_by_instance
        calls(admin, instance_id=instance["uuid"])
        with tx.reader(admin) as transaction:
            assert transaction.rows(sa.select(t).where(t.c.deleted != 0).order_by(t.c.id)) == gone


def test_a_cell_has_its_own(admin: RequestContext, backend: Backend) -> None:
    with backend.new_database() as url:
        cell = tx.Database("cell")
        cell.configure(url)
        tables.metadata.create_all(cell.engine)
        context = get_admin_context()
        context.db_connection = cell
        try:
            row = virtual_interfaces.virtual_interface_create(context, {"address": "a"})
            assert virtual_interfaces.virtual_interface_get_all(context) == [row]
            assert virtual_interfaces.virtual_interface_get_by_address(context, "a") == row
            assert virtual_interfaces.virtual_interface_get_all(admin) == []
            virtual_interfaces.virtual_interface_delete_by_instance(context, None)  # type: ignore[arg-type]  # NULL
            assert virtual_interfaces.virtual_interface_get_all(context) == []
        finally:
            cell.close()
