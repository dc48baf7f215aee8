# SPDX-License-Identifier: Apache-2.0

"""Flavors: creating, looking up, listing page by page, destroying (05, flavors)."""

from __future__ import annotations

import contextlib
import datetime
import functools
import random
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.common import children
from nova_sqlcore.queries.flavors import access as flavor_access, extra_specs as flavor_extra_specs, flavors
from tests.queries import instance_factory
from tests.queries.flavor_factory import flavor, seed
from tests.queries.threads import at_once

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from nova_sqlcore import rows
    from tests.plugins.backend import Backend
    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

Row = dict[str, Any]

ADMIN_OF_PROJECT = RequestContext("boss", "project", is_admin=True)
STRANGER = RequestContext("other", "elsewhere")
COLUMNS = set(tables.instance_types.c.keys())


def ids(found: Sequence[rows.FlavorWithSpecs]) -> list[str | None]:
    return [one["flavorid"] for one in found]


def listed(context: Any, **arguments: Any) -> list[str | None]:
    return ids(flavors.flavor_get_all(context, **arguments))


def getters(row: rows.FlavorWithSpecs) -> list[tuple[Callable[[Any], Any], type[Exception], Row]]:
    identity, name, flavorid = row["id"], row["name"] or "", row["flavorid"] or ""
    by_id, by_name = exceptions.FlavorNotFound, exceptions.FlavorNotFoundByName
    return [
        (lambda context: flavors.flavor_get(context, identity), by_id, {"flavor_id": identity}),
        (lambda context: flavors.flavor_get_by_name(context, name), by_name, {"flavor_name": name}),
        (lambda context: flavors.flavor_get_by_flavor_id(context, flavorid), by_id, {"flavor_id": flavorid}),
    ]


class TestCreate:
    def test_the_new_row_is_what_a_read_shows(self, admin: RequestContext, sql_count: SqlCount) -> None:
        specs = {"hw:cpu_policy": "dedicated", "ключ": 'with "quotes", [brackets] and \\ — é', "empty": ""}
        with sql_count(3):
            row = flavor(projects=["p1", "p2"], extra_specs=specs, rxtx_factor=1.1)
        assert row["extra_specs"] == specs
        assert set(row) == COLUMNS | {"extra_specs"}
        assert len(row) == 17
        assert (row["swap"], row["disabled"], row["is_public"], row["deleted"]) == (0, False, False, 0)
        assert (row["updated_at"], row["vcpu_weight"], row["rxtx_factor"]) == (None, None, 1.1)
        assert isinstance(row["created_at"], datetime.datetime)
        for get, *_ in getters(row):
            assert get(admin) == row
        assert flavors.flavor_get_all(admin) == [row]

    @pytest.mark.parametrize("specs", [{}, {"extra_specs": None}, {"extra_specs": {}}])
    def test_without_specs_and_projects(self, admin: RequestContext, specs: Row, sql_count: SqlCount) -> None:
        with sql_count(1):
            row = flavor(**specs)
        assert row["extra_specs"] == {}
        assert flavor_access.flavor_access_get_by_flavor_id(admin, "x") == []

    def test_none_takes_the_default(self, admin: RequestContext) -> None:
        unsaid: Row = dict.fromkeys(("swap", "rxtx_factor", "disabled", "is_public", "deleted", "created_at", "id"))
        row = flavor(**unsaid)
        assert (row["swap"], row["rxtx_factor"], row["disabled"], row["is_public"]) == (0, 1.0, False, True)
        assert flavors.flavor_get_all(admin) == [row]

    def test_arguments_are_left_alone_and_results_are_the_callers(self, admin: RequestContext) -> None:
        given = {"name": "n", "flavorid": "f", "memory_mb": 1, "vcpus": 1, "extra_specs": {"a": "b"}}
        row = flavors.flavor_create(admin, given, projects=["p"])
        row["extra_specs"]["new"] = "value"
        assert given == {"name": "n", "flavorid": "f", "memory_mb": 1, "vcpus": 1, "extra_specs": {"a": "b"}}
        assert flavors.flavor_get(admin, row["id"])["extra_specs"] == {"a": "b"}

    def test_numbers_are_stored_in_the_columns_form(self, admin: RequestContext) -> None:
        row = flavors.flavor_create(
            admin, {"name": 5, "flavorid": 7, "memory_mb": "12", "vcpus": 1, "extra_specs": {"a": 1}}
        )
        assert (row["name"], row["flavorid"], row["memory_mb"], row["extra_specs"]) == ("5", "7", 12, {"a": "1"})
        assert flavors.flavor_get_by_flavor_id(admin, 7) == row  # type: ignore[arg-type]  # what it is about

    def test_projects_keep_their_order_and_count_once(self, admin: RequestContext) -> None:
        projects = [f"p{number}" for number in (3, 1, 2, 1, 9, 3, 0)]
        flavors.flavor_create(
            admin, {"name": "n", "flavorid": "x", "memory_mb": 1, "vcpus": 1}, projects=iter(projects)
        )
        granted = flavor_access.flavor_access_get_by_flavor_id(admin, "x")
        assert [row["project_id"] for row in granted] == ["p3", "p1", "p2", "p9", "p0"]

    @pytest.mark.parametrize(
        ("other", "error", "named"),
        [
            ({"name": "other"}, exceptions.FlavorIdExists, {"flavor_id": "x"}),
            ({"flavorid": "other"}, exceptions.FlavorExists, {"name": "name-x"}),
            ({}, exceptions.FlavorIdExists, {"flavor_id": "x"}),
        ],
    )
    def test_a_taken_key_is_named(
        self, admin: RequestContext, other: Row, error: type[Any], named: Row, sql_count: SqlCount
    ) -> None:
        flavor()
        with sql_count(2), pytest.raises(error) as raised:
            flavor(**{"flavorid": "x", "name": "name-x", "extra_specs": {"a": "b"}, **other})
        assert raised.value.kwargs == {"code": 500, **named}
        assert len(flavors.flavor_get_all(admin)) == 1

    def test_keys_taken_by_different_flavors(self) -> None:
        for key in ("x", "y"):
            flavor(flavorid=key, name=f"name-{key}")
        with pytest.raises(exceptions.FlavorIdExists):
            flavor(flavorid="x", name="name-y")
        with pytest.raises(exceptions.FlavorExists):
            flavor(flavorid=None, name="name-y")

    def test_a_taken_key_leaves_the_callers_transaction_alive(self, admin: RequestContext) -> None:
        flavor()
        with tx.writer(admin):
            with pytest.raises(exceptions.FlavorIdExists):
                flavor(flavorid="x", name="other")
            with pytest.raises(exceptions.FlavorExists):
                flavor(flavorid="other", name="name-x")
            flavor(flavorid="y", name="name-y")
        assert len(flavors.flavor_get_all(admin)) == 2

    def test_the_keys_of_a_destroyed_flavor_are_free(self, admin: RequestContext) -> None:
        for _ in range(3):
            flavor()
            flavors.flavor_destroy(admin, "name-x")
        assert flavor()["deleted"] == 0

    @pytest.mark.parametrize(
        "values",
        [
            {"vcpus": 1},
            {"vcpus": None, "memory_mb": 1},
            {"vcpus": 1, "memory_mb": "much"},
            {"vcpus": 1, "memory_mb": 1, "extra_specs": {"a": object()}},
        ],
    )
    def test_what_the_database_refuses_is_a_plain_error(self, admin: RequestContext, values: Row) -> None:
        with pytest.raises(exceptions.DBError) as raised:
            flavors.flavor_create(admin, {"name": "n", "flavorid": "f", **values})
        assert type(raised.value) is exceptions.DBError
        assert raised.value.inner_exception is not None
        assert flavors.flavor_get_all(admin) == []

    def test_a_project_that_can_not_be_stored_is_named(self, admin: RequestContext) -> None:
        values = {"name": "n", "flavorid": "f", "vcpus": 1, "memory_mb": 1}
        with pytest.raises(
            exceptions.DBDataError, match=r"instance_type_projects\.project_id holds text of at most 255"
        ):
            flavors.flavor_create(admin, values, ["x" * 256])
        assert flavors.flavor_get_all(admin) == []

    @pytest.mark.only_on("mysql", why="its tables can't hold every character, which only the server notices")
    @pytest.mark.parametrize("specs", [{}, {"a": "b"}])
    @pytest.mark.parametrize("is_joined", [False, True])
    def test_a_project_that_the_server_refuses_is_named(
        self, admin: RequestContext, specs: Row, is_joined: bool
    ) -> None:
        values = {"name": "n", "flavorid": "f", "vcpus": 1, "memory_mb": 1, "extra_specs": specs}
        with (
            pytest.raises(exceptions.DBDataError, match=r"instance_type_projects\.project_id"),
            tx.writer(admin) if is_joined else contextlib.nullcontext(),
        ):
            flavors.flavor_create(admin, values, ["p", "\U0001f600"])
        assert flavors.flavor_get_all(admin) == []

    @pytest.mark.only_on("mysql", why="its tables can't hold every character, which only the server notices")
    @pytest.mark.parametrize("projects", [[], ["p"]])
    def test_a_spec_that_the_server_refuses_is_a_plain_error(self, admin: RequestContext, projects: list[str]) -> None:
        values = {"name": "n", "flavorid": "f", "vcpus": 1, "memory_mb": 1, "extra_specs": {"a": "\U0001f600"}}
        with pytest.raises(exceptions.DBError) as raised:
            flavors.flavor_create(admin, values, projects)
        assert type(raised.value) is exceptions.DBError
        assert flavors.flavor_get_all(admin) == []

    @pytest.mark.parametrize("error", [exceptions.DBDeadlock, exceptions.DBConnectionError])
    def test_conflicts_and_lost_connections_are_not_wrapped(
        self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch, error: type[exceptions.DBError]
    ) -> None:
        def fails(*args: Any, **kwargs: Any) -> None:
            raise error("hit")

        unkept = pytest.raises(exceptions.DBError, match="nothing of it has been kept")
        with unkept, tx.writer(admin) as transaction:
            monkeypatch.setattr(type(transaction.later), "insert_many", fails)
            with pytest.raises(error):
                flavor_in(admin)

    def test_an_error_undoes_all_of_it(self, admin: RequestContext) -> None:
        with pytest.raises(exceptions.DBError):
            flavor(extra_specs={"a": "b"}, projects=["p" * 10, object()])
        assert flavors.flavor_get_all(get_admin_context(), inactive=True) == []


def flavor_in(context: RequestContext) -> rows.FlavorWithSpecs:
    given = {"name": "n", "flavorid": "f", "memory_mb": 1, "vcpus": 1, "extra_specs": {"a": "b"}}
    return flavors.flavor_create(context, given)


class TestGet:
    def test_one_statement(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        row = flavor(extra_specs={"a": "1", "b": "2"})
        with sql_count(3):
            assert [get(ctxt) for get, *_ in getters(row)] == [row] * 3
        assert flavors.flavor_get(ctxt, str(row["id"])) == row  # type: ignore[arg-type]  # ids may be digits

    @pytest.mark.parametrize("identity", [77777, "fake", "99999999999999999999", 10**40, -1, None])
    def test_no_such_flavor(self, admin: RequestContext, identity: Any) -> None:
        flavor()
        for get, error, name in (
            (flavors.flavor_get, exceptions.FlavorNotFound, "flavor_id"),
            (flavors.flavor_get_by_flavor_id, exceptions.FlavorNotFound, "flavor_id"),
            (flavors.flavor_get_by_name, exceptions.FlavorNotFoundByName, "flavor_name"),
        ):
            with pytest.raises(exceptions.NotFound) as raised:
                get(admin, identity)
            assert type(raised.value) is error
            assert raised.value.kwargs[name] == identity

    def test_none_means_null(self, admin: RequestContext) -> None:
        row = flavor(name=None, flavorid=None)
        assert flavors.flavor_get_by_name(admin, None) == row  # type: ignore[arg-type]  # what it is about
        assert flavors.flavor_get_by_flavor_id(admin, None) == row  # type: ignore[arg-type]  # likewise

    def test_private_flavors_are_for_admins_and_who_was_granted_them(
        self, admin: RequestContext, ctxt: RequestContext
    ) -> None:
        row = flavor(projects=[])
        for get, error, named in getters(row):
            assert get(admin) == row
            with pytest.raises(exceptions.NotFound) as raised:
                get(ctxt)
            assert type(raised.value) is error
            assert raised.value.kwargs == {"code": 404, **named}
        flavor_access.flavor_access_add(admin, "x", "project")
        for get, *_ in getters(row):
            assert get(ctxt) == get(RequestContext("colleague", "project")) == row
            with pytest.raises(exceptions.NotFound):
                get(STRANGER)
        flavor_access.flavor_access_remove(admin, "x", "project")
        for get, *_ in getters(row):
            with pytest.raises(exceptions.NotFound):
                get(ctxt)

    def test_a_flavor_of_unknown_publicity_is_private(self, admin: RequestContext, ctxt: RequestContext) -> None:
        row = flavor()
        with tx.writer(admin) as transaction:
            transaction.execute(sa.update(tables.instance_types).values(is_public=None))
        with pytest.raises(exceptions.FlavorNotFound):
            flavors.flavor_get(ctxt, row["id"])
        assert flavors.flavor_get(admin, row["id"])["is_public"] is None

    def test_visibility(self, admin: RequestContext) -> None:
        live, gone = flavor("live"), flavor("gone")
        flavors.flavor_destroy(admin, "name-gone")
        for word, seen in (("no", [live]), ("only", [gone]), ("yes", [live, gone])):
            for row in (live, gone):
                for get, error, _ in getters(row):
                    if row in seen:
                        assert get(get_admin_context(word))["id"] == row["id"]
                    else:
                        with pytest.raises(error):
                            get(get_admin_context(word))

    def test_the_argument_wins_over_the_context(self, admin: RequestContext) -> None:
        row = flavor()
        flavors.flavor_destroy(admin, "name-x")
        assert flavors.flavor_get_by_flavor_id(admin, "x", "yes")["id"] == row["id"]
        assert flavors.flavor_get_by_flavor_id(admin, id="x", read_deleted="only")["id"] == row["id"]  # type: ignore[call-arg]  # the public face's name
        with pytest.raises(exceptions.FlavorNotFound):
            flavors.flavor_get_by_flavor_id(get_admin_context("yes"), "x", "no")
        with pytest.raises(ValueError, match="perhaps"):
            flavors.flavor_get_by_flavor_id(admin, "x", "perhaps")

    def test_the_live_one_comes_first_then_the_oldest(self, admin: RequestContext) -> None:
        rows = []
        for _ in range(2):
            rows.append(flavor())
            flavors.flavor_destroy(admin, "name-x")
        everything = get_admin_context("yes")
        assert flavors.flavor_get_by_flavor_id(admin, "x", "yes")["id"] == rows[0]["id"]
        assert flavors.flavor_get_by_name(everything, "name-x")["id"] == rows[0]["id"]
        new = flavor()
        assert flavors.flavor_get_by_flavor_id(admin, "x", "yes") == new
        assert flavors.flavor_get_by_name(everything, "name-x") == new
        assert flavors.flavor_get_by_flavor_id(admin, "x", "only")["id"] == rows[0]["id"]

    def test_specs_without_key_or_value(self, admin: RequestContext) -> None:
        row = flavor(extra_specs={"a": None})
        instance_factory.insert("instance_type_extra_specs", instance_type_id=row["id"], key=None, value="v")
        assert flavors.flavor_get(admin, row["id"])["extra_specs"] == {"a": None, None: "v"}

    def test_specs_that_the_server_cuts_are_read_again(
        self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch, sql_count: SqlCount
    ) -> None:
        row = flavor(extra_specs={"a": "1", "b": "2"})
        monkeypatch.setattr(children, "unpack", lambda *args: None)
        with sql_count(2):
            assert flavors.flavor_get(admin, row["id"]) == row

    def test_joined_and_alone_give_the_same(self, admin: RequestContext) -> None:
        with tx.writer(admin):
            row = flavor_in(admin)
            joined = [get(admin) for get, *_ in getters(row)]
            in_list = flavors.flavor_get_all(admin)
        assert joined == [get(admin) for get, *_ in getters(row)] == [row] * 3
        assert in_list == flavors.flavor_get_all(admin) == [row]

    def test_a_cell_has_no_flavors_of_its_own(self, admin: RequestContext) -> None:
        admin.db_connection = tx.create_context_manager("sqlite://")
        row = flavor_in(admin)
        assert flavors.flavor_get(admin, row["id"]) == row
        assert listed(admin) == ["f"]


class TestList:
    def test_live_ones_by_flavorid(self, admin: RequestContext, ctxt: RequestContext, sql_count: SqlCount) -> None:
        seeded = seed()
        flavor("gone")
        flavor("10", extra_specs={"a": "1", "b": "2"}, name="ten")
        flavors.flavor_destroy(admin, "name-gone")
        with sql_count(1):
            assert listed(get_admin_context("only")) == ["1", "10", "2", "3"]
        with sql_count(1):
            assert listed(ctxt, inactive=True) == ["1", "10", "2", "3", "gone"]
        assert flavors.flavor_get_all(ctxt)[2] == seeded[1]

    def test_nothing(self, admin: RequestContext) -> None:
        assert flavors.flavor_get_all(admin) == []
        assert flavors.flavor_get_all(admin, inactive=True, filters={}) == []

    def test_bounds(self, admin: RequestContext) -> None:
        seed()
        flavor("none", root_gb=None, memory_mb=1)
        assert listed(admin, filters={"min_memory_mb": 2048}) == ["2", "3"]
        assert listed(admin, filters={"min_memory_mb": "2049"}) == ["3"]
        assert listed(admin, filters={"min_root_gb": 0}) == ["1", "2", "3"]
        assert listed(admin, filters={"min_root_gb": 20, "min_memory_mb": 4096}) == ["3"]
        assert listed(admin, filters={"min_root_gb": 10**12}) == []
        assert listed(admin, filters={"min_root_gb": None}) == []

    def test_disabled(self, admin: RequestContext) -> None:
        for flavorid, disabled in (("on", False), ("off", True), ("unknown", False)):
            flavor(flavorid, disabled=disabled)
        with tx.writer(admin) as transaction:
            t = tables.instance_types
            transaction.execute(sa.update(t).where(t.c.flavorid == "unknown").values(disabled=None))
        assert listed(admin, filters={"disabled": False}) == ["on"]
        assert listed(admin, filters={"disabled": True}) == ["off"]
        assert listed(admin, filters={"disabled": None}) == ["unknown"]

    def test_unknown_filters_leave_out_nothing_and_warn(self, admin: RequestContext) -> None:
        flavor()
        with pytest.warns(
            exceptions.UnknownFilterWarning, match="no filter 'disable'; did you mean 'disabled'"
        ) as told:
            assert listed(admin, filters={"disable": True, "is_public": None}) == ["x"]
        assert [one.filename for one in told] == [__file__]

    @pytest.mark.parametrize(
        ("context", "is_public", "seen"),
        [
            (get_admin_context(), None, ["both", "mine", "open", "secret", "theirs"]),
            (get_admin_context(), True, ["both", "open"]),
            (get_admin_context(), False, ["mine", "secret", "theirs"]),
            (ADMIN_OF_PROJECT, True, ["both", "mine", "open"]),
            (ADMIN_OF_PROJECT, False, ["mine", "secret", "theirs"]),
            (ADMIN_OF_PROJECT, None, ["both", "mine", "open", "secret", "theirs"]),
            (RequestContext("user", "project"), None, ["both", "mine", "open"]),
            (RequestContext("user", "project"), True, ["both", "mine", "open"]),
            (RequestContext("user", "project"), False, ["mine"]),
            (STRANGER, None, ["both", "open", "theirs"]),
            (STRANGER, False, ["theirs"]),
        ],
    )
    def test_publicity(self, admin: RequestContext, context: Any, is_public: bool | None, seen: list[str]) -> None:
        flavor("open")
        flavor("both", projects=["project"], is_public=True)
        flavor("mine", projects=["project", "third"])
        flavor("theirs", projects=["elsewhere", "project"])
        flavor("secret", projects=[])
        flavor_access.flavor_access_remove(admin, "theirs", "project")
        assert listed(context, filters={"is_public": is_public}) == seen

    def test_limit_counts_flavors_not_specs(self, admin: RequestContext) -> None:
        for number in range(3):
            flavor(str(number), extra_specs={f"k{place}": "v" for place in range(4)})
        found = flavors.flavor_get_all(admin, limit=2)
        assert [len(one["extra_specs"]) for one in found] == [4, 4]
        assert listed(admin, limit=0) == []
        assert listed(admin, limit=None) == listed(admin, limit=99) == ["0", "1", "2"]
        assert listed(admin, limit=10**12) == ["0", "1", "2"]
        for bad in (-1, "many"):
            with pytest.raises(exceptions.InvalidInput):
                flavors.flavor_get_all(admin, limit=bad)  # type: ignore[arg-type]  # what it is about

    def test_marker(self, admin: RequestContext, ctxt: RequestContext, sql_count: SqlCount) -> None:
        for number in range(5):
            flavor(str(number), memory_mb=1 + number % 2)
        flavor("hidden", projects=[])
        every = listed(ctxt)
        with sql_count(2):
            assert listed(ctxt, marker=every[2]) == every[3:]
        assert listed(ctxt, marker=every[2], limit=1) == every[3:4]
        assert listed(ctxt, marker=every[-1]) == []
        assert listed(ctxt, marker="2", filters={"min_memory_mb": 2}) == ["3"]
        for nowhere in ("hidden", "no-such", ""):
            with pytest.raises(exceptions.MarkerNotFound) as raised:
                listed(ctxt, marker=nowhere)
            assert raised.value.kwargs["marker"] == nowhere
        assert listed(admin, marker="hidden") == []

    def test_a_destroyed_marker_counts_only_among_inactive_ones(self, admin: RequestContext) -> None:
        for flavorid in "abc":
            flavor(flavorid)
        flavors.flavor_destroy(admin, "name-b")
        with pytest.raises(exceptions.MarkerNotFound):
            listed(admin, marker="b")
        assert listed(admin, marker="b", inactive=True) == ["c"]
        again = flavor("b")
        assert listed(admin, marker="b", inactive=True) == ["c"]
        found = flavors.flavor_get_all(admin, inactive=True, sort_key="id", marker="c")
        assert [one["id"] for one in found] == [again["id"]]

    @pytest.mark.parametrize("direction", sorted(flavors._DIRECTIONS))
    def test_every_order_is_total_and_its_pages_add_up(
        self, admin: RequestContext, direction: str, backend: Backend
    ) -> None:
        scattered()
        for key in sorted(COLUMNS):
            order: Row = {"inactive": True, "sort_key": key, "sort_dir": direction}
            every = flavors.flavor_get_all(admin, **order)
            assert len(every) == 6
            assert ordered(every, key, direction, backend.family), key
            pages: list[rows.FlavorWithSpecs] = []
            while len(pages) < 6:
                marker = pages[-1]["flavorid"] if pages else None
                pages += flavors.flavor_get_all(admin, limit=2, marker=marker, **order)
            assert pages == every, key
            assert listed(admin, marker=every[-1]["flavorid"], **order) == []
            assert listed(admin, marker=every[2]["flavorid"], **order) == ids(every[3:])

    @pytest.mark.parametrize("key", ["color", "extra_specs", "projects", "", None])
    def test_unknown_keys(self, admin: RequestContext, key: Any) -> None:
        with pytest.raises(exceptions.InvalidSortKey):
            listed(admin, sort_key=key)

    @pytest.mark.parametrize("direction", ["up", "asc-", "ASC", "asc-nulls", "nullsfirst", ""])
    def test_unknown_directions(self, admin: RequestContext, direction: str) -> None:
        with pytest.raises(ValueError, match="asc-nullsfirst"):
            listed(admin, sort_dir=direction)


def scattered() -> None:
    """Six flavors with ties, NULLs and odd numbers in their columns; two of them soft-deleted."""
    t = tables.instance_types
    moments = [None, datetime.datetime(2016, 4, 7, 12), datetime.datetime(2016, 4, 8, 12)]
    for number in range(6):
        flavor(
            f"f{5 - number}",
            memory_mb=number % 3,
            root_gb=None if number % 3 == 1 else number // 2,
            rxtx_factor=(1.1, 0.3, 1.1, 7.7)[number % 4],
            vcpu_weight=None,
            disabled=number % 2 == 1,
            swap=3,
        )
    with tx.writer(get_admin_context()) as transaction:
        for number in range(6):
            given: Row = {"updated_at": moments[number % 3], "is_public": (None, True, False)[number % 3]}
            if number < 2:
                given |= {"deleted": t.c.id, "deleted_at": moments[number + 1]}
            transaction.execute(sa.update(t).where(t.c.flavorid == f"f{number}").values(**given))


def ordered(every: Sequence[Any], key: str, direction: str, backend_name: str) -> bool:
    """Tell whether the flavors are sorted by the key and id, NULLs where they belong."""
    is_desc = direction.startswith("desc")
    nulls_first = is_desc == (backend_name == "postgresql")
    if "-" in direction:
        nulls_first = direction.endswith("first")
    by_id = sorted(every, key=lambda one: one["id"], reverse=is_desc)
    nulls = [one for one in by_id if one[key] is None]
    rest = sorted((one for one in by_id if one[key] is not None), key=lambda one: one[key], reverse=is_desc)
    return list(every) == ([*nulls, *rest] if nulls_first else [*rest, *nulls])


class TestDestroy:
    def test_the_flavor_goes_with_its_children(
        self, admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount
    ) -> None:
        gone = flavor("gone", projects=["p", "q"], extra_specs={"a": "1", "b": "2"})
        stays = flavor("stays", projects=["p"], extra_specs={"a": "1"})
        now = frozen_clock.advance(10)
        with sql_count(3, mysql=4, default=3):
            flavors.flavor_destroy(admin, "name-gone")
        with pytest.raises(exceptions.FlavorNotFound):
            flavors.flavor_get(admin, gone["id"])
        after = flavors.flavor_get_by_flavor_id(admin, "gone", read_deleted="yes")
        stamp = {"deleted": gone["id"], "deleted_at": now, "updated_at": now, "extra_specs": {}}
        assert after == {**gone, **stamp}
        assert flavor_extra_specs.flavor_extra_specs_get(admin, "gone") == {}
        assert flavor_access.flavor_access_get_by_flavor_id(admin, "gone") == []
        for table in (tables.instance_type_extra_specs, tables.instance_type_projects):
            with tx.reader(admin) as transaction:
                children = transaction.rows(sa.select(table).where(table.c.instance_type_id == gone["id"]))
            assert [(row["deleted"], row["deleted_at"], row["updated_at"]) for row in children] == [
                (row["id"], now, None) for row in children
            ]
            assert len(children) == 2
        assert flavors.flavor_get(admin, stays["id"]) == stays
        assert len(flavor_access.flavor_access_get_by_flavor_id(admin, "stays")) == 1

    @pytest.mark.parametrize("name", ["no-such", "x", None, 5])
    def test_only_live_ones_by_name(self, admin: RequestContext, name: Any) -> None:
        flavor()
        with pytest.raises(exceptions.FlavorNotFoundByName) as raised:
            flavors.flavor_destroy(admin, name)
        assert raised.value.kwargs["flavor_name"] == name
        assert listed(admin) == ["x"]

    def test_twice(self, admin: RequestContext) -> None:
        flavor()
        flavors.flavor_destroy(admin, "name-x")
        for word in ("no", "yes", "only"):
            with pytest.raises(exceptions.FlavorNotFoundByName):
                flavors.flavor_destroy(get_admin_context(word), "name-x")

    def test_everybody_may_and_whatever_he_sees(self) -> None:
        flavor(projects=[])
        flavors.flavor_destroy(RequestContext(), "name-x")
        assert listed(get_admin_context()) == []

    def test_of_many_who_destroy_one_succeeds(self) -> None:
        flavor(extra_specs={"a": "b"})
        outcomes = at_once([destroy] * 4)
        assert sorted(outcomes) == ["missing", "missing", "missing", "won"]

    def test_nothing_lives_on_under_a_destroyed_flavor(self, admin: RequestContext) -> None:
        """Specs and access rows that others add at the same time go with the flavor, or are refused."""
        names = [f"n{number}" for number in range(12)]
        for name in names:
            flavor(name, name=name)
        at_once([functools.partial(add_or_destroy, names=names, number=number) for number in range(6)])
        for table in (tables.instance_type_extra_specs, tables.instance_type_projects):
            with tx.reader(admin) as transaction:
                assert transaction.rows(sa.select(table).where(table.c.deleted == 0)) == []
        assert listed(admin) == []


def destroy(context: RequestContext) -> str:
    try:
        flavors.flavor_destroy(context, "name-x")
    except exceptions.FlavorNotFoundByName:
        return "missing"
    return "won"


def add_or_destroy(context: RequestContext, names: list[str], number: int) -> None:
    """Give every flavor a spec and a project, or destroy it."""
    for name in random.Random(number).sample(names, len(names)):
        try:
            if number % 3:
                flavor_extra_specs.flavor_extra_specs_update_or_create(context, name, {f"k{number}": "v"})
                flavor_access.flavor_access_add(context, name, f"p{number}")
            else:
                flavors.flavor_destroy(context, name)
        except exceptions.FlavorNotFound:
            continue
