"""Arguments: how a function takes what callers hand in under the reference's names."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

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
