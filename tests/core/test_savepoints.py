# SPDX-License-Identifier: Apache-2.0

"""A block inside a transaction, its end and the outer end: what is kept, and which hooks run (01-core 4.3, 4.4)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, exceptions, get_admin_context, tables, tx

if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager

    from tests.plugins.backend import Backend

    Inner = Callable[[RequestContext], AbstractContextManager[Any]]

T = tables.certificates
_NAMES = sa.select(T.c.file_name).order_by(T.c.file_name)


class Undo(Exception):
    """Ends a block without success."""


class Stage:
    """Writes rows with hooks, and tells which rows stayed and which hooks ran."""

    def __init__(self, context: RequestContext) -> None:
        self.context = context
        self.told: list[str] = []

    def write(self, name: str) -> None:
        transaction = tx.current(self.context)
        transaction.insert(T, {"file_name": name})
        transaction.after_commit(lambda: self.told.append(name))

    def outcome(self) -> tuple[str, str]:
        with tx.reader(get_admin_context()) as transaction:
            return "".join(transaction.scalars(_NAMES)), "".join(sorted(self.told))


@pytest.fixture
def stage(backend: Backend, admin: RequestContext) -> Stage:
    return Stage(admin)


def savepoint(context: RequestContext) -> AbstractContextManager[Any]:
    return tx.current(context).savepoint()


def join(context: RequestContext) -> AbstractContextManager[Any]:
    return tx.writer(context)


def run(stage: Stage, inner: Inner, inner_fails: bool, outer_fails: bool, first: str) -> tuple[str, str]:
    """Write a before, b in, c after the inner block; its failure is caught, and the outer one may fail after all."""
    try:
        with tx.writer(stage.context):
            if first:
                stage.write("a")
            try:
                with inner(stage.context):
                    stage.write("b")
                    if inner_fails:
                        raise Undo
            except Undo:
                assert inner_fails
            stage.write("c")
            if outer_fails:
                raise Undo
    except Undo:
        assert outer_fails
    return stage.outcome()


@pytest.mark.parametrize("first", ["", "a"])
@pytest.mark.parametrize("inner", [savepoint, tx.writer.savepoint.using])
def test_a_savepoint_shares_the_fate_of_the_outer_block(stage: Stage, inner: Inner, first: str) -> None:
    assert run(stage, inner, inner_fails=True, outer_fails=True, first=first) == ("", "")
    assert run(stage, inner, inner_fails=False, outer_fails=True, first=first) == ("", "")
    assert run(stage, inner, inner_fails=True, outer_fails=False, first=first) == (f"{first}c", f"{first}c")
    stage.told.clear()
    kept = run(stage, inner, inner_fails=False, outer_fails=False, first="")
    assert kept == ("".join(sorted(f"{first}cbc")), "bc")


def test_a_joined_block_keeps_what_it_did_before_its_failure(stage: Stage) -> None:
    assert run(stage, join, inner_fails=True, outer_fails=False, first="a") == ("abc", "abc")


@pytest.mark.parametrize("inner_fails", [True, False])
@pytest.mark.parametrize("outer_fails", [True, False])
def test_an_independent_block_that_comes_first(stage: Stage, inner_fails: bool, outer_fails: bool) -> None:
    kept = ("" if inner_fails else "b") + ("" if outer_fails else "c")
    assert run(stage, tx.writer.independent.using, inner_fails, outer_fails, "") == (kept, kept)


@pytest.mark.parametrize("inner_fails", [True, False])
@pytest.mark.parametrize("outer_fails", [True, False])
def test_an_independent_block_after_the_outer_one_has_begun(
    stage: Stage, backend: Backend, inner_fails: bool, outer_fails: bool
) -> None:
    inner_stays = not inner_fails and (not outer_fails or backend.family != "sqlite")
    kept = "".join(
        name for name, stays in (("a", not outer_fails), ("b", inner_stays), ("c", not outer_fails)) if stays
    )
    assert run(stage, tx.writer.independent.using, inner_fails, outer_fails, "a") == (kept, kept)


def test_savepoints_in_savepoints(stage: Stage) -> None:
    with tx.writer(stage.context) as t:
        stage.write("a")
        with t.savepoint():
            stage.write("b")
            with pytest.raises(Undo), t.savepoint():
                stage.write("c")
                with t.savepoint():
                    stage.write("d")
                raise Undo
            stage.write("e")
    assert stage.outcome() == ("abe", "abe")


def test_a_savepoint_in_an_independent_block(stage: Stage) -> None:
    with tx.writer(stage.context):
        stage.write("a")
        with tx.writer.independent(stage.context) as inner:
            stage.write("b")
            with pytest.raises(exceptions.DBError), inner.savepoint():
                stage.write("c")
                inner.insert(tables.cells, {"name": "without transport_url"})
            stage.write("d")
    assert stage.outcome() == ("abd", "abd")


def test_an_independent_block_in_a_savepoint_that_is_undone(stage: Stage, backend: Backend) -> None:
    with tx.writer(stage.context) as t:
        stage.write("a")
        with pytest.raises(Undo), t.savepoint():
            with tx.writer.independent(stage.context):
                stage.write("b")
            raise Undo
    kept = "a" if backend.family == "sqlite" else "ab"
    assert stage.outcome() == (kept, kept)


def test_hooks_of_an_independent_block_run_at_its_own_end(stage: Stage, backend: Backend) -> None:
    with tx.writer(stage.context):
        stage.write("a")
        with tx.writer.independent(stage.context):
            stage.write("b")
        assert stage.told == ([] if backend.family == "sqlite" else ["b"])
    assert sorted(stage.told) == ["a", "b"]


def test_hooks_run_in_order_and_may_write(stage: Stage) -> None:
    @tx.writer
    def write(context: Any) -> None:
        stage.write("z")

    with tx.writer(stage.context) as t:
        stage.write("a")
        t.after_commit(lambda: write(stage.context))
        t.after_commit(lambda: stage.told.append("last"))
    assert stage.told == ["a", "z", "last"]


def test_an_error_in_a_hook_undoes_nothing(stage: Stage) -> None:
    calls: list[int] = []

    def fail() -> None:
        raise exceptions.DBDeadlock("of the hook")

    @tx.writer
    def write(context: Any) -> None:
        calls.append(1)
        stage.write("a")
        tx.current(context).after_commit(fail)

    with pytest.raises(exceptions.DBDeadlock):
        write(stage.context)
    with pytest.raises(exceptions.DBDeadlock):
        for attempt in tx.attempts(stage.context):
            with attempt as t:
                stage.write("b")
                t.after_commit(fail)
    assert (stage.outcome(), calls) == (("ab", "ab"), [1])


def test_hooks_of_an_attempt_that_lost_do_not_run(stage: Stage) -> None:
    losses = [exceptions.DBDeadlock(), exceptions.DBDeadlock()]

    @tx.writer
    def write(context: Any) -> None:
        stage.write("a")
        if losses:
            raise losses.pop()

    write(stage.context)
    assert stage.outcome() == ("a", "a")


def test_a_conflict_spoils_more_than_its_savepoint(stage: Stage) -> None:
    """The server may have undone the whole transaction; whoever swallows that must not commit the rest."""
    with pytest.raises(exceptions.DBError, match="nothing of it"), tx.writer(stage.context) as t:
        stage.write("a")
        with pytest.raises(exceptions.DBDeadlock), t.savepoint():
            stage.write("b")
            raise exceptions.DBDeadlock
    assert stage.outcome() == ("", "")


def test_a_block_that_does_not_start_leaves_nothing_open() -> None:
    context = get_admin_context()
    with pytest.raises(exceptions.CantStartEngineError), tx.Database("nowhere").writer.connection.using(context):
        pass
    assert getattr(context, "transaction", None) is None
