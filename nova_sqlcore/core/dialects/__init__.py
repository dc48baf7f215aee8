# SPDX-License-Identifier: Apache-2.0

"""What differs between the back-ends; nothing else in the library asks which one it talks to.

One object per family of servers says how an engine is made, how a transaction begins, which errors mean what, and how
the few statements are written that have no common form.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nova_sqlcore import exceptions
from nova_sqlcore.core.dialects.base import ID_STEP, Dialect, Role, filled, vague
from nova_sqlcore.core.dialects.mysql import Galera, MariaDB, MySQL, XtraDBCluster, is_clustered
from nova_sqlcore.core.dialects.postgresql import PostgreSQL
from nova_sqlcore.core.dialects.sqlite import Sqlite, in_memory

if TYPE_CHECKING:
    import sqlalchemy as sa

__all__ = [
    "GALERA",
    "ID_STEP",
    "MARIADB",
    "MYSQL",
    "POSTGRESQL",
    "SQLITE",
    "XTRADB_CLUSTER",
    "Dialect",
    "MariaDB",
    "MySQL",
    "PostgreSQL",
    "Role",
    "Sqlite",
    "family",
    "filled",
    "in_memory",
    "of_server",
    "vague",
]

SQLITE = Sqlite()
MYSQL = MySQL()
MARIADB = MariaDB()
GALERA = Galera()
XTRADB_CLUSTER = XtraDBCluster()
POSTGRESQL = PostgreSQL()

_FAMILIES: dict[str, Dialect] = {"sqlite": SQLITE, "mysql": MYSQL, "mariadb": MARIADB, "postgresql": POSTGRESQL}


def family(url: sa.URL) -> Dialect:
    """Return the traits for the database that ``url`` names.

    Raises: DBError for a scheme or a driver that the library does not know.
    """
    dialect = _FAMILIES.get(url.get_backend_name())
    known = "sqlite://, mysql+pymysql://, mysql+mysqldb://, postgresql+psycopg://"
    if dialect is None:
        raise exceptions.DBError(f"unknown database scheme {url.drivername!r}; use one of {known}")
    if "+" in url.drivername and url.drivername.partition("+")[2] not in dialect.drivers:
        raise exceptions.DBError(f"unknown driver in {url.drivername!r}; use one of {known}")
    return dialect


def of_server(connection: sa.Connection) -> Dialect:
    """Return the traits of the server that this is connected to: MariaDB and Galera show themselves only then."""
    dialect = connection.engine.dialect
    if dialect.name not in ("mysql", "mariadb"):
        return _FAMILIES[dialect.name]
    alone, clustered = (MARIADB, GALERA) if getattr(dialect, "is_mariadb", False) else (MYSQL, XTRADB_CLUSTER)
    try:
        return clustered if is_clustered(connection.connection) else alone
    except dialect.loaded_dbapi.Error as error:
        raise alone.translate(error) from error
