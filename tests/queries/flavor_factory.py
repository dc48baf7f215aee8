# SPDX-License-Identifier: Apache-2.0

"""Flavors to test with: the databases of tests hold none of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from nova_sqlcore import get_admin_context
from nova_sqlcore.queries.flavors import flavors

if TYPE_CHECKING:
    from nova_sqlcore import rows

#: Name, memory and root disk of flavors 1 to 3.
SEEDED = (("m1.tiny", 512, 1), ("m1.small", 2048, 20), ("m1.medium", 4096, 40))


def flavor(flavorid: str | None = "x", projects: list[Any] | None = None, **values: Any) -> rows.FlavorWithSpecs:
    """Create a flavor; private if ``projects`` may use it. Its name is ``name-`` and the flavorid."""
    given = {"name": f"name-{flavorid}", "flavorid": flavorid, "memory_mb": 64, "vcpus": 1, "root_gb": 1}
    given |= {"ephemeral_gb": 0, "is_public": projects is None, **values}
    return flavors.flavor_create(get_admin_context(), given, projects)


def seed() -> list[rows.FlavorWithSpecs]:
    """Create three public flavors, as a new database has five."""
    return [
        flavor(str(number), name=name, memory_mb=memory, root_gb=root)
        for number, (name, memory, root) in enumerate(SEEDED, 1)
    ]
