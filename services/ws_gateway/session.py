"""What one session does with a frame, a delivery, a pong or the passing of time.

Pure: no socket, no clock. `now` is in seconds since 1970. Every method returns effects, which
`connection` performs in order.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Final
from uuid import UUID

from libs.common.domain.moment import rfc3339
from libs.common.domain.text import InvalidContent, clean_content
from libs.common.protocol.closes import Close
from libs.common.protocol.events import Delivered, Open, Send
from libs.common.protocol.frames import (
    ClientFrame,
    Connect,
    ConnectSuccess,
    ErrorRef,
    Pong,
    SendMessage,
)
from libs.common.tokens import Caller, InvalidToken, verify
from services.ws_gateway.effects import (
    Effect,
    Effects,
    End,
    Enter,
    Ping,
    Publish,
    Write,
    refusal,
    write,
)
from services.ws_gateway.incoming import BadFrame
from services.ws_gateway.receipts import Receipts

MAX_HELD: Final = 1_000
"""Deliveries kept for a session whose CONNECT_SUCCESS is on its way."""
FORGET_TRY_AFTER_S: Final = 60.0
"""An answer that has not come by then was lost; its try no longer counts as in flight."""
RETRY_IN_FLIGHT_MS: Final = 1_000
_LAST_MOMENT_S: Final = 253_402_300_799
"""The end of the year 9999, the last that RFC 3339 can write."""


class Phase(IntEnum):
    """How far a session has come."""

    AWAITING_TOKEN = 1
    OPENING = 2
    """Authenticated. Sends are taken; deliveries are held back until CONNECT_SUCCESS."""
    OPEN = 3


@dataclass(frozen=True, slots=True)
class Terms:
    """What all sessions of one incarnation of a gateway share."""

    gateway_id: str
    jwt_secret: str
    heartbeat_seconds: int
    max_in_flight: int
    new_id: Callable[[], UUID]
    """Version 7: a message's id is its first try's."""


class Session:
    """One WebSocket connection of one user.

    Holds what is needed to answer each try once (promise 4) and to tell what was delivered
    (promise 5). Collections are made when first needed: most sessions are idle.
    """

    __slots__ = (
        "_expires_at",
        "_held",
        "_receipts",
        "_terms",
        "_unanswered",
        "_user_id",
        "phase",
        "session_id",
    )

    def __init__(self, session_id: UUID, terms: Terms) -> None:
        self.session_id = session_id
        self._user_id: UUID | None = None
        self.phase = Phase.AWAITING_TOKEN
        self._terms = terms
        self._expires_at = 0
        self._held: list[tuple[bytes, UUID | None, UUID | None]] | None = None
        self._unanswered: dict[UUID, float] | None = None
        self._receipts: Receipts | None = None

    @property
    def user_id(self) -> UUID:
        """Only when authenticated."""
        if self._user_id is None:
            raise RuntimeError("not authenticated")
        return self._user_id

    # --- who is calling ------------------------------------------------------------------

    def admit(self, caller: Caller) -> Effects:
        """The token was good."""
        self._user_id = caller.user_id
        self._expires_at = min(caller.expires_at, _LAST_MOMENT_S)
        self.phase = Phase.OPENING
        return (Enter(),)

    def turn_away(self, error: str, ref: ErrorRef | None = None) -> Effects:
        """ERROR 401 and the close that is final until there is a better token."""
        return (refusal(error, ref or ErrorRef()), End(Close.TOKEN, error))

    def has_expired(self, now: float) -> bool:
        return self._user_id is not None and now >= self._expires_at

    def open_signal(self) -> Open:
        return Open(self.user_id, self.session_id, self._terms.gateway_id, self._expires_at * 1000)

    # --- what the client sends -----------------------------------------------------------

    def receive(self, frame: ClientFrame | BadFrame, now: float) -> Effects:
        """A text frame. A bad one gets its ERROR; the session stays open."""
        if isinstance(frame, BadFrame):
            return (refusal(frame.error, frame.ref, message=frame.message),)
        if isinstance(frame, Connect):
            return self._connect(frame, now)
        if self._user_id is None:
            return self.turn_away("UNAUTHENTICATED", _ref(frame))
        if isinstance(frame, SendMessage):
            return self._send(frame, self._user_id, now)
        return (write(Pong(timestamp=rfc3339(int(now * 1000)))),)

    def receive_binary(self) -> Effects:
        return (refusal("INVALID_JSON", ErrorRef()), End(Close.NOT_THE_PROTOCOL, "binary frame"))

    def _connect(self, frame: Connect, now: float) -> Effects:
        if self._user_id is not None:
            return (refusal("ALREADY_CONNECTED", _ref(frame)),)
        try:
            return self.admit(verify(frame.token, self._terms.jwt_secret, now))
        except InvalidToken as invalid:
            return self.turn_away(invalid.error, _ref(frame))

    def _send(self, frame: SendMessage, sender_id: UUID, now: float) -> Effects:
        try:
            content = clean_content(frame.content)
        except InvalidContent as invalid:
            return (refusal(invalid.reason, _ref(frame)),)
        if not self._has_room(now):
            return (refusal("TOO_MANY_IN_FLIGHT", _ref(frame), retry_after_ms=RETRY_IN_FLIGHT_MS),)
        try_id = self._terms.new_id()
        if self._unanswered is None:
            self._unanswered = {}
        self._unanswered[try_id] = now
        return (
            Publish(
                Send(
                    conversation_id=frame.conversation_id,
                    sender_id=sender_id,
                    try_id=try_id,
                    client_message_id=frame.client_message_id,
                    content=content,
                    accepted_at=int(now * 1000),
                    session_id=self.session_id,
                    gateway_id=self._terms.gateway_id,
                )
            ),
        )

    def _has_room(self, now: float) -> bool:
        """Whether one more try may be in flight; forgets the oldest when its answer was lost."""
        tries = self._unanswered
        if tries is None or len(tries) < self._terms.max_in_flight:
            return True
        oldest = next(iter(tries))
        if now - tries[oldest] < FORGET_TRY_AFTER_S:
            return False
        del tries[oldest]
        return True

    # --- what the router tells -----------------------------------------------------------

    def opened(self, heads: dict[UUID, int]) -> Effects:
        """CONNECT_SUCCESS, then what was held back, in order. A second time: nothing."""
        if self.phase is not Phase.OPENING or self._user_id is None:
            return ()
        self.phase = Phase.OPEN
        success = ConnectSuccess(
            user_id=self._user_id,
            conversations=list(heads),
            heads=heads,
            session_id=self.session_id,
            expires_at=rfc3339(self._expires_at * 1000),
            heartbeat_seconds=self._terms.heartbeat_seconds,
        )
        effects: list[Effect] = [write(success)]
        held, self._held = self._held, None
        for delivery in held or ():
            effects += self._deliver(*delivery)
        return effects

    def answer(self, try_id: UUID, frame: bytes) -> Effects:
        """One answer a try (promise 4): a second one, after a router's crash, is dropped."""
        if self._unanswered is None or self._unanswered.pop(try_id, None) is None:
            return ()
        return self._deliver(frame, None, None)

    def entry(self, frame: bytes, conversation_id: UUID, message_id: UUID | None) -> Effects:
        """An entry of a log; `message_id` when it is a message that this user receives."""
        return self._deliver(frame, conversation_id, message_id)

    def _deliver(
        self, frame: bytes, conversation_id: UUID | None, message_id: UUID | None
    ) -> Effects:
        if self.phase is not Phase.OPEN:
            return self._hold(frame, conversation_id, message_id)
        if conversation_id is None or message_id is None:
            return (Write(frame),)
        if self._receipts is None:
            self._receipts = Receipts()
        self._receipts.add(conversation_id, message_id)
        if self._receipts.due():
            return (Write(frame), Ping(self._receipts.ping()))
        return (Write(frame),)

    def _hold(self, frame: bytes, conversation_id: UUID | None, message_id: UUID | None) -> Effects:
        if self._held is None:
            self._held = []
        if len(self._held) >= MAX_HELD:
            return (End(Close.ON_US, "too much before CONNECT_SUCCESS"),)
        self._held.append((frame, conversation_id, message_id))
        return ()

    # --- is the other end there ----------------------------------------------------------

    @property
    def awaits_pong(self) -> bool:
        return self._receipts is not None and self._receipts.in_flight

    def heartbeat(self) -> Effects:
        """A ping, unless one is in flight."""
        if self._receipts is None:
            self._receipts = Receipts()
        if self._receipts.in_flight:
            return ()
        return (Ping(self._receipts.ping()),)

    def pong(self, payload: bytes, now: float) -> Effects:
        """What was written before the answered ping is delivered (promise 5)."""
        receipts = self._receipts
        if receipts is None or self._user_id is None:
            return ()
        effects: list[Effect] = [
            Publish(Delivered(conversation_id, self._user_id, message_ids, int(now * 1000)))
            for conversation_id, message_ids in (receipts.pong(payload) or {}).items()
        ]
        if receipts.due():
            effects.append(Ping(receipts.ping()))
        return effects


def _ref(frame: ClientFrame) -> ErrorRef:
    kind = str(frame.__struct_config__.tag)
    if isinstance(frame, SendMessage):
        return ErrorRef(kind, frame.client_message_id, frame.conversation_id)
    return ErrorRef(kind)
