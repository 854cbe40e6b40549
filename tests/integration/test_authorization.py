"""Who may do what: every frame and every call, as everybody. A new one without a row fails."""

import asyncio
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import jwt
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from libs.client.questions import ANSWERS, Frame
from libs.common.protocol.frames import CLIENT_FRAME_TYPES
from services.rest_api.operations import OPERATIONS
from tests.integration.conftest import System
from tests.integration.keys import open_keys
from tests.integration.watching import whole_house

NO, BAD, EXPIRED = "no token", "bad token", "expired token"
STRANGER, PARTICIPANT, FORMER, SERVICE = "stranger", "participant", "former match", "service"
CALLERS = (NO, BAD, EXPIRED, STRANGER, PARTICIPANT, FORMER, SERVICE)
"""A bad or an expired token is one of the participant; a former match has it archived."""

REFUSED = {NO: "UNAUTHENTICATED", BAD: "TOKEN_INVALID", EXPIRED: "TOKEN_EXPIRED"}
"""What 401 in the tables says to each."""

# REST. `shown`: 200 with what is theirs; `nothing`: 200 without any of it; a constant: refused so.
CALLS = {
    # operation: without a good token, stranger, participant, former match, service
    "listConversations": (401, "nothing", "shown", "shown", "nothing"),
    "listConversations with q": (401, "nothing", "shown", "shown", "nothing"),
    "createConversation": (401, "NOT_PERMITTED", "NOT_PERMITTED", "NOT_PERMITTED", 201),
    "getConversation": (401, "NOT_PARTICIPANT", "shown", "shown", "NOT_PARTICIPANT"),
    "archiveConversation": (401, "NOT_PARTICIPANT", 204, 204, "NOT_PARTICIPANT"),
    "listMessages": (401, "NOT_PARTICIPANT", "shown", "shown", "NOT_PARTICIPANT"),
    "syncConversation": (401, "NOT_PARTICIPANT", "shown", "shown", "NOT_PARTICIPANT"),
    "getMessage": (401, "NOT_PARTICIPANT", "shown", "shown", "NOT_PARTICIPANT"),
    "deleteMessage": (401, "NOT_PARTICIPANT", 204, 204, "NOT_PARTICIPANT"),
    "deleteMessage of the other's": (
        *(401, "NOT_PARTICIPANT", "NOT_SENDER", "NOT_SENDER", "NOT_PARTICIPANT"),
    ),
    "markMessageRead": (401, "NOT_PARTICIPANT", 204, 204, "NOT_PARTICIPANT"),
    "markMessageRead of one's own": (
        *(401, "NOT_PARTICIPANT", "NOT_RECIPIENT", "NOT_RECIPIENT", "NOT_PARTICIPANT"),
    ),
    "getSentMessage": (401, "MESSAGE_NOT_FOUND", "shown", "shown", "MESSAGE_NOT_FOUND"),
    "searchMessages": (401, "nothing", "shown", "shown", "nothing"),
    "searchMessages of a sender": (401, "nothing", "shown", "shown", "nothing"),
    "searchMessages in it": (401, "NOT_PARTICIPANT", "shown", "shown", "NOT_PARTICIPANT"),
    "getUnread": (401, "nothing", "shown", "nothing", "nothing"),  # archived: no longer counted
    "getOpenapi": (200, 200, 200, 200, 200),
    "getAsyncapi": (200, 200, 200, 200, 200),
    "getDocs": (200, 200, 200, 200, 200),
}
QUERIES = {
    "listConversations with q": "?q={word}",
    "syncConversation": "?after=0",
    "searchMessages": "?q={word}",
    "searchMessages of a sender": "?q={word}&senderId={ben}",
    "searchMessages in it": "?q={word}&conversationId={conversation_id}",
}

# WebSocket. A type: what answers; after ▷ what the other user hears instead; a constant: ERROR.
FRAMES = {
    # frame: without a good token, stranger, participant, former match, service
    "CONNECT": (401, *["ALREADY_CONNECTED"] * 4),
    "REFRESH_TOKEN": (401, *["TOKEN_REFRESHED"] * 4),
    "REFRESH_TOKEN of the other user": (401, *["TOKEN_INVALID"] * 4),
    "SEND_MESSAGE": (
        *(401, "NOT_PARTICIPANT", "MESSAGE_SENT", "CONVERSATION_ARCHIVED", "NOT_PARTICIPANT"),
    ),
    "MARK_AS_READ": (401, "NOT_PARTICIPANT", "MESSAGE_READ", "MESSAGE_READ", "NOT_PARTICIPANT"),
    "MARK_AS_READ of one's own": (
        *(401, "NOT_PARTICIPANT", "NOT_RECIPIENT", "NOT_RECIPIENT", "NOT_PARTICIPANT"),
    ),
    "MARK_AS_READ up to a seq": (
        *(401, "NOT_PARTICIPANT", "MESSAGE_READ", "MESSAGE_READ", "NOT_PARTICIPANT"),
    ),
    "TYPING_START": (
        *(401, "NOT_PARTICIPANT", "▷ TYPING_START", "CONVERSATION_ARCHIVED", "NOT_PARTICIPANT"),
    ),
    "TYPING_STOP": (
        *(401, "NOT_PARTICIPANT", "▷ TYPING_STOP", "CONVERSATION_ARCHIVED", "NOT_PARTICIPANT"),
    ),
    "SYNC": (401, "NOT_PARTICIPANT", "SYNC_RESULT", "SYNC_RESULT", "NOT_PARTICIPANT"),
    "PING": (401, "PONG", "PONG", "PONG", "PONG"),
}

Row = tuple[object, ...]


def name_in(row: str) -> str:
    """The operation's or the frame's."""
    return row.partition(" ")[0]


def expected(row: Row, caller: str) -> object:
    column = {STRANGER: 1, PARTICIPANT: 2, FORMER: 3, SERVICE: 4}.get(caller, 0)
    return REFUSED[caller] if row[column] == 401 else row[column]


@dataclass(frozen=True)
class Scene:
    """A conversation in which each has sent the other a message."""

    anna: UUID
    ben: UUID
    conversation: UUID
    own: UUID
    """Anna's message."""
    client_id: UUID
    theirs: UUID
    """Ben's, which Anna has not read."""
    word: str
    """In both."""

    @classmethod
    async def begin(cls, system: System, *, archived: bool) -> "Scene":
        anna, ben, client_id = uuid4(), uuid4(), uuid4()
        word = f"word{uuid4().hex}"
        conversation = await system.conversation(anna, ben)
        async with await system.open(anna) as annas:
            own = await annas.send_message(conversation, f"{word} of Anna", client_id)
        async with await system.open(ben) as bens:
            theirs = await bens.send_message(conversation, f"{word} of Ben")
        if archived:
            async with system.rest(ben) as rest:
                answer = await rest.delete(f"/conversations/{conversation}")
                assert answer.status_code == 204
        ids = UUID(own["messageId"]), client_id, UUID(theirs["messageId"])
        return cls(anna, ben, conversation, *ids, word)

    @property
    def secrets(self) -> list[str]:
        """None of it is anybody else's business."""
        ids = (self.anna, self.ben, self.conversation, self.own, self.client_id, self.theirs)
        return [*map(str, ids), self.word]

    def address(self, call: str) -> tuple[str, str]:
        """Method and path with query."""
        [operation] = [row for row in OPERATIONS if row.name == name_in(call)]
        theirs = call in ("getMessage", "markMessageRead", "deleteMessage of the other's")
        names = {
            "conversation_id": self.conversation,
            "message_id": self.theirs if theirs else self.own,
            "client_message_id": self.client_id,
            "word": self.word,
            "ben": self.ben,
        }
        return operation.method, (operation.path + QUERIES.get(call, "")).format(**names)

    def frame(self, kind: str, token: str, others_token: str) -> Frame:
        fields: dict[str, Frame] = {
            "CONNECT": {"token": token},
            "REFRESH_TOKEN": {"token": token},
            "REFRESH_TOKEN of the other user": {"token": others_token},
            "SEND_MESSAGE": {"content": "let me in", "clientMessageId": str(uuid4())},
            "MARK_AS_READ": {"messageIds": [str(self.theirs)]},
            "MARK_AS_READ of one's own": {"messageIds": [str(self.own)]},
            "MARK_AS_READ up to a seq": {"upToSeq": 99},
            "SYNC": {"afterSeq": 0},
        }
        where = {"conversationId": str(self.conversation)}
        return {"type": name_in(kind), **where, **fields.get(kind, {})}


@pytest.fixture(scope="module")
def others(system: System) -> Scene:
    """Of two users who are not among the callers: at the end nothing has happened to it."""
    return asyncio.run(Scene.begin(system, archived=False))


async def scene_for(system: System, caller: str, others: Scene) -> tuple[Scene, UUID]:
    """What it is about, and who calls."""
    if caller in (PARTICIPANT, FORMER):
        scene = await Scene.begin(system, archived=caller == FORMER)
        return scene, scene.anna
    return others, uuid4() if caller in (STRANGER, SERVICE) else others.anna


def token_of(system: System, caller: str, user: UUID) -> str:
    match caller:
        case "no token":
            return ""
        case "bad token":
            claims = jwt.decode(system.token(user), options={"verify_signature": False})
            return jwt.encode(claims, "another secret than ours, as long", algorithm="HS256")
        case "expired token":
            return system.token(user, lasts_s=-60)
        case "service":
            return system.token(user, scope="service")
        case _:
            return system.token(user)


def test_every_call_and_every_frame_has_a_row() -> None:
    assert set(map(name_in, CALLS)) == {row.name for row in OPERATIONS}
    assert set(map(name_in, FRAMES)) == CLIENT_FRAME_TYPES


# ------------------------------------------------------------------ REST


@pytest.mark.parametrize("caller", CALLERS)
@pytest.mark.parametrize("call", CALLS)
async def test_a_call(system: System, others: Scene, call: str, caller: str) -> None:
    scene, user = await scene_for(system, caller, others)
    method, path = scene.address(call)
    match_of_new = {name: str(uuid4()) for name in ("matchId", "user1Id", "user2Id")}
    async with system.rest(user) as rest:
        token = token_of(system, caller, user)
        rest.headers["Authorization"] = f"Bearer {token}" if token else ""
        answer = await rest.request(
            method, path, json=match_of_new if call == "createConversation" else None
        )
    wanted = expected(CALLS[call], caller)
    if isinstance(wanted, int):
        assert answer.status_code == wanted
    elif wanted in ("shown", "nothing"):
        assert answer.status_code == 200
        assert any(secret in answer.text for secret in scene.secrets) is (wanted == "shown")
    else:
        assert (answer.json()["code"], answer.status_code >= 400) == (wanted, True)
    if caller not in (PARTICIPANT, FORMER):
        shown = answer.text + str(answer.headers)
        assert [secret for secret in scene.secrets if secret in shown] == []


# ------------------------------------------------------------------ WebSocket


@pytest.mark.parametrize("caller", [NO, BAD, EXPIRED])
@pytest.mark.parametrize("kind", FRAMES)
async def test_a_frame_without_a_good_token(
    system: System, others: Scene, kind: str, caller: str
) -> None:
    """The first word is the last: what came right behind a bad token is never looked at."""
    token = token_of(system, caller, others.anna)
    frame = others.frame(kind, token, system.token(others.ben))
    wanted = expected(FRAMES[kind], caller)
    if kind == "CONNECT" and caller == NO:
        wanted = "TOKEN_INVALID"
    async with connect(system.socket_url, compression=None) as socket:
        if caller != NO and kind != "CONNECT":
            await socket.send(json.dumps({"type": "CONNECT", "token": token}))
        await socket.send(json.dumps(frame))
        [error] = await all_from(socket)
    assert (error["type"], error["code"], error["error"]) == ("ERROR", 401, wanted)
    assert socket.close_code == 4401
    assert others.word not in json.dumps(error)


async def all_from(socket: ClientConnection) -> list[Frame]:
    """Until it is closed."""
    frames: list[Frame] = []
    with suppress(ConnectionClosed):
        async for text in socket:
            frames.append(json.loads(text))  # noqa: PERF401 - it ends with an exception
    return frames


@pytest.mark.parametrize("caller", [STRANGER, PARTICIPANT, FORMER, SERVICE])
@pytest.mark.parametrize("kind", FRAMES)
async def test_a_frame(system: System, others: Scene, kind: str, caller: str) -> None:
    scene, user = await scene_for(system, caller, others)
    wanted = str(expected(FRAMES[kind], caller))
    token = token_of(system, caller, user)
    frame = scene.frame(kind, token, system.token(scene.ben))
    scope = "service" if caller == SERVICE else None
    async with (
        await system.open(scene.ben) as bens,
        await system.open(user, scope=scope) as session,
    ):
        before = session.count
        await session.send_frame(frame)
        if wanted.startswith("▷"):
            heard = await bens.expect(wanted.removeprefix("▷ "))
            assert heard["userId"] == str(user)
            return
        is_answer = wanted in (*ANSWERS, "PONG")
        answer = await session.expect(wanted if is_answer else "ERROR", after=before)
        assert answer.get("error", answer["type"]) == wanted
        if wanted == "TOKEN_INVALID":
            assert (await session.wait_closed()).code == 4401
        if caller in (STRANGER, SERVICE):
            # Not what the caller has named; nor, with a list, whom the conversation belongs to.
            named = {value for value in json.dumps(frame).split('"') if value}
            told = json.dumps([received.frame for received in session.received])
            assert [one for one in scene.secrets if one not in named and one in told] == []
            async with open_keys() as keys:
                assert str(user) not in await keys.typing(scene.conversation)


# ------------------------------------------------------------------ what is left of it


@pytest.fixture(scope="module", autouse=True)
def _untouched(system: System, others: Scene) -> Iterator[None]:
    """After all that strangers have tried: the same log, nobody's receipt, nothing archived."""

    async def state() -> list[Any]:
        async with system.rest(others.anna) as annas, system.rest(others.ben) as bens:
            return [
                (await rest.get(path)).json()
                for rest in (annas, bens)
                for path in (
                    f"/conversations/{others.conversation}/sync?after=0",
                    f"/conversations/{others.conversation}/messages",
                    "/unread",
                )
            ]

    before = asyncio.run(state())
    yield
    assert asyncio.run(state()) == before


async def test_the_answer_about_others_is_the_answer_about_nothing(
    system: System, others: Scene
) -> None:
    """By client id, by search, in lists and counts: the same status, headers and body."""
    async with system.rest(uuid4()) as stranger, whole_house():
        for about, instead in (
            (f"/messages/by-client-id/{others.client_id}", f"/messages/by-client-id/{uuid4()}"),
            (f"/messages/search?q={others.word}", f"/messages/search?q=word{uuid4().hex}"),
            (
                f"/messages/search?q=word&senderId={others.ben}",
                f"/messages/search?q=word&senderId={uuid4()}",
            ),
            (f"/conversations?q={others.word}", f"/conversations?q=word{uuid4().hex}"),
        ):
            answers = [await stranger.get(path) for path in (about, instead)]
            shown = [(one.status_code, one.text, comparable(one.headers)) for one in answers]
            assert shown[0] == shown[1]


def comparable(headers: Mapping[str, str]) -> dict[str, str]:
    """Without what is different in any two answers."""
    own = ("date", "x-request-id", "ratelimit")
    return {name: value for name, value in headers.items() if name.lower() not in own}
