"""What the REST API reads of PostgreSQL, as the contract's types."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import psycopg
from msgspec import UNSET
from psycopg import Connection
from psycopg_pool import ConnectionPool

from libs.common.protocol.messages import Message
from libs.common.sql import load_queries
from services.rest_api.contract import Conversation
from services.rest_api.pages import Place
from services.rest_api.settings import RestSettings

QUERIES: Final = load_queries(Path(__file__).with_name("queries.sql"))

WAIT_S: Final = 2.0
"""How long a call waits for a connection before its caller gets 503."""
RECONNECT_S: Final = 2.0
"""The pool's tries grow further apart for so long, then start anew with the next call. Its default
of 5 minutes would leave it asleep for minutes after PostgreSQL is back."""
# JIT: a search's plan may look dear; compiling it takes longer than running it.
_OPTIONS: Final = (
    "-c default_transaction_read_only=on -c statement_timeout=5000 -c TimeZone=UTC -c jit=off"
)
_VANISHED: Final = {
    "tcp_user_timeout": 8_000,
    "keepalives_idle": 5,
    "keepalives_interval": 1,
    "keepalives_count": 3,
}
"""How TCP finds out, in 8 s, that PostgreSQL's machine is gone (ms, s, s). psycopg waits for an
answer as long as the connection stands, which is a quarter of an hour by default; after
statement_timeout there is an answer."""

Row = tuple[Any, ...]
Pool = ConnectionPool[Connection[Row]]


def closed_pool(settings: RestSettings, connections: int) -> Pool:
    """To be opened after the fork: connections and the pool's threads don't survive it."""
    return ConnectionPool(
        settings.database_url,
        kwargs={"autocommit": True, "options": _OPTIONS, "connect_timeout": 5, **_VANISHED},
        min_size=connections,
        timeout=WAIT_S,
        reconnect_timeout=RECONNECT_S,
        open=False,
        name="rest_api",
    )


@dataclass(frozen=True, slots=True)
class Log:
    """A conversation without what its users wrote: who may read it, and how long it is."""

    conversation_id: UUID
    match_id: UUID
    user1_id: UUID
    user2_id: UUID
    created_at: datetime
    archived_at: datetime | None
    head: int

    @property
    def is_archived(self) -> bool:
        return self.archived_at is not None


class Store:
    """Each call is one statement. Raises psycopg.OperationalError and the pool's own errors."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    def log(self, conversation_id: UUID) -> Log | None:
        rows = self._rows("conversation", {"conversation_id": conversation_id})
        return Log(*rows[0]) if rows else None

    def heads(self, ids: Sequence[UUID]) -> dict[UUID, int]:
        """Conversation → head, of those that exist."""
        return dict(self._rows("heads", {"ids": ids})) if ids else {}

    def newest_conversations(
        self,
        user_id: UUID,
        after: Place,
        *,
        archived: bool | None,
        among: Sequence[UUID] | None,
        limit: int,
    ) -> list[Place]:
        """The user's conversations that follow `after`, newest activity first.

        `archived`: only those that are, or that aren't; None for both. `among`: only these.
        """
        parameters = {
            "user_id": user_id,
            "at": after.at,
            "conversation_id": after.id,
            "archived": archived,
            "among": among,
            "limit": limit,
        }
        return [Place(*row) for row in self._rows("newest_conversations", parameters)]

    def conversations(self, ids: Sequence[UUID], user_id: UUID) -> list[Conversation]:
        """As this user sees them, in the order of `ids`."""
        if not ids:
            return []
        rows = self._rows("conversations_for_user", {"ids": ids, "user_id": user_id})
        found = {row[0]: _conversation(row, user_id) for row in rows}
        return [found[conversation_id] for conversation_id in ids]

    def messages_before(
        self, conversation_id: UUID, seq: int, limit: int, reader_id: UUID
    ) -> list[Message]:
        """Newest first."""
        parameters = {"conversation_id": conversation_id, "seq": seq, "limit": limit}
        return [message_in(row, reader_id) for row in self._rows("messages_before", parameters)]

    def messages_after(
        self, conversation_id: UUID, seq: int, limit: int, reader_id: UUID
    ) -> list[Message]:
        """Oldest first."""
        parameters = {"conversation_id": conversation_id, "seq": seq, "limit": limit}
        return [message_in(row, reader_id) for row in self._rows("messages_after", parameters)]

    def newest_messages(self, conversation_id: UUID, limit: int) -> tuple[int, list[Message]]:
        """The log's head and the newest messages at that very moment, newest first.

        For both users: with every `clientMessageId`.
        """
        rows = self._rows("newest_messages", {"conversation_id": conversation_id, "limit": limit})
        messages = [message_in(row[1:], row[3]) for row in rows if row[1] is not None]
        return rows[0][0], messages

    def messages_changed_after(
        self, conversation_id: UUID, seq: int, limit: int, reader_id: UUID
    ) -> list[Message]:
        """In the order of each one's newest entry; whole entries, so there may be some more."""
        parameters = {"conversation_id": conversation_id, "seq": seq, "limit": limit}
        rows = self._rows("messages_changed_after", parameters)
        return [message_in(row, reader_id) for row in rows]

    def unread(self, user_id: UUID) -> dict[UUID, int]:
        """Conversation → count, of those that have any and aren't archived."""
        return dict(self._rows("unread", {"user_id": user_id}))

    def message(self, message_id: UUID, reader_id: UUID) -> Message | None:
        rows = self._rows("message", {"message_id": message_id})
        return message_in(rows[0], reader_id) if rows else None

    def message_by_client_id(self, client_message_id: UUID, sender_id: UUID) -> Message | None:
        parameters = {"client_message_id": client_message_id, "sender_id": sender_id}
        rows = self._rows("message_by_client_id", parameters)
        return message_in(rows[0], sender_id) if rows else None

    def answers(self) -> bool:
        """Whether PostgreSQL does."""
        try:
            with self._pool.connection() as connection:
                connection.execute("select 1")
        except psycopg.Error:
            return False
        return True

    def find(self, statement: str, parameters: Mapping[str, Any]) -> list[Row]:
        """For SQL that depends on what is asked: planned anew each time, for these very values."""
        return self._fetch(statement, parameters, prepare=False)

    def _rows(self, query: str, parameters: Mapping[str, Any]) -> list[Row]:
        return self._fetch(QUERIES[query], parameters, prepare=None)

    def _fetch(
        self, statement: str, parameters: Mapping[str, Any], *, prepare: bool | None
    ) -> list[Row]:
        """Once more where the connection turns out dead: PostgreSQL was restarted meanwhile."""
        with self._pool.connection() as connection:
            try:
                return connection.execute(statement, parameters, prepare=prepare).fetchall()
            except psycopg.OperationalError:
                if not connection.broken:
                    raise
        self._pool.check()
        with self._pool.connection() as connection:
            return connection.execute(statement, parameters, prepare=prepare).fetchall()


def _conversation(row: Row, user_id: UUID) -> Conversation:
    conversation_id, match_id, user1_id, user2_id, created_at, archived_at, head = row[:7]
    last_activity_at, unread_count, *last_message = row[7:]
    return Conversation(
        conversation_id=conversation_id,
        match_id=match_id,
        user_ids=(user1_id, user2_id),
        other_user_id=user2_id if user_id == user1_id else user1_id,
        created_at=moment(created_at),
        archived_at=moment_or_none(archived_at),
        last_message=None if last_message[0] is None else message_in(tuple(last_message), user_id),
        last_activity_at=moment(last_activity_at),
        unread_count=unread_count,
        head=head,
        other_user_online=False,  # `presence` knows
    )


def message_in(row: Row, reader_id: UUID) -> Message:
    """`row` as the queries list a message's columns."""
    (message_id, conversation_id, sender_id, content, status, *times) = row[:9]
    seq, changed_seq, client_message_id = row[9:]
    created_at, delivered_at, read_at, deleted_at = times
    return Message(
        message_id=message_id,
        conversation_id=conversation_id,
        sender_id=sender_id,
        content=content,
        status=status,
        timestamp=moment(created_at),
        delivered_at=moment_or_none(delivered_at),
        read_at=moment_or_none(read_at),
        deleted_at=moment_or_none(deleted_at),
        seq=seq,
        changed_seq=changed_seq,
        client_message_id=client_message_id if sender_id == reader_id else UNSET,
    )


def moment(value: datetime) -> str:
    """RFC 3339 with milliseconds. A third of `domain.moment`'s time, and a page has hundreds.

    PostgreSQL gives UTC because `_OPTIONS` sets it.
    """
    return value.isoformat(timespec="milliseconds").removesuffix("+00:00") + "Z"


def moment_or_none(value: datetime | None) -> str | None:
    """The same, where there is one."""
    return None if value is None else moment(value)
