"""How a Core statement reaches the driver: compiled once per dialect, then text and parameters only.

A statement of the library is a constant or comes from a cached builder, so the same object arrives again and again.
``Prepared`` keeps what SQLAlchemy worked out for it: text, parameter order, bind processors, column names and result
processors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nova_sqlcore import exceptions
from nova_sqlcore.core import types

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    import sqlalchemy as sa
    from sqlalchemy.sql.compiler import SQLCompiler

    Process = Callable[[Any], Any]

#: Fixed statements of the library are a few hundred; a caller who builds his own at each call must not fill the memory.
CACHE_SIZE = 4096


class Prepared:
    """A compiled statement: text, the order and the conversion of its parameters, the shape of its rows."""

    __slots__ = (
        "_defaults",
        "_dialect",
        "_needed",
        "_processors",
        "_shape",
        "_slots",
        "_template",
        "compiled",
        "expands",
        "text",
    )

    def __init__(self, statement: Any, dialect: sa.Dialect) -> None:
        """Compile ``statement`` for ``dialect``."""
        self.compiled: SQLCompiler = statement.compile(dialect=dialect)
        self.text = self.compiled.string
        self.expands = bool(self.compiled.post_compile_params)
        self._dialect = dialect
        self._shape: Shape | None = None
        self._defaults = _defaults(self.compiled)
        self._needed: dict[str, Process | None] = {}
        #: of all parameters but lists, whose items SQLAlchemy names when it spells them out
        self._processors: dict[str, Process] = {}
        constants: dict[str, Any] = {}
        for parameter, name in self.compiled.bind_names.items():
            process = parameter.type.dialect_impl(dialect).bind_processor(dialect)
            if process is not None and not parameter.expanding:
                self._processors[name] = process
            if parameter.required or name in self._defaults:
                self._needed[name] = process
            else:
                value = parameter.value
                constants[name] = process(value) if process and not parameter.expanding else value
        names: Any = self.compiled.positiontup
        #: what the cursor takes, constants in place; a slot says where a parameter goes: a position, or a name
        self._template: Any = constants if names is None else [constants.get(name) for name in names]
        places = ((name, name) for name in self._needed) if names is None else enumerate(names)
        self._slots = [(place, name, self._needed[name]) for place, name in places if name in self._needed]

    def bind(self, params: Mapping[str, Any]) -> Any:
        """Return ``params`` in the form that the DB-API cursor takes.

        Raises: DBDataError for a value that the parameter can't hold. TypeError for a missing or an unknown parameter.
        """
        bound = self._template.copy()
        for place, name, process in self._slots:
            value = params[name] if name in params else self._default(name)
            if process is not None and value is not None:
                try:
                    value = process(value)
                except types.UnstorableValue as error:
                    raise exceptions.DBDataError(f"{name} {error}") from error
            bound[place] = value
        if len(params) > len(self._needed) - len(self._defaults):
            self._refuse_unknown(params)
        return bound

    def expand(self, params: Mapping[str, Any]) -> tuple[str, Any]:
        """Return text and parameters of a statement with an IN list, spelled out for this list's length.

        Raises: as ``bind``.
        """
        raw = {name: params[name] if name in params else self._default(name) for name in self._needed}
        self._refuse_unknown(params)
        state = self.compiled.construct_expanded_state({**self.compiled.params, **raw})
        bound = dict(state.parameters)
        processors: Mapping[str, Any] = {**self._processors, **state.processors}
        for name, process in processors.items():
            if process is None or bound.get(name) is None:
                continue
            try:
                bound[name] = process(bound[name])
            except types.UnstorableValue as error:
                raise exceptions.DBDataError(f"{name} {error}") from error
        if state.positiontup is None:
            return state.statement, bound
        return state.statement, [bound[name] for name in state.positiontup]

    def shape(self, cursor: Any) -> Shape:
        """Return how the rows on ``cursor`` become dicts.

        Its description is read the first time only: psycopg makes it anew at each look, which takes 40 microseconds.
        """
        if self._shape is None:
            statement: Any = self.compiled.statement
            columns = getattr(statement, "exported_columns", None)  # text has none
            self._shape = Shape(columns, cursor.description, self._dialect)
        return self._shape

    def _default(self, name: str) -> Any:
        default: Any = self._defaults.get(name)
        if default is None:
            raise TypeError(f"parameter {name!r} of the statement is missing: {self.text[:200]}")
        return default.arg(None) if default.is_callable else default.arg

    def _refuse_unknown(self, params: Mapping[str, Any]) -> None:
        unknown = params.keys() - self._needed.keys()
        if unknown:
            raise TypeError(f"the statement has no parameter {', '.join(sorted(unknown))}: {self.text[:200]}")


def _defaults(compiled: SQLCompiler) -> dict[str, Any]:
    """Return the defaults of the columns that an INSERT or UPDATE sets by itself, such as ``updated_at``."""
    inserted = compiled.insert_prefetch if compiled.isinsert else ()
    updated = compiled.update_prefetch if compiled.isupdate else ()
    return {column.key: column.default for column in inserted} | {column.key: column.onupdate for column in updated}


class Shape:
    """How the rows of one statement become dicts: names once, and the columns that need a conversion."""

    __slots__ = ("names", "processors")

    def __init__(self, columns: Any, description: Sequence[Sequence[Any]], dialect: sa.Dialect) -> None:
        """Take the statement's columns, None if it does not know them, and the cursor's description of them."""
        if columns is None:
            self.names: tuple[str, ...] = tuple(entry[0] for entry in description)
            self.processors: tuple[tuple[str, Process], ...] = ()
            return
        self.names = tuple(column.key for column in columns)
        found = (
            (column.key, column.type.dialect_impl(dialect).result_processor(dialect, entry[1]))
            for column, entry in zip(columns, description, strict=True)
        )
        self.processors = tuple((name, process) for name, process in found if process)

    def dicts(self, records: Sequence[Sequence[Any]]) -> list[dict[str, Any]]:
        """Return the records as dicts."""
        names = self.names
        rows = [dict(zip(names, record)) for record in records]  # noqa: B905  # lengths agree; ``strict`` costs time
        for name, process in self.processors:
            for row in rows:
                value = row[name]
                if value is not None:
                    row[name] = process(value)
        return rows


class Cache:
    """The prepared statements of one dialect, found by the identity of the statement object.

    Every entry keeps its statement alive, so an identity never means two statements.
    """

    __slots__ = ("_dialect", "_entries")

    def __init__(self, dialect: sa.Dialect) -> None:
        """Start empty."""
        self._dialect = dialect
        self._entries: dict[int, tuple[Prepared, Any]] = {}

    def get(self, statement: Any) -> Prepared:
        """Return ``statement`` prepared."""
        found = self._entries.get(id(statement))
        return found[0] if found is not None else self._prepare(statement)

    def _prepare(self, statement: Any) -> Prepared:
        if len(self._entries) >= CACHE_SIZE:
            self._entries.clear()
        prepared = Prepared(statement, self._dialect)
        self._entries[id(statement)] = prepared, statement
        return prepared
