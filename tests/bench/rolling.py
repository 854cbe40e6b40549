"""Restarts every gateway, one after the other, while users chat: `python -m tests.bench.rolling`.

Starts a stack of its own (`rolling`, three gateways) and stops it. Clients are those of
`libs.client`: they come back in the slot that RECONNECT gave them. Counted at the gateways, by
their log lines: how many sessions began and ended in any second. Ends with 1 when a message was
lost or came twice, when a second had more returns than the chosen rate, or when delivery between
connections that nobody touched has a p99 of 100 ms or more.
"""

import argparse
import asyncio
import itertools
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from signal import SIGTERM
from time import monotonic, perf_counter
from typing import Final
from uuid import UUID, uuid4

from libs.client.device import Device
from libs.client.session import Received
from libs.common.lifecycle import ended
from local.progress import Progress
from local.roles import GATEWAY
from tests.bench.generator import percentiles
from tests.bench.rates import fullest_second
from tests.chaos.house import Whole, whole_stack
from tests.integration.watching import House, until

UNTOUCHED_P99_MS: Final = 100.0
DRAIN_S: Final = 30.0
"""More than is needed: the rate shall be what bounds it."""
QUIET_S: Final = 5.0
"""Of chat before the first restart and after the last."""
OPENERS: Final = 10
GONE_CODE: Final = 1012


@dataclass
class Message:
    """One that was begun, and what became of it."""

    began: float
    phase: str
    sessions: tuple[int, int]
    """How many the sender and the recipient had had by then: whether one of them was moved."""
    received_ms: list[float] = field(default_factory=list)
    untouched: bool = True
    message_id: str = ""


class Pair:
    """One user who sends and one who receives."""

    def __init__(self, chaos: Whole, conversation: UUID, users: tuple[UUID, UUID]) -> None:
        self.conversation = conversation
        self.users = users
        self.messages: dict[str, Message] = {}
        self._numbers = itertools.count()
        url, tokens = chaos.system.socket_url, chaos.system.tokens
        self.sender = Device(lambda: url, tokens(users[0]), keeps_all=True)
        self.recipient = Device(
            lambda: url, tokens(users[1]), on_frame=self._on_frame, keeps_all=True
        )

    async def say(self, phase: str) -> None:
        """Until it is acknowledged."""
        content = str(next(self._numbers))
        message = Message(perf_counter(), phase, self._sessions())
        self.messages[content] = message
        message.message_id = (await self.sender.send(self.conversation, content))["messageId"]

    def _sessions(self) -> tuple[int, int]:
        """Negative where there is none just now."""
        sender, recipient = (
            -1 if not device.sessions or device.sessions[-1].closed else len(device.sessions)
            for device in (self.sender, self.recipient)
        )
        return sender, recipient

    def _on_frame(self, received: Received) -> None:
        if received.frame["type"] == "MESSAGE_RECEIVED":
            message = self.messages[received.frame["content"]]
            message.received_ms.append((received.at - message.began) * 1000)
            message.untouched = -1 not in message.sessions and message.sessions == self._sessions()


async def measure(options: argparse.Namespace) -> bool:
    """Whether all held."""
    settings = {
        "CHAT_RECONNECTS_PER_SECOND": str(options.per_second),
        "CHAT_DRAIN_S": str(DRAIN_S),
    }
    async with whole_stack("rolling", Progress(), settings) as chaos:
        await chaos.house.add(GATEWAY)
        pairs = await _pairs(chaos, options.pairs)
        devices = [device for pair in pairs for device in (pair.sender, pair.recipient)]
        async with _staying(devices), _chatting(pairs, options.rate) as phases:
            await asyncio.sleep(QUIET_S)
            began = datetime.now().astimezone()
            for program in chaos.house.programs(GATEWAY):
                phases.append(program)
                await _restart(chaos.house, program)
            phases.append("after")
            await asyncio.sleep(QUIET_S)
        waves = _waves(chaos.house, began, options.per_second)
        kept = await _kept(chaos, pairs)
        fast = _latencies(pairs)
        for device in devices:
            await device.close()
    return all((waves, kept, fast))


async def _pairs(chaos: Whole, count: int) -> list[Pair]:
    gate = asyncio.Semaphore(OPENERS)

    async def one() -> Pair:
        async with gate:
            users = uuid4(), uuid4()
            pair = Pair(chaos, await chaos.system.conversation(*users), users)
            await pair.sender.session()
            await pair.recipient.session()
            return pair

    pairs = await asyncio.gather(*(one() for _ in range(count)))
    print(f"{2 * count} clients are connected", flush=True)
    return pairs


@asynccontextmanager
async def _staying(devices: Sequence[Device]) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(device.stay()) for device in devices]
    try:
        yield
    finally:
        await ended(*tasks)


@asynccontextmanager
async def _chatting(pairs: Sequence[Pair], rate: float) -> AsyncIterator[list[str]]:
    """So many messages/s over all, whatever comes back; all are acknowledged at the end."""
    phases = ["before"]
    stop = asyncio.Event()

    async def pace() -> None:
        async with asyncio.TaskGroup() as sends:
            began = monotonic()
            for number, pair in enumerate(itertools.cycle(pairs)):
                await asyncio.sleep(max(0.0, began + number / rate - monotonic()))
                if stop.is_set():
                    return
                sends.create_task(pair.say(phases[-1]))

    pacing = asyncio.create_task(pace())
    try:
        yield phases
    finally:
        stop.set()
        await pacing


async def _restart(house: House, program: str) -> None:
    held = await house.metric(program, "chat_connections")
    began = monotonic()
    pid = house.send(program, SIGTERM)

    async def is_gone() -> bool:
        return house.stack.pids().get(program) != pid

    drained = await until(is_gone, DRAIN_S + 10, f"{program} ends")
    await house.came_back(program, since=pid)
    print(
        f"{program}: {held:.0f} clients, drained in {drained:.1f} s, "
        f"back after {monotonic() - began:.1f} s",
        flush=True,
    )


def _waves(house: House, since: datetime, per_second: float) -> bool:
    """Whether no second had more returns than the rate, over all gateways."""
    lines = [
        line
        for program in house.programs(GATEWAY)
        for text in house.stack.layout.log(program).read_text().splitlines()
        if datetime.fromisoformat((line := json.loads(text))["timestamp"]) >= since
    ]
    begun = [_at(line) for line in lines if line["event"] == "session begins"]
    closed = [_at(line) for line in lines if line["event"] == "session ends"]
    odd = sum(line["event"] == "session ends" and line["code"] != GONE_CODE for line in lines)
    most = fullest_second(begun)
    print(
        f"\nat the gateways: {len(closed)} sessions closed, {odd} of them not with {GONE_CODE}; "
        f"{len(begun)} begun, at most {most} in any second (chosen: {per_second:.0f})"
    )
    by_second: dict[int, int] = {}
    for moment in begun:
        second = int(moment - min(begun))
        by_second[second] = by_second.get(second, 0) + 1
    print("  begun, second by second:", *(by_second.get(s, 0) for s in range(max(by_second) + 1)))
    return most <= per_second and not odd


def _at(line: dict[str, str]) -> float:
    return datetime.fromisoformat(line["timestamp"]).timestamp()


async def _kept(chaos: Whole, pairs: Sequence[Pair]) -> bool:
    """Whether history has each acknowledged message, once, and nothing else."""
    wrong = 0
    for pair in pairs:
        history = await chaos.system.history(pair.users[1], pair.conversation)
        kept = sorted((str(one["content"]), str(one["messageId"])) for one in history)
        said = sorted((text, one.message_id) for text, one in pair.messages.items())
        twice = [one for one in pair.messages.values() if len(one.received_ms) > 1]
        wrong += (kept != said) + len(twice)
    said_in_all = [message for pair in pairs for message in pair.messages.values()]
    live = sum(bool(message.received_ms) for message in said_in_all)
    print(
        f"messages: {len(said_in_all)} acknowledged, {live} of them received live, the others "
        f"found in history; lost, doubled or unknown: {wrong}"
    )
    return wrong == 0


def _latencies(pairs: Sequence[Pair]) -> bool:
    """Whether p99 of the untouched is below UNTOUCHED_P99_MS."""
    messages = [message for pair in pairs for message in pair.messages.values()]
    print(f"\n{'delivery, ms':<26}{'messages':>9}{'p50':>9}{'p95':>9}{'p99':>9}{'max':>9}")
    for phase in dict.fromkeys(message.phase for message in messages):
        _row(phase, [one for one in messages if one.phase == phase and one.untouched])
    restarts = [one for one in messages if one.phase not in ("before", "after")]
    p99 = _row("restarts, untouched", [one for one in restarts if one.untouched])
    _row("restarts, touched, live", [one for one in restarts if not one.untouched])
    return p99 < UNTOUCHED_P99_MS


def _row(name: str, messages: Sequence[Message]) -> float:
    """The p99."""
    took = [message.received_ms[0] / 1000 for message in messages if message.received_ms]
    if not took:
        return 0.0
    values = percentiles(took)
    print(f"{name:<26}{len(took):>9}" + "".join(f"{value:9.1f}" for value in values))
    return values[2]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.bench.rolling", description=__doc__)
    parser.add_argument("--pairs", type=int, default=150, help="of users")
    parser.add_argument("--rate", type=float, default=100.0, help="messages/s over all")
    parser.add_argument("--per-second", type=int, default=40, help="CHAT_RECONNECTS_PER_SECOND")
    options = parser.parse_args()
    sys.exit(not asyncio.run(measure(options)))


if __name__ == "__main__":
    main()
