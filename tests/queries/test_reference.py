# SPDX-License-Identifier: Apache-2.0

"""The reference's names for databases, scopes and queries (01-core 8)."""

from __future__ import annotations

import types
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, api, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries import reference as infrastructure
from tests.queries import instance_factory

if TYPE_CHECKING:
    import pathlib
    from collections.abc import Callable, Iterator

    from tests.plugins.backend import Backend
    from tests.plugins.counting import SqlCount

GROUP: dict[str, Any] = {
    "connection": None,
    "slave_connection": None,
    "mysql_sql_mode": "TRADITIONAL",
    "idle_timeout": 3600,
    "connection_debug": 0,
    "max_pool_size": None,
    "max_overflow": 50,
    "pool_timeout": None,
    "sqlite_synchronous": True,
    "connection_trace": False,
    "max_retries": 10,
    "retry_interval": 10,
}


def group(**options: Any) -> Any:
    return types.SimpleNamespace(**{**GROUP, **options})


class TestConfigure:
    @pytest.fixture
    def databases(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[tx.Database, tx.Database]]:
        """Put fresh databases in the place of those that the other tests use."""
        pair = tx.Database("main"), tx.Database("api")
        monkeypatch.setattr(tx, "main", pair[0])
        monkeypatch.setattr(tx, "api", pair[1])
        yield pair
        for database in pair:
            database.close()

    def test_both_databases(self, databases: tuple[tx.Database, tx.Database], tmp_path: pathlib.Path) -> None:
        urls = [f"sqlite:///{tmp_path}/{name}.sqlite" for name in ("main", "replica", "api")]
        conf = types.SimpleNamespace(
            database=group(connection=urls[0], slave_connection=urls[1], max_pool_size=7, idle_timeout=60),
            api_database=group(connection=urls[2], max_overflow=None, connection_debug=50, mysql_sql_mode=""),
        )
        api.configure(conf)
        main, other = databases
        assert (main.options.pool_size, main.options.pool_recycle, main.options.echo) == (7, 60, False)
        assert (main.options.pool_timeout, main.options.max_retries, main.options.retry_interval) == (30, 10, 10)
        assert (other.options.max_overflow, other.options.echo, other.options.sql_mode) == (50, True, "")
        assert api.get_engine().url.database == f"{tmp_path}/main.sqlite"
        assert api.get_engine(use_slave=True).url.database == f"{tmp_path}/replica.sqlite"
        assert api.get_api_engine().url.database == f"{tmp_path}/api.sqlite"
        with pytest.raises(TypeError, match="in use"):
            api.configure(conf)

    def test_a_group_without_address(self, databases: tuple[tx.Database, tx.Database]) -> None:
        api.configure(types.SimpleNamespace(database=group(), api_database=group()))
        for call in (api.get_engine, api.get_api_engine):
            with pytest.raises(exceptions.CantStartEngineError):
                call()

    def test_the_options_of_a_group(self) -> None:
        found = infrastructure._get_db_conf(group(connection="a", idle_timeout=5))
        assert found == {**GROUP, "connection": "a", "idle_timeout": 5, "sqlite_fk": False}
        assert infrastructure._get_db_conf(group(connection="a"), connection="b")["connection"] == "b"


class TestDatabases:
    def test_the_managers_are_the_databases(self) -> None:
        assert api.main_context_manager is tx.main
        assert api.api_context_manager is tx.api

    def test_of_a_context(self, admin: RequestContext) -> None:
        assert api.get_context_manager(None) is tx.main
        assert api.get_context_manager(admin) is tx.main
        assert api.get_context_manager(types.SimpleNamespace()) is tx.main
        cell = tx.Database("cell")
        admin.db_connection = cell
        assert api.get_context_manager(admin) is cell

    def test_further_databases(self, backend: Backend, tmp_path: pathlib.Path) -> None:
        url = f"sqlite:///{tmp_path}/cell.sqlite"
        cell = api.create_context_manager(url)
        assert api.create_context_manager(url) is cell
        context = get_admin_context()
        context.db_connection = cell
        assert api.get_engine(context=context) is cell.engine
        assert api.get_engine(True, context) is cell.engine
        assert api.get_engine() is tx.main.engine is not cell.engine
        assert cell.options == tx.main.options
        same = api.create_context_manager()
        assert same is not tx.main
        assert same.url == tx.main.url

    def test_an_engine_is_an_ordinary_one(self, backend: Backend) -> None:
        engine = api.get_engine()
        assert engine.dialect.name == backend.family
        with engine.begin() as connection:
            assert connection.execute(sa.text("SELECT 1")).scalar() == 1


class TestDecorators:
    @pytest.mark.usefixtures("backend")
    @pytest.mark.parametrize(
        ("decorate", "mode"),
        [
            (api.pick_context_manager_writer, "writer"),
            (api.pick_context_manager_reader, "reader"),
            (api.pick_context_manager_reader_allow_async, "reader"),
        ],
    )
    def test_they_open_a_scope(self, admin: RequestContext, decorate: Callable[..., Any], mode: str) -> None:
        def function(context: Any, more: int = 1) -> Any:
            """Tell what is open."""
            return context.transaction, more

        scoped = decorate(function)
        assert (scoped.__name__, scoped.__doc__, scoped.__module__) == ("function", "Tell what is open.", __name__)
        for found, more in (scoped(admin), scoped(admin, more=1), scoped(context=admin)):
            assert (found.mode, found.database, more) == (mode, tx.main, 1)
        admin.db_connection = cell = tx.Database("cell")
        assert scoped(admin)[0].database is cell
        assert not hasattr(admin, "transaction")

    def test_who_may_join_a_reader_of_the_replica(self, admin: RequestContext) -> None:
        def function(context: Any) -> str:
            mode: str = context.transaction.mode
            return mode

        with tx.reader(admin, replica=True):
            assert api.pick_context_manager_reader_allow_async(function)(admin) == "async"
            for decorate in (api.pick_context_manager_reader, api.pick_context_manager_writer):
                with pytest.raises(TypeError):
                    decorate(function)(admin)

    @pytest.mark.usefixtures("backend")
    def test_a_picked_reader_writes_nothing(self, admin: RequestContext) -> None:
        @api.pick_context_manager_reader
        def write(context: Any) -> None:
            context.transaction.insert(tables.certificates, {})

        with pytest.raises(TypeError):
            write(admin)

    def test_the_reader_mode_is_selected(self, admin: RequestContext) -> None:
        class Caller:
            @api.select_db_reader_mode
            @api.require_context
            def get(self, what: str, context: Any, use_slave: bool = False) -> tuple[str, str, bool]:
                """Tell the mode."""
                return context.transaction.mode, what, use_slave

        @api.select_db_reader_mode
        def without(context: Any) -> str:
            mode: str = context.transaction.mode
            return mode

        @api.select_db_reader_mode
        def by_default(context: Any, use_slave: bool = True) -> str:
            mode: str = context.transaction.mode
            return mode

        caller = Caller()
        other: Any = api.require_context
        with pytest.raises(TypeError):
            caller.get("x", "y", "z", "too", "many")  # type: ignore[call-arg, arg-type]  # what it is about
        assert other(lambda context: 1)(admin) == 1
        with pytest.raises(AttributeError):
            caller.get(admin, "x", "y")  # type: ignore[arg-type]  # likewise
        assert (without(admin), by_default(admin), by_default(admin, use_slave=False)) == ("reader", "async", "reader")
        assert without.__doc__ is None
        assert Caller.get.__doc__ == "Tell the mode."

    def test_the_context_may_stand_anywhere(self, admin: RequestContext) -> None:
        @api.select_db_reader_mode
        def get(what: str, context: Any, use_slave: bool = False) -> str:
            mode: str = context.transaction.mode
            return f"{what} {mode}"

        assert get("x", admin) == get("x", context=admin, use_slave=False) == "x reader"
        assert get("x", admin, True) == get(what="x", context=admin, use_slave=True) == "x async"
        admin.db_connection = cell = tx.Database("cell")

        @api.select_db_reader_mode
        def where(context: Any) -> Any:
            return context.transaction.database

        assert where(admin) is cell

    def test_a_plain_reader_is_refused_with_use_slave(self, admin: RequestContext) -> None:
        @api.select_db_reader_mode
        def get(context: Any, use_slave: bool = False) -> None:
            api.service_get_all(context)

        with pytest.raises(TypeError):
            get(admin, use_slave=True)

    @pytest.mark.usefixtures("backend")
    def test_an_instance_is_required(self, ctxt: RequestContext, sql_count: SqlCount) -> None:
        seen: list[Any] = []

        @api.require_instance_exists_using_uuid
        def function(context: Any, instance_uuid: str, more: int = 0) -> int:
            """Note the instance."""
            seen.append(instance_uuid)
            return more

        mine, other = instance_factory.instance(), instance_factory.instance(project_id="other")
        with sql_count(2):
            assert function(ctxt, mine["uuid"], more=3) == 3
            assert function(ctxt, instance_uuid=mine["uuid"]) == 0
        assert function.__doc__ == "Note the instance."
        for uuid in (other["uuid"], "none"):
            with pytest.raises(exceptions.InstanceNotFound) as raised:
                function(ctxt, uuid)
            assert raised.value.kwargs["instance_id"] == uuid
        with pytest.raises(exceptions.Forbidden):
            function(RequestContext(), mine["uuid"])
        assert seen == [mine["uuid"]] * 2


class TestModelQuery:
    @pytest.fixture
    def rows(self, backend: Backend) -> dict[str, int]:
        rows = {}
        for project in ("project", "other", None):
            rows[f"{project}"] = instance_factory.insert("certificates", project_id=project)["id"]
        gone = instance_factory.insert("certificates", project_id="project")
        instance_factory.deleted("certificates", gone)
        return {**rows, "gone": gone["id"]}

    def found(self, context: Any, *args: Any, **options: Any) -> list[int]:
        query = api.model_query(context, tables.certificates, *args, **options)
        with tx.reader(context) as transaction:
            return sorted(row.id for row in transaction.connection.execute(query))

    @pytest.mark.parametrize(
        ("word", "given", "names"),
        [
            ("no", None, ["project", "other", "None"]),
            ("yes", None, ["project", "other", "None", "gone"]),
            ("only", None, ["gone"]),
            ("no", "only", ["gone"]),
            ("only", "yes", ["project", "other", "None", "gone"]),
            ("yes", "no", ["project", "other", "None"]),
        ],
    )
    def test_visibility(self, rows: dict[str, int], word: str, given: Any, names: list[str]) -> None:
        assert self.found(get_admin_context(word), read_deleted=given) == sorted(rows[name] for name in names)

    @pytest.mark.parametrize(
        ("project_only", "names"),
        [(False, ["project", "other", "None"]), (True, ["project"]), ("allow_none", ["project", "None"])],
    )
    def test_projects(self, ctxt: RequestContext, rows: dict[str, int], project_only: Any, names: list[str]) -> None:
        assert self.found(ctxt, project_only=project_only) == sorted(rows[name] for name in names)
        for context in (get_admin_context(), RequestContext(project_id="project")):
            assert len(self.found(context, project_only=project_only)) == 3

    def test_columns(self, admin: RequestContext) -> None:
        query = api.model_query(admin, tables.certificates)
        assert list(query.selected_columns.keys()) == list(tables.certificates.c.keys())
        query = api.model_query(admin, tables.certificates, [sa.func.count(tables.certificates.c.id).label("n")])
        assert list(query.selected_columns.keys()) == ["n"]

    @pytest.mark.parametrize("word", [False, True, 0, "", "foo", "NO"])
    def test_unknown_words_are_refused(self, admin: RequestContext, word: Any) -> None:
        with pytest.raises(ValueError, match="read_deleted"):
            api.model_query(admin, tables.certificates, read_deleted=word)

    @pytest.mark.parametrize("model", ["", "certificates", None, object])
    def test_what_is_no_table_is_refused(self, admin: RequestContext, model: Any) -> None:
        with pytest.raises(TypeError, match="Table"):
            api.model_query(admin, model)

    def test_tables_without_soft_delete_or_project(self, ctxt: RequestContext) -> None:
        with pytest.raises(ValueError, match="soft delete"):
            api.model_query(ctxt, tables.resource_providers)
        with pytest.raises(ValueError, match="project"):
            api.model_query(ctxt, tables.services, project_only=True)
