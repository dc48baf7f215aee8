# SPDX-License-Identifier: Apache-2.0

"""Tags of instances (03-instances 3)."""

from __future__ import annotations

import functools
import uuid
from typing import TYPE_CHECKING, Any, cast

import pytest

from nova_sqlcore import RequestContext, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.compute import tags as instance_tags
from tests.queries import cell_factory, instance_factory, threads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

Row = dict[str, Any]

CALLS: list[Callable[[RequestContext, str], Any]] = [
    lambda context, uuid: instance_tags.instance_tag_add(context, uuid, "a"),
    lambda context, uuid: instance_tags.instance_tag_set(context, uuid, ["a", "b"]),
    lambda context, uuid: instance_tags.instance_tag_delete(context, uuid, "a"),
    instance_tags.instance_tag_delete_all,
    lambda context, uuid: instance_tags.instance_tag_exists(context, uuid, "a"),
    instance_tags.instance_tag_get_by_instance_uuid,
]


def instance(*tags: str, **values: Any) -> str:
    return cast("str", instance_factory.instance(tags=tags, **values)["uuid"])


def words(uuid: str) -> list[str]:
    found = instance_tags.instance_tag_get_by_instance_uuid(get_admin_context(), uuid)
    assert {row["resource_id"] for row in found} <= {uuid}
    return [row["tag"] for row in found]


def rows(uuid: str, *tags: str) -> list[Row]:
    return [{"resource_id": uuid, "tag": tag} for tag in tags]


class TestTheInstance:
    @pytest.mark.parametrize("call", CALLS)
    def test_it_must_exist(self, ctxt: RequestContext, call: Callable[[RequestContext, str], Any]) -> None:
        missing = str(uuid.uuid4())
        with pytest.raises(exceptions.InstanceNotFound) as raised:
            call(ctxt, missing)
        assert raised.value.kwargs["instance_id"] == missing

    @pytest.mark.parametrize("call", CALLS)
    @pytest.mark.parametrize("word", ["no", "yes", "only"])
    def test_it_must_be_live(self, call: Callable[[RequestContext, str], Any], word: str) -> None:
        dead = instance("a", deleted=1)
        with pytest.raises(exceptions.InstanceNotFound):
            call(get_admin_context(word), dead)

    @pytest.mark.parametrize("call", CALLS)
    def test_it_must_be_of_the_users_project(
        self, ctxt: RequestContext, admin: RequestContext, call: Callable[[RequestContext, str], Any]
    ) -> None:
        other = instance("a", project_id="elsewhere")
        with pytest.raises(exceptions.InstanceNotFound):
            call(ctxt, other)
        assert words(other) == ["a"]
        call(RequestContext("another", "elsewhere"), other)
        other = instance("a", project_id="elsewhere")
        call(admin, other)
        call(RequestContext(), instance("a", project_id="elsewhere"))

    def test_one_function_says_so(self, admin: RequestContext, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whoever replaces it gets the plain statements."""
        dead = instance(deleted=1)
        monkeypatch.setattr(instance_tags, "_check_instance_exists_in_project", lambda context, instance_uuid: None)
        assert instance_tags.instance_tag_get_by_instance_uuid(admin, dead) == []
        assert instance_tags.instance_tag_exists(admin, dead, "a") is False
        for _ in range(2):
            assert instance_tags.instance_tag_add(admin, dead, "a") == {"resource_id": dead, "tag": "a"}
        assert instance_tags.instance_tag_exists(admin, dead, "a") is True
        assert instance_tags.instance_tag_set(admin, dead, ["b"]) == rows(dead, "b")
        assert words(dead) == ["b"]

    def test_the_check_itself(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        uuid, other = instance(), instance(project_id="elsewhere")
        with tx.reader(ctxt), sql_count(2):
            instance_tags._check_instance_exists_in_project(ctxt, uuid)
            with pytest.raises(exceptions.InstanceNotFound):
                instance_tags._check_instance_exists_in_project(ctxt, other)


class TestGet:
    def test_by_word(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        uuid = instance("b", "a", "c")
        instance("d")
        with sql_count(1):
            assert instance_tags.instance_tag_get_by_instance_uuid(ctxt, uuid) == rows(uuid, "a", "b", "c")

    def test_none(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        uuid = instance()
        with sql_count(1):
            assert instance_tags.instance_tag_get_by_instance_uuid(ctxt, uuid) == []

    def test_exists(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        uuid = instance("a", "1")
        with sql_count(2):
            assert instance_tags.instance_tag_exists(ctxt, uuid, "a") is True
            assert instance_tags.instance_tag_exists(ctxt, uuid, "b") is False
        assert instance_tags.instance_tag_exists(ctxt, uuid, cast("str", 1)) is True


class TestAdd:
    def test_it_comes_once(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        uuid = instance("b")
        for _ in range(5):
            with sql_count(1):
                assert instance_tags.instance_tag_add(ctxt, uuid, "a") == {"resource_id": uuid, "tag": "a"}
        assert words(uuid) == ["a", "b"]

    def test_a_number(self, ctxt: RequestContext) -> None:
        uuid = instance()
        assert instance_tags.instance_tag_add(ctxt, uuid, cast("str", 7)) == {"resource_id": uuid, "tag": "7"}
        assert words(uuid) == ["7"]

    def test_an_existing_tag_leaves_the_callers_transaction_alive(self, ctxt: RequestContext) -> None:
        uuid = instance("a")
        with tx.writer(ctxt):
            instance_tags.instance_tag_add(ctxt, uuid, "a")
            instance_tags.instance_tag_add(ctxt, uuid, "b")
        assert words(uuid) == ["a", "b"]

    def test_of_two_who_add_it_one_waits_for_the_other(self) -> None:
        uuid = instance()
        found = threads.one_inside_the_other(
            lambda context: instance_tags.instance_tag_add(context, uuid, "a"),
            lambda context: instance_tags.instance_tag_add(context, uuid, "a"),
        )
        assert found[0] == found[1]
        assert words(uuid) == ["a"]


class TestSet:
    @pytest.mark.parametrize(
        ("before", "tags", "statements"),
        [
            ("", [], 1),
            ("", ["b", "a"], 2),
            ("ab", ["b", "a", "b"], 1),
            ("ab", {"a", "c"}, 3),
            ("abc", ("b",), 2),
            ("ab", [], 2),
            ("ab", "cd", 3),
        ],
    )
    def test_the_tags_become_these(
        self, ctxt: RequestContext, sql_count: SqlCount, before: str, tags: Iterable[str], statements: int
    ) -> None:
        uuid, other = instance(*before), instance("a", "z")
        given = list(tags)
        with sql_count(postgresql=statements + 1, default=statements) as seen:
            after = instance_tags.instance_tag_set(ctxt, uuid, tags)
        assert after == rows(uuid, *sorted(set(given)))
        assert instance_tags.instance_tag_get_by_instance_uuid(ctxt, uuid) == after
        assert words(other) == ["a", "z"]
        assert any(one.startswith("DELETE") for one in seen) == bool(set(before) - set(given))
        assert any(one.startswith("INSERT") for one in seen) == bool(set(given) - set(before))

    def test_any_iterable_of_text_or_numbers(self, ctxt: RequestContext) -> None:
        uuid = instance("1")
        assert instance_tags.instance_tag_set(ctxt, uuid, (cast("str", one) for one in (2, 1))) == rows(uuid, "1", "2")
        assert words(uuid) == ["1", "2"]

    def test_a_tag_that_changes_its_case(self, ctxt: RequestContext) -> None:
        uuid = instance("A")
        instance_tags.instance_tag_set(ctxt, uuid, ["a"])
        assert words(uuid) == ["a"]

    def test_inside_a_transaction(self, ctxt: RequestContext) -> None:
        uuid = instance()
        with tx.writer(ctxt):
            instance_tags.instance_tag_set(ctxt, uuid, ["a", "b"])
            instance_tags.instance_tag_add(ctxt, uuid, "c")
            instance_tags.instance_tag_delete(ctxt, uuid, "a")
            assert instance_tags.instance_tag_set(ctxt, uuid, ["b", "d"]) == rows(uuid, "b", "d")
        assert words(uuid) == ["b", "d"]

    @pytest.mark.parametrize("second", [["b"], ["a", "b"], []])
    def test_who_comes_second_has_the_last_word(self, second: list[str]) -> None:
        uuid = instance("x")
        threads.one_inside_the_other(
            lambda context: instance_tags.instance_tag_set(context, uuid, ["a"]),
            lambda context: instance_tags.instance_tag_set(context, uuid, second),
        )
        assert words(uuid) == second

    def test_many_at_once_do_not_mix(self) -> None:
        uuid = instance()
        sets = [[f"{number}-{word}" for word in "abc"] for number in range(6)]
        set_tags = functools.partial(instance_tags.instance_tag_set, instance_uuid=uuid)
        threads.at_once([functools.partial(set_tags, tags=tags) for tags in sets])
        assert words(uuid) in sets

    def test_a_tag_that_somebody_adds_meanwhile(self) -> None:
        uuid = instance()
        threads.one_inside_the_other(
            lambda context: instance_tags.instance_tag_add(context, uuid, "a"),
            lambda context: instance_tags.instance_tag_set(context, uuid, ["a", "b"]),
        )
        assert words(uuid) == ["a", "b"]


class TestNone:
    def test_it_is_no_tag(self, ctxt: RequestContext) -> None:
        uuid, nothing = instance("a"), cast("str", None)
        with tx.writer(ctxt):
            for call in (
                lambda: instance_tags.instance_tag_add(ctxt, uuid, nothing),
                lambda: instance_tags.instance_tag_set(ctxt, uuid, ["b", nothing]),
            ):
                with pytest.raises(exceptions.DBDataError, match=r"tags\.tag holds text; got None"):
                    call()
            assert instance_tags.instance_tag_exists(ctxt, uuid, nothing) is False
            with pytest.raises(exceptions.InstanceTagNotFound):
                instance_tags.instance_tag_delete(ctxt, uuid, nothing)
        assert words(uuid) == ["a"]


class TestDelete:
    def test_it_goes(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        uuid, other = instance("a", "b"), instance("a")
        with sql_count(1):
            instance_tags.instance_tag_delete(ctxt, uuid, "a")
        assert (words(uuid), words(other)) == (["b"], ["a"])

    def test_there_is_none(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        uuid = instance("b")
        with sql_count(2), pytest.raises(exceptions.InstanceTagNotFound) as raised:
            instance_tags.instance_tag_delete(ctxt, uuid, "a")
        assert raised.value.kwargs == {"instance_id": uuid, "tag": "a", "code": 404}

    def test_all(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        uuid, other = instance("a", "b"), instance("a")
        with sql_count(1):
            instance_tags.instance_tag_delete_all(ctxt, uuid)
        with sql_count(2):
            instance_tags.instance_tag_delete_all(ctxt, uuid)
        assert (words(uuid), words(other)) == ([], ["a"])


def test_a_cell(ctxt: RequestContext) -> None:
    """All but ``instance_tag_exists`` go to the cell."""
    uuid = instance("m")
    with cell_factory.cell("instances", "tags") as context:
        with tx.writer(context) as transaction:
            transaction.insert(tables.instances, {"uuid": uuid, "project_id": "project"})
        instance_tags.instance_tag_add(context, uuid, "a")
        assert instance_tags.instance_tag_set(context, uuid, ["b", "c"]) == rows(uuid, "b", "c")
        instance_tags.instance_tag_delete(context, uuid, "b")
        assert instance_tags.instance_tag_get_by_instance_uuid(context, uuid) == rows(uuid, "c")
        assert [instance_tags.instance_tag_exists(context, uuid, tag) for tag in "cm"] == [False, True]
        with tx.writer(context):
            assert [instance_tags.instance_tag_exists(context, uuid, tag) for tag in "cm"] == [False, True]
        with pytest.raises(exceptions.InstanceNotFound):
            instance_tags.instance_tag_exists(context, "none", "c")
        instance_tags.instance_tag_delete_all(context, uuid)
        assert instance_tags.instance_tag_get_by_instance_uuid(context, uuid) == []
    assert words(uuid) == ["m"]
