# SPDX-License-Identifier: Apache-2.0

"""Threads and forked processes on one database, each with contexts of its own."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import RequestContext, tables, tx
from nova_sqlcore.queries.hosts import services
from nova_sqlcore.queries.security import certificates
from tests.queries import threads

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.plugins.backend import Backend

T = tables.certificates
_COUNT = sa.select(sa.func.count().label("n")).select_from(T)
THREADS, ROUNDS = 8, 15

#: Forks with connections at hand, and a lock in another thread's hands; both processes go on.
_FORKS = """
import os, sys, threading
from nova_sqlcore import get_admin_context, tx
from nova_sqlcore.queries import certificates

tx.configure(sys.argv[1])
context = get_admin_context()

def work(name):
    for _ in range(10):
        certificates.certificate_create(context, {"project_id": name})
        certificates.certificate_get_all_by_project(context, name)
    assert len(certificates.certificate_get_all_by_project(context, name)) == 10

work("before")
held, done = threading.Event(), threading.Event()

def hold():
    with tx.main._lock:
        held.set()
        done.wait(60)

holder = threading.Thread(target=hold)
holder.start()
held.wait(60)
child = os.fork()
if child == 0:
    try:
        work("child")
        tx.close()
    except BaseException as error:
        print(repr(error), flush=True)
        os._exit(1)
    os._exit(0)
done.set()
holder.join()
work("parent")
assert os.waitpid(child, 0)[1] == 0
tx.close()
"""


@pytest.fixture
def hurried() -> Iterator[None]:
    """Let Python change threads as often as it can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


@pytest.mark.usefixtures("backend", "hurried")
def test_eight_threads(admin: RequestContext) -> None:
    service = services.service_create(admin, {"host": "h", "binary": "b", "topic": "t"})

    def work(context: Any) -> int:
        for number in range(ROUNDS):
            with tx.writer(context) as t:
                row = t.insert(T, {"project_id": "p", "file_name": str(number)})
                assert tx.current(context) is t
            services.service_update(context, service["id"], {"report_count": number})
            with tx.reader(context) as t:
                assert t.row(sa.select(T.c.file_name).where(T.c.id == sa.bindparam("number")), number=row["id"])
            assert getattr(context, "transaction", None) is None
        return len(certificates.certificate_get_all_by_project(context, "p"))

    counts = threads.at_once([work] * THREADS)
    assert max(counts) == THREADS * ROUNDS
    assert services.service_get(admin, service["id"])["report_count"] == ROUNDS - 1


@pytest.mark.usefixtures("backend")
def test_one_context_in_two_threads_is_two_transactions(admin: RequestContext) -> None:
    seen: list[Any] = []

    def work() -> None:
        with tx.reader(admin) as t:
            seen.extend([t, t.scalar(_COUNT)])

    with tx.writer(admin) as outer:
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        assert tx.current(admin) is outer
    assert seen[0] is not outer
    assert seen[1] == 0


@pytest.mark.usefixtures("backend", "hurried")
def test_idle_connections_are_taken_by_one(admin: RequestContext) -> None:
    """More threads than connections at hand: between a look and a grip another thread takes the last one."""
    users: dict[int, int] = {}

    def work(_: Any) -> None:
        for _ in range(300):
            link = tx.main.link_reader()
            assert users.setdefault(id(link), threading.get_ident()) == threading.get_ident()
            del users[id(link)]
            tx.main.take_back(link)

    threads.at_once([work] * THREADS)


def test_a_forked_child_leaves_the_parents_connections_alone(backend: Backend, admin: RequestContext) -> None:
    url = backend.url.render_as_string(hide_password=False)
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", _FORKS, url]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=100, env=os.environ)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert ended.stderr == ""
    for name in ("before", "child", "parent"):
        assert len(certificates.certificate_get_all_by_project(admin, name)) == 10
