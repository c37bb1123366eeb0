"""Questions about the database itself, for whoever operates it."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import select, text, type_coerce

from storage.engine import Database
from storage.errors import translated
from storage.models import TENANT_TABLES
from storage.types import Instant
from storage.unit_of_work import SYSTEM_ROLE, TENANT_ROLE


async def clock_of(database: Database) -> datetime:
    """Return the database's present."""
    with translated():
        async with database.reader.connect() as connection:
            return (await connection.execute(select(type_coerce(database.now(), Instant())))).scalar_one()


async def rights_of(database: Database) -> list[tuple[str, str]]:
    """Return what is wrong with roles and row-level security on PostgreSQL, and what to do about it."""
    if database.is_sqlite:
        return []
    found = []
    with translated():
        async with database.reader.connect() as connection:
            for role in (TENANT_ROLE, SYSTEM_ROLE):
                member = await connection.execute(text("SELECT pg_has_role(:role, 'MEMBER')"), {"role": role})
                if not member.scalar_one():
                    advice = f'As the owner of the database: GRANT {role} TO "{database.url.username}".'
                    found.append((f"the server may not become {role}", advice))
            open_tables = await connection.execute(
                text("SELECT relname FROM pg_class WHERE relname = ANY(:names) AND NOT relforcerowsecurity"),
                {"names": list(TENANT_TABLES)},
            )
            found += [
                (f"row-level security is off for {name}", f"ALTER TABLE {name} FORCE ROW LEVEL SECURITY.")
                for (name,) in open_tables
            ]
    return found
