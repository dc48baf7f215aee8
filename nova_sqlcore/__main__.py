"""``python -m nova_sqlcore`` is the command ``nova-sqlcore``."""

from nova_sqlcore.cli import main

main()
