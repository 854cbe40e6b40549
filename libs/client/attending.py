"""What a device does with each session it has, one after the other: the shell of the pure rules.

It sends what the outbox and the logs have to send, shows a newer token in time, and ends a
connection that is dead. Times are `time.perf_counter` seconds.
"""

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

from libs.client.answers import REPEAT_S, is_passing, pause_s
from libs.client.catching_up import CatchingUp
from libs.client.outbox import Item, Outbox
from libs.client.readings import Readings
from libs.client.refreshing import refresh_in_s
from libs.client.session import Frame, Received, Refused, Session, SessionClosed


class TokenSource(Protocol):
    """Where tokens come from."""

    async def __call__(self, *, fresh: bool) -> str:
        """A token. `fresh`: the one before may be refused or about to end, so get a new one.

        OSError and TimeoutError are taken for a passing trouble; what else it raises ends `stay`.
        """


class Attending:
    """Give every session's frames to `hear`, and every open session to `attend`."""

    def __init__(self, token: TokenSource, settled: Callable[[Item, Frame], None]) -> None:
        """`settled` gets a message of the outbox and what it has come to.

        That is the frame that says that it is kept, or the ERROR that refuses it for good.
        """
        self.outbox = Outbox()
        self.catching_up = CatchingUp()
        self.readings = Readings()
        self.back_at: float | None = None
        """When RECONNECT, or an ERROR before the close, has asked to come back."""
        self._token = token
        self._settled = settled
        self._user_id = ""
        self._heartbeat_s = 0.0
        self._expires_at = datetime.max.replace(tzinfo=UTC)
        self._news = asyncio.Event()

    def wake(self) -> None:
        """There may be something to send."""
        self._news.set()

    async def attend(self, session: Session) -> None:
        """Until it ends. What the token source raises ends it, and is raised in a group."""
        self.outbox.land()
        self.readings.land()
        try:
            async with asyncio.TaskGroup() as group:
                duties = (self._speak(session), self._watch(session), self._refresh(session))
                tasks = [group.create_task(duty) for duty in duties]
                await asyncio.wait([session.over])
                for task in tasks:
                    task.cancel()
        finally:
            await session.abort()

    # ------------------------------------------------------------------ what it hears

    def hear(self, received: Received) -> None:
        frame = received.frame
        match frame["type"]:
            case "CONNECT_SUCCESS":
                self._welcome(frame, received.at)
            case "TOKEN_REFRESHED":
                self._expires_at = datetime.fromisoformat(frame["expiresAt"])
            case "RECONNECT":
                self.back_at = received.at + frame["afterMs"] / 1000
            case "SYNC_RESULT":
                self._synced(frame, received.at)
            case "ERROR":
                self._refused(frame, received.at)
            case _ if "seq" in frame:
                self.catching_up.entered(UUID(frame["conversationId"]), frame["seq"], received.at)
                self._entered(frame)
        self.wake()

    def _welcome(self, frame: Frame, now: float) -> None:
        self._user_id = frame["userId"]
        self._heartbeat_s = frame["heartbeatSeconds"]
        self._expires_at = datetime.fromisoformat(frame["expiresAt"])
        heads = {UUID(name): head for name, head in frame["heads"].items()}
        self.catching_up.begin(heads, now)

    def _synced(self, frame: Frame, now: float) -> None:
        # Of the sender's own messages it says which they are, so that it answers them too.
        for message in frame["messages"]:
            self._entered(message)
        reached = frame["head"] if frame["complete"] else frame["messages"][-1]["changedSeq"]
        conversation_id = UUID(frame["conversationId"])
        self.catching_up.synced(conversation_id, reached, frame["complete"], now)

    def _entered(self, entry: Frame) -> None:
        """MESSAGE_SENT answers, but what an earlier session sent comes as MESSAGE_RECEIVED."""
        if entry.get("readerId") == self._user_id:
            conversation_id = UUID(entry["conversationId"])
            self.readings.answered(conversation_id, is_empty=not entry["messageIds"])
        client_message_id = entry.get("clientMessageId")
        item = self.outbox.remove(UUID(client_message_id)) if client_message_id else None
        if item is not None:
            self._settled(item, entry)

    def _refused(self, frame: Frame, now: float) -> None:
        ref, again_at = frame["ref"], now + pause_s(frame.get("retryAfterMs"))
        match ref.get("type"):
            case None if "retryAfterMs" in frame:  # the session itself: a close follows
                self.back_at = again_at
            case "SEND_MESSAGE" if "clientMessageId" in ref:
                self._not_sent(UUID(ref["clientMessageId"]), frame, again_at)
            case "SYNC" if "conversationId" in ref:
                self._put_off(self.catching_up, UUID(ref["conversationId"]), frame, again_at)
            case "MARK_AS_READ" if "conversationId" in ref:
                self._put_off(self.readings, UUID(ref["conversationId"]), frame, again_at)

    def _not_sent(self, client_message_id: UUID, frame: Frame, again_at: float) -> None:
        if not self.outbox.is_flying(client_message_id):
            return  # an answer to an earlier try
        if is_passing(frame["code"]):
            self.outbox.put_off(client_message_id, again_at)
        elif (item := self.outbox.fail(client_message_id, frame["error"])) is not None:
            self._settled(item, frame)

    @staticmethod
    def _put_off(
        asker: CatchingUp | Readings, conversation_id: UUID, frame: Frame, again_at: float
    ) -> None:
        if is_passing(frame["code"]):
            asker.put_off(conversation_id, again_at)
        else:
            asker.refused(conversation_id)

    # ------------------------------------------------------------------ what it does

    async def _speak(self, session: Session) -> None:
        """Sends what there is to send, whenever there is something."""
        with suppress(SessionClosed):
            while True:
                self._news.clear()
                await self._send_what_is_due(session)
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._quiet_s()):
                        await self._news.wait()

    def _quiet_s(self) -> float | None:
        """Until something is due though nothing has happened; None: nothing is."""
        askers = (self.outbox.due_at, self.catching_up.due_at, self.readings.due_at)
        dues = [due for due in askers if due is not None]
        return max(0.0, min(dues) - time.perf_counter()) if dues else None

    async def _send_what_is_due(self, session: Session) -> None:
        now = time.perf_counter()
        for item in self.outbox.take(now):
            await session.send_frame(
                {
                    "type": "SEND_MESSAGE",
                    "conversationId": str(item.conversation_id),
                    "clientMessageId": str(item.client_message_id),
                    "content": item.content,
                }
            )
        for conversation_id, up_to_seq in self.readings.take(now):
            await session.send_frame(
                {
                    "type": "MARK_AS_READ",
                    "conversationId": str(conversation_id),
                    "upToSeq": up_to_seq,
                }
            )
        for conversation_id, after_seq in self.catching_up.take(now):
            await session.send_frame(
                {"type": "SYNC", "conversationId": str(conversation_id), "afterSeq": after_seq}
            )

    async def _watch(self, session: Session) -> None:
        """The service pings a silent connection: two heartbeats without anything are its end.

        By itself, as who sends may wait for a dead network to take it.
        """
        left = 2 * self._heartbeat_s
        while left > 0:
            await asyncio.sleep(left)
            left = session.heard_at + 2 * self._heartbeat_s - time.perf_counter()
        await session.abort()

    async def _refresh(self, session: Session) -> None:
        while True:
            left_s = (self._expires_at - datetime.now(UTC)).total_seconds()
            await asyncio.sleep(max(REPEAT_S, refresh_in_s(left_s)))
            with suppress(OSError, TimeoutError, SessionClosed, Refused):  # again, or it is over
                await session.refresh_token(await self._token(fresh=True))
