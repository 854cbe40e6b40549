"""Erases a person: what the person wrote is gone, what others wrote to the person stays theirs."""

import asyncio
from typing import Final
from uuid import UUID

from libs.common.protocol.events import ERASURE
from privacy.commands import open_commands
from privacy.progress import Progress, say
from privacy.settings import PrivacySettings
from privacy.store import Connection, connected, conversations_of, erasable, left_of

STORED_WITHIN_S: Final = 60.0
"""What was answered is queued; the persister stores it within a flush unless it has to catch up."""
LOOK_EACH_S: Final = 0.2


class NotErased(Exception):
    """Says what is left."""


async def erase(settings: PrivacySettings, user_id: UUID) -> int:
    """Returns how many messages it took; 0 when run again.

    Archives the person's conversations first, so that nothing new comes. Stopped at any point, run
    again: it goes on with what is left. Raises NotErased, and what the servers' clients raise.
    """
    async with connected(settings.database_url) as database, open_commands(settings) as commands:
        for row in await conversations_of(database, user_id):
            if row["archived_at"] is None:
                await commands.archive(row["id"], user_id)
        progress = Progress("messages", await left_of(database, user_id))
        await commands.delete_all(erasable(database, user_id), ERASURE, progress.done)
        await _stored(database, user_id)
    say(f"{progress.count} messages of {user_id} erased, {progress.rate:.0f}/s.")
    return progress.count


async def _stored(database: Connection, user_id: UUID) -> None:
    """Until PostgreSQL has no content of the person any more."""
    try:
        async with asyncio.timeout(STORED_WITHIN_S):
            while left := await left_of(database, user_id):  # noqa: ASYNC110 - PostgreSQL's event
                await asyncio.sleep(LOOK_EACH_S)
    except TimeoutError:
        raise NotErased(
            f"{left} messages of {user_id} are still there after {STORED_WITHIN_S:.0f} s. "
            "Is a persister behind (queue chat.writes)? Run it again."
        ) from None
