# SPDX-License-Identifier: Apache-2.0

"""Block devices of instances, and the numbers by which EC2 knows instances, volumes, snapshots and images.

It may import ``compute`` and ``common``.
"""
