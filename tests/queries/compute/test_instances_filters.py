# SPDX-License-Identifier: Apache-2.0

"""Filters, sorting and paging of instance lists."""

from __future__ import annotations

import datetime
import uuid
from typing import TYPE_CHECKING, Any

import hypothesis
import pytest
from hypothesis import strategies

from nova_sqlcore import RequestContext, exceptions, get_admin_context, tx
from nova_sqlcore.queries.common import paging
from nova_sqlcore.queries.compute import instances, pages, rows as instance_rows
from tests.queries.instance_factory import Row, deleted, insert, instance

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.plugins.backend import Backend
    from tests.plugins.counting import SqlCount, SqlLog

T0 = datetime.datetime(2016, 4, 7, 12, 0, 0)
HOUR = datetime.timedelta(hours=1)
NO_UUID = "00000000-0000-0000-0000-000000000000"


def names(context: Any, filters: dict[str, Any], **kwargs: Any) -> list[str | None]:
    """Return the display names that a call finds, by id."""
    kwargs = {"sort_keys": ["id"], "sort_dirs": ["asc"], "columns_to_join": [], **kwargs}
    return [row["display_name"] for row in instances.instance_get_all_by_filters_sort(context, filters, **kwargs)]


def label(table: str, key: str, row: Row, **values: Any) -> Row:
    return insert(table, instance_uuid=row["uuid"], key=key, **values)


# -- state ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def states(backend: Backend) -> None:
    """Store instances in every state between life and death."""
    for name, state in (("plain", None), ("active", "active"), ("soft", "soft-delete")):
        instance(display_name=name, vm_state=state)
    deleted("instances", instance(display_name="gone", vm_state="active"))


@pytest.mark.parametrize("read_deleted", ["no", "yes", "only"])
@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({}, "plain active soft gone"),
        ({"deleted": True}, "soft gone"),
        ({"deleted": True, "soft_deleted": True}, "soft gone"),
        ({"deleted": True, "soft_deleted": False}, "gone"),
        ({"deleted": 7, "soft_deleted": None}, "gone"),
        ({"deleted": False}, "plain active"),
        ({"deleted": 0}, "plain active"),
        ({"deleted": None}, "plain active"),
        ({"deleted": False, "soft_deleted": False}, "plain active"),
        ({"deleted": False, "soft_deleted": True}, "plain active soft"),
        ({"soft_deleted": True}, "plain active soft gone"),
        ({"deleted": True, "vm_state": "active"}, "gone"),
    ],
)
def test_deleted_ones_are_chosen_by_filter_and_not_by_context(
    states: None, read_deleted: str, filters: dict[str, Any], found: str
) -> None:
    assert names(get_admin_context(read_deleted), filters) == found.split()


def test_cleaned(backend: Backend, admin: RequestContext) -> None:
    instance(display_name="dirty")
    instance(display_name="clean", cleaned=1)
    for truth in (True, 1, "yes"):
        assert names(admin, {"cleaned": truth}) == ["clean"]
    for falsehood in (False, 0, None):
        assert names(admin, {"cleaned": falsehood}) == ["dirty"]


def test_changes_since(backend: Backend, admin: RequestContext) -> None:
    instance(display_name="never")
    for number in range(3):
        row = instance(display_name=f"at{number}", updated_at=T0 + number * HOUR)
    deleted("instances", row)
    aware = (T0 + HOUR).replace(tzinfo=datetime.UTC).astimezone(datetime.timezone(-3 * HOUR))
    assert names(admin, {"changes-since": T0}) == ["at0", "at1", "at2"]
    assert names(admin, {"changes-since": T0 + HOUR}) == ["at1", "at2"]
    assert names(admin, {"changes-since": aware}) == ["at1", "at2"]
    assert names(admin, {"changes-since": aware, "deleted": True}) == ["at2"]
    for wrong in ("2016-04-07T12:00:00", None):
        with pytest.raises(AttributeError):
            names(admin, {"changes-since": wrong})


# -- tags -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def tagged(backend: Backend) -> None:
    """Store instances with tags, one of them soft-deleted."""
    for name in ("", "a", "b", "ab", "abc"):
        instance(display_name=name, tags=name)
    deleted("instances", instance(display_name="gone", tags="abc"))


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"tags": ["a"]}, ["a", "ab", "abc"]),
        ({"tags": ["a", "b"]}, ["ab", "abc"]),
        ({"tags": ["b", "a", "b"]}, ["ab", "abc"]),
        ({"tags": ["a", "x"]}, []),
        ({"tags": []}, ["", "a", "b", "ab", "abc", "gone"]),
        ({"tags-any": ["a", "b"]}, ["a", "b", "ab", "abc"]),
        ({"tags-any": ["c", "x"]}, ["abc"]),
        ({"tags-any": ["x"]}, []),
        ({"tags-any": []}, []),
        ({"tags": ["a"], "tags-any": ["b", "c"]}, ["ab", "abc"]),
        ({"tags": ["a"], "display_name": "^a$"}, ["a"]),
        ({"tags": ["a"], "deleted": True}, []),
    ],
)
def test_tags(tagged: None, admin: RequestContext, filters: dict[str, Any], found: list[str]) -> None:
    before = {key: list(value) if isinstance(value, list) else value for key, value in filters.items()}
    assert names(admin, filters) == found
    assert filters == before


def test_the_limit_counts_instances_and_not_tags(tagged: None, admin: RequestContext) -> None:
    assert names(admin, {"tags-any": ["a", "b", "c"]}, limit=3) == ["a", "b", "ab"]


@pytest.mark.parametrize("name", ["tags", "tags-any"])
@pytest.mark.parametrize("wrong", ["ab", None, 5])
def test_tags_of_another_shape_are_refused(backend: Backend, admin: RequestContext, name: str, wrong: Any) -> None:
    with pytest.raises(exceptions.InvalidInput) as caught:
        names(admin, {name: wrong})
    assert name in caught.value.kwargs["reason"]


# -- by value ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"host": "host1"}, ["one"]),
        ({"host": None}, ["none"]),
        ({"host": ["host1", "host12"]}, ["one", "twelve"]),
        ({"host": {"host1", None}}, ["one"]),
        ({"host": (None,)}, []),
        ({"host": frozenset({"nowhere"})}, []),
        ({"task_state": None, "host": ("host1", "host12")}, ["one"]),
        ({"instance_type_id": 5}, ["one"]),
        ({"instance_type_id": "5"}, ["one"]),
        ({"instance_type_id": [5, "6", "x", None]}, ["one", "twelve"]),
        ({"instance_type_id": "x"}, []),
        ({"instance_type_id": 10**40}, []),
        ({"image_ref": 7}, ["one"]),
        ({"image_ref": [7, 8]}, ["one"]),
        ({"project_id": "other"}, ["none"]),
        ({"user_id": ["user"], "vm_state": "active"}, ["twelve"]),
        ({"uuid": []}, []),
        ({"uuid": NO_UUID}, []),
    ],
)
def test_exact_filters(backend: Backend, admin: RequestContext, filters: dict[str, Any], found: list[str]) -> None:
    instance(display_name="one", host="host1", instance_type_id=5, image_ref="7")
    instance(display_name="twelve", host="host12", task_state="deleting", instance_type_id=6, vm_state="active")
    instance(display_name="none", project_id="other")
    assert names(admin, filters) == found


def test_exact_filter_of_a_shape_that_no_column_has(backend: Backend, admin: RequestContext) -> None:
    with pytest.raises(exceptions.DBDataError):
        names(admin, {"host": {"a": 1}})


@pytest.mark.parametrize("kind", ["metadata", "system_metadata"])
@pytest.mark.parametrize(
    ("value", "found"),
    [
        ({"a": "1"}, ["both", "first", "crossed"]),
        ({"a": "1", "b": "2"}, ["both", "crossed"]),
        ([{"a": "1"}, {"b": "2"}], ["both", "crossed"]),
        ({"a": 1}, ["both", "first", "crossed"]),
        ({"a": None}, ["empty"]),
        ({"x": "1"}, []),
        ({}, ["both", "first", "crossed", "empty", "none"]),
        ([], ["both", "first", "crossed", "empty", "none"]),
    ],
)
def test_metadata_filters(backend: Backend, admin: RequestContext, kind: str, value: Any, found: list[str]) -> None:
    """The crossed one has key and value in different rows: found too, as in the reference."""
    table = f"instance_{kind}"
    pairs: dict[str, dict[str, str | None]] = {
        "both": {"a": "1", "b": "2"},
        "first": {"a": "1"},
        "crossed": {"a": "2", "b": "1"},
        "empty": {"a": None},
        "none": {},
    }
    for name, items in pairs.items():
        row = instance(display_name=name)
        for key, item in items.items():
            label(table, key, row, value=item)
    assert names(admin, {kind: value}) == found


def test_metadata_filters_see_live_metadata_and_all_system_metadata(backend: Backend, admin: RequestContext) -> None:
    row = instance(display_name="x")
    for table in ("instance_metadata", "instance_system_metadata"):
        deleted(table, label(table, "a", row, value="1"))
    for context in (admin, get_admin_context(read_deleted="yes")):
        assert names(context, {"metadata": {"a": "1"}}) == []
        assert names(context, {"system_metadata": {"a": "1"}}) == ["x"]


@pytest.mark.parametrize("wrong", ["a", None, ["a"], 5])
def test_metadata_of_another_shape_is_refused(backend: Backend, admin: RequestContext, wrong: Any) -> None:
    with pytest.raises(exceptions.InvalidInput):
        names(admin, {"metadata": wrong})


# -- patterns ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ({"display_name": "t.*st."}, ["teeeest2", "test-heart-test"]),
        ({"display_name": "test"}, ["test-heart-test"]),
        ({"display_name": "^te+st2$"}, ["teeeest2"]),
        ({"display_name": "ⓦ"}, ["ⓣⓔⓢⓣ-ⓦ"]),
        ({"display_name": "test", "hostname": "no"}, []),
        ({"memory_mb": "^51"}, ["teeeest2"]),
        ({"memory_mb": 512}, ["teeeest2"]),
        ({"access_ip_v4": "^10"}, ["teeeest2"]),
        ({"locked_by": "own"}, ["teeeest2"]),
        ({"launched_at": "2016-04"}, ["teeeest2"]),
        ({"id": "^$"}, []),
        ({"hostname": None}, ["teeeest2"]),
        ({"hostname": "."}, ["teeeest2"]),
    ],
)
def test_patterns_match_anywhere_in_any_column(
    backend: Backend, admin: RequestContext, filters: dict[str, Any], found: list[str]
) -> None:
    """NULL matches no pattern, not even the text None."""
    values: dict[str, Any] = {"memory_mb": 512, "access_ip_v4": "10.0.0.1", "locked_by": "owner", "launched_at": T0}
    instance(display_name="teeeest2", hostname="None", **values)
    instance(display_name="test-heart-test")
    instance(display_name="ⓣⓔⓢⓣ-ⓦ")
    assert names(admin, filters) == found


def test_booleans_and_deleted_instances_by_pattern(backend: Backend, admin: RequestContext) -> None:
    instance(display_name="locked", locked=True)
    instance(display_name="free", locked=False)
    instance(display_name="unknown")
    assert names(admin, {"locked": "^(1|true)$"}) == ["locked"]


@pytest.mark.parametrize(
    "key", ["filter", "marker", "limit", "tenant_id", "project_only", "ip", "ip6", "name", "info_cache", "items", "x"]
)
@pytest.mark.filterwarnings("ignore::nova_sqlcore.UnknownFilterWarning")
def test_keys_that_are_no_column_mean_nothing(backend: Backend, admin: RequestContext, key: str) -> None:
    instance(display_name="a")
    assert names(admin, {key: None if key == "filter" else "zzz"}) == ["a"]


def test_the_operator_is_looked_up_at_each_call(
    backend: Backend, admin: RequestContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("a-test-b", "te.t"):
        instance(display_name=name)
    assert names(admin, {"display_name": "te.t"}) == ["a-test-b", "te.t"]
    asked: list[str] = []

    def like(connection: str) -> str:
        asked.append(connection)
        return "LIKE"

    monkeypatch.setattr(instances, "_get_regexp_op_for_connection", like)
    assert names(admin, {"display_name": "%test%"}) == ["a-test-b"]
    assert names(admin, {"display_name": "te.t"}) == ["te.t"]
    assert asked == [backend.family] * 2


@pytest.mark.parametrize(
    ("connection", "operator"),
    [
        ("postgresql", "~"),
        ("postgresql://", "~"),
        ("postgresql+psycopg://u:p@h/d", "~"),
        ("mysql", "REGEXP"),
        ("mysql+pymysql://u@h/d", "REGEXP"),
        ("mariadb://", "REGEXP"),
        ("sqlite://", "REGEXP"),
        ("oracle://", "LIKE"),
        ("", "LIKE"),
    ],
)
def test_operator_of_a_connection(connection: str, operator: str) -> None:
    assert instances._get_regexp_op_for_connection(connection) == operator


# -- blocks -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def labelled(backend: Backend) -> None:
    """Store instances with pairs of metadata."""
    instance({"foo": "bar"}, display_name="1")
    instance({"foo": "bar", "wibble": "wobble"}, display_name="2")
    instance({"foo": "baz"}, display_name="3")
    row = instance(display_name="4")
    deleted("instance_metadata", label("instance_metadata", "foo", row, value="bar"))


@pytest.mark.parametrize(
    ("blocks", "found"),
    [
        (None, "1234"),
        ([], "1234"),
        ([{"name": "tag:foo", "value": "bar"}], "12"),
        ([{"name": "tag:foo", "value": ["bar", "baz"]}], "123"),
        ([{"name": "tag:foo", "value": {"x": "bar"}}], "12"),
        ([{"name": "tag:foo", "value": {"bar"}}], "12"),
        ([{"name": "tag:foo", "value": "bar"}, {"name": "tag:wibble", "value": ("wobble",)}], "2"),
        ([{"name": "tag-key", "value": "wibble"}], "2"),
        ([{"name": "tag-value", "value": ["baz", "wobble"]}], "23"),
        ([{"name": "tag-key", "value": "wibble"}, {"name": "tag-value", "value": "baz"}], "23"),
        ([{"name": "tag-key", "value": "x"}, {"name": "tag-key", "value": "foo"}], "123"),
        ([{"name": "tag:foo", "value": "bar"}, {"name": "tag-key", "value": "wibble"}], "2"),
        ([{"name": "tag-key", "value": None}], ""),
        ([{"name": "tag-key"}], ""),
        ([{"name": "tag:foo", "value": None}], ""),
        (["tag-key", {"value": "x"}, {"name": None}, {"name": "other", "value": "x"}, 5], "1234"),
    ],
)
def test_filter_blocks(labelled: None, admin: RequestContext, blocks: Any, found: str) -> None:
    assert names(admin, {"filter": blocks}) == list(found)


def test_filter_blocks_follow_read_deleted(labelled: None) -> None:
    block = {"filter": [{"name": "tag:foo", "value": "bar"}]}
    assert names(get_admin_context(read_deleted="yes"), block) == ["1", "2", "4"]
    assert names(get_admin_context(read_deleted="only"), block) == ["4"]


def test_unknown_filter_block_is_refused(backend: Backend, admin: RequestContext) -> None:
    with pytest.raises(exceptions.InvalidParameterValue) as caught:
        names(admin, {"filter": [{"name": "tag-wrong", "value": "x"}]})
    assert "wrong" in caught.value.kwargs["err"]


# -- who asks ---------------------------------------------------------------------------------------------------------


def test_users_see_their_project_whatever_they_filter_by(backend: Backend, ctxt: RequestContext) -> None:
    instance(display_name="own")
    instance(display_name="colleague's", user_id="colleague")
    instance(display_name="foreign", project_id="other")
    filters = {"project_id": "other"}
    assert names(ctxt, filters) == ["own", "colleague's"]
    assert filters == {"project_id": "other"}
    assert names(ctxt, {"user_id": "colleague"}) == ["colleague's"]
    assert names(ctxt.elevated(), {"project_id": "other"}) == ["foreign"]


# -- order of evaluation ----------------------------------------------------------------------------------------------


def _listing(**given: Any) -> Callable[[RequestContext], list[Any]]:
    filters = given.pop("filters", {})
    return lambda context: instances.instance_get_all_by_filters_sort(context, filters, **given)


def _listing_by(*args: Any) -> Callable[[RequestContext], list[Any]]:
    return lambda context: instances.instance_get_all_by_filters(context, {}, *args)


BLOCK = {"filter": [{"name": "tag-wrong"}]}


@pytest.mark.parametrize(
    "call",
    [
        _listing(limit=0, sort_keys=["x"], sort_dirs=["up"], columns_to_join=["x"], filters={"tags": 5}),
        _listing(filters={"uuid": [], **BLOCK}, marker=NO_UUID, sort_keys=["x"]),
        _listing(filters={"task_state": (), "display_name": "("}),
    ],
)
def test_shortcuts_win_over_later_errors(
    backend: Backend, admin: RequestContext, sql_count: SqlCount, call: Callable[..., list[Row]]
) -> None:
    with sql_count(0):
        assert call(admin) == []


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (_listing(sort_dirs=["up"], columns_to_join=["x"]), exceptions.InvalidInput),
        (_listing(sort_keys=["id"], sort_dirs=["asc", "asc"], columns_to_join=["x"]), exceptions.InvalidInput),
        (_listing(limit=-1, sort_keys=["x"]), exceptions.InvalidInput),
        (_listing(limit="many"), exceptions.InvalidInput),
        (_listing(columns_to_join=["x"], filters={"changes-since": "x"}), ValueError),
        (_listing(filters={"changes-since": "x", "uuid": []}), AttributeError),
        (_listing(filters={"tags": 5, "uuid": []}), exceptions.InvalidInput),
        (_listing(filters=BLOCK, marker=NO_UUID, sort_keys=["x"]), exceptions.InvalidParameterValue),
        (_listing(marker=NO_UUID, sort_keys=["x"]), exceptions.MarkerNotFound),
        (_listing(sort_keys=["id", "x"]), exceptions.InvalidSortKey),
        (_listing(sort_keys=["name"]), exceptions.InvalidSortKey),
        (_listing(sort_keys=["metadata"]), exceptions.InvalidSortKey),
        (_listing_by(None), exceptions.InvalidSortKey),
        (_listing_by("id", None), exceptions.InvalidInput),
    ],
)
def test_the_first_error_wins(
    backend: Backend, admin: RequestContext, call: Callable[..., list[Row]], error: type[Exception]
) -> None:
    with pytest.raises(error):
        call(admin)


def test_an_unknown_marker_is_named(backend: Backend, admin: RequestContext) -> None:
    with pytest.raises(exceptions.MarkerNotFound) as caught:
        names(admin, {}, marker="garbage")
    assert "garbage" in str(caught.value)


# -- sort parameters --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keys", "dirs", "kwargs", "expected"),
    [
        ([], [], {}, (["created_at", "id"], ["asc", "asc"])),
        (None, None, {}, (["created_at", "id"], ["asc", "asc"])),
        (["key1", "key2"], ["asc", "desc"], {}, (["key1", "key2", "created_at", "id"], ["asc", "desc", "asc", "asc"])),
        (["id", "key2"], ["asc", "desc"], {}, (["id", "key2", "created_at"], ["asc", "desc", "asc"])),
        (["id", "key2"], ["desc"], {"default_dir": "dir"}, (["id", "key2", "created_at"], ["desc"] * 3)),
        (["id", "key2"], [], {"default_dir": "dir"}, (["id", "key2", "created_at"], ["dir"] * 3)),
        (["id", "k2", "k3"], ["desc", "asc"], {}, (["id", "k2", "k3", "created_at"], ["desc", "asc", "desc", "desc"])),
        (["k"], None, {"default_keys": [], "default_dir": "dir1"}, (["k"], ["dir1"])),
        ([], [], {"default_keys": []}, ([], [])),
    ],
)
def test_sort_parameters_are_completed(keys: Any, dirs: Any, kwargs: Any, expected: Any) -> None:
    before = (list(keys or []), list(dirs or []))
    assert paging.process_sort_params(keys, dirs, **kwargs) == expected
    assert (list(keys or []), list(dirs or [])) == before


@pytest.mark.parametrize(
    ("keys", "dirs"), [(["id"], ["foo"]), (["id"], ["asc", "desc"]), ([], ["asc"]), (["id"], [None]), (["a"], ["ASC"])]
)
def test_bad_sort_parameters(keys: Any, dirs: Any) -> None:
    with pytest.raises(exceptions.InvalidInput):
        paging.process_sort_params(keys, dirs)


# -- sorting and paging -----------------------------------------------------------------------------------------------


def test_the_default_is_newest_first(backend: Backend, admin: RequestContext) -> None:
    for name, hours in (("old", 0), ("new", 2), ("twin1", 1), ("twin2", 1)):
        instance(display_name=name, created_at=T0 + hours * HOUR)
    expected = ["new", "twin2", "twin1", "old"]
    assert names(admin, {}, sort_keys=None, sort_dirs=None) == expected
    assert [row["display_name"] for row in instances.instance_get_all_by_filters(admin, {})] == expected


def test_null_is_the_smallest_value_everywhere(backend: Backend, admin: RequestContext) -> None:
    for name, host in (("b", "2"), ("null", None), ("a", "1")):
        instance(display_name=name, host=host)
    assert names(admin, {}, sort_keys=["host"], sort_dirs=["asc"]) == ["null", "a", "b"]
    assert names(admin, {}, sort_keys=["host"], sort_dirs=["desc"]) == ["b", "a", "null"]


def test_pages_follow_the_marker(backend: Backend, admin: RequestContext) -> None:
    rows = [instance(display_name=name) for name in ("a", "b", "c")]
    for place, row in enumerate(rows, 1):
        assert names(admin, {}, marker=row["uuid"]) == ["a", "b", "c"][place:]
        assert names(admin, {}, marker=row["uuid"], sort_dirs=["desc"]) == ["c", "b", "a"][4 - place :]
    assert names(admin, {}, limit=2) == ["a", "b"]
    assert names(admin, {}, limit=2, marker=rows[0]["uuid"]) == ["b", "c"]
    assert names(admin, {}, limit=2**70 // 2**8) == ["a", "b", "c"]


def test_a_marker_need_not_be_visible_nor_match(backend: Backend, ctxt: RequestContext) -> None:
    foreign = instance(display_name="foreign", project_id="other", created_at=T0)
    gone = instance(display_name="gone", created_at=T0 + HOUR)
    deleted("instances", gone)
    instance(display_name="last", created_at=T0 + 2 * HOUR)
    by_time = {"sort_keys": ["created_at"], "sort_dirs": ["asc"]}
    assert names(ctxt, {"deleted": False}, marker=foreign["uuid"], **by_time) == ["last"]
    assert names(ctxt, {"deleted": False}, marker=gone["uuid"], **by_time) == ["last"]


@pytest.mark.parametrize("size", [1, 2, 3])
@pytest.mark.parametrize("dead", [False, True])
def test_pages_over_several_keys_are_the_list(backend: Backend, admin: RequestContext, size: int, dead: bool) -> None:
    for number in range(6):
        row = instance(
            display_name="abc"[number % 3], vm_state=["active", None][number % 2], created_at=T0 + number // 3 * HOUR
        )
        if dead:
            deleted("instances", row)
    order = {"sort_keys": ["display_name", "vm_state", "created_at"], "sort_dirs": ["asc", "desc", "asc"]}
    assert _pages(admin, {"deleted": dead}, order, size) == _ids(admin, {"deleted": dead}, **order)


def test_the_marker_costs_one_narrow_statement(backend: Backend, admin: RequestContext, sql_count: SqlCount) -> None:
    rows = [instance({"k": "v"}) for _ in range(3)]
    with sql_count(2) as seen:
        instances.instance_get_all_by_filters(admin, {}, limit=1, marker=rows[2]["uuid"], columns_to_join=[])
    assert "user_data" not in seen[0]
    with sql_count(5):
        instances.instance_get_all_by_filters(admin, {}, limit=1, marker=rows[2]["uuid"])


def test_all_filters_at_once_are_one_statement(backend: Backend, admin: RequestContext, sql_count: SqlCount) -> None:
    filters = {
        "changes-since": T0,
        "deleted": False,
        "cleaned": False,
        "tags": ["a", "b"],
        "tags-any": ["a"],
        "project_id": ["project", "other"],
        "metadata": {"k": "v"},
        "system_metadata": [{"k": "v"}],
        "host": "h",
        "task_state": None,
        "display_name": "x",
        "filter": [{"name": "tag:k", "value": "v"}, {"name": "tag-key", "value": "k"}],
    }
    row = instance({"k": "v"}, {"k": "v"}, "ab", host="h", display_name="xyz", updated_at=T0)
    instance({"k": "v"}, {"k": "v"}, "ab", host="h", display_name="other", updated_at=T0)
    with sql_count(1):
        assert _ids(admin, filters) == [row["id"]]


def test_statements_are_kept_by_shape(backend: Backend, admin: RequestContext) -> None:
    built = pages._list_statement.cache_info
    names(admin, {"host": "a", "display_name": "x", "vm_state": ["a"]}, limit=1)
    before = built().misses
    names(admin, {"display_name": "y", "vm_state": ["a", "b", "c"], "host": "b"}, limit=5)
    assert built().misses == before


def test_by_filters_hands_its_arguments_on(
    backend: Backend, admin: RequestContext, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[Any] = []
    monkeypatch.setattr(
        instances, "instance_get_all_by_filters_sort", lambda *args, **kwargs: calls.append((args, kwargs))
    )
    filters = {"foo": "bar"}
    instances.instance_get_all_by_filters(admin, filters, "sort_key", "sort_dir", 1, "marker", ["j"])
    expected = {"limit": 1, "marker": "marker", "columns_to_join": ["j"], "sort_keys": ["sort_key"]}
    assert calls == [((admin, filters), expected | {"sort_dirs": ["sort_dir"]})]


WORDS = strategies.one_of(strategies.none(), strategies.sampled_from(["a", "b", "bc", "c"]))
VALUES = strategies.fixed_dictionaries(
    {
        "display_name": WORDS,
        "vm_state": WORDS,
        "memory_mb": strategies.one_of(strategies.none(), strategies.integers(-2, 2)),
        "locked": strategies.sampled_from([None, True, False]),
        "locked_by": strategies.sampled_from([None, "owner", "admin"]),
        "access_ip_v4": strategies.sampled_from([None, "10.0.0.1", "10.0.0.2"]),
        "launched_at": strategies.sampled_from([None, T0, T0 + HOUR]),
        "created_at": strategies.sampled_from([None, T0, T0 + HOUR]),
        "key_data": WORDS,
    }
)
SORTABLE = ["display_name", "vm_state", "memory_mb", "locked", "locked_by", "access_ip_v4", "launched_at", "key_data"]
ORDERS = strategies.lists(
    strategies.tuples(
        strategies.sampled_from([*SORTABLE, "created_at", "id", "uuid"]), strategies.sampled_from(["asc", "desc"])
    ),
    max_size=4,
)
#: For some of them there is an index, so that pages are read in another way.
USUAL = strategies.builds(
    lambda key, direction: [(key, direction)],
    strategies.sampled_from(["created_at", "id", "uuid"]),
    strategies.sampled_from(["asc", "desc"]),
)
FILTERS = strategies.sampled_from([{}, {"deleted": False}, {"deleted": False, "vm_state": "a"}])


@hypothesis.given(
    rows=strategies.lists(VALUES, min_size=1, max_size=8),
    order=strategies.one_of(ORDERS, USUAL),
    more=FILTERS,
    size=strategies.integers(1, 4),
)
@hypothesis.settings(
    max_examples=60, deadline=None, suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture]
)
def test_pages_over_any_keys_are_the_list(
    backend: Backend, admin: RequestContext, rows: list[Row], order: list[tuple[str, str]], more: Row, size: int
) -> None:
    project = str(uuid.uuid4())
    with tx.writer(admin):
        stored = {row["id"]: row for row in (instance(project_id=project, **values) for values in rows)}
    by = {"sort_keys": [key for key, _ in order], "sort_dirs": [direction for _, direction in order]}
    filters = {"project_id": project, **more}
    listed = _ids(admin, filters, **by)
    assert _pages(admin, filters, by, size) == listed
    expected = list(stored.values())
    if more:
        expected = [row for row in expected if "vm_state" not in more or row["vm_state"] == "a"]
    first = order[0][1] if order else "desc"
    for key, direction in reversed([*order, ("created_at", first), ("id", first)]):
        expected.sort(key=lambda row: (row[key] is not None, row[key]), reverse=direction == "desc")
    assert listed == [row["id"] for row in expected]


@pytest.mark.parametrize("direction", ["asc", "desc"])
@pytest.mark.parametrize("scope", [{}, {"project_id": "project"}, {"project_id": "PROJECT"}])
def test_pages_by_age_are_the_list(backend: Backend, admin: RequestContext, scope: Row, direction: str) -> None:
    """With ties, and with instances that have no age; in a project, and in all."""
    times = [T0, None, T0 + HOUR, T0, None, T0 + HOUR, None, T0 - HOUR]
    stored = [instance(created_at=time, project_id=name) for time in times for name in ("project", "PROJECT")]
    for row in stored[2::5]:
        deleted("instances", row)
    live = [
        row
        for row in stored
        if row not in stored[2::5] and row["project_id"] == scope.get("project_id", row["project_id"])
    ]
    live.sort(
        key=lambda row: (row["created_at"] is not None, row["created_at"], row["id"]), reverse=direction == "desc"
    )
    order = {"sort_keys": ["created_at"], "sort_dirs": [direction]}
    for size in (1, 2, 3, 20):
        for joins in ([], ["info_cache", "extra"]):
            assert _pages(admin, {"deleted": False, **scope}, order, size, joins) == [row["id"] for row in live]


def _ids(context: Any, filters: dict[str, Any], **kwargs: Any) -> list[int]:
    found = instances.instance_get_all_by_filters_sort(context, filters, columns_to_join=[], **kwargs)
    return [row["id"] for row in found]


def _pages(
    context: Any, filters: dict[str, Any], order: dict[str, Any], size: int, joins: Sequence[str] = ()
) -> list[int]:
    """Return the ids of all pages, each begun behind the last instance of the one before."""
    seen: list[int] = []
    marker = None
    while True:
        page = instances.instance_get_all_by_filters_sort(
            context, filters, size, marker, joins, columns=["id", "uuid"], **order
        )
        seen += [row["id"] for row in page]
        if not page:
            return seen
        assert len(page) <= size
        marker = page[-1]["uuid"]


def test_every_column_can_be_sorted_by_and_searched(backend: Backend, admin: RequestContext) -> None:
    row = instance()
    for name in instance_rows.COLUMNS:
        for direction in ("asc", "desc"):
            order = {"sort_keys": [name], "sort_dirs": [direction]}
            assert _pages(admin, {}, order, 1) == [row["id"]]
        names(admin, {name: "x"})


def test_nothing_is_sorted_by_behind_the_id(backend: Backend, admin: RequestContext, sql_log: SqlLog) -> None:
    """With more terms MariaDB sorts all instances in place of reading the first ones in the order of ids."""
    with sql_log() as sent:
        instances.instance_get_all_by_filters(admin, {"deleted": False}, "id", "asc", limit=5, columns_to_join=[])
    assert sent[-1].partition("ORDER BY")[2].split("LIMIT")[0].strip() == "instances.id ASC"
