"""The database API, one module per noun."""
