# SPDX-License-Identifier: Apache-2.0

"""OpenStack Nova's database API on SQLAlchemy Core: plain dicts, explicit transactions, no ORM."""

import gc

_collects = gc.isenabled()
gc.disable()  # all that an import makes is there to stay: to look through it time and again takes a tenth of the import
try:
    from nova_sqlcore import _moved
    from nova_sqlcore.context import RequestContext, get_admin_context, target_cell
    from nova_sqlcore.exceptions import HiddenRowWarning, UnknownColumnWarning, UnknownFilterWarning
finally:
    if _collects:
        if not gc.get_freeze_count():  # frozen and thawed it is old, and is not looked through at once
            gc.freeze()
            gc.unfreeze()
        gc.enable()

__all__ = [
    "HiddenRowWarning",
    "RequestContext",
    "UnknownColumnWarning",
    "UnknownFilterWarning",
    "get_admin_context",
    "target_cell",
]
__version__ = "0.1.0"

_moved.install()
