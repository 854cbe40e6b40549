"""Never more than 10 accepted messages of one user in any one second (DESIGN.md, 4).

`make test` starts its stack without that limit, which most tests would run into. So these ask the
same script on the same Redis, as many routers would at once; and one starts a stack of its own.
"""

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from uuid import UUID, uuid4

import pytest

from libs.client.session import Frame, Refused, Session
from libs.common.cache import Cache
from libs.common.domain.permit import Permit
from libs.common.limits import Limit, permits
from local.layout import ROOT
from local.stack import Stack
from tests.integration.conftest import System

LIMIT = Limit("test", 10)


async def ask(cache: Cache, user: UUID, tries: list[bytes], limit: Limit = LIMIT) -> list[Permit]:
    batch = cache.batch()
    batch.script(*limit.command(user, tries))
    [answer] = await batch.run()
    return permits(answer)


@pytest.fixture
async def caches() -> list[Cache]:
    """As many routers as might ask at once."""
    return [Cache(os.environ["CHAT_REDIS_URL"]) for _ in range(4)]


async def test_never_more_than_ten_in_any_second(caches: list[Cache]) -> None:
    """Four routers ask without pause for 3 s: by the granted times, no window holds eleven."""
    user, granted = uuid4(), list[int]()
    until = asyncio.get_running_loop().time() + 3

    async def press(cache: Cache) -> None:
        while asyncio.get_running_loop().time() < until:
            tries = [uuid4().bytes for _ in range(3)]
            for permit in await ask(cache, user, tries):
                if permit.granted_at is not None:
                    granted.append(permit.granted_at)
                else:
                    assert 1 <= permit.retry_after_ms <= 1000

    await asyncio.gather(*map(press, caches))
    granted.sort()
    assert 30 <= len(granted) <= 40
    assert all(later - first >= 1000 for first, later in zip(granted, granted[10:], strict=False))
    for cache in caches:
        await cache.close()


async def test_a_try_gets_one_answer_however_often_it_is_asked(caches: list[Cache]) -> None:
    """A redelivered event: what its sender was told stays true (promise 10)."""
    user, cache = uuid4(), caches[0]
    tries = [uuid4().bytes for _ in range(12)]
    first = await ask(cache, user, tries)
    assert [permit.granted_at is None for permit in first] == [False] * 10 + [True] * 2
    again = await ask(caches[1], user, tries[::-1])
    assert [permit.granted_at for permit in again[::-1]] == [p.granted_at for p in first]
    await asyncio.sleep(1.1)  # the window itself: what is tested is that time passes
    late = await ask(cache, user, [tries[-1], uuid4().bytes])
    assert late[0].granted_at is None, "refused once is refused, though there is room now"
    assert late[1].granted_at is not None
    for one in caches:
        await one.close()


async def test_after_retry_after_ms_there_is_room(caches: list[Cache]) -> None:
    user, cache = uuid4(), caches[0]
    *_, refused = await ask(cache, user, [uuid4().bytes for _ in range(11)])
    await asyncio.sleep(refused.retry_after_ms / 1000)  # as a client is told to
    [permit] = await ask(cache, user, [uuid4().bytes])
    assert permit.granted_at is not None
    [other] = await ask(cache, uuid4(), [uuid4().bytes])
    assert other.granted_at is not None, "each user has a limit of their own"
    for one in caches:
        await one.close()


# ---------------------------------------------------------------- the whole system


SENDS = 40
"""On each of three sessions, as fast as they go."""


@pytest.fixture
def limited() -> Iterator[Stack]:
    """A stack with the limits that it has by default."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("CHAT_")}
    environ |= {"CHAT_STACK": "limited", "CHAT_PARTITIONS": "2", "ROUTERS": "1"}
    command = (sys.executable, "-m", "local")
    subprocess.run([*command, "up"], env=environ, cwd=ROOT, check=True)
    try:
        yield Stack("limited")
    finally:
        subprocess.run([*command, "down"], env=environ, cwd=ROOT, check=True)


@pytest.mark.timeout(180)
async def test_over_all_connections_gateways_and_conversations(limited: Stack) -> None:
    """By the stored timestamps no second has eleven; each try has one answer; tries again count
    nothing; who is refused is told when to come back, and then gets through."""
    variables = limited.environment()
    system = System(variables)
    anna = uuid4()
    conversations = [await system.conversation(anna, uuid4()) for _ in range(3)]
    ports = sorted(limited.gateway_ports().values())
    urls = [f"ws://127.0.0.1:{port}/api/chat/ws" for port in (*ports, ports[0])]
    sessions = [await system.open(anna, url=url) for url in urls]

    refusals: list[Frame] = []

    async def send(session: Session, conversation: UUID, client_id: UUID) -> Frame:
        """As often as it takes."""
        while True:
            try:
                return await session.send_message(conversation, "hello", client_id)
            except Refused as refused:
                refusals.append(refused.frame)
                await asyncio.sleep(refused.frame["retryAfterMs"] / 1000)

    async def press(session: Session, conversation: UUID) -> list[Frame]:
        answers: list[Frame] = []
        for number in range(SENDS):
            client_id = uuid4()
            answers.append(await send(session, conversation, client_id))
            if number % 10 == 0:
                again = await session.send_message(conversation, "hello", client_id)
                assert again == answers[-1], "a further try needs no permit"
        return answers

    answered = await asyncio.gather(*map(press, sessions, conversations))
    assert sum(map(len, answered)) == 3 * SENDS
    assert {(frame["code"], frame["error"]) for frame in refusals} == {(429, "RATE_LIMITED")}
    assert all(frame["ref"]["clientMessageId"] for frame in refusals)
    for session in sessions:
        await session.close()
    stamps = sorted(datetime.fromisoformat(f["timestamp"]) for some in answered for f in some)
    second = timedelta(seconds=1)
    assert all(late - first >= second for first, late in zip(stamps, stamps[10:], strict=False))
    for conversation in conversations:
        assert len(await system.history(anna, conversation)) == SENDS
