# SPDX-License-Identifier: Apache-2.0

"""``nova-sqlcore quota refresh``: let quota usages say what there is."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from nova_sqlcore import get_admin_context
from nova_sqlcore.cli.app import Command
from nova_sqlcore.cli.options import common_options
from nova_sqlcore.queries.quota.recount import quota_usage_drift, quota_usage_refresh

if TYPE_CHECKING:
    from nova_sqlcore.cli.options import Setup


@click.group("quota")
def command() -> None:
    """Look after quota usages."""


@command.command("refresh", cls=Command, unexpected=255)
@common_options
@click.option("--project", metavar="ID", help="The usages of this project.")
@click.option("--user", metavar="ID", help="Only those of this user in the project.")
@click.option("--all", "everything", is_flag=True, help="The usages of all projects.")
@click.option("--dry-run", is_flag=True, help="Show what is wrong; nothing is changed.")
def refresh(setup: Setup, project: str | None, user: str | None, everything: bool, dry_run: bool) -> int:
    """Count what is in use and correct usages that say otherwise.

    Services may go on meanwhile. Ends with 0 if nothing was wrong or all is corrected, 1 if something is wrong and
    --dry-run leaves it so, 2 if it is not clear whose usages are meant, 255 after an unexpected error.
    """
    if everything == (project is not None):
        raise click.UsageError("say either --project, perhaps with --user, or --all")
    if user is not None and project is None:
        raise click.UsageError("--user goes with --project")
    output, context = setup.output, get_admin_context()
    with setup.database(), output.status() as show:
        show("counting what is in use")
        if dry_run:
            found = quota_usage_drift(context, project, user)
        else:
            found = quota_usage_refresh(context, project, user, progress=lambda one: show(of_project(one)))
    output.document({"dry_run": dry_run, "usages": found})
    if not found:
        output.line("All usages are right.")
        return 0
    titles = ("Project", "User", "Resource", "Was", "Is")
    output.table(titles, (["-" if value is None else value for value in drift.values()] for drift in found))
    output.line(_summed_up(len(found), dry_run))
    return int(dry_run)


def of_project(project_id: str | None) -> str:
    """Return a project, or None, for people."""
    return "no project" if project_id is None else f"project {project_id}"


def _summed_up(count: int, dry_run: bool) -> str:
    if count == 1:
        return "1 usage is wrong." if dry_run else "1 usage was wrong and is corrected."
    return f"{count} usages are wrong." if dry_run else f"{count} usages were wrong and are corrected."
