# SPDX-License-Identifier: Apache-2.0

"""Mutation testing of the core: ``python -m tests.mutants``.

A mutant is the package with one small fault in it. A test has to fail on every mutant; those that survive stand in
``survivors.toml``, each with the reason.

mutmut and cosmic-ray were tried first. mutmut 3 leaves decorated functions alone, properties and context managers among
them, and replaces all others by trampolines, which changes what the fork handlers and the tests of names see.
cosmic-ray rewrites the working tree in place and runs all tests for every mutant.
"""
