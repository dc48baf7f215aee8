# SPDX-License-Identifier: Apache-2.0

"""Agent builds (01-core 9)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from nova_sqlcore import RequestContext, exceptions, get_admin_context, tables
from nova_sqlcore.queries.hosts import agent_builds

if TYPE_CHECKING:
    from tests.plugins.clock import FrozenClock
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")

TRIPLE = {"hypervisor": "kvm", "os": "linux", "architecture": "x86_64"}


def build(**more: Any) -> Any:
    return agent_builds.agent_build_create(get_admin_context(), {**TRIPLE, "version": "1", "url": "u", **more})


def test_the_new_row_is_what_a_read_shows(admin: RequestContext, sql_count: SqlCount) -> None:
    with sql_count(2):
        row = build(md5hash="5")
        assert agent_builds.agent_build_get_by_triple(admin, "kvm", "linux", "x86_64") == row
    assert set(row) == set(tables.agent_builds.c.keys())
    assert (row["md5hash"], row["deleted"]) == ("5", 0)


def test_a_taken_triple_is_named(admin: RequestContext) -> None:
    build()
    with pytest.raises(exceptions.AgentBuildExists) as raised:
        build(version="2")
    assert raised.value.kwargs == {**TRIPLE, "code": 500}
    assert build(os="windows")["os"] == "windows"


def test_partial_rows_never_collide(admin: RequestContext) -> None:
    for given in ({}, {}, {"os": "linux"}, {"os": "linux"}):
        agent_builds.agent_build_create(admin, given)
    assert len(agent_builds.agent_build_get_all(admin)) == 4


def test_get_all(admin: RequestContext, sql_count: SqlCount) -> None:
    assert agent_builds.agent_build_get_all(admin) == []
    rows = [build(), build(hypervisor="xen"), build(os="windows")]
    agent_builds.agent_build_destroy(admin, build(architecture="arm")["id"])
    context = get_admin_context("yes")
    with sql_count(5):
        assert agent_builds.agent_build_get_all(context) == rows
        assert agent_builds.agent_build_get_all(context, None) == rows
        assert agent_builds.agent_build_get_all(context, "") == rows
        assert agent_builds.agent_build_get_all(context, hypervisor="kvm") == [rows[0], rows[2]]
        assert agent_builds.agent_build_get_all(context, "none") == []


def test_by_triple(admin: RequestContext) -> None:
    row = build()
    assert agent_builds.agent_build_get_by_triple(admin, "kvm", "linux", "arm") is None
    agent_builds.agent_build_destroy(admin, row["id"])
    assert agent_builds.agent_build_get_by_triple(get_admin_context("yes"), "kvm", "linux", "x86_64") is None
    again = build()
    assert agent_builds.agent_build_get_by_triple(admin, "kvm", "linux", "x86_64") == again
    bare = agent_builds.agent_build_create(admin, {"os": "linux"})
    assert agent_builds.agent_build_get_by_triple(admin, None, "linux", None) == bare  # type: ignore[arg-type]  # NULL


def test_update(admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
    row, other = build(), build(os="windows")
    now = frozen_clock.advance(3)
    with sql_count(1):
        agent_builds.agent_build_update(admin, row["id"], {"version": "2", "url": None})
    changed = row | {"version": "2", "url": None, "updated_at": now}
    assert agent_builds.agent_build_get_all(admin) == [changed, other]


def test_every_update_marks_the_row(admin: RequestContext, frozen_clock: FrozenClock) -> None:
    row = build()
    for given in ({}, {"version": "1"}):
        now = frozen_clock.advance(3)
        agent_builds.agent_build_update(admin, row["id"], given)
        assert agent_builds.agent_build_get_all(admin) == [row | {"updated_at": now}]


def test_an_update_of_an_unknown_column_is_refused(admin: RequestContext, sql_count: SqlCount) -> None:
    row = build()
    with sql_count(0), pytest.raises(exceptions.DBError, match="verison"):
        agent_builds.agent_build_update(admin, row["id"], {"verison": "2"})


def test_an_update_to_a_taken_triple_passes_the_duplicate(admin: RequestContext) -> None:
    build()
    other = build(os="windows")
    with pytest.raises(exceptions.DBDuplicateEntry):
        agent_builds.agent_build_update(admin, other["id"], {"os": "linux"})


def test_destroy(admin: RequestContext, frozen_clock: FrozenClock, sql_count: SqlCount) -> None:
    row, other = build(), build(os="windows")
    frozen_clock.advance(3)
    with sql_count(1):
        agent_builds.agent_build_destroy(admin, str(row["id"]))  # type: ignore[arg-type]  # ids may be digits
    assert agent_builds.agent_build_get_all(admin) == [other]
    with pytest.raises(exceptions.AgentBuildNotFound) as raised:
        agent_builds.agent_build_destroy(admin, row["id"])
    assert raised.value.kwargs["id"] == row["id"]
    with pytest.raises(exceptions.AgentBuildNotFound):
        agent_builds.agent_build_update(admin, row["id"], {"version": "2"})
    agent_builds.agent_build_update(get_admin_context("only"), row["id"], {"version": "2"})


def test_the_public_face_says_agent_update_id(admin: RequestContext) -> None:
    destroy: Any = agent_builds.agent_build_destroy
    destroy(admin, agent_update_id=build()["id"])
    assert agent_builds.agent_build_get_all(admin) == []


@pytest.mark.parametrize("identity", [77777, "fake", 10**40])
def test_no_such_id(admin: RequestContext, identity: Any) -> None:
    build()
    with pytest.raises(exceptions.AgentBuildNotFound) as raised:
        agent_builds.agent_build_update(admin, identity, {"version": "2"})
    assert raised.value.kwargs["id"] == identity
    with pytest.raises(exceptions.AgentBuildNotFound):
        agent_builds.agent_build_destroy(admin, identity)
