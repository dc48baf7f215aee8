# SPDX-License-Identifier: Apache-2.0

"""Certificates (01-core 11)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from nova_sqlcore import RequestContext, get_admin_context, tables, tx
from nova_sqlcore.queries.security import certificates

if TYPE_CHECKING:
    from tests.plugins.counting import SqlCount

pytestmark = pytest.mark.usefixtures("backend")


def certificate(user: Any = "u", project: Any = "p", file: str = "f") -> Any:
    values = {"user_id": user, "project_id": project, "file_name": file}
    return certificates.certificate_create(get_admin_context(), values)


def test_the_new_row_is_what_a_read_shows(admin: RequestContext, sql_count: SqlCount) -> None:
    with sql_count(2):
        row = certificate()
        assert certificates.certificate_get_all_by_user(admin, "u") == [row]
    assert set(row) == set(tables.certificates.c.keys())
    assert certificate()["id"] != row["id"]


def test_lists(admin: RequestContext, sql_count: SqlCount) -> None:
    one, two, three = certificate(), certificate("u", "q"), certificate("v", "p")
    gone = certificate()
    with tx.writer(admin) as transaction:
        transaction.connection.execute(
            tables.certificates.update().where(tables.certificates.c.id == gone["id"]).values(deleted=gone["id"])
        )
    context = get_admin_context("yes")
    with sql_count(4):
        assert certificates.certificate_get_all_by_project(context, "p") == [one, three]
        assert certificates.certificate_get_all_by_user(context, "u") == [one, two]
        assert certificates.certificate_get_all_by_user_and_project(context, "u", "q") == [two]
        assert certificates.certificate_get_all_by_user_and_project(context, "q", "u") == []


def test_numbers_and_none(admin: RequestContext) -> None:
    number, null = certificate(1, 2), certificate(None, 2)
    assert number["project_id"] == "2"
    assert certificates.certificate_get_all_by_project(admin, 2) == [number, null]  # type: ignore[arg-type]  # on purpose
    assert certificates.certificate_get_all_by_user(admin, None) == [null]  # type: ignore[arg-type]  # NULL
