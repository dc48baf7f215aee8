# SPDX-License-Identifier: Apache-2.0

"""Fixtures, options and markers of the test-suite."""
