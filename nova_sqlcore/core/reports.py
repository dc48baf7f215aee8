# SPDX-License-Identifier: Apache-2.0

"""What is told about transactions, calls and statements, for metrics, logs and traces.

Whoever wants to know adds an observer; as long as there is none, nothing is measured or told.
"""

from __future__ import annotations

import dataclasses
import itertools
import logging
import time
import weakref
from typing import TYPE_CHECKING, Any, Final, Literal, Protocol, TypedDict

from nova_sqlcore import exceptions

if TYPE_CHECKING:
    from collections.abc import Callable, MutableMapping
    from types import TracebackType
    from typing import Self

    import sqlalchemy as sa


logger = logging.getLogger(__name__)

Mode = Literal["writer", "reader", "async"]
Outcome = Literal["done", "conflict", "refused", "failed"]


@dataclasses.dataclass(frozen=True, slots=True)
class Address:
    """Where a database is; user and password are no part of it."""

    #: "sqlite", "mysql", "mariadb" or "postgresql"
    system: str
    #: the name of the database, of sqlite the file's
    name: str | None = None
    host: str | None = None
    port: int | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Told:
    """What is told of a transaction as of a statement."""

    #: the public function that opened or sent it; "block" for a caller's own, unless the scope is ``named``
    name: str
    _: dataclasses.KW_ONLY
    #: the class of the error that ended it
    error: str | None = None
    #: which database: "main database", "API database", "cell database"
    database: str = ""
    #: when it was opened or sent, by ``time.perf_counter``
    began: float = 0.0
    #: the same number in all that is told about one transaction, its statements and the calls that joined it
    transaction: int = 0
    #: the server that it went to
    address: Address | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Report(Told):
    """What became of one transaction, or of a call that joined one."""

    mode: Mode
    #: "conflict": it lost against another one; "refused": an error of the domain, such as NotFound; "failed": any other
    outcome: Outcome
    #: statements that it ran, BEGIN and COMMIT apart, and without those of the caller on its ``connection``
    statements: int
    #: from opening to end
    seconds: float
    #: 1 for the first attempt of a call
    attempt: int = 1
    #: seconds that it waited for a connection
    waited: float = 0.0
    #: a call inside a transaction that its caller has opened; the statements are part of that one's too
    joined: bool = False
    #: answers of the server that it waited for, those to BEGIN and COMMIT included; 0 on sqlite, which is no server
    round_trips: int = 0


@dataclasses.dataclass(frozen=True, slots=True)
class StatementReport(Told):
    """One statement that was sent."""

    #: as it goes to the driver, with placeholders; lists may be spelled out further
    text: str
    seconds: float


class Reported(Protocol):
    """What is told about a transaction."""

    name: str
    calling: str
    mode: Mode
    database: Any
    engine: sa.Engine | None
    statements: int
    opened: float
    attempt: int
    waited: float

    @property
    def round_trips(self) -> int:
        """How often it has waited for the server's answer."""


_numbers: Final = itertools.count(1)
#: The numbers of the transactions that something has been told about.
_numbered: Final[MutableMapping[Reported, int]] = weakref.WeakKeyDictionary()
_addresses: Final[MutableMapping[sa.Engine, Address]] = weakref.WeakKeyDictionary()


#: Those who see transactions, those who see joined calls too, and those who see statements.
transactions: list[Callable[[Report], Any]] = []
calls: list[Callable[[Report], Any]] = []
statements: list[Callable[[StatementReport], Any]] = []


def add(observers: list[Any], callback: Callable[[Any], Any]) -> Callable[[], None]:
    """Add an observer and return a function that removes it again."""
    observers.append(callback)

    def remove() -> None:
        if callback in observers:
            observers.remove(callback)

    return remove


def told(observers: list[Any], report: Any) -> None:
    """Tell all observers; what goes wrong in one of them is logged, and is nobody else's trouble."""
    for observer in tuple(observers):
        try:
            observer(report)
        except Exception:
            logger.exception("an observer failed")


def of_transaction(transaction: Reported, error: BaseException | None) -> None:
    """Tell what became of a transaction."""
    if transactions:
        told(transactions, _report(transaction, transaction.name, error))


def of_statement(transaction: Reported, text: str, began: float, error: BaseException | None) -> None:
    """Tell of a statement that was sent at ``began``."""
    report = StatementReport(
        transaction.calling,
        text,
        time.perf_counter() - began,
        began=began,
        **_common(transaction, error),
    )
    told(statements, report)


class JoinedCall:
    """A call inside a transaction that its caller has opened."""

    __slots__ = ("_began", "_error", "_name", "_outer", "_round_trips", "_statements", "_transaction", "_waited")

    def __init__(self, transaction: Reported, name: str) -> None:
        """Take the transaction that is joined, and the name of the function that joins it."""
        self._transaction = transaction
        self._name = name
        self._error: BaseException | None = None

    def fail(self, error: BaseException) -> None:
        """Take the error of a call that has failed already."""
        self._error = error

    def __enter__(self) -> Self:
        """Let statements be told under the function's name."""
        self._outer, self._transaction.calling = self._transaction.calling, self._name
        self._statements, self._waited = self._transaction.statements, self._transaction.waited
        self._round_trips = self._transaction.round_trips
        self._began = time.perf_counter()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Tell what became of the call."""
        self._transaction.calling = self._outer
        if calls:
            report = _report(self._transaction, self._name, error or self._error)
            told(
                calls,
                dataclasses.replace(
                    report,
                    statements=report.statements - self._statements,
                    seconds=time.perf_counter() - self._began,
                    waited=report.waited - self._waited,
                    round_trips=report.round_trips - self._round_trips,
                    joined=True,
                    began=self._began,
                ),
            )


def _report(transaction: Reported, name: str, error: BaseException | None) -> Report:
    return Report(
        name,
        transaction.mode,
        _outcome(error),
        transaction.statements,
        time.perf_counter() - transaction.opened,
        transaction.attempt,
        transaction.waited,
        round_trips=transaction.round_trips,
        began=transaction.opened,
        **_common(transaction, error),
    )


class _Common(TypedDict):
    error: str | None
    database: str
    transaction: int
    address: Address | None


def _common(transaction: Reported, error: BaseException | None) -> _Common:
    """Return what is told of a transaction and of each of its statements alike."""
    return {
        "error": None if error is None else type(error).__name__,
        "database": transaction.database.label,
        "transaction": _number(transaction),
        "address": _address(transaction),
    }


def _number(transaction: Reported) -> int:
    number = _numbered.get(transaction)
    if number is None:
        number = _numbered[transaction] = next(_numbers)
    return number


def _address(transaction: Reported) -> Address | None:
    """Return where the transaction's connection leads; where it would, if it has taken none."""
    engine = transaction.engine
    if engine is None:
        url = transaction.database.url
        return None if url is None else _of_url(url.get_backend_name(), url)
    address = _addresses.get(engine)
    if address is None:
        address = _addresses[engine] = _of_url(_system(engine), engine.url)
    return address


def _system(engine: sa.Engine) -> str:
    """Return the name of the server's kind: MariaDB shows itself only when connected."""
    return "mariadb" if getattr(engine.dialect, "is_mariadb", False) else engine.dialect.name


def _of_url(system: str, url: sa.URL) -> Address:
    return Address(system, url.database, url.host, url.port)


def _outcome(error: BaseException | None) -> Outcome:
    if error is None:
        return "done"
    if isinstance(error, exceptions.DBDeadlock | exceptions.RetryRequest):
        return "conflict"
    return "refused" if isinstance(error, exceptions.NovaException) else "failed"


def slow_call_log(seconds: float) -> Callable[[Report], None]:
    """Return an observer that logs a warning for every transaction that takes longer."""

    def note(report: Report) -> None:
        if report.seconds >= seconds:
            logger.warning(
                "slow: %s took %.3f s (%s, %d statements, %d round trips, attempt %d, %.3f s for a connection)",
                report.name,
                report.seconds,
                report.outcome,
                report.statements,
                report.round_trips,
                report.attempt,
                report.waited,
            )

    return note
