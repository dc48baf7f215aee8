# SPDX-License-Identifier: Apache-2.0

"""Comments in statements that name the function, and what they leave as it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, api, tx
from nova_sqlcore.core import comments

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugins.backend import Backend

#: Asks a server for the statement that it is at.
_OWN_TEXT = {
    "mysql": "SELECT info FROM information_schema.processlist WHERE id = connection_id()",
    "postgresql": "SELECT current_query()",
}


@pytest.fixture
def commented(backend: Backend) -> Iterator[None]:
    tx.close()
    tx.configure(backend.url, comments=True)
    yield
    tx.close()


@pytest.fixture(params=["driver", "core"])
def road(request: pytest.FixtureRequest, commented: None) -> Iterator[None]:
    """Take either road: somebody who listens to the engine sends all on SQLAlchemy's."""

    def listen(*args: Any) -> None:
        pass

    if request.param == "core":
        sa.event.listen(tx.main.engine, "before_cursor_execute", listen)
    yield
    if request.param == "core":
        sa.event.remove(tx.main.engine, "before_cursor_execute", listen)


@pytest.mark.usefixtures("road")
@pytest.mark.only_on("mysql", "postgresql", why="sqlite has nobody to ask; it has a test of its own")
def test_the_server_sees_who_asks(admin: RequestContext, backend: Backend) -> None:
    question = sa.text(_OWN_TEXT[backend.family])

    @tx.reader
    def whoami(context: RequestContext) -> Any:
        return tx.current(context).scalar(question)

    own = whoami(admin)
    assert own.startswith("SELECT /*action='whoami',framework='nova_sqlcore'*/ ")
    assert whoami(admin) == own
    with tx.writer.named("a 100%*/ block")(admin) as t:
        assert "/*action='a_100____block'," in t.scalar(question)
        assert whoami(admin) == own
        assert "/*" not in t.connection.execute(question).scalar_one()
        assert "/*action='a_100____block'," in t.scalar(question)


@pytest.mark.usefixtures("road")
@pytest.mark.only_on("sqlite", why="the others are asked themselves")
def test_sqlite_sees_who_asks(admin: RequestContext) -> None:
    seen: list[str] = []
    with tx.writer(admin) as t:
        raw: Any = t.connection.connection.dbapi_connection
        raw.set_trace_callback(seen.append)
        api.service_create(admin, {"host": "h", "binary": "b", "topic": "t"})
        api.service_get_all(admin)
        raw.set_trace_callback(None)
    words = [(text.split()[0], text.split()[1]) for text in seen if "SAVEPOINT" not in text]
    assert words == [
        ("INSERT", "/*action='service_create',framework='nova_sqlcore'*/"),
        ("SELECT", "/*action='service_get_all',framework='nova_sqlcore'*/"),
    ]


@pytest.mark.usefixtures("road")
def test_answers_and_texts_are_as_ever(admin: RequestContext) -> None:
    texts: list[str] = []
    end = tx.observe_statements(lambda one: texts.append(one.text))
    addresses = [{"address": f"10.0.0.{number}", "pool": "p"} for number in range(1, 6)]
    assert len(api.floating_ip_bulk_create(admin, addresses) or ()) == 5
    service = api.service_create(admin, {"host": "h", "binary": "nova-compute", "topic": "t"})
    assert api.service_update(admin, service["id"], {"report_count": 7})["report_count"] == 7
    uuids = [api.instance_create(admin, {"project_id": "p", "metadata": {"a": "b"}})["uuid"] for _ in range(3)]
    del texts[:]
    for _ in range(2):
        found = api.instance_get_all_by_filters(admin, {"uuid": uuids})
        assert sorted(one["uuid"] for one in found) == sorted(uuids)
    end()
    assert texts[: len(texts) // 2] == texts[len(texts) // 2 :]


@pytest.mark.only_on("sqlite", why="the cache is the same everywhere")
@pytest.mark.usefixtures("commented")
def test_the_caches_know_them(admin: RequestContext) -> None:
    for _ in range(3):
        api.service_get_all(admin)
    (cache,) = [cache for role, cache in tx.main._caches.items() if role == "reader"]
    assert cache.kept == 1


@pytest.mark.usefixtures("backend")
def test_without_the_option_there_are_none(admin: RequestContext) -> None:
    texts: list[str] = []
    end = tx.observe_statements(lambda one: texts.append(one.text))
    api.service_get_all(admin)
    end()
    assert "/*" not in texts[0]


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("SELECT a FROM b", "SELECT /*action='f',framework='nova_sqlcore'*/ a FROM b"),
        ("(SELECT a) UNION (SELECT b)", "(SELECT /*action='f',framework='nova_sqlcore'*/ a) UNION (SELECT b)"),
        ("COMMIT", "COMMIT"),
    ],
)
def test_texts(text: str, result: str) -> None:
    assert comments.commented(text, "f") == result
    assert comments.commented(text, "") == text
