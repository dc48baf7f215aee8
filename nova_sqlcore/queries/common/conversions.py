# SPDX-License-Identifier: Apache-2.0

"""Times as they come over the wire: text and time zones made into the naive datetimes that the columns hold."""

from __future__ import annotations

import datetime
from typing import Any

from nova_sqlcore.core.texts import quoted

_PLAIN = "%Y-%m-%dT%H:%M:%S.%f"
#: Text of so many characters is shown in part.
_LONG = 60
_KEYS = ("created_at", "deleted_at", "updated_at")


def convert_objects_related_datetimes(values: dict[str, Any], *datetime_keys: str) -> dict[str, Any]:
    """Turn text and aware datetimes under ``datetime_keys`` into naive ones, in place, and return ``values``.

    Without keys it is created_at, deleted_at and updated_at. A time zone is dropped, not converted: the reference's
    objects hand in UTC. What is neither text nor a datetime is left for the column to refuse.
    Raises: ValueError, naming the key, for text that is not an ISO 8601 time.
    """
    for key in datetime_keys or _KEYS:
        value = values.get(key)
        if value is None:
            continue
        if isinstance(value, str) and value:
            try:
                value = _parsed(value)
            except ValueError as error:
                reason = str(error) if len(str(value)) < _LONG else quoted(value)
                raise ValueError(f"{key} is not a time: {reason}") from None
        if isinstance(value, datetime.datetime):
            values[key] = value.replace(tzinfo=None)
    return values


def _parsed(text: str) -> datetime.datetime:
    try:
        return datetime.datetime.strptime(text, _PLAIN)
    except ValueError:
        return datetime.datetime.fromisoformat(text)
