"""Tests on a Galera cluster of three nodes: ``make test-galera``."""
