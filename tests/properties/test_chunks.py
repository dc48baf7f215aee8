# SPDX-License-Identifier: Apache-2.0

"""Long lists of keys are cut into chunks; their length, order and repetitions make no difference."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings, strategies as st

from nova_sqlcore import api, get_admin_context, tables, tx
from nova_sqlcore.queries.common.clauses import CHUNK, chunks

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.plugins.backend import Backend

MOST = 2 * CHUNK + 1
UUIDS = [str(uuid.UUID(int=number)) for number in range(MOST)]
SIZES = st.sampled_from([0, 1, CHUNK - 1, CHUNK, CHUNK + 1, MOST - 2, MOST - 1, MOST])


@given(items=st.lists(st.integers()), size=st.integers(1, 5))
def test_pieces(items: list[int], size: int) -> None:
    pieces = list(chunks(items, size))
    assert [item for piece in pieces for item in piece] == items
    assert all(len(piece) == size for piece in pieces[:-1])
    assert all(0 < len(piece) <= size for piece in pieces)


#: A start, how many uuids, and some to be named once more, before or after all others.
KEYS = st.tuples(st.integers(0, MOST - 1), SIZES, st.lists(st.integers(0, MOST - 1), max_size=3), st.booleans())


def uuids(start: int, size: int, again: list[int], before: bool) -> list[str]:
    """Return the uuids that ``KEYS`` stands for."""
    found = [UUIDS[(start + number) % MOST] for number in range(size)]
    repeated = [found[number % size] for number in again] if found else []
    return repeated + found if before else found + repeated


@pytest.fixture
def stored(backend: Backend) -> None:
    """Store an instance for each uuid, with one child of each kind."""
    with tx.writer(get_admin_context()) as transaction:
        transaction.insert_many(tables.instances, [{"uuid": one, "host": one} for one in UUIDS])
        children: dict[Any, dict[str, Any]] = {
            tables.instance_metadata: {"key": "key"},
            tables.instance_faults: {"code": 500},
            tables.block_device_mapping: {},
        }
        for table, values in children.items():
            transaction.insert_many(table, [{"instance_uuid": one, **values} for one in UUIDS])


@pytest.mark.usefixtures("stored")
@settings(max_examples=12)
@given(keys=KEYS)
def test_readers(keys: tuple[int, int, list[int], bool]) -> None:
    wanted = uuids(*keys)
    context = get_admin_context()
    by_id = [one for one in UUIDS if one in set(wanted)]
    mappings = api.block_device_mapping_get_all_by_instance_uuids(context, wanted)
    assert [row["instance_uuid"] for row in mappings] == by_id
    faults = api.instance_fault_get_by_instance_uuids(context, wanted)
    assert {one: [row["instance_uuid"] for row in rows] for one, rows in faults.items()} == {
        one: [one] for one in by_id
    }
    instances = api.instance_get_all_by_filters(
        context, {"uuid": wanted}, "id", "asc", columns_to_join=["metadata", "block_device_mapping"]
    )
    for kind in ("metadata", "block_device_mapping"):
        assert [(row["uuid"], *(child["instance_uuid"] for child in row[kind])) for row in instances] == [
            (one, one) for one in by_id
        ]


@settings(max_examples=10)
@given(keys=KEYS, used=st.booleans())
def test_reservations(
    backend: Backend, empty_tables: Callable[[], None], keys: tuple[int, int, list[int], bool], used: bool
) -> None:
    """Each counts once, however often it is named."""
    empty_tables()
    wanted = uuids(*keys)
    context = get_admin_context()
    with tx.writer(context) as transaction:
        usage = {"project_id": "p", "resource": "cores", "in_use": 0, "reserved": MOST}
        usage_id = transaction.insert(tables.quota_usages, usage)["id"]
        one = {"project_id": "p", "resource": "cores", "usage_id": usage_id, "delta": 1}
        transaction.insert_many(tables.reservations, [{"uuid": uuid, **one} for uuid in UUIDS])
    (api.reservation_commit if used else api.reservation_rollback)(context, wanted, "p")
    count = len(set(wanted))
    row = api.quota_usage_get(context, "p", "cores")
    assert (row["in_use"], row["reserved"]) == (count if used else 0, MOST - count)
