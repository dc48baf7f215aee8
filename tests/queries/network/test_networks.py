# SPDX-License-Identifier: Apache-2.0

"""Networks, and the networks of projects (02-networking 6 and 7)."""

from __future__ import annotations

import functools
import ipaddress
import uuid
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from nova_sqlcore import RequestContext, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.network import fixed_ips, networks
from tests.queries import instance_factory, races
from tests.queries.instance_factory import insert

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

Row = Any

NO_IDS = (77777, "fake", 10**40, "9" * 5000, -1)


def network(**values: Any) -> Row:
    return networks.network_create_safe(get_admin_context(), values)


def fixed_ip(network_row: Row = None, **values: Any) -> Row:
    return insert("fixed_ips", network_id=network_row and network_row["id"], **values)


def forget(table: str, row: Row) -> None:
    instance_factory.deleted(table, row)


def ids(rows: Any) -> list[int]:
    return [row["id"] for row in rows]


class TestCreate:
    def test_the_new_row_is_what_a_read_shows(self, admin: RequestContext, sql_count: SqlCount) -> None:
        given = {"vlan": 5, "cidr": "10.0.0.5/24", "cidr_v6": ipaddress.ip_network("2001:DB8:0::/48"), "label": "l"}
        with sql_count(1):
            row = networks.network_create_safe(admin, given)
        assert networks.network_get(admin, row["id"]) == row
        assert set(row) == set(tables.networks.c.keys())
        assert (row["cidr"], row["cidr_v6"], row["vlan"]) == ("10.0.0.0/24", "2001:db8::/48", 5)
        assert (row["injected"], row["multi_host"], row["enable_dhcp"], row["share_address"]) == (
            False,
            False,
            True,
            False,
        )
        assert "uuid" not in given

    def test_the_uuid(self) -> None:
        row, other = network(), network()
        assert len(row["uuid"]) == 36
        assert str(uuid.UUID(row["uuid"])) == row["uuid"] != other["uuid"]
        assert network(uuid="mine")["uuid"] == "mine"
        assert network(uuid=None)["uuid"] is None

    def test_a_taken_vlan(self, admin: RequestContext) -> None:
        row = network(vlan=1)
        with pytest.raises(exceptions.DuplicateVlan) as raised:
            network(vlan=1)
        assert (raised.value.kwargs["vlan"], raised.value.code) == (1, 409)
        with tx.writer(admin):
            with pytest.raises(exceptions.DuplicateVlan):
                networks.network_create_safe(admin, {"vlan": 1})
            networks.network_create_safe(admin, {"vlan": 2})
        forget("networks", row)
        assert network(vlan=1)["vlan"] == 1

    def test_no_vlan_is_never_taken(self, admin: RequestContext) -> None:
        rows = [network(), network(vlan=None)]
        assert networks.network_get_all(admin) == rows


class TestGet:
    def test_get(self, admin: RequestContext, sql_count: SqlCount) -> None:
        row = network(label="l")
        with sql_count(1):
            assert networks.network_get(admin, row["id"]) == row
        identity: Any = str(row["id"])
        assert networks.network_get(admin, identity) == row

    @pytest.mark.parametrize("identity", NO_IDS)
    @pytest.mark.parametrize(
        "call",
        [
            networks.network_get,
            networks.network_delete_safe,
            networks.network_disassociate,
            lambda c, i: networks.network_set_host(c, i, "h"),
            lambda c, i: networks.network_update(c, i, {"label": "l"}),
            lambda c, i: networks.network_update(c, i, {}),
            lambda c, i: networks.network_disassociate(c, i, False, False),
        ],
    )
    def test_no_such_id(self, admin: RequestContext, identity: Any, call: Callable[..., Any]) -> None:
        network()
        with pytest.raises(exceptions.NetworkNotFound) as raised:
            call(admin, identity)
        assert raised.value.kwargs["network_id"] == identity

    @pytest.mark.parametrize(
        ("project_only", "user_sees"),
        [
            ("allow_none", ["own", None]),
            (True, ["own"]),
            ("anything", ["own"]),
            (False, ["own", "other", None]),
            (None, ["own", "other", None]),
        ],
    )
    def test_whose(self, admin: RequestContext, project_only: Any, user_sees: list[str | None]) -> None:
        user = RequestContext("user", "own")
        rows = [network(project_id=project) for project in ("own", "other", None)]
        seen = [row for row in rows if row["project_id"] in user_sees]
        assert networks.network_get_all(admin, project_only) == rows
        assert networks.network_get_all(user, project_only) == seen
        uuids = [row["uuid"] for row in seen]
        assert networks.network_get_all_by_uuids(user, uuids, project_only) == seen
        for row in rows:
            assert networks.network_get(admin, row["id"], project_only) == row
            if row in seen:
                assert networks.network_get(user, row["id"], project_only) == row
            else:
                with pytest.raises(exceptions.NetworkNotFound):
                    networks.network_get(user, row["id"], project_only)

    def test_visibility(self, admin: RequestContext) -> None:
        row = network(uuid="u", cidr="10.0.0.0/24")
        forget("networks", row)
        context = get_admin_context("yes")
        assert networks.network_get(context, row["id"])["deleted"] == row["id"]
        with pytest.raises(exceptions.NetworkNotFound):
            networks.network_get(admin, row["id"])
        with pytest.raises(exceptions.NoNetworksFound):
            networks.network_get_all(context)
        with pytest.raises(exceptions.NoNetworksFound):
            networks.network_get_all_by_uuids(context, ["u"])
        with pytest.raises(exceptions.NetworkNotFoundForUUID):
            networks.network_get_by_uuid(context, "u")
        with pytest.raises(exceptions.NetworkNotFoundForCidr):
            networks.network_get_by_cidr(context, "10.0.0.0/24")

    def test_by_uuid(self, admin: RequestContext, sql_count: SqlCount) -> None:
        rows = [network(uuid="u"), network(uuid="u")]
        with sql_count(1):
            assert networks.network_get_by_uuid(RequestContext(), "u") == rows[0]
        with pytest.raises(exceptions.NetworkNotFoundForUUID) as raised:
            networks.network_get_by_uuid(admin, "none")
        assert raised.value.kwargs["uuid"] == "none"

    def test_by_cidr(self, admin: RequestContext, sql_count: SqlCount) -> None:
        row = network(cidr="192.168.3.0/24", cidr_v6="2001:db8::/64")
        network(cidr="192.168.3.0/24")
        with sql_count(3):
            assert networks.network_get_by_cidr(RequestContext(), "192.168.3.0/24") == row
            assert networks.network_get_by_cidr(admin, "2001:DB8:0:0::/64") == row
            assert networks.network_get_by_cidr(admin, ipaddress.ip_network("2001:db8::/64")) == row  # type: ignore[arg-type]  # an address object

    @pytest.mark.parametrize("cidr", ["10.0.0.0/24", "fe80::/64", "no network", "", "10.0.0.0/99"])
    def test_no_such_cidr(self, admin: RequestContext, cidr: str) -> None:
        network(cidr="192.168.3.0/24", cidr_v6="2001:db8::/64")
        with tx.writer(admin):
            with pytest.raises(exceptions.NetworkNotFoundForCidr) as raised:
                networks.network_get_by_cidr(admin, cidr)
            assert len(networks.network_get_all(admin)) == 1, "the transaction lives on"
        assert raised.value.kwargs["cidr"] == cidr

    def test_null_is_a_cidr(self, admin: RequestContext) -> None:
        row = network(cidr_v6="2001:db8::/64")
        assert networks.network_get_by_cidr(admin, None) == row  # type: ignore[arg-type]  # what it is about


class TestLists:
    def test_all(self, admin: RequestContext, sql_count: SqlCount) -> None:
        with pytest.raises(exceptions.NoNetworksFound):
            networks.network_get_all(admin)
        rows = [network(), network()]
        with sql_count(1):
            assert networks.network_get_all(admin) == rows

    def test_by_uuids(self, admin: RequestContext, sql_count: SqlCount) -> None:
        rows = [network() for _ in range(3)]
        wanted = [rows[2]["uuid"], rows[0]["uuid"], rows[2]["uuid"]]
        with sql_count(1):
            assert networks.network_get_all_by_uuids(admin, iter(wanted)) == [rows[0], rows[2]]

    def test_by_no_uuids(self, admin: RequestContext, sql_count: SqlCount) -> None:
        network()
        with sql_count(0), pytest.raises(exceptions.NoNetworksFound):
            networks.network_get_all_by_uuids(admin, [])
        with pytest.raises(exceptions.NoNetworksFound):
            networks.network_get_all_by_uuids(admin, ["none"])

    def test_by_many_uuids(self, admin: RequestContext, sql_count: SqlCount) -> None:
        row = network()
        with sql_count(3), pytest.raises(exceptions.NetworkNotFound):
            networks.network_get_all_by_uuids(admin, [*map(str, range(1000)), row["uuid"]], False)

    @pytest.mark.parametrize("context", [get_admin_context(), RequestContext("user", "own")])
    def test_the_first_missing_uuid_is_named(self, context: RequestContext) -> None:
        wanted = [network()["uuid"], "y", "x"]
        with pytest.raises(exceptions.NetworkNotFoundForProject) as raised:
            networks.network_get_all_by_uuids(context, wanted)
        assert (raised.value.kwargs["network_uuid"], raised.value.kwargs["project_id"]) == ("y", context.project_id)
        with pytest.raises(exceptions.NetworkNotFound) as other:
            networks.network_get_all_by_uuids(context, wanted, project_only=False)
        assert (type(other.value), other.value.kwargs["network_id"]) == (exceptions.NetworkNotFound, "y")

    def test_by_host(self, admin: RequestContext, sql_count: SqlCount) -> None:
        own, of_address, of_instance, of_all, none = (network(host=host) for host in ("h", None, "x", "h", "x"))
        instance = instance_factory.instance(host="h")
        instance_factory.deleted("instances", instance)
        elsewhere = instance_factory.instance(host="x")
        for owner in (of_address, of_all):
            fixed_ip(owner, host="h")
        for owner in (of_instance, of_all):
            fixed_ip(owner, instance_uuid=instance["uuid"])
        fixed_ip(none, instance_uuid=elsewhere["uuid"], host="x")
        fixed_ip(None, host="h")
        with sql_count(1):
            found = networks.network_get_all_by_host(RequestContext(), "h")
        assert found == [own, of_address, of_instance, of_all]
        assert networks.network_get_all_by_host(admin, "nowhere") == []

    def test_by_host_sees_the_addresses_that_the_context_sees(self, admin: RequestContext) -> None:
        rows = [network(), network(host="h")]
        address = fixed_ip(rows[0], host="h")
        forget("fixed_ips", address)
        forget("networks", network(host="h"))
        assert networks.network_get_all_by_host(admin, "h") == [rows[1]]
        assert networks.network_get_all_by_host(get_admin_context("yes"), "h") == rows
        assert networks.network_get_all_by_host(get_admin_context("only"), "h") == rows

    def test_by_no_host(self, admin: RequestContext) -> None:
        row = network()
        network(host="h")
        assert networks.network_get_all_by_host(admin, None) == [row]  # type: ignore[arg-type]  # what it is about


class TestAddresses:
    def test_count_reserved(self, admin: RequestContext, sql_count: SqlCount) -> None:
        row, other = network(), network()
        for reserved in (True, True, False):
            fixed_ip(row, reserved=reserved)
        fixed_ip(other, reserved=True)
        forget("fixed_ips", fixed_ip(row, reserved=True))
        with sql_count(1):
            assert networks.network_count_reserved_ips(get_admin_context("yes"), row["id"]) == 2
        for identity in NO_IDS:
            assert networks.network_count_reserved_ips(admin, identity) == 0  # type: ignore[arg-type]  # text, too

    def test_associated(self, admin: RequestContext, sql_count: SqlCount) -> None:
        row = network()
        instance = instance_factory.instance(host="h", hostname="name")
        vif = insert("virtual_interfaces", address="fa:16", instance_uuid=instance["uuid"])
        fixed_ip(
            row, address="10.0.0.1", instance_uuid=instance["uuid"], virtual_interface_id=vif["id"], allocated=True
        )
        with sql_count(1):
            found = networks.network_get_associated_fixed_ips(RequestContext(), row["id"])
        assert found == [
            {
                "address": "10.0.0.1",
                "instance_uuid": instance["uuid"],
                "network_id": row["id"],
                "allocated": True,
                "leased": False,
                "vif_id": vif["id"],
                "vif_address": "fa:16",
                "instance_hostname": "name",
                "instance_updated": None,
                "instance_created": instance["created_at"],
                "default_route": True,
            }
        ]
        assert found[0]["default_route"] is True

    def test_associated_are_live_with_a_live_interface_and_a_live_instance(self) -> None:
        admin = get_admin_context("yes")
        row, other = network(), network()
        live, gone = instance_factory.instance(host="h"), instance_factory.instance(host="h")
        instance_factory.deleted("instances", gone)
        vif, gone_vif = (insert("virtual_interfaces", instance_uuid=live["uuid"]) for _ in range(2))
        forget("virtual_interfaces", gone_vif)
        used = {"instance_uuid": live["uuid"], "virtual_interface_id": vif["id"]}
        fixed_ip(row, address="10.0.0.1", **used)
        fixed_ip(row, address="10.0.0.2", **used | {"instance_uuid": gone["uuid"]})
        fixed_ip(row, address="10.0.0.3", **used | {"virtual_interface_id": gone_vif["id"]})
        fixed_ip(row, address="10.0.0.4", **used | {"virtual_interface_id": None})
        fixed_ip(row, address="10.0.0.5", **used | {"instance_uuid": None})
        forget("fixed_ips", fixed_ip(row, address="10.0.0.6", **used))
        fixed_ip(other, address="10.0.0.7", **used)
        found = networks.network_get_associated_fixed_ips(admin, row["id"])
        assert [one["address"] for one in found] == ["10.0.0.1"]
        assert networks.network_in_use_on_host(admin, row["id"]) is True

    def test_on_a_host(self, admin: RequestContext, sql_count: SqlCount) -> None:
        row = network()
        for number, host in enumerate(("h", "i", None)):
            instance = instance_factory.instance(host=host)
            vif = insert("virtual_interfaces", instance_uuid=instance["uuid"])
            fixed_ip(row, address=f"10.0.0.{number}", instance_uuid=instance["uuid"], virtual_interface_id=vif["id"])
        for host, addresses in (("h", ["10.0.0.0"]), ("i", ["10.0.0.1"]), ("j", [])):
            with sql_count(2):
                found = networks.network_get_associated_fixed_ips(admin, row["id"], host)
                assert networks.network_in_use_on_host(admin, row["id"], host) is bool(addresses)
            assert [one["address"] for one in found] == addresses
        for nowhere in (None, ""):
            assert len(networks.network_get_associated_fixed_ips(admin, row["id"], host=nowhere)) == 3
            assert networks.network_in_use_on_host(admin, row["id"], host=nowhere) is True

    @pytest.mark.parametrize("identity", NO_IDS)
    def test_of_no_network(self, admin: RequestContext, identity: Any) -> None:
        assert networks.network_get_associated_fixed_ips(admin, identity) == []
        assert networks.network_in_use_on_host(RequestContext(), identity) is False

    def test_the_first_interface_has_the_default_route(self, admin: RequestContext) -> None:
        first, second = network(), network()
        instance = instance_factory.instance()
        vifs = [insert("virtual_interfaces", instance_uuid=instance["uuid"]) for _ in range(2)]
        vifs.append(insert("virtual_interfaces"))
        for owner, vif in zip((first, second, second), vifs, strict=True):
            fixed_ip(owner, instance_uuid=instance["uuid"], virtual_interface_id=vif["id"])
        routes = networks.network_get_associated_fixed_ips
        assert [one["default_route"] for one in routes(admin, first["id"])] == [True]
        assert [one["default_route"] for one in routes(admin, second["id"])] == [False, False]
        forget("virtual_interfaces", vifs[0])
        assert [one["default_route"] for one in routes(admin, second["id"])] == [False, False]


class TestUpdate:
    def test_named_columns_are_written(
        self, admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        row = network(vlan=1)
        now = frozen_clock.advance(5)
        with sql_count(mysql=2, default=1):
            after = networks.network_update(admin, row["id"], {"label": "l", "vlan": 2, "cidr_v6": "2001:DB8::1/64"})
        assert after == row | {"label": "l", "vlan": 2, "cidr_v6": "2001:db8::/64", "updated_at": now}
        assert networks.network_get(admin, row["id"]) == after
        assert networks.network_update(admin, row["id"], {"vlan": None})["vlan"] is None
        assert networks.network_update(admin, row["id"], {"vlan": None})["id"] == row["id"], "equal values find the row"

    @pytest.mark.filterwarnings("ignore::nova_sqlcore.UnknownColumnWarning")
    @pytest.mark.parametrize("values", [{}, {"no_column": 1}])
    def test_nothing_to_write(self, admin: RequestContext, values: Row, sql_count: SqlCount) -> None:
        row = network()
        with sql_count(1):
            assert networks.network_update(admin, row["id"], values) == row

    def test_a_taken_vlan(self, admin: RequestContext) -> None:
        network(vlan=1)
        row = network(vlan=2)
        with pytest.raises(exceptions.DuplicateVlan) as raised:
            networks.network_update(admin, row["id"], {"vlan": 1})
        assert raised.value.kwargs["vlan"] == 1
        assert networks.network_get(admin, row["id"]) == row

    def test_whose(self, ctxt: RequestContext) -> None:
        rows = [network(project_id=project) for project in ("project", None, "other")]
        for row in rows[:2]:
            assert networks.network_update(ctxt, row["id"], {"label": "l"})["label"] == "l"
            networks.network_disassociate(ctxt, row["id"])
        with pytest.raises(exceptions.NetworkNotFound):
            networks.network_update(ctxt, rows[2]["id"], {"label": "l"})
        with pytest.raises(exceptions.NetworkNotFound):
            networks.network_disassociate(ctxt, rows[2]["id"])
        assert networks.network_get(get_admin_context(), rows[2]["id"]) == rows[2]

    def test_visibility(self, admin: RequestContext) -> None:
        row = network()
        forget("networks", row)
        for values in ({"label": "l"}, {}):
            with pytest.raises(exceptions.NetworkNotFound):
                networks.network_update(admin, row["id"], values)
        assert networks.network_update(get_admin_context("yes"), row["id"], {"label": "l"})["label"] == "l"

    def test_an_update_may_hide_its_row(self, admin: RequestContext, ctxt: RequestContext) -> None:
        assert networks.network_update(ctxt, network()["id"], {"project_id": "other"})["project_id"] == "other"
        row = network()
        assert networks.network_update(admin, row["id"], {"deleted": row["id"]})["deleted"] == row["id"]

    @pytest.mark.parametrize("host_goes", [True, False])
    @pytest.mark.parametrize("project_goes", [True, False])
    def test_disassociate(
        self, admin: RequestContext, host_goes: bool, project_goes: bool, sql_count: SqlCount
    ) -> None:
        row = network(host="h", project_id="p")
        other = network(host="h", project_id="p")
        with sql_count(1):
            networks.network_disassociate(
                admin, row["id"], disassociate_host=host_goes, disassociate_project=project_goes
            )
        after = networks.network_get(admin, row["id"])
        assert (after["host"], after["project_id"]) == (None if host_goes else "h", None if project_goes else "p")
        assert networks.network_get(admin, other["id"]) == other
        networks.network_disassociate(admin, row["id"])
        networks.network_disassociate(admin, row["id"])


class TestSetHost:
    def test_once(self, admin: RequestContext, sql_count: SqlCount) -> None:
        row = network()
        with sql_count(1):
            networks.network_set_host(RequestContext(), row["id"], "h")
        assert networks.network_get(admin, row["id"])["host"] == "h"
        with sql_count(2):
            networks.network_set_host(admin, row["id"], "i")
        assert networks.network_get(admin, row["id"])["host"] == "h"

    def test_a_deleted_network(self) -> None:
        row = network()
        forget("networks", row)
        with pytest.raises(exceptions.NetworkNotFound):
            networks.network_set_host(get_admin_context("yes"), row["id"], "h")

    @pytest.mark.parametrize("losses", [1, 5, 6])
    @pytest.mark.parametrize("error", [None, exceptions.DBDeadlock])
    def test_lost_races(
        self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch, losses: int, error: type[Exception] | None
    ) -> None:
        row = network()
        attempts = races.lose(monkeypatch, losses, error)
        if losses < 6:
            networks.network_set_host(admin, row["id"], "h")
            assert networks.network_get(admin, row["id"])["host"] == "h"
            assert len(attempts) == losses + 1
            return
        expected: type[Any] = error or exceptions.NetworkSetHostFailed
        with pytest.raises(expected) as raised:
            networks.network_set_host(admin, row["id"], "h")
        assert len(attempts) == 6
        if error is None:
            assert raised.value.kwargs["network_id"] == row["id"]


class TestAssociate:
    def test_a_project_keeps_its_network(self, admin: RequestContext, sql_count: SqlCount) -> None:
        owned, free = network(project_id="p"), network()
        with sql_count(1):
            assert networks.network_associate(RequestContext(), "p") == owned
        assert networks.network_associate(admin, "p", network_id=free["id"]) == owned
        assert networks.network_get(admin, free["id"]) == free

    def test_a_free_network_is_taken(
        self, admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        network(project_id="other")
        forget("networks", network())
        row = network()
        now = frozen_clock.advance(5)
        with sql_count(sqlite=2, postgresql=3, mysql=5):
            after = networks.network_associate(admin, "p")
        assert after == row | {"project_id": "p", "updated_at": now}
        assert networks.network_get(admin, row["id"]) == after

    def test_the_named_network_is_taken(self, admin: RequestContext) -> None:
        rows = [network() for _ in range(3)]
        assert networks.network_associate(admin, "p", rows[1]["id"])["id"] == rows[1]["id"]
        identity: Any = str(rows[2]["id"])
        assert networks.network_associate(admin, "q", identity)["id"] == rows[2]["id"]

    def test_by_force(self, admin: RequestContext, sql_count: SqlCount) -> None:
        network(project_id="p")
        rows = [network(), network()]
        with sql_count(mysql=2, default=1):
            assert networks.network_associate(admin, "p", force=True)["id"] == rows[0]["id"]
        assert networks.network_associate(admin, "p", rows[1]["id"], True)["id"] == rows[1]["id"]

    @pytest.mark.parametrize("force", [True, False])
    def test_nothing_is_free(self, admin: RequestContext, force: bool) -> None:
        owned = network(project_id="other")
        for identity in (None, owned["id"], *NO_IDS):
            with pytest.raises(exceptions.NoMoreNetworks):
                networks.network_associate(admin, "p", identity, force)  # type: ignore[arg-type]  # text, too
        assert networks.network_get(admin, owned["id"]) == owned

    def test_one_project_gets_one_network(self, admin: RequestContext) -> None:
        for _ in range(6):
            network()
        with ThreadPoolExecutor(4) as pool:
            found = list(pool.map(lambda _: networks.network_associate(get_admin_context(), "p")["id"], range(8)))
        assert len(set(found)) == 1
        assert ids(networks.project_get_networks(admin, "p", associate=False)) == found[:1]

    def test_every_project_gets_another(self) -> None:
        rows = [network() for _ in range(8)]
        with ThreadPoolExecutor(4) as pool:
            found = pool.map(lambda number: networks.network_associate(get_admin_context(), f"p{number}"), range(8))
            assert sorted(ids(found)) == ids(rows)


class TestOfAProject:
    def test_its_networks(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        rows = [network(project_id="p"), network(project_id="p")]
        network()
        forget("networks", network(project_id="p"))
        with sql_count(1):
            assert networks.project_get_networks(ctxt, "p") == rows

    def test_none(self, admin: RequestContext, sql_count: SqlCount) -> None:
        network(project_id="other")
        with sql_count(1):
            assert networks.project_get_networks(admin, "p", associate=False) == []
        with pytest.raises(exceptions.NoMoreNetworks):
            networks.project_get_networks(admin, "p")

    def test_one_is_associated(self, admin: RequestContext, sql_count: SqlCount) -> None:
        row = network()
        with sql_count(sqlite=2, postgresql=3, mysql=5):
            (after,) = networks.project_get_networks(admin, "p")
        assert after == networks.network_get(admin, row["id"])
        assert after["project_id"] == "p"
        with tx.writer(admin):
            assert networks.project_get_networks(admin, "p") == [after]


class TestDelete:
    def test_the_network_goes_and_its_addresses_are_marked(
        self, admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        row, other = network(), network()
        address = fixed_ip(row, address="10.0.0.1", instance_uuid=None)
        reserved = fixed_ip(row, address="10.0.0.2", reserved=True)
        stays = fixed_ip(other, address="10.0.0.3", allocated=True)
        gone = fixed_ip(row, address="10.0.0.4", allocated=True)
        forget("fixed_ips", gone)
        now = frozen_clock.advance(5)
        with sql_count(3):
            networks.network_delete_safe(RequestContext(), row["id"])
        for context in (admin, get_admin_context("yes")):
            with pytest.raises(exceptions.NetworkNotFound):
                networks.network_get(context, row["id"])
        assert networks.network_get_all(admin) == [other]
        with pytest.raises(exceptions.FixedIpNotFoundForAddress):
            fixed_ips.fixed_ip_get_by_address(admin, "10.0.0.1")
        for one in (address, reserved):
            after = fixed_ips.fixed_ip_get_by_address(get_admin_context("yes"), one["address"])
            assert after == one | {"deleted": one["id"], "deleted_at": now}
        assert fixed_ips.fixed_ip_get_by_address(admin, "10.0.0.3") == stays

    def test_a_network_in_use(self, admin: RequestContext, ctxt: RequestContext) -> None:
        row = network(project_id="other")
        addresses = [fixed_ip(row, address="10.0.0.1"), fixed_ip(row, address="10.0.0.2", allocated=True)]
        for context in (admin, ctxt):
            with pytest.raises(exceptions.NetworkInUse) as raised:
                networks.network_delete_safe(context, row["id"])
            assert raised.value.kwargs["network_id"] == row["id"]
        assert networks.network_get(admin, row["id"]) == row
        assert fixed_ips.fixed_ip_get_all(admin) == addresses

    def test_whose(self, ctxt: RequestContext) -> None:
        own, free, foreign = (network(project_id=project) for project in ("project", None, "other"))
        for row in (own, free):
            networks.network_delete_safe(ctxt, row["id"])
        with pytest.raises(exceptions.NetworkNotFound):
            networks.network_delete_safe(ctxt, foreign["id"])
        assert networks.network_get_all(get_admin_context()) == [foreign]

    def test_visibility(self, admin: RequestContext) -> None:
        row = network()
        forget("networks", row)
        with pytest.raises(exceptions.NetworkNotFound):
            networks.network_delete_safe(admin, row["id"])
        networks.network_delete_safe(get_admin_context("yes"), row["id"])
        with pytest.raises(exceptions.NetworkNotFound):
            networks.network_get(get_admin_context("yes"), row["id"])

    @pytest.mark.only_on("mysql", "postgresql", why="on sqlite nobody else writes meanwhile")
    def test_an_address_that_is_allocated_meanwhile_keeps_its_network(
        self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        row = network()
        address = fixed_ip(row, address="10.0.0.1")
        allocate = functools.partial(fixed_ips.fixed_ip_update, get_admin_context(), "10.0.0.1", {"allocated": True})
        races.overtake(monkeypatch, allocate)
        with pytest.raises(exceptions.NetworkInUse):
            networks.network_delete_safe(admin, row["id"])
        assert networks.network_get(admin, row["id"]) == row
        assert fixed_ips.fixed_ip_get(admin, address["id"])["deleted"] == 0
