# SPDX-License-Identifier: Apache-2.0

"""Host aggregates (06, Aggregates)."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, UnknownColumnWarning, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries import reference as infrastructure
from nova_sqlcore.queries.hosts import aggregates
from tests.queries.processes import eight_processes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.plugins.backend import Backend
    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount
    from tests.queries.processes import Processes

pytestmark = pytest.mark.usefixtures("backend")

Row = dict[str, Any]

NO_IDS = (0, None, 77777, "fake", "99999999999999999999", -1)


def aggregate(name: str | None = "a", metadata: Row | None = None, hosts: tuple[str, ...] = (), **more: Any) -> Any:
    """Store an aggregate and return it as a read shows it."""
    context = get_admin_context()
    row = aggregates.aggregate_create(context, {"name": name, **more}, metadata)
    for host in hosts:
        aggregates.aggregate_host_add(context, row["id"], host)
    return aggregates.aggregate_get(context, row["id"])


def ids(rows: list[Any]) -> list[int]:
    return [row["id"] for row in rows]


def stored(table: sa.Table, **key: Any) -> list[Row]:
    """Return the rows as they are, deleted or not."""
    where = [table.c[name] == value for name, value in key.items()]
    with tx.main.engine.connect() as connection:
        return [dict(row) for row in connection.execute(sa.select(table).where(*where).order_by(table.c.id)).mappings()]


class TestCreate:
    def test_the_new_row_is_what_a_read_shows(self, admin: RequestContext, sql_count: SqlCount) -> None:
        given, metadata = {"name": "a", "uuid": "u"}, {"availability_zone": "z", "k": "v"}
        with sql_count(sqlite=2, postgresql=3, mysql=4):
            row = aggregates.aggregate_create(admin, given, metadata)
        with sql_count(1):
            assert row == aggregates.aggregate_get(admin, row["id"])
        assert set(row) == {*tables.aggregates.c.keys(), "hosts", "metadetails", "availability_zone"}
        assert (row["hosts"], row["metadetails"], row["availability_zone"]) == ([], metadata, "z")
        assert (row["uuid"], row["deleted"], row["updated_at"]) == ("u", 0, None)
        assert (given, metadata) == ({"name": "a", "uuid": "u"}, {"availability_zone": "z", "k": "v"})

    @pytest.mark.parametrize("metadata", [None, {}])
    def test_without_metadata(self, admin: RequestContext, sql_count: SqlCount, metadata: Row | None) -> None:
        with sql_count(sqlite=1, postgresql=2, mysql=3):
            row = aggregates.aggregate_create(admin, {"name": "a"}, metadata)
        assert (row["metadetails"], row["availability_zone"], row["uuid"]) == ({}, None, None)

    def test_values_come_back_as_they_are_stored(self, admin: RequestContext) -> None:
        row = aggregates.aggregate_create(admin, {"name": 12}, {"k": 1})
        assert (row["name"], row["metadetails"]) == ("12", {"k": "1"})
        assert row == aggregates.aggregate_get(admin, row["id"])

    def test_a_taken_name(self, admin: RequestContext, backend: Backend, sql_count: SqlCount) -> None:
        aggregate()
        with sql_count(sqlite=1, postgresql=2, mysql=3), pytest.raises(exceptions.AggregateNameExists) as raised:
            aggregates.aggregate_create(admin, {"name": "a"}, {"k": "v"})
        assert raised.value.kwargs["aggregate_name"] == "a"
        assert len(stored(tables.aggregates)) == 1
        assert stored(tables.aggregate_metadata) == []

    def test_a_taken_name_leaves_the_callers_transaction_alive(self, admin: RequestContext) -> None:
        aggregate()
        with tx.writer(admin):
            with pytest.raises(exceptions.AggregateNameExists):
                aggregates.aggregate_create(admin, {"name": "a"})
            aggregates.aggregate_create(admin, {"name": "b"})
        assert [row["name"] for row in aggregates.aggregate_get_all(admin)] == ["a", "b"]

    def test_names_that_say_nothing(self, admin: RequestContext) -> None:
        aggregate()
        for name in ("", None, None):
            aggregate(name)
        with pytest.raises(exceptions.AggregateNameExists):
            aggregate("")
        with pytest.raises(KeyError):
            aggregates.aggregate_create(admin, {})

    def test_a_deleted_name_is_free_again(self, admin: RequestContext) -> None:
        for _ in range(2):
            aggregates.aggregate_delete(admin, aggregate(metadata={"availability_zone": "old", "k": "v"})["id"])
        assert aggregate(metadata={"availability_zone": "z"})["metadetails"] == {"availability_zone": "z"}

    def test_unknown_keys_are_not_stored(self, admin: RequestContext) -> None:
        with pytest.warns(UnknownColumnWarning, match="junk"):
            row = aggregates.aggregate_create(admin, {"name": "a", "junk": 3})
        assert "junk" not in row


class TestReads:
    def test_hosts_and_metadata_do_not_multiply(self, admin: RequestContext, sql_count: SqlCount) -> None:
        metadata = {f"k{place}": f"v{place}" for place in range(5)}
        row = aggregate(metadata=metadata, hosts=("z", "b", "c"))
        with sql_count(1):
            assert aggregates.aggregate_get_all(admin) == [row]
        assert (row["hosts"], row["metadetails"]) == (["z", "b", "c"], metadata)

    def test_text_of_any_kind(self, admin: RequestContext) -> None:
        metadata = {'"quoted"': "back\\slash", "ü": "line\nend", "'": "%s :x"}
        row = aggregate('na"me', metadata, ('h"1', "h\\2"))
        assert (row["name"], row["hosts"], row["metadetails"]) == ('na"me', ['h"1', "h\\2"], metadata)

    @pytest.mark.parametrize("identity", NO_IDS)
    def test_no_such_id(self, admin: RequestContext, identity: Any) -> None:
        row = aggregate(metadata={"k": "v"}, hosts=("h",))
        calls: tuple[Callable[[], Any], ...] = (
            lambda: aggregates.aggregate_get(admin, identity),
            lambda: aggregates.aggregate_delete(admin, identity),
            lambda: aggregates.aggregate_update(admin, identity, {"uuid": "u"}),
            lambda: aggregates.aggregate_update(admin, identity, {"name": "new", "metadata": {}}),
            lambda: aggregates.aggregate_host_get_all(admin, identity),
            lambda: aggregates.aggregate_host_add(admin, identity, "h"),
            lambda: aggregates.aggregate_host_delete(admin, identity, "h"),
            lambda: aggregates.aggregate_metadata_get(admin, identity),
            lambda: aggregates.aggregate_metadata_add(admin, identity, {"k": "w"}),
            lambda: aggregates.aggregate_metadata_delete(admin, identity, "k"),
        )
        for call in calls:
            with pytest.raises(exceptions.AggregateNotFound) as raised:
                call()
            assert raised.value.kwargs["aggregate_id"] == identity
        assert aggregates.aggregate_get_all(admin) == [row]

    def test_ids_may_be_digits(self, admin: RequestContext) -> None:
        row = aggregate()
        digits: Any = str(row["id"])
        assert aggregates.aggregate_get(admin, digits) == row
        assert aggregates.aggregate_update(admin, digits, {"name": "a"}) == row
        aggregates.aggregate_host_add(admin, digits, "h")
        assert aggregates.aggregate_host_get_all(admin, digits) == ["h"]

    def test_a_deleted_aggregate_shows_no_children(self, admin: RequestContext) -> None:
        row, live = aggregate(metadata={"k": "v"}), aggregate("b", {"k": "v"}, ("h",))
        aggregates.aggregate_delete(admin, row["id"])
        with tx.main.engine.begin() as connection:  # children that somebody forgot
            connection.execute(tables.aggregate_hosts.insert(), {"aggregate_id": row["id"], "host": "h"})
            connection.execute(tables.aggregate_metadata.update().values(deleted=0))
        for word, seen in (("no", [live["id"]]), ("only", [row["id"]]), ("yes", [row["id"], live["id"]])):
            found = aggregates.aggregate_get_all(get_admin_context(word))
            assert ids(found) == seen
        dead = aggregates.aggregate_get(get_admin_context("yes"), row["id"])
        assert (dead["deleted"], dead["hosts"], dead["metadetails"]) == (row["id"], [], {})
        assert dead["availability_zone"] is None
        for word, seen in (("no", [live["id"]]), ("only", []), ("yes", [live["id"]])):
            context = get_admin_context(word)
            assert ids(aggregates.aggregate_get_by_host(context, "h")) == seen
            assert ids(aggregates.aggregate_get_by_metadata_key(context, "k")) == seen
            assert bool(aggregates.aggregate_metadata_get_by_host(context, "h")) == bool(seen)

    def test_any_context_sees_any_aggregate(self, ctxt: RequestContext) -> None:
        row = aggregate()
        assert aggregates.aggregate_get(ctxt, row["id"]) == row
        assert aggregates.aggregate_get_all(RequestContext()) == [row]

    def test_a_cell_is_not_asked(self, admin: RequestContext, backend: Backend) -> None:
        row = aggregate()
        with backend.new_database() as url:
            admin.db_connection = tx.create_context_manager(url)
            assert aggregates.aggregate_get_all(admin) == [row]


class TestByHost:
    def test_the_host_counts_and_all_children_show(self, admin: RequestContext, sql_count: SqlCount) -> None:
        one = aggregate("a", {"k": "v", "l": "w"}, ("h", "i"))
        two = aggregate("b", {"l": "x"}, ("h",))
        aggregate("c", {"k": "v"}, ("i",))
        with sql_count(3):
            assert aggregates.aggregate_get_by_host(admin, "h") == [one, two]
            assert aggregates.aggregate_get_by_host(admin, "h", key="k") == [one]
            assert aggregates.aggregate_get_by_host(admin, "h", key="") == [one, two]
        assert aggregates.aggregate_get_by_host(admin, "nobody") == []
        assert aggregates.aggregate_get_by_host(admin, "h", "nothing") == []

    def test_removed_hosts_and_keys_do_not_count(self, admin: RequestContext) -> None:
        row = aggregate("a", {"k": "v"}, ("h", "i"))
        aggregates.aggregate_metadata_delete(admin, row["id"], "k")
        assert aggregates.aggregate_get_by_host(admin, "h", "k") == []
        aggregates.aggregate_host_delete(admin, row["id"], "h")
        assert aggregates.aggregate_get_by_host(admin, "h") == []
        assert ids(aggregates.aggregate_get_by_host(admin, "i")) == [row["id"]]

    def test_metadata_of_a_host(self, admin: RequestContext, sql_count: SqlCount) -> None:
        aggregate("a", {"good": "value12", "other": "o"}, ("h",))
        aggregate("b", {"good": "value23"}, ("h", "i"))
        aggregate("c", {"good": "no"}, ("i",))
        with sql_count(2):
            found = aggregates.aggregate_metadata_get_by_host(admin, "h")
            assert aggregates.aggregate_metadata_get_by_host(admin, "h", key="other") == {"other": {"o"}}
        assert found == {"good": {"value12", "value23"}, "other": {"o"}}
        assert type(found) is dict
        assert aggregates.aggregate_metadata_get_by_host(admin, "nobody") == {}


def test_by_metadata_key(admin: RequestContext, sql_count: SqlCount) -> None:
    one = aggregate("a", {"availability_zone": "z", "k": "v"}, ("h", "i"))
    two = aggregate("b", {"k": "w"})
    aggregate("c", {"availability_zone": "y"})
    with sql_count(1):
        found = aggregates.aggregate_get_by_metadata_key(admin, "k")
    assert found == [
        one | {"metadetails": {"k": "v"}, "availability_zone": None},
        two | {"metadetails": {"k": "w"}, "availability_zone": None},
    ]
    (zoned, _) = aggregates.aggregate_get_by_metadata_key(admin, "availability_zone")
    assert (zoned["availability_zone"], zoned["metadetails"]) == ("z", {"availability_zone": "z"})
    assert aggregates.aggregate_get_by_metadata_key(admin, "") == []


class TestUpdate:
    def test_columns(self, admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        row = aggregate(metadata={"k": "v"}, hosts=("h",))
        now = frozen_clock.advance(5)
        given = {"name": "b", "uuid": "u"}
        with sql_count(sqlite=3, postgresql=4, mysql=5):
            after = aggregates.aggregate_update(admin, row["id"], given)
        assert after == row | {"name": "b", "uuid": "u", "updated_at": now}
        assert after == aggregates.aggregate_get(admin, row["id"])
        assert given == {"name": "b", "uuid": "u"}

    @pytest.mark.parametrize("given", [{}, {"name": "a"}, {"uuid": None}, {"metadata": {"k": "w"}}])
    def test_what_is_so_already_is_not_written(
        self, admin: RequestContext, frozen_clock: FrozenClock, given: Row
    ) -> None:
        row = aggregate(metadata={"k": "v"})
        frozen_clock.advance(5)
        assert aggregates.aggregate_update(admin, row["id"], given)["updated_at"] is None

    @pytest.mark.parametrize(
        ("given", "expected"),
        [
            ({"availability_zone": "y"}, {"availability_zone": "y", "k": "v", "l": "w"}),
            ({"metadata": {"k": "new"}}, {"k": "new"}),
            ({"metadata": {}}, {}),
            ({"metadata": None}, {"availability_zone": "z", "k": "v", "l": "w"}),
            ({"metadata": {"m": "x"}, "availability_zone": "y"}, {"m": "x", "availability_zone": "y"}),
            ({"metadata": None, "availability_zone": "y"}, {"availability_zone": "y", "k": "v", "l": "w"}),
            ({"name": "a", "availability_zone": "y"}, {"availability_zone": "y", "k": "v", "l": "w"}),
        ],
    )
    def test_metadata(self, admin: RequestContext, given: Row, expected: Row) -> None:
        row = aggregate(metadata={"availability_zone": "z", "k": "v", "l": "w"})
        before = {name: dict(value) if isinstance(value, dict) else value for name, value in given.items()}
        after = aggregates.aggregate_update(admin, row["id"], given)
        assert after["metadetails"] == expected
        assert after["availability_zone"] == expected.get("availability_zone")
        assert after == aggregates.aggregate_get(admin, row["id"])
        assert given == before

    def test_the_budget(self, admin: RequestContext, sql_count: SqlCount) -> None:
        row = aggregate(metadata={"k": "v"})
        with sql_count(sqlite=5, postgresql=6, mysql=7):
            aggregates.aggregate_update(admin, row["id"], {"name": "b", "metadata": {"k": "w", "l": "x"}})
        with sql_count(3):
            aggregates.aggregate_update(admin, row["id"], {"availability_zone": "z"})

    def test_another_id(self, admin: RequestContext) -> None:
        row = aggregate()
        after = aggregates.aggregate_update(admin, row["id"], {"id": row["id"] + 5})
        assert after["id"] == row["id"] + 5
        assert aggregates.aggregate_get_all(admin) == [after]

    def test_a_zone_for_an_aggregate_without(self, admin: RequestContext) -> None:
        row = aggregate()
        assert aggregates.aggregate_update(admin, row["id"], {"availability_zone": "z"})["availability_zone"] == "z"

    def test_a_value_of_none(self, admin: RequestContext) -> None:
        row = aggregate(metadata={"availability_zone": "z"})
        with pytest.raises(exceptions.DBError):
            aggregates.aggregate_update(admin, row["id"], {"availability_zone": None})
        assert aggregates.aggregate_get(admin, row["id"]) == row

    @pytest.mark.parametrize("name", ["hosts", "metadetails"])
    def test_what_is_no_column(self, admin: RequestContext, name: str) -> None:
        row = aggregate()
        with pytest.raises(AttributeError):
            aggregates.aggregate_update(admin, row["id"], {name: []})

    def test_a_taken_name_wins_over_a_missing_aggregate(self, admin: RequestContext) -> None:
        aggregate()
        row = aggregate("b")
        identities: tuple[Any, ...] = (row["id"], 77777, "fake")
        for identity in identities:
            with pytest.raises(exceptions.AggregateNameExists) as raised:
                aggregates.aggregate_update(admin, identity, {"name": "a", "metadata": {"k": "v"}})
            assert raised.value.kwargs["aggregate_name"] == "a"
        assert aggregates.aggregate_get(admin, row["id"]) == row

    def test_visibility(self, admin: RequestContext) -> None:
        dead, live = aggregate("dead"), aggregate()
        aggregates.aggregate_delete(admin, dead["id"])
        with pytest.raises(exceptions.AggregateNotFound):
            aggregates.aggregate_update(admin, dead["id"], {"uuid": "u"})
        only = get_admin_context("only")
        assert aggregates.aggregate_update(only, dead["id"], {"name": "dead", "uuid": "u"})["uuid"] == "u"
        with pytest.raises(exceptions.AggregateNotFound):
            aggregates.aggregate_update(only, live["id"], {"name": "a"})


class TestDelete:
    def test_hosts_and_metadata_go_too(
        self, admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        row, other = aggregate("a", {"k": "v"}, ("h",)), aggregate("b", {"k": "v"}, ("h",))
        now = frozen_clock.advance(5)
        with sql_count(3):
            aggregates.aggregate_delete(admin, row["id"])
        assert aggregates.aggregate_get_all(admin) == [other]
        assert aggregates.aggregate_get(get_admin_context("yes"), row["id"])["deleted"] == row["id"]
        for table in (tables.aggregate_hosts, tables.aggregate_metadata):
            (child,) = stored(table, aggregate_id=row["id"])
            assert (child["deleted"], child["deleted_at"], child["updated_at"]) == (child["id"], now, None)

    def test_twice(self, admin: RequestContext) -> None:
        row = aggregate()
        aggregates.aggregate_delete(admin, row["id"])
        with pytest.raises(exceptions.AggregateNotFound):
            aggregates.aggregate_delete(admin, row["id"])
        aggregates.aggregate_delete(get_admin_context("yes"), row["id"])


class TestHosts:
    def test_add(self, admin: RequestContext, sql_count: SqlCount) -> None:
        row, other = aggregate(), aggregate("b")
        with sql_count(1):
            host = aggregates.aggregate_host_add(admin, row["id"], "h")
        assert [host] == stored(tables.aggregate_hosts)
        aggregates.aggregate_host_add(admin, other["id"], "h")
        with sql_count(1):
            assert aggregates.aggregate_host_get_all(admin, row["id"]) == ["h"]

    def test_a_host_that_is_there(self, admin: RequestContext, sql_count: SqlCount) -> None:
        row = aggregate(hosts=("h",))
        with sql_count(2), pytest.raises(exceptions.AggregateHostExists) as raised:
            aggregates.aggregate_host_add(admin, row["id"], "h")
        assert {name: raised.value.kwargs[name] for name in ("host", "aggregate_id")} == {
            "host": "h",
            "aggregate_id": row["id"],
        }
        with tx.writer(admin):
            with pytest.raises(exceptions.AggregateHostExists):
                aggregates.aggregate_host_add(admin, row["id"], "h")
            aggregates.aggregate_host_add(admin, row["id"], "i")
        assert aggregates.aggregate_host_get_all(admin, row["id"]) == ["h", "i"]

    def test_delete_and_add_again(self, admin: RequestContext, sql_count: SqlCount) -> None:
        row = aggregate(hosts=("h", "i"))
        with sql_count(1):
            aggregates.aggregate_host_delete(admin, row["id"], "h")
        assert aggregates.aggregate_host_get_all(admin, row["id"]) == ["i"]
        with sql_count(2), pytest.raises(exceptions.AggregateHostNotFound) as raised:
            aggregates.aggregate_host_delete(admin, row["id"], "h")
        assert (raised.value.kwargs["aggregate_id"], raised.value.kwargs["host"]) == (row["id"], "h")
        aggregates.aggregate_host_add(admin, row["id"], "h")
        assert aggregates.aggregate_host_get_all(admin, row["id"]) == ["i", "h"]
        assert aggregates.aggregate_host_get_all(get_admin_context("yes"), row["id"]) == ["h", "i", "h"]

    def test_a_deleted_aggregate_passes_where_it_is_visible(self, admin: RequestContext) -> None:
        row = aggregate(hosts=("h",))
        aggregates.aggregate_delete(admin, row["id"])
        assert aggregates.aggregate_host_get_all(get_admin_context("yes"), row["id"]) == ["h"]
        with pytest.raises(exceptions.AggregateNotFound):
            aggregates.aggregate_host_get_all(admin, row["id"])
        with pytest.raises(exceptions.AggregateNotFound):
            aggregates.aggregate_host_add(admin, row["id"], "h")

    def test_none(self, admin: RequestContext) -> None:
        assert aggregates.aggregate_host_get_all(admin, aggregate()["id"]) == []


class TestMetadata:
    def test_add(self, admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        row = aggregate(metadata={"same": "v", "other": "v", "stays": "v"})
        before = {item["key"]: item for item in stored(tables.aggregate_metadata)}
        now = frozen_clock.advance(5)
        given = {"same": "v", "other": "w", "new": "x"}
        with sql_count(2):
            assert aggregates.aggregate_metadata_add(admin, row["id"], given) is given
        after = {item["key"]: item for item in stored(tables.aggregate_metadata)}
        assert after["same"] == before["same"]
        assert after["stays"] == before["stays"]
        assert after["other"] == before["other"] | {"value": "w", "updated_at": now}
        assert (after["new"]["value"], after["new"]["created_at"], after["new"]["updated_at"]) == ("x", now, None)

    def test_a_change_of_case_is_a_change(self, admin: RequestContext) -> None:
        row = aggregate(metadata={"k": "value"})
        aggregates.aggregate_metadata_add(admin, row["id"], {"k": "VALUE"})
        assert aggregates.aggregate_metadata_get(admin, row["id"]) == {"k": "VALUE"}

    @pytest.mark.parametrize("given", [{"k": "w"}, {}])
    def test_set_delete(self, admin: RequestContext, sql_count: SqlCount, given: Row) -> None:
        row, other = aggregate(metadata={"k": "v", "l": "w"}), aggregate("b", {"l": "w"})
        with sql_count(3 if given else 2):
            aggregates.aggregate_metadata_add(admin, row["id"], given, set_delete=True)
        assert aggregates.aggregate_metadata_get(admin, row["id"]) == given
        assert aggregates.aggregate_metadata_get(admin, other["id"]) == {"l": "w"}

    def test_nothing_to_add(self, admin: RequestContext, sql_count: SqlCount) -> None:
        row = aggregate(metadata={"k": "v"})
        with sql_count(1):
            aggregates.aggregate_metadata_add(admin, row["id"], {})
        assert aggregates.aggregate_metadata_get(admin, row["id"]) == {"k": "v"}

    def test_delete_and_add_again(self, admin: RequestContext, sql_count: SqlCount) -> None:
        row = aggregate(metadata={"availability_zone": "z", "k": "v"})
        with sql_count(1):
            aggregates.aggregate_metadata_delete(admin, row["id"], "availability_zone")
        assert aggregates.aggregate_get(admin, row["id"])["availability_zone"] is None
        with sql_count(2), pytest.raises(exceptions.AggregateMetadataNotFound) as raised:
            aggregates.aggregate_metadata_delete(admin, row["id"], "availability_zone")
        assert raised.value.kwargs["metadata_key"] == "availability_zone"
        assert raised.value.kwargs["aggregate_id"] == row["id"]
        aggregates.aggregate_metadata_add(admin, row["id"], {"availability_zone": "y"})
        with sql_count(1):
            assert aggregates.aggregate_metadata_get(admin, row["id"]) == {"k": "v", "availability_zone": "y"}
        assert aggregates.aggregate_metadata_get(get_admin_context("yes"), row["id"])["availability_zone"] == "y"

    def test_a_value_of_none(self, admin: RequestContext) -> None:
        row = aggregate()
        with pytest.raises(exceptions.DBError):
            aggregates.aggregate_metadata_add(admin, row["id"], {"k": None})

    def test_none(self, admin: RequestContext) -> None:
        assert aggregates.aggregate_metadata_get(admin, aggregate()["id"]) == {}


class TestRequireAggregateExists:
    def test_it_looks_before_the_function_runs(self, admin: RequestContext, sql_count: SqlCount) -> None:
        @infrastructure.require_aggregate_exists
        def function(context: RequestContext, aggregate_id: int, more: int = 0) -> int:
            """Say something."""
            return aggregate_id + more

        assert (function.__name__, function.__doc__) == ("function", "Say something.")
        assert function.__module__ == __name__
        row = aggregate()
        with sql_count(1):
            assert function(admin, row["id"], more=1) == row["id"] + 1
        assert function(context=admin, aggregate_id=row["id"]) == row["id"]
        with pytest.raises(exceptions.AggregateNotFound) as raised:
            function(admin, 77777)
        assert raised.value.kwargs["aggregate_id"] == 77777
        aggregates.aggregate_delete(admin, row["id"])
        with pytest.raises(exceptions.AggregateNotFound):
            function(admin, row["id"])
        assert function(get_admin_context("yes"), row["id"]) == row["id"]


# -- races ------------------------------------------------------------------------------------------------------------


def _create(number: int) -> int:
    """Create the same five aggregates as everybody else, and return how many were not there yet."""
    context = get_admin_context()
    created = 0
    for place in range(5):
        try:
            aggregates.aggregate_create(context, {"name": f"a{place}"})
        except exceptions.AggregateNameExists:
            continue
        created += 1
    return created


def _rename(number: int, identities: list[int]) -> int:
    """Give an aggregate of one's own the name that everybody wants, and return 1 if it was free."""
    try:
        aggregates.aggregate_update(get_admin_context(), identities[number], {"name": "wanted"})
    except exceptions.AggregateNameExists:
        return 0
    return 1


def _write(number: int, identity: int) -> None:
    context = get_admin_context()
    for place in range(5):
        metadata = {"shared": f"{number}-{place}", f"own{number}": str(place)}
        aggregates.aggregate_metadata_add(context, identity, metadata)


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with eight_processes() as found:
        yield found


def test_of_those_who_create_the_same_name_one_succeeds(
    admin: RequestContext, processes: Processes, backend: Backend
) -> None:
    assert sum(processes.call(backend.url, _create)) == 5
    names = [row["name"] for row in aggregates.aggregate_get_all(admin)]
    assert sorted(str(name) for name in names) == [f"a{place}" for place in range(5)]


def test_of_those_who_take_the_same_name_one_succeeds(
    admin: RequestContext, processes: Processes, backend: Backend
) -> None:
    identities = ids([aggregate(str(uuid.uuid4())) for _ in range(8)])
    assert sum(processes.call(backend.url, _rename, identities)) == 1
    names = [row["name"] for row in aggregates.aggregate_get_all(admin)]
    assert names.count("wanted") == 1
    assert len(set(names)) == 8


def test_those_who_write_the_same_metadata_do_not_fail(
    admin: RequestContext, processes: Processes, backend: Backend
) -> None:
    row = aggregate(metadata={"stays": "v"})
    processes.call(backend.url, _write, row["id"])
    found = aggregates.aggregate_metadata_get(admin, row["id"])
    assert found.pop("shared").endswith("-4")
    assert found == {"stays": "v", **{f"own{number}": "4" for number in range(8)}}
