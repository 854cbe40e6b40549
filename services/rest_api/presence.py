"""Whether the other user of a conversation has a session."""

from collections.abc import Sequence
from typing import Final

import msgspec

from libs.common.keys import STATUS
from services.rest_api.contract import Conversation
from services.rest_api.soft_cache import SoftCache

ONLINE: Final = b"ONLINE"


class Presence:
    """For any thread. Without Redis nobody is known to be online."""

    def __init__(self, cache: SoftCache) -> None:
        self._cache = cache

    def shown_in(self, conversations: Sequence[Conversation]) -> list[Conversation]:
        """The same, with `other_user_online`: one round trip for a page."""
        alive = [one for one in conversations if one.archived_at is None]
        if not alive:
            return list(conversations)
        answers = self._cache.run(*(("GET", STATUS(one.other_user_id)) for one in alive))
        online = {
            one.conversation_id
            for one, status in zip(alive, answers or (), strict=answers is not None)
            if status == ONLINE
        }
        return [
            msgspec.structs.replace(one, other_user_online=one.conversation_id in online)
            for one in conversations
        ]
