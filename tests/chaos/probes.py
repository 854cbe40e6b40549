"""Whether messages flow: a conversation in each partition, between two gateways, past the edge.

Both users send all the time, whatever becomes of it, and never again what got no answer. So the
first message that was sent after some moment, and came, says when the system worked again.
"""

import asyncio
from bisect import bisect_right
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from operator import attrgetter
from time import perf_counter
from typing import Final, NamedTuple
from uuid import UUID, uuid4

import asyncpg

from libs.client.device import Device
from libs.client.session import Received, Session, SessionClosed
from libs.common.domain.partition import partition_of
from local import readiness
from tests.chaos.faults import Party, Servers
from tests.chaos.verdict import Told
from tests.integration.conftest import System
from tests.integration.watching import PARTITIONS, House

PAUSE_S: Final = 0.15
"""Between two messages of a user: below the limit of 10 a second, and both users send."""
IN_FLIGHT: Final = 6
"""More unanswered ones are not sent: the rate limit would refuse what had piled up."""
LOST_S: Final = 10.0
"""An unanswered one stops counting."""
PAUSE_MOST_S: Final = 2.0
"""Between two connects."""
POLL_S: Final = 0.05


@dataclass(slots=True)
class Sent:
    client_message_id: UUID
    at: float
    acknowledged_at: float | None = None
    message_id: UUID | None = None
    seq: int | None = None
    heard_at: float | None = None

    @property
    def flowed_at(self) -> float | None:
        """When both knew: the sender that it is kept, the other what it says."""
        if self.acknowledged_at is None or self.heard_at is None:
            return None
        return max(self.acknowledged_at, self.heard_at)


class Closure(NamedTuple):
    """A session of a probe that ended, though the probe wanted it."""

    at: float
    gateway: str
    what: str


class Recovery(NamedTuple):
    """Seconds; None: not within the patience."""

    flows_after_s: float | None
    stored_after_s: float | None


@dataclass
class Probe:
    """One user, who sends to the other of its conversation."""

    user: UUID
    conversation: UUID
    home: str
    """The gateway that it prefers."""
    device: Device
    sent: list[Sent] = field(default_factory=list)
    by_content: dict[str, Sent] = field(default_factory=dict)
    unanswered: dict[str, Sent] = field(default_factory=dict)
    """By clientMessageId."""
    gateway: str = ""
    """Where its newest session is."""

    def flowed(self, since: float) -> Sent | None:
        """Of those sent after that moment, the one that came first."""
        later = self.sent[bisect_right(self.sent, since, key=attrgetter("at")) :]
        came = [sent for sent in later if sent.flowed_at is not None]
        return min(came, key=lambda sent: sent.flowed_at or 0.0, default=None)


class Probes:
    """Use `probing`."""

    def __init__(self, house: House, system: System, servers: Servers) -> None:
        self.closures: list[Closure] = []
        self._house = house
        self._system = system
        self._servers = servers
        self._probes: list[Probe] = []
        self._database: asyncpg.Connection[asyncpg.Record] | None = None
        self._asking = asyncio.Lock()
        ports = house.stack.gateway_ports()
        self._ports = {name: ports[name] for name in sorted(ports)}

    async def open(self) -> None:
        first, second = list(self._ports)[:2]
        missing = set(range(PARTITIONS))
        while missing:
            anna, ben = uuid4(), uuid4()
            conversation = await self._system.conversation(anna, ben)
            partition = partition_of(conversation, PARTITIONS)
            if partition in missing:
                missing.remove(partition)
                self._probes += [
                    self._probe(anna, conversation, first),
                    self._probe(ben, conversation, second),
                ]
        for probe in self._probes:
            await probe.device.session()

    @property
    def parties(self) -> list[Party]:
        pairs = zip(self._probes[::2], self._probes[1::2], strict=True)
        return [Party(one.conversation, (one.user, other.user)) for one, other in pairs]

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                for probe in self._probes:
                    tasks.create_task(self._stay(probe))
                    tasks.create_task(self._send(probe))
        finally:
            await asyncio.gather(*(probe.device.close() for probe in self._probes))
            if self._database is not None:
                self._database.terminate()

    async def go_home(self) -> None:
        """Those who had to go to another gateway come back, so that each has its share."""
        for probe in self._probes:
            if probe.gateway != probe.home and self._is_open(probe.home):
                await (await probe.device.session()).close()

    def told(self) -> list[Told]:
        """All that was acknowledged."""
        return [
            Told(
                sent.acknowledged_at,
                (probe.user, sent.client_message_id),
                sent.message_id,
                sent.seq,
            )
            for probe in self._probes
            for sent in probe.sent
            if sent.acknowledged_at and sent.message_id and sent.seq
        ]

    # ------------------------------------------------------------------ measuring

    async def flows(self, since: float, within_s: float) -> float | None:
        """Seconds from `since` until messages sent after it had come, from all to all; None: not
        until so many from `since`, or from now if that is later."""
        deadline = max(perf_counter(), since) + within_s
        while (came := self._flowed(since)) is None:
            if perf_counter() > deadline:
                return None
            await asyncio.sleep(POLL_S)
        return max(sent.flowed_at or 0.0 for sent in came.values()) - since

    async def recovery(self, since: float, within_s: float) -> Recovery:
        """From `since` until messages sent after it came, and until they are stored as well."""
        flows = await self.flows(since, within_s)
        came = self._flowed(since)
        if flows is None or came is None:
            return Recovery(None, None)
        lasting = {
            conversation: max(sent.seq or 0 for probe, sent in came_of)
            for conversation, came_of in _by_conversation(self._probes, came).items()
        }
        while not await self._are_stored(lasting):
            if perf_counter() - since > within_s:
                return Recovery(flows, None)
            await asyncio.sleep(POLL_S)
        return Recovery(flows, perf_counter() - since)

    def _flowed(self, since: float) -> dict[UUID, Sent] | None:
        """By sender; None while one of them has none."""
        came: dict[UUID, Sent] = {}
        for probe in self._probes:
            sent = probe.flowed(since)
            if sent is None:
                return None
            came[probe.user] = sent
        return came

    async def _are_stored(self, numbers: dict[UUID, int]) -> bool:
        async with self._asking:
            stored = await self._newest_stored(list(numbers))
        return all(stored.get(name, 0) >= number for name, number in numbers.items())

    async def _newest_stored(self, conversations: list[UUID]) -> dict[UUID, int]:
        """Nothing while PostgreSQL is away."""
        try:
            if self._database is None or self._database.is_closed():
                self._database = await asyncpg.connect(
                    self._servers.database, timeout=2, command_timeout=2
                )
            rows = await self._database.fetch(
                "select conversation_id, max(seq) as seq from messages"
                " where conversation_id = any($1) group by 1",
                conversations,
            )
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self._database = None
            return {}
        return {row["conversation_id"]: row["seq"] for row in rows}

    # ------------------------------------------------------------------ talking

    def _probe(self, user: UUID, conversation: UUID, home: str) -> Probe:
        def url() -> str:
            gateways = sorted(self._ports, key=lambda gateway: gateway != probe.home)
            probe.gateway = next((g for g in gateways if self._is_open(g)), home)
            return f"ws://127.0.0.1:{self._ports[probe.gateway]}/api/chat/ws"

        def heard(received: Received) -> None:
            self._hear(probe, received)

        # What is measured is when the service can be had again, not when a client may try.
        device = Device(
            url,
            self._system.tokens(user),
            on_frame=heard,
            waits_for_slot=False,
            pause_most_s=PAUSE_MOST_S,
        )
        probe = Probe(user=user, conversation=conversation, home=home, device=device)
        return probe

    def _is_open(self, gateway: str) -> bool:
        # On loopback this takes no time, also where nobody listens.
        return readiness.accepts(self._ports[gateway])

    async def _stay(self, probe: Probe) -> None:
        """Connected, all the time."""
        while True:
            session = await probe.device.session()
            gateway = probe.gateway
            closed = await _end_of(session)
            if closed.code != 1000:
                what = f"probe at {gateway}: {closed.code} {closed}"
                self.closures.append(Closure(perf_counter(), gateway, what))

    async def _send(self, probe: Probe) -> None:
        number = 0
        while True:
            await asyncio.sleep(PAUSE_S)
            sessions = probe.device.sessions
            if sessions and not sessions[-1].closed and self._has_room(probe):
                number += 1
                with suppress(SessionClosed):
                    await self._say(probe, sessions[-1], f"{probe.user} {number}")

    def _has_room(self, probe: Probe) -> bool:
        old = perf_counter() - LOST_S
        for client_id, sent in list(probe.unanswered.items()):
            if sent.at < old:
                del probe.unanswered[client_id]
        return len(probe.unanswered) < IN_FLIGHT

    async def _say(self, probe: Probe, session: Session, content: str) -> None:
        sent = Sent(uuid4(), perf_counter())
        client_id = str(sent.client_message_id)
        probe.sent.append(sent)
        probe.by_content[content] = probe.unanswered[client_id] = sent
        await session.send_frame(
            {
                "type": "SEND_MESSAGE",
                "conversationId": str(probe.conversation),
                "clientMessageId": client_id,
                "content": content,
            }
        )

    def _hear(self, probe: Probe, received: Received) -> None:
        frame = received.frame
        match frame["type"]:
            case "MESSAGE_SENT":
                sent = probe.unanswered.pop(frame["clientMessageId"], None)
                if sent is not None:
                    sent.acknowledged_at, sent.seq = received.at, frame["seq"]
                    sent.message_id = UUID(frame["messageId"])
            case "ERROR":
                probe.unanswered.pop(frame["ref"].get("clientMessageId", ""), None)
            case "MESSAGE_RECEIVED" if frame["senderId"] != str(probe.user):
                other = next(
                    other
                    for other in self._probes
                    if other.conversation == probe.conversation and other is not probe
                )
                sent = other.by_content.get(frame["content"])
                if sent is not None and sent.heard_at is None:
                    sent.heard_at = received.at


async def _end_of(session: Session) -> SessionClosed:
    while True:
        with suppress(TimeoutError):
            return await session.wait_closed(3600)


def _by_conversation(
    probes: list[Probe], came: dict[UUID, Sent]
) -> dict[UUID, list[tuple[Probe, Sent]]]:
    found: dict[UUID, list[tuple[Probe, Sent]]] = {}
    for probe in probes:
        found.setdefault(probe.conversation, []).append((probe, came[probe.user]))
    return found


@asynccontextmanager
async def probing(house: House, system: System, servers: Servers) -> AsyncIterator[Probes]:
    """Probes that talk until the end of the block."""
    probes = Probes(house, system, servers)
    await probes.open()
    running = asyncio.create_task(probes.run())
    try:
        yield probes
    finally:
        running.cancel()
        with suppress(asyncio.CancelledError):
            await running
