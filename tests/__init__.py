# SPDX-License-Identifier: Apache-2.0

"""The tests: the same ones on every back-end."""
