# SPDX-License-Identifier: Apache-2.0

"""A small cloud at work: what the library is for, run by several processes at once and checked at the end."""
