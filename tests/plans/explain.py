"""What a block sends, and how the server would run it: the plans of all families in one form."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
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


@contextlib.contextmanager
def plans_of_block() -> Iterator[list[Plan]]:
    """Collect the plans of the statements sent in the block, each as of just before it ran."""
    found: list[Plan] = []

    def note(connection: sa.Connection, _: Any, statement: str, parameters: Any, __: Any, many: bool) -> None:
        if statement.lstrip("( ").upper().startswith(_EXPLAINED) and not many:
            found.append(_explain(connection, statement, parameters))

    before = sa.Engine._has_events
    sa.event.listen(sa.Engine, "before_cursor_execute", note)
    try:
        yield found
    finally:
        sa.event.remove(sa.Engine, "before_cursor_execute", note)
        sa.Engine._has_events = before


def _explain(connection: sa.Connection, statement: str, parameters: Any) -> Plan:
    prefix, read = _FAMILIES[connection.dialect.name]
    cursor = connection.connection.cursor()
    try:
        cursor.execute(prefix + statement, parameters)
        rows = cursor.fetchall()
    finally:
        cursor.close()
    aliases = {alias: table for table, alias in re.findall(r"\b(\w+) AS (\w+)", statement) if table in _TABLES}
    return read(statement, rows, aliases)


_TABLES: Final = frozenset(tables.metadata.tables)


# -- sqlite -----------------------------------------------------------------------------------------------------------

_STEP = re.compile(
    r"(?P<how>SEARCH|SCAN) (?P<name>\w+)"
    r"(?: USING (?:(?:AUTOMATIC )?(?:PARTIAL )?(?:COVERING )?INDEX (?P<index>\w+)|(?P<key>INTEGER PRIMARY KEY)))?"
)


def _of_sqlite(statement: str, rows: Sequence[Any], aliases: dict[str, str]) -> Plan:
    texts = [row[-1] for row in rows]
    accesses = []
    for text in texts:
        step = _STEP.match(text)
        if step is None:
            continue
        table = aliases.get(step["name"], step["name"])
        if table in _TABLES:
            index = PRIMARY if step["key"] else step["index"]
            accesses.append(Access(table, index, scans=step["how"] == "SCAN"))
    sorts = None if any("FOR ORDER BY" in text for text in texts) else 0
    return Plan(statement, tuple(accesses), sorts, "\n".join(texts))


# -- the MySQL family -------------------------------------------------------------------------------------------------

_SCANS: Final = ("ALL", "index")


def _of_mysql(statement: str, rows: Sequence[Any], aliases: dict[str, str]) -> Plan:
    """Read the table of EXPLAIN: id, select_type, table, type, possible_keys, key, key_len, ref, rows, Extra."""
    accesses, sorts = [], 0
    for row in rows:
        name, kind, key, extra = row[2], row[3].partition("|")[0] if row[3] else "", row[5], row[-1] or ""
        count = str(row[8] or 0).split()[0]
        table = aliases.get(name, name)
        if "filesort" in extra:
            sorts = max(sorts, int(count or 0))
        if table in _TABLES:
            for index in (key or "").partition("|")[0].split(","):
                accesses.append(Access(table, index or None, kind in _SCANS, int(count or 0)))
    return Plan(statement, tuple(accesses), sorts, "\n".join(str(row) for row in rows))


# -- PostgreSQL -------------------------------------------------------------------------------------------------------


def _of_postgresql(statement: str, rows: Sequence[Any], aliases: dict[str, str]) -> Plan:
    content = rows[0][0]
    root = (json.loads(content) if isinstance(content, str) else content)[0]["Plan"]
    accesses: list[Access] = []
    sorted_rows = [0]
    _walk(root, None, accesses, sorted_rows)
    return Plan(statement, tuple(accesses), max(sorted_rows), "\n".join(_lines(root, 0)))


def _walk(node: dict[str, Any], heap: str | None, accesses: list[Access], sorted_rows: list[int]) -> None:
    kind, count = node["Node Type"], int(node["Plan Rows"])
    table = node.get("Relation Name", heap)
    if kind == "Sort":
        sorted_rows.append(count)
    elif kind == "Seq Scan":
        accesses.append(Access(table, None, scans=True, rows=count))
    elif "Index" in node.get("Index Name", "") or "Index Name" in node:
        index = node["Index Name"]
        accesses.append(
            Access(table, PRIMARY if index == f"{table}_pkey" else index, "Index Cond" not in node, rows=count)
        )
    for child in node.get("Plans", ()):
        _walk(child, table if kind == "Bitmap Heap Scan" else heap, accesses, sorted_rows)


def _lines(node: dict[str, Any], depth: int) -> Iterator[str]:
    details = {key: value for key, value in node.items() if key in _TOLD}
    yield f"{'  ' * depth}{node['Node Type']} {details}"
    for child in node.get("Plans", ()):
        yield from _lines(child, depth + 1)


_TOLD: Final = ("Relation Name", "Index Name", "Index Cond", "Filter", "Sort Key", "Plan Rows", "Total Cost")

_FAMILIES: Final[dict[str, tuple[str, Callable[[str, Sequence[Any], dict[str, str]], Plan]]]] = {
    "sqlite": ("EXPLAIN QUERY PLAN ", _of_sqlite),
    "mysql": ("EXPLAIN ", _of_mysql),
    "mariadb": ("EXPLAIN ", _of_mysql),
    "postgresql": ("EXPLAIN (FORMAT JSON) ", _of_postgresql),
}


# -- what an index is on ----------------------------------------------------------------------------------------------


@functools.cache
def columns_of(index: str, table: str) -> tuple[str, ...]:
    raise NotImplementedError
