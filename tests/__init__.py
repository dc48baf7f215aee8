"""The tests: the same ones on every back-end."""
