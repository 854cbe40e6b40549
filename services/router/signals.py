"""One partition's signals: what is worth nothing a few seconds later, and needs no order.

Each kind has a task of its own, so that a slow look-up never holds up who types. A signal may be
lost: gateways repeat an `Open`, users type on, a client without SYNC_RESULT asks again.
"""

import asyncio

import structlog

from libs.common.content import Incoming
from libs.common.protocol.codec import SIGNALS
from libs.common.protocol.events import Here, Open, Recall, Sync, Typing
from libs.common.topology import signals
from services.router.catching_up import CatchingUp
from services.router.conversation import Conversation
from services.router.memory import Memory
from services.router.opening import Opening
from services.router.presence import Begun, Ended, Presence
from services.router.rules.decisions import Decisions
from services.router.surroundings import Station
from services.router.typing import TypingUsers

log = structlog.get_logger()


class Signals:
    """Takes them and hands them on."""

    def __init__(self, station: Station, memory: Memory) -> None:
        self._station = station
        self._presence = Presence(station)
        self._opening = Opening(station, self._presence)
        self._catching_up = CatchingUp(station)
        self._typing = TypingUsers(station, memory)

    async def begin(self) -> "tuple[asyncio.Task[None], ...]":
        """Its tasks, which run until they are cancelled, or raise BrokerLost."""
        queue = signals(self._station.partition).name
        await self._station.channel.consume(queue, self._receive, acknowledged=False)
        runs = (
            self._opening.run(),
            self._opening.load(),
            self._presence.run(),
            self._catching_up.run(),
            self._typing.run(),
        )
        return tuple(map(asyncio.create_task, runs))

    def follow(self, decided: Decisions) -> None:
        """What a batch of events means for who types and who is there."""
        self._typing.end(decided.notices)
        self._presence.changes.put(map(_begun, decided.created.values()))
        self._presence.changes.put(map(Ended, decided.archived))

    def _receive(self, message: Incoming) -> None:
        items, malformed = SIGNALS.decode(message.body)
        for part in malformed:
            log.error("malformed signal", reason=part.reason)
        self._opening.asked.put([item for item in items if isinstance(item, Open | Here | Recall)])
        self._catching_up.asked.put([item for item in items if isinstance(item, Sync)])
        self._typing.signals.put([item for item in items if isinstance(item, Typing)])


def _begun(conversation: Conversation) -> Begun:
    return Begun(conversation.conversation_id, conversation.user1_id, conversation.user2_id)
