"""SYNC: what a client missed, from PostgreSQL, with all that was told so far (promise 6)."""

from collections.abc import Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Final

import msgspec
import structlog

from libs.common.domain import permission
from libs.common.domain.heads import head_in, is_behind, is_warm
from libs.common.domain.permission import Act
from libs.common.domain.status import Status
from libs.common.keys import HEADS, WARM
from libs.common.protocol.deliveries import Answer
from libs.common.protocol.events import Sync
from libs.common.protocol.frames import ErrorRef, ServerFrame, SyncResult, encode_frame
from libs.common.protocol.messages import Message
from services.router.crew import Crew
from services.router.inbox import Inbox
from services.router.rules.decisions import refusal
from services.router.store import Membership
from services.router.surroundings import PASSING, Station

RETRY_AFTER_MS: Final = 1_000
PAGE_BYTES: Final = 1 << 17
"""Of messages in one SYNC_RESULT. A gateway ends a connection for which more than 1 MiB waits; the
client would come back, ask the same and be ended again. It may ask for several conversations at
once. 200 long messages are 2.4 MB in Chinese, 200 usual ones are 70 KB."""

log = structlog.get_logger()


class CatchingUp:
    """Answers the `Sync` signals of one partition's conversations."""

    def __init__(self, station: Station) -> None:
        self.asked: Inbox[Sync] = Inbox()
        self._station = station
        self._around = station.around

    async def run(self) -> None:
        """Until cancelled. Raises BrokerLost."""
        # Few are under way over all partitions; each is answered when it can be.
        async with Crew(self._around.syncs) as crew:
            while True:
                for sync in await self.asked.take():
                    await crew.start(partial(self._serve, sync))

    async def _serve(self, sync: Sync) -> None:
        try:
            delivery = _delivery(sync, await self._answer(sync))
            batches = {sync.origin.gateway_id: [delivery]}
            await self._around.gateways.deliver(self._station.channel, batches)
        except PASSING as error:
            log.warning("sync not answered", reason=repr(error))

    async def _answer(self, sync: Sync) -> ServerFrame:
        ref = ErrorRef("SYNC", conversation_id=sync.conversation_id)
        try:
            membership = await self._fresh(sync)
            error = permission.refusal(Act.READ, sync.user_id, membership)
            if error is not None or membership is None:
                return refusal(error or "CONVERSATION_NOT_FOUND", ref)
            return await self._read(sync, membership)
        except PASSING as error:
            log.warning("sync failed", reason=repr(error))
            return refusal("INTERNAL", ref, RETRY_AFTER_MS)

    async def _fresh(self, sync: Sync) -> Membership | None:
        """The conversation, once PostgreSQL has all that this user was told of it."""
        batch = self._around.cache.batch()
        batch.add("HGET", HEADS(sync.user_id), str(sync.conversation_id))
        batch.add("GET", WARM(self._station.partition))
        head, warm = await batch.run()
        try:
            told = None if head is None else head_in(head)
        except ValueError:  # not ours: as good as lost
            told, warm = None, None
        membership = await self._around.store.membership(sync.conversation_id)
        stored = None if membership is None else membership.head
        if is_behind(told, stored, warm=is_warm(warm)):
            await self._around.asking.ask_barrier(self._station.partition)
            membership = await self._around.store.membership(sync.conversation_id)
        return membership

    async def _read(self, sync: Sync, membership: Membership) -> SyncResult:
        """`membership` was read before, so the page has all up to its head."""
        messages = await self._around.store.changed_after(
            sync.conversation_id, sync.after_seq, sync.limit, sync.user_id
        )
        newest = messages[-1].changed_seq if messages else 0
        head = max(membership.head, newest)
        page = fitting(messages)
        is_all = len(page) == len(messages) < sync.limit
        return SyncResult(sync.conversation_id, page, head, is_all)


def _delivery(sync: Sync, frame: ServerFrame) -> Answer:
    """With what a pong shall confirm: these messages reach the recipient now."""
    messages = frame.messages if isinstance(frame, SyncResult) else []
    unconfirmed = [
        message.message_id
        for message in messages
        if message.sender_id != sync.user_id
        and message.status == Status.SENT.name
        and message.deleted_at is None
    ]
    origin = sync.origin
    return Answer(
        origin.session_id,
        origin.try_id,
        encode_frame(frame),
        conversation_id=sync.conversation_id,
        message_ids=unconfirmed,
    )


def fitting(messages: Sequence[Message]) -> list[Message]:
    """Whole entries from the first on, up to PAGE_BYTES; at least one."""
    page: list[Message] = []
    size = 0
    for _, entry in groupby(messages, key=attrgetter("changed_seq")):
        changed = list(entry)
        size += sum(len(msgspec.json.encode(message)) for message in changed)
        if page and size > PAGE_BYTES:
            break
        page += changed
    return page
