# SPDX-License-Identifier: Apache-2.0

"""Ids: what callers hand in as one, and the number that it stands for."""

from __future__ import annotations

import re
import uuid
from typing import Any, Final

from nova_sqlcore.core.types import MAX_INT

#: Digits of an id in a string, zeros in front included; Python itself refuses 4,300.
_MOST_DIGITS: Final = 1000
_USUAL: Final = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")


def is_number(value: Any) -> bool:
    """Tell whether ``value`` is a whole number, or the digits of one."""
    return type(value) is int or (isinstance(value, str) and value.isascii() and value.removeprefix("-").isdigit())


def as_id(value: Any, limit: int = MAX_INT) -> int | None:
    """Return the number that an id stands for; None for text and out-of-range numbers: no row has that id."""
    if type(value) is int:
        return value if -limit - 1 <= value <= limit else None
    if is_number(value) and len(value) <= _MOST_DIGITS:
        return as_id(int(value), limit)
    return None


def is_uuid_like(value: Any) -> bool:
    """Tell whether ``value`` is the text of a uuid, in any of its usual spellings."""
    if type(value) is str and _USUAL.fullmatch(value):  # most are; to parse it takes 2 µs
        return True
    try:
        digits = uuid.UUID(value).hex
    except (TypeError, ValueError, AttributeError):
        return False
    plain: str = value.replace("urn:", "").replace("uuid:", "").strip("{}").replace("-", "").lower()
    return digits == plain
