"""Column types: one Python value per column, whatever the server.

Every type here turns a caller's value into the stored form when it is bound, and a driver's value into a plain
``str``, ``int``, ``bool``, ``float`` or naive ``datetime`` when it is read. A type without a result step costs
nothing per row.
"""

import datetime
import decimal
import functools
import ipaddress
import socket
import uuid
from collections.abc import Callable
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql

from nova_sqlcore.core.equality import ExactComparator

MAX_INT: Final = 0x7FFFFFFF
MAX_BIGINT: Final = 0x7FFFFFFFFFFFFFFF


class UnstorableValue(ValueError):
    """A value that a column can't hold; the text says what it holds and what was given."""

    def __init__(self, holds: str, value: object) -> None:
        """Say ``holds`` (with its article) and show the start of ``value``."""
        super().__init__(f"holds {holds}; got {str(value)[:60]!r} ({type(value).__name__})")

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle without the constructor, whose arguments are others than the text."""
        return _unstorable, (type(self), str(self))


def _unstorable(kind: type[UnstorableValue], text: str) -> UnstorableValue:
    """Return the error that was pickled."""
    error = kind.__new__(kind)
    error.args = (text,)
    return error


class Integer(sa.TypeDecorator[int]):
    """A whole number; takes digits in a string too."""

    impl = sa.Integer
    cache_ok = True
    limit = MAX_INT

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> int | None:
        """Return the int that ``value`` stands for."""
        if type(value) is int and -self.limit - 1 <= value <= self.limit:
            return value
        return None if value is None else self._coerce(value)

    def _coerce(self, value: Any) -> int:
        try:
            number = int(value)
        except (TypeError, ValueError):
            raise UnstorableValue("a whole number", value) from None
        if number != value and not isinstance(value, str):
            raise UnstorableValue("a whole number", value)
        if not -self.limit - 1 <= number <= self.limit:
            raise UnstorableValue(f"a whole number from {-self.limit - 1} to {self.limit}", value)
        return number


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


class Float(sa.TypeDecorator[float]):
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
            number = float(value)
        except (TypeError, ValueError):
            raise UnstorableValue("a number", value) from None
        return float(f"{number:.6g}") if dialect.name in ("mysql", "mariadb") else number

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> Callable[[Any], float | None] | None:
        """Take what the driver gives; but sqlite's RETURNING gives whole numbers as int."""
        return _float if dialect.name == "sqlite" else None


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


class Boolean(sa.TypeDecorator[bool]):
    """True or False; takes 0 and 1 too."""

    impl = sa.Boolean
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> bool | None:
        """Return the bool that ``value`` stands for."""
        if value is None or value is True or value is False:
            return value
        if value in (0, 1):
            return bool(value)
        raise UnstorableValue("True or False", value)


def _text(value: Any) -> str | None:
    """Return the text that is stored for ``value``: numbers and uuids become their usual text."""
    if value is None or type(value) is str:
        return value
    if isinstance(value, str):
        return str(value)
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, int | float | decimal.Decimal | uuid.UUID):
        return str(value)
    raise UnstorableValue("text", value)


class String(sa.TypeDecorator[str]):
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
        if self.mysql_collation and dialect.name in ("mysql", "mariadb"):
            charset = self.mysql_collation.partition("_")[0]
            return mysql.VARCHAR(self.length, charset=charset, collation=self.mysql_collation)
        return self.impl_instance

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        """Return ``value`` as text."""
        return value if type(value) is str else _text(value)


class Text(sa.TypeDecorator[str]):
    """Long text: 64 KiB on the MySQL family, unlimited elsewhere."""

    impl = sa.Text
    cache_ok = True
    comparator_factory = ExactComparator

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        """Return ``value`` as text."""
        return value if type(value) is str else _text(value)


class MediumText(Text):
    """Long text: 16 MiB on the MySQL family, unlimited elsewhere."""

    cache_ok = True

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        """Return MEDIUMTEXT where the server has it."""
        return mysql.MEDIUMTEXT() if dialect.name in ("mysql", "mariadb") else self.impl_instance


class Enum(sa.TypeDecorator[str]):
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
        if value is None or value in self.words:
            return None if value is None else str(value)
        raise UnstorableValue(f"one of {', '.join(self.words)}", value)

    def result_processor(self, dialect: sa.Dialect, coltype: object) -> None:
        """Take what the server gives: SQLAlchemy's own Enum would look every value up."""


class DateTime(sa.TypeDecorator[datetime.datetime]):
    """Naive UTC; whole seconds on the MySQL family (cut off, as MariaDB does), microseconds elsewhere."""

    impl = sa.DateTime
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> datetime.datetime | None:
        """Return ``value`` in naive UTC, in the resolution that the server keeps."""
        if value is None:
            return None
        if not isinstance(value, datetime.datetime):
            raise UnstorableValue("a datetime", value)
        moment = value if value.tzinfo is None else value.astimezone(datetime.UTC).replace(tzinfo=None)
        if moment.microsecond and dialect.name in ("mysql", "mariadb"):
            return moment.replace(microsecond=0)
        return moment


class _Inet(sa.TypeDecorator[str]):
    """Base of the address types: text, but inet on PostgreSQL (psycopg is told to give inet as text)."""

    impl = sa.String
    cache_ok = True
    comparator_factory = ExactComparator
    length = 39

    def __init__(self) -> None:
        super().__init__(self.length)

    def load_dialect_impl(self, dialect: sa.Dialect) -> sa.types.TypeEngine[Any]:
        return dialect.type_descriptor(postgresql.INET() if dialect.name == "postgresql" else sa.String(self.length))


class IPAddress(_Inet):
    """An IP address; IPv6 is stored in its short form, other text as it is."""

    cache_ok = True

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        """Return the address as stored text."""
        return None if value is None else _short_address(str(value))


class CIDR(_Inet):
    """An IP network; IPv6 is stored in its short form, and every value is read as the network's text."""

    cache_ok = True
    length = 43

    def process_bind_param(self, value: Any, dialect: sa.Dialect) -> str | None:
        """Return the network as stored text."""
        return None if value is None else _short_network(str(value))

    def process_result_value(self, value: Any, dialect: sa.Dialect) -> str | None:
        """Return the network's text: host bits cleared, prefix always shown."""
        return None if value is None else network_text(str(value))


@functools.lru_cache(maxsize=4096)
def _short_address(text: str) -> str:
    if ":" not in text or "%" in text:
        return text
    try:
        return _spelled(ipaddress.IPv6Address(text))
    except ValueError:
        return text


@functools.lru_cache(maxsize=4096)
def _short_network(text: str) -> str:
    return network_text(text) if ":" in text else text


@functools.lru_cache(maxsize=4096)
def network_text(text: str) -> str:
    """Return ``text`` as the text of a network; what is no network stays as it is."""
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
