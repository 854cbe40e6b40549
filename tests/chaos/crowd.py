"""Pairs of users whose one sends at a given rate whatever comes back, in a process of its own.

`python -m tests.chaos.crowd` reads a line with a `Plan` as JSON, connects, prints "ready", waits
for one more line, and then prints a `Second` as JSON each second and a `Report` at the end.
It keeps the connections until its input ends.
"""

import asyncio
import gc
import sys
from collections.abc import Iterator
from typing import Final
from uuid import UUID

import msgspec
import uvloop

from tests.bench.connection import Connection
from tests.bench.generator import (
    BODY,
    CONNECT_S,
    OPENERS,
    PADDING,
    conversations,
    now,
    percentiles,
    token,
)

TICK_S: Final = 0.002
LATE_S: Final = 0.1
"""What is due for longer when this process gets the core again is never sent: no bursts."""
UNSENT_BYTES: Final = 16 << 10
"""A sender with more in its buffer skips its turn, as docs/protocol.md asks of clients."""
SETTLE_S: Final = 15.0


class Phase(msgspec.Struct, frozen=True):
    """For so long, so many messages/s over all."""

    name: str
    rate: float
    seconds: float
    some_stop_reading: bool = False
    """Whether the first `Plan.never_read` receivers stop to read when it begins."""


class Plan(msgspec.Struct):
    """`users` are (sender, receiver)."""

    port: int
    secret: str
    users: list[tuple[UUID, UUID]]
    phases: list[Phase]
    never_read: int = 0
    characters: int = 95
    """Of each message."""
    host: str = "127.0.0.1"


class Second(msgspec.Struct):
    """What was sent and what came back within one second; of answers, whenever they were sent."""

    phase: str
    offered: int
    held: int
    """Turns that senders skipped because their sockets took no more."""
    accepted: int
    refused: int
    ms: list[float]
    """From the writing to MESSAGE_SENT: p50, p95, p99 and maximum; empty where none came."""


class Sent(msgspec.Struct, array_like=True):
    """A message that was written, and what became of it."""

    phase: int
    sender: int
    at: float
    """Seconds since the first phase began."""
    ms: float | None = None
    """Until MESSAGE_SENT."""
    seq: int | None = None


class Talk(msgspec.Struct):
    """All messages of one conversation, by the first 12 characters of their content."""

    conversation: UUID
    sent: dict[str, Sent]
    refused: list[str]
    """OVERLOADED."""


class Report(msgspec.Struct):
    talks: list[Talk]
    held: list[int]
    """By phase."""
    closed: int
    """Connections that ended, of those who read."""
    errors: list[str]
    """Other refusals, the first few."""


class Crowd:
    """Sends, and keeps what comes back."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.senders: list[Connection] = []
        self.receivers: list[Connection] = []
        self.conversations: list[bytes] = []
        self.errors: list[str] = []
        self.held = [0] * len(plan.phases)
        self._sent: list[Sent] = []
        self._refused: set[int] = set()
        self._phase = 0
        self._began = 0.0
        self._ms: list[float] = []
        """Of this second's answers."""
        self._sender = 0
        self._padding = (PADDING * plan.characters)[: plan.characters - 13]
        """What follows a message's number."""

    async def connect(self) -> None:
        plan = self.plan
        self.conversations = await conversations(plan.host, plan.port, plan.secret, plan.users)
        gate = asyncio.Semaphore(OPENERS)

        async def open_one(user: UUID, *, sends: bool) -> Connection:
            on_text = self._on_text if sends else _ignore
            async with gate:
                connection = Connection(plan.host, token(plan.secret, user), on_text)
                loop = asyncio.get_running_loop()
                await loop.create_connection(lambda: connection, plan.host, plan.port)
                await asyncio.wait_for(connection.ready, CONNECT_S)
            return connection

        opened = [open_one(sender, sends=True) for sender, _ in plan.users]
        opened += [open_one(receiver, sends=False) for _, receiver in plan.users]
        connections = await asyncio.gather(*opened)
        self.senders = connections[: len(plan.users)]
        self.receivers = connections[len(plan.users) :]

    async def talk(self) -> None:
        """All phases, with a `Second` printed each second; then waits for what is unanswered."""
        self._began = now()
        telling = asyncio.create_task(self._tell())
        begins = self._began
        for number, phase in enumerate(self.plan.phases):
            self._phase = number
            if phase.some_stop_reading:
                for connection in self.receivers[: self.plan.never_read]:
                    connection.stop_reading()
            await self._send(phase, begins)
            begins += phase.seconds
        await telling
        for _ in range(int(SETTLE_S / 0.1)):
            if not self._unanswered():
                break
            await asyncio.sleep(0.1)

    def report(self) -> Report:
        closed = sum(one.lost for one in self.senders + self.receivers[self.plan.never_read :])
        return Report(list(self._talks()), self.held, closed, self.errors[:5])

    async def _send(self, phase: Phase, begins: float) -> None:
        number = 0
        while (at := now()) < begins + phase.seconds:
            due = int((at - begins) * phase.rate)
            number = max(number, due - int(LATE_S * phase.rate))
            for _ in range(number, due):
                self._take_turn()
            number = due
            await asyncio.sleep(TICK_S)

    def _take_turn(self) -> None:
        sender = self._sender
        self._sender = (sender + 1) % len(self.senders)
        connection = self.senders[sender]
        if connection.lost:
            return
        if connection.unsent_bytes > UNSENT_BYTES:
            self.held[self._phase] += 1
            return
        code = len(self._sent) << 16 | sender
        self._sent.append(Sent(self._phase, sender, now() - self._began))
        connection.send(BODY % (self.conversations[sender], code, code, self._padding))

    def _on_text(self, text: bytes) -> None:
        if b'"MESSAGE_SENT"' in text:
            sent = self._sent[_number(text)]
            sent.ms = round((now() - self._began - sent.at) * 1000, 2)
            at = text.index(b'"seq":') + 6
            sent.seq = int(text[at : text.index(b",", at)])
            self._ms.append(sent.ms)
        elif b'"OVERLOADED"' in text:
            self._refused.add(_number(text))
        elif b'"ERROR"' in text:
            self.errors.append(text[:300].decode())

    def _unanswered(self) -> bool:
        return any(
            sent.ms is None and number not in self._refused
            for number, sent in enumerate(self._sent)
        )

    async def _tell(self) -> None:
        sent, held, refused = 0, 0, 0
        phases = [phase for phase in self.plan.phases for _ in range(int(phase.seconds))]
        for second, phase in enumerate(phases, 1):
            await asyncio.sleep(self._began + second - now())
            ms, self._ms = self._ms, []
            line = Second(
                phase=phase.name,
                offered=len(self._sent) - sent,
                held=sum(self.held) - held,
                accepted=len(ms),
                refused=len(self._refused) - refused,
                ms=percentiles([one / 1000 for one in ms]),
            )
            sent, held, refused = len(self._sent), sum(self.held), len(self._refused)
            print(msgspec.json.encode(line).decode(), flush=True)

    def _talks(self) -> Iterator[Talk]:
        talks = [Talk(UUID(one.decode()), {}, []) for one in self.conversations]
        for number, sent in enumerate(self._sent):
            name = f"{number << 16 | sent.sender:012x}"
            talks[sent.sender].sent[name] = sent
            if number in self._refused:
                talks[sent.sender].refused.append(name)
        yield from talks


def _number(text: bytes) -> int:
    at = text.index(b"00000000-0000-4000-8000-") + 24
    return int(text[at : at + 12], 16) >> 16


def _ignore(_: bytes) -> None:
    """Receivers count nothing: what the others heard is judged by the chaos campaign."""


async def run() -> None:
    loop = asyncio.get_running_loop()
    line = await loop.run_in_executor(None, sys.stdin.buffer.readline)
    crowd = Crowd(msgspec.json.decode(line, type=Plan))
    await crowd.connect()
    gc.collect()
    gc.freeze()
    print("ready", flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.readline)
    await crowd.talk()
    print(msgspec.json.encode(crowd.report()).decode(), flush=True)
    await loop.run_in_executor(None, sys.stdin.buffer.read)


if __name__ == "__main__":
    uvloop.run(run())
