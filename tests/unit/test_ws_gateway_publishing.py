"""What happens to events while their queue refuses them."""

import asyncio
from typing import cast
from uuid import UUID

import pytest

from libs.common.broker import BrokerLost, Channel, Overloaded, Unroutable
from libs.common.domain.partition import partition_of
from libs.common.protocol.codec import EVENTS, SIGNALS
from libs.common.protocol.events import Delivered, Here, Open, Origin, Send, Signal, Sync, Typing
from services.ws_gateway.publishing import MAX_WAITING_BYTES, Publishing

CONVERSATION = UUID(int=0xC0)


class Refusing:
    """A channel that raises what it is told to, then takes everything."""

    def __init__(self, *errors: Exception) -> None:
        self.errors = list(errors)
        self.open = asyncio.Event()
        self.open.set()
        self.taken: list[Send | Delivered] = []

    async def publish(self, queue: str, body: bytes, *, lasting: bool) -> None:
        assert (queue, lasting) == ("chat.events.0", True)
        await self.open.wait()
        if self.errors:
            raise self.errors.pop(0)
        self.taken += [e for e in EVENTS.decode(body)[0] if isinstance(e, Send | Delivered)]


def publishing(channel: Refusing, told: list[bool]) -> Publishing:
    return Publishing(
        cast(Channel, channel), 1, pacing_s=0.0, receipt_patience_s=0.0, on_congestion=told.append
    )


def send(number: int, content: str = "x") -> Send:
    user, session = UUID(int=1), UUID(int=2)
    return Send(CONVERSATION, user, UUID(int=number), None, content, 0, session, "gateway-1")


async def test_a_refused_batch_is_repeated_in_order() -> None:
    channel = Refusing(Overloaded("full"), Unroutable("deleted"), Overloaded("full"))
    outbox = publishing(channel, [])
    events = [send(number) for number in range(10)]
    for event in events:
        outbox.event(event)
        await asyncio.sleep(0)
    await outbox.drain()
    assert channel.taken == events


async def test_a_lost_broker_ends_it() -> None:
    outbox = publishing(Refusing(BrokerLost("gone")), [])
    outbox.event(send(1))
    with pytest.raises(BrokerLost):
        await outbox.drain()
    outbox.close()


async def test_clients_are_not_read_while_too_much_waits() -> None:
    channel = Refusing()
    channel.open.clear()
    told: list[bool] = []
    outbox = publishing(channel, told)
    for number in range(MAX_WAITING_BYTES // 4000 + 2):
        outbox.event(send(number, "x" * 4000))
    assert told == [True]
    channel.open.set()
    await outbox.drain()
    assert told == [True, False]


# --- signals -------------------------------------------------------------------------------


class Taking:
    """A channel that takes signals, by queue."""

    def __init__(self) -> None:
        self.taken: dict[str, list[Signal]] = {}

    async def publish(self, queue: str, body: bytes, *, lasting: bool) -> None:
        assert not lasting, "never to disk"
        self.taken.setdefault(queue, []).extend(SIGNALS.decode(body)[0])


async def test_a_signal_goes_to_what_it_concerns() -> None:
    channel = Taking()
    told: list[bool] = []
    outbox = Publishing(
        cast(Channel, channel), 8, pacing_s=0, receipt_patience_s=0, on_congestion=told.append
    )
    user, session = UUID(int=1), UUID(int=2)
    of_user, of_conversation = (partition_of(key, 8) for key in (user, CONVERSATION))
    assert of_user != of_conversation
    users: list[Signal] = [Open(user, session, "gateway-1", 0), Here(user)]
    origin = Origin("gateway-1", session, UUID(int=3))
    conversations: list[Signal] = [
        Typing(CONVERSATION, user, True, session, "gateway-1"),
        Sync(CONVERSATION, user, 7, 200, origin),
    ]
    for signal in users + conversations:
        outbox.signal(signal)
    await asyncio.sleep(0.01)
    assert channel.taken == {
        f"chat.signals.{of_user}": users,
        f"chat.signals.{of_conversation}": conversations,
    }
    outbox.close()
