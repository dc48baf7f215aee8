# SPDX-License-Identifier: Apache-2.0

"""Limits of projects, users and classes, what is used of them, and reservations.

Counts select from the tables directly, so that no wing above is needed. It may import ``compute`` and ``common``.
"""
