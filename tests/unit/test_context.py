# SPDX-License-Identifier: Apache-2.0

"""Request contexts and their guards (01-core 6)."""

from __future__ import annotations

import copy
import datetime
import pickle
import types
from typing import TYPE_CHECKING, Any

import pytest

from nova_sqlcore import RequestContext, context, exceptions, get_admin_context, target_cell, tx
from nova_sqlcore.core import scopes

if TYPE_CHECKING:
    from collections.abc import Callable

USER = RequestContext("user", "project", quota_class="gold")
ADMIN = get_admin_context()
#: Neither an admin nor a complete user.
INCOMPLETE = [RequestContext(), RequestContext("user"), RequestContext(project_id="project")]


class TestConstruction:
    def test_defaults(self) -> None:
        found = RequestContext()
        assert (found.user_id, found.project_id, found.is_admin, found.read_deleted) == (None, None, False, "no")
        assert (found.roles, found.quota_class, found.db_connection) == ([], None, None)
        assert found.request_id.startswith("req-")
        assert found.request_id != RequestContext().request_id
        assert isinstance(found.timestamp, datetime.datetime)

    def test_given(self) -> None:
        found = RequestContext("u", "p", request_id="r", timestamp="2016-04-07T12:30:15.000001", quota_class="gold")
        assert (found.user_id, found.project_id, found.request_id, found.quota_class) == ("u", "p", "r", "gold")
        assert found.timestamp == datetime.datetime(2016, 4, 7, 12, 30, 15, 1)

    @pytest.mark.parametrize(
        ("roles", "is_admin", "expected"),
        [
            (None, None, False),
            (["member"], None, False),
            (["member", "Admin"], None, True),
            (["admin"], False, False),
            ([], True, True),
        ],
    )
    def test_admins(self, roles: list[str] | None, is_admin: bool | None, expected: bool) -> None:
        assert RequestContext("u", "p", is_admin, roles=roles).is_admin is expected

    def test_another_policy(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(context, "admin_by_roles", lambda context: context.user_id == "root")
        assert RequestContext("root").is_admin
        assert not RequestContext("u", roles=["admin"]).is_admin

    def test_a_bad_time_is_named(self) -> None:
        with pytest.raises(ValueError, match="timestamp is not a time: Invalid isoformat string: 'abc'"):
            RequestContext(timestamp="abc")

    @pytest.mark.parametrize("word", [True, None, "", "foo", "NO"])
    def test_an_unknown_read_deleted(self, word: Any) -> None:
        with pytest.raises(ValueError, match="read_deleted"):
            RequestContext(read_deleted=word)
        found = RequestContext(read_deleted="only")
        with pytest.raises(ValueError, match="read_deleted"):
            found.read_deleted = word
        assert found.read_deleted == "only"

    def test_unknown_arguments_are_dropped(self) -> None:
        with pytest.warns(UserWarning, match="tenant, user"):
            found = RequestContext(user="u", tenant="p")
        assert (found.user_id, found.project_id) == (None, None)

    def test_of_an_admin(self) -> None:
        found = get_admin_context(read_deleted="yes")
        assert (found.user_id, found.project_id, found.is_admin, found.read_deleted) == (None, None, True, "yes")


class TestElevated:
    def test_a_copy_with_rights(self) -> None:
        roles = ["member"]
        found = RequestContext("u", "p", roles=roles, read_deleted="only")
        found.db_connection = tx.Database("cell")
        other = found.elevated()
        assert (other.user_id, other.project_id, other.is_admin, other.read_deleted) == ("u", "p", True, "only")
        assert (other.roles, found.roles, roles) == (["member", "admin"], ["member"], ["member"])
        assert (found.is_admin, other.db_connection) == (False, found.db_connection)
        assert found.elevated("yes").read_deleted == "yes"
        assert other.elevated().roles == ["member", "admin"]
        assert "admin" in RequestContext(roles=["ADMIN"]).elevated().roles

    def test_of_another_class(self) -> None:
        foreign = types.SimpleNamespace(user_id="u", project_id="p", is_admin=False, read_deleted="no")
        other = context.elevated(foreign, "yes")
        assert (other.is_admin, other.read_deleted, other.user_id) == (True, "yes", "u")
        assert (foreign.is_admin, foreign.read_deleted) == (False, "no")
        assert scopes.scopes_of(other) is scopes.scopes_of(foreign)


@pytest.mark.parametrize("derive", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies(derive: Callable[[RequestContext], RequestContext]) -> None:
    found = RequestContext("u", "p", roles=["r"], request_id="r")
    other = derive(found)
    assert (other.user_id, other.project_id, other.roles, other.request_id) == ("u", "p", ["r"], "r")
    other.read_deleted = "yes"
    assert found.read_deleted == "no"


class TestGuards:
    def test_who_is_a_user(self) -> None:
        assert context.is_user_context(USER) is True
        for other in (None, ADMIN, *INCOMPLETE, RequestContext("u", "p", is_admin=True)):
            assert context.is_user_context(other) is False

    def test_complete_contexts_are_required(self) -> None:
        @context.require_context
        def function(context: Any, more: int = 0) -> int:
            """Return more."""
            return more

        assert (function(USER), function(ADMIN, 2), function(context=USER, more=3)) == (0, 2, 3)
        assert (function.__name__, function.__doc__, function.__module__) == ("function", "Return more.", __name__)
        for other in INCOMPLETE:
            with pytest.raises(exceptions.Forbidden) as raised:
                function(other)
            assert type(raised.value) is exceptions.Forbidden
        with pytest.raises(TypeError, match="context"):
            function()  # type: ignore[call-arg]  # what it is about

    def test_admins_are_required(self) -> None:
        context.require_admin_context(ADMIN)
        for other in (USER, *INCOMPLETE):
            with pytest.raises(exceptions.AdminRequired):
                context.require_admin_context(other)

    @pytest.mark.parametrize(
        ("authorize", "own"),
        [
            (context.authorize_project_context, "project"),
            (context.authorize_user_context, "user"),
            (context.authorize_quota_class_context, "gold"),
        ],
    )
    def test_users_keep_to_their_own(self, authorize: Callable[[Any, str | None], None], own: str) -> None:
        authorize(USER, own)
        for other in ("other", None, ""):
            with pytest.raises(exceptions.Forbidden):
                authorize(USER, other)
        for free in (ADMIN, *INCOMPLETE):
            authorize(free, "other")

    def test_a_refusal_says_who_asked_for_what(self) -> None:
        @context.require_context
        def function(context: Any) -> None: ...

        asker = RequestContext("jo", "mine", quota_class="gold", auth_token="secret", service_catalog=[{"secret": "1"}])
        cases: list[tuple[Callable[[], None], str]] = [
            (lambda: context.authorize_project_context(asker, "p9"), "may not act for project 'p9'"),
            (lambda: context.authorize_user_context(asker, "u9"), "may not act for user 'u9'"),
            (lambda: context.authorize_quota_class_context(asker, "q9"), "may not act for quota class 'q9'"),
            (lambda: context.require_admin_context(asker), "only an admin may do this"),
        ]
        for call, words in cases:
            with pytest.raises(exceptions.Forbidden, match="user 'jo' of project 'mine'") as raised:
                call()
            text = raised.value.format_message()
            assert words in text
            assert "secret" not in text
            assert raised.value.kwargs == {"code": 403}
        with pytest.raises(exceptions.Forbidden, match=r"function is for admins.*user 'jo' of project None"):
            function(RequestContext("jo"))

    @pytest.mark.parametrize("other", [None, {}, 5, "text", object(), RequestContext])
    def test_what_is_no_context(self, other: Any) -> None:
        @context.require_context
        def function(context: Any) -> None: ...

        for call in (function, scopes.scopes_of):
            with pytest.raises(TypeError, match="the first argument is the request context"):
                call(other)

    def test_an_error_of_the_contexts_own_passes(self) -> None:
        class Broken:
            user_id = project_id = None
            read_deleted = "no"
            asked = 0

            @property
            def is_admin(self) -> bool:
                self.asked += 1
                if self.asked == 1:
                    raise AttributeError("its own")
                return False

        with pytest.raises(AttributeError, match="its own"):
            context.require_context(lambda context: None)(Broken())

    def test_a_user_without_quota_class(self) -> None:
        for name in ("gold", None):
            with pytest.raises(exceptions.Forbidden):
                context.authorize_quota_class_context(RequestContext("u", "p"), name)


class TestCells:
    @pytest.mark.parametrize("mapping", [types.SimpleNamespace, dict])
    def test_the_context_points_to_the_cell_in_the_block(self, mapping: Any) -> None:
        found = RequestContext("u", "p")
        one, two = (mapping(database_connection=f"sqlite:////nowhere/{name}.sqlite") for name in "ab")
        with target_cell(found, one) as given:
            assert given is found
            first = tx.database_of(found)
            assert first is not tx.main
            with target_cell(found, two):
                assert tx.database_of(found) not in (first, tx.main)
            assert tx.database_of(found) is first
        assert found.db_connection is None
        with pytest.raises(ValueError, match="x"), target_cell(found, one):
            assert tx.database_of(found) is first  # one pool for each address
            raise ValueError("x")
        assert found.db_connection is None
        tx.close()
