# SPDX-License-Identifier: Apache-2.0

"""What a caller gets wrong is told by an error that names the thing and the remedy, before anything is written."""

from __future__ import annotations

import importlib.util
import logging
import socket
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, UnknownColumnWarning, api, exceptions, get_admin_context, tables, tx
from nova_sqlcore.core.options import EngineOptions

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.plugins.backend import Backend
    from tests.plugins.counting import SqlLog

PASSWORD = "s3cret-w0rd"


@pytest.fixture
def database() -> Iterator[tx.Database]:
    """Return a database of the test's own."""
    database = tx.Database("test database")
    yield database
    database.close()


def use(database: tx.Database) -> None:
    context = get_admin_context()
    context.db_connection = database
    api.service_get_all(context)


def everything_said(error: BaseException, log: pytest.LogCaptureFixture) -> str:
    """Return what a user may come to see: the error, what caused it, and the log."""
    texts = [log.text]
    seen: BaseException | None = error
    while seen is not None:
        texts += [str(seen), repr(seen)]
        seen = seen.__cause__
    return "\n".join(texts)


class TestURLs:
    @pytest.mark.parametrize(
        ("url", "what"),
        [
            ("oracle://u:{}@h/nova", "unknown database scheme 'oracle'; use one of sqlite://"),
            ("mysql+oursql://u:{}@h/nova", "unknown driver in 'mysql\\+oursql'"),
            ("postgresql+psycopg2://u:{}@h/nova", "unknown driver in .* use one of .*postgresql\\+psycopg://"),
            ("nova.sqlite", "not a database URL; it looks like mysql\\+pymysql://"),
            ("", "not a database URL"),
        ],
    )
    def test_not_understood(self, database: tx.Database, url: str, what: str, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG), pytest.raises(exceptions.DBError, match=what) as raised:
            database.configure(url.format(PASSWORD))
        assert PASSWORD not in everything_said(raised.value, caplog)

    def test_a_driver_that_is_not_installed(self, database: tx.Database) -> None:
        if importlib.util.find_spec("MySQLdb") is not None:  # part of no extra that the tests install
            pytest.fail("this test needs an environment without mysqlclient")
        with pytest.raises(exceptions.DBError, match=r"pip install 'nova-sqlcore\[mysqlclient\]'"):
            database.configure("mysql+mysqldb://u:p@127.0.0.1/nova")

    @pytest.mark.parametrize("scheme", ["mysql+pymysql", "postgresql+psycopg"])
    def test_nobody_answers(self, database: tx.Database, scheme: str, caplog: pytest.LogCaptureFixture) -> None:
        with socket.socket() as unused:  # bound and not listening
            unused.bind(("127.0.0.1", 0))
            database.configure(f"{scheme}://u:{PASSWORD}@127.0.0.1:{unused.getsockname()[1]}/nova")
            caplog.set_level(logging.DEBUG)
            with pytest.raises(exceptions.DBConnectionError, match=r"127\.0\.0\.1") as raised:
                use(database)
        assert PASSWORD not in everything_said(raised.value, caplog)

    def test_a_directory_that_does_not_exist(self, database: tx.Database, tmp_path: Path) -> None:
        database.configure(f"sqlite:///{tmp_path}/no/such/place.sqlite")
        with pytest.raises(exceptions.DBConnectionError, match="unable to open"):
            use(database)

    def test_a_wrong_password(self, backend: Backend, database: tx.Database, caplog: pytest.LogCaptureFixture) -> None:
        if backend.family == "sqlite":
            return  # it knows none
        database.configure(backend.url.set(password=PASSWORD))
        with caplog.at_level(logging.DEBUG), pytest.raises(exceptions.DBConnectionError) as raised:
            use(database)
        assert PASSWORD not in everything_said(raised.value, caplog)

    def test_no_such_database(self, backend: Backend, database: tx.Database) -> None:
        if backend.family == "sqlite":
            return  # it makes the file
        database.configure(backend.url.set(database="nova_that_is_not_there"))
        with pytest.raises(exceptions.DBConnectionError, match="nova_that_is_not_there"):
            use(database)

    def test_a_database_shows_no_password(self, database: tx.Database) -> None:
        database.configure(f"mysql+pymysql://u:{PASSWORD}@127.0.0.1/nova")
        assert PASSWORD not in f"{database!r} {database} {database.options!r}"

    def test_no_url_at_all(self, database: tx.Database) -> None:
        with pytest.raises(exceptions.CantStartEngineError, match=r"call tx\.configure\('sqlite:///nova\.sqlite'\)"):
            use(database)

    def test_an_option_that_does_not_exist(self, database: tx.Database) -> None:
        with pytest.warns(UserWarning, match="unknown database option 'pool_sise' is ignored") as told:
            database.configure("sqlite://", pool_sise=3)
        assert [one.filename for one in told] == [__file__]
        assert database.options == EngineOptions()

    def test_an_option_of_the_main_database_that_does_not_exist(self) -> None:
        tx.close()
        with pytest.warns(UserWarning, match="'pool_sise' is ignored") as told:
            tx.configure("sqlite://", pool_sise=3)
        tx.close()
        assert [one.filename for one in told] == [__file__]


def test_a_database_that_has_not_been_migrated(backend: Backend, database: tx.Database) -> None:
    with backend.new_database() as url:
        database.configure(url)
        with pytest.raises(exceptions.DatabaseNotMigrated, match="nova-sqlcore migrate --url"):
            use(database)
        database.close()


class TestValues:
    """Nothing is written, and mostly nothing even asked."""

    @pytest.fixture(autouse=True)
    def nothing_is_sent(self, backend: Backend, sql_log: SqlLog) -> Iterator[None]:
        api.service_get_all(get_admin_context())  # connected
        with sql_log() as sent:
            yield
        assert not sent

    @pytest.mark.parametrize(
        ("name", "values", "what"),
        [
            ("service_create", {"report_count": "many"}, r"services\.report_count holds a whole number"),
            ("service_create", {"report_count": 2**31}, r"services\.report_count .* to 2147483647"),
            ("service_create", {"host": ["h"]}, r"services\.host holds text; got .* \(list\)"),
            ("service_create", {"disabled": "no"}, r"services\.disabled holds True or False"),
            ("service_create", {"last_seen_up": 12.5}, r"services\.last_seen_up holds a datetime"),
            ("cell_create", {"weight_scale": "heavy"}, r"cells\.weight_scale holds a number"),
            ("migration_create", {"migration_type": "move"}, r"migrations\.migration_type .*resize"),
        ],
    )
    def test_a_wrong_type(self, admin: RequestContext, name: str, values: dict[str, Any], what: str) -> None:
        with pytest.raises(exceptions.DBDataError, match=what):
            getattr(api, name)(admin, values)

    def test_an_unknown_column_in_a_bulk_update(self, admin: RequestContext) -> None:
        with pytest.raises(exceptions.DBError, match="cells has no column 'wieght_scale'; did you mean 'weight_scale'"):
            api.cell_update(admin, "a", {"wieght_scale": 1.0})

    @pytest.mark.parametrize("word", [True, False, "foo", "", None, 1])
    def test_an_unknown_read_deleted(self, word: Any) -> None:
        with pytest.raises(ValueError, match="read_deleted is one of 'no', 'yes', 'only'"):
            RequestContext("u", "p", read_deleted=word)

    def test_a_bad_sort_key(self, admin: RequestContext) -> None:
        with pytest.raises(exceptions.InvalidSortKey, match="no_such_column"):
            api.instance_get_all_by_filters_sort(admin, {}, sort_keys=["no_such_column"])

    def test_a_bad_sort_direction(self, admin: RequestContext) -> None:
        with pytest.raises(exceptions.InvalidInput, match="up"):
            api.instance_get_all_by_filters_sort(admin, {}, sort_keys=["uuid"], sort_dirs=["up"])

    def test_an_unknown_join(self, admin: RequestContext) -> None:
        with pytest.raises(ValueError, match="no join 'metdata'; did you mean 'metadata'"):
            api.instance_get_all(admin, columns_to_join=["metdata"])


def test_an_unknown_column_elsewhere_is_told_and_not_stored(backend: Backend, admin: RequestContext) -> None:
    with pytest.warns(UnknownColumnWarning, match="services has no column 'hots'; did you mean 'host'"):
        row: Any = api.service_create(admin, {"hots": "h", "binary": "b", "topic": "t"})
    assert row["host"] is None
    assert "hots" not in row


def test_a_failed_statement_shows_no_values_of_the_connection(backend: Backend, admin: RequestContext) -> None:
    with pytest.raises(exceptions.DBError) as raised, tx.writer(admin) as transaction:
        transaction.execute(sa.insert(tables.cells).values(name=sa.literal("x"), transport_url=sa.null()))
    assert str(backend.url.password or PASSWORD) not in str(raised.value)
