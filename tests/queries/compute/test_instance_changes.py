# SPDX-License-Identifier: Apache-2.0

"""Instances, written: what a create stores, compare-and-swap, memberships, destroying, and callers at the same time."""

from __future__ import annotations

import copy
import datetime
import logging
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import (
    HiddenRowWarning,
    RequestContext,
    UnknownColumnWarning,
    exceptions,
    get_admin_context,
    tables,
    tx,
)
from nova_sqlcore.core.batches import Later, Pending
from nova_sqlcore.queries.common.constraints import constraint, equal_any, not_equal
from nova_sqlcore.queries.common.only_one import hold_project
from nova_sqlcore.queries.compute import (
    changes as instance_changes,
    groups,
    instances,
    metadata as instance_metadata,
    rows as instance_rows,
)
from nova_sqlcore.queries.storage import ec2_ids
from nova_sqlcore.settings import settings
from tests.queries.instance_factory import Row, group, insert, instance
from tests.queries.processes import COUNT, Processes, eight_processes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugins.backend import Backend
    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

pytestmark = [
    pytest.mark.usefixtures("backend"),
    # whether a user may see what a test stores matters to few of these tests
    pytest.mark.filterwarnings("ignore::nova_sqlcore.exceptions.HiddenRowWarning"),
]

INST = {*instance_rows.COLUMNS, "name"}
LINKS = {"metadata", "system_metadata", "info_cache", "extra", "security_groups"}
NO_UUID = "00000000-0000-0000-0000-000000000000"
TIMES = ("created_at", "updated_at", "deleted_at", "launched_at", "terminated_at")
AWARE = datetime.datetime(2012, 4, 21, 18, 25, 43, tzinfo=datetime.timezone(datetime.timedelta(hours=-5)))


def create(context: Any, **given: Any) -> Any:
    return instance_changes.instance_create(context, given)


def update(context: Any, uuid: str, *args: Any, **given: Any) -> Any:
    return instance_changes.instance_update(context, uuid, given, *args)


def rows(table: str, **key: Any) -> list[Row]:
    """Return the stored rows with these values, by id."""
    target = tables.metadata.tables[table]
    where = [target.c[name] == value for name, value in key.items()]
    with tx.reader(get_admin_context()) as transaction:
        statement = sa.select(*tables.row_columns(target)).where(*where)
        found: list[Row] = transaction.rows(statement.order_by(target.c.id) if "id" in target.c else statement)
    return found


def values_of(pairs: Any) -> dict[str, str]:
    return {pair["key"]: pair["value"] for pair in pairs}


@pytest.fixture
def uuid() -> str:
    """Store an instance of the project, and another one that nobody touches."""
    instance(host="other", task_state="other")
    return str(instance(host="h1", hostname="name", task_state="scheduling", vm_state="building")["uuid"])


@pytest.fixture
def cell(backend: Backend, admin: RequestContext) -> Iterator[RequestContext]:
    """Return an admin's context whose instances are in a database of their own."""
    with backend.new_database() as url:
        engine = sa.create_engine(url)
        tables.metadata.create_all(engine)
        engine.dispose()
        database = tx.create_context_manager(url.render_as_string(hide_password=False))
        context = RequestContext("user", "project", is_admin=True)
        context.db_connection = database
        yield context
        database.close()


class TestCreate:
    def test_what_is_returned_is_what_a_read_shows(self, ctxt: RequestContext) -> None:
        row = create(
            ctxt,
            project_id="project",
            metadata={"m": "1", "n": "2"},
            system_metadata={"s": "3"},
            info_cache={"network_info": "[]"},
            extra={"flavor": "small"},
            access_ip_v6="2001:db8:0::1",
            image_ref=1,
        )
        assert row.keys() == INST | LINKS
        read = instances.instance_get_by_uuid(ctxt, row["uuid"])
        assert {name: value for name, value in row.items() if name != "extra"} == read
        assert row["extra"] == rows("instance_extra", instance_uuid=row["uuid"])[0]
        assert row["access_ip_v6"] == "2001:db8::1"
        assert row["image_ref"] == "1"

    def test_defaults(self, admin: RequestContext, frozen_clock: FrozenClock) -> None:
        row = create(admin)
        filled = {
            "id": row["id"],
            "uuid": row["uuid"],
            "created_at": frozen_clock.now,
            "deleted": 0,
            "cleaned": 0,
            "shutdown_terminate": False,
            "disable_terminate": False,
        }
        assert {name: row[name] for name in instance_rows.COLUMNS} == dict.fromkeys(instance_rows.COLUMNS) | filled
        assert row["name"] == f"instance-{row['id']:08x}"
        assert (row["metadata"], row["system_metadata"], row["security_groups"]) == ([], [], [])
        assert row["info_cache"] == row["info_cache"] | {"network_info": None, "instance_uuid": row["uuid"]}
        assert {row["extra"][name] for name in ("numa_topology", "pci_requests", "vcpu_model")} == {None}
        assert rows("security_group_instance_association") == []
        assert [mapping["uuid"] for mapping in rows("instance_id_mappings")] == [row["uuid"]]

    @pytest.mark.parametrize("given", [None, ""])
    def test_a_missing_uuid_is_made_up(self, admin: RequestContext, given: Any) -> None:
        one, other = create(admin, uuid=given), create(admin)
        assert len(one["uuid"]) == len(other["uuid"]) == 36
        assert one["uuid"] != other["uuid"]
        assert create(admin, uuid=NO_UUID)["uuid"] == NO_UUID

    def test_project_and_user_are_not_the_contexts(self, ctxt: RequestContext) -> None:
        row = create(ctxt, metadata={"a": "1"})
        assert (row["project_id"], row["user_id"]) == (None, None)
        with pytest.raises(exceptions.InstanceNotFound):
            instances.instance_get_by_uuid(ctxt, row["uuid"])
        assert instance_metadata.instance_metadata_get(ctxt, row["uuid"]) == {"a": "1"}

    @pytest.mark.parametrize(
        ("given", "statements"),
        [
            ({}, 5),
            ({"metadata": {}, "system_metadata": None}, 5),
            ({"metadata": {"a": "1", "b": "2"}}, 6),
            ({"security_groups": ["default"]}, 6),
            ({"hostname": "free"}, 5),
            (
                {
                    "metadata": {"a": "1"},
                    "system_metadata": {f"k{number}": "v" for number in range(30)},
                    "security_groups": ["web", "default"],
                    "hostname": "h",
                },
                8,
            ),
        ],
    )
    def test_cost(self, ctxt: RequestContext, sql_count: SqlCount, given: Row, statements: int) -> None:
        create(ctxt)
        group(name="web")
        with sql_count(statements):
            create(ctxt, **given)

    def test_arguments_stay_as_they_were(self, ctxt: RequestContext) -> None:
        given = {
            "created_at": "2016-01-01T00:00:00.0",
            "launched_at": AWARE,
            "metadata": {"a": 1},
            "info_cache": {"network_info": "[]"},
            "extra": {"flavor": "small"},
            "security_groups": ["default"],
        }
        before = copy.deepcopy(given)
        instance_changes.instance_create(ctxt, given)
        assert given == before

    def test_times(self, admin: RequestContext) -> None:
        row = create(admin, **dict.fromkeys(TIMES, AWARE))
        assert {row[name] for name in TIMES} == {AWARE.replace(tzinfo=None)}
        row = create(admin, **dict.fromkeys(TIMES, "2011-01-31T00:00:00.0"))
        assert {row[name] for name in TIMES} == {datetime.datetime(2011, 1, 31)}
        assert instances.instance_get_by_uuid(admin, row["uuid"])["deleted"] == 0
        with pytest.raises(ValueError, match="123"):
            create(admin, launched_at="123")

    def test_addresses_are_text(self, admin: RequestContext) -> None:
        class Address:
            def __init__(self, text: str) -> None:
                self.text = text

            def __str__(self) -> str:
                return self.text

        row = create(admin, access_ip_v4=Address("1.2.3.4"), access_ip_v6=Address("::1"))
        assert (row["access_ip_v4"], row["access_ip_v6"]) == ("1.2.3.4", "::1")

    def test_children_may_carry_keys_that_are_no_columns(self, admin: RequestContext) -> None:
        with pytest.warns(UnknownColumnWarning, match="ckey"):
            row = create(admin, info_cache={"ckey": "cvalue"})
        assert "ckey" not in row["info_cache"]
        with pytest.warns(UnknownColumnWarning, match="colour"):
            assert "colour" not in create(admin, colour="red")

    def test_children_belong_to_their_instance(self, admin: RequestContext) -> None:
        row = create(admin, info_cache={"instance_uuid": NO_UUID}, extra={"instance_uuid": NO_UUID})
        assert row["info_cache"]["instance_uuid"] == row["extra"]["instance_uuid"] == row["uuid"]

    def test_the_name_is_computed(self, admin: RequestContext) -> None:
        with pytest.raises(exceptions.DBError, match="name"):
            create(admin, name="x")

    @pytest.mark.parametrize("destroyed", [False, True])
    def test_a_uuid_is_taken_for_ever(self, admin: RequestContext, destroyed: bool) -> None:
        create(admin, uuid=NO_UUID)
        if destroyed:
            instance_changes.instance_destroy(admin, NO_UUID)
        with pytest.raises(exceptions.DBDuplicateEntry) as raised:
            create(admin, uuid=NO_UUID)
        assert raised.value.columns == ["uuid"]
        assert len(rows("instance_id_mappings")) == 1

    def test_create_and_update_in_one_transaction(self, admin: RequestContext) -> None:
        with tx.writer(admin):
            row = create(admin, metadata={"a": "1"})
            update(admin, row["uuid"], metadata={"b": "2"}, host="h")
            read = instances.instance_get_by_uuid(admin, row["uuid"])
        assert (read["host"], values_of(read["metadata"])) == ("h", {"b": "2"})
        with pytest.raises(ZeroDivisionError), tx.writer(admin):
            row = create(admin)
            raise ZeroDivisionError
        with pytest.raises(exceptions.InstanceNotFound):
            instances.instance_get_by_uuid(admin, row["uuid"])


class TestHiddenInstances:
    """A user who stores an instance of no project, or of another one, will never see it again, and hears of that."""

    @pytest.mark.parametrize(
        ("project", "words"), [(None, "without project_id"), ("other", "of project 'other'"), ("", "of project ''")]
    )
    def test_a_user_is_warned(self, ctxt: RequestContext, project: str | None, words: str) -> None:
        with pytest.warns(HiddenRowWarning, match=f"an instance {words} is stored by a user of project 'project'"):
            row = create(ctxt, project_id=project)
        with pytest.raises(exceptions.InstanceNotFound):
            instances.instance_get_by_uuid(ctxt, row["uuid"])

    @pytest.mark.filterwarnings("error")
    def test_nobody_else_is(self, ctxt: RequestContext, admin: RequestContext) -> None:
        row = create(ctxt, project_id="project")
        assert instances.instance_get_by_uuid(ctxt, row["uuid"])["project_id"] == "project"
        create(admin)
        create(admin, project_id="project")


class TestSecurityGroupsOfANewInstance:
    def test_the_default_group_is_made_once(self, ctxt: RequestContext, frozen_clock: FrozenClock) -> None:
        insert("security_group_default_rules", protocol="tcp", from_port=1, to_port=2, cidr="10.0.0.0/8")
        first, second = create(ctxt, security_groups=["default"]), create(ctxt, security_groups=["default"])
        (made,) = rows("security_groups")
        assert (made["name"], made["project_id"], made["user_id"]) == ("default", "project", "user")
        assert first["security_groups"] == second["security_groups"] == [made]
        assert [(one["protocol"], one["parent_group_id"]) for one in rows("security_group_rules")] == [
            ("tcp", made["id"])
        ]
        assert [(one["resource"], one["in_use"]) for one in rows("quota_usages")] == [("security_groups", 1)]

    def test_they_come_once_and_by_id(self, ctxt: RequestContext) -> None:
        web, db = group(name="web"), group(name="db")
        create(RequestContext("user", "other"))
        row = create(ctxt, security_groups=["db", "default", "web", "default", "db"])
        (default,) = rows("security_groups", name="default", project_id="project")
        assert row["security_groups"] == [web, db, default]
        links = rows("security_group_instance_association", instance_uuid=row["uuid"])
        assert [link["security_group_id"] for link in links] == [web["id"], db["id"], default["id"]]
        read = instances.instance_get_all(get_admin_context(), ["security_groups"])
        assert read[-1]["security_groups"] == row["security_groups"]

    @pytest.mark.parametrize("named", [["missing"], ["default", "missing"], ["missing", "gone"]])
    def test_a_missing_one(self, ctxt: RequestContext, named: list[str]) -> None:
        with pytest.raises(exceptions.SecurityGroupNotFoundForProject) as raised:
            create(ctxt, security_groups=named)
        assert raised.value.kwargs["project_id"] == "project"
        assert raised.value.kwargs["security_group_id"] == "missing"
        assert rows("instances") == []
        assert [one["name"] for one in rows("security_groups")] == ["default"]  # which stays

    def test_none_is_no_list(self, ctxt: RequestContext) -> None:
        with pytest.raises(TypeError):
            create(ctxt, security_groups=None)

    def test_an_admin_without_project_has_a_default_group_too(self, admin: RequestContext) -> None:
        first, second = create(admin, security_groups=["default"]), create(admin, security_groups=["default"])
        assert first["security_groups"] == second["security_groups"]
        assert [one["project_id"] for one in rows("security_groups")] == [None]

    def test_of_two_default_groups_the_first_serves(self, admin: RequestContext) -> None:
        first, _ = (group(name="default", project_id=None) for _ in range(2))
        assert create(admin, security_groups=["default"])["security_groups"] == [first]

    def test_the_group_stays_when_the_instance_fails(self, ctxt: RequestContext) -> None:
        with pytest.raises(exceptions.DBDataError):
            create(ctxt, vcpus="many")
        assert [one["name"] for one in rows("security_groups")] == ["default"]

    def test_inside_a_transaction_that_has_begun_the_group_is_a_part_of_it(self, ctxt: RequestContext) -> None:
        with pytest.raises(ZeroDivisionError), tx.writer(ctxt) as transaction:
            transaction.insert(tables.certificates, {"user_id": "u"})
            assert create(ctxt, security_groups=["default"])["security_groups"] == [
                *transaction.rows(sa.select(*tables.security_groups.c))
            ]
            raise ZeroDivisionError
        assert rows("security_groups") == rows("instances") == []

    @pytest.mark.parametrize("inner", [tx.writer, tx.writer.independent])
    def test_a_connection_that_the_caller_has_taken_is_a_beginning(self, ctxt: RequestContext, inner: Any) -> None:
        with tx.writer(ctxt) as transaction:
            transaction.connection.exec_driver_sql("SELECT 1")
            with inner(ctxt):
                create(ctxt, security_groups=["default"])
        assert len(rows("security_groups")) == len(rows("instances")) == 1

    def test_what_the_transaction_holds_does_not_stop_it(self, ctxt: RequestContext) -> None:
        whose = {"project_id": "project", "user_id": "user", "resource": "security_groups"}
        usage = insert("quota_usages", **whose, in_use=0, reserved=0)
        with tx.writer(ctxt) as transaction:
            table = tables.quota_usages
            transaction.execute(sa.update(table).where(table.c.id == usage["id"]).values(reserved=1))
            hold_project(transaction, "project")
            create(ctxt)
        assert [one["in_use"] for one in rows("quota_usages")] == [1]

    def test_a_cell_has_its_own(self, cell: RequestContext) -> None:
        row = create(cell, security_groups=["default"])
        assert [one["name"] for one in row["security_groups"]] == ["default"]
        assert rows("security_groups") == rows("instances") == []
        assert create(cell, security_groups=["default"])["security_groups"] == row["security_groups"]


class TestUniqueHostNames:
    @pytest.fixture(params=["create", "update", "update and get original"])
    def take(self, request: pytest.FixtureRequest) -> Any:
        """Return what gives an instance a host name: another one, or a new one."""

        def take(context: Any, hostname: Any) -> None:
            if request.param == "create":
                create(context, hostname=hostname)
                return
            uuid = str(instance(project_id=context.project_id)["uuid"])
            if request.param == "update":
                update(context, uuid, hostname=hostname)
            else:
                instance_changes.instance_update_and_get_original(context, uuid, {"hostname": hostname})

        return take

    @pytest.mark.parametrize(
        ("scope", "project", "hostname", "taken"),
        [
            ("", "project", "name", False),
            (None, "project", "name", False),
            ("project", "project", "name", True),
            ("project", "project", "NAME", True),
            ("project", "project", "name2", False),
            ("project", "other", "name", False),
            ("global", "other", "Name", True),
            ("global", "other", "gone", False),
            ("project", "project", None, False),
        ],
    )
    def test_scopes(
        self,
        monkeypatch: pytest.MonkeyPatch,
        take: Any,
        scope: str | None,
        project: str,
        hostname: str | None,
        taken: bool,
    ) -> None:
        instance(hostname="Name")
        instance(hostname="gone", deleted=7)
        monkeypatch.setattr(settings, "osapi_compute_unique_server_name_scope", scope)
        context = RequestContext("user", project)
        if not taken:
            take(context, hostname)
            return
        with pytest.raises(exceptions.InstanceExists) as raised:
            take(context, hostname)
        assert raised.value.kwargs["name"] == "name"

    def test_ones_own_name_is_taken_too(self, monkeypatch: pytest.MonkeyPatch, uuid: str, ctxt: RequestContext) -> None:
        monkeypatch.setattr(settings, "osapi_compute_unique_server_name_scope", "project")
        with pytest.raises(exceptions.InstanceExists):
            update(ctxt, uuid, hostname="name")
        update(ctxt, uuid, display_name="other")

    def test_an_unknown_scope_is_logged(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, uuid: str, ctxt: RequestContext
    ) -> None:
        monkeypatch.setattr(settings, "osapi_compute_unique_server_name_scope", "village")
        with caplog.at_level(logging.WARNING):
            update(ctxt, uuid, hostname="name")
        assert "village" in caplog.text

    def test_cost(self, monkeypatch: pytest.MonkeyPatch, uuid: str, ctxt: RequestContext, sql_count: SqlCount) -> None:
        create(ctxt)
        monkeypatch.setattr(settings, "osapi_compute_unique_server_name_scope", "project")
        with sql_count(sqlite=6, postgresql=7, mysql=8):
            create(ctxt, hostname="new")
        with sql_count(sqlite=2, postgresql=3, mysql=5):
            update(ctxt, uuid, hostname="newer")

    def test_a_project_of_none(self, monkeypatch: pytest.MonkeyPatch, admin: RequestContext) -> None:
        monkeypatch.setattr(settings, "osapi_compute_unique_server_name_scope", "project")
        create(admin, hostname="a", project_id="project")
        create(admin, hostname="a")
        with pytest.raises(exceptions.InstanceExists):
            create(admin, hostname="A")


class TestUpdate:
    def test_the_whole_row_comes_back_as_stored(
        self, uuid: str, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        (before,) = rows("instances", uuid=uuid)
        now = frozen_clock.advance(5)
        with sql_count(default=1, mysql=2):
            row = update(ctxt, uuid, host="h2", access_ip_v6="2001:DB8::00cc", vcpus="4")
        changed = {"host": "h2", "access_ip_v6": "2001:db8::cc", "vcpus": 4, "updated_at": now}
        assert row == before | changed | {"name": f"instance-{before['id']:08x}"}
        assert rows("instances", uuid=uuid) == [before | changed]

    def test_nothing_to_write_bumps_updated_at(
        self, uuid: str, ctxt: RequestContext, frozen_clock: FrozenClock
    ) -> None:
        now = frozen_clock.advance(5)
        assert update(ctxt, uuid)["updated_at"] == now
        assert update(ctxt, uuid)["updated_at"] == now  # a row that stays as it is was found all the same
        assert update(ctxt, uuid, updated_at="2011-01-31T00:00:00.0")["updated_at"] == datetime.datetime(2011, 1, 31)

    @pytest.mark.parametrize("given", ["123", "abc"])
    def test_bad_times(self, uuid: str, ctxt: RequestContext, given: str) -> None:
        with pytest.raises(ValueError, match=given):
            update(ctxt, uuid, launched_at=given)

    @pytest.mark.parametrize("unknown", ["name", "security_groups", "info_cache", "no_such_column", "scheduled_at"])
    def test_unknown_columns(self, uuid: str, ctxt: RequestContext, unknown: str) -> None:
        with pytest.raises(exceptions.DBError, match=unknown):
            update(ctxt, uuid, **{unknown: "x"})
        with pytest.raises(exceptions.DBError, match=unknown):
            update(ctxt, uuid, {unknown: "x"}, host="h")
        assert rows("instances", uuid=uuid)[0]["host"] == "h1"

    @pytest.mark.parametrize("given", ["not-a-uuid", None, 5, ""])
    def test_no_uuid(self, ctxt: RequestContext, sql_count: SqlCount, given: Any) -> None:
        with sql_count(0), pytest.raises(exceptions.InvalidUUID) as raised:
            update(ctxt, given, host="h")
        assert raised.value.kwargs["uuid"] == given

    def test_who_sees_what(self, uuid: str, ctxt: RequestContext, sql_count: SqlCount) -> None:
        for context, other in ((RequestContext("user", "other"), uuid), (ctxt, NO_UUID)):
            with sql_count(1), pytest.raises(exceptions.InstanceNotFound) as raised:
                update(context, other, host="h")
            assert raised.value.kwargs["instance_id"] == other
        update(RequestContext("someone", "project"), uuid, host="h")
        instance_changes.instance_destroy(ctxt, uuid)
        with pytest.raises(exceptions.InstanceNotFound):
            update(ctxt, uuid, host="h")
        assert update(get_admin_context("yes"), uuid, cleaned=1)["cleaned"] == 1
        assert update(get_admin_context("only"), uuid, cleaned=0)["cleaned"] == 0

    def test_arguments_stay_as_they_were(self, uuid: str, ctxt: RequestContext) -> None:
        given = {
            "expected_task_state": ["scheduling"],
            "metadata": {"a": 1},
            "system_metadata": {"b": "2"},
            "launched_at": "2016-01-01T00:00:00.0",
        }
        expected = {"host": ["h1", None]}
        before = copy.deepcopy((given, expected))
        instance_changes.instance_update(ctxt, uuid, given, expected)
        assert (given, expected) == before

    def test_a_cell(self, cell: RequestContext) -> None:
        row = create(cell, host="h1")
        update(cell, row["uuid"], host="h2")
        old, new = instance_changes.instance_update_and_get_original(cell, row["uuid"], {"host": "h3"})
        assert (old["host"], new["host"]) == ("h2", "h3")
        instance_changes.instance_destroy(cell, row["uuid"])
        assert rows("instances") == []


def swap(context: Any, uuid: str, given: Row, expected: Any) -> Any:
    return instance_changes.instance_update(context, uuid, given, expected)


def swap_and_get_original(context: Any, uuid: str, given: Row, expected: Any) -> Any:
    return instance_changes.instance_update_and_get_original(context, uuid, given, expected=expected)[1]


@pytest.mark.parametrize("call", [swap, swap_and_get_original])
class TestCompareAndSwap:
    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({"expected_task_state": "scheduling"}, None),
            ({"expected_task_state": ["spawning", "scheduling"]}, None),
            ({"expected_task_state": (None, "scheduling")}, {}),
            ({"expected_task_state": {"scheduling"}, "expected_vm_state": ("building", None)}, {"host": "h1"}),
            ({"expected_vm_state": ["stopped", "building"]}, {"node": None, "host": {"h1": 1}, "vcpus": [None, "2"]}),
            ({"expected_task_state": "scheduling"}, {"task_state": "something else, overridden"}),
            ({}, {"deleted": "0"}),
        ],
    )
    def test_met(self, uuid: str, ctxt: RequestContext, call: Any, given: Row, expected: Any) -> None:
        assert call(ctxt, uuid, {**given, "power_state": 5}, expected)["power_state"] == 5

    @pytest.mark.parametrize(
        ("given", "expected", "error", "wanted", "actual"),
        [
            (
                {"expected_task_state": None},
                None,
                exceptions.UnexpectedTaskStateError,
                {"task_state": [None]},
                {"task_state": "scheduling"},
            ),
            (
                {"expected_task_state": ("spawning", None)},
                {"host": "h1"},
                exceptions.UnexpectedTaskStateError,
                {"task_state": ["spawning", None]},
                {"task_state": "scheduling"},
            ),
            (
                {"expected_vm_state": ("stopped", "paused")},
                None,
                exceptions.InstanceUpdateConflict,
                {"vm_state": ["stopped", "paused"]},
                {"vm_state": "building"},
            ),
            (
                {},
                {"host": "h2", "node": None},
                exceptions.InstanceUpdateConflict,
                {"host": ["h2"]},
                {"host": "h1"},
            ),
            ({}, {"host": None}, exceptions.InstanceUpdateConflict, {"host": [None]}, {"host": "h1"}),
            ({}, {"node": "n"}, exceptions.InstanceUpdateConflict, {"node": ["n"]}, {"node": None}),
            ({}, {"node": []}, exceptions.InstanceUpdateConflict, {"node": []}, {"node": None}),
            (
                {"expected_task_state": "x"},
                {"host": "h2"},
                exceptions.UnexpectedTaskStateError,
                {"host": ["h2"], "task_state": ["x"]},
                {"host": "h1", "task_state": "scheduling"},
            ),
        ],
    )
    def test_not_met(
        self,
        uuid: str,
        ctxt: RequestContext,
        call: Any,
        given: Row,
        expected: Any,
        error: type[Any],
        wanted: Row,
        actual: Row,
    ) -> None:
        before = rows("instances")
        with pytest.raises(error) as raised:
            call(ctxt, uuid, {**given, "power_state": 5, "metadata": {"a": "1"}}, expected)
        assert type(raised.value) is error
        assert raised.value.kwargs["instance_uuid"] == uuid
        assert raised.value.kwargs["expected"] == wanted
        assert raised.value.kwargs["actual"] == actual
        assert (rows("instances"), rows("instance_metadata")) == (before, [])

    def test_an_instance_that_is_being_deleted(self, uuid: str, ctxt: RequestContext, call: Any) -> None:
        update(ctxt, uuid, task_state="deleting")
        with pytest.raises(exceptions.UnexpectedDeletingTaskStateError) as raised:
            call(ctxt, uuid, {"expected_task_state": [None, "scheduling"]}, None)
        assert raised.value.kwargs["actual"] == {"task_state": "deleting"}
        assert raised.value.kwargs["expected"] == {"task_state": [None, "scheduling"]}

    def test_an_instance_that_is_none(self, ctxt: RequestContext, call: Any) -> None:
        with pytest.raises(exceptions.InstanceNotFound):
            call(ctxt, NO_UUID, {"expected_task_state": None}, {"host": []})

    def test_inside_the_callers_transaction(self, uuid: str, ctxt: RequestContext, call: Any) -> None:
        with tx.writer(ctxt):
            update(ctxt, uuid, task_state="spawning")
            with pytest.raises(exceptions.UnexpectedTaskStateError):
                call(ctxt, uuid, {"expected_task_state": "scheduling"}, None)
            call(ctxt, uuid, {"expected_task_state": "spawning", "task_state": None}, None)
        assert rows("instances", uuid=uuid)[0]["task_state"] is None


def test_a_conflict_costs_one_more_statement(uuid: str, ctxt: RequestContext, sql_count: SqlCount) -> None:
    with sql_count(2), pytest.raises(exceptions.UnexpectedTaskStateError):
        update(ctxt, uuid, expected_task_state="spawning", expected_vm_state="building")


class TestUnknownConflict:
    """The instance is as expected again when one looks why it was not."""

    @pytest.fixture
    def flicker(self, monkeypatch: pytest.MonkeyPatch, uuid: str) -> Any:
        """Let so many updates find nothing."""
        original, original_later = tx.Transaction.update_row, Later.update_row

        def flicker(times: int) -> list[int]:
            left = [times]

            def update_row(*args: Any, **kwargs: Any) -> Any:
                left[0] -= 1
                return None if left[0] >= 0 else original(*args, **kwargs)

            def update_row_later(later: Later, *args: Any, **kwargs: Any) -> Any:
                left[0] -= 1
                if left[0] >= 0:
                    return Pending(later._transaction, [], lambda _: None)
                return original_later(later, *args, **kwargs)

            monkeypatch.setattr(tx.Transaction, "update_row", update_row)
            monkeypatch.setattr(Later, "update_row", update_row_later)
            return left

        return flicker

    @pytest.mark.parametrize("times", [1, 5])
    def test_another_attempt_has_the_whole_task(
        self, uuid: str, ctxt: RequestContext, flicker: Any, times: int
    ) -> None:
        flicker(times)
        row = update(ctxt, uuid, expected_task_state="scheduling", task_state="spawning")
        assert row["task_state"] == "spawning"

    @pytest.mark.parametrize("times", [1, 5])
    def test_metadata_belong_to_it(self, uuid: str, ctxt: RequestContext, flicker: Any, times: int) -> None:
        left = flicker(times)
        row = update(
            ctxt, uuid, expected_task_state="scheduling", task_state="spawning", metadata={"a": "1"}, system_metadata={}
        )
        assert (row["task_state"], values_of(row["metadata"])) == ("spawning", {"a": "1"})
        assert left == [-1]

    @pytest.mark.usefixtures("six_attempts")
    def test_after_six_attempts_it_is_raised(self, uuid: str, ctxt: RequestContext, flicker: Any) -> None:
        left = flicker(100)
        with pytest.raises(exceptions.UnknownInstanceUpdateConflict) as raised:
            update(ctxt, uuid, expected_task_state="scheduling", task_state="spawning")
        assert left == [94]
        kwargs = raised.value.kwargs
        assert (kwargs["instance_uuid"], kwargs["expected"], kwargs["actual"]) == (uuid, {}, {})

    def test_the_condition_holds_in_later_attempts(self, uuid: str, ctxt: RequestContext, flicker: Any) -> None:
        flicker(1)
        given = {"expected_vm_state": "building", "vm_state": "active"}
        instance_changes.instance_update(ctxt, uuid, given)
        with pytest.raises(exceptions.InstanceUpdateConflict):
            instance_changes.instance_update(ctxt, uuid, given)

    def test_a_joined_call_leaves_it_to_the_owner(self, uuid: str, ctxt: RequestContext, flicker: Any) -> None:
        left = flicker(100)
        with pytest.raises(exceptions.UnknownInstanceUpdateConflict), tx.writer(ctxt):
            update(ctxt, uuid, expected_task_state="scheduling")
        assert left == [99]


class TestMetadataInUpdates:
    @pytest.mark.parametrize("call", [swap, swap_and_get_original])
    def test_it_becomes_what_is_given(self, ctxt: RequestContext, call: Any) -> None:
        uuid = str(instance({"a": "1", "b": "2"}, {"a": "1", "b": "2"})["uuid"])
        for wanted in ({"a": "9"}, {"a": "9", "c": "3"}, {"d": "4"}, {"d": "4", "a": "5"}, {}, {"a": "1"}):
            for kind in ("metadata", "system_metadata"):
                row = call(ctxt, uuid, {kind: wanted}, None)
                assert values_of(row[kind]) == wanted
                read = instances.instance_get_by_uuid(ctxt, uuid)
                assert read[kind] == row[kind]
        assert instance_metadata.instance_system_metadata_get(get_admin_context("yes"), uuid) == {"a": "1"}
        assert {row["key"] for row in rows("instance_metadata") if row["deleted"]} == {"a", "b", "c", "d"}

    @pytest.mark.parametrize("call", [swap, swap_and_get_original])
    def test_none_leaves_it(self, ctxt: RequestContext, call: Any) -> None:
        uuid = str(instance({"a": "1"}, {"b": "2"})["uuid"])
        before = rows("instance_metadata"), rows("instance_system_metadata")
        call(ctxt, uuid, {"metadata": None, "system_metadata": None}, None)
        assert (rows("instance_metadata"), rows("instance_system_metadata")) == before

    def test_only_the_kinds_given_are_in_the_row(self, ctxt: RequestContext) -> None:
        uuid = str(instance({"a": "1"}, {"b": "2"})["uuid"])
        assert update(ctxt, uuid).keys() == INST
        assert update(ctxt, uuid, metadata={}).keys() == {*INST, "metadata"}

    @pytest.mark.parametrize(
        ("wanted", "writes"),
        [({"a": "1", "b": "2"}, 0), ({"a": "8", "b": "9"}, 1), ({"a": "1"}, 1), ({"a": "8", "c": "1", "d": "1"}, 3)],
    )
    @pytest.mark.parametrize("kind", ["metadata", "system_metadata"])
    def test_cost(self, ctxt: RequestContext, sql_count: SqlCount, kind: str, wanted: Row, writes: int) -> None:
        uuid = str(instance({"a": "1", "b": "2"}, {"a": "1", "b": "2"})["uuid"])
        with sql_count(mysql=3 + writes, default=2 + writes):
            update(ctxt, uuid, **{kind: wanted})

    def test_equal_pairs_stay_untouched(self, ctxt: RequestContext, frozen_clock: FrozenClock) -> None:
        uuid = str(instance({"a": "1", "b": "2"})["uuid"])
        a, b = rows("instance_metadata")
        now = frozen_clock.advance(5)
        row = update(ctxt, uuid, metadata={"a": "1", "b": "3"})
        assert row["metadata"] == [a, b | {"value": "3", "updated_at": now}]

    def test_a_live_pair_is_not_lost_to_a_soft_deleted_one(self, ctxt: RequestContext) -> None:
        uuid = str(instance(system_metadata={"a": "1"})["uuid"])
        instance_metadata.instance_system_metadata_update(ctxt, uuid, {}, True)
        instance_metadata.instance_system_metadata_update(ctxt, uuid, {"a": "2"}, True)
        update(ctxt, uuid, system_metadata={"a": "3"})
        assert instance_metadata.instance_system_metadata_get(ctxt, uuid) == {"a": "3"}
        assert [row["value"] for row in rows("instance_system_metadata")] == ["3"]

    def test_a_live_instance_gets_live_pairs(self, ctxt: RequestContext) -> None:
        uuid = str(instance(system_metadata={"a": "1"})["uuid"])
        instance_metadata.instance_system_metadata_update(ctxt, uuid, {}, True)
        update(ctxt, uuid, system_metadata={"a": "2"})
        assert instance_metadata.instance_system_metadata_get(ctxt, uuid) == {"a": "2"}

    def test_a_deleted_instance_keeps_its_soft_deleted_pairs(self, ctxt: RequestContext) -> None:
        uuid = str(instance(system_metadata={"a": "1", "b": "2"})["uuid"])
        instance_changes.instance_destroy(ctxt, uuid)
        everybody = get_admin_context("yes")
        update(everybody, uuid, system_metadata={"a": "9", "b": "2"}, cleaned=1)
        assert instance_metadata.instance_system_metadata_get(everybody, uuid) == {"a": "9", "b": "2"}
        assert all(row["deleted"] for row in rows("instance_system_metadata"))

    def test_a_failure_undoes_all(self, ctxt: RequestContext) -> None:
        uuid = str(instance({"a": "1"}, host="h1")["uuid"])
        with pytest.raises(exceptions.DBDataError):
            update(ctxt, uuid, host="h2", metadata={"b": "2"}, system_metadata={"c": object()})
        read = instances.instance_get_by_uuid(ctxt, uuid)
        assert (read["host"], values_of(read["metadata"])) == ("h1", {"a": "1"})


class TestUpdateAndGetOriginal:
    def call(self, context: Any, uuid: str, joins: Any = None, **given: Any) -> tuple[Any, Any]:
        return instance_changes.instance_update_and_get_original(context, uuid, given, columns_to_join=joins)

    def test_before_and_after(self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        row = create(ctxt, project_id="project", metadata={"a": "1"}, system_metadata={"b": "2"}, host="h1")
        before = instances.instance_get_by_uuid(ctxt, row["uuid"])
        now = frozen_clock.advance(5)
        with sql_count(default=3, sqlite=2):
            old, new = self.call(ctxt, row["uuid"], host="h2")
        assert old == before
        assert new == before | {"host": "h2", "updated_at": now}
        assert new == instances.instance_get_by_uuid(ctxt, row["uuid"])
        assert new["metadata"] is not old["metadata"]
        assert new["info_cache"] is not old["info_cache"]

    def test_metadata(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        uuid = str(instance({"a": "1", "b": "2"}, {"c": "3"})["uuid"])
        with sql_count(default=6, sqlite=5):
            old, new = self.call(ctxt, uuid, metadata={"a": "9", "d": "4"})
        assert (values_of(old["metadata"]), values_of(new["metadata"])) == ({"a": "1", "b": "2"}, {"a": "9", "d": "4"})
        assert old["system_metadata"] == new["system_metadata"] != []
        assert new == instances.instance_get_by_uuid(ctxt, uuid)

    def test_the_two_share_no_pair_that_stays_as_it_is(self, ctxt: RequestContext) -> None:
        uuid = str(instance({"a": "1"}, {"c": "3"})["uuid"])
        old, new = self.call(ctxt, uuid, metadata={"a": "1"}, system_metadata={"c": "3"})
        for kind in ("metadata", "system_metadata"):
            assert old[kind] == new[kind]
            assert old[kind][0] is not new[kind][0]

    @pytest.mark.parametrize(
        ("joins", "more"),
        [([], set()), (["metadata"], set()), (["extra", "tags", "pci_devices"], {"extra", "tags", "pci_devices"})],
    )
    def test_joins(self, ctxt: RequestContext, joins: list[str], more: set[str]) -> None:
        uuid = str(instance({"a": "1"}, {"b": "2"}, ["blue"])["uuid"])
        given = list(joins)
        old, new = self.call(ctxt, uuid, given, host="h2")
        assert given == joins
        assert old == instances.instance_get_by_uuid(ctxt, uuid, joins) | {
            "host": None,
            "updated_at": None,
        }
        assert (
            new.keys() == old.keys() == INST | {"metadata", "system_metadata", "info_cache", "security_groups"} | more
        )
        assert (len(new["metadata"]), new["system_metadata"]) == ("metadata" in joins, [])

    def test_metadata_that_is_not_joined_is_replaced_all_the_same(self, ctxt: RequestContext) -> None:
        uuid = str(instance({"a": "1", "b": "2"}, {"a": "1"})["uuid"])
        old, new = self.call(ctxt, uuid, [], metadata={"a": "9"})
        assert (old["metadata"], values_of(new["metadata"]), new["system_metadata"]) == ([], {"a": "9"}, [])
        assert [(row["key"], row["deleted"] == 0) for row in rows("instance_metadata")] == [("a", True), ("b", False)]

    @pytest.mark.parametrize("uuid", [NO_UUID, "not-a-uuid"])
    def test_no_instance(self, ctxt: RequestContext, uuid: str) -> None:
        with pytest.raises(exceptions.InstanceNotFound) as raised:
            self.call(ctxt, uuid, launched_at="123")
        assert raised.value.kwargs["instance_id"] == uuid

    def test_of_another_project(self, uuid: str) -> None:
        with pytest.raises(exceptions.InstanceNotFound):
            self.call(RequestContext("user", "other"), uuid, host="x")

    def test_an_unknown_join(self, uuid: str, ctxt: RequestContext) -> None:
        with pytest.raises(ValueError, match="flavour"):
            self.call(ctxt, uuid, ["flavour"], host="x")

    def test_an_unknown_join_is_told_before_anything_else(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        wrong: Any = datetime.timedelta(1)
        with sql_count(0), pytest.raises(ValueError, match="flavour"):
            self.call(ctxt, wrong, ["flavour"], host="x")

    @pytest.mark.parametrize(
        ("template", "before", "after"),
        [("on-%(host)s", "on-h1", "on-h2"), ("x-%(name)s", None, None), ("x-%(metadata)s", None, None)],
    )
    def test_a_name_is_made_of_columns_and_changes_with_them(
        self,
        monkeypatch: pytest.MonkeyPatch,
        uuid: str,
        ctxt: RequestContext,
        template: str,
        before: str | None,
        after: str | None,
    ) -> None:
        monkeypatch.setattr(settings, "instance_name_template", template)
        old, new = self.call(ctxt, uuid, host="h2")
        assert (old["name"], new["name"]) == (before or uuid, after or uuid)


class TestMembership:
    def members(self, uuid: str) -> list[tuple[int, bool]]:
        links = rows("security_group_instance_association", instance_uuid=uuid)
        return [(link["security_group_id"], link["deleted"] != 0) for link in links]

    def test_add_and_remove(
        self, uuid: str, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        one, other = group()["id"], group()["id"]
        now = frozen_clock.advance(5)
        with sql_count(sqlite=2, postgresql=4, mysql=6):
            assert instance_changes.instance_add_security_group(ctxt, uuid, one) is None
            instance_changes.instance_add_security_group(ctxt, uuid, one)
        by_face: dict[str, Any] = {"instance_id": uuid}
        instance_changes.instance_add_security_group(ctxt, **by_face, security_group_id=other)
        assert self.members(uuid) == [(one, False), (other, False)]
        links = rows("security_group_instance_association")
        assert [(link["created_at"], link["updated_at"], link["deleted"]) for link in links] == [(now, None, 0)] * 2
        with sql_count(1):
            instance_changes.instance_remove_security_group(ctxt, **by_face, security_group_id=one)
        assert self.members(uuid) == [(one, True), (other, False)]
        assert rows("security_group_instance_association")[0]["deleted_at"] == now
        instance_changes.instance_add_security_group(ctxt, uuid, one)
        assert self.members(uuid) == [(one, True), (other, False), (one, False)]

    def test_every_row_of_the_pair_goes(self, uuid: str, ctxt: RequestContext) -> None:
        one = group()["id"]
        for _ in range(2):
            insert("security_group_instance_association", instance_uuid=uuid, security_group_id=one)
        instance_changes.instance_remove_security_group(ctxt, uuid, str(one))  # type: ignore[arg-type]  # ids may be digits
        assert self.members(uuid) == [(one, True), (one, True)]

    @pytest.mark.parametrize("identity", [77777, "fake", 10**40])
    def test_removing_what_is_not_there(self, uuid: str, ctxt: RequestContext, identity: Any) -> None:
        instance_changes.instance_remove_security_group(ctxt, uuid, identity)
        instance_changes.instance_remove_security_group(ctxt, NO_UUID, identity)
        assert self.members(uuid) == []

    def test_adding_needs_no_context_but_removing_does(self, uuid: str) -> None:
        one = group()["id"]
        instance_changes.instance_add_security_group(RequestContext(), uuid, one)
        with pytest.raises(exceptions.Forbidden):
            instance_changes.instance_remove_security_group(RequestContext(), uuid, one)
        assert self.members(uuid) == [(one, False)]

    @pytest.mark.only_on("mysql", "postgresql", why="sqlite checks no foreign keys")
    def test_unknown_instances(self, ctxt: RequestContext) -> None:
        with pytest.raises(exceptions.DBReferenceError) as raised:
            instance_changes.instance_add_security_group(ctxt, NO_UUID, group()["id"])
        assert raised.value.key == "instance_uuid"


class TestDestroy:
    def test_what_goes_and_what_stays(
        self, ctxt: RequestContext, admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        row = create(
            ctxt, project_id="project", metadata={"a": "1"}, system_metadata={"b": "2"}, security_groups=["default"]
        )
        uuid = row["uuid"]
        insert("instance_faults", instance_uuid=uuid, code=500)
        insert("instance_actions", instance_uuid=uuid, action="boot")
        insert("block_device_mapping", instance_uuid=uuid)
        insert("tags", resource_id=uuid, tag="blue")
        insert("instance_group_member", instance_id=uuid, group_id=insert("instance_groups", uuid="g")["id"])
        other = instance({"a": "1"}, {"b": "2"}, ["blue"])
        (before,) = rows("instances", uuid=uuid)
        children = {table: rows(table, **{name: uuid}) for table, name in CHILDREN.items()}
        now = frozen_clock.advance(5)
        with sql_count(sqlite=10, mysql=11, postgresql=2):
            gone = instance_changes.instance_destroy(ctxt, uuid)
        assert gone == before | {"deleted": before["id"], "deleted_at": now, "name": row["name"]}
        for table, stored in children.items():
            assert len(stored) == 1
            after = rows(table, **{CHILDREN[table]: uuid})
            assert after == [stored[0] | {"deleted": stored[0]["id"], "deleted_at": now}]
        assert [one["tag"] for one in rows("tags")] == ["blue"]
        assert rows("tags")[0]["resource_id"] == other["uuid"]
        assert rows("instance_actions")[0]["deleted"] == rows("block_device_mapping")[0]["deleted"] == 0
        assert instances.instance_get_by_uuid(admin, other["uuid"])["metadata"] != []
        assert instance_metadata.instance_metadata_get(admin, uuid) == {}
        assert instance_metadata.instance_system_metadata_get(admin, uuid) == {}
        assert instance_metadata.instance_system_metadata_get(get_admin_context("yes"), uuid) == {"b": "2"}

    def test_it_leaves_its_groups_and_the_others_stay(self, ctxt: RequestContext) -> None:
        gone, stays = (create(ctxt, project_id="project")["uuid"] for _ in range(2))
        made = [
            groups.instance_group_create(ctxt, {"project_id": "project"}, ["affinity"], members)
            for members in ([gone, stays], [gone], [stays])
        ]
        instance_changes.instance_destroy(ctxt, gone)
        assert [groups.instance_group_members_get(ctxt, group["uuid"]) for group in made] == [[stays], [], [stays]]
        with pytest.raises(exceptions.InstanceGroupNotFound):
            groups.instance_group_get_by_instance(ctxt, gone)

    def test_its_number_is_found_as_long_as_its_row_is_there(self, ctxt: RequestContext) -> None:
        uuid = create(ctxt, project_id="project")["uuid"]
        mapping = ec2_ids.ec2_instance_get_by_uuid(ctxt, uuid)
        instance_changes.instance_destroy(ctxt, uuid)
        gone = ec2_ids.ec2_instance_get_by_uuid(ctxt, uuid)
        assert (gone["id"], gone["deleted"]) == (mapping["id"], mapping["id"])
        assert ec2_ids.get_instance_uuid_by_ec2_id(ctxt, mapping["id"]) == uuid

    def test_what_left_a_group_before_keeps_its_time(self, ctxt: RequestContext, frozen_clock: FrozenClock) -> None:
        uuid = create(ctxt, project_id="project")["uuid"]
        group = groups.instance_group_create(ctxt, {"project_id": "project"}, [], [uuid])
        before = frozen_clock.now
        groups.instance_group_member_delete(ctxt, group["uuid"], uuid)
        frozen_clock.advance(5)
        instance_changes.instance_destroy(ctxt, uuid)
        assert [row["deleted_at"] for row in rows("instance_group_member", instance_id=uuid)] == [before]

    @pytest.mark.parametrize("wanted", [None, constraint(host=equal_any("h1"))])
    def test_twice(self, uuid: str, ctxt: RequestContext, frozen_clock: FrozenClock, wanted: Any) -> None:
        instance_changes.instance_destroy(ctxt, uuid)
        with pytest.raises(exceptions.InstanceNotFound) as raised:
            instance_changes.instance_destroy(ctxt, uuid, wanted)
        assert raised.value.kwargs["instance_id"] == uuid
        now = frozen_clock.advance(5)
        assert instance_changes.instance_destroy(get_admin_context("yes"), uuid)["deleted_at"] == now

    def test_no_uuid(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        with sql_count(0), pytest.raises(exceptions.InvalidUUID) as raised:
            instance_changes.instance_destroy(ctxt, "not-a-uuid")
        assert raised.value.kwargs["uuid"] == "not-a-uuid"

    def test_of_another_project(self, uuid: str, sql_count: SqlCount) -> None:
        with sql_count(1), pytest.raises(exceptions.InstanceNotFound):
            instance_changes.instance_destroy(RequestContext("user", "other"), uuid)
        with pytest.raises(exceptions.InstanceNotFound):
            instance_changes.instance_destroy(RequestContext("user", "other"), uuid, constraint(host=equal_any("h1")))

    @pytest.mark.parametrize(
        ("wanted", "met"),
        [
            (constraint(), True),
            (constraint(task_state=equal_any("scheduling")), True),
            (constraint(task_state=equal_any("error", "scheduling", None)), True),
            (constraint(task_state=equal_any("error", "deleting")), False),
            (constraint(task_state=not_equal("error", "deleting"), host=equal_any("h1")), True),
            (constraint(task_state=not_equal("error", "scheduling")), False),
            (constraint(task_state=not_equal("error"), host=equal_any("h2")), False),
            (constraint(host=equal_any(None)), False),
            (constraint(node=equal_any(None)), True),
            (constraint(node=not_equal("n")), False),
            (constraint(node=not_equal(None)), False),
            (constraint(host=not_equal(None)), True),
            (constraint(task_state=equal_any(), host=not_equal()), True),
        ],
    )
    def test_constraints(self, uuid: str, ctxt: RequestContext, sql_count: SqlCount, wanted: Any, met: bool) -> None:
        if met:
            assert instance_changes.instance_destroy(ctxt, uuid, wanted)["deleted"] != 0
            return
        with sql_count(2), pytest.raises(exceptions.ConstraintNotMet):
            instance_changes.instance_destroy(ctxt, uuid, wanted)
        assert instances.instance_get_by_uuid(ctxt, uuid)["deleted"] == 0

    def test_a_constraint_on_no_column(self, uuid: str, ctxt: RequestContext) -> None:
        with pytest.raises(KeyError, match="colour"):
            instance_changes.instance_destroy(ctxt, uuid, constraint(colour=equal_any("red")))

    def test_inside_the_callers_transaction(self, uuid: str, ctxt: RequestContext) -> None:
        with pytest.raises(ZeroDivisionError), tx.writer(ctxt):
            instance_changes.instance_destroy(ctxt, uuid)
            raise ZeroDivisionError
        assert instances.instance_get_by_uuid(ctxt, uuid)["deleted"] == 0


#: What goes with an instance, by table: the column that names it.
CHILDREN = {
    "security_group_instance_association": "instance_uuid",
    "instance_info_caches": "instance_uuid",
    "instance_metadata": "instance_uuid",
    "instance_faults": "instance_uuid",
    "instance_extra": "instance_uuid",
    "instance_system_metadata": "instance_uuid",
    "instance_group_member": "instance_id",
    "instance_id_mappings": "uuid",
}


class TestDeadlocks:
    """A conflict starts the whole call over until the deadline; a joined call leaves it to its transaction's owner."""

    CALLS: Any = (
        lambda context, uuid: update(context, uuid, expected_task_state="scheduling", metadata={"a": "1"}),
        lambda context, uuid: instance_changes.instance_update_and_get_original(context, uuid, {"host": "x"}),
        instance_changes.instance_destroy,
        lambda context, uuid: instance_metadata.instance_metadata_update(context, uuid, {"a": "1"}, True),
        lambda context, uuid: instance_metadata.instance_metadata_delete(context, uuid, "a"),
    )

    @pytest.fixture
    def conflicts(self, monkeypatch: pytest.MonkeyPatch) -> Any:
        """Let so many commits fail with a conflict."""
        original = tx.Transaction.commit

        def conflicts(times: int) -> list[int]:
            left = [times]

            def commit(transaction: tx.Transaction) -> None:
                left[0] -= 1
                if left[0] >= 0:
                    raise exceptions.DBDeadlock
                original(transaction)

            monkeypatch.setattr(tx.Transaction, "commit", commit)
            monkeypatch.setattr(tx.Transaction, "last", lambda transaction: transaction)  # all commit there
            return left

        return conflicts

    @pytest.mark.usefixtures("six_attempts")
    @pytest.mark.parametrize("call", CALLS)
    def test_attempts(self, uuid: str, ctxt: RequestContext, conflicts: Any, call: Any) -> None:
        conflicts(5)
        call(ctxt, uuid)
        left = conflicts(100)
        with pytest.raises(exceptions.DBDeadlock):
            call(get_admin_context("yes"), uuid)
        assert left == [94]


def claim(number: int, uuid: str) -> bool:
    given = {"task_state": "spawning", "host": f"h{number}", "expected_task_state": "scheduling"}
    try:
        instance_changes.instance_update(get_admin_context(), uuid, given)
    except exceptions.UnexpectedTaskStateError:
        return False
    return True


def claim_by_original(number: int, uuid: str) -> bool:
    given = {"vm_state": "active", "node": f"n{number}", "expected_vm_state": "building"}
    try:
        instance_changes.instance_update_and_get_original(get_admin_context(), uuid, given)
    except exceptions.InstanceUpdateConflict:
        return False
    return True


def everything(number: int, uuid: str) -> list[bool]:
    """Do what competes for one instance, and for the first rows of a project."""
    settings.osapi_compute_unique_server_name_scope = "project"
    context = RequestContext(f"user{number}", "new project")
    try:
        won = [claim(number, uuid), claim_by_original(number, uuid)]
        try:
            create(context, hostname="only one", project_id="new project", security_groups=["default"])
            won.append(True)
        except exceptions.InstanceExists:
            won.append(False)
        for count in range(3):
            kinds = {"metadata": {f"k{number}": str(count)}, "system_metadata": {f"k{number}": str(count)}}
            instance_changes.instance_update(get_admin_context(), uuid, kinds)
            instance_metadata.instance_metadata_update(get_admin_context(), uuid, {"shared": str(count)}, False)
        return won
    finally:
        settings.osapi_compute_unique_server_name_scope = ""


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    """Start eight processes for all back-ends."""
    with eight_processes() as started:
        yield started


def test_eight_processes(backend: Backend, uuid: str, processes: Processes) -> None:
    won = processes.call(backend.url, everything, uuid)
    assert [sum(column) for column in zip(*won, strict=True)] == [1, 1, 1]
    winners = [column.index(True) for column in zip(*won, strict=True)]
    (row,) = rows("instances", uuid=uuid)
    assert (row["host"], row["node"]) == (f"h{winners[0]}", f"n{winners[1]}")
    (default,) = rows("security_groups", project_id="new project")
    assert len(rows("security_group_rules", parent_group_id=default["id"])) == 0
    assert [one["in_use"] for one in rows("quota_usages", project_id="new project")] == [1]
    live = [one["key"] for one in rows("instance_metadata") if one["deleted"] == 0]
    assert sorted(live) == sorted(set(live))
    assert len([key for key in live if key != "shared"]) <= 1
    assert len(rows("instance_system_metadata")) == 1
    assert len(won) == COUNT
