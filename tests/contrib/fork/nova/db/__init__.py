# SPDX-License-Identifier: Apache-2.0

"""The fork's database layer."""
