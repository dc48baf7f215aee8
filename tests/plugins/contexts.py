# SPDX-License-Identifier: Apache-2.0

"""Request contexts: who asks."""

import pytest

from nova_sqlcore import RequestContext, get_admin_context


@pytest.fixture
def ctxt() -> RequestContext:
    """Return the context of an ordinary user."""
    return RequestContext("user", "project")


@pytest.fixture
def admin() -> RequestContext:
    """Return the context of an admin."""
    return get_admin_context()
