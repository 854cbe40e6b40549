"""What no role may do with the tables, tried with its own login (decision 0038)."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from libs.common.domain.role import (
    PERSISTER,
    PRIVACY,
    REST,
    ROUTER,
)
from local import environment
from local.layout import Layout
from migrations.privileges import PRIVILEGES

LAYOUT = Layout(os.environ["CHAT_STACK"])
AT_POSTGRES = (ROUTER, PERSISTER, REST, PRIVACY)


@asynccontextmanager
async def database_as(role: str) -> AsyncIterator[asyncpg.Connection]:
    url = environment.of_role(LAYOUT, role)["CHAT_DATABASE_URL"]
    connection = await asyncpg.connect(url)
    try:
        yield connection
    finally:
        await connection.close()


WRITES = (
    "INSERT INTO conversations SELECT * FROM conversations LIMIT 1",
    "UPDATE messages SET status = 'READ'",
    "DELETE FROM messages",
    "TRUNCATE messages",
    "INSERT INTO audit_log (action) VALUES ('nothing')",
    "DROP TABLE messages",
    "CREATE TABLE more ()",
    "CREATE TEMPORARY TABLE audit_log (LIKE public.audit_log)",
)
NOT_BY = {
    ROUTER: (
        *WRITES,
        "SELECT FROM audit_log",
        "SELECT FROM indexed_messages",
        "SELECT FROM typing_status",
    ),
    REST: (*WRITES, "SELECT FROM audit_log", "SELECT FROM typing_status"),
    PRIVACY: WRITES,
    PERSISTER: (
        "UPDATE audit_log SET action = 'nothing'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "ALTER TABLE audit_log DISABLE TRIGGER USER",
        "DROP TRIGGER audit_log_append_only ON audit_log",
        "CREATE OR REPLACE FUNCTION keep_audit_log() RETURNS trigger LANGUAGE sql AS ''",
        "SET session_replication_role = replica",
        "DELETE FROM messages",
        "DELETE FROM conversations",
        "DROP TABLE messages",
        "CREATE TABLE more ()",
        "CREATE TEMPORARY TABLE audit_log (LIKE public.audit_log)",
    ),
}


@pytest.mark.parametrize("role", NOT_BY)
async def test_what_is_not_a_roles_to_do_with_the_tables(role: str) -> None:
    async with database_as(role) as database:
        for statement in NOT_BY[role]:
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                await database.execute(statement)


async def test_a_new_table_is_closed() -> None:
    admin = await asyncpg.connect(os.environ["CHAT_DATABASE_URL"])
    try:
        await admin.execute("CREATE TABLE of_a_release_to_come (secret text)")
        for role in AT_POSTGRES:
            async with database_as(role) as database:
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await database.execute("SELECT FROM of_a_release_to_come")
    finally:
        await admin.execute("DROP TABLE of_a_release_to_come")
        await admin.close()


async def test_the_logins_have_what_is_listed_and_nothing_else() -> None:
    admin = await asyncpg.connect(os.environ["CHAT_DATABASE_URL"])
    rows = await admin.fetch(
        "SELECT grantee, table_name, privilege_type FROM information_schema.role_table_grants"
        " WHERE table_schema = 'public' AND grantee LIKE 'chat\\_%'"
    )
    flags = await admin.fetch(
        "SELECT rolname FROM pg_roles WHERE rolname = ANY($1) AND"
        " (rolsuper OR rolcreaterole OR rolcreatedb OR rolbypassrls OR rolreplication)",
        list(PRIVILEGES),
    )
    await admin.close()
    listed = {
        (login, table, privilege)
        for login, tables in PRIVILEGES.items()
        for table, privileges in tables.items()
        for privilege in privileges.split(", ")
    }
    assert {tuple(row) for row in rows} == listed
    assert flags == []
