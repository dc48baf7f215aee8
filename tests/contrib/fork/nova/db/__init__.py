"""The fork's database layer."""
