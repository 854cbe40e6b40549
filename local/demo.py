"""`make demo`: two scripted users, each on a gateway of its own, chat through the system."""

import asyncio
import os
import statistics
import sys
import time
from uuid import UUID, uuid4

import httpx

from libs.client.session import Frame, Received, Session
from local import tokens
from local.failure import StackError
from local.matching import match
from local.stack import Stack

SCRIPT = (
    ("Anna", "Hi Ben, we matched!"),
    ("Ben", "Hi Anna 👋 nice to meet you"),
    ("Anna", "Did you know that this message is in a durable, confirmed queue before you see it?"),
    ("Ben", "And that DELIVERED means that my WebSocket stack has answered a ping?"),
    ("Anna", "One order for both of us: seq."),
    ("Ben", "مرحبا, 你好, สวัสดี, and 4,000 characters if you like."),
    ("Anna", "Coffee on Thursday?"),
    ("Ben", "Yes!"),
)
COLOURS = {"Anna": "36", "Ben": "35", "dim": "2", "good": "32", "bold": "1"}


class Stage:
    """Prints what happens, in colour where a terminal shows it."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._colours = sys.stdout.isatty() or "FORCE_COLOR" in os.environ

    def paint(self, style: str, text: str) -> str:
        return f"\x1b[{COLOURS[style]}m{text}\x1b[0m" if self._colours else text

    def say(self, text: str) -> None:
        print(text, flush=True)

    def frame(self, who: str, arrow: str, frame: Frame, note: str = "") -> None:
        at = f"{(time.perf_counter() - self._began) * 1000:7.0f} ms"
        kind = self.paint("bold", f"{frame['type']:<17}")
        rest = {name: _short(value) for name, value in frame.items() if name != "type"}
        self.say(
            f"{self.paint('dim', at)}  {self.paint(who, f'{who:<4} {arrow}')} {kind} "
            + " ".join(f"{self.paint('dim', name + '=')}{value}" for name, value in rest.items())
            + (f"  {self.paint('good', note)}" if note else "")
        )


def _short(value: object) -> str:
    """An id by its end, which tells it from others made in the same second."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_short(k)}: {_short(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_short, value)) + "]"
    try:
        return "…" + str(UUID(str(value)))[-6:]
    except ValueError:
        return str(value)


class Player:
    """One user with one session; knows when what it waits for came."""

    def __init__(self, name: str, stage: Stage) -> None:
        self.name = name
        self.user_id = uuid4()
        self.stage = stage
        self.session: Session | None = None
        self.sent_at: dict[str | None, float] = {}

    async def enter(self, url: str, secret: str) -> Session:
        token = tokens.sign(secret, str(self.user_id))
        self.session = await Session.open(url, token, on_frame=self._show)
        return self.session

    def _show(self, received: Received) -> None:
        frame = received.frame
        names = (frame.get("clientMessageId"), frame.get("messageId"), frame.get("content"))
        began = next((self.sent_at[name] for name in names if name in self.sent_at), None)
        note = f"{(received.at - began) * 1000:.1f} ms after sending" if began else ""
        self.stage.frame(self.name, "◀", frame, note)


async def play(stack: Stack) -> None:
    """The whole demo. Raises StackError when nothing runs."""
    if not stack.is_up():
        raise StackError("Nothing is running. Start it with `make run` in another terminal.")
    stage = Stage()
    environment = stack.environment()
    edge, secret = environment["CHAT_EDGE_URL"], environment["CHAT_JWT_SECRET"]
    anna, ben = Player("Anna", stage), Player("Ben", stage)
    gateways = list(stack.gateway_ports().items())
    conversation = await match(edge, secret, anna.user_id, ben.user_id)
    for player, (gateway, port) in zip((anna, ben), (gateways[0], gateways[-1]), strict=True):
        stage.say(stage.paint("bold", f"\n{player.name} connects to {gateway}"))
        await player.enter(f"ws://127.0.0.1:{port}/api/chat/ws", secret)
    stage.say(stage.paint("bold", "\nThey chat"))
    latencies = []
    for name, text in SCRIPT:
        speaker, listener = (anna, ben) if name == "Anna" else (ben, anna)
        latencies.append(await _speak(speaker, listener, conversation, text))
    await _read_back(stage, f"{edge}/api/chat", secret, ben.user_id, conversation)
    await asyncio.gather(*(player.session.close() for player in (anna, ben) if player.session))
    stage.say(
        stage.paint("bold", "\nDelivery, sender's socket to recipient's: ")
        + f"p50 {statistics.median(latencies):.1f} ms, "
        f"p95 {statistics.quantiles(latencies, n=20, method='inclusive')[-1]:.1f} ms "
        f"over {len(latencies)} messages"
    )


async def _speak(speaker: Player, listener: Player, conversation: UUID, text: str) -> float:
    """Milliseconds from the sender's socket to the recipient's."""
    assert speaker.session is not None
    assert listener.session is not None
    client_id = uuid4()
    frame = {
        "type": "SEND_MESSAGE",
        "conversationId": str(conversation),
        "clientMessageId": str(client_id),
        "content": text,
    }
    speaker.stage.say("")
    speaker.stage.frame(speaker.name, "▶", frame)
    began = speaker.sent_at[str(client_id)] = listener.sent_at[text] = time.perf_counter()
    sent = await speaker.session.send_message(conversation, text, client_id)
    message_id = sent["messageId"]
    speaker.sent_at[message_id] = listener.sent_at[message_id] = began
    await listener.session.expect("MESSAGE_RECEIVED", messageId=message_id)
    await speaker.session.expect("MESSAGE_DELIVERED", messageId=message_id)
    received = next(
        item for item in listener.session.received if item.frame.get("messageId") == message_id
    )
    return (received.at - began) * 1000


async def _read_back(
    stage: Stage, base: str, secret: str, reader: UUID, conversation: UUID
) -> None:
    headers = {"Authorization": f"Bearer {tokens.sign(secret, str(reader))}"}
    path = f"{base}/conversations/{conversation}/messages"
    async with httpx.AsyncClient(headers=headers) as client:
        response = await client.get(path, params={"after": "0"}, timeout=30)
    response.raise_for_status()
    stage.say(stage.paint("bold", "\nThe history, read back by REST"))
    for message in response.json()["items"]:
        stage.say(f"  {message['seq']:>3}  {message['status']:<9}  {message['content']}")


def main() -> None:
    """Exits with a sentence when nothing runs."""
    try:
        asyncio.run(play(Stack(os.environ.get("CHAT_STACK", "dev"))))
    except StackError as error:
        raise SystemExit(str(error)) from None
    except KeyboardInterrupt:
        raise SystemExit(130) from None


if __name__ == "__main__":
    main()
