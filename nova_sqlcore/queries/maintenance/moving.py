# SPDX-License-Identifier: Apache-2.0

"""How rows move to their shadow table: copied and deleted in one transaction, the same rows exactly.

PostgreSQL does both in one statement. The MySQL family locks the rows before, so that nobody changes one in between;
sqlite has one writer. A shadow table may hold the number of a row that moves: sqlite gives numbers again, and so does
MySQL before 8.0 after a restart. Then the row gets a negative number there, and what hangs on it follows.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import secrets
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from nova_sqlcore import exceptions, tables
from nova_sqlcore.core import types
from nova_sqlcore.queries.common.clauses import CHUNK, arg, arg_list
from nova_sqlcore.queries.maintenance.trees import Relation, above, among_clause, as_key, below, key_of, no_row_clause

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from nova_sqlcore import tx
    from nova_sqlcore.core.dialects import Dialect

#: How many rows of each table have left it.
Counts = collections.Counter[str]

#: Characters of a new key of text, such as the name of a DNS domain, that tell it from the one which is taken.
_TOKEN: Final = 8


def shadow_of(table: sa.Table) -> sa.Table | None:
    """Return the shadow table; None if there is none, so that rows are erased in place of being moved."""
    return tables.shadows.get(table.name)


def _shared_names(table: sa.Table) -> list[str]:
    return [column.name for column in table.columns if column.name in tables.shadows[table.name].c]


def _copied_statement(table: sa.Table, source: sa.FromClause, dialect: Dialect, **replaced: Any) -> sa.Select[Any]:
    """Select from ``source`` what the shadow table takes; some columns may be ``replaced`` by expressions."""
    shadow = tables.shadows[table.name]
    found = (
        replaced[name] if name in replaced else dialect.converted(source.c[name], shadow.c[name].type)
        for name in _shared_names(table)
    )
    return sa.select(*found).select_from(source)


def _into_shadow_statement(table: sa.Table, rows: sa.Select[Any]) -> sa.Insert:
    shadow = tables.shadows[table.name]
    return sa.insert(shadow).from_select(_shared_names(table), rows, include_defaults=False).inline()


# -- rows found by what they hang on, or by their own keys ------------------------------------------------------------


@functools.cache
def _lock_statement(column: sa.Column[Any], dialect: Dialect) -> sa.Select[Any]:
    count = sa.func.count().label("rows")
    return dialect.lock_row(sa.select(count).select_from(column.table).where(among_clause(column, "values")))


@functools.cache
def _copy_statement(column: sa.Column[Any], dialect: Dialect) -> sa.Insert:
    table = column.table
    return _into_shadow_statement(table, _copied_statement(table, table, dialect).where(among_clause(column, "values")))


@functools.cache
def delete_statement(column: sa.Column[Any]) -> sa.Delete:
    """Delete the rows with one of ``:values`` in ``column``."""
    return sa.delete(column.table).where(among_clause(column, "values"))


@functools.cache
def _move_statement(column: sa.Column[Any], dialect: Dialect) -> sa.Select[Any]:
    """Delete and copy in one statement, which gives the number of rows."""
    moved = move_clause(column.table, among_clause(column, "values"), dialect)
    return sa.select(sa.func.count().label("rows")).select_from(moved)


def move_clause(table: sa.Table, clause: sa.ColumnElement[bool], dialect: Dialect) -> sa.CTE:
    """Return the part of a statement that deletes and copies rows, and gives their keys."""
    columns = (table.c[name] for name in _shared_names(table))
    gone = sa.delete(table).where(clause).returning(*columns).cte("gone")
    return (
        _into_shadow_statement(table, _copied_statement(table, gone, dialect))
        .returning(key_of(tables.shadows[table.name]))
        .cte("moved")
    )


def move_rows(
    transaction: tx.Transaction, column: sa.Column[Any], values: Sequence[Any], *, locked: bool
) -> Callable[[], int]:
    """Move the rows with one of ``values`` in ``column``, and return what tells how many; it must be asked.

    Cost: 1 statement on PostgreSQL and where there is no shadow table; else 2, and 1 more if they are not ``locked``.
    They travel with the next one.
    Raises: DBDuplicateEntry if the shadow table holds one of the keys.
    """
    dialect, later = transaction.dialect, transaction.later
    if shadow_of(column.table) is None:
        return later.execute(delete_statement(column), values=values).get
    if dialect.moves_rows:
        moved = later.rows(_move_statement(column, dialect), values=values)
        return lambda: int(moved.get()[0]["rows"])
    if dialect.locks_rows and not locked:
        later.rows(_lock_statement(column, dialect), values=values)
    copied = later.execute(_copy_statement(column, dialect), values=values)
    deleted = later.execute(delete_statement(column), values=values)
    return lambda: _as_many(column.table, copied.get(), deleted.get())


def _as_many(table: sa.Table, copied: int, deleted: int) -> int:
    if copied != deleted:  # a row has come in between: all is undone and done again
        raise exceptions.DBDeadlock(f"{table.name}: {copied} rows copied, {deleted} deleted")
    return deleted


# -- trees ------------------------------------------------------------------------------------------------------------


def move_trees(
    transaction: tx.Transaction, table: sa.Table, roots: Sequence[dict[str, Any]], filled: frozenset[str]
) -> Counts:
    """Move ``roots``, which are locked, with all that hangs on them; ``filled`` names the tables that have such rows.

    Cost: as ``move_rows`` for each table; for one whose rows have others hanging on them 1 more per ``CHUNK`` rows.
    """
    moved: list[tuple[str, Callable[[], int]]] = []
    for relation in below(table):
        if relation.goes and relation.child.name in filled:
            moved += _move_children(transaction, relation, [root[relation.parent.name] for root in roots], filled)
    key = key_of(table)
    moved.append((table.name, move_rows(transaction, key, [root[key.name] for root in roots], locked=True)))
    counts = Counts()
    for name, count in moved:
        counts[name] += count()
    return counts


def _move_children(
    transaction: tx.Transaction, relation: Relation, values: Sequence[Any], filled: frozenset[str]
) -> Iterator[tuple[str, Callable[[], int]]]:
    """Move rows and yield, by table, what tells how many."""
    child = relation.child
    deeper = [lower for lower in below(child) if lower.goes and lower.child.name in filled]
    for rows in _chunks(transaction, relation.column, values) if deeper else ():
        for lower in deeper:
            yield from _move_children(transaction, lower, [row[lower.parent.name] for row in rows], filled)
    yield child.name, move_rows(transaction, relation.column, values, locked=False)


@functools.cache
def _chunk_statement(column: sa.Column[Any], behind: bool, dialect: Dialect) -> sa.Select[Any]:
    """Find and lock the next rows in the order of their keys: these, and the values on which others hang."""
    table = column.table
    key = key_of(table)
    wanted = dict.fromkeys((key, *(lower.parent for lower in below(table) if lower.goes)))
    further = (key > arg("behind"),) if behind else ()
    found = sa.select(*wanted).where(among_clause(column, "values"), *further)
    return dialect.lock_row(found.order_by(key).limit(sa.literal_column(str(CHUNK))))


def _chunks(
    transaction: tx.Transaction, column: sa.Column[Any], values: Sequence[Any]
) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows with one of ``values`` in ``column``, so many at a time as one IN list takes."""
    name = key_of(column.table).name
    bounds: dict[str, Any] = {}
    rows = None
    while rows is None or len(rows) == CHUNK:
        rows = transaction.rows(_chunk_statement(column, bool(bounds), transaction.dialect), values=values, **bounds)
        if rows:
            yield rows
            bounds = {"behind": rows[-1][name]}


# -- with keys that the shadow table holds already --------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _NewKeys:
    """Which keys of ``table`` are taken in its shadow table, and what is added to each to get a free one."""

    table: sa.Table
    taken: Sequence[Any] = ()
    #: a number to add, or the end that replaces the last characters of a text
    change: Any = 0

    def parameters(self, name: str) -> dict[str, Any]:
        """Return the parameters of ``_changed_key``."""
        return {f"{name}_taken": self.taken, f"{name}_change": self.change}


def _changed_key(column: sa.ColumnElement[Any], kind: Any, name: str) -> sa.ColumnElement[Any]:
    """Return the key, changed if it is taken; ``kind`` is its type."""
    change: sa.BindParameter[Any] = sa.bindparam(f"{name}_change", type_=kind)
    if isinstance(kind, types.String):
        changed: sa.ColumnElement[Any] = sa.func.substr(column, 1, (kind.length or 0) - _TOKEN, type_=kind).concat(
            change
        )
    else:
        changed = column + change
    return sa.case((column.in_(arg_list(f"{name}_taken")), changed), else_=column)


@functools.cache
def _copy_anew_statement(table: sa.Table, parent: sa.Table | None, dialect: Dialect) -> sa.Insert:
    """Copy the rows with ``:values`` as their keys under free keys, and let them name new keys of ``parent`` too."""
    key = key_of(table)
    replaced = {key.name: _changed_key(key, key.type, "own")}
    for relation in above(table):
        if parent is not None and relation.parent is key_of(parent):
            replaced[relation.column.name] = _changed_key(relation.column, relation.parent.type, "parent")
    return _into_shadow_statement(
        table, _copied_statement(table, table, dialect, **replaced).where(key.in_(arg_list("values")))
    )


@functools.cache
def _taken_statement(table: sa.Table) -> sa.Select[Any]:
    key, shadow_key = key_of(table), key_of(tables.shadows[table.name])
    return sa.select(key).where(key.in_(arg_list("values")), ~no_row_clause(table, as_key(shadow_key) == key))


def _new_keys(transaction: tx.Transaction, table: sa.Table, keys: Sequence[Any]) -> _NewKeys:
    """Return what makes the keys free: chance, for several runs may do this at once; who still collides tries again."""
    taken = transaction.scalars(_taken_statement(table), values=keys)
    if isinstance(key_of(table).type, types.String):
        return _NewKeys(table, taken, "~" + secrets.token_hex(_TOKEN)[: _TOKEN - 1])
    if not taken:
        return _NewKeys(table)
    nearest, farthest = -max(taken) - 1, -types.MAX_INT - min(taken)
    return _NewKeys(table, taken, nearest - secrets.randbelow(nearest - farthest + 1))


def move_tree_anew(transaction: tx.Transaction, table: sa.Table, key: Any) -> Counts:
    """Move one row with all that hangs on it, and give those a new key whose own one is taken.

    Cost: up to 4 statements for each table and ``CHUNK`` rows.
    """
    counts = Counts()
    _move_anew(transaction, key_of(table), [key], None, counts)
    return counts


def _move_anew(
    transaction: tx.Transaction,
    column: sa.Column[Any],
    values: Sequence[Any],
    above_it: _NewKeys | None,
    counts: Counts,
) -> None:
    """Move the rows with ``values`` in ``column``, which may have to name ``above_it`` anew."""
    table = column.table
    name = key_of(table).name
    if shadow_of(table) is None:
        counts[table.name] += transaction.execute(delete_statement(column), values=values)
        return
    for rows in _chunks(transaction, column, values):
        keys = [row[name] for row in rows]
        anew = _new_keys(transaction, table, keys)
        for relation in below(table):
            if relation.goes:
                of_rows = [row[relation.parent.name] for row in rows]
                known = anew if relation.parent is key_of(table) else None
                _move_anew(transaction, relation.column, of_rows, known, counts)
        _copy_anew(transaction, table, keys, anew, above_it)
        counts[table.name] += transaction.execute(delete_statement(key_of(table)), values=keys)


def _copy_anew(
    transaction: tx.Transaction, table: sa.Table, keys: Sequence[Any], anew: _NewKeys, above_it: _NewKeys | None
) -> None:
    parameters = anew.parameters("own") | ({} if above_it is None else above_it.parameters("parent"))
    statement = _copy_anew_statement(table, None if above_it is None else above_it.table, transaction.dialect)
    transaction.later.execute(statement, values=keys, **parameters)
