"""Alembic migrations, for both databases: expand first, contract one release later."""
