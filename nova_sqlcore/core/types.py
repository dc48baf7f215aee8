# SPDX-License-Identifier: Apache-2.0

"""Column types: one Python value per column, whatever the server.

Every type here turns a caller's value into the stored form when it is bound, and a driver's value into a plain
``str``, ``int``, ``bool``, ``float`` or naive ``datetime`` when it is read. A type without a result step costs
nothing per row.

The types of one dialect alone are imported where that dialect asks: to load a dialect takes a tenth of the import.
"""

import datetime
import decimal
import functools
import ipaddress
import json
import math
import re
import socket
import uuid
from collections.abc import Callable
from typing import Any, Final

import sqlalchemy as sa

from nova_sqlcore.core.equality import ExactComparator
from nova_sqlcore.core.texts import start_of

MAX_INT: Final = 0x7FFFFFFF
MAX_BIGINT: Final = 0x7FFFFFFFFFFFFFFF
_MOST_DIGITS: Final = 19
#: The greatest number of single precision.
_MAX_SINGLE: Final = 3.402823466e38
#: To ``int`` and ``float`` they would be digits.
_BYTES: Final = (bytes, bytearray, memoryview)
_MYSQL: Final = ("mysql", "mariadb")


#: Columns, and parameters named like them, whose values nothing may show.
SECRET_COLUMNS: Final = frozenset({"password", "transport_url"})


class UnstorableValue(ValueError):
    """A value that a column can't hold; the text says which column, what it holds and what was given."""

    def __init__(self, place: str, holds: str, value: object) -> None:
        """Say that ``place`` (table.column) holds ``holds`` (with its article) and show the start of ``value``."""
        shown = "***" if place.rpartition(".")[2] in SECRET_COLUMNS else repr(start_of(value))
        super().__init__(f"{place} holds {holds}; got {shown} ({type(value).__name__})")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without the constructor, whose arguments are others than the text."""
        return _unstorable, (type(self), str(self))


def _unstorable(kind: type[UnstorableValue], text: str) -> UnstorableValue:
    """Return the error that was pickled."""
    error = kind.__new__(kind)
    error.args = (text,)
    return error


class UnheldText(UnstorableValue):
    """Text that no row can have: a search for it finds nothing."""


class Kind(sa.TypeDecorator[Any]):
    """What the column types have in common."""

    __abstract__ = True
    impl: Any = sa.types.NullType

    #: the column, ``table.column``, which errors name; ``tables`` sets it
    place = "an argument"

    def to_store(self, value: Any, dialect: Any) -> Any:
        """Return what is stored for ``value``.

        Raises: UnstorableValue.
        """
        return self.process_bind_param(value, dialect)

    def to_find(self, value: Any, dialect: Any) -> Any:
        """Return what is looked for in place of ``value``.

        Raises: UnheldText if no row can have it. UnstorableValue for a value of a wrong type.
        """
        return self.process_bind_param(value, dialect)

    def step(self, name: str) -> Callable[[Any, Any], Any]:
        """Return the method ``to_store`` or ``to_find``, without the frame of one that only hands over."""
        hands_over = getattr(type(self), name) is getattr(Kind, name)
        found: Callable[[Any, Any], Any] = self.process_bind_param if hands_over else getattr(self, name)
        return found

    def _refusal(self, holds: str, value: object) -> UnstorableValue:
        return UnstorableValue(self.place, holds, value)


class Integer(Kind):
    """A whole number; takes digits in a string too."""

    impl = sa.Integer
    cache_ok = True
    limit = MAX_INT

    def process_bind_param(self, value: Any, dialect: Any) -> int | None:
        """Return the int that ``value`` stands for."""
        if type(value) is int and -self.limit - 1 <= value <= self.limit:
            return value
        return None if value is None else self._coerce(value)

    def _coerce(self, value: Any) -> int:
        is_huge = isinstance(value, decimal.Decimal) and value.is_finite() and value.adjusted() > _MOST_DIGITS
        if is_huge:  # the int of Decimal("1E999999") takes 40 seconds
            raise self._out_of_range(value)
        try:
            number = None if isinstance(value, _BYTES) else int(value)
        except (TypeError, ValueError, ArithmeticError):
            number = None
        if number is None or (number != value and not isinstance(value, str)):
            raise self._refusal("a whole number", value)
        if not -self.limit - 1 <= number <= self.limit:
            raise self._out_of_range(value)
        return number

    def _out_of_range(self, value: Any) -> UnstorableValue:
        return self._refusal(f"a whole number from {-self.limit - 1} to {self.limit}", value)


class BigInteger(Integer):
    """A whole number of 64 bits."""

    impl = sa.BigInteger
    cache_ok = True
    limit = MAX_BIGINT


class _Spelled(sa.types.UserDefinedType[int]):
    """A type under the server's own spelling."""

    cache_ok = True

    def __init__(self, spelling: str) -> None:
        self.spelling = spelling

    def get_col_spec(self, **_: Any) -> str:
        return self.spelling


class CountedPart(Integer):
    """A part of a primary key that the server counts up; sqlite can't, and SQLAlchemy refuses to say so there."""

    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Return the type with the server's word for counting."""
        counted = {"postgresql": "SERIAL", "mysql": "INTEGER AUTO_INCREMENT", "mariadb": "INTEGER AUTO_INCREMENT"}
        return _Spelled(counted[dialect.name]) if dialect.name in counted else self.impl_instance


class Float(Kind):
    """A floating point number; on the MySQL family of single precision, and rounded to the six digits that it shows."""

    impl = sa.Float
    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Return FLOAT, or DOUBLE PRECISION on PostgreSQL."""
        return sa.Double() if dialect.name == "postgresql" else self.impl_instance

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> float | None:
        """Return the float that ``value`` stands for, in the precision that the server shows."""
        if value is None:
            return None
        try:
            number = math.nan if isinstance(value, _BYTES) else float(value)
        except (TypeError, ValueError, ArithmeticError):
            number = math.nan
        if not math.isfinite(number):
            raise self._refusal("a number that is finite", value)
        if dialect.name not in _MYSQL:
            return number
        if abs(number) > _MAX_SINGLE:
            raise self._refusal(f"a number of single precision, up to {_MAX_SINGLE:.6g}", value)
        return float(f"{number:.6g}")

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], float | None] | None:
        """Take what the driver gives; but sqlite's RETURNING gives whole numbers as int."""
        return _float if dialect.name == "sqlite" else None


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


class Boolean(Kind):
    """True or False; takes 0 and 1 too."""

    impl = sa.Boolean
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> bool | None:
        """Return the bool that ``value`` stands for."""
        if value is None or value is True or value is False:
            return value
        if isinstance(value, int | float) and value in (0, 1):
            return bool(value)
        raise self._refusal("True or False", value)


class Secret(str):
    """Text that is sent as it is, and logged as stars."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "'***'"


class _Text(Kind):
    """Base of the types of text: numbers and uuids become their usual text."""

    __abstract__ = True

    def process_bind_param(self, value: Any, dialect: Any) -> str | None:
        """Return ``value`` as text."""
        if value is None:
            return None
        text = value if type(value) is str else self._coerce(value)
        if "\0" in text and dialect.name == "postgresql":
            raise UnheldText(self.place, "text without NUL characters", value)
        if not text.isascii():
            self._refuse_surrogates(text)
        return text

    def _coerce(self, value: Any) -> str:
        if isinstance(value, str):
            return value if type(value) is Secret else str(value)
        if isinstance(value, bool):
            return "1" if value else "0"
        try:
            if isinstance(value, int | float | decimal.Decimal | uuid.UUID):
                return str(value)
        except ValueError:  # Python refuses to spell an int of more than 4,300 digits
            pass
        raise self._refusal("text", value)

    def _refuse_surrogates(self, text: str) -> None:
        try:
            text.encode()
        except UnicodeEncodeError:  # which holds the whole text, and must not be the context of ours
            has_encoding = False
        else:
            has_encoding = True
        if not has_encoding:
            raise UnheldText(self.place, "text that has an encoding", text)


class String(_Text):
    """Text of limited length; takes numbers and uuids too.

    ``mysql_collation`` is for a column that does not share its table's charset on the MySQL family.
    """

    impl = sa.String
    cache_ok = True
    comparator_factory = ExactComparator

    def __init__(self, length: int, mysql_collation: str | None = None) -> None:
        """Take the length in characters."""
        super().__init__(length)
        self.length = length
        self.mysql_collation = mysql_collation

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Return VARCHAR."""
        if self.mysql_collation and dialect.name in _MYSQL:
            from sqlalchemy.dialects import mysql

            charset = self.mysql_collation.partition("_")[0]
            return mysql.VARCHAR(self.length, charset=charset, collation=self.mysql_collation)
        return self.impl_instance

    def to_store(self, value: Any, dialect: Any) -> str | None:
        """Return ``value`` as text; sqlite would take more than there is room for."""
        text = self.process_bind_param(value, dialect)
        if text is not None and len(text) > self.length:
            raise self._refusal(f"text of at most {self.length} characters, not of {len(text)}", value)
        return text

    def to_find(self, value: Any, dialect: Any) -> str | None:
        """Return ``value`` as text, if there is room for it."""
        text = self.process_bind_param(value, dialect)
        if text is not None and len(text) > self.length:
            raise UnheldText(self.place, f"text of at most {self.length} characters", value)
        return text


class Text(_Text):
    """Long text: 64 KiB on the MySQL family, unlimited elsewhere."""

    impl = sa.Text
    cache_ok = True
    comparator_factory = ExactComparator
    #: bytes of UTF-8, on the MySQL family
    room = 0xFFFF

    def to_store(self, value: Any, dialect: Any) -> str | None:
        """Return ``value`` as text."""
        text = self.process_bind_param(value, dialect)
        is_long = text is not None and 4 * len(text) > self.room and dialect.name in _MYSQL
        if is_long and len(text.encode()) > self.room:  # type: ignore[union-attr]  # is_long says so
            raise self._refusal(f"text of at most {self.room} bytes", value)
        return text


class MediumText(Text):
    """Long text: 16 MiB on the MySQL family, unlimited elsewhere."""

    cache_ok = True
    room = 0xFFFFFF

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Return MEDIUMTEXT where the server has it."""
        if dialect.name not in _MYSQL:
            return self.impl_instance
        from sqlalchemy.dialects import mysql

        return mysql.MEDIUMTEXT()


class Enum(Kind):
    """One of a few words: ENUM on the MySQL family, a named type on PostgreSQL, unchecked text on sqlite."""

    impl = sa.Enum
    cache_ok = True

    def __init__(self, *words: str, name: str) -> None:
        """Take the legal ``words`` and the ``name`` of the PostgreSQL type."""
        super().__init__(*words, name=name, create_constraint=False)
        self.words = words
        self.name = name

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        """Return ``value`` if it is one of the words."""
        if value is None:
            return None
        if isinstance(value, str) and value in self.words:
            return str(value)
        raise self._refusal(f"one of {', '.join(self.words)}", value)

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> None:
        """Take what the server gives: SQLAlchemy's own Enum would look every value up."""


class DateTime(Kind):
    """Naive UTC; whole seconds on the MySQL family (cut off, as MariaDB does), microseconds elsewhere."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> datetime.datetime | None:
        """Return ``value`` in naive UTC, in the resolution that the server keeps."""
        if value is None:
            return None
        if not isinstance(value, datetime.datetime):
            raise self._refusal("a datetime", value)
        try:
            moment = value if value.tzinfo is None else value.astimezone(datetime.UTC).replace(tzinfo=None)
        except OverflowError:
            raise self._refusal("a datetime whose year in UTC is from 1 to 9999", value) from None
        if moment.microsecond and dialect.name in ("mysql", "mariadb"):
            return moment.replace(microsecond=0)
        return moment


class _Inet(Kind):
    """Base of the address types: text, but inet on PostgreSQL (psycopg is told to give inet as text)."""

    __abstract__ = True
    impl = sa.String
    cache_ok = True
    comparator_factory = ExactComparator
    length = 39

    def __init__(self) -> None:
        super().__init__(self.length)

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        if dialect.name != "postgresql":
            return dialect.type_descriptor(sa.String(self.length))
        from sqlalchemy.dialects import postgresql

        return dialect.type_descriptor(postgresql.INET())

    def to_store(self, value: Any, dialect: Any) -> str | None:
        """Return the text that is stored, as far as there is room for it."""
        text: str | None = self.process_bind_param(value, dialect)
        if text is not None and len(text) > self.length:
            raise self._refusal(f"an address of at most {self.length} characters", value)
        return text

    def _canonical(self, value: Any, spell: Callable[[str], str], holds: str) -> str | None:
        """Return the one spelling of an address that all back-ends store.

        Addresses come as text, or as objects of other libraries whose text they are.
        """
        try:
            return None if value is None else spell(value if type(value) is str else str(value))
        except (ValueError, RecursionError):
            kind = UnheldText if isinstance(value, str) else UnstorableValue
            raise kind(self.place, holds, value) from None


class IPAddress(_Inet):
    """An IP address, in its usual short form; with the length of a prefix only if that is shorter than the address."""

    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Any) -> str | None:
        """Return the address as stored text."""
        return self._canonical(value, address_text, "an IP address")


class CIDR(_Inet):
    """An IP network, in its usual short form; every value is read as the network's text."""

    cache_ok = True
    length = 43

    def process_bind_param(self, value: Any, dialect: Any) -> str | None:
        """Return the network as stored text."""
        return self._canonical(value, _network_of, "an IP network")

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> str | None:
        """Return the network's text: host bits cleared, prefix always shown."""
        return None if value is None else network_text(str(value))


_USUAL_IPV4 = re.compile(r"(?:(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])(?:\.(?!\Z)|\Z)){4}", re.ASCII)
_IPV4 = re.compile(r"(\d+(?:\.\d+){0,3})(?:/(\d{1,2}))?", re.ASCII)
_PREFIX = re.compile(r"0|[1-9][0-9]{0,2}", re.ASCII)


@functools.lru_cache(maxsize=4096)
def address_text(text: str) -> str:
    """Return the address in the spelling that PostgreSQL gives it, which all back-ends store.

    It takes what an inet column takes: zeros in front, a prefix, and with one fewer than four numbers.
    Raises: ValueError for what is not an address.
    """
    if _USUAL_IPV4.fullmatch(text):  # most are, and to parse them takes ten times as long
        return text
    address, length = _parsed(text)
    spelled = _spelled(address)
    return spelled if length == address.max_prefixlen else f"{spelled}/{length}"


def _network_of(text: str) -> str:
    address, length = _parsed(text)
    return network_text(f"{address}/{length}")


def _parsed(text: str) -> tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]:
    """Return an address and the length of its prefix."""
    found = _IPV4.fullmatch(text) if len(text) < 100 else None
    if found is not None:
        numbers = [int(number) for number in found.group(1).split(".")]
        if max(numbers) > 255 or (len(numbers) < 4 and found.group(2) is None):
            raise ValueError(text)
        return ipaddress.IPv4Address(bytes(numbers + [0] * (4 - len(numbers)))), _length(found.group(2), 32)
    host, slash, length = text.partition("/")
    if "%" in host:
        raise ValueError(text)
    return ipaddress.IPv6Address(host), _length(length if slash else None, 128)


def _length(digits: str | None, most: int) -> int:
    if digits is None:
        return most
    if _PREFIX.fullmatch(digits) is None or int(digits) > most:
        raise ValueError(digits)
    return int(digits)


@functools.lru_cache(maxsize=4096)
def network_text(text: str) -> str:
    """Return ``text`` as the text of a network; what is not a network stays as it is."""
    try:
        network = ipaddress.ip_network(text, strict=False)
    except ValueError:
        return text
    return f"{_spelled(network.network_address)}/{network.prefixlen}"


def _spelled(address: ipaddress.IPv4Address | ipaddress.IPv6Address) -> str:
    """Return an address as PostgreSQL and the reference spell it: ``::ffff:192.0.2.1``.

    To Python that is ``::ffff:c000:201`` up to 3.12: stored text must not change with its version.
    """
    return str(address) if address.version == 4 else socket.inet_ntop(socket.AF_INET6, address.packed)


class JsonList(sa.TypeDecorator[Any]):
    """A list of values of one type as one parameter: the text of a JSON array."""

    impl = sa.Text
    cache_ok = True

    def __init__(self, kind: sa.types.TypeEngine[Any]) -> None:
        """Take the type of the items."""
        super().__init__()
        self.kind = kind

    def bind_processor(self, dialect: sa.Dialect) -> Callable[[Any], str]:
        """Return the function that brings the items into the form that the driver stores, then into one text."""
        of_item = self.kind.dialect_impl(dialect).bind_processor(dialect)

        def process(items: Any) -> str:
            return json.dumps([of_item(item) for item in items] if of_item else list(items))

        return process
