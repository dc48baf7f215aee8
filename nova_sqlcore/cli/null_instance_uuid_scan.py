# SPDX-License-Identifier: Apache-2.0

"""``nova-sqlcore db null_instance_uuid_scan``: rows without the uuid of their instance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nova_sqlcore import get_admin_context
from nova_sqlcore.cli.app import Command
from nova_sqlcore.cli.options import common_options
from nova_sqlcore.queries.maintenance.null_uuids import null_instance_uuid_delete, null_instance_uuid_scan

if TYPE_CHECKING:
    from nova_sqlcore.cli.options import Setup


@click.command(cls=Command, unexpected=255)
@common_options
@click.option("--delete", is_flag=True, help="Delete the rows that are found.")
def command(setup: Setup, delete: bool) -> None:
    """List rows without the uuid of their instance, and delete them if that is asked for."""
    with setup.database():
        scan = null_instance_uuid_delete if delete else null_instance_uuid_scan
        counts = scan(get_admin_context())
    output = setup.output
    output.document({"deleted": delete, "rows": counts})
    if not counts:
        output.line("There were no records found where instance_uuid was NULL.")
        return
    output.table(("Table", "Records Deleted" if delete else "Records Found"), sorted(counts.items()))
    if not delete:
        output.line("Run the command with --delete to delete these records.")
