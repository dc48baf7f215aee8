# SPDX-License-Identifier: Apache-2.0

"""What hangs on a request context: its open transactions, and how a function finds them."""

from __future__ import annotations

import copy
import sys
import threading
import weakref
from typing import TYPE_CHECKING, Any, Final, Protocol, runtime_checkable

from nova_sqlcore import exceptions
from nova_sqlcore.core.texts import quoted

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from nova_sqlcore.core.connections import Connections
    from nova_sqlcore.core.transaction import Transaction

#: The attribute of a context that holds its ``Scopes``.
HOLDER: Final = "_nova_sqlcore_scopes"
#: What a context raises that takes no attribute; the second is a frozen dataclass with slots, up to Python 3.11.
_TAKES_NONE: Final = (AttributeError, TypeError)
#: What every context has.
_ATTRIBUTES: Final = ("user_id", "project_id", "is_admin", "read_deleted")


@runtime_checkable
class Context(Protocol):
    """What the library reads from a context; any object with these attributes serves."""

    @property
    def user_id(self) -> str | None:
        """Who asks."""

    @property
    def project_id(self) -> str | None:
        """For which project."""

    @property
    def is_admin(self) -> bool:
        """Whether every project's rows are visible."""

    @property
    def read_deleted(self) -> str:
        """Which rows are visible: live ones (no), all (yes), soft-deleted ones (only)."""


class Scopes(threading.local):
    """The transactions that are open for one context in the current thread, innermost last.

    Every copy of a context shares this object, so a function called with an elevated copy joins the open transaction.
    Which databases have been written is known in all threads.
    """

    def __init__(self, wrote: set[Connections]) -> None:
        """Start without any open transaction; this runs in each thread, with the same arguments."""
        self.open: list[Transaction] = []
        self.wrote = wrote

    def __deepcopy__(self, memo: dict[int, Any]) -> Scopes:
        """Return the object itself: a deep copy of a context still joins."""
        return self

    def __reduce__(self) -> tuple[Callable[[], Scopes], tuple[()]]:
        """Pickle as a holder without any open transaction."""
        return new_scopes, ()


def new_scopes() -> Scopes:
    """Return the holder of a context that has done nothing yet."""
    return Scopes(set())


def innermost(transactions: list[Transaction], database: Connections) -> Transaction | None:
    """Return the innermost of the transactions that is on ``database``."""
    for transaction in reversed(transactions):
        if transaction.database is database:
            return transaction
    return None


def leave(transactions: list[Transaction], transaction: Transaction) -> None:
    """Take the innermost entry of ``transaction`` out of ``transactions``: it need not be the last one.

    Tasks that share a context may leave their scopes in any order.
    """
    if transactions and transactions[-1] is transaction:
        del transactions[-1]
        return
    for place in range(len(transactions) - 1, -1, -1):
        if transactions[place] is transaction:
            del transactions[place]
            return


def leave_for_good(transactions: list[Transaction], transaction: Transaction) -> None:
    """Take every entry of ``transaction`` out of ``transactions``: it is over, whoever else has joined it."""
    if any(one is transaction for one in transactions):
        transactions[:] = [one for one in transactions if one is not transaction]


def running_task() -> weakref.ref[asyncio.Task[Any]] | None:
    """Return a reference to the asyncio task that runs, always the same one; None outside tasks.

    A strong reference would be a circle: a task holds its frames, and those hold their transactions.
    """
    asyncio = sys.modules.get("asyncio")
    if asyncio is None or asyncio._get_running_loop() is None:
        return None
    task = asyncio.current_task()
    return None if task is None else weakref.ref(task)


def check_context(context: Any) -> None:
    """Refuse what can't be a request context: a forgotten one has let another argument take its place.

    Raises: NoContext, which does not show the object: it may hold secrets. ValueError for a wrong ``read_deleted``.
    """
    missing = [name for name in _ATTRIBUTES if isinstance(context, type) or not hasattr(context, name)]
    if missing:
        kind = "None" if context is None else f"{context!r}" if isinstance(context, type) else type(context).__name__
        raise exceptions.NoContext(
            "the first argument is the request context, an object with user_id, project_id, is_admin and read_deleted; "
            f"got {kind}, which has no {missing[0]}"
        )
    check_read_deleted(context.read_deleted)


def check_read_deleted(word: Any) -> None:
    """Refuse what is no word; statements, which are kept by it, have the last word on others.

    Raises: ValueError.
    """
    if not isinstance(word, str):
        raise ValueError(f"read_deleted is one of 'no', 'yes', 'only'; got {quoted(word)}")


def scopes_of(context: Any) -> Scopes:
    """Return the holder of the context's transactions; a foreign context gets one at first use.

    Raises: NoContext.
    """
    holder = getattr(context, HOLDER, None)
    if type(holder) is Scopes:
        return holder
    known = _closed.known(context)
    if known is not None:
        return known
    check_context(context)
    holder = new_scopes()
    try:
        setattr(context, HOLDER, holder)
    except _TAKES_NONE:
        return _closed.add(context)
    return holder


def current(context: Any) -> Transaction:
    """Return the open transaction of the context in this thread.

    Raises: NoEngineContextEstablished() outside any transaction.
    """
    holder = getattr(context, HOLDER, None)
    if type(holder) is Scopes or (holder := _closed.known(context)):
        open_ones = holder.open
        if open_ones:
            return open_ones[-1]
    raise exceptions.NoEngineContextEstablished("no transaction is open for this context in this thread")


def by_name(kwargs: Mapping[str, Any]) -> Any:
    """Return the context of a call without positional arguments.

    Raises: TypeError if there is none.
    """
    if "context" not in kwargs:
        raise TypeError("missing 1 required positional argument: 'context': the first argument is the request context")
    return kwargs["context"]


def apart_until_begun(context: Any) -> Any:
    """Return a copy of the context whose work is committed by itself, or the context once it has begun to write.

    A writing transaction that has begun holds locks that another one of the same caller would wait for in vain, and on
    sqlite the whole database: whatever the caller does from then on is a part of it.
    """
    holds = any(transaction.begun and transaction.mode == "writer" for transaction in scopes_of(context).open)
    return context if holds else _apart(context)


def _apart(context: Any) -> Any:
    """Return a copy of the context that joins none of the transactions that the context has open.

    What it writes keeps the context off the replicas all the same.
    """
    return with_attributes(copy.copy(context), {HOLDER: Scopes(scopes_of(context).wrote)})


def with_attributes(copied: Any, attributes: Mapping[str, Any]) -> Any:
    """Return a copy of a context with other attributes: the object itself, or one in its place if it takes none."""
    try:
        for name, value in attributes.items():
            setattr(copied, name, value)
    except _TAKES_NONE:
        return _OpenCopy(copied, attributes)
    return copied


class _OpenCopy:
    """A copy of a context that takes no attributes; what is not set here comes from there."""

    def __init__(self, original: Any, attributes: Mapping[str, Any]) -> None:
        self.__dict__.update(attributes, _original=original)

    def __getattr__(self, name: str) -> Any:
        if name == "_original":  # it is being copied and has nothing yet
            raise AttributeError(name)
        return getattr(self._original, name)


class _Always(set[Any]):
    """What has been written is not known for long: it may be anything."""

    def __contains__(self, item: object) -> bool:
        return True


class _Closed(threading.local):
    """The scopes of contexts that take no attributes, such as frozen dataclasses and named tuples, by identity.

    A context that takes no weak reference either is known for as long as it has an open transaction, in each thread by
    itself; its readers never use a replica, which may lack what it has written before.
    """

    #: Contexts without weak references that may be kept at a time.
    MOST = 256

    def __init__(self, weak: dict[int, tuple[weakref.ref[Any], Scopes]]) -> None:
        self._weak = weak  # of all threads
        self._strong: dict[int, tuple[Any, Scopes]] = {}

    def known(self, context: Any) -> Scopes | None:
        """Return the scopes of a context that has been added."""
        key = id(context)
        weak = self._weak.get(key)
        if weak is not None and weak[0]() is context:
            return weak[1]
        strong = self._strong.get(key)
        return None if strong is None else strong[1]

    def add(self, context: Any) -> Scopes:
        """Return new scopes for a context."""
        key, weak = id(context), self._weak
        try:
            reference = weakref.ref(context, lambda _: weak.pop(key, None))
        except TypeError:
            if len(self._strong) >= self.MOST:
                self._strong = {key: kept for key, kept in self._strong.items() if kept[1].open}
            scopes = Scopes(_Always())
            self._strong[key] = context, scopes
            return scopes
        return weak.setdefault(key, (reference, new_scopes()))[1]  # another thread may have come first


_closed: Final = _Closed({})
