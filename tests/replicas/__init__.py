"""Tests on a primary with a replica: ``make test-replicas``."""
