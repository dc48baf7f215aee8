# SPDX-License-Identifier: Apache-2.0

"""The plans that servers make for the hot statements, in a database of the size of a busy cloud's."""
