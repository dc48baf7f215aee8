# SPDX-License-Identifier: Apache-2.0

"""Key pairs: creating, looking up, counting, destroying (04-quotas-security 1)."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, cast

import pytest

from nova_sqlcore import RequestContext, UnknownColumnWarning, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.security import key_pairs

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

Row = dict[str, Any]


def key_pair(user_id: Any = "u", name: str = "n", **more: Any) -> Row:
    given = {"user_id": user_id, "name": name, "fingerprint": "f", "public_key": "ssh-rsa x", **more}
    return cast("Row", key_pairs.key_pair_create(get_admin_context(), given))


class TestCreate:
    def test_the_new_row_is_what_a_read_shows(self, admin: RequestContext, sql_count: SqlCount) -> None:
        given = {"user_id": "u", "name": "n", "fingerprint": "f", "public_key": "k" * 70000}
        with sql_count(1):
            row = key_pairs.key_pair_create(admin, given)
        assert row == key_pairs.key_pair_get(admin, "u", "n")
        assert set(row) == set(tables.key_pairs.c.keys())
        assert {name: row[name] for name in given} == given  # type: ignore[literal-required]  # columns all
        assert (row["type"], row["deleted"], row["deleted_at"], row["updated_at"]) == ("ssh", 0, None, None)
        assert isinstance(row["created_at"], datetime.datetime)

    @pytest.mark.parametrize(("given", "stored"), [(None, "ssh"), ("ssh", "ssh"), ("x509", "x509")])
    def test_type(self, admin: RequestContext, given: str | None, stored: str) -> None:
        assert key_pair(type=given)["type"] == stored == key_pairs.key_pair_get(admin, "u", "n")["type"]

    def test_a_taken_name(self, admin: RequestContext) -> None:
        key_pair()
        with pytest.raises(exceptions.KeyPairExists) as raised:
            key_pair(fingerprint="other")
        assert raised.value.kwargs == {"key_name": "n", "code": 500}
        key_pair("v")
        assert key_pairs.key_pair_count_by_user(admin, "u") == 1

    def test_a_taken_name_leaves_the_callers_transaction_alive(self, admin: RequestContext) -> None:
        key_pair()
        with tx.writer(admin):
            with pytest.raises(exceptions.KeyPairExists):
                key_pairs.key_pair_create(admin, {"user_id": "u", "name": "n"})
            key_pairs.key_pair_create(admin, {"user_id": "u", "name": "m"})
        assert key_pairs.key_pair_count_by_user(admin, "u") == 2

    def test_destroyed_names_are_free_again(self, admin: RequestContext) -> None:
        for _ in range(3):
            key_pair()
            key_pairs.key_pair_destroy(admin, "u", "n")
        assert key_pair()["deleted"] == 0

    def test_a_missing_name_is_no_duplicate(self, admin: RequestContext) -> None:
        with pytest.raises(exceptions.DBError) as raised:
            key_pairs.key_pair_create(admin, {"user_id": "u"})
        assert not isinstance(raised.value, exceptions.DBDuplicateEntry)

    def test_unknown_keys_are_not_stored(self, admin: RequestContext) -> None:
        with pytest.warns(UnknownColumnWarning, match="fingerprints"):
            assert "fingerprints" not in key_pairs.key_pair_create(admin, {"name": "n", "fingerprints": "f"})


class TestLookups:
    def test_get(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        row = key_pair()
        key_pair("v")
        key_pair(name="m")
        with sql_count(1):
            assert key_pairs.key_pair_get(ctxt, "u", "n") == row
        with tx.reader(ctxt):
            assert key_pairs.key_pair_get(ctxt, "u", "n") == row

    @pytest.mark.parametrize("call", [key_pairs.key_pair_get, key_pairs.key_pair_destroy])
    def test_no_such_key_pair(self, admin: RequestContext, call: Callable[..., Any]) -> None:
        key_pair("v")
        with pytest.raises(exceptions.KeypairNotFound) as raised:
            call(admin, "u", "n")
        assert raised.value.kwargs == {"user_id": "u", "name": "n", "code": 404}

    def test_of_namesakes_the_live_one_else_the_newest(self, admin: RequestContext) -> None:
        gone = []
        for _ in range(2):
            gone.append(key_pair()["id"])
            key_pairs.key_pair_destroy(admin, "u", "n")
        for word in ("yes", "only"):
            assert key_pairs.key_pair_get(get_admin_context(word), "u", "n")["id"] == gone[-1]
        with pytest.raises(exceptions.KeypairNotFound):
            key_pairs.key_pair_get(admin, "u", "n")
        live = key_pair()
        assert key_pairs.key_pair_get(get_admin_context("yes"), "u", "n") == live
        assert key_pairs.key_pair_get(get_admin_context("only"), "u", "n")["id"] == gone[-1]

    def test_by_user(self, admin: RequestContext, sql_count: SqlCount) -> None:
        mine = [key_pair(name=name) for name in "bca"]
        key_pair("v")
        key_pair(name="gone")
        key_pairs.key_pair_destroy(admin, "u", "gone")
        context = get_admin_context("yes")
        with sql_count(2):
            assert key_pairs.key_pair_get_all_by_user(context, "u") == mine
            assert key_pairs.key_pair_count_by_user(context, "u") == 3
        assert key_pairs.key_pair_get_all_by_user(admin, "nobody") == []
        assert key_pairs.key_pair_count_by_user(admin, "nobody") == 0

    def test_users_see_each_others_key_pairs(self, ctxt: RequestContext) -> None:
        row = key_pair("somebody")
        assert key_pairs.key_pair_get(ctxt, "somebody", "n") == row

    def test_none_means_null_and_numbers_are_text(self, admin: RequestContext) -> None:
        nobodys, numbered = key_pair(None), key_pair(12)
        assert numbered["user_id"] == "12"
        for user, row in ((None, nobodys), (12, numbered)):
            who = cast("str", user)
            assert key_pairs.key_pair_get(admin, who, "n") == row
            assert key_pairs.key_pair_get_all_by_user(admin, who) == [row]
            assert key_pairs.key_pair_count_by_user(admin, who) == 1


class TestDestroy:
    def test_soft_delete(self, admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
        row, other = key_pair(), key_pair(name="m")
        now = frozen_clock.advance(5)
        with sql_count(1):
            key_pairs.key_pair_destroy(admin, "u", "n")
        after = key_pairs.key_pair_get(get_admin_context("yes"), "u", "n")
        assert after == row | {"deleted": row["id"], "deleted_at": now}
        assert key_pairs.key_pair_get_all_by_user(admin, "u") == [other]

    def test_twice(self, admin: RequestContext, frozen_clock: FrozenClock) -> None:
        row = key_pair()
        key_pairs.key_pair_destroy(admin, "u", "n")
        with pytest.raises(exceptions.KeypairNotFound):
            key_pairs.key_pair_destroy(admin, "u", "n")
        now = frozen_clock.advance(5)
        key_pairs.key_pair_destroy(get_admin_context("yes"), "u", "n")
        after = key_pairs.key_pair_get(get_admin_context("only"), "u", "n")
        assert (after["deleted"], after["deleted_at"]) == (row["id"], now)


@pytest.mark.parametrize(
    "call",
    [
        lambda context: key_pairs.key_pair_create(context, {"name": "n"}),
        lambda context: key_pairs.key_pair_destroy(context, "u", "n"),
        lambda context: key_pairs.key_pair_get(context, "u", "n"),
        lambda context: key_pairs.key_pair_get_all_by_user(context, "u"),
        lambda context: key_pairs.key_pair_count_by_user(context, "u"),
    ],
)
def test_incomplete_contexts_are_refused(call: Callable[[Any], Any]) -> None:
    with pytest.raises(exceptions.Forbidden):
        call(RequestContext("user", None))
