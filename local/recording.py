"""One conversation of two users through the running system, as docs/protocol.md shows it.

`make up`, then `.venv/bin/python -m local exec -- .venv/bin/python -m local.recording`.
Ids are shortened to their ends, which tell them apart.
"""

import asyncio
import json
import os
import re
from typing import Final
from uuid import UUID, uuid4

import httpx

from libs.client.session import Frame, Received, Session
from local import tokens
from local.failure import StackError
from local.stack import Stack

_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{6}([0-9a-f]{6})")
QUIET_S: Final = 0.3
"""What a step caused has come by then: this is a script for a page, not a test."""


class Player:
    """One user; prints every frame that comes and goes."""

    def __init__(self, name: str, url: str, secret: str) -> None:
        self.name = name
        self.user_id = uuid4()
        self._url = url
        self.token = tokens.sign(secret, str(self.user_id))

    async def enter(self) -> Session:
        print(f"      {self.name} connects with Authorization: Bearer …")
        return await Session.open(self._url, self.token, on_frame=self._heard)

    async def say(self, session: Session, frame: Frame) -> None:
        _show(self.name, "▶", frame)
        await session.send_frame(frame)
        await asyncio.sleep(QUIET_S)

    def _heard(self, received: Received) -> None:
        _show(self.name, "◀", received.frame)


def _show(name: str, arrow: str, frame: Frame) -> None:
    text = json.dumps(frame, ensure_ascii=False)
    print(f"{name:<4} {arrow} " + _ID.sub(r"…\1", text))


def _step(text: str) -> None:
    print(f"\n--- {text}")


async def record(edge: str, secret: str) -> None:
    """Prints it. Raises what the client raises where the system doesn't answer."""
    base = f"{edge}/api/chat"
    anna, ben = (
        Player(name, f"{base}/ws".replace("http", "ws", 1), secret) for name in ("Anna", "Ben")
    )
    conversation = str(await _match(base, secret, anna, ben))
    _step("Both connect")
    annas = await anna.enter()
    bens = await ben.enter()
    await asyncio.sleep(QUIET_S)
    _step("Anna types and sends; Ben's WebSocket stack answers a ping, so it is delivered")
    await anna.say(annas, {"type": "TYPING_START", "conversationId": conversation})
    hello = {
        "type": "SEND_MESSAGE",
        "conversationId": conversation,
        "clientMessageId": str(uuid4()),
        "content": "Hi Ben, we matched!",
    }
    await anna.say(annas, hello)
    _step("Anna is not sure that it was kept and sends it again: it is the same message")
    await anna.say(annas, hello)
    _step("Ben reads all there is")
    head = (await bens.expect("MESSAGE_DELIVERED"))["seq"]
    await ben.say(bens, {"type": "MARK_AS_READ", "conversationId": conversation, "upToSeq": head})
    _step("Ben goes away; five seconds later Anna sees it, and writes all the same")
    await bens.close()
    await annas.expect("USER_OFFLINE")
    await anna.say(annas, _message(conversation, "Are you still there?"))
    _step("Ben comes back: the log's head is higher than what he knows, so he asks for the rest")
    known = max(item.frame.get("seq", 0) for item in bens.received)
    bens = await ben.enter()
    await ben.say(bens, {"type": "SYNC", "conversationId": conversation, "afterSeq": known})
    _step("Anna deletes her message by REST; both are told")
    await _delete(base, anna, bens)
    _step("What is refused is told, too")
    await anna.say(annas, _message(conversation, "   "))
    await asyncio.gather(annas.close(), bens.close())


def _message(conversation: str, content: str) -> Frame:
    return {
        "type": "SEND_MESSAGE",
        "conversationId": conversation,
        "clientMessageId": str(uuid4()),
        "content": content,
    }


async def _match(base: str, secret: str, anna: Player, ben: Player) -> UUID:
    token = tokens.sign(secret, str(uuid4()), scope="service")
    body = {"matchId": str(uuid4()), "user1Id": str(anna.user_id), "user2Id": str(ben.user_id)}
    async with httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}) as client:
        response = await client.post(f"{base}/conversations", json=body, timeout=30)
    response.raise_for_status()
    return UUID(response.json()["conversationId"])


async def _delete(base: str, anna: Player, bens: Session) -> None:
    message_id = (await bens.expect("SYNC_RESULT"))["messages"][-1]["messageId"]
    headers = {"Authorization": f"Bearer {anna.token}"}
    print(_ID.sub(r"…\1", f"Anna ▶ DELETE /api/chat/messages/{message_id}"))
    async with httpx.AsyncClient(headers=headers, timeout=30) as client:
        response = await client.delete(f"{base}/messages/{message_id}")
    print(f"Anna ◀ {response.status_code}")
    await asyncio.sleep(QUIET_S)


def main() -> None:
    """Exits with a sentence when nothing runs."""
    stack = Stack(os.environ.get("CHAT_STACK", "dev"))
    try:
        if not stack.is_up():
            raise StackError("Nothing is running. Start it with `make up`.")
        environment = stack.environment()
        asyncio.run(record(environment["CHAT_EDGE_URL"], environment["CHAT_JWT_SECRET"]))
    except StackError as error:
        raise SystemExit(str(error)) from None


if __name__ == "__main__":
    main()
