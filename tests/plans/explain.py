# SPDX-License-Identifier: Apache-2.0

"""What a block sends, and how the server means to run it: the plans of all families in one form."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
from typing import TYPE_CHECKING, Any, Final

import sqlalchemy as sa

from nova_sqlcore import tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

#: What every family's primary key is called here.
PRIMARY: Final = "PRIMARY"
_EXPLAINED: Final = ("SELECT", "UPDATE", "DELETE", "WITH")
_TABLES: Final = frozenset(tables.metadata.tables)


@dataclasses.dataclass(frozen=True)
class Access:
    """How a table is read."""

    table: str
    #: None: there is no index in it
    index: str | None
    #: every row of the table, or every entry of the index
    scans: bool
    #: as the server expects it; None where it does not say
    rows: int | None = None


@dataclasses.dataclass(frozen=True)
class Plan:
    """How a statement is run."""

    statement: str
    accesses: tuple[Access, ...]
    #: the most rows that are sorted at a time: 0 if the order comes from an index, None if the server does not say
    sorts: int | None
    #: in the server's words
    text: str

    def __str__(self) -> str:
        """Return statement and plan, without the long lists of columns and keys."""
        statement = re.sub(r"SELECT .{80,}?  ?FROM", "SELECT ... FROM", self.statement.replace("\n", " "))
        return f"{statement[:2000]}\n{self.text[:4000]}"

    @property
    def limited(self) -> bool:
        """Tell whether the server may stop before it has read what it expects to find."""
        return "LIMIT" in self.statement


@contextlib.contextmanager
def plans_of_block() -> Iterator[list[Plan]]:
    """Collect the plans of the statements sent in the block, each as of just before it ran."""
    found: list[Plan] = []

    def note(connection: sa.Connection, _: Any, statement: str, parameters: Any, __: Any, many: bool) -> None:
        if statement.lstrip("( ").upper().startswith(_EXPLAINED) and not many:
            found.append(_explain(connection, statement, parameters))

    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)


def _explain(connection: sa.Connection, statement: str, parameters: Any) -> Plan:
    words, read = _FAMILIES[connection.dialect.name]
    with contextlib.closing(connection.connection.cursor()) as cursor:
        cursor.execute(f"{words} {statement}", parameters)
        rows = cursor.fetchall()
    aliases = {alias: table for table, alias in re.findall(r"\b(\w+) AS (\w+)", statement) if table in _TABLES}
    return read(statement, rows, aliases)


# -- sqlite -----------------------------------------------------------------------------------------------------------

_STEP = re.compile(
    r"(?P<how>SEARCH|SCAN) (?P<name>\w+)"
    r"(?: USING (?:(?:COVERING )?INDEX (?P<index>\w+)|(?P<key>INTEGER PRIMARY KEY)|(?P<own>PRIMARY KEY)))?"
)


def _of_sqlite(statement: str, rows: Sequence[Any], aliases: dict[str, str]) -> Plan:
    texts = [row[-1] for row in rows]
    accesses = []
    for step in filter(None, map(_STEP.match, texts)):
        table = aliases.get(step["name"], step["name"])
        if table in _TABLES:
            index = PRIMARY if step["key"] or step["own"] else step["index"]
            accesses.append(_access(table, index, scans=step["how"] == "SCAN"))
    sorts = None if any("TEMP B-TREE" in text for text in texts) else 0
    return Plan(statement, tuple(accesses), sorts, "\n".join(texts))


def _access(table: str, index: str | None, scans: bool, rows: int | None = None) -> Access:
    """Return an access; an index of nothing but dead rows is read as a whole, but not the table."""
    return Access(table, index, scans and not (index or "").endswith("_dead_idx"), rows)


# -- the MySQL family -------------------------------------------------------------------------------------------------


def _of_mysql(statement: str, rows: Sequence[Any], aliases: dict[str, str]) -> Plan:
    """Read the table id, select_type, table, (partitions,) type, possible_keys, key, key_len, ref, rows, ..., Extra.

    Where MariaDB filters by a second index, a bar stands between the two, and a share behind the number of rows.
    """
    accesses, sorts = [], 0
    for row in rows:
        first = 4 if len(row) > 10 else 3  # MySQL has two columns more
        name, extra = row[2], row[-1] or ""
        kind, keys = (str(row[place] or "").partition("|")[0] for place in (first, first + 2))
        count = int(str(row[first + 5] or 0).split()[0])
        if "filesort" in extra:
            sorts = max(sorts, count)
        table = aliases.get(name, name)
        known_to_be_empty = kind == "const" and not keys
        if table in _TABLES and not known_to_be_empty:
            accesses += [_access(table, index or None, kind in ("ALL", "index"), count) for index in keys.split(",")]
    return Plan(statement, tuple(accesses), sorts, "\n".join(map(str, rows)))


# -- PostgreSQL -------------------------------------------------------------------------------------------------------


def _of_postgresql(statement: str, rows: Sequence[Any], aliases: dict[str, str]) -> Plan:
    content = rows[0][0]
    root = (json.loads(content) if isinstance(content, str) else content)[0]["Plan"]
    nodes = list(_nodes(root, None))
    accesses = [
        _access(table, _index_of(node, table), "Index Cond" not in node, int(node["Plan Rows"]))
        for node, table in nodes
        if table is not None and (node["Node Type"] == "Seq Scan" or "Index Name" in node)
    ]
    sorts = max((int(node["Plan Rows"]) for node, _ in nodes if node["Node Type"] == "Sort"), default=0)
    return Plan(statement, tuple(accesses), sorts, "\n".join(_lines(root, 0)))


def _nodes(node: dict[str, Any], heap: str | None) -> Iterator[tuple[dict[str, Any], str | None]]:
    """Yield all nodes with their tables; a bitmap's index stands below the node that names the table."""
    table = node.get("Relation Name", heap)
    yield node, table
    for child in node.get("Plans", ()):
        yield from _nodes(child, table if node["Node Type"] in ("Bitmap Heap Scan", "BitmapOr", "BitmapAnd") else None)


def _index_of(node: dict[str, Any], table: str) -> str | None:
    name: str | None = node.get("Index Name")
    return PRIMARY if name == f"{table}_pkey" else name


_TOLD: Final = ("Relation Name", "Index Name", "Index Cond", "Filter", "Sort Key", "Plan Rows", "Total Cost")


def _lines(node: dict[str, Any], depth: int) -> Iterator[str]:
    details = ", ".join(f"{key} {str(node[key])[:200]}" for key in _TOLD if key in node)
    yield f"{'  ' * depth}{node['Node Type']}: {details}"
    for child in node.get("Plans", ()):
        yield from _lines(child, depth + 1)


_FAMILIES: Final[dict[str, tuple[str, Callable[[str, Sequence[Any], dict[str, str]], Plan]]]] = {
    "sqlite": ("EXPLAIN QUERY PLAN", _of_sqlite),
    "mysql": ("EXPLAIN FORMAT=TRADITIONAL", _of_mysql),
    "mariadb": ("EXPLAIN FORMAT=TRADITIONAL", _of_mysql),
    "postgresql": ("EXPLAIN (FORMAT JSON)", _of_postgresql),
}


# -- what an index is on ----------------------------------------------------------------------------------------------


class Indexes:
    """The indexes of a database, by the names that plans have for them."""

    def __init__(self, url: sa.URL) -> None:
        self._engine = sa.create_engine(url, poolclass=sa.NullPool)
        self._known: dict[str, dict[str, tuple[str, ...]]] = {}

    def columns(self, access: Access) -> tuple[str, ...]:
        """Return the columns of the index that is read, none without one."""
        if access.index is None:
            return ()
        if access.table not in self._known:
            with self._engine.connect() as connection:
                self._known[access.table] = dict(_indexes(connection, access.table))
        return self._known[access.table][access.index]


def _indexes(connection: sa.Connection, table: str) -> Iterator[tuple[str, tuple[str, ...]]]:
    yield PRIMARY, tuple(column.name for column in tables.metadata.tables[table].primary_key)
    if connection.dialect.name == "sqlite":  # SQLAlchemy does not show the indexes that sqlite makes for unique keys
        for name in connection.exec_driver_sql(f"SELECT name FROM pragma_index_list('{table}')").scalars().all():
            yield name, tuple(connection.exec_driver_sql(f"SELECT name FROM pragma_index_info('{name}')").scalars())
        return
    for index in sa.inspect(connection).get_indexes(table):
        yield str(index["name"]), tuple(str(column) for column in index["column_names"])
