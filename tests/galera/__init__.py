# SPDX-License-Identifier: Apache-2.0

"""Tests on a Galera cluster of three nodes: ``make test-galera``."""
