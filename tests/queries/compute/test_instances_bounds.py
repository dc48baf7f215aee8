# SPDX-License-Identifier: Apache-2.0

"""Filters of instances that a tenant may send: patterns, many values, unknown names (docs/filters.rst)."""

from __future__ import annotations

import contextlib
import re
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest

from nova_sqlcore import RequestContext, UnknownFilterWarning, api, exceptions, get_admin_context, tx
from nova_sqlcore.settings import settings
from tests.core.test_patterns import BAD
from tests.queries import instance_factory

if TYPE_CHECKING:
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

TENANT = RequestContext("user", "project")
WORDS = ("web-1", "web_22", "db.example", "a b", "x]y", "é", "[id]", "100%", "", "c\\d", "abcabc")
GOOD = [
    "",
    "b",
    "^web",
    "[0-9]+$",
    "e.-1",
    "web|db",
    "(abc){2}",
    "^.{2,3}$",
    r"\d\d",
    r"b\.e",
    r"\s",
    "x]",
    "[]]",
    "[^a-z]",
]
GOOD += [
    "%",
    r"\\",
    r"\[id\]",
    "^$",
    "(we|d)b",
    "a?b+",
    "[a-c]{6}",
    "[_-]",
    "é",
    "ab*?c",
    "a{1,}b",
    r"^\w+_",
    "(|x)y",
    "&&",
    "#",
]


def names(filters: dict[str, Any]) -> list[str]:
    found = api.instance_get_all_by_filters_sort(TENANT, filters, sort_keys=["id"], sort_dirs=["asc"])
    return [str(row["display_name"]) for row in found]


def instance(name: str = "x", **values: Any) -> None:
    instance_factory.instance(display_name=name, **values)


class TestPatterns:
    @pytest.mark.parametrize("pattern", GOOD)
    def test_servers_agree(self, pattern: str) -> None:
        for word in WORDS:
            instance(word)
        assert names({"display_name": pattern}) == [word for word in WORDS if re.search(pattern, word)]

    def test_a_bad_one_is_refused_and_the_transaction_goes_on(self) -> None:
        with tx.writer(TENANT):
            for pattern in BAD:
                with pytest.raises(exceptions.InvalidInput, match="display_name"):
                    names({"display_name": pattern})
            instance_factory.insert("certificates", project_id="p")
            assert names({"display_name": "x"}) == []

    @pytest.mark.parametrize(
        "pattern", ["(a+)+$", "(a|a)*b", "a*a*a*a*b", "a*a*a*a*a*b", "a{0,200}a{0,200}b", "(a?){200}b"]
    )
    def test_time_is_bounded(self, pattern: str) -> None:
        for _ in range(3):
            instance("a" * 254 + "!")
        begin = time.monotonic()
        with contextlib.suppress(exceptions.InvalidInput):
            assert names({"display_name": pattern}) == []
        assert time.monotonic() - begin < 20

    @pytest.mark.only_on("sqlite", why="the engine runs in the process")
    def test_a_signal_is_not_lost(self) -> None:
        class Alarm(BaseException):
            """What a caller's handler raises."""

        def ring(*_: object) -> None:
            raise Alarm

        for _ in range(20):
            instance(user_data="ab" * 400_000)
        before = signal.signal(signal.SIGALRM, ring)
        rung = 0
        try:
            for _ in range(5):
                signal.setitimer(signal.ITIMER_REAL, 0.2)
                # where sqlite enters the callback nothing can be caught yet: there the statement fails
                with pytest.raises((Alarm, exceptions.DBError)) as raised:
                    names({"user_data": "a.*a.*a.*c"})
                rung += raised.type is Alarm
            assert rung > 2
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            signal.signal(signal.SIGALRM, before)
        assert len(names({})) == 20


class TestManyValues:
    def test_as_many_as_the_limit_says(self, sql_count: SqlCount) -> None:
        many = {f"key{number}": f"value{number}" for number in range(settings.max_filter_values)}
        instance("all", metadata=dict(list(many.items())[:300]), tags=[f"tag{number}" for number in range(300)])
        instance("none")
        some = dict(list(many.items())[:300])
        begin = time.monotonic()
        assert (
            names({"metadata": some}) == names({"metadata": [{key: value} for key, value in some.items()]}) == ["all"]
        )
        assert names({"metadata": many}) == names({"system_metadata": many}) == []
        assert names({"tags": [f"tag{number}" for number in range(300)]}) == ["all"]
        assert names({"tags": [f"tag{number}" for number in range(1000)]}) == []
        assert names({"tags-any": [f"tag{number}" for number in range(1000)]}) == ["all"]
        blocks = [{"name": f"tag:{key}", "value": [value]} for key, value in some.items()]
        assert names({"filter": blocks}) == ["all"]
        assert names({"filter": [*blocks, {"name": "tag:key0", "value": ["value1"]}]}) == []
        assert names({"filter": [{"name": "tag-value", "value": list(many.values())}]}) == ["all"]
        assert time.monotonic() - begin < 60
        with sql_count(1):
            api.instance_get_all_by_filters(TENANT, {"metadata": some}, columns_to_join=[], columns=("uuid",))

    @pytest.mark.parametrize("name", ["metadata", "system_metadata", "tags", "tags-any", "filter"])
    def test_more_are_refused(self, name: str) -> None:
        words = [str(number) for number in range(settings.max_filter_values + 1)]
        values: dict[str, list[Any]] = {
            "metadata": [dict.fromkeys(words, "v"), [{word: "v"} for word in words]],
            "tags": [words],
            "filter": [
                [{"name": f"tag:{word}", "value": ["v"]} for word in words],
                [{"name": "tag-key", "value": words}],
            ],
        }
        values |= {"system_metadata": values["metadata"], "tags-any": values["tags"]}
        with tx.writer(TENANT):
            for value in values[name]:
                with pytest.raises(exceptions.InvalidInput, match=f"{name} takes 1000 values at most, not 1001"):
                    names({name: value})
            assert names({}) == []

    def test_keys_and_values_count_once(self) -> None:
        instance("x", metadata={"a": "1", "b": "1", "A": "2"})
        assert names({"metadata": [{"a": "1"}, {"b": 1}, {"a": 1}]}) == ["x"]
        assert names({"metadata": {"A": "1", "a": "2"}}) == ["x"]
        assert names({"metadata": {"a": "3"}}) == names({"metadata": {"c": "1"}}) == []
        assert names({"metadata": {"a": None}}) == []
        assert names({"metadata": {}}) == names({"metadata": []}) == ["x"]


class TestUnknownNames:
    def test_a_warning_points_at_the_caller(self) -> None:
        instance()
        with pytest.warns(UnknownFilterWarning, match="no filter 'hots'; did you mean 'host'") as caught:
            found = api.instance_get_all_by_filters(get_admin_context(), {"hots": "a"})
        assert len(found) == 1
        assert [one.filename for one in caught] == [__file__]
