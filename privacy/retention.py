"""Lets messages go that are older than CHAT_RETENTION_DAYS, everybody's."""

from datetime import UTC, datetime, timedelta

from libs.common.protocol.events import RETENTION
from privacy.commands import open_commands
from privacy.progress import Progress, say
from privacy.settings import PrivacySettings
from privacy.store import connected, outdated


async def retain(settings: PrivacySettings) -> int:
    """Returns how many messages lost their content. Without the setting, none.

    Safe to stop and to run again, also twice at once. Raises what the servers' clients raise.
    """
    if settings.retention_days is None:
        say("CHAT_RETENTION_DAYS is not set: messages are kept for ever.")
        return 0
    before = datetime.now(UTC) - timedelta(days=settings.retention_days)
    progress = Progress("messages")
    async with connected(settings.database_url) as database, open_commands(settings) as commands:
        await commands.delete_all(outdated(database, before), RETENTION, progress.done)
    say(f"{progress.count} messages from before {before:%Y-%m-%d} let go, {progress.rate:.0f}/s.")
    return progress.count
