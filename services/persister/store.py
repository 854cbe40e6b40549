"""The flushes' PostgreSQL. One connection: a persister flushes one batch after the other."""

from collections.abc import Sequence
from operator import itemgetter
from typing import Any, Final
from uuid import UUID

import msgspec
import structlog

from libs.common.domain.status import Status
from libs.common.protocol.events import RETENTION
from libs.common.protocol.writes import (
    ArchiveConversation,
    DeleteContent,
    Entry,
    InsertMessage,
    MarkDelivered,
    MarkRead,
)
from services.persister.connection import AWAY, SQL, Connection, Link, run
from services.persister.failures import Conflicts, Dead, Insert, blames_the_data, ids_of
from services.persister.fold import ConversationRow, MessageRow, Rows, StatusRow, fold

ANSWER_WITHIN_S: Final = 10.0
"""A full batch takes 0.1 s."""
LATE: Final = 256
"""A change that follows its message so much later, in numbers of the log, is listed in
late_changes: see the migration."""

log = structlog.get_logger()


class Store:
    """The one writer of conversations and messages."""

    def __init__(self, url: str) -> None:
        self._link = Link(url, answer_within_s=ANSWER_WITHIN_S)
        self.answering = False
        """Whether PostgreSQL did what it was last asked."""

    async def write(self, entries: Sequence[Entry]) -> list[Dead]:
        """Stores the batch in one transaction; safe to repeat, in whole or in parts.

        Returns what concerns messages or conversations that do not exist. Raises Conflicts, and
        what the driver raises; then nothing was stored, or, when the connection broke, nothing
        is known.
        """
        rows = fold(entries)
        connection = await self._connected()
        try:
            async with connection.transaction():
                missing = await _write_rows(connection, rows)
        except BaseException as error:
            self._failed(error)
            raise
        self.answering = True
        return _dead_of(entries, missing) if missing else []

    async def ping(self) -> None:
        """Finds out whether PostgreSQL answers. Never raises an error of its own."""
        try:
            await (await self._connected()).execute("SELECT 1")
            self.answering = True
        except AWAY as error:
            log.warning("no PostgreSQL", reason=repr(error))
            self._failed(error)

    def close(self) -> None:
        self._link.drop()

    async def _connected(self) -> Connection:
        self.answering = self.answering and self._link.is_open
        return await self._link.connected()

    def _failed(self, error: BaseException) -> None:
        """A connection in doubt is not used again; one that told us of bad data is fine."""
        if isinstance(error, Conflicts) or blames_the_data(error):
            return
        self.answering = False
        self._link.drop()


async def _write_rows(connection: Connection, rows: Rows) -> set[UUID]:
    """Returns the messages and conversations that are to change and do not exist."""
    await _insert_conversations(connection, rows)
    redelivered = await _insert_messages(connection, rows.messages)
    missing = await _update_messages(connection, rows.statuses, redelivered)
    if rows.deletions:
        missing |= await _delete_contents(connection, list(rows.deletions.values()))
    if rows.archivings:
        missing |= await _archive_conversations(connection, list(rows.archivings.values()))
    await _update_conversations(connection, rows)
    return missing


async def _insert_conversations(connection: Connection, rows: Rows) -> None:
    if not rows.new_conversations:
        return
    news = sorted(rows.new_conversations.values(), key=lambda new: new.conversation_id)
    ids, *progress, _ = _conversation_columns(
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
    if await run(connection, "insert_conversations", *columns) < len(news):
        refused = await connection.fetch(SQL["find_missing_conversations"], ids)
        if refused:
            raise Conflicts(
                {rows.new_conversations[row["id"]]: "MATCH_CONFLICT" for row in refused}, {}
            )


async def _insert_messages(connection: Connection, rows: list[MessageRow]) -> list[MessageRow]:
    """Returns rows of which some were stored before: their statuses may be news."""
    # By place: the same order in every transaction avoids deadlocks, and where two claim one
    # place the first wins, as sorting is stable.
    rows = sorted(rows, key=lambda row: (row.message.conversation_id, row.message.seq))
    if not rows:
        return []
    inserted = await run(connection, "insert_messages", *_message_columns(rows))
    late = [row for row in rows if row.changed_seq - row.message.seq > LATE]
    if late:
        changes = [(row.conversation_id, row.changed_seq, row.message_id) for row in late]
        await run(connection, "insert_late_changes", *zip(*changes, strict=True))
    if inserted == len(rows):
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
        [row.read_at for row in rows],
        [row.changed_seq for row in rows],
    ]


async def _refuse_conflicts(connection: Connection, rows: list[MessageRow]) -> None:
    """Raises Conflicts unless those that were not inserted are there, at their own place."""
    found = await connection.fetch(SQL["find_refused_messages"], *_message_columns(rows)[:5])
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
    if not changed:
        return set()
    rows = [
        (
            row.message_id,
            row.conversation_id,
            row.status.name,
            row.delivered_at,
            row.read_at,
            row.changed_seq,
        )
        for row in changed
    ]
    columns = list(zip(*sorted(rows, key=itemgetter(0)), strict=True))
    if await connection.fetchval(SQL["update_messages"], *columns) == len(rows):
        return set()
    return await _missing(connection, "find_missing_messages", *columns[:2])


async def _delete_contents(connection: Connection, deletions: list[DeleteContent]) -> set[UUID]:
    """Returns the messages that do not exist. What was deleted already stays as it is."""
    rows = [
        (
            row.message_id,
            row.conversation_id,
            row.seq,
            None if row.because == RETENTION else row.actor_id,  # nobody's doing
            row.deleted_at,
            row.because,
        )
        for row in sorted(deletions, key=lambda row: row.message_id)
    ]
    columns = list(zip(*rows, strict=True))
    ids, conversations, *_ = columns
    await connection.execute(SQL["hold_index"], conversations)
    deleted = await connection.fetchval(SQL["delete_contents"], *columns)
    # After it: an indexing that was under way has committed by now, and this statement sees it.
    await run(connection, "forget_contents", ids)
    if deleted == len(rows):
        return set()
    return await _missing(connection, "find_missing_messages", ids, conversations)


async def _archive_conversations(
    connection: Connection, archivings: list[ArchiveConversation]
) -> set[UUID]:
    """Returns the conversations that do not exist. What was archived already stays as it is."""
    rows = [
        (row.conversation_id, row.seq, row.actor_id, row.archived_at)
        for row in sorted(archivings, key=lambda row: row.conversation_id)
    ]
    columns = list(zip(*rows, strict=True))
    if await connection.fetchval(SQL["archive_conversations"], *columns) == len(rows):
        return set()
    return await _missing(connection, "find_missing_conversations", columns[0])


async def _missing(connection: Connection, query: str, *columns: Sequence[Any]) -> set[UUID]:
    return {row["id"] for row in await connection.fetch(SQL[query], *columns)}


async def _update_conversations(connection: Connection, rows: Rows) -> None:
    ordered = sorted(rows.conversations.values(), key=lambda row: row.conversation_id)
    await run(connection, "update_conversations", *_conversation_columns(ordered))


def _conversation_columns(rows: list[ConversationRow]) -> list[list[Any]]:
    return [
        [row.conversation_id for row in rows],
        [row.head for row in rows],
        [row.message_seq for row in rows],
        [row.message_id for row in rows],
        [row.active_at for row in rows],
        [row.read_up_to[0] for row in rows],
        [row.read_up_to[1] for row in rows],
        [row.first_message_seq for row in rows],
    ]


def _dead_of(entries: Sequence[Entry], missing: set[UUID]) -> list[Dead]:
    """What cannot be done; of several messages in one entry, only those that do not exist."""
    dead: list[Dead] = []
    for entry in entries:
        match entry:
            case MarkDelivered() | MarkRead():
                ids = [message_id for message_id in entry.message_ids if message_id in missing]
                if ids:
                    part = msgspec.structs.replace(entry, message_ids=ids)
                    dead.append(Dead(part, "MESSAGE_NOT_FOUND"))
            case DeleteContent() if entry.message_id in missing:
                dead.append(Dead(entry, "MESSAGE_NOT_FOUND"))
            case ArchiveConversation() if entry.conversation_id in missing:
                dead.append(Dead(entry, "CONVERSATION_NOT_FOUND"))
    return dead
