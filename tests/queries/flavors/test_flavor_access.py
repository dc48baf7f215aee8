# SPDX-License-Identifier: Apache-2.0

"""Flavor access: granting, listing, taking away (05, flavors)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.flavors import access as flavor_access, flavors
from tests.queries.flavor_factory import flavor
from tests.queries.threads import at_once, one_inside_the_other

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

Row = dict[str, Any]

#: These functions check no context.
NOBODY = RequestContext()


def add(project: str | None = "p", flavorid: str = "x") -> Any:
    return flavor_access.flavor_access_add(NOBODY, flavorid, project)  # type: ignore[arg-type]  # None is a case of its own


def granted(flavorid: str = "x", word: str = "no") -> list[str | None]:
    found = flavor_access.flavor_access_get_by_flavor_id(get_admin_context(word), flavorid)
    return [row["project_id"] for row in found]


class TestAdd:
    def test_the_new_row_is_what_the_list_shows(self, sql_count: SqlCount) -> None:
        owner = flavor()
        with sql_count(2):
            row = add()
        assert set(row) == set(tables.instance_type_projects.c.keys())
        assert (row["instance_type_id"], row["project_id"], row["deleted"]) == (owner["id"], "p", 0)
        with sql_count(1):
            assert flavor_access.flavor_access_get_by_flavor_id(NOBODY, "x") == [row]

    def test_twice(self, admin: RequestContext) -> None:
        flavor()
        add()
        with tx.writer(admin):
            with pytest.raises(exceptions.FlavorAccessExists) as raised:
                flavor_access.flavor_access_add(admin, "x", "p")
            flavor_access.flavor_access_add(admin, "x", "q")
        assert raised.value.kwargs == {"code": 500, "flavor_id": "x", "project_id": "p"}
        assert granted() == ["p", "q"]

    def test_public_flavors_and_other_flavors(self) -> None:
        for flavorid in "xy":
            flavor(flavorid)
            add(flavorid=flavorid)
        assert granted() == granted("y") == ["p"]

    def test_again_after_it_was_taken_away(self) -> None:
        flavor()
        for _ in range(2):
            add()
            flavor_access.flavor_access_remove(NOBODY, "x", "p")
        assert add()["deleted"] == 0
        assert granted() == ["p"]

    def test_no_project_never_collides(self) -> None:
        flavor()
        for _ in range(2):
            add(None)
        assert granted() == [None, None]

    def test_a_number_is_stored_as_text(self) -> None:
        flavor("7")
        assert flavor_access.flavor_access_add(NOBODY, 7, 12)["project_id"] == "12"  # type: ignore[arg-type]  # what it is about
        assert granted("7") == ["12"]


def remove(context: RequestContext, flavorid: str, project: str) -> None:
    flavor_access.flavor_access_remove(context, flavorid, project)


@pytest.mark.parametrize("call", [flavor_access.flavor_access_add, remove])
@pytest.mark.parametrize("flavorid", ["no-such", "gone", None])
def test_no_such_flavor(admin: RequestContext, call: Callable[..., Any], flavorid: Any) -> None:
    flavor("gone", projects=["p"])
    flavors.flavor_destroy(admin, "name-gone")
    with pytest.raises(exceptions.FlavorNotFound) as raised:
        call(get_admin_context("yes"), flavorid, "p")
    assert raised.value.kwargs == {"code": 404, "flavor_id": flavorid}


class TestList:
    def test_in_the_order_of_granting(self) -> None:
        flavor(projects=["c", "a"])
        add("b")
        assert granted() == ["c", "a", "b"]

    @pytest.mark.parametrize("word", ["no", "yes", "only"])
    def test_only_what_lives_whatever_the_context_sees(self, admin: RequestContext, word: str) -> None:
        flavor("x", projects=["a", "b"])
        flavor("gone", projects=["a"])
        flavors.flavor_destroy(admin, "name-gone")
        flavor_access.flavor_access_remove(admin, "x", "a")
        assert granted("x", word) == ["b"]
        assert granted("gone", word) == granted("no-such", word) == []

    def test_joined_and_alone_give_the_same(self, admin: RequestContext) -> None:
        flavor()
        with tx.writer(admin):
            row = flavor_access.flavor_access_add(admin, "x", "p")
            assert flavor_access.flavor_access_get_by_flavor_id(admin, "x") == [row]
        assert flavor_access.flavor_access_get_by_flavor_id(admin, "x") == [row]

    def test_a_cell_has_no_access_rows_of_its_own(self, admin: RequestContext) -> None:
        flavor()
        admin.db_connection = tx.create_context_manager("sqlite://")
        row = flavor_access.flavor_access_add(admin, "x", "p")
        assert flavor_access.flavor_access_get_by_flavor_id(admin, "x") == [row]
        flavor_access.flavor_access_remove(admin, "x", "p")
        assert granted() == []


class TestRemove:
    def test_the_row_is_marked(self, admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        flavor("x", projects=["p", "q"])
        flavor("y", projects=["p"])
        row = flavor_access.flavor_access_get_by_flavor_id(admin, "x")[0]
        now = frozen_clock.advance(3)
        with sql_count(1):
            remove(NOBODY, "x", "p")
        t = tables.instance_type_projects
        with tx.reader(admin) as transaction:
            after = transaction.row(sa.select(t).where(t.c.id == row["id"]))
        assert after == {**row, "deleted": row["id"], "deleted_at": now}
        assert (granted("x"), granted("y")) == (["q"], ["p"])

    @pytest.mark.parametrize("project", ["stranger", "p", None])
    def test_no_such_access(self, project: Any, sql_count: SqlCount) -> None:
        flavor(projects=["p"])
        remove(NOBODY, "x", "p")
        with sql_count(2), pytest.raises(exceptions.FlavorAccessNotFound) as raised:
            remove(NOBODY, "x", project)
        assert raised.value.kwargs == {"code": 404, "flavor_id": "x", "project_id": project}

    def test_none_means_null(self) -> None:
        flavor(projects=["p"])
        add(None)
        flavor_access.flavor_access_remove(NOBODY, "x", None)  # type: ignore[arg-type]  # what it is about
        assert granted() == ["p"]


def test_of_many_who_grant_the_same_one_succeeds() -> None:
    flavor()

    def grant(context: RequestContext) -> str:
        try:
            flavor_access.flavor_access_add(context, "x", "p")
        except exceptions.FlavorAccessExists:
            return "exists"
        return "won"

    assert sorted(at_once([grant] * 4)) == ["exists", "exists", "exists", "won"]
    assert granted() == ["p"]


def test_nobody_is_granted_a_flavor_that_is_being_destroyed() -> None:
    """Who looks the flavor up while its destroyer has not committed waits, and finds none."""
    flavor("x", name="x")

    def destroy(context: RequestContext) -> str:
        flavors.flavor_destroy(context, "x")
        return "destroyed"

    def grant(context: RequestContext) -> str:
        with pytest.raises(exceptions.FlavorNotFound):
            flavor_access.flavor_access_add(context, "x", "late")
        return "refused"

    assert one_inside_the_other(destroy, grant) == ("destroyed", "refused")
    t = tables.instance_type_projects
    with tx.reader(get_admin_context()) as transaction:
        assert transaction.rows(sa.select(t)) == []
