# SPDX-License-Identifier: Apache-2.0

"""What every call promises, whatever it is given."""

from __future__ import annotations

import collections
import collections.abc
import dataclasses
import datetime
import decimal
import traceback
import types
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from nova_sqlcore import RequestContext, api, exceptions, get_admin_context, tx
from tests.fuzz.calls import SIGNATURES, Call, parameters
from tests.fuzz.hostile import FromCaller
from tests.fuzz.world import FIRST_ID, NUMBERS, UUIDS

if TYPE_CHECKING:
    import warnings
    from collections.abc import Iterator

PACKAGE: Final = str(Path(exceptions.__file__).parent)
#: Built-in errors that the library raises by itself, where it says so.
OWN: Final = (TypeError, ValueError, KeyError)
#: What happens to a call, and is not caused by one.
NEVER: Final = (
    exceptions.DBDeadlock,
    exceptions.DBTimeout,
    exceptions.DBConnectionError,
    exceptions.RetryRequest,
    exceptions.DBMigrationError,
    exceptions.DatabaseNotMigrated,
)
#: Errors for what only some servers mind: keys that differ in case, rows that do not exist.
SERVERS_OWN: Final = (exceptions.DBReferenceError, exceptions.DBKeyClash)
LIBRARY_WARNINGS: Final = (
    exceptions.UnknownColumnWarning,
    exceptions.UnknownFilterWarning,
    exceptions.HiddenRowWarning,
)


@dataclasses.dataclass
class Outcome:
    """What became of a call on one road."""

    world: str
    value: Any = None
    error: BaseException | None = None
    seconds: float = 0
    #: MiB at its peak
    mib: float = 0
    #: what the call has broken
    faults: list[str] = dataclasses.field(default_factory=list)

    @property
    def kind(self) -> str:
        """What must be the same everywhere."""
        if self.error is not None:
            return type(self.error).__name__
        return outline(self.value)


def _is_given(name: Any, value: Any) -> bool:
    """Tell whether a value is the id of a row that is not in the world from the start; sqlite gives the last one again.

    Row 4 is soft-deleted, and may be erased.
    """
    return isinstance(name, str) and name.endswith("id") and isinstance(value, int) and value >= NUMBERS[-1]


def outline(value: Any, depth: int = 6) -> str:
    """Return what of a value must be the same everywhere: not what servers number, and not what comes by chance."""
    if not depth:
        return "..."
    match value:
        case dict():
            shown = (
                (name, "an id" if _is_given(name, one) else outline(one, depth - 1)) for name, one in value.items()
            )
            return "{" + ", ".join(sorted(f"{outline(name, depth - 1)}: {text}" for name, text in shown)) + "}"
        case list() | tuple():
            return "[" + ", ".join(outline(one, depth - 1) for one in value) + "]"
        case set() | frozenset():
            return "{" + ", ".join(sorted(outline(one, depth - 1) for one in value)) + "}"
        case float():
            return f"{value:.5g}"
        case bool() | None:
            return str(value)
        case datetime.datetime():
            return str(value.replace(microsecond=0))  # the MySQL family keeps whole seconds
        case int():
            return str(value) if abs(value) < FIRST_ID else "an id"
        case str():
            is_made_up = (len(value) == 36 and value not in UUIDS) or value.startswith("instance-")
            return "made up" if is_made_up else repr(value[:30])
    return type(value).__name__


def check_error(call: Call, outcome: Outcome, error: BaseException) -> None:
    """Note what is wrong with an error."""
    if isinstance(error, FromCaller):
        return
    reason = ""
    if isinstance(error, NEVER):
        reason = "nothing of the kind has happened"
    elif isinstance(error, exceptions.DBError | exceptions.NovaException):
        if _is_refused_by_server(error):
            reason = "the server has refused a statement that should not have been sent"
    elif type(error) not in OWN and not isinstance(error, exceptions.NoContext) and not _is_said(call, error):
        reason = "it is nobody's"
    elif not _is_raised_by_library(error) and not _is_natural(call, error):
        reason = "Python has raised it, not the library"
    if reason:
        outcome.faults.append(f"{type(error).__name__}: {str(error)[:200]!r}: {reason}; {place_of(error)}")
    text = str(error)
    if len(text) > 2000:
        outcome.faults.append(f"the text of {type(error).__name__} is {len(text)} characters long")
    for internal in ("by_value", "filter_0", "_1)s", "sqlalche.me"):
        if internal in text and internal not in str(call):
            outcome.faults.append(f"{internal!r} in the text of {type(error).__name__}: {text[:200]!r}")


def _is_refused_by_server(error: Exception) -> bool:
    """Tell whether a server has refused a statement for another reason than a missing value."""
    if type(error) is not exceptions.DBError or not isinstance(error.inner_exception, BaseException):
        return False
    return "null" not in str(error).lower() and not isinstance(error.inner_exception, exceptions.DBError)


def _is_raised_by_library(error: BaseException) -> bool:
    """Tell whether the library has said ``raise``, or a caller has given the wrong number of arguments."""
    frames = traceback.extract_tb(error.__traceback__)
    return bool(frames) and frames[-1].filename.startswith(PACKAGE) and (frames[-1].line or "").startswith("raise")


def _is_said(call: Call, error: BaseException) -> bool:
    """Tell whether a function's docstring names the error."""
    return type(error).__name__ in (getattr(api, call.function).__doc__ or "")


def _is_natural(call: Call, error: BaseException) -> bool:
    """Tell whether a function is documented to meet a missing key like a dict, or decorates what is no function."""
    decorates = [parameter.name for parameter in parameters(call.function)] == ["f"]
    return (isinstance(error, KeyError | AttributeError) and _is_said(call, error)) or decorates


def place_of(error: BaseException) -> str:
    """Return the innermost place in the library that an error has come through."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename.startswith(PACKAGE)]
    frames = [frame for frame in frames if not frame.filename.endswith(("/tx.py", "/transaction.py"))] or frames
    return f"{frames[-1].filename.removeprefix(PACKAGE)}:{frames[-1].lineno}" if frames else "nowhere"


def check_health(outcome: Outcome, context: Any) -> None:
    """Note transactions and connections that are left open, and a next call that fails."""
    scopes = getattr(context, "_nova_sqlcore_scopes", None)
    if scopes is not None and scopes.open:
        outcome.faults.append(f"open transactions: {scopes.open}")
    database = vars(tx.main)
    kept_links = database.get("_kept", database.get("_readers", {}))
    for role, engine in database["_engines"].items():
        out: int = engine.pool.checkedout()
        kept = len(kept_links.get(role, ()))
        if out != kept:
            outcome.faults.append(f"{out} connections of the {role} are out, {kept} are kept")
    try:
        api.service_get_all_by_topic(get_admin_context(), "topic1")
        with tx.writer(admin := get_admin_context()):  # it has a connection of the pool, and readers keep another one
            api.service_get_all_by_topic(admin, "topic1")
    except Exception as error:
        outcome.faults.append(f"the next call fails: {error!r:.300}")


def same(one: Any, other: Any, depth: int = 8) -> bool:
    """Tell whether two arguments are alike, as far down as matters."""
    if one is other or not depth:
        return True
    if type(one) is not type(other):
        return False
    if isinstance(one, collections.abc.Mapping):
        return len(one) == len(other) and all(
            same(keys[0], keys[1], depth - 1) and same(one[keys[0]], other[keys[1]], depth - 1)
            for keys in zip(one, other, strict=True)
        )
    if isinstance(one, set | frozenset):
        return len(one) == len(other)
    if isinstance(one, collections.abc.Sequence) and not isinstance(one, str | bytes | memoryview):
        pairs = zip(one, other, strict=False)
        return len(one) == len(other) and all(same(each, its_twin, depth - 1) for each, its_twin in pairs)
    if isinstance(one, str | bytes | int | datetime.date | datetime.timedelta | decimal.Decimal | float):
        return repr(one) == repr(other) if not isinstance(one, int) else bool(one == other)
    if isinstance(one, types.SimpleNamespace | RequestContext | collections.UserDict):
        hidden = {"_nova_sqlcore_scopes", "request_id", "timestamp"}
        fields = [{name: value for name, value in vars(each).items() if name not in hidden} for each in (one, other)]
        return same(fields[0], fields[1], depth - 1)
    return True


#: What stays of a call that fails, as it is documented: the default group is made apart.
_APART: Final = {"security_groups", "security_group_rules", "quota_usages", "reservations"}
MAY_STAY: Final = {
    "instance_create": _APART,
    "security_group_create": _APART,
    "security_group_ensure_default": _APART,
}


def changes_nothing(call: Call) -> bool:
    """Tell whether a function is one of those that read."""
    return str(SIGNATURES[call.function].get("transaction", "")).startswith("reader")


def odd_texts(call: Call) -> bool:
    """Tell whether a call has text that not every server can hold, or times and numbers that not every one can."""
    return any(_is_odd(value) for value in _leaves((call.arguments, _identity(call.context)), 6))


def _identity(context: Any) -> tuple[Any, ...]:
    return tuple(getattr(context, name, None) for name in ("user_id", "project_id"))


def _leaves(value: Any, depth: int) -> Iterator[Any]:
    if isinstance(value, collections.abc.Mapping):
        for pair in value.items():
            yield from _leaves(pair, depth - 1) if depth else ()
    elif isinstance(value, list | tuple | set | frozenset | collections.deque):
        for item in value:
            yield from _leaves(item, depth - 1) if depth else ()
    elif type(value).__name__ in ("list_iterator", "generator", "SimpleNamespace"):
        yield "\0"  # who knows
    else:
        yield value


def _is_odd(value: Any) -> bool:
    if isinstance(value, str):
        return (
            not value.isascii()
            or "\0" in value
            or len(value) > 16_000
            or value != value.strip()
            or value != value.lower()
        )
    if isinstance(value, datetime.datetime):
        return not 1000 < value.year < 9999
    return isinstance(value, float) and abs(value) > 1e38


def check_warnings(outcome: Outcome, seen: list[warnings.WarningMessage]) -> None:
    """Note warnings that are not the library's own."""
    for one in seen:
        if not issubclass(one.category, LIBRARY_WARNINGS) and "unknown database option" not in str(one.message):
            outcome.faults.append(f"{one.category.__name__}: {str(one.message)[:200]} ({one.filename}:{one.lineno})")
