# SPDX-License-Identifier: Apache-2.0

"""``nova-sqlcore db version``: which migration the database has come to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nova_sqlcore.cli.app import Command
from nova_sqlcore.cli.options import common_options
from nova_sqlcore.schema import migrations

if TYPE_CHECKING:
    from nova_sqlcore.cli.options import Setup


@click.command(cls=Command)
@common_options
def command(setup: Setup) -> None:
    """Print the newest migration that the database has: 0 if it has none."""
    applied = [migration.name for migration in migrations.status(setup.address) if migration.applied]
    newest = applied[-1] if applied else "0"
    setup.output.line(newest)
    setup.output.document({"version": newest})
