"""Row-level security on PostgreSQL, for migrations to use.

Two roles that own nothing and cannot log in: every transaction becomes one of them. `kalends_tenant` sees the rows of
the app named in `app.tenant`; `kalends_system` opens the door and hands out lanes, and sees no event. FORCE makes the
policies hold for the owner of the tables too.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from alembic import op

TENANT, SYSTEM = "kalends_tenant", "kalends_system"
CURRENT = "nullif(current_setting('app.tenant', true), '')::uuid"


def is_postgresql() -> bool:
    """Tell whether there are roles and policies at all."""
    return op.get_bind().dialect.name == "postgresql"


def create_roles() -> None:
    """Create both roles where the cluster lacks them, and let the migrating user become either."""
    for role in (TENANT, SYSTEM):
        # Roles belong to the cluster: another database's migration may create the same one at the same moment.
        op.execute(
            f"DO $$ BEGIN IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '{role}') "
            f"THEN CREATE ROLE {role} NOLOGIN; END IF; "
            "EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; "
            "WHEN insufficient_privilege THEN RAISE insufficient_privilege USING MESSAGE = "
            f"'an administrator must create the role first: CREATE ROLE {role} NOLOGIN'; END $$"
        )
        op.execute(
            f"DO $$ BEGIN IF NOT pg_has_role(current_user, '{role}', 'MEMBER') "
            f"THEN EXECUTE format('GRANT {role} TO %I', current_user); END IF; "
            "EXCEPTION WHEN insufficient_privilege THEN RAISE insufficient_privilege USING MESSAGE = "
            f"format('an administrator must first run GRANT {role} TO %I', current_user); END $$"
        )
        op.execute(f"GRANT USAGE ON SCHEMA public TO {role}")


def protect(table: str, *, key: str = "app_id", system: str = "") -> None:
    """Let a tenant see its own rows of a table, and the system role what `system` names (such as SELECT, UPDATE)."""
    op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
    op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
    op.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON {table} TO {TENANT}")
    op.execute(f"CREATE POLICY tenant ON {table} TO {TENANT} USING ({key} = {CURRENT}) WITH CHECK ({key} = {CURRENT})")
    if system:
        op.execute(f"GRANT {system} ON {table} TO {SYSTEM}")
        op.execute(f"CREATE POLICY system ON {table} TO {SYSTEM} USING (true) WITH CHECK (true)")


@contextmanager
def unforced(*tables: str) -> Iterator[None]:
    """Let the owner of tables, who migrates them, see the rows of every app for a while."""
    names = tables if is_postgresql() else ()
    for table in names:
        op.execute(f"ALTER TABLE {table} NO FORCE ROW LEVEL SECURITY")
    yield
    for table in names:
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
