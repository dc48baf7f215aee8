# SPDX-License-Identifier: Apache-2.0

"""Archiving soft-deleted rows (06, Archiving)."""

from __future__ import annotations

import datetime
import logging
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, get_admin_context, tables, tx
from nova_sqlcore.core.dialects.postgresql import POSTGRESQL
from nova_sqlcore.queries.maintenance import archive, trees
from tests.queries import instance_factory
from tests.queries.maintenance.kills import archive_killed_before
from tests.queries.maintenance.rows import filled_row, keys, put, row_of, shadow, shadow_counts
from tests.queries.processes import eight_processes
from tests.schema import dumps

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugins.backend import Backend
    from tests.plugins.counting import SqlCount, SqlLog
    from tests.queries.processes import Processes

pytestmark = pytest.mark.usefixtures("backend")

Row = dict[str, Any]

MAPPINGS = tables.instance_id_mappings
#: What moving one batch costs.
PER_BATCH = {"postgresql": 1, "default": 3}
#: Foreign keys of the reference's schema.
REFERENCES = """
aggregate_hosts.aggregate_id aggregates.id
aggregate_metadata.aggregate_id aggregates.id
block_device_mapping.instance_uuid instances.uuid
consoles.instance_uuid instances.uuid
fixed_ips.instance_uuid instances.uuid
instance_actions.instance_uuid instances.uuid
instance_extra.instance_uuid instances.uuid
instance_faults.instance_uuid instances.uuid
instance_info_caches.instance_uuid instances.uuid
instance_metadata.instance_uuid instances.uuid
instance_system_metadata.instance_uuid instances.uuid
migrations.instance_uuid instances.uuid
security_group_instance_association.instance_uuid instances.uuid
virtual_interfaces.instance_uuid instances.uuid
consoles.pool_id console_pools.id
instance_actions_events.action_id instance_actions.id
instance_group_member.group_id instance_groups.id
instance_group_policy.group_id instance_groups.id
instance_type_extra_specs.instance_type_id instance_types.id
instance_type_projects.instance_type_id instance_types.id
pci_devices.compute_node_id compute_nodes.id
reservations.usage_id quota_usages.id
security_group_instance_association.security_group_id security_groups.id
security_group_rules.group_id security_groups.id
security_group_rules.parent_group_id security_groups.id
"""
#: Columns that hold the uuid or the number of another row.
BY_VALUE = """
instance_group_member.instance_id instances.uuid
tags.resource_id instances.uuid
instance_id_mappings.uuid instances.uuid
bw_usage_cache.uuid instances.uuid
fixed_ips.network_id networks.id
fixed_ips.virtual_interface_id virtual_interfaces.id
floating_ips.fixed_ip_id fixed_ips.id
virtual_interfaces.network_id networks.id
snapshot_id_mappings.uuid snapshots.id
compute_nodes.service_id services.id
"""


#: Arguments that are refused before anything moves.
WRONG: dict[str, tuple[Any, ...]] = {
    "batch": (0, -1, 30_001, 1.5, "1", True, None, float("nan")),
    "pause": (-1, -0.1, "1", True, None, float("nan"), float("inf"), 1e300, []),
    "progress": (1, "print", []),
    "before": ("2016-01-01", 1, datetime.date(2016, 1, 1)),
}


def mappings(*deleted: Any, start: int = 1) -> None:
    put(MAPPINGS, *({"id": place, "uuid": f"u{place}", "deleted": mark} for place, mark in enumerate(deleted, start)))


class TestCounts:
    def test_the_limit_is_kept_and_nothing_else_moves(self) -> None:
        mappings(0, 1, 1, 0, 1, 1)
        assert archive.archive_deleted_rows(2) == {"instance_id_mappings": 2}
        assert (keys(MAPPINGS), keys(shadow(MAPPINGS))) == ([1, 4, 5, 6], [2, 3])
        assert archive.archive_deleted_rows(2) == {"instance_id_mappings": 2}
        assert (keys(MAPPINGS), keys(shadow(MAPPINGS))) == ([1, 4], [2, 3, 5, 6])
        assert archive.archive_deleted_rows(2) == {}
        assert shadow_counts() == {"instance_id_mappings": 4}

    def test_the_limit_goes_for_all_tables_together(self) -> None:
        mappings(1, 2, 3, 4)
        put(tables.s3_images, *({"id": place, "uuid": "u", "deleted": place} for place in range(1, 5)))
        assert sum(archive.archive_deleted_rows(7).values()) == 7
        assert sum(archive.archive_deleted_rows(1).values()) == 1
        assert archive.archive_deleted_rows(500) == {}

    def test_no_limit(self) -> None:
        mappings(*range(1, 12))
        assert archive.archive_deleted_rows(batch=3) == {"instance_id_mappings": 11}
        assert keys(shadow(MAPPINGS)) == list(range(1, 12))

    def test_nothing_to_do(self, sql_count: SqlCount) -> None:
        mappings(0, 0)
        with sql_count(1):
            assert archive.archive_deleted_rows(100) == {}
        with sql_count(0):
            assert archive.archive_deleted_rows(0) == {}
        assert type(archive.archive_deleted_rows()) is dict

    @pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in WRONG.items() for value in values])
    def test_arguments_that_can_not_be(self, name: str, value: Any, sql_count: SqlCount) -> None:
        mappings(1)
        with sql_count(0):
            for call in (archive.archive_deleted_rows, archive.purge_archived_rows):
                with pytest.raises(ValueError, match=name):
                    call(**{name: value})
        assert keys(MAPPINGS) == [1]

    def test_the_longest_batch(self) -> None:
        mappings(1, 2)
        assert archive.archive_deleted_rows(batch=30_000) == {"instance_id_mappings": 2}

    @pytest.mark.parametrize("limit", [-1, 1.5, 1.0, "1", True, False, float("nan"), float("inf"), [1], b"1"])
    def test_limits_that_can_not_be(self, limit: Any, sql_count: SqlCount) -> None:
        mappings(1)
        with sql_count(0), pytest.raises(ValueError, match="max_rows"):
            archive.archive_deleted_rows(limit)
        with sql_count(0), pytest.raises(ValueError, match="on_blocked"):
            archive.archive_deleted_rows(on_blocked=[])  # type: ignore[arg-type]  # what is refused
        assert keys(MAPPINGS) == [1]

    @pytest.mark.parametrize(
        "name",
        [
            "instances",
            "instance_id_mappings",
            "s3_images",
            "volume_id_mappings",
            "snapshot_id_mappings",
            "aggregates",
            "networks",
            "virtual_interfaces",
            "instance_groups",
        ],
    )
    def test_one_table(self, name: str) -> None:
        table = tables.metadata.tables[name]
        marks = [None, 0, 1, 1, 1, 1]
        with tx.main.engine.begin() as connection:
            for place, mark in enumerate(marks, 1):
                given = {"uuid": f"uuid{place}", "deleted": mark}
                connection.execute(sa.text(f"INSERT INTO {name} (uuid, deleted) VALUES (:uuid, :deleted)"), given)
        before = keys(table)
        moved = [archive._archive_deleted_rows_for_table(name, max_rows=2) for _ in range(3)]
        assert moved == [2, 2, 0]
        assert (keys(table), keys(shadow(table))) == (before[:2], before[2:])
        assert shadow_counts() == {name: 4}

    def test_one_table_without_limit_or_shadow(self) -> None:
        mappings(1, 1, 1)
        put(tables.tags, {"resource_id": "r", "tag": "t"})
        assert archive._archive_deleted_rows_for_table("instance_id_mappings", None) == 3
        assert archive._archive_deleted_rows_for_table("tags", 10) == 0
        assert archive._archive_deleted_rows_for_table("migrate_version", 10) == 0
        with pytest.raises(KeyError):
            archive._archive_deleted_rows_for_table("no_such_table", 10)


class TestRows:
    def test_rows_are_copied_as_they_are(self) -> None:
        moment = datetime.datetime(2015, 3, 4, 5, 6, 7)
        row = dict.fromkeys(tables.instances.c.keys())
        row |= {"id": 7, "uuid": "u", "deleted": 3, "deleted_at": moment, "updated_at": moment, "scheduled_at": moment}
        row |= {
            "locked_by": "owner",
            "locked": True,
            "access_ip_v4": "10.0.0.1",
            "memory_mb": 12,
            "user_data": "ü" * 99,
        }
        put(tables.instances, row)
        stored = row_of(tables.instances, 7)
        assert archive.archive_deleted_rows(10) == {"instances": 1}
        assert row_of(tables.shadows["instances"], 7) == stored
        assert stored["scheduled_at"] == moment

    def test_keys_that_are_text_and_other_marks_of_deletion(self) -> None:
        put(
            tables.dns_domains,
            *(
                {"domain": name, "deleted": mark}
                for name, mark in (("a", True), ("B", True), ("c", False), ("Ü", True))
            ),
        )
        put(
            tables.snapshots,
            *({"id": name, "volume_id": "v", "deleted": mark} for name, mark in (("s", "s"), ("t", ""), ("u", None))),
        )
        assert archive.archive_deleted_rows(1) == {"snapshots": 1}
        assert archive.archive_deleted_rows(10, batch=1) == {"dns_domains": 3}
        assert keys(tables.dns_domains) == ["c"]
        assert set(keys(tables.snapshots)) == {"t", "u"}

    def test_every_table_can_be_archived(self) -> None:
        """One soft-deleted row in each, without parents where there are no foreign keys, with them everywhere else."""
        for table in trees.ORDER:
            put(table, filled_row(table))
        assert archive.archive_deleted_rows() == dict.fromkeys((table.name for table in trees.ORDER), 1)
        for table in trees.ORDER:
            assert keys(table) == []
        assert set(shadow_counts()) == {table.name for table in trees.ORDER}


class TestReferences:
    def test_the_foreign_keys_are_known(self) -> None:
        pairs = {(str(relation.column), str(relation.parent)) for relation in trees.RELATIONS}
        assert pairs == {tuple(line.split()) for line in (REFERENCES + BY_VALUE).split("\n") if line}

    def test_parents_come_first(self) -> None:
        """They take their trees along; who comes later finds what is left."""
        places = {table: place for place, table in enumerate(trees.ORDER)}
        for relation in trees.RELATIONS:
            assert not relation.goes or places.get(relation.child, 99) > places[relation.parent.table]
        names = [table.name for table in trees.ORDER]
        assert len(names) == 51
        assert names[-1] == "instance_actions_events"
        roots = [table.name for table in trees.ORDER if not trees.above(table)]
        assert names[: len(roots)] == sorted(roots, reverse=True)

    def test_a_parent_waits_for_its_child(self) -> None:
        put(tables.console_pools, {"id": 1, "deleted": 1}, {"id": 2, "deleted": 2})
        put(tables.consoles, {"id": 1, "pool_id": 1, "deleted": 1})
        assert archive._archive_deleted_rows_for_table("console_pools", 10) == 1
        assert (keys(tables.console_pools), shadow_counts()) == ([1], {"console_pools": 1})
        assert archive._archive_deleted_rows_for_table("consoles", 10) == 1
        assert archive._archive_deleted_rows_for_table("console_pools", 10) == 1
        assert shadow_counts() == {"console_pools": 2, "consoles": 1}

    @pytest.mark.only_on("mysql", "postgresql", why="sqlite enforces no foreign keys")
    def test_a_reference_of_which_the_library_knows_nothing(self, caplog: pytest.LogCaptureFixture) -> None:
        blocked: dict[str, archive.Blocked] = {}
        mappings(1)
        put(tables.aggregates, *({"id": place, "name": "a", "deleted": place} for place in (1, 2)))
        put(tables.aggregate_hosts, *({"id": place, "aggregate_id": place, "deleted": 0} for place in (1, 2)))
        foreign = sa.Table(
            "dump_foreign", sa.MetaData(), sa.Column("id", sa.Integer, sa.ForeignKey(tables.aggregates.c.id))
        )
        with tx.main.engine.begin() as connection:
            foreign.create(connection)
            connection.execute(foreign.insert(), {"id": 1})
        try:
            with caplog.at_level(logging.WARNING, logger="nova_sqlcore"):
                counts = archive.archive_deleted_rows(on_blocked=blocked.__setitem__)
        finally:
            foreign.drop(tx.main.engine)
        assert counts == {"instance_id_mappings": 1, "aggregates": 1, "aggregate_hosts": 1}
        assert blocked == {"aggregates": archive.Blocked(1, {"dump_foreign": 1}, [1])}
        assert "IntegrityError detected" in caplog.text
        assert (keys(tables.aggregates), keys(tables.aggregate_hosts)) == ([1], [1])
        assert shadow_counts() == counts


class TestRowsThatTheShadowDoesNotTake:
    def test_keys_that_are_used_again(self) -> None:
        """Nothing stays; the row has a number of its own in the shadow table, and its mark tells the old one."""
        for start, mark in ((1, 1), (2, 2)):
            mappings(mark, start=start)
        assert archive.archive_deleted_rows() == {"instance_id_mappings": 2}
        mappings(1, 0, 3, 4, 5)
        assert archive.archive_deleted_rows(batch=2) == {"instance_id_mappings": 4}
        mappings(1)
        assert archive._archive_deleted_rows_for_table("instance_id_mappings", None) == 1
        assert keys(MAPPINGS) == [2]
        anew, others = keys(shadow(MAPPINGS))[:2], keys(shadow(MAPPINGS))[2:]
        assert all(-(2**31) < key < 0 for key in anew)
        assert others == [1, 2, 3, 4, 5]
        assert {(row["uuid"], row["deleted"]) for row in (row_of(shadow(MAPPINGS), key) for key in anew)} == {("u1", 1)}

    def test_text_that_is_used_again_as_a_key(self) -> None:
        uuid = "7a1c4bd4-5c6e-4a5c-9d5c-1f7f4b8f0c11"
        for _ in range(3):
            put(tables.dns_domains, {"domain": "example.org", "deleted": True}, {"domain": "a" * 255, "deleted": True})
            put(tables.snapshots, {"id": uuid, "volume_id": "v", "deleted": uuid})
            assert archive.archive_deleted_rows() == {"dns_domains": 2, "snapshots": 1}
        assert len(keys(shadow(tables.dns_domains))) == 6
        assert len(keys(shadow(tables.snapshots))) == 3
        assert sum(key.startswith("example.org") for key in keys(shadow(tables.dns_domains))) == 3

    def test_three_rounds(self) -> None:
        """What the API makes and deletes, with numbers that sqlite gives again."""
        for _ in range(3):
            numbers = [instance_factory.insert("s3_images", uuid="u")["id"] for _ in range(8)]
            with tx.writer(get_admin_context()) as t:
                t.execute(tables.s3_images.update().values(deleted=tables.s3_images.c.id))
            assert archive.archive_deleted_rows() == {"s3_images": len(numbers)}
        assert len(keys(shadow(tables.s3_images))) == 24

    @pytest.mark.only_on("mysql", "postgresql", why="sqlite stores text of any length")
    def test_text_that_is_too_long(self, caplog: pytest.LogCaptureFixture) -> None:
        put(
            tables.volume_usage_cache,
            *({"id": place, "volume_id": "v", "user_id": user, "deleted": place} for place, user in (
                (1, "u" * 37), (2, "u" * 36), (3, None)
            )),
        )  # fmt: skip
        with caplog.at_level(logging.WARNING, logger="nova_sqlcore"):
            assert archive.archive_deleted_rows() == {"volume_usage_cache": 2}
        assert keys(tables.volume_usage_cache) == [1]
        assert "volume_usage_cache" in caplog.text


class TestOptions:
    def test_before(self) -> None:
        moments = (datetime.datetime(2016, 1, 1), datetime.datetime(2016, 1, 2), None)
        put(
            MAPPINGS,
            *({"id": place, "uuid": "u", "deleted": 1, "deleted_at": at} for place, at in enumerate(moments, 1)),
        )
        assert archive.archive_deleted_rows(before=datetime.datetime(2016, 1, 2), batch=1) == {
            "instance_id_mappings": 1
        }
        assert keys(shadow(MAPPINGS)) == [1]

    def test_progress(self, monkeypatch: pytest.MonkeyPatch) -> None:
        pauses: list[float] = []
        monkeypatch.setattr("time.sleep", pauses.append)
        mappings(*range(1, 6))
        seen: list[tuple[str, int]] = []
        archive.archive_deleted_rows(batch=2, pause=1.5, progress=lambda *told: seen.append(told))
        assert seen == [("instance_id_mappings", 2), ("instance_id_mappings", 2), ("instance_id_mappings", 1)]
        assert pauses == [1.5, 1.5]


class TestPurge:
    def test_archived_rows_go_for_good(self, sql_count: SqlCount) -> None:
        mappings(0, 2, 3, 4)
        put(tables.s3_images, {"id": 1, "uuid": "u", "deleted": 1})
        archive.archive_deleted_rows()
        with sql_count(1 + 2 * 2 + 2):
            assert archive.purge_archived_rows(batch=2) == {"instance_id_mappings": 3, "s3_images": 1}
        assert (shadow_counts(), keys(MAPPINGS)) == ({}, [1])
        with sql_count(1):
            assert archive.purge_archived_rows() == {}

    def test_before(self) -> None:
        moments = (datetime.datetime(2016, 1, 1), datetime.datetime(2016, 1, 2), None)
        put(shadow(MAPPINGS), *({"id": place, "uuid": "u", "deleted_at": at} for place, at in enumerate(moments, 1)))
        seen: list[tuple[str, int]] = []
        moment = datetime.datetime(2016, 1, 2)
        counts = archive.purge_archived_rows(moment, progress=lambda *told: seen.append(told))
        assert counts == {"instance_id_mappings": 1}
        assert seen == [("instance_id_mappings", 1)]
        assert keys(shadow(MAPPINGS)) == [2, 3]


def test_a_database_of_the_reference(backend: Backend) -> None:
    """Every row is in one of the two tables afterwards, and nothing is left that could move."""
    with backend.new_database() as url:
        dumps.load(url)
        tx.close()
        tx.configure(url)
        try:
            before = {table.name: keys(table) for table in trees.ORDER}
            counts = archive.archive_deleted_rows(batch=50)
            assert counts["instances"] > 1
            for table in trees.ORDER:
                moved = keys(shadow(table))
                assert len(moved) == counts.get(table.name, 0)
                assert sorted([*keys(table), *moved]) == before[table.name]
            assert archive.archive_deleted_rows() == {}
        finally:
            tx.close()
            tx.configure(backend.url)


class TestCost:
    def test_statements_grow_with_what_is_archived(self, sql_log: SqlLog, backend: Backend) -> None:
        per_batch = PER_BATCH.get(backend.family, PER_BATCH["default"])
        mappings(1, 2, 3, *[0] * 300)
        put(tables.s3_images, *({"id": place, "uuid": "u", "deleted": 0} for place in range(1, 300)))
        with sql_log() as sent:
            archive.archive_deleted_rows()
        assert len(sent) == 1 + per_batch
        mappings(*range(1000, 1010), start=1000)
        with sql_log() as sent:
            archive.archive_deleted_rows(batch=4)
        assert len(sent) == 1 + 3 * per_batch

    def test_a_limit_is_no_reason_to_look_again(self, sql_log: SqlLog, backend: Backend) -> None:
        mappings(1, 2, 3)
        with sql_log() as sent:
            archive.archive_deleted_rows(3)
        assert len(sent) == 1 + PER_BATCH.get(backend.family, PER_BATCH["default"])

    @pytest.mark.only_on("postgresql", why="the others look for the children of one row at a time in any case")
    def test_a_batch_joins_no_whole_tables(self) -> None:
        which = archive._Which(tables.instances, alone=True)
        found = archive._take_statement(which, False, False, POSTGRESQL)
        with tx.main.engine.connect() as connection:
            text = str(found.compile(connection, compile_kwargs={"literal_binds": True}, dialect=connection.dialect))
            plan = "\n".join(connection.exec_driver_sql(f"EXPLAIN {text}").scalars())
            assert connection.exec_driver_sql("SHOW jit").scalar_one() == "off"
        assert plan.count("SubPlan") >= 16
        assert "Join" not in plan

    @pytest.mark.only_on("sqlite", why="memory is that of this process, whatever the server")
    def test_memory_does_not_grow_with_the_table(self) -> None:
        peaks = []
        for count in (50, 1500):
            mappings(*range(1, count + 1), start=count)
            archive._archive_deleted_rows_for_table("instance_id_mappings", 10)
            tracemalloc.start()
            archive.archive_deleted_rows(batch=10)
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert peaks[1] < 1.5 * peaks[0]


def _archive(number: int) -> int:
    return sum(archive.archive_deleted_rows(batch=7).values())


class TestInterruptions:
    @pytest.mark.parametrize("statement", [3, 4])
    def test_a_run_that_is_killed_loses_nothing(self, backend: Backend, statement: int) -> None:
        """Between two batches, and between copying and deleting."""
        mappings(*range(1, 12))
        archive_killed_before(backend.url, statement)
        left, moved = set(keys(MAPPINGS)), set(keys(shadow(MAPPINGS)))
        assert moved
        assert left.isdisjoint(moved)
        assert left | moved == set(range(1, 12))
        while archive.archive_deleted_rows(batch=2):  # the server may hold the locks of the dead for a moment
            pass
        assert (keys(MAPPINGS), keys(shadow(MAPPINGS))) == ([], list(range(1, 12)))

    def test_the_callers_context_is_not_involved(self, admin: RequestContext) -> None:
        mappings(1)
        with tx.reader(admin):
            assert archive.archive_deleted_rows() == {"instance_id_mappings": 1}


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with eight_processes() as found:
        yield found


def test_several_runs_at_once_share_the_work(processes: Processes, backend: Backend) -> None:
    put(MAPPINGS, *({"id": place, "uuid": "u", "deleted": place} for place in range(1, 201)))
    moved = processes.call(backend.url, _archive)
    moved.append(sum(archive.archive_deleted_rows().values()))
    assert sum(moved) == 200
    assert (keys(MAPPINGS), keys(shadow(MAPPINGS))) == ([], list(range(1, 201)))
