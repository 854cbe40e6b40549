"""What users write, and their tokens, are in no log, metric, span or reason (docs/security.md)."""

import asyncio
import json
import re
import signal
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from urllib.parse import urlsplit
from uuid import UUID, uuid4

import httpx
import msgspec
import pytest
from uuid_utils.compat import uuid7
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake

from libs.client.session import Refused
from libs.common.domain.partition import partition_of
from libs.common.protocol import codec, events, writes
from libs.common.protocol.writes import InsertMessage
from libs.common.topology import MATCH_CREATED, kind_of
from local.roles import REST
from tests.integration.conftest import System
from tests.integration.keys import open_keys
from tests.integration.queues import Queues, open_queues
from tests.integration.watching import PARTITIONS, House, until, whole_house

Pair = tuple[UUID, UUID, UUID]

JWT = re.compile(rb"eyJ[\w-]{8,}\.eyJ[\w-]{8,}\.[\w-]*")


class Canaries:
    """Words that are nowhere else, each told by where it was put."""

    def __init__(self) -> None:
        self._run = uuid4().hex
        self._words: dict[str, str] = {}

    def __call__(self, where: str) -> str:
        word = f"canary{len(self._words)}x{self._run}"
        self._words[word] = where
        return word

    def found_in(self, text: bytes) -> list[str]:
        return [where for word, where in self._words.items() if word.encode() in text]


def logs_of(house: House) -> Iterator[tuple[Path, bytes]]:
    """Every role's, the edge's, the servers'."""
    for file in sorted(house.stack.layout.folder.rglob("*.log")):
        yield file, file.read_bytes()


@asynccontextmanager
async def every_statement_logged(house: House) -> AsyncIterator[None]:
    """As an operator may have it who looks for slow ones."""
    await house.database.execute("alter system set log_min_duration_statement = 0")
    await house.database.execute("select pg_reload_conf()")
    try:
        yield
    finally:
        await house.database.execute("alter system reset log_min_duration_statement")
        await house.database.execute("select pg_reload_conf()")


async def test_nothing_leaks(system: System, pair: Pair) -> None:
    canary = Canaries()
    async with whole_house() as house, open_queues() as queues:
        await queues.take_dead()
        async with every_statement_logged(house):
            message_id = await by_websocket(system, pair, canary)
            await by_bad_frames(system, pair, canary)
            await by_bad_handshakes(system, canary)
            await by_rest(system, pair, canary)
            await by_bad_requests(system, house, canary)
            await by_amqp(pair, queues, canary)
            await all_is_stored(house, pair)
        await by_failing_postgresql(house, pair, canary)
        await by_slow_redis(canary)
        dead = await queues.take_dead()
        assert len(dead) >= 5
        reasons = " ".join(one.reason + one.source for one in dead).encode()
        assert canary.found_in(reasons) == [], "in a header of chat.dead"
        for program in house.stack.admin_ports():
            for path in ("/metrics", f"/trace?id={message_id}"):
                answer = await house.ask(program, path)
                assert answer.status_code == 200
                assert canary.found_in(answer.content) == [], (program, path)
        await by_absent_processes(system, house, canary)
        seen = dict(logs_of(house))
        told = {file.name: canary.found_in(text) for file, text in seen.items()}
        assert {name: found for name, found in told.items() if found} == {}
        assert [file.name for file, text in seen.items() if JWT.search(text)] == []
        looked_at_the_right_places(seen)


def looked_at_the_right_places(seen: dict[Path, bytes]) -> None:
    """What each has to tell in any run is there."""
    told = {
        "router-1.log": b"partition active",
        "persister-1.log": b"write buried",
        "rest-1.log": b'"event":"call"',
        "gateway-1.log": b'"role":"ws_gateway"',
        "postgres.log": b"insert into messages",
        "rabbitmq.log": b"abb",
        "nginx.log": b" 502 from ",
    }
    for name, word in told.items():
        texts = [text for file, text in seen.items() if name.split("-")[0] in file.name]
        assert any(word.lower() in text.lower() for text in texts), name


# ------------------------------------------------------------------ what users do


async def by_websocket(system: System, pair: Pair, canary: Canaries) -> UUID:
    anna, ben, conversation = pair
    async with await system.open(anna) as annas, await system.open(ben) as bens:
        sent = await annas.send_message(conversation, canary("a message"))
        await bens.expect("MESSAGE_RECEIVED")
        await bens.mark_as_read(conversation, up_to_seq=sent["seq"])
        await bens.sync(conversation, 0)
        await annas.refresh_token(system.token(anna))
        deleted = await annas.send_message(conversation, canary("a deleted message"))
        async with system.rest(anna) as rest:
            answer = await rest.delete(f"/messages/{deleted['messageId']}")
            assert answer.status_code == 204
        with suppress(Refused):
            await annas.send_message(conversation, canary("a message with U+0000") + "\0")
        with suppress(Refused):
            await annas.send_message(uuid4(), canary("a message to nobody"))
    return UUID(sent["messageId"])


async def by_bad_frames(system: System, pair: Pair, canary: Canaries) -> None:
    anna, _, conversation = pair
    texts = (
        '{"type": "' + canary("a type"),
        json.dumps({"type": canary("an unknown type")}),
        json.dumps({"type": "SYNC", "conversationId": canary("an id"), "afterSeq": "x"}),
        json.dumps({"type": "PING", canary("a field"): canary("a field's value")}),
        '{"type":"SEND_MESSAGE","content":"' + canary("a lone surrogate") + '\\ud800"}',
    )
    async with await system.open(anna) as annas:
        for text in texts:
            await annas.send_text(text)
        await annas.sync(conversation, 0)
    for last in (canary("a frame that is too large") * 3_000, canary("a binary frame").encode()):
        async with await system.open(anna) as annas:
            await annas.send_text(last)
            await annas.wait_closed()


async def by_bad_handshakes(system: System, canary: Canaries) -> None:
    word = canary("a token in a subprotocol")
    token = system.token(uuid4())
    headers = {"Authorization": f"Bearer {canary('a token in a header')}"}
    for options in (
        {"additional_headers": headers},
        {"subprotocols": ["chat.v1", f"bearer.{word}"]},
        {"additional_headers": {"Origin": f"https://{canary('an origin')}"}},
    ):
        with suppress(InvalidHandshake, ConnectionClosed, OSError):
            async with connect(f"{system.socket_url}?token={token}", **options) as socket:
                frame = {"type": "CONNECT", "token": canary("a token in a frame")}
                await socket.send(json.dumps(frame))
                await socket.wait_closed()


async def by_rest(system: System, pair: Pair, canary: Canaries) -> None:
    _, ben, conversation = pair
    async with system.rest(ben) as rest:
        for path in (
            "/conversations",
            f"/conversations/{conversation}/messages",
            f"/messages/search?q={canary('a search')}",
            f"/messages/search?q={canary('another search')}&before={canary('a time')}",
            f"/messages/{canary('an id of a message')}",
            f"/{canary('an address')}",
            f"/conversations?cursor={canary('a cursor')}",
        ):
            await rest.get(path, headers={"User-Agent": canary("a browser"), "X-Evil": "1"})
    async with system.rest() as service:
        body = {"matchId": canary("a match"), "user1Id": str(ben), "user2Id": 7}
        await service.post("/conversations", json=body)
        await service.post("/conversations", content=b"{" + canary("no JSON").encode())
        path = f"/messages/search?q={canary('a search with a body')}"
        answer = await service.post(path, content=b"x" * 70_000)
        assert answer.status_code == 413, "by the edge"


async def by_bad_requests(system: System, house: House, canary: Canaries) -> None:
    """Past the edge, which would refuse them: raw, to the processes themselves."""
    token = system.token(uuid4())
    edge = urlsplit(system.edge).port
    ports = [edge, *house.stack.gateway_ports().values(), *rest_ports(house)]
    head = b"GET /api/chat/unread HTTP/1.1\r\nHost: x\r\n"
    for port in ports:
        for line in (
            f"Authorization : Bearer {token}",
            f"Authorization Bearer {token} {canary('a header without a colon')}",
            f"X\x01Y: {canary('a control character in a header')}",
            f"{canary('a header')}\u00e9: Bearer {token}",
        ):
            await raw(port, head + line.encode() + b"\r\n\r\n")
        await raw(port, canary("no HTTP").encode() + b" \x1b[31m\r\n\r\n")
        await raw(port, f"GET /{canary('an old protocol')} HTTP/9.9\r\n\r\n".encode())
        await raw(port, f"{canary('a method')} / HTTP/1.1\r\nHost: x\r\n\r\n".encode())


def rest_ports(house: House) -> list[int]:
    ports = json.loads(house.stack.layout.ports.read_text())
    return [ports[program] for program in house.programs(REST)]


async def raw(port: int | None, data: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    with suppress(TimeoutError, ConnectionError):
        async with asyncio.timeout(2):
            await reader.read(100)
    writer.close()


# ------------------------------------------------------------------ what reaches the queues


async def by_amqp(pair: Pair, queues: Queues, canary: Canaries) -> None:
    anna, _, conversation = pair
    partition = partition_of(conversation, PARTITIONS)
    for kind in ("events", "signals", "writes"):
        queue = f"chat.{kind}.{partition}"
        for item in (
            [canary(f"a tag in {kind}"), 1],
            ["send", canary(f"an id in {kind}"), 1],
            {canary(f"a key in {kind}"): 1},
        ):
            await queues.put(queue, msgspec.msgpack.encode([item]))
        await queues.put(queue, canary(f"no msgpack in {kind}").encode())
        assert kind_of(queue) == kind
    await queues.announce(MATCH_CREATED, json.dumps({"matchId": canary("a match's id")}).encode())
    await queues.announce(MATCH_CREATED, canary("no match").encode())
    send = events.Send(
        *(conversation, anna, uuid7(), None, canary("an event's content"), 5, uuid4(), "nobody")
    )
    await queues.put(f"chat.events.{partition}", codec.EVENTS.encode([send]))
    for seq, content in ((1, "a taken number"), (2**62, "a message of the end of time")):
        late = InsertMessage(conversation, seq, uuid7(), anna, None, canary(content), 2**62)
        await queues.put(f"chat.writes.{partition}", codec.WRITES.encode([late]))
    null = InsertMessage(conversation, 77, uuid7(), anna, None, canary("with U+0000") + "\0", 5)
    twice = InsertMessage(conversation, 1, uuid7(), anna, None, canary("a second seq"), 5)
    batch: list[writes.Write] = [null, twice]
    await queues.put(f"chat.writes.{partition}", codec.WRITES.encode(batch))


async def all_is_stored(house: House, pair: Pair) -> None:
    async def is_there() -> bool:
        text = house.stack.layout.folder.joinpath("logs")
        found = b"".join(file.read_bytes() for file in text.glob("persister-*.log"))
        return found.count(b"22021") >= 1

    await until(is_there, 10, "what can't be stored is buried")


async def by_failing_postgresql(house: House, pair: Pair, canary: Canaries) -> None:
    """An error that PostgreSQL itself would show with the whole row."""
    statement = (
        "insert into messages (id, conversation_id, sender_id, content, seq, changed_seq)"
        " values ($1, null, $1, $2, 1, 1)"
    )
    with pytest.raises(Exception, match="null value"):
        await house.database.execute(statement, uuid4(), canary("a failing row"))
    with suppress(httpx.HTTPError):
        await house.ask("rest-1", f"/trace?id={canary('no id')}")


async def by_slow_redis(canary: Canaries) -> None:
    """20 ms: by default Redis would keep it."""
    slow = """
        local function now() local time = redis.call('TIME') return time[1] * 1000000 + time[2] end
        local ends = now() + 20000
        repeat until now() > ends
    """
    async with open_keys() as keys:
        await keys.redis.eval(slow, 0, canary("a slow command of Redis"))
        kept = repr(await keys.redis.slowlog_get(128))
    assert canary.found_in(kept.encode()) == []


async def by_absent_processes(system: System, house: House, canary: Canaries) -> None:
    """The edge finds nobody who answers."""
    killed = {program: house.send(program, signal.SIGKILL) for program in house.programs(REST)}

    async def nobody_answers() -> bool:
        async with system.rest(uuid4()) as rest:
            answer = await rest.get(f"/messages/search?q={canary('a search for nobody')}")
            return answer.status_code == 502

    await until(nobody_answers, 5, "the edge says 502")
    for program, pid in killed.items():
        await house.came_back(program, pid)
