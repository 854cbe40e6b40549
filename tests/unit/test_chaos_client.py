"""One device of the campaign against a server that does what the test says, on a real socket."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from random import Random
from uuid import UUID, uuid4

import pytest
from websockets.asyncio.server import ServerConnection, serve

from tests.chaos.client import Client
from tests.chaos.evidence import Frame, Operation
from tests.chaos.recorder import Recorder

ME, OTHER, CONVERSATION = uuid4(), uuid4(), uuid4()
SECONDS = 10.0

Script = Callable[["Line"], Awaitable[None]]


class Line:
    """One session, from the server's side."""

    def __init__(self, socket: ServerConnection) -> None:
        self._socket = socket

    async def welcome(self, head: int = 1) -> None:
        heads = {str(CONVERSATION): head}
        await self.tell(type="CONNECT_SUCCESS", userId=str(ME), heads=heads)
        if head:
            asked = await self.hear("SYNC")
            await self.synced(asked["afterSeq"], head)

    async def synced(self, after: int, head: int) -> None:
        place = {"conversationId": str(CONVERSATION), "messages": [], "head": head}
        await self.tell(type="SYNC_RESULT", **place, complete=True)

    async def tell(self, **frame: object) -> None:
        await self._socket.send(json.dumps(frame))

    async def hear(self, kind: str) -> Frame:
        frame: Frame = json.loads(await self._socket.recv())
        assert frame["type"] == kind, frame
        return frame

    async def sent(self, asked: Frame, seq: int) -> None:
        await self.tell(
            type="MESSAGE_SENT",
            clientMessageId=asked.get("clientMessageId"),
            conversationId=asked["conversationId"],
            messageId=str(uuid4()),
            seq=seq,
            timestamp="2026-01-01T00:00:00.000Z",
        )

    async def received(self, message_id: UUID, seq: int) -> None:
        await self.tell(
            type="MESSAGE_RECEIVED",
            conversationId=str(CONVERSATION),
            messageId=str(message_id),
            senderId=str(OTHER),
            content="hi",
            seq=seq,
            timestamp="2026-01-01T00:00:00.000Z",
        )

    async def read(self, message_ids: list[UUID], seq: int) -> None:
        await self.tell(
            type="MESSAGE_READ",
            conversationId=str(CONVERSATION),
            messageId=None,
            messageIds=[str(one) for one in message_ids],
            readerId=str(ME),
            readAt="2026-01-01T00:00:00.000Z",
            seq=seq,
        )

    async def refuse(self, asked: Frame, code: int, error: str) -> None:
        names = ("type", "clientMessageId", "conversationId")
        ref = {name: asked[name] for name in names if name in asked}
        frame = {"code": code, "error": error, "message": "", "ref": ref}
        await self.tell(type="ERROR", **frame, retryAfterMs=10)

    def cut(self) -> None:
        self._socket.transport.abort()

    async def close(self, code: int) -> None:
        await self._socket.close(code)

    async def stays(self) -> None:
        await self._socket.wait_closed()


async def soon(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(SECONDS):
        while True:
            if holds():
                return
            await asyncio.sleep(0.01)


class Seen:
    """A device with its recorder."""

    def __init__(self, client: Client, recorder: Recorder) -> None:
        self.client = client
        self.recorder = recorder

    async def ended(self, count: int, kind: str = "send") -> list[Operation]:
        """The first so many of that kind."""
        found: list[Operation] = []

        def are_there() -> bool:
            found[:] = [one for one in self.recorder.operations if one.kind == kind]
            return len(found) >= count

        await soon(are_there)
        return found

    async def is_settled(self) -> None:
        await soon(lambda: self.client.is_settled)


@asynccontextmanager
async def device(*scripts: Script) -> AsyncIterator[Seen]:
    """Each session of it is the next script; then no more come. Fails when a script has."""
    coming: Iterator[Script] = iter(scripts)
    failures: list[BaseException] = []

    async def play(socket: ServerConnection) -> None:
        script = next(coming, None)
        try:
            if script is not None:
                await script(Line(socket))
        except Exception as failure:  # noqa: BLE001 (the server would only log it)
            failures.append(failure)

    async with serve(play, "127.0.0.1", 0, compression=None) as server:
        port = server.sockets[0].getsockname()[1]
        recorder = Recorder()
        client = Client(
            ME, "a", lambda: f"ws://127.0.0.1:{port}", "token", recorder, random=Random(1)
        )
        running = asyncio.create_task(client.run())
        try:
            yield Seen(client, recorder)
        finally:
            client.stop()
            await asyncio.wait_for(running, SECONDS)
    assert not failures, failures


async def test_what_got_no_answer_is_sent_again_in_order_over_the_next_session() -> None:
    heard: list[list[str]] = []

    async def cuts(line: Line) -> None:
        await line.welcome()
        heard.append([(await line.hear("SEND_MESSAGE"))["content"] for _ in range(3)])
        line.cut()

    async def answers(line: Line) -> None:
        # Nothing new: no SYNC.
        await line.welcome(head=0)
        asked = [await line.hear("SEND_MESSAGE") for _ in range(3)]
        heard.append([one["content"] for one in asked])
        for seq, one in enumerate(asked, 2):
            await line.sent(one, seq)
        await line.stays()

    ids = [uuid4() for _ in range(3)]
    async with device(cuts, answers) as seen:
        await seen.is_settled()
        for number, client_id in enumerate(ids):
            assert seen.client.send(CONVERSATION, f"m{number}", client_id)
        sends = await seen.ended(3)
    assert heard == [["m0", "m1", "m2"]] * 2
    assert [send.client_message_id for send in sends] == ids
    assert [(send.outcome, send.sessions, send.order) for send in sends] == [
        ("ok", [0, 1], 1),
        ("ok", [0, 1], 2),
        ("ok", [0, 1], 3),
    ]
    [cut, last] = seen.recorder.closed
    assert (cut.session, cut.by_client) == (0, False)
    assert (last.session, last.by_client, last.code) == (1, True, 1000)


async def test_a_message_without_an_id_is_never_sent_twice() -> None:
    async def cuts(line: Line) -> None:
        await line.welcome()
        await line.hear("SEND_MESSAGE")
        line.cut()

    async def listens(line: Line) -> None:
        await line.welcome(head=0)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(line.hear("SEND_MESSAGE"), 0.5)
        await line.stays()

    async with device(cuts, listens) as seen:
        await seen.is_settled()
        assert seen.client.send(CONVERSATION, "hi", None)
        assert not seen.client.send(CONVERSATION, "one at a time", None)
        [send] = await seen.ended(1)
        await seen.is_settled()
        await asyncio.sleep(0.6)
    assert (send.outcome, send.sessions) == ("unknown", [0])


async def test_refused_for_now_is_sent_again_and_refused_for_good_has_failed() -> None:
    async def refuses(line: Line) -> None:
        await line.welcome()
        asked = await line.hear("SEND_MESSAGE")
        await line.refuse(asked, 429, "RATE_LIMITED")
        assert await line.hear("SEND_MESSAGE") == asked
        await line.refuse(asked, 500, "INTERNAL")
        assert await line.hear("SEND_MESSAGE") == asked
        await line.sent(asked, 2)
        await line.refuse(await line.hear("SEND_MESSAGE"), 403, "CONVERSATION_ARCHIVED")
        await line.stays()

    async with device(refuses) as seen:
        await seen.is_settled()
        seen.client.send(CONVERSATION, "hi", uuid4())
        await seen.ended(1)
        seen.client.send(CONVERSATION, "too late", uuid4())
        [accepted, refused] = await seen.ended(2)
    assert (accepted.outcome, accepted.sessions) == ("ok", [0, 0, 0])
    assert (refused.outcome, refused.sessions) == ("failed", [0])
    assert refused.answer is not None
    assert refused.answer["error"] == "CONVERSATION_ARCHIVED"


async def test_a_refusal_says_nothing_of_a_try_that_had_no_answer() -> None:
    async def cuts(line: Line) -> None:
        await line.welcome()
        await line.hear("SEND_MESSAGE")
        line.cut()

    async def refuses(line: Line) -> None:
        await line.welcome(head=0)
        await line.refuse(await line.hear("SEND_MESSAGE"), 403, "CONVERSATION_ARCHIVED")
        await line.stays()

    async with device(cuts, refuses) as seen:
        await seen.is_settled()
        seen.client.send(CONVERSATION, "hi", uuid4())
        [send] = await seen.ended(1)
    assert send.outcome == "unknown"


async def test_a_gap_that_stays_is_filled_from_the_last_number_without_one() -> None:
    async def leaves_a_gap(line: Line) -> None:
        await line.welcome()
        await line.received(uuid4(), 3)
        assert (await line.hear("SYNC"))["afterSeq"] == 1
        await line.synced(1, 3)
        await line.stays()

    async with device(leaves_a_gap) as seen:
        syncs = await seen.ended(2, "sync")
        assert seen.client.views[CONVERSATION].head == 3
    assert [(sync.up_to_seq, sync.outcome) for sync in syncs] == [(0, "ok"), (1, "ok")]
    assert syncs[1].began - seen.recorder.heard[-2].at > 0.9, "it gives late frames a second"


async def test_entries_that_overtake_each_other_are_no_gap() -> None:
    async def swaps(line: Line) -> None:
        await line.welcome()
        await line.received(uuid4(), 3)
        await line.received(uuid4(), 2)
        await line.stays()

    async with device(swaps) as seen:
        await seen.ended(1, "sync")
        await asyncio.sleep(1.5)
        assert seen.client.views[CONVERSATION].head == 3
        assert len(await seen.ended(1, "sync")) == 1


async def test_a_reading_is_over_when_all_that_it_named_is_read() -> None:
    first, second = uuid4(), uuid4()

    async def reads_one_after_the_other(line: Line) -> None:
        await line.welcome()
        await line.received(first, 2)
        await line.received(second, 3)
        asked = await line.hear("MARK_AS_READ")
        assert asked["messageIds"] == [str(first), str(second)]
        await line.read([first], 4)
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(line.hear("MARK_AS_READ"), 0.2)
        await line.read([second], 5)
        await line.stays()

    async with device(reads_one_after_the_other) as seen:
        await soon(lambda: len(seen.client.seen) == 2)
        assert seen.client.mark_as_read(CONVERSATION, by_id=True)
        [read] = await seen.ended(1, "read")
        assert not seen.client.mark_as_read(CONVERSATION, by_id=True), "nothing is left"
    assert (read.outcome, read.message_ids) == ("ok", [first, second])
    assert read.answer is not None
    assert read.answer["seq"] == 5


async def test_a_token_that_has_run_out_is_final() -> None:
    async def expires(line: Line) -> None:
        await line.welcome()
        await line.close(4401)

    async with device(expires) as seen:
        await soon(lambda: seen.client.dead is not None)
    assert seen.client.dead is not None
    assert seen.client.dead.code == 4401
    [closed] = seen.recorder.closed
    assert (closed.code, closed.by_client) == (4401, False)


async def test_who_is_sent_away_before_being_let_in_has_had_no_session() -> None:
    async def sends_away(line: Line) -> None:
        await line.tell(type="RECONNECT", afterMs=10, reason="recovering")
        await line.close(1012)

    async def lets_in(line: Line) -> None:
        await line.welcome()
        await line.stays()

    async with device(sends_away, lets_in) as seen:
        await seen.is_settled()
    assert {heard.frame["type"] for heard in seen.recorder.heard} == {
        "CONNECT_SUCCESS",
        "SYNC_RESULT",
    }
    assert {heard.session for heard in seen.recorder.heard} == {0}
