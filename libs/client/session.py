"""A WebSocket client of the chat protocol (DESIGN.md, section 4): one session of one user.

It keeps frames with the time they came, for who waits for one, and gives each question its
answer (`questions`).
"""

import asyncio
import itertools
import json
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Final, Literal
from uuid import UUID, uuid4

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from libs.client import questions

Frame = questions.Frame
Via = Literal["header", "subprotocol", "frame"]
"""The three ways to authenticate."""
ANSWER_S: Final = 15.0
KEPT: Final = 100
"""Frames of a session that lasts, for who asks late what has come."""


class Refused(Exception):
    """The service answered with an ERROR frame."""

    def __init__(self, frame: Frame) -> None:
        super().__init__(f"{frame['code']} {frame['error']}: {frame['message']}")
        self.frame = frame


class SessionClosed(Exception):
    """The connection ended; `code` says whether to come back (DESIGN.md, section 4)."""

    def __init__(self, code: int | None, reason: str) -> None:
        super().__init__(f"closed {code} {reason}")
        self.code = code


@dataclass(frozen=True, slots=True)
class Received:
    """A frame and when it came (`time.perf_counter` seconds)."""

    frame: Frame
    at: float


class _Socket(ClientConnection):
    """Knows when it last heard anything at all, pings included (`time.perf_counter` seconds)."""

    heard_at = 0.0

    def data_received(self, data: bytes) -> None:
        self.heard_at = time.perf_counter()
        super().data_received(data)


class _Expected:
    """A frame that somebody waits for."""

    def __init__(self, frame_type: str, fields: Mapping[str, object]) -> None:
        self.come: asyncio.Future[Frame] = asyncio.get_running_loop().create_future()
        self._frame_type = frame_type
        self._fields = fields

    def is_met(self, frame: Frame) -> bool:
        return bool(frame["type"] == self._frame_type and self._fields.items() <= frame.items())


class Session:
    """Use `Session.open`, best as `async with await Session.open(...)`."""

    on_any_frame: ClassVar[Callable[[Received], None] | None] = None
    """Called with every frame of every session: where tests hold them against the contract."""

    def __init__(
        self, socket: _Socket, on_frame: Callable[[Received], None] | None, keeps: int | None
    ) -> None:
        self.received: deque[Received] = deque(maxlen=keeps)
        """The newest frames, or all."""
        self.count = 0
        """Of all frames that have come."""
        self.user_id: UUID | None = None
        self.heads: dict[UUID, int] = {}
        self.closed: SessionClosed | None = None
        self.back_at = 0.0
        """When a RECONNECT asked it to come back (`time.perf_counter` seconds)."""
        self._socket = socket
        self._on_frame = on_frame
        self._questions = questions.Questions()
        self._expected: list[_Expected] = []
        self.over = asyncio.create_task(self._read())
        """Done when it has ended and all that came before has been taken. Only to be waited for."""

    @classmethod
    async def open(
        cls,
        url: str,
        token: str,
        *,
        via: Via = "header",
        on_frame: Callable[[Received], None] | None = None,
        keeps: int | None = None,
    ) -> "Session":
        """Connects and waits for CONNECT_SUCCESS.

        `keeps`: so many of the newest frames stay in `received`; None: all, which only what ends
        soon can afford. Raises SessionClosed, TimeoutError, and what `websockets` raises for a
        refused handshake.
        """
        session = await cls.connect(url, token, via=via, on_frame=on_frame, keeps=keeps)
        try:
            if via == "frame":
                await session.send_frame({"type": "CONNECT", "token": token})
            success = await session.expect("CONNECT_SUCCESS")
        except BaseException:
            await session.abort()
            raise
        session.user_id = UUID(success["userId"])
        session.heads = {UUID(name): head for name, head in success["heads"].items()}
        return session

    @classmethod
    async def connect(
        cls,
        url: str,
        token: str | None = None,
        *,
        via: Via = "header",
        on_frame: Callable[[Received], None] | None = None,
        keeps: int | None = None,
    ) -> "Session":
        """A connection of which nothing is known yet, without a `token` nobody's.

        Raises TimeoutError, and what `websockets` raises for a refused handshake.
        """
        by = "frame" if token is None else via
        socket = await connect(
            url,
            additional_headers={"Authorization": f"Bearer {token}"} if by == "header" else None,
            subprotocols=["chat.v1", f"bearer.{token}"] if by == "subprotocol" else None,  # type: ignore[list-item]
            compression=None,
            ping_interval=None,
            open_timeout=ANSWER_S,
            max_size=None,  # a SYNC_RESULT of 200 long messages has more than the usual 1 MiB
            create_connection=_Socket,
        )
        assert isinstance(socket, _Socket)
        return cls(socket, on_frame, keeps)

    async def send_frame(self, frame: Frame) -> None:
        await self.send_text(json.dumps(frame))

    async def send_text(self, text: str | bytes) -> None:
        """Anything at all, as one frame: text for str, binary for bytes."""
        try:
            await self._socket.send(text)
        except ConnectionClosed as error:
            # Known to whoever looks before the reader has had its turn to find out.
            self.closed = self.closed or _closed(error)
            raise self.closed from error

    async def send_message(
        self, conversation_id: UUID, content: str, client_message_id: UUID | None = None
    ) -> Frame:
        """The MESSAGE_SENT frame. Raises Refused, SessionClosed, TimeoutError.

        After SessionClosed or TimeoutError the message may or may not be kept: send it again
        with the same `client_message_id`.
        """
        client_id = str(client_message_id or uuid4())
        fields = {
            "conversationId": str(conversation_id),
            "clientMessageId": client_id,
            "content": content,
        }
        return await self._ask(("SEND_MESSAGE", client_id), fields)

    async def mark_as_read(
        self,
        conversation_id: UUID,
        message_ids: Sequence[UUID] | None = None,
        up_to_seq: int | None = None,
    ) -> Frame:
        """A MESSAGE_READ frame of this user. Raises Refused, SessionClosed, TimeoutError.

        Of a reading that becomes several entries it is the first; the others are among
        `received`. Another device's reading at the same time can't be told apart.
        """
        fields: Frame = {"conversationId": str(conversation_id)}
        if message_ids is not None:
            fields["messageIds"] = [str(message_id) for message_id in message_ids]
        if up_to_seq is not None:
            fields["upToSeq"] = up_to_seq
        return await self._ask(("MARK_AS_READ", str(conversation_id)), fields)

    async def typing(self, conversation_id: UUID, is_typing: bool = True) -> None:
        """TYPING_START or TYPING_STOP. Nothing answers but, perhaps, an ERROR."""
        kind = "TYPING_START" if is_typing else "TYPING_STOP"
        await self.send_frame({"type": kind, "conversationId": str(conversation_id)})

    async def sync(self, conversation_id: UUID, after_seq: int, limit: int | None = None) -> Frame:
        """The SYNC_RESULT frame. Raises Refused, SessionClosed, TimeoutError."""
        fields: Frame = {"conversationId": str(conversation_id), "afterSeq": after_seq}
        if limit is not None:
            fields["limit"] = limit
        return await self._ask(("SYNC", str(conversation_id)), fields)

    async def refresh_token(self, token: str) -> Frame:
        """The TOKEN_REFRESHED frame. Raises Refused (then it is closed), SessionClosed."""
        return await self._ask(("REFRESH_TOKEN", None), {"token": token})

    async def ping(self) -> Frame:
        """The PONG frame. Raises Refused, SessionClosed, TimeoutError."""
        return await self._ask(("PING", None), {})

    async def _ask(self, question: questions.Question, fields: Frame) -> Frame:
        """Sends a frame; its answer."""
        with self._questions.asked(question) as answer:
            await self.send_frame({"type": question[0], **fields})
            frame = await asyncio.wait_for(answer, ANSWER_S)
        if frame["type"] == "ERROR":
            raise Refused(frame)
        return frame

    async def expect(
        self, frame_type: str, timeout_s: float = ANSWER_S, *, after: int = 0, **fields: object
    ) -> Frame:
        """The first frame of this type and with these fields, among those received or to come.

        Looks from number `after` on, by `count`. Raises TimeoutError, SessionClosed.
        """
        expected = _Expected(frame_type, fields)
        gone = self.count - len(self.received)
        for received in itertools.islice(self.received, max(0, after - gone), None):
            if expected.is_met(received.frame):
                return received.frame
        if self.closed is not None:
            raise self.closed
        self._expected.append(expected)
        try:
            return await asyncio.wait_for(expected.come, timeout_s)
        finally:
            self._expected.remove(expected)

    def frames(self, frame_type: str) -> list[Frame]:
        """All of this type that are kept."""
        return [item.frame for item in self.received if item.frame["type"] == frame_type]

    async def wait_closed(self, timeout_s: float = ANSWER_S) -> SessionClosed:
        """How it ended. Raises TimeoutError."""
        if self.closed is None:
            await asyncio.wait([self.over], timeout=timeout_s)
        if self.closed is None:
            raise TimeoutError
        return self.closed

    async def close(self) -> None:
        await self._socket.close()
        await self.over

    @property
    def heard_at(self) -> float:
        """When anything at all came last, also a ping (`time.perf_counter` seconds)."""
        return self._socket.heard_at

    def when_closed(self, tell: Callable[[], None]) -> None:
        """Calls it once, when it has ended and all that came before has been taken."""
        self.over.add_done_callback(lambda _: tell())

    async def abort(self) -> None:
        """Ends it at once, without a word to the other side, which may be gone."""
        self._socket.transport.abort()
        await self.over

    async def _read(self) -> None:
        closed = SessionClosed(None, "reading ended")
        try:
            async for text in self._socket:
                self._take(Received(json.loads(text), time.perf_counter()))
            closed = SessionClosed(self._socket.close_code, self._socket.close_reason or "")
        except ConnectionClosed as error:
            closed = _closed(error)
        finally:
            self.closed = self.closed or closed
            self._questions.unanswered(self.closed)
            for expected in self._expected:
                if not expected.come.done():
                    expected.come.set_exception(self.closed)

    def _take(self, item: Received) -> None:
        self.received.append(item)
        self.count += 1
        if item.frame["type"] == "RECONNECT":
            self.back_at = item.at + item.frame["afterMs"] / 1000
        for heard in (Session.on_any_frame, self._on_frame):
            if heard is not None:
                heard(item)
        self._questions.answered(item.frame, str(self.user_id))
        for expected in self._expected:
            if expected.is_met(item.frame) and not expected.come.done():
                expected.come.set_result(item.frame)

    async def __aenter__(self) -> "Session":
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()


def _closed(error: ConnectionClosed) -> SessionClosed:
    frame = error.rcvd or error.sent
    return SessionClosed(frame.code if frame else None, frame.reason if frame else "")
