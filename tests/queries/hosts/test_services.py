# SPDX-License-Identifier: Apache-2.0

"""Services: creating, looking up, heartbeats, destroying (01-core 15)."""

from __future__ import annotations

import datetime
import threading
from typing import TYPE_CHECKING, Any

import pytest

from nova_sqlcore import RequestContext, UnknownColumnWarning, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.hosts import compute_nodes, services
from nova_sqlcore.settings import settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

Row = Any

NO_IDS = (77777, "fake", "99999999999999999999", 10**40, -1)


def service(host: str | None = "h", binary: str | None = "nova-compute", topic: str | None = "t", **more: Any) -> Row:
    given = {"host": host, "binary": binary, "topic": topic, **more}
    return services.service_create(get_admin_context(), given)


def node(host: str | None = "h", name: str = "n", **more: Any) -> Row:
    numbers = dict.fromkeys(
        ("vcpus", "memory_mb", "local_gb", "vcpus_used", "memory_mb_used", "local_gb_used", "hypervisor_version"), 1
    )
    given = {"host": host, "hypervisor_hostname": name, "hypervisor_type": "QEMU", "cpu_info": "", **numbers, **more}
    return compute_nodes.compute_node_create(get_admin_context(), given)


def ids(rows: list[Row]) -> list[int]:
    return [row["id"] for row in rows]


class TestCreate:
    def test_the_new_row_is_what_a_read_shows(self, admin: RequestContext, sql_count: SqlCount) -> None:
        with sql_count(1):
            row = service(disabled_reason="because")
        assert row == services.service_get(admin, row["id"])
        assert set(row) == set(tables.services.c.keys())
        assert (row["report_count"], row["version"], row["forced_down"], row["disabled"]) == (0, 0, False, False)
        assert (row["deleted"], row["updated_at"], row["last_seen_up"]) == (0, None, None)
        assert isinstance(row["created_at"], datetime.datetime)

    def test_none_takes_the_default(self, admin: RequestContext) -> None:
        row = service(disabled=None, forced_down=None, version=None, report_count=None, deleted=None)
        assert (row["disabled"], row["forced_down"], row["version"], row["deleted"]) == (False, False, 0, 0)
        assert services.service_get_all(admin, disabled=False) == [row]

    @pytest.mark.parametrize("given", [{}, {"disabled": False}, {"disabled": None}, {"disabled_reason": None}])
    def test_new_compute_services_are_disabled_with_a_reason_if_the_settings_say_so(
        self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch, given: Row, sql_count: SqlCount
    ) -> None:
        monkeypatch.setattr(settings, "enable_new_services", False)
        with sql_count(1):
            row = service(**given)
        assert (row["disabled"], row["disabled_reason"]) == (
            True,
            "New compute service disabled due to config option.",
        )
        assert services.service_get(admin, row["id"]) == row

    def test_the_callers_own_reason_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(settings, "enable_new_services", False)
        row = service(disabled_reason="mine")
        assert (row["disabled"], row["disabled_reason"]) == (True, "mine")

    @pytest.mark.parametrize("binary", ["nova-conductor", "nova-api", "nova-compute-2", "", None])
    def test_other_services_are_never_disabled_by_the_settings(
        self, monkeypatch: pytest.MonkeyPatch, binary: str | None
    ) -> None:
        monkeypatch.setattr(settings, "enable_new_services", False)
        row = service(binary=binary)
        assert (row["disabled"], row["disabled_reason"]) == (False, None)
        assert service("i", binary, disabled=True)["disabled"] is True

    @pytest.mark.parametrize(
        ("binary", "topic", "error", "named"),
        [
            ("nova-compute", "other", exceptions.ServiceBinaryExists, {"host": "h", "binary": "nova-compute"}),
            ("other", "t", exceptions.ServiceTopicExists, {"host": "h", "topic": "t"}),
            ("nova-compute", "t", exceptions.ServiceBinaryExists, {"host": "h", "binary": "nova-compute"}),
            (None, "t", exceptions.ServiceTopicExists, {"host": "h", "topic": "t"}),
        ],
    )
    def test_a_taken_key_is_named(self, binary: str | None, topic: str, error: type[Any], named: Row) -> None:
        service()
        with pytest.raises(error) as raised:
            service(binary=binary, topic=topic)
        assert {name: raised.value.kwargs[name] for name in named} == named

    def test_topic_and_binary_taken_by_different_services(self) -> None:
        service(topic="a", binary="x")
        service(topic="b", binary="y")
        with pytest.raises(exceptions.ServiceBinaryExists):
            service(topic="a", binary="y")

    def test_missing_keys_are_none_in_the_error(self) -> None:
        service(topic=None)
        with pytest.raises(exceptions.ServiceBinaryExists) as raised:
            services.service_create(get_admin_context(), {"host": "h", "binary": "nova-compute"})
        assert raised.value.kwargs["host"] == "h"

    def test_other_hosts_and_nulls_never_collide(self, admin: RequestContext) -> None:
        for host in ("h", "i", None, None):
            service(host=host)
        service(topic=None, binary=None)
        service(topic=None, binary=None)
        assert len(services.service_get_all(admin)) == 6

    def test_destroyed_keys_are_free_again(self, admin: RequestContext) -> None:
        for _ in range(3):
            services.service_destroy(admin, service()["id"])
        assert service()["deleted"] == 0

    def test_a_taken_key_leaves_the_callers_transaction_alive(self, admin: RequestContext) -> None:
        service()
        with tx.writer(admin):
            with pytest.raises(exceptions.ServiceBinaryExists):
                services.service_create(admin, {"host": "h", "binary": "nova-compute", "topic": "x"})
            services.service_create(admin, {"host": "i"})
        assert len(services.service_get_all(admin)) == 2

    def test_unknown_keys_are_not_stored(self, admin: RequestContext) -> None:
        given = {"host": "h", "availability_zone": "nova"}
        row = services.service_create(admin, given)
        assert "availability_zone" not in row
        assert given == {"host": "h", "availability_zone": "nova"}
        with pytest.warns(UnknownColumnWarning, match="hots"):
            services.service_create(admin, {"hots": "h"})


class TestLookups:
    def test_get(self, admin: RequestContext, sql_count: SqlCount) -> None:
        row = service()
        with sql_count(2):
            assert services.service_get(admin, row["id"]) == row
            assert services.service_get(admin, str(row["id"])) == row  # type: ignore[arg-type]  # ids may be digits

    @pytest.mark.parametrize("identity", NO_IDS)
    @pytest.mark.parametrize(
        "call",
        [
            services.service_get,
            services.service_destroy,
            lambda context, identity: services.service_update(context, identity, {"disabled": True}),
            lambda context, identity: services.service_update(context, identity, {"report_count": 1}),
            lambda context, identity: services.service_update(context, identity, {}),
        ],
    )
    def test_no_such_id(self, admin: RequestContext, identity: Any, call: Callable[..., Any]) -> None:
        service()
        with pytest.raises(exceptions.ServiceNotFound) as raised:
            call(admin, identity)
        assert raised.value.kwargs["service_id"] == identity

    def test_visibility(self, admin: RequestContext) -> None:
        live, gone = service(), service("i")
        services.service_destroy(admin, gone["id"])
        for word, seen in (("no", [live]), ("only", [gone]), ("yes", [live, gone])):
            context = get_admin_context(word)
            assert ids(services.service_get_all(context)) == ids(seen)
            for row in (live, gone):
                if row in seen:
                    assert services.service_get(context, row["id"])["id"] == row["id"]
                else:
                    with pytest.raises(exceptions.ServiceNotFound):
                        services.service_get(context, row["id"])

    def test_get_all_by_disabled(self, admin: RequestContext, sql_count: SqlCount) -> None:
        on, off = service("a"), service("b", disabled=True)
        unknown = service("c")
        services.service_update(admin, unknown["id"], {"disabled": None})
        with sql_count(3):
            assert ids(services.service_get_all(admin)) == ids([on, off, unknown])
            assert ids(services.service_get_all(admin, disabled=True)) == [off["id"]]
            assert ids(services.service_get_all(admin, disabled=False)) == [on["id"]]

    def test_by_binary(self, admin: RequestContext, sql_count: SqlCount) -> None:
        first, off = service("a"), service("b", disabled=True)
        service("a", "other", "u")
        services.service_destroy(admin, service("c")["id"])
        context = get_admin_context("yes")
        with sql_count(2):
            assert services.service_get_all_by_binary(context, "nova-compute") == [first]
            assert services.service_get_all_by_binary(context, "nova-compute", include_disabled=True) == [first, off]
        assert services.service_get_all_by_binary(admin, "none") == []

    def test_by_topic(self, admin: RequestContext, sql_count: SqlCount) -> None:
        rows = [service("a"), service("b")]
        service("c", disabled=True)
        service("a", "x", "other")
        services.service_destroy(admin, service("d")["id"])
        with sql_count(1):
            assert services.service_get_all_by_topic(get_admin_context("yes"), "t") == rows

    def test_by_host(self, admin: RequestContext, sql_count: SqlCount) -> None:
        rows = [service("a"), service("a", "x", "u", disabled=True)]
        service("b")
        services.service_destroy(admin, service("a", "y", "v")["id"])
        with sql_count(1):
            assert services.service_get_all_by_host(get_admin_context("yes"), "a") == rows

    def test_by_host_and_topic(self, admin: RequestContext, sql_count: SqlCount) -> None:
        row = service()
        off = service("b", disabled=True)
        with sql_count(2):
            assert services.service_get_by_host_and_topic(admin, "h", "t") == row
            assert services.service_get_by_host_and_topic(admin, "b", off["topic"]) is None
        services.service_destroy(admin, row["id"])
        assert services.service_get_by_host_and_topic(get_admin_context("yes"), "h", "t") is None

    @pytest.mark.parametrize(
        ("call", "error", "named"),
        [
            (lambda c: services.service_get_by_compute_host(c, "h"), exceptions.ComputeHostNotFound, {"host": "h"}),
            (
                lambda c: services.service_get_by_host_and_binary(c, "h", "nova-compute"),
                exceptions.HostBinaryNotFound,
                {"host": "h", "binary": "nova-compute"},
            ),
        ],
    )
    def test_one_of_a_host(
        self, admin: RequestContext, call: Callable[[Any], Any], error: type[Any], named: Row, sql_count: SqlCount
    ) -> None:
        service("h", "other", "u")
        service("other")
        with pytest.raises(error) as raised:
            call(admin)
        assert {name: raised.value.kwargs[name] for name in named} == named
        row = service(disabled=True)
        with sql_count(1):
            assert call(admin) == row
        services.service_destroy(admin, row["id"])
        with pytest.raises(error):
            call(get_admin_context("yes"))

    def test_none_means_null(self, admin: RequestContext) -> None:
        row = service(None, topic=None)
        service()
        assert services.service_get_all_by_host(admin, None) == [row]  # type: ignore[arg-type]  # what it is about
        assert services.service_get_by_host_and_topic(admin, None, None) == row  # type: ignore[arg-type]  # likewise

    def test_numbers_are_looked_up_as_text(self, admin: RequestContext) -> None:
        row = service("12")
        service("12abc")
        assert services.service_get_all_by_host(admin, 12) == [row]  # type: ignore[arg-type]  # what it is about

    def test_readers_of_the_replica(self, admin: RequestContext) -> None:
        service(version=3)
        with tx.reader(admin, replica=True):
            assert services.service_get_minimum_version(admin, "nova-compute") == 3
            assert services.service_get_by_compute_host(admin, "h")["host"] == "h"
            with pytest.raises(TypeError):
                services.service_get_all(admin)


class TestMinimumVersion:
    def test_services_that_are_forced_down_do_not_count(self, admin: RequestContext, sql_count: SqlCount) -> None:
        service("a", version=1, forced_down=True)
        service("b", version=2, disabled=True)
        service("c", version=3)
        service("d", "other", version=0)
        with sql_count(1):
            assert services.service_get_minimum_version(admin, "nova-compute") == 2

    def test_nor_do_destroyed_ones_whatever_the_context_sees(self, admin: RequestContext) -> None:
        services.service_destroy(admin, service("a", version=1)["id"])
        assert services.service_get_minimum_version(get_admin_context("yes"), "nova-compute") is None
        service("b", version=7)
        assert services.service_get_minimum_version(get_admin_context("only"), "nova-compute") == 7


class TestUpdate:
    def test_named_columns_are_written(
        self, admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        row = service(topic="t")
        now = frozen_clock.advance(5)
        given = {"disabled": True, "disabled_reason": "x", "forced_down": True, "availability_zone": "nova"}
        with sql_count(1, mysql=2, default=1):
            after = services.service_update(admin, row["id"], given)
        assert after == row | {
            "disabled": True,
            "disabled_reason": "x",
            "forced_down": True,
            "updated_at": now,
        }
        assert services.service_get(admin, row["id"]) == after
        assert services.service_update(admin, row["id"], {"forced_down": False})["forced_down"] is False

    def test_nothing_to_write(self, admin: RequestContext, sql_count: SqlCount) -> None:
        row = service()
        with sql_count(1):
            assert services.service_update(admin, row["id"], {}) == row

    def test_equal_values_find_the_row(self, admin: RequestContext) -> None:
        row = service(disabled=True)
        for _ in range(2):
            assert services.service_update(admin, row["id"], {"disabled": True})["id"] == row["id"]

    def test_none_writes_null(self, admin: RequestContext) -> None:
        row = service(disabled_reason="x")
        assert services.service_update(admin, row["id"], {"disabled_reason": None})["disabled_reason"] is None

    def test_a_given_updated_at_is_kept(self, admin: RequestContext) -> None:
        moment = datetime.datetime(2001, 1, 1)
        assert services.service_update(admin, service()["id"], {"updated_at": moment})["updated_at"] == moment

    @pytest.mark.parametrize(("count", "seen"), [(11, True), (10, False), (9, False), ("12", True)])
    def test_a_growing_report_count_is_a_sign_of_life(
        self, admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount, count: Any, seen: bool
    ) -> None:
        before = datetime.datetime(2016, 1, 1)
        row = service(report_count=10, last_seen_up=before)
        now = frozen_clock.advance(10)
        with sql_count(1, mysql=2, default=1):
            after = services.service_update(admin, row["id"], {"report_count": count, "disabled": True})
        assert after["report_count"] == int(count)
        assert after["last_seen_up"] == (now if seen else before)
        assert after["disabled"] is True
        assert after == services.service_get(admin, row["id"])

    def test_a_given_last_seen_up_wins(self, admin: RequestContext) -> None:
        moment = datetime.datetime(2016, 1, 1)
        row = services.service_update(admin, service()["id"], {"report_count": 3, "last_seen_up": moment})
        assert (row["report_count"], row["last_seen_up"]) == (3, moment)

    def test_a_taken_key_passes_as_it_is(self, admin: RequestContext) -> None:
        service("a")
        row = service("b", topic="u")
        with pytest.raises(exceptions.DBDuplicateEntry) as raised:
            services.service_update(admin, row["id"], {"host": "a"})
        assert set(raised.value.columns) == {"host", "binary", "deleted"}
        assert services.service_get(admin, row["id"])["host"] == "b"

    def test_visibility(self, admin: RequestContext) -> None:
        row = service()
        services.service_destroy(admin, row["id"])
        with pytest.raises(exceptions.ServiceNotFound):
            services.service_update(admin, row["id"], {"report_count": 5})
        assert services.service_update(get_admin_context("yes"), row["id"], {"report_count": 5})["report_count"] == 5

    def test_an_update_may_hide_its_row(self, admin: RequestContext) -> None:
        row = service()
        assert services.service_update(admin, row["id"], {"deleted": row["id"]})["deleted"] == row["id"]

    def test_writers_of_different_columns_do_not_undo_each_other(self, admin: RequestContext) -> None:
        identity = service()["id"]
        rounds = 25

        def report() -> None:
            context = get_admin_context()
            for count in range(1, rounds + 1):
                services.service_update(context, identity, {"report_count": count})

        def upgrade() -> None:
            context = get_admin_context()
            for version in range(1, rounds + 1):
                services.service_update(context, identity, {"version": version})

        threads = [threading.Thread(target=report), threading.Thread(target=upgrade)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        row = services.service_get(admin, identity)
        assert (row["report_count"], row["version"]) == (rounds, rounds)
        assert row["last_seen_up"] is not None

    def test_a_late_reporter_does_not_take_back_the_sign_of_life(
        self, admin: RequestContext, frozen_clock: FrozenClock
    ) -> None:
        identity = service()["id"]
        seen = frozen_clock.advance(10)
        services.service_update(admin, identity, {"report_count": 8})
        frozen_clock.advance(-5)
        row = services.service_update(get_admin_context(), identity, {"report_count": 7})
        assert row["last_seen_up"] == seen


class TestDestroy:
    def test_the_service_and_the_nodes_of_its_host_go(
        self, admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        gone, stays = service("a"), service("b")
        nodes = [node("a", "1"), node("a", "2"), node(None, "3", service_id=gone["id"])]
        others = [node("b", "1"), node(None, "4", service_id=stays["id"]), node(None, "5")]
        now = frozen_clock.advance(7)
        with sql_count(2):
            services.service_destroy(admin, gone["id"])
        assert services.service_get_all(admin) == [stays]
        after = services.service_get(get_admin_context("only"), gone["id"])
        assert after == gone | {"deleted": gone["id"], "deleted_at": now}
        for row in nodes:
            with pytest.raises(exceptions.ComputeHostNotFound):
                compute_nodes.compute_node_get_model(admin, row["id"])
            hidden = compute_nodes.compute_node_get_model(get_admin_context("only"), row["id"])
            assert hidden == row | {"deleted": row["id"], "deleted_at": now}
        for row in others:
            assert compute_nodes.compute_node_get_model(admin, row["id"]) == row

    @pytest.mark.parametrize("binary", ["nova-cert", "nova-conductor", "nova-compute-2", "", None])
    @pytest.mark.parametrize("word", ["no", "yes"])
    def test_a_service_of_another_binary_takes_no_node(
        self, admin: RequestContext, binary: str | None, word: str, sql_count: SqlCount
    ) -> None:
        service("a", topic="other")
        gone = service("a", binary)
        nodes = [node("a"), node(None, service_id=gone["id"])]
        with sql_count(2):
            services.service_destroy(get_admin_context(word), gone["id"])
        assert [compute_nodes.compute_node_get_model(admin, row["id"]) for row in nodes] == nodes

    def test_a_service_without_host_takes_no_node_of_no_host(self, admin: RequestContext) -> None:
        row = node(None)
        services.service_destroy(admin, service(None)["id"])
        assert compute_nodes.compute_node_get_model(admin, row["id"]) == row

    def test_twice(self, admin: RequestContext) -> None:
        row = service()
        services.service_destroy(admin, row["id"])
        with pytest.raises(exceptions.ServiceNotFound):
            services.service_destroy(admin, row["id"])
        services.service_destroy(get_admin_context("yes"), row["id"])
