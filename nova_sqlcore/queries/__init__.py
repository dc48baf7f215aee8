# SPDX-License-Identifier: Apache-2.0

"""The database API: one module per noun, in wings by domain.

Wings point down only: ``network`` and ``security`` to ``quota``, ``flavors`` and ``storage``, these to ``compute``,
``hosts`` and ``maintenance``, and all to ``common``. ``reference`` has the reference's own names for databases, scopes
and queries, and may import everything.
"""
