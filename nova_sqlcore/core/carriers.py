# SPDX-License-Identifier: Apache-2.0

"""How several statements go to a server in one trip: what a driver must be able to do."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence


class Carrier(Protocol):
    """Takes several statements to the server in one trip."""

    def pack(self, link: Any, text: str, bound: Any) -> tuple[Any, int]:
        """Return a statement in the form that ``carry`` takes, and how many bytes that is."""

    def limit(self, link: Any) -> int:
        """Return how many bytes may travel together."""

    def carry(self, link: Any, packed: Sequence[Any], commit: bool, answers: list[Any]) -> None:
        """Run the statements, and COMMIT after them if none has failed; a BEGIN that the driver would send goes along.

        To ``answers`` comes for each statement what has a cursor's ``rowcount``, ``lastrowid``, ``description``,
        ``fetchone`` and ``fetchall``; the first one without an answer is the one that has failed.
        """
