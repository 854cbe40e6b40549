"""What one session does with a frame, a delivery, a pong or the passing of time.

Pure: no socket, no clock. `now` is in seconds since 1970. Every method returns effects, which
`connection` performs in order.
"""

from collections.abc import Sequence
from enum import IntEnum
from typing import Final
from uuid import UUID

from msgspec import UNSET

from libs.common.domain.moment import rfc3339
from libs.common.protocol.closes import Close
from libs.common.protocol.events import Delivered, Open
from libs.common.protocol.frames import (
    ClientFrame,
    Connect,
    ConnectSuccess,
    ErrorRef,
    Pong,
    RefreshToken,
    TokenRefreshed,
)
from libs.common.protocol.frames import Ping as PingFrame
from libs.common.tokens import Caller, InvalidToken, Undecided
from services.ws_gateway.effects import (
    Effect,
    Effects,
    End,
    Enter,
    Ping,
    Publish,
    Refuse,
    Write,
    ref_to,
    refusal,
    write,
)
from services.ws_gateway.incoming import BadFrame
from services.ws_gateway.receipts import Receipts
from services.ws_gateway.requests import Requests
from services.ws_gateway.terms import Terms
from services.ws_gateway.throttle import Throttle

MAX_HELD_BYTES: Final = 1 << 20
"""Of deliveries kept for a session whose CONNECT_SUCCESS is on its way."""
KEYS_WITHIN_MS: Final = 2_000
"""So long it may take to ask the token's issuer for a key that is new to us."""
_ANSWERED_HERE: Final = (BadFrame, PingFrame, RefreshToken)
_LAST_MOMENT_S: Final = 253_402_300_799
"""The end of the year 9999, the last that RFC 3339 can write."""


class Phase(IntEnum):
    """How far a session has come."""

    AWAITING_TOKEN = 1
    OPENING = 2
    """Authenticated. Sends are taken; deliveries are held back until CONNECT_SUCCESS."""
    OPEN = 3


class Session:
    """One WebSocket connection of one user.

    Holds what is needed to answer each try once (promise 4) and to tell what was delivered
    (promise 5). Collections are made when first needed: most sessions are idle.
    """

    __slots__ = (
        "_caller",
        "_expires_at",
        "_held",
        "_held_bytes",
        "_receipts",
        "_requests",
        "_terms",
        "_throttle",
        "_user_id",
        "phase",
        "session_id",
    )

    def __init__(self, session_id: UUID, terms: Terms) -> None:
        self.session_id = session_id
        self._user_id: UUID | None = None
        self._caller: Caller | None = None
        self.phase = Phase.AWAITING_TOKEN
        self._terms = terms
        self._expires_at = 0
        self._held: list[tuple[bytes, UUID | None, Sequence[UUID]]] | None = None
        self._held_bytes = 0
        self._requests: Requests | None = None
        self._receipts: Receipts | None = None
        self._throttle: Throttle | None = None

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
        self._lasts_until(caller)
        self.phase = Phase.OPENING
        return (Enter(),)

    def turn_away(self, error: str, ref: ErrorRef | None = None) -> Effects:
        """ERROR 401 and the close that is final until there is a better token."""
        return (refusal(error, ref or ErrorRef()), End(Close.TOKEN, error))

    def turn_down(self, error: str, retry_after_ms: int | None) -> Effects:
        """Too many sessions: ERROR 429, and the close that invites to come back later."""
        wait_ms = UNSET if retry_after_ms is None else retry_after_ms
        return (refusal(error, ErrorRef(), retry_after_ms=wait_ms), End(Close.TOO_MANY, error))

    def _lasts_until(self, caller: Caller) -> None:
        self._caller = caller
        self._expires_at = min(caller.expires_at, _LAST_MOMENT_S)

    def has_expired(self, now: float) -> bool:
        return self._user_id is not None and now >= self._expires_at

    def is_revoked(self) -> bool:
        return self._caller is not None and self._terms.tokens.is_revoked(self._caller)

    def open_signal(self) -> Open:
        return Open(self.user_id, self.session_id, self._terms.gateway_id, self._expires_at * 1000)

    # --- what the client sends -----------------------------------------------------------

    def receive(self, frame: ClientFrame | BadFrame, now: float) -> Effects:
        """A text frame. A bad one gets its ERROR; the session stays open, unless they are many."""
        if isinstance(frame, Connect):
            return self._connect(frame, now)
        if self._user_id is None and not isinstance(frame, BadFrame):
            return self.turn_away("UNAUTHENTICATED", ref_to(frame))
        if isinstance(frame, _ANSWERED_HERE):
            ref = frame.ref if isinstance(frame, BadFrame) else ref_to(frame)
            return self._throttled().hold_up(ref, now) or self._answer_here(frame, now)
        if self._requests is None:
            self._requests = Requests(self.session_id, self.user_id, self._terms)
        effects = self._requests.receive(frame, now)
        if isinstance(effects[0], Refuse):
            return self.bear(effects, now)
        return effects

    def _answer_here(self, frame: BadFrame | PingFrame | RefreshToken, now: float) -> Effects:
        if isinstance(frame, BadFrame):
            return (refusal(frame.error, frame.ref, message=frame.message),)
        if isinstance(frame, PingFrame):
            return (write(Pong(timestamp=rfc3339(int(now * 1000)))),)
        return self._refresh_token(frame, self.user_id, now)

    def bear(self, effects: Effects, now: float) -> Effects:
        """What comes of a frame that leads to nothing, be it WebSocket's own."""
        return self._throttled().bear(effects, now)

    def _throttled(self) -> Throttle:
        if self._throttle is None:
            self._throttle = Throttle(self._terms.rates.others)
        return self._throttle

    def receive_binary(self) -> Effects:
        return (refusal("INVALID_JSON", ErrorRef()), End(Close.NOT_THE_PROTOCOL, "binary frame"))

    def _connect(self, frame: Connect, now: float) -> Effects:
        if self._user_id is not None:
            return self.bear((refusal("ALREADY_CONNECTED", ref_to(frame)),), now)
        try:
            return self.admit(self._terms.tokens.verify(frame.token, now))
        except InvalidToken as invalid:
            return self.turn_away(invalid.error, ref_to(frame))
        except Undecided:
            return (refusal("INTERNAL", ref_to(frame)), End(Close.ON_US, "keys pending"))

    def _refresh_token(self, frame: RefreshToken, user_id: UUID, now: float) -> Effects:
        """The session goes on until the new token runs out. Another user's is as bad as none."""
        try:
            caller = self._terms.tokens.verify(frame.token, now)
        except InvalidToken as invalid:
            return self.turn_away(invalid.error, ref_to(frame))
        except Undecided:
            return (refusal("INTERNAL", ref_to(frame), retry_after_ms=KEYS_WITHIN_MS),)
        if caller.user_id != user_id:
            return self.turn_away("TOKEN_INVALID", ref_to(frame))
        self._lasts_until(caller)
        return (write(TokenRefreshed(rfc3339(self._expires_at * 1000))),)

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

    def answer(
        self,
        try_id: UUID,
        frame: bytes,
        conversation_id: UUID | None = None,
        message_ids: Sequence[UUID] = (),
    ) -> Effects:
        """One answer a try (promise 4): a second one, after a router's crash, is dropped.

        `message_ids` when it holds messages that this user receives.
        """
        if self._requests is None or not self._requests.answered(try_id):
            return ()
        return self._deliver(frame, conversation_id, message_ids)

    def entry(self, frame: bytes, conversation_id: UUID, message_id: UUID | None) -> Effects:
        """An entry of a log; `message_id` when it is a message that this user receives."""
        return self._deliver(frame, conversation_id, () if message_id is None else (message_id,))

    def note(self, frame: bytes) -> Effects:
        """What is no entry: typing, presence, or what the router refuses of a signal."""
        return self._deliver(frame, None, ())

    def _deliver(
        self, frame: bytes, conversation_id: UUID | None, message_ids: Sequence[UUID]
    ) -> Effects:
        if self.phase is not Phase.OPEN:
            return self._hold(frame, conversation_id, message_ids)
        if conversation_id is None or not message_ids:
            return (Write(frame),)
        if self._receipts is None:
            self._receipts = Receipts()
        for message_id in message_ids:
            self._receipts.add(conversation_id, message_id)
        if self._receipts.due():
            return (Write(frame), Ping(self._receipts.ping()))
        return (Write(frame),)

    def _hold(
        self, frame: bytes, conversation_id: UUID | None, message_ids: Sequence[UUID]
    ) -> Effects:
        if self._held is None:
            self._held = []
        self._held_bytes += len(frame)
        if self._held_bytes > MAX_HELD_BYTES:
            return (End(Close.ON_US, "too much before CONNECT_SUCCESS"),)
        self._held.append((frame, conversation_id, message_ids))
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
        confirmed = None if receipts is None else receipts.pong(payload)
        if receipts is None or confirmed is None or self._user_id is None:
            return self.bear((), now)
        effects: list[Effect] = [
            Publish(Delivered(conversation_id, self._user_id, message_ids, int(now * 1000)))
            for conversation_id, message_ids in confirmed.items()
        ]
        if receipts.due():
            effects.append(Ping(receipts.ping()))
        return effects
