"""The calls that the reference was recorded with give the reference's answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nova_sqlcore import api, tx
from nova_sqlcore.schema import migrations
from tests.recorded.replay import Replay, records

if TYPE_CHECKING:
    from tests.plugins.backend import Backend


#: Calls whose recorded answer is an accident of the recording, though nothing there says so.
ACCIDENTS = {
    # the status came as a unicode text, which the reference took for a list of letters; one text is one status
    964,
    # the reference's migration of uuids saved whole objects, which rewrote ``pci_stats`` in another form
    1019,
}


def test_every_recorded_call_gives_the_recorded_answer(backend: Backend, frozen_clock: Any) -> None:
    """1,033 calls of all functions, with successes and failures, on a database with nothing but the seeded flavors."""
    with backend.new_database() as url:
        migrations.migrate(url)
        tx.close()
        tx.configure(url)
        try:
            replay = Replay(api, backend.family, frozen_clock)
            wrong = [why for number, why in replay.mismatches(records("trace.jsonl.gz")) if number not in ACCIDENTS]
        finally:
            tx.close()
            tx.configure(backend.url)
    assert not wrong, f"{len(wrong)} calls differ:\n" + "\n".join(wrong)
