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
    trips = statements.written_trips().get(backend.name, {})
    compared = {name: (trips.get(name, set()), taken) for name, taken in recorder.trips.items()}
    other = {name: pair for name, pair in compared.items() if not _are_alike(*pair)}
    assert not other, f"other round trips, (written, taken); run make statements: {other}"


def _are_alike(written: set[int], taken: set[int]) -> bool:
    """Tell whether round trips are as written, or one more.

    A server may begin to answer before the end of a long text has come, and the wire takes that for another trip. One
    more that the library knows of is another ``round_trips`` in what ``nova-sqlcore sql`` shows.
    """
    return all({one, one - 1} & written for one in taken) and all({one, one + 1} & taken for one in written)
