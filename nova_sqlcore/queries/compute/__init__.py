# SPDX-License-Identifier: Apache-2.0

"""Instances and what hangs on them: metadata, tags, faults, actions, groups, migrations and consoles.

The default security group of a new instance is here too, for the wings of security and quota lie above. It may import
``common``.
"""
