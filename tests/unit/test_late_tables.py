# SPDX-License-Identifier: Apache-2.0

"""Tables that are made when somebody first asks for all of them."""

from __future__ import annotations

import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from nova_sqlcore import tables
from nova_sqlcore.schema.ddl import LateMetaData

THREADS = 8


def metadata_with(*late: str) -> LateMetaData:
    """Return metadata of one table that is there, and others that come late."""
    metadata = LateMetaData()
    sa.Table("early", metadata)

    def make() -> None:
        assert "early" in metadata.tables
        for name in late:
            time.sleep(0.01)
            sa.Table(name, metadata)

    metadata.late = make
    return metadata


def test_late_tables_are_made_once_for_all_threads() -> None:
    metadata = metadata_with("a", "b")
    barrier = threading.Barrier(THREADS)

    def names(_: int) -> list[str]:
        barrier.wait()
        return list(metadata.tables)

    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(names, range(THREADS))) == [["early", "a", "b"]] * THREADS


def test_what_was_interrupted_begins_anew() -> None:
    metadata = metadata_with("a", "b")
    whole = metadata.late
    assert whole is not None

    def interrupted() -> None:
        sa.Table("a", metadata)
        raise KeyboardInterrupt

    metadata.late = interrupted
    with pytest.raises(KeyboardInterrupt):
        _ = metadata.tables
    metadata.late = whole
    assert list(metadata.tables) == ["early", "a", "b"]


@pytest.mark.parametrize(
    "read",
    [
        lambda metadata: [table.name for table in metadata.sorted_tables],
        lambda metadata: [name for name in ("a", "early") if name in metadata],
        lambda metadata: sorted(pickle.loads(pickle.dumps(metadata.tables))),
    ],
)
def test_every_road_to_all_tables_finds_the_late_ones(read: object) -> None:
    assert callable(read)
    assert read(metadata_with("a")) == ["a", "early"]


def test_other_names_are_unknown() -> None:
    with pytest.raises(AttributeError, match="no attribute 'shadow_'"):
        _ = tables.shadow_  # type: ignore[attr-defined]  # that is the point
