# SPDX-License-Identifier: Apache-2.0

"""Work that several runs may do at once: they share the rows, and each says that it is not alone."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from nova_sqlcore.core import dialects
from nova_sqlcore.core.connections import parse_url, tool_engine, translated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nova_sqlcore.cli.options import Setup


@contextlib.contextmanager
def noticing_others(setup: Setup, work: str) -> Iterator[None]:
    """Hold an advisory lock of the server during the block; say so if another run holds it.

    No lock of rows or tables is held by it. sqlite has no such locks, and one writer at a time.
    """
    url = parse_url(setup.address)
    family = dialects.family(url)
    if family.single_writer:
        yield
        return
    with contextlib.ExitStack() as open_:
        engine = tool_engine(url)
        with translated(family, engine):
            connection = open_.enter_context(engine.connect())
            is_alone = family.hold(connection, f"nova_sqlcore.{work}", 0)
        if not is_alone:
            setup.output.remark(f"Another run of {work} is at work on this database; they share the rows.")
        yield
