# SPDX-License-Identifier: Apache-2.0

"""Modules under the names that they had before the package was divided into wings; for one release.

``import nova_sqlcore.queries.instances`` gives the module that has its functions now, and a DeprecationWarning. A
module that was divided gives its greatest part; ``nova_sqlcore.api`` has every function under its name.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.util
import sys
import warnings
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

_WINGS: Final = {
    "compute": "instances consoles migrations info_caches",
    "storage": "block_devices block_device_format ec2_ids",
    "network": "networks fixed_ips floating_ips virtual_interfaces dns_domains",
    "security": "key_pairs certificates provider_fw_rules",
    "hosts": "services compute_nodes aggregates pci_devices cells agent_builds task_log usage_caches",
    "maintenance": "archive online_migrations",
    "common": "constraints conversions",
}
_RENAMED: Final = {
    "queries.instance_changes": "queries.compute.changes",
    "queries.instance_metadata": "queries.compute.metadata",
    "queries.instance_tags": "queries.compute.tags",
    "queries.instance_faults": "queries.compute.faults",
    "queries.instance_actions": "queries.compute.actions",
    "queries.instance_extra": "queries.compute.extra",
    "queries.instance_groups": "queries.compute.groups",
    "queries.flavor_access": "queries.flavors.access",
    "queries.flavor_extra_specs": "queries.flavors.extra_specs",
    "queries.security_groups": "queries.security.groups",
    "queries.security_group_rules": "queries.security.rules",
    "queries.security_group_default_rules": "queries.security.default_rules",
    "queries.quotas": "queries.quota.reservations",
    "queries.quota_usages": "queries.quota.usages",
    "queries.infrastructure": "queries.reference",
    "connections": "core.connections",
    "dialects": "core.dialects",
    "statements": "core.statements",
    "transaction": "core.transaction",
    "types": "core.types",
    "values": "core.values",
    "migrations": "schema.migrations",
}

_ROOT: Final = "nova_sqlcore."

#: By old name, the name of today.
MOVED: Final = {
    **{
        f"{_ROOT}queries.{one}": f"{_ROOT}queries.{wing}.{one}"
        for wing, names in _WINGS.items()
        for one in names.split()
    },
    **{_ROOT + old: _ROOT + new for old, new in _RENAMED.items()},
}


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the modules of ``MOVED``; it is asked only for what no folder has."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return a specification for an old name, None for any other."""
        return importlib.util.spec_from_loader(fullname, self) if fullname in MOVED else None

    def create_module(self, spec: ModuleSpec) -> None:
        """Leave it to the import system: ``exec_module`` puts the right one in its place."""

    def exec_module(self, module: ModuleType) -> None:
        """Put the module of today under the old name."""
        name = module.__name__
        warnings.warn(f"{name} is {MOVED[name]} now; the old name goes with the next release", DeprecationWarning, 2)
        sys.modules[name] = importlib.import_module(MOVED[name])


def install() -> None:
    """Let the old names be imported."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.append(_Finder())
