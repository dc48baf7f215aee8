# SPDX-License-Identifier: Apache-2.0

"""Options that an item of the schema gets without its dialects are those that SQLAlchemy's constructors take."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.schema import CreateIndex, CreateTable

from nova_sqlcore.schema import ddl

DIALECTS: dict[str, sa.Dialect] = {
    "mysql": mysql.dialect(),
    "mariadb": sa.make_url("mariadb+pymysql://").get_dialect()(),
    "postgresql": postgresql.dialect(),  # type: ignore[no-untyped-call]  # it has no hints
    "sqlite": sqlite.dialect(),
}
STORAGE = {"engine": "InnoDB", "charset": "latin1", "collate": "latin1_swedish_ci"}


def usual() -> sa.Table:
    of_table: Any = {f"{name}_{option}": value for name in ddl.MYSQL for option, value in STORAGE.items()}
    table: sa.Table = sa.Table("t", sa.MetaData(), sa.Column("a", sa.String(255)), **of_table)
    dead = table.c.a != sa.literal_column("0")
    sa.Index("i", table.c.a, mysql_length=9, mariadb_length=9)
    sa.Index("dead", table.c.a, postgresql_where=dead, sqlite_where=dead)
    return table


def late() -> sa.Table:
    table = ddl.stored(sa.Table("t", sa.MetaData(), sa.Column("a", sa.String(255))), STORAGE["collate"])
    dead = table.c.a != sa.literal_column("0")
    ddl.options_on(ddl.MYSQL, sa.Index("i", table.c.a), length=9)
    ddl.options_on(("postgresql", "sqlite"), sa.Index("dead", table.c.a), where=dead)
    return table


def items(table: sa.Table) -> list[Any]:
    return [table, *sorted(table.indexes, key=lambda index: str(index.name))]


def texts(table: sa.Table, dialect: sa.Dialect) -> list[str]:
    made: list[sa.DDLElement] = [CreateTable(table), *(CreateIndex(index) for index in items(table)[1:])]
    return [str(one.compile(dialect=dialect)) for one in made]


def shown(item: Any) -> Any:
    """Return what a caller sees of the options; conditions by their text."""
    by_name = {name: str(value) for name, value in item.kwargs.items()}
    by_dialect = {name: {key: str(one[key]) for key in one} for name, one in item.dialect_options.items()}
    return by_name, list(by_name), len(item.kwargs), by_dialect, list(by_dialect), len(item.dialect_options)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_is_created(dialect: str) -> None:
    assert texts(late(), DIALECTS[dialect]) == texts(usual(), DIALECTS[dialect])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_what_a_caller_sees(dialect: str) -> None:
    for ours, theirs in zip(items(late()), items(usual()), strict=True):
        assert shown(ours) == shown(theirs)
        assert (dialect in ours.dialect_options) == (dialect in theirs.dialect_options)
        assert ours.dialect_options[dialect].keys() == theirs.dialect_options[dialect].keys()
        assert shown(ours) == shown(theirs)  # with those of a dialect that nobody had named


def test_what_a_caller_changes() -> None:
    tables = late(), usual()
    for table in tables:
        table.kwargs["mysql_engine"] = "Aria"
        table.dialect_options["mariadb"]["charset"] = "utf8mb4"
        table.kwargs["sqlite_autoincrement"] = True
    assert shown(tables[0]) == shown(tables[1])


@pytest.mark.parametrize("dialect", DIALECTS)
def test_copies(dialect: str) -> None:
    for copied in (late().to_metadata(sa.MetaData()), pickle.loads(pickle.dumps(late()))):
        assert texts(copied, DIALECTS[dialect]) == texts(usual(), DIALECTS[dialect])
