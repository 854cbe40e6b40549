"""A person's data: exported as it is, erased for good, let go in time. By `python -m privacy`."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from libs.common.domain.partition import id_beside
from libs.common.domain.role import PRIVACY
from local import environment
from local.layout import ROOT, Layout
from local.roles import PERSISTER
from tests.integration.conftest import System
from tests.integration.keys import open_keys
from tests.integration.queues import open_queues
from tests.integration.watching import PARTITIONS, QUEUES, House, until, whole_house

LAYOUT = Layout(os.environ["CHAT_STACK"])
MANY = 600
"""More than one page, and more than are under way at once."""


async def started(*arguments: str, **variables: str) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "privacy", *arguments),
        cwd=ROOT,
        env={**os.environ, **environment.of_role(LAYOUT, PRIVACY), **variables},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )


async def privacy(*arguments: str, **variables: str) -> tuple[bytes, str]:
    """What it printed, and said; it must succeed."""
    process = await started(*arguments, **variables)
    async with asyncio.timeout(100):
        printed, said = await process.communicate()
    assert process.returncode == 0, said.decode()
    return printed, said.decode()


async def exported(user_id: UUID) -> dict[str, Any]:
    printed, _ = await privacy("export", str(user_id))
    found: dict[str, Any] = json.loads(printed)
    assert found["userId"] == str(user_id)
    return found


@dataclass
class Told:
    """What Anna and Ben wrote to each other."""

    anna: UUID
    ben: UUID
    conversation: UUID
    secret: str = field(default_factory=lambda: f"secret{uuid4().hex}")
    client_ids: list[UUID] = field(default_factory=lambda: [uuid4() for _ in range(3)])

    async def talk(self, system: System) -> None:
        async with await system.open(self.anna) as annas, await system.open(self.ben) as bens:
            for client_id in self.client_ids:
                await annas.send_message(self.conversation, f"{self.secret} of Anna", client_id)
            sent = await bens.send_message(self.conversation, "answer of Ben", uuid4())
            await annas.expect("MESSAGE_RECEIVED", messageId=sent["messageId"])
            # Unread from now on, as Anna says nothing of it.


@pytest.fixture
async def told(system: System, pair: tuple[UUID, UUID, UUID]) -> Told:
    told = Told(*pair)
    await told.talk(system)
    return told


@asynccontextmanager
async def admin() -> AsyncIterator[asyncpg.Connection]:
    database = await asyncpg.connect(os.environ["CHAT_DATABASE_URL"])
    try:
        yield database
    finally:
        await database.close()


async def test_an_export_has_all_of_a_person_and_of_nobody_else(system: System, told: Told) -> None:
    stranger = Told(told.anna, uuid4(), await system.conversation(uuid4(), uuid4()))
    found = await exported(told.anna)
    assert [one["id"] for one in found["conversations"]] == [str(told.conversation)]
    [conversation] = found["conversations"]
    assert (conversation["otherUserId"], conversation["unread"]) == (str(told.ben), 1)
    messages = found["messages"]
    assert [one["senderId"] for one in messages] == [str(told.anna)] * 3 + [str(told.ben)]
    assert [one["clientMessageId"] for one in messages[:3]] == [str(i) for i in told.client_ids]
    assert messages[3]["content"] == "answer of Ben"
    assert str(stranger.conversation) not in json.dumps(found)
    assert (found["auditLog"], found["typing"]) == ([], [])
    async with await system.open(told.anna):
        assert (await exported(told.anna))["online"] is True


async def test_an_export_into_a_file_is_for_its_owner_alone(told: Told, tmp_path: Path) -> None:
    file = tmp_path / "anna.json"
    printed, said = await privacy("export", str(told.anna), str(file))
    assert (printed, "4 messages" in said) == (b"", True)
    assert len(json.loads(file.read_bytes())["messages"]) == 4
    assert file.stat().st_mode & 0o777 == 0o600
    assert os.listdir(tmp_path) == [file.name]  # noqa: PTH208 - and no part of one


async def test_who_is_erased_is_gone_and_the_other_reads_on(system: System, told: Told) -> None:
    path = f"/conversations/{told.conversation}"
    async with system.rest(told.ben) as reader, await system.open(told.ben) as bens:
        # Now it is cached, and searched for, so indexed.
        assert told.secret in (await reader.get(f"{path}/messages")).text
        assert told.secret in (await reader.get(f"/messages/search?q={told.secret}")).text

        _, said = await privacy("erase", str(told.anna))
        assert "3 messages" in said

        await bens.expect("CONVERSATION_ARCHIVED")
        for one in await system.history(told.ben, told.conversation):
            if one["senderId"] == str(told.anna):
                await bens.expect("MESSAGE_DELETED", messageId=one["messageId"])
        for call in (path, f"{path}/messages", f"{path}/sync?after=0", "/conversations"):
            answer = await reader.get(call)
            assert answer.status_code == 200, call
            assert told.secret not in answer.text, call
        search = await reader.get(f"/messages/search?q={told.secret}")
        assert search.json()["items"] == []
        history = await system.history(told.ben, told.conversation)
        contents = [(one["content"], one["senderId"]) for one in history]
        assert contents == [(None, str(told.anna))] * 3 + [("answer of Ben", str(told.ben))]
        assert (await reader.get("/unread")).json()["total"] == 0
        synced = await bens.sync(told.conversation, 0)
        assert told.secret not in json.dumps(synced)

    # The same id is the same message for ever (promise 4): nothing comes back.
    async with system.rest(told.anna) as sender:
        mine = (await sender.get(f"/messages/by-client-id/{told.client_ids[0]}")).json()
        assert (mine["content"], mine["deletedAt"] is None) == (None, False)
    await nothing_is_left(told)

    printed, said = await privacy("erase", str(told.anna))
    assert (printed, "0 messages" in said) == (b"", True)
    found = await exported(told.anna)
    assert [one["content"] for one in found["messages"]] == [None] * 3 + ["answer of Ben"]
    audited = [(one["action"], one["detail"].get("because")) for one in found["auditLog"]]
    assert audited.count(("message.deleted", "erasure")) == 3
    assert audited.count(("conversation.archived", None)) == 1


async def nothing_is_left(told: Told) -> None:
    """In any table, or any key of Redis."""
    async with admin() as database:
        tables = await database.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (table,) in tables:
            rows = await database.fetchval(
                f"SELECT count(*) FROM {table} AS t WHERE t::text LIKE '%' || $1 || '%'",
                told.secret,
            )
            assert rows == 0, table

    async with open_keys() as keys:
        async for key in keys.redis.scan_iter("*"):
            dumped = await keys.redis.dump(key)
            assert told.secret.encode() not in (dumped or b""), key


async def sown(system: System, count: int, at: datetime) -> Told:
    """Anna's messages of that time, straight into PostgreSQL."""
    anna, ben = uuid4(), uuid4()
    told = Told(anna, ben, await system.conversation(anna, ben))
    async with admin() as database:

        async def is_stored() -> bool:
            query = "SELECT count(*) FROM conversations WHERE id = $1"
            return bool(await database.fetchval(query, told.conversation))

        await until(is_stored, 5, "the conversation is stored")
        await database.execute(
            "INSERT INTO messages (id, conversation_id, sender_id, client_message_id, content,"
            " status, created_at, seq, changed_seq)"
            " SELECT gen_random_uuid(), $1, $2, gen_random_uuid(), $3 || n, 'READ', $4, n, n"
            " FROM generate_series(2, $5::integer + 1) AS n",
            *(told.conversation, anna, told.secret, at, count),
        )
    return told


async def test_an_erasure_that_was_killed_goes_on(system: System) -> None:
    told = await sown(system, MANY, datetime.now(UTC))
    process = await started("erase", str(told.anna))
    async with admin() as database:
        left = "SELECT count(*) FROM messages WHERE sender_id = $1 AND deleted_at IS NULL"

        async def has_begun() -> bool:
            return int(await database.fetchval(left, told.anna)) < MANY

        await until(has_begun, 30, "the first are erased")
        process.kill()
        await process.communicate()
        await privacy("erase", str(told.anna))
        assert await database.fetchval(left, told.anna) == 0
        audited = "SELECT count(*) FROM audit_log WHERE actor_id = $1 AND action = $2"
        assert await database.fetchval(audited, told.anna, "message.deleted") == MANY
    await nothing_is_left(told)


@asynccontextmanager
async def without_persisters() -> AsyncIterator[House]:
    async with whole_house() as house:
        persisters = house.programs(PERSISTER)
        for program in persisters:
            await house.remove(program)
        try:
            yield house
        finally:
            for _ in persisters:
                await house.add(PERSISTER)


async def test_an_erasure_waits_for_what_is_not_stored_yet(
    system: System, pair: tuple[UUID, UUID, UUID]
) -> None:
    """Messages, and the conversation that they are in."""
    anna, ben, stored = pair
    # Beside what its router has loaded, so that nothing but the erasure needs a persister.
    match_id = str(id_beside(stored, uuid4, PARTITIONS))
    match = {"matchId": match_id, "user1Id": str(anna), "user2Id": str(ben)}
    async with (
        await system.open(anna) as annas,
        open_queues() as queues,
        without_persisters() as house,
    ):
        await queues.announce("match.created", json.dumps(match).encode())
        created = await annas.expect("CONVERSATION_CREATED", matchId=match_id)
        told = Told(anna, ben, UUID(created["conversationId"]))
        for client_id in told.client_ids:
            await annas.send_message(told.conversation, f"{told.secret} of Anna", client_id)
        before = await house.queues(QUEUES[PERSISTER])
        process = await started("erase", str(anna))

        async def waits_or_ended() -> bool:
            now = await house.queues(QUEUES[PERSISTER])
            waits = all(one.ready > old.ready for one, old in zip(now, before, strict=True))
            return waits or process.returncode is not None

        await until(waits_or_ended, 20, "it waits for every partition")
    async with asyncio.timeout(60):
        _, said = await process.communicate()
    assert (process.returncode, b"3 messages" in said) == (0, True), said.decode()
    await nothing_is_left(told)


async def test_what_is_older_than_the_retention_goes(system: System, told: Told) -> None:
    old = await sown(system, 20, datetime.now(UTC) - timedelta(days=31))
    _, said = await privacy("retain")
    assert "not set" in said
    async with admin() as database:
        outdated = await database.fetchval(
            "SELECT count(*) FROM messages WHERE created_at < $1 AND deleted_at IS NULL",
            datetime.now(UTC) - timedelta(days=30),
        )
    assert outdated >= 20  # Other tests leave some.
    _, said = await privacy("retain", CHAT_RETENTION_DAYS="30")
    assert said.startswith(f"{outdated} messages")

    async with admin() as database:

        async def is_gone() -> bool:
            query = "SELECT count(content) FROM messages WHERE conversation_id = $1"
            return not await database.fetchval(query, old.conversation)

        await until(is_gone, 10, "the old ones are gone")
        kept = "SELECT count(content) FROM messages WHERE conversation_id = $1"
        assert await database.fetchval(kept, told.conversation) == 4
        rows = await database.fetch(
            "SELECT actor_id, detail->>'because' AS because FROM audit_log"
            " WHERE conversation_id = $1 AND action = 'message.deleted'",
            old.conversation,
        )
    assert [tuple(row) for row in rows] == [(None, "retention")] * 20
    await nothing_is_left(old)
    _, said = await privacy("retain", CHAT_RETENTION_DAYS="30")
    assert said.startswith("0 messages")


async def test_a_person_who_never_was_is_nothing(system: System) -> None:
    found = await exported(uuid4())
    assert (found["conversations"], found["messages"], found["online"]) == ([], [], False)
    _, said = await privacy("erase", str(uuid4()))
    assert "0 messages" in said
