# SPDX-License-Identifier: Apache-2.0

"""Values that are larger than the server takes in one statement are bad data, not a lost server."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa

from nova_sqlcore import api, exceptions, get_admin_context, tables, tx
from nova_sqlcore.queries.security import certificates

if TYPE_CHECKING:
    from nova_sqlcore import RequestContext
    from tests.plugins.backend import Backend

#: Bytes of a statement that the server shall take.
_ROOM = 64 * 1024**2
pytestmark = pytest.mark.only_on("mysql", why="the MySQL family breaks the line")


@pytest.fixture
def limit(backend: Backend) -> int:
    with tx.main.engine.connect() as connection:
        return int(connection.exec_driver_sql("SELECT @@max_allowed_packet").scalar_one())


@tx.writer
def _rename(context: RequestContext, text: str) -> None:
    rename = sa.update(tables.certificates).values(file_name=sa.bindparam("text"))
    tx.current(context).execute(rename, text=text)


def test_the_limit_is_told(admin: RequestContext, limit: int) -> None:
    certificates.certificate_create(admin, {"project_id": "p", "file_name": "before"})
    with pytest.raises(exceptions.DBDataError, match=f"{limit} .*max_allowed_packet"):
        _rename(admin, "x" * (limit + 1))
    found = certificates.certificate_get_all_by_project(get_admin_context(), "p")
    assert [row["file_name"] for row in found] == ["before"]


def test_in_the_middle_of_a_transaction(admin: RequestContext, limit: int) -> None:
    with pytest.raises(exceptions.DBDataError, match="max_allowed_packet"), tx.writer(admin) as t:
        t.insert(tables.certificates, {"project_id": "p"})
        t.execute(sa.update(tables.certificates).values(file_name=sa.bindparam("text")), text="'" * (limit // 2 + 1))
    assert certificates.certificate_get_all_by_project(get_admin_context(), "p") == []


def test_more_than_one_packet_of_the_protocol(backend: Backend, admin: RequestContext, limit: int) -> None:
    """A statement of 16 MB goes on in another packet, which a batch can't."""
    if limit < _ROOM:
        with tx.main.engine.connect() as connection:
            connection.exec_driver_sql(f"SET GLOBAL max_allowed_packet = {_ROOM}")
        tx.close()
        tx.configure(backend.url)
    text = "x" * (2**24 - 1)
    instance = api.instance_create(admin, {})
    _, row = api.instance_update_and_get_original(admin, instance["uuid"], {"user_data": text})
    assert row["user_data"] == text
    assert api.instance_get_by_uuid(admin, instance["uuid"])["user_data"] == text
