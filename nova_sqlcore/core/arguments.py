"""Arguments: mappings and iterables are what they should be, and may be walked more than once."""

from __future__ import annotations

import inspect
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from nova_sqlcore import exceptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_VIEWS: Final[tuple[type, ...]] = (type({}.keys()), type({}.values()), type({}.items()))
#: Most arguments are of these types; they are looked at no further.
_PLAIN: Final = frozenset({str, int, float, bool, type(None), list, tuple, set, frozenset})


def walked(args: Sequence[Any]) -> list[Any]:
    """Return the positional arguments with a list in place of each iterator and each view of a dict.

    The first one is the context and stays as it is. So is what a dict argument holds under its keys.
    """
    return [args[0], *[_walked(value) for value in args[1:]]] if args else []


def walked_by_name(kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments with a list in place of each iterator and each view of a dict."""
    return {name: _walked(value) for name, value in kwargs.items()}


def _walked(value: Any) -> Any:
    kind = type(value)
    if kind in _PLAIN:
        return value
    if isinstance(value, dict):
        return _walked_dict(value)
    return list(value) if _is_once_only(value) else value


def _walked_dict(given: dict[Any, Any]) -> dict[Any, Any]:
    """Return the dict itself, or a copy with lists if it holds an iterator: arguments are never changed."""
    once = {name: list(value) for name, value in given.items() if type(value) not in _PLAIN and _is_once_only(value)}
    return {**given, **once} if once else given


def _is_once_only(value: Any) -> bool:
    return isinstance(value, _VIEWS) or hasattr(type(value), "__next__")


class Container(NamedTuple):
    """A parameter whose hint names a mapping or an iterable."""

    place: int
    name: str
    is_mapping: bool
    may_be_none: bool


_HINT: Final = re.compile(
    r"(?:(?P<mapping>(?:Mutable)?Mapping|dict)|Iterable|Sequence|Collection|list|tuple|set)\[[^|]*\](?P<none> \| None)?"
)


def containers(function: Callable[..., Any]) -> tuple[Container, ...]:
    """Return the parameters of ``function`` that take a mapping or an iterable, by their hints."""
    found = []
    try:
        parameters = inspect.signature(function).parameters
    except ValueError:  # it is written in C
        return ()
    for place, (name, parameter) in enumerate(parameters.items()):
        hint = _HINT.fullmatch(str(parameter.annotation))
        is_one = parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        if hint is not None and is_one:
            found.append(Container(place, name, bool(hint["mapping"]), bool(hint["none"]) or parameter.default is None))
    return tuple(found)


def check_containers(wanted: tuple[Container, ...], args: Sequence[Any], kwargs: Mapping[str, Any]) -> None:
    """Refuse arguments that are neither a mapping nor an iterable where the function needs one; bytes are neither.

    Pairs may stand for a mapping, as they do for ``dict``.
    Raises: BadArgument naming the argument.
    """
    for place, name, is_mapping, _ in wanted:
        if place < len(args):
            value = args[place]
        elif name in kwargs:
            value = kwargs[name]
        else:
            continue
        if type(value) is dict or (not is_mapping and type(value) is list) or value is None:
            continue
        if not (hasattr(value, "items") or type(value) in (list, tuple) if is_mapping else _is_iterable(value)):
            kind = "mapping, such as a dict" if is_mapping else "list or another iterable"
            raise exceptions.BadArgument(f"the argument {name} takes a {kind}, not {type(value).__name__}")


def _is_iterable(value: Any) -> bool:
    is_binary = isinstance(value, bytes | bytearray)
    return not is_binary and (hasattr(type(value), "__iter__") or hasattr(type(value), "__getitem__"))
