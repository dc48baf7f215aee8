# SPDX-License-Identifier: Apache-2.0

"""The statements that a server has spent the most time with, by its own statistics, and the functions that send them.

Servers write statements in their own way: with question marks for values, names in quotes, long ones cut off. They are
compared with the recorded ones in a form from which all of that is gone.
"""

from __future__ import annotations

import dataclasses
import functools
import re
from typing import TYPE_CHECKING, Any, Final, cast

import click
import sqlalchemy as sa

from nova_sqlcore.cli import recorded
from nova_sqlcore.cli.plans import server_of
from nova_sqlcore.core import dialects
from nova_sqlcore.core.connections import parse_url, tool_engine, translated

if TYPE_CHECKING:
    from collections.abc import Callable

#: What drivers ask for by themselves.
_ASKED: Final = r"""[\s`"]*(?:@@|(?:pg_catalog[\s`".]*)?(?:version|schema|current_schema|pg_backend_pid)[\s`"]*\()"""
#: What functions send; neither that nor DDL.
_OF_FUNCTIONS: Final = re.compile(
    rf"[\s(]*(?:SELECT\b(?!{_ASKED})|(?:INSERT|UPDATE|DELETE|WITH|REPLACE)\b)", re.IGNORECASE
)
#: Letters of a statement that stand in a table, and functions that are named there.
_SHOWN, _NAMED = 90, 3

_DIGESTS: Final = sa.text(
    "SELECT digest_text, count_star, sum_timer_wait / 1e12, sum_rows_sent + sum_rows_affected"
    " FROM performance_schema.events_statements_summary_by_digest"
    " WHERE schema_name = DATABASE() AND digest_text IS NOT NULL ORDER BY sum_timer_wait DESC"
)
#: Statements for which there was no place in the list any more.
_LOST: Final = sa.text(
    "SELECT sum(count_star) FROM performance_schema.events_statements_summary_by_digest WHERE digest IS NULL"
)
_EXTENSION: Final = sa.text(
    "SELECT nspname, extversion FROM pg_extension JOIN pg_namespace ON pg_namespace.oid = extnamespace"
    " WHERE extname = 'pg_stat_statements'"
)
_DIGESTS_FULL: Final = (
    "The server's list of statements is full: {:,} statements, of any database, are in none of its lines. "
    "Empty it with TRUNCATE performance_schema.events_statements_summary_by_digest, or raise "
    "performance_schema_digests_size."
)
_DIGESTS_OFF: Final = (
    "the server keeps no statistics of statements: set performance_schema=ON in the section [mysqld] of its "
    "configuration, and start it again"
)
_EXTENSION_OFF: Final = (
    "the server keeps no statistics of statements: add pg_stat_statements to shared_preload_libraries, start it again, "
    "and run CREATE EXTENSION pg_stat_statements in this database"
)
_EXTENSION_MISSING: Final = (
    "the database does not show the server's statistics of statements: run CREATE EXTENSION pg_stat_statements in it"
)
_NONE_KEPT: Final = "sqlite keeps no statistics of statements; tx.observe_statements tells of each one as it is sent"


@dataclasses.dataclass(frozen=True)
class Busy:
    """A statement with what the server has counted."""

    text: str
    calls: int
    seconds: float
    rows: int
    functions: tuple[str, ...]

    def told(self) -> dict[str, Any]:
        """Return it for programs."""
        return dataclasses.asdict(self)

    def row(self, *, in_full: bool) -> tuple[str, ...]:
        """Return it as a row of a table for people."""
        text = " ".join(self.text.split())
        if not in_full and len(text) > _SHOWN:
            text = f"{text[: _SHOWN - 4]} ..."
        names = ", ".join(self.functions[:_NAMED]) or "-"
        rest = len(self.functions) - _NAMED
        mean = 1000 * self.seconds / max(self.calls, 1)
        more = f" and {rest} more" if rest > 0 else ""
        return f"{self.calls:,}", f"{self.seconds:.3f}", f"{mean:.2f}", f"{self.rows:,}", names + more, text


def busiest(url: str, top: int, remark: Callable[[str], None]) -> list[Busy]:
    """Return the ``top`` statements of the database by the time that the server has spent with them.

    ``remark`` is told what the server has not counted.
    Raises: click.ClickException if the server keeps no statistics, with the remedy. DBError for a URL or a server that
    can't be used.
    """
    parsed = parse_url(url)
    dialects.family(parsed).require_file(parsed)
    engine = tool_engine(parsed)
    with translated(dialects.family(engine.url), engine), engine.connect() as connection:
        server = server_of(connection)
        found = [
            row for row in _READERS[recorded.SERVERS[server]](connection, remark) if _OF_FUNCTIONS.match(str(row[0]))
        ]
    return [
        Busy(str(text), int(calls), float(seconds), int(rows), senders(server, str(text)))
        for text, calls, seconds, rows in found[:top]
    ]


def _of_mysql(connection: sa.Connection, remark: Callable[[str], None]) -> list[Any]:
    if not connection.exec_driver_sql("SELECT @@performance_schema").scalar():
        raise click.ClickException(_DIGESTS_OFF)
    lost = connection.execute(_LOST).scalar()
    if lost:
        remark(_DIGESTS_FULL.format(int(lost)))
    return [tuple(row) for row in connection.execute(_DIGESTS)]


def _of_postgresql(connection: sa.Connection, remark: Callable[[str], None]) -> list[Any]:
    if "pg_stat_statements" not in str(connection.exec_driver_sql("SHOW shared_preload_libraries").scalar()):
        raise click.ClickException(_EXTENSION_OFF)
    there = connection.execute(_EXTENSION).one_or_none()
    if there is None:
        raise click.ClickException(_EXTENSION_MISSING)
    schema, version = there
    is_old = tuple(map(int, version.split("."))) < (1, 8)  # PostgreSQL 12 has one time, without that for planning
    seconds = sa.column("total_time" if is_old else "total_exec_time", sa.Float)
    columns: tuple[Any, ...] = (
        sa.column("query", sa.Text),
        sa.column("calls"),
        (seconds / 1000).label("seconds"),
        sa.column("rows"),
    )
    view = sa.table("pg_stat_statements", schema=schema)
    here: Any = sa.select(sa.column("oid")).select_from(sa.table("pg_database"))
    here = here.where(sa.column("datname") == sa.func.current_database())
    wanted = sa.select(*columns).select_from(view).where(sa.column("dbid") == here.scalar_subquery())
    return [tuple(row) for row in connection.execute(wanted.order_by(seconds.desc()))]


def _of_sqlite(connection: sa.Connection, remark: Callable[[str], None]) -> list[Any]:
    raise click.ClickException(_NONE_KEPT)


_READERS: Final[dict[str, Callable[[sa.Connection, Callable[[str], None]], list[Any]]]] = {
    "sqlite": _of_sqlite,
    "mysql": _of_mysql,
    "postgresql": _of_postgresql,
}


# -- whose statement it is --------------------------------------------------------------------------------------------

_STEPS: Final = tuple(
    (re.compile(pattern), plain)
    for pattern, plain in (
        (r"/\*.*?\*/|--[^\n]*", " "),
        (r"%\(\w+\)s|%s|\$\d+|'(?:[^']|'')*'", "?"),
        (r'[`"]', ""),
        (r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])", "?"),
        (r"(?<!\bis )(?<!\bnot )\bnull\b", "?"),
        (r"\s+", ""),
        (r";$", ""),  # MariaDB leaves it behind where others travel with the statement
        (r"\(\?(?:,\?)*\)|\(\.\.\.\)", "(?)"),
        (r"(?:\(\?\),)+\(\?\)", "(?)"),
    )
)


#: What an UPDATE, INSERT or DELETE changes, or the beginning of what a SELECT reads.
_TABLE: Final = re.compile(r"^\(*(?:update\w+?set|insert\w*?into\w+|deletefrom\w+?where|select\w+)")
#: MariaDB cuts a digest off at 1,024 bytes, by default, and does not say so.
_CUT_OFF: Final = 900
#: How much of two statements must be the same.
_NEAR: Final = 0.6


def plain(text: str) -> str:
    """Return a statement in a form in which all servers and drivers agree: without values, blanks and quotes."""
    text = text.lower()
    for pattern, replacement in _STEPS:
        text = pattern.sub(replacement, text)
    return text


def senders(server: str, text: str) -> tuple[str, ...]:
    """Return the functions that send a statement, those first that send little else.

    A server may have cut the statement off; then all count that begin like it. Failing that, a function counts that
    sends nearly the same, for other columns are set or another filter is given: a tilde marks its name.
    """
    known = _senders(server)
    form = plain(text)
    if form in known:
        return known[form]
    start = form.removesuffix("...")
    if start != form or len(text) >= _CUT_OFF:
        whole = [names for one, names in known.items() if one.startswith(start)]
        if whole:
            return tuple(dict.fromkeys(name for names in whole for name in names))
    return tuple(f"~{name}" for name in _nearest(server, start))


def _nearest(server: str, form: str) -> tuple[str, ...]:
    """Return the functions that send what has the most words in common with a statement, at least ``_NEAR`` of all."""
    table, words = _words(form)
    best, found = _NEAR, cast("tuple[str, ...]", ())
    for one, names in _senders(server).items():
        same, others = _words(one)
        if not table or table != same:
            continue
        likeness = len(words & others) / len(words | others)
        if likeness >= best:
            best, found = likeness, names
    return found


@functools.cache
def _words(form: str) -> tuple[str, frozenset[str]]:
    """Return what a statement is about, and its words; which columns are set makes no difference."""
    table = _TABLE.match(form)
    if table is None:
        return "", frozenset()
    rest = form[table.end() :]
    if table[0].startswith("update"):
        rest = rest.partition("where")[2]
    elif table[0].startswith("insert"):
        rest = rest.partition(")")[2]
    return table[0], frozenset(re.split(r"[(),=]|\band\b|(?<=\?)and", rest))


@functools.cache
def _senders(server: str) -> dict[str, tuple[str, ...]]:
    found: dict[str, dict[str, int]] = {}
    for name, calls in recorded.calls_of(server).items():
        for call in calls:
            for statement in call.statements:
                names = found.setdefault(plain(statement.text), {})
                names[name] = min(names.get(name, len(call.statements)), len(call.statements))
    return {form: tuple(sorted(names, key=lambda name: (names[name], name))) for form, names in found.items()}
