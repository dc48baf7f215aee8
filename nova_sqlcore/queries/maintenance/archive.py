# SPDX-License-Identifier: Apache-2.0

"""Archiving: soft-deleted rows move to the shadow tables, ids and times as they are, each with all that hangs on it.

What hangs on what, and what keeps a row, stands in ``trees``. A tree moves in one transaction or not at all; a
transaction moves several trees, which it has locked by their roots: who is killed in the middle loses nothing and goes
on with the next run, and several runs at once share the work. A batch begins behind the last root of the one before, so
a run passes each table once, and holds the keys of one batch.

Each transaction is one of its own, on the main database, whatever the caller has open. Inside a caller's writer on
sqlite, which has one writer at a time, it waits for the caller and gives up with DBDeadlock in the end.
"""

from __future__ import annotations

import dataclasses
import functools
import logging
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from nova_sqlcore import exceptions, tables, tx
from nova_sqlcore.context import get_admin_context
from nova_sqlcore.core.texts import quoted
from nova_sqlcore.queries.common.clauses import arg, arg_list
from nova_sqlcore.queries.maintenance import moving, trees
from nova_sqlcore.queries.maintenance.moving import Counts
from nova_sqlcore.queries.maintenance.pace import BATCH, MAX_BATCH, Pace, Step, before_bound, check_before, is_whole
from nova_sqlcore.queries.maintenance.purge import purge_archived_rows
from nova_sqlcore.queries.maintenance.trees import ORDER, dead_clause, key_of
from nova_sqlcore.tx import current

if TYPE_CHECKING:
    import datetime
    from collections.abc import Callable, Mapping, Sequence

    from nova_sqlcore.context import Context
    from nova_sqlcore.core.dialects import Dialect
    from nova_sqlcore.core.handles import Row
    from nova_sqlcore.core.transaction import Transaction

__all__ = ["BATCH", "MAX_BATCH", "Blocked", "archive_blocked_rows", "archive_deleted_rows", "purge_archived_rows"]

logger = logging.getLogger(__name__)


#: The most trees of one transaction, if they may have more than a root: few enough that a server looks each of them up,
#: and does not read a whole table for them.
MAX_TREES: Final = 100
#: How many of the trees that stay are named.
NAMED: Final = 10


@dataclasses.dataclass
class Blocked:
    """The soft-deleted rows of one table that stay, with all that hangs on them."""

    rows: int = 0
    #: the tables that keep them, and how many rows each keeps; two tables may keep the same row
    by: dict[str, int] = dataclasses.field(default_factory=dict)
    #: uuids, or keys where there are none: of the first ``NAMED`` rows
    names: list[Any] = dataclasses.field(default_factory=list)

    def add(self, name: Any, by: Sequence[str]) -> None:
        """Count one row."""
        self.rows += 1
        for table in by:
            self.by[table] = self.by.get(table, 0) + 1
        if len(self.names) < NAMED:
            self.names.append(name)


# -- finding trees ----------------------------------------------------------------------------------------------------


@functools.cache
def _filled_statement() -> sa.CompoundSelect[Any]:
    """Select the names of the tables that have soft-deleted rows."""
    return trees.names_statement(lambda table: sa.exists().where(dead_clause(table)))


@tx.main.reader.named("archive_deleted_rows")
def _filled(context: Context) -> set[str]:
    """Return the names of the tables that have soft-deleted rows.

    Cost: 1 statement.
    """
    return set(current(context).scalars(_filled_statement()))


@functools.cache
def _dead_statement(before: bool) -> sa.CompoundSelect[Any]:
    """Count the soft-deleted rows of each table; ``before``: those deleted before a time."""
    aged = [[table.c.deleted_at < arg("before")] if before else [] for table in ORDER]
    return sa.union_all(
        *(
            sa.select(sa.literal(table.name, sa.String).label("name"), sa.func.count().label("rows"))
            .select_from(table)
            .where(dead_clause(table), *older)
            for table, older in zip(ORDER, aged, strict=True)
        )
    )


@tx.main.reader
def archive_dead_rows(context: Context, *, before: datetime.datetime | None = None) -> dict[str, int]:
    """Return how many rows are soft-deleted, by table, so that a run of ``archive_deleted_rows`` can tell its end.

    What hangs on them without being deleted itself goes along, and is not counted.
    Cost: 1 statement, which reads the indexes of soft-deleted rows, and whole tables where there is none.
    """
    rows = current(context).rows(_dead_statement(before is not None), **before_bound(before))
    return {row["name"]: row["rows"] for row in rows if row["rows"]}


@dataclasses.dataclass(frozen=True)
class _Which:
    """Which rows of a table are roots of trees that move."""

    table: sa.Table
    #: rows with nothing hanging on them, whatever they hang on themselves: the table is archived for itself
    alone: bool = False
    #: rows that no one soft-deletes, by their age
    aged: bool = False

    def clauses(self) -> list[sa.ColumnElement[bool]]:
        if self.aged:
            return []
        only = trees.stands_alone_clauses(self.table) if self.alone else trees.is_root_clauses(self.table)
        return [dead_clause(self.table), *only]

    @property
    def time(self) -> sa.Column[Any]:
        """The column that ``before`` is about."""
        return tables.task_log.c.period_ending if self.aged else self.table.c.deleted_at

    @property
    def single(self) -> bool:
        """Whether a tree is its root and no more."""
        return self.alone or self.aged or not trees.below(self.table)


@functools.lru_cache(maxsize=512)
def _find_statement(which: _Which, behind: bool, before: bool) -> sa.Select[Any]:
    """Find the next roots of trees.

    ``behind``: those behind a key. ``before``: those deleted before a time.
    """
    table = which.table
    key = key_of(table)
    where = which.clauses()
    where += [key > arg("behind")] if behind else []
    where += [which.time < arg("before")] if before else []
    wanted = dict.fromkeys((key, *(relation.parent for relation in trees.below(table)), table.c.get("uuid", key)))
    return sa.select(*wanted).where(*where).order_by(key).limit(arg("limit"))


def _name_of(table: sa.Table, root: Row) -> Any:
    """Return what a tree is called: the uuid of its root, or the key where there is none."""
    return root.get("uuid") or root[key_of(table).name]


@functools.lru_cache(maxsize=512)
def _take_statement(which: _Which, behind: bool, before: bool, dialect: Dialect) -> sa.Select[Any]:
    """Find the next roots and lock them; what somebody else has locked is left to the next run."""
    return dialect.lock_free_row(_find_statement(which, behind, before))


@functools.lru_cache(maxsize=512)
def _move_singles_statement(which: _Which, behind: bool, before: bool, dialect: Dialect) -> sa.Select[Any]:
    """Find, delete and copy in one statement, which gives the keys of the rows that have moved, in order."""
    key = key_of(which.table)
    found = _take_statement(which, behind, before, dialect).cte("found")
    moved = moving.move_clause(which.table, key == found.c[key.name], dialect)
    return sa.select(moved.c[key.name]).order_by(moved.c[key.name])


@functools.cache
def _sizes_statement(table: sa.Table) -> sa.CompoundSelect[Any]:
    """Count the rows that hang on each root, and those of them that keep it, for each way down from the root."""
    return sa.union_all(*(_size_statement(table, place) for place in range(len(trees.paths(table)))))


def _size_statement(table: sa.Table, place: int) -> sa.Select[Any]:
    key, path = key_of(table), trees.paths(table)[place]
    source: sa.FromClause = table
    for relation in path:
        source = source.join(relation.child, relation.link_clause)
    where = [key.in_(arg_list("keys")), *trees.counts_once_clauses(path[-1])]
    where += [] if path[-1].goes else [path[-1].claim_clause]
    columns = (
        sa.literal_column(str(place), sa.Integer).label("place"),
        key.label("root"),
        sa.func.count().label("rows"),
        sa.func.sum(sa.case((path[-1].claim_clause, 1), else_=0)).label("claims"),
    )
    return sa.select(*columns).select_from(source).where(*where).group_by(key)


@dataclasses.dataclass
class _Tree:
    """A root, the tables of the rows that hang on it, and those that keep it."""

    root: Row
    name: Any
    size: int = 1
    filled: set[str] = dataclasses.field(default_factory=set)
    #: in their order, each once
    kept_by: dict[str, None] = dataclasses.field(default_factory=dict)

    def add(self, relation: trees.Relation, rows: int, claims: int, live_children: bool) -> None:
        """Take in the rows of one table."""
        if claims and not (relation.may_go_live and live_children):
            self.kept_by[relation.child.name] = None
        if relation.goes:
            self.size += rows
            self.filled.add(relation.child.name)


def _measured(transaction: Transaction, table: sa.Table, roots: Sequence[Row], live_children: bool) -> list[_Tree]:
    """Return the trees of ``roots``, in their order.

    Cost: 1 statement.
    """
    found = {root[key_of(table).name]: _Tree(root, _name_of(table, root)) for root in roots}
    if found:
        for row in transaction.rows(_sizes_statement(table), keys=list(found)):
            relation = trees.paths(table)[row["place"]][-1]
            found[row["root"]].add(relation, int(row["rows"]), int(row["claims"]), live_children)
    return list(found.values())


# -- one batch --------------------------------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class _Wanted:
    """How much one batch may move."""

    #: the rows of a transaction, if the first tree has no more
    batch: int
    #: trees
    roots: int
    #: rows that may still move in this run; None for any number
    left: int | None
    #: whether nothing has moved yet, so that a tree goes however big it is
    first: bool
    live_children: bool


@dataclasses.dataclass
class _Batch:
    """What one transaction has done."""

    counts: Counts = dataclasses.field(default_factory=Counts)
    #: the last key that it has looked at
    behind: Any = None
    #: whether there may be something behind that key
    more: bool = False
    #: how many roots it has looked at
    seen: int = 0
    #: names of roots, and the tables that keep them
    blocked: list[tuple[Any, Sequence[str]]] = dataclasses.field(default_factory=list)


def _chosen(found: Sequence[_Tree], wanted: _Wanted, batch: _Batch) -> list[_Tree]:
    """Return the trees that go now, and tell ``batch`` how far that gets.

    A tree that is larger than what is left waits for another run, with those behind it in the next batch.
    """
    taken: list[_Tree] = []
    rows, waits = 0, False
    for tree in found:
        if tree.kept_by:
            batch.blocked.append((tree.name, list(tree.kept_by)))
        elif rows and rows + tree.size > wanted.batch:
            break
        elif wanted.left is not None and tree.size > wanted.left - rows and not (wanted.first and rows == 0):
            waits = True
        else:
            taken.append(tree)
            rows += tree.size
        batch.seen += 1
    batch.more = not waits and (batch.seen < len(found) or len(found) == wanted.roots)
    return taken


@tx.main.writer.named("archive_deleted_rows")
def _archive_batch(context: Context, which: _Which, wanted: _Wanted, **bounds: Any) -> _Batch:
    """Move the next trees; ``bounds`` are parameters of ``_find_statement``.

    Cost: rows without relations take 1 statement on PostgreSQL, 3 elsewhere. Trees take 2, and for each table with rows
    1 on PostgreSQL, 2 on sqlite, 3 on the MySQL family.
    Lock: the roots, and the rows that move.
    Raises: DBDuplicateEntry, DBReferenceError, DBDataError if the shadow tables or other rows refuse one of the rows.
    """
    transaction = current(context)
    if which.single and transaction.dialect.moves_rows:
        shape = ("behind" in bounds, "before" in bounds, transaction.dialect)
        moved = transaction.last().scalars(_move_singles_statement(which, *shape), limit=wanted.roots, **bounds)
        return _of_singles(which.table, moved, wanted)
    batch, chosen = _take(transaction, which, wanted, bounds)
    if chosen:
        filled = frozenset().union(*(tree.filled for tree in chosen))
        batch.counts = moving.move_trees(transaction, which.table, [tree.root for tree in chosen], filled)
    return batch


def _of_singles(table: sa.Table, keys: Sequence[Any], wanted: _Wanted) -> _Batch:
    behind = keys[-1] if keys else None
    return _Batch(Counts({table.name: len(keys)}), behind, len(keys) == wanted.roots, len(keys))


@tx.main.writer.retrying(exceptions.DBDuplicateEntry).named("archive_deleted_rows")
def _archive_batch_singly(context: Context, which: _Which, wanted: _Wanted, **bounds: Any) -> _Batch:
    """Do the same tree by tree: one whose numbers are taken gets new ones, one that is refused stays.

    Cost: 2 statements, and for each tree 2 and up to 4 for each table of which it may have rows.
    Lock: the roots, and the rows that move.
    """
    transaction = current(context)
    batch, chosen = _take(transaction, which, wanted, bounds)
    for tree in chosen:
        moved = _moved_singly(transaction, which.table, tree.root[key_of(which.table).name])
        if isinstance(moved, str):
            batch.blocked.append((tree.name, (moved,)))
        else:
            batch.counts += moved
    return batch


def _moved_singly(transaction: Transaction, table: sa.Table, key: Any) -> Counts | str:
    """Move a tree and return its rows, or the name of the table that refuses it."""
    try:
        with transaction.savepoint_later():
            return moving.move_tree_anew(transaction, table, key)
    except exceptions.DBReferenceError as error:
        logger.warning("IntegrityError detected when archiving table %s: %s", table.name, error)
        return error.table or "another table"
    except exceptions.DBDataError as error:
        logger.warning("%s: a row stays that its shadow table does not take: %s", table.name, error)
        return tables.SHADOW_PREFIX + table.name


def _take(transaction: Transaction, which: _Which, wanted: _Wanted, bounds: Row) -> tuple[_Batch, list[_Tree]]:
    """Find and lock the next roots, and return those that go."""
    statement = _take_statement(which, "behind" in bounds, "before" in bounds, transaction.dialect)
    roots = transaction.rows(statement, limit=wanted.roots, **bounds)
    if which.single:
        found = [_Tree(root, _name_of(which.table, root)) for root in roots]
    else:
        found = _measured(transaction, which.table, roots, wanted.live_children)
    batch = _Batch()
    chosen = _chosen(found, wanted, batch)
    if batch.seen:
        batch.behind = roots[batch.seen - 1][key_of(which.table).name]
    return batch, chosen


# -- a run ------------------------------------------------------------------------------------------------------------


@dataclasses.dataclass
class _Run:
    """One call of ``archive_deleted_rows``: what it may move, and what it has met."""

    pace: Pace
    before: datetime.datetime | None = None
    #: rows; None for any number
    most: int | None = None
    live_children: bool = False
    counts: Counts = dataclasses.field(default_factory=Counts)
    blocked: dict[str, Blocked] = dataclasses.field(default_factory=dict)

    @property
    def left(self) -> int | None:
        """The rows that may still move."""
        return None if self.most is None else max(0, self.most - self.counts.total())

    def archive(self, which: _Which) -> None:
        """Move what may move of one table."""
        if self.left == 0:
            return
        roots = self.pace.batch if which.single else max(1, self.pace.batch // len(trees.paths(which.table)))

        def step(bounds: Row) -> Step:
            nonlocal roots
            batch = _archived(which, self._wanted(which, roots), bounds)
            moved = batch.counts.total()
            if not which.single and batch.seen:
                roots = max(1, self.pace.batch * batch.seen // max(moved, 1))
            self._note(which, batch)
            return Step(+batch.counts, batch.behind, batch.more and self.left != 0)

        self.pace.work(step, before_bound(self.before))

    def _wanted(self, which: _Which, roots: int) -> _Wanted:
        roots = roots if which.single else min(roots, MAX_TREES)
        roots = roots if self.left is None else min(roots, self.left)
        return _Wanted(self.pace.batch, roots, self.left, not self.counts.total(), self.live_children)

    def _note(self, which: _Which, batch: _Batch) -> None:
        self.counts += batch.counts
        for name, by in batch.blocked:
            self.blocked.setdefault(which.table.name, Blocked()).add(name, by)


def _archived(which: _Which, wanted: _Wanted, bounds: Row) -> _Batch:
    """Move the next trees, or fewer if a cluster takes no transaction of that size."""
    try:
        return _archived_together(which, wanted, bounds)
    except exceptions.DBTransactionTooLarge as error:
        if wanted.roots == 1:
            raise
        logger.info("%s: half a batch is tried: %s", which.table.name, error)
    half = dataclasses.replace(wanted, roots=wanted.roots // 2, batch=max(1, wanted.batch // 2))
    return _archived(which, half, bounds)


def _archived_together(which: _Which, wanted: _Wanted, bounds: Row) -> _Batch:
    """Move the next trees, together if the database takes them so."""
    try:
        return _archive_batch(get_admin_context(), which, wanted, **bounds)
    except (exceptions.DBDuplicateEntry, exceptions.DBReferenceError, exceptions.DBDataError) as error:
        logger.info("%s: a batch is archived tree by tree: %s", which.table.name, error)
        return _archive_batch_singly(get_admin_context(), which, wanted, **bounds)


def archive_deleted_rows(
    max_rows: int | None = None,
    *,
    before: datetime.datetime | None = None,
    task_log: bool = False,
    include_live_children: bool = False,
    on_blocked: Callable[[str, Blocked], Any] | None = None,
    batch: int = BATCH,
    pause: float = 0,
    progress: Callable[[str, int], Any] | None = None,
) -> dict[str, int]:
    """Move soft-deleted rows, with all that hangs on them, to the shadow tables; return how many rows of each table.

    Tables without any are left out. Tags, which have no shadow table, are erased, and counted like the others.

    ``max_rows`` limits the sum, None does not. It never cuts a tree: one that is larger than what is left waits for the
    next run, unless nothing has moved before it. ``before``: only rows deleted before that time, with all that hangs on
    them. ``task_log``: the task log too, whose rows nobody soft-deletes: all of it, or what is about periods that
    have ended before ``before``. ``include_live_children``: live block devices and virtual interfaces go along with
    their instance, in place of keeping it. ``batch``: rows per transaction, which a larger tree exceeds. ``pause``:
    seconds to rest after each batch. ``progress`` is called after each batch with the name of each table and its rows.

    A row that is kept stays with all that hangs on it, and does not keep others from moving. What the run has met of
    these is logged as a warning in the end, and ``on_blocked`` is called with the name of each table and what is
    ``Blocked`` there. ``archive_blocked_rows`` tells without moving.
    Cost: 1 statement; for each batch of rows with nothing to hang on them 3 more, 1 on PostgreSQL; for each batch of
    trees 2, and for each table with rows 1 on PostgreSQL, 2 on sqlite, 3 on the MySQL family; in 1 round trip, and 1 to
    4 more for each batch.
    Lock: the rows of one batch at a time.
    Raises: ValueError if an argument can't be, before anything moves; DBTransactionTooLarge for a tree that a Galera
    cluster does not take. What has moved before another error stays moved.
    """
    _check(max_rows, before, on_blocked)
    run = _Run(Pace(batch, pause, progress), before, max_rows, include_live_children)
    if max_rows == 0:
        return {}
    filled = _filled(get_admin_context())
    try:
        for table in ORDER:
            if table.name in filled:
                run.archive(_Which(table))
        if task_log:
            run.archive(_Which(tables.task_log, aged=True))
    finally:
        _tell(run.blocked, on_blocked)
    return dict(run.counts)


def _check(max_rows: Any, before: Any, on_blocked: Any) -> None:
    if max_rows is not None and not (is_whole(max_rows) and max_rows >= 0):
        raise ValueError(f"max_rows is a whole number from 0 on, or None; got {quoted(max_rows)}")
    check_before(before)
    if not (on_blocked is None or callable(on_blocked)):
        raise ValueError(
            f"on_blocked is a function of a table's name and its blocked rows, or None; got {quoted(on_blocked)}"
        )


def _tell(blocked: Mapping[str, Blocked], on_blocked: Callable[[str, Blocked], Any] | None = None) -> None:
    """Log what stays, and tell the caller."""
    for table, found in blocked.items():
        keepers = ", ".join(f"{name} ({count})" for name, count in found.by.items())
        names = ", ".join(map(str, found.names)) + (", ..." if found.rows > len(found.names) else "")
        text = "%s: %d deleted rows stay, with all that hangs on them, kept by rows of %s: %s"
        logger.warning(text, table, found.rows, keepers, names)
        if on_blocked is not None:
            on_blocked(table, found)


def _archive_deleted_rows_for_table(tablename: str, max_rows: int | None) -> int:
    """Move at most ``max_rows`` soft-deleted rows of one table, on which nothing hangs; None for all. Return how many.

    Raises: KeyError for a name that is not a table.
    """
    table = tables.metadata.tables[tablename]
    run = _Run(Pace(), most=max_rows)
    if table in ORDER:
        run.archive(_Which(table, alone=True))
        _tell(run.blocked)
    return run.counts[tablename]


# -- what stays -------------------------------------------------------------------------------------------------------


def archive_blocked_rows(
    *, before: datetime.datetime | None = None, include_live_children: bool = False
) -> dict[str, Blocked]:
    """Return, by table, the soft-deleted rows that ``archive_deleted_rows`` would leave, and what keeps them.

    The arguments are those of that function. Nothing moves.
    Cost: 1 statement; for each table of such rows 2 more per 100 rows.
    Raises: ValueError if an argument can't be.
    """
    check_before(before)
    found: dict[str, Blocked] = {}
    filled = _filled(get_admin_context())
    for table in ORDER:
        if table.name in filled and any(path[-1].claims for path in trees.paths(table)):
            blocked = _blocked_of(table, before, include_live_children)
            if blocked.rows:
                found[table.name] = blocked
    return found


def _blocked_of(table: sa.Table, before: datetime.datetime | None, live_children: bool) -> Blocked:
    blocked = Blocked()

    def step(bounds: Row) -> Step:
        found = _look(get_admin_context(), _Which(table), live_children, **bounds)
        for tree in found:
            if tree.kept_by:
                blocked.add(tree.name, list(tree.kept_by))
        behind = found[-1].root[key_of(table).name] if found else None
        return Step({}, behind, len(found) == MAX_TREES)

    Pace().work(step, before_bound(before))
    return blocked


@tx.main.reader.named("archive_blocked_rows")
def _look(context: Context, which: _Which, live_children: bool, **bounds: Any) -> list[_Tree]:
    transaction = current(context)
    statement = _find_statement(which, "behind" in bounds, "before" in bounds)
    roots = transaction.rows(statement, limit=MAX_TREES, **bounds)
    return _measured(transaction, which.table, roots, live_children)
