# SPDX-License-Identifier: Apache-2.0

"""The fork's request context, decorated by oslo.db as Nova's is."""

from __future__ import annotations

import copy
from typing import Any

from oslo_db.sqlalchemy import enginefacade


@enginefacade.transaction_context_provider
class RequestContext:
    """Who asks."""

    def __init__(
        self,
        user_id: str | None = None,
        project_id: str | None = None,
        is_admin: bool = False,
        read_deleted: str = "no",
    ) -> None:
        self.user_id = user_id
        self.project_id = project_id
        self.is_admin = is_admin
        self.read_deleted = read_deleted
        self.roles: list[str] = []
        self.quota_class: str | None = None
        self.db_connection: Any = None

    def elevated(self, read_deleted: str | None = None) -> RequestContext:
        other = copy.copy(self)
        other.is_admin = True
        if read_deleted is not None:
            other.read_deleted = read_deleted
        return other


def get_admin_context(read_deleted: str = "no") -> RequestContext:
    return RequestContext(is_admin=True, read_deleted=read_deleted)
