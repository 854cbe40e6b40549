"""Who chats with whom. Locust starts users one by one; two in the same process are a pair."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final
from uuid import UUID, uuid4

from tests.load.session import Session

ID_LENGTH: Final = 36


@dataclass(slots=True)
class Shown:
    """Something on its way to the other user; `began` in `time.perf_counter` seconds."""

    began: float = field(default_factory=time.perf_counter)
    came: threading.Event = field(default_factory=threading.Event)


class Pair:
    """One match, its conversation and its two users."""

    def __init__(self) -> None:
        self.match_id = uuid4()
        first, second = Seat(self), Seat(self)
        first.other, second.other = second, first
        self.seats = (first, second)
        self._conversation_id: UUID | None = None
        self._creating = threading.Lock()

    def conversation_id(self, create: Callable[["Pair"], UUID]) -> UUID:
        """Created by whoever comes first. Raises what `create` raises; the next one tries again."""
        with self._creating:
            if self._conversation_id is None:
                self._conversation_id = create(self)
            return self._conversation_id


class Seat:
    """One user of a pair: what stays while locust's users and their sessions come and go."""

    other: "Seat"

    def __init__(self, pair: Pair) -> None:
        self.pair = pair
        self.user_id = uuid4()
        self.session: Session | None = None
        self.known_seq = 0
        """Everything of the log up to this number has come."""
        self.unread_seq = 0
        """The newest message of the other that is not marked as read; 0 when all are."""
        self._ahead: set[int] = set()
        self.messages: dict[str, Shown] = {}
        """Sent by this user and not yet with the other, by clientMessageId."""
        self.typing: Shown | None = None

    @property
    def is_connected(self) -> bool:
        return self.session is not None and self.session.is_open

    def has(self, seq: int) -> None:
        """One entry of the log has come. Those of different kinds may overtake each other."""
        self._ahead.add(seq)
        self.has_all(self.known_seq)

    def has_all(self, seq: int) -> None:
        """All entries up to this one have come."""
        self.known_seq = max(self.known_seq, seq)
        while self.known_seq + 1 in self._ahead:
            self.known_seq += 1
        self._ahead = {one for one in self._ahead if one > self.known_seq}

    def arrived(self, content: str) -> Shown | None:
        """The message of the other with this content, the first time that it comes.

        A recipient is not told the sender's clientMessageId, so the content begins with it.
        """
        return self.other.messages.pop(content[:ID_LENGTH], None)


class WaitingRoom:
    """The seats that nobody has."""

    def __init__(self) -> None:
        self._free: list[Seat] = []

    def enter(self) -> Seat:
        """A seat opposite somebody where there is one, else of a new pair."""
        if not self._free:
            self._free.extend(Pair().seats)
        return self._free.pop()

    def leave(self, seat: Seat) -> None:
        """Its next user goes on with the same conversation."""
        seat.messages.clear()
        self._free.append(seat)
