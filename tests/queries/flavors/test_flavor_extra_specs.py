# SPDX-License-Identifier: Apache-2.0

"""Extra specs of flavors: reading, writing, deleting (05, flavors)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.flavors import extra_specs as flavor_extra_specs, flavors
from tests.queries.flavor_factory import flavor
from tests.queries.processes import COUNT, Processes, eight_processes
from tests.queries.threads import one_inside_the_other

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugins.backend import Backend
    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

Row = dict[str, Any]

T = tables.instance_type_extra_specs
LOOKUP = "_flavor_get_id_from_flavor"


def specs_of(flavorid: str = "x", word: str = "no") -> dict[str, str | None]:
    return flavor_extra_specs.flavor_extra_specs_get(get_admin_context(word), flavorid)


def write(specs: Any, flavorid: str = "x", **more: Any) -> Any:
    return flavor_extra_specs.flavor_extra_specs_update_or_create(get_admin_context(), flavorid, specs, **more)


def rows() -> dict[tuple[Any, int], Row]:
    """Return all rows, by key and by whether they are deleted."""
    with tx.reader(get_admin_context()) as transaction:
        found = transaction.rows(sa.select(T).order_by(T.c.id))
    return {(row["key"], row["deleted"]): row for row in found}


class TestGet:
    def test_one_statement(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        flavor("x", extra_specs={"b": "1", "a": "2"}, projects=[])
        flavor("y", extra_specs={"c": "3"})
        with sql_count(1):
            assert flavor_extra_specs.flavor_extra_specs_get(ctxt, "x") == {"a": "2", "b": "1"}
        assert list(specs_of("x")) == ["b", "a"]

    @pytest.mark.parametrize("word", ["no", "yes", "only"])
    def test_only_what_lives_whatever_the_context_sees(self, admin: RequestContext, word: str) -> None:
        flavor("x", extra_specs={"a": "1", "b": "2"})
        flavor("gone", extra_specs={"a": "1"})
        flavors.flavor_destroy(admin, "name-gone")
        flavor_extra_specs.flavor_extra_specs_delete(admin, "x", "a")
        assert specs_of("x", word) == {"b": "2"}
        for flavorid in ("gone", "no-such", None, 5):
            assert specs_of(flavorid, word) == {}  # type: ignore[arg-type]  # other types are not found either


class TestWrite:
    def test_known_ones_change_others_come_the_rest_stays(self, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        row = flavor(extra_specs={"same": "1", "changed": "2", "untouched": "3"})
        before = rows()
        now = frozen_clock.advance(5)
        given = {"new": "4", "changed": "two", "same": "1"}
        with sql_count(2):
            assert write(given) is given
        after = rows()
        assert specs_of() == {"same": "1", "changed": "two", "untouched": "3", "new": "4"}
        for key in ("same", "untouched"):
            assert after[key, 0] == before[key, 0]
        assert after["changed", 0] == before["changed", 0] | {"value": "two", "updated_at": now}
        new = after["new", 0]
        assert (new["created_at"], new["updated_at"], new["instance_type_id"]) == (now, None, row["id"])
        assert given == {"new": "4", "changed": "two", "same": "1"}

    def test_nothing_to_write(self, sql_count: SqlCount) -> None:
        flavor(extra_specs={"a": "1"})
        before = rows()
        with sql_count(1):
            assert write({}) == {}
        assert rows() == before

    def test_values_may_be_none_and_become_text(self) -> None:
        flavor(extra_specs={"none": "1", "some": None})
        write({"none": None, "some": "2", "number": 3})
        assert specs_of() == {"none": None, "some": "2", "number": "3"}

    def test_letter_case_and_other_scripts_make_other_keys(self) -> None:
        flavor(extra_specs={"key": "1"})
        write({"KEY": "2", "clé": "3", "cle": "4", 'q"%s%(x)s': "5%"})
        assert specs_of() == {"key": "1", "KEY": "2", "clé": "3", "cle": "4", 'q"%s%(x)s': "5%"}

    def test_a_deleted_key_is_a_new_row(self, admin: RequestContext) -> None:
        flavor(extra_specs={"a": "1"})
        old = rows()["a", 0]
        flavor_extra_specs.flavor_extra_specs_delete(admin, "x", "a")
        write({"a": "2"})
        assert rows()["a", old["id"]]["value"] == "1"
        assert rows()["a", 0]["id"] != old["id"]

    @pytest.mark.parametrize("specs", [{}, {"a": "1"}])
    @pytest.mark.parametrize("flavorid", ["no-such", "gone", None])
    def test_no_such_flavor(self, admin: RequestContext, flavorid: Any, specs: Row) -> None:
        flavor("gone")
        flavors.flavor_destroy(admin, "name-gone")
        with pytest.raises(exceptions.FlavorNotFound) as raised:
            write(specs, flavorid)
        assert raised.value.kwargs == {"code": 404, "flavor_id": flavorid}

    def test_the_public_faces_name(self, admin: RequestContext) -> None:
        flavor()
        call: Any = flavor_extra_specs.flavor_extra_specs_update_or_create
        assert call(admin, "x", extra_specs={"a": "1"}) == {"a": "1"}
        assert call(context=admin, flavor_id="x", specs={"b": "1"}, max_retries=3) == {"b": "1"}
        assert specs_of() == {"a": "1", "b": "1"}

    @pytest.mark.parametrize("joined", [False, True])
    def test_attempts_are_counted(
        self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch, joined: bool, sql_count: SqlCount
    ) -> None:
        calls = []

        def lookup(*args: Any) -> int:
            calls.append(args)
            raise exceptions.DBDuplicateEntry

        monkeypatch.setattr(flavor_extra_specs, LOOKUP, lookup)
        call = flavor_extra_specs.flavor_extra_specs_update_or_create
        with sql_count(0), pytest.raises(exceptions.FlavorExtraSpecUpdateCreateFailed) as raised:
            if joined:
                with tx.writer(admin):
                    call(admin, 5, {}, 5)  # type: ignore[arg-type]  # the lookup takes what is given
            else:
                call(admin, 5, {}, 5)  # type: ignore[arg-type]  # likewise
        assert calls == [(admin, 5)] * 5
        assert raised.value.kwargs == {"code": 500, "id": 5, "retries": 5}

    def test_ten_attempts_unless_told_otherwise(self, monkeypatch: pytest.MonkeyPatch) -> None:
        number = flavor()["id"]
        fails = [exceptions.DBDuplicateEntry(columns=["key"])] * 9

        def lookup(context: Any, flavor_id: str) -> int:
            if fails:
                raise fails.pop()
            return number

        monkeypatch.setattr(flavor_extra_specs, LOOKUP, lookup)
        assert write({"a": "1"}) == {"a": "1"}
        fails += [exceptions.DBDuplicateEntry()] * 11
        with pytest.raises(exceptions.FlavorExtraSpecUpdateCreateFailed):
            write({"a": "2"})
        assert len(fails) == 1
        assert specs_of() == {"a": "1"}

    def test_a_failed_attempt_leaves_the_callers_transaction_alive(
        self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        number = flavor()["id"]
        tries = []

        def lookup(context: Any, flavor_id: str) -> int:
            tries.append(flavor_id)
            if len(tries) == 1:
                context.transaction.insert(T, {"instance_type_id": number, "key": "x", "value": "lost"})
                context.transaction.insert(T, {"instance_type_id": number, "key": "x", "value": "twice"})
            return number

        monkeypatch.setattr(flavor_extra_specs, LOOKUP, lookup)
        with tx.writer(admin) as transaction:
            transaction.insert(T, {"instance_type_id": number, "key": "before", "value": "kept"})
            flavor_extra_specs.flavor_extra_specs_update_or_create(admin, "x", {"a": "1"})
        assert specs_of() == {"before": "kept", "a": "1"}
        assert len(tries) == 2

    def test_other_errors_pass_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        calls = []

        def lookup(*args: Any) -> int:
            calls.append(args)
            raise exceptions.DBDataError("no")

        monkeypatch.setattr(flavor_extra_specs, LOOKUP, lookup)
        with pytest.raises(exceptions.DBDataError):
            write({})
        assert len(calls) == 1

    def test_joined_and_alone_give_the_same(self, admin: RequestContext) -> None:
        flavor(extra_specs={"a": "1"})
        with tx.writer(admin):
            flavor_extra_specs.flavor_extra_specs_update_or_create(admin, "x", {"a": "2", "b": "1"})
            joined = flavor_extra_specs.flavor_extra_specs_get(admin, "x")
        assert joined == specs_of() == {"a": "2", "b": "1"}

    def test_a_cell_has_no_specs_of_its_own(self, admin: RequestContext) -> None:
        flavor()
        admin.db_connection = tx.create_context_manager("sqlite://")
        flavor_extra_specs.flavor_extra_specs_update_or_create(admin, "x", {"a": "1", "b": "2"})
        flavor_extra_specs.flavor_extra_specs_delete(admin, "x", "b")
        assert flavor_extra_specs.flavor_extra_specs_get(admin, "x") == specs_of() == {"a": "1"}


class TestDelete:
    def test_the_row_is_marked(self, ctxt: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        flavor("x", extra_specs={"a": "1", "b": "2"})
        flavor("y", extra_specs={"a": "1"})
        write({"a": "one"})
        row = rows()["b", 0]
        now = frozen_clock.advance(3)
        with sql_count(1):
            flavor_extra_specs.flavor_extra_specs_delete(ctxt, "x", "b")
        assert (specs_of("x"), specs_of("y")) == ({"a": "one"}, {"a": "1"})
        assert rows()["b", row["id"]] == row | {"deleted": row["id"], "deleted_at": now}

    @pytest.mark.parametrize(
        ("flavorid", "key"), [("x", "b"), ("x", "A"), ("x", None), ("no-such", "a"), ("gone", "a"), (None, "a")]
    )
    def test_nothing_hit(self, admin: RequestContext, flavorid: Any, key: Any, sql_count: SqlCount) -> None:
        for name in ("x", "gone"):
            flavor(name, extra_specs={"a": "1"})
        flavors.flavor_destroy(admin, "name-gone")
        with sql_count(1), pytest.raises(exceptions.FlavorExtraSpecsNotFound) as raised:
            flavor_extra_specs.flavor_extra_specs_delete(get_admin_context("yes"), flavorid, key)
        assert raised.value.kwargs == {"code": 404, "extra_specs_key": key, "flavor_id": flavorid}
        assert specs_of() == {"a": "1"}


class TestRaces:
    def test_two_writers_of_one_new_key(self) -> None:
        """The second waits for the first, sees its row, and changes it."""
        flavor()

        def writer(value: str) -> Any:
            def run(context: RequestContext) -> str:
                specs = {"key": value, f"own-{value}": value}
                flavor_extra_specs.flavor_extra_specs_update_or_create(context, "x", specs)
                return value

            return run

        assert one_inside_the_other(writer("first"), writer("second")) == ("first", "second")
        assert specs_of() == {"key": "second", "own-first": "first", "own-second": "second"}
        assert len(rows()) == 3

    def test_nothing_is_written_to_a_flavor_that_is_being_destroyed(self) -> None:
        flavor("x", name="x")

        def destroy(context: RequestContext) -> None:
            flavors.flavor_destroy(context, "x")

        def write_late(context: RequestContext) -> None:
            with pytest.raises(exceptions.FlavorNotFound):
                flavor_extra_specs.flavor_extra_specs_update_or_create(context, "x", {"late": "1"})

        one_inside_the_other(destroy, write_late)
        assert rows() == {}


@pytest.fixture(scope="module")
def processes() -> Iterator[Processes]:
    with eight_processes() as found:
        yield found


def test_eight_processes_write_the_same_keys(backend: Backend, processes: Processes) -> None:
    flavor()
    processes.call(backend.url, write_rounds)
    found = specs_of()
    assert {key: value for key, value in found.items() if key.startswith("own")} == {
        f"own-{number}": "9" for number in range(COUNT)
    }
    assert sorted(key for key, _ in rows()) == sorted([*(f"own-{number}" for number in range(COUNT)), "a", "b"])


def write_rounds(number: int) -> None:
    context = get_admin_context()
    for turn in range(10):
        shared = {"a": f"{number}-{turn}", "b": f"{number}-{turn}"}
        if number % 2:
            shared = dict(reversed(shared.items()))
        specs = {**shared, f"own-{number}": str(turn)}
        flavor_extra_specs.flavor_extra_specs_update_or_create(context, "x", specs)
