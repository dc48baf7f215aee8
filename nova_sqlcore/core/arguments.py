"""Arguments that a function may walk more than once, whatever the caller hands in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_VIEWS: Final[tuple[type, ...]] = (type({}.keys()), type({}.values()), type({}.items()))
#: Most arguments are of these types; they are looked at no further.
_PLAIN: Final = frozenset({str, int, float, bool, type(None), list, tuple, set, frozenset})


def walked(args: Sequence[Any]) -> list[Any]:
    """Return the positional arguments with a list in place of each iterator and each view of a dict.

    The first one is the context and stays as it is. So is what a dict argument holds under its keys.
    """
    return [args[0], *(_walked(value) for value in args[1:])] if args else []


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
