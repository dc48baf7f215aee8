# SPDX-License-Identifier: Apache-2.0

"""The plug-ins of the test-suite, one concern each."""

pytest_plugins = [
    "tests.plugins.servers",
    "tests.plugins.backend",
    "tests.plugins.contexts",
    "tests.plugins.counting",
    "tests.plugins.wire",
    "tests.plugins.clock",
]
