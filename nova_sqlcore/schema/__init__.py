# SPDX-License-Identifier: Apache-2.0

"""How a database gets its tables: migrations, adoption of what the reference has made, and the check of a schema.

``ddl`` spells what SQLAlchemy can't and lies below ``tables``; everything else may import ``tables`` and ``core``.
No query is imported here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import sqlalchemy as sa

    from nova_sqlcore.core.connections import Connections

__all__ = ["create"]


def create(database: str | sa.URL | Connections) -> list[str]:
    """Make all tables, with the five flavors of a new database; return the names of those that were missing.

    It needs SQLAlchemy alone, and makes what all migrations make, except the marks by which they know that they were
    run: ``migrate --adopt`` adds those one day. ``database`` is a URL, or a database of ``tx`` such as ``tx.main``,
    which may be one in memory. What is there already stays as it is, and several processes may call this at once. The
    flavors come if there is none, not even a soft-deleted one.

    Raises: SchemaDiffers(text, differences, notes) if there are tables of these names that are not the same; none is
    made then. DBMigrationError(text) for a URL without a database, or in memory. CantStartEngineError if the database
    was not configured. DBError for a URL or a server that can't be used.
    """
    from nova_sqlcore.schema import creation  # tables, which it makes, are built with ``ddl`` from this package

    return creation.create(database)
