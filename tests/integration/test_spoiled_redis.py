"""What Redis holds may be anything (promises 8 and 9): the chat goes on, and no process ends."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest

from libs.client.session import Session
from libs.common import keys
from libs.common.domain.partition import partition_of
from libs.common.keys import GATEWAYS, SESSIONS, Key
from tests.integration.conftest import System
from tests.integration.keys import open_keys
from tests.integration.unharmed import unharmed
from tests.integration.watching import PARTITIONS, House, until, whole_house

EVERY = {name: key for name, key in vars(keys).items() if isinstance(key, Key)}

BYTES = b"\xff\xfe\0no text"
LONG = b"9" * 40
TRUNCATED = b'[{"messageId": "0193'

Spoil = Callable[[Any, str, "Scene"], Awaitable[object]]


async def of_another_type(redis: Any, key: str, scene: "Scene") -> None:
    """None of ours is a stream."""
    await redis.delete(key)
    await redis.xadd(key, {"a": BYTES})


async def as_text(redis: Any, key: str, scene: "Scene") -> None:
    await redis.set(key, BYTES)


async def as_a_number(redis: Any, key: str, scene: "Scene") -> None:
    await redis.set(key, LONG + b":" + LONG)


async def as_infinity(redis: Any, key: str, scene: "Scene") -> None:
    await redis.set(key, b"inf")


async def as_very_much(redis: Any, key: str, scene: "Scene") -> None:
    await redis.set(key, b"x" * (1 << 20))


async def among_what_is_there(redis: Any, key: str, scene: "Scene") -> None:
    """Fields or members of the right type, beside good ones."""
    match (await redis.type(key)).decode():
        case "hash":
            await redis.hset(key, mapping={BYTES: BYTES, b"no id": LONG, b"items": TRUNCATED})
        case "zset":
            await redis.zadd(key, {BYTES: 0, b"no id": "-inf", b"nor this": "+inf", LONG: 1e17})
        case "set":
            await redis.sadd(key, BYTES, b"no id")
        case kind:
            assert kind in ("string", "none")
            await redis.hset(key, mapping={BYTES: BYTES}) if kind == "none" else None


async def in_the_place_of_what_is_there(redis: Any, key: str, scene: "Scene") -> None:
    """The right fields with values that mean nothing."""
    if (await redis.type(key)) == b"hash":
        fields = await redis.hkeys(key)
        await redis.hset(key, mapping=dict.fromkeys([*fields, str(scene.conversation)], LONG))
        await redis.hset(key, mapping=dict.fromkeys(fields[::2], BYTES))


SPOILS: tuple[Spoil, ...] = (
    of_another_type,
    as_text,
    as_a_number,
    as_infinity,
    as_very_much,
    among_what_is_there,
    in_the_place_of_what_is_there,
)


@dataclass(frozen=True)
class Scene:
    system: System
    house: House
    redis: Any
    anna: UUID
    ben: UUID
    conversation: UUID
    gateways: list[str]
    annas: Session
    bens: Session

    def names(self, key: Key) -> list[str]:
        """Of this key, those that this chat needs."""
        partitions = {partition_of(one, PARTITIONS) for one in (self.anna, self.conversation)}
        parts: dict[str, list[tuple[object, ...]]] = {
            "MEMBERS": [("router",), ("persister",)],
            "GATEWAYS": [()],
            "REVOCATIONS": [()],
            "GATEWAY_USERS": [(name, p) for name in self.gateways for p in partitions],
            "RATE": [(kind, self.anna) for kind in ("messages", "calls", "connects")],
            **{name: [(p,) for p in partitions] for name in ("EPOCH", "WARM", "LEAVING")},
            **{name: [(self.conversation,)] for name in ("SEQ", "USERS", "TYPING", "RECENT")},
            **{name: [(self.anna,), (self.ben,)] for name in OF_USERS},
        }
        [name] = [name for name, one in EVERY.items() if one is key]
        return [key.pattern % one for one in parts[name]]

    async def go_on(self) -> None:
        """All that a user can do, done by these two; what they were sent comes live."""
        words = [f"from {who} {uuid4()}" for who in ("anna", "ben")]
        await asyncio.gather(
            self.annas.send_message(self.conversation, words[0]),
            self.bens.send_message(self.conversation, words[1]),
        )
        await self.bens.expect("MESSAGE_RECEIVED", content=words[0])
        await self.annas.expect("MESSAGE_RECEIVED", content=words[1])
        await self.annas.typing(self.conversation)
        await self.annas.mark_as_read(self.conversation, up_to_seq=2**53)
        await self.annas.sync(self.conversation, 0, limit=5)
        async with await self.system.open(self.anna) as second:
            assert self.conversation in second.heads
        await self.read(words)

    async def read(self, words: list[str]) -> None:
        """No call fails; what was said is there."""
        one = f"/conversations/{self.conversation}"
        paths = ("/conversations", one, f"{one}/sync?after=0", "/unread", f"{one}/messages")
        async with self.system.rest(self.anna) as rest:
            for path in (*paths, "/messages/search?q=from", f"{one}/messages"):
                answer = await rest.get(path)
                assert answer.status_code == 200, (path, answer.text)
            contents = [item["content"] for item in answer.json()["items"][:2]]
            assert sorted(contents) == sorted(words)


OF_USERS = ("HEADS", "STATUS", "SESSIONS", "UNREAD")


@pytest.fixture
async def scene(system: System, pair: tuple[UUID, UUID, UUID]) -> AsyncIterator[Scene]:
    anna, ben, _ = pair
    async with (
        whole_house() as house,
        open_keys() as opened,
        await system.open(anna) as annas,
        await system.open(ben) as bens,
    ):
        # What another test has left among them is for a router to bury.
        names = await opened.redis.zrange(GATEWAYS(), 0, -1)
        gateways = [name.decode() for name in names if name.isascii()]
        with unharmed(house):
            yield Scene(system, house, opened.redis, *pair, gateways, annas, bens)


@pytest.mark.parametrize("name", EVERY)
async def test_whatever_a_key_holds(scene: Scene, name: str) -> None:
    await scene.go_on()
    for spoil in SPOILS:
        for key in scene.names(EVERY[name]):
            await spoil(scene.redis, key, scene)
        await scene.go_on()


async def test_a_session_that_was_lost_is_registered_anew(scene: Scene) -> None:
    """Not only told everything while Redis counts as emptied: it is in its key again."""
    key = SESSIONS(scene.ben)
    before = await scene.redis.hgetall(key)
    await of_another_type(scene.redis, key, scene)
    await scene.annas.send_message(scene.conversation, "who is there?")

    async def is_there() -> bool:
        is_hash = await scene.redis.type(key) == b"hash"
        return bool(is_hash and await scene.redis.hgetall(key) == before)

    await until(is_there, 5, "Ben's session in Redis")
