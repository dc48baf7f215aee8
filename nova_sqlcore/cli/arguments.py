# SPDX-License-Identifier: Apache-2.0

"""What operators type: times and numbers, with the exit codes that nova-manage has for bad ones."""

from __future__ import annotations

import datetime
from typing import TYPE_CHECKING, Any, Final

import click
from dateutil import parser, tz

from nova_sqlcore.cli.app import coded

#: Two moments that differ in every part: what a text leaves out shows in the difference.
_ONE: Final = datetime.datetime(2000, 1, 1)
_OTHER: Final = datetime.datetime(2001, 2, 2)


if TYPE_CHECKING:
    _Type = click.ParamType[Any]
else:
    _Type = click.ParamType  # before click 8.4 it takes no argument


class _Coded(_Type):
    """A type whose refusals have an exit code of their own."""

    def __init__(self, exit_code: int) -> None:
        self.exit_code = exit_code

    def refuse(self, message: str, param: click.Parameter | None, ctx: click.Context | None) -> click.ClickException:
        """Return the error for a value."""
        return coded(click.BadParameter, self.exit_code)(message, ctx=ctx, param=param)  # type: ignore[call-arg]  # what BadParameter takes


class Moment(_Coded):
    """A time as people write it; in UTC unless it says otherwise, and naive UTC in the end."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime.datetime:
        """Return the time that a text stands for.

        Raises: click.BadParameter if it is not understood, or leaves out year, month or day.
        """
        if isinstance(value, datetime.datetime):
            return value
        try:
            found, other = (parser.parse(value, default=default, tzinfos=_zone) for default in (_ONE, _OTHER))
        except (parser.ParserError, OverflowError, ValueError) as error:
            raise self.refuse(f"{value!r} is not a time that I understand ({error})", param, ctx) from None
        if found != other:
            raise self.refuse(f"{value!r} does not say year, month and day", param, ctx)
        if found.tzinfo is None:
            return found
        try:
            return found.astimezone(datetime.UTC).replace(tzinfo=None)
        except OverflowError:
            raise self.refuse(f"{value!r} is out of range in UTC", param, ctx) from None


def _zone(name: str | None, offset: int | None) -> datetime.tzinfo | None:
    """Return a time zone by what a text says of it: an offset in seconds, UTC, or a name that this machine knows.

    Raises: ValueError for another name.
    """
    if offset is not None:
        return datetime.timezone(datetime.timedelta(seconds=offset))
    if name is None:
        return None
    found = datetime.UTC if name in ("UTC", "GMT", "Z") else tz.gettz(name)
    if found is None:
        raise ValueError(f"unknown time zone {name}")
    return found


class Count(_Coded):
    """A whole number from ``least`` to ``most``."""

    name = "number"

    def __init__(self, least: int, most: int, exit_code: int = 2) -> None:
        """Take the limits, and the exit code for what lies beyond them."""
        super().__init__(exit_code)
        self.least, self.most = least, most

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number.

        Raises: click.BadParameter.
        """
        text = str(value)
        is_number = text.isascii() and text.removeprefix("-").isdigit() and len(text) < 20
        if not is_number or not self.least <= int(text) <= self.most:
            raise self.refuse(f"{text!r} is not a whole number from {self.least} to {self.most}", param, ctx)
        return int(text)
