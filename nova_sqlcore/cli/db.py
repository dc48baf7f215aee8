# SPDX-License-Identifier: Apache-2.0

"""``nova-sqlcore db``: the commands of ``nova-manage db``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nova_sqlcore.cli.app import DB_COMMANDS, Commands

if TYPE_CHECKING:
    import click


class _Group(Commands):
    """A group that leaves no trace in the names of environment variables."""

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> click.Context:
        """Let the group's commands read the variables that they read without the group."""
        extra.setdefault("auto_envvar_prefix", parent.auto_envvar_prefix if parent else None)
        return super().make_context(info_name, args, parent, **extra)


command = _Group("db", modules=DB_COMMANDS, help="The commands of nova-manage db; they serve without this word too.")
