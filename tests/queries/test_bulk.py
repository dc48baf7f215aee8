# SPDX-License-Identifier: Apache-2.0

"""Bulk calls: what a loop of single calls does, all or nothing, in a few statements."""

from __future__ import annotations

import itertools
import uuid
from typing import TYPE_CHECKING, Any

import pytest

from nova_sqlcore import RequestContext, api, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.compute import changes
from nova_sqlcore.settings import settings
from tests.queries.instance_factory import deleted, group, insert, instance

if TYPE_CHECKING:
    from tests.plugins.backend import Backend
    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

Row = Any

MANY = 10_000
SOME = 1_000
USER = RequestContext("user", "project")
METADATA = ("metadata", "system_metadata")
NOWHERE = "00000000-0000-4000-8000-000000000000"
_numbers = itertools.count(1)


def service(host: str = "h") -> int:
    given = {"host": host, "binary": f"b{next(_numbers)}", "topic": f"t{next(_numbers)}"}
    return int(api.service_create(get_admin_context(), given)["id"])


def node_values(**more: Any) -> Row:
    numbers = dict.fromkeys(
        ("vcpus", "memory_mb", "local_gb", "vcpus_used", "memory_mb_used", "local_gb_used", "hypervisor_version"), 1
    )
    return {"host": "h", "hypervisor_hostname": f"n{next(_numbers)}", "hypervisor_type": "Q", "cpu_info": ""} | {
        **numbers,
        **more,
    }


def node(**more: Any) -> Row:
    return api.compute_node_create(get_admin_context(), node_values(**more))


def count(table: str) -> int:
    with tx.reader(get_admin_context()) as t:
        return len(t.rows(getattr(tables, table).select()))


class TestCreate:
    @pytest.fixture(autouse=True)
    def _default_group(self, backend: Backend) -> None:
        api.security_group_ensure_default(USER)

    def given(self, **more: Any) -> Row:
        return {"project_id": "project", "user_id": "user", **more}

    def test_rows_are_those_of_single_calls(self, sql_count: SqlCount) -> None:
        group(name="web")
        one = self.given(
            metadata={"a": "b", "c": "d"},
            system_metadata={"e": "f"},
            info_cache={"network_info": "[]"},
            extra={"numa_topology": "n"},
            security_groups=["web", "default"],
            launched_at="2016-04-08T12:00:00+02:00",
        )
        uuids = [str(uuid.UUID(int=number)) for number in (7, 3, 5)]
        last = self.given(uuid=uuids[2])
        with sql_count(8):
            rows = api.instances_create(USER, [{**one, "uuid": uuids[0]}, {**one, "uuid": uuids[1]}, last])
        single = api.instance_create(USER, one)
        assert [row["uuid"] for row in rows] == uuids
        assert [set(row) for row in rows] == [set(single)] * 3
        assert rows[0]["id"] < rows[1]["id"] < rows[2]["id"] < single["id"]
        for row in rows:
            read: Row = api.instance_get_by_uuid(USER, row["uuid"], [*METADATA, "extra", "extra.numa_topology"])
            for group_ in read["security_groups"]:
                del group_["rules"]
            assert {**row, "extra": None} == {**read, "extra": None}
            assert {name: row["extra"][name] for name in read["extra"]} == read["extra"]  # type: ignore[index]  # it has one
        assert [len(row["metadata"]) for row in rows] == [2, 2, 0]
        assert rows[0]["security_groups"] is not rows[1]["security_groups"]
        assert rows[0]["security_groups"][0] is not rows[1]["security_groups"][0]
        assert count("instance_id_mappings") == 4

    def test_nothing_is_made_of_nothing(self, sql_count: SqlCount) -> None:
        with sql_count(0):
            assert api.instances_create(USER, []) == []

    def test_ids_and_uuids_of_the_callers_own(self) -> None:
        more: list[Row] = [{"hostname": "a"}, {"hostname": "b", "id": 1_000}, {"hostname": "c"}, {"id": 900}]
        rows = api.instances_create(USER, [self.given(**one) for one in more])
        assert [row["hostname"] for row in rows] == ["a", "b", "c", None]
        assert [row["id"] for row in rows][1::2] == [1_000, 900]
        assert [api.instance_get_by_uuid(USER, row["uuid"])["id"] for row in rows] == [row["id"] for row in rows]

    @pytest.mark.parametrize(
        ("more", "error"),
        [
            ({"uuid": NOWHERE}, exceptions.DBDuplicateEntry),
            ({"security_groups": ["nowhere"]}, exceptions.SecurityGroupNotFoundForProject),
            ({"vcpus": "many"}, exceptions.DBDataError),
            ({"metadata": {"a": "b" * 300}}, exceptions.DBError),
            ({"name": "n"}, exceptions.DBError),
            ({"launched_at": "yesterday"}, ValueError),
        ],
    )
    def test_a_failure_leaves_nothing(self, more: Row, error: type[Exception]) -> None:
        given = [self.given(uuid=NOWHERE, metadata={"a": "b"}), self.given(), self.given(**more)]
        with pytest.raises(error):
            api.instances_create(USER, given)
        assert [count(table) for table in ("instances", "instance_id_mappings", "instance_metadata")] == [0, 0, 0]

    def test_host_names_that_must_be_unique(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(settings, "osapi_compute_unique_server_name_scope", "project")
        api.instances_create(USER, [self.given(hostname="a"), self.given(hostname="b"), self.given(), self.given()])
        for names in (("c", "C"), ("c", "A")):
            with pytest.raises(exceptions.InstanceExists):
                api.instances_create(USER, [self.given(hostname=name) for name in names])
        assert count("instances") == 4

    @pytest.mark.parametrize(
        ("names", "taken"),
        [
            (["c", "B", "a"], "b"),
            ([None, "c", "A", None, "B"], "a"),
            ([*(f"n{number}" for number in range(30)), "A"], "a"),
            (["c", "D", "A", "d"], "d"),
            (["A'", 'a"', "a\\", "%s", "B"], "b"),
        ],
    )
    def test_the_first_host_name_that_is_taken_is_told(
        self, monkeypatch: pytest.MonkeyPatch, names: list[str | None], taken: str
    ) -> None:
        monkeypatch.setattr(settings, "osapi_compute_unique_server_name_scope", "project")
        api.instances_create(USER, [self.given(hostname=name) for name in ("B", "a")])
        with pytest.raises(exceptions.InstanceExists) as raised:
            api.instances_create(USER, [self.given(hostname=name) for name in names])
        assert raised.value.kwargs["name"] == taken
        assert count("instances") == 2

    @pytest.mark.parametrize(("scope", "project"), [("project", "project"), ("global", "other")])
    def test_one_statement_asks_for_all_host_names(
        self, monkeypatch: pytest.MonkeyPatch, sql_count: SqlCount, scope: str, project: str
    ) -> None:
        """Besides what holds them: one of them on PostgreSQL, two on the MySQL family, for each name."""
        monkeypatch.setattr(settings, "osapi_compute_unique_server_name_scope", scope)
        context = RequestContext("user", project)
        api.security_group_ensure_default(context)
        names = [f"n{number}" for number in range(12)]

        def create(*names: str | None) -> list[Row]:
            return [*api.instances_create(context, [{"project_id": project, "hostname": name} for name in names])]

        with sql_count(sqlite=6, postgresql=6 + 12, mysql=6 + 2 * 12):
            rows = create(*names, None)
        api.instance_destroy(context, rows[7]["uuid"])
        with pytest.raises(exceptions.InstanceExists), sql_count(sqlite=2, postgresql=2 + 2, mysql=2 + 2 * 2):
            create("n7", "N8")
        create("n7", "new")
        assert count("instances") == 15

    def test_host_names_of_another_project(self, monkeypatch: pytest.MonkeyPatch) -> None:
        api.instances_create(USER, [self.given(hostname="a")])
        monkeypatch.setattr(settings, "osapi_compute_unique_server_name_scope", "project")
        other = RequestContext("user", "other")
        api.instances_create(other, [{"project_id": "other", "hostname": "a"}, {"project_id": "other"}])
        monkeypatch.setattr(settings, "osapi_compute_unique_server_name_scope", "global")
        with pytest.raises(exceptions.InstanceExists):
            api.instances_create(other, [{"project_id": "other", "hostname": name} for name in ("b", "A")])

    def test_a_bad_time_is_told_before_a_host_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(settings, "osapi_compute_unique_server_name_scope", "project")
        api.instances_create(USER, [self.given(hostname="a")])
        with pytest.raises(ValueError, match="yesterday"):
            api.instances_create(USER, [self.given(hostname="a"), self.given(launched_at="yesterday")])

    def test_a_missing_default_group_is_made(self) -> None:
        other = RequestContext("user", "other")
        rows = api.instances_create(other, [{"project_id": "other"}] * 2)
        assert [row["security_groups"] for row in rows] == [[], []]
        assert api.security_group_get_by_name(other, "other", "default")["project_id"] == "other"

    def test_iterators_outlast_an_attempt(self, monkeypatch: pytest.MonkeyPatch) -> None:
        group(name="web")
        insert_all, attempts = changes._insert_all, []

        def fail_first(*given: Any) -> list[Row]:
            attempts.append(given)
            if len(attempts) == 1:
                raise exceptions.DBDeadlock
            return insert_all(*given)

        monkeypatch.setattr(changes, "_insert_all", fail_first)
        names = (name for name in ("web",))
        rows = api.instances_create(USER, iter([self.given(security_groups=names)]))  # type: ignore[arg-type]  # any will do
        assert len(attempts) == 2
        assert [one["name"] for one in rows[0]["security_groups"]] == ["web"]


class TestGetMany:
    def test_each_is_what_a_single_get_returns(self, sql_count: SqlCount) -> None:
        made = [
            instance({"a": "b"}, {"c": "d", "e": "f"}, tags=["x"], display_name="n"),
            instance(),
            instance({"a": "c"}, project_id="other"),
        ]
        insert("instance_info_caches", instance_uuid=made[0]["uuid"], network_info="[]")
        insert("instance_extra", instance_uuid=made[1]["uuid"], numa_topology="n")
        group(made[0], made[1], rules=[{"protocol": "tcp"}, {"protocol": "udp"}])
        uuids = [made[number]["uuid"] for number in (2, 0, 1)]
        admin = get_admin_context()
        with sql_count(4):
            found = api.instance_get_many(admin, uuids)
        assert found == [api.instance_get_by_uuid(admin, one) for one in uuids]
        for joins in ([], ["metadata"], ["extra", "extra.numa_topology", "tags", "pci_devices", "services"]):
            singles = [api.instance_get_by_uuid(admin, one, joins) for one in uuids]
            assert api.instance_get_many(admin, uuids, joins) == singles
        for columns in (["display_name"], ["name"], ["uuid", "id"]):
            wanted = [api.instance_get_by_uuid(admin, one, ["tags"], columns=columns) for one in uuids]
            assert api.instance_get_many(admin, uuids, ["tags"], columns=columns) == wanted
        with sql_count(1):
            hosts: list[Row] = [*api.instance_get_many(admin, uuids, columns=["host"])]
        assert hosts == [{"host": None}] * 3

    def test_who_may_see_what(self) -> None:
        mine, others, gone = instance(), instance(project_id="other"), instance()
        deleted("instances", gone)
        uuids = [gone["uuid"], NOWHERE, others["uuid"], mine["uuid"], mine["uuid"].upper(), "no uuid", mine["uuid"]]
        contexts = {USER: [mine], get_admin_context(): [others, mine], get_admin_context("only"): [gone]}
        for context, rows in contexts.items():
            assert [row["id"] for row in api.instance_get_many(context, uuids)] == [row["id"] for row in rows]

    def test_none_of_none(self, admin: RequestContext, sql_count: SqlCount) -> None:
        with sql_count(0):
            assert api.instance_get_many(admin, []) == []
        with sql_count(1):
            assert api.instance_get_many(admin, [NOWHERE]) == []
        with pytest.raises(ValueError, match="no join 'metadat'"):
            api.instance_get_many(admin, [], ["metadat"])


class TestUpdateMany:
    def test_rows_are_as_a_read_shows_them(self, sql_count: SqlCount, frozen_clock: FrozenClock) -> None:
        uuids = [instance(vm_state="building", task_state="a")["uuid"] for _ in range(3)]
        wanted = [uuids[2], uuids[0], uuids[2]]
        values = {"task_state": None, "host": "h", "expected_task_state": ["a", "b"], "launched_at": "2016-04-08T12:00"}
        with sql_count(2):
            rows = api.instance_update_many(USER, wanted, values, expected={"vm_state": "building"})
        assert [row["uuid"] for row in rows] == [uuids[2], uuids[0]]
        for row in rows:
            read = api.instance_get_by_uuid(USER, row["uuid"])
            assert row == {name: read[name] for name in row}  # type: ignore[literal-required]  # any column
            assert (row["host"], row["task_state"], row["updated_at"]) == ("h", None, frozen_clock.now)
        assert set(rows[0]) == set(api.instance_update(USER, uuids[1], {"progress": 1}))
        assert api.instance_get_by_uuid(USER, uuids[1])["host"] is None

    @pytest.mark.parametrize("joined", [False, True])
    def test_a_failure_leaves_nothing(self, joined: bool) -> None:
        first, second, others = instance(), instance(task_state="busy"), instance(project_id="other")
        cases: list[tuple[str, type[Exception]]] = [
            (second["uuid"], exceptions.UnexpectedTaskStateError),
            (NOWHERE, exceptions.InstanceNotFound),
            (others["uuid"], exceptions.InstanceNotFound),
            ("no uuid", exceptions.InvalidUUID),
        ]
        for wrong, error in cases:
            values = {"host": "h", "expected_task_state": None}
            if joined:
                with tx.writer(USER):  # nothing has been written yet: the caller may go on
                    with pytest.raises(error):
                        api.instance_update_many(USER, [first["uuid"], wrong], values)
                    api.instance_update(USER, first["uuid"], {"progress": 7})
            else:
                with pytest.raises(error):
                    api.instance_update_many(USER, [first["uuid"], wrong], values)
            assert api.instance_get_by_uuid(USER, first["uuid"])["host"] is None

    def test_a_uuid_for_two(self) -> None:
        uuids = [instance()["uuid"] for _ in range(2)]
        with pytest.raises(exceptions.DBDuplicateEntry):
            api.instance_update_many(USER, uuids, {"uuid": NOWHERE})
        assert len(api.instance_get_many(USER, uuids)) == 2

    def test_what_is_no_column(self) -> None:
        one = instance()["uuid"]
        for name in ("metadata", "system_metadata", "no_column"):
            with pytest.raises(exceptions.DBError, match=f"no column '{name}'"):
                api.instance_update_many(USER, [one], {name: {}})
        with pytest.raises(exceptions.DBError, match="no column 'state'"):
            api.instance_update_many(USER, [one], {"host": "h"}, expected={"state": "a"})

    def test_a_host_name_that_must_be_unique(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(settings, "osapi_compute_unique_server_name_scope", "global")
        uuids = [instance()["uuid"] for _ in range(2)]
        with pytest.raises(exceptions.InstanceExists):
            api.instance_update_many(USER, uuids, {"hostname": "a"})
        assert api.instance_update_many(USER, uuids[:1], {"hostname": "a"})[0]["hostname"] == "a"

    def test_nothing(self, sql_count: SqlCount) -> None:
        with sql_count(0):
            assert api.instance_update_many(USER, [], {"host": "h"}) == []


class TestHeartbeat:
    def test_each_reports_once(self, admin: RequestContext, sql_count: SqlCount, frozen_clock: FrozenClock) -> None:
        first, second, third = (service() for _ in range(3))
        with sql_count(1):
            api.services_heartbeat(admin, [third, first, third])
        rows = {row["id"]: row for row in api.service_get_all(admin)}
        assert [rows[one]["report_count"] for one in (first, second, third)] == [1, 0, 1]
        now = frozen_clock.now
        assert [rows[one]["last_seen_up"] for one in (first, second, third)] == [now, None, now]
        single = api.service_update(admin, second, {"report_count": 1})
        own = ("id", "binary", "topic", "created_at")
        assert {**single, **dict.fromkeys(own)} == {**rows[first], **dict.fromkeys(own)}

    def test_ids_may_be_text(self, admin: RequestContext) -> None:
        one = service()
        api.services_heartbeat(admin, [one, str(one)])  # type: ignore[list-item]  # callers do so
        assert api.service_get(admin, one)["report_count"] == 1

    @pytest.mark.parametrize("wrong", [77777, "fake", 10**40, -1, None])
    def test_a_missing_one_leaves_nothing(self, admin: RequestContext, wrong: Any) -> None:
        one = service()
        with pytest.raises(exceptions.ServiceNotFound) as raised:
            api.services_heartbeat(admin, [one, wrong, 88888])
        assert raised.value.kwargs["service_id"] == wrong
        assert api.service_get(admin, one)["report_count"] == 0

    def test_deleted_ones(self, admin: RequestContext) -> None:
        one, gone = service(), service()
        api.service_destroy(admin, gone)
        with pytest.raises(exceptions.ServiceNotFound):
            api.services_heartbeat(admin, [one, gone])
        api.services_heartbeat(get_admin_context("only"), [gone])
        assert api.service_get(get_admin_context("yes"), gone)["report_count"] == 1

    def test_nothing(self, admin: RequestContext, sql_count: SqlCount) -> None:
        with sql_count(0):
            api.services_heartbeat(admin, [])


class TestNodes:
    def test_rows_are_those_of_single_calls(self, admin: RequestContext, sql_count: SqlCount) -> None:
        first, second, third = node(), node(), node(ram_allocation_ratio=1.5)
        with sql_count(3):
            rows = api.compute_nodes_update(
                admin,
                [
                    {"id": third["id"], "vcpus_used": 7, "ram_allocation_ratio": None},
                    {"id": first["id"], "vcpus_used": 8},
                    {"id": third["id"], "vcpus_used": 9, "ram_allocation_ratio": 2.25},
                ],
            )
        assert [(row["id"], row["vcpus_used"]) for row in rows] == [(third["id"], 9), (first["id"], 8)]
        assert rows == [api.compute_node_get_model(admin, row["id"]) for row in rows]
        assert rows[0]["ram_allocation_ratio"] == 2.25
        assert api.compute_node_get_model(admin, second["id"]) == second

    def test_values_of_every_kind(self, admin: RequestContext, sql_count: SqlCount) -> None:
        """On the MySQL family they meet in the columns of one list of rows."""
        ids = [node()["id"] for _ in range(3)]
        names = ("ram_allocation_ratio", "stats", "deleted_at", "host_ip", "running_vms")
        records = [
            (None, None, None, None, None),
            (1e-05, "é\\'\"%s", "2016-04-08T12:00:00", "10.0.0.1", -1),
            (16, "x" * 7_000, None, "::1", 2**31 - 1),
        ]
        kinds = [dict(zip(names, record, strict=True)) for record in records]
        with sql_count(2):
            rows = api.compute_nodes_update(admin, [{"id": one, **kind} for one, kind in zip(ids, kinds, strict=True)])
        assert rows == [api.compute_node_get_model(admin, one) for one in ids]
        assert [row["stats"] for row in rows] == [kind["stats"] for kind in kinds]

    def test_a_failure_leaves_nothing(self, admin: RequestContext) -> None:
        first, second = node(), node()
        values = {"hypervisor_hostname": "new", "vcpus_used": 9}
        wrongs: list[tuple[Row, type[Exception]]] = [
            ({"id": 77777, **values}, exceptions.ComputeHostNotFound),
            ({"id": "fake", **values}, exceptions.ComputeHostNotFound),
            (values, exceptions.ComputeHostNotFound),
            ({"id": second["id"], **values}, exceptions.DBDuplicateEntry),
            ({"id": second["id"], **values, "vcpus_used": "many"}, exceptions.DBDataError),
        ]
        for wrong, error in wrongs:
            with pytest.raises(error):
                api.compute_nodes_update(admin, [{"id": first["id"], **values}, wrong])
            assert api.compute_node_get_model(admin, first["id"]) == first

    def test_a_caller_may_go_on_after_a_missing_node(self, admin: RequestContext) -> None:
        one = node()
        with tx.writer(admin):
            with pytest.raises(exceptions.ComputeHostNotFound):
                api.compute_nodes_update(admin, [{"id": one["id"], "vcpus": 5}, {"id": 77777, "vcpus": 5}])
            api.compute_nodes_update(admin, [{"id": one["id"], "vcpus": 6}])
        assert api.compute_node_get_model(admin, one["id"])["vcpus"] == 6

    def test_nothing(self, admin: RequestContext, sql_count: SqlCount) -> None:
        with sql_count(0):
            assert api.compute_nodes_update(admin, []) == []


class TestThousands:
    """Beyond what one statement takes, in packets or parameters."""

    def test_instances(self, sql_count: SqlCount) -> None:
        given = [{"project_id": "project", "launch_index": number} for number in range(SOME)]
        made = api.instances_create(USER, given)
        assert [row["launch_index"] for row in made] == list(range(SOME))
        uuids = [row["uuid"] for row in reversed(made)]
        with sql_count(4):
            rows = api.instance_update_many(USER, uuids, {"host": "h"})
        assert [row["uuid"] for row in rows] == uuids
        absent = [str(uuid.UUID(int=number)) for number in range(MANY - SOME)]
        with sql_count(20):
            found = api.instance_get_many(USER, [*absent, *uuids], columns=["id", "host"])
        assert found == [{"id": row["id"], "host": "h"} for row in reversed(made)]

    def test_hosts(self, admin: RequestContext, sql_count: SqlCount) -> None:
        with tx.writer(admin) as t:
            services = t.insert_many(tables.services, [{"host": f"h{number}", "binary": "b"} for number in range(SOME)])
            nodes = t.insert_many(tables.compute_nodes, [node_values() for _ in range(SOME)])
        with sql_count(2):
            api.services_heartbeat(admin, [row["id"] for row in services])
        assert {row["report_count"] for row in api.service_get_all(admin)} == {1}
        values = [{"id": row["id"], "vcpus_used": place, "stats": "{}"} for place, row in enumerate(nodes)]
        with sql_count(mysql=2 + 20, default=2 + 1):
            rows = api.compute_nodes_update(admin, reversed(values))  # type: ignore[arg-type]  # an iterator will do
        assert [row["vcpus_used"] for row in rows] == list(reversed(range(SOME)))
        assert rows == [api.compute_node_get_model(admin, row["id"]) for row in rows[:3]] + rows[3:]
