# SPDX-License-Identifier: Apache-2.0

"""Fixed IPs of two networks and floating IPs of two pools, beside a dict of each."""

from __future__ import annotations

import datetime
import uuid
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from nova_sqlcore import api
from nova_sqlcore.exceptions import (
    FixedIpAlreadyInUse,
    FixedIpNotFoundForAddress,
    FixedIpNotFoundForInstance,
    FixedIpNotFoundForNetwork,
    FloatingIpAssociateFailed,
    FloatingIpExists,
    FloatingIpNotFoundForAddress,
    Forbidden,
    NoFloatingIpsDefined,
    NoMoreFixedIps,
    NoMoreFloatingIps,
)
from tests.properties.machines import PROJECTS, SELDOM, START, Machine, Row, refusing, undone

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

#: One instance of each project, on a host of the same name.
INSTANCES = {str(uuid.UUID(int=number)): project for number, project in enumerate(PROJECTS)}
#: By address, the network as it is called here; the last address belongs to none until it is taken.
FIXED = {"10.0.0.1": "one", "10.0.0.2": "one", "10.0.0.3": "one", "10.1.0.1": "two", "fd00::9": None}
FLOATING = {"192.0.2.1": "pool", "192.0.2.2": "other"}

WHO = st.sampled_from([*PROJECTS, "admin"])
PROJECT = st.sampled_from(PROJECTS)
HOST = st.sampled_from([None, *PROJECTS])
INSTANCE = st.sampled_from(list(INSTANCES))
NETWORK = st.sampled_from(["one", "two"])
ADDRESS = st.sampled_from([*FIXED, "10.9.9.9"])
FLOATING_ADDRESS = st.sampled_from([*FLOATING, "192.0.2.9"])
#: Nothing checks that there is such an interface.
INTERFACE = st.sampled_from([None, 7])


def shown_fixed(row: Mapping[str, Any]) -> Row:
    """Return what the model knows of a fixed IP; networks by id there."""
    names = ("network_id", "instance_uuid", "host", "virtual_interface_id", "allocated", "leased", "reserved")
    return {name: row[name] for name in (*names, "updated_at")}


def shown_floating(row: Mapping[str, Any]) -> Row:
    """Return what the model knows of a floating IP."""
    fixed = row["fixed_ip"] and row["fixed_ip"]["address"]
    return {name: row[name] for name in ("project_id", "pool", "host", "auto_assigned")} | {"fixed": fixed}


class Addresses(Machine):
    """The model: all fixed and floating IPs by address, in the order in which they were made."""

    def __init__(self) -> None:
        super().__init__()
        values: list[Row] = [{"label": "one", "host": "red"}, {"label": "two", "multi_host": True}]
        made = [api.network_create_safe(self.admin, value) for value in values]
        self.networks: dict[str | None, Any] = {row["label"]: row["id"] for row in made}
        for instance, project in INSTANCES.items():
            api.instance_create(self.admin, {"uuid": instance, "project_id": project, "host": project})
        api.fixed_ip_bulk_create(
            self.admin, [{"address": one, "network_id": self.networks.get(name)} for one, name in FIXED.items()]
        )
        api.floating_ip_bulk_create(self.admin, [{"address": one, "pool": pool} for one, pool in FLOATING.items()])
        nobody = {"instance_uuid": None, "host": None, "virtual_interface_id": None, "updated_at": None}
        states = {"allocated": False, "leased": False, "reserved": False}
        self.fixed: dict[str, Row] = {
            one: {"network_id": self.networks.get(name), **nobody, **states} for one, name in FIXED.items()
        }
        self.floating: dict[str, Row] = {one: self.unused(pool) for one, pool in FLOATING.items()}
        self.use_some()

    def use_some(self) -> None:
        """Begin with addresses that are used in different ways, for others to trip over."""
        red, blue = INSTANCES
        self.take("10.0.0.1", red, "one", reserved=False, interface=7)
        self.take("10.0.0.2", blue, "one", reserved=False, interface=None)
        self.update("admin", "10.1.0.1", {"leased": True})
        self.allocate("red", "pool", auto=False)
        self.bind("red", "192.0.2.1", "10.0.0.1", "red")

    def unused(self, pool: str) -> Row:
        return {"project_id": None, "pool": pool, "host": None, "auto_assigned": False, "fixed": None}

    def change(self, address: str, **values: Any) -> None:
        self.fixed[address].update(values, updated_at=self.clock.now)

    def refused(self, who: str, address: str) -> FixedIpNotFoundForAddress | Forbidden | None:
        """Return the error for who looks for a fixed IP that is not there, or used by another project."""
        if address not in self.fixed:
            return FixedIpNotFoundForAddress(address=address)
        user = INSTANCES.get(self.fixed[address]["instance_uuid"])
        return Forbidden() if user is not None and who not in (user, "admin") else None

    # -- fixed IPs ----------------------------------------------------------------------------------------------------

    @rule(
        name=NETWORK,
        instance=st.sampled_from([*INSTANCES, None]),
        host=st.sampled_from([None, None, "red"]),
        interface=INTERFACE,
    )
    def take_any(self, name: str, instance: str | None, host: str | None, interface: int | None) -> None:
        """The one that was left alone for the longest time is taken."""
        self.clock.advance(1)
        network = self.networks[name]
        free = [
            (one["updated_at"] or datetime.datetime.min, place, address)
            for place, (address, one) in enumerate(self.fixed.items())
            if one["network_id"] in (network, None) and one["instance_uuid"] is None and one["host"] is None
            if not one["reserved"] and not one["leased"]
        ]
        with refusing(None if free else NoMoreFixedIps(net=network)):
            row = api.fixed_ip_associate_pool(self.admin, network, instance, host, interface)
            *_, address = min(free)
            self.change(address, network_id=network, instance_uuid=instance, host=host, allocated=interface is not None)
            if interface is not None:
                self.change(address, virtual_interface_id=interface)
            assert (row["address"], shown_fixed(row)) == (address, self.fixed[address])

    @rule(
        address=ADDRESS,
        instance=INSTANCE,
        name=st.sampled_from(["one", "one", "two", None]),
        reserved=SELDOM,
        interface=INTERFACE,
    )
    def take(self, address: str, instance: str, name: str | None, reserved: bool, interface: int | None) -> None:
        self.clock.advance(1)
        network = self.networks.get(name)
        one = self.fixed.get(address)
        error: Any = None
        if one is None or one["reserved"] != reserved or one["network_id"] not in (network, None):
            error = FixedIpNotFoundForNetwork(address=address, network_uuid=network)
        elif one["instance_uuid"] is not None:
            error = FixedIpAlreadyInUse(address=address, instance_uuid=instance)
        with refusing(error):
            api.fixed_ip_associate(self.admin, address, instance, network, reserved, interface)
            self.change(address, network_id=network, instance_uuid=instance, allocated=interface is not None)
            if interface is not None:
                self.change(address, virtual_interface_id=interface)

    @rule(who=WHO, address=ADDRESS)
    def leave(self, who: str, address: str) -> None:
        self.clock.advance(1)
        with refusing(self.refused(who, address)):
            api.fixed_ip_disassociate(self.contexts[who], address)
            self.change(address, instance_uuid=None, virtual_interface_id=None)

    @rule(
        who=WHO,
        address=ADDRESS,
        values=st.fixed_dictionaries(
            {}, optional={"allocated": st.just(False), "leased": st.booleans(), "reserved": SELDOM, "host": st.none()}
        ),
    )
    def update(self, who: str, address: str, values: Row) -> None:
        self.clock.advance(1)
        with refusing(self.refused(who, address)):
            api.fixed_ip_update(self.contexts[who], address, values)
            if values:
                self.change(address, **values)

    @rule(host=PROJECT, address=st.sampled_from(list(FIXED)), later=st.integers(0, 1))
    def leave_by_timeout(self, host: str, address: str, later: int) -> None:
        """The host of the first network releases all of it, other networks are released by their instances' hosts."""
        self.clock.advance(1)
        before = (self.fixed[address]["updated_at"] or START) + datetime.timedelta(seconds=later)
        released = [
            address
            for address, one in self.fixed.items()
            if one["instance_uuid"] and one["network_id"] and not one["allocated"] and one["updated_at"] < before
            if host == ("red" if one["network_id"] == self.networks["one"] else INSTANCES[one["instance_uuid"]])
        ]
        assert api.fixed_ip_disassociate_all_by_timeout(self.admin, host, before) == len(released)
        for address in released:
            self.change(address, instance_uuid=None, leased=False)

    # -- floating IPs -------------------------------------------------------------------------------------------------

    @rule(project=PROJECT, pool=st.sampled_from(["pool", "other"]), auto=st.booleans())
    def allocate(self, project: str, pool: str, auto: bool) -> None:
        used = {address for address, one in self.floating.items() if one["project_id"] or one["fixed"]}
        free = [address for address, one in self.floating.items() if one["pool"] == pool and address not in used]
        with refusing(None if free else NoMoreFloatingIps()):
            address = api.floating_ip_allocate_address(self.contexts[project], project, pool, auto)
            assert address in free
            self.floating[address].update(project_id=project, auto_assigned=auto)

    @rule(address=FLOATING_ADDRESS)
    def deallocate(self, address: str) -> None:
        one = self.floating.get(address)
        held = bool(one and one["project_id"] and not one["fixed"])
        assert api.floating_ip_deallocate(self.admin, address) == held
        if held:
            self.floating[address] = self.unused(self.floating[address]["pool"])

    @rule(who=WHO, address=FLOATING_ADDRESS, fixed=ADDRESS, host=HOST)
    def bind(self, who: str, address: str, fixed: str, host: str | None) -> None:
        """Users bind what their project holds, an admin what nobody holds."""
        one = self.floating.get(address)
        error: Any = None
        if fixed not in self.fixed:
            error = FixedIpNotFoundForAddress(address=fixed)
        elif one is None or (one["project_id"] or "admin") != who or one["fixed"] not in (fixed, None):
            error = FloatingIpAssociateFailed(address=address)
        with refusing(error):
            row = api.floating_ip_fixed_ip_associate(self.contexts[who], address, fixed, host)
            assert row["address"] == fixed
            self.floating[address].update(fixed=fixed, host=host)

    @rule(address=FLOATING_ADDRESS)
    def unbind(self, address: str) -> None:
        error = None if address in self.floating else FloatingIpNotFoundForAddress(address=address)
        with refusing(error):
            row = api.floating_ip_disassociate(self.admin, address)
            assert (row and row["address"]) == self.floating[address]["fixed"]
            self.floating[address].update(fixed=None, host=None)

    @rule(address=FLOATING_ADDRESS, pool=st.sampled_from(["pool", "other"]))
    def create(self, address: str, pool: str) -> None:
        with refusing(FloatingIpExists(address=address) if address in self.floating else None):
            api.floating_ip_create(self.admin, {"address": address, "pool": pool})
            self.floating[address] = self.unused(pool)

    @rule(addresses=st.lists(FLOATING_ADDRESS, max_size=3), for_good=st.booleans(), really=SELDOM)
    def destroy(self, addresses: list[str], for_good: bool, really: bool) -> None:
        if not really:
            return
        if for_good:
            for address in addresses:
                api.floating_ip_destroy(self.admin, address)
        else:
            api.floating_ip_bulk_destroy(self.admin, [{"address": address} for address in addresses])
        self.floating = {address: one for address, one in self.floating.items() if address not in addresses}

    @rule(address=ADDRESS, floating=FLOATING_ADDRESS, instance=INSTANCE)
    def change_all_and_roll_back(self, address: str, floating: str, instance: str) -> None:
        with undone(self.admin):
            if address in self.fixed:
                api.fixed_ip_disassociate(self.admin, address)
                api.fixed_ip_update(self.admin, address, {"reserved": True})
                api.fixed_ip_associate(self.admin, address, instance, self.fixed[address]["network_id"], reserved=True)
            if floating in self.floating:
                api.floating_ip_disassociate(self.admin, floating)
                api.floating_ip_destroy(self.admin, floating)
                api.floating_ip_create(self.admin, {"address": floating})

    # -- looking ------------------------------------------------------------------------------------------------------

    @rule(who=WHO, address=ADDRESS, instance=INSTANCE)
    def look_at_fixed(self, who: str, address: str, instance: str) -> None:
        with refusing(self.refused(who, address)):
            row = api.fixed_ip_get_by_address(self.contexts[who], address, ["floating_ips", "network"])
            assert shown_fixed(row) == self.fixed[address]
            assert (row["network"] and row["network"]["id"]) == self.fixed[address]["network_id"]
            bound = [floating for floating, one in self.floating.items() if one["fixed"] == address]
            assert [floating["address"] for floating in row["floating_ips"]] == bound
        own = [one for one, row in self.fixed.items() if row["instance_uuid"] == instance]
        with refusing(None if own else FixedIpNotFoundForInstance(instance_uuid=instance)):
            assert [row["address"] for row in api.fixed_ip_get_by_instance(self.admin, instance)] == own
        assert [row["address"] for row in api.fixed_ip_get_by_host(self.admin, INSTANCES[instance])] == own
        bound = [floating for floating, one in self.floating.items() if one["fixed"] in own]
        assert api.instance_floating_address_get_all(self.admin, instance) == bound

    @rule(project=PROJECT, address=FLOATING_ADDRESS)
    def look_at_floating(self, project: str, address: str) -> None:
        rows = api.floating_ip_get_all_by_project(self.contexts[project], project)
        assert {row["address"]: shown_floating(row) for row in rows} == {
            floating: one
            for floating, one in self.floating.items()
            if one["project_id"] == project and not one["auto_assigned"]
        }
        pools = {pool["name"] for pool in api.floating_ip_get_pools(self.admin)}
        assert pools == {one["pool"] for one in self.floating.values()}
        error: Any = None if address in self.floating else FloatingIpNotFoundForAddress(address=address)
        if not error and self.floating[address]["project_id"] not in (project, None):
            error = Forbidden()
        with refusing(error):
            row = api.floating_ip_get_by_address(self.contexts[project], address)
            assert shown_floating(row) == self.floating[address]

    @invariant()
    def the_same_addresses(self) -> None:
        found = [(row["address"], shown_fixed(row)) for row in api.fixed_ip_get_all(self.admin)]
        assert found == list(self.fixed.items())
        with refusing(None if self.floating else NoFloatingIpsDefined()):
            found = [(row["address"], shown_floating(row)) for row in api.floating_ip_get_all(self.admin)]
            assert found == list(self.floating.items())


def test_addresses(drive: Callable[[type[Machine]], None]) -> None:
    drive(Addresses)
