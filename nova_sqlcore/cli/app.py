# SPDX-License-Identifier: Apache-2.0

"""Where commands are found, and how they fail.

A command is a module with a ``Command`` called ``command``. The commands of nova-manage stand in the group ``db`` and
beside it, with dashes or underscores, as operators type them. A command ends with 0 if it did what it was told; what
other exit codes mean stands in its help. An error is one line on standard error, without a password.
"""

from __future__ import annotations

import functools
import importlib
from typing import Any, Final

import click

import nova_sqlcore
from nova_sqlcore import exceptions
from nova_sqlcore.cli.interrupts import Interrupted, interruptible
from nova_sqlcore.cli.options import global_options

#: The commands of ``db``, which serve without that word too, and the modules that hold them.
DB_COMMANDS: Final = {
    "sync": "migrate",
    "version": "version",
    "archive-deleted-rows": "archive",
    "purge": "purge",
    "online-data-migrations": "online_data_migrations",
    "null-instance-uuid-scan": "null_instance_uuid_scan",
}
#: The other commands, in the order in which ``--help`` shows them.
COMMANDS: Final = {
    "migrate": "migrate",
    "db": "db",
    **{name: module for name, module in DB_COMMANDS.items() if name != "sync"},
    "status": "status",
    "quota": "quota",
    "check": "check",
    "sql": "sql",
    "replay": "replay",
    "demo": "demo",
}
#: How the names of environment variables begin.
PREFIX: Final = "NOVA_SQLCORE"
#: Names of earlier releases.
ALIASES: Final = {"archive": "archive-deleted-rows", "sync": "migrate"}


class Command(click.Command):
    """A command that errors of the database or the library end with one line and the exit code ``unexpected``.

    So do signals, with the exit code that shells expect; a command that has more to say of them catches Interrupted.
    """

    def __init__(self, *args: Any, unexpected: int = 1, **kwargs: Any) -> None:
        """Take what ``click.Command`` takes."""
        super().__init__(*args, **kwargs)
        self.unexpected = unexpected
        self._unnamed = [one for one in self.params if isinstance(one, click.Option) and not one.envvar]

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Let every option stand in the environment by the name that operators type, whatever click calls it."""
        name = str(ctx.info_name).replace("_", "-")
        prefix = f"{ctx.parent.auto_envvar_prefix if ctx.parent else PREFIX}_{ALIASES.get(name, name)}"
        for option in self._unnamed:
            option.envvar = f"{prefix}{max(option.opts, key=len)[1:]}".replace("-", "_").upper()
        return super().parse_args(ctx, args)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; a number that it returns is its exit code."""
        try:
            with interruptible():
                code = super().invoke(ctx)
        except Interrupted as error:
            raise coded(click.ClickException, error.code)(f"interrupted by {error}") from error
        except (exceptions.DBError, exceptions.NovaException) as error:
            raise coded(click.ClickException, self.unexpected)(one_line(error)) from error
        if code:
            ctx.exit(code)


class Commands(click.Group):
    """Finds commands by name in modules, and imports one when it is asked for."""

    def __init__(self, *args: Any, modules: dict[str, str], **kwargs: Any) -> None:
        """Take the modules of ``nova_sqlcore.cli`` by the names of their commands."""
        super().__init__(*args, **kwargs)
        self.modules = modules

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of all commands."""
        return list(self.modules)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Return a command by one of its names, or None if there is no such command."""
        name = cmd_name.replace("_", "-")
        module = self.modules.get(name) or self.modules.get(ALIASES.get(name, ""))
        if module is None:
            return None
        command: click.Command = importlib.import_module(f"nova_sqlcore.cli.{module}").command
        return command


@functools.cache
def coded(kind: type[click.ClickException], exit_code: int) -> type[click.ClickException]:
    """Return ``kind`` of error as one that ends the command with this exit code."""
    return type(kind.__name__, (kind,), {"exit_code": exit_code})


def one_line(error: BaseException) -> str:
    """Return an error's text without line breaks."""
    return " ".join(str(error).split())


def dashed(name: str) -> str:
    """Return an option as it is spelled here: nova-manage spells some with underscores."""
    return name.replace("_", "-")


@click.group(
    cls=Commands,
    modules=COMMANDS,
    context_settings={
        "help_option_names": ["-h", "--help"],
        "max_content_width": 120,
        "auto_envvar_prefix": PREFIX,
        "token_normalize_func": dashed,
    },
)
@global_options
@click.version_option(nova_sqlcore.__version__, prog_name="nova-sqlcore")
def app() -> None:
    """Look after the database of OpenStack's compute service.

    The options below may stand before the command or behind it. Every option can stand in an environment variable too:
    NOVA_SQLCORE_URL, or NOVA_SQLCORE_PURGE_BEFORE for an option of one command. For completion in the shell:
    eval "$(_NOVA_SQLCORE_COMPLETE=bash_source nova-sqlcore)", or zsh_source, or fish_source.
    """
