# SPDX-License-Identifier: Apache-2.0

"""On a database that the reference has filled, the library gives the reference's answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nova_sqlcore import api, tx
from nova_sqlcore.schema import migrations
from tests.recorded.replay import Replay, records
from tests.schema import dumps

if TYPE_CHECKING:
    from tests.plugins.backend import Backend


def test_an_adopted_database_gives_the_recorded_answers(backend: Backend, frozen_clock: Any) -> None:
    """150 calls that only read: as adopted, without an index of ours, and after all migrations."""
    calls = records("answers.jsonl.gz")
    wrong: dict[str, list[str]] = {}
    with backend.new_database() as url:
        dumps.load(url)
        for state, prepare in (("adopted", migrations.adopt), ("migrated", migrations.migrate)):
            prepare(url)
            tx.close()
            tx.configure(url)
            try:
                replay = Replay(api, backend.family, frozen_clock)
                wrong[state] = [why for _, why in replay.mismatches(calls)]
            finally:
                tx.close()
                tx.configure(backend.url)
    assert not any(wrong.values()), "\n".join(f"{state}: {line}" for state, lines in wrong.items() for line in lines)
