# SPDX-License-Identifier: Apache-2.0

"""Arguments: mappings and iterables are what they should be, and may be walked more than once."""

from __future__ import annotations

import datetime
import functools
import inspect
import re
from typing import TYPE_CHECKING, Any, Final, NamedTuple, ParamSpec, TypeVar

from nova_sqlcore import exceptions

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

P = ParamSpec("P")
R = TypeVar("R")

_VIEWS: Final[tuple[type, ...]] = (type({}.keys()), type({}.values()), type({}.items()))
#: Most arguments are of these types; they are looked at no further.
_PLAIN: Final = frozenset({str, int, float, bool, type(None), list, tuple, set, frozenset})
#: Those, and what a dict may hold that is looked at no further either.
_KEPT: Final = _PLAIN | {dict, datetime.datetime}


def walked(args: Sequence[Any]) -> Sequence[Any]:
    """Return the positional arguments with a list in place of each iterator and each view of a dict.

    The first one is the context and stays as it is. So is what a dict argument holds under its keys.
    """
    for value in args[1:]:
        if type(value) not in _PLAIN:
            return [args[0], *map(_walked, args[1:])]
    return args


def walked_by_name(kwargs: dict[str, Any]) -> dict[str, Any]:
    """Return the keyword arguments with a list in place of each iterator and each view of a dict."""
    if not kwargs:
        return kwargs
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
    if _KEPT.issuperset(map(type, given.values())):
        return given
    once = {name: list(value) for name, value in given.items() if type(value) not in _PLAIN and _is_once_only(value)}
    return {**given, **once} if once else given


def _is_once_only(value: Any) -> bool:
    return isinstance(value, _VIEWS) or hasattr(type(value), "__next__")


class Container(NamedTuple):
    """A parameter whose hint names a mapping or an iterable, perhaps of mappings."""

    place: int
    name: str
    is_mapping: bool
    of_mappings: bool
    of_keys: bool
    may_be_none: bool


_HINT: Final = re.compile(
    r"(?:(?P<mapping>(?:Mutable)?Mapping|dict)|Iterable|Sequence|Collection|list|tuple|set)"
    r"\[(?P<of>[^|]*)\](?P<none> \| None)?"
)
#: What an item is in a list that the library looks things up by.
_KEYS: Final = ("str", "int")


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
            is_mapping, of = bool(hint["mapping"]), hint["of"]
            may_be_none = bool(hint["none"]) or not is_mapping
            found.append(
                Container(place, name, is_mapping, not is_mapping and "Mapping[" in of, of in _KEYS, may_be_none)
            )
    return tuple(found)


def fit(function: Callable[..., Any], wanted: tuple[Container, ...], args: list[Any], kwargs: dict[str, Any]) -> None:
    """Refuse arguments that are neither a mapping nor an iterable where the function needs one; bytes are neither.

    Dicts take the place of other mappings and of pairs, among the items of a list too. The arguments are those of
    ``walked`` and ``walked_by_name``.
    Raises: BadArgument naming the argument. TypeError for too many arguments, or too few.
    """
    try:
        _fit(wanted, args, kwargs)
    except exceptions.BadArgument:
        inspect.signature(function).bind(*args, **kwargs)
        raise


def fitting(function: Callable[P, R]) -> Callable[P, R]:
    """Return a function of any arguments as one whose containers are looked at, as those of scoped functions are."""
    wanted = containers(function)

    @functools.wraps(function)
    def fitted(*args: P.args, **kwargs: P.kwargs) -> R:
        given, named = list(args), dict(kwargs)
        fit(function, wanted, given, named)
        return function(*given, **named)  # type: ignore[arg-type]  # the same arguments

    return fitted


def _fit(wanted: tuple[Container, ...], args: list[Any], kwargs: dict[str, Any]) -> None:
    for one in wanted:
        if one.place >= len(args) and one.name not in kwargs:
            continue
        value = args[one.place] if one.place < len(args) else kwargs[one.name]
        if (type(value) is dict and one.is_mapping) or (value is None and one.may_be_none):
            continue
        if one.is_mapping:
            _replace(one, args, kwargs, _dict_of(one.name, value))
        elif not _is_iterable(value):
            raise exceptions.BadArgument(
                f"the argument {one.name} takes a list or another iterable, not {type(value).__name__}"
            )
        elif one.of_mappings:
            _replace(one, args, kwargs, [_walked_dict(_dict_of(one.name, item)) for item in value])
        elif one.of_keys and type(value) is not str:
            _refuse_unhashable(one.name, value)


def _replace(wanted: Container, args: list[Any], kwargs: dict[str, Any], value: Any) -> None:
    if wanted.place < len(args):
        args[wanted.place] = value
    else:
        kwargs[wanted.name] = value


def _dict_of(name: str, value: Any) -> dict[Any, Any]:
    """Return a mapping as a dict; pairs may stand for one, as they do for ``dict``."""
    if isinstance(value, dict):
        return value
    is_mapping = hasattr(value, "items") and not isinstance(value, type)
    if is_mapping or type(value) in (list, tuple):
        try:
            return dict(value.items() if is_mapping else value)
        except (TypeError, ValueError):
            raise exceptions.BadArgument(f"the argument {name} takes a mapping, or a list of pairs") from None
    raise exceptions.BadArgument(f"the argument {name} takes a mapping, such as a dict, not {type(value).__name__}")


def mapping_in(values: Mapping[str, Any], name: str) -> dict[Any, Any]:
    """Return the mapping that ``values`` have under a name as a dict, an empty one if there is none; pairs serve too.

    Raises: BadArgument naming it.
    """
    found = values.get(name)
    return _dict_of(f"values[{name!r}]", found) if found else {}


def list_in(values: Mapping[str, Any], name: str) -> list[Any]:
    """Return the items that ``values`` have under a name.

    Raises: BadArgument naming it, for None too.
    """
    found = values[name]
    if not _is_iterable(found):
        raise exceptions.BadArgument(
            f"the argument values[{name!r}] takes a list or another iterable, not {type(found).__name__}"
        )
    return list(found)


def _refuse_unhashable(name: str, items: Any) -> None:
    """Refuse what can't be looked up: lists in a list, whatever their depth."""
    try:
        hash(tuple(items))
    except TypeError:
        wrong = next((type(item).__name__ for item in items if type(item).__hash__ is None), "others")
        raise exceptions.BadArgument(f"the argument {name} takes a list of plain values, not of {wrong}") from None


def _is_iterable(value: Any) -> bool:
    if isinstance(value, bytes | bytearray | memoryview):
        return False
    try:
        iter(value)
    except TypeError:
        return False
    return True
