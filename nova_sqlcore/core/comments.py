# SPDX-License-Identifier: Apache-2.0

"""Comments that name the function which sends a statement, in the style of sqlcommenter.

They stand behind the first word: servers show the beginning of a long statement, and drivers look at its first word and
at the end of an INSERT. One statement of one function has always the same text, so nothing that goes by the text is
defeated: prepared statements, digests, caches.
"""

from __future__ import annotations

import contextvars
import re
from typing import TYPE_CHECKING, Any, Final

from nova_sqlcore.core.statements import Cache, Prepared

if TYPE_CHECKING:
    from collections.abc import Mapping

    import sqlalchemy as sa

#: The function that is about to send a statement; empty for a caller's own SQL, which has no comment.
CALLING: Final = contextvars.ContextVar("nova_sqlcore_calling", default="")
#: What may be in a comment: neither its end, nor what a driver takes for a placeholder.
_ODD: Final = re.compile(r"[^\w.-]", re.ASCII)


def commented(text: str, name: str) -> str:
    """Return the text of a statement with a comment that names the function."""
    verb, blank, rest = text.partition(" ")
    if not name or not blank:
        return text
    return f"{verb} /*action='{_ODD.sub('_', name)}',framework='nova_sqlcore'*/ {rest}"


class CommentingCache(Cache):
    """Prepared statements with comments: those of each function by themselves."""

    __slots__ = ("_by_name",)

    def __init__(self, dialect: sa.Dialect) -> None:
        """Start empty."""
        super().__init__(dialect)
        self._by_name: dict[str, Cache] = {}

    @property
    def kept(self) -> int:
        """How many statements are kept."""
        return sum(cache.kept for cache in self._by_name.values())

    def __getitem__(self, statement: Any) -> Prepared:
        """Return ``statement`` prepared for the function that is at work."""
        name = CALLING.get()
        cache = self._by_name.get(name)
        if cache is None:
            cache = self._by_name[name] = _NamedCache(self._dialect, name)
        return cache[statement]


class _NamedCache(Cache):
    """The statements of one function."""

    __slots__ = ("_name",)

    def __init__(self, dialect: sa.Dialect, name: str) -> None:
        super().__init__(dialect)
        self._name = name

    def _prepare(self, statement: Any) -> Prepared:
        return _Commented(statement, self._dialect, self._name)


class _Commented(Prepared):
    """A prepared statement with a comment."""

    __slots__ = ("_name",)

    def __init__(self, statement: Any, dialect: sa.Dialect, name: str) -> None:
        super().__init__(statement, dialect)
        self._name = name
        self.text = commented(self.text, name)

    def expand(self, params: Mapping[str, Any]) -> tuple[str, Any]:
        """As ``Prepared.expand``."""
        text, bound = super().expand(params)
        return commented(text, self._name), bound


def comment_on(engine: sa.Engine) -> None:
    """Let SQLAlchemy's own road write the comments too; an event would take every statement there."""
    dialect: Any = engine.dialect
    for method in ("do_execute", "do_executemany", "do_execute_no_params"):
        setattr(dialect, method, _commenting(getattr(dialect, method)))


def _commenting(execute: Any) -> Any:
    def run(cursor: Any, statement: str, *args: Any, **kwargs: Any) -> Any:
        return execute(cursor, commented(statement, CALLING.get()), *args, **kwargs)

    return run
