# SPDX-License-Identifier: Apache-2.0

"""Building blocks of the schema, and what its elements are called on each back-end.

One declaration must create on every server what years of migrations of the reference have left there.
"""

from __future__ import annotations

import threading
from collections import UserDict
from typing import TYPE_CHECKING, Any, Final, TypeVar

import sqlalchemy as sa
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.util import OrderedSet

from nova_sqlcore import clock
from nova_sqlcore.core.types import DateTime, Integer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from sqlalchemy.util import FacadeDict

Item = TypeVar("Item", sa.Index, sa.CheckConstraint, sa.UniqueConstraint)
Optioned = TypeVar("Optioned", sa.Table, sa.Index)

#: SQLAlchemy's names for the MySQL family.
MYSQL: Final = ("mysql", "mariadb")

#: Where ``info`` of an index, a key or a check names the dialects that have it; all have it if it names none.
ONLY_ON: Final = "only on"

#: Where ``info`` of an index says that the reference's schema lacks it.
ADDED: Final = "added"

#: Marks a column that is in the database only: the reference's own code does not know it.
NO_PART_OF_ROWS: Final = {"part of rows": False}


def now() -> Any:
    """Return the library's time: a default that looks the clock up at each call."""
    return clock.utcnow()


# -- columns ----------------------------------------------------------------------------------------------------------


def times() -> tuple[sa.Column[Any], ...]:
    """Return the three times of a row: filled at INSERT, at UPDATE and at soft delete."""
    return (
        sa.Column("created_at", DateTime, default=now),
        sa.Column("updated_at", DateTime, onupdate=now),
        sa.Column("deleted_at", DateTime),
    )


def number() -> sa.Column[Any]:
    """Return the primary key ``id``, which the database counts up."""
    return sa.Column("id", Integer, primary_key=True, autoincrement=True)


def deleted() -> sa.Column[Any]:
    """Return the mark of soft delete: 0, or the id of a dead row."""
    return sa.Column("deleted", Integer, default=0)


def columns(kind: Any, *names: str) -> tuple[sa.Column[Any], ...]:
    """Return columns of one type that may be NULL and have no default; each has a type object of its own."""
    return tuple(sa.Column(name, kind if isinstance(kind, type) else kind.copy()) for name in names)


# -- keys, indexes and checks -----------------------------------------------------------------------------------------


class _LateOptions(UserDict[str, Any]):
    """The options of one item by dialect, as in SQLAlchemy's ``dialect_options``, each read when somebody asks for it.

    Where a constructor takes them SQLAlchemy loads the dialect at once to check them, and no process needs all three.
    """

    def __init__(self, given: Mapping[str, Mapping[str, Any]], defaults: Mapping[str, Any]) -> None:
        """Add what is ``given`` to the ``defaults``, whose items load the dialect."""
        super().__init__()
        self._given = given
        self._defaults = defaults

    def __missing__(self, dialect: str) -> Any:
        options = self._defaults[dialect]
        options.update(self._given.get(dialect, {}))
        return self.data.setdefault(dialect, options)

    def __contains__(self, dialect: object) -> bool:
        return dialect in self._given or dialect in self.data

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys((*self._given, *self.data)))

    def __len__(self) -> int:
        return len(self._given.keys() | self.data.keys())


def options_on(dialects: tuple[str, ...], item: Optioned, **options: Any) -> Optioned:
    """Return ``item`` with SQLAlchemy's ``options`` of ``dialects``, none of which is loaded yet."""
    about: Any = item
    about.dialect_options = _LateOptions(dict.fromkeys(dialects, options), item.dialect_options)
    return item


def stored(table: sa.Table, collation: str = "utf8mb3_general_ci") -> sa.Table:
    """Return ``table`` with its engine, charset and collation on the MySQL family."""
    return options_on(MYSQL, table, engine="InnoDB", charset=collation.partition("_")[0], collate=collation)


def mysql_index(name: str, column: str | None = None) -> sa.Index:
    """Return the index by which InnoDB backs a foreign key; other servers have none."""
    return only_on(MYSQL, sa.Index(name, column or name))


def added_index(*columns: Any, name: str | None = None) -> sa.Index:
    """Return an index that the reference's schema lacks, called ``<table>_<columns>_idx`` unless it has a ``name``."""
    rule = (columns[0].table.name, *(column.name for column in columns), "idx") if name is None else (name,)
    return sa.Index("_".join(rule), *columns, info={ADDED: True})


def dead_index(table: sa.Table) -> sa.Index:
    """Return the index of a table's soft-deleted rows alone: live rows cost it nothing. MySQL has no such indexes."""
    dead = table.c.deleted != sa.literal_column("0")
    index = sa.Index(f"{table.name}_dead_idx", table.c.id, info={ADDED: True})
    dialects = ("postgresql", "sqlite")
    return only_on(dialects, options_on(dialects, index, where=dead))


def put_indexes_in_order(table: sa.Table) -> None:
    """Let the indexes be made in one order, the shortest first; SQLAlchemy keeps a set, whose order changes by the run.

    MySQL from 9.6 on takes the first index that begins with a foreign key, and checks no row that has a NULL in it.
    """
    table.indexes = OrderedSet(sorted(table.indexes, key=lambda index: (len(index.columns), str(index.name))))


def zero_or_one(*names: str) -> tuple[sa.CheckConstraint, ...]:
    """Return the checks that keep booleans at 0 or 1 where a server has no real boolean."""
    return tuple(_zero_or_one(name, ("sqlite", *MYSQL)) for name in names)


def _zero_or_one(column: str, dialects: tuple[str, ...]) -> sa.CheckConstraint:
    return only_on(dialects, sa.CheckConstraint(f"{column} IN (0, 1)", info={"column": column}))


def only_on(dialects: tuple[str, ...], item: Item) -> Item:
    """Return ``item`` as one that ``dialects`` alone have."""

    def wanted(*_: Any, **about: Any) -> bool:
        return about["dialect"].name in dialects

    item.info[ONLY_ON] = dialects
    return item.ddl_if(callable_=wanted)


def stands_on(dialect: str, item: sa.Index | sa.Constraint) -> bool:
    """Tell whether ``dialect`` has the item."""
    return dialect in item.info.get(ONLY_ON, (dialect,))


class Reference(sa.ForeignKeyConstraint):
    """A foreign key whose constraint has another name on each dialect.

    The name is ``<table>_<column>_fkey`` unless ``mysql`` or ``sqlite`` says otherwise; None leaves it unnamed.
    """

    def __init__(self, column: str, target: str, **names: str | None) -> None:
        """Let ``column`` refer to ``target`` (table.column)."""
        super().__init__([column], [target], info=names)


def reference_name(constraint: sa.ForeignKeyConstraint, dialect: str) -> str | None:
    """Return the name of a foreign key on ``dialect``."""
    rule = f"{constraint.table.name}_{constraint.column_keys[0]}_fkey"
    name: str | None = constraint.info.get("mysql" if dialect in MYSQL else dialect, rule)
    return name


@compiles(Reference)
def _create_reference(constraint: Reference, compiler: Any, **options: Any) -> str:
    name = reference_name(constraint, compiler.dialect.name)
    clause: str = compiler.visit_foreign_key_constraint(constraint, **options)
    return f"CONSTRAINT {compiler.preparer.quote(name)} {clause}" if name else clause


# -- shadow tables ----------------------------------------------------------------------------------------------------


class LateMetaData(sa.MetaData):
    """Tables, of which some are made when somebody first asks for all.

    Shadow tables are half of ours and a tenth of the time of an import, and what doesn't archive has no use for them.
    """

    #: makes the tables that are not there yet; None if all are
    late: Callable[[], None] | None = None

    def __init__(self) -> None:
        """Begin without tables."""
        self._making = threading.RLock()
        self._is_at_work = False
        super().__init__()

    @property
    def tables(self) -> FacadeDict[str, sa.Table]:
        """All tables by name."""
        if self.late is not None:
            self._complete()
        return self._tables

    @tables.setter
    def tables(self, tables: FacadeDict[str, sa.Table]) -> None:
        self._tables = tables

    def _complete(self) -> None:
        """Make the late tables while other threads wait; who makes them finds those that are there."""
        with self._making:
            if self.late is None or self._is_at_work:
                return
            self._is_at_work, before = True, set(self._tables)
            try:
                self.late()
                self.late = None
            finally:
                self._is_at_work = False
                if self.late is not None:  # interrupted: the next caller begins anew
                    self._remove_all(self._tables.keys() - before)

    def _remove_all(self, names: Iterable[str]) -> None:
        for name in names:
            self.remove(self._tables[name])


def shadow(table: sa.Table, name: str, changes: Mapping[str, Mapping[str, Any]]) -> sa.Table:
    """Return a table of the same columns and primary key, without other keys, references and indexes.

    ``changes`` names the columns that differ. The boolean checks stand on sqlite alone.
    """
    copies = [_copied(column, changes.get(column.name, {})) for column in table.columns]
    checks = [
        _zero_or_one(constraint.info["column"], ("sqlite",))
        for constraint in table.constraints
        if isinstance(constraint, sa.CheckConstraint)
    ]
    return stored(sa.Table(name, table.metadata, *copies, *checks))


def _copied(column: sa.Column[Any], changes: Mapping[str, Any]) -> sa.Column[Any]:
    """Return a column like ``column``, without the library's defaults: rows are copied as they are."""
    default: Any = column.server_default
    return sa.Column(
        column.name,
        changes.get("type_", column.type),
        primary_key=column.primary_key,
        autoincrement=column.autoincrement,
        nullable=changes.get("nullable", column.nullable),
        server_default=None if default is None else default.arg,
        info=column.info,
    )
