"""Promise 5: a message is delivered when a ping written after it was answered.

One ping is in flight at a time. What is written meanwhile is covered by the next one, which
goes out when the pong comes: the number of pings is bounded by the round trip, not the load.
"""

from typing import Final
from uuid import UUID

Messages = dict[UUID, list[UUID]]
"""Message ids by conversation, in the order in which they were written."""

_NUMBERS: Final = 1 << 32


class Receipts:
    """One session's unconfirmed messages and its ping."""

    __slots__ = ("_asked", "_number", "_waiting", "in_flight")

    def __init__(self) -> None:
        self.in_flight = False
        self._number = 0
        self._asked: Messages | None = None
        self._waiting: Messages | None = None

    def add(self, conversation_id: UUID, message_id: UUID) -> None:
        """The message was written; the next ping covers it."""
        if self._waiting is None:
            self._waiting = {}
        self._waiting.setdefault(conversation_id, []).append(message_id)

    def ping(self) -> bytes:
        """The payload of the ping to write now. Only while none is in flight."""
        self.in_flight = True
        self._number = (self._number + 1) % _NUMBERS
        self._asked, self._waiting = self._waiting, None
        return self._payload()

    def pong(self, payload: bytes) -> Messages | None:
        """What it confirms; None when it isn't the answer to the ping in flight."""
        if not self.in_flight or payload != self._payload():
            return None
        confirmed, self._asked = self._asked, None
        self.in_flight = False
        return confirmed or {}

    def due(self) -> bool:
        """Whether written messages wait for a ping, and one may be sent."""
        return self._waiting is not None and not self.in_flight

    def _payload(self) -> bytes:
        return self._number.to_bytes(4, "big")
