# SPDX-License-Identifier: Apache-2.0

"""What the queries of all wings share: clauses, ids, lookups, children, claims, only rows, paging, constraints.

Nothing here belongs to one table. It may import what lies below ``queries``, and no wing.
"""
