# SPDX-License-Identifier: Apache-2.0

"""What several nouns share: clauses for visibility and project, ids, chunks, updates and soft deletes."""

from __future__ import annotations

import functools
import itertools
from typing import TYPE_CHECKING, Any, Final, ParamSpec, TypeVar, cast, overload

import sqlalchemy as sa

from nova_sqlcore import clock, exceptions, tables, tx
from nova_sqlcore.context import is_user_context
from nova_sqlcore.core import types, values
from nova_sqlcore.core.dialects import vague
from nova_sqlcore.core.lists import ListParameter
from nova_sqlcore.core.texts import quoted
from nova_sqlcore.core.warn import warn_caller

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from nova_sqlcore.core.handles import Row, Select, Statement, Table

P = ParamSpec("P")
R = TypeVar("R")
T = TypeVar("T")

arg = sa.bindparam
#: The parameter of an IN list.
arg_list = ListParameter

#: Longest IN list of one statement: far below sqlite's limit of 32,766 parameters, and long enough that chunks cost
#: nothing.
CHUNK: Final = 500

#: What ``deleted`` is in a live row where it is not a number: in DNS domains and volume snapshots.
_LIVE_VALUES: Final[dict[type, Any]] = {types.Boolean: sa.false(), types.String: ""}


def visible(table: sa.FromClause, read_deleted: str) -> tuple[sa.ColumnElement[bool], ...]:
    """Return the clauses that leave the rows that ``read_deleted`` shows: live ones, all, or soft-deleted ones.

    They go with others, which find the rows: no index that begins with ``deleted`` is meant.
    Raises: ValueError for any other word, and for a table without soft delete.
    """
    if "deleted" not in table.c:
        raise ValueError(f"{table} has no soft delete")
    live = _LIVE_VALUES.get(type(table.c.deleted.type), 0)
    source = table if isinstance(table, sa.Table) else table.element  # type: ignore[attr-defined]  # an alias has one
    deleted = vague(table.c.deleted) if _leads_an_index(source) else table.c.deleted
    match read_deleted:
        case "no":
            return (deleted == live,)
        case "only":
            return (deleted != live,)
        case "yes":
            return ()
    raise ValueError(f"read_deleted is one of 'no', 'yes', 'only'; got {quoted(read_deleted)}")


@functools.cache
def _leads_an_index(table: sa.Table) -> bool:
    return any(index.columns[0] is table.c.deleted for index in table.indexes)


def own_project(context: Any) -> str | None:
    """Return the project that a user is confined to; None for admins and incomplete contexts, who see every project."""
    return context.project_id if is_user_context(context) else None


def warn_if_hidden(context: Any, row: str, project_id: str | None) -> None:
    """Warn of a row, named with its article, that the user who stores it for this project will not see."""
    own = own_project(context)
    if own is not None and project_id != own:
        whose = "without project_id" if project_id is None else f"of project {quoted(project_id)}"
        text = f"{row} {whose} is stored by a user of project {quoted(own)}, where nobody but admins will see it"
        warn_caller(text, exceptions.HiddenRowWarning)


def columns(table: sa.FromClause, prefix: str = "") -> tuple[sa.ColumnElement[Any], ...]:
    """Return the columns of a row, as a SELECT names them; ``prefix`` keeps two tables of one statement apart."""
    source = table if isinstance(table, sa.Table) else table.element  # type: ignore[attr-defined]  # an alias has one
    names = [column.name for column in tables.row_columns(source)]
    return tuple(table.c[name].label(prefix + name) if prefix else table.c[name] for name in names)


def select_statement(table: Table[R]) -> Select[R]:
    """Return the SELECT of all rows of the table, whole."""
    return cast("Select[R]", sa.select(*columns(table)))


def returning_statement(update: sa.Update, table: Table[R]) -> Statement[R]:
    """Return the UPDATE of the table that returns the rows as they are now, whole."""
    return cast("Statement[R]", update.returning(*columns(table)))


def split(row: Row, prefix: str) -> Row | None:
    """Take the columns with ``prefix`` out of ``row`` and return them as a row of their own, None without an id."""
    names = [name for name in row if name.startswith(prefix)]
    part = {name[len(prefix) :]: row.pop(name) for name in names}
    return None if part.get("id") is None else part


def chunks(items: Sequence[T], size: int = CHUNK) -> Iterator[Sequence[T]]:
    """Yield ``items`` in pieces that one IN list takes."""
    for start in range(0, len(items), size):
        yield items[start : start + size]


@overload
def rows_in(
    transaction: tx.Transaction, statement: Select[R], name: str, keys: Sequence[Any], **params: Any
) -> list[R]: ...


@overload
def rows_in(
    transaction: tx.Transaction, statement: sa.Select[Any], name: str, keys: Sequence[Any], **params: Any
) -> list[Row]: ...


def rows_in(
    transaction: tx.Transaction, statement: sa.Select[Any], name: str, keys: Sequence[Any], **params: Any
) -> Any:
    """Run ``statement`` for all ``keys`` of its IN list ``name``, chunk by chunk, and return the rows in that order."""
    if len(keys) > CHUNK:
        return ask_in(transaction, statement, name, keys, **params)()
    return transaction.rows(statement, **{name: keys}, **params) if keys else []


def ask_in(
    transaction: tx.Transaction, statement: sa.Select[Any], name: str, keys: Sequence[Any], **params: Any
) -> Callable[[], list[Row]]:
    """Return what gives the rows of ``rows_in``; the statements travel with the next one."""
    asked = [transaction.later.rows(statement, **{name: chunk}, **params) for chunk in chunks(keys)]
    return lambda: list(itertools.chain.from_iterable([pending.get() for pending in asked]))


@functools.lru_cache(maxsize=1024)
def soft_delete_statement(table: sa.Table) -> sa.Update:
    """Return the start of a soft delete: ``deleted = id, deleted_at = :deleted_at``; ``updated_at`` stays as it is."""
    return sa.update(table).values(deleted=table.c.id, deleted_at=arg("deleted_at"), updated_at=table.c.updated_at)


def deleted_now() -> dict[str, Any]:
    """Return the parameter of a soft delete."""
    return {"deleted_at": clock.utcnow()}


def assigned(table: sa.Table, names: Sequence[str]) -> dict[str, sa.BindParameter[Any]]:
    """Return the SET part of an UPDATE: every named column takes the parameter of its own name."""
    return {name: sa.bindparam(name, type_=table.c[name].type) for name in names}


def different(row: Mapping[str, Any], given: Row) -> Row:
    """Return what of ``given``, in stored form, the row does not have yet."""
    return {name: value for name, value in given.items() if row[name] != value}


def changes(
    table: sa.Table, given: Mapping[str, Any], transaction: tx.Transaction, *, ignore: Sequence[str] = ()
) -> Row:
    """Return what an UPDATE of ``given`` writes: stored form, in column order so that one shape is one statement."""
    row = values.stored(table, given, transaction.dialect, ignore=ignore)
    return {name: row[name] for name in sorted(row, key=_places(table).__getitem__)}


@functools.cache
def _places(table: sa.Table) -> dict[str, int]:
    """Return which column comes where: to walk through those of an instance takes 3 µs."""
    return {column.name: place for place, column in enumerate(table.c)}
