# SPDX-License-Identifier: Apache-2.0

"""``python -m nova_sqlcore`` is the command ``nova-sqlcore``."""

from nova_sqlcore.cli import main

main()
