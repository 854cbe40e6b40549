"""The end state of a campaign: what is stored, and what the service tells everybody of it."""

import asyncio
import itertools
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Iterable,
    Sequence,
)
from contextlib import asynccontextmanager
from datetime import datetime
from random import Random
from time import perf_counter
from typing import Any, Final, TypeVar
from uuid import UUID

import aio_pika

from libs.client.session import Refused, Session, SessionClosed
from libs.common.domain.moment import milliseconds, rfc3339
from libs.common.topology import DEAD
from tests.chaos.calling import Caller
from tests.chaos.evidence import (
    NEWEST,
    Conversation,
    DeadLetter,
    Evidence,
    Frame,
    History,
    Injection,
    Row,
    Synced,
    Unread,
)
from tests.chaos.recorder import Recorder
from tests.chaos.workload import Workload
from tests.integration.conftest import System
from tests.integration.watching import PARTITIONS, House

AT_ONCE: Final = 8
"""Users whose REST calls are made at the same time."""
SYNC_POINTS: Final = 3
"""Numbers from which SYNC is asked, besides 0."""
NEAR: Final = 300
"""Most of them are so close to the head: where late changes make a difference."""
QUIET_S: Final = 2.0
"""Nothing may change for so long: many flushes of the persister."""
POLL_S: Final = 0.25
REPEATS: Final = 3
"""SYNC may itself deliver something; then all is read again."""

ANSWERED_S: Final = 60.0

T = TypeVar("T")
_PageOf = Callable[[UUID, UUID, int], Awaitable[Frame]]
"""What SYNC tells this user of this conversation after this number."""


async def collect(
    house: House,
    system: System,
    workload: Workload,
    recorder: Recorder,
    *,
    seed: int,
    injections: Iterable[Injection] = (),
    explained: Collection[bytes] = (),
    within_s: float = 60.0,
) -> Evidence:
    """After `Workload.settle`, with all servers and roles well again.

    `explained`: bodies that faults have poisoned. Raises AssertionError when a read isn't
    answered within a minute. That queues don't empty within `within_s` is for the checker.
    """
    # Faults may have ended the connection that the house had.
    await house.connect_to_database(within_s=30)
    collecting = _Collecting(house, system, workload, Random(f"{seed}/collecting"))
    state = await collecting.quiet(within_s)
    for _ in range(REPEATS):
        before = state
        synced = await collecting.synced()
        histories, unread = await collecting.histories()
        rows, conversations = await collecting.rows(), await collecting.conversations()
        snapshots = workload.snapshots()
        state = await collecting.quiet(within_s)
        if state == before:
            break
    return Evidence(
        seed=seed,
        operations=recorder.operations,
        heard=recorder.heard,
        closed=recorder.closed,
        injections=list(injections),
        rows=rows,
        conversations=conversations,
        histories=histories,
        synced=synced,
        snapshots=snapshots,
        unread=unread,
        dead=await collecting.dead(explained),
        queued=await collecting.queued(),
    )


class _BySocket:
    """A user's SYNCs by one session, which is opened when first needed."""

    def __init__(self, system: System, user: UUID) -> None:
        self._system = system
        self._session: Session | None = None
        self._user = user

    async def page(self, user: UUID, conversation: UUID, after: int) -> Frame:
        assert user == self._user
        async with asyncio.timeout(ANSWERED_S):
            while True:
                if self._session is None or self._session.closed:
                    self._session = await self._system.open(user)
                try:
                    return await self._session.sync(conversation, after)
                except Refused as refused:
                    if refused.frame["code"] not in (429, 500):
                        raise
                    await asyncio.sleep(refused.frame.get("retryAfterMs", 1_000) / 1000)
                except (SessionClosed, TimeoutError):
                    # A SYNC may get lost: it is asked again.
                    continue

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()


class _Collecting:
    def __init__(self, house: House, system: System, workload: Workload, random: Random) -> None:
        self._house = house
        self._system = system
        self._people = [(person.user, person.conversations) for person in workload.people]
        self._conversations = [pair.conversation for pair in workload.pairs]
        self._caller: Caller = workload.caller
        self._random = random
        self._same: dict[str, Frame] = {}

    # ------------------------------------------------------------------ the servers

    async def queued(self) -> dict[str, int]:
        names = [
            f"{kind}.{n}" for kind in ("chat.events", "chat.writes") for n in range(PARTITIONS)
        ]
        found: dict[str, int] = {}
        async with self._channel() as channel:
            for name in (*names, "chat.matches"):
                queue = await channel.declare_queue(name, passive=True)
                found[name] = queue.declaration_result.message_count or 0
        return found

    async def dead(self, explained: Collection[bytes]) -> list[DeadLetter]:
        """A look: closing the channel gives all of it back."""
        found: list[DeadLetter] = []
        async with self._channel() as channel:
            queue = await channel.get_queue(DEAD, ensure=False)
            while message := await queue.get(fail=False):
                found.append(
                    DeadLetter(
                        source=str(message.headers.get("x-source")),
                        reason=str(message.headers.get("x-reason")),
                        body=message.body.decode(errors="replace"),
                        is_explained=message.body in explained,
                    )
                )
        return found

    @asynccontextmanager
    async def _channel(self) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
        connection = await aio_pika.connect(self._house.variables["CHAT_AMQP_URL"])
        async with connection, connection.channel() as channel:
            yield channel

    async def state(self) -> tuple[int, int]:
        """Changes with every entry."""
        [row] = await self._house.database.fetch(
            "select sum(head)::bigint,"
            " (select count(*) from messages where conversation_id = any($1))"
            " from conversations where id = any($1)",
            self._conversations,
        )
        return row[0], row[1]

    async def quiet(self, within_s: float) -> tuple[int, int]:
        """The state, when nothing is queued or stored any more, or the time is over."""
        until = perf_counter() + within_s
        state, since = await self.state(), perf_counter()
        while perf_counter() < until and perf_counter() - since < QUIET_S:
            await asyncio.sleep(POLL_S)
            now = await self.state()
            if now != state or any((await self.queued()).values()):
                state, since = now, perf_counter()
        return state

    async def rows(self) -> list[Row]:
        found = await self._house.database.fetch(
            "select *, status::text as told from messages where conversation_id = any($1)"
            " order by conversation_id, seq",
            self._conversations,
        )
        return [
            Row(
                message_id=row["id"],
                conversation=row["conversation_id"],
                sender=row["sender_id"],
                client_message_id=row["client_message_id"],
                content=row["content"] or "",
                status=row["told"],
                seq=row["seq"],
                changed_seq=row["changed_seq"],
                timestamp=rfc3339(milliseconds(row["created_at"])),
                delivered_at=_moment(row["delivered_at"]),
                read_at=_moment(row["read_at"]),
                deleted_at=_moment(row["deleted_at"]),
            )
            for row in found
        ]

    async def conversations(self) -> list[Conversation]:
        found = await self._house.database.fetch(
            "select * from conversations where id = any($1)", self._conversations
        )
        return [
            Conversation(
                conversation=row["id"],
                users=(row["user1_id"], row["user2_id"]),
                head=row["head"],
                archived_seq=row["archived_seq"],
            )
            for row in found
        ]

    # ------------------------------------------------------------------ what users are told

    async def histories(self) -> tuple[list[History], list[Unread]]:
        async def of(user: UUID, conversations: list[UUID]) -> tuple[list[History], Unread]:
            histories = [await self._history(user, one) for one in conversations]
            told = await self._get(user, "/unread")
            return histories, Unread(
                user=user, total=told["total"], conversations=told["conversations"]
            )

        found = await _bounded([of(*person) for person in self._people])
        return [one for histories, _ in found for one in histories], [one for _, one in found]

    async def _history(self, user: UUID, conversation: UUID) -> History:
        path = f"/conversations/{conversation}"
        itself = await self._get(user, path)
        messages: list[Frame] = []
        after = "0"
        while True:
            page = await self._get(user, f"{path}/messages?after={after}&limit=100")
            messages += map(self._kept, page["items"])
            if page["nextCursor"] is None:
                break
            after = page["nextCursor"]
        newest = await self._get(user, f"{path}/messages?limit={NEWEST}")
        return History(
            user=user,
            conversation=conversation,
            head=itself["head"],
            unread=itself["unreadCount"],
            messages=messages,
            newest=list(map(self._kept, newest["items"])),
        )

    async def synced(self) -> list[Synced]:
        """From 0 and from other numbers, by WebSocket and by REST in turn."""

        async def of(user: UUID, conversations: list[UUID]) -> list[Synced]:
            found: list[Synced] = []
            asking = _BySocket(self._system, user)
            ways = itertools.cycle((asking.page, self._page_by_rest))
            try:
                for conversation in conversations:
                    head = (await self._get(user, f"/conversations/{conversation}"))["head"]
                    found += [
                        await self._sync(next(ways), user, conversation, after)
                        for after in (0, *self._points(head))
                    ]
                    # So that not all from 0 go the same way.
                    next(ways)
            finally:
                await asking.close()
            return found

        return [one for many in await _bounded([of(*one) for one in self._people]) for one in many]

    def _points(self, head: int) -> list[int]:
        near = [self._random.randint(max(0, head - NEAR), head) for _ in range(SYNC_POINTS - 1)]
        return [*near, self._random.randint(0, head)]

    async def _sync(self, page_of: _PageOf, user: UUID, conversation: UUID, after: int) -> Synced:
        messages: list[Frame] = []
        asked = after
        while True:
            page = await page_of(user, conversation, asked)
            messages += map(self._kept, page["messages"])
            if page["complete"]:
                break
            asked = page["messages"][-1]["changedSeq"]
        return Synced(
            user=user,
            conversation=conversation,
            after=after,
            head=page["head"],
            messages=messages,
        )

    async def _page_by_rest(self, user: UUID, conversation: UUID, after: int) -> Frame:
        return await self._get(user, f"/conversations/{conversation}/sync?after={after}")

    async def _get(self, user: UUID, path: str) -> Frame:
        return (await self._caller.call(user, "GET", path)).expected(path)

    def _kept(self, message: Frame) -> Frame:
        """The same object where the same message is told again: each comes some seven times."""
        known = self._same.setdefault(message["messageId"], message)
        if known == message:
            return known
        self._same[message["messageId"]] = message
        return message


async def _bounded(work: Sequence[Coroutine[Any, Any, T]]) -> list[T]:
    """All the results, `AT_ONCE` at a time."""
    free = asyncio.Semaphore(AT_ONCE)

    async def one(coroutine: Coroutine[Any, Any, T]) -> T:
        async with free:
            return await coroutine

    return await asyncio.gather(*map(one, work))


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else rfc3339(milliseconds(moment))
