"""What the router reads of PostgreSQL: only what its memory doesn't hold. It never writes."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final
from uuid import UUID

import asyncpg

from libs.common.domain.moment import milliseconds
from libs.common.domain.status import Status
from libs.common.sql import load_queries
from services.router.conversation import Conversation, Message
from services.router.known_ids import KnownIds

QUERIES: Final = load_queries(Path(__file__).with_name("queries.sql"))
LOADED: Final = 64
"""Newest messages that are read with a conversation."""
OLDER_MOST: Final = 20_000
"""Older ids that go into a conversation's filter. Beyond, every id counts as perhaps known."""

StoreError = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
"""PostgreSQL is away or in trouble; reading again is safe."""


class Store:
    """Reads in few statements, however many conversations a batch touches."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def conversations(self, ids: Sequence[UUID]) -> dict[UUID, Conversation]:
        """By id, with their newest messages; those that don't exist are left out."""
        rows = await self._pool.fetch(QUERIES["conversations"], ids)
        return await self._with_messages(rows)

    async def of_matches(self, match_ids: Sequence[UUID]) -> dict[UUID, Conversation]:
        """By id of the conversation, those that these matches have."""
        rows = await self._pool.fetch(QUERIES["conversations_of_matches"], match_ids)
        return await self._with_messages(rows)

    async def _with_messages(self, rows: list[asyncpg.Record]) -> dict[UUID, Conversation]:
        found = {row["id"]: _conversation(row) for row in rows}
        if not found:
            return found
        newest: dict[UUID, list[Message]] = {conversation_id: [] for conversation_id in found}
        for row in await self._pool.fetch(QUERIES["newest_messages"], list(found), LOADED):
            newest[row["conversation_id"]].append(_message(row))
        for conversation_id, messages in newest.items():
            conversation = found[conversation_id]
            if len(messages) == LOADED:
                oldest = min(message.seq for message in messages)
                conversation.older_ids = await self._older_ids(conversation_id, oldest)
            for message in reversed(messages):
                conversation.remember(message)
        return found

    async def _older_ids(self, conversation_id: UUID, before_seq: int) -> KnownIds:
        rows = await self._pool.fetch(
            QUERIES["older_identities"], conversation_id, before_seq, OLDER_MOST
        )
        known = KnownIds()
        if len(rows) == OLDER_MOST:
            known.add_everything()
            return known
        for row in rows:
            known.add(row["sender_id"], row["identity"])
        return known

    async def messages(
        self, ids: Sequence[UUID], identities: Sequence[tuple[UUID, UUID]]
    ) -> list[tuple[UUID, Message]]:
        """Conversation id and message of those that exist.

        Looked for by message id, and by sender and identity (`Message.identity`).
        """
        senders = [sender for sender, _ in identities]
        theirs = [identity for _, identity in identities]
        rows = await self._pool.fetch(QUERIES["messages"], ids, senders, theirs)
        return [(row["conversation_id"], _message(row)) for row in rows]

    async def heads(self, user_ids: Sequence[UUID]) -> dict[UUID, dict[UUID, int]]:
        """User → conversation → head, of all conversations that aren't archived."""
        heads: dict[UUID, dict[UUID, int]] = {user_id: {} for user_id in user_ids}
        for row in await self._pool.fetch(QUERIES["heads_of_users"], user_ids):
            heads[row["user_id"]][row["id"]] = row["head"]
        return heads


def _conversation(row: asyncpg.Record) -> Conversation:
    return Conversation(
        conversation_id=row["id"],
        match_id=row["match_id"],
        user1_id=row["user1_id"],
        user2_id=row["user2_id"],
        created_at=milliseconds(row["created_at"]),
        archived_at=row["archived_at"] and milliseconds(row["archived_at"]),
        head=row["head"],
        claimed=row["head"],
    )


def _message(row: asyncpg.Record) -> Message:
    return Message(
        message_id=row["id"],
        sender_id=row["sender_id"],
        client_message_id=row["client_message_id"],
        seq=row["seq"],
        created_at=milliseconds(row["created_at"]),
        status=Status[row["status"]],
        delivered_at=row["delivered_at"] and milliseconds(row["delivered_at"]),
        changed_seq=row["changed_seq"],
    )
