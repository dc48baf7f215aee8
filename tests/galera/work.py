# SPDX-License-Identifier: Apache-2.0

"""What processes do on the nodes of a cluster while nodes fail, and what must be true afterwards."""

from __future__ import annotations

import collections
import dataclasses
import time
import uuid
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from nova_sqlcore import api, exceptions, get_admin_context, tables, tx

if TYPE_CHECKING:
    from collections.abc import Callable

#: Keys of each kind that all processes share.
KEYS: Final = 4
#: Seconds: a node that is gone stops every COMMIT for five, one that gives another its copy for as long as it takes.
RETRY_DEADLINE: Final = 30


def key_of(number: int) -> str:
    """Return the uuid that stands for a key."""
    return str(uuid.UUID(int=number))


@dataclasses.dataclass
class Account:
    """What one process was told."""

    #: names of certificates that were acknowledged, and of those whose COMMIT got no answer
    acknowledged: list[str] = dataclasses.field(default_factory=list)
    uncertain: list[str] = dataclasses.field(default_factory=list)
    #: how often each function was acknowledged for each key, and how often its COMMIT got no answer
    done: collections.Counter[tuple[str, int]] = dataclasses.field(default_factory=collections.Counter)
    open: collections.Counter[tuple[str, int]] = dataclasses.field(default_factory=collections.Counter)
    #: connection errors
    lost: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)


def certificate(context: Any, name: str) -> None:
    api.certificate_create(context, {"project_id": "p", "file_name": name})


def totals(context: Any, number: int) -> None:
    api.vol_usage_update(context, key_of(number), 1, 20, 3, 40, "i", "p", "u", "z", update_totals=True)


def membership(context: Any, number: int) -> None:
    api.instance_add_security_group(context, key_of(number), 1)


def loop(context: Any, number: int) -> None:
    """Reserve one and use it."""
    resources = {"security_groups": SimpleNamespace(sync="_sync_security_groups")}
    limits = {"security_groups": 10**6}, {"security_groups": -1}
    whose = f"p{number}", "u"
    found = api.quota_reserve(context, resources, *limits, {"security_groups": 1}, None, None, None, *whose)
    api.reservation_commit(context, found, *whose)


def compute_node(context: Any, number: int) -> None:
    api.compute_node_update(context, number + 1, {"vcpus_used": 1})


def report(context: Any, number: int) -> None:
    api.service_update(context, number + 1, {"report_count": 1})


CALLS: Final[tuple[Callable[[Any, int], None], ...]] = (totals, membership, loop, compute_node, report)


def work(number: int, urls: list[sa.URL], rounds: int, done: str) -> Account:
    """Run in a process of its own: call everything in turn until all rounds are done and the fault is over.

    A node that is lost is left for the next one, as a proxy in front of the nodes would do. ``done`` is the name of the
    certificate that says that the fault is over.
    """
    context, account = get_admin_context(), Account()
    node = number
    move(urls[node % len(urls)])
    turn = 0
    deadline = time.monotonic() + 85
    while (turn < rounds or not _is_over(done)) and time.monotonic() < deadline:
        turn += 1
        name, key = f"{number}-{turn}", turn % KEYS
        called = ""
        try:
            certificate(context, name)
            account.acknowledged.append(name)
            for call in CALLS:
                called = call.__name__
                call(context, key)
                account.done[called, key] += 1
        except exceptions.DBCommitUncertain:
            if called:
                account.open[called, key] += 1
            else:
                account.uncertain.append(name)
        except exceptions.DBConnectionError as error:
            if called == loop.__name__:  # it may have reserved already
                account.open[called, key] += 1
            account.lost[str(error)[:60]] += 1
            node += 1
            move(urls[node % len(urls)])
            time.sleep(0.1)
    return account


def move(url: sa.URL) -> None:
    """Go to another node."""
    tx.close()
    tx.configure(url, retry_deadline=RETRY_DEADLINE)


def _is_over(done: str) -> bool:
    statement = sa.select(tables.certificates.c.id).where(tables.certificates.c.user_id == done)
    try:
        with tx.reader(get_admin_context()) as transaction:
            return transaction.row(statement) is not None
    except exceptions.DBConnectionError:
        return False
