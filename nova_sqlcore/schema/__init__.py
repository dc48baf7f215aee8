"""How a database gets its tables: migrations, adoption of what the reference has made, and the check of a schema.

``ddl`` spells what SQLAlchemy can't and lies below ``tables``; everything else may import ``tables`` and ``core``.
No query is imported here.
"""
