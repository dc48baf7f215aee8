# SPDX-License-Identifier: Apache-2.0

"""Metrics in a real registry of prometheus_client."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from prometheus_client import CollectorRegistry, generate_latest

from nova_sqlcore import RequestContext, api, exceptions, tx
from nova_sqlcore.contrib import prometheus

if TYPE_CHECKING:
    from tests.plugins.backend import Backend


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


def value(registry: CollectorRegistry, name: str, **labels: str) -> float | None:
    return registry.get_sample_value(f"nova_sqlcore_{name}", labels)


@pytest.mark.usefixtures("backend")
def test_calls_are_timed_and_counted(admin: RequestContext, registry: CollectorRegistry) -> None:
    end = prometheus.instrument(registry)
    for _ in range(3):
        api.service_get_all(admin)
    with pytest.raises(exceptions.ServiceNotFound):
        api.service_get(admin, 1)
    assert value(registry, "transaction_seconds_count", function="service_get_all") == 3
    assert 0 < (value(registry, "transaction_seconds_sum", function="service_get_all") or 0) < 60
    labels = {"database": "main database", "mode": "reader"}
    assert value(registry, "transactions_total", function="service_get_all", outcome="done", **labels) == 3
    assert value(registry, "transactions_total", function="service_get", outcome="refused", **labels) == 1
    assert value(registry, "connection_wait_seconds_count", database="main database") == 4
    assert value(registry, "errors_total", function="service_get", outcome="refused", error="ServiceNotFound") is None
    end()
    api.service_get_all(admin)
    assert generate_latest(registry) == b""
    prometheus.instrument(registry)()  # its names are free again


@pytest.mark.only_on("sqlite", why="a report is counted, whatever the server")
@pytest.mark.usefixtures("backend")
def test_conflicts_and_retries(admin: RequestContext, registry: CollectorRegistry) -> None:
    end = prometheus.instrument(registry)
    seen: list[int] = []

    @tx.writer.named("block")
    def conflicts_twice(context: RequestContext) -> None:
        seen.append(1)
        if len(seen) < 3:
            raise exceptions.DBDeadlock("once more")

    conflicts_twice(admin)
    assert value(registry, "conflicts_total", function="block") == 2
    assert value(registry, "retries_total", function="block") == 2
    assert value(registry, "errors_total", function="block", outcome="conflict", error="DBDeadlock") == 2
    end()


@pytest.mark.only_on("sqlite", why="a report is counted, whatever the server")
@pytest.mark.usefixtures("backend")
def test_joined_calls_have_a_histogram_of_their_own(admin: RequestContext, registry: CollectorRegistry) -> None:
    end = prometheus.instrument(registry, joined=True, buckets=(0.1, 60))
    with tx.writer.named("resize")(admin):
        api.service_get_all(admin)
        api.service_get_all(admin)
    assert value(registry, "joined_call_seconds_bucket", function="service_get_all", le="60.0") == 2
    assert value(registry, "transaction_seconds_count", function="resize") == 1
    assert value(registry, "transaction_seconds_count", function="service_get_all") is None
    end()


def test_round_trips_are_counted(backend: Backend, admin: RequestContext, registry: CollectorRegistry) -> None:
    api.service_get_all(admin)
    end = prometheus.instrument(registry)
    api.service_get_all(admin)
    assert value(registry, "statements_total", function="service_get_all") == 1
    assert value(registry, "round_trips_total", function="service_get_all") == (backend.family != "sqlite")
    end()


def test_pools(backend: Backend, admin: RequestContext, registry: CollectorRegistry) -> None:
    end = prometheus.instrument(registry)
    database = tx.Database("watched")
    database.configure(backend.url, pool_size=2, max_overflow=1)
    admin.db_connection = database
    other = RequestContext(is_admin=True)
    other.db_connection = database

    def states(role: str) -> list[float | None]:
        return [
            value(registry, "pool_connections", database="watched", role=role, state=state)
            for state in ("in_use", "idle")
        ]

    assert states("writer") == [None, None]
    with tx.writer(admin):
        api.service_get_all(admin)
        assert states("writer") == [1, 0]
    assert states("writer") == [0, 1]
    assert value(registry, "pool_limit", database="watched", role="writer") == 3
    with tx.reader(admin), tx.reader(other):
        api.service_get_all(admin)
        api.service_get_all(other)
        assert states("reader") == [2, 0]
    assert states("reader") == [0, 2]
    database.close()
    assert states("reader") == [None, None]
    database.configure(backend.url, max_overflow=-1)
    api.service_get_all(admin)
    assert value(registry, "pool_limit", database="watched", role="reader") == float("inf")
    database.close()
    end()


def test_a_database_in_memory_has_no_pool(admin: RequestContext, registry: CollectorRegistry) -> None:
    database = tx.Database("memory")
    database.configure("sqlite://")
    admin.db_connection = database
    with tx.reader(admin) as t:
        assert not t.connection.closed
    assert database.pools() == []
    database.close()
