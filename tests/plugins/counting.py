# SPDX-License-Identifier: Apache-2.0

"""Counts the statements that a block sends to any database."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.plugins.backend import Backend

    SqlCount = Callable[..., contextlib.AbstractContextManager[list[str]]]
    SqlLog = Callable[[], contextlib.AbstractContextManager[list[str]]]

#: Words that begin and end transactions; the budgets leave them out.
NOT_COUNTED = ("BEGIN", "START", "COMMIT", "ROLLBACK", "SAVEPOINT", "RELEASE")


@contextlib.contextmanager
def statements_sent() -> Iterator[list[str]]:
    """Collect the statements of every engine; transaction control is left out."""
    seen: list[str] = []

    def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
        if not statement.lstrip().upper().startswith(NOT_COUNTED):
            seen.append(statement)

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield seen
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


@pytest.fixture
def sql_log(backend: Backend) -> SqlLog:
    """Return a block that collects the statements sent in it, in a list that it gives."""
    return statements_sent


@pytest.fixture
def sql_count(backend: Backend) -> SqlCount:
    """Return a block that asserts how many statements are sent: ``sql_count(2)``, ``sql_count(mysql=3, default=2)``.

    ``mysql`` is the family's number; ``mariadb`` that of MariaDB if it differs from MySQL's.
    """

    @contextlib.contextmanager
    def counted(number: int | None = None, *, default: int | None = None, **by_backend: int) -> Iterator[list[str]]:
        unknown = by_backend.keys() - {"sqlite", "mariadb", "mysql", "postgresql"}
        assert not unknown, f"no back-end is called {unknown}"
        general = by_backend.get(backend.family, default if number is None else number)
        wanted = by_backend.get(backend.name, general)
        assert wanted is not None, f"no number for {backend.name}"
        with statements_sent() as seen:
            yield seen
        listing = "\n".join(f"{place}. {statement}" for place, statement in enumerate(seen, 1))
        assert len(seen) == wanted, f"{len(seen)} statements on {backend.name}, not {wanted}:\n{listing}"

    return counted
