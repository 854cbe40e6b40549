"""Erases a person: what the person wrote is gone, what others wrote to the person stays theirs."""

from typing import Final
from uuid import UUID

from libs.common.protocol.events import ERASURE
from privacy.commands import Commands, open_commands
from privacy.progress import Progress, say
from privacy.settings import PrivacySettings
from privacy.store import Connection, connected, conversations_of, erasable, left_of

ROUNDS: Final = 3
"""Of archiving. The second finds nothing, unless a conversation was made meanwhile."""


class NotErased(Exception):
    """Says what is left."""


async def erase(settings: PrivacySettings, user_id: UUID) -> int:
    """Returns how many messages it took; 0 when run again.

    Archives the person's conversations first, so that nothing new comes. Stopped at any point, run
    again: it goes on with what is left. Raises NotErased, and what the servers' clients raise.
    """
    async with connected(settings.database_url) as database, open_commands(settings) as commands:
        await _archive_all(database, commands, user_id)
        progress = Progress("messages", await left_of(database, user_id))
        await commands.delete_all(erasable(database, user_id), ERASURE, progress.done)
        await commands.stored()
        if left := await left_of(database, user_id):
            raise NotErased(f"{left} messages of {user_id} are still there. Are any in chat.dead?")
    say(f"{progress.count} messages of {user_id} erased, {progress.rate:.0f}/s.")
    return progress.count


async def _archive_all(database: Connection, commands: Commands, user_id: UUID) -> None:
    """Until PostgreSQL says that all are.

    Then it has all that the person wrote, too: the archiving stood behind that in the queue.
    """
    for _ in range(ROUNDS):
        # What routers have made and said may still be on its way: we find only what is stored.
        await commands.stored()
        open_ones = [
            row["id"]
            for row in await conversations_of(database, user_id)
            if row["archived_at"] is None
        ]
        if not open_ones:
            return
        for conversation_id in open_ones:
            await commands.archive(conversation_id, user_id)
    raise NotErased(
        f"{len(open_ones)} conversations of {user_id} were not archived in {ROUNDS} rounds. Is the "
        "match service still making some, or are any in chat.dead?"
    )
