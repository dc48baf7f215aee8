# SPDX-License-Identifier: Apache-2.0

"""Usage of network cards and volumes (05-flavors-bdm-usage)."""

from __future__ import annotations

import datetime
import logging
from typing import TYPE_CHECKING, Any, cast

import pytest

from nova_sqlcore import RequestContext, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.hosts import usage_caches
from tests.queries import cell_factory, instance_factory, threads

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

Row = dict[str, Any]
START = datetime.datetime(2016, 4, 1)
EARLY = datetime.datetime(1, 1, 1)
LATER = datetime.datetime(2016, 5, 1)


def bandwidth(context: RequestContext, *counts: int, **more: Any) -> Row:
    """Report the traffic of a card."""
    names = ("bw_in", "bw_out", "last_ctr_in", "last_ctr_out")
    given: Row = {"uuid": "u", "mac": "m", "start_period": START} | dict(zip(names, counts, strict=True)) | more
    return cast("Row", usage_caches.bw_usage_update(context, **given))


def card(context: RequestContext, start: Any = START) -> Row | None:
    return cast("Row | None", usage_caches.bw_usage_get(context, "u", start, "m"))


def bandwidths(*uuids: str) -> list[Row]:
    found = usage_caches.bw_usage_get_by_uuids(get_admin_context(), uuids or ("u",), START)
    return cast("list[Row]", found)


def volume(context: RequestContext, *counts: int, id: str = "v", **more: Any) -> Row:
    """Report the I/O of a volume; one count stands for all four."""
    given: list[Any] = [*(counts * 4 if len(counts) == 1 else counts)]
    given += [more.pop(name, name[0]) for name in ("instance_id", "project_id", "user_id", "availability_zone")]
    return cast("Row", usage_caches.vol_usage_update(context, id, *given, **more))


def volumes(begin: datetime.datetime = EARLY) -> list[Row]:
    return cast("list[Row]", usage_caches.vol_get_usage_by_time(get_admin_context(), begin))


def reporting(report: Callable[..., Row], *counts: int, **more: Any) -> Callable[[RequestContext], Row]:
    """Return a report that only wants a context."""
    return lambda context: report(context, *counts, **more)


def counters(row: Row) -> tuple[int, int]:
    """Return the current and the total reads."""
    return row["curr_reads"], row["tot_reads"]


class TestBandwidth:
    def test_a_new_row(self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        with sql_count(sqlite=2, postgresql=3, mysql=4):
            row = bandwidth(ctxt, 2**40, 2, 3, 4)
        assert set(row) == set(tables.bw_usage_cache.c.keys())
        assert row | {"id": None} == {
            "id": None,
            "uuid": "u",
            "mac": "m",
            "start_period": START,
            "last_refreshed": frozen_clock.now,
            "bw_in": 2**40,
            "bw_out": 2,
            "last_ctr_in": 3,
            "last_ctr_out": 4,
            "created_at": frozen_clock.now,
            "updated_at": None,
            "deleted_at": None,
            "deleted": 0,
        }
        with sql_count(2):
            assert card(ctxt) == row
            assert usage_caches.bw_usage_get_by_uuids(ctxt, ["u"], START) == [row]

    def test_the_same_key_again(self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        first = bandwidth(ctxt, 1, 2, 3, 4)
        now = frozen_clock.advance(5)
        with sql_count(1, mysql=2, default=1):
            row = bandwidth(ctxt, 10, 20, 30, cast("int", "40"))
        written = {"bw_in": 10, "bw_out": 20, "last_ctr_in": 30, "last_ctr_out": 40}
        assert row == first | written | {"last_refreshed": now, "updated_at": now}
        assert bandwidths() == [row]

    @pytest.mark.parametrize("other", [{"uuid": "w"}, {"mac": "n"}, {"start_period": LATER}])
    def test_other_keys_stay_apart(self, ctxt: RequestContext, other: Row) -> None:
        row = bandwidth(ctxt, 1, 2, 3, 4)
        assert bandwidth(ctxt, 5, 6, 7, 8, **other)["id"] != row["id"]
        assert card(ctxt) == row

    @pytest.mark.parametrize(
        "start",
        [
            START,
            "2016-04-01T00:00:00",
            "2016-04-01T00:00:00.000000",
            "2016-04-01 00:00:00+02:00",
            START.replace(tzinfo=datetime.UTC),
            START.replace(tzinfo=datetime.timezone(datetime.timedelta(hours=2))),
        ],
    )
    def test_times_in_any_form(self, ctxt: RequestContext, start: Any) -> None:
        row = bandwidth(ctxt, 1, 2, 3, 4, start_period=start, last_refreshed=start)
        assert (row["start_period"], row["last_refreshed"]) == (START, START)
        again = bandwidth(ctxt, 5, 6, 7, 8, start_period=start, last_refreshed=start)
        assert again["id"] == row["id"]
        assert card(ctxt, start) == again
        assert usage_caches.bw_usage_get_by_uuids(ctxt, ["u"], start) == [again]

    def test_fractions_of_a_second(self, ctxt: RequestContext) -> None:
        start = START.replace(microsecond=600000)
        rows = [bandwidth(ctxt, 1, 2, 3, 4, start_period=start) for _ in range(2)]
        assert card(ctxt, start) == rows[1]
        assert card(ctxt, start.isoformat()) == rows[1]
        assert rows[0]["id"] == rows[1]["id"]

    def test_text_that_is_no_time(self, ctxt: RequestContext) -> None:
        with pytest.raises(ValueError, match="Invalid isoformat"):
            bandwidth(ctxt, 1, 2, 3, 4, start_period="abc")

    def test_there_is_none(self, ctxt: RequestContext) -> None:
        bandwidth(ctxt, 1, 2, 3, 4)
        assert usage_caches.bw_usage_get(ctxt, "m", START, "u") is None
        assert bandwidths("none") == []

    def test_the_cells_flag_means_nothing(self, ctxt: RequestContext) -> None:
        for flag in (True, False):
            assert bandwidth(ctxt, 1, 2, 3, 4, update_cells=flag)["bw_in"] == 1

    def test_no_card_and_no_instance(self, ctxt: RequestContext) -> None:
        rows = [bandwidth(ctxt, number, 2, 3, 4, uuid=None, mac=None) for number in (1, 2)]
        assert rows[0]["id"] == rows[1]["id"]
        assert usage_caches.bw_usage_get(ctxt, cast("str", None), START, cast("str", None)) == rows[1]

    def test_of_several_rows_the_first(self, ctxt: RequestContext, frozen_clock: FrozenClock) -> None:
        first, second = (
            instance_factory.insert("bw_usage_cache", uuid="u", mac="m", start_period=START, bw_in=1) for _ in range(2)
        )
        assert card(ctxt) == first
        row = bandwidth(ctxt, 9, 9, 9, 9)
        assert row["id"] == first["id"]
        assert bandwidths() == [row, second]

    @pytest.mark.parametrize("word", ["no", "only"])
    def test_soft_deleted_rows_count(self, word: str) -> None:
        context = get_admin_context(word)
        row = bandwidth(context, 1, 2, 3, 4)
        instance_factory.deleted("bw_usage_cache", row)
        assert bandwidth(context, 5, 6, 7, 8)["id"] == row["id"]
        assert [one["id"] for one in usage_caches.bw_usage_get_by_uuids(context, ["u"], START)] == [row["id"]]

    def test_lists(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        rows = [bandwidth(ctxt, 1, 2, 3, 4, uuid=uuid, mac=mac) for mac in "ab" for uuid in "zyx"]
        bandwidth(ctxt, 1, 2, 3, 4, uuid="x", start_period=LATER)
        with sql_count(1):
            assert bandwidths("x", "y", "x") == [rows[1], rows[2], rows[4], rows[5]]
        with sql_count(1):
            assert bandwidths(*["x", "y"] * 300) == [rows[1], rows[2], rows[4], rows[5]]
        with sql_count(0):
            assert usage_caches.bw_usage_get_by_uuids(ctxt, [], START) == []
        with sql_count(2):
            assert bandwidths("x", *(f"none-{number}" for number in range(600)), "z") == [
                rows[0],
                rows[2],
                rows[3],
                rows[5],
            ]

    def test_inside_a_transaction(self, ctxt: RequestContext) -> None:
        with tx.writer(ctxt):
            row = bandwidth(ctxt, 1, 2, 3, 4)
            assert card(ctxt) == row
            assert bandwidth(ctxt, 5, 6, 7, 8)["id"] == row["id"]
        assert [one["bw_in"] for one in bandwidths()] == [5]

    def test_readers_of_the_replica(self, ctxt: RequestContext) -> None:
        row = bandwidth(ctxt, 1, 2, 3, 4)
        reader = RequestContext("user", "project")
        with tx.reader(reader, replica=True):
            assert card(reader) == row
            assert usage_caches.bw_usage_get_by_uuids(reader, ["u"], START) == [row]
            with pytest.raises(TypeError):
                usage_caches.vol_get_usage_by_time(reader, EARLY)

    def test_who_comes_second_updates_the_first_ones_row(self) -> None:
        rows = threads.one_inside_the_other(
            lambda context: bandwidth(context, 1, 2, 3, 4), lambda context: bandwidth(context, 5, 6, 7, 8)
        )
        assert rows[0]["id"] == rows[1]["id"]
        assert bandwidths() == [rows[1]]

    def test_many_first_reports_at_once(self) -> None:
        found = threads.at_once([reporting(bandwidth, *[number] * 4) for number in range(6)])
        (row,) = bandwidths()
        assert {one["id"] for one in found} == {row["id"]}
        assert len({row[name] for name in ("bw_in", "bw_out", "last_ctr_in", "last_ctr_out")}) == 1

    def test_conflicts_start_over(self, ctxt: RequestContext, monkeypatch: pytest.MonkeyPatch) -> None:
        attempts = []
        perform = tx.Transaction._perform

        def failing(self: tx.Transaction, action: Any, statement: Any, params: Any) -> Any:
            if self not in attempts:
                attempts.append(self)
            if len(attempts) < 6:
                raise exceptions.DBDeadlock
            return perform(self, action, statement, params)

        monkeypatch.setattr(tx.Transaction, "_perform", failing)
        assert bandwidth(ctxt, 1, 2, 3, 4)["bw_in"] == 1
        assert len(attempts) == 6


class TestVolumes:
    @pytest.mark.parametrize(("totals", "kind", "other"), [(False, "curr", "tot"), (True, "tot", "curr")])
    def test_a_new_row(
        self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount, totals: bool, kind: str, other: str
    ) -> None:
        with sql_count(sqlite=2, postgresql=3, mysql=4):
            row = volume(ctxt, 2**40, 2, 3, 4, update_totals=totals)
        assert set(row) == set(tables.volume_usage_cache.c.keys())
        names = ("reads", "read_bytes", "writes", "write_bytes")
        assert [row[f"{kind}_{name}"] for name in names] == [2**40, 2, 3, 4]
        assert [row[f"{other}_{name}"] for name in names] == [0, 0, 0, 0]
        assert (row[f"{kind}_last_refreshed"], row[f"{other}_last_refreshed"]) == (frozen_clock.now, None)
        assert (row["volume_id"], row["instance_uuid"], row["project_id"]) == ("v", "i", "p")
        assert (row["user_id"], row["availability_zone"], row["updated_at"]) == ("u", "a", None)
        assert volumes() == [row]

    def test_an_update(self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        first = volume(ctxt, 1, 2, 3, 4)
        now = frozen_clock.advance(5)
        with sql_count(2):
            owners: Row = {"project_id": "q", "user_id": "w", "availability_zone": None}
            row = volume(ctxt, 5, 6, 7, cast("int", "8"), instance_id="j", **owners)
        written = {"curr_reads": 5, "curr_read_bytes": 6, "curr_writes": 7, "curr_write_bytes": 8}
        assert row == first | written | owners | {"instance_uuid": "j", "curr_last_refreshed": now, "updated_at": now}
        assert volumes() == [row]

    @pytest.mark.parametrize(
        ("reports", "current", "total"),
        [
            ([10, 1000], 1000, 0),
            ([100, (200,), 300, (400,)], 0, 600),
            ([10000, 100, 200], 200, 10000),
            ([10000, (100,)], 0, 10100),
            ([(5,), 3, (4,)], 0, 9),
            ([7, 7], 7, 0),
        ],
    )
    def test_reports_in_a_row(self, ctxt: RequestContext, reports: list[Any], current: int, total: int) -> None:
        """A report in parentheses is one of totals."""
        row: Row = {}
        for report in reports:
            row = volume(ctxt, *report, update_totals=True) if isinstance(report, tuple) else volume(ctxt, report)
        assert counters(row) == (current, total)
        assert volumes() == [row]

    def test_the_times(self, ctxt: RequestContext, frozen_clock: FrozenClock) -> None:
        times = []
        for number, totals in enumerate([False, True, False, True], 1):
            times.append(frozen_clock.advance(10))
            row = volume(ctxt, number * 100, update_totals=totals)
        assert (row["curr_last_refreshed"], row["tot_last_refreshed"]) == (times[2], times[3])
        assert row["updated_at"] == times[3]

    @pytest.mark.parametrize("place", range(4))
    @pytest.mark.parametrize("totals", [True, False])
    def test_one_smaller_counter_resets_all(
        self,
        ctxt: RequestContext,
        caplog: pytest.LogCaptureFixture,
        frozen_clock: FrozenClock,
        place: int,
        totals: bool,
    ) -> None:
        before = volume(ctxt, 10, 20, 30, 40)
        frozen_clock.advance(1)
        counts = [11, 21, 31, 41]
        counts[place] = 1
        with caplog.at_level(logging.INFO):
            row = volume(ctxt, *counts, update_totals=totals)
        assert "volume v" in caplog.text
        names = ("reads", "read_bytes", "writes", "write_bytes")
        added = counts if totals else [0, 0, 0, 0]
        assert [row[f"tot_{name}"] for name in names] == [
            old + new for old, new in zip([10, 20, 30, 40], added, strict=True)
        ]
        assert [row[f"curr_{name}"] for name in names] == ([0, 0, 0, 0] if totals else counts)
        assert (row["tot_last_refreshed"] is None) == (not totals)
        assert (row["curr_last_refreshed"] == before["curr_last_refreshed"]) == totals

    def test_volumes_stay_apart(self, ctxt: RequestContext) -> None:
        rows = [volume(ctxt, 100, id="v"), volume(ctxt, 5, id="w")]
        assert volumes() == rows
        assert [counters(row) for row in (volume(ctxt, 50, id="v"), volume(ctxt, 6, id="w"))] == [(50, 100), (6, 0)]

    def test_null_counts_as_nothing(self, ctxt: RequestContext) -> None:
        row = instance_factory.insert("volume_usage_cache", volume_id="v")
        with tx.writer(get_admin_context()) as transaction:
            table = tables.volume_usage_cache
            nothing = {name: None for name in table.c.keys() if "read" in name or "write" in name}  # noqa: SIM118  # no mapping
            transaction.execute(table.update().values(nothing))
        after = volume(ctxt, 5)
        assert (after["id"], counters(after)) == (row["id"], (5, 0))
        assert volumes() == [after]

    def test_of_several_rows_the_first(self, ctxt: RequestContext) -> None:
        first, second = (instance_factory.insert("volume_usage_cache", volume_id="v") for _ in range(2))
        row = volume(ctxt, 5)
        assert row["id"] == first["id"]
        assert volumes() == [row, second]

    @pytest.mark.parametrize("word", ["no", "only"])
    def test_soft_deleted_rows_count(self, word: str) -> None:
        context = get_admin_context(word)
        row = volume(context, 5)
        instance_factory.deleted("volume_usage_cache", row)
        assert volume(context, 6)["id"] == row["id"]
        assert [one["id"] for one in usage_caches.vol_get_usage_by_time(context, EARLY)] == [row["id"]]

    def test_since(self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        begin = frozen_clock.now

        def stored(current: int | None, total: int | None) -> Row:
            times = {
                name: None if seconds is None else begin + datetime.timedelta(seconds=seconds)
                for name, seconds in (("curr_last_refreshed", current), ("tot_last_refreshed", total))
            }
            return instance_factory.insert("volume_usage_cache", volume_id="v", **times)

        rows = [stored(*pair) for pair in ((0, 0), (-1, -1), (1, -1), (-1, 1), (None, -1), (-1, None), (1, 1))]
        with sql_count(1):
            assert usage_caches.vol_get_usage_by_time(ctxt, begin) == rows[2:]
        assert usage_caches.vol_get_usage_by_time(ctxt, LATER) == [rows[4], rows[5]]

    def test_a_clock_in_the_year_1(self, ctxt: RequestContext, frozen_clock: FrozenClock) -> None:
        frozen_clock.now = EARLY
        volume(ctxt, 1)
        row = volume(ctxt, 2, update_totals=True)
        assert row["tot_last_refreshed"] == EARLY
        assert volumes(EARLY) == []
        later = frozen_clock.advance(1)
        row = volume(ctxt, 3)
        assert row["curr_last_refreshed"] == later
        assert volumes(EARLY) == [row]
        assert volumes(START) == []

    def test_inside_a_transaction(self, ctxt: RequestContext) -> None:
        with tx.writer(ctxt):
            volume(ctxt, 10)
            row = volume(ctxt, 5)
            assert usage_caches.vol_get_usage_by_time(ctxt, EARLY) == [row]
        assert counters(row) == (5, 10)

    def test_who_comes_second_counts_on(self) -> None:
        for total in (80, 80 + 50 + 80):
            threads.one_inside_the_other(lambda context: volume(context, 80), lambda context: volume(context, 50))
            (row,) = volumes()
            assert counters(row) == (50, total)
            volume(get_admin_context(), 20)  # below 50, which joins the totals; 80 is above it

    @pytest.mark.parametrize("known", [True, False])
    def test_many_totals_at_once_are_all_counted(self, known: bool) -> None:
        if known:
            volume(get_admin_context(), 0)
        numbers = [1, 10, 100, 1000, 10000, 100000]
        threads.at_once([reporting(volume, number, update_totals=True) for number in numbers])
        (row,) = volumes()
        assert counters(row) == (0, sum(numbers))


@pytest.mark.parametrize("context", [RequestContext(), RequestContext("user"), RequestContext(project_id="p")])
def test_incomplete_contexts_are_refused(context: RequestContext, sql_count: SqlCount) -> None:
    calls: list[Callable[[], Any]] = [
        lambda: bandwidth(context, 1, 2, 3, 4),
        lambda: volume(context, 1),
        lambda: usage_caches.bw_usage_get(context, "u", START, "m"),
        lambda: usage_caches.bw_usage_get_by_uuids(context, ["u"], START),
        lambda: usage_caches.vol_get_usage_by_time(context, START),
    ]
    with sql_count(0):
        for call in calls:
            with pytest.raises(exceptions.Forbidden):
                call()


def test_a_cell() -> None:
    with cell_factory.cell("bw_usage_cache", "volume_usage_cache") as context:
        row = bandwidth(context, 1, 2, 3, 4)
        assert card(context) == row
        assert usage_caches.bw_usage_get_by_uuids(context, ["u"], START) == [row]
        usage = volume(context, 1)
        assert usage_caches.vol_get_usage_by_time(context, EARLY) == [usage]
    assert bandwidths() == volumes() == []
