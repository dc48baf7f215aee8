# SPDX-License-Identifier: Apache-2.0

"""From what a caller hands in to what a table stores, and the INSERT statements for it."""

from __future__ import annotations

import functools
import inspect
import itertools
import operator
import re
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa

from nova_sqlcore import exceptions, tables
from nova_sqlcore.core import dialects, types
from nova_sqlcore.core.shortcuts import all_plain, with_shortcut
from nova_sqlcore.core.texts import nearest, quoted
from nova_sqlcore.core.warn import warn_caller

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping, Sequence

    from nova_sqlcore.core.dialects import Dialect
    from nova_sqlcore.core.handles import Row


#: Rows per INSERT: 200 rows of the widest small table stay below PyMySQL's statement cut of 1 MB.
BATCH = 200
#: The most bytes of an INSERT beside its rows, and of a literal beside its text: a number or time, quotes, a comma.
_STATEMENT = 4096
_LITERAL = 40
#: How MySQL and MariaDB show the start of a value that a column can't hold.
_QUOTED_VALUE = re.compile(r"value: '.*?'(?= for column)")


def complete(table: sa.Table, given: Mapping[str, Any], dialect: Dialect, *, ignore: Collection[str] = ()) -> Row:
    """Return the whole row that an INSERT of ``given`` stores: stored forms, and defaults for what is missing or None.

    Raises: DBDataError(table.column ...) for a value that the column can't hold.
    """
    row = stored(table, given, dialect, ignore=ignore)
    if None in row.values():
        row = {name: value for name, value in row.items() if value is not None}
    empty = _empty_with_id(table) if "id" in row else _empty(table)
    row = {**empty, **row}  # 0.6 µs for an instance; column by column it takes 5
    for name, make, convert in _made(table, dialect):
        if row[name] is None:
            row[name] = convert(make())
    return row


def complete_all(table: sa.Table, given: Sequence[Mapping[str, Any]], dialect: Dialect) -> list[Row]:
    """Return the whole rows that one INSERT stores: as ``complete``, with one moment for all whose time is missing.

    Most rows have the same columns, whose values are stored as they are: these are looked at column by column, in a
    sixth of the time.
    """
    names, checks = given[0].keys() if given else (), _checks(table, dialect)
    for one in given:
        if one.keys() != names:
            break
    else:
        if all(name in checks and checks[name]([*map(operator.itemgetter(name), given)]) for name in names):
            made = {name: convert(make()) for name, make, convert in _made(table, dialect)}
            template = {**_empty(table), **made}
            return [{**template, **one} for one in given]
    return [complete(table, one, dialect) for one in given]


def stored(table: sa.Table, given: Mapping[str, Any], dialect: Dialect, *, ignore: Collection[str] = ()) -> Row:
    """Return ``given`` in stored form; keys that are not columns are left out, with a warning unless in ``ignore``.

    Raises: DBDataError(table.column ...) for a value that the column can't hold.
    """
    converters = _converters(table, dialect)
    row = {}
    for name, value in given.items():
        convert = converters.get(name)
        if convert is None:
            if name not in ignore:
                _warn(table, name)
            continue
        try:
            row[name] = None if value is None else convert(value)
        except types.UnstorableValue as error:
            raise exceptions.DBDataError(str(error)) from error
    return row


def stored_column(table: sa.Table, name: str, given: list[Any], dialect: Dialect) -> list[Any]:
    """Return values of one column in stored form; most are stored as they are, and looked at as a whole.

    Raises: as ``stored``.
    """
    check = _checks(table, dialect).get(name)
    if check is not None and given and check(given):
        return given
    return [stored(table, {name: value}, dialect)[name] for value in given]


def refuse_unknown(table: sa.Table, given: Collection[str]) -> None:
    """Refuse keys that are not columns, before anything is written.

    Raises: DBError naming table, key and the nearest column.
    """
    for name in given:
        if name not in _names(table):
            raise exceptions.DBError(_unknown(table, name))


def shown(table: sa.Table, row: Row) -> Row:
    """Return a stored row as a read shows it, in column order: networks without host bits."""
    shown_row = {**_empty_with_id(table), **row} if "id" in row else dict(row)
    for name in _networks(table):
        if shown_row[name] is not None:
            shown_row[name] = types.network_text(shown_row[name])
    return shown_row


def batches(rows: Sequence[Row], size: int = BATCH) -> Iterator[list[Row]]:
    """Yield ``rows`` in lists of at most ``size``."""
    for start in range(0, len(rows), size):
        yield list(rows[start : start + size])


def inserted(table: sa.Table, row: Row, identity: Any) -> Row:
    """Return a row that has been inserted as a read shows it.

    An id of 0 is none to the MySQL family, which makes one.
    """
    return shown(table, row if row.get("id") or not has_id(table) else row | {"id": identity})


def inserted_many(table: sa.Table, rows: Sequence[Row], identities: Sequence[Sequence[Any]]) -> list[Row]:
    """Return rows that have been inserted as a read shows them; ids come in lists, one per statement."""
    whole, empty = not _networks(table) and has_id(table), _empty_with_id(table)
    return [
        {**empty, **row, "id": identity} if whole else shown(table, row if identity is None else row | {"id": identity})
        for row, identity in zip(rows, itertools.chain(*identities), strict=True)
    ]


def portions(rows: Sequence[Row], most_bytes: int | None) -> Iterator[list[Row]]:
    """Yield ``rows`` in lists for one INSERT each; some drivers limit its length."""
    for batch in batches(rows):
        if most_bytes is None:
            yield batch
        else:
            yield from parts(batch, most_bytes)


def parts(rows: Sequence[Row], size: int) -> Iterator[list[Row]]:
    """Yield ``rows`` in lists that are certain to fit into statements of ``size`` bytes; a longer row comes alone."""
    part: list[Row] = []
    length = 0
    for row in rows:
        more = sum(_most_bytes(value) for value in row.values())
        if part and length + more > size - _STATEMENT:
            yield part
            part, length = [], 0
        part.append(row)
        length += more
    yield part


def _most_bytes(value: Any) -> int:
    """Return the most bytes that a value may take as a literal: two for a character or byte with an escape, or four."""
    if isinstance(value, str):
        return _LITERAL + len(value) * (2 if value.isascii() else 4)
    return _LITERAL + (2 * len(value) if isinstance(value, bytes) else 0)


def placed(error: Exception, statement: Any) -> Exception:
    """Return a server's error about a value with the table and column before its text, as far as it tells them."""
    table = statement if isinstance(statement, sa.Table) else getattr(statement, "table", None)
    is_servers = not isinstance(getattr(error, "inner_exception", ""), str | types.UnstorableValue)
    if isinstance(error, exceptions.DBDataError) and is_servers and isinstance(table, sa.Table):
        told = re.search(r"column [^ ]*[`'\"](\w+)[`'\"]", str(error))
        if told and told.group(1) in types.SECRET_COLUMNS:
            _hide_value(error.inner_exception)
            error.args = (str(error.inner_exception),)
        error.args = (f"{table.name}{'.' + told.group(1) if told else ''}: {error}",)
    return error


def _hide_value(error: Any) -> None:
    """Take the value out of a server's error that quotes the start of it."""
    error.args = tuple(_QUOTED_VALUE.sub("value: ***", arg) if isinstance(arg, str) else arg for arg in error.args)


@functools.cache
def insert_statement(table: sa.Table, with_id: bool, returning: bool) -> sa.Insert:
    """Return the one INSERT of a table: all columns, the id only if given, so that rows of any shape share it."""
    statement = table.insert().inline().values(_binds(table, with_id))
    return statement.returning(table.c.id) if returning and "id" in table.c else statement


@functools.cache
def insert_absent_statement(
    table: sa.Table, with_id: bool, dialect: Dialect, only_if: sa.ColumnElement[bool] | None
) -> sa.Insert:
    """Return the INSERT that does nothing where a unique key is taken or ``only_if`` does not hold.

    Where a failed statement leaves the transaction usable, a taken key may be an error all the same. The new key comes
    back where RETURNING tells it.
    """
    binds = _binds(table, with_id)
    named = (bind.label(name) for name, bind in binds.items())
    row = binds if only_if is None else sa.select(*named).where(only_if)
    if dialect.survives_errors:
        return dialects.filled(table.insert(), row).inline()
    statement = dialect.insert_absent(table, row).inline()
    return statement.returning(next(iter(table.primary_key))) if dialect.id_by_returning else statement


@functools.cache
def insert_many_statement(table: sa.Table, in_order: bool) -> sa.Insert:
    """Return the INSERT for SQLAlchemy's many-row helper, which gives the ids, in the order of the rows or in any."""
    return table.insert().returning(table.c.id, sort_by_parameter_order=in_order)


def _binds(table: sa.Table, with_id: bool) -> dict[str, sa.BindParameter[Any]]:
    return {
        column.name: sa.bindparam(column.name, type_=column.type)
        for column in tables.row_columns(table)
        if column.name != "id" or with_id
    }


@functools.cache
def _names(table: sa.Table) -> tuple[str, ...]:
    return tuple(column.name for column in tables.row_columns(table))


@functools.cache
def _checks(table: sa.Table, dialect: Dialect) -> dict[str, Callable[[list[Any]], bool]]:
    """Return what tells that all values of a list are stored as they are, for columns that the caller fills."""
    found = {column.name: all_plain(column.type, dialect.name) for column in tables.row_columns(table)}
    return {name: check for name, check in found.items() if check is not None and name != "id"}


@functools.cache
def has_id(table: sa.Table) -> bool:
    """Tell whether a table has an id; to ask its collection of columns takes 0.3 µs."""
    return "id" in table.c


@functools.cache
def _empty_with_id(table: sa.Table) -> Row:
    """Return a row of constant defaults, and None in the other columns."""
    constants = {name: default for name, default in _defaults(table).items() if not callable(default)}
    return dict.fromkeys(_names(table)) | constants


@functools.cache
def _empty(table: sa.Table) -> Row:
    """Return the same without the id, which the server gives."""
    return {name: value for name, value in _empty_with_id(table).items() if name != "id"}


@functools.cache
def _made(table: sa.Table, dialect: Dialect) -> tuple[tuple[str, Callable[[], Any], Callable[[Any], Any]], ...]:
    """Return the columns whose default is made for each row, with what makes it, and its stored form."""
    converters = _converters(table, dialect)
    return tuple((name, make, converters[name]) for name, make in _defaults(table).items() if callable(make))


@functools.cache
def _networks(table: sa.Table) -> tuple[str, ...]:
    return tuple(column.name for column in tables.row_columns(table) if isinstance(column.type, types.CIDR))


@functools.cache
def _converters(table: sa.Table, dialect: Dialect) -> dict[str, Callable[[Any], Any]]:
    named = _Named(dialect.name)
    return {column.name: _converter(column.type, named) for column in tables.row_columns(table)}


def _converter(kind: Any, dialect: Any) -> Callable[[Any], Any]:
    """Return what makes the stored form of a value other than None."""
    store = kind.step("to_store")
    return with_shortcut(kind, dialect.name, lambda value: store(value, dialect))


class _Named:
    """All that the column types look at in a dialect."""

    def __init__(self, name: str) -> None:
        self.name = name


@functools.cache
def _defaults(table: sa.Table) -> dict[str, Any]:
    """Return the columns with a default: a value, or a function without arguments."""
    found: dict[str, Any] = {}
    for column in tables.row_columns(table):
        default: Any = column.default
        if default is not None:
            # SQLAlchemy has wrapped the function into one that takes a context
            found[column.name] = inspect.unwrap(default.arg) if default.is_callable else default.arg
        elif column.server_default is not None:
            found[column.name] = _server_value(column)
    return found


def _server_value(column: sa.Column[Any]) -> Any:
    """Return the literal of a server default; the library binds it, so that the returned row has it."""
    argument: Any = column.server_default.arg  # type: ignore[union-attr]  # only called where there is one
    return argument if isinstance(argument, str) else argument.text.strip("'")


def _unknown(table: sa.Table, name: str) -> str:
    return f"{table.name} has no column {quoted(name)}{nearest(name, _names(table))}"


def _warn(table: sa.Table, name: str) -> None:
    warn_caller(f"{_unknown(table, name)} (the value is not stored)", exceptions.UnknownColumnWarning)
