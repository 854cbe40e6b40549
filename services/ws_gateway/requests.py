"""What one session asks of the router: checked for form and haste, stamped, and remembered.

Pure: `now` is in seconds since 1970. Whether it may be is the router's to say.
"""

from typing import Final
from uuid import UUID

from libs.common.domain.text import InvalidContent, clean_content
from libs.common.protocol import events
from libs.common.protocol.frames import (
    MarkAsRead,
    SendMessage,
    Sync,
    TypingStart,
    TypingStop,
)
from services.ws_gateway.allowance import Allowance, Kind
from services.ws_gateway.effects import Effects, Publish, Refuse, Signal, ref_to, refusal
from services.ws_gateway.terms import Terms

FORGET_TRY_AFTER_S: Final = 60.0
"""An answer that has not come by then was lost; its try no longer counts as in flight."""
RETRY_IN_FLIGHT_MS: Final = 1_000
RETRY_OVERLOADED_MS: Final = 1_000
"""No jitter: who was refused at different times comes back at different times."""
_WHICH_MESSAGES: Final = "Say which messages by one of messageIds and upToSeq, not by both."

Request = SendMessage | MarkAsRead | TypingStart | TypingStop | Sync


class Requests:
    """One session's. Made with the first: most sessions are idle."""

    __slots__ = ("_allowance", "_session_id", "_terms", "_unanswered", "_user_id")

    def __init__(self, session_id: UUID, user_id: UUID, terms: Terms) -> None:
        self._session_id = session_id
        self._user_id = user_id
        self._terms = terms
        self._unanswered: dict[UUID, float] = {}
        """When each try began that waits for its answer."""
        self._allowance: Allowance[Kind] | None = None

    def receive(self, request: Request, now: float) -> Effects:
        match request:
            case SendMessage():
                return self._send(request, now)
            case MarkAsRead():
                return self._mark_as_read(request, now)
            case Sync():
                return self._sync(request, now)
            case TypingStart() | TypingStop():
                return self._type(request, now)

    def answered(self, try_id: UUID) -> bool:
        """Whether this is the try's first answer (promise 4)."""
        return self._unanswered.pop(try_id, None) is not None

    def _send(self, frame: SendMessage, now: float) -> Effects:
        try:
            content = clean_content(frame.content)
        except InvalidContent as invalid:
            return (refusal(invalid.reason, ref_to(frame)),)
        try_id = self._begin_event(frame, now)
        if isinstance(try_id, Refuse):
            return (try_id,)
        return (
            Publish(
                events.Send(
                    conversation_id=frame.conversation_id,
                    sender_id=self._user_id,
                    try_id=try_id,
                    client_message_id=frame.client_message_id,
                    content=content,
                    accepted_at=int(now * 1000),
                    session_id=self._session_id,
                    gateway_id=self._terms.gateway_id,
                )
            ),
        )

    def _mark_as_read(self, frame: MarkAsRead, now: float) -> Effects:
        if (frame.message_ids is None) is (frame.up_to_seq is None):
            return (refusal("INVALID_FIELD", ref_to(frame), message=_WHICH_MESSAGES),)
        wait_ms = self._allowed().take("reads", self._terms.rates.reads, now)
        if wait_ms:
            return (_too_fast(frame, wait_ms),)
        try_id = self._begin_event(frame, now)
        if isinstance(try_id, Refuse):
            return (try_id,)
        return (
            Publish(
                events.MarkRead(
                    conversation_id=frame.conversation_id,
                    user_id=self._user_id,
                    message_ids=frame.message_ids or [],
                    up_to_seq=frame.up_to_seq,
                    read_at=int(now * 1000),
                    origin=self._origin(try_id),
                )
            ),
        )

    def _sync(self, frame: Sync, now: float) -> Effects:
        wait_ms = self._allowed().take("syncs", self._terms.rates.syncs, now)
        if wait_ms:
            return (_too_fast(frame, wait_ms),)
        try_id = self._begin_try(now)
        if try_id is None:
            return (_too_many_in_flight(frame),)
        return (
            Signal(
                events.Sync(
                    conversation_id=frame.conversation_id,
                    user_id=self._user_id,
                    after_seq=frame.after_seq,
                    limit=frame.limit,
                    origin=self._origin(try_id),
                )
            ),
        )

    def _type(self, frame: TypingStart | TypingStop, now: float) -> Effects:
        """No try: nothing is answered but a refusal."""
        wait_ms = self._allowed().take("typing", self._terms.rates.typing, now)
        if wait_ms:
            return (_too_fast(frame, wait_ms),)
        return (
            Signal(
                events.Typing(
                    conversation_id=frame.conversation_id,
                    user_id=self._user_id,
                    is_typing=isinstance(frame, TypingStart),
                    session_id=self._session_id,
                    gateway_id=self._terms.gateway_id,
                )
            ),
        )

    def _allowed(self) -> Allowance[Kind]:
        if self._allowance is None:
            self._allowance = Allowance()
        return self._allowance

    def _origin(self, try_id: UUID) -> events.Origin:
        return events.Origin(self._terms.gateway_id, self._session_id, try_id)

    def _begin_event(self, frame: SendMessage | MarkAsRead, now: float) -> UUID | Refuse:
        """The id of a try whose event will be kept until it is decided, if there is room for it.

        Refused here it has gone nowhere, and can't appear later.
        """
        try_id = self._begin_try(now)
        if try_id is None:
            return _too_many_in_flight(frame)
        if not self._terms.backlog.take(frame.conversation_id, try_id, now):
            del self._unanswered[try_id]
            return refusal("OVERLOADED", ref_to(frame), retry_after_ms=RETRY_OVERLOADED_MS)
        return try_id

    def _begin_try(self, now: float) -> UUID | None:
        """The id of one more try; None when too many are in flight, the oldest not yet lost."""
        tries = self._unanswered
        if len(tries) >= self._terms.max_in_flight:
            oldest = next(iter(tries))
            if now - tries[oldest] < FORGET_TRY_AFTER_S:
                return None
            del tries[oldest]
        try_id = self._terms.new_id()
        tries[try_id] = now
        return try_id


def _too_many_in_flight(request: Request) -> Refuse:
    return refusal("TOO_MANY_IN_FLIGHT", ref_to(request), retry_after_ms=RETRY_IN_FLIGHT_MS)


def _too_fast(request: Request, wait_ms: int) -> Refuse:
    return refusal("RATE_LIMITED", ref_to(request), retry_after_ms=wait_ms)
