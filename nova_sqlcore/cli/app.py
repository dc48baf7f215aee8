"""What all commands have in common: where they are found, how they are told a database, and how they fail.

A command is a module with a ``click.Command`` called ``command``. It ends with 0 if it did what it was told, with 1 if
it could not, and with 2 if it was told nonsense; an error is one line on standard error, without a password.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, Final, TypeVar

import click

import nova_sqlcore
from nova_sqlcore import exceptions

if TYPE_CHECKING:
    from collections.abc import Callable

Function = TypeVar("Function", bound="Callable[..., Any]")

#: The commands in the order in which ``--help`` shows them, and the modules that hold them.
COMMANDS: Final = {
    "migrate": "nova_sqlcore.cli.migrate",
    "online-data-migrations": "nova_sqlcore.cli.online_data_migrations",
    "archive": "nova_sqlcore.cli.archive",
    "demo": "nova_sqlcore.cli.demo",
}


class _Commands(click.Group):
    """Imports a command when it is asked for, and reports the library's errors."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command, or None if there is no such."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(COMMANDS[cmd_name]).command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command; what the database or the library refuses ends it with one line and exit code 1."""
        try:
            return super().invoke(ctx)
        except (exceptions.DBError, exceptions.NovaException) as error:
            raise click.ClickException(" ".join(str(error).split())) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 120})
@click.version_option(nova_sqlcore.__version__, prog_name="nova-sqlcore")
def app() -> None:
    """Look after the database of OpenStack's compute service."""


def url_option(function: Function) -> Function:
    """Give a command the option ``--url``."""
    option = click.option(
        "--url",
        envvar="NOVA_SQLCORE_URL",
        show_envvar=True,
        required=True,
        metavar="URL",
        help="The database, like mysql+pymysql://nova:secret@host/nova. Other users of the machine can read what "
        "stands in a command line: a password is better off in the environment variable.",
    )
    return option(function)
