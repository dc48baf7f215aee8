# SPDX-License-Identifier: Apache-2.0

"""``nova-sqlcore sql``: the statements that functions send, their plans, and those that keep a server busy."""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from typing import TYPE_CHECKING, Any, Final

import click
import sqlparse
from rich.console import Console
from rich.syntax import Syntax

from nova_sqlcore.cli import plans, recorded, slow
from nova_sqlcore.cli.app import Command
from nova_sqlcore.cli.options import common_options

if TYPE_CHECKING:
    from collections.abc import Callable

    from nova_sqlcore.cli.options import Setup
    from nova_sqlcore.cli.output import Output
    from nova_sqlcore.cli.recorded import Call, Statement

#: Statements that use the most time, where no number is given.
TOP: Final = 20


def _complete(ctx: click.Context, param: click.Parameter, incomplete: str) -> list[str]:
    return [name for name in recorded.calls_of("sqlite") if name.startswith(incomplete)]


def _optional_url(names: tuple[str, ...], text: str) -> Callable[[Any], Any]:
    """Return an option that may be followed by a URL; without one it takes the command's."""
    return click.option(*names, is_flag=False, flag_value="", metavar="[URL]", help=text)


@click.command("sql", cls=Command)
@common_options
@click.argument("functions", nargs=-1, metavar="[FUNCTION]...", shell_complete=_complete)
@click.option("--all", "everything", is_flag=True, help="All functions.")
@click.option(
    "--dialect",
    "servers",
    multiple=True,
    type=click.Choice(list(recorded.SERVERS)),
    help="What is sent to this server; may be given several times. All, if it is not given.",
)
@_optional_url(("--explain",), "Show how the server at URL would run the statements; it runs none of them.")
@_optional_url(("--slow", "busiest"), "Show on which statements the server at URL has spent the most time, as it says.")
@click.option("--top", default=TOP, show_default=True, type=click.IntRange(min=1), help="How many, with --slow.")
def command(
    setup: Setup,
    functions: tuple[str, ...],
    everything: bool,
    servers: tuple[str, ...],
    explain: str | None,
    busiest: str | None,
    top: int,
) -> None:
    """Show the SQL that functions of the API send.

    It was recorded as the functions ran on each kind of server. A function that sends other statements for other
    arguments is shown in its most usual form; --verbose shows all. Without a URL, --explain and --slow use --url or
    the configuration file. Ends with 2 if there is no such function.
    """
    if busiest is not None:
        _show_slow(setup, busiest or setup.address, top)
        return
    names = list(recorded.calls_of("sqlite")) if everything else list(functions)
    if not names:
        raise click.UsageError("name functions, or say --all or --slow")
    for name in names:
        _require_known(name)
    if explain is None:
        _show(setup.output, names, servers or tuple(recorded.SERVERS))
    else:
        _explain(setup.output, names, explain or setup.address)


def _require_known(name: str) -> None:
    if name in recorded.calls_of("sqlite"):
        return
    near = recorded.nearest(name)
    raise click.UsageError(f"there is no function {name!r}" + (f"; near to it: {', '.join(near)}" if near else ""))


# -- statements -------------------------------------------------------------------------------------------------------


def _show(output: Output, names: list[str], servers: tuple[str, ...]) -> None:
    output.document({name: {server: _told(recorded.calls_of(server)[name]) for server in servers} for name in names})
    for name in () if output.is_json else names:
        for group, calls in _alike(name, servers):
            _heading(output, f"{name} on {', '.join(group)}")
            _show_calls(output, name, group, calls)


def _alike(name: str, servers: tuple[str, ...]) -> list[tuple[list[str], tuple[Call, ...]]]:
    """Return the kinds of call, with all servers to which they send the same."""
    found: dict[Any, tuple[list[str], tuple[Call, ...]]] = {}
    for server in servers:
        calls = recorded.calls_of(server)[name]
        key = tuple(tuple(_without_placeholders(one.text) for one in call.statements) for call in calls)
        found.setdefault(key, ([], calls))[0].append(server)
    return list(found.values())


def _without_placeholders(text: str) -> str:
    return re.sub(r"%s|%\(\w+\)s|\?", "?", text)


def _show_calls(output: Output, name: str, servers: list[str], calls: tuple[Call, ...]) -> None:
    usual = recorded.usual(calls)
    if usual is None or not any(call.statements for call in calls):
        output.line("It sends no statement by itself.\n")
        return
    for call in calls if output.is_verbose else (usual,):
        raises = f"  -- raises {call.error}" if call.error else ""
        show_sql(output, f"-- {call.text}{raises}")
        show_sql(output, f"-- {_cost(name, servers, calls.index(call))}")
        for statement in call.statements:
            show_sql(output, formatted(statement.text) + ";")
        output.line("")
    others = len(calls) - 1
    if others and not output.is_verbose:
        words = "1 other kind of call sends" if others == 1 else f"{others} other kinds of call send"
        output.line(f"{words} other statements: --verbose shows them.\n")


def _cost(name: str, servers: list[str], place: int) -> str:
    """Return the statements and round trips of a kind of call, on servers to which it sends the same."""
    kinds = {server: recorded.calls_of(server)[name][place] for server in servers}
    statements = _counted(len(kinds[servers[0]].statements), "statement")
    trips = {server: kind.round_trips for server, kind in kinds.items() if server != "sqlite"}
    if len({*trips.values()}) > 1:
        return f"{statements}, round trips: " + ", ".join(f"{server} {count}" for server, count in trips.items())
    return ", ".join([statements, *(_counted(count, "round trip") for count in {*trips.values()})])


def _counted(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _heading(output: Output, text: str) -> None:
    output.line(click.style(text, bold=True) if sys.stdout.isatty() else text)


def formatted(text: str) -> str:
    """Return SQL with line breaks where people look for them."""
    plain = " ".join(text.split())
    head, word, columns = plain.partition(" RETURNING ")
    try:
        lines = [sqlparse.format(head, reindent=True, wrap_after=100)]
    except sqlparse.exceptions.SQLParseError:  # it refuses to take very long statements apart
        return plain
    if word:  # which sqlparse does not know
        lines += textwrap.wrap(f"RETURNING {columns}", 110, subsequent_indent=" " * len("RETURNING "))
    return "\n".join(lines)


def show_sql(output: Output, text: str) -> None:
    """Print SQL, in colours on a terminal."""
    if output.is_json or output.is_quiet:
        return
    if not sys.stdout.isatty():
        click.echo(text)
        return
    width = shutil.get_terminal_size().columns
    Console(width=width).print(Syntax(text, "sql", theme="ansi_dark", background_color="default", word_wrap=True))


def _told(calls: tuple[Call, ...]) -> list[dict[str, Any]]:
    """Return kinds of call for programs."""
    return [
        {
            "call": call.text,
            "calls": call.count,
            "error": call.error,
            "round_trips": call.round_trips,
            "statements": [{"sql": one.text, "values": one.values} for one in call.statements],
        }
        for call in calls
    ]


# -- plans ------------------------------------------------------------------------------------------------------------


def _explain(output: Output, names: list[str], url: str) -> None:
    found: dict[str, list[dict[str, Any]]] = {}
    with plans.explaining(url) as explainer:
        for name in names:
            found[name] = []
            _heading(output, f"{name} on {explainer.server}")
            for statement in _statements(recorded.calls_of(explainer.server)[name], in_full=output.is_verbose):
                plan = explainer.plan(statement)
                found[name].append({"sql": statement.text, "plan": plan})
                show_sql(output, formatted(statement.text) + ";")
                output.line("".join(f"    {line}\n" for line in plan))
    output.document(found)


def _statements(calls: tuple[Call, ...], *, in_full: bool) -> list[Statement]:
    """Return the statements of the usual kind of call, or of all kinds, each once."""
    usual = recorded.usual(calls)
    chosen = calls if in_full else filter(None, (usual,))
    return list({one.text: one for call in chosen for one in call.statements}.values())


# -- slow statements --------------------------------------------------------------------------------------------------


def _show_slow(setup: Setup, url: str, top: int) -> None:
    output = setup.output
    found = slow.busiest(url, top, output.remark)
    output.document([one.told() for one in found])
    if not found:
        output.line("The server has counted no statement of this database yet.")
    titles = ("Calls", "Total s", "Mean ms", "Rows", "Function", "Statement")
    output.table(titles, (one.row(in_full=output.is_verbose) for one in found))
