# SPDX-License-Identifier: Apache-2.0

"""Paging: limits of lists, and the keys and directions that they are sorted by."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nova_sqlcore import exceptions
from nova_sqlcore.core import types
from nova_sqlcore.core.arguments import fitting
from nova_sqlcore.core.texts import quoted
from nova_sqlcore.queries.common.ids import as_id

if TYPE_CHECKING:
    from collections.abc import Sequence


def check_limit(limit: Any) -> int | None:
    """Return the limit as the server takes it.

    Raises: InvalidInput(reason) for what is not a number, or negative.
    """
    if limit is None:
        return None
    number = as_id(limit, types.MAX_BIGINT * 2)
    if number is None or number < 0:
        raise exceptions.InvalidInput(reason=f"limit is a whole number from 0; got {quoted(limit)}")
    return min(number, types.MAX_BIGINT)


@fitting
def process_sort_params(
    sort_keys: Sequence[str] | None,
    sort_dirs: Sequence[str] | None,
    default_keys: Sequence[str] | None = ("created_at", "id"),
    default_dir: str = "asc",
) -> tuple[list[str], list[str]]:
    """Return keys and directions of equal length, ``default_keys`` that are missing appended.

    The first direction given, else ``default_dir``, goes for every key without one.
    Raises: InvalidInput(reason) for an unknown direction, or more directions than keys; BadArgument for what is
    no list.
    """
    keys, directions = list(sort_keys or ()), list(sort_dirs or ())
    fill = directions[0] if directions else default_dir
    for direction in directions:
        if direction not in ("asc", "desc"):
            raise exceptions.InvalidInput(reason=f"unknown sort direction {quoted(direction)}, must be 'desc' or 'asc'")
    if len(directions) > len(keys):
        raise exceptions.InvalidInput(reason="more sort directions than sort keys")
    keys += [key for key in default_keys or () if key not in keys]
    return keys, directions + [fill] * (len(keys) - len(directions))
