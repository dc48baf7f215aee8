# SPDX-License-Identifier: Apache-2.0

"""Certificates: a file signed for a user in a project.  Table ``certificates``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nova_sqlcore import tx
from nova_sqlcore.queries.common.lookups import rows_by
from nova_sqlcore.tables import certificates as t
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nova_sqlcore import rows
    from nova_sqlcore.context import Context


@tx.main.reader
def certificate_get_all_by_project(context: Context, project_id: str) -> list[rows.Certificate]:
    """Return the project's live certificates, by id.

    Cost: 1 statement in 1 round trip.
    """
    return rows_by(current(context), t, "no", project_id=project_id)


@tx.main.reader
def certificate_get_all_by_user(context: Context, user_id: str) -> list[rows.Certificate]:
    """Return the user's live certificates, by id.

    Cost: 1 statement in 1 round trip.
    """
    return rows_by(current(context), t, "no", user_id=user_id)


@tx.main.reader
def certificate_get_all_by_user_and_project(context: Context, user_id: str, project_id: str) -> list[rows.Certificate]:
    """Return the user's live certificates in the project, by id.

    Cost: 1 statement in 1 round trip.
    """
    return rows_by(current(context), t, "no", user_id=user_id, project_id=project_id)


@tx.main.writer
def certificate_create(context: Context, values: Mapping[str, Any]) -> rows.Certificate:
    """Store a certificate and return it; nothing is checked for duplicates.

    Cost: 1 statement in 1 round trip.
    """
    return current(context).last().insert(t, values)
