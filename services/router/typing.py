"""Who types: told to the other user, never on disk, over by itself after 5 s (DESIGN.md, 4)."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID

import structlog

from libs.common.broker import Overloaded, Unroutable
from libs.common.domain import permission
from libs.common.domain.permission import Act
from libs.common.keys import TYPING
from libs.common.outbox import Outbox
from libs.common.protocol import codec, writes
from libs.common.protocol.deliveries import Delivery, ToSession
from libs.common.protocol.events import Typing
from libs.common.protocol.frames import (
    ErrorRef,
    MessageReceived,
    ServerFrame,
    UserStoppedTyping,
    UserTypes,
    encode_frame,
)
from libs.common.topology import typing
from services.router import sequence
from services.router.fan_out import notes
from services.router.inbox import Inbox
from services.router.memory import Memory
from services.router.rules.decisions import Announcement, Answered, refusal
from services.router.store import Membership
from services.router.surroundings import PASSING, Station

LASTS_MS: Final = TYPING.ttl * 1_000
STORE_S: Final = 1.0
"""Between two batches for the table `typing_status`, which nobody waits for."""
KNOWN_MOST: Final = 10_000
KNOWN_S: Final = 10.0
"""For so long a conversation that another router archives may still show who types."""

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class _Ended:
    """A message was sent: its sender types no more."""

    conversation_id: UUID
    user_id: UUID
    other_id: UUID


class TypingUsers:
    """Of one partition's conversations."""

    def __init__(self, station: Station, memory: Memory) -> None:
        self.signals: Inbox[Typing | _Ended] = Inbox()
        self._station = station
        self._around = station.around
        self._memory = memory
        self._known: OrderedDict[UUID, tuple[float, Membership]] = OrderedDict()
        """What PostgreSQL said of conversations that memory lacks, and until when it counts."""
        self._typing: dict[tuple[UUID, UUID], float] = {}
        """Conversation and user → when it ends, by the loop's clock."""
        self._table: Outbox[writes.Typing] = Outbox(self._store, pacing_s=STORE_S, stage="typing")

    async def run(self) -> None:
        """Until cancelled. Raises BrokerLost."""
        try:
            while True:
                signals = await self.signals.take()
                try:
                    await self._tell(signals)
                except PASSING as error:
                    log.warning("typing not told", signals=len(signals), reason=repr(error))
        finally:
            self._table.close()

    def end(self, notices: Iterable[Announcement | Answered]) -> None:
        """By the messages among a batch's notices, of those who are known to type."""
        if not self._typing:
            return
        for notice in notices:
            if isinstance(notice, Announcement) and isinstance(notice.frame, MessageReceived):
                sender = notice.frame.sender_id
                place = (notice.conversation_id, sender)
                if notice.user_id != sender and self._typing.pop(place, None) is not None:
                    self.signals.put([_Ended(*place, notice.user_id)])

    async def _tell(self, signals: Sequence[Typing | _Ended]) -> None:
        told: list[tuple[UUID, ServerFrame]] = []
        batches: dict[str, list[Delivery]] = {}
        for signal in signals:
            if isinstance(signal, _Ended):
                told.append((signal.other_id, _frame(signal.conversation_id, signal.user_id, 0)))
                continue
            membership = await self._membership(signal.conversation_id)
            error = permission.refusal(Act.TYPE, signal.user_id, membership)
            if error is not None or membership is None:
                batches.setdefault(signal.gateway_id, []).append(_refused(signal, error))
                continue
            lasts_ms = LASTS_MS if signal.is_typing else 0
            frame = _frame(signal.conversation_id, signal.user_id, lasts_ms)
            told.append((membership.other(signal.user_id), frame))
        self._note(signals)
        listeners = await self._keep([frame for _, frame in told], [user for user, _ in told])
        for gateway_id, frames in notes(told, listeners).items():
            batches.setdefault(gateway_id, []).extend(frames)
        await self._around.gateways.deliver(self._station.channel, batches)

    def _note(self, signals: Sequence[Typing | _Ended]) -> None:
        """For `end`; what has run out is dropped."""
        now = asyncio.get_running_loop().time()
        self._typing = {place: ends for place, ends in self._typing.items() if ends > now}
        for signal in signals:
            if isinstance(signal, Typing) and signal.is_typing:
                place = (signal.conversation_id, signal.user_id)
                self._typing[place] = now + LASTS_MS / 1_000
            elif isinstance(signal, Typing):
                self._typing.pop((signal.conversation_id, signal.user_id), None)

    async def _keep(
        self, frames: Sequence[ServerFrame], users: Sequence[UUID]
    ) -> dict[UUID, dict[UUID, str]]:
        """In Redis and for the table; who of the users listens, by session and gateway."""
        now_ms = time.time_ns() // 1_000_000
        batch = self._around.cache.batch()
        for frame in frames:
            if isinstance(frame, UserTypes):
                key = TYPING(frame.conversation_id)
                batch.add("ZADD", key, now_ms + LASTS_MS, str(frame.user_id))
                batch.add("EXPIRE", key, TYPING.ttl)
                self._table.add(writes.Typing(frame.conversation_id, frame.user_id, now_ms))
            elif isinstance(frame, UserStoppedTyping):
                batch.add("ZREM", TYPING(frame.conversation_id), str(frame.user_id))
                self._table.add(writes.Typing(frame.conversation_id, frame.user_id, None))
        await batch.run()
        return await sequence.sessions(self._around.cache, list(dict.fromkeys(users)))

    async def _membership(self, conversation_id: UUID) -> Membership | None:
        """What memory or PostgreSQL say; None: there is no such conversation."""
        here = self._memory.conversation(conversation_id)
        if here is not None:
            return Membership(here.user1_id, here.user2_id, here.is_archived, here.head)
        now = asyncio.get_running_loop().time()
        known_until, membership = self._known.get(conversation_id, (0.0, None))
        if membership is not None and now < known_until:
            return membership
        membership = await self._around.store.membership(conversation_id)
        if membership is not None:
            self._known[conversation_id] = (now + KNOWN_S, membership)
            if len(self._known) > KNOWN_MOST:
                self._known.popitem(last=False)
        return membership

    async def _store(self, batch: list[writes.Typing]) -> None:
        newest = {(item.conversation_id, item.user_id): item for item in batch}
        body = codec.TYPING.encode(list(newest.values()))
        try:
            await self._station.channel.publish(typing().name, body, lasting=False)
        except (Unroutable, Overloaded) as error:
            log.info("typing not stored", reason=repr(error))


def _refused(signal: Typing, error: str | None) -> ToSession:
    kind = "TYPING_START" if signal.is_typing else "TYPING_STOP"
    ref = ErrorRef(kind, conversation_id=signal.conversation_id)
    frame = refusal(error or "CONVERSATION_NOT_FOUND", ref)
    return ToSession(signal.session_id, encode_frame(frame))


def _frame(conversation_id: UUID, user_id: UUID, lasts_ms: int) -> ServerFrame:
    kind = UserTypes if lasts_ms else UserStoppedTyping
    return kind(conversation_id, user_id, lasts_ms)
