# SPDX-License-Identifier: Apache-2.0

"""Flavors, the projects that may use them, and their extra specs.

It may import ``compute`` and ``common``.
"""

import importlib
import warnings
from typing import Any, Final

_MODULES: Final = ("access", "extra_specs", "flavors", "ids")


def __getattr__(name: str) -> Any:
    """Give what this package had as a module, for one release."""
    flavors = None if name in _MODULES else importlib.import_module(f"{__name__}.flavors")
    if not hasattr(flavors, name) or name.startswith("__"):
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    warnings.warn(f"{name} lives in {__name__}.flavors now", DeprecationWarning, stacklevel=2)
    return getattr(flavors, name)
