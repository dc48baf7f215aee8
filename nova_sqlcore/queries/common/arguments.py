# SPDX-License-Identifier: Apache-2.0

"""Arguments: how a function takes what callers hand in under the reference's names."""

from __future__ import annotations

import datetime
import functools
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar

from nova_sqlcore import clock, exceptions
from nova_sqlcore.core.texts import nearest, quoted
from nova_sqlcore.core.warn import warn_caller

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

P = ParamSpec("P")
R = TypeVar("R")


def also_named(**names: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Return a decorator for a function whose parameters have other names on the reference's public face.

    ``names`` maps those to the function's own; both serve as keywords.
    """

    def decorate(function: Callable[P, R]) -> Callable[P, R]:
        @functools.wraps(function)
        def renamed(*args: P.args, **kwargs: P.kwargs) -> R:
            if kwargs:
                kwargs = {names.get(name, name): value for name, value in kwargs.items()}  # type: ignore[assignment]  # the same arguments
            return function(*args, **kwargs)

        return renamed

    return decorate


def check_whole(name: str, number: Any) -> None:
    """Refuse what is not a whole number.

    Raises: BadArgument naming the argument.
    """
    if not isinstance(number, int) or isinstance(number, bool):
        raise exceptions.BadArgument(f"the argument {name} takes a whole number; got {quoted(number)}")


def check_all_whole(name: str, numbers: Mapping[Any, Any]) -> None:
    """Refuse a mapping with a value that is not a whole number.

    Raises: BadArgument naming the argument and the key.
    """
    for key, number in numbers.items():
        if type(number) is not int:
            check_whole(f"{name}[{quoted(key)}]", number)


def moment_before(name: str, seconds: Any) -> datetime.datetime:
    """Return the time so many ``seconds`` ago.

    Raises: BadArgument naming the argument.
    """
    try:
        return clock.utcnow() - datetime.timedelta(seconds=seconds)
    except (TypeError, ValueError, OverflowError):
        raise exceptions.BadArgument(f"the argument {name} takes a number of seconds; got {quoted(seconds)}") from None


def naive(name: str, moment: Any) -> datetime.datetime:
    """Return a time in naive UTC.

    Raises: BadArgument naming the argument, for what is no time and for one beyond the calendar.
    """
    if not isinstance(moment, datetime.datetime):
        raise exceptions.BadArgument(f"the argument {name} takes a datetime; got {quoted(moment)}")
    try:
        return moment if moment.tzinfo is None else moment.astimezone(datetime.UTC).replace(tzinfo=None)
    except OverflowError:
        text = f"the argument {name} takes a datetime whose year in UTC is from 1 to 9999; got {quoted(moment)}"
        raise exceptions.BadArgument(text) from None


def text_of(name: str, value: Any) -> str:
    """Return the text of a value that a pattern is made of.

    Raises: BadArgument naming the argument, for what has no text of a sensible depth or length.
    """
    try:
        return value if isinstance(value, str) else str(value)
    except (RecursionError, ValueError):
        raise exceptions.BadArgument(f"the argument {name} takes text; got {quoted(value)}") from None


def warn_of_unknown_filters(what: str, names: Iterable[Any], known: Collection[str]) -> None:
    """Warn the caller of each filter that ``what``, in the plural, does not have, and name the nearest that it has."""
    for name in names:
        if name not in known:
            text = f"{what} have no filter {quoted(name)}{nearest(name, known)} (it leaves out nothing)"
            warn_caller(text, exceptions.UnknownFilterWarning)
