"""Fixtures, options and markers of the test-suite."""
