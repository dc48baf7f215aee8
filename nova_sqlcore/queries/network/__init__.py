# SPDX-License-Identifier: Apache-2.0

"""Networks, fixed and floating IPs, virtual interfaces and DNS domains.

It may import ``quota``, ``compute`` and ``common``.
"""
