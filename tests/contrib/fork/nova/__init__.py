# SPDX-License-Identifier: Apache-2.0

"""A stand-in for a fork of Nova: just enough to name the library in place of its database module."""
