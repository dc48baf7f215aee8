# SPDX-License-Identifier: Apache-2.0

"""How a statement runs: options, connections, dialects, prepared statements, transactions and their scopes.

Nothing here knows a table of the schema but as a ``sqlalchemy.Table``, or a function of the API. It may import
``tables``, ``exceptions``, ``settings`` and ``clock``, and its own modules downwards; ``nova_sqlcore.tx`` is its face.
"""
