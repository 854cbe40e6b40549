"""What the router reads of PostgreSQL: only what its memory doesn't hold. It never writes."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final, NamedTuple
from uuid import UUID

import asyncpg
from msgspec import UNSET

from libs.common.domain.moment import milliseconds, rfc3339
from libs.common.domain.status import Status
from libs.common.protocol.messages import Message as ToldMessage
from libs.common.sql import load_queries
from services.router.conversation import Conversation, Message
from services.router.known_ids import ID_BYTES, KnownIds

QUERIES: Final = load_queries(Path(__file__).with_name("queries.sql"))
LOADED: Final = 64
"""Newest messages that are read with a conversation."""
OLDER_MOST: Final = 20_000
"""Older ids that go into a conversation's filter. Beyond, every id counts as perhaps known."""

StoreError = (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError)
"""PostgreSQL is away or in trouble; reading again is safe."""


class Membership(NamedTuple):
    """Whose a conversation is."""

    user1_id: UUID
    user2_id: UUID
    is_archived: bool
    head: int
    """As stored."""

    def other(self, user_id: UUID) -> UUID:
        return self.user2_id if user_id == self.user1_id else self.user1_id


class Unread(NamedTuple):
    """How much of a conversation a user had not read when its log stood at `head`."""

    conversation_id: UUID
    head: int
    unread: int


class Store:
    """Reads in few statements, however many conversations a batch touches."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool
        self._used: set[int] = set()
        """Connections, by PostgreSQL's pids."""
        self._doubtful: set[int] = set()
        """Those that are as old as one that did not answer."""

    async def conversations(self, ids: Sequence[UUID]) -> dict[UUID, Conversation]:
        """By id, with their newest messages; those that don't exist are left out."""
        rows = await self._rows("conversations", ids)
        return await self._with_messages(rows)

    async def of_matches(self, match_ids: Sequence[UUID]) -> dict[UUID, Conversation]:
        """By id of the conversation, those that these matches have."""
        rows = await self._rows("conversations_of_matches", match_ids)
        return await self._with_messages(rows)

    async def _with_messages(self, rows: list[asyncpg.Record]) -> dict[UUID, Conversation]:
        found = {row["id"]: _conversation(row) for row in rows}
        if not found:
            return found
        newest: dict[UUID, list[Message]] = {conversation_id: [] for conversation_id in found}
        for row in await self._rows("newest_messages", list(found), LOADED):
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
        ids = (await self._rows("older_identities", conversation_id, before_seq, OLDER_MOST))[0][0]
        known = KnownIds()
        if ids is None:
            return known
        if len(ids) >= OLDER_MOST * ID_BYTES:
            known.add_everything()
        else:
            known.add_all(ids)
        return known

    async def messages(
        self, ids: Sequence[UUID], identities: Sequence[tuple[UUID, UUID]]
    ) -> list[tuple[UUID, Message]]:
        """Conversation id and message of those that exist.

        Looked for by message id, and by sender and identity (`Message.identity`).
        """
        senders = [sender for sender, _ in identities]
        theirs = [identity for _, identity in identities]
        rows = await self._rows("messages", ids, senders, theirs)
        return [(row["conversation_id"], _message(row)) for row in rows]

    async def unread_messages(
        self, wanted: Mapping[tuple[UUID, UUID], int]
    ) -> list[tuple[UUID, Message]]:
        """Conversation id and message: what these users haven't read there up to these numbers."""
        if not wanted:
            return []
        ids, readers = zip(*wanted, strict=True)
        rows = await self._rows("unread_messages", ids, readers, list(wanted.values()))
        return [(row["conversation_id"], _message(row)) for row in rows]

    async def read_messages(
        self, wanted: Sequence[tuple[UUID, UUID, int]]
    ) -> list[tuple[UUID, Message]]:
        """Conversation id and message: all that these users have read at these moments (ms)."""
        if not wanted:
            return []
        ids, readers, moments = zip(*wanted, strict=True)
        rows = await self._rows("read_messages", ids, readers, moments)
        return [(row["conversation_id"], _message(row)) for row in rows]

    async def membership(self, conversation_id: UUID) -> Membership | None:
        """None: not stored, perhaps not yet."""
        rows = await self._rows("membership", conversation_id)
        return Membership(*rows[0]) if rows else None

    async def changed_after(
        self, conversation_id: UUID, seq: int, most: int, reader_id: UUID
    ) -> list[ToldMessage]:
        """What changed after `seq`, in whole entries: fewer than `most` is all of it."""
        rows = await self._rows("changed_after", conversation_id, seq, most)
        return [_as_told(row, reader_id) for row in rows]

    async def unread(self, user_ids: Sequence[UUID]) -> dict[UUID, list[Unread]]:
        """Of all conversations that aren't archived, by user."""
        counts: dict[UUID, list[Unread]] = {user_id: [] for user_id in user_ids}
        for row in await self._rows("unread_of_users", user_ids):
            counts[row["user_id"]].append(Unread(row["id"], row["head"], row["unread"]))
        return counts

    async def heads(self, user_ids: Sequence[UUID]) -> dict[UUID, dict[UUID, int]]:
        """User → conversation → head, of all conversations that aren't archived."""
        heads: dict[UUID, dict[UUID, int]] = {user_id: {} for user_id in user_ids}
        for row in await self._rows("heads_of_users", user_ids):
            heads[row["user_id"]][row["id"]] = row["head"]
        return heads

    async def _rows(self, query: str, *arguments: object) -> list[asyncpg.Record]:
        """Raises StoreError.

        When no answer comes in time the network may have forgotten every connection. So none of
        them is used again; and the query isn't cancelled, which would take as long once more.
        """
        while True:
            async with self._pool.acquire() as connection:
                pid = connection.get_server_pid()
                if pid in self._doubtful:
                    self._doubtful.remove(pid)
                    connection.terminate()
                    continue
                self._used.add(pid)
                try:
                    return await connection.fetch(QUERIES[query], *arguments)
                except TimeoutError:
                    connection.terminate()
                    self._doubtful |= self._used
                    self._doubtful.discard(pid)
                    self._used.clear()
                    raise


def _conversation(row: asyncpg.Record) -> Conversation:
    return Conversation(
        conversation_id=row["id"],
        match_id=row["match_id"],
        user1_id=row["user1_id"],
        user2_id=row["user2_id"],
        created_at=milliseconds(row["created_at"]),
        archived_at=row["archived_at"] and milliseconds(row["archived_at"]),
        archived_seq=row["archived_seq"] or 0,
        head=row["head"],
        claimed=row["head"],
        read_up_to=(row["user1_read_seq"], row["user2_read_seq"]),
        unread=[row["user1_unread"], row["user2_unread"]],
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
        read_at=row["read_at"] and milliseconds(row["read_at"]),
        deleted_at=row["deleted_at"] and milliseconds(row["deleted_at"]),
    )


def _as_told(row: asyncpg.Record, reader_id: UUID) -> ToldMessage:
    is_own = row["sender_id"] == reader_id
    return ToldMessage(
        message_id=row["id"],
        conversation_id=row["conversation_id"],
        sender_id=row["sender_id"],
        content=row["content"],
        status=row["status"],
        timestamp=rfc3339(milliseconds(row["created_at"])),
        delivered_at=_moment(row["delivered_at"]),
        read_at=_moment(row["read_at"]),
        deleted_at=_moment(row["deleted_at"]),
        seq=row["seq"],
        changed_seq=row["changed_seq"],
        client_message_id=row["client_message_id"] if is_own else UNSET,
    )


def _moment(value: datetime | None) -> str | None:
    return None if value is None else rfc3339(milliseconds(value))
