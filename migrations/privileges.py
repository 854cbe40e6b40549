"""What each role may do with the tables: what it needs, and no more (docs/decisions/0038).

Whoever runs the servers makes the logins, with their passwords; `python -m migrations upgrade`
grants them this after each upgrade. A login that isn't there gets nothing, and one that is but
isn't listed for a table can't touch it, so a new table is closed until somebody lists it here.
"""

from typing import Final

from sqlalchemy import Connection, text

READ: Final = "SELECT"

_PERSISTER: Final = {
    "conversations": "SELECT, INSERT, UPDATE",
    "messages": "SELECT, INSERT, UPDATE",
    "late_changes": "SELECT, INSERT",
    "indexed_messages": "SELECT, INSERT, DELETE",
    "typing_status": "SELECT, INSERT, UPDATE, DELETE",
    # The trigger that chains the rows reads the newest.
    "audit_log": "SELECT, INSERT",
    "alembic_version": READ,
}
_ROUTER: Final = dict.fromkeys(
    ("conversations", "messages", "late_changes", "alembic_version"), READ
)
_REST: Final = _ROUTER | {"indexed_messages": READ}
_PRIVACY: Final = _ROUTER | dict.fromkeys(("indexed_messages", "typing_status", "audit_log"), READ)

PRIVILEGES: Final = {
    "chat_persister": _PERSISTER,
    "chat_router": _ROUTER,
    "chat_rest": _REST,
    "chat_privacy": _PRIVACY,
}
"""By login and table; the owner, who migrates, may do all."""

_NO_TEMPORARY_TABLES: Final = """
DO $$ BEGIN
    EXECUTE format('REVOKE TEMPORARY ON DATABASE %I FROM PUBLIC', current_database());
END $$
"""


def grant(connection: Connection) -> list[str]:
    """In the connection's transaction; safe to repeat. Returns the logins that are missing."""
    rows = connection.execute(text("SELECT rolname FROM pg_roles"))
    there = {name for (name,) in rows}
    # PostgreSQL 14 lets everybody make tables.
    connection.execute(text("REVOKE CREATE ON SCHEMA public FROM PUBLIC"))
    # A temporary table can take the name of one of ours. Who isn't the database's owner revokes
    # nothing and is warned; the audit log is safe without (migration 0004).
    connection.execute(text(_NO_TEMPORARY_TABLES))
    for login, tables in PRIVILEGES.items():
        if login in there:
            connection.execute(text(f"REVOKE ALL ON ALL TABLES IN SCHEMA public FROM {login}"))
            connection.execute(text(f"GRANT USAGE ON SCHEMA public TO {login}"))
            for table, privileges in tables.items():
                connection.execute(text(f"GRANT {privileges} ON {table} TO {login}"))
    return sorted(PRIVILEGES.keys() - there)
