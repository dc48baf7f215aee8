# SPDX-License-Identifier: Apache-2.0

"""The fork's face of its database layer; functions forward to IMPL."""

from __future__ import annotations

from typing import Any

from oslo_db import api as oslo_api

from nova.conf import CONF

_BACKEND_MAPPING = {"sqlalchemy": "nova_sqlcore.contrib.nova"}

IMPL = oslo_api.DBAPI.from_config(CONF, backend_mapping=_BACKEND_MAPPING, lazy=True)


def instance_get_by_uuid(context: Any, uuid: str, columns_to_join: Any = None) -> Any:
    return IMPL.instance_get_by_uuid(context, uuid, columns_to_join)


def service_create(context: Any, values: dict[str, Any]) -> Any:
    return IMPL.service_create(context, values)


def create_context_manager(connection: str) -> Any:
    return IMPL.create_context_manager(connection)
