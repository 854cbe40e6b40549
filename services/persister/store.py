"""PostgreSQL. One connection: a persister flushes one batch after the other."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, TypeAlias
from uuid import UUID

import asyncpg
import msgspec
import structlog

from libs.common.domain.status import Status
from libs.common.protocol.writes import Entry, InsertMessage, MarkDelivered
from libs.common.sql import load_queries
from services.persister.failures import Conflicts, Dead, Insert, blames_the_data, ids_of
from services.persister.fold import ConversationRow, MessageRow, Rows, StatusRow, fold

CONNECT_TIMEOUT_S: Final = 5.0
COMMAND_TIMEOUT_S: Final = 10.0
"""For one statement; a full batch takes 0.1 s. A server that vanished must be noticed."""

_SQL: Final = load_queries(Path(__file__).with_name("queries.sql"))
# A plan that was kept from when a table was small would scan it when it is big.
_SESSION: Final = {"application_name": "chat-persister", "plan_cache_mode": "force_custom_plan"}

log = structlog.get_logger()

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class Store:
    """The one writer of conversations and messages."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._connection: Connection | None = None
        self.answering = False
        """Whether PostgreSQL did what it was last asked."""

    async def write(self, entries: Sequence[Entry]) -> list[Dead]:
        """Stores the batch in one transaction; safe to repeat, in whole or in parts.

        Returns statuses whose messages do not exist. Raises Conflicts, and what the driver raises;
        then nothing was stored, or, when the connection broke, nothing is known.
        """
        rows = fold(entries)
        connection = await self._connected()
        try:
            async with connection.transaction():
                await _insert_conversations(connection, rows)
                redelivered = await _insert_messages(connection, rows.messages)
                missing = await _update_messages(connection, rows.statuses, redelivered)
                await _update_conversations(connection, rows)
        except BaseException as error:
            self._failed(error)
            raise
        self.answering = True
        return _without_message(entries, missing) if missing else []

    async def ping(self) -> None:
        """Finds out whether PostgreSQL answers. Never raises an error of its own."""
        try:
            await (await self._connected()).execute("SELECT 1")
            self.answering = True
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            log.warning("no PostgreSQL", reason=repr(error))
            self._failed(error)

    async def close(self) -> None:
        if self._connection is not None:
            self._connection.terminate()

    async def _connected(self) -> Connection:
        if self._connection is None or self._connection.is_closed():
            self.answering = False
            self._connection = await asyncpg.connect(
                self._url,
                timeout=CONNECT_TIMEOUT_S,
                command_timeout=COMMAND_TIMEOUT_S,
                server_settings=_SESSION,
            )
        return self._connection

    def _failed(self, error: BaseException) -> None:
        """A connection in doubt is not used again; one that told us of bad data is fine."""
        if isinstance(error, Conflicts) or blames_the_data(error):
            return
        self.answering = False
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


async def _insert_conversations(connection: Connection, rows: Rows) -> None:
    if not rows.new_conversations:
        return
    news = sorted(rows.new_conversations.values(), key=lambda new: new.conversation_id)
    ids, *progress = _conversation_columns(
        [rows.conversations[new.conversation_id] for new in news]
    )
    columns = [
        ids,
        [new.match_id for new in news],
        [new.user1_id for new in news],
        [new.user2_id for new in news],
        [new.created_at for new in news],
        *progress,
    ]
    if await _run(connection, "insert_conversations", columns) < len(news):
        refused = await connection.fetch(_SQL["find_refused_conversations"], ids)
        if refused:
            raise Conflicts(
                {rows.new_conversations[row["id"]]: "MATCH_CONFLICT" for row in refused}, {}
            )


async def _insert_messages(connection: Connection, rows: list[MessageRow]) -> list[MessageRow]:
    """Returns rows of which some were stored before: their statuses may be news."""
    # By place: the same order in every transaction avoids deadlocks, and where two claim one
    # place the first wins, as sorting is stable.
    rows = sorted(rows, key=lambda row: (row.message.conversation_id, row.message.seq))
    if not rows or await _run(connection, "insert_messages", _message_columns(rows)) == len(rows):
        return []
    await _refuse_conflicts(connection, rows)
    return [row for row in rows if row.status > Status.SENT]


def _message_columns(rows: list[MessageRow]) -> list[list[Any]]:
    messages = [row.message for row in rows]
    return [
        [message.message_id for message in messages],
        [message.conversation_id for message in messages],
        [message.seq for message in messages],
        [message.sender_id for message in messages],
        [message.client_message_id for message in messages],
        [message.content for message in messages],
        [message.created_at for message in messages],
        [row.status.name for row in rows],
        [row.delivered_at for row in rows],
        [row.changed_seq for row in rows],
    ]


async def _refuse_conflicts(connection: Connection, rows: list[MessageRow]) -> None:
    """Raises Conflicts unless those that were not inserted are there, at their own place."""
    found = await connection.fetch(_SQL["find_refused_messages"], *_message_columns(rows)[:5])
    refused: dict[Insert, str] = {}
    amended: dict[InsertMessage, InsertMessage] = {}
    for row in found:
        message = rows[row["place"] - 1].message
        if row["reason"] == "CLIENT_ID_TAKEN":
            # Acknowledged, so it is kept (promise 1); its id belongs to another conversation's.
            log.error("client id taken", **ids_of(message))
            amended[message] = msgspec.structs.replace(message, client_message_id=None)
        else:
            refused[message] = row["reason"]
    if found:
        raise Conflicts(refused, amended)


async def _update_messages(
    connection: Connection, statuses: dict[UUID, StatusRow], redelivered: list[MessageRow]
) -> set[UUID]:
    """Returns the messages that do not exist."""
    changed: list[StatusRow | MessageRow] = [*statuses.values(), *redelivered]
    rows = [
        (row.message_id, row.conversation_id, row.status.name, row.delivered_at, row.changed_seq)
        for row in changed
    ]
    if not rows:
        return set()
    columns = list(zip(*sorted(rows), strict=True))
    if await _run(connection, "update_messages", columns) == len(rows):
        return set()
    missing = await connection.fetch(_SQL["find_missing_messages"], *columns[:2])
    return {row["id"] for row in missing}


async def _update_conversations(connection: Connection, rows: Rows) -> None:
    ordered = sorted(rows.conversations.values(), key=lambda row: row.conversation_id)
    await _run(connection, "update_conversations", _conversation_columns(ordered))


def _conversation_columns(rows: list[ConversationRow]) -> list[list[Any]]:
    return [
        [row.conversation_id for row in rows],
        [row.head for row in rows],
        [row.message_seq for row in rows],
        [row.message_id for row in rows],
        [row.active_at for row in rows],
    ]


def _without_message(entries: Sequence[Entry], missing: set[UUID]) -> list[Dead]:
    """What is left of the statuses when only messages that do not exist are kept."""
    dead: list[Dead] = []
    for entry in entries:
        if isinstance(entry, MarkDelivered):
            ids = [message_id for message_id in entry.message_ids if message_id in missing]
            if ids:
                part = msgspec.structs.replace(entry, message_ids=ids)
                dead.append(Dead(part, "MESSAGE_NOT_FOUND"))
    return dead


async def _run(connection: Connection, query: str, columns: Sequence[Sequence[Any]]) -> int:
    """How many rows the statement wrote."""
    status = await connection.execute(_SQL[query], *columns)
    return int(status.rsplit(" ", 1)[1])
