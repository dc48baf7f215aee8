# SPDX-License-Identifier: Apache-2.0

"""What differs between the back-ends; nothing else in the library asks which one it talks to.

One object per family of servers says how an engine is made, how a transaction begins, which errors mean what, and how
the few statements are written that have no common form.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

from nova_sqlcore import exceptions
from nova_sqlcore.core.dialects.base import ID_STEP, Dialect, Role, filled, in_memory
from nova_sqlcore.core.dialects.spelling import vague

if TYPE_CHECKING:
    import sqlalchemy as sa

__all__ = ["ID_STEP", "Dialect", "Role", "family", "filled", "in_memory", "named", "of_server", "vague"]


@functools.cache
def named(name: str) -> Dialect:
    """Return the traits of the family that SQLAlchemy calls ``name``.

    A family is loaded when somebody first asks for it, and with it SQLAlchemy's own package: to load all of these takes
    a seventh of the time of an import.
    Raises: KeyError if there is no such family.
    """
    if name == "sqlite":
        from nova_sqlcore.core.dialects.sqlite import SQLITE

        return SQLITE
    if name == "postgresql":
        from nova_sqlcore.core.dialects.postgresql import POSTGRESQL

        return POSTGRESQL
    if name in ("mysql", "mariadb"):
        from nova_sqlcore.core.dialects.mysql import MARIADB, MYSQL

        return MYSQL if name == "mysql" else MARIADB
    raise KeyError(name)


def family(url: sa.URL) -> Dialect:
    """Return the traits for the database that ``url`` names.

    Raises: DBError for a scheme or a driver that the library does not know.
    """
    known = "sqlite://, mysql+pymysql://, mysql+mysqldb://, postgresql+psycopg://"
    try:
        dialect = named(url.get_backend_name())
    except KeyError:
        raise exceptions.DBError(f"unknown database scheme {url.drivername!r}; use one of {known}") from None
    if "+" in url.drivername and url.drivername.partition("+")[2] not in dialect.drivers:
        raise exceptions.DBError(f"unknown driver in {url.drivername!r}; use one of {known}")
    return dialect


def of_server(connection: sa.Connection) -> Dialect:
    """Return the traits of the server that this is connected to: MariaDB and Galera show themselves only then."""
    return named(connection.engine.dialect.name).of_server(connection)
