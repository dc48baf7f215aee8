# SPDX-License-Identifier: Apache-2.0

"""Quotas: limits, usages and reservations of two projects and their users, beside a few dicts."""

from __future__ import annotations

import contextlib
import datetime
import itertools
from typing import TYPE_CHECKING, Any, NamedTuple

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, MultipleResults, consumes, initialize, invariant, multiple, rule

from nova_sqlcore import RequestContext, api
from nova_sqlcore.exceptions import (
    OverQuota,
    ProjectQuotaNotFound,
    ProjectUserQuotaNotFound,
    QuotaExists,
    QuotaUsageNotFound,
)
from tests.properties.machines import PROJECTS, SELDOM, Machine, Row, refusing, undone

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

USERS = ("ann", "bob")
#: The last one belongs to projects as a whole.
RESOURCES = ("cores", "ram", "fixed_ips")
#: What a count finds, whoever's it is.
COUNTED = 2
#: The limit of whom none has been set for.
UNSET = 10

#: A project, a user of it or None for the whole, and a resource.
Key = tuple[str, str | None, str]


class Reservation(NamedTuple):
    """What is reserved, and until when."""

    key: Key
    user: str
    delta: int
    expire: datetime.datetime | None


class Resource(NamedTuple):
    """A resource as the quota engine registers it."""

    sync: Callable[..., dict[str, int]]


def counting(resource: str) -> Callable[..., dict[str, int]]:
    return lambda context, project, user: {resource: COUNTED}


REGISTRY = {resource: Resource(counting(resource)) for resource in RESOURCES}
PROJECT = st.sampled_from(PROJECTS)
USER = st.sampled_from(USERS)
RESOURCE = st.sampled_from(RESOURCES)
DELTAS = st.dictionaries(RESOURCE, st.integers(-4, 4), min_size=1)
SECONDS = st.sampled_from([None, 0, 10, 60])
#: Which of a batch of reservations; a number may be beyond it, or come twice.
PICKS = st.lists(st.integers(0, 3), min_size=1, max_size=4)


def key_of(project: str, user: str, resource: str) -> Key:
    return project, None if resource == "fixed_ips" else user, resource


class Quotas(Machine):
    """The model: limits, what is in use, and open reservations; what is reserved is their sum."""

    fresh: Bundle[list[str]] = Bundle("fresh")
    over: Bundle[list[str]] = Bundle("over")

    def __init__(self) -> None:
        super().__init__()
        self.limits: dict[Key, int] = {}
        self.in_use: dict[Key, int] = {}
        self.open: dict[str, Reservation] = {}
        #: stays reserved, for its reservations went with their user
        self.stuck: dict[Key, int] = {}

    def reserved(self, key: Key) -> int:
        deltas = [one.delta for one in self.open.values() if one.key == key and one.delta > 0]
        return sum(deltas) + self.stuck.get(key, 0)

    def numbers(self, in_use: dict[Key, int], keys: Iterable[Key]) -> dict[str, Row]:
        """Return the sums over these keys, by resource."""
        sums: dict[str, Row] = {}
        for key in keys:
            total = sums.setdefault(key[2], {"in_use": 0, "reserved": 0})
            total["in_use"] += in_use[key]
            total["reserved"] += self.reserved(key)
        return sums

    # -- limits -------------------------------------------------------------------------------------------------------

    @rule(project=PROJECT, user=USER | st.none(), resource=RESOURCE, limit=st.integers(-1, 12))
    def create_limit(self, project: str, user: str | None, resource: str, limit: int) -> None:
        key = key_of(project, user, resource) if user else (project, None, resource)
        with refusing(QuotaExists(project_id=project, resource=resource) if key in self.limits else None):
            row = api.quota_create(self.admin, project, resource, limit, user)
            assert (row["hard_limit"], row.get("user_id")) == (limit, key[1])
        self.limits.setdefault(key, limit)

    @rule(project=PROJECT, user=USER | st.none(), resource=RESOURCE, limit=st.integers(-1, 12))
    def update_limit(self, project: str, user: str | None, resource: str, limit: int) -> None:
        key = key_of(project, user, resource) if user else (project, None, resource)
        error: Any = None
        if key not in self.limits:
            error = ProjectQuotaNotFound(project_id=project)
            if key[1]:
                error = ProjectUserQuotaNotFound(project_id=project, user_id=user)
        with refusing(error):
            api.quota_update(self.admin, project, resource, limit, user)
        if not error:
            self.limits[key] = limit

    # -- reserving ----------------------------------------------------------------------------------------------------

    def reserved_by(self, project: str, user: str, deltas: dict[str, int], seconds: int | None) -> list[str]:
        """Reserve, and return the reservations: none if that would be too much."""
        context = RequestContext(user, project)
        expire = None if seconds is None else self.clock.now + datetime.timedelta(seconds=seconds)
        of_project = api.quota_get_all_by_project(context, project)
        of_user = of_project | api.quota_get_all_by_project_and_user(context, project, user)
        of_project, of_user = ({name: known.get(name, UNSET) for name in deltas} for known in (of_project, of_user))

        in_use = dict(self.in_use)
        for resource in deltas:
            key = key_of(project, user, resource)
            if in_use.get(key, -1) < 0:  # missing, or below zero: counted
                in_use[key] = COUNTED
        whole = self.numbers(in_use, [key for key in in_use if key[0] == project])
        own = self.numbers(in_use, [key for key in in_use if key[0] == project and key[1] in (user, None)])
        overs = [
            name
            for name, delta in deltas.items()
            for limit, usage in ((of_project[name], whole[name]), (of_user[name], own[name]))
            if delta >= 0 and 0 <= limit < usage["in_use"] + usage["reserved"] + delta
        ]
        uuids: list[str] = []
        with pytest.raises(OverQuota) if overs else contextlib.nullcontext() as caught:
            uuids = api.quota_reserve(context, REGISTRY, of_project, of_user, deltas, expire, 0, 0)
            self.in_use = in_use
            for uuid, (resource, delta) in zip(uuids, deltas.items(), strict=True):
                self.open[uuid] = Reservation(key_of(project, user, resource), user, delta, expire)
        if caught is not None:
            told = caught.value.kwargs
            assert told["overs"] == sorted(set(overs))
            for name in overs:
                levels = ((of_project[name], whole[name]), (of_user[name], own[name]))
                left = min(limit - usage["in_use"] - usage["reserved"] for limit, usage in levels if limit >= 0)
                usage = told["usages"][name]
                assert told["headroom"][name] == told["quotas"][name] - usage["in_use"] - usage["reserved"] == left
        return uuids

    @initialize(target=fresh)
    def reserve_some(self) -> MultipleResults[list[str]]:
        deltas = dict(zip(RESOURCES, (1, 2, 3), strict=True))
        for project in PROJECTS:
            self.create_limit(project, None, "cores", UNSET)
        return multiple(*(self.reserved_by(project, "ann", deltas, 10) for project in PROJECTS))

    @rule(target=fresh, project=PROJECT, user=USER, deltas=DELTAS, seconds=SECONDS)
    def reserve(
        self, project: str, user: str, deltas: dict[str, int], seconds: int | None
    ) -> list[str] | MultipleResults[list[str]]:
        return self.reserved_by(project, user, deltas, seconds) or multiple()

    def settle(self, uuids: list[str], used: bool, user: str | None = None) -> None:
        """Commit or roll back, for their user or for another; nothing happens to reservations that are over."""
        live = {uuid: self.open[uuid] for uuid in uuids if uuid in self.open}
        project, owner = next(((one.key[0], one.user) for one in live.values()), ("red", "ann"))
        foreign = [one.key[2] for one in live.values() if one.key[1] not in (user or owner, None)]
        with pytest.raises(KeyError) if foreign else contextlib.nullcontext() as caught:
            settle = api.reservation_commit if used else api.reservation_rollback
            settle(self.admin, uuids, project, user or owner)
        if caught:
            assert caught.value.args[0] in foreign
            return
        for uuid, one in live.items():
            del self.open[uuid]
            if used:
                self.in_use[one.key] += one.delta

    @rule(target=over, batch=consumes(fresh), picks=PICKS, used=st.booleans())
    def settle_some(self, batch: list[str], picks: list[int], used: bool) -> list[str]:
        self.settle([batch[pick % len(batch)] for pick in picks], used)
        return batch

    @rule(batch=over | fresh, used=st.booleans(), user=USER | st.none())
    def settle_all_again(self, batch: list[str], used: bool, user: str | None) -> None:
        self.settle(batch, used, user)

    @rule(batch=fresh, deltas=DELTAS)
    def do_all_and_roll_back(self, batch: list[str], deltas: dict[str, int]) -> None:
        unlimited = dict.fromkeys(deltas, -1)
        owners = [(self.open[uuid].key[0], self.open[uuid].user) for uuid in batch if uuid in self.open]
        if owners:
            with undone(self.admin):
                more = api.quota_reserve(self.admin, REGISTRY, unlimited, unlimited, deltas, None, 0, 0, *owners[0])
                api.reservation_commit(self.admin, [*more, *batch], *owners[0])
                api.quota_destroy_all_by_project(self.admin, owners[0][0])

    @rule(seconds=st.sampled_from([1, 10, 60]))
    def expire(self, seconds: int) -> None:
        self.clock.advance(seconds)
        api.reservation_expire(self.admin)
        now = self.clock.now
        self.open = {uuid: one for uuid, one in self.open.items() if one.expire is None or one.expire >= now}

    # -- usages -------------------------------------------------------------------------------------------------------

    @rule(project=PROJECT, user=USER, resource=RESOURCE, in_use=st.integers(-1, 9))
    def update_usage(self, project: str, user: str, resource: str, in_use: int) -> None:
        key = key_of(project, user, resource)
        with refusing(None if key in self.in_use else QuotaUsageNotFound(project_id=project)):
            api.quota_usage_update(self.admin, project, user, resource, in_use=in_use)
            self.in_use[key] = in_use

    @rule(project=PROJECT, user=USER, really=SELDOM)
    def destroy_user(self, project: str, user: str, really: bool) -> None:
        if not really:
            return
        api.quota_destroy_all_by_project_and_user(self.admin, project, user)
        gone = {uuid for uuid, one in self.open.items() if (one.key[0], one.user) == (project, user)}
        whole = (project, None, "fixed_ips")
        reserved = self.reserved(whole)
        self.open = {uuid: one for uuid, one in self.open.items() if uuid not in gone}
        self.stuck[whole] = self.stuck.get(whole, 0) + reserved - self.reserved(whole)
        self.limits = {key: limit for key, limit in self.limits.items() if key[:2] != (project, user)}
        self.in_use = {key: number for key, number in self.in_use.items() if key[:2] != (project, user)}

    @rule(project=PROJECT, really=SELDOM)
    def destroy_project(self, project: str, really: bool) -> None:
        if not really:
            return
        api.quota_destroy_all_by_project(self.admin, project)
        self.open = {uuid: one for uuid, one in self.open.items() if one.key[0] != project}
        self.stuck = {key: number for key, number in self.stuck.items() if key[0] != project}
        self.limits = {key: limit for key, limit in self.limits.items() if key[0] != project}
        self.in_use = {key: number for key, number in self.in_use.items() if key[0] != project}

    @rule(project=PROJECT, user=USER, resource=RESOURCE)
    def look(self, project: str, user: str, resource: str) -> None:
        limits = {key[1:]: limit for key, limit in self.limits.items() if key[0] == project}
        found = api.quota_get_all_by_project(self.admin, project)
        assert found == {"project_id": project} | {name: n for (whose, name), n in limits.items() if whose is None}
        rows = api.quota_get_all(self.admin, project)
        of_users = {(row["user_id"], row["resource"]): row["hard_limit"] for row in rows}
        assert of_users == {key: limit for key, limit in limits.items() if key[0] is not None}

        keys = [key for key in self.in_use if key[0] == project]
        found = api.quota_usage_get_all_by_project(self.admin, project)
        assert found == {"project_id": project} | self.numbers(self.in_use, keys)
        key = key_of(project, user, resource)
        with refusing(None if key in self.in_use else QuotaUsageNotFound(project_id=project)):
            row = api.quota_usage_get(self.admin, project, resource, user)
            assert (row["in_use"], row["reserved"]) == (self.in_use[key], self.reserved(key))
            assert row["total"] == row["in_use"] + row["reserved"]

    @invariant()
    def the_same_numbers(self) -> None:
        for project, user in itertools.product(PROJECTS, USERS):
            own = [key for key in self.in_use if key[0] == project and key[1] in (user, None)]
            found = api.quota_usage_get_all_by_project_and_user(self.admin, project, user)
            assert found == {"project_id": project, "user_id": user} | self.numbers(self.in_use, own)


def test_quotas(drive: Callable[[type[Machine]], None]) -> None:
    drive(Quotas)
