# SPDX-License-Identifier: Apache-2.0

"""The first hour of those whom the library is for, one script each, with what the pages tell them to type."""
