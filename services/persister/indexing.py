"""Search indexes on demand: copies conversations that were searched, behind the flushes' back.

Best effort: a request that is lost, by a crash or as PostgreSQL was away, is made again by the next
search, which until then reads the messages themselves. What it must not do is skip a message, or
keep the content of a deleted one: see `_index_chunk`.
"""

import asyncio
from collections.abc import Iterable
from typing import Final
from uuid import UUID

import structlog

from libs.common.metrics import BATCH_SIZE, STAGE
from services.persister.connection import AWAY, SQL, Connection, Link

CHUNK: Final = 1_000
"""Messages of one transaction, about 0.3 s: for so long at most does a deletion wait that hits
the very conversation being indexed."""
REQUESTS_MOST: Final = 10_000
ANSWER_WITHIN_S: Final = 60.0
"""GIN tidies its list of pending entries now and then, in the statement that fills it."""

log = structlog.get_logger()


class Indexer:
    """Indexes one chunk after the other, the conversations in turn."""

    def __init__(self, url: str) -> None:
        self._link = Link(url, answer_within_s=ANSWER_WITHIN_S)
        self._wanted: dict[UUID, int | None] = {}
        """Conversation → up to where. None: up to the head when its turn comes."""
        self._asked = asyncio.Event()

    def request(self, conversations: Iterable[UUID]) -> None:
        """Of conversations whose messages so far are stored. Again, before it is done: the same."""
        for conversation_id in conversations:
            if conversation_id in self._wanted or len(self._wanted) < REQUESTS_MOST:
                self._wanted[conversation_id] = None
        if self._wanted:
            self._asked.set()

    async def run(self) -> None:
        """Until cancelled."""
        try:
            while True:
                await self._asked.wait()
                while self._wanted:
                    conversation_id = next(iter(self._wanted))
                    await self._serve(conversation_id, self._wanted.pop(conversation_id))
                self._asked.clear()
        finally:
            self._link.drop()

    async def _serve(self, conversation_id: UUID, up_to: int | None) -> None:
        try:
            with STAGE.labels("index").time():
                rest = await _index_chunk(await self._link.connected(), conversation_id, up_to)
        except AWAY as error:
            log.warning("not indexed", conversation_id=conversation_id, reason=repr(error))
            self._link.drop()
            return
        if rest is not None:
            self._wanted.setdefault(conversation_id, rest)


async def _index_chunk(
    connection: Connection, conversation_id: UUID, up_to: int | None
) -> int | None:
    """Returns up to where it has to go on; None when it is done.

    A deletion holds the index too, so it comes wholly before this transaction, or after it and
    finds what was copied. The conversation's row, for which flushes would wait, is taken last;
    from then on no message can come unseen, and what came since the copying is copied.
    """
    async with connection.transaction():
        await connection.execute(SQL["hold_index"], [conversation_id])
        standing = await connection.fetchrow(SQL["next_to_index"], conversation_id, CHUNK)
        if standing is None:
            return None
        start, end = standing["indexed_seq"], standing["up_to"]
        copied = await connection.execute(SQL["index_messages"], conversation_id, start, end)
        await connection.execute(SQL["move_index"], conversation_id, start, end)
        await connection.execute(SQL["index_messages"], conversation_id, start, end)
    BATCH_SIZE.labels("index").observe(int(copied.rsplit(" ", 1)[1]))
    goal: int = standing["head"] if up_to is None else up_to
    return goal if end < goal else None
