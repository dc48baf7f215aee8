# SPDX-License-Identifier: Apache-2.0

"""What joins the library to others: OpenTelemetry, Prometheus, and a fork of Nova itself.

Nothing here is imported by the rest of the library. Each module needs an extra of its name, or what a fork has anyway.
"""
