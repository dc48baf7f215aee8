# SPDX-License-Identifier: Apache-2.0

"""The text of the reference: functions, rows, tables, errors and commands, written as reStructuredText from the code.

Nothing here needs Sphinx; ``reference_directives.py`` puts the text into the pages.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import textwrap
import typing
from typing import TYPE_CHECKING, Any

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql

from nova_sqlcore import api, exceptions, rows, tables
from nova_sqlcore.cli import recorded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import click

_QUERIES = "nova_sqlcore.queries."
_SECTIONS = ("Cost", "Lock", "Raises")
_ERRORS = {
    name for name, thing in vars(exceptions).items() if isinstance(thing, type) and issubclass(thing, BaseException)
}
_GROUP = re.compile(r"^# -- (.+?) -+$", re.MULTILINE)
_LITERAL = re.compile(r"(``.+?``)", re.DOTALL)
_WORD = re.compile(r"\b[A-Z]\w+\b")


# -- text -------------------------------------------------------------------------------------------------------------


def linked(text: str) -> str:
    """Return the text of a docstring with links: errors by their bare names, functions by their literals."""
    parts = _LITERAL.split(text)
    return "".join(_literal(part) if part.startswith("``") else _WORD.sub(_error, part) for part in parts)


def _literal(part: str) -> str:
    name = part.strip("`")
    if name in api.__all__:
        return f":py:obj:`{name} <api.{name}>`"
    if name.removeprefix("exceptions.") in _ERRORS:
        return f":py:exc:`~exceptions.{name.removeprefix('exceptions.')}`"
    return part


def _error(found: re.Match[str]) -> str:
    if found[0] not in _ERRORS:
        return found[0]
    after = found.string[found.end() : found.end() + 1]
    return f":py:exc:`~exceptions.{found[0]}`" + ("\\ " if after in ("(", "'") else "")


def heading(text: str, line: str) -> str:
    """Return a heading."""
    return f"{text}\n{line * len(text)}\n"


def indented(text: str) -> str:
    """Return the text as the content of a directive."""
    return textwrap.indent(text, "   ")


def list_table(titles: tuple[str, ...], widths: str, lines: list[tuple[str, ...]]) -> str:
    """Return a table; a cell holds one paragraph."""
    head = f".. list-table::\n   :header-rows: 1\n   :widths: {widths}\n\n"
    return head + "".join(indented(_table_line(line)) + "\n" for line in (titles, *lines))


def _table_line(cells: tuple[str, ...]) -> str:
    return "\n".join(f"{'  -' if place else '* -'} {cell}".rstrip() for place, cell in enumerate(cells))


def groups(module: Any) -> list[tuple[str, int]]:
    """Return the headings that divide a module, each with its line."""
    source = inspect.getsource(module)
    return [(found[1], source[: found.start()].count("\n") + 1) for found in _GROUP.finditer(source)]


def grouped(module: Any, places: dict[str, int]) -> Iterator[tuple[str, list[str]]]:
    """Yield each heading of a module with the names below it, in the order of the source."""
    heads = groups(module)
    ends = [line for _, line in heads[1:]] + [10**9]
    first = [name for name, line in places.items() if line < heads[0][1]]
    if first:
        yield "", first
    for (title, start), end in zip(heads, ends, strict=True):
        names = [name for name, line in places.items() if start <= line < end]
        if names:
            yield title, names


def class_lines(module: Any, names: list[str]) -> dict[str, int]:
    """Return the line of each class in the source of its module, in their order."""
    source = inspect.getsource(module)
    lines = {name: source[: source.index(f"\nclass {name}(")].count("\n") + 2 for name in names}
    return dict(sorted(lines.items(), key=lambda pair: pair[1]))


# -- functions --------------------------------------------------------------------------------------------------------


def names_of(module: str) -> list[str]:
    """Return the public names of ``api`` that a module of queries defines, in the order of its source."""
    found = [name for name in api.__all__ if getattr(getattr(api, name), "__module__", "") == _QUERIES + module]
    return sorted(found, key=lambda name: _line(getattr(api, name)))


def other_names() -> list[str]:
    """Return the public names of ``api`` that no module of queries defines: constants, and the scopes' own."""
    return [name for name in api.__all__ if not str(getattr(getattr(api, name), "__module__", "")).startswith(_QUERIES)]


def _line(thing: Any) -> int:
    return inspect.getsourcelines(inspect.unwrap(thing))[1]


def module_text(line: str) -> str:
    """Return the section of a module of queries; ``line`` is its name, and names that are not part of ``api``."""
    name, *besides = line.split()
    module = importlib.import_module(_QUERIES + name)
    first, _, rest = (module.__doc__ or "").partition("\n")
    title, _, about = first.partition(":") if ":" in first else first.partition("  ")
    intro = re.sub(r"Tables? ``.*", _table_links, about.strip())
    parts = [heading(title.rstrip("."), "-"), intro[:1].upper() + linked(intro[1:]), linked(inspect.cleandoc(rest))]
    parts += [object_text(f"api.{each}", getattr(api, each)) for each in names_of(name)]
    parts += [object_text(f"{_QUERIES}{name}.{each}", getattr(module, each)) for each in besides]
    return "\n\n".join(part for part in parts if part) + "\n"


def _table_links(found: re.Match[str]) -> str:
    return re.sub(r"``(\w+)``", r":py:data:`\1 <tables.\1>`", found[0])


def object_text(name: str, thing: Any) -> str:
    """Return the entry of a function, a class or a constant."""
    if isinstance(thing, type):
        return _entry("class", name + _signature(thing), thing.__doc__ or "", _canonical(thing))
    if callable(thing) and inspect.isroutine(thing):
        entry = _entry("function", name + _signature(thing), inspect.getdoc(thing) or "", _canonical(thing))
        return entry + indented(sql_text(name.removeprefix("api.")))
    value = "" if len(repr(thing)) > 80 else f"   :value: {thing!r}\n"
    return f".. py:data:: {name}\n{value}\n{indented(_ABOUT.get(name.rpartition('.')[2], ''))}\n"


#: What constants mean: they have no docstrings.
_ABOUT = {
    "MAX_INT": "The largest number that a column of type Integer holds.",
    "PER_PROJECT_QUOTAS": "The resources whose usage is counted for a project, and not for each of its users.",
    "QUOTA_SYNC_FUNCTIONS": "The functions that count what is in use, by name.",
    "_DEFAULT_QUOTA_NAME": "The class whose limits hold where no others are set.",
    "_SHADOW_TABLE_PREFIX": "How the names of shadow tables begin.",
    "main_context_manager": "The main database, under the reference's name: ``tx.main``.",
    "api_context_manager": "The API database, under the reference's name: ``tx.api``.",
}


def _canonical(thing: Any) -> str:
    return f"{thing.__module__}.{thing.__qualname__}"


def _signature(thing: Any) -> str:
    """Return the signature in one line; what has no literal form as a default is shown as dots."""
    signature = inspect.signature(thing)
    text = [_parameter(parameter) for name, parameter in signature.parameters.items() if name != "self"]
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    if inspect.Parameter.KEYWORD_ONLY in kinds and inspect.Parameter.VAR_POSITIONAL not in kinds:
        text.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "*")
    returned = signature.return_annotation
    ends = "" if returned is signature.empty or isinstance(thing, type) else f" -> {_annotation(returned)}"
    return f"({', '.join(text)}){ends}"


def _parameter(parameter: inspect.Parameter) -> str:
    stars = {inspect.Parameter.VAR_POSITIONAL: "*", inspect.Parameter.VAR_KEYWORD: "**"}.get(parameter.kind, "")
    hint = "" if parameter.annotation is parameter.empty else f": {_annotation(parameter.annotation)}"
    default = parameter.default
    if default is parameter.empty:
        return f"{stars}{parameter.name}{hint}"
    shown = repr(default) if isinstance(default, str | int | float | bool | tuple | None) else "..."
    return f"{stars}{parameter.name}{hint}{' = ' if hint else '='}{shown}"


def _annotation(annotation: Any) -> str:
    return annotation if isinstance(annotation, str) else inspect.formatannotation(annotation)


def _entry(kind: str, signature: str, docstring: str, canonical: str) -> str:
    body, sections = sections_of(inspect.cleandoc(docstring))
    fields = "\n".join(f":{name}: {linked(' '.join(text.split()))}" for name, text in sections)
    return f".. py:{kind}:: {signature}\n   :canonical: {canonical}\n\n{indented(linked(body))}\n\n{indented(fields)}\n"


def sections_of(docstring: str) -> tuple[str, list[tuple[str, str]]]:
    """Return the text of a docstring, and its sections Cost, Lock and Raises."""
    body: list[str] = []
    sections: list[tuple[str, str]] = []
    open_section = False
    for line in docstring.splitlines():
        name, colon, rest = line.partition(": ")
        if colon and name in _SECTIONS:
            sections.append((name, rest))
            open_section = True
        elif open_section and line.strip():
            sections[-1] = (sections[-1][0], f"{sections[-1][1]} {line.strip()}")
        else:
            open_section = False
            body.append(line)
    return "\n".join(body).strip(), sections


_SERVERS = {"sqlite": "sqlite", "mariadb": "MariaDB", "mysql": "MySQL", "postgresql": "PostgreSQL"}


def sql_text(name: str) -> str:
    """Return what a call of the function sends, folded up, server by server; nothing if none was recorded."""
    by_text: dict[tuple[str, ...], list[str]] = {}
    for server, title in _SERVERS.items():
        call = recorded.usual(recorded.calls_of(server).get(name, ()))
        if call is not None and call.statements:
            by_text.setdefault(tuple(statement.text for statement in call.statements), []).append(title)
    if not by_text:
        return ""
    parts = [_raw('<details class="sql"><summary>SQL of a usual call</summary>')]
    for texts, titles in by_text.items():
        statements = ";\n\n".join("\n".join(line.strip() for line in text.splitlines()) for text in texts)
        parts.append(f"{' and '.join(titles)}:\n\n.. code-block:: sql\n   :force:\n\n{indented(statements)};")
    return "\n\n".join(["", *parts, _raw("</details>"), ""])


def _raw(html: str) -> str:
    return f".. raw:: html\n\n   {html}"


# -- rows -------------------------------------------------------------------------------------------------------------


def rows_text() -> str:
    """Return the page of all rows."""
    kinds = {name: thing for name, thing in vars(rows).items() if typing.is_typeddict(thing)}
    source = inspect.getsource(rows)
    bases = _bases(source)
    places = class_lines(rows, list(kinds))
    parts = []
    for title, names in grouped(rows, places):
        parts.append(heading(_capital(title) or "What rows have in common", "-"))
        parts += [_row_text(name, kinds[name], [kinds[base] for base in bases[name]]) for name in names]
    return "\n\n".join(parts)


def _capital(title: str) -> str:
    return title[:1].upper() + title[1:]


def _bases(source: str) -> dict[str, list[str]]:
    """Return which rows each row extends: before Python 3.12 a TypedDict does not tell."""
    classes = [node for node in ast.parse(source).body if isinstance(node, ast.ClassDef)]
    known = {node.name for node in classes}
    return {node.name: [base.id for base in node.bases if getattr(base, "id", "") in known] for node in classes}


def _row_text(name: str, kind: Any, bases: list[Any]) -> str:
    inherited = {key for base in bases for key in base.__annotations__}
    own = {key: hint for key, hint in kind.__annotations__.items() if key not in inherited}
    above = ", ".join(f":py:class:`rows.{base.__name__}`" for base in bases)
    text = [_table_links_anywhere(kind.__doc__ or "")]
    if above:
        text.append(f"All keys of {above}" + (", and:" if own else "."))
    if own:
        text.append(list_table(("key", "type"), "40 60", [(f"``{key}``", _type(hint)) for key, hint in own.items()]))
    body = "\n\n".join(text)
    return f".. py:class:: rows.{name}\n   :canonical: nova_sqlcore.rows.{name}\n\n{indented(body)}\n"


def _table_links_anywhere(text: str) -> str:
    names = tables.metadata.tables
    return re.sub(r"``(\w+)``", lambda found: _table_links(found) if found[1] in names else found[0], text)


def _type(hint: Any) -> str:
    text = hint.__forward_arg__ if isinstance(hint, typing.ForwardRef) else _annotation(hint)
    text = text.replace("datetime.datetime", "datetime")
    return re.sub(r"\b([A-Z]\w+)\b", _row_link, text).replace("|", "or")


def _row_link(found: re.Match[str]) -> str:
    if not typing.is_typeddict(getattr(rows, found[0], None)):
        return found[0]
    before = "\\ " if found.string[found.start() - 1 : found.start()] == "[" else ""
    return f"{before}:py:class:`~rows.{found[0]}`"


# -- tables -----------------------------------------------------------------------------------------------------------


def tables_text() -> str:
    """Return the page of all tables but the shadow tables, which have the same columns."""
    source = inspect.getsource(tables)
    found = {
        match[2]: (match[1], source[: match.start()].count("\n") + 1)
        for match in re.finditer(r"^# One row: (.+)\n(?:#.*\n)*(\w+)(?:: [^=]+)? = ", source, re.MULTILINE)
    }
    parts = []
    for title, names in grouped(tables, {name: line for name, (_, line) in found.items()}):
        parts.append(heading(_capital(title), "-"))
        parts += [_table_text(name, found[name][0]) for name in names]
    return "\n\n".join(parts)


def _table_text(name: str, meaning: str) -> str:
    table = getattr(tables, name)
    lines = [(f"``{column.name}``", _sql_type(column), _notes(column)) for column in table.c]
    indexes = sorted(
        f"{'unique' if index.unique else 'index'}: ``{', '.join(part.name for part in index.columns)}``"
        for index in table.indexes
        if len(index.columns)
    )
    keys = sorted(
        f"unique: ``{', '.join(column.name for column in key.columns)}``"
        for key in table.constraints
        if isinstance(key, sa.UniqueConstraint)
    )
    text = f"One row: {meaning}\n\n{list_table(('column', 'type', ''), '36 26 38', lines)}"
    if keys or indexes:
        text += "\n" + "\n".join(f"- {line}" for line in [*keys, *indexes]) + "\n"
    return f".. py:data:: tables.{name}\n   :canonical: nova_sqlcore.tables.{name}\n\n{indented(text)}\n"


def _sql_type(column: sa.Column[Any]) -> str:
    return str(column.type.compile(postgresql.dialect())).lower()


def _notes(column: sa.Column[Any]) -> str:
    notes = ["primary key"] if column.primary_key else [] if column.nullable else ["never NULL"]
    notes += [f"refers to ``{key.target_fullname}``" for key in column.foreign_keys]
    return "; ".join(notes)


# -- errors -----------------------------------------------------------------------------------------------------------


def exceptions_text() -> str:
    """Return the page of all errors and warnings."""
    all_errors = {name: getattr(exceptions, name) for name in _ERRORS}
    own = {name: kind for name, kind in all_errors.items() if kind.__module__ == exceptions.__name__}
    places = class_lines(exceptions, list(own))
    users = _raised_by()
    parts = []
    for title, names in grouped(exceptions, places):
        parts.append(heading(_capital(title) or "Warnings and misuse", "-"))
        parts += [_exception_text(name, own[name], users.get(name, [])) for name in names if not name.startswith("_")]
    return "\n\n".join(parts)


def _raised_by() -> dict[str, list[str]]:
    """Return the functions whose docstrings name an error, by the error's name."""
    users: dict[str, list[str]] = {}
    for name in api.__all__:
        _, sections = sections_of(inspect.getdoc(getattr(api, name)) or "")
        text = " ".join(text for kind, text in sections if kind == "Raises")
        for error in dict.fromkeys(_WORD.findall(text)):
            users.setdefault(error, []).append(name)
    return users


def _exception_text(name: str, kind: type[BaseException], users: list[str]) -> str:
    bases = ", ".join(
        f":py:exc:`~exceptions.{base.__name__}`" if base.__name__ in _ERRORS else f"``{base.__name__}``"
        for base in kind.__bases__
    )
    fields = [f":Base: {bases}"]
    if issubclass(kind, exceptions.NovaException):
        fields += [f":Code: {kind.code}", f":Message: ``{kind.msg_fmt}``"]
    if users:
        fields.append(f":Raised by: {', '.join(f':py:func:`~api.{user}`' for user in users)}")
    doc = inspect.cleandoc(kind.__doc__ or "")
    text = "" if doc.startswith("Raised by") else linked(doc)
    body = "\n\n".join(part for part in (text, "\n".join(fields)) if part)
    return f".. py:exception:: exceptions.{name}\n   :canonical: nova_sqlcore.exceptions.{name}\n\n{indented(body)}\n"


# -- commands ---------------------------------------------------------------------------------------------------------


def commands_text() -> str:
    """Return the page of the command line, from its own help."""
    import click

    from nova_sqlcore.cli.app import app

    root = click.Context(app, info_name="nova-sqlcore", max_content_width=100)
    return "\n\n".join(_command_text(name, command, context) for name, command, context in _commands(app, root))


def _commands(group: click.Group, context: click.Context) -> Iterator[tuple[str, click.Command, click.Context]]:
    """Yield every command below a group; a command that is in ``db`` too comes once, under its short name."""
    import click

    seen = set()
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or id(command) in seen:
            continue
        own = click.Context(command, info_name=name, parent=context, max_content_width=100)
        if isinstance(command, click.Group):
            if name != "db":
                yield from _commands(command, own)
            continue
        seen.add(id(command))
        yield own.command_path, command, own


def _command_text(path: str, command: click.Command, context: click.Context) -> str:
    import click

    formatter: Callable[[], click.HelpFormatter] = context.make_formatter
    usage = formatter()
    command.format_usage(context, usage)
    options = [
        f".. option:: {', '.join(param.opts)}{_metavar(param, context)}\n\n{indented(_quoted(param.help))}\n"
        for param in command.get_params(context)
        if isinstance(param, click.Option) and param.name != "help"
    ]
    text = _quoted(command.help)
    shown = f".. code-block:: text\n\n{indented(usage.getvalue())}"
    return "\n\n".join([heading(path, "-"), f".. program:: {path}", shown, text, *options])


def _quoted(text: str | None) -> str:
    """Return a help text with its options as literals: two dashes would become one."""
    return re.sub(r"(?<![\w`-])(--[a-z][\w-]*)", r"``\1``", inspect.cleandoc(text or ""))


def _metavar(param: click.Option, context: click.Context) -> str:
    return "" if param.is_flag or param.count else f" {param.make_metavar(context)}"
