"""One device of one user, as a careful client behaves (docs/protocol.md), whatever happens to it.

It reconnects with backoff, SYNCs what its views lack, and repeats what got no answer, with the
same clientMessageId and in order. All that it does and hears goes to the recorder.
"""

import asyncio
import unicodedata
from collections import defaultdict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random
from time import perf_counter
from typing import Final, Literal
from uuid import UUID

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

from libs.client.session import KEPT, Frame, Received, Session, SessionClosed
from tests.chaos.evidence import Closed, Operation, Outcome, Snapshot
from tests.chaos.recorder import Recorder
from tests.chaos.view import View

BACKOFF_FIRST_S: Final = 0.1
BACKOFF_MOST_S: Final = 2.0
FINAL_CODES: Final = (4400, 4401)
"""Coming back would be no use."""
ANSWER_S: Final = 5.0
"""What has no answer by then is repeated over the same session."""
GAP_S: Final = 1.0
"""Frames of different kinds may overtake each other for so long."""
PING_S: Final = 10.0
"""PING after so much silence."""
SILENT_S: Final = 20.0
"""The session is given up after so much."""
PATIENCE_S: Final = 120.0
"""Then what has no answer is given up as unknown."""
LIMITED_MOST: Final = 20
"""A frame that was refused with 429 so often is given up."""
SPACING_S: Final = 0.12
"""Between messages that were refused with 429, when they are sent again."""
READ_MOST: Final = 200
"""Ids in one MARK_AS_READ."""

Mode = Literal["close", "abort"]
"""Whether the client says good-bye to its server."""


@dataclass(slots=True, eq=False)
class _Ask:
    """What the device wants an answer to, with all its tries."""

    kind: Literal["send", "read", "sync"]
    conversation: UUID
    frame: Frame
    began: float
    due: float = 0.0
    """When to write it, or to write it again."""
    sessions: list[int] = field(default_factory=list)
    refused: int = 0
    """Tries that can't have been accepted."""
    limited: int = 0
    owed: int = 0
    """Answers that may still come in the session that is open."""
    order: int = 0
    client_message_id: UUID | None = None
    content: str = ""
    message_ids: list[UUID] = field(default_factory=list)
    up_to_seq: int | None = None
    unread: set[str] = field(default_factory=set)
    """Of a reading: messages that are not READ yet."""

    @property
    def is_refused(self) -> bool:
        """No try of it can have been accepted."""
        return self.refused == len(self.sessions)

    @property
    def is_repeatable(self) -> bool:
        """A message without an id of its own could become two."""
        return self.kind != "send" or self.client_message_id is not None or self.is_refused


class Client:
    """`run` it as a task; ask it for things; `stop` it."""

    def __init__(
        self,
        user: UUID,
        device: str,
        url: Callable[[], str],
        token: str,
        recorder: Recorder,
        *,
        random: Random,
    ) -> None:
        """`url` is asked before each connect."""
        self.user = user
        self.device = device
        self.views: dict[UUID, View] = {}
        self.own: deque[tuple[UUID, str]] = deque(maxlen=30)
        """Conversation and messageId of its newest messages."""
        self.seen: deque[tuple[UUID, str]] = deque(maxlen=30)
        """The same of the other users' newest."""
        self.sent = 0
        self.acknowledged = 0
        self.dead: SessionClosed | None = None
        """It was told not to come back."""
        self._url = url
        self._token = token
        self._recorder = recorder
        self._random = random
        self._session: Session | None = None
        self._number = 0
        """Of the session that is open, or comes next."""
        self._opened = False
        """Whether that one's CONNECT_SUCCESS has come."""
        self._asks: list[_Ask] = []
        self._sends: dict[str | None, _Ask] = {}
        """By clientMessageId; one at most without."""
        self._reads: dict[UUID, _Ask] = {}
        self._syncs: dict[UUID, _Ask] = {}
        self._strays: defaultdict[tuple[str, UUID], int] = defaultdict(int)
        """Answers that may still come in this session to what nobody waits for any more."""
        self._unread: defaultdict[UUID, dict[str, int]] = defaultdict(dict)
        """The other's messages that are not READ, as far as it knows, with their seq."""
        self._gaps: dict[UUID, tuple[int, float]] = {}
        """The view's head when the gap was noticed, and when to look again."""
        self._notes: list[Frame] = []
        self._written = 0
        self._heard_at = 0.0
        self._come_back_at = 0.0
        """Not before."""
        self._hang_up: Mode | None = None
        self._stopping = False
        self._wake = asyncio.Event()

    # ------------------------------------------------------------------ what it can be asked for

    @property
    def is_online(self) -> bool:
        return self._session is not None and self._opened

    @property
    def outstanding(self) -> int:
        """Messages and readings without an answer."""
        return len(self._sends) + len(self._reads)

    @property
    def is_settled(self) -> bool:
        """Online, nothing unanswered, nothing missing as far as it can know."""
        return self.is_online and not self._asks and not self._gaps

    def send(self, conversation: UUID, content: str, client_message_id: UUID | None) -> bool:
        """False when it can't now: one message at a time without an id."""
        kept = unicodedata.normalize("NFC", content)
        key = _key(client_message_id)
        if key in self._sends or (key is None and self._strays["send", conversation]):
            return False
        frame = {"type": "SEND_MESSAGE", "conversationId": str(conversation), "content": content}
        if client_message_id is not None:
            frame["clientMessageId"] = str(client_message_id)
            self._view(conversation).sending(client_message_id, kept)
        ask = self._ask("send", conversation, frame)
        ask.client_message_id, ask.content = client_message_id, kept
        self._sends[key] = ask
        self.sent += 1
        return True

    def mark_as_read(self, conversation: UUID, *, by_id: bool) -> bool:
        """All that it knows to be unread. False when that is nothing, or it is at it already."""
        unread = self._unread[conversation]
        if conversation in self._reads or not unread:
            return False
        head = self._view(conversation).head
        frame: Frame = {"type": "MARK_AS_READ", "conversationId": str(conversation)}
        if by_id:
            named = list(unread)[:READ_MOST]
            frame["messageIds"] = named
        else:
            # Not beyond a gap: it can't know whether what it misses has been read.
            named = [message_id for message_id, seq in unread.items() if seq <= head]
            frame["upToSeq"] = head
        if not named:
            return False
        ask = self._ask("read", conversation, frame)
        ask.unread = set(named)
        if by_id:
            ask.message_ids = [UUID(message_id) for message_id in named]
        else:
            ask.up_to_seq = head
        self._reads[conversation] = ask
        return True

    def type(self, conversation: UUID, *, starts: bool) -> None:
        """Nothing is recorded of it."""
        kind = "TYPING_START" if starts else "TYPING_STOP"
        if self.is_online:
            self._notes.append({"type": kind, "conversationId": str(conversation)})
            self._wake.set()

    def catch_up(self, conversation: UUID) -> None:
        """SYNCs, whether or not it knows of a gap."""
        self._sync(conversation)

    def leave(self, for_s: float, mode: Mode) -> None:
        """Closes the session and comes back after a while; offline it stays away for so long."""
        self._come_back_at = perf_counter() + for_s
        if self._session is not None:
            self._hang_up = mode
        self._wake.set()

    def come_back(self) -> None:
        """Now, if it is offline."""
        self._come_back_at = 0.0
        self._wake.set()

    def give_up(self) -> None:
        """What has no answer never will have one."""
        for ask in list(self._asks):
            self._give_up(ask)

    def snapshots(self) -> list[Snapshot]:
        return [
            Snapshot(
                user=self.user,
                device=self.device,
                conversation=conversation,
                head=view.head,
                shown=view.shown(),
            )
            for conversation, view in self.views.items()
        ]

    async def run(self) -> None:
        """Until `stop`. Ends early only when it was told not to come back: see `dead`."""
        backoff = BACKOFF_FIRST_S
        began = perf_counter()
        while not self._stopping and self.dead is None:
            if not await self._waited():
                continue
            session = await self._connect(began)
            if session is None:
                self._stay_away(backoff)
                backoff = min(backoff * 2, BACKOFF_MOST_S)
                continue
            backoff = BACKOFF_FIRST_S
            self._session = session
            session.when_closed(self._wake.set)
            try:
                reason = await self._serve(session)
            except BaseException:
                await session.abort()
                raise
            finally:
                self._session = None
            await self._ended(session, reason)
            began = perf_counter()
            self._stay_away(backoff)
        self.give_up()

    def stop(self) -> None:
        """Closes; `run` returns when the attempt to connect that is under way has ended."""
        self._stopping = True
        self._hang_up = self._hang_up or "close"
        self._wake.set()

    # ------------------------------------------------------------------ connecting

    def _stay_away(self, backoff: float) -> None:
        """Unless it was told for how long."""
        self._not_before(backoff * self._random.uniform(0.5, 1.0))

    def _not_before(self, after_s: float) -> None:
        self._come_back_at = max(self._come_back_at, perf_counter() + after_s)

    async def _waited(self) -> bool:
        """Whether it is time to connect; otherwise it has waited a while."""
        wait = self._come_back_at - perf_counter()
        if wait <= 0:
            return True
        await self._sleep(wait)
        return False

    async def _connect(self, began: float) -> Session | None:
        """None when it didn't work."""
        number, gave_up = self._number, False
        self._opened = False
        self._strays.clear()
        try:
            session = await Session.open(
                self._url(),
                self._token,
                on_frame=lambda item: self._hear(number, item),
                keeps=KEPT,  # the recorder has all
            )
        except SessionClosed as closed:
            if closed.code in FINAL_CODES:
                self._refused(began, closed)
        except InvalidStatus as refusal:
            if refusal.response.status_code == 401:
                self._refused(began, SessionClosed(4401, "in the handshake"))
            self._not_before(float(refusal.response.headers.get("Retry-After", 0)))
        except TimeoutError:
            # It may have been admitted a moment too late.
            gave_up = True
        except (OSError, InvalidHandshake, ConnectionClosed, EOFError):
            pass
        else:
            self._connected(began, number, session)
            return session
        if self._opened:
            self._close(number, None, "before it was used", by_client=gave_up)
        return None

    def _connected(self, began: float, number: int, session: Session) -> None:
        heads = {str(name): head for name, head in session.heads.items()}
        self._tried_to_connect(began, "ok", {"heads": heads}, [number])

    def _refused(self, began: float, closed: SessionClosed) -> None:
        self.dead = closed
        answer = {"code": closed.code, "message": str(closed)}
        self._tried_to_connect(began, "failed", answer, [])

    def _tried_to_connect(
        self, began: float, outcome: Outcome, answer: Frame, sessions: list[int]
    ) -> None:
        self._recorder.ended(
            Operation(
                user=self.user,
                device=self.device,
                kind="connect",
                conversation=None,
                began=began,
                ended=perf_counter(),
                outcome=outcome,
                sessions=sessions,
                answer=answer,
            )
        )

    async def _serve(self, session: Session) -> str | None:
        """Until the session ends. Returns why the client has ended it; None: it has not."""
        self._heard_at = perf_counter()
        for ask in self._asks:
            ask.due = 0.0
        while session.closed is None:
            now = perf_counter()
            if self._hang_up is not None:
                return "left"
            if now - self._heard_at > SILENT_S:
                return "silent"
            try:
                async with asyncio.timeout(SILENT_S):
                    await self._write(session, now)
            except TimeoutError:
                return "silent"
            except SessionClosed:
                break
            await self._sleep(self._next_due() - perf_counter())
        return None

    async def _ended(self, session: Session, reason: str | None) -> None:
        if reason == "left" and self._hang_up == "close":
            await session.close()
        else:
            await session.abort()
        self._hang_up = None
        closed = session.closed
        assert closed is not None
        if closed.code in FINAL_CODES:
            self.dead = closed
        by_client = reason == "left"
        self._close(self._number, closed.code, reason or str(closed), by_client=by_client)
        self._gaps.clear()
        self._notes.clear()
        for ask in list(self._asks):
            ask.owed = 0
            # What is behind then is asked for anew.
            if ask.kind == "sync" or not ask.is_repeatable:
                self._give_up(ask)

    def _close(self, number: int, code: int | None, reason: str, *, by_client: bool) -> None:
        self._recorder.close(
            Closed(
                at=perf_counter(),
                user=self.user,
                device=self.device,
                session=number,
                code=code,
                reason=reason,
                by_client=by_client,
            )
        )
        self._number += 1
        self._opened = False

    async def _sleep(self, for_s: float) -> None:
        """Until something has happened, or so long."""
        handle = asyncio.get_running_loop().call_later(max(for_s, 0.001), self._wake.set)
        try:
            await self._wake.wait()
        finally:
            handle.cancel()
        self._wake.clear()

    # ------------------------------------------------------------------ asking

    def _ask(self, kind: Literal["send", "read", "sync"], conversation: UUID, frame: Frame) -> _Ask:
        ask = _Ask(kind, conversation, frame, perf_counter())
        self._asks.append(ask)
        self._wake.set()
        return ask

    def _sync(self, conversation: UUID) -> None:
        self._gaps.pop(conversation, None)
        if conversation in self._syncs:
            return
        after = self._view(conversation).head
        frame = {"type": "SYNC", "conversationId": str(conversation), "afterSeq": after}
        ask = self._ask("sync", conversation, frame)
        ask.up_to_seq = after
        self._syncs[conversation] = ask

    async def _write(self, session: Session, now: float) -> None:
        """All that is due, in order. Raises SessionClosed."""
        while self._notes:
            await session.send_frame(self._notes.pop(0))
        if now - self._heard_at > PING_S:
            await session.send_frame({"type": "PING"})
        self._look_at_gaps(now)
        for ask in list(self._asks):
            if ask.due > now:
                continue
            if now - ask.began > PATIENCE_S or not ask.is_repeatable:
                self._give_up(ask)
                continue
            if ask.kind == "send" and not ask.sessions:
                self._written += 1
                ask.order = self._written
            ask.sessions.append(self._number)
            ask.owed += 1
            ask.due = now + ANSWER_S
            await session.send_frame(ask.frame)

    def _look_at_gaps(self, now: float) -> None:
        for conversation, (head, look_at) in list(self._gaps.items()):
            view = self._view(conversation)
            if not view.gap:
                del self._gaps[conversation]
            elif look_at <= now:
                if view.head == head:
                    self._sync(conversation)
                else:
                    self._gaps[conversation] = (view.head, now + GAP_S)

    def _next_due(self) -> float:
        dues = [ask.due for ask in self._asks]
        dues += [look_at for _, look_at in self._gaps.values()]
        # A PING that was not answered is written again, until the silence has been too long.
        now = perf_counter()
        ping = self._heard_at + PING_S
        dues.append(ping if ping > now else now + PING_S / 4)
        return min(dues)

    # ------------------------------------------------------------------ hearing

    def _hear(self, number: int, item: Received) -> None:
        frame = item.frame
        kind = frame["type"]
        if not self._opened and kind in ("ERROR", "RECONNECT"):
            # It is turned away: not a session.
            wait_ms = frame["afterMs"] if kind == "RECONNECT" else frame.get("retryAfterMs", 0)
            self._not_before(wait_ms / 1000)
            return
        frame = self._recorder.hear(item.at, self.user, self.device, number, frame)
        self._heard_at = item.at
        match kind:
            case "CONNECT_SUCCESS":
                self._opened = True
                for name in frame["heads"]:
                    if not self._view(UUID(name)).take(frame):
                        self._sync(UUID(name))
            case "SYNC_RESULT":
                self._synced(frame)
            case "ERROR":
                self._refusal(frame)
            case "RECONNECT":
                self._not_before(frame["afterMs"] / 1000)
            case _ if "seq" in frame:
                self._entry(frame)

    def _entry(self, frame: Frame) -> None:
        conversation = UUID(frame["conversationId"])
        view = self._view(conversation)
        is_known = conversation in self._gaps or conversation in self._syncs
        if not view.take(frame) and not is_known:
            self._gaps[conversation] = (view.head, perf_counter() + GAP_S)
            self._wake.set()
        match frame["type"]:
            case "MESSAGE_SENT":
                self.own.append((conversation, frame["messageId"]))
                ask = self._sends.get(frame["clientMessageId"])
                is_another = frame["clientMessageId"] is None and self._stray("send", conversation)
                if ask is not None and ask.conversation == conversation and not is_another:
                    ask.owed -= 1
                    self._end(ask, "ok", frame)
            case "MESSAGE_RECEIVED":
                if frame["senderId"] != str(self.user):
                    self._unread[conversation][frame["messageId"]] = frame["seq"]
                    self.seen.append((conversation, frame["messageId"]))
            case "MESSAGE_READ" if frame["readerId"] == str(self.user):
                self._is_read(conversation, frame["messageIds"], frame)
            case "MESSAGE_DELETED":
                self._is_read(conversation, [frame["messageId"]], frame)

    def _is_read(self, conversation: UUID, message_ids: list[str], frame: Frame) -> None:
        """Or deleted. A reading is over when none of its messages is left, whoever read them."""
        unread = self._unread[conversation]
        for message_id in message_ids:
            unread.pop(message_id, None)
        ask = self._reads.get(conversation)
        if not message_ids:
            # Nothing was left to read.
            is_stray = self._stray("read", conversation)
            if ask is not None:
                for message_id in ask.unread:
                    unread.pop(message_id, None)
                ask.owed -= 1
                self._end(ask, *(("unknown", None) if is_stray else ("ok", frame)))
        elif ask is not None and ask.sessions:
            ask.unread.difference_update(message_ids)
            if not ask.unread:
                # Whether this was its own answer, or another device has read, can't be told.
                self._end(ask, "ok", frame if frame["type"] == "MESSAGE_READ" else None)

    def _synced(self, frame: Frame) -> None:
        conversation = UUID(frame["conversationId"])
        is_complete = self._view(conversation).synced(frame)
        for message in frame["messages"]:
            if message["senderId"] == str(self.user):
                continue
            if message["status"] == "READ" or message["deletedAt"] is not None:
                self._is_read(conversation, [message["messageId"]], frame)
            else:
                self._unread[conversation][message["messageId"]] = message["seq"]
                self.seen.append((conversation, message["messageId"]))
        ask = self._syncs.get(conversation)
        is_stray = self._stray("sync", conversation)
        if ask is not None:
            ask.owed -= 1
            # To which of two it answers can't be told; the view has taken it all the same.
            self._end(ask, *(("unknown", None) if is_stray else ("ok", frame)))
        if not is_complete:
            self._sync(conversation)
        elif not self._view(conversation).gap:
            self._gaps.pop(conversation, None)

    def _refusal(self, frame: Frame) -> None:
        ask = self._refused_ask(frame["ref"])
        if ask is None:
            return
        ask.owed -= 1
        # May it be another try's that was refused, of what nobody waits for any more?
        is_sure = ask.client_message_id is not None or not self._stray(ask.kind, ask.conversation)
        wait_s = frame.get("retryAfterMs", 1_000) / 1000
        code = frame["code"]
        if code == 429:
            ask.refused += is_sure
            ask.limited += 1
            before = self._asks[: self._asks.index(ask)]
            waiting = sum(one.limited > 0 for one in before)
            # One after the other: the limit has room for one by then, not for all.
            ask.due = perf_counter() + wait_s + waiting * SPACING_S
            if ask.limited >= LIMITED_MOST:
                self._give_up(ask)
        elif code >= 500:
            ask.due = perf_counter() + wait_s
        else:
            ask.refused += is_sure
            self._end(ask, "failed" if ask.is_refused else "unknown", frame)
        self._wake.set()

    def _refused_ask(self, ref: Frame) -> _Ask | None:
        conversation = UUID(ref["conversationId"]) if "conversationId" in ref else None
        if conversation is None:
            return None
        match ref.get("type"):
            case "SEND_MESSAGE":
                ask = self._sends.get(ref.get("clientMessageId"))
                return ask if ask is not None and ask.conversation == conversation else None
            case "MARK_AS_READ":
                return self._reads.get(conversation)
            case "SYNC":
                return self._syncs.get(conversation)
            case _:
                return None

    # ------------------------------------------------------------------ ending

    def _stray(self, kind: str, conversation: UUID) -> bool:
        """Whether what came may be the answer to what nobody waits for any more."""
        place = (kind, conversation)
        if self._strays[place] == 0:
            return False
        self._strays[place] -= 1
        return True

    def _give_up(self, ask: _Ask) -> None:
        self._end(ask, "failed" if ask.is_refused else "unknown", None)

    def _end(self, ask: _Ask, outcome: Outcome, answer: Frame | None) -> None:
        self._asks.remove(ask)
        if ask.kind == "send":
            del self._sends[_key(ask.client_message_id)]
            self.acknowledged += outcome == "ok"
        else:
            del (self._reads if ask.kind == "read" else self._syncs)[ask.conversation]
        if ask.client_message_id is None:
            self._strays[ask.kind, ask.conversation] += ask.owed
        self._recorder.ended(
            Operation(
                user=self.user,
                device=self.device,
                kind=ask.kind,
                conversation=ask.conversation,
                began=ask.began,
                ended=perf_counter(),
                outcome=outcome,
                sessions=ask.sessions,
                order=ask.order,
                client_message_id=ask.client_message_id,
                content=ask.content,
                message_ids=ask.message_ids,
                up_to_seq=ask.up_to_seq,
                answer=answer,
            )
        )

    def _view(self, conversation: UUID) -> View:
        view = self.views.get(conversation)
        if view is None:
            view = self.views[conversation] = View(conversation, self.user)
        return view


def _key(client_message_id: UUID | None) -> str | None:
    return None if client_message_id is None else str(client_message_id)
