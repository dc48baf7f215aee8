# SPDX-License-Identifier: Apache-2.0

"""What messages show of a caller's value: the start of its text, whatever its size or depth."""

from __future__ import annotations

import datetime
import decimal
import difflib
import reprlib
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Collection

_MOST: Final = 60
#: What an argument of a message's template may take.
_MOST_OF_ARGUMENT: Final = 500
#: Ints of more bits are shown by their first digits alone; Python refuses to spell much longer ones.
_MOST_BITS: Final = 200


def start_of(value: Any) -> str:
    """Return the start of the value's text; that of text is without quotes."""
    if isinstance(value, str):
        return value[:_MOST]
    if isinstance(value, int) and value.bit_length() > _MOST_BITS:
        return f"{'-' if value < 0 else ''}{abs(value) >> value.bit_length() - 64:x}..."
    if isinstance(value, int | float | decimal.Decimal | datetime.date):
        return str(value)[:_MOST]
    return reprlib.repr(value)[:_MOST]


def quoted(value: Any) -> str:
    """Return the start of the value's ``repr``."""
    return repr(value[:_MOST]) if isinstance(value, str) else start_of(value)


def argument(value: Any) -> Any:
    """Return what a message's template takes for a value: the value itself, if its text is short enough."""
    try:
        text = str(value)
    except (RecursionError, ValueError):
        return start_of(value)
    return value if len(text) <= _MOST_OF_ARGUMENT else f"{text[:_MOST_OF_ARGUMENT]}..."


def nearest(name: Any, legal: Collection[str]) -> str:
    """Return the end of a message about an unknown name: the legal one that is most like it, if any is."""
    found = difflib.get_close_matches(start_of(name), legal, n=1)
    return f"; did you mean {found[0]!r}?" if found else ""
