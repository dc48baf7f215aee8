# SPDX-License-Identifier: Apache-2.0

"""Eight processes over three nodes: rows without a unique key are made once, and no conflict reaches the callers."""

from __future__ import annotations

import datetime
import uuid
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from nova_sqlcore import api, exceptions, get_admin_context, tables, tx
from tests.queries import instance_factory

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.queries.processes import Processes
    from tests.servers.galera import Galera

KEYS = 10
MOMENT = datetime.datetime(2016, 4, 7, 12)


def add_to_group(number: int, keys: list[str]) -> None:
    for key in keys:
        api.instance_add_security_group(get_admin_context(), key, 1)


def write_extra(number: int, keys: list[str]) -> None:
    for key in keys:
        api.instance_extra_update_by_uuid(get_admin_context(), key, {"numa_topology": f"{number}"})


def count_bandwidth(number: int, keys: list[str]) -> None:
    for key in keys:
        api.bw_usage_update(get_admin_context(), key, "m", MOMENT, number, 1, 1, 1)


def count_volume(number: int, keys: list[str]) -> None:
    for key in keys:
        api.vol_usage_update(get_admin_context(), key, number, 1, 1, 1, "i", "p", "u", "z")


def create_aggregate(number: int, keys: list[str]) -> int:
    made = 0
    for key in keys:
        try:
            made += bool(api.aggregate_create(get_admin_context(), {"name": key}))
        except exceptions.AggregateNameExists:
            continue
    return made


KINDS: list[tuple[Callable[..., Any], sa.Table]] = [
    (add_to_group, tables.security_group_instance_association),
    (write_extra, tables.instance_extra),
    (count_bandwidth, tables.bw_usage_cache),
    (count_volume, tables.volume_usage_cache),
    (create_aggregate, tables.aggregates),
]


@pytest.mark.parametrize(("call", "table"), KINDS, ids=[call.__name__ for call, _ in KINDS])
def test_first_rows_are_made_once(
    urls: list[sa.URL], processes: Processes, call: Callable[..., Any], table: sa.Table
) -> None:
    keys = [str(uuid.uuid4()) for _ in range(KEYS)]
    instance_factory.insert("security_groups", name="g", project_id="p", user_id="u")
    for key in keys:
        instance_factory.insert("instances", uuid=key, project_id="p", user_id="u")
    processes.call(urls, call, keys)
    assert count(table) == KEYS


def count(table: sa.Table) -> int:
    with tx.main.engine.connect() as connection:
        connection.exec_driver_sql("SET SESSION wsrep_sync_wait = 1")
        return connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one()


def test_a_node_that_is_killed_comes_back_with_all_that_it_has_missed(cluster: Galera, urls: list[sa.URL]) -> None:
    lost = cluster.nodes[2]
    lost.kill()
    for number in range(20):
        api.certificate_create(get_admin_context(), {"project_id": "p", "file_name": f"{number}"})
    lost.rejoin(cluster.addresses)
    tx.close()
    tx.configure(urls[2])
    assert len(api.certificate_get_all_by_project(get_admin_context(), "p")) == 20
