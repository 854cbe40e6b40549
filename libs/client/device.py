"""A device that stays connected: it comes back, repeats what got no answer, and misses nothing.

The thin shell around the rules of `reconnecting`, `outbox`, `catching_up`, `readings`,
`typing_signals` and `refreshing`: docs/web.md says what they decide, in JavaScript and here.
"""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID, uuid4

from websockets.exceptions import InvalidHandshake, InvalidStatus

from libs.client.attending import Attending, TokenSource
from libs.client.outbox import Item
from libs.client.reconnecting import MOST_S, End, Reconnecting, code_of
from libs.client.session import KEPT, Frame, Received, Refused, Session, SessionClosed
from libs.client.state import State
from libs.client.typing_signals import TypingSignals


class Device:
    """One device of one user."""

    def __init__(  # noqa: PLR0913 - what differs between users, probes and tests
        self,
        url: Callable[[], str],
        token: TokenSource,
        *,
        on_frame: Callable[[Received], None] | None = None,
        waits_for_slot: bool = True,
        pause_most_s: float = MOST_S,
        keeps_all: bool = False,
    ) -> None:
        """`url` is asked before each connect.

        Without `waits_for_slot` it ignores when RECONNECT says to come back, and with a lower
        `pause_most_s` it comes more often than the protocol asks for: no client in the field may.
        With `keeps_all` nothing is forgotten that it has heard, for tests.
        """
        self.sessions: list[Session] = []
        """The newest, or with `keeps_all` every session it has had, the newest last."""
        self.state = State("stopped")
        """As of the last try to connect, which comes by itself while somebody stays."""
        self.on_state: Callable[[State], None] | None = None
        """Gets every new `state`."""
        self.on_kept: Callable[[Item, Frame], None] | None = None
        """Gets what was in the outbox, with what says that it is kept, before `on_frame` does."""
        self._url = url
        self._token = token
        self._on_frame = on_frame
        self._waits_for_slot = waits_for_slot
        self._pause_most_s = pause_most_s
        self._keeps_all = keeps_all
        self._reconnecting = Reconnecting(pause_most_s)
        self._connecting = asyncio.Lock()
        self._attending = Attending(token, self._settle)
        self._attendance: asyncio.Task[None] | None = None
        self._typing = TypingSignals()
        self._back_at = 0.0
        self._impatient = asyncio.Event()
        self._answers: dict[UUID, asyncio.Future[Frame]] = {}

    async def session(self) -> Session:
        """The live session; connects when there is none.

        Raises SessionClosed where coming back is of no use: 4400, or a second 4401 in a row, a
        handshake's 401 included, though the second try had a fresh token.
        """
        async with self._connecting:
            if self._attendance is not None and self.sessions[-1].closed:
                await self._part()
            while self._attendance is None:
                await self._pause()
                await self._connect()
            return self.sessions[-1]

    def wake(self) -> None:
        """The network may be back, or the user asks for it: don't wait any longer."""
        self._impatient.set()

    def follow(self, conversation_id: UUID, known: int) -> None:
        """All up to `known` is there; what is missing later comes by SYNC, to `on_frame`."""
        self._attending.catching_up.follow(conversation_id, known, time.perf_counter())
        self._attending.wake()

    def told(self, conversation_id: UUID, head: int) -> None:
        """A row of REST says how far a followed log is; what is missing comes by SYNC.

        The service itself tells so of conversations that are not archived.
        """
        self._attending.catching_up.told(conversation_id, head, time.perf_counter())
        self._attending.wake()

    def known(self, conversation_id: UUID) -> int:
        """The number up to which nothing of a followed conversation is missing."""
        return self._attending.catching_up.known(conversation_id)

    # ------------------------------------------------------------------ what the user does

    @property
    def outbox(self) -> tuple[Item, ...]:
        """Messages that are not known to be kept, the oldest first.

        Those with an `error` were refused for good and wait for `retry` or `discard`.
        """
        return self._attending.outbox.items

    def post(self, conversation_id: UUID, content: str) -> UUID:
        """Puts it into the outbox, which is sent while somebody stays; its clientMessageId.

        Raises InvalidContent.
        """
        client_message_id = uuid4()
        self._attending.outbox.add(Item(client_message_id, conversation_id, content))
        self._typing.ended(conversation_id)
        self._attending.wake()
        return client_message_id

    def retry(self, client_message_id: UUID) -> None:
        """Tries again what was refused for good."""
        self._attending.outbox.retry(client_message_id)
        self._attending.wake()

    def discard(self, client_message_id: UUID) -> None:
        """Gives up what was refused for good."""
        self._attending.outbox.remove(client_message_id)
        self._attending.wake()

    def read(self, conversation_id: UUID, up_to_seq: int) -> None:
        """The user has seen all up to here; told until it is acknowledged."""
        self._attending.readings.mark(conversation_id, up_to_seq)
        self._attending.wake()

    async def typing(self, conversation_id: UUID, is_typing: bool = True) -> None:
        """Call it at every key, and with False when the user gives up. It sends what is of use."""
        if not self._typing.is_news(conversation_id, is_typing, time.perf_counter()):
            return
        if self._attendance is not None:
            with suppress(SessionClosed):
                await self.sessions[-1].typing(conversation_id, is_typing)

    async def send(self, conversation_id: UUID, content: str) -> Frame:
        """What says that it is kept, with `messageId` and `seq`: MESSAGE_SENT, mostly.

        However often the connection breaks meanwhile: every try carries the same clientMessageId,
        so they are one message (promise 4). Those of one conversation go one after the other.
        Raises InvalidContent, SessionClosed as `session` does, and Refused for what a repetition
        won't mend.
        """
        client_message_id = self.post(conversation_id, content)
        answer = asyncio.get_running_loop().create_future()
        self._answers[client_message_id] = answer
        try:
            while not answer.done():
                session = await self.session()
                await asyncio.wait([answer, session.over], return_when=asyncio.FIRST_COMPLETED)
            frame: Frame = answer.result()
        finally:
            del self._answers[client_message_id]
            self.discard(client_message_id)
        if frame["type"] == "ERROR":
            raise Refused(frame)
        return frame

    async def stay(self) -> None:
        """Connects whenever there is no session, also while nothing is sent; until cancelled."""
        while True:
            session = await self.session()
            await asyncio.wait([session.over])

    async def close(self) -> None:
        if self._attendance is not None:
            await self.sessions[-1].close()
            await self._attendance
            self._attendance = None
        self._tell(State("stopped"))

    # ------------------------------------------------------------------ coming and going

    async def _pause(self) -> None:
        """Until it is time to come back, or somebody is impatient."""
        self._impatient.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(self._back_at - time.perf_counter()):
                await self._impatient.wait()

    async def _connect(self) -> None:
        self._attending.back_at = None
        self._tell(State("connecting"))
        try:
            token = await self._token(fresh=self._reconnecting.wants_fresh_token)
            keeps = None if self._keeps_all else KEPT
            session = await Session.open(self._url(), token, on_frame=self._hear, keeps=keeps)
        except SessionClosed as closed:
            self._wait(closed, closed.code)
        except InvalidStatus as refused:
            self._heed(refused.response.headers.get("Retry-After"))
            self._wait(refused, code_of(refused.response.status_code))
        except (OSError, TimeoutError, InvalidHandshake) as broken:
            self._wait(broken, None)
        else:
            self._reconnecting.connected()
            if not self._keeps_all:
                self.sessions.clear()
            self.sessions.append(session)
            self._attendance = asyncio.create_task(self._attending.attend(session))
            self._tell(State("online"))

    async def _part(self) -> None:
        """The live session has ended."""
        attendance, self._attendance = self._attendance, None
        closed = self.sessions[-1].closed
        assert attendance is not None
        assert closed is not None
        await attendance
        self._wait(closed, closed.code)

    def _heed(self, retry_after: str | None) -> None:
        """A handshake's Retry-After, in seconds."""
        if retry_after is not None and retry_after.isdecimal():
            self._attending.back_at = time.perf_counter() + int(retry_after)

    def _wait(self, cause: Exception, code: int | None) -> None:
        """Sets when to come back. Raises SessionClosed where that is of no use."""
        now, asked = time.perf_counter(), self._attending.back_at
        after_s = max(0.0, asked - now) if asked is not None and self._waits_for_slot else None
        pause_s = self._reconnecting.pause_s(End(code, after_s), random.random())
        if pause_s is None:
            self._reconnecting = Reconnecting(self._pause_most_s)  # for who tries again
            self._tell(State("stopped", code=code, reason=str(cause)))
            raise SessionClosed(code, str(cause)) from cause
        self._back_at = now + pause_s
        self._tell(State("waiting", self._back_at, code, str(cause)))

    def _tell(self, state: State) -> None:
        self.state = state
        if self.on_state is not None:
            self.on_state(state)

    # ------------------------------------------------------------------ what comes

    def _hear(self, received: Received) -> None:
        self._attending.hear(received)
        if self._on_frame is not None:
            self._on_frame(received)

    def _settle(self, item: Item, frame: Frame) -> None:
        if self.on_kept is not None and frame["type"] != "ERROR":
            self.on_kept(item, frame)
        answer = self._answers.get(item.client_message_id)
        if answer is not None and not answer.done():
            answer.set_result(frame)
