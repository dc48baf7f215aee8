# SPDX-License-Identifier: Apache-2.0

"""Contexts that take no attributes: frozen dataclasses, slots and named tuples serve as any other."""

from __future__ import annotations

import collections
import copy
import dataclasses
import gc
import pickle
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import api, exceptions, tables, tx
from nova_sqlcore.core import scopes

if TYPE_CHECKING:
    from collections.abc import Callable

pytestmark = pytest.mark.usefixtures("backend")


@dataclasses.dataclass(frozen=True)
class Frozen:
    user_id: str | None = "u"
    project_id: str | None = "p"
    is_admin: bool = True
    read_deleted: str = "no"


@dataclasses.dataclass(frozen=True, slots=True)
class FrozenSlots:
    user_id: str | None = "u"
    project_id: str | None = "p"
    is_admin: bool = True
    read_deleted: str = "no"


@dataclasses.dataclass(slots=True)
class Unhashable:
    user_id: str | None = "u"
    project_id: str | None = "p"
    is_admin: bool = True
    read_deleted: str = "no"


class Elevating(Frozen):
    """It brings its own way to elevate, which makes a new object."""

    def elevated(self, read_deleted: str | None = None) -> Elevating:
        return Elevating(self.user_id, self.project_id, True, read_deleted or self.read_deleted)


Named = collections.namedtuple("Named", "user_id project_id is_admin read_deleted", defaults=("u", "p", True, "no"))

KINDS: list[Callable[[], Any]] = [Frozen, FrozenSlots, Unhashable, Elevating, Named]
T = tables.certificates
COUNT = sa.select(sa.func.count()).select_from(T)


@pytest.fixture(params=KINDS, ids=lambda kind: kind.__name__)
def context(request: pytest.FixtureRequest) -> Any:
    return request.param()


def test_calls_by_themselves(context: Any) -> None:
    api.service_create(context, {"host": "h", "binary": "b", "topic": "t"})
    assert [row["host"] for row in api.service_get_all(context)] == ["h"]
    with pytest.raises(exceptions.NoEngineContextEstablished):
        tx.current(context)


def test_calls_join_a_block(context: Any) -> None:
    with pytest.raises(ValueError, match="undo"), tx.writer(context) as t:
        api.certificate_create(context, {"user_id": "u", "project_id": "p", "file_name": "f"})
        assert tx.current(context) is t
        assert t.scalar(COUNT) == 1
        raise ValueError("undo")
    with tx.reader(context) as reader:
        assert reader.scalar(COUNT) == 0


def test_two_equal_contexts_are_two(context: Any) -> None:
    other = type(context)()
    with tx.reader(context), pytest.raises(exceptions.NoEngineContextEstablished):
        tx.current(other)


def test_functions_that_need_more_rights(context: Any) -> None:
    expire = None
    resource = type("Resource", (), {"sync": staticmethod(lambda *_: {"cores": 0})})
    made = api.quota_reserve(context, {"cores": resource}, {"cores": 9}, {"cores": 9}, {"cores": 1}, expire, None, None)
    api.reservation_commit(context, made, "p", "u")
    assert api.quota_usage_get(context, "p", "cores", "u")["in_use"] == 1
    api.security_group_ensure_default(context)
    with tx.writer(context):
        api.security_group_ensure_default(context)
    one, other = (str(uuid.UUID(int=number)) for number in (1, 2))
    for name in (one, other):
        api.instance_create(context, {"uuid": name, "project_id": "p"})
    with tx.reader(context):
        found = api.instance_get_all_by_filters_sort(context, {}, marker=one, sort_keys=["uuid"])
    assert [row["uuid"] for row in found] in ([other], [])


def test_the_open_copy_of_a_context_can_be_copied(context: Any) -> None:
    opened = scopes.with_attributes(context, {"read_deleted": "yes"})
    for other in (copy.copy(opened), copy.deepcopy(opened), pickle.loads(pickle.dumps(opened))):
        assert (other.user_id, other.read_deleted) == ("u", "yes")


def test_nothing_is_kept_of_contexts_that_are_gone() -> None:
    for _ in range(1000):
        for kind in KINDS:
            api.service_get_all(kind())
    gc.collect()
    assert len(scopes._closed._weak) < 10
    assert len(scopes._closed._strong) <= scopes._closed.MOST
