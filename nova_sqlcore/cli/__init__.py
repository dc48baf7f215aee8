# SPDX-License-Identifier: Apache-2.0

"""The ``nova-sqlcore`` command, for operators; each of its commands is a module of this package."""

import sys


def main() -> None:
    """Run the command. What it needs beyond the library comes with the extra ``cli``."""
    try:
        from nova_sqlcore.cli.app import app

        app()
    except ModuleNotFoundError as error:
        if error.name not in ("click", "rich", "dateutil"):
            raise
        sys.exit(f"Error: {error.name} is not installed, and the command needs it: pip install 'nova-sqlcore[cli]'")
