# SPDX-License-Identifier: Apache-2.0

"""Benchmarks: the library against hand-written code on the same driver, both in one run (``python -m benchmarks``)."""
