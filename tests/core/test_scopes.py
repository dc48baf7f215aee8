# SPDX-License-Identifier: Apache-2.0

"""Which scope joins which, and what is kept or undone at its end (01-core 4.1 to 4.5)."""

from __future__ import annotations

import copy
import pickle
import threading
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, exceptions, get_admin_context, tables, tx
from nova_sqlcore.core import scopes
from nova_sqlcore.queries.security import groups as security_groups

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.plugins.backend import Backend

pytestmark = pytest.mark.usefixtures("backend")

_NAMES = sa.select(tables.certificates.c.file_name).order_by(tables.certificates.c.id)


def _add(context: Any, name: str) -> dict[str, Any]:
    return tx.current(context).insert(tables.certificates, {"file_name": name})


@tx.writer
def _write(context: Any, name: str) -> Any:
    _add(context, name)
    return tx.current(context)


@tx.reader
def _read(context: Any) -> tuple[Any, list[str]]:
    return tx.current(context), tx.current(context).scalars(_NAMES)


@tx.reader.allow_async
def _read_anywhere(context: Any) -> Any:
    return tx.current(context)


@tx.reader.async_
def _read_replica(context: Any) -> Any:
    return tx.current(context)


def _stored(context: Any) -> list[str]:
    return _read(context)[1]


class TestJoining:
    """The table of 4.2: open scope against new scope."""

    def test_writer_in_writer_is_the_same_transaction_and_sees_its_work(self, admin: RequestContext) -> None:
        with tx.writer(admin) as outer:
            assert _write(admin, "a") is outer
            assert _read(admin) == (outer, ["a"])
            assert admin.session is admin.transaction is outer

    @pytest.mark.parametrize("function", [_read, _read_anywhere, _read_replica])
    def test_every_reader_joins_a_writer(self, admin: RequestContext, function: Callable[[Any], Any]) -> None:
        with tx.writer(admin) as outer:
            found = function(admin)
        assert outer in (found, found[0] if isinstance(found, tuple) else None)
        assert outer.mode == "writer"

    def test_readers_join_a_reader(self, admin: RequestContext) -> None:
        with tx.reader(admin) as outer:
            assert _read(admin)[0] is outer
            assert _read_anywhere(admin) is outer
            assert _read_replica(admin) is outer

    def test_writer_in_reader_is_refused_before_its_body(self, admin: RequestContext) -> None:
        with pytest.raises(TypeError, match="reader"), tx.reader(admin):
            _write(admin, "never")
        assert _stored(admin) == []

    def test_replica_reader_admits_only_those_that_may_lag(self, admin: RequestContext) -> None:
        with tx.reader(admin, replica=True) as outer:
            assert _read_anywhere(admin) is outer
            assert _read_replica(admin) is outer
            with pytest.raises(TypeError, match="replica"):
                _read(admin)
            with pytest.raises(TypeError):
                _write(admin, "never")

    def test_reader_then_writer_one_after_the_other(self, admin: RequestContext) -> None:
        assert _stored(admin) == []
        _write(admin, "a")
        assert _stored(admin) == ["a"]

    @pytest.mark.parametrize("word", ["async_", "allow_async", "snapshot"])
    def test_writer_has_no_reader_modifiers(self, word: str) -> None:
        with pytest.raises(TypeError):
            getattr(tx.writer, word)

    def test_reader_has_no_writer_modifiers(self) -> None:
        for word in ("independent", "savepoint"):
            with pytest.raises(TypeError):
                getattr(tx.reader, word)
        with pytest.raises(TypeError):
            _ = tx.writer.independent.savepoint

    def test_the_old_name_async_is_there_by_getattr(self) -> None:
        assert getattr(tx.main.reader, "async").mode == "async"


class TestNames:
    """What transactions are called in reports: as the public function, whichever part of it opens them."""

    @pytest.fixture
    def reports(self) -> Iterator[list[tx.Report]]:
        seen: list[tx.Report] = []
        tx.observe(seen.append)
        yield seen
        tx.observe(None)

    def test_functions_and_blocks(self, admin: RequestContext, reports: list[tx.Report]) -> None:
        _write(admin, "a")
        tx.writer.named("public")(_read)(admin)
        tx.reader.snapshot.named("public").allow_async(_read)(admin)
        for scope in (tx.writer, tx.main.reader.named("named")):
            with scope(admin) as transaction:
                _read(admin)
                assert transaction.name == ("block" if scope is tx.writer else "named")
        seen = [(report.name, report.mode, report.outcome, report.statements) for report in reports]
        assert seen == [
            ("_write", "writer", "done", 1),
            ("public", "writer", "done", 1),
            ("public", "reader", "done", 1),
            ("block", "writer", "done", 1),
            ("named", "reader", "done", 1),
        ]

    def test_parts_of_a_public_function(self, ctxt: RequestContext, reports: list[tx.Report]) -> None:
        for _ in range(2):
            security_groups.security_group_ensure_default(ctxt)
        assert [(report.name, report.mode) for report in reports] == [
            ("security_group_ensure_default", "reader"),
            ("security_group_ensure_default", "writer"),
            ("security_group_ensure_default", "reader"),
        ]


class TestObserver:
    """Who observes transactions sees how each one ended, and can't spoil any."""

    @pytest.fixture
    def outcomes(self, caplog: pytest.LogCaptureFixture) -> Iterator[list[str]]:
        """Collect outcomes by an observer that fails each time."""
        seen: list[str] = []

        def observer(report: tx.Report) -> None:
            seen.append(report.outcome)
            raise exceptions.DBDeadlock("the observer's own")

        tx.observe(observer)
        yield seen
        tx.observe(None)
        said = [record.message for record in caplog.get_records("call")]
        assert said.count("an observer failed") == len(seen)

    def test_success(self, admin: RequestContext, outcomes: list[str]) -> None:
        _write(admin, "a")
        with tx.writer(admin):
            _write(admin, "b")
        with tx.reader(admin):
            assert _stored(admin) == ["a", "b"]
        assert _stored(admin) == ["a", "b"]
        assert outcomes == ["done"] * 4

    @pytest.mark.parametrize(
        ("error", "outcome"),
        [
            (ValueError("x"), "failed"),
            (exceptions.DBError("x"), "failed"),
            (exceptions.DBDeadlock("x"), "conflict"),
            (exceptions.RetryRequest(ValueError()), "conflict"),
        ],
    )
    @pytest.mark.parametrize("scope", [tx.writer, tx.reader], ids=["writer", "reader"])
    def test_failure(
        self, admin: RequestContext, outcomes: list[str], scope: Any, error: Exception, outcome: str
    ) -> None:
        with pytest.raises(type(error)) as raised, scope(admin):
            raise error
        assert raised.value is error
        assert outcomes == [outcome]

    def test_conflicts_on_the_way(self, admin: RequestContext, outcomes: list[str]) -> None:
        errors: list[Exception] = [exceptions.DBDeadlock(), exceptions.RetryRequest(ValueError())]

        @tx.writer
        def flaky(context: RequestContext) -> None:
            if errors:
                raise errors.pop()

        flaky(admin)
        assert outcomes == ["conflict", "conflict", "done"]


class TestEnds:
    """What a scope's end keeps (4.3)."""

    def test_only_the_outermost_writer_commits(self, admin: RequestContext, backend: Backend) -> None:
        with tx.writer(admin):
            _write(admin, "a")
            if backend.family != "sqlite":
                assert _stored(get_admin_context()) == []
        assert _stored(get_admin_context()) == ["a"]

    @pytest.mark.parametrize("error", [ValueError("x"), KeyboardInterrupt()])
    def test_any_exception_rolls_back_and_goes_on_unchanged(self, admin: RequestContext, error: BaseException) -> None:
        with pytest.raises(type(error)) as raised, tx.writer(admin):
            _write(admin, "a")
            raise error
        assert raised.value is error
        assert _stored(admin) == []

    def test_a_reader_keeps_nothing_even_through_its_connection(self, admin: RequestContext) -> None:
        with tx.reader(admin) as t:
            t.connection.execute(tables.certificates.insert(), {"file_name": "smuggled"})
        assert _stored(admin) == []

    def test_a_reader_refuses_statements_that_write(self, admin: RequestContext) -> None:
        with tx.reader(admin), pytest.raises(TypeError, match="writer"):
            _add(admin, "never")

    @pytest.mark.parametrize("scope", [tx.reader, tx.reader.snapshot, tx.reader.async_])
    def test_nor_does_a_statement_that_should_read(
        self, admin: RequestContext, scope: tx.Scope[tx.Transaction]
    ) -> None:
        insert = tables.certificates.insert().values(file_name="never")

        @scope
        def write(context: Any, statement: Any) -> Any:
            return tx.current(context).rows(statement)

        with pytest.raises(TypeError, match="writer"):
            write(admin, insert.returning(tables.certificates.c.id))
        assert _stored(admin) == []
        if tx.main.dialect.delete_returning:  # all but MySQL know RETURNING
            by_hand = sa.text("INSERT INTO certificates (file_name, deleted) VALUES ('never', 0) RETURNING id")
            assert len(write(admin, by_hand)) == 1
            assert _stored(admin) == []

    def test_a_scope_without_statements_takes_no_connection(self, admin: RequestContext) -> None:
        tx.close()
        with tx.writer(admin):
            pass
        with pytest.raises(exceptions.CantStartEngineError), tx.Database("nowhere").writer(admin) as t:
            t.scalars(_NAMES)

    def test_a_swallowed_failure_spoils_the_transaction(self, admin: RequestContext) -> None:
        with pytest.raises(exceptions.DBError, match="nothing of it"), tx.writer(admin) as t:
            _write(admin, "a")
            with pytest.raises(exceptions.DBError):
                t.insert(tables.cells, {"name": "without transport_url"})
            with pytest.raises(exceptions.DBError, match="rolled back"):
                t.scalars(_NAMES)
        assert _stored(admin) == []

    def test_a_savepoint_keeps_the_rest_usable(self, admin: RequestContext) -> None:
        with tx.writer(admin) as t:
            _write(admin, "a")
            with pytest.raises(exceptions.DBError), t.savepoint():
                _write(admin, "b")
                t.insert(tables.cells, {"name": "without transport_url"})
            with t.savepoint():
                _write(admin, "c")
        assert _stored(admin) == ["a", "c"]

    def test_the_savepoint_scope_is_plain_when_outermost(self, admin: RequestContext) -> None:
        with tx.writer.savepoint.using(admin):
            _write(admin, "a")
        with tx.writer(admin):
            with pytest.raises(ValueError, match="undo"), tx.writer.savepoint.using(admin):
                _write(admin, "b")
                raise ValueError("undo")
            _write(admin, "c")
        assert _stored(admin) == ["a", "c"]

    def test_hooks_run_after_the_outermost_commit_only(self, admin: RequestContext) -> None:
        seen: list[str] = []
        with tx.writer(admin):
            with tx.writer(admin) as inner:
                _write(admin, "a")
                inner.after_commit(lambda: seen.append(",".join(_stored(get_admin_context()))))
            assert seen == []
        assert seen == ["a"]
        with pytest.raises(ValueError, match="no"), tx.writer(admin) as t:
            t.after_commit(lambda: seen.append("never"))
            raise ValueError("no")
        assert seen == ["a"]


class TestIndependent:
    """4.4: a transaction beside the open one."""

    def test_commits_by_itself_when_it_comes_first(self, admin: RequestContext) -> None:
        with pytest.raises(ValueError, match="outer"), tx.writer(admin) as outer:
            with tx.writer.independent(admin) as inner:
                assert inner is not outer
                _write(admin, "kept")
            assert tx.current(admin) is outer
            _write(admin, "lost")
            raise ValueError("outer")
        assert _stored(admin) == ["kept"]

    def test_rolls_back_by_itself(self, admin: RequestContext) -> None:
        with tx.writer(admin):
            _write(admin, "outer")
            with pytest.raises(ValueError, match="inner"), tx.writer.independent(admin):
                _write(admin, "inner")
                raise ValueError("inner")
        assert _stored(admin) == ["outer"]

    def test_sqlite_shares_the_connection_once_the_outer_one_has_begun(
        self, admin: RequestContext, backend: Backend
    ) -> None:
        with pytest.raises(ValueError, match="outer"), tx.writer(admin):
            _write(admin, "lost")
            with tx.writer.independent(admin):
                _write(admin, "inner")
            raise ValueError("outer")
        assert _stored(admin) == ([] if backend.family == "sqlite" else ["inner"])


class TestContext:
    """4.5: what hangs on the context."""

    def test_nothing_outside(self, admin: RequestContext) -> None:
        for name in ("session", "transaction", "connection"):
            assert getattr(admin, name, None) is None
        with pytest.raises(exceptions.NoEngineContextEstablished):
            _ = admin.session

    @pytest.mark.parametrize("derive", [copy.copy, copy.deepcopy, lambda context: context.elevated()])
    def test_copies_join(self, ctxt: RequestContext, derive: Callable[[Any], Any]) -> None:
        other = derive(ctxt)
        with tx.writer(ctxt) as t:
            assert tx.current(other) is t
            assert tx.current(derive(ctxt)) is t

    def test_pickles_do_not(self, ctxt: RequestContext) -> None:
        with tx.writer(ctxt):
            other = pickle.loads(pickle.dumps(ctxt))
            assert (other.user_id, getattr(other, "session", None)) == (ctxt.user_id, None)

    def test_two_contexts_of_one_user_do_not_share(self) -> None:
        one, two = RequestContext("u", "p"), RequestContext("u", "p")
        with tx.reader(one), tx.reader(two) as second:
            assert tx.current(two) is second
            assert tx.current(one) is not second

    def test_other_threads_see_no_transaction(self, admin: RequestContext) -> None:
        seen: list[Any] = []
        with tx.writer(admin):
            thread = threading.Thread(target=lambda: seen.append(getattr(admin, "session", None)))
            thread.start()
            thread.join()
        assert seen == [None]

    def test_a_foreign_context_serves(self) -> None:
        class Foreign:
            user_id = "u"
            project_id = "p"
            is_admin = False
            read_deleted = "no"

            @property
            def session(self) -> None:
                raise AssertionError("its own attributes are left alone")

        foreign = Foreign()
        with tx.writer(foreign) as outer:
            assert _write(foreign, "a") is outer
        assert _stored(foreign) == ["a"]

    def test_the_connection_is_that_of_the_transaction(self, admin: RequestContext) -> None:
        with pytest.raises(ValueError, match="undo"), tx.writer(admin) as t:
            assert isinstance(admin.connection, sa.Connection)
            admin.connection.execute(tables.certificates.insert(), {"file_name": "by hand"})
            assert t.scalars(_NAMES) == ["by hand"]
            raise ValueError("undo")
        assert _stored(admin) == []

    def test_the_connection_scope_gives_the_connection(self, admin: RequestContext) -> None:
        with tx.writer.connection.using(admin) as connection:
            connection.execute(tables.certificates.insert(), {"file_name": "by hand"})
        assert _stored(admin) == ["by hand"]


class TestManagers:
    """4.6: one open scope per database."""

    def test_scopes_of_two_databases_do_not_join_and_come_back(self, admin: RequestContext, backend: Backend) -> None:
        with backend.new_database() as url:
            cell = tx.create_context_manager(url)
            tables.metadata.create_all(cell.engine)
            with tx.writer(admin) as outer:
                _write(admin, "main")
                with cell.writer(admin) as inner:
                    _add(admin, "cell")
                    with tx.main.writer(admin) as again:
                        assert again is outer
                        _add(admin, "main 2")
                    assert tx.current(admin) is inner
                assert tx.current(admin) is outer
            with cell.reader(admin) as t:
                assert t.scalars(_NAMES) == ["cell"]
            cell.close()
        assert _stored(admin) == ["main", "main 2"]

    def test_a_joined_block_leaves_the_others_in_their_order(self, admin: RequestContext) -> None:
        other = tx.Database("other")
        with tx.main.writer(admin) as one, other.writer(admin) as two:
            for _ in range(2):
                with tx.main.writer(admin) as again:
                    assert again is one is tx.current(admin)
                assert tx.current(admin) is two

    def test_the_same_url_is_the_same_database(self, backend: Backend) -> None:
        assert tx.create_context_manager(backend.url) is tx.create_context_manager(backend.url)

    def test_a_database_in_use_can_not_be_configured(self, admin: RequestContext, backend: Backend) -> None:
        _read(admin)
        with pytest.raises(TypeError, match="in use"):
            tx.configure(backend.url)


class TestWrongContexts:
    """What stands in the place of a context is said, as far as it can hold no secret."""

    @pytest.mark.parametrize(
        ("given", "said"),
        [
            (None, "got None, which has no user_id"),
            (RequestContext, "got <class 'nova_sqlcore.context.RequestContext'>, which has no user_id"),
            ({"password": "secret"}, "got dict, which has no user_id"),
            (
                SimpleNamespace(user_id="u", project_id="p", password="secret"),
                "got SimpleNamespace, which has no is_admin",
            ),
        ],
        ids=["None", "class", "dict", "object"],
    )
    def test_it_is_named(self, given: Any, said: str) -> None:
        with pytest.raises(exceptions.NoContext, match=said) as caught:
            _stored(given)
        assert "secret" not in str(caught.value)


def test_a_transaction_that_is_over_leaves_every_place_at_once(admin: RequestContext) -> None:
    with tx.reader(admin) as outer, tx.reader(get_admin_context()) as other:
        entries = [outer, other, outer]
        scopes.leave_for_good(entries, outer)
        assert entries == [other]


def test_a_transaction_that_has_ended_does_not_end_again(admin: RequestContext) -> None:
    with tx.writer(admin) as t:
        _add(admin, "kept")
    with pytest.raises(exceptions.DBError, match="has ended"):
        t.commit()
    assert _stored(admin) == ["kept"]


def test_the_connection_of_a_writer_is_in_a_transaction_that_callers_do_not_end(admin: RequestContext) -> None:
    with pytest.raises(ValueError, match="undo"), tx.writer(admin) as t:
        with pytest.raises(sa.exc.InvalidRequestError), t.connection.begin():
            pass
        with t.connection.begin_nested():
            t.connection.execute(tables.certificates.insert().values(file_name="undone"))
        raise ValueError("undo")
    assert _stored(admin) == []
