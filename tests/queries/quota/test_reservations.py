# SPDX-License-Identifier: Apache-2.0

"""Reserving within limits; committing, rolling back and expiring reservations (04-quotas 4 and 5)."""

from __future__ import annotations

import collections
import copy
import datetime
import logging
import types
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, clock, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.quota import counts as quota_counts, limits, reservations as quotas, usages as quota_usages
from tests.queries import instance_factory, processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from tests.plugins.backend import Backend
    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount, SqlLog

pytestmark = pytest.mark.usefixtures("backend")

Row = Any
Numbers = tuple[int, int]

SYNCS = {
    "instances": "_sync_instances",
    "cores": "_sync_instances",
    "ram": "_sync_instances",
    "fixed_ips": "_sync_fixed_ips",
}
EXPIRE = datetime.datetime(2030, 1, 1)


def resources(**syncs: Any) -> dict[str, Any]:
    return {name: types.SimpleNamespace(name=name, sync=sync) for name, sync in (syncs or SYNCS).items()}


def usage(resource: str, in_use: int, reserved: int = 0, user_id: str | None = "user", **more: Any) -> Row:
    given = {"project_id": "project", "user_id": user_id, "resource": resource, "updated_at": clock.utcnow()}
    return instance_factory.insert("quota_usages", **{**given, "in_use": in_use, "reserved": reserved, **more})


def stored(table: str) -> list[Row]:
    source = getattr(tables, table)
    with tx.reader(get_admin_context()) as transaction:
        rows: list[Row] = transaction.rows(source.select().order_by(source.c.id))
        return rows


def numbers(field: str | None = None) -> dict[tuple[str, str | None], Any]:
    """Return what the usages say, by resource and user; fails if there are two of them."""
    rows = [row for row in stored("quota_usages") if row["deleted"] == 0]
    found = {
        (row["resource"], row["user_id"]): row[field] if field else (row["in_use"], row["reserved"]) for row in rows
    }
    assert len(found) == len(rows)
    return found


def numbers_of_newest(resource: str) -> Numbers:
    row = [row for row in stored("quota_usages") if row["deleted"] == 0 and row["resource"] == resource][-1]
    return row["in_use"], row["reserved"]


def open_reservations() -> list[Row]:
    return [row for row in stored("reservations") if row["deleted"] == 0]


class Counts:
    """A function that counts resources, and remembers its calls."""

    def __init__(self, **counts: int) -> None:
        self.counts = counts
        self.calls: list[tuple[Any, ...]] = []

    def __call__(self, context: Any, project_id: Any, user_id: Any) -> dict[str, int]:
        assert context.is_admin
        self.calls.append((project_id, user_id))
        return dict(self.counts)


@pytest.fixture
def counts(monkeypatch: pytest.MonkeyPatch) -> Counts:
    """Count nothing of instances, cores and ram, until told otherwise."""
    function = Counts(instances=0, cores=0, ram=0)
    monkeypatch.setitem(quota_counts.QUOTA_SYNC_FUNCTIONS, "_sync_instances", function)
    return function


def reserve(context: Any, deltas: Mapping[str, int], limit: int = -1, **more: Any) -> list[str]:
    """Reserve with the same limit for everything."""
    limits = dict.fromkeys(deltas, limit)
    given = {"expire": EXPIRE, "until_refresh": None, "max_age": 0, "project_quotas": limits, "user_quotas": limits}
    return quotas.quota_reserve(context, resources(), deltas=deltas, **{**given, **more})


class TestReserve:
    def test_first_use_makes_the_usages(
        self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        instance_factory.instance(vcpus=2, memory_mb=512)
        now = frozen_clock.advance(1)
        deltas = {"ram": 256, "instances": 1, "cores": 4}
        with sql_count(sqlite=4, postgresql=5, mysql=7):
            made = reserve(ctxt, deltas, until_refresh=0)
        assert numbers() == {
            ("instances", "user"): (1, 1),
            ("cores", "user"): (2, 4),
            ("ram", "user"): (512, 256),
        }
        by_id = {row["id"]: row for row in stored("quota_usages")}
        for row in by_id.values():
            assert (row["created_at"], row["updated_at"], row["until_refresh"]) == (now, now, None)
        rows = stored("reservations")
        assert [row["uuid"] for row in rows] == made
        assert [(row["resource"], row["delta"]) for row in rows] == list(deltas.items())
        for row in rows:
            assert str(uuid.UUID(row["uuid"])) == row["uuid"]
            assert by_id[row["usage_id"]]["resource"] == row["resource"]
            assert {name: row[name] for name in ("project_id", "user_id", "expire", "created_at", "deleted")} == {
                "project_id": "project",
                "user_id": "user",
                "expire": EXPIRE,
                "created_at": now,
                "deleted": 0,
            }

    def test_usages_that_exist_are_raised_by_one_statement(
        self, ctxt: RequestContext, counts: Counts, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        for name in ("instances", "cores", "ram"):
            usage(name, 3, 1)
        other = usage("instances", 5, user_id="v")
        now = frozen_clock.advance(5)
        with sql_count(3, postgresql=4, default=3):
            reserve(ctxt, {"instances": 1, "cores": 2, "ram": 3})
        assert numbers() == {
            ("instances", "user"): (3, 2),
            ("cores", "user"): (3, 3),
            ("ram", "user"): (3, 4),
            ("instances", "v"): (5, 0),
        }
        assert set(numbers("updated_at").values()) == {now, other["updated_at"]}
        assert counts.calls == []

    def test_what_does_not_change_is_not_written(
        self, ctxt: RequestContext, counts: Counts, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        before = [usage(name, 3) for name in ("instances", "cores")]
        frozen_clock.advance(5)
        with sql_count(2, postgresql=3, default=2):
            made = reserve(ctxt, {"instances": 0, "cores": -2})
        assert stored("quota_usages") == before
        assert [(row["uuid"], row["delta"]) for row in open_reservations()] == [(made[0], 0), (made[1], -2)]

    def test_no_deltas(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        with sql_count(0):
            assert reserve(ctxt, {}) == []

    def test_three_resources_with_their_counts(self, ctxt: RequestContext, monkeypatch: pytest.MonkeyPatch) -> None:
        names = ("resource0", "resource1", "fixed_ips")
        for number, name in enumerate(names):
            monkeypatch.setitem(quota_counts.QUOTA_SYNC_FUNCTIONS, name, Counts(**{name: number}))
        limits = dict.fromkeys(names, 10)
        deltas = {name: number for number, name in enumerate(names)}
        asked = resources(**{name: name for name in names})
        made = quotas.quota_reserve(ctxt, asked, limits, limits, deltas, EXPIRE, 0, 0)
        expected = {("resource0", "user"): (0, 0), ("resource1", "user"): (1, 1), ("fixed_ips", None): (2, 2)}
        assert numbers() == expected
        assert {row["user_id"] for row in open_reservations()} == {"user"}
        saved = copy.deepcopy(made)
        quotas.reservation_commit(ctxt, made, "project", "user")
        assert made == saved
        assert numbers() == {("resource0", "user"): (0, 0), ("resource1", "user"): (2, 0), ("fixed_ips", None): (4, 0)}

    def test_project_and_user_are_the_contexts_unless_given(self, ctxt: RequestContext, counts: Counts) -> None:
        asked, limits, deltas = resources(), {"cores": -1}, {"cores": 1}
        call: Any = quotas.quota_reserve
        call(ctxt, asked, limits, limits, deltas, None, None, None, project_id="p", user_id="u")
        call(ctxt, asked, limits, limits, deltas, None, None, None, "q", "v")
        call(ctxt, asked, limits, limits, deltas, None, None, None)
        call(ctxt, asked, quotas=limits, user_quotas=limits, deltas=deltas, expire=None, until_refresh=0, max_age=0)
        owners = [(row["project_id"], row["user_id"]) for row in open_reservations()]
        assert owners == [("p", "u"), ("q", "v"), ("project", "user"), ("project", "user")]
        assert counts.calls == [("p", "u"), ("q", "v"), ("project", "user")]
        assert {row["expire"] for row in open_reservations()} == {None}

    def test_an_admin_without_user(self, admin: RequestContext, counts: Counts) -> None:
        counts.counts["cores"] = 6
        reserve(admin, {"cores": 0}, project_id="project", expire=None, max_age=None)
        row = quota_usages.quota_usage_get(admin, "project", "cores")
        assert (row["in_use"], row["reserved"], row["user_id"]) == (6, 0, None)
        reserve(admin, {"cores": 2})  # without project too
        assert [row["project_id"] for row in open_reservations()] == ["project", None]

    def test_ids_may_be_numbers(self, counts: Counts) -> None:
        number: Any = 7
        context = RequestContext(number, number)
        for _ in range(2):
            made = reserve(context, {"cores": 1})
        assert numbers() == {("cores", "7"): (0, 2), ("instances", "7"): (0, 0), ("ram", "7"): (0, 0)}
        quotas.reservation_commit(context, made, number, number)
        assert numbers()["cores", "7"] == (1, 1)

    def test_arguments_are_left_alone(self, ctxt: RequestContext, counts: Counts) -> None:
        project, user, deltas = given = [{"cores": 5}, {"cores": 4}, {"cores": 1}]
        before = copy.deepcopy(given)
        quotas.quota_reserve(ctxt, resources(), project, user, deltas, EXPIRE, 3, 4)
        assert given == before

    def test_limits_must_be_there_unless_less_is_asked_for(self, ctxt: RequestContext, counts: Counts) -> None:
        with pytest.raises(KeyError, match="cores"):
            quotas.quota_reserve(ctxt, resources(), {}, {"cores": 1}, {"cores": 0}, None, 0, 0)
        with pytest.raises(KeyError, match="cores"):
            quotas.quota_reserve(ctxt, resources(), {"cores": 1}, {}, {"cores": 0}, None, 0, 0)
        assert stored("quota_usages") == []
        assert len(quotas.quota_reserve(ctxt, resources(), {}, {}, {"cores": -1}, None, 0, 0)) == 1

    def test_less_than_nothing_is_just_logged(
        self, ctxt: RequestContext, counts: Counts, caplog: pytest.LogCaptureFixture
    ) -> None:
        usage("cores", 1, 0)
        with caplog.at_level(logging.WARNING):
            reserve(ctxt, {"cores": -2}, limit=0)
        assert "cores" in caplog.text
        assert (numbers(), counts.calls) == ({("cores", "user"): (1, 0)}, [])
        assert [row["delta"] for row in open_reservations()] == [-2]

    def test_the_retry_sees_a_fresh_transaction(
        self, ctxt: RequestContext, counts: Counts, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made_before = quotas._reservation_create
        failures = [exceptions.DBDeadlock("injected"), exceptions.DBDeadlock("injected")]

        def make(*args: Any) -> Row:
            if failures:
                raise failures.pop()
            return made_before(*args)

        monkeypatch.setattr(quotas, "_reservation_create", make)
        assert len(reserve(ctxt, {"cores": 1})) == 1
        assert (numbers()["cores", "user"], len(open_reservations())) == ((0, 1), 1)
        assert len(counts.calls) == 3

    def test_a_joined_reservation_and_its_commit(self, ctxt: RequestContext, counts: Counts) -> None:
        usage("cores", 3)
        with tx.writer(ctxt):
            made = reserve(ctxt, {"cores": -2})
            quotas.reservation_commit(ctxt, made, "project", "user")
            joined = quota_usages.quota_usage_get(ctxt, "project", "cores")
        assert joined["in_use"] == 1
        assert (numbers(), open_reservations()) == ({("cores", "user"): (1, 0)}, [])

    def test_counts_run_in_the_transaction(self, ctxt: RequestContext) -> None:
        with tx.writer(ctxt) as transaction:
            given = {"uuid": str(uuid.uuid4()), "project_id": "project", "user_id": "user", "vcpus": 3}
            transaction.insert(tables.instances, given)
            reserve(ctxt, {"cores": 1})
        assert numbers()["cores", "user"] == (3, 1)

    def test_a_cell_is_not_asked(self, ctxt: RequestContext, backend: Backend) -> None:
        instance_factory.instance(vcpus=3)
        with backend.new_database() as elsewhere:
            ctxt.db_connection = tx.create_context_manager(elsewhere)
            made = reserve(ctxt, dict.fromkeys(("cores", "fixed_ips"), 1))
            quotas.reservation_commit(ctxt, made, "project", "user")
            quotas.reservation_expire(ctxt)
        assert (numbers()["cores", "user"], numbers()["fixed_ips", None]) == ((4, 0), (1, 0))


class _Foreign:
    """A context of another class, that can't be elevated."""

    def __init__(self, is_admin: bool = False) -> None:
        self.user_id, self.project_id, self.is_admin, self.read_deleted = "user", "project", is_admin, "no"


class _ForeignElevated(_Foreign):
    """A context of another class, whose elevated form is a new object."""

    def elevated(self) -> _Foreign:
        return _Foreign(is_admin=True)


@pytest.mark.parametrize("kind", [_Foreign, _ForeignElevated])
def test_counts_of_foreign_contexts_run_in_the_transaction(kind: type[_Foreign]) -> None:
    context = kind()
    with tx.writer(context) as transaction:
        given = {"uuid": str(uuid.uuid4()), "project_id": "project", "user_id": "user", "vcpus": 3}
        transaction.insert(tables.instances, given)
        reserve(context, {"cores": 1, "fixed_ips": 1})
    assert numbers()["cores", "user"] == (3, 1)
    assert context.is_admin is False


class TestRefresh:
    @pytest.mark.parametrize(
        ("row", "until_refresh", "after", "counted"),
        [
            ({"in_use": -1}, 5, (9, 5), True),
            ({"in_use": -1, "until_refresh": 3}, None, (9, None), True),
            ({"in_use": 4, "until_refresh": 1}, 5, (9, 5), True),
            ({"in_use": 4, "until_refresh": 1}, 0, (9, None), True),
            ({"in_use": 4, "until_refresh": 2}, 5, (4, 1), False),
            ({"in_use": 4, "until_refresh": 0}, 5, (9, 5), True),
            ({"in_use": 4}, 5, (4, 4), False),
            ({"in_use": 4}, 1, (9, 1), True),
            ({"in_use": 4, "until_refresh": 1000}, 3, (4, 2), False),
            ({"in_use": 4, "until_refresh": 5}, 0, (4, 4), False),
        ],
    )
    def test_signs_of_need(
        self, ctxt: RequestContext, counts: Counts, row: Row, until_refresh: int | None, after: Any, counted: bool
    ) -> None:
        counts.counts["cores"] = 9
        usage("cores", **row)
        reserve(ctxt, {"cores": 0}, until_refresh=until_refresh)
        assert (numbers("in_use")["cores", "user"], numbers("until_refresh")["cores", "user"]) == after
        assert bool(counts.calls) is counted

    def test_the_counter_goes_down_before_any_age_counts(self, ctxt: RequestContext, counts: Counts) -> None:
        usage("cores", 4, until_refresh=2, updated_at=datetime.datetime(2000, 1, 1))
        unusable: Any = object()
        reserve(ctxt, {"cores": 0}, max_age=unusable)
        usage("ram", -1)
        reserve(ctxt, {"ram": 0, "instances": 0}, max_age=unusable)  # nor does it for new usages
        assert counts.calls == [("project", "user")]

    @pytest.mark.parametrize("until_refresh", [0, 100])
    def test_an_age_counts_for_usages_that_were_made_with_a_counter(
        self, ctxt: RequestContext, counts: Counts, frozen_clock: FrozenClock, until_refresh: int
    ) -> None:
        counts.counts["cores"] = 9
        usage("cores", 4, until_refresh=100, updated_at=frozen_clock.now)
        frozen_clock.advance(60)
        reserve(ctxt, {"cores": 0}, until_refresh=until_refresh, max_age=61)
        assert (numbers()["cores", "user"], counts.calls) == ((4, 0), [])
        frozen_clock.advance(61)
        reserve(ctxt, {"cores": 0}, until_refresh=until_refresh, max_age=61)
        assert numbers()["cores", "user"] == (9, 0)

    def test_a_counter_counts_for_usages_that_were_made_without(self, ctxt: RequestContext, counts: Counts) -> None:
        for name in ("instances", "cores", "ram"):
            usage(name, 4)
        for calls in (0, 0, 1, 1, 1, 2):
            reserve(ctxt, {"cores": 0}, until_refresh=3)
            assert len(counts.calls) == calls

    @pytest.mark.parametrize(
        ("resource", "owners", "after"),
        [
            ("cores", ["user", "user", "user"], [(0, 1), (0, 1), (9, 2)]),
            ("cores", ["user", "v", "user"], [(0, 1), (3, 1), (9, 2)]),
            ("fixed_ips", [None, None], [(0, 1), (5, 2)]),
        ],
    )
    def test_of_several_usages_with_one_key_the_newest_has_the_count(
        self, ctxt: RequestContext, monkeypatch: pytest.MonkeyPatch, resource: str, owners: list[Any], after: Any
    ) -> None:
        """A database that another program has filled may have several, for no unique key keeps them apart."""
        counts = {"_sync_instances": Counts(cores=9), "_sync_fixed_ips": Counts(fixed_ips=5)}
        for name, count in counts.items():
            monkeypatch.setitem(quota_counts.QUOTA_SYNC_FUNCTIONS, name, count)
        made = [usage(resource, 3, 1, user_id=owner) for owner in owners]
        instance_factory.insert("quota_usages", **{**made[0], "id": None, "deleted": 99})
        asked = reserve(ctxt, {resource: 0}, until_refresh=1)
        asked += reserve(ctxt, {resource: 1}, until_refresh=1)
        live = [row for row in stored("quota_usages") if row["deleted"] == 0]
        assert [(row["in_use"], row["reserved"]) for row in live] == after
        found = quota_usages.quota_usage_get_all_by_project(ctxt, "project")[resource]
        assert found == {"in_use": sum(used for used, _ in after), "reserved": sum(left for _, left in after)}
        quotas.reservation_commit(ctxt, asked, "project", "user")
        assert numbers_of_newest(resource) == (after[-1][0] + 1, 1)

    def test_several_usages_with_one_key_count_together_against_limits(
        self, ctxt: RequestContext, counts: Counts
    ) -> None:
        for in_use in (3, 4):
            usage("cores", in_use)
        limits = {"cores": 8}
        with pytest.raises(exceptions.OverQuota) as raised:
            reserve(ctxt, {"cores": 2}, project_quotas={"cores": -1}, user_quotas=limits)
        assert raised.value.kwargs["usages"]["cores"] == {"in_use": 7, "reserved": 0}
        reserve(ctxt, {"cores": 1}, project_quotas={"cores": -1}, user_quotas=limits)

    @pytest.mark.parametrize(
        ("age", "max_age", "counted"),
        [
            (30, 30, True),
            (29, 30, False),
            (100000, 99999, True),
            (86401, 30, True),
            (100, 0, False),
            (100, None, False),
            (60, datetime.timedelta(minutes=1), True),
            (59, datetime.timedelta(minutes=1), False),
            (None, 30, True),
        ],
    )
    def test_age(
        self,
        ctxt: RequestContext,
        counts: Counts,
        frozen_clock: FrozenClock,
        age: int | None,
        max_age: Any,
        counted: bool,
    ) -> None:
        usage("cores", 4, updated_at=frozen_clock.now if age is not None else None)
        frozen_clock.advance(age or 0)
        reserve(ctxt, {"cores": 0}, max_age=max_age)
        assert counts.calls == [("project", "user")] * counted

    def test_one_count_serves_all_that_it_names(self, ctxt: RequestContext, counts: Counts) -> None:
        counts.counts |= {"instances": 1, "cores": 2, "ram": 3, "networks": 4}
        usage("ram", 100, until_refresh=7)
        reserve(ctxt, {"cores": 1, "instances": 1, "ram": 1}, until_refresh=2)
        assert counts.calls == [("project", "user")]
        assert numbers() == {
            ("instances", "user"): (1, 1),
            ("cores", "user"): (2, 1),
            ("ram", "user"): (3, 1),
            ("networks", None): (4, 0),
        }
        assert set(numbers("until_refresh").values()) == {2}

    def test_only_what_needs_it_is_counted(self, ctxt: RequestContext, counts: Counts) -> None:
        counts.counts["cores"] = 9
        usage("cores", 1)
        asked = resources(cores="no such function", ram="_sync_instances")
        quotas.quota_reserve(ctxt, asked, {"cores": -1}, {"cores": -1}, {"cores": 1}, None, 0, 0)
        assert (numbers(), counts.calls) == ({("cores", "user"): (1, 1)}, [])
        with pytest.raises(KeyError, match="no such function"):
            quotas.quota_reserve(ctxt, asked, {"cores": -1}, {"cores": -1}, {"cores": 1}, None, 0, 0, "other")

    def test_a_function_serves_as_well_as_a_name(self, ctxt: RequestContext) -> None:
        function = Counts(networks=5)
        quotas.quota_reserve(ctxt, resources(networks=function), {}, {}, {"networks": -1}, None, 0, 0)
        assert numbers() == {("networks", None): (5, 0)}

    def test_what_is_reserved_is_never_counted(self, ctxt: RequestContext, counts: Counts) -> None:
        counts.counts["cores"] = 2
        usage("cores", -1, 7)
        reserve(ctxt, {"cores": 1})
        assert numbers()["cores", "user"] == (2, 8)

    def test_a_count_that_changes_nothing_leaves_the_time(
        self, ctxt: RequestContext, counts: Counts, frozen_clock: FrozenClock
    ) -> None:
        row = usage("cores", 0)
        frozen_clock.advance(50)
        for _ in range(2):
            reserve(ctxt, {"cores": 0}, max_age=30)
        assert (numbers("updated_at")["cores", "user"], len(counts.calls)) == (row["updated_at"], 2)

    def test_the_sum_of_the_project_moves_along(self, ctxt: RequestContext, counts: Counts) -> None:
        counts.counts |= {"cores": 8, "ram": 3}
        usage("cores", 2, user_id="v")
        usage("cores", 4, until_refresh=1)
        usage("ram", 5, user_id="v")
        with pytest.raises(exceptions.OverQuota) as raised:
            reserve(ctxt, {"cores": 1, "ram": 1}, limit=10)
        assert raised.value.kwargs["overs"] == ["cores"]
        assert raised.value.kwargs["usages"] == {
            "cores": {"in_use": 10, "reserved": 0},
            "ram": {"in_use": 8, "reserved": 0},
            "instances": {"in_use": 0, "reserved": 0},
        }

    @pytest.mark.parametrize("read_deleted", ["no", "yes"])
    def test_what_the_counts_are_given(self, monkeypatch: pytest.MonkeyPatch, read_deleted: str) -> None:
        seen: list[Any] = []

        def count(context: Any, project_id: Any, user_id: Any) -> dict[str, int]:
            seen.append((context.is_admin, context.read_deleted, context.user_id, context.transaction.name))
            return {"cores": 0}

        monkeypatch.setitem(quota_counts.QUOTA_SYNC_FUNCTIONS, "_sync_instances", count)
        reserve(RequestContext("user", "project", read_deleted=read_deleted), {"cores": 1})
        assert seen == [(True, read_deleted, "user", "quota_reserve")]

    def test_the_log_tells_what_was_wrong(
        self, ctxt: RequestContext, counts: Counts, caplog: pytest.LogCaptureFixture
    ) -> None:
        usage("cores", -1)
        usage("ram", 0, until_refresh=1)
        with caplog.at_level(logging.DEBUG, logger="nova_sqlcore.queries.quota.reservations"):
            reserve(ctxt, {"cores": 0, "ram": 0})
        told = [(record.levelname, record.getMessage()) for record in caplog.records]
        levels = {name: level for level, text in told for name in ("cores", "ram", "instances") if f"'{name}'" in text}
        assert levels == {"cores": "INFO", "ram": "DEBUG", "instances": "DEBUG"}


class TestOverQuota:
    def test_the_error_tells_everything(self, ctxt: RequestContext, monkeypatch: pytest.MonkeyPatch) -> None:
        in_use = {"instances": 4, "cores": 8, "ram": 10240, "fixed_ips": 4}
        monkeypatch.setitem(
            quota_counts.QUOTA_SYNC_FUNCTIONS,
            "_sync_instances",
            Counts(**{name: in_use[name] for name in ("instances", "cores", "ram")}),
        )
        monkeypatch.setitem(quota_counts.QUOTA_SYNC_FUNCTIONS, "_sync_fixed_ips", Counts(fixed_ips=4))
        limits = {"instances": 5, "cores": 10, "ram": 10240, "fixed_ips": 5}
        deltas = {"instances": 2, "cores": 4, "ram": 2048, "fixed_ips": 2}
        with pytest.raises(exceptions.OverQuota) as raised:
            quotas.quota_reserve(ctxt, resources(), limits, limits, deltas, EXPIRE, 0, 0)
        assert raised.value.kwargs == {
            "code": 500,
            "overs": ["cores", "fixed_ips", "instances", "ram"],
            "quotas": limits,
            "usages": {name: {"in_use": number, "reserved": 0} for name, number in in_use.items()},
            "headroom": {"instances": 1, "cores": 2, "ram": 0, "fixed_ips": 1},
        }
        assert (stored("quota_usages"), stored("reservations")) == ([], [])

    def test_nothing_of_it_is_kept(self, ctxt: RequestContext, counts: Counts) -> None:
        before = [usage("cores", 5, until_refresh=1), usage("ram", 1, until_refresh=9)]
        for context in (ctxt, RequestContext("user", "project")):
            with pytest.raises(exceptions.OverQuota):
                reserve(context, {"cores": 0, "ram": 1, "instances": 1}, limit=0)
        assert (stored("quota_usages"), stored("reservations")) == (before, [])

    def test_a_caller_may_go_on_after_it(self, ctxt: RequestContext, counts: Counts) -> None:
        with tx.writer(ctxt):
            with pytest.raises(exceptions.OverQuota):
                reserve(ctxt, {"cores": 1, "instances": 2}, limit=1)
            reserve(ctxt, {"ram": 1}, project_id="other")
        assert [(row["project_id"], row["resource"]) for row in open_reservations()] == [("other", "ram")]
        assert {row["project_id"] for row in stored("quota_usages")} == {"other"}

    @pytest.mark.parametrize(
        ("project", "user", "asked", "told"),
        [
            # the project is over: 9 of 10 are used
            ({"cores": 10}, {"cores": 4}, 3, {"cores": (10, 9, 1)}),
            # the user is over, the project is not
            ({"cores": 20}, {"cores": 4}, 4, {"cores": (4, 1, 3)}),
            # both are over
            ({"cores": 10}, {"cores": 4}, 9, {"cores": (10, 9, 1)}),
            ({"cores": 14}, {"cores": 2}, 9, {"cores": (2, 1, 1)}),
            # one of them has no limit
            ({"cores": 10}, {"cores": -1}, 3, {"cores": (10, 9, 1)}),
            ({"cores": -1}, {"cores": 4}, 4, {"cores": (4, 1, 3)}),
            # what is not over is told at the level that has less left
            ({"cores": 10, "ram": 9}, {"cores": 4, "ram": 8}, 3, {"cores": (10, 9, 1), "ram": (9, 5, 4)}),
            ({"cores": 10, "ram": -1}, {"cores": 4, "ram": -1}, 3, {"cores": (10, 9, 1), "ram": (-1, 2, -1)}),
            # it was too much already
            ({"cores": 5}, {"cores": 4}, 0, {"cores": (5, 9, -4)}),
        ],
    )
    def test_what_is_told_is_of_the_level_that_is_over(
        self, ctxt: RequestContext, counts: Counts, project: Row, user: Row, asked: int, told: Row
    ) -> None:
        for name, in_use in (("cores", 0), ("ram", 2)):
            usage(name, in_use, 1 if name == "cores" else 0)
        for name, in_use in (("cores", 7), ("ram", 3)):
            usage(name, in_use, 1 if name == "cores" else 0, user_id="v")
        deltas = {name: asked if name == "cores" else 1 for name in told}
        with pytest.raises(exceptions.OverQuota) as raised:
            reserve(ctxt, deltas, project_quotas=project, user_quotas=user)
        found = raised.value.kwargs
        assert found["overs"] == ["cores"]
        quota, usages, headroom = (found[name] for name in ("quotas", "usages", "headroom"))
        assert {
            name: (limit, usages[name]["in_use"] + usages[name]["reserved"], headroom[name])
            for name, limit in quota.items()
        } == told
        # a caller that asks for what is left gets it
        if headroom["cores"] > 0:
            assert reserve(ctxt, {"cores": headroom["cores"]}, project_quotas=project, user_quotas=user)

    def test_the_usages_are_the_projects_if_the_limits_are(self, ctxt: RequestContext, counts: Counts) -> None:
        usage("cores", 4, 1)
        usage("cores", 5, 1, user_id="v")
        usage("ram", 7)
        usage("fixed_ips", 3, user_id=None)
        usage("networks", 2, user_id="v")
        for user_limit, cores in ((10, (9, 2)), (11, (9, 2))):
            limits = {"cores": user_limit}
            with pytest.raises(exceptions.OverQuota) as raised:
                quotas.quota_reserve(ctxt, resources(), {"cores": 10}, limits, {"cores": 1}, None, 0, 0)
            assert raised.value.kwargs["quotas"] == {"cores": 10}
            everything = {"cores": cores, "ram": (7, 0), "fixed_ips": (3, 0), "networks": (2, 0)}
            if user_limit == 11:
                del everything["networks"]
            usages = raised.value.kwargs["usages"]
            assert usages == {
                name: {"in_use": used, "reserved": reserved} for name, (used, reserved) in everything.items()
            }

    def test_users_share_the_limit_of_their_project(self, ctxt: RequestContext, counts: Counts) -> None:
        other = RequestContext("v", "project")
        limits: dict[str, Any] = {"project_quotas": {"cores": 5}, "user_quotas": {"cores": 4}}
        reserve(ctxt, {"cores": 3}, **limits)
        with pytest.raises(exceptions.OverQuota):
            reserve(other, {"cores": 3}, **limits)
        reserve(other, {"cores": 2}, **limits)
        assert (numbers()["cores", "user"], numbers()["cores", "v"]) == ((0, 3), (0, 2))

    def test_less_is_always_allowed(self, ctxt: RequestContext, counts: Counts) -> None:
        usage("cores", 50)
        reserve(ctxt, {"cores": -1}, limit=5)
        with pytest.raises(exceptions.OverQuota):
            reserve(ctxt, {"cores": 0}, limit=5)


@pytest.mark.parametrize(
    ("project", "user", "delta", "totals", "over"),
    [
        (-1, 1, 1, (0, 0), False),
        (10, 10, 1, (10, 5), True),
        (10, 10, 1, (5, 10), True),
        (10, 10, 1, (9, 9), False),
        (10, 10, 0, (11, 0), True),
        (0, 0, 1, (0, 0), True),
        (0, 0, 0, (0, 0), False),
        (-1, -1, 1000, (99, 99), False),
        (None, None, 1, (5, 5), False),
        (0, 0, -1, (99, 99), False),
    ],
)
def test_what_exceeds_a_limit(project: Any, user: Any, delta: int, totals: Numbers, over: bool) -> None:
    usages = [{"cores": {"total": total}, "ram": {"total": 1}} for total in totals]
    overs = quotas._calculate_overquota({"cores": project}, {"cores": user}, {"cores": delta}, *usages)
    assert overs == ["cores"] * over


class TestHelpers:
    def test_usages_under_lock(self, ctxt: RequestContext, sql_log: SqlLog) -> None:
        mine = [usage("cores", 1, 2), usage("cores", 3, 4)]  # a second one, as old software left them
        usage("cores", 10, 20, user_id="v")
        whole = usage("fixed_ips", 5, user_id=None)
        usage("ram", 6, user_id="v")
        usage("cores", 99, project_id="other")
        instance_factory.deleted("quota_usages", usage("cores", 99))
        answers = []
        for scope in (tx.writer, tx.reader):
            with scope(ctxt), sql_log() as statements:
                answers.append(quotas._get_project_user_quota_usages(ctxt, "project", "user"))
            assert "ORDER BY quota_usages.id" in statements[0]
        assert answers[0] == answers[1]
        project, own = answers[0]
        assert project == {
            "cores": {"in_use": 14, "reserved": 26, "total": 40},
            "fixed_ips": {"in_use": 5, "reserved": 0, "total": 5},
            "ram": {"in_use": 6, "reserved": 0, "total": 6},
        }
        assert own == {"cores": mine[1], "fixed_ips": whole}

    @pytest.mark.only_on("mysql", "postgresql", why="sqlite locks no rows")
    def test_only_writers_lock(self, ctxt: RequestContext, sql_log: SqlLog) -> None:
        for scope, locks in ((tx.writer, True), (tx.reader, False)):
            with scope(ctxt), sql_log() as statements:
                quotas._get_project_user_quota_usages(ctxt, "project", "user")
            assert ("FOR UPDATE" in statements[0]) is locks

    def test_rows_made_by_themselves_are_stored(self, ctxt: RequestContext, frozen_clock: FrozenClock) -> None:
        with tx.writer(ctxt) as session:
            row = quotas._quota_usage_create("project", "user", "cores", 1, 2, None, session)
            reservation = quotas._reservation_create("u", row, "project", "user", "cores", 3, EXPIRE, session)
        assert stored("quota_usages") == [row]
        assert stored("reservations") == [reservation]
        assert (row["updated_at"], reservation["usage_id"]) == (frozen_clock.now, row["id"])

    @pytest.mark.parametrize(("resource", "whose"), [("cores", "user"), ("fixed_ips", None)])
    def test_a_missing_usage_is_made(self, monkeypatch: pytest.MonkeyPatch, resource: str, whose: str | None) -> None:
        calls: list[Any] = []

        def create(*args: Any) -> str:
            calls.append(args)
            return "row"

        monkeypatch.setattr(quotas, "_quota_usage_create", create)
        usages: dict[str, Any] = {"ram": "there"}
        session: Any = object()
        for until_refresh, stored_one in ((0, None), (5, 5)):
            usages.pop(resource, None)
            assert quotas._create_quota_usage_if_missing(usages, resource, until_refresh, "p", "user", session)
            assert not quotas._create_quota_usage_if_missing(usages, resource, until_refresh, "p", "user", session)
            assert calls.pop() == ("p", whose, resource, 0, 0, stored_one, session)
        assert (usages, calls) == ({"ram": "there", resource: "row"}, [])

    def test_need_and_refresh_take_keywords(self) -> None:
        row: Row = {"in_use": 3, "until_refresh": None, "updated_at": None}
        assert not quotas._is_quota_refresh_needed(row, max_age=0)
        quotas._refresh_quota_usages(row, until_refresh=4, in_use=5)
        assert (row["in_use"], row["until_refresh"]) == (5, 4)


class StandIn:
    """A row that is not a dict: items can be got and set."""

    def __init__(self, **items: Any) -> None:
        self.items = items

    def __getitem__(self, name: str) -> Any:
        assert name != "total"
        return self.items[name]

    def __setitem__(self, name: str, value: Any) -> None:
        assert name != "total"
        self.items[name] = value


class TestStandIns:
    """The helpers may be replaced by functions that touch no database."""

    @pytest.fixture
    def world(self, monkeypatch: pytest.MonkeyPatch) -> types.SimpleNamespace:
        world = types.SimpleNamespace(usages={}, made=[], reservations=[])

        def get(context: Any, project_id: Any, user_id: Any) -> Any:
            return world.usages.copy(), world.usages.copy()

        def make(project_id: Any, user_id: Any, resource: Any, *args: Any) -> StandIn:
            in_use, reserved, until_refresh, _session = args
            row = StandIn(id=len(world.made), resource=resource, user_id=user_id, in_use=in_use, reserved=reserved)
            row["until_refresh"] = until_refresh
            world.made.append(row)
            return row

        def book(*args: Any) -> dict[str, Any]:
            world.reservations.append(args)
            return {"uuid": f"uuid {len(world.reservations)}"}

        monkeypatch.setattr(quotas, "_get_project_user_quota_usages", get)
        monkeypatch.setattr(quotas, "_quota_usage_create", make)
        monkeypatch.setattr(quotas, "_reservation_create", book)
        return world

    def test_new_usages(self, ctxt: RequestContext, counts: Counts, world: types.SimpleNamespace) -> None:
        counts.counts |= {"instances": 2, "cores": 2, "ram": 2}
        made = reserve(ctxt, {"instances": 2, "cores": 4, "fixed_ips": 0}, until_refresh=5)
        assert made == ["uuid 1", "uuid 2", "uuid 3"]
        after = {row["resource"]: (row["in_use"], row["reserved"], row["until_refresh"]) for row in world.made}
        assert after == {"instances": (2, 2, 5), "cores": (2, 4, 5), "ram": (2, 0, 5), "fixed_ips": (0, 0, 5)}
        assert [args[2:6] for args in world.reservations] == [
            ("project", "user", "instances", 2),
            ("project", "user", "cores", 4),
            ("project", "user", "fixed_ips", 0),
        ]
        by_name = {row["resource"]: row for row in world.made}
        assert all(args[1] is by_name[args[4]] for args in world.reservations)
        assert (stored("quota_usages"), stored("reservations")) == ([], [])

    def test_usages_that_both_dicts_share(
        self, ctxt: RequestContext, counts: Counts, world: types.SimpleNamespace, frozen_clock: FrozenClock
    ) -> None:
        counts.counts["cores"] = 7
        row = StandIn(id=0, resource="cores", in_use=-1, reserved=1, until_refresh=None, updated_at=frozen_clock.now)
        world.usages["cores"] = row
        assert reserve(ctxt, {"cores": 2}, limit=10) == ["uuid 1"]
        assert (row["in_use"], row["reserved"]) == (7, 3)
        with pytest.raises(exceptions.OverQuota) as raised:
            reserve(ctxt, {"cores": 1}, limit=10)
        assert raised.value.kwargs["usages"]["cores"] == {"in_use": 7, "reserved": 3}


class TestSettle:
    @pytest.fixture
    def made(self, ctxt: RequestContext, counts: Counts) -> list[str]:
        usage("instances", 1)
        usage("cores", 5)
        usage("fixed_ips", 2, user_id=None)
        usage("cores", 9, 9, user_id="v")
        return reserve(ctxt, {"instances": 0, "cores": 2, "fixed_ips": 3}) + reserve(ctxt, {"cores": -4})

    @pytest.mark.parametrize(
        ("settle", "cores", "fixed_ips"),
        [(quotas.reservation_commit, (3, 0), (5, 0)), (quotas.reservation_rollback, (5, 0), (2, 0))],
    )
    def test_everything_in_few_statements(
        self,
        ctxt: RequestContext,
        made: list[str],
        sql_count: SqlCount,
        frozen_clock: FrozenClock,
        settle: Callable[..., None],
        cores: Numbers,
        fixed_ips: Numbers,
    ) -> None:
        before = stored("reservations")
        now = frozen_clock.advance(3)
        with sql_count(3, mysql=4, default=3):
            settle(ctxt, made, project_id="project", user_id="user")
        assert numbers() == {
            ("instances", "user"): (1, 0),
            ("cores", "user"): cores,
            ("fixed_ips", None): fixed_ips,
            ("cores", "v"): (9, 9),
        }
        assert stored("reservations") == [row | {"deleted": row["id"], "deleted_at": now} for row in before]
        updated = numbers("updated_at")
        assert updated["cores", "user"] == updated["fixed_ips", None] == now
        assert updated["instances", "user"] != now
        before = stored("quota_usages")
        settle(ctxt, made, "project", "user")
        settle(ctxt, ["no such", *made], "project", "user")
        assert stored("quota_usages") == before

    @pytest.mark.parametrize("settle", [quotas.reservation_commit, quotas.reservation_rollback])
    def test_nothing_to_do(self, ctxt: RequestContext, sql_count: SqlCount, settle: Callable[..., None]) -> None:
        with sql_count(0):
            settle(ctxt, [], "project", "user")

    @pytest.mark.parametrize("settle", [quotas.reservation_commit, quotas.reservation_rollback])
    @pytest.mark.parametrize(
        ("owner", "missing"), [((), "instances"), (("other", "user"), "instances"), (("project", "w"), "instances")]
    )
    def test_usages_of_somebody_else(
        self, ctxt: RequestContext, made: list[str], settle: Callable[..., None], owner: tuple[str, ...], missing: str
    ) -> None:
        before = stored("quota_usages"), stored("reservations")
        with pytest.raises(KeyError, match=missing):
            settle(ctxt, made, *owner)
        with tx.writer(ctxt) as t, pytest.raises(KeyError, match=missing), t.savepoint():  # a caller may go on
            settle(ctxt, made, *owner)
        assert (stored("quota_usages"), stored("reservations")) == before

    def test_the_user_of_a_projects_usage_does_not_matter(self, ctxt: RequestContext, made: list[str]) -> None:
        quotas.reservation_commit(ctxt, [made[2]], project_id="project")
        assert numbers()["fixed_ips", None] == (5, 0)

    def test_of_two_usages_the_reserved_one_changes(self, ctxt: RequestContext, made: list[str]) -> None:
        later = usage("cores", 100)
        quotas.reservation_rollback(ctxt, made, "project", "user")
        assert [(row["in_use"], row["reserved"]) for row in stored("quota_usages") if row["resource"] == "cores"] == [
            (5, 0),
            (9, 9),
            (later["in_use"], 0),
        ]

    def test_more_may_be_given_back_than_is_there(self, ctxt: RequestContext, counts: Counts) -> None:
        counts.counts["cores"] = 1
        quotas.reservation_commit(ctxt, reserve(ctxt, {"cores": -3}), "project", "user")
        assert numbers()["cores", "user"] == (-2, 0)
        reserve(ctxt, {"cores": 0})
        assert numbers()["cores", "user"] == (1, 0)

    def test_long_lists(self, ctxt: RequestContext, counts: Counts) -> None:
        made = reserve(ctxt, {"cores": 1})
        strangers = [str(uuid.uuid4()) for _ in range(600)]
        quotas.reservation_commit(ctxt, [*strangers, *made], "project", "user")
        assert numbers()["cores", "user"] == (1, 0)

    def test_destroyed_quotas(self, ctxt: RequestContext, made: list[str]) -> None:
        limits.quota_destroy_all_by_project(ctxt, "project")
        before = stored("quota_usages")
        quotas.reservation_commit(ctxt, made, "project", "user")
        assert stored("quota_usages") == before


class TestExpire:
    def test_what_is_over_is_given_back(
        self, ctxt: RequestContext, counts: Counts, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        counts.counts |= {"cores": 4, "ram": 4}
        soon = frozen_clock.now + datetime.timedelta(seconds=60)
        reserve(ctxt, {"cores": 2, "ram": -3}, expire=soon)
        reserve(RequestContext("v", "other"), {"cores": 3}, expire=soon)
        reserve(ctxt, {"cores": 5}, expire=None)
        reserve(ctxt, {"cores": 6}, expire=soon + datetime.timedelta(seconds=60))
        frozen_clock.advance(60)
        with sql_count(1):
            quotas.reservation_expire(ctxt)  # not before, but after that moment
        now = frozen_clock.advance(20)
        with sql_count(4, mysql=5, default=4):
            assert quotas.reservation_expire(RequestContext(read_deleted="yes")) is None  # type: ignore[func-returns-value]  # what it is about
        assert numbers()["cores", "user"] == (4, 11)
        assert numbers()["ram", "user"] == (4, 0)
        assert numbers()["cores", "v"] == (4, 0)
        gone = [row for row in stored("reservations") if row["deleted"] != 0]
        assert [row["delta"] for row in gone] == [2, -3, 3]
        assert {(row["deleted_at"], row["updated_at"]) for row in gone} == {(now, None)}

    def test_at_once(self, ctxt: RequestContext, counts: Counts) -> None:
        reserve(ctxt, {"cores": 2}, expire=clock.utcnow())
        quotas.reservation_expire(ctxt)
        assert (numbers()["cores", "user"], open_reservations()) == ((0, 0), [])

    def test_commits_come_too_late(self, ctxt: RequestContext, counts: Counts) -> None:
        made = reserve(ctxt, {"cores": 2}, expire=datetime.datetime(2000, 1, 1))
        quotas.reservation_expire(ctxt)
        quotas.reservation_commit(ctxt, made, "project", "user")
        assert numbers()["cores", "user"] == (0, 0)

    def test_usages_that_are_gone(self, ctxt: RequestContext, counts: Counts) -> None:
        reserve(ctxt, {"cores": 2}, expire=datetime.datetime(2000, 1, 1))
        reserve(RequestContext("v", "other"), {"cores": 2}, expire=datetime.datetime(2000, 1, 1))
        gone = next(row for row in stored("quota_usages") if row["resource"] == "cores")
        instance_factory.deleted("quota_usages", gone)
        before = next(row for row in stored("quota_usages") if row["id"] == gone["id"])
        quotas.reservation_expire(ctxt)
        assert open_reservations() == []
        assert next(row for row in stored("quota_usages") if row["id"] == gone["id"]) == before
        assert numbers()["cores", "v"] == (0, 0)

    def test_many(self, admin: RequestContext, sql_count: SqlCount) -> None:
        long_ago = datetime.datetime(2000, 1, 1)
        with tx.writer(admin) as transaction:
            given = [{"project_id": f"{n}", "resource": "cores", "in_use": n, "reserved": 18} for n in range(60)]
            owners = transaction.insert_many(tables.quota_usages, given)
            transaction.insert_many(
                tables.reservations,
                [
                    {"uuid": f"{owner['id']}-{n}", "usage_id": owner["id"], "delta": 2, "expire": long_ago}
                    for owner in owners
                    for n in range(9)
                ],
            )
        with sql_count(sqlite=9, mysql=11, postgresql=9):  # 500 of 60 usages, then 40
            quotas.reservation_expire(admin)
        assert open_reservations() == []
        assert {row["reserved"] for row in stored("quota_usages")} == {0}
        assert [row["in_use"] for row in stored("quota_usages")] == list(range(60))


@pytest.fixture
def faults() -> Iterator[collections.Counter[str]]:
    """Let the statements that begin with these words fail so many times; "COMMIT" is one of them."""
    due: collections.Counter[str] = collections.Counter()

    def fail(statement: str) -> None:
        for words in list(due):
            if due[words] and statement.startswith(words):
                due[words] -= 1
                raise exceptions.DBDeadlock(f"injected at {words}")

    def before(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        fail(statement)

    def at_commit(connection: Any) -> None:
        fail("COMMIT")

    sa.event.listen(sa.Engine, "before_cursor_execute", before)
    sa.event.listen(sa.Engine, "commit", at_commit)
    yield due
    sa.event.remove(sa.Engine, "before_cursor_execute", before)
    sa.event.remove(sa.Engine, "commit", at_commit)


class TestConflicts:
    @pytest.mark.parametrize("where", ["SELECT quota_usages", "INSERT INTO reservations", "COMMIT"])
    def test_all_of_them_start_over(
        self, ctxt: RequestContext, counts: Counts, faults: collections.Counter[str], where: str
    ) -> None:
        calls: list[Callable[[], Any]] = [
            lambda: made.extend(reserve(ctxt, {"cores": 1})),
            lambda: made.extend(reserve(ctxt, {"cores": 2}, expire=datetime.datetime(2000, 1, 1))),
            lambda: quotas.reservation_expire(ctxt),
            lambda: quotas.reservation_commit(ctxt, made, "project", "user"),
            lambda: quotas.reservation_rollback(ctxt, reserve(ctxt, {"cores": 5}), "project", "user"),
        ]
        made: list[str] = []
        for call in calls:
            faults[where] = 3
            call()
        assert (numbers()["cores", "user"], open_reservations()) == ((1, 0), [])

    @pytest.mark.usefixtures("six_attempts")
    def test_six_times(self, ctxt: RequestContext, counts: Counts, faults: collections.Counter[str]) -> None:
        faults["COMMIT"] = 10
        with pytest.raises(exceptions.DBDeadlock):
            reserve(ctxt, {"cores": 1})
        assert faults["COMMIT"] == 4
        faults["COMMIT"] = 0
        assert (stored("quota_usages"), stored("reservations")) == ([], [])

    def test_a_joined_call_leaves_it_to_the_owner(
        self, ctxt: RequestContext, counts: Counts, faults: collections.Counter[str]
    ) -> None:
        faults["INSERT INTO reservations"] = 2
        tries = 0
        for attempt in tx.attempts(ctxt):
            with attempt:
                tries += 1
                reserve(ctxt, {"cores": 1})
        assert (tries, numbers()["cores", "user"], len(open_reservations())) == (3, (0, 1), 1)


@pytest.fixture(scope="module")
def eight() -> Iterator[processes.Processes]:
    """Start eight processes for the tests of this module."""
    with processes.eight_processes() as started:
        yield started


def _reserve_once(number: int, limit: int) -> str:
    context = RequestContext(f"user {number % 4}", "project")
    try:
        reserve(context, {"instances": 1, "cores": 2}, project_quotas={"instances": limit, "cores": -1})
    except exceptions.OverQuota:
        return "over"
    return "reserved"


def _work(number: int, rounds: int, limit: int) -> Row:
    """Reserve, and commit, roll back or let expire; return what became of it."""
    context = RequestContext(f"user {number % 2}", "project")
    outcomes: collections.Counter[str] = collections.Counter()
    for turn in range(rounds):
        what = ("commit", "rollback", "expire", "both")[(number + turn) % 4]
        expire = datetime.datetime(2000, 1, 1) if what == "expire" else EXPIRE
        limits = {"instances": limit, "cores": -1, "fixed_ips": -1}
        try:
            made = reserve(context, {"instances": 1, "cores": 2, "fixed_ips": 1}, project_quotas=limits, expire=expire)
        except exceptions.OverQuota:
            outcomes["over"] += 1
            continue
        outcomes[what] += 1
        if what == "expire":
            quotas.reservation_expire(context)
        elif what == "rollback":
            quotas.reservation_rollback(context, made, "project", context.user_id)
        else:
            quotas.reservation_commit(context, made, "project", context.user_id)
            if what == "both":
                quotas.reservation_rollback(context, made, "project", context.user_id)
    return outcomes


class TestProcesses:
    @pytest.mark.parametrize("limit", [3, 100])
    def test_first_use(self, backend: Backend, eight: processes.Processes, limit: int) -> None:
        won = collections.Counter(eight.call(backend.url, _reserve_once, limit))["reserved"]
        assert won == min(limit, processes.COUNT)
        found = numbers()  # fails if a usage has been made twice
        assert sum(reserved for (name, _), (_, reserved) in found.items() if name == "instances") == won
        assert sum(reserved for (name, _), (_, reserved) in found.items() if name == "cores") == 2 * won
        assert len(open_reservations()) == 2 * won

    def test_everything_at_once(self, backend: Backend, eight: processes.Processes) -> None:
        limit = 40
        outcomes: collections.Counter[str] = sum(eight.call(backend.url, _work, 12, limit), start=collections.Counter())
        assert sum(outcomes.values()) == 12 * processes.COUNT
        committed = outcomes["commit"] + outcomes["both"]
        quotas.reservation_expire(get_admin_context())
        found = numbers()
        assert {reserved for _, reserved in found.values()} == {0}
        assert sum(used for (name, _), (used, _) in found.items() if name == "instances") == committed <= limit
        assert sum(used for (name, _), (used, _) in found.items() if name == "cores") == 2 * committed
        assert found["fixed_ips", None] == (committed, 0)
        assert outcomes["over"] > 0
        assert open_reservations() == []
