"""A device that stays connected: it reconnects and repeats what got no answer.

After RECONNECT it comes back in its slot, otherwise with backoff.
"""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Final
from uuid import UUID, uuid4

from websockets.exceptions import InvalidHandshake

from libs.client.session import Frame, Received, Refused, Session, SessionClosed

BACKOFF_FIRST_S: Final = 0.1
BACKOFF_MOST_S: Final = 2.0
FINAL_CODES: Final = {4400, 4401}
"""Closed for a cause that reconnecting does not mend."""


class Device:
    """One device of one user. `sessions` holds every session it has had, the newest last."""

    def __init__(
        self,
        url: Callable[[], str],
        token: str,
        *,
        on_frame: Callable[[Received], None] | None = None,
        waits_for_slot: bool = True,
    ) -> None:
        """`url` is asked before each connect.

        Without `waits_for_slot` it comes back at once, which no client in the field may.
        """
        self.sessions: list[Session] = []
        self._url = url
        self._token = token
        self._on_frame = on_frame
        self._waits_for_slot = waits_for_slot
        self._connecting = asyncio.Lock()

    async def session(self) -> Session:
        """The live session; connects when there is none. Raises SessionClosed when refused."""
        async with self._connecting:
            backoff = BACKOFF_FIRST_S
            while not self.sessions or self.sessions[-1].closed:
                if self._waits_for_slot:
                    await self._until_slot()
                try:
                    session = await Session.open(self._url(), self._token, on_frame=self._on_frame)
                    self.sessions.append(session)
                except SessionClosed as closed:
                    if closed.code in FINAL_CODES:
                        raise
                    backoff = await _back_off(backoff)
                except (OSError, TimeoutError, InvalidHandshake):
                    backoff = await _back_off(backoff)
            return self.sessions[-1]

    async def _until_slot(self) -> None:
        """The slot that a RECONNECT gave: everybody at once would be a storm."""
        if self.sessions and (early := self.sessions[-1].back_at - time.perf_counter()) > 0:
            await asyncio.sleep(early)

    async def send(self, conversation_id: UUID, content: str) -> Frame:
        """The MESSAGE_SENT frame, however often the connection breaks meanwhile.

        Every try carries the same clientMessageId, so they are one message (promise 4).
        Raises Refused, except for 429 and 500, which it waits out.
        """
        client_message_id = uuid4()
        backoff = BACKOFF_FIRST_S
        while True:
            session = await self.session()
            try:
                return await session.send_message(conversation_id, content, client_message_id)
            except (SessionClosed, TimeoutError):
                continue
            except Refused as refused:
                if refused.frame["code"] not in (429, 500):
                    raise
                backoff = await _back_off(backoff)

    async def stay(self) -> None:
        """Connects whenever there is no session, also while nothing is sent; until cancelled."""
        while True:
            session = await self.session()
            is_over = asyncio.Event()
            session.when_closed(is_over.set)
            await is_over.wait()

    async def close(self) -> None:
        if self.sessions:
            await self.sessions[-1].close()


async def _back_off(seconds: float) -> float:
    """Waits with jitter; the next wait."""
    await asyncio.sleep(seconds * random.uniform(0.5, 1.0))
    return min(seconds * 2, BACKOFF_MOST_S)
