# SPDX-License-Identifier: Apache-2.0

"""Consoles and their pools (01-core 13)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest

from nova_sqlcore import RequestContext, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.compute import consoles
from tests.queries import instance_factory

if TYPE_CHECKING:
    from tests.plugins.backend import Backend
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

Row = Any
KEY = {"host": "proxy", "console_type": "xvp", "compute_host": "compute"}


def pool(**more: Any) -> Row:
    return consoles.console_pool_create(get_admin_context(), {**KEY, "address": "10.0.0.1", "password": "p", **more})


def console(pool_row: Row | None = None, instance: str | None = None, **more: Any) -> Row:
    given = {"pool_id": pool_row and pool_row["id"], "instance_uuid": instance, "port": 5900, **more}
    return consoles.console_create(get_admin_context(), given)


@pytest.fixture
def instance(backend: Backend) -> str:
    """Return the uuid of an instance."""
    return str(instance_factory.instance()["uuid"])


def forget(table: str, row: Row) -> None:
    instance_factory.deleted(table, row)


class TestPools:
    def test_the_new_row_is_what_a_read_shows(self, admin: RequestContext, sql_count: SqlCount) -> None:
        with sql_count(2):
            row = pool(address="fe80:0:0::1")
            found = consoles.console_pool_get_by_host_type(admin, "compute", "proxy", "xvp")
        assert found == row | {"consoles": []}
        assert set(row) == set(tables.console_pools.c.keys())
        assert row["address"] == "fe80::1"

    def test_a_taken_key_is_named(self, admin: RequestContext) -> None:
        row = pool()
        with pytest.raises(exceptions.ConsolePoolExists) as raised:
            pool(password="other")
        assert {name: raised.value.kwargs[name] for name in KEY} == KEY
        forget("console_pools", row)
        assert pool()["id"] != row["id"]

    def test_the_consoles_of_a_pool(self, admin: RequestContext, instance: str, sql_count: SqlCount) -> None:
        mine, other = pool(), pool(compute_host="other")
        held = [console(mine, instance), console(mine, port=1), console(mine)]
        console(other)
        with sql_count(1):
            found = consoles.console_pool_get_by_host_type(admin, "compute", "proxy", "xvp")
        assert found == mine | {"consoles": held}

    def test_the_public_face_says_proxy_host(self, admin: RequestContext) -> None:
        pool()
        get: Any = consoles.console_pool_get_by_host_type
        assert get(admin, "compute", proxy_host="proxy", console_type="xvp")["host"] == "proxy"

    def test_no_such_pool(self) -> None:
        row = pool()
        console(row)
        for values in (("none", "proxy", "xvp"), ("compute", "none", "xvp"), ("compute", "proxy", "none")):
            with pytest.raises(exceptions.ConsolePoolNotFoundForHostType) as raised:
                consoles.console_pool_get_by_host_type(get_admin_context(), *values)
            named = dict(zip(("compute_host", "host", "console_type"), values, strict=True))
            assert {name: raised.value.kwargs[name] for name in named} == named
        forget("console_pools", row)
        with pytest.raises(exceptions.ConsolePoolNotFoundForHostType):
            consoles.console_pool_get_by_host_type(get_admin_context("yes"), "compute", "proxy", "xvp")

    def test_all_of_a_proxy(self, admin: RequestContext, sql_count: SqlCount) -> None:
        assert consoles.console_pool_get_all_by_host_type(admin, "proxy", "xvp") == []
        first, second = pool(), pool(compute_host="second")
        pool(console_type="other")
        pool(host="other")
        gone = pool(compute_host="gone")
        forget("console_pools", gone)
        held = [console(second), console(first), console(second), console(gone)]
        with sql_count(1):
            found = consoles.console_pool_get_all_by_host_type(get_admin_context("yes"), "proxy", "xvp")
        assert found == [first | {"consoles": [held[1]]}, second | {"consoles": [held[0], held[2]]}]

    def test_the_first_of_several_pools_without_host(self, admin: RequestContext) -> None:
        first = pool(host=None)
        pool(host=None)
        held = [console(first), console(first)]
        found = consoles.console_pool_get_by_host_type(admin, "compute", None, "xvp")  # type: ignore[arg-type]  # NULL
        assert found == first | {"consoles": held}


class TestConsoles:
    def test_the_new_row_is_what_a_read_shows(self, admin: RequestContext, instance: str, sql_count: SqlCount) -> None:
        home = pool()
        with sql_count(2):
            row = console(home, instance, password="x", port="5901")
            assert consoles.console_get(admin, row["id"]) == row | {"pool": home}
        assert set(row) == set(tables.consoles.c.keys())
        assert row["port"] == 5901
        assert console(home, instance)["id"] != row["id"]

    def test_a_console_without_pool(self, admin: RequestContext) -> None:
        row = console()
        assert consoles.console_get(admin, row["id"]) == row | {"pool": None}

    def test_dangling_references(self, backend: Backend) -> None:
        for given in ({"pool_id": 77777}, {"instance_uuid": str(uuid.uuid4())}):
            if backend.family == "sqlite":
                assert consoles.console_create(get_admin_context(), given).items() >= given.items()
            else:
                with pytest.raises(exceptions.DBReferenceError):
                    consoles.console_create(get_admin_context(), given)

    def test_get_of_an_instance(self, admin: RequestContext, instance: str, sql_count: SqlCount) -> None:
        row = console(pool(), instance)
        other = str(uuid.uuid4())
        with sql_count(2):
            assert consoles.console_get(admin, str(row["id"]), instance)["id"] == row["id"]  # type: ignore[arg-type]
            with pytest.raises(exceptions.ConsoleNotFoundForInstance) as raised:
                consoles.console_get(admin, row["id"], other)
        assert (raised.value.kwargs["console_id"], raised.value.kwargs["instance_uuid"]) == (row["id"], other)
        with pytest.raises(exceptions.ConsoleNotFound) as missing:
            consoles.console_get(admin, row["id"], "")
        assert type(missing.value) is exceptions.ConsoleNotFound

    @pytest.mark.parametrize("identity", [77777, "fake", 10**40])
    def test_no_such_id(self, admin: RequestContext, identity: Any) -> None:
        console()
        with pytest.raises(exceptions.ConsoleNotFound) as raised:
            consoles.console_get(admin, identity)
        assert raised.value.kwargs["console_id"] == identity
        consoles.console_delete(admin, identity)
        with pytest.raises(exceptions.ConsoleNotFoundInPoolForInstance) as missing:
            consoles.console_get_by_pool_instance(admin, identity, "u")
        assert (missing.value.kwargs["pool_id"], missing.value.kwargs["instance_uuid"]) == (identity, "u")

    def test_of_a_pool_and_an_instance(self, admin: RequestContext, instance: str, sql_count: SqlCount) -> None:
        home, other = pool(), pool(host="other")
        console(other, instance)
        console(home)
        first = console(home, instance)
        console(home, instance)
        with sql_count(1):
            assert consoles.console_get_by_pool_instance(admin, home["id"], instance) == first | {"pool": home}
        stray = console(None, instance)
        found = consoles.console_get_by_pool_instance(admin, None, instance)  # type: ignore[arg-type]  # NULL
        assert found == stray | {"pool": None}

    def test_all_of_an_instance(self, admin: RequestContext, instance: str, sql_count: SqlCount) -> None:
        assert consoles.console_get_all_by_instance(admin, instance) == []
        home, other = pool(), pool(host="other")
        rows = [console(other, instance), console(home, instance), console(None, instance)]
        console(home)
        with sql_count(3):
            assert consoles.console_get_all_by_instance(admin, instance) == rows
            assert consoles.console_get_all_by_instance(admin, instance, columns_to_join=[]) == rows
            joined = consoles.console_get_all_by_instance(admin, instance, columns_to_join=["pool"])
        assert joined == [row | {"pool": held} for row, held in zip(rows, (other, home, None), strict=True)]

    def test_unknown_joins_are_refused(self, admin: RequestContext, sql_count: SqlCount) -> None:
        with sql_count(0), pytest.raises(ValueError, match="pools"):
            consoles.console_get_all_by_instance(admin, "u", columns_to_join=["pools"])

    def test_everything_is_visible(self, admin: RequestContext, instance: str) -> None:
        home = pool()
        row = console(home, instance)
        forget("consoles", row)
        forget("console_pools", home)
        found: Row = consoles.console_get(admin, row["id"])
        assert found["pool"]["id"] == home["id"]
        assert len(consoles.console_get_all_by_instance(admin, instance)) == 1
        assert consoles.console_get_by_pool_instance(admin, home["id"], instance)["id"] == row["id"]
        consoles.console_delete(admin, row["id"])
        assert consoles.console_get_all_by_instance(admin, instance) == []

    def test_deleted_for_good(self, admin: RequestContext, sql_count: SqlCount) -> None:
        row, other = console(), console()
        with sql_count(2):
            consoles.console_delete(admin, row["id"])
            consoles.console_delete(admin, row["id"])
        with tx.reader(admin) as transaction:
            assert transaction.scalars(tables.consoles.select().with_only_columns(tables.consoles.c.id)) == [
                other["id"]
            ]
