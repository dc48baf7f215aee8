# SPDX-License-Identifier: Apache-2.0

"""Instances and their children, straight into the tables: what the reading functions are tested on."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

from nova_sqlcore import get_admin_context, tables, tx

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Row = dict[str, Any]


def insert(table: str, **values: Any) -> Row:
    """Store one row and return it."""
    with tx.writer(get_admin_context()) as transaction:
        row: Row = transaction.insert(getattr(tables, table), values)
        return row


def instance(
    metadata: Mapping[str, str] | None = None,
    system_metadata: Mapping[str, str] | None = None,
    tags: Iterable[str] = (),
    **values: Any,
) -> Row:
    """Store an instance of the project "project", with these children, and return its columns."""
    given = {"uuid": str(uuid.uuid4()), "project_id": "project", "user_id": "user", **values}
    with tx.writer(get_admin_context()) as transaction:
        row: Row = transaction.insert(tables.instances, given)
        for table, pairs in (
            (tables.instance_metadata, metadata),
            (tables.instance_system_metadata, system_metadata),
        ):
            for key, value in (pairs or {}).items():
                transaction.insert(table, {"instance_uuid": row["uuid"], "key": key, "value": value})
        for tag in tags:
            transaction.insert(tables.tags, {"resource_id": row["uuid"], "tag": tag})
    return row


def group(*members: Row, rules: Iterable[Mapping[str, Any]] = (), **values: Any) -> Row:
    """Store a security group with these instances and rules, and return its columns."""
    given = {"name": f"group-{uuid.uuid4()}", "project_id": "project", **values}
    with tx.writer(get_admin_context()) as transaction:
        row: Row = transaction.insert(tables.security_groups, given)
        for member in members:
            link = {"instance_uuid": member["uuid"], "security_group_id": row["id"]}
            transaction.insert(tables.security_group_instance_association, link)
        for rule in rules:
            transaction.insert(tables.security_group_rules, {"parent_group_id": row["id"], **rule})
    return row


def deleted(table: str, row: Row) -> None:
    """Soft-delete a stored row."""
    target = getattr(tables, table)
    with tx.writer(get_admin_context()) as transaction:
        transaction.execute(
            target.update().where(target.c.id == row["id"]).values(deleted=row["id"], updated_at=target.c.updated_at)
        )
