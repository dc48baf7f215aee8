# SPDX-License-Identifier: Apache-2.0

"""A process of green threads that use one database: ``python -m tests.proxies.green eventlet|gevent URL SCENARIO...``.

It prints what each scenario has found as JSON. Whatever else is imported comes after the patching.
"""

from __future__ import annotations

import importlib
import json
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

LIBRARY = sys.argv[1] if __name__ == "__main__" else "gevent"
green: Any = importlib.import_module(LIBRARY)
if __name__ == "__main__":
    if LIBRARY == "eventlet":
        green.monkey_patch()
    else:
        importlib.import_module("gevent.monkey").patch_all()

import sqlalchemy as sa  # noqa: E402  # see above

from nova_sqlcore import api, exceptions, get_admin_context, tables, tx  # noqa: E402

#: Seconds that a statement sleeps on the server.
SLEEP = 0.4
COUNT = sa.select(sa.func.count().label("n")).select_from(tables.certificates)
ROLES = ("writer", "reader")


def spawn(work: Callable[..., Any], *arguments: Any) -> Any:
    return green.spawn(work, *arguments)


def joined(threads: Iterable[Any]) -> list[Any]:
    """Wait for the threads; return what they return, or the name of what they raise."""
    found = []
    for thread in threads:
        try:
            found.append(thread.wait() if LIBRARY == "eventlet" else thread.get())
        except Exception as error:
            found.append(f"{type(error).__name__}: {error}")
    return found


class Watch:
    """Measures the longest time for which the loop was not free, and the most connections there were."""

    def __enter__(self) -> Watch:
        self.longest, self.most, self._on = 0.0, 0, True
        self.began = time.monotonic()
        self._thread = spawn(self._look)
        green.sleep(0)
        return self

    def __exit__(self, *_: object) -> None:
        self._on, self.took = False, time.monotonic() - self.began
        joined([self._thread])

    def _look(self) -> None:
        last = time.monotonic()
        while self._on:
            green.sleep(0.01)
            now = time.monotonic()
            self.longest, last = max(self.longest, now - last), now
            self.most = max([self.most, *(pool.in_use + pool.idle for pool in tx.main.pools())])


def sleeping(t: tx.Transaction, seconds: float = SLEEP) -> None:
    name = "pg_sleep" if t.connection.dialect.name == "postgresql" else "sleep"
    t.connection.exec_driver_sql(f"SELECT {name}({seconds})").all()


def sleeper(scope: tx.Scope[tx.Transaction]) -> None:
    with scope(get_admin_context()) as t:
        sleeping(t)


def count() -> int:
    with tx.reader(get_admin_context()) as t:
        number: int = t.scalar(COUNT)
        return number


def in_use() -> int:
    return sum(pool.in_use for pool in tx.main.pools())


def configure(**options: Any) -> None:
    tx.close()
    tx.configure(sys.argv[2], **options)


def crowd() -> dict[str, Any]:
    """A hundred green threads read and write through pools of few connections."""
    configure(pool_size=3, max_overflow=3)
    context = get_admin_context()

    def work(number: int) -> int:
        own = get_admin_context()
        made = api.instance_create(own, {"host": f"h{number}", "metadata": {"a": str(number)}})
        api.instance_update(own, made["uuid"], {"task_state": "x"})
        assert api.instance_metadata_get(own, made["uuid"]) == {"a": str(number)}
        (found,) = api.instance_get_all_by_host(own, f"h{number}")
        assert found["task_state"] == "x"
        api.instance_destroy(own, made["uuid"])
        return number

    api.instance_get_all_by_host(context, "h")
    with Watch() as watch:
        found = joined([spawn(work, number) for number in range(100)])
    return {"found": found, "most": watch.most, "longest": watch.longest, "in_use": in_use()}


def together() -> dict[str, Any]:
    """Statements that take their time run at the same time, and the loop is free meanwhile."""
    configure()
    joined([spawn(sleeper, getattr(tx, ROLES[number % 2])) for number in range(6)])  # connections
    with Watch() as watch:
        found = joined([spawn(sleeper, getattr(tx, ROLES[number % 2])) for number in range(6)])
    return {"found": found, "took": watch.took, "longest": watch.longest}


def row_lock() -> dict[str, Any]:
    """One holds a row and lets others run; another one waits for the row."""
    configure(lock_timeout=5)
    made = api.instance_create(get_admin_context(), {"host": "h"})

    def hold() -> str:
        own = get_admin_context()
        with tx.writer(own):
            api.instance_update(own, made["uuid"], {"task_state": "first"})
            green.sleep(SLEEP)
        return "first"

    def wait() -> str:
        green.sleep(SLEEP / 4)
        api.instance_update(get_admin_context(), made["uuid"], {"task_state": "second"})
        return "second"

    with Watch() as watch:
        found = joined([spawn(hold), spawn(wait)])
    last = api.instance_get_by_uuid(get_admin_context(), made["uuid"])["task_state"]
    return {"found": [*found, last], "took": watch.took, "longest": watch.longest}


def timeout() -> dict[str, Any]:
    """A time limit of the green threads' library ends a statement, and with it the transaction and the connection."""
    configure(pool_size=1, max_overflow=0, pool_timeout=5)
    before = count()
    rounds = []
    for _ in range(3):
        own = get_admin_context()
        limit = green.Timeout(SLEEP / 4)
        limit.start() if LIBRARY == "gevent" else None
        try:
            with tx.writer(own) as t:
                api.certificate_create(own, {"project_id": "p"})
                sleeping(t, 10)
            rounds.append("not interrupted")
        except green.Timeout as error:
            rounds.append("interrupted" if error is limit else "another")
        finally:
            limit.cancel()
    api.certificate_create(get_admin_context(), {"project_id": "p"})
    return {"found": rounds, "more": count() - before, "in_use": in_use()}


def killed() -> dict[str, Any]:
    """GreenletExit in the midst of a statement, of a reader and of a writer."""
    configure(pool_size=1, max_overflow=0, pool_timeout=5)
    before = count()

    def work(scope: tx.Scope[tx.Transaction]) -> None:
        own = get_admin_context()
        with scope(own) as t:
            if scope is tx.writer:
                api.certificate_create(own, {"project_id": "p"})
            sleeping(t, 10)

    began = time.monotonic()
    for _ in range(2):
        threads = [spawn(work, scope) for scope in (tx.reader, tx.writer)]
        green.sleep(SLEEP / 2)
        for thread in threads:
            thread.kill()
    green.sleep(0.05)
    api.certificate_create(get_admin_context(), {"project_id": "p"})
    return {"more": count() - before, "took": time.monotonic() - began, "in_use": in_use()}


def waits() -> dict[str, Any]:
    """Waiting for a connection ends with pool_timeout, or with a time limit of the library, and harms nobody."""
    configure(pool_size=1, max_overflow=0, pool_timeout=SLEEP / 2)
    count()
    holder = spawn(sleeper, tx.reader)
    green.sleep(0.05)
    found = []
    began = time.monotonic()
    try:
        with green.Timeout(SLEEP / 8):
            count()
    except green.Timeout:
        found.append("interrupted")
    try:
        count()
    except exceptions.DBPoolExhausted:
        found.append("exhausted")
    took = time.monotonic() - began
    joined([holder])
    count()
    return {"found": found, "took": took, "in_use": in_use()}


if __name__ == "__main__":
    out: dict[str, Any] = {}
    for scenario in sys.argv[3:]:
        out[scenario] = globals()[scenario]()
        print(json.dumps(out), flush=True)
    tx.close()
