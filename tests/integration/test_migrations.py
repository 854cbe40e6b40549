"""Upgrades and their way back, on real tables with rows in them (docs/decisions/0029)."""

import asyncio
import os
import sys
from pathlib import Path
from uuid import uuid4

import asyncpg

from libs.common.protocol.writes import Entry
from services.persister.store import Store
from tests.integration.conftest import System
from tests.unit.test_persister_fold import created, deleted, sent

ROOT = Path(__file__).parents[2]

EXPANDED = ("conversations", "messages", "late_changes", "indexed_messages", "audit_log")
"""Tables that get another column under the feet of running processes."""
CONNECTIONS = 16
"""At once, so that each connection of every pool has met the old and the new tables."""


async def started(url: str, *command: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "migrations", *command),
        cwd=ROOT,
        env=os.environ | {"CHAT_DATABASE_URL": url},
        stderr=asyncio.subprocess.PIPE,
    )


async def migrations(url: str, *command: str) -> str:
    """What it says; it must succeed."""
    process = await started(url, *command)
    async with asyncio.timeout(60):
        _, said = await process.communicate()
    assert process.returncode == 0, said.decode()
    return said.decode()


async def test_steps_back_and_forth_keeps_the_messages(empty_database: str) -> None:
    url = empty_database
    await migrations(url, "upgrade")
    store = Store(url)
    batch: list[Entry] = [created(0), sent(0, 2), sent(0, 3), deleted(0, 4, 2)]
    assert await store.write(batch) == []
    store.close()

    database = await asyncpg.connect(url)
    rows = "SELECT id, seq, changed_seq, content, status::text FROM messages ORDER BY seq"
    before = await database.fetch(rows)
    assert [row["content"] for row in before] == [None, "hello"]

    for revision in ("0003", "0002", "0001"):
        await migrations(url, "downgrade", revision)
        assert await database.fetch(rows) == before
    assert await database.fetchval("SELECT to_regclass('late_changes')") is None

    await migrations(url, "upgrade")
    assert await database.fetch(rows) == before
    await database.close()

    store = Store(url)
    assert await store.write([sent(0, 5)]) == [], "the new release stores on"
    store.close()


async def test_a_role_waits_for_the_migration(empty_database: str) -> None:
    url = empty_database
    waiting = await started(url, "wait")
    assert waiting.stderr is not None
    async with asyncio.timeout(30):
        assert b"the database is at 0000" in await waiting.stderr.readline()
        assert waiting.returncode is None

        both = await asyncio.gather(migrations(url, "upgrade"), migrations(url, "upgrade"))
        assert "0001" in "".join(both)
        assert await waiting.wait() == 0
    await waiting.communicate()


async def test_a_release_that_was_rolled_back_leaves_newer_tables(
    empty_database: str,
) -> None:
    url = empty_database
    await migrations(url, "upgrade")
    database = await asyncpg.connect(url)
    await database.execute("UPDATE alembic_version SET version_num = '9999'")
    assert "Nothing to do" in await migrations(url, "upgrade")
    await migrations(url, "wait")
    assert await database.fetchval("SELECT version_num FROM alembic_version") == "9999"
    await database.close()


async def use_everything(system: System) -> None:
    """All that a user can do which comes to the tables."""
    anna, ben = uuid4(), uuid4()
    conversation = await system.conversation(anna, ben)
    async with (
        await system.open(anna) as annas,
        await system.open(ben) as bens,
        system.rest(anna) as rest,
        system.rest(ben) as bens_rest,
    ):
        first = await annas.send_message(conversation, "apples", uuid4())
        second = await annas.send_message(conversation, "pears", uuid4())
        await bens.expect("MESSAGE_RECEIVED")
        await bens.send_frame(
            {"type": "MARK_AS_READ", "conversationId": str(conversation), "upToSeq": second["seq"]}
        )
        await annas.expect("MESSAGE_READ")
        assert (await rest.delete(f"/messages/{first['messageId']}")).status_code == 204
        for path, expected in (
            (f"/conversations/{conversation}/messages", "pears"),
            (f"/conversations/{conversation}/sync?after=0", "pears"),
            (f"/messages/{second['messageId']}", "READ"),
            (f"/messages/search?q=pears&conversationId={conversation}", "pears"),
            ("/conversations", str(conversation)),
            ("/unread", "total"),
        ):
            answer = await bens_rest.get(path)
            assert answer.status_code == 200, answer.text
            assert expected in answer.text, path
        assert (await rest.delete(f"/conversations/{conversation}")).status_code == 204


async def use_it_from_all_sides(system: System) -> None:
    async with asyncio.timeout(60):
        await asyncio.gather(*(use_everything(system) for _ in range(CONNECTIONS)))


async def test_tables_may_be_expanded_under_running_processes(system: System) -> None:
    """What a rollout does to the old release, and a rollback to the one before it."""
    database = await asyncpg.connect(os.environ["CHAT_DATABASE_URL"])
    await use_it_from_all_sides(system)
    await database.execute("SET lock_timeout = '5s'")
    try:
        for table in EXPANDED:
            await database.execute(
                f"ALTER TABLE {table} ADD COLUMN of_next_release text,"
                " ADD COLUMN with_default bigint NOT NULL DEFAULT 7"
            )
        await use_it_from_all_sides(system)
    finally:
        for table in EXPANDED:
            await database.execute(
                f"ALTER TABLE {table} DROP COLUMN IF EXISTS of_next_release,"
                " DROP COLUMN IF EXISTS with_default"
            )
    await use_it_from_all_sides(system)
    await database.close()
