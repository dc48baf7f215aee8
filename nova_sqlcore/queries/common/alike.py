# SPDX-License-Identifier: Apache-2.0

"""Keys that differ, and that a unique key of the server may take for one.

Identity is exact, but a unique index on the MySQL family follows the collation of its column: two keys that differ only
in case, accents or trailing blanks can't both be there. A call that would need that is refused, and both are named.
"""

from __future__ import annotations

import contextlib
import itertools
import unicodedata
from typing import TYPE_CHECKING, Any, Final

from nova_sqlcore import exceptions
from nova_sqlcore.core.texts import quoted

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import sqlalchemy as sa

    from nova_sqlcore.core.transaction import Transaction

_LITTLE: Final = "in case, accents or trailing blanks: they are one key to this server"


def folded(key: str, *, binary: bool = False) -> str:
    """Return what of a key counts to the usual collations: base letters in one case, without blanks at the end.

    ``binary`` collations leave out the blanks alone. The server has the last word; where it folds more than this its
    unique key is hit.
    """
    if binary:
        return key.rstrip(" ")
    letters = (one for one in unicodedata.normalize("NFD", key) if not unicodedata.combining(one))
    return "".join(letters).casefold().rstrip(" ")


def refuse_alike(transaction: Transaction, column: sa.Column[Any], keys: Iterable[Any]) -> None:
    """Refuse keys of one call that differ and are one to the server; what is not text is left to others to refuse.

    Cost: nothing.
    Raises: DBKeyClash that names both.
    """
    if not transaction.dialect.folds_keys:
        return
    known: dict[str, str] = {}
    binary = column.table.kwargs["mysql_collate"].endswith("_bin")
    for key in filter(_is_text, keys):
        other = known.setdefault(folded(key, binary=binary), key)
        if other != key:
            raise exceptions.DBKeyClash(f"{column} {quoted(key)} and {quoted(other)} differ only {_LITTLE}")


def _is_text(key: Any) -> bool:
    return isinstance(key, str)


@contextlib.contextmanager
def clash_named(column: sa.Column[Any], keys: Iterable[Any]) -> Iterator[None]:
    """Let the error about a stored key name the column, and the ``keys`` one of which clashes with it."""
    try:
        yield
    except exceptions.DBKeyClash as error:
        names = " or ".join(repr(key)[:80] for key in itertools.islice(keys, 10))
        raise exceptions.DBKeyClash(
            f"{column} {names} differs from a stored one only {_LITTLE}", error.inner_exception
        ) from error
