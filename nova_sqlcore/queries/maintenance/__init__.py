# SPDX-License-Identifier: Apache-2.0

"""What operators run: the archive of deleted rows, and online data migrations.

It may import ``common``.
"""
