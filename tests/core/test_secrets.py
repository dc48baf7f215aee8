# SPDX-License-Identifier: Apache-2.0

"""A password is shown nowhere: not in an error, not in a log, not in a repr."""

from __future__ import annotations

import logging
import pickle
import traceback
from typing import TYPE_CHECKING, Any

import pytest

from nova_sqlcore import api, exceptions, get_admin_context, tables, tx
from nova_sqlcore.core import connections

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.backend import Backend

SECRET = "hunter2"

BAD_URLS = [
    f"nonsense {SECRET}",
    f"user:{SECRET}@host/nova",
    f"mysql+pymysql://user:{SECRET}@host:port/nova",
    f"mysql+pymysql://user:{SECRET}/with@host:33x/nova",
    f"oracle://user:{SECRET}@host/nova",
    f"mysql+nodriver://user:{SECRET}@host/nova",
    f"postgresql+psycopg2://user:{SECRET}@host/nova",
]


def all_of(error: BaseException) -> str:
    """Return all that anybody could print of an error."""
    seen: list[str] = ["".join(traceback.format_exception(error))]
    chain: list[BaseException | None] = [error]
    while chain:
        one = chain.pop()
        if one is not None:
            seen += [str(one), repr(one), repr(vars(one)), repr(one.args)]
            chain += [one.__cause__, one.__context__]
    return "\n".join(seen)


@pytest.mark.parametrize("url", BAD_URLS)
@pytest.mark.parametrize("how", [tx.create_context_manager, lambda url: tx.Database().configure(url)])
def test_bad_urls(url: str, how: type) -> None:
    with pytest.raises(exceptions.DBError) as raised:
        how(url)
    assert SECRET not in all_of(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        f"mysql+pymysql://user:{SECRET}@127.0.0.1:1/nova",
        f"mysql+pymysql://user@127.0.0.1:1/nova?password={SECRET}",
        f"mysql+pymysql://user:x@127.0.0.1:1/nova?ssl_key_password={SECRET}",
        f"postgresql+psycopg://user:{SECRET}@127.0.0.1:1/nova",
        f"postgresql+psycopg://user@127.0.0.1:1/nova?password={SECRET}",
        f"postgresql+psycopg://user:x@127.0.0.1:1/nova?sslpassword={SECRET}",
    ],
)
def test_a_server_that_is_not_there(url: str, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    database = tx.Database("nowhere")
    database.configure(url, max_retries=1, retry_interval=0.01, echo=True)
    context = get_admin_context()
    context.db_connection = database
    with pytest.raises(exceptions.DBConnectionError) as raised, tx.writer(context) as t:
        t.rows(tables.certificates.select())
    assert SECRET not in all_of(raised.value)
    assert SECRET not in repr(pickle.loads(pickle.dumps(raised.value)))
    assert SECRET not in repr(database)
    assert SECRET not in repr(t)
    assert SECRET not in caplog.text


@pytest.mark.only_on("mysql", "postgresql", why="sqlite has no passwords")
def test_a_login_that_is_refused(backend: Backend, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    database = tx.Database("refused")
    database.configure(backend.url.set(password=SECRET), echo=True)
    with pytest.raises(exceptions.DBConnectionError) as raised:
        _ = database.engine
    assert SECRET not in all_of(raised.value)
    assert SECRET not in caplog.text


def test_a_password_among_the_arguments_works_as_before() -> None:
    url = connections.parse_url(f"mysql+pymysql://u@h/n?password={SECRET}&charset=utf8mb4")
    assert (url.password, dict(url.query)) == (SECRET, {"charset": "utf8mb4"})
    assert SECRET not in repr(url)


@pytest.mark.parametrize("echo", [True, False])
def test_values_of_columns_that_hold_passwords(backend: Backend, caplog: pytest.LogCaptureFixture, echo: bool) -> None:
    """They are stored and read as they are, and a log of statements shows stars; other long values are cut."""
    tx.close()
    tx.configure(backend.url, echo=echo)
    context = get_admin_context()
    with caplog.at_level(logging.INFO if echo else logging.WARNING, "sqlalchemy.engine"):
        values = {"host": "h", "console_type": "novnc", "compute_host": "c", "password": SECRET, "username": "bob"}
        pool = api.console_pool_create(context, values)
        cell = api.cell_create(context, {"name": "a", "transport_url": f"rabbit://nova:{SECRET}@mq"})
        api.cell_update(context, "a", {"transport_url": f"rabbit://nova:{SECRET}2@mq"})
        assert api.cell_get(context, "a")["transport_url"] == f"rabbit://nova:{SECRET}2@mq"
        api.instance_create(context, {"project_id": "p", "user_data": "x" * 1000})
        found = api.console_pool_get_by_host_type(context, "c", "h", "novnc")
    tx.close()
    assert (pool["password"], found["password"], type(pool["password"])) == (SECRET, SECRET, str)
    assert cell["transport_url"] == f"rabbit://nova:{SECRET}@mq"
    assert SECRET not in caplog.text
    assert "x" * 400 not in caplog.text
    assert ("'bob'" in caplog.text) is echo
    assert ("INSERT INTO console_pools" in caplog.text) is echo


#: What no column of text can hold, or some servers' can't.
UNSTORABLE = (
    *(SECRET * 100, [SECRET], {"a": SECRET}, (SECRET,), {SECRET}, SECRET.encode()),
    *(f"{SECRET}\0", f"{SECRET}\udc80", f"\U0001f600{SECRET}", f"{SECRET}\U0001f600"),
)


@pytest.mark.parametrize("value", UNSTORABLE, ids=ascii)
def test_a_password_that_cannot_be_stored(backend: Backend, value: Any) -> None:
    """The error names the column, and shows nothing of the value."""
    context = get_admin_context()
    api.cell_create(context, {"name": "a", "transport_url": "x"})
    pool = {"host": "h", "console_type": "novnc", "compute_host": "c"}
    calls: dict[str, Callable[[], Any]] = {
        "console_pools.password": lambda: api.console_pool_create(context, pool | {"password": value}),
        "consoles.password": lambda: api.console_create(context, {"instance_name": "i", "password": value}),
        "cells.transport_url": lambda: api.cell_update(context, "a", {"transport_url": value}),
    }
    for place, call in calls.items():
        failure: Exception | None = None
        try:
            call()
        except exceptions.DBDataError as error:
            failure = error
        if failure is None:  # this server can
            assert isinstance(value, str)
            assert len(value) < 255
        else:
            assert place in str(failure)
            assert not [part for part in (SECRET, f"{SECRET[:2]}...") if part in all_of(failure)]
