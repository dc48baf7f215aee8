# SPDX-License-Identifier: Apache-2.0

"""Tests on a primary with a replica: ``make test-replicas``."""
