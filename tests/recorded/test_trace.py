# SPDX-License-Identifier: Apache-2.0

"""The calls that the reference was recorded with: their answers, and what they send in how many round trips."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nova_sqlcore import api, tx
from nova_sqlcore.schema import migrations
from tests.recorded import statements
from tests.recorded.replay import Replay, records

if TYPE_CHECKING:
    from tests.plugins.backend import Backend


def test_every_recorded_call_gives_the_recorded_answer(backend: Backend, frozen_clock: Any) -> None:
    """1,033 calls of all functions, with successes and failures, on a database with nothing but the seeded flavors."""
    with backend.new_database() as url:
        migrations.migrate(url)
        with statements.counted(url) as (recorder, way):
            statements.connect(way)
            try:
                runner = Replay(api, backend.family, frozen_clock)
                answers = statements.record(recorder, runner, records("trace.jsonl.gz"))
            finally:
                tx.close()
                tx.configure(backend.url)
    wrong = [why for number, why in answers if number not in statements.ACCIDENTS]
    assert not wrong, f"{len(wrong)} calls differ:\n" + "\n".join(wrong)
    # one run for all: it takes a while
    sent, shipped = statements.sent(recorder.found), statements.shipped(backend.name)
    changed = sorted(name for name in shipped.keys() | sent.keys() if shipped.get(name) != sent.get(name))
    assert not changed, f"other statements than nova-sqlcore sql shows; run make statements: {', '.join(changed)}"
    reported, told = statements.reported_trips(recorder.found), statements.shipped_trips(backend.name)
    stale = sorted(name for name, numbers in reported.items() if numbers != told[name])
    assert not stale, f"other round trips than nova-sqlcore sql shows; run make statements: {', '.join(stale)}"
    trips = statements.written_trips().get(backend.name, {})
    other = {
        name: (trips.get(name), taken) for name, taken in recorder.trips.items() if trips.get(name, set()) != taken
    }
    assert not other, f"other round trips, (written, taken); run make statements: {other}"
