# SPDX-License-Identifier: Apache-2.0

"""Security groups and their rules, key pairs, certificates and the provider's firewall rules.

It may import ``quota``, ``compute`` and ``common``.
"""
