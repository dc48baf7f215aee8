# SPDX-License-Identifier: Apache-2.0

"""The only source of time in the library."""

import datetime


def utcnow() -> datetime.datetime:
    """Return the present as naive UTC, with microseconds.

    Callers look it up at each call (``clock.utcnow()``), so replacing this attribute freezes the library.
    """
    return datetime.datetime.now(datetime.UTC).replace(tzinfo=None)
